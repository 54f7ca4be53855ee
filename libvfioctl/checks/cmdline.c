/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"

static bool same_character(char a, char b)
{
        return a == b || ((a == '-' || a == '_') && (b == '-' || b == '_'));
}

/* What follows `name` in a word that begins with it, or NULL. */
static const char *after_name(const char *word, size_t length, const char *name)
{
        size_t i = 0;

        while (i < length && name[i] && same_character(word[i], name[i]))
                i++;
        if (name[i] || (i > 0 && name[i - 1] != '=' && i < length))
                return NULL;
        return word + i;
}

const char *cmdline_value(const struct host_facts *facts, const char *name, char word[CMDLINE_WORD_SIZE])
{
        const char *found = NULL;

        for (const char *at = facts->cmdline ? facts->cmdline : ""; *at;) {
                size_t length = strcspn(at, " \n");
                const char *value = after_name(at, length, name);
                if (value && length < CMDLINE_WORD_SIZE) {
                        memcpy(word, at, length);
                        word[length] = '\0';
                        found = word + (value - at);
                }
                at += length;
                at += strspn(at, " \n");
        }
        return found;
}

bool list_has_module(const char *list, const char *module)
{
        while (*list) {
                size_t length = strcspn(list, ",");
                const char *rest = after_name(list, length, module);
                if (rest)
                        return true;
                list += length;
                list += *list == ',';
        }
        return false;
}

int cmdline_fix(const char *what, const char *word, char **ret)
{
        return util_format(ret, "%s %s %s " CMDLINE_PLACE ", and reboot", what, word,
                           util_equal(what, "add") ? "to" : "out of");
}
