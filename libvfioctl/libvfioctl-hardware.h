/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LIBVFIOCTL_HARDWARE_H
#define LIBVFIOCTL_HARDWARE_H

/*
 * The part of libvfioctl.h, which includes it, that is about the hardware below a GPU: links, power, resets,
 * what is known of its card, and the host around it.
 */

#include "libvfioctl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- links --------------------------------------------------------------------------------------- */

/**
 * The PCI Express link above a function (of a port: that to what is below it), as sysfs current_link_width
 * and its neighbours tell: PCIe Base Specification, Link Status and Link Capabilities Registers. Since 0.1.
 */
struct vfioctl_link {
        unsigned int width, max_width; /**< lanes; 0: not known, or no link */
        unsigned int speed, max_speed; /**< MT/s per lane: 2500, 5000, 8000, ...; 0 as above */
};
/** Zeros without VFIOCTL_SNAPSHOT_DETAILS (of bridges: VFIOCTL_SNAPSHOT_PATHS). Since 0.1. */
struct vfioctl_link vfioctl_function_link(const struct vfioctl_function *function);

/* ---- resets: all of this with VFIOCTL_SNAPSHOT_CHANGE alone ----------------------------------------- */

/** The method that a reset of the GPU takes now, "flr" for example; NULL: none works. Since 0.1. */
const char *vfioctl_gpu_reset_used(const struct vfioctl_gpu *gpu);
/** Its reset_method lists "bus", which cannot work, for it is not alone on its bus. Since 0.1. */
bool vfioctl_gpu_reset_is_stale(const struct vfioctl_gpu *gpu);
/** What a reset of the GPU also resets, and is none of its own functions. Since 0.1. */
size_t vfioctl_gpu_reset_scope_count(const struct vfioctl_gpu *gpu);
const struct vfioctl_function *vfioctl_gpu_reset_scope(const struct vfioctl_gpu *gpu, size_t index);
/** The GPU is to be reset: it must be nobody's, and on no host driver. -EEXIST, -EINVAL, -ENOMEM. Since 0.1.
 */
int vfioctl_intent_reset(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu);

/* ---- power: as above ------------------------------------------------------------------------------ */

/** "on" or "auto" (sysfs-devices-power, power/control), or NULL. Since 0.1. */
const char *vfioctl_function_power_control(const struct vfioctl_function *function);
/** sysfs-bus-pci d3cold_allowed: 1, 0, or -1 when it is not known. Since 0.1. */
int vfioctl_function_d3cold_allowed(const struct vfioctl_function *function);
/** Some setting of it, or of a bridge above it, was changed for its mode vm, and is noted. Since 0.1. */
bool vfioctl_gpu_is_held(const struct vfioctl_gpu *gpu);

/* ---- what is known of its card: vfioctl-cards(5) ---------------------------------------------------- */

/** The file's name without its folder, or NULL when no file is about such a card. Since 0.1. */
const char *vfioctl_gpu_known_file(const struct vfioctl_gpu *gpu);
/** What the file says, each a name ("vendor-reset") and a value ("needed"). Since 0.1. */
size_t vfioctl_gpu_known_count(const struct vfioctl_gpu *gpu);
const char *vfioctl_gpu_known_name(const struct vfioctl_gpu *gpu, size_t index);
const char *vfioctl_gpu_known_value(const struct vfioctl_gpu *gpu, size_t index);
/** Whether its VM has to know this of it, a word of *AttrGuest*: "no-secure-boot" for example. Since 0.1. */
bool vfioctl_gpu_guest_wants(const struct vfioctl_gpu *gpu, const char *word);

/** The host's processors are AMD's: VFIOCTL_SNAPSHOT_FACTS. Since 0.1. */
bool vfioctl_snapshot_host_is_amd(const struct vfioctl_snapshot *snapshot);

/* ---- the VM's room for its BARs ---------------------------------------------------------------------- */

/** Bytes of the 64-bit BARs of all its functions: VFIOCTL_SNAPSHOT_DETAILS. Since 0.1. */
uint64_t vfioctl_gpu_large_bars(const struct vfioctl_gpu *gpu);
/** What they take up in a VM, with what is left free behind them: a power of two, or 0. Since 0.1. */
uint64_t vfioctl_gpu_bar_room(const struct vfioctl_gpu *gpu);
/**
 * The window that a VM's firmware has to be told of for GPUs that take up so many bytes together: a power of
 * two; 0 when they have room in what it has anyway. Since 0.1.
 */
uint64_t vfioctl_bar_window(uint64_t room);

/* ---- how programs of the host reach a GPU: all of this with VFIOCTL_SNAPSHOT_REACH alone ------------ */

/**
 * Its render node by the kernel's name ("/dev/dri/renderD128"), which may be another one after a boot; NULL:
 * its driver makes none, or it has no driver of the host. Since 0.1.
 */
