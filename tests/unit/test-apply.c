/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "lock.h"
#include "runtime.h"
#include "worker.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "kernel.h"

struct definitions {
        int defined, undone;
        int result, undo_result;
        bool was_locked, was_interruptible;
        unsigned int steps;
};

static int define(void *userdata, const char *vm, bool undo, char **ret_error)
{
        struct definitions *definitions = userdata;
        struct planned_gpu gpus[1] = {{.address = GPU}};
        struct vfioctl_plan plan = {.gpus = gpus, .n_gpus = 1};
        struct vfioctl_ctx *hook = root_ctx(kernel.root);
        struct vfioctl_lock *lock = NULL;

        assert_string_equal(vm, "game1");
        /* A hook that libvirt runs now needs the lock. */
        hook->lock_deadline = 20;
        definitions->was_locked |= lock_gpus(hook, &plan, &lock) != 0;
        (void)vfioctl_lock_free(lock);
        (void)vfioctl_ctx_free(hook);
        if (undo)
                definitions->undone++;
        else
                definitions->defined++;
        int r = undo ? definitions->undo_result : definitions->result;
        if (r < 0)
                assert_int_equal(util_copy("libvirt says no", ret_error), 0);
        return r;
}

static void progress(void *userdata, const struct vfioctl_step *step, size_t index, size_t count)
{
        struct definitions *definitions = userdata;
        sigset_t blocked;

        assert_non_null(vfioctl_step_text(step));
        assert_true(index < count);
        assert_int_equal(index, definitions->steps++);
        assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
        definitions->was_interruptible |= !sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM);
}

struct run {
        struct vfioctl_snapshot *snapshot;
        struct vfioctl_plan *plan;
        struct vfioctl_findings *findings;
        struct definitions definitions;
        enum vfioctl_outcome outcome;
        int r;
};

static void run_plan(struct run *run, enum vfioctl_mode mode, const char *vm)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        const struct vfioctl_gpu *gpu;

        assert_int_equal(vfioctl_snapshot_take(kernel.ctx, VFIOCTL_SNAPSHOT_ALL & ~VFIOCTL_SNAPSHOT_NAMES,
                                               &run->snapshot),
                         0);
        assert_int_equal(vfioctl_snapshot_find(run->snapshot, GPU, &gpu), 0);
        assert_int_equal(vfioctl_intent_new(&intent), 0);
        if (vm)
                assert_int_equal(vfioctl_intent_assign(intent, gpu, vm), 0);
        else
                assert_int_equal(vfioctl_intent_set_mode(intent, gpu, mode), 0);
        assert_int_equal(vfioctl_plan_new(run->snapshot, NULL, intent, 0, &run->plan), 0);
        assert_int_equal(vfioctl_findings_new(&run->findings), 0);
}

static void run_apply(struct run *run)
{
        struct vfioctl_apply_ops ops = {
                .userdata = &run->definitions, .progress = progress, .define = define};

        run->outcome = (enum vfioctl_outcome)99;
        run->r = vfioctl_apply(kernel.ctx, run->plan, &ops, run->findings, &run->outcome);
        assert_false(run->definitions.was_locked);
        assert_false(run->definitions.was_interruptible);
        sigset_t blocked;
        assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
        assert_false(sigismember(&blocked, SIGINT));
        if (run->r == 0 && run->outcome != VFIOCTL_DONE)
                assert_true(vfioctl_findings_have_refusal(run->findings));
        /* Whatever came of it, no lock is left. */
        struct vfioctl_lock *lock = NULL;
        assert_int_equal(lock_gpus(kernel.ctx, run->plan, &lock), 0);
        (void)vfioctl_lock_free(lock);
}

static void run_end(struct run *run)
{
        (void)vfioctl_plan_free(run->plan);
        (void)vfioctl_snapshot_free(run->snapshot);
        (void)vfioctl_findings_free(run->findings);
        memset(run, 0, sizeof(*run));
}

/* ---- */

