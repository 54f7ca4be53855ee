/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "checks/checks.h"

static struct fixture f;

static struct vfioctl_findings *check_all(const struct vfioctl_vms *vms)
{
        struct vfioctl_findings *findings = NULL;

        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_check(&f.snapshot, vms, NULL, findings), 0);
        return findings;
}

static void finds(const char *code, enum vfioctl_severity severity, const char *says)
{
        _cleanup_findings_ struct vfioctl_findings *findings = check_all(NULL);
        const struct vfioctl_finding *finding = finding_by(findings, code, NULL);

        if (!finding) {
                _cleanup_free_ char *text = findings_dump(findings);
                fail_msg("no %s among: %s", code, text);
                return;
        }
        assert_int_equal(finding->severity, severity);
        assert_contains(finding->text, says);
}

static void finds_nothing(void)
{
        _cleanup_findings_ struct vfioctl_findings *findings = check_all(NULL);
        _cleanup_free_ char *text = findings_dump(findings);

        if (vfioctl_findings_count(findings) > 0)
                fail_msg("found: %s", text);
}

static struct vfioctl_gpu *one_gpu(void)
{
        fixture_init(&f);
        return fixture_gpu(&f, "2a", "0000:06:00.0", 0, 0, 10, "amdgpu");
}

static void set_cmdline(const char *text)
{
        f.snapshot.facts.cmdline = (char *)(uintptr_t)text;
}

static void test_cmdline(void **state)
{
        static const struct {
                const char *line, *name, *value, *word;
        } cases[] = {
                {NULL, "a=", NULL, NULL},
                {"", "a=", NULL, NULL},
                {"a=1", "a=", "1", "a=1"},
                {"x a=1 a=2 y", "a=", "2", "a=2"},
                {"aa=1 a b-a=2", "a=", NULL, NULL},
                {"a=", "a=", "", "a="},
                {"vfio_pci.ids=1:2", "vfio-pci.ids=", "1:2", "vfio_pci.ids=1:2"},
                {"nointremap", "nointremap", "", "nointremap"},
                {"nointremapx nointremap=1", "nointremap", NULL, NULL},
        };
        char word[CMDLINE_WORD_SIZE];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct host_facts facts = {.cmdline = (char *)(uintptr_t)cases[i].line};
                const char *value = cmdline_value(&facts, cases[i].name, word);
                assert_true(util_equal(value, cases[i].value));
                if (value)
                        assert_string_equal(word, cases[i].word);
        }
        /* One that is too long to be kept is none. */
        char line[2 * CMDLINE_WORD_SIZE];
        memset(line, 'x', sizeof(line));
        memcpy(line, "a=", 2);
        line[sizeof(line) - 1] = '\0';
        assert_null(cmdline_value(&(struct host_facts){.cmdline = line}, "a=", word));
        assert_true(list_has_module("nouveau,vfio_pci,x", "vfio-pci"));
        assert_false(list_has_module("vfio_pci_core,vfio", "vfio-pci"));
        assert_false(list_has_module("", "vfio-pci"));
}

static void test_acs(void **state)
{
        struct vfioctl_function port = {.acs_known = true};
        char text[ACS_TEXT_SIZE];

        (void)state;
        port.pcie_type = VFIOCTL_PCIE_ROOT_PORT;
        assert_string_equal(acs_text(function_missing_acs(&port, true), text), "SV RR CR UF");
        assert_string_equal(acs_text(function_missing_acs(&port, false), text), "SV RR CR UF");
        port.has_acs = true;
        port.acs_cap = ACS_SV | ACS_RR | ACS_CR;
        port.acs_ctl = ACS_SV;
        /* What it does not offer it does not miss: pci_acs_flags_enabled(). */
        assert_string_equal(acs_text(function_missing_acs(&port, true), text), "RR CR");
        assert_string_equal(acs_text(function_missing_acs(&port, false), text), "");
        port.has_acs = false;
        port.pcie_type = VFIOCTL_PCIE_UPSTREAM;
        assert_int_equal(function_missing_acs(&port, true), 0);
        port.is_multifunction = true;
        assert_string_equal(acs_text(function_missing_acs(&port, true), text), "SV RR CR UF");
        port.acs_known = false;
        assert_int_equal(function_missing_acs(&port, true), 0);
}

