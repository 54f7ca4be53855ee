/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tune.h"

/* Processors, memory and features of a VM with GPUs. */

/* ---- processors and memory ----------------------------------------------------------------------- */

static void test_pins(void **state)
{
        _cleanup_free_ char *text = read_data("by-hand.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);

        (void)state;
        tune_at(domain, &whole);
        assert_true(contains(domain, "<vcpu placement=\"static\" cpuset=\"0-15\">6</vcpu>"));
        assert_true(contains(
                domain,
                "<vcpupin vcpu=\"1\" cpuset=\"29\"/><vcpupin vcpu=\"0\" cpuset=\"1\"/>\n"
                "      <vcpupin vcpu=\"2\" cpuset=\"2\"/>\n      <vcpupin vcpu=\"3\" cpuset=\"30\"/>\n"
                "      <vcpupin vcpu=\"4\" cpuset=\"3\"/>\n      <vcpupin vcpu=\"5\" cpuset=\"31\"/>\n"
                "      <emulatorpin cpuset=\"0,28\"/>\n"));
        assert_false(contains(domain, "vcpu=\"9\""));
        assert_true(contains(domain, "<iothreadpin iothread=\"2\" cpuset=\"0,28\"/>\n"
                                     "      <iothreadpin iothread=\"1\" cpuset=\"0,28\"/>"));
        assert_true(contains(domain, "<topology sockets=\"1\" dies=\"1\" cores=\"3\" threads=\"2\"/>"));
        assert_true(contains(domain, "<numatune><memory mode=\"strict\" nodeset=\"0\"/></numatune>"));
        assert_int_equal(vfioctl_domain_numa_node(domain), 0);
        assert_int_equal(vfioctl_domain_hugepages(domain)->size, 1 << 20);
}

/* Without a place nothing of it is touched. */
static void test_no_place(void **state)
{
        _cleanup_free_ char *text = read_data("by-hand.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);

        (void)state;
        tune(domain, &whole);
        assert_true(contains(domain, "<vcpu placement=\"auto\" cpuset=\"0-15\">6</vcpu>"));
        assert_true(
                contains(domain, "<vcpupin vcpu=\"1\" cpuset=\"3\"/><vcpupin vcpu=\"0\" cpuset=\"1-2\"/>"));
        assert_true(contains(domain, "<vcpupin vcpu=\"9\" cpuset=\"9\"/>"));
        assert_true(contains(domain, "<memory mode=\"strict\" placement=\"auto\"/>"));
        assert_true(contains(domain, "<page size=\"2\" unit=\"MiB\"/>"));
        assert_false(contains(domain, "<topology"));
}

static void test_places(void **state)
{
        static const struct {
                const char *services, *nodes;
                bool is_strict;
                uint64_t page;
                const char *has, *lacks;
        } cases[] = {
                {"0", "1", true, 0, "<memory mode=\"strict\" nodeset=\"1\"/>", "hugepages"},
                {"0", "1", false, 0, "<memory mode=\"preferred\" nodeset=\"1\"/>", "hugepages"},
                {"0", "0-1", false, 0, "<memory mode=\"interleave\" nodeset=\"0-1\"/>", "hugepages"},
                {"0", "0,2", true, 0, "<memory mode=\"strict\" nodeset=\"0,2\"/>", "hugepages"},
                {NULL, NULL, false, 0, "<vcpupin vcpu=\"0\" cpuset=\"1\"/>", "numatune"},
                {NULL, NULL, false, 0, "<vcpupin vcpu=\"0\" cpuset=\"1\"/>", "emulatorpin"},
                {"0", NULL, false, 2048, "<page size=\"2048\" unit=\"KiB\"/>", "numatune"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_domain_ struct vfioctl_domain *domain = parse(DOMAIN("<memory>1048576</memory>"));
                struct vfioctl_place place = place_for(domain);
                const struct vfioctl_tuning tuning = {.kvm = true, .place = &place};
                /* What was there before goes. */
                tune(domain, &tuning);
                place.services = cases[i].services;
                place.nodes = cases[i].nodes;
                place.is_strict = cases[i].is_strict;
                place.page = cases[i].page;
                tune(domain, &tuning);
                assert_true(contains(domain, cases[i].has));
                assert_false(contains(domain, cases[i].lacks));
        }
}

static void test_pages_kept(void **state)
{
        _cleanup_free_ char *text = read_data("by-hand.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
        struct vfioctl_place place = place_for(domain);
        struct vfioctl_tuning tuning = {.kvm = true, .place = &place, .keeps_pages = true};

        (void)state;
        tune(domain, &tuning);
        assert_true(contains(domain, "<hugepages><page size=\"2\" unit=\"MiB\"/></hugepages>"));
        /* The same size in another unit is the same. */
        tuning.keeps_pages = false;
        place.page = 2048;
        tune(domain, &tuning);
        assert_true(contains(domain, "<hugepages><page size=\"2\" unit=\"MiB\"/></hugepages>"));
        place.page = 0;
        tune(domain, &tuning);
        assert_false(contains(domain, "hugepages"));
        assert_true(contains(domain, "<locked/>   <!-- the old card needed it -->"));
}

static void test_pages_do_not_go(void **state)
{
        static const char *const backings[] = {"<source type='file'/>", "<source type='anonymous'/>",
                                               "<allocation mode='ondemand'/>"};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(backings); i++) {
                _cleanup_free_ char *xml = NULL;
                assert_int_equal(util_format(&xml, DOMAIN("<memoryBacking>%s</memoryBacking>"), backings[i]),
                                 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
                const struct vfioctl_place place = place_for(domain);
                const struct vfioctl_tuning tuning = {
                        .kvm = true, .place = &place, .guest = VFIOCTL_GUEST_LINUX};
                _cleanup_free_ char *codes = tune_finds(domain, &tuning, 0);
                assert_string_equal(codes, "guest-memory");
                assert_false(contains(domain, "hugepages"));
        }
}

static void test_size(void **state)
{
        _cleanup_free_ char *text = read_data("virt-install.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
        struct vfioctl_place place = place_for(domain);
        const struct vfioctl_tuning tuning = {.kvm = true, .place = &place, .vcpus = 3, .memory = 8 << 20};

        (void)state;
        assert_int_equal(vcpus_of(domain), 8);
        assert_int_equal(memory_of(domain), 16 << 20);
        place.n_vcpus = 3;
        place.threads = 1;
        tune(domain, &tuning);
        assert_int_equal(vcpus_of(domain), 3);
        assert_int_equal(memory_of(domain), 8 << 20);
        assert_true(contains(domain, "<vcpu placement=\"static\">3</vcpu>"));
        assert_true(contains(domain, "<currentMemory unit=\"KiB\">8388608</currentMemory>"));
        assert_true(contains(domain, "<topology sockets=\"1\" dies=\"1\" cores=\"3\" threads=\"1\"/>"));
        assert_false(contains(domain, "vcpu=\"3\""));
}

static void test_topology_follows(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain =
                parse(DOMAIN("<vcpu>4</vcpu><cpu><topology sockets='1' cores='2' threads='2'/></cpu>"));
        struct vfioctl_tuning tuning = {.kvm = true, .vcpus = 4};

        (void)state;
        tune(domain, &tuning);
        assert_true(contains(domain, "<topology sockets=\"1\" cores=\"2\" threads=\"2\"/>"));
        tuning.vcpus = 6;
        tune(domain, &tuning);
        assert_true(contains(domain, "<topology sockets=\"1\" cores=\"6\" threads=\"1\" dies=\"1\"/>"));
}

static void test_one_cell(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain = parse(
                DOMAIN("<memory unit='GiB'>4</memory><vcpu>4</vcpu><cpu mode='host-passthrough'><numa>"
                       "<cell id='0' cpus='0-3' memory='4' unit='GiB' memAccess='shared'/></numa></cpu>"));
        const struct vfioctl_tuning tuning = {.kvm = true, .vcpus = 6, .memory = 8 << 20};

        (void)state;
        tune(domain, &tuning);
        assert_true(contains(
                domain,
                "<cell id=\"0\" cpus=\"0-5\" memory=\"8388608\" unit=\"KiB\" memAccess=\"shared\"/>"));
        assert_int_equal(memory_of(domain), 8 << 20);
}

static void test_cells(void **state)
{
        _cleanup_free_ char *text = read_data("cells.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
        const struct vfioctl_place place = place_for(domain);
        struct vfioctl_tuning tuning = {.kvm = true, .place = &place, .guest = VFIOCTL_GUEST_LINUX};
        _cleanup_free_ char *codes = tune_finds(domain, &tuning, 0);

        (void)state;
        assert_string_equal(codes, "guest-cells");
        assert_true(contains(domain, "<vcpupin vcpu=\"4\" cpuset=\"14\"/>"));
        assert_false(contains(domain, "emulatorpin"));
        assert_true(contains(domain, "<memory mode=\"strict\" nodeset=\"0-1\"/>"));
        assert_true(contains(domain, "<page size=\"2048\" unit=\"KiB\" nodeset=\"1\"/>"));
        assert_true(contains(domain, "<topology sockets=\"2\" dies=\"1\" cores=\"4\" threads=\"1\"/>"));
        assert_true(contains(domain, "iothread=\"3\""));

        /* And what is asked for in so many words is refused rather than left out. */
        _cleanup_free_ char *before = format(domain);
        tuning.memory = 1 << 20;
        _cleanup_free_ char *refused = tune_finds(domain, &tuning, -EPERM);
        assert_string_equal(strrchr(refused, ' ') ? strrchr(refused, ' ') + 1 : refused, "guest-cells");
        assert_formats(domain, before);
}

static void test_dimms(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain =
                parse(DOMAIN("<maxMemory slots='2'>8388608</maxMemory><memory>1048576</memory>"));
        const struct vfioctl_tuning tuning = {.kvm = true, .memory = 1 << 21};

        (void)state;
        assert_int_equal(vfioctl_domain_tune(domain, &tuning, NULL), -EPERM);
}

static void test_invalid(void **state)
{
        _cleanup_free_ char *text = read_data("virt-install.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
        _cleanup_domain_ struct vfioctl_domain *odd = parse(DOMAIN("<vcpu>many</vcpu>"));
        struct vfioctl_place place = place_for(domain);
        const struct vfioctl_tuning tuning = {.kvm = true, .place = &place};
        _cleanup_free_ char *before = format(domain);

        (void)state;
        place.n_vcpus = 7;
        assert_int_equal(vfioctl_domain_tune(domain, &tuning, NULL), -EINVAL);
        place.n_vcpus = 8;
        place.vcpus = NULL;
        assert_int_equal(vfioctl_domain_tune(domain, &tuning, NULL), -EINVAL);
        assert_formats(domain, before);
        assert_int_equal(vfioctl_domain_tune(odd, &(struct vfioctl_tuning){.kvm = true}, NULL), -EINVAL);
        /* What it had is of no account when it is told. */
        const struct vfioctl_tuning told = {.kvm = true, .vcpus = 2};
        assert_int_equal(vfioctl_domain_tune(odd, &told, NULL), 0);
}

/* ---- the processor that the guest sees, features, clock ------------------------------------------ */

static void test_cpu(void **state)
{
        _cleanup_free_ char *text = read_data("virt-install.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text), *plain = parse(text);
        struct vfioctl_tuning tuning = {.kvm = true};

        (void)state;
        tune_at(domain, &whole);
        assert_true(contains(domain, "<cpu mode=\"host-passthrough\" check=\"none\" migratable=\"off\">\n"
                                     "    <topology sockets=\"1\" dies=\"1\" cores=\"4\" threads=\"2\"/>\n"
                                     "    <cache mode=\"passthrough\"/>\n"
                                     "    <maxphysaddr mode=\"passthrough\"/>\n"
                                     "    <feature policy=\"require\" name=\"invtsc\"/>\n"
                                     "    <feature policy=\"require\" name=\"topoext\"/>\n"
                                     "  </cpu>"));
        /* Without large BARs, AMD's GPUs and an AMD host. */
        tune_at(plain, &tuning);
        assert_false(contains(plain, "maxphysaddr"));
        assert_false(contains(plain, "topoext"));
        assert_true(contains(plain, "<feature policy=\"disable\" name=\"hypervisor\"/>"));
}

static void test_emulated(void **state)
{
        _cleanup_free_ char *text = read_data("by-hand.xml"), *emulated = NULL;
        _cleanup_domain_ struct vfioctl_domain *kvm = parse(text), *test = parse(DOMAIN("<vcpu>2</vcpu>"));
        char *type = strstr(text, "type='kvm'");

        (void)state;
        assert_non_null(type);
        *type = '\0';
        assert_int_equal(util_format(&emulated, "%stype='qemu'%s", text, type + strlen("type='kvm'")), 0);
        _cleanup_domain_ struct vfioctl_domain *domain = parse(emulated);
        tune_at(domain, &whole);
        assert_true(contains(domain, "<cpu mode=\"maximum\" check=\"none\">"));
        static const char *const lacks[] = {"migratable", "hyperv",  "hidden",
                                            "pit",        "topoext", "mode=\"passthrough\""};
        for (size_t i = 0; i < ELEMENTSOF(lacks); i++)
                assert_false(contains(domain, lacks[i]));
        assert_true(contains(domain, "<vcpupin vcpu=\"5\" cpuset=\"31\"/>"));

        /* The type says it, whatever the host has; another type is the host's. */
        struct vfioctl_tuning tuning = whole;
        tuning.kvm = false;
        tune_at(kvm, &tuning);
        assert_true(contains(kvm, "host-passthrough"));
        tune_at(test, &tuning);
        assert_true(contains(test, "<cpu mode=\"maximum\" check=\"none\">"));
        /* And back. */
        tuning.kvm = true;
        tune_at(test, &tuning);
        assert_true(contains(test, "<cpu mode=\"host-passthrough\" check=\"none\" migratable=\"off\">"));
        assert_true(contains(test, "<cache mode=\"passthrough\"/>"));
}

static void test_other_machine(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain = parse(
                DOMAIN("<os><type arch='aarch64' machine='virt'>hvm</type></os><cpu mode='host-model'/>"));
        struct vfioctl_tuning tuning = whole;
        _cleanup_free_ char *codes = tune_finds(domain, &tuning, 0);

        (void)state;
        assert_string_equal(codes, "guest-machine");
        assert_true(contains(domain, "<cpu mode=\"host-model\"/>"));
        assert_false(contains(domain, "clock"));
        assert_false(contains(domain, "fw_cfg"));
}

static void test_features(void **state)
{
        _cleanup_free_ char *text = read_data("virt-install.xml");
        _cleanup_domain_ struct vfioctl_domain *windows = parse(text), *linux_guest = parse(text),
                                               *bare = parse(DOMAIN(""));
        struct vfioctl_tuning tuning = {.kvm = true};
        static const char *const names[] = {"relaxed", "vapic", "vpindex", "runtime",     "synic",
                                            "stimer",  "reset", "ipi",     "frequencies", "tlbflush"};

        (void)state;
        tune(windows, &tuning);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *element = NULL;
                assert_int_equal(util_format(&element, "<%s state=\"on\"/>", names[i]), 0);
                assert_true(contains(windows, element));
        }
        assert_true(contains(windows, "<spinlocks state=\"on\" retries=\"4095\"/>"));
        assert_true(contains(windows, "<ioapic driver=\"kvm\"/>"));
        assert_false(contains(windows, "hidden"));
        assert_false(contains(windows, "vendor_id"));
        tuning.hides_kvm = true;
        tune(windows, &tuning);
        assert_true(contains(windows, "<hidden state=\"on\"/>"));
        assert_true(contains(windows, "<vendor_id state=\"on\" value=\"vfioctl\"/>"));

        /* For Linux hiding is enough, where there is nothing of Hyper-V's to see. */
        tuning.guest = VFIOCTL_GUEST_LINUX;
        tune(bare, &tuning);
        assert_true(contains(bare, "<hidden state=\"on\"/>"));
        assert_false(contains(bare, "hyperv"));
        /* Told that it is a Linux by now: what an admin has set stays. */
        tuning.hides_kvm = false;
        tune(linux_guest, &tuning);
        assert_true(contains(linux_guest, "<vapic state=\"on\"/>"));
        assert_false(contains(linux_guest, "synic"));
        assert_true(contains(linux_guest, "<clock offset=\"utc\">"));
}

static void test_secure_boot(void **state)
{
        static const struct {
                const char *os;
                const char *codes;
        } cases[] = {
                {"<os><type>hvm</type><loader secure='yes'>/f</loader></os>", "guest-secure-boot"},
                {"<os firmware='efi'><type>hvm</type><firmware><feature enabled='yes' name='enrolled-keys'/>"
                 "<feature enabled='yes' name='secure-boot'/></firmware></os>",
                 "guest-secure-boot"},
                {"<os firmware='efi'><type>hvm</type><firmware><feature enabled='no' name='secure-boot'/>"
                 "</firmware><loader secure='no'/></os>",
                 ""},
                {"<os><type>hvm</type></os>", ""},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *xml = NULL;
                assert_int_equal(util_format(&xml, DOMAIN("%s"), cases[i].os), 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
                struct vfioctl_tuning tuning = {.kvm = true, .guest = VFIOCTL_GUEST_WINDOWS};
                _cleanup_free_ char *silent = tune_finds(domain, &tuning, 0);
                assert_string_equal(silent, "");
                tuning.refuses_secure_boot = true;
                _cleanup_free_ char *codes = tune_finds(domain, &tuning, 0);
                assert_string_equal(codes, cases[i].codes);
                /* Linux brings its driver along, signed. */
                tuning.guest = VFIOCTL_GUEST_LINUX;
                _cleanup_free_ char *for_linux = tune_finds(domain, &tuning, 0);
                assert_string_equal(for_linux, "");
        }
}

static void test_features_kept(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain =
                parse(DOMAIN("<features><hyperv mode='passthrough'/></features>"));
        _cleanup_domain_ struct vfioctl_domain *own = parse(
                DOMAIN("<features><hyperv><relaxed state='on'/><vendor_id state='on' value='Bo'/></hyperv>"
                       "</features>"));
        _cleanup_domain_ struct vfioctl_domain *iommu =
                parse(DOMAIN("<features/><devices><iommu model='intel'/></devices>"));

        (void)state;
        tune(domain, &whole);
        assert_true(contains(domain, "<hyperv mode=\"passthrough\"/>"));
        tune(own, &whole);
        assert_true(contains(own, "<vendor_id state=\"on\" value=\"Bo\"/>"));
        tune(iommu, &whole);
        assert_false(contains(iommu, "ioapic"));
}

static void test_clock(void **state)
{
        static const struct {
                const char *before;
                enum vfioctl_guest guest;
                const char *after;
        } cases[] = {
                {"", VFIOCTL_GUEST_WINDOWS,
                 "<clock offset=\"localtime\"><timer name=\"rtc\" tickpolicy=\"catchup\"/>"
                 "<timer name=\"pit\" tickpolicy=\"delay\"/><timer name=\"hpet\" "
                 "present=\"no\"/><timer name=\"hypervclock\" present=\"yes\"/></clock>"},
                {"<clock offset='localtime'/>", VFIOCTL_GUEST_LINUX,
                 "<clock offset=\"utc\"><timer name=\"rtc\" tickpolicy=\"catchup\"/><timer name=\"pit\" "
                 "tickpolicy=\"delay\"/><timer name=\"hpet\" present=\"no\"/></clock>"},
                {"<clock offset='variable' basis='utc'/>", VFIOCTL_GUEST_LINUX,
                 "<clock offset=\"variable\" basis=\"utc\">"},
                {"<clock offset='localtime'/>", VFIOCTL_GUEST_OTHER, "<clock offset=\"localtime\"/>"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *xml = NULL;
                assert_int_equal(util_format(&xml, DOMAIN("%s"), cases[i].before), 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
                tune(domain, &(struct vfioctl_tuning){.kvm = true, .guest = cases[i].guest});
                assert_true(contains(domain, cases[i].after));
        }
}

static void test_guest(void **state)
{
        static const struct {
                const char *id;
                enum vfioctl_guest guest;
        } cases[] = {
                {"http://microsoft.com/win/11", VFIOCTL_GUEST_WINDOWS},
                {"http://microsoft.com/winnt/4.0", VFIOCTL_GUEST_WINDOWS},
                {"http://microsoft.com/msdos/6.22", VFIOCTL_GUEST_OTHER},
                {"http://debian.org/debian/12", VFIOCTL_GUEST_LINUX},
                {"http://libosinfo.org/linux/2022", VFIOCTL_GUEST_LINUX},
                {"http://freebsd.org/freebsd/14.0", VFIOCTL_GUEST_OTHER},
                {"http://libosinfo.org/unknown", VFIOCTL_GUEST_OTHER},
                {"", VFIOCTL_GUEST_OTHER},
        };
        _cleanup_domain_ struct vfioctl_domain *none = parse(DOMAIN(""));
        _cleanup_domain_ struct vfioctl_domain *features =
                parse(DOMAIN("<features><hyperv><relaxed state='on'/></hyperv></features>"));

        (void)state;
        assert_int_equal(vfioctl_domain_guest(none), VFIOCTL_GUEST_OTHER);
        assert_int_equal(vfioctl_domain_guest(features), VFIOCTL_GUEST_WINDOWS);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *xml = NULL;
                assert_int_equal(util_format(&xml,
                                             DOMAIN("<metadata><l:libosinfo "
                                                    "xmlns:l='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
                                                    "<l:os id='%s'/></l:libosinfo></metadata>"),
                                             cases[i].id),
                                 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
                assert_int_equal(vfioctl_domain_guest(domain), cases[i].guest);
                /* What is said counts from then on; what is right already stays as it is. */
                tune(domain, &(struct vfioctl_tuning){.kvm = true, .guest = VFIOCTL_GUEST_LINUX});
                assert_int_equal(vfioctl_domain_guest(domain), VFIOCTL_GUEST_LINUX);
                assert_int_equal(contains(domain, "linux/2022"),
                                 cases[i].guest != VFIOCTL_GUEST_LINUX || strstr(cases[i].id, "linux/2022"));
        }
        tune(none, &(struct vfioctl_tuning){.kvm = true, .guest = VFIOCTL_GUEST_WINDOWS});
        assert_int_equal(vfioctl_domain_guest(none), VFIOCTL_GUEST_WINDOWS);
        _cleanup_free_ char *codes = tune_finds(none, &(struct vfioctl_tuning){.kvm = true}, 0);
        assert_string_equal(codes, "");
        _cleanup_domain_ struct vfioctl_domain *other = parse(DOMAIN(""));
        _cleanup_free_ char *unknown = tune_finds(other, &(struct vfioctl_tuning){.kvm = true}, 0);
        assert_string_equal(unknown, "guest-os");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pins),
                cmocka_unit_test(test_no_place),
                cmocka_unit_test(test_places),
                cmocka_unit_test(test_pages_kept),
                cmocka_unit_test(test_pages_do_not_go),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_topology_follows),
                cmocka_unit_test(test_one_cell),
                cmocka_unit_test(test_cells),
                cmocka_unit_test(test_dimms),
                cmocka_unit_test(test_invalid),
                cmocka_unit_test(test_cpu),
                cmocka_unit_test(test_emulated),
                cmocka_unit_test(test_other_machine),
                cmocka_unit_test(test_features),
                cmocka_unit_test(test_features_kept),
                cmocka_unit_test(test_secure_boot),
                cmocka_unit_test(test_clock),
                cmocka_unit_test(test_guest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
