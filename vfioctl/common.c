/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"
#include "paths.h"

#include <dlfcn.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* One line, whatever it quotes: a name or a configuration may hold what a terminal obeys. */
void complain(const char *format, ...)
{
        _cleanup_free_ char *line = NULL;
        va_list arguments;

        va_start(arguments, format);
        if (vasprintf(&line, format, arguments) < 0)
                line = NULL;
        va_end(arguments);
        for (char *at = line; at && *at; at++)
                if ((unsigned char)*at < ' ' || *at == 127)
                        *at = '?';
        (void)fprintf(stderr, "vfioctl: %s\n", line ? line : strerror(ENOMEM));
}

int complain_errno(int r, const char *what)
{
        if (r == -EPERM || r == -EACCES) {
                complain("%s: %s; run it as root", what, strerror(-r));
                return CODE_REFUSED;
        }
        if (r == -EBUSY) {
                complain("%s: another vfioctl is at work and does not end; try again later", what);
                return CODE_REFUSED;
        }
        complain("%s: %s", what, strerror(-r));
        return CODE_FAILED;
}

const char *printable(const char *text, char *buffer, size_t size)
{
        size_t length = strlen(text), room = size - 1;
        bool cut = length > room;

        if (cut)
                length = room > 3 ? room - 3 : 0;
        for (size_t i = 0; i < length; i++)
                buffer[i] = (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i];
        buffer[length] = '\0';
        if (cut)
                strcpy(buffer + length, "...");
        return buffer;
}

int take_snapshot(struct cli *cli, unsigned int flags, bool named_only, struct vfioctl_snapshot **ret)
{
        int r = named_only ? vfioctl_snapshot_take_for(cli->ctx, flags, (const char *const *)cli->arguments,
                                                       cli->n_arguments, ret)
                           : vfioctl_snapshot_take(cli->ctx, flags, ret);

        if (r >= 0)
                return 0;
        if (r == -ENOENT || r == -ENOTDIR) {
                complain("%s has no PCI bus in sysfs",
                         cli->options.root ? cli->options.root : "this machine");
                return CODE_FAILED;
        }
        return complain_errno(r, "cannot read the host's PCI devices");
}

int find_gpu(const struct vfioctl_snapshot *snapshot, const char *text, const struct vfioctl_gpu **ret)
{
        char shown[64];

        int r = vfioctl_snapshot_find(snapshot, text, ret);
        if (r >= 0)
                return 0;
        (void)printable(text, shown, sizeof(shown));
        if (r == -EINVAL) {
                complain("'%s' is neither a short name (2a), a PCI address (05:00.0) nor an alias; vfioctl "
                         "list "
                         "shows the GPUs",
                         shown);
                return CODE_USAGE;
        }
        complain("there is no GPU '%s'; vfioctl list shows those there are", shown);
        return CODE_REFUSED;
}

int find_gpus(const struct vfioctl_snapshot *snapshot, char *const *texts, size_t count,
              const struct vfioctl_gpu ***ret)
{
        _cleanup_free_ const struct vfioctl_gpu **gpus = calloc(count ? count : 1, sizeof(*gpus));

        if (!gpus)
                return complain_errno(-ENOMEM, "cannot look for GPUs");
        for (size_t i = 0; i < count; i++) {
                int code = find_gpu(snapshot, texts[i], &gpus[i]);
                if (code != 0)
                        return code;
                for (size_t k = 0; k < i; k++) {
                        if (gpus[k] != gpus[i])
                                continue;
                        complain("%s is named twice (%s and %s)", vfioctl_gpu_name(gpus[i]), texts[k],
                                 texts[i]);
                        return CODE_USAGE;
                }
        }
        *ret = util_steal(gpus);
        return 0;
}

const char *find_own(const char *beside, const char *installed, char buffer[PATH_MAX])
{
        char path[PATH_MAX];
        ssize_t length = readlink(PATH_SELF_EXE, path, sizeof(path) - 1);
        char *slash = length > 0 ? memrchr(path, '/', (size_t)length) : NULL;

        if (!slash || (size_t)(slash - path) + strlen(beside) + 2 >= sizeof(path))
                return installed;
        strcpy(slash + 1, beside);
        if (access(path, R_OK) < 0)
                return installed;
        memcpy(buffer, path, strlen(path) + 1);
        return buffer;
}

