/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

/*
 * malloc() and its kin of this whole process, libc's own calls included: the n-th call fails, or all from the
 * n-th on, for every n. Whatever runs then ends with -ENOMEM or with the right answer, and leaks nothing.
 */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *old);

static struct {
        bool armed, all_after;
        unsigned long calls, fail_at;
        long live;
} memory;

static bool has_room(void)
{
        if (!memory.armed)
                return true;
        memory.calls++;
        if (memory.fail_at &&
            (memory.calls == memory.fail_at || (memory.all_after && memory.calls > memory.fail_at))) {
                errno = ENOMEM;
                return false;
        }
        return true;
}

VFIOCTL_EXPORT void *malloc(size_t size)
{
        void *new = has_room() ? __libc_malloc(size) : NULL;
        memory.live += new != NULL;
        return new;
}

VFIOCTL_EXPORT void *calloc(size_t count, size_t size)
{
        void *new = has_room() ? __libc_calloc(count, size) : NULL;
        memory.live += new != NULL;
        return new;
}

VFIOCTL_EXPORT void *realloc(void *old, size_t size)
{
        void *new = has_room() ? __libc_realloc(old, size) : NULL;
        memory.live += new && !old;
        return new;
}

VFIOCTL_EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
        if (size && count > SIZE_MAX / size) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(old, count * size);
}

VFIOCTL_EXPORT void free(void *old)
{
        memory.live -= old != NULL;
        __libc_free(old);
}

/* ---- what is tried ---- */

struct result {
        struct vfioctl_ctx *ctx;
        struct vfioctl_snapshot *snapshot;
        struct vfioctl_vms *vms;
        struct vfioctl_findings *checked, *refused, *unfit;
        struct vfioctl_fit *fit;
        struct vfioctl_intent *intent, *claims;
        struct vfioctl_plan *plan, *claiming;
        char *error;
};

static char *root;
static const char *wanted;

static int work(struct result *result)
{
        const struct vfioctl_gpu *gpu, *chosen[32];
        struct vfioctl_address address;

        int r = vfioctl_ctx_new(root, &result->ctx);
        /* A machine that is busy with something else is not stuck. */
        if (r >= 0)
                result->ctx->read_deadline = 30000;
        if (r >= 0)
                r = vfioctl_snapshot_take(result->ctx, VFIOCTL_SNAPSHOT_ALL & ~VFIOCTL_SNAPSHOT_NAMES,
                                          &result->snapshot);
        if (r >= 0)
                r = vfioctl_vms_new(&result->vms);
        if (r >= 0)
                r = vfioctl_vms_add(result->vms, "old", "11111111-2222-3333-4444-555555555555", true);
        if (r >= 0)
                r = vfioctl_snapshot_find(result->snapshot, wanted, &gpu);
        if (r >= 0)
                r = vfioctl_address_parse(vfioctl_gpu_address(gpu), &address);
        if (r >= 0)
                r = vfioctl_findings_new(&result->checked);
        if (r >= 0)
                r = vfioctl_check(result->snapshot, result->vms, NULL, result->checked);
        if (r >= 0)
                r = vfioctl_intent_new(&result->intent);
        if (r >= 0)
                r = vfioctl_intent_assign(result->intent, gpu, "game1");
        if (r >= 0)
                r = vfioctl_plan_new(result->snapshot, result->vms, result->intent, 0, &result->plan);
        if (r >= 0)
                r = vfioctl_intent_new(&result->claims);
        if (r >= 0)
                r = vfioctl_intent_claim(result->claims, gpu,
                                         &(struct vfioctl_claim){"uuid", "game3", {1, "1"}});
        if (r >= 0)
                r = vfioctl_plan_new(result->snapshot, NULL, result->claims, 0, &result->claiming);
        if (r >= 0)
                r = vfioctl_vms_add_assignment(
                        result->vms, 0,
                        &(struct vfioctl_assignment){
                                .name = "1a", .identity = "x", .functions = &address, .n_functions = 1});
        if (r >= 0)
                r = vfioctl_vms_add_device(result->vms, 0, &address);
        /* One VM that fits, one without a core, and none for want of a GPU. */
        if (r >= 0)
                r = vfioctl_vms_set_share(
                        result->vms, 0,
                        &(struct vfioctl_vm_share){
                                .vcpus = 2, .memory = 1 << 20, .pinned = "14,42", .numa_node = 1});
        if (r >= 0)
                r = vfioctl_findings_new(&result->unfit);
        if (r >= 0)
                r = vfioctl_fit_new(
                        result->snapshot, result->vms,
                        &(struct vfioctl_fit_request){
                                .vms = 2, .vcpus = 16, .memory = 1 << 20, .gpus = 1, .with_fallback = true},
                        result->unfit, &result->fit);
        if (r >= 0)
                r = vfioctl_findings_new(&result->refused);
        if (r < 0)
                return r;
        r = vfioctl_choose(result->snapshot, result->vms, VFIOCTL_PLACEMENT_PACK,
                           &(struct vfioctl_request){"game2", 31, -1}, 1, result->refused, chosen);
        return r == -EBUSY ? 0 : r;
}

