/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/xmlerror.h>
#include <libxml/xmlmemory.h>

#include "domains.h"
#include "no-memory.h"

/* Templates, and what a new VM gets beyond its template. */

#define TEMPLATES "../../../../xml-templates/"
#define OS        "<os><type>hvm</type></os>"
#define OS_EFI    "<os firmware='efi'><type>hvm</type></os>"
#define OSINFO(id)                                                                                           \
        "<metadata><o:libosinfo xmlns:o='http://libosinfo.org/xmlns/libvirt/domain/1.0'><o:os id='" id       \
        "'/></o:libosinfo></metadata>"

static const char *const templates[] = {"linux-compute.xml", "linux-streaming.xml", "minimal.xml",
                                        "windows-streaming.xml"};

static struct vfioctl_make usual(void)
{
        return (struct vfioctl_make){
                .name = "vm1",
                .type = "kvm",
                .secure_boot = true,
                .disk = "/d.img",
                .disk_format = "raw",
        };
}

static struct vfioctl_domain *template(const char *name)
{
        _cleanup_free_ char *path = NULL, *text = NULL;

        assert_int_equal(util_format(&path, TEMPLATES "%s", name), 0);
        text = read_data(path);
        return parse(text);
}

static size_t count(const struct vfioctl_domain *domain, const char *part)
{
        _cleanup_free_ char *text = format(domain);
        size_t n = 0;

        for (const char *at = text; (at = strstr(at, part)); at++)
                n++;
        return n;
}

/* ---- templates ---- */

static void test_templates_are_good(void **state)
{
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(templates); i++) {
                _cleanup_domain_ struct vfioctl_domain *domain = template(templates[i]);
                _cleanup_free_ char *summary = NULL, *error = NULL;
                assert_int_equal(vfioctl_domain_check_template(domain, &error), 0);
                assert_null(error);
                assert_int_equal(vfioctl_domain_summary(domain, &summary), 0);
                assert_true(strlen(summary) > 10);
        }
}

static void refuses(const char *xml, const char *line, const char *why)
{
        _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
        _cleanup_free_ char *error = NULL;

        assert_int_equal(vfioctl_domain_check_template(domain, NULL), -EINVAL);
        assert_int_equal(vfioctl_domain_check_template(domain, &error), -EINVAL);
        if (strncmp(error, line, strlen(line)) != 0 || !strstr(error, why))
                fail_msg("%s: not %s %s", error, line, why);
}

static void test_what_a_template_must_not_have(void **state)
{
        (void)state;
        refuses(DOMAIN(""), "line 1: ", "<os>");
        refuses(DOMAIN("\n<uuid>x</uuid>" OS), "line 2: ", "<uuid>");
        refuses(DOMAIN("<genid/>" OS), "line 1: ", "<genid>");
        refuses(DOMAIN("<os><nvram>/x</nvram></os>"), "line 1: ", "<nvram>");
        refuses(DOMAIN(OS "<devices>\n\n" HOSTDEV("bus='1'") "</devices>"), "line 3: ", "<hostdev>");
        refuses(DOMAIN(OS "<devices><hostdev type='usb'/></devices>"), "line 1: ", "<hostdev>");
        refuses(DOMAIN(OS "<devices><interface/><interface><mac/></interface></devices>"),
                "line 1: ", "<mac>");
        refuses(DOMAIN(OS "<devices><disk><source file='/x'/></disk></devices>"), "line 1: ", "--disk");
        refuses(DOMAIN(OS "<metadata><v:gpus xmlns:v='" VFIOCTL_DOMAIN_NAMESPACE "'/></metadata>"),
                "line 1: ", "vfioctl");

        refuses(DOMAIN(OS "<cpu><numa><cell id='0'/>\n<cell id='1'/></numa></cpu>"), "line 2: ", "<cell>");
        refuses(DOMAIN(OS "\n<maxMemory>1</maxMemory>"), "line 2: ", "<maxMemory>");
        refuses(DOMAIN(OS "<devices><memory model='dimm'/></devices>"), "line 1: ", "<memory>");

        _cleanup_domain_ struct vfioctl_domain *good =
                parse(DOMAIN(OS "<cpu><numa><cell id='0'/></numa></cpu><devices><disk "
                                "device='cdrom'/><disk><readonly/></disk><disk><shareable/></disk>"
                                "<interface/></devices>"));
        assert_int_equal(vfioctl_domain_check_template(good, NULL), 0);
}

