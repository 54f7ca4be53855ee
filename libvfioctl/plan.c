/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"
#include "paths.h"

static struct vfioctl_step *step_free(struct vfioctl_step *step)
{
        if (!step)
                return NULL;
        free(step->text);
        free(step->module);
        free(step->write.attribute);
        free(step->write.value);
        free(step->write.wait.value);
        free(step->claim);
        free(step->expected);
        free(step->expected_driver);
        free(step->vm);
        for (size_t i = 0; i < ELEMENTSOF(step->undo); i++) {
                free(step->undo[i].attribute);
                free(step->undo[i].value);
                free(step->undo[i].wait.value);
        }
        free(step);
        return NULL;
}

DEFINE_CLEANUP(struct vfioctl_step, step_free)
DEFINE_CLEANUP(struct vfioctl_plan, vfioctl_plan_free)

VFIOCTL_EXPORT struct vfioctl_plan *vfioctl_plan_free(struct vfioctl_plan *plan)
{
        if (!plan)
                return NULL;
        vfioctl_findings_free(plan->findings);
        for (size_t i = 0; i < plan->n_steps; i++)
                step_free(plan->steps[i]);
        for (size_t i = 0; i < plan->n_seen; i++)
                free(plan->seen[i].driver);
        free(plan->steps);
        free(plan->gpus);
        free(plan->seen);
        free(plan);
        return NULL;
}

static int step_new(enum step_kind kind, const struct vfioctl_gpu *gpu,
                    const struct vfioctl_function *function, struct vfioctl_step **ret)
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
        }
        *ret = step;
        return 0;
}

static int plan_add(struct vfioctl_plan *plan, struct vfioctl_step **step)
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
        write->wait.kind = wait;
        return r;
}

static int add_undo(struct vfioctl_step *step, const char *attribute, const char *value, enum wait_kind wait,
                    const char *wait_value)
{
        return set_write(&step->undo[step->n_undo++], attribute, value, wait, wait_value);
}

/* The way back for one that had no override step of its own: what stood there is put back. */
static int add_undo_override(struct vfioctl_step *step, const struct vfioctl_function *function,
                             const char *path)
{
        const char *old = function->driver_override;

        return add_undo(step, path, old ? old : "", WAIT_OVERRIDE, old);
}

static int override_path(const struct vfioctl_function *function, char **ret)
{
        return util_format(ret, PATH_PCI_DEVICES "/%s/driver_override", function->text);
}

/* ---- the steps ---- */

static int add_load(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
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

static int add_override(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                        const struct vfioctl_function *function, const char *driver)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        _cleanup_free_ char *path = NULL;
        const char *old = function->driver_override;

        int r = step_new(STEP_WRITE, gpu, function, &step);
        if (r >= 0)
                r = override_path(function, &path);
        if (r >= 0)
                r = set_write(&step->write, path, driver ? driver : "", WAIT_OVERRIDE, driver);
        if (r >= 0)
                r = add_undo(step, path, old ? old : "", WAIT_OVERRIDE, old);
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
static int add_unbind(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                      const struct vfioctl_function *function, bool override_stays)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        _cleanup_free_ char *path = NULL, *override = NULL;

        int r = step_new(STEP_WRITE, gpu, function, &step);
        if (r >= 0)
                r = util_format(&path, PATH_PCI_DRIVERS "/%s/unbind", function->driver);
        if (r >= 0)
                r = override_path(function, &override);
        if (r >= 0)
                r = set_write(&step->write, path, function->text, WAIT_NO_DRIVER, NULL);
        if (r >= 0)
                r = add_undo(step, override, function->driver, WAIT_OVERRIDE, function->driver);
        if (r >= 0)
                r = add_undo(step, PATH_PCI_PROBE, function->text, WAIT_DRIVER, function->driver);
        if (r >= 0 && override_stays && function->driver_override_known)
                r = add_undo_override(step, function, override);
        if (r >= 0)
                r = util_copy(function->driver, &step->expected_driver);
        if (r >= 0)
                r = util_format(&step->text, "write %s to %s", function->text, path);
        if (r < 0)
                return r;
        step->expects_driver = true;
        return plan_add(plan, &step);
}

