/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_POLICY_H
#define VFIOCTL_POLICY_H

/* Which GPUs are ours, where they rest, and what they are called: read from texts, matched to a snapshot.
 * Pure. */

#include "libvfioctl.h"
#include "util.h"

#define ALIAS_MAX     32   /* characters */
#define SELECTOR_SIZE 36   /* of the longest selector, an alias, and its NUL */
#define POLICY_MAX    1024 /* selectors in a list */

enum selector_kind {
        SELECTOR_ALL,
        SELECTOR_NAME,    /* 2a */
        SELECTOR_ADDRESS, /* 0000:05:00.0, of any function of the GPU */
        SELECTOR_IDS,     /* 1002:6864 */
        SELECTOR_ALIAS,   /* what an alias stands for is looked up where it is needed */
};

struct selector {
        enum selector_kind kind;
        char text[SELECTOR_SIZE]; /* equal for equal selectors */
        struct vfioctl_address address;
        uint16_t vendor, device;
};

struct selectors {
        struct selector *items;
        size_t count, allocated;
};

struct alias {
        char name[ALIAS_MAX + 1];
        struct selector target; /* a short name or an address */
};

struct policy {
        struct selectors gpus, except, idle_host, idle_vm;
        enum vfioctl_mode idle;
        struct alias *aliases;
        size_t n_aliases, allocated_aliases;
};

/* Room for why a value is not taken. */
#define WHY_SIZE 160

/*
 * Selectors separated by commas and blanks; what was in the list before is gone. -EINVAL with the reason in
 * `why`, and the list as it was. A word may be an alias: policy_resolve() tells whether it is.
 */
int policy_parse_list(const char *text, struct selectors *list, char why[WHY_SIZE]);
/* The same for name=GPU. */
int policy_parse_aliases(const char *text, struct policy *policy, char why[WHY_SIZE]);

/* When all is read: -EINVAL with the reason when a word of the list is no alias. */
int policy_resolve(const struct policy *policy, const struct selectors *list, char why[WHY_SIZE]);
/* -EINVAL with the reason when a selector is in idle-host and in idle-vm. */
int policy_check_idle(const struct policy *policy, char why[WHY_SIZE]);

/* What the boot step depends on, as a text that is equal for equal meaning; the caller's to free. */
int policy_boot_text(const struct policy *policy, char **ret);

struct vfioctl_gpu;
struct vfioctl_snapshot;

/* True when some selector matches by vendor and device, so that these have to be known. */
bool policy_uses_ids(const struct policy *policy);
/* True when some selector has the address of another function of this GPU's slot. */
bool policy_names_companion(const struct policy *policy, const struct vfioctl_gpu *gpu);
/* Fills in is_ours, idle and alias of every GPU. */
int policy_apply(const struct policy *policy, struct vfioctl_snapshot *snapshot);

/* What of a list stands in the way of its meaning on this host; `key` and `where` are told. */
int policy_check(const struct policy *policy, const struct selectors *list, const char *key,
                 const char *where, const struct vfioctl_snapshot *snapshot,
                 struct vfioctl_findings *findings);
int policy_check_aliases(const struct policy *policy, const char *where,
                         const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings);

void policy_clear(struct policy *policy);

#endif
