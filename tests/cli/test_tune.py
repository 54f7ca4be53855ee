#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tune with libvirt's test driver: what is shown, defined and left alone. The edits themselves are in tests/unit/virt."""

import itertools
import os
import re
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import expand  # noqa: E402
from schema import mistakes, through_qemu  # noqa: E402
from vms import Vms, defined, domain, hostdev, test_domain  # noqa: E402

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "unit", "virt", "data")
DISK = "<disk type='file' device='disk'><source file='/a.img'/><target dev='vda' bus='virtio'/></disk>"
V340 = hostdev("10:00.0", managed="no")


def vm(name="vm1", devices=DISK + V340, memory="16777216", vcpus=6, more="", machine="q35", running=False, metadata="", extra=""):
    text = domain(name, devices, running=running, metadata=metadata, extra=extra)
    return (text.replace("<memory>100000</memory>", f"<memory unit='KiB'>{memory}</memory>")
            .replace("<vcpu>1</vcpu>", f"<vcpu placement='static'>{vcpus}</vcpu>{more}").replace("machine='q35'", f"machine='{machine}'"))


def sample(name):
    """A definition of the unit tests, for the test driver, with a GPU of the V340 host."""
    with open(os.path.join(DATA, name), encoding="utf-8") as file:
        text = file.read()
    if "bus='0x10'" not in text:
        text = text.replace("</devices>", V340 + "</devices>")
    text = re.sub(r"<\?xml.*?\?>|<qemu:commandline>.*?</qemu:commandline>|<q:commandline>.*?</q:commandline>", "", text, flags=re.DOTALL)
    return re.sub(r"<domain [^>]*>", "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>", text).replace(
        "</domain>", "<test:runstate>5</test:runstate></domain>")


class Tune(Vms):
    TOPOLOGY = "x10drh-3xv340"

    def on(self, *domains, topology=None, options=()):
        self.now = self.host(topology or self.TOPOLOGY, *options)
        self.libvirt(*domains)
        self.before = self.now.tree()

    def tuned(self, *args, name="vm1"):
        """The definition that is given to libvirt, and what was printed."""
        result, log = self.asks("tune", name, *args)
        self.code(0, result)
        text = defined(log)[name]
        self.assertEqual(mistakes(text), "")
        self.unchanged(self.before, self.now)
        return text, result

    def refused(self, code, *args, name="vm1"):
        result, log = self.asks("tune", name, *args)
        self.fit(self.code(code, result))
        self.assertEqual(result.out, "")
        self.assertEqual(defined(log), {})
        self.unchanged(self.before, self.now)
        return result

    def has(self, text, *parts):
        for part in parts:
            self.assertIn(part, text)

    def lacks(self, text, *parts):
        for part in parts:
            self.assertNotIn(part, text)


