/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fit.h"

/* ---- cores ---- */

/* Cores that are alike: by their processors, and large or small. */
struct kind {
        unsigned int threads;
        bool is_small;
};

struct cores {
        const struct kind *kind; /* NULL: any */
        struct fit_core **items;
        size_t count;
};

static bool is_of(const struct fit_core *core, const struct kind *kind, size_t node)
{
        return fit_core_is_free(core) && core->core->node == node &&
               (!kind || (core->core->n_cpus == kind->threads && core->core->is_small == kind->is_small));
}

/* Free processors of a node in cores of this kind. */
static unsigned int count_free(const struct vfioctl_fit *fit, const struct kind *kind, size_t node)
{
        unsigned int count = 0;

        for (size_t i = 0; i < fit->n_cores; i++)
                if (is_of(&fit->cores[i], kind, node))
                        count += fit->cores[i].core->n_cpus;
        return count;
}

/* Whole cores for `vcpus` vCPUs: those that the scheduler leaves alone first, and then in order. */
static void take_from(struct vfioctl_fit *fit, struct cores *cores, size_t node, unsigned int vcpus)
{
        for (unsigned int round = 0; round < 2; round++)
                for (size_t i = 0; vcpus > 0 && i < fit->n_cores; i++) {
                        struct fit_core *core = &fit->cores[i];
                        if (!is_of(core, cores->kind, node) || core->core->is_isolated == (round == 1))
                                continue;
                        core->is_taken = true;
                        cores->items[cores->count++] = core;
                        vcpus -= core->core->n_cpus < vcpus ? core->core->n_cpus : vcpus;
                }
}

unsigned int fit_count_free(const struct vfioctl_fit *fit, size_t node)
{
        return count_free(fit, NULL, node);
}

/* An even part of each node; what one lacks the others give. Siblings stay together. */
static bool take_kind(struct vfioctl_fit *fit, struct cores *cores, const node_set *nodes)
{
        unsigned int left = fit->request.vcpus, parts = cpu_set_count(nodes);

        for (unsigned int round = 0; round < 2; round++)
                for (size_t i = 0; left > 0 && i < fit->n_nodes; i++) {
                        if (!cpu_set_has(nodes, (unsigned int)i))
                                continue;
                        unsigned int part = parts > 1 ? (left + parts - 1) / parts : left;
                        unsigned int unit = cores->kind ? cores->kind->threads : 2;
                        part = (part + unit - 1) / unit * unit;
                        unsigned int room = count_free(fit, cores->kind, i);
                        part = part > room ? room : part;
                        part = part > left ? left : part;
                        take_from(fit, cores, i, part);
                        left -= part;
                        parts -= parts > 1;
                }
        return left == 0;
}

static void give_back(struct cores *cores)
{
        while (cores->count > 0)
                cores->items[--cores->count]->is_taken = false;
}

/* Cores of one kind, those with most siblings and large ones first; else of any. */
static bool take_cores(struct vfioctl_fit *fit, struct cores *cores, const node_set *nodes,
                       unsigned int *ret_threads)
{
        for (unsigned int i = 0; i < 2 * CORE_THREADS_MAX; i++) {
                const struct kind kind = {.threads = CORE_THREADS_MAX - i / 2, .is_small = i % 2};
                cores->kind = &kind;
                bool fits = take_kind(fit, cores, nodes);
                cores->kind = NULL;
                if (fits) {
                        *ret_threads = fit->request.vcpus % kind.threads == 0 ? kind.threads : 1;
                        return true;
                }
                give_back(cores);
        }
        *ret_threads = 1;
        if (take_kind(fit, cores, nodes))
                return true;
        give_back(cores);
        return false;
}

/* ---- the place ---- */

void fit_add_cpus(struct cpu_set *set, const struct cpu_core *core)
{
        for (unsigned int i = 0; i < core->n_cpus; i++)
                cpu_set_add(set, core->cpus[i]);
}

/* Free processors, if it does not have to share them with itself too much; else all but the host's; else all.
 */
static void find_floating(const struct vfioctl_fit *fit, const node_set *nodes, struct cpu_set *ret)
{
        struct cpu_set sets[3] = {{.words = {0}}};

        for (size_t i = 0; i < fit->n_cores; i++) {
                const struct fit_core *core = &fit->cores[i];
                if (!cpu_set_has(nodes, (unsigned int)core->core->node))
                        continue;
                /* The scheduler moves nobody among isolated ones: all would stay on the first. */
                if (fit_core_is_free(core) && !core->core->is_isolated)
                        fit_add_cpus(&sets[0], core->core);
                if (!core->is_host && !core->core->is_isolated)
                        fit_add_cpus(&sets[1], core->core);
                fit_add_cpus(&sets[2], core->core);
        }
        bool few = cpu_set_count(&sets[0]) < (fit->request.vcpus + 1) / 2;
        *ret = !few ? sets[0] : cpu_set_count(&sets[1]) > 0 ? sets[1] : sets[2];
}

