/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cpuset.h"

/* Digits of one number, and no more than it can have. */
static int read_cpu(const char **at, unsigned int *ret)
{
        unsigned int value = 0;

        if (**at < '0' || **at > '9')
                return -EINVAL;
        for (; **at >= '0' && **at <= '9'; ++*at) {
                value = value * 10 + (unsigned int)(**at - '0');
                if (value >= CPU_LIMIT)
                        return -ERANGE;
        }
        *ret = value;
        return 0;
}

static int read_range(const char **at, struct cpu_set *set)
{
        unsigned int first, last;
        bool out = **at == '^';

        *at += out;
        int r = read_cpu(at, &first);
        if (r < 0)
                return r;
        last = first;
        if (**at == '-') {
                ++*at;
                r = read_cpu(at, &last);
                if (r < 0)
                        return r;
                if (last < first)
                        return -EINVAL;
        }
        for (unsigned int cpu = first; cpu <= last; cpu++)
                if (out)
                        cpu_set_remove(set, cpu);
                else
                        cpu_set_add(set, cpu);
        return 0;
}

int cpu_set_parse(const char *text, struct cpu_set *ret)
{
        static const char blanks[] = " \t\r\n";
        struct cpu_set set = {.words = {0}};
        const char *at = text + strspn(text, blanks);

        while (*at) {
                int r = read_range(&at, &set);
                if (r < 0)
                        return r;
                at += strspn(at, blanks);
                if (!*at)
                        break;
                if (*at++ != ',')
                        return -EINVAL;
                at += strspn(at, blanks);
                if (!*at)
                        return -EINVAL;
        }
        *ret = set;
        return 0;
}

unsigned int cpu_set_next(const struct cpu_set *set, unsigned int cpu)
{
        for (; cpu < CPU_LIMIT; cpu++) {
                uint64_t word = set->words[cpu / 64] >> cpu % 64;
                if (word)
                        return cpu + (unsigned int)__builtin_ctzll(word);
                cpu |= 63;
        }
        return CPU_LIMIT;
}

unsigned int cpu_set_count(const struct cpu_set *set)
{
        unsigned int count = 0;

        for (size_t i = 0; i < ELEMENTSOF(set->words); i++)
                count += (unsigned int)__builtin_popcountll(set->words[i]);
        return count;
}

void cpu_set_add_all(struct cpu_set *set, const struct cpu_set *more)
{
        for (size_t i = 0; i < ELEMENTSOF(set->words); i++)
                set->words[i] |= more->words[i];
}

void cpu_set_keep(struct cpu_set *set, const struct cpu_set *those)
{
        for (size_t i = 0; i < ELEMENTSOF(set->words); i++)
                set->words[i] &= those->words[i];
}

void cpu_set_remove_all(struct cpu_set *set, const struct cpu_set *less)
{
        for (size_t i = 0; i < ELEMENTSOF(set->words); i++)
                set->words[i] &= ~less->words[i];
}

/* "8191-8191," is the longest that one number can cost. */
#define RANGE_SIZE 12

int cpu_set_format(const struct cpu_set *set, char **ret)
{
        _cleanup_free_ char *text = NULL;
        size_t allocated = 0, length = 0;

        int r = util_grow(&text, &allocated, 1, 1);
        if (r < 0)
                return r;
        text[0] = '\0';
        for (unsigned int first = cpu_set_next(set, 0); first < CPU_LIMIT;) {
                unsigned int last = first;
                while (cpu_set_has(set, last + 1))
                        last++;
                r = util_grow(&text, &allocated, length + RANGE_SIZE, 1);
                if (r < 0)
                        return r;
                length += (size_t)snprintf(text + length, RANGE_SIZE, last > first ? "%s%u-%u" : "%s%u",
                                           length > 0 ? "," : "", first, last);
                first = cpu_set_next(set, last + 1);
        }
        *ret = util_steal(text);
        return 0;
}
