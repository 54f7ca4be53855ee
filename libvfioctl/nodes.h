/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_NODES_H
#define VFIOCTL_NODES_H

#include <sys/types.h>

#include "host.h"
#include "model.h"

/* A device node through which a process can hold a GPU. */
struct node {
        dev_t device;
        char *path; /* its usual name below /dev */
        struct vfioctl_gpu *gpu;
};

struct nodes {
        struct node *items;
        size_t count, allocated;
};

/* Every character device below the functions of the snapshot's GPUs, and the vfio groups they are in. */
int nodes_find(const struct vfioctl_ctx *ctx, const struct vfioctl_snapshot *snapshot, struct nodes *ret);
void nodes_clear(struct nodes *nodes);

#endif
