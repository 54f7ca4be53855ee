/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include "resources.h"

static struct vfioctl_snapshot snapshot;

static const struct resources *read_root(const char *root)
{
        struct vfioctl_ctx *ctx = root_ctx(root);

        resources_clear(&snapshot.resources);
        assert_int_equal(resources_read(ctx, &snapshot), 0);
        (void)vfioctl_ctx_free(ctx);
        return &snapshot.resources;
}

static void done(char *root)
{
        resources_clear(&snapshot.resources);
        root_free(root);
}

static void put_core(const char *root, const char *name, unsigned int cpu, const char *siblings)
{
        char *path;

        assert_int_equal(util_format(&path, "/sys/devices/system/cpu/cpu%u/topology/%s", cpu, name), 0);
        root_put(root, path, "%s\n", siblings);
        free(path);
}

static void assert_core(const struct resources *resources, size_t index, size_t node, const char *cpus)
{
        struct cpu_set set = {.words = {0}};
        char *text;

        assert_true(index < resources->n_cores);
        assert_int_equal(resources->cores[index].node, node);
        for (unsigned int i = 0; i < resources->cores[index].n_cpus; i++)
                cpu_set_add(&set, resources->cores[index].cpus[i]);
        assert_int_equal(cpu_set_format(&set, &text), 0);
        assert_string_equal(text, cpus);
        free(text);
}

static void test_two_sockets(void **state)
{
        char *root = root_from_host("x10drh-3xv340", NULL);

        (void)state;
        const struct resources *resources = read_root(root);
        assert_true(resources->is_numa);
        assert_int_equal(resources->n_nodes, 2);
        assert_int_equal(resources->n_cores, 28);
        assert_core(resources, 0, 0, "0,28");
        assert_core(resources, 13, 0, "13,41");
        assert_core(resources, 14, 1, "14,42");
        assert_int_equal(resources->nodes[1].memory, 128ull << 20);
        assert_int_equal(resources->nodes[1].n_cpus, 28);
        assert_int_equal(resources->nodes[0].n_pools, 2);
        assert_int_equal(resources->nodes[0].pools[0].size, 2048);
        assert_int_equal(resources->nodes[0].pools[1].size, 1 << 20);
        assert_int_equal(resources->address_bits, 46);
        assert_int_equal(resources->default_page, 2048);
        done(root);
}

static void test_nothing(void **state)
{
        char *root = root_new();

        (void)state;
        const struct resources *resources = read_root(root);
        assert_false(resources->is_numa);
        assert_int_equal(resources->n_nodes, 1);
        assert_int_equal(resources->n_cores, 0);
        assert_int_equal(resources->nodes[0].memory, 0);
        assert_int_equal(resources->address_bits, 0);
        done(root);
}

static void test_no_nodes(void **state)
{
        char *root = root_new();

        (void)state;
        root_put(root, PATH_CPUS_ONLINE, "0-3\n");
        /* Its name before Linux 5.3. */
        put_core(root, "thread_siblings_list", 0, "0,2");
        put_core(root, "thread_siblings_list", 1, "1,3");
        root_put(root, PATH_MEMINFO,
                 "MemTotal:       8192000 kB\nMemFree: 1 kB\nHugepagesize:    1048576 kB\n");
        root_put(root, PATH_HUGEPAGES "/hugepages-2048kB/nr_hugepages", "7\n");
        root_put(root, PATH_HUGEPAGES "/hugepages-2048kB/free_hugepages", "5\n");
        root_put(root, PATH_HUGEPAGES "/other/free_hugepages", "5\n");
        const struct resources *resources = read_root(root);
        assert_false(resources->is_numa);
        assert_int_equal(resources->n_cores, 2);
        assert_core(resources, 0, 0, "0,2");
        assert_core(resources, 1, 0, "1,3");
        assert_int_equal(resources->nodes[0].memory, 8192000);
        assert_int_equal(resources->nodes[0].n_pools, 1);
        assert_int_equal(resources->nodes[0].pools[0].count, 7);
        assert_int_equal(resources->nodes[0].pools[0].free, 5);
        assert_int_equal(resources->default_page, 1 << 20);
        done(root);
}

