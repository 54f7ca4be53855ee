/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"

/* What reach.c reads: how programs reach a GPU. The nodes themselves are of no concern. */

static int capture_unique_id(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                             const char *folder)
{
        _cleanup_free_ char *shown = NULL;
        char path[PATH_MAX], text[64];

        if (!path_format(path, "%s/unique_id", folder) || host_read(ctx, path, text, sizeof(text)) <= 0)
                return 0;
        int r = redact_serial(&capture->redaction, text, &shown);
        return r < 0 ? r : capture_put_raw(capture, path, shown, strlen(shown));
}

int capture_reach(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = capture_unique_id(ctx, capture, folder);
        if (r >= 0 && path_format(path, "%s/drm", folder))
                r = names_read(ctx, path, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++)
                if (util_has_prefix(names.items[i], "renderD") &&
                    path_format(path, "%s/drm/%s/dev", folder, names.items[i]))
                        r = capture_file(ctx, capture, path, REDACT_TEXT);
        return r;
}

/* Of what the driver tells of a GPU: the number of its node, and its name. */
static void reduce_information(char *line, char *out, size_t size)
{
        if (util_has_prefix(line, "Device Minor:") || util_has_prefix(line, "GPU UUID:"))
                (void)snprintf(out, size, "%s\n", line);
}

int capture_drivers(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_names_ struct names gpus = {.count = 0};
        char path[PATH_MAX];

        int r = capture_presence(ctx, capture, PATH_DEV_KFD);
        if (r >= 0)
                r = names_read(ctx, PATH_NVIDIA_GPUS, &gpus);
        for (size_t i = 0; r >= 0 && i < gpus.count; i++)
                if (path_format(path, PATH_NVIDIA_GPUS "/%s/information", gpus.items[i]))
                        r = capture_table(ctx, capture, path, reduce_information);
        return r;
}
