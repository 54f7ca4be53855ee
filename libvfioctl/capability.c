/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capability.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <unistd.h>

#define CONFIG_SIZE 4096

struct config {
        uint8_t bytes[CONFIG_SIZE];
        size_t size;
};

static uint32_t get(const struct config *config, size_t offset, size_t width)
{
        uint32_t value = 0;

        if (offset + width > config->size)
                return 0;
        for (size_t i = 0; i < width; i++)
                value |= (uint32_t)config->bytes[offset + i] << (8 * i);
        return value;
}

/* Chains in a broken device may loop: no list is longer than the space holds entries. */
static size_t find_capability(const struct config *config, uint8_t id)
{
        if (!(get(config, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
                return 0;
        size_t at = get(config, PCI_CAPABILITY_LIST, 1) & ~3u;
        for (size_t left = (256 - 64) / 4; at >= 64 && left > 0; left--) {
                if (get(config, at, 1) == id)
                        return at;
                at = get(config, at + 1, 1) & ~3u;
        }
        return 0;
}

static size_t find_extended(const struct config *config, uint16_t id)
{
        size_t at = 256;

        for (size_t left = (CONFIG_SIZE - 256) / 8; at >= 256 && left > 0; left--) {
                uint32_t header = get(config, at, 4);
                if (header == 0 || header == 0xffffffffu)
                        return 0;
                if (PCI_EXT_CAP_ID(header) == id)
                        return at;
                at = PCI_EXT_CAP_NEXT(header);
        }
        return 0;
}

static void read_express(const struct config *config, struct vfioctl_function *function)
{
        size_t express = find_capability(config, PCI_CAP_ID_EXP);
        if (express == 0) {
                /* 64 bytes are what anybody may read; the list itself lies beyond. */
                if (config->size > 64)
                        function->pcie_type = VFIOCTL_PCIE_CONVENTIONAL;
                return;
        }
        uint32_t flags = get(config, express + PCI_EXP_FLAGS, 2);
        function->pcie_type = (enum vfioctl_pcie_type)((flags & PCI_EXP_FLAGS_TYPE) >> 4);
        if (config->size <= 256)
                return;
        function->acs_known = true;
        size_t acs = find_extended(config, PCI_EXT_CAP_ID_ACS);
        if (acs) {
                function->has_acs = true;
                function->acs_cap = (uint16_t)get(config, acs + PCI_ACS_CAP, 2);
                function->acs_ctl = (uint16_t)get(config, acs + PCI_ACS_CTRL, 2);
        }
        size_t serial = find_extended(config, PCI_EXT_CAP_ID_DSN);
        if (serial)
                function->serial = (uint64_t)get(config, serial + 8, 4) << 32 | get(config, serial + 4, 4);
}

static void read_config(int dir, size_t limit, struct config *config)
{
        config->size = 0;
        _cleanup_fd_ int fd = openat(dir, "config", O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return;
        while (config->size < limit) {
                ssize_t n = read(fd, config->bytes + config->size, limit - config->size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                config->size += (size_t)n;
        }
}

/* What nobody answers reads as ones; a virtual function has no vendor of its own: SR-IOV, 9.3.4.1.1. */
static bool read_header(const struct config *config, struct vfioctl_function *function)
{
        if (config->size < 64)
                return false;
        function->is_silent = !function->is_virtual && get(config, PCI_VENDOR_ID, 2) == 0xffff;
        if (function->is_silent)
                return false;
        function->is_multifunction = get(config, PCI_HEADER_TYPE, 1) & 0x80;
        if ((get(config, PCI_HEADER_TYPE, 1) & 0x7f) == PCI_HEADER_TYPE_BRIDGE) {
                function->secondary_bus = (uint8_t)get(config, PCI_SECONDARY_BUS, 1);
                function->subordinate_bus = (uint8_t)get(config, PCI_SUBORDINATE_BUS, 1);
        } else {
                for (size_t i = 0; i < ELEMENTSOF(function->bar_registers); i++)
                        function->bar_registers[i] = get(config, PCI_BASE_ADDRESS_0 + 4 * i, 4);
        }
        return true;
}

void capability_read_header(int dir, struct vfioctl_function *function)
{
        struct config config;

        read_config(dir, 64, &config);
        (void)read_header(&config, function);
}

void capability_read(int dir, struct vfioctl_function *function)
{
        struct config config;

        read_config(dir, CONFIG_SIZE, &config);
        if (read_header(&config, function))
                read_express(&config, function);
}