/* Hybrid, isolated, offline; a node of memory alone; nodes in no order; what two nodes claim. */
static void test_odd(void **state)
{
        char *root = root_new();

        (void)state;
        root_put(root, PATH_CPUS_ONLINE, "0-2,4-9\n");
        root_put(root, PATH_CPUS_ISOLATED, "4-5\n");
        root_put(root, PATH_CPUS_SMALL, "8-9\n");
        root_put(root, PATH_NODES "/node10/cpulist", "4-9\n");
        root_put(root, PATH_NODES "/node2/cpulist", "\n");
        root_put(root, PATH_NODES "/node2/meminfo", "Node 2 MemTotal:       100 kB\n");
        root_put(root, PATH_NODES "/node0/cpulist", "0-4\n");
        root_put(root, PATH_NODES "/node1024/cpulist", "0\n");
        root_put(root, PATH_NODES "/nodes/cpulist", "0\n");
        put_core(root, "core_cpus_list", 0, "0-1");
        put_core(root, "core_cpus_list", 2, "2-3");
        put_core(root, "core_cpus_list", 5, "4-5,9");
        put_core(root, "core_cpus_list", 6, "6-7,0");
        const struct resources *resources = read_root(root);
        assert_int_equal(resources->n_nodes, 3);
        assert_int_equal(resources->nodes[0].number, 0);
        assert_int_equal(resources->nodes[1].number, 2);
        assert_int_equal(resources->nodes[1].n_cpus, 0);
        assert_int_equal(resources->nodes[1].memory, 100);
        assert_int_equal(resources->nodes[2].number, 10);
        assert_core(resources, 0, 0, "0-1");
        assert_core(resources, 1, 0, "2");
        assert_core(resources, 2, 0, "4");
        assert_core(resources, 3, 2, "5,9");
        assert_core(resources, 4, 2, "6-7");
        assert_core(resources, 5, 2, "8");
        assert_int_equal(resources->n_cores, 6);
        assert_true(resources->cores[2].is_isolated && !resources->cores[1].is_isolated);
        assert_true(resources->cores[5].is_small && !resources->cores[4].is_small);
        done(root);
}

static void test_nonsense(void **state)
{
        static const char *const lists[] = {"", "x", "0-", "5-2", "99999999", "0-8192"};
        static const char *const texts[] = {"", "MemTotal:", "MemTotal: x kB",
                                            "MemTotal: 99999999999999999999 kB", "Node 0 MemTotal: -5 kB"};
        char *root = root_new();

        (void)state;
        root_put(root, PATH_CPUS_ONLINE, "0-3\n");
        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                root_put(root, PATH_NODES "/node0/cpulist", "%s", lists[i]);
                put_core(root, "core_cpus_list", 0, lists[i]);
                assert_int_equal(read_root(root)->n_cores, 0);
        }
        root_put(root, PATH_NODES "/node0/cpulist", "0-3\n");
        assert_int_equal(read_root(root)->n_cores, 4);
        root_put(root, PATH_CPUS_ONLINE, "0-2\n");
        assert_int_equal(read_root(root)->n_cores, 3);
        root_unlink(root, PATH_CPUS_ONLINE);
        assert_int_equal(read_root(root)->n_cores, 4);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                root_put(root, PATH_NODES "/node0/meminfo", "%s", texts[i]);
                assert_int_equal(read_root(root)->nodes[0].memory, 0);
        }
        root_put(root, PATH_NODES "/node0/hugepages/hugepages-2048kB/nr_hugepages", "18446744073709551615\n");
        root_put(root, PATH_NODES "/node0/hugepages/hugepages-0kB/nr_hugepages", "1\n");
        root_put(root, PATH_NODES "/node0/hugepages/hugepages-9999999999kB/nr_hugepages", "1\n");
        assert_int_equal(read_root(root)->nodes[0].n_pools, 1);
        assert_int_equal(read_root(root)->nodes[0].pools[0].count, 0);
        done(root);
}

static void test_address_bits(void **state)
{
        static const struct {
                const char *text;
                unsigned int bits;
        } cases[] = {
                {"processor\t: 0\naddress sizes\t: 43 bits physical, 48 bits virtual\n", 43},
                {"processor\t: 0\naddress sizes   : 52 bits physical\naddress sizes\t: 39 bits physical\n",
                 52},
                {"processor\t: 0\naddress sizes\t: 0 bits physical\n", 0},
                {"processor\t: 0\naddress sizes\t: 999 bits physical\n", 0},
                {"processor\t: 0\naddress sizes\t:\n", 0},
                {"address sizes\t: 43 bits virtual\n", 0},
                {"", 0},
        };
        char *root = root_new();

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                root_put(root, PATH_CPUINFO, "%s", cases[i].text);
                assert_int_equal(read_root(root)->address_bits, cases[i].bits);
        }
        /* Far behind the first processor nobody looks. */
        char *far = calloc(1, 1 << 20);
        assert_non_null(far);
        memset(far, 'x', 1 << 16);
        strcpy(far + (1 << 16), "\naddress sizes\t: 43 bits physical\n");
        root_put(root, PATH_CPUINFO, "%s", far);
        assert_int_equal(read_root(root)->address_bits, 0);
        free(far);
        done(root);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_two_sockets), cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_no_nodes),    cmocka_unit_test(test_odd),
                cmocka_unit_test(test_nonsense),    cmocka_unit_test(test_address_bits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
