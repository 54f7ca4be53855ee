/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"

#include <fcntl.h>

#define FILE_LIMIT  (1024 * 1024)
#define TABLE_LIMIT (4 * 1024 * 1024)

/* ---- folders of the host ---- */

void names_clear(struct names *names)
{
        for (size_t i = 0; i < names->count; i++)
                free(names->items[i]);
        free(names->items);
        *names = (struct names){.count = 0};
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_read(const struct vfioctl_ctx *ctx, const char *folder, struct names *ret)
{
        _cleanup_names_ struct names names = {.count = 0};
        _cleanup_dir_ DIR *dir = NULL;

        int r = host_opendir_optional(ctx, folder, &dir);
        for (struct dirent *entry; dir && r >= 0 && (entry = readdir(dir));) {
                if (entry->d_name[0] == '.')
                        continue;
                r = util_grow(&names.items, &names.allocated, names.count + 1, sizeof(*names.items));
                if (r >= 0)
                        r = util_copy(entry->d_name, &names.items[names.count]);
                if (r >= 0)
                        names.count++;
        }
        if (r < 0)
                return r;
        if (names.count > 0)
                qsort(names.items, names.count, sizeof(*names.items), compare_names);
        *ret = names;
        names = (struct names){.count = 0};
        return 0;
}

/* ---- adding ---- */

/* Takes `data` and `target`, also on failure. Names in paths are judged by the place that they lead to. */
static int add(struct vfioctl_capture *capture, enum vfioctl_captured_kind kind, const char *path, char *data,
               size_t size, char *target)
{
        _cleanup_free_ char *kept = data, *link = target, *shown = NULL;
        bool names = util_has_prefix(path, PATH_DEV "/");

        int r = redact_text(&capture->redaction, path, strlen(path), names, &shown);
        if (r >= 0)
                r = util_grow(&capture->items, &capture->allocated, capture->count + 1,
                              sizeof(*capture->items));
        if (r < 0)
                return r;
        capture->items[capture->count++] = (struct vfioctl_captured){.kind = kind,
                                                                     .path = util_steal(shown),
                                                                     .data = util_steal(kept),
                                                                     .size = size,
                                                                     .target = util_steal(link)};
        return 0;
}

int capture_folder(struct vfioctl_capture *capture, const char *path)
{
        return add(capture, VFIOCTL_CAPTURED_FOLDER, path, NULL, 0, NULL);
}

int capture_mark(struct vfioctl_capture *capture, const char *path, enum vfioctl_captured_kind kind)
{
        return add(capture, kind, path, NULL, 0, NULL);
}

int capture_put(struct vfioctl_capture *capture, const char *path, const char *text, enum redact_how how)
{
        char *shown = NULL;

        int r = redact_text(&capture->redaction, text, strlen(text), how != REDACT_TEXT, &shown);
        if (r < 0)
                return r;
        if (how == REDACT_CONFIG)
                redact_comments(&capture->redaction, shown);
        return add(capture, VFIOCTL_CAPTURED_FILE, path, shown, strlen(shown), NULL);
}

int capture_put_raw(struct vfioctl_capture *capture, const char *path, const void *data, size_t size)
{
        char *copy = malloc(size + 1);

        if (!copy)
                return -ENOMEM;
        memcpy(copy, data, size);
        return add(capture, VFIOCTL_CAPTURED_FILE, path, copy, size, NULL);
}

int capture_put_link(struct vfioctl_capture *capture, const char *path, const char *target,
                     enum redact_how how)
{
        char *shown = NULL;

        int r = redact_text(&capture->redaction, target, strlen(target), how != REDACT_TEXT, &shown);
        return r < 0 ? r : add(capture, VFIOCTL_CAPTURED_LINK, path, NULL, 0, shown);
}

void capture_make_executable(struct vfioctl_capture *capture)
{
        if (capture->count > 0)
                capture->items[capture->count - 1].is_executable = true;
}

int capture_file(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *path,
                 enum redact_how how)
{
        _cleanup_free_ char *text = NULL;
        struct stat status;

        if (host_stat(ctx, path, &status) < 0 || !S_ISREG(status.st_mode))
                return 0;
        int r = host_read_file(ctx, path, FILE_LIMIT, &text, NULL);
        if (r == -EACCES || r == -EPERM)
                return capture_mark(capture, path, VFIOCTL_CAPTURED_UNREADABLE);
        /* An attribute may well answer with an error of its driver. */
        if (r < 0)
                return host_is_shortage(r) ? r : 0;
        return capture_put(capture, path, text, how);
}

int capture_link(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *path)
{
        char target[PATH_MAX];

        if (host_readlink(ctx, path, target, sizeof(target)) < 0)
                return 0;
        return capture_put_link(capture, path, target,
                                util_has_prefix(path, PATH_DEV "/") ? REDACT_NAMES : REDACT_TEXT);
}

int capture_presence(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *path)
{
        return host_exists(ctx, path) ? capture_put_raw(capture, path, "", 0) : 0;
}

int capture_files(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder,
                  const char *const *names, size_t count)
{
        char path[PATH_MAX];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < count; i++)
                if (path_format(path, "%s/%s", folder, names[i]))
                        r = capture_file(ctx, capture, path, REDACT_TEXT);
        return r;
}

