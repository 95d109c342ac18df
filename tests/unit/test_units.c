/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/buf.h"
#include "base/crc32.h"
#include "base/units.h"
#include "check_main.h"

static const struct {
    const char *text;
    int64_t usec;
} good[] = {
    {"0", 0},
    {"10", 10 * USEC_PER_SEC},
    {"1.5", 1500000},
    {".5s", 500000},
    {"250ms", 250000},
    {"7us", 7},
    {"10s", 10 * USEC_PER_SEC},
    {"5m", 300 * USEC_PER_SEC},
    {"1h30m", 5400 * USEC_PER_SEC},
    {"1m1m", 120 * USEC_PER_SEC},
    {"2d", 172800 * USEC_PER_SEC},
    {"1w", 604800 * USEC_PER_SEC},
    {"1.5h", 5400 * USEC_PER_SEC},
    {"0.000001s", 1},
    {"0.0000019s", 1},
    {"9223372036854775807us", INT64_MAX},
};

static const char *const bad[] = {
    "",
    "s",
    "-1",
    "+1",
    " 1",
    "1 s",
    "1 ",
    "1x",
    "1h30",
    "soon",
    "10parsecs",
    "1S",
    "1e3",
    "0x10",
    "1..5",
    "1.s.2",
    "1.m",
    "..",
    "1,5",
    "1ms2",
    "inf",
    "nan",
    "9223372036854775808us",
    "99999999999999999999",
    "15250285w",
    "9223372036854775807us1us",
};

START_TEST(duration_parse_good)
{
    int64_t usec = -1;

    ck_assert_msg(duration_parse(good[_i].text, &usec), "'%s'", good[_i].text);
    ck_assert_int_eq(usec, good[_i].usec);
}
END_TEST

START_TEST(duration_parse_bad)
{
    int64_t usec = 4711;

    ck_assert_msg(!duration_parse(bad[_i], &usec), "'%s'", bad[_i]);
    ck_assert_int_eq(usec, 4711);
}
END_TEST

START_TEST(duration_format_known)
{
    char buf[64];

    ck_assert_str_eq(duration_format(0, buf, sizeof(buf)), "0");
    ck_assert_str_eq(duration_format(250000, buf, sizeof(buf)), "250ms");
    ck_assert_str_eq(duration_format(5400 * USEC_PER_SEC, buf, sizeof(buf)), "1h30m");
    ck_assert_str_eq(duration_format(1500001, buf, sizeof(buf)), "1s500ms1us");
}
END_TEST

START_TEST(duration_format_reads_back)
{
    char buf[64];

    srandom(1);
    for (int i = 0; i < 20000; i++) {
        int64_t usec = ((int64_t)random() << 31 | random()) >> (random() % 62);
        int64_t back = -1;
        ck_assert(duration_parse(duration_format(usec, buf, sizeof(buf)), &back));
        ck_assert_int_eq(back, usec);
    }
    int64_t back;
    ck_assert(duration_parse(duration_format(INT64_MAX, buf, sizeof(buf)), &back));
    ck_assert_int_eq(back, INT64_MAX);
}
END_TEST

START_TEST(duration_format_short_buffer)
{
    char buf[5];

    ck_assert_str_eq(duration_format(5400 * USEC_PER_SEC, buf, sizeof(buf)), "1h30");
}
END_TEST

START_TEST(duration_human_known)
{
    static const struct {
        int64_t usec;
        const char *text;
    } cases[] = {
        {-5, "0 s"},
        {0, "0 s"},
        {999, "0 s"},
        {100000, "100 ms"},
        {3999999, "3 s"},
        {250 * USEC_PER_SEC, "4 min 10 s"},
        {240 * USEC_PER_SEC, "4 min"},
        {7500 * USEC_PER_SEC, "2 h 5 min"},
        {(3 * 86400 + 4 * 3600 + 59) * USEC_PER_SEC, "3 d 4 h"},
        {(3 * 86400 + 59) * USEC_PER_SEC, "3 d"},
    };
    char buf[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_str_eq(duration_human(cases[i].usec, buf, sizeof(buf)), cases[i].text);
}
END_TEST

START_TEST(size_parse_all)
{
    static const char *const wrong[] = {"", "K", "-1", "1X", "1KB", "1 K", "1.5M", "18446744073709551616", "16777216T"};
    uint64_t bytes;

    ck_assert(size_parse("0", &bytes) && bytes == 0);
    ck_assert(size_parse("17", &bytes) && bytes == 17);
    ck_assert(size_parse("64K", &bytes) && bytes == 65536);
    ck_assert(size_parse("10M", &bytes) && bytes == 10485760);
    ck_assert(size_parse("2G", &bytes) && bytes == UINT64_C(2147483648));
    ck_assert(size_parse("3T", &bytes) && bytes == UINT64_C(3298534883328));
    ck_assert(size_parse("18446744073709551615", &bytes) && bytes == UINT64_MAX);
    bytes = 4711;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(!size_parse(wrong[i], &bytes) && bytes == 4711, "'%s'", wrong[i]);
}
END_TEST

START_TEST(size_human_all)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0K"},
        {511, "0K"},
        {4096, "4K"},
        {1 << 20, "1.0M"},
        {7340032, "7.0M"},
        {UINT64_C(3) << 29, "1.5G"},
        {UINT64_C(5) << 40, "5120.0G"},
    };
    char buf[32];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_str_eq(size_human(cases[i].bytes, buf, sizeof(buf)), cases[i].text);
}
END_TEST

