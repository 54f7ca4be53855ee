/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

struct vm {
        char *name;
        char *uuid;
        bool running;
        struct vfioctl_address *devices;
        size_t n_devices;
        size_t allocated;
};

struct vfioctl_vms {
        struct vm *items;
        size_t count;
        size_t allocated;
};

VFIOCTL_EXPORT int vfioctl_vms_new(struct vfioctl_vms **ret)
{
        struct vfioctl_vms *vms = calloc(1, sizeof(*vms));
        if (!vms)
                return -ENOMEM;
        *ret = vms;
        return 0;
}

VFIOCTL_EXPORT struct vfioctl_vms *vfioctl_vms_free(struct vfioctl_vms *vms)
{
        if (!vms)
                return NULL;
        for (size_t i = 0; i < vms->count; i++) {
                free(vms->items[i].name);
                free(vms->items[i].uuid);
                free(vms->items[i].devices);
        }
        free(vms->items);
        free(vms);
        return NULL;
}

VFIOCTL_EXPORT int vfioctl_vms_add(struct vfioctl_vms *vms, const char *name, const char *uuid, bool running)
{
        _cleanup_free_ char *name_copy = NULL, *uuid_copy = NULL;

        if (vms->count >= INT32_MAX)
                return -ENOMEM;
        int r = util_copy(name, &name_copy);
        if (r < 0)
                return r;
        r = util_copy(uuid, &uuid_copy);
        if (r < 0)
                return r;
        r = util_grow(&vms->items, &vms->allocated, vms->count + 1, sizeof(*vms->items));
        if (r < 0)
                return r;
        vms->items[vms->count] =
                (struct vm){.name = util_steal(name_copy), .uuid = util_steal(uuid_copy), .running = running};
        return (int)vms->count++;
}

VFIOCTL_EXPORT int vfioctl_vms_add_device(struct vfioctl_vms *vms, size_t index,
                                          const struct vfioctl_address *address)
{
        if (index >= vms->count)
                return -EINVAL;
        struct vm *vm = &vms->items[index];
        for (size_t i = 0; i < vm->n_devices; i++)
                if (vfioctl_address_compare(&vm->devices[i], address) == 0)
                        return 0;
        int r = util_grow(&vm->devices, &vm->allocated, vm->n_devices + 1, sizeof(*vm->devices));
        if (r < 0)
                return r;
        vm->devices[vm->n_devices++] = *address;
        return 0;
}

VFIOCTL_EXPORT size_t vfioctl_vms_count(const struct vfioctl_vms *vms)
{
        return vms->count;
}

VFIOCTL_EXPORT const char *vfioctl_vms_name(const struct vfioctl_vms *vms, size_t index)
{
        return index < vms->count ? vms->items[index].name : NULL;
}

VFIOCTL_EXPORT const char *vfioctl_vms_uuid(const struct vfioctl_vms *vms, size_t index)
{
        return index < vms->count ? vms->items[index].uuid : NULL;
}

VFIOCTL_EXPORT bool vfioctl_vms_is_running(const struct vfioctl_vms *vms, size_t index)
{
        return index < vms->count && vms->items[index].running;
}

VFIOCTL_EXPORT bool vfioctl_vms_has_gpu(const struct vfioctl_vms *vms, size_t index,
                                        const struct vfioctl_gpu *gpu)
{
        if (index >= vms->count)
                return false;
        const struct vm *vm = &vms->items[index];
        for (size_t i = 0; i < vm->n_devices; i++)
                for (size_t k = 0; k < gpu->n_functions; k++)
                        if (vfioctl_address_compare(&vm->devices[i], &gpu->functions[k]->address) == 0)
                                return true;
        return false;
}
