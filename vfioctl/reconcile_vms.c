/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile.h"

/* The VM with this UUID; SIZE_MAX when there is none. */
static size_t find_vm(const struct vfioctl_vms *vms, const char *uuid)
{
        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++)
                if (util_equal(vfioctl_vms_uuid(vms, i), uuid))
                        return i;
        return SIZE_MAX;
}

/* ---- claims ---- */

static void claim_for(struct reconcile *reconcile, const struct vfioctl_gpu *gpu, size_t vm)
{
        char name[256];
        struct vfioctl_claim claim = {
                .uuid = vfioctl_vms_uuid(reconcile->vms, vm),
                .name = printable(vfioctl_vms_name(reconcile->vms, vm), name, sizeof(name))};

        if (!claim.uuid || util_equal(vfioctl_gpu_claim_uuid(gpu), claim.uuid))
                return;
        reconcile_changed(reconcile, gpu, "noted that VM %s runs with it", claim.name);
        int r = reconcile->cli->options.dry_run ? 0 : vfioctl_claim_record(reconcile->cli->ctx, gpu, &claim);
        if (r < 0)
                reconcile_failed(reconcile, gpu, "its claim cannot be noted", r);
}

/* The claim was read before libvirt was asked. */
static void drop_stale(struct reconcile *reconcile, const struct vfioctl_gpu *gpu)
{
        if (!vfioctl_gpu_claim_is_stale(gpu, reconcile->vms))
                return;
        int r = reconcile->cli->options.dry_run ? 0 : vfioctl_claim_drop(reconcile->cli->ctx, gpu);
        if (r == -EAGAIN)
                return;
        if (r < 0) {
                reconcile_failed(reconcile, gpu, "a stale claim cannot be dropped", r);
                return;
        }
        reconcile_changed(reconcile, gpu, "dropped the claim of VM %s, which does not run",
                          vfioctl_gpu_claim_name(gpu));
        reconcile_mark_mended(reconcile, gpu);
}

/* A GPU that is not there has no VM, nor will have one by that address. */
static void forget_gone(struct reconcile *reconcile)
{
        _cleanup_free_ struct vfioctl_address *claimed = NULL;
        char text[VFIOCTL_ADDRESS_SIZE];
        size_t count = 0;

        int r = vfioctl_claims_of(reconcile->cli->ctx, NULL, &claimed, &count);
        for (size_t i = 0; r >= 0 && i < count; i++) {
                if (vfioctl_snapshot_gpu_at(reconcile->snapshot, &claimed[i]))
                        continue;
                reconcile_changed(reconcile, NULL, "dropped the claim on %s, which is gone",
                                  vfioctl_address_format(&claimed[i], text));
                if (!reconcile->cli->options.dry_run)
                        r = vfioctl_claim_forget(reconcile->cli->ctx, &claimed[i]);
        }
        if (r < 0)
                reconcile_failed(reconcile, NULL, "the claim on a GPU that is gone stays", r);
}

void reconcile_claims(struct reconcile *reconcile)
{
        forget_gone(reconcile);
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(reconcile->snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(reconcile->snapshot, i);
                bool runs = false;
                for (size_t k = 0; reconcile->vms && k < vfioctl_vms_count(reconcile->vms); k++) {
                        if (!vfioctl_vms_runs_gpu(reconcile->vms, k, gpu))
                                continue;
                        runs = true;
                        claim_for(reconcile, gpu, k);
                }
                if (!runs)
                        drop_stale(reconcile, gpu);
        }
}

/* ---- assignments ---- */

struct moves {
        struct vfioctl_domain_move items[64];
        struct vfioctl_address functions[64][8];
        size_t count;
};

static void tell_verdict(struct reconcile *reconcile, size_t vm, size_t index)
{
        int r = vfioctl_check_assignment(reconcile->snapshot, reconcile->vms, vm, index, reconcile->problems);
        if (r < 0)
                reconcile_failed(reconcile, NULL, "an assignment cannot be judged", r);
}

