/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "libvfioctl-virt.h"

/* What any definition says of processors and memory is fit to be counted. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *pinned = NULL;
        struct vfioctl_domain *domain = NULL;
        struct vfioctl_vms *vms = NULL;
        struct vfioctl_vm_share share;

        if (vfioctl_domain_parse((const char *)data, size, &domain, NULL) < 0)
                return 0;
        require(vfioctl_domain_share(domain, &share, &pinned) == 0);
        require(share.vcpus > 0 && share.pinned == pinned);
        require(vfioctl_vms_new(&vms) == 0);
        require(vfioctl_vms_add(vms, "n", "u", true) == 0);
        require(vfioctl_vms_set_share(vms, 0, &share) == 0);
        (void)vfioctl_vms_free(vms);
        (void)vfioctl_domain_free(domain);
        return 0;
}
