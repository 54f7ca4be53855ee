/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

#define NAMESPACE VFIOCTL_DOMAIN_NAMESPACE

/*
 * Below <metadata>:
 *   <vfioctl:gpus created="metadata" ports="5 6">
 *     <vfioctl:gpu name="2a" address="..." functions="... ..." identity="..." port="5"/>
 * `ports` are the root ports that we added and that are still there, also when their GPU is gone: libvirt
 * fills a gap below the last port, so they can go only from the end. `created` names the elements that were
 * not there before us.
 */

/* ---- metadata ------------------------------------------------------------------------------------ */

int domain_forget_gpus(struct vfioctl_domain *domain, const struct vfioctl_address *list, size_t n)
{
        for (size_t i = 0; i < domain->n_gpus; i++) {
                const struct gpu_entry *entry = &domain->gpus[i];
                bool named = false, kept = false;

                for (size_t k = 0; k < entry->n_functions; k++) {
                        named = named || domain_among(&entry->functions[k], list, n);
                        kept = kept || domain_find(domain, &entry->functions[k]);
                }
                if (!named || kept)
                        continue;
                int r = xml_remove(entry->node);
                if (r < 0)
                        return r;
        }
        return domain_collect_gpus(domain);
}

static int note_created(xmlNode *gpus, const char *what)
{
        const char *created = xml_attribute(gpus, "created");

        return xml_set(gpus, "created", "%s%s%s", created ? created : "", created ? " " : "", what);
}

static bool was_created(const xmlNode *gpus, const char *what)
{
        const char *created = xml_attribute(gpus, "created");

        return created && strstr(created, what);
}

static int new_gpus(xmlNode **ret)
{
        _cleanup_(xml_freep) xmlNode *gpus = xml_new(NULL, "gpus");

        if (!gpus)
                return -ENOMEM;
        xmlNs *namespace = xmlNewNs(gpus, (const xmlChar *)NAMESPACE, (const xmlChar *)"vfioctl");
        if (!namespace || !namespace->href || !namespace->prefix)
                return -ENOMEM;
        xmlSetNs(gpus, namespace);
        *ret = util_steal(gpus);
        return 0;
}

/* Hangs our element, whole by now, below <metadata>; that is made behind what libvirt writes before it. */
static int insert_gpus(struct vfioctl_domain *domain, xmlNode **gpus)
{
        static const char *const before[] = {"description", "title", "genid", "uuid", "name"};
        xmlNode *root = xmlDocGetRootElement(domain->document), *behind = NULL;
        xmlNode *metadata = xml_child(root, "metadata", NULL);

        if (metadata) {
                if (xml_insert(metadata, NULL, *gpus) < 0)
                        return -ENOMEM;
                (void)util_steal(*gpus);
                return 0;
        }
        _cleanup_(xml_freep) xmlNode *created = xml_new(NULL, "metadata");
        if (!created || note_created(*gpus, "metadata") < 0 || !xmlAddChild(created, *gpus))
                return -ENOMEM;
        (void)util_steal(*gpus);
        for (size_t i = 0; i < ELEMENTSOF(before) && !behind; i++)
                behind = xml_child(root, before[i], NULL);
        if (xml_insert(root, behind, created) < 0)
                return -ENOMEM;
        (void)util_steal(created);
        return 0;
}

int domain_set_functions(xmlNode *record, const struct vfioctl_address *functions, size_t n_functions)
{
        char text[GPU_MAX * VFIOCTL_ADDRESS_SIZE] = "", buffer[VFIOCTL_ADDRESS_SIZE];
        size_t length = 0;

        for (size_t i = 0; i < n_functions; i++)
                length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", length ? " " : "",
                                           vfioctl_address_format(&functions[i], buffer));
        int r = xml_set(record, "address", "%s", vfioctl_address_format(&functions[0], buffer));
        return r < 0 ? r : xml_set(record, "functions", "%s", text);
}

