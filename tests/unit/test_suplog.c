/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "core/log_stream.h"
#include "suplog/format.h"
#include "suplog/message.h"
#include "suplog/mounts.h"
#include "suplog/rate.h"
#include "tests/check_main.h"

#define WALL (INT64_C(1795286400) * USEC_PER_SEC + 123456) /* 2026-11-21T18:40:00.123456Z */
#define WHEN "2026-11-21T18:40:00.123456Z"

static struct log_stream a_stream(void)
{
    return (struct log_stream){.service = "web",
                               .fifo = "web.fifo",
                               .kind = LOG_SINK_FILE,
                               .path = "/var/log/web.log",
                               .uid = LOG_ID_NONE,
                               .gid = LOG_ID_NONE,
                               .slot = LOG_ID_NONE};
}

/* The text of DATA; *TAKEN gets how much of it that is. */
static char *formatted(const struct log_stream *stream, const char *data, enum batch_start start, size_t limit,
                       size_t *taken)
{
    struct batch batch = {data, strlen(data), WALL, 4711, start};
    struct buf out = {0};

    *taken = format_batch(stream, &batch, limit, &out);
    return buf_steal(&out);
}

static void check_format(const struct log_stream *stream, const char *data, enum batch_start start, const char *want)
{
    size_t taken;
    char *text = formatted(stream, data, start, 0, &taken);

    ck_assert_str_eq(text, want);
    ck_assert_uint_eq(taken, strlen(data));
    free(text);
}

START_TEST(timestamps)
{
    struct log_stream stream = a_stream();

    stream.timestamp = LOG_TIMESTAMP_RFC3339;
    check_format(&stream, "a\n\nb", BATCH_AT_LINE_START, WHEN " a\n" WHEN " \n" WHEN " b");
    check_format(&stream, "rest\nb\n", BATCH_CONTINUES, "rest\n" WHEN " b\n");
    check_format(&stream, "b\n", BATCH_BREAKS_LINE, "\n" WHEN " b\n");
    stream.prefix = "web: ";
    check_format(&stream, "a\n", BATCH_AT_LINE_START, WHEN " web: a\n");
    stream.timestamp = NULL;
    check_format(&stream, "a\nb\n", BATCH_AT_LINE_START, "web: a\nweb: b\n");
}
END_TEST

START_TEST(a_format_of_ones_own)
{
    struct log_stream stream = a_stream();

    setenv("TZ", "UTC", 1);
    stream.timestamp = "[%H:%M]";
    check_format(&stream, "a\n", BATCH_AT_LINE_START, "[18:40] a\n");
}
END_TEST

