/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_PARTS_H
#define VFIOCTL_PARTS_H

#include "cli.h"

/* What of vfioctl works by itself, as setup turns it on: status tells of it, and so does check. */

/* Whether the boot step ran in one of its two places, and with which configuration. */
enum boot_state { BOOT_NOT_RUN, BOOT_SAME, BOOT_OTHER };

struct parts {
        const struct vfioctl_ctx *ctx; /* borrowed */
        bool is_off;                   /* by the kernel's command line */
        bool hook_is_installed, hook_is_live;
        char *policy;    /* as the boot step would go by it now */
        bool has_policy; /* it gives GPUs to VMs */
        enum boot_state early, late;
        bool boot_is_enabled;
};

/* After libvirt was asked, which may have started its daemon, and so had the hook called. */
int parts_look(const struct vfioctl_ctx *ctx, struct parts *ret);
void parts_clear(struct parts *parts);
#define _cleanup_parts_ _cleanup_(parts_clear)

/*
 * Adds what is wrong with hook and boot step: refusals, and warnings for what is not as it could be.
 * `is_silent`: libvirt did not answer, so that the hook cannot have been called.
 */
int parts_judge(const struct parts *parts, bool is_silent, struct vfioctl_findings *findings);

#endif