static int note_move(struct moves *moves, const struct vfioctl_domain *domain, const struct virt_calls *calls,
                     const struct vfioctl_assignment *assignment, const struct vfioctl_gpu *gpu)
{
        if (moves->count == ELEMENTSOF(moves->items))
                return -E2BIG;
        for (size_t i = 0; i < calls->gpu_count(domain); i++) {
                const struct vfioctl_domain_entry *entry = calls->gpu_entry(domain, i);
                struct vfioctl_domain_move *move = &moves->items[moves->count];
                if (entry->is_edited || !util_equal(entry->identity, assignment->identity) ||
                    vfioctl_address_compare(&entry->functions[0], &assignment->functions[0]) != 0)
                        continue;
                size_t count = vfioctl_gpu_function_count(gpu);
                move->index = i;
                move->n_functions = count < 8 ? count : 8;
                move->functions = moves->functions[moves->count];
                for (size_t k = 0; k < move->n_functions; k++)
                        if (vfioctl_address_parse(vfioctl_function_address(vfioctl_gpu_function(gpu, k)),
                                                  &moves->functions[moves->count][k]) < 0)
                                return -EINVAL;
                moves->count++;
                return 0;
        }
        /* Read again, the definition is another one: somebody is at work on it. */
        return -ESTALE;
}

static int edit(struct reconcile *reconcile, size_t vm, struct vfioctl_domain *domain)
{
        _cleanup_free_ struct moves *moves = calloc(1, sizeof(*moves));
        int r = moves ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < vfioctl_vms_assignment_count(reconcile->vms, vm); i++) {
                const struct vfioctl_assignment *assignment = vfioctl_vms_assignment(reconcile->vms, vm, i);
                const struct vfioctl_gpu *gpu;
                if (vfioctl_judge(reconcile->snapshot, assignment, &gpu) == VFIOCTL_MOVED)
                        r = note_move(moves, domain, &reconcile->calls, assignment, gpu);
        }
        return r < 0 ? r : reconcile->calls.move_gpus(domain, moves->items, moves->count);
}

static int redefine(struct reconcile *reconcile, size_t vm, struct vfioctl_findings *findings)
{
        const char *name = vfioctl_vms_name(reconcile->vms, vm);
        _cleanup_free_ char *xml = NULL, *new_xml = NULL;
        struct vfioctl_domain *domain = NULL;

        int r = reconcile->calls.read(reconcile->virt, name, findings, &domain, &xml);
        if (r >= 0)
                r = edit(reconcile, vm, domain);
        if (r >= 0)
                r = reconcile->calls.domain_format(domain, &new_xml);
        if (r >= 0)
                r = reconcile->calls.define(reconcile->virt, name, xml, new_xml, findings, NULL);
        if (domain)
                reconcile->calls.domain_free(domain);
        return r;
}

static void tell_moves(struct reconcile *reconcile, size_t vm)
{
        char was[VFIOCTL_ADDRESS_SIZE], shown[80];

        for (size_t i = 0; i < vfioctl_vms_assignment_count(reconcile->vms, vm); i++) {
                const struct vfioctl_assignment *assignment = vfioctl_vms_assignment(reconcile->vms, vm, i);
                const struct vfioctl_gpu *gpu;
                if (vfioctl_judge(reconcile->snapshot, assignment, &gpu) == VFIOCTL_MOVED)
                        reconcile_changed(
                                reconcile, gpu, "it was at %s, and is told so to VM %s",
                                vfioctl_address_format(&assignment->functions[0], was),
                                printable(vfioctl_vms_name(reconcile->vms, vm), shown, sizeof(shown)));
        }
}

