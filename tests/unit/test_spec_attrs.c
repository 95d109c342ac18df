/* SPDX-License-Identifier: MIT */
/* What the keys of process attributes take, and what they make of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/spec.h"
#include "tests/check_main.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* The value of KEY, its elements joined with ' '; to be freed.  NULL: unset. */
static char *written(const struct spec *spec, const struct spec_key *key)
{
    bool is_list;
    char **values = spec_get(spec, key, &is_list);
    char *all = values != NULL ? xstrdup("") : NULL;

    for (size_t i = 0; values != NULL && values[i] != NULL; i++) {
        char *more = xasprintf("%s%s%s", all, i > 0 ? " " : "", values[i]);
        free(all);
        all = more;
    }
    strv_free(values);
    return all;
}

static const struct {
    const char *key;
    const char *value;
    const char *written; /* NULL: it is refused ... */
    const char *word;    /* ... with this in the error */
} cases[] = {
    {"nice", "-20", "-20", NULL},
    {"nice", "+19", "19", NULL},
    {"nice", "0", "0", NULL},
    {"nice", "20", NULL, "'20' is not a whole number from -20 to 19"},
    {"nice", "-21", NULL, "-21"},
    {"nice", "", NULL, "whole number"},
    {"nice", "-", NULL, "whole number"},
    {"nice", "5x", NULL, "5x"},
    {"nice", "--5", NULL, "--5"},
    {"oom-score-adj", "-1000", "-1000", NULL},
    {"oom-score-adj", "1000", "1000", NULL},
    {"oom-score-adj", "1001", NULL, "from -1000 to 1000"},
    {"io-class", "idle", "idle", NULL},
    {"io-class", "idle:3", NULL, "leave ':3' out"},
    {"io-class", "realtime", "realtime:4", NULL},
    {"io-class", "best-effort:7", "best-effort:7", NULL},
    {"io-class", "best-effort:0", "best-effort:0", NULL},
    {"io-class", "best-effort:8", NULL, "'8' is not a level from 0 (first) to 7 (last)"},
    {"io-class", "best-effort:", NULL, "level"},
    {"io-class", "realtim", NULL, "did you mean 'realtime'?"},
    {"cpu-affinity", "0-3,5", "0-3 5", NULL},
    {"cpu-affinity", "5 0-3,1", "0-3 5", NULL},
    {"cpu-affinity", "63-64", "63-64", NULL},
    {"cpu-affinity", "8191", "8191", NULL},
    {"cpu-affinity", "8192", NULL, "'8192'"},
    {"cpu-affinity", "3-1", NULL, "'3-1' is neither the number of a processor nor a range"},
    {"cpu-affinity", "1-", NULL, "1-"},
    {"cpu-affinity", "a", NULL, "'a'"},
    {"cpu-affinity", " ,", NULL, "no processor"},
    {"directory", "~", "~", NULL},
    {"directory", "~/x", "~/x", NULL},
    {"directory", "~x", NULL, "'~x' is not an absolute path"},
    {"tty", "~", NULL, "absolute"},
    {"tty", "tty9", NULL, "absolute"},
    {"supplementary-groups", "adm", "adm", NULL},
    {"supplementary-groups", "", NULL, "empty"},
    {"capabilities", "CAP_NET_RAW", "CAP_NET_RAW", NULL},
    {"capabilities", "checkpoint_restore", "CAP_CHECKPOINT_RESTORE", NULL},
    {"capabilities", "NET_RAV", NULL, "did you mean 'NET_RAW'?"},
    {"capabilities", "CAP_NET_RAV", NULL, "did you mean 'CAP_NET_RAW'?"},
    {"capabilities", "everything", NULL, "'everything' is no capability"},
    {"capabilities", "~CAP_NET_RAW", NULL, "~CAP_NET_RAW"},
    {"capability-bounding-set", "CAP_KILL", "CAP_KILL", NULL},
    {"capability-bounding-set", "~kill", "~CAP_KILL", NULL},
    {"capability-bounding-set", "~", "~", NULL},
    {"capability-bounding-set", "~foo", NULL, "'foo'"},
    {"parent-death-signal", "SIGTERM", "TERM", NULL},
    {"parent-death-signal", "TREM", NULL, "did you mean 'TERM'?"},
    {"parent-death-signal", "some", NULL, "neither none nor a signal"},
    {"stdin", "inherit", "inherit", NULL},
    {"stdin", "/dev/zero", "/dev/zero", NULL},
    {"stdin", "file", NULL, "'file' is neither null nor inherit nor the absolute path of a file"},
    {"private-tmp", "on", "yes", NULL},
    {"read-only-paths", "/usr", "/usr", NULL},
    {"read-only-paths", "-/usr", "-/usr", NULL},
    {"read-only-paths", "usr", NULL, "absolute"},
    {"limit-nofile", "1024", "1024", NULL},
    {"limit-nofile", "1024:4096", "1024:4096", NULL},
    {"limit-nofile", "1024:infinity", "1024:infinity", NULL},
    {"limit-nofile", "infinity", "infinity", NULL},
    {"limit-nofile", "4096:1024", NULL, "the soft limit 4096 is above the hard one, 1024"},
    {"limit-nofile", "infinity:1024", NULL, "above"},
    {"limit-nofile", "1K", NULL, "'1K' is no limit: write a number"},
    {"limit-nofile", "", NULL, "write a number"},
    {"limit-nofile", "5:", NULL, "'' is no limit"},
    {"limit-nofile", "-1", NULL, "-1"},
    {"limit-core", "64K", "65536", NULL},
    {"limit-core", "0:2G", "0:2147483648", NULL},
    {"limit-core", "much", NULL, "a size as 64K"},
    {"limit-cpu", "1m", "60", NULL},
    {"limit-cpu", "1500ms:3", "2:3", NULL},
    {"limit-cpu", "soon", NULL, "a duration as 90s"},
    {"limit-rttime", "200ms", "200000us", NULL},
    {"limit-rttime", "2:3", "2000000us:3000000us", NULL},
    {"limit-nice", "-5", "25", NULL},
    {"limit-nice", "+5", "15", NULL},
    {"limit-nice", "40", "40", NULL},
    {"limit-nice", "-20", "40", NULL},
    {"limit-nice", "-21", NULL, "nice level"},
    {"limit-nice", "+20", NULL, "nice level"},
    {"limit-nice", "41", NULL, "41"},
};

