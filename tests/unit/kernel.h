/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TEST_KERNEL_H
#define VFIOCTL_TEST_KERNEL_H

#include "harness.h"

/*
 * A small kernel with one GPU and its audio function: what apply would have the worker write or load reaches
 * this instead, by -Wl,--wrap=worker_write,--wrap=worker_load.
 */

#define GPU   "0000:06:00.0"
#define AUDIO "0000:06:00.1"

#define SILENT 1 /* a fault: answers 0 and does nothing */

extern struct kernel {
        char *root;
        struct vfioctl_ctx *ctx;
        unsigned int writes, loads;
        int faults[64]; /* by write, counted from 1; index 0: all writes from `from` on */
        unsigned int from;
        int load_result;
        bool has_vfio;
        unsigned int meddle_at; /* with this write somebody else sets the GPU's override */
} kernel;

void boot(bool on_vfio);
void halt(void);

void put_override(const char *address, const char *value);
void set_driver(const char *address, const char *driver);

/* Drivers and overrides of both functions; the caller's to free. */
char *state_text(void);

#endif