/* Not by RUNPATH: a sanitizer's dlopen() would look for it with its own. */
void *load_own(const char *beside, const char *installed)
{
        char path[PATH_MAX];

        return dlopen(find_own(beside, installed, path), RTLD_NOW | RTLD_LOCAL);
}

int make_uuid(char uuid[UUID_SIZE])
{
        uint8_t b[16];

        if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
                return -errno;
        b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
        b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
        (void)snprintf(uuid, UUID_SIZE,
                       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
                       b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
                       b[15]);
        return 0;
}

int outcome_code(enum vfioctl_outcome outcome)
{
        switch (outcome) {
        case VFIOCTL_DONE:
                return CODE_DONE;
        case VFIOCTL_ROLLED_BACK:
                return CODE_FAILED;
        case VFIOCTL_NOT_ROLLED_BACK:
        case VFIOCTL_STUCK:
                return CODE_STUCK;
        }
        return CODE_STUCK;
}

/* ---- progress ---- */

struct progress {
        const struct cli *cli;
        const struct vfioctl_apply_ops *ops; /* the verb's own */
        bool on_terminal;
};

static void show_progress(void *userdata, const struct vfioctl_step *step, size_t index, size_t count)
{
        struct progress *progress = userdata;

        if (progress->cli->options.verbose)
                complain("%s", vfioctl_step_text(step));
        else if (progress->on_terminal)
                (void)fprintf(stderr, "\r\033[K[%zu/%zu] %s", index + 1, count, vfioctl_step_text(step));
}

static int define_for(void *userdata, const char *vm, bool undo, char **ret_error)
{
        struct progress *progress = userdata;

        return progress->ops->define(progress->ops->userdata, vm, undo, ret_error);
}

static const char *outcome_text(enum vfioctl_outcome outcome)
{
        switch (outcome) {
        case VFIOCTL_DONE:
                return "done";
        case VFIOCTL_ROLLED_BACK:
                return "all that had been done is undone";
        case VFIOCTL_NOT_ROLLED_BACK:
                return "not all of it could be undone; what is left is told above";
        case VFIOCTL_STUCK:
                return "left as it is, and noted as stuck";
        }
        return "";
}

int run_plan(struct cli *cli, const struct vfioctl_snapshot *snapshot, const struct vfioctl_plan *plan,
             const struct vfioctl_apply_ops *ops)
{
        struct progress progress = {
                .cli = cli, .ops = ops, .on_terminal = !cli->options.quiet && isatty(2) == 1};
        struct vfioctl_apply_ops mine = {.userdata = &progress,
                                         .progress = show_progress,
                                         .define = ops && ops->define ? define_for : NULL};
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        enum vfioctl_outcome outcome;

        int r = vfioctl_findings_new(&findings);
        if (r < 0)
                return complain_errno(r, "cannot start");
        r = vfioctl_apply(cli->ctx, plan, &mine, findings, &outcome);
        if (progress.on_terminal && !cli->options.verbose && r >= 0)
                (void)fputs("\r\033[K", stderr);
        if (r == -EAGAIN)
                return r;
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        print_findings(snapshot, findings, VFIOCTL_WARNING);
        if (outcome != VFIOCTL_DONE)
                complain("%s: %s", cli->verb->name, outcome_text(outcome));
        return outcome_code(outcome);
}

uint64_t clock_ms(void)
{
        struct timespec now;

        if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
                return 0;
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int add_finding_list(struct vfioctl_findings *findings, struct vfioctl_finding finding, const char *format,
                     va_list arguments)
{
        _cleanup_free_ char *text = NULL;

        if (vasprintf(&text, format, arguments) < 0)
                text = NULL;
        finding.text = text;
        return text ? vfioctl_findings_add(findings, &finding) : -ENOMEM;
}

int add_finding(struct vfioctl_findings *findings, struct vfioctl_finding finding, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        int r = add_finding_list(findings, finding, format, arguments);
        va_end(arguments);
        return r;
}
