/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wait.h"
#include "lazy.h"
#include "worker.h"

#include <libudev.h>
#include <poll.h>

int wait_read_driver(const struct vfioctl_ctx *ctx, const char *function, char **ret)
{
        char path[PATH_MAX], target[PATH_MAX];

        if (!path_format(path, PATH_PCI_DEVICES "/%s/driver", function))
                return -ENAMETOOLONG;
        ssize_t length = host_readlink(ctx, path, target, sizeof(target));
        if (length == -ENOENT) {
                /* Without a driver, or gone altogether. */
                if (!path_format(path, PATH_PCI_DEVICES "/%s", function) || !host_exists(ctx, path))
                        return -ENODEV;
                *ret = NULL;
                return 0;
        }
        return length < 0 ? (int)length : util_copy(path_last(target), ret);
}

int wait_read_override(struct vfioctl_ctx *ctx, const char *function, char **ret)
{
        char path[PATH_MAX], text[256];

        if (!path_format(path, PATH_PCI_DEVICES "/%s/driver_override", function))
                return -ENAMETOOLONG;
        int r = worker_read(ctx, path, text, sizeof(text), ctx->read_deadline);
        if (r < 0)
                return r;
        util_trim(text);
        return util_copy(!*text || util_equal(text, "(null)") ? NULL : text, ret);
}

static bool group_node_exists(const struct vfioctl_ctx *ctx, const char *function, int group)
{
        char path[PATH_MAX];

        if (path_format(path, PATH_DEV_VFIO "/%d", group) && host_exists(ctx, path))
                return true;
        /* Kernels without CONFIG_VFIO_GROUP have /dev/vfio/devices/vfioN alone. */
        return path_format(path, PATH_PCI_DEVICES "/%s/vfio-dev", function) && host_exists(ctx, path);
}

/* 1 when the condition holds, 0 when not yet. */
static int evaluate(struct vfioctl_ctx *ctx, const char *function, int group, const struct wait *wait)
{
        _cleanup_free_ char *text = NULL;
        int r = 0;

        switch (wait->kind) {
        case WAIT_NONE:
                return 1;
        case WAIT_OVERRIDE:
                r = wait_read_override(ctx, function, &text);
                return r < 0 ? r : util_equal(text, wait->value);
        case WAIT_DRIVER:
        case WAIT_NO_DRIVER:
        case WAIT_ANY_DRIVER:
        case WAIT_GROUP_NODE:
                r = wait_read_driver(ctx, function, &text);
                break;
        }
        if (r < 0)
                return r;
        switch (wait->kind) {
        case WAIT_NO_DRIVER:
                return text == NULL;
        case WAIT_ANY_DRIVER:
                return !util_equal(text, VFIO_DRIVER);
        case WAIT_GROUP_NODE:
                return util_equal(text, wait->value) && group_node_exists(ctx, function, group);
        default:
                return util_equal(text, wait->value);
        }
}

struct udev_calls {
        LAZY_MEMBER(udev_new);
        LAZY_MEMBER(udev_unref);
        LAZY_MEMBER(udev_monitor_new_from_netlink);
        LAZY_MEMBER(udev_monitor_enable_receiving);
        LAZY_MEMBER(udev_monitor_get_fd);
        LAZY_MEMBER(udev_monitor_receive_device);
        LAZY_MEMBER(udev_monitor_unref);
        LAZY_MEMBER(udev_device_unref);
};

static const struct lazy_symbol udev_symbols[] = {
        LAZY_SYMBOL(struct udev_calls, udev_new),
        LAZY_SYMBOL(struct udev_calls, udev_unref),
        LAZY_SYMBOL(struct udev_calls, udev_monitor_new_from_netlink),
        LAZY_SYMBOL(struct udev_calls, udev_monitor_enable_receiving),
        LAZY_SYMBOL(struct udev_calls, udev_monitor_get_fd),
        LAZY_SYMBOL(struct udev_calls, udev_monitor_receive_device),
        LAZY_SYMBOL(struct udev_calls, udev_monitor_unref),
        LAZY_SYMBOL(struct udev_calls, udev_device_unref),
};

/* Kernel events (not udev's own, which wait for its rules) of binding and of new vfio groups. */
static struct udev_monitor *listen_to_kernel(const struct udev_calls *calls, struct udev *udev)
{
        struct udev_monitor *monitor = udev ? calls->udev_monitor_new_from_netlink(udev, "kernel") : NULL;

        if (monitor && calls->udev_monitor_enable_receiving(monitor) < 0)
                monitor = calls->udev_monitor_unref(monitor);
        return monitor;
}

static int wait_on_events(struct vfioctl_ctx *ctx, const char *function, int group, const struct wait *wait)
{
        struct udev_calls loaded, *calls = &loaded;
        if (lazy_open("libudev.so.1", udev_symbols, ELEMENTSOF(udev_symbols), calls) < 0)
                return 0;
        struct udev *udev = calls->udev_new();
        struct udev_monitor *monitor = listen_to_kernel(calls, udev);
        uint64_t end = now_ms() + ctx->settle_deadline;
        int r;

        /* Looked at again after listening began, so that no event falls in between. */
        while ((r = evaluate(ctx, function, group, wait)) == 0) {
                uint64_t now = now_ms();
                if (now >= end || !monitor)
                        break;
                struct pollfd event = {.fd = calls->udev_monitor_get_fd(monitor), .events = POLLIN};
                if (poll(&event, 1, (int)(end - now)) < 0 && errno != EINTR) {
                        r = -errno;
                        break;
                }
                struct udev_device *device = calls->udev_monitor_receive_device(monitor);
                if (device)
                        calls->udev_device_unref(device);
        }
        calls->udev_monitor_unref(monitor);
        calls->udev_unref(udev);
        return r;
}

int wait_for(struct vfioctl_ctx *ctx, const char *function, int group, const struct wait *wait)
{
        int r = evaluate(ctx, function, group, wait);

        /* Drivers bind before the write returns, as a rule; a simulated host sends no events at all. */
        if (r == 0 && ctx->is_live)
                r = wait_on_events(ctx, function, group, wait);
        if (r < 0)
                return r;
        return r > 0 ? 0 : -ETIME;
}
