/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_ROOTFS_H
#define VFIOCTL_ROOTFS_H

/* Configuration files and links of the host, all below the root and never out of it. Paths start with "/". */

#include <sys/stat.h>
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
/* The text of a file, behind links too: -EISDIR, -EINVAL when it is no file, -EFBIG when it is no text of
 * that size. */
int rootfs_read(const struct rootfs *fs, const char *path, char **ret);
/* The names in a folder, in order; none where there is no such folder. */
int rootfs_list(const struct rootfs *fs, const char *path, char ***ret, size_t *ret_count);
void rootfs_free_list(char **names, size_t count);
/*
 * What is behind `path`, with its place without links in *ret_real (the caller's to free, may be NULL). With
 * `taken` a block device that the host has in use is -EBUSY: open(2), O_EXCL.
 */
int rootfs_stat(const struct rootfs *fs, const char *path, bool taken, struct stat *ret, char **ret_real);
/* At most size bytes of its beginning; their number, or a negative errno. */
ssize_t rootfs_peek(const struct rootfs *fs, const char *path, void *buffer, size_t size);
/* Bytes that are free where `path` is, or is to be. */
int rootfs_free_space(const struct rootfs *fs, const char *path, uint64_t *ret);
/*
 * Makes a file of this size, without content, that must not be there yet (-EEXIST), 0600, and opens it for
 * writing.
 */
int rootfs_make_sparse(const struct rootfs *fs, const char *path, uint64_t size, int *ret_fd);
/* Removes it. */
int rootfs_unlink(const struct rootfs *fs, const char *path);
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
