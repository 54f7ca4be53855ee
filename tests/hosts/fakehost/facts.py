# SPDX-License-Identifier: GPL-2.0-or-later
"""What tells of the host around the GPUs: processor, firmware's tables, interrupts, OVMF."""

from .tree import RW


def is_amd(host):
    return "AMD" in host.host.get("chipset", "")


def processor(tree, host):
    vendor = "AuthenticAMD" if is_amd(host) else "GenuineIntel"
    tree.put("proc/cpuinfo", f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: fpu vmx svm\n"
             f"address sizes\t: {host.host.get('address_bits', 46)} bits physical, 48 bits virtual\n")


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


def build(tree, host):
    processor(tree, host)
    firmware(tree, host)
    interrupts(tree, host)
    tree.put("usr/share/OVMF/OVMF_CODE_4M.fd", "")
