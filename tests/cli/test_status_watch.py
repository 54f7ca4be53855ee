#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vfioctl status on a terminal, and vfioctl status --watch, which goes on by events."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import harness  # noqa: E402
from test_status import A, IN_VM, Status, process as process_line, uuid_of  # noqa: E402


class Watch(Status):
    def watch(self, *args):
        process = self.now.start("status", "--watch", *args)
        os.set_blocking(process.stdout.fileno(), False)
        self.addCleanup(self.end, process)
        self.seen = ""
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        with contextlib.suppress(ValueError):
            process.communicate()

    def read(self, process, *words, seconds=20):
        """What is printed next, once all of the words have come."""
        end = time.monotonic() + seconds
        text = ""
        while not all(word in text for word in words):
            self.assertLess(time.monotonic(), end, f"{words} not in {text}")
            if select.select([process.stdout], [], [], 0.1)[0]:
                part = process.stdout.read()
                self.assertTrue(part, f"it has ended: {text}")
                text += part.decode()
        return text

    def silent(self, process, seconds=0.6):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([process.stdout], [], [], left)[0]:
                self.fail(f"unasked: {process.stdout.read()}")

    def stop(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, err, harness.sanitizer_reports()), (0, b"", ""))
        return out

    def test_blocks(self):
        self.on(*IN_VM, config=["gpus = all"])
        process = self.watch()
        first = self.read(process, "no problems\n")
        self.assertFalse(first.startswith("\n"))
        self.now.write(f"run/vfioctl/work/{A}", "vm")
        second = self.read(process, "half-done: ")
        self.assertTrue(second.startswith("\nGPU "), second)
        os.unlink(self.now.path(f"run/vfioctl/work/{A}"))
        self.assertEqual(self.read(process, "no problems\n"), "\n" + first)
        self.assertEqual(self.stop(process, signal.SIGINT), b"")

    def test_each_place(self):
        self.on(*IN_VM[:2])
        process = self.watch("-q")
        self.now.configure("gpus = 1a")
        self.read(process, "hook-not-installed: ", "boot-not-run: ")
        self.now.write("etc/vfioctl/vfioctl.conf.d/10.conf", "gpus = all\n")
        self.read(process, "wrong-mode: ")
        self.now.write("run/vfioctl/boot-late", self.policy())
        self.assertNotIn("boot-not-run", self.read(process, "hook-not-installed: "))
        self.now.write(f"run/vfioctl/claims/{A}", "u 0 0\nx\n")
        self.read(process, "claim-stale: ")
        os.rename(self.now.path("run/vfioctl"), self.now.path("run/gone"))
        self.read(process, "boot-not-run: ")
        self.now.write(f"run/vfioctl/stuck/{A}", f"{process_line(os.getpid())}\nunbind\n")
        self.read(process, "stuck: ")
        self.stop(process)

    def test_json_lines(self):
        self.on(*IN_VM)
        process = self.watch("--json")
        self.assertEqual(json.loads(self.read(process, "\n"))["exit_code"], 0)
        self.now.write(f"run/vfioctl/refused/{uuid_of('a')}", "a\nno\n")
        line = self.read(process, "\n")
        self.assertEqual(line.count("\n"), 1, line)
        self.assertEqual(json.loads(line)["refused_starts"][0]["vm"], "a")
        self.stop(process)

    def test_nothing_new_is_not_said(self):
        self.on(*IN_VM, config=["gpus = all"])
        self.now.write("run/vfioctl/reconciled", "0 0123456789abcdef\n")
        process = self.watch()
        self.read(process, "no problems\n")
        os.utime(self.now.path("run/vfioctl/reconciled"), (5, 5))
        self.now.write("run/vfioctl/unknown", "")
        self.now.write("etc/unknown", "")
        self.silent(process)
        self.stop(process)

    def test_a_burst_is_one_change(self):
        self.on(*IN_VM, config=["gpus = all"])
        process = self.watch("-q", "--json")
        self.read(process, "\n")
        for i in range(50):
            self.now.write(f"run/vfioctl/refused/{uuid_of(str(i))}", f"{i}\nno\n")
        # At the end of it all are there, and not each of them had a look of its own.
        text = ""
        while not text or len(json.loads(text.splitlines()[-1])["refused_starts"]) < 50:
            text += self.read(process, "\n")
        self.assertLess(text.count("\n"), 10)
        self.stop(process)

    def test_the_reader_goes_away(self):
        self.on()
        process = self.watch()
        self.read(process, "no problems\n")
        process.stdout.close()
        self.until(lambda: process.poll() is not None, "it goes on")
        self.assertEqual((process.returncode, process.stderr.read()), (0, b""))

    def test_the_host_goes_away(self):
        self.on()
        process = self.watch()
        self.read(process, "no problems\n")
        os.rename(self.now.path("sys/bus/pci"), self.now.path("sys/bus/gone"))
        self.now.write("run/vfioctl/hook", "")
        self.until(lambda: process.poll() is not None, "it goes on")
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"no PCI bus", process.stderr.read())


class Terminal(Status):
    def run_there(self, *args, env=None, until=None):
        """On a terminal of its own: all that it prints."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        process = subprocess.Popen([harness.VFIOCTL, "--root", self.now.root, "status", *args], stdin=subprocess.DEVNULL,
                                   stdout=slave, stderr=subprocess.PIPE, start_new_session=True,
                                   env={**harness.environment(self.now.root, {}), "TERM": "xterm", **(env or {})})
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):
            while part := os.read(master, 65536):
                text += part
                if until and until in text:
                    process.send_signal(signal.SIGINT)
        self.assertEqual(process.communicate(timeout=20)[1], b"")
        return process.returncode, text.decode().replace("\r\n", "\n")

    def test_color(self):
        self.on(config=["gpus = 1a"])
        code, text = self.run_there()
        self.assertEqual(code, 3)
        self.assertIn("\x1b[1;31mProblems:\x1b[0m", text)
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            code, text = self.run_there(env=env)
            self.assertIn("Problems:", text)
            self.assertNotIn("\x1b", text)

    def test_narrow(self):
        self.on(topology="x10drh-3xv340")
        _, text = self.run_there(env={"COLUMNS": "40", "NO_COLOR": "1"})
        self.assertLessEqual(max(len(line) for line in text.splitlines()[:8]), 40, text)

    def test_watch_draws_over(self):
        self.on(*IN_VM, config=["gpus = all"])
        code, text = self.run_there("--watch", until=b"Ctrl-C ends")
        self.assertEqual(code, 0)
        self.assertTrue(text.startswith("\x1b[H\x1b[2J"), repr(text))
        self.assertIn("no problems", text)
        self.assertIn("\x1b[J", text)


if __name__ == "__main__":
    harness.main()
