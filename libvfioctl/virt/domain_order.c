/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

/*
 * The order in which libvirt writes elements (virDomainDefFormatInternalSetRootName() and what it calls), so
 * that what is added stands where libvirt puts it as well.
 */
static const char *const in_domain[] = {"name",
                                        "uuid",
                                        "genid",
                                        "title",
                                        "description",
                                        "metadata",
                                        "maxMemory",
                                        "memory",
                                        "currentMemory",
                                        "blkiotune",
                                        "memtune",
                                        "memoryBacking",
                                        "vcpu",
                                        "vcpus",
                                        "iothreads",
                                        "iothreadids",
                                        "defaultiothread",
                                        "cputune",
                                        "numatune",
                                        "resource",
                                        "sysinfo",
                                        "bootloader",
                                        "bootloader_args",
                                        "os",
                                        "idmap",
                                        "features",
                                        "cpu",
                                        "clock",
                                        "on_poweroff",
                                        "on_reboot",
                                        "on_crash",
                                        "on_lockfailure",
                                        "pm",
                                        "perf",
                                        "devices",
                                        "seclabel",
                                        NULL};
static const char *const in_memory_backing[] = {"hugepages", "nosharepages", "locked",  "source",
                                                "access",    "allocation",   "discard", NULL};
static const char *const in_cputune[] = {"shares",         "period",          "quota",
                                         "global_period",  "global_quota",    "emulator_period",
                                         "emulator_quota", "iothread_period", "iothread_quota",
                                         "vcpupin",        "emulatorpin",     "iothreadpin",
                                         "vcpusched",      "iothreadsched",   "emulatorsched",
                                         "cachetune",      "memorytune",      NULL};
static const char *const in_features[] = {"pae", "acpi",   "apic", "viridian", "hyperv", "kvm",
                                          "pmu", "vmport", "gic",  "smm",      "ioapic", NULL};
static const char *const in_cpu[] = {"model",       "vendor",  "topology", "cache",
                                     "maxphysaddr", "feature", "numa",     NULL};
static const char *const in_devices[] = {
        "emulator", "disk",    "controller", "lease",       "filesystem", "interface", "smartcard",  "serial",
        "parallel", "console", "channel",    "input",       "tpm",        "graphics",  "sound",      "audio",
        "video",    "hostdev", "redirdev",   "redirfilter", "hub",        "watchdog",  "memballoon", "rng",
        "nvram",    "panic",   "shmem",      "memory",      "iommu",      "vsock",     NULL};
static const char *const in_disk[] = {"driver", "auth", "source", "backingStore", "mirror", "target", NULL};
static const char *const in_hostdev[] = {"driver", "source", "teaming", "boot", "alias", "acpi", "rom", NULL};

static const struct {
        const char *parent;
        const char *const *names;
} orders[] = {
        {"domain", in_domain},   {"memoryBacking", in_memory_backing},
        {"cputune", in_cputune}, {"features", in_features},
        {"cpu", in_cpu},         {"devices", in_devices},
        {"disk", in_disk},       {"hostdev", in_hostdev},
};

/* -1 for what has no place. */
static int rank(const xmlNode *parent, const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(orders); i++) {
                if (!util_equal(orders[i].parent, (const char *)parent->name))
                        continue;
                for (int k = 0; orders[i].names[k]; k++)
                        if (util_equal(orders[i].names[k], name))
                                return k;
        }
        return -1;
}

/* A comment that ends the line of `node` belongs to it. */
static xmlNode *with_comment(xmlNode *node)
{
        xmlNode *next = node->next;

        /* A text without content is one that there was no memory for. */
        if (next && next->type == XML_TEXT_NODE && next->content &&
            !strchr((const char *)next->content, '\n'))
                next = next->next;
        return next && next->type == XML_COMMENT_NODE ? next : node;
}

int domain_put(xmlNode *parent, xmlNode **node)
{
        int own = rank(parent, (const char *)(*node)->name), best = 0;
        xmlNode *after = NULL, *before = NULL;

        for (xmlNode *child = parent->children; own >= 0 && child; child = child->next) {
                if (child->type != XML_ELEMENT_NODE || child->ns)
                        continue;
                int at = rank(parent, (const char *)child->name);
                if (at >= best && at <= own) {
                        best = at;
                        after = child;
                } else if (at > own && !before) {
                        before = child;
                }
        }
        int r = after    ? xml_insert(parent, with_comment(after), *node)
                : before ? xml_insert_before(before, *node)
                         : xml_append(parent, *node);
        if (r >= 0)
                *node = NULL;
        return r;
}

int domain_ensure(xmlNode *parent, const char *name, xmlNode **ret)
{
        xmlNode *found = xml_child(parent, name, NULL);

        if (!found) {
                _cleanup_(xml_freep) xmlNode *fresh = xml_new(NULL, name);
                found = fresh;
                if (!fresh || domain_put(parent, &fresh) < 0)
                        return -ENOMEM;
        }
        *ret = found;
        return 0;
}

int domain_say(xmlNode *parent, const char *name, const char *attribute, const char *value)
{
        xmlNode *node;

        int r = domain_ensure(parent, name, &node);
        return r < 0 ? r : xml_set(node, attribute, "%s", value);
}

int domain_drop(xmlNode *node)
{
        xmlNode *parent = node->parent;

        int r = xml_remove(node);
        if (r < 0 || !xml_is_empty(parent) || parent->properties)
                return r;
        return xml_remove(parent);
}

int domain_drop_all(xmlNode *parent, const char *name)
{
        for (xmlNode *node = xml_child(parent, name, NULL); node; node = xml_child(parent, name, NULL)) {
                int r = xml_remove(node);
                if (r < 0)
                        return r;
        }
        return 0;
}
