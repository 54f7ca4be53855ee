/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_POOLS_H
#define VFIOCTL_POOLS_H

/* Huge pages, of the host and of each NUMA node alike. */

#include "host.h"
#include "model.h"

/* Reads the pools in `folder`, by size, behind the `*n` that are in `pools`. 0, or a shortage. */
int pools_read(const struct vfioctl_ctx *ctx, const char *folder, struct page_pool pools[PAGE_POOLS_MAX],
               size_t *n);

/* "MemTotal:  131072 kB", behind "Node 0 " or not; 0: it is not there. node_read_meminfo(),
 * meminfo_proc_show(). */
uint64_t pools_kib(const char *meminfo, const char *key);

#endif
