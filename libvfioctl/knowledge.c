/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "knowledge.h"

#include <ctype.h>

/* ---- the keys: what each may say ---- */

enum value_kind {
        VALUE_TEXT,
        VALUE_ID,      /* four hexadecimal digits */
        VALUE_IDS,     /* several */
        VALUE_CLASSES, /* two, four or six hexadecimal digits, several */
        VALUE_NUMBER,  /* 1 to 16 */
        VALUE_WORD,    /* one of `words` */
        VALUE_WORDS,   /* several of them, none twice */
        VALUE_ANCHOR,  /* of a section in docs/cards.md */
};

/* The kernel's names: pci_reset_fn_methods[] in drivers/pci/pci.c. */
#define METHODS "device_specific acpi flr af_flr pm bus cxl_bus"

static const struct key {
        const char *name;
        const char *label; /* what a person is shown */
        enum value_kind kind;
        const char *words;
} keys[CARD_KEY_COUNT] = {
        [CARD_MATCH_VENDOR] = {"MatchVendor", NULL, VALUE_ID, NULL},
        [CARD_MATCH_DEVICE] = {"MatchDevice", NULL, VALUE_IDS, NULL},
        [CARD_MATCH_SUBSYSTEM_VENDOR] = {"MatchSubsystemVendor", NULL, VALUE_ID, NULL},
        [CARD_MATCH_SUBSYSTEM_DEVICE] = {"MatchSubsystemDevice", NULL, VALUE_IDS, NULL},
        [CARD_MATCH_CLASS] = {"MatchClass", NULL, VALUE_CLASSES, NULL},
        [CARD_NAME] = {"AttrName", "name", VALUE_TEXT, NULL},
        [CARD_DIES] = {"AttrDies", "dies", VALUE_NUMBER, NULL},
        [CARD_COMPANIONS] = {"AttrCompanions", "companions", VALUE_WORD, "expected optional none"},
        [CARD_RESET] = {"AttrReset", "reset", VALUE_WORDS, METHODS},
        [CARD_RESET_LIES] = {"AttrResetLies", "reset-lies", VALUE_WORDS, METHODS},
        [CARD_VENDOR_RESET] = {"AttrVendorReset", "vendor-reset", VALUE_WORD, "needed untested no"},
        [CARD_POWER] = {"AttrPower", "power", VALUE_WORD, "hold leave"},
        [CARD_VFS] = {"AttrVfs", "vfs", VALUE_WORD, "refuse"},
        [CARD_GUEST] = {"AttrGuest", "guest", VALUE_WORDS,
                        "headless keep-hypervisor no-secure-boot hide-kvm rom-on rom-off"},
        [CARD_HAND_OUT] = {"AttrHandOut", "hand-out", VALUE_WORD, "never"},
        [CARD_DOCS] = {"AttrDocs", "docs", VALUE_ANCHOR, NULL},
};

static bool is_hex(const char *text, size_t length)
{
        return strspn(text, "0123456789abcdef") >= length;
}

/* The next word of a list, or NULL; *at moves behind it. */
static const char *next_word(const char **at, size_t *ret_length)
{
        const char *word = *at + strspn(*at, " ");

        *ret_length = strcspn(word, " ");
        *at = word + *ret_length;
        return *ret_length > 0 ? word : NULL;
}

bool words_have(const char *words, const char *word, size_t length)
{
        size_t n;

        for (const char *at = words ? words : "", *each; (each = next_word(&at, &n));)
                if (n == length && strncmp(each, word, n) == 0)
                        return true;
        return false;
}

static bool word_is_right(const struct key *key, const char *word, size_t length)
{
        switch (key->kind) {
        case VALUE_ID:
        case VALUE_IDS:
                return length == 4 && is_hex(word, length);
        case VALUE_CLASSES:
                return (length == 2 || length == 4 || length == 6) && is_hex(word, length);
        case VALUE_NUMBER:
                return length <= 2 && word[0] != '0' && strspn(word, "0123456789") >= length &&
                       strtoul(word, NULL, 10) <= 16;
        case VALUE_WORD:
        case VALUE_WORDS:
                return words_have(key->words, word, length);
        case VALUE_ANCHOR:
                return strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") >= length;
        case VALUE_TEXT:
                return true;
        }
        return false;
}

