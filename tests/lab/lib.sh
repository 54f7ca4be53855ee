# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Helpers for lab scripts, to be sourced first: . "$LAB/lib.sh"
# Every process costs some 40 ms in the lab, so these fork as little as they can.

# --- results, TAP-like: at the end of the script call lab_done ---------------

lab_count=${LAB_COUNT:-0} # with those before the last reboot
lab_failed=${LAB_FAILED:-0}
lab_finished=

# ok DESCRIPTION / fail DESCRIPTION [DETAIL]: one result; the script goes on
ok() {
	lab_count=$((lab_count + 1))
	echo "ok $lab_count - $1"
}

fail() {
	lab_count=$((lab_count + 1))
	lab_failed=$((lab_failed + 1))
	echo "not ok $lab_count - $1"
	[ -z "${2-}" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

# is DESCRIPTION GOT EXPECTED
is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		fail "$1" "got:      $2
expected: $3"
	fi
}

# runs DESCRIPTION COMMAND...: passes if the command does; its output shows if not
runs() {
	lab_description=$1
	shift
	if lab_output=$("$@" 2>&1); then
		ok "$lab_description"
	else
		fail "$lab_description" "exit $?: $*
$lab_output"
	fi
}

# lab_run COMMAND...: runs it; $lab_code is its exit code, $lab_output what it said, $lab_took how many
# milliseconds it took
lab_run() {
	lab_code=0
	lab_uptime lab_began
	lab_output=$("$@" 2>&1) || lab_code=$?
	lab_uptime lab_now
	lab_took=$(((lab_now - lab_began) * 10))
}

# exits DESCRIPTION CODE COMMAND...: passes if the command exits with CODE; sets the same variables
exits() {
	lab_description=$1 lab_expected=$2
	shift 2
	lab_run "$@"
	if [ "$lab_code" -eq "$lab_expected" ]; then
		ok "$lab_description"
	else
		fail "$lab_description" "exit $lab_code, not $lab_expected: $*
$lab_output"
	fi
}

# says DESCRIPTION TEXT...: passes if $lab_output has every TEXT in it
says() {
	lab_description=$1
	shift
	for lab_text; do
		case $lab_output in
		*"$lab_text"*) ;;
		*)
			fail "$lab_description" "no \"$lab_text\" in:
$lab_output"
			return
			;;
		esac
	done
	ok "$lab_description"
}

# differ DESCRIPTION A B: passes if they do
differ() {
	if [ "$2" != "$3" ]; then
		ok "$1"
	else
		fail "$1" "both are: $2"
	fi
}

# bail REASON: nothing that follows could be meant
bail() {
	echo "Bail out! $*"
	lab_finished=1
	exit 1
}

lab_done() {
	lab_finished=1
	echo "1..$lab_count"
	[ "$lab_failed" -eq 0 ] || echo "# $lab_failed of $lab_count failed"
	[ "$lab_failed" -eq 0 ] && [ "$lab_count" -gt 0 ]
	exit $?
}

# A script that ends before lab_done has not passed, whatever its last command said.
trap 'lab_code=$?; [ -n "$lab_finished" ] || { echo "Bail out! ended before lab_done (exit $lab_code)"; exit 1; }' EXIT

# --- reboots, and what is outside --------------------------------------------

# lab_reboot [--host NAME] [--hard] [--append ARGUMENT]...: ends this stage of the script; it runs again from its
# beginning, with $LAB_STAGE one higher. --host: as another host of tests/lab/hosts. --hard: the power is cut, now.
# --append: one more argument for that boot's kernel. Not from a subshell.
lab_reboot() {
	lab_next=$LAB_HOST lab_how=soft lab_append=
	while [ $# -gt 0 ]; do
		case $1 in
		--hard) lab_how=hard ;;
		--host)
			lab_next=$2
			shift
			;;
		--append)
			lab_append="$lab_append $2"
			shift
			;;
		*) bail "lab_reboot: unknown option $1" ;;
		esac
		shift
	done
	# shellcheck disable=SC2086
	lab_outside reboot "$lab_count" "$lab_failed" "$lab_next" $lab_how $lab_append || bail "no reboot"
	echo "# --- reboot ($lab_how) to $lab_next$lab_append"
	: >/run/lab/reboot
	lab_finished=1
	exit 0
}

# lab_is_there ADDRESS / lab_is_gone ADDRESS: after lab_outside plug or unplug
lab_is_there() {
	[ -e "$lab_pci/devices/$1/config" ]
}

lab_is_gone() {
	! lab_is_there "$1"
}

# lab_initramfs_driver ADDRESS: its driver when the initramfs gave over to the root file system
lab_initramfs_driver() {
	sed -n "s/^$1 //p" /run/lab/initramfs-links
}

# --- waiting ----------------------------------------------------------------

