/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LIBVFIOCTL_PLACEMENT_H
#define LIBVFIOCTL_PLACEMENT_H

/*
 * The part of libvfioctl.h, which includes it, that is about processors and memory: what the host has next to
 * each GPU, what VMs have of it already, and where a VM with a GPU is to run.
 */

#include "libvfioctl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what VMs have already ------------------------------------------------------------------------- */

/** Processors and memory of a VM, as its definition has them. Since 0.1. */
struct vfioctl_vm_share {
        unsigned int vcpus;
        uint64_t memory;    /**< KiB */
        const char *pinned; /**< host processors that its vCPUs are pinned to ("1,29"); NULL: to none */
        int numa_node;      /**< that its memory is bound to strictly, or -1 */
        uint64_t page;      /**< KiB of a huge page, or VFIOCTL_PAGE_DEFAULT; 0: ordinary memory */
};
/** A huge page of the size that the host takes by default. Since 0.1. */
#define VFIOCTL_PAGE_DEFAULT 1
/** Notes it for VM `index`. -EINVAL for no list of processors, or more than 1 PiB; -ENOMEM. Since 0.1. */
int vfioctl_vms_set_share(struct vfioctl_vms *vms, size_t index, const struct vfioctl_vm_share *share);
/** NULL when it was not noted. Since 0.1. */
const struct vfioctl_vm_share *vfioctl_vms_share(const struct vfioctl_vms *vms, size_t index);

/* ---- what is left to the host ----------------------------------------------------------------------- */

/** Cores, and KiB of memory, of each NUMA node that the configuration leaves to the host; 0: by rule, see
 * vfioctl_fit_request. Since 0.1. */
unsigned int vfioctl_ctx_host_cores(const struct vfioctl_ctx *ctx);
uint64_t vfioctl_ctx_host_memory(const struct vfioctl_ctx *ctx);

/* ---- where a VM is to run --------------------------------------------------------------------------- */

enum vfioctl_pages { VFIOCTL_PAGES_AUTO, VFIOCTL_PAGES_NO, VFIOCTL_PAGES_2M, VFIOCTL_PAGES_1G };

/** A VM's place on the host. Lists are as in cpuset(7): "1,29", "0-1". Since 0.1. */
struct vfioctl_place {
        int node;                  /**< that all of it is on; -1: it has no one node */
        bool is_exclusive;         /**< each vCPU has a processor of its own, whole cores */
        bool is_strict;            /**< memory from `nodes` alone; else from there if possible: preferred
                                        where that is one, interleaved where they are several */
        unsigned int threads;      /**< of a guest's core; its vCPUs 0 to threads-1 are siblings, and so on */
        unsigned int n_vcpus;      /**< */
        const char *const *vcpus;  /**< for each vCPU the processors it may run on */
        const char *cpus;          /**< all of those together */
        const char *services;      /**< processors of emulator and I/O threads; NULL: any */
        const char *nodes;         /**< NUMA nodes of its memory; NULL: any */
        uint64_t page;             /**< KiB of a huge page; 0: ordinary memory */
        unsigned int address_bits; /**< physical, of the host's processor; 0: not known */
};

/** VMs that are to be placed. Since 0.1. */
struct vfioctl_fit_request {
        unsigned int vms;   /**< how many VMs, all alike */
        unsigned int vcpus; /**< of each */
        uint64_t memory;    /**< KiB, of each */
        enum vfioctl_pages pages;
        unsigned int gpus; /**< of each; may be 0 */
        const struct vfioctl_gpu *const
                *named; /**< exactly these for the one VM, whoever has them; or NULL */
        size_t n_named;
        const char *vm;     /**< this VM is placed anew: what it has does not count; or NULL */
        bool with_fallback; /**< what does not fit is placed as well as can be, with a warning */
        enum vfioctl_placement placement;
        unsigned int host_cores; /**< of each node left to the host; 0: a seventh, and at least one */
        uint64_t host_memory;    /**< KiB of each node left to the host; 0: a sixteenth, and at least 2 GiB,
                                      but no more than a quarter */
};

struct vfioctl_fit;

/**
 * Places VMs: each with its GPUs, whole cores and memory of their NUMA node, none used twice. Those that do
 * not fit have no place, and a refusal tells what runs out and where ("no-gpu", "no-cores", "no-memory",
 * "no-pages"); with a fallback it is a warning. GPUs on several nodes give a warning "several-nodes",
 * ordinary memory for want of huge pages a note "no-pages". The same input gives the same places. Needs
 * VFIOCTL_SNAPSHOT_RESOURCES and what vfioctl_choose() needs; `vms` may be NULL. Pure. -EINVAL, -ENOMEM.
 * Since 0.1.
 */
int vfioctl_fit_new(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                    const struct vfioctl_fit_request *request, struct vfioctl_findings *findings,
                    struct vfioctl_fit **ret);
struct vfioctl_fit *vfioctl_fit_free(struct vfioctl_fit *fit);
/** How many of the VMs fit: they are the first ones. Since 0.1. */
size_t vfioctl_fit_count(const struct vfioctl_fit *fit);
/** GPU `k` of VM `index`; NULL: it has no more. Since 0.1. */
const struct vfioctl_gpu *vfioctl_fit_gpu(const struct vfioctl_fit *fit, size_t index, size_t k);
/** The place of VM `index`, borrowed from `fit`; NULL: it has none. Since 0.1. */
const struct vfioctl_place *vfioctl_fit_place(const struct vfioctl_fit *fit, size_t index);

/** What is left of a NUMA node when all that fit are there. Since 0.1. */
struct vfioctl_node_left {
        int node;
        unsigned int cores, free_cores;        /**< free: nobody's; the host's own are not among them */
        const char *host_cpus;                 /**< processors that are left to the host */
        const char *free_cpus;                 /**< processors that nobody has */
        uint64_t memory;                       /**< KiB, all of it */
        uint64_t host_memory, free_memory;     /**< KiB; free: beside what VMs and the host have */
        uint64_t free_pages_2m, free_pages_1g; /**< numbers of free huge pages */
};
size_t vfioctl_fit_node_count(const struct vfioctl_fit *fit);
/** False when there is no such node. `ret` borrows from `fit`. Since 0.1. */
bool vfioctl_fit_node(const struct vfioctl_fit *fit, size_t index, struct vfioctl_node_left *ret);

#ifdef __cplusplus
}
#endif

#endif
