/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "needs.h"

#define TABLE_LIMIT (4 * 1024 * 1024)
#define STACK_DEPTH 8 /* dm on md on partition on disk: stacked block devices and interfaces */

/* The PCI function nearest to the end of a sysfs device path. */
static struct vfioctl_function *function_of_path(const struct vfioctl_snapshot *snapshot, const char *path)
{
        struct vfioctl_function *found = NULL;
        struct vfioctl_address address;
        char part[VFIOCTL_ADDRESS_SIZE];

        for (const char *at = path; *at;) {
                at += strspn(at, "/");
                size_t n = strcspn(at, "/");
                if (n < sizeof(part)) {
                        memcpy(part, at, n);
                        part[n] = '\0';
                        if (strchr(part, ':') && vfioctl_address_parse(part, &address) == 0) {
                                struct vfioctl_function *function = snapshot_function(snapshot, &address);
                                if (function)
                                        found = function;
                        }
                }
                at += n;
        }
        return found;
}

static int note_use(struct vfioctl_function *function, const char *verb, const char *what)
{
        char *text;

        if (function->host_use)
                return 0;
        int r = util_format(&text, "%s %s", verb, what);
        if (r < 0)
                return r;
        util_make_printable(text);
        function->host_use = text;
        return 0;
}

/* A device by its folder in a class or in /sys/dev/block, and then whatever it is stacked on. */
static int note_stack(const struct vfioctl_ctx *ctx, const struct vfioctl_snapshot *snapshot,
                      const char *device, const char *below, const char *verb, const char *what, int depth)
{
        char path[PATH_MAX], target[PATH_MAX];

        if (host_readlink(ctx, device, target, sizeof(target)) > 0) {
                struct vfioctl_function *function = function_of_path(snapshot, target);
                if (function)
                        return note_use(function, verb, what);
        }
        if (depth == 0)
                return 0;
        /* Block devices list what they are made of in slaves/, interfaces as links lower_NAME. */
        bool is_block = util_equal(below, "slaves");
        if (!path_format(path, is_block ? "%s/slaves" : "%s", device))
                return 0;
        _cleanup_dir_ DIR *dir = NULL;
        int opened = host_opendir_optional(ctx, path, &dir);
        if (!dir)
                return opened;
        for (struct dirent *entry; (entry = readdir(dir));) {
                const char *name = entry->d_name;
                if (name[0] == '.' || (!is_block && !util_has_prefix(name, "lower_")))
                        continue;
                if (!path_format(path, "%s/%s", is_block ? PATH_CLASS_BLOCK : PATH_CLASS_NET,
                                 is_block ? name : name + strlen("lower_")))
                        continue;
                int r = note_stack(ctx, snapshot, path, below, verb, what, depth - 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int note_block(const struct vfioctl_ctx *ctx, const struct vfioctl_snapshot *snapshot,
                      const char *device, const char *verb, const char *what)
{
        return note_stack(ctx, snapshot, device, "slaves", verb, what, STACK_DEPTH);
}

/* The block device of a node such as /dev/sda2, or of a link such as /dev/mapper/root -> ../dm-0. */
static bool block_of_node(const struct vfioctl_ctx *ctx, const char *node, char path[PATH_MAX])
{
        char target[PATH_MAX];

        if (!util_has_prefix(node, PATH_DEV "/"))
                return false;
        if (host_readlink(ctx, node, target, sizeof(target)) > 0)
                node = target;
        return path_format(path, PATH_CLASS_BLOCK "/%s", path_last(node));
}

/* proc(5), mountinfo: ID, parent, major:minor, root, mount point, options, [fields], "-", type, source, ...
 */
static int find_mounts(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], *rest = NULL;

        int opened = host_read_file(ctx, PATH_MOUNTINFO, TABLE_LIMIT, &text, NULL);
        if (opened < 0)
                return host_is_shortage(opened) ? opened : 0;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char device[32], mount_point[256], source[256];
                const char *tail = strstr(line, " - ");
                if (sscanf(line, "%*s %*s %31s %*s %255s", device, mount_point) != 2)
                        continue;
                if (!util_has_prefix(device, "0:")) {
                        if (strspn(device, "0123456789:") != strlen(device) ||
                            !path_format(path, PATH_SYS_DEV_BLOCK "/%s", device))
                                continue;
                } else {
                        /* btrfs and the like have a number of their own; the source names a device. */
                        if (!tail || sscanf(tail, " - %*s %255s", source) != 1 ||
                            !block_of_node(ctx, source, path))
                                continue;
                }
                int r = note_block(ctx, snapshot, path, "carries the mounted", mount_point);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_swaps(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], *rest = NULL;

        int opened = host_read_file(ctx, PATH_SWAPS, TABLE_LIMIT, &text, NULL);
        if (opened < 0)
                return host_is_shortage(opened) ? opened : 0;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char file[256];
                if (sscanf(line, "%255s", file) != 1 || !block_of_node(ctx, file, path))
                        continue;
                int r = note_block(ctx, snapshot, path, "carries the swap", file);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int note_interface(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, const char *name)
{
        char path[PATH_MAX];

        if (!*name || *name == '.' || strchr(name, '/') || !path_format(path, PATH_CLASS_NET "/%s", name))
                return 0;
        return note_stack(ctx, snapshot, path, "lower", "carries the default route,", name, STACK_DEPTH);
}

/* net/ipv4/fib_trie.c: fib_route_seq_show(). */
static int find_routes4(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        _cleanup_free_ char *text = NULL;
        char *rest = NULL;

        int opened = host_read_file(ctx, PATH_ROUTE4, TABLE_LIMIT, &text, NULL);
        if (opened < 0)
                return host_is_shortage(opened) ? opened : 0;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char name[32];
                unsigned int destination, mask;
                if (sscanf(line, "%31s %x %*x %*x %*d %*d %*d %x", name, &destination, &mask) != 3 ||
                    destination || mask)
                        continue;
                int r = note_interface(ctx, snapshot, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* net/ipv6/route.c: rt6_info_route(): destination, length, source, length, next hop, metric, ..., interface.
 */
static int find_routes6(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        _cleanup_free_ char *text = NULL;
        char *rest = NULL;

        int opened = host_read_file(ctx, PATH_ROUTE6, TABLE_LIMIT, &text, NULL);
        if (opened < 0)
                return host_is_shortage(opened) ? opened : 0;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char destination[40], length[8], name[32];
                if (sscanf(line, "%39s %7s %*s %*s %*s %*s %*s %*s %*s %31s", destination, length, name) !=
                            3 ||
                    strspn(destination, "0") != strlen(destination) || !util_equal(length, "00") ||
                    util_equal(name, "lo"))
                        continue;
                int r = note_interface(ctx, snapshot, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The text console is on a framebuffer when a vtconsole "frame buffer device" is bound. */
static int find_console(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        char path[PATH_MAX], target[PATH_MAX], text[128];
        bool bound = false;

        _cleanup_dir_ DIR *consoles = NULL;
        int opened = host_opendir_optional(ctx, PATH_CLASS_VTCONSOLE, &consoles);
        if (opened < 0)
                return opened;
        for (struct dirent *entry; consoles && (entry = readdir(consoles));) {
                if (entry->d_name[0] == '.' ||
                    !path_format(path, PATH_CLASS_VTCONSOLE "/%s/name", entry->d_name) ||
                    host_read(ctx, path, text, sizeof(text)) < 0 || !strstr(text, "frame buffer"))
                        continue;
                if (path_format(path, PATH_CLASS_VTCONSOLE "/%s/bind", entry->d_name) &&
                    host_read(ctx, path, text, sizeof(text)) > 0 && text[0] == '1')
                        bound = true;
        }
        if (!bound)
                return 0;
        /* fbcon maps the consoles to fb0 unless told otherwise: Documentation/fb/fbcon.rst, fbcon=map. */
        if (host_readlink(ctx, PATH_CLASS_GRAPHICS "/fb0", target, sizeof(target)) < 0)
                return 0;
        struct vfioctl_function *function = function_of_path(snapshot, target);
        if (function)
                function->is_console = true;
        return 0;
}

/* The GPU's function that has this range in a BAR, as far as BARs were read. */
static struct vfioctl_function *function_of_range(const struct vfioctl_snapshot *snapshot, uint64_t start,
                                                  uint64_t end)
{
        for (size_t i = 0; i < snapshot->n_gpus; i++)
                for (size_t k = 0; k < snapshot->gpus[i]->n_functions; k++) {
                        struct vfioctl_function *function = snapshot->gpus[i]->functions[k];
                        for (size_t b = 0; b < 6; b++) {
                                const struct vfioctl_bar *bar = &function->bars[b];
                                if (!bar->is_io && bar->size > 0 && bar->start > 0 && start >= bar->start &&
                                    end <= bar->start + bar->size - 1)
                                        return function;
                        }
                }
        return NULL;
}

/* What drives a framebuffer that the firmware made: efifb.c, vesafb.c, simplefb.c, simpledrm.c, sysfb. */
static bool is_framebuffer(const char *name)
{
        return util_equal(name, "efifb") || util_equal(name, "vesafb") || util_equal(name, "BOOTFB") ||
               util_has_prefix(name, "simple");
}

/* "  e0000000-e02fffff : efifb"; without CAP_SYS_ADMIN all addresses are 0: r_show() in kernel/resource.c. */
static int find_framebuffer(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        _cleanup_free_ char *text = NULL;
        char *rest = NULL;

        if (!(snapshot->flags & VFIOCTL_SNAPSHOT_DETAILS))
                return 0;
        int r = host_read_file(ctx, PATH_IOMEM, TABLE_LIMIT, &text, NULL);
        if (r < 0)
                return host_is_shortage(r) ? r : 0;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                unsigned long long start, end;
                char *name = strstr(line, " : ");
                if (!name || !is_framebuffer(name + 3) || sscanf(line, " %llx-%llx", &start, &end) != 2)
                        continue;
                if (end == 0) {
                        snapshot->iomem_unseen = true;
                        continue;
                }
                struct vfioctl_function *function = function_of_range(snapshot, start, end);
                if (!function || function->framebuffer)
                        continue;
                r = util_copy(name + 3, &function->framebuffer);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Disks and networks can only matter where a group holds something that is no GPU's. */
static bool has_strangers(const struct vfioctl_snapshot *snapshot)
{
        for (size_t i = 0; i < snapshot->n_functions; i++)
                if (!snapshot->functions[i]->is_bridge && !snapshot->functions[i]->gpu)
                        return true;
        return false;
}

int needs_find(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        int r = find_console(ctx, snapshot);
        if (r >= 0)
                r = find_framebuffer(ctx, snapshot);
        if (r < 0 || !has_strangers(snapshot))
                return r;
        r = find_mounts(ctx, snapshot);
        if (r >= 0)
                r = find_swaps(ctx, snapshot);
        if (r >= 0)
                r = find_routes4(ctx, snapshot);
        if (r >= 0)
                r = find_routes6(ctx, snapshot);
        return r;
}
