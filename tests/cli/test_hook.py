#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt calls at each start and stop: what it gets, what it claims and binds, what it refuses, and whom it hinders."""

import glob
import os
import re
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import SECOND, expand  # noqa: E402
from vms import Vms, domain, hostdev, uuid_of  # noqa: E402

SEEDS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../fuzz/corpus/hook")
GPU, AUDIO, OTHER = "0000:83:00.0", "0000:83:00.1", "0000:84:00.0"
WITH_GPU = hostdev("83:00.0") + hostdev("83:00.1")


class Hook(Vms):
    def on(self, *options, config=("gpus = 1a 1b",), topology="gtx690"):
        self.now = self.host(topology, *options)
        if config:
            self.now.configure(*config)
        self.listen()
        self.before = self.now.whole()
        return self.now

    def listen(self):
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(self.log.close)
        self.log.bind(self.now.path("dev/log"))

    def logged(self):
        lines = []
        while True:
            try:
                lines.append(self.log.recv(65536).decode())
            except BlockingIOError:
                return lines

    def fine(self, result):
        """The VM may start, and libvirt has nothing to show for it."""
        self.code(0, result)
        self.assertEqual((result.out, result.err), ("", ""))
        return result

    def refused(self, result, *words):
        self.code(1, result)
        self.assertEqual(result.out, "")
        self.assertEqual(len(result.lines), 1, result)
        self.says(result, " does not start: ", *words)
        self.assertIn(result.lines[0].removeprefix("vfioctl: "), "".join(self.logged()), "the log has the same line")
        return result

    def nothing_done(self):
        self.untouched(self.before, self.now)
        self.assertEqual(self.now.log(), [])


class Input(Hook):
    """Whatever is on standard input: exit 0, not a word to libvirt, nothing changed."""

    def passed(self, text, operation="prepare", stage="begin", logged=False):
        self.on()
        result = self.fine(self.hook(text, operation=operation, stage=stage))
        self.assertLess(result.seconds, 10 * SECOND)
        self.nothing_done()
        lines = self.logged()
        self.assertEqual(len(lines), 1 if logged else 0, lines)
        for line in lines:
            self.assertRegex(line, r"^<28>vfioctl\[\d+\]: hook: the definition of VM vm1 cannot be read, so it is left alone: ")
            self.assertTrue(line.isprintable())

    def test_empty(self):
        self.passed("")

    def test_no_hostdev(self):
        self.passed(domain("vm1"))

    def test_10_mb(self):
        self.passed(domain("vm1", extra="<!--" + "x" * (10 * 1024 * 1024 - 1000) + "-->"))

    def test_10_mb_with_a_gpu(self):
        self.on()
        self.fine(self.hook(domain("vm1", WITH_GPU, extra=f"<!--{'x' * 1000000}-->" * 10)))
        self.assertEqual(self.claim(GPU), (uuid_of("vm1"), "vm1"))

    def test_11_mb(self):
        self.passed(domain("vm1", WITH_GPU, extra="<!--" + "x" * (11 * 1024 * 1024) + "-->"), logged=True)

    def test_11_mb_for_another_operation(self):
        self.passed("x" * (11 * 1024 * 1024), operation="started")

    def test_usb_and_mdev(self):
        self.passed(domain("vm1", "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0xbeef'/>"
                           "</source></hostdev><hostdev mode='subsystem' type='mdev' model='vfio-pci'><source>"
                           "<address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source></hostdev>"))

    def test_no_address(self):
        self.passed(domain("vm1", "<hostdev mode='subsystem' type='pci' managed='yes'><source/></hostdev>"), logged=True)

    def test_gpu_that_is_not_ours(self):
        self.on(config=())
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        self.assertEqual((self.names("claims"), self.now.log()), ([], []))
        self.assertEqual(self.now.driver(GPU), "nouveau")

    def test_40_hostdevs(self):
        self.on()
        many = "".join(hostdev(f"{bus:02x}:00.0") for bus in range(0x80, 0xa8))
        self.fine(self.hook(domain("vm1", many)))
        self.assertEqual(self.names("claims"), [GPU, OTHER], "the two that are GPUs")
        self.assertEqual({self.now.driver(address) for address in (GPU, AUDIO, OTHER)}, {"vfio-pci"})

    def seed(self, name):
        """What the fuzzer starts with; some are sound definitions of GPUs that are not here."""
        self.on()
        with open(f"{SEEDS}/{name}", "rb") as file:
            text = file.read()
        for operation, stage in (("prepare", "begin"), ("release", "end"), ("reconnect", "begin")):
            result = self.hook(text, operation=operation, stage=stage)
            self.assertEqual(result.out, "")
            self.assertIn(result.code, (0, 1) if operation == "prepare" else (0,), result)
            self.assertLessEqual(len(result.lines), 1)
            if result.code:
                self.assertRegex(result.err, "does not start: (gone|moved|swapped): ")
            self.assertEqual((self.names("claims"), self.now.log()), ([], []))

    def broken(self, text):
        self.passed(text, logged=True)


