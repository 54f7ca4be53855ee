/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

static struct fixture f;
static const struct vfioctl_gpu *chosen[64];

#define NONE ((const struct vfioctl_gpu *)(uintptr_t)0x1)

/* Two sockets, two cards of two dies each: 2a 2b on node 0, 3a 3b on node 1; each in a group of its own. */
static void four_dies(const char *driver)
{
        fixture_init(&f);
        (void)fixture_gpu(&f, "2a", "0000:06:00.0", 0, 0, 10, driver);
        (void)fixture_gpu(&f, "2b", "0000:0a:00.0", 0, 0, 11, driver);
        (void)fixture_gpu(&f, "3a", "0000:85:00.0", 1, 1, 12, driver);
        (void)fixture_gpu(&f, "3b", "0000:89:00.0", 1, 1, 13, driver);
}

/* The same without ACS: both dies of a card in one group, below a port that does not isolate. */
static void no_acs(const char *driver)
{
        fixture_init(&f);
        struct vfioctl_gpu *a = fixture_gpu(&f, "2a", "0000:06:00.0", 0, 0, 2, driver);
        struct vfioctl_gpu *b = fixture_gpu(&f, "2b", "0000:0a:00.0", 0, 0, 2, driver);
        (void)fixture_gpu(&f, "3a", "0000:85:00.0", 1, 1, 12, driver);
        (void)fixture_gpu(&f, "3b", "0000:89:00.0", 1, 1, 12, driver);
        (void)fixture_port(&f, a, "0000:03:00.0", VFIOCTL_PCIE_UPSTREAM, false);
        struct vfioctl_function *port = fixture_port(&f, a, "0000:04:00.0", VFIOCTL_PCIE_DOWNSTREAM, false);
        b->path[b->n_path++] = port;
}

static int choose(const struct vfioctl_vms *vms, enum vfioctl_placement placement,
                  const struct vfioctl_request *requests, size_t count, struct vfioctl_findings **ret)
{
        struct vfioctl_findings *findings = NULL;

        for (size_t i = 0; i < ELEMENTSOF(chosen); i++)
                chosen[i] = NONE;
        assert_int_equal(vfioctl_findings_new(&findings), 0);
        int r = vfioctl_choose(&f.snapshot, vms, placement, requests, count, findings, chosen);
        if (r < 0)
                assert_ptr_equal(chosen[0], NONE);
        else
                assert_int_equal(vfioctl_findings_count(findings), 0);
        if (ret)
                *ret = findings;
        else
                (void)vfioctl_findings_free(findings);
        return r;
}

static void assert_chosen(const char *names)
{
        char text[256] = "";

        for (size_t i = 0; i < ELEMENTSOF(chosen) && chosen[i] != NONE; i++) {
                (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
                               chosen[i]->name);
                for (size_t k = 0; k < i; k++)
                        assert_ptr_not_equal(chosen[i], chosen[k]);
        }
        assert_string_equal(text, names);
}

#define PACK   VFIOCTL_PLACEMENT_PACK
#define SPREAD VFIOCTL_PLACEMENT_SPREAD

static void test_pack_and_spread(void **state)
{
        const struct vfioctl_request two[] = {{"v1", 1, -1}, {"v2", 1, -1}},
                                     four[] = {{"v1", 1, -1}, {"v2", 1, -1}, {"v3", 1, -1}, {"v4", 1, -1}};
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;

        (void)state;
        four_dies("amdgpu");
        assert_int_equal(choose(NULL, PACK, two, 2, NULL), 0);
        assert_chosen("2a 2b");
        assert_int_equal(choose(NULL, SPREAD, two, 2, NULL), 0);
        assert_chosen("2a 3a");
        assert_int_equal(choose(NULL, PACK, four, 4, NULL), 0);
        assert_chosen("2a 2b 3a 3b");
        assert_int_equal(choose(NULL, SPREAD, four, 4, NULL), 0);
        assert_chosen("2a 3a 2b 3b");
        /* Half of card 3 is assigned. */
        assert_int_equal(vfioctl_vms_new(&vms), 0);
        vms_add(vms, "old", false, "0000:85:00.0");
        assert_int_equal(choose(vms, PACK, two, 1, NULL), 0);
        assert_chosen("3b");
        assert_int_equal(choose(vms, SPREAD, two, 1, NULL), 0);
        assert_chosen("2a");
        assert_int_equal(choose(vms, PACK, two, 2, NULL), 0);
        assert_chosen("3b 2a");
        assert_int_equal(choose(vms, PACK, NULL, 0, NULL), 0);
        assert_chosen("");
        const struct vfioctl_request none[] = {{"v1", 0, -1}};
        assert_int_equal(choose(vms, PACK, none, 1, NULL), 0);
        assert_chosen("");
}