static void test_summary(void **state)
{
        static const struct {
                const char *xml, *summary;
        } cases[] = {
                {DOMAIN(""), NULL},
                {DOMAIN("<title>a</title><description>b</description>"), "a"},
                {DOMAIN("<description>\n  one  thing \n another\n</description>"), "one thing"},
                {DOMAIN("<title/>"), ""},
                {DOMAIN("<title> \n\t </title>"), ""},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_domain_ struct vfioctl_domain *domain = parse(cases[i].xml);
                _cleanup_free_ char *summary = NULL;
                assert_int_equal(vfioctl_domain_summary(domain, &summary), 0);
                assert_true(util_equal(summary, cases[i].summary));
        }
}

static void test_network_of_a_template(void **state)
{
        static const struct {
                const char *xml, *network;
        } cases[] = {
                {DOMAIN(""), NULL},
                {DEVICES("<interface/>"), NULL},
                {DEVICES("<interface type='bridge'><source bridge='b'/></interface>"), NULL},
                {DEVICES("<interface type='user'/><interface type='network'><source "
                         "network='n'/></interface>"),
                 "n"},
                {DEVICES("<interface type='network'/>"), NULL},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_domain_ struct vfioctl_domain *domain = parse(cases[i].xml);
                assert_true(util_equal(vfioctl_domain_network(domain), cases[i].network));
        }
}

/* ---- words ---- */

