/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CLI_H
#define VFIOCTL_CLI_H

#include <limits.h>

#include <libvfioctl.h>

#include "util.h"

/* What reports look at. Named one by one: what a snapshot learns to look at later costs them nothing. */
#define LIST_SNAPSHOT                                                                                        \
        (VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_NAMES | VFIOCTL_SNAPSHOT_HOST | VFIOCTL_SNAPSHOT_DETAILS)
#define REPORT_SNAPSHOT                                                                                      \
        (LIST_SNAPSHOT | VFIOCTL_SNAPSHOT_PATHS | VFIOCTL_SNAPSHOT_CHANGE | VFIOCTL_SNAPSHOT_BOARD)

/* Exit codes: docs in vfioctl(1). */
enum exit_code {
        CODE_DONE = 0,
        CODE_FAILED = 1,
        CODE_USAGE = 2,
        CODE_REFUSED = 3,
        CODE_STUCK = 4,
};

/* Options that a verb can take besides the global ones. */
enum verb_option {
        OPTION_COLUMNS = 1 << 0,
        OPTION_NOHEADINGS = 1 << 1,
        OPTION_JSON = 1 << 2,
        OPTION_DRY_RUN = 1 << 3,
        OPTION_GPU = 1 << 4,
        OPTION_COUNT = 1 << 5,
        OPTION_SHARE = 1 << 6,
        OPTION_EARLY = 1 << 7,
        OPTION_CHECK = 1 << 16,
        OPTION_BOOT = 1 << 17,
        OPTION_TIMER = 1 << 18,
        OPTION_CRON = 1 << 19,
        OPTION_NO_INITRAMFS = 1 << 20,
        OPTION_ANY_CONFIG = 1 << 21, /* no option: runs whatever the configuration is like */
        OPTION_WATCH = 1 << 22,
        OPTION_SERIALS = 1 << 24,
        OPTION_RUNS = 1 << 25,
        OPTION_OWN_CONFIG = 1 << 23, /* no option: reads the configuration by itself */
        OPTION_ALL = 1 << 26,
        OPTION_SVG = 1 << 27,
        OPTION_SIZE = 1 << 8,    /* --vcpus, --memory, --hugepages */
        OPTION_DISPLAY = 1 << 9, /* --display */
        OPTION_NEW = 1 << 10,    /* all that only a VM that is made can be given */
        OPTION_VMS = 1 << 11,    /* --vms */
        OPTION_FORMAT = 1 << 12, /* --format */
        OPTION_GUEST = 1 << 13,  /* --os */
};

/* Options about VMs that are made, placed or tuned: options_vm.c. */
struct vm_options {
        unsigned int vcpus;    /* 0: not given */
        uint64_t memory;       /* KiB; 0: not given */
        const char *hugepages; /* "auto", "no", "2M", "1G"; NULL: not given */
        const char *display;   /* "none", "rescue"; NULL: not given */
        const char *os;        /* "linux", "windows"; NULL: not given */
        const char *template;  /* name or NULL */
        const char *disk;      /* PATH[,size=SIZE] as given, or NULL */
        const char **isos;
        size_t n_isos, allocated_isos;
        const char *network, *bridge;
        const char **evdevs;
        size_t n_evdevs, allocated_evdevs;
        const char *looking_glass;  /* "1920x1080", or NULL */
        const char *usb_controller; /* address, or NULL */
        const char *format;         /* as given, or NULL */
        unsigned int vms;           /* 0: not given */
        bool start;
        bool print;
};

struct options {
        const char *root;
        const char *connect;
        bool json;
        bool quiet;
        bool verbose;
        bool no_headings;
        const char *columns;
        bool all;
        const char *svg;
        bool dry_run;
        const char **gpus;
        size_t n_gpus, allocated_gpus;
        unsigned int count; /* 0: not given */
        bool share;
        bool early;
        bool watch;
        bool check;
        bool boot;
        bool timer;
        bool cron;
        bool no_initramfs;
        bool with_serials;
        unsigned int runs; /* 0: not given */
        struct vm_options vm;
};

/* What every verb gets. */
struct cli {
        const struct verb *verb;
        struct options options;
        struct vfioctl_ctx *ctx;
        char **arguments;
        size_t n_arguments;
        /* {"steps":[...],"findings":[...]} on stdout, an exit code; there with --json only, see report.h. */
        int (*print_plan_json)(const struct vfioctl_plan *plan, const struct vfioctl_findings *more);
};

struct verb {
        const char *name;
        const char *arguments; /* for the usage line */
        const char *summary;
        const char *description;
        unsigned int options; /* enum verb_option */
        size_t min_arguments, max_arguments;
        int (*run)(struct cli *cli); /* returns an exit code; NULL: vfioctl-report.so has it */
        /* Before the configuration is read: true, with an exit code, when that was all. May be NULL. */
        bool (*quick)(struct cli *cli, int *ret_code);
};

DEFINE_CLEANUP(struct vfioctl_findings, vfioctl_findings_free)
DEFINE_CLEANUP(struct vfioctl_snapshot, vfioctl_snapshot_free)
DEFINE_CLEANUP(struct vfioctl_vms, vfioctl_vms_free)
DEFINE_CLEANUP(struct vfioctl_intent, vfioctl_intent_free)
DEFINE_CLEANUP(struct vfioctl_plan, vfioctl_plan_free)
DEFINE_CLEANUP(struct vfioctl_lock, vfioctl_lock_free)
#define _cleanup_findings_ _cleanup_(vfioctl_findings_freep)
#define _cleanup_snapshot_ _cleanup_(vfioctl_snapshot_freep)
#define _cleanup_vms_      _cleanup_(vfioctl_vms_freep)
#define _cleanup_intent_   _cleanup_(vfioctl_intent_freep)
#define _cleanup_plan_     _cleanup_(vfioctl_plan_freep)
#define _cleanup_lock_     _cleanup_(vfioctl_lock_freep)

