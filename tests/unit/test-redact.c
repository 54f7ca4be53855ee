/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "redact.h"

static void assert_text(struct redaction *redaction, const char *text, bool names, const char *expected)
{
        _cleanup_free_ char *shown = NULL;

        assert_int_equal(redact_text(redaction, text, strlen(text), names, &shown), 0);
        assert_string_equal(shown, expected);
}

static void test_text(void **state)
{
        struct redaction redaction = {.host = strdup("myhost")};

        (void)state;
        assert_text(&redaction, "", true, "");
        assert_text(&redaction, "nothing of it: 0000:06:00.0 12:30:45", true,
                    "nothing of it: 0000:06:00.0 12:30:45");
        assert_text(&redaction, "a 52:54:00:12:34:56 b", false, "a 02:00:00:00:00:01 b");
        assert_text(&redaction, "52-54-00-AB-cd-EF,52:54:00:12:34:56,52:54:00:ab:cd:ef", false,
                    "02:00:00:00:00:02,02:00:00:00:00:01,02:00:00:00:00:02");
        /* As long as one of InfiniBand, and shorter than any. */
        assert_text(&redaction, "a0:00:01:00:fe:80:00:00 52:54:00:12:34", false,
                    "02:00:00:00:00:03 52:54:00:12:34");
        assert_text(&redaction, "net/enx525400123456/x", false, "net/enx020000000004/x");
        assert_text(&redaction, "UUID=0b6e9b9d-6a5e-4a3c-9f3e-2f1f6d6b1c2a.", false,
                    "UUID=00000000-0000-0000-0000-000000000005.");
        assert_text(&redaction, "/srv/myhost/x myhost.example.com MYHOST, notmyhost myhosts", true,
                    "/srv/host/x host host, notmyhost myhosts");
        assert_text(&redaction, "/srv/myhost", false, "/srv/myhost");
        assert_text(&redaction, "qemu+ssh://me@other.example/system qemu:///system", true,
                    "qemu+ssh://host/system qemu:///system");
        redaction.is_off = true;
        assert_text(&redaction, "52:54:00:12:34:56 myhost", true, "52:54:00:12:34:56 myhost");
        redaction_clear(&redaction);
}

static void test_serial(void **state)
{
        static const char *const texts[][2] = {{"0215000012345678\n", "0000000000000001\n"},
                                               {"02150000abcdef00\n", "0000000000000002\n"},
                                               {"0215000012345678", "0000000000000001\n"},
                                               {"", "0000000000000003\n"}};
        struct redaction redaction = {.host = NULL};

        (void)state;
        for (size_t i = 0; i <= ELEMENTSOF(texts); i++) {
                _cleanup_free_ char *shown = NULL;
                redaction.is_off = i == ELEMENTSOF(texts);
                assert_int_equal(redact_serial(&redaction, texts[redaction.is_off ? 0 : i][0], &shown), 0);
                assert_string_equal(shown, texts[redaction.is_off ? 0 : i][redaction.is_off ? 0 : 1]);
        }
        redaction_clear(&redaction);
}

static void test_cmdline(void **state)
{
        const struct redaction redaction = {.is_off = false};
        _cleanup_free_ char *shown = NULL;

        (void)state;
        assert_int_equal(
                redact_cmdline(&redaction,
                               "BOOT_IMAGE=/vmlinuz root=UUID=0b6e9b9d secret intel_iommu=on iommu=pt "
                               "ip=10.0.0.1::::myhost vfio-pci.ids=1002:6864 vfioctl=off\n",
                               &shown),
                0);
        assert_string_equal(shown, "BOOT_IMAGE= root= intel_iommu=on iommu=pt ip= vfio-pci.ids=1002:6864 "
                                   "vfioctl=off\n");
}

static void test_comments(void **state)
{
        const struct redaction redaction = {.is_off = false};
        char text[] = "# on myhost\ngpus = all # stays\n  ; two\n\nidle = vm";

        (void)state;
        redact_comments(&redaction, text);
        assert_string_equal(text, "#\ngpus = all # stays\n  ;\n\nidle = vm");
}

