/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"

/* What others have set that concerns GPUs: modprobe.d(5), driverctl, Proxmox; and what is installed for VMs.
 */

static void reduce_modprobe(char *line, char *out, size_t size)
{
        if (line[strspn(line, " \t")] != '#' && (strstr(line, "vfio") || strstr(line, "vendor")))
                (void)snprintf(out, size, "%.900s\n", line);
}

/* VMs have names, networks and disks there: only what passes devices through stays. */
static void reduce_proxmox(char *line, char *out, size_t size)
{
        const char *at = line + strspn(line, " \t");

        if (util_has_prefix(at, "hostpci") || util_has_prefix(at, "map "))
                (void)snprintf(out, size, "%.900s\n", line);
}

static void keep_line(char *line, char *out, size_t size)
{
        (void)snprintf(out, size, "%.900s\n", line);
}

static int capture_folder_of(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture,
                             const char *folder, const char *end, reduce_fn reduce)
{
        _cleanup_names_ struct names names = {.count = 0};
        char path[PATH_MAX];

        int r = names_read(ctx, folder, &names);
        for (size_t i = 0; r >= 0 && i < names.count; i++) {
                size_t length = strlen(names.items[i]), n = strlen(end);
                if (length >= n && util_equal(names.items[i] + length - n, end) &&
                    path_format(path, "%s/%s", folder, names.items[i]))
                        r = capture_table(ctx, capture, path, reduce);
        }
        return r;
}

/* That firmware for VMs is there; of what else is there nothing is said. */
static int capture_ovmf(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const folders[] = {"/usr/share/OVMF", "/usr/share/edk2/ovmf",
                                              "/usr/share/edk2/x64", "/usr/share/qemu",
                                              "/usr/share/qemu/firmware"};
        int r = host_exists(ctx, "/usr/share") ? capture_folder(capture, "/usr/share") : 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(folders); i++) {
                _cleanup_names_ struct names names = {.count = 0};
                char path[PATH_MAX];
                r = names_read(ctx, folders[i], &names);
                for (size_t k = 0; r >= 0 && k < names.count; k++)
                        if ((strstr(names.items[k], "OVMF") || strstr(names.items[k], "ovmf") ||
                             strstr(names.items[k], "edk2")) &&
                            path_format(path, "%s/%s", folders[i], names.items[k]))
                                r = capture_presence(ctx, capture, path);
        }
        return r;
}

int capture_rivals(const struct vfioctl_ctx *ctx, struct vfioctl_capture *capture)
{
        static const char *const modprobe[] = {"/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d",
                                               "/lib/modprobe.d"};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(modprobe); i++)
                r = capture_folder_of(ctx, capture, modprobe[i], ".conf", reduce_modprobe);
        if (r >= 0)
                r = capture_folder_of(ctx, capture, "/etc/driverctl.d", "", keep_line);
        if (r >= 0)
                r = capture_folder_of(ctx, capture, "/etc/pve/mapping", "pci.cfg", reduce_proxmox);
        if (r >= 0)
                r = capture_folder_of(ctx, capture, "/etc/pve/qemu-server", ".conf", reduce_proxmox);
        return r < 0 ? r : capture_ovmf(ctx, capture);
}
