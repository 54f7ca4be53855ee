#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vfioctl tree: sockets, nodes, slots, cards and GPUs in their places, as text, JSON and a drawing; who has them; links."""

import contextlib
import os
import re
import stat
import subprocess
import sys
import xml.etree.ElementTree

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import TOPOLOGIES, template  # noqa: E402
from vms import Vms, domain, hostdev  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
UTF8 = {"LC_ALL": "C.UTF-8"}
# Slots 1 and 2 at the first processor, slot 3 at the second.
SIX = "x10drh-3xv340"


def cards(tree):
    """(cpu, node, card) of each."""
    return [(socket["cpu"], node["node"], card) for socket in tree["sockets"] for node in socket["nodes"] for card in node["cards"]]


def gpus(tree):
    return {gpu["name"]: gpu for _, _, card in cards(tree) for gpu in card["gpus"]}


class Tree(Vms):
    def on(self, topology, *options):
        self.now = self.host(topology, *options)
        return self.now

    def text(self, *args, env=UTF8):
        connect = ("--connect", self.uri) if self.uri else ()
        result = self.code(0, self.now.cli("tree", *args, *connect, env=env))
        self.assertEqual(result.err, "")
        return result.out

    def json(self):
        connect = ("--connect", self.uri) if self.uri else ()
        return self.code(0, self.now.cli("tree", "--json", *connect)).json

    def svg(self):
        """The drawing as an element tree."""
        connect = ("--connect", self.uri) if self.uri else ()
        return xml.etree.ElementTree.fromstring(self.code(0, self.now.cli("tree", "--svg", "-", *connect)).out.encode())

    def set_link(self, address, name, value):
        self.now.write(f"sys/bus/pci/devices/{address}/{name}", f"{value}\n")


