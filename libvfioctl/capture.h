/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CAPTURE_H
#define VFIOCTL_CAPTURE_H

/* What a capture is made of. Adding a place that is not there is no error; negative results are shortages. */

#include "host.h"
#include "redact.h"

struct vfioctl_capture {
        struct vfioctl_captured *items;
        size_t count, allocated;
        struct redaction redaction;
};

/* Names of a folder's entries, sorted, without those that begin with a dot. */
struct names {
        char **items;
        size_t count, allocated;
};
int names_read(const struct vfioctl_ctx *ctx, const char *folder, struct names *ret);
void names_clear(struct names *names);
#define _cleanup_names_ _cleanup_(names_clear)

/* How the text of a file is made fit to be given away. */
enum redact_how {
        REDACT_TEXT,   /* MAC addresses and UUIDs */
        REDACT_NAMES,  /* host names as well */
        REDACT_CONFIG, /* and comments */
};

int capture_folder(struct vfioctl_capture *capture, const char *path);
int capture_put(struct vfioctl_capture *capture, const char *path, const char *text, enum redact_how how);
/* As it stands. */
int capture_put_raw(struct vfioctl_capture *capture, const char *path, const void *data, size_t size);
int capture_put_link(struct vfioctl_capture *capture, const char *path, const char *target,
                     enum redact_how how);
int capture_mark(struct vfioctl_capture *capture, const char *path, enum vfioctl_captured_kind kind);
/* The last one that was added is a program. */
void capture_make_executable(struct vfioctl_capture *capture);

/* A file of the host, of at most 1 MiB; a link of the host, as a link. */
int capture_file(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *path,
                 enum redact_how how);
int capture_link(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *path);
/* Makes one line of a line; nothing in `out`: it is left out. */
typedef void (*reduce_fn)(char *line, char *out, size_t size);
/* A file of which only some lines, or parts of them, matter. */
int capture_table(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *path,
                  reduce_fn reduce);
/* That a file is there, and nothing of what is in it. */
int capture_presence(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *path);
/* These files of a folder. */
int capture_files(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder,
                  const char *const *names, size_t count);
/* Where a link into /sys/devices leads; false for any other. */
bool capture_device_of(const char *target, char path[PATH_MAX]);

/* ---- capture_pci.c, capture_reach.c, capture_around.c, capture_resources.c, capture_settings.c ---- */

int capture_pci(struct vfioctl_ctx *ctx, struct vfioctl_capture *capture);
int capture_reach(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder);
int capture_drivers(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture);
int capture_around(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture);
int capture_resources(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture);
int capture_rivals(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture);
int capture_settings(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture);

#endif
