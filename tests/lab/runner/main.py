# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests/lab/run and tests/lab/shell do."""

import argparse
import os
import pathlib
import shlex
import shutil
import signal
import sys
import tempfile
import time

from . import build, distro, image, outside, topology, vm

LAB, REPO = build.LAB, build.REPO
TIMED_OUT, NO_LAB = 124, 125
OWN = ("dev", "proc", "run", "sys")


def say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


def arguments(tty):
    p = argparse.ArgumentParser(prog="tests/lab/" + ("shell" if tty else "run"), allow_abbrev=False,
                                description="Boots a lab host and " + ("gives a root shell in it." if tty else
                                            "runs SCRIPT in it as root; exits with its exit code, "
                                            "124 when the time is up, 125 when the lab itself fails."))
    p.add_argument("--host", default="v340", metavar="NAME", help="one of tests/lab/hosts (default: v340)")
    p.add_argument("--no-build", action="store_true", help="without vfioctl: only what the build host has installed")
    p.add_argument("--console", metavar="FILE", help="keep the kernel's console log in FILE")
    p.add_argument("-v", "--verbose", action="store_true", help="say how long building and booting took")
    if not tty:
        p.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="for SCRIPT (default: 600; 0: none)")
        p.add_argument("script", metavar="SCRIPT")
        p.add_argument("args", nargs=argparse.REMAINDER, metavar="ARGS")
    return p.parse_args()


def job(opts, tty, boot):
    """The shell script that labinit runs once everything is up."""
    env = {"HOME": "/root", "USER": "root", "LOGNAME": "root", "LC_ALL": "C.UTF-8",
           "PATH": "/run/lab:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
           "LAB": str(LAB), "LAB_HOST": boot.host, "LAB_REPO": str(REPO), "LAB_STATE": "/run/lab/state",
           "LAB_STAGE": str(boot.stage), "LAB_COUNT": str(boot.count), "LAB_FAILED": str(boot.failed),
           "LAB_LONG": os.environ.get("LAB_LONG", "")}
    env.update({k: v for k, v in os.environ.items() if k.startswith(("VFIOCTL_", "LABVAR_"))})
    lines = ["#!/bin/sh"] + [f"export {k}={shlex.quote(v)}" for k, v in env.items()]
    if tty:
        size = shutil.get_terminal_size()
        lines += [f"stty rows {size.lines} cols {size.columns}", f"export TERM={shlex.quote(os.environ.get('TERM', 'vt100'))}",
                  f"cd {shlex.quote(str(REPO))}", "echo 'A root shell in the lab: leave it with exit or Ctrl-D.'", "exec bash -i"]
    else:
        script = str(pathlib.Path(opts.script).resolve()) if "/" in opts.script or os.path.exists(opts.script) else opts.script
        lines += [f"cd {shlex.quote(os.getcwd())} || exit 126", "exec " + shlex.join([script] + opts.args)]
    return "\n".join(lines) + "\n"


class Boot:
    """One boot of a run: the first, or one that the script asked for."""

    def __init__(self, host, stage=1, count=0, failed=0, append=()):
        self.host, self.stage, self.count, self.failed, self.append = host, stage, count, failed, list(append)


def check_paths(opts, tty):
    if not tty and ("/" in opts.script or os.path.exists(opts.script)):
        script = pathlib.Path(opts.script)
        if not script.is_file() or not os.access(script, os.X_OK):
            raise vm.VmError(f"{opts.script} is not an executable file")
    for path in [REPO] + ([] if tty else [pathlib.Path.cwd(), pathlib.Path(opts.script).resolve()]):
        if path.parts[1:2] and path.parts[1] in OWN:
            raise vm.VmError(f"{path}: the lab has a /{path.parts[1]} of its own, and does not see this one")