class Standard(Tune):
    def test_standard(self):
        self.on(vm())
        text, result = self.tuned("--os", "windows", "--display", "none")
        self.has(text, '<vcpupin vcpu="0" cpuset="2"/>', '<vcpupin vcpu="1" cpuset="30"/>', '<emulatorpin cpuset="0-1,28-29"/>',
                 '<iothreadpin iothread="1" cpuset="0-1,28-29"/>', '<memory mode="strict" nodeset="0"/>',
                 '<cpu mode="host-passthrough" check="none" migratable="off">',
                 '<topology sockets="1" dies="1" cores="3" threads="2"/>', '<maxphysaddr mode="passthrough"/>',
                 '<ioapic driver="kvm"/>', '<synic state="on"/>', '<clock offset="localtime">', '<memballoon model="none"/>',
                 '<model type="none"/>', 'managed="no"', 'iothread="1"', "microsoft.com/win")
        self.lacks(text, "hidden", "locked", "pcihole64", "hugepages", "<rom", "topoext")
        self.assertTrue(result.out.startswith("@@ -"), result)
        self.has(result.out, '+    <vcpupin vcpu="0" cpuset="2"/>\n', '-  <clock offset="utc"/>\n')

    def test_difference_is_one(self):
        """What is printed, taken away from the one, gives the other."""
        self.on(vm())
        text, result = self.tuned("--os", "linux")
        new = text.split("\n")
        for header, body in re.findall(r"(?m)^@@ -\d+,\d+ \+(\d+),\d+ @@\n((?:[ +-].*\n)+)", result.out):
            lines = [line[1:] for line in body.splitlines() if line[0] != "-"]
            self.assertEqual(new[int(header) - 1:int(header) - 1 + len(lines)], lines)

    def test_twice(self):
        self.on(vm())
        text, _ = self.tuned("--os", "windows", "--display", "rescue")
        self.libvirt(test_domain(text))
        for args in ((), ("--display", "rescue"), ("--os", "windows"), ("--memory", "16G", "--vcpus", "6")):
            result, log = self.asks("tune", "vm1", *args)
            self.code(0, result)
            self.assertEqual((result.out, result.err, defined(log)), ("", "", {}), args)

    def test_there_and_back(self):
        self.on(vm())
        texts = []
        for display in ("none", "rescue", "none", "rescue"):
            text, _ = self.tuned("--os", "linux", "--display", display)
            texts.append(text)
            self.libvirt(test_domain(text))
        self.assertEqual(texts[0].count("<graphics"), 0)
        self.has(texts[1], '<graphics type="vnc">', '<listen type="socket"/>', '<model type="virtio"')
        self.assertEqual(texts[1], texts[3])
        self.lacks(texts[2], "<graphics", 'type="virtio" heads')

    def test_dry_run(self):
        self.on(vm())
        before = self.now.whole()
        shown, log = self.asks("tune", "vm1", "--dry-run")
        self.code(0, shown)
        self.assertEqual(defined(log), {})
        self.untouched(before, self.now)
        _, real = self.tuned()
        self.assertEqual(shown.out, real.out)

    def test_json(self):
        self.on(vm(running=True))
        for dry in ((), ("--dry-run",)):
            result, log = self.asks("tune", "vm1", "--json", *dry)
            self.code(0, result)
            self.assertEqual(len(defined(log)), 0 if dry else 1)
            found = result.json
            self.assertEqual((found["vm"], found["running"], [step["text"] for step in found["steps"]]), ("vm1", True, ["define vm1"]))
            self.assertIn('    <emulatorpin cpuset="0-1,28-29"/>', [line for change in found["changes"] for line in change["added"]])
            self.assertTrue(all(change["line"] > 0 for change in found["changes"]))
        text, _ = self.tuned()
        self.libvirt(test_domain(text))
        result, _ = self.asks("tune", "vm1", "--json")
        self.assertEqual((self.code(0, result).json["changes"], result.json["steps"]), ([], []))

    def test_quiet(self):
        self.on(vm())
        _, result = self.tuned("--quiet")
        self.assertEqual((result.out, result.err), ("", ""))

    def test_size(self):
        self.on(vm())
        text, _ = self.tuned("--vcpus", "5", "--memory", "8G")
        self.has(text, '<vcpu placement="static">5</vcpu>', '<memory unit="KiB">8388608</memory>',
                 '<currentMemory unit="KiB">8388608</currentMemory>', '<topology sockets="1" dies="1" cores="5" threads="1"/>')
        self.assertEqual(text.count("<vcpupin"), 5)

    def test_running(self):
        self.on(vm(running=True))
        self.has(self.tuned()[1].out, "vm1 runs on as it is", "next start")

    def test_password_is_not_shown(self):
        self.on(vm(devices=V340 + "<graphics type='vnc' port='-1' passwd='geheim'/>"))
        shown, _ = self.asks("tune", "vm1", "--display", "rescue", "--dry-run")
        self.has(shown.out, 'passwd="******"')
        self.lacks(shown.out + shown.err, "geheim")
        found, _ = self.asks("tune", "vm1", "--display", "rescue", "--dry-run", "--json")
        self.lacks(found.out, "geheim")
        text, _ = self.tuned("--display", "rescue")
        self.lacks(text, "geheim")
        text, _ = self.tuned()
        self.has(text, "geheim")


