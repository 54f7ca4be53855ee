/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "trial.h"

#include <signal.h>
#include <unistd.h>

#define RUNS_USUAL 3
#define SNAPSHOT_FLAGS                                                                                       \
        (VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST | VFIOCTL_SNAPSHOT_DETAILS |                       \
         VFIOCTL_SNAPSHOT_PATHS | VFIOCTL_SNAPSHOT_CHANGE)

/* ---- beginning ---- */

static void forget_look(struct trial *trial)
{
        trial->plan = vfioctl_plan_free(trial->plan);
        trial->snapshot = vfioctl_snapshot_free(trial->snapshot);
        trial->vms = vfioctl_vms_free(trial->vms);
        trial->findings = vfioctl_findings_free(trial->findings);
        trial->gpu = NULL;
}

static void trial_clear(struct trial *trial)
{
        forget_look(trial);
        if (trial->virt)
                trial->calls.free(trial->virt);
        vfioctl_lock_free(trial->lock);
        free(trial->runs);
}

static int open_trial(struct trial *trial)
{
        struct cli *cli = trial->cli;

        if (virt_load(&trial->calls) < 0)
                return CODE_FAILED;
        if (!virt_uri(cli) && !vfioctl_ctx_is_live(cli->ctx)) {
                complain("a simulated host has no libvirt of its own; name one with --connect");
                return CODE_USAGE;
        }
        if (!cli->options.dry_run && vfioctl_ctx_is_live(cli->ctx) && geteuid() != 0)
                return complain_errno(-EPERM, "nothing was changed");
        trial->n_wanted = cli->options.runs ? cli->options.runs : RUNS_USUAL;
        trial->runs = calloc(trial->n_wanted, sizeof(*trial->runs));
        /* The hook's notes are told apart by it. */
        int r = trial->runs ? make_uuid(trial->uuid) : -ENOMEM;
        /* A dry run writes nothing, not even a lock file. */
        if (r >= 0 && !cli->options.dry_run)
                r = vfioctl_lock_admin(cli->ctx, &trial->lock);
        if (r >= 0)
                r = vfioctl_findings_new(&trial->findings);
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        r = trial->calls.open(virt_uri(cli), cli->options.dry_run, trial->findings, &trial->virt);
        if (r < 0)
                print_findings(NULL, trial->findings, VFIOCTL_WARNING);
        return r < 0 ? CODE_FAILED : 0;
}

/* Looks at all, and plans the way to mode vm. */
static int look(struct trial *trial)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        struct cli *cli = trial->cli;

        forget_look(trial);
        int r = vfioctl_findings_new(&trial->findings);
        if (r >= 0)
                r = trial->calls.list(trial->virt, trial->findings, &trial->vms);
        if (r < 0) {
                print_findings(NULL, trial->findings, VFIOCTL_WARNING);
                return CODE_FAILED;
        }
        int code = take_snapshot(cli, SNAPSHOT_FLAGS, false, &trial->snapshot);
        if (code == 0)
                code = find_gpu(trial->snapshot, cli->arguments[0], &trial->gpu);
        if (code != 0)
                return code;
        trial->before = vfioctl_gpu_mode(trial->gpu);
        (void)snprintf(trial->vm, sizeof(trial->vm), "vfioctl-try-%s", vfioctl_gpu_address(trial->gpu));
        r = vfioctl_check_trial(trial->snapshot, trial->vms, trial->gpu, trial->findings);
        if (r >= 0)
                r = vfioctl_intent_new(&intent);
        if (r >= 0)
                r = vfioctl_intent_set_mode(intent, trial->gpu, VFIOCTL_MODE_VM);
        if (r >= 0)
                r = vfioctl_plan_new(trial->snapshot, NULL, intent, 0, &trial->plan);
        if (r >= 0)
                r = vfioctl_probe_busy(cli->ctx, trial->plan, trial->findings);
        /* What the plan has against it and the check has not, such as another vfioctl at work on it. */
        for (size_t i = 0; r >= 0 && i < vfioctl_findings_count(vfioctl_plan_findings(trial->plan)); i++)
                r = vfioctl_findings_add(trial->findings,
                                         vfioctl_findings_get(vfioctl_plan_findings(trial->plan), i));
        return r < 0 ? complain_errno(r, "nothing was changed") : 0;
}

