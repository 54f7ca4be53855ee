/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

/*
 * As the kernel judges when it makes groups (pci_acs_enabled() and pci_acs_flags_enabled(),
 * drivers/pci/pci.c): ports need the capability, with every bit that it offers switched on; upstream ports
 * and endpoints only when they have more than one function; conventional PCI and event collectors never
 * isolate. The control bits are set when the IOMMU is on, so without one the capability has to do.
 */
bool function_lacks_acs(const struct vfioctl_function *function, bool iommu_on)
{
        switch (function->pcie_type) {
        case VFIOCTL_PCIE_TO_PCI_BRIDGE:
        case VFIOCTL_PCI_TO_PCIE_BRIDGE:
        case VFIOCTL_PCIE_RC_EVENT_COLLECTOR:
        case VFIOCTL_PCIE_CONVENTIONAL:
                return true;
        case VFIOCTL_PCIE_ROOT_PORT:
        case VFIOCTL_PCIE_DOWNSTREAM:
                break;
        case VFIOCTL_PCIE_UPSTREAM:
        case VFIOCTL_PCIE_ENDPOINT:
        case VFIOCTL_PCIE_LEGACY_ENDPOINT:
        case VFIOCTL_PCIE_RC_ENDPOINT:
                if (!function->is_multifunction)
                        return false;
                break;
        default:
                return false;
        }
        if (!function->acs_known)
                return false;
        if (!function->has_acs)
                return true;
        unsigned int wanted = function->acs_cap & ACS_ISOLATES;
        return iommu_on && (function->acs_ctl & wanted) != wanted;
}