static void test_node(void **state)
{
        const struct vfioctl_request on_1[] = {{"v1", 1, 1}}, three[] = {{"v1", 3, 1}},
                                     mixed[] = {{"v1", 1, -1}, {"v2", 2, 0}, {"v3", 1, 1}};
        struct vfioctl_findings *findings;

        (void)state;
        four_dies("amdgpu");
        assert_int_equal(choose(NULL, PACK, on_1, 1, NULL), 0);
        assert_chosen("3a");
        /* Who is bound to a node chooses first; the order of the answer is that of the requests. */
        assert_int_equal(choose(NULL, PACK, mixed, 3, NULL), 0);
        assert_chosen("3b 2a 2b 3a");
        assert_int_equal(choose(NULL, PACK, three, 1, &findings), -EBUSY);
        assert_int_equal(vfioctl_findings_count(findings), 4);
        assert_non_null(finding_by(findings, "other-node", "0000:06:00.0"));
        assert_non_null(finding_by(findings, "other-node", "0000:0a:00.0"));
        assert_contains(finding_by(findings, "other-node", "0000:06:00.0")->fix, "--gpu 2a");
        (void)vfioctl_findings_free(findings);
        /* A GPU whose node nobody knows is on any. */
        f.gpus[0].functions[0]->numa_node = -1;
        const struct vfioctl_request on_7[] = {{"v1", 1, 7}};
        assert_int_equal(choose(NULL, PACK, on_7, 1, NULL), 0);
        assert_chosen("2a");
}

static void test_group_as_a_whole(void **state)
{
        const struct vfioctl_request one[] = {{"v1", 1, -1}}, two[] = {{"v1", 2, -1}},
                                     three[] = {{"v1", 3, -1}}, four[] = {{"v1", 4, -1}},
                                     both[] = {{"v1", 2, -1}, {"v2", 2, -1}}, bound[] = {{"v1", 2, 1}};
        struct vfioctl_findings *findings;

        (void)state;
        no_acs("amdgpu");
        assert_int_equal(choose(NULL, PACK, two, 1, NULL), 0);
        assert_chosen("2a 2b");
        assert_int_equal(choose(NULL, PACK, bound, 1, NULL), 0);
        assert_chosen("3a 3b");
        assert_int_equal(choose(NULL, PACK, four, 1, NULL), 0);
        assert_chosen("2a 2b 3a 3b");
        assert_int_equal(choose(NULL, PACK, both, 2, NULL), 0);
        assert_chosen("2a 2b 3a 3b");
        assert_int_equal(choose(NULL, PACK, one, 1, &findings), -EBUSY);
        assert_int_equal(vfioctl_findings_count(findings), 4);
        const struct vfioctl_finding *finding = finding_by(findings, "group-shared", "0000:06:00.0");
        assert_non_null(finding);
        assert_contains(finding->text, "group 2");
        assert_contains(finding->text, "0000:0a:00.0");
        assert_contains(finding->text, "0000:04:00.0");
        assert_contains(finding->fix, "--count 2");
        (void)vfioctl_findings_free(findings);
        assert_int_equal(choose(NULL, PACK, three, 1, NULL), -EBUSY);
}

