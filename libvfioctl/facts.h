/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_FACTS_H
#define VFIOCTL_FACTS_H

/* The host around the GPUs, read for VFIOCTL_SNAPSHOT_FACTS: what cannot be seen is left empty. */

#include "host.h"
#include "model.h"

/* Fills snapshot->facts. 0 or -ENOMEM. */
int facts_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);
void facts_clear(struct host_facts *facts);

/* ---- its parts; each 0 or -ENOMEM or the like ---- */

/* Kernels, their modules, IOMMU and interrupts. */
int facts_read_kernel(const struct vfioctl_ctx *ctx, struct host_facts *facts);
/* modprobe.d, driverctl, Proxmox, and libvirt's hooks. */
int facts_read_rivals(const struct vfioctl_ctx *ctx, struct host_facts *facts);

/* Names that are passed over else: see util_make_printable(). */
bool facts_is_printable(const char *text);

#endif
