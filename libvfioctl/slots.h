/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_SLOTS_H
#define VFIOCTL_SLOTS_H

#include "host.h"

/* A slot of the board: where a person finds the card. */
struct slot {
        struct vfioctl_address address; /* the device in it, or the port above it; function 0 */
        bool any_function;              /* the address came without a function */
        unsigned int number;            /* 0: none known */
        char *label;                    /* as printed on the board, or NULL */
};

struct slots {
        struct slot *items;
        size_t count, allocated;
        bool unreadable; /* the board's table exists but not for us: numbers would differ from root's */
};

/*
 * SMBIOS type 9 (DSP0134 7.10) where we may read it, else what a run as root noted in PATH_RUN_SLOTS; then
 * /sys/bus/pci/slots, which hot-plug controllers and ACPI fill.
 */
int slots_read(const struct vfioctl_ctx *ctx, struct slots *ret);
void slots_clear(struct slots *slots);
/* Notes the SMBIOS slots for runs that may not read them. */
int slots_save(const struct vfioctl_ctx *ctx);

/* The slot at this address, or NULL. */
const struct slot *slots_at(const struct slots *slots, const struct vfioctl_address *address);

/* The number in a slot's label ("CPU1 SLOT2 PCI-E 3.0 X8" is 2), or 0. */
unsigned int slot_label_number(const char *label);

#endif
