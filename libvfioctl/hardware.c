/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

VFIOCTL_EXPORT struct vfioctl_link vfioctl_function_link(const struct vfioctl_function *function)
{
        return function->link;
}

VFIOCTL_EXPORT const char *vfioctl_snapshot_kernel(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->facts.kernel;
}

VFIOCTL_EXPORT const char *vfioctl_snapshot_next_kernel(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->facts.next_kernel;
}
