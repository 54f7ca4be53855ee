# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts a lab host under QEMU and follows it to its end."""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import subprocess
import time

QEMU = "qemu-system-x86_64"
KERNEL_ARGS = ("intel_iommu=on iommu=pt console=ttyS0 loglevel=5 panic=-1 norandmaps "
               "module_blacklist=amdgpu,radeon,nouveau,nvidiafb")
BOOT_LIMIT = 180
PR_SET_PDEATHSIG = 1


class VmError(Exception):
    pass


class TimedOut(Exception):
    pass


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def base_args(kernel, host, topology_args, folder, stage):
    args = [QEMU, "-name", f"lab-{host['name']}", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-monitor", "none", "-M", "q35,kernel-irqchip=split,sata=off,smbus=off", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
            "-device", "intel-iommu,intremap=on,caching-mode=on",
            "-kernel", str(kernel.image), "-initrd", str(folder / "initrd"),
            "-append", " ".join([KERNEL_ARGS] + host.get("kernel_args", [])),
            "-chardev", f"file,id=console,path={folder}/console", "-serial", "chardev:console"]
    for tag, path, addr in (("rootfs", "/", "1c"), ("stage", stage, "1d")):
        path = str(path).replace(",", ",,")
        args += ["-fsdev", f"local,id={tag},path={path},security_model=none,readonly=on,multidevs=remap",
                 "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag},bus=pcie.0,addr={addr}"]
    args += ["-device", "virtio-serial-pci,id=ports,bus=pcie.0,addr=1e"]
    if (folder / "smbios").exists():
        args += ["-smbios", f"file={folder}/smbios"]
    return args + topology_args


class Vm:
    """A running lab host. Its channels are socket pairs: nothing is left on disk."""

    def __init__(self, args, folder, tty):
        self.console = folder / "console"
        names = ["status"] if tty else ["status", "stdout", "stderr"]
        self.channels, theirs = {}, []
        for n, name in enumerate(names):
            ours, its = socket.socketpair()
            self.channels[name] = ours
            theirs.append(its)
            args += ["-chardev", f"socket,id={name},fd={its.fileno()}",
                     "-device", f"virtserialport,bus=ports.0,nr={n + 1},chardev={name},name=lab.{name}"]
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

    def follow(self, sinks, limit, on_boot):
        """Passes output on until the job ends; its exit code."""
        selector = selectors.DefaultSelector()
        for name, sock in self.channels.items():
            selector.register(sock, selectors.EVENT_READ, name)
        selector.register(self.process.stderr, selectors.EVENT_READ, "qemu")
        booted, code, status, complaint = False, None, b"", b""
        deadline = time.monotonic() + BOOT_LIMIT
        while selector.get_map():
            left = deadline - time.monotonic() if deadline else None
            events = selector.select(left)
            if not events:
                if booted:
                    raise TimedOut
                raise VmError(f"the lab host did not boot within {BOOT_LIMIT} s")
            for key, _ in events:
                try:
                    data = os.read(key.fd, 65536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == "qemu":
                    complaint += data
                elif key.data == "status":
                    status += data
                else:
                    sinks[key.data](data)
            if not booted and b"booted\n" in status:
                booted = True
                deadline = time.monotonic() + limit if limit else None
                on_boot()
            if code is None and status.endswith(b"\n") and b"exit " in status:
                code = int(status.split(b"exit ")[1])
                deadline = None
                self.process.kill()  # it keeps nothing, and all it had to say is in the sockets
        self.process.wait()
        if code is None:
            said = complaint.decode(errors="replace").strip()
            raise VmError(f"the lab host ended before the script did{': ' + said if said else ''}"
                          if booted else f"the lab host did not boot{': ' + said if said else ''}")
        return code

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for sock in self.channels.values():
            sock.close()
        self.process.stderr.close()

    def console_tail(self, lines=25):
        try:
            text = self.console.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join("  " + line.rstrip() for line in text.splitlines()[-lines:])
