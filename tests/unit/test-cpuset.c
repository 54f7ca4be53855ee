/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include "cpuset.h"

static void assert_list(const char *text, const char *expected)
{
        struct cpu_set set;
        char *again;

        assert_int_equal(cpu_set_parse(text, &set), 0);
        assert_int_equal(cpu_set_format(&set, &again), 0);
        assert_string_equal(again, expected);
        free(again);
}

static void test_lists(void **state)
{
        (void)state;
        assert_list("", "");
        assert_list("\n", "");
        assert_list("0\n", "0");
        assert_list("0-3", "0-3");
        assert_list("3,1,2,0", "0-3");
        assert_list("0-1,28-29", "0-1,28-29");
        assert_list(" 1 , 3 ", "1,3");
        assert_list("62-66,127,128", "62-66,127-128");
        assert_list("0-8191", "0-8191");
        assert_list("8191", "8191");
        assert_list("007", "7");
        /* As libvirt writes and takes them. */
        assert_list("0-5,^2", "0-1,3-5");
        assert_list("^2,0-3", "0-3");
        assert_list("0-5,^1-3", "0,4-5");
}

static void test_no_lists(void **state)
{
        static const char *const texts[] = {
                "x", "-",   "-1",  "1-",  "1--2", "1,",  ",1", "1,,2", "1 2",
                "^", "2-1", "1-x", "0x1", "1;2",  "1.5", "+1", "all",  "1\t-2",
        };
        static const char *const far[] = {"8192", "0-8192", "99999999999999999999", "1,8192", "^8192"};
        struct cpu_set set = {.words = {42}};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (cpu_set_parse(texts[i], &set) != -EINVAL)
                        fail_msg("'%s' is taken", texts[i]);
        for (size_t i = 0; i < ELEMENTSOF(far); i++)
                if (cpu_set_parse(far[i], &set) != -ERANGE)
                        fail_msg("'%s' is taken", far[i]);
        assert_int_equal(set.words[0], 42);
}

static void test_sets(void **state)
{
        struct cpu_set a, b;

        (void)state;
        assert_int_equal(cpu_set_parse("0-3,64,8191", &a), 0);
        assert_int_equal(cpu_set_parse("2-5,64", &b), 0);
        assert_int_equal(cpu_set_count(&a), 6);
        assert_int_equal(cpu_set_next(&a, 0), 0);
        assert_int_equal(cpu_set_next(&a, 4), 64);
        assert_int_equal(cpu_set_next(&a, 65), 8191);
        assert_int_equal(cpu_set_next(&b, 65), CPU_LIMIT);
        assert_int_equal(cpu_set_next(&b, CPU_LIMIT), CPU_LIMIT);
        struct cpu_set both = a, kept = a, less = a;
        cpu_set_add_all(&both, &b);
        cpu_set_keep(&kept, &b);
        cpu_set_remove_all(&less, &b);
        assert_int_equal(cpu_set_count(&both), 8);
        assert_int_equal(cpu_set_count(&kept), 3);
        assert_int_equal(cpu_set_count(&less), 3);
        assert_true(cpu_set_has(&less, 1) && !cpu_set_has(&less, 2));
        /* Outside there is nothing, and nothing can be put there. */
        cpu_set_add(&a, CPU_LIMIT);
        cpu_set_remove(&a, CPU_LIMIT);
        assert_false(cpu_set_has(&a, CPU_LIMIT));
        assert_false(cpu_set_has(&a, UINT32_MAX));
}

/* Any text is refused, or read back as it is printed. */
static void test_any_text(void **state)
{
        static const char letters[] = "0123456789-,^ \nx";
        unsigned int seed = 1, taken = 0;

        (void)state;
        for (unsigned int round = 0; round < 50000; round++) {
                char text[16];
                size_t length = round % sizeof(text);
                for (size_t i = 0; i < length; i++) {
                        seed = seed * 1103515245 + 12345;
                        text[i] = letters[seed >> 16 & 15];
                }
                text[length < sizeof(text) ? length : sizeof(text) - 1] = '\0';
                struct cpu_set set, again;
                char *shown;
                if (cpu_set_parse(text, &set) < 0)
                        continue;
                taken++;
                assert_int_equal(cpu_set_format(&set, &shown), 0);
                assert_int_equal(cpu_set_parse(shown, &again), 0);
                assert_memory_equal(&set, &again, sizeof(set));
                free(shown);
        }
        assert_true(taken > 1000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lists),
                cmocka_unit_test(test_no_lists),
                cmocka_unit_test(test_sets),
                cmocka_unit_test(test_any_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
