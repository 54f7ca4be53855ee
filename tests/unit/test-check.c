/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

static struct fixture f;

static struct vfioctl_findings *check(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms)
{
        struct vfioctl_findings *findings = NULL;

        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_check(&f.snapshot, vms, gpu, findings), 0);
        return findings;
}

/* The GPU has exactly this refusal, and is not ready; the finding names this culprit. */
static void refuses(const struct vfioctl_gpu *gpu, const char *code, const char *culprit, const char *says)
{
        _cleanup_findings_ struct vfioctl_findings *findings = check(gpu, NULL);
        const struct vfioctl_finding *finding = finding_by(findings, code, gpu->functions[0]->text);

        if (!finding) {
                _cleanup_free_ char *text = findings_dump(findings);
                fail_msg("no %s among: %s", code, text);
                return;
        }
        assert_int_equal(finding->severity, VFIOCTL_REFUSAL);
        assert_string_equal(finding->culprit, culprit);
        assert_contains(finding->text, says);
        assert_false(vfioctl_gpu_is_ready(&f.snapshot, gpu));
}

static struct vfioctl_gpu *one_gpu(const char *driver)
{
        fixture_init(&f);
        struct vfioctl_gpu *gpu = fixture_gpu(&f, "2a", "0000:06:00.0", 0, 0, 10, driver);
        (void)fixture_companion(&f, gpu, "0000:06:00.1", 10, "snd_hda_intel");
        return gpu;
}

static void test_nothing_to_say(void **state)
{
        static const char *const drivers[] = {"amdgpu", VFIO_DRIVER, NULL};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(drivers); i++) {
                struct vfioctl_gpu *gpu = one_gpu(drivers[i]);
                _cleanup_findings_ struct vfioctl_findings *findings = check(NULL, NULL);
                assert_int_equal(vfioctl_findings_count(findings), 0);
                assert_true(vfioctl_gpu_is_ready(&f.snapshot, gpu));
        }
}

static void test_host_displays(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("nvidia");
        gpu->functions[0]->is_boot_vga = true;
        assert_true(vfioctl_gpu_is_boot_display(gpu));
        refuses(gpu, "boot-display", "0000:06:00.0", "boot_vga");
        gpu = one_gpu("nvidia");
        gpu->functions[0]->is_console = true;
        refuses(gpu, "boot-display", "0000:06:00.0", "console");
        gpu = one_gpu("ast");
        gpu->on_board = true;
        refuses(gpu, "boot-display", "0000:06:00.0", "board");
}

static void test_needs(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        gpu->functions[1]->host_use = (char *)(uintptr_t) "carries the swap /dev/sdb";
        refuses(gpu, "host-needs", "0000:06:00.1", "/dev/sdb");
        gpu = one_gpu("amdgpu");
        gpu->functions[0]->vfs_enabled = 3;
        refuses(gpu, "vfs-enabled", "0000:06:00.0", "3 virtual");
        gpu = one_gpu("amdgpu");
        gpu->is_stuck = true;
        refuses(gpu, "stuck", "0000:06:00.0", "kernel");
        gpu = one_gpu("amdgpu");
        gpu->group = NULL;
        refuses(gpu, "no-iommu", "0000:06:00.0", "no IOMMU group");
        f.snapshot.has_iommu = false;
        refuses(gpu, "no-iommu", "0000:06:00.0", "is off");
}

