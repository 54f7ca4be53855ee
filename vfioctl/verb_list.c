/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "table.h"
#include "use.h"
#include "virt.h"

enum column_id {
        COLUMN_GPU,
        COLUMN_CARD,
        COLUMN_VRAM,
        COLUMN_NODE,
        COLUMN_ADDRESS,
        COLUMN_MODE,
        COLUMN_USED_BY,
        COLUMN_READY,
        COLUMN_SLOT,
        COLUMN_IDS,
        COLUMN_CLASS,
        COLUMN_DRIVER,
        COLUMN_GROUP,
        COLUMN_FUNCTIONS,
        COLUMN_ALIAS,
};

static const struct column columns[] = {
        [COLUMN_GPU] = {"GPU", "GPU", 0, 0, true},
        [COLUMN_CARD] = {"CARD", "CARD", 0.3, SCOLS_FL_TRUNC, true},
        [COLUMN_VRAM] = {"VRAM", "VRAM", 0, SCOLS_FL_RIGHT, true},
        [COLUMN_NODE] = {"NODE", "NODE", 0, SCOLS_FL_RIGHT, true},
        [COLUMN_ADDRESS] = {"ADDRESS", "ADDRESS", 0, 0, true},
        [COLUMN_MODE] = {"MODE", "MODE", 0, 0, true},
        [COLUMN_USED_BY] = {"USED-BY", "USED BY", 0, 0, true},
        [COLUMN_READY] = {"READY", "READY", 0, 0, true},
        [COLUMN_SLOT] = {"SLOT", "SLOT", 0, 0, false},
        [COLUMN_IDS] = {"IDS", "IDS", 0, 0, false},
        [COLUMN_CLASS] = {"CLASS", "CLASS", 0, 0, false},
        [COLUMN_DRIVER] = {"DRIVER", "DRIVER", 0, 0, false},
        [COLUMN_GROUP] = {"GROUP", "GROUP", 0, SCOLS_FL_RIGHT, false},
        [COLUMN_FUNCTIONS] = {"FUNCTIONS", "FUNCTIONS", 0, 0, false},
        [COLUMN_ALIAS] = {"ALIAS", "ALIAS", 0, 0, false},
};

/* The column is a usual one where there is something in it. */
static bool has_aliases(const struct vfioctl_ctx *ctx)
{
        for (size_t i = 0; i < vfioctl_ctx_setting_count(ctx); i++)
                if (util_equal(vfioctl_ctx_setting_name(ctx, i), "alias"))
                        return *vfioctl_ctx_setting_value(ctx, i);
        return false;
}

struct row {
        const struct vfioctl_snapshot *snapshot;
        const struct vfioctl_vms *vms;
        bool vms_known;
};

static int functions_text(const struct vfioctl_gpu *gpu, char **ret)
{
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; i < vfioctl_gpu_function_count(gpu); i++) {
                const char *address = vfioctl_function_address(vfioctl_gpu_function(gpu, i));
                char *longer;
                int r = util_format(&longer, "%s%s%s", text ? text : "", text ? "," : "",
                                    short_address(address));
                if (r < 0)
                        return r;
                free(text);
                text = longer;
        }
        *ret = util_steal(text);
        return 0;
}

static int cell_text(const void *userdata, size_t index, size_t column, char **ret)
{
        const struct row *row = userdata;
        const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(row->snapshot, index);
        const struct vfioctl_function *function = vfioctl_gpu_function(gpu, 0);
        const struct vfioctl_group *group = vfioctl_gpu_group(gpu);
        int node = vfioctl_gpu_numa_node(gpu);
        char buffer[24];

        switch ((enum column_id)column) {
        case COLUMN_GPU:
                return util_copy(vfioctl_gpu_has_short_name(gpu) ? vfioctl_gpu_name(gpu) : "-", ret);
        case COLUMN_CARD:
                return util_copy(vfioctl_gpu_card(gpu), ret);
        case COLUMN_VRAM:
                /* What a board's own display maps is no memory to speak of. */
                return util_copy(
                        vfioctl_gpu_is_on_board(gpu) ? "-" : size_text(vfioctl_gpu_vram(gpu), buffer), ret);
        case COLUMN_NODE:
                return node < 0 ? util_copy("-", ret) : util_format(ret, "%d", node);
        case COLUMN_ADDRESS:
                return util_copy(short_address(vfioctl_gpu_address(gpu)), ret);
        case COLUMN_MODE:
                return util_copy(vfioctl_mode_name(vfioctl_gpu_mode(gpu)), ret);
        case COLUMN_USED_BY:
                return use_text(gpu, row->vms, row->vms_known, ret);
        case COLUMN_READY:
                return util_copy(ready_text(row->snapshot, gpu), ret);
        case COLUMN_SLOT:
                return util_copy(vfioctl_gpu_slot(gpu) ? vfioctl_gpu_slot(gpu) : "-", ret);
        case COLUMN_IDS:
                return util_format(ret, "%04x:%04x", vfioctl_function_vendor(function),
                                   vfioctl_function_device(function));
        case COLUMN_CLASS:
                return util_format(ret, "%04x", vfioctl_function_class(function) >> 8);
        case COLUMN_DRIVER:
                return util_copy(vfioctl_function_driver(function) ? vfioctl_function_driver(function) : "-",
                                 ret);
        case COLUMN_GROUP:
                return group ? util_format(ret, "%d", vfioctl_group_number(group)) : util_copy("-", ret);
        case COLUMN_FUNCTIONS:
                return functions_text(gpu, ret);
        case COLUMN_ALIAS:
                return util_copy(vfioctl_gpu_alias(gpu) ? vfioctl_gpu_alias(gpu) : "-", ret);
        }
        return -EINVAL;
}

