/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"

/* The host around the PCI functions: what uses them, where they sit, and the kernel. */

#define TABLE_LIMIT (4 * 1024 * 1024)

/* ---- classes ---- */

/* Each of a class, as the link that it is; `prefix` NULL: all. */
static int capture_class(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder,
                         const char *prefix)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, folder, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++)
                if ((!prefix || util_has_prefix(names.items[i], prefix)) &&
                    path_format(path, "%s/%s", folder, names.items[i]))
                        r = capture_link(ctx, capture, path);
        return r;
}

/* What a device is stacked on: links in slaves/ of a block device, links lower_NAME of an interface. */
static int capture_stack(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder,
                         const char *name, bool is_block)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX], target[PATH_MAX], device[PATH_MAX];

        if (!path_format(path, "%s/%s", folder, name) ||
            host_readlink(ctx, path, target, sizeof(target)) < 0 || !capture_device_of(target, device) ||
            !path_format(path, is_block ? "%s/slaves" : "%s", device))
                return 0;
        /* So that the link of the class leads somewhere. */
        int r = capture_folder(capture, device);
        if (r >= 0)
                r = names_read(ctx, path, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++) {
                char link[PATH_MAX];
                if ((is_block || util_has_prefix(names.items[i], "lower_")) &&
                    path_format(link, "%s/%s", path, names.items[i]))
                        r = capture_link(ctx, capture, link);
        }
        return r;
}

static int capture_stacks(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture, const char *folder,
                          bool is_block)
{
        _cleanup_names_ struct names names = {.count = 0};

        int r = capture_class(ctx, capture, folder, NULL);
        if (r >= 0)
                r = names_read(ctx, folder, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++)
                r = capture_stack(ctx, capture, folder, names.items[i], is_block);
        return r;
}

static int capture_consoles(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const attributes[] = {"name", "bind"};
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, PATH_CLASS_VTCONSOLE, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++)
                if (path_format(path, PATH_CLASS_VTCONSOLE "/%s", names.items[i]))
                        r = capture_files(ctx, capture, path, attributes, ELEMENTSOF(attributes));
        return r < 0 ? r : capture_class(ctx, capture, PATH_CLASS_GRAPHICS, "fb");
}

/* Each unit, with the registers that tell what it can do. */
static int capture_iommus(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const attributes[] = {"intel-iommu/cap", "intel-iommu/ecap", "intel-iommu/version",
                                                 "amd-iommu/cap", "amd-iommu/features"};
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, PATH_CLASS_IOMMU, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++) {
                if (!path_format(path, PATH_CLASS_IOMMU "/%s", names.items[i]))
                        continue;
                /* The folder in place of the link: nothing asks where a unit is. */
                r = capture_folder(capture, path);
                if (r >= 0)
                        r = capture_files(ctx, capture, path, attributes, ELEMENTSOF(attributes));
        }
        return r;
}

/* ---- tables of the kernel, without what is about people and networks ---- */

/* proc(5), mountinfo: what is on a block device, and of that where and which. */
static void reduce_mount(char *line, char *out, size_t size)
{
        char device[32], mount_point[256], type[64], source[256];
        const char *tail = strstr(line, " - ");

        if (!tail || sscanf(line, "%*s %*s %31s %*s %255s", device, mount_point) != 2 ||
            sscanf(tail, " - %63s %255s", type, source) != 2)
                return;
        if (util_has_prefix(device, "0:") && !util_has_prefix(source, PATH_DEV "/"))
                return;
        (void)snprintf(out, size, "1 1 %s / %s rw - %s %s rw\n", device, mount_point, type,
                       util_has_prefix(source, PATH_DEV "/") ? source : "none");
}

static void reduce_swap(char *line, char *out, size_t size)
{
        char file[256], type[32];

        if (sscanf(line, "%255s %31s", file, type) != 2 ||
            (!util_has_prefix(file, PATH_DEV "/") && !util_equal(file, "Filename")))
                return;
        (void)snprintf(out, size, "%s %s 0 0 0\n", file, type);
}

static void reduce_route4(char *line, char *out, size_t size)
{
        char name[32];
        unsigned int destination, mask;

        if (util_has_prefix(line, "Iface"))
                (void)snprintf(out, size, "%s\n", line);
        else if (sscanf(line, "%31s %x %*x %*x %*d %*d %*d %x", name, &destination, &mask) == 3 &&
                 !destination && !mask)
                (void)snprintf(out, size, "%s\t00000000\t00000000\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", name);
}

static void reduce_route6(char *line, char *out, size_t size)
{
        char destination[40], length[8], flags[16], name[32];
        static const char none[] = "00000000000000000000000000000000";

        if (sscanf(line, "%39s %7s %*s %*s %*s %*s %*s %*s %15s %31s", destination, length, flags, name) ==
                    4 &&
            util_equal(destination, none) && util_equal(length, "00"))
                (void)snprintf(out, size, "%s 00 %s 00 %s 00000000 00000000 00000000 %s %s\n", none, none,
                               none, flags, name);
}

/* Where /dev/mapper/root and its like lead: mountinfo has the link's name. */
static int capture_mappings(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, PATH_DEV "/mapper", &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++)
                if (path_format(path, PATH_DEV "/mapper/%s", names.items[i]))
                        r = capture_link(ctx, capture, path);
        return r;
}

