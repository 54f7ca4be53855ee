/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_MODULE_H
#define VFIOCTL_MODULE_H

#include "libvfioctl.h"

/*
 * Loads a kernel module, by name or by modalias, with what it depends on, as modprobe -b does.
 * -ENOENT when no module answers to it. To be called in the worker: loading can take long, or hang.
 */
int module_load(const struct vfioctl_ctx *ctx, const char *name);

#endif
