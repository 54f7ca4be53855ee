/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wait.h"
#include "uevents.h"
#include "worker.h"

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

static int read_value(struct vfioctl_ctx *ctx, const char *attribute, char **ret)
{
        char text[256];

        int r = worker_read(ctx, attribute, text, sizeof(text), ctx->read_deadline);
        return r < 0 ? r : util_copy(util_trim(text), ret);
}

/* Config space reads as all ones when nobody answers: pci_dev_wait() goes by the same. */
static int is_alive(struct vfioctl_ctx *ctx, const char *function)
{
        static const unsigned char ones[4] = {0xff, 0xff, 0xff, 0xff};
        char path[PATH_MAX], bytes[sizeof(ones) + 1];

        if (!path_format(path, PATH_PCI_DEVICES "/%s/config", function))
                return -ENAMETOOLONG;
        int r = worker_read(ctx, path, bytes, sizeof(bytes), ctx->step_deadline);
        if (r < 0)
                return r;
        return r == sizeof(ones) && memcmp(bytes, ones, sizeof(ones)) != 0;
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
        case WAIT_VALUE:
                r = read_value(ctx, wait->attribute, &text);
                return r < 0 ? r : util_equal(text, wait->value);
        case WAIT_ALIVE:
                return is_alive(ctx, function);
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

static int wait_on_events(struct vfioctl_ctx *ctx, const char *function, int group, const struct wait *wait)
{
        _cleanup_uevents_ struct uevents *uevents = NULL;
        uint64_t end = now_ms() + ctx->settle_deadline;
        int r;

        int listening = uevents_open(&uevents);
        if (listening == -ENOSYS)
                return 0;
        /* Looked at again after listening began, so that no event falls in between. */
        while ((r = evaluate(ctx, function, group, wait)) == 0) {
                uint64_t now = now_ms();
                if (now >= end || listening < 0)
                        break;
                struct pollfd event = {.fd = uevents_fd(uevents), .events = POLLIN};
                if (poll(&event, 1, (int)(end - now)) < 0 && errno != EINTR)
                        return -errno;
                (void)uevents_read(uevents);
        }
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
