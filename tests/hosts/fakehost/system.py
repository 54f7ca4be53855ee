# SPDX-License-Identifier: GPL-2.0-or-later
"""The rest of a host: proc/, NUMA nodes, DMI, processes that hold a device."""

import re

from . import facts, smbios
from .topology import TopologyError
from .tree import RW

RELEASE = "6.1.0-18-amd64"


def cpu_set(text):
    cpus = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        cpus.update(range(int(low), int(high or low) + 1))
    return cpus


def cpu_list(cpus):
    parts = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][1] + 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def cpu_mask(cpus):
    mask, words = sum(1 << c for c in cpus), []
    for _ in range(max(cpus) // 32 + 1):
        words.insert(0, f"{mask & 0xffffffff:08x}")
        mask >>= 32
    return ",".join(words)


def cores(node):
    """Lists of the processors of each core: as told, or the second half of the node's are siblings of the first."""
    if "cores" in node:
        return [sorted(cpu_set(text)) for text in node["cores"]]
    cpus, threads = sorted(cpu_set(node["cpulist"])) if node["cpulist"] else [], node.get("threads", 1)
    step = len(cpus) // threads
    return [cpus[i::step] for i in range(step)]


def pages(tree, path, node):
    for size in (2048, 1048576):
        count, free = node.get("pages", {}).get(str(size), (0, 0))
        tree.attrs(f"{path}/hugepages/hugepages-{size}kB", {"nr_hugepages": count}, RW)
        tree.attrs(f"{path}/hugepages/hugepages-{size}kB", {"free_hugepages": free, "surplus_hugepages": 0})


def numa(tree, host):
    nodes = host.host.get("numa") or [{"node": 0, "cpulist": "0"}]
    ids = sorted(n["node"] for n in nodes)
    span = f"{ids[0]}-{ids[-1]}" if len(ids) > 1 else str(ids[0])
    tree.attrs("sys/devices/system/node", {"online": span, "possible": span, "has_cpu": span, "has_memory": span})
    every, total = set(), 0
    for n in nodes:
        cpus, kib = cpu_set(n["cpulist"]) if n["cpulist"] else set(), n.get("memory", 8192) * 1024
        every |= cpus
        total += kib
        path = f"sys/devices/system/node/node{n['node']}"
        tree.attrs(path, {"cpulist": n["cpulist"], "cpumap": cpu_mask(cpus) if cpus else "0",
                          "distance": " ".join("10" if i == n["node"] else "21" for i in ids),
                          "meminfo": "\n".join(f"Node {n['node']} {key + ':':<15} {value:>8} kB"
                                               for key, value in (("MemTotal", kib), ("MemFree", kib // 2), ("MemUsed", kib - kib // 2)))})
        pages(tree, path, n)
        for number, core in enumerate(cores(n)):
            siblings = cpu_list(core)
            for cpu in core:
                tree.attrs(f"sys/devices/system/cpu/cpu{cpu}/topology",
                           {"physical_package_id": n.get("socket", n["node"]), "core_id": number,
                            "core_cpus_list": siblings, "thread_siblings_list": siblings})
    online = f"0-{max(every)}"
    tree.attrs("sys/devices/system/cpu", {"online": online, "possible": online, "present": online, "isolated": ""})
    tree.put("proc/meminfo", f"MemTotal:       {total:>8} kB\nMemFree:        {total // 2:>8} kB\nHugepagesize:       2048 kB\n")


def dmi(tree, host, enabled):
    vendor, _, board = host.host.get("board", "Fake board").partition(" ")
    tree.attrs("sys/devices/virtual/dmi/id", {"board_vendor": vendor, "board_name": board or "board",
                                              "sys_vendor": vendor, "product_name": board or "board"})
    tree.link("sys/class/dmi/id", "sys/devices/virtual/dmi/id")
    if enabled:
        head, table = smbios.tables(host)
        tree.put("sys/firmware/dmi/tables/smbios_entry_point", head, 0o444)
        tree.put("sys/firmware/dmi/tables/DMI", table, 0o444)


def process(tree, pid, comm, cmdline, cgroup, ppid=1):
    base = f"proc/{pid}"
    tree.put(f"{base}/comm", comm[:15] + "\n", RW)
    tree.put(f"{base}/cmdline", cmdline.replace(" ", "\0") + "\0")
    tree.put(f"{base}/cgroup", f"0::{cgroup}\n")
    stat = f"{pid} ({comm[:15]}) S {ppid} {pid} {pid} 0 -1 4194560 100 0 0 0 1 1 0 0 20 0 1 0 {100 + pid} 1000000 100"
    tree.put(f"{base}/stat", stat + " 18446744073709551615" + " 0" * 27 + "\n")
    tree.put(f"{base}/status", f"Name:\t{comm[:15]}\nPid:\t{pid}\nPPid:\t{ppid}\nUid:\t0\t0\t0\t0\n")
    tree.dir(f"{base}/fd")
    tree.dir(f"{base}/map_files")


def mounts(tree, disk, lvm):
    source, major_minor = ("/dev/mapper/vg0-root", "254:0") if lvm else (f"/dev/{disk}2", "8:2")
    rows = [(22, 1, major_minor, "/", "ext4", source, "rw,relatime"), (23, 22, "0:21", "/sys", "sysfs", "sysfs", "rw,nosuid"),
            (24, 22, "0:22", "/proc", "proc", "proc", "rw,nosuid"), (25, 22, "0:5", "/dev", "devtmpfs", "udev", "rw,nosuid"),
            (26, 22, "0:23", "/run", "tmpfs", "tmpfs", "rw,nosuid"), (27, 22, "8:1", "/boot", "ext4", f"/dev/{disk}1", "rw,relatime")]
    tree.put("proc/self/mountinfo", "".join(
        f"{i} {p} {mm} / {at} {o} shared:{i} - {fs} {src} rw\n" for i, p, mm, at, fs, src, o in rows))
    tree.put("proc/self/mounts", "".join(f"{src} {at} {fs} {o} 0 0\n" for _, _, _, at, fs, src, o in rows))
    tree.raw_link("proc/mounts", "self/mounts")
    tree.put("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")
    if lvm:
        dm = "sys/devices/virtual/block/dm-0"
        tree.attrs(dm, {"dev": "254:0", "size": 1000000, "dm/name": "vg0-root"})
        tree.put(f"{dm}/uevent", "MAJOR=254\nMINOR=0\nDEVNAME=dm-0\nDEVTYPE=disk\n", RW)
        below = next(p for _, name, p in lvm if name == disk)
        tree.link(f"{dm}/slaves/{disk}2", f"{below}/{disk}2")
        tree.link(f"{below}/{disk}2/holders/dm-0", dm)
        tree.link(f"{dm}/subsystem", "sys/class/block")
        tree.link("sys/class/block/dm-0", dm)
        tree.link("sys/dev/block/254:0", dm)


def network(tree, nics):
    head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    v6 = "{:032x} {} {:032x} 00 {:032x} {} 00000001 00000000 {} {}\n"
    four, six = head, ""
    if nics:
        name = nics[0][1]
        four += f"{name}\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        four += f"{name}\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
        six += v6.format(0, "00", 0, 0xfe80 << 112 | 1, "00000064", "00000003", name)
    six += v6.format(1, "80", 0, 0, "00000000", "80200001", "lo")
    tree.put("proc/self/net/route", four)
    tree.put("proc/self/net/ipv6_route", six)
    tree.put("proc/self/net/unix", "Num       RefCount Protocol Flags    Type St Inode Path\n")
    tree.raw_link("proc/net", "self/net")


def modules(host, options):
    from .pci import BUILT_IN, MODULES
    names = {MODULES.get(f.driver, f.driver) for f in host.functions if f.driver and f.driver not in BUILT_IN}
    if not options.no_vfio:
        names |= {"vfio_pci", "vfio_pci_core", "vfio", "vfio_iommu_type1", "vfio_virqfd"}
    return "".join(f"{n} 16384 0 - Live 0x0000000000000000\n" for n in sorted(names))


def holder(tree, classes, f, text):
    """ADDR=pid,comm,unit,kind,node: a process with the device open, or mapped, or held after deletion."""
    names = classes.dev_names.get(f)
    parts = (text.split(",") if text else []) + [""] * 5
    pid, comm, unit = int(parts[0] or 4711), parts[1] or "holder", parts[2] or "holder.service"
    kind, node = parts[3] or "fd", parts[4] or (names[0] if names else "")
    if not node:
        raise TopologyError(f"{f.key} has no device node that a process could hold")
    if kind not in ("fd", "map", "deleted", "anon"):
        raise TopologyError(f"--holder: no such kind: {kind}")
    base = f"proc/{pid}"
    if not tree.exists(base):
        process(tree, pid, comm, f"/usr/bin/{comm}", unit if unit.startswith("/") else f"/system.slice/{unit}")
        tree.raw_link(f"{base}/fd/0", "/dev/null")
        tree.raw_link(f"{base}/exe", f"/usr/bin/{comm}")
    path = f"/dev/{node}" + (" (deleted)" if kind == "deleted" else "")
    number = next(n for n in range(3, 1000) if not tree.exists(f"{base}/fd/{n}"))
    maps = "00400000-00401000 r-xp 00000000 08:02 1234 /usr/bin/" + comm + "\n"
    if kind == "map":
        tree.raw_link(f"{base}/map_files/7f0000000000-7f0000001000", path)
        maps += f"7f0000000000-7f0000001000 rw-s 100000000 00:05 300 {path}\n"
    else:
        tree.raw_link(f"{base}/fd/{number}", "anon_inode:[vfio-device]" if kind == "anon" else path)
    if not tree.exists(f"{base}/maps"):
        tree.put(f"{base}/maps", maps, RW)
    m = re.match(r"vfio/(\d+)$", node)
    return m.group(1) if m else None


def build(tree, host, classes, options):
    for name in ("etc", "run", "dev", ".fake/stash", ".fake/nodes"):
        tree.dir(name)
    numa(tree, host)
    facts.build(tree, host)
    dmi(tree, host, not options.no_smbios)
    disk = next(name for _, name, _ in classes.disks if name.startswith("sd"))
    mounts(tree, disk, classes.disks if options.lvm else None)
    network(tree, classes.nics)
    tree.put("proc/cmdline", f"BOOT_IMAGE=/vmlinuz-{RELEASE} root=/dev/{disk}2 ro quiet "
             f"{host.host.get('kernel_cmdline', '') if host.iommu else ''}".rstrip() + " ".join([""] + host.arguments) + "\n")
    tree.put("proc/version", f"Linux version {RELEASE} (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC\n")
    tree.put("sys/kernel/uevent_seqnum", "4711\n", 0o444)
    tree.put("proc/sys/kernel/osrelease", RELEASE + "\n")
    tree.put("proc/sys/kernel/hostname", host.data.get("machine", "host") + "\n")
    tree.put("proc/modules", modules(host, options))
    tree.put("proc/devices", "Character devices:\n 10 misc\n 29 fb\n116 alsa\n195 nvidia\n226 drm\n243 vfio\n511 kfd\n"
             "\nBlock devices:\n  8 sd\n254 device-mapper\n259 blkext\n")
    tree.put("proc/consoles", "tty0                 -WU (EC  p  )    4:1\n")
    process(tree, 1, "systemd", "/sbin/init", "/init.scope", 0)
    tree.put("proc/1/maps", "00400000-00401000 r-xp 00000000 08:02 1234 /usr/lib/systemd/systemd\n", RW)
    tree.raw_link("proc/1/fd/0", "/dev/null")
    open_groups = [holder(tree, classes, f, text) for f, text in options.holders]
    tree.put(".fake/open-groups", "".join(f"{g}\n" for g in sorted({g for g in open_groups if g}, key=int)), RW)
