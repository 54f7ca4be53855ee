/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../cpuset.h"
#include "domain_private.h"

/* What a VM takes of the host, in its definition: formatdomain, "CPU Allocation", "CPU Tuning", "NUMA Node
 * Tuning", "Memory Allocation", "Memory Backing". */

#define MEMORY_MAX (1ull << 40) /* KiB: vfioctl_vms_set_share() */

/* A number behind `at`, of `unit` KiB each; what no host has is the most that is told. */
static uint64_t read_kib(const char *at, uint64_t unit)
{
        uint64_t value = 0;

        at += strspn(at, " \t\r\n");
        for (; *at >= '0' && *at <= '9' && value < MEMORY_MAX; at++)
                value = value * 10 + (uint64_t)(*at - '0');
        return unit > 0 && value > MEMORY_MAX / unit ? MEMORY_MAX : value * unit;
}

static unsigned int read_vcpus(const char *at)
{
        uint64_t value = read_kib(at, 1);

        return value == 0 ? 1 : value > CPU_LIMIT ? CPU_LIMIT : (unsigned int)value;
}

static const char *child_content(const xmlNode *root, const char *name)
{
        const xmlNode *node = xml_child(root, name, NULL);
        const xmlNode *text = node ? node->children : NULL;

        return text && text->type == XML_TEXT_NODE && text->content ? (const char *)text->content : "";
}

static void add_pins(struct cpu_set *pinned, const xmlNode *node)
{
        const char *text = xml_attribute(node, "cpuset");
        struct cpu_set cpus;

        if (text && cpu_set_parse(text, &cpus) >= 0)
                cpu_set_add_all(pinned, &cpus);
}

/* The pins of its vCPUs; those that have none of their own go by <vcpu cpuset=...>. */
static void read_pins(const xmlNode *root, unsigned int vcpus, struct cpu_set *pinned)
{
        const xmlNode *tune = xml_child(root, "cputune", NULL);
        unsigned int count = 0;

        for (const xmlNode *pin = xml_child(tune, "vcpupin", NULL); pin;
             pin = xml_next(pin, "vcpupin", NULL), count++)
                add_pins(pinned, pin);
        if (count < vcpus)
                add_pins(pinned, xml_child(root, "vcpu", NULL));
}

static bool is_strict(const xmlNode *root)
{
        const char *mode =
                xml_attribute(xml_child(xml_child(root, "numatune", NULL), "memory", NULL), "mode");

        return !mode || util_equal(mode, "strict") || util_equal(mode, "restrictive");
}

static uint64_t read_page(const xmlNode *root)
{
        const xmlNode *pages = xml_child(xml_child(root, "memoryBacking", NULL), "hugepages", NULL);
        const xmlNode *page = xml_child(pages, "page", NULL);
        const char *size = xml_attribute(page, "size");
        uint64_t kib = size ? read_kib(size, domain_unit_kib(xml_attribute(page, "unit"))) : 0;

        return !pages ? 0 : kib > 0 ? kib : VFIOCTL_PAGE_DEFAULT;
}

VFIOCTL_EXPORT int vfioctl_domain_share(const struct vfioctl_domain *domain, struct vfioctl_vm_share *ret,
                                        char **ret_pinned)
{
        const xmlNode *root = xmlDocGetRootElement(domain->document);
        struct cpu_set pinned = {.words = {0}};
        char *text = NULL;

        struct vfioctl_vm_share share = {
                .vcpus = read_vcpus(child_content(root, "vcpu")),
                .memory = read_kib(child_content(root, "memory"),
                                   domain_unit_kib(xml_attribute(xml_child(root, "memory", NULL), "unit"))),
                .numa_node = is_strict(root) ? domain->numa_node : -1,
                .page = read_page(root),
        };
        read_pins(root, share.vcpus, &pinned);
        int r = cpu_set_count(&pinned) > 0 ? cpu_set_format(&pinned, &text) : 0;
        if (r < 0)
                return r;
        share.pinned = *ret_pinned = text;
        *ret = share;
        return 0;
}

/* ---- without a parser ---- */

/* Behind the first tag of this name, or NULL; `unit` (may be NULL) is that of its attribute. */
static const char *find_content(const char *xml, const char *tag, uint64_t *unit)
{
        const char *at = xml;

        while ((at = strstr(at, tag))) {
                at += strlen(tag);
                if (!strchr(" \t\r\n>", *at))
                        continue;
                const char *end = strchr(at, '>'), *attribute = strstr(at, "unit=");
                if (!end)
                        return NULL;
                if (unit && attribute && attribute < end) {
                        char text[8];
                        size_t length = strcspn(attribute + 6, "'\">");
                        (void)snprintf(text, sizeof(text), "%.*s", (int)(length < 7 ? length : 7),
                                       attribute + 6);
                        *unit = domain_unit_kib(text);
                }
                return end + 1;
        }
        return NULL;
}

bool domain_share_is_plain(const char *xml)
{
        return !strstr(xml, "cpuset=") && !strstr(xml, "<hugepages") && !strstr(xml, "<numatune");
}

/* What others say is in <metadata>, which stands before all of this. */
void domain_share_scan(const char *xml, struct vfioctl_vm_share *ret)
{
        uint64_t unit = 1;

        for (const char *at = xml; (at = strstr(at, "</metadata>")); xml = at)
                at += strlen("</metadata>");
        const char *memory = find_content(xml, "<memory", &unit), *vcpu = find_content(xml, "<vcpu", NULL);
        *ret = (struct vfioctl_vm_share){.vcpus = read_vcpus(vcpu ? vcpu : ""),
                                         .memory = memory ? read_kib(memory, unit) : 0,
                                         .numa_node = -1};
}
