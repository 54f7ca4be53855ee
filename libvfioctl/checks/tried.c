/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"
#include "text.h"

struct proof *gpu_proof_on(const struct vfioctl_gpu *gpu, const char *kernel)
{
        for (size_t i = 0; kernel && i < gpu->n_proofs; i++)
                if (util_equal(gpu->proofs[i].kernel, kernel))
                        return &gpu->proofs[i];
        return NULL;
}

int check_tried(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL;

        if (!gpu->proof || gpu->proof->passed)
                return 0;
        int r = util_format(&fix, "vfioctl try %s", gpu->name);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                             .code = "tried-failed",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = gpu->functions[0]->text,
                                                             .fix = fix},
                                    "its last try on kernel %s failed: %s", gpu->proof->kernel,
                                    gpu->proof->reason ? gpu->proof->reason : "no reason was noted");
}

/* ---- what is not proved ---- */

static bool same_kind(const struct vfioctl_gpu *a, const struct vfioctl_gpu *b)
{
        const struct vfioctl_function *x = a->functions[0], *y = b->functions[0];

        return x->vendor == y->vendor && x->device == y->device &&
               x->subsystem_vendor == y->subsystem_vendor && x->subsystem_device == y->subsystem_device &&
               x->revision == y->revision;
}

static bool is_used(const struct vfioctl_gpu *gpu)
{
        return gpu->claim.is_live || gpu->n_holders > 0;
}

/* A pass is for all cards of a kind, so the first that can be tried now speaks for them, or else the first.
 */
static int speaks_for_kind(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu, bool *ret)
{
        const struct vfioctl_gpu *speaker = NULL;
        bool can_speak;

        *ret = false;
        int s = gpu_can_be_handed_out(snapshot, gpu, &can_speak);
        if (s < 0 || !can_speak)
                return s;
        for (size_t i = 0; i < snapshot->n_gpus && (!speaker || is_used(speaker)); i++) {
                const struct vfioctl_gpu *other = snapshot->gpus[i];
                bool is_ready;
                if (other->on_board || !same_kind(other, gpu) || (speaker && is_used(other)))
                        continue;
                int r = gpu_can_be_handed_out(snapshot, other, &is_ready);
                if (r < 0)
                        return r;
                if (is_ready)
                        speaker = other;
        }
        *ret = speaker == gpu;
        return 0;
}

/* Versions compare as people read them. */
static const struct proof *newest_passed(const struct vfioctl_gpu *gpu)
{
        const struct proof *newest = NULL;

        for (size_t i = 0; i < gpu->n_proofs; i++)
                if (gpu->proofs[i].passed &&
                    (!newest || strverscmp(gpu->proofs[i].kernel, newest->kernel) > 0))
                        newest = &gpu->proofs[i];
        return newest;
}

static int tell_untried(const struct vfioctl_gpu *gpu, const char *kernel, bool runs,
                        const struct proof *passed, const char *fix, struct vfioctl_findings *findings)
{
        struct vfioctl_finding finding = {.severity = VFIOCTL_WARNING,
                                          .code = "untried-kernel",
                                          .gpu = gpu->functions[0]->text,
                                          .culprit = kernel,
                                          .fix = fix};

        if (passed && runs)
                return finding_addf(findings, finding,
                                    "kernel %s runs, and on it such a card was not tried; on %s it passed",
                                    kernel, passed->kernel);
        if (passed)
                return finding_addf(findings, finding,
                                    "the next boot is of kernel %s, and on it such a card was not tried; on "
                                    "%s it passed: try it when that one runs",
                                    kernel, passed->kernel);
        finding.severity = VFIOCTL_NOTE;
        finding.code = "untried";
        return finding_addf(findings, finding,
                            "such a card was not tried on kernel %s: whether it comes back from a VM is not "
                            "known",
                            kernel);
}

