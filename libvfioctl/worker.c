/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker.h"
#include "module.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct worker {
        pid_t pid; /* 0: none runs */
        int socket;
        pid_t abandoned;
};

enum operation { OPERATION_READ, OPERATION_WRITE, OPERATION_LOAD };

struct request {
        enum operation operation;
        char path[PATH_MAX];
        char value[ATTRIBUTE_MAX];
};

struct reply {
        int result; /* length, 0 or a negative errno */
        char value[ATTRIBUTE_MAX];
};

static int write_attribute(const struct vfioctl_ctx *ctx, const char *path, const char *value)
{
        char text[ATTRIBUTE_MAX + 1];

        _cleanup_fd_ int fd = host_open(ctx, path, O_WRONLY | O_TRUNC);
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
                if (n != (ssize_t)sizeof(request))
                        _exit(0);
                memset(&reply, 0, sizeof(reply));
                switch (request.operation) {
                case OPERATION_READ:
                        reply.result = (int)host_read(ctx, request.path, reply.value, sizeof(reply.value));
                        break;
                case OPERATION_WRITE:
                        reply.result = write_attribute(ctx, request.path, request.value);
                        break;
                case OPERATION_LOAD:
                        reply.result = module_load(ctx, request.path);
                        break;
                }
                if (send(socket, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
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
}

struct worker *worker_free(struct worker *worker)
{
        if (!worker)
                return NULL;
        worker_stop(worker, false);
        free(worker);
        return NULL;
}

int worker_abandoned_pid(const struct vfioctl_ctx *ctx)
{
        return ctx->worker ? (int)ctx->worker->abandoned : 0;
}

static int worker_ask(struct vfioctl_ctx *ctx, const struct request *request, struct reply *reply,
                      unsigned int deadline)
{
        int r = worker_start(ctx);
        if (r < 0)
                return r;
        struct worker *worker = ctx->worker;
        if (send(worker->socket, request, sizeof(*request), MSG_NOSIGNAL) < 0) {
                r = -errno;
                worker_stop(worker, false);
                return r;
        }
        uint64_t end = now_ms() + deadline;
        for (;;) {
                uint64_t now = now_ms();
                struct pollfd wait = {.fd = worker->socket, .events = POLLIN};
                int n = poll(&wait, 1, now >= end ? 0 : (int)(end - now));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0) {
                        worker_stop(worker, true);
                        return -ETIMEDOUT;
                }
                break;
        }
        ssize_t length = recv(worker->socket, reply, sizeof(*reply), 0);
        if (length != (ssize_t)sizeof(*reply)) {
                worker_stop(worker, false);
                return -EIO;
        }
        return reply->result;
}

static int make_request(struct request *request, enum operation operation, const char *path,
                        const char *value)
{
        memset(request, 0, sizeof(*request));
        request->operation = operation;
        if (strlen(path) >= sizeof(request->path) || (value && strlen(value) >= sizeof(request->value)))
                return -ENAMETOOLONG;
        memcpy(request->path, path, strlen(path));
        if (value)
                memcpy(request->value, value, strlen(value));
        return 0;
}

int worker_read(struct vfioctl_ctx *ctx, const char *path, char *buffer, size_t size, unsigned int deadline)
{
        struct request request;
        struct reply reply;

        int r = make_request(&request, OPERATION_READ, path, NULL);
        if (r < 0)
                return r;
        r = worker_ask(ctx, &request, &reply, deadline);
        if (r < 0)
                return r;
        reply.value[sizeof(reply.value) - 1] = '\0';
        (void)snprintf(buffer, size, "%s", reply.value);
        return (int)strlen(buffer);
}

int worker_write(struct vfioctl_ctx *ctx, const char *path, const char *value, unsigned int deadline)
{
        struct request request;
        struct reply reply;

        int r = make_request(&request, OPERATION_WRITE, path, value);
        return r < 0 ? r : worker_ask(ctx, &request, &reply, deadline);
}

int worker_load(struct vfioctl_ctx *ctx, const char *module, unsigned int deadline)
{
        struct request request;
        struct reply reply;

        int r = make_request(&request, OPERATION_LOAD, module, NULL);
        return r < 0 ? r : worker_ask(ctx, &request, &reply, deadline);
}
