/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domains.h"

#include <libxml/parser.h>
#include <libxml/relaxng.h>

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

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
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
