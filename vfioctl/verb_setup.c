/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "installation.h"
#include "paths.h"
#include "report.h"

#include <sys/utsname.h>
#include <unistd.h>

static int tell(struct installation *installation, enum vfioctl_severity severity, const char *code,
                const char *path, const char *fix, const char *format, ...) _printf_(6, 7);

static int tell(struct installation *installation, enum vfioctl_severity severity, const char *code,
                const char *path, const char *fix, const char *format, ...)
{
        struct vfioctl_finding finding = {.severity = severity, .code = code, .culprit = path, .fix = fix};
        char text[400];
        va_list arguments;

        va_start(arguments, format);
        int length = vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        if (length < 0)
                return -EINVAL;
        finding.text = text;
        return vfioctl_findings_add(installation->findings, &finding);
}

/* ---- which GPUs ---- */

/* A display controller that PCs call VGA compatible: one that a screen may hang on. */
static bool is_vga(const struct vfioctl_gpu *gpu)
{
        return vfioctl_function_class(vfioctl_gpu_function(gpu, 0)) >> 8 == 0x0300;
}

static bool is_only_display(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu)
{
        size_t count = 0;

        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(snapshot); i++)
                count += is_vga(vfioctl_snapshot_gpu(snapshot, i));
        return is_vga(gpu) && count == 1;
}

static bool is_display(const struct vfioctl_gpu *gpu)
{
        return vfioctl_gpu_is_on_board(gpu) || vfioctl_gpu_is_boot_display(gpu);
}

static int add_gpu(char **list, const struct vfioctl_gpu *gpu)
{
        char *longer;

        int r = util_format(&longer, "%s%s%s", *list ? *list : "", *list ? ", " : "", vfioctl_gpu_name(gpu));
        if (r < 0)
                return r;
        free(*list);
        *list = longer;
        return 0;
}

static int choose_named(struct installation *installation, const struct vfioctl_gpu *const *gpus,
                        size_t count, char **list)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < count; i++) {
                const struct vfioctl_finding finding = {
                        .severity = VFIOCTL_REFUSAL,
                        .code = "boot-display",
                        .gpu = vfioctl_gpu_address(gpus[i]),
                        .text = "it is the host's display, and is never handed out",
                };
                r = is_display(gpus[i]) ? vfioctl_findings_add(installation->findings, &finding)
                                        : add_gpu(list, gpus[i]);
        }
        return r;
}

static int choose_ready(struct installation *installation, const struct vfioctl_snapshot *snapshot,
                        char **list)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < vfioctl_snapshot_gpu_count(snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(snapshot, i);
                if (!is_display(gpu) && !is_only_display(snapshot, gpu) &&
                    vfioctl_gpu_is_ready(snapshot, gpu))
                        r = add_gpu(list, gpu);
        }
        if (r >= 0 && !*list)
                r = tell(installation, VFIOCTL_REFUSAL, "none-ready", NULL, "vfioctl check",
                         "no GPU of this host is ready for VMs and none is set in the configuration");
        return r;
}

static size_t gpus_setting(const struct vfioctl_ctx *ctx)
{
        size_t i = 0;

        while (!util_equal(vfioctl_ctx_setting_name(ctx, i), "gpus"))
                i++;
        return i;
}

/* What `gpus` is set to already, by the admin or by an earlier setup, stays, and it is said. */
static int keep_setting(struct cli *cli, struct installation *installation, const char *file,
                        const char *list)
{
        size_t index = gpus_setting(cli->ctx);
        const char *value = vfioctl_ctx_setting_value(cli->ctx, index);
        char text[300];

        if (list && !util_equal(list, value))
                return tell(installation, VFIOCTL_REFUSAL, "gpus-set", file, NULL,
                            "gpus is set in %s:%lu; change it there", file,
                            vfioctl_ctx_setting_line(cli->ctx, index));
        (void)snprintf(text, sizeof(text), "gpus = %s is kept, from %s:%lu", value, file,
                       vfioctl_ctx_setting_line(cli->ctx, index));
        const struct vfioctl_finding finding = {
                .severity = VFIOCTL_NOTE, .code = "gpus-set", .culprit = file, .text = text};
        return vfioctl_findings_add(installation->findings, &finding);
}

