/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_NEEDS_H
#define VFIOCTL_NEEDS_H

#include "host.h"
#include "model.h"

/*
 * Notes at the functions of the snapshot what the host does with them: mounted disks and swap, network
 * interfaces with a default route, the text console.
 */
int needs_find(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);

#endif
