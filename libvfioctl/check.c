/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks/checks.h"
#include "paths.h"

bool gpu_is_in_mode(const struct vfioctl_gpu *gpu, enum vfioctl_mode mode)
{
        for (size_t i = 0; i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                if (mode == VFIOCTL_MODE_VM) {
                        if (!function_on_vfio(function))
                                return false;
                } else if (function_on_vfio(function) || util_equal(function->driver_override, VFIO_DRIVER)) {
                        return false;
                } else if (!function->driver &&
                           (function->host_driver || gpu->half_done == VFIOCTL_MODE_HOST)) {
                        /* On its way back, and cut off. */
                        return false;
                }
        }
        /* The GPU itself must have a driver to be "in mode host"; a companion may well have none. */
        return mode == VFIOCTL_MODE_VM || gpu->functions[0]->driver;
}

/* ---- one GPU ---- */

static int check_functions(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                _cleanup_free_ char *fix = NULL;
                int r = 0;
                if (function->host_use)
                        r = finding_addf(findings,
                                         (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                  .code = "host-needs",
                                                                  .gpu = gpu->functions[0]->text,
                                                                  .culprit = function->text},
                                         "%s %s", function->text, function->host_use);
                if (r >= 0 && function->vfs_enabled > 0) {
                        r = util_format(&fix, "echo 0 > " PATH_PCI_DEVICES "/%s/sriov_numvfs",
                                        function->text);
                        if (r >= 0)
                                r = finding_addf(
                                        findings,
                                        (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                 .code = "vfs-enabled",
                                                                 .gpu = gpu->functions[0]->text,
                                                                 .culprit = function->text,
                                                                 .fix = fix},
                                        "%u virtual functions are enabled, and vfio-pci takes no such GPU",
                                        function->vfs_enabled);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

int check_stuck(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        if (!gpu->is_stuck)
                return 0;
        return finding_addf(
                findings,
                (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                         .code = "stuck",
                                         .gpu = gpu->functions[0]->text,
                                         .culprit = gpu->functions[0]->text,
                                         .fix = "end the process that has it open (dmesg tells), or "
                                                "reboot the host"},
                "a bind or unbind of it has not come back from the kernel");
}

int check_hardware(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                   const struct vfioctl_intent *intent, struct vfioctl_findings *findings)
{
        int r = check_stuck(gpu, findings);
        if (r >= 0)
                r = check_answers(gpu, findings);
        if (r >= 0)
                r = check_display(gpu, VFIOCTL_REFUSAL, findings);
        if (r >= 0)
                r = check_functions(gpu, findings);
        if (r >= 0)
                r = check_memory(gpu, findings);
        if (r < 0)
                return r;
        if (gpu->group)
                return check_group(snapshot, gpu, intent, findings);
        return finding_addf(
                findings,
                (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                         .code = "no-iommu",
                                         .gpu = gpu->functions[0]->text,
                                         .culprit = gpu->functions[0]->text,
                                         .fix = "enable VT-d or AMD-Vi in the firmware, boot with "
                                                "intel_iommu=on iommu=pt"},
                "%s",
                snapshot->has_iommu ? "it is in no IOMMU group"
                                    : "the IOMMU is off: there are no IOMMU groups");
}

/* What an admin is told of a GPU besides. */
static const gpu_check gpu_checks[] = {
        check_isolation, check_window, check_link,  check_node,
        check_card,      check_reset,  check_power, check_untried,
};

/* What an admin is told of the host. */
static const host_check host_checks[] = {
        check_iommu,  check_interrupts, check_vfio_module, check_ids,
        check_rivals, check_programs,   check_unseen,
};

static int check_more(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                      struct vfioctl_findings *findings)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(gpu_checks); i++)
                r = gpu_checks[i](snapshot, gpu, findings);
        return r;
}

static int check_host(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        int r = 0;

        if (!(snapshot->flags & VFIOCTL_SNAPSHOT_FACTS))
                return 0;
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(host_checks); i++)
                r = host_checks[i](snapshot, findings);
        return r;
}

static int check_holders_known(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                               const char *about, struct vfioctl_findings *findings)
{
        if (!(snapshot->flags & VFIOCTL_SNAPSHOT_HOLDERS) || gpu->holders_known)
                return 0;
        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                     .code = "holders-unknown",
                                                     .gpu = about,
                                                     .fix = "run vfioctl as root"},
                            "processes of other users cannot be looked into, so it may be in use");
}

