#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What list, tree and check say of each topology, against tests/golden/, and what create makes of each template on each of
them, against tests/golden-vms/: files that a person can read and review.

    BUILD=build tests/cli/test_golden.py --update

writes them anew; then read what `git diff tests/golden` shows. Names are those of Debian 12's PCI ID database."""

import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import TOPOLOGIES, expand  # noqa: E402
from schema import SCHEMA  # noqa: E402
from vms import Vms, domain, hostdev  # noqa: E402

GOLDEN = os.path.normpath(f"{harness.HERE}/../golden")
GOLDEN_VMS = os.path.normpath(f"{harness.HERE}/../golden-vms")
TEMPLATES = ("linux-compute", "linux-streaming", "minimal", "windows-streaming")
GUESTS = ("linux", "windows")
# Where a card's GPUs cannot be parted, both go to the VM.
VM_OPTIONS = {"x10drh-v340-noacs": ("--mode", "02:00.1=none-only", "--mode", "81:00.1=none-only")}
VM_GPUS = {"x10drh-v340-noacs": 2}
COMPUTE_GPUS = {"gtx690": 2, "r9-295x2": 2, "x10drh-3xv340": 2, "x10drh-v340-noacs": 2}
UPDATE = "--update" in sys.argv
BUSY = "x10drh-3xv340-busy"
# File -> what is typed.
FILES = {"list.txt": ("list", "-o", "+SLOT,GROUP,IDS,FUNCTIONS"), "list.json": ("list", "--json"), "tree.txt": ("tree",),
         "tree-all.txt": ("tree", "--all"), "check.txt": ("check",)}


class Files(Vms):
    def compare(self, path, text, name):
        """With the file; or makes the file."""
        if UPDATE:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        with self.subTest(name), open(path, encoding="utf-8") as file:
            shown = os.path.relpath(path, f"{harness.HERE}/../..")
            diff = difflib.unified_diff(file.read().splitlines(), text.splitlines(), shown, "now", lineterm="")
            self.assertEqual("\n".join(diff), "")


class Golden(Files):
    def make_busy(self):
        """Of everything one: VMs that run and that are off, a service, a stuck GPU, narrow links."""
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm", "--mode", "0a:00.0=vm", "--mode", "85:00.0=vm",
                         "--holder", "14:00.0=4711,ollama,ollama.service")
        self.libvirt(domain("game1", hostdev("06:00.0"), running=True), domain("game2", hostdev("0a:00.0")))
        host.write("run/vfioctl/stuck/0000:85:00.0", "\n")
        host.write("sys/bus/pci/devices/0000:0c:00.0/current_link_width", "8\n")
        host.write("sys/bus/pci/devices/0000:88:00.0/current_link_width", "4\n")
        return host

    def shown(self, host, name, args):
        connect = ("--connect", self.uri) if self.uri else ()
        result = host.cli(*args, *connect, fake=False, env={"LC_ALL": "C.UTF-8"})
        if name.endswith(".json"):
            return self.code(0, result).out
        text = f"$ vfioctl {' '.join(args)}\n{result.out}{result.err}"
        text = text.replace(host.root, "ROOT")
        return text + (f"exit status {result.code}\n" if result.code else "")

    def each(self, topology):
        host = self.make_busy() if topology == BUSY else self.host(topology)
        for name, args in FILES.items():
            self.compare(f"{GOLDEN}/{topology}/{name}", self.shown(host, name, args), name)

    def test_nothing_else(self):
        """Every file there is compared with something."""
        self.assertEqual(sorted(os.listdir(GOLDEN)), sorted((*TOPOLOGIES, BUSY)))
        for topology in os.listdir(GOLDEN):
            self.assertEqual(sorted(os.listdir(f"{GOLDEN}/{topology}")), sorted(FILES))


