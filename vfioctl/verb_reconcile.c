/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile.h"
#include "json.h"

#include <unistd.h>

/* All that libvirt gets in one run. It answers for a VM only when its start is over, which may take a while.
 */
#define LIBVIRT_MS 20000

void reconcile_changed(struct reconcile *reconcile, const struct vfioctl_gpu *gpu, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        if (vasprintf(&text, format, arguments) < 0)
                text = NULL;
        va_end(arguments);
        const char *line = text ? text : strerror(ENOMEM);
        int r = vfioctl_findings_add(reconcile->changes,
                                     &(struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                               .code = "changed",
                                                               .gpu = gpu ? vfioctl_gpu_address(gpu) : NULL,
                                                               .text = line});
        if (r < 0)
                reconcile->failed = true;
        const char *name = gpu ? vfioctl_gpu_name(gpu) : "", *separator = gpu ? ": " : "";
        if (reconcile->cli->options.dry_run) {
                if (!reconcile->cli->options.json)
                        printf("%s%s%s\n", name, separator, line);
                return;
        }
        if (!reconcile->cli->options.quiet)
                complain("reconcile: %s%s%s", name, separator, line);
        journal(reconcile->cli, false, "reconcile: %s%s%s", name, separator, line);
}

void reconcile_problem(struct reconcile *reconcile, struct vfioctl_finding finding, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        if (vasprintf(&text, format, arguments) < 0)
                text = NULL;
        va_end(arguments);
        finding.text = text ? text : strerror(ENOMEM);
        if (vfioctl_findings_add(reconcile->problems, &finding) < 0)
                reconcile->failed = true;
}

void reconcile_failed(struct reconcile *reconcile, const struct vfioctl_gpu *gpu, const char *what, int error)
{
        reconcile->failed = true;
        reconcile_problem(reconcile,
                          (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                   .code = "step-failed",
                                                   .gpu = gpu ? vfioctl_gpu_address(gpu) : NULL},
                          "%s: %s", what, strerror(-error));
}

void reconcile_mark_mended(struct reconcile *reconcile, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; reconcile->vms && i < vfioctl_vms_count(reconcile->vms); i++)
                reconcile->mended[i] |= vfioctl_vms_defines_gpu(reconcile->vms, i, gpu);
}

/* ---- libvirt ---- */

static int ask_libvirt(struct reconcile *reconcile, struct vfioctl_findings *findings)
{
        struct cli *cli = reconcile->cli;

        int r = reconcile->virt ? 0 : virt_load(&reconcile->calls);
        if (r >= 0 && !reconcile->virt)
                r = reconcile->calls.open_within(virt_uri(cli), false, LIBVIRT_MS, findings,
                                                 &reconcile->virt);
        if (r >= 0)
                r = reconcile->calls.list(reconcile->virt, findings, &reconcile->vms);
        if (r < 0)
                return r;
        size_t count = vfioctl_vms_count(reconcile->vms);
        free(reconcile->mended);
        reconcile->mended = calloc(count ? count : 1, sizeof(*reconcile->mended));
        return reconcile->mended ? 0 : -ENOMEM;
}

static void read_vms(struct reconcile *reconcile)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        /* A simulated host has no libvirt, unless it is told which. */
        if (!virt_uri(reconcile->cli) && !vfioctl_ctx_is_live(reconcile->cli->ctx))
                return;
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = ask_libvirt(reconcile, findings);
        for (size_t i = 0; findings && i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                reconcile_problem(reconcile, *finding, "%s", finding->text);
        }
        if (r >= 0)
                return;
        reconcile->vms = vfioctl_vms_free(reconcile->vms);
        if (!findings || vfioctl_findings_count(findings) == 0)
                reconcile_failed(reconcile, NULL, "libvirt cannot be asked", r);
}

/* ---- how it ends ---- */

static int problems_text(const struct reconcile *reconcile, char **ret)
{
        _cleanup_free_ char *text = NULL;

        int r = util_copy("", &text);
        for (size_t i = 0; r >= 0 && i < vfioctl_findings_count(reconcile->problems); i++) {
                char *longer;
                _cleanup_free_ char *line =
                        finding_line(reconcile->snapshot, vfioctl_findings_get(reconcile->problems, i));
                r = line ? util_format(&longer, "%s%s\n", text, line) : -ENOMEM;
                if (r >= 0) {
                        free(text);
                        text = longer;
                }
        }
        if (r >= 0)
                *ret = util_steal(text);
        return r;
}

/* Whole lines only. */
static bool has_line(const char *text, const char *line, size_t length)
{
        for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
                if (strncmp(at, line, length) == 0 && (at[length] == '\n' || !at[length]))
                        return true;
        return false;
}

/* Cron mails what is printed: so what was said in the last run is not said again, but to a person. */
static void tell_problems(const struct reconcile *reconcile, const char *now, const char *before)
{
        bool all = isatty(STDERR_FILENO) == 1 || reconcile->cli->options.verbose ||
                   reconcile->cli->options.dry_run;

        for (const char *line = now; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                int length = (int)strcspn(line, "\n");
                bool is_new = !before || !has_line(before, line, (size_t)length);
                if (is_new || all)
                        complain("reconcile: %.*s", length, line);
                if (is_new && !reconcile->cli->options.dry_run)
                        journal(reconcile->cli, true, "reconcile: %.*s", length, line);
        }
}

