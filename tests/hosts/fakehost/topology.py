# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a topology file: functions, the tree they form, buses, addresses of BARs."""

import bisect
import json
import re

MIB = 1 << 20
ADDRESS = re.compile(r"^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$")

# Drivers that make DRM nodes, and those of them that also have a render node.
DRM_DRIVERS = {"amdgpu", "radeon", "nouveau", "nvidia", "i915", "ast"}
RENDER_DRIVERS = DRM_DRIVERS - {"ast"}


class TopologyError(Exception):
    pass


def parse_address(text):
    """(domain, bus, device, function) of an address; the domain may be left out."""
    m = ADDRESS.match(text.lower())
    if not m or int(m.group(3), 16) > 31:
        raise TopologyError(f"not a PCI address: {text}")
    return int(m.group(1) or "0", 16), int(m.group(2), 16), int(m.group(3), 16), int(m.group(4))


class Function:
    """One PCI function."""

    def __init__(self, spec):
        self.spec = spec
        self.key = spec["address"]          # as in the file: options name functions by it
        self.domain, self.bus, self.dev, self.fn = parse_address(self.key)
        self.parent = None
        self.children = []
        self.vendor = int(spec["vendor"], 16)
        self.device = int(spec["device"], 16)
        self.subvendor = int(spec.get("subsystem_vendor") or "0", 16)
        self.subdevice = int(spec.get("subsystem_device") or "0", 16)
        self.cls = int(spec["class"], 16)
        self.revision = int(spec["revision"], 16)
        self.type = spec["pcie_type"]
        self.detail = spec.get("pcie_type_detail")
        self.node = spec.get("numa_node", -1)
        self.group = spec.get("iommu_group")
        self.native = spec.get("driver")
        self.driver = self.native
        self.override = None
        self.held_by = []                   # GPUs in mode vm, for which it is kept awake
        self.slot = spec.get("slot")
        self.slot_number = 0
        self.sriov = spec.get("sriov")
        self.numvfs = self.sriov["numvfs"] if self.sriov else 0
        self.physfn = None
        self.vfs = []
        self.bars = {}                      # index -> (start, size, type, prefetchable)
        self.vf_bars = {}
        self.rom = None
        self.windows = {}                   # io, mem, pref -> (start, end)
        self.secondary = self.subordinate = 0
        self.path = ""
        self.root = None                    # the root bus: (domain, bus)

    @property
    def address(self):
        return f"{self.domain:04x}:{self.bus:02x}:{self.dev:02x}.{self.fn}"

    @property
    def slot_address(self):
        return self.address.rpartition(".")[0]

    @property
    def is_bridge(self):
        return self.cls >> 8 in (0x0604, 0x0609)

    @property
    def is_pcie(self):
        return self.type != "pci"

    @property
    def is_gpu(self):
        return not self.is_bridge and (self.cls >> 16 == 0x03 or self.cls >> 16 == 0x12)

    @property
    def has_flr(self):
        return bool(self.spec.get("flreset")) or "flr" in (self.spec.get("reset_effective") or "").split()

    @property
    def acs_cap(self):
        return (self.spec.get("acs") or {}).get("cap") or []

    @property
    def acs_ctl(self):
        return (self.spec.get("acs") or {}).get("ctl_iommu_on") or []

    def above(self):
        """The bridges, the nearest first."""
        bridge = self.parent
        while bridge:
            yield bridge
            bridge = bridge.parent

    def walk(self):
        yield self
        for child in self.children:
            yield from child.walk()


