/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CLI_TUNING_H
#define VFIOCTL_CLI_TUNING_H

#include "virt.h"

/* What create and tune make of the host, the GPUs, the place and the options: one answer for both. */

/* What a snapshot needs besides for tuning_fill() and vfioctl_fit_new(). */
#define TUNING_SNAPSHOT (VFIOCTL_SNAPSHOT_DETAILS | VFIOCTL_SNAPSHOT_FACTS | VFIOCTL_SNAPSHOT_RESOURCES)

/* The type of a domain that is made: "kvm" where the host has that; "test" for libvirt's test driver. */
const char *tuning_type(const struct cli *cli);

/* `place` may be NULL. Borrows from it. */
void tuning_fill(const struct cli *cli, const struct vfioctl_snapshot *snapshot,
                 const struct vfioctl_gpu *const *gpus, size_t n_gpus, const struct vfioctl_place *place,
                 struct vfioctl_tuning *ret);

#endif
