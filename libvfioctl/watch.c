/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host.h"
#include "uevents.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define CONFIG_FOLDER(above)                                                                                 \
        above "/" CONFIG_NAME, above "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX ".d"

/* Whose files change what a report says. Not the locks: they are taken and let go of without end. */
static const char *const folders[] = {
        PATH_RUN,
        PATH_RUN_CLAIMS,
        PATH_RUN_REFUSED,
        PATH_RUN_STUCK,
        PATH_RUN_WORK,
        CONFIG_FOLDER(PATH_ETC_DIR),
        CONFIG_FOLDER(PATH_LIB_DIR),
        PATH_LIBVIRT_DEFINITIONS,
        PATH_LIBVIRT_DEFINITIONS "/autostart",
        PATH_LIBVIRT_RUN,
        PATH_HOOKS,
        PATH_HOOKS "/qemu.d",
        PATH_INITRAMFS_COPIES,
};

#define FOLDER_EVENTS                                                                                        \
        (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | \
         IN_MOVE_SELF)

struct place {
        int wd;
        char name[NAME_MAX + 1]; /* the one entry that counts; "": all do */
};

struct vfioctl_watch {
        const struct vfioctl_ctx *ctx;
        int epoll, inotify;
        struct uevents *uevents; /* NULL: a simulated host, or no libudev */
        struct place places[ELEMENTSOF(folders)];
        size_t n_places;
};

static int add(struct vfioctl_watch *watch, int folder, uint32_t events)
{
        char self[64];

        (void)snprintf(self, sizeof(self), PATH_SELF_FD "/%d", folder);
        int wd = inotify_add_watch(watch->inotify, self, events | IN_ONLYDIR | IN_MASK_ADD);
        return wd < 0 ? -errno : wd;
}

/* The folder, or, where it is missing, the nearest one above, for the entry that leads to it. */
static int place(struct vfioctl_watch *watch, const char *path, struct place *ret)
{
        char above[PATH_MAX];
        struct place found = {.name = ""};

        (void)snprintf(above, sizeof(above), "%s", path);
        for (;;) {
                _cleanup_fd_ int fd = host_open(watch->ctx, *above ? above : "/", O_PATH | O_DIRECTORY);
                if (fd >= 0) {
                        found.wd = add(watch, fd, *found.name ? IN_CREATE | IN_MOVED_TO : FOLDER_EVENTS);
                        if (found.wd < 0)
                                return found.wd;
                        *ret = found;
                        return 0;
                }
                char *slash = strrchr(above, '/');
                if (!slash)
                        return fd;
                (void)snprintf(found.name, sizeof(found.name), "%s", slash + 1);
                *slash = '\0';
        }
}

static bool is_there(const struct vfioctl_watch *watch, const char *path)
{
        struct stat status;

        return host_stat(watch->ctx, path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool has_wd(const struct place *places, size_t count, int wd)
{
        for (size_t i = 0; i < count; i++)
                if (places[i].wd == wd)
                        return true;
        return false;
}

/* Folders come and go; what is watched already stays as it is. A folder that is closed to us tells nothing.
 */
static void arm(struct vfioctl_watch *watch)
{
        struct place before[ELEMENTSOF(folders)];
        size_t n_before = watch->n_places;

        memcpy(before, watch->places, sizeof(before));
        watch->n_places = 0;
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                struct place *found = &watch->places[watch->n_places];
                int r = place(watch, folders[i], found);
                /* It was made between the look and the watch. */
                for (int tries = 0; r >= 0 && *found->name && tries < 8 && is_there(watch, folders[i]);
                     tries++)
                        r = place(watch, folders[i], found);
                if (r >= 0)
                        watch->n_places++;
        }
        for (size_t i = 0; i < n_before; i++)
                if (!has_wd(watch->places, watch->n_places, before[i].wd))
                        (void)inotify_rm_watch(watch->inotify, before[i].wd);
}

VFIOCTL_EXPORT struct vfioctl_watch *vfioctl_watch_free(struct vfioctl_watch *watch)
{
        if (!watch)
                return NULL;
        (void)uevents_close(watch->uevents);
        host_close(watch->inotify);
        host_close(watch->epoll);
        free(watch);
        return NULL;
}

DEFINE_CLEANUP(struct vfioctl_watch, vfioctl_watch_free)

static int join(const struct vfioctl_watch *watch, int fd)
{
        struct epoll_event event = {.events = EPOLLIN};

        return epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

VFIOCTL_EXPORT int vfioctl_watch_new(const struct vfioctl_ctx *ctx, struct vfioctl_watch **ret)
{
        _cleanup_(vfioctl_watch_freep) struct vfioctl_watch *watch = calloc(1, sizeof(*watch));

        if (!watch)
                return -ENOMEM;
        watch->ctx = ctx;
        watch->inotify = -1;
        watch->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (watch->epoll < 0)
                return -errno;
        watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (watch->inotify < 0)
                return -errno;
        int r = join(watch, watch->inotify);
        /* A simulated host sends no events; without libudev those of files have to do. */
        if (r >= 0 && ctx->is_live && uevents_open(&watch->uevents) >= 0)
                r = join(watch, uevents_fd(watch->uevents));
        if (r < 0)
                return r;
        arm(watch);
        *ret = util_steal(watch);
        return 0;
}

VFIOCTL_EXPORT int vfioctl_watch_fd(const struct vfioctl_watch *watch)
{
        return watch->epoll;
}

static bool matters(const struct vfioctl_watch *watch, const struct inotify_event *event)
{
        if (event->mask & IN_Q_OVERFLOW)
                return true;
        for (size_t i = 0; !(event->mask & IN_IGNORED) && i < watch->n_places; i++) {
                const struct place *place = &watch->places[i];
                if (place->wd == event->wd &&
                    (!*place->name || (event->len > 0 && util_equal(place->name, event->name))))
                        return true;
        }
        return false;
}

VFIOCTL_EXPORT int vfioctl_watch_read(struct vfioctl_watch *watch)
{
        _Alignas(struct inotify_event) char buffer[16384];
        bool found = false;
        ssize_t length;

        while ((length = read(watch->inotify, buffer, sizeof(buffer))) > 0)
                for (const char *at = buffer; at < buffer + length;) {
                        const struct inotify_event *event = (const void *)at;
                        found |= matters(watch, event);
                        at += sizeof(*event) + event->len;
                }
        if (length < 0 && errno != EAGAIN && errno != EINTR)
                return -errno;
        if (watch->uevents)
                found |= uevents_read(watch->uevents);
        if (found)
                arm(watch);
        return found;
}
