/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_LAZY_H
#define VFIOCTL_LAZY_H

#include "util.h"

#include <limits.h>

/*
 * Libraries that are loaded when they are needed. A change of mode, and later a hook, needs none of them as a
 * rule, and each costs a short process as much as its own work.
 */
struct lazy_symbol {
        const char *name;
        size_t offset; /* of the function pointer in the caller's struct */
};

/* In a table for `struct calls`, whose members are called as the functions are. */
#define LAZY_SYMBOL(calls, function)                                                                         \
        {                                                                                                    \
#function, offsetof(calls, function)                                                         \
        }
#define LAZY_MEMBER(function) __typeof__(function) *function

/*
 * Fills in the pointers of `calls`. The library stays loaded: closing and opening it again would cost more.
 * -ENOSYS when the library or one of its functions is not there.
 */
int lazy_open(const char *soname, const struct lazy_symbol *symbols, size_t count, void *calls);

/* The folder that this library (or the program that has it inside) was loaded from. */
bool lazy_own_folder(char path[PATH_MAX]);

#endif
