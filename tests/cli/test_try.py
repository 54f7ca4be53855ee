#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""try with libvirt's test driver: what it refuses, what it changes, what it remembers. Each connection to that driver has
domains of its own, and it starts no QEMU: what that does is for the lab to show."""

import os
import re
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import changed_topology, tree_changes  # noqa: E402
from vms import Vms, domain, hostdev  # noqa: E402

TRIED = "var/lib/vfioctl/tried"
KERNEL = "6.1.0-18-amd64"


class Try(Vms):
    def setUp(self):
        super().setUp()
        self.libvirt()

    def on(self, topology, *options):
        self.now = self.host(topology, *options)
        self.before = self.now.tree()
        return self.now

    def cli(self, *args, **more):
        return self.now.cli("--connect", self.uri, *args, **more)

    def tried(self):
        path = self.now.path(TRIED)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def ready(self, name):
        out = self.code(0, self.now.cli("list", "--noheadings", "-o", "GPU,READY")).out
        return dict(line.split(None, 1) for line in out.splitlines())[name].strip()

    def as_before(self):
        """But for what is remembered."""
        before = {name: value for name, value in self.before.items() if not name.startswith(TRIED)}
        self.no_changes(self.unless_true(self.now, {
            name: change for name, change in tree_changes(before, self.now.tree()).items()
            if not "var/lib/vfioctl/tried".startswith(name) and not name.startswith(TRIED)}))
        for folder in ("claims", "refused", "work", "stuck"):
            self.assertEqual(self.names(folder), [])

    def refused(self, *args, code=3):
        before = self.now.whole()
        result = self.code(code, self.cli("try", *args))
        changes = {name for name in tree_changes(before, self.now.whole()) if not name.startswith("run")}
        self.assertEqual(changes, set())
        self.assertEqual(self.now.log(), [])
        return self.says(result, "nothing was changed")


class Passes(Try):
    def test_from_mode_host(self):
        host = self.on("gtx690")
        result, log = self.asks("try", "1a")
        self.code(0, result)
        self.assertEqual((result.out, result.err), ("1a (0000:83:00.0) passed: 3 times into a VM and back\n", ""))
        self.as_before()
        texts = re.findall(r"virDomainCreateXML\w*:\d+ : conn=\w+, xmlDesc=(<domain.*?</domain>)", log, re.DOTALL) or \
            re.findall(r"virDomainCreateXML.*?(<domain.*?</domain>)", log, re.DOTALL)
        # Twice a start: libvirt's test driver does not know the flag by which a VM ends with its connection.
        self.assertEqual(len(texts), 6, log[-3000:])
        for text in texts:
            self.assertIn("<name>vfioctl-try-0000:83:00.0</name>", text)
            self.assertEqual(len(re.findall("<hostdev .*?managed=.yes.", text)), 2, "audio goes along")
            self.assertNotRegex(text, "<disk|<interface|<graphics")
        self.assertEqual(log.count("virDomainDestroy:"), 3)
        self.assertNotIn("virDomainDefineXML", log)
        # Bound once, and given back once.
        binds = [line for line in host.log() if line[2] == "vfio-pci\\n"]
        self.assertEqual(len(binds), 2)

    def test_it_is_remembered(self):
        self.on("gtx690")
        self.assertEqual(self.ready("1a"), "yes")
        self.assertIsNone(self.now.gpu("1a")["tried"])
        self.code(0, self.cli("try", "1a", "--runs", "1"))
        self.assertEqual(self.tried(), [f"10de:1188:10de:095b:a1@{KERNEL}"])
        self.assertEqual((self.ready("1a"), self.ready("1b")), ("yes (tried)", "yes (tried)"))
        self.assertIs(self.now.gpu("1a")["tried"], True)
        self.assertIs(self.now.gpu("1a")["ready"], True)
        self.assertIn("ready     yes (tried)", self.now.cli("show", "1a").out)
        self.assertEqual([name for name in self.tried() if name.startswith(".")], [])

    def test_from_mode_vm(self):
        self.on("gtx690", "--mode", "83:00.0=vm")
        self.code(0, self.cli("try", "1a"))
        self.as_before()
        self.assertEqual(self.now.log(), [], "nothing is bound")

    def test_json(self):
        self.on("m2000")
        name = next(gpu["name"] for gpu in self.now.gpus() if gpu["ready"])
        data = self.code(0, self.cli("try", name, "--runs", "2", "--json")).json
        self.assertEqual((data["gpu"], data["passed"], data["reason"], data["exit_code"]), (name, True, None, 0))
        self.assertEqual([run["passed"] for run in data["runs"]], [True, True])
        self.as_before()

    def test_dry_run(self):
        self.on("gtx690")
        before = self.now.whole()
        result = self.code(0, self.cli("try", "1a", "--dry-run", "--runs", "1"))
        self.assertIn("write vfio-pci to", result.out)
        self.assertEqual(result.out.splitlines()[-2:], ["start and stop VM vfioctl-try-0000:83:00.0 with it, 1 time",
                                                        "give it back to the host"])
        self.assertTrue(self.code(0, self.cli("try", "1a", "--dry-run", "--json")).json["steps"])
        self.untouched(before, self.now)

    def test_an_assignment_that_is_off_does_not_hinder(self):
        self.libvirt(domain("vm1", hostdev("83:00.0")))
        self.on("gtx690")
        self.code(0, self.cli("try", "1a", "--runs", "1"))
        self.as_before()


class Fails(Try):
    def test_silent_in_mode_host(self):
        host = self.on("gtx690")
        result = self.code(4, self.cli("try", "1a", faults={"SILENT": "0000:83:00.0:3"}))
        self.says(result, "failed in run 2 of 3", "0000:83:00.0 does not answer any more", "left on vfio-pci")
        self.assertEqual(host.driver("0000:83:00.0"), "vfio-pci")
        self.assertEqual((self.ready("1a"), self.ready("1b")), ("no", "yes"), "the other die is another GPU")
        self.assertIs(host.gpu("1a")["tried"], False)
        finding = next(f for f in host.findings("1a") if f["code"] == "tried-failed")
        self.assertEqual((finding["severity"], finding["fix"]), ("refusal", "vfioctl try 1a"))
        self.assertIn("does not answer any more", finding["text"])
        self.code(3, host.cli("check", "1a"))

    def test_silent_in_mode_vm(self):
        self.on("gtx690", "--mode", "83:00.0=vm")
        self.says(self.code(1, self.cli("try", "1a", faults={"SILENT": "0000:83:00.0:2"})), "run 1 of 3", "switch the host off")
        self.as_before()

    def test_a_companion_counts(self):
        self.on("gtx690")
        result = self.code(4, self.cli("try", "1a", "--json", faults={"SILENT": "0000:83:00.1:2"}))
        self.assertEqual((result.json["passed"], result.json["exit_code"], len(result.json["runs"])), (False, 4, 1))
        self.assertIn("0000:83:00.1", result.json["reason"])

    def test_it_is_not_handed_out(self):
        self.on("gtx690", "--mode", "83:00.0=vm")
        self.code(1, self.cli("try", "1a", faults={"SILENT": "0000:83:00.0:2"}))
        self.libvirt(domain("vm1"), domain("vm2"))
        steps = self.code(0, self.cli("assign", "vm1", "--dry-run", "--json")).json["steps"]
        self.assertEqual({step["gpu"] for step in steps if step["gpu"]}, {"0000:84:00.0"}, "1b is picked")
        self.says(self.code(3, self.cli("assign", "vm1", "--gpu", "1a")), "tried-failed", "vfioctl try 1a")
        self.says(self.code(3, self.cli("assign", "vm1", "vm2")), "tried-failed")
        # But its mode can be changed, and a VM that has it may start: its admin knows better than a record.
        self.code(0, self.now.cli("to-host", "1a"))
        self.code(0, self.now.cli("to-vm", "1a"))
        self.code(0, self.hook(domain("vm1", hostdev("83:00.0"))))

    def test_a_pass_takes_it_back(self):
        self.on("gtx690", "--mode", "83:00.0=vm")
        self.code(0, self.cli("try", "1b", "--runs", "1"))
        self.code(1, self.cli("try", "1a", faults={"SILENT": "0000:83:00.0:2"}))
        self.assertEqual((len(self.tried()), self.ready("1a"), self.ready("1b")), (2, "no", "yes (tried)"))
        self.code(0, self.cli("try", "1b", "--runs", "1"))
        self.assertEqual(self.ready("1a"), "no", "a twin's pass does not mend it")
        self.code(0, self.cli("try", "1a", "--runs", "1"))
        self.assertEqual((len(self.tried()), self.ready("1a")), (1, "yes (tried)"))

    def test_a_bind_that_fails(self):
        self.on("gtx690")
        self.code(1, self.cli("try", "1a", faults={"FAIL": "3"}))
        self.as_before()
        self.assertEqual(self.tried(), [])

    def test_libvirt_starts_nothing(self):
        """Not the GPU's fault: without it the VM does not start either."""
        self.libvirt(domain("vfioctl-try-0000:83:00.0", running=True))
        self.on("gtx690")
        result = self.code(1, self.cli("try", "1a"))
        self.says(result, "could not be tried")
        self.as_before()
        self.assertEqual(self.tried(), [])

    def test_where_nothing_can_be_remembered(self):
        host = self.on("gtx690")
        host.write("var/lib/vfioctl", "no folder")
        self.says(self.code(1, self.cli("try", "1a", "--runs", "1")), "cannot be remembered")
        self.assertEqual(host.driver("0000:83:00.0"), "nouveau")


