/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

int verb_env(struct cli *cli)
{
        complain("%s: not yet", cli->verb->name);
        return CODE_FAILED;
}