/* Both on vfio-pci: each is viable by itself, and still the group is for one VM. */
static void test_one_vm_a_group(void **state)
{
        const struct vfioctl_request one[] = {{"v1", 1, -1}}, two[] = {{"v1", 1, -1}, {"v2", 1, -1}},
                                     three[] = {{"v1", 1, -1}, {"v2", 1, -1}, {"v3", 1, -1}};
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        struct vfioctl_findings *findings;

        (void)state;
        no_acs(VFIO_DRIVER);
        for (int placement = 0; placement < 2; placement++) {
                assert_int_equal(choose(NULL, placement ? SPREAD : PACK, two, 2, NULL), 0);
                assert_ptr_not_equal(chosen[0]->group, chosen[1]->group);
        }
        assert_int_equal(choose(NULL, PACK, three, 3, &findings), -EBUSY);
        assert_int_equal(vfioctl_findings_count(findings), 4);
        /* The other half of a group that is taken is not "free": that has to be said. */
        assert_null(finding_by(findings, "not-enough", NULL));
        assert_non_null(finding_by(findings, "taken", "0000:06:00.0"));
        const struct vfioctl_finding *finding = finding_by(findings, "group-shared", "0000:0a:00.0");
        assert_non_null(finding);
        assert_string_equal(finding->culprit, "v1");
        (void)vfioctl_findings_free(findings);

        assert_int_equal(vfioctl_vms_new(&vms), 0);
        vms_add(vms, "old", false, "0000:06:00.0");
        vms_add(vms, "older", false, "0000:89:00.0");
        assert_int_equal(choose(vms, PACK, one, 1, &findings), -EBUSY);
        assert_int_equal(vfioctl_findings_count(findings), 4);
        assert_non_null(finding_by(findings, "assigned", "0000:06:00.0"));
        assert_null(finding_by(findings, "not-enough", NULL));
        assert_string_equal(finding_by(findings, "group-shared", "0000:0a:00.0")->culprit, "old");
        assert_string_equal(finding_by(findings, "group-shared", "0000:85:00.0")->culprit, "older");
        (void)vfioctl_findings_free(findings);
        /* The VM that has one half may have the other. */
        const struct vfioctl_request old[] = {{"old", 1, -1}};
        assert_int_equal(choose(vms, PACK, old, 1, NULL), 0);
        assert_chosen("2b");
}

static void test_reasons(void **state)
{
        const struct vfioctl_request one[] = {{"v9", 1, -1}}, five[] = {{"v1", 4, -1}, {"v9", 1, -1}};
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        struct vfioctl_findings *findings;

        (void)state;
        four_dies("amdgpu");
        assert_int_equal(vfioctl_vms_new(&vms), 0);
        vms_add(vms, "game1", true, "0000:06:00.0");
        vms_add(vms, "game2", false, "0000:0a:00.0");
        fixture_holder(&f, &f.gpus[2], 4711, "ollama", "ollama.service", "/dev/dri/renderD129");
        f.gpus[3].functions[0]->is_boot_vga = true;
        struct vfioctl_gpu *own = fixture_gpu(&f, "0000:17:00.0", "0000:17:00.0", 2, 0, 31, "ast");
        own->on_board = true;
        assert_int_equal(choose(vms, PACK, one, 1, &findings), -EBUSY);
        assert_int_equal(vfioctl_findings_count(findings), 5);
        const struct vfioctl_finding *finding = finding_by(findings, "assigned", "0000:06:00.0");
        assert_string_equal(finding->culprit, "game1 (running)");
        assert_contains(finding->fix, "unassign game1");
        finding = finding_by(findings, "assigned", "0000:0a:00.0");
        assert_string_equal(finding->culprit, "game2 (shut off)");
        assert_string_equal(finding->fix, "vfioctl assign v9 --share --gpu 2b");
        finding = finding_by(findings, "in-use", "0000:85:00.0");
        assert_string_equal(finding->culprit, "ollama.service, pid 4711 (ollama)");
        assert_string_equal(finding->fix, "systemctl stop ollama.service");
        assert_non_null(finding_by(findings, "boot-display", "0000:89:00.0"));
        assert_non_null(finding_by(findings, "boot-display", "0000:17:00.0"));
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++)
                assert_int_equal(vfioctl_findings_get(findings, i)->severity, VFIOCTL_REFUSAL);
        (void)vfioctl_findings_free(findings);

        /* All or nothing: four go, the fifth does not, so none goes. */
        four_dies("amdgpu");
        assert_int_equal(choose(NULL, PACK, five, 2, &findings), -EBUSY);
        assert_int_equal(vfioctl_findings_count(findings), 4);
        for (size_t i = 0; i < 4; i++) {
                assert_string_equal(vfioctl_findings_get(findings, i)->code, "taken");
                assert_string_equal(vfioctl_findings_get(findings, i)->culprit, "v1");
        }
        (void)vfioctl_findings_free(findings);

        const struct vfioctl_request many[] = {{"v1", 5, -1}};
        assert_int_equal(choose(NULL, PACK, many, 1, &findings), -EBUSY);
        assert_int_equal(vfioctl_findings_count(findings), 4);
        (void)vfioctl_findings_free(findings);
        fixture_init(&f);
        assert_int_equal(choose(NULL, PACK, one, 1, &findings), -EBUSY);
        (void)vfioctl_findings_free(findings);
}