def vm_arguments(topology, template, guest):
    """Every option of create is in some of them."""
    count = COMPUTE_GPUS.get(topology, 1) if template == "linux-compute" else VM_GPUS.get(topology, 1)
    args = ["create", "vm", "--template", template, "--os", guest, "--memory", "16G", "--vcpus", "6", "--count", str(count), "--print"]
    if guest == "windows":
        args += ["--disk", "/images/vm.qcow2,size=100G", "--iso", "/images/windows.iso", "--iso", "/images/virtio-win.iso",
                 "--display", "rescue", "--network", "lan"]
    else:
        args += ["--disk", "/images/vm.img", "--bridge", "br0", "--display", "none"]
    if template == "windows-streaming":
        args += ["--looking-glass", "1920x1080", "--evdev", "/dev/input/by-id/usb-a-event-kbd", "--evdev",
                 "/dev/input/by-id/usb-a-event-mouse"]
    return args


class GoldenVms(Files):
    """Also: libvirt's schema knows all of them, and libvirt takes them."""

    def each(self, topology):
        host = self.host(topology, *VM_OPTIONS.get(topology, ()))
        folder = f"{GOLDEN_VMS}/{topology}"
        paths = []
        for template in TEMPLATES:
            for guest in GUESTS:
                result = self.code(0, host.cli(*vm_arguments(topology, template, guest), fake=False))
                paths.append(f"{folder}/{template}-{guest}.xml")
                self.compare(paths[-1], result.out, paths[-1])
        self.assertEqual(sorted(os.listdir(folder)), sorted(os.path.basename(path) for path in paths))
        self.valid(paths)
        self.accepted(paths)

    def valid(self, paths):
        if not os.path.exists(SCHEMA):
            self.skipTest("no schema of libvirt's")
        done = subprocess.run(["xmllint", "--noout", "--relaxng", SCHEMA, *paths], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len([line for line in done.stderr.splitlines() if line.endswith(" validates")]), len(paths))

    def accepted(self, paths):
        commands = []
        for n, path in enumerate(paths):
            with open(path, encoding="utf-8") as file:
                text = re.sub(r"<domain type=\"\w+\"", '<domain type="test"', file.read(), count=1)
            own = f"{harness.SCRATCH}/define-{n}.xml"
            with open(own, "w", encoding="utf-8") as file:
                file.write(text.replace("<name>vm</name>", f"<name>vm{n}</name>"))
            commands.append(f"define {own}")
        done = subprocess.run(["virsh", "-c", "test:///default", "; ".join(commands)], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr.strip()), (0, ""))
        self.assertEqual(done.stdout.count(" defined from "), len(paths), done.stdout)


    def test_qemu_takes_them(self):
        """libvirt's driver for QEMU, in virsh itself and below a folder of its own."""
        paths = [f"{GOLDEN_VMS}/{topology}/{name}" for topology in TOPOLOGIES for name in sorted(os.listdir(f"{GOLDEN_VMS}/{topology}"))]
        self.assertEqual(len(paths), len(TOPOLOGIES) * len(TEMPLATES) * len(GUESTS))
        folder = tempfile.mkdtemp(dir=harness.SCRATCH)
        commands = []
        for n, path in enumerate(paths):
            with open(path, encoding="utf-8") as file, open(f"{folder}/{n}.xml", "w", encoding="utf-8") as own:
                own.write(file.read().replace("<name>vm</name>", f"<name>vm{n}</name>"))
            commands.append(f"define {folder}/{n}.xml --validate")
        if not shutil.which("virsh") or not shutil.which("qemu-system-x86_64"):
            self.skipTest("no virsh, or no qemu-system-x86_64")
        env = {**os.environ, "HOME": folder, "XDG_RUNTIME_DIR": folder, "LC_ALL": "C"}
        done = subprocess.run(["virsh", "-c", f"qemu:///embed?root={folder}", "; ".join(commands)], env=env, capture_output=True,
                              text=True, check=False, timeout=300)
        if "could not find capabilities" in done.stderr:
            self.skipTest(done.stderr)
        self.assertEqual((done.returncode, done.stderr.strip(), done.stdout.count(" defined from ")), (0, "", len(paths)))


expand(GoldenVms, [(f"vms_{name}", name) for name in TOPOLOGIES])
expand(Golden, [(name, name) for name in (*TOPOLOGIES, BUSY)])

if __name__ == "__main__":
    harness.main()
