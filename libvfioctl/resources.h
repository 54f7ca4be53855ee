/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_RESOURCES_H
#define VFIOCTL_RESOURCES_H

/* The host's processors, memory and huge pages, by NUMA node: VFIOCTL_SNAPSHOT_RESOURCES. */

#include "host.h"
#include "model.h"

/* Fills snapshot->resources; what cannot be seen is left empty. 0, or a shortage. */
int resources_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);
void resources_clear(struct resources *resources);

#endif
