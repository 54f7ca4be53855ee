/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_HOLDERS_H
#define VFIOCTL_HOLDERS_H

#include "host.h"
#include "model.h"

/* Finds the processes that have a GPU of the snapshot open, or mapped, and notes them in it. */
int holders_find(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);

/* The systemd unit or container in the text of /proc/PID/cgroup, or -ENODATA: *ret is the caller's. */
int holder_unit(const char *cgroup, char **ret);

#endif
