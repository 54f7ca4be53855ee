/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "topology.h"

#define DMI "/sys/firmware/dmi/tables/DMI"

struct taken {
        char *root;
        struct vfioctl_ctx *ctx;
        struct vfioctl_snapshot *snapshot;
};

static struct taken take(char *root)
{
        struct taken taken = {.root = root, .ctx = root_ctx(root)};

        assert_int_equal(vfioctl_snapshot_take(taken.ctx, VFIOCTL_SNAPSHOT_DETAILS | VFIOCTL_SNAPSHOT_PATHS,
                                               &taken.snapshot),
                         0);
        return taken;
}

static void take_end(struct taken *taken)
{
        (void)vfioctl_snapshot_free(taken->snapshot);
        (void)vfioctl_ctx_free(taken->ctx);
        root_free(taken->root);
}

static const struct vfioctl_gpu *at(const struct taken *taken, const char *text)
{
        const struct vfioctl_gpu *gpu = NULL;

        if (vfioctl_snapshot_find(taken->snapshot, text, &gpu) != 0)
                fail_msg("no GPU '%s'", text);
        return gpu;
}

/* A GPU directly below a root port. */
static void add_gpu(const char *root, const char *bridge, const char *port, const char *address)
{
        char above[64];
        struct root_function function = {.address = port,
                                         .above = bridge,
                                         .vendor = 0x8086,
                                         .device = 1,
                                         .class = 0x060400,
                                         .type = 4,
                                         .numa_node = -1};

        root_add(root, &function);
        (void)snprintf(above, sizeof(above), "%s/%s", bridge, port);
        function = (struct root_function){.address = address,
                                          .above = above,
                                          .vendor = 0x1002,
                                          .device = 0x6864,
                                          .class = 0x038000,
                                          .type = 0,
                                          .numa_node = -1};
        root_add(root, &function);
}

static void put_slot(uint8_t *table, size_t *size, const char *label, unsigned int bus)
{
        const uint8_t fixed[17] = {9, 17, 0, 0, 1, 0xb6, 0x0d, 4, 4, 0, 0, 0x0c, 1, 0, 0, (uint8_t)bus, 0};

        memcpy(table + *size, fixed, sizeof(fixed));
        strcpy((char *)table + *size + sizeof(fixed), label);
        *size += sizeof(fixed) + strlen(label) + 2;
}

static void test_firmware_names(void **state)
{
        char *root = root_new();
        uint8_t table[512] = {0};
        size_t size = 0;

        (void)state;
        add_gpu(root, "pci0000:00", "0000:00:01.0", "0000:02:00.0");
        add_gpu(root, "pci0000:00", "0000:00:02.0", "0000:03:00.0");
        add_gpu(root, "pci0000:80", "0000:80:01.0", "0000:82:00.0");
        put_slot(table, &size, "CPU1 SLOT2 PCI-E", 2);
        put_slot(table, &size, "CPU1 SLOT4 PCI-E", 3);
        put_slot(table, &size, "CPU2 SLOT2 PCI-E", 0x82);
        root_bytes(root, DMI, table, size);
        struct taken taken = take(root);

        /* The label of one slot each; a number printed twice names neither. */
        assert_string_equal(vfioctl_gpu_name(at(&taken, "03:00.0")), "4a");
        assert_string_equal(vfioctl_gpu_slot(at(&taken, "03:00.0")), "CPU1 SLOT4 PCI-E");
        assert_string_equal(vfioctl_gpu_name(at(&taken, "02:00.0")), "1010a");
        assert_string_equal(vfioctl_gpu_name(at(&taken, "82:00.0")), "2010a");
        assert_ptr_equal(at(&taken, "4a"), at(&taken, "0000:03:00.0"));
        take_end(&taken);
}

static void test_no_firmware(void **state)
{
        char *root = root_new();

        (void)state;
        add_gpu(root, "pci0000:00", "0000:00:03.1", "0000:0a:00.0");
        add_gpu(root, "pci0000:40", "0000:40:01.0", "0000:41:00.0");
        add_gpu(root, "pci0000:80", "0000:80:1f.7", "0000:82:00.0");
        root_mkdir(root, "/sys/devices/pci0000:c0");
        struct taken taken = take(root);
        assert_string_equal(vfioctl_gpu_name(at(&taken, "0a:00.0")), "1031a");
        assert_string_equal(vfioctl_gpu_name(at(&taken, "41:00.0")), "2010a");
        assert_string_equal(vfioctl_gpu_name(at(&taken, "82:00.0")), "3317a");
        assert_null(vfioctl_gpu_slot(at(&taken, "82:00.0")));
        take_end(&taken);

        /* A bridge without GPUs counts, so a card that is taken out moves no number. */
        root = root_new();
        add_gpu(root, "pci0000:00", "0000:00:03.1", "0000:0a:00.0");
        root_mkdir(root, "/sys/devices/pci0000:40");
        add_gpu(root, "pci0000:80", "0000:80:1f.7", "0000:82:00.0");
        taken = take(root);
        assert_string_equal(vfioctl_gpu_name(at(&taken, "82:00.0")), "3317a");
        take_end(&taken);
}

