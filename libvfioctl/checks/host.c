/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"
#include "paths.h"

/* ---- IOMMU ---- */

/* The words that switch it off: Documentation/admin-guide/kernel-parameters.txt. */
static const char *iommu_off_word(const struct host_facts *facts)
{
        static const struct {
                const char *name, *value, *word;
        } words[] = {
                {"intel_iommu=", "off", "intel_iommu=off"},
                {"amd_iommu=", "off", "amd_iommu=off"},
                {"iommu=", "off", "iommu=off"},
        };
        char given[CMDLINE_WORD_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (util_equal(cmdline_value(facts, words[i].name, given), words[i].value))
                        return words[i].word;
        return NULL;
}

static int refuse_iommu(const char *culprit, const char *text, const char *fix,
                        struct vfioctl_findings *findings)
{
        return vfioctl_findings_add(findings, &(struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                        .code = "iommu-off",
                                                                        .culprit = culprit,
                                                                        .text = text,
                                                                        .fix = fix});
}

int check_iommu(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        const struct host_facts *facts = &snapshot->facts;
        const char *word = iommu_off_word(facts);
        _cleanup_free_ char *fix = NULL, *text = NULL;
        char given[CMDLINE_WORD_SIZE];

        if (snapshot->has_iommu)
                return 0;
        const char *name = facts->iommu == IOMMU_INTEL ? "VT-d"
                           : facts->iommu == IOMMU_AMD ? "AMD-Vi (IOMMU)"
                                                       : "VT-d or AMD-Vi (IOMMU)";
        if (facts->has_iommu_table == FACT_NO) {
                int r = util_format(&fix, "enable %s in the firmware's setup, and reboot", name);
                return r < 0 ? r
                             : refuse_iommu("firmware",
                                            "the IOMMU is off in the firmware: its tables tell of none "
                                            "(no DMAR, no IVRS)",
                                            fix, findings);
        }
        if (word) {
                int r = cmdline_fix("take", word, &fix);
                if (r >= 0)
                        r = util_format(&text, "the IOMMU is switched off on the kernel's command line (%s)",
                                        word);
                return r < 0 ? r : refuse_iommu(word, text, fix, findings);
        }
        if (facts->iommu == IOMMU_INTEL && facts->cmdline && !cmdline_value(facts, "intel_iommu=", given)) {
                int r = cmdline_fix("add", "intel_iommu=on iommu=pt", &fix);
                return r < 0 ? r
                             : refuse_iommu("intel_iommu=on",
                                            "the IOMMU is off: intel_iommu=on is not on the kernel's "
                                            "command line",
                                            fix, findings);
        }
        return refuse_iommu(NULL, "the IOMMU is off, and neither command line nor firmware tells why",
                            "dmesg | grep -e DMAR -e AMD-Vi", findings);
}

/* ---- interrupts ---- */

/* What switches the remapping off, or NULL. */
static const char *remapping_off_word(const struct host_facts *facts)
{
        char given[CMDLINE_WORD_SIZE];

        if (util_equal(cmdline_value(facts, "intremap=", given), "off"))
                return "intremap=off";
        return cmdline_value(facts, "nointremap", given) ? "nointremap" : NULL;
}

static int unsafe_fix(const struct host_facts *facts, char **ret)
{
        char given[CMDLINE_WORD_SIZE];

        if (facts->allows_unsafe_interrupts == FACT_YES)
                return util_copy("echo N > " PATH_UNSAFE, ret);
        if (cmdline_value(facts, "vfio_iommu_type1.allow_unsafe_interrupts=", given))
                return cmdline_fix("take", "vfio_iommu_type1.allow_unsafe_interrupts", ret);
        return util_copy("take allow_unsafe_interrupts out of /etc/modprobe.d", ret);
}

/* Set now, or for when the module is loaded. */
static const char *unsafe_place(const struct host_facts *facts)
{
        char given[CMDLINE_WORD_SIZE];
        const char *text = cmdline_value(facts, "vfio_iommu_type1.allow_unsafe_interrupts=", given);

        if (text && strchr("1yY", *text))
                return "on the kernel's command line";
        for (size_t i = 0; i < facts->n_rivals; i++)
                if (facts->rivals[i].kind == RIVAL_UNSAFE)
                        return facts->rivals[i].path;
        return facts->allows_unsafe_interrupts == FACT_YES ? "now" : NULL;
}

/* vfio refuses devices without it, unless it is told not to: vfio_iommu_type1_attach_group(). */
int check_interrupts(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        const struct host_facts *facts = &snapshot->facts;
        const char *off = remapping_off_word(facts), *place = unsafe_place(facts);
        _cleanup_free_ char *fix = NULL;
        int r;

        if (!snapshot->has_iommu)
                return 0;
        if (place) {
                r = unsafe_fix(facts, &fix);
                bool safe = facts->remaps_interrupts == FACT_YES;
                return r < 0 ? r
                             : finding_addf(findings,
                                            (struct vfioctl_finding){.severity = safe ? VFIOCTL_NOTE
                                                                                      : VFIOCTL_WARNING,
                                                                     .code = "unsafe-interrupts",
                                                                     .culprit = "allow_unsafe_interrupts",
                                                                     .fix = fix},
                                            safe ? "allow_unsafe_interrupts is set (%s), and not needed: "
                                                   "interrupts are remapped"
                                                 : "allow_unsafe_interrupts is set (%s): a VM can raise any "
                                                   "interrupt of the host",
                                            place);
        }
        if (facts->remaps_interrupts != FACT_NO && !(off && facts->remaps_interrupts == FACT_UNKNOWN))
                return 0;
        r = off ? cmdline_fix("take", off, &fix)
                : util_copy("enable interrupt remapping (often with x2APIC) in the firmware's setup, and "
                            "reboot",
                            &fix);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                             .code = "interrupt-remapping",
                                                             .culprit = off ? off : "firmware",
                                                             .fix = fix},
                                    "interrupts are not remapped%s%s%s, so vfio hands out no device",
                                    off ? " (" : "", off ? off : "", off ? ")" : "");
}

