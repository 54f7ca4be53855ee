/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "claims.h"
#include "lock.h"
#include "runtime.h"
#include "slots.h"
#include "step_records.h"
#include "wait.h"
#include "worker.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

struct apply {
        struct vfioctl_ctx *ctx;
        const struct vfioctl_plan *plan;
        const struct vfioctl_apply_ops *ops;
        struct vfioctl_findings *findings;
        enum vfioctl_outcome outcome;
        bool left_setting;            /* one that could not be put back: what is noted of it has to stay */
        struct vfioctl_lock *bridges; /* while something is done to them */
        struct vfioctl_lock *lock;    /* of the GPUs; NULL while libvirt is talked to */
};

/* Without memory for a finding the outcome has to tell: no reason to leave a roll-back half done. */
static void tell(struct apply *apply, struct vfioctl_finding finding, const char *format, ...) _printf_(3, 4);

static void tell(struct apply *apply, struct vfioctl_finding finding, const char *format, ...)
{
        char text[1024];
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        finding.text = text;
        (void)vfioctl_findings_add(apply->findings, &finding);
}

static const char *reason(int r)
{
        switch (-r) {
        case ETIME:
                return "it was written, but nothing came of it";
        case ETIMEDOUT:
                return "the kernel did not answer";
        case ESTALE:
                return "something else changed it meanwhile";
        case ENOENT:
                return "no such file or module";
        default:
                return strerror(-r);
        }
}

/* ---- one step ---- */

/* What the plan was made from must still hold. */
static int check_expected(struct apply *apply, const struct vfioctl_step *step)
{
        _cleanup_free_ char *override = NULL, *driver = NULL;
        int r;

        if (step->has_expected) {
                r = wait_read_override(apply->ctx, step->function, &override);
                if (r < 0)
                        return r;
                if (!util_equal(override, step->expected))
                        return -ESTALE;
        }
        if (step->expects_driver) {
                r = wait_read_driver(apply->ctx, step->function, &driver);
                if (r < 0)
                        return r;
                if (!util_equal(driver, step->expected_driver))
                        return -ESTALE;
        }
        return 0;
}

/*
 * Before the first of the steps that are about bridges: their locks, and their notes as the plan has them.
 * -EAGAIN: other GPUs below them have come or gone.
 */
static int begin_shared(struct apply *apply, size_t index)
{
        const struct vfioctl_plan *plan = apply->plan;

        if (!plan->steps[index]->is_shared || apply->bridges)
                return 0;
        int r = lock_bridges(apply->ctx, plan, &apply->bridges);
        for (size_t i = index; r >= 0 && i < plan->n_steps; i++)
                if (plan->steps[i]->kind == STEP_NOTE && plan->steps[i]->is_shared &&
                    !record_follows(plan, i))
                        r = record_check(apply->ctx, plan->steps[i]);
        return r == -ESTALE ? -EAGAIN : r < 0 ? r : 0;
}

static void end_shared(struct apply *apply, size_t index)
{
        if (index + 1 >= apply->plan->n_steps || !apply->plan->steps[index + 1]->is_shared)
                apply->bridges = vfioctl_lock_free(apply->bridges);
}

static bool control_differs(struct apply *apply, const struct seen *seen)
{
        char path[PATH_MAX], text[32];

        return path_format(path, PATH_PCI_DEVICES "/%s/power/control", seen->function) &&
               host_read(apply->ctx, path, text, sizeof(text)) >= 0 &&
               !util_equal(util_trim(text), seen->control);
}

/* A VM that starts has claimed it, or one has let go of it. */
static int check_claim(struct apply *apply, const struct seen *seen)
{
        _cleanup_free_ char *claim = NULL;

        int r = claim_read_text(apply->ctx, seen->function, &claim);
        return r < 0 ? r : util_equal(claim, seen->claim) ? 0 : -EAGAIN;
}

/*
 * Another vfioctl may have come and gone between the snapshot and our lock, without a wait that would tell. A
 * plan made before or in the middle of that must not begin: -EAGAIN.
 */
