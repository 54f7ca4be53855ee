/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

static bool is_wanted(const struct vfioctl_gpu *gpu)
{
        return vfioctl_gpu_is_ours(gpu) && vfioctl_gpu_idle(gpu) == VFIOCTL_MODE_VM;
}

/* Told where a person looks, and where one looks later. */
static void tell(struct cli *cli, const char *format, ...) _printf_(2, 3);

static void tell(struct cli *cli, const char *format, ...)
{
        _cleanup_free_ char *line = NULL;
        va_list arguments;

        va_start(arguments, format);
        if (vasprintf(&line, format, arguments) < 0)
                line = NULL;
        va_end(arguments);
        complain("boot: %s", line ? line : strerror(ENOMEM));
        journal(cli, true, "boot: %s", line ? line : strerror(ENOMEM));
}

/* The GPU, and those of its group that go along: a group goes as a whole. */
static int intent_for(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                      struct vfioctl_intent **ret)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;

        int r = vfioctl_intent_new(&intent);
        for (size_t i = 0; r >= 0 && i < vfioctl_snapshot_gpu_count(snapshot); i++) {
                const struct vfioctl_gpu *other = vfioctl_snapshot_gpu(snapshot, i);
                bool same_group =
                        vfioctl_gpu_group(gpu) && vfioctl_gpu_group(other) == vfioctl_gpu_group(gpu);
                if (other == gpu || (same_group && is_wanted(other)))
                        r = vfioctl_intent_set_mode(intent, other, VFIOCTL_MODE_VM);
        }
        if (r >= 0)
                *ret = util_steal(intent);
        return r;
}

static void tell_findings(struct cli *cli, const struct vfioctl_snapshot *snapshot,
                          const struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (finding->severity != VFIOCTL_REFUSAL)
                        continue;
                _cleanup_free_ char *line = finding_line(snapshot, finding);
                tell(cli, "%s", line ? line : strerror(ENOMEM));
        }
}

static int carry_out(struct cli *cli, const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                     const struct vfioctl_plan *plan)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        enum vfioctl_outcome outcome;

        if (vfioctl_findings_have_refusal(vfioctl_plan_findings(plan))) {
                tell_findings(cli, snapshot, vfioctl_plan_findings(plan));
                return CODE_REFUSED;
        }
        if (cli->options.dry_run) {
                if (vfioctl_plan_step_count(plan) > 0)
                        print_steps(plan);
                return CODE_DONE;
        }
        if (vfioctl_plan_step_count(plan) == 0)
                return CODE_DONE;
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = vfioctl_apply(cli->ctx, plan, NULL, findings, &outcome);
        if (r == -EAGAIN)
                return r;
        if (r < 0)
                return complain_errno(r, vfioctl_gpu_name(gpu));
        tell_findings(cli, snapshot, findings);
        if (outcome == VFIOCTL_DONE)
                journal(cli, false, "boot: %s (%s) is %s", vfioctl_gpu_name(gpu), vfioctl_gpu_address(gpu),
                        cli->options.early ? "kept for vfio-pci" : "in mode vm");
        return outcome_code(outcome);
}

/* One GPU (with its group) at a time, each from what is true then: what is wrong with one hinders no other.
 */
static int take(struct cli *cli, const char *address)
{
        unsigned int flags = VFIOCTL_SNAPSHOT_HOST |
                             (cli->options.early ? 0 : VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_CHANGE);
        int code = -EAGAIN;

        for (int i = 0; code == -EAGAIN && i < TRIES_MAX; i++) {
                _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
                _cleanup_intent_ struct vfioctl_intent *intent = NULL;
                _cleanup_plan_ struct vfioctl_plan *plan = NULL;
                const struct vfioctl_gpu *gpu;
                int r = vfioctl_snapshot_take_for(cli->ctx, flags, &address, 1, &snapshot);
                if (r >= 0)
                        r = vfioctl_snapshot_find(snapshot, address, &gpu);
                /* Pulled meanwhile. */
                if (r == -ENOENT)
                        return CODE_DONE;
                if (r >= 0)
                        r = intent_for(snapshot, gpu, &intent);
                if (r >= 0)
                        r = vfioctl_plan_new(snapshot, NULL, intent,
                                             cli->options.early ? VFIOCTL_PLAN_AIM : 0, &plan);
                code = r < 0 ? complain_errno(r, address) : carry_out(cli, snapshot, gpu, plan);
        }
        return code == -EAGAIN ? complain_errno(-EBUSY, address) : code;
}

