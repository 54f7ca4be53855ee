/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"

int check_display(const struct vfioctl_gpu *gpu, enum vfioctl_severity severity,
                  struct vfioctl_findings *findings)
{
        if (gpu->on_board)
                return finding_addf(findings,
                                    (struct vfioctl_finding){.severity = severity,
                                                             .code = "boot-display",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = gpu->functions[0]->text},
                                    "it is the board's own display, and stays with the host");
        if (util_equal(gpu_known(gpu, CARD_HAND_OUT), "never"))
                return finding_addf(findings,
                                    (struct vfioctl_finding){.severity = severity,
                                                             .code = "boot-display",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = gpu->functions[0]->text},
                                    "it is made for a board's own display, and stays with the host");
        for (size_t i = 0; i < gpu->n_functions; i++) {
                const struct vfioctl_function *function = gpu->functions[i];
                if (!function->is_boot_vga && !function->is_console)
                        continue;
                return finding_addf(
                        findings,
                        (struct vfioctl_finding){.severity = severity,
                                                 .code = "boot-display",
                                                 .gpu = gpu->functions[0]->text,
                                                 .culprit = function->text,
                                                 .fix = "make another GPU the boot display in the "
                                                        "firmware, and reboot"},
                        "%s",
                        function->is_boot_vga
                                ? "the firmware booted on it (boot_vga), so it is the host's display"
                                : "the text console is on its framebuffer");
        }
        return 0;
}
