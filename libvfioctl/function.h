/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_FUNCTION_H
#define VFIOCTL_FUNCTION_H

#include "host.h"
#include "model.h"

/* How much of a function is read. */
enum function_level {
        FUNCTION_BASIC,  /* IDs, class, driver, group: a member of a group, a bridge */
        FUNCTION_GPU,    /* and what decides on a GPU: override, NUMA node, VFs, boot display */
        FUNCTION_DETAIL, /* and what a report shows: capabilities, BARs, reset, power */
};

/* The function at `address`, read to `level` at least; borrowed from the snapshot. */
int snapshot_load_function(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot,
                           const struct vfioctl_address *address, enum function_level level,
                           struct vfioctl_function **ret);
struct vfioctl_function *function_free(struct vfioctl_function *function);

/* Reads sysfs `class` alone, for the scan. */
int function_read_class(const struct vfioctl_ctx *ctx, const char *address, uint32_t *ret);

#endif
