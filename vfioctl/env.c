/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "env.h"
#include "paths.h"

#include <libvfioctl-hardware.h>

void env_clear(struct env *env)
{
        for (size_t i = 0; i < env->n_gpus; i++)
                free(env->gpus[i].by_path);
        for (size_t i = 0; i < env->n_variables; i++)
                free(env->variables[i].value);
        for (size_t i = 0; i < env->n_notes; i++)
                free(env->notes[i]);
        free(env->gpus);
        free(env->notes);
        memset(env, 0, sizeof(*env));
}

/* Takes the text, NULL without memory. */
static int add_note(struct env *env, char *text)
{
        int r = text ? util_grow(&env->notes, &env->allocated_notes, env->n_notes + 1, sizeof(*env->notes))
                     : -ENOMEM;

        if (r < 0)
                free(text);
        else
                env->notes[env->n_notes++] = text;
        return r;
}

/* ---- which GPUs ---- */

static const char *driver_of(const struct vfioctl_gpu *gpu)
{
        return vfioctl_function_driver(vfioctl_gpu_function(gpu, 0));
}

static enum env_kind kind_of(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu)
{
        if (util_equal(driver_of(gpu), "amdgpu") && vfioctl_snapshot_has_kfd(snapshot))
                return ENV_ROCM;
        return util_equal(driver_of(gpu), "nvidia") ? ENV_CUDA : ENV_RENDER;
}

/* NVIDIA's driver has a render node only with its modeset module; CUDA does without. */
static bool can_be_reached(const struct vfioctl_gpu *gpu)
{
        return vfioctl_gpu_render_node(gpu) || vfioctl_gpu_nvidia_node(gpu);
}

/* Its number where CUDA counts by bus: CUDA_DEVICE_ORDER=PCI_BUS_ID. */
static unsigned int number_by_bus(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu)
{
        struct vfioctl_address address, other;
        unsigned int number = 0;

        if (vfioctl_address_parse(vfioctl_gpu_address(gpu), &address) < 0)
                return 0;
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(snapshot); i++) {
                const struct vfioctl_gpu *each = vfioctl_snapshot_gpu(snapshot, i);
                number += util_equal(driver_of(each), "nvidia") &&
                          vfioctl_address_parse(vfioctl_gpu_address(each), &other) == 0 &&
                          vfioctl_address_compare(&other, &address) < 0;
        }
        return number;
}

/* systemd's 60-drm.rules: dri/by-path/$env{ID_PATH}-render, which of a PCI function is "pci-ADDRESS". */
static int add_gpu(struct env *env, const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu)
{
        struct env_gpu item = {
                .gpu = gpu, .kind = kind_of(snapshot, gpu), .index = number_by_bus(snapshot, gpu)};

        int r = util_grow(&env->gpus, &env->allocated_gpus, env->n_gpus + 1, sizeof(*env->gpus));
        if (r >= 0 && vfioctl_gpu_render_node(gpu))
                r = util_format(&item.by_path, PATH_DEV "/dri/by-path/pci-%s-render",
                                vfioctl_gpu_address(gpu));
        if (r < 0)
                return r;
        env->gpus[env->n_gpus++] = item;
        return 0;
}

static struct env_gpu *find(struct env *env, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < env->n_gpus; i++)
                if (env->gpus[i].gpu == gpu)
                        return &env->gpus[i];
        return NULL;
}

/* Why a GPU in mode host is out of reach; NULL without memory. */
static char *why_not(const struct vfioctl_gpu *gpu)
{
        const char *name = vfioctl_gpu_name(gpu), *address = vfioctl_gpu_address(gpu);
        char *text;
        int r;

        if (vfioctl_gpu_is_stuck(gpu))
                r = util_format(&text, "%s (%s) is stuck in the kernel; vfioctl check %s tells more", name,
                                address, name);
        else
                r = util_format(&text, "%s (%s) has no render node: its driver %s makes none", name, address,
                                driver_of(gpu));
        return r < 0 ? NULL : text;
}

