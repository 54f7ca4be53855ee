/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_VIRT_DOMAIN_PRIVATE_H
#define VFIOCTL_VIRT_DOMAIN_PRIVATE_H

#include "xml.h"

struct hostdev {
        xmlNode *node;
        struct vfioctl_address host;
        struct vfioctl_address guest;
        bool has_guest;
};

struct vfioctl_domain {
        xmlDoc *document;
        bool has_declaration;
        char *name;
        char *uuid;
        int numa_node;
        struct hostdev *hostdevs;
        size_t n_hostdevs;
        size_t allocated_hostdevs;
};

DEFINE_CLEANUP(struct vfioctl_domain, vfioctl_domain_free)

/* The hostdev of this host address, or NULL. */
const struct hostdev *domain_find(const struct vfioctl_domain *domain, const struct vfioctl_address *host);

/* Reads the hostdevs again, after an edit. */
int domain_collect(struct vfioctl_domain *domain, char **ret_error);

/* <devices>, and our element below <metadata>; NULL when there is none. */
xmlNode *domain_devices(const struct vfioctl_domain *domain);
xmlNode *domain_gpus(const struct vfioctl_domain *domain);

/* The last element of this name in <devices>, so that a new one stands with its like; NULL. */
xmlNode *domain_last_device(const xmlNode *devices, const char *name);

/*
 * Finds or makes a guest slot for one GPU: `*ret_port` is the index of its root port, which is noted in
 * `gpus` as ours, or 0 for a slot of an i440fx. -ENOSPC, -ENOMEM.
 */
int domain_take_place(struct vfioctl_domain *domain, xmlNode *gpus, struct vfioctl_address *ret_guest,
                      unsigned int *ret_port);

/* Takes away our unused ports at the end, and notes in `gpus` which are left. 0 or -ENOMEM. */
int domain_drop_ports(struct vfioctl_domain *domain, xmlNode *gpus);

#endif
