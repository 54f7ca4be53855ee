/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "installation.h"
#include "paths.h"
#include "report.h"

#include <unistd.h>

/* Somebody else's, or ours with something changed in it: left, and said. */
static int leave(struct installation *installation, enum vfioctl_severity severity, const char *code,
                 const char *path, const char *format)
{
        struct vfioctl_finding finding = {.severity = severity, .code = code, .culprit = path};
        char text[400];

        (void)snprintf(text, sizeof(text), "%s %s", path, format);
        finding.text = text;
        return vfioctl_findings_add(installation->findings, &finding);
}

static int plan_link(struct installation *installation, const char *path, const char *target)
{
        _cleanup_entry_ struct entry now = {.kind = ENTRY_NONE};

        int r = rootfs_look(&installation->fs, path, &now);
        if (r < 0 || now.kind == ENTRY_NONE)
                return r;
        /* A vfioctl with another prefix may have made it: then the record has the target. */
        if (now.kind == ENTRY_LINK &&
            (util_equal(now.text, target) || installation_recorded_link(installation, path, now.text)))
                return installation_remove(installation, path);
        return leave(installation, VFIOCTL_WARNING, "file-foreign", path, "is not ours, and is left");
}

static int plan_files(struct installation *installation)
{
        _cleanup_entry_ struct entry config = {.kind = ENTRY_NONE}, cron = {.kind = ENTRY_NONE};

        int r = rootfs_look(&installation->fs, PATH_SETUP_CONFIG, &config);
        if (r >= 0 && config.kind == ENTRY_FILE && config_is_ours(config.text))
                r = installation_remove(installation, PATH_SETUP_CONFIG);
        else if (r >= 0 && config.kind != ENTRY_NONE)
                r = leave(installation, VFIOCTL_WARNING, "file-edited", PATH_SETUP_CONFIG,
                          "was changed since setup wrote it, and is left; remove it if it is to go");
        if (r >= 0)
                r = plan_link(installation, PATH_HOOK_QEMU, installed_program);
        if (r >= 0)
                r = plan_link(installation, PATH_HOOK_DAEMON, installed_program);
        if (r >= 0)
                r = plan_link(installation, PATH_BOOT_WANTED, installed_boot_unit);
        if (r >= 0)
                r = plan_link(installation, PATH_TIMER_WANTED, installed_timer);
        if (r >= 0)
                r = rootfs_look(&installation->fs, PATH_CRON, &cron);
        if (r >= 0 && cron.kind == ENTRY_FILE && util_equal(cron.text, cron_text()))
                r = installation_remove(installation, PATH_CRON);
        else if (r >= 0 && cron.kind != ENTRY_NONE)
                r = leave(installation, VFIOCTL_WARNING, "file-edited", PATH_CRON,
                          "is not as setup writes it, and is left; remove it if it is to go");
        return r;
}

static void plan_acts(struct installation *installation)
{
        static const char *const reload[] = {PATH_SYSTEMCTL, "daemon-reload", NULL};
        static const char *const stop[] = {PATH_SYSTEMCTL, "stop", "vfioctl-reconcile.timer", NULL};
        const char *const *initramfs = installation_initramfs(installation);
        bool timer = installation_changes(installation, PATH_TIMER_WANTED);
        bool boot = installation_changes(installation, PATH_BOOT_WANTED);

        if (installation->fs.is_live && rootfs_exists(&installation->fs, PATH_SYSTEMD_RUNS)) {
                if (timer)
                        installation_run(installation, stop, false, "systemctl stop vfioctl-reconcile.timer");
                if (timer || boot)
                        installation_run(installation, reload, false, "systemctl daemon-reload");
        }
        if (installation_changes(installation, PATH_HOOK_QEMU) ||
            installation_changes(installation, PATH_HOOK_DAEMON))
                installation_reload(installation);
        /* An image from before knows these GPUs. Which tool made it does not matter: one of them does now. */
        if (initramfs && (boot || installation_changes(installation, PATH_SETUP_CONFIG) ||
                          installation_recorded(installation, "initramfs", initramfs[0])))
                installation_run(installation, initramfs, false,
                                 util_equal(initramfs[0], PATH_DRACUT) ? "dracut --force"
                                                                       : "update-initramfs -u");
}

/* The admin's own setting is not ours to take out, and what boots by it still does. */
static int tell_of_gpus(const struct cli *cli, struct installation *installation)
{
        for (size_t i = 0; i < vfioctl_ctx_setting_count(cli->ctx); i++) {
                const char *file = vfioctl_ctx_setting_file(cli->ctx, i);
                char text[400];
                if (!util_equal(vfioctl_ctx_setting_name(cli->ctx, i), "gpus") || !file ||
                    !*vfioctl_ctx_setting_value(cli->ctx, i) || is_setup_config(file))
                        continue;
                (void)snprintf(text, sizeof(text),
                               "gpus is still set in %s:%lu, so GPUs still go to vfio-pci when they appear",
                               file, vfioctl_ctx_setting_line(cli->ctx, i));
                const struct vfioctl_finding finding = {
                        .severity = VFIOCTL_WARNING, .code = "gpus-set", .culprit = file, .text = text};
                return vfioctl_findings_add(installation->findings, &finding);
        }
        return 0;
}

static int plan(struct cli *cli, struct installation *installation)
{
        int r = installation_open(cli, installation);

        if (r >= 0)
                r = plan_files(installation);
        if (r >= 0) {
                plan_acts(installation);
                r = tell_of_gpus(cli, installation);
        }
        free(installation->record_new);
        installation->record_new = NULL;
        if (r >= 0)
                r = installation_finish(installation);
        if (r >= 0)
                r = installation_remove_folders(installation);
        return r < 0 ? complain_errno(r, "nothing was changed") : 0;
}

static bool is_edited(const struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++)
                if (util_equal(vfioctl_findings_get(findings, i)->code, "file-edited"))
                        return true;
        return false;
}

int verb_undo(struct cli *cli)
{
        _cleanup_installation_ struct installation installation = {.fs.fd = -1};
        _cleanup_lock_ struct vfioctl_lock *lock = NULL;

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
        if (!cli->options.json && !cli->options.quiet)
                print_findings(NULL, installation.findings, VFIOCTL_WARNING);
        bool any = installation.n_changes > 0;
        if (!cli->options.dry_run) {
                code = installation_apply(&installation);
                if (code != CODE_DONE)
                        return code;
        }
        code = installation_print(&installation);
        if (any && code == CODE_DONE && !cli->options.json && !cli->options.quiet)
                printf("GPUs stay in their present mode until the next boot, or vfioctl to-host. Every VM "
                       "starts as "
                       "before:\nlibvirt itself binds what a definition with managed='yes' names.\n");
        return code == CODE_DONE && is_edited(installation.findings) ? CODE_REFUSED : code;
}
