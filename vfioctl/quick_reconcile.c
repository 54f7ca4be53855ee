/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <unistd.h>

/*
 * Cron comes every minute, and as a rule finds all as it was: that is seen here, before the configuration is
 * read or any library loaded.
 */
bool quick_reconcile(struct cli *cli, int *ret_code)
{
        struct vfioctl_stamp now, last;
        int64_t when;
        bool known;
        int code;

        if (cli->options.json || cli->options.dry_run || cli->options.verbose || isatty(STDERR_FILENO) == 1)
                return false;
        if (vfioctl_ctx_is_live(cli->ctx) && geteuid() != 0)
                return false;
        if (vfioctl_stamp_read(cli->ctx, &last, &known, &code, &when, NULL) < 0 || !known)
                return false;
        (void)vfioctl_stamp_take(cli->ctx, &now);
        if (now.value != last.value || vfioctl_stamp_touch(cli->ctx) < 0)
                return false;
        *ret_code = code;
        return true;
}
