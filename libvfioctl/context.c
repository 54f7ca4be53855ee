/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"
#include "host.h"
#include "worker.h"

#include <fcntl.h>

VFIOCTL_EXPORT const char *vfioctl_version(void)
{
        return VFIOCTL_VERSION;
}

VFIOCTL_EXPORT int vfioctl_ctx_new(const char *root, struct vfioctl_ctx **ret)
{
        if (!root)
                root = "/";
        int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        char *path = realpath(root, NULL);
        struct vfioctl_ctx *ctx = calloc(1, sizeof(*ctx));
        if (!ctx || !path) {
                free(path);
                free(ctx);
                host_close(fd);
                return -ENOMEM;
        }
        bool is_live = util_equal(path, "/");
        if (is_live)
                path[0] = '\0';
        *ctx = (struct vfioctl_ctx){
                .root_fd = fd,
                .root = path,
                .is_live = is_live,
                .placement = VFIOCTL_PLACEMENT_PACK,
                .step_deadline = 30000,
                .read_deadline = 300,
                .settle_deadline = 2000,
                .lock_deadline = 30000,
                .hook_deadline = 10000,
                .policy.idle = VFIOCTL_MODE_VM,
        };
        *ret = ctx;
        return 0;
}

VFIOCTL_EXPORT struct vfioctl_ctx *vfioctl_ctx_free(struct vfioctl_ctx *ctx)
{
        if (!ctx)
                return NULL;
        ctx->worker = worker_free(ctx->worker);
        host_close(ctx->root_fd);
        settings_free(ctx->settings);
        policy_clear(&ctx->policy);
        (void)vfioctl_findings_free(ctx->config_findings);
        free(ctx->connect_uri);
        free(ctx->root);
        free(ctx);
        return NULL;
}

VFIOCTL_EXPORT void vfioctl_ctx_set_log(struct vfioctl_ctx *ctx, vfioctl_log_fn fn, void *userdata)
{
        ctx->log = fn;
        ctx->log_userdata = userdata;
}

VFIOCTL_EXPORT bool vfioctl_ctx_is_live(const struct vfioctl_ctx *ctx)
{
        return ctx->is_live;
}

VFIOCTL_EXPORT enum vfioctl_placement vfioctl_ctx_placement(const struct vfioctl_ctx *ctx)
{
        return ctx->placement;
}

VFIOCTL_EXPORT unsigned int vfioctl_ctx_host_cores(const struct vfioctl_ctx *ctx)
{
        return ctx->host_cores;
}

VFIOCTL_EXPORT uint64_t vfioctl_ctx_host_memory(const struct vfioctl_ctx *ctx)
{
        return ctx->host_memory;
}

VFIOCTL_EXPORT const char *vfioctl_ctx_connect_uri(const struct vfioctl_ctx *ctx)
{
        return ctx->connect_uri;
}

VFIOCTL_EXPORT unsigned int vfioctl_ctx_hook_deadline(const struct vfioctl_ctx *ctx)
{
        return ctx->hook_deadline;
}

void ctx_log(struct vfioctl_ctx *ctx, enum vfioctl_log_level level, const char *format, ...)
{
        char line[1024];
        va_list arguments;

        if (!ctx->log)
                return;
        va_start(arguments, format);
        int length = vsnprintf(line, sizeof(line), format, arguments);
        va_end(arguments);
        if (length >= 0)
                ctx->log(ctx->log_userdata, level, line);
}

static void limit(unsigned int *deadline, unsigned int ms)
{
        if (*deadline > ms)
                *deadline = ms;
}

VFIOCTL_EXPORT void vfioctl_ctx_limit_deadlines(struct vfioctl_ctx *ctx, unsigned int ms)
{
        limit(&ctx->step_deadline, ms);
        limit(&ctx->read_deadline, ms);
        limit(&ctx->settle_deadline, ms);
        limit(&ctx->lock_deadline, ms);
}
