/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

/* An identity is words; the last, the serial number, may be missing where it could not be read. */
#define IDENTITY_WORDS 4 /* domain, host bridge, chain, IDs */

static size_t word_end(const char *text, unsigned int words)
{
        size_t at = 0;

        for (unsigned int i = 0; i < words; i++) {
                at += strspn(text + at, " ");
                at += strcspn(text + at, " ");
        }
        return at;
}

/* The same place: domain, host bridge and chain. */
static bool same_place(const char *a, const char *b)
{
        size_t length = word_end(a, IDENTITY_WORDS - 1);
        return length == word_end(b, IDENTITY_WORDS - 1) && strncmp(a, b, length) == 0;
}

bool identity_matches(const char *a, const char *b)
{
        size_t length = word_end(a, IDENTITY_WORDS);

        if (!*a || length != word_end(b, IDENTITY_WORDS) || strncmp(a, b, length) != 0)
                return false;
        return !a[length] || !b[length] || util_equal(a + length, b + length);
}

VFIOCTL_EXPORT const char *vfioctl_verdict_name(enum vfioctl_verdict verdict)
{
        switch (verdict) {
        case VFIOCTL_SAME:
                return "same";
        case VFIOCTL_MOVED:
                return "moved";
        case VFIOCTL_EDITED:
                return "edited";
        case VFIOCTL_SWAPPED:
                return "swapped";
        case VFIOCTL_GONE:
                return "gone";
        }
        return "gone";
}

VFIOCTL_EXPORT enum vfioctl_verdict vfioctl_judge(const struct vfioctl_snapshot *snapshot,
                                                  const struct vfioctl_assignment *assignment,
                                                  const struct vfioctl_gpu **ret_gpu)
{
        const struct vfioctl_gpu *at = NULL, *place = NULL;

        *ret_gpu = NULL;
        if (assignment->is_edited || assignment->n_functions == 0 || !*assignment->identity)
                return VFIOCTL_EDITED;
        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                const struct vfioctl_gpu *gpu = snapshot->gpus[i];
                if (vfioctl_address_compare(&gpu->functions[0]->address, &assignment->functions[0]) == 0)
                        at = gpu;
                if (!gpu->identity)
                        continue;
                if (identity_matches(gpu->identity, assignment->identity)) {
                        *ret_gpu = gpu;
                        return gpu == at ? VFIOCTL_SAME : VFIOCTL_MOVED;
                }
                if (same_place(gpu->identity, assignment->identity))
                        place = gpu;
        }
        /* In its place is another card, or another card has its address now. */
        *ret_gpu = place ? place : at;
        return *ret_gpu ? VFIOCTL_SWAPPED : VFIOCTL_GONE;
}
