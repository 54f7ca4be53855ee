/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"
#include "runtime.h"
#include "worker.h"

#include <fcntl.h>
#include <unistd.h>

#define CONFIG_SIZE 4096

/* Attributes that anybody's read of takes no lock of the device. */
static const char *const attributes[] = {
        "class",
        "vendor",
        "device",
        "subsystem_vendor",
        "subsystem_device",
        "revision",
        "modalias",
        "resource",
        "numa_node",
        "local_cpulist",
        "irq",
        "enable",
        "boot_vga",
        "reset_method",
        "power_state",
        "d3cold_allowed",
        "ari_enabled",
        "msi_bus",
        "sriov_totalvfs",
        "sriov_offset",
        "sriov_stride",
        "sriov_vf_device",
        "sriov_drivers_autoprobe",
        "current_link_speed",
        "current_link_width",
        "max_link_speed",
        "max_link_width",
        "power/control",
        "power/runtime_status",
        "power/runtime_enabled",
        "power/wakeup",
};

/* And these take it: driver_override_show(), sriov_numvfs_show(). */
static const char *const locked[] = {"driver_override", "sriov_numvfs"};

static const char *const links[] = {"driver", "iommu_group", "iommu", "physfn", "subsystem"};

/* Configuration space is no text, and how much of it is shown depends on who asks. */
static int capture_config_space(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                                const char *folder)
{
        uint8_t bytes[CONFIG_SIZE];
        struct stat status;
        char path[PATH_MAX];
        size_t size = 0;

        if (!path_format(path, "%s/config", folder))
                return 0;
        _cleanup_fd_ int fd = host_open(ctx, path, O_RDONLY | O_NONBLOCK);
        if (fd == -EACCES || fd == -EPERM)
                return capture_mark(capture, path, VFIOCTL_CAPTURED_UNREADABLE);
        if (fd < 0)
                return host_is_shortage(fd) ? fd : 0;
        while (size < sizeof(bytes)) {
                ssize_t n = read(fd, bytes + size, sizeof(bytes) - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                size += (size_t)n;
        }
        int r = redact_config_space(&capture->redaction, bytes, size);
        if (r >= 0)
                r = capture_put_raw(capture, path, bytes, size);
        /* pci_read_config(): without CAP_SYS_ADMIN it ends after 64 bytes, or 128 of a CardBus bridge. */
        if (r >= 0 && size <= 128 && fstat(fd, &status) == 0 && (size_t)status.st_size > size)
                r = capture_mark(capture, path, VFIOCTL_CAPTURED_UNREADABLE);
        return r;
}

static int capture_virtual_functions(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                                     const char *folder)
{
        char path[PATH_MAX], target[PATH_MAX];

        for (unsigned int i = 0;; i++) {
                if (!path_format(path, "%s/virtfn%u", folder, i) ||
                    host_readlink(ctx, path, target, sizeof(target)) < 0)
                        return 0;
                int r = capture_put_link(capture, path, target, REDACT_TEXT);
                if (r < 0)
                        return r;
        }
}

static int capture_function(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                            const char *folder)
{
        char path[PATH_MAX];

        int r = capture_files(ctx, capture, folder, attributes, ELEMENTSOF(attributes));
        if (r >= 0)
                r = capture_config_space(ctx, capture, folder);
        if (r >= 0)
                r = capture_reach(ctx, capture, folder);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(links); i++)
                if (path_format(path, "%s/%s", folder, links[i]))
                        r = capture_link(ctx, capture, path);
        return r < 0 ? r : capture_virtual_functions(ctx, capture, folder);
}

/* ---- what takes the device lock ---- */

struct locked_reads {
        const struct vfioctl_ctx *ctx;
        struct vfioctl_capture *capture;
        const struct names *addresses;
        bool *is_stuck;
};

static bool locked_path(void *userdata, size_t index, char path[PATH_MAX])
{
        struct locked_reads *reads = userdata;
        size_t function = index / ELEMENTSOF(locked);

        /* One deadline a device is enough. */
        return !reads->is_stuck[function] &&
               path_format(path, PATH_PCI_DEVICES "/%s/%s", reads->addresses->items[function],
                           locked[index % ELEMENTSOF(locked)]);
}

static int locked_result(void *userdata, size_t index, int result, char *text)
{
        struct locked_reads *reads = userdata;
        size_t function = index / ELEMENTSOF(locked);
        char path[PATH_MAX], target[PATH_MAX], folder[PATH_MAX];

        if (result == -ETIMEDOUT)
                reads->is_stuck[function] = true;
        if (result < 0 && result != -EACCES && result != -ETIMEDOUT)
                return 0;
        if (!path_format(path, PATH_PCI_DEVICES "/%s", reads->addresses->items[function]) ||
            host_readlink(reads->ctx, path, target, sizeof(target)) < 0 ||
            !capture_device_of(target, folder) ||
            !path_format(path, "%s/%s", folder, locked[index % ELEMENTSOF(locked)]))
                return 0;
        if (result < 0)
                return capture_mark(reads->capture, path,
                                    result == -ETIMEDOUT ? VFIOCTL_CAPTURED_STUCK
                                                         : VFIOCTL_CAPTURED_UNREADABLE);
        return capture_put(reads->capture, path, text, REDACT_TEXT);
}

/* A record of a process that is in no kernel but this one's: runtime_is_stuck() takes such as it stands. */
static int capture_stuck(struct vfioctl_capture *capture, const char *address)
{
        char path[PATH_MAX];

        return path_format(path, PATH_RUN_STUCK "/%s", address)
                       ? capture_put(capture, path, "captured\n", REDACT_TEXT)
                       : 0;
}

