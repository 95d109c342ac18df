/* SPDX-License-Identifier: MIT */
#include "check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supctl/table.h"
#include "supctl/text.h"
#include "supctl/words.h"

static const struct table_column columns[] = {
    {.heading = "NAME"},
    {.heading = "STATE", .colour = true},
    {.heading = "PID", .right = true},
    {.heading = "NOTE"},
};

static void check_table(const struct table *table, const struct table_style *style, const char *expected)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    table_print(table, style, out);
    fclose(out);
    ck_assert_str_eq(text, expected);
    free(text);
}

static struct table *small_table(void)
{
    struct table *table = table_new(columns, 4);

    table_add(table, TABLE_GREEN, (const char *const[]){"web", "running", "7", ""});
    table_add(table, TABLE_RED,
              (const char *const[]){"database", "failed", "-", "exec /usr/bin/nothing: No such file"});
    return table;
}

START_TEST(columns_are_as_wide_as_their_cells)
{
    struct table *table = small_table();

    check_table(table, &(struct table_style){0},
                "NAME      STATE    PID  NOTE\n"
                "web       running    7\n"
                "database  failed     -  exec /usr/bin/nothing: No such file\n");
    table_free(table);
}
END_TEST

START_TEST(a_terminal_cuts_the_last_column_only)
{
    struct table *table = small_table();

    check_table(table, &(struct table_style){.width = 40, .utf8 = true},
                "NAME      STATE    PID  NOTE\n"
                "web       running    7\n"
                "database  failed     -  exec /usr/bin/n…\n");
    check_table(table, &(struct table_style){.width = 40},
                "NAME      STATE    PID  NOTE\n"
                "web       running    7\n"
                "database  failed     -  exec /usr/bin/..\n");
    check_table(table, &(struct table_style){.width = 59},
                "NAME      STATE    PID  NOTE\n"
                "web       running    7\n"
                "database  failed     -  exec /usr/bin/nothing: No such file\n");
    check_table(table, &(struct table_style){.width = 5},
                "NAME      STATE    PID  \n"
                "web       running    7\n"
                "database  failed     -  \n");
    table_free(table);
}
END_TEST

START_TEST(a_long_name_leaves_room_for_words)
{
    struct table *table = small_table();

    table_add(table, TABLE_PLAIN,
              (const char *const[]){"a-name-of-forty-columns-or-some-more-yet", "running", "8", ""});
    check_table(table, &(struct table_style){.width = 60},
                "NAME                  STATE    PID  NOTE\n"
                "web                   running    7\n"
                "database              failed     -  exec /usr/bin/nothing:..\n"
                "a-name-of-forty-co..  running    8\n");
    check_table(table, &(struct table_style){.width = 30},
                "NAME              STATE    PID  \n"
                "web               running    7\n"
                "database          failed     -  \n"
                "a-name-of-fort..  running    8\n");
    table_free(table);
}
END_TEST

START_TEST(colour_is_for_the_state_alone)
{
    struct table *table = small_table();

    check_table(table, &(struct table_style){.width = 200, .colour = true},
                "NAME      STATE    PID  NOTE\n"
                "web       \033[32mrunning\033[0m    7\n"
                "database  \033[31mfailed\033[0m     -  exec /usr/bin/nothing: No such file\n");
    table_free(table);
}
END_TEST

START_TEST(nothing_reaches_the_terminal_but_text)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"a\nb\tc\rd", "a b c d"},
        {"\033[31mred\a", "\\x1b[31mred\\x07"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b"
         "2J",
         "\\x9b2J"},
        {"\xe2\x80\xae"
         "abc\xe2\x81\xa6",
         "?abc?"},
        {"\xe2\x80\xa6", "\xe2\x80\xa6"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *clean = text_clean(cases[i].in);
        ck_assert_str_eq(clean, cases[i].out);
        free(clean);
    }
}
END_TEST

START_TEST(text_is_cut_between_characters)
{
    static const char text[] = "\xc3\xa4\xc3\xb6\xc3\xbc"; /* three letters */
    static const char *const cuts[] = {"", "…", "\xc3\xa4…", text};

    ck_assert_uint_eq(text_width(text), 3);
    for (size_t width = 0; width < 4; width++) {
        char *cut = text_cut(text, width, "…");
        ck_assert_str_eq(cut, cuts[width]);
        free(cut);
    }
}
END_TEST

