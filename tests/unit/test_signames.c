/* SPDX-License-Identifier: MIT */
#include <signal.h>

#include "base/signames.h"
#include "check_main.h"

START_TEST(names_are_read)
{
    ck_assert_int_eq(signal_from_name("TERM"), SIGTERM);
    ck_assert_int_eq(signal_from_name("SIGTERM"), SIGTERM);
    ck_assert_int_eq(signal_from_name("term"), SIGTERM);
    ck_assert_int_eq(signal_from_name("sigKill"), SIGKILL);
    ck_assert_int_eq(signal_from_name("15"), 15);
    ck_assert_int_eq(signal_from_name("SIG33"), 33);
    ck_assert_int_eq(signal_from_name("RTMIN"), SIGRTMIN);
    ck_assert_int_eq(signal_from_name("RTMIN+3"), SIGRTMIN + 3);
    ck_assert_int_eq(signal_from_name("SIGRTMAX-1"), SIGRTMAX - 1);
    ck_assert_int_eq(signal_from_name("IOT"), SIGABRT);
    ck_assert_int_eq(signal_from_name("POLL"), SIGIO);
}
END_TEST

START_TEST(anything_else_is_refused)
{
    static const char *const bad[] = {
        "",       "0",       "65",      "-1",       "999999999999", "SIG",      "SIGSIGTERM", "TERMX", "TREM",
        "RTMIN+", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMAX-31",     "RTMIN+ 3", "RTMIN3",     " TERM", "15 ",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(signal_from_name(bad[i]) == -1, "'%s'", bad[i]);
}
END_TEST

START_TEST(names_are_shown)
{
    char buf[16];

    ck_assert_str_eq(signal_to_name(SIGTERM, buf), "TERM");
    ck_assert_str_eq(signal_to_name(SIGABRT, buf), "ABRT");
    ck_assert_str_eq(signal_to_name(SIGRTMIN, buf), "RTMIN");
    ck_assert_str_eq(signal_to_name(SIGRTMIN + 3, buf), "RTMIN+3");
    ck_assert_str_eq(signal_to_name(99, buf), "99");
    ck_assert_str_eq(signal_to_name(0, buf), "0");
}
END_TEST

START_TEST(every_signal_reads_back)
{
    char buf[16];

    for (int signo = 1; signo <= 64; signo++)
        ck_assert_int_eq(signal_from_name(signal_to_name(signo, buf)), signo);
}
END_TEST

START_TEST(near_names_are_found)
{
    ck_assert_str_eq(signal_suggest("TREM"), "TERM");
    ck_assert_str_eq(signal_suggest("SIGHPU"), "HUP");
    ck_assert_ptr_null(signal_suggest("xyzzyx"));
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("signames");
    TCase *tc = tcase_create("signames");

    tcase_add_test(tc, names_are_read);
    tcase_add_test(tc, anything_else_is_refused);
    tcase_add_test(tc, names_are_shown);
    tcase_add_test(tc, every_signal_reads_back);
    tcase_add_test(tc, near_names_are_found);
    suite_add_tcase(suite, tc);
    return suite;
}
