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
                {"host-cores = 0\n", ":1:", "from 1 to 4096"},
                {"host-cores = -1\n", ":1:", "from 1 to 4096"},
                {"host-cores = 4097\n", ":1:", "from 1 to 4096"},
                {"host-cores = a few\n", ":1:", "from 1 to 4096"},
                {"host-memory = 8\n", ":1:", "a size such as 8G"},
                {"host-memory = 0G\n", ":1:", "a size such as 8G"},
                {"host-memory = 99T\n", ":1:", "a size such as 8G"},
                {"host-memory = 99999999999G\n", ":1:", "a size such as 8G"},
                {"host-memory = 8GX\n", ":1:", "a size such as 8G"},
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

static struct vfioctl_snapshot *take(struct vfioctl_ctx *ctx)
{
        struct vfioctl_snapshot *snapshot = NULL;

        assert_int_equal(vfioctl_snapshot_take(ctx, 0, &snapshot), 0);
        return snapshot;
}

/* What is ours, where it rests and what it is called, of every GPU in a row. */
static void judge(struct run *run, const char *config, const char *expected)
{
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        char text[1024] = "";
        size_t length = 0;

        (void)vfioctl_ctx_free(run->ctx);
        assert_int_equal(vfioctl_ctx_new(run->root, &run->ctx), 0);
        root_put(run->root, CONF, "%s", config);
        if (read_config(run) < 0)
                fail_msg("%s: %s", config, run->error);
        snapshot = take(run->ctx);
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(snapshot, i);
                const char *alias = vfioctl_gpu_alias(gpu);
                length += (size_t)snprintf(
                        text + length, sizeof(text) - length, "%s%s%s%s", length > 0 ? " " : "",
                        vfioctl_gpu_is_ours(gpu) ? vfioctl_mode_name(vfioctl_gpu_idle(gpu)) : "no",
                        alias ? "=" : "", alias ? alias : "");
                if (alias) {
                        const struct vfioctl_gpu *found = NULL;
                        assert_int_equal(vfioctl_snapshot_find(snapshot, alias, &found), 0);
                        assert_ptr_equal(found, gpu);
                }
                if (!vfioctl_gpu_is_ours(gpu))
                        assert_int_equal(vfioctl_gpu_idle(gpu), VFIOCTL_MODE_NONE);
        }
        if (strcmp(text, expected) != 0)
                fail_msg("%s: '%s', and not '%s'", config, text, expected);
}

/* The board's display (03:00.0), 1a (83:00.0, audio 83:00.1), 1b (84:00.0, audio 84:00.1). */
static int set_up_host(void **state)
{
        struct run *run = calloc(1, sizeof(*run));

        assert_non_null(run);
        run->root = root_from_host("gtx690", NULL);
        assert_int_equal(vfioctl_ctx_new(run->root, &run->ctx), 0);
        vfioctl_ctx_set_log(run->ctx, lines_log, &run->lines);
        *state = run;
        return 0;
}

