/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

#define FUNCTION_MAX 8 /* of one slot */

/* The functions that one text names. */
struct devices {
        struct vfioctl_address *items;
        size_t count;
        size_t allocated;
};

/* An assignment with what it points to, in one piece. */
struct record {
        struct vfioctl_assignment public;
        struct vfioctl_address functions[FUNCTION_MAX];
        char text[]; /* name and identity */
};

struct vm {
        char *name;
        char *uuid;
        bool running;
        unsigned int flags;
        struct vfioctl_hugepages hugepages; /* memory 0: none */
        struct vfioctl_vm_share share;      /* its texts are owned */
        bool has_share;
        struct devices defined;
        struct devices run;
        struct record **assignments;
        size_t n_assignments;
        size_t allocated_assignments;
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
                struct vm *vm = &vms->items[i];
                for (size_t k = 0; k < vm->n_assignments; k++)
                        free(vm->assignments[k]);
                free(vm->assignments);
                free((char *)(uintptr_t)vm->share.pinned);
                free(vm->name);
                free(vm->uuid);
                free(vm->defined.items);
                free(vm->run.items);
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

static bool has_device(const struct devices *devices, const struct vfioctl_address *address)
{
        for (size_t i = 0; i < devices->count; i++)
                if (vfioctl_address_compare(&devices->items[i], address) == 0)
                        return true;
        return false;
}

static int add_device(struct devices *devices, const struct vfioctl_address *address)
{
        if (has_device(devices, address))
                return 0;
        int r = util_grow(&devices->items, &devices->allocated, devices->count + 1, sizeof(*devices->items));
        if (r < 0)
                return r;
        devices->items[devices->count++] = *address;
        return 0;
}

VFIOCTL_EXPORT int vfioctl_vms_add_device(struct vfioctl_vms *vms, size_t index,
                                          const struct vfioctl_address *address)
{
        return index < vms->count ? add_device(&vms->items[index].defined, address) : -EINVAL;
}

VFIOCTL_EXPORT int vfioctl_vms_add_running_device(struct vfioctl_vms *vms, size_t index,
                                                  const struct vfioctl_address *address)
{
        return index < vms->count ? add_device(&vms->items[index].run, address) : -EINVAL;
}

VFIOCTL_EXPORT int vfioctl_vms_set_flags(struct vfioctl_vms *vms, size_t index, unsigned int flags)
{
        if (index >= vms->count)
                return -EINVAL;
        vms->items[index].flags = flags;
        return 0;
}

VFIOCTL_EXPORT int vfioctl_vms_set_hugepages(struct vfioctl_vms *vms, size_t index,
                                             const struct vfioctl_hugepages *pages)
{
        if (index >= vms->count)
                return -EINVAL;
        vms->items[index].hugepages = *pages;
        return 0;
}

VFIOCTL_EXPORT const struct vfioctl_hugepages *vfioctl_vms_hugepages(const struct vfioctl_vms *vms,
                                                                     size_t index)
{
        return index < vms->count && vms->items[index].hugepages.memory > 0 ? &vms->items[index].hugepages
                                                                            : NULL;
}

/* KiB: what is more is no memory that a VM has, and sums of these fit into 64 bits. */
#define MEMORY_LIMIT (1ull << 40)

VFIOCTL_EXPORT int vfioctl_vms_set_share(struct vfioctl_vms *vms, size_t index,
                                         const struct vfioctl_vm_share *share)
{
        struct vfioctl_vm_share copy = *share;
        struct cpu_set pinned;
        char *text;

        if (index >= vms->count || share->memory > MEMORY_LIMIT ||
            (share->pinned && cpu_set_parse(share->pinned, &pinned) < 0))
                return -EINVAL;
        int r = util_copy(share->pinned, &text);
        if (r < 0)
                return r;
        struct vm *vm = &vms->items[index];
        free((char *)(uintptr_t)vm->share.pinned);
        copy.pinned = text;
        vm->share = copy;
        vm->has_share = true;
        return 0;
}

VFIOCTL_EXPORT const struct vfioctl_vm_share *vfioctl_vms_share(const struct vfioctl_vms *vms, size_t index)
{
        return index < vms->count && vms->items[index].has_share ? &vms->items[index].share : NULL;
}

VFIOCTL_EXPORT int vfioctl_vms_add_assignment(struct vfioctl_vms *vms, size_t index,
                                              const struct vfioctl_assignment *assignment)
{
        const char *name = assignment->name ? assignment->name : "";
        const char *identity = assignment->identity ? assignment->identity : "";
        size_t name_size = strlen(name) + 1, identity_size = strlen(identity) + 1;

        if (index >= vms->count || assignment->n_functions > FUNCTION_MAX)
                return -EINVAL;
        struct vm *vm = &vms->items[index];
        int r = util_grow(&vm->assignments, &vm->allocated_assignments, vm->n_assignments + 1,
                          sizeof(struct record *));
        if (r < 0)
                return r;
        struct record *record = calloc(1, sizeof(*record) + name_size + identity_size);
        if (!record)
                return -ENOMEM;
        memcpy(record->text, name, name_size);
        memcpy(record->text + name_size, identity, identity_size);
        for (size_t i = 0; i < assignment->n_functions; i++)
                record->functions[i] = assignment->functions[i];
        record->public = (struct vfioctl_assignment){
                .name = record->text,
                .identity = record->text + name_size,
                .functions = record->functions,
                .n_functions = assignment->n_functions,
                .is_edited = assignment->is_edited,
        };
        vm->assignments[vm->n_assignments++] = record;
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

static bool has_flag(const struct vfioctl_vms *vms, size_t index, unsigned int flag)
{
        return index < vms->count && vms->items[index].flags & flag;
}

VFIOCTL_EXPORT bool vfioctl_vms_is_autostart(const struct vfioctl_vms *vms, size_t index)
{
        return has_flag(vms, index, VFIOCTL_VMS_AUTOSTART);
}

VFIOCTL_EXPORT bool vfioctl_vms_has_managed_save(const struct vfioctl_vms *vms, size_t index)
{
        return has_flag(vms, index, VFIOCTL_VMS_MANAGED_SAVE);
}

VFIOCTL_EXPORT bool vfioctl_vms_is_transient(const struct vfioctl_vms *vms, size_t index)
{
        return has_flag(vms, index, VFIOCTL_VMS_TRANSIENT);
}

static bool has_gpu(const struct devices *devices, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < gpu->n_functions; i++)
                if (has_device(devices, &gpu->functions[i]->address))
                        return true;
        return false;
}

VFIOCTL_EXPORT bool vfioctl_vms_defines_gpu(const struct vfioctl_vms *vms, size_t index,
                                            const struct vfioctl_gpu *gpu)
{
        return index < vms->count && has_gpu(&vms->items[index].defined, gpu);
}

VFIOCTL_EXPORT bool vfioctl_vms_runs_gpu(const struct vfioctl_vms *vms, size_t index,
                                         const struct vfioctl_gpu *gpu)
{
        return index < vms->count && has_gpu(&vms->items[index].run, gpu);
}

VFIOCTL_EXPORT bool vfioctl_vms_has_device(const struct vfioctl_vms *vms, size_t index,
                                           const struct vfioctl_address *address)
{
        return index < vms->count && (has_device(&vms->items[index].defined, address) ||
                                      has_device(&vms->items[index].run, address));
}

VFIOCTL_EXPORT bool vfioctl_vms_has_gpu(const struct vfioctl_vms *vms, size_t index,
                                        const struct vfioctl_gpu *gpu)
{
        return vfioctl_vms_defines_gpu(vms, index, gpu) || vfioctl_vms_runs_gpu(vms, index, gpu);
}

VFIOCTL_EXPORT size_t vfioctl_vms_assignment_count(const struct vfioctl_vms *vms, size_t index)
{
        return index < vms->count ? vms->items[index].n_assignments : 0;
}

VFIOCTL_EXPORT const struct vfioctl_assignment *vfioctl_vms_assignment(const struct vfioctl_vms *vms,
                                                                       size_t index, size_t i)
{
        if (index >= vms->count || i >= vms->items[index].n_assignments)
                return NULL;
        return &vms->items[index].assignments[i]->public;
}

bool vms_has_some_gpu(const struct vfioctl_vms *vms, size_t index, const struct vfioctl_snapshot *snapshot)
{
        for (size_t i = 0; i < snapshot->n_gpus; i++)
                if (vfioctl_vms_has_gpu(vms, index, snapshot->gpus[i]))
                        return true;
        return false;
}
