/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_INSTALLATION_H
#define VFIOCTL_INSTALLATION_H

/*
 * What setup and undo do to a host: changes of files, in order, each of which can be taken back, and programs
 * that have to hear of them. Planned as a whole, printed as it is planned, and carried out whole or not at
 * all.
 */

#include "rootfs.h"

/* The record: one line a file that setup made, "KIND PATH [TARGET]". */
#define RECORD_HEAD "# What vfioctl setup made, for vfioctl undo. One line each.\n"

enum change_kind {
        CHANGE_MAKE,   /* a folder */
        CHANGE_WRITE,  /* a file */
        CHANGE_LINK,   /* a link */
        CHANGE_REMOVE, /* a file or a link */
        CHANGE_EMPTY,  /* a folder, when nothing is in it any more */
};

struct change {
        enum change_kind kind;
        char *path;
        struct entry before, after;
};

enum act_kind {
        ACT_RUN,    /* a program */
        ACT_RELOAD, /* a daemon, which rereads its hooks */
};

struct act {
        enum act_kind kind;
        const char *const *command; /* ends with NULL */
        bool is_vital;              /* when it fails, everything is put back; else `fallback` is told */
        const char *fallback;       /* what to type */
        const char *daemon;
        int pid;
};

#define ACTS_MAX 8

struct installation {
        struct rootfs fs;
        const struct cli *cli;
        char *record;     /* as it was; NULL: none */
        char *record_new; /* as it is to be; NULL: gone */
        struct change *changes;
        size_t n_changes, allocated;
        struct act acts[ACTS_MAX];
        size_t n_acts;
        struct vfioctl_findings *findings;
};

int installation_open(const struct cli *cli, struct installation *ret);
void installation_close(struct installation *installation);
#define _cleanup_installation_ _cleanup_(installation_close)

/* ---- planning: 0 or a negative errno ---- */

/* That a place holds this; the folders above are made, and all of it goes into the record. */
int installation_put(struct installation *installation, const char *path, const struct entry *wanted);
int installation_remove(struct installation *installation, const char *path);
/* The record's own change, when all others are planned: first when it is written, last when it goes. */
int installation_finish(struct installation *installation);

/* True when the record has the line "KIND PATH...". */
bool installation_recorded(const struct installation *installation, const char *kind, const char *path);
/* True when it has the link with this target. */
bool installation_recorded_link(const struct installation *installation, const char *path,
                                const char *target);
/* Adds that line. */
int installation_note(struct installation *installation, const char *kind, const char *path,
                      const char *more);
/* The folders that the record names are to go, when nothing is left in them. */
int installation_remove_folders(struct installation *installation);
/* True when a change is about this place. */
bool installation_changes(const struct installation *installation, const char *path);

/* Vital acts come first: nothing that they could not take back has been done then. */
void installation_run(struct installation *installation, const char *const *command, bool is_vital,
                      const char *fallback);
/* libvirt's daemons, as far as they run. */
void installation_reload(struct installation *installation);
/* The tool that makes initramfs images here with our parts in them, or NULL: its command. */
const char *const *installation_initramfs(const struct installation *installation);

/* ---- files that are ours ---- */

/* What the drop-in with these GPUs is; the caller's to free. */
int config_text(const char *gpus, char **ret);
/* True when setup wrote this, and nobody changed it since. */
bool config_is_ours(const char *text);
const char *cron_text(void);
/* True for the place of that drop-in, below any root. */
bool is_setup_config(const char *file);

/* Where the packages are. */
extern const char installed_program[];
extern const char installed_boot_unit[];
extern const char installed_timer[];

/* ---- showing and doing ---- */

/* The changes on stdout, as text or, with --json, with the findings. Returns an exit code. */
int installation_print(const struct installation *installation);
/*
 * Carries it out. What fails is said; a change of a file and a vital act then have everything put back.
 * Returns an exit code.
 */
int installation_apply(struct installation *installation);

/* ---- program.c ---- */

/* Runs it with nothing on stdin and PATH alone in its environment; *ret_output is what it printed. Its exit
 * status, or a negative errno. */
int program_run(const char *const *command, char **ret_output);
/* The daemon's process, from its PID file, when that is what runs there; 0: none. */
int program_daemon(const struct rootfs *fs, const char *pid_file, const char *name);
int program_reload(const struct rootfs *fs, int pid, const char *name);

#endif
