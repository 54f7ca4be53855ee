/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "11111111-2222-3333-4444-555555555555"
#define HOOK "/etc/libvirt/hooks/qemu.d/50-vfioctl"
#define CONF "/etc/vfioctl/vfioctl.conf"

static char *root;
static struct vfioctl_ctx *ctx;

static int set_up(void **state)
{
        (void)state;
        root = root_new();
        ctx = root_ctx(root);
        root_mkdir(root, "/run");
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
        return 0;
}

static void test_off(void **state)
{
        static const struct {
                const char *line;
                bool is_off;
        } cases[] = {
                {"quiet vfioctl=off ro", true},
                {"vfioctl=off\n", true},
                {"vfioctl=off", true},
                {"vfioctl=offset", false},
                {"xvfioctl=off", false},
                {"vfioctl=on", false},
                {"vfioctl", false},
                {"", false},
                {"a  vfioctl=off", true},
        };

        (void)state;
        assert_false(vfioctl_ctx_is_off(ctx));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                root_put(root, "/proc/cmdline", "%s", cases[i].line);
                if (vfioctl_ctx_is_off(ctx) != cases[i].is_off)
                        fail_msg("'%s'", cases[i].line);
        }
}

static void test_hook(void **state)
{
        struct vfioctl_process self, other = {.pid = getpid(), .start = "1"};

        (void)state;
        assert_int_equal(vfioctl_process_identify(getpid(), &self), 0);
        assert_int_equal(vfioctl_process_identify(0x7fffffff, &other), -ESRCH);
        assert_false(vfioctl_hook_is_installed(ctx));
        root_link(root, HOOK, "/usr/bin/vfioctl");
        /* A link that leads nowhere, to a folder, or to what cannot be run, is none. */
        assert_false(vfioctl_hook_is_installed(ctx));
        root_put(root, "/usr/bin/vfioctl", "x");
        assert_false(vfioctl_hook_is_installed(ctx));
        char *path;
        assert_int_equal(util_format(&path, "%s/usr/bin/vfioctl", root), 0);
        assert_int_equal(chmod(path, 0755), 0);
        free(path);
        assert_true(vfioctl_hook_is_installed(ctx));
        assert_false(vfioctl_hook_is_live(ctx));
        assert_int_equal(vfioctl_hook_record(ctx, &self), 0);
        assert_int_equal(vfioctl_hook_record(ctx, &self), 0);
        assert_true(vfioctl_hook_is_live(ctx));
        assert_int_equal(vfioctl_hook_record(ctx, &other), 0);
        assert_false(vfioctl_hook_is_live(ctx));
        root_put(root, "/run/vfioctl/hook", "nonsense\n");
        assert_false(vfioctl_hook_is_live(ctx));
        assert_int_equal(vfioctl_hook_record(ctx, &self), 0);
        assert_true(vfioctl_hook_is_live(ctx));
        root_unlink(root, HOOK);
        assert_false(vfioctl_hook_is_live(ctx));
}

static int count_refusal(void *userdata, const char *uuid, const char *vm, const char *reason, int64_t when)
{
        int *count = userdata;

        assert_string_equal(uuid, UUID);
        assert_string_equal(vm, "a VM");
        assert_string_equal(reason, "claimed: by another");
        assert_true(when > 1000000000);
        ++*count;
        return *count == 2 ? -ECANCELED : 0;
}

static void test_refusals(void **state)
{
        int count = 0;

        (void)state;
        assert_int_equal(vfioctl_refusals_each(ctx, count_refusal, &count), 0);
        assert_int_equal(vfioctl_refusal_record(ctx, UUID, "a VM", "something"), 0);
        assert_int_equal(vfioctl_refusal_record(ctx, UUID, "a VM", "claimed: by another"), 0);
        root_put(root, "/run/vfioctl/refused/.left", "x\ny\n");
        root_put(root, "/run/vfioctl/refused/torn", "x");
        assert_int_equal(vfioctl_refusals_each(ctx, count_refusal, &count), 0);
        assert_int_equal(count, 1);
        assert_int_equal(vfioctl_refusals_each(ctx, count_refusal, &count), -ECANCELED);
        assert_int_equal(vfioctl_refusal_forget(ctx, UUID), 0);
        assert_int_equal(vfioctl_refusal_forget(ctx, UUID), 0);
        assert_int_equal(vfioctl_refusals_each(ctx, count_refusal, &count), 0);
        assert_int_equal(count, 2);
        /* A name leads nowhere else. */
        assert_int_equal(vfioctl_refusal_record(ctx, "../hook", "vm", "x"), -EINVAL);
        assert_int_equal(vfioctl_refusal_record(ctx, "", "vm", "x"), -EINVAL);
        assert_int_equal(vfioctl_refusal_record(ctx, "..", "vm", "x"), -EINVAL);
        assert_int_equal(vfioctl_refusal_record(ctx, UUID, "a\nb", "x"), -EINVAL);
        assert_int_equal(vfioctl_refusal_forget(ctx, "../hook"), -EINVAL);
}

