#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# How an initramfs of dracut mounts a lab host's root file system. It is sourced.
(
	. /lab/functions
	udevadm settle --timeout=60
	for module in virtio_pci virtio_blk virtio_console 9pnet_virtio 9p overlay ext4; do
		modprobe $module || fail "cannot load $module"
	done
	udevadm settle --timeout=60
	mount_root "$NEWROOT"
	fill_run /run
	read -r init </lab/init-path
	if [ "$init" = /run/lab/labinit ]; then
		mount_apis ""
		# It is looked for before /run is moved there.
		mkdir -p "$NEWROOT/run/lab"
		cp "$init" "$NEWROOT$init"
	fi
)
