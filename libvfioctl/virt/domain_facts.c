/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

/* What a definition says of the guest that runs in the VM. */

#define LIBOSINFO "http://libosinfo.org/xmlns/libvirt/domain/1.0"

static const xmlNode *root_of(const struct vfioctl_domain *domain)
{
        return xmlDocGetRootElement(domain->document);
}

/* As virt-manager and virt-install write it: "http://microsoft.com/win/11". */
static const char *os_id(const struct vfioctl_domain *domain)
{
        const xmlNode *metadata = xml_child(root_of(domain), "metadata", NULL);

        return xml_attribute(xml_child(xml_child(metadata, "libosinfo", LIBOSINFO), "os", LIBOSINFO), "id");
}

static bool has_display(const xmlNode *devices)
{
        for (const xmlNode *video = xml_child(devices, "video", NULL); video;
             video = xml_next(video, "video", NULL))
                if (!util_equal(xml_attribute(xml_child(video, "model", NULL), "type"), "none"))
                        return true;
        return false;
}

/* formatdomain, "BIOS bootloader": by <loader secure=...>, or by a feature of the firmware that is asked for.
 */
static bool has_secure_boot(const xmlNode *os)
{
        const xmlNode *firmware = xml_child(os, "firmware", NULL);

        for (const xmlNode *feature = xml_child(firmware, "feature", NULL); feature;
             feature = xml_next(feature, "feature", NULL))
                if (util_equal(xml_attribute(feature, "name"), "secure-boot"))
                        return util_equal(xml_attribute(feature, "enabled"), "yes");
        return util_equal(xml_attribute(xml_child(os, "loader", NULL), "secure"), "yes");
}

static bool has_uefi(const xmlNode *os)
{
        return util_equal(xml_attribute(os, "firmware"), "efi") ||
               util_equal(xml_attribute(xml_child(os, "loader", NULL), "type"), "pflash");
}

static bool hides_hypervisor(const xmlNode *cpu)
{
        for (const xmlNode *feature = xml_child(cpu, "feature", NULL); feature;
             feature = xml_next(feature, "feature", NULL))
                if (util_equal(xml_attribute(feature, "name"), "hypervisor"))
                        return util_equal(xml_attribute(feature, "policy"), "disable");
        return false;
}

VFIOCTL_EXPORT struct vfioctl_guest_facts vfioctl_domain_guest_facts(const struct vfioctl_domain *domain)
{
        const xmlNode *root = root_of(domain), *os = xml_child(root, "os", NULL);
        const xmlNode *kvm = xml_child(xml_child(root, "features", NULL), "kvm", NULL);

        return (struct vfioctl_guest_facts){
                .os = os_id(domain),
                .has_display = has_display(domain_devices(domain)),
                .has_uefi = has_uefi(os),
                .has_secure_boot = has_secure_boot(os),
                .hides_kvm = util_equal(xml_attribute(xml_child(kvm, "hidden", NULL), "state"), "on"),
                .hides_hypervisor = hides_hypervisor(xml_child(root, "cpu", NULL)),
        };
}
