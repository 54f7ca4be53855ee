#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""capture: the archive read back shows the same host, and nothing in it names the machine."""

import json
import os
import re
import stat
import subprocess
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, TOPOLOGIES, Host, expand, run  # noqa: E402

SECRETS = {
    "proc/sys/kernel/hostname": "sekrethost\n",
    "etc/hostname": "sekrethost\n",
    "etc/vfioctl/vfioctl.conf": "# asked by jane on sekrethost.corp.example\ngpus = all\n",
    "etc/vfioctl/vfioctl.conf.old": "connect = qemu+ssh://jane@sekretserver/system\n",
    "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=UUID=5e4a1c77-1111-4222-8333-0123456789ab ip=10.9.8.7::::sekrethost:enp3s0 "
                    "sekretword intel_iommu=on iommu=pt\n",
    "proc/self/mountinfo": "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n"
                           "30 22 0:50 / /srv/sekrethost rw - nfs sekretserver:/export rw,addr=10.9.8.7\n"
                           "31 22 8:1 / /srv/sekrethost/boot rw - ext4 /dev/sda1 rw\n",
    "run/vfioctl/claims/0000:06:00.0": "5e4a1c77-1111-4222-8333-0123456789ab 0 0\nsekretvm\n",
}
FIT = ("fit", "--vcpus", "4", "--memory", "4G")
NEVER = ["sekret", "jane", "10.9.8.7", "5e4a1c77", "525400", "52:54:00", "SN4711", "deadbeef", "efbeadde", "corp.example",
         "021500007d16735c", "021500006c9d4b13"]


class Capture(Case):
    def capture(self, host, *options, name="host.tar", code=0, fake=True):
        """The unpacked archive as a host, the result, and the archive's path."""
        folder = tempfile.mkdtemp(prefix="capture-", dir=harness.SCRATCH)
        path = f"{folder}/{name}"
        result = self.code(code, host.cli("capture", path, *options, fake=fake))
        if not os.path.exists(path):
            return None, result, path
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="tar") if hasattr(tarfile, "tar_filter") else archive.extractall(folder)
        unpacked = Host(f"{folder}/vfioctl-capture")
        self.addCleanup(unpacked.close)
        return unpacked, result, path

    def same(self, host, unpacked, *more):
        """What is seen of it, but for those who use it."""
        gpus = [gpu["name"] for gpu in host.gpus(fake=False)]
        for args in (("list",), ("list", "--json"), ("tree", "--all"), ("tree", "--json"), ("check",), ("check", "--json"), ("config",), ("env",), ("env", "--json"), FIT, (*FIT, "--json"), *more, *[("show", gpu) for gpu in gpus],
                     *[("show", gpu, "--json") for gpu in gpus]):
            here, there = host.cli(*args, fake=False), unpacked.cli(*args, fake=False)
            self.assertEqual((here.code, self.nameless(here.out, args).replace(host.root, ""), here.err.replace(host.root, "")),
                             (there.code, self.nameless(there.out, args).replace(unpacked.root, ""),
                              there.err.replace(unpacked.root, "")), args)
        return gpus

    def nameless(self, out, args):
        """The tree begins with the host's name, which is not taken along, and what is unique became numbers."""
        if args[0] == "env":
            met = {}
            return re.sub(r"GPU-[0-9a-f-]+", lambda m: met.setdefault(m.group(0), f"GPU {len(met)}"), out)
        if args[0] != "tree":
            return out
        return re.sub(r'"host": .*', "", out) if "--json" in args else re.sub(r"\A\S+", "", out)


class Same(Capture):
    def each(self, topology, *options):
        host = self.host(topology, *options)
        before = host.whole()
        unpacked, result, path = self.capture(host)
        self.assertEqual((result.out, result.err), ("", ""))
        self.untouched(before, host)
        self.assertTrue(self.same(host, unpacked))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)


expand(Same, [(topology, topology) for topology in TOPOLOGIES] + [
    ("moved", "gtx690", "--bus-offset", "5", "--domain", "10000"), ("no_iommu", "gtx690", "--iommu", "off"), ("slots", "m2000", "--slots"),
    ("no_smbios", "x10drh-3xv340", "--no-smbios"), ("no_vfio", "gtx690", "--no-vfio"), ("lvm", "desktop-2xrtx3050", "--lvm"),
    ("in_mode_vm", "gtx690", "--mode", "83:00.0=vm", "--mode", "84:00.0=none"), ("vfs", "x10drh-3xv340", "--numvfs", "06:00.0=2")])


