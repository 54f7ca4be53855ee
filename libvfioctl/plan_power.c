/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "paths.h"
#include "plan.h"

/*
 * While a GPU is in mode vm, it and the bridges above stay awake, and its list of reset methods is the one
 * that its card needs. What was there before is noted first and comes back last, when no other GPU of the
 * note is left. A setting that is right already is neither written nor noted.
 */

static int hold_copy(const struct hold *from, struct hold *to)
{
        int r = util_copy(from->text, &to->text);
        if (r >= 0)
                r = util_copy(from->control, &to->control);
        if (r >= 0)
                r = util_copy(from->d3cold, &to->d3cold);
        if (r >= 0)
                r = util_copy(from->reset, &to->reset);
        return r;
}

static bool gpu_is_there(const struct vfioctl_snapshot *snapshot, const char *address)
{
        for (size_t i = 0; i < snapshot->n_gpus; i++)
                if (util_equal(snapshot->gpus[i]->functions[0]->text, address))
                        return true;
        return false;
}

/* The function as the plan leaves it so far; GPUs that were pulled hold nothing any more. */
static int planned_hold(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                        const struct vfioctl_function *function, struct planned_hold **ret)
{
        for (size_t i = 0; i < plan->n_holds; i++)
                if (plan->holds[i].function == function) {
                        *ret = &plan->holds[i];
                        return 0;
                }
        int r = util_grow(&plan->holds, &plan->allocated_holds, plan->n_holds + 1, sizeof(*plan->holds));
        if (r < 0)
                return r;
        struct planned_hold *planned = &plan->holds[plan->n_holds++];
        *planned = (struct planned_hold){.function = function,
                                         .is_awake = util_equal(function->power_control, "on"),
                                         .d3cold = function->d3cold};
        r = hold_copy(&function->hold, &planned->hold);
        for (size_t i = 0; r >= 0 && i < function->hold.n_users; i++)
                if (gpu_is_there(snapshot, function->hold.users[i]))
                        r = hold_add_user(&planned->hold, function->hold.users[i]);
        if (r >= 0)
                *ret = planned;
        return r;
}

/* The note as it is to be now; what stood there before is expected, and undoes it. */
static int add_note(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu, struct planned_hold *planned)
{
        const struct vfioctl_function *function = planned->function;
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        _cleanup_free_ char *path = NULL, *text = NULL;

        int r = hold_format(&planned->hold, function, &text);
        if (r < 0 || util_equal(text, planned->hold.text))
                return r;
        r = step_new(STEP_NOTE, gpu, function, &step);
        if (r >= 0)
                r = util_format(&path, PATH_RUN_HOLD "/%s", function->text);
        if (r >= 0)
                r = step_set_write(step, path, text ? text : "", WAIT_NONE, NULL);
        if (r >= 0)
                r = util_copy(text, &step->record);
        if (r >= 0)
                r = util_format(&step->text,
                                text ? "note the settings of %s in %s" : "forget the settings of %s in %s",
                                function->text, path);
        /* Other GPUs below the same bridge note theirs in the same place. */
        if (r >= 0 && !function->gpu)
                r = plan_add_lock(plan, function->text, VFIOCTL_MODE_NONE, true);
        if (r < 0)
                return r;
        step->expected = util_steal(planned->hold.text);
        planned->hold.text = util_steal(text);
        return plan_add(plan, &step);
}

static bool is_bound_anew(const struct vfioctl_function *function)
{
        return function->gpu && !function_on_vfio(function);
}

static int note_old(struct planned_hold *planned, const struct vfioctl_gpu *gpu, bool sleeps,
                    bool wants_d3cold, const char *reset)
{
        const struct vfioctl_function *function = planned->function;
        /* vfio-pci's own setting goes with it, and a function without a driver leaves it to the next one. */
        bool is_hosts = !function->gpu || (function->driver && !function_on_vfio(function));
        int r = 0;

        if (sleeps && is_hosts && !planned->hold.control)
                r = util_copy(function->power_control, &planned->hold.control);
        if (r >= 0 && wants_d3cold && !planned->hold.d3cold)
                r = util_copy("1", &planned->hold.d3cold);
        if (r >= 0 && reset)
                r = util_copy(reset, &planned->hold.reset);
        if (r >= 0 && hold_is_noted(&planned->hold))
                r = hold_add_user(&planned->hold, gpu->functions[0]->text);
        return r;
}

static int add_awake(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu, struct planned_hold *planned,
                     const char *old)
{
        planned->is_awake = true;
        return plan_add_setting(plan, gpu, planned->function, "power/control", "on", old);
}

