/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "placing.h"

static enum vfioctl_pages pages_of(const char *word)
{
        return util_equal(word, "no")   ? VFIOCTL_PAGES_NO
               : util_equal(word, "2M") ? VFIOCTL_PAGES_2M
               : util_equal(word, "1G") ? VFIOCTL_PAGES_1G
                                        : VFIOCTL_PAGES_AUTO;
}

void placing_request(const struct cli *cli, struct vfioctl_fit_request *ret)
{
        const struct vm_options *options = &cli->options.vm;

        *ret = (struct vfioctl_fit_request){
                .vms = 1,
                .vcpus = options->vcpus,
                .memory = options->memory,
                .pages = pages_of(options->hugepages),
                .gpus = cli->options.count > 0 ? cli->options.count : 1,
                .placement = vfioctl_ctx_placement(cli->ctx),
                .host_cores = vfioctl_ctx_host_cores(cli->ctx),
                .host_memory = vfioctl_ctx_host_memory(cli->ctx),
        };
}
