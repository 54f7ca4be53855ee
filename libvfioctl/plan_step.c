/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "paths.h"
#include "plan.h"

/* What a plan is made of: steps, each with the way back. */

struct vfioctl_step *step_free(struct vfioctl_step *step)
{
        if (!step)
                return NULL;
        free(step->text);
        free(step->module);
        free(step->write.attribute);
        free(step->write.value);
        free(step->write.wait.value);
        free(step->write.wait.attribute);
        free(step->record);
        free(step->expected);
        free(step->expected_driver);
        free(step->vm);
        for (size_t i = 0; i < ELEMENTSOF(step->undo); i++) {
                free(step->undo[i].attribute);
                free(step->undo[i].value);
                free(step->undo[i].wait.value);
                free(step->undo[i].wait.attribute);
        }
        free(step);
        return NULL;
}

int step_new(enum step_kind kind, const struct vfioctl_gpu *gpu, const struct vfioctl_function *function,
             struct vfioctl_step **ret)
{
        struct vfioctl_step *step = calloc(1, sizeof(*step));
        if (!step)
                return -ENOMEM;
        step->kind = kind;
        step->group = -1;
        if (gpu) {
                memcpy(step->gpu_text, gpu->functions[0]->text, sizeof(step->gpu_text));
                step->gpu = step->gpu_text;
        }
        if (function) {
                memcpy(step->function, function->text, sizeof(step->function));
                step->group = function->group;
                step->is_shared = !function->gpu;
        }
        *ret = step;
        return 0;
}

int plan_add(struct vfioctl_plan *plan, struct vfioctl_step **step)
{
        int r = util_grow(&plan->steps, &plan->allocated, plan->n_steps + 1, sizeof(*plan->steps));
        if (r < 0)
                return r;
        plan->steps[plan->n_steps++] = util_steal(*step);
        return 0;
}

static int set_write(struct write *write, const char *attribute, const char *value, enum wait_kind wait,
                     const char *wait_value)
{
        int r = util_copy(attribute, &write->attribute);
        if (r >= 0)
                r = util_copy(value, &write->value);
        if (r >= 0)
                r = util_copy(wait_value, &write->wait.value);
        if (r >= 0 && wait == WAIT_VALUE)
                r = util_copy(attribute, &write->wait.attribute);
        write->wait.kind = wait;
        return r;
}

int step_set_write(struct vfioctl_step *step, const char *attribute, const char *value, enum wait_kind wait,
                   const char *wait_value)
{
        return set_write(&step->write, attribute, value, wait, wait_value);
}

int step_add_undo(struct vfioctl_step *step, const char *attribute, const char *value, enum wait_kind wait,
                  const char *wait_value)
{
        return set_write(&step->undo[step->n_undo++], attribute, value, wait, wait_value);
}

/* The way back for one that had no override step of its own: what stood there is put back. */
static int add_undo_override(struct vfioctl_step *step, const struct vfioctl_function *function,
                             const char *path)
{
        const char *old = function->driver_override;

        return step_add_undo(step, path, old ? old : "", WAIT_OVERRIDE, old);
}

static int override_path(const struct vfioctl_function *function, char **ret)
{
        return util_format(ret, PATH_PCI_DEVICES "/%s/driver_override", function->text);
}

/* ---- the steps ---- */

int plan_add_load(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                  const struct vfioctl_function *function, const char *module, bool optional)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;

        int r = step_new(STEP_LOAD, gpu, function, &step);
        if (r >= 0)
                r = util_copy(module, &step->module);
        if (r >= 0)
                r = optional ? util_format(&step->text, "load the host driver of %s (%s), if there is one",
                                           function->text, module)
                             : util_format(&step->text, "load the kernel module %s", module);
        if (r < 0)
                return r;
        step->module_optional = optional;
        step->irreversible = "a loaded module stays, which is harmless";
        return plan_add(plan, &step);
}

int plan_add_override(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                      const struct vfioctl_function *function, const char *driver)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        _cleanup_free_ char *path = NULL;
        const char *old = function->driver_override;

        int r = step_new(STEP_WRITE, gpu, function, &step);
        if (r >= 0)
                r = override_path(function, &path);
        if (r >= 0)
                r = step_set_write(step, path, driver ? driver : "", WAIT_OVERRIDE, driver);
        if (r >= 0)
                r = step_add_undo(step, path, old ? old : "", WAIT_OVERRIDE, old);
        if (r >= 0)
                r = util_copy(old, &step->expected);
        if (r >= 0)
                r = driver ? util_format(&step->text, "write %s to %s", driver, path)
                           : util_format(&step->text, "clear %s", path);
        if (r < 0)
                return r;
        step->has_expected = true;
        return plan_add(plan, &step);
}

/* Undone by aiming the override at the driver that had it, and probing: bind would not do, for the override
 * is set. */
