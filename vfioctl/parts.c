/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parts.h"

/* ---- what there is ---- */

static enum boot_state boot_state(const struct parts *parts, enum vfioctl_boot_stage stage)
{
        _cleanup_free_ char *text = NULL;

        if (vfioctl_boot_policy_of(parts->ctx, stage, &text) < 0)
                return BOOT_NOT_RUN;
        return util_equal(util_trim(text), parts->policy) ? BOOT_SAME : BOOT_OTHER;
}

void parts_clear(struct parts *parts)
{
        free(parts->policy);
        *parts = (struct parts){.ctx = NULL};
}

int parts_look(const struct vfioctl_ctx *ctx, struct parts *ret)
{
        struct parts parts = {.ctx = ctx};

        parts.is_off = vfioctl_ctx_is_off(ctx);
        parts.hook_is_installed = vfioctl_hook_is_installed(ctx);
        parts.hook_is_live = vfioctl_hook_is_live(ctx);
        int r = vfioctl_ctx_boot_policy(ctx, &parts.policy);
        if (r < 0)
                return r;
        util_trim(parts.policy);
        parts.has_policy = !util_equal(parts.policy, "gpus =");
        parts.early = boot_state(&parts, VFIOCTL_BOOT_EARLY);
        parts.late = boot_state(&parts, VFIOCTL_BOOT_LATE);
        parts.boot_is_enabled = vfioctl_part_is_enabled(ctx, VFIOCTL_PART_BOOT_UNIT);
        *ret = parts;
        return 0;
}

/* ---- what is wrong with it ---- */

static int judge_hook(const struct parts *parts, bool is_silent, struct vfioctl_findings *findings)
{
        struct vfioctl_finding finding = {.severity = VFIOCTL_REFUSAL};

        if (!parts->has_policy || parts->hook_is_live)
                return 0;
        if (!parts->hook_is_installed) {
                finding.code = "hook-not-installed";
                finding.fix = "vfioctl setup";
                return add_finding(
                        findings, finding,
                        "libvirt's hook is not there, so nobody looks after a VM's GPU when it starts");
        }
        if (is_silent)
                return 0;
        finding.code = "hook-not-live";
        finding.fix = "systemctl reload libvirtd (or virtqemud)";
        return add_finding(findings, finding, "libvirt has not called its hook since it was started");
}

static int judge_late(const struct parts *parts, struct vfioctl_findings *findings)
{
        struct vfioctl_finding finding = {
                .severity = VFIOCTL_REFUSAL, .code = "boot-not-run", .fix = "vfioctl boot"};

        if (!parts->has_policy || parts->late == BOOT_SAME)
                return 0;
        if (parts->late == BOOT_OTHER)
                return add_finding(findings, finding,
                                   "the boot step ran with another configuration than there is now");
        if (!parts->boot_is_enabled)
                finding.fix = "vfioctl setup";
        return add_finding(findings, finding, "the boot step has not run since the host booted%s",
                           parts->boot_is_enabled ? "" : ", and is not enabled");
}

/* 1: there is a note, and it is of the present configuration. */
static int judge_copy(const struct parts *parts, enum vfioctl_initramfs which,
                      struct vfioctl_findings *findings)
{
        _cleanup_free_ char *kernel = NULL, *text = NULL, *fix = NULL;

        int r = vfioctl_initramfs_policy_of(parts->ctx, which, &kernel, &text);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        if (util_equal(util_trim(text), parts->policy))
                return 1;
        r = util_format(&fix, "update-initramfs -u -k %s (or dracut --force --kver %s)", kernel, kernel);
        if (r >= 0)
                r = add_finding(findings,
                                (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                         .code = "initramfs-stale",
                                                         .culprit = kernel,
                                                         .fix = fix},
                                "the initramfs of kernel %s has another configuration than there is now",
                                kernel);
        return r;
}

/*
 * What the early step ran with is as old as the boot; the notes tell whether the next boot is to differ. With
 * none of the running kernel, its word is all there is.
 */
static int judge_early(const struct parts *parts, struct vfioctl_findings *findings)
{
        size_t before = vfioctl_findings_count(findings);

        int fresh = judge_copy(parts, VFIOCTL_INITRAMFS_RUNNING, findings);
        int r = fresh < 0 ? fresh : judge_copy(parts, VFIOCTL_INITRAMFS_NEWEST, findings);
        if (r < 0 || fresh > 0 || !parts->has_policy || vfioctl_findings_count(findings) > before)
                return r < 0 ? r : 0;
        if (parts->early == BOOT_OTHER)
                return add_finding(
                        findings,
                        (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                 .code = "initramfs-stale",
                                                 .fix = "update-initramfs -u (or dracut --force)"},
                        "the boot step in the initramfs ran with another configuration than there is now");
        if (parts->early == BOOT_SAME || parts->late == BOOT_NOT_RUN)
                return 0;
        return add_finding(
                findings,
                (struct vfioctl_finding){
                        .severity = VFIOCTL_WARNING, .code = "boot-not-early", .fix = "vfioctl setup"},
                "there is no boot step in the initramfs, where a host driver may load before the other one");
}

int parts_judge(const struct parts *parts, bool is_silent, struct vfioctl_findings *findings)
{
        int r = judge_hook(parts, is_silent, findings);
        if (r >= 0)
                r = judge_late(parts, findings);
        return r < 0 ? r : judge_early(parts, findings);
}
