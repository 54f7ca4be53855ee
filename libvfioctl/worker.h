/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_WORKER_H
#define VFIOCTL_WORKER_H

#include "host.h"

/*
 * A child that does what may never return: writes that bind and unbind, module loading, and reads that
 * take the device lock. It holds none of our descriptors, so that when it hangs in the kernel we can leave
 * it behind and end; what it left undone it never starts, because its socket is closed then.
 */
struct worker;

struct worker *worker_free(struct worker *worker);

/*
 * Each takes at most `deadline` ms, and starts the context's worker when there is none. -ETIMEDOUT: the
 * worker was left behind in the kernel (that error from the kernel itself is -EIO); worker_abandoned_pid()
 * tells which one it was.
 */
int worker_read(struct vfioctl_ctx *ctx, const char *path, char *buffer, size_t size, unsigned int deadline);

/* Gives the path of read `index`; false when it is too long. */
typedef bool (*worker_path_fn)(void *userdata, size_t index, char path[PATH_MAX]);
/* Gets what came of it: a length or a negative errno, and the text. A negative result ends the whole. */
typedef int (*worker_result_fn)(void *userdata, size_t index, int result, char *text);
/* Reads many attributes with several under way at once; each has the deadline to itself. */
int worker_read_many(struct vfioctl_ctx *ctx, size_t count, worker_path_fn path, worker_result_fn result,
                     void *userdata, unsigned int deadline);

int worker_write(struct vfioctl_ctx *ctx, const char *path, const char *value, unsigned int deadline);
int worker_load(struct vfioctl_ctx *ctx, const char *module, unsigned int deadline);

/* PID of the last worker that was left behind, or 0. */
int worker_abandoned_pid(const struct vfioctl_ctx *ctx);

#endif
