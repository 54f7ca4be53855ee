/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_VIRT_DOMAIN_PRIVATE_H
#define VFIOCTL_VIRT_DOMAIN_PRIVATE_H

#include "xml.h"

#define GPU_MAX 8 /* functions of one slot */

struct hostdev {
        xmlNode *node;
        struct vfioctl_address host;
        struct vfioctl_address guest;
        bool has_guest;
};

/* A <vfioctl:gpu> of our metadata. */
struct gpu_entry {
        xmlNode *node;
        struct vfioctl_address functions[GPU_MAX];
        size_t n_functions; /* 0 when they cannot be read */
        struct vfioctl_domain_entry public;
};

struct vfioctl_domain {
        xmlDoc *document;
        bool has_declaration;
        char *name;
        char *uuid;
        int numa_node;
        struct vfioctl_hugepages hugepages; /* memory 0: none */
        struct hostdev *hostdevs;
        size_t n_hostdevs;
        size_t allocated_hostdevs;
        struct gpu_entry *gpus;
        size_t n_gpus;
        size_t allocated_gpus;
};

DEFINE_CLEANUP(struct vfioctl_domain, vfioctl_domain_free)

/* The hostdev of this host address, or NULL. */
const struct hostdev *domain_find(const struct vfioctl_domain *domain, const struct vfioctl_address *host);

/* Reads the hostdevs, and what our metadata says of them, again, after an edit. */
int domain_collect(struct vfioctl_domain *domain, char **ret_error);
int domain_collect_gpus(struct vfioctl_domain *domain);

/* KiB for a unit as libvirt writes it, or its short forms; 0 for others: virScaleInteger(). */
uint64_t domain_unit_kib(const char *unit);

/*
 * What a definition says of processors and memory, without a parser: it says no more than how much, when it
 * is plain. As libvirt prints it.
 */
bool domain_share_is_plain(const char *xml);
void domain_share_scan(const char *xml, struct vfioctl_vm_share *ret);

bool domain_among(const struct vfioctl_address *address, const struct vfioctl_address *list, size_t n);

/*
 * An edit is made on a second domain, which then takes the first one's place: whatever fails on the way
 * leaves the first as it was.
 */
int domain_copy(const struct vfioctl_domain *domain, struct vfioctl_domain **ret);
void domain_take_edited(struct vfioctl_domain *domain, struct vfioctl_domain *edited);

/* Writes an address element's attributes; a list of functions for our metadata. 0 or -ENOMEM. */
int domain_set_address(xmlNode *node, const struct vfioctl_address *address);
int domain_set_functions(xmlNode *record, const struct vfioctl_address *functions, size_t n_functions);

/* Adds a hostdev behind `after`, or behind the last one; `guest` NULL leaves its place to libvirt. */
int domain_add_hostdev(xmlNode *devices, xmlNode *after, const struct vfioctl_address *host,
                       const struct vfioctl_address *guest, bool multifunction);

/* Removes the records that name one of these functions and of which no function is passed through. */
int domain_forget_gpus(struct vfioctl_domain *domain, const struct vfioctl_address *list, size_t n);

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

/* A bit for each function of the guest slot of `address` that some device sits on. */
uint8_t domain_slot_functions(const struct vfioctl_domain *domain, const struct vfioctl_address *address);

/* Takes away our unused ports at the end, and notes in `gpus` which are left. 0 or -ENOMEM. */
int domain_drop_ports(struct vfioctl_domain *domain, xmlNode *gpus);

bool domain_has_pcie(const struct vfioctl_domain *domain);

/* ---- elements where libvirt has them (domain_order.c); 0 or -ENOMEM ---- */

/* Puts a tree where libvirt writes such elements; it is the document's then, and NULL. */
int domain_put(xmlNode *parent, xmlNode **node);
/* The child of this name, which is made when there is none. */
int domain_ensure(xmlNode *parent, const char *name, xmlNode **ret);
/* <name attribute='value'/> below `parent`; what else it says stays. */
int domain_say(xmlNode *parent, const char *name, const char *attribute, const char *value);
/* Takes it out, and its parent when nothing else was in it. */
int domain_drop(xmlNode *node);
int domain_drop_all(xmlNode *parent, const char *name);

/* Writes into the metadata what runs in it, where that says otherwise (domain_guest.c). 0 or -ENOMEM. */
int domain_set_guest(struct vfioctl_domain *domain, enum vfioctl_guest guest);

#endif
