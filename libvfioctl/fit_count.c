/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fit.h"

#define HOST_MEMORY (2ull << 20) /* KiB */

bool fit_core_is_free(const struct fit_core *core)
{
        return !core->is_host && !core->is_taken;
}

unsigned int fit_free_cores(const struct vfioctl_fit *fit, const node_set *nodes, unsigned int *ret_threads)
{
        unsigned int count = 0, threads = 1;

        for (size_t i = 0; i < fit->n_cores; i++) {
                const struct cpu_core *core = fit->cores[i].core;
                if (!cpu_set_has(nodes, (unsigned int)core->node))
                        continue;
                if (core->n_cpus > threads)
                        threads = core->n_cpus;
                count += fit_core_is_free(&fit->cores[i]);
        }
        if (ret_threads)
                *ret_threads = threads;
        return count;
}

uint64_t fit_free_memory(const struct vfioctl_fit *fit, const node_set *nodes)
{
        uint64_t sum = 0;

        for (size_t i = 0; i < fit->n_nodes; i++)
                if (cpu_set_has(nodes, (unsigned int)i))
                        sum += fit->nodes[i].memory;
        return sum;
}

void fit_take_memory(struct vfioctl_fit *fit, const node_set *nodes, uint64_t memory)
{
        size_t left = cpu_set_count(nodes);

        for (unsigned int round = 0; round < 2; round++)
                for (size_t i = 0; i < fit->n_nodes; i++) {
                        if (!cpu_set_has(nodes, (unsigned int)i))
                                continue;
                        uint64_t part = left > 1 ? memory / left : memory;
                        if (part > fit->nodes[i].memory)
                                part = fit->nodes[i].memory;
                        fit->nodes[i].memory -= part;
                        memory -= part;
                        left -= left > 1;
                }
}

/* ---- huge pages ---- */

const struct page_pool *fit_pool(const struct fit_node *node, uint64_t size, uint64_t **ret_left)
{
        for (size_t i = 0; i < node->resources->n_pools; i++)
                if (node->resources->pools[i].size == size) {
                        if (ret_left)
                                *ret_left = (uint64_t *)(uintptr_t)&node->pages[i];
                        return &node->resources->pools[i];
                }
        return NULL;
}

uint64_t fit_pages_each(const struct vfioctl_fit *fit, const node_set *nodes, uint64_t size)
{
        uint64_t count = cpu_set_count(nodes), pages = (fit->request.memory + size - 1) / size;

        return count > 0 ? (pages + count - 1) / count : pages;
}

bool fit_has_pages(const struct vfioctl_fit *fit, const node_set *nodes, uint64_t size)
{
        uint64_t each = fit_pages_each(fit, nodes, size);

        /* QEMU: "backend memory size must be multiple of" the page. */
        if (fit->request.memory % size != 0)
                return false;
        for (size_t i = 0; i < fit->n_nodes; i++) {
                uint64_t *left;
                if (cpu_set_has(nodes, (unsigned int)i) &&
                    (!fit_pool(&fit->nodes[i], size, &left) || *left < each))
                        return false;
        }
        return true;
}

/* ---- VMs that are there ---- */

/* The nodes that these processors are on. */
static void find_nodes(const struct vfioctl_fit *fit, const struct cpu_set *cpus, node_set *nodes)
{
        for (size_t i = 0; i < fit->n_cores; i++)
                for (unsigned int k = 0; k < fit->cores[i].core->n_cpus; k++)
                        if (cpu_set_has(cpus, fit->cores[i].core->cpus[k]))
                                cpu_set_add(nodes, (unsigned int)fit->cores[i].core->node);
}

static void find_gpu_nodes(const struct vfioctl_fit *fit, size_t vm, node_set *nodes)
{
        for (size_t i = 0; i < fit->snapshot->n_gpus; i++)
                for (size_t k = 0; k < fit->n_nodes; k++)
                        if (vfioctl_gpu_numa_node(fit->snapshot->gpus[i]) ==
                                    fit->nodes[k].resources->number &&
                            vfioctl_vms_has_gpu(fit->vms, vm, fit->snapshot->gpus[i]))
                                cpu_set_add(nodes, (unsigned int)k);
}

