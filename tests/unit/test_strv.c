/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/mem.h"
#include "base/strv.h"
#include "check_main.h"

START_TEST(null_is_empty)
{
    ck_assert_uint_eq(strv_len(NULL), 0);
    ck_assert_ptr_null(strv_dup(NULL));
    ck_assert(strv_equal(NULL, NULL));
    ck_assert(!strv_contains(NULL, "x"));
    ck_assert_ptr_null(strv_env_get(NULL, "x"));
    strv_free(NULL);

    char *empty[] = {NULL};
    ck_assert(strv_equal(NULL, empty) && strv_equal(empty, NULL));
}
END_TEST

/* A vector that was copied has no room to spare, and one that was pushed may. */
START_TEST(push_after_dup)
{
    char **v = NULL;

    for (int i = 0; i < 100; i++) {
        v = strv_push(v, xasprintf("%d", i));
        char **copy = strv_dup(v);
        copy = strv_push(copy, xstrdup("x"));
        ck_assert_uint_eq(strv_len(copy), (size_t)i + 2);
        ck_assert(!strv_equal(copy, v));
        ck_assert_str_eq(copy[i + 1], "x");
        strv_free(copy);
    }
    ck_assert(strv_contains(v, "99"));
    ck_assert(!strv_contains(v, "100"));
    strv_free(v);
}
END_TEST

START_TEST(env)
{
    char **v = NULL;

    v = strv_env_set(v, "A=1");
    v = strv_env_set(v, "AB=2");
    v = strv_env_set(v, "B=");
    v = strv_env_set(v, "A=3=4");
    ck_assert_uint_eq(strv_len(v), 3);
    ck_assert_str_eq(v[0], "A=3=4");
    ck_assert_str_eq(strv_env_get(v, "A"), "3=4");
    ck_assert_str_eq(strv_env_get(v, "AB"), "2");
    ck_assert_str_eq(strv_env_get(v, "B"), "");
    ck_assert_ptr_null(strv_env_get(v, "C"));
    /* What is set may be a part of the vector itself. */
    v = strv_env_set(v, v[1]);
    ck_assert_str_eq(strv_env_get(v, "AB"), "2");
    strv_free(v);
}
END_TEST

START_TEST(mem)
{
    char *s = xasprintf("%s-%d", "a", 1);

    ck_assert_str_eq(s, "a-1");
    free(s);
    ck_assert_ptr_null(xstrdup(NULL));
    s = xstrndup("abc", 2);
    ck_assert_str_eq(s, "ab");
    s = xreallocarray(s, 0, 4);
    ck_assert_ptr_nonnull(s);
    free(s);
    free(xmalloc(0));
    free(xcalloc(0, 8));
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("strv");
    TCase *tc = tcase_create("strv");

    tcase_add_test(tc, null_is_empty);
    tcase_add_test(tc, push_after_dup);
    tcase_add_test(tc, env);
    tcase_add_test(tc, mem);
    suite_add_tcase(suite, tc);
    return suite;
}
