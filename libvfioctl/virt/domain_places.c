/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

/*
 * Where the guest sees its PCI devices. A definition names buses by the index of a controller; firmware and
 * kernel number them as they find them: a bridge gets the next free number when they come to it, in the order
 * of device and function, and what is below it comes before its next neighbour (SeaBIOS
 * pci_bios_init_bus_rec(), edk2 PciScanBus(); Linux keeps what they did: pci_scan_bridge_extend()). QEMU
 * reserves no numbers for hot-plug unless its bus-reserve is set, which libvirt does not do.
 */

#define BUS_COUNT  256
#define MAIN_BUS   0
#define NO_BUS     (-1)
#define FIRST_BASE 1 /* pxb and pxb-pcie begin above bus 0 */

struct bus {
        bool is_there;
        bool is_bridge;                 /* below another bus; else a root bus */
        bool is_expander;               /* pci-expander-bus: its devices sit below a bridge of its own */
        bool is_placed;                 /* a bridge whose address is known */
        int base;                       /* number of a root bus */
        struct vfioctl_address address; /* of the bridge, as the definition has it */
        int number;                     /* as the guest has it; NO_BUS: not found yet */
};

struct buses {
        struct bus items[BUS_COUNT]; /* by index, as the definition names them */
        bool unplaced;               /* some bridge has no address */
};

/* Models that make a bus of their own: libvirt's virDomainControllerModelPCI. */
static bool is_bridge_model(const char *model)
{
        static const char *const models[] = {
                "pci-bridge",     "dmi-to-pci-bridge",         "pcie-to-pci-bridge",
                "pcie-root-port", "pcie-switch-upstream-port", "pcie-switch-downstream-port"};

        for (size_t i = 0; i < ELEMENTSOF(models); i++)
                if (util_equal(model, models[i]))
                        return true;
        return false;
}

static int read_controller(const xmlNode *node, struct buses *buses)
{
        const xmlNode *place = xml_child(node, "address", NULL), *target = xml_child(node, "target", NULL);
        const char *model = xml_attribute(node, "model");
        uint64_t index, base;

        if (!util_equal(xml_attribute(node, "type"), "pci"))
                return 0;
        if (xml_number(node, "index", BUS_COUNT - 1, &index) < 0 || !model) {
                buses->unplaced = true;
                return 0;
        }
        struct bus *bus = &buses->items[index];
        if (bus->is_there)
                return -EINVAL;
        bus->is_there = true;
        bus->is_bridge = is_bridge_model(model);
        if (bus->is_bridge) {
                bus->is_placed = util_equal(xml_attribute(place, "type"), "pci") &&
                                 xml_pci_address(place, &bus->address) == 0;
                buses->unplaced |= !bus->is_placed;
                return 0;
        }
        if (util_equal(model, "pcie-root") || util_equal(model, "pci-root"))
                return index == MAIN_BUS ? 0 : -EINVAL;
        if (!util_equal(model, "pcie-expander-bus") && !util_equal(model, "pci-expander-bus"))
                return -EINVAL;
        bus->is_expander = util_equal(model, "pci-expander-bus");
        /* formatdomain, <busNr> of <target>: libvirt chooses one from 254 down where there is none. */
        const xmlNode *number = xml_child(target, "busNr", NULL);
        char *text = number ? (char *)xmlNodeGetContent(number) : NULL;
        int r = text ? util_parse_u64(text, 10, BUS_COUNT - 1, &base) : -ENOENT;
        xmlFree(text);
        if (r < 0 || base < FIRST_BASE)
                buses->unplaced = true;
        else
                bus->base = (int)base;
        return 0;
}

static int read_buses(const struct vfioctl_domain *domain, struct buses *buses)
{
        memset(buses, 0, sizeof(*buses));
        for (size_t i = 0; i < BUS_COUNT; i++)
                buses->items[i].number = NO_BUS;
        for (const xmlNode *node = xml_child(domain_devices(domain), "controller", NULL); node;
             node = xml_next(node, "controller", NULL)) {
                int r = read_controller(node, buses);
                if (r < 0)
                        return r;
        }
        /* It is there, whether or not the definition names it. */
        buses->items[MAIN_BUS].is_there = true;
        return 0;
}

