#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""to-vm and to-host when nothing goes wrong: companions, halves, leftovers, groups, modules."""

import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, TOPOLOGIES, expand, template, run  # noqa: E402


def offered(topology):
    """The GPUs that can go to a VM, by name, with their functions."""
    gpus = run("--root", template(topology), "list", "--json").json["gpus"]
    return {gpu["name"]: gpu for gpu in gpus if gpu["ready"]}


def notes(root):
    return harness.read_tree(f"{root}/run/vfioctl/hold", ()) if os.path.exists(f"{root}/run/vfioctl/hold") else {}


def settings(tree):
    return {path: value for path, value in tree.items()
            if path.endswith(("/power/control", "/d3cold_allowed", "/reset_method", "/driver_override", "/power_state"))}


class ThereAndBack(Case):
    """Every GPU of every topology: all its functions go along, nothing else moves, and back is as before."""

    def each(self, topology, name, gpu):
        host = self.host(topology)
        before = host.tree()
        result = self.code(0, host.cli("to-vm", name))
        self.assertEqual(result.out, f"{name} ({gpu['address']}) is now in mode vm\n")
        self.assertEqual(result.err, "")
        for function in gpu["functions"]:
            self.assertEqual((host.driver(function), host.override(function)), ("vfio-pci", "vfio-pci"))
        self.assertEqual(host.gpu(name)["mode"], "vm")
        self.assertEqual(host.gpu(name)["driver"], "vfio-pci")
        self.others(before, host, gpu)
        # Awake, out of D3cold, with the bridges above, and with a list of reset methods that is true.
        held = template(topology, "--mode", f"{gpu['address']}=vm")
        self.assertEqual(settings(harness.read_tree(held)), settings(host.tree()))
        self.assertEqual(notes(held), notes(host.root))

        host.forget()
        result = self.code(0, host.cli("to-vm", gpu["address"]))
        self.assertIn("already in mode vm", result.out)
        self.assertEqual(host.log(), [], "what is in place is left alone")

        result = self.code(0, host.cli("to-host", name))
        self.assertEqual(result.out, f"{name} ({gpu['address']}) is now in mode host\n")
        self.restored(before, host)
        self.assertEqual(notes(host.root), {})
        host.forget()
        self.assertIn("already in mode host", self.code(0, host.cli("to-host", name)).out)
        self.assertEqual(host.log(), [])

    def others(self, before, host, gpu):
        """No other function's driver link has changed."""
        for path, link in before.items():
            if link and path.endswith("/driver") and path.split("/")[-2] not in gpu["functions"]:
                self.assertEqual(os.readlink(host.path(path)), link, path)


expand(ThereAndBack, [(f"{topology}_{name}", topology, name, gpu)
                      for topology in TOPOLOGIES for name, gpu in offered(topology).items()])


class Companions(Case):
    def test_audio_goes_along_by_its_own_address(self):
        host = self.host("desktop-2xrtx3050")
        self.code(0, host.cli("to-vm", "0b:00.1"))
        self.assertEqual([host.driver(f"0000:0b:00.{n}") for n in (0, 1)], ["vfio-pci", "vfio-pci"])
        self.assertEqual([host.driver(f"0000:0a:00.{n}") for n in (0, 1)], ["nvidia", "snd_hda_intel"], "the twin stays")
        self.code(0, host.cli("to-host", "0000:0b:00.1"))
        self.assertEqual([host.driver(f"0000:0b:00.{n}") for n in (0, 1)], ["nvidia", "snd_hda_intel"])

    def test_none_is_missed(self):
        host = self.host("r9-295x2")
        self.assertEqual(host.gpu("1b")["functions"], ["0000:84:00.0"])
        self.code(0, host.cli("to-vm", "1b"))
        self.assertEqual(host.driver("0000:83:00.1"), "snd_hda_intel")

    def test_without_a_driver_it_goes_along_and_comes_back_as_it_was(self):
        host = self.host("gtx690", "--mode", "83:00.1=none-only")
        self.assertIsNone(host.driver("0000:83:00.1"))
        self.code(0, host.cli("to-vm", "1a"))
        self.assertEqual(host.driver("0000:83:00.1"), "vfio-pci")
        self.code(0, host.cli("to-host", "1a"))
        self.assertEqual(host.driver("0000:83:00.0"), "nouveau")
        self.assertNotEqual(host.driver("0000:83:00.1"), "vfio-pci")
        self.assertIsNone(host.override("0000:83:00.1"))


