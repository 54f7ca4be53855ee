/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LIBVFIOCTL_H
#define LIBVFIOCTL_H

/**
 * libvfioctl: hand single GPUs to virtual machines.
 *
 * Four stages, each usable alone:
 *   vfioctl_snapshot_take()  reads the host once; what it returns never changes
 *   vfioctl_intent_*()       says what is wanted
 *   vfioctl_plan_new()       judges and orders the steps; it does no I/O
 *   vfioctl_apply()          carries the steps out, verifies each, and rolls back on failure
 *
 * Habits: functions return 0 or a positive count, or a negative errno. Outputs come last and are
 * untouched on failure. Destructors take NULL and return NULL. Strings returned as `const char *` are
 * borrowed from their object; `char *` is the caller's to free(). A context may be used by one thread at
 * a time. All sizes are in bytes, all times in milliseconds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vfioctl_ctx;
struct vfioctl_snapshot;
struct vfioctl_gpu;
struct vfioctl_function;
struct vfioctl_group;
struct vfioctl_holder;
struct vfioctl_vms;
struct vfioctl_findings;
struct vfioctl_intent;
struct vfioctl_plan;
struct vfioctl_step;
struct vfioctl_lock;
struct vfioctl_assignment;

/** The version of the library that runs, for example "0.1.0". Since 0.1. */
const char *vfioctl_version(void);

/* ---- context ------------------------------------------------------------------------------------- */

/** How much a context has to say through its log function. Since 0.1. */
enum vfioctl_log_level { VFIOCTL_LOG_WARNING, VFIOCTL_LOG_INFO, VFIOCTL_LOG_DEBUG };

/** Receives one line without a newline; the library itself never prints. Since 0.1. */
typedef void (*vfioctl_log_fn)(void *userdata, enum vfioctl_log_level level, const char *line);

/**
 * Makes a context. `root` is the folder that holds the host's sys, proc, dev, etc and run: NULL or "/"
 * for this machine, or a captured or simulated host. No path is ever followed out of `root`.
 * Errors: -ENOENT, -ENOTDIR when root is no folder, -ENOMEM. Since 0.1.
 */
int vfioctl_ctx_new(const char *root, struct vfioctl_ctx **ret);
struct vfioctl_ctx *vfioctl_ctx_free(struct vfioctl_ctx *ctx);
void vfioctl_ctx_set_log(struct vfioctl_ctx *ctx, vfioctl_log_fn fn, void *userdata);

/** True when the context is for this machine and not for a folder. Since 0.1. */
bool vfioctl_ctx_is_live(const struct vfioctl_ctx *ctx);

/** Which GPUs an assignment takes first. Since 0.1. */
enum vfioctl_placement {
        VFIOCTL_PLACEMENT_PACK,   /**< half-used cards first, so that whole cards stay free */
        VFIOCTL_PLACEMENT_SPREAD, /**< untouched cards first, for cooling and PCIe bandwidth */
};

/**
 * Reads etc/vfioctl/vfioctl.conf and its drop-ins below the context's root. Without such a file the
 * defaults hold. Unknown keys and keys given twice in a file are logged as a warning with file and line. Bad
 * values give -EINVAL and the reason for the first, with file and line, in *ret_error (the caller's to free;
 * may be NULL). Since 0.1.
 */
int vfioctl_ctx_read_config(struct vfioctl_ctx *ctx, char **ret_error);
/**
 * What the last vfioctl_ctx_read_config() found: every bad value as a refusal, the rest as warnings. NULL
 * when nothing was read. Without a refusal there, an error of that call was that a file could not be read.
 * Since 0.1.
 */
const struct vfioctl_findings *vfioctl_ctx_config_findings(const struct vfioctl_ctx *ctx);

/**
 * The keys of the configuration, set or not: name, effective value on one line, and the file and line that it
 * is from (NULL and 0: the default). NULL for an `index` that is too high. Since 0.1.
 */
size_t vfioctl_ctx_setting_count(const struct vfioctl_ctx *ctx);
const char *vfioctl_ctx_setting_name(const struct vfioctl_ctx *ctx, size_t index);
const char *vfioctl_ctx_setting_value(const struct vfioctl_ctx *ctx, size_t index);
const char *vfioctl_ctx_setting_file(const struct vfioctl_ctx *ctx, size_t index);
unsigned long vfioctl_ctx_setting_line(const struct vfioctl_ctx *ctx, size_t index);

