/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CONFIG_H
#define VFIOCTL_CONFIG_H

#include "util.h"

/* Reads "30", "30s" or "250ms" into milliseconds, 1 ms to 1 hour. -EINVAL, -ERANGE. */
int config_parse_time(const char *text, unsigned int *ret_ms);

/* Reads "512M", "8G", "1T" into KiB, also with B or iB behind. -EINVAL, -ERANGE. */
int config_parse_size(const char *text, uint64_t *ret_kib);

/* What a key of the configuration is set to, and where. */
struct setting {
        char *value;
        char *file; /* NULL: it has its default */
        unsigned long line;
};

/* -EINVAL with the reason (*ret_error may be NULL), or -ENOMEM. */
int config_fail(char **ret_error, const char *format, ...) _printf_(2, 3);

/* ---- config_files.c: what libeconf does not look to ---- */

struct vfioctl_ctx;

/* False when there is no file at all, so that libeconf need not be loaded. */
bool config_exists(const struct vfioctl_ctx *ctx);
/* Refuses what libeconf stumbles over among the files of `folder`, and adds to *count how many there are. */
int config_refuse_odd(struct vfioctl_ctx *ctx, const char *folder, size_t *count, char **ret_error);
/* False for a path that leads out of a simulated host. */
bool config_is_inside(const struct vfioctl_ctx *ctx, const char *path);

void settings_free(struct setting *settings);

#endif
