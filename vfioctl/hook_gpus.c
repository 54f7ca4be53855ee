/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hook.h"

/* The VM's GPUs that are ours, on the host as it is now. */
struct gpus {
        struct vfioctl_snapshot *snapshot;
        const struct vfioctl_gpu **items;
        size_t count;
};

static void gpus_clear(struct gpus *gpus)
{
        free(gpus->items);
        gpus->items = NULL;
        gpus->snapshot = vfioctl_snapshot_free(gpus->snapshot);
}
#define _cleanup_gpus_ _cleanup_(gpus_clear)

#define SNAPSHOT_FLAGS                                                                                       \
        (VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST | VFIOCTL_SNAPSHOT_DETAILS |                       \
         VFIOCTL_SNAPSHOT_CHANGE)

/* Looks at the GPUs at the addresses of the definition, of our metadata in it, and at those that are claimed.
 */
static int look(struct hook *hook, unsigned int flags, const struct vfioctl_address *claimed,
                size_t n_claimed, struct vfioctl_snapshot **ret)
{
        size_t n_hostdevs = hook->calls.hostdev_count(hook->domain),
               n_entries = hook->calls.gpu_count(hook->domain);
        size_t room = n_hostdevs + n_entries + n_claimed, count = 0;
        _cleanup_free_ char(*texts)[VFIOCTL_ADDRESS_SIZE] = calloc(room ? room : 1, sizeof(*texts));
        _cleanup_free_ const char **names = calloc(room ? room : 1, sizeof(*names));

        if (!texts || !names)
                return -ENOMEM;
        for (size_t i = 0; i < n_hostdevs; i++, count++)
                names[count] = vfioctl_address_format(hook->calls.hostdev(hook->domain, i), texts[count]);
        for (size_t i = 0; i < n_entries; i++) {
                const struct vfioctl_domain_entry *entry = hook->calls.gpu_entry(hook->domain, i);
                if (entry->n_functions > 0)
                        names[count] = vfioctl_address_format(&entry->functions[0], texts[count]), count++;
        }
        for (size_t i = 0; i < n_claimed; i++, count++)
                names[count] = vfioctl_address_format(&claimed[i], texts[count]);
        return vfioctl_snapshot_take_for(hook->cli->ctx, flags, names, count, ret);
}

static int add(struct gpus *gpus, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < gpus->count; i++)
                if (gpus->items[i] == gpu)
                        return 0;
        const struct vfioctl_gpu **grown = reallocarray(gpus->items, gpus->count + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        gpus->items = grown;
        gpus->items[gpus->count++] = gpu;
        return 0;
}

static struct vfioctl_assignment assignment_of(const struct vfioctl_domain_entry *entry)
{
        return (struct vfioctl_assignment){.name = entry->name,
                                           .identity = entry->identity,
                                           .functions = entry->functions,
                                           .n_functions = entry->n_functions,
                                           .is_edited = entry->is_edited};
}

/* Ours are those of the configuration, and those that our own metadata records. */
static int find_gpus_of_vm(struct hook *hook, unsigned int flags, struct gpus *gpus)
{
        int r = look(hook, flags, NULL, 0, &gpus->snapshot);

        for (size_t i = 0; r >= 0 && i < hook->calls.hostdev_count(hook->domain); i++) {
                const struct vfioctl_gpu *gpu =
                        vfioctl_snapshot_gpu_at(gpus->snapshot, hook->calls.hostdev(hook->domain, i));
                if (gpu && (vfioctl_gpu_is_ours(gpu) || hook->calls.hostdev_is_ours(hook->domain, i)))
                        r = add(gpus, gpu);
        }
        return r;
}

static int explain(char **ret, const char *format, ...) _printf_(2, 3);

static int explain(char **ret, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        int length = vasprintf(ret, format, arguments);
        va_end(arguments);
        if (length < 0)
                *ret = NULL;
        return CODE_FAILED;
}

static int explain_verdict(const struct hook *hook, const struct vfioctl_domain_entry *entry,
                           enum vfioctl_verdict verdict, const struct vfioctl_gpu *gpu, char **ret)
{
        char was[VFIOCTL_ADDRESS_SIZE];

        (void)vfioctl_address_format(&entry->functions[0], was);
        if (verdict == VFIOCTL_MOVED)
                return explain(ret,
                               "moved: its GPU %s is at %s now, and was at %s (bus numbers moved); to mend "
                               "it: vfioctl reconcile",
                               entry->name, vfioctl_gpu_address(gpu), was);
        if (verdict == VFIOCTL_SWAPPED)
                return explain(ret,
                               "swapped: where its GPU %s was (%s) is another card now (%s at %s); to mend "
                               "it: vfioctl unassign %s --gpu %s, then vfioctl assign",
                               entry->name, was, vfioctl_gpu_name(gpu), vfioctl_gpu_address(gpu),
                               typed_vm(hook->vm, hook->calls.domain_uuid(hook->domain)), was);
        return explain(ret,
                       "gone: its GPU %s (%s) is not in this host any more; to mend it: vfioctl unassign %s "
                       "--gpu %s",
                       entry->name, was, typed_vm(hook->vm, hook->calls.domain_uuid(hook->domain)), was);
}

