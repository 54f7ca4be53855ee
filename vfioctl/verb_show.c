/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "use.h"
#include "virt.h"

#include <libvfioctl-hardware.h>

static void print_bars(const struct vfioctl_function *function)
{
        char buffer[24];

        for (size_t i = 0; i < VFIOCTL_BAR_COUNT; i++) {
                const struct vfioctl_bar *bar = vfioctl_function_bar(function, i);
                if (bar->size == 0)
                        continue;
                if (i == VFIOCTL_BAR_COUNT - 1)
                        printf("    rom    %s", size_text(bar->size, buffer));
                else
                        printf("    bar %zu  %s %s%s%s", i, size_text(bar->size, buffer),
                               bar->is_io ? "I/O" : "memory", bar->is_64bit ? " 64-bit" : "",
                               bar->is_prefetchable ? " prefetchable" : "");
                printf(bar->start ? " at %#llx\n" : " not assigned\n", (unsigned long long)bar->start);
        }
}

static void print_function(const struct vfioctl_function *function)
{
        const char *name = vfioctl_function_name(function);
        const char *raw = vfioctl_function_driver_override(function);
        char text[64];
        const char *override = raw ? printable(raw, text, sizeof(text)) : NULL;

        printf("  %s  %04x:%04x rev %02x class %06x  %s\n", vfioctl_function_address(function),
               vfioctl_function_vendor(function), vfioctl_function_device(function),
               vfioctl_function_revision(function), vfioctl_function_class(function), name ? name : "");
        printf("    subsystem %04x:%04x, %s, driver %s, override %s\n",
               vfioctl_function_subsystem_vendor(function), vfioctl_function_subsystem_device(function),
               vfioctl_pcie_type_name(vfioctl_function_pcie_type(function)),
               vfioctl_function_driver(function) ? vfioctl_function_driver(function) : "none",
               !vfioctl_function_driver_override_known(function) ? "?"
               : override                                        ? override
                                                                 : "none");
        printf("    reset %s, power %s%s%s",
               vfioctl_function_reset_method(function) ? vfioctl_function_reset_method(function) : "none",
               vfioctl_function_power_state(function) ? vfioctl_function_power_state(function) : "?",
               util_equal(vfioctl_function_power_control(function), "on") ? " held awake" : "",
               vfioctl_function_d3cold_allowed(function) == 0 ? " never D3cold" : "");
        if (vfioctl_function_vfs_total(function) > 0)
                printf(", virtual functions %u of %u", vfioctl_function_vfs_enabled(function),
                       vfioctl_function_vfs_total(function));
        printf("\n");
        print_bars(function);
}

/* What a reset of it takes and hits. */
static void print_reset(const struct vfioctl_gpu *gpu)
{
        const char *method = vfioctl_gpu_reset_used(gpu);

        printf("reset     %s%s", method ? method : "not alone",
               vfioctl_gpu_reset_is_stale(gpu) ? " (bus is listed, and cannot work)" : "");
        for (size_t i = 0; i < vfioctl_gpu_reset_scope_count(gpu); i++)
                printf("%s%s", i == 0 ? ", hits " : " ",
                       vfioctl_function_address(vfioctl_gpu_reset_scope(gpu, i)));
        printf("\n");
}

/* As data/cards has it: vfioctl-cards(5). */
static void print_known(const struct vfioctl_gpu *gpu)
{
        const char *file = vfioctl_gpu_known_file(gpu);

        printf("known     %s\n", file ? file : "nothing of such a card");
        for (size_t i = 0; i < vfioctl_gpu_known_count(gpu); i++)
                printf("  %-14s %s\n", vfioctl_gpu_known_name(gpu, i), vfioctl_gpu_known_value(gpu, i));
}

static struct json_object *known_json(const struct vfioctl_gpu *gpu)
{
        struct json_object *object = json_object_new_object();

        for (size_t i = 0; i < vfioctl_gpu_known_count(gpu); i++)
                json_put(object, vfioctl_gpu_known_name(gpu, i),
                         json_string(vfioctl_gpu_known_value(gpu, i)));
        return object;
}

static struct json_object *reset_json(const struct vfioctl_gpu *gpu)
{
        struct json_object *object = json_object_new_object(), *scope = json_object_new_array();

        for (size_t i = 0; i < vfioctl_gpu_reset_scope_count(gpu); i++)
                json_append(scope, json_string(vfioctl_function_address(vfioctl_gpu_reset_scope(gpu, i))));
        json_put(object, "method", json_string(vfioctl_gpu_reset_used(gpu)));
        json_put(object, "stale", json_object_new_boolean(vfioctl_gpu_reset_is_stale(gpu)));
        json_put(object, "scope", scope);
        return object;
}

