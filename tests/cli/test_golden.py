#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What list, tree and check say of each topology, against tests/golden/: files that a person can read and review.

    BUILD=build tests/cli/test_golden.py --update

writes them anew; then read what `git diff tests/golden` shows. Names are those of Debian 12's PCI ID database."""

import difflib
import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import TOPOLOGIES, expand  # noqa: E402
from vms import Vms, domain, hostdev  # noqa: E402

GOLDEN = os.path.normpath(f"{harness.HERE}/../golden")
UPDATE = "--update" in sys.argv
BUSY = "x10drh-3xv340-busy"
# File -> what is typed.
FILES = {"list.txt": ("list", "-o", "+SLOT,GROUP,IDS,FUNCTIONS"), "list.json": ("list", "--json"), "tree.txt": ("tree",),
         "tree-all.txt": ("tree", "--all"), "check.txt": ("check",)}


class Golden(Vms):
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
        folder = f"{GOLDEN}/{topology}"
        if UPDATE:
            os.makedirs(folder, exist_ok=True)
        for name, args in FILES.items():
            text = self.shown(host, name, args)
            if UPDATE:
                with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                    file.write(text)
            with self.subTest(name), open(f"{folder}/{name}", encoding="utf-8") as file:
                diff = difflib.unified_diff(file.read().splitlines(), text.splitlines(), f"tests/golden/{topology}/{name}", "now", lineterm="")
                self.assertEqual("\n".join(diff), "")

    def test_nothing_else(self):
        """Every file there is compared with something."""
        self.assertEqual(sorted(os.listdir(GOLDEN)), sorted((*TOPOLOGIES, BUSY)))
        for topology in os.listdir(GOLDEN):
            self.assertEqual(sorted(os.listdir(f"{GOLDEN}/{topology}")), sorted(FILES))


expand(Golden, [(name, name) for name in (*TOPOLOGIES, BUSY)])

if __name__ == "__main__":
    harness.main()
