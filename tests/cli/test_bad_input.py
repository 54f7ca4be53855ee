#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever is typed: a clear line, exit 2 or 3, nothing changed."""

import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, expand, run, template  # noqa: E402

LONG = "x" * 300
# What is typed, the exit code, what has to be said.
TYPED = [
    ("", 2, "no verb"),
    ("frobnicate", 2, "'frobnicate'"),
    ("to-VM 1a", 2, "'to-VM'"),
    (f"{LONG} 1a", 2, "unknown verb"),
    ("--frobnicate list", 2, "--frobnicate"),
    ("list --frobnicate", 2, "--frobnicate"),
    ("list -x", 2, "-x"),
    ("list -xq", 2, "-x"),
    ("-xq list", 2, "-x"),
    ("list --json=yes", 2, "--json"),
    ("list -o", 2, "-o"),
    ("list --output", 2, "--output"),
    ("list --root", 2, "--root"),
    ("list --connect", 2, "--connect"),
    ("list 1a", 2, "usage"),
    ("list --gpu 1a", 2, "--gpu"),
    ("list --dry-run", 2, "--dry-run"),
    ("status 1a", 2, "usage"),
    ("status --dry-run", 2, "--dry-run"),
    ("list --watch", 2, "--watch"),
    ("show", 2, "usage"),
    ("show 1a 1b", 2, "usage"),
    ("show -o GPU 1a", 2, "--output"),
    ("to-vm", 2, "usage"),
    ("to-host --dry-run", 2, "usage"),
    ("to-vm 1a --count 2", 2, "--count"),
    ("to-vm 1a --share", 2, "--share"),
    ("--gpu 1a to-vm 1b", 2, "verb comes first"),
    ("--count 2 assign x", 2, "verb comes first"),
    ("assign", 2, "usage"),
    ("unassign", 2, "usage"),
    ("unassign x --count 2", 2, "--count"),
    ("assign x --count", 2, "--count"),
    ("assign x --gpu", 2, "--gpu"),
    ("assign x --count 0", 2, "--count 0"),
    ("assign x --count -1", 2, "--count -1"),
    ("assign x --count=-1", 2, "--count -1"),
    ("assign x --count 65", 2, "1 to 64"),
    ("assign x --count 999999999999", 2, "1 to 64"),
    ("assign x --count 99999999999999999999999999", 2, "1 to 64"),
    ("assign x --count abc", 2, "abc"),
    ("assign x --count 1x", 2, "1x"),
    ("assign x --count 0x2", 2, "0x2"),
    ("assign x --count +1", 2, "+1"),
    ("assign x --count 1.5", 2, "1.5"),
    (f"assign x --count {LONG}", 2, "..."),
    ("assign x y --gpu 1a", 2, "--gpu"),
    ("assign x --share", 2, "--gpu"),
    ("to-vm 1c", 3, "'1c'"),
    ("to-vm 99:00.0", 3, "'99:00.0'"),
    ("to-vm 83:00.7", 3, "'83:00.7'"),
    ("to-vm 80:02.0", 3, "'80:02.0'"),
    ("to-vm 0000:83:00.00", 2, "neither a short name"),
    ("to-vm 83:00", 2, "neither a short name"),
    (f"to-vm {LONG}", 2, "..."),
    ("to-vm 1a 1a", 2, "named twice"),
    ("to-vm 1a 83:00.0", 2, "named twice"),
    ("to-vm 83:00.0 0000:83:00.0", 2, "named twice"),
    ("to-host 0000:83:00.1 1b 1a", 2, "named twice"),
    ("check 1a 83:00.1", 2, "named twice"),
    ("to-vm 1a 1c", 3, "'1c'"),
    ("check nope", 2, "'nope'"),
    ("assign x", 2, "--connect"),
    ("unassign x", 2, "--connect"),
    ("config 1a", 2, "usage"),
    ("config --check --boot", 2, "--boot"),
    ("config --check=yes", 2, "--check"),
    ("list --check", 2, "--check"),
    ("check --boot", 2, "--boot"),
    ("undo 1a", 2, "usage"),
    ("undo --timer", 2, "--timer"),
    ("setup --gpu 1a", 2, "--gpu"),
    ("config --no-initramfs", 2, "--no-initramfs"),
    ("setup --timer --cron", 2, "--cron"),
    ("setup --dry-run nope", 2, "'nope'"),
]


class Typed(Case):
    @classmethod
    def setUpClass(cls):
        cls.now = harness.Host(template("gtx690"))
        cls.addClassCleanup(cls.now.close)
        cls.before = cls.now.whole()

    def each(self, words, code, said):
        result = self.says(self.code(code, self.now.cli(*words.split())), said)
        self.assertEqual(result.out, "")
        self.assertLessEqual(len(result.lines), 2, result)
        self.assertLess(len(result.err), 400, result)
        self.untouched(self.before, self.now)
        self.assertEqual(self.now.log(), [])