static int add_probe(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                     const struct vfioctl_function *function, enum wait_kind wait, const char *driver)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        _cleanup_free_ char *unbind = NULL;

        int r = step_new(STEP_WRITE, gpu, function, &step);
        if (r >= 0)
                r = set_write(&step->write, PATH_PCI_PROBE, function->text, wait, driver);
        if (r >= 0)
                r = util_format(&unbind, PATH_PCI_DEVICES "/%s/driver/unbind", function->text);
        if (r >= 0)
                r = add_undo(step, unbind, function->text, WAIT_NO_DRIVER, NULL);
        if (r >= 0)
                r = util_format(&step->text, "write %s to " PATH_PCI_PROBE, function->text);
        return r < 0 ? r : plan_add(plan, &step);
}

static int add_claim(struct vfioctl_plan *plan, const struct intent_item *item)
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
                r = set_write(&step->write, path, item->claim ? item->claim : "", WAIT_NONE, NULL);
        if (r >= 0)
                r = util_copy(item->claim, &step->claim);
        if (r >= 0)
                r = util_copy(gpu->claim.text, &step->expected);
        if (r >= 0)
                r = util_format(&step->text,
                                item->claim ? "claim %s for VM %s" : "drop the claim on %s of VM %s",
                                gpu->functions[0]->text, item->uuid);
        return r < 0 ? r : plan_add(plan, &step);
}

static int add_define(struct vfioctl_plan *plan, const struct intent_item *item)
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

/* ---- the GPUs ---- */

static int compare_gpus(const void *a, const void *b)
{
        const struct planned_gpu *x = a, *y = b;

        return strcmp(x->address, y->address);
}

static int note_gpu(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu, enum vfioctl_mode mode)
{
        int r = util_grow(&plan->gpus, &plan->allocated_gpus, plan->n_gpus + 1, sizeof(*plan->gpus));
        if (r < 0)
                return r;
        memcpy(plan->gpus[plan->n_gpus].address, gpu->functions[0]->text, sizeof(gpu->functions[0]->text));
        plan->gpus[plan->n_gpus++].mode = mode;
        for (size_t i = 0; i < gpu->n_functions; i++) {
                struct seen *seen;
                r = util_grow(&plan->seen, &plan->allocated_seen, plan->n_seen + 1, sizeof(*plan->seen));
                if (r < 0)
                        return r;
                seen = &plan->seen[plan->n_seen];
                memcpy(seen->function, gpu->functions[i]->text, sizeof(seen->function));
                r = util_copy(gpu->functions[i]->driver, &seen->driver);
                if (r < 0)
                        return r;
                plan->n_seen++;
        }
        return 0;
}

/* On vfio-pci, and to stay there when somebody probes it or it comes anew. */
static bool is_in_place(const struct vfioctl_function *function)
{
        return function_on_vfio(function) &&
               (!function->driver_override_known || util_equal(function->driver_override, VFIO_DRIVER));
}

VFIOCTL_EXPORT bool vfioctl_gpu_needs_change(const struct vfioctl_gpu *gpu, enum vfioctl_mode mode)
{
        if (mode == VFIOCTL_MODE_NONE)
                return false;
        if (mode == VFIOCTL_MODE_HOST)
                return !gpu_is_in_mode(gpu, mode);
        for (size_t i = 0; i < gpu->n_functions; i++)
                if (!is_in_place(gpu->functions[i]))
                        return true;
        return false;
}

