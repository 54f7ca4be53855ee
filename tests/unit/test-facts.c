/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "facts.h"

static char *root;
static struct vfioctl_ctx *ctx;
static struct vfioctl_snapshot snapshot;

static const struct host_facts *look(void)
{
        facts_clear(&snapshot.facts);
        memset(&snapshot, 0, sizeof(snapshot));
        assert_int_equal(facts_read(ctx, &snapshot), 0);
        return &snapshot.facts;
}

/* An empty tree says nothing, and nothing is guessed. */
static void test_nothing(void **state)
{
        (void)state;
        const struct host_facts *facts = look();
        assert_null(facts->kernel);
        assert_null(facts->next_kernel);
        assert_null(facts->cmdline);
        assert_int_equal(facts->iommu, IOMMU_OTHER);
        assert_int_equal(facts->has_iommu_table, FACT_UNKNOWN);
        assert_int_equal(facts->remaps_interrupts, FACT_UNKNOWN);
        assert_int_equal(facts->allows_unsafe_interrupts, FACT_UNKNOWN);
        assert_int_equal(facts->vfio, MODULE_UNKNOWN);
        assert_int_equal(facts->has_ovmf, FACT_UNKNOWN);
        assert_int_equal(facts->n_nodes, 0);
        assert_int_equal(facts->n_rivals, 0);
        assert_false(facts->rivals_unseen);
}

static void test_kernels(void **state)
{
        (void)state;
        root_put(root, PATH_OSRELEASE, "6.9.3-1\n");
        root_put(root, PATH_CMDLINE, "ro \033[31m quiet\n");
        for (int i = 0; i < 2; i++) {
                const char *kernel = i == 0 ? "6.10.1-1" : "6.2.0";
                char path[PATH_MAX];
                assert_true(path_format(path, PATH_LIB_MODULES "/%s/modules.dep", kernel));
                root_put(root, path, "kernel/drivers/vfio/vfio.ko:\n");
                assert_true(path_format(path, PATH_BOOT "/vmlinuz-%s", kernel));
                root_put(root, path, "x");
        }
        root_put(root, PATH_LIB_MODULES "/6.10.1-1/modules.builtin", "kernel/fs/fuse/fuse.ko\n");
        /* Not to be booted: no image. */
        root_put(root, PATH_LIB_MODULES "/7.0/modules.dep", "x");
        const struct host_facts *facts = look();
        assert_string_equal(facts->kernel, "6.9.3-1");
        assert_string_equal(facts->next_kernel, "6.10.1-1");
        assert_string_equal(facts->cmdline, "ro ?[31m quiet");
        assert_int_equal(facts->vfio, MODULE_UNKNOWN);
        assert_int_equal(facts->next_vfio, MODULE_MISSING);
        root_put(root, PATH_LIB_MODULES "/6.9.3-1/modules.dep", "updates/vfio-pci.ko.zst: x\n");
        root_put(root, PATH_LIB_MODULES "/6.10.1-1/modules.builtin", "kernel/drivers/vfio/pci/vfio-pci.ko\n");
        facts = look();
        assert_int_equal(facts->vfio, MODULE_LOADABLE);
        assert_int_equal(facts->next_vfio, MODULE_BUILTIN);
}

static void test_iommu(void **state)
{
        (void)state;
        root_put(root, PATH_CPUINFO, "vendor_id\t: AuthenticAMD\n");
        assert_int_equal(look()->iommu, IOMMU_AMD);
        root_put(root, PATH_ACPI_TABLES "/FACP", "x");
        assert_int_equal(look()->has_iommu_table, FACT_NO);
        /* The table is of the IOMMU, the processor may be an emulated one. */
        root_put(root, PATH_ACPI_TABLES "/DMAR", "x");
        const struct host_facts *facts = look();
        assert_int_equal(facts->has_iommu_table, FACT_YES);
        assert_int_equal(facts->iommu, IOMMU_INTEL);
        root_put(root, PATH_INTERRUPTS, "  CPU0\n  0:  42  IO-APIC   2-edge      timer\n");
        assert_int_equal(look()->remaps_interrupts, FACT_NO);
        root_put(root, PATH_INTERRUPTS, "  CPU0\n  0:  42  IR-IO-APIC   2-edge      timer\n");
        assert_int_equal(look()->remaps_interrupts, FACT_YES);
        root_put(root, PATH_INTERRUPTS, "  CPU0\n  0:  42  GICv3 27 Level  arch_timer\n");
        assert_int_equal(look()->remaps_interrupts, FACT_UNKNOWN);
        root_put(root, PATH_CLASS_IOMMU "/dmar0/intel-iommu/ecap", "f020df\n");
        assert_int_equal(look()->remaps_interrupts, FACT_UNKNOWN);
        root_put(root, PATH_CLASS_IOMMU "/dmar1/intel-iommu/ecap", "f020d7\n");
        assert_int_equal(look()->remaps_interrupts, FACT_NO);
        root_put(root, PATH_UNSAFE, "N\n");
        assert_int_equal(look()->allows_unsafe_interrupts, FACT_NO);
        root_put(root, PATH_UNSAFE, "Y\n");
        assert_int_equal(look()->allows_unsafe_interrupts, FACT_YES);
}

