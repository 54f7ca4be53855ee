/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_STATUS_H
#define VFIOCTL_STATUS_H

#include "parts.h"
#include "virt.h"

/* Who has a GPU. The order is that of what is told, where several hold. */
enum use_kind {
        USE_STUCK,
        USE_RUNNING,  /* a VM that runs with it */
        USE_STARTING, /* a VM that claims it, and that libvirt does not tell of as running */
        USE_DISPLAY,  /* the host's */
        USE_HELD,     /* a process of the host */
        USE_ASSIGNED, /* a VM that is off */
        USE_UNKNOWN,
        USE_FREE,
};

struct use {
        enum use_kind kind;
        const char *vm; /* borrowed; NULL: none */
        char *text;     /* for a person */
};

struct refused_start {
        char *uuid, *vm, *reason;
        int64_t when;
};

/* All that one look at the host has shown. */
struct status {
        struct cli cli; /* as the verb was called, with a context of this look */
        int64_t now;
        struct vfioctl_snapshot *snapshot;
        struct vfioctl_vms *vms; /* NULL: libvirt was not asked, or did not answer */
        bool libvirt_asked;
        /* Refusals are problems, warnings remarks, and notes tell what could not be seen. */
        struct vfioctl_findings *findings;
        bool config_is_bad;
        struct parts parts;
        bool has_timer, has_cron;
        struct refused_start *refused;
        size_t n_refused, allocated_refused;
        bool has_reconciled;
        int reconcile_code;
        int64_t reconcile_when;
        char *reconcile_problems;
};

struct json_object;

/* ---- status_look.c ---- */

/* Looks, and judges. Returns an exit code for what could not be looked at, with a word said, or 0. */
int status_look(const struct cli *cli, struct status *ret);
void status_clear(struct status *status);
#define _cleanup_status_ _cleanup_(status_clear)
/* CODE_REFUSED while there are problems. */
int status_code(const struct status *status);

/* ---- status_judge.c ---- */

/* Adds what is wrong to the findings: 0 or a negative errno. */
int status_judge(struct status *status);

/* ---- status_use.c ---- */

int status_use(const struct status *status, const struct vfioctl_gpu *gpu, struct use *ret);
const char *status_use_name(enum use_kind kind);

struct status_count {
        size_t all, vm, running, host, used, none;
};
int status_count(const struct status *status, struct status_count *ret);

/* ---- status_text.c ---- */

enum status_text_flags {
        STATUS_TEXT_COLOR = 1 << 0,
        STATUS_TEXT_TIMES = 1 << 1, /* points in time, and not how long ago */
};
/* The whole screen; the caller's to free. */
int status_text(const struct status *status, unsigned int flags, char **ret);

/* ---- status_json.c ---- */

struct json_object *status_json(const struct status *status);

/* ---- status_watch.c ---- */

/* What is printed; NULL without memory. The caller's to free. */
char *status_output(const struct status *status, unsigned int flags, bool one_line);
/* Shows it again and again, until it is ended. Returns an exit code. */
int status_watch(const struct cli *cli, unsigned int flags);

#endif
