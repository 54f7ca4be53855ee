/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"
#include "paths.h"

#define VENDOR_RESET_SOURCE "https://github.com/gnif/vendor-reset"

/* "0000:0a:00.1 (snd_hda_intel), GPU 2b (0000:0b:00.0)". */
static int scope_text(const struct vfioctl_gpu *gpu, bool gpus_only, char **ret)
{
        _cleanup_free_ char *text = NULL;
        int r = util_copy("", &text);

        for (size_t i = 0; r >= 0 && i < gpu->n_scope; i++) {
                const struct vfioctl_function *function = gpu->scope[i];
                _cleanup_free_ char *before = util_steal(text);
                const char *comma = *before ? ", " : "";
                if (function->gpu && function->gpu->functions[0] == function)
                        r = util_format(&text, "%s%sGPU %s (%s)", before, comma, function->gpu->name,
                                        function->text);
                else if (gpus_only)
                        r = util_copy(before, &text);
                else
                        r = util_format(&text, "%s%s%s (%s)", before, comma, function->text,
                                        function->driver ? function->driver : "no driver");
        }
        if (r < 0)
                return r;
        *ret = util_steal(text);
        return 0;
}

static int check_none(const struct vfioctl_gpu *gpu, enum vfioctl_severity severity,
                      struct vfioctl_findings *findings)
{
        bool several = gpu->n_functions + gpu->n_scope > 1;

        if (gpu->reset_used || !gpu->functions[0]->has_change)
                return 0;
        return finding_addf(
                findings,
                (struct vfioctl_finding){.severity = severity,
                                         .code = "reset-none",
                                         .gpu = gpu->functions[0]->text,
                                         .culprit = gpu->functions[0]->text},
                several ? "the kernel cannot reset it alone; vfio resets its whole bus at a VM's "
                          "start and end"
                        : "the kernel has no way to reset it, so that the next VM finds it as the last one "
                          "left it");
}

static int check_stale(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        const struct vfioctl_function *function = gpu->functions[0];
        _cleanup_free_ char *fix = NULL;

        /* A change to mode vm has it made anew. */
        enum vfioctl_severity severity = function_on_vfio(function) ? VFIOCTL_WARNING : VFIOCTL_NOTE;
        if (!gpu->reset_is_stale)
                return 0;
        int r = util_format(&fix, "echo default > " PATH_PCI_DEVICES "/%s/reset_method", function->text);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = severity,
                                                             .code = "reset-stale",
                                                             .gpu = function->text,
                                                             .culprit = function->text,
                                                             .fix = fix},
                                    "reset_method lists bus, which cannot work: it is not alone on its bus");
}

/* A reset that also hits another GPU ends what runs there. */
static int check_scope(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        _cleanup_free_ char *others = NULL;

        int r = scope_text(gpu, true, &others);
        if (r < 0 || !*others)
                return r;
        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                     .code = "reset-scope",
                                                     .gpu = gpu->functions[0]->text,
                                                     .culprit = others,
                                                     .fix = "give them to one VM (--count), or leave the "
                                                            "others unused"},
                            "a reset of it also resets %s", others);
}

/* ---- vendor-reset ---- */

static int tell_module(const struct vfioctl_gpu *gpu, enum vfioctl_severity severity, const char *culprit,
                       const char *fix, const char *text, struct vfioctl_findings *findings)
{
        bool needed = util_equal(gpu_known(gpu, CARD_VENDOR_RESET), "needed");

        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = severity,
                                                     .code = "vendor-reset-missing",
                                                     .gpu = gpu->functions[0]->text,
                                                     .culprit = culprit,
                                                     .fix = fix},
                            "%s; such a card %s", text,
                            needed ? "needs the module vendor-reset to start a second time"
                                   : "may need the module vendor-reset, which nobody has tried");
}