static int check_unchanged(struct apply *apply)
{
        const struct vfioctl_plan *plan = apply->plan;

        for (size_t i = 0; i < plan->n_seen; i++) {
                _cleanup_free_ char *driver = NULL;
                int r = wait_read_driver(apply->ctx, plan->seen[i].function, &driver);
                if (r == -ENOMEM)
                        return r;
                if (r >= 0 && !util_equal(driver, plan->seen[i].driver))
                        return -EAGAIN;
                if (plan->seen[i].control && control_differs(apply, &plan->seen[i]))
                        return -EAGAIN;
                r = plan->seen[i].is_gpu ? check_claim(apply, &plan->seen[i]) : 0;
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < plan->n_steps; i++) {
                _cleanup_free_ char *override = NULL;
                /* Claims were compared above. */
                if (plan->steps[i]->kind == STEP_NOTE && !plan->steps[i]->is_shared &&
                    !record_follows(plan, i)) {
                        int r = record_check(apply->ctx, plan->steps[i]);
                        if (r < 0)
                                return r == -ESTALE ? -EAGAIN : r;
                }
                if (!plan->steps[i]->has_expected)
                        continue;
                int r = wait_read_override(apply->ctx, plan->steps[i]->function, &override);
                if (r == -ENOMEM)
                        return r;
                if (r >= 0 && !util_equal(override, plan->steps[i]->expected))
                        return -EAGAIN;
        }
        return 0;
}

static int do_write(struct apply *apply, const struct vfioctl_step *step, const struct write *write)
{
        int r = worker_write(apply->ctx, write->attribute, write->value, apply->ctx->step_deadline);
        return r < 0 ? r : wait_for(apply->ctx, step->function, step->group, &write->wait);
}

static int do_load(struct apply *apply, const struct vfioctl_step *step)
{
        int r = worker_load(apply->ctx, step->module, apply->ctx->step_deadline);

        if (r == -ETIMEDOUT || r == -ENOMEM)
                return r;
        if (step->module_optional)
                return 0;
        /* Loaded, built in, or there all along: what counts is the driver. */
        if (host_exists(apply->ctx, PATH_PCI_DRIVERS "/" VFIO_DRIVER))
                return 0;
        return r < 0 ? r : -ENOENT;
}

static int do_define(struct apply *apply, const struct vfioctl_step *step, bool undo)
{
        _cleanup_free_ char *error = NULL;

        if (!apply->ops || !apply->ops->define)
                return -ENOSYS;
        int r = apply->ops->define(apply->ops->userdata, step->vm, undo, &error);
        if (r < 0 && error)
                tell(apply,
                     (struct vfioctl_finding){
                             .severity = VFIOCTL_REFUSAL, .code = "step-failed", .culprit = step->vm},
                     "%s", error);
        /* Of a definition nothing hangs in the kernel. */
        return r == -ETIMEDOUT ? -EIO : r;
}

static int do_step(struct apply *apply, const struct vfioctl_step *step, bool *ret_touched)
{
        int r = 0;

        switch (step->kind) {
        case STEP_LOAD:
                return do_load(apply, step);
        case STEP_CLAIM:
        case STEP_NOTE:
                *ret_touched = true;
                return record_write(apply->ctx, step, step->record);
        case STEP_DEFINE:
                apply->lock = vfioctl_lock_free(apply->lock);
                return do_define(apply, step, false);
        case STEP_WRITE:
                break;
        }
        r = check_expected(apply, step);
        if (r < 0)
                return r;
        *ret_touched = true;
        /* Where it came from, for the way back; kept over a failure, for the driver is still the right one.
         */
        if (step->expects_driver && !util_equal(step->expected_driver, VFIO_DRIVER)) {
                r = runtime_record_host_driver(apply->ctx, step->function, step->expected_driver);
                if (r < 0)
                        ctx_log(apply->ctx, VFIOCTL_LOG_WARNING, "%s: cannot note its host driver: %s",
                                step->function, strerror(-r));
        }
        return do_write(apply, step, &step->write);
}

/* ---- when it goes wrong ---- */

static void note_stuck(struct apply *apply, const struct vfioctl_step *step)
{
        /* A bridge is nobody's: the GPU for which it was written to is the one to be left alone. */
        const char *whose = step->write.wait.kind == WAIT_VALUE && step->gpu ? step->gpu : step->function;

        apply->outcome = VFIOCTL_STUCK;
        if (*whose) {
                int r = runtime_record_stuck(apply->ctx, whose, worker_abandoned_pid(apply->ctx), step->text);
                if (r < 0)
                        ctx_log(apply->ctx, VFIOCTL_LOG_WARNING, "%s: cannot note that it is stuck: %s",
                                whose, strerror(-r));
        }
        tell(apply,
             (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                      .code = "stuck",
                                      .gpu = step->gpu,
                                      .culprit = *step->function ? step->function : step->module,
                                      .fix = "end what has the GPU open (dmesg tells), or reboot"},
             "the kernel has not come back from: %s", step->text);
}