class Samples(Tune):
    """As virt-install and people write them, through libvirt and back: valid, and done with after once."""

    SAMPLES = ("virt-install.xml", "by-hand.xml", "cells.xml", "i440fx.xml", "q35.xml")

    def test_samples(self):
        tuned = []
        self.on(sample(self.SAMPLES[0]))
        for name, display in itertools.product(self.SAMPLES, ("none", "rescue")):
            vm_name = re.search("<name>(.*?)</name>", sample(name)).group(1)
            self.libvirt(sample(name))
            with self.subTest(name=name, display=display):
                text, _ = self.tuned("--display", display, "--os", "windows", name=vm_name)
                self.same(vm_name, display, text)
                tuned.append((vm_name, display, text))
        # As the driver that it is for writes it.
        self.assertEqual(len(tuned), 2 * len(self.SAMPLES))
        back = through_qemu([(vm_name, text.replace('type="test"', 'type="kvm"', 1)) for vm_name, _, text in tuned])
        for (vm_name, display, _), text in zip(tuned, back):
            with self.subTest(name=vm_name, display=display):
                self.same(vm_name, display, text)

    def same(self, vm_name, display, text):
        """A second time there is nothing to do."""
        self.libvirt(test_domain(text))
        result, log = self.asks("tune", vm_name, "--display", display)
        self.assertEqual((self.code(0, result).out, defined(log)), ("", {}))

    def test_notes(self):
        self.on(sample("i440fx.xml"))
        self.says(self.tuned(name="vm2")[1], "guest-machine", "i440fx")
        self.libvirt(sample("cells.xml"))
        self.says(self.tuned(name="cells")[1], "guest-cells")
        self.libvirt(sample("virt-install.xml"))
        self.says(self.tuned(name="win11")[1], "guest-secure-boot", "does not let the driver")
        self.libvirt(vm())
        self.says(self.tuned()[1], "guest-os", "--os windows")


class Place(Tune):
    def test_others_are_avoided(self):
        taken = "".join(f"<vcpupin vcpu='{i}' cpuset='{cpu}'/>" for i, cpu in enumerate((2, 30, 3, 31)))
        other = vm("other", hostdev("11:00.0"), vcpus=4, more=f"<cputune>{taken}</cputune>")
        self.on(vm(), other)
        text, _ = self.tuned()
        used = re.findall(r'<vcpupin vcpu="\d+" cpuset="(\d+)"/>', text)
        self.assertEqual(len(set(used)), 6)
        self.assertFalse({"2", "30", "3", "31", "0", "28"} & set(used))

    def test_far_node(self):
        far = [gpu for gpu in self.host(self.TOPOLOGY).gpus() if gpu["numa_node"] == 1][-1]["address"][5:]
        self.on(vm(devices=DISK + hostdev(far)))
        text, _ = self.tuned()
        self.has(text, 'nodeset="1"', '<emulatorpin cpuset="14')

    def test_too_large_for_its_node(self):
        self.on(vm(memory=str(140 << 20)))
        text, result = self.tuned()
        self.says(result, "no-memory", "node 0")
        self.has(text, '<memory mode="preferred" nodeset="0"/>')

    def test_too_large_for_the_host(self):
        self.on(vm())
        self.says(self.refused(3, "--memory", "4T"), "no-memory", "nothing was changed")
        found, log = self.asks("tune", "vm1", "--memory", "4T", "--json")
        self.assertIn("refusal", [finding["severity"] for finding in self.code(3, found).json["findings"]])
        self.assertEqual(defined(log), {})

    def test_pages(self):
        pages = "<memoryBacking><hugepages><page size='2048' unit='KiB'/></hugepages></memoryBacking>"
        self.on(vm(metadata=pages))
        text, result = self.tuned()
        self.says(result, "no-pages", "nr_hugepages")
        self.has(text, '<page size="2048" unit="KiB"/>', '<memory mode="strict" nodeset="0"/>')
        text, _ = self.tuned("--hugepages", "no")
        self.lacks(text, "hugepages")


