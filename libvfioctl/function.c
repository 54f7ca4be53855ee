/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "function.h"
#include "capability.h"
#include "runtime.h"
#include "worker.h"

#include <ctype.h>

#define FLAG_IO       0x00000100u /* IORESOURCE_*, linux/ioport.h; sysfs `resource` prints them */
#define FLAG_PREFETCH 0x00002000u
#define FLAG_MEM64    0x00100000u

static bool attribute_path(char path[PATH_MAX], const char *address, const char *name)
{
        return path_format(path, PATH_PCI_DEVICES "/%s/%s", address, name);
}

static ssize_t read_attribute(const struct vfioctl_ctx *ctx, const char *address, const char *name,
                              char *buffer, size_t size)
{
        char path[PATH_MAX];

        if (!attribute_path(path, address, name))
                return -ENAMETOOLONG;
        ssize_t length = host_read(ctx, path, buffer, size);
        if (length > 0)
                util_trim(buffer);
        return length;
}

/* Attributes with numbers: "0x1002", "0", "-1". Anything else is not a number, and an error. */
static int read_number(const struct vfioctl_ctx *ctx, const char *address, const char *name, uint64_t maximum,
                       uint64_t *ret)
{
        char text[64];

        ssize_t length = read_attribute(ctx, address, name, text, sizeof(text));
        if (length < 0)
                return (int)length;
        return util_parse_u64(text, 0, maximum, ret);
}

static uint64_t read_number_or(const struct vfioctl_ctx *ctx, const char *address, const char *name,
                               uint64_t maximum, uint64_t fallback)
{
        uint64_t value;

        return read_number(ctx, address, name, maximum, &value) < 0 ? fallback : value;
}

/* A text attribute of one line, made printable: what a broken tree holds must not reach a terminal. */
static int read_line(const struct vfioctl_ctx *ctx, const char *address, const char *name, char **ret)
{
        char text[256];

        ssize_t length = read_attribute(ctx, address, name, text, sizeof(text));
        if (length < 0)
                return (int)length;
        text[strcspn(text, "\n")] = '\0';
        for (char *at = text; *at; at++)
                if (!isprint((unsigned char)*at))
                        *at = '?';
        return *text ? util_copy(text, ret) : -ENODATA;
}

/* Optional text: absent or unreadable is NULL, only want of memory is an error. */
static int read_optional(const struct vfioctl_ctx *ctx, const char *address, const char *name, char **ret)
{
        char *text = NULL;

        int r = read_line(ctx, address, name, &text);
        if (r == -ENOMEM)
                return r;
        free(*ret);
        *ret = text;
        return 0;
}

int function_read_class(const struct vfioctl_ctx *ctx, const char *address, uint32_t *ret)
{
        uint64_t value;

        int r = read_number(ctx, address, "class", 0xffffff, &value);
        if (r < 0)
                return r;
        *ret = (uint32_t)value;
        return 0;
}

/* The last part of a link such as driver -> ../../../bus/pci/drivers/vfio-pci. */
static int read_link_name(const struct vfioctl_ctx *ctx, const char *address, const char *name, char **ret)
{
        char path[PATH_MAX], target[PATH_MAX];

        if (!attribute_path(path, address, name))
                return -ENAMETOOLONG;
        ssize_t length = host_readlink(ctx, path, target, sizeof(target));
        if (length < 0)
                return (int)length;
        const char *last = path_last(target);
        return *last ? util_copy(last, ret) : -ENODATA;
}

static int read_driver(const struct vfioctl_ctx *ctx, struct vfioctl_function *function)
{
        char *driver = NULL;

        int r = read_link_name(ctx, function->text, "driver", &driver);
        if (r == -ENOMEM)
                return r;
        function->driver = driver;
        return 0;
}

static int read_basic(struct vfioctl_ctx *ctx, struct vfioctl_function *function)
{
        _cleanup_free_ char *group = NULL;
        const char *address = function->text;
        uint64_t number;

        int r = function_read_class(ctx, address, &function->class);
        if (r < 0)
                return r;
        /* Base class 0x06 subclass 0x04 and 0x09: PCI-to-PCI bridges (PCI Code and ID Assignment). */
        function->is_bridge = function->class >> 8 == 0x0604 || function->class >> 8 == 0x0609;
        function->vendor = (uint16_t)read_number_or(ctx, address, "vendor", 0xffff, 0);
        function->device = (uint16_t)read_number_or(ctx, address, "device", 0xffff, 0);
        r = read_driver(ctx, function);
        if (r < 0)
                return r;
        function->group = -1;
        r = read_link_name(ctx, address, "iommu_group", &group);
        if (r == -ENOMEM)
                return r;
        if (r >= 0 && util_parse_u64(group, 10, INT32_MAX, &number) == 0)
                function->group = (int)number;
        return 0;
}