class Kept(Capture):
    def test_settings_and_hook(self):
        host = self.host("gtx690")
        host.configure("gpus = 1a, 1b", "idle-host = 1b", "alias = left=1a")
        os.makedirs(host.path("etc/libvirt/hooks/qemu.d"))
        host.write("usr/bin/vfioctl", "")
        os.chmod(host.path("usr/bin/vfioctl"), 0o755)
        os.symlink("/usr/bin/vfioctl", host.path("etc/libvirt/hooks/qemu.d/50-vfioctl"))
        with open(f"/proc/{os.getpid()}/stat", encoding="utf-8") as file:
            start = file.read().rsplit(")", 1)[1].split()[19]
        host.write("run/vfioctl/hook", f"{os.getpid()} {start}\n")
        self.assertNotIn("hook-not-live", host.codes())
        unpacked, _, _ = self.capture(host)
        self.same(host, unpacked)
        os.unlink(host.path("run/vfioctl/hook"))
        self.assertIn("hook-not-live", host.codes())
        self.same(host, self.capture(host)[0])

    def test_kernels(self):
        host = self.host("gtx690")
        for kernel in ("6.1.0-9-amd64", "99.1-amd64"):
            host.write(f"lib/modules/{kernel}/modules.dep", "a: b\n")
            host.write(f"boot/vmlinuz-{kernel}", "an image")
        unpacked, _, _ = self.capture(host)
        self.same(host, unpacked)
        self.assertTrue(os.path.exists(unpacked.path("lib/modules/99.1-amd64/modules.dep")))
        self.assertTrue(os.path.exists(unpacked.path("boot/vmlinuz-99.1-amd64")))

    def test_versions(self):
        unpacked, _, _ = self.capture(self.host("gtx690"), "--connect", "test:///default")
        self.assertRegex(unpacked.read("versions"), r"^vfioctl [0-9.]+\nlibvirt [0-9.]+\nhypervisor [0-9.]+\n$")

    def test_what_others_have_set(self):
        host = self.host("gtx690")
        kept = {"etc/modprobe.d/a.conf": "options vfio-pci ids=1002:6864\n", "etc/driverctl.d/pci-0000:83:00.0": "vfio-pci\n",
                "etc/pve/qemu-server/100.conf": "hostpci0: 0000:83:00.0,pcie=1\n", "proc/iomem": "  e0000000-e02fffff : efifb\n",
                "lib/modules/6.1.0/modules.dep": "kernel/drivers/vfio/pci/vfio-pci.ko: x\n", "etc/libvirt/hooks/qemu.d/other": "vfio-pci\n"}
        more = {"etc/modprobe.d/a.conf": "# by sekret\noptions sekret a=b\n", "etc/pve/qemu-server/100.conf": "name: sekret\nnet0: virtio=52:54:00:12:34:56\n",
                "lib/modules/6.1.0/modules.dep": "kernel/sekret.ko:\n", "etc/libvirt/hooks/qemu.d/other": "#!/bin/sh\nsekret\n"}
        for path, text in kept.items():
            host.write(path, more.get(path, "") + text)
        unpacked, _, path = self.capture(host)
        self.same(host, unpacked)
        for name, text in kept.items():
            self.assertEqual(unpacked.read(name), text, name)
        with tarfile.open(path) as archive:
            self.assertNotIn(b"sekret", b"".join(archive.extractfile(member).read() for member in archive if member.isfile()))

    def test_again(self):
        """A capture of a captured host is the same host."""
        first, _, _ = self.capture(self.host("x10drh-v340-noacs"))
        second, _, _ = self.capture(first, fake=False)
        self.same(first, second)


def with_serial(topology, serials):
    """The topology with serial numbers: address to text."""
    with open(f"{harness.HOSTS}/{topology}.json", encoding="utf-8") as file:
        data = json.load(file)
    for function in data["functions"]:
        if function["address"] in serials:
            function["serial"] = serials[function["address"]]
    path = f"{harness.SCRATCH}/{topology}-serial.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file)
    return path


