/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CHECKS_H
#define VFIOCTL_CHECKS_H

/*
 * The judgements, one file a noun. Each looks at the snapshot alone, adds findings, and returns 0 or a
 * negative errno. check.c says which of them count for what. All pure.
 */

#include "../model.h"

/* ---- what stands against handing a GPU out: refusals ---- */

/* Members that stand against it; other GPUs of the group count as going along when the intent takes them. */
int check_group(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                const struct vfioctl_intent *intent, struct vfioctl_findings *findings);
/* A group can be opened by one VM alone, so two VMs cannot have GPUs of one group. */
int check_group_vms(const struct intent_item *item, const struct vfioctl_vms *vms,
                    const struct vfioctl_intent *intent, struct vfioctl_findings *findings);
/* A bind or unbind has not come back. */
int check_stuck(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings);
/* All ones in its configuration space, or never awake. */
int check_answers(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings);
/* Boot display, console, and the board's own. */
int check_display(const struct vfioctl_gpu *gpu, enum vfioctl_severity severity,
                  struct vfioctl_findings *findings);

/* What stands against a reset. */
int check_reset_intent(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings);
/* That the last try on this kernel failed: such a GPU is not given to a VM, but one that has it keeps it. */
int check_tried(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings);

/* ---- what an admin is told besides: rows of the tables in check.c ---- */

typedef int (*gpu_check)(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                         struct vfioctl_findings *findings);
typedef int (*host_check)(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);

/* Dies and companions that its card ought to have. */
int check_card(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
               struct vfioctl_findings *findings);
int check_reset(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                struct vfioctl_findings *findings);
int check_power(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                struct vfioctl_findings *findings);
/* Whether cards like it were tried, on the kernel that runs and on the next. */
int check_untried(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                  struct vfioctl_findings *findings);

#endif