/**
 * What the boot step depends on (gpus, except, idle, with aliases looked up), as lines that are equal when
 * the meaning is: by comparing them a stale copy in an initramfs is found. The caller's to free. Since 0.1.
 */
int vfioctl_ctx_boot_policy(const struct vfioctl_ctx *ctx, char **ret);
/** From now on no single wait of this context is longer than `ms`. Since 0.1. */
void vfioctl_ctx_limit_deadlines(struct vfioctl_ctx *ctx, unsigned int ms);
/** All that a hook of libvirt may take, in milliseconds. Since 0.1. */
unsigned int vfioctl_ctx_hook_deadline(const struct vfioctl_ctx *ctx);
enum vfioctl_placement vfioctl_ctx_placement(const struct vfioctl_ctx *ctx);

/** libvirt's URI from the configuration, or NULL. Since 0.1. */
const char *vfioctl_ctx_connect_uri(const struct vfioctl_ctx *ctx);

/* ---- addresses ----------------------------------------------------------------------------------- */

/** Room for any PCI address, with its NUL. Since 0.1. */
#define VFIOCTL_ADDRESS_SIZE 20

/** A PCI address; domains have up to 32 bits (VMD uses 10000 and up). Since 0.1. */
struct vfioctl_address {
        uint32_t domain;
        uint8_t bus;
        uint8_t device;   /**< 0 to 31 */
        uint8_t function; /**< 0 to 7 */
};

/**
 * Reads "0000:06:00.0" or "06:00.0" (then the domain is 0). The whole string must match.
 * Errors: -EINVAL. Since 0.1.
 */
int vfioctl_address_parse(const char *text, struct vfioctl_address *ret);

/** Writes the full form, with at least four digits of domain, and returns `buffer`. Since 0.1. */
const char *vfioctl_address_format(const struct vfioctl_address *address, char buffer[VFIOCTL_ADDRESS_SIZE]);

/** Orders by domain, bus, device, function: negative, 0 or positive. Since 0.1. */
int vfioctl_address_compare(const struct vfioctl_address *a, const struct vfioctl_address *b);

/* ---- snapshot ------------------------------------------------------------------------------------ */

/** What a snapshot looks at besides the GPUs, their groups and their paths. Since 0.1. */
enum vfioctl_snapshot_flags {
        VFIOCTL_SNAPSHOT_HOLDERS = 1 << 0, /**< processes that have a GPU open */
        VFIOCTL_SNAPSHOT_NAMES = 1 << 1,   /**< names from the PCI ID database */
        VFIOCTL_SNAPSHOT_HOST = 1 << 2,    /**< what the host needs: mounts, network, console */
        VFIOCTL_SNAPSHOT_DETAILS = 1 << 3, /**< of GPUs: BARs, serial number, reset methods, power state */
        VFIOCTL_SNAPSHOT_PATHS = 1 << 4,   /**< the bridges above each GPU, with their capabilities */
        VFIOCTL_SNAPSHOT_FACTS = 1 << 5,   /**< the host around them: kernels, modules, settings */
        VFIOCTL_SNAPSHOT_CHANGE = 1 << 6,  /**< what a change of mode touches besides drivers: reset methods,
                                                power settings of the GPU and of the bridges above */
        VFIOCTL_SNAPSHOT_BOARD = 1 << 7,   /**< what the board is called, and its sockets */
        VFIOCTL_SNAPSHOT_RESOURCES = 1 << 8, /**< processors, memory and huge pages of each NUMA node */
        VFIOCTL_SNAPSHOT_ALL = (1 << 9) - 1,
};

/**
 * Reads the host. Attributes that need the device lock are read with a deadline, so a GPU stuck in the
 * kernel costs a bounded time and is marked stuck. Errors: -ENOENT when the host has no PCI bus in
 * sysfs, -ENOMEM, -EMFILE when there are too few descriptors left, -E2BIG when it has more functions than PCI
 * can address. Since 0.1.
 */