/* Where its memory is: on the node that it is bound to, else next to its processors, else next to its GPUs.
 */
static void find_memory(const struct vfioctl_fit *fit, size_t vm, const struct vfioctl_vm_share *share,
                        const struct cpu_set *pinned, node_set *nodes)
{
        for (size_t i = 0; i < fit->n_nodes; i++)
                if (share->numa_node == fit->nodes[i].resources->number)
                        cpu_set_add(nodes, (unsigned int)i);
        if (cpu_set_count(nodes) == 0)
                find_nodes(fit, pinned, nodes);
        if (cpu_set_count(nodes) == 0)
                find_gpu_nodes(fit, vm, nodes);
        if (cpu_set_count(nodes) > 0)
                return;
        for (size_t i = 0; i < fit->n_nodes; i++)
                if (fit->nodes[i].resources->memory > 0)
                        cpu_set_add(nodes, (unsigned int)i);
}

/* Pages that a VM will want, or (`back`) that it has and is to give back. */
static void count_pages(struct vfioctl_fit *fit, const node_set *nodes, uint64_t memory, uint64_t size,
                        bool back)
{
        uint64_t pages = (memory + size - 1) / size, parts = cpu_set_count(nodes);

        for (size_t i = 0; i < fit->n_nodes; i++) {
                uint64_t *left;
                if (!cpu_set_has(nodes, (unsigned int)i) || !fit_pool(&fit->nodes[i], size, &left))
                        continue;
                uint64_t part = pages / (parts > 0 ? parts : 1);
                const struct page_pool *pool = fit_pool(&fit->nodes[i], size, NULL);
                if (back)
                        *left = *left + part > pool->count ? pool->count : *left + part;
                else
                        *left -= part > *left ? *left : part;
                pages -= part;
                parts -= parts > 1;
        }
}

static bool is_pinned(const struct cpu_core *core, const struct cpu_set *pinned)
{
        bool is_pinned = false;

        for (unsigned int i = 0; !is_pinned && i < core->n_cpus; i++)
                is_pinned = cpu_set_has(pinned, core->cpus[i]);
        return is_pinned;
}

/* Pins to more cores than it has vCPUs let it float: then no core is its own. */
static void take_cores(struct vfioctl_fit *fit, const struct cpu_set *pinned, unsigned int vcpus)
{
        unsigned int count = 0;

        for (size_t i = 0; i < fit->n_cores; i++)
                count += is_pinned(fit->cores[i].core, pinned);
        for (size_t i = 0; count <= vcpus && i < fit->n_cores; i++)
                fit->cores[i].is_taken |= is_pinned(fit->cores[i].core, pinned);
}

static int count_vm(struct vfioctl_fit *fit, size_t vm)
{
        const struct vfioctl_vm_share *share = vfioctl_vms_share(fit->vms, vm);
        struct cpu_set pinned = {.words = {0}};
        node_set nodes = {.words = {0}};
        bool runs = vfioctl_vms_is_running(fit->vms, vm);
        bool is_anew = fit->request.vm && (util_equal(vfioctl_vms_name(fit->vms, vm), fit->request.vm) ||
                                           util_equal(vfioctl_vms_uuid(fit->vms, vm), fit->request.vm));

        if (!share || (share->pinned && cpu_set_parse(share->pinned, &pinned) < 0))
                return share ? -EINVAL : 0;
        uint64_t page =
                share->page == VFIOCTL_PAGE_DEFAULT ? fit->snapshot->resources.default_page : share->page;
        find_memory(fit, vm, share, &pinned, &nodes);
        if (is_anew) {
                if (runs && page > 0)
                        count_pages(fit, &nodes, share->memory, page, true);
                return 0;
        }
        take_cores(fit, &pinned, share->vcpus);
        if (!runs && !vms_has_some_gpu(fit->vms, vm, fit->snapshot))
                return 0;
        if (page == 0)
                fit_take_memory(fit, &nodes, share->memory);
        else if (!runs)
                count_pages(fit, &nodes, share->memory, page, false);
        return 0;
}

