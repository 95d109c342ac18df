/* SPDX-License-Identifier: MIT */
#include "check_main.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_in.h"

static bool takes(const char *text, size_t len)
{
    /* A copy of just this size, so that a look behind its end is noticed. */
    char *copy = malloc(len > 0 ? len : 1);
    struct json_piece piece;

    memcpy(copy, text, len);
    struct json_in in = {.at = copy, .end = copy + len};
    bool taken = json_in_value(&in, &piece) && json_in_ended(&in);
    free(copy);
    return taken;
}

static bool jansson_takes(const char *text, size_t len)
{
    json_t *tree = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    json_decref(tree);
    return tree != NULL;
}

static void compare(const char *text, size_t len)
{
    ck_assert_msg(takes(text, len) == jansson_takes(text, len), "%s: %.*s", takes(text, len) ? "taken" : "refused",
                  (int)len, text);
}

static const char sample[] =
    " { \"a\" :[1,-0.5e-3,0,1E9 ,true,false,null,\"x\\u00e9\\n\\ud83d\\ude00\\/\xc3\xa9\", [], {}],"
    "\"b\":{\"\":\"\"}}\n";

/* Every place cut off, left out, or made another byte, but for NUL: jansson takes one behind a number. */
START_TEST(what_jansson_takes_is_taken)
{
    static const char bytes[] = "\t\x1f \"\\/,:[]{}-+.0195eEuadfnrt\x7f\x80\xa9\xc3\xed\xff";
    size_t len = sizeof sample - 1;
    char text[sizeof sample];

    compare(sample, len);
    for (size_t i = 0; i < len; i++) {
        compare(sample, i);
        memcpy(text, sample, i);
        memcpy(text + i, sample + i + 1, len - i);
        compare(text, len - 1);
        for (size_t b = 0; b < sizeof bytes - 1; b++) {
            memcpy(text, sample, sizeof sample);
            text[i] = bytes[b];
            compare(text, len);
        }
    }
}
END_TEST

/* Each case alone, where one change of the sample does not come to it. */
START_TEST(values_by_the_letter)
{
    static const char *const cases[] = {
        "",
        "0",
        "-",
        "-0",
        "01",
        "1.",
        "1.e1",
        ".1",
        "1e",
        "1e+",
        "1e+3",
        "nul",
        "nulll",
        "[1 2]",
        "[,1]",
        "[1,]",
        "{\"a\"}",
        "{\"a\":1,}",
        "{1:2}",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "[1}",
        "{]",
        "1 1",
        "\"\\ud800\"",
        "\"\\ud800\\u\"",
        "\"\\udc00\"",
        "\"\\u0000\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800\\udc00\"",
        "\"\\uD800\\uDFFF\"",
        "\"\\ud800\\u12",
        "\"\\u00",
        "\"\\",
        "\xef\xbb\xbf\x31",
        "[[[[]]]]",
        "[[[[]]]",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xc0\x80\"",
        "True",
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        compare(cases[i], strlen(cases[i]));
}
END_TEST

START_TEST(nesting_is_bounded)
{
    char text[2 * JSON_IN_DEPTH + 2];

    for (size_t depth = JSON_IN_DEPTH; depth <= JSON_IN_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        ck_assert(takes(text, 2 * depth) == (depth == JSON_IN_DEPTH));
    }
}
END_TEST

START_TEST(pieces_are_told)
{
    static const char text[] = "[ \"plain\" ,\"not\\n\",\"\xc3\xa9\", -1.5,null , [1,[2]],{\"a\":[]}]";
    static const struct {
        enum json_in_kind kind;
        const char *text;
        bool plain;
    } pieces[] = {
        {JSON_IN_STRING, "\"plain\"", true},     {JSON_IN_STRING, "\"not\\n\"", false},
        {JSON_IN_STRING, "\"\xc3\xa9\"", false}, {JSON_IN_NUMBER, "-1.5", false},
        {JSON_IN_WORD, "null", false},           {JSON_IN_ARRAY, "[1,[2]]", false},
        {JSON_IN_OBJECT, "{\"a\":[]}", false},
    };
    struct json_in in = {.at = text, .end = text + sizeof text - 1};
    struct json_piece piece;
    size_t n = 0;
    bool more;

    ck_assert(json_in_array(&in));
    while (json_in_next(&in, n == 0, &more) && more) {
        ck_assert(json_in_value(&in, &piece));
        ck_assert_int_eq(piece.kind, pieces[n].kind);
        ck_assert(json_piece_is(&piece, pieces[n].text));
        ck_assert_int_eq(piece.plain, pieces[n].plain);
        n++;
    }
    ck_assert_uint_eq(n, sizeof pieces / sizeof *pieces);
    ck_assert(!more && json_in_ended(&in));
    ck_assert(!json_piece_is(&piece, "{"));
    ck_assert(!json_in_array(&in));
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("json_in");
    TCase *tc = tcase_create("json_in");

    tcase_add_test(tc, what_jansson_takes_is_taken);
    tcase_add_test(tc, values_by_the_letter);
    tcase_add_test(tc, nesting_is_bounded);
    tcase_add_test(tc, pieces_are_told);
    suite_add_tcase(suite, tc);
    return suite;
}