static void test_there_and_back(void **state)
{
        struct run run = {.r = 0};
        char *driver = NULL;

        (void)state;
        boot(false);
        _cleanup_free_ char *before = state_text();
        root_put(kernel.root, "/run/vfioctl/stuck/" GPU, "0 0\nold\n");
        run_plan(&run, VFIOCTL_MODE_VM, NULL);
        run_apply(&run);
        assert_int_equal(run.r, 0);
        assert_int_equal(run.outcome, VFIOCTL_DONE);
        assert_int_equal(vfioctl_findings_count(run.findings), 0);
        assert_int_equal(run.definitions.steps, vfioctl_plan_step_count(run.plan));
        assert_int_equal(kernel.loads, 1);
        _cleanup_free_ char *after = state_text();
        assert_string_equal(after, GPU " vfio-pci vfio-pci;" AUDIO " vfio-pci vfio-pci;");
        assert_int_equal(runtime_host_driver(kernel.ctx, GPU, &driver), 0);
        assert_string_equal(driver, "amdgpu");
        free(driver);
        assert_null(root_get(kernel.root, "/run/vfioctl/stuck/" GPU));
        run_end(&run);

        run_plan(&run, VFIOCTL_MODE_HOST, NULL);
        run_apply(&run);
        assert_int_equal(run.outcome, VFIOCTL_DONE);
        _cleanup_free_ char *back = state_text();
        assert_string_equal(back, before);
        assert_int_equal(runtime_host_driver(kernel.ctx, GPU, &driver), -ENOENT);
        run_end(&run);

        /* Nothing to do: nothing is written, and nobody is locked out. */
        kernel.writes = 0;
        run_plan(&run, VFIOCTL_MODE_HOST, NULL);
        run_apply(&run);
        assert_int_equal(run.outcome, VFIOCTL_DONE);
        assert_int_equal(kernel.writes, 0);
        run_end(&run);
        halt();
}

/* Each write fails, with each of these errors, or does nothing: all is as before, and the reason told. */
static void test_failures(void **state)
{
        static const int faults[] = {-EIO, -ENOMEM, -ENODEV, -EBUSY, -EAGAIN, SILENT};

        (void)state;
        for (int to_host = 0; to_host < 2; to_host++)
                for (unsigned int k = 1; k <= 6; k++)
                        for (size_t i = 0; i < ELEMENTSOF(faults); i++) {
                                struct run run = {.r = 0};
                                boot(to_host);
                                _cleanup_free_ char *before = state_text();
                                kernel.faults[k] = faults[i];
                                run_plan(&run, to_host ? VFIOCTL_MODE_HOST : VFIOCTL_MODE_VM, NULL);
                                run_apply(&run);
                                assert_int_equal(run.r, 0);
                                if (run.outcome != VFIOCTL_ROLLED_BACK)
                                        fail_msg("write %u, fault %d: outcome %d", k, faults[i],
                                                 (int)run.outcome);
                                _cleanup_free_ char *after = state_text();
                                assert_string_equal(after, before);
                                assert_non_null(finding_by(run.findings, "step-failed", GPU));
                                assert_int_equal(vfioctl_findings_count(run.findings), 1);
                                run_end(&run);
                                halt();
                        }
}

/* Each write fails, and then one of the undoing too: said, and the rest is undone all the same. */
static void test_failing_undo(void **state)
{
        static const int faults[] = {-EIO, -ENOMEM, SILENT};

        (void)state;
        for (unsigned int k = 2; k <= 6; k++)
                for (unsigned int u = k + 1; u <= k + 8; u++)
                        for (size_t i = 0; i < ELEMENTSOF(faults); i++) {
                                struct run run = {.r = 0};
                                boot(false);
                                _cleanup_free_ char *before = state_text();
                                kernel.faults[k] = -EIO;
                                kernel.faults[u] = faults[i];
                                run_plan(&run, VFIOCTL_MODE_VM, NULL);
                                run_apply(&run);
                                assert_int_equal(run.r, 0);
                                _cleanup_free_ char *after = state_text();
                                if (run.outcome == VFIOCTL_ROLLED_BACK) {
                                        assert_string_equal(after, before);
                                } else {
                                        assert_int_equal(run.outcome, VFIOCTL_NOT_ROLLED_BACK);
                                        assert_string_not_equal(after, before);
                                        const struct vfioctl_finding *finding =
                                                finding_by(run.findings, "not-rolled-back", GPU);
                                        assert_non_null(finding);
                                        assert_contains(finding->fix, "vfioctl to-host");
                                }
                                run_end(&run);
                                halt();
                        }
        /* From some write on nothing works any more. */
        for (unsigned int k = 1; k <= 6; k++) {
                struct run run = {.r = 0};
                boot(false);
                kernel.from = k;
                kernel.faults[0] = -ENOMEM;
                run_plan(&run, VFIOCTL_MODE_VM, NULL);
                run_apply(&run);
                assert_int_equal(run.r, 0);
                assert_int_equal(run.outcome, k == 1 ? VFIOCTL_ROLLED_BACK : VFIOCTL_NOT_ROLLED_BACK);
                run_end(&run);
                halt();
        }
}