static int check_one(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                     const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        int r = check_hardware(snapshot, gpu, NULL, findings);
        if (r >= 0)
                r = check_tried(gpu, findings);
        if (r >= 0)
                r = check_more(snapshot, gpu, findings);
        if (r >= 0)
                r = check_holders(gpu, VFIOCTL_NOTE, findings);
        if (r >= 0)
                r = check_assigned(gpu, vms, NULL, VFIOCTL_NOTE, findings);
        if (r >= 0)
                r = check_claimed(gpu, NULL, VFIOCTL_NOTE, findings);
        return r;
}

VFIOCTL_EXPORT int vfioctl_check(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                                 const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        if (gpu) {
                int named = check_one(snapshot, vms, gpu, findings);
                return named < 0 ? named
                                 : check_holders_known(snapshot, gpu, gpu->functions[0]->text, findings);
        }
        int r = check_host(snapshot, findings);
        if (r >= 0)
                r = check_windows(snapshot, vms, findings);
        if (r >= 0)
                r = check_pages(snapshot, vms, findings);
        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++) {
                const struct vfioctl_gpu *each = snapshot->gpus[i];
                /* A board's own display is nobody's problem until somebody asks for it. */
                if (each->on_board)
                        r = check_display(each, VFIOCTL_NOTE, findings);
                else
                        r = check_one(snapshot, vms, each, findings);
                /* What holds for all is said once: equal findings are one. */
                if (r >= 0)
                        r = check_holders_known(snapshot, each, NULL, findings);
        }
        return r;
}

int gpu_can_be_handed_out(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu, bool *ret)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = check_hardware(snapshot, gpu, NULL, findings);
        if (r < 0)
                return r;
        *ret = !vfioctl_findings_have_refusal(findings);
        return 0;
}

VFIOCTL_EXPORT bool vfioctl_gpu_is_ready(const struct vfioctl_snapshot *snapshot,
                                         const struct vfioctl_gpu *gpu)
{
        bool ready;

        return gpu_can_be_handed_out(snapshot, gpu, &ready) >= 0 && ready &&
               (!gpu->proof || gpu->proof->passed);
}

/* ---- an intent ---- */

static int check_item(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                      const struct vfioctl_intent *intent, const struct intent_item *item, unsigned int flags,
                      struct vfioctl_findings *findings)
{
        const struct vfioctl_gpu *gpu = item->gpu;
        int r = 0;

        if (gpu && item->resets)
                return check_reset_intent(gpu, findings);
        if (!gpu || item->mode == VFIOCTL_MODE_NONE)
                return 0;
        if (item->vm) {
                r = check_assigned(gpu, vms, item->vm,
                                   flags & VFIOCTL_PLAN_SHARE ? VFIOCTL_NOTE : VFIOCTL_REFUSAL, findings);
                if (r >= 0)
                        r = check_tried(gpu, findings);
                if (r >= 0 && !(flags & VFIOCTL_PLAN_SHARE))
                        r = check_group_vms(item, vms, intent, findings);
        }
        if (r < 0)
                return r;
        if (item->mode == VFIOCTL_MODE_VM) {
                /* What is in place already needs no leave, unless a VM is to get it now. */
                if (!item->vm && !item->claim && gpu_is_in_mode(gpu, VFIOCTL_MODE_VM))
                        return 0;
                r = check_hardware(snapshot, gpu, intent, findings);
        } else {
                if (gpu_is_in_mode(gpu, VFIOCTL_MODE_HOST))
                        return 0;
                r = check_stuck(gpu, findings);
        }
        if (r < 0)
                return r;
        if (!item->vm)
                r = check_claimed(gpu, item->uuid, VFIOCTL_REFUSAL, findings);
        if (r < 0)
                return r;
        /* A shared GPU may well be held by the other VM; its mode does not change then. */
        if (gpu_is_in_mode(gpu, item->mode) && (flags & VFIOCTL_PLAN_SHARE))
                return 0;
        return check_holders(gpu, VFIOCTL_REFUSAL, findings);
}

int check_intent(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                 const struct vfioctl_intent *intent, unsigned int flags, struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < intent->count; i++) {
                int r = check_item(snapshot, vms, intent, &intent->items[i], flags, findings);
                if (r < 0)
                        return r;
        }
        return 0;
}
