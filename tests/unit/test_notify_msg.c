/* SPDX-License-Identifier: MIT */
#include "core/notify_msg.h"

#include <stdlib.h>
#include <string.h>

#include "check_main.h"

static struct notify_msg msg;

static bool parse(const char *text)
{
    return notify_msg_parse(text, strlen(text), &msg);
}

START_TEST(every_line_is_read)
{
    ck_assert(parse("READY=1\nRELOADING=1\nSTOPPING=1\nSTATUS=a=b c\nMAINPID=4711\nEXTEND_TIMEOUT_USEC=5000000\n"));
    ck_assert(msg.ready && msg.reloading && msg.stopping && msg.has_status);
    ck_assert_str_eq(msg.status, "a=b c");
    ck_assert_int_eq(msg.main_pid, 4711);
    ck_assert_int_eq(msg.extend, 5000000);

    ck_assert(parse("RELOADING=1\nMONOTONIC_USEC=77") && msg.reloading && msg.since == 77);
    ck_assert(parse("FDSTORE=1\nFDPOLL=0\nFDNAME=a b") && msg.store && msg.no_poll && !msg.unstore);
    ck_assert_str_eq(msg.fd_name, "a b");
    ck_assert(parse("FDSTOREREMOVE=1\nFDNAME=x\nFDNAME=a:b") && msg.unstore && !msg.store);
    ck_assert_str_eq(msg.fd_name, "");
    ck_assert(parse("WATCHDOG=1") && msg.alive && !msg.trigger && !msg.has_watchdog);
    ck_assert(parse("WATCHDOG=trigger\nWATCHDOG_USEC=0") && !msg.alive && msg.trigger && msg.has_watchdog);
    ck_assert(parse("WATCHDOG_USEC=20000000") && msg.watchdog == 20000000);
    ck_assert(parse("STATUS="));
    ck_assert(msg.has_status && msg.status[0] == '\0');
    ck_assert(parse("STATUS=one\nSTATUS=two\nREADY=1"));
    ck_assert_str_eq(msg.status, "two");
    ck_assert(notify_msg_parse("READY=1\0\0", 9, &msg) && msg.ready);
}
END_TEST

START_TEST(what_makes_no_sense_is_passed_over)
{
    static const char *const lines[] = {
        "",
        "\n\n",
        "=",
        "READY",
        "READY=",
        "READY=0",
        "READY=2",
        "READY=11",
        " READY=1",
        "ready=1",
        "READYY=1",
        "READ=1",
        "X=1",
        "MAINPID=-4711",
        "MAINPID=0",
        "MAINPID",
        "MAINPID=1x",
        "MAINPID=2147483648",
        "STATUS",
        "MAINPID= 5",
        "WATCHDOG=2",
        "WATCHDOG=triggered",
        "WATCHDOG_USEC=-1",
        "EXTEND_TIMEOUT_USEC=9223372036854775808",
        "MONOTONIC_USEC=-1",
        "FDSTORE=0",
        "FDSTOREREMOVE",
        "FDPOLL=1",
        "FDNAME=a\tb",
        "FDNAME=\xc3\xa4",
    };
    static const struct notify_msg nothing;

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        ck_assert(parse(lines[i]));
        msg.has_status = false; /* "STATUS" alone is an empty one, as systemd has it */
        ck_assert_msg(memcmp(&msg, &nothing, sizeof msg) == 0, "'%s'", lines[i]);
    }
    ck_assert(parse("EXTEND_TIMEOUT_USEC=9223372036854775807"));
    ck_assert_int_eq(msg.extend, INT64_MAX);
}
END_TEST

START_TEST(no_message_at_all)
{
    char text[NOTIFY_MSG_MAX + 1];

    ck_assert(!notify_msg_parse("READY=1\0READY=1", 15, &msg));
    memset(text, 'x', sizeof text);
    ck_assert(!notify_msg_parse(text, sizeof text, &msg));
    ck_assert(notify_msg_parse(text, NOTIFY_MSG_MAX, &msg));
}
END_TEST

START_TEST(a_status_is_cleaned)
{
    static const struct {
        const char *said, *shown;
    } cases[] = {
        {"plain", "plain"},
        {"gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x90\xa7",
         "gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x90\xa7"},
        {"\x1b[31m\a\t\x7f", "?[31m???"},
        {"\xc2\x9b", "?"},        /* C1 in UTF-8, */
        {"\xc2\xa0", "\xc2\xa0"}, /* and what comes behind */
        {"\x80\xc0\xaf", "???"},  /* no character, and '/' in a form that is forbidden */
        {"\xed\xa0\x80", "???"},  /* a surrogate */
        {"\xf4\x90\x80\x80", "????"},
        {"a\xe2\x82", "a??"}, /* cut short */
        {"\xff", "?"},
    };
    char text[1024] = "STATUS=";

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        strcpy(text + 7, cases[i].said);
        ck_assert(parse(text));
        ck_assert_str_eq(msg.status, cases[i].shown);
    }
    /* A character is there as a whole, or not. */
    for (size_t i = 7; i < 1000; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 4);
    ck_assert(parse(text));
    ck_assert_uint_eq(strlen(msg.status), NOTIFY_STATUS_MAX - 1);
    ck_assert_uint_eq(strlen(msg.status) % 3, 0);
}
END_TEST

/* Whatever comes: no byte is read that is not there (the sanitizers look), and what is kept can be shown. */
START_TEST(noise)
{
    static const char *const pieces[] = {"READY=1", "STATUS=",  "MAINPID=", "\n", "=", "99999999999999999999",
                                         "\xc2",    "\xf0\x9f", "\x80",     "\0", "a", "EXTEND_TIMEOUT_USEC="};

    srand(7);
    for (int round = 0; round < 20000; round++) {
        size_t len = 0;
        char *text = malloc(256);

        while (len < 200) {
            const char *piece = pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)];
            size_t n = piece[0] == '\0' ? (size_t)(rand() % 50 == 0) : strlen(piece);

            memcpy(text + len, piece, n);
            len += n;
            if (rand() % 12 == 0)
                break;
        }
        char *exact = malloc(len > 0 ? len : 1);
        memcpy(exact, text, len);
        notify_msg_parse(exact, len, &msg);
        for (const unsigned char *p = (const unsigned char *)msg.status; *p; p++)
            ck_assert(*p >= ' ' && *p != 0x7f);
        free(exact);
        free(text);
    }
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("notify_msg");
    TCase *tc = tcase_create("notify_msg");

    tcase_add_test(tc, every_line_is_read);
    tcase_add_test(tc, what_makes_no_sense_is_passed_over);
    tcase_add_test(tc, no_message_at_all);
    tcase_add_test(tc, a_status_is_cleaned);
    tcase_add_test(tc, noise);
    suite_add_tcase(suite, tc);
    return suite;
}
