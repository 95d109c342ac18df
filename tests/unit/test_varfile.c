/* SPDX-License-Identifier: MIT */
#include "core/varfile.h"

#include <stdlib.h>
#include <string.h>

#include "check_main.h"

static char err[128];

static struct varfile *some(void)
{
    struct varfile *file = varfile_new();

    varfile_set(file, "web@10", 1);
    varfile_set(file, "web@2", INT64_MIN);
    varfile_set(file, "db", INT64_MAX);
    varfile_set(file, "end", 0); /* a service may be called so */
    return file;
}

START_TEST(holds_what_it_is_given)
{
    struct varfile *file = some();
    int64_t value = 7;

    ck_assert(!varfile_get(file, "nobody", &value));
    ck_assert_int_eq(value, 7);
    ck_assert(varfile_get(file, "db", &value));
    ck_assert(value == INT64_MAX);
    varfile_set(file, "db", -1);
    ck_assert(varfile_get(file, "db", &value));
    ck_assert_int_eq(value, -1);
    varfile_unset(file, "db");
    varfile_unset(file, "db");
    ck_assert(!varfile_get(file, "db", &value));
    varfile_free(file);
}
END_TEST

START_TEST(reads_what_it_writes)
{
    struct varfile *file = some();
    struct varfile *again;
    char *text = varfile_format(file, "enabled");
    int64_t value;

    ck_assert_msg(strncmp(text,
                          "supd enabled 1\ndb 9223372036854775807\nend 0\nweb@2 -9223372036854775808\nweb@10 1\nend 4 ",
                          strlen(text) - 9) == 0,
                  "%s", text);
    ck_assert_int_eq(varfile_parse(text, strlen(text), "enabled", &again, err, sizeof err), VARFILE_GOOD);
    ck_assert(varfile_get(again, "web@2", &value));
    ck_assert(value == INT64_MIN);
    char *same = varfile_format(again, "enabled");
    ck_assert_str_eq(text, same);
    free(same);
    free(text);
    varfile_free(again);
    varfile_free(file);
}
END_TEST

static void expect_damaged(const char *text, size_t len)
{
    struct varfile *file = (struct varfile *)err;

    ck_assert_msg(varfile_parse(text, len, "enabled", &file, err, sizeof err) == VARFILE_DAMAGED, "%.*s", (int)len,
                  text);
    ck_assert_ptr_null(file);
    ck_assert_str_eq(err, "it is damaged");
}

/* Cut short anywhere, or one bit turned anywhere, and it is not taken. */
START_TEST(sees_every_damage)
{
    struct varfile *file = some();
    char *text = varfile_format(file, "enabled");
    size_t len = strlen(text);

    for (size_t cut = 0; cut < len; cut++)
        expect_damaged(text, cut);
    for (size_t at = 0; at < len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            text[at] = (char)(text[at] ^ 1 << bit);
            expect_damaged(text, len);
            text[at] = (char)(text[at] ^ 1 << bit);
        }
    }
    expect_damaged("", 0);
    expect_damaged("\n", 1);
    free(text);
    text = varfile_format(file, "runs");
    expect_damaged(text, strlen(text));
    free(text);
    varfile_free(file);
}
END_TEST

START_TEST(tells_a_newer_format)
{
    /* CRC-32 of its first line, by another program. */
    static const char text[] = "supd enabled 2\nend 0 b54d0e12\n";
    struct varfile *file;

    ck_assert_int_eq(varfile_parse(text, strlen(text), "enabled", &file, err, sizeof err), VARFILE_NEWER);
    ck_assert_ptr_null(file);
    ck_assert_ptr_nonnull(strstr(err, "newer"));
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("varfile");
    TCase *tc = tcase_create("varfile");

    tcase_add_test(tc, holds_what_it_is_given);
    tcase_add_test(tc, reads_what_it_writes);
    tcase_add_test(tc, sees_every_damage);
    tcase_add_test(tc, tells_a_newer_format);
    suite_add_tcase(suite, tc);
    return suite;
}
