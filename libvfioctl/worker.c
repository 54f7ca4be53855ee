/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker.h"
#include "runtime.h"
#include "module.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Requests that may be under way at once; all of them fit into the socket. */
#define WINDOW 16

struct worker {
        pid_t pid; /* 0: none runs */
        int socket;
        size_t unanswered; /* requests that no reply was read to */
        pid_t abandoned;
};

enum operation { OPERATION_READ, OPERATION_WRITE, OPERATION_LOAD };

/* Only as much of `text` is sent as is used: the path, its NUL, and for a write the value with its own. */
struct request {
        enum operation operation;
        char text[PATH_MAX + ATTRIBUTE_MAX];
};

struct reply {
        int result; /* length, 0 or a negative errno */
        char value[ATTRIBUTE_MAX];
};

static int write_attribute(const struct vfioctl_ctx *ctx, const char *path, const char *value)
{
        char text[ATTRIBUTE_MAX + 1];

        _cleanup_fd_ int fd = host_open(ctx, path, O_WRONLY | O_NONBLOCK);
        if (fd < 0)
                return fd;
        /* One write() is one store in sysfs. Clearing needs the newline: a write of 0 bytes does nothing. */
        int length = snprintf(text, sizeof(text), "%s\n", value);
        if (length < 0 || (size_t)length >= sizeof(text))
                return -E2BIG;
        ssize_t n = write(fd, text, (size_t)length);
        if (n < 0)
                return -errno;
        return n == length ? 0 : -EIO;
}

static _Noreturn void worker_run(const struct vfioctl_ctx *ctx, int socket)
{
        struct request request;
        struct reply reply;

        for (;;) {
                ssize_t n = recv(socket, &request, sizeof(request), 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= (ssize_t)offsetof(struct request, text))
                        _exit(0);
                const char *path = request.text, *value = path + strlen(path) + 1;
                reply.value[0] = '\0';
                switch (request.operation) {
                case OPERATION_READ:
                        reply.result = (int)host_read(ctx, path, reply.value, sizeof(reply.value));
                        break;
                case OPERATION_WRITE:
                        reply.result = write_attribute(ctx, path, value);
                        break;
                case OPERATION_LOAD:
                        reply.result = module_load(ctx, path);
                        break;
                }
                size_t size = offsetof(struct reply, value) + strlen(reply.value) + 1;
                if (send(socket, &reply, size, MSG_NOSIGNAL) < 0)
                        _exit(0);
        }
}

/* Leaves the child with its socket, the root and nothing else: no terminal, no pipe of a hook's caller, no
 * lock. */
static int leave_everything(struct vfioctl_ctx *ctx, int *socket)
{
        int null = open(PATH_DEV_NULL, O_RDWR | O_CLOEXEC);
        if (null < 0)
                return -errno;
        int low = fcntl(*socket, F_DUPFD_CLOEXEC, 10);
        int root = fcntl(ctx->root_fd, F_DUPFD_CLOEXEC, 10);
        if (low < 0 || root < 0)
                return -errno;
        for (int fd = 0; fd < 3; fd++)
                if (dup2(null, fd) < 0)
                        return -errno;
        int first = low < root ? low : root, last = low < root ? root : low;
        /* close_range(2): between and around the two that stay. */
        if (syscall(SYS_close_range, 3u, (unsigned int)first - 1, 0u) < 0)
                return -errno;
        if (last > first + 1 &&
            syscall(SYS_close_range, (unsigned int)first + 1, (unsigned int)last - 1, 0u) < 0)
                return -errno;
        if (syscall(SYS_close_range, (unsigned int)last + 1, ~0u, 0u) < 0)
                return -errno;
        *socket = low;
        ctx->root_fd = root;
        return 0;
}

static int worker_start(struct vfioctl_ctx *ctx)
{
        int sockets[2];

        if (!ctx->worker) {
                ctx->worker = calloc(1, sizeof(*ctx->worker));
                if (!ctx->worker)
                        return -ENOMEM;
                ctx->worker->socket = -1;
        }
        if (ctx->worker->pid > 0)
                return 0;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
                return -errno;

        pid_t pid = fork();
        if (pid < 0) {
                int r = -errno;
                host_close(sockets[0]);
                host_close(sockets[1]);
                return r;
        }
        if (pid == 0) {
                /* A session of its own: Ctrl-C ends the caller, which rolls back, and never the worker
                 * halfway. */
                (void)setsid();
                if (chdir("/") < 0)
                        _exit(1);
                (void)prctl(PR_SET_NAME, "vfioctl-worker");
                if (leave_everything(ctx, &sockets[1]) < 0)
                        _exit(1);
                ctx->log = NULL;
                worker_run(ctx, sockets[1]);
        }
        host_close(sockets[1]);
        ctx->worker->pid = pid;
        ctx->worker->socket = sockets[0];
        return 0;
}

/* Ends an idle worker, or, when it may be stuck, lets go of it: a wait for it could last for ever. */
static void worker_stop(struct worker *worker, bool stuck)
{
        if (worker->pid <= 0)
                return;
        host_close(worker->socket);
        worker->socket = -1;
        if (stuck)
                worker->abandoned = worker->pid;
        else
                while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        worker->pid = 0;
        worker->unanswered = 0;
}

