/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_RECONCILE_H
#define VFIOCTL_RECONCILE_H

#include "virt.h"

/* What a reconcile knows, and what came of it. */
struct reconcile {
        struct cli *cli;
        struct virt_calls calls;
        struct vfioctl_virt *virt; /* NULL: libvirt was not asked, or did not answer */
        struct vfioctl_lock *lock;
        struct vfioctl_snapshot *snapshot;
        struct vfioctl_vms *vms; /* NULL as above */
        bool hook_is_live;
        struct vfioctl_findings *problems; /* refusals: for the admin; warnings: told, and no more */
        struct vfioctl_findings *changes;  /* notes: what was done, or would be */
        bool *mended;                      /* by VM: something of it was mended now */
        bool failed;
        bool waits; /* for somebody to let go of a GPU, which leaves no trace: the next run has to look again
                     */
};

/* Notes a change that was made, or would be: on stderr and in the log, at once. */
void reconcile_changed(struct reconcile *reconcile, const struct vfioctl_gpu *gpu, const char *format, ...)
        _printf_(3, 4);
/* Notes something for the admin (VFIOCTL_REFUSAL), or a mere remark (VFIOCTL_WARNING). */
void reconcile_problem(struct reconcile *reconcile, struct vfioctl_finding finding, const char *format, ...)
        _printf_(3, 4);
/* Something that should have worked did not. */
void reconcile_failed(struct reconcile *reconcile, const struct vfioctl_gpu *gpu, const char *what,
                      int error);

/* Marks the VMs whose definition names this GPU. */
void reconcile_mark_mended(struct reconcile *reconcile, const struct vfioctl_gpu *gpu);

/* ---- reconcile_vms.c ---- */

/* Claims as they are true: of VMs that run, and of no others. */
void reconcile_claims(struct reconcile *reconcile);
/* Judges the assignments of every VM, and mends the definitions of those that are shut off. */
void reconcile_assignments(struct reconcile *reconcile);
/* Starts those whose start had been refused for what has been mended; forgets refusals that are over. */
void reconcile_refusals(struct reconcile *reconcile);

/* ---- reconcile_modes.c ---- */

/* True when no GPU needs anything, as far as can be seen without looking who has it open. */
bool reconcile_is_settled(struct reconcile *reconcile);
/* Brings GPUs where configuration and assignments want them, and ends what was begun. */
void reconcile_modes(struct reconcile *reconcile);

#endif
