/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

/* What ought to be: reconcile brings it about, and status tells what of it is not so. */

VFIOCTL_EXPORT bool vfioctl_gpu_is_in_mode(const struct vfioctl_gpu *gpu, enum vfioctl_mode mode)
{
        return gpu_is_in_mode(gpu, mode);
}

static bool is_running_with(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms)
{
        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++)
                if (vfioctl_vms_runs_gpu(vms, i, gpu))
                        return true;
        return false;
}

VFIOCTL_EXPORT bool vfioctl_gpu_is_in_use(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms)
{
        bool claimed = gpu->claim.is_live && !vfioctl_gpu_claim_is_stale(gpu, vms);

        return claimed || (gpu->n_holders > 0 && vfioctl_gpu_mode(gpu) == VFIOCTL_MODE_VM) ||
               is_running_with(gpu, vms);
}

VFIOCTL_EXPORT bool vfioctl_gpu_claim_is_stale(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms)
{
        /*
         * libvirt answers for a VM only when its start is over, so a claim of one that does not run is of one
         * that is gone. Without its answer, only what nobody will ever release counts.
         */
        return gpu->claim.uuid && gpu->n_holders == 0 && (vms || !gpu->claim.is_live) &&
               !is_running_with(gpu, vms);
}

/* Some VM's metadata says that this GPU is its own, wherever it is now. */
static bool is_recorded(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                        const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++)
                for (size_t k = 0; k < vfioctl_vms_assignment_count(vms, i); k++) {
                        const struct vfioctl_gpu *where;
                        enum vfioctl_verdict verdict =
                                vfioctl_judge(snapshot, vfioctl_vms_assignment(vms, i, k), &where);
                        if ((verdict == VFIOCTL_SAME || verdict == VFIOCTL_MOVED) && where == gpu)
                                return true;
                }
        return false;
}

static bool is_defined(const struct vfioctl_vms *vms, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++)
                if (vfioctl_vms_defines_gpu(vms, i, gpu))
                        return true;
        return false;
}

VFIOCTL_EXPORT bool vfioctl_gpu_is_assigned(const struct vfioctl_snapshot *snapshot,
                                            const struct vfioctl_vms *vms, const struct vfioctl_gpu *gpu)
{
        return is_defined(vms, gpu) || is_recorded(snapshot, vms, gpu);
}

/* Without the hook nobody asks who uses the GPU before libvirt takes it from the host. */
static int tell_hook(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        if (!findings)
                return 0;
        return finding_addf(
                findings,
                (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                         .code = "hook-not-live",
                                         .gpu = gpu->functions[0]->text,
                                         .fix = "vfioctl setup"},
                "it is to rest in mode host, which is safe only while libvirt calls our hook; so it rests in "
                "mode vm");
}

VFIOCTL_EXPORT int vfioctl_wanted_mode(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                                       const struct vfioctl_gpu *gpu, bool hook_is_live,
                                       struct vfioctl_findings *findings, enum vfioctl_mode *ret)
{
        enum vfioctl_mode mode = gpu->half_done;

        if (gpu->on_board) {
                mode = VFIOCTL_MODE_NONE;
        } else if (gpu->is_ours && gpu->idle == VFIOCTL_MODE_HOST && !hook_is_live && !vms) {
                /* Perhaps a VM's, perhaps not: it stays where it is. */
                mode = VFIOCTL_MODE_NONE;
        } else if (gpu->is_ours && gpu->idle == VFIOCTL_MODE_HOST && !hook_is_live && is_defined(vms, gpu)) {
                mode = VFIOCTL_MODE_VM;
                int r = tell_hook(gpu, findings);
                if (r < 0)
                        return r;
        } else if (gpu->is_ours) {
                mode = gpu->idle;
        } else if (is_recorded(snapshot, vms, gpu)) {
                mode = VFIOCTL_MODE_VM;
        }
        /* "gpus = all" means all that can be had: the host keeps its display. */
        if (gpu->is_ours && mode == VFIOCTL_MODE_VM && vfioctl_gpu_is_boot_display(gpu) &&
            !vfioctl_gpu_is_assigned(snapshot, vms, gpu))
                mode = VFIOCTL_MODE_NONE;
        *ret = mode;
        return 0;
}

/* As it can be typed: the UUID where the name would need quoting. */
static const char *typed_vm(const struct vfioctl_vms *vms, size_t vm)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+";
        const char *name = vfioctl_vms_name(vms, vm), *uuid = vfioctl_vms_uuid(vms, vm);

        return uuid && (*name == '-' || name[strspn(name, plain)]) ? uuid : name;
}

VFIOCTL_EXPORT int vfioctl_check_assignment(const struct vfioctl_snapshot *snapshot,
                                            const struct vfioctl_vms *vms, size_t vm, size_t index,
                                            struct vfioctl_findings *findings)
{
        const struct vfioctl_assignment *assignment = vfioctl_vms_assignment(vms, vm, index);
        const char *name = vfioctl_vms_name(vms, vm);
        struct vfioctl_finding finding = {.severity = VFIOCTL_REFUSAL, .culprit = name};
        char was[VFIOCTL_ADDRESS_SIZE] = "?";
        _cleanup_free_ char *fix = NULL;
        const struct vfioctl_gpu *gpu;

        if (!assignment)
                return -EINVAL;
        if (assignment->n_functions > 0)
                (void)vfioctl_address_format(&assignment->functions[0], was);
        enum vfioctl_verdict verdict = vfioctl_judge(snapshot, assignment, &gpu);
        int r = util_format(&fix, "%svfioctl unassign %s --gpu %s, then vfioctl assign",
                            verdict == VFIOCTL_GONE ? "put it back, or " : "", typed_vm(vms, vm), was);
        if (r < 0)
                return r;
        switch (verdict) {
        case VFIOCTL_SAME:
                return 0;
        case VFIOCTL_MOVED:
                finding.code = "moved";
                finding.gpu = gpu->functions[0]->text;
                finding.fix = vfioctl_vms_is_running(vms, vm)
                                      ? "shut it down; the next reconcile mends the definition"
                                      : "vfioctl reconcile";
                return finding_addf(findings, finding,
                                    "bus numbers moved: the definition of VM %s still has it at %s", name,
                                    was);
        case VFIOCTL_EDITED:
                finding.severity = VFIOCTL_WARNING;
                finding.code = "edited";
                return finding_addf(
                        findings, finding,
                        "the definition of VM %s was edited by hand where it names GPU %s; it is left alone",
                        name, assignment->name);
        case VFIOCTL_SWAPPED:
                finding.code = "swapped";
                finding.gpu = gpu->functions[0]->text;
                finding.fix = fix;
                return finding_addf(findings, finding, "where VM %s had GPU %s (%s) is another card now (%s)",
                                    name, assignment->name, was, vfioctl_gpu_card(gpu));
        case VFIOCTL_GONE:
                finding.code = "gone";
                finding.fix = fix;
                return finding_addf(findings, finding, "GPU %s (%s) of VM %s is not in this host any more",
                                    assignment->name, was, name);
        }
        return 0;
}