static int print_dry_run(const struct trial *trial)
{
        if (trial->cli->options.json)
                return print_plan_json(trial->plan, NULL);
        if (vfioctl_plan_step_count(trial->plan) > 0)
                print_steps(trial->plan);
        printf("start and stop VM %s with it, %u time%s\n", trial->vm, trial->n_wanted,
               trial->n_wanted == 1 ? "" : "s");
        if (trial->before != VFIOCTL_MODE_VM)
                printf("give it back to the host\n");
        return CODE_DONE;
}

static int refuse(const struct trial *trial)
{
        if (trial->cli->options.json && print_plan_json(NULL, trial->findings) != CODE_DONE)
                return CODE_FAILED;
        print_findings(trial->snapshot, trial->findings, VFIOCTL_WARNING);
        complain("nothing was changed");
        return CODE_REFUSED;
}

/* ---- ending ---- */

/* Back to where it was. An exit code, or -EAGAIN. */
static int restore_once(const struct trial *trial)
{
        enum vfioctl_mode mode = trial->before == VFIOCTL_MODE_VM ? VFIOCTL_MODE_VM : VFIOCTL_MODE_HOST;
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        _cleanup_findings_ struct vfioctl_findings *busy = NULL;
        _cleanup_plan_ struct vfioctl_plan *plan = NULL;
        const struct vfioctl_gpu *gpu = NULL;

        int r = vfioctl_snapshot_take(
                trial->cli->ctx, VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST | VFIOCTL_SNAPSHOT_CHANGE,
                &snapshot);
        if (r >= 0)
                r = vfioctl_snapshot_find(snapshot, vfioctl_gpu_address(trial->gpu), &gpu);
        if (r >= 0 && vfioctl_gpu_mode(gpu) == trial->before && !vfioctl_gpu_needs_change(gpu, mode))
                return CODE_DONE;
        if (r >= 0)
                r = vfioctl_findings_new(&busy);
        if (r >= 0)
                r = vfioctl_intent_new(&intent);
        if (r >= 0)
                r = vfioctl_intent_set_mode(intent, gpu, mode);
        if (r >= 0)
                r = vfioctl_plan_new(snapshot, NULL, intent, 0, &plan);
        if (r >= 0)
                r = vfioctl_probe_busy(trial->cli->ctx, plan, busy);
        if (r < 0)
                return complain_errno(r, "the GPU cannot be looked at");
        if (vfioctl_findings_have_refusal(vfioctl_plan_findings(plan)) ||
            vfioctl_findings_have_refusal(busy)) {
                print_findings(snapshot, vfioctl_plan_findings(plan), VFIOCTL_WARNING);
                print_findings(snapshot, busy, VFIOCTL_WARNING);
                return CODE_REFUSED;
        }
        return vfioctl_plan_step_count(plan) == 0 ? CODE_DONE : run_plan(trial->cli, snapshot, plan, NULL);
}

static int restore(const struct trial *trial)
{
        const char *back = trial->before == VFIOCTL_MODE_VM ? "to-vm" : "to-host";
        int code = -EAGAIN;

        for (int i = 0; code == -EAGAIN && i < TRIES_MAX; i++)
                code = restore_once(trial);
        if (code == CODE_DONE)
                return code;
        complain("%s (%s) is not in the mode that it had; to mend it: vfioctl %s %s",
                 vfioctl_gpu_name(trial->gpu), vfioctl_gpu_address(trial->gpu), back,
                 vfioctl_gpu_name(trial->gpu));
        return CODE_STUCK;
}

/* A host driver that meets a GPU which does not answer may hang with it. */
static int leave_silent(const struct trial *trial)
{
        complain("%s (%s) does not answer: switch the host off and on (a reboot may not do), and try it "
                 "again",
                 vfioctl_gpu_name(trial->gpu), vfioctl_gpu_address(trial->gpu));
        if (trial->before == VFIOCTL_MODE_VM)
                return CODE_FAILED;
        complain("it is left on vfio-pci: a host driver may hang with it");
        return CODE_STUCK;
}

static int remember(const struct trial *trial, enum trial_end end)
{
        const struct vfioctl_trial record = {.passed = end == TRIAL_PASSED,
                                             .runs = trial->n_runs,
                                             .reason = end == TRIAL_PASSED ? NULL : trial->reason};

        if (end != TRIAL_PASSED && end != TRIAL_FAILED)
                return CODE_DONE;
        int r = vfioctl_trial_record(trial->cli->ctx, trial->gpu, &record);
        return r < 0 ? complain_errno(r, "how it ended cannot be remembered") : CODE_DONE;
}

