/* SPDX-License-Identifier: MIT */
/* What supctl logs decides: times, lines taken apart, which are wanted, in which order they stand. */
#include "check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/grep.h"
#include "base/units.h"
#include "base/utf8.h"
#include "supctl/log_file.h"
#include "supctl/log_line.h"
#include "supctl/log_list.h"
#include "supctl/log_order.h"
#include "supctl/log_scan.h"
#include "supctl/log_time.h"

#define NOW (INT64_C(1795338000) * USEC_PER_SEC) /* 2026-11-22T09:00:00Z, a Sunday */
#define AT(hours) (NOW + (int64_t)((hours)*3600) * USEC_PER_SEC)

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

START_TEST(a_line_may_begin_with_a_time)
{
    static const struct {
        const char *text;
        int64_t time;
        size_t used;
    } cases[] = {
        {"2026-11-22T09:00:00Z", NOW, 20},
        {"2026-11-22T09:00:00Z text", NOW, 20},
        {"2026-11-22 09:00:00.5Z text", NOW + 500000, 22},
        {"2026-11-22t10:30:00.123456789+01:30 x", NOW + 123456, 35},
        {"2026-11-21T23:00:00-10:00", NOW, 25},
        {"1970-01-01T00:00:00Z", 0, 20},
        {"2000-02-29T00:00:00Z", INT64_C(951782400) * USEC_PER_SEC, 20},
        {"1969-12-31T23:59:59.000001Z", -999999, 27},
        {"9999-12-31T23:59:60Z", INT64_C(253402300800) * USEC_PER_SEC, 20},
        {"2026-11-22T09:00:00", LOG_TIME_NONE, 0},
        {"2026-11-22T09:00Z", LOG_TIME_NONE, 0},
        {"2026-11-22T09:00:00Zulu", LOG_TIME_NONE, 0},
        {"2026-13-22T09:00:00Z", LOG_TIME_NONE, 0},
        {"2026-11-22T24:00:00Z", LOG_TIME_NONE, 0},
        {"2026-11-22T09:00:00.Z", LOG_TIME_NONE, 0},
        {"2026-11-22T09:00:00+0100", LOG_TIME_NONE, 0},
        {" 2026-11-22T09:00:00Z", LOG_TIME_NONE, 0},
        {"", LOG_TIME_NONE, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t used;
        ck_assert_msg(log_time_stamp(cases[i].text, strlen(cases[i].text), &used) == cases[i].time, "%s",
                      cases[i].text);
        ck_assert_msg(used == cases[i].used, "%s", cases[i].text);
        /* What is cut off is not read beyond its end. */
        for (size_t len = 0; len < cases[i].used; len++)
            ck_assert_int_eq(log_time_stamp(cases[i].text, len, &used) != LOG_TIME_NONE, used > 0);
    }
}
END_TEST

START_TEST(a_person_names_a_time)
{
    static const struct {
        const char *text;
        int64_t when; /* LOG_TIME_NONE: it is refused */
    } cases[] = {
        {"now", AT(0)},
        {"10m", AT(0) - 600 * USEC_PER_SEC},
        {"-10m", AT(0) - 600 * USEC_PER_SEC},
        {"1h 30m ago", AT(-1.5)},
        {"2d", AT(-48)},
        {"today", AT(-10)},
        {"yesterday", AT(-34)},
        {"07:30", AT(-2.5)},
        {"07:30:15.25", AT(-2.5) + 15250000},
        {"2026-11-22", AT(-10)},
        {"2026-11-21 10:00", AT(-24)},
        {"2026-11-21T10:00:01", AT(-24) + USEC_PER_SEC},
        {"2026-11-22T09:00:00Z", AT(0)},
        {"2026-11-22 11:00:00+02:00", AT(0)},
        {"@1795338000", AT(0)},
        {"@1795338000.5", AT(0) + 500000},
        {"10", LOG_TIME_NONE},
        {"@", LOG_TIME_NONE},
        {"@12x", LOG_TIME_NONE},
        {"tomorrow", LOG_TIME_NONE},
        {"25:00", LOG_TIME_NONE},
        {"2026-02-31", LOG_TIME_NONE},
        {"2026-11-22 05:00 ", LOG_TIME_NONE},
        {"100w100w100w100w100w", LOG_TIME_NONE + 1}, /* longer ago than 1970 is a matter of taste; it must not crash */
        {"9999999999d", LOG_TIME_NONE},
        {"", LOG_TIME_NONE},
    };

    set_zone("XXX-1"); /* an hour east of Greenwich */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t when = LOG_TIME_NONE;
        bool good = log_time_parse(cases[i].text, NOW, &when);
        if (cases[i].when != LOG_TIME_NONE + 1)
            ck_assert_msg(good == (cases[i].when != LOG_TIME_NONE) && when == cases[i].when, "%s: %lld", cases[i].text,
                          (long long)((when - NOW) / USEC_PER_SEC));
    }
    set_zone("UTC0");
}
END_TEST

