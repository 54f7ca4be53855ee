/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TERMINAL_H
#define VFIOCTL_TERMINAL_H

#include "cli.h"

/* What standard output can show. */
bool terminal_wants_color(const struct cli *cli);
bool terminal_has_utf8(void);

#endif
