/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

static const struct vfioctl_finding sample = {.severity = VFIOCTL_WARNING,
                                              .code = "in-use",
                                              .gpu = "0000:06:00.0",
                                              .culprit = "pid 1",
                                              .text = "text",
                                              .fix = "kill 1"};

static void test_once(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        struct vfioctl_finding other;

        (void)state;
        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_findings_count(findings), 0);
        assert_null(vfioctl_findings_get(findings, 0));
        for (int i = 0; i < 3; i++)
                assert_int_equal(vfioctl_findings_add(findings, &sample), 0);
        assert_int_equal(vfioctl_findings_count(findings), 1);

        /* Each member makes a difference, also between a text and none. */
        size_t expected = 1;
        other = sample;
        other.severity = VFIOCTL_NOTE;
        assert_int_equal(vfioctl_findings_add(findings, &other), 0);
        assert_int_equal(vfioctl_findings_count(findings), ++expected);
        const size_t members[] = {
                offsetof(struct vfioctl_finding, code), offsetof(struct vfioctl_finding, gpu),
                offsetof(struct vfioctl_finding, culprit), offsetof(struct vfioctl_finding, text),
                offsetof(struct vfioctl_finding, fix)};
        static const char *const values[] = {NULL, "", "other"};
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                for (size_t k = 0; k < ELEMENTSOF(values); k++) {
                        other = sample;
                        memcpy((char *)&other + members[i], &values[k], sizeof(values[k]));
                        assert_int_equal(vfioctl_findings_add(findings, &other), 0);
                        assert_int_equal(vfioctl_findings_add(findings, &other), 0);
                        assert_int_equal(vfioctl_findings_count(findings), ++expected);
                }
        assert_null(vfioctl_findings_get(findings, expected));
        assert_null(vfioctl_findings_get(findings, SIZE_MAX));
}

static void test_texts_are_copies(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        char text[32] = "before";
        struct vfioctl_finding finding = {.severity = VFIOCTL_NOTE, .code = text, .text = text};

        (void)state;
        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_findings_add(findings, &finding), 0);
        const struct vfioctl_finding *kept = vfioctl_findings_get(findings, 0);
        strcpy(text, "after");
        assert_string_equal(kept->code, "before");
        assert_string_equal(kept->text, "before");
        assert_null(kept->gpu);
        assert_null(kept->fix);
        /* What was handed out stays where it is while others come in. */
        for (int i = 0; i < 100; i++)
                assert_int_equal(finding_addf(findings, finding, "number %d", i), 0);
        assert_ptr_equal(vfioctl_findings_get(findings, 0), kept);
        assert_string_equal(kept->text, "before");
        assert_string_equal(vfioctl_findings_get(findings, 100)->text, "number 99");
        /* Adding one of its own. */
        assert_int_equal(vfioctl_findings_add(findings, kept), 0);
        assert_int_equal(vfioctl_findings_count(findings), 101);
}

static void test_merge_and_refusal(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *a = NULL, *b = NULL;
        struct vfioctl_finding refusal = sample;

        (void)state;
        assert_int_equal(vfioctl_findings_new(&a), 0);
        assert_int_equal(vfioctl_findings_new(&b), 0);
        assert_int_equal(vfioctl_findings_add(a, &sample), 0);
        assert_false(vfioctl_findings_have_refusal(a));
        refusal.severity = VFIOCTL_REFUSAL;
        assert_int_equal(vfioctl_findings_add(b, &refusal), 0);
        assert_int_equal(vfioctl_findings_add(b, &sample), 0);
        assert_true(vfioctl_findings_have_refusal(b));
        assert_int_equal(findings_merge(a, b), 0);
        assert_int_equal(vfioctl_findings_count(a), 2);
        assert_true(vfioctl_findings_have_refusal(a));
        assert_int_equal(findings_merge(a, a), 0);
        assert_int_equal(vfioctl_findings_count(a), 2);
        assert_null(vfioctl_findings_free(NULL));
        assert_string_equal(vfioctl_severity_name(VFIOCTL_REFUSAL), "refusal");
        assert_string_equal(vfioctl_severity_name(VFIOCTL_WARNING), "warning");
        assert_string_equal(vfioctl_severity_name(VFIOCTL_NOTE), "note");
}

/* ---- VMs ---- */

static void test_vms(void **state)
{
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;
        char name[16] = "game1", uuid[64] = "u1";
        struct fixture f;

        (void)state;
        fixture_init(&f);
        struct vfioctl_gpu *gpu = fixture_gpu(&f, "1a", "0000:06:00.0", 0, 0, 1, "amdgpu");
        (void)fixture_companion(&f, gpu, "0000:06:00.1", 1, "snd_hda_intel");
        struct vfioctl_gpu *other = fixture_gpu(&f, "1b", "0000:07:00.0", 0, 0, 2, "amdgpu");

        assert_null(vfioctl_vms_free(NULL));
        assert_int_equal(vfioctl_vms_new(&vms), 0);
        assert_int_equal(vfioctl_vms_count(vms), 0);
        assert_int_equal(vfioctl_vms_add(vms, name, uuid, true), 0);
        strcpy(name, "x");
        strcpy(uuid, "y");
        assert_string_equal(vfioctl_vms_name(vms, 0), "game1");
        assert_string_equal(vfioctl_vms_uuid(vms, 0), "u1");
        assert_true(vfioctl_vms_is_running(vms, 0));
        for (int i = 1; i < 50; i++) {
                (void)snprintf(name, sizeof(name), "vm%d", i);
                assert_int_equal(vfioctl_vms_add(vms, name, NULL, false), i);
        }
        assert_int_equal(vfioctl_vms_count(vms), 50);
        assert_string_equal(vfioctl_vms_name(vms, 49), "vm49");
        assert_null(vfioctl_vms_uuid(vms, 49));
        assert_false(vfioctl_vms_is_running(vms, 49));

        /* Any function of it counts; naming one twice changes nothing. */
        struct vfioctl_address audio = {.bus = 6, .function = 1};
        assert_int_equal(vfioctl_vms_add_device(vms, 3, &audio), 0);
        assert_int_equal(vfioctl_vms_add_device(vms, 3, &audio), 0);
        assert_true(vfioctl_vms_has_gpu(vms, 3, gpu));
        assert_false(vfioctl_vms_has_gpu(vms, 3, other));
        assert_false(vfioctl_vms_has_gpu(vms, 2, gpu));
        for (unsigned int i = 0; i < 64; i++) {
                struct vfioctl_address address = {.domain = 1, .bus = (uint8_t)i};
                assert_int_equal(vfioctl_vms_add_device(vms, 3, &address), 0);
        }
        assert_true(vfioctl_vms_has_gpu(vms, 3, gpu));

        assert_null(vfioctl_vms_name(vms, 50));
        assert_null(vfioctl_vms_uuid(vms, 50));
        assert_false(vfioctl_vms_is_running(vms, 50));
        assert_false(vfioctl_vms_has_gpu(vms, 50, gpu));
        assert_int_equal(vfioctl_vms_add_device(vms, 50, &audio), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_once),
                cmocka_unit_test(test_texts_are_copies),
                cmocka_unit_test(test_merge_and_refusal),
                cmocka_unit_test(test_vms),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
