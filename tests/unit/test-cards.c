/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cards.h"
#include "harness.h"
#include "knowledge.h"

#include <ctype.h>
#include <dirent.h>

/* ---- the files of this package ---- */

static char *read_whole(const char *path)
{
        struct vfioctl_ctx here = {.root_fd = -1, .is_live = true};
        char *text = NULL;
        size_t size;

        if (host_read_file(&here, path, 1024 * 1024, &text, &size) < 0)
                fail_msg("cannot read %s", path);
        return text;
}

/* As forges make them of headings: small letters, blanks become dashes, other signs are left out. */
static bool has_section(const char *document, const char *anchor)
{
        for (const char *at = document; (at = strstr(at, "\n## ")); at++) {
                char slug[128];
                size_t n = 0;
                for (const char *c = at + 4; *c && *c != '\n' && n < sizeof(slug) - 1; c++)
                        if (isalnum((unsigned char)*c) || *c == '-' || *c == ' ')
                                slug[n++] = *c == ' ' ? '-' : (char)tolower((unsigned char)*c);
                slug[n] = '\0';
                if (util_equal(slug, anchor))
                        return true;
        }
        return false;
}

static void test_ours(void **state)
{
        _cleanup_free_ char *document = read_whole(VFIOCTL_CARDS "/../../docs/cards.md");
        _cleanup_free_ char *build = read_whole(VFIOCTL_CARDS "/meson.build");
        struct card_knowledge cards[64];
        size_t count = 0;

        (void)state;
        _cleanup_dir_ DIR *dir = opendir(VFIOCTL_CARDS);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));) {
                _cleanup_free_ char *path = NULL, *text = NULL, *listed = NULL;
                char why[KNOWLEDGE_WHY_SIZE] = "";
                unsigned int line = 0;
                size_t length = strlen(entry->d_name), end = strlen(CARDS_SUFFIX);
                if (length <= end || !util_equal(entry->d_name + length - end, CARDS_SUFFIX))
                        continue;
                assert_true(count < ELEMENTSOF(cards));
                assert_int_equal(util_format(&path, VFIOCTL_CARDS "/%s", entry->d_name), 0);
                text = read_whole(path);
                if (knowledge_parse(entry->d_name, text, &cards[count], &line, why) < 0)
                        fail_msg("%s:%u: %s", path, line, why);
                if (!has_section(document, cards[count].values[CARD_DOCS]))
                        fail_msg("%s: docs/cards.md has no section #%s", path,
                                 cards[count].values[CARD_DOCS]);
                assert_int_equal(util_format(&listed, "'%.*s'", (int)(length - end), entry->d_name), 0);
                assert_contains(build, listed);
                count++;
        }
        assert_true(count >= 9);
        for (size_t i = 0; i < count; i++)
                for (size_t k = 0; k < i; k++)
                        if (knowledge_collides(&cards[i], &cards[k]))
                                fail_msg("%s and %s fit the same card equally well", cards[i].file,
                                         cards[k].file);
        for (size_t i = 0; i < count; i++)
                knowledge_clear(&cards[i]);
}

/* ---- mistakes ---- */

#define GOOD "MatchVendor=1002\nMatchDevice=6864\nAttrDocs=a\n"