static int hold_one(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                    const struct vfioctl_gpu *gpu, const struct vfioctl_function *function, const char *reset)
{
        struct planned_hold *planned;
        bool leaves = power_is_left(gpu);

        int r = planned_hold(plan, snapshot, function, &planned);
        if (r < 0)
                return r;
        bool sleeps = !leaves && function->power_control && (is_bound_anew(function) || !planned->is_awake);
        bool wants_d3cold = !leaves && planned->d3cold == SETTING_ON;
        planned->wakes = sleeps;
        r = note_old(planned, gpu, sleeps, wants_d3cold, reset);
        if (r >= 0)
                r = add_note(plan, gpu, planned);
        if (r >= 0 && wants_d3cold)
                r = plan_add_setting(plan, gpu, function, "d3cold_allowed", "0", "1");
        if (wants_d3cold)
                planned->d3cold = SETTING_OFF;
        return r < 0 || !sleeps || function->gpu ? r : add_awake(plan, gpu, planned, function->power_control);
}

int plan_hold_bridges(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                      const struct vfioctl_gpu *gpu)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu->n_path; i++)
                if (gpu->path[i]->has_change)
                        r = hold_one(plan, snapshot, gpu, gpu->path[i], NULL);
        return r;
}

int plan_hold(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
              const struct vfioctl_gpu *gpu)
{
        _cleanup_free_ char *reset = NULL;
        bool chooses;

        int r = reset_needs_choice(gpu, &chooses);
        if (r >= 0 && chooses)
                r = reset_true_list(gpu, &reset);
        for (size_t i = 0; r >= 0 && i < gpu->n_functions; i++)
                if (gpu->functions[i]->has_change)
                        r = hold_one(plan, snapshot, gpu, gpu->functions[i], i == 0 ? reset : NULL);
        return r;
}

int plan_wake(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
              const struct vfioctl_gpu *gpu)
{
        struct planned_hold *planned;
        bool chooses;

        int r = reset_needs_choice(gpu, &chooses);
        for (size_t i = 0; r >= 0 && i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                r = planned_hold(plan, snapshot, function, &planned);
                if (r >= 0 && planned->wakes)
                        r = add_awake(plan, gpu, planned,
                                      is_bound_anew(function) ? NULL : function->power_control);
        }
        return r >= 0 && chooses ? plan_choose_reset(plan, gpu) : r;
}

/* ---- the way back ---- */

static int restore(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu, struct planned_hold *planned)
{
        const struct vfioctl_function *function = planned->function;
        const struct hold *hold = &planned->hold;
        const char *control = planned->is_awake ? "on" : "auto";
        int r = 0;

        if (hold->reset && function->reset_method && !util_equal(hold->reset, function->reset_method))
                r = plan_add_setting(plan, gpu, function, "reset_method", hold->reset,
                                     function->reset_method);
        /* The host driver has just set it as it likes, or not at all. */
        if (r >= 0 && hold->control && (function->gpu || !util_equal(hold->control, control)))
                r = plan_add_setting(plan, gpu, function, "power/control", hold->control,
                                     function_on_vfio(function) ? NULL : control);
        if (r >= 0 && hold->d3cold && planned->d3cold != SETTING_UNKNOWN &&
            util_equal(hold->d3cold, "1") != (planned->d3cold == SETTING_ON)) {
                r = plan_add_setting(plan, gpu, function, "d3cold_allowed", hold->d3cold,
                                     planned->d3cold == SETTING_ON ? "1" : "0");
                planned->d3cold = util_equal(hold->d3cold, "1") ? SETTING_ON : SETTING_OFF;
        }
        if (hold->control)
                planned->is_awake = util_equal(hold->control, "on");
        return r;
}

static int release_one(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                       const struct vfioctl_gpu *gpu, const struct vfioctl_function *function)
{
        struct planned_hold *planned;

        int r = planned_hold(plan, snapshot, function, &planned);
        if (r < 0 || !hold_has_user(&planned->hold, gpu->functions[0]->text))
                return r;
        hold_drop_user(&planned->hold, gpu->functions[0]->text);
        if (planned->hold.n_users == 0)
                r = restore(plan, gpu, planned);
        return r < 0 ? r : add_note(plan, gpu, planned);
}

int plan_release(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                 const struct vfioctl_gpu *gpu)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu->n_functions; i++)
                r = release_one(plan, snapshot, gpu, gpu->functions[i]);
        return r;
}

int plan_release_bridges(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                         const struct vfioctl_gpu *gpu)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu->n_path; i++)
                r = release_one(plan, snapshot, gpu, gpu->path[i]);
        return r;
}
