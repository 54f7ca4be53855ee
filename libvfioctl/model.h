/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_MODEL_H
#define VFIOCTL_MODEL_H

/* What a snapshot, an intent and a plan are made of. No I/O: the pure files see this and no more. */

#include "cpuset.h"
#include "finding.h"
#include "libvfioctl-placement.h"
#include "libvfioctl.h"
#include "util.h"

#define VFIO_DRIVER "vfio-pci"

/* Access Control Services, PCIe Base Specification 6.0, 7.7.11: capability and control bits. */
enum acs_bits {
        ACS_SV = 1 << 0, /* source validation */
        ACS_TB = 1 << 1, /* translation blocking */
        ACS_RR = 1 << 2, /* P2P request redirect */
        ACS_CR = 1 << 3, /* P2P completion redirect */
        ACS_UF = 1 << 4, /* upstream forwarding */
        ACS_ISOLATES = ACS_SV | ACS_RR | ACS_CR | ACS_UF,
};

enum setting_state {
        SETTING_UNKNOWN,
        SETTING_OFF,
        SETTING_ON,
};

/*
 * What a function's settings were before GPUs in mode vm needed others, and which GPUs those are. A setting
 * that was right already, or that is the driver's affair, is not in it.
 */
struct hold {
        char *text;    /* as it stands in /run; NULL: nothing is held */
        char *control; /* power/control, or NULL */
        char *d3cold;  /* d3cold_allowed, or NULL */
        char *reset;   /* reset_method, or NULL */
        char **users;  /* addresses of GPUs */
        size_t n_users, allocated_users;
};

/* The keys of a file in data/cards: vfioctl-cards(5). */
enum card_key {
        CARD_MATCH_VENDOR,
        CARD_MATCH_DEVICE,
        CARD_MATCH_SUBSYSTEM_VENDOR,
        CARD_MATCH_SUBSYSTEM_DEVICE,
        CARD_MATCH_CLASS,
        CARD_NAME, /* the first that is no match */
        CARD_DIES,
        CARD_COMPANIONS,
        CARD_RESET,
        CARD_RESET_LIES,
        CARD_VENDOR_RESET,
        CARD_POWER,
        CARD_VFS,
        CARD_GUEST,
        CARD_GUEST_DRIVER,
        CARD_WINDOWS_DRIVER,
        CARD_ENCODER,
        CARD_ENCODER_UNIT,
        CARD_HAND_OUT,
        CARD_DOCS,
        CARD_KEY_COUNT,
};

/* What one file says, each value checked. */
struct card_knowledge {
        char *file;
        char *values[CARD_KEY_COUNT]; /* NULL: not said */
};

struct vfioctl_function {
        struct vfioctl_address address;
        char text[VFIOCTL_ADDRESS_SIZE];
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        uint32_t class;
        uint8_t revision;
        bool is_bridge;
        bool is_multifunction;
        bool is_virtual; /* an SR-IOV virtual function */
        bool is_boot_vga;
        bool is_console; /* its framebuffer carries the VT console */
        bool is_stuck;
        bool is_silent; /* its configuration space reads all ones: it does not answer */
        bool has_ids;
        bool has_gpu_detail;
        bool has_detail;
        bool has_change;
        bool has_acs;
        bool acs_known;
        uint8_t secondary_bus, subordinate_bus; /* of a bridge; 0 when not known */
        uint16_t acs_cap, acs_ctl;
        uint64_t serial; /* PCIe device serial number, or 0 */
        enum vfioctl_pcie_type pcie_type;
        char *driver;
        char *driver_override;
        bool driver_override_known;
        int group;
        int numa_node;
        char *reset_method;
        char *power_state;
        char *power_control;       /* power/control: "on" or "auto"; NULL: not known */
        enum setting_state d3cold; /* d3cold_allowed */
        struct hold hold;          /* what a change of mode noted of it */
        char *modalias;
        char *name;
        char *host_driver; /* the driver it had before it went to mode vm, as recorded; NULL: not known or not
                              loaded */
        char *host_use;    /* what the host does with it: "carries / (sda2)", or NULL */
        unsigned int vfs_enabled, vfs_total;
        struct vfioctl_bar bars[VFIOCTL_BAR_COUNT];
        uint32_t bar_registers[6]; /* as configuration space has them; 0: not known, or of a bridge */
        uint8_t bars_unset;        /* bit a BAR: it is there, and has no address */
        char *framebuffer; /* what of the firmware's lies in a BAR, as /proc/iomem names it, or NULL */
        struct vfioctl_link link;
        struct vfioctl_gpu *gpu; /* that owns it, or NULL; borrowed */
};