static void test_policy(void **state)
{
        struct run *run = *state;

        judge(run, "", "no no no");
        judge(run, "gpus =\n", "no no no");
        judge(run, "gpus = all\n", "no vm vm");
        judge(run, "gpus = 1a\n", "no vm no");
        judge(run, "gpus = 83:00.0\n", "no vm no");
        judge(run, "gpus = 0000:84:00.1\n", "no no vm");
        judge(run, "gpus = 10DE:1188\n", "no vm vm");
        judge(run, "gpus = 10de:0e0a\n", "no no no");
        judge(run, "gpus = 1a,1b\n", "no vm vm");
        judge(run, "gpus = , 1a ,,\t1b,\n", "no vm vm");
        judge(run, "gpus = 1a,\n  1b\n", "no vm vm");
        judge(run, "gpus = \"1a 1b\"  # both\n", "no vm vm");
        judge(run, "gpus = 9z 99:00.0 1234:5678 1b\n", "no no vm");
        /* Exceptions win, however the GPU is named. */
        judge(run, "gpus = all\nexcept = 1b\n", "no vm no");
        judge(run, "gpus = 1a 1b\nexcept = 84:00.1\n", "no vm no");
        judge(run, "gpus = 1a 1b\nexcept = 10de:1188\n", "no no no");
        judge(run, "except = 1a\n", "no no no");
        /* The board's own display never. */
        judge(run, "gpus = 03:00.0 1a\n", "no vm no");
        /* Where they rest. */
        judge(run, "gpus = all\nidle = host\n", "no host host");
        judge(run, "gpus = all\nidle-host = 1a\n", "no host vm");
        judge(run, "gpus = all\nidle = host\nidle-vm = 1a\n", "no vm host");
        judge(run, "gpus = all\nidle-host = 10de:1188\nidle-vm = 1b\n", "no host vm");
        judge(run, "gpus = all\nidle = host\nidle-host = 1a\nidle-vm = 83:00.0\n", "no host host");
        judge(run, "gpus = 1a\nidle-host = 1b\n", "no vm no");
        /* Aliases, and lists that use them. */
        judge(run, "alias = left=1a, right=84:00.1\n", "no no=left no=right");
        judge(run, "alias = left = 1a right =1b\ngpus = right\n", "no no=left vm=right");
        judge(run, "gpus = all\nidle-host = a.b-c_9\nalias = a.b-c_9=1b\n", "no vm host=a.b-c_9");
        judge(run, "alias = one=1a, two=83:00.0, out=7z\n", "no no=one no");
}

static void test_named_only(void **state)
{
        static const char *const texts[] = {"right"};
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        const struct vfioctl_gpu *gpu = NULL;
        struct run *run = *state;

        root_put(run->root, CONF, "alias = right=84:00.1\ngpus = 83:00.1\n");
        assert_int_equal(read_config(run), 0);
        assert_int_equal(vfioctl_snapshot_take_for(run->ctx, 0, texts, 1, &snapshot), 0);
        assert_int_equal(vfioctl_snapshot_find(snapshot, "right", &gpu), 0);
        assert_int_equal(vfioctl_gpu_function_count(gpu), 2);
        assert_string_equal(vfioctl_gpu_name(gpu), "1b");
        assert_false(vfioctl_gpu_is_ours(gpu));
        assert_int_equal(vfioctl_snapshot_find(snapshot, "1a", &gpu), 0);
        assert_true(vfioctl_gpu_is_ours(gpu));
}

