/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TEST_VIRT_HARNESS_H
#define VFIOCTL_TEST_VIRT_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "libvfioctl-virt.h"
#include "util.h"

/* Reads tests/unit/virt/data/NAME, the caller's to free. */
static inline char *read_data(const char *name)
{
        _cleanup_free_ char *path = NULL;
        char *text = calloc(1, 1 << 20);

        assert_non_null(text);
        assert_int_equal(util_format(&path, "%s/%s", VFIOCTL_TEST_DATA, name), 0);
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
        assert_int_equal(fclose(file), 0);
        return text;
}

/* Everything that is printed to stderr between these two is counted: it must be nothing. */
static inline int stderr_catch(int *saved)
{
        FILE *file = tmpfile();

        assert_non_null(file);
        int caught = dup(fileno(file));
        assert_true(caught >= 0);
        assert_int_equal(fclose(file), 0);
        (void)fflush(stderr);
        *saved = dup(STDERR_FILENO);
        assert_true(*saved >= 0 && dup2(caught, STDERR_FILENO) >= 0);
        return caught;
}

static inline void stderr_assert_silent(int caught, int saved)
{
        (void)fflush(stderr);
        off_t size = lseek(caught, 0, SEEK_END);
        assert_true(dup2(saved, STDERR_FILENO) >= 0);
        assert_int_equal(close(saved), 0);
        assert_int_equal(close(caught), 0);
        assert_int_equal(size, 0);
}

#endif