class Halves(Case):
    """A GPU with one function on vfio-pci alone is completed, either way."""

    drivers = {"0000:83:00.0": "nouveau", "0000:83:00.1": "snd_hda_intel"}

    def each(self, half, verb):
        host = self.host("gtx690", "--mode", f"{half}=vm-only")
        self.code(0, host.cli(verb, "1a"))
        for function, driver in self.drivers.items():
            if verb == "to-vm":
                self.assertEqual((host.driver(function), host.override(function)), ("vfio-pci", "vfio-pci"))
            else:
                self.assertEqual((host.driver(function), host.override(function)), (driver, None))
        written = {os.path.basename(os.path.dirname(path)) for _, path, _, _ in host.log() if "override" in path}
        done = half[5:] if verb == "to-vm" else next(f for f in self.drivers if f != half)[5:]
        self.assertNotIn(f"0000:{done}", written, "the half that is in place is left alone")

    def test_list_tells_the_mode_of_the_gpu_itself(self):
        self.assertEqual(self.host("gtx690", "--mode", "83:00.1=vm-only").gpu("1a")["mode"], "host")
        self.assertEqual(self.host("gtx690", "--mode", "83:00.0=vm-only").gpu("1a")["mode"], "vm")
        self.assertEqual(self.host("gtx690", "--mode", "83:00.0=none").gpu("1a")["mode"], "none")


expand(Halves, [(f"{half}_{verb}", half, verb)
                for half in ("0000:83:00.0", "0000:83:00.1") for verb in ("to-vm", "to-host")])


class Leftovers(Case):
    def test_override_on_a_host_bound_gpu_is_cleared(self):
        host = self.host("gtx690", "--override", "83:00.0=vfio-pci")
        result = self.code(0, host.cli("to-host", "1a"))
        self.assertIn("now in mode host", result.out)
        self.assertIsNone(host.override("0000:83:00.0"))
        self.assertEqual(host.driver("0000:83:00.0"), "nouveau")
        self.assertEqual(len(host.log()), 1)

    def test_override_on_a_host_bound_gpu_is_no_obstacle(self):
        host = self.host("gtx690", "--override", "83:00.0=vfio-pci")
        self.code(0, host.cli("to-vm", "1a"))
        self.assertEqual(host.driver("0000:83:00.0"), "vfio-pci")

    def test_somebody_elses_override(self):
        host = self.host("gtx690", "--override", "83:00.0=pci-stub")
        self.code(0, host.cli("to-vm", "1a"))
        self.assertEqual((host.driver("0000:83:00.0"), host.override("0000:83:00.0")), ("vfio-pci", "vfio-pci"))

    def test_no_driver_at_all(self):
        host = self.host("gtx690", "--mode", "83:00.0=none")
        self.code(0, host.cli("to-vm", "1a"))
        self.assertEqual(host.gpu("1a")["mode"], "vm")
        host = self.host("gtx690", "--mode", "83:00.0=none")
        self.code(0, host.cli("to-host", "1a"))
        self.assertEqual(host.gpu("1a")["driver"], "nouveau")

    def test_one_that_was_on_vfio_from_the_start_finds_its_host_driver(self):
        host = self.host("gtx690", "--mode", "83:00.0=vm")
        self.code(0, host.cli("to-host", "1a"))
        self.assertEqual((host.driver("0000:83:00.0"), host.driver("0000:83:00.1")), ("nouveau", "snd_hda_intel"))

    def test_to_host_without_a_host_driver_says_what_is_true(self):
        host = self.host("gtx690", "--mode", "83:00.0=vm")
        result = self.code(0, host.cli("to-host", "1a", faults={"PROBE_FAIL": "nouveau"}))
        self.assertEqual(host.gpu("1a")["mode"], "none")
        self.assertNotIn("now in mode host", result.out)


