/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loaded before a test that runs in valgrind, which knows no openat2(2) as yet: done in user space, well
 * enough for a tree that nobody changes meanwhile.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 40

/* Where `path` leads below `root`, which no link leaves; the last part is not followed unless `follow`. */
static int resolve(int root, const char *path, int follow, char done[PATH_MAX])
{
        char todo[PATH_MAX * 2], next[PATH_MAX * 2], target[PATH_MAX];
        int links = 0;

        if (strlen(path) >= PATH_MAX)
                return -ENAMETOOLONG;
        strcpy(todo, path);
        strcpy(done, ".");
        for (char *at = todo; *(at += strspn(at, "/"));) {
                size_t n = strcspn(at, "/"), length = strlen(done);
                int is_last = at[n + strspn(at + n, "/")] == '\0';
                if (n == 1 && *at == '.') {
                        at += n;
                        continue;
                }
                if (n == 2 && memcmp(at, "..", 2) == 0) {
                        if (strcmp(done, ".") != 0)
                                *strrchr(done, '/') = '\0';
                        at += n;
                        continue;
                }
                if (length + n + 2 > PATH_MAX)
                        return -ENAMETOOLONG;
                (void)snprintf(done + length, PATH_MAX - length, "/%.*s", (int)n, at);
                ssize_t size = is_last && !follow ? -1 : readlinkat(root, done, target, sizeof(target) - 1);
                if (size < 0) {
                        at += n;
                        continue;
                }
                if (++links > LINKS_MAX)
                        return -ELOOP;
                target[size] = '\0';
                (void)snprintf(next, sizeof(next), "%s%s", target, at + n);
                if (strlen(next) >= sizeof(todo) - 1)
                        return -ENAMETOOLONG;
                strcpy(todo, next);
                at = todo;
                done[*todo == '/' ? 1 : length] = '\0';
        }
        return 0;
}

__attribute__((visibility("default"))) long syscall(long number, ...)
{
        static long (*real)(long, ...);
        char path[PATH_MAX];
        va_list list;
        long a[6];

        va_start(list, number);
        for (int i = 0; i < 6; i++)
                a[i] = va_arg(list, long);
        va_end(list);
        if (!real) {
                void *symbol = dlsym(RTLD_NEXT, "syscall");
                memcpy(&real, &symbol, sizeof(symbol));
        }
        if (number != SYS_openat2)
                return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        const struct open_how *how = (const struct open_how *)a[2];
        int flags = (int)how->flags;
        int r = resolve((int)a[0], (const char *)a[1], !(flags & O_NOFOLLOW), path);
        if (r < 0) {
                errno = -r;
                return -1;
        }
        return openat((int)a[0], path, flags, (mode_t)how->mode);
}