static int exit_code(const struct reconcile *reconcile)
{
        if (reconcile->failed)
                return CODE_FAILED;
        return vfioctl_findings_have_refusal(reconcile->problems) ? CODE_REFUSED : CODE_DONE;
}

static bool has_problem(const struct reconcile *reconcile, const char *code)
{
        for (size_t i = 0; i < vfioctl_findings_count(reconcile->problems); i++)
                if (util_equal(vfioctl_findings_get(reconcile->problems, i)->code, code))
                        return true;
        return false;
}

/* What the next run may rely on: only a run that changed nothing, and saw all there is, leaves a stamp. */
static int finish(struct reconcile *reconcile, const struct vfioctl_stamp *stamp)
{
        _cleanup_free_ char *now = NULL, *before = NULL;
        struct vfioctl_stamp old;
        int code = exit_code(reconcile), old_code;
        int64_t when;
        bool known;

        int r = problems_text(reconcile, &now);
        if (r < 0)
                return complain_errno(r, "reconcile");
        if (vfioctl_stamp_read(reconcile->cli->ctx, &old, &known, &old_code, &when, &before) < 0)
                before = NULL;
        if (reconcile->cli->options.json)
                print_reconcile_json(reconcile->changes, reconcile->problems, code);
        else
                tell_problems(reconcile, now, before);
        if (reconcile->cli->options.dry_run)
                return code;
        bool settled = vfioctl_findings_count(reconcile->changes) == 0 && code != CODE_FAILED &&
                       !reconcile->waits && !has_problem(reconcile, "libvirt-unreachable") &&
                       !has_problem(reconcile, "libvirt-failed");
        r = vfioctl_stamp_save(reconcile->cli->ctx, settled ? stamp : NULL, code, now);
        return r < 0 ? complain_errno(r, "reconcile: cannot note that it ran") : code;
}

static void close_all(struct reconcile *reconcile)
{
        if (reconcile->virt)
                reconcile->calls.free(reconcile->virt);
        vfioctl_vms_free(reconcile->vms);
        vfioctl_snapshot_free(reconcile->snapshot);
        vfioctl_findings_free(reconcile->problems);
        vfioctl_findings_free(reconcile->changes);
        vfioctl_lock_free(reconcile->lock);
        free(reconcile->mended);
}

/*
 * The host first, for a claim that is older than libvirt's answer can be called stale. Who has a GPU open is
 * looked for only where something is to be done: that costs more than all the rest.
 */
static int look(struct reconcile *reconcile, unsigned int flags)
{
        bool asks = !reconcile->snapshot || reconcile->vms;

        reconcile->snapshot = vfioctl_snapshot_free(reconcile->snapshot);
        int code = take_snapshot(reconcile->cli, flags, false, &reconcile->snapshot);
        if (code != 0)
                return code;
        if (asks) {
                reconcile->vms = vfioctl_vms_free(reconcile->vms);
                read_vms(reconcile);
        }
        /* After that: a daemon that was asleep has greeted by then. */
        reconcile->hook_is_live = vfioctl_hook_is_live(reconcile->cli->ctx);
        return 0;
}

static int run(struct reconcile *reconcile)
{
        struct cli *cli = reconcile->cli;
        struct vfioctl_stamp stamp;

        /* All that is looked at is looked at after this, so what changes meanwhile shows in the next stamp.
         */
        bool proves = vfioctl_stamp_take(cli->ctx, &stamp);
        int code = look(reconcile, VFIOCTL_SNAPSHOT_DETAILS | VFIOCTL_SNAPSHOT_CHANGE);
        if (code == 0 && !reconcile_is_settled(reconcile))
                code = look(reconcile, VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST |
                                               VFIOCTL_SNAPSHOT_DETAILS | VFIOCTL_SNAPSHOT_CHANGE);
        if (code != 0)
                return code;
        reconcile_claims(reconcile);
        reconcile_assignments(reconcile);
        reconcile_modes(reconcile);
        reconcile_refusals(reconcile);
        return finish(reconcile, proves ? &stamp : NULL);
}

int verb_reconcile(struct cli *cli)
{
        struct reconcile reconcile = {.cli = cli};

        if (vfioctl_ctx_is_off(cli->ctx)) {
                if (cli->options.verbose)
                        complain(
                                "reconcile: vfioctl=off is on the kernel's command line, so nothing is done");
                return CODE_DONE;
        }
        if (vfioctl_ctx_is_live(cli->ctx) && geteuid() != 0 && !cli->options.dry_run) {
                complain("reconcile: only root can; run it as root, or with --dry-run");
                return CODE_REFUSED;
        }
        int r = vfioctl_findings_new(&reconcile.problems);
        if (r >= 0)
                r = vfioctl_findings_new(&reconcile.changes);
        if (r >= 0 && !cli->options.dry_run)
                r = vfioctl_lock_admin(cli->ctx, &reconcile.lock);
        /* Somebody is at work, perhaps another reconcile: the next one will see. */
        int code = r == -EBUSY ? CODE_DONE : r < 0 ? complain_errno(r, "reconcile") : run(&reconcile);
        close_all(&reconcile);
        return code;
}