/* Does each address still lead to that GPU? Only where it does not, all others are looked at. */
static int check_identities(struct hook *hook, const struct gpus *gpus, char **ret_reason)
{
        for (size_t i = 0; i < hook->calls.gpu_count(hook->domain); i++) {
                const struct vfioctl_domain_entry *entry = hook->calls.gpu_entry(hook->domain, i);
                const struct vfioctl_assignment assignment = assignment_of(entry);
                _cleanup_snapshot_ struct vfioctl_snapshot *all = NULL;
                const struct vfioctl_gpu *gpu;
                enum vfioctl_verdict verdict = vfioctl_judge(gpus->snapshot, &assignment, &gpu);
                if (verdict == VFIOCTL_SAME || verdict == VFIOCTL_EDITED)
                        continue;
                int r = vfioctl_snapshot_take(hook->cli->ctx, VFIOCTL_SNAPSHOT_DETAILS, &all);
                if (r < 0)
                        return explain(ret_reason, "cannot read the host's PCI devices: %s", strerror(-r));
                verdict = vfioctl_judge(all, &assignment, &gpu);
                if (verdict != VFIOCTL_SAME)
                        return explain_verdict(hook, entry, verdict, gpu, ret_reason);
        }
        return CODE_DONE;
}

static int explain_findings(const struct gpus *gpus, const struct vfioctl_findings *findings, char **ret)
{
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (finding->severity == VFIOCTL_REFUSAL) {
                        *ret = finding_line(gpus->snapshot, finding);
                        return CODE_FAILED;
                }
        }
        return explain(ret, "it failed, and nobody knows why");
}

/* Carries out a plan. CODE_DONE, CODE_FAILED with the reason, or -EAGAIN. */
static int carry_out(struct hook *hook, const struct gpus *gpus, const struct vfioctl_plan *plan,
                     char **ret_reason)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        enum vfioctl_outcome outcome;

        if (vfioctl_findings_have_refusal(vfioctl_plan_findings(plan)))
                return explain_findings(gpus, vfioctl_plan_findings(plan), ret_reason);
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = vfioctl_probe_busy(hook->cli->ctx, plan, findings);
        if (r >= 0 && vfioctl_findings_have_refusal(findings))
                return explain_findings(gpus, findings, ret_reason);
        if (r >= 0 && vfioctl_plan_step_count(plan) == 0)
                return CODE_DONE;
        if (r >= 0)
                r = vfioctl_apply(hook->cli->ctx, plan, NULL, findings, &outcome);
        if (r == -EAGAIN)
                return r;
        if (r == -EBUSY)
                return explain(ret_reason,
                               "another vfioctl is at work on its GPU and does not end; try again later");
        if (r < 0)
                return explain(ret_reason, "%s", strerror(-r));
        return outcome == VFIOCTL_DONE ? CODE_DONE : explain_findings(gpus, findings, ret_reason);
}

static int claim_intent(struct hook *hook, const struct gpus *gpus, const struct vfioctl_process *daemon,
                        struct vfioctl_intent **ret)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        const char *uuid = hook->calls.domain_uuid(hook->domain);
        struct vfioctl_claim claim = {.uuid = uuid ? uuid : "-", .name = hook->vm, .daemon = *daemon};

        int r = vfioctl_intent_new(&intent);
        for (size_t i = 0; r >= 0 && i < gpus->count; i++)
                r = vfioctl_intent_claim(intent, gpus->items[i], &claim);
        if (r >= 0)
                *ret = util_steal(intent);
        return r;
}

static int prepare_once(struct hook *hook, char **ret_reason)
{
        _cleanup_gpus_ struct gpus gpus = {.count = 0};
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        _cleanup_plan_ struct vfioctl_plan *plan = NULL;

        int r = find_gpus_of_vm(hook, SNAPSHOT_FLAGS, &gpus);
        if (r < 0)
                return explain(ret_reason, "cannot read the host's PCI devices: %s", strerror(-r));
        int code = check_identities(hook, &gpus, ret_reason);
        if (code != CODE_DONE || gpus.count == 0)
                return code;
        r = claim_intent(hook, &gpus, &hook->daemon, &intent);
        if (r >= 0)
                r = vfioctl_plan_new(gpus.snapshot, NULL, intent, 0, &plan);
        return r < 0 ? explain(ret_reason, "%s", strerror(-r)) : carry_out(hook, &gpus, plan, ret_reason);
}

int hook_prepare(struct hook *hook, char **ret_reason)
{
        int code = -EAGAIN;

        for (int i = 0; code == -EAGAIN && i < TRIES_MAX; i++)
                code = prepare_once(hook, ret_reason);
        return code == -EAGAIN ? explain(ret_reason, "others keep changing its GPU; try again later") : code;
}

/* ---- after the VM ---- */

/* Of GPUs that were pulled while the VM had them. */
static int forget_gone(struct hook *hook, const struct vfioctl_snapshot *snapshot,
                       const struct vfioctl_address *claimed, size_t count)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < count; i++)
                if (!vfioctl_snapshot_gpu_at(snapshot, &claimed[i]))
                        r = vfioctl_claim_forget(hook->cli->ctx, &claimed[i]);
        return r;
}

