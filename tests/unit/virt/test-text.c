/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "text.h"

static void test_printable(void **state)
{
        static const struct {
                const char *text;
                const char *shown;
        } cases[] = {
                {"", ""},
                {"vm-1", "vm-1"},
                {"a/../b c", "a/../b c"},
                {"Prüfstand 日本", "Prüfstand 日本"},
                {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
                {"a\n", "a\\n"},
                {"\x1b[31m\x7f", "\\x1b[31m\\x7f"},
                {"\xc2\x9b"
                 "31m",
                 "\\xc2\\x9b31m"},
                {"\xe2\x80\xae"
                 "txt.exe",
                 "\\xe2\\x80\\xaetxt.exe"},
                {"\xff\xc3", "\\xff\\xc3"},
                {"\xc0\xaf", "\\xc0\\xaf"},
                {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
                {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
                {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
        };
        _cleanup_free_ char *longest = NULL;
        char name[301];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *shown = NULL;
                assert_int_equal(text_printable(cases[i].text, TEXT_NAME_MAX, &shown), 0);
                assert_string_equal(shown, cases[i].shown);
        }
        memset(name, 'x', 300);
        name[300] = '\0';
        assert_int_equal(text_printable(name, TEXT_NAME_MAX, &longest), 0);
        assert_int_equal(strlen(longest), 64 + 3);
        assert_string_equal(longest + 64, "...");
}

/* What a shell makes of the word is the text again. */
static void test_shell_word(void **state)
{
        static const struct {
                const char *text;
                const char *word;
        } cases[] = {
                {"vm1", "vm1"},
                {"a.b/c:d@e_f-g", "a.b/c:d@e_f-g"},
                {"", "''"},
                {"two words", "'two words'"},
                {"--help", "'--help'"},
                {"it's", "'it'\\''s'"},
                {"$(reboot) `x` !", "'$(reboot) `x` !'"},
                {"~root", "'~root'"},
                {"a\nb'c\\d", "$'a\\nb\\'c\\\\d'"},
                {"\x1b"
                 "1",
                 "$'\\x1b"
                 "1'"},
                {"\xff"
                 "a",
                 "$'\\xffa'"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *word = NULL;
                char back[64] = "";

                assert_int_equal(text_shell_word(cases[i].text, &word), 0);
                assert_string_equal(word, cases[i].word);
                if (access("/bin/bash", X_OK) < 0)
                        continue;
                assert_int_equal(setenv("WORD", word, 1), 0);
                FILE *shell = popen("/bin/bash -c 'eval printf %s \"$WORD\"'", "re");
                assert_non_null(shell);
                size_t length = fread(back, 1, sizeof(back) - 1, shell);
                assert_int_equal(pclose(shell), 0);
                assert_int_equal(length, strlen(cases[i].text));
                assert_string_equal(back, cases[i].text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_printable),
                cmocka_unit_test(test_shell_word),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
