/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libvfioctl.h"
#include "util.h"

#include <ctype.h>

/* Reads `min` to `max` hex digits; returns what follows them, or NULL. */
static const char *hex_field(const char *text, size_t min, size_t max, uint32_t *ret)
{
        uint32_t value = 0;
        size_t n = 0;

        for (; n < max && isxdigit((unsigned char)text[n]); n++) {
                int c = tolower((unsigned char)text[n]);
                value = value << 4 | (uint32_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
        }
        if (n < min)
                return NULL;
        *ret = value;
        return text + n;
}

VFIOCTL_EXPORT int vfioctl_address_parse(const char *text, struct vfioctl_address *ret)
{
        uint32_t domain = 0, bus, device, function;
        const char *at = text;

        /* With a domain there are two colons; sysfs writes it with at least four digits. */
        const char *colon = strchr(at, ':');
        if (colon && strchr(colon + 1, ':')) {
                at = hex_field(at, 4, 8, &domain);
                if (!at || *at++ != ':')
                        return -EINVAL;
        }
        at = hex_field(at, 2, 2, &bus);
        if (!at || *at++ != ':')
                return -EINVAL;
        at = hex_field(at, 2, 2, &device);
        if (!at || *at++ != '.' || device > 31)
                return -EINVAL;
        at = hex_field(at, 1, 1, &function);
        if (!at || *at || function > 7)
                return -EINVAL;
        *ret = (struct vfioctl_address){.domain = domain,
                                        .bus = (uint8_t)bus,
                                        .device = (uint8_t)device,
                                        .function = (uint8_t)function};
        return 0;
}

VFIOCTL_EXPORT const char *vfioctl_address_format(const struct vfioctl_address *address,
                                                  char buffer[VFIOCTL_ADDRESS_SIZE])
{
        snprintf(buffer, VFIOCTL_ADDRESS_SIZE, "%04x:%02x:%02x.%x", address->domain, address->bus,
                 address->device & 31u, address->function & 7u);
        return buffer;
}

VFIOCTL_EXPORT int vfioctl_address_compare(const struct vfioctl_address *a, const struct vfioctl_address *b)
{
        if (a->domain != b->domain)
                return a->domain < b->domain ? -1 : 1;
        if (a->bus != b->bus)
                return a->bus - b->bus;
        if (a->device != b->device)
                return a->device - b->device;
        return a->function - b->function;
}