class Refuses(Try):
    def test_in_use(self):
        self.on("gtx690", "--holder", "83:00.0=4711,blender,")
        self.says(self.refused("1a"), "in-use", "4711")
        self.refused("1a", "--dry-run")

    def test_in_use_in_mode_vm(self):
        self.on("gtx690", "--mode", "83:00.0=vm", "--holder", "83:00.0=4711,qemu-system-x86,")
        self.says(self.refused("1a"), "in-use", "4711")

    def test_its_vm_runs(self):
        self.libvirt(domain("vm1", hostdev("83:00.0"), running=True))
        self.on("gtx690", "--mode", "83:00.0=vm")
        self.says(self.refused("1a"), "claimed", "vm1", "virsh shutdown vm1")
        findings = self.code(3, self.cli("try", "1a", "--json")).json["findings"]
        self.assertEqual([f["code"] for f in findings if f["severity"] == "refusal"], ["claimed"])

    def test_claimed(self):
        self.on("gtx690", "--mode", "83:00.0=vm")
        with open(f"/proc/{os.getpid()}/stat", encoding="utf-8") as file:
            start = file.read().rsplit(")", 1)[1].split()[19]
        self.now.write("run/vfioctl/claims/0000:83:00.0", f"11111111-2222-3333-4444-555555555555 {os.getpid()} {start}\nother\n")
        self.says(self.refused("1a"), "claimed", "other")

    def test_a_neighbour_of_the_group_runs(self):
        self.libvirt(domain("vm1", hostdev("0a:00.0"), running=True))
        host = self.on("x10drh-v340-noacs")
        gpus = {gpu["address"]: gpu for gpu in host.gpus()}
        names = [gpu["name"] for gpu in gpus.values() if gpu["iommu_group"] == gpus["0000:0a:00.0"]["iommu_group"]]
        self.now = self.host("x10drh-v340-noacs", *[word for gpu in gpus.values() if gpu["name"] in names
                                                    for word in ("--mode", f"{gpu['address']}=vm")])
        other = next(name for name in names if gpus["0000:0a:00.0"]["name"] != name)
        self.says(self.refused(other), "group-shared", "vm1")

    def test_a_neighbour_in_scope(self):
        """Two dies on one bus, in groups of their own: what resets one resets both."""
        def join(by_address, _):
            for n in (0, 1):
                moved = by_address[f"0000:84:00.{n}"]
                moved["address"], moved["parent"] = f"0000:83:01.{n}", by_address["0000:83:00.0"]["parent"]
        self.libvirt(domain("vm1", hostdev("83:01.0"), running=True))
        self.now = changed_topology("gtx690", join, "--mode", "83:00.0=vm", "--mode", "83:01.0=vm")
        self.addCleanup(self.now.close)
        self.says(self.refused("1a"), "reset-scope", "vm1")
        self.libvirt()
        self.now = changed_topology("gtx690", join, "--mode", "83:00.0=vm", "--holder", "83:01.0=4711,ollama,ollama.service")
        self.addCleanup(self.now.close)
        self.says(self.refused("1a"), "reset-scope", "ollama")

    def test_hardware(self):
        self.on("x10drh-v340-noacs")
        name = next(gpu["name"] for gpu in self.now.gpus() if not gpu["ready"] and gpu["name"][-1].isalpha())
        self.says(self.refused(name), "group-shared")
        self.on("gtx690", "--iommu", "off")
        self.says(self.refused("1a"), "no-iommu")
        self.says(self.refused("03:00.0"), "boot-display")

    def test_usage(self):
        self.on("gtx690")
        for code, args in ((2, ("try",)), (2, ("try", "1a", "1b")), (3, ("try", "9z")), (2, ("try", "?")), (2, ("try", "1a", "--runs", "0")),
                           (2, ("try", "1a", "--runs", "x")), (2, ("list", "--runs", "2"))):
            with self.subTest(args=args):
                self.fit(self.code(code, self.cli(*args)))
        self.says(self.code(2, self.now.cli("try", "1a")), "--connect")
        self.code(1, self.now.cli("--connect", "test:///no/such/file.xml", "try", "1a"))
        self.assertEqual(self.now.log(), [])


