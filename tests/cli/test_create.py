#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""create: what it makes, what it refuses, and that nothing is left of what failed half way. What is defined with libvirt's
test driver ends with the call, so that libvirt was told to take it away is read from its log."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import FAKEKERNEL, Host, TOPOLOGIES, VFIOCTL, changed_topology, expand, run, template  # noqa: E402
from vms import Vms, defined, domain, hostdev, uuid_of  # noqa: E402

FAILVIRT = os.environ.get("FAILVIRT_SO", f"{harness.BUILD}/tests/cli/failvirt.so")
UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
DISK = "/images/vm1.img"
USUAL = ("--template", "linux-streaming", "--memory", "4G", "--vcpus", "4", "--hugepages", "no")


def arguments(name="vm1", disk=f"{DISK},size=10G", *more):
    return ("create", *USUAL, "--disk", disk, *more, "--", name)


class Create(Vms):
    def on(self, topology, *options):
        self.libvirt(domain("other"))
        self.now = self.host(topology, *options)
        os.mkdir(self.now.path("images"))
        self.before = self.now.tree()
        return self.now

    def cli(self, *args, **more):
        return self.now.cli("--connect", self.uri, *args, **more)

    def failing(self, what, *args, grab=None, **more):
        env = {"LD_PRELOAD": f"{FAKEKERNEL} {FAILVIRT}", "FAILVIRT": what, **({"FAILVIRT_GRAB": grab} if grab else {})}
        log = f"{harness.SCRATCH}/failing.log"
        env.update(LIBVIRT_DEBUG="1", LIBVIRT_LOG_OUTPUTS=f"1:file:{log}")
        if os.path.exists(log):
            os.unlink(log)
        result = self.now.cli("--connect", self.uri, *args, env=env, **more)
        self.asked = ""
        if os.path.exists(log):
            with open(log, encoding="utf-8", errors="replace") as file:
                self.asked = file.read()
        result.err = re.sub(r"(?m)^\d{4}-\d\d-\d\d .*?: \d+: (info|debug) : .*\n", "", result.err)
        return result

    def nothing_left(self, leave_out=(".fake", "run")):
        """Neither disk nor GPU's mode, nor a claim or anything else that is noted of a change."""
        self.restored(self.before, self.now, leave_out)
        for folder in ("claims", "work", "hold", "stuck"):
            self.assertEqual(self.names(folder), [], folder)

    def refused(self, code, *args):
        result = self.code(code, self.cli(*args))
        self.fit(result)
        self.nothing_left()
        self.assertEqual(self.now.log(), [], "nothing was written")
        return result

    def made(self, *args):
        """What libvirt was told to define."""
        result, log = self.asks(*args)
        self.code(0, result)
        texts = list(defined(log).values())
        self.assertEqual(len(texts), 1, result)
        return ET.fromstring(texts[0])


