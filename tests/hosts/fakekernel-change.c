/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts what a program changes of any kind, also its own files below run/ and etc/, and kills it after the
 * K-th: FAKEKERNEL_DIE_ANY in README.md. */
#include "fakekernel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

static _Atomic uint32_t *changes; /* shared by all processes of the run */
static unsigned long die_at;
static pid_t program; /* that was started, and not what it forked */

void fk_change_start(_Atomic uint32_t *counter)
{
        const char *at = getenv("FAKEKERNEL_DIE_ANY");

        changes = counter;
        program = getpid();
        die_at = at && *at ? strtoul(at, NULL, 10) : 0;
}

void fk_changed(const char *what, const char *path)
{
        char line[2 * FK_PATH], log[FK_PATH];
        int saved = errno;

        if (!changes)
                return;
        unsigned long n = *changes += 1;
        int size = snprintf(line, sizeof line, "%lu %s %s\n", n, what, path);
        fk_abs(log, ".fake/changes");
        int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd >= 0 && syscall(SYS_write, fd, line, size) < 0)
                fprintf(stderr, "fakekernel: %s: %s\n", log, strerror(errno));
        if (fd >= 0)
                syscall(SYS_close, fd);
        if (n == die_at) {
                kill(program, SIGKILL);
                kill(getpid(), SIGKILL);
        }
        errno = saved;
}

bool fk_is_own_file(const char *path)
{
        return !strncmp(path, "run/", 4) || !strncmp(path, "etc/", 4);
}

/* The path below the root of what a call names; false where it is elsewhere, or no file of its own. */
static bool own_path(int dir, const char *name, char out[FK_PATH])
{
        char folder[FK_PATH];
        size_t root = strlen(fk_root);

        if (!root)
                return false;
        if (name[0] == '/') {
                if (strncmp(name, fk_root, root) || name[root] != '/')
                        return false;
                snprintf(out, FK_PATH, "%s", name + root + 1);
        } else if (dir == AT_FDCWD || !fk_fd_path(dir, folder) ||
                   snprintf(out, FK_PATH, "%s/%s", folder, name) >= FK_PATH) {
                return false;
        }
        return fk_is_own_file(out);
}

static int done(long r, const char *what, int dir, const char *name)
{
        char path[FK_PATH];
        int saved = errno;

        if (r >= 0 && own_path(dir, name, path))
                fk_changed(what, path);
        errno = saved;
        return (int)r;
}

void fk_made(int dir, const char *name)
{
        done(0, "make", dir, name);
}

API int renameat(int old_dir, const char *old, int dir, const char *name)
{
        return done(syscall(SYS_renameat2, old_dir, old, dir, name, 0u), "rename", dir, name);
}

API int rename(const char *old, const char *name)
{
        return renameat(AT_FDCWD, old, AT_FDCWD, name);
}

API int unlinkat(int dir, const char *name, int flags)
{
        return done(syscall(SYS_unlinkat, dir, name, flags), "unlink", dir, name);
}

API int mkdirat(int dir, const char *name, mode_t mode)
{
        return done(syscall(SYS_mkdirat, dir, name, mode), "mkdir", dir, name);
}

API int symlinkat(const char *target, int dir, const char *name)
{
        return done(syscall(SYS_symlinkat, target, dir, name), "symlink", dir, name);
}

API int linkat(int old_dir, const char *old, int dir, const char *name, int flags)
{
        return done(syscall(SYS_linkat, old_dir, old, dir, name, flags), "link", dir, name);
}