static void test_boot(void **state)
{
        char *policy = NULL;

        (void)state;
        assert_int_equal(vfioctl_boot_policy_of(ctx, VFIOCTL_BOOT_EARLY, &policy), -ENOENT);
        assert_int_equal(vfioctl_boot_record(ctx, VFIOCTL_BOOT_EARLY, "gpus 1a\n"), 0);
        assert_int_equal(vfioctl_boot_policy_of(ctx, VFIOCTL_BOOT_LATE, &policy), -ENOENT);
        assert_null(policy);
        assert_int_equal(vfioctl_boot_policy_of(ctx, VFIOCTL_BOOT_EARLY, &policy), 0);
        assert_string_equal(policy, "gpus 1a\n");
        free(policy);
}

static uint64_t stamp(void)
{
        struct vfioctl_stamp taken;

        (void)vfioctl_stamp_take(ctx, &taken);
        return taken.value;
}

static void test_stamp_sees(void **state)
{
        static const char *const files[] = {
                CONF,
                "/usr/lib/vfioctl/vfioctl.conf",
                "/etc/vfioctl/vfioctl.conf.d/10-a.conf",
                "/usr/lib/vfioctl/vfioctl.conf.d/10-a.conf",
                HOOK,
                "/run/vfioctl/hook",
                "/run/vfioctl/claims/x",
                "/run/vfioctl/work/x",
                "/run/vfioctl/stuck/x",
                "/run/vfioctl/refused/x",
                "/etc/libvirt/qemu/vm.xml",
                "/etc/libvirt/qemu/autostart/vm.xml",
                "/run/libvirt/qemu/vm.xml",
                "/var/lib/libvirt/qemu/save/vm.save",
        };

        (void)state;
        root_put(root, "/sys/kernel/uevent_seqnum", "1\n");
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                uint64_t before = stamp();
                assert_int_equal(stamp(), before);
                root_put(root, files[i], "x");
                if (stamp() == before)
                        fail_msg("%s is new, and it does not show", files[i]);
                before = stamp();
                root_unlink(root, files[i]);
                if (stamp() == before)
                        fail_msg("%s is gone, and it does not show", files[i]);
        }
        /* In place: the folder does not tell. */
        root_put(root, "/etc/vfioctl/vfioctl.conf.d/10-a.conf", "x");
        uint64_t before = stamp();
        root_put(root, "/etc/vfioctl/vfioctl.conf.d/10-a.conf", "xy");
        assert_true(stamp() != before);
        before = stamp();
        root_put(root, "/sys/kernel/uevent_seqnum", "2\n");
        assert_true(stamp() != before);
        /* What it is for itself is none of that. */
        before = stamp();
        assert_int_equal(vfioctl_stamp_save(ctx, NULL, 0, ""), 0);
        root_put(root, "/run/vfioctl/lock/admin", "x");
        assert_true(stamp() == before);
}

static void test_stamp_proves(void **state)
{
        struct vfioctl_stamp taken;

        (void)state;
        /* Without the kernel's count a driver could come and go unseen. */
        assert_false(vfioctl_stamp_take(ctx, &taken));
        root_put(root, "/sys/kernel/uevent_seqnum", "1\n");
        assert_true(vfioctl_stamp_take(ctx, &taken));
        /* So young that another change might keep the file's time. */
        root_put(root, CONF, "x");
        assert_false(vfioctl_stamp_take(ctx, &taken));
}

static void test_stamp_file(void **state)
{
        struct vfioctl_stamp saved = {0xfedcba9876543210u}, read = {1};
        char *problems = NULL;
        int64_t when;
        bool known;
        int code = 9;

        (void)state;
        assert_int_equal(vfioctl_stamp_read(ctx, &read, &known, &code, &when, &problems), -ENOENT);
        assert_int_equal(vfioctl_stamp_touch(ctx), -ENOENT);
        assert_int_equal(vfioctl_stamp_save(ctx, &saved, 3, "one\ntwo\n"), 0);
        assert_int_equal(vfioctl_stamp_read(ctx, &read, &known, &code, &when, &problems), 0);
        assert_true(known && read.value == saved.value && code == 3 && when > 1000000000);
        assert_string_equal(problems, "one\ntwo\n");
        free(problems);
        assert_int_equal(vfioctl_stamp_touch(ctx), 0);
        assert_int_equal(vfioctl_stamp_save(ctx, NULL, 0, ""), 0);
        assert_int_equal(vfioctl_stamp_read(ctx, &read, &known, &code, &when, NULL), 0);
        assert_false(known);
        assert_int_equal(code, 0);
        root_put(root, "/run/vfioctl/reconciled", "garbage");
        assert_int_equal(vfioctl_stamp_read(ctx, &read, &known, &code, &when, NULL), -ENOENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_off, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hook, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_boot, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stamp_sees, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stamp_proves, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stamp_file, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