int vfioctl_snapshot_take(struct vfioctl_ctx *ctx, unsigned int flags, struct vfioctl_snapshot **ret);
/**
 * The same for a change of a few GPUs, which is quicker: only the GPUs that these texts name (as in
 * vfioctl_snapshot_find()), and those in their IOMMU groups, are looked at; of others only name and address
 * are known. A text that names none is no error here. Since 0.1.
 */
int vfioctl_snapshot_take_for(struct vfioctl_ctx *ctx, unsigned int flags, const char *const *gpus,
                              size_t n_gpus, struct vfioctl_snapshot **ret);
struct vfioctl_snapshot *vfioctl_snapshot_free(struct vfioctl_snapshot *snapshot);

/** The GPUs, ordered by where they sit (host bridge, then the chain below it). Since 0.1. */
size_t vfioctl_snapshot_gpu_count(const struct vfioctl_snapshot *snapshot);
const struct vfioctl_gpu *vfioctl_snapshot_gpu(const struct vfioctl_snapshot *snapshot, size_t index);

/**
 * Finds a GPU by short name, by alias, or by the address of any of its functions, with or without the domain.
 * Errors: -EINVAL when `text` is neither, -ENOENT when there is no such GPU. Since 0.1.
 */
int vfioctl_snapshot_find(const struct vfioctl_snapshot *snapshot, const char *text,
                          const struct vfioctl_gpu **ret);

/** The GPU that owns the function at this address, or NULL. Since 0.1. */
const struct vfioctl_gpu *vfioctl_snapshot_gpu_at(const struct vfioctl_snapshot *snapshot,
                                                  const struct vfioctl_address *address);

/** True when the IOMMU has made groups on this host. Since 0.1. */
bool vfioctl_snapshot_has_iommu(const struct vfioctl_snapshot *snapshot);

/** A GPU's mode, from the driver of its first function. Since 0.1. */
enum vfioctl_mode {
        VFIOCTL_MODE_NONE, /**< no driver */
        VFIOCTL_MODE_HOST, /**< a host driver */
        VFIOCTL_MODE_VM,   /**< vfio-pci */
};

/** Short name such as "2a"; a board's own display has none and gives its address. Since 0.1. */
const char *vfioctl_gpu_name(const struct vfioctl_gpu *gpu);
/** What the configuration calls it besides ("left"), or NULL. Since 0.1. */
const char *vfioctl_gpu_alias(const struct vfioctl_gpu *gpu);
/** True when the configuration (gpus, except) says that it is for VMs; never for a board's own display. Since
 * 0.1. */
bool vfioctl_gpu_is_ours(const struct vfioctl_gpu *gpu);
/** Where a GPU of ours rests when no VM has it: VM or HOST. NONE for one that is not ours. Since 0.1. */
enum vfioctl_mode vfioctl_gpu_idle(const struct vfioctl_gpu *gpu);
/** False for a board's own display (a BMC's), which has no short name. Since 0.1. */
bool vfioctl_gpu_has_short_name(const struct vfioctl_gpu *gpu);
/** True for a board's own display: conventional PCI in no slot, as a BMC's. Never for VMs. Since 0.1. */
bool vfioctl_gpu_is_on_board(const struct vfioctl_gpu *gpu);
/** Full address of the first function. Since 0.1. */
const char *vfioctl_gpu_address(const struct vfioctl_gpu *gpu);
/** What the GPU is wherever bus numbers move: host bridge, chain, IDs, serial number. Since 0.1. */
const char *vfioctl_gpu_identity(const struct vfioctl_gpu *gpu);
/** What a person calls the card ("Radeon Pro V340/Instinct MI25x2"), or "1002:6864". Since 0.1. */
const char *vfioctl_gpu_card(const struct vfioctl_gpu *gpu);
/** Slot as the board prints it ("CPU1 SLOT2 PCI-E 3.0 X16"), or NULL when not known. Since 0.1. */
const char *vfioctl_gpu_slot(const struct vfioctl_gpu *gpu);
/** Equal for the GPUs of one card; 0 and up. Since 0.1. */
unsigned int vfioctl_gpu_card_index(const struct vfioctl_gpu *gpu);
enum vfioctl_mode vfioctl_gpu_mode(const struct vfioctl_gpu *gpu);
/** "vm", "host" or "none". Since 0.1. */
const char *vfioctl_mode_name(enum vfioctl_mode mode);
/** NUMA node, or -1 when the firmware does not tell. Since 0.1. */
int vfioctl_gpu_numa_node(const struct vfioctl_gpu *gpu);
/** IOMMU group of the first function, or NULL when there is none. Since 0.1. */
const struct vfioctl_group *vfioctl_gpu_group(const struct vfioctl_gpu *gpu);
/** Size of the largest prefetchable BAR in bytes: the video memory that is mapped. 0: unknown, or below 1
 * MiB. Since 0.1. */
