/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_VIRT_CONNECTION_PRIVATE_H
#define VFIOCTL_VIRT_CONNECTION_PRIVATE_H

/* What the files that talk to libvirt share: connection.c, and connection_run.c. */

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "../lazy.h"
#include "connection.h"
#include "task.h"

/* clang-format off */
#define LIBVIRT_CALLS(X) \
        X(virConnectClose) X(virConnectGetLibVersion) X(virConnectGetVersion) X(virConnectListAllDomains) X(virConnectOpen) X(virConnectOpenReadOnly) \
        X(virConnectRef) X(virConnSetErrorFunc) X(virDomainCreate) X(virDomainCreateXML) X(virDomainDefineXMLFlags) \
        X(virDomainDestroy) X(virDomainFree) X(virDomainGetID) X(virDomainGetName) X(virDomainGetUUID) \
        X(virDomainGetUUIDString) X(virDomainGetXMLDesc) X(virDomainHasManagedSaveImage) \
        X(virDomainIsActive) X(virDomainIsPersistent) X(virDomainLookupByName) \
        X(virDomainLookupByUUIDString) X(virDomainUndefineFlags) X(virGetLastError) X(virNetworkFree) X(virNetworkIsActive) \
        X(virNetworkLookupByName) X(virSetErrorFunc)
/* clang-format on */
#define LIBVIRT_MEMBER(function) LAZY_MEMBER(function);

/* libvirt, loaded with the first connection: who only reads definitions does not pay for it. */
struct libvirt {
        LIBVIRT_CALLS(LIBVIRT_MEMBER)
};

struct vfioctl_virt {
        struct libvirt libvirt;
        virConnectPtr connection;
        char *uri;
        bool stuck;
        bool has_until;
        uint64_t until; /* as task_now(): when all calls are to have ended */
};

/* One call: the caller waits, the thread works. It owns all that it needs, as it may be left behind. */
struct call {
        struct task task;
        void (*run)(struct call *call);
        struct libvirt libvirt;
        virConnectPtr connection; /* a reference of its own; for an open: what it gives */
        bool read_only;
        char *uri;
        char *name;
        char *old_xml;
        char *new_xml;
        listed_fn listed;
        struct answer answer;
};

/* `virt` NULL: the call gets libvirt and the connection otherwise. */
int call_new(void (*run)(struct call *call), const struct vfioctl_virt *virt, struct call **ret);
struct call *call_free(struct call *call);
DEFINE_CLEANUP(struct call, call_free)
/* True when a call would be made; else it fails as one that got no answer. */
bool can_ask(const struct vfioctl_virt *virt);
/* Runs a call on the connection and hands its answer on. */
int perform(struct vfioctl_virt *virt, struct call **call, unsigned int milliseconds, struct answer *answer);

/* ---- inside the thread ---- */

/* Takes libvirt's last error of this thread as the answer. */
void fail(struct call *call);
/* By name or UUID; NULL with the answer set. */
virDomainPtr look_up(struct call *call);

#endif
