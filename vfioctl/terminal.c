/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <unistd.h>

/* no-color.org, and what a terminal is. */
bool terminal_wants_color(const struct cli *cli)
{
        const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");

        return !cli->options.json && isatty(STDOUT_FILENO) == 1 && !(none && *none) &&
               !util_equal(terminal, "dumb");
}

/* Without setlocale(): nothing else here depends on a locale. */
bool terminal_has_utf8(void)
{
        locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);

        if (locale == (locale_t)0)
                return false;
        bool is_utf8 = util_equal(nl_langinfo_l(CODESET, locale), "UTF-8");
        freelocale(locale);
        return is_utf8;
}
