/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <libxml/parser.h>
#include <libxml/relaxng.h>

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

#define DOMAIN(content)  "<domain><name>n</name>" content "</domain>"
#define DEVICES(content) DOMAIN("<devices>" content "</devices>")
#define HOSTDEV(address)                                                                                     \
        "<hostdev mode='subsystem' type='pci' managed='no'><source><address " address "/></source></"        \
        "hostdev>"

static const char *const documents[] = {"q35.xml",     "i440fx.xml", "foreign.xml",
                                        "compact.xml", "empty.xml",  "dos.xml"};

DEFINE_CLEANUP(struct vfioctl_domain, vfioctl_domain_free)
#define _cleanup_domain_ _cleanup_(vfioctl_domain_freep)

static struct vfioctl_domain *parse(const char *xml)
{
        struct vfioctl_domain *domain = NULL;
        char *error = NULL;

        if (vfioctl_domain_parse(xml, strlen(xml), &domain, &error) < 0)
                fail_msg("%s: %s", error, xml);
        return domain;
}

static char *format(const struct vfioctl_domain *domain)
{
        char *text = NULL;

        assert_int_equal(vfioctl_domain_format(domain, &text), 0);
        return text;
}

static void assert_formats(const struct vfioctl_domain *domain, const char *expected)
{
        _cleanup_free_ char *text = format(domain);

        assert_string_equal(text, expected);
}

static struct vfioctl_address address(const char *text)
{
        struct vfioctl_address parsed;

        assert_int_equal(vfioctl_address_parse(text, &parsed), 0);
        return parsed;
}

static const struct vfioctl_address gpus[][2] = {
        {{.bus = 0x06}, {.bus = 0x06, .function = 1}},
        {{.domain = 0x10000, .bus = 0xe1, .device = 3},
         {.domain = 0x10000, .bus = 0xe1, .device = 3, .function = 7}},
        {{.bus = 0xff, .device = 0x1f}, {.bus = 0xff, .device = 0x1f, .function = 1}},
};

static int add(struct vfioctl_domain *domain, size_t gpu, size_t n_functions)
{
        return vfioctl_domain_add_gpu(domain, &(struct vfioctl_domain_gpu){
                                                      .name = "2a",
                                                      .identity = "pci0000:00/<&\"'>/1.0",
                                                      .functions = gpus[gpu],
                                                      .n_functions = n_functions,
                                              });
}

static int take(struct vfioctl_domain *domain, size_t gpu)
{
        return vfioctl_domain_remove_gpu(domain, gpus[gpu], 2);
}

static bool contains(const struct vfioctl_domain *domain, const char *part)
{
        _cleanup_free_ char *text = format(domain);

        return strstr(text, part) != NULL;
}

/* The same document with more text in front of a closing tag. */
static struct vfioctl_domain *with_text(const struct vfioctl_domain *domain, const char *tag,
                                        const char *more)
{
        _cleanup_free_ char *text = NULL, *longer = NULL;

        assert_int_equal(vfioctl_domain_format(domain, &text), 0);
        const char *at = strstr(text, tag);
        assert_non_null(at);
        assert_int_equal(util_format(&longer, "%.*s%s%s", (int)(at - text), text, more, at), 0);
        return parse(longer);
}

/* ---- parse --------------------------------------------------------------------------------------- */