/* ---- the verbs that the program itself holds; report.h has the others ---- */

int verb_to_vm(struct cli *cli);
int verb_to_host(struct cli *cli);
bool quick_hook(struct cli *cli, int *ret_code);
bool quick_reconcile(struct cli *cli, int *ret_code);
int verb_boot(struct cli *cli);

/* ---- options.c ---- */

/* Reads the command line; returns an exit code, or -1 to go on with cli->verb. */
int options_read(struct cli *cli, const struct verb *verbs, size_t n_verbs, int argc, char **argv);
void options_clear(struct options *options);

/* ---- options_vm.c ---- */

/* KEY_* of options about VMs, which begin here. */
#define KEY_VM_FIRST 512
enum vm_key {
        KEY_VCPUS = KEY_VM_FIRST,
        KEY_MEMORY,
        KEY_HUGEPAGES,
        KEY_DISPLAY,
        KEY_OS,
        KEY_TEMPLATE,
        KEY_DISK,
        KEY_ISO,
        KEY_NETWORK,
        KEY_BRIDGE,
        KEY_EVDEV,
        KEY_LOOKING_GLASS,
        KEY_USB_CONTROLLER,
        KEY_FORMAT,
        KEY_VMS,
        KEY_START,
        KEY_PRINT,
};

/* Complains and returns -EINVAL when the argument is none for this option. */
int options_read_vm(struct vm_options *options, int key, const char *argument);
void options_clear_vm(struct vm_options *options);

/* ---- common.c ---- */

/* Bounds the times that another vfioctl may get in between, and all is looked at again. */
#define TRIES_MAX 5

/* Milliseconds of a clock that never jumps. */
uint64_t clock_ms(void);

/* Adds `finding` with its text made from the format. 0 or -ENOMEM. */
int add_finding(struct vfioctl_findings *findings, struct vfioctl_finding finding, const char *format, ...)
        _printf_(3, 4);
int add_finding_list(struct vfioctl_findings *findings, struct vfioctl_finding finding, const char *format,
                     va_list arguments) _printf_(3, 0);

/* "vfioctl: ..." on stderr. */
void complain(const char *format, ...) _printf_(1, 2);
/* The same for a negative errno, and the exit code for it. */
int complain_errno(int r, const char *what);

/* Makes text from outside safe for a terminal: control characters become '?', long text is cut. */
const char *printable(const char *text, char *buffer, size_t size);

/*
 * Takes a snapshot, of the GPUs alone that the arguments name when `named_only`. On failure complains and
 * returns an exit code, else 0.
 */
int take_snapshot(struct cli *cli, unsigned int flags, bool named_only, struct vfioctl_snapshot **ret);

/* Finds the GPU that `text` names; complains and returns an exit code when there is none. */
int find_gpu(const struct vfioctl_snapshot *snapshot, const char *text, const struct vfioctl_gpu **ret);
/* The same for the verb's arguments (all GPUs when `texts` is empty is not meant here); refuses one named
 * twice. */
int find_gpus(const struct vfioctl_snapshot *snapshot, char *const *texts, size_t count,
              const struct vfioctl_gpu ***ret);

/*
 * Loads a library that belongs to this program: from beside the program, as in the build folder, or else from
 * where it is installed. NULL with the reason in dlerror().
 */
void *load_own(const char *beside, const char *installed);
/* The same for a folder; returns `installed`, or `buffer` with the path of the one beside the program. */
const char *find_own(const char *beside, const char *installed, char buffer[PATH_MAX]);

/* RFC 9562, version 4. 0 or a negative errno. */
#define UUID_SIZE 37
int make_uuid(char uuid[UUID_SIZE]);

/* Exit code for how an apply ended. */
int outcome_code(enum vfioctl_outcome outcome);

/*
 * Applies, showing progress; complains of what went wrong. Returns an exit code, or -EAGAIN when the host
 * changed meanwhile and all is to be looked at again.
 */
int run_plan(struct cli *cli, const struct vfioctl_snapshot *snapshot, const struct vfioctl_plan *plan,
             const struct vfioctl_apply_ops *ops);

/* ---- journal.c ---- */

/* One line to the system's log. Never blocks; a log that is not there or full loses it. */
void journal(struct cli *cli, bool is_error, const char *format, ...) _printf_(3, 4);

/* ---- text.c ---- */

/* The VM as it can be typed: its UUID (which may be NULL) where the name would need quoting. */
const char *typed_vm(const char *name, const char *uuid);
const char *gpu_label(const struct vfioctl_snapshot *snapshot, const char *address);
/* One finding as one line, with the way out; the caller's to free, NULL without memory. */
char *finding_line(const struct vfioctl_snapshot *snapshot, const struct vfioctl_finding *finding);
/* Refusals and warnings on stderr, one line each, with the way out. */
void print_findings(const struct vfioctl_snapshot *snapshot, const struct vfioctl_findings *findings,
                    enum vfioctl_severity least);
/* "16G", "512M", "1.5G": KiB. -EINVAL, -ERANGE. */
int parse_size(const char *text, uint64_t *ret_kib);
/* The steps of a dry run on stdout. */
void print_steps(const struct vfioctl_plan *plan);
#endif
