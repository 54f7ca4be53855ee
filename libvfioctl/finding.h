/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_FINDING_H
#define VFIOCTL_FINDING_H

#include "libvfioctl.h"
#include "util.h"

DEFINE_CLEANUP(struct vfioctl_findings, vfioctl_findings_free)
/* The way out of a GPU that answers no more, or never wakes. */
#define DEAD_FIX "shut the host down, switch its power off and on, and boot it again"

#define _cleanup_findings_ _cleanup_(vfioctl_findings_freep)

/* Adds `finding` with its text made from the format. */
int finding_addf(struct vfioctl_findings *findings, struct vfioctl_finding finding, const char *format, ...)
        _printf_(3, 4);
int findings_merge(struct vfioctl_findings *into, const struct vfioctl_findings *from);

#endif
