/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#define DEVICES "/sys/bus/pci/devices/"
#define DRIVERS "/sys/bus/pci/drivers/"
#define PROBE   "/sys/bus/pci/drivers_probe"

static struct fixture f;
static struct vfioctl_gpu *gpu;

static void set_up_gpu(const char *driver, const char *companion)
{
        fixture_init(&f);
        gpu = fixture_gpu(&f, "2a", "0000:06:00.0", 0, 0, 10, driver);
        gpu->functions[0]->modalias = (char *)(uintptr_t) "pci:gpu";
        (void)fixture_companion(&f, gpu, "0000:06:00.1", 10, companion);
        gpu->functions[1]->modalias = (char *)(uintptr_t) "pci:audio";
}

static struct vfioctl_plan *plan_mode(enum vfioctl_mode mode)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        struct vfioctl_plan *plan = NULL;

        assert_int_equal(vfioctl_intent_new(&intent), 0);
        assert_int_equal(vfioctl_intent_set_mode(intent, gpu, mode), 0);
        assert_int_equal(vfioctl_plan_new(&f.snapshot, NULL, intent, 0, &plan), 0);
        return plan;
}

/* The writes, in order; a module as "load NAME", a definition as "define VM". */
static void assert_steps(const struct vfioctl_plan *plan, const char *const *expected)
{
        _cleanup_free_ char *dump = plan_dump(plan);
        size_t n = 0;

        for (; expected[n]; n++) {
                char text[512];
                const struct vfioctl_step *step = vfioctl_plan_step(plan, n);
                if (!step)
                        fail_msg("no step %zu (%s) in: %s", n, expected[n], dump);
                if (vfioctl_step_attribute(step))
                        (void)snprintf(text, sizeof(text), "%s = %s", vfioctl_step_attribute(step),
                                       vfioctl_step_value(step));
                else if (vfioctl_step_vm(step))
                        (void)snprintf(text, sizeof(text), "define %s", vfioctl_step_vm(step));
                else
                        (void)snprintf(text, sizeof(text), "load %s", step->module);
                if (!util_equal(text, expected[n]))
                        fail_msg("step %zu is '%s', not '%s'; all: %s", n, text, expected[n], dump);
                assert_non_null(vfioctl_step_text(step));
                assert_null(strchr(vfioctl_step_text(step), '\n'));
        }
        if (vfioctl_plan_step_count(plan) != n)
                fail_msg("%zu steps and not %zu: %s", vfioctl_plan_step_count(plan), n, dump);
        assert_null(vfioctl_plan_step(plan, n));
}

#define STEPS(...)                                                                                           \
        (const char *const[])                                                                                \
        {                                                                                                    \
                __VA_ARGS__, NULL                                                                            \
        }