/* A call that ended early left replies in the socket: the next one would take them for its own. */
static void drop_unanswered(struct vfioctl_ctx *ctx)
{
        if (ctx->worker && ctx->worker->unanswered > 0)
                worker_stop(ctx->worker, true);
}

struct worker *worker_free(struct worker *worker)
{
        if (!worker)
                return NULL;
        worker_stop(worker, worker->unanswered > 0);
        free(worker);
        return NULL;
}

int worker_abandoned_pid(const struct vfioctl_ctx *ctx)
{
        return ctx->worker ? (int)ctx->worker->abandoned : 0;
}

static int send_request(struct vfioctl_ctx *ctx, enum operation operation, const char *path,
                        const char *value)
{
        struct request request = {.operation = operation};
        size_t length = strlen(path) + 1, value_length = value ? strlen(value) + 1 : 0;

        if (length > PATH_MAX || value_length > ATTRIBUTE_MAX)
                return -ENAMETOOLONG;
        int r = worker_start(ctx);
        if (r < 0)
                return r;
        memcpy(request.text, path, length);
        if (value)
                memcpy(request.text + length, value, value_length);
        size_t size = offsetof(struct request, text) + length + value_length;
        if (send(ctx->worker->socket, &request, size, MSG_NOSIGNAL) < 0) {
                r = -errno;
                worker_stop(ctx->worker, false);
                return r;
        }
        ctx->worker->unanswered++;
        return 0;
}

/* How many times over one that is ready to run, and is not let, is waited for. */
#define EXTENSIONS_MAX 10

static int receive_reply(struct vfioctl_ctx *ctx, struct reply *reply, unsigned int deadline)
{
        struct worker *worker = ctx->worker;
        uint64_t end = now_ms() + deadline;
        int extensions = EXTENSIONS_MAX;

        if (worker->pid <= 0)
                return -EIO;
        for (;;) {
                uint64_t now = now_ms();
                struct pollfd wait = {.fd = worker->socket, .events = POLLIN};
                int n = poll(&wait, 1, now >= end ? 0 : (int)(end - now));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                /* Not in the kernel but waiting for a processor: this machine is busy, the device is not
                 * stuck. */
                if (n == 0 && extensions-- > 0 && runtime_process_state(worker->pid) == 'R') {
                        end = now_ms() + deadline;
                        continue;
                }
                if (n == 0) {
                        worker_stop(worker, true);
                        return -ETIMEDOUT;
                }
                break;
        }
        ssize_t length = recv(worker->socket, reply, sizeof(*reply), 0);
        if (length <= (ssize_t)offsetof(struct reply, value)) {
                worker_stop(worker, false);
                return -EIO;
        }
        worker->unanswered--;
        reply->value[sizeof(reply->value) - 1] = '\0';
        /* A driver may well answer with that error; ours means that there was no answer. */
        return reply->result == -ETIMEDOUT ? -EIO : reply->result;
}

static int ask(struct vfioctl_ctx *ctx, enum operation operation, const char *path, const char *value,
               struct reply *reply, unsigned int deadline)
{
        drop_unanswered(ctx);
        int r = send_request(ctx, operation, path, value);
        return r < 0 ? r : receive_reply(ctx, reply, deadline);
}

int worker_read(struct vfioctl_ctx *ctx, const char *path, char *buffer, size_t size, unsigned int deadline)
{
        struct reply reply;

        int r = ask(ctx, OPERATION_READ, path, NULL, &reply, deadline);
        if (r < 0)
                return r;
        (void)snprintf(buffer, size, "%s", reply.value);
        return (int)strlen(buffer);
}

int worker_read_many(struct vfioctl_ctx *ctx, size_t count, worker_path_fn path, worker_result_fn result,
                     void *userdata, unsigned int deadline)
{
        char text[PATH_MAX];
        struct reply reply;
        size_t sent = 0;

        drop_unanswered(ctx);
        for (size_t done = 0; done < count; done++) {
                int r = 0;
                while (r >= 0 && sent < count && sent < done + WINDOW) {
                        r = path(userdata, sent, text) ? send_request(ctx, OPERATION_READ, text, NULL)
                                                       : -ENAMETOOLONG;
                        if (r >= 0)
                                sent++;
                }
                if (sent > done)
                        r = receive_reply(ctx, &reply, deadline);
                else
                        sent = done + 1;
                if (r == -ENOMEM || r == -EAGAIN)
                        return r;
                r = result(userdata, done, r, reply.value);
                if (r < 0)
                        return r;
                /* A worker that hung or died took the requests behind it along: they are asked again. */
                if (ctx->worker && ctx->worker->pid <= 0)
                        sent = done + 1;
        }
        return 0;
}

int worker_write(struct vfioctl_ctx *ctx, const char *path, const char *value, unsigned int deadline)
{
        struct reply reply;

        return ask(ctx, OPERATION_WRITE, path, value, &reply, deadline);
}

int worker_load(struct vfioctl_ctx *ctx, const char *module, unsigned int deadline)
{
        struct reply reply;

        return ask(ctx, OPERATION_LOAD, module, NULL, &reply, deadline);
}
