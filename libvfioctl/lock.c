/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Locks are flock()ed files that stay: removing one would let two processes hold "the" lock. */
struct vfioctl_lock {
        size_t count;
        int fds[];
};

VFIOCTL_EXPORT struct vfioctl_lock *vfioctl_lock_free(struct vfioctl_lock *lock)
{
        if (!lock)
                return NULL;
        while (lock->count > 0) {
                int fd = lock->fds[--lock->count];
                /* First, for closing tells those who wait before the kernel lets go of the lock: __fput(). */
                (void)flock(fd, LOCK_UN);
                host_close(fd);
        }
        free(lock);
        return NULL;
}

/* How long the death of a holder may go unnoticed: it is told of, too, but before the lock is free. */
#define LOCK_RETRY_MS 100

/*
 * 0 when it was free, 1 when it had to be waited for.
 *
 * A holder lets go and then closes the file, which inotify tells (IN_CLOSE_WRITE: the file is opened for
 * writing); so a bounded wait needs neither a signal handler nor sleeping.
 */
static int lock_wait(int fd, uint64_t end)
{
        char self[64], events[4096];

        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
                return 0;
        if (errno != EWOULDBLOCK)
                return -errno;
        _cleanup_fd_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (watch < 0)
                return -errno;
        (void)snprintf(self, sizeof(self), PATH_SELF_FD "/%d", fd);
        if (inotify_add_watch(watch, self, IN_CLOSE_WRITE) < 0)
                return -errno;
        for (;;) {
                if (flock(fd, LOCK_EX | LOCK_NB) == 0)
                        return 1;
                if (errno != EWOULDBLOCK)
                        return -errno;
                uint64_t now = now_ms();
                if (now >= end)
                        return -EBUSY;
                struct pollfd wait = {.fd = watch, .events = POLLIN};
                int n = poll(&wait, 1, end - now < LOCK_RETRY_MS ? (int)(end - now) : LOCK_RETRY_MS);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0 && read(watch, events, sizeof(events)) < 0 && errno != EAGAIN)
                        return -errno;
        }
}

static int lock_open(const struct vfioctl_ctx *ctx, const char *name)
{
        char path[PATH_MAX];

        if (!path_format(path, PATH_RUN_LOCK "/%s", name))
                return -ENAMETOOLONG;
        int fd = host_open(ctx, path, O_RDWR | O_NOFOLLOW);
        if (fd != -ENOENT)
                return fd;
        /* Two that make it at once: the rename of the second would part them, so it is linked by O_CREAT. */
        int r = host_mkdir(ctx, PATH_RUN_LOCK);
        if (r < 0)
                return r;
        return host_create(ctx, path);
}

static int lock_take(const struct vfioctl_ctx *ctx, const char *name, uint64_t end, struct vfioctl_lock *lock)
{
        int fd = lock_open(ctx, name);
        if (fd < 0)
                return fd;
        lock->fds[lock->count++] = fd;
        return lock_wait(fd, end);
}

static int lock_new(size_t room, struct vfioctl_lock **ret)
{
        struct vfioctl_lock *lock = malloc(sizeof(*lock) + (room ? room : 1) * sizeof(int));
        if (!lock)
                return -ENOMEM;
        lock->count = 0;
        *ret = lock;
        return 0;
}

VFIOCTL_EXPORT int vfioctl_lock_admin(struct vfioctl_ctx *ctx, struct vfioctl_lock **ret)
{
        _cleanup_lock_ struct vfioctl_lock *lock = NULL;

        int r = lock_new(1, &lock);
        if (r < 0)
                return r;
        r = lock_take(ctx, "admin", now_ms() + ctx->lock_deadline, lock);
        if (r < 0)
                return r;
        *ret = util_steal(lock);
        return 0;
}

static int lock_some(const struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan, bool bridges,
                     struct vfioctl_lock **ret)
{
        _cleanup_lock_ struct vfioctl_lock *lock = NULL;
        uint64_t end = now_ms() + ctx->lock_deadline;
        int waited = 0;

        int r = lock_new(plan->n_gpus, &lock);
        if (r < 0)
                return r;
        /* The plan keeps its GPUs in the order of their addresses, so no two callers wait for each other. */
        for (size_t i = 0; i < plan->n_gpus; i++) {
                if (plan->gpus[i].is_bridge != bridges)
                        continue;
                r = lock_take(ctx, plan->gpus[i].address, end, lock);
                if (r < 0)
                        return r;
                waited |= r;
        }
        *ret = util_steal(lock);
        return waited;
}

int lock_gpus(const struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan, struct vfioctl_lock **ret)
{
        return lock_some(ctx, plan, false, ret);
}

int lock_bridges(const struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan, struct vfioctl_lock **ret)
{
        return lock_some(ctx, plan, true, ret);
}

bool lock_is_held(const struct vfioctl_ctx *ctx, const char *address)
{
        char path[PATH_MAX];

        if (!path_format(path, PATH_RUN_LOCK "/%s", address))
                return false;
        _cleanup_fd_ int fd = host_open(ctx, path, O_RDWR | O_NOFOLLOW);
        return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}
