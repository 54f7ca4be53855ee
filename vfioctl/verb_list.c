/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libsmartcols.h>
#include <strings.h>

#include "json.h"
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

static const struct column {
        const char *name;
        const char *heading;
        double width;
        int flags;
        bool usual;
} columns[] = {
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

#define COLUMNS_MAX 64

struct selection {
        enum column_id ids[COLUMNS_MAX];
        size_t count;
};

static int select_column(struct selection *selection, const char *name, size_t length)
{
        char text[80];

        for (size_t i = 0; i < ELEMENTSOF(columns); i++) {
                if (strlen(columns[i].name) != length || strncasecmp(columns[i].name, name, length) != 0)
                        continue;
                if (selection->count == COLUMNS_MAX) {
                        complain("-o: at most %d columns", COLUMNS_MAX);
                        return CODE_USAGE;
                }
                selection->ids[selection->count++] = (enum column_id)i;
                return 0;
        }
        complain("-o: there is no column '%.*s'; there are GPU CARD VRAM NODE ADDRESS MODE USED-BY READY "
                 "SLOT IDS "
                 "CLASS DRIVER GROUP FUNCTIONS ALIAS",
                 length > 40 ? 40 : (int)length, printable(name, text, sizeof(text)));
        return CODE_USAGE;
}

/* The column is a usual one where there is something in it. */
static bool has_aliases(const struct vfioctl_ctx *ctx)
{
        for (size_t i = 0; i < vfioctl_ctx_setting_count(ctx); i++)
                if (util_equal(vfioctl_ctx_setting_name(ctx, i), "alias"))
                        return *vfioctl_ctx_setting_value(ctx, i);
        return false;
}

static int select_columns(const char *list, bool aliases, struct selection *selection)
{
        if (!list || *list == '+') {
                for (size_t i = 0; i < ELEMENTSOF(columns); i++)
                        if (columns[i].usual || (i == COLUMN_ALIAS && aliases))
                                selection->ids[selection->count++] = (enum column_id)i;
                if (!list)
                        return 0;
                list++;
        }
        for (const char *at = list;;) {
                size_t length = strcspn(at, ",");
                int code = select_column(selection, at, length);
                if (code != 0)
                        return code;
                if (!at[length])
                        return 0;
                at += length + 1;
        }
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

static int cell_text(const struct row *row, const struct vfioctl_gpu *gpu, enum column_id id, char **ret)
{
        const struct vfioctl_function *function = vfioctl_gpu_function(gpu, 0);
        const struct vfioctl_group *group = vfioctl_gpu_group(gpu);
        int node = vfioctl_gpu_numa_node(gpu);
        char buffer[24];

        switch (id) {
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

static int fill_table(struct libscols_table *table, const struct selection *selection, const struct row *row)
{
        for (size_t i = 0; i < selection->count; i++) {
                const struct column *column = &columns[selection->ids[i]];
                if (!scols_table_new_column(table, column->heading, column->width, column->flags))
                        return -ENOMEM;
        }
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(row->snapshot); i++) {
                struct libscols_line *line = scols_table_new_line(table, NULL);
                if (!line)
                        return -ENOMEM;
                for (size_t k = 0; k < selection->count; k++) {
                        char *text;
                        int r = cell_text(row, vfioctl_snapshot_gpu(row->snapshot, i), selection->ids[k],
                                          &text);
                        if (r < 0)
                                return r;
                        r = scols_line_refer_data(line, k, text);
                        if (r < 0) {
                                free(text);
                                return r;
                        }
                }
        }
        return 0;
}

static int print_table(const struct cli *cli, const struct selection *selection, const struct row *row)
{
        struct libscols_table *table = scols_new_table();

        int r = table ? fill_table(table, selection, row) : -ENOMEM;
        if (r >= 0) {
                (void)scols_table_enable_noheadings(table, cli->options.no_headings);
                r = scols_print_table(table);
        }
        scols_unref_table(table);
        return r < 0 ? complain_errno(r, "cannot print the table") : CODE_DONE;
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

        int code = select_columns(cli->options.columns, has_aliases(cli->ctx), &selection);
        if (code == 0)
                code = take_snapshot(cli,
                                     VFIOCTL_SNAPSHOT_ALL &
                                             ~(VFIOCTL_SNAPSHOT_PATHS | VFIOCTL_SNAPSHOT_FACTS |
                                               VFIOCTL_SNAPSHOT_CHANGE | VFIOCTL_SNAPSHOT_BOARD |
                                               VFIOCTL_SNAPSHOT_RESOURCES),
                                     false, &snapshot);
        if (code == 0)
                code = virt_report(cli, &vms);
        if (code != 0)
                return code;
        if (vfioctl_snapshot_gpu_count(snapshot) == 0 && !cli->options.quiet)
                complain("this host has no GPU");
        struct row row = {
                .snapshot = snapshot, .vms = vms, .vms_known = vms || !vfioctl_ctx_is_live(cli->ctx)};
        return cli->options.json ? print_json(&row) : print_table(cli, &selection, &row);
}
