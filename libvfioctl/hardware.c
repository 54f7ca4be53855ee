/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

VFIOCTL_EXPORT const char *vfioctl_gpu_reset_used(const struct vfioctl_gpu *gpu)
{
        return gpu->reset_used;
}

VFIOCTL_EXPORT bool vfioctl_gpu_reset_is_stale(const struct vfioctl_gpu *gpu)
{
        return gpu->reset_is_stale;
}

VFIOCTL_EXPORT size_t vfioctl_gpu_reset_scope_count(const struct vfioctl_gpu *gpu)
{
        return gpu->n_scope;
}

VFIOCTL_EXPORT const struct vfioctl_function *vfioctl_gpu_reset_scope(const struct vfioctl_gpu *gpu,
                                                                      size_t index)
{
        return index < gpu->n_scope ? gpu->scope[index] : NULL;
}

VFIOCTL_EXPORT const char *vfioctl_function_power_control(const struct vfioctl_function *function)
{
        return function->power_control;
}

VFIOCTL_EXPORT int vfioctl_function_d3cold_allowed(const struct vfioctl_function *function)
{
        return function->d3cold == SETTING_UNKNOWN ? -1 : function->d3cold == SETTING_ON;
}

VFIOCTL_EXPORT bool vfioctl_gpu_is_held(const struct vfioctl_gpu *gpu)
{
        return power_holds(gpu);
}

VFIOCTL_EXPORT struct vfioctl_link vfioctl_function_link(const struct vfioctl_function *function)
{
        return function->link;
}

VFIOCTL_EXPORT bool vfioctl_function_answers(const struct vfioctl_function *function)
{
        return !function->is_silent;
}

VFIOCTL_EXPORT enum vfioctl_proof vfioctl_gpu_proof(const struct vfioctl_gpu *gpu)
{
        if (!gpu->proof)
                return VFIOCTL_UNPROVED;
        return gpu->proof->passed ? VFIOCTL_PROOF_PASSED : VFIOCTL_PROOF_FAILED;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_proof_reason(const struct vfioctl_gpu *gpu)
{
        return gpu->proof ? gpu->proof->reason : NULL;
}

VFIOCTL_EXPORT const char *vfioctl_snapshot_kernel(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->facts.kernel;
}

VFIOCTL_EXPORT const char *vfioctl_snapshot_next_kernel(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->facts.next_kernel;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_card_address(const struct vfioctl_gpu *gpu)
{
        return gpu->card_address;
}

VFIOCTL_EXPORT const char *vfioctl_snapshot_host_name(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->board.host;
}

VFIOCTL_EXPORT const char *vfioctl_snapshot_board_name(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->board.name;
}

VFIOCTL_EXPORT size_t vfioctl_snapshot_node_count(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->board.n_nodes;
}

VFIOCTL_EXPORT int vfioctl_snapshot_node_number(const struct vfioctl_snapshot *snapshot, size_t index)
{
        return index < snapshot->board.n_nodes ? snapshot->board.nodes[index].number : -1;
}

VFIOCTL_EXPORT int vfioctl_snapshot_node_package(const struct vfioctl_snapshot *snapshot, size_t index)
{
        return index < snapshot->board.n_nodes ? snapshot->board.nodes[index].package : -1;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_render_node(const struct vfioctl_gpu *gpu)
{
        return gpu->reach.render;
}

VFIOCTL_EXPORT bool vfioctl_snapshot_has_kfd(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->has_kfd;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_uuid(const struct vfioctl_gpu *gpu)
{
        return gpu->reach.uuid;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_nvidia_node(const struct vfioctl_gpu *gpu)
{
        return gpu->reach.nvidia;
}

VFIOCTL_EXPORT uint64_t vfioctl_gpu_large_bars(const struct vfioctl_gpu *gpu)
{
        uint64_t sum = 0;

        for (size_t i = 0; i < gpu->n_functions; i++)
                for (size_t k = 0; k < ELEMENTSOF(gpu->functions[i]->bars); k++)
                        if (gpu->functions[i]->bars[k].is_64bit)
                                sum += gpu->functions[i]->bars[k].size;
        return sum;
}

/* Bytes, or half of all there are. */
static uint64_t round_up(uint64_t bytes)
{
        uint64_t power = 1;

        while (power < bytes && power < 1ull << 62)
                power *= 2;
        return power;
}

/*
 * A bridge's window begins at a multiple of its largest BAR, and is no longer than what is in it:
 * CalculateResourceAperture() of edk2's PciBusDxe. So 16 GiB and a little leave a hole in front of the next
 * GPU of that size.
 */
VFIOCTL_EXPORT uint64_t vfioctl_gpu_bar_room(const struct vfioctl_gpu *gpu)
{
        uint64_t sum = vfioctl_gpu_large_bars(gpu);

        return sum > 0 ? round_up(sum) : 0;
}

/* PcdPciMmio64Size of OvmfPkg: what OVMF has before edk2-stable202211, and where it cannot see the processor.
 */
#define WINDOW (32ull << 30)

VFIOCTL_EXPORT uint64_t vfioctl_bar_window(uint64_t room)
{
        return room > WINDOW ? round_up(room) : 0;
}

/* What IOMMU it has is the firmware's or the processor's to tell: facts_kernel.c. */
VFIOCTL_EXPORT bool vfioctl_snapshot_host_is_amd(const struct vfioctl_snapshot *snapshot)
{
        return snapshot->facts.iommu == IOMMU_AMD;
}
