#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees that no kernel makes: each file that is read, in turn, missing, empty, cut short, binary, enormous and worse."""

import json
import os
import shutil
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, expand, template, tree_changes  # noqa: E402

GPU, AUDIO, PORT, TWIN = "0000:83:00.0", "0000:83:00.1", "0000:82:08.0", "0000:84:00.0"
DEVICES = "sys/bus/pci/devices"
BRIDGE = "sys/devices/pci0000:80"


def attributes():
    """What there is to read about one GPU, and about the machine."""
    for name in ("class", "vendor", "device", "subsystem_vendor", "subsystem_device", "revision", "boot_vga", "numa_node",
                 "driver_override", "modalias", "resource", "config", "reset_method", "power_state", "max_link_width",
                 "current_link_width", "current_link_speed", "driver", "iommu_group", "uevent", "drm", "power"):
        yield f"{DEVICES}/{GPU}/{name}"
    for name in ("class", "vendor", "driver", "driver_override", "iommu_group"):
        yield f"{DEVICES}/{AUDIO}/{name}"
    for name in ("class", "config", "driver"):
        yield f"{DEVICES}/{PORT}/{name}"
    yield from (f"{DEVICES}/{GPU}", f"{DEVICES}/{AUDIO}", f"{DEVICES}/{PORT}", f"{BRIDGE}/firmware_node",
                f"{BRIDGE}/firmware_node/path", f"{BRIDGE}/firmware_node/uid", "sys/kernel/iommu_groups",
                "sys/kernel/iommu_groups/13", "sys/kernel/iommu_groups/13/devices",
                f"sys/kernel/iommu_groups/13/devices/{GPU}", "sys/firmware/dmi/tables/DMI", "sys/bus/pci/slots",
                "sys/bus/pci/slots/1/address", "sys/bus/pci/drivers/vfio-pci", "sys/bus/pci/drivers/nouveau",
                "sys/bus/pci/drivers/nouveau/unbind", "sys/bus/pci/drivers_probe", "sys/class/vtconsole",
                "sys/class/vtconsole/vtcon1/name", "sys/class/vtconsole/vtcon1/bind", "sys/class/graphics/fb0",
                "sys/class/drm", "sys/class/drm/card1/dev", "sys/dev/block", "sys/dev/char", "sys/class/net",
                "sys/devices/system/node", "sys/devices/system/node/node1/cpulist", "sys/class/dmi/id/board_name",
                "sys/devices/system/cpu/cpu14/topology/physical_package_id", "proc/sys/kernel/hostname",
                "proc/self/mountinfo", "proc/swaps", "proc/net/route", "proc/net/ipv6_route", "proc/4711/fd",
                "proc/4711/comm", "proc/4711/cgroup", "proc/4711/maps", "dev/vfio",
                "run/vfioctl", "run/vfioctl/lock", f"run/vfioctl/lock/{GPU}", f"run/vfioctl/stuck/{GPU}", "run/vfioctl/stuck",
                f"run/vfioctl/host-driver/{GPU}", "run/vfioctl/host-driver", "run/vfioctl/slots")


# The fake kernel writes these itself, and minds no links when it does: here they are only read.
FAKE_KERNELS_OWN = ("uevent", "power", "/drm", "sys/dev/char", "sys/class/", "dev/vfio")


def make_enormous(path, old):
    with open(path, "wb") as file:
        file.write(old or b"x")
        file.truncate(64 << 20)