class Kernels(Try):
    def remember(self, kernel, text="result passed\nruns 3\n", place=""):
        self.now.write(f"{TRIED}/10de:1188:10de:095b:a1@{kernel}{place}", text)

    def told(self):
        return [(f["code"], f["severity"], f["gpu"]) for f in self.now.findings() if "untried" in f["code"] or "tried" in f["code"]]

    def test_never(self):
        self.on("gtx690")
        # One word for two GPUs of a kind.
        self.assertEqual(self.told(), [("untried", "note", "0000:83:00.0")])
        self.code(0, self.now.cli("check"))

    def test_one_that_is_free_speaks(self):
        self.on("gtx690", "--holder", "83:00.0=4711,blender,")
        self.assertEqual(self.told(), [("untried", "note", "0000:84:00.0")])
        self.on("gtx690", "--holder", "83:00.0=4711,blender,", "--holder", "84:00.0=4712,blender,")
        self.assertEqual(self.told(), [("untried", "note", "0000:83:00.0")])

    def test_this_kernel(self):
        self.on("gtx690")
        self.remember("5.10.0-1-amd64")
        self.remember("5.9.0-1-amd64")
        self.assertEqual(self.told(), [("untried-kernel", "warning", "0000:83:00.0")])
        finding = next(f for f in self.now.findings() if f["code"] == "untried-kernel")
        self.assertEqual((finding["culprit"], finding["fix"]), (KERNEL, "vfioctl try 1a"))
        self.assertIn("on 5.10.0-1-amd64 it passed", finding["text"])
        self.assertEqual(self.ready("1a"), "yes")

    def test_the_next_kernel(self):
        self.on("gtx690")
        self.remember(KERNEL)
        self.assertEqual(self.told(), [])
        self.now.write("lib/modules/6.12.9/modules.dep", "")
        self.now.write("boot/vmlinuz-6.12.9", "")
        self.assertEqual(self.told(), [("untried-kernel", "warning", "0000:83:00.0")])
        self.assertEqual(next(f for f in self.now.findings() if f["code"] == "untried-kernel")["culprit"], "6.12.9")
        self.remember("6.12.9")
        self.assertEqual(self.told(), [])

    def test_one_that_cannot_be_handed_out_is_not_told_of(self):
        self.on("gtx690", "--iommu", "off")
        self.assertEqual(self.told(), [])

    def test_what_makes_no_sense_is_not_there(self):
        self.on("gtx690")
        for text in ("", "\n", "result", "result maybe\n", "passed\n", "result failed\n", "\0\xff" * 50, "x" * 9000):
            self.remember(KERNEL, text)
            self.assertEqual((self.ready("1a"), self.told()), ("yes", [("untried", "note", "0000:83:00.0")]), repr(text[:20]))
        self.remember(KERNEL, "later 1\nresult passed\nmore\n")
        self.assertEqual(self.ready("1a"), "yes (tried)")
        for name in ("", "@", "a@b@c", "10de:1188:10de:095b:a1@", "10de:1188:10de:095b:a1", ".hidden"):
            self.now.write(f"{TRIED}/x{name}", "result failed\n")
        self.remember(KERNEL, "result failed\nreason x\n", "@0000000000000000")
        self.assertEqual(self.ready("1a"), "yes (tried)", "of a GPU that was in another place")
        os.mkdir(self.now.path(f"{TRIED}/10de:1188:10de:095b:a2@{KERNEL}"))
        self.assertEqual(self.ready("1a"), "yes (tried)")

    def test_undo_leaves_it(self):
        self.on("gtx690")
        self.remember(KERNEL)
        before = self.now.read(f"{TRIED}/10de:1188:10de:095b:a1@{KERNEL}")
        self.code(0, self.now.cli("undo"))
        self.assertEqual(self.now.read(f"{TRIED}/10de:1188:10de:095b:a1@{KERNEL}"), before)

    def test_captured(self):
        self.on("gtx690")
        self.remember(KERNEL)
        self.assertIn(f"/{TRIED}/10de:1188:10de:095b:a1@{KERNEL}", self.now.cli("capture", "a.tar", "--dry-run").out.splitlines())


if __name__ == "__main__":
    harness.main()
