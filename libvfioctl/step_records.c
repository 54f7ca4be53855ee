/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "step_records.h"
#include "claims.h"
#include "runtime.h"

bool record_is(const struct vfioctl_step *step)
{
        return step->kind == STEP_CLAIM || step->kind == STEP_NOTE;
}

int record_write(const struct vfioctl_ctx *ctx, const struct vfioctl_step *step, const char *text)
{
        return step->kind == STEP_CLAIM ? claim_write_text(ctx, step->function, text)
                                        : runtime_write_hold(ctx, step->function, text);
}

int record_check(const struct vfioctl_ctx *ctx, const struct vfioctl_step *step)
{
        _cleanup_free_ char *text = NULL;

        int r = step->kind == STEP_CLAIM ? claim_read_text(ctx, step->function, &text)
                                         : runtime_read_hold(ctx, step->function, &text);
        if (r < 0)
                return r;
        return util_equal(text, step->expected) ? 0 : -ESTALE;
}

bool record_follows(const struct vfioctl_plan *plan, size_t index)
{
        for (size_t i = 0; i < index; i++)
                if (plan->steps[i]->kind == plan->steps[index]->kind &&
                    util_equal(plan->steps[i]->function, plan->steps[index]->function))
                        return true;
        return false;
}

bool record_has_joined(const struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan,
                       const struct vfioctl_step *step)
{
        const struct vfioctl_step *note = NULL;
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; i < plan->n_steps && plan->steps[i] != step; i++)
                if (plan->steps[i]->kind == STEP_NOTE && util_equal(plan->steps[i]->function, step->function))
                        note = plan->steps[i];
        if (step->kind == STEP_NOTE)
                note = step;
        return note && (runtime_read_hold(ctx, step->function, &text) < 0 || !util_equal(text, note->record));
}

bool record_grew(const struct vfioctl_step *step)
{
        return step->record && (!step->expected || strlen(step->record) > strlen(step->expected));
}