static int release_claims(struct hook *hook, const char *uuid)
{
        _cleanup_gpus_ struct gpus gpus = {.count = 0};
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        _cleanup_plan_ struct vfioctl_plan *plan = NULL;
        _cleanup_free_ struct vfioctl_address *claimed = NULL;
        _cleanup_free_ char *reason = NULL;
        size_t n_claimed = 0;

        int r = vfioctl_claims_of(hook->cli->ctx, uuid, &claimed, &n_claimed);
        if (r >= 0)
                r = look(hook, 0, claimed, n_claimed, &gpus.snapshot);
        if (r >= 0)
                r = forget_gone(hook, gpus.snapshot, claimed, n_claimed);
        if (r >= 0)
                r = vfioctl_intent_new(&intent);
        for (size_t i = 0; r >= 0 && i < vfioctl_snapshot_gpu_count(gpus.snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(gpus.snapshot, i);
                if (util_equal(vfioctl_gpu_claim_uuid(gpu), uuid))
                        r = vfioctl_intent_release(intent, gpu, uuid);
        }
        if (r >= 0)
                r = vfioctl_plan_new(gpus.snapshot, NULL, intent, 0, &plan);
        if (r < 0) {
                journal(hook->cli, true, "hook: cannot drop the claims of VM %s: %s", hook->vm, strerror(-r));
                return 0;
        }
        int code = carry_out(hook, &gpus, plan, &reason);
        if (code == CODE_FAILED)
                journal(hook->cli, true, "hook: cannot drop the claims of VM %s: %s", hook->vm,
                        reason ? reason : strerror(ENOMEM));
        return code == -EAGAIN ? code : 0;
}

/* One GPU at a time: another one's holder must not keep this one. */
static int give_back(struct hook *hook, const struct gpus *gpus, const struct vfioctl_gpu *gpu)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        _cleanup_plan_ struct vfioctl_plan *plan = NULL;
        _cleanup_free_ char *reason = NULL;

        int r = vfioctl_intent_new(&intent);
        if (r >= 0)
                r = vfioctl_intent_set_mode(intent, gpu, VFIOCTL_MODE_HOST);
        if (r >= 0)
                r = vfioctl_plan_new(gpus->snapshot, NULL, intent, 0, &plan);
        int code = r < 0 ? explain(&reason, "%s", strerror(-r)) : carry_out(hook, gpus, plan, &reason);
        if (code == CODE_FAILED)
                journal(hook->cli, true, "after VM %s, %s does not go back to the host: %s", hook->vm,
                        vfioctl_gpu_name(gpu), reason ? reason : strerror(ENOMEM));
        else if (code == CODE_DONE && vfioctl_plan_step_count(plan) > 0)
                journal(hook->cli, false, "after VM %s, %s (%s) is in mode host again", hook->vm,
                        vfioctl_gpu_name(gpu), vfioctl_gpu_address(gpu));
        return code;
}

/* idle = host: only for GPUs that no other VM claims, and that nobody holds. */
static int let_rest(struct hook *hook)
{
        _cleanup_gpus_ struct gpus gpus = {.count = 0};
        int code = 0;

        int r = find_gpus_of_vm(hook, SNAPSHOT_FLAGS, &gpus);
        if (r < 0)
                return 0;
        for (size_t i = 0; code != -EAGAIN && i < gpus.count; i++)
                if (vfioctl_gpu_is_ours(gpus.items[i]) &&
                    vfioctl_gpu_idle(gpus.items[i]) == VFIOCTL_MODE_HOST &&
                    !vfioctl_gpu_claim_is_live(gpus.items[i]))
                        code = give_back(hook, &gpus, gpus.items[i]);
        return code == -EAGAIN ? code : 0;
}

void hook_release(struct hook *hook)
{
        const char *uuid = hook->calls.domain_uuid(hook->domain);
        int r = -EAGAIN;

        for (int i = 0; uuid && r == -EAGAIN && i < TRIES_MAX; i++)
                r = release_claims(hook, uuid);
        r = -EAGAIN;
        for (int i = 0; r == -EAGAIN && i < TRIES_MAX; i++)
                r = let_rest(hook);
}

/* The VM runs: what it has is true, whatever was noted before. Nothing is bound, and nothing is judged. */
void hook_reconnect(struct hook *hook)
{
        _cleanup_gpus_ struct gpus gpus = {.count = 0};
        const char *uuid = hook->calls.domain_uuid(hook->domain);

        int r = find_gpus_of_vm(hook, 0, &gpus);
        for (size_t i = 0; r >= 0 && uuid && i < gpus.count; i++) {
                struct vfioctl_claim claim = {.uuid = uuid, .name = hook->vm, .daemon = hook->daemon};
                r = vfioctl_claim_record(hook->cli->ctx, gpus.items[i], &claim);
        }
        if (r < 0)
                journal(hook->cli, true, "hook: cannot note the GPUs of VM %s: %s", hook->vm, strerror(-r));
}
