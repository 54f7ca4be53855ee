/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "module.h"
#include "host.h"

#include <dlfcn.h>
#include <libkmod.h>

/*
 * libkmod is loaded here and not by the dynamic linker: it brings libcrypto and two decompressors along,
 * which cost a change of mode more than all of its own work, and most changes find vfio-pci loaded.
 */
struct kmod_calls {
        void *library;
        __typeof__(kmod_new) *new;
        __typeof__(kmod_unref) *unref;
        __typeof__(kmod_set_log_fn) *set_log_fn;
        __typeof__(kmod_module_new_from_lookup) *new_from_lookup;
        __typeof__(kmod_module_probe_insert_module) *insert;
        __typeof__(kmod_module_get_module) *get_module;
        __typeof__(kmod_module_unref) *module_unref;
        __typeof__(kmod_module_unref_list) *unref_list;
        __typeof__(kmod_list_next) *next;
};

static int resolve(void *library, const char *name, void *ret)
{
        /* Programs that have libkmod already (or stand in for it) come first. */
        void *symbol = dlsym(RTLD_DEFAULT, name);
        if (!symbol && library)
                symbol = dlsym(library, name);
        if (!symbol)
                return -ENOSYS;
        memcpy(ret, &symbol, sizeof(symbol));
        return 0;
}

static int kmod_calls_open(struct kmod_calls *calls)
{
        struct kmod_calls c = {.library = dlopen("libkmod.so.2", RTLD_NOW | RTLD_LOCAL)};

        if (resolve(c.library, "kmod_new", &c.new) < 0 || resolve(c.library, "kmod_unref", &c.unref) < 0 ||
            resolve(c.library, "kmod_set_log_fn", &c.set_log_fn) < 0 ||
            resolve(c.library, "kmod_module_new_from_lookup", &c.new_from_lookup) < 0 ||
            resolve(c.library, "kmod_module_probe_insert_module", &c.insert) < 0 ||
            resolve(c.library, "kmod_module_get_module", &c.get_module) < 0 ||
            resolve(c.library, "kmod_module_unref", &c.module_unref) < 0 ||
            resolve(c.library, "kmod_module_unref_list", &c.unref_list) < 0 ||
            resolve(c.library, "kmod_list_next", &c.next) < 0) {
                if (c.library)
                        dlclose(c.library);
                return -ENOSYS;
        }
        *calls = c;
        return 0;
}

static void log_nothing(void *data, int priority, const char *file, int line, const char *fn,
                        const char *format, va_list arguments)
{
        (void)data, (void)priority, (void)file, (void)line, (void)fn, (void)format, (void)arguments;
}

static int load_list(const struct kmod_calls *calls, struct kmod_list *list)
{
        int result = -ENOENT;

        for (struct kmod_list *item = list; item; item = calls->next(list, item)) {
                struct kmod_module *module = calls->get_module(item);
                int r = calls->insert(module, KMOD_PROBE_APPLY_BLACKLIST, NULL, NULL, NULL, NULL);
                calls->module_unref(module);
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
        int r = kmod_calls_open(&calls);
        if (r < 0)
                return r;

        struct kmod_ctx *kmod = calls.new(folder, NULL);
        if (!kmod) {
                r = -ENOMEM;
        } else {
                struct kmod_list *list = NULL;
                calls.set_log_fn(kmod, log_nothing, NULL);
                r = calls.new_from_lookup(kmod, name, &list);
                if (r >= 0)
                        r = load_list(&calls, list);
                calls.unref_list(list);
                calls.unref(kmod);
        }
        if (calls.library)
                dlclose(calls.library);
        return r;
}
