/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reach.h"

void reach_clear(struct reach *reach)
{
        free(reach->render);
        free(reach->uuid);
        free(reach->nvidia);
        memset(reach, 0, sizeof(*reach));
}

/* GPU/drm/renderD128 */
static int find_render(const struct vfioctl_ctx *ctx, const char *address, struct reach *reach)
{
        _cleanup_dir_ DIR *dir = NULL;
        char path[PATH_MAX];

        if (!path_format(path, PATH_PCI_DEVICES "/%s/drm", address))
                return 0;
        int r = host_opendir_optional(ctx, path, &dir);
        for (struct dirent *entry; r >= 0 && dir && (entry = readdir(dir));) {
                const char *digits = entry->d_name + strlen("renderD");
                if (!util_has_prefix(entry->d_name, "renderD") || reach->render || !*digits ||
                    digits[strspn(digits, "0123456789")])
                        continue;
                r = util_format(&reach->render, PATH_DEV "/dri/%s", entry->d_name);
        }
        return r;
}

/*
 * amdgpu's unique_id (Documentation/gpu/amdgpu, "Unique id"): 16 digits. ROCm's name for the GPU is made of
 * it: HSA_AMD_AGENT_INFO_UUID.
 */
static int find_unique_id(const struct vfioctl_ctx *ctx, const char *address, struct reach *reach)
{
        char path[PATH_MAX], text[64];
        uint64_t id;

        if (!path_format(path, PATH_PCI_DEVICES "/%s/unique_id", address) ||
            host_read(ctx, path, text, sizeof(text)) < 0 ||
            util_parse_u64(util_trim(text), 16, UINT64_MAX, &id) < 0 || id == 0)
                return 0;
        return util_format(&reach->uuid, "GPU-%016llx", (unsigned long long)id);
}

/* The value behind "NAME:" and blanks, cut out of `text`'s copy; NULL. */
static const char *value_of(const char *text, const char *name, char *buffer, size_t size)
{
        const char *at = strstr(text, name);

        if (!at)
                return NULL;
        at += strlen(name);
        at += strspn(at, " \t");
        size_t length = strcspn(at, "\n");
        if (length == 0 || length >= size)
                return NULL;
        memcpy(buffer, at, length);
        buffer[length] = '\0';
        return util_trim(buffer);
}

/* Before the driver has initialised the GPU its digits are question marks. */
static bool is_uuid(const char *text)
{
        size_t length = strlen(text);

        return util_has_prefix(text, "GPU-") && length == 40 &&
               strspn(text + 4, "0123456789abcdefABCDEF-") == length - 4;
}

/* NVIDIA's own driver: README, "Using the /proc File System Interface". */
static int find_nvidia(const struct vfioctl_ctx *ctx, const char *address, struct reach *reach)
{
        char path[PATH_MAX], text[ATTRIBUTE_MAX], value[64];
        uint64_t number;
        int r = 0;

        if (!path_format(path, PATH_NVIDIA_GPUS "/%s/information", address) ||
            host_read(ctx, path, text, sizeof(text)) < 0)
                return 0;
        const char *found = value_of(text, "Device Minor:", value, sizeof(value));
        if (found && util_parse_u64(found, 10, 255, &number) == 0)
                r = util_format(&reach->nvidia, PATH_DEV "/nvidia%u", (unsigned int)number);
        found = value_of(text, "GPU UUID:", value, sizeof(value));
        if (r >= 0 && found && is_uuid(found))
                r = util_copy(found, &reach->uuid);
        return r;
}

int reach_find(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        int r = 0;

        snapshot->has_kfd = host_exists(ctx, PATH_DEV_KFD);
        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                const struct vfioctl_function *function = gpu->functions[0];
                if (!gpu->is_deep || gpu->is_stuck || !function->driver || function_on_vfio(function))
                        continue;
                r = find_render(ctx, function->text, &gpu->reach);
                if (r >= 0 && util_equal(function->driver, "amdgpu"))
                        r = find_unique_id(ctx, function->text, &gpu->reach);
                if (r >= 0 && util_equal(function->driver, "nvidia"))
                        r = find_nvidia(ctx, function->text, &gpu->reach);
        }
        return r;
}
