/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_VIRT_DOMAIN_TUNE_H
#define VFIOCTL_VIRT_DOMAIN_TUNE_H

#include "domain_private.h"

#define VCPUS_MAX 4096

/* One edit that brings a definition up to standard; each part is 0 or a negative errno. */
struct tune {
        struct vfioctl_domain *domain;
        xmlNode *root;
        xmlNode *devices; /* or NULL */
        const struct vfioctl_tuning *tuning;
        const struct vfioctl_place *place; /* NULL: what it says is not to be touched */
        struct vfioctl_findings *findings;
        bool kvm;                 /* not emulated */
        bool x86;                 /* the only processors that the rest of it knows */
        enum vfioctl_guest guest; /* what runs in it, as far as it is told */
        size_t n_cells;           /* NUMA cells of the guest */
        unsigned int vcpus;       /* as they will be */
};

/* Adds a note, or what else `severity` says, about the VM. */
int tune_find(const struct tune *tune, enum vfioctl_severity severity, const char *code, const char *fix,
              const char *format, ...) _printf_(5, 6);

/* vCPUs and memory, as far as the tuning gives them; -EPERM and a refusal where cells do not allow it. */
int tune_size(struct tune *tune);
/* <iothreads> and the virtio disks that have none. */
int tune_iothreads(struct tune *tune);
/* <cputune>, as far as it pins. */
int tune_pins(struct tune *tune);
/* <memoryBacking><hugepages>, <numatune><memory>. */
int tune_memory(struct tune *tune);
int tune_cpu(struct tune *tune);
/* <features>, <clock>, <pm>. */
int tune_features(struct tune *tune);
/* <graphics>, <video> and what hangs on them. */
int tune_display(struct tune *tune);
/* Balloon, sound, the ROM of its GPUs. */
int tune_devices(struct tune *tune);
/* The room for 64-bit BARs. */
int tune_window(struct tune *tune);

#endif
