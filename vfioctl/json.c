/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"

struct json_object *json_string(const char *text)
{
        return text ? json_object_new_string(text) : NULL;
}

struct json_object *json_hex(unsigned long value, int digits)
{
        char text[24];

        (void)snprintf(text, sizeof(text), "%0*lx", digits, value);
        return json_object_new_string(text);
}

struct json_object *json_number_or_null(int value)
{
        return value < 0 ? NULL : json_object_new_int(value);
}

struct json_object *json_proof(const struct vfioctl_gpu *gpu)
{
        enum vfioctl_proof proof = vfioctl_gpu_proof(gpu);

        return proof == VFIOCTL_UNPROVED ? NULL : json_object_new_boolean(proof == VFIOCTL_PROOF_PASSED);
}

void json_put(struct json_object *object, const char *key, struct json_object *value)
{
        if (json_object_object_add(object, key, value) < 0)
                json_object_put(value);
}

void json_append(struct json_object *array, struct json_object *value)
{
        if (json_object_array_add(array, value) < 0)
                json_object_put(value);
}

int json_print(struct json_object *object)
{
        const char *text = json_object_to_json_string_ext(
                object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);

        int r = text && puts(text) >= 0 ? CODE_DONE : CODE_FAILED;
        json_object_put(object);
        return r;
}

void json_add_findings(struct json_object *array, const struct vfioctl_findings *findings)
{
        for (size_t i = 0; findings && i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                struct json_object *item = json_object_new_object();
                json_put(item, "severity", json_string(vfioctl_severity_name(finding->severity)));
                json_put(item, "code", json_string(finding->code));
                json_put(item, "gpu", json_string(finding->gpu));
                json_put(item, "culprit", json_string(finding->culprit));
                json_put(item, "text", json_string(finding->text));
                json_put(item, "fix", json_string(finding->fix));
                json_append(array, item);
        }
}

void json_add_policy(struct json_object *object, const struct vfioctl_gpu *gpu)
{
        bool is_ours = vfioctl_gpu_is_ours(gpu);

        json_put(object, "alias", json_string(vfioctl_gpu_alias(gpu)));
        json_put(object, "ours", json_object_new_boolean(is_ours));
        json_put(object, "idle", json_string(is_ours ? vfioctl_mode_name(vfioctl_gpu_idle(gpu)) : NULL));
}

void print_reconcile_json(const struct vfioctl_findings *changes, const struct vfioctl_findings *problems,
                          int code)
{
        struct json_object *object = json_object_new_object();
        struct json_object *list = json_object_new_array(), *findings = json_object_new_array();

        for (size_t i = 0; i < vfioctl_findings_count(changes); i++) {
                const struct vfioctl_finding *change = vfioctl_findings_get(changes, i);
                struct json_object *item = json_object_new_object();
                json_put(item, "gpu", json_string(change->gpu));
                json_put(item, "text", json_string(change->text));
                json_append(list, item);
        }
        json_add_findings(findings, problems);
        json_put(object, "changes", list);
        json_put(object, "findings", findings);
        json_put(object, "exit_code", json_object_new_int(code));
        (void)json_print(object);
}

struct json_object *plan_json(const struct vfioctl_plan *plan, const struct vfioctl_findings *more)
{
        struct json_object *object = json_object_new_object();
        struct json_object *steps = json_object_new_array(), *findings = json_object_new_array();

        for (size_t i = 0; plan && i < vfioctl_plan_step_count(plan); i++) {
                const struct vfioctl_step *step = vfioctl_plan_step(plan, i);
                struct json_object *item = json_object_new_object();
                json_put(item, "text", json_string(vfioctl_step_text(step)));
                json_put(item, "gpu", json_string(vfioctl_step_gpu(step)));
                json_put(item, "attribute", json_string(vfioctl_step_attribute(step)));
                json_put(item, "value", json_string(vfioctl_step_value(step)));
                json_put(item, "vm", json_string(vfioctl_step_vm(step)));
                json_put(item, "irreversible", json_string(vfioctl_step_irreversible(step)));
                json_append(steps, item);
        }
        if (plan)
                json_add_findings(findings, vfioctl_plan_findings(plan));
        json_add_findings(findings, more);
        json_put(object, "steps", steps);
        json_put(object, "findings", findings);
        return object;
}

int print_plan_json(const struct vfioctl_plan *plan, const struct vfioctl_findings *more)
{
        return json_print(plan_json(plan, more));
}
