/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "assignment.h"
#include "json.h"

/* ---- who gets what ---- */

static void count_had(const struct assignment *assignment, struct target *target)
{
        target->n_had = 0;
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(assignment->snapshot); i++)
                target->n_had +=
                        target_has_gpu(assignment, target, vfioctl_snapshot_gpu(assignment->snapshot, i));
}

/* "2a" or "2a, 2b": the GPUs that the definition names; for messages. The caller frees. */
static char *gpus_had(const struct assignment *assignment, const struct target *target)
{
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(assignment->snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(assignment->snapshot, i);
                char *longer;
                if (!target_has_gpu(assignment, target, gpu))
                        continue;
                if (util_format(&longer, "%s%s%s", text ? text : "", text ? ", " : "",
                                vfioctl_gpu_name(gpu)) < 0)
                        return NULL;
                free(text);
                text = longer;
        }
        return util_steal(text);
}

static int wish(struct assignment *assignment, const struct target *target, const struct vfioctl_gpu *gpu)
{
        int r = vfioctl_intent_assign(assignment->intent, gpu, target->name);
        return r < 0 ? complain_errno(r, "nothing was changed") : 0;
}

/* --gpu: these and no others, on top of what the VM has when --count leaves room. */
static int choose_named(struct assignment *assignment)
{
        const struct options *options = &assignment->cli->options;
        struct target *target = &assignment->targets[0];
        _cleanup_free_ const struct vfioctl_gpu **gpus = NULL;
        size_t missing = 0, room = options->count > options->n_gpus ? options->count : options->n_gpus;

        int code = find_gpus(assignment->snapshot, (char *const *)options->gpus, options->n_gpus, &gpus);
        if (code != 0)
                return code;
        for (size_t i = 0; i < options->n_gpus; i++)
                missing += !target_has_gpu(assignment, target, gpus[i]);
        if (missing > 0 && target->n_had + missing > room) {
                _cleanup_free_ char *had = gpus_had(assignment, target);
                complain(
                        "%s has %s already; take it out (vfioctl unassign %s), or give it more (--count %zu)",
                        target->name, had ? had : "a GPU", target->name, target->n_had + missing);
                complain("nothing was changed");
                return CODE_REFUSED;
        }
        for (size_t i = 0; i < options->n_gpus; i++) {
                if (target_has_gpu(assignment, target, gpus[i]))
                        continue;
                code = wish(assignment, target, gpus[i]);
                if (code != 0)
                        return code;
        }
        /* --count beyond those named: the rest is picked. */
        size_t have = target->n_had + missing;
        target->wanted = options->count > have ? (unsigned int)(options->count - have) : 0;
        return 0;
}

static int explain_refusal(const struct assignment *assignment, const char *who)
{
        char text[80];

        complain("%s gets no GPU; nothing was changed", printable(who, text, sizeof(text)));
        if (assignment->cli->options.json)
                return print_plan_json(NULL, assignment->findings) == CODE_DONE ? CODE_REFUSED : CODE_FAILED;
        if (vfioctl_findings_count(assignment->findings) == 0)
                complain("this host has no GPU");
        int width = 4;
        for (size_t i = 0; i < vfioctl_findings_count(assignment->findings); i++) {
                int length = (int)strlen(
                        gpu_label(assignment->snapshot, vfioctl_findings_get(assignment->findings, i)->gpu));
                width = length > width ? length : width;
        }
        for (size_t i = 0; i < vfioctl_findings_count(assignment->findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(assignment->findings, i);
                (void)fprintf(stderr, "  %-*s %-13s %-28s %s\n", width,
                              gpu_label(assignment->snapshot, finding->gpu), finding->code,
                              finding->culprit ? finding->culprit : "", finding->fix ? finding->fix : "");
                if (util_equal(finding->code, "group-shared"))
                        (void)fprintf(stderr, "  %-*s %s\n", width, "", finding->text);
        }
        return CODE_REFUSED;
}

/* The VM whose wish could not be met is the one that the findings speak of; several are named together. */
static int refused_name(const struct assignment *assignment, char **ret)
{
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; i < assignment->n_targets; i++) {
                char *longer;
                if (assignment->targets[i].wanted == 0)
                        continue;
                int r = util_format(&longer, "%s%s%s", text ? text : "", text ? ", " : "",
                                    assignment->targets[i].name);
                if (r < 0)
                        return r;
                free(text);
                text = longer;
        }
        *ret = util_steal(text);
        return 0;
}

