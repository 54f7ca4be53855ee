/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources.h"
#include "fuzz.h"
#include "host.h"

/* The same bytes as every file that tells of processors and memory; then VMs are placed there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const folders[] = {PATH_CPUS "/cpu0/topology",
                                              PATH_CPUS "/cpu1/topology",
                                              PATH_NODES "/node0/hugepages/hugepages-2048kB",
                                              PATH_NODES "/node1",
                                              PATH_SYS_DEVICES "/cpu_atom",
                                              PATH_PROC};
        static const char *const files[] = {PATH_CPUS_ONLINE,
                                            PATH_CPUS_ISOLATED,
                                            PATH_CPUS_SMALL,
                                            PATH_CPUS "/cpu0/topology/core_cpus_list",
                                            PATH_CPUS "/cpu1/topology/thread_siblings_list",
                                            PATH_NODES "/node0/cpulist",
                                            PATH_NODES "/node1/cpulist",
                                            PATH_NODES "/node0/meminfo",
                                            PATH_NODES "/node0/hugepages/hugepages-2048kB/nr_hugepages",
                                            PATH_NODES "/node0/hugepages/hugepages-2048kB/free_hugepages",
                                            PATH_CPUINFO,
                                            PATH_MEMINFO};
        const struct vfioctl_ctx *ctx = fuzz_root(NULL);
        struct vfioctl_snapshot snapshot = {.flags = VFIOCTL_SNAPSHOT_ALL};
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        struct vfioctl_fit *fit = NULL;
        struct vfioctl_node_left left;
        struct cpu_set used = {.words = {0}};

        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                fuzz_mkdir(folders[i]);
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                fuzz_write(files[i], data, size);
        require(resources_read(ctx, &snapshot) == 0);
        for (size_t i = 0; i < snapshot.resources.n_cores; i++)
                for (unsigned int k = 0; k < snapshot.resources.cores[i].n_cpus; k++) {
                        require(!cpu_set_has(&used, snapshot.resources.cores[i].cpus[k]));
                        cpu_set_add(&used, snapshot.resources.cores[i].cpus[k]);
                }
        require(vfioctl_findings_new(&findings) == 0);
        require(vfioctl_fit_new(&snapshot, NULL,
                                &(struct vfioctl_fit_request){
                                        .vms = 3, .vcpus = 2, .memory = 1024, .with_fallback = true},
                                findings, &fit) == 0);
        require(vfioctl_fit_count(fit) == 3 || vfioctl_findings_have_refusal(findings));
        for (size_t i = 0; vfioctl_fit_node(fit, i, &left); i++)
                require(left.free_memory + left.host_memory <= left.memory);
        (void)vfioctl_fit_free(fit);
        resources_clear(&snapshot.resources);
        return 0;
}