static int capture_locked(struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                          const struct names *addresses)
{
        _cleanup_free_ bool *is_stuck = calloc(addresses->count + 1, sizeof(*is_stuck));
        struct locked_reads reads = {
                .ctx = ctx, .capture = capture, .addresses = addresses, .is_stuck = is_stuck};

        if (!is_stuck)
                return -ENOMEM;
        for (size_t i = 0; i < addresses->count; i++)
                is_stuck[i] = runtime_is_stuck(ctx, addresses->items[i]);
        int r = worker_read_many(ctx, addresses->count * ELEMENTSOF(locked), locked_path, locked_result,
                                 &reads, ctx->read_deadline);
        for (size_t i = 0; r >= 0 && i < addresses->count; i++)
                if (is_stuck[i])
                        r = capture_stuck(capture, addresses->items[i]);
        return r;
}

/* ---- the bus ---- */

/* "pci0000:80": what the firmware calls each host bridge is part of an identity. */
static int capture_host_bridge(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                               const char *folder)
{
        static const char *const names[] = {"firmware_node/path", "firmware_node/uid"};

        /* The folder that the link leads to, in its place: it lies outside of all that is taken along. */
        int r = capture_folder(capture, folder);
        return r < 0 ? r : capture_files(ctx, capture, folder, names, ELEMENTSOF(names));
}

/* A VMD's host bridge is below a function of another one. */
static int capture_bridges_above(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                                 const char *folder, char last[PATH_MAX])
{
        char part[PATH_MAX];

        for (const char *at = folder; (at = strstr(at, "/pci")); at++) {
                size_t length = (size_t)(at - folder) + 1 + strcspn(at + 1, "/");
                (void)snprintf(part, sizeof(part), "%.*s", (int)length, folder);
                /* Functions come in the order of their addresses: those of one bridge together. */
                if (!strchr(at, ':') || util_has_prefix(last, part))
                        continue;
                int r = capture_host_bridge(ctx, capture, part);
                if (r < 0)
                        return r;
        }
        (void)snprintf(last, PATH_MAX, "%s", folder);
        return 0;
}

static int capture_functions(struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                             const struct names *addresses)
{
        char path[PATH_MAX], target[PATH_MAX], folder[PATH_MAX], last[PATH_MAX] = "";
        int r = 0;

        for (size_t i = 0; r >= 0 && i < addresses->count; i++) {
                if (!path_format(path, PATH_PCI_DEVICES "/%s", addresses->items[i]) ||
                    host_readlink(ctx, path, target, sizeof(target)) < 0 ||
                    !capture_device_of(target, folder))
                        continue;
                r = capture_put_link(capture, path, target, REDACT_TEXT);
                if (r >= 0)
                        r = capture_bridges_above(ctx, capture, folder, last);
                if (r >= 0)
                        r = capture_function(ctx, capture, folder);
        }
        return r < 0 ? r : capture_locked(ctx, capture, addresses);
}

/* Those without a function count too, for the names of cards. */
static int capture_roots(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, PATH_SYS_DEVICES, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++)
                if (util_has_prefix(names.items[i], "pci") && strchr(names.items[i], ':') &&
                    path_format(path, PATH_SYS_DEVICES "/%s", names.items[i]))
                        r = capture_folder(capture, path);
        return r;
}

static int capture_folders(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, folder, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++)
                if (path_format(path, "%s/%s", folder, names.items[i]))
                        r = capture_folder(capture, path);
        return r;
}

static int capture_groups(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_names_ struct names groups = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, PATH_IOMMU_GROUPS, &groups);
        for (size_t i = 0; r >= 0 && i < groups.count; i++) {
                _cleanup_names_ struct names members = {.count = 0};
                if (path_format(path, PATH_IOMMU_GROUPS "/%s/type", groups.items[i]))
                        r = capture_file(ctx, capture, path, REDACT_TEXT);
                if (r >= 0 && path_format(path, PATH_IOMMU_GROUPS "/%s/devices", groups.items[i]))
                        r = names_read(ctx, path, &members);
                for (size_t k = 0; r >= 0 && k < members.count; k++)
                        if (path_format(path, PATH_IOMMU_GROUPS "/%s/devices/%s", groups.items[i],
                                        members.items[k]))
                                r = capture_link(ctx, capture, path);
        }
        return r;
}

static int capture_slots(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_names_ struct names slots = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, PATH_PCI_SLOTS, &slots);
        for (size_t i = 0; r >= 0 && i < slots.count; i++)
                if (path_format(path, PATH_PCI_SLOTS "/%s/address", slots.items[i]))
                        r = capture_file(ctx, capture, path, REDACT_TEXT);
        return r;
}

int capture_pci(struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_names_ struct names addresses = {.count = 0};

        if (!host_exists(ctx, PATH_PCI_DEVICES))
                return -ENOENT;
        int r = capture_folder(capture, PATH_PCI_DEVICES);
        if (r >= 0)
                r = names_read(ctx, PATH_PCI_DEVICES, &addresses);
        if (r >= 0)
                r = capture_roots(ctx, capture);
        if (r >= 0)
                r = capture_functions(ctx, capture, &addresses);
        if (r >= 0)
                r = capture_groups(ctx, capture);
        if (r >= 0)
                r = capture_slots(ctx, capture);
        if (r >= 0)
                r = capture_drivers(ctx, capture);
        return r < 0 ? r : capture_folders(ctx, capture, PATH_PCI_DRIVERS);
}
