/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fit.h"
#include "paths.h"

#define TEXT_SIZE 32

/* "16.0 GiB", "512 MiB"; returns `buffer`. */
static const char *size_text(uint64_t kib, char buffer[TEXT_SIZE])
{
        if (kib >= PAGE_1G)
                (void)snprintf(buffer, TEXT_SIZE, "%llu.%llu GiB", (unsigned long long)(kib / PAGE_1G),
                               (unsigned long long)(kib % PAGE_1G * 10 / PAGE_1G));
        else
                (void)snprintf(buffer, TEXT_SIZE, "%llu MiB", (unsigned long long)(kib >> 10));
        return buffer;
}

/* "2 MiB", "1 GiB": as people call pages. */
static const char *page_text(uint64_t kib, char buffer[TEXT_SIZE])
{
        if (kib >= PAGE_1G && kib % PAGE_1G == 0)
                (void)snprintf(buffer, TEXT_SIZE, "%llu GiB", (unsigned long long)(kib / PAGE_1G));
        else if (kib % 1024 == 0)
                (void)snprintf(buffer, TEXT_SIZE, "%llu MiB", (unsigned long long)(kib / 1024));
        else
                (void)snprintf(buffer, TEXT_SIZE, "%llu KiB", (unsigned long long)kib);
        return buffer;
}

static int numbers_text(const struct vfioctl_fit *fit, const node_set *nodes, char **ret)
{
        struct cpu_set numbers = {.words = {0}};

        for (size_t i = 0; i < fit->n_nodes; i++)
                if (cpu_set_has(nodes, (unsigned int)i))
                        cpu_set_add(&numbers, (unsigned int)fit->nodes[i].resources->number);
        return cpu_set_format(&numbers, ret);
}

int fit_nodes_text(const struct vfioctl_fit *fit, const node_set *nodes, char **ret)
{
        _cleanup_free_ char *numbers = NULL;

        int r = numbers_text(fit, nodes, &numbers);
        return r < 0 ? r : util_format(ret, "node%s %s", cpu_set_count(nodes) == 1 ? "" : "s", numbers);
}

static int tell_cores(const struct vfioctl_fit *fit, const char *label, const char *where,
                      const node_set *nodes, enum vfioctl_severity severity)
{
        unsigned int threads, all = 0, host = 0;
        unsigned int left = fit_free_cores(fit, nodes, &threads);
        unsigned int wanted = (fit->request.vcpus + threads - 1) / threads;

        for (size_t i = 0; i < fit->n_nodes; i++)
                if (cpu_set_has(nodes, (unsigned int)i)) {
                        all += fit->nodes[i].n_cores;
                        host += fit->nodes[i].n_host;
                }
        return finding_addf(
                fit->findings,
                (struct vfioctl_finding){.severity = severity, .code = "no-cores", .culprit = where},
                "%s: %s: %u core%s wanted for %u vCPU%s, %u of %u left (%u the host's)%s", label, where,
                wanted, wanted == 1 ? "" : "s", fit->request.vcpus, fit->request.vcpus == 1 ? "" : "s", left,
                all, host, severity == VFIOCTL_WARNING ? "; its vCPUs share processors with others" : "");
}

static int tell_memory(const struct vfioctl_fit *fit, const char *label, const char *where,
                       const node_set *nodes, enum vfioctl_severity severity)
{
        char wanted[TEXT_SIZE], left[TEXT_SIZE], all[TEXT_SIZE], host[TEXT_SIZE];
        uint64_t sum = 0, for_host = 0;

        for (size_t i = 0; i < fit->n_nodes; i++)
                if (cpu_set_has(nodes, (unsigned int)i)) {
                        sum += fit->nodes[i].resources->memory;
                        for_host += fit->nodes[i].for_host;
                }
        return finding_addf(
                fit->findings,
                (struct vfioctl_finding){.severity = severity, .code = "no-memory", .culprit = where},
                "%s: %s: %s wanted, %s of %s left (%s the host's)%s", label, where,
                size_text(fit->request.memory, wanted), size_text(fit_free_memory(fit, nodes), left),
                size_text(sum, all), size_text(for_host, host),
                severity == VFIOCTL_WARNING ? "; what is short comes from other nodes" : "");
}