int capture_table(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *path,
                  reduce_fn reduce)
{
        _cleanup_free_ char *text = NULL, *all = NULL;
        size_t allocated = 0, length = 0;
        char *rest = NULL, line_out[1024];

        int r = host_read_file(ctx, path, TABLE_LIMIT, &text, NULL);
        if (r == -EACCES || r == -EPERM)
                return capture_mark(capture, path, VFIOCTL_CAPTURED_UNREADABLE);
        if (r < 0)
                return host_is_shortage(r) ? r : 0;
        r = util_grow(&all, &allocated, 1, 1);
        for (char *line = strtok_r(text, "\n", &rest); r >= 0 && line; line = strtok_r(NULL, "\n", &rest)) {
                line_out[0] = '\0';
                reduce(line, line_out, sizeof(line_out));
                size_t n = strlen(line_out);
                r = util_grow(&all, &allocated, length + n + 1, 1);
                if (r >= 0)
                        memcpy(all + length, line_out, n);
                length += r >= 0 ? n : 0;
        }
        if (r < 0)
                return r;
        all[length] = '\0';
        return capture_put(capture, path, all, REDACT_NAMES);
}

bool capture_device_of(const char *target, char path[PATH_MAX])
{
        const char *devices = strstr(target, "/devices/");

        return devices && path_format(path, PATH_SYS "%s", devices);
}

/* ---- the whole ---- */

/* The first label counts: a name with its domain, and one without, are the same machine. */
static int read_host_name(const struct vfioctl_ctx *ctx, char **ret)
{
        /* Names that are words of this trade: replacing them would only make nonsense. */
        static const char *const common[] = {"localhost", "host", "dev", "mapper", "root", "mnt", "srv"};
        char text[256];

        if (host_read(ctx, PATH_HOSTNAME, text, sizeof(text)) <= 0 &&
            host_read(ctx, PATH_ETC_HOSTNAME, text, sizeof(text)) <= 0)
                return 0;
        text[strcspn(text, ".\n ")] = '\0';
        for (size_t i = 0; i < ELEMENTSOF(common); i++)
                if (util_equal(text, common[i]))
                        return 0;
        return *text ? util_copy(text, ret) : 0;
}

VFIOCTL_EXPORT struct vfioctl_capture *vfioctl_capture_free(struct vfioctl_capture *capture)
{
        if (!capture)
                return NULL;
        for (size_t i = 0; i < capture->count; i++) {
                free((char *)capture->items[i].path);
                free((char *)capture->items[i].data);
                free((char *)capture->items[i].target);
        }
        free(capture->items);
        redaction_clear(&capture->redaction);
        free(capture);
        return NULL;
}

DEFINE_CLEANUP(struct vfioctl_capture, vfioctl_capture_free)

VFIOCTL_EXPORT int vfioctl_capture_take(struct vfioctl_ctx *ctx, unsigned int flags,
                                        struct vfioctl_capture **ret)
{
        _cleanup_(vfioctl_capture_freep) struct vfioctl_capture *capture = calloc(1, sizeof(*capture));

        if (!capture)
                return -ENOMEM;
        capture->redaction.is_off = flags & VFIOCTL_CAPTURE_SERIALS;
        int r = read_host_name(ctx, &capture->redaction.host);
        if (r >= 0)
                r = capture_pci(ctx, capture);
        if (r >= 0)
                r = capture_around(ctx, capture);
        if (r >= 0)
                r = capture_settings(ctx, capture);
        if (r < 0)
                return r;
        *ret = util_steal(capture);
        return 0;
}

VFIOCTL_EXPORT size_t vfioctl_capture_count(const struct vfioctl_capture *capture)
{
        return capture->count;
}

VFIOCTL_EXPORT const struct vfioctl_captured *vfioctl_capture_get(const struct vfioctl_capture *capture,
                                                                  size_t index)
{
        return index < capture->count ? &capture->items[index] : NULL;
}

VFIOCTL_EXPORT int vfioctl_capture_add(struct vfioctl_capture *capture, const char *path, const char *text)
{
        return capture_put(capture, path, text, REDACT_NAMES);
}
