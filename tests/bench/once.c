/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a program once, its output thrown away, and prints its wall time in microseconds and its peak memory
 * in KiB. A program of its own because a child's peak counts what it was forked from: here that is next to
 * nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long now_us(void)
{
        struct timespec now;

        if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
                return 0;
        return (long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
        struct rusage usage;
        int status;

        if (argc < 2)
                return 2;
        long start = now_us();
        pid_t pid = fork();
        if (pid < 0)
                return 1;
        if (pid == 0) {
                int null = open("/dev/null", O_WRONLY);
                if (null < 0 || dup2(null, 1) < 0)
                        _exit(127);
                execv(argv[1], argv + 1);
                _exit(127);
        }
        if (wait4(pid, &status, 0, &usage) < 0)
                return 1;
        printf("%ld %ld\n", now_us() - start, usage.ru_maxrss);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
