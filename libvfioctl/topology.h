/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TOPOLOGY_H
#define VFIOCTL_TOPOLOGY_H

#include "host.h"
#include "model.h"
#include "slots.h"

#define CHAIN_MAX 32 /* bridges above a function; PCI has 256 buses, real machines nest a dozen */

/* Where a function sits: its host bridge, and the functions from there down to itself. */
struct place {
        uint32_t domain; /* of the root bus */
        uint8_t root_bus;
        char root[256];                          /* the root bus in sysfs */
        struct vfioctl_address chain[CHAIN_MAX]; /* the last one is the function itself */
        size_t length;
};

/* Reads it from the device's path in sysfs. -ENOENT, -EINVAL when that is not a chain of PCI functions. */
int place_read(const struct vfioctl_ctx *ctx, const char *address, struct place *ret);

/* Orders by host bridge, then by device.function down the chain. */
int place_compare(const struct place *a, const struct place *b);

/* The identity of docs/ARCHITECTURE.md: the same after bus numbers moved. */
int place_identity(const struct vfioctl_ctx *ctx, const struct place *place,
                   const struct vfioctl_function *function, char **ret);

/*
 * Finds cards and gives short names. `places` belong to snapshot->gpus of the same index, in their order.
 */
int topology_name(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot,
                  const struct place *places);

#endif
