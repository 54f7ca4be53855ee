#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""check: each fault has its code on a host that has it, and a host that has it not is not told of it."""

import os
import re
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, expand  # noqa: E402

RELEASE = "6.1.0-18-amd64"
NEXT = "6.1.0-21-amd64"
V340, NOACS, GTX = "x10drh-3xv340", "x10drh-v340-noacs", "gtx690"
# What is so on a good host, too: the board's display stays; nobody has tried, and what resets can do is told elsewhere.
USUAL = {"boot-display", "untried", "vendor-reset-missing", "reset-none", "reset-stale"}
# One that a V340 die has, and how a gtx690 has it.
DIE = "0000:06:00.0"
REMOVE = "out of the kernel's command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub), and reboot"


class Checks(Case):
    def found(self, host, code, *gpus):
        found = [f for f in host.findings(*gpus) if f["code"] == code]
        self.assertTrue(found, f"no {code} among {host.findings(*gpus)}")
        return found[0]

    def finds(self, host, code, severity, *words, fix=None):
        finding = self.found(host, code)
        self.assertEqual(finding["severity"], severity, finding)
        for word in words:
            self.assertIn(word, finding["text"])
        if fix is not None:
            self.assertEqual(finding["fix"], fix)
        codes = {"refusal": 3, "warning": 0, "note": 0}
        self.code(codes[severity], host.cli("check"))
        return finding

    def clean(self, host):
        """Nothing but that the host keeps its display, and that nobody tried; in words, that nothing stands against the rest."""
        self.assertEqual(host.codes() - USUAL, set())
        result = self.code(0, host.cli("check"))
        self.assertIn("nothing stands against handing out these GPUs", result.out)

    def arguments(self, host, *words):
        line = host.read("proc/cmdline").strip()
        os.unlink(host.path("proc/cmdline"))
        host.write("proc/cmdline", " ".join([line, *words]) + "\n")

    def set(self, host, name, text):
        """A file that the maker has left unwritable, as the kernel has it."""
        if os.path.lexists(host.path(name)):
            os.unlink(host.path(name))
        host.write(name, text)

    def mend(self, host, finding):
        """Its fix, typed as it stands, with the host's folder for /."""
        line = re.sub(r"(?<![\w/])/(?=etc|sys)", host.root + "/", finding["fix"])
        done = subprocess.run(["sh", "-ec", line], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, f"{line}: {done.stderr}")


class Good(Checks):
    def each(self, topology):
        self.clean(self.host(topology))


expand(Good, [(name, name) for name in (V340, GTX, "m2000", "r9-295x2")])


class Iommu(Checks):
    def test_off_for_want_of_an_argument(self):
        host = self.host(V340, "--iommu", "off")
        self.finds(host, "iommu-off", "refusal", "intel_iommu=on is not", fix=f"add intel_iommu=on iommu=pt {REMOVE}".replace("out of", "to"))
        self.assertEqual(len([f for f in host.findings() if f["code"] == "no-iommu"]), 6, "each GPU is refused besides")
        self.assertEqual(len([f for f in host.findings() if f["code"] == "iommu-off"]), 1)

    def test_off_by_an_argument(self):
        for topology, word in ((V340, "intel_iommu=off"), ("desktop-2xrtx3050", "amd_iommu=off"), (V340, "iommu=off")):
            host = self.host(topology, "--iommu", "off", "--cmdline", word)
            self.finds(host, "iommu-off", "refusal", f"({word})", fix=f"take {word} {REMOVE}")

    def test_the_last_argument_counts(self):
        host = self.host(V340, "--iommu", "off", "--cmdline", "intel_iommu=off", "--cmdline", "intel_iommu=on")
        self.finds(host, "iommu-off", "refusal", "neither command line nor firmware")

    def test_off_in_the_firmware(self):
        for topology, table, name in ((V340, "DMAR", "VT-d"), ("desktop-2xrtx3050", "IVRS", "AMD-Vi")):
            host = self.host(topology, "--iommu", "off", "--cmdline", "intel_iommu=on")
            os.unlink(host.path(f"sys/firmware/acpi/tables/{table}"))
            self.assertIn(name, self.finds(host, "iommu-off", "refusal", "firmware")["fix"])

    def test_of_a_named_gpu_the_host_is_not_told(self):
        host = self.host(V340, "--iommu", "off")
        self.assertEqual(host.codes("1a") - USUAL, {"no-iommu"})

    def test_nothing_is_known(self):
        """A tree without proc and firmware: no guess beyond that there are no groups."""
        host = self.host(V340, "--iommu", "off")
        for name in ("proc/cpuinfo", "proc/cmdline", "proc/interrupts"):
            os.unlink(host.path(name))
        shutil.rmtree(host.path("sys/firmware"))
        self.finds(host, "iommu-off", "refusal", "neither")


