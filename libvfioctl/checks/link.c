/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"

/* What both ends can; 0: one of them is not known. */
static unsigned int lesser(unsigned int a, unsigned int b)
{
        return a < b ? a : b;
}

/* Both ends tell the same of the link, unless one of them does not tell. */
static unsigned int known(unsigned int lower, unsigned int upper)
{
        return lower > 0 && upper > 0 ? lesser(lower, upper) : lower | upper;
}

static int check_one_link(const struct vfioctl_gpu *gpu, const struct vfioctl_function *lower,
                          const struct vfioctl_function *upper, struct vfioctl_findings *findings)
{
        unsigned int width = lesser(lower->link.max_width, upper->link.max_width);
        unsigned int speed = lesser(lower->link.max_speed, upper->link.max_speed);
        unsigned int width_now = known(lower->link.width, upper->link.width);
        unsigned int speed_now = known(lower->link.speed, upper->link.speed);
        struct vfioctl_finding finding = {.gpu = gpu->functions[0]->text, .culprit = lower->text};

        if (width_now > 0 && width_now < width) {
                finding.severity = VFIOCTL_WARNING;
                finding.code = "link-degraded";
                finding.fix = "seat the card anew, clean its contacts, look at the riser, and at the slot's "
                              "bifurcation in the firmware";
                return finding_addf(findings, finding,
                                    "the link between %s and %s has %u lanes, and both ends have %u",
                                    upper->text, lower->text, width_now, width);
        }
        /* Power saving lowers the speed, and a VM raises it again. */
        if (speed_now == 0 || speed_now >= speed)
                return 0;
        finding.severity = VFIOCTL_NOTE;
        finding.code = "link-slow";
        return finding_addf(findings, finding,
                            "the link between %s and %s runs at %u.%u GT/s, and both ends can do %u.%u; "
                            "power saving does that to an idle GPU",
                            upper->text, lower->text, speed_now / 1000, speed_now % 1000 / 100, speed / 1000,
                            speed % 1000 / 100);
}

/* Every link from the board to the GPU: those of switches on the card as well. */
int check_link(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
               struct vfioctl_findings *findings)
{
        int r = 0;

        (void)snapshot;
        for (size_t i = 1; r >= 0 && i < gpu->n_path; i++)
                if (gpu->path[i]->pcie_type == VFIOCTL_PCIE_UPSTREAM)
                        r = check_one_link(gpu, gpu->path[i], gpu->path[i - 1], findings);
        if (r >= 0 && gpu->n_path > 0)
                r = check_one_link(gpu, gpu->functions[0], gpu->path[gpu->n_path - 1], findings);
        return r;
}

int check_node(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
               struct vfioctl_findings *findings)
{
        if (snapshot->facts.n_nodes < 2 || gpu->functions[0]->numa_node >= 0)
                return 0;
        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                     .code = "numa-unknown",
                                                     .gpu = gpu->functions[0]->text,
                                                     .culprit = gpu->functions[0]->text,
                                                     .fix = "vfioctl assign VM --gpu GPU, for the VM whose "
                                                            "memory is at the slot's processor"},
                            "the firmware does not tell which of the %u NUMA nodes it is at",
                            snapshot->facts.n_nodes);
}
