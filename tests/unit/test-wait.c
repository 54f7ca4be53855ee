/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "wait.h"
#include "worker.h"

#define GPU    "0000:06:00.0"
#define FOLDER "/sys/bus/pci/devices/" GPU

/* A read that takes the device lock may hang: then this says so. */
int __real_worker_read(struct vfioctl_ctx *ctx, const char *path, char *buffer, size_t size,
                       unsigned int deadline);
int __wrap_worker_read(struct vfioctl_ctx *ctx, const char *path, char *buffer, size_t size,
                       unsigned int deadline);

static bool hangs;
static char *root;
static struct vfioctl_ctx *ctx;

int __wrap_worker_read(struct vfioctl_ctx *context, const char *path, char *buffer, size_t size,
                       unsigned int deadline)
{
        return hangs ? -ETIMEDOUT : __real_worker_read(context, path, buffer, size, deadline);
}

static int wait_kind(enum wait_kind kind, const char *value)
{
        _cleanup_free_ char *copy = NULL;

        assert_int_equal(util_copy(value, &copy), 0);
        return wait_for(ctx, GPU, 10, &(struct wait){.kind = kind, .value = copy});
}

static void test_driver(void **state)
{
        (void)state;
        root_mkdir(root, FOLDER);
        assert_int_equal(wait_kind(WAIT_NONE, NULL), 0);
        assert_int_equal(wait_kind(WAIT_NO_DRIVER, NULL), 0);
        /* No driver that takes it is an end, too: a GPU may have none on this host. */
        assert_int_equal(wait_kind(WAIT_ANY_DRIVER, NULL), 0);
        assert_int_equal(wait_kind(WAIT_DRIVER, "amdgpu"), -ETIME);
        root_link(root, FOLDER "/driver", "../../drivers/amdgpu");
        assert_int_equal(wait_kind(WAIT_DRIVER, "amdgpu"), 0);
        assert_int_equal(wait_kind(WAIT_DRIVER, "amdgp"), -ETIME);
        assert_int_equal(wait_kind(WAIT_ANY_DRIVER, NULL), 0);
        assert_int_equal(wait_kind(WAIT_NO_DRIVER, NULL), -ETIME);
        root_link(root, FOLDER "/driver", "../../drivers/vfio-pci");
        assert_int_equal(wait_kind(WAIT_ANY_DRIVER, NULL), -ETIME);
        /* A driver is a link: anything else is an error and no answer. */
        root_unlink(root, FOLDER "/driver");
        root_put(root, FOLDER "/driver", "amdgpu");
        assert_int_equal(wait_kind(WAIT_NO_DRIVER, NULL), -EINVAL);
}

static void test_group_node(void **state)
{
        (void)state;
        root_link(root, FOLDER "/driver", "../../drivers/vfio-pci");
        assert_int_equal(wait_kind(WAIT_GROUP_NODE, VFIO_DRIVER), -ETIME);
        root_put(root, "/dev/vfio/11", "%s", "");
        assert_int_equal(wait_kind(WAIT_GROUP_NODE, VFIO_DRIVER), -ETIME);
        root_put(root, "/dev/vfio/10", "%s", "");
        assert_int_equal(wait_kind(WAIT_GROUP_NODE, VFIO_DRIVER), 0);
        /* The node alone, left over from another function of the group, is not enough. */
        root_link(root, FOLDER "/driver", "../../drivers/amdgpu");
        assert_int_equal(wait_kind(WAIT_GROUP_NODE, VFIO_DRIVER), -ETIME);
        /* A kernel without groups. */
        root_link(root, FOLDER "/driver", "../../drivers/vfio-pci");
        root_unlink(root, "/dev/vfio/10");
        root_mkdir(root, FOLDER "/vfio-dev");
        assert_int_equal(wait_kind(WAIT_GROUP_NODE, VFIO_DRIVER), 0);
}

static void test_override(void **state)
{
        static const char *const none[] = {"(null)\n", "\n", ""};
        char *text = (char *)(uintptr_t)0x1;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(none); i++) {
                root_put(root, FOLDER "/driver_override", "%s", none[i]);
                assert_int_equal(wait_kind(WAIT_OVERRIDE, NULL), 0);
                assert_int_equal(wait_kind(WAIT_OVERRIDE, VFIO_DRIVER), -ETIME);
        }
        root_put(root, FOLDER "/driver_override", "vfio-pci\n");
        assert_int_equal(wait_kind(WAIT_OVERRIDE, VFIO_DRIVER), 0);
        assert_int_equal(wait_kind(WAIT_OVERRIDE, "vfio"), -ETIME);
        assert_int_equal(wait_kind(WAIT_OVERRIDE, NULL), -ETIME);
        hangs = true;
        assert_int_equal(wait_kind(WAIT_OVERRIDE, VFIO_DRIVER), -ETIMEDOUT);
        /* A link is read without the lock, so this one still answers. */
        assert_int_equal(wait_kind(WAIT_NO_DRIVER, NULL), 0);
        assert_int_equal(wait_read_override(ctx, GPU, &text), -ETIMEDOUT);
        assert_ptr_equal(text, (char *)(uintptr_t)0x1);
        hangs = false;
        root_unlink(root, FOLDER "/driver_override");
        assert_int_equal(wait_kind(WAIT_OVERRIDE, NULL), -ENOENT);
}

/* A function that is gone has no driver to wait for, and is not "without a driver". */
static void test_gone(void **state)
{
        (void)state;
        assert_int_equal(wait_kind(WAIT_DRIVER, "amdgpu"), -ENODEV);
        assert_int_equal(wait_kind(WAIT_NO_DRIVER, NULL), -ENODEV);
        assert_int_equal(wait_kind(WAIT_ANY_DRIVER, NULL), -ENODEV);
}

static int set_up(void **state)
{
        (void)state;
        root = root_new();
        ctx = root_ctx(root);
        hangs = false;
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_driver, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_group_node, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_override, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_gone, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
