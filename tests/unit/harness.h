/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TEST_HARNESS_H
#define VFIOCTL_TEST_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host.h"
#include "model.h"

DEFINE_CLEANUP(struct vfioctl_plan, vfioctl_plan_free)
DEFINE_CLEANUP(struct vfioctl_snapshot, vfioctl_snapshot_free)
DEFINE_CLEANUP(struct vfioctl_intent, vfioctl_intent_free)
DEFINE_CLEANUP(struct vfioctl_vms, vfioctl_vms_free)
#define _cleanup_plan_     _cleanup_(vfioctl_plan_freep)
#define _cleanup_snapshot_ _cleanup_(vfioctl_snapshot_freep)
#define _cleanup_intent_   _cleanup_(vfioctl_intent_freep)
#define _cleanup_vms_      _cleanup_(vfioctl_vms_freep)

/* ---- temporary roots: what a test needs of a host, made in C ---- */

/* A new empty folder; the caller's to root_free(). */
char *root_new(void);
void root_free(char *root);
/* Each makes the folders that are missing; `path` starts with "/". Failures fail the test. */
void root_mkdir(const char *root, const char *path);
void root_put(const char *root, const char *path, const char *format, ...) _printf_(3, 4);
void root_bytes(const char *root, const char *path, const void *data, size_t size);
void root_link(const char *root, const char *path, const char *target);
void root_fifo(const char *root, const char *path);
void root_unlink(const char *root, const char *path);
/* The file's text, the caller's to free; NULL when there is none. */
char *root_get(const char *root, const char *path);
/* A context with short deadlines. */
struct vfioctl_ctx *root_ctx(const char *root);
/* A root made by tests/hosts/mkhost from NAME.json; `options` end with NULL, or NULL for none. */
char *root_from_host(const char *name, const char *const *options);

/* One PCI function of a made root. Unset members are left out of the tree. */
struct root_function {
        const char *address;
        const char *above; /* "pci0000:00/0000:00:02.0": where it hangs */
        unsigned int vendor, device, class;
        const char *driver;
        int group;     /* 0: none */
        int numa_node; /* as written */
        int type;      /* of the PCI Express capability; -1: conventional */
        bool multifunction;
        int acs_cap, acs_ctl; /* acs_cap 0: no capability */
};
void root_add(const char *root, const struct root_function *function);

/* Configuration space with these in it. */
#define CONFIG_MAX 4096
void config_make(const struct root_function *function, uint8_t bytes[CONFIG_MAX]);

/*
 * A child that was content ends by SIGKILL: so valgrind gives no account of what belongs to its parent, and a
 * child that crashed is told apart.
 */
_Noreturn void child_content(void);
#define assert_child_content(pid)                                                                            \
        do {                                                                                                 \
                int child_status;                                                                            \
                assert_int_equal(waitpid((pid), &child_status, 0), (pid));                                   \
                if (!WIFSIGNALED(child_status) || WTERMSIG(child_status) != SIGKILL)                         \
                        fail_msg("the child ended with status %#x", (unsigned int)child_status);             \
        } while (0)

/* valgrind 3.19 knows no pidfd_open(2), has descriptors of its own, and is what its processes are called. */
bool in_valgrind(void);

/* ---- lines that the library logs ---- */

struct lines {
        char *text; /* all lines, each with a newline; "" for none */
        size_t count;
};
void lines_log(void *userdata, enum vfioctl_log_level level, const char *line);
void lines_clear(struct lines *lines);

/* ---- snapshots without a host, for what is pure ---- */

struct fixture {
        struct vfioctl_snapshot snapshot;
        struct vfioctl_function functions[64], *function_list[64], *members[32][16];
        struct vfioctl_group groups[32], *group_list[32];
        struct vfioctl_gpu gpus[24], *gpu_list[24];
        struct vfioctl_function *gpu_functions[24][8], *paths[24][8];
        struct vfioctl_holder holders[24][4];
};

void fixture_init(struct fixture *fixture);
/* Texts are borrowed. Group -1: none. */
struct vfioctl_function *fixture_function(struct fixture *fixture, const char *address, int group,
                                          const char *driver);
struct vfioctl_gpu *fixture_gpu(struct fixture *fixture, const char *name, const char *address,
                                unsigned int card, int node, int group, const char *driver);
struct vfioctl_function *fixture_companion(struct fixture *fixture, struct vfioctl_gpu *gpu,
                                           const char *address, int group, const char *driver);
void fixture_holder(struct fixture *fixture, struct vfioctl_gpu *gpu, int pid, const char *command,
                    const char *unit, const char *node);
struct vfioctl_function *fixture_port(struct fixture *fixture, struct vfioctl_gpu *gpu, const char *address,
                                      enum vfioctl_pcie_type type, bool has_acs);

/* A VM that names these functions. */
void vms_add(struct vfioctl_vms *vms, const char *name, bool running, const char *address);

/* The first finding of this code (and about this GPU, unless NULL), or NULL. */
const struct vfioctl_finding *finding_by(const struct vfioctl_findings *findings, const char *code,
                                         const char *gpu);
/* Every text of it, for messages and comparisons; the caller's to free. */
char *findings_dump(const struct vfioctl_findings *findings);
char *plan_dump(const struct vfioctl_plan *plan);
char *snapshot_dump(const struct vfioctl_snapshot *snapshot);

#define assert_contains(text, part)                                                                          \
        do {                                                                                                 \
                if (!strstr((text), (part)))                                                                 \
                        fail_msg("'%s' is not in '%s'", (part), (text));                                     \
        } while (0)
#define assert_lacks(text, part)                                                                             \
        do {                                                                                                 \
                if (strstr((text), (part)))                                                                  \
                        fail_msg("'%s' is in '%s'", (part), (text));                                         \
        } while (0)

#endif
