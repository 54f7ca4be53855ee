/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_PATHS_H
#define VFIOCTL_PATHS_H

/* The only file that names places of the host. All are resolved below the context's root. */

#define PATH_SYS             "/sys"
#define PATH_PCI_BUS         PATH_SYS "/bus/pci"
#define PATH_PCI_DEVICES     PATH_PCI_BUS "/devices"
#define PATH_PCI_DRIVERS     PATH_PCI_BUS "/drivers"
#define PATH_PCI_PROBE       PATH_PCI_BUS "/drivers_probe"
#define PATH_PCI_SLOTS       PATH_PCI_BUS "/slots"
#define PATH_SYS_DEVICES     "/sys/devices"
#define PATH_SYS_DEV_BLOCK   "/sys/dev/block"
#define PATH_SYS_DEV_CHAR    "/sys/dev/char"
#define PATH_CLASS_BLOCK     "/sys/class/block"
#define PATH_CLASS_GRAPHICS  "/sys/class/graphics"
#define PATH_CLASS_VTCONSOLE "/sys/class/vtconsole"
#define PATH_CLASS_NET       "/sys/class/net"
#define PATH_CLASS_VFIO      "/sys/class/vfio"
#define PATH_CLASS_IOMMU     "/sys/class/iommu"
#define PATH_SYSTEM          "/sys/devices/system"
#define PATH_IOMMU_GROUPS    "/sys/kernel/iommu_groups"
#define PATH_DMI_TABLE       "/sys/firmware/dmi/tables/DMI"
#define PATH_UEVENT_SEQNUM   "/sys/kernel/uevent_seqnum"
#define PATH_MODULE          "/sys/module"
#define PATH_NODES           "/sys/devices/system/node"
#define PATH_CPUS            "/sys/devices/system/cpu"
#define PATH_BOARD_NAME      "/sys/class/dmi/id/board_name"

#define PATH_PROC        "/proc"
#define PATH_MOUNTINFO   PATH_PROC "/self/mountinfo"
#define PATH_SWAPS       PATH_PROC "/swaps"
#define PATH_ROUTE4      PATH_PROC "/net/route"
#define PATH_ROUTE6      PATH_PROC "/net/ipv6_route"
#define PATH_SELF_FD     PATH_PROC "/self/fd"
#define PATH_SELF_EXE    PATH_PROC "/self/exe"
#define PATH_OSRELEASE   PATH_PROC "/sys/kernel/osrelease"
#define PATH_HOSTNAME    PATH_PROC "/sys/kernel/hostname"
#define PATH_CMDLINE     PATH_PROC "/cmdline"
#define PATH_NVIDIA_GPUS PATH_PROC "/driver/nvidia/gpus"

#define PATH_DEV         "/dev"
#define PATH_DEV_NULL    PATH_DEV "/null"
#define PATH_DEV_KVM     PATH_DEV "/kvm"
#define PATH_DEV_LOG     PATH_DEV "/log"
#define PATH_DEV_VFIO    PATH_DEV "/vfio"
#define PATH_LIB_MODULES "/lib/modules"
#define PATH_BOOT        "/boot"

#define PATH_RUN            "/run/vfioctl"
#define PATH_RUN_LOCK       PATH_RUN "/lock"
#define PATH_RUN_STUCK      PATH_RUN "/stuck"
#define PATH_RUN_HOST       PATH_RUN "/host-driver"
#define PATH_RUN_SLOTS      PATH_RUN "/slots"
#define PATH_RUN_CLAIMS     PATH_RUN "/claims"
#define PATH_RUN_HOOK       PATH_RUN "/hook"
#define PATH_RUN_REFUSED    PATH_RUN "/refused"
#define PATH_RUN_BOOT_EARLY PATH_RUN "/boot-early"
#define PATH_RUN_BOOT_LATE  PATH_RUN "/boot-late"
#define PATH_RUN_RECONCILED PATH_RUN "/reconciled"
#define PATH_RUN_WORK       PATH_RUN "/work"
#define PATH_RUN_HOLD       PATH_RUN "/hold"

#define PATH_LIBVIRT_DEFINITIONS "/etc/libvirt/qemu"
#define PATH_LIBVIRT_RUN         "/run/libvirt/qemu"
#define PATH_LIBVIRT_SAVES       "/var/lib/libvirt/qemu/save"
#define PATH_HOOKS               "/etc/libvirt/hooks"
#define PATH_HOOK_QEMU           PATH_HOOKS "/qemu.d/50-vfioctl"
#define PATH_HOOK_DAEMON         PATH_HOOKS "/daemon.d/50-vfioctl"

#define PATH_ETC_DIR      "/etc"
#define PATH_ETC_HOSTNAME "/etc/hostname"
#define PATH_LIB_DIR      "/usr/lib"
#define CONFIG_NAME       "vfioctl"
#define CONFIG_SUFFIX     "conf"

/* What setup and undo touch, and ask. */
#define PATH_SETUP_CONFIG     PATH_ETC_DIR "/vfioctl/vfioctl.conf.d/10-setup.conf"
#define PATH_SETUP_RECORD     "/var/lib/vfioctl/setup"
#define PATH_TRIED            "/var/lib/vfioctl/tried"     /* how kinds of cards did, one for each kernel */
#define PATH_INITRAMFS_COPIES "/var/lib/vfioctl/initramfs" /* of the boot policy, one for each kernel */
#define PATH_BOOT_WANTED      PATH_ETC_DIR "/systemd/system/sysinit.target.wants/vfioctl-boot.service"
#define PATH_TIMER_WANTED     PATH_ETC_DIR "/systemd/system/timers.target.wants/vfioctl-reconcile.timer"
#define PATH_CRON             PATH_ETC_DIR "/cron.d/vfioctl"
#define PATH_LIBVIRTD_PID     "/run/libvirtd.pid"
#define PATH_VIRTQEMUD_PID    "/run/virtqemud.pid"
#define PATH_SYSTEMD_RUNS     "/run/systemd/system" /* sd_booted(3) */
#define PATH_SYSTEMCTL        "/usr/bin/systemctl"
#define PATH_UPDATE_INITRAMFS "/usr/sbin/update-initramfs"
#define PATH_DRACUT           "/usr/bin/dracut"
#define PATH_FOR_PROGRAMS     "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

#endif
