/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <sys/resource.h>

static struct vfioctl_snapshot *take(struct vfioctl_ctx *ctx, unsigned int flags)
{
        struct vfioctl_snapshot *snapshot = NULL;

        assert_int_equal(vfioctl_snapshot_take(ctx, flags, &snapshot), 0);
        return snapshot;
}

/* What a GPU is does not depend on how closely it was looked at: it ends up in VM definitions. */
static void same_gpus(const struct vfioctl_snapshot *a, const struct vfioctl_snapshot *b)
{
        assert_int_equal(vfioctl_snapshot_gpu_count(a), vfioctl_snapshot_gpu_count(b));
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(a); i++) {
                const struct vfioctl_gpu *x = vfioctl_snapshot_gpu(a, i), *y = vfioctl_snapshot_gpu(b, i);
                assert_string_equal(vfioctl_gpu_identity(x), vfioctl_gpu_identity(y));
                assert_string_equal(vfioctl_gpu_name(x), vfioctl_gpu_name(y));
                assert_string_equal(vfioctl_gpu_address(x), vfioctl_gpu_address(y));
                assert_int_equal(vfioctl_gpu_is_on_board(x), vfioctl_gpu_is_on_board(y));
                assert_int_equal(vfioctl_gpu_mode(x), vfioctl_gpu_mode(y));
                assert_int_equal(vfioctl_gpu_card_index(x), vfioctl_gpu_card_index(y));
                assert_int_equal(vfioctl_gpu_numa_node(x), vfioctl_gpu_numa_node(y));
                assert_int_equal(vfioctl_gpu_function_count(x), vfioctl_gpu_function_count(y));
                assert_int_equal(vfioctl_group_number(vfioctl_gpu_group(x)),
                                 vfioctl_group_number(vfioctl_gpu_group(y)));
                assert_int_equal(vfioctl_gpu_is_ready(a, x),
                                 vfioctl_gpu_is_ready(b, y) ||
                                         vfioctl_gpu_is_boot_display(x) != vfioctl_gpu_is_boot_display(y));
        }
}

static void test_hosts(void **state)
{
        static const struct {
                const char *name;
                size_t gpus;
        } hosts[] = {
                {"desktop-2xrtx3050", 2}, {"gtx690", 3},        {"m2000", 2},
                {"r9-295x2", 3},          {"x10drh-3xv340", 7}, {"x10drh-v340-noacs", 5},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(hosts); i++) {
                char *root = root_from_host(hosts[i].name, NULL);
                struct vfioctl_ctx *ctx = root_ctx(root);
                struct vfioctl_snapshot *all = take(ctx, VFIOCTL_SNAPSHOT_ALL);
                assert_int_equal(vfioctl_snapshot_gpu_count(all), hosts[i].gpus);
                assert_true(vfioctl_snapshot_has_iommu(all));
                assert_null(vfioctl_snapshot_gpu(all, hosts[i].gpus));
                for (unsigned int flags = 0; flags < VFIOCTL_SNAPSHOT_ALL; flags += 5) {
                        struct vfioctl_snapshot *some = take(ctx, flags);
                        same_gpus(all, some);
                        (void)vfioctl_snapshot_free(some);
                }
                (void)vfioctl_snapshot_free(all);
                (void)vfioctl_ctx_free(ctx);
                root_free(root);
        }
        assert_null(vfioctl_snapshot_free(NULL));
}

/* One GPU with a serial number, below a port. */
static char *small_host(void)
{
        static const uint8_t serial[12] = {3, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8};
        struct root_function port = {.address = "0000:00:02.0",
                                     .above = "pci0000:00",
                                     .vendor = 0x8086,
                                     .class = 0x060400,
                                     .type = 4,
                                     .group = 1,
                                     .acs_cap = 0x1d,
                                     .acs_ctl = 0x1d},
                             gpu = {.address = "0000:06:00.0",
                                    .above = "pci0000:00/0000:00:02.0",
                                    .vendor = 0x1002,
                                    .device = 0x6864,
                                    .class = 0x038000,
                                    .driver = "amdgpu",
                                    .group = 10};
        uint8_t config[CONFIG_MAX];
        char *root = root_new();

        root_add(root, &port);
        root_add(root, &gpu);
        config_make(&gpu, config);
        memcpy(config + 0x140, serial, sizeof(serial));
        root_bytes(root, "/sys/bus/pci/devices/0000:06:00.0/config", config, sizeof(config));
        return root;
}

/* The serial number is a detail: with it or without, but the same for the same flags. */
static void same_with_flags(struct vfioctl_ctx *ctx, const struct vfioctl_snapshot *all, unsigned int some,
                            unsigned int others)
{
        const unsigned int sets[] = {some, others};

        for (size_t i = 0; i < ELEMENTSOF(sets); i++) {
                struct vfioctl_snapshot *a = take(ctx, sets[i]), *b = take(ctx, sets[i]);
                same_gpus(a, b);
                if (sets[i] & VFIOCTL_SNAPSHOT_DETAILS)
                        same_gpus(a, all);
                (void)vfioctl_snapshot_free(a);
                (void)vfioctl_snapshot_free(b);
        }
}

