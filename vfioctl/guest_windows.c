/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest_notes.h"

/* Steps for a guest with Windows. docs/game-streaming.md tells more, with sources. */

/* A driver that was edited has no signature that Windows takes, but in test mode, which Secure Boot forbids.
 */
static int unsigned_driver(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        int r = note_add(notes, "driver", NOTE_REPORTED,
                         note_text("%s: then it is signed by nobody, and Windows takes it in test mode",
                                   gpu->windows_driver),
                         note_text("bcdedit /set testsigning on"));
        if (r < 0)
                return r;
        if (notes->facts.has_secure_boot)
                return note_add(
                        notes, "secure boot", NOTE_KNOWN,
                        note_text("the definition asks for it, and test mode needs it off: press Esc as the "
                                  "VM starts, and switch it off in the Device Manager of its firmware"),
                        NULL);
        return note_add(notes, "secure boot", NOTE_KNOWN, note_text("off, as test mode needs it"), NULL);
}

static int driver_notes(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        if (gpu->windows_driver)
                return unsigned_driver(notes, gpu);
        if (note_has_word(gpu->drivers, "nvidia-470") || note_has_word(gpu->drivers, "nvidia-580"))
                return note_add(notes, "driver", NOTE_KNOWN,
                                note_text("NVIDIA's, of branch %s, the last that knows it",
                                          note_has_word(gpu->drivers, "nvidia-470") ? "470" : "580"),
                                NULL);
        return note_add(notes, "driver", NOTE_KNOWN, note_text("the vendor's, as on any machine"), NULL);
}

static int location_note(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        const struct vfioctl_address *address = &gpu->place.address;

        if (gpu->place_error < 0)
                return 0;
        return note_add(notes, "device", NOTE_KNOWN,
                        note_text("in the Device Manager at PCI bus %u, device %u, function %u", address->bus,
                                  address->device, address->function),
                        NULL);
}

static int desktop_notes(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        int r = note_add(notes, "desktop", NOTE_KNOWN,
                         note_text("Windows lets Sunshine capture only a GPU that drives a display"), NULL);

        if (r >= 0 && gpu->is_headless)
                r = note_add(
                        notes, "desktop", NOTE_UNPROVEN,
                        note_text("a virtual display driver (IddCx) is to be that display: reported to fail "
                                  "where no GPU has an output (Virtual-Display-Driver #373)"),
                        NULL);
        else if (r >= 0)
                r = note_add(notes, "desktop", NOTE_KNOWN,
                             note_text("that is one with a monitor, a plug that looks like one, or a virtual "
                                       "display driver"),
                             NULL);
        return r;
}

int guest_windows_notes(struct guest_notes *notes)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < notes->n_gpus; i++)
                r = driver_notes(notes, &notes->gpus[i]);
        for (size_t i = 0; r >= 0 && i < notes->n_gpus; i++)
                r = location_note(notes, &notes->gpus[i]);
        if (r >= 0)
                r = note_add(
                        notes, "devices", NOTE_KNOWN,
                        note_text("disk and network need the drivers of virtio-win while Windows installs"),
                        NULL);
        if (r < 0 || notes->n_gpus == 0)
                return r;
        return desktop_notes(notes, &notes->gpus[0]);
}
