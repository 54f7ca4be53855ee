/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/relaxng.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>

#include "tune.h"
#include "no-memory.h"

/* The standard for VMs with GPUs: what it leaves alone, and that it can be done twice. */

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

/* ---- all that is not owned ----------------------------------------------------------------------- */

#define HYPERV(name) "/domain/features/hyperv/" name

/* What the header says is changed, as XPath. */
static const char *const owned[] = {
        "/domain/metadata/*[local-name()='libosinfo']",
        "/domain/vcpu/@placement",
        "/domain/iothreads",
        "/domain/cputune/vcpupin",
        "/domain/cputune/emulatorpin",
        "/domain/cputune/iothreadpin",
        "/domain/numatune/memory",
        "/domain/memoryBacking/hugepages",
        "/domain/cpu/@mode",
        "/domain/cpu/@check",
        "/domain/cpu/@match",
        "/domain/cpu/@migratable",
        "/domain/cpu/model",
        "/domain/cpu/vendor",
        "/domain/cpu/topology",
        "/domain/cpu/cache",
        "/domain/cpu/maxphysaddr",
        "/domain/cpu/feature[@name='hypervisor' and @policy='disable']",
        "/domain/cpu/feature[@name='topoext']",
        HYPERV("relaxed"),
        HYPERV("vapic"),
        HYPERV("spinlocks"),
        HYPERV("vpindex"),
        HYPERV("runtime"),
        HYPERV("synic"),
        HYPERV("stimer"),
        HYPERV("reset"),
        HYPERV("vendor_id"),
        HYPERV("frequencies"),
        HYPERV("tlbflush"),
        HYPERV("ipi"),
        "/domain/features/kvm/hidden",
        "/domain/features/ioapic",
        "/domain/clock/@offset[.='utc' or .='localtime']",
        "/domain/clock/timer[@name='rtc']/@tickpolicy",
        "/domain/clock/timer[@name='pit']/@tickpolicy",
        "/domain/clock/timer[@name='hpet']/@present",
        "/domain/clock/timer[@name='hypervclock']/@present",
        "/domain/clock/timer/@name[count(../@*)=1]",
        "/domain/pm/*",
        "/domain/devices/memballoon",
        "/domain/devices/sound",
        "/domain/devices/controller[@model='pcie-root']/pcihole64",
        "/domain/devices/controller[@model='pcie-root' and not(*)]",
        "/domain/devices/disk/driver/@iothread",
        "/domain/devices/disk/driver/@name[.='qemu' and count(../@*)=1]",
        "/domain/devices/controller/driver/@iothread",
        "/domain/q:commandline/q:arg[contains(@value,'X-PciMmio64Mb')]",
        "/domain/q:commandline/q:arg[@value='-fw_cfg']",
};

/* And with a display. */
static const char *const shown[] = {
        "/domain/devices/graphics",
        "/domain/devices/video",
        "/domain/devices/*[@type='spicevmc']",
        "/domain/devices/redirfilter",
        "/domain/devices/audio/@type[.='spice' or .='none']",
};

static void remove_all(xmlDoc *document, const char *path)
{
        xmlXPathContext *context = xmlXPathNewContext(document);

        assert_non_null(context);
        assert_int_equal(xmlXPathRegisterNs(context, (const xmlChar *)"q",
                                            (const xmlChar *)"http://libvirt.org/schemas/domain/qemu/1.0"),
                         0);
        xmlXPathObject *found = xmlXPathEvalExpression((const xmlChar *)path, context);
        assert_non_null(found);
        for (int i = found->nodesetval ? found->nodesetval->nodeNr - 1 : -1; i >= 0; i--) {
                xmlNode *node = found->nodesetval->nodeTab[i];
                found->nodesetval->nodeTab[i] = NULL;
                if (node->type == XML_ATTRIBUTE_NODE) {
                        assert_int_equal(xmlRemoveProp((xmlAttr *)node), 0);
                } else {
                        xmlUnlinkNode(node);
                        xmlFreeNode(node);
                }
        }
        xmlXPathFreeObject(found);
        xmlXPathFreeContext(context);
}

/* What is left of a definition without what is owned; blanks do not count, nor what has nothing in it then.
 */
static char *rest_of(const struct vfioctl_domain *domain, bool with_display)
{
        _cleanup_free_ char *text = format(domain);
        xmlDoc *document = xmlReadMemory(text, (int)strlen(text), NULL, NULL, XML_PARSE_NOBLANKS);
        static const char declaration[] = " xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\"";
        xmlChar *rest;
        int size;

        assert_non_null(document);
        for (size_t i = 0; i < ELEMENTSOF(owned); i++)
                remove_all(document, owned[i]);
        for (size_t i = 0; with_display && i < ELEMENTSOF(shown); i++)
                remove_all(document, shown[i]);
        remove_all(document, "//text()[normalize-space()='']");
        for (unsigned int i = 0; i < 4; i++)
                remove_all(document, "/domain//*[not(node()) and not(@*)]");
        xmlDocDumpMemory(document, &rest, &size);
        char *copy = strdup((const char *)rest);
        assert_non_null(copy);
        xmlFree(rest);
        xmlFreeDoc(document);
        /* Where the namespace was declared first is all the same. */
        for (char *at; (at = strstr(copy, declaration));)
                memmove(at, at + strlen(declaration), strlen(at + strlen(declaration)) + 1);
        return copy;
}

static void _printf_(2, 3) be_silent(void *userdata, const char *format_unused, ...)
{
        (void)userdata;
        (void)format_unused;
}

