/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"

/* Reading the configuration space has woken what can wake: pci_config_pm_runtime_get(). */
int check_answers(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                if (!function->is_silent)
                        continue;
                bool sleeps = util_equal(function->power_state, "D3cold");
                return finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                             .code = sleeps ? "stuck-d3" : "dead",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = function->text,
                                                             .fix = DEAD_FIX},
                                    "%s",
                                    sleeps ? "it does not wake from D3cold"
                                           : "its configuration space reads as all ones: it does not answer");
        }
        return 0;
}

static int tell_d3cold(const struct vfioctl_gpu *gpu, const struct vfioctl_function *function,
                       struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL;

        int r = util_format(&fix, "vfioctl to-vm %s", gpu->name);
        return r < 0 ? r
                     : finding_addf(
                               findings,
                               (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                        .code = "d3cold-allowed",
                                                        .gpu = gpu->functions[0]->text,
                                                        .culprit = function->text,
                                                        .fix = fix},
                               "it is in mode vm, and %s%s may go to D3cold, which not every card wakes from",
                               function->gpu ? "" : "the bridge above it ", function->text);
}

int check_power(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                struct vfioctl_findings *findings)
{
        int r = 0;

        (void)snapshot;
        if (!function_on_vfio(gpu->functions[0]) || power_is_left(gpu))
                return 0;
        for (size_t i = 0; r >= 0 && i < gpu->n_functions; i++)
                if (gpu->functions[i]->d3cold == SETTING_ON)
                        r = tell_d3cold(gpu, gpu->functions[i], findings);
        for (size_t i = 0; r >= 0 && i < gpu->n_path; i++)
                if (gpu->path[i]->d3cold == SETTING_ON)
                        r = tell_d3cold(gpu, gpu->path[i], findings);
        return r;
}
