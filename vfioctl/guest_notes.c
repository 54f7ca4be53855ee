/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest_notes.h"

const char *note_proof_name(enum note_proof proof)
{
        return proof == NOTE_KNOWN ? "known" : proof == NOTE_REPORTED ? "reported" : "unproven";
}

char *note_text(const char *format, ...)
{
        va_list arguments;
        char *text;

        va_start(arguments, format);
        int r = vasprintf(&text, format, arguments);
        va_end(arguments);
        return r < 0 ? NULL : text;
}

bool note_has_word(const char *words, const char *word)
{
        size_t length = strlen(word);

        for (const char *at = words; at && *at; at += strspn(at, " ")) {
                size_t n = strcspn(at, " ");
                if (n == length && strncmp(at, word, n) == 0)
                        return true;
                at += n;
        }
        return false;
}

int note_add(struct guest_notes *notes, const char *topic, enum note_proof proof, char *text, char *command)
{
        int r = text ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < notes->n_notes; i++)
                if (util_equal(notes->notes[i].text, text)) {
                        free(text);
                        free(command);
                        return 0;
                }
        if (r >= 0)
                r = util_grow(&notes->notes, &notes->allocated_notes, notes->n_notes + 1,
                              sizeof(*notes->notes));
        if (r < 0) {
                free(text);
                free(command);
                return r;
        }
        notes->notes[notes->n_notes++] =
                (struct note){.topic = topic, .proof = proof, .text = text, .command = command};
        return 0;
}

/* ---- what any guest needs ---- */

/* amdgpu resets the GPU by itself only where it sees that it runs in a VM: soc15_need_reset_on_init(). */
static int hypervisor_note(struct guest_notes *notes, const struct guest_gpu *gpu)
{
        if (!notes->facts.hides_hypervisor || !note_has_word(gpu->guest_words, "keep-hypervisor"))
                return 0;
        return note_add(
                notes, "hypervisor", NOTE_KNOWN,
                note_text("the CPU feature hypervisor is off: the driver does not reset the GPU then. "
                          "On the host"),
                note_text("vfioctl tune %s", notes->typed));
}

static int display_note(struct guest_notes *notes)
{
        if (notes->facts.has_display)
                return note_add(
                        notes, "display", NOTE_KNOWN,
                        note_text("there is an emulated display, to install and repair. When streaming "
                                  "works, on the host"),
                        note_text("vfioctl tune %s --display none", notes->typed));
        return note_add(notes, "display", NOTE_KNOWN,
                        note_text("there is none but the GPU's. To install or repair, on the host"),
                        note_text("vfioctl tune %s --display rescue", notes->typed));
}

int guest_common_notes(struct guest_notes *notes)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < notes->n_gpus; i++)
                r = hypervisor_note(notes, &notes->gpus[i]);
        if (r >= 0 && notes->facts.hides_kvm)
                r = note_add(notes, "hidden", NOTE_KNOWN,
                             note_text("KVM is hidden from the guest, which only NVIDIA's Windows drivers "
                                       "before R465 "
                                       "ask for"),
                             NULL);
        if (r >= 0 && notes->guest == VFIOCTL_GUEST_OTHER)
                r = note_add(notes, "system", NOTE_KNOWN,
                             note_text("the definition does not say what runs in it; steps for a system"),
                             note_text("vfioctl guest-notes %s --os linux", notes->typed));
        if (r >= 0)
                r = display_note(notes);
        if (r >= 0 && notes->guest != VFIOCTL_GUEST_OTHER)
                r = note_add(notes, "more", NOTE_KNOWN,
                             note_text("docs/game-streaming.md, also what is not proven, with sources"),
                             NULL);
        return r;
}