static int add_record(xmlNode *gpus, const struct vfioctl_domain_gpu *gpu, unsigned int port)
{
        _cleanup_(xml_freep) xmlNode *record = xml_new(NULL, "gpu");

        if (!record)
                return -ENOMEM;
        xmlSetNs(record, gpus->ns);
        if (xml_set(record, "name", "%s", gpu->name) < 0 ||
            domain_set_functions(record, gpu->functions, gpu->n_functions) < 0 ||
            xml_set(record, "identity", "%s", gpu->identity) < 0 ||
            (port > 0 && xml_set(record, "port", "%u", port) < 0) || xml_insert(gpus, NULL, record) < 0)
                return -ENOMEM;
        (void)util_steal(record);
        return 0;
}

/* ---- hostdevs ------------------------------------------------------------------------------------ */

int domain_set_address(xmlNode *node, const struct vfioctl_address *address)
{
        int r = xml_set(node, "domain", "0x%04x", address->domain);
        if (r >= 0)
                r = xml_set(node, "bus", "0x%02x", address->bus);
        if (r >= 0)
                r = xml_set(node, "slot", "0x%02x", address->device);
        if (r >= 0)
                r = xml_set(node, "function", "0x%x", address->function);
        return r;
}

int domain_add_hostdev(xmlNode *devices, xmlNode *after, const struct vfioctl_address *host,
                       const struct vfioctl_address *guest, bool multifunction)
{
        _cleanup_(xml_freep) xmlNode *hostdev = xml_new(NULL, "hostdev");
        if (!hostdev || xml_set(hostdev, "mode", "subsystem") < 0 || xml_set(hostdev, "type", "pci") < 0 ||
            xml_set(hostdev, "managed", "yes") < 0)
                return -ENOMEM;
        xmlNode *source = xml_new(hostdev, "source");
        xmlNode *host_node = source ? xml_new(source, "address") : NULL;
        if (!host_node || domain_set_address(host_node, host) < 0)
                return -ENOMEM;
        xmlNode *guest_node = guest ? xml_new(hostdev, "address") : NULL;
        if (guest && (!guest_node || xml_set(guest_node, "type", "pci") < 0 ||
                      domain_set_address(guest_node, guest) < 0))
                return -ENOMEM;
        if (guest && multifunction && xml_set(guest_node, "multifunction", "on") < 0)
                return -ENOMEM;
        if (xml_insert(devices, after ? after : domain_last_device(devices, "hostdev"), hostdev) < 0)
                return -ENOMEM;
        (void)util_steal(hostdev);
        return 0;
}

