/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

struct change {
        enum vfioctl_mode mode;
        const struct vfioctl_gpu **gpus;
        struct vfioctl_snapshot *snapshot;
        struct vfioctl_plan *plan;
};

static void change_clear(struct change *change)
{
        free(change->gpus);
        change->gpus = NULL;
        change->plan = vfioctl_plan_free(change->plan);
        change->snapshot = vfioctl_snapshot_free(change->snapshot);
}

static int prepare(struct cli *cli, struct change *change)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;

        int code =
                take_snapshot(cli, VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST | VFIOCTL_SNAPSHOT_CHANGE,
                              true, &change->snapshot);
        if (code == 0)
                code = find_gpus(change->snapshot, cli->arguments, cli->n_arguments, &change->gpus);
        if (code != 0)
                return code;
        int r = vfioctl_intent_new(&intent);
        for (size_t i = 0; r >= 0 && i < cli->n_arguments; i++)
                r = vfioctl_intent_set_mode(intent, change->gpus[i], change->mode);
        if (r >= 0)
                r = vfioctl_plan_new(change->snapshot, NULL, intent, 0, &change->plan);
        return r < 0 ? complain_errno(r, "cannot plan") : 0;
}

/* The mode as it is now. to-vm has read the driver back, but a host driver may be missing, and no error. */
static enum vfioctl_mode mode_now(struct cli *cli, const struct change *change, const struct vfioctl_gpu *gpu)
{
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        const char *address = vfioctl_gpu_address(gpu);
        const struct vfioctl_gpu *now = NULL;

        if (change->mode == VFIOCTL_MODE_VM ||
            vfioctl_snapshot_take_for(cli->ctx, 0, &address, 1, &snapshot) < 0 ||
            vfioctl_snapshot_find(snapshot, address, &now) < 0)
                return change->mode;
        return vfioctl_gpu_mode(now);
}

/* Where nobody asks who uses the GPU before libvirt takes it for a VM, that is told. */
static void warn_unguarded(struct cli *cli, const struct vfioctl_gpu *gpu)
{
        if (vfioctl_gpu_is_ours(gpu) && !vfioctl_hook_is_live(cli->ctx))
                complain("%s (%s): hook-not-live: libvirt does not call our hook, so a VM's start may take "
                         "it from the "
                         "host; to mend it: vfioctl setup",
                         vfioctl_gpu_name(gpu), vfioctl_gpu_address(gpu));
}

static void report(struct cli *cli, const struct change *change)
{
        for (size_t i = 0; change->mode == VFIOCTL_MODE_HOST && i < cli->n_arguments; i++)
                warn_unguarded(cli, change->gpus[i]);
        if (cli->options.quiet || cli->options.json)
                return;
        for (size_t i = 0; i < cli->n_arguments; i++) {
                const char *address = vfioctl_gpu_address(change->gpus[i]);
                bool changed = false;
                for (size_t k = 0; k < vfioctl_plan_step_count(change->plan); k++)
                        changed |= util_equal(vfioctl_step_gpu(vfioctl_plan_step(change->plan, k)), address);
                enum vfioctl_mode mode = changed ? mode_now(cli, change, change->gpus[i]) : change->mode;
                printf("%s (%s) is %s mode %s%s\n", vfioctl_gpu_name(change->gpus[i]), address,
                       changed ? "now in" : "already in", vfioctl_mode_name(mode),
                       mode == VFIOCTL_MODE_NONE ? ": no host driver takes it" : "");
        }
}

static int try_once(struct cli *cli, struct change *change)
{
        _cleanup_findings_ struct vfioctl_findings *busy = NULL;

        int code = prepare(cli, change);
        if (code != 0)
                return code;
        int r = vfioctl_findings_new(&busy);
        if (r >= 0)
                r = vfioctl_probe_busy(cli->ctx, change->plan, busy);
        if (r < 0)
                return complain_errno(r, "cannot look for users of the GPU");

        const struct vfioctl_findings *findings = vfioctl_plan_findings(change->plan);
        bool refused = vfioctl_findings_have_refusal(findings) || vfioctl_findings_have_refusal(busy);
        if (cli->options.json && (refused || cli->options.dry_run)) {
                code = cli->print_plan_json(change->plan, busy);
                if (code != CODE_DONE)
                        return code;
        }
        if (refused) {
                print_findings(change->snapshot, findings, VFIOCTL_WARNING);
                print_findings(change->snapshot, busy, VFIOCTL_WARNING);
                complain("nothing was changed");
                return CODE_REFUSED;
        }
        if (cli->options.dry_run) {
                if (!cli->options.json)
                        print_steps(change->plan);
                return CODE_DONE;
        }
        code = vfioctl_plan_step_count(change->plan) == 0
                       ? CODE_DONE
                       : run_plan(cli, change->snapshot, change->plan, NULL);
        /* Not before: when all is looked at again, there is another plan. */
        if (cli->options.json && code != -EAGAIN && cli->print_plan_json(change->plan, busy) != CODE_DONE)
                return code == CODE_DONE ? CODE_FAILED : code;
        return code;
}

static int change_mode(struct cli *cli, enum vfioctl_mode mode)
{
        int code = -EAGAIN;

        for (int i = 0; code == -EAGAIN && i < TRIES_MAX; i++) {
                struct change change = {.mode = mode};
                code = try_once(cli, &change);
                if (code == CODE_DONE && !cli->options.dry_run)
                        report(cli, &change);
                change_clear(&change);
        }
        return code == -EAGAIN ? complain_errno(-EBUSY, "nothing was changed") : code;
}

int verb_to_vm(struct cli *cli)
{
        return change_mode(cli, VFIOCTL_MODE_VM);
}

int verb_to_host(struct cli *cli)
{
        return change_mode(cli, VFIOCTL_MODE_HOST);
}
