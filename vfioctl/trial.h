/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TRIAL_H
#define VFIOCTL_TRIAL_H

#include "virt.h"

/* One start and stop of the throwaway VM. */
struct trial_run {
        uint64_t milliseconds;
        bool passed;
};

enum trial_end {
        TRIAL_PASSED,
        TRIAL_FAILED,      /* by the GPU: it does not start a VM, or does not come back */
        TRIAL_UNJUDGED,    /* by the host: a VM without the GPU does not start either */
        TRIAL_REFUSED,     /* by our hook, which is about this moment and not about the GPU */
        TRIAL_INTERRUPTED, /* by a signal */
        TRIAL_LOST,        /* libvirt or the kernel does not answer: nobody knows how it stands */
};

/* A GPU that is tried, and all that goes with it. */
struct trial {
        struct cli *cli;
        struct virt_calls calls;
        struct vfioctl_virt *virt;
        struct vfioctl_lock *lock;
        struct vfioctl_snapshot *snapshot;
        struct vfioctl_vms *vms;
        struct vfioctl_findings *findings;
        struct vfioctl_plan *plan;
        const struct vfioctl_gpu *gpu; /* of the snapshot */
        enum vfioctl_mode before;      /* where it was, and goes back to */
        char vm[64];
        char uuid[40];
        struct trial_run *runs;
        unsigned int n_runs, n_wanted;
        bool is_silent;    /* it does not answer any more */
        char reason[1024]; /* why it did not pass */
};

/* trial_vm.c: starts and stops the VM as often as is wanted, and looks at the GPU after each. */
enum trial_end trial_perform(struct trial *trial);

#endif
