/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fit.h"
#include "text.h"

#define VMS_MAX    4096
#define MEMORY_MAX (1ull << 40) /* KiB */

/* ---- what a VM lacks in a place ---- */

static unsigned int find_lack(struct vfioctl_fit *fit, const node_set *nodes)
{
        const struct vfioctl_fit_request *request = &fit->request;
        unsigned int sum = 0, lack = 0;

        for (size_t i = 0; i < fit->n_nodes; i++)
                if (cpu_set_has(nodes, (unsigned int)i))
                        sum += fit_count_free(fit, i);
        if (sum < request->vcpus)
                lack |= LACKS_CORES;
        if (request->pages == VFIOCTL_PAGES_2M || request->pages == VFIOCTL_PAGES_1G)
                return fit_has_pages(fit, nodes, request->pages == VFIOCTL_PAGES_2M ? PAGE_2M : PAGE_1G)
                               ? lack
                               : lack | LACKS_PAGES;
        if (request->pages == VFIOCTL_PAGES_AUTO &&
            (fit_has_pages(fit, nodes, PAGE_1G) || fit_has_pages(fit, nodes, PAGE_2M)))
                return lack;
        return fit_free_memory(fit, nodes) < request->memory ? lack | LACKS_MEMORY : lack;
}

static node_set every_node(const struct vfioctl_fit *fit)
{
        node_set all = {.words = {0}};

        for (size_t i = 0; i < fit->n_nodes; i++)
                cpu_set_add(&all, (unsigned int)i);
        return all;
}

/* With a fallback only what the host as a whole has not is a refusal. */
static bool is_acceptable(const struct vfioctl_fit *fit, unsigned int lack)
{
        const node_set all = every_node(fit);

        if (lack == 0)
                return true;
        return fit->request.with_fallback && !(lack & LACKS_PAGES) &&
               (!(lack & LACKS_MEMORY) || fit_free_memory(fit, &all) >= fit->request.memory);
}

/* ---- which GPUs, and where ---- */

struct candidate {
        node_set nodes;
        unsigned int lack;
        size_t unknown; /* GPUs of no known node */
        size_t used;    /* on the card of the first GPU, before */
        size_t first;   /* that GPU's index */
        unsigned int cores;
        int asked; /* the node that its GPUs were picked for; -1: any */
        bool is_there;
};

/* What is lacking counts most, then what of that is worse: memory of other nodes is slower than a shared
 * core. */
static bool is_better(const struct vfioctl_fit *fit, const struct candidate *a, const struct candidate *b)
{
        if (!b->is_there)
                return true;
        if (a->lack != b->lack)
                return a->lack < b->lack;
        if (a->unknown != b->unknown)
                return a->unknown < b->unknown;
        /* Where no GPU says where to go, the emptiest node is best. */
        if (a->unknown == fit->request.gpus && a->cores != b->cores)
                return a->cores > b->cores;
        if (a->used != b->used)
                return fit->request.placement == VFIOCTL_PLACEMENT_PACK ? a->used > b->used
                                                                        : a->used < b->used;
        return a->first < b->first;
}

static size_t index_of(const struct vfioctl_fit *fit, const struct vfioctl_gpu *gpu)
{
        size_t i = 0;

        while (i < fit->snapshot->n_gpus && fit->snapshot->gpus[i] != gpu)
                i++;
        return i;
}

/* The nodes of these GPUs, as far as they are known and have processors. */
static size_t gpu_nodes(const struct vfioctl_fit *fit, const struct vfioctl_gpu *const *gpus, size_t n,
                        node_set *nodes)
{
        size_t unknown = 0;

        for (size_t i = 0; i < n; i++) {
                size_t k = 0;
                while (k < fit->n_nodes && fit->nodes[k].resources->number != vfioctl_gpu_numa_node(gpus[i]))
                        k++;
                if (k < fit->n_nodes && fit->nodes[k].n_cores > 0)
                        cpu_set_add(nodes, (unsigned int)k);
                else
                        unknown++;
        }
        return unknown;
}

static int node_number(const struct vfioctl_fit *fit, const node_set *nodes)
{
        return cpu_set_count(nodes) == 1 ? fit->nodes[cpu_set_next(nodes, 0)].resources->number : -1;
}