static int let_float(const struct vfioctl_fit *fit, struct fit_vm *vm, const node_set *nodes,
                     struct cpu_set *cpus, const char **vcpus)
{
        find_floating(fit, nodes, cpus);
        vm->texts = calloc(1, sizeof(*vm->texts));
        if (!vm->texts)
                return -ENOMEM;
        vm->n_texts = 1;
        int r = cpu_set_format(cpus, &vm->texts[0]);
        for (unsigned int i = 0; r >= 0 && i < fit->request.vcpus; i++)
                vcpus[i] = vm->texts[0];
        vm->place.threads = 1;
        return r;
}

static int pin(const struct vfioctl_fit *fit, struct fit_vm *vm, const struct cores *cores,
               struct cpu_set *cpus, const char **vcpus)
{
        unsigned int vcpu = 0, n = fit->request.vcpus;
        int r = 0;

        vm->texts = calloc(n, sizeof(*vm->texts));
        if (!vm->texts)
                return -ENOMEM;
        vm->n_texts = n;
        for (size_t i = 0; i < cores->count; i++)
                for (unsigned int k = 0; r >= 0 && vcpu < n && k < cores->items[i]->core->n_cpus; k++) {
                        cpu_set_add(cpus, cores->items[i]->core->cpus[k]);
                        r = util_format(&vm->texts[vcpu], "%u", cores->items[i]->core->cpus[k]);
                        vcpus[vcpu] = vm->texts[vcpu];
                        vcpu++;
                }
        return r;
}

int fit_place_cpus(struct vfioctl_fit *fit, struct fit_vm *vm, const node_set *nodes)
{
        _cleanup_free_ struct fit_core **items = calloc(fit->n_cores + 1, sizeof(*items));
        struct cpu_set host = {.words = {0}}, cpus = {.words = {0}};
        struct cores cores = {.items = items};

        const char **vcpus = calloc(fit->request.vcpus, sizeof(*vcpus));
        vm->place.vcpus = vcpus;
        if (!items || !vcpus)
                return -ENOMEM;
        vm->place.n_vcpus = fit->request.vcpus;
        vm->place.is_exclusive = take_cores(fit, &cores, nodes, &vm->place.threads);
        int r = vm->place.is_exclusive ? pin(fit, vm, &cores, &cpus, vcpus)
                                       : let_float(fit, vm, nodes, &cpus, vcpus);
        if (r >= 0)
                r = cpu_set_format(&cpus, &vm->cpus);
        for (size_t i = 0; i < fit->n_nodes; i++)
                if (cpu_set_has(nodes, (unsigned int)i))
                        cpu_set_add_all(&host, &fit->nodes[i].host);
        if (r >= 0 && cpu_set_count(&host) > 0)
                r = cpu_set_format(&host, &vm->services);
        vm->place.cpus = vm->cpus;
        vm->place.services = vm->services;
        return r;
}

static void take_pages(struct vfioctl_fit *fit, const node_set *nodes, uint64_t size)
{
        uint64_t each = fit_pages_each(fit, nodes, size);

        for (size_t i = 0; i < fit->n_nodes; i++) {
                uint64_t *left;
                if (cpu_set_has(nodes, (unsigned int)i) && fit_pool(&fit->nodes[i], size, &left))
                        *left -= each > *left ? *left : each;
        }
}

int fit_place_memory(struct vfioctl_fit *fit, struct fit_vm *vm, const node_set *nodes)
{
        const struct vfioctl_fit_request *request = &fit->request;
        struct cpu_set numbers = {.words = {0}};
        unsigned int count = cpu_set_count(nodes);
        uint64_t size = 0;

        if (request->pages != VFIOCTL_PAGES_NO && request->pages != VFIOCTL_PAGES_2M &&
            fit_has_pages(fit, nodes, PAGE_1G))
                size = PAGE_1G;
        else if (request->pages != VFIOCTL_PAGES_NO && request->pages != VFIOCTL_PAGES_1G &&
                 fit_has_pages(fit, nodes, PAGE_2M))
                size = PAGE_2M;
        vm->place.page = size;
        vm->place.is_strict = fit->snapshot->resources.is_numa && count == 1 &&
                              (size > 0 || fit_free_memory(fit, nodes) >= request->memory);
        if (size > 0)
                take_pages(fit, nodes, size);
        else {
                uint64_t left = fit_free_memory(fit, nodes),
                         here = left < request->memory ? left : request->memory;
                /* Pages for a VM that is too large for its node would take all that is left there. */
                bool has_room = here == request->memory && request->pages == VFIOCTL_PAGES_AUTO;
                node_set all = {.words = {0}};
                for (size_t i = 0; i < fit->n_nodes; i++) {
                        cpu_set_add(&all, (unsigned int)i);
                        if (cpu_set_has(nodes, (unsigned int)i) && has_room)
                                fit->nodes[i].pages_wanted += request->memory / count;
                }
                fit_take_memory(fit, nodes, here);
                fit_take_memory(fit, &all, request->memory - here);
        }
        for (size_t i = 0; i < fit->n_nodes; i++)
                if (cpu_set_has(nodes, (unsigned int)i))
                        cpu_set_add(&numbers, (unsigned int)fit->nodes[i].resources->number);
        int r = fit->snapshot->resources.is_numa ? cpu_set_format(&numbers, &vm->nodes) : 0;
        vm->place.nodes = vm->nodes;
        return r;
}
