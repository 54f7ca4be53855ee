/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "env.h"
#include "json.h"
#include "paths.h"
#include "use.h"

#include <libvfioctl-hardware.h>

/* What CUDA opens besides the GPU's own node. */
static const char *const cuda_nodes[] = {
        PATH_DEV "/nvidiactl",
        PATH_DEV "/nvidia-uvm",
        PATH_DEV "/nvidia-uvm-tools",
        PATH_DEV "/nvidia-modeset",
};

/* "# 2b  0000:14:00.0  Radeon Pro V340/V340L  /dev/dri/..." for each, and the notes. */
static void print_comments(const struct env *env)
{
        char card[80];

        for (size_t i = 0; i < env->n_gpus; i++) {
                const struct env_gpu *item = &env->gpus[i];
                if (!item->is_chosen)
                        continue;
                const char *node = item->by_path ? item->by_path : vfioctl_gpu_nvidia_node(item->gpu);
                printf("# %s  %s  %s  %s\n", vfioctl_gpu_name(item->gpu), vfioctl_gpu_address(item->gpu),
                       printable(vfioctl_gpu_card(item->gpu), card, sizeof(card)), node ? node : "");
        }
        for (size_t i = 0; i < env->n_notes; i++)
                printf("# %s\n", env->notes[i]);
}

/* Values are made of letters, digits and -_:,./ and blanks: nothing that quotes would not hold. */
static void print_shell(const struct env *env)
{
        print_comments(env);
        if (env_has(env, ENV_ROCM) || env_has(env, ENV_RENDER))
                printf("# Vulkan counts by itself: see GGML_VK_VISIBLE_DEVICES in docs/host-compute.md\n");
        for (size_t i = 0; i < env->n_variables; i++)
                printf("export %s='%s'\n", env->variables[i].name, env->variables[i].value);
}

static void print_systemd(const struct env *env)
{
        printf("# a drop-in: the output of vfioctl env --format systemd\n");
        print_comments(env);
        printf("# not by root: SupplementaryGroups=render video\n[Service]\n");
        for (size_t i = 0; i < env->n_variables; i++)
                printf("Environment=\"%s=%s\"\n", env->variables[i].name, env->variables[i].value);
        printf("DevicePolicy=closed\n");
        if (env_has(env, ENV_ROCM))
                printf("DeviceAllow=" PATH_DEV_KFD " rw\n");
        for (size_t i = 0; env_has(env, ENV_CUDA) && i < ELEMENTSOF(cuda_nodes); i++)
                printf("DeviceAllow=%s rw\n", cuda_nodes[i]);
        for (size_t i = 0; i < env->n_gpus; i++) {
                const struct env_gpu *item = &env->gpus[i];
                const char *node = vfioctl_gpu_nvidia_node(item->gpu);
                if (item->is_chosen && item->by_path)
                        printf("DeviceAllow=%s rw\n", item->by_path);
                if (item->is_chosen && node)
                        printf("DeviceAllow=%s rw\n", node);
        }
}

/* Arguments without blanks or quotes in them, so that they can be substituted by a shell as they stand. */
static char *container_argument(const struct env_gpu *item)
{
        const char *uuid = vfioctl_gpu_uuid(item->gpu);
        char *text;
        int r;

        /* --device takes colons for its own, so no name of udev's; NVIDIA's toolkit names devices by CDI. */
        if (item->kind != ENV_CUDA)
                r = util_format(&text, "%s", vfioctl_gpu_render_node(item->gpu));
        else
                r = uuid ? util_format(&text, "nvidia.com/gpu=%s", uuid)
                         : util_format(&text, "nvidia.com/gpu=%u", item->index);
        return r < 0 ? NULL : text;
}

