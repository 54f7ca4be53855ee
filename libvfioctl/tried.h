/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TRIED_H
#define VFIOCTL_TRIED_H

#include "host.h"
#include "model.h"

/*
 * Notes at the GPUs that were looked at how they did when they were tried: PATH_TRIED has a small file for
 * each kind of card and kernel that passed, KIND@KERNEL, and one for each GPU that failed there,
 * KIND@KERNEL@PLACE: what works with one works with its twins, and one that is broken says nothing of them.
 * What makes no sense there is as if it were missing.
 */
int tried_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);

void proofs_clear(struct vfioctl_gpu *gpu);

#endif
