# SPDX-License-Identifier: GPL-2.0-or-later
"""sys/bus/pci, sys/devices/pci*, sys/kernel/iommu_groups and sys/module."""

from . import config
from .tree import RO, RW

MODULES = {"vfio-pci": "vfio_pci", "xhci_hcd": "xhci_pci", "ehci-pci": "ehci_pci", "i801_smbus": "i2c_i801"}
BUILT_IN = {"pcieport"}
SPEED = {1: "2.5 GT/s PCIe", 2: "5.0 GT/s PCIe", 3: "8.0 GT/s PCIe"}


def flags(kind, pref):
    return {"io": 0x40101, "mem32": 0x40200, "mem64": 0x140204}[kind] | (0x2008 if pref else 0)


def resource_lines(f):
    lines = [(0, 0, 0)] * (17 if f.is_bridge else 13)
    for index, (start, size, kind, pref) in f.bars.items():
        lines[index] = (start, start + size - 1, flags(kind, pref))
    if f.rom:
        lines[6] = (f.rom[0], f.rom[0] + f.rom[1] - 1, 0x46200)
    for index, (start, size, kind, pref) in f.vf_bars.items():
        lines[7 + index] = (start, start + size * f.sriov["totalvfs"] - 1, flags(kind, pref))
    for line, kind, flag in ((13, "io", 0x101), (14, "mem", 0x200), (15, "pref", 0x102201)):
        if kind in f.windows:
            lines[line] = (*f.windows[kind], flag)
    return "".join("0x%016x 0x%016x 0x%016x\n" % line for line in lines)


def modalias(f):
    return (f"pci:v{f.vendor:08X}d{f.device:08X}sv{f.subvendor:08X}sd{f.subdevice:08X}"
            f"bc{f.cls >> 16:02X}sc{f.cls >> 8 & 0xff:02X}i{f.cls & 0xff:02X}")


def uevent(f):
    driver = f"DRIVER={f.driver}\n" if f.driver else ""
    return (f"{driver}PCI_CLASS={f.cls:04X}\nPCI_ID={f.vendor:04X}:{f.device:04X}\n"
            f"PCI_SUBSYS_ID={f.subvendor:04X}:{f.subdevice:04X}\nPCI_SLOT_NAME={f.address}\n"
            f"MODALIAS={modalias(f)}\n")


def cpus_of(host, node):
    nodes = host.host.get("numa") or [{"node": 0, "cpulist": "0"}]
    if node < 0:
        return ",".join(n["cpulist"] for n in nodes)
    return next((n["cpulist"] for n in nodes if n["node"] == node), "")


def power(tree, path, f):
    vfio = f.driver == "vfio-pci"
    control = "auto" if (vfio or f.driver == "pcieport") and not f.held_by else "on"
    tree.put(f"{path}/power/control", control + "\n", RW)
    tree.attrs(f"{path}/power", {"runtime_status": "suspended" if vfio and not f.held_by else "active",
                                 "runtime_enabled": "enabled" if control == "auto" else "forbidden",
                                 "runtime_active_time": 1000, "runtime_suspended_time": 0})
    tree.put(f"{path}/power/autosuspend_delay_ms", "", RW)
    tree.put(f"{path}/power/wakeup", "disabled\n", RW)


def bus_dir(tree, host, path, domain, bus, node):
    if "pci_bus" in tree.skip:
        return
    name = f"{domain:04x}:{bus:02x}"
    tree.put(f"{path}/pci_bus/{name}/uevent", "", RW)
    tree.attrs(f"{path}/pci_bus/{name}", {"cpulistaffinity": cpus_of(host, node)})
    tree.put(f"{path}/pci_bus/{name}/rescan", "", RW)
    tree.link(f"{path}/pci_bus/{name}/subsystem", "sys/class/pci_bus")
    tree.link(f"{path}/pci_bus/{name}/device", path)
    tree.link(f"sys/class/pci_bus/{name}", f"{path}/pci_bus/{name}")


