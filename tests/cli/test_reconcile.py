#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What cron calls every minute: what it mends, what it leaves alone, what it says, and when it does not even look."""

import fcntl
import os
import re
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import expand  # noqa: E402
from vms import NODE, Vms, defined, domain, hostdev, moves, test_domain, uuid_of  # noqa: E402

GPU, AUDIO, OTHER = "0000:83:00.0", "0000:83:00.1", "0000:84:00.0"
WITH_GPU = hostdev("83:00.0") + hostdev("83:00.1")


class Reconcile(Vms):
    def on(self, *options, config=("gpus = 1a 1b",), topology="gtx690", vms=()):
        self.now = self.host(topology, *options)
        self.now.configure(*config)
        if vms is not None:
            self.libvirt(*vms)
        return self.now

    def reconcile(self, *args, **more):
        return self.now.cli(*(("--connect", self.uri) if self.uri else ()), "reconcile", *args, **more)

    def silent(self, result, code=0):
        self.code(code, result)
        self.assertEqual((result.out, result.err), ("", ""))

    def did(self, result, *lines, code=0):
        """Just these lines, in any order, each holding all its words."""
        self.code(code, result)
        self.assertEqual(len(result.lines), len(lines), result)
        self.assertEqual(result.out, "")
        for words in lines:
            words = (words,) if isinstance(words, str) else words
            self.assertTrue([line for line in result.lines if all(word in line for word in words)], f"{words}: {result}")
        for line in result.lines:
            self.assertTrue(line.startswith("vfioctl: reconcile: ") and line.isprintable(), line)

    def live_hook(self):
        """As after setup, with this process as the daemon that calls."""
        os.makedirs(self.now.path("etc/libvirt/hooks/qemu.d"))
        self.now.write("usr/bin/vfioctl", "")
        os.chmod(self.now.path("usr/bin/vfioctl"), 0o755)
        os.symlink("/usr/bin/vfioctl", self.now.path("etc/libvirt/hooks/qemu.d/50-vfioctl"))
        with open("/proc/self/stat", encoding="utf-8") as file:
            self.now.write("run/vfioctl/hook", f"{os.getpid()} {file.read().rsplit(')', 1)[1].split()[19]}\n")

    def write_claim(self, address, vm, live=False):
        start = "1"
        if live:
            with open("/proc/self/stat", encoding="utf-8") as file:
                start = file.read().rsplit(")", 1)[1].split()[19]
        self.now.write(f"run/vfioctl/claims/{address}", f"{uuid_of(vm)} {os.getpid()} {start}\n{vm}\n")