class Run:
    """What all boots of a run have in common: what was built, the disk, what the script notes."""

    def __init__(self, opts, folder, tty):
        self.opts, self.folder, self.tty = opts, folder, tty
        topology.load(opts.host)
        check_paths(opts, tty)
        self.kernel = image.Kernel()
        self.stage = folder / "stage"
        self.stage.mkdir()
        (folder / "state").mkdir()
        folders = REPO / "build-lab"
        with build.locked(folders / "lab"):
            self.built = build.helpers(self.kernel, folders / "lab")
            if not opts.no_build:
                build.project(folders, self.stage)
        shutil.copytree(LAB / "guest/stage", self.stage, dirs_exist_ok=True, symlinks=True)
        vm.new_disk(folder / "disk")
        self.made = {}  # by tool: the initramfs that the lab host has in its /boot, so to speak

    def make_initramfs(self, host, copy):
        tool = host.get("initramfs")
        if not tool:
            return  # this host boots without
        drivers = self.stage / "usr/share/lab/drivers"
        drivers.parent.mkdir(exist_ok=True)
        drivers.write_text("".join(f"{m}\n" for e in host.get("host_drivers", []) for m in e["modules"]))
        conf = self.stage / "usr/lib/modprobe.d/lab.conf"
        conf.parent.mkdir(exist_ok=True)
        conf.write_text(topology.module_conf(host))
        if tool == "dracut":  # a host with one tool has not the other
            (self.stage / "usr/share/initramfs-tools/hooks/vfioctl").unlink(missing_ok=True)
        self.made[tool] = distro.make(tool, self.kernel.release, self.stage, copy, self.folder)

    def start(self, boot):
        """A running lab host."""
        host = topology.load(boot.host)
        tool = host.get("initramfs")
        if tool and tool not in self.made:
            self.make_initramfs(host, None)
        files = {"job": (job(self.opts, self.tty, boot), 0o755)}
        if self.tty:
            files["tty"] = ("", 0o644)
        made = self.made[tool] if tool else None
        (self.folder / "initrd").write_bytes(image.initramfs(self.kernel, host, topology, self.built, files, made))
        (self.folder / "smbios").unlink(missing_ok=True)
        slots = topology.smbios_slots(host)
        if slots:
            (self.folder / "smbios").write_bytes(slots)
        args = vm.base_args(self.kernel, host, topology.qemu_args(host), self.folder, boot.append)

        def again():
            try:
                self.make_initramfs(host, self.folder / "state/.initramfs")
            except distro.MakeError as e:
                raise outside.RequestError(e)

        return vm.Vm(args, self.folder, self.tty, outside.Outside(host, again, not self.tty)), vm.boot_limit(host)


def writer(stream):
    def write(data):
        stream.write(data)
        stream.flush()
    return write


def interrupted(number, _frame):
    raise SystemExit(128 + number)


def main(tty=False):
    opts = arguments(tty)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, interrupted)
    started = time.monotonic()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vfioctl-lab."))
    machine, terminal = None, None
    try:
        run = Run(opts, folder, tty)
        if tty and sys.stdin.isatty():
            import termios
            terminal = termios.tcgetattr(sys.stdin)
        sinks = {"stdout": writer(sys.stdout.buffer), "stderr": writer(sys.stderr.buffer)}
        boot, left = Boot(opts.host), None if tty else opts.timeout
        while True:
            machine, boot_limit = run.start(boot)
            built = time.monotonic()

            def on_boot():
                if opts.verbose:
                    say(f"built in {built - started:.1f} s, booted in {time.monotonic() - built:.1f} s")

            code, left = machine.follow(sinks, left, boot_limit, on_boot)
            if code is not None:
                return code
            asked = machine.outside.reboot
            boot = Boot(asked.host, boot.stage + 1, asked.count, asked.failed, asked.append)
            machine.end()
            started = time.monotonic()
    except vm.TimedOut:
        say(f"{opts.script}: not done after {opts.timeout:g} s, ended; last of the console log:\n{machine.console_tail()}")
        return TIMED_OUT
    except (vm.VmError, image.ImageError, build.BuildError, topology.HostError, distro.MakeError) as e:
        tail = machine.console_tail() if machine else ""
        say(f"{e}" + (f"; last of the console log:\n{tail}" if tail else ""))
        return NO_LAB
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    finally:
        if machine:
            machine.end()
        if terminal:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, terminal)
        if opts.console and (folder / "console").exists():
            shutil.copyfile(folder / "console", opts.console)
        shutil.rmtree(folder, ignore_errors=True)
