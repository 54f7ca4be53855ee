/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_FUZZ_H
#define VFIOCTL_FUZZ_H

#include <limits.h>

#include "util.h"

/* One input; what must not be ends the program. libFuzzer and driver.c call it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program when the condition does not hold. */
#define require(condition)                                                                                   \
        do {                                                                                                 \
                if (!(condition)) {                                                                          \
                        fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);        \
                        abort();                                                                             \
                }                                                                                            \
        } while (0)

/* The input as a text; the caller's to free. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1);

        require(text);
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        return text;
}

/* The context of a root that lasts as long as the program, and its folder. */
struct vfioctl_ctx;
struct vfioctl_ctx *fuzz_root(const char **ret_folder);
/* Writes a file below that root; its folder is there. */
void fuzz_write(const char *path, const uint8_t *data, size_t size);
void fuzz_mkdir(const char *path);

#endif
