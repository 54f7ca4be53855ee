/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <poll.h>
#include <unistd.h>

static char *root;
static struct vfioctl_ctx *ctx;
static struct vfioctl_watch *watch;

static bool is_readable(void)
{
        struct pollfd event = {.fd = vfioctl_watch_fd(watch), .events = POLLIN};

        return poll(&event, 1, 0) == 1;
}

/* Something has come, and it does (not) matter. */
static void came(int matters)
{
        assert_true(is_readable());
        assert_int_equal(vfioctl_watch_read(watch), matters);
        /* What adding and removing watches brings along is no news. */
        for (int i = 0; i < 4 && is_readable(); i++)
                assert_int_equal(vfioctl_watch_read(watch), 0);
        assert_false(is_readable());
}

static void listen_to(void)
{
        assert_int_equal(vfioctl_watch_new(ctx, &watch), 0);
        assert_false(is_readable());
        assert_int_equal(vfioctl_watch_read(watch), 0);
}

static void test_files(void **state)
{
        static const char *const folders[] = {
                PATH_RUN,
                PATH_RUN_CLAIMS,
                PATH_RUN_REFUSED,
                PATH_RUN_STUCK,
                PATH_RUN_WORK,
                PATH_ETC_DIR "/vfioctl",
                PATH_LIBVIRT_DEFINITIONS,
                PATH_LIBVIRT_RUN,
                PATH_HOOKS "/qemu.d",
        };
        char path[PATH_MAX];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                root_mkdir(root, folders[i]);
        listen_to();
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                assert_true(path_format(path, "%s/file", folders[i]));
                root_put(root, path, "%s", "x");
                came(1);
                root_put(root, path, "%s", "y");
                came(1);
                root_unlink(root, path);
                came(1);
        }
        root_put(root, PATH_ETC_DIR "/passwd", "%s", "x");
        assert_false(is_readable());
}

static void test_locks_are_no_news(void **state)
{
        (void)state;
        root_mkdir(root, PATH_RUN_LOCK);
        listen_to();
        root_put(root, PATH_RUN_LOCK "/admin", "%s", "");
        assert_false(is_readable());
}

/* Folders that are not there yet, however much of the way to them is missing. */
static void test_missing(void **state)
{
        (void)state;
        listen_to();
        root_mkdir(root, "/else");
        assert_true(!is_readable() || vfioctl_watch_read(watch) == 0);
        root_put(root, PATH_RUN_CLAIMS "/0000:06:00.0", "%s", "x");
        came(1);
        /* By now the folder itself is listened to, and no longer what is above it. */
        root_put(root, "/run/other", "%s", "x");
        if (is_readable())
                came(0);
        root_put(root, PATH_RUN_CLAIMS "/0000:06:00.0", "%s", "y");
        came(1);
        root_put(root, PATH_ETC_DIR "/vfioctl/vfioctl.conf.d/1.conf", "%s", "x");
        came(1);
        root_put(root, PATH_ETC_DIR "/vfioctl/vfioctl.conf.d/1.conf", "%s", "y");
        came(1);
}

static void test_come_and_go(void **state)
{
        char path[PATH_MAX];

        (void)state;
        for (int i = 0; i < 3; i++) {
                if (i == 0) {
                        root_mkdir(root, PATH_RUN_CLAIMS);
                        listen_to();
                } else {
                        root_mkdir(root, PATH_RUN_CLAIMS);
                        came(1);
                }
                root_put(root, PATH_RUN_CLAIMS "/x", "%s", "x");
                came(1);
                root_unlink(root, PATH_RUN_CLAIMS "/x");
                came(1);
                assert_true(path_format(path, "%s" PATH_RUN_CLAIMS, root));
                assert_int_equal(rmdir(path), 0);
                came(1);
        }
}

static void test_many_at_once(void **state)
{
        char path[PATH_MAX];

        (void)state;
        root_mkdir(root, PATH_RUN_REFUSED);
        listen_to();
        for (int i = 0; i < 2000; i++) {
                assert_true(path_format(path, PATH_RUN_REFUSED "/%d", i));
                root_put(root, path, "%s", "x");
        }
        came(1);
}

static void test_what_leads_out(void **state)
{
        (void)state;
        root_link(root, PATH_RUN, "/../../../../..");
        listen_to();
        root_put(root, "/new", "%s", "x");
        came(1);
        assert_null(vfioctl_watch_free(NULL));
}

static int set_up(void **state)
{
        (void)state;
        root = root_new();
        ctx = root_ctx(root);
        watch = NULL;
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        (void)vfioctl_watch_free(watch);
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_locks_are_no_news, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_missing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_come_and_go, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many_at_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_what_leads_out, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
