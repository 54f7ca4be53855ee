/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_VIRT_TASK_H
#define VFIOCTL_VIRT_TASK_H

/*
 * Work in a thread of its own, waited for by a deadline. What misses it is left behind with all that it owns:
 * whoever comes last, the caller or the thread, destroys it.
 */

#include <pthread.h>

#include "../util.h"

/* The first member of what the work needs. */
struct task {
        pthread_mutex_t mutex;
        pthread_cond_t ended;
        bool done;
        bool abandoned;
        void (*run)(struct task *task);
        void (*destroy)(struct task *task);
};

/* 0 or a negative errno. `destroy` frees the whole, and calls task_clear(). */
int task_init(struct task *task, void (*run)(struct task *task), void (*destroy)(struct task *task));
void task_clear(struct task *task);

/*
 * 0 when the work has ended. -ETIMEDOUT: it was left behind, and is no longer the caller's. Any other error:
 * it never began.
 */
int task_run(struct task *task, unsigned int milliseconds);

/* Milliseconds on the clock that deadlines are told by. */
uint64_t task_now(void);

#endif
