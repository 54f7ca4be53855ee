/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LIBVFIOCTL_MAKE_H
#define LIBVFIOCTL_MAKE_H

/*
 * The part of libvfioctl-virt.h, which includes it, that makes new VMs: templates, which are domain
 * definitions, and what a VM gets beyond its template.
 */

#include "libvfioctl-virt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- templates, pure ------------------------------------------------------------------------------ */

/**
 * Whether the definition can be a template: -EINVAL, and the line and the reason in *ret_error (the caller's
 * to free), when it has what only one VM can have: a UUID, devices of the host, a disk that is written to, a
 * MAC address, a store of UEFI variables, our own metadata. -ENOMEM. Since 0.1.
 */
int vfioctl_domain_check_template(const struct vfioctl_domain *domain, char **ret_error);
/** Text of <title>, else the first line of <description>, or NULL. Blanks in a row are one. The caller's to
 * free. Since 0.1. */
int vfioctl_domain_summary(const struct vfioctl_domain *domain, char **ret);

/** The first of libvirt's networks that the definition names, or NULL; good until it is edited. Since 0.1. */
const char *vfioctl_domain_network(const struct vfioctl_domain *domain);

/* ---- a new VM, pure ------------------------------------------------------------------------------- */

/** Longest name of a VM that is made, in bytes: libvirt makes names of files of it. Since 0.1. */
#define VFIOCTL_VM_NAME_MAX 200

/** True for what libvirt takes as a name: UTF-8, no '/', no control characters, not blank. Since 0.1. */
bool vfioctl_domain_is_name(const char *name);

/** True for an absolute path that a definition can hold: UTF-8, no control characters. Since 0.1. */
bool vfioctl_domain_is_path(const char *path);

/** What a VM gets beyond its template. Since 0.1. */
struct vfioctl_make {
        const char *name;
        const char *uuid;         /**< NULL: libvirt gives it one */
        const char *type;         /**< "kvm", "qemu", "test" */
        enum vfioctl_guest guest; /**< OTHER: what the template says */
        bool secure_boot;         /**< the guest's drivers load with it */
        const char *disk;         /**< absolute path */
        const char *disk_format;  /**< "raw", "qcow2" */
        bool disk_is_block;
        const char *const
                *isos; /**< absolute paths; the VM boots from the first one, and else from the disk */
        size_t n_isos;
        const char *network, *bridge; /**< one of them, or none: what the template says */
        unsigned int queues;          /**< of its network device; 0 or 1: no more than one */
        const char *const *evdevs;    /**< absolute paths of input devices */
        size_t n_evdevs;
        uint64_t shared_memory;            /**< MiB, for Looking Glass; 0: none */
        const struct vfioctl_address *usb; /**< a USB controller of the host, or NULL */
};

/** MiB of shared memory for pictures of this size. 0 when it is no size. Since 0.1. */
uint64_t vfioctl_shared_memory(unsigned int width, unsigned int height);

/**
 * Makes the definition of a VM of its template: name, type, firmware and TPM for its guest, disk, drives,
 * network, devices. Title, description and UUID of the template go. What nothing is said of stays to the
 * byte. -EINVAL for what makes no sense (no name, no disk, a path that is not absolute), -EEXIST when the
 * template has the USB controller, -ENOSPC for too many drives, -ENOMEM; the definition is unchanged then.
 * Since 0.1.
 */
int vfioctl_domain_make(struct vfioctl_domain *domain, const struct vfioctl_make *make);

/* ---- libvirt -------------------------------------------------------------------------------------- */

/**
 * Defines a VM that is not there yet. Refusal "vm-exists" (-EPERM) when its name is taken; -EIO and
 * "libvirt-failed" when libvirt refuses, or "libvirt-failed" when it does not answer: then it may be defined
 * yet. Since 0.1.
 */
int vfioctl_virt_define_new(struct vfioctl_virt *virt, const char *name, const char *xml,
                            struct vfioctl_findings *findings);
/**
 * Takes the definition of the VM with this UUID away, with its UEFI variables and TPM; 0 also when it has
 * none. -EIO and "libvirt-failed". Since 0.1.
 */
int vfioctl_virt_undefine(struct vfioctl_virt *virt, const char *uuid, struct vfioctl_findings *findings);
/**
 * The name of a VM whose definition has a disk that it may write to, and for whose path is_it() is true; or
 * NULL. The caller's to free. -EIO and "libvirt-failed". Since 0.1.
 */
int vfioctl_virt_disk_user(struct vfioctl_virt *virt, bool (*is_it)(void *userdata, const char *path),
                           void *userdata, struct vfioctl_findings *findings, char **ret_vm);
/** -ENOENT: libvirt has no such network. -EIO and "libvirt-failed". Since 0.1. */
int vfioctl_virt_find_network(struct vfioctl_virt *virt, const char *name, struct vfioctl_findings *findings,
                              bool *ret_active);

#ifdef __cplusplus
}
#endif

#endif
