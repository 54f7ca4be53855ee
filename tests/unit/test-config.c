/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "config.h"

#define CONF "/etc/vfioctl/vfioctl.conf"

static void test_time(void **state)
{
        unsigned int ms = 7;

        (void)state;
        assert_int_equal(config_parse_time("30", &ms), 0);
        assert_int_equal(ms, 30000);
        assert_int_equal(config_parse_time("30s", &ms), 0);
        assert_int_equal(ms, 30000);
        assert_int_equal(config_parse_time("250ms", &ms), 0);
        assert_int_equal(ms, 250);
        assert_int_equal(config_parse_time("1ms", &ms), 0);
        assert_int_equal(ms, 1);
        assert_int_equal(config_parse_time("3600s", &ms), 0);
        assert_int_equal(config_parse_time("3600000ms", &ms), 0);
        assert_int_equal(ms, 3600000);

        static const char *const wrong[] = {"",     "s",   "ms",   "-1", "+1",
                                            "1m",   "1 s", " 1",   "1 ", "1.5s",
                                            "0x10", "1h",  "1sms", "1S", "99999999999999999999999999",
                                            "1\n"};
        ms = 7;
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                if (config_parse_time(wrong[i], &ms) != -EINVAL)
                        fail_msg("'%s' is taken as %u", wrong[i], ms);
        static const char *const beyond[] = {"0",         "0ms", "3601", "3600001ms", "18446744073709551616",
                                             "4294967296"};
        for (size_t i = 0; i < ELEMENTSOF(beyond); i++)
                if (config_parse_time(beyond[i], &ms) != -ERANGE)
                        fail_msg("'%s' is taken as %u", beyond[i], ms);
        assert_int_equal(ms, 7);
}

struct run {
        char *root;
        struct vfioctl_ctx *ctx;
        struct lines lines;
        char *error;
        int r;
};

static int set_up(void **state)
{
        struct run *run = calloc(1, sizeof(*run));

        assert_non_null(run);
        run->root = root_new();
        assert_int_equal(vfioctl_ctx_new(run->root, &run->ctx), 0);
        vfioctl_ctx_set_log(run->ctx, lines_log, &run->lines);
        *state = run;
        return 0;
}

static int tear_down(void **state)
{
        struct run *run = *state;

        (void)vfioctl_ctx_free(run->ctx);
        lines_clear(&run->lines);
        root_free(run->root);
        free(run->error);
        free(run);
        return 0;
}

static int read_config(struct run *run)
{
        free(run->error);
        run->error = NULL;
        lines_clear(&run->lines);
        run->r = vfioctl_ctx_read_config(run->ctx, &run->error);
        return run->r;
}

static void test_none(void **state)
{
        struct run *run = *state;

        assert_int_equal(read_config(run), 0);
        assert_int_equal(vfioctl_ctx_placement(run->ctx), VFIOCTL_PLACEMENT_PACK);
        assert_null(vfioctl_ctx_connect_uri(run->ctx));
        assert_int_equal(run->ctx->step_deadline, 30000);
        assert_int_equal(run->lines.count, 0);
        /* A folder with nothing in it, and an empty file. */
        root_mkdir(run->root, CONF ".d");
        assert_int_equal(read_config(run), 0);
        root_put(run->root, CONF, "%s", "");
        assert_int_equal(read_config(run), 0);
        root_put(run->root, CONF, "# only a comment\n\n   \n");
        assert_int_equal(read_config(run), 0);
        assert_int_equal(run->lines.count, 0);
}