class Interrupts(Checks):
    def unmapped(self, host):
        self.set(host, "proc/interrupts", host.read("proc/interrupts").replace("IR-", ""))

    def test_not_remapped(self):
        host = self.host(V340)
        self.unmapped(host)
        self.finds(host, "interrupt-remapping", "refusal", "vfio hands out no device")

    def test_by_an_argument(self):
        for word in ("intremap=off", "nointremap"):
            host = self.host(V340, "--cmdline", word)
            self.unmapped(host)
            self.finds(host, "interrupt-remapping", "refusal", f"({word})", fix=f"take {word} {REMOVE}")

    def test_what_the_kernel_does_counts_more_than_the_argument(self):
        self.clean(self.host(V340, "--cmdline", "nointremap"))

    def test_by_the_units_where_the_kernel_is_silent(self):
        host = self.host(V340)
        os.unlink(host.path("proc/interrupts"))
        self.clean(host)
        self.set(host, "sys/class/iommu/dmar0/intel-iommu/ecap", "f020d7\n")
        self.finds(host, "interrupt-remapping", "refusal")

    def test_unsafe(self):
        host = self.host(V340)
        place = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
        host.write(place, "Y\n")
        fix = f"echo N > /{place}"
        self.finds(host, "unsafe-interrupts", "note", "not needed", fix=fix)
        self.unmapped(host)
        finding = self.finds(host, "unsafe-interrupts", "warning", "any interrupt of the host", fix=fix)
        self.assertNotIn("interrupt-remapping", host.codes())
        self.mend(host, finding)
        self.assertIn("interrupt-remapping", host.codes(), "which is what vfio then says")
        self.assertNotIn("unsafe-interrupts", host.codes())

    def test_unsafe_at_the_next_load(self):
        host = self.host(V340, "--cmdline", "vfio_iommu_type1.allow_unsafe_interrupts=1")
        self.finds(host, "unsafe-interrupts", "note", "command line")
        host = self.host(V340)
        host.write("etc/modprobe.d/vfio.conf", "options vfio-iommu-type1 allow_unsafe_interrupts=1\n")
        self.finds(host, "unsafe-interrupts", "note", "/etc/modprobe.d/vfio.conf")
        host.write("etc/modprobe.d/vfio.conf", "options vfio-iommu-type1 allow_unsafe_interrupts=0\n")
        self.clean(host)


