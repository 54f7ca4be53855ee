/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domains.h"

#include <dlfcn.h>

/* domain_private.h, which has the same cleanups as the tests. */
bool domain_share_is_plain(const char *xml);
void domain_share_scan(const char *xml, struct vfioctl_vm_share *ret);

static void test_refuses(void **state)
{
        static const char *const bad[] = {
                "",
                " ",
                "text",
                "\x7f"
                "ELF\x02\x01\x01",
                "\xff\xfe<\x01",
                "\xff\xfe\xd8\x01",
                "\xfe\xff<\x01",
                "\x4c\x6f\xa7\x94\x93",
                "<?xml version='1.0' encoding='ISO-8859-1'?><domain><name>\xe9</name></domain>",
                "<?xml version='1.0' encoding='UTF-7'?>+ADw-domain><name>n</name></domain>",
                "<domain>",
                "<domain><name>n</name></doman>",
                "<domain/>",
                "<domain><name/></domain>",
                "<domain><nam>n</nam></domain>",
                "<network><name>n</name></network>",
                "<domain xmlns='urn:x'><name>n</name></domain>",
                "<domain><name>n</name></domain><domain/>",
                "<domain><name>\x01</name></domain>",
                "<domain><name>\xc3\x28</name></domain>",
                "<domain><name>&unknown;</name></domain>",
                "<domain a='1' a='2'><name>n</name></domain>",
                "<domain><name>n</name><qemu:commandline/></domain>",
                "<!DOCTYPE domain><domain><name>n</name></domain>",
                "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain><name>n</name></domain>",
                "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain><name>&e;</name></domain>",
                "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
                "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>]><domain><name>&c;</name></domain>",
                DEVICES("<hostdev type='pci'/>"),
                DEVICES("<hostdev type='pci'><source/></hostdev>"),
                DEVICES(HOSTDEV("")),
                DEVICES(HOSTDEV("bus=''")),
                DEVICES(HOSTDEV("bus=' 1'")),
                DEVICES(HOSTDEV("bus='-1'")),
                DEVICES(HOSTDEV("bus='0x'")),
                DEVICES(HOSTDEV("bus='0x100'")),
                DEVICES(HOSTDEV("bus='1x'")),
                DEVICES(HOSTDEV("bus='999999999999999999999999'")),
                DEVICES(HOSTDEV("slot='32'")),
                DEVICES(HOSTDEV("function='8'")),
                DEVICES(HOSTDEV("domain='0x100000000'")),
        };
        int saved, caught = stderr_catch(&saved);

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct vfioctl_domain *domain = (void *)state;
                _cleanup_free_ char *error = NULL;

                int r = vfioctl_domain_parse(bad[i], strlen(bad[i]), &domain, &error);
                if (r != -EINVAL || !error || domain != (void *)state)
                        fail_msg("%d (%s): %s", r, error ? error : "no reason", bad[i]);
                assert_int_equal(vfioctl_domain_parse(bad[i], strlen(bad[i]), &domain, NULL), -EINVAL);
        }
        stderr_assert_silent(caught, saved);
}

static void test_refuses_size_and_depth(void **state)
{
        struct vfioctl_domain *domain = NULL;
        const size_t limit = 10U << 20;
        _cleanup_free_ char *error = NULL, *deep_error = NULL;
        _cleanup_free_ char *large = malloc(limit + 1), *deep = calloc(1, 1 << 20);

        (void)state;
        assert_true(large && deep);
        memset(large, ' ', limit + 1);
        memcpy(large, "<domain><name>n</name>", 22);
        memcpy(large + limit + 1 - 9, "</domain>", 9);
        assert_int_equal(vfioctl_domain_parse(large, limit + 1, &domain, &error), -E2BIG);
        assert_string_equal(error, "larger than 10 MiB");
        memset(large + limit - 9, ' ', 10);
        memcpy(large + limit - 9, "</domain>", 9);
        assert_int_equal(vfioctl_domain_parse(large, limit, &domain, NULL), 0);
        domain = vfioctl_domain_free(domain);

        strcpy(deep, "<domain><name>n</name>");
        for (size_t i = 0; i < 100000; i++)
                strcat(deep + i * 3, "<a>");
        assert_int_equal(vfioctl_domain_parse(deep, strlen(deep), &domain, &deep_error), -EINVAL);
        assert_non_null(strstr(deep_error, "depth"));
}

