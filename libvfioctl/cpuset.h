/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CPUSET_H
#define VFIOCTL_CPUSET_H

/* Sets of processors, and of NUMA nodes, as lists of numbers: cpuset(7), "List format". Pure. */

#include "util.h"

/* CONFIG_NR_CPUS of x86 is 8192 at most. */
#define CPU_LIMIT 8192

struct cpu_set {
        uint64_t words[CPU_LIMIT / 64];
};

static inline void cpu_set_add(struct cpu_set *set, unsigned int cpu)
{
        if (cpu < CPU_LIMIT)
                set->words[cpu / 64] |= 1ull << cpu % 64;
}

static inline void cpu_set_remove(struct cpu_set *set, unsigned int cpu)
{
        if (cpu < CPU_LIMIT)
                set->words[cpu / 64] &= ~(1ull << cpu % 64);
}

static inline bool cpu_set_has(const struct cpu_set *set, unsigned int cpu)
{
        return cpu < CPU_LIMIT && set->words[cpu / 64] >> cpu % 64 & 1;
}

/*
 * "0-3,8", and as libvirt also takes it "0-3,^2": a number that is taken out of what stands before it. Blanks
 * around are fine, and nothing at all is the empty set. -EINVAL, -ERANGE for a number that no processor has.
 */
int cpu_set_parse(const char *text, struct cpu_set *ret);
/* In order, ranges as such; "" for the empty set. 0 or -ENOMEM. */
int cpu_set_format(const struct cpu_set *set, char **ret);

unsigned int cpu_set_count(const struct cpu_set *set);
/* The first one from `cpu` on; CPU_LIMIT: there is none. */
unsigned int cpu_set_next(const struct cpu_set *set, unsigned int cpu);
void cpu_set_add_all(struct cpu_set *set, const struct cpu_set *more);
void cpu_set_keep(struct cpu_set *set, const struct cpu_set *those);
void cpu_set_remove_all(struct cpu_set *set, const struct cpu_set *less);

#endif