static void test_refuses(void **state)
{
        static const char *const bad[] = {
                "",
                " ",
                "text",
                "\x7f"
                "ELF\x02\x01\x01",
                "\xff\xfe<\x01",
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

/* ---- edits --------------------------------------------------------------------------------------- */

struct schema {
        xmlRelaxNG *grammar;
        xmlRelaxNGValidCtxt *validator;
};

static void assert_valid(const struct schema *schema, const struct vfioctl_domain *domain)
{
        _cleanup_free_ char *text = format(domain);

        if (!schema->validator)
                return;
        xmlDoc *document = xmlReadMemory(text, (int)strlen(text), NULL, NULL, XML_PARSE_NONET);
        assert_non_null(document);
        if (xmlRelaxNGValidateDoc(schema->validator, document) != 0)
                fail_msg("libvirt's schema does not allow %s", text);
        xmlFreeDoc(document);
}

/* Three GPUs added in each order and removed in each order: what is there at the end is what was there. */
static void test_add_remove(void **state)
{
        static const size_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        const struct schema *schema = *state;

        for (size_t d = 0; d < ELEMENTSOF(documents); d++) {
                _cleanup_free_ char *text = read_data(documents[d]), *before = NULL;
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                bool valid = d < 2; /* the others are for us, not for libvirt */
                size_t count = vfioctl_domain_hostdev_count(domain);

                before = format(domain);
                for (size_t i = 0; i < 36; i++) {
                        const size_t *in = orders[i / 6], *out = orders[i % 6];
                        const char *name = vfioctl_domain_name(domain);

                        for (size_t k = 0; k < 3; k++) {
                                assert_int_equal(add(domain, in[k], 1 + (i + k) % 2), 0);
                                if (valid)
                                        assert_valid(schema, domain);
                        }
                        for (size_t k = 0; k < 3; k++) {
                                assert_int_equal(take(domain, out[k]), 1 + (i + (in[0] == out[k]   ? 0
                                                                                 : in[1] == out[k] ? 1
                                                                                                   : 2)) %
                                                                                       2);
                                if (valid)
                                        assert_valid(schema, domain);
                        }
                        assert_formats(domain, before);
                        assert_int_equal(vfioctl_domain_hostdev_count(domain), count);
                        assert_ptr_equal(vfioctl_domain_name(domain), name);
                }
        }
}

/* The same with the document written and read between all steps, as it is between two commands. */
static void test_add_remove_apart(void **state)
{
        (void)state;
        for (size_t d = 0; d < ELEMENTSOF(documents); d++) {
                _cleanup_free_ char *text = read_data(documents[d]), *before = NULL;
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);

                before = format(domain);
                for (int step = 0; step < 6; step++) {
                        int r = step < 3 ? add(domain, (size_t)step, 2) : take(domain, (size_t)step - 3);
                        assert_int_equal(r, step < 3 ? 0 : 2);
                        _cleanup_free_ char *now = format(domain);
                        domain = vfioctl_domain_free(domain);
                        domain = parse(now);
                }
                assert_formats(domain, before);
        }
}

static void test_writes(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain =
                parse("<domain>\n  <name>n</name>\n  <devices>\n    <a/>\n  </devices>\n</domain>\n");

        (void)state;
        assert_int_equal(add(domain, 1, 2), 0);
        assert_formats(
                domain,
                "<domain>\n"
                "  <name>n</name>\n"
                "  <metadata>\n"
                "    <vfioctl:gpus xmlns:vfioctl=\"urn:vfioctl:domain:1\" ports=\"1\" created=\"metadata\">\n"
                "      <vfioctl:gpu name=\"2a\" address=\"10000:e1:03.0\" "
                "functions=\"10000:e1:03.0 10000:e1:03.7\" "
                "identity=\"pci0000:00/&lt;&amp;&quot;'&gt;/1.0\" port=\"1\"/>\n"
                "    </vfioctl:gpus>\n"
                "  </metadata>\n"
                "  <devices>\n"
                "    <a/>\n"
                "    <controller type=\"pci\" index=\"1\" model=\"pcie-root-port\"/>\n"
                "    <hostdev mode=\"subsystem\" type=\"pci\" managed=\"yes\">\n"
                "      <source>\n"
                "        <address domain=\"0x10000\" bus=\"0xe1\" slot=\"0x03\" function=\"0x0\"/>\n"
                "      </source>\n"
                "      <address type=\"pci\" domain=\"0x0000\" bus=\"0x01\" slot=\"0x00\" function=\"0x0\" "
                "multifunction=\"on\"/>\n"
                "    </hostdev>\n"
                "    <hostdev mode=\"subsystem\" type=\"pci\" managed=\"yes\">\n"
                "      <source>\n"
                "        <address domain=\"0x10000\" bus=\"0xe1\" slot=\"0x03\" function=\"0x7\"/>\n"
                "      </source>\n"
                "      <address type=\"pci\" domain=\"0x0000\" bus=\"0x01\" slot=\"0x00\" "
                "function=\"0x1\"/>\n"
                "    </hostdev>\n"
                "  </devices>\n"
                "</domain>\n");
        assert_int_equal(vfioctl_domain_hostdev_count(domain), 2);
        const struct vfioctl_address *guest = vfioctl_domain_hostdev_guest(domain, 1);
        assert_true(guest && guest->bus == 1 && guest->device == 0 && guest->function == 1);
}

static void test_ports(void **state)
{
        _cleanup_free_ char *text = read_data("q35.xml"), *before = NULL;
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);

        (void)state;
        before = format(domain);
        assert_int_equal(add(domain, 0, 2), 0);
        assert_int_equal(add(domain, 1, 1), 0);
        assert_true(contains(domain, "ports=\"5 6\""));
        /* The first port stays below the second, and is used again before there is a third. */
        assert_int_equal(take(domain, 0), 2);
        assert_true(contains(domain, "ports=\"5 6\""));
        assert_int_equal(add(domain, 2, 1), 0);
        assert_true(contains(domain, "ports=\"5 6\"") && !contains(domain, "index=\"7\""));
        assert_int_equal(vfioctl_domain_hostdev_guest(domain, 1)->bus, 5);
        /* The last goes at once, the first with its GPU. */
        assert_int_equal(take(domain, 1), 1);
        assert_true(contains(domain, "ports=\"5\"") && !contains(domain, "index=\"6\""));
        assert_int_equal(take(domain, 2), 1);
        assert_formats(domain, before);
}

