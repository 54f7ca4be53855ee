/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_tune.h"

/*
 * The standard for a VM with GPUs: what is written here and in domain_tune_*.c is owned, and all else is the
 * admin's. An element is changed in place, so that what somebody else put into it stays.
 */

int tune_find(const struct tune *tune, enum vfioctl_severity severity, const char *code, const char *fix,
              const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        if (!tune->findings)
                return 0;
        va_start(arguments, format);
        int r = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (r < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return vfioctl_findings_add(tune->findings, &(struct vfioctl_finding){
                                                            .severity = severity,
                                                            .code = code,
                                                            .culprit = tune->domain->name,
                                                            .text = text,
                                                            .fix = fix,
                                                    });
}

/* virDomainVcpuParse(): 1 where it is not said. */
static int read_vcpus(const xmlNode *root, unsigned int *ret)
{
        const xmlNode *node = xml_child(root, "vcpu", NULL);
        _cleanup_free_ char *text = NULL;
        uint64_t number = 1;

        if (!node) {
                *ret = 1;
                return 0;
        }
        int r = xml_text(node, &text);
        if (r < 0)
                return r;
        if (util_parse_u64(text, 10, VCPUS_MAX, &number) < 0 || number == 0)
                return -EINVAL;
        *ret = (unsigned int)number;
        return 0;
}

static bool is_x86(const xmlNode *root)
{
        const char *arch = xml_attribute(xml_child(xml_child(root, "os", NULL), "type", NULL), "arch");

        return !arch || util_equal(arch, "x86_64") || util_equal(arch, "i686");
}

static size_t count_cells(const xmlNode *root)
{
        const xmlNode *numa = xml_child(xml_child(root, "cpu", NULL), "numa", NULL);
        size_t count = 0;

        for (const xmlNode *cell = xml_child(numa, "cell", NULL); cell; cell = xml_next(cell, "cell", NULL))
                count++;
        return count;
}

/* formatdomain, BIOS bootloader: <firmware> since 7.2.0, <loader secure> before. */
static bool has_secure_boot(const xmlNode *root)
{
        const xmlNode *os = xml_child(root, "os", NULL), *firmware = xml_child(os, "firmware", NULL);

        for (const xmlNode *node = xml_child(firmware, "feature", NULL); node;
             node = xml_next(node, "feature", NULL))
                if (util_equal(xml_attribute(node, "name"), "secure-boot"))
                        return util_equal(xml_attribute(node, "enabled"), "yes");
        return util_equal(xml_attribute(xml_child(os, "loader", NULL), "secure"), "yes");
}

/* What cannot be changed in a VM that is there. */
static int tell_limits(const struct tune *tune)
{
        int r = 0;

        if (tune->n_cells > 1 && tune->tuning->place)
                r = tune_find(tune, VFIOCTL_NOTE, "guest-cells", NULL,
                              "%s has %zu NUMA cells of its own: its pins, nodes, huge pages and topology "
                              "stay as they are",
                              tune->domain->name, tune->n_cells);
        if (r >= 0 && !domain_has_pcie(tune->domain))
                r = tune_find(tune, VFIOCTL_NOTE, "guest-machine", NULL,
                              "%s is an i440fx machine, which has no PCI Express; its GPU works without, and "
                              "better in a new VM of type q35",
                              tune->domain->name);
        if (r >= 0 && !tune->x86)
                r = tune_find(tune, VFIOCTL_NOTE, "guest-machine", NULL,
                              "%s is no x86 machine: its processor, features and clock stay as they are",
                              tune->domain->name);
        if (r >= 0 && tune->guest == VFIOCTL_GUEST_OTHER)
                r = tune_find(tune, VFIOCTL_NOTE, "guest-os", NULL,
                              "%s does not tell what runs in it, so its clock and what Windows needs stay as "
                              "they are; --os linux or --os windows tells",
                              tune->domain->name);
        if (r >= 0 && tune->tuning->refuses_secure_boot && tune->guest == VFIOCTL_GUEST_WINDOWS &&
            has_secure_boot(tune->root))
                r = tune_find(tune, VFIOCTL_NOTE, "guest-secure-boot", NULL,
                              "%s has Secure Boot, which does not let the driver of its GPU be loaded; "
                              "switch it off in the setup of its firmware",
                              tune->domain->name);
        return r;
}

static int read_limits(struct tune *tune)
{
        const struct vfioctl_tuning *tuning = tune->tuning;
        const char *type = xml_attribute(tune->root, "type");

        tune->devices = domain_devices(tune->domain);
        tune->kvm = util_equal(type, "kvm") || (tuning->kvm && !util_equal(type, "qemu"));
        tune->x86 = is_x86(tune->root);
        tune->n_cells = count_cells(tune->root);
        tune->guest =
                tuning->guest == VFIOCTL_GUEST_OTHER ? vfioctl_domain_guest(tune->domain) : tuning->guest;
        tune->place = tune->n_cells > 1 ? NULL : tuning->place;
        tune->vcpus = tuning->vcpus;
        int r = tune->vcpus > 0 ? 0 : read_vcpus(tune->root, &tune->vcpus);
        if (r < 0)
                return r;
        if (tune->place && (tune->place->n_vcpus != tune->vcpus || !tune->place->vcpus))
                return -EINVAL;
        return 0;
}

static int edit(struct tune *tune)
{
        static int (*const parts[])(struct tune *) = {
                tune_size,     tune_iothreads, tune_pins,    tune_memory, tune_cpu,
                tune_features, tune_display,   tune_devices, tune_window,
        };
        int r = read_limits(tune);

        if (r >= 0)
                r = tell_limits(tune);
        if (r >= 0 && tune->tuning->guest != VFIOCTL_GUEST_OTHER)
                r = domain_set_guest(tune->domain, tune->tuning->guest);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(parts); i++)
                r = parts[i](tune);
        return r;
}

VFIOCTL_EXPORT int vfioctl_domain_tune(struct vfioctl_domain *domain, const struct vfioctl_tuning *tuning,
                                       struct vfioctl_findings *findings)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *edited = NULL, *whole = NULL;

        int r = domain_copy(domain, &edited);
        if (r < 0)
                return r;
        struct tune tune = {.domain = edited,
                            .root = xmlDocGetRootElement(edited->document),
                            .tuning = tuning,
                            .findings = findings};
        xml_begin();
        r = xml_end(edit(&tune));
        /* Read again, for what was taken out of the text when it was parsed. */
        if (r >= 0)
                r = domain_copy(edited, &whole);
        if (r < 0)
                return r;
        domain_take_edited(domain, whole);
        return 0;
}