static int plan_config(struct cli *cli, struct installation *installation,
                       const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *const *gpus)
{
        const char *file = vfioctl_ctx_setting_file(cli->ctx, gpus_setting(cli->ctx));
        struct entry now = {.kind = ENTRY_NONE}, wanted = {.kind = ENTRY_FILE};
        _cleanup_free_ char *list = NULL;
        int r = 0;

        if (cli->n_arguments > 0)
                r = choose_named(installation, gpus, cli->n_arguments, &list);
        if (r >= 0 && file && !(cli->n_arguments > 0 && is_setup_config(file)))
                return keep_setting(cli, installation, file, list);
        if (r >= 0 && cli->n_arguments == 0)
                r = choose_ready(installation, snapshot, &list);
        if (r < 0 || !list)
                return r;
        r = rootfs_look(&installation->fs, PATH_SETUP_CONFIG, &now);
        if (r >= 0)
                r = config_text(list, &wanted.text);
        if (r >= 0 && now.kind != ENTRY_NONE && (now.kind != ENTRY_FILE || !config_is_ours(now.text)))
                r = tell(installation, VFIOCTL_REFUSAL, "file-edited", PATH_SETUP_CONFIG, NULL,
                         "%s was changed by somebody else; change gpus there, or remove it",
                         PATH_SETUP_CONFIG);
        else if (r >= 0)
                r = installation_put(installation, PATH_SETUP_CONFIG, &wanted);
        entry_clear(&now);
        entry_clear(&wanted);
        return r;
}

/* ---- links and the rest ---- */

static int plan_link(struct installation *installation, const char *path, const char *target)
{
        struct entry wanted = {.kind = ENTRY_LINK, .text = (char *)(uintptr_t)target};
        _cleanup_entry_ struct entry now = {.kind = ENTRY_NONE};

        int r = rootfs_look(&installation->fs, path, &now);
        if (r < 0)
                return r;
        if (now.kind != ENTRY_NONE && !entry_equal(&now, &wanted))
                return tell(installation, VFIOCTL_REFUSAL, "file-foreign", path, NULL,
                            "%s is there and not ours: it should be a link to %s; move it away", path,
                            target);
        return installation_put(installation, path, &wanted);
}

static int plan_cron(struct installation *installation)
{
        struct entry wanted = {.kind = ENTRY_FILE, .text = (char *)(uintptr_t)cron_text()};
        _cleanup_entry_ struct entry now = {.kind = ENTRY_NONE};

        int r = rootfs_look(&installation->fs, PATH_CRON, &now);
        if (r < 0)
                return r;
        if (now.kind != ENTRY_NONE && !entry_equal(&now, &wanted))
                return tell(installation, VFIOCTL_REFUSAL, "file-foreign", PATH_CRON, NULL,
                            "%s is there and not ours, or was changed; move it away", PATH_CRON);
        return installation_put(installation, PATH_CRON, &wanted);
}

static int plan_unit(struct installation *installation, const char *path, const char *unit, bool is_wanted)
{
        if (!rootfs_exists(&installation->fs, unit))
                return is_wanted ? tell(installation, VFIOCTL_REFUSAL, "not-installed", unit, NULL,
                                        "there is no %s", unit)
                                 : 0;
        return plan_link(installation, path, unit);
}

static int plan_files(struct cli *cli, struct installation *installation)
{
        int r = 0;

        if (!rootfs_exists(&installation->fs, installed_program))
                r = tell(installation, VFIOCTL_REFUSAL, "not-installed", installed_program, "meson install",
                         "there is no %s for libvirt to call", installed_program);
        if (r >= 0)
                r = plan_link(installation, PATH_HOOK_QEMU, installed_program);
        if (r >= 0)
                r = plan_link(installation, PATH_HOOK_DAEMON, installed_program);
        if (r >= 0)
                r = plan_unit(installation, PATH_BOOT_WANTED, installed_boot_unit, false);
        if (r >= 0 && cli->options.timer)
                r = plan_unit(installation, PATH_TIMER_WANTED, installed_timer, true);
        if (r >= 0 && cli->options.cron)
                r = plan_cron(installation);
        return r;
}

