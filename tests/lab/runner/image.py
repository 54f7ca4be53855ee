# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs of a lab host, written straight as a cpio archive."""

import pathlib
import re

LAB = pathlib.Path(__file__).resolve().parent.parent
BUSYBOX = pathlib.Path("/bin/busybox")
# In this order. The true IDs must show before virtio_pci or a host driver binds.
EARLY = ["virtio_pci_modern_dev"]
LATE = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"]


class ImageError(Exception):
    pass


class Kernel:
    """The newest Debian kernel here that has its modules and headers."""

    def __init__(self):
        found = []
        for image in pathlib.Path("/boot").glob("vmlinuz-*-amd64"):
            release = image.name[len("vmlinuz-"):]
            modules = pathlib.Path("/lib/modules") / release
            if (modules / "modules.dep").is_file() and (modules / "build" / "Makefile").is_file():
                found.append(([int(n) for n in re.findall(r"\d+", release)], release, image, modules))
        if not found:
            raise ImageError("no kernel with its modules and headers in /boot: run tests/setup")
        _, self.release, self.image, self.modules = max(found)
        try:
            self.image.open("rb").close()
        except PermissionError:
            raise ImageError(f"{self.image} is not readable by this user: chmod a+r it, or run as root")
        self.deps = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            path, _, needs = line.partition(":")
            self.deps[self.module_name(path)] = (path, needs.split())

    @staticmethod
    def module_name(path):
        return pathlib.PurePath(path).name.split(".")[0].replace("-", "_")

    def closure(self, name, done):
        """Paths of a module and what it needs, in the order of loading."""
        name = name.replace("-", "_")
        if name not in self.deps:
            builtin = (self.modules / "modules.builtin").read_text()
            if re.search(rf"/{name.replace('_', '[-_]')}\.ko$", builtin, re.M):
                return []
            raise ImageError(f"kernel {self.release} has no module {name}")
        path, needs = self.deps[name]
        paths = [p for p in reversed(needs)] + [path]
        new = [p for p in paths if p not in done]
        done.update(new)
        return new


class Cpio:
    def __init__(self):
        self.parts, self.count = [], 0

    def add(self, name, mode, data=b"", rdev=(0, 0)):
        self.count += 1
        raw = name.encode() + b"\0"
        fields = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(raw), 0]
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + raw
        self.parts.append(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def folder(self, name):
        self.add(name, 0o040755)

    def file(self, name, data, mode=0o644):
        self.add(name, 0o100000 | mode, data.encode() if isinstance(data, str) else data)

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def initramfs(kernel, host, topology, built, files):
    """built: folder with labids.ko and labinit; files: further ones for /lab."""
    if not BUSYBOX.is_file():
        raise ImageError(f"no {BUSYBOX}: run tests/setup")
    if b"/lib64/ld-linux" in BUSYBOX.read_bytes():
        raise ImageError(f"{BUSYBOX} is not static (package busybox-static): run tests/setup")
    cpio = Cpio()
    for folder in ("bin", "dev", "lab", "lab/modules"):
        cpio.folder(folder)
    cpio.add("dev/console", 0o020600, rdev=(5, 1))
    cpio.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
    cpio.file("init", (LAB / "guest/init").read_bytes(), 0o755)

    early, late, done = [], [], set()

    def module(name, load):
        for path in kernel.closure(name, done):
            base = pathlib.PurePath(path).name
            if not base.endswith(".ko"):
                raise ImageError(f"{path}: compressed kernel modules are not supported")
            cpio.file("lab/modules/" + base, (kernel.modules / path).read_bytes())
            load.append(base)

    for name in EARLY:
        module(name, early)
    if topology.id_map(host):
        cpio.file("lab/modules/labids.ko", (built / "labids.ko").read_bytes())
        cpio.file("lab/ids", "map=" + topology.id_map(host) + "\n")
        early.append("labids.ko @/lab/ids")
    for name in LATE:
        module(name, late)
    for entry in host.get("host_drivers", []):
        for name in entry["modules"]:
            module(name, late)
    cpio.file("lab/early", "".join(line + "\n" for line in early))
    cpio.file("lab/late", "".join(line + "\n" for line in late))
    cpio.file("lab/anew", "".join(a + "\n" for a in topology.shown_endpoints(host)))
    cpio.file("lab/new_ids", "".join(f"{e['driver']} {i}\n" for e in host.get("host_drivers", []) for i in e.get("ids", [])))
    where = topology.addresses(host)
    cpio.file("lab/bound", "".join(f"{where[d['id']]} {d['host_driver']}\n" for d in host["devices"] if "host_driver" in d))
    cpio.file("lab/addresses", "".join(f"{ident} {address}\n" for ident, address in where.items()))
    cpio.file("lab/labinit", (built / "labinit").read_bytes(), 0o755)
    cpio.file("lab/hold", (built / "hold").read_bytes(), 0o755)
    cpio.file("lab/boot", (LAB / "guest/boot").read_bytes(), 0o755)
    for name, (data, mode) in files.items():
        cpio.file("lab/" + name, data, mode)
    return cpio.bytes()