class Success(Create):
    def each(self, topology):
        options = {"x10drh-v340-noacs": ("--mode", "02:00.1=none-only", "--mode", "81:00.1=none-only")}.get(topology, ())
        count = 2 if topology == "x10drh-v340-noacs" else 1
        self.on(topology, *options)
        root = self.made(*arguments("vm1", f"{DISK},size=10G", "--count", str(count), "--start"))
        self.assertEqual(root.findtext("name"), "vm1")
        self.assertRegex(root.findtext("uuid"), f"^{UUID}$")
        addresses = [a.attrib for a in root.findall("devices/hostdev/source/address")]
        given = [gpu for gpu in self.now.gpus() if gpu["mode"] == "vm"]
        self.assertEqual(len(given), count)
        self.assertEqual(len(addresses), sum(len(gpu["functions"]) for gpu in given))
        self.assertEqual(os.stat(self.now.path("images/vm1.img")).st_size, 10 << 30)
        self.assertEqual(os.stat(self.now.path("images/vm1.img")).st_mode & 0o7777, 0o600)
        self.assertLess(os.stat(self.now.path("images/vm1.img")).st_blocks, 100)
        self.assertEqual(self.names("work"), [])

    def test_qcow2(self):
        self.on("m2000")
        root = self.made(*arguments("vm1", "/images/a.qcow2,size=7G"))
        self.assertEqual(root.find("devices/disk/driver").get("type"), "qcow2")
        info = json.loads(subprocess.run(["qemu-img", "info", "--output=json", self.now.path("images/a.qcow2")], check=True,
                                         capture_output=True).stdout)
        self.assertEqual((info["format"], info["virtual-size"]), ("qcow2", 7 << 30))
        self.code(0, self.cli(*arguments("vm2", "/images/a.qcow2", "--dry-run")))

    def test_a_disk_that_is_there(self):
        self.on("m2000")
        self.now.write("images/vm1.img", b"precious")
        root = self.made(*arguments("vm1", DISK))
        self.assertEqual(root.find("devices/disk/driver").get("type"), "raw")
        self.assertEqual(self.now.read("images/vm1.img"), "precious")

    def test_dry_run(self):
        self.on("gtx690")
        before = self.now.whole()
        lines = self.code(0, self.cli(*arguments("vm1", f"{DISK},size=10G", "--dry-run", "--start"))).out.splitlines()
        self.assertEqual((lines[0], lines[-2:]), (f"make disk {DISK} (raw, 10.0 GiB)", ["define vm1", "start vm1"]))
        shown = self.code(0, self.cli(*arguments("vm1", f"{DISK},size=10G", "--dry-run", "--start", "--json"))).json
        self.assertEqual([step["text"] for step in shown["steps"]], lines)
        self.assertIn("<name>vm1</name>", shown["definition"])
        self.untouched(before, self.now)
        self.code(0, self.cli(*arguments("vm1", f"{DISK},size=10G", "--start")))
        written = [line.split(" to ")[1] for line in lines if line.startswith("write ")]
        self.assertEqual([os.path.basename(line[1]) for line in self.now.log()], [os.path.basename(path) for path in written])

    def test_nobody_sees_the_installer(self):
        """A V340 has no connector, a GTX 690 has."""
        for topology, more, warned in (("x10drh-3xv340", (), True), ("x10drh-3xv340", ("--display", "rescue"), False),
                                       ("gtx690", (), False)):
            with self.subTest(topology=topology, more=more):
                self.on(topology)
                self.now.write("images/a.iso", "")
                result = self.code(0, self.cli(*arguments("vm1", f"{DISK},size=1G", "--iso", "/images/a.iso", "--dry-run", *more)))
                self.assertEqual("no-display: " in result.err, warned, result)
                if warned:
                    self.says(result, "vm1", "--display rescue")

    def test_json(self):
        self.on("m2000")
        shown = self.code(0, self.cli(*arguments("vm1", f"{DISK},size=1G", "--json"))).json
        self.assertEqual((shown["steps"][0]["text"], shown["steps"][-1]["vm"], shown["vm"]),
                         (f"make disk {DISK} (raw, 1.0 GiB)", "vm1", "vm1"))
        self.assertEqual(self.now.gpu("1a")["mode"], "vm")

    def test_print_needs_nothing(self):
        """No libvirt, no disk, no iso; and it is what would be defined."""
        host = self.host("x10drh-3xv340")
        before = host.whole()
        args = arguments("vm1", "/no/such.img", "--iso", "/no/such.iso", "--network", "nowhere", "--print")
        root = ET.fromstring(self.code(0, host.cli(*args, fake=False)).out)
        self.assertEqual(root.get("type"), "kvm")
        self.assertIsNone(root.find("uuid"))
        self.untouched(before, host)

    def test_print_is_what_is_defined(self):
        self.on("x10drh-3xv340")
        printed = self.code(0, self.cli(*arguments("vm1", f"{DISK},size=1G", "--print"))).out.strip()
        shown = self.code(0, self.cli(*arguments("vm1", f"{DISK},size=1G", "--dry-run", "--json"))).json["definition"].strip()
        self.assertEqual(re.sub(f"\n *<uuid>{UUID}</uuid>", "", shown), printed)

    def test_named_gpus(self):
        self.on("x10drh-3xv340")
        root = self.made(*arguments("vm1", f"{DISK},size=1G", "--gpu", "3b"))
        self.assertEqual(root.find("numatune/memory").get("nodeset"), "1")
        self.assertEqual(self.now.gpu("3b")["mode"], "vm")

    def test_paths_are_absolute(self):
        self.on("m2000")
        text = self.code(0, self.cli(*arguments("vm1", "some,odd/disk.img,size=1G", "--print", "--iso", "an.iso"))).out
        here = os.getcwd()
        self.assertIn(f'<source file="{here}/some,odd/disk.img"/>', text)
        self.assertIn(f'<source file="{here}/an.iso"/>', text)

    def test_options(self):
        self.on("m2000")
        for path in ("a.iso", "b.iso", "dev/input/by-id/usb-x-event-kbd", "dev/input/event7"):
            self.now.write(path, "")
        os.makedirs(self.now.path("sys/class/net/br0/bridge"))
        root = self.made(*arguments("vm1", f"{DISK},size=1G", "--iso", "/a.iso", "--iso", "/b.iso", "--bridge", "br0", "--os", "windows",
                                    "--evdev", "/dev/input/by-id/usb-x-event-kbd", "--evdev", "/dev/input/event7",
                                    "--looking-glass", "2560x1440", "--display", "none"))
        disks = [(d.get("device"), d.find("source").get("file"), d.find("target").get("dev"),
                  d.find("boot").get("order") if d.find("boot") is not None else None) for d in root.findall("devices/disk")]
        self.assertEqual(disks, [("disk", DISK, "vda", "2"), ("cdrom", "/a.iso", "sda", "1"), ("cdrom", "/b.iso", "sdb", None)])
        self.assertEqual([i.find("source").get("bridge") for i in root.findall("devices/interface")], ["br0"])
        self.assertEqual(root.find("devices/interface/driver").get("queues"), "4")
        self.assertEqual([i.find("source").attrib for i in root.findall("devices/input[@type='evdev']")],
                         [{"dev": "/dev/input/by-id/usb-x-event-kbd", "grab": "all", "grabToggle": "ctrl-ctrl", "repeat": "on"},
                          {"dev": "/dev/input/event7"}])
        shared = root.find("devices/shmem")
        self.assertEqual((shared.get("name"), shared.findtext("size")), ("looking-glass-vm1", "64"))
        self.assertEqual(root.find("devices/tpm").get("model"), "tpm-crb")