# lab_uptime VARIABLE: hundredths of a second since boot
lab_uptime() {
	read -r lab_seconds _ </proc/uptime
	lab_hundredths=${lab_seconds#*.}
	eval "$1=$((${lab_seconds%.*} * 100 + ${lab_hundredths#0}))"
}

# lab_wait_until SECONDS COMMAND...: runs COMMAND every 50 ms until it succeeds; fails when the time is up
lab_wait_until() {
	lab_uptime lab_now
	lab_until=$((lab_now + $1 * 100))
	shift
	until "$@" >/dev/null 2>&1; do
		lab_uptime lab_now
		[ "$lab_now" -lt "$lab_until" ] || return 1
		/bin/busybox usleep 50000
	done
}

# --- PCI --------------------------------------------------------------------

lab_pci=/sys/bus/pci

# lab_address ID: the address of a device of the host's description, such as die2a
lab_address() {
	while read -r lab_id lab_where; do
		[ "$lab_id" = "$1" ] || continue
		echo "$lab_where"
		return 0
	done </run/lab/addresses
	return 1
}

# lab_driver_links: every PCI function and its driver ("-": none), to compare before and after
lab_driver_links() (
	for d in $lab_pci/devices/*; do
		if cd -P "$d/driver" 2>/dev/null; then
			echo "${d##*/} ${PWD##*/}"
		else
			echo "${d##*/} -"
		fi
	done
)

# lab_driver ADDRESS / lab_group ADDRESS: the last part of that link ("-": none)
lab_driver() (
	cd -P "$lab_pci/devices/$1/driver" 2>/dev/null && echo "${PWD##*/}" || echo -
)

lab_group() (
	cd -P "$lab_pci/devices/$1/iommu_group" 2>/dev/null && echo "${PWD##*/}" || echo -
)

# lab_state: every PCI function with its driver and its driver_override, all that a change of mode may write
lab_state() (
	for d in $lab_pci/devices/*; do
		override=
		read -r override <"$d/driver_override"
		if cd -P "$d/driver" 2>/dev/null; then
			echo "${d##*/} ${PWD##*/} $override"
		else
			echo "${d##*/} - $override"
		fi
	done
)

# lab_sysfs ADDRESS ATTRIBUTE
lab_sysfs() {
	read -r lab_value <"$lab_pci/devices/$1/$2" && echo "$lab_value"
}

# lab_to_vfio ADDRESS / lab_to_host ADDRESS: by the bare kernel writes, to have something to compare with
lab_to_vfio() {
	[ -e $lab_pci/drivers/vfio-pci ] || modprobe vfio-pci
	echo vfio-pci >"$lab_pci/devices/$1/driver_override"
	[ ! -e "$lab_pci/devices/$1/driver" ] || echo "$1" >"$lab_pci/devices/$1/driver/unbind"
	echo "$1" >$lab_pci/drivers_probe
}

lab_to_host() {
	echo >"$lab_pci/devices/$1/driver_override"
	[ ! -e "$lab_pci/devices/$1/driver" ] || echo "$1" >"$lab_pci/devices/$1/driver/unbind"
	echo "$1" >$lab_pci/drivers_probe
}

# lab_drm_node ADDRESS card|renderD: its device node
lab_drm_node() {
	for lab_node in "$lab_pci/devices/$1/drm/$2"[0-9]*; do
		case ${lab_node##*/} in
		*-*) continue ;;
		esac
		[ -e "/dev/dri/${lab_node##*/}" ] || continue
		echo "/dev/dri/${lab_node##*/}"
		return 0
	done
	return 1
}

# lab_hold MODE ARGS...: starts a holder (see tools/hold.c), returns when it holds; its pid is in $lab_holder
lab_hold() {
	lab_fifo=/run/lab/hold.$$.$lab_count
	mkfifo "$lab_fifo"
	/run/lab/hold "$@" >"$lab_fifo" &
	lab_holder=$!
	lab_said=
	read -r lab_said <"$lab_fifo"
	rm "$lab_fifo"
	[ "$lab_said" = holding ]
}

# lab_hold_as UNIT MODE ARGS...: the same, in the control group of system.slice/UNIT
lab_hold_as() {
	lab_unit=/sys/fs/cgroup/system.slice/$1
	shift
	lab_hold "$@" || return 1
	mkdir -p "$lab_unit"
	echo "$lab_holder" >"$lab_unit/cgroup.procs"
}

# lab_let_go: ends the last holder
lab_let_go() {
	kill "$lab_holder"
	wait "$lab_holder" 2>/dev/null || :
}

# --- virtual machines -------------------------------------------------------

# lab_define_vm NAME [--numa NODE] [--memory MiB] [--vnc-password TEXT] [--hostdev ADDRESS]...
lab_define_vm() {
	lab_vm=$1 lab_memory=64 lab_tune='' lab_vnc='' lab_hostdevs=''
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--numa) lab_tune="<numatune><memory mode='strict' nodeset='$2'/></numatune>" ;;
		--memory) lab_memory=$2 ;;
		--vnc-password) lab_vnc="<graphics type='vnc' port='-1' autoport='yes' passwd='$2'/><video><model type='vga' vram='16384'/></video>" ;;
		--hostdev)
			lab_rest=${2#*:}
			lab_hostdevs="$lab_hostdevs<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x${2%%:*}' bus='0x${lab_rest%%:*}' slot='0x$(expr "$2" : '.*:\(..\)\..')' function='0x${2##*.}'/></source></hostdev>"
			;;
		*) bail "lab_define_vm: unknown option $1" ;;
		esac
		shift 2
	done
	cat >"/run/lab/define.$$.xml" <<-XML
		<domain type='qemu'>
		  <name>$lab_vm</name>
		  <memory unit='MiB'>$lab_memory</memory>
		  <vcpu>1</vcpu>
		  $lab_tune
		  <os><type arch='x86_64' machine='q35'>hvm</type></os>
		  <features><acpi/></features>
		  <devices>
		    <emulator>/usr/bin/qemu-system-x86_64</emulator>
		    <controller type='usb' model='none'/>
		    $lab_vnc
		    $lab_hostdevs
		    <memballoon model='none'/>
		  </devices>
		</domain>
	XML
	virsh -q define "/run/lab/define.$$.xml"
}