class Module(Checks):
    def index(self, host, kernel, dep, builtin=""):
        self.set(host, f"lib/modules/{kernel}/modules.dep", dep)
        self.set(host, f"lib/modules/{kernel}/modules.builtin", builtin)
        host.write(f"boot/vmlinuz-{kernel}", "")

    def test_missing(self):
        host = self.host(V340, "--no-vfio")
        self.index(host, RELEASE, "kernel/drivers/vfio/vfio.ko:\n")
        self.finds(host, "vfio-missing", "refusal", RELEASE)

    def test_missing_for_the_next_kernel(self):
        host = self.host(V340)
        self.index(host, NEXT, "kernel/drivers/vfio/vfio.ko:\n")
        self.finds(host, "vfio-missing", "warning", NEXT, "next")
        self.index(host, NEXT, "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n")
        self.clean(host)

    def test_loaded_is_there(self):
        host = self.host(V340)
        self.index(host, RELEASE, "")
        self.assertNotIn("vfio-missing", host.codes())

    def test_builtin(self):
        host = self.host(V340)
        self.index(host, RELEASE, "", "kernel/drivers/vfio/pci/vfio-pci.ko\n")
        self.finds(host, "vfio-builtin", "note", RELEASE)

    def test_there(self):
        host = self.host(V340, "--no-vfio")
        self.clean(host)
        self.index(host, RELEASE, "kernel/drivers/vfio/pci/vfio-pci.ko: kernel/drivers/vfio/vfio.ko\n")
        self.clean(host)

    def test_blacklisted(self):
        for line in ("blacklist vfio-pci", "install vfio_pci /bin/false", "blacklist  vfio_pci  "):
            host = self.host(V340, "--no-vfio")
            host.write("etc/modprobe.d/no vfio.conf", f"# blacklist\nblacklist nouveau\n{line}\n")
            finding = self.finds(host, "vfio-blacklisted", "refusal", "/etc/modprobe.d/no vfio.conf")
            self.mend(host, finding)
            self.clean(host)
            self.assertIn("blacklist nouveau", host.read("etc/modprobe.d/no vfio.conf"))
        host = self.host(V340)
        host.write("etc/modprobe.d/a.conf", "blacklist vfio-pci\n")
        self.finds(host, "vfio-blacklisted", "warning", "next boot")

    def test_blacklisted_by_an_argument(self):
        for word in ("modprobe.blacklist=nouveau,vfio_pci", "module_blacklist=vfio-pci"):
            host = self.host(V340, "--no-vfio", "--cmdline", word)
            self.finds(host, "vfio-blacklisted", "refusal", word, fix=f"take {word} {REMOVE}")
        self.clean(self.host(V340, "--cmdline", "modprobe.blacklist=vfio-pci-core"))

    def test_softdep(self):
        host = self.host(V340)
        host.write("etc/modprobe.d/a.conf", "softdep amdgpu pre: vfio-pci\nsoftdep vfio-pci pre: ahci\n")
        self.clean(host)
        host.write("etc/modprobe.d/a.conf", "softdep vfio-pci pre: \\\n  amdgpu\n")
        self.finds(host, "vfio-softdep", "warning", "amdgpu", "/etc/modprobe.d/a.conf")
        host.write("etc/modprobe.d/a.conf", "softdep vfio-pci pre: amdgpu\n")
        self.mend(host, self.found(host, "vfio-softdep"))
        self.clean(host)


class Ids(Checks):
    def test_command_line(self):
        for word in ("vfio-pci.ids=1002:6864", "vfio_pci.ids=10de:1188,1002:6864:ffffffff:ffffffff", "pci-stub.ids=1002:6864"):
            host = self.host(V340, "--cmdline", word)
            self.finds(host, "vfio-ids", "warning", "1a among them", fix=f"take {word} {REMOVE}")

    def test_of_other_devices(self):
        self.clean(self.host(V340, "--cmdline", "vfio-pci.ids=10de:1188,1002:6864:1234", "--cmdline", "vfio-pci.idx=1002:6864"))

    def test_where_all_of_them_rest_there_it_is_a_note(self):
        host = self.host(V340, "--cmdline", "vfio-pci.ids=1002:6864")
        host.configure("gpus = all")
        self.assertEqual(self.found(host, "vfio-ids")["severity"], "note")
        host.configure("gpus = all", "except = 1a")
        self.assertEqual(self.found(host, "vfio-ids")["severity"], "warning")

    def test_options(self):
        host = self.host(V340)
        host.write("etc/modprobe.d/vfio.conf", "options vfio-pci ids=1002:6864 disable_vga=1\noptions vfio_pci ids=1002:6864\n")
        finding = self.finds(host, "vfio-ids", "warning", "/etc/modprobe.d/vfio.conf")
        self.mend(host, finding)
        self.clean(host)
        self.assertEqual(host.read("etc/modprobe.d/vfio.conf"), "options vfio-pci disable_vga=1\n")

    def test_the_copy_in_the_initramfs_is_made_anew(self):
        host = self.host(V340)
        host.write("etc/modprobe.d/vfio.conf", "options vfio-pci ids=1002:6864\n")
        for program, command in (("usr/bin/dracut", "dracut --force"), ("usr/sbin/update-initramfs", "update-initramfs -u")):
            host.write(program, "")
            self.assertTrue(self.found(host, "vfio-ids")["fix"].endswith(f"/etc/modprobe.d/vfio.conf && {command}"))

    def test_the_first_folder_has_the_word(self):
        host = self.host(V340)
        host.write("usr/lib/modprobe.d/vfio.conf", "options vfio-pci ids=1002:6864\n")
        self.finds(host, "vfio-ids", "warning", "/usr/lib/modprobe.d/vfio.conf")
        host.write("etc/modprobe.d/vfio.conf", "# nothing\n")
        self.clean(host)

    def test_what_is_no_configuration(self):
        host = self.host(V340)
        host.write("etc/modprobe.d/vfio.conf.dpkg-old", "options vfio-pci ids=1002:6864\n")
        host.write("etc/modprobe.d/a.conf", "#options vfio-pci ids=1002:6864\noptions\noptions vfio-pci\n\nids=1\n" + "x" * 5000)
        host.write("etc/modprobe.d/b.conf", b"options vfio-pci ids=\xff\x00\x1b[31m\n")
        self.clean(host)


