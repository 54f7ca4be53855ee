/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "assignment.h"
#include "diff.h"
#include "placing.h"
#include "tuning.h"

#define MANY 64 /* GPUs of one VM */

/* One VM on its way. */
struct tuned {
        struct assignment assignment;
        const struct vfioctl_gpu *gpus[MANY];
        size_t n_gpus;
        struct vfioctl_fit *fit;
        struct vfioctl_tuning tuning;
        char *before;
        struct diff *diff;
};

static void tuned_clear(struct tuned *tuned)
{
        tuned->diff = diff_free(tuned->diff);
        free(tuned->before);
        tuned->fit = vfioctl_fit_free(tuned->fit);
        assignment_close(&tuned->assignment);
}

static struct target *target_of(struct tuned *tuned)
{
        return &tuned->assignment.targets[0];
}

/* After the reason, if that is no finding. */
static int refused(const struct assignment *assignment)
{
        print_findings(assignment->snapshot, assignment->findings, VFIOCTL_WARNING);
        complain("nothing was changed");
        if (assignment->cli->options.json && print_plan_json(NULL, assignment->findings) != CODE_DONE)
                return CODE_FAILED;
        return CODE_REFUSED;
}

/* ---- what it has ---- */

/* A GPU that our metadata records has to be where it says: one that is elsewhere would be judged by another.
 */
static int check_recorded(const struct tuned *tuned)
{
        const struct assignment *assignment = &tuned->assignment;
        const struct target *target = &assignment->targets[0];
        char vm[80], name[80];

        for (size_t i = 0; i < assignment->calls.gpu_count(target->domain); i++) {
                const struct vfioctl_domain_entry *entry = assignment->calls.gpu_entry(target->domain, i);
                const struct vfioctl_assignment recorded = {.name = entry->name,
                                                            .identity = entry->identity,
                                                            .functions = entry->functions,
                                                            .n_functions = entry->n_functions,
                                                            .is_edited = entry->is_edited};
                const struct vfioctl_gpu *gpu;
                enum vfioctl_verdict verdict = vfioctl_judge(assignment->snapshot, &recorded, &gpu);
                if (verdict == VFIOCTL_SAME || verdict == VFIOCTL_EDITED)
                        continue;
                complain("%s: its GPU %s is not where the definition has it (%s); to mend it: vfioctl %s",
                         printable(target->name, vm, sizeof(vm)), printable(entry->name, name, sizeof(name)),
                         vfioctl_verdict_name(verdict), verdict == VFIOCTL_MOVED ? "reconcile" : "status");
                return refused(assignment);
        }
        return 0;
}

static int find_its_gpus(struct tuned *tuned)
{
        const struct assignment *assignment = &tuned->assignment;
        const struct target *target = target_of(tuned);
        char text[80];

        int code = check_recorded(tuned);
        if (code != 0)
                return code;
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(assignment->snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(assignment->snapshot, i);
                if (target_has_gpu(assignment, target, gpu) && tuned->n_gpus < MANY)
                        tuned->gpus[tuned->n_gpus++] = gpu;
        }
        if (tuned->n_gpus > 0)
                return 0;
        complain("%s has no GPU to be tuned to; give it one: vfioctl assign %s",
                 printable(target->name, text, sizeof(text)),
                 typed_vm(target->name, assignment->calls.domain_uuid(target->domain)));
        return refused(assignment);
}

/* ---- where it runs, and what it is to be like ---- */

/* Of the size that the definition has; one that no host is asked for by name counts as ordinary memory. */
static enum vfioctl_pages pages_of(const struct vfioctl_hugepages *pages)
{
        return pages->size == 1 << 20 ? VFIOCTL_PAGES_1G
               : pages->size == 2048  ? VFIOCTL_PAGES_2M
                                      : VFIOCTL_PAGES_NO;
}

/*
 * The huge pages that it has by its definition stay, whether they are there now or made when it starts: that
 * they are missing is no more than a warning, and then it is placed without.
 */
static int place_with_pages(struct tuned *tuned, struct vfioctl_fit_request *request)
{
        const struct assignment *assignment = &tuned->assignment;
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        struct vfioctl_fit *fit = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = vfioctl_fit_new(assignment->snapshot, assignment->vms, request, findings, &fit);
        if (r < 0)
                return r;
        if (vfioctl_fit_place(fit, 0)) {
                tuned->fit = fit;
        } else {
                (void)vfioctl_fit_free(fit);
                request->pages = VFIOCTL_PAGES_NO;
        }
        for (size_t i = 0; r >= 0 && i < vfioctl_findings_count(findings); i++) {
                struct vfioctl_finding finding = *vfioctl_findings_get(findings, i);
                if (finding.severity == VFIOCTL_REFUSAL)
                        finding.severity = VFIOCTL_WARNING;
                if (tuned->fit || util_equal(finding.code, "no-pages"))
                        r = vfioctl_findings_add(assignment->findings, &finding);
        }
        return r;
}

