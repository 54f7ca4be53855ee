#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""reset, and what holds a GPU in mode vm awake: refusals, what is counted, what is mended, and the way back."""

import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, changed_topology  # noqa: E402

DIE = "0000:06:00.0"
SHARED = ("0000:00:02.0", "0000:02:00.0")  # above both dies of card 1


class Reset(Case):
    def refused(self, host, code, *words):
        before = host.whole()
        result = self.says(self.code(3, host.cli("reset", "1a")), code, "it was not reset", *words)
        found = self.code(3, host.cli("reset", "1a", "--json")).json
        self.assertIn(code, {finding["code"] for finding in found["findings"]})
        self.assertEqual((found["steps"], found["done"], found["milliseconds"]), ([], False, None))
        self.untouched(before, host)
        return result

    def done(self, host, method, writes):
        before = host.tree()
        result = self.code(0, host.cli("reset", "1a"))
        address = host.gpu("1a")["address"]
        self.assertRegex(result.out, rf"^1a \({address}\) was reset by {method} in \d+\.\d\d s, and answers\n$")
        self.assertEqual(result.err, "")
        self.assertEqual([(line[1].rpartition("/")[2], line[2], line[3]) for line in host.log()], writes)
        self.restored(before, host)

    def test_in_mode_vm(self):
        self.done(self.host("x10drh-3xv340", "--mode", "06:00.0=vm"), "bus", [("reset", "1\\n", "ok")])

    def test_without_a_driver(self):
        self.done(self.host("x10drh-3xv340", "--mode", "06:00.0=none"), "bus", [("reset", "1\\n", "ok")])

    def test_a_stale_list_is_made_anew_first(self):
        host = self.host("desktop-2xrtx3050", "--mode", "0b:00.0=vm-bare")
        name = next(gpu["name"] for gpu in host.gpus() if gpu["address"] == "0000:0b:00.0")
        result = self.code(0, host.cli("reset", name))
        self.assertIn("was reset by flr in ", result.out)
        self.assertEqual([(line[1].rpartition("/")[2], line[2]) for line in host.log()],
                         [("reset_method", "default\\n"), ("reset", "1\\n")])

    def test_dry_run_and_json(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm")
        before = host.whole()
        text = self.code(0, host.cli("reset", "1a", "--dry-run"))
        self.assertEqual(text.out, f"write 1 to /sys/bus/pci/devices/{DIE}/reset\n")
        dry = self.code(0, host.cli("reset", "1a", "--dry-run", "--json")).json
        self.assertIn("lost", dry["steps"][0]["irreversible"])
        self.assertEqual((dry["gpu"], dry["address"], dry["method"], dry["done"]), ("1a", DIE, "bus", False))
        self.untouched(before, host)
        real = self.code(0, host.cli("reset", "1a", "--json")).json
        self.assertEqual((real["steps"], real["findings"], real["done"]), (dry["steps"], [], True))
        self.assertGreaterEqual(real["milliseconds"], 0)

    def test_on_its_host_driver(self):
        self.refused(self.host("x10drh-3xv340"), "host-driver", "amdgpu", "vfioctl to-vm 1a")

    def test_held(self):
        self.refused(self.host("x10drh-3xv340", "--mode", "06:00.0=vm", "--holder", "06:00.0=4711,qemu-system-x86,machine.slice"),
                     "in-use", "pid 4711")

    def test_claimed(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm")
        with open(f"/proc/{os.getpid()}/stat", encoding="utf-8") as file:
            start = file.read().rpartition(")")[2].split()[19]
        host.write(f"run/vfioctl/claims/{DIE}", f"6d1a3b7e-0000-4000-8000-000000000001 {os.getpid()} {start}\nvm1\n")
        self.refused(host, "claimed", "vm1")

    def test_no_method(self):
        self.refused(self.host("gtx690", "--mode", "83:00.0=vm"), "reset-none")

    def test_boot_display(self):
        host = self.host("x10drh-3xv340")
        self.says(self.code(3, host.cli("reset", "17:00.0")), "boot-display")
        self.assertEqual(host.log(), [])

    def test_another_gpu_in_scope(self):
        """Two dies on one bus: what resets the bus resets both."""
        def join(by_address, _):
            for n in (0, 1):
                moved = by_address[f"0000:84:00.{n}"]
                moved["address"], moved["parent"] = f"0000:83:01.{n}", by_address["0000:83:00.0"]["parent"]
        host = changed_topology("gtx690", join, "--mode", "83:00.0=vm", "--mode", "83:01.0=vm")
        self.addCleanup(host.close)
        self.refused(host, "reset-scope", "GPU 1b (0000:83:01.0)")
        told = {(finding["gpu"], finding["code"]): finding for finding in host.findings()}
        self.assertEqual(told["0000:83:00.0", "reset-scope"]["severity"], "warning")
        self.assertIn("GPU 1a", told["0000:83:01.0", "reset-scope"]["text"])
        shown = self.code(0, host.cli("show", "1a", "--json")).json["reset"]
        self.assertEqual((shown["method"], shown["scope"]), (None, ["0000:83:01.0", "0000:83:01.1"]))

    def test_the_kernel_fails(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm")
        self.says(self.code(1, host.cli("reset", "1a", faults={"FAIL": "1:25"})), "step-failed", "undone")
        self.assertEqual(self.code(1, host.cli("reset", "1a", "--json", faults={"FAIL_FROM": "1"})).json["done"], False)

    def test_the_kernel_hangs(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm")
        host.configure("step-deadline = 300ms")
        self.says(self.code(4, host.cli("reset", "1a", faults={"HANG": 1})), "stuck")
        self.says(self.code(3, host.cli("reset", "1a")), "stuck", "it was not reset")

    def test_it_does_not_answer_afterwards(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm")
        result = self.says(self.code(4, host.cli("reset", "1a", faults={"RESET_DEAD": DIE})), "dead", "does not answer since",
                           "switch its power off")
        self.assertNotIn("is undone", result.err)
        self.assertIn("dead", host.codes("1a"))
        self.assertFalse(host.gpu("1a")["ready"])
        self.assertTrue(host.gpu("1b")["ready"])

    def test_bad_input(self):
        host = self.host("x10drh-3xv340")
        for code, args in ((2, ("reset",)), (2, ("reset", "1a", "1b")), (3, ("reset", "9z")), (2, ("reset", "!")),
                           (2, ("reset", "1a", "--count", "2"))):
            self.fit(self.code(code, host.cli(*args)))
        self.assertEqual(host.log(), [])


class Dead(Case):
    def seed(self, host, state):
        host.write(f"sys/bus/pci/devices/{DIE}/config", b"\xff" * 4096)
        host.write(f"sys/bus/pci/devices/{DIE}/power_state", f"{state}\n")

    def test_is_refused(self):
        for state, code in (("D0", "dead"), ("D3cold", "stuck-d3")):
            host = self.host("x10drh-3xv340")
            self.seed(host, state)
            self.says(self.code(3, host.cli("to-vm", "1a")), code, "switch its power off", "nothing was changed")
            self.assertEqual(host.log(), [])
            self.assertEqual({finding["code"] for finding in host.findings("1a")} & {"dead", "stuck-d3"}, {code})
            self.assertEqual([gpu["name"] for gpu in host.gpus() if gpu["ready"]], ["1b", "2a", "2b", "3a", "3b"])

    def test_one_that_is_gone_altogether(self):
        def lose(by_address, functions):
            functions.remove(by_address["0000:0a:00.0"])
        host = changed_topology("x10drh-3xv340", lose)
        self.addCleanup(host.close)
        (finding,) = [finding for finding in host.findings() if finding["code"] == "die-missing"]
        self.assertEqual((finding["gpu"], finding["severity"]), (DIE, "warning"))


class Awake(Case):
    def settings(self, host, *functions):
        return {tuple(host.read(f"sys/bus/pci/devices/{function}/{name}").strip() for name in ("power/control", "d3cold_allowed"))
                for function in functions}

    def users(self, host, function):
        path = f"run/vfioctl/hold/{function}"
        return [line[4:] for line in host.read(path).splitlines() if line.startswith("gpu ")] if os.path.exists(
            host.path(path)) else []

    def test_a_shared_bridge_is_let_go_by_the_last(self):
        host = self.host("x10drh-3xv340")
        before = host.tree()
        self.code(0, host.cli("to-vm", "1a"))
        self.code(0, host.cli("to-vm", "1b"))
        self.assertEqual([self.users(host, function) for function in SHARED], [[DIE, "0000:0a:00.0"]] * 2)
        self.code(0, host.cli("to-host", "1a"))
        self.assertEqual(self.settings(host, *SHARED), {("on", "0")})
        self.assertEqual([self.users(host, function) for function in SHARED], [["0000:0a:00.0"]] * 2)
        self.code(0, host.cli("to-host", "1b"))
        self.unchanged(before, host)
        self.assertEqual(os.listdir(host.path("run/vfioctl/hold")), [])

    def test_what_was_right_already_is_neither_written_nor_noted(self):
        host = self.host("x10drh-3xv340")
        for function in SHARED:
            host.write(f"sys/bus/pci/devices/{function}/power/control", "on\n")
            host.write(f"sys/bus/pci/devices/{function}/d3cold_allowed", "0\n")
        self.code(0, host.cli("to-vm", "1a"))
        self.code(0, host.cli("to-host", "1a"))
        written = {os.path.dirname(line[1].replace("/power/", "/")).rpartition("/")[2] for line in host.log()}
        self.assertIn("0000:03:00.0", written)
        self.assertEqual(written & set(SHARED), set())
        self.assertEqual(self.settings(host, *SHARED), {("on", "0")})

    def test_what_others_bound_is_told_and_mended(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm-bare")
        finding = next(finding for finding in host.findings("1a") if finding["code"] == "d3cold-allowed")
        self.assertEqual((finding["severity"], finding["fix"]), ("warning", "vfioctl to-vm 1a"))
        self.code(0, host.cli(*finding["fix"].split()[1:]))
        self.assertNotIn("d3cold-allowed", host.codes("1a"))
        self.assertEqual({line[1].rpartition("/")[2] for line in host.log()}, {"control", "d3cold_allowed"}, "nothing is bound")
        self.code(0, host.cli("to-host", "1a"))
        fresh = self.host("x10drh-3xv340")
        for function in (DIE, *SHARED):
            self.assertEqual(self.settings(host, function), self.settings(fresh, function), function)

    def test_reconcile_and_hook_mend_it_too(self):
        for verb in (("reconcile",), ("boot",)):
            host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm-bare")
            host.configure("gpus = 1a")
            self.code(0, host.cli(*verb))
            self.assertEqual(self.settings(host, DIE, *SHARED), {("on", "0")}, verb)
            host.forget()
            self.code(0, host.cli(*verb))
            self.assertEqual(host.log(), [], "a second run has nothing to do")

    def test_a_lost_hold_comes_back(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm")
        host.configure("gpus = 1a")
        host.write(f"sys/bus/pci/devices/{SHARED[0]}/power/control", "auto\n")
        self.code(0, host.cli("reconcile"))
        self.assertEqual([(line[1].split("/")[-3], line[2]) for line in host.log()], [(SHARED[0], "on\\n")])

    def test_another_card_at_the_same_place(self):
        """What was noted of a card that was pulled is not written to the next one."""
        host = self.host("x10drh-3xv340")
        host.write(f"run/vfioctl/hold/{DIE}", f"ids 10de:1430\ncontrol auto\nd3cold_allowed 1\nreset_method pm\ngpu {DIE}\n")
        self.assertIn("already in mode host", self.code(0, host.cli("to-host", "1a")).out)
        before = host.tree()
        self.code(0, host.cli("to-vm", "1a"))
        self.assertIn("ids 1002:6864\n", host.read(f"run/vfioctl/hold/{DIE}"))
        self.code(0, host.cli("to-host", "1a"))
        self.unchanged(before, host)

    def test_a_user_that_was_pulled_holds_nothing(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm")
        for function in SHARED:
            with open(host.path(f"run/vfioctl/hold/{function}"), "a", encoding="utf-8") as file:
                file.write("gpu 0000:77:00.0\n")
        self.code(0, host.cli("to-host", "1a"))
        self.assertEqual(self.settings(host, *SHARED), {("auto", "1")})

    def test_nonsense_in_notes(self):
        for text in ("", "\n", "ids\n", "ids 1002:6864\ncontrol off\nd3cold_allowed 7\nreset_method ../x\ngpu x\n", "\xff" * 5000):
            host = self.host("x10drh-3xv340")
            before = host.tree()
            host.write(f"run/vfioctl/hold/{DIE}", text)
            self.code(0, host.cli("to-vm", "1a"))
            self.code(0, host.cli("to-host", "1a"))
            self.unchanged(before, host)


class Companions(Case):
    AUDIO = "0000:0b:00.1"

    def test_one_that_is_missing(self):
        host = changed_topology("desktop-2xrtx3050", lambda by_address, functions: functions.remove(by_address[self.AUDIO]))
        self.addCleanup(host.close)
        self.assertIn(("note", "companion-missing", "0000:0b:00.0"),
                      {(finding["severity"], finding["code"], finding["gpu"]) for finding in host.findings()})
        self.code(0, host.cli("to-vm", "0b:00.0"))
        self.assertEqual(host.driver("0000:0b:00.0"), "vfio-pci")

    def test_one_that_appears_later_goes_along(self):
        host = self.host("desktop-2xrtx3050", "--mode", "0b:00.0=vm-only")
        host.configure("gpus = 0000:0b:00.0")
        self.code(0, host.cli("reconcile"))
        self.assertEqual(host.driver(self.AUDIO), "vfio-pci")
        host.forget()
        self.code(0, host.cli("reconcile"))
        self.assertEqual(host.log(), [])


if __name__ == "__main__":
    harness.main()