static void test_to_vm(void **state)
{
        (void)state;
        set_up_gpu("amdgpu", "snd_hda_intel");
        f.snapshot.has_vfio_driver = false;
        _cleanup_plan_ struct vfioctl_plan *plan = plan_mode(VFIOCTL_MODE_VM);
        /* The module first; companions before the GPU; the override before the unbind. */
        assert_steps(plan, STEPS("load vfio-pci", DEVICES "0000:06:00.1/driver_override = vfio-pci",
                                 DRIVERS "snd_hda_intel/unbind = 0000:06:00.1", PROBE " = 0000:06:00.1",
                                 DEVICES "0000:06:00.0/driver_override = vfio-pci",
                                 DRIVERS "amdgpu/unbind = 0000:06:00.0", PROBE " = 0000:06:00.0"));
        assert_non_null(vfioctl_step_irreversible(vfioctl_plan_step(plan, 0)));
        assert_null(vfioctl_step_gpu(vfioctl_plan_step(plan, 0)));
        for (size_t i = 1; i < 7; i++) {
                const struct vfioctl_step *step = vfioctl_plan_step(plan, i);
                assert_null(vfioctl_step_irreversible(step));
                assert_string_equal(vfioctl_step_gpu(step), "0000:06:00.0");
                assert_string_equal(step->function, i < 4 ? "0000:06:00.1" : "0000:06:00.0");
                assert_true(step->n_undo > 0);
                assert_int_equal(step->group, 10);
        }
        assert_int_equal(plan->n_gpus, 1);
        assert_string_equal(plan->gpus[0].address, "0000:06:00.0");

        const struct vfioctl_step *override = plan->steps[4], *unbind = plan->steps[5],
                                  *probe = plan->steps[6];
        assert_true(override->has_expected);
        assert_null(override->expected);
        assert_int_equal(override->write.wait.kind, WAIT_OVERRIDE);
        assert_string_equal(override->write.wait.value, VFIO_DRIVER);
        assert_string_equal(override->undo[0].value, "");
        assert_null(override->undo[0].wait.value);
        assert_true(unbind->expects_driver);
        assert_string_equal(unbind->expected_driver, "amdgpu");
        assert_int_equal(unbind->write.wait.kind, WAIT_NO_DRIVER);
        /* While the override says vfio-pci, a bare bind would not do. */
        assert_int_equal(unbind->n_undo, 2);
        assert_string_equal(unbind->undo[0].attribute, DEVICES "0000:06:00.0/driver_override");
        assert_string_equal(unbind->undo[0].value, "amdgpu");
        assert_string_equal(unbind->undo[1].attribute, PROBE);
        assert_int_equal(unbind->undo[1].wait.kind, WAIT_DRIVER);
        assert_string_equal(unbind->undo[1].wait.value, "amdgpu");
        assert_int_equal(probe->write.wait.kind, WAIT_GROUP_NODE);
        assert_int_equal(probe->undo[0].wait.kind, WAIT_NO_DRIVER);
}

static void test_to_vm_half_way(void **state)
{
        (void)state;
        set_up_gpu("amdgpu", VFIO_DRIVER);
        gpu->functions[1]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        _cleanup_plan_ struct vfioctl_plan *plan = plan_mode(VFIOCTL_MODE_VM);
        assert_steps(plan, STEPS(DEVICES "0000:06:00.0/driver_override = vfio-pci",
                                 DRIVERS "amdgpu/unbind = 0000:06:00.0", PROBE " = 0000:06:00.0"));

        /* Driverless, and with somebody's override, which an undo must bring back. */
        set_up_gpu(NULL, VFIO_DRIVER);
        gpu->functions[1]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        gpu->functions[0]->driver_override = (char *)(uintptr_t) "nouveau";
        _cleanup_plan_ struct vfioctl_plan *other = plan_mode(VFIOCTL_MODE_VM);
        assert_steps(other,
                     STEPS(DEVICES "0000:06:00.0/driver_override = vfio-pci", PROBE " = 0000:06:00.0"));
        assert_string_equal(other->steps[0]->expected, "nouveau");
        assert_string_equal(other->steps[0]->undo[0].value, "nouveau");
        assert_string_equal(other->steps[0]->undo[0].wait.value, "nouveau");

        /* The override is there, the driver has not come. */
        set_up_gpu(NULL, VFIO_DRIVER);
        gpu->functions[1]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        gpu->functions[0]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        _cleanup_plan_ struct vfioctl_plan *third = plan_mode(VFIOCTL_MODE_VM);
        assert_steps(third, STEPS(PROBE " = 0000:06:00.0"));

        /* On vfio-pci, but with no override that would keep it there; one that cannot be read is left alone.
         */
        set_up_gpu(VFIO_DRIVER, VFIO_DRIVER);
        gpu->functions[0]->driver_override_known = false;
        _cleanup_plan_ struct vfioctl_plan *fourth = plan_mode(VFIOCTL_MODE_VM);
        assert_steps(fourth, STEPS(DEVICES "0000:06:00.1/driver_override = vfio-pci"));

        /* No step of its own puts back the override that an unbind's undo aims elsewhere: that undo does it.
         */
        set_up_gpu("amdgpu", VFIO_DRIVER);
        for (size_t i = 0; i < 2; i++)
                gpu->functions[i]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        _cleanup_plan_ struct vfioctl_plan *fifth = plan_mode(VFIOCTL_MODE_VM);
        assert_steps(fifth, STEPS(DRIVERS "amdgpu/unbind = 0000:06:00.0", PROBE " = 0000:06:00.0"));
        assert_int_equal(fifth->steps[0]->n_undo, 3);
        assert_string_equal(fifth->steps[0]->undo[2].value, VFIO_DRIVER);
}