class Managers(Checks):
    def test_driverctl(self):
        host = self.host(V340)
        host.write("etc/driverctl.d/pci-0000:00:1f.2", "ahci\n")
        host.write("etc/driverctl.d/vmbus-1", "x\n")
        self.clean(host)
        host.write(f"etc/driverctl.d/pci-{DIE}", "vfio-pci\n")
        finding = self.finds(host, "other-manager", "warning", "driverctl", DIE, fix=f"rm /etc/driverctl.d/pci-{DIE}")
        host.configure("gpus = all")
        self.assertEqual(self.found(host, "other-manager")["severity"], "note", "it does what we would do")
        self.mend(host, finding)
        self.assertNotIn("other-manager", host.codes())

    def test_proxmox(self):
        host = self.host(V340)
        host.write("etc/pve/mapping/pci.cfg", f"gpu\n\tmap node=pve,path=0000:ff:00.0;{DIE},id=1002:6864\n")
        self.finds(host, "other-manager", "note", "Proxmox", "1a")
        host.configure("gpus = 1a")
        self.assertEqual(self.found(host, "other-manager")["severity"], "warning")
        host.configure()
        host.write("etc/pve/mapping/pci.cfg", "usb\n\tmap node=pve,path=0000:ff:00.0\n")
        self.clean(host)
        host.write("etc/pve/qemu-server/100.conf", "cores: 4\nhostpci0: 06:00,pcie=1\nhostpci1: mapping=gpu\n")
        self.finds(host, "other-manager", "note", "06:00", "100.conf")

    def test_xen(self):
        host = self.host(V340, "--cmdline", f"xen-pciback.hide=(0000:00:1f.2)({DIE})")
        self.finds(host, "other-manager", "warning", "Xen", DIE)
        self.clean(self.host(V340, "--cmdline", "xen-pciback.hide=(0000:00:1f.2)"))

    def hook(self, host, name, text, mode=0o755):
        host.write(f"etc/libvirt/hooks/{name}", text)
        os.chmod(host.path(f"etc/libvirt/hooks/{name}"), mode)

    def test_hook_of_others(self):
        for name, text in (("qemu.d/50-vfio-handover", "#!/usr/bin/python3\nwrite('driver_override')\n"),
                           ("qemu", "#!/bin/sh\nvirsh nodedev-detach pci_0000_06_00_0\n"), ("qemu.d/x y", "modprobe vfio-pci")):
            host = self.host(V340)
            self.hook(host, name, text)
            finding = self.finds(host, "hook-foreign", "warning", f"/etc/libvirt/hooks/{name}")
            self.mend(host, finding)
            self.clean(host)

    def test_hooks_that_do_no_harm(self):
        host = self.host(V340)
        self.hook(host, "qemu.d/10-cpu", "#!/bin/sh\ncpupower frequency-set -g performance\n")
        self.hook(host, "qemu.d/20-off", "driver_override", 0o644)
        self.hook(host, "daemon", "vfio-pci")
        host.write("usr/bin/vfioctl", "driver_override")
        os.chmod(host.path("usr/bin/vfioctl"), 0o755)
        os.symlink("/usr/bin/vfioctl", host.path("etc/libvirt/hooks/qemu.d/50-vfioctl"))
        os.symlink("/usr/bin/vfioctl", host.path("etc/libvirt/hooks/qemu.d/99-vfioctl"))
        os.symlink("/nowhere", host.path("etc/libvirt/hooks/qemu.d/99-dangling"))
        os.mkfifo(host.path("etc/libvirt/hooks/qemu.d/fifo"))
        self.clean(host)


