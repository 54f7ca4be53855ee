/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "claims.h"
#include "lock.h"
#include "runtime.h"

#include <fcntl.h>

#define CLAIM_MAX 1024

static bool claim_path(char path[PATH_MAX], const char *folder, const char *address)
{
        return path_format(path, "%s/%s", folder, address);
}

int claim_read_text(const struct vfioctl_ctx *ctx, const char *address, char **ret)
{
        char path[PATH_MAX], text[CLAIM_MAX];

        if (!claim_path(path, PATH_RUN_CLAIMS, address))
                return -ENAMETOOLONG;
        ssize_t length = host_read(ctx, path, text, sizeof(text));
        if (length == -ENOENT) {
                *ret = NULL;
                return 0;
        }
        return length < 0 ? (int)length : util_copy(text, ret);
}

int claim_write_text(const struct vfioctl_ctx *ctx, const char *address, const char *text)
{
        char path[PATH_MAX];

        if (!claim_path(path, PATH_RUN_CLAIMS, address))
                return -ENAMETOOLONG;
        if (text)
                return host_write_file(ctx, path, text);
        int r = host_unlink(ctx, path);
        return r == -ENOENT ? 0 : r;
}

/* "UUID PID START\nNAME\n". What is no claim (a torn file, somebody else's) counts as one of nobody: stale.
 */
static int parse(struct vfioctl_gpu *gpu, char *text)
{
        char uuid[64] = "", start[PROCESS_START_SIZE] = "";
        int pid = 0;

        gpu->claim.text = text;
        const char *name = strchr(text, '\n');
        if (!name || sscanf(text, "%63s %d %23s", uuid, &pid, start) != 3)
                return 0;
        int r = util_copy(name + 1, &gpu->claim.name);
        if (r >= 0)
                r = util_copy(uuid, &gpu->claim.uuid);
        if (r < 0)
                return r;
        util_trim(gpu->claim.name);
        gpu->claim.is_live = pid > 0 && runtime_process_is(pid, start);
        return 0;
}

static enum vfioctl_mode work_read(const struct vfioctl_ctx *ctx, const char *address)
{
        char path[PATH_MAX], text[16];

        if (!claim_path(path, PATH_RUN_WORK, address) || host_read(ctx, path, text, sizeof(text)) < 0)
                return VFIOCTL_MODE_NONE;
        return util_equal(text, vfioctl_mode_name(VFIOCTL_MODE_HOST)) ? VFIOCTL_MODE_HOST : VFIOCTL_MODE_VM;
}

int claims_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        bool has_claims = snapshot->has_run && host_exists(ctx, PATH_RUN_CLAIMS);
        bool has_work = snapshot->has_run && host_exists(ctx, PATH_RUN_WORK);

        for (size_t i = 0; (has_claims || has_work) && i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                char *text = NULL;
                if (!gpu->is_deep)
                        continue;
                int r = has_claims ? claim_read_text(ctx, gpu->functions[0]->text, &text) : 0;
                if (r >= 0 && text)
                        r = parse(gpu, text);
                if (r < 0)
                        return r;
                if (has_work)
                        gpu->half_done = work_read(ctx, gpu->functions[0]->text);
        }
        return 0;
}

int work_begin(const struct vfioctl_ctx *ctx, const char *address, enum vfioctl_mode mode)
{
        char path[PATH_MAX];

        return claim_path(path, PATH_RUN_WORK, address) ? host_write_file(ctx, path, vfioctl_mode_name(mode))
                                                        : -ENAMETOOLONG;
}

int work_end(const struct vfioctl_ctx *ctx, const char *address)
{
        char path[PATH_MAX];

        if (!claim_path(path, PATH_RUN_WORK, address))
                return -ENAMETOOLONG;
        int r = host_unlink(ctx, path);
        return r == -ENOENT ? 0 : r;
}

static int lock_address(const struct vfioctl_ctx *ctx, const struct vfioctl_address *address,
                        struct vfioctl_lock **ret)
{
        struct planned_gpu one = {.mode = VFIOCTL_MODE_NONE};
        const struct vfioctl_plan plan = {.gpus = &one, .n_gpus = 1};