uint64_t vfioctl_gpu_vram(const struct vfioctl_gpu *gpu);
/** Its firmware console: boot_vga, or the VT console's framebuffer. Since 0.1. */
bool vfioctl_gpu_is_boot_display(const struct vfioctl_gpu *gpu);
bool vfioctl_gpu_is_stuck(const struct vfioctl_gpu *gpu);
/** The functions: the GPU itself first, then its companions. Since 0.1. */
size_t vfioctl_gpu_function_count(const struct vfioctl_gpu *gpu);
const struct vfioctl_function *vfioctl_gpu_function(const struct vfioctl_gpu *gpu, size_t index);
/**
 * The bridges above it, the host bridge's side first; empty without VFIOCTL_SNAPSHOT_PATHS, unless
 * strangers share its IOMMU group. Since 0.1.
 */
size_t vfioctl_gpu_path_count(const struct vfioctl_gpu *gpu);
const struct vfioctl_function *vfioctl_gpu_path(const struct vfioctl_gpu *gpu, size_t index);
/** Processes that have it open; empty without VFIOCTL_SNAPSHOT_HOLDERS. Since 0.1. */
size_t vfioctl_gpu_holder_count(const struct vfioctl_gpu *gpu);
const struct vfioctl_holder *vfioctl_gpu_holder(const struct vfioctl_gpu *gpu, size_t index);
/** False when some process could not be looked into: then "no holder" is not "free". Since 0.1. */
bool vfioctl_gpu_holders_known(const struct vfioctl_gpu *gpu);

/** PCI Express device/port type: PCIe Base Specification, PCI Express Capabilities Register. Since 0.1. */
enum vfioctl_pcie_type {
        VFIOCTL_PCIE_UNKNOWN = -1, /**< not readable, as without root */
        VFIOCTL_PCIE_ENDPOINT = 0,
        VFIOCTL_PCIE_LEGACY_ENDPOINT = 1,
        VFIOCTL_PCIE_ROOT_PORT = 4,
        VFIOCTL_PCIE_UPSTREAM = 5,
        VFIOCTL_PCIE_DOWNSTREAM = 6,
        VFIOCTL_PCIE_TO_PCI_BRIDGE = 7,
        VFIOCTL_PCI_TO_PCIE_BRIDGE = 8,
        VFIOCTL_PCIE_RC_ENDPOINT = 9,
        VFIOCTL_PCIE_RC_EVENT_COLLECTOR = 10,
        VFIOCTL_PCIE_CONVENTIONAL = 255, /**< no PCI Express capability */
};
/** "endpoint", "root port", ... Since 0.1. */
const char *vfioctl_pcie_type_name(enum vfioctl_pcie_type type);

/** A BAR as sysfs `resource` tells it. Since 0.1. */
struct vfioctl_bar {
        uint64_t start; /**< 0 when not assigned */
        uint64_t size;  /**< 0 when the BAR does not exist */
        bool is_io;
        bool is_64bit;
        bool is_prefetchable;
};
#define VFIOCTL_BAR_COUNT 7 /**< six BARs and the expansion ROM */

