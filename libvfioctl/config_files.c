/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"
#include "host.h"

#include <fcntl.h>

int config_fail(char **ret_error, const char *format, ...)
{
        va_list arguments;
        char *text = NULL;

        if (ret_error) {
                va_start(arguments, format);
                int r = vasprintf(&text, format, arguments);
                va_end(arguments);
                if (r < 0)
                        return -ENOMEM;
                *ret_error = text;
        }
        return -EINVAL;
}

/* libeconf knows of no root: it follows a link out of a simulated host, which then is not to count. */
bool config_is_inside(const struct vfioctl_ctx *ctx, const char *path)
{
        struct stat inside, true_file;

        return ctx->is_live ||
               (path && util_has_prefix(path, ctx->root) &&
                host_stat(ctx, path + strlen(ctx->root), &inside) == 0 && stat(path, &true_file) == 0 &&
                inside.st_dev == true_file.st_dev && inside.st_ino == true_file.st_ino);
}

/*
 * libeconf would wait for somebody to write into a FIFO, and for a link that leads nowhere it says that there
 * is no configuration at all.
 */
static int refuse_odd(struct vfioctl_ctx *ctx, const char *path, size_t *count, char **ret_error)
{
        struct stat status;
        char target[8];

        int r = host_stat(ctx, path, &status);
        if (r >= 0 && S_ISFIFO(status.st_mode))
                return config_fail(ret_error, "%s%s: is a FIFO and no file", ctx->root, path);
        *count += r >= 0 && S_ISREG(status.st_mode);
        ssize_t length = r == -ENOENT ? host_readlink(ctx, path, target, sizeof(target)) : -EINVAL;
        if (length >= 0 || length == -ENAMETOOLONG)
                return config_fail(ret_error, "%s%s: is a link that leads nowhere", ctx->root, path);
        _cleanup_fd_ int fd = r >= 0 ? host_open(ctx, path, O_RDONLY | O_NONBLOCK) : -1;
        if (fd == -EACCES)
                ctx_log(ctx, VFIOCTL_LOG_WARNING,
                        "%s%s: cannot be read, so defaults may be shown; try it as root", ctx->root, path);
        return 0;
}

int config_refuse_odd(struct vfioctl_ctx *ctx, const char *folder, size_t *count, char **ret_error)
{
        char path[PATH_MAX];
        int r = 0;

        if (path_format(path, "%s/" CONFIG_NAME "." CONFIG_SUFFIX, folder))
                r = refuse_odd(ctx, path, count, ret_error);
        if (r < 0 || !path_format(path, "%s/" CONFIG_NAME "." CONFIG_SUFFIX ".d", folder))
                return r;
        _cleanup_dir_ DIR *dir = host_opendir(ctx, path);
        for (struct dirent *entry; dir && r >= 0 && (entry = readdir(dir));) {
                size_t length = strlen(entry->d_name), end = strlen("." CONFIG_SUFFIX);
                if (length < end || !util_equal(entry->d_name + length - end, "." CONFIG_SUFFIX))
                        continue;
                if (path_format(path, "%s/" CONFIG_NAME "." CONFIG_SUFFIX ".d/%s", folder, entry->d_name))
                        r = refuse_odd(ctx, path, count, ret_error);
        }
        return r;
}

bool config_exists(const struct vfioctl_ctx *ctx)
{
        static const char *const places[] = {
                PATH_ETC_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX,
                PATH_ETC_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX ".d",
                PATH_LIB_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX,
                PATH_LIB_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX ".d",
        };
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (host_exists(ctx, places[i]))
                        return true;
        return false;
}