static void test_reads(void **state)
{
        _cleanup_free_ char *text = read_data("foreign.xml");
        _cleanup_domain_ struct vfioctl_domain *foreign = parse(text), *bare = parse(DOMAIN(""));

        (void)state;
        assert_string_equal(vfioctl_domain_name(foreign), "böse & \"name\"");
        assert_string_equal(vfioctl_domain_uuid(foreign), "9d0a37ea-2cc8-42d2-81fd-836e7f42e8c2");
        assert_int_equal(vfioctl_domain_hostdev_count(foreign), 0);
        assert_null(vfioctl_domain_hostdev(foreign, 0));
        assert_null(vfioctl_domain_hostdev_guest(foreign, 0));
        assert_null(vfioctl_domain_uuid(bare));
        assert_int_equal(vfioctl_domain_numa_node(bare), -1);
}

static void test_reads_numa(void **state)
{
        static const struct {
                const char *nodeset;
                int node;
        } cases[] = {{"0", 0},      {"1", 1},     {"1023", 1023}, {"0-0", 0},
                     {"0-1,^0", 1}, {" 2 ", 2},   {"0-1", -1},    {"0,1", -1},
                     {"", -1},      {"1024", -1}, {"x", -1},      {"1-", -1},
                     {"^1", -1},    {"0,^0", -1}, {"-1", -1},     {"99999999999", -1},
                     {"1,,", 1},    {"1;2", -1},  {"3-1", -1}};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                assert_int_equal(
                        util_format(&text,
                                    DOMAIN("<numatune><memory mode='strict' nodeset='%s'/></numatune>"),
                                    cases[i].nodeset),
                        0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                if (vfioctl_domain_numa_node(domain) != cases[i].node)
                        fail_msg("%s: %d", cases[i].nodeset, vfioctl_domain_numa_node(domain));
        }
        _cleanup_domain_ struct vfioctl_domain *automatic =
                parse(DOMAIN("<numatune><memory mode='strict' placement='auto'/></numatune>"));
        assert_int_equal(vfioctl_domain_numa_node(automatic), -1);
}