static void mend(struct reconcile *reconcile, size_t vm)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        const char *name = vfioctl_vms_name(reconcile->vms, vm);
        struct vfioctl_finding finding = {.severity = VFIOCTL_REFUSAL, .code = "moved", .culprit = name};

        if (vfioctl_vms_is_running(reconcile->vms, vm)) {
                for (size_t i = 0; i < vfioctl_vms_assignment_count(reconcile->vms, vm); i++) {
                        const struct vfioctl_gpu *gpu;
                        if (vfioctl_judge(reconcile->snapshot, vfioctl_vms_assignment(reconcile->vms, vm, i),
                                          &gpu) == VFIOCTL_MOVED)
                                tell_verdict(reconcile, vm, i);
                }
                return;
        }
        if (reconcile->cli->options.dry_run) {
                tell_moves(reconcile, vm);
                return;
        }
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = redefine(reconcile, vm, findings);
        if (r >= 0) {
                tell_moves(reconcile, vm);
                reconcile->mended[vm] = true;
                return;
        }
        for (size_t i = 0; findings && i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *found = vfioctl_findings_get(findings, i);
                reconcile_problem(reconcile, *found, "%s", found->text);
        }
        /* A managed save is for the admin; the rest ought to have worked. */
        if (r != -EPERM)
                reconcile->failed = true;
        if (!findings || vfioctl_findings_count(findings) == 0)
                reconcile_problem(reconcile, finding, "the definition of VM %s cannot be mended: %s", name,
                                  strerror(-r));
}

void reconcile_assignments(struct reconcile *reconcile)
{
        for (size_t i = 0; reconcile->vms && i < vfioctl_vms_count(reconcile->vms); i++) {
                bool has_moved = false;
                for (size_t k = 0; k < vfioctl_vms_assignment_count(reconcile->vms, i); k++) {
                        const struct vfioctl_assignment *assignment =
                                vfioctl_vms_assignment(reconcile->vms, i, k);
                        const struct vfioctl_gpu *gpu;
                        enum vfioctl_verdict verdict = vfioctl_judge(reconcile->snapshot, assignment, &gpu);
                        /* That is mended, or told by who cannot. */
                        if (verdict == VFIOCTL_MOVED)
                                has_moved = true;
                        else
                                tell_verdict(reconcile, i, k);
                }
                if (has_moved)
                        mend(reconcile, i);
        }
}

/* ---- refused starts ---- */

static void start(struct reconcile *reconcile, size_t vm, const char *reason)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        const char *name = vfioctl_vms_name(reconcile->vms, vm);

        if (reconcile->cli->options.dry_run) {
                reconcile_changed(reconcile, NULL, "VM %s would be started; it had not been: %s", name,
                                  reason);
                return;
        }
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = reconcile->calls.start(reconcile->virt, name, findings);
        if (r >= 0) {
                reconcile_changed(reconcile, NULL, "started VM %s; it had not been: %s", name, reason);
                return;
        }
        reconcile->failed = true;
        for (size_t i = 0; findings && i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *found = vfioctl_findings_get(findings, i);
                reconcile_problem(reconcile, *found, "%s", found->text);
        }
}

static int look_at_refusal(void *userdata, const char *uuid, const char *name, const char *reason,
                           int64_t when)
{
        struct reconcile *reconcile = userdata;
        size_t vm = find_vm(reconcile->vms, uuid);

        (void)name;
        (void)when;
        if (vm == SIZE_MAX || vfioctl_vms_is_running(reconcile->vms, vm)) {
                if (!reconcile->cli->options.dry_run)
                        (void)vfioctl_refusal_forget(reconcile->cli->ctx, uuid);
                return 0;
        }
        if (reconcile->mended[vm] && vfioctl_vms_is_autostart(reconcile->vms, vm))
                start(reconcile, vm, reason);
        return 0;
}

void reconcile_refusals(struct reconcile *reconcile)
{
        if (reconcile->vms)
                (void)vfioctl_refusals_each(reconcile->cli->ctx, look_at_refusal, reconcile);
}