class Several(Case):
    def test_all_or_none(self):
        host = self.host("x10drh-3xv340")
        result = self.code(0, host.cli("to-vm", "1a", "0000:89:00.0", "14:00.0"))
        self.assertEqual([line.split()[0] for line in result.out.splitlines()], ["1a", "3b", "2b"])
        modes = {gpu["name"]: gpu["mode"] for gpu in host.gpus() if gpu["ready"]}
        self.assertEqual(modes, {"1a": "vm", "1b": "host", "2a": "host", "2b": "vm", "3a": "host", "3b": "vm"})

    def test_one_that_is_there_already(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm")
        result = self.code(0, host.cli("to-vm", "1a", "1b"))
        self.assertIn("1a (0000:06:00.0) is already in mode vm", result.out)
        self.assertIn("1b (0000:0a:00.0) is now in mode vm", result.out)
        # Bound, itself and three bridges of its own held; the two above both are held already.
        self.assertEqual(len(host.log()), 3 + 2 + 3 * 2)

    def test_one_refusal_stops_all(self):
        host = self.host("x10drh-3xv340")
        before = host.whole()
        self.says(self.code(3, host.cli("to-vm", "1a", "17:00.0")), "boot-display", "nothing was changed")
        self.untouched(before, host)

    def test_quiet_and_verbose(self):
        host = self.host("gtx690")
        result = self.code(0, host.cli("-q", "to-vm", "1a"))
        self.assertEqual((result.out, result.err), ("", ""))
        result = self.code(0, host.cli("-v", "to-vm", "1b"))
        # Two functions bound, held and noted; a bridge held and noted, two more noted; the list of reset methods.
        self.assertEqual(len(result.lines), 2 * (3 + 2 + 1) + 3 + 2 + 1)
        self.assertTrue(all(line.startswith(("vfioctl: write ", "vfioctl: note ")) for line in result.lines), result)


class Refusals(Case):
    def refused(self, host, *args):
        before = host.whole()
        result = self.code(3, host.cli(*args))
        self.untouched(before, host)
        self.assertEqual(host.log(), [])
        self.assertIn("nothing was changed", result.err)
        self.fit(result)
        return result

    def test_enabled_vfs(self):
        host = self.host("x10drh-3xv340", "--numvfs", "06:00.0=2")
        self.says(self.refused(host, "to-vm", "1a"), "vfs-enabled", "2 virtual functions", "sriov_numvfs")
        self.assertIn("vfs-enabled", host.codes("1a"))
        self.assertFalse(host.gpu("1a")["ready"])
        self.code(0, host.cli("to-vm", "1b"))

    def test_no_iommu(self):
        host = self.host("gtx690", "--iommu", "off")
        self.says(self.refused(host, "to-vm", "1a"), "no-iommu", "intel_iommu=on")
        self.assertEqual((host.gpu("1a")["iommu_group"], host.gpu("1a")["ready"]), (None, False))

    def test_boot_display(self):
        host = self.host("desktop-2xrtx3050")
        self.says(self.refused(host, "to-vm", "0a:00.0"), "boot-display", "boot_vga")

    def test_boards_own_display(self):
        host = self.host("gtx690")
        self.says(self.refused(host, "to-vm", "03:00.0"), "boot-display")

    def test_shared_group_names_number_members_port_and_way_out(self):
        host = self.host("x10drh-v340-noacs")
        result = self.refused(host, "to-vm", "1a")
        self.says(result, "group-shared", "IOMMU group 2", "0000:02:00.1", "switchtec", "0000:06:00.0", "0000:0a:00.0",
                  "0000:02:00.0 (upstream port)", "/sys/bus/pci/drivers/switchtec/unbind")
        self.refused(host, "to-vm", "1a", "1b")

    def test_sibling_in_the_group(self):
        host = self.host("x10drh-v340-noacs", "--mode", "02:00.1=none-only")
        self.says(self.refused(host, "to-vm", "1a"), "group-shared", "0000:0a:00.0", "vfioctl to-vm 1a 1b")
        self.says(self.refused(host, "to-vm", "1b"), "0000:06:00.0", "vfioctl to-vm 1a 1b")

    def test_whole_group_once_the_stranger_is_gone(self):
        host = self.host("x10drh-v340-noacs", "--mode", "02:00.1=none-only")
        self.code(0, host.cli("to-vm", "1a", "1b"))
        self.assertEqual([host.gpu(name)["mode"] for name in ("1a", "1b", "2a", "2b")], ["vm", "vm", "host", "host"])
        self.assertEqual(host.driver("0000:82:00.0"), "pcieport", "bridges are left alone")
        self.assertEqual([host.gpu(name)["ready"] for name in ("1a", "1b")], [True, True])
        self.code(0, host.cli("to-host", "1a"))
        self.assertEqual([host.gpu(name)["mode"] for name in ("1a", "1b")], ["host", "vm"])


class Modules(Case):
    def test_loaded_first(self):
        host = self.host("gtx690", "--no-vfio")
        dry = self.code(0, host.cli("to-vm", "1a", "--dry-run")).out.splitlines()
        self.assertEqual(dry[0], "load the kernel module vfio-pci")
        self.code(0, host.cli("to-vm", "1a"))
        self.assertEqual([line[0:2] for line in host.log()][0], ["0", "module"])
        self.assertEqual(host.gpu("1a")["mode"], "vm")
        self.code(0, host.cli("to-host", "1a"))
        self.assertEqual(host.gpu("1a")["mode"], "host")

    def test_once_for_several(self):
        host = self.host("gtx690", "--no-vfio")
        self.code(0, host.cli("to-vm", "1a", "1b"))
        self.assertEqual(len([line for line in host.log() if line[1] == "module"]), 1)

    def test_not_to_be_had(self):
        host = self.host("gtx690", "--no-vfio")
        before = host.tree()
        result = self.code(1, host.cli("to-vm", "1a", faults={"MODULE_FAIL": "ENOENT"}))
        self.says(result, "vfio-pci")
        self.unchanged(before, host)
        self.code(1, host.cli("to-vm", "1a", faults={"MODULE_FAIL": "EPERM"}))
        self.unchanged(before, host)

    def test_a_driver_that_refuses(self):
        host = self.host("gtx690")
        before = host.tree()
        self.says(self.code(1, host.cli("to-vm", "1a", faults={"PROBE_FAIL": "vfio-pci"})), "all that had been done is undone")
        self.unchanged(before, host)
        self.code(0, host.cli("to-vm", "1a"))
        there = host.tree()
        self.code(1, host.cli("to-host", "1a", faults={"PROBE_FAIL": "nouveau"}))
        self.unchanged(there, host)


if __name__ == "__main__":
    harness.main()
