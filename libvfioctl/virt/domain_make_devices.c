/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_make.h"

#define DRIVES_MAX 24 /* sda and on, with room for those of the template */

/* ---- Looking Glass ---- */

/*
 * Two pictures of 32 bits a pixel and 10 MiB for the rest, rounded up to a power of two: "Determining memory"
 * of Looking Glass' documentation.
 */
VFIOCTL_EXPORT uint64_t vfioctl_shared_memory(unsigned int width, unsigned int height)
{
        uint64_t bytes = (uint64_t)width * height * 4 * 2 + (10ull << 20), size = 1;

        if (width == 0 || height == 0 || width > 16384 || height > 16384)
                return 0;
        while (size << 20 < bytes)
                size *= 2;
        return size;
}

static int add_shared_memory(xmlNode *devices, const struct vfioctl_make *make)
{
        _cleanup_(xml_freep) xmlNode *shmem = xml_new(NULL, "shmem");
        xmlNode *model = shmem ? xml_new(shmem, "model") : NULL,
                *size = shmem ? xml_new(shmem, "size") : NULL;
        char text[24];

        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)make->shared_memory);
        /* The name is that of a file for all of the host: one for each VM. */
        if (!model || !size || xml_set(shmem, "name", "looking-glass-%s", make->name) < 0 ||
            xml_set(model, "type", "ivshmem-plain") < 0 || xml_set(size, "unit", "M") < 0 ||
            make_text(size, text) < 0)
                return -ENOMEM;
        return make_insert(devices, domain_last_device(devices, "shmem"), &shmem);
}

/* ---- disk and drives ---- */

static bool is_target(const xmlNode *devices, const char *name)
{
        for (const xmlNode *disk = xml_child(devices, "disk", NULL); disk;
             disk = xml_next(disk, "disk", NULL))
                if (util_equal(xml_attribute(xml_child(disk, "target", NULL), "dev"), name))
                        return true;
        return false;
}

/* "vda", "sdb": the first that is free. */
static int find_target(const xmlNode *devices, const char *prefix, char name[8])
{
        for (char letter = 'a'; letter < 'a' + DRIVES_MAX; letter++) {
                (void)snprintf(name, 8, "%s%c", prefix, letter);
                if (!is_target(devices, name))
                        return 0;
        }
        return -ENOSPC;
}

static int add_boot(xmlNode *device, unsigned int order)
{
        xmlNode *boot = xml_new(device, "boot");

        return boot ? xml_set(boot, "order", "%u", order) : -ENOMEM;
}

static int add_drive(xmlNode *devices, const char *kind, const char *bus, const char *source, bool is_block,
                     xmlNode **ret)
{
        _cleanup_(xml_freep) xmlNode *disk = xml_new(NULL, "disk");
        xmlNode *driver = disk ? xml_new(disk, "driver") : NULL;
        xmlNode *from = driver ? xml_new(disk, "source") : NULL,
                *target = from ? xml_new(disk, "target") : NULL;
        char name[8];

        int r = find_target(devices, util_equal(bus, "virtio") ? "vd" : "sd", name);
        if (r < 0)
                return r;
        if (!target || xml_set(disk, "type", "%s", is_block ? "block" : "file") < 0 ||
            xml_set(disk, "device", "%s", kind) < 0 || xml_set(driver, "name", "qemu") < 0 ||
            xml_set(from, is_block ? "dev" : "file", "%s", source) < 0 ||
            xml_set(target, "dev", "%s", name) < 0 || xml_set(target, "bus", "%s", bus) < 0)
                return -ENOMEM;
        *ret = util_steal(disk);
        return 0;
}

static int insert_drive(xmlNode *devices, xmlNode **disk)
{
        xmlNode *after = domain_last_device(devices, "disk");

        return make_insert(devices, after ? after : domain_last_device(devices, "controller"), disk);
}

/*
 * Past the host's page cache, which would hold all of it twice; native AIO goes with that alone; and what the
 * guest trims is given back: formatdomain, "Hard drives".
 */
static int add_disk(xmlNode *devices, const struct vfioctl_make *make)
{
        _cleanup_(xml_freep) xmlNode *disk = NULL;

        int r = add_drive(devices, "disk", "virtio", make->disk, make->disk_is_block, &disk);
        if (r < 0)
                return r;
        xmlNode *driver = xml_child(disk, "driver", NULL);
        if (xml_set(driver, "type", "%s", make->disk_format) < 0 || xml_set(driver, "cache", "none") < 0 ||
            xml_set(driver, "io", "native") < 0 || xml_set(driver, "discard", "unmap") < 0 ||
            xml_set(driver, "iothread", "1") < 0 || add_boot(disk, make->n_isos > 0 ? 2 : 1) < 0)
                return -ENOMEM;
        return insert_drive(devices, &disk);
}

static int add_iso(xmlNode *devices, const struct vfioctl_make *make, size_t index)
{
        _cleanup_(xml_freep) xmlNode *disk = NULL;

        int r = add_drive(devices, "cdrom", "sata", make->isos[index], false, &disk);
        if (r < 0)
                return r;
        if (xml_set(xml_child(disk, "driver", NULL), "type", "raw") < 0 || !xml_new(disk, "readonly") ||
            (index == 0 && add_boot(disk, 1) < 0))
                return -ENOMEM;
        return insert_drive(devices, &disk);
}