/* What makes pages of a node: Documentation/admin-guide/mm/hugetlbpage.rst. */
static int pages_fix(const struct vfioctl_fit *fit, const struct fit_node *node, uint64_t size,
                     uint64_t number, char **ret)
{
        return fit->snapshot->resources.is_numa
                       ? util_format(ret,
                                     "echo %llu > " PATH_NODES "/node%d/hugepages/hugepages-%llukB/"
                                     "nr_hugepages",
                                     (unsigned long long)number, node->resources->number,
                                     (unsigned long long)size)
                       : util_format(ret, "echo %llu > " PATH_HUGEPAGES "/hugepages-%llukB/nr_hugepages",
                                     (unsigned long long)number, (unsigned long long)size);
}

/* A node that has too few. */
static int tell_pages_lacking(const struct vfioctl_fit *fit, const char *label, const struct fit_node *node,
                              uint64_t size, uint64_t each, enum vfioctl_severity severity)
{
        _cleanup_free_ char *fix = NULL;
        char page[TEXT_SIZE], memory[TEXT_SIZE], room[96] = "", where[32];
        uint64_t *left = NULL;
        int r = 0;

        const struct page_pool *pool = fit_pool(node, size, &left);
        if (pool && *left >= each)
                return 0;
        if (!pool)
                (void)snprintf(room, sizeof(room), ": this kernel has none of that size");
        else if ((each - *left) * size > node->memory)
                (void)snprintf(room, sizeof(room), ", and %s of memory to make more of",
                               size_text(node->memory, memory));
        else
                r = pages_fix(fit, node, size, pool->count + each - *left, &fix);
        (void)snprintf(where, sizeof(where), "node %d", node->resources->number);
        return r < 0 ? r
                     : finding_addf(fit->findings,
                                    (struct vfioctl_finding){.severity = severity,
                                                             .code = "no-pages",
                                                             .culprit = where,
                                                             .fix = fix},
                                    "%s: %s: %llu huge page%s of %s wanted, %llu of %llu left%s", label,
                                    where, (unsigned long long)each, each == 1 ? "" : "s",
                                    page_text(size, page), (unsigned long long)(pool ? *left : 0),
                                    (unsigned long long)(pool ? pool->count : 0), room);
}

/* One finding for each node that has too few. */
static int tell_pages(const struct vfioctl_fit *fit, const char *label, const node_set *nodes,
                      enum vfioctl_severity severity)
{
        uint64_t size = fit->request.pages == VFIOCTL_PAGES_2M ? PAGE_2M : PAGE_1G;
        uint64_t each = fit_pages_each(fit, nodes, size);
        char page[TEXT_SIZE], memory[TEXT_SIZE];
        int r = 0;

        if (fit->request.memory % size != 0)
                return finding_addf(fit->findings,
                                    (struct vfioctl_finding){.severity = severity, .code = "no-pages"},
                                    "%s: %s is no whole number of huge pages of %s", label,
                                    size_text(fit->request.memory, memory), page_text(size, page));
        for (size_t i = 0; r >= 0 && i < fit->n_nodes; i++)
                if (cpu_set_has(nodes, (unsigned int)i))
                        r = tell_pages_lacking(fit, label, &fit->nodes[i], size, each, severity);
        return r;
}

int fit_tell_lack(const struct vfioctl_fit *fit, const char *label, const node_set *nodes, unsigned int lack,
                  enum vfioctl_severity severity)
{
        _cleanup_free_ char *where = NULL;

        int r = fit_nodes_text(fit, nodes, &where);
        if (r >= 0 && lack & LACKS_CORES)
                r = tell_cores(fit, label, where, nodes, severity);
        if (r >= 0 && lack & LACKS_MEMORY)
                r = tell_memory(fit, label, where, nodes, severity);
        if (r >= 0 && lack & LACKS_PAGES)
                r = tell_pages(fit, label, nodes, severity);
        return r;
}

int fit_tell_spread(const struct vfioctl_fit *fit, const char *label, const node_set *nodes)
{
        _cleanup_free_ char *where = NULL;

        int r = fit_nodes_text(fit, nodes, &where);
        return r < 0 ? r
                     : finding_addf(fit->findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                             .code = "several-nodes",
                                                             .culprit = where},
                                    "%s: its GPUs are on %s, and so are its processors and its memory", label,
                                    where);
}

