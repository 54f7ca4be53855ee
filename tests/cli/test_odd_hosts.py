#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines of other kinds than ours: several domains, VMD, no IOMMU, hundreds of functions, bridges that make no sense.
Made of what tests/hosts/fromsysfs reads, so that is tested here as well."""

import io
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, Host, run, template  # noqa: E402

FROMSYSFS = f"{harness.HOSTS}/fromsysfs"
GPU, BRIDGE, NIC = 0x030000, 0x060400, 0x020000


def config(cls, vendor=0x10de, device=0x2507, buses=None, pcie=True, multifunction=False):
    """The bytes of one function; `buses`: primary, secondary, subordinate of a bridge."""
    space = bytearray(256)
    struct.pack_into("<HHHHI", space, 0, vendor, device, 0x0006, 0x0010 if pcie else 0, cls << 8 | 0xa1)
    space[0x0e] = (1 if buses is not None else 0) | (0x80 if multifunction else 0)
    if buses:
        space[0x18:0x1b] = bytes(buses)
    if pcie:
        space[0x34] = 0x60
        struct.pack_into("<BBH", space, 0x60, 0x10, 0, 2 | (0x40 if buses is not None else 0))
        struct.pack_into("<IHH", space, 0x6c, 3 | 16 << 4, 0, 3 | 8 << 4)
    return bytes(space)


def dump(functions):
    """As lspci -xxx prints it."""
    lines = []
    for address, space in functions:
        lines.append(f"{address} VGA compatible controller: Somebody Some device (rev a1)")
        lines += [f"{at:02x}: {space[at:at + 16].hex(' ')}" for at in range(0, len(space), 16)] + [""]
    return "\n".join(lines)


def convert(source, out):
    return subprocess.run([FROMSYSFS, source, out], check=False, capture_output=True, text=True)


class Odd(Case):
    def sane(self, host, names=None):
        """Every report comes, each GPU is where it belongs, and the exit status is one of those told."""
        listed = self.code(0, host.cli("list", "--json", fake=False)).json["gpus"]
        if names is not None:
            self.assertEqual([gpu["name"] for gpu in listed], names)
        self.code(0, host.cli("list", "-o", "+SLOT,IDS,CLASS,DRIVER,GROUP,FUNCTIONS", fake=False))
        for args in ((), ("--all",)):
            text = self.code(0, host.cli("tree", *args, fake=False, env={"LC_ALL": "C.UTF-8"})).out
            self.assertTrue(all(c.isprintable() or c == "\n" for c in text), text)
        tree = self.code(0, host.cli("tree", "--json", fake=False)).json
        shown = [gpu["name"] for socket in tree["sockets"] for node in socket["nodes"] for card in node["cards"] for gpu in card["gpus"]]
        self.assertEqual(sorted(shown), sorted(gpu["name"] for gpu in listed))
        drawing = xml.etree.ElementTree.fromstring(self.code(0, host.cli("tree", "--svg", "-", fake=False)).out.encode())
        self.assertTrue(drawing.get("width"))
        for args in (("check",), ("check", "--json"), *(("show", gpu["name"]) for gpu in listed[:3])):
            result = host.cli(*args, fake=False)
            self.assertIn(result.code, (0, 3) if args[0] == "check" else (0,), result)
            if "--json" in args:
                refusals = [f for f in result.json["findings"] if f["severity"] == "refusal" and f["code"] != "boot-display"]
                self.assertEqual(result.code, 3 if refusals else 0)
                self.assertTrue(all(f["code"] and f["text"] for f in result.json["findings"]))
        return listed, tree

    def from_dump(self, *functions):
        folder = tempfile.mkdtemp(prefix="dump-", dir=harness.SCRATCH)
        with open(f"{folder}.txt", "w", encoding="utf-8") as file:
            file.write(dump(functions))
        done = convert(f"{folder}.txt", folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        host = Host(folder)
        self.addCleanup(host.close)
        return host


class Dumps(Odd):
    def test_plain(self):
        host = self.from_dump(("00:01.0", config(BRIDGE, 0x8086, 0x1901, (0, 1, 1))), ("01:00.0", config(GPU, multifunction=True)),
                              ("01:00.1", config(0x040300, device=0x228e)), ("00:1f.6", config(NIC)))
        listed, tree = self.sane(host, ["1010a"])
        self.assertEqual(listed[0]["functions"], ["0000:01:00.0", "0000:01:00.1"])
        card = tree["sockets"][0]["nodes"][0]["cards"][0]
        self.assertEqual((tree["sockets"][0]["cpu"], tree["sockets"][0]["nodes"][0]["node"]), (None, None))
        self.assertEqual(card["link"], {"width": 8, "max_width": 16, "speed": 8000, "max_speed": 8000, "narrow": True})
        self.assertEqual([bridge["address"] for bridge in card["bridges"]], ["0000:00:01.0"])

    def test_many_domains(self):
        """As on POWER and large ARM machines: a root port and a GPU in each."""
        functions = []
        for domain in range(40):
            functions += [(f"{domain:04x}:00:00.0", config(BRIDGE, buses=(0, 1, 255))), (f"{domain:04x}:01:00.0", config(GPU))]
        listed, _ = self.sane(self.from_dump(*functions))
        self.assertEqual([gpu["name"] for gpu in listed], [f"{domain + 1}000a" for domain in range(40)])

    def test_five_digits(self):
        host = self.from_dump(("00:01.0", config(BRIDGE, buses=(0, 1, 1))), ("01:00.0", config(GPU)),
                              ("10000:e0:02.0", config(BRIDGE, buses=(0xe0, 0xe1, 0xe1))), ("10000:e1:00.0", config(GPU)),
                              ("ffffffff:00:00.0", config(GPU)))
        listed, _ = self.sane(host)
        self.assertEqual([gpu["address"] for gpu in listed], ["0000:01:00.0", "10000:e1:00.0", "ffffffff:00:00.0"])
        self.assertIn("10000:e1:00.0", host.cli("tree", "--all", fake=False).out)
        self.code(0, host.cli("show", "10000:e1:00.0", fake=False))

    def test_hundreds_of_functions(self):
        functions = [("00:02.0", config(BRIDGE, buses=(0, 1, 1)))]
        functions += [(f"01:{device:02x}.{function}", config(GPU if function == 0 else NIC, 0x1002, 0x6864 + function, multifunction=True))
                      for device in range(32) for function in range(8)]
        listed, tree = self.sane(self.from_dump(*functions))
        self.assertEqual(len(listed), 32)
        self.assertEqual(listed[-1]["name"], "1020af")
        self.assertEqual(max(len(gpu["functions"]) for gpu in listed), 8)
        # One port, and no slot known: as many cards as there are devices.
        self.assertEqual(sum(len(node["cards"]) for socket in tree["sockets"] for node in socket["nodes"]), 32)

    def test_bridges_without_buses(self):
        """Not set up by the firmware: 0, below itself, or two that claim the same."""
        host = self.from_dump(("00:01.0", config(BRIDGE, buses=(0, 0, 0))), ("00:02.0", config(BRIDGE, buses=(0, 3, 3))),
                              ("00:03.0", config(BRIDGE, buses=(0, 3, 3))), ("03:00.0", config(GPU)),
                              ("04:00.0", config(BRIDGE, buses=(4, 4, 4))), ("04:01.0", config(GPU)))
        listed, _ = self.sane(host)
        self.assertEqual([gpu["address"] for gpu in listed], ["0000:03:00.0", "0000:04:01.0"])

    def test_deep(self):
        """One bridge below the other, as deep as there are buses: what makes no sense is left out with a word."""
        chain = [(f"{bus:02x}:00.0", config(BRIDGE, buses=(bus, bus + 1, 255))) for bus in range(40)]
        host = self.from_dump(*chain, ("28:00.0", config(GPU)), ("00:01.0", config(GPU)))
        listed, _ = self.sane(host)
        self.assertEqual([gpu["address"] for gpu in listed], ["0000:00:01.0"])
        self.says(host.cli("tree", fake=False), "0000:28:00.0", "left out")
        # What is still taken.
        host = self.from_dump(*chain[:30], ("1e:00.0", config(GPU)))
        _, tree = self.sane(host)
        gpu = tree["sockets"][0]["nodes"][0]["cards"][0]["gpus"][0]
        self.assertEqual(len(gpu["bridges"]), 29)
        self.assertEqual(len(host.cli("tree", "--all", fake=False).out.splitlines()), 2 + 30 + 1 + 1)

    def test_all_ones(self):
        """A function that fell off the bus reads so."""
        host = self.from_dump(("00:01.0", config(BRIDGE, buses=(0, 1, 1))), ("01:00.0", config(GPU)))
        host.write("sys/bus/pci/devices/0000:01:00.0/config", b"\xff" * 256)
        for name, value in (("current_link_width", "63"), ("max_link_width", "255"), ("current_link_speed", "Unknown")):
            host.write(f"sys/bus/pci/devices/0000:01:00.0/{name}", f"{value}\n")
        self.sane(host, ["1010a"])

    def test_conventional(self):
        host = self.from_dump(("00:01.0", config(BRIDGE, buses=(0, 1, 1), pcie=False)), ("01:00.0", config(GPU, pcie=False)))
        _, tree = self.sane(host)
        self.assertTrue(tree["sockets"][0]["nodes"][0]["cards"][0]["on_board"])

    def test_nothing(self):
        host = self.from_dump(("00:00.0", config(0x060000)))
        listed, _ = self.sane(host)
        self.assertEqual(listed, [])


class Trees(Odd):
    def test_no_iommu_directory(self):
        for topology in ("gtx690", "x10drh-v340-noacs"):
            host = self.host(topology, "--iommu", "off")
            subprocess.run(["rm", "-rf", host.path("sys/kernel/iommu_groups")], check=True)
            _, tree = self.sane(host)
            broken = {gpu["broken"] for socket in tree["sockets"] for node in socket["nodes"] for card in node["cards"] for gpu in card["gpus"]}
            self.assertEqual(broken, {"no-iommu", None})
            self.assertEqual({f["code"] for f in host.findings("1a") if f["severity"] == "refusal"}, {"no-iommu"})

    def test_below_vmd(self):
        """The root bus of the domain hangs below a function of another."""
        host = self.host("m2000")
        at = "sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:02.0"
        for path, text in ((f"{at}/class", "0x060400\n"), (f"{at}/10000:e1:00.0/class", "0x030000\n"), (f"{at}/10000:e1:00.0/vendor", "0x10de\n"),
                           (f"{at}/10000:e1:00.0/device", "0x2507\n"), (f"{at}/10000:e1:00.0/max_link_width", "16\n"), (f"{at}/../../class", "0x010400\n")):
            host.write(path, text)
        for path in (at, f"{at}/10000:e1:00.0"):
            os.symlink(f"../../../{path.removeprefix('sys/')}", host.path(f"sys/bus/pci/devices/{os.path.basename(path)}"))
        _, tree = self.sane(host)
        self.assertEqual(tree["sockets"][-1]["nodes"][-1]["cards"][0]["gpus"][0]["address"], "10000:e1:00.0")
        self.assertIn("10000:e0:02.0", host.cli("tree", "--all", fake=False).out)

    def test_conflicting_addresses(self):
        """Two names for one function; a chain that claims to be below itself."""
        host = self.host("gtx690")
        devices = host.path("sys/bus/pci/devices")
        target = os.readlink(f"{devices}/0000:83:00.0")
        os.symlink(target, f"{devices}/0000:93:00.0")
        os.symlink(target.replace("0000:83:00.0", "0000:82:08.0"), f"{devices}/0000:94:00.0")
        listed, _ = self.sane(host)
        self.assertIn("0000:83:00.0", [gpu["address"] for gpu in listed])

    def test_nodes_that_make_no_sense(self):
        host = self.host("x10drh-3xv340")
        for path, text in (("sys/bus/pci/devices/0000:06:00.0/numa_node", "4000000000\n"), ("sys/bus/pci/devices/0000:10:00.0/numa_node", "77\n"),
                           ("sys/bus/pci/devices/0000:85:00.0/numa_node", "-7\n"), ("sys/devices/system/node/node1/cpulist", "x\n"),
                           ("sys/devices/system/node/node99999999999/cpulist", "0\n"), ("sys/devices/system/node/nodex/cpulist", "0\n"),
                           ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "99999999999999999999\n")):
            host.write(path, text)
        self.sane(host)


class Converted(Odd):
    """Of a host of ours nothing is lost on the way."""

    def tar(self, host, name, prefix="some/where/"):
        path = f"{harness.SCRATCH}/{name}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for part in ("sys", "proc"):
                archive.add(host.path(part), f"{prefix}{part}")
        self.addCleanup(os.unlink, path)
        return path

    def outputs(self, host):
        return [host.cli(*args, fake=False, env={"LC_ALL": "C.UTF-8"}).out for args in (("list", "--json"), ("tree", "--all"), ("tree", "--json"), ("show", "1a"))]

    def test_same(self):
        for topology in ("gtx690", "x10drh-v340-noacs"):
            host = self.host(topology)
            for source in (self.tar(host, topology), host.root):
                out = f"{harness.SCRATCH}/converted-{topology}-{os.path.isdir(source)}"
                self.assertEqual(convert(source, out).stderr, "")
                other = Host(out)
                self.addCleanup(other.close)
                self.assertEqual(self.outputs(host), self.outputs(other))
                self.sane(other)

    def test_mends(self):
        """Links and IDs that a tarball lacks come from what it has."""
        host = self.host("gtx690")
        before = self.outputs(host)[1]
        for name in ("sys/bus/pci/devices", "sys/kernel/iommu_groups"):
            subprocess.run(["rm", "-rf", host.path(name)], check=True)
        for folder, _, files in os.walk(host.path("sys/devices")):
            for name in {"class", "vendor", "device"} & set(files) if "config" in files else ():
                os.unlink(f"{folder}/{name}")
        out = f"{harness.SCRATCH}/mended"
        self.assertEqual(convert(host.root, out).stderr, "")
        other = Host(out)
        self.addCleanup(other.close)
        self.assertEqual(other.cli("tree", "--all", fake=False, env={"LC_ALL": "C.UTF-8"}).out, before)

    def test_evil(self):
        """Nothing is written outside, whatever the names in the archive are."""
        path, outside = f"{harness.SCRATCH}/evil.tar", f"{harness.SCRATCH}/outside"
        os.mkdir(outside)
        with tarfile.open(path, "w") as archive:
            def add(name, content=None, link=None):
                info = tarfile.TarInfo(name)
                if link:
                    info.type, info.linkname = tarfile.SYMTYPE, link
                else:
                    info.size = len(content)
                archive.addfile(info, io.BytesIO(content) if content is not None else None)
            add("sys/devices/pci0000:00/0000:00:01.0/class", b"0x030000\n")
            add("sys/devices/pci0000:00/0000:00:01.0/vendor", b"0x10de\n")
            add("sys/evil", link=outside)
            add("sys/evil/a", b"x")
            add("sys/../../outside/b", b"x")
            add(f"{outside}/c", b"x")
            add("sys/away", link=outside)
            add("sys/away/d", link="/etc/passwd")
            add("etc/shadow", b"x")
        out = f"{harness.SCRATCH}/evil"
        self.assertEqual(convert(path, out).stderr, "")
        self.assertEqual(os.listdir(outside), [])
        self.assertEqual(os.listdir(f"{out}/etc"), [])
        self.code(0, run("--root", out, "list"))

    def test_refusals(self):
        folder = f"{harness.SCRATCH}/refusals"
        os.makedirs(f"{folder}/sys/block")
        with open(f"{folder}/text", "w", encoding="utf-8") as file:
            file.write("00:01.0 something\nnot: 00\n")
        for source, out, words in ((f"{folder}/text", f"{folder}/a", "lspci -x"), (folder, f"{folder}/a", "no PCI function"),
                                   (f"{folder}/none", f"{folder}/a", "No such file"), (template("m2000"), folder, "no empty folder")):
            done = convert(source, out)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)


if __name__ == "__main__":
    harness.main()
