/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"
#include "paths.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

/*
 * Not syslog(3): it waits for a log that does not read, and a hook must not. The form is that of its
 * datagrams: <priority>tag[pid]: text.
 */
void journal(struct cli *cli, bool is_error, const char *format, ...)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_free_ char *text = NULL, *line = NULL;
        va_list arguments;

        const char *root = cli->options.root ? cli->options.root : "";
        int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s" PATH_DEV_LOG, root);
        if (length < 0 || (size_t)length >= sizeof(address.sun_path))
                return;
        va_start(arguments, format);
        length = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (length < 0) {
                text = NULL;
                return;
        }
        for (char *at = text; *at; at++)
                if ((unsigned char)*at < ' ' || *at == 127)
                        *at = '?';
        int priority = LOG_DAEMON | (is_error ? LOG_WARNING : LOG_NOTICE);
        if (util_format(&line, "<%d>vfioctl[%ld]: %s", priority, (long)getpid(), text) < 0)
                return;
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return;
        (void)sendto(fd, line, strlen(line), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                     sizeof(address));
        (void)close(fd);
}