/* TEXT may hold NULs, so its length goes with it. */
static void check_line(const char *text, size_t len, const char *stamp, const char *message, const char *shown)
{
    struct log_line line;
    struct buf spare = {0};
    size_t shown_len;

    log_line_read(&line, text, len);
    ck_assert_int_eq(line.nothing, len > 0 && *text == '\0' && *shown == '\0');
    ck_assert_int_eq(line.stamp != NULL, stamp != NULL);
    if (stamp)
        ck_assert(line.stamp_len == strlen(stamp) && memcmp(line.stamp, stamp, line.stamp_len) == 0);
    ck_assert_uint_eq(line.message_len, strlen(message));
    ck_assert_mem_eq(line.message, message, line.message_len);
    const char *got = log_line_shown(&line, &spare, &shown_len);
    ck_assert_uint_eq(shown_len, strlen(shown));
    ck_assert_mem_eq(got, shown, shown_len);
    log_line_clear(&line);
    buf_free(&spare);
}

#define LINE(text) (text), sizeof(text) - 1

START_TEST(lines_are_taken_apart)
{
    check_line(LINE("hello"), NULL, "hello", "hello");
    check_line(LINE(""), NULL, "", "");
    check_line(LINE("2026-11-22T09:00:00Z hello"), "2026-11-22T09:00:00Z", "hello", "2026-11-22T09:00:00Z hello");
    check_line(LINE("2026-11-22T09:00:00Z"), "2026-11-22T09:00:00Z", "", "2026-11-22T09:00:00Z");
    check_line(LINE("\0\0"), NULL, "", "");
    check_line(LINE("\0\0\0hello"), NULL, "hello", "hello");
    check_line(LINE("{\"time\":\"2026-11-22T09:00:00Z\",\"service\":\"web\",\"pid\":7,\"stream\":\"err\",\"message\":"
                    "\"a\\\"b\"}"),
               "2026-11-22T09:00:00Z", "a\"b", "2026-11-22T09:00:00Z a\"b");
    /* What a service itself writes stays as it is. */
    check_line(LINE("{\"time\":\"2026-11-22T09:00:00Z\",\"msg\":\"x\"}"), "2026-11-22T09:00:00Z",
               "{\"time\":\"2026-11-22T09:00:00Z\",\"msg\":\"x\"}",
               "{\"time\":\"2026-11-22T09:00:00Z\",\"msg\":\"x\"}");
    check_line(LINE("{\"time\":\"soon\",\"msg\":\"x\"}"), NULL, "{\"time\":\"soon\",\"msg\":\"x\"}",
               "{\"time\":\"soon\",\"msg\":\"x\"}");
    check_line(LINE("{\"time\":\"2026-11-22T"), NULL, "{\"time\":\"2026-11-22T", "{\"time\":\"2026-11-22T");
    check_line(LINE("{}"), NULL, "{}", "{}");
}
END_TEST

static void check_visible(const char *text, size_t len, bool colour, const char *want)
{
    struct buf out = {0};

    buf_add_string(&out, "");
    log_line_add_visible(&out, text, len, colour);
    ck_assert_str_eq(out.data, want);
    buf_free(&out);
}

