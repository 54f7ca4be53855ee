/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"
#include "status.h"
#include "terminal.h"

int verb_status(struct cli *cli)
{
        unsigned int flags = terminal_wants_color(cli) ? STATUS_TEXT_COLOR : 0;
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
