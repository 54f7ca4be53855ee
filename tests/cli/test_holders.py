#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A GPU that a process has open is left alone, and the process is named."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, SECOND, expand  # noqa: E402

UNITS = {"ollama.service": "systemctl stop ollama.service", "/user.slice/user-1000.slice/session-2.scope": "kill 4711",
         "/system.slice/docker-3f2a9c1be0d74a5f9d3e3c1a2b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e.scope": "docker stop 3f2a9c1be0d7"}


class Held(Case):
    """In either mode, by whatever it is held; a twin is not concerned."""

    def each(self, kind, mode, unit, fix):
        gpu = "83:00.0"
        options = ["--holder", f"{gpu}=4711,blender,{unit},{kind}"] + (["--mode", f"{gpu}=vm"] if mode == "vm" else [])
        host = self.host("gtx690", *options)
        before = host.whole()
        result = self.code(3, host.cli("to-vm" if mode == "host" else "to-host", "1a"))
        self.says(result, "in-use", "4711", "blender", "nothing was changed", fix)
        if unit.endswith(".service"):
            self.assertIn(unit, result.err)
        self.assertLess(result.seconds, SECOND)
        self.untouched(before, host)
        self.assertEqual(host.log(), [])

        (finding,) = [f for f in host.findings("1a") if f["code"] == "in-use"]
        self.assertEqual((finding["severity"], finding["gpu"], finding["fix"]), ("note", f"0000:{gpu}", fix))
        self.assertIn("4711", finding["text"])
        self.assertTrue(host.gpu("1a")["ready"], "only present use stands against it")
        self.code(0, host.cli("check", "1a"))
        self.assertNotIn("4711", host.cli("show", "1b").out)
        self.assertIn("4711", host.cli("show", "1a").out)

        self.code(0, host.cli("to-vm", "1b"))
        self.code(0, host.cli("to-host", "1b"))
        self.code(0, host.cli("to-vm" if mode == "vm" else "to-host", "1a"))
        self.code(3, host.cli("to-vm" if mode == "host" else "to-host", "1b", "1a") if mode == "host" else
                  host.cli("to-host", "1a", "1b"))


expand(Held, [(f"{kind}_{mode}_{unit}", kind, mode, unit, fix) for kind in ("fd", "map", "deleted")
              for mode in ("host", "vm") for unit, fix in UNITS.items()])


class Others(Case):
    def test_only_an_anonymous_vfio_descriptor(self):
        """Nothing here names the group; only a real kernel tells that it is open. What is left is the deadline."""
        host = self.host("gtx690", "--mode", "83:00.0=vm", "--holder", "83:00.0=4711,qemu,x.service,anon")
        host.configure("step-deadline = 300ms")
        host.hung = True
        result = host.cli("to-host", "1a")
        self.assertIn(result.code, (3, 4), result)
        self.assertLess(result.seconds, 0.3 + SECOND)
        self.says(result, "in-use" if result.code == 3 else "stuck")
        self.code(0, host.cli("to-vm", "1b"))

    def test_companions_count(self):
        host = self.host("gtx690", "--holder", "83:00.1=77,pulseaudio,pulse.service")
        self.says(self.code(3, host.cli("to-vm", "1a")), "in-use", "pid 77", "pulse.service", "/dev/snd/")

    def test_nvidia_has_nodes_of_its_own(self):
        host = self.host("desktop-2xrtx3050", "--holder", "0b:00.0=4711,python3,train.service,fd,nvidia1")
        self.says(self.code(3, host.cli("to-vm", "1032a")), "in-use", "train.service", "/dev/nvidia1")

    def test_several(self):
        host = self.host("gtx690", "--holder", "83:00.0=10,a,a.service", "--holder", "83:00.0=11,b,b.service",
                         "--holder", "84:00.0=12,c,c.service")
        result = self.says(self.code(3, host.cli("to-vm", "1a", "1b")), "a.service", "b.service", "c.service")
        self.assertEqual(len(result.lines), 4)
        used = {gpu["name"]: gpu["used_by"] for gpu in host.gpus()}
        self.assertEqual((sorted(used["1a"].split(", ")), used["1b"]), (["a.service", "b.service"], "c.service"))

    def test_one_process_with_many_descriptors_is_one_holder(self):
        host = self.host("gtx690", *["--holder", "83:00.0=10,a,a.service"] * 3)
        self.assertEqual(len([f for f in host.findings("1a") if f["code"] == "in-use"]), 1)

    def test_a_name_that_would_upset_a_terminal(self):
        host = self.host("gtx690", "--holder", "83:00.0=10,a,a.service")
        host.write("proc/10/comm", b"\x1b[31m\xff%s\n")
        self.fit(self.code(3, host.cli("to-vm", "1a")))
        self.code(0, host.cli("list", "--json")).json["gpus"]

    def test_a_process_that_goes_away_meanwhile(self):
        host = self.host("gtx690", "--holder", "83:00.0=10,a,a.service")
        for name in ("comm", "cgroup", "maps"):
            os.unlink(host.path(f"proc/10/{name}"))
        self.says(self.code(3, host.cli("to-vm", "1a")), "pid 10", "kill 10")

    def test_broken_proc(self):
        host = self.host("gtx690", "--holder", "83:00.0=10,a,a.service")
        os.makedirs(host.path("proc/99999999999999999999/fd"))
        os.makedirs(host.path("proc/12"))
        os.symlink("fd", host.path("proc/12/fd"))
        os.symlink("../13", host.path("proc/13"))
        os.mkfifo(host.path("proc/12/maps"))
        os.makedirs(host.path("proc/14/fd"))
        os.mkfifo(host.path("proc/14/fd/3"))
        with open(host.path("proc/14/maps"), "wb") as file:
            file.truncate(64 << 20)
        self.says(self.code(3, host.cli("to-vm", "1a")), "pid 10")
        self.code(0, host.cli("to-vm", "1b"))

    def test_no_proc_at_all(self):
        host = self.host("gtx690")
        subprocess.run(["rm", "-r", host.path("proc")], check=True)
        self.assertEqual(host.gpu("1a")["used_by"], "?", "not seen is not free")
        self.assertIn("holders-unknown", host.codes("1a"))

    def test_without_the_right_to_look(self):
        host = self.host("gtx690", "--holder", "83:00.0=10,a,a.service")
        other = {"fake": False}
        if os.geteuid() == 0:
            nobody = {"user": 65534, "group": 65534, "extra_groups": []}
            other.update(nobody)
            try:
                subprocess.run([harness.VFIOCTL, "--version"], check=True, stdout=subprocess.DEVNULL, **nobody)
            except (OSError, subprocess.CalledProcessError):
                self.skipTest("nobody cannot run the program where it lies")
        os.chmod(host.root, 0o755)
        os.chmod(host.path("proc/10/fd"), 0)
        self.addCleanup(os.chmod, host.path("proc/10/fd"), 0o755)
        gpus = {gpu["name"]: gpu for gpu in self.code(0, host.cli("list", "--json", **other)).json["gpus"]}
        self.assertEqual(gpus["1a"]["used_by"], "?")
        self.assertEqual(gpus["1b"]["used_by"], "?")
        self.assertIn("?", host.cli("list", "-o", "USED-BY", **other).out)
        findings = host.cli("check", "1b", "--json", **other).json["findings"]
        self.assertEqual([(f["code"], f["severity"]) for f in findings], [("reset-none", "note"), ("reset-stale", "note"), ("holders-unknown", "note")])


if __name__ == "__main__":
    harness.main()
