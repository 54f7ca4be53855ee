/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "holders.h"
#include "nodes.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DRM_MAJOR    226 /* Documentation/admin-guide/devices.txt */
#define CGROUP_LIMIT 65536
#define MAPS_LIMIT   (32 * 1024 * 1024)

struct scan {
        const struct vfioctl_ctx *ctx;
        struct vfioctl_snapshot *snapshot;
        struct nodes nodes;
        bool blind; /* some process would not be looked into */
};

enum unit_kind { UNIT_NONE, UNIT_MANAGER, UNIT_SYSTEMD, UNIT_CONTAINER };

static bool ends_with(const char *text, size_t length, const char *suffix)
{
        size_t size = strlen(suffix);
        return length > size && memcmp(text + length - size, suffix, size) == 0;
}

static enum unit_kind unit_kind(const char *part, size_t length, const char **ret_id)
{
        const char *id = NULL;

        if (length > 7 && (util_has_prefix(part, "docker-") || util_has_prefix(part, "libpod-")))
                id = part + 7;
        else if (length == 64)
                id = part;
        if (id && strspn(id, "0123456789abcdef") >= (id == part ? 64 : 12)) {
                *ret_id = id;
                return UNIT_CONTAINER;
        }
        if (!ends_with(part, length, ".service") && !ends_with(part, length, ".scope"))
                return UNIT_NONE;
        return util_has_prefix(part, "user@") ? UNIT_MANAGER : UNIT_SYSTEMD;
}

/*
 * "ollama.service" from "/system.slice/ollama.service", "container 3f2a..." from docker's and podman's. From
 * the outside in, as systemd does it (cg_path_get_unit()): what lies below a unit or a container belongs to
 * it, and the units of a systemd in there are none of this host's. A user's manager runs units of its own.
 */
static enum unit_kind unit_of_path(const char *path, const char **ret, size_t *ret_length)
{
        enum unit_kind found = UNIT_NONE;

        for (const char *part = path; *part && *part != '\n';) {
                const char *id = NULL;
                size_t length = strcspn(part, "/\n");
                enum unit_kind kind = unit_kind(part, length, &id);
                if (kind != UNIT_NONE) {
                        found = kind;
                        *ret = id ? id : part;
                        *ret_length = id ? 12 : length;
                }
                if (kind > UNIT_MANAGER)
                        break;
                part += length;
                part += *part == '/';
        }
        return found;
}

/*
 * How far a line of cgroups(7), "ID:controllers:path", is to be believed. Version 2 has the one line
 * "0::path"; with version 1 the hierarchy of systemd is exact, while one of a controller may stop at a slice
 * or a manager.
 */
static int line_rank(const char *line, enum unit_kind kind)
{
        const char *controllers = strchr(line, ':') + 1;

        if (kind == UNIT_CONTAINER)
                return 4;
        if (util_has_prefix(controllers, "name=systemd:"))
                return 3;
        return util_has_prefix(line, "0::") ? 2 : 1;
}

int holder_unit(const char *cgroup, char **ret)
{
        const char *best = NULL;
        size_t best_length = 0, size;
        int best_rank = 0;

        for (const char *line = cgroup; *line; line += size + (line[size] == '\n')) {
                const char *unit = NULL, *path = strchr(line, ':');
                size_t length = 0;
                size = strcspn(line, "\n");
                path = path ? strchr(path + 1, ':') : NULL;
                if (!path || path >= line + size)
                        continue;
                enum unit_kind kind = unit_of_path(path + 1, &unit, &length);
                if (kind == UNIT_NONE || line_rank(line, kind) <= best_rank)
                        continue;
                best_rank = line_rank(line, kind);
                best = unit;
                best_length = length;
        }
        if (!best)
                return -ENODATA;
        return util_format(ret, "%s%.*s", best_rank == 4 ? "container " : "", (int)best_length, best);
}