expand(Success, [(name, name) for name in TOPOLOGIES])


class Names(Create):
    """What XML, shells and terminals obey comes out as it went in."""

    def each(self, name):
        self.on("m2000")
        path = f"/images/{name}.img"
        root = self.made(*arguments(name, f"{path},size=1M"))
        self.assertEqual(root.findtext("name"), name)
        self.assertEqual(root.find("devices/disk/source").get("file"), path)
        self.assertTrue(os.path.exists(self.now.path(path[1:])))

    def refuses(self, name):
        self.on("m2000")
        self.says(self.refused(2, *arguments(name)), "is no name for a VM")


expand(Names, [(f"odd_{n}", name) for n, name in enumerate(
    ["a b", "<&>\"'", "]]>", "&lt;", "--help", "-", "..", "$(reboot)", "ünïcode", "%s%n", "x" * 200, "list", "1a"])])
expand(Names, [(f"refused_{n}", name) for n, name in enumerate(
    ["", " ", "a/b", "../../etc/passwd", "a\nb", "\x1b[31m", "x" * 201, "x" * 70000, "\x7f", b"\xff\xfe"])], "refuses")


class Usage(Create):
    def test_usage(self):
        self.on("m2000")
        for words, args in (
                ("0", ("--vcpus", "0")), ("-1", ("--vcpus", "-1")), ("many", ("--vcpus", "many")), ("4097", ("--vcpus", "4097")),
                ("1P", ("--memory", "1P")), ("1PiB", ("--memory", "1PiB")), ("-4G", ("--memory", "-4G")), ("lots", ("--memory", "lots")),
                ("0", ("--memory", "0")), ("17T", ("--memory", "17T")), ("4", ("--memory", "4")), ("3M", ("--hugepages", "3M")),
                ("x", ("--display", "x")), ("bsd", ("--os", "bsd")), ("1P", ("--disk", "/images/a,size=1P")),
                ("size=0", ("--disk", "/images/a,size=0")), ("size=-1G", ("--disk", "/images/a,size=-1G")),
                ("size=big", ("--disk", "/images/a,size=big")), ("65T", ("--disk", "/images/a,size=65T")),
                (",size=1G", ("--disk", ",size=1G")), ("a folder", ("--disk", "/images/")), ("give", ("--disk", "/images/a\nb")),
                ("a path", ("--disk", "")), ("--network and --bridge", ("--network", "a", "--bridge", "b")),
                ("--gpu and --count", ("--gpu", "1a", "--count", "2")), ("0x0", ("--looking-glass", "0x0")),
                ("1920", ("--looking-glass", "1920")), ("x", ("--looking-glass", "99999x1")), ("16385", ("--looking-glass", "1x16385")),
                ("twice", ("--iso", "/a", "--iso", "/a")), ("--iso", tuple(w for n in range(7) for w in ("--iso", f"/{n}"))),
                ("no name", ("--network", "a b")), ("no name", ("--bridge", "../x")), ("no name", ("--network", "ü")),
                ("PCI address", ("--usb-controller", "x")), ("--print", ("--print", "--start")), ("--print", ("--print", "--json")),
                ("--print", ("--print", "--dry-run")), ("65", ("--count", "65")), ("1a:", ("--gpu", "1a:"))):
            with self.subTest(args=args):
                result = self.refused(2, "create", *USUAL, "--disk", f"{DISK},size=1G", *args, "--", "vm1")
                if words != "a folder":
                    self.assertIn(words, result.err)

    def test_what_it_wants(self):
        self.on("m2000")
        for n, option in enumerate(("--template", "--memory", "--vcpus")):
            left = USUAL[:2 * n] + USUAL[2 * n + 2:]
            self.says(self.refused(2, "create", *left, "--disk", DISK, "vm1"), option)
        self.says(self.refused(2, "create", *USUAL, "vm1"), "--disk")
        self.refused(2, "create", *USUAL, "--disk", DISK)
        self.refused(2, "create", *USUAL, "--disk", DISK, "vm1", "vm2")
        self.says(self.code(2, self.now.cli(*arguments())), "--connect")