const char *vfioctl_gpu_render_node(const struct vfioctl_gpu *gpu);
/** True when there is /dev/kfd, without which amdgpu's GPUs have no ROCm. Since 0.1. */
bool vfioctl_snapshot_has_kfd(const struct vfioctl_snapshot *snapshot);
/** What ROCm or CUDA call this very GPU ("GPU-..."), or NULL when its driver does not tell. Since 0.1. */
const char *vfioctl_gpu_uuid(const struct vfioctl_gpu *gpu);
/** The node of NVIDIA's own driver ("/dev/nvidia0"), or NULL. Since 0.1. */
const char *vfioctl_gpu_nvidia_node(const struct vfioctl_gpu *gpu);

/* ---- trying ---------------------------------------------------------------------------------------- */

/** False when its configuration space reads all ones: it does not answer. VFIOCTL_SNAPSHOT_DETAILS. Since
 * 0.1. */
bool vfioctl_function_answers(const struct vfioctl_function *function);

/**
 * Whether the GPU, or one of its kind (vendor, device, subsystem, revision), was handed out and taken back on
 * the kernel that runs, to try it. A failure is of this GPU alone. Since 0.1.
 */
enum vfioctl_proof { VFIOCTL_UNPROVED, VFIOCTL_PROOF_PASSED, VFIOCTL_PROOF_FAILED };
/** As remembered; UNPROVED also without VFIOCTL_SNAPSHOT_DETAILS. One that failed is not ready. Since 0.1. */
enum vfioctl_proof vfioctl_gpu_proof(const struct vfioctl_gpu *gpu);
/** Why it failed, or NULL. Since 0.1. */
const char *vfioctl_gpu_proof_reason(const struct vfioctl_gpu *gpu);

/**
 * What stands against handing the GPU to a throwaway VM now: besides all that stands against handing it out,
 * its users, and VMs that run with a GPU of its IOMMU group. `vms` may be NULL. Pure. Since 0.1.
 */
int vfioctl_check_trial(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                        const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings);

/** How a try ended. Since 0.1. */
struct vfioctl_trial {
        bool passed;
        unsigned int runs;
        const char *reason; /**< one line, or NULL */
};
/**
 * Remembers it for the kernel that runs: a pass for all GPUs of this kind, a failure for this one until it
 * passes.
 * -EINVAL for a reason that is no line; errors of writing. Since 0.1.
 */
int vfioctl_trial_record(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu,
                         const struct vfioctl_trial *trial);

/* ---- the board ----------------------------------------------------------------------------------- */

/**
 * Full address of the uppermost function of the GPU's card: what lies above it is the board's. For a card
 * with one GPU and no switch that is the GPU itself. Since 0.1.
 */
const char *vfioctl_gpu_card_address(const struct vfioctl_gpu *gpu);

/** What the host calls itself (uname -n), or NULL without VFIOCTL_SNAPSHOT_BOARD. Since 0.1. */
const char *vfioctl_snapshot_host_name(const struct vfioctl_snapshot *snapshot);
/** The board's name from its firmware ("X10DRH-iT"), or NULL as above. Since 0.1. */
const char *vfioctl_snapshot_board_name(const struct vfioctl_snapshot *snapshot);
/** The host's NUMA nodes by number; none without VFIOCTL_SNAPSHOT_BOARD. Since 0.1. */
size_t vfioctl_snapshot_node_count(const struct vfioctl_snapshot *snapshot);
/** The number of the node at `index`, and the socket that it belongs to (physical_package_id); -1: no such
 * node, or not known, as for a node of memory alone. Since 0.1. */
int vfioctl_snapshot_node_number(const struct vfioctl_snapshot *snapshot, size_t index);
int vfioctl_snapshot_node_package(const struct vfioctl_snapshot *snapshot, size_t index);

/**
 * What stands against handing a USB controller out: it is none, the host needs it, its IOMMU group has
 * others, a VM (`vms` may be NULL) has it. -ENOMEM, -EMFILE. Since 0.1.
 */
int vfioctl_check_usb_controller(struct vfioctl_ctx *ctx, const struct vfioctl_vms *vms,
                                 const struct vfioctl_address *address, struct vfioctl_findings *findings);

/* ---- the host ------------------------------------------------------------------------------------ */

/** The kernel that runs ("6.1.0-18-amd64"), or NULL without VFIOCTL_SNAPSHOT_FACTS. Since 0.1. */
const char *vfioctl_snapshot_kernel(const struct vfioctl_snapshot *snapshot);
/**
 * The newest kernel that is installed and newer than the one that runs: the next boot's. NULL: there is none,
 * or it cannot be seen. Since 0.1.
 */
const char *vfioctl_snapshot_next_kernel(const struct vfioctl_snapshot *snapshot);

#ifdef __cplusplus
}
#endif

#endif
