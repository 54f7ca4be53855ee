/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_LOCK_H
#define VFIOCTL_LOCK_H

#include "host.h"
#include "model.h"

DEFINE_CLEANUP(struct vfioctl_lock, vfioctl_lock_free)
#define _cleanup_lock_ _cleanup_(vfioctl_lock_freep)

/*
 * Takes the lock of every GPU of the plan, in a fixed order. 1 when it had to wait for another: the plan may
 * be out of date then. -EBUSY when that took longer than the lock deadline. Never held over a call of
 * libvirt: a hook waits for it while libvirt waits for the hook.
 */
int lock_gpus(const struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan, struct vfioctl_lock **ret);

/*
 * The same for its bridges, to be taken after the GPUs and held only while something is done to bridges: GPUs
 * below the same one wait for it.
 */
int lock_bridges(const struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan, struct vfioctl_lock **ret);

/* Whether another has the lock of the GPU at this address, so that what it does to the GPU will end. */
bool lock_is_held(const struct vfioctl_ctx *ctx, const char *address);

#endif
