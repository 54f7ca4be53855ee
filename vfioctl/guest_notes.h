/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CLI_GUEST_NOTES_H
#define VFIOCTL_CLI_GUEST_NOTES_H

#include "virt.h"

/* What the guest of one VM needs: its GPUs as it sees them, and notes about what to do there. */

#define GUEST_FUNCTIONS_MAX 8

struct guest_gpu {
        const struct vfioctl_gpu *gpu; /* NULL: the host has none at this address now */
        char host[VFIOCTL_ADDRESS_SIZE];
        struct vfioctl_guest_place place;
        int place_error;                                            /* of vfioctl_domain_hostdev_place() */
        char companions[GUEST_FUNCTIONS_MAX][VFIOCTL_ADDRESS_SIZE]; /* in the guest */
        size_t n_companions;
        char address[VFIOCTL_ADDRESS_SIZE]; /* in the guest; "" when not known */
        uint16_t vendor;                    /* 0: not known, as is the class */
        unsigned int class;                 /* base class and subclass */
        bool is_headless;                   /* its card has no connector */
        const char *drivers;                /* for a guest with Linux: words as vfioctl-cards(5) has them */
        const char *windows_driver;         /* or NULL */
        const char *guest_words;            /* what else its card's file says about guests, or NULL */
        const char *encoder;                /* words, or NULL: not known */
        const char *encoder_unit;           /* or NULL */
};

/* How sure a note is. */
enum note_proof {
        NOTE_KNOWN,    /* documented, or in the code of what it is about */
        NOTE_REPORTED, /* somebody did it with such a card */
        NOTE_UNPROVEN, /* nobody is known to have done it with such a card, or it is reported to fail */
};
const char *note_proof_name(enum note_proof proof);

struct note {
        const char *topic;
        enum note_proof proof;
        char *text;
        char *command; /* to be typed in the guest, or on the host where the text says so; or NULL */
};

struct guest_notes {
        const char *vm;    /* as it is shown */
        const char *typed; /* as it is typed */
        enum vfioctl_guest guest;
        struct vfioctl_guest_facts facts;
        struct guest_gpu *gpus;
        size_t n_gpus, allocated_gpus;
        struct note *notes;
        size_t n_notes, allocated_notes;
};

/*
 * Adds a note, unless one with this text is there: GPUs of a kind need the same, and the first is example
 * enough for a command. Both texts are taken, NULL without memory. 0 or -ENOMEM.
 */
int note_add(struct guest_notes *notes, const char *topic, enum note_proof proof, char *text, char *command);
/* A text for it; NULL without memory. */
char *note_text(const char *format, ...) _printf_(1, 2);
/* Whether a list of words, which may be NULL, has this one. */
bool note_has_word(const char *words, const char *word);

/* Notes for all GPUs of the VM. 0 or -ENOMEM. */
int guest_linux_notes(struct guest_notes *notes);
int guest_windows_notes(struct guest_notes *notes);
int guest_common_notes(struct guest_notes *notes);

#endif