/* A card of 30 dies behind one port: a to z, then aa to ad, and each name finds its GPU. */
static void test_letters(void **state)
{
        struct root_function port = {.address = "0000:00:01.0",
                                     .above = "pci0000:00",
                                     .vendor = 0x8086,
                                     .class = 0x060400,
                                     .type = 4,
                                     .numa_node = -1},
                             up = {.address = "0000:01:00.0",
                                   .above = "pci0000:00/0000:00:01.0",
                                   .vendor = 0x11f8,
                                   .class = 0x060400,
                                   .type = 5,
                                   .numa_node = -1};
        char *root = root_new(), down_address[32], gpu_address[32], above[128], name[16];

        (void)state;
        root_add(root, &port);
        root_add(root, &up);
        for (unsigned int i = 0; i < 30; i++) {
                struct root_function down = {.address = down_address,
                                             .vendor = 0x11f8,
                                             .class = 0x060400,
                                             .type = 6,
                                             .numa_node = -1,
                                             .above = "pci0000:00/0000:00:01.0/0000:01:00.0"};
                (void)snprintf(down_address, sizeof(down_address), "0000:02:%02x.0", i);
                root_add(root, &down);
                (void)snprintf(above, sizeof(above), "%s/%s", down.above, down_address);
                (void)snprintf(gpu_address, sizeof(gpu_address), "0000:%02x:00.0", 3 + i);
                struct root_function gpu = {.address = gpu_address,
                                            .above = above,
                                            .vendor = 0x1002,
                                            .device = 0x6864,
                                            .class = 0x038000,
                                            .numa_node = -1};
                root_add(root, &gpu);
        }
        struct taken taken = take(root);
        assert_int_equal(vfioctl_snapshot_gpu_count(taken.snapshot), 30);
        for (unsigned int i = 0; i < 30; i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(taken.snapshot, i);
                if (i < 26)
                        (void)snprintf(name, sizeof(name), "1010%c", 'a' + (int)i);
                else
                        (void)snprintf(name, sizeof(name), "1010a%c", 'a' + (int)i - 26);
                assert_string_equal(vfioctl_gpu_name(gpu), name);
                assert_ptr_equal(at(&taken, name), gpu);
                assert_int_equal(vfioctl_gpu_card_index(gpu), 0);
        }
        take_end(&taken);
}

/* Intel VMD: a PCI domain of its own (from 10000 up) below a function of another one. */
static void test_nested_domain(void **state)
{
        char *root = root_new();
        struct root_function vmd = {.address = "0000:64:05.5",
                                    .above = "pci0000:64",
                                    .vendor = 0x8086,
                                    .class = 0x010400,
                                    .type = 9,
                                    .numa_node = -1};

        (void)state;
        root_add(root, &vmd);
        add_gpu(root, "pci0000:64/0000:64:05.5/pci10000:e0", "10000:e0:02.0", "10000:e1:00.0");
        struct taken taken = take(root);
        const struct vfioctl_gpu *gpu = at(&taken, "10000:e1:00.0");
        assert_string_equal(vfioctl_gpu_address(gpu), "10000:e1:00.0");
        assert_int_equal(vfioctl_gpu_path_count(gpu), 1);
        assert_contains(vfioctl_gpu_identity(gpu), "10000 ");
        assert_lacks(vfioctl_gpu_identity(gpu), "05.5");
        take_end(&taken);
}

static void test_broken_places(void **state)
{
        static const char *const targets[] = {
                "../../../devices/pci0000:00/0000:00:01.0/nonsense/0000:06:00.0",
                "../../../devices/virtual/0000:06:00.0",
                "nowhere",
                "../../../devices/pci0000:zz/0000:06:00.0",
                "../../../devices/pci0000:00",
                "../../../devices/",
        };
        struct vfioctl_ctx *ctx;
        struct place place;
        char deep[1024] = "../../../devices/pci0000:00", *root = root_new();

        (void)state;
        ctx = root_ctx(root);
        for (size_t i = 0; i < ELEMENTSOF(targets); i++) {
                root_link(root, "/sys/bus/pci/devices/0000:06:00.0", targets[i]);
                assert_int_equal(place_read(ctx, "0000:06:00.0", &place), -EINVAL);
        }
        /* Deeper than any machine: refused rather than cut. */
        for (int i = 0; i < CHAIN_MAX + 1; i++)
                (void)snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/0000:%02x:00.0", i);
        root_link(root, "/sys/bus/pci/devices/0000:20:00.0", deep);
        assert_int_equal(place_read(ctx, "0000:20:00.0", &place), -EINVAL);
        *strrchr(deep, '/') = '\0';
        root_link(root, "/sys/bus/pci/devices/0000:1f:00.0", deep);
        assert_int_equal(place_read(ctx, "0000:1f:00.0", &place), 0);
        assert_int_equal(place.length, CHAIN_MAX);
        struct vfioctl_function function = {.vendor = 0x1002, .serial = UINT64_MAX};
        _cleanup_free_ char *identity = NULL;
        assert_int_equal(place_identity(ctx, &place, &function, &identity), 0);
        assert_contains(identity, "ffffffffffffffff");
        assert_int_equal(place_read(ctx, "0000:77:00.0", &place), -ENOENT);
        root_put(root, "/sys/bus/pci/devices/0000:78:00.0", "x");
        assert_int_equal(place_read(ctx, "0000:78:00.0", &place), -EINVAL);
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
}