class Modes(Reconcile):
    def test_nothing_to_do(self):
        self.on(config=())
        before = self.now.tree()
        for _ in range(2):
            self.silent(self.reconcile())
        self.unchanged(before, self.now)
        self.assertEqual(self.now.log(), [])

    def test_configuration(self):
        self.on()
        self.did(self.reconcile(), "1a: brought to mode vm", "1b: brought to mode vm")
        self.assertEqual({self.now.driver(a) for a in (GPU, AUDIO, OTHER)}, {"vfio-pci"})
        self.silent(self.reconcile())

    def test_quietly(self):
        self.on(config=("gpus = 1a",))
        self.silent(self.reconcile("-q"))
        self.assertEqual(self.now.driver(GPU), "vfio-pci")

    def test_idle_host(self):
        self.on("--mode", "83:00.0=vm", config=("gpus = 1a", "idle = host"))
        self.did(self.reconcile(), "1a: brought to mode host")
        self.assertEqual((self.now.driver(GPU), self.now.override(GPU)), ("nouveau", None))
        self.silent(self.reconcile())

    def test_idle_host_of_a_vm_needs_the_hook(self):
        self.on(config=("gpus = 1a", "idle = host"), vms=[domain("vm1", WITH_GPU)])
        self.did(self.reconcile(), "brought to mode vm", ("1a (0000:83:00.0): hook-not-live", "vfioctl setup"), code=3)
        self.assertEqual(self.now.driver(GPU), "vfio-pci")
        self.live_hook()
        self.did(self.reconcile(), "brought to mode host")
        self.silent(self.reconcile())
        # The daemon was restarted, and has not called yet.
        self.now.write("run/vfioctl/hook", f"{os.getpid()} 1\n")
        self.did(self.reconcile(), "brought to mode vm", "hook-not-live", code=3)
        # Or the package was removed.
        self.live_hook_again()
        self.did(self.reconcile(), "brought to mode host")
        os.unlink(self.now.path("usr/bin/vfioctl"))
        self.did(self.reconcile(), "brought to mode vm", "hook-not-live", code=3)

    def live_hook_again(self):
        with open("/proc/self/stat", encoding="utf-8") as file:
            self.now.write("run/vfioctl/hook", f"{os.getpid()} {file.read().rsplit(')', 1)[1].split()[19]}\n")

    def test_assigned_without_configuration(self):
        text = self.assigned("gtx690", ("vm1", "1a"))["vm1"]
        self.on(config=(), vms=[test_domain(text)])
        self.did(self.reconcile(), "1a: brought to mode vm")
        self.silent(self.reconcile())

    def test_by_hand_without_configuration(self):
        self.on(config=(), vms=[domain("vm1", WITH_GPU)])
        self.silent(self.reconcile())
        self.assertEqual(self.now.log(), [], "libvirt binds it, as ever")

    def test_what_is_in_the_way_is_said_once(self):
        self.on("--holder", "83:00.0=4711,ollama,ollama.service")
        self.did(self.reconcile(), "1b: brought to mode vm", ("1a", "in-use", "ollama.service", "systemctl stop"), code=3)
        for _ in range(3):
            self.silent(self.reconcile(), 3)
        self.assertIn("in-use", self.reconcile("-v").err)
        subprocess.run(["rm", "-r", self.now.path("proc/4711")], check=True)
        self.now.write("run/vfioctl/reconciled", "3 -0\n" + self.now.read("run/vfioctl/reconciled").split("\n", 1)[1])
        self.did(self.reconcile(), "1a: brought to mode vm")

    def test_shared_group(self):
        self.on(topology="x10drh-v340-noacs", config=("gpus = 1a 1b",))
        self.says(self.code(3, self.reconcile()), "group-shared", "IOMMU group 2")
        self.assertEqual(self.now.log(), [])
        self.on("--mode", "02:00.1=none-only", topology="x10drh-v340-noacs", config=("gpus = 1a 1b",))
        self.code(0, self.reconcile())
        self.assertEqual({self.now.gpu(name)["mode"] for name in ("1a", "1b")}, {"vm"}, "as a whole")
        self.silent(self.reconcile())
        self.on("--mode", "02:00.1=none-only", topology="x10drh-v340-noacs", config=("gpus = 1a",))
        self.says(self.code(3, self.reconcile()), "group-shared")
        self.assertEqual(self.now.log(), [])

    def left_alone(self, *options, claim=None, vms=(), config=("gpus = 1a", "idle = host")):
        self.on(*options, config=config, vms=vms)
        if claim:
            self.write_claim(GPU, claim, live=True)
        self.live_hook()
        self.reconcile()
        self.assertEqual(self.now.log(), [])
        self.assertEqual(self.now.driver(GPU), "vfio-pci" if "83:00.0=vm" in options else "nouveau")

    def test_held(self):
        self.left_alone("--mode", "83:00.0=vm", "--holder", "83:00.0=4711,qemu")

    def test_running(self):
        self.left_alone("--mode", "83:00.0=vm", vms=[domain("vm1", WITH_GPU, running=True)])

    def test_claimed_and_libvirt_away(self):
        self.uri = "test:///no/such/file.xml"
        self.left_alone("--mode", "83:00.0=vm", claim="vm1", vms=None)

    def test_boot_display(self):
        self.on(topology="desktop-2xrtx3050", config=("gpus = all",))
        # Of all, the host keeps its display: nothing to complain of, each minute anew.
        result = self.code(0, self.reconcile())
        self.assertNotIn("boot-display", result.err)
        self.assertNotEqual(self.now.driver("0000:0a:00.0"), "vfio-pci")

    def test_stuck(self):
        self.on()
        with open("/proc/self/stat", encoding="utf-8") as file:
            self.now.write(f"run/vfioctl/stuck/{GPU}", f"{os.getpid()} {file.read().rsplit(')', 1)[1].split()[19]}\nsomething\n")
        self.did(self.reconcile(), "1b: brought to mode vm", ("1a", "stuck"), code=3)
        self.silent(self.reconcile(), 3)
        # It came back.
        self.now.write(f"run/vfioctl/stuck/{GPU}", f"{os.getpid()} 1\nsomething\n")
        self.did(self.reconcile(), "1a: brought to mode vm")

    def test_a_step_fails(self):
        for k in range(1, 7):
            with self.subTest(k=k):
                self.on(config=("gpus = 1a",))
                before = self.now.tree()
                result = self.code(1, self.reconcile(faults={"FAIL": k}))
                self.says(result, "step-failed")
                self.unchanged(before, self.now)
                self.now.forget()
                self.did(self.reconcile(), "1a: brought to mode vm")

    def test_driverless_and_left_override(self):
        for options in (("--mode", "83:00.0=none"), ("--override", "83:00.0=vfio-pci"), ("--mode", "83:00.0=vm-only"),
                        ("--mode", "83:00.1=vm-only"), ("--override", "83:00.1=vfio-pci"), ("--mode", "83:00.0=none-only")):
            for work, config, driver in (("", ("gpus = 1a",), "vfio-pci"), ("", ("gpus = 1a", "idle = host"), "nouveau"),
                                         ("vm", (), "vfio-pci"), ("host", (), "nouveau")):
                with self.subTest(options=options, work=work, config=config):
                    self.on(*options, config=config)
                    if work:
                        self.now.write(f"run/vfioctl/work/{GPU}", work)
                    self.code(0, self.reconcile())
                    self.assertEqual(self.now.driver(GPU), driver)
                    self.assertEqual({self.now.override(a) for a in (GPU, AUDIO)}, {"vfio-pci" if driver == "vfio-pci" else None})
                    self.assertEqual(self.names("work"), [])
                    self.silent(self.reconcile())

    def test_switched_off(self):
        self.on()
        self.now.write("proc/cmdline", "ro vfioctl=off\n")
        before = self.now.whole()
        self.silent(self.reconcile())
        self.untouched(before, self.now)
        self.says(self.code(0, self.reconcile("-v")), "vfioctl=off")


