/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "claims.h"
#include "harness.h"
#include "lock.h"

#include <unistd.h>

#define GPU     "0000:06:00.0"
#define CLAIM   "/run/vfioctl/claims/" GPU
#define WORK    "/run/vfioctl/work/" GPU
#define UUID    "11111111-2222-3333-4444-555555555555"
#define NOBODYS "99999999-2222-3333-4444-555555555555"

static char *root;
static struct vfioctl_ctx *ctx;
static struct fixture f;
static struct vfioctl_gpu *gpu;
static struct vfioctl_claim claim;

static int set_up(void **state)
{
        (void)state;
        root = root_new();
        ctx = root_ctx(root);
        root_mkdir(root, "/run");
        fixture_init(&f);
        gpu = fixture_gpu(&f, "2a", GPU, 0, 0, 10, "amdgpu");
        gpu->is_deep = true;
        f.snapshot.has_run = true;
        claim = (struct vfioctl_claim){.uuid = UUID, .name = "a VM"};
        assert_int_equal(vfioctl_process_identify(getpid(), &claim.daemon), 0);
        return 0;
}

static void forget(void)
{
        free(gpu->claim.text);
        free(gpu->claim.uuid);
        free(gpu->claim.name);
        memset(&gpu->claim, 0, sizeof(gpu->claim));
        gpu->half_done = VFIOCTL_MODE_NONE;
}

static int tear_down(void **state)
{
        (void)state;
        forget();
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
        return 0;
}

static void read_again(void)
{
        forget();
        assert_int_equal(claims_read(ctx, &f.snapshot), 0);
}

static void test_record_and_drop(void **state)
{
        (void)state;
        read_again();
        assert_null(vfioctl_gpu_claim_uuid(gpu));
        assert_false(vfioctl_gpu_claim_is_live(gpu));
        assert_int_equal(vfioctl_claim_record(ctx, gpu, &claim), 0);
        read_again();
        assert_string_equal(vfioctl_gpu_claim_uuid(gpu), UUID);
        assert_string_equal(vfioctl_gpu_claim_name(gpu), "a VM");
        assert_true(vfioctl_gpu_claim_is_live(gpu));
        /* Without a daemon it hinders nobody; with one that is another process by now neither. */
        claim.daemon.pid = 0;
        assert_int_equal(vfioctl_claim_record(ctx, gpu, &claim), 0);
        read_again();
        assert_string_equal(vfioctl_gpu_claim_uuid(gpu), UUID);
        assert_false(vfioctl_gpu_claim_is_live(gpu));
        root_put(root, CLAIM, UUID " %d 1\na VM\n", getpid());
        read_again();
        assert_false(vfioctl_gpu_claim_is_live(gpu));
        assert_int_equal(vfioctl_claim_drop(ctx, gpu), 0);
        assert_null(root_get(root, CLAIM));
        read_again();
        assert_int_equal(vfioctl_claim_drop(ctx, gpu), 0);
}

static void test_drop_only_what_was_seen(void **state)
{
        (void)state;
        assert_int_equal(vfioctl_claim_record(ctx, gpu, &claim), 0);
        read_again();
        claim.uuid = NOBODYS;
        assert_int_equal(vfioctl_claim_record(ctx, gpu, &claim), 0);
        assert_int_equal(vfioctl_claim_drop(ctx, gpu), -EAGAIN);
        char *text = root_get(root, CLAIM);
        assert_contains(text, NOBODYS);
        free(text);
        /* Seen, and gone meanwhile. */
        root_unlink(root, CLAIM);
        assert_int_equal(vfioctl_claim_drop(ctx, gpu), -EAGAIN);
}

static void test_what_is_no_claim(void **state)
{
        static const char *const texts[] = {"",      "\n", UUID, UUID " 1 1", "x\ny\n", UUID " x 1\nvm\n",
                                            "\n\n\n"};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                root_put(root, CLAIM, "%s", texts[i]);
                read_again();
                assert_null(vfioctl_gpu_claim_uuid(gpu));
                assert_false(vfioctl_gpu_claim_is_live(gpu));
                /* But it was seen, so that it can be replaced. */
                assert_non_null(gpu->claim.text);
                assert_int_equal(vfioctl_claim_drop(ctx, gpu), 0);
        }
}

static void test_no_line_of_text(void **state)
{
        static const struct vfioctl_claim bad[] = {
                {.uuid = "", .name = "vm"},     {.uuid = "a b", .name = "vm"},
                {.uuid = "a\nb", .name = "vm"}, {.uuid = UUID UUID, .name = "vm"},
                {.uuid = UUID, .name = ""},     {.uuid = UUID, .name = "a\nb"},
                {.uuid = UUID, .name = NULL},   {.uuid = NULL, .name = "vm"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_intent_ struct vfioctl_intent *intent = NULL;
                assert_int_equal(vfioctl_claim_record(ctx, gpu, &bad[i]), -EINVAL);
                assert_int_equal(vfioctl_intent_new(&intent), 0);
                assert_int_equal(vfioctl_intent_claim(intent, gpu, &bad[i]), -EINVAL);
        }
        assert_null(root_get(root, CLAIM));
}

static void test_busy(void **state)
{
        struct planned_gpu one = {.address = GPU};
        struct vfioctl_plan plan = {.gpus = &one, .n_gpus = 1};
        struct vfioctl_lock *lock = NULL;
        struct vfioctl_ctx *other = root_ctx(root);

        (void)state;
        assert_int_equal(lock_gpus(other, &plan, &lock), 0);
        ctx->lock_deadline = 20;
        assert_int_equal(vfioctl_claim_record(ctx, gpu, &claim), -EBUSY);
        assert_int_equal(vfioctl_claim_drop(ctx, gpu), -EBUSY);
        assert_int_equal(vfioctl_half_done_forget(ctx, gpu), -EBUSY);
        (void)vfioctl_lock_free(lock);
        (void)vfioctl_ctx_free(other);
}

static void test_half_done(void **state)
{
        (void)state;
        read_again();
        assert_int_equal(vfioctl_gpu_half_done(gpu), VFIOCTL_MODE_NONE);
        assert_int_equal(work_begin(ctx, GPU, VFIOCTL_MODE_HOST), 0);
        read_again();
        assert_int_equal(vfioctl_gpu_half_done(gpu), VFIOCTL_MODE_HOST);
        assert_int_equal(work_begin(ctx, GPU, VFIOCTL_MODE_VM), 0);
        read_again();
        assert_int_equal(vfioctl_gpu_half_done(gpu), VFIOCTL_MODE_VM);
        assert_int_equal(vfioctl_half_done_forget(ctx, gpu), 0);
        assert_null(root_get(root, WORK));
        assert_int_equal(work_end(ctx, GPU), 0);
        read_again();
        assert_int_equal(vfioctl_gpu_half_done(gpu), VFIOCTL_MODE_NONE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_record_and_drop, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_drop_only_what_was_seen, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_what_is_no_claim, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_line_of_text, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_busy, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_half_done, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
