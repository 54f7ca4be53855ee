#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""assign and unassign with libvirt's test driver. Each connection to it has domains of its own, made from a file, so
nothing that is defined outlives one call: what lasts is for the lab to show."""

import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, SECOND, expand, run, template  # noqa: E402

HOST = ("<node><cpu><mhz>2000</mhz><model>x86_64</model><active>4</active><nodes>2</nodes><sockets>1</sockets><cores>2</cores>"
        "<threads>1</threads></cpu><memory>8000000</memory>")
ODD = ["list", "--help", "--gpu", "-", "--", "..", "a b", "quote'd", 'dq"uote', "$(reboot)", "ünïcode", "x" * 250, "1a", "%s%n"]


def hostdev(address):
    bus, slot, function = int(address[:2], 16), int(address[3:5], 16), int(address[6])
    return ("<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0' "
            f"bus='{bus}' slot='{slot}' function='{function}'/></source></hostdev>")


def domain(name, devices="", node=None, extra="", machine="q35", running=False):
    text = name.replace("&", "&amp;").replace("<", "&lt;")
    tune = f"<numatune><memory mode='strict' nodeset='{node}'/></numatune>" if node is not None else ""
    return ("<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>"
            f"<name>{text}</name><memory>100000</memory><vcpu>1</vcpu>{tune}<os><type arch='x86_64' machine='{machine}'>hvm</type></os>"
            f"<devices>{devices}</devices>{'' if running else '<test:runstate>5</test:runstate>'}{extra}</domain>")


class Assign(Case):
    def libvirt(self, *domains):
        path = f"{harness.SCRATCH}/node-{abs(hash(self.id()))}.xml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(HOST + "".join(domains) + "</node>")
        self.addCleanup(os.unlink, path)
        self.uri = f"test://{path}"

    def on(self, topology, *options):
        self.now = self.host(topology, *options)
        self.before = self.now.tree()
        return self.now

    def cli(self, *args, **more):
        return self.now.cli("--connect", self.uri, *args, **more)

    def given(self, *args):
        """What `assign ARGS --dry-run` would hand out: which GPUs go to mode vm, which VMs are defined."""
        before = self.now.whole()
        steps = self.code(0, self.cli("assign", *args, "--dry-run", "--json")).json["steps"]
        self.untouched(before, self.now)
        names = {gpu["address"]: gpu["name"] for gpu in self.now.gpus()}
        return (list(dict.fromkeys(names[step["gpu"]] for step in steps if step["gpu"])),
                [step["vm"] for step in steps if step["vm"]])

    def refused(self, code, *args):
        result = self.fit_refusal(self.code(code, self.cli(*args)))
        self.unchanged(self.before, self.now)
        self.assertEqual(self.now.log(), [])
        return result

    def fit_refusal(self, result):
        self.fit(result)
        self.assertEqual(result.out, "")
        return result


class Choice(Assign):
    def test_one_each(self):
        self.libvirt(*[domain(f"vm{i}") for i in range(1, 7)])
        self.on("x10drh-3xv340")
        self.assertEqual(self.given("vm1"), (["1a"], ["vm1"]))
        gpus, vms = self.given(*[f"vm{i}" for i in range(1, 7)])
        self.assertEqual((sorted(gpus), vms), (["1a", "1b", "2a", "2b", "3a", "3b"], [f"vm{i}" for i in range(1, 7)]))

    def test_really(self):
        self.libvirt(domain("vm1"), domain("vm2"))
        host = self.on("gtx690")
        result = self.code(0, self.cli("assign", "vm1", "vm2"))
        self.assertEqual(result.out, "vm1: 1a (0000:83:00.0)\nvm2: 1b (0000:84:00.0)\n")
        self.assertEqual([gpu["mode"] for gpu in host.gpus()], ["host", "vm", "vm"])
        self.assertEqual(host.driver("0000:83:00.1"), "vfio-pci")

    def test_more_vms_than_gpus(self):
        self.libvirt(*[domain(f"vm{i}") for i in range(1, 8)])
        self.on("x10drh-3xv340")
        result = self.refused(3, "assign", *[f"vm{i}" for i in range(1, 8)])
        for name in ("1a", "1b", "2a", "2b", "3a", "3b"):
            self.assertTrue([line for line in result.lines if line.split()[:1] == [name]], f"{name}: {result}")

    def test_pack_and_spread(self):
        self.libvirt(domain("has", hostdev("10:00.0")), domain("vm1"), domain("vm2"))
        self.on("x10drh-3xv340")
        self.assertEqual(self.given("vm1")[0], ["2b"], "the card that is half used")
        self.now.configure("placement = spread")
        self.before = self.now.tree()
        gpus = self.given("vm1", "vm2")[0]
        self.assertEqual({name[0] for name in gpus}, {"1", "3"}, "cards of their own")

    def test_numa_node(self):
        self.libvirt(domain("far", node=1), domain("near", node=0), domain("both", node="0-1"))
        self.on("x10drh-3xv340")
        self.assertEqual(self.given("far")[0], ["3a"])
        self.assertEqual(self.given("near")[0], ["1a"])
        self.assertEqual(sorted(self.given("near", "far", "both")[0])[-1][0], "3")
        self.says(self.refused(3, "assign", "far", "--count", "3"), "other-node", "--gpu 1a")
        self.assertEqual(self.given("far", "--gpu", "1a")[0], ["1a"], "the admin knows better")

    def test_count(self):
        self.libvirt(domain("vm1"), domain("vm2"))
        self.on("x10drh-3xv340")
        self.assertEqual(self.given("vm1", "--count", "2")[0], ["1a", "1b"])
        self.assertEqual(len(self.given("vm1", "vm2", "--count", "3")[0]), 6)
        self.refused(3, "assign", "vm1", "--count", "7")
        self.refused(3, "assign", "vm1", "vm2", "--count", "4")

    def test_named_gpus(self):
        self.libvirt(domain("vm1"))
        self.on("gtx690")
        self.assertEqual(self.given("vm1", "--gpu", "84:00.1"), (["1b"], ["vm1"]))
        self.assertEqual(self.given("vm1", "--gpu", "1b", "--gpu", "1a")[0], ["1b", "1a"])
        self.assertEqual(sorted(self.given("vm1", "--gpu", "1b", "--count", "2")[0]), ["1a", "1b"])
        self.refused(2, "assign", "vm1", "--gpu", "1a", "--gpu", "83:00.0")
        self.refused(3, "assign", "vm1", "--gpu", "1c")
        self.refused(2, "assign", "vm1", "--gpu", "")
        self.says(self.refused(3, "assign", "vm1", "--gpu", "03:00.0"), "boot-display")

    def test_what_it_has_it_keeps(self):
        self.libvirt(domain("vm1", hostdev("83:00.0") + hostdev("83:00.1")), domain("vm2"))
        self.on("gtx690")
        result = self.code(0, self.cli("assign", "vm1"))
        self.assertIn("has 1a already", result.out)
        self.unchanged(self.before, self.now)
        self.assertEqual(self.now.log(), [])
        self.assertEqual(self.given("vm1", "--gpu", "1a"), ([], []))
        self.assertEqual(self.given("vm1", "--count", "2")[0], ["1b"])

    def test_assigned_to_another(self):
        self.libvirt(domain("vm1", hostdev("83:00.0")), domain("vm2"), domain("vm3", hostdev("84:00.0"), running=True))
        self.on("gtx690")
        result = self.refused(3, "assign", "vm2")
        self.says(result, "vm1 (shut off)", "vfioctl assign vm2 --share --gpu 1a", "vm3 (running)")
        self.says(self.refused(3, "assign", "vm2", "--gpu", "1a"), "assigned", "vm1")
        self.assertEqual(self.given("vm2", "--gpu", "1a", "--share")[0], ["1a"])
        self.assertEqual(self.now.cli("--connect", self.uri, "list", "--json").json["gpus"][1]["vms"], ["vm1"])
        table = self.cli("list").out
        self.assertIn("vm1", table)
        self.assertIn("vm3 (running)", table)

    def test_in_use(self):
        self.libvirt(domain("vm1"))
        self.on("gtx690", "--holder", "83:00.0=4711,a,ollama.service", "--holder", "84:00.0=4712,b,b.service")
        self.says(self.refused(3, "assign", "vm1"), "in-use", "ollama.service", "4711", "systemctl stop ollama.service")

    def test_shared_group(self):
        self.libvirt(domain("vm1"), domain("vm2"))
        self.on("x10drh-v340-noacs", "--mode", "02:00.1=none-only")
        self.says(self.refused(3, "assign", "vm1", "--gpu", "1a"), "group-shared", "IOMMU group 2", "0000:02:00.0")
        self.refused(3, "assign", "vm1", "vm2")
        self.assertEqual(self.given("vm1", "--count", "2")[0], ["1a", "1b"])

    def test_a_bus_without_pcie(self):
        self.libvirt(domain("vm1", machine="pc"))
        self.on("gtx690")
        self.code(0, self.cli("assign", "vm1"))
        self.assertEqual(self.now.gpu("1a")["mode"], "vm")


class Faults(Assign):
    """The bound GPU goes back when a later step fails; a plan that fails defines nothing."""

    def each(self, k):
        self.libvirt(domain("vm1"))
        self.on("gtx690")
        result = self.code(1, self.cli("assign", "vm1", faults={"FAIL": k}))
        self.says(result, "step-failed", "all that had been done is undone")
        self.unchanged(self.before, self.now)

    def test_hang(self):
        self.libvirt(domain("vm1"))
        self.on("gtx690")
        self.now.configure("step-deadline = 300ms")
        result = self.says(self.code(4, self.cli("assign", "vm1", faults={"HANG": 5})), "stuck")
        self.assertLess(result.seconds, 0.3 + 2 * SECOND)
        self.assertEqual(self.given_names("vm1"), ["1b"], "the next one is the other die")

    def given_names(self, vm):
        steps = self.code(0, self.cli("assign", vm, "--dry-run", "--json")).json["steps"]
        return sorted({"0000:83:00.0": "1a", "0000:84:00.0": "1b"}[step["gpu"]] for step in steps if step["gpu"])[:1]


expand(Faults, [(f"step_{k}", k) for k in range(1, 7)])


class Names(Assign):
    def each(self, name):
        self.libvirt(domain(name.replace("\n", "&#10;")))
        self.on("gtx690")
        result = self.code(0, self.cli("assign", "--dry-run", "--", name))
        self.assertIn("define ", result.out)
        self.unchanged(self.before, self.now)
        self.code(0, self.cli("assign", "-q", "--", name))
        self.assertEqual(self.now.gpu("1a")["mode"], "vm")
        result = self.code(0, self.cli("unassign", "--", name))
        self.assertIn("has no such GPU", result.out)

    def unknown(self, name):
        self.libvirt(domain("vm1"))
        self.on("gtx690")
        for verb in ("assign", "unassign"):
            for more in ((), ("--dry-run",), ("--dry-run", "--json"), ("vm1",)):
                result = self.cli(verb, *more, "--", name) if more != ("vm1",) else self.cli(verb, "--", "vm1", name)
                self.assertIn(result.code, (1, 2, 3), result)
                self.fit(result)
                self.assertLess(len(result.err), 2500)
                self.unchanged(self.before, self.now)
        self.assertEqual(self.now.log(), [])

    def test_named_twice(self):
        self.libvirt(domain("vm1"))
        self.on("gtx690")
        self.says(self.code(2, self.cli("assign", "vm1", "vm1")), "vm1", "twice")
        self.assertEqual(self.now.log(), [])

    def test_by_uuid_is_the_same_vm(self):
        self.libvirt(domain("vm1").replace("<memory>", "<uuid>11111111-2222-3333-4444-555555555555</uuid><memory>"))
        self.on("gtx690")
        self.assertEqual(self.given("11111111-2222-3333-4444-555555555555")[1], ["vm1"])
        self.code(2, self.cli("assign", "vm1", "11111111-2222-3333-4444-555555555555"))


expand(Names, [(f"known_{i}_{name[:20]}", name) for i, name in enumerate(ODD)])
expand(Names, [(f"unknown_{i}_{name[:20]}", name) for i, name in enumerate(
    ["nope", "", "a/b", "../../etc/passwd", "..", ".", "a\nb", "\n", "\x1b[31m", "x" * 300, "x" * 70000, "list", "--help", "é" * 200])],
       "unknown")


class Libvirt(Assign):
    def test_transient(self):
        self.libvirt(domain("vm1", extra="<test:transient/>", running=True), domain("vm2"))
        self.on("gtx690")
        for args in (("assign", "vm1"), ("assign", "vm2", "vm1"), ("unassign", "vm1"), ("assign", "vm1", "--dry-run")):
            result = self.says(self.code(3, self.cli(*args)), "vm-transient", "vm1", "nothing was changed")
            self.assertEqual(self.now.log(), [], result)

    def test_managed_save(self):
        self.libvirt(domain("vm1", extra="<test:hasmanagedsave/>"), domain("vm2"))
        self.on("gtx690")
        for args in (("assign", "vm1"), ("assign", "vm2", "vm1"), ("unassign", "vm1")):
            self.says(self.code(3, self.cli(*args)), "vm-managed-save", "managedsave-remove vm1")
            self.assertEqual(self.now.log(), [])

    def test_out_of_reach(self):
        self.on("gtx690")
        for uri in ("test:///no/such/file.xml", "qemu+unix:///system?socket=/no/such/socket", "bogus:///", "bogus", "://", "a b",
                    "test://" + "x" * 300, "qemu+tcp://127.0.0.1:1/system", "qemu+unix:///session?socket=/dev/null"):
            for args in (("assign", "vm1"), ("unassign", "vm1"), ("list",), ("check",), ("show", "1a")):
                with self.subTest(uri=uri[:40], args=args):
                    result = self.now.cli("--connect", uri, *args)
                    self.assertEqual(result.code, 1, result)
                    self.fit(result)
                    self.assertLess(len(result.lines), 3)
                    self.assertEqual(self.now.log(), [])

    def test_to_vm_needs_no_libvirt(self):
        self.on("gtx690")
        self.code(0, self.now.cli("--connect", "bogus:///", "to-vm", "1a"))

    def test_uri_from_the_configuration(self):
        self.libvirt(domain("vm1", hostdev("83:00.0")))
        self.on("gtx690")
        self.now.configure(f"connect = {self.uri}")
        self.assertEqual(self.now.gpu("1a")["vms"], ["vm1"])

    def test_a_simulated_host_is_not_the_machines_libvirt(self):
        self.says(self.code(2, run("--root", template("gtx690"), "assign", "vm1")), "--connect")
        self.assertEqual(self.code(0, run("--root", template("gtx690"), "list")).err, "")


class Unassign(Assign):
    def test_takes_out(self):
        self.libvirt(domain("vm1", hostdev("83:00.0") + hostdev("83:00.1"), running=True), domain("vm2"))
        self.on("gtx690")
        self.assertEqual(self.code(0, self.cli("unassign", "vm1", "--dry-run")).out, "define vm1\n")
        self.assertEqual(self.code(0, self.cli("unassign", "vm2", "--dry-run")).out, "nothing to do\n")
        self.unchanged(self.before, self.now)
        result = self.code(0, self.cli("unassign", "vm1", "vm2"))
        self.assertIn("vm1: taken out; it keeps the GPU until it is shut down", result.out)
        self.assertEqual(self.now.log(), [], "its mode is not touched")

    def test_one_of_several(self):
        self.libvirt(domain("vm1", hostdev("83:00.0") + hostdev("84:00.0")))
        self.on("gtx690")
        self.code(0, self.cli("unassign", "vm1", "--gpu", "1b"))
        self.assertIn("no such GPU", self.code(0, self.cli("unassign", "vm1", "--gpu", "03:00.0")).out)
        self.code(3, self.cli("unassign", "vm1", "--gpu", "7z"))
        self.code(2, self.cli("unassign", "vm1", "--gpu", "?"))

    def test_one_that_is_gone(self):
        self.libvirt(domain("vm1", hostdev("99:00.0")))
        self.on("gtx690")
        self.assertIn("taken out", self.code(0, self.cli("unassign", "vm1", "--gpu", "99:00.0")).out)


if __name__ == "__main__":
    harness.main()