static void result_free(struct result *result)
{
        (void)vfioctl_plan_free(result->claiming);
        (void)vfioctl_intent_free(result->claims);
        (void)vfioctl_plan_free(result->plan);
        (void)vfioctl_intent_free(result->intent);
        (void)vfioctl_findings_free(result->checked);
        (void)vfioctl_findings_free(result->refused);
        (void)vfioctl_fit_free(result->fit);
        (void)vfioctl_findings_free(result->unfit);
        (void)vfioctl_vms_free(result->vms);
        (void)vfioctl_snapshot_free(result->snapshot);
        (void)vfioctl_ctx_free(result->ctx);
        free(result->error);
        memset(result, 0, sizeof(*result));
}

static char *result_dump(const struct result *result)
{
        char *text, *snapshot = snapshot_dump(result->snapshot), *checked = findings_dump(result->checked),
                    *refused = findings_dump(result->refused), *plan = plan_dump(result->plan),
                    *claiming = plan_dump(result->claiming), *unfit = findings_dump(result->unfit);
        const struct vfioctl_place *place = vfioctl_fit_place(result->fit, 0);

        assert_int_equal(util_format(&text, "%s\n%s\n%s\n%s\n%s\n%s\n%s", snapshot, checked, refused, plan,
                                     claiming, unfit, place ? place->cpus : "nowhere"),
                         0);
        free(unfit);
        free(snapshot);
        free(checked);
        free(refused);
        free(plan);
        free(claiming);
        return text;
}

static int work_armed(struct result *result, unsigned long fail_at, bool all_after)
{
        memory.calls = 0;
        memory.fail_at = fail_at;
        memory.all_after = all_after;
        memory.armed = true;
        int r = work(result);
        memory.armed = false;
        return r;
}

static void every_allocation(const char *host, const char *gpu, const char *const *options)
{
        struct result result = {.ctx = NULL};

        root = root_from_host(host, options);
        wanted = gpu;
        char *claim;
        assert_int_equal(util_format(&claim, "/run/vfioctl/claims/%s", gpu), 0);
        root_put(root, claim, "uuid 1 1\nold\n");
        free(claim);
        /* Once for what libc makes for good, and once for the right answer and the number of calls. */
        assert_int_equal(work(&result), 0);
        result_free(&result);
        long live = memory.live;
        assert_int_equal(work_armed(&result, 0, false), 0);
        unsigned long calls = memory.calls;
        char *right = result_dump(&result);
        assert_true(strstr(right, "gpu ") && strstr(right, "define game1") && strstr(right, "for VM uuid"));
        result_free(&result);
        free(right);
        assert_int_equal(memory.live, live);
        assert_int_equal(work(&result), 0);
        right = result_dump(&result);
        result_free(&result);
        live = memory.live;
        assert_true(calls > 50);

        for (int all_after = 0; all_after < 2; all_after++)
                for (unsigned long n = 1; n <= calls; n++) {
                        int r = work_armed(&result, n, all_after);
                        if (r == 0) {
                                char *text = result_dump(&result);
                                if (strcmp(text, right) != 0)
                                        fail_msg("%s: allocation %lu of %lu fails, and the answer is "
                                                 "another: %s",
                                                 host, n, calls, text);
                                free(text);
                        } else if (r != -ENOMEM) {
                                fail_msg("%s: allocation %lu of %lu fails, and it gives %d", host, n, calls,
                                         r);
                        }
                        result_free(&result);
                        if (memory.live != live)
                                fail_msg("%s: allocation %lu of %lu fails, and %ld are not freed", host, n,
                                         calls, memory.live - live);
                }
        free(right);
        root_free(root);
}

static void test_gpu_with_audio(void **state)
{
        static const char *const options[] = {"--no-smbios", NULL};

        (void)state;
        every_allocation("gtx690", "0000:83:00.0", options);
}

static void test_holder(void **state)
{
        static const char *const options[] = {"--holder", "84:00.0=4711,ollama,ollama.service", "--mode",
                                              "84:00.0=vm", NULL};

        (void)state;
        every_allocation("gtx690", "0000:83:00.0", options);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_gpu_with_audio),
                cmocka_unit_test(test_holder),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