/* The way a value ought to be, for a message. */
static void expect(const struct key *key, char why[KNOWLEDGE_WHY_SIZE], const char *value)
{
        static const char *const kinds[] = {
                [VALUE_TEXT] = "a text of 60 printable characters at most",
                [VALUE_ID] = "four digits of lower-case hexadecimal",
                [VALUE_IDS] = "numbers of four digits of lower-case hexadecimal",
                [VALUE_CLASSES] = "classes of two, four or six digits of lower-case hexadecimal",
                [VALUE_NUMBER] = "a number from 1 to 16",
                [VALUE_ANCHOR] = "the anchor of a section",
        };
        bool several = key->kind == VALUE_WORDS;

        if (key->words)
                (void)snprintf(why, KNOWLEDGE_WHY_SIZE, "%s=%.40s: may be %s %s", key->name, value,
                               several ? "some of" : "one of", key->words);
        else
                (void)snprintf(why, KNOWLEDGE_WHY_SIZE, "%s=%.40s: is not %s", key->name, value,
                               kinds[key->kind]);
}

static bool value_is_right(const struct key *key, const char *value)
{
        bool several = key->kind == VALUE_IDS || key->kind == VALUE_WORDS || key->kind == VALUE_CLASSES;
        size_t count = 0, length;

        for (const char *at = value; *at; at++)
                if (!isprint((unsigned char)*at))
                        return false;
        if (key->kind == VALUE_TEXT)
                return *value && strlen(value) <= 60;
        for (const char *at = value, *word; (word = next_word(&at, &length)); count++)
                if (!word_is_right(key, word, length) || words_have(at, word, length))
                        return false;
        return count == 1 || (several && count > 0);
}

/* ---- a file ---- */

void knowledge_clear(struct card_knowledge *card)
{
        for (size_t i = 0; i < CARD_KEY_COUNT; i++)
                free(card->values[i]);
        free(card->file);
        memset(card, 0, sizeof(*card));
}

static int parse_line(struct card_knowledge *card, char *line, char why[KNOWLEDGE_WHY_SIZE])
{
        size_t index = 0;

        line += strspn(line, " \t");
        util_trim(line);
        if (!*line || *line == '#')
                return 0;
        char *value = strchr(line, '=');
        if (!value) {
                (void)snprintf(why, KNOWLEDGE_WHY_SIZE, "'%.40s' is not KEY=VALUE", line);
                return -EINVAL;
        }
        *value++ = '\0';
        util_trim(line);
        value += strspn(value, " \t");
        while (index < CARD_KEY_COUNT && !util_equal(keys[index].name, line))
                index++;
        if (index == CARD_KEY_COUNT) {
                (void)snprintf(why, KNOWLEDGE_WHY_SIZE, "unknown key '%.40s'", line);
                return -EINVAL;
        }
        if (card->values[index]) {
                (void)snprintf(why, KNOWLEDGE_WHY_SIZE, "%s is there twice", line);
                return -EINVAL;
        }
        if (!value_is_right(&keys[index], value)) {
                expect(&keys[index], why, value);
                return -EINVAL;
        }
        return util_copy(value, &card->values[index]);
}

/* What only the whole file shows. */
static int check_whole(const struct card_knowledge *card, const char *name, char why[KNOWLEDGE_WHY_SIZE])
{
        static const enum card_key needed[] = {CARD_MATCH_VENDOR, CARD_DOCS};
        const char *const *values = (const char *const *)card->values;
        size_t length;

        for (size_t i = 0; i < ELEMENTSOF(needed); i++)
                if (!values[needed[i]]) {
                        (void)snprintf(why, KNOWLEDGE_WHY_SIZE, "%s is missing", keys[needed[i]].name);
                        return -EINVAL;
                }
        if (!values[CARD_MATCH_DEVICE] && !values[CARD_MATCH_CLASS]) {
                (void)snprintf(why, KNOWLEDGE_WHY_SIZE, "MatchDevice or MatchClass is missing");
                return -EINVAL;
        }
        if (strncmp(name, values[CARD_MATCH_VENDOR], 4) != 0 || name[4] != '-') {
                (void)snprintf(why, KNOWLEDGE_WHY_SIZE, "the file's name does not begin with '%s-'",
                               values[CARD_MATCH_VENDOR]);
                return -EINVAL;
        }
        for (const char *at = values[CARD_RESET] ? values[CARD_RESET] : "", *word;
             (word = next_word(&at, &length));)
                if (words_have(values[CARD_RESET_LIES], word, length)) {
                        (void)snprintf(why, KNOWLEDGE_WHY_SIZE, "%.*s is in both AttrReset and AttrResetLies",
                                       (int)length, word);
                        return -EINVAL;
                }
        return 0;
}

int knowledge_parse(const char *name, char *text, struct card_knowledge *ret, unsigned int *ret_line,
                    char why[KNOWLEDGE_WHY_SIZE])
{
        struct card_knowledge card = {.file = NULL};
        unsigned int number = 0;
        char *rest = text;

        int r = util_copy(name, &card.file);
        for (char *line; r >= 0 && (line = strsep(&rest, "\n"));) {
                number++;
                r = parse_line(&card, line, why);
        }
        if (r >= 0)
                r = check_whole(&card, name, why);
        if (r < 0) {
                knowledge_clear(&card);
                *ret_line = number;
                return r;
        }
        *ret = card;
        return 0;
}

