/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

VFIOCTL_EXPORT int vfioctl_intent_new(struct vfioctl_intent **ret)
{
        struct vfioctl_intent *intent = calloc(1, sizeof(*intent));
        if (!intent)
                return -ENOMEM;
        *ret = intent;
        return 0;
}

VFIOCTL_EXPORT struct vfioctl_intent *vfioctl_intent_free(struct vfioctl_intent *intent)
{
        if (!intent)
                return NULL;
        for (size_t i = 0; i < intent->count; i++)
                free(intent->items[i].vm);
        free(intent->items);
        free(intent);
        return NULL;
}

const struct intent_item *intent_find(const struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; intent && i < intent->count; i++)
                if (intent->items[i].gpu == gpu)
                        return &intent->items[i];
        return NULL;
}

static int add_item(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu, enum vfioctl_mode mode,
                    const char *vm)
{
        struct intent_item item = {.gpu = gpu, .mode = mode};

        if (gpu && intent_find(intent, gpu))
                return -EEXIST;
        int r = util_copy(vm, &item.vm);
        if (r < 0)
                return r;
        r = util_grow(&intent->items, &intent->allocated, intent->count + 1, sizeof(*intent->items));
        if (r < 0) {
                free(item.vm);
                return r;
        }
        intent->items[intent->count++] = item;
        return 0;
}

VFIOCTL_EXPORT int vfioctl_intent_set_mode(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu,
                                           enum vfioctl_mode mode)
{
        if (!gpu || (mode != VFIOCTL_MODE_VM && mode != VFIOCTL_MODE_HOST))
                return -EINVAL;
        return add_item(intent, gpu, mode, NULL);
}

VFIOCTL_EXPORT int vfioctl_intent_assign(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu,
                                         const char *vm)
{
        if (!gpu || !vm)
                return -EINVAL;
        return add_item(intent, gpu, VFIOCTL_MODE_VM, vm);
}

VFIOCTL_EXPORT int vfioctl_intent_define(struct vfioctl_intent *intent, const char *vm)
{
        if (!vm)
                return -EINVAL;
        return add_item(intent, NULL, VFIOCTL_MODE_NONE, vm);
}

VFIOCTL_EXPORT const char *vfioctl_intent_vm(const struct vfioctl_intent *intent,
                                             const struct vfioctl_gpu *gpu)
{
        const struct intent_item *item = gpu ? intent_find(intent, gpu) : NULL;
        return item ? item->vm : NULL;
}