static bool serve(struct vfioctl_fit *fit, const struct fit_vm *vm, int node)
{
        const struct vfioctl_request request = {vm->label, fit->request.gpus, node};

        if (fit->request.named)
                return true;
        bool served = choice_serve(&fit->choice, &request, vm->gpus);
        if (!served)
                choice_release(&fit->choice, vm->label);
        return served;
}

/*
 * Judges one place by taking its GPUs and giving them back. `nodes` empty: wherever the GPUs are. `asked` is
 * the node that GPUs are picked for, -1: any.
 */
static void try_place(struct vfioctl_fit *fit, const struct fit_vm *vm, const node_set *nodes, int asked,
                      struct candidate *best)
{
        struct candidate candidate = {.nodes = *nodes, .asked = asked, .is_there = true};
        node_set theirs = {.words = {0}};

        if (!serve(fit, vm, asked))
                return;
        candidate.unknown = gpu_nodes(fit, vm->gpus, vm->n_gpus, &theirs);
        if (cpu_set_count(nodes) == 0)
                candidate.nodes = theirs;
        if (!fit->request.named)
                choice_release(&fit->choice, vm->label);
        /* A node with none of its GPUs is for GPUs whose own is not known. */
        cpu_set_keep(&theirs, &candidate.nodes);
        if (candidate.unknown < vm->n_gpus && cpu_set_count(&theirs) == 0)
                return;
        candidate.lack = find_lack(fit, &candidate.nodes);
        candidate.cores = fit_free_cores(fit, &candidate.nodes, NULL);
        if (vm->n_gpus > 0) {
                candidate.first = index_of(fit, vm->gpus[0]);
                candidate.used = choice_used_on_card(&fit->choice, vm->gpus[0]);
        }
        if (is_better(fit, &candidate, best))
                *best = candidate;
}

/* The nodes of GPUs that were named, or none. */
static void named_nodes(const struct vfioctl_fit *fit, node_set *nodes)
{
        memset(nodes, 0, sizeof(*nodes));
        if (fit->request.named)
                (void)gpu_nodes(fit, fit->request.named, fit->request.n_named, nodes);
}

/* Whether all of a VM could be on this node, as far as processors and named GPUs go. */
static bool is_possible(const struct vfioctl_fit *fit, const node_set *named, size_t node)
{
        return fit->nodes[node].n_cores > 0 &&
               (cpu_set_count(named) == 0 ||
                (cpu_set_count(named) == 1 && cpu_set_has(named, (unsigned int)node)));
}

static void try_each(struct vfioctl_fit *fit, const struct fit_vm *vm, bool any_gpu, struct candidate *best)
{
        node_set named;

        named_nodes(fit, &named);
        for (size_t i = 0; i < fit->n_nodes; i++) {
                node_set node = {.words = {0}};
                if (!is_possible(fit, &named, i))
                        continue;
                cpu_set_add(&node, (unsigned int)i);
                try_place(fit, vm, &node, any_gpu ? -1 : fit->nodes[i].resources->number, best);
        }
}

/*
 * One node if that will do; else the nodes of its GPUs if they are on several; else, as the node of its GPUs
 * has no processors, any.
 */
static void find_place(struct vfioctl_fit *fit, const struct fit_vm *vm, struct candidate *best)
{
        try_each(fit, vm, false, best);
        if (fit->request.gpus > 1 && (!best->is_there || !is_acceptable(fit, best->lack))) {
                const node_set none = {.words = {0}};
                struct candidate spread = {.is_there = false};
                try_place(fit, vm, &none, -1, &spread);
                if (spread.is_there && cpu_set_count(&spread.nodes) > 1 &&
                    (!best->is_there || is_acceptable(fit, spread.lack)))
                        *best = spread;
        }
        if (!best->is_there)
                try_each(fit, vm, true, best);
}

/* ---- one VM ---- */

static int place_vm(struct vfioctl_fit *fit, struct fit_vm *vm, const struct candidate *where)
{
        int r = 0;

        if (!serve(fit, vm, where->asked))
                return -EINVAL; /* it was tried a moment ago */
        if (where->lack != 0)
                r = fit_tell_lack(fit, vm->label, &where->nodes, where->lack, VFIOCTL_WARNING);
        if (r >= 0 && cpu_set_count(&where->nodes) > 1)
                r = fit_tell_spread(fit, vm->label, &where->nodes);
        vm->place.node = node_number(fit, &where->nodes);
        vm->place.address_bits = fit->snapshot->resources.address_bits;
        if (r >= 0)
                r = fit_place_cpus(fit, vm, &where->nodes);
        if (r >= 0)
                r = fit_place_memory(fit, vm, &where->nodes);
        vm->has_place = r >= 0;
        return r;
}