static void test_reads_hugepages(void **state)
{
        static const struct {
                const char *xml;
                uint64_t memory, size; /* memory 0: none */
        } cases[] = {
                {"<memory unit='KiB'>8388608</memory>", 0, 0},
                {"<memory unit='KiB'>8388608</memory><memoryBacking><hugepages/></memoryBacking>", 8388608,
                 0},
                {"<memory>1024</memory><memoryBacking><hugepages><page size='2048' unit='KiB'/></hugepages>"
                 "</memoryBacking>",
                 1024, 2048},
                {"<memory unit='GiB'>8</memory><memoryBacking><hugepages><page size='1' "
                 "unit='G'/></hugepages>"
                 "</memoryBacking>",
                 8 << 20, 1 << 20},
                {"<memory unit='MiB'>x</memory><memoryBacking><hugepages/></memoryBacking>", 0, 0},
                {"<memory unit='MB'>8</memory><memoryBacking><hugepages/></memoryBacking>", 0, 0},
                {"<memory>8</memory><memoryBacking><hugepages><page size='-1'/></hugepages></memoryBacking>",
                 0, 0},
                {"<memory>8</memory><memoryBacking><hugepages><page size='1' nodeset='0'/><page size='2'/>"
                 "</hugepages></memoryBacking>",
                 0, 0},
                {"<memoryBacking><hugepages/></memoryBacking>", 0, 0},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                assert_int_equal(util_format(&text, DOMAIN("%s"), cases[i].xml), 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                const struct vfioctl_hugepages *pages = vfioctl_domain_hugepages(domain);
                assert_int_equal(pages ? pages->memory : 0, cases[i].memory);
                assert_int_equal(pages ? pages->size : 0, cases[i].size);
        }
}

static void test_reads_share(void **state)
{
#define NODES(text) "<numatune><memory " text "/></numatune>"
        static const struct {
                const char *xml;
                struct vfioctl_vm_share share;
        } cases[] = {
                {"", {1, 0, NULL, -1, 0}},
                {"<memory unit='KiB'>1024</memory><vcpu placement='static'>4</vcpu>", {4, 1024, NULL, -1, 0}},
                {"<memory unit='GiB'> 2 </memory><vcpu current='1'>\n 4\n</vcpu>", {4, 2 << 20, NULL, -1, 0}},
                {"<vcpu cpuset='0-3,^1'>2</vcpu>", {2, 0, "0,2-3", -1, 0}},
                {"<vcpu>2</vcpu><cputune><vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='1' cpuset='29'/>"
                 "<emulatorpin cpuset='0'/></cputune>",
                 {2, 0, "1,29", -1, 0}},
                /* One without a pin goes by the set of all. */
                {"<vcpu cpuset='4-5'>2</vcpu><cputune><vcpupin vcpu='0' cpuset='1'/></cputune>",
                 {2, 0, "1,4-5", -1, 0}},
                {"<vcpu cpuset='4-5'>1</vcpu><cputune><vcpupin vcpu='0' cpuset='1'/></cputune>",
                 {1, 0, "1", -1, 0}},
                {"<vcpu cpuset='x'>0</vcpu><cputune><vcpupin vcpu='0' cpuset='9999'/><vcpupin/></cputune>",
                 {1, 0, NULL, -1, 0}},
                {NODES("mode='strict' nodeset='1'"), {1, 0, NULL, 1, 0}},
                {NODES("nodeset='1'"), {1, 0, NULL, 1, 0}},
                {NODES("mode='restrictive' nodeset='1'"), {1, 0, NULL, 1, 0}},
                {NODES("mode='preferred' nodeset='1'"), {1, 0, NULL, -1, 0}},
                {NODES("mode='strict' nodeset='0-1'"), {1, 0, NULL, -1, 0}},
                {"<memoryBacking><hugepages/></memoryBacking>", {1, 0, NULL, -1, VFIOCTL_PAGE_DEFAULT}},
                {"<memoryBacking><hugepages><page size='2' unit='MiB'/></hugepages></memoryBacking>",
                 {1, 0, NULL, -1, 2048}},
                {"<memory>99999999999999999999999</memory><vcpu>99999999999</vcpu>",
                 {8192, 1ull << 40, NULL, -1, 0}},
                {"<memory unit='TiB'>99999999999</memory><vcpu>-1</vcpu>", {1, 1ull << 40, NULL, -1, 0}},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL, *pinned = NULL;
                struct vfioctl_vm_share share;
                assert_int_equal(util_format(&text, DOMAIN("%s"), cases[i].xml), 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                assert_int_equal(vfioctl_domain_share(domain, &share, &pinned), 0);
                assert_ptr_equal(share.pinned, pinned);
                if (!util_equal(pinned, cases[i].share.pinned))
                        fail_msg("%s: pinned to %s", cases[i].xml, pinned ? pinned : "none");
                if (share.vcpus != cases[i].share.vcpus || share.memory != cases[i].share.memory ||
                    share.numa_node != cases[i].share.numa_node || share.page != cases[i].share.page)
                        fail_msg("%s: %u vCPUs, %llu KiB, node %d, pages of %llu", cases[i].xml, share.vcpus,
                                 (unsigned long long)share.memory, share.numa_node,
                                 (unsigned long long)share.page);
        }
}

static void test_scans_share(void **state)
{
        static const struct {
                const char *xml;
                unsigned int vcpus;
                uint64_t memory;
        } cases[] = {
                {"<domain>\n  <memory unit='KiB'>1024</memory>\n  <vcpu placement='static'>4</vcpu>", 4,
                 1024},
                {"<memoryBacking/><memory\nunit=\"MiB\">2</memory><vcpus/><vcpu>3</vcpu>", 3, 2048},
                {"<metadata><x:a/><memory>7</memory><vcpu>7</vcpu></metadata><memory>8</memory><vcpu>2</"
                 "vcpu>",
                 2, 8},
                {"<memory>8</memory><currentMemory unit='GiB'>9</currentMemory>", 1, 8},
                {"<memory unit='furlongs'>8</memory>", 1, 0},
                {"<memory unit='", 1, 0},
                {"<memory", 1, 0},
                {"", 1, 0},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct vfioctl_vm_share share;
                domain_share_scan(cases[i].xml, &share);
                if (share.vcpus != cases[i].vcpus || share.memory != cases[i].memory)
                        fail_msg("%s: %u vCPUs, %llu KiB", cases[i].xml, share.vcpus,
                                 (unsigned long long)share.memory);
                assert_null(share.pinned);
                assert_int_equal(share.numa_node, -1);
        }
        assert_true(domain_share_is_plain("<domain><cputune><shares>1</shares></cputune></domain>"));
        assert_false(domain_share_is_plain("<domain><vcpu cpuset='1'>2</vcpu></domain>"));
        assert_false(domain_share_is_plain("<domain><memoryBacking><hugepages/></memoryBacking></domain>"));
        assert_false(domain_share_is_plain("<domain>" NODES("nodeset='1'") "</domain>"));
}

static void test_reads_notations(void **state)
{
        static const struct {
                const char *xml;
                const char *address;
        } cases[] = {
                {HOSTDEV("domain='0x0000' bus='0x06' slot='0x00' function='0x0'"), "0000:06:00.0"},
                {HOSTDEV("bus='6'"), "0000:06:00.0"},
                {HOSTDEV("bus='0xE1' slot='0x1F' function='7'"), "0000:e1:1f.7"},
                {HOSTDEV("domain='65536' bus='255' slot='31'"), "10000:ff:1f.0"},
                {HOSTDEV("domain='0xffffffff'"), "ffffffff:00:00.0"},
                {"<hostdev type='pci'><driver name='vfio'/><source><address type='pci' "
                 "bus='1'/></source></hostdev>",
                 "0000:01:00.0"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                assert_int_equal(util_format(&text, DEVICES("%s"), cases[i].xml), 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                const struct vfioctl_address expected = address(cases[i].address);

                assert_int_equal(vfioctl_domain_hostdev_count(domain), 1);
                assert_int_equal(vfioctl_address_compare(vfioctl_domain_hostdev(domain, 0), &expected), 0);
                assert_null(vfioctl_domain_hostdev_guest(domain, 0));
                assert_int_equal(vfioctl_domain_remove_gpu(domain, &expected, 1), 1);
                assert_formats(domain, "<domain><name>n</name><devices/></domain>\n");
        }
}

static void test_reads_only_pci(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain = parse(DEVICES(
                "<hostdev mode='subsystem' type='usb'><source><address bus='1' "
                "device='2'/></source></hostdev>"
                "<hostdev mode='capabilities' type='pci'/>"
                "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='x'/></source>"
                "</hostdev>"
                "<x:hostdev xmlns:x='urn:x' type='pci'/>"));

        (void)state;
        assert_int_equal(vfioctl_domain_hostdev_count(domain), 0);
}

/* Cut short or with a byte changed anywhere, a document is refused or edited like any other. */
static void test_damaged(void **state)
{
        int saved, caught = stderr_catch(&saved);
        unsigned int seed = 1;

        (void)state;
        for (size_t d = 0; d < ELEMENTSOF(documents); d++) {
                _cleanup_free_ char *text = read_data(documents[d]);
                size_t size = strlen(text);
                size_t end = (size_t)(strstr(text, "</domain>") - text) + strlen("</domain>");

                for (size_t i = 0; i < size; i++) {
                        _cleanup_domain_ struct vfioctl_domain *cut = NULL, *changed = NULL;
                        char kept = text[i];

                        if (vfioctl_domain_parse(text, i, &cut, NULL) == 0)
                                assert_true(i >= end);
                        seed = seed * 1103515245U + 12345U;
                        text[i] = (char)(seed >> 16);
                        if (vfioctl_domain_parse(text, size, &changed, NULL) == 0) {
                                _cleanup_free_ char *before = format(changed);
                                int r = add(changed, 0, 2);
                                assert_true(r == 0 || r == -ENOSPC);
                                if (r == 0)
                                        assert_int_equal(take(changed, 0), 2);
                                assert_formats(changed, before);
                        }
                        text[i] = kept;
                }
        }
        stderr_assert_silent(caught, saved);
}

/* A hook works on definitions, and libvirt must not be in its process. */
static void test_loads_no_libvirt(void **state)
{
        _cleanup_free_ char *text = read_data("q35.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);

        (void)state;
        assert_int_equal(add(domain, 0, 2), 0);
        assert_int_equal(take(domain, 0), 2);
        assert_null(dlopen("libvirt.so.0", RTLD_NOW | RTLD_NOLOAD));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refuses),
                cmocka_unit_test(test_refuses_size_and_depth),
                cmocka_unit_test(test_reads),
                cmocka_unit_test(test_reads_numa),
                cmocka_unit_test(test_reads_hugepages),
                cmocka_unit_test(test_reads_share),
                cmocka_unit_test(test_scans_share),
                cmocka_unit_test(test_reads_notations),
                cmocka_unit_test(test_reads_only_pci),
                cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_loads_no_libvirt),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
