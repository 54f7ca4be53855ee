/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

#define BUS_MAX  255
#define SLOT_MAX 31

/* Where a GPU can sit in the guest: pcie-root-ports, or the slots of an i440fx's bus. */

struct ports {
        bool ours[BUS_MAX + 1];  /* root ports recorded as added by us */
        bool model[BUS_MAX + 1]; /* buses that are a pcie-root-port */
        bool used[BUS_MAX + 1];  /* buses that some device sits on */
        unsigned int last;       /* the highest bus that the definition names */
};

typedef void (*address_fn)(const struct vfioctl_address *address, void *userdata);

/* Calls `fn` for each guest PCI address, in whatever element; those in <source> are the host's. */
static void each_guest_address(const xmlNode *node, address_fn fn, void *userdata)
{
        for (const xmlNode *child = node ? node->children : NULL; child; child = child->next) {
                struct vfioctl_address address;

                if (child->type != XML_ELEMENT_NODE || util_equal((const char *)child->name, "source"))
                        continue;
                if (util_equal((const char *)child->name, "address") &&
                    util_equal(xml_attribute(child, "type"), "pci") && xml_pci_address(child, &address) == 0)
                        fn(&address, userdata);
                each_guest_address(child, fn, userdata);
        }
}

xmlNode *domain_devices(const struct vfioctl_domain *domain)
{
        return xml_child(xmlDocGetRootElement(domain->document), "devices", NULL);
}

static bool is_pci_controller(const xmlNode *node)
{
        return util_equal(xml_attribute(node, "type"), "pci");
}

/*
 * libvirt's own choice (qemuDomainMachineIsI440FX) where the definition does not say it by its controllers.
 * "pc-q35-7.2" begins like the names of an i440fx.
 */
bool domain_has_pcie(const struct vfioctl_domain *domain)
{
        const xmlNode *root = xmlDocGetRootElement(domain->document);
        bool pci_root = false;

        for (const xmlNode *node = xml_child(domain_devices(domain), "controller", NULL); node;
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

static void mark_bus(const struct vfioctl_address *address, void *userdata)
{
        struct ports *ports = userdata;

        if (address->domain != 0)
                return;
        ports->used[address->bus] = true;
        if (address->bus > ports->last)
                ports->last = address->bus;
}

static void read_ports(const struct vfioctl_domain *domain, struct ports *ports)
{
        const xmlNode *devices = domain_devices(domain);
        const char *recorded = xml_attribute(domain_gpus(domain), "ports");

        memset(ports, 0, sizeof(*ports));
        each_guest_address(devices, mark_bus, ports);
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
        for (xmlNode *node = xml_child(domain_devices(domain), "controller", NULL); node;
             node = xml_next(node, "controller", NULL)) {
                uint64_t index;
                if (is_pci_controller(node) && xml_number(node, "index", BUS_MAX, &index) == 0 &&
                    index == wanted)
                        return node;
        }
        return NULL;
}

/* The last element of this name in <devices>, so that a new one stands with its like. */
xmlNode *domain_last_device(const xmlNode *devices, const char *name)
{
        xmlNode *last = NULL;

        for (xmlNode *node = xml_child(devices, name, NULL); node; node = xml_next(node, name, NULL))
                last = node;
        return last;
}

/* An unused port of our own, or a new one behind all others. */
static int take_port(struct vfioctl_domain *domain, struct ports *ports, unsigned int *ret)
{
        xmlNode *devices = domain_devices(domain);

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
            xml_insert(devices, domain_last_device(devices, "controller"), port) < 0)
                return -ENOMEM;
        (void)util_steal(port);
        ports->ours[index] = true;
        ports->last = index;
        *ret = index;
        return 0;
}

static void mark_slot(const struct vfioctl_address *address, void *userdata)
{
        bool *used = userdata;

        if (address->domain == 0 && address->bus == 0)
                used[address->device] = true;
}

/*
 * A free slot of an i440fx's only bus. Slot 0 is the host bridge and slot 1 the PIIX3, whether or not the
 * definition names them; libvirt puts the first video device into slot 2.
 */
static int take_slot(const struct vfioctl_domain *domain, unsigned int *ret)
{
        const xmlNode *devices = domain_devices(domain);
        const xmlNode *video = xml_child(devices, "video", NULL);
        bool used[SLOT_MAX + 1] = {true, true};

        each_guest_address(devices, mark_slot, used);
        if (video && !xml_child(video, "address", NULL))
                used[2] = true;
        for (unsigned int i = 0; i <= SLOT_MAX; i++)
                if (!used[i]) {
                        *ret = i;
                        return 0;
                }
        return -ENOSPC;
}

struct slot {
        const struct vfioctl_address *address;
        uint8_t functions;
};

static void mark_function(const struct vfioctl_address *address, void *userdata)
{
        struct slot *slot = userdata;

        if (address->domain == slot->address->domain && address->bus == slot->address->bus &&
            address->device == slot->address->device)
                slot->functions |= (uint8_t)(1U << address->function);
}

uint8_t domain_slot_functions(const struct vfioctl_domain *domain, const struct vfioctl_address *address)
{
        struct slot slot = {.address = address};

        each_guest_address(domain_devices(domain), mark_function, &slot);
        return slot.functions;
}

int domain_take_place(struct vfioctl_domain *domain, xmlNode *gpus, struct vfioctl_address *ret_guest,
                      unsigned int *ret_port)
{
        struct ports ports;
        unsigned int place;
        int r;

        if (!domain_has_pcie(domain)) {
                r = take_slot(domain, &place);
                if (r < 0)
                        return r;
                *ret_guest = (struct vfioctl_address){.device = (uint8_t)place};
                *ret_port = 0;
                return 0;
        }
        read_ports(domain, &ports);
        r = take_port(domain, &ports, &place);
        if (r < 0)
                return r;
        r = write_ports(gpus, &ports);
        if (r < 0)
                return r;
        *ret_guest = (struct vfioctl_address){.bus = (uint8_t)place};
        *ret_port = place;
        return 0;
}

int domain_drop_ports(struct vfioctl_domain *domain, xmlNode *gpus)
{
        struct ports ports;

        read_ports(domain, &ports);
        while (ports.ours[ports.last] && !ports.used[ports.last]) {
                int r = xml_remove(find_port(domain, ports.last));
                if (r < 0)
                        return r;
                read_ports(domain, &ports);
        }
        return write_ports(gpus, &ports);
}