int plan_add_unbind(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                    const struct vfioctl_function *function, bool override_stays)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        _cleanup_free_ char *path = NULL, *override = NULL, *control = NULL;

        int r = step_new(STEP_WRITE, gpu, function, &step);
        if (r >= 0)
                r = util_format(&path, PATH_PCI_DRIVERS "/%s/unbind", function->driver);
        if (r >= 0)
                r = override_path(function, &override);
        if (r >= 0)
                r = step_set_write(step, path, function->text, WAIT_NO_DRIVER, NULL);
        if (r >= 0)
                r = step_add_undo(step, override, function->driver, WAIT_OVERRIDE, function->driver);
        if (r >= 0)
                r = step_add_undo(step, PATH_PCI_PROBE, function->text, WAIT_DRIVER, function->driver);
        if (r >= 0 && override_stays && function->driver_override_known)
                r = add_undo_override(step, function, override);
        /* Each driver sets this anew as it binds. */
        if (r >= 0 && function->power_control)
                r = util_format(&control, PATH_PCI_DEVICES "/%s/power/control", function->text);
        if (r >= 0 && function->power_control)
                r = step_add_undo(step, control, function->power_control, WAIT_VALUE,
                                  function->power_control);
        if (r >= 0)
                r = util_copy(function->driver, &step->expected_driver);
        if (r >= 0)
                r = util_format(&step->text, "write %s to %s", function->text, path);
        if (r < 0)
                return r;
        step->expects_driver = true;
        return plan_add(plan, &step);
}

int plan_add_probe(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                   const struct vfioctl_function *function, enum wait_kind wait, const char *driver)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        _cleanup_free_ char *unbind = NULL;

        int r = step_new(STEP_WRITE, gpu, function, &step);
        if (r >= 0)
                r = step_set_write(step, PATH_PCI_PROBE, function->text, wait, driver);
        if (r >= 0)
                r = util_format(&unbind, PATH_PCI_DEVICES "/%s/driver/unbind", function->text);
        if (r >= 0)
                r = step_add_undo(step, unbind, function->text, WAIT_NO_DRIVER, NULL);
        if (r >= 0)
                r = util_format(&step->text, "write %s to " PATH_PCI_PROBE, function->text);
        return r < 0 ? r : plan_add(plan, &step);
}

int plan_add_claim(struct vfioctl_plan *plan, const struct intent_item *item)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        _cleanup_free_ char *path = NULL;
        const struct vfioctl_gpu *gpu = item->gpu;

        if (util_equal(item->claim, gpu->claim.text))
                return 0;
        int r = step_new(STEP_CLAIM, gpu, gpu->functions[0], &step);
        if (r >= 0)
                r = util_format(&path, PATH_RUN_CLAIMS "/%s", gpu->functions[0]->text);
        if (r >= 0)
                r = step_set_write(step, path, item->claim ? item->claim : "", WAIT_NONE, NULL);
        if (r >= 0)
                r = util_copy(item->claim, &step->record);
        if (r >= 0)
                r = util_copy(gpu->claim.text, &step->expected);
        if (r >= 0)
                r = util_format(&step->text,
                                item->claim ? "claim %s for VM %s" : "drop the claim on %s of VM %s",
                                gpu->functions[0]->text, item->uuid);
        return r < 0 ? r : plan_add(plan, &step);
}

int plan_add_define(struct vfioctl_plan *plan, const struct intent_item *item)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;

        /* Several GPUs for one VM are one new definition. */
        for (size_t i = 0; i < plan->n_steps; i++)
                if (util_equal(plan->steps[i]->vm, item->vm))
                        return 0;
        int r = step_new(STEP_DEFINE, NULL, NULL, &step);
        if (r >= 0)
                r = util_copy(item->vm, &step->vm);
        if (r >= 0)
                r = util_format(&step->text, "define %s", item->vm);
        return r < 0 ? r : plan_add(plan, &step);
}

int plan_add_setting(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                     const struct vfioctl_function *function, const char *name, const char *value,
                     const char *old)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        _cleanup_free_ char *path = NULL;

        int r = step_new(STEP_WRITE, gpu, function, &step);
        if (r >= 0)
                r = util_format(&path, PATH_PCI_DEVICES "/%s/%s", function->text, name);
        if (r >= 0)
                r = step_set_write(step, path, value, WAIT_VALUE, value);
        if (r >= 0 && old)
                r = step_add_undo(step, path, old, WAIT_VALUE, old);
        if (r >= 0)
                r = *value ? util_format(&step->text, "write %s to %s", value, path)
                           : util_format(&step->text, "clear %s", path);
        return r < 0 ? r : plan_add(plan, &step);
}

int plan_add_lock(struct vfioctl_plan *plan, const char *address, enum vfioctl_mode mode, bool is_bridge)
{
        for (size_t i = 0; i < plan->n_gpus; i++)
                if (util_equal(plan->gpus[i].address, address))
                        return 0;
        int r = util_grow(&plan->gpus, &plan->allocated_gpus, plan->n_gpus + 1, sizeof(*plan->gpus));
        if (r < 0)
                return r;
        (void)snprintf(plan->gpus[plan->n_gpus].address, sizeof(plan->gpus[plan->n_gpus].address), "%s",
                       address);
        plan->gpus[plan->n_gpus].is_bridge = is_bridge;
        plan->gpus[plan->n_gpus++].mode = mode;
        return 0;
}