expand(Typed, [(f"{i:02} {words[:50]}", words, code, said) for i, (words, code, said) in enumerate(TYPED)])


class Help(Case):
    def test_every_verb(self):
        verbs = ["list", "show", "tree", "check", "to-vm", "to-host", "assign", "unassign", "config", "setup", "undo"]
        text = self.code(0, run("--help")).out
        for verb in verbs:
            self.assertIn(f"\n  {verb} ", text)
            result = self.code(0, run(verb, "--help"))
            self.assertIn(f"vfioctl {verb}", result.out)
            self.assertEqual(result.err, "")
            self.assertEqual(self.code(0, run(verb, "-h")).out, result.out)

    def test_version(self):
        self.assertRegex(self.code(0, run("--version")).out, r"^vfioctl \d+\.\d+")
        self.code(0, run("list", "--version"))

    def test_nowhere_to_print(self):
        with open("/dev/full", "wb") as full:
            process = harness.start("--root", template("gtx690"), "list")
            process.communicate()
            process = __import__("subprocess").run([harness.VFIOCTL, "--root", template("gtx690"), "list"], stdout=full,
                                                   stderr=-1, env=harness.environment(None, {}), check=False)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"cannot write", process.stderr)


class Root(Case):
    def bad(self, code, *args):
        result = self.says(self.code(code, run(*args)))
        self.assertEqual((result.out, len(result.lines)), ("", 1), result)
        return result

    def test_missing(self):
        self.assertIn("/no/such/folder", self.bad(2, "--root", "/no/such/folder", "list").err)
        self.bad(2, "--root", "", "list")
        self.bad(2, "list", "--root", "x" * 5000)

    def test_a_file(self):
        self.bad(2, "--root", harness.VFIOCTL, "list")

    def test_no_host_in_it(self):
        for verb in (["list"], ["check"], ["show", "1a"], ["to-vm", "1a"], ["list", "--json"]):
            self.assertIn("no PCI bus", self.bad(1, "--root", "/proc/self/fdinfo", *verb).err)

    def test_a_host_without_gpus(self):
        host = self.host("gtx690")
        for address in os.listdir(host.path("sys/bus/pci/devices")):
            if address[5:] in ("03:00.0", "83:00.0", "84:00.0"):
                os.unlink(host.path(f"sys/bus/pci/devices/{address}"))
        self.assertEqual(self.code(0, host.cli("list", "--json")).json, {"gpus": []})
        self.code(0, host.cli("list"))
        self.code(0, host.cli("check"))
        self.code(3, host.cli("to-vm", "1a"))