static int place(struct tuned *tuned)
{
        const struct assignment *assignment = &tuned->assignment;
        const struct vm_options *options = &assignment->cli->options.vm;
        const struct target *target = target_of(tuned);
        const struct vfioctl_hugepages *pages = assignment->calls.domain_hugepages(target->domain);
        _cleanup_free_ char *pinned = NULL;
        struct vfioctl_vm_share share;
        char text[80];

        int r = assignment->calls.domain_share(target->domain, &share, &pinned);
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        struct vfioctl_fit_request request;
        placing_request(assignment->cli, &request);
        request.vcpus = request.vcpus ? request.vcpus : share.vcpus;
        request.memory = request.memory ? request.memory : share.memory;
        bool keeps_pages = pages && !options->hugepages;
        if (keeps_pages)
                request.pages = pages_of(pages);
        request.gpus = (unsigned int)tuned->n_gpus;
        request.named = tuned->gpus;
        request.n_named = tuned->n_gpus;
        request.vm = target->name;
        request.with_fallback = true;

        if (request.memory == 0) {
                complain("the memory of %s cannot be read; tell how much it is to be: --memory SIZE",
                         printable(target->name, text, sizeof(text)));
                return refused(assignment);
        }
        r = keeps_pages ? place_with_pages(tuned, &request) : 0;
        if (r >= 0 && !tuned->fit)
                r = vfioctl_fit_new(assignment->snapshot, assignment->vms, &request, assignment->findings,
                                    &tuned->fit);
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        const struct vfioctl_place *found = vfioctl_fit_place(tuned->fit, 0);
        if (!found)
                return refused(assignment);
        tuning_fill(assignment->cli, assignment->snapshot, tuned->gpus, tuned->n_gpus, found, &tuned->tuning);
        tuned->tuning.keeps_pages = keeps_pages;
        return 0;
}

static int edit(struct tuned *tuned)
{
        struct assignment *assignment = &tuned->assignment;
        struct target *target = target_of(tuned);

        int r = assignment->calls.domain_format(target->domain, &tuned->before);
        if (r >= 0)
                r = assignment->calls.domain_tune(target->domain, &tuned->tuning, assignment->findings);
        if (r == -EPERM)
                return refused(assignment);
        if (r >= 0)
                r = target_format(assignment, target);
        if (r >= 0)
                r = diff_new(tuned->before, target->new_xml, &tuned->diff);
        if (r >= 0 && !diff_is_empty(tuned->diff))
                r = vfioctl_intent_define(assignment->intent, target->name);
        return r < 0 ? complain_errno(r, "the definition cannot be edited") : 0;
}

/* ---- saying it ---- */

static bool is_running(const struct tuned *tuned)
{
        const struct assignment *assignment = &tuned->assignment;

        for (size_t i = 0; i < vfioctl_vms_count(assignment->vms); i++)
                if (util_equal(vfioctl_vms_name(assignment->vms, i), assignment->targets[0].name))
                        return vfioctl_vms_is_running(assignment->vms, i);
        return false;
}

static void add_json(const struct assignment *assignment, struct json_object *object)
{
        const struct tuned *tuned = (const struct tuned *)assignment;

        json_put(object, "vm", json_string(assignment->targets[0].name));
        json_put(object, "running", json_object_new_boolean(is_running(tuned)));
        json_put(object, "changes", diff_json(tuned->diff));
}

static int finish(struct tuned *tuned)
{
        struct assignment *assignment = &tuned->assignment;
        const struct options *options = &assignment->cli->options;
        char text[80];

        bool empty = diff_is_empty(tuned->diff);
        if (!empty && !options->json) {
                print_findings(assignment->snapshot, assignment->findings,
                               options->quiet ? VFIOCTL_WARNING : VFIOCTL_NOTE);
                if (!options->quiet || options->dry_run)
                        diff_print(tuned->diff);
        }
        if (!options->json && (empty || options->dry_run))
                return CODE_DONE;
        int code = assignment_run(assignment, 0);
        if (code == CODE_DONE && !options->json && !options->quiet && is_running(tuned))
                printf("%s runs on as it is: this counts from its next start\n",
                       printable(assignment->targets[0].name, text, sizeof(text)));
        return code;
}

int verb_tune(struct cli *cli)
{
        struct tuned tuned = {.assignment = {.cli = cli,
                                             .snapshot_more = PLACING_FLAGS | TUNING_SNAPSHOT,
                                             .add_json = add_json}};

        int code = assignment_open(cli, &tuned.assignment);
        if (code == 0)
                code = find_its_gpus(&tuned);
        if (code == 0)
                code = place(&tuned);
        if (code == 0)
                code = edit(&tuned);
        if (code == 0)
                code = finish(&tuned);
        tuned_clear(&tuned);
        return code == -EAGAIN ? complain_errno(-EBUSY, "nothing was changed") : code;
}
