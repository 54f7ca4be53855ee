/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LIBVFIOCTL_RUNTIME_H
#define LIBVFIOCTL_RUNTIME_H

/*
 * The part of libvfioctl.h, which includes it, that is about VMs as they start and end: claims, where
 * assigned GPUs are now, and what hook, boot step and reconcile note for each other.
 */

#include "libvfioctl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- claims -------------------------------------------------------------------------------------- */

/** A process by PID and start time, which name it for the length of a boot: proc(5). Since 0.1. */
struct vfioctl_process {
        int pid;
        char start[24];
};
/** -ESRCH when there is no such process, or it is a zombie. Since 0.1. */
int vfioctl_process_identify(int pid, struct vfioctl_process *ret);

/** A VM that is starting or running with a GPU. Since 0.1. */
struct vfioctl_claim {
        const char *uuid;
        const char *name;
        /** The libvirt daemon that will tell of the VM's end. With PID 0 the claim hinders nobody: what
         * counts then is whether the VM has the GPU open. */
        struct vfioctl_process daemon;
};
/** Name and UUID of the VM that claims the GPU, or NULL. Since 0.1. */
const char *vfioctl_gpu_claim_name(const struct vfioctl_gpu *gpu);
const char *vfioctl_gpu_claim_uuid(const struct vfioctl_gpu *gpu);
/** True while the claim hinders others: the daemon that made it is still the same process. Since 0.1. */
bool vfioctl_gpu_claim_is_live(const struct vfioctl_gpu *gpu);
/**
 * Notes a claim at once, whoever had one: for a VM that is known to run with the GPU. -EBUSY when another
 * vfioctl does not let go of the GPU, -EINVAL for a name or UUID that is no line of text. Since 0.1.
 */
int vfioctl_claim_record(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu,
                         const struct vfioctl_claim *claim);
/** True when some VM claims some GPU. Since 0.1. */
bool vfioctl_claims_exist(const struct vfioctl_ctx *ctx);
/** The GPUs that the VM with this UUID (NULL: any) claims, by address; *ret is the caller's to free. Since
 * 0.1. */
int vfioctl_claims_of(const struct vfioctl_ctx *ctx, const char *uuid, struct vfioctl_address **ret,
                      size_t *ret_count);
/** Drops a claim whose GPU is not there any more. Since 0.1. */
int vfioctl_claim_forget(const struct vfioctl_ctx *ctx, const struct vfioctl_address *address);
/** Drops the claim that the snapshot has seen; -EAGAIN when there is another one by now. Since 0.1. */
int vfioctl_claim_drop(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu);
/** Forgets that note, when no change of this GPU is under way. Since 0.1. */
int vfioctl_half_done_forget(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu);
/** The mode that a change was begun to and not ended (its process was killed), or VFIOCTL_MODE_NONE. Since
 * 0.1. */
enum vfioctl_mode vfioctl_gpu_half_done(const struct vfioctl_gpu *gpu);

/**
 * Wants GPU `gpu` in mode vm, and claimed for a VM that starts. Refused while another VM's claim counts.
 * -EEXIST as above, -EINVAL when name or UUID is no line of text. Since 0.1.
 */
int vfioctl_intent_claim(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu,
                         const struct vfioctl_claim *claim);
/** Wants the claim of the VM with this UUID dropped; no mode changes. Since 0.1. */
int vfioctl_intent_release(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu, const char *uuid);

/* ---- assignments and where their GPUs are now ---------------------------------------------------- */

/** A GPU that a definition's metadata records. Since 0.1. */
struct vfioctl_assignment {
        const char *name;                        /**< short name of then, or "" */
        const char *identity;                    /**< vfioctl_gpu_identity() of then, or "" */
        const struct vfioctl_address *functions; /**< the GPU first, then its companions */
        size_t n_functions;
        bool is_edited; /**< the definition no longer has what we wrote */
};

enum vfioctl_verdict {
        VFIOCTL_SAME,    /**< it is where the definition has it */
        VFIOCTL_MOVED,   /**< it has another address now: bus numbers moved */
        VFIOCTL_EDITED,  /**< somebody edited the definition, which is to be left alone */
        VFIOCTL_SWAPPED, /**< in its place, or at its address, is another card */
        VFIOCTL_GONE,    /**< it is nowhere */
};
/** "same", "moved", "edited", "swapped" or "gone". Since 0.1. */
const char *vfioctl_verdict_name(enum vfioctl_verdict verdict);

