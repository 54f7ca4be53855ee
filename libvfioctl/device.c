/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "finding.h"
#include "function.h"
#include "needs.h"

/* Devices other than GPUs that a VM can have: USB controllers. */

#define CLASS_USB 0x0c03 /* PCI Code and ID Assignment: serial bus controllers, USB */

DEFINE_CLEANUP(struct vfioctl_snapshot, vfioctl_snapshot_free)

/* It goes to a VM alone: whatever else is in its group would go along, or be taken from the host. */
static int judge_group(const struct vfioctl_function *function, const struct vfioctl_group *group,
                       struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < group->n_members; i++) {
                const struct vfioctl_function *member = group->members[i];
                int r = 0;
                if (member->host_use)
                        r = finding_addf(findings,
                                         (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                  .code = "host-needs",
                                                                  .culprit = member->text,
                                                                  .fix = "take another controller"},
                                         "%s in IOMMU group %d %s, so the group stays with the host",
                                         member->text, group->number, member->host_use);
                else if (member != function && !member->is_bridge)
                        r = finding_addf(findings,
                                         (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                  .code = "group-shared",
                                                                  .culprit = member->text,
                                                                  .fix = "take another controller"},
                                         "%s shares IOMMU group %d with %s", function->text, group->number,
                                         member->text);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int judge_use(const struct vfioctl_function *function, const struct vfioctl_vms *vms,
                     struct vfioctl_findings *findings)
{
        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++) {
                if (!vfioctl_vms_has_device(vms, i, &function->address))
                        continue;
                int r = finding_addf(findings,
                                     (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                              .code = "assigned",
                                                              .culprit = vfioctl_vms_name(vms, i),
                                                              .fix = "take another controller"},
                                     "%s is in the definition of %s", function->text,
                                     vfioctl_vms_name(vms, i));
                if (r < 0)
                        return r;
        }
        return 0;
}

VFIOCTL_EXPORT int vfioctl_check_usb_controller(struct vfioctl_ctx *ctx, const struct vfioctl_vms *vms,
                                                const struct vfioctl_address *address,
                                                struct vfioctl_findings *findings)
{
        _cleanup_(vfioctl_snapshot_freep) struct vfioctl_snapshot *snapshot = calloc(1, sizeof(*snapshot));
        struct vfioctl_function *function = NULL;
        struct vfioctl_group *group = NULL;
        char text[VFIOCTL_ADDRESS_SIZE];

        if (!snapshot)
                return -ENOMEM;
        (void)vfioctl_address_format(address, text);
        int r = snapshot_load_function(ctx, snapshot, address, FUNCTION_KIND, &function);
        if (host_is_shortage(r))
                return r;
        if (r < 0)
                return finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                             .code = "usb-unfit",
                                                             .culprit = text,
                                                             .fix = "lspci -nn | grep -i usb"},
                                    "there is no device at %s", text);
        if (function->class >> 8 != CLASS_USB)
                return finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                             .code = "usb-unfit",
                                                             .culprit = text,
                                                             .fix = "lspci -nn | grep -i usb"},
                                    "%s is no USB controller: its class is %04x", text, function->class >> 8);
        if (function->group < 0)
                return finding_addf(
                        findings,
                        (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                 .code = "no-iommu",
                                                 .culprit = text,
                                                 .fix = "set intel_iommu=on or amd_iommu=on, and reboot"},
                        "%s is in no IOMMU group", text);
        r = snapshot_load_group(ctx, snapshot, function->group, &group);
        if (r >= 0)
                r = needs_find(ctx, snapshot);
        if (r >= 0)
                r = judge_group(function, group, findings);
        return r < 0 ? r : judge_use(function, vms, findings);
}