static int choose_free(struct assignment *assignment)
{
        _cleanup_free_ struct vfioctl_request *requests = calloc(assignment->n_targets, sizeof(*requests));
        _cleanup_free_ const struct vfioctl_gpu **gpus = NULL;
        _cleanup_free_ char *who = NULL;
        size_t total = 0, at = 0;

        if (!requests)
                return complain_errno(-ENOMEM, "nothing was changed");
        for (size_t i = 0; i < assignment->n_targets; i++) {
                const struct target *target = &assignment->targets[i];
                requests[i] = (struct vfioctl_request){
                        .vm = target->name,
                        .count = target->wanted,
                        .numa_node = assignment->calls.domain_numa_node(target->domain),
                };
                total += target->wanted;
        }
        if (total == 0)
                return 0;
        gpus = calloc(total, sizeof(*gpus));
        if (!gpus || refused_name(assignment, &who) < 0)
                return complain_errno(-ENOMEM, "nothing was changed");
        int r = vfioctl_choose(assignment->snapshot, assignment->vms,
                               vfioctl_ctx_placement(assignment->cli->ctx), requests, assignment->n_targets,
                               assignment->findings, gpus);
        if (r == -EBUSY)
                return explain_refusal(assignment, who);
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        for (size_t i = 0; i < assignment->n_targets; i++)
                for (unsigned int k = 0; k < assignment->targets[i].wanted; k++) {
                        int code = wish(assignment, &assignment->targets[i], gpus[at++]);
                        if (code != 0)
                                return code;
                }
        return 0;
}

/* ---- the new definitions ---- */

static int edit_definitions(struct assignment *assignment)
{
        for (size_t i = 0; i < assignment->n_targets; i++) {
                struct target *target = &assignment->targets[i];
                bool edited = false;
                for (size_t k = 0; k < vfioctl_snapshot_gpu_count(assignment->snapshot); k++) {
                        const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(assignment->snapshot, k);
                        if (!util_equal(vfioctl_intent_vm(assignment->intent, gpu), target->name))
                                continue;
                        int code = assignment_add_gpu(assignment, target->domain, target->name, gpu);
                        if (code != 0)
                                return code;
                        edited = true;
                }
                int r = edited ? target_format(assignment, target) : 0;
                if (r < 0)
                        return complain_errno(r, "the definition cannot be edited");
        }
        return 0;
}

static void report(const struct assignment *assignment)
{
        char text[80];

        for (size_t i = 0; i < assignment->n_targets; i++) {
                const struct target *target = &assignment->targets[i];
                const char *name = printable(target->name, text, sizeof(text));
                bool any = false;
                for (size_t k = 0; k < vfioctl_snapshot_gpu_count(assignment->snapshot); k++) {
                        const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(assignment->snapshot, k);
                        if (!util_equal(vfioctl_intent_vm(assignment->intent, gpu), target->name))
                                continue;
                        printf("%s: %s (%s)\n", name, vfioctl_gpu_name(gpu), vfioctl_gpu_address(gpu));
                        any = true;
                }
                _cleanup_free_ char *had = any ? NULL : gpus_had(assignment, target);
                if (!any)
                        printf("%s: has %s already\n", name, had ? had : "a GPU");
        }
}

static int assign_once(struct cli *cli, struct assignment *assignment)
{
        int code = assignment_open(cli, assignment);
        if (code != 0)
                return code;
        for (size_t i = 0; i < assignment->n_targets; i++) {
                struct target *target = &assignment->targets[i];
                unsigned int wanted = cli->options.count ? cli->options.count : 1;
                count_had(assignment, target);
                target->wanted = target->n_had < wanted ? wanted - (unsigned int)target->n_had : 0;
        }
        if (cli->options.n_gpus > 0)
                code = choose_named(assignment);
        if (code == 0)
                code = choose_free(assignment);
        if (code == 0)
                code = edit_definitions(assignment);
        if (code == 0)
                code = assignment_run(assignment, cli->options.share ? VFIOCTL_PLAN_SHARE : 0);
        if (code == CODE_DONE && !cli->options.dry_run && !cli->options.quiet && !cli->options.json)
                report(assignment);
        return code;
}

int verb_assign(struct cli *cli)
{
        const struct options *options = &cli->options;
        int code = -EAGAIN;

        if (options->n_gpus > 0 && cli->n_arguments > 1) {
                complain("--gpu names GPUs for one VM, and there are %zu; call it once for each",
                         cli->n_arguments);
                return CODE_USAGE;
        }
        if (options->share && options->n_gpus == 0) {
                complain("--share wants to be told which GPU: --gpu GPU");
                return CODE_USAGE;
        }
        for (int i = 0; code == -EAGAIN && i < TRIES_MAX; i++) {
                struct assignment assignment = {.cli = cli};
                code = assign_once(cli, &assignment);
                assignment_close(&assignment);
        }
        return code == -EAGAIN ? complain_errno(-EBUSY, "nothing was changed") : code;
}
