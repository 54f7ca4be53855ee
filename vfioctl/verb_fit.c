/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libsmartcols.h>

#include "json.h"
#include "placing.h"
#include "virt.h"

#define VMS_MAX 64           /* as --vms takes them */
#define GIB     (1ull << 20) /* KiB */

struct report {
        const struct cli *cli;
        const struct vfioctl_fit *fit;
        const struct vfioctl_fit_request *request;
        const struct vfioctl_findings *findings;
        bool fits;
};

/* "16.0G", "512M" */
static int memory_text(uint64_t kib, char **ret)
{
        return kib < GIB ? util_format(ret, "%lluM", (unsigned long long)(kib >> 10))
                         : util_format(ret, "%llu.%lluG", (unsigned long long)(kib / GIB),
                                       (unsigned long long)(kib % GIB * 10 / GIB));
}

static int pages_text(uint64_t kib, char **ret)
{
        return kib == 0                       ? util_copy("-", ret)
               : kib >= GIB && kib % GIB == 0 ? util_format(ret, "%lluG", (unsigned long long)(kib / GIB))
                                              : util_format(ret, "%lluM", (unsigned long long)(kib >> 10));
}

static int gpus_text(const struct vfioctl_fit *fit, size_t index, char **ret)
{
        _cleanup_free_ char *text = NULL;
        const struct vfioctl_gpu *gpu;

        for (size_t k = 0; (gpu = vfioctl_fit_gpu(fit, index, k)); k++) {
                char *longer;
                int r = util_format(&longer, "%s%s%s", text ? text : "", text ? "," : "",
                                    vfioctl_gpu_name(gpu));
                if (r < 0)
                        return r;
                free(text);
                text = longer;
        }
        *ret = util_steal(text);
        return 0;
}

/* ---- tables ---- */

#define COLUMNS_MAX 7

/* A row of texts, which are the table's from then on, or freed. */
static int add_row(struct libscols_table *table, char *cells[COLUMNS_MAX], size_t count)
{
        struct libscols_line *line = scols_table_new_line(table, NULL);
        int r = line ? 0 : -ENOMEM;

        for (size_t i = 0; i < count; i++) {
                if (r >= 0)
                        r = scols_line_refer_data(line, i, cells[i] ? cells[i] : strdup(""));
                if (r < 0)
                        free(cells[i]);
        }
        return r;
}

static int add_columns(struct libscols_table *table, const char *const *names, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (!scols_table_new_column(table, names[i], 0, 0))
                        return -ENOMEM;
        return 0;
}

static int vm_row(const struct report *report, struct libscols_table *table, size_t index)
{
        const struct vfioctl_place *place = vfioctl_fit_place(report->fit, index);
        char *cells[COLUMNS_MAX] = {NULL};

        int r = util_format(&cells[0], "%zu", index + 1);
        if (r >= 0)
                r = gpus_text(report->fit, index, &cells[1]);
        if (r >= 0)
                r = util_copy(place->nodes ? place->nodes : "-", &cells[2]);
        if (r >= 0)
                r = util_copy(place->cpus, &cells[3]);
        if (r >= 0)
                r = memory_text(report->request->memory, &cells[4]);
        if (r >= 0)
                r = pages_text(place->page, &cells[5]);
        if (r >= 0)
                return add_row(table, cells, 6);
        for (size_t i = 0; i < COLUMNS_MAX; i++)
                free(cells[i]);
        return r;
}

static int fill_vms(const struct report *report, struct libscols_table *table)
{
        static const char *const names[] = {"VM", "GPU", "NODE", "CPUS", "MEMORY", "PAGES"};
        int r = add_columns(table, names, ELEMENTSOF(names));

        for (size_t i = 0; r >= 0 && i < vfioctl_fit_count(report->fit); i++)
                r = vm_row(report, table, i);
        return r;
}