const char *vfioctl_function_address(const struct vfioctl_function *function);
uint16_t vfioctl_function_vendor(const struct vfioctl_function *function);
uint16_t vfioctl_function_device(const struct vfioctl_function *function);
uint16_t vfioctl_function_subsystem_vendor(const struct vfioctl_function *function);
uint16_t vfioctl_function_subsystem_device(const struct vfioctl_function *function);
/** 24 bits: base class, subclass, programming interface. Since 0.1. */
uint32_t vfioctl_function_class(const struct vfioctl_function *function);
uint8_t vfioctl_function_revision(const struct vfioctl_function *function);
/** Bound driver, or NULL. Since 0.1. */
const char *vfioctl_function_driver(const struct vfioctl_function *function);
/** driver_override (sysfs-bus-pci), or NULL when there is none. Since 0.1. */
const char *vfioctl_function_driver_override(const struct vfioctl_function *function);
/** True when driver_override could be read: not when stuck, nor for functions that are no GPU's. Since 0.1.
 */
bool vfioctl_function_driver_override_known(const struct vfioctl_function *function);
enum vfioctl_pcie_type vfioctl_function_pcie_type(const struct vfioctl_function *function);
bool vfioctl_function_is_bridge(const struct vfioctl_function *function);
/** IOMMU group number, or -1. Since 0.1. */
int vfioctl_function_group_number(const struct vfioctl_function *function);
int vfioctl_function_numa_node(const struct vfioctl_function *function);
/** Ordered reset methods as in sysfs reset_method (sysfs-bus-pci), or NULL when there is no such file. Since
 * 0.1. */
const char *vfioctl_function_reset_method(const struct vfioctl_function *function);
/** "D0", "D3hot", ... as in sysfs power_state, or NULL. Since 0.1. */
const char *vfioctl_function_power_state(const struct vfioctl_function *function);
/** SR-IOV: virtual functions enabled now, and at most; 0 without SR-IOV. Since 0.1. */
unsigned int vfioctl_function_vfs_enabled(const struct vfioctl_function *function);
unsigned int vfioctl_function_vfs_total(const struct vfioctl_function *function);
/** `index` below VFIOCTL_BAR_COUNT, 6 is the ROM; zeros without VFIOCTL_SNAPSHOT_DETAILS. Since 0.1. */
const struct vfioctl_bar *vfioctl_function_bar(const struct vfioctl_function *function, size_t index);
/** Name from the PCI ID database, or NULL without VFIOCTL_SNAPSHOT_NAMES. Since 0.1. */
const char *vfioctl_function_name(const struct vfioctl_function *function);

int vfioctl_group_number(const struct vfioctl_group *group);
/** Every function in the group, bridges too. Since 0.1. */
size_t vfioctl_group_member_count(const struct vfioctl_group *group);
const struct vfioctl_function *vfioctl_group_member(const struct vfioctl_group *group, size_t index);

int vfioctl_holder_pid(const struct vfioctl_holder *holder);
/** Command name as in /proc/PID/comm. Since 0.1. */
const char *vfioctl_holder_command(const struct vfioctl_holder *holder);
/** systemd unit or container ("ollama.service", "container 3f2a..."), or NULL. Since 0.1. */
const char *vfioctl_holder_unit(const struct vfioctl_holder *holder);
/** What it has open, for example "/dev/dri/renderD128". Since 0.1. */
const char *vfioctl_holder_node(const struct vfioctl_holder *holder);

/* ---- VMs: who is assigned what ------------------------------------------------------------------- */

/** What the VM definitions say of GPUs; filled by libvfioctl-virt, or by hand. Since 0.1. */
int vfioctl_vms_new(struct vfioctl_vms **ret);
struct vfioctl_vms *vfioctl_vms_free(struct vfioctl_vms *vms);
/** Adds a VM and returns its index (0 and up), or -ENOMEM. Strings are copied. Since 0.1. */
int vfioctl_vms_add(struct vfioctl_vms *vms, const char *name, const char *uuid, bool running);
/** Notes that the definition of VM `index` names this function. -EINVAL: no such VM; -ENOMEM. Since 0.1. */
int vfioctl_vms_add_device(struct vfioctl_vms *vms, size_t index, const struct vfioctl_address *address);
/** Notes that the running instance of VM `index` has this function. Errors as above. Since 0.1. */
int vfioctl_vms_add_running_device(struct vfioctl_vms *vms, size_t index,
                                   const struct vfioctl_address *address);