/* ---- vfio-pci ---- */

static int tell_missing(enum vfioctl_severity severity, const char *kernel, struct vfioctl_findings *findings)
{
        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = severity,
                                                     .code = "vfio-missing",
                                                     .culprit = kernel,
                                                     .fix = "install the rest of this kernel's modules, or "
                                                            "boot one that has CONFIG_VFIO_PCI"},
                            "kernel %s%s has no vfio-pci", kernel,
                            severity == VFIOCTL_WARNING ? ", the next that boots," : "");
}

int check_vfio_module(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        const struct host_facts *facts = &snapshot->facts;
        int r = 0;

        if (facts->vfio == MODULE_MISSING && !snapshot->has_vfio_driver)
                r = tell_missing(VFIOCTL_REFUSAL, facts->kernel, findings);
        if (r >= 0 && facts->next_vfio == MODULE_MISSING)
                r = tell_missing(VFIOCTL_WARNING, facts->next_kernel, findings);
        if (r >= 0 && facts->vfio == MODULE_BUILTIN)
                r = finding_addf(
                        findings,
                        (struct vfioctl_finding){
                                .severity = VFIOCTL_NOTE, .code = "vfio-builtin", .culprit = facts->kernel},
                        "vfio-pci is built into kernel %s: its options count on the kernel's command "
                        "line alone, and not in modprobe.d",
                        facts->kernel);
        return r;
}

/* ---- programs ---- */

static bool is_program_place(const char *path)
{
        return util_has_prefix(path, "/usr/bin/") || util_has_prefix(path, "/usr/sbin/") ||
               util_has_prefix(path, "/bin/") || util_has_prefix(path, "/sbin/");
}

static int check_hook_guards(const struct host_facts *facts, struct vfioctl_findings *findings)
{
        int r = 0;

        if (!facts->hook_target)
                return 0;
        /* The profile of libvirtd: what it runs elsewhere ends with 126, for every VM. */
        if (facts->libvirt_is_confined && !is_program_place(facts->hook_target))
                r = finding_addf(findings,
                                 (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                          .code = "hook-confined",
                                                          .culprit = facts->hook_target,
                                                          .fix = "install vfioctl with --prefix=/usr, and "
                                                                 "run vfioctl setup"},
                                 "AppArmor does not let libvirt run its hook at %s, so no VM starts",
                                 facts->hook_target);
        if (r >= 0 && facts->selinux_enforces)
                r = finding_addf(findings,
                                 (struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                          .code = "selinux",
                                                          .culprit = "SELinux",
                                                          .fix = "ausearch -m avc -c vfioctl"},
                                 "SELinux is enforcing: where the hook fails, it may be what stops it");
        return r;
}

int check_programs(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        const struct host_facts *facts = &snapshot->facts;
        int r = check_hook_guards(facts, findings);

        if (r >= 0 && facts->has_ovmf == FACT_NO)
                r = finding_addf(findings,
                                 (struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                          .code = "ovmf-missing",
                                                          .culprit = "OVMF",
                                                          .fix = "install OVMF (package ovmf, or edk2-ovmf)"},
                                 "OVMF is not installed: GPUs with large BARs, and Windows 11, need UEFI");
        return r;
}

/* ---- what only root sees ---- */

static bool ports_are_unseen(const struct vfioctl_snapshot *snapshot)
{
        for (size_t i = 0; i < snapshot->n_gpus; i++)
                for (size_t k = 0; k < snapshot->gpus[i]->n_path; k++)
                        if (snapshot->gpus[i]->path[k]->pcie_type == VFIOCTL_PCIE_UNKNOWN)
                                return true;
        return false;
}

int check_unseen(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        const char *ports = ports_are_unseen(snapshot) ? ", ACS of the ports" : "";
        const char *memory = snapshot->iomem_unseen ? ", the framebuffer's place" : "";
        const char *rivals = snapshot->facts.rivals_unseen ? ", settings of others (hooks, modprobe.d)" : "";

        if (!*ports && !*memory && !*rivals)
                return 0;
        _cleanup_free_ char *list = NULL;
        int r = util_format(&list, "%s%s%s", ports, memory, rivals);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                             .code = "unseen",
                                                             .fix = "run vfioctl as root"},
                                    "not looked at, as only root can: %s", list + 2);
}
