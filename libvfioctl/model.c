/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

struct vfioctl_function *snapshot_function(const struct vfioctl_snapshot *snapshot,
                                           const struct vfioctl_address *address)
{
        size_t low = 0, high = snapshot->n_functions;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = vfioctl_address_compare(&snapshot->functions[middle]->address, address);
                if (order == 0)
                        return snapshot->functions[middle];
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

/* ---- snapshot ---- */

VFIOCTL_EXPORT size_t vfioctl_snapshot_gpu_count(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->n_gpus;
}

VFIOCTL_EXPORT const struct vfioctl_gpu *vfioctl_snapshot_gpu(const struct vfioctl_snapshot *snapshot,
                                                              size_t index)
{
        return index < snapshot->n_gpus ? snapshot->gpus[index] : NULL;
}

VFIOCTL_EXPORT const struct vfioctl_gpu *vfioctl_snapshot_gpu_at(const struct vfioctl_snapshot *snapshot,
                                                                 const struct vfioctl_address *address)
{
        const struct vfioctl_function *function = snapshot_function(snapshot, address);
        return function ? function->gpu : NULL;
}

bool looks_like_name(const char *text)
{
        size_t digits = strspn(text, "0123456789");
        size_t letters = strspn(text + digits, "abcdefghijklmnopqrstuvwxyz");

        return digits > 0 && digits <= 6 && letters > 0 && letters <= 3 && !text[digits + letters];
}

VFIOCTL_EXPORT int vfioctl_snapshot_find(const struct vfioctl_snapshot *snapshot, const char *text,
                                         const struct vfioctl_gpu **ret)
{
        struct vfioctl_address address;

        for (size_t i = 0; i < snapshot->n_gpus; i++)
                if (util_equal(snapshot->gpus[i]->name, text) || util_equal(snapshot->gpus[i]->alias, text)) {
                        *ret = snapshot->gpus[i];
                        return 0;
                }
        if (vfioctl_address_parse(text, &address) == 0) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu_at(snapshot, &address);
                if (!gpu)
                        return -ENOENT;
                *ret = gpu;
                return 0;
        }
        return looks_like_name(text) ? -ENOENT : -EINVAL;
}

VFIOCTL_EXPORT bool vfioctl_snapshot_has_iommu(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->has_iommu;
}

/* ---- GPU ---- */

VFIOCTL_EXPORT const char *vfioctl_gpu_name(const struct vfioctl_gpu *gpu)
{
        return gpu->name;
}