static void test_ports_of_others(void **state)
{
        static const struct vfioctl_address foreign = {.bus = 9};

        (void)state;
        /* A hostdev that we did not write: its port stays. */
        _cleanup_domain_ struct vfioctl_domain *theirs =
                parse(DEVICES("<controller type='pci' index='1' model='pcie-root-port'/>"
                              "<hostdev type='pci'><source><address bus='9'/></source><address type='pci' "
                              "bus='1'/></hostdev>"));
        assert_int_equal(vfioctl_domain_remove_gpu(theirs, &foreign, 1), 1);
        assert_true(contains(theirs, "index=\"1\""));

        /* A device that somebody put on our port keeps it, and the record of it; so does a port behind it. */
        _cleanup_domain_ struct vfioctl_domain *ours = parse(DEVICES(""));
        assert_int_equal(add(ours, 0, 1), 0);
        static const char *const later[] = {
                "<sound><address type='pci' bus='0x01'/></sound>",
                "<controller type='pci' index='2' model='pcie-root-port'/>",
        };
        for (size_t i = 0; i < ELEMENTSOF(later); i++) {
                _cleanup_domain_ struct vfioctl_domain *domain = with_text(ours, "</devices>", later[i]);
                assert_int_equal(take(domain, 0), 1);
                assert_true(contains(domain, "ports=\"1\"") && contains(domain, "index=\"1\""));
                assert_false(contains(domain, "vfioctl:gpu name"));
        }

        /* Records that nobody of ours wrote are no licence to remove anything else. */
        _cleanup_domain_ struct vfioctl_domain *spoilt =
                parse(DOMAIN("<metadata><v:gpus xmlns:v='" VFIOCTL_DOMAIN_NAMESPACE
                             "' ports='0 1 2 x 300 99999999999999999999'>"
                             "<v:gpu functions='nonsense'/><v:gpu functions='0000:09:00.0  "
                             "0000:0a:00.0'/><v:gpu/></v:gpus></metadata>"
                             "<devices><controller type='pci' index='0' model='pcie-root'/>"
                             "<controller type='pci' index='1' model='pcie-switch-upstream-port'/>"
                             "<controller type='usb' index='2' model='qemu-xhci'/></devices>"));
        assert_int_equal(vfioctl_domain_remove_gpu(spoilt, &foreign, 1), 0);
        assert_true(contains(spoilt, "pcie-root") && contains(spoilt, "upstream") &&
                    contains(spoilt, "xhci"));
        assert_true(contains(spoilt, "nonsense") && !contains(spoilt, "09:00.0"));
}

