/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "redact.h"

#include <ctype.h>
#include <strings.h>

void redaction_clear(struct redaction *redaction)
{
        for (size_t i = 0; i < redaction->n_seen; i++)
                free(redaction->seen[i]);
        free(redaction->seen);
        free(redaction->host);
        *redaction = (struct redaction){.is_off = false};
}

/* The number of this secret, from 1. */
static int number_of(struct redaction *redaction, const char *secret, size_t length, size_t *ret)
{
        _cleanup_free_ char *copy = strndup(secret, length);

        if (!copy)
                return -ENOMEM;
        for (char *at = copy; *at; at++)
                *at = *at == '-' ? ':' : (char)tolower((unsigned char)*at);
        for (size_t i = 0; i < redaction->n_seen; i++)
                if (util_equal(redaction->seen[i], copy)) {
                        *ret = i + 1;
                        return 0;
                }
        int r = util_grow(&redaction->seen, &redaction->allocated, redaction->n_seen + 1,
                          sizeof(*redaction->seen));
        if (r < 0)
                return r;
        redaction->seen[redaction->n_seen++] = util_steal(copy);
        *ret = redaction->n_seen;
        return 0;
}

/* ---- text ---- */

/* What is read, and what is written: never longer by more than a factor that `room` allows for. */
struct rewrite {
        struct redaction *redaction;
        const char *at, *begin, *end;
        char *out;
        size_t length, allocated;
};

static int append(struct rewrite *rewrite, const char *text, size_t size)
{
        int r = util_grow(&rewrite->out, &rewrite->allocated, rewrite->length + size + 1, 1);

        if (r < 0)
                return r;
        memcpy(rewrite->out + rewrite->length, text, size);
        rewrite->length += size;
        rewrite->out[rewrite->length] = '\0';
        return 0;
}

static size_t hex_digits(const char *at, const char *end)
{
        size_t n = 0;

        while (at + n < end && isxdigit((unsigned char)at[n]))
                n++;
        return n;
}

/* Six or more pairs: 00:11:22:33:44:55; longer ones are those of InfiniBand. 0: none is here. */
static size_t mac_length(const char *at, const char *end)
{
        size_t pairs = 0, length = 0;
        char separator = end - at > 2 ? at[2] : '\0';

        if (separator != ':' && separator != '-')
                return 0;
        for (;;) {
                if (hex_digits(at + length, end) != 2)
                        return 0;
                pairs++;
                length += 2;
                if (at + length >= end || at[length] != separator)
                        return pairs >= 6 ? length : 0;
                length++;
        }
}

/* 8-4-4-4-12 digits. */
static size_t uuid_length(const char *at, const char *end)
{
        static const size_t groups[] = {8, 4, 4, 4, 12};
        size_t length = 0;

        for (size_t i = 0; i < ELEMENTSOF(groups); i++) {
                if (hex_digits(at + length, end) != groups[i])
                        return 0;
                length += groups[i];
                if (i + 1 == ELEMENTSOF(groups))
                        return length;
                if (at + length >= end || at[length] != '-')
                        return 0;
                length++;
        }
        return 0;
}

/* "enx001122334455": systemd.net-naming-scheme(7) makes names of MAC addresses. */
static size_t interface_length(const char *at, const char *end)
{
        return end - at >= 15 && util_has_prefix(at, "enx") && hex_digits(at + 3, end) == 12 ? 15 : 0;
}

