# SPDX-License-Identifier: GPL-2.0-or-later
"""What tells of the host around the GPUs: processor, firmware's tables, interrupts, kernels, OVMF."""

from .tree import RW


def is_amd(host):
    return "AMD" in host.host.get("chipset", "")


def processor(tree, host):
    vendor = "AuthenticAMD" if is_amd(host) else "GenuineIntel"
    tree.put("proc/cpuinfo", f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: fpu vmx svm\n")


def firmware(tree, host):
    for name in ("APIC", "FACP", "IVRS" if is_amd(host) else "DMAR"):
        tree.put(f"sys/firmware/acpi/tables/{name}", name, 0o400)


def interrupts(tree, host):
    prefix = "IR-" if host.iommu else ""
    rows = [("0", "IO-APIC   2-edge", "timer"), ("8", "IO-APIC   8-edge", "rtc0"), ("24", "PCI-MSI 16384-edge", "PCIe PME")]
    tree.put("proc/interrupts", "            CPU0       CPU1\n" + "".join(
        f"{irq:>4}:         42          0  {prefix}{chip}      {name}\n" for irq, chip, name in rows))
    if host.iommu:
        tree.attrs("sys/module/vfio_iommu_type1/parameters", {"allow_unsafe_interrupts": "N"}, RW)


def kernel(tree, release):
    base = f"lib/modules/{release}"
    tree.put(f"{base}/modules.dep", "kernel/drivers/vfio/vfio.ko:\n"
             "kernel/drivers/vfio/pci/vfio-pci.ko: kernel/drivers/vfio/pci/vfio-pci-core.ko kernel/drivers/vfio/vfio.ko\n")
    tree.put(f"{base}/modules.builtin", "kernel/fs/fuse/fuse.ko\n")
    tree.put(f"boot/vmlinuz-{release}", "")


def build(tree, host, release):
    processor(tree, host)
    firmware(tree, host)
    interrupts(tree, host)
    kernel(tree, release)
    tree.put("usr/share/OVMF/OVMF_CODE_4M.fd", "")
