#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""templates: which there are, whose come first, and which are refused."""

import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, expand  # noqa: E402

OURS = ["linux-compute", "linux-streaming", "minimal", "windows-streaming"]
FOLDER = "etc/vfioctl/templates"
GOOD = "<domain type='kvm'><name>a</name>{}<memory>100000</memory><vcpu>1</vcpu><os><type>hvm</type></os><devices>{}</devices></domain>"
NVRAM = GOOD.replace("<type>hvm</type>", "<type>hvm</type><nvram>/x</nvram>").format("", "")
DISK = "<disk type='file' device='disk'><source file='/x'/><target dev='vda'/></disk>"


class Templates(Case):
    def setUp(self):
        self.now = self.host("m2000")

    def add(self, name, text):
        self.now.write(f"{FOLDER}/{name}", text)

    def listed(self, code=0):
        before = self.now.whole()
        found = self.code(code, self.now.cli("templates", "--json", fake=False)).json["templates"]
        self.untouched(before, self.now)
        return {item["name"]: item for item in found}

    def test_ours(self):
        found = self.listed()
        self.assertEqual(list(found), OURS)
        self.assertEqual([item["os"] for item in found.values()], ["linux", "linux", None, "windows"])
        for item in found.values():
            self.assertEqual((item["own"], item["error"]), (False, None))
            self.assertTrue(item["summary"] and item["path"].endswith(f"/{item['name']}.xml"))

    def test_table(self):
        lines = self.code(0, self.now.cli("templates", fake=False)).out.splitlines()
        self.assertEqual(lines[0].split(), ["NAME", "OS", "FROM", "SUMMARY"])
        self.assertEqual([line.split()[0] for line in lines[1:]], OURS)
        short = self.code(0, self.now.cli("templates", "--noheadings", "-o", "name", fake=False)).out
        self.assertEqual(short.split(), OURS)
        self.says(self.code(2, self.now.cli("templates", "-o", "size", fake=False)), "NAME OS FROM SUMMARY")
        self.code(2, self.now.cli("templates", "x", fake=False))

    def test_own(self):
        self.add("game.xml", GOOD.format("<title> My \n own</title>", ""))
        self.add("minimal.xml", GOOD.format("<description>\n  Less\n  and less\n</description>", ""))
        for ignored in ("README", "game.xml~", ".hidden.xml", ".xml", "x.xml.bak"):
            self.add(ignored, "no template")
        found = self.listed()
        self.assertEqual(list(found), sorted([*OURS, "game"]))
        self.assertEqual((found["game"]["own"], found["game"]["path"]), (True, f"/{FOLDER}/game.xml"))
        self.assertEqual((found["minimal"]["own"], found["minimal"]["summary"]), (True, "Less"))
        self.assertEqual(found["game"]["summary"], "My")

    def test_links_stay_below_the_root(self):
        self.add("a.xml", GOOD.format("", ""))
        os.symlink("a.xml", self.now.path(f"{FOLDER}/b.xml"))
        os.symlink("/etc/passwd", self.now.path(f"{FOLDER}/c.xml"))
        os.symlink("c.xml", self.now.path(f"{FOLDER}/d.xml"))
        os.symlink("e.xml", self.now.path(f"{FOLDER}/e.xml"))
        found = self.listed(3)
        self.assertEqual([bool(found[name]["error"]) for name in "abcde"], [False, False, True, True, True])

    def test_a_broken_one_hides_ours(self):
        """Whoever has one of that name does not want another in its place."""
        self.add("minimal.xml", "<domain>")
        self.assertTrue(self.listed(3)["minimal"]["error"])
        result = self.says(self.code(3, self.now.cli("templates", fake=False)), "minimal.xml", "line 1")
        self.assertIn("broken", result.out)

    def each(self, text, *words):
        self.add("bad.xml", text)
        found = self.listed(3)
        for word in words:
            self.assertIn(word, found["bad"]["error"])
        self.says(self.code(3, self.now.cli("templates", fake=False)), f"/{FOLDER}/bad.xml", *words)
        result = self.now.cli("create", "vm1", "--template", "bad", "--disk", "/x,size=1G", "--memory", "1G", "--vcpus", "1", "--print",
                              fake=False)
        self.says(self.code(3, result), "bad.xml", *words)

    def test_bad_names(self):
        for name in ("Upper.xml", "a b.xml", "ü.xml", "\x1b[31m.xml", f"{'x' * 65}.xml", "a\nb.xml"):
            with self.subTest(name=name):
                self.add(name, GOOD.format("", ""))
                self.says(self.code(3, self.now.cli("templates", fake=False)), "its name is none")
                os.unlink(self.now.path(f"{FOLDER}/{name}"))

    def test_other_kinds(self):
        os.makedirs(self.now.path(f"{FOLDER}/folder.xml"))
        os.mkfifo(self.now.path(f"{FOLDER}/fifo.xml"))
        self.add("large.xml", GOOD.format("", f"<!--{'x' * 70000}-->"))
        self.add("nul.xml", "<domain>\0</domain>")
        found = self.listed(3)
        self.assertEqual([found[name]["error"] for name in ("folder", "fifo")], ["is a folder", "is no file"])
        self.assertIn("larger than 64 KiB", found["large"]["error"])
        self.assertIn("no text", found["nul"]["error"])


expand(Templates, [
    ("empty", ""), ("no_xml", "hello", "line 1"), ("truncated", "<domain>\n<name>x</name>\n<mem", "line 3"),
    ("doctype", "\n<!DOCTYPE a [<!ENTITY b 'c'>]>\n<domain><name>&b;</name></domain>", "line 2", "DOCTYPE"),
    ("external", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><domain/>", "DOCTYPE"),
    ("entity", "<domain>\n<name>&b;</name></domain>", "line 2"), ("no_domain", "<network><name>a</name></network>", "line 1", "<domain>"),
    ("no_name", "<domain><memory>1</memory></domain>", "line 1", "<name>"), ("no_os", "<domain><name>a</name></domain>", "<os>"),
    ("uuid", GOOD.format("\n<uuid>11111111-2222-3333-4444-555555555555</uuid>", ""), "line 2", "<uuid>"),
    ("cells", GOOD.format("<cpu><numa><cell cpus='0'/><cell cpus='1'/></numa></cpu>", ""), "line 1", "NUMA"),
    ("genid", GOOD.format("<genid/>", ""), "<genid>"), ("nvram", NVRAM, "<nvram>"),
    ("hostdev", GOOD.format("", "\n\n<hostdev mode='subsystem' type='usb'><source><vendor id='1'/></source></hostdev>"), "line 3", "<hostdev>"),
    ("mac", GOOD.format("", "<interface type='network'><mac address='52:54:00:00:00:01'/></interface>"), "<mac>"),
    ("disk", GOOD.format("", DISK), "--disk"),
    ("a_vm_of_ours", GOOD.format("<metadata><v:gpus xmlns:v='urn:vfioctl:domain:1'/></metadata>", ""), "vfioctl"),
    ("utf16", GOOD.format("", "").encode("utf-16")), ("latin1", GOOD.format("<title>\xe4</title>", "").encode("latin-1"), "line 1"),
])

if __name__ == "__main__":
    harness.main()
