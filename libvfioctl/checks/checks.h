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

/* BARs without an address, and what of the firmware's lies in one. */
int check_memory(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings);
/* What stands against a reset. */
int check_reset_intent(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings);
/* That the last try on this kernel failed: such a GPU is not given to a VM, but one that has it keeps it. */
int check_tried(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings);

/* ---- what an admin is told besides: rows of the tables in check.c ---- */

typedef int (*gpu_check)(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                         struct vfioctl_findings *findings);
typedef int (*host_check)(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);

/* Of a GPU. */
int check_isolation(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                    struct vfioctl_findings *findings);
int check_link(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
               struct vfioctl_findings *findings);
int check_node(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
               struct vfioctl_findings *findings);
int check_window(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                 struct vfioctl_findings *findings);

/* Of the host. */
int check_iommu(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);
int check_interrupts(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);
int check_vfio_module(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);
int check_ids(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);
int check_rivals(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);
int check_programs(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);
int check_unseen(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);
/* The GPUs of one VM together. */
int check_windows(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                  struct vfioctl_findings *findings);

/* Memory of the host for VMs that are off. */
int check_pages(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                struct vfioctl_findings *findings);

/* ---- the kernel's command line ---- */

/*
 * The last word NAME=VALUE, or NAME alone when there is no "=" at the end of `name`; dash and underscore are
 * the same. It goes into `word` as it stands; returned is its value, or NULL when there is none.
 */
#define CMDLINE_WORD_SIZE 512
const char *cmdline_value(const struct host_facts *facts, const char *name, char word[CMDLINE_WORD_SIZE]);
/* Whether a list, separated by commas, has this module. */
bool list_has_module(const char *list, const char *module);
/* "take WORD out of the kernel's command line ..., and reboot". */
int cmdline_fix(const char *what, const char *word, char **ret);
#define CMDLINE_PLACE "the kernel's command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub)"

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