static int add_holder(struct scan *scan, struct vfioctl_gpu *gpu, int pid, const char *node)
{
        struct vfioctl_holder holder = {.pid = pid};
        _cleanup_free_ char *cgroup = NULL;
        char path[PATH_MAX], command[64];

        for (size_t i = 0; i < gpu->n_holders; i++)
                if (gpu->holders[i].pid == pid)
                        return 0;
        struct vfioctl_holder *grown = reallocarray(gpu->holders, gpu->n_holders + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        gpu->holders = grown;

        if (!path_format(path, PATH_PROC "/%d/comm", pid) ||
            host_read(scan->ctx, path, command, sizeof(command)) < 0)
                (void)snprintf(command, sizeof(command), "?");
        util_make_printable(util_trim(command));
        int r = util_copy(command, &holder.command);
        if (r >= 0)
                r = util_copy(node, &holder.node);
        if (r >= 0 && path_format(path, PATH_PROC "/%d/cgroup", pid)) {
                r = host_read_file(scan->ctx, path, CGROUP_LIMIT, &cgroup, NULL);
                if (r >= 0)
                        r = holder_unit(cgroup, &holder.unit);
                if (holder.unit)
                        util_make_printable(holder.unit);
                /* Its unit is for people: it is a holder all the same. */
                if (r < 0 && !host_is_shortage(r))
                        r = 0;
        }
        if (r < 0) {
                free(holder.command);
                free(holder.node);
                free(holder.unit);
                return r;
        }
        gpu->holders[gpu->n_holders++] = holder;
        return 0;
}

/* The node's name without what the kernel adds once it was removed. */
static void cut_deleted(char *name)
{
        char *at = strstr(name, " (deleted)");
        if (at)
                *at = '\0';
        util_make_printable(name);
}

/*
 * A DRM device whose driver was taken away lives on for those who have it open, but sysfs knows its number no
 * more. Drivers that tell (drm-pdev in fdinfo: Documentation/gpu/drm-usage-stats.rst) name the function; for
 * the others every GPU that has lost its driver may be the one.
 */
static int match_orphan(struct scan *scan, int pid, const char *fd_name, dev_t device, const char *name)
{
        char path[PATH_MAX], text[ATTRIBUTE_MAX], address[32] = "";

        if (major(device) != DRM_MAJOR ||
            !path_format(path, PATH_SYS_DEV_CHAR "/%u:%u", major(device), minor(device)) ||
            host_exists(scan->ctx, path))
                return 0;
        if (fd_name && path_format(path, PATH_PROC "/%d/fdinfo/%s", pid, fd_name) &&
            host_read(scan->ctx, path, text, sizeof(text)) > 0) {
                const char *line = strstr(text, "drm-pdev:");
                if (line)
                        (void)sscanf(line, "drm-pdev: %31s", address);
        }
        for (size_t i = 0; i < scan->snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = scan->snapshot->gpus[i];
                if (!gpu->is_deep)
                        continue;
                if (*address ? !util_equal(address, gpu->functions[0]->text)
                             : gpu->functions[0]->driver != NULL)
                        continue;
                int r = add_holder(scan, gpu, pid, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int match_device(struct scan *scan, int pid, const char *fd_name, dev_t device, const char *name)
{
        bool found = false;

        for (size_t i = 0; i < scan->nodes.count; i++) {
                if (scan->nodes.items[i].device != device)
                        continue;
                found = true;
                int r = add_holder(scan, scan->nodes.items[i].gpu, pid,
                                   *name ? name : scan->nodes.items[i].path);
                if (r < 0)
                        return r;
        }
        return found ? 0 : match_orphan(scan, pid, fd_name, device, name);
}

/* A simulated host has no true device nodes: there the name counts. */
static int match_name(struct scan *scan, int pid, const char *name)
{
        for (size_t i = 0; i < scan->nodes.count; i++) {
                if (!util_equal(scan->nodes.items[i].path, name))
                        continue;
                int r = add_holder(scan, scan->nodes.items[i].gpu, pid, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A process that has ended holds nothing; of any other that could not be looked into nobody knows. */
static int not_seen(struct scan *scan, int r)
{
        if (host_is_shortage(r))
                return r;
        scan->blind |= r != -ENOENT && r != -ESRCH;
        return 0;
}

static int scan_fds(struct scan *scan, int pid)
{
        char path[PATH_MAX], name[PATH_MAX];

        if (!path_format(path, PATH_PROC "/%d/fd", pid))
                return 0;
        _cleanup_dir_ DIR *dir = host_opendir(scan->ctx, path);
        if (!dir)
                return not_seen(scan, -errno);
        for (struct dirent *entry; (entry = readdir(dir));) {
                struct stat status;
                int r = 0;
                if (entry->d_name[0] == '.')
                        continue;
                if (scan->ctx->is_live) {
                        if (fstatat(dirfd(dir), entry->d_name, &status, 0) < 0 || !S_ISCHR(status.st_mode))
                                continue;
                        /* The common ones, so that most descriptors cost one call: mem, tty and misc. */
                        if (major(status.st_rdev) == 1 || major(status.st_rdev) == 5)
                                continue;
                }
                ssize_t length = readlinkat(dirfd(dir), entry->d_name, name, sizeof(name) - 1);
                if (length < 0)
                        continue;
                name[length] = '\0';
                cut_deleted(name);
                r = scan->ctx->is_live ? match_device(scan, pid, entry->d_name, status.st_rdev, name)
                                       : match_name(scan, pid, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/*
 * A mapping outlives its descriptor. /proc/PID/maps shows devtmpfs and not the device, but following the link
 * in map_files gives the device itself, removed or not. GPU and vfio drivers take shared mappings only, so
 * only those ('s') need following.
 */
static int scan_maps(struct scan *scan, int pid)
{
        _cleanup_free_ char *maps = NULL;
        char path[PATH_MAX], *rest = NULL;
        struct stat status;

        if (!path_format(path, PATH_PROC "/%d/maps", pid))
                return 0;
        int r = host_read_file(scan->ctx, path, MAPS_LIMIT, &maps, NULL);
        if (r < 0)
                return not_seen(scan, r);
        for (char *line = strtok_r(maps, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                unsigned long long start, end, inode;
                char permissions[8];
                int name = 0;
                /* Nearly all of them are private: told by one character, before the line is taken apart. */
                const char *space = strchr(line, ' ');
                if (!space || strnlen(space, 5) < 5 || space[4] != 's')
                        continue;
                if (sscanf(line, "%llx-%llx %7s %*s %*s %llu %n", &start, &end, permissions, &inode, &name) <
                            4 ||
                    inode == 0 || permissions[3] != 's')
                        continue;
                char *file = name ? line + name : line + strlen(line);
                cut_deleted(file);
                if (!scan->ctx->is_live) {
                        r = match_name(scan, pid, file);
                } else {
                        if (!path_format(path, PATH_PROC "/%d/map_files/%llx-%llx", pid, start, end))
                                continue;
                        r = host_stat(scan->ctx, path, &status);
                        if (r < 0) {
                                scan->blind |= r == -EACCES || r == -EPERM;
                                continue;
                        }
                        if (!S_ISCHR(status.st_mode))
                                continue;
                        r = match_device(scan, pid, NULL, status.st_rdev, file);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool has_program(const struct scan *scan, int pid)
{
        char path[PATH_MAX], target[8];

        return !path_format(path, PATH_PROC "/%d/exe", pid) ||
               host_readlink(scan->ctx, path, target, sizeof(target)) != -ENOENT;
}

/*
 * The task to look at for a process. Kernel threads, most of what runs on a large host, have no program, no
 * descriptors and no mappings: 0. Nor has the first thread of a program once it has ended, though all of that
 * lives on in the others: then one of them.
 */
static int task_of_process(const struct scan *scan, int pid)
{
        char path[PATH_MAX];
        struct stat status;
        uint64_t task;

        if (!scan->ctx->is_live || has_program(scan, pid))
                return pid;
        /* One link for each thread, besides the two of any folder. */
        if (!path_format(path, PATH_PROC "/%d/task", pid) || host_stat(scan->ctx, path, &status) < 0 ||
            status.st_nlink <= 3)
                return 0;
        _cleanup_dir_ DIR *dir = NULL;
        int r = host_opendir_optional(scan->ctx, path, &dir);
        if (r < 0)
                return r;
        for (struct dirent *entry; dir && (entry = readdir(dir));)
                if (util_parse_u64(entry->d_name, 10, INT32_MAX, &task) == 0 && has_program(scan, (int)task))
                        return (int)task;
        return 0;
}

static int scan_processes(struct scan *scan)
{
        uint64_t pid;

        _cleanup_dir_ DIR *dir = host_opendir(scan->ctx, PATH_PROC);
        if (!dir) {
                scan->blind = true;
                return host_is_shortage(-errno) ? -errno : 0;
        }
        for (struct dirent *entry; (entry = readdir(dir));) {
                if (util_parse_u64(entry->d_name, 10, INT32_MAX, &pid) < 0)
                        continue;
                int task = task_of_process(scan, (int)pid);
                int r = task > 0 ? scan_fds(scan, task) : task;
                if (r >= 0 && task > 0)
                        r = scan_maps(scan, task);
                if (r < 0)
                        return r;
        }
        return 0;
}

int holders_find(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        struct scan scan = {.ctx = ctx, .snapshot = snapshot};

        int r = nodes_find(ctx, snapshot, &scan.nodes);
        if (r < 0)
                return r;
        r = scan_processes(&scan);
        nodes_clear(&scan.nodes);
        if (r < 0)
                return r;
        /* hidepid (proc(5)) does not even show the processes of others. */
        if (ctx->is_live && geteuid() != 0)
                scan.blind = true;
        for (size_t i = 0; i < snapshot->n_gpus; i++)
                snapshot->gpus[i]->holders_known = !scan.blind;
        return 0;
}
