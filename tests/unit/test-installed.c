/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

static char *root;
static struct vfioctl_ctx *ctx;

static void test_parts(void **state)
{
        (void)state;
        for (int part = VFIOCTL_PART_BOOT_UNIT; part <= (int)VFIOCTL_PART_CRON + 1; part++)
                assert_false(vfioctl_part_is_enabled(ctx, (enum vfioctl_part)part));
        root_put(root, PATH_CRON, "%s", "");
        root_link(root, PATH_TIMER_WANTED, "/usr/lib/systemd/system/nowhere.timer");
        root_link(root, PATH_BOOT_WANTED, "x");
        for (int part = VFIOCTL_PART_BOOT_UNIT; part <= (int)VFIOCTL_PART_CRON; part++)
                assert_true(vfioctl_part_is_enabled(ctx, (enum vfioctl_part)part));
        assert_false(vfioctl_part_is_enabled(ctx, (enum vfioctl_part)99));
}

static void policy_is(enum vfioctl_initramfs which, const char *kernel, const char *text)
{
        _cleanup_free_ char *found_kernel = NULL, *found = NULL;

        int r = vfioctl_initramfs_policy_of(ctx, which, &found_kernel, &found);
        assert_int_equal(r, text ? 0 : -ENOENT);
        if (!text)
                return;
        assert_string_equal(found_kernel, kernel);
        assert_string_equal(found, text);
}

static void test_copies(void **state)
{
        (void)state;
        policy_is(VFIOCTL_INITRAMFS_RUNNING, NULL, NULL);
        policy_is(VFIOCTL_INITRAMFS_NEWEST, NULL, NULL);
        root_put(root, PATH_OSRELEASE, "%s", "6.9.0\n");
        root_put(root, PATH_INITRAMFS_COPIES "/6.10.0", "%s", "ten");
        policy_is(VFIOCTL_INITRAMFS_RUNNING, NULL, NULL);
        root_put(root, PATH_INITRAMFS_COPIES "/6.9.0", "%s", "nine");
        root_put(root, PATH_INITRAMFS_COPIES "/.hidden", "%s", "x");
        policy_is(VFIOCTL_INITRAMFS_RUNNING, "6.9.0", "nine");
        policy_is(VFIOCTL_INITRAMFS_NEWEST, "6.10.0", "ten");
        root_put(root, PATH_OSRELEASE, "%s", "../6.9.0\n");
        policy_is(VFIOCTL_INITRAMFS_RUNNING, NULL, NULL);
        root_put(root, PATH_OSRELEASE, "%s", "\n");
        policy_is(VFIOCTL_INITRAMFS_RUNNING, NULL, NULL);
}

static int set_up(void **state)
{
        (void)state;
        root = root_new();
        ctx = root_ctx(root);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_parts, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_copies, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
