/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domains.h"

/* What our metadata says of a definition, and how its GPUs get other addresses. */

#define METADATA(content)                                                                                    \
        "<metadata><v:gpus xmlns:v='" VFIOCTL_DOMAIN_NAMESPACE "'>" content "</v:gpus></metadata>"
#define RECORD(address, functions)                                                                           \
        "<v:gpu name='2a' address='" address "' functions='" functions "' identity='i'/>"
#define SIX   "bus='6'"
#define SEVEN "bus='7'"

/* A GPU of `n` functions from `first`, whose numbers are those of the digits in `numbers`. */
static struct vfioctl_domain_move move_to(struct vfioctl_address functions[8], size_t index,
                                          const char *first, const char *numbers)
{
        size_t n = strlen(numbers);

        for (size_t i = 0; i < n && i < 8; i++) {
                functions[i] = address(first);
                functions[i].function = (uint8_t)(numbers[i] - '0');
        }
        return (struct vfioctl_domain_move){.index = index, .functions = functions, .n_functions = n};
}

static int move(struct vfioctl_domain *domain, size_t index, const char *first, const char *numbers)
{
        struct vfioctl_address functions[8];
        const struct vfioctl_domain_move one = move_to(functions, index, first, numbers);

        return vfioctl_domain_move_gpus(domain, &one, 1);
}

static void assert_entry(const struct vfioctl_domain *domain, size_t index, const char *functions,
                         bool is_edited)
{
        const struct vfioctl_domain_entry *entry = vfioctl_domain_gpu_entry(domain, index);
        char text[8 * VFIOCTL_ADDRESS_SIZE] = "", buffer[VFIOCTL_ADDRESS_SIZE];

        assert_non_null(entry);
        for (size_t i = 0; i < entry->n_functions; i++) {
                if (i > 0)
                        strcat(text, " ");
                strcat(text, vfioctl_address_format(&entry->functions[i], buffer));
        }
        assert_string_equal(text, functions);
        assert_int_equal(entry->is_edited, is_edited);
}

/* ---- reading ------------------------------------------------------------------------------------- */