static void test_group(void **state)
{
        static const char *const harmless[] = {NULL, VFIO_DRIVER, "pci-stub", "pcieport"};
        static const char *const blocks[] = {"nvme", "amdgpu", "vfio-pci-core", "", "vfio"};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(harmless); i++) {
                struct vfioctl_gpu *gpu = one_gpu("amdgpu");
                (void)fixture_function(&f, "0000:05:00.0", 10, harmless[i]);
                struct vfioctl_function *bridge = fixture_function(&f, "0000:04:00.0", 10, "anything");
                bridge->is_bridge = true;
                assert_true(vfioctl_gpu_is_ready(&f.snapshot, gpu));
        }
        for (size_t i = 0; i < ELEMENTSOF(blocks); i++) {
                struct vfioctl_gpu *gpu = one_gpu("amdgpu");
                (void)fixture_function(&f, "0000:05:00.0", 10, blocks[i]);
                refuses(gpu, "group-shared", "0000:05:00.0", "group 10");
        }
        /* All of its members are named, with their drivers, and the port that does not isolate. */
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        (void)fixture_function(&f, "0000:05:00.0", 10, "nvme");
        (void)fixture_function(&f, "0000:07:00.0", 10, NULL);
        (void)fixture_port(&f, gpu, "0000:00:02.0", VFIOCTL_PCIE_ROOT_PORT, true);
        (void)fixture_port(&f, gpu, "0000:03:00.0", VFIOCTL_PCIE_DOWNSTREAM, false);
        refuses(gpu, "group-shared", "0000:05:00.0", "0000:06:00.0 (amdgpu)");
        refuses(gpu, "group-shared", "0000:05:00.0", "0000:06:00.1 (snd_hda_intel)");
        refuses(gpu, "group-shared", "0000:05:00.0", "0000:07:00.0 (no driver)");
        refuses(gpu, "group-shared", "0000:05:00.0", "2 bridges");
        refuses(gpu, "group-shared", "0000:05:00.0", "port 0000:03:00.0 (downstream port)");
        _cleanup_findings_ struct vfioctl_findings *findings = check(gpu, NULL);
        assert_lacks(finding_by(findings, "group-shared", NULL)->text, "0000:00:02.0");
        assert_string_equal(finding_by(findings, "group-shared", NULL)->fix,
                            "echo 0000:05:00.0 > /sys/bus/pci/drivers/nvme/unbind");
}

static void test_group_with_the_root_disk(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        struct vfioctl_function *disk = fixture_function(&f, "0000:05:00.0", 10, "nvme");
        disk->host_use = (char *)(uintptr_t) "carries the mounted /";
        refuses(gpu, "host-needs", "0000:05:00.0", "carries the mounted /");
        /* Nobody may be told to unbind the disk that the host runs from. */
        _cleanup_findings_ struct vfioctl_findings *findings = check(gpu, NULL);
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (finding->fix)
                        assert_lacks(finding->fix, "unbind");
        }
}

/* More members than a sentence has room for: cut, never overrun. */
static void test_crowded_group(void **state)
{
        char address[16][16];

        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        for (unsigned int i = 0; i < 14; i++) {
                (void)snprintf(address[i], sizeof(address[i]), "0000:05:%02x.0", i);
                (void)fixture_function(
                        &f, address[i], 10,
                        "a-driver-with-a-name-that-is-longer-than-any-driver-of-the-kernel-so-that-"
                        "fourteen-of-them-are-more-than-a-page-of-text-in-one-line-of-a-message");
        }
        refuses(gpu, "group-shared", "0000:05:00.0", "group 10");
}