/* The next bridge on this bus behind the place `after` (device * 8 + function), or NULL. */
static struct bus *next_bridge(struct buses *buses, size_t index, int after)
{
        struct bus *found = NULL;
        int best = BUS_COUNT;

        for (size_t i = 0; i < BUS_COUNT; i++) {
                struct bus *bus = &buses->items[i];
                int place = bus->address.device * 8 + bus->address.function;
                if (!bus->is_bridge || !bus->is_placed || bus->address.bus != index || place <= after ||
                    place >= best)
                        continue;
                best = place;
                found = bus;
        }
        return found;
}

/* Gives numbers to all below bus `index`, which has one; *last is the highest that is taken. */
static int number_below(struct buses *buses, size_t index, int *last, unsigned int depth)
{
        struct bus *bridge;
        int after = -1;

        if (depth > VFIOCTL_GUEST_PATH_MAX)
                return -ELOOP;
        while ((bridge = next_bridge(buses, index, after))) {
                after = bridge->address.device * 8 + bridge->address.function;
                if (bridge->number != NO_BUS || *last + 1 >= BUS_COUNT)
                        return -ELOOP;
                bridge->number = ++*last;
                int r = number_below(buses, (size_t)(bridge - buses->items), last, depth + 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Each root bus with its own numbers: the expander ones begin at what the definition says. */
static int number_buses(struct buses *buses)
{
        for (size_t i = 0; i < BUS_COUNT; i++) {
                struct bus *bus = &buses->items[i];
                if (!bus->is_there || bus->is_bridge)
                        continue;
                bus->number = bus->base + (bus->is_expander ? 1 : 0);
                int last = bus->number;
                int r = last < BUS_COUNT ? number_below(buses, i, &last, 0) : -EINVAL;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Its address in the guest, and those of the bridges above it. */
static int find_place(const struct buses *buses, const struct vfioctl_address *address,
                      struct vfioctl_guest_place *place)
{
        struct vfioctl_address above[VFIOCTL_GUEST_PATH_MAX];
        const struct bus *bus = &buses->items[address->bus];
        size_t count = 0;

        if (address->domain != 0 || !bus->is_there || bus->number == NO_BUS)
                return -EINVAL;
        place->address = *address;
        place->address.bus = (uint8_t)bus->number;
        for (; bus->is_bridge; count++) {
                const struct bus *parent = &buses->items[bus->address.bus];
                if (count >= VFIOCTL_GUEST_PATH_MAX || parent->number == NO_BUS)
                        return -ELOOP;
                above[count] = bus->address;
                above[count].bus = (uint8_t)parent->number;
                bus = parent;
        }
        place->n_path = count;
        for (size_t i = 0; i < count; i++)
                place->path[i] = above[count - 1 - i];
        return 0;
}

VFIOCTL_EXPORT int vfioctl_domain_hostdev_place(const struct vfioctl_domain *domain, size_t index,
                                                struct vfioctl_guest_place *ret)
{
        struct vfioctl_guest_place place = {.n_path = 0};

        if (index >= domain->n_hostdevs)
                return -EINVAL;
        if (!domain->hostdevs[index].has_guest)
                return -ENODATA;
        _cleanup_free_ struct buses *buses = malloc(sizeof(*buses));
        if (!buses)
                return -ENOMEM;
        xml_begin();
        int r = xml_end(read_buses(domain, buses));
        if (r >= 0 && buses->unplaced)
                r = -ENODATA;
        if (r >= 0)
                r = number_buses(buses);
        if (r >= 0)
                r = find_place(buses, &domain->hostdevs[index].guest, &place);
        if (r < 0)
                return r;
        *ret = place;
        return 0;
}
