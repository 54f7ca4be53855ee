/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "facts.h"
#include "checks/checks.h"
#include "fuzz.h"

/* The same bytes as every file that the host's facts are made of. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const files[] = {
                PATH_MODPROBE_ETC "/a.conf",
                PATH_DRIVERCTL "/pci-0000:06:00.0",
                PATH_PVE_MAPPING,
                PATH_CMDLINE,
                PATH_INTERRUPTS,
                PATH_CPUINFO,
                PATH_NODES_ONLINE,
        };
        static const char *const folders[] = {PATH_MODPROBE_ETC, PATH_DRIVERCTL, PATH_PVE "/mapping",
                                              PATH_PROC, "/sys/devices/system/node"};
        const struct vfioctl_ctx *ctx = fuzz_root(NULL);
        struct vfioctl_snapshot snapshot = {.flags = VFIOCTL_SNAPSHOT_ALL};
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                fuzz_mkdir(folders[i]);
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                fuzz_write(files[i], data, size);
        require(facts_read(ctx, &snapshot) == 0);
        for (size_t i = 0; i < snapshot.facts.n_rivals; i++) {
                require(snapshot.facts.rivals[i].path);
                require(!snapshot.facts.rivals[i].value ||
                        facts_is_printable(snapshot.facts.rivals[i].value));
        }
        require(vfioctl_findings_new(&findings) == 0);
        require(vfioctl_check(&snapshot, NULL, NULL, findings) == 0);
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++)
                require(facts_is_printable(vfioctl_findings_get(findings, i)->text));
        facts_clear(&snapshot.facts);
        return 0;
}
