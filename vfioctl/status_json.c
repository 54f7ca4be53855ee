/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status.h"

#include "json.h"

static struct json_object *gpus_json(const struct status *status)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(status->snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(status->snapshot, i);
                struct json_object *item = json_object_new_object();
                struct use use = {.kind = USE_UNKNOWN};
                (void)status_use(status, gpu, &use);
                json_put(item, "name", json_string(vfioctl_gpu_name(gpu)));
                json_put(item, "address", json_string(vfioctl_gpu_address(gpu)));
                json_put(item, "card", json_string(vfioctl_gpu_card(gpu)));
                json_put(item, "mode", json_string(vfioctl_mode_name(vfioctl_gpu_mode(gpu))));
                json_add_policy(item, gpu);
                json_put(item, "use", json_string(status_use_name(use.kind)));
                json_put(item, "vm", json_string(use.vm));
                json_put(item, "used_by", json_string(use.text));
                json_append(array, item);
                free(use.text);
        }
        return array;
}

static struct json_object *count_json(const struct status *status)
{
        struct json_object *object = json_object_new_object();
        struct status_count count = {.all = 0};

        (void)status_count(status, &count);
        const struct {
                const char *name;
                size_t value;
        } values[] = {
                {"all", count.all},   {"vm", count.vm},     {"running", count.running},
                {"host", count.host}, {"used", count.used}, {"none", count.none},
        };
        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                json_put(object, values[i].name, json_object_new_int64((int64_t)values[i].value));
        return object;
}

static struct json_object *refused_json(const struct status *status)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < status->n_refused; i++) {
                struct json_object *item = json_object_new_object();
                json_put(item, "vm", json_string(status->refused[i].vm));
                json_put(item, "uuid", json_string(status->refused[i].uuid));
                json_put(item, "reason", json_string(status->refused[i].reason));
                json_put(item, "when", json_object_new_int64(status->refused[i].when));
                json_append(array, item);
        }
        return array;
}

static struct json_object *boot_json(const struct status *status)
{
        static const char *const names[] = {
                [BOOT_NOT_RUN] = "not-run", [BOOT_SAME] = "ran", [BOOT_OTHER] = "ran-otherwise"};
        struct json_object *object = json_object_new_object();

        json_put(object, "early", json_string(names[status->parts.early]));
        json_put(object, "late", json_string(names[status->parts.late]));
        json_put(object, "enabled", json_object_new_boolean(status->parts.boot_is_enabled));
        return object;
}

static struct json_object *reconcile_json(const struct status *status)
{
        struct json_object *object = json_object_new_object(), *problems = json_object_new_array();
        bool has = status->has_reconciled;

        for (const char *line = has ? status->reconcile_problems : ""; *line;) {
                size_t length = strcspn(line, "\n");
                json_append(problems, json_object_new_string_len(line, (int)length));
                line += length + (line[length] == '\n');
        }
        json_put(object, "when", has ? json_object_new_int64(status->reconcile_when) : NULL);
        json_put(object, "exit_code", has ? json_object_new_int(status->reconcile_code) : NULL);
        json_put(object, "problems", problems);
        json_put(object, "timer", json_object_new_boolean(status->has_timer));
        json_put(object, "cron", json_object_new_boolean(status->has_cron));
        return object;
}

/* Refusals first, as on the screen. */
static struct json_object *findings_json(const struct status *status)
{
        struct json_object *all = json_object_new_array(), *array = json_object_new_array();

        json_add_findings(all, status->findings);
        for (int severity = VFIOCTL_REFUSAL; severity <= (int)VFIOCTL_NOTE; severity++)
                for (size_t i = 0; i < vfioctl_findings_count(status->findings); i++)
                        if ((int)vfioctl_findings_get(status->findings, i)->severity == severity)
                                json_append(array, json_object_get(json_object_array_get_idx(all, i)));
        json_object_put(all);
        return array;
}

struct json_object *status_json(const struct status *status)
{
        struct json_object *object = json_object_new_object();

        json_put(object, "gpus", gpus_json(status));
        json_put(object, "count", count_json(status));
        json_put(object, "findings", findings_json(status));
        json_put(object, "refused_starts", refused_json(status));
        json_put(object, "hook",
                 json_string(status->parts.hook_is_live        ? "live"
                             : status->parts.hook_is_installed ? "installed"
                                                               : "missing"));
        json_put(object, "boot", boot_json(status));
        json_put(object, "reconcile", reconcile_json(status));
        json_put(object, "libvirt",
                 json_string(status->vms             ? "asked"
                             : status->libvirt_asked ? "unreachable"
                                                     : "not-asked"));
        json_put(object, "off", json_object_new_boolean(status->parts.is_off));
        json_put(object, "exit_code", json_object_new_int(status_code(status)));
        return object;
}