static int read_numa_node(const struct vfioctl_ctx *ctx, struct vfioctl_function *function)
{
        uint64_t number;

        /* -1 is the kernel's word for "the firmware did not say". */
        function->numa_node =
                read_number(ctx, function->text, "numa_node", INT32_MAX, &number) < 0 ? -1 : (int)number;
        return 0;
}

/* Enabled VFs show as links virtfn0, virtfn1, ...; sriov_numvfs would have to be read under the device lock.
 */
static unsigned int count_vfs(struct vfioctl_ctx *ctx, struct vfioctl_function *function)
{
        char path[PATH_MAX], text[64];
        uint64_t value;
        unsigned int count = 0;

        while (count < function->vfs_total) {
                if (!path_format(path, PATH_PCI_DEVICES "/%s/virtfn%u", function->text, count) ||
                    host_readlink(ctx, path, path, sizeof(path)) < 0)
                        break;
                count++;
        }
        if (count > 0 || function->is_stuck || !attribute_path(path, function->text, "sriov_numvfs"))
                return count;
        int r = worker_read(ctx, path, text, sizeof(text), ctx->read_deadline);
        if (r == -ETIMEDOUT)
                function->is_stuck = true;
        if (r < 0 || util_parse_u64(util_trim(text), 10, 0xffff, &value) < 0)
                return 0;
        return (unsigned int)value;
}

static int read_override(struct vfioctl_ctx *ctx, struct vfioctl_function *function)
{
        char path[PATH_MAX], text[256];

        if (function->is_stuck || !attribute_path(path, function->text, "driver_override"))
                return 0;
        int r = worker_read(ctx, path, text, sizeof(text), ctx->read_deadline);
        if (r == -ETIMEDOUT) {
                function->is_stuck = true;
                return 0;
        }
        if (r < 0)
                return 0;
        function->driver_override_known = true;
        util_trim(text);
        /* driver_override_show() prints "(null)" for none. */
        if (!*text || util_equal(text, "(null)"))
                return 0;
        return util_copy(text, &function->driver_override);
}

/* The driver to come back to, while it is loaded. */
static int read_host_driver(const struct vfioctl_ctx *ctx, struct vfioctl_function *function)
{
        _cleanup_free_ char *driver = NULL;
        char path[PATH_MAX];

        int r = runtime_host_driver(ctx, function->text, &driver);
        if (r == -ENOMEM)
                return r;
        if (r >= 0 && path_format(path, PATH_PCI_DRIVERS "/%s", driver) && host_exists(ctx, path))
                function->host_driver = util_steal(driver);
        return 0;
}

static int read_gpu(struct vfioctl_ctx *ctx, struct vfioctl_function *function)
{
        const char *address = function->text;
        char path[PATH_MAX];

        function->has_gpu_detail = true;
        function->subsystem_vendor = (uint16_t)read_number_or(ctx, address, "subsystem_vendor", 0xffff, 0);
        function->subsystem_device = (uint16_t)read_number_or(ctx, address, "subsystem_device", 0xffff, 0);
        function->revision = (uint8_t)read_number_or(ctx, address, "revision", 0xff, 0);
        function->is_boot_vga = read_number_or(ctx, address, "boot_vga", 1, 0) == 1;
        function->vfs_total = (unsigned int)read_number_or(ctx, address, "sriov_totalvfs", 0xffff, 0);
        if (attribute_path(path, address, "physfn") && host_readlink(ctx, path, path, sizeof(path)) > 0)
                function->is_virtual = true;
        /* These files exist for PCI Express functions only, and anybody may see that:
         * pcie_dev_attrs_are_visible(). */
        if (function->pcie_type == VFIOCTL_PCIE_UNKNOWN && attribute_path(path, address, "max_link_width") &&
            !host_exists(ctx, path))
                function->pcie_type = VFIOCTL_PCIE_CONVENTIONAL;
        (void)read_numa_node(ctx, function);
        function->is_stuck = runtime_is_stuck(ctx, address);
        int r = read_override(ctx, function);
        if (r < 0)
                return r;
        if (function->vfs_total > 0)
                function->vfs_enabled = count_vfs(ctx, function);
        r = read_host_driver(ctx, function);
        if (r < 0)
                return r;
        return read_optional(ctx, address, "modalias", &function->modalias);
}

