/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_REDACT_H
#define VFIOCTL_REDACT_H

/*
 * Takes out of a captured host what names this one machine or its people: serial numbers, MAC addresses,
 * UUIDs, host names. What was equal stays equal, by numbers in the order in which they were met; a hash could
 * be searched for, since most digits of a MAC are known. Pure.
 */

#include "util.h"

struct redaction {
        bool is_off; /* all stays as it is */
        char *host;  /* this machine's name, or NULL */
        char **seen;
        size_t n_seen, allocated;
};

void redaction_clear(struct redaction *redaction);

/* MAC addresses and UUIDs; with `names` host names too. *ret is NUL-terminated, and the caller's to free. */
int redact_text(struct redaction *redaction, const char *text, size_t size, bool names, char **ret);

/* A serial number that is the whole of `text`: becomes a number of 16 digits; *ret is the caller's to free.
 */
int redact_serial(struct redaction *redaction, const char *text, char **ret);

/* PCI configuration space: the Device Serial Number becomes a number, what VPD shows is cleared. */
int redact_config_space(struct redaction *redaction, uint8_t *bytes, size_t size);

/*
 * The SMBIOS table, without all structures but slots, and names and versions of firmware, product and board;
 * *ret is the caller's to free.
 */
int redact_dmi(const struct redaction *redaction, const uint8_t *table, size_t size, uint8_t **ret,
               size_t *ret_size);

/* The kernel's command line: of what is not about devices only the key stays. */
int redact_cmdline(const struct redaction *redaction, const char *text, char **ret);

/* A configuration file: comments become empty ones, so that lines keep their numbers. */
void redact_comments(const struct redaction *redaction, char *text);

#endif
