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

bool lazy_own_folder(char path[PATH_MAX])
{
        Dl_info info;

        if (dladdr((const void *)lazy_open, &info) == 0 || !info.dli_fname ||
            strlen(info.dli_fname) >= PATH_MAX)
                return false;
        strcpy(path, info.dli_fname);
        char *slash = strrchr(path, '/');
        if (!slash)
                return false;
        *slash = '\0';
        return true;
}