static void test_to_host(void **state)
{
        (void)state;
        set_up_gpu(VFIO_DRIVER, VFIO_DRIVER);
        for (size_t i = 0; i < 2; i++)
                gpu->functions[i]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        gpu->functions[0]->host_driver = (char *)(uintptr_t) "amdgpu";
        _cleanup_plan_ struct vfioctl_plan *plan = plan_mode(VFIOCTL_MODE_HOST);
        /* The GPU before its companions; a driver that is not known is looked for by alias. */
        assert_steps(
                plan,
                STEPS(DEVICES "0000:06:00.0/driver_override = ", DRIVERS "vfio-pci/unbind = 0000:06:00.0",
                      PROBE " = 0000:06:00.0", DEVICES "0000:06:00.1/driver_override = ",
                      DRIVERS "vfio-pci/unbind = 0000:06:00.1", "load pci:audio", PROBE " = 0000:06:00.1"));
        assert_string_equal(plan->steps[0]->expected, VFIO_DRIVER);
        assert_string_equal(plan->steps[0]->undo[0].value, VFIO_DRIVER);
        assert_null(plan->steps[0]->write.wait.value);
        assert_int_equal(plan->steps[2]->write.wait.kind, WAIT_DRIVER);
        assert_string_equal(plan->steps[2]->write.wait.value, "amdgpu");
        assert_true(plan->steps[5]->module_optional);
        assert_int_equal(plan->steps[6]->write.wait.kind, WAIT_ANY_DRIVER);
        assert_string_equal(plan->steps[1]->undo[1].wait.value, VFIO_DRIVER);

        /* Only an override is left over: it goes, and nothing is unbound. */
        set_up_gpu("amdgpu", "snd_hda_intel");
        gpu->functions[0]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        _cleanup_plan_ struct vfioctl_plan *left = plan_mode(VFIOCTL_MODE_HOST);
        assert_steps(left, STEPS(DEVICES "0000:06:00.0/driver_override = "));
        /* Somebody else's is none of ours. */
        set_up_gpu("amdgpu", "snd_hda_intel");
        gpu->functions[0]->driver_override = (char *)(uintptr_t) "amdgpu";
        _cleanup_plan_ struct vfioctl_plan *theirs = plan_mode(VFIOCTL_MODE_HOST);
        assert_int_equal(theirs->n_steps, 0);
}

/* Killed between the unbind and the probe of a companion: it is on its way back, and goes on. */
static void test_to_host_cut_off(void **state)
{
        (void)state;
        set_up_gpu("amdgpu", NULL);
        _cleanup_plan_ struct vfioctl_plan *never = plan_mode(VFIOCTL_MODE_HOST);
        assert_int_equal(never->n_steps, 0);
        gpu->functions[1]->host_driver = (char *)(uintptr_t) "snd_hda_intel";
        _cleanup_plan_ struct vfioctl_plan *known = plan_mode(VFIOCTL_MODE_HOST);
        assert_steps(known, STEPS(PROBE " = 0000:06:00.1"));
        assert_string_equal(known->steps[0]->write.wait.value, "snd_hda_intel");
        gpu->functions[1]->host_driver = NULL;
        gpu->half_done = VFIOCTL_MODE_HOST;
        _cleanup_plan_ struct vfioctl_plan *noted = plan_mode(VFIOCTL_MODE_HOST);
        assert_steps(noted, STEPS("load pci:audio", PROBE " = 0000:06:00.1"));
}