class Guards(Checks):
    def confine(self, host, target, profile="libvirtd (enforce)"):
        os.makedirs(host.path("etc/libvirt/hooks/qemu.d"), exist_ok=True)
        os.symlink(target, host.path("etc/libvirt/hooks/qemu.d/50-vfioctl"))
        host.write("run/libvirtd.pid", "77\n")
        host.write("proc/77/attr/current", f"{profile}\n")

    def test_apparmor(self):
        host = self.host(V340)
        self.confine(host, "/usr/local/bin/vfioctl")
        self.finds(host, "hook-confined", "refusal", "/usr/local/bin/vfioctl")
        for target, profile in (("/usr/bin/vfioctl", "libvirtd (enforce)"), ("/usr/local/bin/vfioctl", "libvirtd (complain)"),
                                ("/usr/local/bin/vfioctl", "unconfined")):
            host = self.host(V340)
            self.confine(host, target, profile)
            self.clean(host)

    def test_selinux(self):
        host = self.host(V340)
        host.write("sys/fs/selinux/enforce", "1")
        self.clean(host)
        self.confine(host, "/usr/bin/vfioctl", "unconfined")
        self.finds(host, "selinux", "note")
        host.write("sys/fs/selinux/enforce", "0")
        self.clean(host)

    def test_ovmf(self):
        host = self.host(V340)
        os.rename(host.path("usr/share/OVMF"), host.path("usr/share/other"))
        self.finds(host, "ovmf-missing", "note")
        for place in ("usr/share/edk2/ovmf/OVMF_CODE.fd", "usr/share/qemu/firmware/60-edk2-x86_64.json"):
            host.write(place, "")
            self.clean(host)
            os.unlink(host.path(place))


class Setup(Checks):
    """Judged as status judges it, and milder."""

    def test_nothing_is_set_up_and_nothing_is_to_be(self):
        self.clean(self.host(V340))

    def test_hook_and_boot_step(self):
        host = self.host(V340)
        host.configure("gpus = all")
        for code in ("hook-not-installed", "boot-not-run"):
            self.finds(host, code, "warning", fix="vfioctl setup")
            self.assertIn(code, [p["code"] for p in host.cli("status", "--json").json["findings"]])
        self.assertEqual(host.codes("1a") - USUAL, set(), "of a named GPU they are not told")

    def test_switched_off(self):
        host = self.host(V340, "--cmdline", "vfioctl=off")
        host.configure("gpus = all")
        self.assertNotIn("hook-not-installed", host.codes())

    def test_stale_initramfs(self):
        host = self.host(V340)
        host.configure("gpus = all")
        host.write(f"var/lib/vfioctl/initramfs/{RELEASE}", "gpus = 1a\n")
        self.finds(host, "initramfs-stale", "warning", RELEASE)

    def test_libvirt_does_not_answer(self):
        host = self.host(V340)
        host.configure("connect = qemu+unix:///system?socket=/nowhere/sock")
        finding = self.finds(host, "libvirt-unreachable", "warning", "/nowhere/sock")
        self.assertTrue(finding["fix"])
        self.code(1, host.cli("check", "--connect", "qemu+unix:///system?socket=/nowhere/sock"))


class Acs(Checks):
    def test_ports_and_bits(self):
        host = self.host(NOACS)
        for gpu, port in (("1a", "0000:02:00.0"), ("2b", "0000:81:00.0")):
            finding = self.found(host, "group-shared", gpu)
            self.assertIn(f"no ACS isolation at port {port} (upstream port): SV RR CR UF missing", finding["text"])
            self.assertEqual(finding["text"].count("missing"), 1, "no other port is to blame")

    def test_control_bits_that_are_off(self):
        """With the IOMMU on it is the control register that isolates."""
        host = self.host(NOACS)
        port = host.device("0000:02:00.0", "config")
        with open(port, "r+b") as file:
            file.seek(0x100)
            while (header := struct.unpack("<I", file.read(4))[0]) & 0xffff0000 and header >> 20:
                file.seek(header >> 20)
            at = file.tell() - 4
            file.seek(at)
            file.write(struct.pack("<I", header & 0xfffff | 0xf00 << 20))
            file.seek(0xf00)
            file.write(struct.pack("<IHH", 0x1000d, 0x1f, 0x15))
        self.assertIn("0000:02:00.0 (upstream port): CR missing", self.found(host, "group-shared", "1a")["text"])

    def test_with_the_iommu_off(self):
        host = self.host(NOACS, "--iommu", "off")
        finding = self.finds_warning(host, "1a")
        self.assertEqual(finding["culprit"], "0000:02:00.0")
        self.assertIn("SV RR CR UF missing", finding["text"])
        self.assertNotIn("acs-missing", self.host(V340, "--iommu", "off").codes())

    def finds_warning(self, host, gpu):
        finding = self.found(host, "acs-missing", gpu)
        self.assertEqual(finding["severity"], "warning")
        return finding

    def test_override(self):
        host = self.host(NOACS, "--acs-override")
        finding = self.finds(host, "acs-override", "warning", "0000:02:00.0 (upstream port)", "SV RR CR UF missing", "only claimed")
        self.assertEqual(finding["gpu"], DIE)
        self.assertTrue(host.gpu("1a")["ready"], "the kernel lets it")
        self.clean(self.host(V340, "--acs-override"))
        self.assertNotIn("acs-override", self.host(NOACS, "--cmdline", "pcie_acs_override=downstream").codes(),
                         "the groups are as they are")


