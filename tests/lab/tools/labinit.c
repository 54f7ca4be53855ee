// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Process 1 of a lab host: runs /run/lab/boot, then /run/lab/job, and takes
 * the job's output and exit status to the runner over virtio ports. The job
 * writes into pipes (a port can be opened only once), and what a child of it
 * that stays behind may still hold open is not waited for.
 *
 * Where systemd is process 1, this is a service (lab.service) that does no more
 * than the second part. With /run/lab/reboot the job's end is not the script's:
 * the host is shut down, or the runner cuts its power.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static sigset_t old_mask;

static _Noreturn void power_off(void)
{
        reboot(RB_POWER_OFF);
        for (;;)
                pause();
}

static _Noreturn void fail(const char *what)
{
        dprintf(2, "lab: %s: %s\n", what, strerror(errno));
        power_off();
}

/* Waits until no child is left, those inherited from others included, or only ones that do not end. */
static void wait_for_all(int seconds)
{
        struct timespec second = {.tv_sec = 1};
        sigset_t mask;
        pid_t pid;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        while (seconds > 0) {
                while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
                        ;
                if (pid < 0)
                        return;
                if (sigtimedwait(&mask, NULL, &second) < 0)
                        seconds--;
        }
}

/* libvirtd first, as everywhere: then the VMs do not end under its eyes. */
static void end_libvirtd(void)
{
        FILE *f = fopen("/run/libvirtd.pid", "re");
        int pid = 0, tries;

        if (f && fscanf(f, "%d", &pid) == 1 && pid > 1 && kill(pid, SIGTERM) == 0)
                for (tries = 0; tries < 1000 && waitpid(pid, NULL, WNOHANG) == 0; tries++)
                        usleep(10000);
        if (f)
                fclose(f);
}

static _Noreturn void shut_down(void)
{
        if (getpid() != 1) {
                execlp("systemctl", "systemctl", "reboot", (char *)NULL);
                fail("systemctl");
        }
        end_libvirtd();
        kill(-1, SIGTERM);
        wait_for_all(20);
        kill(-1, SIGKILL);
        wait_for_all(5);
        sync();
        power_off();
}

static int status_of(int wstatus)
{
        return WIFSIGNALED(wstatus) ? 128 + WTERMSIG(wstatus) : WEXITSTATUS(wstatus);
}

/* The links by name in /dev/virtio-ports need udev: looks in sysfs. */
static int find_port(const char *name)
{
        char path[300], text[64];
        struct dirent *entry;
        int fd = -1;
        DIR *dir = opendir("/sys/class/virtio-ports");

        while (dir && fd < 0 && (entry = readdir(dir))) {
                FILE *f;

                snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
                f = fopen(path, "re");
                if (f && fgets(text, sizeof(text), f) && strcspn(text, "\n") == strlen(name) &&
                    strncmp(text, name, strlen(name)) == 0) {
                        snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
                        fd = open(path, O_WRONLY | O_CLOEXEC);
                }
                if (f)
                        fclose(f);
        }
        if (dir)
                closedir(dir);
        return fd;
}

/* The ports come up by themselves some time after their driver was loaded. */
static int open_port(const char *name)
{
        int tries, fd = -1;

        for (tries = 0; fd < 0 && tries < 1000; tries++) {
                fd = find_port(name);
                if (fd < 0)
                        usleep(10000);
        }
        if (fd < 0)
                fail(name);
        return fd;
}

static void write_all(int fd, const char *data, size_t len)
{
        while (len > 0) {
                ssize_t n = write(fd, data, len);

                if (n < 0 && errno != EINTR)
                        fail("writing to the runner");
                if (n > 0) {
                        data += n;
                        len -= n;
                }
        }
}

static pid_t spawn(const char *path, int out, int err, const char *tty)
{
        pid_t pid = fork();

        if (pid < 0)
                fail("fork");
        if (pid > 0)
                return pid;
        sigprocmask(SIG_SETMASK, &old_mask, NULL);
        setsid();
        if (tty) {
                int fd = open(tty, O_RDWR);

                if (fd < 0)
                        fail(tty);
                ioctl(fd, TIOCSCTTY, 1);
                dup2(fd, 0);
                out = err = fd;
        } else {
                dup2(open("/dev/null", O_RDONLY), 0);
        }
        dup2(out, 1);
        dup2(err, 2);
        execl(path, path, (char *)NULL);
        dprintf(2, "lab: %s: %s\n", path, strerror(errno));
        _exit(126);
}

/* Passes on what there is; 0 at the end of the pipe, or when it is empty. */
static int pass(int from, int to)
{
        static char buf[65536];
        ssize_t n = read(from, buf, sizeof(buf));

        if (n > 0)
                write_all(to, buf, n);
        return n > 0;
}

int main(void)
{
        int out[2], err[2], status_port, out_port = -1, err_port = -1, sfd, code = 0, wstatus, n;
        const char *tty = access("/run/lab/tty", F_OK) == 0 ? "/dev/hvc0" : NULL;
        struct pollfd fds[3];
        sigset_t mask;
        pid_t pid, job;
        char line[32];

        sigfillset(&mask);
        sigprocmask(SIG_BLOCK, &mask, &old_mask);
        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sfd = signalfd(-1, &mask, SFD_CLOEXEC);
        if (sfd < 0)
                fail("signalfd");
        status_port = open_port("lab.status");

        if (getpid() == 1) {
                job = spawn("/run/lab/boot", 1, 2, NULL);
                while ((pid = wait(&wstatus)) != job)
                        if (pid < 0 && errno != EINTR)
                                fail("wait");
                if (status_of(wstatus) != 0) {
                        dprintf(2, "lab: /run/lab/boot failed (%d)\n", status_of(wstatus));
                        power_off();
                }
        }
        write_all(status_port, "booted\n", 7);

        if (pipe2(out, O_CLOEXEC | O_NONBLOCK) || pipe2(err, O_CLOEXEC | O_NONBLOCK))
                fail("pipe");
        for (n = 0; n < 2; n++) { /* the job's ends block, as anyone's do */
                int fd = n ? err[1] : out[1];

                fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
        }
        if (!tty) {
                out_port = open_port("lab.stdout");
                err_port = open_port("lab.stderr");
        }
        job = spawn("/run/lab/job", out[1], err[1], tty);
        fds[0] = (struct pollfd){.fd = out[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = err[0], .events = POLLIN};
        fds[2] = (struct pollfd){.fd = sfd, .events = POLLIN};
        while (job) {
                if (poll(fds, 3, -1) < 0 && errno != EINTR)
                        fail("poll");
                if (fds[0].revents)
                        pass(out[0], out_port);
                if (fds[1].revents)
                        pass(err[0], err_port);
                if (fds[2].revents) {
                        struct signalfd_siginfo info;

                        n = read(sfd, &info, sizeof(info));
                        while ((pid = waitpid(-1, &wstatus, WNOHANG)) > 0)
                                if (pid == job) {
                                        code = status_of(wstatus);
                                        job = 0;
                                }
                }
        }
        for (n = 0; n < 16 && pass(out[0], out_port); n++)
                ; /* more than a full pipe is not the job's */
        for (n = 0; n < 16 && pass(err[0], err_port); n++)
                ;
        if (access("/run/lab/reboot", F_OK) == 0) {
                write_all(status_port, "reboot\n", 7);
                shut_down();
        }
        write_all(status_port, line, snprintf(line, sizeof(line), "exit %d\n", code));
        power_off();
}
