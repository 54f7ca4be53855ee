#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several at once: on one GPU, on several, and while one of them hangs."""

import contextlib
import fcntl
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, SECOND  # noqa: E402


class AtOnce(Case):
    def both(self, host, *commands):
        began = time.monotonic()
        processes = [host.start(*command) for command in commands]
        return [harness.finish(process, began) for process in processes]

    def test_same_gpu(self):
        host = self.host("gtx690")
        for _ in range(8):
            host.forget()
            for verb, mode in (("to-vm", "vm"), ("to-host", "host")):
                results = self.both(host, *[(verb, "1a")] * 6)
                self.assertEqual([result.code for result in results], [0] * 6, results)
                self.assertEqual(host.gpu("1a")["mode"], mode)
                said = [result.out.split(" is ")[1].split(" in ")[0] for result in results]
                self.assertEqual(sorted(said), ["already"] * 5 + ["now"], "one of them did it")
            # The list of reset methods is made anew once, for it stays true.
            writes = [line[1] for line in host.log() if not line[1].endswith("/reset_method")]
            self.assertEqual(len(writes), 2 * (6 + 4 + 3 * 2), "nothing is written twice")
            self.assertEqual({line[3] for line in host.log()}, {"ok"})

    def test_different_gpus(self):
        host = self.host("x10drh-3xv340")
        names = ["1a", "1b", "2a", "2b", "3a", "3b"]
        before = host.tree()
        for verb, mode in (("to-vm", "vm"), ("to-host", "host")):
            for result in self.both(host, *[(verb, name) for name in names]):
                self.code(0, result)
            self.assertEqual({gpu["mode"] for gpu in host.gpus() if gpu["ready"]}, {mode})
        self.unchanged(before, host)
        self.assertEqual(os.listdir(host.path("run/vfioctl/hold")), [], "the last one lets the shared bridges go")

    def test_overlapping_sets_in_any_order_end(self):
        host = self.host("x10drh-3xv340")
        for verb, mode in (("to-vm", "vm"), ("to-host", "host")):
            for result in self.both(host, (verb, "1a", "2a", "3a"), (verb, "3a", "2a", "1a"), (verb, "2a", "1a"),
                                    (verb, "3a", "1a")):
                self.code(0, result)
            self.assertEqual({gpu["mode"] for gpu in host.gpus() if gpu["name"] in ("1a", "2a", "3a")}, {mode})

    def test_opposite_wishes_leave_it_whole(self):
        host = self.host("gtx690")
        for _ in range(8):
            results = self.both(host, *[("to-vm", "1a"), ("to-host", "1a")] * 2)
            self.assertTrue({result.code for result in results} <= {0, 3}, results)
            drivers = {host.driver(f"0000:83:00.{n}") for n in (0, 1)}
            self.assertIn(drivers, ({"vfio-pci"}, {"nouveau", "snd_hda_intel"}))


