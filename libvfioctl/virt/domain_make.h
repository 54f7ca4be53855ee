/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_VIRT_DOMAIN_MAKE_H
#define VFIOCTL_VIRT_DOMAIN_MAKE_H

/* What the files share that make a new VM. Pure. */

#include "domain_private.h"

/* Replaces what the element holds by this text. 0 or -ENOMEM. */
int make_text(xmlNode *node, const char *text);
/* As xml_insert(), of a tree that may be missing for want of memory; takes *node over when it worked. */
int make_insert(xmlNode *parent, xmlNode *after, xmlNode **node);

/* domain_make_devices.c: all that is below <devices>. */
int make_devices(struct vfioctl_domain *domain, const struct vfioctl_make *make);

#endif
