/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

static struct fixture f;
static const struct vfioctl_address function = {.bus = 6};

static struct vfioctl_gpu *one_gpu(const char *driver)
{
        fixture_init(&f);
        struct vfioctl_gpu *gpu = fixture_gpu(&f, "2a", "0000:06:00.0", 0, 0, 10, driver);
        gpu->identity = (char *)(uintptr_t) "0000 root 02.0/00.0 1002:6864";
        return gpu;
}

static struct vfioctl_vms *one_vm(bool defines, bool runs)
{
        struct vfioctl_vms *vms = NULL;

        assert_int_equal(vfioctl_vms_new(&vms), 0);
        assert_int_equal(vfioctl_vms_add(vms, "vm1", "u1", runs), 0);
        if (defines)
                assert_int_equal(vfioctl_vms_add_device(vms, 0, &function), 0);
        if (runs)
                assert_int_equal(vfioctl_vms_add_running_device(vms, 0, &function), 0);
        return vms;
}

static void record(struct vfioctl_vms *vms, const char *identity, uint8_t bus, bool edited)
{
        const struct vfioctl_address address = {.bus = bus};
        const struct vfioctl_assignment assignment = {"2a", identity, &address, 1, edited};

        assert_int_equal(vfioctl_vms_add_assignment(vms, 0, &assignment), 0);
}

static enum vfioctl_mode wanted(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms, bool live)
{
        enum vfioctl_mode mode = (enum vfioctl_mode)77;

        assert_int_equal(vfioctl_wanted_mode(&f.snapshot, vms, gpu, live, NULL, &mode), 0);
        return mode;
}

static void test_ours(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *none = one_vm(false, false), *vms = one_vm(true, false);
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        enum vfioctl_mode mode;

        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        assert_int_equal(wanted(gpu, none, true), VFIOCTL_MODE_NONE);
        gpu->is_ours = true;
        gpu->idle = VFIOCTL_MODE_VM;
        assert_int_equal(wanted(gpu, NULL, false), VFIOCTL_MODE_VM);
        gpu->idle = VFIOCTL_MODE_HOST;
        /* Whether some VM is given it is not known. */
        assert_int_equal(wanted(gpu, NULL, false), VFIOCTL_MODE_NONE);
        assert_int_equal(wanted(gpu, NULL, true), VFIOCTL_MODE_HOST);
        assert_int_equal(wanted(gpu, none, false), VFIOCTL_MODE_HOST);
        assert_int_equal(wanted(gpu, vms, true), VFIOCTL_MODE_HOST);
        /* A VM that starts without the hook would take it from whoever uses it. */
        assert_int_equal(wanted(gpu, vms, false), VFIOCTL_MODE_VM);
        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_wanted_mode(&f.snapshot, vms, gpu, true, findings, &mode), 0);
        assert_int_equal(vfioctl_findings_count(findings), 0);
        assert_int_equal(vfioctl_wanted_mode(&f.snapshot, vms, gpu, false, findings, &mode), 0);
        assert_non_null(finding_by(findings, "hook-not-live", "0000:06:00.0"));
}

static void test_displays(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *none = one_vm(false, false), *vms = one_vm(true, false);

        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        gpu->is_ours = true;
        gpu->idle = VFIOCTL_MODE_VM;
        gpu->functions[0]->is_boot_vga = true;
        assert_int_equal(wanted(gpu, none, true), VFIOCTL_MODE_NONE);
        assert_int_equal(wanted(gpu, NULL, true), VFIOCTL_MODE_NONE);
        /* Somebody ought to hear of that. */
        assert_int_equal(wanted(gpu, vms, true), VFIOCTL_MODE_VM);
        gpu->on_board = true;
        assert_int_equal(wanted(gpu, vms, true), VFIOCTL_MODE_NONE);
}

static void test_assigned(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = one_vm(false, false), *by_hand = one_vm(true, false);

        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        assert_false(vfioctl_gpu_is_assigned(&f.snapshot, NULL, gpu));
        assert_false(vfioctl_gpu_is_assigned(&f.snapshot, vms, gpu));
        /* A definition that somebody wrote by hand leaves the mode to libvirt. */
        assert_true(vfioctl_gpu_is_assigned(&f.snapshot, by_hand, gpu));
        assert_int_equal(wanted(gpu, by_hand, true), VFIOCTL_MODE_NONE);
        record(vms, "0000 root 02.0/00.0 1002:6864", 9, true);
        assert_int_equal(wanted(gpu, vms, true), VFIOCTL_MODE_NONE);
        record(vms, "0000 root 02.0/00.0 1002:9999", 6, false);
        assert_int_equal(wanted(gpu, vms, true), VFIOCTL_MODE_NONE);
        record(vms, "0000 root 02.0/00.0 1002:6864", 9, false);
        assert_int_equal(wanted(gpu, vms, true), VFIOCTL_MODE_VM);
        assert_true(vfioctl_gpu_is_assigned(&f.snapshot, vms, gpu));
}

