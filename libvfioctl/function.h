/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_FUNCTION_H
#define VFIOCTL_FUNCTION_H

#include "host.h"
#include "model.h"

/* What is read of a function besides class, driver and group. */
enum function_parts {
        FUNCTION_GPU = 1 << 0, /* what decides on a GPU: NUMA node, VFs, boot display, records of this boot */
        FUNCTION_DETAIL = 1 << 1, /* what a report shows: IDs, capabilities, BARs, reset, power */
        FUNCTION_KIND = 1 << 2,   /* PCI Express or conventional, virtual or not */
        FUNCTION_IDS = 1 << 3,    /* vendor and device */
        FUNCTION_CHANGE = 1 << 4, /* what a change of mode touches besides drivers: reset, power */
};

/* The function at `address`, with these parts; borrowed from the snapshot. */
int snapshot_load_function(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot,
                           const struct vfioctl_address *address, unsigned int parts,
                           struct vfioctl_function **ret);

/* The IOMMU group with its members; borrowed from the snapshot. */
int snapshot_load_group(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, int number,
                        struct vfioctl_group **ret);

/* Reads, with a deadline for each, what takes the device lock: driver_override of every GPU's functions. */
int functions_read_locked(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);

struct vfioctl_function *function_free(struct vfioctl_function *function);

/* Reads sysfs `class` alone, for the scan. */
int function_read_class(const struct vfioctl_ctx *ctx, const char *address, uint32_t *ret);

#endif
