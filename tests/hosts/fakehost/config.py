# SPDX-License-Identifier: GPL-2.0-or-later
"""PCI configuration space of a function, as bytes."""

import struct

PORT_TYPE = {"endpoint": 0, "legacy_endpoint": 1, "root_port": 4, "upstream": 5, "downstream": 6,
             "pcie_pci_bridge": 7, "pci_pcie_bridge": 8, "rc_endpoint": 9}
ACS_BITS = {"SV": 0x01, "TB": 0x02, "RR": 0x04, "CR": 0x08, "UF": 0x10, "EC": 0x20, "DT": 0x40}

PM, MSI, PCIE, SSVID, AF = 0x40, 0x48, 0x60, 0xa0, 0xa8
AER, DSN, ARI, ACS, SRIOV = 0x100, 0x150, 0x160, 0x170, 0x180


def acs_bits(names):
    bits = 0
    for name in names:
        bits |= ACS_BITS[name]
    return bits


def link_of(f):
    """(speed code, width): JSON files carry no link data, so by kind."""
    if f.type == "pcie_pci_bridge" or f.detail == "dmi_host_bridge":
        return 2, 4 if f.detail else 1
    if any(c.is_gpu for c in f.walk()) and not any(c.type == "pcie_pci_bridge" for c in f.walk()):
        return 3, 16
    return 2, 8


def port_type(f):
    return PORT_TYPE["legacy_endpoint" if f.detail == "legacy_endpoint" else f.type]


def bar_register(start, kind, pref):
    if kind == "io":
        return (start & ~0x3) | 1
    return (start & ~0xf) | (0x4 if kind == "mem64" else 0) | (0x8 if pref else 0)


def put_bars(cfg, base, bars):
    for index, (start, _, kind, pref) in bars.items():
        value = bar_register(start, kind, pref)
        struct.pack_into("<I", cfg, base + 4 * index, value & 0xffffffff)
        if kind == "mem64":
            struct.pack_into("<I", cfg, base + 4 * index + 4, value >> 32)


def put_windows(cfg, f):
    struct.pack_into("<BBBB", cfg, 0x18, f.bus, f.secondary, f.subordinate, 0)
    base, limit = f.windows.get("io", (0xf000, 0x0fff))
    struct.pack_into("<BB", cfg, 0x1c, base >> 8 & 0xf0 | 1, limit >> 8 & 0xf0 | 1)
    base, limit = f.windows.get("mem", (0xfff00000, 0xfffff))
    struct.pack_into("<HH", cfg, 0x20, base >> 16 & 0xfff0, limit >> 16 & 0xfff0)
    base, limit = f.windows.get("pref", (0xfff00000, 0xfffff))
    struct.pack_into("<HH", cfg, 0x24, base >> 16 & 0xfff0 | 1, limit >> 16 & 0xfff0 | 1)
    if "pref" in f.windows:
        struct.pack_into("<II", cfg, 0x28, base >> 32, limit >> 32)
    struct.pack_into("<H", cfg, 0x3e, 0x0008 if f.spec.get("boot_vga") else 0)


def put_pcie(cfg, at, f, hotplug):
    slot = f.type in ("root_port", "downstream") and bool(f.slot)
    struct.pack_into("<H", cfg, at + 2, 2 | port_type(f) << 4 | (0x100 if slot else 0))
    devcap = 0x8001 | (1 << 28 if f.has_flr else 0)
    speed, width = link_of(f)
    struct.pack_into("<IHH", cfg, at + 4, devcap, 0x2810, 0)
    struct.pack_into("<IHH", cfg, at + 0xc, speed | width << 4 | 0x400, 0, speed | width << 4 | 0x1000)
    if slot:
        struct.pack_into("<IHH", cfg, at + 0x14, f.slot_number << 19 | (0x60 if hotplug else 0), 0, 0x40)
    struct.pack_into("<IHH", cfg, at + 0x24, 0x20 if f.sriov else 0, 0, 0)
    struct.pack_into("<IHH", cfg, at + 0x2c, (1 << speed) - 1 << 1, speed, 0)