static void test_hang(void **state)
{
        (void)state;
        for (unsigned int k = 1; k <= 6; k++) {
                struct run run = {.r = 0};
                boot(false);
                kernel.faults[k] = -ETIMEDOUT;
                run_plan(&run, VFIOCTL_MODE_VM, NULL);
                run_apply(&run);
                assert_int_equal(run.r, 0);
                assert_int_equal(run.outcome, VFIOCTL_STUCK);
                /* Nothing is touched any more, and it is written down. */
                assert_int_equal(kernel.writes, k);
                assert_non_null(finding_by(run.findings, "stuck", GPU));
                _cleanup_free_ char *record = root_get(kernel.root, k <= 3 ? "/run/vfioctl/stuck/" AUDIO
                                                                           : "/run/vfioctl/stuck/" GPU);
                assert_non_null(record);
                run_end(&run);
                halt();
        }
        /* The same while undoing. */
        struct run run = {.r = 0};
        boot(false);
        kernel.faults[5] = -EIO;
        kernel.faults[7] = -ETIMEDOUT;
        run_plan(&run, VFIOCTL_MODE_VM, NULL);
        run_apply(&run);
        assert_int_equal(run.outcome, VFIOCTL_STUCK);
        assert_int_equal(kernel.writes, 7);
        assert_non_null(finding_by(run.findings, "not-rolled-back", GPU));
        run_end(&run);
        halt();
}

static void test_definition(void **state)
{
        static const int results[] = {0, -EIO, -ENOMEM, -ETIMEDOUT, -ESTALE};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                struct run run = {.definitions.result = results[i]};
                boot(false);
                _cleanup_free_ char *before = state_text();
                run_plan(&run, VFIOCTL_MODE_VM, "game1");
                run_apply(&run);
                assert_int_equal(run.r, 0);
                assert_int_equal(run.outcome, results[i] ? VFIOCTL_ROLLED_BACK : VFIOCTL_DONE);
                assert_int_equal(run.definitions.defined, 1);
                assert_int_equal(run.definitions.undone, 0);
                _cleanup_free_ char *after = state_text(), *text = findings_dump(run.findings);
                if (results[i]) {
                        assert_string_equal(after, before);
                        assert_contains(text, "libvirt says no");
                        assert_null(finding_by(run.findings, "stuck", NULL));
                } else {
                        assert_string_equal(text, "");
                }
                run_end(&run);
                halt();
        }
        /* Nobody to do it. */
        struct run run = {.r = 0};
        boot(false);
        _cleanup_free_ char *before = state_text();
        run_plan(&run, VFIOCTL_MODE_VM, "game1");
        assert_int_equal(vfioctl_apply(kernel.ctx, run.plan, NULL, run.findings, &run.outcome), 0);
        assert_int_equal(run.outcome, VFIOCTL_ROLLED_BACK);
        _cleanup_free_ char *after = state_text();
        assert_string_equal(after, before);
        run_end(&run);
        halt();
}