static void test_metadata(void **state)
{
        (void)state;
        /* Somebody's metadata that came while ours was there stays, with the element that we made. */
        _cleanup_domain_ struct vfioctl_domain *domain = parse(DOMAIN(""));
        assert_int_equal(add(domain, 0, 1), 0);
        _cleanup_domain_ struct vfioctl_domain *both =
                with_text(domain, "</metadata>", "<o:x xmlns:o='urn:o'/>");
        assert_int_equal(take(both, 0), 1);
        assert_formats(both,
                       "<domain><name>n</name><metadata><o:x xmlns:o=\"urn:o\"/></metadata></domain>\n");

        /* A record whose hostdev somebody removed by hand goes when asked for, and is not doubled by an add.
         */
        _cleanup_domain_ struct vfioctl_domain *stale =
                parse(DOMAIN("<metadata><v:gpus xmlns:v='" VFIOCTL_DOMAIN_NAMESPACE
                             "'><v:gpu name='old' functions='0000:06:00.0'/></v:gpus></metadata><devices/>"));
        assert_int_equal(add(stale, 0, 1), 0);
        assert_false(contains(stale, "old"));
        assert_int_equal(take(stale, 0), 1);
        assert_int_equal(take(stale, 0), 0);
        assert_false(contains(stale, "gpus"));
}