def put_sriov(cfg, at, f):
    s = f.sriov
    struct.pack_into("<IHHHHHBBHHHH", cfg, at + 4, 0, 9 if f.numvfs else 0, 0, s["totalvfs"], s["totalvfs"],
                     f.numvfs, 0, 0, s["vf_offset"], s["vf_stride"], 0, int(s["vf_device"], 16))
    struct.pack_into("<II", cfg, at + 0x1c, 0x553, 1)
    put_bars(cfg, at + 0x24, f.vf_bars)


def extended(f, cfg, iommu):
    """The chain of extended capabilities; each entry knows how to fill itself."""
    chain = [(AER, 0x0001, 2)]
    if f.spec.get("serial"):
        chain.append((DSN, 0x0003, 1))
        struct.pack_into("<Q", cfg, DSN + 4, int(f.spec["serial"].replace("-", ""), 16))
    if f.sriov or f.physfn:
        chain.append((ARI, 0x000e, 1))
    if f.acs_cap:
        chain.append((ACS, 0x000d, 1))
        cap = acs_bits(f.acs_cap)
        struct.pack_into("<HH", cfg, ACS + 4, cap | (0x0800 if cap & 0x20 else 0),
                         acs_bits(f.acs_ctl) if iommu else 0)
    if f.sriov:
        chain.append((SRIOV, 0x0010, 1))
        put_sriov(cfg, SRIOV, f)
    for i, (at, ident, version) in enumerate(chain):
        after = chain[i + 1][0] if i + 1 < len(chain) else 0
        struct.pack_into("<I", cfg, at, ident | version << 16 | after << 20)


def capabilities(f, cfg, hotplug):
    chain = []
    if f.is_pcie or f.spec.get("pm_nosoftrst") is not None:
        chain.append((PM, 0x01))
        struct.pack_into("<HH", cfg, PM + 2, 0xc803, 0x0008 if f.spec.get("pm_nosoftrst") else 0)
    if f.is_pcie:
        chain.append((MSI, 0x05))
        struct.pack_into("<H", cfg, MSI + 2, 0x0080)
        chain.append((PCIE, 0x10))
        put_pcie(cfg, PCIE, f, hotplug)
    if f.is_bridge and f.subvendor:
        chain.append((SSVID, 0x0d))
        struct.pack_into("<HH", cfg, SSVID + 4, f.subvendor, f.subdevice)
    if "af_flr" in (f.spec.get("reset_effective") or ""):
        chain.append((AF, 0x13))
        struct.pack_into("<BB", cfg, AF + 2, 6, 3)
    for i, (at, ident) in enumerate(chain):
        cfg[at] = ident
        cfg[at + 1] = chain[i + 1][0] if i + 1 < len(chain) else 0
    if chain:
        cfg[0x34] = chain[0][0]
        cfg[0x06] |= 0x10


def config_space(f, iommu=True, hotplug=False):
    """256 bytes for a conventional function, 4096 for a PCIe one."""
    cfg = bytearray(4096 if f.is_pcie else 256)
    vendor, device = (0xffff, 0xffff) if f.physfn else (f.vendor, f.device)
    struct.pack_into("<HHHH", cfg, 0, vendor, device, 0x0407 if f.driver or f.is_bridge else 0, 0)
    struct.pack_into("<I", cfg, 8, f.cls << 8 | f.revision)
    multi = 0x80 if f.spec.get("multifunction") else 0
    struct.pack_into("<BBBB", cfg, 0xc, 0x10, 0, (1 if f.is_bridge else 0) | multi, 0)
    put_bars(cfg, 0x10, f.bars)
    if f.is_bridge:
        put_windows(cfg, f)
    else:
        struct.pack_into("<HH", cfg, 0x2c, f.subvendor, f.subdevice)
        if f.rom:
            struct.pack_into("<I", cfg, 0x30, f.rom[0])
        struct.pack_into("<BB", cfg, 0x3c, 0xff, 1 + (f.fn & 3))
    capabilities(f, cfg, hotplug)
    if f.is_pcie:
        extended(f, cfg, iommu)
    return bytes(cfg)