class Claims(Reconcile):
    def test_stale_is_dropped(self):
        self.on("--mode", "83:00.0=vm", config=(), vms=[domain("vm1", WITH_GPU)])
        self.write_claim(GPU, "vm1", live=True)
        self.did(self.reconcile(), ("1a: dropped the claim of VM vm1", "does not run"))
        self.assertEqual(self.names("claims"), [])
        self.silent(self.reconcile())

    def test_stale_of_a_vm_that_is_gone(self):
        self.on("--mode", "83:00.0=vm", config=())
        self.write_claim(GPU, "vm1", live=True)
        self.did(self.reconcile(), "dropped the claim of VM vm1")
        self.assertEqual(self.names("claims"), [])

    def test_held_is_kept(self):
        self.on("--mode", "83:00.0=vm", "--holder", "83:00.0=4711,qemu", config=(), vms=[domain("vm1", WITH_GPU)])
        self.write_claim(GPU, "vm1", live=True)
        self.silent(self.reconcile())
        self.assertEqual(self.claim(GPU)[1], "vm1")

    def test_without_libvirt_only_what_nobody_releases(self):
        self.on("--mode", "83:00.0=vm", "--mode", "84:00.0=vm", config=(), vms=None)
        self.write_claim(GPU, "vm1", live=True)
        self.write_claim(OTHER, "vm2")
        self.did(self.reconcile(), "1b: dropped the claim of VM vm2")
        self.assertEqual(self.names("claims"), [GPU])

    def test_missing_is_made(self):
        self.on("--mode", "83:00.0=vm", config=(), vms=[domain("vm1", WITH_GPU, running=True)])
        self.did(self.reconcile(), "1a: noted that VM vm1 runs with it")
        self.assertEqual(self.claim(GPU), (uuid_of("vm1"), "vm1"))
        self.silent(self.reconcile())

    def test_wrong_is_mended(self):
        self.on("--mode", "83:00.0=vm", config=(), vms=[domain("vm1", WITH_GPU, running=True), domain("vm2")])
        self.write_claim(GPU, "vm2", live=True)
        self.did(self.reconcile(), "noted that VM vm1 runs with it")
        self.assertEqual(self.claim(GPU)[1], "vm1")

    def test_dropped_and_given_back_at_once(self):
        """Both in one run, for what a claim kept is free without it."""
        self.on("--mode", "83:00.0=vm", config=("gpus = 1a", "idle = host"), vms=[domain("vm1", WITH_GPU)])
        self.live_hook()
        self.write_claim(GPU, "vm1", live=True)
        self.did(self.reconcile(), "dropped the claim", "brought to mode host")
        self.silent(self.reconcile())