static int node_row(const struct vfioctl_node_left *node, struct libscols_table *table)
{
        char *cells[COLUMNS_MAX] = {NULL};

        int r = util_format(&cells[0], "%d", node->node);
        if (r >= 0)
                r = util_copy(*node->host_cpus ? node->host_cpus : "-", &cells[1]);
        if (r >= 0)
                r = memory_text(node->host_memory, &cells[2]);
        if (r >= 0)
                r = util_format(&cells[3], "%u/%u", node->free_cores, node->cores);
        if (r >= 0)
                r = util_copy(*node->free_cpus ? node->free_cpus : "-", &cells[4]);
        if (r >= 0)
                r = memory_text(node->free_memory, &cells[5]);
        if (r >= 0)
                r = util_format(&cells[6], "%llux1G %llux2M", (unsigned long long)node->free_pages_1g,
                                (unsigned long long)node->free_pages_2m);
        if (r >= 0)
                return add_row(table, cells, COLUMNS_MAX);
        for (size_t i = 0; i < COLUMNS_MAX; i++)
                free(cells[i]);
        return r;
}

static int fill_nodes(const struct report *report, struct libscols_table *table)
{
        static const char *const names[] = {"NODE",      "HOST CPUS",   "HOST MEMORY", "FREE CORES",
                                            "FREE CPUS", "FREE MEMORY", "FREE PAGES"};
        struct vfioctl_node_left node;
        int r = add_columns(table, names, ELEMENTSOF(names));

        for (size_t i = 0; r >= 0 && vfioctl_fit_node(report->fit, i, &node); i++)
                r = node_row(&node, table);
        return r;
}

static int print_table(const struct report *report,
                       int (*fill)(const struct report *report, struct libscols_table *table))
{
        struct libscols_table *table = scols_new_table();

        int r = table ? fill(report, table) : -ENOMEM;
        if (r >= 0) {
                (void)scols_table_enable_noheadings(table, report->cli->options.no_headings);
                r = scols_print_table(table);
        }
        scols_unref_table(table);
        return r;
}

static int print_text(const struct report *report)
{
        size_t count = vfioctl_fit_count(report->fit);
        _cleanup_free_ char *memory = NULL;
        int r = count > 0 ? print_table(report, fill_vms) : 0;

        if (report->cli->options.no_headings)
                return r;
        if (r >= 0 && count > 0)
                printf("\n");
        if (r >= 0)
                r = print_table(report, fill_nodes);
        if (r >= 0)
                r = memory_text(report->request->memory, &memory);
        if (r < 0)
                return r;
        printf("\n%zu VM%s of %u vCPU%s, %s and %u GPU%s each fit%s%s.\n", count, count == 1 ? "" : "s",
               report->request->vcpus, report->request->vcpus == 1 ? "" : "s", memory, report->request->gpus,
               report->request->gpus == 1 ? "" : "s", count == 1 ? "s" : "",
               report->fits ? "" : ", and no more");
        return 0;
}

/* ---- JSON ---- */

static struct json_object *vm_json(const struct report *report, size_t index)
{
        const struct vfioctl_place *place = vfioctl_fit_place(report->fit, index);
        struct json_object *object = json_object_new_object(), *gpus = json_object_new_array();
        struct json_object *vcpus = json_object_new_array();
        const struct vfioctl_gpu *gpu;

        json_put(object, "number", json_object_new_int64((int64_t)index + 1));
        for (size_t k = 0; (gpu = vfioctl_fit_gpu(report->fit, index, k)); k++) {
                struct json_object *item = json_object_new_object();
                json_put(item, "name", json_string(vfioctl_gpu_name(gpu)));
                json_put(item, "address", json_string(vfioctl_gpu_address(gpu)));
                json_put(item, "numa_node", json_number_or_null(vfioctl_gpu_numa_node(gpu)));
                json_append(gpus, item);
        }
        json_put(object, "gpus", gpus);
        json_put(object, "node", json_number_or_null(place->node));
        json_put(object, "cpus", json_string(place->cpus));
        for (unsigned int i = 0; i < place->n_vcpus; i++)
                json_append(vcpus, json_string(place->vcpus[i]));
        json_put(object, "vcpus", vcpus);
        json_put(object, "threads", json_object_new_int((int)place->threads));
        json_put(object, "services", json_string(place->services));
        json_put(object, "memory", json_object_new_int64((int64_t)report->request->memory * 1024));
        json_put(object, "memory_nodes", json_string(place->nodes));
        json_put(object, "page", place->page > 0 ? json_object_new_int64((int64_t)place->page * 1024) : NULL);
        return object;
}

