/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"

/* Processors, memory and huge pages, by NUMA node. */

static void reduce_processor(char *line, char *out, size_t size)
{
        if (util_has_prefix(line, "vendor_id") || util_has_prefix(line, "address sizes"))
                (void)snprintf(out, size, "%s\n", line);
}

/* How much there is; not what it is used for. */
static void reduce_memory(char *line, char *out, size_t size)
{
        if (strstr(line, "MemTotal:") || strstr(line, "Hugepagesize:"))
                (void)snprintf(out, size, "%.200s\n", line);
}

static int capture_pools(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder)
{
        static const char *const files[] = {"nr_hugepages", "free_hugepages"};
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, folder, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++)
                if (util_has_prefix(names.items[i], "hugepages-") &&
                    path_format(path, "%s/%s", folder, names.items[i]))
                        r = capture_files(ctx, capture, path, files, ELEMENTSOF(files));
        return r;
}

static int capture_node(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder)
{
        static const char *const files[] = {"cpulist", "cpumap", "distance"};
        char path[PATH_MAX];

        int r = capture_files(ctx, capture, folder, files, ELEMENTSOF(files));
        if (r >= 0 && path_format(path, "%s/meminfo", folder))
                r = capture_table(ctx, capture, path, reduce_memory);
        return r >= 0 && path_format(path, "%s/hugepages", folder) ? capture_pools(ctx, capture, path) : r;
}

static int capture_processor(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                             const char *folder)
{
        static const char *const files[] = {"topology/physical_package_id", "topology/core_id",
                                            "topology/core_cpus_list", "topology/thread_siblings_list"};

        return capture_files(ctx, capture, folder, files, ELEMENTSOF(files));
}

int capture_resources(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const files[] = {PATH_CPUS_ONLINE, PATH_CPUS "/possible", PATH_CPUS_ISOLATED,
                                            PATH_CPUS_SMALL,  PATH_NODES_ONLINE,     PATH_NODES "/possible"};
        static const struct {
                const char *folder, *prefix;
                int (*take)(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                            const char *folder);
        } kinds[] = {
                {PATH_NODES, "node", capture_node},
                {PATH_CPUS, "cpu", capture_processor},
        };
        char path[PATH_MAX];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(files); i++)
                r = capture_file(ctx, capture, files[i], REDACT_TEXT);
        for (size_t kind = 0; r >= 0 && kind < ELEMENTSOF(kinds); kind++) {
                _cleanup_names_ struct names names = {.count = 0};
                r = names_read(ctx, kinds[kind].folder, &names);
                for (size_t i = 0; r >= 0 && i < names.count; i++)
                        if (util_has_prefix(names.items[i], kinds[kind].prefix) &&
                            path_format(path, "%s/%s", kinds[kind].folder, names.items[i]))
                                r = kinds[kind].take(ctx, capture, path);
        }
        if (r >= 0)
                r = capture_table(ctx, capture, PATH_CPUINFO, reduce_processor);
        if (r >= 0)
                r = capture_table(ctx, capture, PATH_MEMINFO, reduce_memory);
        return r < 0 ? r : capture_pools(ctx, capture, PATH_HUGEPAGES);
}
