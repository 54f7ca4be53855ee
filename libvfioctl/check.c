/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"
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

bool gpu_is_in_mode(const struct vfioctl_gpu *gpu, enum vfioctl_mode mode)
{
        for (size_t i = 0; i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                if (mode == VFIOCTL_MODE_VM) {
                        if (!function_on_vfio(function))
                                return false;
                } else if (function_on_vfio(function) || util_equal(function->driver_override, VFIO_DRIVER)) {
                        return false;
                } else if (!function->driver &&
                           (function->host_driver || gpu->half_done == VFIOCTL_MODE_HOST)) {
                        /* On its way back, and cut off. */
                        return false;
                }
        }
        /* The GPU itself must have a driver to be "in mode host"; a companion may well have none. */
        return mode == VFIOCTL_MODE_VM || gpu->functions[0]->driver;
}

/* ---- the group ---- */

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

static bool is_below(const struct vfioctl_function *function, const struct vfioctl_function *port)
{
        return function->address.domain == port->address.domain && port->secondary_bus > 0 &&
               function->address.bus >= port->secondary_bus && function->address.bus <= port->subordinate_bus;
}

static bool is_sibling(const struct vfioctl_function *a, const struct vfioctl_function *b)
{
        return a != b && a->address.domain == b->address.domain && a->address.bus == b->address.bus &&
               a->address.device == b->address.device;
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
                if (is_sibling(member, port) || (!member->is_bridge && is_below(member, port)))
                        return true;
        }
        return false;
}

/* "; no ACS isolation at port 0000:00:02.0 (root port)". */
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
                append(text, "%s%s (%s)", first ? "; no ACS isolation at port " : ", ", port->text,
                       vfioctl_pcie_type_name(port->pcie_type));
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