/* Two capabilities: VPD, and behind the 256 bytes the serial number. */
static void make_config(uint8_t bytes[4096], uint8_t serial)
{
        memset(bytes, 0, 4096);
        bytes[0x06] = 0x10;
        bytes[0x34] = 0x40;
        bytes[0x40] = 0x03;
        memcpy(bytes + 0x44, "SN12", 4);
        bytes[0x100] = 0x01;
        bytes[0x102] = 0x01;
        bytes[0x103] = 0x15;
        bytes[0x150] = 0x03;
        memset(bytes + 0x154, serial, 8);
}

static void test_config_space(void **state)
{
        struct redaction redaction = {.is_off = false};
        uint8_t a[4096], b[4096], c[4096];
        static const uint8_t one[8] = {1}, two[8] = {2};

        (void)state;
        make_config(a, 0x5a);
        make_config(b, 0xa5);
        make_config(c, 0x5a);
        assert_int_equal(redact_config_space(&redaction, a, sizeof(a)), 0);
        assert_int_equal(redact_config_space(&redaction, b, sizeof(b)), 0);
        assert_int_equal(redact_config_space(&redaction, c, sizeof(c)), 0);
        assert_memory_equal(a + 0x154, one, 8);
        assert_memory_equal(b + 0x154, two, 8);
        assert_memory_equal(a, c, sizeof(a));
        assert_memory_equal(a + 0x44, "\0\0\0\0", 4);
        /* None at all, lists that do not end, and every length. */
        make_config(a, 0);
        assert_int_equal(redact_config_space(&redaction, a, sizeof(a)), 0);
        assert_int_equal(a[0x154], 0);
        a[0x41] = 0x40;
        a[0x152] = 0x01;
        a[0x153] = 0x15;
        for (size_t size = 0; size <= sizeof(a); size += 61) {
                uint8_t *copy = malloc(size + 1);
                assert_non_null(copy);
                memcpy(copy, a, size);
                assert_int_equal(redact_config_space(&redaction, copy, size), 0);
                free(copy);
        }
        redaction_clear(&redaction);
}

static void test_dmi(void **state)
{
        const struct redaction redaction = {.is_off = false}, off = {.is_off = true};
        static const char system[] =
                "\x01\x1b\x01\x00\x01\x02\x00\x03UUIDUUIDUUIDUUID\x06\x04\x00"
                "Maker\0Product\0SERIAL1\0SKU2\0\0"
                "\x0b\x05\x02\x00\x01OEMSECRET\0\0"
                "\x09\x11\x03\x00\x01\xb6\x0d\x04\x04\x02\x00\x0c\x01\x00\x00\x06\x00SLOT 2\0\0"
                "\x7f\x04\x04\x00\0";
        _cleanup_free_ uint8_t *kept = NULL, *all = NULL;
        size_t size = 0, all_size = 0;

        (void)state;
        assert_int_equal(redact_dmi(&redaction, (const uint8_t *)system, sizeof(system), &kept, &size), 0);
        assert_null(memmem(kept, size, "SERIAL1", 7));
        assert_null(memmem(kept, size, "UUID", 4));
        assert_null(memmem(kept, size, "SKU2", 4));
        assert_null(memmem(kept, size, "OEMSECRET", 9));
        assert_non_null(memmem(kept, size, "Product", 8));
        assert_non_null(memmem(kept, size, "SLOT 2", 7));
        assert_int_equal(kept[5], 2);
        assert_int_equal(kept[7], 0);
        assert_int_equal(redact_dmi(&off, (const uint8_t *)system, sizeof(system), &all, &all_size), 0);
        assert_memory_equal(all, system, sizeof(system));
        for (size_t cut = 0; cut < sizeof(system); cut++) {
                uint8_t *copy = malloc(cut + 1), *out = NULL;
                assert_non_null(copy);
                memcpy(copy, system, cut);
                assert_int_equal(redact_dmi(&redaction, copy, cut, &out, &size), 0);
                free(out);
                free(copy);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),         cmocka_unit_test(test_serial),
                cmocka_unit_test(test_cmdline),      cmocka_unit_test(test_comments),
                cmocka_unit_test(test_config_space), cmocka_unit_test(test_dmi),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
