/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "capability.h"

#include <fcntl.h>
#include <linux/pci_regs.h>

static char *root;

static struct vfioctl_function read_config(const uint8_t *bytes, size_t size)
{
        struct vfioctl_function function = {.pcie_type = VFIOCTL_PCIE_UNKNOWN};

        root_bytes(root, "/device/config", bytes, size);
        struct vfioctl_ctx *ctx = root_ctx(root);
        _cleanup_fd_ int dir = host_open(ctx, "/device", O_PATH | O_DIRECTORY);
        assert_true(dir >= 0);
        capability_read(dir, &function);
        (void)vfioctl_ctx_free(ctx);
        return function;
}

static struct vfioctl_function read_made(const struct root_function *made, size_t size)
{
        uint8_t bytes[CONFIG_MAX];

        config_make(made, bytes);
        return read_config(bytes, size);
}

static void test_types(void **state)
{
        (void)state;
        for (int type = 0; type < 16; type++) {
                struct root_function made = {.type = type, .vendor = 0x1002};
                struct vfioctl_function function = read_made(&made, CONFIG_MAX);
                assert_int_equal(function.pcie_type, type);
                assert_true(function.acs_known);
                assert_false(function.has_acs);
                assert_false(function.is_multifunction);
                assert_non_null(vfioctl_pcie_type_name(function.pcie_type));
        }
        struct root_function conventional = {.type = -1, .multifunction = true};
        struct vfioctl_function function = read_made(&conventional, 256);
        assert_int_equal(function.pcie_type, VFIOCTL_PCIE_CONVENTIONAL);
        assert_true(function.is_multifunction);
        assert_false(function.acs_known);
        assert_string_equal(vfioctl_pcie_type_name(VFIOCTL_PCIE_ROOT_PORT), "root port");
        assert_string_equal(vfioctl_pcie_type_name(VFIOCTL_PCIE_UNKNOWN), "unknown");
}

static void test_acs(void **state)
{
        struct root_function made = {.type = 6, .acs_cap = 0x5f, .acs_ctl = 0x1d};

        (void)state;
        struct vfioctl_function function = read_made(&made, CONFIG_MAX);
        assert_true(function.has_acs && function.acs_known);
        assert_int_equal(function.acs_cap, 0x5f);
        assert_int_equal(function.acs_ctl, 0x1d);
        /* 256 bytes: a function whose extended space cannot be reached. */
        function = read_made(&made, 256);
        assert_int_equal(function.pcie_type, VFIOCTL_PCIE_DOWNSTREAM);
        assert_false(function.acs_known);
        assert_false(function.has_acs);
}

static void test_serial(void **state)
{
        struct root_function made = {.type = 0};
        uint8_t bytes[CONFIG_MAX];

        (void)state;
        config_make(&made, bytes);
        memcpy(bytes + 0x140, (const uint8_t[]){PCI_EXT_CAP_ID_DSN, 0, 1, 0}, 4);
        for (uint8_t i = 0; i < 8; i++)
                bytes[0x144 + i] = (uint8_t)(0x10 + i);
        assert_true(read_config(bytes, sizeof(bytes)).serial == 0x1716151413121110ull);
}

/* Whatever size the file has, the answer is one that the bytes bear out. */
static void test_truncated(void **state)
{
        struct root_function made = {.type = 4, .acs_cap = 0x1f, .acs_ctl = 0x1d};

        (void)state;
        for (size_t size = 0; size <= 0x150; size++) {
                struct vfioctl_function function = read_made(&made, size);
                if (size < 64)
                        assert_int_equal(function.pcie_type, VFIOCTL_PCIE_UNKNOWN);
                /* As anybody may read it: the capabilities lie beyond, so nothing is known of them. */
                if (size == 64)
                        assert_int_equal(function.pcie_type, VFIOCTL_PCIE_UNKNOWN);
                if (size >= 0x64)
                        assert_int_equal(function.pcie_type, VFIOCTL_PCIE_ROOT_PORT);
                assert_true(!function.has_acs || size >= 0x140);
                assert_true(size < 0x148 || (function.has_acs && function.acs_ctl == 0x1d));
        }
}

static void test_loops(void **state)
{
        struct root_function made = {.type = 4};
        uint8_t bytes[CONFIG_MAX];

        (void)state;
        /* Onto itself, onto each other, below the list's start, and to the very end. */
        static const uint8_t next[] = {0x50, 0x51, 0x53, 0x60, 0x00, 0x01,
                                       0x04, 0x3c, 0x3f, 0x40, 0xfc, 0xff};
        for (size_t i = 0; i < sizeof(next); i++) {
                config_make(&made, bytes);
                bytes[0x51] = next[i];
                bytes[0x60] = PCI_CAP_ID_VPD;
                bytes[0x61] = 0x50;
                struct vfioctl_function function = read_config(bytes, sizeof(bytes));
                assert_int_equal(function.pcie_type, VFIOCTL_PCIE_CONVENTIONAL);
        }
        /* The extended list: a loop, a step back, an odd offset, all ones. */
        static const uint32_t headers[] = {0x10010001u, 0x14010001u, 0x0fc10001u, 0xffffffffu,
                                           0x00010001u, 0xffc1000du, 0x14110001u, 0x0000000du};
        for (size_t i = 0; i < ELEMENTSOF(headers); i++) {
                config_make(&made, bytes);
                for (size_t k = 0; k < 4; k++) {
                        bytes[0x100 + k] = (uint8_t)(headers[i] >> (8 * k));
                        bytes[0x140 + k] = (uint8_t)(0x10010001u >> (8 * k));
                }
                struct vfioctl_function function = read_config(bytes, sizeof(bytes));
                assert_int_equal(function.pcie_type, VFIOCTL_PCIE_ROOT_PORT);
        }
        memset(bytes, 0xff, sizeof(bytes));
        (void)read_config(bytes, sizeof(bytes));
        memset(bytes, 0xff, 64);
        memset(bytes + 64, 0, sizeof(bytes) - 64);
        (void)read_config(bytes, sizeof(bytes));
}