/* ---- the host's share ---- */

/* Processor 0 first, which the kernel cannot do without; then small cores, then those that no VM has. */
static bool is_better_for_host(const struct fit_core *a, const struct fit_core *b)
{
        if ((a->core->cpus[0] == 0) != (b->core->cpus[0] == 0))
                return a->core->cpus[0] == 0;
        if (a->is_taken != b->is_taken)
                return !a->is_taken;
        if (a->core->is_isolated != b->core->is_isolated)
                return !a->core->is_isolated;
        if (a->core->is_small != b->core->is_small)
                return a->core->is_small;
        if (a->core->n_cpus != b->core->n_cpus)
                return a->core->n_cpus < b->core->n_cpus;
        return a->core->cpus[0] < b->core->cpus[0];
}

static void leave_cores(struct vfioctl_fit *fit, size_t index)
{
        struct fit_node *node = &fit->nodes[index];
        unsigned int wanted = fit->request.host_cores;

        for (size_t i = 0; i < fit->n_cores; i++)
                node->n_cores += fit->cores[i].core->node == index;
        if (wanted == 0)
                wanted = (node->n_cores + 6) / 7;
        while (node->n_host < wanted && node->n_host < node->n_cores) {
                struct fit_core *best = NULL;
                for (size_t i = 0; i < fit->n_cores; i++)
                        if (fit->cores[i].core->node == index && !fit->cores[i].is_host &&
                            (!best || is_better_for_host(&fit->cores[i], best)))
                                best = &fit->cores[i];
                best->is_host = true;
                for (unsigned int k = 0; k < best->core->n_cpus; k++)
                        cpu_set_add(&node->host, best->core->cpus[k]);
                node->n_host++;
        }
}

static void leave_memory(struct vfioctl_fit *fit, struct fit_node *node)
{
        const struct node_resources *resources = node->resources;
        uint64_t memory = resources->memory, wanted = fit->request.host_memory;

        for (size_t i = 0; i < resources->n_pools; i++) {
                uint64_t pool = resources->pools[i].count * resources->pools[i].size;
                memory -= pool > memory ? memory : pool;
                node->pages[i] = resources->pools[i].free;
        }
        if (wanted == 0) {
                wanted = resources->memory / 16 > HOST_MEMORY ? resources->memory / 16 : HOST_MEMORY;
                if (wanted > resources->memory / 4)
                        wanted = resources->memory / 4;
        }
        node->for_host = wanted > memory ? memory : wanted;
        node->memory = memory - node->for_host;
}

int fit_count_all(struct vfioctl_fit *fit)
{
        const struct resources *resources = &fit->snapshot->resources;
        int r = 0;

        fit->nodes = calloc(resources->n_nodes + 1, sizeof(*fit->nodes));
        fit->cores = calloc(resources->n_cores + 1, sizeof(*fit->cores));
        if (!fit->nodes || !fit->cores)
                return -ENOMEM;
        fit->n_nodes = resources->n_nodes;
        fit->n_cores = resources->n_cores;
        for (size_t i = 0; i < fit->n_cores; i++)
                fit->cores[i].core = &resources->cores[i];
        for (size_t i = 0; i < fit->n_nodes; i++) {
                fit->nodes[i].resources = &resources->nodes[i];
                leave_memory(fit, &fit->nodes[i]);
        }
        for (size_t i = 0; r >= 0 && fit->vms && i < vfioctl_vms_count(fit->vms); i++)
                r = count_vm(fit, i);
        for (size_t i = 0; r >= 0 && i < fit->n_nodes; i++)
                leave_cores(fit, i);
        return r;
}
