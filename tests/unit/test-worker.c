/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * read() and write() of the library go through these: a file of mode 0604 never answers, as a device whose
 * lock is held; one of mode 0602 gives -ETIMEDOUT, as a driver may.
 */
ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size);
ssize_t __real_write(int fd, const void *buffer, size_t size);
ssize_t __wrap_write(int fd, const void *buffer, size_t size);

static bool answers(int fd)
{
        struct stat status;

        if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
                return true;
        while ((status.st_mode & 0777) == 0604)
                (void)pause();
        if ((status.st_mode & 0777) == 0602) {
                errno = ETIMEDOUT;
                return false;
        }
        return true;
}

ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
        return answers(fd) ? __real_read(fd, buffer, size) : -1;
}

ssize_t __wrap_write(int fd, const void *buffer, size_t size)
{
        return answers(fd) ? __real_write(fd, buffer, size) : -1;
}

static char *root;
static struct vfioctl_ctx *ctx;

static void set_mode(const char *path, mode_t mode)
{
        char full[PATH_MAX];

        (void)snprintf(full, sizeof(full), "%s%s", root, path);
        assert_int_equal(chmod(full, mode), 0);
}

/* The one child of this process that is no zombie, or 0. */
static pid_t worker_pid(void)
{
        char path[64], text[64] = "";

        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        (void)fgets(text, sizeof(text), file);
        assert_int_equal(fclose(file), 0);
        return (pid_t)strtol(text, NULL, 10);
}

/* A descriptor that becomes readable when the process ends. */
static int watch_process(pid_t pid)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);

        assert_true(fd >= 0);
        return fd;
}

static bool ends_within(int process, int ms)
{
        struct pollfd event = {.fd = process, .events = POLLIN};

        return poll(&event, 1, ms) == 1;
}

static void kill_and_wait(pid_t pid)
{
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
}

static void test_read(void **state)
{
        char text[64] = "", tiny[4];

        (void)state;
        root_put(root, "/a", "hello\n");
        assert_int_equal(worker_read(ctx, "/a", text, sizeof(text), 1000), 6);
        assert_string_equal(text, "hello\n");
        assert_int_equal(worker_read(ctx, "/a", tiny, sizeof(tiny), 1000), 3);
        assert_string_equal(tiny, "hel");
        assert_int_equal(worker_read(ctx, "/none", text, sizeof(text), 1000), -ENOENT);
        root_mkdir(root, "/folder");
        assert_int_equal(worker_read(ctx, "/folder", text, sizeof(text), 1000), -EISDIR);
        root_put(root, "/empty", "%s", "");
        assert_int_equal(worker_read(ctx, "/empty", text, sizeof(text), 1000), 0);
        assert_string_equal(text, "");
        /* More than any attribute has. */
        char *big = calloc(1, 100001);
        assert_non_null(big);
        memset(big, 'x', 100000);
        root_put(root, "/big", "%s", big);
        free(big);
        static char page[ATTRIBUTE_MAX * 2];
        assert_int_equal(worker_read(ctx, "/big", page, sizeof(page), 1000), ATTRIBUTE_MAX - 1);
        root_fifo(root, "/fifo");
        assert_true(worker_read(ctx, "/fifo", text, sizeof(text), 1000) <= 0);
        assert_int_equal(worker_abandoned_pid(ctx), 0);
}

static void test_write(void **state)
{
        (void)state;
        root_put(root, "/a", "%s", "");
        assert_int_equal(worker_write(ctx, "/a", "vfio-pci", 1000), 0);
        char *text = root_get(root, "/a");
        assert_string_equal(text, "vfio-pci\n");
        free(text);
        /* Clearing is a newline: a write of nothing does nothing in sysfs. */
        root_put(root, "/b", "%s", "");
        assert_int_equal(worker_write(ctx, "/b", "", 1000), 0);
        text = root_get(root, "/b");
        assert_string_equal(text, "\n");
        free(text);
        assert_int_equal(worker_write(ctx, "/none", "x", 1000), -ENOENT);
        text = root_get(root, "/none");
        assert_null(text);
        root_fifo(root, "/fifo");
        assert_int_equal(worker_write(ctx, "/fifo", "x", 1000), -ENXIO);
        root_link(root, "/out", "/../../../../../etc/hostname");
        assert_int_equal(worker_write(ctx, "/out", "x", 1000), -ENOENT);
}

static void test_too_long(void **state)
{
        char path[PATH_MAX + 16], value[ATTRIBUTE_MAX + 16], text[8];

        (void)state;
        memset(path, 'a', sizeof(path));
        path[0] = '/';
        memset(value, 'b', sizeof(value));
        path[sizeof(path) - 1] = value[sizeof(value) - 1] = '\0';
        assert_true(worker_read(ctx, path, text, sizeof(text), 1000) < 0);
        root_put(root, "/a", "%s", "");
        assert_true(worker_write(ctx, "/a", value, 1000) < 0);
        char *left = root_get(root, "/a");
        assert_string_equal(left, "");
        free(left);
        value[ATTRIBUTE_MAX - 1] = '\0';
        assert_int_equal(worker_write(ctx, "/a", value, 1000), 0);
        value[ATTRIBUTE_MAX / 2] = path[200] = '\0';
        assert_int_equal(worker_read(ctx, path, text, sizeof(text), 1000), -ENOENT);
}

