/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "holders.h"
#include "nodes.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * On this machine, where no GPU need be: a pseudo terminal stands in for its device node, and real processes
 * hold that.
 */
int __wrap_nodes_find(const struct vfioctl_ctx *ctx, const struct vfioctl_snapshot *snapshot,
                      struct nodes *ret);

static dev_t device;
static char name[64];
static int master;
static struct fixture f;
static struct vfioctl_ctx *ctx;

int __wrap_nodes_find(const struct vfioctl_ctx *context, const struct vfioctl_snapshot *snapshot,
                      struct nodes *ret)
{
        assert_ptr_equal(context, ctx);
        *ret = (struct nodes){.items = calloc(1, sizeof(*ret->items)), .count = 1, .allocated = 1};
        assert_non_null(ret->items);
        ret->items[0].device = device;
        ret->items[0].gpu = snapshot->gpus[0];
        return util_copy(name, &ret->items[0].path);
}

/* The holders are allocated by what finds them; the fixture's are not. */
static void find(void)
{
        fixture_init(&f);
        struct vfioctl_gpu *gpu = fixture_gpu(&f, "1a", "0000:06:00.0", 0, 0, 10, "amdgpu");
        gpu->holders = NULL;
        assert_int_equal(holders_find(ctx, &f.snapshot), 0);
}

static void forget(void)
{
        struct vfioctl_gpu *gpu = &f.gpus[0];

        for (size_t i = 0; i < gpu->n_holders; i++) {
                free(gpu->holders[i].command);
                free(gpu->holders[i].unit);
                free(gpu->holders[i].node);
        }
        free(gpu->holders);
}

static void *stay(void *data)
{
        (void)data;
        (void)pause();
        return NULL;
}

/* A process that holds the node, and with `threads` has ended its first thread since. */
static pid_t hold(bool threads)
{
        int ready[2];
        char byte;

        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                pthread_t thread;
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)close(ready[0]);
                int fd = open(name, O_RDWR | O_NOCTTY);
                if (fd < 0 || (threads && pthread_create(&thread, NULL, stay, NULL) != 0) ||
                    write(ready[1], "x", 1) != 1)
                        _exit(1);
                /* The pipe ends with this thread's last word; what is left is its exit. */
                (void)close(ready[1]);
                if (threads)
                        pthread_exit(NULL);
                (void)pause();
        }
        (void)close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(read(ready[0], &byte, 1), 0);
        (void)close(ready[0]);
        return pid;
}

static void end(pid_t pid)
{
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_nobody(void **state)
{
        (void)state;
        find();
        assert_int_equal(f.gpus[0].n_holders, 0);
        /* Root sees all, as a rule: a container may keep a process from it. */
        assert_true(geteuid() == 0 || !f.gpus[0].holders_known);
        forget();
}

static void test_process(void **state)
{
        (void)state;
        if (in_valgrind())
                skip();
        pid_t pid = hold(false);
        find();
        assert_int_equal(f.gpus[0].n_holders, 1);
        assert_int_equal(f.gpus[0].holders[0].pid, pid);
        assert_string_equal(f.gpus[0].holders[0].command, "test-holders");
        assert_string_equal(f.gpus[0].holders[0].node, name);
        forget();
        end(pid);
        find();
        assert_int_equal(f.gpus[0].n_holders, 0);
        forget();
}

static void test_first_thread_has_ended(void **state)
{
        char path[64], text[512];

        (void)state;
        if (in_valgrind())
                skip();
        pid_t pid = hold(true);
        /* Its first thread is a zombie any moment now. */
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        do
                assert_true(host_read(ctx, path, text, sizeof(text)) > 0);
        while (!strstr(text, ") Z "));
        find();
        assert_int_equal(f.gpus[0].n_holders, 1);
        /* A thread of it: kill(1) takes that number as well. */
        assert_int_equal(kill(f.gpus[0].holders[0].pid, 0), 0);
        forget();
        end(pid);
}

static int set_up(void **state)
{
        struct stat status;

        (void)state;
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
            ptsname_r(master, name, sizeof(name)) != 0 || stat(name, &status) < 0)
                return -1;
        device = status.st_rdev;
        return vfioctl_ctx_new(NULL, &ctx);
}

static int tear_down(void **state)
{
        (void)state;
        (void)vfioctl_ctx_free(ctx);
        return close(master);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nobody),
                cmocka_unit_test(test_process),
                cmocka_unit_test(test_first_thread_has_ended),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
