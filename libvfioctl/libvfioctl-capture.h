/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LIBVFIOCTL_CAPTURE_H
#define LIBVFIOCTL_CAPTURE_H

/*
 * The part of libvfioctl.h, which includes it, that is about taking a host along: all that vfioctl reads of
 * it, as files that vfioctl_ctx_new() takes as a root again.
 */

#include "libvfioctl.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vfioctl_capture;

/** What stands at a captured place. Since 0.1. */
enum vfioctl_captured_kind {
        VFIOCTL_CAPTURED_FOLDER,
        VFIOCTL_CAPTURED_FILE,
        VFIOCTL_CAPTURED_LINK,
        VFIOCTL_CAPTURED_UNREADABLE, /**< it is there, and only root may read it, or read all of it */
        VFIOCTL_CAPTURED_STUCK,      /**< the kernel did not answer in time */
};

/** One place; paths are absolute on the host. Since 0.1. */
struct vfioctl_captured {
        enum vfioctl_captured_kind kind;
        const char *path;
        const void *data; /**< of a file */
        size_t size;
        bool is_executable;
        const char *target; /**< of a link */
};

/** How a host is captured. Since 0.1. */
enum vfioctl_capture_flags {
        /** Serial numbers, MAC addresses, UUIDs and host names stay; else they are replaced or left out. */
        VFIOCTL_CAPTURE_SERIALS = 1 << 0,
};

/**
 * Reads all that a snapshot of this host depends on, but for processes and VMs. What takes the device lock is
 * read with a deadline. What is not there, or answers with an error, is left out. Errors: -ENOENT when the
 * host has no PCI bus in sysfs, -ENOMEM, -EMFILE. Since 0.1.
 */
int vfioctl_capture_take(struct vfioctl_ctx *ctx, unsigned int flags, struct vfioctl_capture **ret);
struct vfioctl_capture *vfioctl_capture_free(struct vfioctl_capture *capture);
/** The places, in the order in which they were found; NULL for an `index` that is too high. Since 0.1. */
size_t vfioctl_capture_count(const struct vfioctl_capture *capture);
const struct vfioctl_captured *vfioctl_capture_get(const struct vfioctl_capture *capture, size_t index);
/** Adds a file of the caller's own, for example with the versions of programs. -ENOMEM. Since 0.1. */
int vfioctl_capture_add(struct vfioctl_capture *capture, const char *path, const char *text);

#ifdef __cplusplus
}
#endif

#endif
