# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs of a lab host, written straight as a cpio archive."""

import pathlib
import re

LAB = pathlib.Path(__file__).resolve().parent.parent
BUSYBOX = pathlib.Path("/bin/busybox")
# In this order. The true IDs must show before virtio_pci or a host driver binds.
EARLY = ["virtio_pci_modern_dev"]
LATE = ["virtio_pci", "virtio_console", "virtio_blk", "9pnet_virtio", "9p", "overlay", "ext4", "crc32c_generic"]


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
        whole = b"".join(self.parts)
        return whole + b"\0" * (-len(whole) % 512)


def lab_files(host, topology, built):
    """What is in /lab of any initramfs, besides its modules."""
    where = topology.addresses(host)
    texts = {
        "anew": "".join(a + "\n" for a in topology.shown_endpoints(host)),
        "bound": "".join(f"{where[d['id']]} {d['host_driver']}\n" for d in host["devices"] if "host_driver" in d),
        "addresses": "".join(f"{ident} {address}\n" for ident, address in where.items()),
        "modprobe.conf": topology.module_conf(host),
        "init-path": ("/sbin/init" if host.get("init") == "systemd" else "/run/lab/labinit") + "\n",
        "functions": (LAB / "guest/functions").read_bytes(),
    }
    programs = {name: (LAB / "guest" / name).read_bytes() for name in ("init", "boot", "lab_outside")}
    programs.update({name: (built / name).read_bytes() for name in ("labinit", "hold")})
    programs["busybox"] = BUSYBOX.read_bytes()
    return {**{n: (d, 0o644) for n, d in texts.items()}, **{n: (d, 0o755) for n, d in programs.items()}}


def initramfs(kernel, host, topology, built, files, made=None):
    """built: folder with labids.ko and the tools; files: further ones for /lab; made: an initramfs that goes on after
    the lab's first step, which then loads no more than it needs itself."""
    if not BUSYBOX.is_file():
        raise ImageError(f"no {BUSYBOX}: run tests/setup")
    if b"/lib64/ld-linux" in BUSYBOX.read_bytes():
        raise ImageError(f"{BUSYBOX} is not static (package busybox-static): run tests/setup")
    cpio = Cpio()
    for folder in ("dev", "lab", "lab/modules"):
        cpio.folder(folder)
    cpio.add("dev/console", 0o020600, rdev=(5, 1))

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
        accept = ",".join("/".join(entry) for entry in topology.accepted(host))
        cpio.file("lab/ids", f"map={topology.id_map(host)}" + (f" accept={accept}" if accept else "") + "\n")
        early.append("labids.ko @/lab/ids")
    for name in [] if made else LATE + [m for entry in host.get("host_drivers", []) for m in entry["modules"]]:
        module(name, late)
    cpio.file("lab/early", "".join(line + "\n" for line in early))
    cpio.file("lab/late", "".join(line + "\n" for line in late))
    for name, (data, mode) in {**lab_files(host, topology, built), **files}.items():
        cpio.file("lab/" + name, data, mode)
    return cpio.bytes() + (made or b"")
