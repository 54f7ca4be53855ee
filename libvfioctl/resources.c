/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pools.h"
#include "resources.h"

#define NODE_LIMIT 1024 /* the kernel's largest: NODES_SHIFT is 10 at most */
/* A list of processors, each for itself: "8190,8188,...". */
#define LIST_LIMIT (CPU_LIMIT * 5)
/* More than the record of one processor has: its flags are the most of it. */
#define CPUINFO_SIZE 16384

void resources_clear(struct resources *resources)
{
        free(resources->nodes);
        free(resources->cores);
        memset(resources, 0, sizeof(*resources));
}

/* A list of processors; empty where there is none, or nothing that can be read. */
static int read_list(const struct vfioctl_ctx *ctx, const char *path, struct cpu_set *ret)
{
        _cleanup_free_ char *text = NULL;

        memset(ret, 0, sizeof(*ret));
        int r = host_read_file(ctx, path, LIST_LIMIT, &text, NULL);
        if (host_is_shortage(r))
                return r;
        if (r >= 0 && cpu_set_parse(text, ret) < 0)
                memset(ret, 0, sizeof(*ret));
        return 0;
}

/* ---- cores ---- */

static int compare_numbers(const void *a, const void *b)
{
        const unsigned int *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

/*
 * The processors of the core of `cpu`: Documentation/ABI/stable/sysfs-devices-system-cpu; kernels before 5.3
 * know core_cpus_list by its older name alone. Those that are offline, or of another node, do not count.
 */
static int read_core(const struct vfioctl_ctx *ctx, unsigned int cpu, const struct cpu_set *node,
                     struct cpu_core *core)
{
        static const char *const names[] = {"core_cpus_list", "thread_siblings_list"};
        struct cpu_set set = {.words = {0}};
        char path[PATH_MAX];
        int r = 0;

        for (size_t i = 0; r >= 0 && cpu_set_count(&set) == 0 && i < ELEMENTSOF(names); i++)
                if (path_format(path, PATH_CPUS "/cpu%u/topology/%s", cpu, names[i]))
                        r = read_list(ctx, path, &set);
        core->cpus[0] = cpu;
        core->n_cpus = 1;
        for (unsigned int other = cpu_set_next(&set, 0); other < CPU_LIMIT && core->n_cpus < CORE_THREADS_MAX;
             other = cpu_set_next(&set, other + 1))
                if (other != cpu && cpu_set_has(node, other))
                        core->cpus[core->n_cpus++] = other;
        qsort(core->cpus, core->n_cpus, sizeof(*core->cpus), compare_numbers);
        return r;
}

/* One look for each core, not for each processor: a host can have thousands. */
static int read_cores(const struct vfioctl_ctx *ctx, struct resources *resources, size_t node,
                      struct cpu_set *cpus, const struct cpu_set *small, const struct cpu_set *isolated)
{
        for (unsigned int cpu = cpu_set_next(cpus, 0); cpu < CPU_LIMIT; cpu = cpu_set_next(cpus, cpu)) {
                struct cpu_core core = {.node = node,
                                        .is_small = cpu_set_has(small, cpu),
                                        .is_isolated = cpu_set_has(isolated, cpu)};
                int r = read_core(ctx, cpu, cpus, &core);
                if (r >= 0)
                        r = util_grow(&resources->cores, &resources->allocated_cores, resources->n_cores + 1,
                                      sizeof(*resources->cores));
                if (r < 0)
                        return r;
                resources->cores[resources->n_cores++] = core;
                for (unsigned int i = 0; i < core.n_cpus; i++)
                        cpu_set_remove(cpus, core.cpus[i]);
        }
        return 0;
}

/* ---- nodes ---- */

static int add_node(struct resources *resources, const struct node_resources *node)
{
        int r = util_grow(&resources->nodes, &resources->allocated_nodes, resources->n_nodes + 1,
                          sizeof(*resources->nodes));
        if (r >= 0)
                resources->nodes[resources->n_nodes++] = *node;
        return r;
}

static int compare_nodes(const void *a, const void *b)
{
        const struct node_resources *x = a, *y = b;

        return x->number - y->number;
}

static int find_nodes(const struct vfioctl_ctx *ctx, struct resources *resources)
{
        _cleanup_dir_ DIR *dir = NULL;

        int r = host_opendir_optional(ctx, PATH_NODES, &dir);
        for (struct dirent *entry; r >= 0 && dir && (entry = readdir(dir));) {
                uint64_t number;
                if (!util_has_prefix(entry->d_name, "node") || strlen(entry->d_name) > 8 ||
                    util_parse_u64(entry->d_name + 4, 10, NODE_LIMIT - 1, &number) < 0)
                        continue;
                r = add_node(resources, &(struct node_resources){.number = (int)number});
        }
        if (resources->n_nodes > 0)
                qsort(resources->nodes, resources->n_nodes, sizeof(*resources->nodes), compare_nodes);
        resources->is_numa = resources->n_nodes > 0;
        /* A kernel without CONFIG_NUMA: all is one node. */
        return r < 0 || resources->is_numa ? r : add_node(resources, &(struct node_resources){.number = 0});
}

static int read_node(const struct vfioctl_ctx *ctx, struct resources *resources, size_t index,
                     struct cpu_set *left, const struct cpu_set *small, const struct cpu_set *isolated)
{
        struct node_resources *node = &resources->nodes[index];
        char path[PATH_MAX], text[ATTRIBUTE_MAX];
        struct cpu_set cpus = *left;
        int r = 0;

        if (resources->is_numa && path_format(path, PATH_NODES "/node%d/cpulist", node->number))
                r = read_list(ctx, path, &cpus);
        cpu_set_keep(&cpus, left);
        cpu_set_remove_all(left, &cpus);
        node->n_cpus = cpu_set_count(&cpus);
        if (!resources->is_numa)
                (void)path_format(path, "%s", PATH_MEMINFO);
        else
                (void)path_format(path, PATH_NODES "/node%d/meminfo", node->number);
        if (host_read(ctx, path, text, sizeof(text)) > 0)
                node->memory = pools_kib(text, "MemTotal");
        if (!resources->is_numa)
                (void)path_format(path, "%s", PATH_HUGEPAGES);
        else
                (void)path_format(path, PATH_NODES "/node%d/hugepages", node->number);
        if (r >= 0)
                r = pools_read(ctx, path, node->pools, &node->n_pools);
        return r < 0 ? r : read_cores(ctx, resources, index, &cpus, small, isolated);
}

/* "address sizes   : 46 bits physical, 48 bits virtual", of the first processor: show_cpuinfo(). */
static int read_address_bits(const struct vfioctl_ctx *ctx, struct resources *resources)
{
        static const char key[] = "\naddress sizes";
        unsigned int bits;

        _cleanup_free_ char *text = malloc(CPUINFO_SIZE);
        if (!text)
                return -ENOMEM;
        if (host_read(ctx, PATH_CPUINFO, text, CPUINFO_SIZE) <= 0)
                return 0;
        const char *line = strstr(text, key);
        if (line && sscanf(line + strlen(key), " : %3u bits physical", &bits) == 1 && bits >= 32 &&
            bits <= 64)
                resources->address_bits = bits;
        return 0;
}

int resources_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        struct resources *resources = &snapshot->resources;
        struct cpu_set left, small, isolated; /* left: online, and in no node yet */
        char text[ATTRIBUTE_MAX];

        int r = read_list(ctx, PATH_CPUS_ONLINE, &left);
        /* Hybrid processors have a PMU for each kind of core, which names them: intel_pmu_init(). */
        if (r >= 0)
                r = read_list(ctx, PATH_CPUS_SMALL, &small);
        if (r >= 0)
                r = read_list(ctx, PATH_CPUS_ISOLATED, &isolated);
        if (r >= 0)
                r = find_nodes(ctx, resources);
        /* A tree that was captured by others may have no more than the nodes' own lists. */
        if (r >= 0 && resources->is_numa && cpu_set_count(&left) == 0)
                memset(&left, 0xff, sizeof(left));
        for (size_t i = 0; r >= 0 && i < resources->n_nodes; i++)
                r = read_node(ctx, resources, i, &left, &small, &isolated);
        if (r >= 0)
                r = read_address_bits(ctx, resources);
        if (host_read(ctx, PATH_MEMINFO, text, sizeof(text)) > 0)
                resources->default_page = pools_kib(text, "Hugepagesize");
        return r;
}
