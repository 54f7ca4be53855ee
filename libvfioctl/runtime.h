/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_RUNTIME_H
#define VFIOCTL_RUNTIME_H

#include "host.h"

#define PROCESS_START_SIZE 24

/* Facts of this boot, one small file each under PATH_RUN: stuck GPUs, and the driver a function came from. */

/*
 * When the process started, in the kernel's clock: with the PID it names one process for the length of a
 * boot. -ESRCH for one that has ended, a zombie too.
 */
int runtime_process_start(int pid, char ret[PROCESS_START_SIZE]);
/* Its state as in proc(5): R, S, D, ...; NUL when that cannot be read. */
char runtime_process_state(int pid);
/* True while the process with this PID is the one that started then. */
bool runtime_process_is(int pid, const char *start);

/* Records that `worker` (a PID) did not come back from `step` on this function. */
int runtime_record_stuck(const struct vfioctl_ctx *ctx, const char *address, int worker, const char *step);
/* True while that worker is still in the kernel; a record of one that has come back counts no more. */
bool runtime_is_stuck(const struct vfioctl_ctx *ctx, const char *address);
int runtime_forget_stuck(const struct vfioctl_ctx *ctx, const char *address);

int runtime_record_host_driver(const struct vfioctl_ctx *ctx, const char *address, const char *driver);
/* The recorded driver, or NULL: *ret is the caller's to free. */
int runtime_host_driver(const struct vfioctl_ctx *ctx, const char *address, char **ret);
int runtime_forget_host_driver(const struct vfioctl_ctx *ctx, const char *address);

/* What is noted of the function's settings, as text; NULL: nothing. */
int runtime_read_hold(const struct vfioctl_ctx *ctx, const char *address, char **ret);
/* NULL: nothing from now on. */
int runtime_write_hold(const struct vfioctl_ctx *ctx, const char *address, const char *text);
/* Takes this GPU out of it, whoever else is in it by now. */
int runtime_leave_hold(const struct vfioctl_ctx *ctx, const char *address, const char *gpu);

#endif
