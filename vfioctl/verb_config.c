/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"

/* Values longer than this do not push the others' comments to the right. */
#define VALUE_WIDTH_MAX 40

static int width_of(const char *text, int width, int limit)
{
        size_t length = strlen(text);

        return length > (size_t)limit || (int)length < width ? width : (int)length;
}

static int print_settings(const struct vfioctl_ctx *ctx)
{
        size_t count = vfioctl_ctx_setting_count(ctx);
        int name_width = 0, value_width = 0;

        for (size_t i = 0; i < count; i++) {
                name_width = width_of(vfioctl_ctx_setting_name(ctx, i), name_width, VALUE_WIDTH_MAX);
                value_width = width_of(vfioctl_ctx_setting_value(ctx, i), value_width, VALUE_WIDTH_MAX);
        }
        for (size_t i = 0; i < count; i++) {
                const char *file = vfioctl_ctx_setting_file(ctx, i),
                           *value = vfioctl_ctx_setting_value(ctx, i);
                _cleanup_free_ char *shown = malloc(strlen(value) + 4);
                if (!shown)
                        return complain_errno(-ENOMEM, "cannot print the configuration");
                printf("%-*s = %-*s  # ", name_width, vfioctl_ctx_setting_name(ctx, i), value_width,
                       printable(value, shown, strlen(value) + 4));
                if (file)
                        printf("%s:%lu\n", file, vfioctl_ctx_setting_line(ctx, i));
                else
                        printf("default\n");
        }
        return CODE_DONE;
}

static int settings_json(const struct vfioctl_ctx *ctx)
{
        struct json_object *object = json_object_new_object(), *array = json_object_new_array();

        for (size_t i = 0; i < vfioctl_ctx_setting_count(ctx); i++) {
                struct json_object *item = json_object_new_object();
                const char *file = vfioctl_ctx_setting_file(ctx, i);
                json_put(item, "key", json_string(vfioctl_ctx_setting_name(ctx, i)));
                json_put(item, "value", json_string(vfioctl_ctx_setting_value(ctx, i)));
                json_put(item, "file", json_string(file));
                json_put(item, "line",
                         file ? json_object_new_int64((int64_t)vfioctl_ctx_setting_line(ctx, i)) : NULL);
                json_append(array, item);
        }
        json_put(object, "settings", array);
        return json_print(object);
}

static int print_boot(const struct cli *cli)
{
        _cleanup_free_ char *text = NULL;

        int r = vfioctl_ctx_boot_policy(cli->ctx, &text);
        if (r < 0)
                return complain_errno(r, "cannot print the configuration");
        if (cli->options.json) {
                struct json_object *object = json_object_new_object();
                json_put(object, "boot", json_string(text));
                return json_print(object);
        }
        return fputs(text, stdout) >= 0 ? CODE_DONE : CODE_FAILED;
}

static int check(struct cli *cli)
{
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        int code = take_snapshot(cli, REPORT_SNAPSHOT & ~(VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_NAMES),
                                 false, &snapshot);
        if (code != 0)
                return code;
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = vfioctl_check_config(cli->ctx, snapshot, findings);
        if (r < 0)
                return complain_errno(r, "cannot check the configuration");
        code = vfioctl_findings_have_refusal(findings) ? CODE_REFUSED : CODE_DONE;
        if (cli->options.json) {
                struct json_object *object = json_object_new_object(), *array = json_object_new_array();
                json_add_findings(array, findings);
                json_put(object, "findings", array);
                int printed = json_print(object);
                return printed != CODE_DONE ? printed : code;
        }
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                _cleanup_free_ char *shown = malloc(strlen(finding->text) + 4);
                if (!shown)
                        return complain_errno(-ENOMEM, "cannot check the configuration");
                printf("%s  %s: %s\n", vfioctl_severity_name(finding->severity), finding->code,
                       printable(finding->text, shown, strlen(finding->text) + 4));
        }
        if (!cli->options.quiet && vfioctl_findings_count(findings) == 0)
                printf("the configuration is in order\n");
        return code;
}

int verb_config(struct cli *cli)
{
        if (cli->options.check && cli->options.boot) {
                complain("--check and --boot do not go together; give one of them");
                return CODE_USAGE;
        }
        if (cli->options.check)
                return check(cli);
        if (cli->options.boot)
                return print_boot(cli);
        return cli->options.json ? settings_json(cli->ctx) : print_settings(cli->ctx);
}