static const struct {
    const char *line;
    const char *message;
} json_lines[] = {
    {"plain\n", "plain"},
    {"without end", "without end"},
    {"\n", ""},
    {"\"quoted\\\"\t\x01\n", "\\\"quoted\\\\\\\"\\t\\u0001"},
    {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"\xff\xc3\n", "\\ufffd\\ufffd"},
    {"\xc0\x80\xed\xa0\x80\n", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"}, /* overlong; a surrogate */
    {"\xf5\x80\x80\x80\n", "\\ufffd\\ufffd\\ufffd\\ufffd"},
    {"\x7f\n", "\\u007f"},
};

START_TEST(json)
{
    struct log_stream stream = a_stream();
    char want[512];

    stream.format = LOG_FORMAT_JSON;
    stream.channel = LOG_CHANNEL_ERR;
    snprintf(want, sizeof want,
             "{\"time\":\"" WHEN "\",\"service\":\"web\",\"pid\":4711,\"stream\":\"err\",\"message\":\"%s\"}\n",
             json_lines[_i].message);
    check_format(&stream, json_lines[_i].line, BATCH_AT_LINE_START, want);
}
END_TEST

START_TEST(no_more_than_the_line_that_reaches_the_limit)
{
    struct log_stream stream = a_stream();
    size_t taken;

    stream.prefix = "> ";
    char *text = formatted(&stream, "one\ntwo\nthree\n", BATCH_AT_LINE_START, 7, &taken);
    ck_assert_str_eq(text, "> one\n> two\n");
    ck_assert_uint_eq(taken, strlen("one\ntwo\n"));
    free(text);
}
END_TEST

START_TEST(whole_lines)
{
    char *long_line = calloc(1, LOG_LINE_MAX);

    memset(long_line, 'x', LOG_LINE_MAX);
    ck_assert_uint_eq(format_whole_lines("a\nb\nc", 5), 4);
    ck_assert_uint_eq(format_whole_lines("abc", 3), 0);
    ck_assert_uint_eq(format_whole_lines(long_line, LOG_LINE_MAX - 1), 0);
    ck_assert_uint_eq(format_whole_lines(long_line, LOG_LINE_MAX), LOG_LINE_MAX);
    free(long_line);
}
END_TEST

START_TEST(lines_within)
{
    ck_assert_uint_eq(format_lines_within("ab\ncd\nef", 8, 1), 3);
    ck_assert_uint_eq(format_lines_within("ab\ncd\nef", 8, 3), 3);
    ck_assert_uint_eq(format_lines_within("ab\ncd\nef", 8, 4), 6);
    ck_assert_uint_eq(format_lines_within("ab\ncd\nef", 8, 7), 8);
    ck_assert_uint_eq(format_lines_within("ab\ncd\nef", 8, 100), 8);
    ck_assert_uint_eq(format_lines_within("", 0, 1), 0);
}
END_TEST

START_TEST(rate)
{
    struct rate limit = {0};

    ck_assert_uint_eq(rate_take(&limit, 100, 1000, 60, 5000), 60);
    ck_assert_uint_eq(rate_take(&limit, 100, 1000, 60, 5001), 40);
    ck_assert_uint_eq(rate_take(&limit, 100, 1000, 60, 5002), 0);
    rate_dropped(&limit, "a\nb\n", 4);
    rate_dropped(&limit, "c\n", 2);
    ck_assert(!rate_is_due(&limit, 1000, 5999));
    ck_assert(rate_is_due(&limit, 1000, 6000));
    ck_assert_uint_eq(limit.bytes, 6);
    ck_assert_uint_eq(limit.lines, 3);
    rate_told(&limit);
    ck_assert(!rate_is_due(&limit, 1000, 7000));
    ck_assert_uint_eq(rate_take(&limit, 100, 1000, 60, 6000), 60);
}
END_TEST

#define MOUNTINFO                                                     \
    "22 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"                \
    "23 22 0:20 / /var rw - tmpfs none rw\n"                          \
    "24 23 0:21 / /var/log/my\\040logs rw shared:1 - nfs srv:/x rw\n" \
    "25 22 0:22 /sub /srv rw - tmpfs none rw\n"

static const struct {
    const char *path;
    const char *mount_point;
} mounts[] = {
    {"/etc/x", "/"},  {"/var/log/a", "/var"}, {"/variable/a", "/"}, {"/var/log/my logs/a", "/var/log/my logs"},
    {"/srv", "/srv"},
};

START_TEST(mount_points)
{
    char *found = mount_point_of(MOUNTINFO, mounts[_i].path);

    ck_assert_str_eq(found, mounts[_i].mount_point);
    free(found);
    found = mount_point_of("", mounts[_i].path);
    ck_assert_str_eq(found, "/");
    free(found);
}
END_TEST

START_TEST(a_stream_goes_and_comes_back)
{
    struct log_stream stream = {.service = "a\"b",
                                .fifo = "a.fifo",
                                .channel = LOG_CHANNEL_ERR,
                                .kind = LOG_SINK_FILE,
                                .path = "/x/y \xc3\xbc",
                                .mode = 0640,
                                .uid = 33,
                                .gid = LOG_ID_NONE,
                                .slot = 7,
                                .max_size = UINT64_C(1) << 40,
                                .max_age = 86400 * USEC_PER_SEC,
                                .keep = 9,
                                .compress = true,
                                .format = LOG_FORMAT_JSON,
                                .timestamp = "%F",
                                .prefix = "p ",
                                .rate_bytes = 1 << 20,
                                .rate_period = USEC_PER_SEC,
                                .drop_when_full = true};
    struct log_stream back;
    char err[128];

    char *line = log_stream_encode(&stream);
    ck_assert_ptr_null(strchr(line, '\n'));
    ck_assert_msg(log_stream_decode(line, &back, err, sizeof err), "%s", err);
    ck_assert(log_stream_equal(&stream, &back));
    back.keep++;
    ck_assert(!log_stream_equal(&stream, &back));
    log_stream_clear(&back);
    free(line);
}
END_TEST

#define ALMOST(path, fifo, channel)                                                                                   \
    "{\"service\":\"s\",\"fifo\":" fifo ",\"channel\":" channel ",\"sink\":\"file\",\"path\":" path ",\"mode\":1,"    \
    "\"uid\":1,\"gid\":1,\"slot\":1,\"max-size\":0,\"max-age\":0,\"keep\":0,\"compress\":false,\"format\":\"plain\"," \
    "\"timestamp\":null,\"prefix\":null,\"rate-bytes\":0,\"rate-period\":0,\"drop-when-full\":false,\"inode\":1,"     \
    "\"rotation\":0}"

static const struct {
    const char *line;
    const char *says;
} no_streams[] = {
    {"", "expected"},
    {"{}", "service"},
    {"{\"service\":1}", "string"},
    {ALMOST("\"/x\"", "\"../x\"", "\"out\""), "no name of a FIFO"},
    {ALMOST("\"/x\"", "\"\"", "\"out\""), "no name of a FIFO"},
    {ALMOST("\"x\"", "\"f\"", "\"out\""), "absolute path"},
    {ALMOST("null", "\"f\"", "\"out\""), "absolute path"},
    {ALMOST("\"/x\"", "\"f\"", "\"in\""), "unknown channel"},
};

START_TEST(no_stream)
{
    struct log_stream stream;
    char err[256];

    ck_assert(!log_stream_decode(no_streams[_i].line, &stream, err, sizeof err));
    ck_assert_msg(strstr(err, no_streams[_i].says) != NULL, "%s", err);
}
END_TEST

START_TEST(to_the_journal)
{
    static const char want[] = "PRIORITY=3\nSYSLOG_IDENTIFIER=web\nSUPD_SERVICE=web\nSUPD_STREAM=out\nSYSLOG_PID=12\n"
                               "OBJECT_PID=12\nMESSAGE\n\4\0\0\0\0\0\0\0oops\n";
    struct log_stream stream = a_stream();
    struct buf out = {0};

    message_journal(&stream, 12, "<3>oops", 7, &out);
    ck_assert_uint_eq(out.len, sizeof want - 1);
    ck_assert_mem_eq(out.data, want, out.len);
    buf_free(&out);
}
END_TEST

START_TEST(to_the_system_log)
{
    struct log_stream stream = a_stream();
    struct buf out = {0};

    message_syslog(&stream, 0, "host", WALL, "<9>text", 7, &out);
    ck_assert_str_eq(out.data, "<30>1 " WHEN " host web - - - <9>text");
    buf_reset(&out);
    stream.channel = LOG_CHANNEL_ERR;
    message_syslog(&stream, 5, "", WALL, "text", 4, &out);
    ck_assert_str_eq(out.data, "<28>1 " WHEN " - web 5 - - text");
    buf_free(&out);
}
END_TEST

#define N(array) ((int)(sizeof(array) / sizeof *(array)))

Suite *check_suite(void)
{
    Suite *suite = suite_create("suplog");
    TCase *tc = tcase_create("suplog");

    tcase_add_test(tc, timestamps);
    tcase_add_test(tc, a_format_of_ones_own);
    tcase_add_loop_test(tc, json, 0, N(json_lines));
    tcase_add_test(tc, no_more_than_the_line_that_reaches_the_limit);
    tcase_add_test(tc, whole_lines);
    tcase_add_test(tc, lines_within);
    tcase_add_test(tc, rate);
    tcase_add_loop_test(tc, mount_points, 0, N(mounts));
    tcase_add_test(tc, a_stream_goes_and_comes_back);
    tcase_add_loop_test(tc, no_stream, 0, N(no_streams));
    tcase_add_test(tc, to_the_journal);
    tcase_add_test(tc, to_the_system_log);
    suite_add_tcase(suite, tc);
    return suite;
}