static int look(const struct vfioctl_snapshot *snapshot, struct env *env)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < vfioctl_snapshot_gpu_count(snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(snapshot, i);
                if (vfioctl_gpu_mode(gpu) != VFIOCTL_MODE_HOST)
                        continue;
                if (can_be_reached(gpu))
                        r = add_gpu(env, snapshot, gpu);
                else if (!vfioctl_gpu_is_on_board(gpu))
                        r = add_note(env, why_not(gpu));
        }
        return r;
}

static int refuse(const struct vfioctl_gpu *gpu)
{
        const char *name = vfioctl_gpu_name(gpu), *address = vfioctl_gpu_address(gpu);

        if (vfioctl_gpu_mode(gpu) == VFIOCTL_MODE_VM)
                complain("%s (%s) is in mode vm, where no service of the host can see it; to give it back: "
                         "vfioctl to-host %s",
                         name, address, name);
        else if (vfioctl_gpu_mode(gpu) == VFIOCTL_MODE_NONE)
                complain("%s (%s) has no driver, and so no render node; to bind it: vfioctl to-host %s", name,
                         address, name);
        else {
                _cleanup_free_ char *why = why_not(gpu);
                complain("%s", why ? why : strerror(ENOMEM));
        }
        return CODE_REFUSED;
}

static int choose_named(struct cli *cli, const struct vfioctl_snapshot *snapshot, struct env *env)
{
        _cleanup_free_ const struct vfioctl_gpu **gpus = NULL;

        int code = find_gpus(snapshot, cli->arguments, cli->n_arguments, &gpus);
        for (size_t i = 0; code == 0 && i < cli->n_arguments; i++) {
                struct env_gpu *found = find(env, gpus[i]);
                if (!found)
                        return refuse(gpus[i]);
                found->is_chosen = true;
                env->n_chosen++;
        }
        return code;
}

int env_choose(struct cli *cli, const struct vfioctl_snapshot *snapshot, struct env *env)
{
        int r = look(snapshot, env);
        if (r < 0)
                return complain_errno(r, "cannot look at the GPUs");
        if (cli->n_arguments > 0)
                return choose_named(cli, snapshot, env);
        for (size_t i = 0; i < env->n_gpus; i++)
                env->gpus[i].is_chosen = true;
        env->n_chosen = env->n_gpus;
        if (env->n_chosen > 0)
                return 0;
        complain("no GPU is in mode host with a render node, so there is nothing for a service to see; "
                 "vfioctl "
                 "list shows their modes");
        return CODE_REFUSED;
}

/* ---- what they need ---- */

static size_t count(const struct env *env, enum env_kind kind, bool chosen)
{
        size_t n = 0;

        for (size_t i = 0; i < env->n_gpus; i++)
                n += env->gpus[i].kind == kind && (env->gpus[i].is_chosen || !chosen);
        return n;
}

bool env_has(const struct env *env, enum env_kind kind)
{
        return count(env, kind, true) > 0;
}

/* Takes the value. */
static int set(struct env *env, const char *name, char *value, bool is_for_containers)
{
        if (!value)
                return -ENOMEM;
        env->variables[env->n_variables++] =
                (struct env_variable){.name = name, .value = value, .is_for_containers = is_for_containers};
        return 0;
}

/* What one GPU adds to a list: its UUID, its number, or its node. */
typedef const char *(*word_fn)(const struct env_gpu *gpu, size_t n, char buffer[24]);

static const char *uuid_word(const struct env_gpu *gpu, size_t n, char buffer[24])
{
        (void)n;
        (void)buffer;
        return vfioctl_gpu_uuid(gpu->gpu);
}

static const char *index_word(const struct env_gpu *gpu, size_t n, char buffer[24])
{
        (void)n;
        (void)snprintf(buffer, 24, "%u", gpu->index);
        return buffer;
}

static const char *order_word(const struct env_gpu *gpu, size_t n, char buffer[24])
{
        (void)gpu;
        (void)snprintf(buffer, 24, "%zu", n);
        return buffer;
}