class Moved(Reconcile):
    def away(self, *options, running=False, save=False, config=(), edit=lambda text: text, gpus=("2a",)):
        """A VM with GPUs from before, on a host with one more card, say."""
        text = edit(self.assigned("x10drh-3xv340", ("vm1", *gpus))["vm1"])
        vm = test_domain(text, running)
        self.on(*options, topology="x10drh-3xv340", config=config,
                vms=[vm.replace("</domain>", "<test:hasmanagedsave/></domain>") if save else vm])
        return text

    def mended(self, *options, gpus=("2a",)):
        text = self.away(*options, gpus=gpus)
        result, log = self.asks("reconcile")
        self.assertEqual(result.code, 0, result)
        new = defined(log)["vm1"]
        self.assertEqual(moves(new), moves(text), "the guest sees no difference")
        for name in gpus:
            now = self.now.gpu(name)["address"]
            was = re.search(rf'vfioctl:gpu name="{name}" address="(\S+?)"', text).group(1)
            self.assertIn(f"vfioctl: reconcile: {name}: it was at {was}, and is told so to VM vm1", result.err)
            self.assertIn(f'vfioctl:gpu name="{name}" address="{now}"', new)
            self.assertRegex(new, f'<source>\\s*<address domain="0x0000" bus="0x{now[5:7]}" slot="0x{now[8:10]}" function="0x0"/>')
            self.assertIn(f"{name}: brought to mode vm", result.err)
        self.libvirt(test_domain(new))
        self.silent(self.reconcile())

    def test_running_is_left_and_said(self):
        self.away("--bus-offset", "1", running=True)
        result, log = self.asks("reconcile")
        self.assertEqual(result.code, 3, result)
        self.says(result, "moved", "vm1", "shut it down")
        self.assertEqual(defined(log), {})

    def test_managed_save_is_left_and_said(self):
        self.away("--bus-offset", "1", save=True)
        result, log = self.asks("reconcile")
        self.assertEqual(result.code, 3, result)
        self.says(result, "vm-managed-save", "managedsave-remove")
        self.assertEqual(defined(log), {})

    def test_edited_is_left_and_said(self):
        self.away("--bus-offset", "1", edit=lambda text: re.sub(r"(?s)<hostdev .*?</hostdev>", "", text, count=1))
        result, log = self.asks("reconcile")
        self.assertEqual(result.code, 0, result)
        self.says(result, "edited", "vm1", "2a", "left alone")
        self.assertEqual((defined(log), self.now.log()), ({}, []))
        self.silent(self.reconcile())

    def test_swapped(self):
        self.away()
        path = f"sys/bus/pci/devices/{self.now.gpu('2a')['address']}/device"
        self.now.write(path, "0x1234\n")
        result, log = self.asks("reconcile")
        self.assertEqual(result.code, 3, result)
        self.says(result, "swapped", "vm1", "2a", "vfioctl unassign vm1 --gpu 0000:")
        self.assertEqual((defined(log), self.now.log()), ({}, []))

    def test_gone(self):
        text = self.assigned("x10drh-3xv340", ("vm1", "2a"))["vm1"]
        self.on(config=(), vms=[test_domain(text)])
        result, log = self.asks("reconcile")
        self.assertEqual(result.code, 3, result)
        self.says(result, "gone", "vm1", "2a", "vfioctl unassign vm1 --gpu 0000:")
        self.assertEqual((defined(log), self.now.log()), ({}, []))
        self.silent(self.reconcile(), 3)

    def test_gone_of_one_hinders_not_the_other(self):
        texts = self.assigned("x10drh-3xv340", ("vm1", "2a"), ("vm2", "2b"))
        gone = texts["vm1"].replace("1002:", "10de:")
        self.on("--bus-offset", "1", topology="x10drh-3xv340", config=(), vms=[test_domain(gone), test_domain(texts["vm2"])])
        result, log = self.asks("reconcile")
        self.assertEqual(result.code, 3, result)
        self.assertEqual(list(defined(log)), ["vm2"])

    def test_without_autostart_it_is_not_started(self):
        self.away("--bus-offset", "1")
        self.now.write(f"run/vfioctl/refused/{uuid_of('vm1')}", "vm1\nmoved: somewhere\n")
        result, log = self.asks("reconcile")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(list(defined(log)), ["vm1"])
        self.assertNotIn("virDomainCreate", log)
        self.assertEqual(self.names("refused"), [uuid_of("vm1")], "it is for status to tell")

    def test_refusal_of_one_that_runs_is_forgotten(self):
        self.on(config=(), vms=[domain("vm1", running=True), domain("vm2")])
        for vm in ("vm1", "vm2", "none"):
            self.now.write(f"run/vfioctl/refused/{uuid_of(vm)}", f"{vm}\nfor some reason\n")
        self.silent(self.reconcile())
        self.assertEqual(self.names("refused"), [uuid_of("vm2")])