static int print_text(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms, bool vms_known,
                      const struct vfioctl_gpu *gpu, const struct vfioctl_findings *findings)
{
        const struct vfioctl_group *group = vfioctl_gpu_group(gpu);
        _cleanup_free_ char *used = NULL;
        int node = vfioctl_gpu_numa_node(gpu);
        char buffer[24];

        if (use_text(gpu, vms, vms_known, &used) < 0)
                return complain_errno(-ENOMEM, "cannot show it");
        printf("GPU       %s\n", vfioctl_gpu_name(gpu));
        if (vfioctl_gpu_alias(gpu))
                printf("alias     %s\n", vfioctl_gpu_alias(gpu));
        printf("card      %s\n", vfioctl_gpu_card(gpu));
        printf("slot      %s\n", vfioctl_gpu_slot(gpu) ? vfioctl_gpu_slot(gpu) : "not known");
        printf("address   %s\n", vfioctl_gpu_address(gpu));
        printf("identity  %s\n", vfioctl_gpu_identity(gpu));
        printf("memory    %s\n", size_text(vfioctl_gpu_vram(gpu), buffer));
        if (node < 0)
                printf("NUMA      unknown\n");
        else
                printf("NUMA      node %d\n", node);
        printf("mode      %s\n", vfioctl_mode_name(vfioctl_gpu_mode(gpu)));
        if (vfioctl_gpu_is_ours(gpu))
                printf("ours      yes, and rests in mode %s\n", vfioctl_mode_name(vfioctl_gpu_idle(gpu)));
        else
                printf("ours      no\n");
        printf("used by   %s\n", *used ? used : "nobody");
        printf("ready     %s\n", ready_text(snapshot, gpu));
        print_reset(gpu);
        print_known(gpu);
        printf("functions\n");
        for (size_t i = 0; i < vfioctl_gpu_function_count(gpu); i++)
                print_function(vfioctl_gpu_function(gpu, i));
        if (group) {
                printf("IOMMU group %d\n", vfioctl_group_number(group));
                for (size_t i = 0; i < vfioctl_group_member_count(group); i++) {
                        const struct vfioctl_function *member = vfioctl_group_member(group, i);
                        printf("  %s  %s\n", vfioctl_function_address(member),
                               vfioctl_function_driver(member) ? vfioctl_function_driver(member)
                                                               : "no driver");
                }
        }
        printf("path\n");
        for (size_t i = 0; i < vfioctl_gpu_path_count(gpu); i++) {
                const struct vfioctl_function *bridge = vfioctl_gpu_path(gpu, i);
                printf("  %s  %04x:%04x  %s\n", vfioctl_function_address(bridge),
                       vfioctl_function_vendor(bridge), vfioctl_function_device(bridge),
                       vfioctl_pcie_type_name(vfioctl_function_pcie_type(bridge)));
        }
        for (size_t i = 0; i < vfioctl_gpu_holder_count(gpu); i++) {
                const struct vfioctl_holder *holder = vfioctl_gpu_holder(gpu, i);
                printf("%sopen by   pid %d (%s) %s, %s\n", "", vfioctl_holder_pid(holder),
                       vfioctl_holder_command(holder),
                       vfioctl_holder_unit(holder) ? vfioctl_holder_unit(holder) : "",
                       vfioctl_holder_node(holder));
        }
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                printf("%-9s %s: %s\n", vfioctl_severity_name(finding->severity), finding->code,
                       finding->text);
                if (finding->fix)
                        printf("          %s\n", finding->fix);
        }
        return CODE_DONE;
}

static struct json_object *bars_json(const struct vfioctl_function *function)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < VFIOCTL_BAR_COUNT; i++) {
                const struct vfioctl_bar *bar = vfioctl_function_bar(function, i);
                if (bar->size == 0)
                        continue;
                struct json_object *item = json_object_new_object();
                json_put(item, "index", json_object_new_int((int)i));
                json_put(item, "start", json_object_new_uint64(bar->start));
                json_put(item, "size", json_object_new_uint64(bar->size));
                json_put(item, "io", json_object_new_boolean(bar->is_io));
                json_put(item, "64bit", json_object_new_boolean(bar->is_64bit));
                json_put(item, "prefetchable", json_object_new_boolean(bar->is_prefetchable));
                json_append(array, item);
        }
        return array;
}

static struct json_object *function_json(const struct vfioctl_function *function, bool brief)
{
        struct json_object *object = json_object_new_object();

        json_put(object, "address", json_string(vfioctl_function_address(function)));
        json_put(object, "vendor", json_hex(vfioctl_function_vendor(function), 4));
        json_put(object, "device", json_hex(vfioctl_function_device(function), 4));
        json_put(object, "class", json_hex(vfioctl_function_class(function), 6));
        json_put(object, "driver", json_string(vfioctl_function_driver(function)));
        json_put(object, "pcie_type",
                 json_string(vfioctl_pcie_type_name(vfioctl_function_pcie_type(function))));
        json_put(object, "name", json_string(vfioctl_function_name(function)));
        if (brief)
                return object;
        json_put(object, "subsystem_vendor", json_hex(vfioctl_function_subsystem_vendor(function), 4));
        json_put(object, "subsystem_device", json_hex(vfioctl_function_subsystem_device(function), 4));
        json_put(object, "revision", json_hex(vfioctl_function_revision(function), 2));
        json_put(object, "driver_override", json_string(vfioctl_function_driver_override(function)));
        json_put(object, "reset_method", json_string(vfioctl_function_reset_method(function)));
        json_put(object, "power_state", json_string(vfioctl_function_power_state(function)));
        json_put(object, "power_control", json_string(vfioctl_function_power_control(function)));
        int d3cold = vfioctl_function_d3cold_allowed(function);
        json_put(object, "d3cold_allowed", d3cold < 0 ? NULL : json_object_new_boolean(d3cold));
        json_put(object, "numvfs", json_object_new_int((int)vfioctl_function_vfs_enabled(function)));
        json_put(object, "totalvfs", json_object_new_int((int)vfioctl_function_vfs_total(function)));
        json_put(object, "bars", bars_json(function));
        return object;
}