static int print_json(const struct trial *trial, enum trial_end end, int code)
{
        struct json_object *object = json_object_new_object(), *runs = json_object_new_array();

        for (unsigned int i = 0; i < trial->n_runs; i++) {
                struct json_object *run = json_object_new_object();
                json_put(run, "seconds", json_object_new_double((double)trial->runs[i].milliseconds / 1000));
                json_put(run, "passed", json_object_new_boolean(trial->runs[i].passed));
                json_append(runs, run);
        }
        json_put(object, "gpu", json_string(vfioctl_gpu_name(trial->gpu)));
        json_put(object, "address", json_string(vfioctl_gpu_address(trial->gpu)));
        json_put(object, "runs", runs);
        json_put(object, "passed",
                 end == TRIAL_PASSED || end == TRIAL_FAILED ? json_object_new_boolean(end == TRIAL_PASSED)
                                                            : NULL);
        json_put(object, "reason", json_string(end == TRIAL_PASSED ? NULL : trial->reason));
        json_put(object, "exit_code", json_object_new_int(code));
        return json_print(object) == CODE_DONE ? code : CODE_FAILED;
}

static void tell(const struct trial *trial, enum trial_end end)
{
        const char *name = vfioctl_gpu_name(trial->gpu), *address = vfioctl_gpu_address(trial->gpu);

        if (end == TRIAL_FAILED)
                complain("%s (%s) failed in run %u of %u: %s", name, address, trial->n_runs, trial->n_wanted,
                         trial->reason);
        else if (end == TRIAL_INTERRUPTED)
                complain("%s (%s): interrupted after %u of %u runs; nothing is remembered of it", name,
                         address, trial->n_runs, trial->n_wanted);
        else if (end != TRIAL_PASSED)
                complain("%s (%s) could not be tried: %s", name, address, trial->reason);
}

static int report(const struct trial *trial, enum trial_end end, int code)
{
        if (trial->cli->options.json)
                return print_json(trial, end, code);
        if (end == TRIAL_PASSED && code == CODE_DONE && !trial->cli->options.quiet)
                printf("%s (%s) passed: %u time%s into a VM and back\n", vfioctl_gpu_name(trial->gpu),
                       vfioctl_gpu_address(trial->gpu), trial->n_runs, trial->n_runs == 1 ? "" : "s");
        return code;
}

static int end_code(enum trial_end end)
{
        switch (end) {
        case TRIAL_PASSED:
                return CODE_DONE;
        case TRIAL_REFUSED:
                return CODE_REFUSED;
        case TRIAL_LOST:
                return CODE_STUCK;
        default:
                return CODE_FAILED;
        }
}

/* A signal ends it between two runs, and not before the GPU is where it was. */
static int perform(struct trial *trial)
{
        sigset_t signals, before;

        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGINT);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigaddset(&signals, SIGHUP);
        (void)sigaddset(&signals, SIGQUIT);
        (void)sigprocmask(SIG_BLOCK, &signals, &before);
        enum trial_end end = trial_perform(trial);
        tell(trial, end);
        int code = end_code(end), remembered = remember(trial, end);
        if (trial->is_silent)
                code = leave_silent(trial);
        else if (end != TRIAL_LOST && restore(trial) != CODE_DONE)
                code = CODE_STUCK;
        if (code == CODE_DONE)
                code = remembered;
        code = report(trial, end, code);
        (void)fflush(stdout);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        return code;
}

static int begin(struct trial *trial)
{
        int code = -EAGAIN;

        for (int i = 0; code == -EAGAIN && i < TRIES_MAX; i++) {
                code = look(trial);
                if (code != 0)
                        return code;
                if (vfioctl_findings_have_refusal(trial->findings))
                        return refuse(trial);
                if (trial->cli->options.dry_run)
                        return print_dry_run(trial);
                code = vfioctl_plan_step_count(trial->plan) == 0
                               ? CODE_DONE
                               : run_plan(trial->cli, trial->snapshot, trial->plan, NULL);
        }
        return code == -EAGAIN ? complain_errno(-EBUSY, "nothing was changed") : code;
}

int verb_try(struct cli *cli)
{
        struct trial trial = {.cli = cli};

        int code = open_trial(&trial);
        if (code == 0)
                code = begin(&trial);
        if (code == CODE_DONE && trial.gpu && !cli->options.dry_run)
                code = perform(&trial);
        trial_clear(&trial);
        return code;
}
