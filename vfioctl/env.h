/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CLI_ENV_H
#define VFIOCTL_CLI_ENV_H

#include "cli.h"

/* What a service of the host needs to see some GPUs of the host and no others. */

enum env_kind {
        ENV_ROCM,   /* amdgpu, where there is /dev/kfd: that, and a render node */
        ENV_CUDA,   /* NVIDIA's own driver */
        ENV_RENDER, /* a render node alone: nouveau, radeon, i915, xe, amdgpu without ROCm */
};

struct env_gpu {
        const struct vfioctl_gpu *gpu;
        enum env_kind kind;
        bool is_chosen;
        unsigned int index; /* ENV_CUDA: its number where CUDA counts by bus */
        char *by_path;      /* its render node by udev's name, or NULL */
};

struct env_variable {
        const char *name;
        char *value;
        bool is_for_containers; /* also where no other GPU is there to be seen */
};

#define ENV_VARIABLES_MAX 8

struct env {
        struct env_gpu *gpus; /* all that the host could use, in the order of the list */
        size_t n_gpus, allocated_gpus;
        size_t n_chosen;
        struct env_variable variables[ENV_VARIABLES_MAX];
        size_t n_variables;
        char **notes; /* a line each */
        size_t n_notes, allocated_notes;
};

/* Chooses, and complains; an exit code. `env` is the caller's to clear whatever comes of it. */
int env_choose(struct cli *cli, const struct vfioctl_snapshot *snapshot, struct env *env);
/* The variables, and what is to be said of them. 0 or -ENOMEM. */
int env_compose(struct env *env);
bool env_has(const struct env *env, enum env_kind kind);
void env_clear(struct env *env);

#endif