struct vfioctl_group {
        int number;
        struct vfioctl_function **members; /* borrowed */
        size_t n_members;
};

struct vfioctl_holder {
        int pid;
        char *command;
        char *unit;
        char *node;
};

/* A VM that is starting or running with a GPU, as /run tells. */
struct claim {
        char *text; /* as it stands there; NULL: no claim */
        char *uuid;
        char *name;
        bool is_live; /* the daemon that will tell of the VM's end is there */
};

/* How cards like a GPU did on a kernel when they were tried. */
struct proof {
        char *kernel;
        bool passed;
        char *reason; /* of a failure, or NULL */
};

/* How programs of the host reach a GPU; NULL: not at all so, or not known. */
struct reach {
        char *render; /* its render node, by the kernel's name */
        char *uuid;   /* as ROCm or CUDA call it: "GPU-..." */
        char *nvidia; /* the node of NVIDIA's own driver */
};

struct vfioctl_gpu {
        char *name;
        bool has_short_name;
        bool on_board; /* a board's own display: conventional PCI, in no slot */
        bool is_deep;  /* more was read than its place */
        char *identity;
        char *card;
        char *slot;
        char *alias;            /* from the configuration, or NULL */
        bool is_ours;           /* by the configuration */
        enum vfioctl_mode idle; /* where it rests when no VM has it; NONE: not ours */
        struct reach reach;
        const struct card_knowledge *knowledge; /* borrowed; NULL: nothing is known of such a card */
        unsigned int card_index;
        char card_address[VFIOCTL_ADDRESS_SIZE]; /* of the card's uppermost function */
        bool is_stuck;
        enum vfioctl_mode half_done; /* a change to this mode was begun and not ended; NONE: no such */
        struct claim claim;
        bool holders_known;
        struct vfioctl_function **functions; /* borrowed; the GPU itself first */
        size_t n_functions;
        struct vfioctl_function **path; /* borrowed */
        size_t n_path;
        struct vfioctl_function **scope; /* borrowed: what its reset also resets, and is none of its own */
        size_t n_scope;
        bool reset_is_stale;         /* the list has `bus`, and it cannot work */
        char *reset_used;            /* the method that a reset takes, or NULL */
        struct vfioctl_group *group; /* borrowed, or NULL */
        struct proof *proofs;        /* by kernel, in no order */
        size_t n_proofs;
        const struct proof *proof; /* that of the kernel that runs, or NULL; borrowed */
        struct vfioctl_holder *holders;
        size_t n_holders;
};

/* What may not be there to be seen. */
enum fact {
        FACT_UNKNOWN,
        FACT_NO,
        FACT_YES,
};

enum iommu_kind {
        IOMMU_OTHER, /* or not known */
        IOMMU_INTEL,
        IOMMU_AMD,
};

enum module_state {
        MODULE_UNKNOWN,
        MODULE_MISSING,
        MODULE_LOADABLE,
        MODULE_BUILTIN,
};

/* Settings of others that want GPUs as well, or keep us from taking them. */
enum rival_kind {
        RIVAL_IDS,       /* modprobe.d: IDs that vfio-pci takes; value: the IDs */
        RIVAL_BLACKLIST, /* modprobe.d: vfio-pci is not to be loaded */
        RIVAL_SOFTDEP,   /* modprobe.d: loaded before vfio-pci; value: module */
        RIVAL_UNSAFE,    /* modprobe.d: vfio is to do without interrupt remapping */
        RIVAL_DRIVERCTL, /* value: address and driver */
        RIVAL_PROXMOX,   /* value: address, or one without function for a whole slot */
        RIVAL_HOOK,      /* of libvirt's; value: the word by which it can be told */
};

struct rival {
        enum rival_kind kind;
        char *path;
        char *value; /* or NULL */
};

/* Huge pages of one size. */
struct page_pool {
        uint64_t size; /* KiB */
        uint64_t count, free;
};
#define PAGE_POOLS_MAX 8

/* Where vendor-reset is. */
struct vendor_reset {
        bool is_known; /* it was looked for */
        bool is_loaded;
        bool in_kernel, in_next_kernel; /* installed for them */
};

