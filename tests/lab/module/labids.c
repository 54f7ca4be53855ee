// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shows chosen PCI functions under other IDs: in the kernel's own pci_dev and
 * in every read of their configuration space, so that sysfs, lspci, vfio-pci
 * and a VM that gets the function all see the same. A shown function is never
 * reset by D3hot (NoSoftRst+), as real GPUs are not. For the test lab only.
 *
 *   insmod labids.ko map=ADDRESS/vendor/device/subvendor/subdevice/class/revision/serial,...
 *                    accept=MODULE/DRIVER/vendor/device,...
 *
 * A subsystem of 0/0 is left as it is. A serial other than 0 shows as a device
 * serial number capability. Loading fails if a function is absent. A function
 * that is unplugged and plugged again shows the same. A driver in accept takes
 * these IDs from when its module is loaded, whoever loads it.
 *
 * It can also make a bind or an unbind hang, under the device's lock, as a
 * driver does that waits for the device's users:
 *
 *   echo "ADDRESS unbind" >/sys/module/labids/parameters/hang      (or bind)
 *   echo >/sys/module/labids/parameters/hang                       lets go
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/virtio_pci_modern.h>
#include <linux/wait.h>

#define MAX_IDS 128

struct shown {
        struct pci_dev *pdev;
        unsigned int bus, devfn;
        int pm_ctrl; /* offset of the power management control, 0 if there is none */
        u16 true_vendor, true_device;
        u32 vendor, device, subvendor, subdevice, class, revision;
        u64 serial;
};

static char *map[MAX_IDS];
static unsigned int map_count;
module_param_array(map, charp, &map_count, 0444);

static char *accept[MAX_IDS];
static unsigned int accept_count;
module_param_array(accept, charp, &accept_count, 0444);

static struct shown shown[MAX_IDS];
static struct pci_ops *true_ops, shown_ops;

/* None of the functions to show has an extended capability of its own. */
#define SERIAL_AT PCI_CFG_SPACE_SIZE

static u32 serial_dword(const struct shown *s, int where)
{
        if (where == SERIAL_AT)
                return 1 << 16 | PCI_EXT_CAP_ID_DSN;
        return where == SERIAL_AT + 4 ? lower_32_bits(s->serial) : upper_32_bits(s->serial);
}

static int shown_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *val)
{
        int ret = true_ops->read(bus, devfn, where, size, val);
        unsigned int i;
        u32 dword;

        for (i = 0; ret == PCIBIOS_SUCCESSFUL && i < map_count; i++) {
                const struct shown *s = &shown[i];

                if (s->bus != bus->number || s->devfn != devfn)
                        continue;
                if ((where & ~3) == PCI_VENDOR_ID && *val != ~0U)
                        dword = s->device << 16 | s->vendor;
                else if ((where & ~3) == PCI_CLASS_REVISION)
                        dword = s->class << 8 | s->revision;
                else if ((where & ~3) == PCI_SUBSYSTEM_VENDOR_ID && s->subvendor)
                        dword = s->subdevice << 16 | s->subvendor;
                else if (s->pm_ctrl && where == s->pm_ctrl && size > 1)
                        dword = *val | PCI_PM_CTRL_NO_SOFT_RESET; /* no reset by D3hot */
                else if (s->serial && *val == 0 && where >= SERIAL_AT &&
                         where < SERIAL_AT + PCI_EXT_CAP_DSN_SIZEOF)
                        dword = serial_dword(s, where & ~3);
                else
                        break;
                *val = where == s->pm_ctrl ? dword : dword >> 8 * (where & 3);
                if (size < 4)
                        *val &= (1U << 8 * size) - 1;
                break;
        }
        return ret;
}

/* virtio takes its device type from the PCI device ID: it sees the true one. */
static void swap_ids(struct pci_dev *pdev, bool to_true)
{
        unsigned int i;

        for (i = 0; i < map_count; i++) {
                const struct shown *s = &shown[i];

                if (s->bus != pdev->bus->number || s->devfn != pdev->devfn)
                        continue;
                pdev->vendor = to_true ? s->true_vendor : s->vendor;
                pdev->device = to_true ? s->true_device : s->device;
        }
}

static int probe_enter(struct kretprobe_instance *ri, struct pt_regs *regs)
{
        struct virtio_pci_modern_device *mdev = (void *)regs_get_kernel_argument(regs, 0);

        *(struct pci_dev **)ri->data = mdev->pci_dev;
        swap_ids(mdev->pci_dev, true);
        return 0;
}

static int probe_leave(struct kretprobe_instance *ri, struct pt_regs *regs)
{
        swap_ids(*(struct pci_dev **)ri->data, false);
        return 0;
}