START_TEST(times_are_said_as_people_say_them)
{
    char buf[64];

    ck_assert_str_eq(text_ago(100, 100.9, buf, sizeof buf), "just now");
    ck_assert_str_eq(text_ago(100, 90, buf, sizeof buf), "just now");
    ck_assert_str_eq(text_ago(100, 103.5, buf, sizeof buf), "3 s ago");
    ck_assert_str_eq(text_ago(100, 220, buf, sizeof buf), "2 min ago");
    ck_assert_str_eq(text_duration(-5, buf, sizeof buf), "0 s");
    ck_assert_str_eq(text_ago(100, 1e5, buf, sizeof buf), "1 d ago");
    ck_assert_str_eq(text_duration_short(0.2, buf, sizeof buf), "200ms");
    ck_assert_str_eq(text_duration_short(512.5, buf, sizeof buf), "8m32s");
    ck_assert_str_eq(text_duration_short(3700, buf, sizeof buf), "1h1m");
    /* Nonsense must not be undefined. */
    text_duration(1e300, buf, sizeof buf);
    text_time(1e300, true, buf, sizeof buf);
    setenv("TZ", "UTC", 1);
    ck_assert_str_eq(text_time(1795286400.125, true, buf, sizeof buf), "2026-11-21 18:40:00.125");
    ck_assert_str_eq(text_time(1795286400.125, false, buf, sizeof buf), "2026-11-21 18:40:00");
}
END_TEST

START_TEST(what_is_said_of_a_service)
{
    static const struct {
        const char *service, *words;
    } cases[] = {
        {"{}", ""},
        {"{'state':'running','pid':7,'starts':1,'restarts':0,'reason':null,'exit':null}", ""},
        {"{'state':'running','pid':7,'restarts':1,'exit':{'how':'signaled','signal':'SEGV','core':true,'at':997}}",
         "killed by SEGV, 3 s ago, core dumped"},
        {"{'state':'running','pid':7,'starts':2,'restarts':0,'exit':{'how':'exited','code':1,'at':997}}", ""},
        {"{'state':'running','pid':7,'status-text':'3 clients\\u001b','paused':true}", "3 clients\\x1b; paused"},
        {"{'state':'running','pid':7,'stopped':true}", "stopped by signal (SIGSTOP)"},
        {"{'state':'running','pid':7,'paused':true}", "paused"},
        {"{'state':'running','pid':7,'restarts':1,'exit':{'how':'signaled','signal':'KILL','oom':true,'at':997}}",
         "killed by the OOM killer, 3 s ago"},
        {"{'state':'stopping','pid':7,'reason':'stopped by command','stopped':true,'config-stale':true}",
         "stopped by command; stopped by signal (SIGSTOP); config changed, restart pending"},
        {"{'state':'backoff','starts':3,'since':880,'next-start-in':4.2,'reason':'exit 1',"
         "'exit':{'how':'exited','code':1,'at':880}}",
         "exit 1; next try in 4 s"},
        {"{'state':'backoff','starts':3,'since':999.9,'next-start-in':0.1,'reason':'exec /x: No such file'}",
         "exec /x: No such file; next try in 100 ms"},
        {"{'state':'backoff','next-start-in':4.2}", "next try in 4 s"},
        {"{'state':'failed','starts':3,'since':880,'reason':'start timed out after 90s'}",
         "start timed out after 90s, 2 min ago"},
        {"{'state':'exited','starts':1,'since':880,'exit':{'how':'exited','code':0,'at':880}}", "exit 0, 2 min ago"},
        {"{'state':'exited','starts':1,'since':880,'exit':{'how':'unknown','at':880}}",
         "ended, status unknown, 2 min ago"},
        {"{'state':'stopped','starts':0,'since':880,'reason':'not enabled'}", "not enabled"},
        {"{'state':'stopped','starts':0,'since':880}", "never started"},
        {"{'state':'stopping','starts':1,'reason':'stopped by command'}", "stopped by command"},
        {"{'state':'failed','starts':1,'since':999.5,'reason':'a\\u001b[2Jb'}", "a\\x1b[2Jb, just now"},
        {"{'state':5,'reason':7,'exit':'no','restarts':'x'}", ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = strdup(cases[i].service);
        for (char *p = text; *p; p++)
            *p = *p == '\'' ? '"' : *p;
        json_t *service = json_loads(text, 0, NULL);
        ck_assert_msg(service, "%s", text);
        char *words = words_of_service(service, 1000);
        ck_assert_str_eq(words, cases[i].words);
        free(words);
        json_decref(service);
        free(text);
    }
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("table");
    TCase *tc = tcase_create("table");

    tcase_add_test(tc, columns_are_as_wide_as_their_cells);
    tcase_add_test(tc, a_terminal_cuts_the_last_column_only);
    tcase_add_test(tc, a_long_name_leaves_room_for_words);
    tcase_add_test(tc, colour_is_for_the_state_alone);
    tcase_add_test(tc, nothing_reaches_the_terminal_but_text);
    tcase_add_test(tc, text_is_cut_between_characters);
    tcase_add_test(tc, times_are_said_as_people_say_them);
    tcase_add_test(tc, what_is_said_of_a_service);
    suite_add_tcase(suite, tc);
    return suite;
}
