/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

/* What the making of a VM asks of libvirt, by its test driver: VMs and a network "default" in memory. */

#define UUID "11111111-2222-3333-4444-555555555555"
#define VM(name, devices)                                                                                    \
        "<domain type='test'><name>" name "</name><uuid>" UUID "</uuid><memory>1024</memory><vcpu>1</vcpu>"  \
        "<os><type>hvm</type></os><devices>" devices "</devices></domain>"
#define DISK(kind, path, more)                                                                               \
        "<disk type='" kind "' device='disk'><source " path "/><target dev='vda'/>" more "</disk>"

DEFINE_CLEANUP(struct vfioctl_findings, vfioctl_findings_free)
DEFINE_CLEANUP(struct vfioctl_virt, vfioctl_virt_free)
DEFINE_CLEANUP(struct vfioctl_vms, vfioctl_vms_free)
#define _cleanup_findings_ _cleanup_(vfioctl_findings_freep)
#define _cleanup_virt_     _cleanup_(vfioctl_virt_freep)
#define _cleanup_vms_      _cleanup_(vfioctl_vms_freep)

static struct vfioctl_findings *new_findings(void)
{
        struct vfioctl_findings *findings = NULL;

        assert_int_equal(vfioctl_findings_new(&findings), 0);
        return findings;
}

static struct vfioctl_virt *open_test(struct vfioctl_findings *findings)
{
        struct vfioctl_virt *virt = NULL;

        assert_int_equal(vfioctl_virt_open("test:///default", false, findings, &virt), 0);
        return virt;
}

static size_t count_vms(struct vfioctl_virt *virt, struct vfioctl_findings *findings)
{
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;

        assert_int_equal(vfioctl_virt_list(virt, findings, &vms), 0);
        return vfioctl_vms_count(vms);
}

static void test_define_and_undefine(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_virt_ struct vfioctl_virt *virt = open_test(findings);
        size_t before = count_vms(virt, findings);

        (void)state;
        assert_int_equal(vfioctl_virt_define_new(virt, "new", VM("new", ""), findings), 0);
        assert_int_equal(count_vms(virt, findings), before + 1);
        assert_int_equal(vfioctl_virt_start(virt, UUID, findings), 0);
        assert_int_equal(vfioctl_virt_destroy(virt, UUID, findings), 0);
        assert_int_equal(vfioctl_virt_undefine(virt, UUID, findings), 0);
        assert_int_equal(count_vms(virt, findings), before);
        /* One that is not there has no definition. */
        assert_int_equal(vfioctl_virt_undefine(virt, UUID, findings), 0);
        assert_int_equal(vfioctl_findings_count(findings), 0);
}

static void test_a_name_that_is_taken(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_virt_ struct vfioctl_virt *virt = open_test(findings);
        size_t before = count_vms(virt, findings);

        (void)state;
        assert_int_equal(vfioctl_virt_define_new(virt, "test", VM("test", ""), findings), -EPERM);
        const struct vfioctl_finding *finding = vfioctl_findings_get(findings, 0);
        assert_string_equal(finding->code, "vm-exists");
        assert_string_equal(finding->culprit, "test");
        assert_string_equal(finding->fix, "virsh -c test:///default list --all");
        assert_int_equal(count_vms(virt, findings), before);
}

static void test_what_libvirt_refuses(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_virt_ struct vfioctl_virt *virt = open_test(findings);

        (void)state;
        assert_int_equal(vfioctl_virt_define_new(virt, "new", "<domain type='kvm'/>", findings), -EIO);
        assert_string_equal(vfioctl_findings_get(findings, 0)->code, "libvirt-failed");
}

static bool is_among(void *userdata, const char *path)
{
        const char *const *list = userdata;

        for (; *list; list++)
                if (util_equal(*list, path))
                        return true;
        return false;
}

static void test_disk_users(void **state)
{
        static const struct {
                const char *xml;
                bool uses;
        } cases[] = {
                {VM("new", ""), false},
                {VM("new", DISK("file", "file='/a&amp;b'", "")), true},
                {VM("new", DISK("block", "dev='/dev/x'", "")), true},
                {VM("new", DISK("file", "file='/a&amp;b'", "<readonly/>")), false},
                {VM("new", DISK("file", "file='/a'", "")), false},
        };
        static const char *paths[] = {"/a&b", "/dev/x", NULL};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
                _cleanup_virt_ struct vfioctl_virt *virt = open_test(findings);
                _cleanup_free_ char *vm = NULL;
                assert_int_equal(vfioctl_virt_define_new(virt, "new", cases[i].xml, findings), 0);
                assert_int_equal(vfioctl_virt_disk_user(virt, is_among, paths, findings, &vm), 0);
                assert_true(util_equal(vm, cases[i].uses ? "new" : NULL));
        }
}

static void test_networks(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_virt_ struct vfioctl_virt *virt = open_test(findings);
        bool active = false;

        (void)state;
        assert_int_equal(vfioctl_virt_find_network(virt, "default", findings, &active), 0);
        assert_true(active);
        assert_int_equal(vfioctl_virt_find_network(virt, "nowhere", findings, &active), -ENOENT);
        assert_int_equal(vfioctl_findings_count(findings), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_define_and_undefine),
                cmocka_unit_test(test_a_name_that_is_taken),
                cmocka_unit_test(test_what_libvirt_refuses),
                cmocka_unit_test(test_disk_users),
                cmocka_unit_test(test_networks),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
