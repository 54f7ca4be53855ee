/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"
#include "paths.h"
#include "text.h"

#define TEXT_SIZE 1024

/* Appends to a text of bounded size; what does not fit is left out. */
static void append(char text[TEXT_SIZE], const char *format, ...) _printf_(2, 3);

static void append(char text[TEXT_SIZE], const char *format, ...)
{
        size_t length = strlen(text);
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(text + length, TEXT_SIZE - length, format, arguments);
        va_end(arguments);
}

/* vfio's list of what may stay bound in a viable group: Documentation/driver-api/vfio.rst. */
static bool member_is_harmless(const struct vfioctl_function *member)
{
        return member->is_bridge || !member->driver || function_on_vfio(member) ||
               util_equal(member->driver, "pci-stub") || util_equal(member->driver, "pcieport");
}

static bool goes_along(const struct vfioctl_function *member, const struct vfioctl_gpu *gpu,
                       const struct vfioctl_intent *intent)
{
        if (member->gpu == gpu)
                return true;
        const struct intent_item *item = member->gpu ? intent_find(intent, member->gpu) : NULL;
        return item && item->mode == VFIOCTL_MODE_VM;
}

static bool is_sibling(const struct vfioctl_function *a, const struct vfioctl_function *b)
{
        return a != b && a->address.domain == b->address.domain && a->address.bus == b->address.bus &&
               a->address.device == b->address.device;
}

/* ": SV RR CR UF missing"; a bridge to conventional PCI has none of them to miss. */
static void append_port(char text[TEXT_SIZE], const struct vfioctl_function *port, bool iommu_on)
{
        char bits[ACS_TEXT_SIZE];

        append(text, "%s (%s): ", port->text, vfioctl_pcie_type_name(port->pcie_type));
        if (port->acs_known && port->pcie_type != VFIOCTL_PCIE_TO_PCI_BRIDGE &&
            port->pcie_type != VFIOCTL_PCI_TO_PCIE_BRIDGE && port->pcie_type != VFIOCTL_PCIE_CONVENTIONAL)
                append(text, "%s missing", acs_text(function_missing_acs(port, iommu_on), bits));
        else
                append(text, "it never isolates");
}

/*
 * A port above the GPU is to blame when it has somebody else of the group below it or beside it (as another
 * function of the same device), or below such a sibling.
 */
static bool port_joins(const struct vfioctl_gpu *gpu, const struct vfioctl_function *port)
{
        for (size_t i = 0; i < gpu->group->n_members; i++) {
                const struct vfioctl_function *member = gpu->group->members[i];
                if (member->gpu == gpu)
                        continue;
                if (is_sibling(member, port) || (!member->is_bridge && function_is_below(member, port)))
                        return true;
        }
        return false;
}

/* "; no ACS isolation at port 0000:00:02.0 (root port): SV RR CR UF missing". */
static void append_ports(char text[TEXT_SIZE], const struct vfioctl_snapshot *snapshot,
                         const struct vfioctl_gpu *gpu)
{
        bool first = true, unknown = false, strict = false;

        for (size_t i = 0; i < gpu->n_path; i++)
                strict |= function_lacks_acs(gpu->path[i], snapshot->has_iommu) &&
                          port_joins(gpu, gpu->path[i]);
        for (size_t i = 0; i < gpu->n_path; i++) {
                const struct vfioctl_function *port = gpu->path[i];
                unknown |= !port->acs_known && port->pcie_type != VFIOCTL_PCIE_CONVENTIONAL;
                if (!function_lacks_acs(port, snapshot->has_iommu) || (strict && !port_joins(gpu, port)))
                        continue;
                append(text, "%s", first ? "; no ACS isolation at port " : ", ");
                append_port(text, port, snapshot->has_iommu);
                first = false;
        }
        if (first && unknown)
                append(text, "; only root can see which port lacks ACS");
}

static void append_members(char text[TEXT_SIZE], const struct vfioctl_gpu *gpu)
{
        size_t bridges = 0;
        bool first = true;

        for (size_t i = 0; i < gpu->group->n_members; i++) {
                const struct vfioctl_function *member = gpu->group->members[i];
                if (member->is_bridge) {
                        bridges++;
                        continue;
                }
                append(text, "%s%s (%s)", first ? "" : ", ", member->text,
                       member->driver ? member->driver : "no driver");
                first = false;
        }
        if (bridges > 0)
                append(text, " and %zu bridge%s", bridges, bridges == 1 ? "" : "s");
}

#define FIX_OTHER_SLOT "move the card to a slot that has an IOMMU group of its own"

