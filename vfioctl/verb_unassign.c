/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "assignment.h"
#include "json.h"

/* With a GPU that is gone, go its companions: the functions of its slot that we had added. */
static bool is_gone(const struct vfioctl_address *gone, const struct vfioctl_address *address, bool is_ours)
{
        return vfioctl_address_compare(gone, address) == 0 ||
               (is_ours && gone->domain == address->domain && gone->bus == address->bus &&
                gone->device == address->device);
}

/*
 * What --gpu means: a GPU of this host, or the address of one that is gone but still in a definition. Without
 * it, every GPU, and what our own metadata tells of: a GPU that has moved or gone since.
 */
static bool is_wanted(const struct assignment *assignment, const struct vfioctl_address *address,
                      bool is_ours, const struct vfioctl_gpu *const *gpus, const struct vfioctl_address *gone,
                      size_t n_wanted)
{
        const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu_at(assignment->snapshot, address);

        if (n_wanted == 0)
                return gpu != NULL || is_ours;
        for (size_t i = 0; i < n_wanted; i++)
                if (gpus[i] ? gpus[i] == gpu : is_gone(&gone[i], address, is_ours))
                        return true;
        return false;
}

static int read_wanted(const struct assignment *assignment, const struct vfioctl_gpu **gpus,
                       struct vfioctl_address *gone)
{
        const struct options *options = &assignment->cli->options;

        for (size_t i = 0; i < options->n_gpus; i++) {
                if (vfioctl_snapshot_find(assignment->snapshot, options->gpus[i], &gpus[i]) >= 0)
                        continue;
                gpus[i] = NULL;
                if (vfioctl_address_parse(options->gpus[i], &gone[i]) >= 0)
                        continue;
                return find_gpu(assignment->snapshot, options->gpus[i], &gpus[i]);
        }
        return 0;
}

static int edit(struct assignment *assignment, struct target *target, const struct vfioctl_gpu *const *gpus,
                const struct vfioctl_address *gone)
{
        size_t count = assignment->calls.hostdev_count(target->domain), n = 0;
        _cleanup_free_ struct vfioctl_address *addresses = calloc(count ? count : 1, sizeof(*addresses));

        if (!addresses)
                return complain_errno(-ENOMEM, "nothing was changed");
        for (size_t i = 0; i < count; i++) {
                const struct vfioctl_address *address = assignment->calls.hostdev(target->domain, i);
                if (is_wanted(assignment, address, assignment->calls.hostdev_is_ours(target->domain, i), gpus,
                              gone, assignment->cli->options.n_gpus))
                        addresses[n++] = *address;
        }
        target->n_had = n;
        if (n == 0)
                return 0;
        int r = assignment->calls.remove_gpu(target->domain, addresses, n);
        if (r >= 0)
                r = target_format(assignment, target);
        if (r >= 0)
                r = vfioctl_intent_define(assignment->intent, target->name);
        return r < 0 ? complain_errno(r, "the definition cannot be edited") : 0;
}

static void report(const struct assignment *assignment)
{
        char text[80];

        for (size_t i = 0; i < assignment->n_targets; i++) {
                const struct target *target = &assignment->targets[i];
                bool running = false;
                for (size_t k = 0; k < vfioctl_vms_count(assignment->vms); k++)
                        if (util_equal(vfioctl_vms_name(assignment->vms, k), target->name))
                                running = vfioctl_vms_is_running(assignment->vms, k);
                printf("%s: %s%s\n", printable(target->name, text, sizeof(text)),
                       target->n_had > 0 ? "taken out" : "has no such GPU",
                       target->n_had > 0 && running ? "; it keeps the GPU until it is shut down" : "");
        }
}

int verb_unassign(struct cli *cli)
{
        struct assignment assignment = {.cli = cli};
        size_t room = cli->options.n_gpus ? cli->options.n_gpus : 1;
        _cleanup_free_ const struct vfioctl_gpu **gpus = calloc(room, sizeof(*gpus));
        _cleanup_free_ struct vfioctl_address *gone = calloc(room, sizeof(*gone));

        if (!gpus || !gone)
                return complain_errno(-ENOMEM, "nothing was changed");
        int code = assignment_open(cli, &assignment);
        if (code == 0)
                code = read_wanted(&assignment, gpus, gone);
        for (size_t i = 0; code == 0 && i < assignment.n_targets; i++)
                code = edit(&assignment, &assignment.targets[i], gpus, gone);
        if (code == 0)
                code = assignment_run(&assignment, 0);
        if (code == CODE_DONE && !cli->options.dry_run && !cli->options.quiet && !cli->options.json)
                report(&assignment);
        assignment_close(&assignment);
        return code;
}