# lab_guest_pci VM: the PCI devices as the VM has them, once its firmware has found what is passed through
lab_guest_pci() {
	lab_hostdevs=$(virsh dumpxml "$1" | grep -c '<hostdev ')
	lab_wait_until 120 lab_guest_has "$1" "$lab_hostdevs"
	virsh qemu-monitor-command "$1" --hmp 'info pci'
}

# lab_guest_has VM COUNT: so many devices show behind the ports of the VM: not before they have bus numbers
lab_guest_has() {
	[ "$(virsh qemu-monitor-command "$1" --hmp 'info pci' | grep -c '^  Bus  *[1-9]')" -ge "$2" ]
}

# lab_definition VM: its definition, secrets too
lab_definition() {
	virsh dumpxml --inactive --security-info "$1"
}

# lab_settle_vm VM: defines it once more as it is: the first time libvirt itself moves things about
lab_settle_vm() {
	lab_definition "$1" >"/run/lab/settle.$$.xml" && virsh -q define "/run/lab/settle.$$.xml"
}

# lab_each COMMAND VM...: virsh COMMAND for all of them at once; fails if one does
lab_each() {
	lab_command=$1 lab_pids='' lab_code=0
	shift
	for lab_vm; do
		virsh -q "$lab_command" "$lab_vm" &
		lab_pids="$lab_pids $!"
	done
	for lab_pid in $lab_pids; do
		wait "$lab_pid" || lab_code=1
	done
	return $lab_code
}

# lab_vfio_groups VM: the groups that its QEMU has open
lab_vfio_groups() {
	read -r lab_pid <"/run/libvirt/qemu/$1.pid"
	readlink "/proc/$lab_pid/fd/"* | sed -n 's,^/dev/vfio/\([0-9][0-9]*\)$,\1,p'
}

# --- unattended --------------------------------------------------------------

# lab_unattended LINE...: a configuration of these lines, and the hook where libvirtd calls it from now on
lab_unattended() {
	mkdir -p /etc/vfioctl /etc/libvirt/hooks/qemu.d /etc/libvirt/hooks/daemon.d
	printf '%s\n' "$@" >/etc/vfioctl/vfioctl.conf
	for lab_hook in qemu.d daemon.d; do
		ln -sf /usr/bin/vfioctl "/etc/libvirt/hooks/$lab_hook/50-vfioctl"
	done
	read -r lab_pid </run/libvirtd.pid
	rm -f /run/vfioctl/hook
	kill -HUP "$lab_pid"
	lab_wait_until 20 grep -q "^$lab_pid " /run/vfioctl/hook
}

# lab_restart_libvirtd [SIGNAL]: ends it (TERM) and starts it again, as its service would
lab_restart_libvirtd() {
	read -r lab_pid </run/libvirtd.pid
	kill "-${1:-TERM}" "$lab_pid"
	lab_wait_until 60 lab_is_dead "$lab_pid"
	libvirtd -d || return 1
	lab_wait_until 60 virsh -q list
}

# lab_is_dead PID
lab_is_dead() {
	[ ! -e "/proc/$1/exe" ] || ! kill -0 "$1" 2>/dev/null || grep -q '^State:.[ZX]' "/proc/$1/status"
}

# lab_claims: one line a claim: address and name of the VM
lab_claims() (
	cd /run/vfioctl/claims 2>/dev/null || exit 0
	for f in *; do
		[ -e "$f" ] && echo "$f $(sed -n 2p "$f")"
	done
)

# lab_active: the VMs that run, in order
lab_active() {
	virsh -q list --name | sort | tr '\n' ' '
}
