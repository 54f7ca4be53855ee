/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_REACH_H
#define VFIOCTL_REACH_H

#include "host.h"
#include "model.h"

/* How programs of the host reach each GPU: its render node, and the name that ROCm and CUDA have for it. */
int reach_find(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);
void reach_clear(struct reach *reach);

#endif