VFIOCTL_EXPORT bool vfioctl_gpu_has_short_name(const struct vfioctl_gpu *gpu)
{
        return gpu->has_short_name;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_alias(const struct vfioctl_gpu *gpu)
{
        return gpu->alias;
}

VFIOCTL_EXPORT bool vfioctl_gpu_is_ours(const struct vfioctl_gpu *gpu)
{
        return gpu->is_ours;
}

VFIOCTL_EXPORT enum vfioctl_mode vfioctl_gpu_idle(const struct vfioctl_gpu *gpu)
{
        return gpu->idle;
}

VFIOCTL_EXPORT bool vfioctl_gpu_is_on_board(const struct vfioctl_gpu *gpu)
{
        return gpu->on_board;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_address(const struct vfioctl_gpu *gpu)
{
        return gpu->functions[0]->text;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_identity(const struct vfioctl_gpu *gpu)
{
        return gpu->identity;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_card(const struct vfioctl_gpu *gpu)
{
        return gpu->card;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_slot(const struct vfioctl_gpu *gpu)
{
        return gpu->slot;
}

VFIOCTL_EXPORT unsigned int vfioctl_gpu_card_index(const struct vfioctl_gpu *gpu)
{
        return gpu->card_index;
}

VFIOCTL_EXPORT enum vfioctl_mode vfioctl_gpu_mode(const struct vfioctl_gpu *gpu)
{
        if (!gpu->functions[0]->driver)
                return VFIOCTL_MODE_NONE;
        return function_on_vfio(gpu->functions[0]) ? VFIOCTL_MODE_VM : VFIOCTL_MODE_HOST;
}

VFIOCTL_EXPORT const char *vfioctl_mode_name(enum vfioctl_mode mode)
{
        switch (mode) {
        case VFIOCTL_MODE_VM:
                return "vm";
        case VFIOCTL_MODE_HOST:
                return "host";
        case VFIOCTL_MODE_NONE:
                return "none";
        }
        return "none";
}

VFIOCTL_EXPORT int vfioctl_gpu_numa_node(const struct vfioctl_gpu *gpu)
{
        return gpu->functions[0]->numa_node;
}

VFIOCTL_EXPORT const struct vfioctl_group *vfioctl_gpu_group(const struct vfioctl_gpu *gpu)
{
        return gpu->group;
}

VFIOCTL_EXPORT uint64_t vfioctl_gpu_vram(const struct vfioctl_gpu *gpu)
{
        uint64_t size = 0;

        for (size_t i = 0; i < VFIOCTL_BAR_COUNT - 1; i++) {
                const struct vfioctl_bar *bar = &gpu->functions[0]->bars[i];
                /* Below a megabyte it is doorbells and registers. */
                if (bar->is_prefetchable && bar->size > size && bar->size >= 1024 * 1024)
                        size = bar->size;
        }
        return size;
}

VFIOCTL_EXPORT bool vfioctl_gpu_is_boot_display(const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < gpu->n_functions; i++)
                if (gpu->functions[i]->is_boot_vga || gpu->functions[i]->is_console)
                        return true;
        return false;
}

VFIOCTL_EXPORT bool vfioctl_gpu_is_stuck(const struct vfioctl_gpu *gpu)
{
        return gpu->is_stuck;
}

VFIOCTL_EXPORT size_t vfioctl_gpu_function_count(const struct vfioctl_gpu *gpu)
{
        return gpu->n_functions;
}

VFIOCTL_EXPORT const struct vfioctl_function *vfioctl_gpu_function(const struct vfioctl_gpu *gpu,
                                                                   size_t index)
{
        return index < gpu->n_functions ? gpu->functions[index] : NULL;
}

VFIOCTL_EXPORT size_t vfioctl_gpu_path_count(const struct vfioctl_gpu *gpu)
{
        return gpu->n_path;
}

VFIOCTL_EXPORT const struct vfioctl_function *vfioctl_gpu_path(const struct vfioctl_gpu *gpu, size_t index)
{
        return index < gpu->n_path ? gpu->path[index] : NULL;
}

VFIOCTL_EXPORT size_t vfioctl_gpu_holder_count(const struct vfioctl_gpu *gpu)
{
        return gpu->n_holders;
}

VFIOCTL_EXPORT const struct vfioctl_holder *vfioctl_gpu_holder(const struct vfioctl_gpu *gpu, size_t index)
{
        return index < gpu->n_holders ? &gpu->holders[index] : NULL;
}

VFIOCTL_EXPORT bool vfioctl_gpu_holders_known(const struct vfioctl_gpu *gpu)
{
        return gpu->holders_known;
}

/* ---- function ---- */

VFIOCTL_EXPORT const char *vfioctl_pcie_type_name(enum vfioctl_pcie_type type)
{
        switch (type) {
        case VFIOCTL_PCIE_UNKNOWN:
                return "unknown";
        case VFIOCTL_PCIE_ENDPOINT:
                return "endpoint";
        case VFIOCTL_PCIE_LEGACY_ENDPOINT:
                return "legacy endpoint";
        case VFIOCTL_PCIE_ROOT_PORT:
                return "root port";
        case VFIOCTL_PCIE_UPSTREAM:
                return "upstream port";
        case VFIOCTL_PCIE_DOWNSTREAM:
                return "downstream port";
        case VFIOCTL_PCIE_TO_PCI_BRIDGE:
                return "PCIe to PCI bridge";
        case VFIOCTL_PCI_TO_PCIE_BRIDGE:
                return "PCI to PCIe bridge";
        case VFIOCTL_PCIE_RC_ENDPOINT:
                return "root complex integrated endpoint";
        case VFIOCTL_PCIE_RC_EVENT_COLLECTOR:
                return "root complex event collector";
        case VFIOCTL_PCIE_CONVENTIONAL:
                return "conventional PCI";
        }
        return "unknown";
}

#define FUNCTION_GETTER(type, name, expression)                                                              \
        VFIOCTL_EXPORT type vfioctl_function_##name(const struct vfioctl_function *function)                 \
        {                                                                                                    \
                return expression;                                                                           \
        }

FUNCTION_GETTER(const char *, address, function->text)
FUNCTION_GETTER(uint16_t, vendor, function->vendor)
FUNCTION_GETTER(uint16_t, device, function->device)
FUNCTION_GETTER(uint16_t, subsystem_vendor, function->subsystem_vendor)
FUNCTION_GETTER(uint16_t, subsystem_device, function->subsystem_device)
FUNCTION_GETTER(uint32_t, class, function->class)
FUNCTION_GETTER(uint8_t, revision, function->revision)
FUNCTION_GETTER(const char *, driver, function->driver)
FUNCTION_GETTER(const char *, driver_override, function->driver_override)
FUNCTION_GETTER(bool, driver_override_known, function->driver_override_known)
FUNCTION_GETTER(enum vfioctl_pcie_type, pcie_type, function->pcie_type)
FUNCTION_GETTER(bool, is_bridge, function->is_bridge)
FUNCTION_GETTER(int, group_number, function->group)
FUNCTION_GETTER(int, numa_node, function->numa_node)
FUNCTION_GETTER(const char *, reset_method, function->reset_method)
FUNCTION_GETTER(const char *, power_state, function->power_state)
FUNCTION_GETTER(unsigned int, vfs_enabled, function->vfs_enabled)
FUNCTION_GETTER(unsigned int, vfs_total, function->vfs_total)
FUNCTION_GETTER(const char *, name, function->name)

VFIOCTL_EXPORT const struct vfioctl_bar *vfioctl_function_bar(const struct vfioctl_function *function,
                                                              size_t index)
{
        return index < VFIOCTL_BAR_COUNT ? &function->bars[index] : NULL;
}

/* ---- group, holder ---- */

VFIOCTL_EXPORT int vfioctl_group_number(const struct vfioctl_group *group)
{
        return group->number;
}

VFIOCTL_EXPORT size_t vfioctl_group_member_count(const struct vfioctl_group *group)
{
        return group->n_members;
}

VFIOCTL_EXPORT const struct vfioctl_function *vfioctl_group_member(const struct vfioctl_group *group,
                                                                   size_t index)
{
        return index < group->n_members ? group->members[index] : NULL;
}

VFIOCTL_EXPORT int vfioctl_holder_pid(const struct vfioctl_holder *holder)
{
        return holder->pid;
}

VFIOCTL_EXPORT const char *vfioctl_holder_command(const struct vfioctl_holder *holder)
{
        return holder->command;
}

VFIOCTL_EXPORT const char *vfioctl_holder_unit(const struct vfioctl_holder *holder)
{
        return holder->unit;
}

VFIOCTL_EXPORT const char *vfioctl_holder_node(const struct vfioctl_holder *holder)
{
        return holder->node;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_claim_name(const struct vfioctl_gpu *gpu)
{
        return gpu->claim.name;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_claim_uuid(const struct vfioctl_gpu *gpu)
{
        return gpu->claim.uuid;
}

VFIOCTL_EXPORT bool vfioctl_gpu_claim_is_live(const struct vfioctl_gpu *gpu)
{
        return gpu->claim.is_live;
}

VFIOCTL_EXPORT enum vfioctl_mode vfioctl_gpu_half_done(const struct vfioctl_gpu *gpu)
{
        return gpu->half_done;
}
