/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_tune.h"

/* ---- how many vCPUs, and how much memory ---- */

static int set_number(xmlNode *root, const char *name, uint64_t number)
{
        _cleanup_free_ char *text = NULL;
        xmlNode *node;

        int r = util_format(&text, "%llu", (unsigned long long)number);
        if (r >= 0)
                r = domain_ensure(root, name, &node);
        return r < 0 ? r : xml_set_text(node, text);
}

/* The number of vCPUs, all of them there from the start. */
static int set_vcpus(const struct tune *tune)
{
        xmlNode *node;

        int r = set_number(tune->root, "vcpu", tune->vcpus);
        if (r >= 0)
                r = domain_ensure(tune->root, "vcpu", &node);
        if (r >= 0)
                r = domain_drop_all(tune->root, "vcpus");
        if (r < 0)
                return r;
        xml_unset(node, "current");
        return 0;
}

static int set_memory_element(const struct tune *tune, const char *name)
{
        xmlNode *node;

        int r = set_number(tune->root, name, tune->tuning->memory);
        if (r >= 0)
                r = domain_ensure(tune->root, name, &node);
        return r < 0 ? r : xml_set(node, "unit", "KiB");
}

/* A guest with one cell: that has all vCPUs and all memory. */
static int set_cell(const struct tune *tune)
{
        xmlNode *numa = xml_child(xml_child(tune->root, "cpu", NULL), "numa", NULL);
        xmlNode *cell = xml_child(numa, "cell", NULL);
        int r = 0;

        if (tune->vcpus == 1)
                r = xml_set(cell, "cpus", "0");
        else
                r = xml_set(cell, "cpus", "0-%u", tune->vcpus - 1);
        if (r < 0 || tune->tuning->memory == 0)
                return r;
        r = xml_set(cell, "unit", "KiB");
        return r < 0 ? r : xml_set(cell, "memory", "%llu", (unsigned long long)tune->tuning->memory);
}

int tune_size(struct tune *tune)
{
        const struct vfioctl_tuning *tuning = tune->tuning;
        bool has_dimms = xml_child(tune->root, "maxMemory", NULL) || xml_child(tune->devices, "memory", NULL);
        int r = 0;

        if (tuning->vcpus == 0 && tuning->memory == 0)
                return 0;
        if (tune->n_cells > 1 || (has_dimms && tuning->memory > 0)) {
                r = tune_find(tune, VFIOCTL_REFUSAL, "guest-cells", NULL,
                              "the memory of %s is %s: change vCPUs and memory with virsh edit %s",
                              tune->domain->name, has_dimms ? "in modules" : "in several NUMA cells",
                              tune->domain->name);
                return r < 0 ? r : -EPERM;
        }
        if (tuning->vcpus > 0)
                r = set_vcpus(tune);
        if (r >= 0 && tuning->memory > 0)
                r = set_memory_element(tune, "memory");
        if (r >= 0 && tuning->memory > 0)
                r = set_memory_element(tune, "currentMemory");
        return r >= 0 && tune->n_cells == 1 ? set_cell(tune) : r;
}

/* ---- pins ---- */

/* The element with this number in `attribute`, or any when that is NULL. */
static xmlNode *find_pin(const xmlNode *cputune, const char *name, const char *attribute, uint64_t id)
{
        for (xmlNode *node = xml_child(cputune, name, NULL); node; node = xml_next(node, name, NULL)) {
                uint64_t number;
                if (!attribute || (xml_number(node, attribute, UINT32_MAX, &number) == 0 && number == id))
                        return node;
        }
        return NULL;
}

static int set_pin(xmlNode *cputune, const char *name, const char *attribute, uint64_t id, const char *cpus)
{
        xmlNode *node = find_pin(cputune, name, attribute, id);

        if (!cpus)
                return node ? xml_remove(node) : 0;
        if (node)
                return xml_set(node, "cpuset", "%s", cpus);
        _cleanup_(xml_freep) xmlNode *fresh = xml_new(NULL, name);
        if (!fresh)
                return -ENOMEM;
        if ((attribute && xml_set(fresh, attribute, "%llu", (unsigned long long)id) < 0) ||
            xml_set(fresh, "cpuset", "%s", cpus) < 0)
                return -ENOMEM;
        return domain_put(cputune, &fresh);
}

