/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CLI_PLACING_H
#define VFIOCTL_CLI_PLACING_H

#include <libvfioctl-placement.h>

#include "cli.h"

/* What a placement needs of a host. */
#define PLACING_FLAGS                                                                                        \
        (VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST | VFIOCTL_SNAPSHOT_DETAILS |                       \
         VFIOCTL_SNAPSHOT_PATHS | VFIOCTL_SNAPSHOT_CHANGE | VFIOCTL_SNAPSHOT_RESOURCES)

/* One VM, as options and configuration say: size, pages, GPUs, what is left to the host. */
void placing_request(const struct cli *cli, struct vfioctl_fit_request *ret);

DEFINE_CLEANUP(struct vfioctl_fit, vfioctl_fit_free)
#define _cleanup_fit_ _cleanup_(vfioctl_fit_freep)

#endif