static void test_holders(void **state)
{
        static const struct {
                const char *unit, *culprit, *fix;
        } cases[] = {
                {"ollama.service", "ollama.service, pid 7 (x)", "systemctl stop ollama.service"},
                {"container 3f2a9c0d1e4b", "container 3f2a9c0d1e4b, pid 7 (x)", "docker stop 3f2a9c0d1e4b"},
                {"machine-qemu\\x2d1\\x2dgame1.scope", "machine-qemu\\x2d1\\x2dgame1.scope, pid 7 (x)",
                 "virsh list"},
                {"session-3.scope", "session-3.scope, pid 7 (x)", "kill 7"},
                {NULL, "pid 7 (x)", "kill 7"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct vfioctl_gpu *gpu = one_gpu("amdgpu");
                fixture_holder(&f, gpu, 7, "x", cases[i].unit, "/dev/dri/card0");
                _cleanup_findings_ struct vfioctl_findings *findings = check(gpu, NULL);
                const struct vfioctl_finding *finding = finding_by(findings, "in-use", NULL);
                assert_non_null(finding);
                /* Present use is no fault of the GPU. */
                assert_int_equal(finding->severity, VFIOCTL_NOTE);
                assert_true(vfioctl_gpu_is_ready(&f.snapshot, gpu));
                assert_string_equal(finding->culprit, cases[i].culprit);
                assert_contains(finding->fix, cases[i].fix);
                assert_contains(finding->text, "/dev/dri/card0");
        }
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        gpu->holders_known = false;
        _cleanup_findings_ struct vfioctl_findings *findings = check(gpu, NULL);
        assert_non_null(finding_by(findings, "holders-unknown", "0000:06:00.0"));
}

static void test_assigned(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;

        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        assert_int_equal(vfioctl_vms_new(&vms), 0);
        vms_add(vms, "game1", true, "0000:06:00.1");
        vms_add(vms, "game2", false, "0000:07:00.0");
        _cleanup_findings_ struct vfioctl_findings *findings = check(gpu, vms);
        assert_int_equal(vfioctl_findings_count(findings), 1);
        const struct vfioctl_finding *finding = finding_by(findings, "assigned", "0000:06:00.0");
        assert_non_null(finding);
        assert_string_equal(finding->culprit, "game1 (running)");
        assert_int_equal(finding->severity, VFIOCTL_NOTE);
}

static void test_one_or_all(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        struct vfioctl_gpu *other = fixture_gpu(&f, "2b", "0000:0a:00.0", 0, 0, 11, "amdgpu");
        gpu->is_stuck = other->is_stuck = true;
        _cleanup_findings_ struct vfioctl_findings *one = check(gpu, NULL), *all = check(NULL, NULL);
        assert_int_equal(vfioctl_findings_count(one), 1);
        assert_int_equal(vfioctl_findings_count(all), 2);
}

static void test_mode(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        assert_int_equal(vfioctl_gpu_mode(gpu), VFIOCTL_MODE_HOST);
        assert_true(gpu_is_in_mode(gpu, VFIOCTL_MODE_HOST));
        assert_false(gpu_is_in_mode(gpu, VFIOCTL_MODE_VM));
        /* Half way is neither. */
        gpu->functions[0]->driver = (char *)(uintptr_t)VFIO_DRIVER;
        assert_false(gpu_is_in_mode(gpu, VFIOCTL_MODE_HOST));
        assert_false(gpu_is_in_mode(gpu, VFIOCTL_MODE_VM));
        gpu->functions[1]->driver = (char *)(uintptr_t)VFIO_DRIVER;
        assert_true(gpu_is_in_mode(gpu, VFIOCTL_MODE_VM));
        /* An override that still points at vfio-pci is not "host". */
        gpu = one_gpu("amdgpu");
        gpu->functions[1]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        assert_false(gpu_is_in_mode(gpu, VFIOCTL_MODE_HOST));
        gpu = one_gpu(NULL);
        assert_int_equal(vfioctl_gpu_mode(gpu), VFIOCTL_MODE_NONE);
        assert_false(gpu_is_in_mode(gpu, VFIOCTL_MODE_HOST));
        assert_string_equal(vfioctl_mode_name(VFIOCTL_MODE_VM), "vm");
        assert_string_equal(vfioctl_mode_name(VFIOCTL_MODE_HOST), "host");
        assert_string_equal(vfioctl_mode_name(VFIOCTL_MODE_NONE), "none");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_to_say),
                cmocka_unit_test(test_host_displays),
                cmocka_unit_test(test_needs),
                cmocka_unit_test(test_group),
                cmocka_unit_test(test_group_with_the_root_disk),
                cmocka_unit_test(test_crowded_group),
                cmocka_unit_test(test_holders),
                cmocka_unit_test(test_assigned),
                cmocka_unit_test(test_one_or_all),
                cmocka_unit_test(test_mode),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