def make_long(path, old):
    with open(path, "wb") as file:
        file.write((old or b"0x1\n").rstrip(b"\n") * (100000 // len(old or b"0x1")))


def put(content):
    def make(path, old):
        with open(path, "wb") as file:
            file.write(content(old) if callable(content) else content)
    return make


WAYS = {
    "missing": None,
    "empty": put(b""),
    "cut_short": put(lambda old: (old or b"0x")[:max(1, len(old or b"0x") // 2)]),
    "binary": put(bytes(range(256)) * 20),
    "escapes": put(b"\x1b[31m\x07%s%n\xff\n"),
    "negative": put(b"-99999999999999999999\n"),
    "large": put(b"0xffffffffffffffffffff\n"),
    "enormous": make_enormous,
    "long": make_long,
    "fifo": lambda path, old: os.mkfifo(path),
    "folder": lambda path, old: os.mkdir(path),
    "loop": lambda path, old: os.symlink(os.path.basename(path), path),
    "dangling": lambda path, old: os.symlink("nowhere/at/all", path),
    "outside": lambda path, old: os.symlink(f"{harness.SCRATCH}/outside/file", path),
    "outside_up": lambda path, old: os.symlink("../" * 30 + f"{harness.SCRATCH}/outside/folder", path),
}


def outside():
    """What links lead to: to be neither shown nor changed."""
    base = f"{harness.SCRATCH}/outside"
    if not os.path.isdir(base):
        os.makedirs(f"{base}/folder/{GPU}")
        for name in ("file", "folder/file", f"folder/{GPU}/class", f"folder/{GPU}/vendor"):
            with open(f"{base}/{name}", "w", encoding="utf-8") as file:
                file.write("0xbad7\n")
    return base


class Broken(Case):
    """One host for all; what was broken is mended after each."""

    @classmethod
    def setUpClass(cls):
        cls.fresh()

    @classmethod
    def fresh(cls):
        cls.now = harness.Host(template("gtx690", "--slots", "--holder", "84:00.0=4711,a,a.service,map"))
        cls.now.configure("step-deadline = 2s", "read-deadline = 300ms")
        cls.now.write(f"run/vfioctl/host-driver/{GPU}", "nouveau")
        cls.now.write(f"run/vfioctl/lock/{GPU}", "")
        cls.now.write("run/vfioctl/slots", "0000:80:02.0 1 CPU2 SLOT1\n")
        cls.now.write(f"run/vfioctl/stuck/{TWIN}", "1 0\nwrite\n")
        cls.before = cls.now.tree((".fake", "run", "etc"))

    @classmethod
    def tearDownClass(cls):
        cls.now.close()

    def each(self, name, way):
        host, path = self.now, self.now.path(name)
        # Where that is a link or goes through one, the tree has it by another name.
        self.real = os.path.relpath(os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)), host.root)
        aside = f"{host.root}/.fake/aside"
        existed = os.path.lexists(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        old = None
        if existed:
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    old = file.read()
            os.rename(path, aside)
        if WAYS[way]:
            WAYS[way](path, old)
        try:
            self.probe(host, name)
        finally:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif os.path.lexists(path):
                os.unlink(path)
            if existed:
                os.rename(aside, path)
            if host.log() and host.tree((".fake", "run", "etc")) != self.before:
                host.close()
                self.fresh()
            host.forget()

    def probe(self, host, name):
        base = outside()
        beyond = harness.read_tree(base, ())
        for args in ([("list",)] if name.startswith("proc") else []) + [
                ("list", "--json"), ("check", "--json"), ("show", GPU), ("tree", "--all"),
                ("to-vm", GPU, "--dry-run")]:
            self.sane(args, host.cli(*args, timeout=20))
        self.assertEqual(host.log(), [])
        if not any(part in name for part in FAKE_KERNELS_OWN):
            for verb in ("to-vm", "to-host"):
                result = host.cli(verb, GPU, timeout=20)
                self.sane((verb,), result)
                if result.code:
                    if verb == "to-vm":
                        self.left_alone(host, name, result)
                    break
        self.assertEqual(harness.read_tree(base, ()), beyond, "nothing beyond the root was changed")
        twin = host.gpu(TWIN)
        self.assertEqual((twin["mode"], twin["vendor"], twin["functions"]), ("host", "10de", [TWIN, f"{TWIN[:-1]}1"]))

    def sane(self, args, result):
        self.assertIn(result.code, (0, 1, 2, 3), (args, result))
        if result.code:
            self.fit(result) if result.err else self.assertEqual(args[0], "check", result)
        for line in result.out.splitlines() + result.lines:
            self.assertTrue(line.isprintable(), (args, line[:300]))
            self.assertNotIn("bad7", line)
        if "--json" in args and result.out:
            json.loads(result.out)

    def left_alone(self, host, name, result):
        # What is broken is not to be read again: it may be a FIFO, or 64 MiB.
        leave_out = (".fake", "run", "etc", name, self.real)
        changed = [path for path in tree_changes(self.before, host.tree(leave_out))
                   if not f"{path}/".startswith((f"{name}/", f"{self.real}/"))]
        self.assertEqual(sorted(changed)[:6], [], result)


def ways(name):
    """What a file may hold matters where there is a file; a folder or a link is there, or not, or something else."""
    path = f"{template('gtx690')}/{name}"
    return ("missing", "empty", "folder", "fifo", "loop", "dangling", "outside", "outside_up") if os.path.isdir(path) else WAYS


def taken(name, way):
    """Each way of each file once in a run of all tests: a third of them under ASan, where each takes long, the others in the
    plain build. With tests/run --long, all of them in both."""
    third = (list(attributes()).index(name) + list(WAYS).index(way)) % 3 == 0
    return os.environ.get("LAB_LONG") or third == harness.SANITIZED


expand(Broken, [(f"{name}_{way}", name, way) for name in attributes() for way in ways(name) if taken(name, way)])


class Strange(Case):
    def test_absurd_names_among_the_devices(self):
        host = self.host("gtx690")
        want = host.gpus()
        for i, name in enumerate(("....", "0000:83:00.0x", "x" * 255, "\x1b[31m", "a\nb", "%s%n%d", "zzzz:zz:zz.z", "83:00.0",
                                  "0000:83:20.0", "0000:83:00.8", "00000000:83:00.0", "ffffffff:ff:1f.7", "fffffffff:00:00.0",
                                  "0000:99:00.0", "0000:99:00.1", "0000:99:00.2", "0000:99:00.3", "é", "-", "0000:83:00.0 ")):
            path = f"{host.root}/{DEVICES}/{name}"
            (os.mkdir, lambda p: os.symlink(os.path.basename(p), p), os.mkfifo, lambda p: os.symlink("gone", p),
             lambda p: os.symlink(f"../../../devices/pci0000:80/{PORT}", p))[i % 5](path)
        result = self.code(0, host.cli("list", "--json"))
        self.assertEqual([g["address"] for g in result.json["gpus"]], [g["address"] for g in want])
        self.assertEqual(result.json["gpus"], want)
        self.code(0, host.cli("to-vm", "1a"))

    def test_a_device_that_links_to_itself(self):
        host = self.host("gtx690")
        os.unlink(host.path(f"{DEVICES}/{GPU}"))
        os.symlink(GPU, host.path(f"{DEVICES}/{GPU}"))
        self.assertEqual([g["address"] for g in host.gpus()], ["0000:03:00.0", TWIN])
        self.code(3, host.cli("show", GPU))

    def test_a_device_that_is_a_parent_of_itself(self):
        host = self.host("gtx690")
        real = os.path.realpath(host.path(f"{DEVICES}/{GPU}"))
        os.symlink(".", f"{real}/{GPU}")
        os.unlink(host.path(f"{DEVICES}/{GPU}"))
        os.symlink(f"../../../{os.path.relpath(real, host.path('sys'))}" + f"/{GPU}" * 60, host.path(f"{DEVICES}/{GPU}"))
        self.assertIn(TWIN, [g["address"] for g in host.gpus()])

    def test_two_devices_that_are_one(self):
        host = self.host("gtx690")
        os.symlink(os.readlink(host.path(f"{DEVICES}/{GPU}")), host.path(f"{DEVICES}/0000:85:00.0"))
        names = [g["name"] for g in host.gpus()]
        self.assertEqual(len(names), len(set(names)))

    def test_group_of_a_stranger(self):
        """The group's list and the function's link disagree."""
        host = self.host("gtx690")
        os.unlink(os.path.realpath(host.path(f"{DEVICES}/{GPU}")) + "/iommu_group")
        os.symlink("../../../../../../kernel/iommu_groups/14", host.path(f"{DEVICES}/{GPU}/iommu_group"))
        self.code(0, host.cli("list"))
        self.assertIn(host.cli("to-vm", "1b").code, (0, 1, 3))

    def test_writes_do_not_leave_the_root(self):
        base = outside()
        beyond = harness.read_tree(base, ())
        for name in (f"{DEVICES}/{GPU}/driver_override", "sys/bus/pci/drivers_probe", "sys/bus/pci/drivers/nouveau/unbind",
                     "run", "run/vfioctl", "run/vfioctl/lock", "run/vfioctl/host-driver"):
            for target in (f"{base}/file", f"{base}/folder", "../" * 30 + f"{base}/folder"):
                host = self.host("gtx690")
                path = host.path(name)
                if os.path.isdir(path):
                    shutil.rmtree(path)
                elif os.path.exists(path):
                    os.unlink(path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.symlink(target, path)
                result = host.cli("to-vm", "1a")
                self.assertIn(result.code, (0, 1, 3), (name, target, result))
                self.assertEqual(harness.read_tree(base, ()), beyond, (name, target))
                host.close()

    def test_many_functions_in_a_slot(self):
        host = self.host("gtx690")
        real = os.path.realpath(host.path(f"{DEVICES}/{AUDIO}"))
        for n in range(2, 8):
            copy = f"{real[:-1]}{n}"
            os.makedirs(copy)
            for name in ("class", "vendor", "device"):
                shutil.copy(f"{real}/{name}", copy)
            os.symlink(os.path.relpath(copy, host.path(DEVICES)), host.path(f"{DEVICES}/0000:83:00.{n}"))
        self.assertEqual(len(host.gpu("1a")["functions"]), 8)
        self.code(0, host.cli("show", "1a"))


if __name__ == "__main__":
    harness.main()