/* Each node that has GPUs for it, and what else it lacks there. */
static int refuse_vm(struct vfioctl_fit *fit, const struct fit_vm *vm, const struct candidate *best)
{
        /* With a fallback no more than pages are a matter of single nodes. */
        unsigned int counts =
                fit->request.with_fallback ? LACKS_PAGES : LACKS_CORES | LACKS_MEMORY | LACKS_PAGES;
        node_set named;
        int r = 0;

        if (fit->n_cores == 0)
                return fit_tell_unseen(fit, vm->label);
        if (!best->is_there)
                return fit_tell_no_gpu(fit, vm->label);
        /* With a fallback the whole host would have done. */
        if (fit->request.with_fallback && !(best->lack & LACKS_PAGES)) {
                const node_set all = every_node(fit);
                return fit_tell_lack(fit, vm->label, &all, LACKS_MEMORY, VFIOCTL_REFUSAL);
        }
        if (cpu_set_count(&best->nodes) > 1)
                return fit_tell_lack(fit, vm->label, &best->nodes, best->lack & counts, VFIOCTL_REFUSAL);
        named_nodes(fit, &named);
        for (size_t i = 0; r >= 0 && i < fit->n_nodes; i++) {
                struct candidate here = {.is_there = false};
                node_set node = {.words = {0}};
                if (!is_possible(fit, &named, i))
                        continue;
                cpu_set_add(&node, (unsigned int)i);
                try_place(fit, vm, &node, best->asked < 0 ? -1 : fit->nodes[i].resources->number, &here);
                if (here.is_there)
                        r = fit_tell_lack(fit, vm->label, &node, here.lack & counts, VFIOCTL_REFUSAL);
        }
        return r;
}

static int fit_one(struct vfioctl_fit *fit, size_t index, bool *ret_fits)
{
        struct fit_vm *vm = &fit->placed[index];
        struct candidate best = {.is_there = false};
        _cleanup_free_ char *name = NULL;
        int r = 0;

        if (fit->request.vm)
                r = text_printable(fit->request.vm, TEXT_NAME_MAX, &name);
        if (r >= 0)
                r = name ? util_format(&vm->label, "VM %s", name)
                         : util_format(&vm->label, "VM %zu", index + 1);
        if (r < 0)
                return r;
        vm->gpus = calloc(fit->request.gpus + 1, sizeof(*vm->gpus));
        if (!vm->gpus)
                return -ENOMEM;
        vm->n_gpus = fit->request.gpus;
        for (size_t i = 0; fit->request.named && i < vm->n_gpus; i++)
                vm->gpus[i] = fit->request.named[i];
        find_place(fit, vm, &best);
        *ret_fits = best.is_there && is_acceptable(fit, best.lack);
        return *ret_fits ? place_vm(fit, vm, &best) : refuse_vm(fit, vm, &best);
}

static int note_left(struct vfioctl_fit *fit)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < fit->n_nodes; i++) {
                struct cpu_set free_cpus = {.words = {0}};
                for (size_t k = 0; k < fit->n_cores; k++)
                        if (fit->cores[k].core->node == i && fit_core_is_free(&fit->cores[k]))
                                fit_add_cpus(&free_cpus, fit->cores[k].core);
                r = cpu_set_format(&free_cpus, &fit->nodes[i].free_cpus);
                if (r >= 0)
                        r = cpu_set_format(&fit->nodes[i].host, &fit->nodes[i].host_cpus);
        }
        return r;
}

static bool is_sane(const struct vfioctl_snapshot *snapshot, const struct vfioctl_fit_request *request)
{
        if (request->vms == 0 || request->vms > VMS_MAX || request->vcpus == 0 ||
            request->vcpus > CPU_LIMIT || request->memory == 0 || request->memory > MEMORY_MAX ||
            request->gpus > snapshot->n_gpus + VMS_MAX)
                return false;
        return (!request->named && !request->vm) || request->vms == 1;
}

