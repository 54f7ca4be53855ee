/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest_notes.h"

/* Steps for a guest with Linux. docs/game-streaming.md tells more, with sources. */

#define VENDOR_AMD    0x1002
#define VENDOR_NVIDIA 0x10de
#define VENDOR_INTEL  0x8086

/* Without a file about the card: what its vendor's later cards take. */
static bool takes(const struct guest_gpu *gpu, const char *driver)
{
        if (gpu->drivers)
                return note_has_word(gpu->drivers, driver);
        if (gpu->vendor == VENDOR_AMD)
                return util_equal(driver, "amdgpu");
        return gpu->vendor == VENDOR_NVIDIA &&
               (util_equal(driver, "nvidia") || util_equal(driver, "nouveau"));
}

static char *look_command(const struct guest_gpu *gpu)
{
        return *gpu->address ? note_text("lspci -nnk -s %s", gpu->address) : NULL;
}

static int amd_driver(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        int r = note_add(notes, "driver", NOTE_KNOWN,
                         note_text("amdgpu, of the kernel, with firmware: firmware-amd-graphics (Debian), "
                                   "amd-gpu-firmware (Fedora), linux-firmware"),
                         look_command(gpu));

        /* Documentation of both drivers' parameters: GCN 1.1 is radeon's, and Vulkan needs amdgpu. */
        if (r >= 0 && takes(gpu, "radeon"))
                r = note_add(notes, "kernel", NOTE_KNOWN,
                             note_text("radeon takes it on most kernels; for Vulkan, kernel arguments"),
                             note_text("radeon.cik_support=0 amdgpu.cik_support=1"));
        return r;
}

static int nvidia_driver(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        const char *branch = takes(gpu, "nvidia-470")   ? " of branch 470, the last that knows it"
                             : takes(gpu, "nvidia-580") ? " of branch 580, the last that knows it"
                                                        : "";
        int r = note_add(notes, "driver", NOTE_KNOWN,
                         note_text("NVIDIA's own%s; nouveau starts by itself and has no encoder", branch),
                         look_command(gpu));

        return r < 0 ? r
                     : note_add(notes, "kernel", NOTE_KNOWN,
                                note_text("for Wayland NVIDIA's driver needs the kernel argument"),
                                note_text("nvidia_drm.modeset=1"));
}

static int driver_notes(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        int r = 0;

        if (takes(gpu, "amdgpu"))
                r = amd_driver(notes, gpu);
        else if (gpu->vendor == VENDOR_NVIDIA)
                r = nvidia_driver(notes, gpu);
        else if (gpu->vendor == VENDOR_INTEL)
                r = note_add(notes, "driver", NOTE_KNOWN, note_text("i915 or xe, of the kernel"),
                             look_command(gpu));
        if (r >= 0 && gpu->class != 0 && gpu->class != 0x0300)
                r = note_add(
                        notes, "tools", NOTE_KNOWN,
                        note_text(
                                "its class is %04x: lspci | grep VGA, and what else looks for such, does not "
                                "find it",
                                gpu->class),
                        note_text("lspci -d ::%04x", gpu->class));
        return r;
}

static int node_notes(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        if (!*gpu->address)
                return 0;
        return note_add(notes, "node", NOTE_KNOWN,
                        note_text("/dev/dri/by-path/pci-%s-render%s", gpu->address,
                                  notes->facts.has_display ? "; renderD128 may be the other display's" : ""),
                        NULL);
}

static int encoder_notes(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        if (!gpu->encoder || note_has_word(gpu->encoder, "none") || !*gpu->address)
                return 0;
        if (gpu->vendor == VENDOR_NVIDIA)
                return note_add(notes, "encoder", NOTE_UNPROVEN,
                                note_text("by NVENC, with NVIDIA's own driver; what there is of it"),
                                note_text("ffmpeg -hide_banner -encoders | grep nvenc"));
        return note_add(
                notes, "encoder", NOTE_UNPROVEN, note_text("by VA-API; what there is of it"),
                note_text("vainfo --display drm --device /dev/dri/by-path/pci-%s-render", gpu->address));
}

/* A desktop where no monitor is. */
static int desktop_notes(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        const char *node = *gpu->address ? gpu->address : "ADDRESS";

        int r = note_add(
                notes, "desktop", NOTE_UNPROVEN,
                note_text("Wolf makes its own, and needs no monitor; in its container's environment"),
                note_text("WOLF_RENDER_NODE=/dev/dri/by-path/pci-%s-render", node));
        if (r >= 0)
                r = note_add(
                        notes, "desktop", NOTE_UNPROVEN,
                        note_text("or Sunshine (capture = wlr), or Steam, on a compositor without outputs"),
                        note_text("WLR_BACKENDS=headless WLR_LIBINPUT_NO_DEVICES=1 labwc"));
        /* amdgpu_device_enable_virtual_display(): pci_name(), and 1 to 6 of them. */
        if (r >= 0 && takes(gpu, "amdgpu"))
                r = note_add(notes, "kernel", NOTE_UNPROVEN,
                             note_text("a connector \"Virtual\" instead of those of the card, which Sunshine "
                                       "refused (#1713): kernel argument"),
                             note_text("amdgpu.virtual_display=%s,1", node));
        return r;
}

static int monitor_notes(struct guest_notes *notes)
{
        return note_add(
                notes, "desktop", NOTE_KNOWN,
                note_text("Sunshine and Steam stream what a monitor shows, or a plug that looks like one; "
                          "Wolf needs neither"),
                NULL);
}

int guest_linux_notes(struct guest_notes *notes)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < notes->n_gpus; i++)
                r = driver_notes(notes, &notes->gpus[i]);
        for (size_t i = 0; r >= 0 && i < notes->n_gpus; i++)
                r = node_notes(notes, &notes->gpus[i]);
        if (r >= 0)
                r = note_add(notes, "groups", NOTE_KNOWN,
                             note_text("a user of these nodes other than root needs"),
                             note_text("usermod -aG render,video USER"));
        for (size_t i = 0; r >= 0 && i < notes->n_gpus; i++)
                r = encoder_notes(notes, &notes->gpus[i]);
        /* One desktop is enough of an example. */
        if (r < 0 || notes->n_gpus == 0)
                return r;
        return notes->gpus[0].is_headless ? desktop_notes(notes, &notes->gpus[0]) : monitor_notes(notes);
}
