/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "host.h"

static void log_line(void *userdata, enum vfioctl_log_level level, const char *line)
{
        (void)userdata, (void)level;
        require(strlen(line) < 1024);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vfioctl_ctx *ctx = NULL;
        const char *folder;
        char *error = NULL;

        (void)fuzz_root(&folder);
        fuzz_mkdir("/etc/vfioctl/vfioctl.conf.d");
        fuzz_write("/etc/vfioctl/vfioctl.conf", data, size);
        fuzz_write("/etc/vfioctl/vfioctl.conf.d/10-a.conf", data, size / 2);
        require(vfioctl_ctx_new(folder, &ctx) == 0);
        vfioctl_ctx_set_log(ctx, log_line, NULL);
        int r = vfioctl_ctx_read_config(ctx, &error);
        require(r == 0 || r == -EINVAL);
        require(r == 0 || error);
        require(ctx->placement == VFIOCTL_PLACEMENT_PACK || ctx->placement == VFIOCTL_PLACEMENT_SPREAD);
        const unsigned int times[] = {ctx->step_deadline, ctx->read_deadline, ctx->settle_deadline,
                                      ctx->lock_deadline};
        for (size_t i = 0; i < ELEMENTSOF(times); i++)
                require(times[i] > 0 && times[i] <= 3600 * 1000);
        require(!ctx->connect_uri || *ctx->connect_uri);
        free(error);
        (void)vfioctl_ctx_free(ctx);
        return 0;
}
