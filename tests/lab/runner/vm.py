# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts a lab host under QEMU and follows it to its end."""

import contextlib
import ctypes
import os
import re
import selectors
import signal
import socket
import subprocess
import time

QEMU = "qemu-system-x86_64"
# A kernel that hangs for two minutes, as one under emulation can, panics, and that ends QEMU: no script waits for it in vain.
# What guards a kernel against its users is dear under emulation, and guards nothing here.
KERNEL_ARGS = ("intel_iommu=on iommu=pt console=ttyS0 loglevel=5 panic=-1 norandmaps no_timer_check mitigations=off init_on_alloc=0 "
               "watchdog_thresh=60 softlockup_panic=1 rcupdate.rcu_cpu_stall_timeout=120 sysctl.kernel.panic_on_rcu_stall=1 "
               "module_blacklist=amdgpu,radeon,nouveau,nvidiafb")
KERNEL_FAILED = re.compile(r"Kernel panic|soft lockup|detected stall|\bOops\b|\bBUG: ")
# Units that nothing needs here, and that take time
MASKED = ("serial-getty@ttyS0.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount", "systemd-random-seed.service",
          "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-sysusers.service", "dev-hugepages.mount",
          "dev-mqueue.mount", "sys-kernel-tracing.mount", "modprobe@configfs.service", "modprobe@dm_mod.service",
          "modprobe@fuse.service", "modprobe@loop.service", "modprobe@drm.service", "systemd-pstore.service")
# By the keys init and initramfs of a host's description
VARIANT_ARGS = {
    None: ["rdinit=/lab/init"],
    # udev loads drivers in any order, and the console must not come to be on the first one's GPU.
    "debian": ["rdinit=/lab/init", "boot=lab", "drm_kms_helper.fbdev_emulation=0"],
    # It brings a systemd of its own, which starts what comes next.
    "dracut": ["rdinit=/lab/init", "rd.shell=0", "rd.emergency=poweroff", "drm_kms_helper.fbdev_emulation=0"],
    "labinit": [],
    "systemd": ["systemd.unit=multi-user.target", "systemd.hostname=lab", *("systemd.mask=" + unit for unit in MASKED)],
}
SHUTDOWN_LIMIT = 180
DISK_SIZE = 4 << 30
PR_SET_PDEATHSIG = 1


def boot_limit(host):
    """In seconds; systemd is slow here, and dracut brings it too."""
    return 900 if "systemd" in host.get("init", "") or host.get("initramfs") == "dracut" else 180


class VmError(Exception):
    pass


class TimedOut(Exception):
    pass


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def cpu_model(host):
    """Emulation tells of threads only as Intel's processors do."""
    model = "max,la57=off,smap=off,smep=off,pku=off,umip=off"
    return model + ",vendor=GenuineIntel,family=6,model=63" if host.get("threads", 1) > 1 else model


# One thread for all its processors: QEMU 7.2 with one each crashed now and then (SIGSEGV, a reset in mid-boot), and hung, where
# functions come and go; with two labs side by side on two cores it is no slower.
def base_args(kernel, host, topology_args, folder, append):
    args = [QEMU, "-name", f"lab-{host['name']}", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-monitor", "none", "-M", "q35,kernel-irqchip=split,sata=off,smbus=off", "-accel", "tcg,thread=single", "-cpu", cpu_model(host),
            "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
            "-device", "intel-iommu,intremap=on,caching-mode=on",
            "-kernel", str(kernel.image), "-initrd", str(folder / "initrd"),
            "-append", " ".join([KERNEL_ARGS, *VARIANT_ARGS[host.get("initramfs")], *VARIANT_ARGS[host.get("init", "labinit")],
                                 *(["init=/run/lab/labinit"] if host.get("initramfs") == "dracut" and "init" not in host else []),
                                 *host.get("kernel_args", []), *append]),
            "-chardev", f"file,id=console,path={folder}/console,append=on", "-serial", "chardev:console"]
    for tag, addr in (("rootfs", "1c"), ("stage", "1d"), ("state", "1a")):
        path = "/" if tag == "rootfs" else str(folder / tag).replace(",", ",,")
        args += ["-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap" + ("" if tag == "state" else ",readonly=on"),
                 "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag},bus=pcie.0,addr={addr}"]
    # What the lab host has flushed, and more, outlives QEMU: only the build host's power matters, and that is not cut.
    args += ["-drive", f"if=none,id=disk,format=raw,cache=unsafe,file={str(folder / 'disk').replace(',', ',,')}",
             "-device", "virtio-blk-pci,drive=disk,bus=pcie.0,addr=1b"]
    args += ["-device", "virtio-serial-pci,id=ports,bus=pcie.0,addr=1e"]
    if (folder / "smbios").exists():
        args += ["-smbios", f"file={folder}/smbios"]
    return args + topology_args


