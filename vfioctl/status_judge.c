/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status.h"

/* ---- GPUs ---- */

static enum vfioctl_mode wanted_mode(const struct status *status, const struct vfioctl_gpu *gpu,
                                     struct vfioctl_findings *findings)
{
        enum vfioctl_mode mode = VFIOCTL_MODE_NONE;

        /* Nothing works towards it then, or it is not known. */
        if (status->parts.is_off || status->config_is_bad)
                return mode;
        (void)vfioctl_wanted_mode(status->snapshot, status->vms, gpu, status->parts.hook_is_live, findings,
                                  &mode);
        return mode;
}

static bool is_wrong(const struct vfioctl_gpu *gpu, enum vfioctl_mode wanted)
{
        return wanted != VFIOCTL_MODE_NONE && !vfioctl_gpu_is_in_mode(gpu, wanted);
}

/* The GPUs of its group that go to mode vm with it, as a reconcile has them go. */
static int add_group(const struct status *status, const struct vfioctl_gpu *gpu,
                     struct vfioctl_intent *intent)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < vfioctl_snapshot_gpu_count(status->snapshot); i++) {
                const struct vfioctl_gpu *other = vfioctl_snapshot_gpu(status->snapshot, i);
                if (other != gpu && vfioctl_gpu_group(gpu) &&
                    vfioctl_gpu_group(other) == vfioctl_gpu_group(gpu) &&
                    (vfioctl_gpu_is_ours(other) || wanted_mode(status, other, NULL) == VFIOCTL_MODE_VM))
                        r = vfioctl_intent_set_mode(intent, other, VFIOCTL_MODE_VM);
        }
        return r;
}

/* `mode` NONE: as a VM that starts with it would be judged. */
static int plan(const struct status *status, const struct vfioctl_gpu *gpu, enum vfioctl_mode mode,
                struct vfioctl_plan **ret)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        const char *uuid = vfioctl_gpu_claim_uuid(gpu);
        const struct vfioctl_claim claim = {.uuid = uuid ? uuid : "-", .name = "-"};

        int r = vfioctl_intent_new(&intent);
        if (r >= 0)
                r = mode == VFIOCTL_MODE_NONE ? vfioctl_intent_claim(intent, gpu, &claim)
                                              : vfioctl_intent_set_mode(intent, gpu, mode);
        if (r >= 0 && mode != VFIOCTL_MODE_HOST)
                r = add_group(status, gpu, intent);
        return r < 0 ? r : vfioctl_plan_new(status->snapshot, NULL, intent, 0, ret);
}

/* Copies refusals about this GPU; `use`: those too that only its present use explains. */
static int copy_refusals(struct status *status, const struct vfioctl_gpu *gpu,
                         const struct vfioctl_findings *from, bool use)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < vfioctl_findings_count(from); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(from, i);
                bool is_use = util_equal(finding->code, "in-use") || util_equal(finding->code, "claimed");
                if (finding->severity == VFIOCTL_REFUSAL && (use || !is_use) &&
                    util_equal(finding->gpu, vfioctl_gpu_address(gpu)))
                        r = vfioctl_findings_add(status->findings, finding);
        }
        return r;
}

/* What would keep a VM from having it. */
static int judge_hardware(struct status *status, const struct vfioctl_gpu *gpu)
{
        _cleanup_plan_ struct vfioctl_plan *start = NULL;

        int r = plan(status, gpu, VFIOCTL_MODE_NONE, &start);
        return r < 0 ? r : copy_refusals(status, gpu, vfioctl_plan_findings(start), false);
}

static int judge_stuck(struct status *status, const struct vfioctl_gpu *gpu)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = vfioctl_check(status->snapshot, NULL, gpu, findings);
        for (size_t i = 0; r >= 0 && i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (util_equal(finding->code, "stuck"))
                        r = vfioctl_findings_add(status->findings, finding);
        }
        return r;
}

