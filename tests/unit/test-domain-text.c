/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#define ASSERT_TEXT(expected, text)                                                                          \
        assert_int_equal(vfioctl_domain_text_has_hostdev(text, sizeof(text) - 1), expected)

static void test_without(void **state)
{
        (void)state;
        assert_false(vfioctl_domain_text_has_hostdev(NULL, 0));
        ASSERT_TEXT(false, "");
        ASSERT_TEXT(false, "\xef\xbb\xbf");
        ASSERT_TEXT(false, "<domain><name>n</name></domain>");
        ASSERT_TEXT(false, "\n<domain><name>hostdev</name></domain>");
        ASSERT_TEXT(false, "\xef\xbb\xbf<domain><name>n\xc3\xa9</name></domain>");
        ASSERT_TEXT(false, "<?xml version='1.0'?><domain><hostdevs/></domain>");
        ASSERT_TEXT(false, "<?xml version='1.0' encoding='UTF-8'?><domain/>");
        ASSERT_TEXT(false, "<?xml version=\"1.0\" encoding = \"utf-8\" standalone='yes'?><domain/>");
        /* A tag is written in one way only; a longer name, or one in a namespace, is another. */
        ASSERT_TEXT(false, "<domain>&lt;hostdev/> &#60;hostdev/> < hostdev/> <HOSTDEV/></domain>");
        ASSERT_TEXT(false, "<domain><hostdev-x/><hostdev:x/><x:hostdev/><hostdev.x/><hostdev_/></domain>");
        ASSERT_TEXT(false, "<domain><devices></hostdev>");
        ASSERT_TEXT(false, "<domain><devices><hostde");
}

static void test_with(void **state)
{
        (void)state;
        ASSERT_TEXT(true, "<domain><devices><hostdev/></devices></domain>");
        ASSERT_TEXT(true, "<domain><devices><hostdevs/><hostdev mode='x'>");
        ASSERT_TEXT(true, "<domain><devices><hostdev\tmode='x'>");
        ASSERT_TEXT(true, "<domain><devices><hostdev\n>");
        ASSERT_TEXT(true, "<domain><devices><hostdev>");
        ASSERT_TEXT(true, "<domain><devices><hostdev");
        ASSERT_TEXT(true, "<domain><devices><hostdev\xc2\x85>");
        ASSERT_TEXT(true, "\xef\xbb\xbf<hostdev/>");
        ASSERT_TEXT(true, "<!-- <hostdev/> -->");
}

static void test_in_doubt(void **state)
{
        (void)state;
        ASSERT_TEXT(true, "\xff\xfe<\0d\0/\0>\0");
        ASSERT_TEXT(true, "\xfe\xff\0<\0d\0/\0>");
        ASSERT_TEXT(true, "<\0d\0/\0>\0");
        ASSERT_TEXT(true, "\0\0\0<\0\0\0d\0\0\0/\0\0\0>");
        ASSERT_TEXT(true, "<domain>\0</domain>");
        /* EBCDIC */
        ASSERT_TEXT(true, "\x4c\x84\x61\x6e");
        ASSERT_TEXT(true, "text");
        ASSERT_TEXT(true, "<!DOCTYPE domain [<!ENTITY h '&#60;hostdev/>'>]><domain>&h;</domain>");
        ASSERT_TEXT(true, "<?xml version='1.0' encoding='UTF-7'?><domain>+ADw-hostdev/></domain>");
        ASSERT_TEXT(true, "<?xml version='1.0' encoding='UTF-8-like'?><domain/>");
        ASSERT_TEXT(true, "<?xml version='1.0' encoding='UTF-8\"?><domain/>");
        ASSERT_TEXT(true, "<?xml version='1.0' encoding=");
        ASSERT_TEXT(true, "<?xml version='1.0' encoding?>");
        ASSERT_TEXT(true, "<?xml version='1.0' encoding='UTF-8'");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without),
                cmocka_unit_test(test_with),
                cmocka_unit_test(test_in_doubt),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
