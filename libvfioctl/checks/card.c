/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"

static int check_companions(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        if (gpu->n_functions > 1 || !util_equal(gpu_known(gpu, CARD_COMPANIONS), "expected"))
                return 0;
        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = VFIOCTL_NOTE,
                                                     .code = "companion-missing",
                                                     .gpu = gpu->functions[0]->text,
                                                     .culprit = gpu->functions[0]->text},
                            "such a card has an audio function, which does not show now; it goes along when "
                            "it comes");
}

/* Told once a card, of its first GPU. */
static int check_dies(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                      struct vfioctl_findings *findings)
{
        const char *dies = gpu_known(gpu, CARD_DIES);
        const struct vfioctl_gpu *first = NULL;
        unsigned long expected = dies ? strtoul(dies, NULL, 10) : 0, count = 0;

        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                if (snapshot->gpus[i]->card_index != gpu->card_index)
                        continue;
                first = first ? first : snapshot->gpus[i];
                count++;
        }
        if (count >= expected || first != gpu)
                return 0;
        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                     .code = "die-missing",
                                                     .gpu = gpu->functions[0]->text,
                                                     .culprit = gpu->card,
                                                     .fix = DEAD_FIX},
                            "such a card has %lu GPUs, and %lu of them shows", expected, count);
}

int check_card(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
               struct vfioctl_findings *findings)
{
        int r = check_companions(gpu, findings);

        return r < 0 ? r : check_dies(snapshot, gpu, findings);
}
