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

#endif