#define UUID "11111111-2222-3333-4444-555555555555"

static struct vfioctl_plan *plan_claim(const char *uuid, const char *name)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        struct vfioctl_plan *plan = NULL;

        assert_int_equal(vfioctl_intent_new(&intent), 0);
        if (name)
                assert_int_equal(vfioctl_intent_claim(intent, gpu,
                                                      &(struct vfioctl_claim){uuid, name, {4711, "12345"}}),
                                 0);
        else
                assert_int_equal(vfioctl_intent_release(intent, gpu, uuid), 0);
        assert_int_equal(vfioctl_plan_new(&f.snapshot, NULL, intent, 0, &plan), 0);
        return plan;
}

static void test_claim(void **state)
{
        (void)state;
        set_up_gpu("amdgpu", "snd_hda_intel");
        _cleanup_plan_ struct vfioctl_plan *plan = plan_claim(UUID, "a VM");
        /* Bound first: a start that is cut off leaves no claim. */
        assert_int_equal(plan->n_steps, 7);
        for (size_t i = 0; i < 6; i++)
                assert_int_equal(plan->steps[i]->kind, STEP_WRITE);
        const struct vfioctl_step *claim = plan->steps[6];
        assert_int_equal(claim->kind, STEP_CLAIM);
        assert_string_equal(claim->record, UUID " 4711 12345\na VM\n");
        assert_null(claim->expected);
        assert_string_equal(claim->function, "0000:06:00.0");
        assert_string_equal(vfioctl_step_attribute(claim), "/run/vfioctl/claims/0000:06:00.0");
        assert_contains(vfioctl_step_text(claim), "claim 0000:06:00.0 for VM ");
        assert_int_equal(plan->gpus[0].mode, VFIOCTL_MODE_VM);

        /* In mode vm nothing but the claim; the same claim again is nothing at all. */
        set_up_gpu(VFIO_DRIVER, VFIO_DRIVER);
        for (size_t i = 0; i < 2; i++)
                gpu->functions[i]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        _cleanup_plan_ struct vfioctl_plan *bound = plan_claim(UUID, "a VM");
        assert_int_equal(bound->n_steps, 1);
        assert_int_equal(bound->n_gpus, 1);
        assert_int_equal(bound->gpus[0].mode, VFIOCTL_MODE_NONE);
        gpu->claim.text = (char *)(uintptr_t)UUID " 4711 12345\na VM\n";
        gpu->claim.uuid = (char *)(uintptr_t)UUID;
        gpu->claim.name = (char *)(uintptr_t) "a VM";
        gpu->claim.is_live = true;
        _cleanup_plan_ struct vfioctl_plan *same = plan_claim(UUID, "a VM");
        assert_int_equal(same->n_steps, 0);
        assert_false(vfioctl_findings_have_refusal(same->findings));
        /* Another VM: no; nor may the host have it. When the daemon is gone: yes, over the old one. */
        _cleanup_plan_ struct vfioctl_plan *theirs = plan_claim("other", "b");
        assert_int_equal(theirs->n_steps, 0);
        const struct vfioctl_finding *finding = finding_by(theirs->findings, "claimed", "0000:06:00.0");
        assert_non_null(finding);
        assert_string_equal(finding->culprit, "a VM");
        assert_string_equal(finding->fix,
                            "virsh shutdown 'a VM' (or vfioctl reconcile, when it does not run)");
        _cleanup_plan_ struct vfioctl_plan *host = plan_mode(VFIOCTL_MODE_HOST);
        assert_non_null(finding_by(host->findings, "claimed", NULL));
        gpu->claim.is_live = false;
        _cleanup_plan_ struct vfioctl_plan *stale = plan_claim("other", "b");
        assert_int_equal(stale->n_steps, 1);
        assert_string_equal(stale->steps[0]->expected, gpu->claim.text);
}

