/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime.h"

#include <unistd.h>

/* What follows the command in /proc/PID/stat: it may hold anything, so fields are counted from its last
 * parenthesis. */
static int read_stat(int pid, char stat[1024], char **ret_fields)
{
        struct vfioctl_ctx here = {.root_fd = -1, .is_live = true};
        char path[PATH_MAX];

        if (!path_format(path, PATH_PROC "/%d/stat", pid))
                return -ENAMETOOLONG;
        ssize_t length = host_read(&here, path, stat, 1024);
        if (length < 0)
                return (int)length;
        char *at = strrchr(stat, ')');
        if (!at || at[1] != ' ')
                return -EIO;
        *ret_fields = at;
        return 0;
}

char runtime_process_state(int pid)
{
        char stat[1024], *at;

        return read_stat(pid, stat, &at) < 0 ? '\0' : at[2];
}

/* Field 22: with the PID it names one process for the length of a boot. */
int runtime_process_start(int pid, char ret[PROCESS_START_SIZE])
{
        char stat[1024], *at;

        int r = read_stat(pid, stat, &at);
        if (r < 0)
                return r;
        /* A zombie has left the kernel: what it was stuck in is over. */
        if (at[2] == 'Z' || at[2] == 'X')
                return -ESRCH;
        for (int field = 2; field < 22; field++) {
                at = strchr(at + 1, ' ');
                if (!at)
                        return -EIO;
        }
        size_t n = strcspn(at + 1, " \n");
        if (n >= PROCESS_START_SIZE)
                return -EIO;
        memcpy(ret, at + 1, n);
        ret[n] = '\0';
        return 0;
}

bool runtime_process_is(int pid, const char *start)
{
        char now[PROCESS_START_SIZE];

        return runtime_process_start(pid, now) == 0 && util_equal(start, now);
}

static bool run_path(char path[PATH_MAX], const char *folder, const char *address)
{
        return path_format(path, "%s/%s", folder, address);
}

int runtime_record_stuck(const struct vfioctl_ctx *ctx, const char *address, int worker, const char *step)
{
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], start[PROCESS_START_SIZE] = "0";

        if (!run_path(path, PATH_RUN_STUCK, address))
                return -ENAMETOOLONG;
        (void)runtime_process_start(worker, start);
        int r = util_format(&text, "%d %s\n%s\n", worker, start, step);
        return r < 0 ? r : host_write_file(ctx, path, text);
}

bool runtime_is_stuck(const struct vfioctl_ctx *ctx, const char *address)
{
        char path[PATH_MAX], text[ATTRIBUTE_MAX], start[PROCESS_START_SIZE];
        int pid;

        if (!run_path(path, PATH_RUN_STUCK, address) || host_read(ctx, path, text, sizeof(text)) < 0)
                return false;
        if (sscanf(text, "%d %23s", &pid, start) != 2)
                return true;
        return runtime_process_is(pid, start);
}

int runtime_forget_stuck(const struct vfioctl_ctx *ctx, const char *address)
{
        char path[PATH_MAX];

        if (!run_path(path, PATH_RUN_STUCK, address))
                return -ENAMETOOLONG;
        int r = host_unlink(ctx, path);
        return r == -ENOENT ? 0 : r;
}

int runtime_record_host_driver(const struct vfioctl_ctx *ctx, const char *address, const char *driver)
{
        char path[PATH_MAX];

        return run_path(path, PATH_RUN_HOST, address) ? host_write_file(ctx, path, driver) : -ENAMETOOLONG;
}

int runtime_host_driver(const struct vfioctl_ctx *ctx, const char *address, char **ret)
{
        char path[PATH_MAX], text[256];

        if (!run_path(path, PATH_RUN_HOST, address))
                return -ENAMETOOLONG;
        ssize_t length = host_read(ctx, path, text, sizeof(text));
        if (length < 0)
                return (int)length;
        util_trim(text);
        /* The name becomes part of a path: nothing that could lead elsewhere. */
        if (!*text || strchr(text, '/') || text[0] == '.')
                return -EINVAL;
        return util_copy(text, ret);
}

int runtime_forget_host_driver(const struct vfioctl_ctx *ctx, const char *address)
{
        char path[PATH_MAX];

        if (!run_path(path, PATH_RUN_HOST, address))
                return -ENAMETOOLONG;
        int r = host_unlink(ctx, path);
        return r == -ENOENT ? 0 : r;
}

int runtime_read_hold(const struct vfioctl_ctx *ctx, const char *address, char **ret)
{
        char path[PATH_MAX], text[ATTRIBUTE_MAX];

        if (!run_path(path, PATH_RUN_HOLD, address))
                return -ENAMETOOLONG;
        ssize_t length = host_read(ctx, path, text, sizeof(text));
        if (length == -ENOENT) {
                *ret = NULL;
                return 0;
        }
        return length < 0 ? (int)length : util_copy(text, ret);
}

int runtime_write_hold(const struct vfioctl_ctx *ctx, const char *address, const char *text)
{
        char path[PATH_MAX];

        if (!run_path(path, PATH_RUN_HOLD, address))
                return -ENAMETOOLONG;
        if (text)
                return host_write_file(ctx, path, text);
        int r = host_unlink(ctx, path);
        return r == -ENOENT ? 0 : r;
}

int runtime_leave_hold(const struct vfioctl_ctx *ctx, const char *address, const char *gpu)
{
        _cleanup_free_ char *text = NULL, *rest = NULL;
        char line[VFIOCTL_ADDRESS_SIZE + 8];

        int r = runtime_read_hold(ctx, address, &text);
        if (r < 0 || !text)
                return r;
        (void)snprintf(line, sizeof(line), "gpu %s\n", gpu);
        char *at = strstr(text, line);
        if (!at)
                return 0;
        r = util_format(&rest, "%.*s%s", (int)(at - text), text, at + strlen(line));
        return r < 0 ? r : runtime_write_hold(ctx, address, rest);
}

VFIOCTL_EXPORT int vfioctl_process_identify(int pid, struct vfioctl_process *ret)
{
        struct vfioctl_process process = {.pid = pid};

        int r = runtime_process_start(pid, process.start);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        *ret = process;
        return 0;
}
