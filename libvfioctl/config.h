/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CONFIG_H
#define VFIOCTL_CONFIG_H

/* Reads "30", "30s" or "250ms" into milliseconds, 1 ms to 1 hour. -EINVAL, -ERANGE. */
int config_parse_time(const char *text, unsigned int *ret_ms);

/* What a key of the configuration is set to, and where. */
struct setting {
        char *value;
        char *file; /* NULL: it has its default */
        unsigned long line;
};

void settings_free(struct setting *settings);

#endif
