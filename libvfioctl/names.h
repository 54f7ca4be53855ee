/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_NAMES_H
#define VFIOCTL_NAMES_H

#include "model.h"

/* Fills in names from the PCI ID database: udev's copy, or pci.ids by libpci. Without either nothing is
 * named. */
int names_find(struct vfioctl_snapshot *snapshot);

/* The part of a name that a person uses: "Radeon Pro V340" of "Vega 10 [Radeon Pro V340]". */
int name_shorten(const char *name, char **ret);

#endif