/* True when it is known that the running kernel's initramfs was made from another configuration. */
static bool is_stale(const struct cli *cli, const struct installation *installation)
{
        _cleanup_entry_ struct entry copy = {.kind = ENTRY_NONE};
        _cleanup_free_ char *policy = NULL;
        struct utsname name;
        char path[512];

        if (uname(&name) < 0 || vfioctl_ctx_boot_policy(cli->ctx, &policy) < 0)
                return false;
        (void)snprintf(path, sizeof(path), PATH_INITRAMFS_COPIES "/%s", name.release);
        return rootfs_look(&installation->fs, path, &copy) >= 0 && copy.kind == ENTRY_FILE &&
               !util_equal(copy.text, policy);
}

static int plan_acts(struct cli *cli, struct installation *installation)
{
        static const char *const reload[] = {PATH_SYSTEMCTL, "daemon-reload", NULL};
        static const char *const start[] = {PATH_SYSTEMCTL, "start", "vfioctl-reconcile.timer", NULL};
        const char *const *initramfs = installation_initramfs(installation);
        bool timer = installation_changes(installation, PATH_TIMER_WANTED);
        int r = 0;

        if (initramfs && !cli->options.no_initramfs) {
                if (installation_changes(installation, PATH_SETUP_CONFIG) ||
                    !installation_recorded(installation, "initramfs", initramfs[0]) ||
                    is_stale(cli, installation))
                        installation_run(installation, initramfs, true, NULL);
                r = installation_note(installation, "initramfs", initramfs[0], NULL);
        }
        if (installation->fs.is_live && rootfs_exists(&installation->fs, PATH_SYSTEMD_RUNS)) {
                if (timer || installation_changes(installation, PATH_BOOT_WANTED))
                        installation_run(installation, reload, false, "systemctl daemon-reload");
                if (timer)
                        installation_run(installation, start, false,
                                         "systemctl start vfioctl-reconcile.timer");
        }
        if (installation_changes(installation, PATH_HOOK_QEMU) ||
            installation_changes(installation, PATH_HOOK_DAEMON))
                installation_reload(installation);
        return r;
}

static int plan(struct cli *cli, struct installation *installation)
{
        _cleanup_free_ const struct vfioctl_gpu **gpus = NULL;
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;

        int code = take_snapshot(cli, REPORT_SNAPSHOT & ~VFIOCTL_SNAPSHOT_NAMES, false, &snapshot);
        if (code == 0)
                code = find_gpus(snapshot, cli->arguments, cli->n_arguments, &gpus);
        if (code != 0)
                return code;
        int r = installation_open(cli, installation);
        if (r >= 0)
                r = plan_config(cli, installation, snapshot, gpus);
        if (r >= 0)
                r = plan_files(cli, installation);
        if (r >= 0)
                r = plan_acts(cli, installation);
        if (r >= 0)
                r = installation_finish(installation);
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        if (!cli->options.json)
                print_findings(snapshot, installation->findings,
                               cli->options.quiet ? VFIOCTL_REFUSAL : VFIOCTL_NOTE);
        return 0;
}

int verb_setup(struct cli *cli)
{
        _cleanup_installation_ struct installation installation = {.fs.fd = -1};
        _cleanup_lock_ struct vfioctl_lock *lock = NULL;

        if (cli->options.timer && cli->options.cron) {
                complain("--timer and --cron do the same; give one of them");
                return CODE_USAGE;
        }
        if (!cli->options.dry_run) {
                if (vfioctl_ctx_is_live(cli->ctx) && geteuid() != 0)
                        return complain_errno(-EPERM, "nothing was changed");
                int r = vfioctl_lock_admin(cli->ctx, &lock);
                if (r < 0)
                        return complain_errno(r, "nothing was changed");
        }
        int code = plan(cli, &installation);
        if (code != 0)
                return code;
        if (vfioctl_findings_have_refusal(installation.findings)) {
                if (cli->options.json && installation_print(&installation) != CODE_DONE)
                        return CODE_FAILED;
                complain("nothing was changed");
                return CODE_REFUSED;
        }
        if (!cli->options.dry_run) {
                code = installation_apply(&installation);
                if (code != CODE_DONE)
                        return code;
        }
        return installation_print(&installation);
}
