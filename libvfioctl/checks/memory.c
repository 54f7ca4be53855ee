/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"
#include "paths.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static int check_unset(const struct vfioctl_gpu *gpu, const struct vfioctl_function *function,
                       struct vfioctl_findings *findings)
{
        char list[32] = "";
        size_t length = 0;

        for (unsigned int i = 0; i < 6; i++)
                if (function->bars_unset & 1u << i)
                        length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%u",
                                                   length > 0 ? ", " : "", i);
        if (length == 0)
                return 0;
        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                     .code = "bar-unassigned",
                                                     .gpu = gpu->functions[0]->text,
                                                     .culprit = function->text,
                                                     .fix = "enable Above 4G Decoding in the firmware (and "
                                                            "raise its MMIOH size), or add pci=realloc to "
                                                            "the kernel's command line, and reboot"},
                            "BAR %s of %s has no address, so no driver can use its memory", list,
                            function->text);
}

/* What lets go of the framebuffer now, by the name of what has it; BOOTFB has no driver behind it. */
static int framebuffer_fix(const char *name, char **ret)
{
        static const struct {
                const char *prefix, *driver;
        } drivers[] = {
                {"efifb", "efi-framebuffer"},
                {"vesafb", "vesa-framebuffer"},
                {"simple", "simple-framebuffer"},
        };

        for (size_t i = 0; i < ELEMENTSOF(drivers); i++)
                if (util_has_prefix(name, drivers[i].prefix))
                        return util_format(ret, "echo %s.0 > " PATH_PLATFORM "/%s/unbind", drivers[i].driver,
                                           drivers[i].driver);
        return util_copy("add initcall_blacklist=sysfb_init to " CMDLINE_PLACE ", and reboot", ret);
}

static int check_framebuffer(const struct vfioctl_gpu *gpu, const struct vfioctl_function *function,
                             struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL;

        /* Of the boot display it is told already that it stays. */
        if (!function->framebuffer || function->is_boot_vga || function->is_console)
                return 0;
        int r = framebuffer_fix(function->framebuffer, &fix);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                             .code = "framebuffer",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = function->framebuffer,
                                                             .fix = fix},
                                    "the firmware's framebuffer (%s) lies in its memory, so that a VM "
                                    "cannot have that",
                                    function->framebuffer);
}

int check_memory(const struct vfioctl_gpu *gpu, struct vfioctl_findings *findings)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu->n_functions; i++) {
                r = check_unset(gpu, gpu->functions[i], findings);
                if (r >= 0)
                        r = check_framebuffer(gpu, gpu->functions[i], findings);
        }
        return r;
}

/* ---- the VM's 64-bit window ---- */

static int add_window(struct vfioctl_finding finding, uint64_t sum, uint64_t room, const char *who,
                      struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL;

        int r = util_format(&fix,
                            "<qemu:arg value='-fw_cfg'/><qemu:arg "
                            "value='name=opt/ovmf/X-PciMmio64Mb,string=%llu'/>",
                            (unsigned long long)(vfioctl_bar_window(room) / MIB));
        finding.severity = VFIOCTL_NOTE;
        finding.code = "bar-window";
        finding.fix = fix;
        return r < 0 ? r
                     : finding_addf(
                               findings, finding,
                               "%s %llu.%llu GiB of 64-bit BARs, which take up more than the 32 GiB that "
                               "OVMF before edk2-stable202211 has",
                               who, (unsigned long long)(sum / GIB),
                               (unsigned long long)(sum % GIB * 10 / GIB));
}

int check_window(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu,
                 struct vfioctl_findings *findings)
{
        uint64_t room = vfioctl_gpu_bar_room(gpu);

        (void)snapshot;
        if (vfioctl_bar_window(room) == 0)
                return 0;
        return add_window(
                (struct vfioctl_finding){.gpu = gpu->functions[0]->text, .culprit = gpu->functions[0]->text},
                vfioctl_gpu_large_bars(gpu), room, "it has", findings);
}

int check_windows(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                  struct vfioctl_findings *findings)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && vms && i < vfioctl_vms_count(vms); i++) {
                _cleanup_free_ char *who = NULL;
                uint64_t sum = 0, room = 0;
                size_t count = 0;
                for (size_t k = 0; k < snapshot->n_gpus; k++)
                        if (vfioctl_vms_has_gpu(vms, i, snapshot->gpus[k])) {
                                sum += vfioctl_gpu_large_bars(snapshot->gpus[k]);
                                room += vfioctl_gpu_bar_room(snapshot->gpus[k]);
                                count++;
                        }
                /* That one alone is too large is told of that one. */
                if (vfioctl_bar_window(room) == 0 || count < 2)
                        continue;
                r = util_format(&who, "the GPUs of VM %s have", vfioctl_vms_name(vms, i));
                if (r >= 0)
                        r = add_window((struct vfioctl_finding){.culprit = vfioctl_vms_name(vms, i)}, sum,
                                       room, who, findings);
        }
        return r;
}

/* ---- huge pages ---- */

static int check_pages_of(const struct host_facts *facts, const struct vfioctl_hugepages *pages,
                          const char *vm, struct vfioctl_findings *findings)
{
        uint64_t size = pages->size > 0 ? pages->size : facts->default_page;
        struct page_pool pool = {.size = size};
        _cleanup_free_ char *fix = NULL;

        for (size_t i = 0; i < facts->n_pools; i++)
                if (facts->pools[i].size == size)
                        pool = facts->pools[i];
        uint64_t needed = size > 0 ? (pages->memory + size - 1) / size : 0;
        if (needed <= pool.free)
                return 0;
        int r = util_format(&fix, "echo %llu > " PATH_HUGEPAGES "/hugepages-%llukB/nr_hugepages",
                            (unsigned long long)(pool.count + needed - pool.free), (unsigned long long)size);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                             .code = "hugepages",
                                                             .culprit = vm,
                                                             .fix = fix},
                                    "VM %s needs %llu huge pages of %llu KiB, and %llu are free", vm,
                                    (unsigned long long)needed, (unsigned long long)size,
                                    (unsigned long long)pool.free);
}

/* Of VMs that have a GPU and are off: those that run have their pages. */
int check_pages(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                struct vfioctl_findings *findings)
{
        int r = 0;

        /* A host that does not show its pools is not judged. */
        if (!vms || snapshot->facts.n_pools == 0)
                return 0;
        for (size_t i = 0; r >= 0 && i < vfioctl_vms_count(vms); i++) {
                const struct vfioctl_hugepages *pages = vfioctl_vms_hugepages(vms, i);
                if (pages && !vfioctl_vms_is_running(vms, i) && vms_has_some_gpu(vms, i, snapshot))
                        r = check_pages_of(&snapshot->facts, pages, vfioctl_vms_name(vms, i), findings);
        }
        return r;
}
