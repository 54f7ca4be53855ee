/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"

/* What was set up on the host, and what vfioctl itself remembers. */

/* All files of a folder. */
static int capture_all(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder,
                       enum redact_how how)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, folder, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++)
                if (path_format(path, "%s/%s", folder, names.items[i]))
                        r = capture_file(ctx, capture, path, how);
        return r;
}

static int capture_configuration(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const folders[] = {
                PATH_ETC_DIR "/" CONFIG_NAME,
                PATH_ETC_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX ".d",
                PATH_LIB_DIR "/" CONFIG_NAME,
                PATH_LIB_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX ".d",
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(folders); i++)
                r = capture_all(ctx, capture, folders[i], REDACT_CONFIG);
        return r;
}

/*
 * libvirt's hooks by their names. Ours is a link to the program; and that the daemon calls it is told by a
 * process, of which a captured host has none: PID 0 stands for one that does.
 */
static int capture_hooks(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const folders[] = {PATH_HOOKS, PATH_HOOKS "/qemu.d"};
        char path[PATH_MAX];
        struct stat status;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(folders); i++) {
                _cleanup_names_ struct names names = {.count = 0};
                r = names_read(ctx, folders[i], &names);
                for (size_t k = 0; r >= 0 && k < names.count; k++) {
                        if (!path_format(path, "%s/%s", folders[i], names.items[k]) ||
                            host_stat(ctx, path, &status) < 0 || !S_ISREG(status.st_mode))
                                continue;
                        r = capture_put_raw(capture, path, "", 0);
                        if (r >= 0 && status.st_mode & S_IXUSR)
                                capture_make_executable(capture);
                }
        }
        if (r >= 0 && vfioctl_hook_is_live(ctx))
                r = capture_put(capture, PATH_RUN_HOOK, "0 captured\n", REDACT_TEXT);
        return r;
}

/* Kernels that could be booted next: that they are there is all that matters. */
static int capture_kernels(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, PATH_LIB_MODULES, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++) {
                if (path_format(path, PATH_LIB_MODULES "/%s/modules.dep", names.items[i]))
                        r = capture_presence(ctx, capture, path);
                if (r >= 0 && path_format(path, PATH_BOOT "/vmlinuz-%s", names.items[i]))
                        r = capture_presence(ctx, capture, path);
        }
        return r;
}

/* Of this boot: host drivers, policies. Claims and refused starts name VMs, and are left out. */
static int capture_run(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const files[] = {PATH_RUN_SLOTS, PATH_RUN_BOOT_EARLY, PATH_RUN_BOOT_LATE};
        int r = host_exists(ctx, PATH_RUN) ? capture_folder(capture, PATH_RUN) : 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(files); i++)
                r = capture_file(ctx, capture, files[i], REDACT_TEXT);
        if (r >= 0)
                r = capture_all(ctx, capture, PATH_RUN_HOST, REDACT_TEXT);
        if (r >= 0)
                r = capture_all(ctx, capture, PATH_TRIED, REDACT_NAMES);
        return r < 0 ? r : capture_all(ctx, capture, PATH_INITRAMFS_COPIES, REDACT_TEXT);
}

int capture_settings(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        int r = capture_configuration(ctx, capture);

        if (r >= 0)
                r = capture_hooks(ctx, capture);
        if (r >= 0)
                r = capture_kernels(ctx, capture);
        return r < 0 ? r : capture_run(ctx, capture);
}