static struct json_object *node_json(const struct vfioctl_node_left *node)
{
        struct json_object *object = json_object_new_object();

        json_put(object, "node", json_object_new_int(node->node));
        json_put(object, "cores", json_object_new_int((int)node->cores));
        json_put(object, "free_cores", json_object_new_int((int)node->free_cores));
        json_put(object, "host_cpus", json_string(node->host_cpus));
        json_put(object, "free_cpus", json_string(node->free_cpus));
        json_put(object, "memory", json_object_new_int64((int64_t)node->memory * 1024));
        json_put(object, "host_memory", json_object_new_int64((int64_t)node->host_memory * 1024));
        json_put(object, "free_memory", json_object_new_int64((int64_t)node->free_memory * 1024));
        json_put(object, "free_pages_2m", json_object_new_int64((int64_t)node->free_pages_2m));
        json_put(object, "free_pages_1g", json_object_new_int64((int64_t)node->free_pages_1g));
        return object;
}

static int print_json(const struct report *report)
{
        struct json_object *object = json_object_new_object(), *vms = json_object_new_array();
        struct json_object *nodes = json_object_new_array(), *findings = json_object_new_array();
        struct vfioctl_node_left node;

        json_put(object, "fits", json_object_new_boolean(report->fits));
        json_put(object, "count", json_object_new_int64((int64_t)vfioctl_fit_count(report->fit)));
        for (size_t i = 0; i < vfioctl_fit_count(report->fit); i++)
                json_append(vms, vm_json(report, i));
        json_put(object, "vms", vms);
        for (size_t i = 0; vfioctl_fit_node(report->fit, i, &node); i++)
                json_append(nodes, node_json(&node));
        json_put(object, "nodes", nodes);
        json_add_findings(findings, report->findings);
        json_put(object, "findings", findings);
        return json_print(object);
}

/* ---- the verb ---- */

static int run(struct cli *cli, const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
               struct vfioctl_findings *findings)
{
        _cleanup_fit_ struct vfioctl_fit *fit = NULL;
        struct vfioctl_fit_request request;
        size_t most = vfioctl_snapshot_gpu_count(snapshot) + 1;

        placing_request(cli, &request);
        request.vms = cli->options.vm.vms > 0 ? cli->options.vm.vms
                      : most < VMS_MAX        ? (unsigned int)most
                                              : VMS_MAX;
        int r = vfioctl_fit_new(snapshot, vms, &request, findings, &fit);
        if (r < 0)
                return complain_errno(r, "cannot place VMs");
        size_t count = vfioctl_fit_count(fit);
        struct report report = {.cli = cli,
                                .fit = fit,
                                .request = &request,
                                .findings = findings,
                                .fits = cli->options.vm.vms > 0 ? count == request.vms : count > 0};
        r = cli->options.json ? print_json(&report) : print_text(&report);
        if (r < 0)
                return complain_errno(r, "cannot print the table");
        (void)fflush(stdout);
        if (!cli->options.json)
                print_findings(snapshot, findings, cli->options.quiet ? VFIOCTL_REFUSAL : VFIOCTL_NOTE);
        return r > 0 ? r : report.fits ? CODE_DONE : CODE_REFUSED;
}

int verb_fit(struct cli *cli)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;

        if (cli->options.vm.vcpus == 0 || cli->options.vm.memory == 0) {
                complain("fit: say how large such a VM is: --vcpus N --memory SIZE");
                return CODE_USAGE;
        }
        int code = take_snapshot(cli, PLACING_FLAGS, false, &snapshot);
        if (code == 0)
                code = virt_report(cli, &vms);
        if (code != 0)
                return code;
        int r = vfioctl_findings_new(&findings);
        return r < 0 ? complain_errno(r, "cannot place VMs") : run(cli, snapshot, vms, findings);
}