class Places(Tree):
    def test_every_gpu_of_list_once(self):
        for topology in TOPOLOGIES:
            self.on(topology)
            listed = {gpu["name"]: gpu for gpu in self.now.gpus()}
            tree = self.json()
            self.assertEqual(set(gpus(tree)), set(listed))
            self.assertEqual(sum(len(card["gpus"]) for _, _, card in cards(tree)), len(listed))
            for _, node, card in cards(tree):
                for gpu in card["gpus"]:
                    same = listed[gpu["name"]]
                    self.assertEqual(node, same["numa_node"])
                    self.assertEqual(card["card_index"], same["card_index"])
                    for key in ("address", "mode", "iommu_group", "functions", "alias"):
                        self.assertEqual(gpu[key], same[key])
            self.assertEqual(tree["host"], topology)

    def test_text(self):
        self.on(SIX)
        self.assertEqual(self.text(), """\
x10drh-3xv340  X10DRH-iT
├─ CPU1 node 0
│  ├─ slot 1  Radeon Pro V340/V340L  x16 8 GT/s
│  │  ├─ 1a       group 10  host  free
│  │  └─ 1b       group 13  host  free
│  ├─ slot 2  Radeon Pro V340/V340L  x16 8 GT/s
│  │  ├─ 2a       group 20  host  free
│  │  └─ 2b       group 23  host  free
│  └─ on board  ASPEED BMC display
│     └─ 17:00.0  group 31  host  boot display
└─ CPU2 node 1
   └─ slot 3  Radeon Pro V340/V340L  x16 8 GT/s
      ├─ 3a       group 38  host  free
      └─ 3b       group 41  host  free
""")

    def test_ascii(self):
        self.on("gtx690")
        for env in ({"LC_ALL": "C"}, {"LC_ALL": "no_SUCH"}):
            text = self.text("--all", env=env)
            self.assertTrue(text.isascii(), text)
            self.assertIn("\n   `- slot 1  GeForce", self.text(env=env))

    def test_all(self):
        """Every bridge above a GPU once, the ports of the board above the card."""
        for topology in TOPOLOGIES:
            self.on(topology)
            lines = [line.strip("│├└─ ") for line in self.text("--all").splitlines()]
            bridges = [bridge for _, _, card in cards(self.json()) for bridge in card["bridges"]]
            on_cards = [bridge for gpu in gpus(self.json()).values() for bridge in gpu["bridges"]]
            self.assertTrue(all(bridge["type"] == "root port" for bridge in bridges), bridges)
            for address in {bridge["address"] for bridge in bridges + on_cards}:
                self.assertEqual(len([1 for line in lines if line.startswith(address[5:])]), 1, address)
            for gpu in gpus(self.json()).values():
                line = next(line for line in lines if line.startswith(f"{gpu['name']} ".removeprefix("0000:")))
                for function in gpu["functions"][1:]:
                    self.assertIn(f"+{function[5:]}", line)

    def test_two_nodes_of_a_socket(self):
        host = self.on(SIX)
        host.write("sys/devices/system/cpu/cpu14/topology/physical_package_id", "0\n")
        self.assertIn("├─ CPU1 node 0\n", self.text())
        self.assertIn("└─ CPU1 node 1\n", self.text())
        self.assertEqual([(socket["cpu"], socket["package"], len(socket["nodes"])) for socket in self.json()["sockets"]], [(1, 0, 2)])
        # Sockets are counted, whatever the kernel calls them.
        host.write("sys/devices/system/cpu/cpu14/topology/physical_package_id", "36\n")
        self.assertEqual([(socket["cpu"], socket["package"]) for socket in self.json()["sockets"]], [(1, 0), (2, 36)])

    def test_node_unknown(self):
        self.on("desktop-2xrtx3050")
        self.assertIn("CPU1 node unknown", self.text())
        host = self.on(SIX)
        host.write("sys/bus/pci/devices/0000:06:00.0/numa_node", "-1\n")
        tree = self.json()
        self.assertEqual(tree["sockets"][-1]["cpu"], None)
        self.assertEqual([gpu["name"] for gpu in tree["sockets"][-1]["nodes"][0]["cards"][0]["gpus"]], ["1a"])
        self.assertIn("└─ node unknown\n", self.text())

    def test_no_sockets(self):
        host = self.on(SIX)
        for name in ("cpu", "node"):
            os.rename(host.path(f"sys/devices/system/{name}"), host.path(f"sys/devices/system/no-{name}"))
        self.assertIn("├─ node 0\n", self.text())
        self.assertIn("socket unknown", "".join(self.svg().itertext()))

    def test_memory_alone(self):
        """A node without processors, as of CXL memory, is no socket."""
        host = self.on(SIX)
        host.write("sys/devices/system/node/node2/cpulist", "\n")
        self.assertEqual(len(self.json()["sockets"]), 2)

    def test_without_slots(self):
        self.on(SIX, "--no-smbios")
        self.assertIn("├─ card 1020  Radeon", self.text())

    def test_names(self):
        host = self.on("m2000")
        host.write("proc/sys/kernel/hostname", "evil\x1b[31m\n")
        self.assertTrue(self.text().startswith("evil?[31m  "), self.text())
        os.unlink(host.path("proc/sys/kernel/hostname"))
        self.assertTrue(self.text().startswith("host  "))

    def test_no_gpu(self):
        host = self.on("m2000")
        for address in ("0000:03:00.0", "0000:04:00.0"):
            host.write(f"sys/bus/pci/devices/{address}/class", "0x020000\n")
        result = self.says(self.code(0, host.cli("tree")), "no GPU")
        self.assertEqual(result.out, "m2000  X10DRH-iT\n")
        self.assertEqual(cards(self.json()), [])
        self.assertIn("node 1: no GPU", "".join(self.svg().itertext()))