static int print_docker(const struct cli *cli, const struct env *env)
{
        const char *lead = "";

        for (size_t i = 0; !cli->options.quiet && i < env->n_notes; i++)
                complain("%s", env->notes[i]);
        if (env_has(env, ENV_ROCM)) {
                printf("--device " PATH_DEV_KFD);
                lead = " ";
        }
        for (size_t i = 0; i < env->n_gpus; i++) {
                if (!env->gpus[i].is_chosen)
                        continue;
                _cleanup_free_ char *argument = container_argument(&env->gpus[i]);
                if (!argument)
                        return complain_errno(-ENOMEM, "cannot print it");
                printf("%s--device %s", lead, argument);
                lead = " ";
        }
        for (size_t i = 0; i < env->n_variables; i++)
                if (env->variables[i].is_for_containers)
                        printf(" --env %s=%s", env->variables[i].name, env->variables[i].value);
        printf("\n");
        return CODE_DONE;
}

static struct json_object *gpu_json(const struct env_gpu *item)
{
        static const char *const kinds[] = {
                [ENV_ROCM] = "rocm", [ENV_CUDA] = "cuda", [ENV_RENDER] = "render"};
        struct json_object *object = json_object_new_object();

        json_put(object, "name", json_string(vfioctl_gpu_name(item->gpu)));
        json_put(object, "address", json_string(vfioctl_gpu_address(item->gpu)));
        json_put(object, "card", json_string(vfioctl_gpu_card(item->gpu)));
        json_put(object, "driver", json_string(vfioctl_function_driver(vfioctl_gpu_function(item->gpu, 0))));
        json_put(object, "kind", json_string(kinds[item->kind]));
        json_put(object, "uuid", json_string(vfioctl_gpu_uuid(item->gpu)));
        json_put(object, "by_path", json_string(item->by_path));
        json_put(object, "render_node", json_string(vfioctl_gpu_render_node(item->gpu)));
        json_put(object, "nvidia_node", json_string(vfioctl_gpu_nvidia_node(item->gpu)));
        return object;
}

static int env_json(const struct env *env)
{
        struct json_object *object = json_object_new_object(), *gpus = json_object_new_array(),
                           *variables = json_object_new_object(), *devices = json_object_new_array(),
                           *notes = json_object_new_array();

        if (env_has(env, ENV_ROCM))
                json_append(devices, json_string(PATH_DEV_KFD));
        for (size_t i = 0; env_has(env, ENV_CUDA) && i < ELEMENTSOF(cuda_nodes); i++)
                json_append(devices, json_string(cuda_nodes[i]));
        for (size_t i = 0; i < env->n_gpus; i++)
                if (env->gpus[i].is_chosen)
                        json_append(gpus, gpu_json(&env->gpus[i]));
        for (size_t i = 0; i < env->n_variables; i++)
                json_put(variables, env->variables[i].name, json_string(env->variables[i].value));
        for (size_t i = 0; i < env->n_notes; i++)
                json_append(notes, json_string(env->notes[i]));
        json_put(object, "gpus", gpus);
        json_put(object, "environment", variables);
        json_put(object, "devices", devices);
        json_put(object, "notes", notes);
        return json_print(object);
}

static int print_env(const struct cli *cli, const struct env *env)
{
        const char *format = cli->options.vm.format;

        if (cli->options.json)
                return env_json(env);
        if (util_equal(format, "docker"))
                return print_docker(cli, env);
        if (util_equal(format, "systemd"))
                print_systemd(env);
        else
                print_shell(env);
        return CODE_DONE;
}

int verb_env(struct cli *cli)
{
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        struct env env = {.n_gpus = 0};

        if (cli->options.json && cli->options.vm.format) {
                complain("--json has all that the formats have: leave out --format");
                return CODE_USAGE;
        }
        int code =
                take_snapshot(cli, VFIOCTL_SNAPSHOT_NAMES | VFIOCTL_SNAPSHOT_DETAILS | VFIOCTL_SNAPSHOT_REACH,
                              false, &snapshot);
        if (code == 0)
                code = env_choose(cli, snapshot, &env);
        if (code == 0) {
                int r = env_compose(&env);
                code = r < 0 ? complain_errno(r, "cannot print it") : print_env(cli, &env);
        }
        env_clear(&env);
        return code;
}