static struct json_object *gpu_json(const struct row *row, const struct vfioctl_gpu *gpu)
{
        const struct vfioctl_function *function = vfioctl_gpu_function(gpu, 0);
        const struct vfioctl_group *group = vfioctl_gpu_group(gpu);
        struct json_object *object = json_object_new_object(), *vms = json_object_new_array();
        struct json_object *functions = json_object_new_array();
        _cleanup_free_ char *used = NULL;

        json_put(object, "name", json_string(vfioctl_gpu_name(gpu)));
        json_put(object, "address", json_string(vfioctl_gpu_address(gpu)));
        json_put(object, "card", json_string(vfioctl_gpu_card(gpu)));
        json_put(object, "card_index", json_object_new_int((int)vfioctl_gpu_card_index(gpu)));
        json_put(object, "slot", json_string(vfioctl_gpu_slot(gpu)));
        json_put(object, "vendor", json_hex(vfioctl_function_vendor(function), 4));
        json_put(object, "device", json_hex(vfioctl_function_device(function), 4));
        json_put(object, "class", json_hex(vfioctl_function_class(function), 6));
        json_put(object, "driver", json_string(vfioctl_function_driver(function)));
        json_put(object, "mode", json_string(vfioctl_mode_name(vfioctl_gpu_mode(gpu))));
        json_put(object, "iommu_group", group ? json_object_new_int(vfioctl_group_number(group)) : NULL);
        json_put(object, "numa_node", json_number_or_null(vfioctl_gpu_numa_node(gpu)));
        json_put(object, "vram", json_object_new_int64((int64_t)vfioctl_gpu_vram(gpu)));
        json_put(object, "ready", json_object_new_boolean(vfioctl_gpu_is_ready(row->snapshot, gpu)));
        json_put(object, "tried", json_proof(gpu));
        if (use_text(gpu, row->vms, row->vms_known, &used) >= 0)
                json_put(object, "used_by", json_string(used));
        for (size_t i = 0; row->vms && i < vfioctl_vms_count(row->vms); i++)
                if (vfioctl_vms_has_gpu(row->vms, i, gpu))
                        json_append(vms, json_string(vfioctl_vms_name(row->vms, i)));
        json_put(object, "vms", vms);
        for (size_t i = 0; i < vfioctl_gpu_function_count(gpu); i++)
                json_append(functions, json_string(vfioctl_function_address(vfioctl_gpu_function(gpu, i))));
        json_put(object, "functions", functions);
        json_put(object, "identity", json_string(vfioctl_gpu_identity(gpu)));
        json_add_policy(object, gpu);
        return object;
}

static int print_json(const struct row *row)
{
        struct json_object *object = json_object_new_object(), *gpus = json_object_new_array();

        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(row->snapshot); i++)
                json_append(gpus, gpu_json(row, vfioctl_snapshot_gpu(row->snapshot, i)));
        json_put(object, "gpus", gpus);
        return json_print(object);
}

int verb_list(struct cli *cli)
{
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        struct selection selection = {.count = 0};

        int code = table_select(cli->options.columns, columns, ELEMENTSOF(columns),
                                has_aliases(cli->ctx) ? COLUMN_ALIAS : SIZE_MAX, &selection);
        if (code == 0)
                code = take_snapshot(cli, LIST_SNAPSHOT, false, &snapshot);
        if (code == 0)
                code = virt_report(cli, &vms);
        if (code != 0)
                return code;
        if (vfioctl_snapshot_gpu_count(snapshot) == 0 && !cli->options.quiet)
                complain("this host has no GPU");
        struct row row = {
                .snapshot = snapshot, .vms = vms, .vms_known = vms || !vfioctl_ctx_is_live(cli->ctx)};
        if (cli->options.json)
                return print_json(&row);
        return table_print(cli, columns, &selection, vfioctl_snapshot_gpu_count(snapshot), cell_text, &row);
}