class Use(Tree):
    def busy(self):
        self.on(SIX, "--mode", "06:00.0=vm", "--mode", "0a:00.0=vm", "--mode", "85:00.0=vm", "--holder", "14:00.0=4711,ollama,ollama.service")
        self.libvirt(domain("game1", hostdev("06:00.0"), running=True), domain("game2", hostdev("0a:00.0")))
        self.now.write("run/vfioctl/stuck/0000:85:00.0", "\n")
        self.set_link("0000:0c:00.0", "current_link_width", 8)
        self.set_link("0000:88:00.0", "current_link_width", 4)
        self.set_link("0000:81:00.0", "current_link_speed", "2.5 GT/s PCIe")

    def test_text(self):
        self.busy()
        text = self.text()
        for line in ("1a       group 10  vm    game1 (running)", "1b       group 13  vm    game2 (off)",
                     "slot 2  Radeon Pro V340/V340L  x8 of x16, 8 GT/s", "2b       group 23  host  ollama.service",
                     "slot 3  Radeon Pro V340/V340L  x16, 2.5 of 8 GT/s", "3a       group 38  vm    broken: stuck",
                     "3b       group 41  host  free  x4 of x16, 8 GT/s"):
            self.assertIn(f"─ {line}\n", text)

    def test_json(self):
        self.busy()
        tree = self.json()
        found = {name: (gpu["state"], gpu["use"], gpu["used_by"], gpu["vm"], gpu["broken"]) for name, gpu in gpus(tree).items()}
        self.assertEqual(found, {
            "1a": ("vm", "running", "game1 (running)", "game1", None), "1b": ("vm", "assigned", "game2 (off)", "game2", None),
            "2a": ("free", "free", "free", None, None), "2b": ("host", "held", "ollama.service", None, None),
            "0000:17:00.0": ("host", "display", "boot display", None, None),
            "3a": ("broken", "stuck", "stuck", None, "stuck"), "3b": ("free", "free", "free", None, None)})
        links = {card["place"]: card["link"] for _, _, card in cards(tree)}
        self.assertEqual(links["slot 2"], {"width": 8, "max_width": 16, "speed": 8000, "max_speed": 8000, "narrow": True})
        self.assertEqual((links["slot 3"]["speed"], links["slot 3"]["narrow"], links["on board"]), (2500, False, None))
        self.assertTrue(gpus(tree)["3b"]["link"]["narrow"])

    def test_refused_by_hardware(self):
        self.on("x10drh-v340-noacs")
        self.assertEqual({gpu["broken"] for gpu in gpus(self.json()).values()}, {"group-shared", None})
        self.on("gtx690", "--iommu", "off")
        self.assertIn("1a       no group  host  broken: no-iommu\n", self.text())

    def test_asleep(self):
        self.busy()
        self.now.write("sys/bus/pci/devices/0000:85:00.0/power_state", "D3cold\n")
        self.assertIn("broken: stuck in D3cold\n", self.text())

    def test_libvirt_does_not_answer(self):
        host = self.on("m2000")
        host.configure("connect = test:///no/such/file.xml")
        result = host.cli("tree", env=UTF8)
        self.code(0, result)
        self.assertEqual(len(result.lines), 1, result)
        self.assertIn("1a       group 10  host  ?\n", result.out)
        self.code(1, host.cli("--connect", "test:///no/such/file.xml", "tree"))

    def test_alias(self):
        self.on("gtx690").configure("alias = left=1a")
        self.assertIn("─ 1a (left)  group 13  host  free\n", self.text())

    def test_changes_nothing(self):
        self.busy()
        before = self.now.whole()
        for args in ((), ("--all",), ("--json",), ("--svg", "-")):
            self.code(0, self.now.cli("tree", *args))
        self.untouched(before, self.now)


