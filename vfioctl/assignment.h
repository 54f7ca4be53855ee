/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_ASSIGNMENT_H
#define VFIOCTL_ASSIGNMENT_H

#include "virt.h"

/* A VM named on the command line, with its definition before and after. */
struct target {
        const char *argument;
        const char *name; /* as libvirt has it; borrowed from domain */
        struct vfioctl_domain *domain;
        char *xml;           /* as libvirt gave it */
        char *new_xml;       /* to be defined, or NULL when it stays */
        char *now;           /* as libvirt has it after our define, for the way back */
        unsigned int wanted; /* GPUs it is to get in addition */
        size_t n_had;        /* GPUs its definition names already */
};

struct json_object;

/* What assign, unassign and tune share: the connection, the lock, the VMs, the plan. */
struct assignment {
        struct cli *cli;
        unsigned int snapshot_more; /* what the snapshot is to have besides; set before assignment_open() */
        /* What --json has besides steps and findings; or NULL. */
        void (*add_json)(const struct assignment *assignment, struct json_object *object);
        struct virt_calls calls;
        struct vfioctl_virt *virt;
        struct vfioctl_lock *lock;
        struct vfioctl_findings *findings;
        struct vfioctl_snapshot *snapshot;
        struct vfioctl_vms *vms;
        struct vfioctl_intent *intent;
        struct vfioctl_plan *plan;
        struct target *targets;
        size_t n_targets;
};

/* Loads libvirt support, takes the admin lock (but for a dry run), connects and lists the VMs. Returns an
 * exit code. */
int assignment_connect(struct cli *cli, struct assignment *assignment);
/* Reads the host, with these flags of a snapshot besides. Returns an exit code. */
int assignment_look(struct assignment *assignment, unsigned int flags);
/* All of that, and reads the definitions of the VMs that are the verb's arguments. Returns an exit code. */
int assignment_open(struct cli *cli, struct assignment *assignment);
void assignment_close(struct assignment *assignment);

/* True when the definition names any function of the GPU. */
bool target_has_gpu(const struct assignment *assignment, const struct target *target,
                    const struct vfioctl_gpu *gpu);

/* Formats the edited domain into target->new_xml. */
int target_format(const struct assignment *assignment, struct target *target);

/* Adds the GPU to a definition. 0 or an exit code, said. */
int assignment_add_gpu(const struct assignment *assignment, struct vfioctl_domain *domain, const char *vm,
                       const struct vfioctl_gpu *gpu);

/* Plans the intent. 0, or an exit code: refusals are printed. */
int assignment_plan(struct assignment *assignment, unsigned int plan_flags);

/*
 * Plans the intent, prints it (--dry-run, --json) or carries it out. Returns an exit code, or -EAGAIN when it
 * is to be started afresh.
 */
int assignment_run(struct assignment *assignment, unsigned int plan_flags);

#endif
