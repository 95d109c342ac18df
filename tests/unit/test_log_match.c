/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/log_match.h"
#include "core/log_stream.h"
#include "tests/check_main.h"

static regex_t compiled(const char *pattern)
{
    regex_t grep;
    char *error = grep_compile(pattern, &grep);

    ck_assert_msg(!error, "%s", error);
    return grep;
}

START_TEST(names)
{
    char *name = log_match_name("web@1:err.fifo");
    char *fifo = log_match_fifo(name);

    ck_assert_str_eq(name, "web@1:err.match");
    ck_assert_str_eq(fifo, "web@1:err.fifo");
    ck_assert_ptr_null(log_match_fifo("web.match.new"));
    ck_assert_ptr_null(log_match_fifo("web.fifo"));
    ck_assert_ptr_null(log_match_fifo(".match"));
    free(name);
    free(fifo);
}
END_TEST

static const struct {
    const char *pattern;
    const char *text;
    size_t len; /* 0: strlen(text) */
    size_t done;
    bool found;
} looks[] = {
    {"^ready$", "not ready\nready\nmore\n", 0, 16, true},
    {"^ready$", "not ready\nready now\n", 0, 20, false},
    {"^ready$", "a\nready", 0, 2, false}, /* its end has not come */
    {"ready", "", 0, 0, false},
    {"^$", "\n", 0, 1, true},
    {"a.b", "a\nb\n", 0, 4, false}, /* a line is not two */
    {"end$", "a\0b end\n", 8, 8, true},
    {"^b", "a\0b\n", 4, 4, false},
    {"\xc3\xa9", "caf\xc3\xa9\n", 0, 6, true},
};

START_TEST(lines_are_looked_at)
{
    regex_t grep = compiled(looks[_i].pattern);
    bool found;
    size_t len = looks[_i].len > 0 ? looks[_i].len : strlen(looks[_i].text);

    ck_assert_uint_eq(log_match_look(&grep, looks[_i].text, len, &found), looks[_i].done);
    ck_assert_int_eq(found, looks[_i].found);
    regfree(&grep);
}
END_TEST

/* One that is too long is cut, wherever its end is, and what follows is the next. */
START_TEST(a_long_line_is_cut)
{
    char *text = xcalloc(2 * LOG_LINE_MAX + 1, 1);
    regex_t grep = compiled("^b");
    bool found;

    memset(text, 'a', LOG_LINE_MAX);
    memset(text + LOG_LINE_MAX, 'b', LOG_LINE_MAX);
    ck_assert_uint_eq(log_match_look(&grep, text, LOG_LINE_MAX - 1, &found), 0);
    ck_assert_uint_eq(log_match_look(&grep, text, LOG_LINE_MAX + 1, &found), LOG_LINE_MAX);
    ck_assert(!found);
    ck_assert_uint_eq(log_match_look(&grep, text, 2 * LOG_LINE_MAX, &found), 2 * LOG_LINE_MAX);
    ck_assert(found);
    regfree(&grep);
    free(text);
}
END_TEST

START_TEST(what_is_unfinished_has_no_end)
{
    regex_t at_end = compiled("ready$");
    regex_t within = compiled("^server ready");

    ck_assert(grep_matches(&at_end, "server ready", 12, false));
    ck_assert(!grep_matches(&at_end, "server ready", 12, true));
    ck_assert(grep_matches(&within, "server ready", 12, true));
    regfree(&at_end);
    regfree(&within);
}
END_TEST

/* What may be taken at each point of the way; a suplog that begins there finds the same. */
START_TEST(places)
{
    struct log_match match;

    ck_assert(log_match_init(&match, 7, 11, 13, "x"));
    ck_assert(log_match_makes_sense(&match));
    match.old = 100;
    ck_assert_uint_eq(log_match_line(&match), 100);
    ck_assert_uint_eq(log_match_free(&match), 100); /* what is older */
    match.taken = 60;
    ck_assert_uint_eq(log_match_free(&match), 40);
    match.looked = 150;
    ck_assert_uint_eq(log_match_free(&match), 90);
    match.taken = 150;
    ck_assert_uint_eq(log_match_free(&match), 0);
    match.kept = 158;
    ck_assert_uint_eq(log_match_n_kept(&match), 8);
    ck_assert_uint_eq(log_match_free(&match), 8);
    match.taken = 158;
    ck_assert_uint_eq(log_match_free(&match), 0);
    match.looked = 170; /* the line has ended: nothing of it is kept any more */
    ck_assert_uint_eq(log_match_n_kept(&match), 0);
    ck_assert_uint_eq(log_match_line(&match), 170);
    ck_assert_uint_eq(log_match_free(&match), 12);
}
END_TEST

START_TEST(what_makes_no_sense)
{
    char *pattern = xcalloc(LOG_MATCH_PATTERN_MAX + 1, 1);
    struct log_match match;

    memset(pattern, 'x', LOG_MATCH_PATTERN_MAX);
    ck_assert(!log_match_init(&match, 1, 1, 1, pattern));
    pattern[LOG_MATCH_PATTERN_MAX - 1] = '\0';
    ck_assert(log_match_init(&match, 1, 1, 1, pattern));
    ck_assert(log_match_makes_sense(&match));
    match.pattern[LOG_MATCH_PATTERN_MAX - 1] = 'x';
    ck_assert(!log_match_makes_sense(&match));
    ck_assert(log_match_init(&match, 1, 1, 1, "x"));
    match.magic++;
    ck_assert(!log_match_makes_sense(&match));
    free(pattern);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("log_match");
    TCase *tc = tcase_create("log_match");

    tcase_add_test(tc, names);
    tcase_add_loop_test(tc, lines_are_looked_at, 0, (int)(sizeof looks / sizeof *looks));
    tcase_add_test(tc, a_long_line_is_cut);
    tcase_add_test(tc, what_is_unfinished_has_no_end);
    tcase_add_test(tc, places);
    tcase_add_test(tc, what_makes_no_sense);
    suite_add_tcase(suite, tc);
    return suite;
}
