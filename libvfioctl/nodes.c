/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nodes.h"

#include <sys/sysmacros.h>

/* GPU/drm/card0, GPU/sound/card0/pcmC0D3p, GPU/virtio0/drm/card0, GPU/i2c-3/i2c-dev/i2c-3,
 * ...card0/input9/event9 */
#define NODE_DEPTH   6
#define NVIDIA_MAJOR 195 /* Documentation/admin-guide/devices.txt */

void nodes_clear(struct nodes *nodes)
{
        for (size_t i = 0; i < nodes->count; i++)
                free(nodes->items[i].path);
        free(nodes->items);
        memset(nodes, 0, sizeof(*nodes));
}

static int add_node(struct nodes *nodes, dev_t device, struct vfioctl_gpu *gpu, const char *folder,
                    const char *name)
{
        char *path;

        int r = util_format(&path, PATH_DEV "/%s%s", folder, name);
        if (r < 0)
                return r;
        r = util_grow(&nodes->items, &nodes->allocated, nodes->count + 1, sizeof(*nodes->items));
        if (r < 0) {
                free(path);
                return r;
        }
        nodes->items[nodes->count++] = (struct node){.device = device, .path = path, .gpu = gpu};
        return 0;
}

static bool read_device_number(const struct vfioctl_ctx *ctx, const char *path, dev_t *ret)
{
        char text[64];
        unsigned int major_number, minor_number;

        if (host_read(ctx, path, text, sizeof(text)) < 0 ||
            sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
                return false;
        *ret = makedev(major_number, minor_number);
        return true;
}

/* Where udev and devtmpfs put the node of a device whose parent folder in sysfs is `class`. */
static const char *node_folder(const char *class)
{
        static const struct {
                const char *class, *folder;
        } folders[] = {
                {"drm", "dri/"},     {"sound", "snd/"}, {"vfio-dev", "vfio/devices/"},
                {"input", "input/"}, {"card", "snd/"},
        };
        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                if (util_has_prefix(class, folders[i].class))
                        return folders[i].folder;
        return "";
}

static int walk(const struct vfioctl_ctx *ctx, const char *folder, const char *class, const char *name,
                int depth, struct vfioctl_gpu *gpu, struct nodes *nodes)
{
        char path[PATH_MAX];
        dev_t device;

        if (class && path_format(path, "%s/dev", folder) && read_device_number(ctx, path, &device)) {
                int r = add_node(nodes, device, gpu, node_folder(class), name);
                if (r < 0)
                        return r;
        }
        if (depth == 0)
                return 0;
        _cleanup_dir_ DIR *dir = NULL;
        int opened = host_opendir_optional(ctx, folder, &dir);
        if (!dir)
                return opened;
        for (struct dirent *entry; (entry = readdir(dir));) {
                /* Links lead to other devices; power and msi_irqs hold many files and never a node. */
                if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
                    util_equal(entry->d_name, "power") || util_equal(entry->d_name, "msi_irqs") ||
                    util_equal(entry->d_name, "link") || util_has_prefix(entry->d_name, "wakeup"))
                        continue;
                if (!path_format(path, "%s/%s", folder, entry->d_name))
                        continue;
                int r = walk(ctx, path, name, entry->d_name, depth - 1, gpu, nodes);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* NVIDIA's own driver has no class device: its minor number is told in proc. */
static int add_nvidia(const struct vfioctl_ctx *ctx, struct vfioctl_gpu *gpu, struct nodes *nodes)
{
        char path[PATH_MAX], text[ATTRIBUTE_MAX], name[32];
        unsigned int minor_number;

        if (!util_equal(gpu->functions[0]->driver, "nvidia") ||
            !path_format(path, PATH_NVIDIA_GPUS "/%s/information", gpu->functions[0]->text) ||
            host_read(ctx, path, text, sizeof(text)) < 0)
                return 0;
        const char *line = strstr(text, "Device Minor:");
        if (!line || sscanf(line, "Device Minor: %u", &minor_number) != 1)
                return 0;
        (void)snprintf(name, sizeof(name), "nvidia%u", minor_number);
        return add_node(nodes, makedev(NVIDIA_MAJOR, minor_number), gpu, "", name);
}

int nodes_find(const struct vfioctl_ctx *ctx, const struct vfioctl_snapshot *snapshot, struct nodes *ret)
{
        struct nodes nodes = {.count = 0};
        char path[PATH_MAX], name[16];
        dev_t device;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                if (!gpu->is_deep)
                        continue;
                for (size_t k = 0; r >= 0 && k < gpu->n_functions; k++)
                        if (path_format(path, PATH_PCI_DEVICES "/%s", gpu->functions[k]->text))
                                r = walk(ctx, path, NULL, "", NODE_DEPTH, gpu, &nodes);
                if (r >= 0)
                        r = add_nvidia(ctx, gpu, &nodes);
                if (r < 0 || !gpu->group)
                        continue;
                (void)snprintf(name, sizeof(name), "%d", gpu->group->number);
                if (path_format(path, PATH_CLASS_VFIO "/%s/dev", name) &&
                    read_device_number(ctx, path, &device))
                        r = add_node(&nodes, device, gpu, "vfio/", name);
        }
        if (r < 0) {
                nodes_clear(&nodes);
                return r;
        }
        *ret = nodes;
        return 0;
}
