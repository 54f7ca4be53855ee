/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

/* Events come in bursts: a change of mode is a dozen, a VM's start more. */
#define QUIET_MS 100
#define BURST_MS 1000

#define HOME       "\033[H"
#define CLEAR      "\033[H\033[2J"
#define CLEAR_LINE "\033[K\n"
#define CLEAR_REST "\033[J"

char *status_output(const struct status *status, unsigned int flags, bool one_line)
{
        char *text = NULL;

        if (!status->cli.options.json)
                return status_text(status, flags, &text) < 0 ? NULL : text;
        struct json_object *object = status_json(status);
        int style =
                one_line ? JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE
                         : JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;
        const char *json = json_object_to_json_string_ext(object, style);
        if (!json || util_format(&text, "%s\n", json) < 0)
                text = NULL;
        json_object_put(object);
        return text;
}

struct screen {
        const struct cli *cli;
        unsigned int flags;
        bool is_terminal;
        bool has_printed;
        char *last; /* what was shown, but for what changes with each reconcile that finds nothing */
};

/* 0, or a negative errno: -EPIPE when nobody reads any more. */
static int write_all(const char *text)
{
        for (size_t left = strlen(text); left > 0;) {
                ssize_t n = write(STDOUT_FILENO, text, left);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                left -= (size_t)n;
        }
        return 0;
}

/* Written over what is there, so that nothing flickers. */
static int draw(const struct screen *screen, const char *text)
{
        char clock[64] = "";
        time_t now = time(NULL);
        struct tm parts;
        char *frame = NULL;
        size_t size;
        FILE *file = open_memstream(&frame, &size);

        if (!file)
                return -ENOMEM;
        (void)fputs(screen->last ? HOME : CLEAR, file);
        for (const char *at = text; *at; at++)
                (void)fputs(*at == '\n' ? CLEAR_LINE : (const char[]){*at, '\0'}, file);
        if (localtime_r(&now, &parts))
                (void)strftime(clock, sizeof(clock), "%T, Ctrl-C ends", &parts);
        (void)fprintf(file, "%s" CLEAR_LINE CLEAR_REST, clock);
        int r = fclose(file) == EOF ? -ENOMEM : write_all(frame);
        free(frame);
        return r;
}

static int show(struct screen *screen, const char *text, char *key)
{
        bool changed = !util_equal(key, screen->last);
        int r = 0;

        if (screen->is_terminal) {
                r = draw(screen, text);
        } else if (changed) {
                if (screen->has_printed && !screen->cli->options.json)
                        r = write_all("\n");
                screen->has_printed |= *text != '\0';
                if (r >= 0)
                        r = write_all(text);
        }
        free(screen->last);
        screen->last = key;
        return r;
}

/* One look. An exit code, or -1 to go on. */
static int refresh(struct screen *screen)
{
        _cleanup_status_ struct status status;

        int code = status_look(screen->cli, &status);
        if (code != 0)
                return code;
        _cleanup_free_ char *text = status_output(&status, screen->flags, true);
        status.reconcile_when = 0;
        char *key = status_output(&status, screen->flags, true);
        int r = text && key ? show(screen, text, key) : -ENOMEM;
        if (r == -EPIPE)
                return CODE_DONE;
        return r < 0 ? complain_errno(r, "cannot show the status") : -1;
}

static int signal_fd(void)
{
        sigset_t signals;

        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGINT);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigaddset(&signals, SIGHUP);
        (void)sigaddset(&signals, SIGWINCH);
        int r = pthread_sigmask(SIG_BLOCK, &signals, NULL);
        if (r != 0)
                return -r;
        int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

enum event { EVENT_NONE, EVENT_CHANGE, EVENT_END };

static enum event wait_one(struct vfioctl_watch *watch, int signals, int timeout)
{
        struct pollfd fds[] = {{.fd = vfioctl_watch_fd(watch), .events = POLLIN},
                               {.fd = signals, .events = POLLIN},
                               {.fd = STDOUT_FILENO}};
        enum event found = EVENT_NONE;

        int n = poll(fds, ELEMENTSOF(fds), timeout);
        if (n < 0 && errno != EINTR)
                return EVENT_END;
        if (n <= 0)
                return EVENT_NONE;
        if (fds[1].revents) {
                struct signalfd_siginfo info;
                while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
                        if (info.ssi_signo != SIGWINCH)
                                return EVENT_END;
                        found = EVENT_CHANGE;
                }
        }
        /* Nobody reads any more. */
        if (fds[2].revents & (POLLERR | POLLHUP | POLLNVAL))
                return EVENT_END;
        if (fds[0].revents && vfioctl_watch_read(watch) != 0)
                found = EVENT_CHANGE;
        return found;
}

/* Waits for a change, and then for the end of the burst that it is part of. */
static enum event wait_for_change(struct vfioctl_watch *watch, int signals)
{
        enum event event;

        do
                event = wait_one(watch, signals, -1);
        while (event == EVENT_NONE);
        for (uint64_t end = clock_ms() + BURST_MS; event != EVENT_END && clock_ms() < end;) {
                enum event more = wait_one(watch, signals, QUIET_MS);
                if (more == EVENT_NONE)
                        break;
                event = more;
        }
        return event;
}

int status_watch(const struct cli *cli, unsigned int flags)
{
        struct screen screen = {.cli = cli,
                                .flags = flags | STATUS_TEXT_TIMES,
                                .is_terminal = !cli->options.json && isatty(STDOUT_FILENO) == 1};
        struct vfioctl_watch *watch = NULL;

        /* A context for each look: the configuration is read anew, and this one only listens. */
        int signals = signal_fd();
        int r = signals < 0 ? signals : vfioctl_watch_new(cli->ctx, &watch);
        int code = r < 0 ? complain_errno(r, "cannot watch") : refresh(&screen);
        while (code < 0)
                code = wait_for_change(watch, signals) == EVENT_END ? CODE_DONE : refresh(&screen);
        free(screen.last);
        (void)vfioctl_watch_free(watch);
        if (signals >= 0)
                (void)close(signals);
        return code;
}