/* ---- which card ---- */

static bool list_has_id(const char *list, unsigned int id)
{
        char text[8];

        (void)snprintf(text, sizeof(text), "%04x", id);
        return words_have(list, text, strlen(text));
}

static bool list_has_class(const char *list, unsigned int class)
{
        char text[16];
        size_t length;

        (void)snprintf(text, sizeof(text), "%06x", class);
        for (const char *at = list, *word; (word = next_word(&at, &length));)
                if (strncmp(text, word, length) == 0)
                        return true;
        return false;
}

/* What each kind of key counts: a device is more than a class, a subsystem more than both. */
static const unsigned int weights[CARD_NAME] = {
        [CARD_MATCH_VENDOR] = 1,           [CARD_MATCH_DEVICE] = 4, [CARD_MATCH_SUBSYSTEM_VENDOR] = 8,
        [CARD_MATCH_SUBSYSTEM_DEVICE] = 8, [CARD_MATCH_CLASS] = 2,
};

unsigned int knowledge_fits(const struct card_knowledge *card, const struct vfioctl_function *function)
{
        const unsigned int ids[] = {
                [CARD_MATCH_VENDOR] = function->vendor,
                [CARD_MATCH_DEVICE] = function->device,
                [CARD_MATCH_SUBSYSTEM_VENDOR] = function->subsystem_vendor,
                [CARD_MATCH_SUBSYSTEM_DEVICE] = function->subsystem_device,
        };
        unsigned int score = 0;

        for (size_t i = 0; i < CARD_NAME; i++) {
                const char *value = card->values[i];
                if (!value)
                        continue;
                if (i == CARD_MATCH_CLASS ? !list_has_class(value, function->class)
                                          : !list_has_id(value, ids[i]))
                        return 0;
                score += weights[i];
        }
        return score;
}

/* Classes are prefixes, so that one of them may have the other in it. */
static bool lists_meet(const char *a, const char *b, bool are_prefixes)
{
        size_t n, m;

        for (const char *at = a, *x; (x = next_word(&at, &n));)
                for (const char *in = b, *y; (y = next_word(&in, &m));)
                        if ((n == m || are_prefixes) && strncmp(x, y, n < m ? n : m) == 0)
                                return true;
        return false;
}

bool knowledge_collides(const struct card_knowledge *a, const struct card_knowledge *b)
{
        unsigned int one = 0, other = 0;

        for (size_t i = 0; i < CARD_NAME; i++) {
                one += a->values[i] ? weights[i] : 0;
                other += b->values[i] ? weights[i] : 0;
                if (a->values[i] && b->values[i] &&
                    !lists_meet(a->values[i], b->values[i], i == CARD_MATCH_CLASS))
                        return false;
        }
        return one == other;
}

/* ---- what is known of a GPU ---- */

const char *gpu_known(const struct vfioctl_gpu *gpu, enum card_key key)
{
        return gpu->knowledge ? gpu->knowledge->values[key] : NULL;
}

VFIOCTL_EXPORT bool vfioctl_gpu_guest_wants(const struct vfioctl_gpu *gpu, const char *word)
{
        return words_have(gpu_known(gpu, CARD_GUEST), word, strlen(word));
}

static size_t known_at(const struct vfioctl_gpu *gpu, size_t index)
{
        for (size_t i = CARD_NAME; gpu->knowledge && i < CARD_KEY_COUNT; i++)
                if (gpu->knowledge->values[i] && index-- == 0)
                        return i;
        return CARD_KEY_COUNT;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_known_file(const struct vfioctl_gpu *gpu)
{
        return gpu->knowledge ? gpu->knowledge->file : NULL;
}

VFIOCTL_EXPORT size_t vfioctl_gpu_known_count(const struct vfioctl_gpu *gpu)
{
        size_t count = 0;

        while (known_at(gpu, count) < CARD_KEY_COUNT)
                count++;
        return count;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_known_name(const struct vfioctl_gpu *gpu, size_t index)
{
        size_t i = known_at(gpu, index);
        return i < CARD_KEY_COUNT ? keys[i].label : NULL;
}

VFIOCTL_EXPORT const char *vfioctl_gpu_known_value(const struct vfioctl_gpu *gpu, size_t index)
{
        size_t i = known_at(gpu, index);
        return i < CARD_KEY_COUNT ? gpu->knowledge->values[i] : NULL;
}
