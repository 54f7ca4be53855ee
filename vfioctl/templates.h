/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TEMPLATES_H
#define VFIOCTL_TEMPLATES_H

#include "rootfs.h"
#include "virt.h"

/* What a VM can be made of: files NAME.xml, the admin's own first. */
struct template
{
        char *name; /* what it is called: the file's name without its end */
        char *path; /* of the file, for messages */
        bool is_own;
        struct vfioctl_domain *domain; /* NULL: it is broken */
        char *summary;                 /* may be NULL */
        char *error;                   /* why it is broken, with its line; else NULL */
};

struct templates {
        const struct virt_calls *calls;
        struct template *items; /* ordered by name, each name once */
        size_t count, allocated;
};

/* Reads those of the host and those of the package. 0 or a negative errno, said. */
int templates_read(const struct cli *cli, const struct virt_calls *calls, struct templates *ret);
void templates_clear(struct templates *templates);
#define _cleanup_templates_ _cleanup_(templates_clear)

/* The one of this name, broken or not; NULL: there is none. */
const struct template *templates_find(const struct templates *templates, const char *name);
/* "linux", "windows", or NULL. */
const char *guest_name(enum vfioctl_guest guest);

#endif
