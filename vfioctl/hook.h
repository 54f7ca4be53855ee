/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_HOOK_H
#define VFIOCTL_HOOK_H

#include "virt.h"

/*
 * What libvirt calls at each start and stop of a VM: hooks.html of libvirt. It runs under libvirt's lock of
 * that VM, so it asks libvirt nothing, waits with bounds, and leaves nothing behind.
 */
struct hook {
        struct cli *cli;
        char vm[256];          /* its name, fit to be shown */
        const char *operation; /* prepare, release, ... */
        const char *stage;     /* begin, end */
        char *xml;
        size_t size;
        struct virt_calls calls;
        struct vfioctl_domain *domain;
        struct vfioctl_process daemon; /* who calls; PID 0: not known */
        unsigned int deadline;         /* of any single wait, ms */
};

/* The whole, once it is known that the program was called as the hook. Returns an exit code for libvirt. */
int hook_run(struct cli *cli, const char *vm, const char *operation, const char *stage);

/* The daemon itself starts, or reads its hooks anew: noted, so that others know that the hook is live. */
int hook_greet(struct cli *cli);

/* ---- hook_gpus.c: what is done with the VM's GPUs ---- */

/* 0: it may start; CODE_FAILED: it may not, and *ret_reason (the caller's to free) is the line that says why.
 */
int hook_prepare(struct hook *hook, char **ret_reason);
/* Drops this VM's claims, and lets its GPUs rest where the configuration wants them. */
void hook_release(struct hook *hook);
/* Makes the claims of a VM that runs. */
void hook_reconnect(struct hook *hook);

#endif
