/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#define GIB (1ull << 20) /* KiB */

static struct fixture f;
static struct node_resources nodes[3];
static struct cpu_core cores[64];

DEFINE_CLEANUP(struct vfioctl_fit, vfioctl_fit_free)
#define _cleanup_fit_ _cleanup_(vfioctl_fit_freep)

/* A node of `count` cores with a sibling each: N and N+100. */
static void add_node(int number, unsigned int first, unsigned int count, uint64_t memory)
{
        struct resources *resources = &f.snapshot.resources;

        nodes[resources->n_nodes] = (struct node_resources){.number = number,
                                                            .memory = memory,
                                                            .n_cpus = 2 * count,
                                                            .pools = {{2048, 0, 0}, {GIB, 0, 0}},
                                                            .n_pools = 2};
        for (unsigned int i = 0; i < count; i++)
                cores[resources->n_cores++] = (struct cpu_core){
                        .node = resources->n_nodes, .cpus = {first + i, first + i + 100}, .n_cpus = 2};
        resources->n_nodes++;
}

/* Two nodes of eight cores and 64 GiB, two GPUs each: 2 cores and 4 GiB of each are the host's. */
static void two_nodes(void)
{
        fixture_init(&f);
        f.snapshot.resources = (struct resources){
                .nodes = nodes, .cores = cores, .is_numa = true, .address_bits = 46, .default_page = 2048};
        add_node(0, 0, 8, 64 * GIB);
        add_node(1, 8, 8, 64 * GIB);
        (void)fixture_gpu(&f, "2a", "0000:06:00.0", 0, 0, 10, "amdgpu");
        (void)fixture_gpu(&f, "2b", "0000:0a:00.0", 0, 0, 11, "amdgpu");
        (void)fixture_gpu(&f, "3a", "0000:85:00.0", 1, 1, 12, "amdgpu");
        (void)fixture_gpu(&f, "3b", "0000:89:00.0", 1, 1, 13, "amdgpu");
}

static struct vfioctl_fit_request request(unsigned int vms, unsigned int vcpus, uint64_t memory)
{
        return (struct vfioctl_fit_request){.vms = vms, .vcpus = vcpus, .memory = memory, .gpus = 1};
}

/* What is wrong, as texts; the caller's to free. */
static struct vfioctl_fit *fit(const struct vfioctl_vms *vms, const struct vfioctl_fit_request *wanted,
                               char **ret_dump)
{
        struct vfioctl_findings *findings = NULL;
        struct vfioctl_fit *result = NULL;

        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_fit_new(&f.snapshot, vms, wanted, findings, &result), 0);
        if (ret_dump)
                *ret_dump = findings_dump(findings);
        (void)vfioctl_findings_free(findings);
        return result;
}

static void assert_place(const struct vfioctl_fit *fit, size_t index, const char *gpu, const char *cpus)
{
        const struct vfioctl_place *place = vfioctl_fit_place(fit, index);

        assert_non_null(place);
        if (gpu)
                assert_string_equal(vfioctl_gpu_name(vfioctl_fit_gpu(fit, index, 0)), gpu);
        assert_string_equal(place->cpus, cpus);
}

static struct vfioctl_vms *with_share(const char *name, bool runs, const char *address,
                                      const struct vfioctl_vm_share *share)
{
        struct vfioctl_vms *vms = NULL;

        assert_int_equal(vfioctl_vms_new(&vms), 0);
        vms_add(vms, name, runs, address);
        assert_int_equal(vfioctl_vms_set_share(vms, 0, share), 0);
        return vms;
}

static void test_shares(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        struct vfioctl_vm_share share = {.vcpus = 2, .memory = GIB, .pinned = "1,x", .numa_node = -1};

        (void)state;
        assert_int_equal(vfioctl_vms_new(&vms), 0);
        assert_int_equal(vfioctl_vms_add(vms, "n", "u", false), 0);
        assert_null(vfioctl_vms_share(vms, 0));
        assert_null(vfioctl_vms_share(vms, 1));
        assert_int_equal(vfioctl_vms_set_share(vms, 0, &share), -EINVAL);
        assert_null(vfioctl_vms_share(vms, 0));
        for (int again = 0; again < 2; again++) {
                share.pinned = again ? "3-4" : "1,29";
                assert_int_equal(vfioctl_vms_set_share(vms, 1, &share), -EINVAL);
                assert_int_equal(vfioctl_vms_set_share(vms, 0, &share), 0);
                assert_string_equal(vfioctl_vms_share(vms, 0)->pinned, share.pinned);
                assert_ptr_not_equal(vfioctl_vms_share(vms, 0)->pinned, share.pinned);
        }
        share.memory = UINT64_MAX;
        assert_int_equal(vfioctl_vms_set_share(vms, 0, &share), -EINVAL);
        assert_int_equal(vfioctl_vms_share(vms, 0)->memory, GIB);
}

