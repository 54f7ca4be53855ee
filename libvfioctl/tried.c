/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tried.h"

#define TRIED_MAX 4096 /* files, and bytes of one */

/* "1002:6864:1002:0c00:05": what is equal for equal cards, wherever they are. */
#define KIND_SIZE 23

static void kind_format(const struct vfioctl_gpu *gpu, char kind[KIND_SIZE])
{
        const struct vfioctl_function *function = gpu->functions[0];

        (void)snprintf(kind, KIND_SIZE, "%04x:%04x:%04x:%04x:%02x", function->vendor, function->device,
                       function->subsystem_vendor, function->subsystem_device, function->revision);
}

/* FNV-1a of its identity: against accidents, not against anybody. */
#define PLACE_SIZE 17

static void place_format(const struct vfioctl_gpu *gpu, char place[PLACE_SIZE])
{
        uint64_t value = 0xcbf29ce484222325;

        for (const char *at = gpu->identity ? gpu->identity : ""; *at; at++)
                value = (value ^ (unsigned char)*at) * 0x100000001b3;
        (void)snprintf(place, PLACE_SIZE, "%016llx", (unsigned long long)value);
}

static int read_kernel(const struct vfioctl_ctx *ctx, char *kernel, size_t size)
{
        ssize_t length = host_read(ctx, PATH_OSRELEASE, kernel, size);

        if (length < 0)
                return (int)length;
        util_trim(kernel);
        /* It becomes part of a name. */
        return *kernel && !strpbrk(kernel, "/@") ? 0 : -EINVAL;
}

void proofs_clear(struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < gpu->n_proofs; i++) {
                free(gpu->proofs[i].kernel);
                free(gpu->proofs[i].reason);
        }
        free(gpu->proofs);
}

/* Lines "result passed" (or failed) and "reason TEXT"; what a later version adds is passed over. */
static int parse_record(char *text, struct proof *ret)
{
        const char *result = NULL, *reason = NULL;
        char *rest = NULL;

        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                if (util_has_prefix(line, "result "))
                        result = line + strlen("result ");
                else if (util_has_prefix(line, "reason "))
                        reason = line + strlen("reason ");
        }
        bool passed = util_equal(result, "passed");
        if (!passed && !util_equal(result, "failed"))
                return -EINVAL;
        ret->passed = passed;
        int r = util_copy(passed ? NULL : reason, &ret->reason);
        if (r >= 0 && ret->reason)
                util_make_printable(ret->reason);
        return r;
}

/* Its own failure counts for more than that others passed, in whatever order they are found. */
static int add_proof(struct vfioctl_gpu *gpu, const char *kernel, const struct proof *proof)
{
        struct proof *known = gpu_proof_on(gpu, kernel);

        if (known) {
                if (proof->passed || !known->passed)
                        return 0;
                known->passed = false;
                return util_copy(proof->reason, &known->reason);
        }
        struct proof copy = {.passed = proof->passed};
        size_t allocated = gpu->n_proofs;

        int r = util_grow(&gpu->proofs, &allocated, gpu->n_proofs + 1, sizeof(*gpu->proofs));
        if (r >= 0)
                r = util_copy(kernel, &copy.kernel);
        if (r >= 0)
                r = util_copy(proof->reason, &copy.reason);
        if (r < 0) {
                free(copy.kernel);
                return r;
        }
        gpu->proofs[gpu->n_proofs++] = copy;
        return 0;
}

static int read_record(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, const char *name)
{
        _cleanup_free_ char *text = NULL;
        struct proof proof = {.passed = false};
        const char *after = strchr(name, '@');
        char path[PATH_MAX], kernel[128];
        int r = -ENOENT;

        if (!after || after - name != KIND_SIZE - 1)
                return 0;
        const char *place = strchr(after + 1, '@');
        (void)snprintf(kernel, sizeof(kernel), "%.*s", (int)strcspn(after + 1, "@"), after + 1);
        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                char kind[KIND_SIZE], own[PLACE_SIZE];
                if (!gpu->is_deep)
                        continue;
                kind_format(gpu, kind);
                place_format(gpu, own);
                if (strncmp(kind, name, KIND_SIZE - 1) != 0 || (place && !util_equal(own, place + 1)))
                        continue;
                /* Read once, and only for cards that are here. */
                if (!text) {
                        r = path_format(path, PATH_TRIED "/%s", name)
                                    ? host_read_file(ctx, path, TRIED_MAX, &text, NULL)
                                    : -ENAMETOOLONG;
                        if (r >= 0)
                                r = parse_record(text, &proof);
                        if (r >= 0 && proof.passed == (place != NULL))
                                r = -EINVAL;
                        if (r < 0)
                                break;
                }
                r = add_proof(gpu, kernel, &proof);
                if (r < 0)
                        break;
        }
        free(proof.reason);
        return host_is_shortage(r) ? r : 0;
}

int tried_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        _cleanup_dir_ DIR *dir = NULL;
        char kernel[128];
        size_t count = 0;

        int r = host_opendir_optional(ctx, PATH_TRIED, &dir);
        for (struct dirent *entry; dir && r >= 0 && count < TRIED_MAX && (entry = readdir(dir)); count++)
                if (entry->d_name[0] != '.')
                        r = read_record(ctx, snapshot, entry->d_name);
        if (!dir || r < 0 || read_kernel(ctx, kernel, sizeof(kernel)) < 0)
                return r;
        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                gpu->proof = gpu_proof_on(gpu, kernel);
        }
        return 0;
}

VFIOCTL_EXPORT int vfioctl_trial_record(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu,
                                        const struct vfioctl_trial *trial)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], kind[KIND_SIZE], place[PLACE_SIZE], kernel[128];

        if (trial->reason && strchr(trial->reason, '\n'))
                return -EINVAL;
        int r = read_kernel(ctx, kernel, sizeof(kernel));
        if (r < 0)
                return r;
        kind_format(gpu, kind);
        place_format(gpu, place);
        if (!path_format(path, PATH_TRIED "/%s@%s@%s", kind, kernel, place))
                return -ENAMETOOLONG;
        /* That it failed before is over when it passes. */
        if (trial->passed) {
                r = host_unlink(ctx, path);
                if (r < 0 && r != -ENOENT)
                        return r;
                if (!path_format(path, PATH_TRIED "/%s@%s", kind, kernel))
                        return -ENAMETOOLONG;
        }
        r = util_format(&text, "result %s\nruns %u\n%s%s%s", trial->passed ? "passed" : "failed", trial->runs,
                        trial->reason ? "reason " : "", trial->reason ? trial->reason : "",
                        trial->reason ? "\n" : "");
        return r < 0 ? r : host_write_file(ctx, path, text);
}