/**
 * Where the assigned GPU is now, by its identity. The snapshot must be of all GPUs, with
 * VFIOCTL_SNAPSHOT_DETAILS where serial numbers are to count. `*ret_gpu`: the GPU itself (same, moved), the
 * other one in its place (swapped), or NULL. Pure. Since 0.1.
 */
enum vfioctl_verdict vfioctl_judge(const struct vfioctl_snapshot *snapshot,
                                   const struct vfioctl_assignment *assignment,
                                   const struct vfioctl_gpu **ret_gpu);

/* ---- what ought to be ---------------------------------------------------------------------------- */

/** True when all functions of the GPU are where `mode` (VM or HOST) wants them. Pure. Since 0.1. */
bool vfioctl_gpu_is_in_mode(const struct vfioctl_gpu *gpu, enum vfioctl_mode mode);
/**
 * True when a VM has the GPU now, or is starting with it: then it is not to be touched. Told by its claim, by
 * holders where it is in mode vm, and by `vms` (may be NULL). Pure. Since 0.1.
 */
bool vfioctl_gpu_is_in_use(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms);
/**
 * True when the GPU's claim is of a VM that does not run. `vms` must be younger than the snapshot; when it is
 * NULL, only claims that nobody will ever release are stale. Pure. Since 0.1.
 */
bool vfioctl_gpu_claim_is_stale(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms);
/**
 * True when a VM's definition names the GPU, or our metadata there records it, wherever it is now. The
 * snapshot must be of all GPUs. Pure. Since 0.1.
 */
bool vfioctl_gpu_is_assigned(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                             const struct vfioctl_gpu *gpu);
/**
 * The mode that configuration, assignments and half-done work want the GPU in while no VM has it; NONE: it is
 * nobody's business. Adds a refusal "hook-not-live" when the configuration's wish has to be set aside for
 * that; `vms` and `findings` may be NULL. Pure. Since 0.1.
 */
int vfioctl_wanted_mode(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                        const struct vfioctl_gpu *gpu, bool hook_is_live, struct vfioctl_findings *findings,
                        enum vfioctl_mode *ret);
/**
 * Judges assignment `index` of VM `vm` as vfioctl_judge() does, and adds what is to be told of it: "moved",
 * "swapped" and "gone" as refusals, "edited" as a warning. -EINVAL when there is no such assignment. Pure.
 * Since 0.1.
 */
int vfioctl_check_assignment(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                             size_t vm, size_t index, struct vfioctl_findings *findings);

/* ---- records of this boot, below /run/vfioctl ---------------------------------------------------- */

/** True when the kernel was started with vfioctl=off: then hook, boot step and reconcile do nothing. Since
 * 0.1. */
bool vfioctl_ctx_is_off(const struct vfioctl_ctx *ctx);

/** Notes that this daemon of libvirt calls our hook. Since 0.1. */
int vfioctl_hook_record(const struct vfioctl_ctx *ctx, const struct vfioctl_process *daemon);
/** True for a daemon of libvirt that runs VMs, by its name; anything is one on a simulated host. Since 0.1.
 */
bool vfioctl_process_is_libvirt(const struct vfioctl_ctx *ctx, const struct vfioctl_process *process);
/** True when the hook is where libvirt looks for it, and can be executed. Since 0.1. */
bool vfioctl_hook_is_installed(const struct vfioctl_ctx *ctx);
/** True when, besides, the daemon that is there now has called it, or the last one did and none runs now.
 * Since 0.1. */
bool vfioctl_hook_is_live(const struct vfioctl_ctx *ctx);

/** Notes why a start of this VM was refused; forgets it. -EINVAL for a name or UUID that is no line. Since
 * 0.1. */
int vfioctl_refusal_record(const struct vfioctl_ctx *ctx, const char *uuid, const char *vm,
                           const char *reason);
int vfioctl_refusal_forget(const struct vfioctl_ctx *ctx, const char *uuid);
/** Called for each; `when` in seconds since 1970. A negative result ends it and is returned. Since 0.1. */
typedef int (*vfioctl_refusal_fn)(void *userdata, const char *uuid, const char *vm, const char *reason,
                                  int64_t when);
int vfioctl_refusals_each(const struct vfioctl_ctx *ctx, vfioctl_refusal_fn fn, void *userdata);

