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

static bool is_sought(const struct answer *answer, const char *path)
{
        for (size_t i = 0; path && i < ELEMENTSOF(answer->sought); i++)
                if (util_equal(answer->sought[i], path))
                        return true;
        return false;
}

/* formatdomain, "Hard drives": the attribute of <source> goes by the type. */
static bool has_disk(const struct answer *answer, const struct vfioctl_domain *domain)
{
        for (const xmlNode *disk = xml_child(domain_devices(domain), "disk", NULL); disk;
             disk = xml_next(disk, "disk", NULL)) {
                const xmlNode *source = xml_child(disk, "source", NULL);
                if (xml_child(disk, "readonly", NULL))
                        continue;
                if (is_sought(answer, xml_attribute(source, "file")) ||
                    is_sought(answer, xml_attribute(source, "dev")))
                        return true;
        }
        return false;
}

static int look_for_disk(struct answer *answer, const struct listed_vm *vm)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *domain = NULL;

        if (answer->found)
                return 0;
        int r = vfioctl_domain_parse(vm->definition, strlen(vm->definition), &domain, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        return has_disk(answer, domain) ? util_copy(vm->name, &answer->found) : 0;
}

VFIOCTL_EXPORT int vfioctl_virt_disk_user(struct vfioctl_virt *virt, const char *const *paths, size_t n,
                                          struct vfioctl_findings *findings, char **ret_vm)
{
        _cleanup_answer_ struct answer answer = {0};
        int r = 0;

        if (n > ELEMENTSOF(answer.sought))
                return -EINVAL;
        for (size_t i = 0; i < n && r >= 0; i++)
                r = util_copy(paths[i], &answer.sought[i]);
        if (r >= 0)
                r = connection_list(virt, look_for_disk, &answer);
        if (r < 0)
                return virt_explain(r, findings, virt, NULL, &answer);
        *ret_vm = util_steal(answer.found);
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
