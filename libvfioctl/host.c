/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ms(void)
{
        struct timespec now;

        if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
                return 0;
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool path_format(char buffer[PATH_MAX], const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        int length = vsnprintf(buffer, PATH_MAX, format, arguments);
        va_end(arguments);
        return length >= 0 && length < PATH_MAX;
}

const char *path_last(const char *path)
{
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

void host_close(int fd)
{
        if (fd >= 0)
                (void)close(fd);
}

/*
 * A simulated host is somebody's folder: its links must not lead out of it. The kernel can see to that
 * itself (openat2(2), RESOLVE_IN_ROOT); for this machine a plain open is the same and cheaper.
 */
static int open_below(const struct vfioctl_ctx *ctx, const char *path, int flags, mode_t mode)
{
        long fd;

        /* openat2() takes O_PATH with no flag that it would ignore. */
        flags |= flags & O_PATH ? O_CLOEXEC : O_CLOEXEC | O_NOCTTY;
        if (ctx->is_live) {
                fd = open(path, flags, mode);
        } else {
                struct open_how how = {
                        .flags = (uint64_t)flags,
                        .mode = mode,
                        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
                };
                /* A rename beside us makes the kernel give up with EAGAIN: openat2(2). */
                int tries = 8;
                do
                        fd = syscall(SYS_openat2, ctx->root_fd, path, &how, sizeof(how));
                while (fd < 0 && errno == EAGAIN && --tries > 0);
        }
        return fd < 0 ? -errno : (int)fd;
}

int host_open(const struct vfioctl_ctx *ctx, const char *path, int flags)
{
        return open_below(ctx, path, flags, 0);
}

static ssize_t read_fd(int fd, char *buffer, size_t size)
{
        size_t length = 0;

        while (length < size) {
                ssize_t n = read(fd, buffer + length, size - length);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (n == 0)
                        break;
                length += (size_t)n;
        }
        return (ssize_t)length;
}

ssize_t host_read(const struct vfioctl_ctx *ctx, const char *path, char *buffer, size_t size)
{
        ssize_t length;

        /* O_NONBLOCK: a FIFO in a captured tree must not hold us up. */
        _cleanup_fd_ int fd = host_open(ctx, path, O_RDONLY | O_NONBLOCK);
        if (fd < 0)
                return fd;
        /* An attribute comes with the first read: Documentation/filesystems/sysfs.rst. */
        do
                length = read(fd, buffer, size - 1);
        while (length < 0 && errno == EINTR);
        if (length < 0)
                return -errno;
        buffer[length] = '\0';
        return length;
}

int host_read_file(const struct vfioctl_ctx *ctx, const char *path, size_t limit, char **ret,
                   size_t *ret_size)
{
        _cleanup_free_ char *text = NULL;
        size_t allocated = 0, length = 0;

        _cleanup_fd_ int fd = host_open(ctx, path, O_RDONLY | O_NONBLOCK);
        if (fd < 0)
                return fd;
        for (;;) {
                int r = util_grow(&text, &allocated, length + ATTRIBUTE_MAX + 1, 1);
                if (r < 0)
                        return r;
                ssize_t n = read_fd(fd, text + length, allocated - length - 1);
                if (n < 0)
                        return (int)n;
                if (n == 0)
                        break;
                length += (size_t)n;
                if (length > limit)
                        return -E2BIG;
        }
        text[length] = '\0';
        *ret = util_steal(text);
        if (ret_size)
                *ret_size = length;
        return 0;
}

ssize_t host_readlink(const struct vfioctl_ctx *ctx, const char *path, char *buffer, size_t size)
{
        ssize_t length;

        if (ctx->is_live) {
                length = readlink(path, buffer, size - 1);
        } else {
                _cleanup_fd_ int fd = host_open(ctx, path, O_PATH | O_NOFOLLOW);
                if (fd < 0)
                        return fd;
                length = readlinkat(fd, "", buffer, size - 1);
                /* On a descriptor that is no link, readlinkat() says ENOENT: symlink(7) says EINVAL. */
                if (length < 0 && errno == ENOENT)
                        return -EINVAL;
        }
        if (length < 0)
                return -errno;
        if ((size_t)length == size - 1)
                return -ENAMETOOLONG;
        buffer[length] = '\0';
        return length;
}

DIR *host_opendir(const struct vfioctl_ctx *ctx, const char *path)
{
        int fd = host_open(ctx, path, O_RDONLY | O_DIRECTORY);
        if (fd < 0) {
                errno = -fd;
                return NULL;
        }
        DIR *dir = fdopendir(fd);
        if (!dir)
                host_close(fd);
        return dir;
}

int host_opendir_optional(const struct vfioctl_ctx *ctx, const char *path, DIR **ret)
{
        DIR *dir = host_opendir(ctx, path);
        if (!dir && host_is_shortage(-errno))
                return -errno;
        *ret = dir;
        return 0;
}

int host_stat(const struct vfioctl_ctx *ctx, const char *path, struct stat *ret)
{
        if (ctx->is_live)
                return stat(path, ret) < 0 ? -errno : 0;
        _cleanup_fd_ int fd = host_open(ctx, path, O_PATH);
        if (fd < 0)
                return fd;
        return fstat(fd, ret) < 0 ? -errno : 0;
}

bool host_exists(const struct vfioctl_ctx *ctx, const char *path)
{
        struct stat status;
        return host_stat(ctx, path, &status) == 0;
}

/* Opens the folder of `path`, making what is missing when `create`. */
static int open_parent(const struct vfioctl_ctx *ctx, const char *path, bool create)
{
        char part[PATH_MAX];
        const char *last = path_last(path);
        size_t length = (size_t)(last - path);

        if (length == 0 || length >= sizeof(part))
                return -ENAMETOOLONG;
        memcpy(part, path, length);
        part[length > 1 ? length - 1 : length] = '\0';
        if (create) {
                int r = host_mkdir(ctx, part);
                if (r < 0)
                        return r;
        }
        return host_open(ctx, part, O_PATH | O_DIRECTORY);
}

int host_mkdir(const struct vfioctl_ctx *ctx, const char *path)
{
        struct stat status;

        int r = host_stat(ctx, path, &status);
        if (r == 0)
                return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
        if (r != -ENOENT || util_equal(path, "/"))
                return r;
        _cleanup_fd_ int parent = open_parent(ctx, path, true);
        if (parent < 0)
                return parent;
        if (mkdirat(parent, path_last(path), 0755) < 0 && errno != EEXIST)
                return -errno;
        return 0;
}

int host_create(const struct vfioctl_ctx *ctx, const char *path)
{
        return open_below(ctx, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
}

int host_write_file(const struct vfioctl_ctx *ctx, const char *path, const char *text)
{
        char temporary[NAME_MAX];

        _cleanup_fd_ int parent = open_parent(ctx, path, true);
        if (parent < 0)
                return parent;
        int length = snprintf(temporary, sizeof(temporary), ".%s.%ld", path_last(path), (long)getpid());
        if (length < 0 || (size_t)length >= sizeof(temporary))
                return -ENAMETOOLONG;

        int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
        _cleanup_fd_ int fd = openat(parent, temporary, flags, 0644);
        /* Left by one of our PID that was killed. */
        if (fd < 0 && errno == EEXIST && unlinkat(parent, temporary, 0) == 0)
                fd = openat(parent, temporary, flags, 0644);
        if (fd < 0)
                return -errno;
        int r = 0;
        for (size_t size = strlen(text), at = 0; at < size;) {
                ssize_t n = write(fd, text + at, size - at);
                if (n < 0 && errno != EINTR) {
                        r = -errno;
                        break;
                }
                if (n > 0)
                        at += (size_t)n;
        }
        if (r == 0 && renameat(parent, temporary, parent, path_last(path)) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(parent, temporary, 0);
        return r;
}

int host_unlink(const struct vfioctl_ctx *ctx, const char *path)
{
        _cleanup_fd_ int parent = open_parent(ctx, path, false);
        if (parent < 0)
                return parent;
        return unlinkat(parent, path_last(path), 0) < 0 ? -errno : 0;
}

int host_touch(const struct vfioctl_ctx *ctx, const char *path)
{
        _cleanup_fd_ int parent = open_parent(ctx, path, false);
        if (parent < 0)
                return parent;
        return utimensat(parent, path_last(path), NULL, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}
