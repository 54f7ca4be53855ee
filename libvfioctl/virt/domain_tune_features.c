/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_tune.h"

/* ---- what Windows needs of Hyper-V, and drivers that want no hypervisor ---- */

/*
 * formatdomain, Hypervisor features, and docs/system/i386/hyperv.rst of QEMU: synic needs vpindex; stimer
 * needs synic and the hypervclock timer; tlbflush and ipi need vpindex.
 */
static const char *const enlightenments[] = {"relaxed",     "vapic",    "spinlocks", "vpindex",
                                             "runtime",     "synic",    "stimer",    "reset",
                                             "frequencies", "tlbflush", "ipi"};
#define SPINLOCK_RETRIES "8191" /* as docs/system/i386/hyperv.rst recommends */

/* Nothing but that it is not KVM's own; an admin's stays. At most 12 characters: formatdomain. */
#define VENDOR_ID "vfioctl"

static int tune_hyperv(xmlNode *features)
{
        xmlNode *hyperv = xml_child(features, "hyperv", NULL);
        int r = 0;

        /* It has all that the host can. */
        if (util_equal(xml_attribute(hyperv, "mode"), "passthrough"))
                return 0;
        if (!hyperv)
                r = domain_ensure(features, "hyperv", &hyperv);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(enlightenments); i++)
                r = domain_say(hyperv, enlightenments[i], "state", "on");
        xmlNode *spinlocks = xml_child(hyperv, "spinlocks", NULL);
        if (r >= 0 && !xml_attribute(spinlocks, "retries"))
                r = xml_set(spinlocks, "retries", SPINLOCK_RETRIES);
        return r;
}

static int hide_kvm(xmlNode *features)
{
        xmlNode *hyperv = xml_child(features, "hyperv", NULL), *kvm, *id;

        int r = domain_ensure(features, "kvm", &kvm);
        if (r >= 0)
                r = domain_say(kvm, "hidden", "state", "on");
        /* Without Hyper-V's there is no other signature to find. */
        if (r < 0 || !hyperv || util_equal(xml_attribute(hyperv, "mode"), "passthrough"))
                return r;
        r = domain_ensure(hyperv, "vendor_id", &id);
        if (r < 0)
                return r;
        const char *value = xml_attribute(id, "value");
        if (util_equal(xml_attribute(id, "state"), "on") && value && *value)
                return 0;
        r = xml_set(id, "state", "on");
        return r < 0 ? r : xml_set(id, "value", VENDOR_ID);
}

static int tune_kvm(const struct tune *tune)
{
        xmlNode *features;

        int r = domain_ensure(tune->root, "features", &features);
        if (r >= 0 && tune->guest == VFIOCTL_GUEST_WINDOWS)
                r = tune_hyperv(features);
        if (r >= 0 && tune->tuning->hides_kvm)
                r = hide_kvm(features);
        /* A virtual IOMMU that remaps interrupts needs QEMU's: formatdomain, IOMMU devices. */
        if (r >= 0 && !xml_child(tune->devices, "iommu", NULL))
                r = domain_say(features, "ioapic", "driver", "kvm");
        return r;
}

/* ---- clock ---- */

static int set_timer(xmlNode *clock, const char *name, const char *attribute, const char *value)
{
        for (xmlNode *node = xml_child(clock, "timer", NULL); node; node = xml_next(node, "timer", NULL))
                if (util_equal(xml_attribute(node, "name"), name))
                        return xml_set(node, attribute, "%s", value);
        _cleanup_(xml_freep) xmlNode *fresh = xml_new(NULL, "timer");
        if (!fresh || xml_set(fresh, "name", "%s", name) < 0 || xml_set(fresh, attribute, "%s", value) < 0)
                return -ENOMEM;
        return domain_put(clock, &fresh);
}

static int tune_clock(const struct tune *tune)
{
        bool is_windows = tune->guest == VFIOCTL_GUEST_WINDOWS;
        xmlNode *clock;

        if (tune->guest == VFIOCTL_GUEST_OTHER)
                return 0;
        int r = domain_ensure(tune->root, "clock", &clock);
        if (r < 0)
                return r;
        /* Another one (timezone, variable, absolute) is somebody's wish. */
        const char *offset = xml_attribute(clock, "offset");
        if (!offset || util_equal(offset, "utc") || util_equal(offset, "localtime"))
                r = xml_set(clock, "offset", "%s", is_windows ? "localtime" : "utc");
        if (r >= 0)
                r = set_timer(clock, "rtc", "tickpolicy", "catchup");
        if (r >= 0 && tune->kvm)
                r = set_timer(clock, "pit", "tickpolicy", "delay");
        if (r >= 0)
                r = set_timer(clock, "hpet", "present", "no");
        if (r >= 0 && tune->kvm && is_windows)
                r = set_timer(clock, "hypervclock", "present", "yes");
        return r;
}

/* A GPU that is handed in does not come back from a guest's sleep. */
static int tune_sleep(const struct tune *tune)
{
        xmlNode *pm;

        int r = domain_ensure(tune->root, "pm", &pm);
        if (r >= 0)
                r = domain_say(pm, "suspend-to-mem", "enabled", "no");
        return r < 0 ? r : domain_say(pm, "suspend-to-disk", "enabled", "no");
}

int tune_features(struct tune *tune)
{
        int r = 0;

        if (!tune->x86)
                return 0;
        if (tune->kvm)
                r = tune_kvm(tune);
        if (r >= 0)
                r = tune_clock(tune);
        return r < 0 ? r : tune_sleep(tune);
}