class Secrets(Capture):
    def seeded(self):
        source = tempfile.mkdtemp(dir=harness.SCRATCH)
        serials = {"0000:06:00.0": "de-ad-be-ef-00-00-00-01", "0000:0a:00.0": "de-ad-be-ef-00-00-00-02"}
        subprocess.run([f"{harness.HOSTS}/mkhost", with_serial("x10drh-3xv340", serials), source], check=True)
        host = Host(source)
        self.addCleanup(host.close)
        for path, text in SECRETS.items():
            host.write(path, text)
        # A system's serial number and UUID in front of the other structures.
        with open(host.path("sys/firmware/dmi/tables/DMI"), "rb") as file:
            table = file.read()
        system = b"\x01\x1b\x77\x00\x01\x00\x00\x02" + b"sekretuuid123456" + b"\x06\x00\x00" + b"Maker\0SN4711\0\0"
        host.write("sys/firmware/dmi/tables/DMI", system + table)
        # An interface that is called by its MAC, and has it as an attribute.
        for name in os.listdir(host.path("sys/class/net")):
            link = host.path(f"sys/class/net/{name}")
            target = os.readlink(link)
            if "pci" not in target:
                continue
            new = "enx525400123456"
            os.rename(os.path.realpath(link), os.path.join(os.path.dirname(os.path.realpath(link)), new))
            os.unlink(link)
            os.symlink(os.path.join(os.path.dirname(target), new), host.path(f"sys/class/net/{new}"))
            host.write(f"sys/class/net/{new}/address", "52:54:00:12:34:56\n")
            for routes in ("route", "ipv6_route"):
                path = f"proc/self/net/{routes}"
                host.write(path, host.read(path).replace(name, new))
            return host
        raise AssertionError("no interface")

    def found(self, path):
        with tarfile.open(path) as archive:
            whole = b""
            for member in archive:
                whole += member.name.encode() + b"\n" + member.linkname.encode() + b"\n"
                if member.isfile():
                    data = archive.extractfile(member).read()
                    whole += data + b"\n" + (data.hex().encode() if b"\0" in data else b"") + b"\n"
        return {secret for secret in NEVER if secret.encode() in whole}

    def test_none(self):
        host = self.seeded()
        unpacked, _, path = self.capture(host)
        self.assertEqual(self.found(path), set())
        # What was equal or not stays so, and what they are for still works.
        identities = [gpu["identity"] for gpu in unpacked.gpus(fake=False)]
        self.assertEqual(len(set(identities)), len(identities))
        self.assertEqual([gpu["identity"].rsplit(" ", 1)[1] for gpu in unpacked.gpus(fake=False) if gpu["name"] in ("1a", "1b")],
                         ["0000000000000001", "0000000000000003"])  # 2 is the first one's unique_id
        for args in (("list",), ("check",)):
            self.assertEqual(host.cli(*args, fake=False).out, unpacked.cli(*args, fake=False).out)
        self.assertTrue(os.path.islink(unpacked.path("sys/class/net/enx020000000001")) or
                        [name for name in os.listdir(unpacked.path("sys/class/net")) if name.startswith("enx0200")])

    def test_names_of_gpus(self):
        """As unique as a serial number; two of them stay two."""
        for topology, path in (("desktop-2xrtx3050", "proc/driver/nvidia/gpus/0000:0a:00.0/information"),
                               ("x10drh-3xv340", "sys/bus/pci/devices/0000:06:00.0/unique_id")):
            host = self.host(topology)
            unpacked, _, _ = self.capture(host)
            theirs = [gpu["uuid"] for gpu in unpacked.cli("env", "--json", fake=False).json["gpus"]]
            ours = [gpu["uuid"] for gpu in host.cli("env", "--json").json["gpus"]]
            self.assertEqual((len(set(theirs)), None in theirs), (len(ours), False))
            self.assertFalse(set(theirs) & set(ours))
            for uuid in ours:
                self.assertNotIn(uuid.removeprefix("GPU-"), unpacked.read(path))
            kept, _, _ = self.capture(host, "--with-serials")
            self.assertEqual([gpu["uuid"] for gpu in kept.cli("env", "--json", fake=False).json["gpus"]], ours)

    def test_with_serials(self):
        host = self.seeded()
        unpacked, _, path = self.capture(host, "--with-serials")
        self.same(host, unpacked)
        self.assertLessEqual({"sekret", "525400", "SN4711"}, self.found(path))


