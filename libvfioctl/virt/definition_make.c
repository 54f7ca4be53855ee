/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "connection.h"
#include "domain_private.h"

/* What the making of a VM asks of libvirt. */

VFIOCTL_EXPORT int vfioctl_virt_define_new(struct vfioctl_virt *virt, const char *name, const char *xml,
                                           struct vfioctl_findings *findings)
{
        _cleanup_answer_ struct answer answer = {0};

        return virt_explain(connection_define_new(virt, name, xml, &answer), findings, virt, name, &answer);
}

VFIOCTL_EXPORT int vfioctl_virt_undefine(struct vfioctl_virt *virt, const char *uuid,
                                         struct vfioctl_findings *findings)
{
        _cleanup_answer_ struct answer answer = {0};

        return virt_explain(connection_undefine(virt, uuid, &answer), findings, virt, uuid, &answer);
}

/* ---- disks ---- */

static int add_disk(struct answer *answer, const char *vm, const char *path)
{
        struct listed_disk disk = {0};

        if (!path)
                return 0;
        int r = util_grow(&answer->disks, &answer->allocated_disks, answer->n_disks + 1,
                          sizeof(*answer->disks));
        if (r >= 0)
                r = util_copy(vm, &disk.vm);
        if (r >= 0)
                r = util_copy(path, &disk.path);
        if (r < 0) {
                free(disk.vm);
                return r;
        }
        answer->disks[answer->n_disks++] = disk;
        return 0;
}

/* formatdomain, "Hard drives": the attribute of <source> goes by the type. */
static int list_disks(struct answer *answer, const struct listed_vm *vm)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *domain = NULL;

        int r = vfioctl_domain_parse(vm->definition, strlen(vm->definition), &domain, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (const xmlNode *disk = xml_child(domain_devices(domain), "disk", NULL); r >= 0 && disk;
             disk = xml_next(disk, "disk", NULL)) {
                const xmlNode *source = xml_child(disk, "source", NULL);
                if (xml_child(disk, "readonly", NULL))
                        continue;
                r = add_disk(answer, vm->name, xml_attribute(source, "file"));
                if (r >= 0)
                        r = add_disk(answer, vm->name, xml_attribute(source, "dev"));
        }
        return r;
}

VFIOCTL_EXPORT int vfioctl_virt_disk_user(struct vfioctl_virt *virt,
                                          bool (*is_it)(void *userdata, const char *path), void *userdata,
                                          struct vfioctl_findings *findings, char **ret_vm)
{
        _cleanup_answer_ struct answer answer = {0};
        char *found = NULL;

        int r = connection_list(virt, list_disks, &answer);
        if (r < 0)
                return virt_explain(r, findings, virt, NULL, &answer);
        for (size_t i = 0; !found && i < answer.n_disks; i++)
                if (is_it(userdata, answer.disks[i].path))
                        found = util_steal(answer.disks[i].vm);
        *ret_vm = found;
        return 0;
}

VFIOCTL_EXPORT int vfioctl_virt_find_network(struct vfioctl_virt *virt, const char *name,
                                             struct vfioctl_findings *findings, bool *ret_active)
{
        _cleanup_answer_ struct answer answer = {0};

        int r = connection_network(virt, name, &answer);
        if (r < 0 && answer.failure == FAILURE_UNKNOWN)
                return -ENOENT;
        if (r < 0 && answer.failure != FAILURE_TRANSIENT)
                return virt_explain(r, findings, virt, NULL, &answer);
        *ret_active = r >= 0;
        return 0;
}
