# SPDX-License-Identifier: GPL-2.0-or-later
"""What drivers hang below their functions: DRM, sound, block, net, vfio; and dev/."""

import uuid
import zlib

from .tree import RW
from .topology import DRM_DRIVERS, RENDER_DRIVERS


def number_of(f):
    """As unique as a serial number, and the same wherever the bus numbers are."""
    return 0x02150000_00000000 + zlib.crc32(f.key.encode())


class Classes:
    def __init__(self, tree, host, options):
        self.tree, self.host, self.options = tree, host, options
        self.nodes = {}         # function -> {"links": [...], "dirs": [...], "files": [...]}
        self.dev_names = {}     # function -> names below dev/, render node first
        self.counts = {}
        self.disks = []         # (function or None, name, device path)
        self.nics = []          # (function, name)

    def count(self, what):
        self.counts[what] = self.counts.get(what, -1) + 1
        return self.counts[what]

    def owned(self, f):
        return self.nodes.setdefault(f, {"links": [], "dirs": [], "files": []})

    def link(self, f, path, target):
        self.tree.link(path, target)
        if f:
            self.owned(f)["links"].append(path)

    def node(self, f, path, cls, name, dev=None, parent=None, kind="char", **uevent):
        """One class device: directory, uevent, dev, and the links that lead to it."""
        text = "".join(f"{k}={v}\n" for k, v in uevent.items())
        if dev:
            major, minor = dev
            devname = uevent.get("DEVNAME", name)
            text = f"MAJOR={major}\nMINOR={minor}\n" + (text if "DEVNAME" in uevent else text + f"DEVNAME={devname}\n")
            self.tree.put(f"{path}/dev", f"{major}:{minor}\n")
            self.link(f, f"sys/dev/{kind}/{major}:{minor}", path)
            self.tree.put(f"dev/{devname}", "", RW)
            if f:
                self.owned(f)["files"].append(f"dev/{devname}")
                self.dev_names.setdefault(f, []).append(devname)
        self.tree.put(f"{path}/uevent", text, RW)
        self.tree.link(f"{path}/subsystem", f"sys/class/{cls}")
        if parent:
            self.tree.link(f"{path}/device", parent)
        if cls:
            self.link(f, f"sys/class/{cls}/{name}", path)

    def drm(self, f):
        if f.native not in DRM_DRIVERS or f.is_bridge or f.cls >> 16 != 0x03 or f.physfn:
            return
        i = self.count("card")
        base = f"{f.path}/drm"
        self.owned(f)["dirs"].append(base)
        if f.native in RENDER_DRIVERS:
            r = 128 + self.count("render")
            self.node(f, f"{base}/renderD{r}", "drm", f"renderD{r}", (226, r), f.path,
                      DEVNAME=f"dri/renderD{r}", DEVTYPE="drm_minor")
        self.node(f, f"{base}/card{i}", "drm", f"card{i}", (226, i), f.path,
                  DEVNAME=f"dri/card{i}", DEVTYPE="drm_minor")
        if f.cls >> 8 == 0x0300:
            name = f"card{i}-VGA-1" if f.native == "ast" else f"card{i}-HDMI-A-1"
            on = bool(f.spec.get("boot_vga"))
            path = f"{base}/card{i}/{name}"
            self.node(f, path, "drm", name, parent=f"{base}/card{i}")
            self.tree.attrs(path, {"status": "connected" if on else "disconnected", "modes": "1024x768" if on else "",
                                   "enabled": "enabled" if on else "disabled", "dpms": "On" if on else "Off"})
        if f.spec.get("boot_vga"):
            self.owned(f)["dirs"].append(f"{f.path}/graphics")
            self.node(f, f"{f.path}/graphics/fb0", "graphics", "fb0", (29, 0), f.path)
            self.tree.attrs(f"{f.path}/graphics/fb0", {"name": f"{f.native}drmfb"})
            console = "sys/devices/virtual/vtconsole/vtcon1"
            self.owned(f)["dirs"].append(console)
            self.node(f, console, "vtconsole", "vtcon1")
            self.tree.attrs(console, {"name": "(M) frame buffer device"})
            self.tree.attrs(console, {"bind": 1}, RW)
        if f.native == "amdgpu":
            self.tree.put(f"{f.path}/unique_id", f"{number_of(f):016x}\n")
            self.owned(f)["files"].append(f"{f.path}/unique_id")
        if f.native == "nvidia":
            n = self.count("nvidia")
            self.tree.put(f"proc/driver/nvidia/gpus/{f.address}/information",
                          f"Model: \t\t {f.spec.get('name', '')}\nBus Location: \t {f.address}\nDevice Minor: \t {n}\n"
                          f"GPU UUID: \t GPU-{uuid.UUID(int=number_of(f))}\n")
            self.owned(f)["dirs"].append(f"proc/driver/nvidia/gpus/{f.address}")
            self.tree.put(f"dev/nvidia{n}", "", RW)
            self.owned(f)["files"].append(f"dev/nvidia{n}")

    def sound(self, f):
        if f.native != "snd_hda_intel" or f.physfn:
            return
        i = self.count("sound")
        base = f"{f.path}/sound/card{i}"
        self.owned(f)["dirs"].append(f"{f.path}/sound")
        self.node(f, base, "sound", f"card{i}", parent=f.path)
        self.tree.attrs(base, {"id": f"HDMI{i}", "number": i})
        for name, minor in ((f"controlC{i}", 32 * i), (f"pcmC{i}D3p", 32 * i + 3)):
            self.node(f, f"{base}/{name}", "sound", name, (116, minor), base, DEVNAME=f"snd/{name}")

    def disk(self, f, path, name, major, first, parts, part):
        """A disk with two partitions; the first disk's second one carries the root file system."""
        sectors = 1953525168
        self.tree.attrs(path, {"size": sectors, "ro": 0, "removable": 0, "range": 16})
        self.node(f, path, "block", name, (major, first), path.rpartition("/block/")[0] or None, "block",
                  DEVNAME=name, DEVTYPE="disk")
        self.tree.dir(f"{path}/holders")
        self.tree.dir(f"{path}/slaves")
        for i in range(1, parts + 1):
            self.tree.attrs(f"{path}/{name}{part}{i}", {"partition": i, "start": 2048 * i, "size": sectors // parts - 4096})
            self.node(f, f"{path}/{name}{part}{i}", "block", f"{name}{part}{i}", (major, first + i), None, "block",
                      DEVNAME=f"{name}{part}{i}", DEVTYPE="partition", PARTN=i)
            self.tree.dir(f"{path}/{name}{part}{i}/holders")
        self.disks.append((f, name, path))

    def ata(self, f, base):
        i = self.count("sd")
        if i > 25:
            return
        path = f"{base}/ata{i + 1}/host{i}/target{i}:0:0/{i}:0:0:0/block/sd{chr(97 + i)}"
        if f:
            self.owned(f)["dirs"].append(f"{base}/ata{i + 1}")
        self.disk(f, path, f"sd{chr(97 + i)}", 8, 16 * i, 2, "")

    def nvme(self, f):
        i = self.count("nvme")
        base = f"{f.path}/nvme/nvme{i}"
        self.owned(f)["dirs"].append(f"{f.path}/nvme")
        self.node(f, base, "nvme", f"nvme{i}", (240, i), f.path)
        name = f"nvme{i}n1"
        self.tree.attrs(f"{base}/{name}", {"size": 1953525168, "ro": 0})
        self.node(f, f"{base}/{name}", "block", name, (259, 4 * i), base, "block", DEVNAME=name, DEVTYPE="disk")
        self.disks.append((f, name, f"{base}/{name}"))

    def nic(self, f):
        i = self.count("net")
        name, path = f"eno{i + 1}", f"{f.path}/net/eno{i + 1}"
        self.owned(f)["dirs"].append(f"{f.path}/net")
        self.node(f, path, "net", name, parent=f.path, INTERFACE=name, IFINDEX=i + 2)
        self.tree.attrs(path, {"address": f"02:00:00:00:{i >> 8 & 0xff:02x}:{i & 0xff:02x}", "ifindex": i + 2,
                               "operstate": "up" if i == 0 else "down", "type": 1, "mtu": 1500})
        self.nics.append((f, name))

    def vfio(self, f):
        i = self.count("vfio-dev")
        path = f"{f.path}/vfio-dev/vfio{i}"
        self.tree.put(f"{path}/uevent", "", RW)
        self.tree.link(f"{path}/subsystem", "sys/class/vfio-dev")
        self.tree.link(f"{path}/device", f.path)
        self.tree.link(f"sys/class/vfio-dev/vfio{i}", path)
        base = f"sys/devices/virtual/vfio/{f.group}"
        if base not in self.tree.made:
            self.node(None, base, "vfio", str(f.group), (243, self.count("vfio")), DEVNAME=f"vfio/{f.group}")
        self.dev_names[f] = [f"vfio/{f.group}"]

    def build(self):
        tree, host = self.tree, self.host
        for cls in ("drm", "sound", "block", "net", "graphics", "vtconsole"):
            tree.dir(f"sys/class/{cls}")
        tree.dir("sys/dev/block")
        for f in sorted(host.functions, key=lambda f: (f.domain, f.bus, f.dev, f.fn)):
            self.drm(f)
            self.sound(f)
            if f.cls >> 8 == 0x0106 and f.native == "ahci":
                self.ata(f, f.path)
            elif f.cls >> 8 == 0x0108 and f.native == "nvme":
                self.nvme(f)
            elif f.cls >> 16 == 0x02 and f.native and not f.physfn:
                self.nic(f)
        if not any(name == "sda" for _, name, _ in self.disks):
            self.ata(None, "sys/devices/platform/ahci.0")
        if any(f.native == "amdgpu" for f in host.functions):
            self.node(None, "sys/devices/virtual/kfd/kfd", "kfd", "kfd", (511, 0))
        if not self.options.no_vfio:
            for path in ("sys/class/vfio", "sys/class/vfio-dev", "sys/devices/virtual/vfio"):
                tree.dir(path)
            self.node(None, "sys/devices/virtual/misc/vfio", "misc", "vfio", (10, 196), DEVNAME="vfio/vfio")
        self.virtual()
        self.stash()
        for f in host.functions:
            if f.driver == "vfio-pci" and host.iommu and f.group is not None:
                self.vfio(f)

    def virtual(self):
        lo = "sys/devices/virtual/net/lo"
        self.node(None, lo, "net", "lo", INTERFACE="lo", IFINDEX=1)
        self.tree.attrs(lo, {"ifindex": 1, "operstate": "unknown", "type": 772, "address": "00:00:00:00:00:00"})
        path = "sys/devices/virtual/vtconsole/vtcon0"
        self.node(None, path, "vtconsole", "vtcon0")
        self.tree.attrs(path, {"name": "(S) dummy device"})
        self.tree.attrs(path, {"bind": 0}, RW)

    def stash(self):
        """Tells the fake kernel what belongs to each driver, and puts away what is not bound."""
        import os
        tree = self.tree
        for f, own in self.nodes.items():
            away = f.driver != f.native
            lines = []
            for path in own["links"]:
                lines.append(f"l {path} {os.readlink(tree.abs(path))}\n")
                if away:
                    os.unlink(tree.abs(path))
            for i, path in enumerate(own["dirs"] + own["files"]):
                lines.append(f"m {path} {i}\n")
                tree.dir(f".fake/stash/{f.address}")
                if away:
                    os.rename(tree.abs(path), tree.abs(f".fake/stash/{f.address}/{i}"))
            tree.put(f".fake/nodes/{f.address}", "".join(lines), RW)
            if away:
                self.dev_names.pop(f, None)
