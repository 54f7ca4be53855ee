/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TEXT_H
#define VFIOCTL_TEXT_H

/* A VM's name may be any bytes: how it is shown to a person, and how it is typed into a shell. Pure. */

#include "util.h"

#define TEXT_NAME_MAX 64

/* On one line, cut after `max` characters; what is no printable UTF-8 becomes \n, \x1b, ... */
int text_printable(const char *text, size_t max, char **ret);

/* As one word of a shell's command line, quoted only where that is needed. */
int text_shell_word(const char *text, char **ret);

/* "vfioctl VERB VM OPTIONS", as it can be typed: the VM quoted where that is needed, last after a dash. */
int text_command(const char *verb, const char *vm, const char *options, char **ret);

#endif