class Refusals(Create):
    def refuses(self, code, words, *args, name="vm1", disk=f"{DISK},size=1G"):
        result = self.says(self.refused(3, *arguments(name, disk, *args)), code, *words, "nothing was changed")
        found = self.code(3, self.cli(*arguments(name, disk, *args, "--dry-run", "--json"))).json["findings"]
        self.assertIn(code, [finding["code"] for finding in found if finding["severity"] == "refusal"])
        return result

    def test_name_taken(self):
        self.on("m2000")
        self.refuses("vm-exists", ("other", "choose another name", "virsh list --all"), name="other")

    def test_disks(self):
        self.on("m2000")
        for words, disk, code in ((("size=100G",), "/images/none.img", "disk-missing"), (("folder",), "/images", "disk-unfit"),
                                  (("folder",), "/images,size=1G", "disk-unfit"), (("no such folder",), "/nowhere/a.img,size=1G", "disk-unfit"),
                                  (("folder",), "/images/../images", "disk-unfit")):
            with self.subTest(disk=disk):
                self.refuses(code, words, disk=disk)

    def test_a_disk_is_not_overwritten(self):
        host = self.on("m2000")
        host.write("images/a.img", "precious")
        os.symlink("a.img", host.path("images/link.img"))
        os.symlink("nowhere", host.path("images/dangling.img"))
        self.before = host.tree()
        self.refuses("disk-exists", ("not overwritten",), disk="/images/a.img,size=1G")
        self.refuses("disk-exists", ("not overwritten",), disk="/images/link.img,size=1G")
        result = self.cli(*arguments("vm1", "/images/dangling.img,size=1G"))
        self.says(self.code(3, result), "File exists", "nothing was changed")
        self.nothing_left()
        os.mkfifo(host.path("images/fifo"))
        self.before = host.tree()
        self.refuses("disk-unfit", ("no disk",), disk="/images/fifo")

    def test_a_disk_that_lies(self):
        """A guest that has it as a raw disk could have it taken for a qcow2 image, with any file behind it."""
        host = self.on("m2000")
        host.write("images/a.img", b"QFI\xfb" + b"\0" * 600)
        host.write("images/b.qcow2", b"\0" * 600)
        self.before = host.tree()
        self.refuses("disk-unfit", ("does not say",), disk="/images/a.img")
        self.refuses("disk-unfit", ("no qcow2 image",), disk="/images/b.qcow2")

    def test_a_disk_of_another_vm(self):
        self.on("m2000")
        self.now.write("images/a.img", "x")
        os.symlink("a.img", self.now.path("images/link.img"))
        self.before = self.now.tree()
        for path in ("/images/a.img", self.now.path("images/a.img")):
            self.libvirt(domain("owner", f"<disk type='file'><source file='{path}'/><target dev='vda'/></disk>"))
            self.refuses("disk-in-use", ("owner",), disk="/images/a.img")
        self.refuses("disk-in-use", ("owner",), disk="/images/link.img")
        os.link(self.now.path("images/a.img"), self.now.path("images/hard.img"))
        self.before = self.now.tree()
        for path in ("/images/link.img", "/images/hard.img", "/images//a.img"):
            self.libvirt(domain("owner", f"<disk type='file'><source file='{path}'/><target dev='vda'/></disk>"))
            self.refuses("disk-in-use", ("owner",), disk="/images/a.img")
        self.libvirt(domain("owner", "<disk type='file'><source file='/images/new.img'/><target dev='vda'/></disk>"))
        self.refuses("disk-in-use", ("owner",), disk="/images/new.img,size=1G")
        self.libvirt(domain("owner", "<disk type='file' device='cdrom'><source file='/images/a.img'/><target dev='sda'/><readonly/></disk>"))
        self.code(0, self.cli(*arguments("vm1", "/images/a.img", "--dry-run")))

    def test_more_than_there_is_room_for(self):
        self.on("m2000")
        self.says(self.code(0, self.cli(*arguments("vm1", f"{DISK},size=64T", "--dry-run"))), "disk-space", "65536.0 GiB")

    def test_files(self):
        self.on("m2000")
        self.now.write("dev/sda9", "")
        self.before = self.now.tree()
        self.refuses("iso-missing", ("/no.iso",), "--iso", "/no.iso")
        self.refuses("iso-missing", ("/images",), "--iso", "/images")
        self.refuses("input-missing", ("/dev/input/x",), "--evdev", "/dev/input/x")
        self.refuses("input-missing", ("/dev/sda9",), "--evdev", "/dev/sda9")
        os.makedirs(self.now.path("sys/class/net/eth7"))
        self.before = self.now.tree()
        for name in ("br9", "eth7", ".", ".."):
            self.refuses("network-missing", (name, "ip link"), "--bridge", name)
        self.refuses("network-missing", ("nowhere", "virsh net-list"), "--network", "nowhere")

    def test_networks(self):
        self.on("m2000")
        self.uri = "test:///default"
        self.code(0, self.cli(*arguments("vm1", f"{DISK},size=1G", "--network", "default", "--dry-run")))
        self.assertNotIn("network-missing", self.code(0, self.cli(*arguments("vm1", f"{DISK},size=1G", "--dry-run"))).err)
        self.libvirt(domain("other"))
        self.says(self.code(0, self.cli(*arguments("vm1", f"{DISK},size=1G", "--dry-run"))), "network-missing", "no network default")

    def test_no_gpu(self):
        self.on("gtx690", "--holder", "83:00.0=4711,a,ollama.service", "--holder", "84:00.0=4712,b,b.service")
        self.refuses("no-gpu", ("ollama.service",))
        self.refuses("in-use", ("4711",), "--gpu", "1a")
        self.refuses("no-gpu", (), "--count", "3")
        self.says(self.refused(3, *arguments("vm1", f"{DISK},size=1G", "--gpu", "1c")), "1c")

    def test_of_another_vm(self):
        self.on("gtx690")
        self.libvirt(domain("game", hostdev("83:00.0") + hostdev("83:00.1")))
        self.refuses("assigned", ("game",), "--gpu", "1a")

    def test_no_room(self):
        self.on("m2000")
        self.refuses("no-memory", ("1000.0 GiB",), "--memory", "1000G")

    def test_no_huge_pages(self):
        self.on("m2000")
        self.refuses("no-pages", ("hugepages-1048576kB",), "--hugepages", "1G")

    def test_templates(self):
        host = self.on("m2000")
        self.says(self.refused(3, *arguments("vm1", DISK, "--template", "nope")), "linux-compute, linux-streaming, minimal")
        for name in ("../../etc/passwd", "/etc/passwd", "minimal.xml", "", "MINIMAL", "\x1b[31m"):
            result = self.cli(*arguments("vm1", DISK, "--template", name))
            self.assertIn(result.code, (2, 3), name)
            self.fit(result)
        host.write("etc/vfioctl/templates/minimal.xml", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>\n<domain/>")
        self.before = host.tree()
        self.says(self.refused(3, *arguments("vm1", DISK, "--template", "minimal")), "minimal.xml", "line 1", "DOCTYPE",
                  "nothing was changed")
        for name in ("nope", "minimal"):
            result = self.refused(3, *arguments("vm1", DISK, "--template", name, "--json"))
            self.assertEqual((result.json["steps"], result.json["findings"]), ([], []))

    def test_out_of_reach(self):
        self.on("m2000")
        self.uri = "test:///no/such/file.xml"
        self.refused(1, *arguments())


class Usb(Create):
    """A controller is judged as a GPU is: it goes alone, and never when the host needs it."""

    ARGS = arguments("vm1", f"{DISK},size=1G", "--usb-controller", "00:14.0")

    def changed(self, change):
        self.libvirt(domain("other"))
        self.now = changed_topology("gtx690", change)
        self.addCleanup(self.now.close)
        os.mkdir(self.now.path("images"))
        self.before = self.now.tree()

    def test_alone(self):
        self.on("gtx690")
        root = self.made(*self.ARGS)
        found = [(h.get("managed"), h.find("source/address").get("bus"), h.find("source/address").get("slot"))
                 for h in root.findall("devices/hostdev")]
        self.assertIn(("yes", "0x00", "0x14"), found)
        self.assertEqual(len(found), 3)
        self.assertEqual(self.now.driver("0000:00:14.0"), "xhci_hcd", "libvirt binds it when the VM starts")

    def test_shared(self):
        def join(by_address, _):
            by_address["0000:00:1a.0"]["iommu_group"] = by_address["0000:00:14.0"]["iommu_group"]
        self.changed(join)
        self.says(self.refused(3, *self.ARGS), "group-shared", "0000:00:1a.0")

    def test_what_the_host_needs(self):
        """The root file system is on a disk at a neighbour in its group."""
        def join(by_address, _):
            by_address["0000:00:11.4"]["iommu_group"] = by_address["0000:00:14.0"]["iommu_group"]
        self.changed(join)
        self.says(self.refused(3, *self.ARGS), "host-needs", "0000:00:11.4", "stays with the host")

    def test_no_controller(self):
        self.on("gtx690")
        for address in ("00:00.0", "77:00.0", "83:00.0", "ffff:ff:1f.7"):
            self.says(self.refused(3, *arguments("vm1", f"{DISK},size=1G", "--usb-controller", address)), "usb-unfit", address)

    def test_without_an_iommu(self):
        self.on("gtx690", "--iommu", "off")
        self.says(self.refused(3, *self.ARGS), "no-iommu")

    def test_of_another_vm(self):
        self.on("gtx690")
        self.libvirt(domain("owner", hostdev("00:14.0")))
        self.says(self.refused(3, *self.ARGS), "assigned", "owner")


class HalfWay(Create):
    """The issue's fourth condition."""

    def each(self, topology, k):
        self.on(topology)
        result = self.code(1, self.cli(*arguments("vm1", f"{DISK},size=1G", "--start"), faults={"FAIL": k}))
        self.says(result, "step-failed", "all that had been done is undone")
        self.nothing_left()
        self.assertEqual(os.listdir(self.now.path("images")), [])

    def test_libvirt_refuses(self):
        host = self.on("gtx690")
        with open(f"{harness.HERE}/../../xml-templates/minimal.xml", encoding="utf-8") as file:
            text = file.read().replace("<rng", "<disk type='file' device='cdrom'><target dev='fda' bus='none'/><readonly/></disk><rng")
        host.write("etc/vfioctl/templates/minimal.xml", text)
        self.before = host.tree()
        result = self.code(1, self.cli(*arguments("vm1", f"{DISK},size=1G", "--template", "minimal")))
        self.says(result, "step-failed", "all that had been done is undone")
        self.nothing_left()

    def test_define_fails(self):
        self.on("gtx690")
        self.says(self.code(1, self.failing("define", *arguments())), "the test says no", "all that had been done is undone")
        self.nothing_left()

    def test_start_fails(self):
        self.on("gtx690")
        self.says(self.code(1, self.failing("start", *arguments("vm1", f"{DISK},size=1G", "--start"))), "the test says no",
                  "all that had been done is undone")
        self.nothing_left()
        uuid = re.search(f"<uuid>({UUID})</uuid>", defined(self.asked)["vm1"]).group(1)
        self.assertRegex(self.asked, f"virDomainUndefineFlags:.*{uuid}")

    def test_start_fails_and_so_does_the_way_back(self):
        """What may still be there keeps its disk and its GPU, and is told."""
        for what in ("start, remove, again", "start, destroy, again"):
            with self.subTest(what=what):
                self.on("gtx690")
                result = self.code(4, self.failing(what, *arguments("vm1", f"{DISK},size=1G", "--start")))
                uuid = re.search(f"<uuid>({UUID})</uuid>", defined(self.asked)["vm1"]).group(1)
                self.says(result, "vm1", DISK, f"virsh undefine --nvram {uuid}")
                self.assertTrue(os.path.exists(self.now.path("images/vm1.img")))
                self.assertEqual([gpu["mode"] for gpu in self.now.gpus() if gpu["name"] == "1a"], ["vm"])

    def grabbed(self, script, *args):
        """While the disk is made, behind the look at the host, somebody takes the first GPU."""
        path = f"{harness.SCRATCH}/grab.sh"
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        return self.failing("", *arguments("vm1", f"{DISK},size=1G", *args), grab=f"sh {path}")

    def claim(self, address="0000:83:00.0"):
        with open(f"/proc/{os.getpid()}/stat", encoding="utf-8") as file:
            start = file.read().rsplit(")", 1)[1].split()[19]
        place = self.now.path("run/vfioctl/claims")
        return (f"mkdir -p {place} && printf '%s\\n' '{uuid_of('game')} {os.getpid()} {start}' game >{place}/{address} "
                f"&& test -e {self.now.path('images/vm1.img')}\n")

    def test_grabbed_in_between(self):
        self.on("gtx690")
        self.code(0, self.grabbed(self.claim()))
        self.assertEqual({gpu["name"]: gpu["mode"] for gpu in self.now.gpus() if gpu["name"] in ("1a", "1b")},
                         {"1a": "host", "1b": "vm"}, "it takes the next one")
        self.assertTrue(os.path.exists(self.now.path("images/vm1.img")))

    def test_the_named_one_is_grabbed(self):
        self.on("gtx690")
        held = template("gtx690", "--holder", "83:00.0=4711,blender,")
        script = f"{self.claim()}cp -a {held}/proc/4711 {self.now.path('proc')}/\n"
        self.says(self.code(3, self.grabbed(script, "--gpu", "1a")), "in-use", "blender", "nothing was changed")
        os.unlink(self.now.path("run/vfioctl/claims/0000:83:00.0"))
        subprocess.run(["rm", "-r", self.now.path("proc/4711")], check=True)
        self.nothing_left()

    def test_another_makes_it_ready(self):
        """Somebody else's to-vm in between is no loss."""
        self.on("gtx690")
        other = f"FAKEKERNEL_ROOT={self.now.root} LD_PRELOAD={FAKEKERNEL} {VFIOCTL} --root {self.now.root} to-vm 1a\n"
        self.code(0, self.grabbed(other))
        self.assertEqual(self.now.gpu("1a")["mode"], "vm")

    def test_disk_cannot_be_made(self):
        self.on("gtx690")
        result = self.grabbed(f"rm {self.now.path('images/vm1.img')}; exit 0\n")
        self.assertIn(result.code, (0, 1), "the file that is made is gone: whatever comes of it, nothing is left that was not told")

    def test_another_file_in_its_place(self):
        """Somebody who may write to the folder has no file of root's written to or removed."""
        for name, fault in (("vm1.qcow2", {}), ("vm1.img", {"FAIL": 3})):
            with self.subTest(name=name):
                self.on("gtx690")
                images = self.now.path("images")
                for file in ("precious", "vm2.img"):
                    self.now.write(f"images/{file}", "precious")
                path = f"{harness.SCRATCH}/grab.sh"
                with open(path, "w", encoding="utf-8") as file:
                    file.write(f"cd {images} && rm {name} && " + ("mv vm2.img vm1.img\n" if fault else f"ln -s precious {name}\n"))
                result = self.failing("", *arguments("vm1", f"/images/{name},size=1G"), grab=f"sh {path}", faults=fault)
                self.assertEqual(self.now.read("images/precious"), "precious")
                self.assertEqual(sorted(os.listdir(images)), ["precious", name] + ([] if fault else ["vm2.img"]))
                if fault:
                    self.says(self.code(1, result), "another file", "/images/vm1.img")
                    self.assertEqual(self.now.read("images/vm1.img"), "precious")

    def test_hang(self):
        host = self.on("gtx690")
        host.configure("step-deadline = 300ms")
        self.before = host.tree()
        self.says(self.code(4, self.cli(*arguments("vm1", f"{DISK},size=1G"), faults={"HANG": 5})), "stuck")
        self.assertEqual(os.listdir(host.path("images")), [], "the VM does not come to be, so its disk goes")


def count_writes(topology):
    host = Host(template(topology))
    os.mkdir(host.path("images"))
    result = run("--root", host.root, "create", *USUAL, "--disk", f"{DISK},size=1G", "--connect", "test:///default", "--dry-run", "vm1")
    host.close()
    return len([line for line in result.out.splitlines() if line.startswith(("write ", "clear "))])


expand(HalfWay, [(f"{topology}_step_{k}", topology, k) for topology in ("gtx690", "x10drh-3xv340")
                 for k in range(1, count_writes(topology) + 1)])


if __name__ == "__main__":
    harness.main()
