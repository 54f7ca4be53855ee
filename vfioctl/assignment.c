/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "assignment.h"
#include "json.h"

static void target_clear(const struct assignment *assignment, struct target *target)
{
        if (target->domain)
                target->domain = assignment->calls.domain_free(target->domain);
        free(target->xml);
        free(target->new_xml);
        free(target->now);
}

void assignment_close(struct assignment *assignment)
{
        for (size_t i = 0; i < assignment->n_targets; i++)
                target_clear(assignment, &assignment->targets[i]);
        free(assignment->targets);
        vfioctl_plan_free(assignment->plan);
        vfioctl_intent_free(assignment->intent);
        vfioctl_vms_free(assignment->vms);
        vfioctl_snapshot_free(assignment->snapshot);
        vfioctl_findings_free(assignment->findings);
        if (assignment->virt)
                assignment->calls.free(assignment->virt);
        vfioctl_lock_free(assignment->lock);
        memset(assignment, 0, sizeof(*assignment));
}

static int read_targets(struct assignment *assignment)
{
        struct cli *cli = assignment->cli;

        assignment->targets = calloc(cli->n_arguments, sizeof(*assignment->targets));
        if (!assignment->targets)
                return complain_errno(-ENOMEM, "cannot read the definitions");
        assignment->n_targets = cli->n_arguments;
        for (size_t i = 0; i < cli->n_arguments; i++) {
                struct target *target = &assignment->targets[i];
                target->argument = cli->arguments[i];
                int r = assignment->calls.read(assignment->virt, target->argument, assignment->findings,
                                               &target->domain, &target->xml);
                if (r == -EPERM) {
                        print_findings(NULL, assignment->findings, VFIOCTL_WARNING);
                        complain("nothing was changed");
                        return CODE_REFUSED;
                }
                if (r < 0) {
                        print_findings(NULL, assignment->findings, VFIOCTL_WARNING);
                        return vfioctl_findings_count(assignment->findings)
                                       ? CODE_FAILED
                                       : complain_errno(r, "nothing was changed");
                }
                target->name = assignment->calls.domain_name(target->domain);
                for (size_t k = 0; k < i; k++) {
                        char text[80];
                        if (!util_equal(assignment->targets[k].name, target->name))
                                continue;
                        complain("%s is named twice", printable(target->name, text, sizeof(text)));
                        return CODE_USAGE;
                }
        }
        return 0;
}

int assignment_connect(struct cli *cli, struct assignment *assignment)
{
        const char *uri = virt_uri(cli);

        assignment->cli = cli;
        int r = virt_load(&assignment->calls);
        if (r < 0)
                return CODE_FAILED;
        if (!uri && !vfioctl_ctx_is_live(cli->ctx)) {
                complain("a simulated host has no libvirt of its own; name one with --connect");
                return CODE_USAGE;
        }
        r = vfioctl_findings_new(&assignment->findings);
        /* A dry run writes nothing, not even a lock file. */
        if (r >= 0 && !cli->options.dry_run)
                r = vfioctl_lock_admin(cli->ctx, &assignment->lock);
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        r = assignment->calls.open(uri, false, assignment->findings, &assignment->virt);
        if (r >= 0)
                r = assignment->calls.list(assignment->virt, assignment->findings, &assignment->vms);
        if (r < 0) {
                print_findings(NULL, assignment->findings, VFIOCTL_WARNING);
                return CODE_FAILED;
        }
        return 0;
}

int assignment_look(struct assignment *assignment, unsigned int flags)
{
        int code = take_snapshot(assignment->cli,
                                 flags | VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST |
                                         VFIOCTL_SNAPSHOT_DETAILS | VFIOCTL_SNAPSHOT_CHANGE,
                                 false, &assignment->snapshot);
        if (code != 0)
                return code;
        int r = vfioctl_intent_new(&assignment->intent);
        return r < 0 ? complain_errno(r, "nothing was changed") : 0;
}

int assignment_open(struct cli *cli, struct assignment *assignment)
{
        int code = assignment_connect(cli, assignment);

        if (code == 0)
                code = read_targets(assignment);
        return code == 0 ? assignment_look(assignment, assignment->snapshot_more) : code;
}

bool target_has_gpu(const struct assignment *assignment, const struct target *target,
                    const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < assignment->calls.hostdev_count(target->domain); i++)
                if (vfioctl_snapshot_gpu_at(assignment->snapshot,
                                            assignment->calls.hostdev(target->domain, i)) == gpu)
                        return true;
        return false;
}

