/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few calls of libkmod that load one module, answered by the fake kernel. Outside of a fake
 * host they go on to the true library. */
#include "fakekernel.h"

#include <dlfcn.h>
#include <errno.h>
#include <libkmod.h>
#include <stdio.h>
#include <string.h>

#define API             __attribute__((visibility("default")))
#define NEXT(type, ...) ((type(*)(__VA_ARGS__))next(__func__))

/* One context, one module: the objects are opaque to the caller, so any address will do. */
static char context, list;
static char module_name[FK_NAME];

/* Not POSIX, but what RTLD_NEXT is for: a data pointer that is a function. */
static void *next(const char *name)
{
        return dlsym(RTLD_NEXT, name);
}

static int known(const char *name)
{
        snprintf(module_name, sizeof module_name, "%s", name);
        for (char *p = module_name; (p = strchr(p, '-'));)
                *p = '_';
        return !strcmp(module_name, "vfio_pci");
}

API struct kmod_ctx *kmod_new(const char *dir, const char *const *config)
{
        if (!fk_root[0])
                return NEXT(struct kmod_ctx *, const char *, const char *const *)(dir, config);
        return (struct kmod_ctx *)&context;
}

API struct kmod_ctx *kmod_unref(struct kmod_ctx *ctx)
{
        return fk_root[0] ? NULL : NEXT(struct kmod_ctx *, struct kmod_ctx *)(ctx);
}

API int kmod_load_resources(struct kmod_ctx *ctx)
{
        return fk_root[0] ? 0 : NEXT(int, struct kmod_ctx *)(ctx);
}

API void kmod_unload_resources(struct kmod_ctx *ctx)
{
        if (!fk_root[0])
                NEXT(void, struct kmod_ctx *)(ctx);
}

API int kmod_module_new_from_lookup(struct kmod_ctx *ctx, const char *alias, struct kmod_list **out)
{
        if (!fk_root[0])
                return NEXT(int, struct kmod_ctx *, const char *, struct kmod_list **)(ctx, alias, out);
        *out = known(alias) ? (struct kmod_list *)&list : NULL;
        return 0;
}

API int kmod_module_new_from_name(struct kmod_ctx *ctx, const char *name, struct kmod_module **out)
{
        if (!fk_root[0])
                return NEXT(int, struct kmod_ctx *, const char *, struct kmod_module **)(ctx, name, out);
        known(name);
        *out = (struct kmod_module *)module_name;
        return 0;
}

API struct kmod_list *kmod_list_next(const struct kmod_list *head, const struct kmod_list *at)
{
        if (!fk_root[0])
                return NEXT(struct kmod_list *, const struct kmod_list *, const struct kmod_list *)(head, at);
        return NULL;
}

API struct kmod_module *kmod_module_get_module(const struct kmod_list *entry)
{
        if (!fk_root[0])
                return NEXT(struct kmod_module *, const struct kmod_list *)(entry);
        return (struct kmod_module *)module_name;
}

API const char *kmod_module_get_name(const struct kmod_module *mod)
{
        return fk_root[0] ? module_name : NEXT(const char *, const struct kmod_module *)(mod);
}

API struct kmod_module *kmod_module_unref(struct kmod_module *mod)
{
        return fk_root[0] ? NULL : NEXT(struct kmod_module *, struct kmod_module *)(mod);
}

API int kmod_module_unref_list(struct kmod_list *head)
{
        return fk_root[0] ? 0 : NEXT(int, struct kmod_list *)(head);
}

API int kmod_module_get_initstate(const struct kmod_module *mod)
{
        if (!fk_root[0])
                return NEXT(int, const struct kmod_module *)(mod);
        return fk_exists("sys/module/%s", module_name) ? KMOD_MODULE_LIVE : -ENOENT;
}

typedef int run_install(struct kmod_module *mod, const char *command, void *data);
typedef void print_action(struct kmod_module *mod, bool install, const char *options);

API int kmod_module_probe_insert_module(struct kmod_module *mod, unsigned int flags, const char *options,
                                        run_install *run, const void *data, print_action *print)
{
        if (!fk_root[0])
                return NEXT(int, struct kmod_module *, unsigned int, const char *, run_install *,
                            const void *, print_action *)(mod, flags, options, run, data, print);
        return fakekernel_load_module(module_name);
}