/* The host around the GPUs, as far as it matters to them. */
struct host_facts {
        char *kernel;              /* that runs */
        char *next_kernel;         /* installed and newer, or NULL */
        char *cmdline;             /* of the kernel that runs, or NULL */
        enum iommu_kind iommu;     /* by the firmware's table, or else by the processor */
        enum fact has_iommu_table; /* the firmware tells of an IOMMU */
        enum fact remaps_interrupts;
        enum fact allows_unsafe_interrupts;
        enum module_state vfio, next_vfio; /* vfio-pci, of the kernel that runs and of the next */
        unsigned int n_nodes;              /* NUMA nodes; 0: not known */
        struct page_pool pools[PAGE_POOLS_MAX];
        size_t n_pools;
        uint64_t default_page; /* KiB; 0: not known */
        enum fact has_ovmf;
        bool selinux_enforces;
        bool libvirt_is_confined;  /* AppArmor enforces a profile for its daemon */
        char *hook_target;         /* where our hook leads, or NULL: no hook */
        const char *initramfs_fix; /* what to type to make it anew, or NULL */
        struct vendor_reset vendor_reset;
        struct rival *rivals;
        size_t n_rivals, allocated_rivals;
        bool rivals_unseen; /* some of the places are closed to us */
};

struct board_node {
        int number;
        int package; /* physical_package_id of its processors, or -1 */
};

/* What carries it all. */
struct board {
        char *host;               /* as uname -n has it, or NULL */
        char *name;               /* as the firmware has it, or NULL */
        struct board_node *nodes; /* by number */
        size_t n_nodes;
};

#define CORE_THREADS_MAX 8 /* of one core */

/* A core that is online: its processors share what it has. */
struct cpu_core {
        size_t node; /* index in resources.nodes */
        unsigned int cpus[CORE_THREADS_MAX];
        unsigned int n_cpus;
        bool is_small;    /* of a hybrid processor: one of those that save power */
        bool is_isolated; /* the scheduler leaves it alone: isolcpus= */
};

/* A NUMA node. */
struct node_resources {
        int number;
        uint64_t memory;     /* KiB, pools of huge pages and all */
        unsigned int n_cpus; /* online */
        struct page_pool pools[PAGE_POOLS_MAX];
        size_t n_pools;
};

/* Processors and memory, for VMs that are to be placed. */
struct resources {
        struct node_resources *nodes; /* by number */
        size_t n_nodes, allocated_nodes;
        struct cpu_core *cores; /* by node, and then by their first processor */
        size_t n_cores, allocated_cores;
        bool is_numa;              /* the kernel tells of nodes; else all is node 0 */
        unsigned int address_bits; /* physical, of the processor; 0: not known */
        uint64_t default_page;     /* KiB; 0: not known */
};

struct vfioctl_snapshot {
        unsigned int flags;
        struct resources resources;    /* empty without VFIOCTL_SNAPSHOT_RESOURCES */
        struct board board;            /* empty without VFIOCTL_SNAPSHOT_BOARD */
        struct host_facts facts;       /* empty without VFIOCTL_SNAPSHOT_FACTS */
        struct card_knowledge **cards; /* owned */
        size_t n_cards, allocated_cards;
        bool has_iommu;
        bool iomem_unseen;                   /* /proc/iomem has no addresses for us */
        bool has_run;                        /* something was recorded since the host booted */
        bool has_holds;                      /* settings of some function are noted */
        bool has_vfio_driver;                /* vfio-pci is loaded */
        bool has_kfd;                        /* amdgpu has its part for ROCm */
        struct vfioctl_function **functions; /* owned, ordered by address */
        size_t n_functions, allocated_functions;
        struct vfioctl_group **groups; /* owned */
        size_t n_groups, allocated_groups;
        struct vfioctl_gpu **gpus; /* owned, ordered by identity */
        size_t n_gpus, allocated_gpus;
};

/* ---- small questions, all pure ---- */

static inline unsigned int function_base_class(const struct vfioctl_function *function)
{
        return function->class >> 16;
}

static inline bool function_on_vfio(const struct vfioctl_function *function)
{
        return util_equal(function->driver, VFIO_DRIVER);
}

struct vfioctl_function *snapshot_function(const struct vfioctl_snapshot *snapshot,
                                           const struct vfioctl_address *address);

/* Digits and letters, as a short name has them. */
bool looks_like_name(const char *text);