/** What else is known of a VM; none to begin with. Since 0.1. */
enum vfioctl_vms_flags {
        VFIOCTL_VMS_AUTOSTART = 1 << 0,    /**< libvirt starts it with the host */
        VFIOCTL_VMS_MANAGED_SAVE = 1 << 1, /**< it would start with the devices that it had when saved */
        VFIOCTL_VMS_TRANSIENT = 1 << 2,    /**< it has no definition that outlives it */
};
/** Sets the flags of VM `index` to these. -EINVAL: no such VM. Since 0.1. */
int vfioctl_vms_set_flags(struct vfioctl_vms *vms, size_t index, unsigned int flags);

/** Memory of a VM in huge pages of the host. Since 0.1. */
struct vfioctl_hugepages {
        uint64_t memory; /**< KiB */
        uint64_t size;   /**< KiB of one page; 0: the size that the host takes by default */
};
/** -EINVAL: no such VM. Since 0.1. */
int vfioctl_vms_set_hugepages(struct vfioctl_vms *vms, size_t index, const struct vfioctl_hugepages *pages);
/** NULL: its memory is not in huge pages, or that is not known. Since 0.1. */
const struct vfioctl_hugepages *vfioctl_vms_hugepages(const struct vfioctl_vms *vms, size_t index);

/** Adds a copy to VM `index`. -EINVAL: no such VM, or too many functions; -ENOMEM. Since 0.1. */
int vfioctl_vms_add_assignment(struct vfioctl_vms *vms, size_t index,
                               const struct vfioctl_assignment *assignment);

size_t vfioctl_vms_count(const struct vfioctl_vms *vms);
const char *vfioctl_vms_name(const struct vfioctl_vms *vms, size_t index);
const char *vfioctl_vms_uuid(const struct vfioctl_vms *vms, size_t index);
/** As libvirt calls it active: it has an instance. Since 0.1. */
bool vfioctl_vms_is_running(const struct vfioctl_vms *vms, size_t index);
bool vfioctl_vms_is_autostart(const struct vfioctl_vms *vms, size_t index);
bool vfioctl_vms_has_managed_save(const struct vfioctl_vms *vms, size_t index);
bool vfioctl_vms_is_transient(const struct vfioctl_vms *vms, size_t index);
/** True when VM `index` names this function: by definition, running, or both. Since 0.1. */
bool vfioctl_vms_has_device(const struct vfioctl_vms *vms, size_t index,
                            const struct vfioctl_address *address);
/** True when VM `index` names any function of the GPU: by definition, running, or both. Since 0.1. */
bool vfioctl_vms_has_gpu(const struct vfioctl_vms *vms, size_t index, const struct vfioctl_gpu *gpu);
/** The same for its definition alone: it would start with it. Since 0.1. */
bool vfioctl_vms_defines_gpu(const struct vfioctl_vms *vms, size_t index, const struct vfioctl_gpu *gpu);
/** The same for its running instance alone: it has it now. Since 0.1. */
bool vfioctl_vms_runs_gpu(const struct vfioctl_vms *vms, size_t index, const struct vfioctl_gpu *gpu);
/** The assignments of VM `index`, in the order of its metadata. 0, and NULL, when there is none. Since 0.1.
 */
size_t vfioctl_vms_assignment_count(const struct vfioctl_vms *vms, size_t index);
const struct vfioctl_assignment *vfioctl_vms_assignment(const struct vfioctl_vms *vms, size_t index,
                                                        size_t i);

/**
 * False when this text of a libvirt domain definition cannot have a <hostdev> element: then there is nothing
 * in it to parse for. Quick, and exact for UTF-8 but for comments and CDATA. True when in doubt: in another
 * encoding, with a DOCTYPE, with a NUL in it. `xml` needs no NUL at its end. Pure. Since 0.1.
 */
bool vfioctl_domain_text_has_hostdev(const char *xml, size_t size);

/* ---- findings ------------------------------------------------------------------------------------ */

enum vfioctl_severity { VFIOCTL_REFUSAL, VFIOCTL_WARNING, VFIOCTL_NOTE };
/** "refusal", "warning" or "note". Since 0.1. */
const char *vfioctl_severity_name(enum vfioctl_severity severity);