START_TEST(what_could_harm_a_terminal_is_made_visible)
{
    check_visible(LINE("plain\ttext \xc3\xa4"), false, "plain\ttext \xc3\xa4");
    check_visible(LINE("\033[2J\a\0\r"), true, "\\x1b[2J\\x07\\x00\\x0d");
    check_visible(LINE("\xff\xc3"), false, "\\xff\\xc3");
    check_visible(LINE("\xc2\x9b\xe2\x80\xae"), false, "\\xc2\\x9b\\xe2\\x80\\xae");
    check_visible(LINE("a\033[1;31mred"), true, "a\033[1;31mred\033[0m");
    check_visible(LINE("a\033[1;31mred"), false, "a\\x1b[1;31mred");
    check_visible(LINE("\033[31"), true, "\\x1b[31");
    ck_assert_uint_eq(utf8_length("\xf0\x9f\x98\x80", 4), 4);
    ck_assert_uint_eq(utf8_length("\xf0\x9f\x98\x80", 3), 0);
    ck_assert_uint_eq(utf8_length("\xed\xa0\x80", 3), 0);
    ck_assert_uint_eq(utf8_length("\xc0\x80", 2), 0);
    ck_assert_uint_eq(utf8_length("", 0), 0);
}
END_TEST

START_TEST(the_place_of_an_error_is_told)
{
    static const struct {
        const char *text;
        const char *place;
    } cases[] = {
        {"a(b", "at '(b'"}, {"(a)(b", "at '(b'"}, {"x[a", "at '[a'"}, {"a{2,1}", "at '{2,1}'"}, {"a\\", "at '\\'"}};
    regex_t grep;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *error = grep_compile(cases[i].text, &grep);
        ck_assert_msg(error && strstr(error, cases[i].text) && strstr(error, cases[i].place), "%s: %s", cases[i].text,
                      error);
        free(error);
    }
    ck_assert_ptr_null(grep_compile("a|(b)+", &grep));
    regfree(&grep);
}
END_TEST

/*
 * Lines as letters, the oldest first: a digit is a line of that time, "." one without a time, "x" and "X" are lines
 * without and with (the time 5) that --grep does not fit.  Returns the index of the first that is taken, -1: none.
 */
static int scan(const char *lines, struct log_filter filter, bool needs_time, int64_t *time)
{
    struct log_scan scan;
    struct buf spare = {0};
    regex_t grep;
    bool more = true;

    ck_assert_int_eq(regcomp(&grep, "y", REG_EXTENDED), 0);
    filter.grep = &grep;
    log_scan_begin(&scan, &filter, needs_time);
    for (size_t i = strlen(lines); more && i-- > 0;) {
        char text[40];
        bool dated = lines[i] != '.' && lines[i] != 'x';
        struct log_line line;

        snprintf(text, sizeof text, "%s%s", dated ? "1970-01-01T00:00:0?Z " : "", strchr("xX", lines[i]) ? "n" : "y");
        if (dated)
            text[18] = lines[i] == 'X' ? '5' : lines[i];
        log_line_read(&line, text, strlen(text));
        more = log_scan_line(&scan, &line, (struct log_place){0, (off_t)i}, &spare);
        log_line_clear(&line);
    }
    log_scan_end(&scan);
    regfree(&grep);
    buf_free(&spare);
    *time = scan.time == LOG_TIME_NONE ? -1 : scan.time / USEC_PER_SEC;
    return scan.taken > 0 ? (int)scan.start.offset : -1;
}