static void test_serial(void **state)
{
        char *root = small_host();
        struct vfioctl_ctx *ctx = root_ctx(root);
        struct vfioctl_snapshot *all = take(ctx, VFIOCTL_SNAPSHOT_ALL);

        (void)state;
        assert_contains(vfioctl_gpu_identity(vfioctl_snapshot_gpu(all, 0)), "0807060504030201");
        /* Each two of them, and all but these two. */
        for (unsigned int i = 0; i <= VFIOCTL_SNAPSHOT_ALL; i = i ? i * 2 : 1)
                for (unsigned int k = 0; k <= VFIOCTL_SNAPSHOT_ALL; k = k ? k * 2 : 1)
                        same_with_flags(ctx, all, i | k, VFIOCTL_SNAPSHOT_ALL & ~(i | k));
        (void)vfioctl_snapshot_free(all);
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
}

static void test_errors(void **state)
{
        struct vfioctl_snapshot *snapshot = (struct vfioctl_snapshot *)(uintptr_t)0x1;
        char *root = root_new();
        struct vfioctl_ctx *ctx = root_ctx(root);

        (void)state;
        assert_int_equal(vfioctl_snapshot_take(ctx, 0, &snapshot), -ENOENT);
        assert_ptr_equal(snapshot, (struct vfioctl_snapshot *)(uintptr_t)0x1);
        root_mkdir(root, "/sys/bus/pci/devices");
        assert_int_equal(vfioctl_snapshot_take(ctx, 0, &snapshot), 0);
        assert_int_equal(vfioctl_snapshot_gpu_count(snapshot), 0);
        assert_false(vfioctl_snapshot_has_iommu(snapshot));
        (void)vfioctl_snapshot_free(snapshot);
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
}

/* With every number of free descriptors: an error, or the whole truth. */
static void test_few_descriptors(void **state)
{
        char *root = small_host();
        struct vfioctl_ctx *ctx = root_ctx(root);
        struct rlimit before, few;
        bool succeeded = false;

        (void)state;
        root_put(root, "/sys/devices/pci0000:00/0000:00:03.0/class", "0x020000\n");
        root_link(root, "/sys/bus/pci/devices/0000:00:03.0", "../../../devices/pci0000:00/0000:00:03.0");
        root_link(root, "/sys/devices/pci0000:00/0000:00:03.0/driver", "../../../bus/pci/drivers/e1000e");
        root_link(root, "/sys/kernel/iommu_groups/10/devices/0000:00:03.0",
                  "../../../../devices/pci0000:00/0000:00:03.0");
        struct vfioctl_snapshot *right = take(ctx, VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST);
        _cleanup_free_ char *expected = snapshot_dump(right);
        assert_false(vfioctl_gpu_is_ready(right, vfioctl_snapshot_gpu(right, 0)));
        (void)vfioctl_snapshot_free(right);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        for (rlim_t n = 4; n < 24; n++) {
                struct vfioctl_snapshot *snapshot = NULL;
                few = before;
                few.rlim_cur = n;
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
                int r = vfioctl_snapshot_take(ctx, VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST,
                                              &snapshot);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
                if (r < 0)
                        continue;
                _cleanup_free_ char *text = snapshot_dump(snapshot);
                (void)vfioctl_snapshot_free(snapshot);
                succeeded = true;
                if (!util_equal(text, expected))
                        fail_msg("with %d descriptors: %s", (int)n, text);
        }
        assert_true(succeeded);
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
}

static void test_board(void **state)
{
        char *root = root_from_host("x10drh-3xv340", NULL);
        struct vfioctl_ctx *ctx = root_ctx(root);
        const struct vfioctl_gpu *gpu = NULL;

        (void)state;
        struct vfioctl_snapshot *none = take(ctx, 0);
        assert_null(vfioctl_snapshot_host_name(none));
        assert_null(vfioctl_snapshot_board_name(none));
        assert_int_equal(vfioctl_snapshot_node_count(none), 0);
        (void)vfioctl_snapshot_free(none);

        struct vfioctl_snapshot *snapshot = take(ctx, VFIOCTL_SNAPSHOT_BOARD);
        assert_string_equal(vfioctl_snapshot_host_name(snapshot), "x10drh-3xv340");
        assert_string_equal(vfioctl_snapshot_board_name(snapshot), "X10DRH-iT");
        assert_int_equal(vfioctl_snapshot_node_count(snapshot), 2);
        for (size_t i = 0; i < 3; i++) {
                int expected = i < 2 ? (int)i : -1;
                assert_int_equal(vfioctl_snapshot_node_number(snapshot, i), expected);
                assert_int_equal(vfioctl_snapshot_node_package(snapshot, i), expected);
        }
        /* Both dies hang below the switch on the card; what lies above is the board's. */
        assert_int_equal(vfioctl_snapshot_find(snapshot, "1a", &gpu), 0);
        assert_string_equal(vfioctl_gpu_card_address(gpu), "0000:02:00.0");
        assert_int_equal(vfioctl_snapshot_find(snapshot, "1b", &gpu), 0);
        assert_string_equal(vfioctl_gpu_card_address(gpu), "0000:02:00.0");
        (void)vfioctl_snapshot_free(snapshot);
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hosts),           cmocka_unit_test(test_serial),
                cmocka_unit_test(test_errors),          cmocka_unit_test(test_board),
                cmocka_unit_test(test_few_descriptors),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