static int check_group(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
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

/* ---- one GPU ---- */

static int check_display(const struct vfioctl_gpu *gpu, enum vfioctl_severity severity,
                         struct vfioctl_findings *findings)
{
        if (gpu->on_board)
                return finding_addf(findings,
                                    (struct vfioctl_finding){.severity = severity,
                                                             .code = "boot-display",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = gpu->functions[0]->text},
                                    "it is the board's own display, and stays with the host");
        for (size_t i = 0; i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                if (!function->is_boot_vga && !function->is_console)
                        continue;
                return finding_addf(
                        findings,
                        (struct vfioctl_finding){.severity = severity,
                                                 .code = "boot-display",
                                                 .gpu = gpu->functions[0]->text,
                                                 .culprit = function->text,
                                                 .fix = "make another GPU the boot display in the "
                                                        "firmware, and reboot"},
                        "%s",
                        function->is_boot_vga
                                ? "the firmware booted on it (boot_vga), so it is the host's display"
                                : "the text console is on its framebuffer");
        }
        return 0;
}

static int check_functions(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                _cleanup_free_ char *fix = NULL;
                int r = 0;
                if (function->host_use)
                        r = finding_addf(findings,
                                         (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                  .code = "host-needs",
                                                                  .gpu = gpu->functions[0]->text,
                                                                  .culprit = function->text},
                                         "%s %s", function->text, function->host_use);
                if (r >= 0 && function->vfs_enabled > 0) {
                        r = util_format(&fix, "echo 0 > " PATH_PCI_DEVICES "/%s/sriov_numvfs",
                                        function->text);
                        if (r >= 0)
                                r = finding_addf(
                                        findings,
                                        (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                 .code = "vfs-enabled",
                                                                 .gpu = gpu->functions[0]->text,
                                                                 .culprit = function->text,
                                                                 .fix = fix},
                                        "%u virtual functions are enabled, and vfio-pci takes no such GPU",
                                        function->vfs_enabled);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_stuck(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        if (!gpu->is_stuck)
                return 0;
        return finding_addf(
                findings,
                (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                         .code = "stuck",
                                         .gpu = gpu->functions[0]->text,
                                         .culprit = gpu->functions[0]->text,
                                         .fix = "end the process that has it open (dmesg tells), or "
                                                "reboot the host"},
                "a bind or unbind of it has not come back from the kernel");
}

int check_hardware(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                   const struct vfioctl_intent *intent, struct vfioctl_findings *findings)
{
        int r = check_stuck(gpu, findings);
        if (r >= 0)
                r = check_display(gpu, VFIOCTL_REFUSAL, findings);
        if (r >= 0)
                r = check_functions(gpu, findings);
        if (r < 0)
                return r;
        if (gpu->group)
                return check_group(snapshot, gpu, intent, findings);
        return finding_addf(
                findings,
                (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                         .code = "no-iommu",
                                         .gpu = gpu->functions[0]->text,
                                         .culprit = gpu->functions[0]->text,
                                         .fix = "enable VT-d or AMD-Vi in the firmware, boot with "
                                                "intel_iommu=on iommu=pt"},
                "%s",
                snapshot->has_iommu ? "it is in no IOMMU group"
                                    : "the IOMMU is off: there are no IOMMU groups");
}

/* "ollama.service, pid 4711" or "pid 4711 (blender)". */
static int holder_text(const struct vfioctl_holder *holder, char **ret)
{
        return holder->unit ? util_format(ret, "%s, pid %d (%s)", holder->unit, holder->pid, holder->command)
                            : util_format(ret, "pid %d (%s)", holder->pid, holder->command);
}

static int holder_fix(const struct vfioctl_holder *holder, char **ret)
{
        size_t length = holder->unit ? strlen(holder->unit) : 0;

        if (length > 8 && util_equal(holder->unit + length - 8, ".service"))
                return util_format(ret, "systemctl stop %s", holder->unit);
        if (holder->unit && util_has_prefix(holder->unit, "container "))
                return util_format(ret, "docker stop %s", holder->unit + strlen("container "));
        if ((holder->unit && util_has_prefix(holder->unit, "machine-qemu")) ||
            util_has_prefix(holder->command, "qemu-"))
                return util_format(ret, "shut its VM down (virsh list)");
        return util_format(ret, "kill %d", holder->pid);
}

int check_holders(const struct vfioctl_gpu *gpu, enum vfioctl_severity severity,
                  struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < gpu->n_holders; i++) {
                const struct vfioctl_holder *holder = &gpu->holders[i];
                _cleanup_free_ char *culprit = NULL, *fix = NULL;
                int r = holder_text(holder, &culprit);
                if (r >= 0)
                        r = holder_fix(holder, &fix);
                if (r >= 0)
                        r = finding_addf(findings,
                                         (struct vfioctl_finding){.severity = severity,
                                                                  .code = "in-use",
                                                                  .gpu = gpu->functions[0]->text,
                                                                  .culprit = culprit,
                                                                  .fix = fix},
                                         "%s has %s open", culprit, holder->node);
                if (r < 0)
                        return r;
        }
        return 0;
}

int check_assigned(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms, const char *vm,
                   enum vfioctl_severity severity, struct vfioctl_findings *findings)
{
        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++) {
                const char *name = vfioctl_vms_name(vms, i);
                bool running = vfioctl_vms_is_running(vms, i);
                _cleanup_free_ char *culprit = NULL, *fix = NULL, *options = NULL;
                if (util_equal(name, vm) || !vfioctl_vms_has_gpu(vms, i, gpu))
                        continue;
                int r = util_format(&culprit, "%s (%s)", name, running ? "running" : "shut off");
                bool frees = running || !vm;
                if (r >= 0)
                        r = util_format(&options, "%s--gpu %s", frees ? "" : "--share ", gpu->name);
                if (r >= 0)
                        r = text_command(frees ? "unassign" : "assign", frees ? name : vm, options, &fix);
                if (r >= 0)
                        r = finding_addf(
                                findings,
                                (struct vfioctl_finding){.severity = severity,
                                                         .code = "assigned",
                                                         .gpu = gpu->functions[0]->text,
                                                         .culprit = culprit,
                                                         .fix = severity == VFIOCTL_NOTE ? NULL : fix},
                                "it is assigned to %s", culprit);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Another VM's claim counts while the daemon that made it is there: it will tell of the VM's end. */
int check_claimed(const struct vfioctl_gpu *gpu, const char *uuid, enum vfioctl_severity severity,
                  struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL, *word = NULL;

        if (!gpu->claim.is_live || util_equal(gpu->claim.uuid, uuid))
                return 0;
        int r = text_shell_word(gpu->claim.name, &word);
        if (r >= 0)
                r = util_format(&fix, "virsh shutdown %s (or vfioctl reconcile, when it does not run)", word);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = severity,
                                                             .code = "claimed",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = gpu->claim.name,
                                                             .fix = severity == VFIOCTL_NOTE ? NULL : fix},
                                    "VM %s is starting or running with it", gpu->claim.name);
}

static int check_one(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                     const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        int r = check_hardware(snapshot, gpu, NULL, findings);
        if (r >= 0)
                r = check_holders(gpu, VFIOCTL_NOTE, findings);
        if (r >= 0)
                r = check_assigned(gpu, vms, NULL, VFIOCTL_NOTE, findings);
        if (r >= 0)
                r = check_claimed(gpu, NULL, VFIOCTL_NOTE, findings);
        if (r >= 0 && snapshot->flags & VFIOCTL_SNAPSHOT_HOLDERS && !gpu->holders_known)
                r = finding_addf(findings,
                                 (struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                          .code = "holders-unknown",
                                                          .gpu = gpu->functions[0]->text,
                                                          .fix = "run vfioctl as root"},
                                 "processes of other users cannot be looked into, so it may be in use");
        return r;
}

VFIOCTL_EXPORT int vfioctl_check(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                                 const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        if (gpu)
                return check_one(snapshot, vms, gpu, findings);
        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                const struct vfioctl_gpu *each = snapshot->gpus[i];
                int r = 0;
                /* A board's own display is nobody's problem until somebody asks for it. */
                if (each->on_board)
                        r = check_display(each, VFIOCTL_NOTE, findings);
                else
                        r = check_one(snapshot, vms, each, findings);
                if (r < 0)
                        return r;
        }
        return 0;
}