static void test_hang(void **state)
{
        char text[64];

        (void)state;
        root_put(root, "/hang", "x");
        set_mode("/hang", 0604);
        root_put(root, "/a", "fine");
        for (int write = 0; write < 2; write++) {
                uint64_t begin = now_ms();
                int r = write ? worker_write(ctx, "/hang", "y", 60) : worker_read(ctx, "/hang", text, 64, 60);
                assert_int_equal(r, -ETIMEDOUT);
                assert_true(now_ms() - begin < 2000);
                pid_t left = worker_abandoned_pid(ctx);
                assert_true(left > 0);
                assert_int_equal(kill(left, 0), 0);
                /* Others are answered, by another worker. */
                assert_int_equal(worker_read(ctx, "/a", text, sizeof(text), 1000), 4);
                assert_int_equal(worker_abandoned_pid(ctx), left);
                kill_and_wait(left);
        }
        char *untouched = root_get(root, "/hang");
        assert_string_equal(untouched, "x");
        free(untouched);
}

/* An error that only looks like ours. */
static void test_kernel_says_timeout(void **state)
{
        char text[64];

        (void)state;
        root_put(root, "/late", "x");
        set_mode("/late", 0602);
        assert_int_equal(worker_write(ctx, "/late", "y", 1000), -EIO);
        assert_int_equal(worker_read(ctx, "/late", text, sizeof(text), 1000), -EIO);
        assert_int_equal(worker_abandoned_pid(ctx), 0);
}

/* Nothing of ours is in the child: no terminal, no pipe, no lock; and it is nobody's working folder. */
static void test_holds_nothing(void **state)
{
        char path[64], target[PATH_MAX], text[8];
        int pipe_fds[2], kept = 0;

        (void)state;
        if (in_valgrind())
                skip();
        assert_int_equal(pipe(pipe_fds), 0);
        int high = fcntl(pipe_fds[0], F_DUPFD, 200);
        assert_true(high >= 200);
        root_put(root, "/a", "x");
        _cleanup_fd_ int file = host_open(ctx, "/a", O_RDONLY);
        assert_true(file >= 0);
        assert_int_equal(worker_read(ctx, "/a", text, sizeof(text), 1000), 1);
        pid_t pid = worker_pid();
        assert_true(pid > 0);
        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        DIR *dir = opendir(path);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));) {
                if (entry->d_name[0] == '.')
                        continue;
                ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
                assert_true(n > 0);
                target[n] = '\0';
                if (strcmp(target, "/dev/null") == 0)
                        continue;
                if (strncmp(target, "socket:", 7) != 0 && strcmp(target, root) != 0)
                        fail_msg("the worker holds %s", target);
                kept++;
        }
        assert_int_equal(closedir(dir), 0);
        assert_int_equal(kept, 2);
        (void)snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        assert_int_equal(n, 1);
        /* A session of its own: a Ctrl-C is not for it. */
        assert_int_equal(getsid(pid), pid);
        (void)close(high);
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
}

/* Idle, it ends with its context; and with its parent, however that ended. */
static void test_ends(void **state)
{
        char text[8];
        int pids[2];
        pid_t worker;

        (void)state;
        if (in_valgrind())
                skip();
        root_put(root, "/a", "x");
        assert_int_equal(worker_read(ctx, "/a", text, sizeof(text), 1000), 1);
        pid_t pid = worker_pid();
        ctx = vfioctl_ctx_free(ctx);
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(errno, ESRCH);
        ctx = root_ctx(root);

        assert_int_equal(pipe(pids), 0);
        pid_t parent = fork();
        assert_true(parent >= 0);
        if (parent == 0) {
                struct vfioctl_ctx *own = root_ctx(root);
                if (worker_read(own, "/a", text, sizeof(text), 1000) != 1)
                        _exit(1);
                worker = worker_pid();
                if (write(pids[1], &worker, sizeof(worker)) != sizeof(worker))
                        _exit(1);
                (void)pause();
        }
        assert_int_equal(read(pids[0], &worker, sizeof(worker)), sizeof(worker));
        _cleanup_fd_ int process = watch_process(worker);
        assert_false(ends_within(process, 0));
        kill_and_wait(parent);
        assert_true(ends_within(process, 5000));
        (void)close(pids[0]);
        (void)close(pids[1]);
}

