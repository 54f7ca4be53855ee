/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "slots.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define DMI "/sys/firmware/dmi/tables/DMI"

/* A table of SMBIOS structures. */
struct table {
        uint8_t bytes[4096];
        size_t size;
};

static void add_structure(struct table *table, uint8_t type, const uint8_t *body, uint8_t length,
                          const char *strings, size_t strings_size)
{
        uint8_t *at = table->bytes + table->size;

        at[0] = type;
        at[1] = (uint8_t)(length + 4);
        at[2] = at[3] = 0;
        memcpy(at + 4, body, length);
        memcpy(at + 4 + length, strings, strings_size);
        table->size += 4u + length + strings_size;
}

/* Type 9 as SMBIOS 2.6 has it: 17 bytes; `label` is string 1. */
static void add_slot(struct table *table, const char *label, unsigned int id, unsigned int segment,
                     unsigned int bus, unsigned int devfn)
{
        uint8_t body[13] = {1,
                            0xb6,
                            0x0d,
                            4,
                            4,
                            (uint8_t)id,
                            (uint8_t)(id >> 8),
                            0x0c,
                            1,
                            (uint8_t)segment,
                            (uint8_t)(segment >> 8),
                            (uint8_t)bus,
                            (uint8_t)devfn};
        char strings[256];
        size_t n = 0;

        if (*label) {
                n = strlen(label) + 1;
                memcpy(strings, label, n);
        } else {
                body[0] = 0;
                strings[n++] = '\0';
        }
        strings[n++] = '\0';
        add_structure(table, 9, body, sizeof(body), strings, n);
}

static void add_end(struct table *table)
{
        add_structure(table, 127, NULL, 0, "\0", 2);
}

static char *root_with(const struct table *table)
{
        char *root = root_new();

        root_bytes(root, DMI, table->bytes, table->size);
        return root;
}

static struct slots read_slots(const char *root)
{
        struct vfioctl_ctx *ctx = root_ctx(root);
        struct slots slots = {.count = 0};

        assert_int_equal(slots_read(ctx, &slots), 0);
        (void)vfioctl_ctx_free(ctx);
        return slots;
}

static const struct slot *find(const struct slots *slots, const char *text)
{
        struct vfioctl_address address;

        assert_int_equal(vfioctl_address_parse(text, &address), 0);
        return slots_at(slots, &address);
}

