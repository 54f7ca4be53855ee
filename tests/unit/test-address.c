/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

static void parses(const char *text, uint32_t domain, unsigned int bus, unsigned int device,
                   unsigned int function)
{
        struct vfioctl_address address;

        if (vfioctl_address_parse(text, &address) != 0)
                fail_msg("'%s' is refused", text);
        assert_int_equal(address.domain, domain);
        assert_int_equal(address.bus, bus);
        assert_int_equal(address.device, device);
        assert_int_equal(address.function, function);
}

static void test_parse(void **state)
{
        (void)state;
        parses("0000:06:00.0", 0, 6, 0, 0);
        parses("06:00.0", 0, 6, 0, 0);
        parses("ff:1f.7", 0, 255, 31, 7);
        parses("0001:0a:1F.7", 1, 10, 31, 7);
        parses("FFFF:fF:00.1", 0xffff, 255, 0, 1);
        parses("10000:01:00.0", 0x10000, 1, 0, 0);
        parses("123456:01:00.0", 0x123456, 1, 0, 0);
        parses("1234567:01:00.0", 0x1234567, 1, 0, 0);
        parses("ffffffff:ff:1f.7", 0xffffffff, 255, 31, 7);
        parses("00000000:00:00.0", 0, 0, 0, 0);
}

static void test_reject(void **state)
{
        static const char *const wrong[] = {
                "",
                ":",
                "::",
                ":06:00.0",
                "6:00.0",
                "006:00.0",
                "06:0.0",
                "06:000.0",
                "06:00",
                "06:00.",
                "06:00.8",
                "06:00.f",
                "06:00.00",
                "06:20.0",
                "06:00.0 ",
                " 06:00.0",
                "06:00.0\n",
                "06-00.0",
                "06:00:0",
                "0:06:00.0",
                "000:06:00.0",
                "000000000:06:00.0",
                "123456789:06:00.0",
                "0000:06:00.0:",
                "0000::00.0",
                "0000:06:00.0/..",
                "0x00:06:00.0",
                "-001:06:00.0",
                "+001:06:00.0",
                "0000:6:00.0",
                "0000:06:00.*",
                "0000:g6:00.0",
                "2a",
                "\xff\xff:\xff\xff.\xff",
        };
        struct vfioctl_address address = {.domain = 7, .bus = 7, .device = 7, .function = 7};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                if (vfioctl_address_parse(wrong[i], &address) != -EINVAL)
                        fail_msg("'%s' is taken", wrong[i]);
                assert_int_equal(address.domain + address.bus + address.device + address.function, 28);
        }
}

static void test_round_trip(void **state)
{
        static const uint32_t domains[] = {0, 1, 0xffff, 0x10000, 0xfffff, 0x10000000, 0xffffffff};
        char text[VFIOCTL_ADDRESS_SIZE];

        (void)state;
        for (size_t d = 0; d < ELEMENTSOF(domains); d++)
                for (unsigned int bus = 0; bus < 256; bus += 5)
                        for (unsigned int at = 0; at < 256; at++) {
                                struct vfioctl_address in = {.domain = domains[d],
                                                             .bus = (uint8_t)bus,
                                                             .device = (uint8_t)(at >> 3),
                                                             .function = at & 7},
                                                       out;
                                assert_ptr_equal(vfioctl_address_format(&in, text), text);
                                assert_true(strlen(text) < sizeof(text));
                                assert_int_equal(vfioctl_address_parse(text, &out), 0);
                                assert_int_equal(vfioctl_address_compare(&in, &out), 0);
                        }
        struct vfioctl_address first = {.domain = 0, .bus = 6};
        assert_string_equal(vfioctl_address_format(&first, text), "0000:06:00.0");
        first.domain = 0x10000;
        assert_string_equal(vfioctl_address_format(&first, text), "10000:06:00.0");
}

static void test_compare(void **state)
{
        static const char *const ordered[] = {
                "0000:00:00.0", "0000:00:00.7", "0000:00:01.0",     "0000:00:1f.7",     "0000:01:00.0",
                "0000:ff:1f.7", "0001:00:00.0", "7fffffff:00:00.0", "80000000:00:00.0", "ffffffff:00:00.0",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(ordered); i++)
                for (size_t k = 0; k < ELEMENTSOF(ordered); k++) {
                        struct vfioctl_address a, b;
                        assert_int_equal(vfioctl_address_parse(ordered[i], &a), 0);
                        assert_int_equal(vfioctl_address_parse(ordered[k], &b), 0);
                        int order = vfioctl_address_compare(&a, &b);
                        assert_int_equal(order < 0, i < k);
                        assert_int_equal(order > 0, i > k);
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_reject),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_compare),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
