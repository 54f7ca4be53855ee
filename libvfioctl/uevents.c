/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "uevents.h"
#include "lazy.h"

#include <libudev.h>

/* So that a storm of events does not keep its reader. */
#define READ_MAX 1024

struct udev_calls {
        LAZY_MEMBER(udev_new);
        LAZY_MEMBER(udev_unref);
        LAZY_MEMBER(udev_monitor_new_from_netlink);
        LAZY_MEMBER(udev_monitor_enable_receiving);
        LAZY_MEMBER(udev_monitor_get_fd);
        LAZY_MEMBER(udev_monitor_receive_device);
        LAZY_MEMBER(udev_monitor_unref);
        LAZY_MEMBER(udev_device_get_subsystem);
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
        LAZY_SYMBOL(struct udev_calls, udev_device_get_subsystem),
        LAZY_SYMBOL(struct udev_calls, udev_device_unref),
};

struct uevents {
        struct udev_calls calls;
        struct udev *udev;
        struct udev_monitor *monitor;
};

struct uevents *uevents_close(struct uevents *uevents)
{
        if (!uevents)
                return NULL;
        if (uevents->monitor)
                (void)uevents->calls.udev_monitor_unref(uevents->monitor);
        if (uevents->udev)
                (void)uevents->calls.udev_unref(uevents->udev);
        free(uevents);
        return NULL;
}

int uevents_open(struct uevents **ret)
{
        _cleanup_uevents_ struct uevents *uevents = calloc(1, sizeof(*uevents));

        if (!uevents)
                return -ENOMEM;
        int r = lazy_open("libudev.so.1", udev_symbols, ELEMENTSOF(udev_symbols), &uevents->calls);
        if (r < 0)
                return r;
        uevents->udev = uevents->calls.udev_new();
        if (!uevents->udev)
                return -ENOMEM;
        uevents->monitor = uevents->calls.udev_monitor_new_from_netlink(uevents->udev, "kernel");
        if (!uevents->monitor)
                return -EIO;
        r = uevents->calls.udev_monitor_enable_receiving(uevents->monitor);
        if (r < 0)
                return r;
        *ret = util_steal(uevents);
        return 0;
}

int uevents_fd(const struct uevents *uevents)
{
        return uevents->calls.udev_monitor_get_fd(uevents->monitor);
}

static bool matters(const char *subsystem)
{
        return util_equal(subsystem, "pci") || util_equal(subsystem, "vfio") ||
               util_equal(subsystem, "vfio-dev") || util_equal(subsystem, "drm");
}

bool uevents_read(struct uevents *uevents)
{
        bool found = false;

        for (int i = 0; i < READ_MAX; i++) {
                errno = 0;
                struct udev_device *device = uevents->calls.udev_monitor_receive_device(uevents->monitor);
                if (!device)
                        return found || errno == ENOBUFS;
                /* From the message itself. */
                found |= matters(uevents->calls.udev_device_get_subsystem(device));
                (void)uevents->calls.udev_device_unref(device);
        }
        return true;
}
