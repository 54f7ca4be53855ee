/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "libvfioctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = fuzz_text(data, size);
        struct vfioctl_address address, again;
        char out[VFIOCTL_ADDRESS_SIZE];

        if (vfioctl_address_parse(text, &address) < 0)
                return 0;
        require(address.device < 32 && address.function < 8);
        require(strlen(text) <= 16 && strspn(text, "0123456789abcdefABCDEF:.") == strlen(text));
        require(vfioctl_address_parse(vfioctl_address_format(&address, out), &again) == 0);
        require(vfioctl_address_compare(&address, &again) == 0);
        return 0;
}
