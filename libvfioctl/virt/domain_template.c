/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

/* What a template must not have, as several VMs are made of it. */

static int refuse(const xmlNode *node, const char *what, char **ret_error)
{
        int r = util_format(ret_error, "line %ld: %s", xmlGetLineNo(node), what);

        return r < 0 ? r : -EINVAL;
}

static const xmlNode *find_mac(const xmlNode *devices)
{
        for (const xmlNode *interface = xml_child(devices, "interface", NULL); interface;
             interface = xml_next(interface, "interface", NULL))
                if (xml_child(interface, "mac", NULL))
                        return xml_child(interface, "mac", NULL);
        return NULL;
}

/* Several VMs that write to one disk destroy what is on it. */
static const xmlNode *find_own_disk(const xmlNode *devices)
{
        for (const xmlNode *disk = xml_child(devices, "disk", NULL); disk;
             disk = xml_next(disk, "disk", NULL))
                if (!util_equal(xml_attribute(disk, "device"), "cdrom") &&
                    !xml_child(disk, "readonly", NULL) && !xml_child(disk, "shareable", NULL))
                        return disk;
        return NULL;
}

/* --memory could not say how much is where: vfioctl_domain_tune() refuses it. */
static const xmlNode *find_parted_memory(const xmlNode *root, const xmlNode *devices)
{
        const xmlNode *cell = xml_child(xml_child(xml_child(root, "cpu", NULL), "numa", NULL), "cell", NULL);
        const xmlNode *modules = xml_child(root, "maxMemory", NULL);

        if (cell && xml_next(cell, "cell", NULL))
                return xml_next(cell, "cell", NULL);
        return modules ? modules : xml_child(devices, "memory", NULL);
}

static int check(const struct vfioctl_domain *domain, char **ret_error)
{
        const xmlNode *root = xmlDocGetRootElement(domain->document), *devices = domain_devices(domain);
        const xmlNode *os = xml_child(root, "os", NULL);
        const struct {
                const xmlNode *node;
                const char *why;
        } wrong[] = {
                {os ? NULL : root, "there is no <os>"},
                {xml_child(root, "uuid", NULL), "a template has no <uuid>: each VM gets its own"},
                {xml_child(root, "genid", NULL), "a template has no <genid>: each VM has its own"},
                {xml_child(os, "nvram", NULL),
                 "a template has no <nvram>: each VM has its own UEFI variables"},
                {xml_child(devices, "hostdev", NULL),
                 "a template has no <hostdev>: a device of the host can be one VM's only"},
                {find_mac(devices), "a template has no <mac>: each VM gets its own address"},
                {find_parted_memory(root, devices), "a template has its memory in one piece: no second NUMA "
                                                    "<cell>, <maxMemory> or <memory> device"},
                {find_own_disk(devices), "a template has no disk that VMs write to; --disk adds one"},
                {domain_gpus(domain), "it is the definition of a VM that has a GPU of vfioctl's"},
        };

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                if (wrong[i].node)
                        return refuse(wrong[i].node, wrong[i].why, ret_error);
        return 0;
}

VFIOCTL_EXPORT int vfioctl_domain_check_template(const struct vfioctl_domain *domain, char **ret_error)
{
        _cleanup_free_ char *error = NULL;

        int r = check(domain, &error);
        if (r == -EINVAL && ret_error)
                *ret_error = util_steal(error);
        return r;
}

/* One line of it, with single blanks. */
static void squeeze(char *text)
{
        char *to = text;

        for (const char *from = text; *from; from++) {
                bool blank = strchr(" \t\r\n", *from);
                if (!blank)
                        *to++ = *from;
                else if (to > text && to[-1] != ' ')
                        *to++ = ' ';
        }
        while (to > text && to[-1] == ' ')
                to--;
        *to = '\0';
}

VFIOCTL_EXPORT int vfioctl_domain_summary(const struct vfioctl_domain *domain, char **ret)
{
        const xmlNode *root = xmlDocGetRootElement(domain->document);
        const xmlNode *node = xml_child(root, "title", NULL);

        if (!node)
                node = xml_child(root, "description", NULL);
        if (!node) {
                *ret = NULL;
                return 0;
        }
        char *text = (char *)xmlNodeGetContent(node), *copy = NULL;
        int r = text ? util_copy(text + strspn(text, " \t\r\n"), &copy) : -ENOMEM;
        xmlFree(text);
        if (r < 0)
                return r;
        copy[strcspn(copy, "\n")] = '\0';
        squeeze(copy);
        *ret = copy;
        return 0;
}

VFIOCTL_EXPORT const char *vfioctl_domain_network(const struct vfioctl_domain *domain)
{
        const xmlNode *interface = xml_child(domain_devices(domain), "interface", NULL);

        while (interface && !util_equal(xml_attribute(interface, "type"), "network"))
                interface = xml_next(interface, "interface", NULL);
        return xml_attribute(xml_child(interface, "source", NULL), "network");
}