expand(Moved, [("mended " + " ".join(options) + " ".join(gpus), *options) for options, gpus in (
    (("--bus-offset", "1"), ()), (("--bus-offset-below", "1"), ()), (("--bus-offset-below", "6"), ()), (("--bus-offset", "0x20"), ()))], "mended")


class Trouble(Reconcile):
    def test_libvirt_out_of_reach(self):
        self.on(vms=None)
        self.uri = "test:///no/such/file.xml"
        self.did(self.reconcile(), "1a: brought to mode vm", "1b: brought to mode vm", "libvirt-unreachable", code=3)
        for _ in range(2):
            self.silent(self.reconcile(), 3)
        self.libvirt()
        self.silent(self.reconcile())

    def test_one_unreadable_vm(self):
        text = self.assigned("gtx690", ("vm1", "1a"))["vm1"]
        self.on(config=(), vms=[test_domain(text), domain("vm2")])
        self.did(self.reconcile(), "brought to mode vm")

    def test_broken_configuration(self):
        self.on(config=("gpus = ;;",))
        before = self.now.tree()
        self.says(self.code(2, self.reconcile()), "vfioctl.conf")
        self.unchanged(before, self.now)

    def test_problem_that_went_and_came_is_told_again(self):
        self.on(config=("gpus = 1a",), vms=None)
        self.uri = "test:///no/such/file.xml"
        self.did(self.reconcile(), "brought", "libvirt-unreachable", code=3)
        good = self.uri
        self.libvirt()
        self.silent(self.reconcile())
        self.uri = good
        self.now.write("run/vfioctl/reconciled", "0 -0\n")
        self.did(self.reconcile(), "libvirt-unreachable", code=3)

    def test_single(self):
        self.on()
        self.now.configure("gpus = 1a", "lock-deadline = 300ms")
        os.makedirs(self.now.path("run/vfioctl/lock"), exist_ok=True)
        with open(self.now.path("run/vfioctl/lock/admin"), "w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.silent(self.reconcile())
            self.assertEqual(self.now.log(), [])
        self.did(self.reconcile(), "brought to mode vm")

    def test_eight_at_once(self):
        self.on(topology="x10drh-3xv340", config=("gpus = 1a 1b 2a 2b 3a 3b",))
        began = time.monotonic()
        several = [self.now.start("--connect", self.uri, "reconcile") for _ in range(8)]
        results = [harness.finish(process, began) for process in several]
        self.assertEqual([result.code for result in results], [0] * 8, results)
        self.assertEqual(sum(result.err.count("brought to mode vm") for result in results), 6)
        self.silent(self.reconcile())

    def test_dry_run(self):
        self.on("--holder", "84:00.0=4711,ollama,ollama.service", vms=[domain("vm1", WITH_GPU)])
        self.write_claim(OTHER, "vm9")
        before = self.now.whole()
        result = self.code(3, self.reconcile("--dry-run"))
        self.untouched(before, self.now)
        self.assertEqual(self.now.log(), [])
        for words in ("1a: write vfio-pci to ", "drivers_probe"):
            self.assertIn(words, result.out)
        self.assertIn("in-use", result.err)
        self.assertEqual([line for line in self.code(3, self.reconcile()).lines if "in-use" in line],
                         [line for line in result.lines if "in-use" in line], "the same words")

    def test_dry_run_of_a_move(self):
        text = self.assigned("x10drh-3xv340", ("vm1", "2a"))["vm1"]
        self.on("--bus-offset", "1", topology="x10drh-3xv340", config=(), vms=[test_domain(text)])
        before = self.now.whole()
        result, log = self.asks("reconcile", "--dry-run")
        self.assertEqual(result.code, 0, result)
        self.assertIn("2a: it was at ", result.out)
        self.assertEqual(defined(log), {})
        self.untouched(before, self.now)

    def test_json(self):
        self.on("--holder", "84:00.0=4711,ollama,ollama.service")
        for args in (("--dry-run",), ()):
            result = self.code(3, self.reconcile("--json", *args))
            self.assertEqual(set(result.json), {"changes", "findings", "exit_code"})
            self.assertEqual(result.json["exit_code"], 3)
            self.assertTrue(result.json["changes"])
            for change in result.json["changes"]:
                self.assertEqual(set(change), {"gpu", "text"})
                self.assertEqual(change["gpu"], GPU)
            self.assertEqual([f["code"] for f in result.json["findings"]], ["in-use"])
            for finding in result.json["findings"]:
                self.assertEqual(set(finding), {"severity", "code", "gpu", "culprit", "text", "fix"})
        self.assertEqual(self.code(3, self.reconcile("--json")).json["changes"], [])


class Stamp(Reconcile):
    """Nothing happened: nothing is read, nobody is asked."""

    WAKING = []  # filled in below
    pool = None

    @classmethod
    def fill(cls):
        """One host for each test, as what changed a second ago cannot be relied on: so all wait together."""
        uri = f"{harness.SCRATCH}/node-stamp.xml"
        with open(uri, "w", encoding="utf-8") as file:
            file.write(NODE.format(domain("vm1")))
        hosts = []
        for _ in range(len(cls.WAKING) + 5):
            host = harness.Host(harness.template("gtx690", "--mode", "83:00.0=vm"))
            host.configure("gpus = 1a")
            for folder in ("etc/libvirt/qemu/autostart", "etc/vfioctl/vfioctl.conf.d", "run/vfioctl/claims"):
                os.makedirs(host.path(folder))
            host.write("etc/vfioctl/vfioctl.conf.d/10-a.conf", "# nothing\n")
            hosts.append(host)
        cls.pool = (f"test://{uri}", hosts)

    def settled(self):
        if not self.pool:
            self.fill()
        self.uri, hosts = self.pool
        self.now = hosts.pop()
        self.addCleanup(self.now.close)
        self.rest()
        self.assertFalse(self.awake())

    def rest(self, code=0):
        """Until a run says that the next one can rely on it."""
        def stamped():
            self.code(code, self.reconcile())
            if " -" not in self.now.read("run/vfioctl/reconciled").splitlines()[0]:
                return True
            time.sleep(0.3)
            return False
        self.until(stamped, "a run leaves a stamp")

    def awake(self):
        """Whether it looks: libvirt would not be reached."""
        good, self.uri = self.uri, "test:///no/such/file.xml"
        result = self.reconcile()
        self.uri = good
        self.assertIn(result.code, (0, 3), result)
        self.assertEqual("libvirt-unreachable" in result.err, result.code == 3, result)
        return result.code == 3

    def test_asleep_it_loads_and_opens_nothing(self):
        self.settled()
        trace = f"{harness.SCRATCH}/stamp-libraries"
        self.silent(self.reconcile(env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": trace}))
        found = ""
        for name in os.listdir(harness.SCRATCH):
            if name.startswith("stamp-libraries."):
                with open(f"{harness.SCRATCH}/{name}", encoding="utf-8") as file:
                    found += file.read()
        loaded = set(re.findall(r"file=(?:\S*/)?(lib[\w+-]+)\.so", found))
        self.assertIn("libvfioctl", loaded)
        self.assertFalse(loaded & {"libvirt", "libxml2", "libvfioctl-virt", "libeconf", "libkmod", "libjson-c", "libsmartcols", "libudev"})
        before = os.stat(self.now.path("run/vfioctl/reconciled")).st_mtime_ns
        self.silent(self.reconcile())
        self.assertGreater(os.stat(self.now.path("run/vfioctl/reconciled")).st_mtime_ns, before, "but it notes that it ran")

    def test_asleep_the_exit_status_stays(self):
        self.on(config=("gpus = 1a", "idle = host"), vms=[domain("vm1", WITH_GPU)])
        self.code(3, self.reconcile())
        self.rest(3)
        good, self.uri = self.uri, "test:///no/such/file.xml"
        self.silent(self.reconcile(), 3)
        self.uri = good
        self.assertIn("hook-not-live", self.reconcile("-v").err)

    def test_a_person_is_answered(self):
        self.settled()
        good, self.uri = self.uri, "test:///no/such/file.xml"
        for args in (("--dry-run",), ("--json",), ("-v",)):
            self.code(3, self.reconcile(*args))
        self.uri = good

    def woken(self, act):
        self.settled()
        act(self.now)
        self.assertTrue(self.awake())

    def test_a_run_that_changed_something_is_followed_by_a_look(self):
        self.settled()
        self.code(0, self.now.cli("to-host", "1a"))
        self.did(self.reconcile(), "brought to mode vm")
        self.assertTrue(self.awake())

    def test_without_the_kernels_count_it_always_looks(self):
        self.settled()
        os.unlink(self.now.path("sys/kernel/uevent_seqnum"))
        for _ in range(3):
            self.assertTrue(self.awake())
            self.code(0, self.reconcile())


def _edit_in_place(host):
    with open(host.path("etc/vfioctl/vfioctl.conf"), "r+", encoding="utf-8") as file:
        file.write("g")


Stamp.WAKING = [
    ("an event of the kernel", lambda host: host.write("sys/kernel/uevent_seqnum", "9999\n")),
    ("a change of mode", lambda host: (host.cli("to-vm", "1b"), host.cli("to-host", "1b"))),
    ("the configuration edited in place", _edit_in_place),
    ("the configuration replaced", lambda host: (host.write("etc/vfioctl/new", "gpus = 1a\n"),
                                                 os.rename(host.path("etc/vfioctl/new"), host.path("etc/vfioctl/vfioctl.conf")))),
    ("the configuration gone", lambda host: os.unlink(host.path("etc/vfioctl/vfioctl.conf"))),
    ("a drop-in added", lambda host: host.write("etc/vfioctl/vfioctl.conf.d/20-b.conf", "")),
    ("a drop-in edited in place", lambda host: host.write("etc/vfioctl/vfioctl.conf.d/10-a.conf", "# something\n")),
    ("a drop-in gone", lambda host: os.unlink(host.path("etc/vfioctl/vfioctl.conf.d/10-a.conf"))),
    ("a drop-in of a package", lambda host: host.write("usr/lib/vfioctl/vfioctl.conf.d/10-a.conf", "")),
    ("a claim", lambda host: host.write(f"run/vfioctl/claims/{GPU}", "x")),
    ("a change begun", lambda host: host.write(f"run/vfioctl/work/{GPU}", "vm")),
    ("a refusal", lambda host: host.write(f"run/vfioctl/refused/{uuid_of('x')}", "x\ny\n")),
    ("something stuck", lambda host: host.write(f"run/vfioctl/stuck/{OTHER}", "1 1\nx\n")),
    ("the hook called by another daemon", lambda host: host.write("run/vfioctl/hook", "1 1\n")),
    ("the hook installed", lambda host: host.write("etc/libvirt/hooks/qemu.d/50-vfioctl", "")),
    ("a definition", lambda host: host.write("etc/libvirt/qemu/vm1.xml", "<domain/>")),
    ("autostart", lambda host: os.symlink("../vm1.xml", host.path("etc/libvirt/qemu/autostart/vm1.xml"))),
    ("a VM started", lambda host: host.write("run/libvirt/qemu/vm1.xml", "")),
    ("a managed save", lambda host: host.write("var/lib/libvirt/qemu/save/vm1.save", "")),
]
expand(Stamp, Stamp.WAKING, "woken")


class Large(Reconcile):
    def test_64_gpus_and_1000_vms(self):
        root = f"{harness.SCRATCH}/large"
        subprocess.run([f"{harness.HOSTS}/mkbig", "320", "64", root], check=True)
        self.now = harness.Host(root)
        self.addCleanup(self.now.close)
        gpus = [gpu["address"] for gpu in self.now.gpus()]
        self.assertEqual(len(gpus), 64)
        self.libvirt(*[domain(f"vm{i}", hostdev(gpus[i][5:]) if i < 64 else "") for i in range(1000)])
        process = harness.start("--root", self.now.root, "--connect", self.uri, "reconcile", root=self.now.root)
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual((process.returncode, err), (0, ""))
        if not harness.SANITIZED:
            self.assertLess(usage.ru_maxrss, 32 * 1024)
        self.assertGreater(usage.ru_maxrss, 1024)


if __name__ == "__main__":
    harness.main()