class Memory(Checks):
    def lines(self, host, address):
        return host.read(f"sys/bus/pci/devices/{address}/resource").splitlines()

    def resource(self, host, address, index, line):
        lines = self.lines(host, address)
        lines[index] = line
        self.set(host, f"sys/bus/pci/devices/{address}/resource", "\n".join(lines) + "\n")

    def test_unassigned(self):
        host = self.host(V340)
        zero = " ".join(["0x0000000000000000"] * 3)
        self.resource(host, DIE, 0, zero)
        self.finds(host, "bar-unassigned", "refusal", "BAR 0 of", DIE)
        self.assertFalse(host.gpu("1a")["ready"])
        self.assertNotIn("bar-unassigned", host.codes("1b"))

    def test_unset(self):
        """The kernel keeps the size, and marks it: IORESOURCE_UNSET."""
        host = self.host(V340)
        self.resource(host, DIE, 2, "0x0000000000000000 0x00000000001fffff 0x000000002014220c")
        self.finds(host, "bar-unassigned", "refusal", "BAR 2 of", DIE)

    def test_of_what_is_not_there_nothing_is_told(self):
        """Upper halves of 64-bit BARs, BARs that a device lacks, I/O BARs that need none."""
        host = self.host(GTX)
        zero = " ".join(["0x0000000000000000"] * 3)
        self.resource(host, "0000:83:00.0", 5, zero)
        self.clean(host)

    def test_window(self):
        host = self.host(V340)
        start = int(self.lines(host, DIE)[0].split()[0], 16)
        self.resource(host, DIE, 0, f"0x{start:016x} 0x{start + (64 << 30) - 1:016x} 0x000000000014220c")
        self.finds(host, "bar-window", "note", "64.0 GiB", "32 GiB")
        self.assertIn("X-PciMmio64Mb,string=131072", self.found(host, "bar-window")["fix"])
        self.resource(host, DIE, 0, f"0x{start:016x} 0x{start + (16 << 30) - 1:016x} 0x000000000014220c")
        self.clean(host)

    def framebuffer(self, host, name, at=0):
        start = int(self.lines(host, DIE)[0].split()[0], 16) + at
        self.set(host, "proc/iomem", "00001000-0009fbff : System RAM\n"
                 f"{start - at:x}-{start - at + (8 << 30) - 1:x} : {DIE}\n  {start:x}-{start + 0x2fffff:x} : {name}\n")

    def test_framebuffer(self):
        for name, fix in (("efifb", "echo efi-framebuffer.0 > /sys/bus/platform/drivers/efi-framebuffer/unbind"),
                          ("simple-framebuffer.0", "echo simple-framebuffer.0 > /sys/bus/platform/drivers/simple-framebuffer/unbind")):
            host = self.host(V340)
            self.framebuffer(host, name, 0x1000)
            self.finds(host, "framebuffer", "refusal", name, fix=fix)
            self.assertFalse(host.gpu("1a")["ready"])
            self.assertTrue(host.gpu("1b")["ready"])
        host = self.host(V340)
        self.framebuffer(host, "BOOTFB")
        self.assertIn("initcall_blacklist=sysfb_init", self.finds(host, "framebuffer", "refusal")["fix"])
        self.framebuffer(host, "vfio-pci")
        self.clean(host)

    def test_framebuffer_elsewhere(self):
        host = self.host(V340)
        self.framebuffer(host, "efifb", 8 << 30)
        self.clean(host)

    def test_addresses_that_only_root_sees(self):
        host = self.host(V340)
        self.set(host, "proc/iomem", "00000000-00000000 : PCI Bus\n  00000000-00000000 : efifb\n")
        self.finds(host, "unseen", "note", "framebuffer", fix="run vfioctl as root")
        self.assertNotIn("framebuffer", host.codes())


