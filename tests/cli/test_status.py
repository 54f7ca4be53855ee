#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vfioctl status: 0 when all is well; each problem with its line, the way out, and exit status 3; what it cannot see;
and JSON. test_status_watch.py has the rest."""

import os
import socket
import subprocess
import sys
import time
import uuid

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, expand  # noqa: E402

HOST = ("<node><cpu><mhz>2000</mhz><model>x86_64</model><active>4</active><nodes>2</nodes><sockets>1</sockets><cores>2</cores>"
        "<threads>1</threads></cpu><memory>8000000</memory>")
A, B = "0000:83:00.0", "0000:84:00.0"
IN_VM = ("--mode", f"{A}=vm", "--mode", f"{B}=vm")
FUNCTIONS = [f"{address[:-1]}{function}" for address in (A, B) for function in (0, 1)]


def hostdev(address):
    bus, slot, function = int(address[5:7], 16), int(address[8:10], 16), int(address[11])
    return ("<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0' "
            f"bus='{bus}' slot='{slot}' function='{function}'/></source></hostdev>")


def metadata(*entries):
    """Of (name, functions, identity)."""
    gpus = "".join(f"<v:gpu name='{name}' address='{functions[0]}' functions='{' '.join(functions)}' identity='{identity}' "
                   f"port='1'/>" for name, functions, identity in entries)
    return f"<metadata><v:gpus xmlns:v='urn:vfioctl:domain:1' ports='1'>{gpus}</v:gpus></metadata>"


def domain(name, *addresses, running=False, more=""):
    text = name.replace("&", "&amp;").replace("<", "&lt;")
    devices = "<controller type='pci' index='1' model='pcie-root-port'/>" + "".join(map(hostdev, addresses))
    return ("<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>"
            f"<name>{text}</name><uuid>{uuid_of(name)}</uuid>{more}<memory>100000</memory><vcpu>1</vcpu>"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
            f"<devices>{devices}</devices>{'' if running else '<test:runstate>5</test:runstate>'}</domain>")


def uuid_of(name):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def process(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return f"{pid} {file.read().rsplit(')', 1)[1].split()[19]}"


class Status(Case):
    uri = None

    def libvirt(self, *domains):
        path = f"{harness.SCRATCH}/node-{abs(hash(self.id()))}.xml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(HOST + "".join(domains) + "</node>")
        if not self.uri:
            self.addCleanup(os.unlink, path)
        self.uri = f"test://{path}"

    def on(self, *options, config=None, topology="gtx690"):
        """A host; with a configuration, one where all is set up and has run with it."""
        self.now = self.host(topology, *options)
        if config is not None:
            # A read that a busy machine delays is no stuck GPU.
            self.now.configure(*config, "read-deadline = 10s")
            self.set_up()
        return self.now

    def set_up(self):
        self.now.write("usr/bin/vfioctl", "")
        os.chmod(self.now.path("usr/bin/vfioctl"), 0o755)
        os.makedirs(self.now.path("etc/libvirt/hooks/qemu.d"), exist_ok=True)
        os.symlink("/usr/bin/vfioctl", self.now.path("etc/libvirt/hooks/qemu.d/50-vfioctl"))
        self.now.write("run/vfioctl/hook", process(os.getpid()) + "\n")
        self.now.write("etc/systemd/system/sysinit.target.wants/vfioctl-boot.service", "")
        for name in ("boot-early", "boot-late"):
            self.now.write(f"run/vfioctl/{name}", self.policy())

    def policy(self):
        return self.code(0, self.now.cli("config", "--boot")).out

    def cli(self, *args, **more):
        return self.now.cli(*(("--connect", self.uri) if self.uri else ()), "status", *args, **more)

    def well(self, *args):
        before = self.now.whole()
        result = self.code(0, self.cli(*args))
        self.assertIn("no problems\n", result.out)
        self.assertNotIn("Problems:", result.out)
        self.assertEqual(result.err, "")
        self.assertEqual(self.code(0, self.cli("-q")).out, "")
        self.untouched(before, self.now)
        return result

    def problem(self, code, *words, alone=True):
        """Exactly this problem, in the text, with -q, and as JSON, which is returned."""
        before = self.now.whole()
        result = self.code(3, self.cli())
        self.assertEqual(result.err, "")
        self.assertNotIn("no problems", result.out)
        quiet = self.code(3, self.cli("-q")).out.splitlines()
        shown = result.out[result.out.index("Problems:\n") + 10:].splitlines()
        self.assertEqual([line for line in shown if line.startswith("  ")][:len(quiet)], [f"  {line}" for line in quiet])
        line = next((line for line in quiet if f"{code}: " in line), None)
        self.assertIsNotNone(line, result)
        for word in words:
            self.assertIn(word, line)
        found = self.code(3, self.cli("--json")).json
        self.assertEqual(found["exit_code"], 3)
        if alone:
            self.assertEqual({f["code"] for f in found["findings"] if f["severity"] == "refusal"}, {code}, result)
        self.untouched(before, self.now)
        return found


class AllWell(Status):
    def test_nothing_configured(self):
        self.on()
        result = self.well()
        self.assertRegex(result.out, r"(?m)^GPU +CARD +MODE USED BY$")
        self.assertRegex(result.out, r"(?m)^1a +\S.* host free$")
        self.assertRegex(result.out, r"(?m)^03:00.0 +\S.* host +boot display$")
        self.assertRegex(result.out, r"(?m)^3 GPUs: 0 vm \(0 running\), 3 host \(1 used\)$")
        self.assertRegex(result.out, r"(?m)^hook +not installed$")
        self.assertRegex(result.out, r"(?m)^boot step +has not run$")
        self.assertRegex(result.out, r"(?m)^reconcile +never")
        self.assertNotIn("CARD", self.well("--noheadings").out)

    def test_set_up(self):
        self.on(*IN_VM, config=["gpus = all", "alias = left=1a"])
        result = self.well()
        self.assertRegex(result.out, r"(?m)^1a +left +\S.* vm +free$")
        self.assertRegex(result.out, r"(?m)^1b +- +\S.* vm +free$")
        self.assertRegex(result.out, r"(?m)^3 GPUs: 2 vm \(0 running\), 1 host \(1 used\)$")
        self.assertRegex(result.out, r"(?m)^hook +live$")
        self.assertRegex(result.out, r"(?m)^boot step +ran, in the initramfs too$")
        self.assertNotIn("\x1b", result.out)

    def test_a_free_gpu_that_cannot_be_handed_out_is_no_problem(self):
        self.on(topology="x10drh-v340-noacs")
        self.well()
        self.on("--iommu", "off")
        self.well()

    def test_the_boot_display_is_not_wanted_by_all(self):
        self.on("--mode", "0b:00.0=vm", config=["gpus = all"], topology="desktop-2xrtx3050")
        self.well()

    def test_vms(self):
        self.libvirt(domain("runs", *FUNCTIONS[:2], running=True), domain("off", *FUNCTIONS[2:]), domain("other", FUNCTIONS[2]))
        self.on(*IN_VM, config=["gpus = all"])
        result = self.well()
        self.assertRegex(result.out, r"(?m)^1a .* vm +runs \(running\)$")
        self.assertRegex(result.out, r"(?m)^1b .* vm +(off|other) \(off\), (off|other) \(off\)$")
        self.assertIn("2 vm (1 running)", result.out)
        found = self.cli("--json").json
        self.assertEqual([gpu["use"] for gpu in found["gpus"]], ["display", "running", "assigned"])
        self.assertEqual([gpu["vm"] for gpu in found["gpus"]][1], "runs")
        self.assertEqual(found["libvirt"], "asked")

    def test_a_vm_that_starts(self):
        self.on(*IN_VM, config=["gpus = all"])
        self.now.write(f"run/vfioctl/claims/{A}", f"{uuid_of('x')} {process(os.getpid())}\nx\n")
        self.assertRegex(self.well().out, r"(?m)^1a .* vm +x \(starting or running\)$")

    def test_the_host_uses_what_rests_there(self):
        self.on("--holder", f"{A}=10,ollama,ollama.service", config=["gpus = all", "idle = host"])
        self.assertRegex(self.well().out, r"(?m)^1a .* host +ollama\.service$")

    def test_reconcile(self):
        self.on(*IN_VM, config=["gpus = all"])
        self.now.write("run/vfioctl/reconciled", "0 0123456789abcdef\n")
        self.now.write("etc/cron.d/vfioctl", "")
        os.makedirs(self.now.path("etc/systemd/system/timers.target.wants"))
        os.symlink("/nowhere", self.now.path("etc/systemd/system/timers.target.wants/vfioctl-reconcile.timer"))
        self.assertRegex(self.well().out, r"(?m)^reconcile +(just now|\d s ago); by systemd's timer; by cron$")
        os.utime(self.now.path("run/vfioctl/reconciled"), (0, time.time() - 600))
        self.assertRegex(self.well().out, r"(?m)^reconcile +10 min ago")


class Problems(Status):
    def well_set_up(self, *config, options=IN_VM, **more):
        return self.on(*options, config=list(config or ["gpus = all"]), **more)

    def test_wrong_mode(self):
        self.well_set_up(options=IN_VM[:2])
        found = self.problem("wrong-mode", "1b", "mode vm", "to mend it: vfioctl reconcile")
        self.assertEqual(next(f for f in found["findings"])["gpu"], B)
        self.well_set_up("gpus = 1b", "idle = host")
        self.problem("wrong-mode", "1b", "mode host", "vfioctl reconcile")

    def test_in_part(self):
        self.well_set_up(options=("--mode", f"{A}=vm", "--mode", f"{B}=vm-only"))
        self.problem("wrong-mode", "1b", "in part")

    def test_in_use_where_it_is_not_to_be(self):
        self.well_set_up(options=(*IN_VM[:2], "--holder", f"{B}=10,ollama,ollama.service"))
        self.problem("in-use", "1b", "systemctl stop ollama.service")

    def test_cannot_be_handed_out(self):
        self.well_set_up("gpus = 1a", topology="x10drh-v340-noacs", options=())
        self.problem("group-shared", "1a", "to mend it: ", alone=False)
        self.libvirt(domain("vm1", *FUNCTIONS[:2]))
        self.on("--iommu", "off")
        self.problem("no-iommu", "1a")

    def test_stuck(self):
        self.on()
        self.now.write(f"run/vfioctl/stuck/{A}", f"{process(os.getpid())}\nunbind\n")
        self.assertIn("stuck", [gpu["use"] for gpu in self.problem("stuck", "1a", "reboot")["gpus"]])

    def test_half_done(self):
        self.well_set_up()
        self.now.write(f"run/vfioctl/work/{A}", "vm")
        self.problem("half-done", "1a", "mode vm", "vfioctl reconcile")

    def test_stale_claim(self):
        self.well_set_up()
        self.now.write(f"run/vfioctl/claims/{A}", f"{uuid_of('x')} 0 0\nx\n")
        self.problem("claim-stale", "1a", "VM x", "vfioctl reconcile")
        self.libvirt(domain("x", *FUNCTIONS[:2], running=True))
        self.well()
        self.libvirt(domain("x", *FUNCTIONS[:2]))
        self.now.write(f"run/vfioctl/claims/{A}", f"{uuid_of('x')} {process(os.getpid())}\nx\n")
        self.problem("claim-stale", "1a", "VM x")

    def test_hook(self):
        self.well_set_up()
        os.unlink(self.now.path("run/vfioctl/hook"))
        self.assertEqual(self.problem("hook-not-live", "systemctl reload libvirtd")["hook"], "installed")
        os.unlink(self.now.path("usr/bin/vfioctl"))
        self.assertEqual(self.problem("hook-not-installed", "vfioctl setup")["hook"], "missing")
        self.now.write("run/vfioctl/hook", process(os.getpid()) + "\n")
        self.problem("hook-not-installed", "vfioctl setup")

    def test_hook_that_mode_host_needs(self):
        self.libvirt(domain("vm1", *FUNCTIONS[:2]))
        self.well_set_up("gpus = 1a", "idle = host")
        os.unlink(self.now.path("run/vfioctl/hook"))
        self.problem("hook-not-live", "mode host", "vfioctl setup")

    def test_boot_step(self):
        self.well_set_up()
        os.unlink(self.now.path("run/vfioctl/boot-late"))
        self.problem("boot-not-run", "has not run", "vfioctl boot")
        os.unlink(self.now.path("etc/systemd/system/sysinit.target.wants/vfioctl-boot.service"))
        self.problem("boot-not-run", "not enabled", "vfioctl setup")
        self.now.write("run/vfioctl/boot-late", "gpus =\n")
        self.problem("boot-not-run", "another configuration", "vfioctl boot")

    def test_not_in_the_initramfs(self):
        self.well_set_up()
        os.unlink(self.now.path("run/vfioctl/boot-early"))
        self.assertIn("Remarks:\n  boot-not-early: ", self.well().out)
        # From the next boot on it is.
        kernel = self.now.read("proc/sys/kernel/osrelease").strip()
        self.now.write(f"var/lib/vfioctl/initramfs/{kernel}", self.policy())
        self.assertNotIn("Remarks:", self.well().out)

    def test_stale_initramfs(self):
        self.well_set_up()
        self.now.write("run/vfioctl/boot-early", "gpus = 7a\n")
        self.problem("initramfs-stale", "update-initramfs -u", "dracut --force")
        kernel = self.now.read("proc/sys/kernel/osrelease").strip()
        # It was made anew since.
        self.now.write(f"var/lib/vfioctl/initramfs/{kernel}", self.policy())
        self.well()
        self.now.write("var/lib/vfioctl/initramfs/99.10.0", self.policy())
        self.now.write("var/lib/vfioctl/initramfs/99.9.0", "gpus = 7a\n")
        self.well()
        self.now.write("var/lib/vfioctl/initramfs/99.10.0", "gpus = 7a\n")
        self.problem("initramfs-stale", "99.10.0", "update-initramfs -u -k 99.10.0")
        self.now.write(f"var/lib/vfioctl/initramfs/{kernel}", "gpus = 7a\n")
        self.assertEqual(len(self.problem("initramfs-stale")["findings"]), 2)

    def test_configuration(self):
        self.on()
        self.now.configure("gpus = 1a", "idle = often")
        self.problem("config-value", "vfioctl.conf:2", "often", "vfioctl config --check")
        self.now.configure("gpus = 03:00.0")
        self.set_up()
        self.problem("config-display", "03:00.0")
        os.unlink(self.now.path("etc/vfioctl/vfioctl.conf"))
        os.mkfifo(self.now.path("etc/vfioctl/vfioctl.conf"))
        self.assertIn("FIFO", self.code(3, self.cli("-q")).out)

    def test_a_card_is_out(self):
        self.well_set_up("gpus = 1a, 1b, 7c")
        self.assertIn("Remarks:\n  config-no-match: ", self.well().out)

    def test_switched_off(self):
        self.well_set_up(options=())
        self.now.write("proc/cmdline", "quiet vfioctl=off\n")
        self.assertTrue(self.problem("switched-off", "vfioctl=off")["off"])

    def test_last_reconcile(self):
        self.well_set_up()
        self.now.write("run/vfioctl/reconciled", "1 -0\n1a (0000:83:00.0): step-failed: it was bad\n")
        found = self.problem("reconcile-failed", "it was bad", "vfioctl reconcile")
        self.assertEqual((found["reconcile"]["exit_code"], len(found["reconcile"]["problems"])), (1, 1))
        self.assertIn("with exit status 1", self.cli().out)
        self.now.write("run/vfioctl/reconciled", "3 -0\n")
        self.problem("reconcile-failed", "exit status 3")

    def test_what_reconcile_said_is_not_said_twice(self):
        self.well_set_up(options=(*IN_VM[:2], "--holder", f"{B}=10,ollama,ollama.service"))
        line = self.cli("-q").out
        self.now.write("run/vfioctl/reconciled", f"3 -0\n{line}")
        self.assertEqual(self.cli("-q").out, line)

    def test_from_reconcile_itself(self):
        self.well_set_up(options=IN_VM[:2])
        self.problem("wrong-mode", "1b")
        self.code(0, self.now.cli("reconcile", "-q"))
        self.well()


class Assignments(Status):
    def assigned(self, identity, functions, named=None):
        self.libvirt(domain("vm1", *(named or functions), more=metadata(("1a", functions, identity))))

    def setUp(self):
        self.on(*IN_VM, config=["gpus = all"])
        self.identity = self.now.gpu("1a")["identity"]

    def test_same(self):
        self.assigned(self.identity, FUNCTIONS[:2])
        self.well()

    def test_moved(self):
        self.assigned(self.identity, ["0000:93:00.0", "0000:93:00.1"])
        self.problem("moved", "1a", "VM vm1", "0000:93:00.0", "to mend it: vfioctl reconcile")

    def test_swapped(self):
        self.assigned(self.identity.replace("10de:", "1002:", 1), FUNCTIONS[:2])
        self.problem("swapped", "VM vm1", "1a", "vfioctl unassign")

    def test_gone(self):
        self.assigned("0000 nowhere 01.0/00.0 1234:5678", ["0000:93:00.0"])
        self.problem("gone", "VM vm1", "0000:93:00.0", "put it back, or vfioctl unassign vm1 --gpu 0000:93:00.0")

    def test_edited_is_a_remark(self):
        self.assigned(self.identity, FUNCTIONS[:2], FUNCTIONS[2:])
        result = self.well()
        self.assertIn("Remarks:\n  edited: the definition of VM vm1", result.out)
        self.assertEqual([f["severity"] for f in self.cli("--json").json["findings"]], ["warning"])


class Refused(Status):
    def test_listed_and_no_problem(self):
        self.on(*IN_VM, config=["gpus = all"])
        self.now.write(f"run/vfioctl/refused/{uuid_of('a')}", "a\nmoved: its GPU 1a is at 9; to mend it: vfioctl reconcile\n")
        self.now.write(f"run/vfioctl/refused/{uuid_of('b')}", "b\nin-use: pid 7\n")
        os.utime(self.now.path(f"run/vfioctl/refused/{uuid_of('b')}"), (0, time.time() - 7300))
        out = self.well().out
        self.assertRegex(out, r"(?m)^Refused starts:\n  a, (just now|\d s ago): moved: its GPU .*\n  b, 2 h ago: in-use: pid 7$")
        found = self.cli("--json").json["refused_starts"]
        self.assertEqual([(start["vm"], start["uuid"]) for start in found], [("a", uuid_of("a")), ("b", uuid_of("b"))])
        self.assertLess(abs(found[0]["when"] - time.time()), 60)

    def test_fit_for_a_terminal(self):
        self.libvirt(domain("\u009b31m" + "x" * 200, *FUNCTIONS[:2]))
        self.on("--holder", f"{B}=10,\x1b]0;x\x07,", *IN_VM[:2], config=["gpus = 1a"])
        self.now.write(f"run/vfioctl/refused/{uuid_of('a')}", "a\x1b[31m\nb\x07\x7f\n")
        self.now.write("run/vfioctl/reconciled", "1 -0\n\x1b[2Jbad\n")
        result = self.code(3, self.cli())
        self.assertTrue(all(c.isprintable() or c == "\n" for c in result.out), repr(result.out))
        self.assertLess(max(map(len, result.out.splitlines())), 400)
        self.cli("--json").json


class Unseen(Status):
    def test_libvirt_does_not_answer(self):
        """Connections are taken, and nothing is ever said."""
        if harness.SANITIZED:
            self.skipTest("a sanitizer looks for the XDR functions of libvirt where they are not")
        self.on(*IN_VM, config=["gpus = all"])
        path = f"{harness.SCRATCH}/silent-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            self.addCleanup(os.unlink, path)
            server.listen(5)
            self.uri = f"test+unix:///default?socket={path}"
            result = self.code(3, self.cli())
            self.assertLess(result.seconds, 15)
            self.assertGreater(result.seconds, 4)
            self.assertIn("libvirt-unreachable", result.out)
            self.assertRegex(result.out, r"(?m)^1a .* vm +\?$")

    def test_libvirt_is_not_there(self):
        self.on(*IN_VM, config=["gpus = all"])
        self.uri = "qemu+unix:///system?socket=/nowhere/at/all"
        found = self.problem("libvirt-unreachable", "/nowhere/at/all")
        self.assertEqual(found["libvirt"], "unreachable")
        self.assertEqual(found["gpus"][1]["use"], "unknown")

    def test_nothing_to_look_at(self):
        self.on()
        os.rename(self.now.path("sys/bus/pci"), self.now.path("sys/bus/gone"))
        for args in ((), ("--json",), ("-q",), ("--watch",)):
            self.says(self.code(1, self.cli(*args)), "no PCI bus")
        self.says(harness.run("--root", "/nowhere", "status"), "/nowhere")

    def test_without_root(self):
        self.on("--holder", f"{A}=10,a,a.service")
        other = {"fake": False}
        if os.geteuid() == 0:
            nobody = {"user": 65534, "group": 65534, "extra_groups": []}
            other.update(nobody)
            try:
                subprocess.run([harness.VFIOCTL, "--version"], check=True, stdout=subprocess.DEVNULL, **nobody)
            except (OSError, subprocess.CalledProcessError):
                self.skipTest("nobody cannot run the program where it lies")
        os.chmod(self.now.path("proc/10/fd"), 0)
        self.addCleanup(os.chmod, self.now.path("proc/10/fd"), 0o755)
        result = self.code(0, self.cli(**other))
        self.assertIn("Not seen:\n  holders-unknown: ", result.out)
        self.assertIn("run it as root", result.out)
        self.assertRegex(result.out, r"(?m) host +\?$")

    def test_a_reader_that_goes_away(self):
        self.on()
        with open("/dev/full", "wb") as full:
            done = subprocess.run([harness.VFIOCTL, "--root", self.now.root, "status"], stdout=full, stderr=-1,
                                  env=harness.environment(None, {}), check=False)
        self.assertEqual(done.returncode, 1)


class Json(Status):
    KEYS = ["gpus", "count", "findings", "refused_starts", "hook", "boot", "reconcile", "libvirt", "off", "exit_code"]

    def each(self, topology):
        self.on(topology=topology)
        result = self.code(0, self.cli("--json"))
        self.assertEqual(list(result.json), self.KEYS)
        self.assertEqual([gpu["address"] for gpu in result.json["gpus"]], [gpu["address"] for gpu in self.now.gpus()])
        self.assertEqual(result.json["count"]["all"], len(result.json["gpus"]))
        self.assertEqual(result.json["reconcile"], {"when": None, "exit_code": None, "problems": [], "timer": False, "cron": False})
        self.assertEqual(result.json["boot"], {"early": "not-run", "late": "not-run", "enabled": False})
        self.assertEqual(sorted(result.json["gpus"][0]),
                         sorted(["name", "address", "card", "mode", "alias", "ours", "idle", "use", "vm", "used_by"]))


expand(Json, [(topology, topology) for topology in harness.TOPOLOGIES])


if __name__ == "__main__":
    harness.main()
