/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "slots.h"

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
        return 0;
}
