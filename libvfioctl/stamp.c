/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host.h"

#include <fcntl.h>
#include <time.h>

/*
 * Whether anything happened since the last reconcile, without looking at any of it: the kernel counts its
 * events (every bind and unbind is one), and whoever replaces a file changes the time of its folder.
 */

/* A file that changes within the same tick of the clock keeps its time: what is so young proves nothing. */
#define RACY_NS 1000000000LL

struct print {
        uint64_t hash;
        int64_t youngest; /* ns since 1970 */
};

/* FNV-1a, 64 bits: draft-eastlake-fnv. */
static void mix(struct print *print, const void *data, size_t size)
{
        const unsigned char *bytes = data;

        for (size_t i = 0; i < size; i++)
                print->hash = (print->hash ^ bytes[i]) * 0x100000001b3ULL;
}

static void mix_file(struct print *print, const struct vfioctl_ctx *ctx, const char *path)
{
        struct stat status;
        int64_t parts[4] = {0, 0, 0, 0};

        if (host_stat(ctx, path, &status) == 0) {
                parts[0] = (int64_t)status.st_ino;
                parts[1] = (int64_t)status.st_size;
                parts[2] = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
                parts[3] = (int64_t)status.st_ctim.tv_sec * 1000000000 + status.st_ctim.tv_nsec;
                if (parts[3] > print->youngest)
                        print->youngest = parts[3];
        }
        mix(print, parts, sizeof(parts));
}

/* A folder, and each file in it: one that is edited in place leaves the folder's time as it was. */
static void mix_folder(struct print *print, const struct vfioctl_ctx *ctx, const char *folder)
{
        char path[PATH_MAX];

        mix_file(print, ctx, folder);
        _cleanup_dir_ DIR *dir = host_opendir(ctx, folder);
        for (struct dirent *entry; dir && (entry = readdir(dir));)
                if (entry->d_name[0] != '.' && path_format(path, "%s/%s", folder, entry->d_name))
                        mix_file(print, ctx, path);
}

VFIOCTL_EXPORT bool vfioctl_stamp_take(const struct vfioctl_ctx *ctx, struct vfioctl_stamp *ret)
{
        static const char *const files[] = {
                PATH_ETC_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX,
                PATH_LIB_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX,
                PATH_HOOK_QEMU,
                PATH_RUN_HOOK,
                PATH_RUN_BOOT_LATE,
                PATH_RUN_CLAIMS,
                PATH_RUN_WORK,
                PATH_RUN_STUCK,
                PATH_RUN_REFUSED,
                PATH_LIBVIRT_DEFINITIONS,
                PATH_LIBVIRT_DEFINITIONS "/autostart",
                PATH_LIBVIRT_RUN,
                PATH_LIBVIRT_SAVES,
        };
        struct print print = {.hash = 0xcbf29ce484222325ULL};
        struct timespec now;
        char events[64];

        ssize_t length = host_read(ctx, PATH_UEVENT_SEQNUM, events, sizeof(events));
        if (length > 0)
                mix(&print, events, (size_t)length);
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                mix_file(&print, ctx, files[i]);
        mix_folder(&print, ctx, PATH_ETC_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX ".d");
        mix_folder(&print, ctx, PATH_LIB_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX ".d");
        ret->value = print.hash;
        /* Without the kernel's count a change of a driver would go unseen. */
        return length > 0 && clock_gettime(CLOCK_REALTIME, &now) == 0 &&
               (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - print.youngest > RACY_NS;
}

VFIOCTL_EXPORT int vfioctl_stamp_save(const struct vfioctl_ctx *ctx, const struct vfioctl_stamp *stamp,
                                      int code, const char *problems)
{
        _cleanup_free_ char *text = NULL;

        int r = util_format(&text, "%d %s%016llx\n%s", code, stamp ? "" : "-",
                            stamp ? (unsigned long long)stamp->value : 0ULL, problems);
        return r < 0 ? r : host_write_file(ctx, PATH_RUN_RECONCILED, text);
}

VFIOCTL_EXPORT int vfioctl_stamp_read(const struct vfioctl_ctx *ctx, struct vfioctl_stamp *ret_stamp,
                                      bool *ret_known, int *ret_code, int64_t *ret_when, char **ret_problems)
{
        _cleanup_free_ char *text = NULL;
        unsigned long long value = 0;
        struct stat status;
        char hash[24];
        int code;

        int r = host_read_file(ctx, PATH_RUN_RECONCILED, 65536, &text, NULL);
        if (r >= 0)
                r = host_stat(ctx, PATH_RUN_RECONCILED, &status);
        if (r < 0)
                return r;
        if (sscanf(text, "%d %17s", &code, hash) != 2)
                return -ENOENT;
        *ret_known = hash[0] != '-' && sscanf(hash, "%llx", &value) == 1;
        ret_stamp->value = value;
        *ret_code = code;
        *ret_when = status.st_mtime;
        if (!ret_problems)
                return 0;
        const char *problems = strchr(text, '\n');
        return util_copy(problems ? problems + 1 : "", ret_problems);
}

VFIOCTL_EXPORT int vfioctl_stamp_touch(const struct vfioctl_ctx *ctx)
{
        return host_touch(ctx, PATH_RUN_RECONCILED);
}