/* One "start end flags" line a BAR: six, the ROM, then bridge windows that are of no concern here. */
static void read_bars(const struct vfioctl_ctx *ctx, struct vfioctl_function *function)
{
        char text[ATTRIBUTE_MAX], *rest = NULL;

        if (read_attribute(ctx, function->text, "resource", text, sizeof(text)) < 0)
                return;
        char *line = strtok_r(text, "\n", &rest);
        for (size_t i = 0; i < VFIOCTL_BAR_COUNT && line; i++, line = strtok_r(NULL, "\n", &rest)) {
                unsigned long long start, end, flags;
                if (sscanf(line, "%llx %llx %llx", &start, &end, &flags) != 3 || end < start || end == 0)
                        continue;
                function->bars[i] = (struct vfioctl_bar){.start = start,
                                                         .size = end - start + 1,
                                                         .is_io = flags & FLAG_IO,
                                                         .is_64bit = flags & FLAG_MEM64,
                                                         .is_prefetchable = flags & FLAG_PREFETCH};
        }
}

static int read_detail(struct vfioctl_ctx *ctx, struct vfioctl_function *function)
{
        const char *address = function->text;
        char path[PATH_MAX];

        function->has_detail = true;
        read_bars(ctx, function);
        function->revision = (uint8_t)read_number_or(ctx, address, "revision", 0xff, 0);
        (void)read_numa_node(ctx, function);
        if (attribute_path(path, address, "config"))
                capability_read(ctx, path, function);
        int r = read_optional(ctx, address, "reset_method", &function->reset_method);
        if (r < 0)
                return r;
        return read_optional(ctx, address, "power_state", &function->power_state);
}

struct vfioctl_function *function_free(struct vfioctl_function *function)
{
        if (!function)
                return NULL;
        free(function->driver);
        free(function->driver_override);
        free(function->reset_method);
        free(function->power_state);
        free(function->modalias);
        free(function->name);
        free(function->host_use);
        free(function->host_driver);
        free(function);
        return NULL;
}

DEFINE_CLEANUP(struct vfioctl_function, function_free)

static int insert_function(struct vfioctl_snapshot *snapshot, struct vfioctl_function *function)
{
        int r = util_grow(&snapshot->functions, &snapshot->allocated_functions, snapshot->n_functions + 1,
                          sizeof(*snapshot->functions));
        if (r < 0)
                return r;
        size_t at = snapshot->n_functions;
        while (at > 0 &&
               vfioctl_address_compare(&snapshot->functions[at - 1]->address, &function->address) > 0) {
                snapshot->functions[at] = snapshot->functions[at - 1];
                at--;
        }
        snapshot->functions[at] = function;
        snapshot->n_functions++;
        return 0;
}

int snapshot_load_function(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot,
                           const struct vfioctl_address *address, enum function_level level,
                           struct vfioctl_function **ret)
{
        struct vfioctl_function *function = snapshot_function(snapshot, address);
        int r;

        if (!function) {
                _cleanup_(function_freep) struct vfioctl_function *fresh = calloc(1, sizeof(*fresh));
                if (!fresh)
                        return -ENOMEM;
                fresh->address = *address;
                fresh->numa_node = -1;
                fresh->pcie_type = VFIOCTL_PCIE_UNKNOWN;
                vfioctl_address_format(address, fresh->text);
                r = read_basic(ctx, fresh);
                if (r < 0)
                        return r;
                r = insert_function(snapshot, fresh);
                if (r < 0)
                        return r;
                function = util_steal(fresh);
        }
        if (level >= FUNCTION_GPU && !function->has_gpu_detail) {
                r = read_gpu(ctx, function);
                if (r < 0)
                        return r;
        }
        if (level >= FUNCTION_DETAIL && !function->has_detail) {
                r = read_detail(ctx, function);
                if (r < 0)
                        return r;
        }
        *ret = function;
        return 0;
}
