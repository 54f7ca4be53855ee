/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CLI_DIFF_H
#define VFIOCTL_CLI_DIFF_H

#include "json.h"

/* The lines of two definitions, those that are only in one of them marked. */
struct diff;

/* 0 or -ENOMEM. Borrows from both texts. */
int diff_new(const char *before, const char *after, struct diff **ret);
struct diff *diff_free(struct diff *diff);
bool diff_is_empty(const struct diff *diff);
/* On stdout, as diff -u has it. Passwords of displays are not shown. */
void diff_print(const struct diff *diff);
/* [{"line":N,"removed":[...],"added":[...]}], N being that of the first text. */
struct json_object *diff_json(const struct diff *diff);

DEFINE_CLEANUP(struct diff, diff_free)

#endif
