/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CLAIMS_H
#define VFIOCTL_CLAIMS_H

#include "host.h"
#include "model.h"

/*
 * Which VM is starting or running with a GPU, and which change of mode was begun: facts of this boot, one
 * small file a GPU below PATH_RUN. All of a claim is in one file, so that a kill cannot leave half of it.
 */

/* Fills in the claims and the begun changes of those GPUs of the snapshot that are looked at. */
int claims_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot);

/* The text of the claim on the GPU at this address: *ret is the caller's, NULL for none. */
int claim_read_text(const struct vfioctl_ctx *ctx, const char *address, char **ret);
/* Writes that text; NULL drops the claim. */
int claim_write_text(const struct vfioctl_ctx *ctx, const char *address, const char *text);

/* Notes that a change of this GPU to `mode` begins, and that it ended: what is left was cut off. */
int work_begin(const struct vfioctl_ctx *ctx, const char *address, enum vfioctl_mode mode);
int work_end(const struct vfioctl_ctx *ctx, const char *address);

#endif