bool function_is_below(const struct vfioctl_function *function, const struct vfioctl_function *port);

/* Which of ACS_ISOLATES the function lacks, judged as the kernel does: pci_acs_enabled(). 0: it isolates. */
unsigned int function_missing_acs(const struct vfioctl_function *function, bool iommu_on);
bool function_lacks_acs(const struct vfioctl_function *function, bool iommu_on);
#define ACS_TEXT_SIZE 16
/* "SV RR CR UF"; returns `buffer`. */
const char *acs_text(unsigned int bits, char buffer[ACS_TEXT_SIZE]);

/* What the file of its card says for a key, or NULL. */
const char *gpu_known(const struct vfioctl_gpu *gpu, enum card_key key);
/* Whether a list of words has this one. */
bool words_have(const char *words, const char *word, size_t length);

/* ---- settings that mode vm needs otherwise (power.c) ---- */

void hold_clear(struct hold *hold);
/* Reads function->hold.text into the rest of it. What another device left at this address does not count. */
int hold_parse(struct vfioctl_function *function);
/* NULL when there is nothing to note. */
int hold_format(const struct hold *hold, const struct vfioctl_function *function, char **ret);
bool hold_has_user(const struct hold *hold, const char *gpu);
int hold_add_user(struct hold *hold, const char *gpu);
void hold_drop_user(struct hold *hold, const char *gpu);
/* Some setting is noted. */
bool hold_is_noted(const struct hold *hold);

/* Awake, and never in D3cold, as far as that is known. */
bool power_is_right(const struct vfioctl_function *function);
/* The card's file says that its power is not to be touched. */
bool power_is_left(const struct vfioctl_gpu *gpu);
/* Something of it or above it is not held for it. */
bool power_needs_hold(const struct vfioctl_gpu *gpu);
/* Something is held for it. */
bool power_holds(const struct vfioctl_gpu *gpu);

/* ---- resets (reset.c) ---- */

/* The last bus below the port above it; its own when that is not known. */
unsigned int reset_last_bus(const struct vfioctl_gpu *gpu);
/* Stale lists, methods and scopes of all GPUs that were looked at. */
int reset_find_scopes(struct vfioctl_snapshot *snapshot);
/* Its methods without a stale one; then in the order that its card needs, without those that lie. */
int reset_true_list(const struct vfioctl_gpu *gpu, char **ret);
int reset_wanted_list(const struct vfioctl_gpu *gpu, char **ret);
/* Whether a change to mode vm has to write reset_method. */
int reset_needs_choice(const struct vfioctl_gpu *gpu, bool *ret);

/* ---- intent ---- */

struct intent_item {
        const struct vfioctl_gpu *gpu; /* NULL for a bare definition */
        enum vfioctl_mode mode;
        char *vm;    /* NULL for a bare change of mode */
        char *claim; /* text of the claim that is to be made, or NULL */
        char *uuid;  /* of the VM that claims, or whose claim is to be dropped; NULL: no claim is touched */
        bool resets; /* the GPU is to be reset */
};

struct vfioctl_intent {
        struct intent_item *items;
        size_t count, allocated;
};

/* ---- plan ---- */

enum step_kind {
        STEP_LOAD,   /* load a kernel module by name or modalias */
        STEP_WRITE,  /* write an attribute */
        STEP_CLAIM,  /* write or drop a VM's claim on a GPU */
        STEP_NOTE,   /* write or drop the note of a function's settings */
        STEP_DEFINE, /* replace a VM's definition */
};

enum wait_kind {
        WAIT_NONE,
        WAIT_DRIVER,     /* the function's driver link reads `wait_value` */
        WAIT_NO_DRIVER,  /* the function has no driver */
        WAIT_ANY_DRIVER, /* the function has a driver other than vfio-pci, or none takes it */
        WAIT_OVERRIDE,   /* driver_override reads `wait_value`, NULL: none */
        WAIT_GROUP_NODE, /* WAIT_DRIVER, and the vfio node of the group is there */
        WAIT_VALUE,      /* `attribute` reads `value` */
        WAIT_ALIVE,      /* the function answers: its configuration space is not all ones */
};

struct wait {
        enum wait_kind kind;
        char *value;
        char *attribute; /* from /; WAIT_VALUE */
};

struct write {
        char *attribute; /* from / */
        char *value;     /* without newline; "" clears */
        struct wait wait;
};

#define STEP_UNDO_MAX 4

