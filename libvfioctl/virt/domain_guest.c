/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

/*
 * What runs in a VM is told by <libosinfo:os id="..."> below <libosinfo:libosinfo> in the metadata, as
 * virt-install and virt-manager write it. The IDs are URLs of whoever makes the system.
 */
#define LIBOSINFO "http://libosinfo.org/xmlns/libvirt/domain/1.0"

/* The systems of libosinfo's database that are neither. */
static const char *const others[] = {
        "microsoft.com/",     "apple.com/",        "freebsd.org/",       "openbsd.org/",
        "netbsd.org/",        "dragonflybsd.org/", "oracle.com/solaris", "sun.com/",
        "openindiana.org/",   "smartos.org/",      "illumos.org/",       "omnios.org/",
        "haiku-os.org/",      "freedos.org/",      "reactos.org/",       "novell.com/",
        "hyperbola.info/bsd", "ghostbsd.org/",     "truenas.com/core",   "libosinfo.org/unknown",
        "midnightbsd.org/",   "minix3.org/",       "genode.org/",        "plan9",
};

static xmlNode *os_element(const struct vfioctl_domain *domain)
{
        xmlNode *metadata = xml_child(xmlDocGetRootElement(domain->document), "metadata", NULL);

        return xml_child(xml_child(metadata, "libosinfo", LIBOSINFO), "os", LIBOSINFO);
}

static enum vfioctl_guest guest_of(const char *id)
{
        if (strstr(id, "microsoft.com/win"))
                return VFIOCTL_GUEST_WINDOWS;
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (strstr(id, others[i]))
                        return VFIOCTL_GUEST_OTHER;
        return VFIOCTL_GUEST_LINUX;
}

VFIOCTL_EXPORT enum vfioctl_guest vfioctl_domain_guest(const struct vfioctl_domain *domain)
{
        const xmlNode *root = xmlDocGetRootElement(domain->document);
        const xmlNode *hyperv = xml_child(xml_child(root, "features", NULL), "hyperv", NULL);
        const char *id = xml_attribute(os_element(domain), "id");

        if (id && *id)
                return guest_of(id);
        if (util_equal(xml_attribute(hyperv, "mode"), "passthrough") ||
            util_equal(xml_attribute(xml_child(hyperv, "relaxed", NULL), "state"), "on"))
                return VFIOCTL_GUEST_WINDOWS;
        return VFIOCTL_GUEST_OTHER;
}

static xmlNode *new_below(xmlNode *parent, const char *name, xmlNs *namespace)
{
        xmlNode *node = xml_new(parent, name);

        if (node)
                xmlSetNs(node, namespace);
        return node;
}

int domain_set_guest(struct vfioctl_domain *domain, enum vfioctl_guest guest)
{
        /* Which one of its kind is not known. */
        const char *id = guest == VFIOCTL_GUEST_WINDOWS ? "http://microsoft.com/win/11"
                                                        : "http://libosinfo.org/linux/2022";
        xmlNode *root = xmlDocGetRootElement(domain->document), *os = os_element(domain), *metadata;
        const char *now = xml_attribute(os, "id");

        if (now && *now && guest_of(now) == guest)
                return 0;
        if (os)
                return xml_set(os, "id", "%s", id);
        _cleanup_(xml_freep) xmlNode *info = xml_new(NULL, "libosinfo");
        xmlNs *namespace =
                info ? xmlNewNs(info, (const xmlChar *)LIBOSINFO, (const xmlChar *)"libosinfo") : NULL;
        if (!namespace || !namespace->href || !namespace->prefix)
                return -ENOMEM;
        xmlSetNs(info, namespace);
        os = new_below(info, "os", namespace);
        if (!os || xml_set(os, "id", "%s", id) < 0)
                return -ENOMEM;
        int r = domain_ensure(root, "metadata", &metadata);
        if (r < 0)
                return r;
        /* libvirt keeps one element of a namespace: one without <os> gives way. */
        xmlNode *old = xml_child(metadata, "libosinfo", LIBOSINFO);
        r = old ? xml_remove(old) : 0;
        return r < 0 ? r : domain_put(metadata, &info);
}