/* Every way to hand four dies to three VMs: nothing twice, nothing across a group, nothing when refused. */
static void test_invariants(void **state)
{
        static const int nodes[] = {-1, 0, 1};

        (void)state;
        for (unsigned int variant = 0; variant < 4; variant++)
                for (unsigned int counts = 0; counts < 64; counts++)
                        for (unsigned int node = 0; node < 27; node++) {
                                const struct vfioctl_request requests[] = {
                                        {"v1", counts & 3, nodes[node % 3]},
                                        {"v2", counts >> 2 & 3, nodes[node / 3 % 3]},
                                        {"v3", counts >> 4 & 3, nodes[node / 9]},
                                };
                                if (variant < 2)
                                        four_dies("amdgpu");
                                else
                                        no_acs(variant == 2 ? "amdgpu" : VFIO_DRIVER);
                                int r = choose(NULL, variant & 1 ? SPREAD : PACK, requests, 3, NULL);
                                if (r < 0) {
                                        assert_int_equal(r, -EBUSY);
                                        continue;
                                }
                                size_t n = 0;
                                const char *owner[4] = {NULL};
                                for (size_t q = 0; q < 3; q++)
                                        for (unsigned int i = 0; i < requests[q].count; i++, n++) {
                                                const struct vfioctl_gpu *gpu = chosen[n];
                                                assert_ptr_not_equal(gpu, NONE);
                                                size_t index = (size_t)(gpu - f.gpus);
                                                assert_null(owner[index]);
                                                owner[index] = requests[q].vm;
                                                if (requests[q].numa_node >= 0)
                                                        assert_int_equal(gpu->functions[0]->numa_node,
                                                                         requests[q].numa_node);
                                        }
                                assert_ptr_equal(chosen[n], NONE);
                                if (variant < 2)
                                        continue;
                                for (size_t i = 0; i < 4; i += 2) {
                                        if (owner[i] && owner[i + 1])
                                                assert_string_equal(owner[i], owner[i + 1]);
                                        /* On a host driver a half could not start. */
                                        if (variant == 2)
                                                assert_int_equal(owner[i] != NULL, owner[i + 1] != NULL);
                                }
                        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pack_and_spread),  cmocka_unit_test(test_node),
                cmocka_unit_test(test_group_as_a_whole), cmocka_unit_test(test_one_vm_a_group),
                cmocka_unit_test(test_reasons),          cmocka_unit_test(test_invariants),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
