/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "check_main.h"
#include "core/envfile.h"

static const struct {
    const char *text;
    const char *want; /* assignments, each ended by '|' */
} good[] = {
    {"", ""},
    {"A=1", "A=1|"},
    {"A=1\nB=2\n", "A=1|B=2|"},
    {"A=1\r\nB=2\r\n", "A=1|B=2|"},
    {"# c\n  ; d\n\n \t\nA=1 # no comment", "A=1 # no comment|"},
    {"# a comment ends with its line \\\nA=1", "A=1|"},
    {"  A =  x y  \n", "A=x y|"},
    {"A=1\nA=2\n", "A=2|"},
    {"A=", "A=|"},
    {"A=\"x y \"", "A=x y |"},
    {"A='x \\n $y'", "A=x \\n $y|"},
    {"A=\"a\\\"b\\$c\\`d\\\\e\\nf\"", "A=a\"b$c`d\\e\\nf|"},
    {"A=\"two\nlines\"\nB=1", "A=two\nlines|B=1|"},
    {"A=\"con\\\ntinued\"", "A=continued|"},
    {"A=con\\\n  tinued", "A=con  tinued|"},
    {"A=a\\ b\\ ", "A=a b |"},
    {"A=\"a\"'b'c", "A=abc|"},
    {"A=\"a\" 'b' ", "A=ab|"},
    {"A=it's", "A=it's|"},
    {"A=b=c", "A=b=c|"},
    {"_a9=${HOME} $X", "_a9=${HOME} $X|"},
    {"A=x\\", "A=x\\|"},
    {"# a comment is not continued \\\nA=1\n; nor this \\\nB=2", "A=1|B=2|"},
    {"A='it''s'\nB=\"\"\nC=''x", "A=its|B=|C=x|"},
    {"A=x # no comment", "A=x # no comment|"},
};

static const struct {
    const char *text;
    unsigned line;
    const char *word;
} bad[] = {
    {"A=1\nnonsense\nB=2", 2, "="}, {"\n\n=x", 3, "name"},        {"1A=x", 1, "name"}, {"A-B=x", 1, "name"},
    {"export A=x", 1, "export"},    {"A=1\nB=\"x\ny\n", 2, "\""}, {"A='x", 1, "'"},    {"A=x\\\ny\nB", 3, "="},
};

START_TEST(good_files)
{
    char err[200] = "";
    unsigned line = 7;
    char **env = envfile_parse(NULL, good[_i].text, strlen(good[_i].text), &line, err, sizeof(err));
    char *all = xstrdup("");

    for (size_t i = 0; env != NULL && env[i] != NULL; i++) {
        char *more = xasprintf("%s%s|", all, env[i]);
        free(all);
        all = more;
    }
    ck_assert_uint_eq(line, 0);
    ck_assert_str_eq(all, good[_i].want);
    free(all);
    strv_free(env);
}
END_TEST

START_TEST(bad_files)
{
    char err[200] = "";
    unsigned line = 0;
    char **env = strv_push(NULL, xstrdup("KEPT=1"));

    env = envfile_parse(env, bad[_i].text, strlen(bad[_i].text), &line, err, sizeof(err));
    ck_assert_uint_eq(line, bad[_i].line);
    ck_assert_msg(strstr(err, bad[_i].word) != NULL, "'%s' in '%s'", bad[_i].word, err);
    ck_assert_str_eq(strv_env_get(env, "KEPT"), "1");
    strv_free(env);
}
END_TEST

START_TEST(zero_bytes)
{
    static const char text[] = "A=1\nB=x\0y\nC=1\n";
    char err[200];
    unsigned line;
    char **env = envfile_parse(NULL, text, sizeof(text) - 1, &line, err, sizeof(err));

    ck_assert_uint_eq(line, 2);
    strv_free(env);
}
END_TEST

/* Whatever the bytes are: nothing is read or written beyond them, and an error names a line of the file. */
START_TEST(any_bytes)
{
    static const char alphabet[] = "AB=\"'\\\n #;\r\t$`x";

    srandom(2);
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)(random() % 40);
        char *text = xmalloc(len);
        unsigned lines = 1;
        for (size_t i = 0; i < len; i++) {
            text[i] = alphabet[(size_t)random() % sizeof(alphabet)];
            lines += text[i] == '\n';
        }
        char err[100];
        unsigned line;
        strv_free(envfile_parse(NULL, text, len, &line, err, sizeof(err)));
        ck_assert_uint_le(line, lines);
        free(text);
    }
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("envfile");
    TCase *tc = tcase_create("envfile");

    tcase_add_loop_test(tc, good_files, 0, sizeof(good) / sizeof(good[0]));
    tcase_add_loop_test(tc, bad_files, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(tc, zero_bytes);
    tcase_add_test(tc, any_bytes);
    suite_add_tcase(suite, tc);
    return suite;
}
