/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

static void test_parse_u64(void **state)
{
        uint64_t value = 42;

        (void)state;
        assert_int_equal(util_parse_u64("0", 10, 10, &value), 0);
        assert_int_equal(value, 0);
        assert_int_equal(util_parse_u64("0x1002", 0, 0xffff, &value), 0);
        assert_int_equal(value, 0x1002);
        assert_int_equal(util_parse_u64("18446744073709551615", 10, UINT64_MAX, &value), 0);
        assert_true(value == UINT64_MAX);

        static const char *const wrong[] = {"",   " 1", "1 ", "+1", "-1",  "1\n",
                                            "0x", "1x", "x",  ".",  "- 1", "\xff"};
        value = 42;
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                if (util_parse_u64(wrong[i], 0, UINT64_MAX, &value) != -EINVAL)
                        fail_msg("'%s' is taken as a number", wrong[i]);
        assert_int_equal(util_parse_u64("18446744073709551616", 10, UINT64_MAX, &value), -ERANGE);
        assert_int_equal(util_parse_u64("256", 10, 255, &value), -ERANGE);
        assert_int_equal(util_parse_u64("a", 10, 255, &value), -EINVAL);
        assert_int_equal(value, 42);
}

static void test_trim(void **state)
{
        char text[] = " a b \t\r\n\v\f", empty[] = "", blank[] = " \n\n";

        (void)state;
        assert_ptr_equal(util_trim(text), text);
        assert_string_equal(text, " a b");
        assert_string_equal(util_trim(empty), "");
        assert_string_equal(util_trim(blank), "");
}

static void test_equal(void **state)
{
        (void)state;
        assert_true(util_equal(NULL, NULL));
        assert_false(util_equal(NULL, ""));
        assert_false(util_equal("", NULL));
        assert_true(util_equal("a", "a"));
        assert_false(util_equal("a", "ab"));
        assert_true(util_has_prefix("abc", "ab"));
        assert_true(util_has_prefix("abc", ""));
        assert_false(util_has_prefix("a", "ab"));
}

static void test_copy_and_format(void **state)
{
        char *text = NULL;

        (void)state;
        assert_int_equal(util_copy(NULL, &text), 0);
        assert_null(text);
        assert_int_equal(util_copy("x", &text), 0);
        assert_string_equal(text, "x");
        char *stolen = util_steal(text);
        assert_null(text);
        free(stolen);
        assert_int_equal(util_format(&text, "%d-%s", 3, "y"), 0);
        assert_string_equal(text, "3-y");
        free(text);
}

/* Sizes that overflow are what is tested below: the sanitizer is to answer as malloc() does. */
VFIOCTL_EXPORT const char *__asan_default_options(void);
VFIOCTL_EXPORT const char *__asan_default_options(void)
{
        return "allocator_may_return_null=1";
}

static void test_grow(void **state)
{
        int *array = NULL;
        size_t allocated = 0;

        (void)state;
        for (size_t i = 0; i < 1000; i++) {
                assert_int_equal(util_grow(&array, &allocated, i + 1, sizeof(*array)), 0);
                assert_true(allocated > i);
                array[i] = (int)i;
        }
        for (int i = 0; i < 1000; i++)
                assert_int_equal(array[i], i);
        int *before = array;
        size_t room = allocated;
        assert_int_equal(util_grow(&array, &allocated, room, sizeof(*array)), 0);
        assert_ptr_equal(array, before);
        /* Sizes that overflow leave it as it was. */
        assert_int_equal(util_grow(&array, &allocated, SIZE_MAX, sizeof(*array)), -ENOMEM);
        assert_int_equal(util_grow(&array, &allocated, SIZE_MAX / 2, 4096), -ENOMEM);
        assert_ptr_equal(array, before);
        assert_int_equal(allocated, room);
        assert_int_equal(array[999], 999);
        free(array);
}

static void test_path(void **state)
{
        char path[PATH_MAX];
        _cleanup_free_ char *name = calloc(1, PATH_MAX + 1);

        (void)state;
        assert_non_null(name);
        memset(name, 'a', PATH_MAX);
        assert_false(path_format(path, "%s", name));
        name[PATH_MAX - 1] = '\0';
        assert_true(path_format(path, "%s", name));
        assert_string_equal(path_last("/a/b"), "b");
        assert_string_equal(path_last("b"), "b");
        assert_string_equal(path_last("/a/"), "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_u64), cmocka_unit_test(test_trim),
                cmocka_unit_test(test_equal),     cmocka_unit_test(test_copy_and_format),
                cmocka_unit_test(test_grow),      cmocka_unit_test(test_path),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