static void test_names(void **state)
{
        static const char *const good[] = {"a", "a b", "-", "..", "\xc3\xbc", "<&>"};
        static const char *const bad[] = {"", " ", "a/b", "/", "a\nb", "\x7f", "\xff", "\x01"};
        char longest[VFIOCTL_VM_NAME_MAX + 2];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(vfioctl_domain_is_name(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(vfioctl_domain_is_name(bad[i]));
        assert_false(vfioctl_domain_is_name(NULL));
        memset(longest, 'x', sizeof(longest));
        longest[VFIOCTL_VM_NAME_MAX] = '\0';
        assert_true(vfioctl_domain_is_name(longest));
        longest[VFIOCTL_VM_NAME_MAX] = 'x';
        longest[VFIOCTL_VM_NAME_MAX + 1] = '\0';
        assert_false(vfioctl_domain_is_name(longest));
        assert_true(vfioctl_domain_is_path("/a b/\xc3\xbc"));
        assert_false(vfioctl_domain_is_path("a"));
        assert_false(vfioctl_domain_is_path(""));
        assert_false(vfioctl_domain_is_path(NULL));
        assert_false(vfioctl_domain_is_path("/a\nb"));
        assert_false(vfioctl_domain_is_path("/\xff"));
}

/* The examples of Looking Glass' documentation, and the ends. */
static void test_shared_memory(void **state)
{
        (void)state;
        assert_int_equal(vfioctl_shared_memory(1920, 1080), 32);
        assert_int_equal(vfioctl_shared_memory(2560, 1440), 64);
        assert_int_equal(vfioctl_shared_memory(3840, 2160), 128);
        assert_int_equal(vfioctl_shared_memory(1, 1), 16);
        assert_int_equal(vfioctl_shared_memory(16384, 16384), 4096);
        assert_int_equal(vfioctl_shared_memory(0, 1080), 0);
        assert_int_equal(vfioctl_shared_memory(1920, 16385), 0);
        assert_int_equal(vfioctl_shared_memory(UINT32_MAX, UINT32_MAX), 0);
}

static void test_what_makes_no_sense(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain = template("minimal.xml");
        _cleanup_free_ char *before = format(domain);
        static const char *const relative[] = {"a"};
        const struct vfioctl_address twice = {.bus = 6};
        struct vfioctl_make make;

        (void)state;
#define REFUSES(change)                                                                                      \
        make = usual();                                                                                      \
        change;                                                                                              \
        assert_int_equal(vfioctl_domain_make(domain, &make), -EINVAL);                                       \
        assert_formats(domain, before)
        REFUSES(make.name = "a/b");
        REFUSES(make.name = NULL);
        REFUSES(make.type = NULL);
        REFUSES(make.disk = NULL);
        REFUSES(make.disk = "d.img");
        REFUSES(make.disk_format = NULL);
        REFUSES((make.network = "a", make.bridge = "b"));
        REFUSES((make.isos = relative, make.n_isos = 1));
        REFUSES((make.evdevs = relative, make.n_evdevs = 1));

        assert_int_equal(add(domain, 0, 1), 0);
        make = usual();
        make.usb = &twice;
        assert_int_equal(vfioctl_domain_make(domain, &make), -EEXIST);
}

/* ---- what is made ---- */

static void test_what_it_is(void **state)
{
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(templates); i++) {
                _cleanup_domain_ struct vfioctl_domain *domain = template(templates[i]);
                struct vfioctl_make make = usual();
                make.name = "<&>";
                make.type = "test";
                make.uuid = "11111111-2222-3333-4444-555555555555";
                assert_int_equal(vfioctl_domain_make(domain, &make), 0);
                assert_string_equal(vfioctl_domain_name(domain), "<&>");
                assert_string_equal(vfioctl_domain_uuid(domain), make.uuid);
                assert_true(
                        contains(domain, "<domain type=\"test\">\n  <name>&lt;&amp;&gt;</name>\n  <uuid>"));
                assert_false(contains(domain, "<title>"));
                assert_false(contains(domain, "<description>"));
                /* What stands before <domain> is about the template. */
                assert_false(contains(domain, "SPDX"));
                assert_int_equal(count(domain, "<iothreads>"), 1);
                assert_true(contains(domain,
                                     "<driver name=\"qemu\" type=\"raw\" cache=\"none\" io=\"native\" "
                                     "discard=\"unmap\" iothread=\"1\"/>"));
                assert_true(contains(domain, "<source file=\"/d.img\"/>"));
                assert_true(contains(domain, "<boot order=\"1\"/>"));
        }
}

static void test_without_a_uuid(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain = parse(DOMAIN("<uuid>x</uuid>" OS "<vcpu>1</vcpu>"));
        const struct vfioctl_make make = usual();

        (void)state;
        assert_int_equal(vfioctl_domain_make(domain, &make), 0);
        assert_null(vfioctl_domain_uuid(domain));
        assert_false(contains(domain, "uuid"));
        assert_true(contains(domain, "<devices>"));
        assert_true(contains(domain, "<vcpu>1</vcpu><iothreads>1</iothreads>"));
}

static void test_drives(void **state)
{
        static const char *const isos[] = {"/a.iso", "/b&.iso"};
        _cleanup_domain_ struct vfioctl_domain *domain = parse(DOMAIN(
                "<os><type>hvm</type><boot dev='hd'/><boot dev='network'/></os><devices>"
                "<disk device='cdrom'><target dev='sda'/></disk><interface><boot order='1'/></interface>"
                "</devices>"));
        struct vfioctl_make make = usual();

        (void)state;
        make.isos = isos;
        make.n_isos = 2;
        make.disk_is_block = true;
        make.disk = "/dev/vg/a";
        assert_int_equal(vfioctl_domain_make(domain, &make), 0);
        assert_true(contains(domain, "<source dev=\"/dev/vg/a\"/><target dev=\"vda\" bus=\"virtio\"/>"
                                     "<boot order=\"2\"/>"));
        assert_true(contains(domain, "<source file=\"/a.iso\"/><target dev=\"sdb\" bus=\"sata\"/><readonly/>"
                                     "<boot order=\"1\"/>"));
        assert_true(contains(domain,
                             "<source file=\"/b&amp;.iso\"/><target dev=\"sdc\" bus=\"sata\"/><readonly/>"
                             "</disk>"));
        assert_false(contains(domain, "boot dev"));
        assert_int_equal(count(domain, "<boot order"), 2);
}

static void test_too_many_drives(void **state)
{
        const char *isos[40];
        _cleanup_domain_ struct vfioctl_domain *domain = template("minimal.xml");
        _cleanup_free_ char *before = format(domain);
        struct vfioctl_make make = usual();

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(isos); i++)
                isos[i] = "/a";
        make.isos = isos;
        make.n_isos = ELEMENTSOF(isos);
        assert_int_equal(vfioctl_domain_make(domain, &make), -ENOSPC);
        assert_formats(domain, before);
}

