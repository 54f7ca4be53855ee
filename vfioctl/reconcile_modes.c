/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile.h"

static enum vfioctl_mode wanted_mode(struct reconcile *reconcile, const struct vfioctl_gpu *gpu)
{
        enum vfioctl_mode mode;

        int r = vfioctl_wanted_mode(reconcile->snapshot, reconcile->vms, gpu, reconcile->hook_is_live,
                                    reconcile->problems, &mode);
        if (r >= 0)
                return mode;
        reconcile_failed(reconcile, gpu, "it cannot be judged", r);
        return VFIOCTL_MODE_NONE;
}

static bool has_true_claim(const struct reconcile *reconcile, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; reconcile->vms && i < vfioctl_vms_count(reconcile->vms); i++)
                if (vfioctl_vms_runs_gpu(reconcile->vms, i, gpu))
                        return util_equal(vfioctl_vms_uuid(reconcile->vms, i), vfioctl_gpu_claim_uuid(gpu));
        return !vfioctl_gpu_claim_uuid(gpu);
}

bool reconcile_is_settled(struct reconcile *reconcile)
{
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(reconcile->snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(reconcile->snapshot, i);
                bool runs = vfioctl_gpu_claim_uuid(gpu) != NULL;
                if (vfioctl_gpu_half_done(gpu) != VFIOCTL_MODE_NONE || vfioctl_gpu_is_stuck(gpu) ||
                    !has_true_claim(reconcile, gpu) ||
                    (!runs && vfioctl_gpu_needs_change(gpu, wanted_mode(reconcile, gpu))))
                        return false;
        }
        return true;
}

static bool same_group(const struct vfioctl_gpu *a, const struct vfioctl_gpu *b)
{
        return vfioctl_gpu_group(a) && vfioctl_gpu_group(a) == vfioctl_gpu_group(b);
}

/* The GPU, and on the way to mode vm those of its group that are wanted there too. */
static int intent_for(struct reconcile *reconcile, const struct vfioctl_snapshot *snapshot,
                      const struct vfioctl_gpu *gpu, enum vfioctl_mode mode, const bool *to_vm,
                      struct vfioctl_intent **ret)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;

        int r = vfioctl_intent_new(&intent);
        if (r >= 0)
                r = vfioctl_intent_set_mode(intent, gpu, mode);
        for (size_t i = 0; r >= 0 && mode == VFIOCTL_MODE_VM && i < vfioctl_snapshot_gpu_count(snapshot);
             i++) {
                const struct vfioctl_gpu *other = vfioctl_snapshot_gpu(snapshot, i), *old = NULL;
                if (other == gpu || !same_group(gpu, other))
                        continue;
                for (size_t k = 0; k < vfioctl_snapshot_gpu_count(reconcile->snapshot); k++) {
                        old = vfioctl_snapshot_gpu(reconcile->snapshot, k);
                        if (to_vm[k] && util_equal(vfioctl_gpu_address(old), vfioctl_gpu_address(other)))
                                r = vfioctl_intent_set_mode(intent, other, mode);
                }
        }
        if (r >= 0)
                *ret = util_steal(intent);
        return r;
}

static void tell_refusals(struct reconcile *reconcile, const struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (finding->severity != VFIOCTL_REFUSAL)
                        continue;
                reconcile->waits |=
                        util_equal(finding->code, "in-use") || util_equal(finding->code, "claimed");
                reconcile_problem(reconcile, *finding, "%s", finding->text);
        }
}

/* What was begun is at its end, or nobody wants it any more. */
static void forget_half_done(struct reconcile *reconcile, const struct vfioctl_gpu *gpu)
{
        if (vfioctl_gpu_half_done(gpu) == VFIOCTL_MODE_NONE || reconcile->cli->options.dry_run)
                return;
        int r = vfioctl_half_done_forget(reconcile->cli->ctx, gpu);
        if (r < 0)
                reconcile_failed(reconcile, gpu, "the note of a change that was cut off stays", r);
}

/*
 * 0, or -EAGAIN when all is to be looked at again. -ECANCELED when it is refused, and what was begun can as
 * well be taken back.
 */
static int carry_out(struct reconcile *reconcile, const struct vfioctl_gpu *gpu, enum vfioctl_mode mode,
                     bool can_turn_back, const struct vfioctl_plan *plan)
{
        const struct vfioctl_findings *against = vfioctl_plan_findings(plan);
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        enum vfioctl_outcome outcome;

        if (can_turn_back && vfioctl_findings_have_refusal(against))
                return -ECANCELED;
        if (vfioctl_findings_have_refusal(against)) {
                tell_refusals(reconcile, against);
                return 0;
        }
        if (vfioctl_plan_step_count(plan) == 0) {
                forget_half_done(reconcile, gpu);
                return 0;
        }
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = vfioctl_probe_busy(reconcile->cli->ctx, plan, findings);
        /* Open without a name: it is in use, and that is no fault. */
        if (r >= 0 && vfioctl_findings_have_refusal(findings)) {
                reconcile->waits = true;
                return 0;
        }
        if (r >= 0 && reconcile->cli->options.dry_run) {
                for (size_t i = 0; i < vfioctl_plan_step_count(plan); i++)
                        reconcile_changed(reconcile, gpu, "%s",
                                          vfioctl_step_text(vfioctl_plan_step(plan, i)));
                return 0;
        }
        if (r >= 0)
                r = vfioctl_apply(reconcile->cli->ctx, plan, NULL, findings, &outcome);
        if (r == -EAGAIN)
                return r;
        if (r < 0) {
                reconcile_failed(reconcile, gpu, "its mode cannot be changed", r);
                return 0;
        }
        if (outcome == VFIOCTL_DONE) {
                reconcile_changed(reconcile, gpu, "brought to mode %s", vfioctl_mode_name(mode));
                reconcile_mark_mended(reconcile, gpu);
                return 0;
        }
        tell_refusals(reconcile, findings);
        reconcile->failed = true;
        return 0;
}

