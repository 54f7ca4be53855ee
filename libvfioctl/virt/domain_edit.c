/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

#define BUS_MAX   255
#define SLOT_MAX  31
#define GPU_MAX   8 /* functions of one slot */
#define NAMESPACE VFIOCTL_DOMAIN_NAMESPACE

/*
 * Below <metadata>:
 *   <vfioctl:gpus created="metadata" ports="5 6">
 *     <vfioctl:gpu name="2a" address="..." functions="... ..." identity="..." port="5"/>
 * `ports` are the root ports that we added and that are still there, also when their GPU is gone: libvirt
 * fills a gap below the last port, so they can go only from the end. `created` names the elements that were
 * not there before us.
 */

struct ports {
        bool ours[BUS_MAX + 1];  /* root ports recorded as added by us */
        bool model[BUS_MAX + 1]; /* buses that are a pcie-root-port */
        bool used[BUS_MAX + 1];  /* buses that some device sits on */
        unsigned int last;       /* the highest bus that the definition names */
};

typedef int (*address_fn)(const xmlNode *node, const struct vfioctl_address *address, void *userdata);

/* Calls `fn` for each guest PCI address, in whatever element; those in <source> are the host's. */
static int each_guest_address(const xmlNode *node, address_fn fn, void *userdata)
{
        for (const xmlNode *child = node ? node->children : NULL; child; child = child->next) {
                struct vfioctl_address address;

                if (child->type != XML_ELEMENT_NODE || util_equal((const char *)child->name, "source"))
                        continue;
                if (util_equal((const char *)child->name, "address") &&
                    util_equal(xml_attribute(child, "type"), "pci") &&
                    xml_pci_address(child, &address) == 0) {
                        int r = fn(child, &address, userdata);
                        if (r < 0)
                                return r;
                }
                int r = each_guest_address(child, fn, userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}

static xmlNode *find_devices(const struct vfioctl_domain *domain)
{
        return xml_child(xmlDocGetRootElement(domain->document), "devices", NULL);
}

static xmlNode *find_gpus(const struct vfioctl_domain *domain)
{
        xmlNode *metadata = xml_child(xmlDocGetRootElement(domain->document), "metadata", NULL);

        return xml_child(metadata, "gpus", NAMESPACE);
}

static bool is_pci_controller(const xmlNode *node)
{
        return util_equal(xml_attribute(node, "type"), "pci");
}

/*
 * libvirt's own choice (qemuDomainMachineIsI440FX) where the definition does not say it by its controllers.
 * "pc-q35-7.2" begins like the names of an i440fx.
 */
static bool has_pcie(const struct vfioctl_domain *domain)
{
        const xmlNode *root = xmlDocGetRootElement(domain->document);
        bool pci_root = false;

        for (const xmlNode *node = xml_child(find_devices(domain), "controller", NULL); node;
             node = xml_next(node, "controller", NULL)) {
                const char *model = xml_attribute(node, "model");
                if (!is_pci_controller(node) || !model)
                        continue;
                if (util_equal(model, "pcie-root"))
                        return true;
                pci_root = pci_root || util_equal(model, "pci-root");
        }
        if (pci_root)
                return false;
        const char *machine = xml_attribute(xml_child(xml_child(root, "os", NULL), "type", NULL), "machine");
        if (!machine)
                return true;
        return !(util_equal(machine, "pc") || util_has_prefix(machine, "pc-i440fx-") ||
                 util_has_prefix(machine, "pc-0.") || util_has_prefix(machine, "pc-1."));
}

/* ---- ports --------------------------------------------------------------------------------------- */

static int mark_bus(const xmlNode *node, const struct vfioctl_address *address, void *userdata)
{
        struct ports *ports = userdata;

        (void)node;
        if (address->domain != 0)
                return 0;
        ports->used[address->bus] = true;
        if (address->bus > ports->last)
                ports->last = address->bus;
        return 0;
}

static void read_ports(const struct vfioctl_domain *domain, struct ports *ports)
{
        const xmlNode *devices = find_devices(domain);
        const char *recorded = xml_attribute(find_gpus(domain), "ports");

        memset(ports, 0, sizeof(*ports));
        (void)each_guest_address(devices, mark_bus, ports);
        for (const xmlNode *node = xml_child(devices, "controller", NULL); node;
             node = xml_next(node, "controller", NULL)) {
                uint64_t index;
                if (!is_pci_controller(node) || xml_number(node, "index", BUS_MAX, &index) < 0)
                        continue;
                ports->model[index] = util_equal(xml_attribute(node, "model"), "pcie-root-port");
                if (index > ports->last)
                        ports->last = (unsigned int)index;
        }
        while (recorded && *recorded) {
                char *end = NULL;
                unsigned long index = strtoul(recorded, &end, 10);
                if (end == recorded)
                        break;
                if (index <= BUS_MAX)
                        ports->ours[index] = ports->model[index];
                recorded = end;
        }
}

static int write_ports(xmlNode *gpus, const struct ports *ports)
{
        char text[(BUS_MAX + 1) * 4 + 1] = "";
        size_t length = 0;

        for (unsigned int i = 0; i <= BUS_MAX; i++)
                if (ports->ours[i])
                        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%u",
                                                   length ? " " : "", i);
        if (length > 0)
                return xml_set(gpus, "ports", "%s", text);
        (void)xmlUnsetProp(gpus, (const xmlChar *)"ports");
        return 0;
}

static xmlNode *find_port(const struct vfioctl_domain *domain, unsigned int wanted)
{
        for (xmlNode *node = xml_child(find_devices(domain), "controller", NULL); node;
             node = xml_next(node, "controller", NULL)) {
                uint64_t index;
                if (is_pci_controller(node) && xml_number(node, "index", BUS_MAX, &index) == 0 &&
                    index == wanted)
                        return node;
        }
        return NULL;
}

/* The last element of this name in <devices>, so that a new one stands with its like. */
static xmlNode *last_device(const xmlNode *devices, const char *name)
{
        xmlNode *last = NULL;

        for (xmlNode *node = xml_child(devices, name, NULL); node; node = xml_next(node, name, NULL))
                last = node;
        return last;
}

/* An unused port of our own, or a new one behind all others. */
static int take_port(struct vfioctl_domain *domain, struct ports *ports, unsigned int *ret)
{
        xmlNode *devices = find_devices(domain);

        for (unsigned int i = 1; i <= ports->last; i++)
                if (ports->ours[i] && !ports->used[i]) {
                        *ret = i;
                        return 0;
                }
        if (ports->last >= BUS_MAX)
                return -ENOSPC;

        unsigned int index = ports->last + 1;
        _cleanup_(xml_freep) xmlNode *port = xml_new(NULL, "controller");
        if (!port || xml_set(port, "type", "pci") < 0 || xml_set(port, "index", "%u", index) < 0 ||
            xml_set(port, "model", "pcie-root-port") < 0 ||
            xml_insert(devices, last_device(devices, "controller"), port) < 0)
                return -ENOMEM;
        (void)util_steal(port);
        ports->ours[index] = true;
        ports->last = index;
        *ret = index;
        return 0;
}

static int mark_slot(const xmlNode *node, const struct vfioctl_address *address, void *userdata)
{
        bool *used = userdata;

        (void)node;
        if (address->domain == 0 && address->bus == 0)
                used[address->device] = true;
        return 0;
}

/*
 * A free slot of an i440fx's only bus. Slot 0 is the host bridge and slot 1 the PIIX3, whether or not the
 * definition names them; libvirt puts the first video device into slot 2.
 */
static int take_slot(const struct vfioctl_domain *domain, unsigned int *ret)
{
        const xmlNode *devices = find_devices(domain);
        const xmlNode *video = xml_child(devices, "video", NULL);
        bool used[SLOT_MAX + 1] = {true, true};

        (void)each_guest_address(devices, mark_slot, used);
        if (video && !xml_child(video, "address", NULL))
                used[2] = true;
        for (unsigned int i = 0; i <= SLOT_MAX; i++)
                if (!used[i]) {
                        *ret = i;
                        return 0;
                }
        return -ENOSPC;
}

/* ---- metadata ------------------------------------------------------------------------------------ */

/* The functions that a <vfioctl:gpu> names; how many, and 0 for one that somebody spoilt. */
static size_t read_functions(const xmlNode *gpu, struct vfioctl_address functions[GPU_MAX])
{
        const char *text = xml_attribute(gpu, "functions");
        size_t count = 0;

        while (text && *text && count < GPU_MAX) {
                char one[VFIOCTL_ADDRESS_SIZE] = "";
                size_t length = strcspn(text, " ");
                if (length == 0 || length >= sizeof(one))
                        return 0;
                memcpy(one, text, length);
                if (vfioctl_address_parse(one, &functions[count++]) < 0)
                        return 0;
                text += length;
                text += strspn(text, " ");
        }
        return count;
}

static bool among(const struct vfioctl_address *address, const struct vfioctl_address *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (vfioctl_address_compare(address, &list[i]) == 0)
                        return true;
        return false;
}

/* Removes what is recorded of these functions, unless the definition still passes one of that GPU through. */
static int forget_gpus(const struct vfioctl_domain *domain, const struct vfioctl_address *list, size_t n)
{
        xmlNode *next = NULL;

        for (xmlNode *gpu = xml_child(find_gpus(domain), "gpu", NAMESPACE); gpu; gpu = next) {
                struct vfioctl_address functions[GPU_MAX];
                size_t n_functions = read_functions(gpu, functions);
                bool named = false, kept = false;

                next = xml_next(gpu, "gpu", NAMESPACE);
                for (size_t i = 0; i < n_functions; i++) {
                        named = named || among(&functions[i], list, n);
                        kept = kept || domain_find(domain, &functions[i]);
                }
                if (!named || kept)
                        continue;
                int r = xml_remove(gpu);
                if (r < 0)
                        return r;
        }
        return 0;
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

static bool is_empty(const xmlNode *node)
{
        for (const xmlNode *child = node ? node->children : NULL; child; child = child->next)
                if (!xmlIsBlankNode(child))
                        return false;
        return true;
}

static int new_gpus(xmlNode **ret)
{
        _cleanup_(xml_freep) xmlNode *gpus = xml_new(NULL, "gpus");

        if (!gpus)
                return -ENOMEM;
        xmlNs *namespace = xmlNewNs(gpus, (const xmlChar *)NAMESPACE, (const xmlChar *)"vfioctl");
        if (!namespace)
                return -ENOMEM;
        xmlSetNs(gpus, namespace);
        *ret = util_steal(gpus);
        return 0;
}

/* Hangs our element, once it is whole, below <metadata>, which is made behind what libvirt writes before it.
 */
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

static int add_record(xmlNode *gpus, const struct vfioctl_domain_gpu *gpu, const char *port)
{
        char functions[GPU_MAX * VFIOCTL_ADDRESS_SIZE] = "", buffer[VFIOCTL_ADDRESS_SIZE];
        _cleanup_(xml_freep) xmlNode *record = xml_new(NULL, "gpu");
        size_t length = 0;

        if (!record)
                return -ENOMEM;
        xmlSetNs(record, gpus->ns);
        for (size_t i = 0; i < gpu->n_functions; i++)
                length += (size_t)snprintf(functions + length, sizeof(functions) - length, "%s%s",
                                           length ? " " : "",
                                           vfioctl_address_format(&gpu->functions[i], buffer));
        if (xml_set(record, "name", "%s", gpu->name) < 0 ||
            xml_set(record, "address", "%s", vfioctl_address_format(&gpu->functions[0], buffer)) < 0 ||
            xml_set(record, "functions", "%s", functions) < 0 ||
            xml_set(record, "identity", "%s", gpu->identity) < 0 ||
            (port && xml_set(record, "port", "%s", port) < 0) || xml_insert(gpus, NULL, record) < 0)
                return -ENOMEM;
        (void)util_steal(record);
        return 0;
}

/* ---- hostdevs ------------------------------------------------------------------------------------ */

static int set_address(xmlNode *node, const struct vfioctl_address *address)
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

static int add_hostdev(xmlNode *devices, const struct vfioctl_address *host,
                       const struct vfioctl_address *guest, bool multifunction)
{
        _cleanup_(xml_freep) xmlNode *hostdev = xml_new(NULL, "hostdev");
        if (!hostdev || xml_set(hostdev, "mode", "subsystem") < 0 || xml_set(hostdev, "type", "pci") < 0 ||
            xml_set(hostdev, "managed", "yes") < 0)
                return -ENOMEM;
        xmlNode *source = xml_new(hostdev, "source");
        xmlNode *host_node = source ? xml_new(source, "address") : NULL;
        if (!host_node || set_address(host_node, host) < 0)
                return -ENOMEM;
        xmlNode *guest_node = xml_new(hostdev, "address");
        if (!guest_node || xml_set(guest_node, "type", "pci") < 0 || set_address(guest_node, guest) < 0)
                return -ENOMEM;
        if (multifunction && xml_set(guest_node, "multifunction", "on") < 0)
                return -ENOMEM;
        if (xml_insert(devices, last_device(devices, "hostdev"), hostdev) < 0)
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
                if (among(&gpu->functions[i], gpu->functions, i))
                        return -EINVAL;
                if (domain_find(domain, &gpu->functions[i]))
                        return -EEXIST;
        }
        return 0;
}

/* ---- the two edits, each on a copy --------------------------------------------------------------- */

/*
 * A second domain to edit, which then takes the first one's place: whatever fails on the way leaves the first
 * as it was. Written and parsed again, since xmlCopyDoc() drops nodes in silence when memory runs out.
 */
static int copy_domain(const struct vfioctl_domain *domain, struct vfioctl_domain **ret)
{
        _cleanup_free_ char *text = NULL;

        int r = vfioctl_domain_format(domain, &text);
        if (r < 0)
                return r;
        return vfioctl_domain_parse(text, strlen(text), ret, NULL);
}

static void swap_domains(struct vfioctl_domain *a, struct vfioctl_domain *b)
{
        struct vfioctl_domain keep = *a;

        *a = *b;
        *b = keep;
}

static int edit_add(struct vfioctl_domain *domain, const struct vfioctl_domain_gpu *gpu)
{
        xmlNode *root = xmlDocGetRootElement(domain->document), *gpus = find_gpus(domain);
        struct vfioctl_address guest = {0};
        _cleanup_(xml_freep) xmlNode *fresh = NULL;
        _cleanup_free_ char *port = NULL, *error = NULL;
        int r;

        r = forget_gpus(domain, gpu->functions, gpu->n_functions);
        if (r < 0)
                return r;
        if (!gpus) {
                r = new_gpus(&fresh);
                if (r < 0)
                        return r;
                gpus = fresh;
        }
        if (!find_devices(domain)) {
                _cleanup_(xml_freep) xmlNode *devices = xml_new(NULL, "devices");
                if (!devices || xml_insert(root, NULL, devices) < 0)
                        return -ENOMEM;
                (void)util_steal(devices);
                r = note_created(gpus, "devices");
                if (r < 0)
                        return r;
        }

        if (has_pcie(domain)) {
                struct ports ports;
                unsigned int index;

                read_ports(domain, &ports);
                r = take_port(domain, &ports, &index);
                if (r < 0)
                        return r;
                r = write_ports(gpus, &ports);
                if (r < 0)
                        return r;
                r = util_format(&port, "%u", index);
                if (r < 0)
                        return r;
                guest.bus = (uint8_t)index;
        } else {
                unsigned int slot;

                r = take_slot(domain, &slot);
                if (r < 0)
                        return r;
                guest.device = (uint8_t)slot;
        }
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
                r = add_hostdev(find_devices(domain), &gpu->functions[i], &guest,
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
        r = copy_domain(domain, &edited);
        if (r < 0)
                return r;
        r = edit_add(edited, gpu);
        if (r < 0)
                return r;
        swap_domains(domain, edited);
        return 0;
}

/* Takes our unused ports away from the end, and what we created once nothing of it is needed. */
static int tidy(struct vfioctl_domain *domain)
{
        xmlNode *gpus = find_gpus(domain), *root = xmlDocGetRootElement(domain->document);
        struct ports ports;
        int r;

        if (!gpus)
                return 0;
        for (read_ports(domain, &ports); ports.ours[ports.last] && !ports.used[ports.last];
             read_ports(domain, &ports)) {
                r = xml_remove(find_port(domain, ports.last));
                if (r < 0)
                        return r;
        }
        r = write_ports(gpus, &ports);
        if (r < 0)
                return r;
        if (xml_child(gpus, "gpu", NAMESPACE) || xml_attribute(gpus, "ports"))
                return 0;

        bool created_metadata = was_created(gpus, "metadata"), created_devices = was_created(gpus, "devices");
        xmlNode *metadata = gpus->parent, *devices = xml_child(root, "devices", NULL);
        r = xml_remove(gpus);
        if (r >= 0 && created_metadata && is_empty(metadata))
                r = xml_remove(metadata);
        if (r >= 0 && created_devices && devices && is_empty(devices))
                r = xml_remove(devices);
        return r;
}

VFIOCTL_EXPORT int vfioctl_domain_remove_gpu(struct vfioctl_domain *domain,
                                             const struct vfioctl_address *functions, size_t n_functions)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *edited = NULL;
        int count = 0;

        int r = copy_domain(domain, &edited);
        if (r < 0)
                return r;
        for (size_t i = 0; i < edited->n_hostdevs; i++)
                if (among(&edited->hostdevs[i].host, functions, n_functions)) {
                        r = xml_remove(edited->hostdevs[i].node);
                        if (r < 0)
                                return r;
                        count++;
                }
        _cleanup_free_ char *error = NULL;
        r = domain_collect(edited, &error);
        if (r < 0)
                return r;
        r = forget_gpus(edited, functions, n_functions);
        if (r < 0)
                return r;
        r = tidy(edited);
        if (r < 0)
                return r;
        swap_domains(domain, edited);
        return count;
}
