/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "create.h"

#define AGAIN_DEADLINE 20000u /* ms: for a connection made anew, to take back what the first one left */

/*
 * Defining and starting the VM is the last step of the plan that binds its GPUs. What fails here is taken
 * back here; the plan's own way back does the rest.
 */

static int first_text(const struct vfioctl_findings *findings, char **ret)
{
        return vfioctl_findings_count(findings) > 0 ? util_copy(vfioctl_findings_get(findings, 0)->text, ret)
                                                    : 0;
}

static int take_back_by(const struct create *create, struct vfioctl_virt *virt,
                        struct vfioctl_findings *findings)
{
        const struct virt_calls *calls = &create->assignment.calls;
        int r = create->cli->options.vm.start ? calls->destroy(virt, create->uuid, findings) : 0;

        return r < 0 ? r : calls->undefine(virt, create->uuid, findings);
}

/* By its UUID, which is ours alone: somebody else's VM of that name stays. */
static int take_back(struct create *create)
{
        const struct virt_calls *calls = &create->assignment.calls;
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        struct vfioctl_virt *again = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = take_back_by(create, create->assignment.virt, findings);
        if (r >= 0)
                return 0;
        /* A connection that did not answer in time is not asked any more. */
        r = calls->open_within(virt_uri(create->cli), false, AGAIN_DEADLINE, findings, &again);
        if (r >= 0)
                r = take_back_by(create, again, findings);
        (void)calls->free(again);
        return r;
}

/* The VM may be there, or come to be yet: then its GPUs and its disk stay as well. */
static void tell_left(struct create *create)
{
        char text[80];

        create->left = true;
        complain("libvirt does not tell whether VM \"%s\" is there; its GPUs and its disk (%s) are left as "
                 "they are",
                 printable(create->cli->arguments[0], text, sizeof(text)), create->disk.path);
        complain("to take it back: systemctl restart libvirtd; virsh destroy %s; virsh undefine --nvram %s",
                 create->uuid, create->uuid);
}

int create_define(void *userdata, const char *vm, bool undo, char **ret_error)
{
        struct create *create = userdata;
        const struct assignment *assignment = &create->assignment;
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        if (undo)
                return take_back(create);
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = assignment->calls.define_new(assignment->virt, vm, create->xml, findings);
        if (r >= 0 && create->cli->options.vm.start)
                r = assignment->calls.start(assignment->virt, vm, findings);
        if (r >= 0)
                return 0;
        if (findings && first_text(findings, ret_error) < 0)
                r = -ENOMEM;
        if (take_back(create) >= 0)
                return r;
        if (*ret_error)
                complain("%s", *ret_error);
        tell_left(create);
        return 0;
}
