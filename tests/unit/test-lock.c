/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "lock.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char *root;
static struct vfioctl_ctx *ctx;

static void test_admin(void **state)
{
        struct vfioctl_lock *first = NULL, *second = NULL;

        (void)state;
        assert_null(vfioctl_lock_free(NULL));
        assert_int_equal(vfioctl_lock_admin(ctx, &first), 0);
        ctx->lock_deadline = 80;
        uint64_t begin = now_ms();
        assert_int_equal(vfioctl_lock_admin(ctx, &second), -EBUSY);
        uint64_t took = now_ms() - begin;
        assert_null(second);
        assert_true(took >= 79 && took < 2000);
        assert_null(vfioctl_lock_free(first));
        assert_int_equal(vfioctl_lock_admin(ctx, &second), 0);
        assert_null(vfioctl_lock_free(second));
}

static struct vfioctl_plan plan_for(struct planned_gpu *gpus, size_t count)
{
        return (struct vfioctl_plan){.gpus = gpus, .n_gpus = count};
}

static void test_gpus(void **state)
{
        struct planned_gpu all[3] = {
                {.address = "0000:06:00.0"}, {.address = "0000:0a:00.0"}, {.address = "0000:85:00.0"}};
        struct vfioctl_plan one = plan_for(all + 1, 1), three = plan_for(all, 3), last = plan_for(all + 2, 1),
                            none = plan_for(NULL, 0);
        struct vfioctl_lock *a = NULL, *b = NULL, *admin = NULL;

        (void)state;
        ctx->lock_deadline = 50;
        assert_int_equal(lock_gpus(ctx, &one, &a), 0);
        /* One of three is taken: none of them stays locked. */
        assert_int_equal(lock_gpus(ctx, &three, &b), -EBUSY);
        assert_null(b);
        assert_int_equal(lock_gpus(ctx, &last, &b), 0);
        /* The admin lock is another one, and a hook that holds GPUs never waits for it. */
        assert_int_equal(vfioctl_lock_admin(ctx, &admin), 0);
        a = vfioctl_lock_free(a);
        b = vfioctl_lock_free(b);
        assert_int_equal(lock_gpus(ctx, &three, &a), 0);
        a = vfioctl_lock_free(a);
        assert_int_equal(lock_gpus(ctx, &none, &a), 0);
        a = vfioctl_lock_free(a);
        admin = vfioctl_lock_free(admin);
}

/* The bound is for the whole, not for each GPU of a list. */
static void test_bound(void **state)
{
        struct planned_gpu gpus[8];
        struct vfioctl_lock *held[8], *lock = NULL;
        struct vfioctl_plan plan = plan_for(gpus, 8);

        (void)state;
        for (unsigned int i = 0; i < 8; i++) {
                (void)snprintf(gpus[i].address, sizeof(gpus[i].address), "0000:%02x:00.0", i);
                struct vfioctl_plan one = plan_for(gpus + i, 1);
                assert_int_equal(lock_gpus(ctx, &one, &held[i]), 0);
        }
        ctx->lock_deadline = 60;
        uint64_t begin = now_ms();
        assert_int_equal(lock_gpus(ctx, &plan, &lock), -EBUSY);
        assert_true(now_ms() - begin < 2000);
        for (unsigned int i = 0; i < 8; i++)
                (void)vfioctl_lock_free(held[i]);
}

/* Another process has it and ends: whoever waits gets it, and is told that it had to wait. */
static void hand_over(bool killed)
{
        struct planned_gpu gpus[1] = {{.address = "0000:06:00.0"}};
        struct vfioctl_plan plan = plan_for(gpus, 1);
        struct vfioctl_lock *lock = NULL;
        int ready[2], go[2];
        char byte;

        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(go), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)close(go[1]);
                if (lock_gpus(ctx, &plan, &lock) < 0 || write(ready[1], "x", 1) != 1)
                        _exit(1);
                if (read(go[0], &byte, 1) != 1)
                        _exit(2);
                if (killed)
                        (void)kill(getpid(), SIGKILL);
                (void)vfioctl_lock_free(lock);
                (void)pause();
        }
        /* Should the child end early, this read ends too. */
        (void)close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        uint64_t begin = now_ms();
        assert_int_equal(write(go[1], "x", 1), 1);
        int r = lock_gpus(ctx, &plan, &lock);
        assert_true(r == 0 || r == 1);
        assert_true(now_ms() - begin < ctx->lock_deadline);
        (void)vfioctl_lock_free(lock);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        (void)close(ready[0]);
        (void)close(go[0]);
        (void)close(go[1]);
}

static void test_hand_over(void **state)
{
        (void)state;
        for (int i = 0; i < 50; i++) {
                hand_over(false);
                hand_over(true);
        }
}

/* Four processes that take it in turn, as fast as they can: nobody is inside twice, nobody waits in vain. */
static void contend(int shared)
{
        for (int i = 0; i < 1500; i++) {
                struct vfioctl_lock *lock = NULL;
                char before[16] = "", own[16], after[16] = "";
                int r = vfioctl_lock_admin(ctx, &lock);
                if (r < 0)
                        _exit(r == -EBUSY ? 2 : 3);
                int length = snprintf(own, sizeof(own), "%d", (int)getpid());
                if (pread(shared, before, sizeof(before) - 1, 0) < 0 ||
                    pwrite(shared, own, sizeof(own), 0) < length ||
                    pread(shared, after, sizeof(after) - 1, 0) < 0 || strcmp(own, after) != 0)
                        _exit(4);
                (void)vfioctl_lock_free(lock);
        }
        child_content();
}

static void test_contention(void **state)
{
        pid_t pids[4];

        (void)state;
        root_put(root, "/shared", "%016d", 0);
        _cleanup_fd_ int shared = host_create(ctx, "/shared");
        assert_true(shared >= 0);
        ctx->lock_deadline = 3000;
        for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                pids[i] = fork();
                assert_true(pids[i] >= 0);
                if (pids[i] == 0)
                        contend(shared);
        }
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                assert_child_content(pids[i]);
}

/* A file or a link where the lock should be. */
static void test_obstacles(void **state)
{
        struct vfioctl_lock *lock = NULL;
        char *outside = root_new();

        (void)state;
        root_put(root, "/run/vfioctl/lock", "a file");
        assert_true(vfioctl_lock_admin(ctx, &lock) < 0);
        root_unlink(root, "/run/vfioctl/lock");
        root_mkdir(root, "/run/vfioctl/lock");
        root_link(root, "/run/vfioctl/lock/admin", "/etc/passwd");
        assert_true(vfioctl_lock_admin(ctx, &lock) < 0);
        root_unlink(root, "/run/vfioctl/lock/admin");
        root_mkdir(root, "/run/vfioctl/lock/admin");
        assert_true(vfioctl_lock_admin(ctx, &lock) < 0);
        assert_null(lock);
        root_free(outside);
}

static int set_up(void **state)
{
        (void)state;
        root = root_new();
        ctx = root_ctx(root);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_admin, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_gpus, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hand_over, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_contention, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_obstacles, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