class Config(Case):
    def with_config(self, text, name="vfioctl.conf"):
        host = self.host("gtx690")
        host.write(f"etc/vfioctl/{name}", text)
        return host

    def each(self, line, said):
        host = self.with_config(f"# a comment\n\n{line}\n")
        before = host.whole()
        for args in (("list",), ("to-vm", "1a")):
            self.says(self.code(2, host.cli(*args)), "etc/vfioctl/vfioctl.conf:3", said)
        self.untouched(before, host)

    def test_unknown_key_is_told_and_no_more(self):
        host = self.with_config("placement = pack\nplacemnt = spread\n")
        result = self.says(self.code(0, host.cli("list")), "etc/vfioctl/vfioctl.conf:2", "placemnt")
        self.assertIn("1a", result.out)
        self.assertEqual(self.code(0, host.cli("-q", "list")).err, "")

    def test_drop_ins_are_named(self):
        host = self.with_config("placement = sideways\n", "vfioctl.conf.d/50-mine.conf")
        self.says(self.code(2, host.cli("list")), "50-mine.conf:1", "sideways")

    def test_a_later_drop_in_wins(self):
        host = self.with_config("step-deadline = 5s\n", "vfioctl.conf.d/10-a.conf")
        host.write("etc/vfioctl/vfioctl.conf.d/20-b.conf", "step-deadline = 200ms\n")
        result = self.code(4, host.cli("to-vm", "1a", faults={"HANG": 1}))
        self.assertLess(result.seconds, 0.2 + harness.SECOND)

    def test_good_values(self):
        host = self.with_config("placement = spread\nstep-deadline = 30s\nread-deadline=300ms\nsettle-deadline = 2\n"
                                "lock-deadline = 3600s\nconnect = test:///default\n")
        self.assertEqual(self.code(0, host.cli("to-vm", "1a")).err, "")

    def test_no_file_of_text(self):
        for text in (b"", b"\n" * 1000, b"\0" * 100, os.urandom(4096), b"=\n", b"= x\n", b"[\n", b"]\n[]\n", b"key\n",
                     b"placement = pack", b"\x1b[31mkey = 1\n", b"placement = \x1b[31m\n", b"x" * 100000, b"a = b\n" * 20000):
            with self.subTest(text=text[:20]):
                host = self.with_config(text)
                result = host.cli("list")
                self.assertIn(result.code, (0, 2), result)
                self.assertTrue(result.code == 0 or result.err)
                self.assertTrue(all(c.isprintable() or c == "\n" for c in result.err), result)
                host.close()

    def test_enormous(self):
        host = self.with_config("")
        with open(host.path("etc/vfioctl/vfioctl.conf"), "wb") as file:
            file.truncate(64 << 20)
        self.assertIn(host.cli("list").code, (0, 2))

    def test_a_folder(self):
        host = self.host("gtx690")
        os.makedirs(host.path("etc/vfioctl/vfioctl.conf"))
        self.assertIn(host.cli("list").code, (0, 2))

    def test_a_fifo_does_not_hold_us_up(self):
        host = self.with_config("")
        for name in ("vfioctl.conf", "vfioctl.conf.d/50-mine.conf"):
            os.makedirs(os.path.dirname(host.path(f"etc/vfioctl/{name}")), exist_ok=True)
            os.rename(host.path("etc/vfioctl/vfioctl.conf"), host.path("etc/kept"))
            os.mkfifo(host.path(f"etc/vfioctl/{name}"))
            self.says(self.code(2, host.cli("list", timeout=10)), name, "FIFO")
            os.unlink(host.path(f"etc/vfioctl/{name}"))
            os.rename(host.path("etc/kept"), host.path("etc/vfioctl/vfioctl.conf"))

    def test_a_link_that_leads_nowhere(self):
        # It must not make the other files count for nothing.
        host = self.with_config("placement = spread\n")
        os.makedirs(host.path("etc/vfioctl/vfioctl.conf.d"))
        os.symlink("/etc/no/such/file", host.path("etc/vfioctl/vfioctl.conf.d/50-mine.txt"))
        self.assertEqual(self.code(0, host.cli("list")).err, "")
        for name in ("vfioctl.conf.d/50-mine.conf", "vfioctl.conf"):
            path = host.path(f"etc/vfioctl/{name}")
            if os.path.exists(path):
                os.unlink(path)
            os.symlink("/etc/no/such/file", path)
            self.says(self.code(2, host.cli("list")), name, "leads nowhere")
            os.unlink(path)

    def test_links_are_not_followed_out_of_the_root(self):
        with open(f"{harness.SCRATCH}/outside.conf", "w", encoding="utf-8") as file:
            file.write("placement = outside\n")
        for name in ("vfioctl.conf", "vfioctl.conf.d/10-a.conf"):
            for target in (f"{harness.SCRATCH}/outside.conf", "../" * 20 + f"{harness.SCRATCH}/outside.conf"):
                host = self.host("gtx690")
                os.makedirs(os.path.dirname(host.path(f"etc/vfioctl/{name}")))
                os.symlink(target, host.path(f"etc/vfioctl/{name}"))
                result = host.cli("list")
                self.assertNotIn("outside'", result.err, name)
                host.close()
        host = self.host("gtx690")
        os.makedirs(f"{harness.SCRATCH}/outside.d", exist_ok=True)
        with open(f"{harness.SCRATCH}/outside.d/vfioctl.conf", "w", encoding="utf-8") as file:
            file.write("placement = outside\n")
        os.symlink(f"{harness.SCRATCH}/outside.d", host.path("etc/vfioctl"))
        self.assertNotIn("outside'", host.cli("list").err)


expand(Config, [(f"{line.split()[0]}_{line.split('=')[1]}", line, said) for line, said in (
    ("placement = sideways", "pack or spread"), ("placement =", "pack or spread"), ("step-deadline = soon", "time"),
    ("step-deadline = 0", "time"), ("step-deadline = -1s", "time"), ("read-deadline = 5h", "time"),
    ("lock-deadline = 99999999999999999999", "time"), ("settle-deadline = 3601s", "time"), ("connect =", "URI"),
    ("gpus = sideways", "'sideways'"), ("gpus = 1a, all", "stands alone"), ("idle = maybe", "vm or host"),
    ("alias = 2a=1a", "no name"), ("alias = x=1a,x=1b", "twice"), ("hook-deadline = x", "time"))])


if __name__ == "__main__":
    harness.main()