        (void)vfioctl_address_format(address, one.address);
        return lock_gpus(ctx, &plan, ret);
}

static int lock_one(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu, struct vfioctl_lock **ret)
{
        return lock_address(ctx, &gpu->functions[0]->address, ret);
}

VFIOCTL_EXPORT int vfioctl_claim_record(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu,
                                        const struct vfioctl_claim *claim)
{
        _cleanup_lock_ struct vfioctl_lock *lock = NULL;
        _cleanup_free_ char *text = NULL;

        int r = claim_format(claim, &text);
        if (r >= 0)
                r = lock_one(ctx, gpu, &lock);
        return r < 0 ? r : claim_write_text(ctx, gpu->functions[0]->text, text);
}

VFIOCTL_EXPORT int vfioctl_claim_drop(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu)
{
        _cleanup_lock_ struct vfioctl_lock *lock = NULL;
        _cleanup_free_ char *now = NULL;

        int r = lock_one(ctx, gpu, &lock);
        if (r >= 0)
                r = claim_read_text(ctx, gpu->functions[0]->text, &now);
        if (r < 0)
                return r;
        if (!util_equal(now, gpu->claim.text))
                return -EAGAIN;
        return now ? claim_write_text(ctx, gpu->functions[0]->text, NULL) : 0;
}

VFIOCTL_EXPORT int vfioctl_half_done_forget(const struct vfioctl_ctx *ctx, const struct vfioctl_gpu *gpu)
{
        _cleanup_lock_ struct vfioctl_lock *lock = NULL;

        int r = lock_one(ctx, gpu, &lock);
        return r < 0 ? r : work_end(ctx, gpu->functions[0]->text);
}

/* Calls `fn` for each claim of the VM with this UUID (NULL: of any); a result other than 0 ends it. */
static int each_claim(const struct vfioctl_ctx *ctx, const char *uuid,
                      int (*fn)(void *userdata, const struct vfioctl_address *address), void *userdata)
{
        _cleanup_dir_ DIR *dir = NULL;
        struct vfioctl_address address;

        int r = host_opendir_optional(ctx, PATH_RUN_CLAIMS, &dir);
        for (struct dirent *entry; dir && r == 0 && (entry = readdir(dir));) {
                _cleanup_free_ char *text = NULL;
                if (vfioctl_address_parse(entry->d_name, &address) < 0)
                        continue;
                r = claim_read_text(ctx, entry->d_name, &text);
                if (r == 0 && text && (!uuid || (util_has_prefix(text, uuid) && text[strlen(uuid)] == ' ')))
                        r = fn(userdata, &address);
        }
        return r;
}

static int is_one(void *userdata, const struct vfioctl_address *address)
{
        (void)userdata;
        (void)address;
        return 1;
}

VFIOCTL_EXPORT bool vfioctl_claims_exist(const struct vfioctl_ctx *ctx)
{
        return each_claim(ctx, NULL, is_one, NULL) == 1;
}

struct claim_list {
        struct vfioctl_address *items;
        size_t count, allocated;
};

static int list_claim(void *userdata, const struct vfioctl_address *address)
{
        struct claim_list *list = userdata;

        int r = util_grow(&list->items, &list->allocated, list->count + 1, sizeof(*list->items));
        if (r >= 0)
                list->items[list->count++] = *address;
        return r;
}

VFIOCTL_EXPORT int vfioctl_claims_of(const struct vfioctl_ctx *ctx, const char *uuid,
                                     struct vfioctl_address **ret, size_t *ret_count)
{
        struct claim_list list = {.count = 0};

        int r = each_claim(ctx, uuid, list_claim, &list);
        if (r < 0) {
                free(list.items);
                return r;
        }
        *ret = list.items;
        *ret_count = list.count;
        return 0;
}

VFIOCTL_EXPORT int vfioctl_claim_forget(const struct vfioctl_ctx *ctx, const struct vfioctl_address *address)
{
        _cleanup_lock_ struct vfioctl_lock *lock = NULL;
        char text[VFIOCTL_ADDRESS_SIZE];

        int r = lock_address(ctx, address, &lock);
        return r < 0 ? r : claim_write_text(ctx, vfioctl_address_format(address, text), NULL);
}