static bool is_name_character(char c)
{
        return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* The machine's name as a whole word, with the domain that may follow it. */
static size_t host_length(const struct redaction *redaction, const char *at, const char *end)
{
        size_t length = redaction->host ? strlen(redaction->host) : 0;

        if (length == 0 || (size_t)(end - at) < length || strncasecmp(at, redaction->host, length) != 0 ||
            (at + length < end && is_name_character(at[length])))
                return 0;
        while (at + length + 1 < end && at[length] == '.' && is_name_character(at[length + 1]))
                for (length++; at + length < end && is_name_character(at[length]);)
                        length++;
        return length;
}

/* After "://": who and where, up to the path. */
static size_t authority_length(const char *begin, const char *at, const char *end)
{
        size_t length = 0;

        if (at - begin < 3 || strncmp(at - 3, "://", 3) != 0)
                return 0;
        while (at + length < end && !isspace((unsigned char)at[length]) && !strchr("/?#", at[length]))
                length++;
        return length;
}

/* Replaces one secret at this place; 0 when there is none, else its length. */
static ssize_t replace(struct rewrite *rewrite, bool names)
{
        const char *at = rewrite->at, *end = rewrite->end;
        bool starts = at == rewrite->begin || !isalnum((unsigned char)at[-1]);
        char text[64];
        size_t number = 0, length;
        int r = 0;

        if (names && (length = authority_length(rewrite->begin, at, end)) > 0) {
                (void)snprintf(text, sizeof(text), "host");
        } else if (!starts) {
                return 0;
        } else if ((length = mac_length(at, end)) > 0) {
                r = number_of(rewrite->redaction, at, length, &number);
                (void)snprintf(text, sizeof(text), "02:00:00:00:%02zx:%02zx", number >> 8 & 0xff,
                               number & 0xff);
        } else if ((length = interface_length(at, end)) > 0) {
                r = number_of(rewrite->redaction, at, length, &number);
                (void)snprintf(text, sizeof(text), "enx0200%08zx", number & 0xffffffff);
        } else if ((length = uuid_length(at, end)) > 0) {
                r = number_of(rewrite->redaction, at, length, &number);
                (void)snprintf(text, sizeof(text), "00000000-0000-0000-0000-%012zx", number);
        } else if (names && (length = host_length(rewrite->redaction, at, end)) > 0) {
                (void)snprintf(text, sizeof(text), "host");
        } else {
                return 0;
        }
        if (r >= 0)
                r = append(rewrite, text, strlen(text));
        return r < 0 ? r : (ssize_t)length;
}

int redact_text(struct redaction *redaction, const char *text, size_t size, bool names, char **ret)
{
        struct rewrite rewrite = {.redaction = redaction, .begin = text, .at = text, .end = text + size};

        int r = append(&rewrite, "", 0);
        if (redaction->is_off && r >= 0) {
                r = append(&rewrite, text, size);
                rewrite.at = rewrite.end;
        }
        while (r >= 0 && rewrite.at < rewrite.end) {
                ssize_t length = replace(&rewrite, names);
                if (length == 0) {
                        r = append(&rewrite, rewrite.at, 1);
                        length = 1;
                } else if (length < 0) {
                        r = (int)length;
                }
                if (r >= 0)
                        rewrite.at += length;
        }
        if (r < 0) {
                free(rewrite.out);
                return r;
        }
        *ret = rewrite.out;
        return 0;
}

void redact_comments(const struct redaction *redaction, char *text)
{
        char *out = text;
        bool is_comment = false, is_start = true;

        for (const char *at = text; *at && !redaction->is_off; at++) {
                if (*at == '\n') {
                        is_comment = false;
                        is_start = true;
                } else if (is_start && !isblank((unsigned char)*at)) {
                        is_comment = *at == '#' || *at == ';';
                        is_start = false;
                        if (is_comment)
                                *out++ = *at;
                }
                if (!is_comment)
                        *out++ = *at;
        }
        if (!redaction->is_off)
                *out = '\0';
}

/* ---- the kernel's command line ---- */

/* What decides about devices, in the order of no matter. Documentation/admin-guide/kernel-parameters.txt. */
static bool is_about_devices(const char *word, size_t length)
{
        static const char *const starts[] = {"iommu",
                                             "intel_iommu",
                                             "amd_iommu",
                                             "vfio",
                                             "pci",
                                             "vfioctl",
                                             "kvm",
                                             "intremap",
                                             "nointremap",
                                             "x2apic",
                                             "nox2apic",
                                             "hugepages",
                                             "hugepagesz",
                                             "default_hugepagesz",
                                             "transparent_hugepage",
                                             "isolcpus",
                                             "nohz_full",
                                             "numa",
                                             "nomodeset",
                                             "video",
                                             "fbcon",
                                             "nvidia",
                                             "nouveau",
                                             "amdgpu",
                                             "radeon",
                                             "i915",
                                             "xe.",
                                             "efifb",
                                             "simpledrm",
                                             "initcall_blacklist",
                                             "modprobe.blacklist",
                                             "module_blacklist",
                                             "rd.driver",
                                             "driverctl",
                                             "acpi",
                                             "mem",
                                             "quiet",
                                             "efi=",
                                             "nosmt",
                                             "maxcpus",
                                             "nr_cpus"};

        for (size_t i = 0; i < ELEMENTSOF(starts); i++)
                if (strlen(starts[i]) <= length && strncmp(word, starts[i], strlen(starts[i])) == 0)
                        return true;
        return false;
}

int redact_cmdline(const struct redaction *redaction, const char *text, char **ret)
{
        struct rewrite rewrite = {.out = NULL};

        if (redaction->is_off)
                return util_copy(text, ret);
        int r = append(&rewrite, "", 0);
        for (const char *at = text; r >= 0 && *at;) {
                at += strspn(at, " \t\n");
                size_t length = strcspn(at, " \t\n"), key = strcspn(at, "= \t\n");
                bool is_pair = key < length, stays = is_about_devices(at, length);
                /* A word of its own may be anything, also a name. */
                if (length > 0 && (stays || is_pair)) {
                        r = append(&rewrite, " ", rewrite.length > 0);
                        if (r >= 0)
                                r = append(&rewrite, at, stays ? length : key + 1);
                }
                at += length;
        }
        if (r >= 0)
                r = append(&rewrite, "\n", 1);
        if (r < 0) {
                free(rewrite.out);
                return r;
        }
        *ret = rewrite.out;
        return 0;
}

/* ---- PCI configuration space: PCI Express Base Specification 6.0, 7.5, 7.9.3, 7.9.18 ---- */

#define CONFIG_STATUS          0x06
#define CONFIG_STATUS_HAS_CAPS 0x10
#define CONFIG_CAPS            0x34
#define CONFIG_EXTENDED        0x100
#define CAP_VPD                0x03
#define EXT_CAP_SERIAL         0x0003

int redact_serial(struct redaction *redaction, const char *text, char **ret)
{
        size_t number;

        if (redaction->is_off)
                return util_copy(text, ret);
        int r = number_of(redaction, text, strcspn(text, "\n"), &number);
        return r < 0 ? r : util_format(ret, "%016zx\n", number);
}

static void clear_vpd(uint8_t *bytes, size_t size)
{
        if (size < 256 || !(bytes[CONFIG_STATUS] & CONFIG_STATUS_HAS_CAPS))
                return;
        size_t at = bytes[CONFIG_CAPS] & ~3u;
        for (int left = 48; at >= 64 && left > 0; left--) {
                /* The dword that was read last. */
                if (bytes[at] == CAP_VPD && at + 8 <= 256)
                        memset(bytes + at + 4, 0, 4);
                at = bytes[at + 1] & ~3u;
        }
}

int redact_config_space(struct redaction *redaction, uint8_t *bytes, size_t size)
{
        size_t at = CONFIG_EXTENDED;

        if (redaction->is_off)
                return 0;
        clear_vpd(bytes, size);
        for (int left = 480; at >= CONFIG_EXTENDED && at + 12 <= size && left > 0; left--) {
                uint32_t header = bytes[at] | (uint32_t)bytes[at + 1] << 8 | (uint32_t)bytes[at + 2] << 16 |
                                  (uint32_t)bytes[at + 3] << 24;
                if (header == 0 || header == UINT32_MAX)
                        break;
                static const uint8_t none[8] = {0};
                if ((header & 0xffff) == EXT_CAP_SERIAL && memcmp(bytes + at + 4, none, sizeof(none)) != 0) {
                        char text[24] = "serial ";
                        size_t number;
                        for (size_t i = 0; i < 8; i++)
                                (void)snprintf(text + 7 + 2 * i, 3, "%02x", bytes[at + 4 + i]);
                        int r = number_of(redaction, text, strlen(text), &number);
                        if (r < 0)
                                return r;
                        for (size_t i = 0; i < 8; i++)
                                bytes[at + 4 + i] = i < 4 ? (uint8_t)(number >> (8 * i)) : 0;
                }
                at = header >> 20 & ~3u;
        }
        return 0;
}

/* ---- SMBIOS: DSP0134, 6.1 ---- */

/* Of these structures these strings stay, by their offsets; all others go, and so do the bytes of a UUID. */
static const struct kept {
        uint8_t type;
        uint8_t stays[4];
        uint8_t goes[4];
        uint8_t uuid;
} kept[] = {
        {0, {4, 5, 8}, {0}, 0},             /* firmware: vendor, version, date */
        {1, {4, 5, 6}, {7, 0x19, 0x1a}, 8}, /* product; not serial, SKU, family, UUID */
        {2, {4, 5, 6}, {7, 8, 0x0a}, 0},    /* board; not serial, asset tag, location */
        {9, {4}, {0}, 0},                   /* slot: what is printed there */
};

static const struct kept *find_kept(uint8_t type)
{
        for (size_t i = 0; i < ELEMENTSOF(kept); i++)
                if (kept[i].type == type)
                        return &kept[i];
        return NULL;
}

/* String `index` of a structure; the table's end bounds it. */
static const char *dmi_string(const uint8_t *strings, const uint8_t *end, unsigned int index)
{
        for (; index > 1 && strings < end && *strings; index--)
                strings += strnlen((const char *)strings, (size_t)(end - strings)) + 1;
        return index == 1 && strings < end && memchr(strings, 0, (size_t)(end - strings))
                       ? (const char *)strings
                       : "";
}

static int keep_structure(struct rewrite *rewrite, const struct kept *rule, const uint8_t *fixed,
                          const uint8_t *end)
{
        uint8_t length = fixed[1], count = 0, copy[256];
        size_t start = rewrite->length;

        memcpy(copy, fixed, length);
        for (size_t i = 0; i < sizeof(rule->goes); i++)
                if (rule->goes[i] && rule->goes[i] < length)
                        copy[rule->goes[i]] = 0;
        for (size_t i = 0; rule->uuid && i < 16; i++)
                if (rule->uuid + i < length)
                        copy[rule->uuid + i] = 0;
        int r = append(rewrite, (const char *)copy, length);
        for (size_t i = 0; r >= 0 && i < sizeof(rule->stays); i++) {
                uint8_t offset = rule->stays[i];
                if (offset == 0 || offset >= length)
                        continue;
                const char *text = dmi_string(fixed + length, end, fixed[offset]);
                rewrite->out[start + offset] = (char)(*text ? ++count : 0);
                if (*text)
                        r = append(rewrite, text, strlen(text) + 1);
        }
        return r < 0 ? r : append(rewrite, "\0", count ? 1 : 2);
}

int redact_dmi(const struct redaction *redaction, const uint8_t *table, size_t size, uint8_t **ret,
               size_t *ret_size)
{
        static const char last[] = {127, 4, 0, 0, 0, 0};
        struct rewrite rewrite = {.out = NULL};
        const uint8_t *at = table, *end = table + size;

        int r = append(&rewrite, (const char *)table, redaction->is_off ? size : 0);
        while (!redaction->is_off && r >= 0 && end - at >= 4 && at[1] >= 4 && end - at >= at[1] &&
               at[0] != 127) {
                const struct kept *rule = find_kept(at[0]);
                if (rule)
                        r = keep_structure(&rewrite, rule, at, end);
                at += at[1];
                while (end - at >= 2 && (at[0] || at[1]))
                        at++;
                at += 2;
        }
        if (r >= 0 && !redaction->is_off)
                r = append(&rewrite, last, sizeof(last));
        if (r < 0) {
                free(rewrite.out);
                return r;
        }
        *ret = (uint8_t *)rewrite.out;
        *ret_size = rewrite.length;
        return 0;
}
