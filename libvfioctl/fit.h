/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_FIT_H
#define VFIOCTL_FIT_H

/* What the files of the placement share: fit.c, fit_count.c, fit_place.c, fit_why.c. Pure. */

#include "choose.h"
#include "model.h"

#define PAGE_2M (2ull << 10) /* KiB */
#define PAGE_1G (1ull << 20)

/* What is left of a node. */
struct fit_node {
        const struct node_resources *resources;
        struct cpu_set host;            /* processors of the host's own cores */
        unsigned int n_cores;           /* all of it */
        unsigned int n_host;            /* the host's own */
        uint64_t for_host;              /* KiB of ordinary memory */
        uint64_t memory;                /* KiB of ordinary memory that is left */
        uint64_t pages_wanted;          /* KiB that had to be ordinary memory, for want of huge pages */
        uint64_t pages[PAGE_POOLS_MAX]; /* that are left, as in resources->pools */
        char *host_cpus, *free_cpus;    /* as texts, once all is placed */
};

struct fit_core {
        const struct cpu_core *core;
        bool is_host;
        bool is_taken; /* by a VM */
};

/* A VM that was placed. */
struct fit_vm {
        char *label; /* "VM 3", "VM win1" */
        const struct vfioctl_gpu **gpus;
        size_t n_gpus;
        bool has_place;
        struct vfioctl_place place; /* what it points to is this one's */
        char **texts;               /* each vCPU's processors; one for all where they float */
        size_t n_texts;
        char *cpus, *services, *nodes;
};

struct vfioctl_fit {
        const struct vfioctl_snapshot *snapshot;
        const struct vfioctl_vms *vms;
        struct vfioctl_fit_request request;
        struct vfioctl_findings *findings; /* borrowed */
        struct choice choice;
        struct fit_node *nodes; /* as in resources.nodes */
        size_t n_nodes;
        struct fit_core *cores; /* as in resources.cores */
        size_t n_cores;
        struct fit_vm *placed;
        size_t n_placed;
};

/* Indexes of nodes. */
typedef struct cpu_set node_set;

/* What one VM lacks in a place. */
enum lack {
        LACKS_CORES = 1 << 0,
        LACKS_MEMORY = 1 << 1,
        LACKS_PAGES = 1 << 2, /* that were asked for by size */
};

/* ---- fit_count.c ---- */

/* The host's share, and what the VMs have that are there. */
int fit_count_all(struct vfioctl_fit *fit);
bool fit_core_is_free(const struct fit_core *core);
/* Free cores of the nodes, and how many processors the largest of those cores have. */
unsigned int fit_free_cores(const struct vfioctl_fit *fit, const node_set *nodes, unsigned int *ret_threads);
uint64_t fit_free_memory(const struct vfioctl_fit *fit, const node_set *nodes);
/* Takes ordinary memory, evenly; what one node lacks the others give. */
void fit_take_memory(struct vfioctl_fit *fit, const node_set *nodes, uint64_t memory);
/* The pool of this size, or NULL. `ret_left` (may be NULL): what of it is left. */
const struct page_pool *fit_pool(const struct fit_node *node, uint64_t size, uint64_t **ret_left);
/* Pages of each node, for memory in pages of this size that is spread evenly over them. */
uint64_t fit_pages_each(const struct vfioctl_fit *fit, const node_set *nodes, uint64_t size);
bool fit_has_pages(const struct vfioctl_fit *fit, const node_set *nodes, uint64_t size);

/* ---- fit_place.c ---- */

void fit_add_cpus(struct cpu_set *set, const struct cpu_core *core);
/* Free processors of a node. */
unsigned int fit_count_free(const struct vfioctl_fit *fit, size_t node);
/* Takes processors and memory there for a VM, and writes its place. */
int fit_place_cpus(struct vfioctl_fit *fit, struct fit_vm *vm, const node_set *nodes);
int fit_place_memory(struct vfioctl_fit *fit, struct fit_vm *vm, const node_set *nodes);

/* ---- fit_why.c ---- */

/* "node 0", "nodes 0-1". */
int fit_nodes_text(const struct vfioctl_fit *fit, const node_set *nodes, char **ret);
/* What a VM lacks there, as findings of this severity. */
int fit_tell_lack(const struct vfioctl_fit *fit, const char *label, const node_set *nodes, unsigned int lack,
                  enum vfioctl_severity severity);
/* That no processor of the host can be seen. */
int fit_tell_unseen(const struct vfioctl_fit *fit, const char *label);
/* That there are not enough GPUs for it, and why each is none for it. */
int fit_tell_no_gpu(const struct vfioctl_fit *fit, const char *label);
/* That its GPUs are on several nodes. */
int fit_tell_spread(const struct vfioctl_fit *fit, const char *label, const node_set *nodes);
/* What to type for huge pages, where VMs went without. */
int fit_tell_pages(const struct vfioctl_fit *fit);

#endif
