/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_USE_H
#define VFIOCTL_USE_H

#include "cli.h"

/* Who uses a GPU, in a few words: "game1 (running)", "ollama.service", "console", "?" or "". Caller frees. */
int use_text(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms, bool vms_known, char **ret);
/* "yes", "yes (tried)", "no" or "never". */
const char *ready_text(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu);
/* "8G", "256M", or "-" when it is not known. */
const char *size_text(uint64_t bytes, char buffer[24]);
/* Without the domain where it is 0. */
const char *short_address(const char *address);

#endif