static void test_good(void **state)
{
        (void)state;
        (void)one_gpu();
        finds_nothing();
        set_cmdline("intel_iommu=on iommu=pt quiet");
        f.snapshot.facts.iommu = IOMMU_INTEL;
        f.snapshot.facts.remaps_interrupts = FACT_YES;
        f.snapshot.facts.allows_unsafe_interrupts = FACT_NO;
        f.snapshot.facts.vfio = f.snapshot.facts.next_vfio = MODULE_LOADABLE;
        f.snapshot.facts.has_ovmf = FACT_YES;
        f.snapshot.facts.n_nodes = 2;
        finds_nothing();
}

/* Facts that were not looked at are not judged. */
static void test_without_facts(void **state)
{
        (void)state;
        (void)one_gpu();
        f.snapshot.facts.remaps_interrupts = FACT_NO;
        finds("interrupt-remapping", VFIOCTL_REFUSAL, "no device");
        f.snapshot.flags &= ~(unsigned int)VFIOCTL_SNAPSHOT_FACTS;
        finds_nothing();
}

static void test_links(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu();
        struct vfioctl_function *port = fixture_port(&f, gpu, "0000:00:02.0", VFIOCTL_PCIE_ROOT_PORT, true);
        port->link = (struct vfioctl_link){.max_width = 8, .max_speed = 8000};
        gpu->functions[0]->link =
                (struct vfioctl_link){.width = 8, .max_width = 16, .speed = 8000, .max_speed = 16000};
        finds_nothing();
        gpu->functions[0]->link.speed = 2500;
        finds("link-slow", VFIOCTL_NOTE, "2.5 GT/s, and both ends can do 8.0");
        gpu->functions[0]->link.width = 4;
        finds("link-degraded", VFIOCTL_WARNING, "4 lanes, and both ends have 8");
        /* What one end does not tell is not compared. */
        port->link.max_width = port->link.max_speed = 0;
        finds_nothing();
}

static void set_bar(struct vfioctl_gpu *gpu, uint64_t gib)
{
        gpu->functions[0]->bars[0] =
                (struct vfioctl_bar){.start = 1ull << 40, .size = gib << 30, .is_64bit = true};
}

static void test_window(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;

        (void)state;
        struct vfioctl_gpu *gpu = one_gpu();
        struct vfioctl_gpu *other = fixture_gpu(&f, "2b", "0000:0a:00.0", 0, 0, 11, "amdgpu");
        set_bar(gpu, 16);
        set_bar(other, 32);
        finds_nothing();
        assert_int_equal(vfioctl_vms_new(&vms), 0);
        vms_add(vms, "game1", false, "0000:06:00.0");
        assert_int_equal(vfioctl_vms_add_device(vms, 0, &other->functions[0]->address), 0);
        _cleanup_findings_ struct vfioctl_findings *findings = check_all(vms);
        const struct vfioctl_finding *finding = finding_by(findings, "bar-window", NULL);
        assert_non_null(finding);
        assert_string_equal(finding->culprit, "game1");
        assert_contains(finding->text, "VM game1 have 48.0 GiB");
        assert_contains(finding->fix, "string=65536");
        set_bar(gpu, 33);
        finds("bar-window", VFIOCTL_NOTE, "it has 33.0 GiB");
}