static void test_killed(void **state)
{
        char text[8];

        (void)state;
        if (in_valgrind())
                skip();
        root_put(root, "/a", "x");
        for (int i = 0; i < 3; i++) {
                assert_int_equal(worker_read(ctx, "/a", text, sizeof(text), 1000), 1);
                pid_t pid = worker_pid();
                _cleanup_fd_ int process = watch_process(pid);
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_true(ends_within(process, 5000));
                /* An error, at once, and no word of "stuck"; the next one is served. */
                uint64_t begin = now_ms();
                assert_int_not_equal(worker_read(ctx, "/a", text, sizeof(text), 5000), -ETIMEDOUT);
                assert_true(now_ms() - begin < 2000);
                assert_int_equal(worker_read(ctx, "/a", text, sizeof(text), 1000), 1);
        }
}

/* ---- many at once ---- */

struct batch {
        size_t count, called;
        int results[200];
        size_t stop_at, kill_at;
        size_t slow;
};

static bool batch_path(void *userdata, size_t index, char path[PATH_MAX])
{
        const struct batch *batch = userdata;

        (void)batch;
        if (index == 77) {
                memset(path, 'x', PATH_MAX);
                return false;
        }
        return path_format(path, "/many/%zu", index);
}

static int batch_result(void *userdata, size_t index, int result, char *text)
{
        struct batch *batch = userdata;
        char expected[32];

        assert_int_equal(index, batch->called);
        batch->called++;
        batch->results[index] = result;
        if (result >= 0) {
                (void)snprintf(expected, sizeof(expected), "value %zu", index);
                assert_string_equal(text, expected);
                assert_int_equal(result, strlen(expected));
        }
        if (index == batch->kill_at) {
                pid_t pid = worker_pid();
                _cleanup_fd_ int process = watch_process(pid);
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_true(ends_within(process, 5000));
        }
        return index == batch->stop_at ? -ECANCELED : 0;
}

static void make_many(void)
{
        char path[64];

        for (unsigned int i = 0; i < 200; i++) {
                (void)snprintf(path, sizeof(path), "/many/%u", i);
                root_put(root, path, "value %u", i);
        }
}

static void test_many(void **state)
{
        struct batch batch = {.stop_at = SIZE_MAX, .kill_at = SIZE_MAX};

        (void)state;
        make_many();
        root_unlink(root, "/many/5");
        set_mode("/many/40", 0604);
        set_mode("/many/41", 0604);
        assert_int_equal(worker_read_many(ctx, 200, batch_path, batch_result, &batch, 500), 0);
        assert_int_equal(batch.called, 200);
        for (size_t i = 0; i < 200; i++) {
                int expected = i == 5               ? -ENOENT
                               : i == 40 || i == 41 ? -ETIMEDOUT
                               : i == 77            ? -ENAMETOOLONG
                                                    : 0;
                if (expected < 0)
                        assert_int_equal(batch.results[i], expected);
                else
                        assert_true(batch.results[i] > 0);
        }
        for (pid_t pid; (pid = worker_pid()) > 0;)
                kill_and_wait(pid);
        batch = (struct batch){.stop_at = SIZE_MAX, .kill_at = SIZE_MAX};
        assert_int_equal(worker_read_many(ctx, 0, batch_path, batch_result, &batch, 60), 0);
        assert_int_equal(batch.called, 0);
}

/* A batch that is broken off leaves no answers behind that the next question would get. */
static void test_broken_off(void **state)
{
        struct batch batch = {.stop_at = 3, .kill_at = SIZE_MAX};
        char text[64];

        (void)state;
        make_many();
        root_put(root, "/a", "right");
        assert_int_equal(worker_read_many(ctx, 70, batch_path, batch_result, &batch, 1000), -ECANCELED);
        assert_int_equal(batch.called, 4);
        assert_true(worker_read(ctx, "/a", text, sizeof(text), 1000) >= 0);
        assert_string_equal(text, "right");
        batch = (struct batch){.stop_at = SIZE_MAX, .kill_at = SIZE_MAX};
        assert_int_equal(worker_read_many(ctx, 70, batch_path, batch_result, &batch, 1000), 0);
        assert_int_equal(batch.called, 70);
}

/* A worker that dies in the middle is no device that hangs. */
static void test_dies_in_the_middle(void **state)
{
        struct batch batch = {.stop_at = SIZE_MAX, .kill_at = 20};

        (void)state;
        if (in_valgrind())
                skip();
        make_many();
        uint64_t begin = now_ms();
        assert_int_equal(worker_read_many(ctx, 70, batch_path, batch_result, &batch, 5000), 0);
        assert_true(now_ms() - begin < 4000);
        assert_int_equal(batch.called, 70);
        size_t failed = 0;
        for (size_t i = 0; i < 70; i++) {
                assert_int_not_equal(batch.results[i], -ETIMEDOUT);
                failed += batch.results[i] < 0;
        }
        assert_true(failed <= 2);
        assert_int_equal(worker_abandoned_pid(ctx), 0);
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
        ctx = vfioctl_ctx_free(ctx);
        root_free(root);
        for (pid_t pid; (pid = worker_pid()) > 0;)
                kill_and_wait(pid);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_write, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_too_long, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hang, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_kernel_says_timeout, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_holds_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_killed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_broken_off, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dies_in_the_middle, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
