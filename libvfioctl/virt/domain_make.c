/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_make.h"

/* A new VM of its template: what it is. Its devices are in domain_make_devices.c. */

#define OSINFO_NAMESPACE "http://libosinfo.org/xmlns/libvirt/domain/1.0"
#define OS_WINDOWS       "http://microsoft.com/win/11"
#define OS_LINUX         "http://libosinfo.org/linux/2022"

VFIOCTL_EXPORT bool vfioctl_domain_is_name(const char *name)
{
        bool blank = true;

        if (!name || strlen(name) > VFIOCTL_VM_NAME_MAX || strchr(name, '/'))
                return false;
        for (const char *at = name; *at; at++) {
                if ((unsigned char)*at < ' ' || *at == 127)
                        return false;
                blank = blank && *at == ' ';
        }
        return !blank && xmlCheckUTF8((const unsigned char *)name);
}

int make_text(xmlNode *node, const char *text)
{
        xmlNode *content = xmlNewText((const xmlChar *)text);

        if (!content)
                return -ENOMEM;
        xmlNodeSetContent(node, NULL);
        if (!xmlAddChild(node, content)) {
                xmlFreeNode(content);
                return -ENOMEM;
        }
        return 0;
}

int make_insert(xmlNode *parent, xmlNode *after, xmlNode **node)
{
        int r = *node ? xml_insert(parent, after, *node) : -ENOMEM;

        if (r >= 0)
                (void)util_steal(*node);
        return r;
}

/* The child of this name, made behind `after` where there is none; NULL without memory. */
static xmlNode *need_child(xmlNode *parent, const char *name, xmlNode *after)
{
        xmlNode *found = xml_child(parent, name, NULL);

        if (found)
                return found;
        _cleanup_(xml_freep) xmlNode *made = xml_new(NULL, name);
        return make_insert(parent, after, &made) < 0 ? NULL : xml_child(parent, name, NULL);
}

static int drop_child(xmlNode *parent, const char *name)
{
        xmlNode *found = xml_child(parent, name, NULL);

        return found ? xml_remove(found) : 0;
}

/* ---- what runs in it ---- */

static int add_osinfo(xmlNode *root, const char *id)
{
        xmlNode *metadata = need_child(root, "metadata", xml_child(root, "name", NULL));
        _cleanup_(xml_freep) xmlNode *info = xml_new(NULL, "libosinfo");

        if (!metadata || !info)
                return -ENOMEM;
        xmlNs *namespace = xmlNewNs(info, (const xmlChar *)OSINFO_NAMESPACE, (const xmlChar *)"libosinfo");
        xmlNode *os = xml_new(info, "os");
        if (!namespace || !namespace->href || !namespace->prefix || !os || xml_set(os, "id", "%s", id) < 0)
                return -ENOMEM;
        xmlSetNs(info, namespace);
        xmlSetNs(os, namespace);
        return make_insert(metadata, NULL, &info);
}

static int set_guest(struct vfioctl_domain *domain, enum vfioctl_guest guest)
{
        xmlNode *root = xmlDocGetRootElement(domain->document);
        const char *id = guest == VFIOCTL_GUEST_WINDOWS ? OS_WINDOWS : OS_LINUX;

        if (guest == VFIOCTL_GUEST_OTHER || vfioctl_domain_guest(domain) == guest)
                return 0;
        xmlNode *info = xml_child(xml_child(root, "metadata", NULL), "libosinfo", OSINFO_NAMESPACE);
        xmlNode *os = xml_child(info, "os", OSINFO_NAMESPACE);
        if (os)
                return xml_set(os, "id", "%s", id);
        int r = info ? xml_remove(info) : 0;
        return r < 0 ? r : add_osinfo(root, id);
}

/* ---- firmware ---- */

static int set_feature(xmlNode *firmware, const char *name, bool enabled)
{
        xmlNode *feature = xml_child(firmware, "feature", NULL);

        while (feature && !util_equal(xml_attribute(feature, "name"), name))
                feature = xml_next(feature, "feature", NULL);
        if (feature)
                return xml_set(feature, "enabled", "%s", enabled ? "yes" : "no");
        _cleanup_(xml_freep) xmlNode *made = xml_new(NULL, "feature");
        if (!made || xml_set(made, "enabled", "%s", enabled ? "yes" : "no") < 0 ||
            xml_set(made, "name", "%s", name) < 0)
                return -ENOMEM;
        return make_insert(firmware, NULL, &made);
}

static bool has_feature(const xmlNode *os, const char *name)
{
        const xmlNode *feature = xml_child(xml_child(os, "firmware", NULL), "feature", NULL);

        while (feature && !util_equal(xml_attribute(feature, "name"), name))
                feature = xml_next(feature, "feature", NULL);
        return util_equal(xml_attribute(feature, "enabled"), "yes");
}

/*
 * Where the template leaves the choice of the firmware to libvirt (formatdomain, "Operating system booting"),
 * it is told whether Secure Boot is to be in it. One that names its files is left alone.
 */