static void test_machines(void **state)
{
        static const struct {
                const char *machine;
                const char *controllers;
                bool pcie;
        } cases[] = {
                {"q35", "", true},
                {"pc-q35-7.2", "", true},
                {"virt", "", true},
                {"pc", "", false},
                {"pc-i440fx-7.2", "", false},
                {"pc-1.3", "", false},
                {"pc", "<controller type='pci' index='0' model='pcie-root'/>", true},
                {"unheard-of", "<controller type='pci' index='0' model='pci-root'/>", false},
                {"q35", "<controller type='usb' model='pci-root'/>", true},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                assert_int_equal(util_format(&text,
                                             DOMAIN("<os><type machine='%s'>hvm</type></os>"
                                                    "<devices>%s<video/></devices>"),
                                             cases[i].machine, cases[i].controllers),
                                 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                assert_int_equal(add(domain, 0, 2), 0);
                const struct vfioctl_address *guest = vfioctl_domain_hostdev_guest(domain, 1);
                assert_non_null(guest);
                assert_int_equal(guest->bus, cases[i].pcie ? 1 : 0);
                /* Slots 0 to 2 are the machine's own, with a video device that has no address yet. */
                assert_int_equal(guest->device, cases[i].pcie ? 0 : 3);
                assert_int_equal(guest->function, 1);
        }
}

static void test_no_space(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *pcie =
                parse(DEVICES("<controller type='pci' index='255' model='pcie-root-port'/>"));
        _cleanup_free_ char *before = format(pcie);
        char slots[4096] = "<domain><name>n</name><os><type machine='pc'/></os><devices>";
        size_t length = strlen(slots);

        (void)state;
        assert_int_equal(add(pcie, 0, 1), -ENOSPC);
        assert_formats(pcie, before);
        for (unsigned int i = 2; i < 31; i++)
                length += (size_t)snprintf(slots + length, sizeof(slots) - length,
                                           "<d><address type='pci' slot='%u'/></d>", i);
        assert_true(length + 32 < sizeof(slots));
        strcat(slots, "</devices></domain>");
        _cleanup_domain_ struct vfioctl_domain *pci = parse(slots);
        assert_int_equal(add(pci, 0, 2), 0);
        assert_int_equal(vfioctl_domain_hostdev_guest(pci, 0)->device, 31);
        assert_int_equal(add(pci, 1, 1), -ENOSPC);
        assert_int_equal(take(pci, 0), 2);
}

static void test_bad_gpus(void **state)
{
        const struct vfioctl_address functions[9] = {{.bus = 1}, {.bus = 1, .function = 1},
                                                     {.bus = 1}, {.bus = 2},
                                                     {.bus = 3}, {.bus = 4},
                                                     {.bus = 5}, {.bus = 7},
                                                     {.bus = 8}};
        const struct {
                struct vfioctl_domain_gpu gpu;
                int error;
        } cases[] = {
                {{"2a", "i", functions, 0}, -EINVAL},    {{"2a", "i", functions, 3}, -EINVAL},
                {{"2a", "i", functions, 9}, -EINVAL},    {{NULL, "i", functions, 1}, -EINVAL},
                {{"2a", NULL, functions, 1}, -EINVAL},   {{"2\na", "i", functions, 1}, -EINVAL},
                {{"2a", "\xff", functions, 1}, -EINVAL}, {{"2a", "i", functions + 2, 2}, -EEXIST},
        };
        _cleanup_domain_ struct vfioctl_domain *domain = parse(DEVICES(HOSTDEV("bus='0x02'")));
        _cleanup_free_ char *before = format(domain);

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(vfioctl_domain_add_gpu(domain, &cases[i].gpu), cases[i].error);
        assert_formats(domain, before);
        assert_int_equal(vfioctl_domain_remove_gpu(domain, functions, 0), 0);
        assert_formats(domain, before);
}

static void test_eight_functions(void **state)
{
        struct vfioctl_address functions[8] = {0};
        _cleanup_domain_ struct vfioctl_domain *domain = parse(DOMAIN(""));
        _cleanup_free_ char *before = format(domain);

        (void)state;
        for (size_t i = 0; i < 8; i++)
                functions[i] = (struct vfioctl_address){UINT32_MAX, 0xff, 0x1f, (uint8_t)(7 - i)};
        assert_int_equal(vfioctl_domain_add_gpu(domain, &(struct vfioctl_domain_gpu){"", "", functions, 8}),
                         0);
        for (size_t i = 0; i < 8; i++)
                assert_int_equal(vfioctl_domain_hostdev_guest(domain, i)->function, i);
        /* One function alone leaves the record of the rest. */
        assert_int_equal(vfioctl_domain_remove_gpu(domain, &functions[3], 1), 1);
        assert_true(contains(domain, "vfioctl:gpu "));
        assert_int_equal(vfioctl_domain_remove_gpu(domain, functions, 8), 7);
        assert_formats(domain, before);
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

static int load_schema(void **state)
{
        static struct schema schema;

        *state = &schema;
        if (access(SCHEMA, R_OK) < 0)
                return 0;
        xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewParserCtxt(SCHEMA);
        schema.grammar = parser ? xmlRelaxNGParse(parser) : NULL;
        xmlRelaxNGFreeParserCtxt(parser);
        schema.validator = schema.grammar ? xmlRelaxNGNewValidCtxt(schema.grammar) : NULL;
        return schema.validator ? 0 : -1;
}

static int free_schema(void **state)
{
        struct schema *schema = *state;

        xmlRelaxNGFreeValidCtxt(schema->validator);
        xmlRelaxNGFree(schema->grammar);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refuses),
                cmocka_unit_test(test_refuses_size_and_depth),
                cmocka_unit_test(test_reads),
                cmocka_unit_test(test_reads_numa),
                cmocka_unit_test(test_reads_notations),
                cmocka_unit_test(test_reads_only_pci),
                cmocka_unit_test_setup_teardown(test_add_remove, load_schema, free_schema),
                cmocka_unit_test(test_add_remove_apart),
                cmocka_unit_test(test_writes),
                cmocka_unit_test(test_ports),
                cmocka_unit_test(test_ports_of_others),
                cmocka_unit_test(test_metadata),
                cmocka_unit_test(test_machines),
                cmocka_unit_test(test_no_space),
                cmocka_unit_test(test_bad_gpus),
                cmocka_unit_test(test_eight_functions),
                cmocka_unit_test(test_damaged),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
