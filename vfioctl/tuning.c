/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tuning.h"
#include "paths.h"

#include <unistd.h>

#define VENDOR_AMD  0x1002
#define CLASS_AUDIO 0x0403

const char *tuning_type(const struct cli *cli)
{
        const char *uri = virt_uri(cli);

        if (uri && util_has_prefix(uri, "test:"))
                return "test";
        /* Whether a captured host has it is not seen; all that hand GPUs out do. */
        if (!vfioctl_ctx_is_live(cli->ctx))
                return "kvm";
        return access(PATH_DEV_KVM, F_OK) == 0 ? "kvm" : "qemu";
}

static enum vfioctl_guest guest_wanted(const struct vm_options *options)
{
        if (!options->os)
                return VFIOCTL_GUEST_OTHER;
        return util_equal(options->os, "windows") ? VFIOCTL_GUEST_WINDOWS : VFIOCTL_GUEST_LINUX;
}

static enum vfioctl_display display_wanted(const struct vm_options *options)
{
        if (!options->display)
                return VFIOCTL_DISPLAY_KEEP;
        return util_equal(options->display, "none") ? VFIOCTL_DISPLAY_NONE : VFIOCTL_DISPLAY_RESCUE;
}

static bool brings_audio(const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < vfioctl_gpu_function_count(gpu); i++)
                if (vfioctl_function_class(vfioctl_gpu_function(gpu, i)) >> 8 == CLASS_AUDIO)
                        return true;
        return false;
}

/* amdgpu resets a card that needs it where it sees that it runs in a VM: soc15_need_reset_on_init(). */
static bool asks_for_hypervisor(const struct vfioctl_gpu *gpu)
{
        return vfioctl_function_vendor(vfioctl_gpu_function(gpu, 0)) == VENDOR_AMD ||
               vfioctl_gpu_guest_wants(gpu, "keep-hypervisor");
}

void tuning_fill(const struct cli *cli, const struct vfioctl_snapshot *snapshot,
                 const struct vfioctl_gpu *const *gpus, size_t n_gpus, const struct vfioctl_place *place,
                 struct vfioctl_tuning *ret)
{
        const struct vm_options *options = &cli->options.vm;
        bool rom_on = false, rom_off = false;

        *ret = (struct vfioctl_tuning){
                .kvm = !util_equal(tuning_type(cli), "qemu"),
                .guest = guest_wanted(options),
                .vcpus = options->vcpus,
                .memory = options->memory,
                .place = place,
                .display = display_wanted(options),
                .topoext = vfioctl_snapshot_host_is_amd(snapshot),
        };
        for (size_t i = 0; i < n_gpus; i++) {
                ret->large_bars += vfioctl_gpu_bar_room(gpus[i]);
                ret->hides_kvm = ret->hides_kvm || vfioctl_gpu_guest_wants(gpus[i], "hide-kvm");
                ret->keeps_hypervisor = ret->keeps_hypervisor || asks_for_hypervisor(gpus[i]);
                ret->refuses_secure_boot =
                        ret->refuses_secure_boot || vfioctl_gpu_guest_wants(gpus[i], "no-secure-boot");
                ret->has_audio = ret->has_audio || brings_audio(gpus[i]);
                rom_on = rom_on || vfioctl_gpu_guest_wants(gpus[i], "rom-on");
                rom_off = rom_off || vfioctl_gpu_guest_wants(gpus[i], "rom-off");
        }
        if (rom_on != rom_off)
                ret->rom = rom_on ? "on" : "off";
}
