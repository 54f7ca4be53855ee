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

static void item_clear(struct intent_item *item)
{
        free(item->vm);
        free(item->claim);
        free(item->uuid);
}

VFIOCTL_EXPORT struct vfioctl_intent *vfioctl_intent_free(struct vfioctl_intent *intent)
{
        if (!intent)
                return NULL;
        for (size_t i = 0; i < intent->count; i++)
                item_clear(&intent->items[i]);
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

/* Takes over what the item owns, also on failure. */
static int add_item(struct vfioctl_intent *intent, struct intent_item item)
{
        int r = item.gpu && intent_find(intent, item.gpu) ? -EEXIST : 0;

        if (r >= 0)
                r = util_grow(&intent->items, &intent->allocated, intent->count + 1, sizeof(*intent->items));
        if (r < 0)
                item_clear(&item);
        else
                intent->items[intent->count++] = item;
        return r;
}

static int add_for_vm(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu, enum vfioctl_mode mode,
                      const char *vm)
{
        struct intent_item item = {.gpu = gpu, .mode = mode};

        int r = util_copy(vm, &item.vm);
        return r < 0 ? r : add_item(intent, item);
}

VFIOCTL_EXPORT int vfioctl_intent_set_mode(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu,
                                           enum vfioctl_mode mode)
{
        if (!gpu || (mode != VFIOCTL_MODE_VM && mode != VFIOCTL_MODE_HOST))
                return -EINVAL;
        return add_for_vm(intent, gpu, mode, NULL);
}

VFIOCTL_EXPORT int vfioctl_intent_reset(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu)
{
        return gpu ? add_item(intent, (struct intent_item){.gpu = gpu, .resets = true}) : -EINVAL;
}

VFIOCTL_EXPORT int vfioctl_intent_assign(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu,
                                         const char *vm)
{
        if (!gpu || !vm)
                return -EINVAL;
        return add_for_vm(intent, gpu, VFIOCTL_MODE_VM, vm);
}

VFIOCTL_EXPORT int vfioctl_intent_define(struct vfioctl_intent *intent, const char *vm)
{
        if (!vm)
                return -EINVAL;
        return add_for_vm(intent, NULL, VFIOCTL_MODE_NONE, vm);
}

/* They become lines of a small file, and are read back by their places there. */
static bool is_line(const char *text, size_t limit)
{
        return text && *text && strlen(text) < limit && !strchr(text, '\n');
}

int claim_format(const struct vfioctl_claim *claim, char **ret)
{
        if (!is_line(claim->uuid, 60) || strchr(claim->uuid, ' ') || !is_line(claim->name, 600))
                return -EINVAL;
        return util_format(ret, "%s %d %s\n%s\n", claim->uuid, claim->daemon.pid,
                           *claim->daemon.start ? claim->daemon.start : "0", claim->name);
}

VFIOCTL_EXPORT int vfioctl_intent_claim(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu,
                                        const struct vfioctl_claim *claim)
{
        struct intent_item item = {.gpu = gpu, .mode = VFIOCTL_MODE_VM};

        if (!gpu)
                return -EINVAL;
        int r = claim_format(claim, &item.claim);
        if (r >= 0)
                r = util_copy(claim->uuid, &item.uuid);
        if (r < 0) {
                item_clear(&item);
                return r;
        }
        return add_item(intent, item);
}

VFIOCTL_EXPORT int vfioctl_intent_release(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu,
                                          const char *uuid)
{
        struct intent_item item = {.gpu = gpu, .mode = VFIOCTL_MODE_NONE};

        if (!gpu || !uuid)
                return -EINVAL;
        int r = util_copy(uuid, &item.uuid);
        return r < 0 ? r : add_item(intent, item);
}

VFIOCTL_EXPORT const char *vfioctl_intent_vm(const struct vfioctl_intent *intent,
                                             const struct vfioctl_gpu *gpu)
{
        const struct intent_item *item = gpu ? intent_find(intent, gpu) : NULL;
        return item ? item->vm : NULL;
}