/* Looks again, at this GPU alone: what was seen at the beginning may be old by now. */
static void bring(struct reconcile *reconcile, const struct vfioctl_gpu *gpu, enum vfioctl_mode mode,
                  bool can_turn_back, const bool *to_vm)
{
        const char *address = vfioctl_gpu_address(gpu);
        int r = -EAGAIN;

        for (int i = 0; r == -EAGAIN && i < TRIES_MAX; i++) {
                _cleanup_snapshot_ struct vfioctl_snapshot *now = NULL;
                _cleanup_intent_ struct vfioctl_intent *intent = NULL;
                _cleanup_plan_ struct vfioctl_plan *plan = NULL;
                const struct vfioctl_gpu *seen;
                r = vfioctl_snapshot_take_for(reconcile->cli->ctx,
                                              VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST |
                                                      VFIOCTL_SNAPSHOT_CHANGE,
                                              &address, 1, &now);
                if (r >= 0)
                        r = vfioctl_snapshot_find(now, address, &seen);
                /* Pulled meanwhile. */
                if (r == -ENOENT)
                        return;
                /* A VM has come by it since: then all is as it should be. */
                if (r >= 0 && vfioctl_gpu_is_in_use(seen, NULL)) {
                        reconcile->waits = true;
                        return;
                }
                if (r >= 0)
                        r = intent_for(reconcile, now, seen, mode, to_vm, &intent);
                if (r >= 0)
                        r = vfioctl_plan_new(now, NULL, intent, 0, &plan);
                if (r >= 0)
                        r = carry_out(reconcile, gpu, mode, can_turn_back, plan);
        }
        if (r == -ECANCELED)
                bring(reconcile, gpu, VFIOCTL_MODE_HOST, false, to_vm);
        else if (r < 0 && r != -EAGAIN)
                reconcile_failed(reconcile, gpu, "its mode cannot be changed", r);
}

void reconcile_modes(struct reconcile *reconcile)
{
        size_t count = vfioctl_snapshot_gpu_count(reconcile->snapshot);
        _cleanup_free_ bool *to_vm = calloc(count ? count : 1, sizeof(*to_vm));
        _cleanup_free_ enum vfioctl_mode *modes = calloc(count ? count : 1, sizeof(*modes));

        if (!to_vm || !modes) {
                reconcile_failed(reconcile, NULL, "modes", -ENOMEM);
                return;
        }
        for (size_t i = 0; i < count; i++) {
                modes[i] = wanted_mode(reconcile, vfioctl_snapshot_gpu(reconcile->snapshot, i));
                to_vm[i] = modes[i] == VFIOCTL_MODE_VM;
        }
        for (size_t i = 0; i < count; i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(reconcile->snapshot, i);
                if (vfioctl_gpu_is_stuck(gpu)) {
                        if (modes[i] != VFIOCTL_MODE_NONE)
                                reconcile_problem(reconcile,
                                                  (struct vfioctl_finding){
                                                          .severity = VFIOCTL_REFUSAL,
                                                          .code = "stuck",
                                                          .gpu = vfioctl_gpu_address(gpu),
                                                          .fix = "end the process that has it open (dmesg "
                                                                 "tells), or reboot the host"},
                                                  "a bind or unbind of it has not come back from the kernel");
                        continue;
                }
                if (vfioctl_gpu_is_in_use(gpu, reconcile->vms)) {
                        reconcile->waits |=
                                vfioctl_gpu_needs_change(gpu, modes[i]) && !vfioctl_gpu_claim_uuid(gpu);
                        continue;
                }
                if (!vfioctl_gpu_needs_change(gpu, modes[i])) {
                        forget_half_done(reconcile, gpu);
                        continue;
                }
                /* Nobody wants it there but the process that was killed. */
                bool was_begun = !vfioctl_gpu_is_ours(gpu) &&
                                 !vfioctl_gpu_is_assigned(reconcile->snapshot, reconcile->vms, gpu);
                /* One that succeeds forgets by itself what was begun; one that does not leaves the sign of
                 * it. */
                bring(reconcile, gpu, modes[i], was_begun && modes[i] == VFIOCTL_MODE_VM, to_vm);
        }
}