class Drawing(Tree):
    def boxes(self, drawing):
        return [[int(box.get(key)) for key in ("x", "y", "width", "height")] for box in drawing.iter(f"{SVG}rect") if box.get("x")]

    def check(self, drawing):
        """What a browser would show is inside, and text lies on nothing that another text is on."""
        width, height = int(drawing.get("width")), int(drawing.get("height"))
        self.assertEqual(drawing.get("viewBox"), f"0 0 {width} {height}")
        for x, y, w, h in self.boxes(drawing):
            self.assertTrue(0 <= x and x + w <= width and 0 <= y and y + h <= height, (x, y, w, h))
        boxes = self.boxes(drawing)
        for a in boxes:
            for b in boxes:
                # One in the other, or apart.
                inside = [(p[0] >= q[0] and p[1] >= q[1] and p[0] + p[2] <= q[0] + q[2] and p[1] + p[3] <= q[1] + q[3])
                          for p, q in ((a, b), (b, a))]
                apart = a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]
                self.assertTrue(any(inside) or apart, (a, b))
        lines = {}
        for text in drawing.iter(f"{SVG}text"):
            size, x, y = (int(text.get(key)) for key in ("font-size", "x", "y"))
            self.assertTrue(text.text)
            length = len(text.text) * size * 0.5
            start = x - length if text.get("text-anchor") == "end" else x
            self.assertTrue(0 <= start and start + length <= width and size <= y <= height, text.text)
            for other in lines.setdefault(y, []):
                self.assertTrue(start + length <= other[0] or other[1] <= start, (text.text, other))
            lines[y].append((start, start + length, text.text))

    def test_every_host(self):
        for topology in TOPOLOGIES:
            self.on(topology)
            drawing = self.svg()
            self.check(drawing)
            words = [text.text for text in drawing.iter(f"{SVG}text")]
            for gpu in gpus(self.json()).values():
                self.assertIn(gpu["name"].removeprefix("0000:"), words)
            for word in ("free", "VM", "host", "broken", "IOMMU group", "CPU1"):
                self.assertIn(word, words)

    def test_group_outline(self):
        """Both GPUs of the card in one, and the stranger named."""
        self.on("x10drh-v340-noacs")
        words = [text.text for text in self.svg().iter(f"{SVG}text")]
        self.assertEqual(words.count("group 2 with 02:00.1 (switchtec)"), 1, words)
        dashed = [box for box in self.svg().iter(f"{SVG}rect") if box.get("stroke-dasharray")]
        self.assertEqual(len(dashed), 4)  # two cards, the board's display, the legend

    def test_group_over_two_cards(self):
        host = self.on("desktop-2xrtx3050")
        for function in ("0000:0b:00.0", "0000:0b:00.1"):
            link = host.path(f"sys/bus/pci/devices/{function}/iommu_group")
            target = os.readlink(link)
            os.unlink(link)
            os.symlink(target.replace("/5", "/4"), link)
            device = host.path(f"sys/kernel/iommu_groups/5/devices/{function}")
            os.symlink(os.readlink(device), host.path(f"sys/kernel/iommu_groups/4/devices/{function}"))
        words = [text.text for text in self.svg().iter(f"{SVG}text")]
        self.assertIn("group 4 with 1032a", words)
        self.assertIn("group 4 with 1031a", words)

    def test_no_outside(self):
        self.on(SIX)
        text = self.now.cli("tree", "--svg", "-").out
        self.assertEqual(text.count("http"), 1)
        for word in ("href", "url(", "@import", "<script", "<image", "<style"):
            self.assertNotIn(word, text)

    def test_escapes(self):
        """A VM may be called anything, and the drawing stays XML with the whole of it in the tooltip."""
        self.on("m2000")
        name = "<b a=\"1\">&amp; " + "ä" * 20
        self.libvirt(domain(name, hostdev("04:00.0")))
        drawing = self.svg()
        self.assertIn(f"0000:04:00.0: {name} (off)", [title.text for title in drawing.iter(f"{SVG}title")])
        self.check(drawing)
        self.now.write("sys/class/dmi/id/board_name", b"\xff\xfe\xed\xa0\x80 x\n")
        self.assertIn("????? x", [text.text for text in self.svg().iter(f"{SVG}text")])

    def test_long_names(self):
        self.on("gtx690")
        self.libvirt(domain("m" * 60, hostdev("83:00.0") + hostdev("84:00.0"), running=True))
        self.check(self.svg())
        self.assertTrue([text.text for text in self.svg().iter(f"{SVG}text") if text.text.startswith("mmmm") and text.text.endswith("…")])

    def test_many(self):
        source = f"{harness.SCRATCH}/big"
        if not os.path.isdir(source):
            subprocess.run([f"{harness.HOSTS}/mkbig", "1024", "64", source], check=True)
        self.now = harness.Host(source)
        self.addCleanup(self.now.close)
        drawing = self.svg()
        self.check(drawing)
        self.assertEqual(len(gpus(self.json())), 64)
        width, height = int(drawing.get("width")), int(drawing.get("height"))
        self.assertTrue(width / 3 < height < width * 3, (width, height))