/* What the check tells of and what tune writes: a power of two with room for all. */
static void test_window_size(void **state)
{
        static const struct {
                uint64_t sum, window;
        } cases[] = {
                {0, 0},
                {32ull << 30, 0},
                {(32ull << 30) + 1, 64ull << 30},
                {64ull << 30, 64ull << 30},
                {(64ull << 30) + 1, 128ull << 30},
                {UINT64_MAX, 1ull << 62},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(vfioctl_bar_window(cases[i].sum), cases[i].window);
        struct vfioctl_gpu *gpu = one_gpu();
        set_bar(gpu, 16);
        gpu->functions[0]->bars[2] = gpu->functions[0]->bars[0];
        gpu->functions[0]->bars[4] = (struct vfioctl_bar){.start = 1 << 30, .size = 1 << 20};
        assert_int_equal(vfioctl_gpu_large_bars(gpu), 32ull << 30);
        assert_int_equal(vfioctl_gpu_bar_room(gpu), 32ull << 30);
        /* A V340's: between two of them there is a hole of nearly 16 GiB, so three are beyond 64 GiB. */
        gpu->functions[0]->bars[2].size = 2 << 20;
        assert_int_equal(vfioctl_gpu_bar_room(gpu), 32ull << 30);
        assert_int_equal(vfioctl_bar_window(3 * vfioctl_gpu_bar_room(gpu)), 128ull << 30);
        gpu->functions[0]->bars[0].size = gpu->functions[0]->bars[2].size = 0;
        assert_int_equal(vfioctl_gpu_bar_room(gpu), 0);
}

static void test_pages(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        const struct vfioctl_hugepages pages = {.memory = 16 << 20, .size = 1 << 20};
        struct host_facts *facts = &f.snapshot.facts;

        (void)state;
        (void)one_gpu();
        assert_int_equal(vfioctl_vms_new(&vms), 0);
        vms_add(vms, "off", false, "0000:06:00.0");
        vms_add(vms, "runs", true, "0000:06:00.0");
        vms_add(vms, "none", false, "0000:07:00.0");
        assert_null(vfioctl_vms_hugepages(vms, 0));
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(vfioctl_vms_set_hugepages(vms, i, &pages), 0);
        assert_int_equal(vfioctl_vms_set_hugepages(vms, 3, &pages), -EINVAL);
        for (size_t i = 0; i < 4; i++) {
                static const struct {
                        size_t n_pools;
                        uint64_t count, free;
                        const char *fix;
                } cases[] = {
                        {0, 0, 0, NULL},
                        {1, 16, 16, NULL},
                        {1, 20, 15, "echo 21 > /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"},
                        {2, 0, 0, "echo 16 > /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"},
                };
                facts->n_pools = cases[i].n_pools;
                facts->pools[0] = (struct page_pool){1 << 20, cases[i].count, cases[i].free};
                facts->pools[1] = (struct page_pool){2048, 100000, 100000};
                _cleanup_findings_ struct vfioctl_findings *findings = check_all(vms);
                const struct vfioctl_finding *finding = finding_by(findings, "hugepages", NULL);
                assert_int_equal(finding != NULL, cases[i].fix != NULL);
                if (!finding)
                        continue;
                assert_int_equal(finding->severity, VFIOCTL_WARNING);
                assert_string_equal(finding->culprit, "off");
                assert_string_equal(finding->fix, cases[i].fix);
        }
}

static void test_memory(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu();
        gpu->functions[0]->bars_unset = 1 << 0 | 1 << 2;
        finds("bar-unassigned", VFIOCTL_REFUSAL, "BAR 0, 2 of 0000:06:00.0");
        assert_false(vfioctl_gpu_is_ready(&f.snapshot, gpu));
        gpu = one_gpu();
        gpu->functions[0]->framebuffer = (char *)(uintptr_t) "efifb";
        finds("framebuffer", VFIOCTL_REFUSAL, "(efifb)");
        /* Of the display it is told once that it stays. */
        gpu->functions[0]->is_boot_vga = true;
        _cleanup_findings_ struct vfioctl_findings *findings = check_all(NULL);
        assert_null(finding_by(findings, "framebuffer", NULL));
        assert_non_null(finding_by(findings, "boot-display", NULL));
}

/* As the kernel has it: what lacks ACS and what is below it are one group, unless it is told to think
 * otherwise. */
static void test_override(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu();
        struct vfioctl_function *port = fixture_port(&f, gpu, "0000:00:02.0", VFIOCTL_PCIE_ROOT_PORT, false);
        set_cmdline("pcie_acs_override=downstream");
        finds_nothing();
        port->group = 3;
        finds("acs-override", VFIOCTL_WARNING, "0000:00:02.0 (root port)");
        port->has_acs = true;
        finds_nothing();
        port->has_acs = false;
        /* A quirk of the kernel's own, for ports that isolate and do not say so. */
        set_cmdline("quiet");
        finds_nothing();
}

static void test_future(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu();
        struct vfioctl_gpu *other = fixture_gpu(&f, "2b", "0000:07:00.0", 0, 0, 11, "amdgpu");
        struct vfioctl_function *port = fixture_port(&f, gpu, "0000:00:02.0", VFIOCTL_PCIE_ROOT_PORT, false);
        port->secondary_bus = 2;
        port->subordinate_bus = 6;
        gpu->group = other->group = NULL;
        f.snapshot.has_iommu = false;
        _cleanup_findings_ struct vfioctl_findings *findings = check_all(NULL);
        assert_null(finding_by(findings, "acs-missing", NULL));
        port->subordinate_bus = 7;
        finds("acs-missing", VFIOCTL_WARNING, "0000:00:02.0 (root port): SV RR CR UF missing");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cmdline),     cmocka_unit_test(test_acs),
                cmocka_unit_test(test_good),        cmocka_unit_test(test_without_facts),
                cmocka_unit_test(test_links),       cmocka_unit_test(test_window),
                cmocka_unit_test(test_window_size), cmocka_unit_test(test_pages),
                cmocka_unit_test(test_memory),      cmocka_unit_test(test_override),
                cmocka_unit_test(test_future),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