START_TEST(the_first_line_is_found_backward)
{
    static const struct {
        const char *lines;
        size_t number;
        int64_t since, until; /* s; -1: none */
        bool needs_time;
        int first;
        int64_t time; /* -1: none */
    } cases[] = {
        {"....", 2, -1, -1, false, 2, -1},
        {"..", 9, -1, -1, false, 0, -1},
        {"", 9, -1, -1, false, -1, -1},
        {"xxx", 2, -1, -1, false, -1, -1},
        {".x.xx", 2, -1, -1, false, 0, -1},
        /* A line without a time has that of the one before it, also where that one is not shown. */
        {"1.2...", 2, -1, -1, true, 4, 2},
        {"1.X...", 3, -1, -1, true, 3, 5},
        {"...", 2, -1, -1, true, 1, -1},
        {"12345", LOG_LINES_ALL, 3, -1, false, 2, 3},
        {"1.2.3.4", LOG_LINES_ALL, 3, -1, false, 4, 3},
        {"1.2.3.4", LOG_LINES_ALL, 3, 3, false, 4, 3},
        {"1.2.3.4.", LOG_LINES_ALL, -1, 2, false, 0, 1},
        {"1.2.3.4.", 2, -1, 2, false, 2, 2},
        {"..3.4", LOG_LINES_ALL, 3, -1, false, 2, 3},
        {"..3.4", LOG_LINES_ALL, -1, 4, false, 2, 3},
        {"1234", LOG_LINES_ALL, 5, -1, false, -1, -1},
        {"1X.4", LOG_LINES_ALL, 5, -1, false, -1, -1},
        {"12345", 2, 1, -1, false, 3, 4},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log_filter filter = {.lines = cases[i].number, .since = INT64_MIN, .until = INT64_MAX};
        int64_t time;

        if (cases[i].since >= 0)
            filter.since = cases[i].since * USEC_PER_SEC;
        if (cases[i].until >= 0)
            filter.until = cases[i].until * USEC_PER_SEC;
        int first = scan(cases[i].lines, filter, cases[i].needs_time, &time);
        ck_assert_msg(first == cases[i].first && time == cases[i].time, "case %zu, %s: %d at %lld", i, cases[i].lines,
                      first, (long long)time);
    }
}
END_TEST

START_TEST(logs_are_merged_by_time)
{
    struct log_head heads[] = {
        {.there = true, .timed = true, .time = 5},
        {.there = true, .timed = true, .time = 3},
        {.there = true, .timed = true, .time = 3},
        {.there = true},
    };

    ck_assert_uint_eq(log_order_next(heads, 0), 0);
    ck_assert_uint_eq(log_order_next(heads, 4), 3);
    heads[3].there = false;
    ck_assert_uint_eq(log_order_next(heads, 4), 1);
    heads[0].inside = true;
    ck_assert_uint_eq(log_order_next(heads, 4), 0);
    heads[0].there = false;
    heads[1].there = false;
    ck_assert_uint_eq(log_order_next(heads, 4), 2);
    heads[2].there = false;
    ck_assert_uint_eq(log_order_next(heads, 4), 4);
    struct log_head mixed[] = {{.there = true, .timed = true, .time = LOG_TIME_NONE}, {.there = true}, {.there = true}};
    ck_assert_uint_eq(log_order_next(mixed, 3), 1);
}
END_TEST

static void check_note(const char *service, enum log_streams streams, const char *want)
{
    json_t *object = json_loads(service, 0, NULL);
    char *note = log_list_note(object, streams, 0);

    ck_assert_msg(strstr(note, want) != NULL, "%s", note);
    free(note);
    json_decref(object);
}

START_TEST(output_that_is_in_no_file_is_pointed_at)
{
    check_note("{\"name\":\"a\",\"log\":{\"out\":null,\"err\":null},\"log-to\":{\"out\":\"journal\",\"err\":null}}",
               LOG_STREAMS_ALL, "'journalctl SYSLOG_IDENTIFIER=a'");
    check_note("{\"name\":\"a\",\"log\":{\"out\":null,\"err\":null},\"log-to\":{\"out\":\"syslog\",\"err\":null}}",
               LOG_STREAMS_ERR, "/var/log/syslog");
    check_note("{\"name\":\"a\",\"log\":{\"out\":null,\"err\":null},\"log-to\":{\"out\":\"inherit\",\"err\":null}}",
               LOG_STREAMS_ALL, "journalctl -u supd");
    check_note("{\"name\":\"a\",\"log\":{\"out\":\"/x\",\"err\":null},\"log-to\":{\"out\":\"file\",\"err\":\"none\"}}",
               LOG_STREAMS_ERR, "its standard error is thrown away (log-error = none)");
    check_note("{\"name\":\"a\",\"log\":{\"out\":\"/x\",\"err\":null},\"log-to\":{\"out\":\"file\",\"err\":null}}",
               LOG_STREAMS_ERR, "'supctl logs a' shows both");
}
END_TEST