/* What is taken is written as it should be and read back to the same; what is not leaves what was there. */
START_TEST(each_value)
{
    const struct spec_key *key = spec_key_find(cases[_i].key);
    struct spec *spec = spec_new("x");
    char *values[] = {(char *)cases[_i].value, NULL};
    char err[256] = "";

    char *before = written(spec, key);
    bool ok = spec_set(spec, key, values, 1, false, err, sizeof(err));
    ck_assert_msg(ok == (cases[_i].written != NULL), "%s = '%s': %s", key->name, values[0], err);
    char *got = written(spec, key);
    if (ok) {
        ck_assert_str_eq(got, cases[_i].written);
        struct spec *copy = spec_dup(spec);
        char **again = strv_push(NULL, xstrdup(got));
        ck_assert(spec_set(copy, key, again, 1, false, err, sizeof(err)));
        ck_assert(spec_key_equal(spec, copy, key));
        strv_free(again);
        spec_free(copy);
    } else {
        ck_assert((got == NULL) == (before == NULL) && (got == NULL || strcmp(got, before) == 0));
        ck_assert_msg(strstr(err, cases[_i].word) != NULL, "'%s' in '%s'", cases[_i].word, err);
    }
    free(got);
    free(before);
    spec_free(spec);
}
END_TEST

/* A refused value after a good one, and another good one in its place. */
START_TEST(values_in_their_place)
{
    static const char *const good[][3] = {
        {"nice", "3", "4"},
        {"io-class", "idle", "realtime:1"},
        {"cpu-affinity", "1", "2-3"},
        {"limit-stack", "1M", "infinity"},
    };
    char *bad[] = {"?", NULL};
    char err[256];

    for (size_t i = 0; i < LEN(good); i++) {
        const struct spec_key *key = spec_key_find(good[i][0]);
        struct spec *spec = spec_new("x");
        char *first[] = {(char *)good[i][1], NULL};
        char *second[] = {(char *)good[i][2], NULL};
        ck_assert(spec_set(spec, key, first, 1, false, err, sizeof(err)));
        struct spec *before = spec_dup(spec);
        ck_assert(!spec_set(spec, key, bad, 1, false, err, sizeof(err)));
        ck_assert(spec_key_equal(spec, before, key));
        ck_assert(spec_set(spec, key, second, 1, false, err, sizeof(err)));
        ck_assert(!spec_key_equal(spec, before, key));
        ck_assert(!spec_key_equal(before, spec, key));
        spec_free(spec);
        spec_free(before);
    }
}
END_TEST

START_TEST(lists_of_processors)
{
    struct spec *spec = spec_new("x");
    const struct spec_key *key = spec_key_find("cpu-affinity");
    char *values[] = {"7", "0-1,3", "8", NULL};
    char err[256];

    ck_assert(spec_set(spec, key, values, 3, true, err, sizeof(err)));
    char *got = written(spec, key);
    ck_assert_str_eq(got, "0-1 3 7-8");
    free(got);
    ck_assert(!spec_set(spec, key, values, 0, true, err, sizeof(err)));
    ck_assert(spec_cpus_has(spec->exec->cpus, 8) && !spec_cpus_has(spec->exec->cpus, 9));
    ck_assert(!spec_cpus_has(spec->exec->cpus, SPEC_CPUS_MAX));
    spec_free(spec);
}
END_TEST