/* What the host lacks is told once for a family of cards, at its first GPU. */
static bool is_first_of_family(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu)
{
        size_t i = 0;

        while (snapshot->gpus[i] != gpu && snapshot->gpus[i]->knowledge != gpu->knowledge)
                i++;
        return snapshot->gpus[i] == gpu;
}

static int check_module(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                        struct vfioctl_findings *findings)
{
        const struct vendor_reset *module = &snapshot->facts.vendor_reset;
        const char *word = gpu_known(gpu, CARD_VENDOR_RESET);
        const char *next = snapshot->facts.next_kernel;
        _cleanup_free_ char *fix = NULL;
        int r = 0;

        if (!module->is_known || !word || util_equal(word, "no"))
                return 0;
        enum vfioctl_severity severity = util_equal(word, "needed") ? VFIOCTL_WARNING : VFIOCTL_NOTE;
        bool first = is_first_of_family(snapshot, gpu);
        bool listed = words_have(gpu->functions[0]->reset_method, "device_specific", 15);
        if (!first && !module->is_loaded)
                return 0;
        if (!module->is_loaded && !module->in_kernel)
                r = tell_module(gpu, severity, "vendor-reset", "install " VENDOR_RESET_SOURCE,
                                "vendor-reset is not installed for this kernel", findings);
        else if (!module->is_loaded)
                r = tell_module(gpu, severity, "vendor-reset", "modprobe vendor-reset",
                                "vendor-reset is installed and not loaded", findings);
        else if (!listed)
                r = util_format(&fix, "echo default > " PATH_PCI_DEVICES "/%s/reset_method",
                                gpu->functions[0]->text);
        if (r >= 0 && fix)
                r = tell_module(gpu, severity, "vendor-reset", fix,
                                "vendor-reset was loaded after the kernel had made its list of methods",
                                findings);
        if (r >= 0 && first && next && module->in_kernel && !module->in_next_kernel)
                r = tell_module(gpu, severity, next, "install " VENDOR_RESET_SOURCE " for it too",
                                "vendor-reset is not installed for the next kernel", findings);
        return r;
}

int check_reset(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                struct vfioctl_findings *findings)
{
        /* A reset of the bus does as well where all that is on it goes along. */
        int r = check_none(gpu, gpu->n_functions > 1 && gpu->n_scope == 0 ? VFIOCTL_NOTE : VFIOCTL_WARNING,
                           findings);

        if (r >= 0)
                r = check_stale(gpu, findings);
        if (r >= 0)
                r = check_scope(gpu, findings);
        if (r >= 0)
                r = check_module(snapshot, gpu, findings);
        return r;
}

/* ---- a reset that somebody asks for ---- */

static int check_driver(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        const struct vfioctl_function *function = gpu->functions[0];
        _cleanup_free_ char *fix = NULL;

        if (!function->driver || function_on_vfio(function))
                return 0;
        int r = util_format(&fix, "vfioctl to-vm %s", gpu->name);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                             .code = "host-driver",
                                                             .gpu = function->text,
                                                             .culprit = function->driver,
                                                             .fix = fix},
                                    "%s drives it, and would go on with what the reset has wiped out",
                                    function->driver);
}

static int check_others(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        _cleanup_free_ char *others = NULL;

        if (gpu->n_scope == 0)
                return 0;
        int r = scope_text(gpu, false, &others);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                             .code = "reset-scope",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = others},
                                    "a reset of it also resets %s", others);
}

int check_reset_intent(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        int r = check_stuck(gpu, findings);

        if (r >= 0)
                r = check_display(gpu, VFIOCTL_REFUSAL, findings);
        if (r >= 0)
                r = check_driver(gpu, findings);
        if (r >= 0)
                r = check_claimed(gpu, NULL, VFIOCTL_REFUSAL, findings);
        if (r >= 0)
                r = check_holders(gpu, VFIOCTL_REFUSAL, findings);
        if (r >= 0)
                r = check_none(gpu, VFIOCTL_REFUSAL, findings);
        if (r >= 0)
                r = check_others(gpu, findings);
        return r;
}
