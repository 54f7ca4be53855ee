/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "module.h"
#include "host.h"
#include "lazy.h"

#include <libkmod.h>

/* libkmod brings libcrypto and two decompressors along; most changes of mode find vfio-pci loaded. */
struct kmod_calls {
        LAZY_MEMBER(kmod_new);
        LAZY_MEMBER(kmod_unref);
        LAZY_MEMBER(kmod_set_log_fn);
        LAZY_MEMBER(kmod_module_new_from_lookup);
        LAZY_MEMBER(kmod_module_probe_insert_module);
        LAZY_MEMBER(kmod_module_get_module);
        LAZY_MEMBER(kmod_module_unref);
        LAZY_MEMBER(kmod_module_unref_list);
        LAZY_MEMBER(kmod_list_next);
};

static const struct lazy_symbol kmod_symbols[] = {
        LAZY_SYMBOL(struct kmod_calls, kmod_new),
        LAZY_SYMBOL(struct kmod_calls, kmod_unref),
        LAZY_SYMBOL(struct kmod_calls, kmod_set_log_fn),
        LAZY_SYMBOL(struct kmod_calls, kmod_module_new_from_lookup),
        LAZY_SYMBOL(struct kmod_calls, kmod_module_probe_insert_module),
        LAZY_SYMBOL(struct kmod_calls, kmod_module_get_module),
        LAZY_SYMBOL(struct kmod_calls, kmod_module_unref),
        LAZY_SYMBOL(struct kmod_calls, kmod_module_unref_list),
        LAZY_SYMBOL(struct kmod_calls, kmod_list_next),
};

static void log_nothing(void *data, int priority, const char *file, int line, const char *fn,
                        const char *format, va_list arguments)
{
        (void)data, (void)priority, (void)file, (void)line, (void)fn, (void)format, (void)arguments;
}

static int load_list(const struct kmod_calls *calls, struct kmod_list *list)
{
        int result = -ENOENT;

        for (struct kmod_list *item = list; item; item = calls->kmod_list_next(list, item)) {
                struct kmod_module *module = calls->kmod_module_get_module(item);
                int r = calls->kmod_module_probe_insert_module(module, KMOD_PROBE_APPLY_BLACKLIST, NULL, NULL,
                                                               NULL, NULL);
                calls->kmod_module_unref(module);
                /* A positive result says that the blacklist kept it out: kmod_module_probe_insert_module().
                 */
                if (r == 0)
                        result = 0;
                else if (result == -ENOENT)
                        result = r < 0 ? r : -EPERM;
        }
        return result;
}

int module_load(const struct vfioctl_ctx *ctx, const char *name)
{
        _cleanup_free_ char *folder = NULL;
        struct kmod_calls calls;
        char release[128];

        if (!ctx->is_live) {
                /* A simulated host has modules of its own, or none; never this machine's. */
                if (host_read(ctx, PATH_OSRELEASE, release, sizeof(release)) < 0)
                        return -ENOENT;
                int r = util_format(&folder, "%s" PATH_LIB_MODULES "/%s", ctx->root, util_trim(release));
                if (r < 0)
                        return r;
        }
        int r = lazy_open("libkmod.so.2", kmod_symbols, ELEMENTSOF(kmod_symbols), &calls);
        if (r < 0)
                return r;

        struct kmod_ctx *kmod = calls.kmod_new(folder, NULL);
        if (!kmod) {
                r = -ENOMEM;
        } else {
                struct kmod_list *list = NULL;
                calls.kmod_set_log_fn(kmod, log_nothing, NULL);
                r = calls.kmod_module_new_from_lookup(kmod, name, &list);
                if (r >= 0)
                        r = load_list(&calls, list);
                calls.kmod_module_unref_list(list);
                calls.kmod_unref(kmod);
        }
        return r;
}
