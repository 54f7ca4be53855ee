#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the lab needs in an initramfs of dracut, besides what it adds at each boot

check() {
	return 0
}

depends() {
	echo base
}

installkernel() {
	instmods virtio_pci virtio_blk virtio_console 9pnet_virtio 9p overlay ext4
	# The host's drivers, as on a real host whose GPU driver is loaded early
	while read -r driver; do
		instmods "$driver"
	done </usr/share/lab/drivers
}

# shellcheck disable=SC2154
install() {
	inst_multiple modprobe
	inst_hook cmdline 95 "$moddir/lab-cmdline.sh"
	inst_hook pre-mount 99 "$moddir/lab-mount.sh"
}
