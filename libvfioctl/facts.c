/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "facts.h"

void facts_clear(struct host_facts *facts)
{
        free(facts->kernel);
        free(facts->next_kernel);
}

static int read_kernel(const struct vfioctl_ctx *ctx, char **ret)
{
        char text[128];

        if (host_read(ctx, PATH_OSRELEASE, text, sizeof(text)) <= 0)
                return 0;
        util_trim(text);
        /* It becomes part of a path. */
        return *text && !strchr(text, '/') ? util_copy(text, ret) : 0;
}

/* A kernel that can be booted has its modules' index, and its image beside the others. */
static bool is_bootable(const struct vfioctl_ctx *ctx, const char *release)
{
        char path[PATH_MAX];

        return path_format(path, PATH_LIB_MODULES "/%s/modules.dep", release) && host_exists(ctx, path) &&
               path_format(path, PATH_BOOT "/vmlinuz-%s", release) && host_exists(ctx, path);
}

/* Versions compare as people read them: strverscmp() takes digits as numbers. */
static int read_next_kernel(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        _cleanup_dir_ DIR *dir = NULL;

        if (!facts->kernel)
                return 0;
        int r = host_opendir_optional(ctx, PATH_LIB_MODULES, &dir);
        for (struct dirent *entry; r >= 0 && dir && (entry = readdir(dir));) {
                const char *best = facts->next_kernel ? facts->next_kernel : facts->kernel;
                if (entry->d_name[0] == '.' || strverscmp(entry->d_name, best) <= 0 ||
                    !is_bootable(ctx, entry->d_name))
                        continue;
                free(facts->next_kernel);
                facts->next_kernel = NULL;
                r = util_copy(entry->d_name, &facts->next_kernel);
        }
        /* What cannot be listed is not known; that is no error. */
        return r == -ENOMEM ? r : 0;
}

int facts_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        int r = read_kernel(ctx, &snapshot->facts.kernel);

        return r < 0 ? r : read_next_kernel(ctx, &snapshot->facts);
}