static int judge_mode(struct status *status, const struct vfioctl_gpu *gpu, enum vfioctl_mode wanted)
{
        _cleanup_plan_ struct vfioctl_plan *change = NULL;
        enum vfioctl_mode mode = vfioctl_gpu_mode(gpu);

        int r = plan(status, gpu, wanted, &change);
        if (r >= 0)
                r = copy_refusals(status, gpu, vfioctl_plan_findings(change), true);
        if (r < 0 || vfioctl_plan_step_count(change) == 0)
                return r;
        return add_finding(status->findings,
                           (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                    .code = "wrong-mode",
                                                    .gpu = vfioctl_gpu_address(gpu),
                                                    .fix = "vfioctl reconcile"},
                           mode == wanted ? "it is only in part in mode %s, where it is to be"
                                          : "it is to be in mode %s, and is not; nobody uses it",
                           vfioctl_mode_name(wanted));
}

static int judge_notes(struct status *status, const struct vfioctl_gpu *gpu)
{
        struct vfioctl_finding finding = {.severity = VFIOCTL_REFUSAL,
                                          .gpu = vfioctl_gpu_address(gpu),
                                          .culprit = vfioctl_gpu_claim_name(gpu),
                                          .fix = "vfioctl reconcile"};
        int r = 0;

        if (vfioctl_gpu_claim_is_stale(gpu, status->vms)) {
                finding.code = "claim-stale";
                r = add_finding(status->findings, finding, "it is noted as VM %s's, which does not run",
                                finding.culprit ? finding.culprit : "?");
        }
        if (r < 0 || vfioctl_gpu_half_done(gpu) == VFIOCTL_MODE_NONE)
                return r;
        finding.code = "half-done";
        finding.culprit = NULL;
        return add_finding(status->findings, finding, "a change of it to mode %s was cut off",
                           vfioctl_mode_name(vfioctl_gpu_half_done(gpu)));
}

static int judge_gpu(struct status *status, const struct vfioctl_gpu *gpu)
{
        if (vfioctl_gpu_is_stuck(gpu))
                return judge_stuck(status, gpu);
        if (vfioctl_gpu_is_on_board(gpu))
                return 0;
        enum vfioctl_mode wanted = wanted_mode(status, gpu, status->findings);
        bool wrong = is_wrong(gpu, wanted), half_done = vfioctl_gpu_half_done(gpu) != VFIOCTL_MODE_NONE;
        bool concerns = (vfioctl_gpu_is_ours(gpu) && !vfioctl_gpu_is_boot_display(gpu)) ||
                        vfioctl_gpu_is_assigned(status->snapshot, status->vms, gpu);
        int r = concerns ? judge_hardware(status, gpu) : 0;
        /* Asked only then, for the question takes the lock for a moment. */
        if ((wrong || half_done || vfioctl_gpu_claim_is_stale(gpu, status->vms)) &&
            vfioctl_change_is_under_way(status->cli.ctx, gpu))
                return r;
        if (r >= 0 && !status->parts.is_off)
                r = judge_notes(status, gpu);
        if (r >= 0 && wrong && !half_done && !vfioctl_gpu_is_in_use(gpu, status->vms))
                r = judge_mode(status, gpu, wanted);
        return r;
}

/* ---- VMs ---- */

static int judge_assignments(struct status *status)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && status->vms && i < vfioctl_vms_count(status->vms); i++)
                for (size_t k = 0; r >= 0 && k < vfioctl_vms_assignment_count(status->vms, i); k++)
                        r = vfioctl_check_assignment(status->snapshot, status->vms, i, k, status->findings);
        return r;
}