class Host:
    def __init__(self, data):
        self.data = data
        self.host = data.get("host", {})
        self.functions = [Function(f) for f in data["functions"]]
        self.by_key = {f.key: f for f in self.functions}
        if len(self.by_key) != len(self.functions):
            raise TopologyError("an address is used twice")
        for f in self.functions:
            parent = f.spec.get("parent")
            if parent is not None:
                if parent not in self.by_key:
                    raise TopologyError(f"{f.key}: no such parent {parent}")
                f.parent = self.by_key[parent]
                f.parent.children.append(f)
        for f in self.functions:
            f.children.sort(key=lambda c: (c.domain, c.bus, c.dev, c.fn))
        self.iommu = True
        self.arguments = []                 # more of the kernel's command line

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        if data.get("schema") != 1:
            raise TopologyError(f"{path}: schema {data.get('schema')} is not known")
        return cls(data)

    def find(self, text):
        """A function by its address in the topology file, with or without the domain."""
        key = "%04x:%02x:%02x.%x" % parse_address(text)
        if key not in self.by_key:
            raise TopologyError(f"no function {text} in this topology")
        return self.by_key[key]

    def roots(self):
        """Root buses in order: {(domain, bus): [functions on it]}."""
        found = {}
        for f in sorted(self.functions, key=lambda f: (f.domain, f.bus, f.dev, f.fn)):
            if f.parent is None and f.physfn is None:
                found.setdefault((f.domain, f.bus), []).append(f)
        return found

    def slot_siblings(self, fn):
        return [f for f in self.functions if f.slot_address == fn.slot_address and not f.physfn]

    def renumber(self, offset=0, below=0, domain=None):
        """Moves bus numbers: offset moves all of them, below only those behind bridges."""
        for f in self.functions:
            f.bus += offset + (below if f.parent else 0)
            if f.bus > 0xff:
                raise TopologyError(f"{f.key}: no bus number that high")
            if domain is not None:
                f.domain = domain
        if len({f.address for f in self.functions}) != len(self.functions):
            raise TopologyError("the new bus numbers collide")

    def add_vfs(self, fn, count):
        """Enables VFs of a physical function, each a function of its own on the same bus."""
        if not fn.sriov or count > fn.sriov["totalvfs"]:
            raise TopologyError(f"{fn.key}: cannot have {count} VFs")
        fn.numvfs = count
        shared = any(f.group == fn.group and f is not fn for f in self.functions)
        for i in range(count):
            devfn = (fn.dev << 3 | fn.fn) + fn.sriov["vf_offset"] + i * fn.sriov["vf_stride"]
            bus, devfn = fn.bus + (devfn >> 8), devfn & 0xff
            spec = dict(fn.spec, address=f"{fn.domain:04x}:{bus:02x}:{devfn >> 3:02x}.{devfn & 7}",
                        device=fn.sriov["vf_device"], driver=None, bars=[], rom_size=None,
                        sriov=None, reset_method="flr", reset_effective="flr", boot_vga=None)
            vf = Function(spec)
            vf.parent, vf.physfn = fn.parent, fn
            if fn.group is not None and not shared:
                vf.group = max(f.group for f in self.functions if f.group is not None) + 1
            fn.vfs.append(vf)
            self.functions.append(vf)

    def override_acs(self):
        """As a kernel with the ACS override patch makes groups: one a slot, whatever the ports can."""
        self.arguments.append("pcie_acs_override=downstream,multifunction")
        slots = {}
        for f in self.functions:
            if f.group is not None:
                f.group = slots.setdefault((f.domain, f.bus, f.dev), len(slots))

    def settle(self):
        """Fixes what follows from the tree: paths, bus ranges, addresses of BARs, windows."""
        used = {(f.domain, f.bus) for f in self.functions}
        for (domain, bus), tops in self.roots().items():
            for top in tops:
                for f in top.walk():
                    base = f"sys/devices/pci{domain:04x}:{bus:02x}" if f.parent is None else f.parent.path
                    f.path = f"{base}/{f.address}"
                    f.root = (domain, bus)
                self._buses(top, used)
        for f in self.functions:
            if f.physfn:
                f.root = f.physfn.root
                f.path = f.physfn.path.rpartition("/")[0] + "/" + f.address
        Placer(self).place()
        for tops in self.roots().values():
            for top in tops:
                self._windows(top)

    def _buses(self, f, used):
        for child in f.children:
            self._buses(child, used)
        if not f.is_bridge:
            return
        if f.children:
            f.secondary = f.children[0].bus
            f.subordinate = max([f.secondary] + [c.subordinate for c in f.children]
                                + [v.bus for c in f.children for v in c.vfs])
            return
        free = next((b for b in range(f.bus + 1, 256) if (f.domain, b) not in used), 0xff)
        used.add((f.domain, free))
        f.secondary = f.subordinate = free

    def _windows(self, f):
        """What a bridge forwards: the hull of all below it, in the granules of the register."""
        spans = {}
        for child in f.children:
            self._windows(child)
            for kind, start, end in child_spans(child):
                spans.setdefault(kind, []).append((start, end))
        for kind, list_ in spans.items():
            unit = 0x1000 if kind == "io" else MIB
            start, end = min(s for s, _ in list_), max(e for _, e in list_)
            f.windows[kind] = (start // unit * unit, (end // unit + 1) * unit - 1)


def child_spans(f):
    for start, size, kind, pref in list(f.bars.values()):
        yield ("io" if kind == "io" else "pref" if pref else "mem"), start, start + size - 1
    for start, size, _, pref in f.vf_bars.values():
        yield ("pref" if pref else "mem"), start, start + size * f.sriov["totalvfs"] - 1
    if f.rom:
        yield "mem", f.rom[0], f.rom[0] + f.rom[1] - 1
    for kind, (start, end) in f.windows.items():
        yield kind, start, end


class Placer:
    """Gives each BAR an address: the one in the file, or an invented free one near its kin."""

    POOLS = {"io": (0x2000, 0x10000), "mem32": (0x90000000, 0xfec00000),
             "mem64": (0x380000000000, 1 << 52)}

    def __init__(self, host):
        self.host = host
        self.starts = {"io": [], "mem": []}
        self.ends = {"io": [], "mem": []}
        self.next = {kind: low for kind, (low, _) in self.POOLS.items()}

    def take(self, kind, start, size):
        space = "io" if kind == "io" else "mem"
        i = bisect.bisect(self.starts[space], start)
        self.starts[space].insert(i, start)
        self.ends[space].insert(i, start + size)

    def clash(self, kind, start, size):
        """The end of a used range that [start, start + size) runs into, or 0."""
        space = "io" if kind == "io" else "mem"
        i = bisect.bisect_left(self.starts[space], start + size)
        if i and self.ends[space][i - 1] > start:
            return self.ends[space][i - 1]
        return 0

    def find(self, kind, size, unit, near=None):
        low, high = self.POOLS[kind]
        unit = max(size, unit)
        for start in ([near] if near else []) + [self.next[kind]]:
            start = (start + unit - 1) // unit * unit
            while start + size <= high:
                end = self.clash(kind, start, size)
                if not end:
                    if start >= self.next[kind] and near != start:
                        self.next[kind] = start + size
                    return start
                start = (end + unit - 1) // unit * unit
        raise TopologyError("no room left for a BAR")

    def place(self):
        todo = []
        for f in self.host.functions:
            if f.physfn:
                continue
            for bar in f.spec["bars"]:
                start = int(bar.get("start") or "0", 16)
                # A start in the file that cannot be (misaligned, or taken) is as good as none.
                if start and start % bar["size"] == 0 and not self.clash(bar["type"], start, bar["size"]):
                    f.bars[bar["index"]] = (start, bar["size"], bar["type"], bar["prefetchable"])
                    self.take(bar["type"], start, bar["size"])
                else:
                    todo.append((f, bar, f.bars, 1))
            if f.spec.get("rom_size"):
                todo.append((f, {"size": f.spec["rom_size"], "type": "mem32", "prefetchable": False}, None, 1))
            for bar in (f.sriov or {}).get("vf_bars", []):
                todo.append((f, bar, f.vf_bars, f.sriov["totalvfs"]))
        for f, bar, into, times in todo:
            unit = (0x1000 if f.parent else 4) if bar["type"] == "io" else MIB if f.parent or f.is_bridge else 0x1000
            size = bar["size"] * times
            span = (size + unit - 1) // unit * unit if f.parent else size
            rounded = 1 << (span - 1).bit_length()
            start = self.find(bar["type"], rounded, unit, self.near(f, bar["type"]))
            self.take(bar["type"], start, rounded)
            if into is None:
                f.rom = (start, bar["size"])
            else:
                into[bar["index"]] = (start, bar["size"], bar["type"], bar["prefetchable"])

    @staticmethod
    def near(f, kind):
        """The end of the highest range of that kind on the same bus or below it."""
        kin = f.parent.children if f.parent else []
        found = [s + z for c in kin for s, z, k, _ in c.bars.values() if k == kind]
        return max(found) if found else None
