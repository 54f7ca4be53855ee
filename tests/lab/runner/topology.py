# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns a lab host's description (hosts/NAME.json) into QEMU arguments.

The bus numbers are worked out as the firmware gives them out: depth first, in
order of device and function, starting from the number of each root bus. The
guest refuses to boot on if a function is not where it was expected.
"""

import json
import pathlib
import re
import struct

HOSTS = pathlib.Path(__file__).resolve().parent.parent / "hosts"

BRIDGES = {"pcie-root-port", "x3130-upstream", "xio3130-downstream", "pcie-pci-bridge", "pci-bridge"}
ROOTS = {"pxb-pcie"}
TOP_KEYS = {"spdx", "description", "like", "memory", "cpus", "sockets", "threads", "numa", "ids", "host_drivers", "devices", "slots",
            "kernel_args", "qemu_args", "change", "add", "remove", "init", "initramfs"}
# What can be said behind a host's name: v340+systemd
VARIANTS = {"systemd": ("init", "systemd"), "initramfs": ("initramfs", "debian"), "dracut": ("initramfs", "dracut")}
DEVICE_KEYS = {"id", "driver", "bus", "addr", "bus_nr", "props", "show", "host_driver"}


class HostError(Exception):
    pass


def load(name):
    """A host by its name, with its variants behind it: v340, v340+systemd, twins+initramfs+systemd."""
    plain, *variants = name.split("+")
    host = read(HOSTS, plain)
    for variant in variants:
        if variant not in VARIANTS:
            raise HostError(f"no variant '{variant}' of a lab host (there are: {', '.join(sorted(VARIANTS))})")
        key, value = VARIANTS[variant]
        host[key] = value
    host["name"] = name
    return host


def read(folder, name):
    path = folder / (name + ".json")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.json")))
        raise HostError(f"no lab host '{name}' (there are: {known})")
    try:
        host = json.loads(path.read_text())
    except ValueError as e:
        raise HostError(f"{path}: {e}")
    unknown = set(host) - TOP_KEYS
    if unknown:
        raise HostError(f"{path}: unknown key {', '.join(sorted(unknown))}")
    if "like" in host:
        host = derive(read(folder, host["like"]), host, path)
    check(host, path)
    return host


def derive(base, host, path):
    """A host that is like another one, but for what it says."""
    removed, added, changes = host.pop("remove", []), host.pop("add", []), host.pop("change", {})
    ids = {**base.get("ids", {}), **host.get("ids", {})}
    host = {**base, **host, "ids": ids}
    known = {d["id"]: d for d in host["devices"]}
    for ident in [*removed, *changes]:
        if ident not in known:
            raise HostError(f"{path}: change of '{ident}', which is no device")
    for ident, props in changes.items():
        known[ident].setdefault("props", {}).update(props)
    host["devices"] = [d for d in host["devices"] if d["id"] not in removed] + added
    return host


def check(host, path):
    seen = {"pcie.0"}
    for dev in host["devices"]:
        ident = dev.get("id", "?")
        on_pci = dev.get("bus", "pcie.0") == "pcie.0" or "." not in dev["bus"]
        if set(dev) - DEVICE_KEYS or not {"id", "driver"} <= set(dev) or ("addr" in dev) != on_pci:
            raise HostError(f"{path}: device '{ident}': needs id, driver, and addr if it is on a PCI bus; "
                            f"may have {', '.join(sorted(DEVICE_KEYS))}")
        if ident in seen:
            raise HostError(f"{path}: device '{ident}' is there twice")
        if on_pci and dev.get("bus", "pcie.0") not in seen:
            raise HostError(f"{path}: device '{ident}' is on bus '{dev['bus']}', which is not above it")
        if dev["driver"] in ROOTS and "bus_nr" not in dev:
            raise HostError(f"{path}: device '{ident}' needs a bus_nr")
        if on_pci and not re.fullmatch(r"[0-9a-f]{2}\.[0-7]", dev["addr"]):
            raise HostError(f"{path}: device '{ident}': addr is DEVICE.FUNCTION in hex, such as 02.0")
        if "show" in dev and dev["show"] not in host.get("ids", {}):
            raise HostError(f"{path}: device '{ident}' shows '{dev['show']}', which is not in ids")
        seen.add(ident)
    for slot in host.get("slots", []):
        if slot.get("device", "pcie.0") not in seen:
            raise HostError(f"{path}: slot {slot['number']} holds '{slot['device']}', which is no device")


def addresses(host):
    """id -> full PCI address, for every device but root buses."""
    children = {}
    for dev in (d for d in host["devices"] if "addr" in d):
        children.setdefault(dev.get("bus", "pcie.0"), []).append(dev)
    found = {}

    def walk(parent, bus, last):
        for dev in sorted(children.get(parent, []), key=lambda d: d["addr"]):
            found[dev["id"]] = f"0000:{bus:02x}:{dev['addr']}"
            if dev["driver"] in BRIDGES:
                last = walk(dev["id"], last + 1, last + 1)
        return last

    walk("pcie.0", 0, 0)
    for dev in host["devices"]:
        if dev["driver"] in ROOTS:
            walk(dev["id"], dev["bus_nr"], dev["bus_nr"])
    return found


def id_map(host):
    """The parameter of the module that shows the true IDs."""
    where = addresses(host)
    entries = []
    for dev in host["devices"]:
        if "show" not in dev:
            continue
        i = host["ids"][dev["show"]]
        sub = i.get("subsystem", "0:0").replace(":", "/")
        entries.append(f"{where[dev['id']]}/{i['vendor']}/{i['device']}/{sub}/{i['class']}/{i['revision']}/{i.get('serial', 0)}")
    return ",".join(entries)


def accepted(host):
    """(module, driver, vendor, device): what the host drivers take besides what they know."""
    return [(e["modules"][0], e["driver"], *ids.split()) for e in host.get("host_drivers", []) for ids in e.get("ids", [])]


def module_conf(host):
    """What modprobe is to load for the IDs that are shown, and what it is not: that would not drive these devices."""
    lines = [f"blacklist {m}" for m in ("amdgpu", "radeon", "nouveau", "nvidiafb", "kvm", "kvm_amd", "kvm_intel",
                                        "iTCO_wdt", "lpc_ich")]
    lines += [f"alias pci:v{int(v, 16):08X}d{int(d, 16):08X}sv*sd*bc*sc*i* {module}" for module, _, v, d in accepted(host)]
    return "".join(line + "\n" for line in lines)


def shown_endpoints(host):
    """Addresses of the functions, bridges apart, that show other IDs: the guest finds them anew."""
    where = addresses(host)
    return [where[d["id"]] for d in host["devices"] if "show" in d and d["driver"] not in BRIDGES]


def qemu_args(host):
    args = ["-smp", f"{host['cpus']},sockets={host.get('sockets', 1)},threads={host.get('threads', 1)}", "-m", str(host["memory"])]
    args += host.get("qemu_args", [])
    for n, node in enumerate(host.get("numa", [])):
        args += ["-object", f"memory-backend-ram,id=node{n},size={node['memory']}M",
                 "-numa", f"node,nodeid={n},memdev=node{n}"]
        args += [a for c in node["cpus"] for a in ("-numa", f"cpu,node-id={n},socket-id={c}")]
    for dev in host["devices"]:
        words = [f"{k}={v}" for k, v in properties(dev).items()]
        args += ["-device", ",".join([dev["driver"], *words])]
    return args


def properties(dev):
    """What QEMU is told of a device, besides its driver."""
    found = {"id": dev["id"], "bus": dev.get("bus", "pcie.0")}
    found.update({k: dev[k] for k in ("addr", "bus_nr") if k in dev})
    found.update(dev.get("props", {}))
    return found


def smbios_slots(host):
    """System slots (SMBIOS type 9), as one binary blob for -smbios file=."""
    where = addresses(host)
    blob = b""
    for n, slot in enumerate(host.get("slots", [])):
        lanes = re.search(r"X(\d+)(?:_\d+)?$", slot["designation"])
        width = {"1": 8, "4": 10, "8": 11, "16": 13}.get(lanes.group(1) if lanes else "", 2)
        kind = {"1": 0xB2, "4": 0xB4, "8": 0xB5, "16": 0xB6}.get(lanes.group(1) if lanes else "", 0xB1)
        address = where.get(slot.get("device"))
        segment, bus, devfn = 0xFFFF, 0xFF, 0xFF
        if address:
            seg, b, df = address.split(":")
            segment, bus = int(seg, 16), int(b, 16)
            devfn = int(df.split(".")[0], 16) << 3 | int(df.split(".")[1])
        blob += struct.pack("<BBHBBBBBHBBHBB", 9, 17, 0x0900 + n, 1, kind, width, 4 if address else 3, 4,
                            slot["number"], 0x0C, 0x01, segment, bus, devfn)
        blob += slot["designation"].encode() + b"\0\0"
    return blob
