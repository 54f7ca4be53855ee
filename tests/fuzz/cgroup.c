/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "holders.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = fuzz_text(data, size), *unit = NULL;

        int r = holder_unit(text, &unit);
        require(r == 0 || r == -ENODATA);
        require((r == 0) == (unit != NULL));
        if (!unit)
                return 0;
        /* One part of one path: a unit, or a container's number. */
        require(*unit && !strchr(unit, '/') && !strchr(unit, '\n') &&
                strlen(unit) <= size + strlen("container "));
        if (!util_has_prefix(unit, "container "))
                require(strstr(text, unit) != NULL);
        return 0;
}
