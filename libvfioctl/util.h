/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_UTIL_H
#define VFIOCTL_UTIL_H

/* Internal helpers of both libraries and of the CLI: memory, strings, arrays. No I/O here. */

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VFIOCTL_EXPORT      __attribute__((visibility("default")))
#define _cleanup_(f)        __attribute__((cleanup(f)))
#define _cleanup_free_      _cleanup_(util_freep)
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _pure_              __attribute__((pure))

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

/* Defines NAMEp(), for _cleanup_(NAMEp), from a destructor that takes NULL and returns NULL. */
#define DEFINE_CLEANUP(type, destroy)                                                                        \
        static inline void destroy##p(type **object)                                                         \
        {                                                                                                    \
                *object = destroy(*object);                                                                  \
        }

static inline void util_freep(void *pointer)
{
        free(*(void **)pointer);
}

static inline bool util_equal(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

static inline bool util_has_prefix(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Takes the pointer out of a cleanup variable: the variable is NULL then. */
#define util_steal(pointer)                                                                                  \
        (__extension__({                                                                                     \
                __typeof__(&(pointer)) util_place = &(pointer);                                              \
                __typeof__(pointer) util_value = *util_place;                                                \
                *util_place = NULL;                                                                          \
                util_value;                                                                                  \
        }))

/* Like asprintf(), but 0 or -ENOMEM, and *ret untouched on failure. */
int util_format(char **ret, const char *format, ...) _printf_(2, 3);

/* strdup() that passes NULL on as success. */
int util_copy(const char *text, char **ret);

/*
 * Grows `*array` so that it holds `needed` elements of `size` bytes; doubles, so that appending is cheap.
 * 0 or -ENOMEM; the array is as it was then.
 */
int util_grow(void *array, size_t *allocated, size_t needed, size_t size);

/* Removes spaces and newlines at the end, in place; returns `text`. */
char *util_trim(char *text);

/* What a broken tree holds must not reach a terminal: in place, '?' for each byte that is not ASCII and
 * printable. */
void util_make_printable(char *text);

/* Unsigned number in `base` that is the whole of `text`; -EINVAL or -ERANGE. */
int util_parse_u64(const char *text, int base, uint64_t maximum, uint64_t *ret);

#endif