static void test_release(void **state)
{
        (void)state;
        set_up_gpu(VFIO_DRIVER, VFIO_DRIVER);
        gpu->functions[0]->is_stuck = true;
        _cleanup_plan_ struct vfioctl_plan *none = plan_claim(UUID, NULL);
        assert_int_equal(none->n_steps, 0);
        gpu->claim.text = (char *)(uintptr_t)UUID " 4711 12345\na VM\n";
        gpu->claim.uuid = (char *)(uintptr_t)UUID;
        gpu->claim.is_live = true;
        /* Whatever is with the GPU: it is a note, and nothing is bound. */
        _cleanup_plan_ struct vfioctl_plan *plan = plan_claim(UUID, NULL);
        assert_int_equal(plan->n_steps, 1);
        assert_int_equal(plan->steps[0]->kind, STEP_CLAIM);
        assert_null(plan->steps[0]->record);
        assert_string_equal(plan->steps[0]->expected, gpu->claim.text);
        assert_contains(vfioctl_step_text(plan->steps[0]), "drop the claim on 0000:06:00.0");
}

static struct vfioctl_plan *plan_early(void)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        struct vfioctl_plan *plan = NULL;

        assert_int_equal(vfioctl_intent_new(&intent), 0);
        assert_int_equal(vfioctl_intent_set_mode(intent, gpu, VFIOCTL_MODE_VM), 0);
        assert_int_equal(vfioctl_plan_new(&f.snapshot, NULL, intent, VFIOCTL_PLAN_AIM, &plan), 0);
        return plan;
}

static void test_aim(void **state)
{
        (void)state;
        set_up_gpu(NULL, NULL);
        f.snapshot.has_vfio_driver = false;
        for (size_t i = 0; i < 2; i++)
                gpu->functions[i]->driver_override_known = true;
        _cleanup_plan_ struct vfioctl_plan *both = plan_early();
        assert_steps(both, STEPS(DEVICES "0000:06:00.0/driver_override = vfio-pci",
                                 DEVICES "0000:06:00.1/driver_override = vfio-pci"));
        assert_int_equal(both->n_gpus, 1);
        /* One that a driver has by now is for later, and what is aimed stays so. */
        gpu->functions[1]->driver = (char *)(uintptr_t) "snd_hda_intel";
        _cleanup_plan_ struct vfioctl_plan *one = plan_early();
        assert_steps(one, STEPS(DEVICES "0000:06:00.0/driver_override = vfio-pci"));
        gpu->functions[0]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        _cleanup_plan_ struct vfioctl_plan *none = plan_early();
        assert_int_equal(none->n_steps + none->n_gpus, 0);
        set_up_gpu(NULL, NULL);
        gpu->functions[0]->is_boot_vga = true;
        _cleanup_plan_ struct vfioctl_plan *display = plan_early();
        assert_int_equal(display->n_steps, 0);
        assert_non_null(finding_by(display->findings, "boot-display", NULL));
}

static void test_nothing_to_do(void **state)
{
        (void)state;
        set_up_gpu(VFIO_DRIVER, VFIO_DRIVER);
        for (size_t i = 0; i < 2; i++)
                gpu->functions[i]->driver_override = (char *)(uintptr_t)VFIO_DRIVER;
        _cleanup_plan_ struct vfioctl_plan *vm = plan_mode(VFIOCTL_MODE_VM);
        assert_int_equal(vfioctl_plan_step_count(vm), 0);
        assert_int_equal(vfioctl_findings_count(vfioctl_plan_findings(vm)), 0);
        assert_int_equal(vm->n_gpus, 0);
        /* Not even when it could not be done now: it is done. */
        gpu->functions[0]->is_boot_vga = true;
        fixture_holder(&f, gpu, 7, "qemu", NULL, "/dev/vfio/10");
        _cleanup_plan_ struct vfioctl_plan *again = plan_mode(VFIOCTL_MODE_VM);
        assert_int_equal(vfioctl_plan_step_count(again), 0);
        assert_int_equal(vfioctl_findings_count(vfioctl_plan_findings(again)), 0);

        set_up_gpu("amdgpu", "snd_hda_intel");
        fixture_holder(&f, gpu, 7, "blender", NULL, "/dev/dri/card0");
        _cleanup_plan_ struct vfioctl_plan *host = plan_mode(VFIOCTL_MODE_HOST);
        assert_int_equal(vfioctl_plan_step_count(host), 0);
        assert_int_equal(vfioctl_findings_count(vfioctl_plan_findings(host)), 0);
}