static void test_mistakes(void **state)
{
        static const struct {
                const char *name, *text;
                unsigned int line;
                const char *why;
        } files[] = {
                {"1002-a.card", GOOD "AttrNeam=x\n", 4, "unknown key 'AttrNeam'"},
                {"1002-a.card", GOOD "[Card]\n", 4, "'[Card]' is not KEY=VALUE"},
                {"1002-a.card", GOOD "AttrDies=2\nAttrDies=2\n", 5, "AttrDies is there twice"},
                {"1002-a.card", GOOD "AttrDies=0\n", 4, "AttrDies=0: is not a number from 1 to 16"},
                {"1002-a.card", GOOD "AttrDies=17\n", 4, "AttrDies=17: is not"},
                {"1002-a.card", GOOD "AttrDies=2 3\n", 4, "AttrDies=2 3: is not"},
                {"1002-a.card", GOOD "AttrName=\n", 4, "AttrName=: is not a text"},
                {"1002-a.card", GOOD "AttrName=a\033[1m\n", 4, "is not a text"},
                {"1002-a.card", GOOD "AttrReset=bus flir\n", 4, "AttrReset=bus flir: may be some of"},
                {"1002-a.card", GOOD "AttrReset=bus bus\n", 4, "AttrReset=bus bus: may be"},
                {"1002-a.card", GOOD "AttrPower=hold leave\n", 4,
                 "AttrPower=hold leave: may be one of hold leave"},
                {"1002-a.card", GOOD "AttrHandOut=yes\n", 4, "AttrHandOut=yes: may be one of never"},
                {"1002-a.card", GOOD "AttrReset=flr bus\nAttrResetLies=bus\n", 6, "bus is in both"},
                {"1002-a.card", "\n# a\nMatchVendor=0x1002\n", 3, "MatchVendor=0x1002: is not four digits"},
                {"1002-a.card", "MatchVendor=1002\nMatchDevice=686C\n", 2, "lower-case"},
                {"1002-a.card", "MatchVendor=1002\nMatchClass=030\n", 2, "MatchClass=030: is not classes"},
                {"1002-a.card", "MatchVendor=1002\nMatchDevice=6864\nAttrDocs=A b\n", 3, "AttrDocs=A b"},
                {"1002-a.card", "MatchVendor=1002\nMatchDevice=6864\n", 3, "AttrDocs is missing"},
                {"1002-a.card", "MatchDevice=6864\nAttrDocs=a\n", 3, "MatchVendor is missing"},
                {"1002-a.card", "MatchVendor=1002\nAttrDocs=a\n", 3, "MatchDevice or MatchClass is missing"},
                {"10de-a.card", GOOD, 4, "does not begin with '1002-'"},
                {"1002.card", GOOD, 4, "does not begin with '1002-'"},
                {"1002-a.card", "", 1, "MatchVendor is missing"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *text = strdup(files[i].text);
                struct card_knowledge card = {.file = NULL};
                char why[KNOWLEDGE_WHY_SIZE] = "";
                unsigned int line = 0;
                assert_non_null(text);
                if (knowledge_parse(files[i].name, text, &card, &line, why) != -EINVAL)
                        fail_msg("is taken: %s", files[i].text);
                assert_contains(why, files[i].why);
                if (line != files[i].line)
                        fail_msg("line %u, not %u: %s", line, files[i].line, why);
                assert_null(card.file);
        }
}

static void parse(struct card_knowledge *card, const char *rest)
{
        _cleanup_free_ char *text = NULL;
        char why[KNOWLEDGE_WHY_SIZE] = "";
        unsigned int line = 0;

        assert_int_equal(util_format(&text, "  # blanks\r\n MatchVendor = 1002 \nAttrDocs=a\n%s", rest), 0);
        if (knowledge_parse("1002-a.card", text, card, &line, why) < 0)
                fail_msg("%s: line %u: %s", rest, line, why);
}

static void test_which(void **state)
{
        static const char *const texts[] = {
                "MatchClass=03\n",
                "MatchDevice=6860 6864\n",
                "MatchDevice=6864\nMatchClass=0380\n",
                "MatchDevice=6864\nMatchSubsystemVendor=17aa\nMatchSubsystemDevice=0c00 0c01\n",
                "MatchDevice=6864\nMatchSubsystemVendor=1002\n",
                "MatchClass=0380 12\n",
                "MatchDevice=1234\n",
        };
        struct vfioctl_function function = {.vendor = 0x1002,
                                            .device = 0x6864,
                                            .subsystem_vendor = 0x17aa,
                                            .subsystem_device = 0xc00,
                                            .class = 0x038000};
        struct card_knowledge cards[ELEMENTSOF(texts)];
        unsigned int fits[ELEMENTSOF(texts)];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                parse(&cards[i], texts[i]);
                fits[i] = knowledge_fits(&cards[i], &function);
        }
        assert_true(fits[0] > 0 && fits[1] > fits[0] && fits[2] > fits[1] && fits[3] > fits[2]);
        assert_int_equal(fits[4], 0);
        assert_int_equal(fits[5], fits[0]);
        assert_int_equal(fits[6], 0);
        assert_true(knowledge_collides(&cards[0], &cards[5]));
        assert_false(knowledge_collides(&cards[0], &cards[1]));
        assert_false(knowledge_collides(&cards[1], &cards[6]));
        assert_true(knowledge_collides(&cards[1], &cards[1]));
        function.vendor = 0x10de;
        assert_int_equal(knowledge_fits(&cards[0], &function), 0);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                knowledge_clear(&cards[i]);
}

/* ---- on a host ---- */

static struct vfioctl_snapshot *take(struct vfioctl_ctx *ctx, unsigned int flags)
{
        struct vfioctl_snapshot *snapshot = NULL;

        assert_int_equal(vfioctl_snapshot_take(ctx, flags, &snapshot), 0);
        return snapshot;
}

static const char *known(const struct vfioctl_gpu *gpu, const char *name)
{
        for (size_t i = 0; i < vfioctl_gpu_known_count(gpu); i++)
                if (util_equal(vfioctl_gpu_known_name(gpu, i), name))
                        return vfioctl_gpu_known_value(gpu, i);
        return NULL;
}

