/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hook.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define XML_MAX (10u * 1024 * 1024)

/*
 * libvirt writes the definition and closes the pipe. -E2BIG past the limit, -ETIMEDOUT when the other side
 * does not come to an end: then it was not libvirt.
 */
static int read_definition(struct hook *hook)
{
        uint64_t end = clock_ms() + hook->deadline;
        size_t allocated = 0;

        for (;;) {
                int r = util_grow(&hook->xml, &allocated, hook->size + 16384, 1);
                if (r < 0)
                        return r;
                struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
                uint64_t now = clock_ms();
                int n = poll(&input, 1, now < end ? (int)(end - now) : 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ETIMEDOUT;
                ssize_t length = read(STDIN_FILENO, hook->xml + hook->size, allocated - hook->size - 1);
                if (length < 0 && errno == EINTR)
                        continue;
                if (length < 0)
                        return -errno;
                hook->size += (size_t)length;
                hook->xml[hook->size] = '\0';
                if (hook->size > XML_MAX)
                        return -E2BIG;
                if (length == 0)
                        return 0;
        }
}

/*
 * 1: it has devices of the host, and is parsed; 0: nothing of ours can be in it. A VM that ends may have had
 * more while it ran.
 */
static int look_at_definition(struct hook *hook, bool ends)
{
        _cleanup_free_ char *error = NULL;

        int r = read_definition(hook);
        if (r == 0 && hook->size == 0)
                return 0;
        bool has_claims = ends && vfioctl_claims_exist(hook->cli->ctx);
        if (r == 0 && !has_claims && !vfioctl_domain_text_has_hostdev(hook->xml, hook->size))
                return 0;
        /* The rest is not libvirt's text, or we are not whole: then the VM is left to libvirt, which binds by
         * itself. */
        if (r == 0)
                r = virt_load(&hook->calls);
        if (r == 0)
                r = hook->calls.domain_parse(hook->xml, hook->size, &hook->domain, &error);
        if (r < 0) {
                journal(hook->cli, true,
                        "hook: the definition of VM %s cannot be read, so it is left alone: %s", hook->vm,
                        error ? error : strerror(-r));
                return 0;
        }
        return has_claims || hook->calls.hostdev_count(hook->domain) > 0 ||
               hook->calls.gpu_count(hook->domain) > 0;
}

static void log_quietly(void *userdata, enum vfioctl_log_level level, const char *line)
{
        if (level == VFIOCTL_LOG_WARNING)
                journal(userdata, true, "hook: %s", line);
}

static void read_configuration(struct hook *hook)
{
        _cleanup_free_ char *error = NULL;

        vfioctl_ctx_set_log(hook->cli->ctx, log_quietly, hook->cli);
        int r = vfioctl_ctx_read_config(hook->cli->ctx, &error);
        if (r < 0)
                journal(hook->cli, true, "hook: %s", error ? error : strerror(-r));
        hook->deadline = vfioctl_ctx_hook_deadline(hook->cli->ctx);
        vfioctl_ctx_limit_deadlines(hook->cli->ctx, hook->deadline);
}

/* The daemon that called: it will tell of the VM's end, as long as it lives. */
static void note_daemon(struct hook *hook)
{
        if (vfioctl_process_identify(getppid(), &hook->daemon) < 0)
                return;
        /* Somebody who tries it by hand, or a daemon of libvirt that runs no VMs, proves nothing. */
        if (!vfioctl_process_is_libvirt(hook->cli->ctx, &hook->daemon))
                return;
        int r = vfioctl_hook_record(hook->cli->ctx, &hook->daemon);
        if (r < 0)
                journal(hook->cli, true, "hook: cannot note that it was called: %s", strerror(-r));
}

static int prepare(struct hook *hook)
{
        _cleanup_free_ char *reason = NULL;

        int code = hook_prepare(hook, &reason);
        const char *uuid = hook->calls.domain_uuid(hook->domain);
        if (code == CODE_DONE) {
                if (uuid)
                        (void)vfioctl_refusal_forget(hook->cli->ctx, uuid);
                return code;
        }
        /* libvirt shows this line to who started the VM; the log has it for who did not. */
        complain("VM %s does not start: %s", hook->vm, reason ? reason : strerror(ENOMEM));
        journal(hook->cli, true, "VM %s does not start: %s", hook->vm, reason ? reason : strerror(ENOMEM));
        if (uuid)
                (void)vfioctl_refusal_record(hook->cli->ctx, uuid, hook->vm,
                                             reason ? reason : strerror(ENOMEM));
        return code;
}

static int run(struct hook *hook)
{
        bool prepares = util_equal(hook->operation, "prepare") && util_equal(hook->stage, "begin");
        bool releases = util_equal(hook->operation, "release") && util_equal(hook->stage, "end");
        bool reconnects = util_equal(hook->operation, "reconnect") && util_equal(hook->stage, "begin");

        if ((!prepares && !releases && !reconnects) || look_at_definition(hook, releases) == 0)
                return CODE_DONE;
        if (vfioctl_ctx_is_off(hook->cli->ctx))
                return CODE_DONE;
        read_configuration(hook);
        note_daemon(hook);
        if (prepares)
                return prepare(hook);
        if (releases)
                hook_release(hook);
        else
                hook_reconnect(hook);
        return CODE_DONE;
}

int hook_run(struct cli *cli, const char *vm, const char *operation, const char *stage)
{
        struct hook hook = {.cli = cli, .operation = operation, .stage = stage, .deadline = 10000};

        /* A session libvirt runs the system's hooks as its user: nothing of that is ours. */
        if (vfioctl_ctx_is_live(cli->ctx) && geteuid() != 0)
                return CODE_DONE;
        (void)printable(*vm ? vm : "?", hook.vm, sizeof(hook.vm));
        int code = run(&hook);
        if (hook.domain)
                hook.calls.domain_free(hook.domain);
        free(hook.xml);
        return code;
}

int hook_greet(struct cli *cli)
{
        struct hook hook = {.cli = cli};

        if (geteuid() == 0)
                note_daemon(&hook);
        return CODE_DONE;
}

bool quick_hook(struct cli *cli, int *ret_code)
{
        *ret_code = hook_run(cli, cli->arguments[0], cli->arguments[1],
                             cli->n_arguments > 2 ? cli->arguments[2] : "");
        return true;
}
