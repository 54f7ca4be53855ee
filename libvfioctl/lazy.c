/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lazy.h"

#include <dlfcn.h>

int lazy_open(const char *soname, const struct lazy_symbol *symbols, size_t count, void *calls)
{
        void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

        for (size_t i = 0; i < count; i++) {
                /* A program that has the library already, or stands in for it, comes first. */
                void *symbol = dlsym(RTLD_DEFAULT, symbols[i].name);
                if (!symbol && library)
                        symbol = dlsym(library, symbols[i].name);
                if (!symbol)
                        return -ENOSYS;
                memcpy((char *)calls + symbols[i].offset, &symbol, sizeof(symbol));
        }
        return 0;
}