/* NULL when some GPU has no such word, or without memory. */
static char *words_of(const struct env *env, enum env_kind kind, word_fn word)
{
        _cleanup_free_ char *text = NULL;
        size_t n = 0;

        for (size_t i = 0; i < env->n_gpus; i++) {
                char buffer[24], *longer;
                if (env->gpus[i].kind != kind || !env->gpus[i].is_chosen)
                        continue;
                const char *next = word(&env->gpus[i], n++, buffer);
                if (!next || util_format(&longer, "%s%s%s", text ? text : "", text ? "," : "", next) < 0)
                        return NULL;
                free(text);
                text = longer;
        }
        return util_steal(text);
}

static bool all_have_uuid(const struct env *env, enum env_kind kind)
{
        for (size_t i = 0; i < env->n_gpus; i++)
                if (env->gpus[i].kind == kind && env->gpus[i].is_chosen &&
                    !vfioctl_gpu_uuid(env->gpus[i].gpu))
                        return false;
        return true;
}

/* ROCm, "GPU isolation techniques": a UUID stays, a number is the place in the kernel's list of the moment.
 */
static int compose_rocm(struct env *env)
{
        if (!env_has(env, ENV_ROCM))
                return count(env, ENV_ROCM, false) > 0 ? set(env, "ROCR_VISIBLE_DEVICES", strdup("-1"), false)
                                                       : 0;
        if (all_have_uuid(env, ENV_ROCM))
                return set(env, "ROCR_VISIBLE_DEVICES", words_of(env, ENV_ROCM, uuid_word), true);
        if (count(env, ENV_ROCM, false) == count(env, ENV_ROCM, true))
                return 0;
        return add_note(
                env,
                strdup("ROCR_VISIBLE_DEVICES is not set: the driver tells no unique_id for some of them, "
                       "and numbers change; only the device nodes keep others away"));
}

static int compose_cuda(struct env *env)
{
        bool has_rocm = env_has(env, ENV_ROCM);
        int r;

        if (count(env, ENV_CUDA, false) == 0)
                return 0;
        if (!env_has(env, ENV_CUDA)) {
                r = set(env, "CUDA_VISIBLE_DEVICES", strdup("-1"), false);
        } else if (all_have_uuid(env, ENV_CUDA)) {
                r = set(env, "CUDA_VISIBLE_DEVICES", words_of(env, ENV_CUDA, uuid_word), false);
        } else {
                r = set(env, "CUDA_DEVICE_ORDER", strdup("PCI_BUS_ID"), false);
                if (r >= 0)
                        r = set(env, "CUDA_VISIBLE_DEVICES", words_of(env, ENV_CUDA, index_word), false);
                if (r >= 0)
                        r = add_note(
                                env,
                                strdup("NVIDIA GPUs go by number, for the driver has not told their UUID yet "
                                       "(nvidia-persistenced sees to it); numbers change with the cards"));
        }
        /* HIP goes by CUDA_VISIBLE_DEVICES where its own is empty; of what ROCR_VISIBLE_DEVICES leaves, all.
         */
        if (r >= 0 && has_rocm)
                r = set(env, "HIP_VISIBLE_DEVICES", words_of(env, ENV_ROCM, order_word), false);
        return r;
}

/* udev's names have colons and no blanks. */
static int compose_nodes(struct env *env)
{
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; i < env->n_gpus; i++) {
                char *longer;
                if (!env->gpus[i].is_chosen || !env->gpus[i].by_path)
                        continue;
                if (util_format(&longer, "%s%s%s", text ? text : "", text ? " " : "", env->gpus[i].by_path) <
                    0)
                        return -ENOMEM;
                free(text);
                text = longer;
        }
        return text ? set(env, "VFIOCTL_RENDER_NODES", util_steal(text), false) : 0;
}

int env_compose(struct env *env)
{
        int r = compose_rocm(env);

        if (r >= 0)
                r = compose_cuda(env);
        if (r >= 0)
                r = compose_nodes(env);
        return r;
}
