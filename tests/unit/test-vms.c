/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

static struct vfioctl_function functions[] = {{.address = {.bus = 6}},
                                              {.address = {.bus = 6, .function = 1}}};
static struct vfioctl_function *const gpu_functions[] = {&functions[0], &functions[1]};
static const struct vfioctl_gpu gpu = {.functions = (struct vfioctl_function **)gpu_functions,
                                       .n_functions = 2};
static const struct vfioctl_address addresses[] = {{.bus = 6}, {.bus = 6, .function = 1}, {.bus = 7}};

static struct vfioctl_vms *new_vms(size_t count)
{
        struct vfioctl_vms *vms = NULL;

        assert_int_equal(vfioctl_vms_new(&vms), 0);
        for (size_t i = 0; i < count; i++)
                assert_int_equal(vfioctl_vms_add(vms, "n", "u", i % 2), i);
        return vms;
}

static void assert_gpu(const struct vfioctl_vms *vms, size_t index, bool defines, bool runs)
{
        assert_int_equal(vfioctl_vms_defines_gpu(vms, index, &gpu), defines);
        assert_int_equal(vfioctl_vms_runs_gpu(vms, index, &gpu), runs);
        assert_int_equal(vfioctl_vms_has_gpu(vms, index, &gpu), defines || runs);
}

static void test_devices(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = new_vms(4);

        (void)state;
        for (int again = 0; again < 2; again++) {
                assert_int_equal(vfioctl_vms_add_device(vms, 0, &addresses[0]), 0);
                assert_int_equal(vfioctl_vms_add_running_device(vms, 1, &addresses[1]), 0);
                assert_int_equal(vfioctl_vms_add_device(vms, 2, &addresses[1]), 0);
                assert_int_equal(vfioctl_vms_add_running_device(vms, 2, &addresses[0]), 0);
                assert_int_equal(vfioctl_vms_add_device(vms, 3, &addresses[2]), 0);
                assert_int_equal(vfioctl_vms_add_running_device(vms, 3, &addresses[2]), 0);
        }
        assert_gpu(vms, 0, true, false);
        assert_gpu(vms, 1, false, true);
        assert_gpu(vms, 2, true, true);
        assert_gpu(vms, 3, false, false);
        assert_gpu(vms, 4, false, false);
        assert_true(vfioctl_vms_has_device(vms, 0, &addresses[0]));
        assert_false(vfioctl_vms_has_device(vms, 0, &addresses[1]));
        assert_true(vfioctl_vms_has_device(vms, 1, &addresses[1]));
        assert_true(vfioctl_vms_has_device(vms, 3, &addresses[2]));
        assert_false(vfioctl_vms_has_device(vms, 4, &addresses[2]));
        assert_int_equal(vfioctl_vms_add_device(vms, 4, &addresses[0]), -EINVAL);
        assert_int_equal(vfioctl_vms_add_running_device(vms, SIZE_MAX, &addresses[0]), -EINVAL);
}

static void test_flags(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = new_vms(1);

        (void)state;
        for (unsigned int flags = 0; flags < 8; flags++) {
                assert_int_equal(vfioctl_vms_set_flags(vms, 0, flags), 0);
                assert_int_equal(vfioctl_vms_is_autostart(vms, 0), flags & 1);
                assert_int_equal(vfioctl_vms_has_managed_save(vms, 0), flags >> 1 & 1);
                assert_int_equal(vfioctl_vms_is_transient(vms, 0), flags >> 2 & 1);
        }
        assert_int_equal(vfioctl_vms_set_flags(vms, 1, 7), -EINVAL);
        assert_false(vfioctl_vms_is_autostart(vms, 1));
        assert_false(vfioctl_vms_has_managed_save(vms, 1));
        assert_false(vfioctl_vms_is_transient(vms, 1));
}

static void test_assignments(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = new_vms(2);
        char name[] = "2a", identity[] = "0000 x";
        struct vfioctl_address own[] = {{.bus = 6}, {.bus = 6, .function = 1}};

        (void)state;
        assert_int_equal(vfioctl_vms_assignment_count(vms, 0), 0);
        for (unsigned int i = 0; i < 20; i++) {
                const struct vfioctl_assignment assignment = {name, identity, own, 2, i % 2};
                assert_int_equal(vfioctl_vms_add_assignment(vms, 0, &assignment), 0);
        }
        /* It is a copy. */
        name[0] = identity[0] = 'x';
        own[1] = (struct vfioctl_address){0};
        assert_int_equal(vfioctl_vms_assignment_count(vms, 0), 20);
        for (unsigned int i = 0; i < 20; i++) {
                const struct vfioctl_assignment *got = vfioctl_vms_assignment(vms, 0, i);
                assert_string_equal(got->name, "2a");
                assert_string_equal(got->identity, "0000 x");
                assert_int_equal(got->n_functions, 2);
                assert_int_equal(vfioctl_address_compare(&got->functions[1], &addresses[1]), 0);
                assert_int_equal(got->is_edited, i % 2);
        }
        assert_null(vfioctl_vms_assignment(vms, 0, 20));
        assert_null(vfioctl_vms_assignment(vms, 1, 0));
        assert_null(vfioctl_vms_assignment(vms, 2, 0));
        assert_int_equal(vfioctl_vms_assignment_count(vms, 2), 0);

        const struct vfioctl_assignment empty = {.is_edited = true};
        assert_int_equal(vfioctl_vms_add_assignment(vms, 1, &empty), 0);
        assert_string_equal(vfioctl_vms_assignment(vms, 1, 0)->name, "");
        assert_string_equal(vfioctl_vms_assignment(vms, 1, 0)->identity, "");
        assert_int_equal(vfioctl_vms_assignment(vms, 1, 0)->n_functions, 0);

        const struct vfioctl_assignment many = {.functions = addresses, .n_functions = 9};
        assert_int_equal(vfioctl_vms_add_assignment(vms, 1, &many), -EINVAL);
        assert_int_equal(vfioctl_vms_add_assignment(vms, 2, &empty), -EINVAL);
        /* An assignment alone is no device: the definition may not have it any more. */
        assert_gpu(vms, 0, false, false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_devices),
                cmocka_unit_test(test_flags),
                cmocka_unit_test(test_assignments),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