static void test_network(void **state)
{
        static const struct {
                const char *network, *bridge, *devices, *expected;
                unsigned int queues;
        } cases[] = {
                {"lan", NULL, "",
                 "<interface type=\"network\"><source network=\"lan\"/><model type=\"virtio\"/>", 1},
                {NULL, "br0", "", "<source bridge=\"br0\"/><model type=\"virtio\"/><driver queues=\"4\"/>",
                 4},
                {NULL, "br0", "<interface id='1'/><interface id='2'/>",
                 "<source bridge=\"br0\"/><model type=\"virtio\"/><driver "
                 "queues=\"4\"/></interface><interface id=\"2\"/>",
                 4},
                {NULL, NULL,
                 "<interface type='direct'><model type='virtio'/><driver name='vhost'/></interface>",
                 "<driver name=\"vhost\" queues=\"2\"/>", 2},
                {NULL, NULL,
                 "<interface type='network'><model type='virtio'/><driver queues='3'/></interface>",
                 "<driver queues=\"3\"/>", 2},
                {NULL, NULL, "<interface type='network'><model type='e1000e'/></interface>",
                 "<interface type=\"network\"><model type=\"e1000e\"/></interface>", 2},
                {NULL, NULL, "<interface type='user'><model type='virtio'/></interface>",
                 "<interface type=\"user\"><model type=\"virtio\"/></interface>", 2},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *xml = NULL;
                struct vfioctl_make make = usual();
                assert_int_equal(util_format(&xml, DOMAIN("<devices>%s</devices>"), cases[i].devices), 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
                make.network = cases[i].network;
                make.bridge = cases[i].bridge;
                make.queues = cases[i].queues;
                assert_int_equal(vfioctl_domain_make(domain, &make), 0);
                if (!contains(domain, cases[i].expected))
                        fail_msg("case %zu lacks %s", i, cases[i].expected);
                assert_false(contains(domain, "id=\"1\"") && cases[i].bridge);
        }
}

static void test_devices(void **state)
{
        static const char *const evdevs[] = {"/dev/input/by-id/usb-a-event-kbd", "/dev/input/event3",
                                             "/-kbd"};
        const struct vfioctl_address usb = {.bus = 0, .device = 0x14};
        _cleanup_domain_ struct vfioctl_domain *domain = template("minimal.xml");
        struct vfioctl_make make = usual();

        (void)state;
        make.evdevs = evdevs;
        make.n_evdevs = 3;
        make.shared_memory = 64;
        make.usb = &usb;
        assert_int_equal(vfioctl_domain_make(domain, &make), 0);
        assert_true(contains(domain, "<source dev=\"/dev/input/by-id/usb-a-event-kbd\" grab=\"all\" "
                                     "grabToggle=\"ctrl-ctrl\" repeat=\"on\"/>"));
        assert_true(contains(domain, "<source dev=\"/dev/input/event3\"/>"));
        assert_true(contains(domain, "<shmem name=\"looking-glass-vm1\">"));
        assert_true(contains(domain, "<size unit=\"M\">64</size>"));
        assert_int_equal(vfioctl_domain_hostdev_count(domain), 1);
        assert_int_equal(vfioctl_address_compare(vfioctl_domain_hostdev(domain, 0), &usb), 0);
        assert_null(vfioctl_domain_hostdev_guest(domain, 0));
        /* A GPU goes to the first root port all the same. */
        assert_int_equal(add(domain, 0, 2), 0);
        assert_int_equal(vfioctl_domain_hostdev_guest(domain, 1)->bus, 1);
}

/* ---- guests ---- */

static void assert_guest(const char *xml, enum vfioctl_guest guest, bool secure_boot, const char *secure,
                         bool tpm, enum vfioctl_guest expected)
{
        _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
        _cleanup_free_ char *feature = NULL;
        struct vfioctl_make make = usual();

        make.guest = guest;
        make.secure_boot = secure_boot;
        assert_int_equal(vfioctl_domain_make(domain, &make), 0);
        assert_int_equal(vfioctl_domain_guest(domain), expected);
        assert_int_equal(contains(domain, "<tpm model=\"tpm-crb\">"), tpm);
        if (!secure) {
                assert_false(contains(domain, "secure-boot"));
                return;
        }
        assert_int_equal(util_format(&feature, "<feature enabled=\"%s\" name=\"secure-boot\"/>", secure), 0);
        assert_true(contains(domain, feature));
        assert_int_equal(count(domain, "secure-boot"), 1);
}

static void test_guests(void **state)
{
        (void)state;
        assert_guest(DOMAIN(OS_EFI), VFIOCTL_GUEST_OTHER, true, NULL, false, VFIOCTL_GUEST_OTHER);
        assert_guest(DOMAIN(OS_EFI), VFIOCTL_GUEST_OTHER, false, NULL, false, VFIOCTL_GUEST_OTHER);
        assert_guest(DOMAIN(OS_EFI), VFIOCTL_GUEST_WINDOWS, true, "yes", true, VFIOCTL_GUEST_WINDOWS);
        assert_guest(DOMAIN(OS_EFI), VFIOCTL_GUEST_WINDOWS, false, "no", true, VFIOCTL_GUEST_WINDOWS);
        assert_guest(DOMAIN(OS_EFI), VFIOCTL_GUEST_LINUX, true, "no", false, VFIOCTL_GUEST_LINUX);
        assert_guest(DOMAIN(OS), VFIOCTL_GUEST_WINDOWS, true, NULL, true, VFIOCTL_GUEST_WINDOWS);
        assert_guest(DOMAIN(OSINFO("http://microsoft.com/win/11") OS_EFI), VFIOCTL_GUEST_OTHER, true, NULL,
                     true, VFIOCTL_GUEST_WINDOWS);
        assert_guest(DOMAIN(OSINFO("http://microsoft.com/win/11") OS_EFI), VFIOCTL_GUEST_LINUX, true, "no",
                     false, VFIOCTL_GUEST_LINUX);
        assert_guest(DOMAIN(OSINFO("http://debian.org/debian/12") OS_EFI), VFIOCTL_GUEST_LINUX, true, "no",
                     false, VFIOCTL_GUEST_LINUX);
        assert_guest(DOMAIN("<metadata><a:b xmlns:a='urn:a'/></metadata>" OS_EFI), VFIOCTL_GUEST_WINDOWS,
                     true, "yes", true, VFIOCTL_GUEST_WINDOWS);
        /* Firmware that is named is left as it is. */
        assert_guest(DOMAIN("<os firmware='efi'><loader>/x</loader></os>"), VFIOCTL_GUEST_WINDOWS, true, NULL,
                     true, VFIOCTL_GUEST_WINDOWS);
}

static void test_secure_boot_of_the_template(void **state)
{
        _cleanup_free_ char *text = read_data(TEMPLATES "windows-streaming.xml");

        (void)state;
        assert_guest(text, VFIOCTL_GUEST_OTHER, true, "yes", true, VFIOCTL_GUEST_WINDOWS);
        assert_guest(text, VFIOCTL_GUEST_OTHER, false, "no", true, VFIOCTL_GUEST_WINDOWS);
        assert_guest(text, VFIOCTL_GUEST_LINUX, true, "no", true, VFIOCTL_GUEST_LINUX);
}

/* ---- no memory ---- */

static void be_silent(void *userdata, const char *text, ...)
{
        (void)userdata;
        (void)text;
}

/* Wherever it fails, the template is as it was: or all went well without what failed. */
static void test_no_memory(void **state)
{
        static const char *const isos[] = {"/a.iso"}, *const evdevs[] = {"/dev/input/a-kbd"};
        const struct vfioctl_address usb = {.bus = 3};
        struct vfioctl_make make = usual();
        size_t failed = 0;

        (void)state;
        xmlSetGenericErrorFunc(NULL, be_silent);
        assert_int_equal(xmlMemSetup(free, failing_malloc, failing_realloc, failing_strdup), 0);
        make.uuid = "11111111-2222-3333-4444-555555555555";
        make.guest = VFIOCTL_GUEST_WINDOWS;
        make.isos = isos;
        make.n_isos = 1;
        make.bridge = "br0";
        make.queues = 4;
        make.evdevs = evdevs;
        make.n_evdevs = 1;
        make.shared_memory = 32;
        make.usb = &usb;
        _cleanup_domain_ struct vfioctl_domain *good = template("minimal.xml");
        assert_int_equal(vfioctl_domain_make(good, &make), 0);
        _cleanup_free_ char *expected = format(good);
        for (size_t n = 1;; n++) {
                _cleanup_domain_ struct vfioctl_domain *domain = template("minimal.xml");
                _cleanup_free_ char *before = format(domain);
                countdown = n;
                int r = vfioctl_domain_make(domain, &make);
                bool is_over = countdown > 0;
                countdown = 0;
                if (r != 0 && r != -ENOMEM)
                        fail_msg("allocation %zu fails, and it gives %d", n, r);
                assert_formats(domain, r == 0 ? expected : before);
                failed += r < 0;
                if (is_over)
                        break;
        }
        assert_true(failed > 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_templates_are_good),
                cmocka_unit_test(test_what_a_template_must_not_have),
                cmocka_unit_test(test_summary),
                cmocka_unit_test(test_network_of_a_template),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_shared_memory),
                cmocka_unit_test(test_what_makes_no_sense),
                cmocka_unit_test(test_what_it_is),
                cmocka_unit_test(test_without_a_uuid),
                cmocka_unit_test(test_drives),
                cmocka_unit_test(test_too_many_drives),
                cmocka_unit_test(test_network),
                cmocka_unit_test(test_devices),
                cmocka_unit_test(test_guests),
                cmocka_unit_test(test_secure_boot_of_the_template),
                cmocka_unit_test(test_no_memory),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