static void test_values(void **state)
{
        struct run *run = *state;

        root_put(run->root, CONF,
                 "# a comment\nplacement = spread\nconnect=qemu:///session\n\n  step-deadline = 5s  # why\n"
                 "read-deadline = 100ms\nsettle-deadline=1\nlock-deadline = 2s\n");
        assert_int_equal(read_config(run), 0);
        assert_int_equal(vfioctl_ctx_placement(run->ctx), VFIOCTL_PLACEMENT_SPREAD);
        assert_string_equal(vfioctl_ctx_connect_uri(run->ctx), "qemu:///session");
        assert_int_equal(run->ctx->step_deadline, 5000);
        assert_int_equal(run->ctx->read_deadline, 100);
        assert_int_equal(run->ctx->settle_deadline, 1000);
        assert_int_equal(run->ctx->lock_deadline, 2000);
        if (run->lines.count)
                fail_msg("%s", run->lines.text);
        /* Reading it again leaks nothing and gives the same. */
        assert_int_equal(read_config(run), 0);
        assert_string_equal(vfioctl_ctx_connect_uri(run->ctx), "qemu:///session");
}

static void test_bad_values(void **state)
{
        static const struct {
                const char *text, *line, *says;
        } cases[] = {
                {"placement = sprad\n", ":1:", "pack or spread"},
                {"# x\n\nplacement = Pack\n", ":3:", "pack or spread"},
                {"connect = x\nstep-deadline = soon\n", ":2:", "a time such as"},
                {"step-deadline = 0\n", ":1:", "a time such as"},
                {"step-deadline = 2h\n", ":1:", "a time such as"},
                {"lock-deadline = -5s\n", ":1:", "a time such as"},
                {"connect =\n", ":1:", "a libvirt URI"},
                {"placement =\n", ":1:", "pack or spread"},
                {"placement = nonsense\nplacement = pack\n", ":1:", "pack or spread"},
        };
        struct run *run = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                root_put(run->root, CONF, "%s", cases[i].text);
                if (read_config(run) != -EINVAL)
                        fail_msg("'%s' gives %d", cases[i].text, run->r);
                assert_non_null(run->error);
                assert_contains(run->error, CONF);
                assert_contains(run->error, cases[i].line);
                assert_contains(run->error, cases[i].says);
                assert_null(strchr(run->error, '\n'));
                assert_int_equal(vfioctl_ctx_read_config(run->ctx, NULL), -EINVAL);
        }
}

static void test_nonsense(void **state)
{
        static const char *const texts[] = {
                "placement\n",       "= pack\n", "=\n",  "placement pack\n",
                "\xff\xfe = \x01\n", "[\n",      "[x\n", "]\n",
        };
        struct run *run = *state;

        /* No crash, no hang, and never a half-understood value. */
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                root_put(run->root, CONF, "%s", texts[i]);
                (void)read_config(run);
                if (run->r < 0) {
                        assert_int_equal(run->r, -EINVAL);
                        assert_non_null(run->error);
                }
                assert_int_equal(vfioctl_ctx_placement(run->ctx), VFIOCTL_PLACEMENT_PACK);
        }
        root_bytes(run->root, CONF, "placement\0 = spread\n", 20);
        (void)read_config(run);
}

static void test_unknown(void **state)
{
        struct run *run = *state;

        root_put(run->root, CONF, "placement = spread\nplacment = pack\n[vm]\ncolour = red\n");
        assert_int_equal(read_config(run), 0);
        assert_int_equal(vfioctl_ctx_placement(run->ctx), VFIOCTL_PLACEMENT_SPREAD);
        assert_non_null(run->lines.text);
        assert_contains(run->lines.text, CONF ":2: unknown key 'placment'");
        assert_contains(run->lines.text, "section 'vm'");
}