static bool is_valid(xmlRelaxNG *schema, const char *text)
{
        xmlDoc *document = xmlReadMemory(text, (int)strlen(text), NULL, NULL, 0);
        xmlRelaxNGValidCtxt *context = xmlRelaxNGNewValidCtxt(schema);

        assert_non_null(document);
        assert_non_null(context);
        xmlRelaxNGSetValidErrors(context, be_silent, be_silent, NULL);
        bool is = xmlRelaxNGValidateDoc(context, document) == 0;
        xmlRelaxNGFreeValidCtxt(context);
        xmlFreeDoc(document);
        return is;
}

static xmlRelaxNG *read_schema(void)
{
        xmlRelaxNGParserCtxt *parser = access(SCHEMA, R_OK) == 0 ? xmlRelaxNGNewParserCtxt(SCHEMA) : NULL;

        if (!parser)
                skip();
        xmlRelaxNG *schema = xmlRelaxNGParse(parser);
        xmlRelaxNGFreeParserCtxt(parser);
        assert_non_null(schema);
        return schema;
}

/* One sample, tuned in one way: twice, and compared. */
static void try_sample(xmlRelaxNG *schema, const char *name, const struct vfioctl_tuning *tuning)
{
        _cleanup_free_ char *text = read_data(name);
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
        bool with_display = tuning->display != VFIOCTL_DISPLAY_KEEP;
        _cleanup_free_ char *before = format(domain), *rest = rest_of(domain, with_display);

        tune_at(domain, tuning);
        _cleanup_free_ char *once = format(domain), *kept = rest_of(domain, with_display);
        assert_string_equal(kept, rest);
        tune_at(domain, tuning);
        assert_formats(domain, once);
        if (is_valid(schema, before) && !is_valid(schema, once))
                fail_msg("%s is not valid any more:\n%s", name, once);
}

static void test_samples(void **state)
{
        static const enum vfioctl_display displays[] = {VFIOCTL_DISPLAY_KEEP, VFIOCTL_DISPLAY_NONE,
                                                        VFIOCTL_DISPLAY_RESCUE};
        static const enum vfioctl_guest guests[] = {VFIOCTL_GUEST_OTHER, VFIOCTL_GUEST_LINUX,
                                                    VFIOCTL_GUEST_WINDOWS};
        xmlRelaxNG *schema = read_schema();

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(samples); i++)
                for (size_t d = 0; d < ELEMENTSOF(displays); d++)
                        for (size_t g = 0; g < ELEMENTSOF(guests); g++)
                                for (size_t k = 0; k < 2; k++) {
                                        struct vfioctl_tuning tuning = whole;
                                        tuning.display = displays[d];
                                        tuning.guest = guests[g];
                                        tuning.kvm = k == 0;
                                        try_sample(schema, samples[i], &tuning);
                                }
        xmlRelaxNGFree(schema);
        xmlRelaxNGCleanupTypes();
}

/* The samples are what the schema says they are, so that the test above is one. */
static void test_samples_are_valid(void **state)
{
        xmlRelaxNG *schema = read_schema();

        (void)state;
        for (size_t i = 0; i < 5; i++) {
                _cleanup_free_ char *text = read_data(samples[i]);
                assert_true(is_valid(schema, text));
        }
        assert_false(is_valid(schema, "<domain><name>n</name></domain>"));
        xmlRelaxNGFree(schema);
        xmlRelaxNGCleanupTypes();
}

/* With a GPU of ours in it: it can be taken out as if it had never been tuned in. */
static void test_gpu_stays_removable(void **state)
{
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(documents); i++) {
                _cleanup_free_ char *text = read_data(documents[i]);
                _cleanup_domain_ struct vfioctl_domain *with = parse(text), *without = parse(text);
                struct vfioctl_tuning tuning = whole;

                assert_int_equal(add(with, 0, 2), 0);
                tune_at(with, &tuning);
                assert_true(contains(with, "<rom bar=\"off\"/>"));
                tune_at(without, &tuning);
                assert_int_equal(take(with, 0), 2);
                assert_false(contains(with, "hostdev mode=\"subsystem\" type=\"pci\""));
                tune_at(with, &tuning);
                _cleanup_free_ char *one = rest_of(with, true), *other = rest_of(without, true);
                assert_string_equal(one, other);
        }
}

/* ---- no memory ------------------------------------------------------------------------------------ */

/* Wherever it fails, the definition is as it was: or all went well without what failed. */
static void test_no_memory(void **state)
{
        _cleanup_free_ char *text = read_data("virt-install.xml");
        struct vfioctl_tuning tuning = whole;
        size_t failed = 0;

        (void)state;
        xmlSetGenericErrorFunc(NULL, be_silent);
        assert_int_equal(xmlMemSetup(free, failing_malloc, failing_realloc, failing_strdup), 0);
        _cleanup_domain_ struct vfioctl_domain *good = parse(text);
        const struct vfioctl_place place = place_for(good);
        tuning.place = &place;
        tuning.display = VFIOCTL_DISPLAY_RESCUE;
        tune(good, &tuning);
        _cleanup_free_ char *expected = format(good);
        for (size_t n = 1;; n++) {
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                _cleanup_free_ char *before = format(domain);
                countdown = n;
                int r = vfioctl_domain_tune(domain, &tuning, NULL);
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
                cmocka_unit_test(test_samples),
                cmocka_unit_test(test_samples_are_valid),
                cmocka_unit_test(test_gpu_stays_removable),
                cmocka_unit_test(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