/* Pins of vCPUs that are no longer there. */
static int drop_pins(xmlNode *cputune, unsigned int vcpus)
{
        for (xmlNode *node = xml_child(cputune, "vcpupin", NULL), *next; node; node = next) {
                uint64_t number;
                next = xml_next(node, "vcpupin", NULL);
                if (xml_number(node, "vcpu", UINT32_MAX, &number) < 0 || number < vcpus)
                        continue;
                int r = xml_remove(node);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int pin_iothreads(const struct tune *tune, xmlNode *cputune)
{
        const xmlNode *ids = xml_child(tune->root, "iothreadids", NULL);
        xmlNode *threads = xml_child(tune->root, "iothreads", NULL);
        _cleanup_free_ char *text = NULL;
        uint64_t count = 0, number;
        int r = threads ? xml_text(threads, &text) : 0;

        if (text && util_parse_u64(text, 10, VCPUS_MAX, &count) < 0)
                count = 0;
        const xmlNode *id = xml_child(ids, "iothread", NULL);
        for (; r >= 0 && id; id = xml_next(id, "iothread", NULL))
                if (xml_number(id, "id", UINT32_MAX, &number) == 0)
                        r = set_pin(cputune, "iothreadpin", "iothread", number, tune->place->services);
        for (number = 1; r >= 0 && !ids && number <= count; number++)
                r = set_pin(cputune, "iothreadpin", "iothread", number, tune->place->services);
        return r;
}

int tune_pins(struct tune *tune)
{
        const struct vfioctl_place *place = tune->place;
        xmlNode *cputune, *vcpu = xml_child(tune->root, "vcpu", NULL);
        int r = 0;

        if (!place)
                return 0;
        /* numad would choose again, and pins not count: formatdomain, CPU Allocation. */
        if (util_equal(xml_attribute(vcpu, "placement"), "auto"))
                r = xml_set(vcpu, "placement", "static");
        if (r >= 0)
                r = domain_ensure(tune->root, "cputune", &cputune);
        for (unsigned int i = 0; r >= 0 && i < place->n_vcpus; i++)
                r = set_pin(cputune, "vcpupin", "vcpu", i, place->vcpus[i]);
        if (r >= 0)
                r = drop_pins(cputune, place->n_vcpus);
        if (r >= 0)
                r = set_pin(cputune, "emulatorpin", NULL, 0, place->services);
        if (r >= 0)
                r = pin_iothreads(tune, cputune);
        return r >= 0 && xml_is_empty(cputune) ? xml_remove(cputune) : r;
}

/* ---- the processor that the guest sees ---- */

static int set_topology(const struct tune *tune, xmlNode *cpu)
{
        unsigned int threads = tune->place ? tune->place->threads : 1;
        xmlNode *node = xml_child(cpu, "topology", NULL);
        uint64_t now = 1, number;

        if (tune->n_cells > 1)
                return 0;
        if (!tune->place) {
                static const char *const parts[] = {"sockets", "dies", "clusters", "cores", "threads"};
                for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                        if (xml_number(node, parts[i], VCPUS_MAX, &number) == 0)
                                now *= number;
                if (!node || now == tune->vcpus)
                        return 0;
        }
        if (threads == 0 || tune->vcpus % threads != 0)
                threads = 1;
        int r = domain_ensure(cpu, "topology", &node);
        if (r >= 0)
                r = xml_set(node, "sockets", "1");
        if (r >= 0)
                r = xml_set(node, "dies", "1");
        if (r >= 0 && xml_attribute(node, "clusters"))
                r = xml_set(node, "clusters", "1");
        if (r >= 0)
                r = xml_set(node, "cores", "%u", tune->vcpus / threads);
        return r < 0 ? r : xml_set(node, "threads", "%u", threads);
}

/* What only KVM has: formatdomain, CPU model and topology (cache; maxphysaddr since 8.7.0). */
static int set_passthrough(const struct tune *tune, xmlNode *cpu, const char *name, bool wanted)
{
        xmlNode *node = xml_child(cpu, name, NULL);

        if (!tune->kvm && util_equal(xml_attribute(node, "mode"), "passthrough"))
                return xml_remove(node);
        if (!tune->kvm || !wanted)
                return 0;
        if (node)
                xml_unset(node, util_equal(name, "cache") ? "level" : "bits");
        return domain_say(cpu, name, "mode", "passthrough");
}

static xmlNode *find_feature(const xmlNode *cpu, const char *name)
{
        for (xmlNode *node = xml_child(cpu, "feature", NULL); node; node = xml_next(node, "feature", NULL))
                if (util_equal(xml_attribute(node, "name"), name))
                        return node;
        return NULL;
}

static int set_cpu_features(const struct tune *tune, xmlNode *cpu)
{
        const xmlNode *topology = xml_child(cpu, "topology", NULL);
        xmlNode *hypervisor = find_feature(cpu, "hypervisor");
        uint64_t threads = 1;
        int r = 0;

        if (tune->tuning->keeps_hypervisor && util_equal(xml_attribute(hypervisor, "policy"), "disable"))
                r = xml_remove(hypervisor);
        /* QEMU leaves it out of "host": FEAT_8000_0001_ECX, no_autoenable_flags in target/i386/cpu.c. */
        (void)xml_number(topology, "threads", VCPUS_MAX, &threads);
        if (r < 0 || !tune->tuning->topoext || !tune->kvm || threads < 2 || find_feature(cpu, "topoext"))
                return r;
        _cleanup_(xml_freep) xmlNode *fresh = xml_new(NULL, "feature");
        if (!fresh || xml_set(fresh, "policy", "require") < 0 || xml_set(fresh, "name", "topoext") < 0)
                return -ENOMEM;
        return domain_put(cpu, &fresh);
}

int tune_cpu(struct tune *tune)
{
        xmlNode *cpu;

        if (!tune->x86)
                return 0;
        int r = domain_ensure(tune->root, "cpu", &cpu);
        if (r >= 0)
                r = xml_set(cpu, "mode", "%s", tune->kvm ? "host-passthrough" : "maximum");
        if (r >= 0)
                r = xml_set(cpu, "check", "none");
        if (r >= 0 && tune->kvm)
                r = xml_set(cpu, "migratable", "off");
        if (r < 0)
                return r;
        if (!tune->kvm)
                xml_unset(cpu, "migratable");
        xml_unset(cpu, "match");
        r = domain_drop_all(cpu, "model");
        if (r >= 0)
                r = domain_drop_all(cpu, "vendor");
        if (r >= 0)
                r = set_topology(tune, cpu);
        if (r >= 0)
                r = set_passthrough(tune, cpu, "cache", true);
        if (r >= 0)
                r = set_passthrough(tune, cpu, "maxphysaddr", tune->tuning->large_bars > 0);
        return r < 0 ? r : set_cpu_features(tune, cpu);
}
