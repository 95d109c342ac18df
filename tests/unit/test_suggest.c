/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/suggest.h"
#include "check_main.h"

static const char *const known[] = {"command",           "directory", "restart", "restart-delay",
                                    "restart-delay-max", "user",      "log"};
#define N_KNOWN (sizeof(known) / sizeof(known[0]))

static const char *nearest(const char *word)
{
    const char *found = suggest_nearest(word, known, N_KNOWN);

    return found != NULL ? found : "(none)";
}

START_TEST(near_words)
{
    ck_assert_str_eq(nearest("command"), "command");
    ck_assert_str_eq(nearest("comand"), "command");
    ck_assert_str_eq(nearest("COMMAND"), "command");
    ck_assert_str_eq(nearest("ocmmand"), "command");
    ck_assert_str_eq(nearest("commandx"), "command");
    ck_assert_str_eq(nearest("conmand"), "command");
    ck_assert_str_eq(nearest("restrat"), "restart");
    ck_assert_str_eq(nearest("restart_delay"), "restart-delay");
    ck_assert_str_eq(nearest("restart-delaymax"), "restart-delay-max");
    ck_assert_str_eq(nearest("uesr"), "user");
    ck_assert_str_eq(nearest("lgo"), "log");
}
END_TEST

START_TEST(far_words)
{
    char huge[5000];

    ck_assert_str_eq(nearest(""), "(none)");
    ck_assert_str_eq(nearest("x"), "(none)");
    ck_assert_str_eq(nearest("zzzzzz"), "(none)");
    ck_assert_str_eq(nearest("Wattsonfish"), "(none)");
    memset(huge, 'c', sizeof(huge));
    huge[sizeof(huge) - 1] = '\0';
    ck_assert_str_eq(nearest(huge), "(none)");
    ck_assert_ptr_null(suggest_nearest("x", NULL, 0));
}
END_TEST

/* Two edits in six letters are near (a third, rounded up); three are not. */
START_TEST(border)
{
    static const char *const word[] = {"abcdef"};

    ck_assert_ptr_nonnull(suggest_nearest("abcdxy", word, 1));
    ck_assert_ptr_null(suggest_nearest("abcxyz", word, 1));
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("suggest");
    TCase *tc = tcase_create("suggest");

    tcase_add_test(tc, near_words);
    tcase_add_test(tc, far_words);
    tcase_add_test(tc, border);
    suite_add_tcase(suite, tc);
    return suite;
}