static void test_hosts(void **state)
{
        static const struct {
                const char *host, *gpu, *file, *card, *wants;
        } gpus[] = {
                {"x10drh-3xv340", "1a", "1002-radeon-pro-v340.card", "Radeon Pro V340/V340L",
                 "no-secure-boot"},
                {"x10drh-3xv340", "17:00.0", "1a03-aspeed.card", "ASPEED BMC display", NULL},
                {"gtx690", "1a", "10de-gtx-690.card", "GeForce GTX 690", "hide-kvm"},
                {"gtx690", "1b", "10de-gtx-690.card", "GeForce GTX 690", "hide-kvm"},
                {"r9-295x2", "1b", "1002-r9-295x2.card", "Radeon R9 295X2", NULL},
                {"m2000", "1a", "10de-quadro-m2000.card", "Quadro M2000", NULL},
                /* The database tells GA107's apart by their memory, so the files have no name. */
                {"desktop-2xrtx3050", "0a:00.0", "10de-rtx-3050-ga106.card", NULL, NULL},
                {"desktop-2xrtx3050", "0b:00.0", "10de-rtx-3050-ga107.card", NULL, NULL},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(gpus); i++) {
                const struct vfioctl_gpu *gpu;
                char *root = root_from_host(gpus[i].host, NULL);
                struct vfioctl_ctx *ctx = root_ctx(root);
                ctx->cards_dir = VFIOCTL_CARDS;
                struct vfioctl_snapshot *snapshot = take(ctx, VFIOCTL_SNAPSHOT_CHANGE);
                assert_int_equal(vfioctl_snapshot_find(snapshot, gpus[i].gpu, &gpu), 0);
                assert_string_equal(vfioctl_gpu_known_file(gpu), gpus[i].file);
                assert_true(util_equal(known(gpu, "name"), gpus[i].card));
                if (gpus[i].card)
                        assert_string_equal(vfioctl_gpu_card(gpu), gpus[i].card);
                assert_null(vfioctl_gpu_known_name(gpu, vfioctl_gpu_known_count(gpu)));
                static const char *const words[] = {"no-secure-boot", "hide-kvm", "rom-off", "hide", ""};
                for (size_t k = 0; k < ELEMENTSOF(words); k++)
                        assert_int_equal(vfioctl_gpu_guest_wants(gpu, words[k]),
                                         util_equal(words[k], gpus[i].wants));
                (void)vfioctl_snapshot_free(snapshot);
                /* Nobody asked for it. */
                snapshot = take(ctx, 0);
                assert_int_equal(vfioctl_snapshot_find(snapshot, gpus[i].gpu, &gpu), 0);
                assert_null(vfioctl_gpu_known_file(gpu));
                assert_int_equal(vfioctl_gpu_known_count(gpu), 0);
                (void)vfioctl_snapshot_free(snapshot);
                (void)vfioctl_ctx_free(ctx);
                root_free(root);
        }
}

static void test_broken(void **state)
{
        char *root = root_from_host("x10drh-3xv340", NULL), *cards = root_new();
        struct vfioctl_ctx *ctx = root_ctx(root);
        struct lines lines = {.text = NULL};
        const struct vfioctl_gpu *gpu;

        (void)state;
        root_put(cards, "/1002-a.card", "%s", GOOD "AttrDies=two\n");
        root_put(cards, "/1002-b.card", "%s", "MatchVendor=1002\nMatchClass=03\nAttrDocs=b\n");
        /* Never opened: there is no such vendor, and those are no names of such files. */
        root_put(cards, "/10de-c.card", "%s", "nonsense\n");
        root_put(cards, "/1002-d.card~", "%s", "nonsense\n");
        root_put(cards, "/meson.build", "%s", "nonsense\n");
        ctx->cards_dir = cards;
        vfioctl_ctx_set_log(ctx, lines_log, &lines);
        struct vfioctl_snapshot *snapshot = take(ctx, VFIOCTL_SNAPSHOT_DETAILS);
        assert_int_equal(lines.count, 1);
        assert_contains(lines.text, "/1002-a.card:4: AttrDies=two: is not a number");
        assert_int_equal(vfioctl_snapshot_find(snapshot, "1a", &gpu), 0);
        assert_string_equal(vfioctl_gpu_known_file(gpu), "1002-b.card");
        lines_clear(&lines);
        (void)vfioctl_snapshot_free(snapshot);

        /* No folder at all: general rules. */
        ctx->cards_dir = "/nonexistent";
        snapshot = take(ctx, VFIOCTL_SNAPSHOT_DETAILS);
        assert_int_equal(vfioctl_snapshot_find(snapshot, "1a", &gpu), 0);
        assert_null(vfioctl_gpu_known_file(gpu));
        assert_int_equal(lines.count, 0);
        (void)vfioctl_snapshot_free(snapshot);
        (void)vfioctl_ctx_free(ctx);
        root_free(cards);
        root_free(root);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ours),  cmocka_unit_test(test_mistakes), cmocka_unit_test(test_which),
                cmocka_unit_test(test_hosts), cmocka_unit_test(test_broken),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