static void test_label_number(void **state)
{
        static const struct {
                const char *label;
                unsigned int number;
        } cases[] = {
                {"CPU1 SLOT2 PCI-E 3.0 X16", 2},
                {"SLOT 4", 4},
                {"Slot_7", 7},
                {"PCIe Slot #12", 12},
                {"slot-3", 3},
                {"PCI-E 3.0", 0},
                {"", 0},
                {"SLOT", 0},
                {"SLOT ", 0},
                {"SLOTTED SLOT5", 5},
                {"SLOT A SLOT 6", 6},
                {"SLOT999", 999},
                {"SLOT1000", 0},
                {"SLOT99999999999999999999999", 0},
                {"SLOT-1", 1},
                {"SLOT0", 0},
                {"J6B2", 0},
                {"slotslotslot8", 8},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (slot_label_number(cases[i].label) != cases[i].number)
                        fail_msg("'%s' is %u", cases[i].label, slot_label_number(cases[i].label));
}

static void test_dmi(void **state)
{
        struct table table = {.size = 0};

        (void)state;
        /* Something else first, with three strings; and one without any. */
        add_structure(&table, 1, (const uint8_t[]){1, 2, 3}, 3, "a\0bb\0ccc\0", 10);
        add_structure(&table, 32, (const uint8_t[]){0}, 1, "\0", 2);
        add_slot(&table, "CPU1 SLOT2 PCI-E 3.0 X16", 77, 0, 0x02, 0);
        add_slot(&table, "CPU2 SLOT3 ", 78, 1, 0x81, 0x1f << 3 | 7);
        add_slot(&table, "J6B2", 5, 0, 0x03, 0);
        add_slot(&table, "", 6, 0, 0x04, 0);
        add_slot(&table, "SLOT9 empty", 9, 0, 0xff, 0xff);
        add_slot(&table, "SLOT10 empty too", 10, 0, 0xff, 0);
        add_end(&table);
        add_slot(&table, "SLOT11 beyond the end", 11, 0, 0x0b, 0);
        char *root = root_with(&table);
        struct slots slots = read_slots(root);

        /* Empty ones keep their numbers, and are nobody's. */
        assert_int_equal(slots.count, 6);
        assert_false(slots.unreadable);
        const struct slot *slot = find(&slots, "0000:02:00.0");
        assert_non_null(slot);
        assert_int_equal(slot->number, 2);
        assert_string_equal(slot->label, "CPU1 SLOT2 PCI-E 3.0 X16");
        slot = find(&slots, "0001:81:1f.7");
        assert_non_null(slot);
        assert_int_equal(slot->number, 3);
        assert_string_equal(slot->label, "CPU2 SLOT3");
        /* No number in the label: the slot's ID. */
        assert_int_equal(find(&slots, "0000:03:00.0")->number, 5);
        assert_int_equal(find(&slots, "0000:04:00.0")->number, 6);
        assert_null(find(&slots, "0000:04:00.0")->label);
        assert_null(find(&slots, "0000:02:00.1"));
        assert_null(find(&slots, "0001:02:00.0"));
        assert_null(find(&slots, "0000:0b:00.0"));
        assert_int_equal(slots.items[4].number, 9);
        assert_int_equal(slots.items[4].address.bus, 0xff);
        slots_clear(&slots);
        assert_int_equal(slots.count, 0);
        slots_clear(&slots);
        root_free(root);
}

/* Cut at every byte, and with every single byte set to 0, 1, 0x7f and 0xff: no slot may come from nowhere. */
static void test_broken_tables(void **state)
{
        static const uint8_t values[] = {0, 1, 3, 0x7f, 0xff};
        struct table table = {.size = 0}, broken;

        (void)state;
        add_structure(&table, 1, (const uint8_t[]){1, 2, 3}, 3, "a\0bb\0", 6);
        add_slot(&table, "SLOT2", 77, 0, 0x02, 0);
        add_slot(&table, "SLOT4", 78, 0, 0x04, 0);
        add_end(&table);
        char *root = root_new();
        for (size_t size = 0; size <= table.size; size++) {
                root_bytes(root, DMI, table.bytes, size);
                struct slots slots = read_slots(root);
                assert_true(slots.count <= 2);
                for (size_t i = 0; i < slots.count; i++)
                        assert_true(slots.items[i].address.bus == 2 || slots.items[i].address.bus == 4);
                slots_clear(&slots);
        }
        for (size_t at = 0; at < table.size; at++)
                for (size_t v = 0; v < ELEMENTSOF(values); v++) {
                        broken = table;
                        broken.bytes[at] = values[v];
                        root_bytes(root, DMI, broken.bytes, broken.size);
                        struct slots slots = read_slots(root);
                        assert_true(slots.count < 16);
                        slots_clear(&slots);
                }
        root_free(root);
}

static void test_strings(void **state)
{
        struct table table = {.size = 0};
        char label[300];

        (void)state;
        /* A string number that no string has; a label that is longer than any; control characters in it. */
        uint8_t body[13] = {9, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x02, 0};
        add_structure(&table, 9, body, sizeof(body), "SLOT3\0", 7);
        memset(label, 'x', sizeof(label));
        memcpy(label, "SLOT5", 5);
        label[255] = '\0';
        body[0] = 1;
        body[11] = 3;
        add_structure(&table, 9, body, sizeof(body), label, 256);
        table.bytes[table.size++] = '\0';
        body[11] = 4;
        add_structure(&table, 9, body, sizeof(body), "SLOT6\033[31m\n\xff\0", 14);
        add_end(&table);
        char *root = root_with(&table);
        struct slots slots = read_slots(root);

        assert_int_equal(slots.count, 3);
        assert_null(find(&slots, "0000:02:00.0")->label);
        assert_int_equal(find(&slots, "0000:03:00.0")->number, 5);
        assert_true(strlen(find(&slots, "0000:03:00.0")->label) < 255);
        for (const char *at = find(&slots, "0000:04:00.0")->label; *at; at++)
                assert_true(*at >= ' ' && *at < 127);
        slots_clear(&slots);
        root_free(root);
}

static void test_none(void **state)
{
        char *root = root_new();

        (void)state;
        struct slots slots = read_slots(root);
        assert_int_equal(slots.count, 0);
        assert_false(slots.unreadable);
        slots_clear(&slots);
        root_free(root);
}

static void test_hotplug(void **state)
{
        struct table table = {.size = 0};

        (void)state;
        add_slot(&table, "SLOT2", 1, 0, 0x02, 0);
        add_end(&table);
        char *root = root_with(&table);
        root_put(root, "/sys/bus/pci/slots/7/address", "0000:07:00\n");
        root_put(root, "/sys/bus/pci/slots/2-1/address", "0000:08:00\n");
        root_put(root, "/sys/bus/pci/slots/3/address", "0000:02:00\n");
        root_put(root, "/sys/bus/pci/slots/4/address", "nonsense\n");
        root_put(root, "/sys/bus/pci/slots/5/address", "%0200d", 0);
        root_put(root, "/sys/bus/pci/slots/1001/address", "10000:09:00\n");
        root_mkdir(root, "/sys/bus/pci/slots/6");
        struct slots slots = read_slots(root);

        assert_int_equal(slots.count, 4);
        /* Any function; SMBIOS comes first; a name that is no number is a slot without one. */
        assert_int_equal(find(&slots, "0000:07:00.0")->number, 7);
        assert_int_equal(find(&slots, "0000:07:00.5")->number, 7);
        assert_int_equal(find(&slots, "0000:08:00.0")->number, 0);
        assert_int_equal(find(&slots, "0000:02:00.0")->number, 2);
        assert_non_null(find(&slots, "10000:09:00.0"));
        assert_int_equal(find(&slots, "10000:09:00.0")->number, 0);
        slots_clear(&slots);
        root_free(root);
}

/* What root saved serves those who may not read the table; without it they get no numbers that differ. */
static void check_saved(const char *root, struct vfioctl_ctx *ctx)
{
        struct slots slots = {.count = 0};

        if (geteuid() == 0 && (setegid(65534) < 0 || seteuid(65534) < 0))
                _exit(10);
        if (slots_read(ctx, &slots) != 0)
                _exit(11);
        if (!slots.unreadable || slots.count != 0)
                _exit(12);
        slots_clear(&slots);
        if (geteuid() == 65534 && seteuid(0) < 0)
                _exit(13);
        root_put(root, "/run/vfioctl/slots",
                 "0000:02:00.0 2 CPU1 SLOT2\n0001:03:00.1 3 \nnonsense\n\n1 2 3\n");
        if (getuid() == 0 && seteuid(65534) < 0)
                _exit(14);
        if (slots_read(ctx, &slots) != 0)
                _exit(15);
        const struct slot *slot = find(&slots, "0000:02:00.0"), *bare = find(&slots, "0001:03:00.1");
        if (slots.unreadable || slots.count != 2 || !slot || slot->number != 2 ||
            !util_equal(slot->label, "CPU1 SLOT2") || !bare || bare->number != 3 || bare->label)
                _exit(16);
        slots_clear(&slots);
        (void)vfioctl_ctx_free(ctx);
        if (geteuid() == 65534 && seteuid(0) < 0)
                _exit(17);
        child_content();
}

static void test_saved(void **state)
{
        struct table table = {.size = 0};
        char path[PATH_MAX];

        (void)state;
        add_slot(&table, "CPU1 SLOT2", 1, 0, 0x02, 0);
        add_slot(&table, "", 3, 1, 0x03, 1);
        add_end(&table);
        char *root = root_with(&table);
        struct vfioctl_ctx *ctx = root_ctx(root);
        assert_int_equal(slots_save(ctx), 0);
        char *saved = root_get(root, "/run/vfioctl/slots");
        assert_non_null(saved);
        assert_string_equal(saved, "0000:02:00.0 2 CPU1 SLOT2\n0001:03:00.1 3 \n");
        assert_int_equal(slots_save(ctx), 0);
        root_unlink(root, "/run/vfioctl/slots");

        (void)snprintf(path, sizeof(path), "%s%s", root, DMI);
        assert_int_equal(chmod(path, 0), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                check_saved(root, ctx);
        assert_child_content(pid);
        free(saved);
        (void)vfioctl_ctx_free(ctx);
        root_free(root);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_label_number),  cmocka_unit_test(test_dmi),
                cmocka_unit_test(test_broken_tables), cmocka_unit_test(test_strings),
                cmocka_unit_test(test_none),          cmocka_unit_test(test_hotplug),
                cmocka_unit_test(test_saved),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