static int blocker_fix(const struct vfioctl_function *blocker, const struct vfioctl_gpu *gpu, bool all_gpus,
                       bool host_needs, const char *vm, char **ret)
{
        char names[TEXT_SIZE] = "", options[32];
        size_t count = 0;

        if (host_needs)
                return util_copy(FIX_OTHER_SLOT, ret);
        if (!all_gpus)
                return util_format(ret, "echo %s > " PATH_PCI_DRIVERS "/%s/unbind", blocker->text,
                                   blocker->driver);
        for (size_t i = 0; i < gpu->group->n_members; i++) {
                const struct vfioctl_gpu *other = gpu->group->members[i]->gpu;
                if (other && other->functions[0] == gpu->group->members[i]) {
                        append(names, " %s", other->name);
                        count++;
                }
        }
        if (!vm)
                return util_format(ret, "vfioctl to-vm%s", names);
        (void)snprintf(options, sizeof(options), "--count %zu", count);
        return text_command("assign", vm, options, ret);
}

int check_group(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                const struct vfioctl_intent *intent, struct vfioctl_findings *findings)
{
        const struct vfioctl_function *blocker = NULL;
        _cleanup_free_ char *fix = NULL;
        char members[TEXT_SIZE] = "", ports[TEXT_SIZE] = "";
        bool all_gpus = true, host_needs = false;

        for (size_t i = 0; i < gpu->group->n_members; i++) {
                const struct vfioctl_function *member = gpu->group->members[i];
                if (member_is_harmless(member) || goes_along(member, gpu, intent))
                        continue;
                if (member->host_use) {
                        host_needs = true;
                        int r = finding_addf(findings,
                                             (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                      .code = "host-needs",
                                                                      .gpu = gpu->functions[0]->text,
                                                                      .culprit = member->text,
                                                                      .fix = FIX_OTHER_SLOT},
                                             "%s in IOMMU group %d %s, so the group stays with the host",
                                             member->text, gpu->group->number, member->host_use);
                        if (r < 0)
                                return r;
                }
                /* The one to be named is a stranger rather than a sibling die: only the sibling can go along.
                 */
                if (!blocker || (blocker->gpu && !member->gpu))
                        blocker = member;
                all_gpus &= member->gpu != NULL;
        }
        if (!blocker)
                return 0;
        const struct intent_item *item = intent_find(intent, gpu);
        int r = blocker_fix(blocker, gpu, all_gpus, host_needs, item ? item->vm : NULL, &fix);
        if (r < 0)
                return r;
        append_members(members, gpu);
        append_ports(ports, snapshot, gpu);
        return finding_addf(
                findings,
                (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                         .code = "group-shared",
                                         .gpu = gpu->functions[0]->text,
                                         .culprit = blocker->text,
                                         .fix = fix},
                "IOMMU group %d goes to a VM only as a whole, and %s in it is on %s; members: %s%s",
                gpu->group->number, blocker->text, blocker->driver, members, ports);
}

/* A group can be opened by one VM alone, so two VMs cannot have GPUs of one group. */
int check_group_vms(const struct intent_item *item, const struct vfioctl_vms *vms,
                    const struct vfioctl_intent *intent, struct vfioctl_findings *findings)
{
        const struct vfioctl_gpu *gpu = item->gpu;

        for (size_t i = 0; gpu->group && i < gpu->group->n_members; i++) {
                const struct vfioctl_gpu *other = gpu->group->members[i]->gpu;
                const char *owner = NULL;
                if (!other || other == gpu || other->functions[0] != gpu->group->members[i])
                        continue;
                const struct intent_item *theirs = intent_find(intent, other);
                if (theirs && theirs->vm && !util_equal(theirs->vm, item->vm))
                        owner = theirs->vm;
                for (size_t k = 0; vms && !owner && k < vfioctl_vms_count(vms); k++)
                        if (vfioctl_vms_has_gpu(vms, k, other) &&
                            !util_equal(vfioctl_vms_name(vms, k), item->vm))
                                owner = vfioctl_vms_name(vms, k);
                if (!owner)
                        continue;
                int r = finding_addf(findings,
                                     (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                              .code = "group-shared",
                                                              .gpu = gpu->functions[0]->text,
                                                              .culprit = owner,
                                                              .fix = "give all GPUs of the group to one VM "
                                                                     "(--count)"},
                                     "IOMMU group %d goes to one VM as a whole, and %s in it belongs to %s",
                                     gpu->group->number, other->name, owner);
                if (r < 0)
                        return r;
        }
        return 0;
}
