/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_STEP_RECORDS_H
#define VFIOCTL_STEP_RECORDS_H

#include "host.h"
#include "model.h"

/* Steps that write no attribute but a record below /run: claims, and notes of settings. */

bool record_is(const struct vfioctl_step *step);
int record_write(const struct vfioctl_ctx *ctx, const struct vfioctl_step *step, const char *text);
/* -ESTALE: it is not what the step expects. */
int record_check(const struct vfioctl_ctx *ctx, const struct vfioctl_step *step);
/* An earlier step of the plan writes what this one expects. */
bool record_follows(const struct vfioctl_plan *plan, size_t index);
/* The note that the plan has written for the step's bridge is there no more: another GPU has joined. */
bool record_has_joined(const struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan,
                       const struct vfioctl_step *step);
/* It notes more than what stood there before. */
bool record_grew(const struct vfioctl_step *step);

#endif
