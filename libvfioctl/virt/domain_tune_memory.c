/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_tune.h"

/* ---- huge pages ---- */

/* True when the pages are of this size already, in whatever unit. */
static bool has_pages(const struct tune *tune, const xmlNode *pages)
{
        const struct vfioctl_hugepages *now = vfioctl_domain_hugepages(tune->domain);
        const xmlNode *page = xml_child(pages, "page", NULL);

        return page && now && now->size == tune->place->page && !xml_attribute(page, "nodeset");
}

/* qemuValidateDomainDefMemoryHugepages() and virDomainDefPostParseMemtune(): these exclude huge pages. */
static bool excludes_pages(const xmlNode *backing)
{
        return util_equal(xml_attribute(xml_child(backing, "source", NULL), "type"), "anonymous") ||
               util_equal(xml_attribute(xml_child(backing, "source", NULL), "type"), "file") ||
               util_equal(xml_attribute(xml_child(backing, "allocation", NULL), "mode"), "ondemand");
}

static int set_pages(const struct tune *tune, xmlNode *backing)
{
        xmlNode *pages = xml_child(backing, "hugepages", NULL);

        if (pages && has_pages(tune, pages))
                return 0;
        int r = pages ? xml_remove(pages) : 0;
        if (r < 0)
                return r;
        _cleanup_(xml_freep) xmlNode *fresh = xml_new(NULL, "hugepages");
        xmlNode *page = fresh ? xml_new(fresh, "page") : NULL;
        if (!page || xml_set(page, "size", "%llu", (unsigned long long)tune->place->page) < 0 ||
            xml_set(page, "unit", "KiB") < 0)
                return -ENOMEM;
        return domain_put(backing, &fresh);
}

static int tune_pages(const struct tune *tune)
{
        xmlNode *backing = xml_child(tune->root, "memoryBacking", NULL);
        xmlNode *pages = xml_child(backing, "hugepages", NULL);

        if (!tune->place || tune->tuning->keeps_pages)
                return 0;
        if (tune->place->page == 0)
                return pages ? domain_drop(pages) : 0;
        if (excludes_pages(backing))
                return tune_find(tune, VFIOCTL_NOTE, "guest-memory", NULL,
                                 "the <memoryBacking> of %s does not go with huge pages, and stays as it is",
                                 tune->domain->name);
        int r = domain_ensure(tune->root, "memoryBacking", &backing);
        return r < 0 ? r : set_pages(tune, backing);
}

/* ---- nodes ---- */

static int tune_nodes(const struct tune *tune)
{
        const struct vfioctl_place *place = tune->place;
        xmlNode *numatune = xml_child(tune->root, "numatune", NULL);
        xmlNode *memory = xml_child(numatune, "memory", NULL);

        if (!place || xml_child(numatune, "memnode", NULL))
                return 0;
        if (!place->nodes)
                return memory ? domain_drop(memory) : 0;
        /* One node is all that "preferred" takes: formatdomain, NUMA Node Tuning. */
        const char *mode = place->is_strict              ? "strict"
                           : strpbrk(place->nodes, ",-") ? "interleave"
                                                         : "preferred";
        int r = domain_ensure(tune->root, "numatune", &numatune);
        if (r >= 0)
                r = domain_ensure(numatune, "memory", &memory);
        if (r >= 0)
                r = xml_set(memory, "mode", "%s", mode);
        if (r >= 0)
                r = xml_set(memory, "nodeset", "%s", place->nodes);
        if (r >= 0)
                xml_unset(memory, "placement");
        return r;
}

int tune_memory(struct tune *tune)
{
        int r = tune_pages(tune);

        return r < 0 ? r : tune_nodes(tune);
}