static void test_half_done(void **state)
{
        (void)state;
        struct vfioctl_gpu *gpu = one_gpu(NULL);
        gpu->half_done = VFIOCTL_MODE_HOST;
        assert_int_equal(wanted(gpu, NULL, true), VFIOCTL_MODE_HOST);
        gpu->is_ours = true;
        gpu->idle = VFIOCTL_MODE_VM;
        assert_int_equal(wanted(gpu, NULL, true), VFIOCTL_MODE_VM);
}

static void test_in_use(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *off = one_vm(true, false), *runs = one_vm(false, true);

        (void)state;
        struct vfioctl_gpu *gpu = one_gpu("amdgpu");
        assert_false(vfioctl_gpu_is_in_use(gpu, NULL));
        assert_false(vfioctl_gpu_is_in_use(gpu, off));
        assert_true(vfioctl_gpu_is_in_use(gpu, runs));
        gpu->claim.is_live = true;
        assert_true(vfioctl_gpu_is_in_use(gpu, NULL));
        gpu->claim.uuid = (char *)(uintptr_t) "u1";
        assert_true(vfioctl_gpu_is_in_use(gpu, NULL));
        assert_true(vfioctl_gpu_is_in_use(gpu, runs));
        /* It is stale, and about to be dropped. */
        assert_false(vfioctl_gpu_is_in_use(gpu, off));
        /* The host's own users are told when it is to be taken from them. */
        gpu = one_gpu("amdgpu");
        fixture_holder(&f, gpu, 7, "x", NULL, "/dev/dri/card0");
        assert_false(vfioctl_gpu_is_in_use(gpu, off));
        gpu = one_gpu(VFIO_DRIVER);
        fixture_holder(&f, gpu, 7, "qemu", NULL, "/dev/vfio/10");
        assert_true(vfioctl_gpu_is_in_use(gpu, NULL));
}

static void test_stale(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *off = one_vm(true, false), *runs = one_vm(false, true);

        (void)state;
        struct vfioctl_gpu *gpu = one_gpu(VFIO_DRIVER);
        assert_false(vfioctl_gpu_claim_is_stale(gpu, off));
        gpu->claim.uuid = (char *)(uintptr_t) "u1";
        assert_true(vfioctl_gpu_claim_is_stale(gpu, off));
        assert_true(vfioctl_gpu_claim_is_stale(gpu, NULL));
        assert_false(vfioctl_gpu_claim_is_stale(gpu, runs));
        gpu->claim.is_live = true;
        assert_true(vfioctl_gpu_claim_is_stale(gpu, off));
        assert_false(vfioctl_gpu_claim_is_stale(gpu, NULL));
        fixture_holder(&f, gpu, 7, "qemu", NULL, "/dev/vfio/10");
        assert_false(vfioctl_gpu_claim_is_stale(gpu, off));
}

static void tells(struct vfioctl_vms *vms, size_t index, const char *code, enum vfioctl_severity severity,
                  const char *fix)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_check_assignment(&f.snapshot, vms, 0, index, findings), 0);
        if (!code) {
                assert_int_equal(vfioctl_findings_count(findings), 0);
                return;
        }
        const struct vfioctl_finding *finding = finding_by(findings, code, NULL);
        assert_non_null(finding);
        assert_int_equal(finding->severity, severity);
        assert_contains(finding->text, "vm1");
        if (fix)
                assert_contains(finding->fix, fix);
        else
                assert_null(finding->fix);
}

static void test_told(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = one_vm(true, false), *runs = one_vm(true, true);
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        (void)state;
        struct vfioctl_gpu *gpu = one_gpu(VFIO_DRIVER);
        gpu->card = (char *)(uintptr_t) "V340";
        record(vms, gpu->identity, 6, false);
        record(vms, gpu->identity, 9, false);
        record(vms, gpu->identity, 6, true);
        record(vms, "0000 root 02.0/00.0 10de:0001", 6, false);
        record(vms, "0000 root 03.0/00.0 10de:0001", 9, false);
        record(runs, gpu->identity, 9, false);
        tells(vms, 0, NULL, VFIOCTL_NOTE, NULL);
        tells(vms, 1, "moved", VFIOCTL_REFUSAL, "vfioctl reconcile");
        tells(vms, 2, "edited", VFIOCTL_WARNING, NULL);
        tells(vms, 3, "swapped", VFIOCTL_REFUSAL, "unassign");
        tells(vms, 4, "gone", VFIOCTL_REFUSAL, "put it back, or vfioctl unassign vm1 --gpu 0000:09:00.0");
        tells(runs, 0, "moved", VFIOCTL_REFUSAL, "shut it down");
        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_check_assignment(&f.snapshot, vms, 0, 5, findings), -EINVAL);
        assert_int_equal(vfioctl_check_assignment(&f.snapshot, vms, 1, 0, findings), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ours),   cmocka_unit_test(test_displays),
                cmocka_unit_test(test_stale),  cmocka_unit_test(test_assigned),
                cmocka_unit_test(test_in_use), cmocka_unit_test(test_half_done),
                cmocka_unit_test(test_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
