/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_ROOTFS_H
#define VFIOCTL_ROOTFS_H

/* Configuration files and links of the host, all below the root and never out of it. Paths start with "/". */

#include <sys/types.h>

#include "cli.h"

/* A file of ours is far smaller; what is larger is somebody else's. */
#define ENTRY_MAX (64 * 1024)

struct rootfs {
        int fd;
        bool is_live;
};

enum entry_kind {
        ENTRY_NONE,
        ENTRY_FILE,
        ENTRY_LINK,
        ENTRY_FOLDER,
        ENTRY_OTHER, /* a device, a FIFO, a file that is too large or cannot be read as text */
};

struct entry {
        enum entry_kind kind;
        char *text; /* of a file its content, of a link its target; else NULL */
        mode_t mode;
};

void entry_clear(struct entry *entry);
bool entry_equal(const struct entry *a, const struct entry *b);
#define _cleanup_entry_ _cleanup_(entry_clear)

/* `root` NULL: this machine. 0 or a negative errno. */
int rootfs_open(const char *root, struct rootfs *ret);
void rootfs_close(struct rootfs *fs);

/* What is at `path` itself, not behind a link. 0 or a negative errno; nothing there is no error. */
int rootfs_look(const struct rootfs *fs, const char *path, struct entry *ret);
/* True when there is something, behind links too. */
bool rootfs_exists(const struct rootfs *fs, const char *path);

/*
 * Makes the place hold `entry` (NONE, FILE, LINK or FOLDER), whole or not at all. With `fresh` it must be
 * empty now: -EEXIST. The folder above must be there.
 */
int rootfs_put(const struct rootfs *fs, const char *path, const struct entry *entry, bool fresh);
/* Removes a folder; -ENOTEMPTY when something is in it. */
int rootfs_rmdir(const struct rootfs *fs, const char *path);

#endif
