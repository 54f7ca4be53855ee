/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"

#define FIX_OTHER_SLOT "move the card to a slot whose port has ACS"

/* Somebody who would come into the GPU's group by this port, as far as the snapshot has him. */
static bool would_join(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                       const struct vfioctl_function *port)
{
        for (size_t i = 0; i < snapshot->n_functions; i++) {
                const struct vfioctl_function *other = snapshot->functions[i];
                if (other->gpu && other->gpu != gpu && function_is_below(other, port))
                        return true;
        }
        return port->is_multifunction;
}

/* With the IOMMU off there are no groups, but the ports tell what they would be like. */
static int check_future(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                        struct vfioctl_findings *findings)
{
        char bits[ACS_TEXT_SIZE];

        for (size_t i = 0; i < gpu->n_path; i++) {
                const struct vfioctl_function *port = gpu->path[i];
                unsigned int missing = function_missing_acs(port, false);
                if (missing == 0 || !would_join(snapshot, gpu, port))
                        continue;
                return finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                             .code = "acs-missing",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = port->text,
                                                             .fix = FIX_OTHER_SLOT},
                                    "once the IOMMU is on, it shares an IOMMU group with what else is below "
                                    "or beside port %s (%s): %s missing",
                                    port->text, vfioctl_pcie_type_name(port->pcie_type),
                                    acs_text(missing, bits));
        }
        return 0;
}

/*
 * A port without ACS and what is below it are one group: pci_device_group() takes the group of the bridge
 * that does not isolate. Where they are not, the kernel was told to believe in it.
 */
static int check_override(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                          struct vfioctl_findings *findings)
{
        char word[CMDLINE_WORD_SIZE], bits[ACS_TEXT_SIZE];
        _cleanup_free_ char *fix = NULL;

        if (!cmdline_value(&snapshot->facts, "pcie_acs_override=", word))
                return 0;
        for (size_t i = 0; i < gpu->n_path; i++) {
                const struct vfioctl_function *port = gpu->path[i];
                unsigned int missing = port->acs_known ? function_missing_acs(port, true) : 0;
                if (missing == 0 || port->group < 0 || port->group == gpu->group->number)
                        continue;
                int r = cmdline_fix("take", word, &fix);
                if (r < 0)
                        return r;
                return finding_addf(
                        findings,
                        (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                 .code = "acs-override",
                                                 .gpu = gpu->functions[0]->text,
                                                 .culprit = port->text,
                                                 .fix = fix},
                        "its IOMMU group is only claimed: pcie_acs_override has the kernel believe in "
                        "isolation that port %s (%s) does not have (%s missing)",
                        port->text, vfioctl_pcie_type_name(port->pcie_type), acs_text(missing, bits));
        }
        return 0;
}

int check_isolation(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                    struct vfioctl_findings *findings)
{
        if (gpu->group)
                return check_override(snapshot, gpu, findings);
        return snapshot->has_iommu ? 0 : check_future(snapshot, gpu, findings);
}
