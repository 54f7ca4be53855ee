/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "task.h"

#include <signal.h>
#include <time.h>

int task_init(struct task *task, void (*run)(struct task *task), void (*destroy)(struct task *task))
{
        pthread_condattr_t attributes;

        int r = pthread_condattr_init(&attributes);
        if (r != 0)
                return -r;
        (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        r = pthread_cond_init(&task->ended, &attributes);
        (void)pthread_condattr_destroy(&attributes);
        if (r != 0)
                return -r;
        r = pthread_mutex_init(&task->mutex, NULL);
        if (r != 0) {
                (void)pthread_cond_destroy(&task->ended);
                return -r;
        }
        task->run = run;
        task->destroy = destroy;
        return 0;
}

void task_clear(struct task *task)
{
        (void)pthread_cond_destroy(&task->ended);
        (void)pthread_mutex_destroy(&task->mutex);
}

static void *task_thread(void *argument)
{
        struct task *task = argument;

        task->run(task);
        (void)pthread_mutex_lock(&task->mutex);
        bool abandoned = task->abandoned;
        task->done = true;
        (void)pthread_cond_signal(&task->ended);
        (void)pthread_mutex_unlock(&task->mutex);
        if (abandoned)
                task->destroy(task);
        return NULL;
}

uint64_t task_now(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct timespec deadline_from_now(unsigned int milliseconds)
{
        struct timespec when;

        (void)clock_gettime(CLOCK_MONOTONIC, &when);
        when.tv_sec += (time_t)(milliseconds / 1000);
        when.tv_nsec += (long)(milliseconds % 1000) * 1000000L;
        if (when.tv_nsec >= 1000000000L) {
                when.tv_sec++;
                when.tv_nsec -= 1000000000L;
        }
        return when;
}

/* Starts the thread, which takes none of the process's signals. */
static int thread_start(struct task *task, pthread_t *ret)
{
        sigset_t all, before;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = pthread_create(ret, NULL, task_thread, task);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -r;
}

int task_run(struct task *task, unsigned int milliseconds)
{
        struct timespec deadline = deadline_from_now(milliseconds);
        pthread_t thread;

        int r = thread_start(task, &thread);
        if (r < 0)
                return r;
        (void)pthread_mutex_lock(&task->mutex);
        while (!task->done && r == 0)
                r = pthread_cond_timedwait(&task->ended, &task->mutex, &deadline);
        bool done = task->done;
        task->abandoned = !done;
        (void)pthread_mutex_unlock(&task->mutex);
        if (done) {
                /* So that it is not still ending while the process does. */
                (void)pthread_join(thread, NULL);
                return 0;
        }
        (void)pthread_detach(thread);
        return -ETIMEDOUT;
}
