/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

bool function_is_below(const struct vfioctl_function *function, const struct vfioctl_function *port)
{
        return function->address.domain == port->address.domain && port->secondary_bus > 0 &&
               function->address.bus >= port->secondary_bus && function->address.bus <= port->subordinate_bus;
}

/*
 * As the kernel judges when it makes groups (pci_acs_enabled() and pci_acs_flags_enabled(),
 * drivers/pci/pci.c): ports need the capability, with every bit that it offers switched on; upstream ports
 * and endpoints only when they have more than one function; conventional PCI and event collectors never
 * isolate. The control bits are set when the IOMMU is on, so without one the capability has to do.
 */
unsigned int function_missing_acs(const struct vfioctl_function *function, bool iommu_on)
{
        switch (function->pcie_type) {
        case VFIOCTL_PCIE_TO_PCI_BRIDGE:
        case VFIOCTL_PCI_TO_PCIE_BRIDGE:
        case VFIOCTL_PCIE_RC_EVENT_COLLECTOR:
        case VFIOCTL_PCIE_CONVENTIONAL:
                return ACS_ISOLATES;
        case VFIOCTL_PCIE_ROOT_PORT:
        case VFIOCTL_PCIE_DOWNSTREAM:
                break;
        case VFIOCTL_PCIE_UPSTREAM:
        case VFIOCTL_PCIE_ENDPOINT:
        case VFIOCTL_PCIE_LEGACY_ENDPOINT:
        case VFIOCTL_PCIE_RC_ENDPOINT:
                if (!function->is_multifunction)
                        return 0;
                break;
        default:
                return 0;
        }
        if (!function->acs_known)
                return 0;
        if (!function->has_acs)
                return ACS_ISOLATES;
        return iommu_on ? function->acs_cap & ACS_ISOLATES & ~(unsigned int)function->acs_ctl : 0;
}

bool function_lacks_acs(const struct vfioctl_function *function, bool iommu_on)
{
        return function_missing_acs(function, iommu_on) != 0;
}

/* As lspci names them. */
const char *acs_text(unsigned int bits, char buffer[ACS_TEXT_SIZE])
{
        static const struct {
                unsigned int bit;
                const char *name;
        } names[] = {{ACS_SV, "SV"}, {ACS_RR, "RR"}, {ACS_CR, "CR"}, {ACS_UF, "UF"}};
        size_t length = 0;

        buffer[0] = '\0';
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (bits & names[i].bit)
                        length += (size_t)snprintf(buffer + length, ACS_TEXT_SIZE - length, "%s%s",
                                                   length > 0 ? " " : "", names[i].name);
        return buffer;
}