static int capture_command_line(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_free_ char *text = NULL, *shown = NULL;

        int r = host_read_file(ctx, PATH_CMDLINE, TABLE_LIMIT, &text, NULL);
        if (r >= 0)
                r = redact_cmdline(&capture->redaction, text, &shown);
        if (r < 0)
                return host_is_shortage(r) ? r : 0;
        return capture_put(capture, PATH_CMDLINE, shown, REDACT_NAMES);
}

static int capture_needs(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        int r = capture_stacks(ctx, capture, PATH_CLASS_BLOCK, true);

        if (r >= 0)
                r = capture_class(ctx, capture, PATH_SYS_DEV_BLOCK, NULL);
        if (r >= 0)
                r = capture_mappings(ctx, capture);
        if (r >= 0)
                r = capture_stacks(ctx, capture, PATH_CLASS_NET, false);
        if (r >= 0)
                r = capture_table(ctx, capture, PATH_MOUNTINFO, reduce_mount);
        if (r >= 0)
                r = capture_table(ctx, capture, PATH_SWAPS, reduce_swap);
        if (r >= 0)
                r = capture_table(ctx, capture, PATH_ROUTE4, reduce_route4);
        return r < 0 ? r : capture_table(ctx, capture, PATH_ROUTE6, reduce_route6);
}

/* ---- the board ---- */

static int capture_board(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        _cleanup_free_ char *table = NULL;
        _cleanup_free_ uint8_t *kept = NULL;
        size_t size = 0, kept_size = 0;

        int r = host_read_file(ctx, PATH_DMI_TABLE, TABLE_LIMIT, &table, &size);
        if (r == -EACCES || r == -EPERM)
                return capture_mark(capture, PATH_DMI_TABLE, VFIOCTL_CAPTURED_UNREADABLE);
        if (r < 0)
                return host_is_shortage(r) ? r : 0;
        r = redact_dmi(&capture->redaction, (const uint8_t *)table, size, &kept, &kept_size);
        return r < 0 ? r : capture_put_raw(capture, PATH_DMI_TABLE, kept, kept_size);
}

/* ---- modules ---- */

static bool is_module_of_ours(const char *name)
{
        static const char *const starts[] = {"vfio", "kvm", "iommufd", "pci_stub", "vendor_reset"};

        for (size_t i = 0; i < ELEMENTSOF(starts); i++)
                if (util_has_prefix(name, starts[i]))
                        return true;
        return false;
}

static int capture_modules(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const files[] = {"initstate", "version"};
        _cleanup_names_ struct names modules = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, PATH_MODULE, &modules);
        for (size_t i = 0; r >= 0 && i < modules.count; i++) {
                _cleanup_names_ struct names parameters = {.count = 0};
                if (!is_module_of_ours(modules.items[i]) ||
                    !path_format(path, PATH_MODULE "/%s", modules.items[i]))
                        continue;
                r = capture_folder(capture, path);
                if (r >= 0)
                        r = capture_files(ctx, capture, path, files, ELEMENTSOF(files));
                if (r >= 0 && path_format(path, PATH_MODULE "/%s/parameters", modules.items[i]))
                        r = names_read(ctx, path, &parameters);
                if (r >= 0)
                        r = capture_files(ctx, capture, path, (const char *const *)parameters.items,
                                          parameters.count);
        }
        return r;
}

/* ---- what the firmware and the kernel say of interrupts, memory and tables ---- */

/* Whether they are remapped is told by the names of the controllers. */
static void reduce_interrupt(char *line, char *out, size_t size)
{
        if (strstr(line, " IR-"))
                (void)snprintf(out, size, " IR-IO-APIC\n");
        else if (strstr(line, " IO-APIC"))
                (void)snprintf(out, size, " IO-APIC\n");
}

/* Framebuffers that the firmware made: efifb.c, vesafb.c, simplefb.c, simpledrm.c, sysfb. */
static void reduce_memory(char *line, char *out, size_t size)
{
        const char *name = strstr(line, " : ");

        if (name && (strstr(name, "efifb") || strstr(name, "vesafb") || strstr(name, "BOOTFB") ||
                     strstr(name, "simple")))
                (void)snprintf(out, size, "%s\n", line);
}

static int capture_firmware(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const tables[] = {"DMAR", "IVRS"};
        char path[PATH_MAX];

        int r = capture_table(ctx, capture, PATH_PROC "/interrupts", reduce_interrupt);
        if (r >= 0)
                r = capture_table(ctx, capture, PATH_PROC "/iomem", reduce_memory);
        if (r >= 0 && host_exists(ctx, PATH_SYS "/firmware/acpi/tables"))
                r = capture_folder(capture, PATH_SYS "/firmware/acpi/tables");
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(tables); i++)
                if (path_format(path, PATH_SYS "/firmware/acpi/tables/%s", tables[i]))
                        r = capture_presence(ctx, capture, path);
        if (r >= 0)
                r = capture_file(ctx, capture, PATH_BOARD_NAME, REDACT_NAMES);
        return r < 0 ? r : capture_file(ctx, capture, PATH_SYS "/fs/selinux/enforce", REDACT_TEXT);
}

int capture_around(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static int (*const parts[])(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture) = {
                capture_consoles, capture_iommus,  capture_needs,        capture_resources,
                capture_board,    capture_modules, capture_command_line, capture_firmware,
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(parts); i++)
                r = parts[i](ctx, capture);
        /* What the host calls itself is its name and nothing else. */
        if (r >= 0 && capture->redaction.is_off)
                r = capture_file(ctx, capture, PATH_HOSTNAME, REDACT_TEXT);
        return r < 0 ? r : capture_file(ctx, capture, PATH_OSRELEASE, REDACT_TEXT);
}