class Link(Checks):
    def link(self, host, address, **values):
        for name, value in values.items():
            self.set(host, f"sys/bus/pci/devices/{address}/{name}", f"{value}\n")

    def test_width(self):
        host = self.host(V340)
        self.link(host, "0000:02:00.0", current_link_width=4)
        finding = self.finds(host, "link-degraded", "warning", "4 lanes", "both ends have 16", "0000:02:00.0")
        self.assertEqual(finding["culprit"], "0000:02:00.0")

    def test_a_narrow_slot_is_no_fault(self):
        host = self.host(V340)
        self.link(host, "0000:02:00.0", current_link_width=8)
        self.link(host, "0000:00:02.0", current_link_width=8, max_link_width=8)
        self.clean(host)

    def test_speed_is_a_note_that_is_told_when_asked_for(self):
        host = self.host(GTX)
        self.link(host, "0000:83:00.0", current_link_speed="2.5 GT/s PCIe")
        self.finds(host, "link-slow", "note", "2.5 GT/s", "8.0")
        self.assertNotIn("link-slow", host.cli("check").out)
        self.assertIn("nothing stands against", host.cli("check").out)
        self.assertIn("link-slow", host.cli("check", "--verbose").out)

    def test_unknown(self):
        host = self.host(GTX)
        self.link(host, "0000:83:00.0", current_link_width=255, current_link_speed="Unknown")
        self.clean(host)

    def test_node(self):
        host = self.host(GTX)
        host.write("sys/bus/pci/devices/0000:83:00.0/numa_node", "-1\n")
        self.finds(host, "numa-unknown", "note", "2 NUMA nodes")
        self.set(host, "sys/devices/system/node/online", "0\n")
        self.clean(host)


class Unprivileged(Checks):
    def test_what_is_not_seen_is_said_once(self):
        if os.geteuid() != 0:
            self.skipTest("is not root")
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        host = self.host(V340, "--holder", f"{DIE}=10,a,a.service")
        host.write("etc/libvirt/hooks/qemu", "driver_override")
        os.chmod(host.path("etc/libvirt/hooks"), 0o700)
        os.chmod(host.path("proc/10/fd"), 0)
        self.addCleanup(os.chmod, host.path("proc/10/fd"), 0o755)
        for folder, _, names in os.walk(host.path("sys/devices")):
            for name in names:
                # What others than root get: the first 64 bytes.
                if name == "config":
                    with open(f"{folder}/{name}", "r+b") as file:
                        file.truncate(64)
        before = host.whole()
        try:
            result = self.code(0, host.cli("check", "--json", fake=False, **nobody))
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("nobody cannot run the program where it lies")
        codes = [f["code"] for f in result.json["findings"] if f["code"] not in USUAL]
        self.assertEqual(sorted(codes), ["holders-unknown", "unseen"])
        unseen = next(f for f in result.json["findings"] if f["code"] == "unseen")
        for word in ("ACS", "hooks"):
            self.assertIn(word, unseen["text"])
        self.untouched(before, host)


class Whole(Checks):
    def test_it_changes_nothing(self):
        host = self.host(NOACS, "--holder", f"{DIE}=10,a,a.service")
        before = host.whole()
        host.cli("check")
        host.cli("check", "--json", "1a")
        self.untouched(before, host)

    def test_each_finding_says_what_to_do(self):
        host = self.host(NOACS, "--iommu", "off", "--cmdline", "vfio-pci.ids=1002:6864", "--numvfs", "06:00.0=2")
        host.configure("gpus = all")
        for finding in host.findings():
            self.assertTrue(finding["fix"] or finding["severity"] == "note" or finding["code"] in USUAL, finding)
            self.assertTrue(finding["text"] and "\n" not in finding["text"], finding)


if __name__ == "__main__":
    harness.main()