struct vfioctl_finding {
        enum vfioctl_severity severity;
        const char *code;    /**< stable, such as "group-shared"; see vfioctl-findings(7) */
        const char *gpu;     /**< address, or NULL when it is about the host or a VM */
        const char *culprit; /**< what is in the way: an address, a process, a VM; or NULL */
        const char *text;    /**< one sentence */
        const char *fix;     /**< what to type or set, or NULL */
};

int vfioctl_findings_new(struct vfioctl_findings **ret);
struct vfioctl_findings *vfioctl_findings_free(struct vfioctl_findings *findings);
/** Adds a copy; an equal one is not added twice. Since 0.1. */
int vfioctl_findings_add(struct vfioctl_findings *findings, const struct vfioctl_finding *finding);
size_t vfioctl_findings_count(const struct vfioctl_findings *findings);
const struct vfioctl_finding *vfioctl_findings_get(const struct vfioctl_findings *findings, size_t index);
bool vfioctl_findings_have_refusal(const struct vfioctl_findings *findings);

/* ---- intent, check, plan ------------------------------------------------------------------------- */

/**
 * Judges one GPU, or all when `gpu` is NULL, as they are now. `vms` may be NULL: then nothing is said of
 * assignments. Pure. Since 0.1.
 */
int vfioctl_check(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                  const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings);

/**
 * Judges the configuration: what vfioctl_ctx_config_findings() has, and what makes no sense on this host (a
 * snapshot of this context, with nothing left out): selectors that match nothing, displays. Since 0.1.
 */
int vfioctl_check_config(const struct vfioctl_ctx *ctx, const struct vfioctl_snapshot *snapshot,
                         struct vfioctl_findings *findings);

/** True when nothing but present use stands between this GPU and a VM. Pure. Since 0.1. */
bool vfioctl_gpu_is_ready(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu);

/**
 * True when something is to be written for the GPU to be in `mode`, and to stay there; false for NONE. Pure.
 * Since 0.1.
 */
bool vfioctl_gpu_needs_change(const struct vfioctl_gpu *gpu, enum vfioctl_mode mode);

int vfioctl_intent_new(struct vfioctl_intent **ret);
struct vfioctl_intent *vfioctl_intent_free(struct vfioctl_intent *intent);
/** Wants this GPU in `mode` (VM or HOST). -EEXIST when it is already in the intent. Since 0.1. */
int vfioctl_intent_set_mode(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu,
                            enum vfioctl_mode mode);
/** Wants GPU `gpu` in VM `vm`'s definition, and in mode vm. -EEXIST as above. Since 0.1. */
int vfioctl_intent_assign(struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu, const char *vm);
/** Wants VM `vm`'s definition replaced (an unassign); nothing changes in any GPU's mode. Since 0.1. */
int vfioctl_intent_define(struct vfioctl_intent *intent, const char *vm);

/** The VM that is to get this GPU, or NULL. Since 0.1. */
const char *vfioctl_intent_vm(const struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu);

/** One VM's wish for GPUs, for vfioctl_choose(). Since 0.1. */
struct vfioctl_request {
        const char *vm;     /**< its name */
        unsigned int count; /**< how many GPUs it is to get in addition */
        int numa_node;      /**< the node its memory or cores are bound to, or -1 */
};

/**
 * Picks GPUs: ready and free ones, on the VM's node, by `placement`. All or nothing: `ret_gpus` must have
 * room for the sum of all counts, and is filled request by request. When there are not enough, -EBUSY
 * and one refusal for every GPU of the host that says why not. Pure. Since 0.1.
 */
int vfioctl_choose(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                   enum vfioctl_placement placement, const struct vfioctl_request *requests,
                   size_t n_requests, struct vfioctl_findings *findings, const struct vfioctl_gpu **ret_gpus);

/** How vfioctl_plan_new() judges. Since 0.1. */
enum vfioctl_plan_flags {
        VFIOCTL_PLAN_SHARE = 1 << 0, /**< a GPU that another definition names is taken all the same */
        /** Nothing is bound: functions without a driver get the override, so that none but vfio-pci takes
           them. */
        VFIOCTL_PLAN_AIM = 1 << 1,
};

/**
 * Judges the intent and orders the steps. Takes no context, so it can do no I/O. Refusals are findings
 * of the plan, and a plan with a refusal has no steps. `vms` may be NULL. Since 0.1.
 */