static void test_requests(void **state)
{
        struct vfioctl_findings *findings = NULL;
        struct vfioctl_fit *none = NULL;
        const struct vfioctl_fit_request bad[] = {
                {.vms = 0, .vcpus = 1, .memory = 1},
                {.vms = 1, .vcpus = 0, .memory = 1},
                {.vms = 1, .vcpus = 1, .memory = 0},
                {.vms = 1, .vcpus = 8193, .memory = 1},
                {.vms = 5000, .vcpus = 1, .memory = 1},
                {.vms = 1, .vcpus = 1, .memory = UINT64_MAX},
                {.vms = 1, .vcpus = 1, .memory = 1, .gpus = UINT32_MAX},
                {.vms = 2, .vcpus = 1, .memory = 1, .vm = "one"},
        };

        (void)state;
        two_nodes();
        assert_int_equal(vfioctl_findings_new(&findings), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(vfioctl_fit_new(&f.snapshot, NULL, &bad[i], findings, &none), -EINVAL);
        assert_null(none);
        assert_int_equal(vfioctl_findings_count(findings), 0);
        (void)vfioctl_findings_free(findings);
        assert_null(vfioctl_fit_free(NULL));
}

static void test_four(void **state)
{
        struct vfioctl_fit_request four = request(5, 6, 16 * GIB);
        struct vfioctl_node_left left;
        char *dump;

        (void)state;
        two_nodes();
        _cleanup_fit_ struct vfioctl_fit *placed = fit(NULL, &four, &dump);
        assert_int_equal(vfioctl_fit_count(placed), 4);
        assert_place(placed, 0, "2a", "2-4,102-104");
        assert_place(placed, 1, "2b", "5-7,105-107");
        assert_place(placed, 2, "3a", "10-12,110-112");
        assert_place(placed, 3, "3b", "13-15,113-115");
        assert_null(vfioctl_fit_place(placed, 4));
        assert_null(vfioctl_fit_gpu(placed, 4, 0));
        assert_null(vfioctl_fit_gpu(placed, 0, 1));
        const struct vfioctl_place *place = vfioctl_fit_place(placed, 3);
        assert_string_equal(place->vcpus[0], "13");
        assert_string_equal(place->vcpus[1], "113");
        assert_string_equal(place->services, "8-9,108-109");
        assert_string_equal(place->nodes, "1");
        assert_true(place->is_exclusive && place->is_strict && place->node == 1 && place->threads == 2 &&
                    place->n_vcpus == 6 && place->page == 0 && place->address_bits == 46);
        assert_contains(dump, "no-gpu");
        assert_contains(dump, "VM 5: 1 GPU wanted, 0 of 4 left");
        assert_int_equal(vfioctl_fit_node_count(placed), 2);
        assert_true(vfioctl_fit_node(placed, 1, &left));
        assert_int_equal(left.node, 1);
        assert_int_equal(left.cores, 8);
        assert_int_equal(left.free_cores, 0);
        assert_int_equal(left.free_memory, 28 * GIB);
        assert_int_equal(left.host_memory, 4 * GIB);
        assert_string_equal(left.free_cpus, "");
        assert_false(vfioctl_fit_node(placed, 2, &left));
        free(dump);
}

/* What keeps the first node from having one must not keep the second from it. */
static void test_the_other_node(void **state)
{
        const struct vfioctl_vm_share share = {
                .vcpus = 10, .memory = 50 * GIB, .pinned = "2-6,102-106", .numa_node = 0};
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        struct vfioctl_fit_request two = request(2, 6, 16 * GIB);
        char *dump;

        (void)state;
        two_nodes();
        vms = with_share("old", true, "0000:ff:00.0", &share);
        _cleanup_fit_ struct vfioctl_fit *placed = fit(vms, &two, &dump);
        assert_int_equal(vfioctl_fit_count(placed), 2);
        assert_place(placed, 0, "3a", "10-12,110-112");
        assert_place(placed, 1, "3b", "13-15,113-115");
        free(dump);
        two.vms = 3;
        struct vfioctl_fit *three = fit(vms, &two, &dump);
        assert_int_equal(vfioctl_fit_count(three), 2);
        assert_contains(dump, "VM 3: node 0: 3 cores wanted for 6 vCPUs, 1 of 8 left (2 the host's)");
        assert_contains(dump,
                        "VM 3: node 0: 16.0 GiB wanted, 10.0 GiB of 64.0 GiB left (4.0 GiB the host's)");
        assert_lacks(dump, "no-gpu");
        assert_lacks(dump, "node 1: 3 cores");
        (void)vfioctl_fit_free(three);
        free(dump);
}

static void test_named(void **state)
{
        const struct vfioctl_vm_share share = {
                .vcpus = 4, .memory = 8 * GIB, .pinned = "10-11,110-111", .numa_node = 1};
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        const struct vfioctl_gpu *named[] = {&f.gpus[2], &f.gpus[0]};
        struct vfioctl_fit_request wanted = request(1, 6, 16 * GIB);
        char *dump;

        (void)state;
        two_nodes();
        /* It has the GPU, cores and memory already: none of that hinders it, and it gets the same again. */
        vms = with_share("game", true, "0000:85:00.0", &share);
        wanted.named = named;
        wanted.n_named = 1;
        wanted.vm = "game";
        wanted.memory = 60 * GIB;
        _cleanup_fit_ struct vfioctl_fit *placed = fit(vms, &wanted, &dump);
        assert_int_equal(vfioctl_fit_count(placed), 1);
        assert_place(placed, 0, "3a", "10-12,110-112");
        free(dump);
        /* By its UUID; for another one it does. */
        wanted.vm = vfioctl_vms_uuid(vms, 0);
        struct vfioctl_fit *by_uuid = fit(vms, &wanted, NULL);
        assert_int_equal(vfioctl_fit_count(by_uuid), 1);
        (void)vfioctl_fit_free(by_uuid);
        wanted.vm = "other";
        struct vfioctl_fit *other = fit(vms, &wanted, &dump);
        assert_int_equal(vfioctl_fit_count(other), 0);
        assert_contains(dump, "VM other: node 1: 60.0 GiB wanted, 52.0 GiB of 64.0 GiB left");
        (void)vfioctl_fit_free(other);
        free(dump);
        /* On two nodes, and one GPU has none that is known. */
        wanted.n_named = 2;
        struct vfioctl_fit *spread = fit(vms, &wanted, &dump);
        assert_int_equal(vfioctl_fit_count(spread), 1);
        assert_contains(dump, "several-nodes");
        const struct vfioctl_place *place = vfioctl_fit_place(spread, 0);
        assert_int_equal(place->node, -1);
        assert_string_equal(place->nodes, "0-1");
        assert_false(place->is_strict);
        assert_string_equal(place->cpus, "2-3,12,102-103,112");
        assert_string_equal(place->services, "0-1,8-9,100-101,108-109");
        (void)vfioctl_fit_free(spread);
        free(dump);
        f.gpus[0].functions[0]->numa_node = -1;
        spread = fit(vms, &wanted, &dump);
        assert_lacks(dump, "several-nodes");
        (void)vfioctl_fit_free(spread);
        free(dump);
}

static void test_fallback(void **state)
{
        const struct vfioctl_gpu *named[] = {&f.gpus[0]};
        struct vfioctl_fit_request wanted = request(1, 14, 16 * GIB);
        char *dump;

        (void)state;
        two_nodes();
        wanted.named = named;
        wanted.n_named = 1;
        struct vfioctl_fit *refused = fit(NULL, &wanted, &dump);
        assert_int_equal(vfioctl_fit_count(refused), 0);
        assert_contains(dump, "refusal no-cores");
        (void)vfioctl_fit_free(refused);
        free(dump);

        /* Too few cores: all that are not the host's, and shared. */
        wanted.with_fallback = true;
        struct vfioctl_fit *floats = fit(NULL, &wanted, &dump);
        assert_contains(dump, "warning no-cores");
        assert_contains(dump, "VM 1: node 0: 7 cores wanted for 14 vCPUs, 6 of 8 left (2 the host's)");
        assert_lacks(dump, "refusal");
        const struct vfioctl_place *place = vfioctl_fit_place(floats, 0);
        assert_false(place->is_exclusive);
        assert_true(place->is_strict);
        assert_int_equal(place->threads, 1);
        assert_string_equal(place->cpus, "2-7,102-107");
        assert_string_equal(place->vcpus[13], "2-7,102-107");
        (void)vfioctl_fit_free(floats);
        free(dump);

        /* Too little memory on the node, and enough on the host. */
        wanted.vcpus = 2;
        wanted.memory = 100 * GIB;
        struct vfioctl_fit *borrows = fit(NULL, &wanted, &dump);
        assert_contains(dump, "warning no-memory");
        place = vfioctl_fit_place(borrows, 0);
        assert_true(place->is_exclusive && !place->is_strict);
        assert_string_equal(place->nodes, "0");
        /* As many pages as it wants would be all of the node. */
        assert_lacks(dump, "no-pages");
        struct vfioctl_node_left left;
        assert_true(vfioctl_fit_node(borrows, 0, &left) && left.free_memory == 0);
        assert_true(vfioctl_fit_node(borrows, 1, &left) && left.free_memory == 20 * GIB);
        (void)vfioctl_fit_free(borrows);
        free(dump);

        /* The host as a whole has not that much. */
        wanted.memory = 121 * GIB;
        struct vfioctl_fit *none = fit(NULL, &wanted, &dump);
        assert_int_equal(vfioctl_fit_count(none), 0);
        assert_contains(dump, "refusal no-memory");
        assert_contains(
                dump, "VM 1: nodes 0-1: 121.0 GiB wanted, 120.0 GiB of 128.0 GiB left (8.0 GiB the host's)");
        (void)vfioctl_fit_free(none);
        free(dump);

        /* Huge pages that were asked for are no matter of taste. */
        wanted.memory = 16 * GIB;
        wanted.vcpus = 14;
        wanted.pages = VFIOCTL_PAGES_1G;
        none = fit(NULL, &wanted, &dump);
        assert_int_equal(vfioctl_fit_count(none), 0);
        assert_contains(dump, "refusal no-pages");
        assert_lacks(dump, "no-cores");
        (void)vfioctl_fit_free(none);
        free(dump);

        /* A host of one core, which is its own. */
        two_nodes();
        f.snapshot.resources.n_cores = 1;
        wanted.pages = VFIOCTL_PAGES_AUTO;
        struct vfioctl_fit *single = fit(NULL, &wanted, &dump);
        assert_int_equal(vfioctl_fit_count(single), 1);
        assert_string_equal(vfioctl_fit_place(single, 0)->cpus, "0,100");
        (void)vfioctl_fit_free(single);
        free(dump);
}

/* Where nothing fits, the place that lacks least: cores are shared sooner than memory is fetched from afar.
 */
static void test_least_lack(void **state)
{
        const struct vfioctl_vm_share share = {
                .vcpus = 1, .memory = 50 * GIB, .pinned = NULL, .numa_node = 0};
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        struct vfioctl_fit_request wanted = request(1, 14, 16 * GIB);

        (void)state;
        two_nodes();
        vms = with_share("old", true, "0000:ff:00.0", &share);
        wanted.with_fallback = true;
        struct vfioctl_fit *placed = fit(vms, &wanted, NULL);
        assert_place(placed, 0, "3a", "10-15,110-115");
        (void)vfioctl_fit_free(placed);
}

static void test_pages(void **state)
{
        const struct vfioctl_vm_share share = {
                .vcpus = 1, .memory = 8 * GIB, .pinned = NULL, .numa_node = 0, .page = GIB};
        const struct vfioctl_gpu *named[] = {&f.gpus[0]};
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        struct vfioctl_fit_request wanted = request(1, 2, 16 * GIB);
        struct vfioctl_node_left left;
        char *dump;

        (void)state;
        two_nodes();
        nodes[0].pools[1] = (struct page_pool){GIB, 16, 8};
        wanted.named = named;
        wanted.n_named = 1;
        /* 8 are free, and 8 it has itself while it runs. */
        vms = with_share("game", true, "0000:06:00.0", &share);
        wanted.vm = "game";
        struct vfioctl_fit *again = fit(vms, &wanted, &dump);
        assert_int_equal(vfioctl_fit_place(again, 0)->page, GIB);
        assert_lacks(dump, "no-pages");
        (void)vfioctl_fit_free(again);
        free(dump);
        wanted.vm = NULL;
        struct vfioctl_fit *other = fit(vms, &wanted, &dump);
        assert_int_equal(vfioctl_fit_place(other, 0)->page, 0);
        assert_contains(dump, "note no-pages");
        assert_contains(
                dump, "echo 24 > /sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages");
        assert_true(vfioctl_fit_node(other, 0, &left));
        assert_int_equal(left.free_pages_1g, 8);
        assert_int_equal(left.free_memory, (64 - 16 - 4 - 16) * GIB);
        (void)vfioctl_fit_free(other);
        free(dump);
        /* Asked not to, nothing is said of them. */
        wanted.pages = VFIOCTL_PAGES_NO;
        other = fit(vms, &wanted, &dump);
        assert_lacks(dump, "no-pages");
        (void)vfioctl_fit_free(other);
        free(dump);
        /* One that is off will want them. */
        vms = vfioctl_vms_free(vms);
        vms = with_share("game", false, "0000:06:00.0", &share);
        wanted.pages = VFIOCTL_PAGES_AUTO;
        wanted.memory = 8 * GIB;
        other = fit(vms, &wanted, NULL);
        assert_int_equal(vfioctl_fit_place(other, 0)->page, 0);
        (void)vfioctl_fit_free(other);
        wanted.vm = "game";
        again = fit(vms, &wanted, NULL);
        assert_int_equal(vfioctl_fit_place(again, 0)->page, GIB);
        (void)vfioctl_fit_free(again);
}

/* A page of the size that the host takes by default. */
static void test_default_page(void **state)
{
        const struct vfioctl_vm_share share = {
                .vcpus = 1, .memory = 8 * GIB, .pinned = NULL, .numa_node = 0, .page = VFIOCTL_PAGE_DEFAULT};
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        struct vfioctl_fit_request wanted = request(1, 2, GIB);
        struct vfioctl_node_left left;

        (void)state;
        two_nodes();
        nodes[0].pools[0] = (struct page_pool){2048, 8192, 8192};
        vms = with_share("old", false, "0000:06:00.0", &share);
        wanted.gpus = 0;
        wanted.pages = VFIOCTL_PAGES_NO;
        struct vfioctl_fit *placed = fit(vms, &wanted, NULL);
        assert_true(vfioctl_fit_node(placed, 0, &left));
        assert_int_equal(left.free_pages_2m, 4096);
        (void)vfioctl_fit_free(placed);
}

static void test_without_gpus(void **state)
{
        struct vfioctl_fit_request wanted = request(2, 4, GIB);

        (void)state;
        two_nodes();
        wanted.gpus = 0;
        struct vfioctl_fit *placed = fit(NULL, &wanted, NULL);
        assert_int_equal(vfioctl_fit_count(placed), 2);
        assert_place(placed, 0, NULL, "2-3,102-103");
        assert_place(placed, 1, NULL, "10-11,110-111");
        assert_null(vfioctl_fit_gpu(placed, 0, 0));
        (void)vfioctl_fit_free(placed);
}

/* A host that tells of no nodes: nothing is bound to one. */
static void test_no_nodes(void **state)
{
        struct vfioctl_fit_request wanted = request(1, 4, GIB);

        (void)state;
        two_nodes();
        f.snapshot.resources.is_numa = false;
        f.snapshot.resources.n_nodes = 1;
        f.snapshot.resources.n_cores = 8;
        for (size_t i = 0; i < 4; i++)
                f.gpus[i].functions[0]->numa_node = -1;
        struct vfioctl_fit *placed = fit(NULL, &wanted, NULL);
        assert_place(placed, 0, "2a", "2-3,102-103");
        assert_null(vfioctl_fit_place(placed, 0)->nodes);
        assert_false(vfioctl_fit_place(placed, 0)->is_strict);
        (void)vfioctl_fit_free(placed);
}

static void test_what_is_left(void **state)
{
        struct vfioctl_fit_request wanted = request(1, 2, GIB);
        struct vfioctl_node_left left;

        (void)state;
        two_nodes();
        wanted.host_cores = 100;
        wanted.host_memory = 100 * GIB;
        struct vfioctl_fit *placed = fit(NULL, &wanted, NULL);
        assert_int_equal(vfioctl_fit_count(placed), 0);
        assert_true(vfioctl_fit_node(placed, 0, &left));
        assert_int_equal(left.free_cores, 0);
        assert_int_equal(left.free_memory, 0);
        assert_int_equal(left.host_memory, 64 * GIB);
        (void)vfioctl_fit_free(placed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shares),       cmocka_unit_test(test_requests),
                cmocka_unit_test(test_four),         cmocka_unit_test(test_the_other_node),
                cmocka_unit_test(test_named),        cmocka_unit_test(test_fallback),
                cmocka_unit_test(test_least_lack),   cmocka_unit_test(test_pages),
                cmocka_unit_test(test_default_page), cmocka_unit_test(test_without_gpus),
                cmocka_unit_test(test_no_nodes),     cmocka_unit_test(test_what_is_left),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