def device(tree, host, f, options):
    path = f.path
    tree.attrs(path, {
        "vendor": f"0x{f.vendor:04x}", "device": f"0x{f.device:04x}",
        "subsystem_vendor": f"0x{f.subvendor:04x}", "subsystem_device": f"0x{f.subdevice:04x}",
        "class": f"0x{f.cls:06x}", "revision": f"0x{f.revision:02x}", "irq": 0 if not f.driver else 16 + f.dev,
        "modalias": modalias(f), "local_cpulist": cpus_of(host, f.node), "ari_enabled": 0,
        "dma_mask_bits": 64 if f.driver else 32, "consistent_dma_mask_bits": 64 if f.driver else 32,
        "power_state": "D3hot" if f.driver == "vfio-pci" and not f.held_by else "D0" if f.driver else "unknown",
    })
    tree.attrs(path, {"numa_node": f.node, "enable": 0 if f.driver in (None, "vfio-pci") else 1,
                      "d3cold_allowed": 0 if f.held_by else 1, "driver_override": f.override or "(null)",
                      "broken_parity_status": 0, "msi_bus": 1}, RW)
    tree.put(f"{path}/resource", resource_lines(f))
    tree.put(f"{path}/uevent", uevent(f), RW)
    tree.put(f"{path}/config", config.config_space(f, host.iommu, options.slots), RW)
    tree.put(f"{path}/remove", "", RW)
    tree.put(f"{path}/rescan", "", RW)
    for index in f.bars:
        tree.put(f"{path}/resource{index}", "", RW)
    if f.rom:
        tree.put(f"{path}/rom", "", RW)
    power(tree, path, f)
    methods = f.spec.get("reset_method")
    if methods:
        methods = (f.spec.get("reset_effective") or "") if f in f.held_by else methods
        tree.put(f"{path}/reset_method", f"{methods}\n" if methods else "", RW)
        tree.put(f"{path}/reset", "", RW)
    if f.cls >> 8 == 0x0300:
        tree.attrs(path, {"boot_vga": f.spec.get("boot_vga") or 0})
    if f.is_pcie:
        speed, width = config.link_of(f)
        tree.attrs(path, {"current_link_speed": SPEED[speed], "max_link_speed": SPEED[speed],
                          "current_link_width": width, "max_link_width": width})
    if f.is_bridge:
        tree.attrs(path, {"secondary_bus_number": f.secondary, "subordinate_bus_number": f.subordinate})
        bus_dir(tree, host, path, f.domain, f.secondary, f.node)
    if f.type == "root_port" and f.driver == "pcieport":
        tree.put(f"{path}/{f.address}:pcie001/uevent", "", RW)
        tree.link(f"{path}/{f.address}:pcie001/subsystem", "sys/bus/pci_express")
        tree.link(f"sys/bus/pci_express/devices/{f.address}:pcie001", f"{path}/{f.address}:pcie001")
    if f.sriov:
        sriov(tree, f)
    if f.physfn:
        tree.link(f"{path}/physfn", f.physfn.path)
    tree.link(f"{path}/subsystem", "sys/bus/pci")
    tree.link(f"sys/bus/pci/devices/{f.address}", path)
    if host.iommu and f.group is not None:
        group(tree, host, f)


def sriov(tree, f):
    s = f.sriov
    tree.attrs(f.path, {"sriov_totalvfs": s["totalvfs"], "sriov_offset": s["vf_offset"],
                        "sriov_stride": s["vf_stride"], "sriov_vf_device": s["vf_device"][2:],
                        "sriov_vf_total_msix": 0})
    tree.attrs(f.path, {"sriov_numvfs": f.numvfs, "sriov_drivers_autoprobe": 1}, RW)
    for i, vf in enumerate(f.vfs):
        tree.link(f"{f.path}/virtfn{i}", vf.path)


def iommu_kind(host):
    return ("ivhd", "amd-iommu") if "AMD" in host.host.get("chipset", "") else ("dmar", "intel-iommu")


def group(tree, host, f):
    base = f"sys/kernel/iommu_groups/{f.group}"
    if base not in tree.made:
        tree.dir(base)
        passthrough = "iommu=pt" in host.host.get("kernel_cmdline", "").split()
        tree.attrs(base, {"type": "identity" if passthrough else "DMA-FQ"}, RW)
        tree.put(f"{base}/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n")
    tree.link(f"{base}/devices/{f.address}", f.path)
    tree.link(f"{f.path}/iommu_group", base)
    kind, attr = iommu_kind(host)
    unit = f"sys/devices/virtual/iommu/{kind}{sorted(host.roots()).index(f.root)}"
    if unit not in tree.made:
        tree.put(f"{unit}/uevent", "", RW)
        tree.put(f"{unit}/{attr}/version", "1:0\n")
        if attr == "intel-iommu":
            tree.attrs(f"{unit}/{attr}", {"cap": "d2078c106f0466", "ecap": "f020df"})
        tree.link(f"{unit}/subsystem", "sys/class/iommu")
        tree.link(f"sys/class/iommu/{unit.rpartition('/')[2]}", unit)
    tree.link(f"{f.path}/iommu", unit)
    tree.link(f"{unit}/devices/{f.address}", f.path)