struct vfioctl_step {
        enum step_kind kind;
        const char *gpu; /* address text, borrowed from `function` or NULL */
        char gpu_text[VFIOCTL_ADDRESS_SIZE];
        char function[VFIOCTL_ADDRESS_SIZE]; /* the function that is acted on */
        bool is_shared;                      /* that is a bridge: other GPUs are below it too */
        int group;
        char *text;
        char *module; /* STEP_LOAD */
        bool module_optional;
        struct write write; /* STEP_WRITE */
        char *record;       /* STEP_CLAIM, STEP_NOTE: its text; NULL: none */
        bool has_expected;
        char *expected; /* STEP_WRITE to driver_override, STEP_CLAIM, STEP_NOTE: what was there before; NULL:
                           none */
        bool expects_driver;
        char *expected_driver; /* the driver before; NULL: none */
        char *vm;              /* STEP_DEFINE */
        struct write undo[STEP_UNDO_MAX];
        size_t n_undo;
        const char *irreversible;
};

struct planned_gpu {
        char address[VFIOCTL_ADDRESS_SIZE];
        enum vfioctl_mode mode; /* that it goes to; NONE: it stays */
        bool is_bridge;         /* no GPU: locked only while something is done to it */
};

/* A function of a GPU that changes mode, as the snapshot had it. */
struct seen {
        char function[VFIOCTL_ADDRESS_SIZE];
        char *driver;  /* NULL: none */
        char *control; /* power/control; NULL: not known */
        bool is_gpu;   /* the GPU's own, not a companion */
        char *claim;   /* on that GPU; NULL: none */
};

/* A function's settings and note as they will be after the steps so far. */
struct planned_hold {
        const struct vfioctl_function *function;
        struct hold hold;
        bool is_awake; /* power/control is "on" */
        bool wakes;    /* once it is bound */
        enum setting_state d3cold;
};

struct vfioctl_plan {
        struct vfioctl_findings *findings;
        struct vfioctl_step **steps;
        size_t n_steps, allocated;
        struct planned_gpu *gpus; /* all that change mode or are claimed, by address, for the locks */
        size_t n_gpus, allocated_gpus;
        struct seen *seen;
        size_t n_seen, allocated_seen;
        struct planned_hold *holds;
        size_t n_holds, allocated_holds;
};

/* What stands in the file of a claim. -EINVAL when name or UUID is no line. */
int claim_format(const struct vfioctl_claim *claim, char **ret);

/* The VM has some GPU of this host. */
bool vms_has_some_gpu(const struct vfioctl_vms *vms, size_t index, const struct vfioctl_snapshot *snapshot);

/* The same GPU in the same place; a serial number counts only where both have one. */
bool identity_matches(const char *a, const char *b);

/* What the plan would change, for the questions below. */
const struct intent_item *intent_find(const struct vfioctl_intent *intent, const struct vfioctl_gpu *gpu);

/*
 * The hardware's limits and the host's needs: refusals that no present use explains. Other GPUs of the group
 * count as going along when the intent takes them to mode vm.
 */
int check_hardware(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                   const struct vfioctl_intent *intent, struct vfioctl_findings *findings);

/* How cards like it did on this kernel, or NULL. */
struct proof *gpu_proof_on(const struct vfioctl_gpu *gpu, const char *kernel);

/* True when neither the hardware nor the host's needs stand against it. */
int gpu_can_be_handed_out(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu, bool *ret);

/* Processes that hold it, as findings of this severity. */
int check_holders(const struct vfioctl_gpu *gpu, enum vfioctl_severity severity,
                  struct vfioctl_findings *findings);

/* The VM other than `uuid` (NULL: any) that is starting or running with it, as a finding of this severity. */
int check_claimed(const struct vfioctl_gpu *gpu, const char *uuid, enum vfioctl_severity severity,
                  struct vfioctl_findings *findings);

/* VMs other than `vm` (NULL: any) that name it, as findings of this severity. */
int check_assigned(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms, const char *vm,
                   enum vfioctl_severity severity, struct vfioctl_findings *findings);

/* Everything that stands against an intent. */
int check_intent(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                 const struct vfioctl_intent *intent, unsigned int flags, struct vfioctl_findings *findings);

/* True when all functions are where `mode` wants them. */
bool gpu_is_in_mode(const struct vfioctl_gpu *gpu, enum vfioctl_mode mode);

#endif
