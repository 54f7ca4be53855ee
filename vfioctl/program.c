/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "installation.h"
#include "paths.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of what a program says when it fails, the end is what tells why. */
#define OUTPUT_MAX 4096

static int read_end(int fd, char **ret)
{
        _cleanup_free_ char *text = calloc(1, OUTPUT_MAX + 1);
        off_t size = lseek(fd, 0, SEEK_END);

        if (!text)
                return -ENOMEM;
        if (size < 0)
                return -errno;
        off_t from = size > OUTPUT_MAX ? size - OUTPUT_MAX : 0;
        ssize_t length = pread(fd, text, OUTPUT_MAX, from);
        if (length < 0)
                return -errno;
        for (ssize_t i = 0; i < length; i++)
                if (!text[i])
                        text[i] = '?';
        *ret = util_steal(text);
        return 0;
}

static int spawn(const char *const *command, int output, pid_t *ret)
{
        static const char *const environment[] = {PATH_FOR_PROGRAMS, "LC_ALL=C", NULL};
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t set;

        int r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        r = posix_spawnattr_init(&attributes);
        if (r != 0) {
                (void)posix_spawn_file_actions_destroy(&actions);
                return -r;
        }
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, PATH_DEV_NULL, O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
        /* We ignore SIGPIPE, which its own pipelines need. */
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGPIPE);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(&attributes, &set);
        if (r == 0)
                r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        if (r == 0)
                r = posix_spawn(ret, command[0], &actions, &attributes, (char *const *)(uintptr_t)command,
                                (char *const *)(uintptr_t)environment);
        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&actions);
        return -r;
}

int program_run(const char *const *command, char **ret_output)
{
        int status;
        pid_t pid;

        int output = memfd_create("vfioctl-output", MFD_CLOEXEC);
        if (output < 0)
                return -errno;
        int r = spawn(command, output, &pid);
        if (r == 0) {
                while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                        continue;
                r = read_end(output, ret_output);
        }
        (void)close(output);
        if (r < 0)
                return r;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- daemons ---- */

static bool is_process(const struct rootfs *fs, int pid, const char *name)
{
        _cleanup_entry_ struct entry comm = {.kind = ENTRY_NONE};
        char path[64];

        (void)snprintf(path, sizeof(path), PATH_PROC "/%d/comm", pid);
        return rootfs_look(fs, path, &comm) >= 0 && comm.kind == ENTRY_FILE &&
               util_equal(util_trim(comm.text), name);
}

int program_daemon(const struct rootfs *fs, const char *pid_file, const char *name)
{
        _cleanup_entry_ struct entry file = {.kind = ENTRY_NONE};
        uint64_t pid;

        if (rootfs_look(fs, pid_file, &file) < 0 || file.kind != ENTRY_FILE ||
            util_parse_u64(util_trim(file.text), 10, INT32_MAX, &pid) < 0 || pid < 2)
                return 0;
        return is_process(fs, (int)pid, name) ? (int)pid : 0;
}

int program_reload(const struct rootfs *fs, int pid, const char *name)
{
        int r = 0;

        /* The descriptor is of the process that is looked at then, whatever the number becomes. */
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0)
                return errno == ESRCH ? 0 : -errno;
        if (is_process(fs, pid, name) && syscall(SYS_pidfd_send_signal, fd, SIGHUP, NULL, 0) < 0)
                r = errno == ESRCH ? 0 : -errno;
        (void)close(fd);
        return r;
}