/* libvirt takes no <boot dev=> beside the order of devices, nor two devices of one order. */
static int forget_boot_order(xmlNode *root, xmlNode *devices)
{
        xmlNode *os = xml_child(root, "os", NULL);

        for (xmlNode *boot; (boot = xml_child(os, "boot", NULL));)
                if (xml_remove(boot) < 0)
                        return -ENOMEM;
        for (xmlNode *device = devices->children; device; device = device->next) {
                xmlNode *boot = device->type == XML_ELEMENT_NODE ? xml_child(device, "boot", NULL) : NULL;
                if (boot && xml_remove(boot) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int need_iothread(xmlNode *root)
{
        _cleanup_(xml_freep) xmlNode *threads = xml_new(NULL, "iothreads");

        if (xml_child(root, "iothreads", NULL) || xml_child(root, "iothreadids", NULL))
                return 0;
        if (!threads || make_text(threads, "1") < 0)
                return -ENOMEM;
        return make_insert(root, xml_child(root, "vcpu", NULL), &threads);
}

/* ---- network ---- */

/* The others have no queues that a VM would start with: qemuDomainValidateActualNetDef(). */
static bool has_queues(const xmlNode *interface)
{
        static const char *const types[] = {"network", "bridge", "direct", "ethernet", "vhostuser", "vdpa"};
        const char *type = xml_attribute(interface, "type");

        if (!util_equal(xml_attribute(xml_child(interface, "model", NULL), "type"), "virtio"))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (util_equal(types[i], type))
                        return true;
        return false;
}

static int set_queues(xmlNode *interface, unsigned int queues)
{
        xmlNode *driver = xml_child(interface, "driver", NULL);
        _cleanup_(xml_freep) xmlNode *made = driver ? NULL : xml_new(NULL, "driver");

        if (queues < 2 || !has_queues(interface) || xml_attribute(driver, "queues"))
                return 0;
        if (driver)
                return xml_set(driver, "queues", "%u", queues);
        if (!made || xml_set(made, "queues", "%u", queues) < 0)
                return -ENOMEM;
        return make_insert(interface, xml_child(interface, "model", NULL), &made);
}

static int new_interface(const struct vfioctl_make *make, xmlNode **ret)
{
        _cleanup_(xml_freep) xmlNode *interface = xml_new(NULL, "interface");
        xmlNode *source = interface ? xml_new(interface, "source") : NULL;
        xmlNode *model = source ? xml_new(interface, "model") : NULL;
        const char *kind = make->bridge ? "bridge" : "network";

        if (!model || xml_set(interface, "type", "%s", kind) < 0 ||
            xml_set(source, kind, "%s", make->bridge ? make->bridge : make->network) < 0 ||
            xml_set(model, "type", "virtio") < 0)
                return -ENOMEM;
        *ret = util_steal(interface);
        return 0;
}

/* The template's first one is another one then. */
static int set_network(xmlNode *devices, const struct vfioctl_make *make)
{
        xmlNode *interface = xml_child(devices, "interface", NULL);
        _cleanup_(xml_freep) xmlNode *made = NULL;

        if (make->network || make->bridge) {
                int r = new_interface(make, &made);
                xmlNode *after = interface ? interface : domain_last_device(devices, "controller");
                if (r >= 0)
                        r = make_insert(devices, after, &made);
                if (r >= 0 && interface)
                        r = xml_remove(interface);
                if (r < 0)
                        return r;
        }
        for (interface = xml_child(devices, "interface", NULL); interface;
             interface = xml_next(interface, "interface", NULL)) {
                int r = set_queues(interface, make->queues);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- input ---- */

/* The keyboard takes the other devices along when it is handed over with both Ctrl keys: qemu(1),
 * input-linux. */
static int add_evdev(xmlNode *devices, const char *path)
{
        _cleanup_(xml_freep) xmlNode *input = xml_new(NULL, "input");
        xmlNode *source = input ? xml_new(input, "source") : NULL;
        size_t length = strlen(path);
        /* udev's names: 60-persistent-input.rules. */
        bool is_keyboard = length > 4 && util_equal(path + length - 4, "-kbd");

        if (!source || xml_set(input, "type", "evdev") < 0 || xml_set(source, "dev", "%s", path) < 0)
                return -ENOMEM;
        if (is_keyboard &&
            (xml_set(source, "grab", "all") < 0 || xml_set(source, "grabToggle", "ctrl-ctrl") < 0 ||
             xml_set(source, "repeat", "on") < 0))
                return -ENOMEM;
        return make_insert(devices, domain_last_device(devices, "input"), &input);
}

int make_devices(struct vfioctl_domain *domain, const struct vfioctl_make *make)
{
        xmlNode *root = xmlDocGetRootElement(domain->document), *devices = domain_devices(domain);

        int r = forget_boot_order(root, devices);
        if (r >= 0)
                r = need_iothread(root);
        if (r >= 0)
                r = add_disk(devices, make);
        for (size_t i = 0; r >= 0 && i < make->n_isos; i++)
                r = add_iso(devices, make, i);
        if (r >= 0)
                r = set_network(devices, make);
        for (size_t i = 0; r >= 0 && i < make->n_evdevs; i++)
                r = add_evdev(devices, make->evdevs[i]);
        if (r >= 0 && make->shared_memory > 0)
                r = add_shared_memory(devices, make);
        if (r >= 0 && make->usb)
                r = domain_add_hostdev(devices, NULL, make->usb, NULL, false);
        return r;
}