int vfioctl_plan_new(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                     const struct vfioctl_intent *intent, unsigned int flags, struct vfioctl_plan **ret);
struct vfioctl_plan *vfioctl_plan_free(struct vfioctl_plan *plan);
const struct vfioctl_findings *vfioctl_plan_findings(const struct vfioctl_plan *plan);
size_t vfioctl_plan_step_count(const struct vfioctl_plan *plan);
const struct vfioctl_step *vfioctl_plan_step(const struct vfioctl_plan *plan, size_t index);

/** What the step does, in one line: "write vfio-pci to /sys/...". Since 0.1. */
const char *vfioctl_step_text(const struct vfioctl_step *step);
/** The GPU's address, or NULL for a step on a VM's definition or on the host. Since 0.1. */
const char *vfioctl_step_gpu(const struct vfioctl_step *step);
/** The attribute that is written, from /, or NULL when the step writes none. Since 0.1. */
const char *vfioctl_step_attribute(const struct vfioctl_step *step);
/** The value that is written, or NULL. Since 0.1. */
const char *vfioctl_step_value(const struct vfioctl_step *step);
/** The VM whose definition is replaced, or NULL. Since 0.1. */
const char *vfioctl_step_vm(const struct vfioctl_step *step);
/** Why the step cannot be undone, or NULL when it can. Since 0.1. */
const char *vfioctl_step_irreversible(const struct vfioctl_step *step);

/* ---- apply --------------------------------------------------------------------------------------- */

/** How an apply ended. Since 0.1. */
enum vfioctl_outcome {
        VFIOCTL_DONE,            /**< every step was done and read back */
        VFIOCTL_ROLLED_BACK,     /**< a step failed; what had been done is undone */
        VFIOCTL_NOT_ROLLED_BACK, /**< a step failed and so did its undoing */
        VFIOCTL_STUCK,           /**< a step did not end by its deadline; the GPU is recorded as stuck */
};

/** What the caller lends to an apply; any member may be NULL. Since 0.1. */
struct vfioctl_apply_ops {
        void *userdata;
        /** Called before each step; `index` counts from 0. */
        void (*progress)(void *userdata, const struct vfioctl_step *step, size_t index, size_t count);
        /** Replaces the VM's definition, or puts the old one back when `undo`. 0 or a negative errno. */
        int (*define)(void *userdata, const char *vm, bool undo, char **ret_error);
};

/**
 * Carries out a plan that has no refusal. Failures of steps are no error of the call: read `ret_outcome`,
 * and one finding for each thing that went wrong or is left. The GPUs are locked while their modes change,
 * never while `define` runs. Errors, with nothing done: -EAGAIN when another vfioctl changed one of the GPUs
 * meanwhile (take a new snapshot, and plan again), -EBUSY when it does not let go of them, -EINVAL for a plan
 * with refusals, -EPERM when a live host is to be changed by somebody other than root, -ENOMEM. Since 0.1.
 */
int vfioctl_apply(struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan,
                  const struct vfioctl_apply_ops *ops, struct vfioctl_findings *findings,
                  enum vfioctl_outcome *ret_outcome);

/**
 * Tries whether the vfio groups that the plan would unbind are open, and adds a refusal "in-use" for each
 * that is: a process can hold a GPU by a descriptor that names no node. Writes nothing. Since 0.1.
 */
int vfioctl_probe_busy(struct vfioctl_ctx *ctx, const struct vfioctl_plan *plan,
                       struct vfioctl_findings *findings);

/* ---- locks --------------------------------------------------------------------------------------- */

/**
 * Takes the admin lock (assign, unassign: it may span calls of libvirt), waiting at most the configured
 * time. Errors: -EBUSY when another holds it that long. Freed by the process's end too. Since 0.1.
 */
int vfioctl_lock_admin(struct vfioctl_ctx *ctx, struct vfioctl_lock **ret);
struct vfioctl_lock *vfioctl_lock_free(struct vfioctl_lock *lock);

#ifdef __cplusplus
}
#endif

#include "libvfioctl-capture.h"
#include "libvfioctl-hardware.h"
#include "libvfioctl-placement.h"
#include "libvfioctl-runtime.h"

#endif
