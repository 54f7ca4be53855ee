/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_tune.h"

/* ---- I/O threads ---- */

/* Has no place yet, or one on PCI: qemuDomainDiskAddressSupportsIothread(). */
static bool is_on_pci(const xmlNode *device)
{
        const xmlNode *address = xml_child(device, "address", NULL);

        return !address || util_equal(xml_attribute(address, "type"), "pci");
}

static bool is_virtio_disk(const xmlNode *disk)
{
        const xmlNode *target = xml_child(disk, "target", NULL);
        const char *bus = xml_attribute(target, "bus"), *dev = xml_attribute(target, "dev");
        const char *type = xml_attribute(disk, "type"), *device = xml_attribute(disk, "device");

        /* Their data is moved by another process. */
        if (util_equal(type, "vhostuser") || util_equal(type, "vhostvdpa"))
                return false;
        if (device && !util_equal(device, "disk"))
                return false;
        return bus ? util_equal(bus, "virtio") : dev && util_has_prefix(dev, "vd");
}

static bool is_virtio_scsi(const xmlNode *controller)
{
        const char *model = xml_attribute(controller, "model");

        return util_equal(xml_attribute(controller, "type"), "scsi") && model &&
               util_has_prefix(model, "virtio-");
}

static bool wants_thread(const xmlNode *device, bool is_disk)
{
        const xmlNode *driver = xml_child(device, "driver", NULL);

        return (is_disk ? is_virtio_disk(device) : is_virtio_scsi(device)) && is_on_pci(device) &&
               !xml_attribute(driver, "iothread") && !xml_child(driver, "iothreads", NULL);
}

/* The number of the first I/O thread, which is made when there is none. */
static int first_thread(const struct tune *tune, uint64_t *ret)
{
        const xmlNode *ids = xml_child(tune->root, "iothreadids", NULL);
        xmlNode *threads;
        _cleanup_free_ char *text = NULL;
        uint64_t lowest = 0, number;

        for (const xmlNode *id = xml_child(ids, "iothread", NULL); id; id = xml_next(id, "iothread", NULL))
                if (xml_number(id, "id", UINT32_MAX, &number) == 0 && (lowest == 0 || number < lowest))
                        lowest = number;
        if (lowest > 0) {
                *ret = lowest;
                return 0;
        }
        int r = domain_ensure(tune->root, "iothreads", &threads);
        if (r >= 0)
                r = xml_text(threads, &text);
        if (r >= 0 && (util_parse_u64(text, 10, UINT32_MAX, &number) < 0 || number == 0))
                r = xml_set_text(threads, "1");
        *ret = 1;
        return r;
}

static int give_thread(const struct tune *tune, xmlNode *device, bool is_disk)
{
        xmlNode *driver = xml_child(device, "driver", NULL);
        uint64_t thread = 1;

        int r = first_thread(tune, &thread);
        if (r >= 0 && !driver) {
                r = domain_ensure(device, "driver", &driver);
                if (r >= 0 && is_disk)
                        r = xml_set(driver, "name", "qemu");
        }
        return r < 0 ? r : xml_set(driver, "iothread", "%llu", (unsigned long long)thread);
}

int tune_iothreads(struct tune *tune)
{
        static const char *const names[] = {"disk", "controller"};
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                for (xmlNode *node = xml_child(tune->devices, names[i], NULL); r >= 0 && node;
                     node = xml_next(node, names[i], NULL))
                        if (wants_thread(node, i == 0))
                                r = give_thread(tune, node, i == 0);
        return r;
}

/* ---- balloon, sound ---- */

/* VFIO pins all memory, so there is nothing to take back; and libvirt adds one where none is named. */
static int tune_balloon(const struct tune *tune)
{
        xmlNode *node = xml_child(tune->devices, "memballoon", NULL);

        int r = node ? 0 : domain_ensure(tune->devices, "memballoon", &node);
        if (r < 0 || util_equal(xml_attribute(node, "model"), "none"))
                return r;
        xml_unset(node, "autodeflate");
        xml_unset(node, "freePageReporting");
        r = xml_clear(node);
        return r < 0 ? r : xml_set(node, "model", "none");
}

/* Somebody hears what the emulated card plays: on the host, or over a display that carries sound. */
static bool sound_is_heard(const struct tune *tune)
{
        for (const xmlNode *node = xml_child(tune->devices, "audio", NULL); node;
             node = xml_next(node, "audio", NULL)) {
                const char *type = xml_attribute(node, "type");
                if (!util_equal(type, "none"))
                        return true;
        }
        for (const xmlNode *node = xml_child(tune->devices, "graphics", NULL); node;
             node = xml_next(node, "graphics", NULL)) {
                const char *type = xml_attribute(node, "type");
                if (!util_equal(type, "vnc") && !util_equal(type, "egl-headless"))
                        return true;
        }
        return false;
}

static int tune_sound(const struct tune *tune)
{
        if (!tune->tuning->has_audio || sound_is_heard(tune))
                return 0;
        return domain_drop_all(tune->devices, "sound");
}

/* ---- the ROM of its GPUs ---- */

static int tune_rom(const struct tune *tune)
{
        const struct vfioctl_domain *domain = tune->domain;

        for (size_t i = 0; tune->tuning->rom && i < domain->n_gpus; i++) {
                const struct gpu_entry *entry = &domain->gpus[i];
                if (entry->public.is_edited)
                        continue;
                const struct hostdev *hostdev = domain_find(domain, &entry->functions[0]);
                const xmlNode *rom = hostdev ? xml_child(hostdev->node, "rom", NULL) : NULL;
                /* A file, or none at all, is somebody's wish. */
                if (!hostdev || xml_attribute(rom, "file") || xml_attribute(rom, "enabled"))
                        continue;
                int r = domain_say(hostdev->node, "rom", "bar", tune->tuning->rom);
                if (r < 0)
                        return r;
        }
        return 0;
}

int tune_devices(struct tune *tune)
{
        int r = tune->devices ? 0 : domain_ensure(tune->root, "devices", &tune->devices);

        if (r >= 0)
                r = tune_balloon(tune);
        if (r >= 0)
                r = tune_sound(tune);
        return r < 0 ? r : tune_rom(tune);
}
