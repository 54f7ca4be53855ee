/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domains.h"

/* ---- where the guest sees a device ---------------------------------------------------------------- */

#define PORT_ON(index, model, bus, slot, function)                                                           \
        "<controller type='pci' index='" #index "' model='" model                                            \
        "'><address type='pci' domain='0' bus='" #bus "' slot='" #slot "' function='" #function              \
        "'/></controller>"
#define ROOT                        "<controller type='pci' index='0' model='pcie-root'/>"
#define PORT(index, slot, function) PORT_ON(index, "pcie-root-port", 0, slot, function)
#define GUEST(bus, slot, function)                                                                           \
        "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='6' slot='0' "                 \
        "function='0'/></source><address type='pci' domain='0' bus='" #bus "' slot='" #slot                  \
        "' function='" #function "'/></hostdev>"

static void test_places(void **state)
{
        static const struct {
                const char *devices, *address, *path;
        } cases[] = {
                /* As libvirt places them: numbers are the indexes. */
                {ROOT PORT(1, 2, 0) PORT(2, 2, 1) PORT(3, 2, 2) GUEST(3, 0, 0), "0000:03:00.0",
                 "0000:00:02.2"},
                {ROOT PORT(1, 2, 0) PORT(2, 2, 1) GUEST(2, 0, 1), "0000:02:00.1", "0000:00:02.1"},
                /* In the order of the definition or not: only addresses count. */
                {PORT(3, 2, 2) PORT(1, 2, 0) ROOT PORT(2, 2, 1) GUEST(3, 0, 0), "0000:03:00.0",
                 "0000:00:02.2"},
                /* Slots and functions are compared as numbers, in whatever base. */
                {ROOT PORT(1, 0x10, 0x0) PORT(2, 0x9, 0x7) GUEST(1, 0x00, 0x0), "0000:02:00.0",
                 "0000:00:10.0"},
                /* The port of the GPU was put in front of the others. */
                {ROOT PORT(1, 2, 0) PORT(2, 2, 1) PORT(9, 1, 0) GUEST(9, 0, 0), "0000:01:00.0",
                 "0000:00:01.0"},
                {ROOT PORT(1, 2, 0) PORT(2, 2, 1) PORT(9, 1, 0) GUEST(2, 0, 0), "0000:03:00.0",
                 "0000:00:02.1"},
                /* Indexes with gaps. */
                {ROOT PORT(4, 2, 0) PORT(8, 2, 1) GUEST(8, 0, 0), "0000:02:00.0", "0000:00:02.1"},
                /* What is below a bridge comes before its neighbour. */
                {ROOT PORT(1, 2, 0) PORT(2, 2, 1) PORT_ON(3, "pcie-to-pci-bridge", 1, 0, 0) GUEST(2, 0, 0),
                 "0000:03:00.0", "0000:00:02.1"},
                {ROOT PORT(1, 2, 0) PORT(2, 2, 1) PORT_ON(3, "pcie-to-pci-bridge", 1, 0, 0) GUEST(3, 4, 0),
                 "0000:02:04.0", "0000:00:02.0 0000:01:00.0"},
                {ROOT PORT_ON(1, "dmi-to-pci-bridge", 0, 0x1e, 0) PORT_ON(2, "pci-bridge", 1, 1, 0)
                         PORT(3, 2, 0) GUEST(3, 0, 0),
                 "0000:01:00.0", "0000:00:02.0"},
                /* A switch: libvirt's indexes go by rows, the numbers by branches. */
                {ROOT PORT(1, 2, 0) PORT_ON(2, "pcie-switch-upstream-port", 1, 0,
                                            0) PORT_ON(3, "pcie-switch-downstream-port", 2, 0, 0)
                         PORT_ON(4, "pcie-switch-downstream-port", 2, 1, 0) PORT(5, 2, 1) GUEST(4, 0, 0),
                 "0000:04:00.0", "0000:00:02.0 0000:01:00.0 0000:02:01.0"},
                /* No bridges at all, and one. */
                {GUEST(0, 6, 0), "0000:00:06.0", ""},
                {"<controller type='pci' index='0' model='pci-root'/>" GUEST(0, 6, 1), "0000:00:06.1", ""},
                {"<controller type='pci' index='0' model='pci-root'/>" PORT_ON(3, "pci-bridge", 0, 5, 0)
                         GUEST(3, 7, 0),
                 "0000:01:07.0", "0000:00:05.0"},
                /* Root buses of their own, with the number that the definition gives. */
                {ROOT PORT(1, 2, 0) "<controller type='pci' index='2' model='pcie-expander-bus'><target "
                                    "busNr='9'><busNr>200</busNr></target><address type='pci' bus='0' "
                                    "slot='3'/></controller>" PORT_ON(3, "pcie-root-port", 2, 0, 0)
                                            GUEST(3, 0, 0),
                 "0000:c9:00.0", "0000:c8:00.0"},
                /* Controllers of other kinds are no bridges. */
                {ROOT
                 "<controller type='usb' index='0' model='qemu-xhci'><address type='pci' bus='0' slot='1'/>"
                 "</controller><controller type='sata' index='0'/>" PORT(1, 2, 0) GUEST(1, 0, 0),
                 "0000:01:00.0", "0000:00:02.0"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                struct vfioctl_guest_place place;
                char found[32 * VFIOCTL_GUEST_PATH_MAX] = "", one[VFIOCTL_ADDRESS_SIZE];

                assert_int_equal(util_format(&text, DEVICES("%s"), cases[i].devices), 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                int r = vfioctl_domain_hostdev_place(domain, 0, &place);
                if (r < 0)
                        fail_msg("%s: %s", strerror(-r), text);
                assert_string_equal(vfioctl_address_format(&place.address, one), cases[i].address);
                for (size_t k = 0; k < place.n_path; k++)
                        (void)snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s",
                                       k ? " " : "", vfioctl_address_format(&place.path[k], one));
                assert_string_equal(found, cases[i].path);
        }
}

static void test_no_place(void **state)
{
        static const struct {
                const char *devices;
                int error;
        } cases[] = {
                {ROOT PORT(1, 2, 0) HOSTDEV("bus='6'"), -ENODATA},
                {ROOT "<controller type='pci' index='1' model='pcie-root-port'/>" GUEST(1, 0, 0), -ENODATA},
                {ROOT "<controller type='pci' model='pcie-root-port'/>" GUEST(0, 1, 0), -ENODATA},
                {ROOT "<controller type='pci' index='2' model='pcie-expander-bus'/>" GUEST(0, 1, 0),
                 -ENODATA},
                {ROOT "<controller type='pci' index='1' model='pcie-root-port'><address type='pci' bus='x'/>"
                      "</controller>" GUEST(1, 0, 0),
                 -ENODATA},
                /* A bus that is not there; one twice; bridges below each other, and below themselves. */
                {ROOT PORT(1, 2, 0) GUEST(7, 0, 0), -EINVAL},
                {ROOT PORT(1, 2, 0) PORT(1, 2, 1) GUEST(1, 0, 0), -EINVAL},
                {ROOT "<controller type='pci' index='1' model='pcie-root'/>" GUEST(0, 1, 0), -EINVAL},
                {ROOT "<controller type='pci' index='1' model='nonsense'/>" GUEST(0, 1, 0), -EINVAL},
                {ROOT PORT_ON(1, "pci-bridge", 2, 0, 0) PORT_ON(2, "pci-bridge", 1, 0, 0) GUEST(1, 0, 0),
                 -EINVAL},
                {ROOT PORT_ON(1, "pci-bridge", 1, 0, 0) GUEST(1, 0, 0), -EINVAL},
                {"<hostdev mode='subsystem' type='pci'><source><address bus='6'/></source><address "
                 "type='pci' "
                 "domain='1' bus='0' slot='1'/></hostdev>",
                 -EINVAL},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct vfioctl_guest_place place = {.n_path = 77};
                _cleanup_free_ char *text = NULL;

                assert_int_equal(util_format(&text, DEVICES("%s"), cases[i].devices), 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                int r = vfioctl_domain_hostdev_place(domain, 0, &place);
                if (r != cases[i].error)
                        fail_msg("%s: %s", strerror(-r), text);
                assert_int_equal(place.n_path, 77);
                assert_int_equal(vfioctl_domain_hostdev_place(domain, 1, &place), -EINVAL);
        }
}

/* More bridges than a path may have, and than there are numbers. */
static void test_many_bridges(void **state)
{
        (void)state;
        for (int deep = 0; deep < 2; deep++) {
                char *text = calloc(1, 65536);
                struct vfioctl_guest_place place;

                assert_non_null(text);
                strcpy(text, "<domain><name>n</name><devices>" ROOT);
                for (int i = 1; i <= 255; i++)
                        (void)sprintf(text + strlen(text),
                                      "<controller type='pci' index='%d' model='pcie-root-port'><address "
                                      "type='pci' bus='%d' slot='%d' function='%d'/></controller>",
                                      i, deep ? i - 1 : 0, deep ? 0 : i / 8, deep ? 0 : i % 8);
                strcat(text, GUEST(255, 0, 0) "</devices></domain>");
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                free(text);
                assert_int_equal(vfioctl_domain_hostdev_place(domain, 0, &place), deep ? -ELOOP : 0);
                if (!deep)
                        assert_int_equal(place.address.bus, 255);
        }
}

/* ---- what runs there ------------------------------------------------------------------------------- */

#define OS(id)                                                                                               \
        "<metadata><libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"    \
        "<libosinfo:os id='" id "'/></libosinfo:libosinfo></metadata>"
#define HYPERV "<features><hyperv><relaxed state='on'/></hyperv></features>"

static void test_guest(void **state)
{
        static const struct {
                const char *content;
                enum vfioctl_guest guest;
                const char *os;
        } cases[] = {
                {"", VFIOCTL_GUEST_OTHER, NULL},
                {HYPERV, VFIOCTL_GUEST_WINDOWS, NULL},
                {OS("http://microsoft.com/win/11"), VFIOCTL_GUEST_WINDOWS, "http://microsoft.com/win/11"},
                {OS("http://debian.org/debian/12"), VFIOCTL_GUEST_LINUX, "http://debian.org/debian/12"},
                {OS("http://fedoraproject.org/fedora/41") HYPERV, VFIOCTL_GUEST_LINUX,
                 "http://fedoraproject.org/fedora/41"},
                {OS("http://freebsd.org/freebsd/14.0"), VFIOCTL_GUEST_OTHER,
                 "http://freebsd.org/freebsd/14.0"},
                {"<metadata><libosinfo xmlns='urn:other'><os id='http://microsoft.com/win/11'/></libosinfo>"
                 "</metadata>",
                 VFIOCTL_GUEST_OTHER, NULL},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;

                assert_int_equal(util_format(&text, DOMAIN("%s"), cases[i].content), 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                assert_int_equal(vfioctl_domain_guest(domain), cases[i].guest);
                struct vfioctl_guest_facts facts = vfioctl_domain_guest_facts(domain);
                assert_true(util_equal(facts.os, cases[i].os));
        }
}

static void test_facts(void **state)
{
        _cleanup_domain_ struct vfioctl_domain
                *bare = parse(DOMAIN("")),
                *full = parse(DOMAIN("<os firmware='efi'><firmware><feature name='enrolled-keys' "
                                     "enabled='no'/><feature name='secure-boot' enabled='yes'/>"
                                     "</firmware></os><features><kvm><hidden state='on'/></kvm>"
                                     "</features><cpu><feature name='hypervisor' "
                                     "policy='disable'/></cpu><devices><video><model "
                                     "type='none'/></video><video><model type='virtio'/></video>"
                                     "</devices>")),
                *other = parse(DOMAIN("<os><loader type='pflash' secure='yes'/></os><features>"
                                      "<kvm><hidden state='off'/></kvm></features><cpu><feature "
                                      "name='hypervisor' policy='require'/></cpu><devices><video>"
                                      "<model type='none'/></video></devices>"));

        (void)state;
        struct vfioctl_guest_facts facts = vfioctl_domain_guest_facts(bare);
        assert_false(facts.has_display || facts.has_uefi || facts.has_secure_boot || facts.hides_kvm ||
                     facts.hides_hypervisor);
        facts = vfioctl_domain_guest_facts(full);
        assert_true(facts.has_display && facts.has_uefi && facts.has_secure_boot && facts.hides_kvm &&
                    facts.hides_hypervisor);
        facts = vfioctl_domain_guest_facts(other);
        assert_true(facts.has_uefi && facts.has_secure_boot);
        assert_false(facts.has_display || facts.hides_kvm || facts.hides_hypervisor);
}

/* ---- asking libvirt --------------------------------------------------------------------------------- */

/* For a report any VM will do, and a connection that only reads. */
static void test_look(void **state)
{
        static const char *const names[] = {"whole", "transient", "saved's one", "--help"};
        struct vfioctl_findings *findings = NULL;
        struct vfioctl_domain *domain = NULL;
        struct vfioctl_virt *virt = NULL;

        (void)state;
        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_virt_open("test://" VFIOCTL_TEST_DATA "/node.xml", true, findings, &virt),
                         0);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                assert_int_equal(vfioctl_virt_look(virt, names[i], findings, &domain), 0);
                assert_string_equal(vfioctl_domain_name(domain), names[i]);
                domain = vfioctl_domain_free(domain);
        }
        assert_int_equal(vfioctl_findings_count(findings), 0);
        assert_int_equal(vfioctl_virt_look(virt, "none", findings, &domain), -EPERM);
        assert_null(domain);
        assert_int_equal(vfioctl_findings_count(findings), 1);
        assert_string_equal(vfioctl_findings_get(findings, 0)->code, "vm-unknown");
        (void)vfioctl_virt_free(virt);
        (void)vfioctl_findings_free(findings);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_places),       cmocka_unit_test(test_no_place),
                cmocka_unit_test(test_many_bridges), cmocka_unit_test(test_guest),
                cmocka_unit_test(test_facts),        cmocka_unit_test(test_look),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
