/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan.h"

DEFINE_CLEANUP(struct vfioctl_plan, vfioctl_plan_free)

VFIOCTL_EXPORT struct vfioctl_plan *vfioctl_plan_free(struct vfioctl_plan *plan)
{
        if (!plan)
                return NULL;
        vfioctl_findings_free(plan->findings);
        for (size_t i = 0; i < plan->n_steps; i++)
                step_free(plan->steps[i]);
        for (size_t i = 0; i < plan->n_seen; i++) {
                free(plan->seen[i].driver);
                free(plan->seen[i].control);
                free(plan->seen[i].claim);
        }
        for (size_t i = 0; i < plan->n_holds; i++)
                hold_clear(&plan->holds[i].hold);
        free(plan->steps);
        free(plan->gpus);
        free(plan->seen);
        free(plan->holds);
        free(plan);
        return NULL;
}

/* ---- the GPUs ---- */

static int compare_gpus(const void *a, const void *b)
{
        const struct planned_gpu *x = a, *y = b;

        return strcmp(x->address, y->address);
}

static int note_gpu(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu, enum vfioctl_mode mode)
{
        int r = plan_add_lock(plan, gpu->functions[0]->text, mode, false);
        if (r < 0)
                return r;
        for (size_t i = 0; i < gpu->n_functions; i++) {
                struct seen *seen;
                r = util_grow(&plan->seen, &plan->allocated_seen, plan->n_seen + 1, sizeof(*plan->seen));
                if (r < 0)
                        return r;
                seen = &plan->seen[plan->n_seen++];
                memset(seen, 0, sizeof(*seen));
                memcpy(seen->function, gpu->functions[i]->text, sizeof(seen->function));
                r = util_copy(gpu->functions[i]->driver, &seen->driver);
                if (r >= 0)
                        r = util_copy(gpu->functions[i]->power_control, &seen->control);
                seen->is_gpu = i == 0;
                if (r >= 0 && seen->is_gpu)
                        r = util_copy(gpu->claim.text, &seen->claim);
                if (r < 0)
                        return r;
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
        bool chooses = false;

        if (mode == VFIOCTL_MODE_NONE)
                return false;
        if (mode == VFIOCTL_MODE_HOST)
                return !gpu_is_in_mode(gpu, mode) || power_holds(gpu);
        for (size_t i = 0; i < gpu->n_functions; i++)
                if (!is_in_place(gpu->functions[i]))
                        return true;
        /* Short of memory it is planned, and fails there. */
        return power_needs_hold(gpu) || reset_needs_choice(gpu, &chooses) < 0 || chooses;
}

/* Companions first: an audio function's driver looks to the GPU's. */
static int plan_to_vm(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                      const struct vfioctl_gpu *gpu)
{
        int r = plan_hold(plan, snapshot, gpu);

        for (size_t i = gpu->n_functions; r >= 0 && i-- > 0;) {
                const struct vfioctl_function *function = gpu->functions[i];
                bool keeps_override = util_equal(function->driver_override, VFIO_DRIVER);
                if (is_in_place(function))
                        continue;
                if (!keeps_override)
                        r = plan_add_override(plan, gpu, function, VFIO_DRIVER);
                if (r >= 0 && function->driver && !function_on_vfio(function))
                        r = plan_add_unbind(plan, gpu, function, keeps_override);
                if (r >= 0 && !function_on_vfio(function))
                        r = plan_add_probe(plan, gpu, function, WAIT_GROUP_NODE, VFIO_DRIVER);
        }
        return r < 0 ? r : plan_wake(plan, snapshot, gpu);
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
                        r = plan_add_override(plan, gpu, gpu->functions[i], VFIO_DRIVER);
        }
        return r;
}

static int plan_to_host(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                        const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                int r = 0;
                bool clears = util_equal(function->driver_override, VFIO_DRIVER);
                if (clears)
                        r = plan_add_override(plan, gpu, function, NULL);
                if (r >= 0 && function_on_vfio(function))
                        r = plan_add_unbind(plan, gpu, function, !clears);
                if (r < 0)
                        return r;
                if (function->driver && !function_on_vfio(function))
                        continue;
                if (!function->host_driver && function->modalias)
                        r = plan_add_load(plan, gpu, function, function->modalias, true);
                if (r >= 0)
                        r = plan_add_probe(plan, gpu, function,
                                           function->host_driver ? WAIT_DRIVER : WAIT_ANY_DRIVER,
                                           function->host_driver);
                if (r < 0)
                        return r;
        }
        return plan_release(plan, snapshot, gpu);
}

static int plan_item(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                     const struct intent_item *item, bool changes)
{
        if (item->resets)
                return plan_reset(plan, item->gpu);
        int r = 0;
        if (changes)
                r = item->mode == VFIOCTL_MODE_VM ? plan_to_vm(plan, snapshot, item->gpu)
                                                  : plan_to_host(plan, snapshot, item->gpu);
        /* Last, so that a start that is refused or cut off leaves no claim. */
        return r >= 0 && item->uuid ? plan_add_claim(plan, item) : r;
}

static bool changes_to(const struct intent_item *item, enum vfioctl_mode mode)
{
        return item->gpu && item->mode == mode && vfioctl_gpu_needs_change(item->gpu, mode);
}

/* What is written to bridges comes first or last, for it is done under locks that others wait for. */
static int plan_steps(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                      const struct vfioctl_intent *intent, unsigned int flags)
{
        bool loaded = snapshot->has_vfio_driver, aims = flags & VFIOCTL_PLAN_AIM;
        int r = 0;

        for (size_t i = 0; r >= 0 && !aims && i < intent->count; i++) {
                if (!changes_to(&intent->items[i], VFIOCTL_MODE_VM))
                        continue;
                if (!loaded)
                        r = plan_add_load(plan, NULL, NULL, VFIO_DRIVER, false);
                loaded = true;
                if (r >= 0)
                        r = plan_hold_bridges(plan, snapshot, intent->items[i].gpu);
        }
        for (size_t i = 0; r >= 0 && i < intent->count; i++) {
                const struct intent_item *item = &intent->items[i];
                if (aims && item->gpu && item->mode == VFIOCTL_MODE_VM) {
                        r = plan_aim(plan, item->gpu);
                        continue;
                }
                bool changes = item->gpu && vfioctl_gpu_needs_change(item->gpu, item->mode);
                if (!changes && !item->uuid && !item->resets)
                        continue;
                r = note_gpu(plan, item->gpu, changes ? item->mode : VFIOCTL_MODE_NONE);
                if (r >= 0)
                        r = plan_item(plan, snapshot, item, changes);
        }
        for (size_t i = 0; r >= 0 && i < intent->count; i++)
                if (changes_to(&intent->items[i], VFIOCTL_MODE_HOST))
                        r = plan_release_bridges(plan, snapshot, intent->items[i].gpu);
        /* Definitions last: what libvirt is told is true by then. */
        for (size_t i = 0; r >= 0 && i < intent->count; i++)
                if (intent->items[i].vm)
                        r = plan_add_define(plan, &intent->items[i]);
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