static void test_no_file(void **state)
{
        struct vfioctl_function function = {.pcie_type = VFIOCTL_PCIE_UNKNOWN};
        struct vfioctl_ctx *ctx = root_ctx(root);

        (void)state;
        root_mkdir(root, "/empty");
        root_mkdir(root, "/folder/config");
        root_fifo(root, "/fifo/config");
        static const char *const folders[] = {"/empty", "/folder", "/fifo"};
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                _cleanup_fd_ int dir = host_open(ctx, folders[i], O_PATH | O_DIRECTORY);
                assert_true(dir >= 0);
                capability_read(dir, &function);
                assert_int_equal(function.pcie_type, VFIOCTL_PCIE_UNKNOWN);
                assert_false(function.acs_known);
        }
        (void)vfioctl_ctx_free(ctx);
}

/* ---- ACS, as the kernel judges it: pci_acs_enabled() ---- */

static bool lacks(enum vfioctl_pcie_type type, bool multifunction, int cap, int ctl, bool iommu)
{
        struct vfioctl_function function = {.pcie_type = type,
                                            .is_multifunction = multifunction,
                                            .acs_known = true,
                                            .has_acs = cap >= 0,
                                            .acs_cap = (uint16_t)(cap >= 0 ? cap : 0),
                                            .acs_ctl = (uint16_t)ctl};
        return function_lacks_acs(&function, iommu);
}

static void test_rules(void **state)
{
        static const enum vfioctl_pcie_type ports[] = {VFIOCTL_PCIE_ROOT_PORT, VFIOCTL_PCIE_DOWNSTREAM};
        static const enum vfioctl_pcie_type ends[] = {VFIOCTL_PCIE_ENDPOINT, VFIOCTL_PCIE_LEGACY_ENDPOINT,
                                                      VFIOCTL_PCIE_UPSTREAM, VFIOCTL_PCIE_RC_ENDPOINT};
        static const enum vfioctl_pcie_type never[] = {VFIOCTL_PCIE_CONVENTIONAL, VFIOCTL_PCIE_TO_PCI_BRIDGE,
                                                       VFIOCTL_PCI_TO_PCIE_BRIDGE,
                                                       VFIOCTL_PCIE_RC_EVENT_COLLECTOR};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(ports); i++) {
                assert_true(lacks(ports[i], false, -1, 0, true));
                assert_true(lacks(ports[i], false, 0x1d, 0, true));
                assert_false(lacks(ports[i], false, 0x1d, 0x1d, true));
                assert_false(lacks(ports[i], false, 0x5f, 0x5d, true));
                /* What it does not offer is taken as hard-wired; what it offers must be on. */
                assert_false(lacks(ports[i], false, 0, 0, true));
                assert_false(lacks(ports[i], false, ACS_RR | ACS_CR, ACS_RR | ACS_CR, true));
                for (int bit = 1; bit <= ACS_UF; bit <<= 1)
                        assert_int_equal(lacks(ports[i], false, 0x1f, 0x1f & ~bit, true), bit != ACS_TB);
                /* Without an IOMMU nobody has switched the bits on yet: the capability has to do. */
                assert_false(lacks(ports[i], false, 0x1d, 0, false));
                assert_true(lacks(ports[i], false, -1, 0, false));
        }
        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                assert_false(lacks(ends[i], false, -1, 0, true));
                assert_true(lacks(ends[i], true, -1, 0, true));
                assert_true(lacks(ends[i], true, 0x1d, 0, true));
                assert_false(lacks(ends[i], true, 0x1d, 0x1d, true));
        }
        for (size_t i = 0; i < ELEMENTSOF(never); i++) {
                assert_true(lacks(never[i], false, -1, 0, true));
                assert_true(lacks(never[i], false, 0x1d, 0x1d, true));
        }
        /* Unreadable: nothing is claimed. */
        struct vfioctl_function unknown = {.pcie_type = VFIOCTL_PCIE_ROOT_PORT};
        assert_false(function_lacks_acs(&unknown, true));
        unknown.pcie_type = VFIOCTL_PCIE_UNKNOWN;
        assert_false(function_lacks_acs(&unknown, true));
}

static int set_up(void **state)
{
        (void)state;
        root = root_new();
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        root_free(root);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_types),  cmocka_unit_test(test_acs),
                cmocka_unit_test(test_serial), cmocka_unit_test(test_truncated),
                cmocka_unit_test(test_loops),  cmocka_unit_test(test_no_file),
                cmocka_unit_test(test_rules),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
