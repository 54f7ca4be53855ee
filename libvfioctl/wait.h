/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_WAIT_H
#define VFIOCTL_WAIT_H

#include "host.h"
#include "model.h"

/*
 * Waits until the condition holds for the function, at most the context's settle deadline, on kernel events.
 * -ETIME when it does not come to hold, -ETIMEDOUT when reading it hung (the device is stuck).
 */
int wait_for(struct vfioctl_ctx *ctx, const char *function, int group, const struct wait *wait);

/* The function's driver: *ret is the caller's to free, NULL for none. -ENODEV when the function is gone. */
int wait_read_driver(const struct vfioctl_ctx *ctx, const char *function, char **ret);
/* Its driver_override, NULL for none. -ETIMEDOUT as above. */
int wait_read_override(struct vfioctl_ctx *ctx, const char *function, char **ret);

#endif