START_TEST(size_format_all)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "1"},
        {1023, "1023"},
        {1024, "1K"},
        {1536, "1536"},
        {67108864, "64M"},
        {2147483648, "2G"},
        {UINT64_C(5497558138880), "5T"},
        {UINT64_C(1) << 52, "4096T"},
        {UINT64_MAX, "18446744073709551615"},
    };
    char buf[32];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t bytes = 4711;

        ck_assert_str_eq(size_format(cases[i].bytes, buf, sizeof(buf)), cases[i].text);
        ck_assert(size_parse(buf, &bytes) && bytes == cases[i].bytes);
    }
}
END_TEST

START_TEST(crc32_check_value)
{
    ck_assert_uint_eq(crc32_update(0, "123456789", 9), 0xcbf43926);
    ck_assert_uint_eq(crc32_update(crc32_update(0, "1234", 4), "56789", 5), 0xcbf43926);
    ck_assert_uint_eq(crc32_update(0, "", 0), 0);
}
END_TEST

/* Bit by bit, as it is defined. */
static uint32_t crc32_by_definition(const uint8_t *p, size_t len)
{
    uint32_t crc = ~UINT32_C(0);

    for (size_t i = 0; i < 8 * len; i++) {
        bool bit = ((crc ^ (uint32_t)(p[i / 8] >> (i % 8))) & 1) != 0;

        crc = (crc >> 1) ^ (bit ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

/* Whatever of it is taken in words, and where they begin. */
START_TEST(crc32_any_length)
{
    uint8_t bytes[64];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 157 + 3);
    for (size_t len = 0; len <= 20; len++) {
        for (size_t at = 0; at < 8; at++) {
            uint32_t want = crc32_by_definition(bytes + at, len);

            ck_assert_uint_eq(crc32_update(0, bytes + at, len), want);
            for (size_t split = 0; split <= len; split++)
                ck_assert_uint_eq(crc32_update(crc32_update(0, bytes + at, split), bytes + at + split, len - split),
                                  want);
        }
    }
}
END_TEST

START_TEST(buf_grows)
{
    struct buf buf = {0};

    for (int i = 0; i < 1000; i++)
        buf_addf(&buf, "%d,", i % 10);
    ck_assert_uint_eq(buf.len, 2000);
    ck_assert_int_eq(buf.data[2000], '\0');
    buf_reset(&buf);
    buf_add_string(&buf, "x");
    buf_add_char(&buf, 'y');
    char *s = buf_steal(&buf);
    ck_assert_str_eq(s, "xy");
    free(s);
    s = buf_steal(&buf);
    ck_assert_str_eq(s, "");
    free(s);
    buf_free(&buf);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("units");
    TCase *tc = tcase_create("units");

    tcase_add_loop_test(tc, duration_parse_good, 0, sizeof(good) / sizeof(good[0]));
    tcase_add_loop_test(tc, duration_parse_bad, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(tc, duration_format_known);
    tcase_add_test(tc, duration_format_reads_back);
    tcase_add_test(tc, duration_format_short_buffer);
    tcase_add_test(tc, duration_human_known);
    tcase_add_test(tc, size_parse_all);
    tcase_add_test(tc, size_format_all);
    tcase_add_test(tc, size_human_all);
    tcase_add_test(tc, crc32_check_value);
    tcase_add_test(tc, crc32_any_length);
    tcase_add_test(tc, buf_grows);
    suite_add_tcase(suite, tc);
    return suite;
}
