/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_BOARD_H
#define VFIOCTL_BOARD_H

/* What the board and the machine are called, and which socket each NUMA node is at: VFIOCTL_SNAPSHOT_BOARD.
 */

#include "host.h"
#include "model.h"

/* Fills snapshot->board; what cannot be seen is left empty. 0 or -ENOMEM and the like. */
int board_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);
void board_clear(struct board *board);

#endif
