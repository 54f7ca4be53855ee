// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Holds a device open until SIGTERM, in the ways that programs do:
 *   hold fd PATH                      an open device node
 *   hold map PATH                     only a mapping: the descriptor is closed
 *   hold vfio GROUP ADDRESS           container, group and device
 *   hold vfio-device GROUP ADDRESS    only the device's descriptor
 * Prints "holding" when it does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_SIZE 4096

/* From the kernel's drm.h, drm_mode.h and virtgpu_drm.h: libdrm is not needed for this. */
struct drm_dumb {
        uint32_t height, width, bpp, flags, handle, pitch;
        uint64_t size;
};
struct drm_dumb_map {
        uint32_t handle, pad;
        uint64_t offset;
};
struct virtgpu_create {
        uint32_t target, format, bind, width, height, depth, array_size, last_level, nr_samples, flags;
        uint32_t bo_handle, res_handle, size, stride;
};
struct virtgpu_map {
        uint64_t offset;
        uint32_t handle, pad;
};
#define DRM_CREATE_DUMB _IOWR('d', 0xB2, struct drm_dumb)
#define DRM_MAP_DUMB    _IOWR('d', 0xB3, struct drm_dumb_map)
#define VIRTGPU_MAP     _IOWR('d', 0x41, struct virtgpu_map)
#define VIRTGPU_CREATE  _IOWR('d', 0x44, struct virtgpu_create)

static _Noreturn void die(const char *what)
{
        fprintf(stderr, "hold: %s: %s\n", what, strerror(errno));
        exit(1);
}

static _Noreturn void wait_for_term(void)
{
        sigset_t mask;
        int sig;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        puts("holding");
        fflush(stdout);
        sigwait(&mask, &sig);
        exit(0);
}

static int must_open(const char *path, int flags)
{
        int fd = open(path, flags | O_CLOEXEC);

        if (fd < 0)
                die(path);
        return fd;
}

/* Where in a DRM node a buffer can be mapped: card nodes have dumb ones, virtio's render nodes their own. */
static off_t drm_buffer(int fd)
{
        struct drm_dumb dumb = {.height = 32, .width = 32, .bpp = 32};
        struct drm_dumb_map dumb_map = {0};
        struct virtgpu_create create = {.target = 2,
                                        .format = 1,
                                        .bind = 2,
                                        .width = 32,
                                        .height = 32,
                                        .depth = 1,
                                        .array_size = 1,
                                        .size = MAP_SIZE};
        struct virtgpu_map map = {0};

        if (ioctl(fd, DRM_CREATE_DUMB, &dumb) == 0) {
                dumb_map.handle = dumb.handle;
                if (ioctl(fd, DRM_MAP_DUMB, &dumb_map))
                        die("DRM_IOCTL_MODE_MAP_DUMB");
                return dumb_map.offset;
        }
        if (ioctl(fd, VIRTGPU_CREATE, &create))
                die("no buffer to map (dumb or virtio)");
        map.handle = create.bo_handle;
        if (ioctl(fd, VIRTGPU_MAP, &map))
                die("DRM_IOCTL_VIRTGPU_MAP");
        return map.offset;
}

static void hold_map(const char *path)
{
        int fd = must_open(path, O_RDWR);
        off_t offset = strstr(path, "/dri/") ? drm_buffer(fd) : 0;
        volatile char *p = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

        if (p == MAP_FAILED)
                die("mmap");
        p[0] = 1;
        close(fd);
}

static void hold_vfio(const char *group_name, const char *address, int device_only)
{
        struct vfio_group_status status = {.argsz = sizeof(status)};
        char path[64];
        int container = must_open("/dev/vfio/vfio", O_RDWR), group, device;

        snprintf(path, sizeof(path), "/dev/vfio/%s", group_name);
        group = must_open(path, O_RDWR);
        if (ioctl(group, VFIO_GROUP_GET_STATUS, &status))
                die("VFIO_GROUP_GET_STATUS");
        if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
                fprintf(stderr, "hold: group %s is not viable\n", group_name);
                exit(1);
        }
        if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
                die("VFIO_GROUP_SET_CONTAINER");
        if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
                die("VFIO_SET_IOMMU");
        device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
        if (device < 0)
                die("VFIO_GROUP_GET_DEVICE_FD");
        if (device_only) {
                close(group);
                close(container);
        }
}

int main(int argc, char **argv)
{
        const char *mode = argc > 1 ? argv[1] : "";

        if (argc == 3 && strcmp(mode, "fd") == 0) {
                must_open(argv[2], O_RDWR);
        } else if (argc == 3 && strcmp(mode, "map") == 0) {
                hold_map(argv[2]);
        } else if (argc == 4 && (strcmp(mode, "vfio") == 0 || strcmp(mode, "vfio-device") == 0)) {
                hold_vfio(argv[2], argv[3], strcmp(mode, "vfio-device") == 0);
        } else {
                fprintf(stderr, "usage: hold fd|map PATH | hold vfio|vfio-device GROUP ADDRESS\n");
                return 2;
        }
        wait_for_term();
}
