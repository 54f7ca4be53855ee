/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CHOOSE_H
#define VFIOCTL_CHOOSE_H

/* Picking of GPUs, for vfioctl_choose() and for who asks for more than GPUs (fit.c). Pure. */

#include "model.h"

/*
 * A unit is what can only be handed out together: one GPU, or all GPUs of an IOMMU group when they are not
 * viable one by one.
 */
struct unit {
        const struct vfioctl_gpu *gpus[16];
        size_t count;
        bool taken;
};

struct choice {
        const struct vfioctl_snapshot *snapshot;
        const struct vfioctl_vms *vms;
        enum vfioctl_placement placement;
        struct unit *units; /* that are free */
        size_t n_units;
        const char **taken_by; /* by GPU index: the VM of this call that gets it; borrowed */
};

int choice_open(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                enum vfioctl_placement placement, struct choice *ret);
void choice_close(struct choice *choice);
/* Takes GPUs for one VM. False: there are not enough; what could be had stays taken, for the explanation. */
bool choice_serve(struct choice *choice, const struct vfioctl_request *request,
                  const struct vfioctl_gpu **ret);
/* Gives back all that this VM has taken. */
void choice_release(struct choice *choice, const char *vm);
/* One refusal a GPU, for the VM that came away with nothing. */
int choice_explain(const struct choice *choice, const struct vfioctl_request *request,
                   struct vfioctl_findings *findings);
/* GPUs of this one's card that a VM has, or that are being handed out in this call. */
size_t choice_used_on_card(const struct choice *choice, const struct vfioctl_gpu *gpu);

#endif