/* What the plan was made from is no longer so. */
static void test_stale(void **state)
{
        (void)state;
        for (int i = 0; i < 3; i++) {
                struct run run = {.r = 0};
                boot(false);
                run_plan(&run, VFIOCTL_MODE_VM, NULL);
                if (i == 0)
                        put_override(AUDIO, "nouveau");
                else if (i == 1)
                        root_put(kernel.root, "/run/vfioctl/claims/" GPU, "a-uuid 1 1\nvm\n");
                else
                        set_driver(GPU, "radeon");
                _cleanup_free_ char *before = state_text();
                run_apply(&run);
                assert_int_equal(run.r, -EAGAIN);
                assert_int_equal(run.outcome, 99);
                assert_int_equal(kernel.writes, 0);
                _cleanup_free_ char *after = state_text();
                assert_string_equal(after, before);
                run_end(&run);
                halt();
        }
        /* Somebody meddles while we are at it. */
        struct run run = {.r = 0};
        boot(false);
        run_plan(&run, VFIOCTL_MODE_VM, NULL);
        kernel.meddle_at = 3;
        run_apply(&run);
        assert_int_equal(run.r, 0);
        assert_int_equal(run.outcome, VFIOCTL_ROLLED_BACK);
        assert_contains(finding_by(run.findings, "step-failed", GPU)->text, "changed it meanwhile");
        _cleanup_free_ char *after = state_text();
        assert_string_equal(after, GPU " amdgpu theirs;" AUDIO " snd_hda_intel (null);");
        run_end(&run);
        halt();
}

static void test_module(void **state)
{
        static const int results[] = {-ENOENT, -EPERM, -ENOMEM, -ETIMEDOUT};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                struct run run = {.r = 0};
                boot(false);
                kernel.load_result = results[i];
                run_plan(&run, VFIOCTL_MODE_VM, NULL);
                run_apply(&run);
                assert_int_equal(run.r, 0);
                assert_int_equal(run.outcome, results[i] == -ETIMEDOUT ? VFIOCTL_STUCK : VFIOCTL_ROLLED_BACK);
                assert_int_equal(kernel.writes, 0);
                run_end(&run);
                halt();
        }
}

static void test_refused(void **state)
{
        struct run run = {.r = 0};

        (void)state;
        boot(false);
        run_plan(&run, VFIOCTL_MODE_VM, NULL);
        assert_int_equal(
                vfioctl_findings_add(run.plan->findings,
                                     &(struct vfioctl_finding){.severity = VFIOCTL_REFUSAL, .code = "x"}),
                0);
        run_apply(&run);
        assert_int_equal(run.r, -EINVAL);
        assert_int_equal(run.outcome, 99);
        assert_int_equal(kernel.writes + kernel.loads, 0);
        run_end(&run);
        halt();
}

static void *let_go(void *lock)
{
        /* The other side waits on an event: any moment will do. */
        (void)vfioctl_lock_free(lock);
        return NULL;
}

#define CLAIM "/run/vfioctl/claims/" GPU
#define UUID  "11111111-2222-3333-4444-555555555555"

static void claim_plan(struct run *run, const char *uuid, bool is_release)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        const struct vfioctl_gpu *gpu;

        assert_int_equal(vfioctl_snapshot_take(kernel.ctx, VFIOCTL_SNAPSHOT_ALL & ~VFIOCTL_SNAPSHOT_NAMES,
                                               &run->snapshot),
                         0);
        assert_int_equal(vfioctl_snapshot_find(run->snapshot, GPU, &gpu), 0);
        assert_int_equal(vfioctl_intent_new(&intent), 0);
        if (run->definitions.result < 0)
                assert_int_equal(vfioctl_intent_define(intent, "game1"), 0);
        if (is_release)
                assert_int_equal(vfioctl_intent_release(intent, gpu, uuid), 0);
        else
                assert_int_equal(
                        vfioctl_intent_claim(intent, gpu, &(struct vfioctl_claim){uuid, "vm", {1, "1"}}), 0);
        assert_int_equal(vfioctl_plan_new(run->snapshot, NULL, intent, 0, &run->plan), 0);
        assert_int_equal(vfioctl_findings_new(&run->findings), 0);
}

static void assert_claim(const char *expected)
{
        _cleanup_free_ char *text = root_get(kernel.root, CLAIM);

        if (!expected)
                assert_null(text);
        else
                assert_string_equal(text, expected);
}

