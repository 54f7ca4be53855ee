#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""--dry-run prints just what the real run then writes, and writes nothing at all."""

import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, expand  # noqa: E402

# Topology, how it is made, what is asked.
RUNS = [
    ("x10drh-3xv340", (), "to-vm 1a"),
    ("x10drh-3xv340", (), "to-vm 3b 1a 2a"),
    ("x10drh-3xv340", ("--mode", "06:00.0=vm", "--mode", "89:00.0=vm"), "to-host 3b 1a"),
    ("gtx690", (), "to-vm 1a 1b"),
    ("gtx690", ("--mode", "83:00.0=vm"), "to-host 1a"),
    ("gtx690", ("--mode", "83:00.1=vm-only"), "to-vm 1a"),
    ("gtx690", ("--mode", "83:00.1=vm-only"), "to-host 1a"),
    ("gtx690", ("--override", "83:00.0=vfio-pci"), "to-vm 1a"),
    ("gtx690", ("--override", "83:00.0=vfio-pci"), "to-host 1a"),
    ("gtx690", ("--override", "83:00.0=pci-stub", "--mode", "83:00.1=none-only"), "to-vm 1a"),
    ("gtx690", ("--no-vfio",), "to-vm 1b"),
    ("gtx690", (), "to-host 1b"),
    ("gtx690", ("--mode", "83:00.0=vm"), "to-vm 1a"),
    ("desktop-2xrtx3050", (), "to-vm 0b:00.1"),
    ("m2000", ("--domain", "10000"), "to-vm 10000:04:00.0"),
    ("r9-295x2", ("--bus-offset", "5"), "to-vm 1b"),
    ("x10drh-v340-noacs", ("--mode", "02:00.1=none-only"), "to-vm 1b 1a"),
]


# Kept by us, not written to the kernel.
NOTES = "/run/vfioctl/hold/"


class DryRun(Case):
    def each(self, topology, options, words):
        host = self.host(topology, *options)
        host.configure("step-deadline = 30s")
        verb, *gpus = words.split()
        before = host.whole()
        text = self.code(0, host.cli(verb, *gpus, "--dry-run"))
        planned = self.code(0, host.cli("--json", verb, "--dry-run", *gpus))
        self.untouched(before, host)
        self.assertEqual(host.log(), [])
        self.assertEqual(text.err + planned.err, "")
        self.assertEqual(set(planned.json), {"steps", "findings"})
        self.assertEqual(planned.json["findings"], [])

        real = self.code(0, host.cli("-v", verb, *gpus))
        told = [line.removeprefix("vfioctl: ") for line in real.lines]
        self.assertEqual([step["text"] for step in planned.json["steps"]], told)
        self.assertEqual(text.out.splitlines(), told or ["nothing to do"])

        writes = [(step["attribute"], step["value"]) for step in planned.json["steps"]
                  if step["attribute"] and not step["attribute"].startswith(NOTES)]
        notes = {step["attribute"]: step["value"] for step in planned.json["steps"]
                 if step["attribute"] and step["attribute"].startswith(NOTES)}
        for path, text in notes.items():
            self.assertEqual(host.read(path[1:]) if os.path.exists(host.path(path[1:])) else "", text, path)
        done = [(path, value) for number, path, value, _ in host.log() if number != "0"]
        # Below the root, with all links resolved and without the newline, as the log has them.
        self.assertEqual([(os.path.relpath(os.path.realpath(host.path(path[1:])), host.root), value + "\\n")
                          for path, value in writes], done)
        self.assertTrue(all(result == "ok" for *_, result in host.log()))
        for step in planned.json["steps"]:
            if step["attribute"]:
                self.assertIn(step["attribute"], step["text"])
                if step["attribute"] not in notes:
                    self.assertIn(step["value"], step["text"])
                if step["value"] == "default":
                    self.assertIn("harmless", step["irreversible"])
                else:
                    self.assertIsNone(step["irreversible"])
            else:
                self.assertIn("module", step["irreversible"])


expand(DryRun, [(f"{topology}_{'_'.join(options)}_{words}", topology, options, words) for topology, options, words in RUNS])


class Refused(Case):
    def test_a_refusal_has_findings_and_no_steps(self):
        host = self.host("x10drh-v340-noacs")
        before = host.whole()
        result = self.code(3, host.cli("to-vm", "1a", "--dry-run", "--json"))
        self.assertEqual(result.json["steps"], [])
        (finding,) = result.json["findings"]
        self.assertEqual((finding["severity"], finding["code"], finding["gpu"], finding["culprit"]),
                         ("refusal", "group-shared", "0000:06:00.0", "0000:02:00.1"))
        self.says(self.code(3, host.cli("to-vm", "1a", "--dry-run")), "group-shared")
        self.untouched(before, host)

    def test_json_without_dry_run_does_it(self):
        host = self.host("gtx690")
        result = self.code(0, host.cli("to-vm", "1a", "--json"))
        written = [step for step in result.json["steps"] if not step["attribute"].startswith(NOTES)]
        self.assertEqual(len(written), len(host.log()))
        self.assertEqual(host.gpu("1a")["mode"], "vm")

    def test_no_root_needed_nor_a_place_to_write(self):
        host = self.host("gtx690")
        os.rmdir(host.path("run"))
        before = host.whole()
        self.code(0, host.cli("to-vm", "1a", "--dry-run"))
        self.code(0, host.cli("list"))
        self.code(0, host.cli("check", "1a"))
        self.untouched(before, host)


if __name__ == "__main__":
    harness.main()