static void test_refusals(void **state)
{
        (void)state;
        for (int i = 0; i < 4; i++)
                for (int to_host = 0; to_host < 2; to_host++) {
                        set_up_gpu(to_host ? VFIO_DRIVER : "amdgpu", to_host ? VFIO_DRIVER : "snd_hda_intel");
                        const char *code = "stuck";
                        if (i == 0)
                                gpu->is_stuck = true;
                        if (i == 1) {
                                fixture_holder(&f, gpu, 7, "qemu", NULL, "/dev/vfio/10");
                                code = "in-use";
                        }
                        if (i == 2) {
                                gpu->functions[0]->is_boot_vga = true;
                                code = to_host ? NULL : "boot-display";
                        }
                        if (i == 3) {
                                (void)fixture_function(&f, "0000:05:00.0", 10, "nvme");
                                code = to_host ? NULL : "group-shared";
                        }
                        _cleanup_plan_ struct vfioctl_plan *plan =
                                plan_mode(to_host ? VFIOCTL_MODE_HOST : VFIOCTL_MODE_VM);
                        assert_int_equal(plan->n_steps == 0, code != NULL);
                        assert_int_equal(vfioctl_findings_have_refusal(plan->findings), code != NULL);
                        if (code) {
                                assert_non_null(finding_by(plan->findings, code, "0000:06:00.0"));
                                assert_int_equal(plan->n_gpus, 0);
                        }
                }
}

static void test_assign(void **state)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        _cleanup_plan_ struct vfioctl_plan *plan = NULL, *shared = NULL, *refused = NULL;

        (void)state;
        set_up_gpu("amdgpu", "snd_hda_intel");
        struct vfioctl_gpu *first = gpu;
        struct vfioctl_gpu *second = fixture_gpu(&f, "2b", "0000:02:00.0", 0, 0, 11, NULL);
        assert_int_equal(vfioctl_intent_new(&intent), 0);
        assert_int_equal(vfioctl_intent_assign(intent, first, "game1"), 0);
        assert_int_equal(vfioctl_intent_assign(intent, second, "game1"), 0);
        assert_int_equal(vfioctl_intent_define(intent, "game2"), 0);
        assert_string_equal(vfioctl_intent_vm(intent, second), "game1");
        assert_null(vfioctl_intent_vm(intent, NULL));
        assert_int_equal(vfioctl_intent_assign(intent, second, "game2"), -EEXIST);
        assert_int_equal(vfioctl_intent_set_mode(intent, second, VFIOCTL_MODE_HOST), -EEXIST);
        assert_int_equal(vfioctl_plan_new(&f.snapshot, NULL, intent, 0, &plan), 0);
        /* Definitions last, one a VM; the locks in the order of addresses, whatever the order asked for. */
        assert_steps(plan, STEPS(DEVICES "0000:06:00.1/driver_override = vfio-pci",
                                 DRIVERS "snd_hda_intel/unbind = 0000:06:00.1", PROBE " = 0000:06:00.1",
                                 DEVICES "0000:06:00.0/driver_override = vfio-pci",
                                 DRIVERS "amdgpu/unbind = 0000:06:00.0", PROBE " = 0000:06:00.0",
                                 DEVICES "0000:02:00.0/driver_override = vfio-pci", PROBE " = 0000:02:00.0",
                                 "define game1", "define game2"));
        assert_int_equal(plan->n_gpus, 2);
        assert_string_equal(plan->gpus[0].address, "0000:02:00.0");
        assert_string_equal(plan->gpus[1].address, "0000:06:00.0");

        assert_int_equal(vfioctl_vms_new(&vms), 0);
        vms_add(vms, "old", false, "0000:02:00.0");
        assert_int_equal(vfioctl_plan_new(&f.snapshot, vms, intent, 0, &refused), 0);
        assert_int_equal(refused->n_steps, 0);
        assert_non_null(finding_by(refused->findings, "assigned", "0000:02:00.0"));
        assert_null(finding_by(refused->findings, "assigned", "0000:06:00.0"));
        assert_int_equal(vfioctl_plan_new(&f.snapshot, vms, intent, VFIOCTL_PLAN_SHARE, &shared), 0);
        assert_int_equal(shared->n_steps, 10);
        assert_int_equal(finding_by(shared->findings, "assigned", "0000:02:00.0")->severity, VFIOCTL_NOTE);
}