static void test_claims(void **state)
{
        struct run run = {.r = 0};

        (void)state;
        boot(false);
        claim_plan(&run, UUID, false);
        run_apply(&run);
        assert_int_equal(run.outcome, VFIOCTL_DONE);
        assert_claim(UUID " 1 1\nvm\n");
        assert_null(root_get(kernel.root, "/run/vfioctl/work/" GPU));
        run_end(&run);
        /* Over a stale one; and somebody else's that came since the plan was made is not touched. */
        claim_plan(&run, "other", false);
        run_apply(&run);
        assert_int_equal(run.outcome, VFIOCTL_DONE);
        assert_claim("other 1 1\nvm\n");
        run_end(&run);
        claim_plan(&run, UUID, false);
        root_put(kernel.root, CLAIM, "third 1 1\nvm\n");
        run_apply(&run);
        assert_int_equal(run.r, -EAGAIN);
        assert_claim("third 1 1\nvm\n");
        run_end(&run);
        claim_plan(&run, "third", true);
        root_put(kernel.root, CLAIM, UUID " 1 1\nvm\n");
        run_apply(&run);
        assert_int_equal(run.r, -EAGAIN);
        run_end(&run);
        claim_plan(&run, UUID, true);
        run_apply(&run);
        assert_int_equal(run.outcome, VFIOCTL_DONE);
        assert_claim(NULL);
        run_end(&run);
        halt();
}

/* A bind that fails leaves the claim of before, and so does a definition that fails after it. */
static void test_claim_fails(void **state)
{
        (void)state;
        for (unsigned int k = 1; k <= 7; k++) {
                struct run run = {.definitions = {.result = -EIO}};
                boot(false);
                _cleanup_free_ char *before = state_text();
                root_put(kernel.root, CLAIM, "old 1 1\nvm\n");
                kernel.faults[k] = k <= 6 ? -EIO : 0;
                claim_plan(&run, UUID, false);
                run_apply(&run);
                assert_int_equal(run.r, 0);
                assert_int_equal(run.outcome, VFIOCTL_ROLLED_BACK);
                assert_int_equal(run.definitions.defined, k == 7);
                assert_claim("old 1 1\nvm\n");
                assert_null(root_get(kernel.root, "/run/vfioctl/work/" GPU));
                _cleanup_free_ char *after = state_text();
                assert_string_equal(after, before);
                run_end(&run);
                halt();
        }
}

static void test_locked(void **state)
{
        struct run run = {.r = 0};
        struct vfioctl_lock *lock = NULL;
        enum vfioctl_outcome outcome = (enum vfioctl_outcome)99;
        pthread_t thread;

        (void)state;
        boot(false);
        run_plan(&run, VFIOCTL_MODE_VM, NULL);
        assert_int_equal(lock_gpus(kernel.ctx, run.plan, &lock), 0);
        kernel.ctx->lock_deadline = 30;
        assert_int_equal(vfioctl_apply(kernel.ctx, run.plan, NULL, run.findings, &outcome), -EBUSY);
        assert_int_equal(outcome, 99);
        assert_int_equal(kernel.writes + kernel.loads, 0);
        /* Who had to wait has an old plan; who did not, goes on. */
        kernel.ctx->lock_deadline = 5000;
        assert_int_equal(pthread_create(&thread, NULL, let_go, lock), 0);
        int r = vfioctl_apply(kernel.ctx, run.plan, NULL, run.findings, &outcome);
        assert_true(r == 0 || r == -EAGAIN);
        assert_int_equal(kernel.writes == 0, r == -EAGAIN);
        assert_int_equal(pthread_join(thread, NULL), 0);
        run_end(&run);
        halt();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_failures),
                cmocka_unit_test(test_failing_undo),   cmocka_unit_test(test_hang),
                cmocka_unit_test(test_definition),     cmocka_unit_test(test_stale),
                cmocka_unit_test(test_module),         cmocka_unit_test(test_refused),
                cmocka_unit_test(test_locked),         cmocka_unit_test(test_claims),
                cmocka_unit_test(test_claim_fails),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