class Files(Tree):
    def setUp(self):
        super().setUp()
        self.on("m2000")
        self.folder = f"{harness.SCRATCH}/out-{abs(hash(self.id()))}"
        os.mkdir(self.folder)

    def draw(self, name):
        return self.now.cli("tree", "--svg", f"{self.folder}/{name}")

    def test_whole(self):
        result = self.code(0, self.draw("a.svg"))
        self.assertEqual((result.out, result.err), ("", ""))
        self.assertEqual(os.listdir(self.folder), ["a.svg"])
        self.assertEqual(stat.S_IMODE(os.stat(f"{self.folder}/a.svg").st_mode), 0o644)
        with open(f"{self.folder}/a.svg", encoding="utf-8") as file:
            self.assertEqual(file.read(), self.now.cli("tree", "--svg", "-").out)

    def test_replaces(self):
        """Where a link leads, and not in the place of the link."""
        with open(f"{self.folder}/old.svg", "w", encoding="utf-8") as file:
            file.write("old" * 100000)
        os.symlink("old.svg", f"{self.folder}/link.svg")
        self.code(0, self.draw("link.svg"))
        self.assertTrue(os.path.islink(f"{self.folder}/link.svg"))
        xml.etree.ElementTree.parse(f"{self.folder}/old.svg")
        self.assertEqual(sorted(os.listdir(self.folder)), ["link.svg", "old.svg"])

    def test_refusals(self):
        os.mkfifo(f"{self.folder}/fifo")
        os.mkdir(f"{self.folder}/folder")
        for name, code, words in (("folder", 2, ("folder", "is a directory")), ("fifo", 2, ("fifo", "no regular file")),
                                  ("no/such/a.svg", 1, ("a.svg", "No such file", "nothing was written"))):
            with self.subTest(name):
                self.says(self.code(code, self.draw(name)), "--svg", *words)
        self.says(self.code(2, self.now.cli("tree", "--svg", "")), "--svg wants the name of a file")
        self.says(self.code(2, self.now.cli("tree", "--svg", "-", "--json")), "without --json")
        self.says(self.code(2, self.now.cli("tree", "--svg", "-", "--all")), "without --all")
        self.says(self.code(2, self.now.cli("tree", "1a")), "takes fewer arguments")
        self.says(self.code(2, self.now.cli("list", "--all")), "no option of list")
        self.assertEqual(sorted(os.listdir(self.folder)), ["fifo", "folder"])

    def test_full(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([harness.VFIOCTL, "--root", self.now.root, "tree", "--svg", "-"], stdout=full, check=False,
                                  stderr=subprocess.PIPE, env=harness.environment(None, {}))
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot write", done.stderr)


class Terminal(Tree):
    def shown(self, env):
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        process = subprocess.Popen([harness.VFIOCTL, "--root", self.now.root, "tree"], stdin=subprocess.DEVNULL, stdout=slave,
                                   env={**harness.environment(None, {}), "TERM": "xterm", **UTF8, **env})
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):
            while part := os.read(master, 65536):
                text += part
        self.assertEqual(process.wait(timeout=20), 0)
        return text.decode()

    def test_color(self):
        self.on("x10drh-v340-noacs")
        self.set_link("0000:81:00.0", "current_link_width", 8)
        text = self.shown({})
        self.assertIn("\x1b[31mbroken: group-shared\x1b[0m", text)
        self.assertIn("\x1b[33mx8 of x16, 8 GT/s\x1b[0m", text)
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\x1b", self.shown(env))
        self.assertNotIn("\x1b", self.text())

    def test_columns_do_not_mind_colors(self):
        self.on(SIX)
        self.assertEqual(re.sub(r"\x1b\[\d*m", "", self.shown({})).replace("\r\n", "\n"), self.text())


if __name__ == "__main__":
    template(SIX)
    harness.main()
