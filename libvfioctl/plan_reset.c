/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "paths.h"
#include "plan.h"

static int add_write(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu, const char *name,
                     const char *value, enum wait_kind wait, const char *irreversible)
{
        _cleanup_(step_freep) struct vfioctl_step *step = NULL;
        const struct vfioctl_function *function = gpu->functions[0];
        _cleanup_free_ char *path = NULL;

        int r = step_new(STEP_WRITE, gpu, function, &step);
        if (r >= 0)
                r = util_format(&path, PATH_PCI_DEVICES "/%s/%s", function->text, name);
        if (r >= 0)
                r = step_set_write(step, path, value, wait, NULL);
        if (r >= 0)
                r = util_format(&step->text, "write %s to %s", value, path);
        if (r < 0)
                return r;
        step->irreversible = irreversible;
        return plan_add(plan, &step);
}

/* reset_method_store() refuses what cannot work, so a stale list cannot be put back either. */
static int add_reprobe(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu)
{
        return add_write(plan, gpu, "reset_method", "default", WAIT_NONE,
                         "the kernel finds out anew which methods work, which is harmless");
}

int plan_choose_reset(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu)
{
        _cleanup_free_ char *now = NULL, *wanted = NULL;

        int r = reset_true_list(gpu, &now);
        if (r >= 0)
                r = reset_wanted_list(gpu, &wanted);
        if (r >= 0 && gpu->reset_is_stale)
                r = add_reprobe(plan, gpu);
        if (r >= 0 && !util_equal(wanted, now))
                r = plan_add_setting(plan, gpu, gpu->functions[0], "reset_method", wanted, now);
        return r;
}

int plan_reset(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu)
{
        int r = gpu->reset_is_stale ? add_reprobe(plan, gpu) : 0;

        return r < 0 ? r
                     : add_write(plan, gpu, "reset", "1", WAIT_ALIVE,
                                 "what was in the GPU's memory and registers is lost");
}
