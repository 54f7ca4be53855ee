/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "redact.h"
#include "slots.h"

/* Reduced, it is a table of which nothing is left to reduce. */
static void reduce(const uint8_t *data, size_t size)
{
        const struct redaction redaction = {.is_off = false};
        uint8_t *once, *twice;
        size_t size_once, size_twice;

        require(redact_dmi(&redaction, data, size, &once, &size_once) == 0);
        require(redact_dmi(&redaction, once, size_once, &twice, &size_twice) == 0);
        require(size_once == size_twice && memcmp(once, twice, size_once) == 0);
        free(once);
        free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct vfioctl_ctx *ctx = fuzz_root(NULL);
        struct slots slots;

        fuzz_mkdir("/sys/firmware/dmi/tables");
        fuzz_write("/sys/firmware/dmi/tables/DMI", data, size);
        require(slots_read(ctx, &slots) == 0);
        /* Each takes 17 bytes of a table at least. */
        require(slots.count <= size / 17);
        for (size_t i = 0; i < slots.count; i++) {
                const struct slot *slot = &slots.items[i];
                require(slot->number < 1000 && slot->address.device < 32 && slot->address.function < 8);
                require(slots_at(&slots, &slot->address) != NULL);
                for (const char *at = slot->label; at && *at; at++)
                        require(*at >= ' ' && *at <= '~');
        }
        slots_clear(&slots);
        reduce(data, size);
        return 0;
}