static void test_group_in_an_intent(void **state)
{
        (void)state;
        for (int i = 0; i < 3; i++) {
                _cleanup_intent_ struct vfioctl_intent *intent = NULL;
                _cleanup_plan_ struct vfioctl_plan *plan = NULL;
                set_up_gpu("amdgpu", "snd_hda_intel");
                struct vfioctl_gpu *sibling = fixture_gpu(&f, "2b", "0000:0a:00.0", 0, 0, 10, "amdgpu");
                assert_int_equal(vfioctl_intent_new(&intent), 0);
                assert_int_equal(vfioctl_intent_assign(intent, gpu, "game1"), 0);
                if (i > 0)
                        assert_int_equal(vfioctl_intent_assign(intent, sibling, i == 1 ? "game1" : "game2"),
                                         0);
                assert_int_equal(vfioctl_plan_new(&f.snapshot, NULL, intent, 0, &plan), 0);
                /* Alone, or with the sibling for another VM: no. Both for one VM: yes. */
                assert_int_equal(plan->n_steps > 0, i == 1);
                if (i != 1)
                        assert_non_null(finding_by(plan->findings, "group-shared", "0000:06:00.0"));
        }
}

static void test_wrong_intents(void **state)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        _cleanup_plan_ struct vfioctl_plan *plan = NULL;

        (void)state;
        set_up_gpu("amdgpu", NULL);
        assert_int_equal(vfioctl_intent_new(&intent), 0);
        assert_int_equal(vfioctl_intent_set_mode(intent, NULL, VFIOCTL_MODE_VM), -EINVAL);
        assert_int_equal(vfioctl_intent_set_mode(intent, gpu, VFIOCTL_MODE_NONE), -EINVAL);
        assert_int_equal(vfioctl_intent_assign(intent, NULL, "x"), -EINVAL);
        assert_int_equal(vfioctl_intent_assign(intent, gpu, NULL), -EINVAL);
        assert_int_equal(vfioctl_intent_define(intent, NULL), -EINVAL);
        assert_null(vfioctl_intent_free(NULL));
        assert_null(vfioctl_plan_free(NULL));
        assert_int_equal(vfioctl_plan_new(&f.snapshot, NULL, intent, 0, &plan), 0);
        assert_int_equal(plan->n_steps, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_to_vm),
                cmocka_unit_test(test_to_vm_half_way),
                cmocka_unit_test(test_to_host),
                cmocka_unit_test(test_to_host_cut_off),
                cmocka_unit_test(test_claim),
                cmocka_unit_test(test_release),
                cmocka_unit_test(test_aim),
                cmocka_unit_test(test_nothing_to_do),
                cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_assign),
                cmocka_unit_test(test_group_in_an_intent),
                cmocka_unit_test(test_wrong_intents),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
