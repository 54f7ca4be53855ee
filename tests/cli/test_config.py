#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vfioctl config: what holds, where it is from, and what is wrong with it."""

import json
import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case  # noqa: E402


class Print(Case):
    def settings(self, host):
        return {item["key"]: item for item in self.code(0, host.cli("config", "--json")).json["settings"]}

    def test_defaults(self):
        host = self.host("gtx690")
        before = host.whole()
        result = self.code(0, host.cli("config"))
        self.assertEqual(result.err, "")
        self.assertRegex(result.out, r"(?m)^gpus +=  +# default$")
        self.assertRegex(result.out, r"(?m)^idle +\= vm +# default$")
        self.assertRegex(result.out, r"(?m)^connect +\= qemu:///system +# default$")
        self.assertEqual(len({line.index(" = ") for line in result.out.splitlines()}), 1, result)
        self.assertEqual(len({line.index("  # ") for line in result.out.splitlines()}), 1, result)
        self.assertTrue(all(item["file"] is None and item["line"] is None for item in self.settings(host).values()))
        self.untouched(before, host)

    def test_where_from(self):
        host = self.host("gtx690")
        host.write("usr/lib/vfioctl/vfioctl.conf.d/10-vendor.conf", "placement = spread\nidle = host\n")
        host.configure("# mine", "gpus = 1a,", "  1b")
        host.write("etc/vfioctl/vfioctl.conf.d/50-a.conf", "\nidle = vm\n")
        settings = self.settings(host)
        self.assertEqual(settings["gpus"]["value"], "1a, 1b")
        for key, name, line in (("gpus", "etc/vfioctl/vfioctl.conf", 2), ("idle", "vfioctl.conf.d/50-a.conf", 2),
                                ("placement", "10-vendor.conf", 1)):
            self.assertTrue(settings[key]["file"].endswith(name), settings[key])
            self.assertEqual(settings[key]["line"], line)
        self.assertRegex(self.code(0, host.cli("config")).out, r"(?m)^gpus +\= 1a, 1b +# /.*/vfioctl.conf:2$")

    def test_fit_for_a_terminal(self):
        host = self.host("gtx690")
        host.configure("connect = \x1b[31m")
        for args in (["config"], ["config", "--check"]):
            result = self.code(0, host.cli(*args))
            self.assertTrue(all(c.isprintable() or c == "\n" for c in result.out), result)

    def test_boot(self):
        host = self.host("gtx690")
        self.assertEqual(self.code(0, host.cli("config", "--boot")).out, "gpus =\n")
        host.configure("gpus = right, 1a", "alias = right=84:00.0")
        text = self.code(0, host.cli("config", "--boot")).out
        self.assertEqual(text.splitlines()[0], "gpus = 0000:84:00.0, 1a")
        self.assertEqual(self.code(0, host.cli("config", "--boot", "--json")).json, {"boot": text})

    def test_needs_no_gpus(self):
        host = self.host("gtx690")
        os.rename(host.path("sys/bus/pci"), host.path("sys/bus/gone"))
        self.code(0, host.cli("config"))
        self.code(0, host.cli("config", "--boot"))
        self.says(self.code(1, host.cli("config", "--check")), "no PCI bus")

    def test_without_a_standard_output(self):
        host = self.host("gtx690")
        with open("/dev/full", "wb") as full:
            process = harness.subprocess.run([harness.VFIOCTL, "--root", host.root, "config"], stdout=full, stderr=-1,
                                             env=harness.environment(None, {}), check=False)
        self.assertEqual(process.returncode, 1)


