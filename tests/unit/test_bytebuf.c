/* SPDX-License-Identifier: MIT */
#include "check_main.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytebuf.h"

/* The stream that goes in: what comes out must be the same bytes at the same places. */
static char byte_at(size_t i)
{
    return (char)(i * 31 + i / 251);
}

START_TEST(what_goes_in_comes_out)
{
    struct bytebuf buf = {0};
    size_t in = 0, out = 0;
    char piece[5000];

    srand(1);
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)rand() % (rand() % 8 == 0 ? sizeof piece : 40);
        for (size_t i = 0; i < n; i++)
            piece[i] = byte_at(in + i);
        if (rand() % 2) {
            bytebuf_append(&buf, piece, n);
        } else {
            memcpy(bytebuf_reserve(&buf, sizeof piece), piece, n);
            bytebuf_commit(&buf, n);
        }
        in += n;

        n = (size_t)rand() % (buf.len + 1);
        if (rand() % 16 == 0)
            n = buf.len;
        size_t same = 0;
        while (same < n && bytebuf_data(&buf)[same] == byte_at(out + same))
            same++;
        ck_assert_uint_eq(same, n);
        bytebuf_consume(&buf, n);
        out += n;
        ck_assert_uint_eq(buf.len, in - out);
    }
    bytebuf_free(&buf);
    ck_assert_ptr_null(buf.base);
}
END_TEST

START_TEST(an_emptied_large_one_keeps_no_memory)
{
    struct bytebuf buf = {0};
    static const char large[1000000];

    bytebuf_append(&buf, large, sizeof large);
    bytebuf_consume(&buf, sizeof large);
    ck_assert_uint_eq(buf.size, 0);
    bytebuf_append(&buf, "x", 1);
    ck_assert_int_eq(bytebuf_data(&buf)[0], 'x');
    bytebuf_free(&buf);
}
END_TEST

/* A reader that takes a little each time must not make the buffer grow with all that ever passed through. */
START_TEST(what_was_consumed_is_used_again)
{
    struct bytebuf buf = {0};
    static const char piece[1000];

    bytebuf_append(&buf, piece, sizeof piece);
    for (int i = 0; i < 10000; i++) {
        bytebuf_append(&buf, piece, sizeof piece);
        bytebuf_consume(&buf, sizeof piece);
    }
    ck_assert_uint_le(buf.size, 8192);
    bytebuf_free(&buf);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("bytebuf");
    TCase *tc = tcase_create("bytebuf");

    tcase_add_test(tc, what_goes_in_comes_out);
    tcase_add_test(tc, an_emptied_large_one_keeps_no_memory);
    tcase_add_test(tc, what_was_consumed_is_used_again);
    suite_add_tcase(suite, tc);
    return suite;
}