static void test_bad_policy(void **state)
{
        static const struct {
                const char *text, *line, *says;
        } cases[] = {
                {"gpus = 1a, sideways\n", ":1:", "gpus: 'sideways' is no short name"},
                {"x = 1\ngpus = 1a;1b\n", ":2:", "'1a;1b'"},
                {"gpus = 05:00\n", ":1:", "'05:00'"},
                {"gpus = 0x02:1234\n", ":1:", "'0x02:1234'"},
                {"gpus = 10de:11888\n", ":1:", "'10de:11888'"},
                {"gpus = 10de:-188\n", ":1:", "'10de:-188'"},
                {"gpus = 10de:\n", ":1:", "'10de:'"},
                {"gpus = all 1a\n", ":1:", "'all' stands alone"},
                {"gpus = All\n", ":1:", "'All'"},
                {"except = left\n", ":1:", "except: 'left'"},
                {"idle = none\n", ":1:", "vm or host"},
                {"idle =\n", ":1:", "vm or host"},
                {"idle-host = 1a\n\nidle-vm = 1b 1a\n", ":3:", "'1a' is in idle-host and in idle-vm"},
                {"idle-host = x\nalias = x=1a\nidle-vm = 1a\n", ":3:", "idle-host and in idle-vm"},
                {"alias = left\n", ":1:", "'left' is not name=GPU"},
                {"alias = left=\n", ":1:", "'left=' is not name=GPU"},
                {"alias = =1a\n", ":1:", "'=1a' is not name=GPU"},
                {"alias = 2a=1a\n", ":1:", "'2a' is no name for a GPU"},
                {"alias = 05:00.0=1a\n", ":1:", "'05:00.0' is no name for a GPU"},
                {"alias = -x=1a\n", ":1:", "'-x' is no name for a GPU"},
                {"alias = all=1a\n", ":1:", "'all' is no name for a GPU"},
                {"alias = a23456789012345678901234567890123=1a\n", ":1:", "at most 32"},
                {"alias = left=right\n", ":1:", "'right' is not one GPU"},
                {"alias = left=10de:1188\n", ":1:", "'10de:1188' is not one GPU"},
                {"alias = left=all\n", ":1:", "'all' is not one GPU"},
                {"alias = left=1a, left=1b\n", ":1:", "'left' is there twice"},
                {"alias = left=1a, left=1a\n", ":1:", "'left' is there twice"},
                {"alias = left=83:00.0, l=0000:83:00.0\n", ":1:", "'0000:83:00.0' has two names"},
                {"hook-deadline = never\n", ":1:", "a time such as"},
        };
        struct run *run = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                (void)vfioctl_ctx_free(run->ctx);
                assert_int_equal(vfioctl_ctx_new(run->root, &run->ctx), 0);
                root_put(run->root, CONF, "%s", cases[i].text);
                if (read_config(run) != -EINVAL)
                        fail_msg("'%s' gives %d", cases[i].text, run->r);
                assert_contains(run->error, CONF);
                assert_contains(run->error, cases[i].line);
                assert_contains(run->error, cases[i].says);
                assert_true(vfioctl_findings_have_refusal(vfioctl_ctx_config_findings(run->ctx)));
        }
}

/* All that is wrong, and not the first fault only. */
static void test_all_findings(void **state)
{
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        struct vfioctl_findings *findings = NULL;
        struct run *run = *state;

        assert_null(vfioctl_ctx_config_findings(run->ctx));
        root_put(run->root, CONF, "idle = x\nplacement = y\nfoo = 1\nidle = vm\n[s]\ngpus = 1a\n");
        root_put(run->root, CONF ".d/10-a.conf",
                 "gpus = 03:00.0 9z 1a\nalias = one=83:00.0 two=1a gone=8b\n");
        assert_int_equal(read_config(run), -EINVAL);
        assert_contains(run->error, ":1: idle = 'x'");
        snapshot = take(run->ctx);
        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_check_config(run->ctx, snapshot, findings), 0);
        _cleanup_free_ char *dump = findings_dump(findings);
        assert_contains(dump, CONF ":1: idle = 'x' is not vm or host");
        assert_contains(dump, CONF ":2: placement = 'y' is not");
        assert_contains(dump, CONF ":3: unknown key 'foo'");
        assert_contains(dump, CONF ":4: 'idle' is there a second time and is ignored; line 1 counts");
        assert_contains(dump, "section 's'");
        assert_contains(dump, "10-a.conf:1: gpus = 9z matches no GPU");
        assert_contains(dump, "10-a.conf:1: gpus = 0000:03:00.0 is the host's display");
        assert_contains(dump, "10-a.conf:2: alias = gone=8b matches no GPU");
        assert_contains(dump, "10-a.conf:2: 1a is called one already");
        assert_lacks(dump, "gpus = 1a");
        (void)vfioctl_findings_free(findings);
}

static size_t setting(const struct vfioctl_ctx *ctx, const char *name)
{
        for (size_t i = 0; i < vfioctl_ctx_setting_count(ctx); i++)
                if (util_equal(vfioctl_ctx_setting_name(ctx, i), name))
                        return i;
        fail_msg("there is no %s", name);
        return 0;
}