/* One that is to start with the host, and did not. Of others only their last try is told. */
static int judge_starts(struct status *status)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && status->vms && i < vfioctl_vms_count(status->vms); i++)
                for (size_t k = 0; r >= 0 && k < status->n_refused; k++) {
                        const char *uuid = vfioctl_vms_uuid(status->vms, i);
                        _cleanup_free_ char *fix = NULL;
                        if (!util_equal(uuid, status->refused[k].uuid) ||
                            vfioctl_vms_is_running(status->vms, i) ||
                            !vfioctl_vms_is_autostart(status->vms, i))
                                continue;
                        r = util_format(&fix, "virsh start %s",
                                        typed_vm(vfioctl_vms_name(status->vms, i), uuid));
                        if (r >= 0)
                                r = add_finding(
                                        status->findings,
                                        (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                 .code = "start-refused",
                                                                 .culprit = vfioctl_vms_name(status->vms, i),
                                                                 .fix = fix},
                                        "VM %s is to start with the host, and was refused",
                                        vfioctl_vms_name(status->vms, i));
                }
        return r;
}

/* ---- what runs by itself ---- */

/* True when one of the present findings is told by this line of a reconcile. */
static bool is_told(const struct status *status, const char *line, size_t length)
{
        for (size_t i = 0; i < vfioctl_findings_count(status->findings); i++) {
                _cleanup_free_ char *told =
                        finding_line(status->snapshot, vfioctl_findings_get(status->findings, i));
                if (told && strlen(told) == length && strncmp(told, line, length) == 0)
                        return true;
        }
        /* That was then. */
        return status->vms && util_has_prefix(line, "libvirt-");
}

static int judge_reconcile(struct status *status)
{
        struct vfioctl_finding finding = {
                .severity = VFIOCTL_REFUSAL, .code = "reconcile-failed", .fix = "vfioctl reconcile"};
        const char *line = status->reconcile_problems;
        int r = 0;

        if (!status->has_reconciled || status->reconcile_code == CODE_DONE)
                return 0;
        if (!*line)
                return add_finding(status->findings, finding, "the last reconcile ended with exit status %d",
                                   status->reconcile_code);
        for (; r >= 0 && *line; line += strcspn(line, "\n"), line += *line == '\n') {
                size_t length = strcspn(line, "\n");
                if (!is_told(status, line, length))
                        r = add_finding(status->findings, finding, "the last reconcile said: %.*s",
                                        (int)length, line);
        }
        return r;
}

/* ---- all ---- */

static int judge_config(struct status *status)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = vfioctl_check_config(status->cli.ctx, status->snapshot, findings);
        for (size_t i = 0; r >= 0 && i < vfioctl_findings_count(findings); i++) {
                struct vfioctl_finding finding = *vfioctl_findings_get(findings, i);
                if (!finding.fix && finding.severity != VFIOCTL_NOTE)
                        finding.fix = "change it there; vfioctl config --check looks again";
                r = vfioctl_findings_add(status->findings, &finding);
        }
        return r;
}

static int note_unseen(struct status *status)
{
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(status->snapshot); i++)
                if (!vfioctl_gpu_holders_known(vfioctl_snapshot_gpu(status->snapshot, i)))
                        return add_finding(status->findings,
                                           (struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                                    .code = "holders-unknown",
                                                                    .fix = "run it as root"},
                                           "processes of other users cannot be looked into");
        return 0;
}

int status_judge(struct status *status)
{
        int r = 0;

        if (status->parts.is_off)
                r = add_finding(
                        status->findings,
                        (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                 .code = "switched-off",
                                                 .fix = "reboot without it"},
                        "vfioctl=off is on the kernel's command line: hook, boot step and reconcile do "
                        "nothing");
        if (r >= 0)
                r = judge_config(status);
        for (size_t i = 0; r >= 0 && i < vfioctl_snapshot_gpu_count(status->snapshot); i++)
                r = judge_gpu(status, vfioctl_snapshot_gpu(status->snapshot, i));
        if (r >= 0)
                r = judge_assignments(status);
        if (r >= 0)
                r = judge_starts(status);
        if (r >= 0 && !status->parts.is_off && !status->config_is_bad) {
                /* A daemon that does not answer is told of already. */
                r = parts_judge(&status->parts, status->libvirt_asked && !status->vms, status->findings);
                if (r >= 0)
                        r = judge_reconcile(status);
        }
        return r < 0 ? r : note_unseen(status);
}