with open(f"{SEEDS}/good.xml", encoding="utf-8") as _file:
    GOOD = _file.read()
expand(Input, [("seed " + name, name) for name in sorted(os.listdir(SEEDS))], "seed")
expand(Input, [
    ("truncated", GOOD[:1500]),
    ("truncated in a tag", GOOD[:GOOD.index("</hostdev>") + 4]),
    ("DOCTYPE", "<!DOCTYPE domain>" + domain("vm1", WITH_GPU)),
    ("external entity", "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + domain("vm1", WITH_GPU).replace("<memory>", "&x;<memory>")),
    ("entity bomb", "<!DOCTYPE domain [<!ENTITY a0 'x'>" + "".join(
        f"<!ENTITY a{i} '{f'&a{i - 1};' * 10}'>" for i in range(1, 12)) + "]>" + domain("vm1", WITH_GPU + "<z>&a11;</z>")),
    ("deep", "<domain><hostdev>" + "<a>" * 100000),
    ("not xml", b"\x7fELF\0\0<hostdev" + bytes(range(256)) * 10),
    ("two roots", domain("vm1", WITH_GPU) * 2),
    ("nul", b"<domain>\0" + domain("vm1", WITH_GPU).encode()),
    ("no domain", "<network>" + WITH_GPU + "</network>"),
], "broken")


class Arguments(Hook):
    def test_missing(self):
        self.on()
        for args in ((), ("vm1",)):
            result = self.code(2, self.now.cli("hook", *args, stdin=b"<domain/>"))
            self.assertEqual(result.out, "")
            self.says(result, "hook")
        self.fine(self.now.cli("hook", "vm1", "prepare", stdin=domain("vm1", WITH_GPU).encode()))
        self.nothing_done()

    def test_other_operations(self):
        self.on()
        text = domain("vm1", WITH_GPU)
        for operation, stage in (("prepare", "end"), ("prepare", ""), ("release", "begin"), ("start", "begin"), ("started", "begin"),
                                 ("stopped", "end"), ("migrate", "begin"), ("restore", "begin"), ("attach", "begin"), ("reconnect", "end"),
                                 ("", ""), ("PREPARE", "begin"), ("prepare\n", "begin"), ("x" * 60000, "y" * 60000), ("nonsense", "begin")):
            with self.subTest(operation=operation[:20], stage=stage[:20]):
                self.fine(self.hook(text, operation=operation, stage=stage))
                self.nothing_done()

    def name(self, name):
        self.on("--mode", "83:00.0=vm")
        self.fine(self.hook(domain("vm1", WITH_GPU), vm=name))
        uuid, told = self.claim(GPU)
        self.assertEqual(uuid, uuid_of("vm1"))
        self.assertTrue(told.isprintable())
        # The other one is told, on one line, whatever it is called.
        self.refused(self.hook(domain("other", WITH_GPU), vm=name + "2"), "claimed", "virsh shutdown")
        self.fine(self.hook(domain("vm1", WITH_GPU), vm=name, operation="release", stage="end"))
        self.assertEqual(self.names("claims"), [])

    def by_link(self, link, *args):
        """Under the name of the link nothing is an option, and there is no usage either."""
        path = f"{harness.SCRATCH}/{link}"
        if not os.path.islink(path):
            os.symlink(harness.VFIOCTL, path)
        for text in ("", domain("vm1"), "<hostdev", "x" * 100000):
            self.fine(harness.run(*args, program=path, stdin=text.encode()))


expand(Arguments, [(f"{i} {name[:20]}", name) for i, name in enumerate(
    ["--help", "--root", "--version", "list", "-", "--", "-q", "a b", " ", "quote'd", 'dq"uote', "$(reboot)", "`x`", "two\nlines", "tab\there",
     "\x1b[31mred", "ünïcode", "%s%n", "x" * 300, "x" * 10000, "../../etc/passwd", ""])], "name")
expand(Arguments, [(f"{link} {' '.join(args)}"[:60] + str(i), link, *args) for i, (link, args) in enumerate(
    (link, args) for link in ("50-vfioctl", "qemu", "99-zz-vfioctl")
    for args in ((), ("--help",), ("--help", "prepare", "begin", "-"), ("--version", "release", "end", "-"), ("list",),
                 ("--root", "/nonexistent", "list"), ("vm1", "--help", "--json"), ("-", "-", "-", "-"), ("vm", "started", "begin", "-", "-")))],
       "by_link")


class Prepare(Hook):
    def test_claims_and_binds(self):
        self.on()
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        self.assertEqual(self.claim(GPU), (uuid_of("vm1"), "vm1"))
        self.assertEqual({self.now.driver(a) for a in (GPU, AUDIO)}, {"vfio-pci"})
        self.assertEqual({self.now.override(a) for a in (GPU, AUDIO)}, {"vfio-pci"})
        self.assertEqual((self.now.driver(OTHER), self.now.override(OTHER)), ("nouveau", None), "its twin is not touched")
        self.assertEqual((self.names("claims"), self.names("work"), self.names("refused")), ([GPU], [], []))
        pid, _ = self.now.read("run/vfioctl/hook").split()
        self.assertEqual(int(pid), os.getpid(), "and notes who called")

    def test_of_one_in_mode_vm_nothing_is_written(self):
        self.on("--mode", "83:00.0=vm")
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        self.assertEqual(self.now.log(), [])
        self.assertEqual(self.claim(GPU)[1], "vm1")
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        self.assertEqual(self.now.log(), [], "again is the same")

    def test_second_vm_is_refused(self):
        self.on()
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        before = self.now.tree()
        self.refused(self.hook(domain("vm2", WITH_GPU), "vm2"), "VM vm2", "1a (0000:83:00.0)", "claimed", "vm1", "virsh shutdown vm1")
        self.unchanged(before, self.now)
        self.assertEqual(self.claim(GPU)[1], "vm1")
        self.assertEqual(self.names("refused"), [uuid_of("vm2")])
        name, reason = self.now.read(f"run/vfioctl/refused/{uuid_of('vm2')}").splitlines()
        self.assertEqual(name, "vm2")
        self.assertIn("claimed", reason)
        # Its end, which libvirt tells of as well, takes nothing from the first.
        self.fine(self.hook(domain("vm2", WITH_GPU), "vm2", "release", "end"))
        self.assertEqual(self.claim(GPU)[1], "vm1")
        self.fine(self.hook(domain("vm1", WITH_GPU), operation="release", stage="end"))
        self.fine(self.hook(domain("vm2", WITH_GPU), "vm2"))
        self.assertEqual((self.claim(GPU)[1], self.names("refused")), ("vm2", []), "forgotten")

    def test_claim_of_a_daemon_that_is_gone(self):
        self.on()
        self.fine(self.hook(domain("vm1", WITH_GPU), dead=True))
        self.assertEqual(self.claim(GPU)[1], "vm1")
        self.fine(self.hook(domain("vm2", WITH_GPU), "vm2"))
        self.assertEqual(self.claim(GPU)[1], "vm2")

    def test_what_is_no_claim_hinders_nobody(self):
        for text in ("", "\n", "x", f"{uuid_of('a')} 1\nvm\n", "a b c\nd\n", "\0" * 100, "x" * 5000, f"{uuid_of('a')} {os.getpid()} 1\nvm\n"):
            with self.subTest(text=text[:20]):
                self.on()
                self.now.write(f"run/vfioctl/claims/{GPU}", text)
                self.fine(self.hook(domain("vm1", WITH_GPU)))
                self.assertEqual(self.claim(GPU)[1], "vm1")

    def test_both_or_none(self):
        """One of two is claimed by another VM: of the other one nothing is claimed or bound."""
        self.on()
        self.fine(self.hook(domain("vm1", hostdev("84:00.0"))))
        before = self.now.tree()
        self.refused(self.hook(domain("vm2", WITH_GPU + hostdev("84:00.0")), "vm2"), "1b", "claimed")
        self.unchanged(before, self.now)
        self.assertEqual(self.names("claims"), [OTHER])

    def test_holder(self):
        self.on("--holder", "83:00.0=4711,ollama,ollama.service")
        self.refused(self.hook(domain("vm1", WITH_GPU)), "in-use", "ollama.service", "4711", "systemctl stop ollama.service")
        self.assertEqual((self.now.log(), self.names("claims")), ([], []))
        self.fine(self.hook(domain("vm2", hostdev("84:00.0")), "vm2"))

    def test_holder_through_vfio(self):
        self.on("--mode", "83:00.0=vm", "--holder", "83:00.0=4711,qemu")
        self.refused(self.hook(domain("vm1", WITH_GPU)), "in-use", "4711")
        self.assertEqual(self.names("claims"), [])

    def test_group_that_is_not_viable(self):
        self.on(topology="x10drh-v340-noacs", config=("gpus = 1a",))
        address = self.now.gpu("1a")["address"]
        result = self.refused(self.hook(domain("vm1", hostdev(address[5:]))), "group-shared", "IOMMU group")
        self.assertIn("to mend it: ", result.err)
        self.assertEqual((self.now.log(), self.names("claims")), ([], []))

    def test_boot_display(self):
        self.on(topology="desktop-2xrtx3050", config=("gpus = all",))
        self.refused(self.hook(domain("vm1", hostdev("0a:00.0"))), "boot-display")
        self.assertEqual(self.now.log(), [])

    def test_by_hand_with_managed_no(self):
        self.on()
        self.fine(self.hook(domain("vm1", hostdev("83:00.0", "no"))))
        self.assertEqual((self.claim(GPU)[1], self.now.driver(GPU)), ("vm1", "vfio-pci"))
        self.refused(self.hook(domain("vm2", hostdev("83:00.0", "no")), "vm2"), "claimed")

    def test_companion_alone_claims_the_gpu(self):
        self.on()
        self.fine(self.hook(domain("vm1", hostdev("83:00.1"))))
        self.assertEqual(self.names("claims"), [GPU])
        self.refused(self.hook(domain("vm2", hostdev("83:00.0")), "vm2"), "claimed")

    def test_broken_configuration_hinders_nobody(self):
        for config in ("gpus = ;;", "nonsense", "step-deadline = never", "[x", "\0\0"):
            with self.subTest(config=config):
                self.on(config=(config,))
                self.fine(self.hook(domain("vm1")))
                self.assertEqual(self.logged(), [], "nobody asked")
                self.fine(self.hook(domain("vm1", WITH_GPU)))
                self.assertEqual(self.names("claims"), [])

    def test_switched_off(self):
        self.on()
        self.now.write("proc/cmdline", "BOOT_IMAGE=/vmlinuz ro vfioctl=off quiet\n")
        self.before = self.now.whole()
        for operation, stage in (("prepare", "begin"), ("reconnect", "begin"), ("release", "end")):
            self.fine(self.hook(domain("vm1", WITH_GPU), operation=operation, stage=stage))
        self.nothing_done()
        self.now.write("proc/cmdline", "BOOT_IMAGE=/vmlinuz ro xvfioctl=off vfioctl=offset\n")
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        self.assertEqual(self.claim(GPU)[1], "vm1")

    def test_run_cannot_be_written(self):
        self.on()
        self.now.write("run/vfioctl", "a file")
        self.refused(self.hook(domain("vm1", WITH_GPU)))
        self.assertEqual(self.now.log(), [])
        self.fine(self.hook(domain("vm2")))

    def test_a_step_fails(self):
        for k in range(1, 7):
            with self.subTest(k=k):
                self.on()
                before = self.now.tree()
                self.refused(self.hook(domain("vm1", WITH_GPU), faults={"FAIL": k}), "step-failed")
                self.unchanged(before, self.now)
                self.assertEqual((self.names("claims"), self.names("work")), ([], []))


class Identity(Hook):
    def met(self, assigns, *options, vm="vm1", swap=None, topology="x10drh-3xv340", config=()):
        """The VM as `assign` wrote it on such a host, started on this one."""
        text = self.assigned(topology, *assigns)[vm]
        self.on(*options, topology=topology, config=config)
        if swap:
            swap()
            self.before = self.now.whole()
        return text

    def test_same(self):
        text = self.met([("vm1", "2a")])
        self.fine(self.hook(text))
        self.assertEqual(len(self.names("claims")), 1, "ours by its metadata, without any configuration")

    def moved(self, *options):
        text = self.met([("vm1", "2a")], *options)
        was = re.search(r'vfioctl:gpu name="2a" address="(\S+?)"', text).group(1)
        now = self.now.gpu("2a")["address"]
        self.assertNotEqual(was, now)
        self.refused(self.hook(text), "moved", "2a", was, now, "vfioctl reconcile")
        self.assertEqual((self.names("claims"), self.now.log()), ([], []))
        self.assertEqual(self.names("refused"), [uuid_of("vm1")])

    def test_moved_where_another_one_was(self):
        """Twins with equal chains: what is at the old address is the same model, in another slot."""
        text = self.met([("vm1", "2a")], "--bus-offset-below", "6")
        was = re.search(r'vfioctl:gpu name="2a" address="(\S+?)"', text).group(1)
        self.assertIn(was, [gpu["address"] for gpu in self.now.gpus()], "this shift puts a twin there")
        self.refused(self.hook(text), "moved", was)
        self.assertEqual(self.names("claims"), [])

    def test_swapped(self):
        def other_ids():
            self.now.write(f"sys/bus/pci/devices/{self.now.gpu('2a')['address']}/device", "0x1234\n")
        text = self.met([("vm1", "2a")], swap=other_ids)
        self.refused(self.hook(text), "swapped", "2a", "vfioctl unassign vm1 --gpu 0000:")
        self.assertEqual((self.names("claims"), self.now.log()), ([], []))

    def test_gone(self):
        text = self.assigned("x10drh-3xv340", ("vm1", "2a"))["vm1"]
        self.on(topology="gtx690", config=())
        self.refused(self.hook(text, "a b"), "gone", "2a", f"vfioctl unassign {uuid_of('vm1')} --gpu 0000:")
        self.assertEqual(self.names("claims"), [])

    def test_edited_is_the_admins_business(self):
        text = self.met([("vm1", "2a")], config=("gpus = 1a 2a",))
        one = self.now.gpu("1a")["address"]
        edited = re.sub(r"(<source>\s*)<address .*?/>", rf'\1<address domain="0" bus="0x{one[5:7]}" slot="0" function="0"/>', text, count=1)
        self.assertNotEqual(edited, text)
        self.fine(self.hook(edited))
        self.assertEqual(self.names("claims"), [one], "what it says now counts")

    def test_of_two_one_moved(self):
        text = self.met([("vm1", "2a", "1b")], "--bus-offset-below", "4")
        self.refused(self.hook(text), "moved")
        self.assertEqual((self.names("claims"), self.now.log()), ([], []))

    def test_release_and_reconnect_do_not_mind(self):
        text = self.met([("vm1", "2a")], "--bus-offset", "1")
        for operation, stage in (("release", "end"), ("reconnect", "begin")):
            self.fine(self.hook(text, operation=operation, stage=stage))
        self.assertEqual(self.now.log(), [])


expand(Identity, [("moved " + " ".join(options), *options) for options in (
    ("--bus-offset", "1"), ("--bus-offset-below", "1"), ("--bus-offset", "0x20"))], "moved")


class Release(Hook):
    def given(self, *options, config=("gpus = 1a 1b", "idle = host"), **more):
        self.on(*options, config=config, **more)
        self.fresh = self.now.tree()

    def test_stays_in_mode_vm(self):
        self.given(config=("gpus = 1a 1b",))
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        writes = len(self.now.log())
        self.fine(self.hook(domain("vm1", WITH_GPU), operation="release", stage="end"))
        self.assertEqual((self.names("claims"), self.now.driver(GPU), len(self.now.log())), ([], "vfio-pci", writes))

    def test_goes_back_to_the_host(self):
        self.given()
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        self.logged()
        self.fine(self.hook(domain("vm1", WITH_GPU), operation="release", stage="end"))
        self.restored(self.fresh, self.now)
        self.assertEqual((self.names("claims"), self.names("work"), self.names("hold")), ([], [], []))
        self.assertIn("1a (0000:83:00.0) is in mode host again", "".join(self.logged()))

    def test_one_that_is_not_ours_stays(self):
        text = self.assigned("gtx690", ("vm1", "1a"))["vm1"]
        self.given(config=("idle = host",))
        self.fine(self.hook(text))
        self.fine(self.hook(text, operation="release", stage="end"))
        self.assertEqual((self.names("claims"), self.now.driver(GPU)), ([], "vfio-pci"))

    def test_holder_keeps_it(self):
        self.given("--mode", "83:00.0=vm", "--holder", "83:00.0=4711,qemu")
        self.now.write(f"run/vfioctl/claims/{GPU}", f"{uuid_of('vm1')} 1 1\nvm1\n")
        self.fine(self.hook(domain("vm1", WITH_GPU), operation="release", stage="end"))
        self.assertEqual((self.names("claims"), self.now.driver(GPU), self.now.log()), ([], "vfio-pci", []))
        self.assertRegex("".join(self.logged()), "1a does not go back to the host: .*in-use.*4711")

    def test_holder_of_one_keeps_not_the_other(self):
        self.given("--mode", "83:00.0=vm", "--mode", "84:00.0=vm", "--holder", "83:00.0=4711,qemu")
        self.fine(self.hook(domain("vm1", WITH_GPU + hostdev("84:00.0")), operation="release", stage="end"))
        self.assertEqual((self.now.driver(GPU), self.now.driver(OTHER)), ("vfio-pci", "nouveau"))

    def test_claim_of_another_vm_keeps_it(self):
        self.given()
        self.fine(self.hook(domain("vm2", WITH_GPU), "vm2"))
        before = self.now.tree()
        self.fine(self.hook(domain("vm1", WITH_GPU), operation="release", stage="end"))
        self.unchanged(before, self.now)
        self.assertEqual((self.claim(GPU)[1], self.now.driver(GPU)), ("vm2", "vfio-pci"))

    def test_after_a_refused_start(self):
        self.given("--holder", "83:00.0=4711,ollama,ollama.service")
        self.refused(self.hook(domain("vm1", WITH_GPU)), "in-use")
        self.fine(self.hook(domain("vm1", WITH_GPU), operation="release", stage="end"))
        self.unchanged(self.fresh, self.now)
        self.assertEqual((self.names("claims"), self.now.log()), ([], []))

    def test_of_a_definition_that_lost_the_gpu(self):
        self.given()
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        self.fine(self.hook(domain("vm1", hostdev("84:00.0")), operation="release", stage="end"))
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        self.fine(self.hook(domain("vm1", ""), operation="release", stage="end"))
        self.assertEqual(self.names("claims"), [])

    def test_of_one_that_is_stuck(self):
        self.given("--mode", "83:00.0=vm")
        self.fine(self.hook(domain("vm1", WITH_GPU)))
        self.now.write(f"run/vfioctl/stuck/{GPU}", f"{os.getpid()} {self.start_time()}\nsomething\n")
        self.fine(self.hook(domain("vm1", WITH_GPU), operation="release", stage="end"))
        self.assertEqual((self.names("claims"), self.now.log()), ([], []))

    @staticmethod
    def start_time():
        with open("/proc/self/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[19]


class Reconnect(Hook):
    def again(self, text=None, **more):
        return self.fine(self.hook(text or domain("vm1", WITH_GPU), operation="reconnect", stage="begin", **more))

    def test_claims_anew(self):
        self.on("--mode", "83:00.0=vm", "--holder", "83:00.0=4711,qemu")
        self.again()
        self.assertEqual((self.claim(GPU)[1], self.now.log()), ("vm1", []))
        self.refused(self.hook(domain("vm2", WITH_GPU), "vm2"), "claimed")

    def test_takes_over_from_the_daemon_before(self):
        self.on("--mode", "83:00.0=vm")
        self.fine(self.hook(domain("vm1", WITH_GPU), dead=True))
        self.again()
        self.assertEqual(self.now.read(f"run/vfioctl/claims/{GPU}").split()[1], str(os.getpid()))

    def test_always_ends_well(self):
        self.on()
        for text in ("<domain", "x", "<!DOCTYPE domain>" + domain("vm1", WITH_GPU)):
            self.again(text)
        self.now.write("run/vfioctl", "a file")
        self.again()
        os.unlink(self.now.path("run/vfioctl"))
        os.rename(self.now.path("sys/bus/pci"), self.now.path("sys/bus/gone"))
        self.again()


class Process(Hook):
    """What it is to libvirt and to the machine."""

    def libraries(self, text, operation="prepare", stage="begin"):
        trace = f"{harness.SCRATCH}/libraries"
        self.code(0, self.hook(text, operation=operation, stage=stage, env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": trace}))
        found = ""
        for path in glob.glob(f"{trace}.*"):
            with open(path, encoding="utf-8", errors="replace") as file:
                found += file.read()
            os.unlink(path)
        self.assertIn("libvfioctl.so", found)
        return set(re.findall(r"file=(?:\S*/)?(lib[\w+-]+)\.so", found))

    def test_no_libvirt(self):
        self.on()
        self.assertFalse(self.libraries(domain("vm1")) & {"libvirt", "libxml2", "libvfioctl-virt", "libeconf", "libkmod", "libpci", "libjson-c"})
        loaded = self.libraries(domain("vm1", WITH_GPU))
        self.assertIn("libxml2", loaded)
        self.assertNotIn("libvirt", loaded)
        self.assertNotIn("libvirt", self.libraries(domain("vm1", WITH_GPU), "release", "end"))

    def test_session_user(self):
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        if os.geteuid() != 0 or subprocess.run([*nobody, harness.VFIOCTL, "--version"], capture_output=True, check=False).returncode:
            self.skipTest("cannot run it as nobody")
        link = f"{harness.SCRATCH}/51-vfioctl"
        os.symlink(harness.VFIOCTL, link)
        for operation, stage in (("prepare", "begin"), ("release", "end"), ("reconnect", "begin")):
            self.fine(harness.run("vm1", operation, stage, "-", program=link, through=nobody, stdin=domain("vm1", WITH_GPU).encode()))

    def test_a_log_that_does_not_read(self):
        self.on("--holder", "83:00.0=4711,ollama,ollama.service")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as full:
            with self.assertRaises(BlockingIOError):
                while True:
                    full.sendto(b"x" * 1000, self.now.path("dev/log"))
        self.says(self.code(1, self.hook(domain("vm1", WITH_GPU))), "in-use")

    def test_input_that_does_not_end(self):
        self.on(config=("gpus = 1a", "hook-deadline = 500ms"))
        process = harness.start("--root", self.now.root, "hook", "vm1", "prepare", "begin", root=self.now.root, stdin=True)
        process.stdin.write(b"<domain>")
        process.stdin.flush()
        began = time.monotonic()
        self.assertEqual(process.wait(timeout=harness.TIMEOUT), 0)
        self.assertLess(time.monotonic() - began, 10 + 5 * SECOND)
        process.communicate()

    def hangs(self, k):
        """Bounded, said, recorded, and what is left behind holds nothing of libvirt's."""
        self.on(config=("gpus = 1a 1b", "hook-deadline = 1s", "step-deadline = 30s"))
        result = self.refused(self.hook(domain("vm1", WITH_GPU), faults={"HANG": k}), "stuck")
        self.assertLess(result.seconds, 1 + 5 * SECOND, "communicate() has seen the end of all three pipes")
        self.assertEqual(self.names("claims"), [])
        stuck = self.names("stuck")
        self.assertEqual(len(stuck), 1)
        pid = int(self.now.read(f"run/vfioctl/stuck/{stuck[0]}").split()[0])
        for number in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{number}")
            self.assertFalse(target.startswith("pipe:") or "/lock" in target, target)
        # Others go on, and the stuck one is refused without waiting for it.
        self.assertLess(self.fine(self.hook(domain("vm2", hostdev("84:00.0")), "vm2")).seconds, 5 * SECOND)
        self.assertLess(self.fine(self.hook(domain("vm3"), "vm3")).seconds, 5 * SECOND)
        self.assertLess(self.refused(self.hook(domain("vm1", WITH_GPU)), "stuck").seconds, 5 * SECOND)
        self.fine(self.hook(domain("vm1", WITH_GPU), operation="release", stage="end"))

    def test_as_installed(self):
        """By the name of the link, on what it takes for this machine."""
        build = os.path.dirname(os.path.dirname(os.path.realpath(harness.VFIOCTL)))
        self.on("--mode", "83:00.0=vm")
        script = ('set -e; root=$1; shift; for path; do [ -L "$path" ] || [ ! -d "$path" ] || { mkdir -p "$root$path"; '
                  'mount --rbind "$path" "$root$path"; }; [ ! -L "$path" ] || cp -P "$path" "$root$path"; done; '
                  'mkdir -p "$root/etc/libvirt/hooks/qemu.d"; ln -s "$VFIOCTL" "$root/etc/libvirt/hooks/qemu.d/50-vfioctl"; '
                  'chroot "$root" /etc/libvirt/hooks/qemu.d/50-vfioctl --help prepare begin -; '
                  'cat "$root/run/vfioctl/claims/0000:83:00.0"')
        if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
            self.skipTest("cannot mount")
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", self.now.root, "/usr", "/bin", "/lib", "/lib64", "/proc",
                               build], input=domain("vm1", WITH_GPU).encode(), capture_output=True, check=False,
                              env={**harness.environment(None, {}), "VFIOCTL": os.path.realpath(harness.VFIOCTL)})
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        first, name = done.stdout.decode().splitlines()
        self.assertEqual((first.split()[0], name), (uuid_of("vm1"), "--help"))


expand(Process, [(f"hangs at {k}", k) for k in (7, 9, 10, 11, 13, 14, 15)], "hangs")

if __name__ == "__main__":
    harness.main()