def new_disk(path):
    """The file system that keeps what a lab host writes, over its reboots."""
    with open(path, "wb") as disk:
        disk.truncate(DISK_SIZE)
    try:
        done = subprocess.run(["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-I", "256", str(path)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    except FileNotFoundError:
        raise VmError("mke2fs is not installed: run tests/setup")
    if done.returncode:
        raise VmError(f"cannot make the lab host's disk: {done.stdout.strip()}")


class Vm:
    """A running lab host. Its channels are socket pairs: nothing is left on disk."""

    def __init__(self, args, folder, tty, outside):
        self.console = folder / "console"
        self.outside = outside
        names = ["status", "request"] if tty else ["status", "request", "stdout", "stderr"]
        self.channels, theirs = {}, []
        for n, name in enumerate(names + ["qmp"]):
            ours, its = socket.socketpair()
            self.channels[name] = ours
            theirs.append(its)
            args += ["-chardev", f"socket,id={name},fd={its.fileno()}"]
            args += (["-mon", "chardev=qmp,mode=control"] if name == "qmp" else
                     ["-device", f"virtserialport,bus=ports.0,nr={n + 1},chardev={name},name=lab.{name}"])
        if tty:
            args += ["-chardev", "stdio,id=tty,signal=off", "-device", "virtconsole,bus=ports.0,nr=8,chardev=tty"]
        try:
            self.process = subprocess.Popen(args, stdin=None if tty else subprocess.DEVNULL,
                                            stdout=None if tty else subprocess.DEVNULL, stderr=subprocess.PIPE,
                                            pass_fds=[s.fileno() for s in theirs], preexec_fn=_die_with_parent)
        except FileNotFoundError:
            raise VmError(f"{QEMU} is not installed: run tests/setup")
        for its in theirs:
            its.close()
        outside.connect(self.channels["qmp"], self.channels["request"])
        # What follow() has learned
        self.booted, self.code, self.rebooting = False, None, False
        self.status = self.complaint = b""
        self.deadline = None

    def follow(self, sinks, limit, boot_limit, on_boot):
        """Passes output on until the job ends: its exit code and what is left of the limit; the code is None if it
        had the host rebooted."""
        selector = selectors.DefaultSelector()
        for name, sock in self.channels.items():
            selector.register(sock, selectors.EVENT_READ, name)
        selector.register(self.process.stderr, selectors.EVENT_READ, "qemu")
        self.deadline = time.monotonic() + boot_limit
        left = limit
        while selector.get_map():
            for key, _ in self.wait(selector, boot_limit):
                try:
                    data = os.read(key.fd, 65536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == "qemu":
                    self.complaint += data
                elif key.data == "status":
                    self.status += data
                elif key.data in ("qmp", "request"):
                    self.outside.received(key.data, data)
                else:
                    sinks[key.data](data)
            if not self.booted and b"booted\n" in self.status:
                self.booted = True
                self.deadline = time.monotonic() + limit if limit else None
                on_boot()
            if self.code is None and not self.rebooting and self.status.endswith(b"\n"):
                left = self.deadline and max(1, self.deadline - time.monotonic())
                self.over(self.status)
        self.process.wait()
        if self.code is None and not self.rebooting:
            raise VmError(("the lab host ended before the script did" if self.booted else "the lab host did not boot") +
                          f" ({self.why_it_ended()})")
        return self.code, left

    def wait(self, selector, boot_limit):
        """What can be read; in time for the request's deadline and for our own."""
        while True:
            ends = [d for d in (self.deadline, self.outside.deadline) if d]
            events = selector.select(max(0, min(ends) - time.monotonic()) if ends else None)
            if events:
                return events
            if self.outside.deadline and time.monotonic() >= self.outside.deadline:
                self.outside.late()
            elif self.rebooting:
                raise VmError(f"the lab host did not shut down within {SHUTDOWN_LIMIT} s")
            elif self.booted:
                raise TimedOut
            else:
                raise VmError(f"the lab host did not boot within {boot_limit} s")

    def over(self, status):
        """The job has ended, if it has: with its exit code, or for a reboot."""
        if b"exit " in status:
            self.code = int(status.split(b"exit ")[1])
            self.deadline = None
            self.process.kill()  # it keeps nothing, and all it had to say is in the sockets
        elif b"reboot\n" in status:
            self.rebooting = True
            self.deadline = time.monotonic() + SHUTDOWN_LIMIT
            if self.outside.reboot.hard:
                self.process.kill()

    def why_it_ended(self):
        code = self.process.returncode
        words = [f"QEMU ended by signal {-code}" if code < 0 else f"QEMU's exit code {code}"]
        if self.outside.shutdown:
            words.append(self.outside.shutdown)
        failed = KERNEL_FAILED.search(self.console_text())
        if failed:
            words.append(f"kernel: {failed.group()}")
        words += self.complaint.decode(errors="replace").splitlines()[:1]
        return ", ".join(words)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for sock in self.channels.values():
            sock.close()
        self.process.stderr.close()

    def console_text(self):
        try:
            return self.console.read_text(errors="replace")
        except OSError:
            return ""

    def console_tail(self, lines=25):
        """The last lines; with what came first of a kernel's failure before them."""
        said = self.console_text().splitlines()
        first = next((n for n, line in enumerate(said) if KERNEL_FAILED.search(line)), len(said))
        shown = said[-lines:] if first >= len(said) - lines else said[first:first + lines] + ["..."] + said[-lines:]
        return "\n".join("  " + line.rstrip() for line in shown)