static int run(struct vfioctl_fit *fit)
{
        bool fits = true;

        int r = fit_count_all(fit);
        if (r >= 0)
                r = choice_open(fit->snapshot, fit->vms, fit->request.placement, &fit->choice);
        for (size_t i = 0; r >= 0 && fits && i < fit->request.vms; i++) {
                r = fit_one(fit, i, &fits);
                fit->n_placed += r >= 0 && fits;
        }
        /* What would be faster is of no use to who is short of something. */
        if (r >= 0 && fits)
                r = fit_tell_pages(fit);
        return r < 0 ? r : note_left(fit);
}

DEFINE_CLEANUP(struct vfioctl_fit, vfioctl_fit_free)

VFIOCTL_EXPORT int vfioctl_fit_new(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                                   const struct vfioctl_fit_request *request,
                                   struct vfioctl_findings *findings, struct vfioctl_fit **ret)
{
        if (!is_sane(snapshot, request))
                return -EINVAL;
        _cleanup_(vfioctl_fit_freep) struct vfioctl_fit *fit = calloc(1, sizeof(*fit));
        if (!fit)
                return -ENOMEM;
        fit->snapshot = snapshot;
        fit->vms = vms;
        fit->request = *request;
        fit->findings = findings;
        if (request->named)
                fit->request.gpus = (unsigned int)request->n_named;
        fit->placed = calloc(request->vms, sizeof(*fit->placed));
        if (!fit->placed)
                return -ENOMEM;
        int r = run(fit);
        if (r < 0)
                return r;
        *ret = util_steal(fit);
        return 0;
}

VFIOCTL_EXPORT struct vfioctl_fit *vfioctl_fit_free(struct vfioctl_fit *fit)
{
        if (!fit)
                return NULL;
        for (size_t i = 0; fit->placed && i < fit->request.vms; i++) {
                struct fit_vm *vm = &fit->placed[i];
                for (size_t k = 0; k < vm->n_texts; k++)
                        free(vm->texts[k]);
                free(vm->texts);
                free(vm->label);
                free(vm->gpus);
                free((void *)(uintptr_t)vm->place.vcpus);
                free(vm->cpus);
                free(vm->services);
                free(vm->nodes);
        }
        for (size_t i = 0; fit->nodes && i < fit->n_nodes; i++) {
                free(fit->nodes[i].host_cpus);
                free(fit->nodes[i].free_cpus);
        }
        choice_close(&fit->choice);
        free(fit->placed);
        free(fit->nodes);
        free(fit->cores);
        free(fit);
        return NULL;
}

/* ---- what came of it ---- */

VFIOCTL_EXPORT size_t vfioctl_fit_count(const struct vfioctl_fit *fit)
{
        return fit->n_placed;
}

VFIOCTL_EXPORT const struct vfioctl_gpu *vfioctl_fit_gpu(const struct vfioctl_fit *fit, size_t index,
                                                         size_t k)
{
        return index < fit->n_placed && k < fit->placed[index].n_gpus ? fit->placed[index].gpus[k] : NULL;
}

VFIOCTL_EXPORT const struct vfioctl_place *vfioctl_fit_place(const struct vfioctl_fit *fit, size_t index)
{
        return index < fit->n_placed ? &fit->placed[index].place : NULL;
}

VFIOCTL_EXPORT size_t vfioctl_fit_node_count(const struct vfioctl_fit *fit)
{
        return fit->n_nodes;
}

VFIOCTL_EXPORT bool vfioctl_fit_node(const struct vfioctl_fit *fit, size_t index,
                                     struct vfioctl_node_left *ret)
{
        const node_set none = {.words = {0}};
        node_set nodes = none;
        uint64_t *pages;

        if (index >= fit->n_nodes)
                return false;
        const struct fit_node *node = &fit->nodes[index];
        cpu_set_add(&nodes, (unsigned int)index);
        *ret = (struct vfioctl_node_left){
                .node = node->resources->number,
                .cores = node->n_cores,
                .free_cores = fit_free_cores(fit, &nodes, NULL),
                .host_cpus = node->host_cpus,
                .free_cpus = node->free_cpus,
                .memory = node->resources->memory,
                .host_memory = node->for_host,
                .free_memory = node->memory,
        };
        if (fit_pool(node, PAGE_2M, &pages))
                ret->free_pages_2m = *pages;
        if (fit_pool(node, PAGE_1G, &pages))
                ret->free_pages_1g = *pages;
        return true;
}