class Waiting(Case):
    @contextlib.contextmanager
    def held(self, host, name):
        os.makedirs(host.path("run/vfioctl/lock"), exist_ok=True)
        with open(host.path(f"run/vfioctl/lock/{name}"), "w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def test_is_bounded(self):
        host = self.host("gtx690")
        host.configure("lock-deadline = 300ms")
        before = host.tree()
        with self.held(host, "0000:83:00.0"):
            result = self.says(self.code(3, host.cli("to-vm", "1a")), "another vfioctl", "nothing was changed")
            self.assertGreater(result.seconds, 0.29)
            self.assertLess(result.seconds, 0.3 + SECOND)
            self.unchanged(before, host)
            self.assertLess(self.code(0, host.cli("to-vm", "1b")).seconds, SECOND)
            self.assertLess(self.code(0, host.cli("list")).seconds, SECOND)
        self.code(0, host.cli("to-vm", "1a"))

    def test_ends_when_the_other_does(self):
        host = self.host("gtx690")
        host.configure("lock-deadline = 60s")
        with self.held(host, "0000:83:00.0") as lock:
            process, began = host.start("to-vm", "1a"), time.monotonic()
            self.until(lambda: any(os.path.basename(os.path.realpath(f"/proc/{process.pid}/fd/{fd}")) == "0000:83:00.0"
                                   for fd in self.descriptors(process.pid)), "it has come to the lock")
            self.assertIsNone(process.poll())
            lock.close()
            self.code(0, harness.finish(process, began))
        self.assertEqual(host.gpu("1a")["mode"], "vm")

    @staticmethod
    def descriptors(pid):
        try:
            return os.listdir(f"/proc/{pid}/fd")
        except FileNotFoundError:
            return []

    def unbind(self, host, name):
        """Which write it is."""
        steps = host.cli("to-vm", name, "--dry-run", "--json").json["steps"]
        writes = [step["attribute"] for step in steps if step["attribute"].startswith("/sys/")]
        return next(n for n, path in enumerate(writes, 1) if path.endswith("/unbind"))

    def test_json_is_printed_once(self):
        host = self.host("gtx690")
        with self.held(host, "0000:83:00.0") as lock:
            process, began = host.start("to-vm", "1a", "--json"), time.monotonic()
            self.until(lambda: any(os.path.basename(os.path.realpath(f"/proc/{process.pid}/fd/{fd}")) == "0000:83:00.0"
                                   for fd in self.descriptors(process.pid)), "it has come to the lock")
            lock.close()
            result = self.code(0, harness.finish(process, began))
        self.assertEqual([step["attribute"] for step in result.json["steps"]].count("/sys/bus/pci/drivers_probe"), 2)
        self.assertEqual(len(result.json["steps"]), len({step["text"] for step in result.json["steps"]}))

    def test_what_changed_meanwhile_is_looked_at_again(self):
        """A process takes the GPU while we wait for the lock: refused, not unbound under it."""
        host = self.host("gtx690")
        with self.held(host, "0000:83:00.0") as lock:
            process, began = host.start("to-vm", "1a"), time.monotonic()
            self.until(lambda: any(os.path.basename(os.path.realpath(f"/proc/{process.pid}/fd/{fd}")) == "0000:83:00.0"
                                   for fd in self.descriptors(process.pid)), "it has come to the lock")
            os.makedirs(host.path("proc/4711/fd"))
            host.write("proc/4711/comm", "blender\n")
            os.symlink("/dev/dri/renderD128", host.path("proc/4711/fd/3"))
            lock.close()
            result = self.code(3, harness.finish(process, began))
        self.says(result, "in-use", "blender")
        self.assertEqual(host.log(), [])

    def test_nobody_is_kept_waiting_by_one_that_hangs(self):
        host = self.host("x10drh-3xv340")
        host.configure("step-deadline = 20s")
        process, began = host.start("to-vm", "1a", faults={"HANG": self.unbind(host, "1a")}), time.monotonic()
        self.until(lambda: any(line[3] == "hang" for line in host.log()), "it hangs")
        for args in (("list",), ("check", "1b"), ("show", "1b"), ("to-vm", "1b"), ("to-host", "1b"), ("to-vm", "3a")):
            result = self.code(0, host.cli(*args))
            self.assertLess(result.seconds, SECOND, args)
        self.assertIsNone(process.poll(), "and all that while it was at it")
        # Who wants the same GPU waits for what is going on there: it is slow, and not known to be stuck.
        address = host.gpu("1a")["address"]
        second, since = host.start("to-vm", "1a"), time.monotonic()
        self.until(lambda: any(os.path.basename(os.path.realpath(f"/proc/{second.pid}/fd/{fd}")) == address
                               for fd in self.descriptors(second.pid)), "the second has come to the lock")
        self.assertIsNone(second.poll(), "and waits")
        host.release()
        self.code(0, harness.finish(process, began))
        self.code(0, harness.finish(second, since))
        self.assertEqual(host.gpu("1a")["mode"], "vm")

    def test_several_hang(self):
        host = self.host("x10drh-3xv340")
        host.configure("step-deadline = 300ms")
        for name in ("1a", "1b", "2a", "2b", "3a"):
            host.forget()
            self.code(4, host.cli("to-vm", name, faults={"HANG": self.unbind(host, name)}))
        for args in (("list",), ("check", "3b"), ("show", "3b"), ("to-vm", "3b")):
            self.assertLess(self.code(0, host.cli(*args)).seconds, SECOND, args)
        self.assertEqual(len([f for f in host.findings() if f["code"] == "stuck"]), 5)

    def test_several_stuck_that_nobody_has_recorded(self):
        """Hung by another program: each is found out by a read that does not come back."""
        host = self.host("x10drh-3xv340")
        stuck = ["0000:06:00.0", "0000:89:00.0"]
        os.makedirs(host.path(".fake/hung"), exist_ok=True)
        for address in stuck:
            host.write(f".fake/hung/{address}", "")
        host.hung = True
        result = self.code(0, host.cli("list", "--json"))
        self.assertLess(result.seconds, SECOND)
        self.assertEqual([gpu["name"] for gpu in result.json["gpus"] if gpu["ready"]], ["1b", "2a", "2b", "3a"])
        for args in (("show", "1b"), ("to-vm", "3a")):
            self.assertLess(self.code(0, host.cli(*args)).seconds, SECOND, args)
        self.says(self.code(3, host.cli("to-vm", "1a")), "stuck")


class Signals(Case):
    def test_ctrl_c_does_not_cut_a_change_in_half(self):
        host = self.host("gtx690")
        host.configure("step-deadline = 20s")
        process, began = host.start("to-vm", "1a", faults={"HANG": 5}), time.monotonic()
        self.until(lambda: any(line[3] == "hang" for line in host.log()), "it is in the middle")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.killpg(process.pid, number)
        host.release()
        process.wait(20)
        self.assertEqual({host.driver(f"0000:83:00.{n}") for n in (0, 1)}, {"vfio-pci"})
        with contextlib.suppress(AssertionError):
            harness.finish(process, began)


if __name__ == "__main__":
    harness.main()
