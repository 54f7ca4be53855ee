/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host.h"
#include "runtime.h"

#include <unistd.h>

/* What hooks, the boot step and reconcile leave for each other and for status: files below PATH_RUN. */

#define RECORD_MAX 8192

static bool record_path(char path[PATH_MAX], const char *folder, const char *name)
{
        /* Names are UUIDs and words of our own: nothing that leads elsewhere. */
        return *name && name[0] != '.' && !strchr(name, '/') && path_format(path, "%s/%s", folder, name);
}

static int read_record(const struct vfioctl_ctx *ctx, const char *path, char **ret)
{
        _cleanup_free_ char *text = NULL;

        int r = host_read_file(ctx, path, RECORD_MAX, &text, NULL);
        if (r < 0)
                return r;
        *ret = util_steal(text);
        return 0;
}

/* ---- the kernel's command line ---- */

VFIOCTL_EXPORT bool vfioctl_ctx_is_off(const struct vfioctl_ctx *ctx)
{
        char text[ATTRIBUTE_MAX], *next = text;

        if (host_read(ctx, PATH_CMDLINE, text, sizeof(text)) < 0)
                return false;
        for (char *word; (word = strsep(&next, " \n"));)
                if (util_equal(word, "vfioctl=off"))
                        return true;
        return false;
}

/* ---- the hook ---- */

VFIOCTL_EXPORT int vfioctl_hook_record(const struct vfioctl_ctx *ctx, const struct vfioctl_process *daemon)
{
        _cleanup_free_ char *text = NULL;
        char now[64] = "";

        int r = util_format(&text, "%d %s\n", daemon->pid, daemon->start);
        if (r < 0)
                return r;
        /* As a rule it stands there already. */
        if (host_read(ctx, PATH_RUN_HOOK, now, sizeof(now)) > 0 && util_equal(now, text))
                return 0;
        return host_write_file(ctx, PATH_RUN_HOOK, text);
}

VFIOCTL_EXPORT bool vfioctl_hook_is_installed(const struct vfioctl_ctx *ctx)
{
        struct stat status;

        /* Follows the link: one that dangles is none. */
        return host_stat(ctx, PATH_HOOK_QEMU, &status) == 0 && S_ISREG(status.st_mode) &&
               (status.st_mode & S_IXUSR);
}

static bool is_libvirt(const struct vfioctl_ctx *ctx, int pid)
{
        char path[PATH_MAX], name[32];

        if (!path_format(path, PATH_PROC "/%d/comm", pid) || host_read(ctx, path, name, sizeof(name)) < 0)
                return false;
        return util_equal(util_trim(name), "libvirtd") || util_equal(name, "virtqemud");
}

/* A daemon for VMs runs now: its file of the PID may be older than itself. */
static bool libvirt_runs(const struct vfioctl_ctx *ctx)
{
        static const char *const files[] = {PATH_LIBVIRTD_PID, PATH_VIRTQEMUD_PID};
        char text[32];
        int pid;

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (host_read(ctx, files[i], text, sizeof(text)) > 0 && sscanf(text, "%d", &pid) == 1 &&
                    is_libvirt(ctx, pid))
                        return true;
        return false;
}

VFIOCTL_EXPORT bool vfioctl_process_is_libvirt(const struct vfioctl_ctx *ctx,
                                               const struct vfioctl_process *process)
{
        /* A simulated host has no daemons; who plays one there is not looked at. */
        return !ctx->is_live || is_libvirt(ctx, process->pid);
}

VFIOCTL_EXPORT bool vfioctl_hook_is_live(const struct vfioctl_ctx *ctx)
{
        char text[64], start[PROCESS_START_SIZE];
        int pid;

        if (!vfioctl_hook_is_installed(ctx) || host_read(ctx, PATH_RUN_HOOK, text, sizeof(text)) <= 0 ||
            sscanf(text, "%d %23s", &pid, start) != 2)
                return false;
        /* A captured host has no processes: there PID 0 tells that the daemon called. */
        if (!ctx->is_live && pid == 0)
                return true;
        /* One that went to sleep calls us first thing when it wakes up. */
        return runtime_process_is(pid, start) || (ctx->is_live && !libvirt_runs(ctx));
}

/* ---- refused starts ---- */

VFIOCTL_EXPORT int vfioctl_refusal_record(const struct vfioctl_ctx *ctx, const char *uuid, const char *vm,
                                          const char *reason)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];

        if (!record_path(path, PATH_RUN_REFUSED, uuid) || strchr(vm, '\n'))
                return -EINVAL;
        int r = util_format(&text, "%s\n%s\n", vm, reason);
        return r < 0 ? r : host_write_file(ctx, path, text);
}

VFIOCTL_EXPORT int vfioctl_refusal_forget(const struct vfioctl_ctx *ctx, const char *uuid)
{
        char path[PATH_MAX];

        if (!record_path(path, PATH_RUN_REFUSED, uuid))
                return -EINVAL;
        int r = host_unlink(ctx, path);
        return r == -ENOENT ? 0 : r;
}

VFIOCTL_EXPORT int vfioctl_refusals_each(const struct vfioctl_ctx *ctx, vfioctl_refusal_fn fn, void *userdata)
{
        _cleanup_dir_ DIR *dir = NULL;

        int r = host_opendir_optional(ctx, PATH_RUN_REFUSED, &dir);
        for (struct dirent *entry; dir && r >= 0 && (entry = readdir(dir));) {
                _cleanup_free_ char *text = NULL;
                char path[PATH_MAX];
                struct stat status;
                if (!record_path(path, PATH_RUN_REFUSED, entry->d_name) ||
                    read_record(ctx, path, &text) < 0 || host_stat(ctx, path, &status) < 0)
                        continue;
                char *reason = strchr(text, '\n');
                if (!reason)
                        continue;
                *reason++ = '\0';
                r = fn(userdata, entry->d_name, text, util_trim(reason), status.st_mtime);
        }
        return r;
}

/* ---- the boot step ---- */

static const char *boot_path(enum vfioctl_boot_stage stage)
{
        return stage == VFIOCTL_BOOT_EARLY ? PATH_RUN_BOOT_EARLY : PATH_RUN_BOOT_LATE;
}

VFIOCTL_EXPORT int vfioctl_boot_record(const struct vfioctl_ctx *ctx, enum vfioctl_boot_stage stage,
                                       const char *policy)
{
        return host_write_file(ctx, boot_path(stage), policy);
}

VFIOCTL_EXPORT int vfioctl_boot_policy_of(const struct vfioctl_ctx *ctx, enum vfioctl_boot_stage stage,
                                          char **ret)
{
        return read_record(ctx, boot_path(stage), ret);
}
