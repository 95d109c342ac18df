/* SPDX-License-Identifier: MIT */
#include "core/usage.h"

#include <string.h>

#include "base/units.h"
#include "tests/check_main.h"

#define MIB (UINT64_C(1024) * 1024)

static const struct {
    struct usage usage;
    const char *words;
} said[] = {
    {{0}, ""},
    {{.cpu_from = USAGE_PROC}, "after 0.0 s, 0.00 s of CPU"},
    {{.cpu_from = USAGE_WAIT,
      .memory_from = USAGE_WAIT,
      .run_time = 3290000,
      .cpu_user = 40000,
      .cpu_system = 10000,
      .memory_peak = 7 * MIB},
     "after 3.2 s, 0.05 s of CPU, 7.0M at most"},
    {{.cpu_from = USAGE_WAIT, .memory_from = USAGE_WAIT, .run_time = 100 * USEC_PER_SEC, .memory_peak = 512 * 1024},
     "after 1 min 40 s, 0.00 s of CPU, 512K at most"},
    {{.cpu_from = USAGE_CGROUP,
      .memory_from = USAGE_CGROUP,
      .run_time = 59990000,
      .cpu_user = 90 * USEC_PER_SEC,
      .memory_peak = 1536 * MIB},
     "after 59.9 s, 90.00 s of CPU, 1.5G at most"},
};

START_TEST(words)
{
    char buf[USAGE_WORDS_MAX];

    ck_assert_str_eq(usage_words(&said[_i].usage, buf, sizeof buf), said[_i].words);
}
END_TEST

START_TEST(the_largest_fits)
{
    struct usage usage = {.cpu_from = USAGE_WAIT,
                          .memory_from = USAGE_WAIT,
                          .run_time = INT64_MAX,
                          .cpu_user = INT64_MAX,
                          .memory_peak = UINT64_MAX};
    char buf[USAGE_WORDS_MAX];

    const char *end = strstr(usage_words(&usage, buf, sizeof buf), "G at most");
    ck_assert_ptr_nonnull(end);
    ck_assert_str_eq(end, "G at most");
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("usage");
    TCase *tc = tcase_create("usage");

    tcase_add_loop_test(tc, words, 0, sizeof said / sizeof *said);
    tcase_add_test(tc, the_largest_fits);
    suite_add_tcase(suite, tc);
    return suite;
}