/* Companions first: an audio function's driver looks to the GPU's. */
static int plan_to_vm(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu)
{
        for (size_t i = gpu->n_functions; i-- > 0;) {
                const struct vfioctl_function *function = gpu->functions[i];
                int r = 0;
                bool keeps_override = util_equal(function->driver_override, VFIO_DRIVER);
                if (is_in_place(function))
                        continue;
                if (!keeps_override)
                        r = add_override(plan, gpu, function, VFIO_DRIVER);
                if (r >= 0 && function->driver && !function_on_vfio(function))
                        r = add_unbind(plan, gpu, function, keeps_override);
                if (r >= 0 && !function_on_vfio(function))
                        r = add_probe(plan, gpu, function, WAIT_GROUP_NODE, VFIO_DRIVER);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_aimed(const struct vfioctl_function *function)
{
        return function->driver || !function->driver_override_known ||
               util_equal(function->driver_override, VFIO_DRIVER);
}

/* So early that no driver has come yet: what has none is kept for vfio-pci. */
static int plan_aim(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu)
{
        bool noted = false;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu->n_functions; i++) {
                if (is_aimed(gpu->functions[i]))
                        continue;
                if (!noted)
                        r = note_gpu(plan, gpu, VFIOCTL_MODE_NONE);
                noted = true;
                if (r >= 0)
                        r = add_override(plan, gpu, gpu->functions[i], VFIO_DRIVER);
        }
        return r;
}

static int plan_to_host(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                int r = 0;
                bool clears = util_equal(function->driver_override, VFIO_DRIVER);
                if (clears)
                        r = add_override(plan, gpu, function, NULL);
                if (r >= 0 && function_on_vfio(function))
                        r = add_unbind(plan, gpu, function, !clears);
                if (r < 0)
                        return r;
                if (function->driver && !function_on_vfio(function))
                        continue;
                if (!function->host_driver && function->modalias)
                        r = add_load(plan, gpu, function, function->modalias, true);
                if (r >= 0)
                        r = add_probe(plan, gpu, function,
                                      function->host_driver ? WAIT_DRIVER : WAIT_ANY_DRIVER,
                                      function->host_driver);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int plan_steps(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                      const struct vfioctl_intent *intent, unsigned int flags)
{
        bool loaded = snapshot->has_vfio_driver;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < intent->count; i++) {
                const struct intent_item *item = &intent->items[i];
                if (flags & VFIOCTL_PLAN_AIM && item->gpu && item->mode == VFIOCTL_MODE_VM) {
                        r = plan_aim(plan, item->gpu);
                        continue;
                }
                bool changes = item->gpu && vfioctl_gpu_needs_change(item->gpu, item->mode);
                if (!changes && !item->uuid)
                        continue;
                if (changes && item->mode == VFIOCTL_MODE_VM && !loaded) {
                        r = add_load(plan, NULL, NULL, VFIO_DRIVER, false);
                        loaded = true;
                }
                if (r >= 0)
                        r = note_gpu(plan, item->gpu, changes ? item->mode : VFIOCTL_MODE_NONE);
                if (r >= 0 && changes)
                        r = item->mode == VFIOCTL_MODE_VM ? plan_to_vm(plan, item->gpu)
                                                          : plan_to_host(plan, item->gpu);
                /* Last, so that a start that is refused or cut off leaves no claim. */
                if (r >= 0 && item->uuid)
                        r = add_claim(plan, item);
        }
        /* Definitions last: what libvirt is told is true by then. */
        for (size_t i = 0; r >= 0 && i < intent->count; i++)
                if (intent->items[i].vm)
                        r = add_define(plan, &intent->items[i]);
        if (r >= 0 && plan->n_gpus > 0)
                qsort(plan->gpus, plan->n_gpus, sizeof(*plan->gpus), compare_gpus);
        return r;
}

VFIOCTL_EXPORT int vfioctl_plan_new(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                                    const struct vfioctl_intent *intent, unsigned int flags,
                                    struct vfioctl_plan **ret)
{
        _cleanup_(vfioctl_plan_freep) struct vfioctl_plan *plan = calloc(1, sizeof(*plan));
        if (!plan)
                return -ENOMEM;
        int r = vfioctl_findings_new(&plan->findings);
        if (r >= 0)
                r = check_intent(snapshot, vms, intent, flags, plan->findings);
        if (r >= 0 && !vfioctl_findings_have_refusal(plan->findings))
                r = plan_steps(plan, snapshot, intent, flags);
        if (r < 0)
                return r;
        *ret = util_steal(plan);
        return 0;
}

VFIOCTL_EXPORT const struct vfioctl_findings *vfioctl_plan_findings(const struct vfioctl_plan *plan)
{
        return plan->findings;
}

VFIOCTL_EXPORT size_t vfioctl_plan_step_count(const struct vfioctl_plan *plan)
{
        return plan->n_steps;
}

VFIOCTL_EXPORT const struct vfioctl_step *vfioctl_plan_step(const struct vfioctl_plan *plan, size_t index)
{
        return index < plan->n_steps ? plan->steps[index] : NULL;
}

VFIOCTL_EXPORT const char *vfioctl_step_text(const struct vfioctl_step *step)
{
        return step->text;
}

VFIOCTL_EXPORT const char *vfioctl_step_gpu(const struct vfioctl_step *step)
{
        return step->gpu;
}

VFIOCTL_EXPORT const char *vfioctl_step_attribute(const struct vfioctl_step *step)
{
        return step->write.attribute;
}

VFIOCTL_EXPORT const char *vfioctl_step_value(const struct vfioctl_step *step)
{
        return step->write.value;
}

VFIOCTL_EXPORT const char *vfioctl_step_vm(const struct vfioctl_step *step)
{
        return step->vm;
}

VFIOCTL_EXPORT const char *vfioctl_step_irreversible(const struct vfioctl_step *step)
{
        return step->irreversible;
}
