/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#define PLACE "0000 \\_SB_.PC00/0 02.0/00.0 "
#define IDS   "1002:6864:1002:6864"

static struct fixture f;

static struct vfioctl_gpu *add(const char *name, const char *address, const char *identity)
{
        struct vfioctl_gpu *gpu = fixture_gpu(&f, name, address, 0, 0, 10, "amdgpu");

        gpu->identity = (char *)(uintptr_t)identity;
        return gpu;
}

static enum vfioctl_verdict judge(const char *identity, const char *address, const struct vfioctl_gpu **ret)
{
        struct vfioctl_address function;

        assert_int_equal(vfioctl_address_parse(address, &function), 0);
        const struct vfioctl_assignment assignment = {
                .name = "2a", .identity = identity, .functions = &function, .n_functions = 1};
        *ret = (const struct vfioctl_gpu *)&f;
        return vfioctl_judge(&f.snapshot, &assignment, ret);
}

static void test_identities(void **state)
{
        static const struct {
                const char *a, *b;
                bool same;
        } cases[] = {
                {PLACE IDS, PLACE IDS, true},
                /* A serial number that one of the two lacks does not part them, two different ones do. */
                {PLACE IDS " 00-11", PLACE IDS, true},
                {PLACE IDS, PLACE IDS " 00-11", true},
                {PLACE IDS " 00-11", PLACE IDS " 00-11", true},
                {PLACE IDS " 00-11", PLACE IDS " 00-12", false},
                {PLACE IDS, PLACE "1002:6864:1002:6865", false},
                {PLACE IDS, "0000 \\_SB_.PC01/1 02.0/00.0 " IDS, false},
                {PLACE IDS, "0001 \\_SB_.PC00/0 02.0/00.0 " IDS, false},
                {PLACE IDS, "0000 \\_SB_.PC00/0 02.0/00.1 " IDS, false},
                {PLACE IDS, PLACE, false},
                {"", "", false},
                {"", PLACE IDS, false},
                {PLACE IDS, "", false},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (identity_matches(cases[i].a, cases[i].b) != cases[i].same)
                        fail_msg("'%s' and '%s'", cases[i].a, cases[i].b);
}

static void test_verdicts(void **state)
{
        const struct vfioctl_gpu *where;

        (void)state;
        fixture_init(&f);
        struct vfioctl_gpu *one = add("1a", "0000:06:00.0", PLACE IDS);
        struct vfioctl_gpu *two = add("2a", "0000:86:00.0", "0000 \\_SB_.PC01/1 02.0/00.0 " IDS " 00-11");

        assert_int_equal(judge(PLACE IDS, "0000:06:00.0", &where), VFIOCTL_SAME);
        assert_ptr_equal(where, one);
        assert_int_equal(judge(PLACE IDS, "0000:05:00.0", &where), VFIOCTL_MOVED);
        assert_ptr_equal(where, one);
        /* Where it was is its twin of the other socket now: equal in all but the host bridge. */
        assert_int_equal(judge(PLACE IDS, "0000:86:00.0", &where), VFIOCTL_MOVED);
        assert_ptr_equal(where, one);
        assert_int_equal(judge("0000 \\_SB_.PC01/1 02.0/00.0 " IDS " 00-11", "0000:86:00.0", &where),
                         VFIOCTL_SAME);
        assert_ptr_equal(where, two);
        /* Another card of the same kind in its place; another kind; and another one at its address. */
        assert_int_equal(judge("0000 \\_SB_.PC01/1 02.0/00.0 " IDS " 00-99", "0000:86:00.0", &where),
                         VFIOCTL_SWAPPED);
        assert_ptr_equal(where, two);
        assert_int_equal(judge(PLACE "10de:1188:10de:095b", "0000:06:00.0", &where), VFIOCTL_SWAPPED);
        assert_ptr_equal(where, one);
        assert_int_equal(judge(PLACE "10de:1188:10de:095b", "0000:05:00.0", &where), VFIOCTL_SWAPPED);
        assert_ptr_equal(where, one);
        assert_int_equal(judge("0000 \\_SB_.PC02/2 02.0/00.0 " IDS, "0000:06:00.0", &where), VFIOCTL_SWAPPED);
        assert_ptr_equal(where, one);
        assert_int_equal(judge("0000 \\_SB_.PC02/2 02.0/00.0 " IDS, "0000:07:00.0", &where), VFIOCTL_GONE);
        assert_null(where);
        assert_int_equal(judge("", "0000:06:00.0", &where), VFIOCTL_EDITED);
        assert_null(where);
        /* One that was not looked at deeply has no identity: it is nobody's twin. */
        one->identity = NULL;
        assert_int_equal(judge(PLACE IDS, "0000:05:00.0", &where), VFIOCTL_GONE);
}

static void test_edited(void **state)
{
        const struct vfioctl_gpu *where;
        struct vfioctl_address function = {.bus = 6};
        struct vfioctl_assignment assignment = {
                .name = "", .identity = PLACE IDS, .functions = &function, .n_functions = 1};

        (void)state;
        fixture_init(&f);
        (void)add("1a", "0000:06:00.0", PLACE IDS);
        assert_int_equal(vfioctl_judge(&f.snapshot, &assignment, &where), VFIOCTL_SAME);
        assignment.is_edited = true;
        assert_int_equal(vfioctl_judge(&f.snapshot, &assignment, &where), VFIOCTL_EDITED);
        assert_null(where);
        assignment.is_edited = false;
        assignment.n_functions = 0;
        assert_int_equal(vfioctl_judge(&f.snapshot, &assignment, &where), VFIOCTL_EDITED);
}

static void test_names(void **state)
{
        (void)state;
        assert_string_equal(vfioctl_verdict_name(VFIOCTL_SAME), "same");
        assert_string_equal(vfioctl_verdict_name(VFIOCTL_MOVED), "moved");
        assert_string_equal(vfioctl_verdict_name(VFIOCTL_EDITED), "edited");
        assert_string_equal(vfioctl_verdict_name(VFIOCTL_SWAPPED), "swapped");
        assert_string_equal(vfioctl_verdict_name(VFIOCTL_GONE), "gone");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_identities),
                cmocka_unit_test(test_verdicts),
                cmocka_unit_test(test_edited),
                cmocka_unit_test(test_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