int fit_tell_unseen(const struct vfioctl_fit *fit, const char *label)
{
        return finding_addf(fit->findings,
                            (struct vfioctl_finding){
                                    .severity = VFIOCTL_REFUSAL, .code = "no-cores", .culprit = PATH_CPUS},
                            "%s: no processor can be seen in " PATH_CPUS " and " PATH_NODES, label);
}

/* ---- GPUs ---- */

/* It goes to one of the VMs that fit. */
static bool is_given(const struct vfioctl_fit *fit, const struct vfioctl_gpu *gpu)
{
        bool is_given = false;

        for (size_t i = 0; !is_given && i < fit->n_placed; i++)
                for (size_t k = 0; !is_given && k < fit->placed[i].n_gpus; k++)
                        is_given = fit->placed[i].gpus[k] == gpu;
        return is_given;
}

/* The reasons of vfioctl_choose(), but for what this very call hands out, and for displays of boards. */
static int tell_gpus(const struct vfioctl_fit *fit, const char *label)
{
        const struct vfioctl_request request = {label, fit->request.gpus, -1};
        _cleanup_findings_ struct vfioctl_findings *reasons = NULL;

        int r = vfioctl_findings_new(&reasons);
        if (r >= 0)
                r = choice_explain(&fit->choice, &request, reasons);
        for (size_t i = 0; r >= 0 && i < vfioctl_findings_count(reasons); i++) {
                struct vfioctl_finding finding = *vfioctl_findings_get(reasons, i);
                struct vfioctl_address address;
                const struct vfioctl_gpu *gpu =
                        finding.gpu && vfioctl_address_parse(finding.gpu, &address) == 0
                                ? vfioctl_snapshot_gpu_at(fit->snapshot, &address)
                                : NULL;
                if (!gpu || gpu->on_board || is_given(fit, gpu) || util_equal(finding.code, "not-enough"))
                        continue;
                /* Those are lines for `assign`. */
                if (util_equal(finding.code, "group-shared") || util_equal(finding.code, "virtual-function"))
                        finding.fix = NULL;
                r = vfioctl_findings_add(fit->findings, &finding);
        }
        return r;
}

int fit_tell_no_gpu(const struct vfioctl_fit *fit, const char *label)
{
        unsigned int all = 0, left = 0, wanted = fit->request.gpus;

        for (size_t i = 0; i < fit->snapshot->n_gpus; i++)
                all += !fit->snapshot->gpus[i]->on_board;
        for (size_t i = 0; i < fit->choice.n_units; i++)
                if (!fit->choice.units[i].taken)
                        left += (unsigned int)fit->choice.units[i].count;
        int r = finding_addf(
                fit->findings,
                (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL, .code = "no-gpu", .culprit = label},
                "%s: %u GPU%s wanted, %u of %u left%s", label, wanted, wanted == 1 ? "" : "s", left, all,
                left >= wanted ? ", and an IOMMU group goes as a whole" : "");
        return r < 0 ? r : tell_gpus(fit, label);
}

/* ---- huge pages that would be better ---- */

static int tell_pages_of(const struct vfioctl_fit *fit, const struct fit_node *node)
{
        uint64_t size = PAGE_1G, *left = NULL;
        _cleanup_free_ char *fix = NULL;
        char page[TEXT_SIZE], where[32];

        if (fit->request.memory % size != 0 || node->pages_wanted % size != 0 || !fit_pool(node, size, NULL))
                size = PAGE_2M;
        const struct page_pool *pool = fit_pool(node, size, &left);
        /* No VM could use them: fit_has_pages(). */
        if (node->pages_wanted == 0 || fit->request.memory % size != 0 || !pool)
                return 0;
        uint64_t pages = (node->pages_wanted + size - 1) / size;
        int r = pages_fix(fit, node, size, pool->count + pages - (*left < pages ? *left : pages), &fix);
        (void)snprintf(where, sizeof(where), "node %d", node->resources->number);
        return r < 0 ? r
                     : finding_addf(fit->findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                             .code = "no-pages",
                                                             .culprit = where,
                                                             .fix = fix},
                                    "%s: %llu huge page%s of %s would be faster than ordinary memory, and "
                                    "%llu are free",
                                    where, (unsigned long long)pages, pages == 1 ? "" : "s",
                                    page_text(size, page), (unsigned long long)*left);
}

int fit_tell_pages(const struct vfioctl_fit *fit)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < fit->n_nodes; i++)
                r = tell_pages_of(fit, &fit->nodes[i]);
        return r;
}
