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

/* Milliseconds, each at most what vfioctl_virt_set_deadline() leaves. The daemon may have to be started
 * first; a change may wait for another job on that VM. */
#define CONNECTION_OPEN_DEADLINE   10000U
#define CONNECTION_REPORT_DEADLINE 15000U
#define CONNECTION_CHANGE_DEADLINE 30000U

enum failure {
        FAILURE_NONE,
        FAILURE_LIBVIRT,     /* `reason` is libvirt's */
        FAILURE_MEMORY,      /* ours */
        FAILURE_TIMEOUT,     /* no answer by the deadline */
        FAILURE_UNDEFINED,   /* the same, for a definition that may have been changed or may be yet */
        FAILURE_UNSTARTED,   /* the same, for a start */
        FAILURE_UNSTOPPED,   /* the same, for a stop */
        FAILURE_MISSING,     /* libvirt is not installed */
        FAILURE_NOT_RUNNING, /* nothing listens there */
        FAILURE_ACCESS,      /* it listens, but not to us */
        FAILURE_URI,         /* libvirt has no driver for this URI */
        FAILURE_UNKNOWN,     /* no such VM, or network */
        FAILURE_EXISTS,      /* there is a VM of this name */
        FAILURE_TRANSIENT,   /* it has no definition to change */
        FAILURE_SAVED,       /* it has a managed save */
        FAILURE_CHANGED,     /* the definition is not the expected one */
        FAILURE_READBACK,    /* it was defined, but could not be read afterwards */
};

/* A disk that a VM may write to. */
struct listed_disk {
        char *vm, *path;
};

/* What a call brought. */
struct answer {
        enum failure failure;
        char *reason;
        char *xml;
        unsigned long libvirt_version, hypervisor_version;
        struct vfioctl_vms *vms; /* these two for a list: the caller makes them, and listed_fn fills them */
        struct vfioctl_findings *findings;
        struct listed_disk *disks; /* for a list of these */
        size_t n_disks, allocated_disks;
};

/* One VM as libvirt lists it; good as long as the call of listed_fn. */
struct listed_vm {
        const char *name;
        const char *uuid;
        bool running;
        unsigned int flags; /* VFIOCTL_VMS_* */
        const char *definition;
        const char *live; /* when running, else NULL */
};

/*
 * Told of each VM in turn, so that the texts of a thousand are never there at once. It runs in the call's
 * thread: it may touch nothing but the answer. 0 or -ENOMEM.
 */
typedef int (*listed_fn)(struct answer *answer, const struct listed_vm *vm);

struct vfioctl_virt;

/* Warns of a libvirt that is too old, by its number. */
int virt_check_version(unsigned long version, struct vfioctl_findings *findings);

/* A finding for what a call on VM `name` (NULL: on all) brought, where that is not our own failure. */
int virt_explain(int r, struct vfioctl_findings *findings, const struct vfioctl_virt *virt, const char *name,
                 const struct answer *answer);

void answer_clear(struct answer *answer);
#define _cleanup_answer_ _cleanup_(answer_clear)

/*
 * All return 0, -ENOMEM, or -EIO when answer->failure says why. `uri` NULL: CONNECTION_URI. `within`: what
 * this call and all later ones get together, in milliseconds; 0: no such limit.
 */
int connection_open(const char *uri, bool read_only, unsigned int within, struct answer *answer,
                    struct vfioctl_virt **ret);
/* On failure the answer's lists are gone, as the thread may still be filling them. */
int connection_list(struct vfioctl_virt *virt, listed_fn listed, struct answer *answer);
int connection_read(struct vfioctl_virt *virt, const char *name, struct answer *answer);
/* Of any VM, without secrets: a connection that only reads will do. */
int connection_look(struct vfioctl_virt *virt, const char *name, struct answer *answer);
int connection_define(struct vfioctl_virt *virt, const char *name, const char *old_xml, const char *new_xml,
                      struct answer *answer);
int connection_start(struct vfioctl_virt *virt, const char *name, struct answer *answer);
/* A VM without a definition, which ends with the connection at the latest. */
int connection_create(struct vfioctl_virt *virt, const char *xml, struct answer *answer);
/* Ends it at once; one that is not there has ended. */
int connection_destroy(struct vfioctl_virt *virt, const char *name, struct answer *answer);
/* Defines a VM that is not there yet. */
int connection_define_new(struct vfioctl_virt *virt, const char *name, const char *xml,
                          struct answer *answer);
/* With its UEFI variables; one that is not there has no definition. */
int connection_undefine(struct vfioctl_virt *virt, const char *name, struct answer *answer);
/* FAILURE_UNKNOWN: there is no such network; FAILURE_TRANSIENT: it is there, and not active. */
int connection_network(struct vfioctl_virt *virt, const char *name, struct answer *answer);
int connection_versions(struct vfioctl_virt *virt, struct answer *answer);
void connection_set_within(struct vfioctl_virt *virt, unsigned int within);
const char *connection_uri(const struct vfioctl_virt *virt);
struct vfioctl_virt *connection_close(struct vfioctl_virt *virt);
DEFINE_CLEANUP(struct vfioctl_virt, connection_close)

#endif
