/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "runtime.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GPU "0000:06:00.0"

static char *root;
static struct vfioctl_ctx *ctx;

static pid_t start_process(void)
{
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)pause();
                _exit(0);
        }
        return pid;
}

static void test_stuck(void **state)
{
        (void)state;
        assert_false(runtime_is_stuck(ctx, GPU));
        assert_int_equal(runtime_forget_stuck(ctx, GPU), 0);
        pid_t pid = start_process();
        assert_int_equal(runtime_record_stuck(ctx, GPU, pid, "write x to y"), 0);
        assert_true(runtime_is_stuck(ctx, GPU));
        assert_false(runtime_is_stuck(ctx, "0000:07:00.0"));
        char *text = root_get(root, "/run/vfioctl/stuck/" GPU);
        assert_contains(text, "write x to y");
        free(text);
        /* Killed, it counts no more, and not while it is only waited for either. */
        assert_int_equal(kill(pid, SIGKILL), 0);
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        assert_false(runtime_is_stuck(ctx, GPU));
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_false(runtime_is_stuck(ctx, GPU));
        assert_int_equal(runtime_forget_stuck(ctx, GPU), 0);
        assert_null(root_get(root, "/run/vfioctl/stuck/" GPU));
}

/* The same number, another process: told apart by the time it started. */
static void test_pid_reuse(void **state)
{
        char *text, *start;

        (void)state;
        pid_t pid = start_process();
        assert_int_equal(runtime_record_stuck(ctx, GPU, pid, "x"), 0);
        text = root_get(root, "/run/vfioctl/stuck/" GPU);
        start = strchr(text, ' ');
        assert_non_null(start);
        unsigned long long ticks = strtoull(start + 1, NULL, 10);
        assert_true(ticks > 0);
        free(text);
        root_put(root, "/run/vfioctl/stuck/" GPU, "%d %llu\nx\n", pid, ticks);
        assert_true(runtime_is_stuck(ctx, GPU));
        root_put(root, "/run/vfioctl/stuck/" GPU, "%d %llu\nx\n", pid, ticks - 1);
        assert_false(runtime_is_stuck(ctx, GPU));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A name with blanks and parentheses must not move the fields of /proc/PID/stat. */
static void test_odd_command(void **state)
{
        int ready[2];
        char byte;

        (void)state;
        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                FILE *comm = fopen("/proc/self/comm", "we");
                if (comm && fputs(") Z 1 2 (x", comm) >= 0 && fclose(comm) == 0 &&
                    write(ready[1], "x", 1) == 1)
                        (void)pause();
                _exit(1);
        }
        (void)close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(runtime_record_stuck(ctx, GPU, pid, "x"), 0);
        assert_true(runtime_is_stuck(ctx, GPU));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_false(runtime_is_stuck(ctx, GPU));
        (void)close(ready[0]);
}

static void test_no_process(void **state)
{
        (void)state;
        assert_int_equal(runtime_record_stuck(ctx, GPU, 0, "x"), 0);
        assert_false(runtime_is_stuck(ctx, GPU));
        assert_int_equal(runtime_record_stuck(ctx, GPU, 0x7ffffff0, "x"), 0);
        assert_false(runtime_is_stuck(ctx, GPU));
        /* Nothing half-written stays behind in the folder. */
        DIR *dir = host_opendir(ctx, PATH_RUN_STUCK);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));)
                if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
                        assert_string_equal(entry->d_name, GPU);
        assert_int_equal(closedir(dir), 0);
}

static void test_host_driver(void **state)
{
        static const char *const wrong[] = {"", "\n", "../vfio-pci", "a/b", ".", "..", ".hidden"};
        char *driver = NULL;

        (void)state;
        assert_int_equal(runtime_host_driver(ctx, GPU, &driver), -ENOENT);
        assert_int_equal(runtime_record_host_driver(ctx, GPU, "amdgpu"), 0);
        assert_int_equal(runtime_host_driver(ctx, GPU, &driver), 0);
        assert_string_equal(driver, "amdgpu");
        free(driver);
        driver = NULL;
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                root_put(root, "/run/vfioctl/host-driver/" GPU, "%s", wrong[i]);
                assert_int_equal(runtime_host_driver(ctx, GPU, &driver), -EINVAL);
        }
        assert_null(driver);
        assert_int_equal(runtime_forget_host_driver(ctx, GPU), 0);
        assert_int_equal(runtime_forget_host_driver(ctx, GPU), 0);
        assert_int_equal(runtime_host_driver(ctx, GPU, &driver), -ENOENT);
}

/* Somebody's link in place of our folder must lead nowhere outside. */
static void test_stays_inside(void **state)
{
        char *outside = root_new(), *text;

        (void)state;
        char *other = root_new();
        struct vfioctl_ctx *there = root_ctx(other);
        root_link(other, "/run/vfioctl", outside);
        (void)runtime_record_host_driver(there, GPU, "amdgpu");
        char path[PATH_MAX];
        (void)snprintf(path, sizeof(path), "/host-driver/%s", GPU);
        text = root_get(outside, path);
        assert_null(text);
        (void)vfioctl_ctx_free(there);
        root_free(other);
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
                cmocka_unit_test_setup_teardown(test_stuck, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_pid_reuse, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_odd_command, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_process, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_host_driver, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stays_inside, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
