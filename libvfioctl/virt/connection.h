/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_VIRT_CONNECTION_H
#define VFIOCTL_VIRT_CONNECTION_H

/*
 * libvirt's calls, each with a deadline, in words that are not libvirt's: connection.c is the only file that
 * includes its headers.
 *
 * libvirt has no time limit on a call: a daemon that is stopped, or stuck in a hook, holds its caller for
 * ever. So every call is a task; after one that misses its deadline the connection is not used again.
 */

#include "../util.h"
#include "libvfioctl-virt.h"

#define CONNECTION_URI "qemu:///system"

/* Milliseconds. The daemon may have to be started first; a change may wait for another job on that VM. */
#define CONNECTION_OPEN_DEADLINE   10000U
#define CONNECTION_REPORT_DEADLINE 15000U
#define CONNECTION_CHANGE_DEADLINE 30000U

enum failure {
        FAILURE_NONE,
        FAILURE_LIBVIRT,     /* `reason` is libvirt's */
        FAILURE_MEMORY,      /* ours */
        FAILURE_TIMEOUT,     /* no answer by the deadline */
        FAILURE_UNCERTAIN,   /* the same, for a change that may have been made or may follow */
        FAILURE_MISSING,     /* libvirt is not installed */
        FAILURE_NOT_RUNNING, /* nothing listens there */
        FAILURE_ACCESS,      /* it listens, but not to us */
        FAILURE_URI,         /* libvirt has no driver for this URI */
        FAILURE_UNKNOWN,     /* no such VM */
        FAILURE_TRANSIENT,   /* it has no definition to change */
        FAILURE_SAVED,       /* it has a managed save */
        FAILURE_CHANGED,     /* the definition is not the expected one */
        FAILURE_READBACK,    /* it was defined, but could not be read afterwards */
};

/* One VM as libvirt lists it. */
struct listed_vm {
        char *name;
        char *uuid;
        bool running;
        char *definition;
        char *live; /* when running, else NULL */
};

/* What a call brought. */
struct answer {
        enum failure failure;
        char *reason;
        char *xml;
        struct listed_vm *vms;
        size_t n_vms;
        size_t allocated_vms;
};

struct vfioctl_virt;

void answer_clear(struct answer *answer);
#define _cleanup_answer_ _cleanup_(answer_clear)

/* All return 0, -ENOMEM, or -EIO when answer->failure says why. `uri` NULL: CONNECTION_URI. */
int connection_open(const char *uri, bool read_only, unsigned int deadline, struct answer *answer,
                    struct vfioctl_virt **ret);
int connection_list(struct vfioctl_virt *virt, struct answer *answer);
int connection_read(struct vfioctl_virt *virt, const char *name, struct answer *answer);
int connection_define(struct vfioctl_virt *virt, const char *name, const char *old_xml, const char *new_xml,
                      struct answer *answer);
const char *connection_uri(const struct vfioctl_virt *virt);
struct vfioctl_virt *connection_close(struct vfioctl_virt *virt);
DEFINE_CLEANUP(struct vfioctl_virt, connection_close)

#endif
