/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_VIRT_NO_MEMORY_H
#define TESTS_VIRT_NO_MEMORY_H

/* Allocators for xmlMemSetup() that fail when they are told to. */

#include <stdlib.h>
#include <string.h>

static size_t countdown; /* allocations of libxml2 that still succeed; 0: all do */

static bool runs_out(void)
{
        return countdown > 0 && --countdown == 0;
}

static void *failing_malloc(size_t size)
{
        return runs_out() ? NULL : malloc(size);
}

static void *failing_realloc(void *pointer, size_t size)
{
        return runs_out() ? NULL : realloc(pointer, size);
}

static char *failing_strdup(const char *text)
{
        return runs_out() ? NULL : strdup(text);
}

#endif