static void test_nodes(void **state)
{
        static const struct {
                const char *text;
                unsigned int count;
        } cases[] = {{"0\n", 1}, {"0-3\n", 4}, {"0,2-3,8\n", 4}, {"", 0}, {"x\n", 0}, {"3-1\n", 1}};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                root_put(root, PATH_NODES_ONLINE, "%s", cases[i].text);
                assert_int_equal(look()->n_nodes, cases[i].count);
        }
}

static void test_pools(void **state)
{
        (void)state;
        root_put(root, PATH_MEMINFO, "MemTotal: 1 kB\nHugepagesize:       2048 kB\n");
        root_put(root, PATH_HUGEPAGES "/hugepages-1048576kB/nr_hugepages", "20\n");
        root_put(root, PATH_HUGEPAGES "/hugepages-1048576kB/free_hugepages", "4\n");
        root_put(root, PATH_HUGEPAGES "/other/free_hugepages", "4\n");
        const struct host_facts *facts = look();
        assert_int_equal(facts->default_page, 2048);
        assert_int_equal(facts->n_pools, 1);
        assert_int_equal(facts->pools[0].size, 1048576);
        assert_int_equal(facts->pools[0].count, 20);
        assert_int_equal(facts->pools[0].free, 4);
}

static void rival_is(const struct host_facts *facts, size_t index, enum rival_kind kind, const char *path,
                     const char *value)
{
        assert_true(index < facts->n_rivals);
        assert_int_equal(facts->rivals[index].kind, kind);
        assert_string_equal(facts->rivals[index].path, path);
        if (value)
                assert_string_equal(facts->rivals[index].value, value);
        else
                assert_null(facts->rivals[index].value);
}

static void test_rivals(void **state)
{
        (void)state;
        root_put(root, PATH_MODPROBE_ETC "/a.conf",
                 "# options vfio-pci ids=1:1\n"
                 "\toptions \\\n vfio_pci\tdisable_vga=1  ids=1002:6864,\\\n1002:aaf8\n"
                 "options snd ids=1:2\nblacklist vfio-pcix\nblacklist\ninstall vfio-pci /sbin/modprobe x\n"
                 "softdep amdgpu pre: vfio-pci\n");
        root_put(root, PATH_MODPROBE_USR "/a.conf", "blacklist vfio-pci\n");
        root_put(root, PATH_MODPROBE_USR "/b.conf", "blacklist vfio-pci\n");
        root_put(root, PATH_MODPROBE_ETC "/\033.conf", "blacklist vfio-pci\n");
        root_put(root, PATH_DRIVERCTL "/pci-0000:06:00.0", "vfio-pci\n");
        root_put(root, PATH_PVE_MAPPING, "gpu\n\tmap node=a,path=0000:06:00.0;0000:06:00.1,id=1002:6864\n");
        const struct host_facts *facts = look();
        assert_int_equal(facts->n_rivals, 5);
        rival_is(facts, 0, RIVAL_IDS, PATH_MODPROBE_ETC "/a.conf", "1002:6864,");
        rival_is(facts, 1, RIVAL_BLACKLIST, PATH_MODPROBE_USR "/b.conf", NULL);
        rival_is(facts, 2, RIVAL_DRIVERCTL, PATH_DRIVERCTL "/pci-0000:06:00.0", "0000:06:00.0 vfio-pci");
        rival_is(facts, 3, RIVAL_PROXMOX, PATH_PVE_MAPPING, "0000:06:00.0");
        rival_is(facts, 4, RIVAL_PROXMOX, PATH_PVE_MAPPING, "0000:06:00.1");
}

static int set_up(void **state)
{
        (void)state;
        root = root_new();
        ctx = root_ctx(root);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        facts_clear(&snapshot.facts);
        memset(&snapshot, 0, sizeof(snapshot));
        ctx = vfioctl_ctx_free(ctx);
        root_free(root);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_kernels, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_iommu, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_nodes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_pools, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_rivals, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