/* ---- whole hosts ---- */

static void compare_identities(const char *host, const char *const *options)
{
        struct taken a = take(root_from_host(host, NULL)), b = take(root_from_host(host, options));
        size_t count = vfioctl_snapshot_gpu_count(a.snapshot);

        assert_true(count > 0);
        assert_int_equal(count, vfioctl_snapshot_gpu_count(b.snapshot));
        for (size_t i = 0; i < count; i++) {
                const struct vfioctl_gpu *x = vfioctl_snapshot_gpu(a.snapshot, i),
                                         *y = vfioctl_snapshot_gpu(b.snapshot, i);
                assert_string_equal(vfioctl_gpu_identity(x), vfioctl_gpu_identity(y));
                if (vfioctl_gpu_has_short_name(x)) {
                        assert_string_equal(vfioctl_gpu_name(x), vfioctl_gpu_name(y));
                        assert_string_not_equal(vfioctl_gpu_address(x), vfioctl_gpu_address(y));
                }
                for (size_t k = 0; k < i; k++)
                        assert_string_not_equal(vfioctl_gpu_identity(x),
                                                vfioctl_gpu_identity(vfioctl_snapshot_gpu(a.snapshot, k)));
        }
        take_end(&a);
        take_end(&b);
}

static void test_identity(void **state)
{
        static const char *const below[] = {"--bus-offset-below", "3", NULL};
        static const char *const all[] = {"--bus-offset", "5", NULL};

        (void)state;
        compare_identities("x10drh-3xv340", below);
        compare_identities("gtx690", all);
}

static void test_cards(void **state)
{
        static const char *const bare[] = {"--no-smbios", NULL};

        (void)state;
        for (int smbios = 0; smbios < 2; smbios++) {
                struct taken taken = take(root_from_host("x10drh-3xv340", smbios ? NULL : bare));
                static const char *const cards[3][2] = {
                        {"06:00.0", "0a:00.0"}, {"10:00.0", "14:00.0"}, {"85:00.0", "89:00.0"}};
                for (size_t i = 0; i < 3; i++) {
                        const struct vfioctl_gpu *a = at(&taken, cards[i][0]), *b = at(&taken, cards[i][1]);
                        assert_int_equal(vfioctl_gpu_card_index(a), vfioctl_gpu_card_index(b));
                        const char *x = vfioctl_gpu_name(a), *y = vfioctl_gpu_name(b);
                        assert_int_equal(strlen(x), strlen(y));
                        assert_memory_equal(x, y, strlen(x) - 1);
                        assert_int_equal(x[strlen(x) - 1], 'a');
                        assert_int_equal(y[strlen(y) - 1], 'b');
                        const struct vfioctl_gpu *next = at(&taken, cards[(i + 1) % 3][0]);
                        assert_int_not_equal(vfioctl_gpu_card_index(a), vfioctl_gpu_card_index(next));
                }
                /* The board's own display has neither a name nor a slot. */
                const struct vfioctl_gpu *own = at(&taken, "17:00.0");
                assert_true(vfioctl_gpu_is_on_board(own));
                assert_false(vfioctl_gpu_has_short_name(own));
                assert_string_equal(vfioctl_gpu_name(own), "0000:17:00.0");
                take_end(&taken);
        }
}

static void test_find(void **state)
{
        const struct vfioctl_gpu *gpu = (const void *)0x1;

        (void)state;
        struct taken taken = take(root_from_host("gtx690", NULL));
        assert_ptr_equal(at(&taken, "83:00.1"), at(&taken, "0000:83:00.0"));
        assert_ptr_equal(at(&taken, "00000000:83:00.1"), at(&taken, "83:00.0"));
        static const char *const missing[] = {"99a", "0000:99:00.0", "83:00.2", "0001:83:00.0", "1zz"};
        for (size_t i = 0; i < ELEMENTSOF(missing); i++)
                assert_int_equal(vfioctl_snapshot_find(taken.snapshot, missing[i], &gpu), -ENOENT);
        static const char *const wrong[] = {"",      "a",        "2",  "a2",    "2A", "2a ",
                                            "2abcd", "1234567a", "..", "83:00", "/"};
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(vfioctl_snapshot_find(taken.snapshot, wrong[i], &gpu), -EINVAL);
        assert_ptr_equal(gpu, (const void *)0x1);
        take_end(&taken);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_firmware_names), cmocka_unit_test(test_no_firmware),
                cmocka_unit_test(test_letters),        cmocka_unit_test(test_nested_domain),
                cmocka_unit_test(test_broken_places),  cmocka_unit_test(test_identity),
                cmocka_unit_test(test_cards),          cmocka_unit_test(test_find),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
