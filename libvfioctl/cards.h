/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CARDS_H
#define VFIOCTL_CARDS_H

#include "host.h"
#include "model.h"

/*
 * Knowledge of cards is ours and not the host's: it is read from where this library is installed, or was
 * built, whatever the context's root.
 */
#define CARDS_SUFFIX ".card"
#define CARDS_LIMIT  65536

/*
 * Gives each GPU that was looked at what is known of its card. Only files of vendors that are there are
 * opened. A file with a mistake is a warning in the log, and counts as absent.
 */
int cards_find(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);

#endif