def root_buses(tree, host):
    """The host bridges, with the ACPI nodes that give them a name which does not move."""
    for i, (domain, bus) in enumerate(host.roots()):
        path = f"sys/devices/pci{domain:04x}:{bus:02x}"
        acpi = f"sys/devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A08:{i:02x}"
        tree.attrs(acpi, {"path": f"\\_SB_.PC{i:02X}", "uid": i, "hid": "PNP0A08", "status": 15,
                          "modalias": "acpi:PNP0A08:PNP0A03:"})
        tree.put(f"{acpi}/uevent", "MODALIAS=acpi:PNP0A08:PNP0A03:\n", RW)
        tree.put(f"{path}/uevent", "", RW)
        tree.put(f"{path}/power/control", "auto\n", RW)
        tree.link(f"{path}/firmware_node", acpi)
        tree.link(f"{acpi}/physical_node", path)
        tree.link(f"sys/bus/acpi/devices/PNP0A08:{i:02x}", acpi)
        bus_dir(tree, host, path, domain, bus, next(iter(host.roots()[domain, bus])).node)


def module(tree, name):
    base = f"sys/module/{name}"
    if base not in tree.made:
        tree.attrs(base, {"initstate": "live", "refcnt": 0})
        tree.put(f"{base}/uevent", "", RW)


def driver(tree, name):
    base = f"sys/bus/pci/drivers/{name}"
    if base in tree.made:
        return
    for attr in ("bind", "unbind", "new_id", "remove_id", "uevent"):
        tree.put(f"{base}/{attr}", "", RW)
    if name not in BUILT_IN:
        mod = MODULES.get(name, name)
        module(tree, mod)
        tree.link(f"{base}/module", f"sys/module/{mod}")
        tree.link(f"sys/module/{mod}/drivers/pci:{name}", base)


def slots(tree, host, enabled):
    tree.dir("sys/bus/pci/slots")
    for f in host.functions if enabled else []:
        if f.slot_number and f.children:
            tree.attrs(f"sys/bus/pci/slots/{f.slot_number}",
                       {"address": f.children[0].slot_address, "cur_bus_speed": "8.0 GT/s PCIe",
                        "max_bus_speed": "8.0 GT/s PCIe"})
            tree.attrs(f"sys/bus/pci/slots/{f.slot_number}", {"power": 1, "attention": 0}, RW)


def build(tree, host, options):
    for attr, text in (("drivers_probe", ""), ("drivers_autoprobe", "1\n"), ("rescan", ""), ("uevent", "")):
        tree.put(f"sys/bus/pci/{attr}", text, RW)
    tree.dir("sys/kernel/iommu_groups")
    root_buses(tree, host)
    lean = frozenset(options.skip)
    for f in host.functions:
        tree.skip = () if f.is_gpu else lean
        device(tree, host, f, options)
    tree.skip = ()
    for f in host.functions:
        for name in (f.native, f.driver):
            if name and (name != "vfio-pci" or not options.no_vfio):
                driver(tree, name)
        if f.driver:
            base = f"sys/bus/pci/drivers/{f.driver}"
            tree.link(f"{f.path}/driver", base)
            tree.link(f"{base}/{f.address}", f.path)
    if not options.no_vfio:
        driver(tree, "vfio-pci")
        tree.attrs("sys/module/vfio_pci/parameters", {"disable_idle_d3": "N", "disable_vga": "N",
                                                      "nointxmask": "N", "ids": ""})
        for name in ("vfio", "vfio_iommu_type1", "vfio_pci_core", "vfio_virqfd"):
            module(tree, name)
    slots(tree, host, options.slots)
    metadata(tree, host)


def holds(tree, host):
    """vfioctl's notes of settings that it has changed."""
    for f in host.functions:
        if not f.held_by:
            continue
        lines = [f"ids {f.vendor:04x}:{f.device:04x}"]
        if f.driver == "pcieport":
            lines.append("control auto")
        elif f.driver == "vfio-pci" and f.native:
            lines.append("control on")
        lines.append("d3cold_allowed 1")
        methods, true = f.spec.get("reset_method"), f.spec.get("reset_effective") or ""
        if f in f.held_by and methods and methods != true:
            lines.append(f"reset_method {true}")
        lines += [f"gpu {gpu.address}" for gpu in f.held_by]
        tree.put(f"run/vfioctl/hold/{f.address}", "".join(f"{line}\n" for line in lines), RW)


def metadata(tree, host):
    """What only the kernel knows, for the fake kernel: native driver and true reset methods."""
    ordered = sorted(host.functions, key=lambda f: (f.domain, f.bus, f.dev, f.fn))
    tree.put(".fake/native", "".join(f"{f.address} {f.native}\n" for f in ordered if f.native), RW)
    tree.put(".fake/reset", "".join(f"{f.address} {f.spec.get('reset_effective') or ''}".rstrip() + "\n"
                                    for f in ordered if f.spec.get("reset_method")), RW)