static struct kretprobe virtio_probe = {
        .kp.symbol_name = "vp_modern_probe",
        .entry_handler = probe_enter,
        .handler = probe_leave,
        .data_size = sizeof(struct pci_dev *),
        .maxactive = 16,
};

static DECLARE_WAIT_QUEUE_HEAD(hang_over);
static unsigned int hang_bus, hang_devfn;
static unsigned long hang_action; /* 0: nothing hangs */

static int hang_set(const char *text, const struct kernel_param *param)
{
        unsigned int domain, bus, slot, func;
        char action[8];

        WRITE_ONCE(hang_action, 0);
        wake_up_all(&hang_over);
        if (sscanf(text, "%x:%x:%x.%x %7s", &domain, &bus, &slot, &func, action) != 5)
                return 0;
        hang_bus = bus;
        hang_devfn = PCI_DEVFN(slot, func);
        WRITE_ONCE(hang_action, strcmp(action, "bind") ? BUS_NOTIFY_UNBIND_DRIVER : BUS_NOTIFY_BIND_DRIVER);
        return 0;
}

static const struct kernel_param_ops hang_ops = {.set = hang_set};
module_param_cb(hang, &hang_ops, NULL, 0200);

static int hang_notify(struct notifier_block *block, unsigned long action, void *data)
{
        struct pci_dev *pdev = to_pci_dev(data);

        if (pdev->bus->number == hang_bus && pdev->devfn == hang_devfn)
                wait_event(hang_over, READ_ONCE(hang_action) != action);
        return NOTIFY_DONE;
}

static struct notifier_block hang_notifier = {.notifier_call = hang_notify};

/* As if MODULE's table of IDs had these: pci_add_dynid() has its driver look for them at once. */
static int module_loaded(struct notifier_block *block, unsigned long state, void *data)
{
        const struct module *module = data;
        char name[64], driver[64];
        unsigned int i, vendor, device;

        for (i = 0; state == MODULE_STATE_LIVE && i < accept_count; i++) {
                struct device_driver *found;

                if (sscanf(accept[i], "%63[^/]/%63[^/]/%x/%x", name, driver, &vendor, &device) != 4 ||
                    strcmp(name, module->name))
                        continue;
                found = driver_find(driver, &pci_bus_type);
                if (!found ||
                    pci_add_dynid(to_pci_driver(found), vendor, device, PCI_ANY_ID, PCI_ANY_ID, 0, 0, 0))
                        pr_err("labids: %s does not take %x:%x\n", driver, vendor, device);
        }
        return NOTIFY_DONE;
}

static struct notifier_block module_notifier = {.notifier_call = module_loaded};

static int __init parse(const char *text, struct shown *s)
{
        unsigned int domain, bus, slot, func;

        if (sscanf(text, "%x:%x:%x.%x/%x/%x/%x/%x/%x/%x/%llx", &domain, &bus, &slot, &func, &s->vendor,
                   &s->device, &s->subvendor, &s->subdevice, &s->class, &s->revision, &s->serial) != 11)
                return -EINVAL;
        s->bus = bus;
        s->devfn = PCI_DEVFN(slot, func);
        s->pdev = pci_get_domain_bus_and_slot(domain, bus, s->devfn);
        return s->pdev ? 0 : -ENODEV;
}

static int __init labids_init(void)
{
        unsigned int i;
        int ret;

        for (i = 0; i < map_count; i++) {
                ret = parse(map[i], &shown[i]);
                if (ret) {
                        pr_err("labids: no such function: %s\n", map[i]);
                        return ret;
                }
        }
        ret = register_kretprobe(&virtio_probe);
        if (ret)
                return ret;
        ret = bus_register_notifier(&pci_bus_type, &hang_notifier);
        if (ret)
                return ret;
        ret = register_module_notifier(&module_notifier);
        if (ret)
                return ret;
        for (i = 0; i < map_count; i++) {
                struct shown *s = &shown[i];
                struct pci_dev *pdev = s->pdev;

                s->pm_ctrl = pdev->pm_cap ? pdev->pm_cap + PCI_PM_CTRL : 0;
                s->true_vendor = pdev->vendor;
                s->true_device = pdev->device;
                pdev->vendor = s->vendor;
                pdev->device = s->device;
                pdev->class = s->class;
                pdev->revision = s->revision;
                if (s->subvendor) {
                        pdev->subsystem_vendor = s->subvendor;
                        pdev->subsystem_device = s->subdevice;
                }
                if (pdev->bus->ops != &shown_ops) {
                        true_ops = pdev->bus->ops;
                        shown_ops = *true_ops;
                        shown_ops.read = shown_read;
                        pci_bus_set_ops(pdev->bus, &shown_ops);
                }
                pci_dev_put(pdev);
        }
        return 0;
}
module_init(labids_init);

MODULE_DESCRIPTION("Shows PCI functions under other IDs, for a test lab");
MODULE_LICENSE("GPL");
