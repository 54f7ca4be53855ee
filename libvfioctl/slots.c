/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slots.h"

#include <ctype.h>
#include <strings.h>

#define DMI_LIMIT     (1024 * 1024)
#define DMI_TYPE_SLOT 9
#define DMI_TYPE_END  127

void slots_clear(struct slots *slots)
{
        for (size_t i = 0; i < slots->count; i++)
                free(slots->items[i].label);
        free(slots->items);
        memset(slots, 0, sizeof(*slots));
}

unsigned int slot_label_number(const char *label)
{
        for (const char *at = label; *at; at++) {
                if (strncasecmp(at, "slot", 4) != 0)
                        continue;
                at += 4;
                at += strspn(at, " _#-");
                if (isdigit((unsigned char)*at)) {
                        unsigned long number = strtoul(at, NULL, 10);
                        return number < 1000 ? (unsigned int)number : 0;
                }
                if (!*at)
                        break;
        }
        return 0;
}

static int add_slot(struct slots *slots, const struct slot *slot, const char *label)
{
        struct slot copy = *slot;

        int r = util_copy(label, &copy.label);
        if (r < 0)
                return r;
        r = util_grow(&slots->items, &slots->allocated, slots->count + 1, sizeof(*slots->items));
        if (r < 0) {
                free(copy.label);
                return r;
        }
        slots->items[slots->count++] = copy;
        return 0;
}

/* String `index` of a structure, which follows its fixed part; bounded by the table's end. */
static void dmi_string(const uint8_t *strings, const uint8_t *end, unsigned int index, char *buffer,
                       size_t size)
{
        buffer[0] = '\0';
        while (index > 1 && strings < end && *strings) {
                strings += strnlen((const char *)strings, (size_t)(end - strings)) + 1;
                index--;
        }
        if (index == 1 && strings < end) {
                size_t length = strnlen((const char *)strings, (size_t)(end - strings));
                if (length >= size)
                        length = size - 1;
                for (size_t i = 0; i < length; i++)
                        buffer[i] = isprint(strings[i]) ? (char)strings[i] : '?';
                buffer[length] = '\0';
                util_trim(buffer);
        }
}

static int dmi_slot(struct slots *slots, const uint8_t *fixed, const uint8_t *end)
{
        char label[128];
        uint8_t length = fixed[1];

        /* Segment, bus and device came with SMBIOS 2.6. Empty slots have ff:1f.7 there, and keep their
         * number. */
        if (length < 0x11)
                return 0;
        struct slot slot = {
                .address = {.domain = (uint32_t)(fixed[0x0d] | fixed[0x0e] << 8),
                            .bus = fixed[0x0f],
                            .device = fixed[0x10] >> 3,
                            .function = fixed[0x10] & 7},
        };
        dmi_string(fixed + length, end, fixed[4], label, sizeof(label));
        slot.number = slot_label_number(label);
        if (slot.number == 0)
                slot.number = (unsigned int)(fixed[9] | fixed[10] << 8) % 1000;
        return add_slot(slots, &slot, *label ? label : NULL);
}

static int read_dmi(const struct vfioctl_ctx *ctx, struct slots *slots)
{
        _cleanup_free_ char *table = NULL;
        size_t size = 0;

        int r = host_read_file(ctx, PATH_DMI_TABLE, DMI_LIMIT, &table, &size);
        if (r < 0)
                return r;
        const uint8_t *at = (const uint8_t *)table, *end = at + size;
        while (end - at >= 4 && at[1] >= 4 && end - at >= at[1]) {
                if (at[0] == DMI_TYPE_SLOT) {
                        r = dmi_slot(slots, at, end);
                        if (r < 0)
                                return r;
                }
                if (at[0] == DMI_TYPE_END)
                        break;
                /* The strings end with an empty one; without any there are two NULs. */
                at += at[1];
                while (end - at >= 2 && (at[0] || at[1]))
                        at++;
                at += 2;
        }
        return 0;
}

static int read_saved(const struct vfioctl_ctx *ctx, struct slots *slots)
{
        _cleanup_free_ char *text = NULL;
        char *rest = NULL;

        int r = host_read_file(ctx, PATH_RUN_SLOTS, DMI_LIMIT, &text, NULL);
        if (r < 0)
                return r;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                struct slot slot = {.number = 0};
                char address[32];
                int label = 0;
                if (sscanf(line, "%31s %u %n", address, &slot.number, &label) != 2 ||
                    vfioctl_address_parse(address, &slot.address) < 0)
                        continue;
                r = add_slot(slots, &slot, label && line[label] ? line + label : NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

int slots_save(const struct vfioctl_ctx *ctx)
{
        _cleanup_free_ char *text = NULL;
        struct slots slots = {.count = 0};

        int r = read_dmi(ctx, &slots);
        if (r >= 0)
                r = util_copy("", &text);
        for (size_t i = 0; r >= 0 && i < slots.count; i++) {
                char address[VFIOCTL_ADDRESS_SIZE], *longer;
                const struct slot *slot = &slots.items[i];
                r = util_format(&longer, "%s%s %u %s\n", text,
                                vfioctl_address_format(&slot->address, address), slot->number,
                                slot->label ? slot->label : "");
                if (r >= 0) {
                        free(text);
                        text = longer;
                }
        }
        slots_clear(&slots);
        if (r < 0)
                return r;
        return host_write_file(ctx, PATH_RUN_SLOTS, text);
}

static int read_sysfs(const struct vfioctl_ctx *ctx, struct slots *slots)
{
        char path[PATH_MAX], text[64];

        _cleanup_dir_ DIR *dir = NULL;
        int opened = host_opendir_optional(ctx, PATH_PCI_SLOTS, &dir);
        if (!dir)
                return opened;
        for (struct dirent *entry; (entry = readdir(dir));) {
                struct slot slot = {.any_function = true};
                uint64_t number;
                if (entry->d_name[0] == '.' ||
                    !path_format(path, PATH_PCI_SLOTS "/%s/address", entry->d_name) ||
                    host_read(ctx, path, text, sizeof(text) - 2) < 0)
                        continue;
                strcat(util_trim(text), ".0");
                if (vfioctl_address_parse(text, &slot.address) < 0)
                        continue;
                if (slots_at(slots, &slot.address))
                        continue;
                if (util_parse_u64(entry->d_name, 10, 999, &number) == 0)
                        slot.number = (unsigned int)number;
                int r = add_slot(slots, &slot, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

int slots_read(const struct vfioctl_ctx *ctx, struct slots *ret)
{
        struct slots slots = {.count = 0};

        int r = read_dmi(ctx, &slots);
        if (r == -EACCES || r == -EPERM) {
                r = read_saved(ctx, &slots);
                slots.unreadable = r == -ENOENT || r == -EACCES;
        }
        if (!host_is_shortage(r))
                r = read_sysfs(ctx, &slots);
        if (r < 0) {
                slots_clear(&slots);
                return r;
        }
        *ret = slots;
        return 0;
}

const struct slot *slots_at(const struct slots *slots, const struct vfioctl_address *address)
{
        for (size_t i = 0; i < slots->count; i++) {
                struct vfioctl_address at = slots->items[i].address;
                if (slots->items[i].any_function)
                        at.function = address->function;
                if (vfioctl_address_compare(&at, address) == 0)
                        return &slots->items[i];
        }
        return NULL;
}