START_TEST(lists_of_capabilities)
{
    static const struct {
        const char *key;
        char *values[4];
        const char *written; /* NULL: refused ... */
        const char *word;    /* ... with this */
    } lists[] = {
        {"capabilities", {"kill", "CAP_CHOWN", "cap_kill"}, "CAP_CHOWN CAP_KILL", NULL},
        {"capabilities", {NULL}, "", NULL},
        {"capability-bounding-set", {NULL}, "", NULL},
        {"capability-bounding-set", {"~kill", "~chown"}, "~CAP_CHOWN ~CAP_KILL", NULL},
        {"capability-bounding-set", {"~kill", "chown"}, NULL, "'chown' stands beside names with '~'"},
        {"capability-bounding-set", {"kill", "~chown"}, NULL, "~chown"},
    };
    char err[256];

    for (size_t i = 0; i < LEN(lists); i++) {
        struct spec *spec = spec_new("x");
        struct spec *again = spec_new("x");
        const struct spec_key *key = spec_key_find(lists[i].key);
        bool ok = spec_set(spec, key, lists[i].values, strv_len(lists[i].values), true, err, sizeof(err));
        ck_assert_int_eq(ok, lists[i].written != NULL);
        if (ok) {
            char *got = written(spec, key);
            ck_assert_str_eq(got, lists[i].written);
            free(got);
            bool is_list;
            char **values = spec_get(spec, key, &is_list);
            ck_assert(is_list && spec_set(again, key, values, strv_len(values), true, err, sizeof(err)));
            ck_assert(spec_key_equal(spec, again, key));
            strv_free(values);
        } else {
            ck_assert_msg(strstr(err, lists[i].word) != NULL, "%s", err);
        }
        spec_free(spec);
        spec_free(again);
    }
}
END_TEST

static void set(struct spec *spec, const char *key, const char *value)
{
    char *values[] = {(char *)value, NULL};
    char err[256];

    ck_assert_msg(spec_set(spec, spec_key_find(key), values, 1, false, err, sizeof(err)), "%s: %s", key, err);
}

/* Two keys that do not go together are found when all of them are read. */
START_TEST(contradictions)
{
    struct spec *spec = spec_new("x");
    char err[256];

    set(spec, "command", "/bin/true");
    set(spec, "capabilities", "net_raw");
    ck_assert(spec_validate(spec, err, sizeof(err)));
    set(spec, "capability-bounding-set", "~net_raw");
    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_msg(strstr(err, "capabilities names CAP_NET_RAW, which capability-bounding-set leaves out") != NULL, "%s",
                  err);
    set(spec, "capability-bounding-set", "net_raw");
    ck_assert(spec_validate(spec, err, sizeof(err)));

    set(spec, "tty", "/dev/tty9");
    ck_assert(spec_validate(spec, err, sizeof(err)));
    set(spec, "stdin", "inherit");
    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_msg(strstr(err, "stdin and tty") != NULL, "%s", err);
    spec_free(spec);
}
END_TEST

/* What was looked up counts with the key that asked for it. */
START_TEST(supplementary_groups_are_compared)
{
    const struct spec_key *user = spec_key_find("user");
    const struct spec_key *more = spec_key_find("supplementary-groups");
    struct spec *a = spec_new("x");

    set(a, "supplementary-groups", "adm");
    spec_own_exec(a)->ids = (struct spec_ids){.set = true, .uid = 5, .gid = 6, .n_groups = 1};
    spec_own_exec(a)->ids.groups = xcalloc(1, sizeof(*a->exec->ids.groups));
    struct spec *b = spec_dup(a);
    ck_assert(spec_key_equal(a, b, user) && spec_key_equal(a, b, more));
    spec_own_exec(b)->ids.groups[0] = 4;
    ck_assert(spec_key_equal(a, b, user) && !spec_key_equal(a, b, more));
    ck_assert_uint_ne(spec_process_digest(a), spec_process_digest(b));

    set(a, "user", "u");
    set(b, "user", "u");
    ck_assert(!spec_key_equal(a, b, user) && !spec_key_equal(a, b, more));
    set(b, "supplementary-groups", "other");
    ck_assert(spec_key_equal(a, b, user) && !spec_key_equal(a, b, more));
    spec_free(a);
    spec_free(b);
}
END_TEST

START_TEST(limits_have_names)
{
    unsigned seen = 0;

    for (size_t i = 0; i < spec_n_keys; i++) {
        int name = spec_limit_of(&spec_keys[i]);
        ck_assert_int_eq(name >= 0, strncmp(spec_keys[i].name, "limit-", 6) == 0);
        if (name >= 0)
            seen |= 1U << name;
    }
    ck_assert_uint_eq(seen, (1U << SPEC_N_LIMITS) - 1);
    ck_assert_int_eq(spec_limit_of(spec_key_find("limit-nofile")), SPEC_LIMIT_NOFILE);
    ck_assert_int_eq(spec_limit_of(spec_key_find("limit-rttime")), SPEC_LIMIT_RTTIME);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("spec_attrs");
    TCase *tc = tcase_create("spec_attrs");

    tcase_add_loop_test(tc, each_value, 0, LEN(cases));
    tcase_add_test(tc, values_in_their_place);
    tcase_add_test(tc, lists_of_processors);
    tcase_add_test(tc, lists_of_capabilities);
    tcase_add_test(tc, contradictions);
    tcase_add_test(tc, supplementary_groups_are_compared);
    tcase_add_test(tc, limits_have_names);
    suite_add_tcase(suite, tc);
    return suite;
}
