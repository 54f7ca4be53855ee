/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "text.h"

/* Length of the UTF-8 character at `text` that a terminal shows as it is; 0 when it is to be escaped. */
static size_t printable_length(const unsigned char *text)
{
        static const uint32_t minimum[] = {0, 0, 0x80, 0x800, 0x10000};
        size_t length;
        uint32_t code;

        if (text[0] < 0x80)
                return text[0] >= 0x20 && text[0] != 0x7f ? 1 : 0;
        if ((text[0] & 0xe0) == 0xc0) {
                length = 2;
                code = text[0] & 0x1f;
        } else if ((text[0] & 0xf0) == 0xe0) {
                length = 3;
                code = text[0] & 0x0f;
        } else if ((text[0] & 0xf8) == 0xf0) {
                length = 4;
                code = text[0] & 0x07;
        } else {
                return 0;
        }
        for (size_t i = 1; i < length; i++) {
                if ((text[i] & 0xc0) != 0x80)
                        return 0;
                code = code << 6 | (text[i] & 0x3f);
        }
        if (code < minimum[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return 0;
        /* Controls (C1), line and paragraph separators, and marks that turn the writing direction. */
        if (code < 0xa0 || code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
            (code >= 0x2066 && code <= 0x2069))
                return 0;
        return length;
}

/* Writes what stands for the byte: a stream in memory fails only for lack of it, which fclose() tells. */
static void put_escaped(FILE *stream, unsigned char byte)
{
        switch (byte) {
        case '\n':
                (void)fputs("\\n", stream);
                break;
        case '\r':
                (void)fputs("\\r", stream);
                break;
        case '\t':
                (void)fputs("\\t", stream);
                break;
        default:
                (void)fprintf(stream, "\\x%02x", byte);
        }
}

static int close_stream(FILE *stream, char **text, char **ret)
{
        bool failed = ferror(stream);

        if (fclose(stream) != 0 || failed) {
                free(*text);
                return -ENOMEM;
        }
        *ret = *text;
        return 0;
}

int text_printable(const char *text, size_t max, char **ret)
{
        const unsigned char *at = (const unsigned char *)text;
        char *shown = NULL;
        size_t size = 0, count = 0;

        FILE *stream = open_memstream(&shown, &size);
        if (!stream)
                return -ENOMEM;
        for (; *at && count < max; count++) {
                size_t length = printable_length(at);
                if (length > 0)
                        (void)fwrite(at, 1, length, stream);
                else
                        put_escaped(stream, *at);
                at += length > 0 ? length : 1;
        }
        if (*at)
                (void)fputs("...", stream);
        return close_stream(stream, &shown, ret);
}

int text_shell_word(const char *text, char **ret)
{
        static const char plain[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
        const unsigned char *at = (const unsigned char *)text;
        bool escape = false;
        char *word = NULL;
        size_t size = 0;

        if (*text && text[0] != '-' && text[strspn(text, plain)] == '\0')
                return util_copy(text, ret);

        FILE *stream = open_memstream(&word, &size);
        if (!stream)
                return -ENOMEM;
        for (const unsigned char *c = at; *c && !escape;) {
                size_t length = printable_length(c);
                escape = length == 0;
                c += length;
        }
        (void)fputs(escape ? "$'" : "'", stream);
        while (*at) {
                size_t length = printable_length(at);
                if (length == 0)
                        put_escaped(stream, *at);
                else if (escape && (*at == '\'' || *at == '\\'))
                        (void)fprintf(stream, "\\%c", *at);
                else if (*at == '\'')
                        (void)fputs("'\\''", stream);
                else
                        (void)fwrite(at, 1, length, stream);
                at += length > 0 ? length : 1;
        }
        (void)fputc('\'', stream);
        return close_stream(stream, &word, ret);
}

int text_command(const char *verb, const char *vm, const char *options, char **ret)
{
        _cleanup_free_ char *word = NULL;

        int r = text_shell_word(vm, &word);
        if (r < 0)
                return r;
        return vm[0] == '-' ? util_format(ret, "vfioctl %s %s -- %s", verb, options, word)
                            : util_format(ret, "vfioctl %s %s %s", verb, word, options);
}