static int show_json(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                     const struct vfioctl_gpu *gpu, const struct vfioctl_findings *findings)
{
        const struct vfioctl_group *group = vfioctl_gpu_group(gpu);
        struct json_object *object = json_object_new_object(), *array = json_object_new_array();

        json_put(object, "name", json_string(vfioctl_gpu_name(gpu)));
        json_put(object, "address", json_string(vfioctl_gpu_address(gpu)));
        json_put(object, "card", json_string(vfioctl_gpu_card(gpu)));
        json_put(object, "slot", json_string(vfioctl_gpu_slot(gpu)));
        json_put(object, "identity", json_string(vfioctl_gpu_identity(gpu)));
        json_put(object, "mode", json_string(vfioctl_mode_name(vfioctl_gpu_mode(gpu))));
        json_add_policy(object, gpu);
        json_put(object, "vram", json_object_new_uint64(vfioctl_gpu_vram(gpu)));
        json_put(object, "numa_node", json_number_or_null(vfioctl_gpu_numa_node(gpu)));
        json_put(object, "ready", json_object_new_boolean(vfioctl_gpu_is_ready(snapshot, gpu)));
        json_put(object, "tried", json_proof(gpu));
        json_put(object, "boot_display", json_object_new_boolean(vfioctl_gpu_is_boot_display(gpu)));
        json_put(object, "stuck", json_object_new_boolean(vfioctl_gpu_is_stuck(gpu)));
        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++)
                if (vfioctl_vms_has_gpu(vms, i, gpu))
                        json_append(array, json_string(vfioctl_vms_name(vms, i)));
        json_put(object, "vms", array);
        array = json_object_new_array();
        for (size_t i = 0; i < vfioctl_gpu_function_count(gpu); i++)
                json_append(array, function_json(vfioctl_gpu_function(gpu, i), false));
        json_put(object, "functions", array);
        json_put(object, "iommu_group", group ? json_object_new_int(vfioctl_group_number(group)) : NULL);
        array = json_object_new_array();
        for (size_t i = 0; group && i < vfioctl_group_member_count(group); i++)
                json_append(array, function_json(vfioctl_group_member(group, i), true));
        json_put(object, "group_members", array);
        array = json_object_new_array();
        for (size_t i = 0; i < vfioctl_gpu_path_count(gpu); i++)
                json_append(array, function_json(vfioctl_gpu_path(gpu, i), true));
        json_put(object, "path", array);
        array = json_object_new_array();
        for (size_t i = 0; i < vfioctl_gpu_holder_count(gpu); i++) {
                const struct vfioctl_holder *holder = vfioctl_gpu_holder(gpu, i);
                struct json_object *item = json_object_new_object();
                json_put(item, "pid", json_object_new_int(vfioctl_holder_pid(holder)));
                json_put(item, "command", json_string(vfioctl_holder_command(holder)));
                json_put(item, "unit", json_string(vfioctl_holder_unit(holder)));
                json_put(item, "node", json_string(vfioctl_holder_node(holder)));
                json_append(array, item);
        }
        json_put(object, "holders", array);
        json_put(object, "reset", reset_json(gpu));
        json_put(object, "known", known_json(gpu));
        json_put(object, "holders_known", json_object_new_boolean(vfioctl_gpu_holders_known(gpu)));
        array = json_object_new_array();
        json_add_findings(array, findings);
        json_put(object, "findings", array);
        return json_print(object);
}

int verb_show(struct cli *cli)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        const struct vfioctl_gpu *gpu = NULL;

        int code = take_snapshot(cli, REPORT_SNAPSHOT, false, &snapshot);
        if (code == 0)
                code = find_gpu(snapshot, cli->arguments[0], &gpu);
        if (code == 0)
                code = virt_report(cli, &vms);
        if (code != 0)
                return code;
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = vfioctl_check(snapshot, vms, gpu, findings);
        if (r < 0)
                return complain_errno(r, "cannot show it");
        bool vms_known = vms || !vfioctl_ctx_is_live(cli->ctx);
        return cli->options.json ? show_json(snapshot, vms, gpu, findings)
                                 : print_text(snapshot, vms, vms_known, gpu, findings);
}
