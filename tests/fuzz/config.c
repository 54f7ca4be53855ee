/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "host.h"

static void log_line(void *userdata, enum vfioctl_log_level level, const char *line)
{
        (void)userdata, (void)level;
        require(strlen(line) < 1024);
}

/* What was taken has the form that it is to have, and says what it says however it is written. */
static void check_policy(struct vfioctl_ctx *ctx)
{
        const struct selectors *lists[] = {&ctx->policy.gpus, &ctx->policy.except, &ctx->policy.idle_host,
                                           &ctx->policy.idle_vm};
        char *text = NULL, *again = NULL, why[WHY_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                for (size_t k = 0; k < lists[i]->count; k++) {
                        struct selectors one = {.count = 0};
                        require(policy_parse_list(lists[i]->items[k].text, &one, why) == 0);
                        require(one.count == 1 && util_equal(one.items[0].text, lists[i]->items[k].text));
                        require(one.items[0].kind == lists[i]->items[k].kind);
                        free(one.items);
                }
        for (size_t i = 0; i < ctx->policy.n_aliases; i++) {
                require(*ctx->policy.aliases[i].name);
                for (size_t k = 0; k < i; k++)
                        require(!util_equal(ctx->policy.aliases[i].name, ctx->policy.aliases[k].name));
        }
        require(vfioctl_ctx_boot_policy(ctx, &text) == 0);
        require(vfioctl_ctx_boot_policy(ctx, &again) == 0);
        require(util_equal(text, again) && util_has_prefix(text, "gpus ="));
        free(text);
        free(again);
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
        require(ctx->policy.idle == VFIOCTL_MODE_VM || ctx->policy.idle == VFIOCTL_MODE_HOST);
        require(ctx->hook_deadline > 0 && ctx->hook_deadline <= 3600 * 1000);
        check_policy(ctx);
        for (size_t i = 0; i < vfioctl_ctx_setting_count(ctx); i++) {
                const char *value = vfioctl_ctx_setting_value(ctx, i);
                require(value && !strpbrk(value, "\r\n"));
                require(!vfioctl_ctx_setting_file(ctx, i) || vfioctl_ctx_setting_line(ctx, i) < size + 2);
        }
        free(error);
        (void)vfioctl_ctx_free(ctx);
        return 0;
}
