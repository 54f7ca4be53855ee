/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CREATE_H
#define VFIOCTL_CREATE_H

#include "assignment.h"
#include "templates.h"

/* What --disk says, and what is there. */
struct new_disk {
        char *path;    /* absolute */
        uint64_t size; /* KiB; 0: it is there already */
        const char *format;
        bool is_block;
        bool made; /* by us: to be removed when the VM does not come to be */
        dev_t device;
        ino_t inode; /* of what was made */
};

/* One run of create. */
struct create {
        struct cli *cli;
        struct assignment assignment;
        struct rootfs fs;
        struct templates templates;
        const struct template *template;
        struct vfioctl_domain *domain; /* of the new VM */
        char *xml;
        struct vfioctl_fit *fit;
        struct new_disk disk;
        char **isos, **evdevs; /* absolute paths, as many as there are options */
        uint64_t shared_memory;
        struct vfioctl_address usb;
        char uuid[UUID_SIZE];
        bool left; /* libvirt does not tell whether the VM is gone: nothing of it is taken back */
};

/* ---- create_options.c ---- */

/* Reads what the options' words mean. 0 or an exit code, said. */
int create_read_options(struct create *create);

/* ---- create_files.c ---- */

/* Looks at disk, isos and devices; what is in the way goes to the findings. 0 or a negative errno. */
int create_look_at_files(struct create *create);
/* For --print: what can be told without a look's refusing anything. */
void create_guess_files(struct create *create);
/* Makes the disk where one is to be made. 0 or an exit code, said. */
int create_make_disk(struct create *create);
void create_remove_disk(struct create *create);

/* ---- create_define.c ---- */

/* For vfioctl_apply(): defines the VM, and starts it with --start; takes all of that back. */
int create_define(void *userdata, const char *vm, bool undo, char **ret_error);

#endif
