/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_UEVENTS_H
#define VFIOCTL_UEVENTS_H

#include "util.h"

/*
 * The kernel's events, as it sends them: not udev's own, which wait for its rules, and for its workers, which
 * a stuck device can hold up. Nothing is ever asked about a device.
 */
struct uevents;

/* -ENOSYS without libudev, or the errno of listening. */
int uevents_open(struct uevents **ret);
struct uevents *uevents_close(struct uevents *uevents);
int uevents_fd(const struct uevents *uevents);
/* Takes off what is there, without waiting: true when some of it is about PCI, vfio or DRM, or was lost. */
bool uevents_read(struct uevents *uevents);

DEFINE_CLEANUP(struct uevents, uevents_close)
#define _cleanup_uevents_ _cleanup_(uevents_closep)

#endif