static void test_entries(void **state)
{
        _cleanup_free_ char *text = read_data("q35.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);

        (void)state;
        assert_int_equal(vfioctl_domain_gpu_count(domain), 0);
        assert_null(vfioctl_domain_gpu_entry(domain, 0));
        assert_int_equal(add(domain, 0, 2), 0);
        assert_int_equal(add(domain, 1, 1), 0);
        assert_int_equal(vfioctl_domain_gpu_count(domain), 2);
        assert_entry(domain, 0, "0000:06:00.0 0000:06:00.1", false);
        assert_entry(domain, 1, "10000:e1:03.0", false);
        assert_string_equal(vfioctl_domain_gpu_entry(domain, 1)->name, "2a");
        assert_string_equal(vfioctl_domain_gpu_entry(domain, 1)->identity, "pci0000:00/<&\"'>/1.0");
        assert_null(vfioctl_domain_gpu_entry(domain, 2));

        /* The same once it is written and read. */
        _cleanup_free_ char *now = format(domain);
        _cleanup_domain_ struct vfioctl_domain *again = parse(now);
        assert_entry(again, 0, "0000:06:00.0 0000:06:00.1", false);
        assert_string_equal(vfioctl_domain_gpu_entry(again, 0)->identity, "pci0000:00/<&\"'>/1.0");

        assert_int_equal(take(domain, 0), 2);
        assert_int_equal(vfioctl_domain_gpu_count(domain), 1);
        assert_entry(domain, 0, "10000:e1:03.0", false);
}

static void test_is_ours(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain = parse(DEVICES(HOSTDEV(SEVEN)));

        (void)state;
        assert_false(vfioctl_domain_hostdev_is_ours(domain, 0));
        assert_int_equal(add(domain, 0, 2), 0);
        assert_int_equal(vfioctl_domain_hostdev_count(domain), 3);
        assert_false(vfioctl_domain_hostdev_is_ours(domain, 0));
        assert_true(vfioctl_domain_hostdev_is_ours(domain, 1));
        assert_true(vfioctl_domain_hostdev_is_ours(domain, 2));
        assert_false(vfioctl_domain_hostdev_is_ours(domain, 3));
        assert_false(vfioctl_domain_hostdev_is_ours(domain, SIZE_MAX));

        /* Named like ours, in another namespace. */
        _cleanup_domain_ struct vfioctl_domain *foreign =
                parse(DOMAIN("<metadata><v:gpus xmlns:v='urn:other'>" RECORD(
                        "06:00.0", "06:00.0") "</v:gpus></metadata><devices>" HOSTDEV(SIX) "</devices>"));
        assert_false(vfioctl_domain_hostdev_is_ours(foreign, 0));
        assert_int_equal(vfioctl_domain_gpu_count(foreign), 0);
}

static void test_damaged_metadata(void **state)
{
        static const struct {
                const char *records;
                const char *functions;
                bool is_ours;
        } cases[] = {
                {"<v:gpu/>", "", false},
                {"<v:gpu name='' address='' functions='' identity=''/>", "", false},
                {"<v:gpu name='2a' address='06:00.0' identity='i'/>", "", false},
                {"<v:gpu name='2a' functions='06:00.0' identity='i'/>", "0000:06:00.0", true},
                {"<v:gpu address='06:00.0' functions='06:00.0' identity='i'/>", "0000:06:00.0", true},
                {"<v:gpu name='2a' address='06:00.0' functions='06:00.0'/>", "0000:06:00.0", true},
                {RECORD("06:00.1", "06:00.0"), "0000:06:00.0", true},
                {RECORD("x", "06:00.0"), "0000:06:00.0", true},
                {RECORD("06:00.0", "06:00.0 06:00.0"), "", false},
                {RECORD("06:00.0", "06:00.0,06:00.1"), "", false},
                {RECORD("06:00.0", " 06:00.0"), "", false},
                {RECORD("06:00.0", "06:00.0 06:00.8"), "", false},
                {RECORD("06:00.0", "06:00.0 000000000000000000000000000000000000000000006:00.0"), "", false},
                {RECORD("06:00.0", "06:00.0 06:00.1 06:00.2 06:00.3 06:00.4 06:00.5 06:00.6 06:00.7 06:01.0"),
                 "", false},
                /* A hostdev is gone, or its address is another. */
                {RECORD("06:00.0", "06:00.0 06:00.1"), "0000:06:00.0 0000:06:00.1", true},
                {RECORD("06:00.1", "06:00.1"), "0000:06:00.1", false},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *xml = NULL;
                assert_int_equal(util_format(&xml,
                                             DOMAIN(METADATA("%s") "<devices>" HOSTDEV(SIX) "</devices>"),
                                             cases[i].records),
                                 0);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
                assert_int_equal(vfioctl_domain_gpu_count(domain), 1);
                assert_entry(domain, 0, cases[i].functions, true);
                assert_non_null(vfioctl_domain_gpu_entry(domain, 0)->name);
                assert_non_null(vfioctl_domain_gpu_entry(domain, 0)->identity);
                assert_int_equal(vfioctl_domain_hostdev_is_ours(domain, 0), cases[i].is_ours);
                _cleanup_free_ char *before = format(domain);
                assert_int_equal(move(domain, 0, "09:00.0", "0"), -EINVAL);
                assert_formats(domain, before);
        }
}

static void test_edited(void **state)
{
        /* The address is passed through twice. */
        _cleanup_domain_ struct vfioctl_domain *twice = parse(DOMAIN(
                METADATA(RECORD("06:00.0", "06:00.0")) "<devices>" HOSTDEV(SIX) HOSTDEV(SIX) "</devices>"));
        /* Two records name it: the later one counts. */
        _cleanup_domain_ struct vfioctl_domain *shared = parse(DOMAIN(METADATA(RECORD(
                "06:00.0", "06:00.0") RECORD("06:00.0", "06:00.0")) "<devices>" HOSTDEV(SIX) "</devices>"));
        /* A USB device at the same numbers is no such hostdev. */
        _cleanup_domain_ struct vfioctl_domain *usb = parse(DOMAIN(METADATA(RECORD(
                "06:00.0",
                "06:00.0")) "<devices><hostdev mode='subsystem' "
                            "type='usb'><source><address bus='6' device='0'/></source></hostdev></devices>"));
        _cleanup_domain_ struct vfioctl_domain *no_devices =
                parse(DOMAIN(METADATA(RECORD("06:00.0", "06:00.0"))));

        (void)state;
        assert_entry(twice, 0, "0000:06:00.0", true);
        assert_int_equal(vfioctl_domain_gpu_count(shared), 2);
        assert_entry(shared, 0, "0000:06:00.0", true);
        assert_entry(shared, 1, "0000:06:00.0", false);
        assert_entry(usb, 0, "0000:06:00.0", true);
        assert_entry(no_devices, 0, "0000:06:00.0", true);
}

/* ---- moving -------------------------------------------------------------------------------------- */

/* `text` with every `from` replaced by `to`. */
static char *replaced(const char *text, const char *from, const char *to)
{
        char *result = calloc(1, strlen(text) * 2 + 1);
        size_t length = strlen(from);

        assert_non_null(result);
        for (char *at = result; *text;) {
                bool found = strncmp(text, from, length) == 0;
                at = found ? stpcpy(at, to) : (*at = *text, at + 1);
                text += found ? length : 1;
        }
        return result;
}

/* All documents: there is nothing that a move changes but the numbers, and back it is as it was. */
static void test_move(void **state)
{
        (void)state;
        for (size_t d = 0; d < ELEMENTSOF(documents); d++) {
                _cleanup_free_ char *text = read_data(documents[d]);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                assert_int_equal(add(domain, 0, 2), 0);
                assert_int_equal(add(domain, 1, 1), 0);
                _cleanup_free_ char *before = format(domain);
                const char *name = vfioctl_domain_name(domain);

                assert_int_equal(move(domain, 0, "00ab:cd:1e.0", "01"), 0);
                _cleanup_free_ char *one = replaced(before, "0000:06:00.", "00ab:cd:1e.");
                _cleanup_free_ char *expected = replaced(one, "domain=\"0x0000\" bus=\"0x06\" slot=\"0x00\"",
                                                         "domain=\"0x00ab\" bus=\"0xcd\" slot=\"0x1e\"");
                /* A guest address may read the same, but not with this type. */
                _cleanup_free_ char *guests =
                        replaced(expected, "type=\"pci\" domain=\"0x00ab\" bus=\"0xcd\" slot=\"0x1e\"",
                                 "type=\"pci\" domain=\"0x0000\" bus=\"0x06\" slot=\"0x00\"");
                assert_formats(domain, guests);
                assert_entry(domain, 0, "00ab:cd:1e.0 00ab:cd:1e.1", false);
                assert_entry(domain, 1, "10000:e1:03.0", false);
                assert_ptr_equal(vfioctl_domain_name(domain), name);

                assert_int_equal(move(domain, 0, "06:00.0", "01"), 0);
                assert_formats(domain, before);
                assert_int_equal(vfioctl_domain_move_gpus(domain, NULL, 0), 0);
                assert_formats(domain, before);
                /* And what was moved can be taken out. */
                assert_int_equal(move(domain, 1, "00ab:cd:1e.0", "0"), 0);
                const struct vfioctl_address moved = address("00ab:cd:1e.0");
                assert_int_equal(vfioctl_domain_remove_gpu(domain, &moved, 1), 1);
                assert_int_equal(take(domain, 0), 2);
                _cleanup_domain_ struct vfioctl_domain *empty = parse(text);
                _cleanup_free_ char *first = format(empty);
                assert_formats(domain, first);
        }
}

/* Each to the next one's address, all at once; on the way nothing but the order of the addresses changes. */
static void test_move_around(void **state)
{
        _cleanup_free_ char *text = read_data("q35.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
        struct vfioctl_domain_move moves[3];
        size_t count = vfioctl_domain_hostdev_count(domain);

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(add(domain, i, 2), 0);
                moves[i] = (struct vfioctl_domain_move){i, gpus[(i + 1) % 3], 2};
        }
        _cleanup_free_ char *before = format(domain);
        for (size_t round = 1; round <= 3; round++) {
                for (size_t i = 0; i < 3; i++)
                        moves[i].functions = gpus[(i + round) % 3];
                assert_int_equal(vfioctl_domain_move_gpus(domain, moves, 3), 0);
                for (size_t i = 0; i < 3; i++) {
                        const struct vfioctl_domain_entry *entry = vfioctl_domain_gpu_entry(domain, i);
                        const struct vfioctl_address *host =
                                vfioctl_domain_hostdev(domain, count + 2 * i + 1);
                        assert_false(entry->is_edited);
                        for (size_t k = 0; k < 2; k++)
                                assert_int_equal(vfioctl_address_compare(&entry->functions[k],
                                                                         &gpus[(i + round) % 3][k]),
                                                 0);
                        assert_int_equal(vfioctl_address_compare(host, &gpus[(i + round) % 3][1]), 0);
                        assert_int_equal(vfioctl_domain_hostdev_guest(domain, count + 2 * i + 1)->function,
                                         1);
                }
        }
        assert_formats(domain, before);
}

/* Companions come and go: the guest addresses of the others stay. */
static void test_move_companions(void **state)
{
        static const char *const documents_here[] = {"q35.xml", "i440fx.xml", "compact.xml", "dos.xml"};

        (void)state;
        for (size_t d = 0; d < ELEMENTSOF(documents_here); d++) {
                _cleanup_free_ char *text = read_data(documents_here[d]);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                size_t count = vfioctl_domain_hostdev_count(domain);
                assert_int_equal(add(domain, 0, 1), 0);
                assert_int_equal(add(domain, 1, 1), 0);
                _cleanup_free_ char *alone = format(domain);
                assert_null(strstr(alone, "multifunction=\"on\"/>\n    </hostdev>"));

                assert_int_equal(move(domain, 0, "06:00.0", "0123"), 0);
                assert_entry(domain, 0, "0000:06:00.0 0000:06:00.1 0000:06:00.2 0000:06:00.3", false);
                assert_int_equal(vfioctl_domain_hostdev_count(domain), count + 5);
                _cleanup_free_ char *four = format(domain);
                assert_non_null(strstr(four, "multifunction=\"on\""));
                const struct vfioctl_address first = *vfioctl_domain_hostdev_guest(domain, count);
                for (size_t i = 1; i < 4; i++) {
                        const struct vfioctl_address *guest = vfioctl_domain_hostdev_guest(domain, count + i);
                        assert_int_equal(guest->bus, first.bus);
                        assert_int_equal(guest->device, first.device);
                        assert_int_equal(guest->function, i);
                        assert_true(vfioctl_domain_hostdev_is_ours(domain, count + i));
                }

                /* The middle one goes: the last keeps its place in the guest, and a new one fills the gap. */
                assert_int_equal(move(domain, 0, "07:00.0", "03"), 0);
                assert_int_equal(vfioctl_domain_hostdev_count(domain), count + 3);
                assert_int_equal(vfioctl_domain_hostdev_guest(domain, count + 1)->function, 3);
                assert_int_equal(move(domain, 0, "06:00.0", "0312"), 0);
                assert_int_equal(vfioctl_domain_hostdev_guest(domain, count + 1)->function, 3);
                assert_int_equal(vfioctl_domain_hostdev_guest(domain, count + 2)->function, 1);

                /* All go: as if there had never been any. */
                assert_int_equal(move(domain, 0, "06:00.0", "0"), 0);
                assert_formats(domain, alone);
                /* Of other numbers: each becomes the next one left. */
                assert_int_equal(move(domain, 0, "06:00.0", "01"), 0);
                _cleanup_free_ char *two = format(domain);
                assert_int_equal(move(domain, 0, "08:00.0", "57"), 0);
                assert_int_equal(vfioctl_domain_hostdev(domain, count + 1)->function, 7);
                assert_int_equal(vfioctl_domain_hostdev_guest(domain, count + 1)->function, 1);
                assert_int_equal(move(domain, 0, "06:00.0", "01"), 0);
                assert_formats(domain, two);
        }
}

/* A place that somebody took away from the definition is libvirt's to choose again. */
static void test_move_without_place(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain =
                parse(DOMAIN(METADATA(RECORD("06:00.0", "06:00.0")) "<devices>" HOSTDEV(SIX) "</devices>"));

        (void)state;
        assert_int_equal(move(domain, 0, "07:00.0", "01"), 0);
        assert_entry(domain, 0, "0000:07:00.0 0000:07:00.1", false);
        assert_null(vfioctl_domain_hostdev_guest(domain, 1));
}

static void test_move_refused(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain = parse(DEVICES(HOSTDEV("bus='9'")));
        struct vfioctl_address one[8], two[8];

        (void)state;
        assert_int_equal(add(domain, 0, 2), 0);
        assert_int_equal(add(domain, 1, 1), 0);
        _cleanup_free_ char *before = format(domain);

        assert_int_equal(move(domain, 2, "07:00.0", "0"), -EINVAL);
        assert_int_equal(move(domain, SIZE_MAX, "07:00.0", "0"), -EINVAL);
        assert_int_equal(move(domain, 0, "07:00.0", ""), -EINVAL);
        assert_int_equal(move(domain, 0, "07:00.0", "012345670"), -EINVAL);
        assert_int_equal(move(domain, 0, "07:00.0", "00"), -EINVAL);
        assert_int_equal(move(domain, 0, "07:00.0", "8"), -EINVAL);
        /* By a hostdev of somebody else, and by a GPU that does not move; not by itself. */
        assert_int_equal(move(domain, 0, "09:00.0", "0"), -EEXIST);
        assert_int_equal(move(domain, 0, "09:00.0", "10"), -EEXIST);
        assert_int_equal(move(domain, 0, "10000:e1:03.0", "0"), -EEXIST);
        const struct vfioctl_domain_move same[] = {move_to(one, 0, "07:00.0", "0"),
                                                   move_to(two, 1, "07:00.0", "10")};
        assert_int_equal(vfioctl_domain_move_gpus(domain, same, 2), -EINVAL);
        const struct vfioctl_domain_move twice[] = {move_to(one, 0, "07:00.0", "0"),
                                                    move_to(two, 0, "08:00.0", "0")};
        assert_int_equal(vfioctl_domain_move_gpus(domain, twice, 2), -EINVAL);
        assert_formats(domain, before);

        assert_int_equal(move(domain, 0, "06:00.0", "10"), 0);
}

static void test_move_no_space(void **state)
{
        char xml[8192] = "<domain><name>n</name>" METADATA(RECORD("06:00.0", "06:00.0")) "<devices>";

        (void)state;
        for (unsigned int i = 0; i < 8; i++) {
                size_t length = strlen(xml);
                (void)snprintf(xml + length, sizeof(xml) - length,
                               "<hostdev type='pci'><source><address bus='%u'/></source><address type='pci' "
                               "bus='1' function='%u'/></hostdev>",
                               i + 6, i);
        }
        strcat(xml, "</devices></domain>");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
        _cleanup_free_ char *before = format(domain);

        assert_entry(domain, 0, "0000:06:00.0", false);
        assert_int_equal(move(domain, 0, "26:00.0", "01"), -ENOSPC);
        assert_formats(domain, before);
        assert_int_equal(move(domain, 0, "26:00.0", "0"), 0);
}

/* What is left of a GPU: a bare record goes, one with a hostdev stands in the way. */
static void test_move_over_rest(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *bare = parse(DOMAIN(METADATA(RECORD(
                "07:00.0", "07:00.0") RECORD("06:00.0", "06:00.0")) "<devices>" HOSTDEV(SIX) "</devices>"));
        _cleanup_domain_ struct vfioctl_domain *partly =
                parse(DOMAIN(METADATA(RECORD("06:00.0", "06:00.0") RECORD(
                        "07:00.0", "07:00.0 07:00.1")) "<devices>" HOSTDEV(SIX) HOSTDEV(SEVEN) "</devices>"));

        (void)state;
        assert_int_equal(move(bare, 1, "07:00.0", "0"), 0);
        assert_int_equal(vfioctl_domain_gpu_count(bare), 1);
        assert_entry(bare, 0, "0000:07:00.0", false);
        assert_int_equal(move(partly, 0, "07:00.0", "1"), -EEXIST);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_entries),
                cmocka_unit_test(test_is_ours),
                cmocka_unit_test(test_damaged_metadata),
                cmocka_unit_test(test_edited),
                cmocka_unit_test(test_move),
                cmocka_unit_test(test_move_around),
                cmocka_unit_test(test_move_companions),
                cmocka_unit_test(test_move_without_place),
                cmocka_unit_test(test_move_refused),
                cmocka_unit_test(test_move_no_space),
                cmocka_unit_test(test_move_over_rest),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
