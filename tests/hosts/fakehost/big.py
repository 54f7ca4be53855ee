# SPDX-License-Identifier: GPL-2.0-or-later
"""A host of any size for measurements: V340-like cards, single GPUs, NICs, NVMe disks behind switches."""

from .topology import TopologyError

PORT_ACS = ["SV", "TB", "RR", "CR", "UF"]
SWITCH_ACS = PORT_ACS + ["EC", "DT"]


class Domain:
    """One PCI domain: its root ports and the next free bus."""

    def __init__(self, big, number):
        self.big, self.number = big, number
        self.bus, self.ports = 1, 0

    def room(self, buses):
        return self.bus + buses <= 256 and self.ports < 31 * 8

    def take_bus(self):
        self.bus += 1
        return self.bus - 1

    def root_port(self, slot=None):
        dev, fn = 1 + self.ports // 8, self.ports % 8
        self.ports += 1
        return self.big.add(self, None, 0, dev, fn, "8086", "6f04", "060400", "root_port", "pcieport",
                            PORT_ACS, slot=slot, multifunction=True)


class Big:
    def __init__(self, n_functions, n_gpus):
        self.functions, self.limit = [], n_functions
        self.domains, self.cards = [], 0
        self.gpus(n_gpus)
        if len(self.functions) > n_functions:
            raise TopologyError(f"{n_gpus} GPUs take {len(self.functions)} functions")
        self.fill()

    def add(self, domain, parent, bus, dev, fn, vendor, device, cls, kind, driver, acs=None, **more):
        spec = {"address": f"{domain.number:04x}:{bus:02x}:{dev:02x}.{fn}", "parent": parent and parent["address"],
                "vendor": "0x" + vendor, "device": "0x" + device, "subsystem_vendor": "0x" + vendor,
                "subsystem_device": "0x0001", "class": cls, "revision": "01", "pcie_type": kind,
                "numa_node": domain.number % 2, "iommu_group": len(self.functions), "bars": [], "driver": driver,
                "reset_method": None, "reset_effective": None, "pm_nosoftrst": True}
        if acs:
            spec["acs"] = {"cap": acs, "ctl_iommu_on": PORT_ACS}
        spec.update(more)
        self.functions.append(spec)
        return spec

    def domain_with(self, buses, spread):
        """The emptiest of the first domains, so that all of them carry something; more if need be."""
        while len(self.domains) < spread:
            self.domains.append(Domain(self, len(self.domains)))
        best = min((d for d in self.domains if d.room(buses)), key=lambda d: d.bus, default=None)
        if not best:
            self.domains.append(Domain(self, len(self.domains)))
            best = self.domains[-1]
        return best

    def gpus(self, count):
        while count > 0:
            domain = self.domain_with(8, 8)
            if count >= 2 and self.cards % 4:
                self.v340(domain)
                count -= 2
            else:
                self.single(domain)
                count -= 1
            self.cards += 1

    def v340(self, domain):
        port = domain.root_port("slot")
        up = self.add(domain, port, domain.take_bus(), 0, 0, "11f8", "8533", "060400", "upstream", "pcieport")
        bus = domain.take_bus()
        for die in range(2):
            down = self.add(domain, up, bus, die, 0, "11f8", "8533", "060400", "downstream", "pcieport", SWITCH_ACS)
            a = self.add(domain, down, domain.take_bus(), 0, 0, "1022", "1470", "060400", "upstream", "pcieport")
            b = self.add(domain, a, domain.take_bus(), 0, 0, "1022", "1471", "060400", "downstream", "pcieport", PORT_ACS)
            self.add(domain, b, domain.take_bus(), 0, 0, "1002", "6864", "038000", "endpoint", "amdgpu",
                     bars=[bar(0, 8 << 30), bar(2, 2 << 20)], reset_method="bus", reset_effective="bus",
                     pcie_type_detail="legacy_endpoint")

    def single(self, domain):
        port, bus = domain.root_port("slot"), domain.take_bus()
        gpu = self.add(domain, port, bus, 0, 0, "10de", "2507", "030000", "endpoint", "nvidia", boot_vga=0,
                       bars=[bar(1, 256 << 20), bar(3, 32 << 20)], reset_method="flr", reset_effective="flr",
                       multifunction=True)
        self.add(domain, port, bus, 0, 1, "10de", "228e", "040300", "endpoint", "snd_hda_intel",
                 bars=[bar(0, 16384)], multifunction=True, iommu_group=gpu["iommu_group"])

    def left(self):
        return self.limit - len(self.functions)

    def fill(self):
        turn = 0
        while self.left() > 0:
            turn += 1
            if turn % 5 == 0 and self.left() >= 34:
                self.nvme_shelf(self.domain_with(19, 8))
            else:
                self.nic(self.domain_with(2, 8))

    def nic(self, domain):
        port = domain.root_port()
        if not self.left():
            return
        bus = domain.take_bus()
        for fn in range(min(8, self.left())):
            self.add(domain, port, bus, 0, fn, "8086", "1572", "020000", "endpoint", "i40e", bars=[bar(0, 8 << 20)],
                     reset_method="flr", reset_effective="flr", multifunction=True)

    def nvme_shelf(self, domain):
        up = self.add(domain, domain.root_port(), domain.take_bus(), 0, 0, "10b5", "8796", "060400", "upstream", "pcieport")
        bus = domain.take_bus()
        for dev in range(16):
            down = self.add(domain, up, bus, dev, 0, "10b5", "8796", "060400", "downstream", "pcieport", SWITCH_ACS)
            self.add(domain, down, domain.take_bus(), 0, 0, "144d", "a808", "010802", "endpoint", "nvme",
                     bars=[bar(0, 16384)], reset_method="flr", reset_effective="flr")


def bar(index, size):
    return {"index": index, "size": size, "type": "mem64", "prefetchable": True}


def topology(n_functions, n_gpus):
    big = Big(n_functions, n_gpus)
    return {"schema": 1, "machine": f"big-{n_functions}-{n_gpus}",
            "host": {"board": "Fake big", "chipset": "Intel", "kernel_cmdline": "intel_iommu=on iommu=pt",
                     "numa": [{"node": 0, "cpulist": "0-31", "threads": 2, "memory": 131072},
                              {"node": 1, "cpulist": "32-63", "threads": 2, "memory": 131072}]},
            "functions": big.functions}
