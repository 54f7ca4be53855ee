/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_tune.h"

#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"
#define FW_CFG         "opt/ovmf/X-PciMmio64Mb,"
#define MIB            (1ull << 20)

/* ---- the window for 64-bit BARs ---- */

/* The pcie-root: 64-bit addresses of the guest, for firmware that asks the host bridge. */
static int widen_hole(const struct tune *tune, uint64_t window)
{
        xmlNode *root = NULL, *hole;
        _cleanup_free_ char *text = NULL, *wanted = NULL;
        uint64_t now;

        for (xmlNode *node = xml_child(tune->devices, "controller", NULL); node && !root;
             node = xml_next(node, "controller", NULL))
                if (util_equal(xml_attribute(node, "model"), "pcie-root"))
                        root = node;
        if (!root) {
                _cleanup_(xml_freep) xmlNode *fresh = xml_new(NULL, "controller");
                if (!fresh || xml_set(fresh, "type", "pci") < 0 || xml_set(fresh, "index", "0") < 0 ||
                    xml_set(fresh, "model", "pcie-root") < 0)
                        return -ENOMEM;
                root = fresh;
                if (domain_put(tune->devices, &fresh) < 0)
                        return -ENOMEM;
        }
        int r = domain_ensure(root, "pcihole64", &hole);
        if (r >= 0)
                r = xml_text(hole, &text);
        if (r < 0)
                return r;
        const char *unit = xml_attribute(hole, "unit");
        if (util_equal(unit, "KiB") && util_parse_u64(text, 10, UINT64_MAX >> 10, &now) == 0 &&
            now >= window >> 10)
                return 0;
        r = util_format(&wanted, "%llu", (unsigned long long)(window >> 10));
        if (r >= 0)
                r = xml_set(hole, "unit", "KiB");
        return r < 0 ? r : xml_set_text(hole, wanted);
}

/* The argument that OVMF's window is in, or NULL. */
static xmlNode *find_argument(const xmlNode *commandline)
{
        for (xmlNode *node = xml_child(commandline, "arg", QEMU_NAMESPACE); node;
             node = xml_next(node, "arg", QEMU_NAMESPACE)) {
                const char *value = xml_attribute(node, "value");
                if (value && strstr(value, FW_CFG))
                        return node;
        }
        return NULL;
}

static int add_argument(xmlNode *commandline, const char *value)
{
        _cleanup_(xml_freep) xmlNode *argument = xml_new(NULL, "arg");
        xmlNode *last = NULL;

        if (!argument || xml_set(argument, "value", "%s", value) < 0)
                return -ENOMEM;
        xmlSetNs(argument, commandline->ns);
        for (xmlNode *node = xml_child(commandline, "arg", QEMU_NAMESPACE); node;
             node = xml_next(node, "arg", QEMU_NAMESPACE))
                last = node;
        int r = last ? xml_insert(commandline, last, argument) : xml_append(commandline, argument);
        if (r >= 0)
                (void)util_steal(argument);
        return r;
}

/* Declared by the root, as virsh does it; the usual prefix may stand for something else there. */
static xmlNs *qemu_namespace(const struct tune *tune)
{
        static const char *const prefixes[] = {"qemu", "qemu-1.0", "libvirt-qemu"};
        xmlNs *namespace =
                xmlSearchNsByHref(tune->domain->document, tune->root, (const xmlChar *)QEMU_NAMESPACE);

        for (size_t i = 0; !namespace && i < ELEMENTSOF(prefixes); i++)
                if (!xmlSearchNs(tune->domain->document, tune->root, (const xmlChar *)prefixes[i]))
        namespace = xmlNewNs(tune->root, (const xmlChar *)QEMU_NAMESPACE, (const xmlChar *)prefixes[i]);
        return namespace;
}

static int ensure_commandline(const struct tune *tune, xmlNode **ret)
{
        xmlNode *found = xml_child(tune->root, "commandline", QEMU_NAMESPACE);

        if (found) {
                *ret = found;
                return 0;
        }
        xmlNs *namespace = qemu_namespace(tune);
        _cleanup_(xml_freep) xmlNode *fresh = xml_new(NULL, "commandline");
        if (!namespace || !namespace->href || !fresh)
                return -ENOMEM;
        xmlSetNs(fresh, namespace);
        int r = xml_append(tune->root, fresh);
        if (r >= 0)
                *ret = util_steal(fresh);
        return r;
}

/* For OVMF before edk2-stable202211; libvirt keeps opt/ovmf/ for itself in <sysinfo type='fwcfg'>. */
static int set_argument(const struct tune *tune, uint64_t window)
{
        xmlNode *commandline;
        _cleanup_free_ char *value = NULL;
        uint64_t now;

        int r = util_format(&value, "name=" FW_CFG "string=%llu", (unsigned long long)(window / MIB));
        if (r >= 0)
                r = ensure_commandline(tune, &commandline);
        if (r < 0)
                return r;
        xmlNode *argument = find_argument(commandline);
        if (!argument) {
                r = add_argument(commandline, "-fw_cfg");
                return r < 0 ? r : add_argument(commandline, value);
        }
        const char *given = strstr(xml_attribute(argument, "value"), FW_CFG) + strlen(FW_CFG);
        /* One that comes from a file is somebody's wish. */
        if (!util_has_prefix(given, "string="))
                return 0;
        if (util_parse_u64(given + strlen("string="), 10, UINT64_MAX / MIB, &now) == 0 && now >= window / MIB)
                return 0;
        return xml_set(argument, "value", "%s", value);
}

int tune_window(struct tune *tune)
{
        uint64_t window = vfioctl_bar_window(tune->tuning->large_bars);

        if (window == 0 || !tune->x86 || !domain_has_pcie(tune->domain))
                return 0;
        int r = widen_hole(tune, window);
        return r < 0 ? r : set_argument(tune, window);
}
