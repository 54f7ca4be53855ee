/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "function.h"
#include "capability.h"
#include "lock.h"
#include "runtime.h"
#include "worker.h"

#include <fcntl.h>
#include <unistd.h>

#define FLAG_IO       0x00000100u /* IORESOURCE_*, linux/ioport.h; sysfs `resource` prints them */
#define FLAG_PREFETCH 0x00002000u
#define FLAG_MEM64    0x00100000u
#define FLAG_UNSET    0x20000000u

/*
 * Attributes are opened in the device's folder, once it is open: one step for the kernel, where the whole
 * path has a dozen. They are plain files, so no link is followed.
 */
static ssize_t read_attribute(int dir, const char *name, char *buffer, size_t size)
{
        ssize_t length;

        _cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        do
                length = read(fd, buffer, size - 1);
        while (length < 0 && errno == EINTR);
        if (length < 0)
                return -errno;
        buffer[length] = '\0';
        util_trim(buffer);
        return length;
}

static bool has_attribute(int dir, const char *name)
{
        return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Attributes with numbers: "0x1002", "0", "-1". Anything else is not a number, and an error. */
static int read_number(int dir, const char *name, uint64_t maximum, uint64_t *ret)
{
        char text[64];

        ssize_t length = read_attribute(dir, name, text, sizeof(text));
        if (length < 0)
                return (int)length;
        return util_parse_u64(text, 0, maximum, ret);
}

static uint64_t read_number_or(int dir, const char *name, uint64_t maximum, uint64_t fallback)
{
        uint64_t value;

        return read_number(dir, name, maximum, &value) < 0 ? fallback : value;
}

/* A text attribute of one line, made printable: what a broken tree holds must not reach a terminal. */
static int read_line(int dir, const char *name, char **ret)
{
        char text[256];

        ssize_t length = read_attribute(dir, name, text, sizeof(text));
        if (length < 0)
                return (int)length;
        text[strcspn(text, "\n")] = '\0';
        util_make_printable(text);
        return *text ? util_copy(text, ret) : -ENODATA;
}

/* Optional text: absent or unreadable is NULL, only want of memory is an error. */
static int read_optional(int dir, const char *name, char **ret)
{
        char *text = NULL;

        int r = read_line(dir, name, &text);
        if (r == -ENOMEM)
                return r;
        free(*ret);
        *ret = text;
        return 0;
}

static int parse_class(const char *text, uint32_t *ret)
{
        uint64_t value;

        int r = util_parse_u64(text, 0, 0xffffff, &value);
        if (r < 0)
                return r;
        *ret = (uint32_t)value;
        return 0;
}

int function_read_class(const struct vfioctl_ctx *ctx, const char *address, uint32_t *ret)
{
        char path[PATH_MAX], text[64];

        if (!path_format(path, PATH_PCI_DEVICES "/%s/class", address))
                return -ENAMETOOLONG;
        ssize_t length = host_read(ctx, path, text, sizeof(text));
        return length < 0 ? (int)length : parse_class(util_trim(text), ret);
}

/* The last part of a link such as driver -> ../../../bus/pci/drivers/vfio-pci. */
static int read_link_name(int dir, const char *name, char **ret)
{
        char target[PATH_MAX];

        ssize_t length = readlinkat(dir, name, target, sizeof(target) - 1);
        if (length < 0)
                return -errno;
        target[length] = '\0';
        const char *last = path_last(target);
        return *last ? util_copy(last, ret) : -ENODATA;
}

static int read_basic(int dir, struct vfioctl_function *function)
{
        _cleanup_free_ char *group = NULL;
        char class[64];
        uint64_t number;

        ssize_t length = read_attribute(dir, "class", class, sizeof(class));
        if (length < 0)
                return (int)length;
        int r = parse_class(class, &function->class);
        if (r < 0)
                return r;
        /* Base class 0x06 subclass 0x04 and 0x09: PCI-to-PCI bridges (PCI Code and ID Assignment). */
        function->is_bridge = function->class >> 8 == 0x0604 || function->class >> 8 == 0x0609;
        function->vendor = (uint16_t)read_number_or(dir, "vendor", 0xffff, 0);
        function->device = (uint16_t)read_number_or(dir, "device", 0xffff, 0);
        r = read_link_name(dir, "driver", &function->driver);
        if (r == -ENOMEM)
                return r;
        function->group = -1;
        r = read_link_name(dir, "iommu_group", &group);
        if (r == -ENOMEM)
                return r;
        if (r >= 0 && util_parse_u64(group, 10, INT32_MAX, &number) == 0)
                function->group = (int)number;
        return 0;
}

static int read_numa_node(int dir)
{
        uint64_t number;

        /* -1 is the kernel's word for "the firmware did not say". */
        return read_number(dir, "numa_node", INT32_MAX, &number) < 0 ? -1 : (int)number;
}

/* Enabled VFs show as links virtfn0, virtfn1, ...: that takes no lock, as reading sriov_numvfs does. */
static unsigned int count_vfs(int dir, unsigned int total)
{
        unsigned int count = 0;
        char name[32], target[8];

        while (count < total) {
                (void)snprintf(name, sizeof(name), "virtfn%u", count);
                if (readlinkat(dir, name, target, sizeof(target)) < 0)
                        break;
                count++;
        }
        return count;
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

static void read_ids(int dir, struct vfioctl_function *function)
{
        if (function->has_ids)
                return;
        function->has_ids = true;
        function->vendor = (uint16_t)read_number_or(dir, "vendor", 0xffff, 0);
        function->device = (uint16_t)read_number_or(dir, "device", 0xffff, 0);
        function->revision = (uint8_t)read_number_or(dir, "revision", 0xff, 0);
        function->numa_node = read_numa_node(dir);
}

/* These files exist for PCI Express functions only, and anybody may see that: pcie_dev_attrs_are_visible().
 */
static void read_kind(int dir, struct vfioctl_function *function)
{
        char target[8];

        function->is_virtual = readlinkat(dir, "physfn", target, sizeof(target)) > 0;
        if (function->pcie_type == VFIOCTL_PCIE_UNKNOWN && !has_attribute(dir, "max_link_width"))
                function->pcie_type = VFIOCTL_PCIE_CONVENTIONAL;
}

static int read_gpu(struct vfioctl_ctx *ctx, int dir, struct vfioctl_function *function, bool has_run)
{
        function->has_gpu_detail = true;
        read_ids(dir, function);
        read_kind(dir, function);
        function->subsystem_vendor = (uint16_t)read_number_or(dir, "subsystem_vendor", 0xffff, 0);
        function->subsystem_device = (uint16_t)read_number_or(dir, "subsystem_device", 0xffff, 0);
        function->revision = (uint8_t)read_number_or(dir, "revision", 0xff, 0);
        function->vfs_total = (unsigned int)read_number_or(dir, "sriov_totalvfs", 0xffff, 0);
        if (function->class >> 8 == 0x0300)
                function->is_boot_vga = read_number_or(dir, "boot_vga", 1, 0) == 1;
        /* These files exist for PCI Express functions only, and anybody may see that:
         * pcie_dev_attrs_are_visible(). */
        if (function->pcie_type == VFIOCTL_PCIE_UNKNOWN && !has_attribute(dir, "max_link_width"))
                function->pcie_type = VFIOCTL_PCIE_CONVENTIONAL;
        function->numa_node = read_numa_node(dir);
        function->vfs_enabled = count_vfs(dir, function->vfs_total);
        if (has_run) {
                function->is_stuck = runtime_is_stuck(ctx, function->text);
                int r = read_host_driver(ctx, function);
                if (r < 0)
                        return r;
        }
        return read_optional(dir, "modalias", &function->modalias);
}

/*
 * Whether the register says that there is a memory BAR: the kernel forgets one that it found no room for
 * (reset_resource()), but its kind stays readable. Of a plain 32-bit one nothing does. The upper half of a
 * 64-bit BAR is no BAR.
 */
static bool bar_is_memory(const struct vfioctl_function *function, size_t index)
{
        const uint32_t *registers = function->bar_registers;

        if (index > 0 && (registers[index - 1] & 0x7) == 0x4)
                return false;
        return !(registers[index] & 0x1) && (registers[index] & 0xe) != 0;
}

/* One "start end flags" line a BAR: six, the ROM, then bridge windows that are of no concern here. */
static void read_bars(int dir, struct vfioctl_function *function)
{
        char text[ATTRIBUTE_MAX], *rest = NULL;

        if (read_attribute(dir, "resource", text, sizeof(text)) < 0)
                return;
        char *line = strtok_r(text, "\n", &rest);
        for (size_t i = 0; i < VFIOCTL_BAR_COUNT && line; i++, line = strtok_r(NULL, "\n", &rest)) {
                unsigned long long start, end, flags;
                if (sscanf(line, "%llx %llx %llx", &start, &end, &flags) != 3)
                        continue;
                if (i < 6 && (flags & FLAG_UNSET || (flags == 0 && bar_is_memory(function, i))))
                        function->bars_unset |= (uint8_t)(1u << i);
                if (end < start || end == 0)
                        continue;
                function->bars[i] = (struct vfioctl_bar){.start = start,
                                                         .size = end - start + 1,
                                                         .is_io = flags & FLAG_IO,
                                                         .is_64bit = flags & FLAG_MEM64,
                                                         .is_prefetchable = flags & FLAG_PREFETCH};
        }
}

/* "8.0 GT/s PCIe" is 8000 MT/s; "Unknown" is 0. */
static unsigned int read_speed(int dir, const char *name)
{
        char text[64];
        unsigned int whole, tenths = 0;

        if (read_attribute(dir, name, text, sizeof(text)) < 0 || sscanf(text, "%4u.%1u", &whole, &tenths) < 1)
                return 0;
        return whole * 1000 + tenths * 100;
}

/* The kernel prints 255 for a width that it does not know. */
static unsigned int read_width(int dir, const char *name)
{
        uint64_t width = read_number_or(dir, name, 255, 0);

        return width > 32 ? 0 : (unsigned int)width;
}

static void read_link(int dir, struct vfioctl_function *function)
{
        function->link.width = read_width(dir, "current_link_width");
        if (function->link.width == 0 && !has_attribute(dir, "max_link_width"))
                return;
        function->link.max_width = read_width(dir, "max_link_width");
        function->link.speed = read_speed(dir, "current_link_speed");
        function->link.max_speed = read_speed(dir, "max_link_speed");
}

static int read_detail(int dir, struct vfioctl_function *function)
{
        function->has_detail = true;
        capability_read(dir, function);
        read_bars(dir, function);
        read_link(dir, function);
        read_ids(dir, function);
        int r = read_optional(dir, "reset_method", &function->reset_method);
        return r < 0 ? r : read_optional(dir, "power_state", &function->power_state);
}

static enum setting_state read_setting(int dir, const char *name)
{
        uint64_t value;

        if (read_number(dir, name, 1, &value) < 0)
                return SETTING_UNKNOWN;
        return value ? SETTING_ON : SETTING_OFF;
}

/* The state after the configuration space: reading that wakes a function which can wake. */
static int read_change(const struct vfioctl_ctx *ctx, int dir, struct vfioctl_function *function,
                       bool has_holds)
{
        int r = 0;

        function->has_change = true;
        if (!function->has_detail) {
                read_ids(dir, function);
                capability_read_header(dir, function);
                r = function->is_bridge ? 0 : read_optional(dir, "reset_method", &function->reset_method);
                if (r >= 0)
                        r = read_optional(dir, "power_state", &function->power_state);
        }
        if (r >= 0)
                r = read_optional(dir, "power/control", &function->power_control);
        function->d3cold = read_setting(dir, "d3cold_allowed");
        if (r >= 0 && has_holds)
                r = runtime_read_hold(ctx, function->text, &function->hold.text);
        return r < 0 || !function->hold.text ? r : hold_parse(function);
}

struct vfioctl_function *function_free(struct vfioctl_function *function)
{
        if (!function)
                return NULL;
        free(function->driver);
        free(function->driver_override);
        free(function->reset_method);
        free(function->power_state);
        free(function->power_control);
        hold_clear(&function->hold);
        free(function->modalias);
        free(function->name);
        free(function->host_use);
        free(function->framebuffer);
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

static int load_fresh(int dir, struct vfioctl_snapshot *snapshot, const struct vfioctl_address *address,
                      struct vfioctl_function **ret)
{
        _cleanup_(function_freep) struct vfioctl_function *fresh = calloc(1, sizeof(*fresh));
        if (!fresh)
                return -ENOMEM;
        fresh->address = *address;
        fresh->numa_node = -1;
        fresh->pcie_type = VFIOCTL_PCIE_UNKNOWN;
        vfioctl_address_format(address, fresh->text);
        int r = read_basic(dir, fresh);
        if (r >= 0)
                r = insert_function(snapshot, fresh);
        if (r < 0)
                return r;
        *ret = util_steal(fresh);
        return 0;
}

int snapshot_load_function(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot,
                           const struct vfioctl_address *address, unsigned int parts,
                           struct vfioctl_function **ret)
{
        struct vfioctl_function *function = snapshot_function(snapshot, address);
        char path[PATH_MAX], text[VFIOCTL_ADDRESS_SIZE];
        int r = 0;

        bool wants_gpu = parts & FUNCTION_GPU && !(function && function->has_gpu_detail);
        bool wants_detail = parts & FUNCTION_DETAIL && !(function && function->has_detail);
        bool wants_kind = parts & FUNCTION_KIND && !function;
        bool wants_ids = parts & FUNCTION_IDS && !(function && function->has_ids);
        bool wants_change = parts & FUNCTION_CHANGE && !(function && function->has_change);
        if (function && !wants_gpu && !wants_detail && !wants_ids && !wants_change) {
                *ret = function;
                return 0;
        }
        if (!path_format(path, PATH_PCI_DEVICES "/%s", vfioctl_address_format(address, text)))
                return -ENAMETOOLONG;
        _cleanup_fd_ int dir = host_open(ctx, path, O_PATH | O_DIRECTORY);
        if (dir < 0)
                return dir;
        if (!function)
                r = load_fresh(dir, snapshot, address, &function);
        if (r >= 0 && wants_kind)
                read_kind(dir, function);
        if (r >= 0 && wants_ids)
                read_ids(dir, function);
        if (r >= 0 && wants_gpu)
                r = read_gpu(ctx, dir, function, snapshot->has_run);
        if (r >= 0 && wants_detail)
                r = read_detail(dir, function);
        if (r >= 0 && wants_change)
                r = read_change(ctx, dir, function, snapshot->has_holds);
        if (r < 0)
                return r;
        *ret = function;
        return 0;
}

/* ---- what takes the device lock ---- */

struct locked_read {
        struct vfioctl_function *function;
        bool is_numvfs; /* sriov_numvfs, else driver_override */
};

static bool locked_path(void *userdata, size_t index, char path[PATH_MAX])
{
        const struct locked_read *read = (const struct locked_read *)userdata + index;

        /* One deadline a device is enough. */
        return !read->function->is_stuck && path_format(path, PATH_PCI_DEVICES "/%s/%s", read->function->text,
                                                        read->is_numvfs ? "sriov_numvfs" : "driver_override");
}

static int locked_result(void *userdata, size_t index, int result, char *text)
{
        const struct locked_read *read = (const struct locked_read *)userdata + index;
        struct vfioctl_function *function = read->function;
        uint64_t value;

        if (result == -ETIMEDOUT)
                function->is_stuck = true;
        if (result < 0)
                return 0;
        util_trim(text);
        if (read->is_numvfs) {
                if (util_parse_u64(text, 10, 0xffff, &value) == 0)
                        function->vfs_enabled = (unsigned int)value;
                return 0;
        }
        function->driver_override_known = true;
        /* driver_override_show() prints "(null)" for none. */
        if (!*text || util_equal(text, "(null)"))
                return 0;
        return util_copy(text, &function->driver_override);
}

int functions_read_locked(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        _cleanup_free_ struct locked_read *reads = calloc(2 * snapshot->n_functions + 1, sizeof(*reads));
        size_t count = 0;

        if (!reads)
                return -ENOMEM;
        for (size_t i = 0; i < snapshot->n_functions; i++) {
                struct vfioctl_function *function = snapshot->functions[i];
                if (!function->gpu || !function->has_gpu_detail || function->is_stuck)
                        continue;
                reads[count++] = (struct locked_read){.function = function};
                /* A live host shows VFs by their links; a captured tree may have lost those. */
                if (!ctx->is_live && function->vfs_total > 0 && function->vfs_enabled == 0)
                        reads[count++] = (struct locked_read){.function = function, .is_numvfs = true};
        }
        int r = worker_read_many(ctx, count, locked_path, locked_result, reads, ctx->read_deadline);
        /* Some drivers take seconds to bind or unbind: whoever is to change the GPU meanwhile waits for the
         * lock. */
        for (size_t i = 0; i < count; i++) {
                struct vfioctl_function *function = reads[i].function;
                if (function->is_stuck && lock_is_held(ctx, function->gpu->functions[0]->text))
                        function->is_stuck = false;
        }
        return r;
}