class Check(Case):
    def findings(self, host, code):
        result = self.code(code, host.cli("config", "--check", "--json"))
        self.assertEqual(result.err, "")
        text = self.code(code, host.cli("config", "--check"))
        self.assertEqual(text.err, "")
        for finding in result.json["findings"]:
            self.assertIn(f"{finding['severity']}  {finding['code']}: ", text.out)
        return result.json["findings"]

    def test_in_order(self):
        host = self.host("gtx690")
        self.assertEqual(self.findings(host, 0), [])
        host.configure("gpus = all", "except = 1b", "alias = left=1a", "idle-host = left")
        before = host.whole()
        self.assertEqual(self.findings(host, 0), [])
        self.assertIn("in order", self.code(0, host.cli("config", "--check")).out)
        self.assertEqual(self.code(0, host.cli("-q", "config", "--check")).out, "")
        self.untouched(before, host)

    def test_all_that_is_wrong(self):
        host = self.host("gtx690")
        host.configure("gpus = 1a, nonsense", "idle = often", "frobnicate = 1", "idle = vm", "placement = none")
        found = self.findings(host, 3)
        self.assertEqual([(f["severity"], f["code"]) for f in found].count(("refusal", "config-value")), 3)
        self.assertEqual({f["code"] for f in found}, {"config-value", "config-key", "config-twice"})
        for line, word in ((1, "'nonsense'"), (2, "'often'"), (3, "'frobnicate'"), (4, "line 2 counts"), (5, "'none'")):
            self.assertTrue(any(f"vfioctl.conf:{line}: " in f["text"] and word in f["text"] for f in found), (line, found))
        # Any other verb stops at the first.
        self.says(self.code(2, host.cli("list")), "vfioctl.conf:2", "often")

    def test_a_card_is_out(self):
        host = self.host("gtx690")
        host.configure("gpus = 1a, 7c, 99:00.0, 1234:5678")
        found = self.findings(host, 0)
        self.assertEqual([f["code"] for f in found], ["config-no-match"] * 3)
        self.assertEqual(self.code(0, host.cli("list")).err, "")

    def test_the_display(self):
        host = self.host("gtx690")
        host.configure("gpus = 03:00.0 1a")
        found = self.findings(host, 3)
        self.assertEqual([(f["code"], f["gpu"]) for f in found], [("config-display", "0000:03:00.0")])
        self.assertFalse(host.gpu("0000:03:00.0")["ours"])

    def test_cannot_be_read(self):
        host = self.host("gtx690")
        host.configure("= nothing")
        result = host.cli("config", "--check")
        self.assertIn(result.code, (0, 2), result)
        os.unlink(host.path("etc/vfioctl/vfioctl.conf"))
        os.mkfifo(host.path("etc/vfioctl/vfioctl.conf"))
        self.says(self.code(2, host.cli("config", "--check")), "FIFO")


class Aliases(Case):
    def setUp(self):
        self.now = self.host("gtx690")
        self.now.configure("alias = left=1a, right=84:00.1", "gpus = right", "idle = host")

    def test_list(self):
        self.assertIn("ALIAS", self.code(0, self.now.cli("list")).out.splitlines()[0])
        rows = self.code(0, self.now.cli("list", "--noheadings", "-o", "GPU,ALIAS")).out.split()
        self.assertEqual(rows, ["-", "-", "1a", "left", "1b", "right"])
        gpus = {gpu["name"]: gpu for gpu in self.now.gpus()}
        self.assertEqual([(g["alias"], g["ours"], g["idle"]) for g in gpus.values()],
                         [(None, False, None), ("left", False, None), ("right", True, "host")])
        os.unlink(self.now.path("etc/vfioctl/vfioctl.conf"))
        self.assertNotIn("ALIAS", self.code(0, self.now.cli("list")).out)

    def test_show(self):
        text = self.code(0, self.now.cli("show", "right")).out
        self.assertRegex(text, r"(?m)^GPU +1b$")
        self.assertRegex(text, r"(?m)^alias +right$")
        self.assertRegex(text, r"(?m)^ours +yes, and rests in mode host$")
        self.assertRegex(self.code(0, self.now.cli("show", "left")).out, r"(?m)^ours +no$")
        self.assertEqual(self.code(0, self.now.cli("show", "left", "--json")).json["alias"], "left")

    def test_wherever_a_gpu_is_named(self):
        self.code(0, self.now.cli("to-vm", "right"))
        self.assertEqual(self.now.driver("0000:84:00.0"), "vfio-pci")
        self.assertEqual(self.now.driver("0000:84:00.1"), "vfio-pci")
        self.code(0, self.now.cli("to-host", "right"))
        self.code(0, self.now.cli("check", "left", "right"))
        self.says(self.code(2, self.now.cli("to-vm", "left", "1a")), "named twice")
        self.says(self.code(2, self.now.cli("to-vm", "middle")), "'middle'", "alias")


class Drops(Case):
    def test_a_drop_in_replaces_the_list(self):
        host = self.host("gtx690")
        host.configure("gpus = 1a 1b")
        host.write("etc/vfioctl/vfioctl.conf.d/10-setup.conf", "gpus = 1b\n")
        self.assertEqual([gpu["ours"] for gpu in host.gpus()], [False, False, True])
        host.write("etc/vfioctl/vfioctl.conf.d/20-none.conf", "gpus =\n")
        self.assertEqual([gpu["ours"] for gpu in host.gpus()], [False, False, False])

    def test_an_alias_from_another_file(self):
        host = self.host("gtx690")
        host.configure("gpus = left")
        self.says(self.code(2, host.cli("list")), "vfioctl.conf:1", "'left'")
        host.write("etc/vfioctl/vfioctl.conf.d/10-names.conf", "alias = left=1b\n")
        self.assertEqual(json.loads(self.code(0, host.cli("list", "--json")).out)["gpus"][2]["ours"], True)


if __name__ == "__main__":
    harness.main()