static int undo_write(struct apply *apply, const struct vfioctl_step *step, const struct write *write)
{
        int r = worker_write(apply->ctx, write->attribute, write->value, apply->ctx->step_deadline);
        /* What counts is the state, not the write: a driver that is gone cannot be unbound, nor need it be.
         */
        if (r == -ETIMEDOUT)
                return r;
        int s = wait_for(apply->ctx, step->function, step->group, &write->wait);
        if (s < 0)
                return r < 0 && s == -ETIME ? r : s;
        return 0;
}

/* Whoever has come to the bridge meanwhile needs it as it is now. */
static int undo_shared(struct apply *apply, const struct vfioctl_step *step, bool *ret_done)
{
        int r = apply->bridges ? 0 : lock_bridges(apply->ctx, apply->plan, &apply->bridges);

        *ret_done = r >= 0 && record_has_joined(apply->ctx, apply->plan, step);
        if (!*ret_done)
                return r < 0 ? r : 0;
        return step->kind == STEP_NOTE ? runtime_leave_hold(apply->ctx, step->function, step->gpu) : 0;
}

static int undo_step(struct apply *apply, const struct vfioctl_step *step)
{
        bool done = false;

        if (step->kind == STEP_DEFINE)
                return do_define(apply, step, true);
        if (step->n_undo == 0 && !record_is(step))
                return 0;
        if (!apply->lock) {
                int s = lock_gpus(apply->ctx, apply->plan, &apply->lock);
                if (s < 0)
                        return s;
        }
        if (step->kind == STEP_NOTE && apply->left_setting && record_grew(step))
                return 0;
        int r = step->is_shared ? undo_shared(apply, step, &done) : 0;
        if (r < 0 || done)
                return r;
        if (record_is(step))
                return record_write(apply->ctx, step, step->expected);
        /* The driver decides where there is one to get back, else the last write; it may hold already. */
        struct wait now = step->undo[step->n_undo - 1].wait;
        for (size_t i = 0; i < step->n_undo; i++)
                if (step->undo[i].wait.kind == WAIT_DRIVER)
                        now = step->undo[i].wait;
        unsigned int settle = apply->ctx->settle_deadline;
        apply->ctx->settle_deadline = 0;
        r = wait_for(apply->ctx, step->function, step->group, &now);
        apply->ctx->settle_deadline = settle;
        if (r != -ETIME)
                return r;
        for (size_t i = 0; i < step->n_undo; i++) {
                r = undo_write(apply, step, &step->undo[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void note_left(struct apply *apply, const struct vfioctl_step *step, const char *why)
{
        char fix[64];

        (void)snprintf(fix, sizeof(fix), "vfioctl to-host %s", step->gpu ? step->gpu : "");
        tell(apply,
             (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                      .code = "not-rolled-back",
                                      .gpu = step->gpu,
                                      .culprit = *step->function ? step->function : step->vm,
                                      .fix = step->gpu ? fix : NULL},
             "%s: %s", why, step->text);
}

/* Once one of them hangs nothing more is tried, but all that was done by then is told. */
static void give_up(struct apply *apply, size_t index, size_t done)
{
        note_stuck(apply, apply->plan->steps[index]);
        for (size_t i = done; i-- > 0;) {
                const struct vfioctl_step *step = apply->plan->steps[i];
                /* Settings are noted, and the way back puts them back too. */
                if (step->kind == STEP_DEFINE || (step->n_undo > 0 && step->write.wait.kind != WAIT_VALUE))
                        note_left(apply, step, "was done before that, and is left so");
        }
}

static void roll_back(struct apply *apply, size_t end)
{
        for (size_t i = end; i-- > 0;) {
                const struct vfioctl_step *step = apply->plan->steps[i];
                int r = undo_step(apply, step);
                if (r == -ETIMEDOUT) {
                        give_up(apply, i, i);
                        return;
                }
                if (r < 0) {
                        apply->outcome = VFIOCTL_NOT_ROLLED_BACK;
                        apply->left_setting |= step->write.wait.kind == WAIT_VALUE;
                        note_left(apply, step, "could not be undone");
                }
        }
}

/* `done` steps are to be undone. */
static void fail(struct apply *apply, size_t index, int error, size_t done)
{
        const struct vfioctl_step *step = apply->plan->steps[index];

        if (error == -ETIMEDOUT) {
                give_up(apply, index, index);
                return;
        }
        apply->outcome = VFIOCTL_ROLLED_BACK;
        if (error == -ETIME && step->write.wait.kind == WAIT_ALIVE) {
                /* It was reset, and nothing brings back what it was. */
                tell(apply,
                     (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                              .code = "dead",
                                              .gpu = step->gpu,
                                              .culprit = step->function,
                                              .fix = DEAD_FIX},
                     "it was reset, and does not answer since");
                apply->outcome = VFIOCTL_NOT_ROLLED_BACK;
                return;
        }
        tell(apply,
             (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                      .code = "step-failed",
                                      .gpu = step->gpu,
                                      .culprit = *step->function ? step->function : step->vm},
             "failed to %s: %s", step->text, reason(error));
        roll_back(apply, done);
}

/* ---- the whole ---- */

static void tidy_up(struct apply *apply)
{
        for (size_t i = 0; i < apply->plan->n_steps; i++) {
                const struct vfioctl_step *step = apply->plan->steps[i];
                if (step->kind != STEP_WRITE)
                        continue;
                (void)runtime_forget_stuck(apply->ctx, step->function);
                if (step->gpu)
                        (void)runtime_forget_stuck(apply->ctx, step->gpu);
                /* Back on a host driver: that is the one to ask from now on. */
                if (step->write.wait.kind == WAIT_DRIVER || step->write.wait.kind == WAIT_ANY_DRIVER)
                        (void)runtime_forget_host_driver(apply->ctx, step->function);
        }
        int r = slots_save(apply->ctx);
        if (r < 0 && r != -ENOENT)
                ctx_log(apply->ctx, VFIOCTL_LOG_DEBUG, "cannot note the board's slots: %s", strerror(-r));
}

/*
 * Where a file is missing that a later step writes, the way there and the way back would both end halfway:
 * then the first step is not taken either.
 */
static bool can_begin(struct apply *apply)
{
        const struct vfioctl_plan *plan = apply->plan;

        for (size_t i = 0; i < plan->n_seen; i++) {
                _cleanup_free_ char *driver = NULL;
                int r = wait_read_driver(apply->ctx, plan->seen[i].function, &driver);
                if (r >= 0)
                        continue;
                apply->outcome = VFIOCTL_ROLLED_BACK;
                tell(apply,
                     (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                              .code = "step-failed",
                                              .culprit = plan->seen[i].function},
                     "cannot read the driver of %s: %s", plan->seen[i].function, reason(r));
                return false;
        }
        for (size_t i = 0; i < plan->n_steps; i++) {
                struct stat status;
                if (plan->steps[i]->kind != STEP_WRITE)
                        continue;
                int r = host_stat(apply->ctx, plan->steps[i]->write.attribute, &status);
                if (r >= 0 && S_ISREG(status.st_mode))
                        continue;
                fail(apply, i, r < 0 ? r : -EINVAL, 0);
                return false;
        }
        return true;
}

/* What is begun and not ended is found by the next reconcile; without the note it finds most of it all the
 * same. */
static void note_work(struct apply *apply, bool begins)
{
        for (size_t i = 0; i < apply->plan->n_gpus; i++) {
                const struct planned_gpu *gpu = &apply->plan->gpus[i];
                if (gpu->mode == VFIOCTL_MODE_NONE)
                        continue;
                int r = begins ? work_begin(apply->ctx, gpu->address, gpu->mode)
                               : work_end(apply->ctx, gpu->address);
                if (r < 0)
                        ctx_log(apply->ctx, VFIOCTL_LOG_WARNING, "%s: cannot note its change of mode: %s",
                                gpu->address, strerror(-r));
        }
}

/* Up to this step there is nothing that could be undone. */
static bool is_untouched(const struct vfioctl_plan *plan, size_t index)
{
        for (size_t i = 0; i < index; i++)
                if (plan->steps[i]->kind != STEP_LOAD)
                        return false;
        return true;
}

/*
 * 0 with the outcome, or -EAGAIN. On the way back that may be when only bridges are left to be let go: what
 * was done stays, and the next plan has the rest.
 */
static int run(struct apply *apply)
{
        const struct vfioctl_plan *plan = apply->plan;

        if (!can_begin(apply))
                return 0;
        note_work(apply, true);
        for (size_t i = 0; i < plan->n_steps; i++) {
                bool touched = false;
                int s = begin_shared(apply, i);
                if (s < 0 && is_untouched(plan, i))
                        note_work(apply, false);
                if (s == -EAGAIN || (s < 0 && is_untouched(plan, i)))
                        return s;
                if (s < 0) {
                        fail(apply, i, s, i);
                        return 0;
                }
                if (apply->ops && apply->ops->progress)
                        apply->ops->progress(apply->ops->userdata, plan->steps[i], i, plan->n_steps);
                int r = do_step(apply, plan->steps[i], &touched);
                if (r < 0) {
                        fail(apply, i, r, touched ? i + 1 : i);
                        return 0;
                }
                end_shared(apply, i);
        }
        apply->outcome = VFIOCTL_DONE;
        if (plan->n_gpus > 0)
                tidy_up(apply);
        return 0;
}

VFIOCTL_EXPORT int vfioctl_apply(struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan,
                                 const struct vfioctl_apply_ops *ops, struct vfioctl_findings *findings,
                                 enum vfioctl_outcome *ret_outcome)
{
        struct apply apply = {.ctx = ctx, .plan = plan, .ops = ops, .findings = findings};
        sigset_t blocked, old;

        if (vfioctl_findings_have_refusal(plan->findings))
                return -EINVAL;
        if (ctx->is_live && plan->n_gpus > 0 && geteuid() != 0)
                return -EPERM;
        /* A transaction is not to be cut in half; each step has its deadline, so a signal waits no longer. */
        (void)sigemptyset(&blocked);
        (void)sigaddset(&blocked, SIGINT);
        (void)sigaddset(&blocked, SIGTERM);
        (void)sigaddset(&blocked, SIGHUP);
        (void)sigaddset(&blocked, SIGQUIT);
        int r = -pthread_sigmask(SIG_BLOCK, &blocked, &old);
        if (r < 0)
                return r;
        if (plan->n_gpus > 0)
                r = lock_gpus(ctx, plan, &apply.lock);
        if (r > 0)
                r = -EAGAIN;
        if (r == 0)
                r = check_unchanged(&apply);
        if (r == 0)
                r = run(&apply);
        if (r == 0 && (apply.outcome == VFIOCTL_DONE || apply.outcome == VFIOCTL_ROLLED_BACK))
                note_work(&apply, false);
        apply.bridges = vfioctl_lock_free(apply.bridges);
        apply.lock = vfioctl_lock_free(apply.lock);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r < 0)
                return r;
        *ret_outcome = apply.outcome;
        return 0;
}

/* Nobody may have it open: a VM is to get it, or it is to be reset. */
static bool opens(const struct vfioctl_step *step)
{
        return (step->kind == STEP_CLAIM && step->record) || step->write.wait.kind == WAIT_ALIVE;
}

VFIOCTL_EXPORT int vfioctl_probe_busy(struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan,
                                      struct vfioctl_findings *findings)
{
        char path[PATH_MAX];

        for (size_t i = 0; ctx->is_live && i < plan->n_steps; i++) {
                const struct vfioctl_step *step = plan->steps[i];
                bool leaves_vfio = step->expects_driver && util_equal(step->expected_driver, VFIO_DRIVER);
                if ((!leaves_vfio && !opens(step)) || step->group < 0 ||
                    !path_format(path, PATH_DEV_VFIO "/%d", step->group))
                        continue;
                _cleanup_fd_ int fd = host_open(ctx, path, O_RDWR | O_NONBLOCK);
                if (fd != -EBUSY)
                        continue;
                int r = finding_addf(findings,
                                     (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                              .code = "in-use",
                                                              .gpu = step->gpu,
                                                              .culprit = path,
                                                              .fix = "end the VM or program that uses it"},
                                     "a process that cannot be named has the vfio device open (%s is busy)",
                                     path);
                if (r < 0)
                        return r;
        }
        return 0;
}