class Output(Capture):
    def test_formats(self):
        host = self.host("gtx690")
        for name, magic in (("a.tar.gz", b"\x1f\x8b"), ("a.tgz", b"\x1f\x8b"), ("a.tar.xz", b"\xfd7zXZ"), ("a.txz", b"\xfd7zXZ")):
            unpacked, _, path = self.capture(host, name=name)
            with open(path, "rb") as file:
                self.assertTrue(file.read(8).startswith(magic), name)
            self.assertEqual(len(unpacked.gpus(fake=False)), 3)

    def test_to_stdout(self):
        host = self.host("gtx690")
        path = f"{harness.SCRATCH}/stdout.tar"
        with open(path, "wb") as out:
            process = subprocess.run([harness.VFIOCTL, "--root", host.root, "capture", "-"], stdout=out,
                                             env=harness.environment(host.root, {}), check=False)
        self.assertEqual(process.returncode, 0)
        self.assertTrue(tarfile.is_tarfile(path))
        self.code(2, host.cli("capture", "-", "--json"))

    def test_dry_run(self):
        host = self.host("gtx690")
        _, result, path = self.capture(host, "--dry-run")
        self.assertFalse(os.path.exists(path))
        self.assertIn("/proc/cmdline", result.out.splitlines())
        self.assertIn("/sys/devices/pci0000:80/0000:80:02.0/", "\n".join(result.out.splitlines()))
        data = self.capture(host, "--dry-run", "--json")[1].json
        self.assertIn("/proc/cmdline", data["places"])
        self.assertEqual((data["file"], data["left_out"]), (None, []))

    def test_replaces_whole(self):
        host = self.host("gtx690")
        folder = tempfile.mkdtemp(dir=harness.SCRATCH)
        path = f"{folder}/a.tar"
        with open(path, "w", encoding="utf-8") as file:
            file.write("old")
        self.code(0, host.cli("capture", path))
        self.assertTrue(tarfile.is_tarfile(path))
        self.assertEqual(os.listdir(folder), ["a.tar"])

    def test_refusals(self):
        host = self.host("gtx690")
        folder = tempfile.mkdtemp(dir=harness.SCRATCH)
        os.mkdir(f"{folder}/d.tar")
        os.symlink("/dev/null", f"{folder}/l.tar")
        for code, name, word in ((2, "a.zip", ".tar.xz"), (2, "", ".tar.xz"), (2, ".tar", ".tar.xz"), (2, f"{folder}/d.tar", "no file"),
                                 (2, f"{folder}/l.tar", "no file"), (1, f"{folder}/none/a.tar", "nothing was written")):
            with self.subTest(name=name):
                self.says(self.code(code, host.cli("capture", name)), word)
        self.assertEqual(sorted(os.listdir(folder)), ["d.tar", "l.tar"])
        self.code(2, host.cli("capture"))
        self.code(1, run("--root", folder, "capture", f"{folder}/a.tar"))

    def test_a_full_disk(self):
        """Nothing is left of an archive that could not be written."""
        host = self.host("gtx690")
        folder = tempfile.mkdtemp(dir=harness.SCRATCH)
        result = run("--root", host.root, "capture", f"{folder}/a.tar", through=("sh", "-c", 'ulimit -f 20; trap "" XFSZ; exec "$@"', "sh"),
                     # libarchive 3.6 leaves its buffer behind when it cannot write.
                     env={"ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"})
        self.says(self.code(1, result), "nothing was written")
        self.assertEqual(os.listdir(folder), [])


class Stuck(Capture):
    def test_a_stuck_device(self):
        host = self.host("gtx690")
        host.hung = True
        began = harness.time.monotonic()
        unpacked, result, _ = self.capture_stuck(host)
        self.assertLess(harness.time.monotonic() - began, 20 * harness.SECOND)
        self.says(result, "0000:83:00.0/driver_override", "does not answer")
        self.assertIn("stuck", unpacked.cli("check", "1a", fake=False).out)
        self.assertNotIn("stuck", unpacked.cli("check", "1b", fake=False).out)

    def capture_stuck(self, host):
        folder = tempfile.mkdtemp(dir=harness.SCRATCH)
        path = f"{folder}/a.tar"
        result = self.code(0, host.cli("capture", path, faults={"HANG_READ": "0000:83:00.0/driver_override"}))
        with tarfile.open(path) as archive:
            archive.extractall(folder)
        unpacked = Host(f"{folder}/vfioctl-capture")
        self.addCleanup(unpacked.close)
        return unpacked, result, path


if __name__ == "__main__":
    harness.main()
