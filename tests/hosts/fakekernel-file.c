/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files below the fake root, by plain system calls: the interposed functions must not be entered again. */
#include "fakekernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

char fk_root[FK_PATH];

__attribute__((format(printf, 2, 0))) static bool join(char out[FK_PATH], const char *fmt, va_list ap)
{
        size_t at = strlen(fk_root);

        memcpy(out, fk_root, at);
        out[at++] = '/';
        int n = vsnprintf(out + at, FK_PATH - at, fmt, ap);
        if (n < 0 || (size_t)n >= FK_PATH - at) {
                out[0] = '\0'; /* no such path: whatever is done with it fails */
                return false;
        }
        return true;
}

bool fk_abs(char out[FK_PATH], const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        bool ok = join(out, fmt, ap);
        va_end(ap);
        return ok;
}

static int raw_open(const char *path, int flags, mode_t mode)
{
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
}

bool fk_exists(const char *fmt, ...)
{
        char path[FK_PATH];
        struct stat st;
        va_list ap;

        va_start(ap, fmt);
        join(path, fmt, ap);
        va_end(ap);
        return lstat(path, &st) == 0;
}

bool fk_read(const char *path, char *out, size_t size)
{
        char full[FK_PATH];

        fk_abs(full, "%s", path);
        int fd = raw_open(full, O_RDONLY, 0);
        if (fd < 0)
                return false;
        size_t got = 0;
        long n;
        while (got < size - 1 && (n = syscall(SYS_read, fd, out + got, size - 1 - got)) > 0)
                got += (size_t)n;
        out[got] = '\0';
        close(fd);
        return true;
}

/* Replaces what an existing file reads; read-only attributes too, as the kernel itself changes those. */
bool fk_put(const char *path, const char *data, size_t len)
{
        char full[FK_PATH];
        struct stat st;

        fk_abs(full, "%s", path);
        if (stat(full, &st) < 0)
                return false;
        if (!(st.st_mode & 0200) && chmod(full, 0644) < 0)
                return false;
        int fd = raw_open(full, O_WRONLY | O_TRUNC, 0);
        bool ok = fd >= 0 && syscall(SYS_write, fd, data, len) == (long)len;
        if (fd >= 0)
                close(fd);
        if (!(st.st_mode & 0200))
                chmod(full, st.st_mode & 07777);
        return ok;
}

void fk_puts(const char *dir, const char *attr, const char *text)
{
        char path[FK_PATH];

        if (snprintf(path, sizeof path, "%s/%s", dir, attr) < (int)sizeof path)
                fk_put(path, text, strlen(text));
}

void fk_create(const char *text, const char *fmt, ...)
{
        char path[FK_PATH];
        va_list ap;

        va_start(ap, fmt);
        join(path, fmt, ap);
        va_end(ap);
        int fd = raw_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0)
                return;
        if (syscall(SYS_write, fd, text, strlen(text)) < 0)
                errno = 0;
        close(fd);
}

void fk_mkdirs(const char *path)
{
        char full[FK_PATH];

        if (!fk_abs(full, "%s", path))
                return;
        for (char *p = full + strlen(fk_root) + 1; (p = strchr(p, '/')); *p++ = '/') {
                *p = '\0';
                mkdir(full, 0755);
        }
        mkdir(full, 0755);
}

static int remove_one(const char *name, void *data)
{
        char path[FK_PATH];

        if (snprintf(path, sizeof path, "%s/%s", (const char *)data, name) < (int)sizeof path)
                fk_unlink("%s", path);
        return 0;
}

/* A directory of plain files and links: all that the fake kernel itself makes. */
void fk_remove_tree(const char *path)
{
        char dir[FK_PATH];

        snprintf(dir, sizeof dir, "%s", path);
        fk_each(dir, remove_one, dir);
        fk_unlink("%s", dir);
}

void fk_link(const char *path, const char *target)
{
        char full[FK_PATH], text[FK_PATH];
        const char *p = path, *t = target;
        size_t at = 0, common = 0;

        for (size_t i = 0; path[i] && path[i] == target[i]; i++)
                if (path[i] == '/')
                        common = i + 1;
        for (p += common; (p = strchr(p, '/')) && at + 3 < sizeof text; p++, at += 3)
                memcpy(text + at, "../", 3);
        if (snprintf(text + at, sizeof text - at, "%s", t + common) >= (int)(sizeof text - at))
                return;
        fk_abs(full, "%s", path);
        if (symlink(text, full) < 0)
                errno = 0;
}

void fk_unlink(const char *fmt, ...)
{
        char path[FK_PATH];
        va_list ap;

        va_start(ap, fmt);
        join(path, fmt, ap);
        va_end(ap);
        if (unlink(path) < 0)
                rmdir(path);
}

/* The last component of a link's text. */
bool fk_link_name(const char *path, char out[FK_NAME])
{
        char full[FK_PATH], text[FK_PATH];

        fk_abs(full, "%s", path);
        ssize_t n = readlink(full, text, sizeof text - 1);
        if (n <= 0)
                return false;
        text[n] = '\0';
        const char *slash = strrchr(text, '/');
        return snprintf(out, FK_NAME, "%s", slash ? slash + 1 : text) < FK_NAME;
}

/* What follows the word key on its line, in a small file of such lines. */
bool fk_find_line(const char *path, const char *key, char *rest, size_t size)
{
        char text[16384], *save = NULL;
        size_t len = strlen(key);

        if (!fk_read(path, text, sizeof text))
                return false;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                if (strncmp(line, key, len) || (line[len] && line[len] != ' '))
                        continue;
                snprintf(rest, size, "%s", line[len] ? line + len + 1 : "");
                return true;
        }
        return false;
}

struct dirent64_ {
        uint64_t ino;
        int64_t off;
        unsigned short reclen;
        unsigned char type;
        char name[];
};

/* Visits the names in a directory until one visit returns other than 0; that is the result. */
int fk_each(const char *dir, int (*visit)(const char *name, void *data), void *data)
{
        _Alignas(struct dirent64_) char buf[8192];
        char full[FK_PATH];
        int r = 0;
        long n;

        fk_abs(full, "%s", dir);
        int fd = raw_open(full, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return 0;
        while (!r && (n = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
                for (long at = 0; !r && at < n;) {
                        const struct dirent64_ *e = (const void *)(buf + at);

                        at += e->reclen;
                        if (strcmp(e->name, ".") && strcmp(e->name, ".."))
                                r = visit(e->name, data);
                }
        close(fd);
        return r;
}

/* One writer at a time; the lock goes away with the process that holds it. */
int fk_lock(void)
{
        char path[FK_PATH];

        fk_abs(path, ".fake/lock");
        int fd = raw_open(path, O_RDWR | O_CREAT, 0644);
        while (fd >= 0 && flock(fd, LOCK_EX) < 0 && errno == EINTR)
                ;
        return fd;
}

void fk_unlock(int fd)
{
        if (fd >= 0)
                close(fd);
}

/* The path of an open file below the root; false where it is elsewhere. */
bool fk_fd_path(int fd, char out[FK_PATH])
{
        char link[64], text[FK_PATH];
        size_t root = strlen(fk_root);

        if (!root || fd < 0)
                return false;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, text, sizeof text - 1);
        if (n <= (ssize_t)root || n >= (ssize_t)sizeof text - 1)
                return false;
        text[n] = '\0';
        if (memcmp(text, fk_root, root) || text[root] != '/')
                return false;
        memmove(out, text + root + 1, (size_t)n - root);
        return true;
}