static void test_drop_ins(void **state)
{
        struct run *run = *state;

        root_put(run->root, "/usr/lib/vfioctl/vfioctl.conf",
                 "placement = spread\nstep-deadline = 1s\n"
                 "read-deadline = 1s\n");
        assert_int_equal(read_config(run), 0);
        assert_int_equal(vfioctl_ctx_placement(run->ctx), VFIOCTL_PLACEMENT_SPREAD);
        assert_int_equal(run->ctx->step_deadline, 1000);

        root_put(run->root, CONF ".d/50-b.conf", "step-deadline = 3s\n");
        root_put(run->root, CONF ".d/10-a.conf", "step-deadline = 2s\nread-deadline = 2s\n");
        root_put(run->root, CONF ".d/90-c.txt", "step-deadline = 9s\n");
        assert_int_equal(read_config(run), 0);
        assert_int_equal(run->ctx->step_deadline, 3000);
        assert_int_equal(run->ctx->read_deadline, 2000);

        /* The file of the admin replaces that of the package; drop-ins stay above both. */
        root_put(run->root, CONF, "lock-deadline = 4s\n");
        (void)vfioctl_ctx_free(run->ctx);
        assert_int_equal(vfioctl_ctx_new(run->root, &run->ctx), 0);
        assert_int_equal(read_config(run), 0);
        assert_int_equal(vfioctl_ctx_placement(run->ctx), VFIOCTL_PLACEMENT_PACK);
        assert_int_equal(run->ctx->step_deadline, 3000);
        assert_int_equal(run->ctx->lock_deadline, 4000);

        /* A bad value names the drop-in that it is in. */
        root_put(run->root, CONF ".d/50-b.conf", "# x\nplacement = none\n");
        assert_int_equal(read_config(run), -EINVAL);
        assert_contains(run->error, "50-b.conf:2:");
}

/* No path is followed out of the root: the promise of vfioctl_ctx_new(). */
static void test_stays_inside(void **state)
{
        struct run *run = *state;
        char *outside = root_new(), target[PATH_MAX];

        root_put(outside, "/vfioctl.conf", "placement = spread\n");
        (void)snprintf(target, sizeof(target), "%s/vfioctl.conf", outside);
        root_link(run->root, CONF, target);
        (void)read_config(run);
        assert_int_equal(vfioctl_ctx_placement(run->ctx), VFIOCTL_PLACEMENT_PACK);
        root_unlink(run->root, CONF);
        root_mkdir(run->root, CONF ".d");
        root_link(run->root, CONF ".d/10-a.conf", target);
        assert_int_equal(read_config(run), -EINVAL);
        assert_contains(run->error, "10-a.conf");
        assert_int_equal(vfioctl_ctx_placement(run->ctx), VFIOCTL_PLACEMENT_PACK);
        /* One that stays inside is followed. */
        root_put(run->root, "/etc/elsewhere", "placement = spread\n");
        root_link(run->root, CONF ".d/10-a.conf", "../../elsewhere");
        assert_int_equal(read_config(run), 0);
        assert_int_equal(vfioctl_ctx_placement(run->ctx), VFIOCTL_PLACEMENT_SPREAD);
        root_free(outside);
}

static void test_root(void **state)
{
        struct vfioctl_ctx *ctx = NULL;
        struct run *run = *state;
        char path[PATH_MAX];

        assert_string_equal(vfioctl_version(), VFIOCTL_VERSION);
        (void)snprintf(path, sizeof(path), "%s/none", run->root);
        assert_int_equal(vfioctl_ctx_new(path, &ctx), -ENOENT);
        root_put(run->root, "/file", "x");
        (void)snprintf(path, sizeof(path), "%s/file", run->root);
        assert_int_equal(vfioctl_ctx_new(path, &ctx), -ENOTDIR);
        assert_int_equal(vfioctl_ctx_new("", &ctx), -ENOENT);
        assert_null(ctx);
        assert_false(vfioctl_ctx_is_live(run->ctx));
        assert_int_equal(vfioctl_ctx_new("/", &ctx), 0);
        assert_true(vfioctl_ctx_is_live(ctx));
        ctx = vfioctl_ctx_free(ctx);
        assert_int_equal(vfioctl_ctx_new("//.", &ctx), 0);
        assert_true(vfioctl_ctx_is_live(ctx));
        ctx = vfioctl_ctx_free(ctx);
        assert_int_equal(vfioctl_ctx_new(NULL, &ctx), 0);
        assert_true(vfioctl_ctx_is_live(ctx));
        assert_null(vfioctl_ctx_free(ctx));
        assert_null(vfioctl_ctx_free(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_time),
                cmocka_unit_test_setup_teardown(test_none, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_bad_values, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_drop_ins, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stays_inside, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_root, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