/** What a host looked like, as one number. Since 0.1. */
struct vfioctl_stamp {
        uint64_t value;
};
/**
 * A number that is another one when drivers, configuration, VMs or our own records have changed; it costs a
 * few calls of stat(). False when the last change is so fresh that the next one might not show. Since 0.1.
 */
bool vfioctl_stamp_take(const struct vfioctl_ctx *ctx, struct vfioctl_stamp *ret);
/**
 * Notes how a reconcile ended: its exit status, its problems (lines), and the stamp taken before it (NULL:
 * the next one is to look at everything). Since 0.1.
 */
int vfioctl_stamp_save(const struct vfioctl_ctx *ctx, const struct vfioctl_stamp *stamp, int code,
                       const char *problems);
/**
 * Reads that again. `ret_known`: there is a stamp; `ret_when`: seconds since 1970; `ret_problems` (may be
 * NULL) is the caller's to free. -ENOENT when there was no reconcile since the host booted. Since 0.1.
 */
int vfioctl_stamp_read(const struct vfioctl_ctx *ctx, struct vfioctl_stamp *ret_stamp, bool *ret_known,
                       int *ret_code, int64_t *ret_when, char **ret_problems);
/** Notes that there was a reconcile just now, which found all as it was. Since 0.1. */
int vfioctl_stamp_touch(const struct vfioctl_ctx *ctx);

/** The boot step runs twice: in the initramfs, and in the real root. Since 0.1. */
enum vfioctl_boot_stage { VFIOCTL_BOOT_EARLY, VFIOCTL_BOOT_LATE };
/** Notes with which policy (vfioctl_ctx_boot_policy()) it ran. Since 0.1. */
int vfioctl_boot_record(const struct vfioctl_ctx *ctx, enum vfioctl_boot_stage stage, const char *policy);
/** -ENOENT when it has not run since the host booted; *ret is the caller's to free. Since 0.1. */
int vfioctl_boot_policy_of(const struct vfioctl_ctx *ctx, enum vfioctl_boot_stage stage, char **ret);

/** True while a vfioctl is at work on the GPU: what looks half-done then is not. Since 0.1. */
bool vfioctl_change_is_under_way(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu);

/* ---- what is set up ------------------------------------------------------------------------------ */

/** Parts that run by themselves, when they are enabled. Since 0.1. */
enum vfioctl_part {
        VFIOCTL_PART_BOOT_UNIT, /**< systemd's unit for the boot step in the real root */
        VFIOCTL_PART_TIMER,     /**< systemd's timer for reconcile */
        VFIOCTL_PART_CRON,      /**< cron's line for reconcile */
};
/** True when the file that enables it is there. Since 0.1. */
bool vfioctl_part_is_enabled(const struct vfioctl_ctx *ctx, enum vfioctl_part part);

/** Whose initramfs: that of the kernel that runs, or of the newest that an initramfs of ours was made for. */
enum vfioctl_initramfs { VFIOCTL_INITRAMFS_RUNNING, VFIOCTL_INITRAMFS_NEWEST };
/**
 * The boot policy (vfioctl_ctx_boot_policy()) that was put into the initramfs, as noted when it was made, and
 * the kernel's name; both are the caller's to free. -ENOENT when there is no such note: then there is nothing
 * of ours in it. Since 0.1.
 */
int vfioctl_initramfs_policy_of(const struct vfioctl_ctx *ctx, enum vfioctl_initramfs which,
                                char **ret_kernel, char **ret);

/* ---- watching ------------------------------------------------------------------------------------ */

struct vfioctl_watch;
/**
 * Begins to listen to what may change a report: the kernel's events about PCI devices, vfio and DRM (of this
 * machine alone, and never asking about a device), and files below /run/vfioctl, the configuration, and
 * libvirt's definitions and states. Folders that are missing are waited for. Since 0.1.
 */
int vfioctl_watch_new(const struct vfioctl_ctx *ctx, struct vfioctl_watch **ret);
struct vfioctl_watch *vfioctl_watch_free(struct vfioctl_watch *watch);
/** A descriptor that poll() finds readable when something has happened. Since 0.1. */
int vfioctl_watch_fd(const struct vfioctl_watch *watch);
/** Takes what has happened off the descriptor: 1 when it may matter, 0 when not. Since 0.1. */
int vfioctl_watch_read(struct vfioctl_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
