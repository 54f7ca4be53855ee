#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The addresses that guest-notes tells of, against those that firmware gives in QEMU: emulated, without libvirt, and with any
device in place of a GPU."""

import json
import os
import shutil
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from vms import Vms, domain, hostdev  # noqa: E402

QEMU = "qemu-system-x86_64"
DEVICES = {"pcie-root-port": "pcie-root-port", "pcie-to-pci-bridge": "pcie-pci-bridge", "pci-bridge": "pci-bridge",
           "dmi-to-pci-bridge": "i82801b11-bridge", "pcie-switch-upstream-port": "x3130-upstream",
           "pcie-switch-downstream-port": "xio3130-downstream"}
GPUS = ("06:00.0", "0a:00.0", "10:00.0", "14:00.0", "85:00.0", "89:00.0")  # x10drh-3xv340

# Index, model, and the place of each bridge: bus, slot, function.
Q35 = [(1, "pcie-root-port", 0, 2, 0), (2, "pcie-root-port", 0, 2, 1), (3, "pcie-root-port", 0, 2, 2),
       (4, "pcie-to-pci-bridge", 2, 0, 0), (5, "pcie-root-port", 0, 3, 0), (6, "pcie-root-port", 0, 1, 0),
       (7, "pcie-switch-upstream-port", 3, 0, 0), (8, "pcie-switch-downstream-port", 7, 0, 0),
       (9, "pcie-switch-downstream-port", 7, 1, 0), (10, "dmi-to-pci-bridge", 0, 30, 0), (11, "pci-bridge", 10, 1, 0)]
I440FX = [(1, "pci-bridge", 0, 7, 0), (2, "pci-bridge", 0, 4, 0), (3, "pci-bridge", 1, 3, 0)]


class Qemu:
    """Runs until it is closed; what firmware has done is read as it goes."""

    def __init__(self, arguments):
        path = f"{harness.SCRATCH}/qmp-{os.getpid()}"
        self.process = subprocess.Popen([QEMU, *arguments, "-accel", "tcg", "-m", "64", "-nodefaults", "-no-user-config", "-display",
                                         "none", "-qmp", f"unix:{path},server=on"], stderr=subprocess.PIPE, text=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.path = path

    def open(self):
        """False while it does not listen yet."""
        try:
            self.socket.connect(self.path)
            self.file = self.socket.makefile("rw")
            self.file.readline()
            self.ask("qmp_capabilities")
        except OSError as error:
            # It may listen, and only then look at its arguments.
            if isinstance(error, (FileNotFoundError, ConnectionRefusedError)) and self.process.poll() is None:
                return False
            raise AssertionError(self.process.communicate()[1]) from error
        return True

    def ask(self, command):
        self.file.write(json.dumps({"execute": command}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "event" not in answer:
                return answer["return"]

    def places(self):
        """Address by ID of the device; buses that firmware has not come to yet have none."""
        found, buses = {}, [(bus["bus"], bus["devices"]) for bus in self.ask("query-pci")]
        while buses:
            number, devices = buses.pop()
            for device in devices:
                found[device["qdev_id"]] = f"0000:{number:02x}:{device['slot']:02x}.{device['function']}"
                bridge = device.get("pci_bridge")
                if bridge:
                    buses.append((bridge["bus"]["secondary"], bridge.get("devices", [])))
        return found

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.socket.close()


class Real(Vms):
    def setUp(self):
        super().setUp()
        if not shutil.which(QEMU):
            self.skipTest(f"no {QEMU}")

    def arguments(self, machine, bridges, gpus):
        def bus(index):
            return (("pcie.0" if machine == "q35" else "pci.0") if index == 0 else f"b{index}")
        found = ["-M", machine]
        for index, model, above, slot, function in bridges:
            more = {"pcie-root-port": f",chassis={index},port={index}", "pcie-switch-downstream-port": f",chassis={index},port={index}",
                    "pci-bridge": f",chassis_nr={index},shpc=off"}.get(model, "")
            multi = ",multifunction=on" if (above, slot, function) == (0, 2, 0) else ""
            found += ["-device", f"{DEVICES[model]},id=b{index},bus={bus(above)},addr={slot:x}.{function}{more}{multi}"]
        for gpu, (index, slot) in zip(GPUS, gpus, strict=False):
            found += ["-device", f"virtio-rng-pci,id=g{gpu[:2]},bus={bus(index)},addr={slot:x}"]
        return found

    def definition(self, machine, bridges, gpus):
        root = "pcie-root" if machine == "q35" else "pci-root"
        text = f"<controller type='pci' index='0' model='{root}'/>"
        for index, model, above, slot, function in bridges:
            text += (f"<controller type='pci' index='{index}' model='{model}'><address type='pci' bus='{above}' slot='{slot}' "
                     f"function='{function}'/></controller>")
        for gpu, (index, slot) in zip(GPUS, gpus, strict=False):
            text += hostdev(gpu, guest=f"<address type='pci' domain='0' bus='{index}' slot='{slot}' function='0'/>")
        return domain("vm1", text).replace("machine='q35'", f"machine='{machine}'")

    def each(self, machine, bridges, gpus):
        self.now = self.host("x10drh-3xv340")
        self.libvirt(self.definition(machine, bridges, gpus))
        told = {f"g{gpu['address'][5:7]}": gpu["guest_address"] for gpu in
                self.code(0, self.now.cli("--connect", self.uri, "guest-notes", "vm1", "--json")).json["gpus"]}
        self.assertEqual(len(told), len(gpus))
        qemu = Qemu(self.arguments(machine, bridges, gpus))
        self.addCleanup(qemu.close)
        self.until(qemu.open, "QEMU does not listen")
        last = {}

        def are_there():
            last.clear()
            last.update({name: place for name, place in qemu.places().items() if name in told})
            return last == told
        try:
            self.until(are_there, "", 60)
        except AssertionError:
            self.assertEqual(last, told)

    def test_root_ports(self):
        """Index is not number: the port with the highest one comes first, and a bridge takes one in between."""
        self.each("q35", Q35, [(1, 0), (4, 5), (5, 0), (6, 0), (8, 0), (9, 0)])

    def test_old_bridges(self):
        self.each("q35", Q35, [(11, 4), (6, 0)])

    def test_i440fx(self):
        self.each("pc", I440FX, [(0, 9), (1, 4), (2, 4), (3, 4)])


if __name__ == "__main__":
    harness.main()