/* ---- a file, forward and backward ---- */

static struct log_file *file_of(const char *data, size_t len)
{
    char path[] = "/tmp/test_logs.XXXXXX";
    int fd = mkstemp(path);
    int error;

    ck_assert_int_ge(fd, 0);
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, data + done, len - done);
        ck_assert_int_gt(n, 0);
        done += (size_t)n;
    }
    close(fd);
    struct log_file *file = log_file_open(path, &error);
    unlink(path);
    ck_assert_ptr_nonnull(file);
    return file;
}

/* The lines that are read backward are those that are read forward, and begin where they say. */
static void check_both_ways(const char *data, size_t len, size_t expected)
{
    struct log_file *file = file_of(data, len);
    struct log_back *back = log_back_new(file);
    struct log_piece piece;
    const char *line;
    size_t line_len, lines = 0;
    off_t start, before = (off_t)len + 1;

    while (log_back_next(back, &line, &line_len, &start)) {
        ck_assert(start < before);
        ck_assert(start == 0 || data[start - 1] == '\n');
        const char *end = memchr(data + start, '\n', len - (size_t)start);
        size_t want = end ? (size_t)(end - data) - (size_t)start : len - (size_t)start;
        ck_assert_uint_eq(line_len, (want < LOG_FILE_LINE_MAX ? want : LOG_FILE_LINE_MAX));
        ck_assert_mem_eq(line, data + start, line_len);
        before = start;
        lines++;
    }
    ck_assert_uint_eq(lines, expected);
    log_back_free(back);

    size_t at = 0, ends = 0;
    while (log_file_next(file, &piece) || log_file_rest(file, &piece)) {
        ck_assert_mem_eq(piece.data, data + at, piece.len);
        at += piece.len + piece.ends;
        ends += piece.begins;
    }
    ck_assert_uint_eq(at, len);
    ck_assert_uint_eq(ends, expected);
    log_file_close(file);
}

START_TEST(a_file_is_read_forward_and_backward)
{
    size_t size = 3 * LOG_FILE_LINE_MAX;
    char *data = malloc(size);
    size_t lines = 1;

    check_both_ways("", 0, 0);
    check_both_ways("\n", 1, 1);
    check_both_ways("\n\n", 2, 2);
    check_both_ways("a", 1, 1);
    check_both_ways("a\nb\n", 4, 2);
    check_both_ways("a\n\nb", 4, 3);
    /* Lines of all lengths, over all borders of blocks. */
    memset(data, 'x', size);
    for (size_t at = 0, step = 1; at + step < size; step = step % 700 + 1, lines++) {
        at += step;
        data[at] = '\n';
    }
    check_both_ways(data, size, lines);
    /* Longer than the longest. */
    memset(data, 'x', size);
    data[10] = data[size - 10] = '\n';
    check_both_ways(data, size, 3);
    data[10] = data[size - 10] = 'x';
    check_both_ways(data, size, 1);
    free(data);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("logs");
    TCase *tc = tcase_create("logs");

    tcase_add_test(tc, a_line_may_begin_with_a_time);
    tcase_add_test(tc, a_person_names_a_time);
    tcase_add_test(tc, lines_are_taken_apart);
    tcase_add_test(tc, what_could_harm_a_terminal_is_made_visible);
    tcase_add_test(tc, the_place_of_an_error_is_told);
    tcase_add_test(tc, the_first_line_is_found_backward);
    tcase_add_test(tc, logs_are_merged_by_time);
    tcase_add_test(tc, output_that_is_in_no_file_is_pointed_at);
    tcase_add_test(tc, a_file_is_read_forward_and_backward);
    suite_add_tcase(suite, tc);
    return suite;
}