class Cards(Tune):
    def test_hypervisor_stays(self):
        self.on(vm(more="<cpu mode='host-passthrough'><feature policy='disable' name='hypervisor'/></cpu>"))
        text, _ = self.tuned()
        self.lacks(text, "hypervisor")

    def test_old_drivers(self):
        self.on(vm(devices=hostdev("83:00.0") + hostdev("83:00.1")), topology="gtx690")
        text, _ = self.tuned("--os", "windows")
        self.has(text, '<hidden state="on"/>', '<vendor_id state="on"')
        self.lacks(text, 'name="hypervisor"')

    def test_siblings_of_amd(self):
        """QEMU's "host" leaves topoext out, without which a guest on AMD's sees no siblings."""
        gpus = "".join(hostdev(address) for address in ("0b:00.0", "0b:00.1"))
        self.on(vm(devices=gpus, vcpus=4), topology="desktop-2xrtx3050")
        text, _ = self.tuned()
        self.has(text, '<feature policy="require" name="topoext"/>', 'threads="2"')
        self.on(vm(vcpus=4))
        text, _ = self.tuned()
        self.lacks(text, "topoext")

    def test_rom(self):
        found = self.assigned(self.TOPOLOGY, ("vm1", "1a"))
        self.on(test_domain(found["vm1"]))
        text, _ = self.tuned()
        self.has(text, '<rom bar="on"/>')

    def test_sound(self):
        sound = "<sound model='ich9'/>"
        self.on(vm(devices=sound + hostdev("83:00.0") + hostdev("83:00.1")), topology="gtx690")
        text, _ = self.tuned("--display", "none")
        self.lacks(text, "<sound")
        self.on(vm(devices=sound + V340))
        text, _ = self.tuned("--display", "none")
        self.has(text, "<sound")

    def test_window(self):
        """All six of the V340s, 8 GiB and a little more each, so that each takes 16. The test driver has no qemu:commandline to say it with."""
        gpus = "".join(hostdev(gpu["address"][5:]) for gpu in self.host(self.TOPOLOGY).gpus() if "V340" in str(gpu))
        self.assertEqual(gpus.count("<hostdev"), 6)
        self.on(vm(devices=gpus))
        text, result = self.tuned()
        self.has(text, '<pcihole64 unit="KiB">134217728</pcihole64>', "name=opt/ovmf/X-PciMmio64Mb,string=131072")
        self.says(result, "several-nodes")


class Refusals(Tune):
    def test_no_gpu(self):
        self.on(vm(devices=DISK))
        self.says(self.refused(3), "has no GPU", "vfioctl assign vm1")
        self.libvirt(vm("a b", devices=DISK))
        self.says(self.refused(3, name="a b"), "vfioctl assign " + re.search("<uuid>(.*?)<", vm("a b")).group(1))

    def test_unknown(self):
        self.on(vm())
        self.says(self.refused(3, name="vm7"), "vm-unknown")

    def test_transient_and_saved(self):
        self.on(vm("t", extra="<test:transient>1</test:transient>", running=True), vm("s", extra="<test:hasmanagedsave>1</test:hasmanagedsave>"))
        self.says(self.refused(3, name="t"), "vm-transient")
        self.says(self.refused(3, name="s"), "vm-managed-save")

    def test_gpu_is_elsewhere(self):
        found = self.assigned(self.TOPOLOGY, ("vm1", "1a"))["vm1"]
        address = re.search(r'<vfioctl:gpu [^>]*address="0000:(..):00.0"', found).group(1)
        self.on(test_domain(found).replace(f"0000:{address}:00.0", "0000:7e:00.0").replace(f'bus="0x{address}"', 'bus="0x7e"'))
        self.says(self.refused(3), "is not where the definition has it (moved)", "vfioctl reconcile")
        self.on(test_domain(found), topology="gtx690")
        self.says(self.refused(3), "vm1", "(gone)", "vfioctl status")

    def test_cells(self):
        self.on(sample("cells.xml"))
        self.says(self.refused(3, "--memory", "8G", name="cells"), "guest-cells", "virsh edit cells")

    def test_no_libvirt(self):
        self.now = self.host(self.TOPOLOGY)
        result = self.code(2, self.now.cli("tune", "vm1"))
        self.says(result, "--connect")


class BadValues(Tune):
    def each(self, *args):
        self.on(vm())
        result = self.refused(2, *args)
        self.assertLessEqual(len(result.err.splitlines()), 2, result)


expand(BadValues, [
    ("no vcpus", "--vcpus", "0"), ("negative", "--vcpus", "-1"), ("words", "--vcpus", "many"), ("a million", "--vcpus", "1000000"),
    ("no memory", "--memory", "0"), ("negative memory", "--memory", "-1G"), ("a pebibyte", "--memory", "1P"), ("no unit", "--memory", "16"),
    ("memory words", "--memory", "lots"), ("empty", "--memory", ""), ("pages", "--hugepages", "4K"), ("display", "--display", "vga"),
    ("os", "--os", "beos"), ("of create", "--template", "minimal"), ("gpu", "--gpu", "1a"), ("two VMs", "vm2"),
])

if __name__ == "__main__":
    harness.main()