static int set_firmware(xmlNode *root, const struct vfioctl_make *make)
{
        xmlNode *os = xml_child(root, "os", NULL);
        bool wanted = has_feature(os, "secure-boot") && make->secure_boot;

        if (!util_equal(xml_attribute(os, "firmware"), "efi") || xml_child(os, "loader", NULL))
                return 0;
        if (make->guest != VFIOCTL_GUEST_OTHER)
                wanted = make->guest == VFIOCTL_GUEST_WINDOWS && make->secure_boot;
        if (wanted == has_feature(os, "secure-boot") && make->guest == VFIOCTL_GUEST_OTHER)
                return 0;
        xmlNode *firmware = need_child(os, "firmware", xml_child(os, "type", NULL));
        if (!firmware || set_feature(firmware, "enrolled-keys", wanted) < 0)
                return -ENOMEM;
        return set_feature(firmware, "secure-boot", wanted);
}

/* Windows 11 does not install without one: TPM 2.0 is among its system requirements. */
static int add_tpm(struct vfioctl_domain *domain)
{
        _cleanup_(xml_freep) xmlNode *tpm = xml_new(NULL, "tpm");
        xmlNode *devices = domain_devices(domain), *backend = tpm ? xml_new(tpm, "backend") : NULL;

        if (vfioctl_domain_guest(domain) != VFIOCTL_GUEST_WINDOWS || xml_child(devices, "tpm", NULL))
                return 0;
        if (!backend || xml_set(tpm, "model", "tpm-crb") < 0 || xml_set(backend, "type", "emulator") < 0 ||
            xml_set(backend, "version", "2.0") < 0)
                return -ENOMEM;
        return make_insert(devices, NULL, &tpm);
}

/* ---- all of it ---- */

static int set_name(xmlNode *root, const struct vfioctl_make *make)
{
        int r = make_text(xml_child(root, "name", NULL), make->name);

        if (r >= 0)
                r = xml_set(root, "type", "%s", make->type);
        if (r >= 0)
                r = drop_child(root, "uuid");
        if (r >= 0 && make->uuid) {
                _cleanup_(xml_freep) xmlNode *uuid = xml_new(NULL, "uuid");
                r = uuid ? make_text(uuid, make->uuid) : -ENOMEM;
                if (r >= 0)
                        r = make_insert(root, xml_child(root, "name", NULL), &uuid);
        }
        /* They speak of the template. */
        if (r >= 0)
                r = drop_child(root, "title");
        return r < 0 ? r : drop_child(root, "description");
}

/* What stands before <domain> tells of the template. */
static void drop_preface(xmlDoc *document)
{
        for (xmlNode *node = document->children, *next; node && node->type != XML_ELEMENT_NODE; node = next) {
                next = node->next;
                if (node->type != XML_COMMENT_NODE)
                        continue;
                xmlUnlinkNode(node);
                xmlFreeNode(node);
        }
}

static int edit(struct vfioctl_domain *domain, const struct vfioctl_make *make)
{
        xmlNode *root = xmlDocGetRootElement(domain->document);
        _cleanup_free_ char *error = NULL;

        drop_preface(domain->document);
        int r = set_name(root, make);
        if (r >= 0 && !need_child(root, "devices", NULL))
                r = -ENOMEM;
        if (r >= 0)
                r = set_guest(domain, make->guest);
        if (r >= 0)
                r = set_firmware(root, make);
        if (r >= 0)
                r = add_tpm(domain);
        if (r >= 0)
                r = make_devices(domain, make);
        return r < 0 ? r : domain_collect(domain, &error);
}

VFIOCTL_EXPORT bool vfioctl_domain_is_path(const char *path)
{
        if (!path || *path != '/')
                return false;
        for (const char *at = path; *at; at++)
                if ((unsigned char)*at < ' ' || *at == 127)
                        return false;
        return xmlCheckUTF8((const unsigned char *)path);
}

static bool makes_sense(const struct vfioctl_make *make)
{
        if (!vfioctl_domain_is_name(make->name) || !make->type || !make->disk_format ||
            !vfioctl_domain_is_path(make->disk) || (make->network && make->bridge))
                return false;
        for (size_t i = 0; i < make->n_isos; i++)
                if (!vfioctl_domain_is_path(make->isos[i]))
                        return false;
        for (size_t i = 0; i < make->n_evdevs; i++)
                if (!vfioctl_domain_is_path(make->evdevs[i]))
                        return false;
        return true;
}

VFIOCTL_EXPORT int vfioctl_domain_make(struct vfioctl_domain *domain, const struct vfioctl_make *make)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *edited = NULL;
        _cleanup_free_ char *name = NULL, *uuid = NULL;

        if (!makes_sense(make))
                return -EINVAL;
        if (make->usb && domain_find(domain, make->usb))
                return -EEXIST;
        int r = util_copy(make->name, &name);
        if (r >= 0 && make->uuid)
                r = util_copy(make->uuid, &uuid);
        if (r >= 0)
                r = domain_copy(domain, &edited);
        if (r < 0)
                return r;
        xml_begin();
        r = xml_end(edit(edited, make));
        if (r < 0)
                return r;
        /* Another VM than the template's. */
        domain_take_edited(domain, edited);
        free(domain->name);
        domain->name = util_steal(name);
        free(domain->uuid);
        domain->uuid = util_steal(uuid);
        return 0;
}
