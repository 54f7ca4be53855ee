/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel.h"
#include "runtime.h"
#include "worker.h"

#define PORT "pci0000:00/0000:00:02.0"

int __wrap_worker_write(struct vfioctl_ctx *ctx, const char *path, const char *value, unsigned int deadline);
int __wrap_worker_load(struct vfioctl_ctx *ctx, const char *module, unsigned int deadline);

struct kernel kernel;

void put_override(const char *address, const char *value)
{
        char path[PATH_MAX];

        assert_true(path_format(path, "/sys/devices/" PORT "/%s/driver_override", address));
        root_put(kernel.root, path, "%s\n", *value ? value : "(null)");
}

static bool get_driver(const char *address, char driver[64])
{
        char path[PATH_MAX], target[PATH_MAX];

        assert_true(path_format(path, "/sys/devices/" PORT "/%s/driver", address));
        if (host_readlink(kernel.ctx, path, target, sizeof(target)) < 0)
                return false;
        (void)snprintf(driver, 64, "%s", path_last(target));
        return true;
}

void set_driver(const char *address, const char *driver)
{
        char path[PATH_MAX], target[PATH_MAX], old[64];

        assert_true(path_format(path, "/sys/devices/" PORT "/%s/driver", address));
        if (get_driver(address, old))
                root_unlink(kernel.root, path);
        if (!driver)
                return;
        assert_true(path_format(target, "../../../../bus/pci/drivers/%s", driver));
        root_link(kernel.root, path, target);
        if (util_equal(driver, VFIO_DRIVER))
                root_put(kernel.root, "/dev/vfio/10", "%s", "");
}

static int probe(const char *address)
{
        char path[PATH_MAX], text[64], driver[64];

        if (get_driver(address, driver))
                return 0;
        assert_true(path_format(path, "/sys/devices/" PORT "/%s/driver_override", address));
        assert_true(host_read(kernel.ctx, path, text, sizeof(text)) > 0);
        util_trim(text);
        if (util_equal(text, VFIO_DRIVER) && !kernel.has_vfio)
                return 0;
        if (util_equal(text, "(null)"))
                (void)snprintf(text, sizeof(text), "%s",
                               util_equal(address, GPU) ? "amdgpu" : "snd_hda_intel");
        set_driver(address, text);
        return 0;
}

static int unbind(const char *path, const char *value)
{
        char driver[64], expected[PATH_MAX];

        if (!get_driver(value, driver))
                return util_has_prefix(path, PATH_PCI_DEVICES) ? -ENOENT : -ENODEV;
        assert_true(path_format(expected, PATH_PCI_DRIVERS "/%s/unbind", driver));
        if (util_has_prefix(path, PATH_PCI_DRIVERS) && !util_equal(path, expected))
                return -ENODEV;
        set_driver(value, NULL);
        return 0;
}

int __wrap_worker_write(struct vfioctl_ctx *ctx, const char *path, const char *value, unsigned int deadline)
{
        char address[VFIOCTL_ADDRESS_SIZE];
        unsigned int n = ++kernel.writes;

        assert_ptr_equal(ctx, kernel.ctx);
        assert_int_equal(deadline, ctx->step_deadline);
        assert_true(n < ELEMENTSOF(kernel.faults));
        if (n == kernel.meddle_at)
                put_override(GPU, "theirs");
        int fault = kernel.from && n >= kernel.from ? kernel.faults[0] : kernel.faults[n];
        if (fault)
                return fault == SILENT ? 0 : fault;
        if (util_equal(path, PATH_PCI_PROBE))
                return probe(value);
        if (util_equal(path_last(path), "unbind"))
                return unbind(path, value);
        assert_string_equal(path_last(path), "driver_override");
        (void)snprintf(address, sizeof(address), "%.12s", path + strlen(PATH_PCI_DEVICES "/"));
        put_override(address, value);
        return 0;
}

int __wrap_worker_load(struct vfioctl_ctx *ctx, const char *module, unsigned int deadline)
{
        (void)ctx, (void)deadline;
        kernel.loads++;
        if (kernel.load_result == 0 && util_equal(module, VFIO_DRIVER)) {
                kernel.has_vfio = true;
                root_put(kernel.root, PATH_PCI_DRIVERS "/" VFIO_DRIVER "/unbind", "%s", "");
        }
        return kernel.load_result;
}

void boot(bool on_vfio)
{
        const char *driver = on_vfio ? VFIO_DRIVER : NULL;
        struct root_function port = {.address = "0000:00:02.0",
                                     .above = "pci0000:00",
                                     .vendor = 0x8086,
                                     .class = 0x060400,
                                     .type = 4,
                                     .group = 1,
                                     .acs_cap = 0x1d,
                                     .acs_ctl = 0x1d},
                             gpu = {.address = GPU,
                                    .above = PORT,
                                    .vendor = 0x1002,
                                    .device = 0x6864,
                                    .class = 0x030000,
                                    .driver = driver ? driver : "amdgpu",
                                    .group = 10},
                             audio = {.address = AUDIO,
                                      .above = PORT,
                                      .vendor = 0x1002,
                                      .device = 1,
                                      .class = 0x040300,
                                      .driver = driver ? driver : "snd_hda_intel",
                                      .group = 10};

        memset(&kernel, 0, sizeof(kernel));
        kernel.root = root_new();
        root_add(kernel.root, &port);
        root_add(kernel.root, &gpu);
        root_add(kernel.root, &audio);
        root_put(kernel.root, PATH_PCI_PROBE, "%s", "");
        root_put(kernel.root, PATH_PCI_DRIVERS "/amdgpu/unbind", "%s", "");
        root_put(kernel.root, PATH_PCI_DRIVERS "/snd_hda_intel/unbind", "%s", "");
        if (on_vfio)
                root_put(kernel.root, PATH_PCI_DRIVERS "/" VFIO_DRIVER "/unbind", "%s", "");
        root_mkdir(kernel.root, "/run");
        kernel.ctx = root_ctx(kernel.root);
        kernel.has_vfio = on_vfio;
        if (!on_vfio)
                return;
        root_put(kernel.root, "/dev/vfio/10", "%s", "");
        put_override(GPU, VFIO_DRIVER);
        put_override(AUDIO, VFIO_DRIVER);
        assert_int_equal(runtime_record_host_driver(kernel.ctx, GPU, "amdgpu"), 0);
        assert_int_equal(runtime_record_host_driver(kernel.ctx, AUDIO, "snd_hda_intel"), 0);
}

void halt(void)
{
        kernel.ctx = vfioctl_ctx_free(kernel.ctx);
        root_free(kernel.root);
}

char *state_text(void)
{
        static const char *const addresses[] = {GPU, AUDIO};
        char *text = NULL;

        for (size_t i = 0; i < 2; i++) {
                char path[PATH_MAX], override[64], driver[64] = "-", *longer;
                assert_true(path_format(path, "/sys/devices/" PORT "/%s/driver_override", addresses[i]));
                assert_true(host_read(kernel.ctx, path, override, sizeof(override)) > 0);
                (void)get_driver(addresses[i], driver);
                assert_int_equal(util_format(&longer, "%s%s %s %s;", text ? text : "", addresses[i], driver,
                                             util_trim(override)),
                                 0);
                free(text);
                text = longer;
        }
        return text;
}
