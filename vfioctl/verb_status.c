/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"
#include "status.h"

#include <unistd.h>

/* no-color.org, and what a terminal is. */
static bool wants_color(const struct cli *cli)
{
        const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");

        return !cli->options.json && isatty(STDOUT_FILENO) == 1 && !(none && *none) &&
               !util_equal(terminal, "dumb");
}

int verb_status(struct cli *cli)
{
        unsigned int flags = wants_color(cli) ? STATUS_TEXT_COLOR : 0;
        _cleanup_status_ struct status status = {.now = 0};

        if (cli->options.watch)
                return status_watch(cli, flags);
        int code = status_look(cli, &status);
        if (code != 0)
                return code;
        _cleanup_free_ char *text = status_output(&status, flags, false);
        if (!text)
                return complain_errno(-ENOMEM, "cannot show the status");
        return fputs(text, stdout) == EOF ? CODE_FAILED : status_code(&status);
}