static bool is_plain_text(const char *text)
{
        for (const char *c = text; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        return false;
        return xmlCheckUTF8((const unsigned char *)text);
}

static int check_gpu(const struct vfioctl_domain *domain, const struct vfioctl_domain_gpu *gpu)
{
        if (gpu->n_functions < 1 || gpu->n_functions > GPU_MAX || !gpu->name || !gpu->identity ||
            !is_plain_text(gpu->name) || !is_plain_text(gpu->identity))
                return -EINVAL;
        for (size_t i = 0; i < gpu->n_functions; i++) {
                if (domain_among(&gpu->functions[i], gpu->functions, i))
                        return -EINVAL;
                if (domain_find(domain, &gpu->functions[i]))
                        return -EEXIST;
        }
        return 0;
}

/* ---- the two edits, each on a copy --------------------------------------------------------------- */

/* Written and parsed again, since xmlCopyDoc() drops nodes in silence when memory runs out. */
int domain_copy(const struct vfioctl_domain *domain, struct vfioctl_domain **ret)
{
        _cleanup_free_ char *text = NULL;

        int r = vfioctl_domain_format(domain, &text);
        if (r < 0)
                return r;
        /* What we wrote can be read: else it is what libxml2 left out when memory ran out. */
        r = vfioctl_domain_parse(text, strlen(text), ret, NULL);
        return r == -EINVAL ? -ENOMEM : r;
}

/* Takes the edited content over; the name and the UUID stay where callers have them. */
void domain_take_edited(struct vfioctl_domain *domain, struct vfioctl_domain *edited)
{
        struct vfioctl_domain before = *domain;

        *domain = *edited;
        domain->name = before.name;
        domain->uuid = before.uuid;
        before.name = edited->name;
        before.uuid = edited->uuid;
        *edited = before;
}

static int edit_add(struct vfioctl_domain *domain, const struct vfioctl_domain_gpu *gpu)
{
        xmlNode *root = xmlDocGetRootElement(domain->document), *gpus = domain_gpus(domain);
        struct vfioctl_address guest;
        unsigned int port;
        _cleanup_(xml_freep) xmlNode *fresh = NULL;
        _cleanup_free_ char *error = NULL;
        int r;

        r = domain_forget_gpus(domain, gpu->functions, gpu->n_functions);
        if (r < 0)
                return r;
        if (!gpus) {
                r = new_gpus(&fresh);
                if (r < 0)
                        return r;
                gpus = fresh;
        }
        if (!domain_devices(domain)) {
                _cleanup_(xml_freep) xmlNode *devices = xml_new(NULL, "devices");
                if (!devices || xml_insert(root, NULL, devices) < 0)
                        return -ENOMEM;
                (void)util_steal(devices);
                r = note_created(gpus, "devices");
                if (r < 0)
                        return r;
        }

        r = domain_take_place(domain, gpus, &guest, &port);
        if (r < 0)
                return r;
        r = add_record(gpus, gpu, port);
        if (r < 0)
                return r;
        if (fresh) {
                r = insert_gpus(domain, &fresh);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < gpu->n_functions; i++) {
                guest.function = (uint8_t)i;
                r = domain_add_hostdev(domain_devices(domain), NULL, &gpu->functions[i], &guest,
                                       i == 0 && gpu->n_functions > 1);
                if (r < 0)
                        return r;
        }
        return domain_collect(domain, &error);
}

VFIOCTL_EXPORT int vfioctl_domain_add_gpu(struct vfioctl_domain *domain, const struct vfioctl_domain_gpu *gpu)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *edited = NULL;

        int r = check_gpu(domain, gpu);
        if (r < 0)
                return r;
        r = domain_copy(domain, &edited);
        if (r < 0)
                return r;
        xml_begin();
        r = xml_end(edit_add(edited, gpu));
        if (r < 0)
                return r;
        domain_take_edited(domain, edited);
        return 0;
}

/* Takes our unused ports away from the end, and what we created once nothing of it is needed. */
static int tidy(struct vfioctl_domain *domain)
{
        xmlNode *gpus = domain_gpus(domain), *root = xmlDocGetRootElement(domain->document);

        if (!gpus)
                return 0;
        int r = domain_drop_ports(domain, gpus);
        if (r < 0)
                return r;
        if (xmlFirstElementChild(gpus) || xml_attribute(gpus, "ports"))
                return 0;

        bool created_metadata = was_created(gpus, "metadata"), created_devices = was_created(gpus, "devices");
        xmlNode *metadata = gpus->parent, *devices = xml_child(root, "devices", NULL);
        r = xml_remove(gpus);
        if (r >= 0 && created_metadata && xml_is_empty(metadata))
                r = xml_remove(metadata);
        if (r >= 0 && created_devices && devices && xml_is_empty(devices))
                r = xml_remove(devices);
        return r;
}

static int edit_remove(struct vfioctl_domain *domain, const struct vfioctl_address *functions,
                       size_t n_functions)
{
        _cleanup_free_ char *error = NULL;
        int count = 0, r;

        for (size_t i = 0; i < domain->n_hostdevs; i++)
                if (domain_among(&domain->hostdevs[i].host, functions, n_functions)) {
                        r = xml_remove(domain->hostdevs[i].node);
                        if (r < 0)
                                return r;
                        count++;
                }
        r = domain_collect(domain, &error);
        if (r < 0)
                return r;
        r = domain_forget_gpus(domain, functions, n_functions);
        if (r < 0)
                return r;
        r = tidy(domain);
        return r < 0 ? r : count;
}

VFIOCTL_EXPORT int vfioctl_domain_remove_gpu(struct vfioctl_domain *domain,
                                             const struct vfioctl_address *functions, size_t n_functions)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *edited = NULL;

        int r = domain_copy(domain, &edited);
        if (r < 0)
                return r;
        xml_begin();
        r = xml_end(edit_remove(edited, functions, n_functions));
        if (r >= 0)
                domain_take_edited(domain, edited);
        return r;
}
