/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"

/* What was set up on the host, and what vfioctl itself remembers. */

#define HOOK_LIMIT (64 * 1024)

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

/* Where a link of the host leads, when that is a program: the link and an empty program in its place. */
static int capture_program_link(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                                const char *path, const char *target)
{
        int r = capture_put_link(capture, path, target, REDACT_TEXT);

        if (r < 0 || target[0] != '/')
                return r;
        r = capture_presence(ctx, capture, target);
        if (r >= 0 && host_exists(ctx, target))
                capture_make_executable(capture);
        return r;
}

/* What a hook says that binds GPUs too, and nothing else of it. */
static int capture_hook(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *path)
{
        static const char *const words[] = {"driver_override", "vfio-pci", "nodedev-detach", "driverctl"};
        _cleanup_free_ char *text = NULL;
        char target[PATH_MAX], found[128] = "";
        struct stat status;

        if (host_stat(ctx, path, &status) < 0 || !S_ISREG(status.st_mode))
                return 0;
        if (host_readlink(ctx, path, target, sizeof(target)) >= 0)
                return capture_program_link(ctx, capture, path, target);
        int r = host_read_file(ctx, path, HOOK_LIMIT, &text, NULL);
        if (host_is_shortage(r))
                return r;
        for (size_t i = 0; text && i < ELEMENTSOF(words); i++)
                if (strstr(text, words[i])) {
                        strcat(found, words[i]);
                        strcat(found, "\n");
                }
        r = capture_put(capture, path, found, REDACT_TEXT);
        if (r >= 0 && status.st_mode & S_IXUSR)
                capture_make_executable(capture);
        return r;
}

/*
 * libvirt's hooks. That the daemon calls ours is told by a process, of which a captured host has none: PID 0
 * stands for one that does.
 */
static int capture_hooks(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const folders[] = {PATH_HOOKS, PATH_HOOKS "/qemu.d"};
        char path[PATH_MAX];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(folders); i++) {
                _cleanup_names_ struct names names = {.count = 0};
                r = names_read(ctx, folders[i], &names);
                for (size_t k = 0; r >= 0 && k < names.count; k++)
                        if (path_format(path, "%s/%s", folders[i], names.items[k]))
                                r = capture_hook(ctx, capture, path);
        }
        if (r >= 0 && vfioctl_hook_is_live(ctx))
                r = capture_put(capture, PATH_RUN_HOOK, "0 captured\n", REDACT_TEXT);
        return r;
}

/* Of the indexes the modules that matter here, of the images that they are there. */
static void reduce_index(char *line, char *out, size_t size)
{
        if (strstr(line, "vfio") || strstr(line, "vendor-reset"))
                (void)snprintf(out, size, "%.900s\n", line);
}

static int capture_kernels(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, PATH_LIB_MODULES, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++) {
                if (path_format(path, PATH_LIB_MODULES "/%s/modules.dep", names.items[i]))
                        r = capture_table(ctx, capture, path, reduce_index);
                if (r >= 0 && path_format(path, PATH_LIB_MODULES "/%s/modules.builtin", names.items[i]))
                        r = capture_table(ctx, capture, path, reduce_index);
                if (r >= 0 && path_format(path, PATH_BOOT "/vmlinuz-%s", names.items[i]))
                        r = capture_presence(ctx, capture, path);
        }
        return r;
}

/* Of this boot: host drivers, settings that are held, policies. Claims and refused starts name VMs, and are
 * left out. */
static int capture_run(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const files[] = {PATH_RUN_SLOTS, PATH_RUN_BOOT_EARLY, PATH_RUN_BOOT_LATE};
        int r = host_exists(ctx, PATH_RUN) ? capture_folder(capture, PATH_RUN) : 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(files); i++)
                r = capture_file(ctx, capture, files[i], REDACT_TEXT);
        if (r >= 0)
                r = capture_all(ctx, capture, PATH_RUN_HOST, REDACT_TEXT);
        if (r >= 0)
                r = capture_all(ctx, capture, PATH_RUN_HOLD, REDACT_TEXT);
        if (r >= 0)
                r = capture_all(ctx, capture, PATH_TRIED, REDACT_NAMES);
        return r < 0 ? r : capture_all(ctx, capture, PATH_INITRAMFS_COPIES, REDACT_TEXT);
}

/* Parts that run by themselves, and tools that make an initramfs. */
static int capture_parts(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const links[] = {PATH_BOOT_WANTED, PATH_TIMER_WANTED};
        static const char *const programs[] = {PATH_UPDATE_INITRAMFS, PATH_DRACUT};
        int r = capture_file(ctx, capture, PATH_CRON, REDACT_TEXT);

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(links); i++)
                r = capture_link(ctx, capture, links[i]);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(programs); i++) {
                r = capture_presence(ctx, capture, programs[i]);
                if (r >= 0 && host_exists(ctx, programs[i]))
                        capture_make_executable(capture);
        }
        return r;
}

int capture_settings(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        int r = capture_configuration(ctx, capture);

        if (r >= 0)
                r = capture_hooks(ctx, capture);
        if (r >= 0)
                r = capture_kernels(ctx, capture);
        if (r >= 0)
                r = capture_parts(ctx, capture);
        if (r >= 0)
                r = capture_rivals(ctx, capture);
        return r < 0 ? r : capture_run(ctx, capture);
}
