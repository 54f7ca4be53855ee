/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "parts.h"
#include "virt.h"

/* An idle GPU lowers the speed of its link: on most hosts some do, and nobody wants to be told each time. */
static bool is_shown(const struct cli *cli, const struct vfioctl_finding *finding)
{
        return cli->options.verbose || !util_equal(finding->code, "link-slow");
}

static void print_text(const struct cli *cli, const struct vfioctl_snapshot *snapshot,
                       const struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                const char *label = gpu_label(snapshot, finding->gpu);
                if (!is_shown(cli, finding))
                        continue;
                printf("%s  %s  %s: %s\n", label ? label : "host", vfioctl_severity_name(finding->severity),
                       finding->code, finding->text);
                if (finding->fix)
                        printf("    %s\n", finding->fix);
        }
}

static bool have_notes_alone(const struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++)
                if (vfioctl_findings_get(findings, i)->severity != VFIOCTL_NOTE)
                        return false;
        return true;
}

/* That the host keeps its display is no problem until somebody asks for that GPU by name. */
static bool needs_admin(const struct vfioctl_findings *findings, bool named)
{
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (finding->severity == VFIOCTL_REFUSAL &&
                    (named || !util_equal(finding->code, "boot-display")))
                        return true;
        }
        return false;
}

/* A GPU that rests with the host is safe there only while libvirt asks us before it takes it. */
static int check_guard(const struct cli *cli, const struct vfioctl_gpu *gpu,
                       struct vfioctl_findings *findings)
{
        if (!vfioctl_gpu_is_ours(gpu) || vfioctl_gpu_idle(gpu) != VFIOCTL_MODE_HOST ||
            vfioctl_hook_is_live(cli->ctx))
                return 0;
        return vfioctl_findings_add(
                findings,
                &(struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                          .code = "hook-not-live",
                                          .gpu = vfioctl_gpu_address(gpu),
                                          .text = "it is to rest in mode host, and libvirt does not call "
                                                  "our hook, which asks who uses it",
                                          .fix = "vfioctl setup"});
}

/* Findings that keep no GPU from being handed out: none is a refusal here; a warning may count less, too. */
static int add_milder(const struct vfioctl_findings *from, enum vfioctl_severity warning,
                      struct vfioctl_findings *findings)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < vfioctl_findings_count(from); i++) {
                struct vfioctl_finding finding = *vfioctl_findings_get(from, i);
                if (finding.severity == VFIOCTL_WARNING)
                        finding.severity = warning;
                else if (finding.severity == VFIOCTL_REFUSAL)
                        finding.severity = VFIOCTL_WARNING;
                r = vfioctl_findings_add(findings, &finding);
        }
        return r;
}

/* An answer that does not come is a finding too, unless this libvirt was asked for by name. */
static int ask_libvirt(const struct cli *cli, struct vfioctl_findings *findings, struct vfioctl_vms **ret)
{
        _cleanup_findings_ struct vfioctl_findings *found = NULL;

        int r = vfioctl_findings_new(&found);
        if (r >= 0)
                r = virt_ask(cli, found, ret);
        if (r < 0 && cli->options.connect) {
                print_findings(NULL, found, VFIOCTL_WARNING);
                return CODE_FAILED;
        }
        if (r == -ENOMEM || !found || add_milder(found, VFIOCTL_WARNING, findings) < 0)
                return complain_errno(-ENOMEM, "cannot check");
        return 0;
}

/* What setup turned on, and whether it works; judged as status does. */
static int check_parts(const struct cli *cli, const struct vfioctl_vms *vms,
                       struct vfioctl_findings *findings)
{
        _cleanup_findings_ struct vfioctl_findings *found = NULL;
        _cleanup_parts_ struct parts parts = {.ctx = NULL};
        bool is_silent = !vms && (virt_uri(cli) || vfioctl_ctx_is_live(cli->ctx));

        int r = parts_look(cli->ctx, &parts);
        if (r < 0 || parts.is_off)
                return r == -ENOMEM ? r : 0;
        r = vfioctl_findings_new(&found);
        if (r >= 0)
                r = parts_judge(&parts, is_silent, found);
        return r < 0 ? r : add_milder(found, VFIOCTL_NOTE, findings);
}

static int collect(const struct cli *cli, const struct vfioctl_snapshot *snapshot,
                   const struct vfioctl_vms *vms, struct vfioctl_findings *findings)
{
        _cleanup_free_ const struct vfioctl_gpu **gpus = NULL;

        int code = find_gpus(snapshot, cli->arguments, cli->n_arguments, &gpus);
        if (code != 0)
                return code;
        int r = 0;
        if (cli->n_arguments == 0)
                r = check_parts(cli, vms, findings);
        if (r >= 0 && cli->n_arguments == 0)
                r = vfioctl_check(snapshot, vms, NULL, findings);
        for (size_t i = 0; r >= 0 && i < cli->n_arguments; i++)
                r = vfioctl_check(snapshot, vms, gpus[i], findings);
        for (size_t i = 0; r >= 0 && i < vfioctl_snapshot_gpu_count(snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(snapshot, i);
                bool named = cli->n_arguments == 0;
                for (size_t k = 0; k < cli->n_arguments; k++)
                        named |= gpus[k] == gpu;
                if (named)
                        r = check_guard(cli, gpu, findings);
        }
        return r < 0 ? complain_errno(r, "cannot check") : 0;
}

int verb_check(struct cli *cli)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;

        if (vfioctl_findings_new(&findings) < 0)
                return complain_errno(-ENOMEM, "cannot check");
        int code = take_snapshot(cli, REPORT_SNAPSHOT | VFIOCTL_SNAPSHOT_FACTS, false, &snapshot);
        if (code == 0)
                code = ask_libvirt(cli, findings, &vms);
        if (code == 0)
                code = collect(cli, snapshot, vms, findings);
        if (code != 0)
                return code;
        code = needs_admin(findings, cli->n_arguments > 0) ? CODE_REFUSED : CODE_DONE;
        if (!cli->options.json) {
                if (!cli->options.quiet && have_notes_alone(findings))
                        printf("nothing stands against handing out %s\n",
                               cli->n_arguments == 1 ? "it" : "these GPUs");
                print_text(cli, snapshot, findings);
                return code;
        }
        struct json_object *object = json_object_new_object(), *array = json_object_new_array();
        json_add_findings(array, findings);
        json_put(object, "findings", array);
        int printed = json_print(object);
        return printed != CODE_DONE ? printed : code;
}
