/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CAPABILITY_H
#define VFIOCTL_CAPABILITY_H

#include "host.h"
#include "model.h"

/*
 * `dir` is the device's folder. Reads from config space what sysfs has no attribute for: PCIe type, ACS,
 * serial number, header type. Without root only the first 64 bytes can be read (sysfs-bus-pci): then
 * acs_known stays false.
 */
/* The 64 bytes that anybody may read. */
void capability_read_header(int dir, struct vfioctl_function *function);
void capability_read(int dir, struct vfioctl_function *function);

#endif