int target_format(const struct assignment *assignment, struct target *target)
{
        return assignment->calls.domain_format(target->domain, &target->new_xml);
}

int assignment_add_gpu(const struct assignment *assignment, struct vfioctl_domain *domain, const char *vm,
                       const struct vfioctl_gpu *gpu)
{
        struct vfioctl_address functions[8];
        size_t count = vfioctl_gpu_function_count(gpu);
        char text[80];

        if (count > ELEMENTSOF(functions))
                count = ELEMENTSOF(functions);
        for (size_t i = 0; i < count; i++)
                if (vfioctl_address_parse(vfioctl_function_address(vfioctl_gpu_function(gpu, i)),
                                          &functions[i]) < 0)
                        return complain_errno(-EINVAL, "nothing was changed");
        struct vfioctl_domain_gpu wanted = {.name = vfioctl_gpu_name(gpu),
                                            .identity = vfioctl_gpu_identity(gpu),
                                            .functions = functions,
                                            .n_functions = count};
        int r = assignment->calls.add_gpu(domain, &wanted);
        if (r >= 0)
                return 0;
        if (r == -ENOSPC) {
                complain("%s has no free PCI slot left for %s; nothing was changed",
                         printable(vm, text, sizeof(text)), vfioctl_gpu_name(gpu));
                return CODE_REFUSED;
        }
        return complain_errno(r, "the definition cannot be edited");
}

static struct target *find_target(struct assignment *assignment, const char *name)
{
        for (size_t i = 0; i < assignment->n_targets; i++)
                if (util_equal(assignment->targets[i].name, name))
                        return &assignment->targets[i];
        return NULL;
}

static int define(void *userdata, const char *vm, bool undo, char **ret_error)
{
        struct assignment *assignment = userdata;
        struct target *target = find_target(assignment, vm);
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        if (!target || !target->new_xml)
                return -EINVAL;
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = undo ? assignment->calls.define(assignment->virt, vm, target->now, target->xml, findings,
                                                    NULL)
                         : assignment->calls.define(assignment->virt, vm, target->xml, target->new_xml,
                                                    findings, &target->now);
        if (r < 0 && findings && vfioctl_findings_count(findings) > 0) {
                int s = util_copy(vfioctl_findings_get(findings, 0)->text, ret_error);
                if (s < 0)
                        return s;
        }
        return r;
}

static int print_json(const struct assignment *assignment)
{
        struct json_object *object = plan_json(assignment->plan, assignment->findings);

        if (assignment->add_json)
                assignment->add_json(assignment, object);
        return json_print(object);
}

int assignment_plan(struct assignment *assignment, unsigned int plan_flags)
{
        int r = vfioctl_plan_new(assignment->snapshot, assignment->vms, assignment->intent, plan_flags,
                                 &assignment->plan);
        if (r >= 0)
                r = vfioctl_probe_busy(assignment->cli->ctx, assignment->plan, assignment->findings);
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        const struct vfioctl_findings *findings = vfioctl_plan_findings(assignment->plan);
        if (!vfioctl_findings_have_refusal(findings) && !vfioctl_findings_have_refusal(assignment->findings))
                return 0;
        if (assignment->cli->options.json) {
                int code = print_json(assignment);
                if (code != CODE_DONE)
                        return code;
        }
        print_findings(assignment->snapshot, findings, VFIOCTL_WARNING);
        print_findings(assignment->snapshot, assignment->findings, VFIOCTL_WARNING);
        complain("nothing was changed");
        return CODE_REFUSED;
}

int assignment_run(struct assignment *assignment, unsigned int plan_flags)
{
        const struct options *options = &assignment->cli->options;
        struct vfioctl_apply_ops ops = {.userdata = assignment, .define = define};

        int code = assignment_plan(assignment, plan_flags);
        if (code != 0)
                return code;
        if (options->dry_run && options->json)
                return print_json(assignment);
        if (options->dry_run) {
                print_steps(assignment->plan);
                return CODE_DONE;
        }
        code = vfioctl_plan_step_count(assignment->plan) == 0
                       ? CODE_DONE
                       : run_plan(assignment->cli, assignment->snapshot, assignment->plan, &ops);
        /* Not before: when all is looked at again, there is another plan. */
        if (options->json && code != -EAGAIN && print_json(assignment) != CODE_DONE)
                return code == CODE_DONE ? CODE_FAILED : code;
        return code;
}