VFIOCTL_EXPORT bool vfioctl_gpu_is_ready(const struct vfioctl_snapshot *snapshot,
                                         const struct vfioctl_gpu *gpu)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        return vfioctl_findings_new(&findings) >= 0 && check_hardware(snapshot, gpu, NULL, findings) >= 0 &&
               !vfioctl_findings_have_refusal(findings);
}

/* ---- an intent ---- */

/* A group can be opened by one VM alone, so two VMs cannot have GPUs of one group. */
static int check_group_vms(const struct intent_item *item, const struct vfioctl_vms *vms,
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

static int check_item(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                      const struct vfioctl_intent *intent, const struct intent_item *item, unsigned int flags,
                      struct vfioctl_findings *findings)
{
        const struct vfioctl_gpu *gpu = item->gpu;
        int r = 0;

        if (!gpu || item->mode == VFIOCTL_MODE_NONE)
                return 0;
        if (item->vm) {
                r = check_assigned(gpu, vms, item->vm,
                                   flags & VFIOCTL_PLAN_SHARE ? VFIOCTL_NOTE : VFIOCTL_REFUSAL, findings);
                if (r >= 0 && !(flags & VFIOCTL_PLAN_SHARE))
                        r = check_group_vms(item, vms, intent, findings);
        }
        if (r < 0)
                return r;
        if (item->mode == VFIOCTL_MODE_VM) {
                /* What is in place already needs no leave, unless a VM is to get it now. */
                if (!item->vm && !item->claim && gpu_is_in_mode(gpu, VFIOCTL_MODE_VM))
                        return 0;
                r = check_hardware(snapshot, gpu, intent, findings);
        } else {
                if (gpu_is_in_mode(gpu, VFIOCTL_MODE_HOST))
                        return 0;
                r = check_stuck(gpu, findings);
        }
        if (r < 0)
                return r;
        if (!item->vm)
                r = check_claimed(gpu, item->uuid, VFIOCTL_REFUSAL, findings);
        if (r < 0)
                return r;
        /* A shared GPU may well be held by the other VM; its mode does not change then. */
        if (gpu_is_in_mode(gpu, item->mode) && (flags & VFIOCTL_PLAN_SHARE))
                return 0;
        return check_holders(gpu, VFIOCTL_REFUSAL, findings);
}

int check_intent(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                 const struct vfioctl_intent *intent, unsigned int flags, struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < intent->count; i++) {
                int r = check_item(snapshot, vms, intent, &intent->items[i], flags, findings);
                if (r < 0)
                        return r;
        }
        return 0;
}
