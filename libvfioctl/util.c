/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util.h"

#include <ctype.h>

int util_format(char **ret, const char *format, ...)
{
        va_list arguments;
        char *text = NULL;

        va_start(arguments, format);
        int r = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (r < 0)
                return -ENOMEM;
        *ret = text;
        return 0;
}

int util_copy(const char *text, char **ret)
{
        char *copy = NULL;

        if (text) {
                copy = strdup(text);
                if (!copy)
                        return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

int util_grow(void *array, size_t *allocated, size_t needed, size_t size)
{
        if (needed <= *allocated)
                return 0;
        size_t count = *allocated ? *allocated : 8;
        while (count < needed) {
                if (count > SIZE_MAX / 2)
                        return -ENOMEM;
                count *= 2;
        }
        void *grown = reallocarray(*(void **)array, count, size);
        if (!grown)
                return -ENOMEM;
        memcpy(array, &grown, sizeof(grown));
        *allocated = count;
        return 0;
}

char *util_trim(char *text)
{
        size_t length = strlen(text);

        while (length > 0 && isspace((unsigned char)text[length - 1]))
                text[--length] = '\0';
        return text;
}

void util_make_printable(char *text)
{
        for (; *text; text++)
                if (!isprint((unsigned char)*text))
                        *text = '?';
}

int util_parse_u64(const char *text, int base, uint64_t maximum, uint64_t *ret)
{
        char *end = NULL;

        if (!isxdigit((unsigned char)text[0]))
                return -EINVAL;
        errno = 0;
        unsigned long long value = strtoull(text, &end, base);
        if (end == text || *end)
                return -EINVAL;
        if (errno == ERANGE || value > maximum)
                return -ERANGE;
        *ret = value;
        return 0;
}
