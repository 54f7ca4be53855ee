/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host.h"
#include "lock.h"

/* What of vfioctl is set up on the host, as far as files tell. */

#define POLICY_TEXT_MAX 65536

VFIOCTL_EXPORT bool vfioctl_part_is_enabled(const struct vfioctl_ctx *ctx, enum vfioctl_part part)
{
        static const char *const paths[] = {
                [VFIOCTL_PART_BOOT_UNIT] = PATH_BOOT_WANTED,
                [VFIOCTL_PART_TIMER] = PATH_TIMER_WANTED,
                [VFIOCTL_PART_CRON] = PATH_CRON,
        };
        char target[8];

        if ((size_t)part >= ELEMENTSOF(paths))
                return false;
        /* systemd goes by the name of a link, wherever it leads. */
        ssize_t length = host_readlink(ctx, paths[part], target, sizeof(target));
        return length >= 0 || length == -ENAMETOOLONG || host_exists(ctx, paths[part]);
}

/* Names of kernels are compared as versions: that of 6.10 is newer than that of 6.9. */
static int newest_copy(const struct vfioctl_ctx *ctx, char **ret)
{
        _cleanup_dir_ DIR *dir = host_opendir(ctx, PATH_INITRAMFS_COPIES);
        _cleanup_free_ char *newest = NULL;

        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                if (entry->d_name[0] == '.' || (newest && strverscmp(entry->d_name, newest) <= 0))
                        continue;
                char *copy;
                int r = util_copy(entry->d_name, &copy);
                if (r < 0)
                        return r;
                free(newest);
                newest = copy;
        }
        if (!newest)
                return -ENOENT;
        *ret = util_steal(newest);
        return 0;
}

static int running_kernel(const struct vfioctl_ctx *ctx, char **ret)
{
        char release[256];

        ssize_t length = host_read(ctx, PATH_OSRELEASE, release, sizeof(release));
        return length < 0 ? (int)length : util_copy(util_trim(release), ret);
}

VFIOCTL_EXPORT int vfioctl_initramfs_policy_of(const struct vfioctl_ctx *ctx, enum vfioctl_initramfs which,
                                               char **ret_kernel, char **ret)
{
        _cleanup_free_ char *kernel = NULL, *text = NULL;
        char path[PATH_MAX];

        int r = which == VFIOCTL_INITRAMFS_NEWEST ? newest_copy(ctx, &kernel) : running_kernel(ctx, &kernel);
        if (r < 0)
                return r;
        if (!*kernel || strchr(kernel, '/') || kernel[0] == '.' ||
            !path_format(path, PATH_INITRAMFS_COPIES "/%s", kernel))
                return -ENOENT;
        r = host_read_file(ctx, path, POLICY_TEXT_MAX, &text, NULL);
        if (r < 0)
                return r;
        *ret_kernel = util_steal(kernel);
        *ret = util_steal(text);
        return 0;
}

VFIOCTL_EXPORT bool vfioctl_change_is_under_way(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu)
{
        return lock_is_held(ctx, vfioctl_gpu_address(gpu));
}