int check_untried(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                  struct vfioctl_findings *findings)
{
        const struct proof *passed = newest_passed(gpu);
        const char *kernel = snapshot->facts.kernel, *next = snapshot->facts.next_kernel;
        _cleanup_free_ char *fix = NULL;
        bool runs = !gpu_proof_on(gpu, kernel), speaks;

        if (!kernel || (!runs && (!next || !passed || gpu_proof_on(gpu, next))))
                return 0;
        int r = speaks_for_kind(snapshot, gpu, &speaks);
        if (r < 0 || !speaks)
                return r;
        r = util_format(&fix, "vfioctl try %s", gpu->name);
        return r < 0 ? r : tell_untried(gpu, runs ? kernel : next, runs, passed, fix, findings);
}

/* ---- what stands against trying ---- */

static int refuse_for_vm(const struct vfioctl_gpu *gpu, const struct vfioctl_gpu *in_use, const char *vm,
                         struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL, *word = NULL;
        struct vfioctl_finding finding = {
                .severity = VFIOCTL_REFUSAL, .gpu = gpu->functions[0]->text, .culprit = vm};

        int r = text_shell_word(vm, &word);
        if (r >= 0)
                r = util_format(&fix, "virsh shutdown %s (or vfioctl reconcile, when it does not run)", word);
        if (r < 0)
                return r;
        finding.fix = fix;
        if (gpu == in_use) {
                finding.code = "claimed";
                return finding_addf(findings, finding, "VM %s is starting or running with it", vm);
        }
        if (gpu->group != in_use->group) {
                finding.code = "reset-scope";
                return finding_addf(
                        findings, finding,
                        "a reset of it also resets %s, and VM %s is starting or running with that",
                        in_use->name, vm);
        }
        finding.code = "group-shared";
        return finding_addf(findings, finding,
                            "IOMMU group %d goes to one VM as a whole, and VM %s is starting or running with "
                            "%s in it",
                            gpu->group->number, vm, in_use->name);
}

static int check_running(const struct vfioctl_gpu *gpu, const struct vfioctl_gpu *other,
                         const struct vfioctl_vms *vms, struct vfioctl_findings *findings)
{
        int r = 0;

        if (other->claim.is_live)
                r = refuse_for_vm(gpu, other, other->claim.name, findings);
        for (size_t i = 0; vms && r >= 0 && i < vfioctl_vms_count(vms); i++)
                if (vfioctl_vms_runs_gpu(vms, i, other) &&
                    !(other->claim.is_live && util_equal(other->claim.uuid, vfioctl_vms_uuid(vms, i))))
                        r = refuse_for_vm(gpu, other, vfioctl_vms_name(vms, i), findings);
        return r;
}

/* Each start and stop of a VM resets the GPU, and with it whatever a process does with the other one. */
static int refuse_for_holders(const struct vfioctl_gpu *gpu, const struct vfioctl_gpu *other,
                              struct vfioctl_findings *findings)
{
        if (other->n_holders == 0)
                return 0;
        const struct vfioctl_holder *holder = &other->holders[0];
        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                     .code = "reset-scope",
                                                     .gpu = gpu->functions[0]->text,
                                                     .culprit = other->functions[0]->text,
                                                     .fix = "end what uses it first"},
                            "a reset of it also resets %s, which pid %d (%s) has open", other->name,
                            holder->pid, holder->command);
}

VFIOCTL_EXPORT int vfioctl_check_trial(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                                       const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        int r = check_hardware(snapshot, gpu, NULL, findings);

        if (r >= 0)
                r = check_running(gpu, gpu, vms, findings);
        for (size_t i = 0; r >= 0 && gpu->group && i < gpu->group->n_members; i++) {
                const struct vfioctl_gpu *other = gpu->group->members[i]->gpu;
                if (other && other != gpu && other->functions[0] == gpu->group->members[i])
                        r = check_running(gpu, other, vms, findings);
        }
        for (size_t i = 0; r >= 0 && i < gpu->n_scope; i++) {
                const struct vfioctl_gpu *other = gpu->scope[i]->gpu;
                if (!other || other->functions[0] != gpu->scope[i])
                        continue;
                /* One of the group was looked at above. */
                if (!gpu->group || other->group != gpu->group)
                        r = check_running(gpu, other, vms, findings);
                if (r >= 0)
                        r = refuse_for_holders(gpu, other, findings);
        }
        return r < 0 ? r : check_holders(gpu, VFIOCTL_REFUSAL, findings);
}