static void test_settings(void **state)
{
        struct run *run = *state;
        size_t gpus = setting(run->ctx, "gpus"), idle = setting(run->ctx, "idle");
        size_t count = vfioctl_ctx_setting_count(run->ctx), hook = setting(run->ctx, "hook-deadline");

        assert_string_equal(vfioctl_ctx_setting_value(run->ctx, hook), "10s");
        assert_null(vfioctl_ctx_setting_file(run->ctx, hook));
        assert_int_equal(vfioctl_ctx_hook_deadline(run->ctx), 10000);
        assert_null(vfioctl_ctx_setting_name(run->ctx, count));
        assert_null(vfioctl_ctx_setting_value(run->ctx, count));
        root_put(run->root, CONF, "\n  gpus = 1a,\n   1b\nidle = host\nhook-deadline = 3s\n");
        root_put(run->root, CONF ".d/10-a.conf", "#\n#\nidle = vm\n");
        /* A line longer than any buffer is one line. */
        char long_line[6000];
        memset(long_line, 'x', sizeof(long_line));
        memcpy(long_line, "#", 1);
        memcpy(long_line + sizeof(long_line) - 13, "\nidle = vm\n", 12);
        root_bytes(run->root, CONF ".d/20-b.conf", long_line, sizeof(long_line) - 1);
        assert_int_equal(read_config(run), 0);
        assert_string_equal(vfioctl_ctx_setting_value(run->ctx, gpus), "1a, 1b");
        assert_int_equal(vfioctl_ctx_setting_line(run->ctx, gpus), 2);
        assert_contains(vfioctl_ctx_setting_file(run->ctx, gpus), CONF);
        assert_string_equal(vfioctl_ctx_setting_value(run->ctx, idle), "vm");
        assert_contains(vfioctl_ctx_setting_file(run->ctx, idle), "20-b.conf");
        assert_int_equal(vfioctl_ctx_setting_line(run->ctx, idle), 2);
        assert_int_equal(vfioctl_ctx_hook_deadline(run->ctx), 3000);
        assert_null(vfioctl_ctx_setting_file(run->ctx, setting(run->ctx, "placement")));
        assert_string_equal(vfioctl_ctx_setting_value(run->ctx, setting(run->ctx, "placement")), "pack");
}

static char *boot_text(struct run *run, const char *config)
{
        char *text = NULL;

        (void)vfioctl_ctx_free(run->ctx);
        assert_int_equal(vfioctl_ctx_new(run->root, &run->ctx), 0);
        root_put(run->root, CONF, "%s", config);
        assert_int_equal(read_config(run), 0);
        assert_int_equal(vfioctl_ctx_boot_policy(run->ctx, &text), 0);
        return text;
}

static void test_boot_policy(void **state)
{
        struct run *run = *state;
        _cleanup_free_ char *none = boot_text(run, ""), *other_none = boot_text(run, "gpus=\nexcept = 1a\n");
        _cleanup_free_ char *one =
                boot_text(run, "gpus = 1b, left 10DE:1188,1b\nexcept=84:00.0\nalias=left=1a\n");
        _cleanup_free_ char *same =
                boot_text(run, "# x\nplacement = spread\nidle = vm\nexcept = 0000:84:00.0\n"
                               "gpus = 1a 10de:1188 1b\nalias = right=1b\n");
        _cleanup_free_ char *other =
                boot_text(run, "gpus = 1b, left 10de:1188\nexcept=84:00.0\nalias=left=2a\n");

        assert_string_equal(none, "gpus =\n");
        assert_string_equal(none, other_none);
        assert_string_equal(one, "gpus = 10de:1188, 1a, 1b\nexcept = 0000:84:00.0\nidle = vm\nidle-host =\n"
                                 "idle-vm =\n");
        assert_string_equal(one, same);
        assert_string_not_equal(one, other);
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
                cmocka_unit_test_setup_teardown(test_policy, set_up_host, tear_down),
                cmocka_unit_test_setup_teardown(test_named_only, set_up_host, tear_down),
                cmocka_unit_test_setup_teardown(test_bad_policy, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_all_findings, set_up_host, tear_down),
                cmocka_unit_test_setup_teardown(test_settings, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_boot_policy, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stays_inside, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_root, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
