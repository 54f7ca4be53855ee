/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <strings.h>

#include "model.h"

/*
 * Whether a definition can name a device at all, without a parser. In UTF-8 the tag of an element in no
 * namespace is its bytes: no reference, entity or other notation makes one (XML 1.0, 2.3 and 3.1), but what a
 * DOCTYPE declares might.
 */

static bool has_text(const char *text, size_t size, const char *wanted)
{
        return memmem(text, size, wanted, strlen(wanted)) != NULL;
}

/* True for what begins a longer name than that of the element. */
static bool continues_name(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
               c == '-' || c == '_' || c == ':';
}

/* True unless the text says, or leaves to the default, that it is UTF-8. `xml` is behind any byte order mark.
 */
static bool may_be_recoded(const char *xml, size_t size)
{
        static const char spaces[] = " \t\r\n";
        const char *end = xml + size;

        if (*xml != '<' && !memchr(spaces, *xml, sizeof(spaces) - 1))
                return true;
        if (size < 5 || memcmp(xml, "<?xml", 5) != 0)
                return false;
        const char *close = memmem(xml, size, "?>", 2);
        if (!close)
                return true;
        const char *at = memmem(xml, (size_t)(close - xml), "encoding", 8);
        if (!at)
                return false;
        at += 8;
        while (at < end && *at && strchr(" \t\r\n=", *at))
                at++;
        return end - at < 7 || (*at != '"' && *at != '\'') || strncasecmp(at + 1, "utf-8", 5) != 0 ||
               at[6] != *at;
}

VFIOCTL_EXPORT bool vfioctl_domain_text_has_hostdev(const char *xml, size_t size)
{
        static const char tag[] = "<hostdev";
        if (!xml || size == 0)
                return false;
        const char *at = xml, *end = xml + size;
        if (size >= 2 && (memcmp(xml, "\xfe\xff", 2) == 0 || memcmp(xml, "\xff\xfe", 2) == 0))
                return true;
        if (size >= 3 && memcmp(xml, "\xef\xbb\xbf", 3) == 0)
                at += 3;
        if (at == end)
                return false;
        if (may_be_recoded(at, (size_t)(end - at)) || memchr(at, '\0', (size_t)(end - at)) ||
            has_text(at, (size_t)(end - at), "<!DOCTYPE"))
                return true;
        while ((at = memmem(at, (size_t)(end - at), tag, strlen(tag)))) {
                at += strlen(tag);
                if (at == end || !continues_name(*at))
                        return true;
        }
        return false;
}