/* The copy in the initramfs is as old as the initramfs; only its own run can tell what it said. */
static void compare_early(struct cli *cli, const char *policy)
{
        _cleanup_free_ char *early = NULL;

        if (vfioctl_boot_policy_of(cli->ctx, VFIOCTL_BOOT_EARLY, &early) < 0 || util_equal(early, policy))
                return;
        tell(cli, "initramfs-stale: the initramfs has another configuration than /etc/vfioctl; to mend it: "
                  "update-initramfs -u (or dracut --force)");
}

static int note_policy(struct cli *cli)
{
        _cleanup_free_ char *policy = NULL;

        if (cli->n_arguments > 0 || cli->options.dry_run)
                return 0;
        int r = vfioctl_ctx_boot_policy(cli->ctx, &policy);
        if (r < 0)
                return r;
        if (!cli->options.early)
                compare_early(cli, policy);
        r = vfioctl_boot_record(cli->ctx, cli->options.early ? VFIOCTL_BOOT_EARLY : VFIOCTL_BOOT_LATE,
                                policy);
        if (r < 0)
                journal(cli, true, "boot: cannot note that it ran: %s", strerror(-r));
        return 0;
}

/* Addresses of the GPUs to take: all of ours, or those of them that are named. */
static int list(struct cli *cli, char (**ret)[VFIOCTL_ADDRESS_SIZE], size_t *ret_count)
{
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        size_t count = 0;

        int code = take_snapshot(cli, VFIOCTL_SNAPSHOT_HOST, cli->n_arguments > 0, &snapshot);
        if (code != 0)
                return code;
        size_t room = vfioctl_snapshot_gpu_count(snapshot);
        _cleanup_free_ char(*list)[VFIOCTL_ADDRESS_SIZE] = calloc(room ? room : 1, sizeof(*list));
        if (!list)
                return complain_errno(-ENOMEM, "cannot look for GPUs");
        for (size_t i = 0; i < room; i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(snapshot, i);
                bool named = cli->n_arguments == 0;
                for (size_t k = 0; k < cli->n_arguments && !named; k++) {
                        const struct vfioctl_gpu *found;
                        named = vfioctl_snapshot_find(snapshot, cli->arguments[k], &found) >= 0 &&
                                found == gpu;
                }
                /* Even if it is listed; it is no fault of this boot. */
                if (named && is_wanted(gpu) && vfioctl_gpu_is_boot_display(gpu)) {
                        journal(cli, true, "boot: %s (%s) is the boot display, and stays with the host",
                                vfioctl_gpu_name(gpu), vfioctl_gpu_address(gpu));
                        continue;
                }
                if (named && is_wanted(gpu))
                        (void)snprintf(list[count++], VFIOCTL_ADDRESS_SIZE, "%s", vfioctl_gpu_address(gpu));
        }
        *ret = util_steal(list);
        *ret_count = count;
        return 0;
}

int verb_boot(struct cli *cli)
{
        _cleanup_free_ char(*addresses)[VFIOCTL_ADDRESS_SIZE] = NULL;
        size_t count = 0;
        int worst = CODE_DONE;

        if (vfioctl_ctx_is_off(cli->ctx)) {
                if (cli->options.verbose)
                        complain("boot: vfioctl=off is on the kernel's command line, so nothing is done");
                return CODE_DONE;
        }
        int r = note_policy(cli);
        if (r < 0)
                return complain_errno(r, "cannot read the configuration");
        int code = list(cli, &addresses, &count);
        if (code != 0)
                return code;
        for (size_t i = 0; i < count; i++) {
                code = take(cli, addresses[i]);
                worst = code > worst ? code : worst;
        }
        return worst;
}
