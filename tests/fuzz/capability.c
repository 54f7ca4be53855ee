/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "capability.h"

#include <fcntl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vfioctl_function function = {.pcie_type = VFIOCTL_PCIE_UNKNOWN};
        const struct vfioctl_ctx *ctx = fuzz_root(NULL);

        fuzz_mkdir("/device");
        fuzz_write("/device/config", data, size);
        _cleanup_fd_ int dir = host_open(ctx, "/device", O_PATH | O_DIRECTORY);
        require(dir >= 0);
        capability_read(dir, &function);
        require(!function.has_acs || function.acs_known);
        require(!function.acs_known || size > 256);
        require(function.pcie_type == VFIOCTL_PCIE_UNKNOWN || size > 64);
        require(vfioctl_pcie_type_name(function.pcie_type) != NULL);
        (void)function_lacks_acs(&function, true);
        (void)function_lacks_acs(&function, false);
        return 0;
}
