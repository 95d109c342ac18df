/* SPDX-License-Identifier: MIT */

#include <stdlib.h>
#include <string.h>

#include "base/strv.h"
#include "check_main.h"
#include "core/instance.h"
#include "core/instance_template.h"

static void set(struct spec *spec, const char *key, const char *value)
{
    char *values[] = {(char *)value, NULL};
    char err[256];

    ck_assert_msg(spec_set(spec, spec_key_find(key), values, 1, false, err, sizeof(err)), "%s: %s", key, err);
}

START_TEST(names)
{
    static const char *const good[] = {"web", "a.b-c_d", "web@1", "web@10000", "a-@9"};
    static const char *const bad[] = {"",      "@1",     "web@",   "web@0",   "web@01", "web@10001", "web@100000",
                                      "web@a", "web@1a", "web@-1", "web@1@2", "-web@1", ".web@1",    "web @1"};
    char longest[SPEC_NAME_MAX + 8];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(instance_name_valid(good[i]), "'%s'", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!instance_name_valid(bad[i]), "'%s'", bad[i]);

    memset(longest, 'x', SPEC_NAME_MAX);
    longest[SPEC_NAME_MAX] = '\0';
    char *name = instance_name(longest, INSTANCES_MAX);
    ck_assert(instance_name_valid(name));
    ck_assert(strlen(name) < INSTANCE_NAME_SIZE);
    free(name);
    longest[SPEC_NAME_MAX] = 'x';
    strcpy(longest + SPEC_NAME_MAX + 1, "@1");
    ck_assert(!instance_name_valid(longest));
}
END_TEST

START_TEST(numbers)
{
    ck_assert_uint_eq(instance_of("web@12", "web"), 12);
    ck_assert_uint_eq(instance_of("web", "web"), 0);
    ck_assert_uint_eq(instance_of("web@x", "web"), 0);
    ck_assert_uint_eq(instance_of("web@1", "we"), 0);
    ck_assert_uint_eq(instance_of("web@1", "webs"), 0);
    ck_assert_uint_eq(instance_of("web@1", "web@1"), 0);
}
END_TEST

START_TEST(order)
{
    static const char *const sorted[] = {"w",      "web",     "web@1", "web@2",   "web@9", "web@10", "web@11",
                                         "web@99", "web@100", "web-x", "web-x@1", "web.",  "web2",   "webs"};
    size_t n = sizeof(sorted) / sizeof(sorted[0]);

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            int got = instance_compare(sorted[i], sorted[j]);
            ck_assert_msg(i < j ? got < 0 : i > j ? got > 0 : got == 0, "%s, %s: %d", sorted[i], sorted[j], got);
        }
    }
}
END_TEST

/* A list is sorted and searched in the same order. */
START_TEST(a_list_in_order)
{
    struct spec_list list = {0};

    for (unsigned k = 12; k >= 1; k--) {
        char *name = instance_name("web", k);
        spec_list_push(&list, spec_new(name));
        free(name);
    }
    spec_list_push(&list, spec_new("web-a"));
    spec_list_push(&list, spec_new("we"));
    spec_list_sort(&list);
    ck_assert_str_eq(list.items[0]->name, "we");
    ck_assert_str_eq(list.items[2]->name, "web@2");
    ck_assert_str_eq(list.items[12]->name, "web@12");
    ck_assert_ptr_eq(spec_list_find(&list, "web@10"), list.items[10]);
    ck_assert_ptr_eq(spec_list_find(&list, "web-a"), list.items[13]);
    ck_assert_ptr_null(spec_list_find(&list, "web@13"));
    ck_assert_ptr_null(spec_list_find(&list, "web"));
    spec_list_free(&list);
}
END_TEST

static const struct {
    const char *text;
    const char *expanded; /* NULL: an error */
    const char *word;     /* of the error */
} texts[] = {
    {"", "", NULL},
    {"plain", "plain", NULL},
    {"%i", "12", NULL},
    {"--port=80%i", "--port=8012", NULL},
    {"/log/%n.%i", "/log/web@12.12", NULL},
    {"%%", "%", NULL},
    {"%%i", "%i", NULL},
    {"%%%i%%", "%12%", NULL},
    {"%", NULL, "'%' is not known"},
    {"a%", NULL, "'%' is not known"},
    {"%s", NULL, "'%s' is not known"},
    {"%I", NULL, "'%I' is not known"},
    {"% i", NULL, "'% ' is not known"},
    {"%\xc3\xa4!", NULL, "'%\xc3\xa4' is not known"},
};

START_TEST(expansion)
{
    char err[256] = "";
    char *got = instance_expand(texts[_i].text, "web@12", err, sizeof(err));

    if (texts[_i].expanded != NULL) {
        ck_assert_msg(got != NULL, "%s: %s", texts[_i].text, err);
        ck_assert_str_eq(got, texts[_i].expanded);
    } else {
        ck_assert_ptr_null(got);
        ck_assert_msg(strstr(err, texts[_i].word) != NULL, "%s: %s", texts[_i].text, err);
    }
    free(got);
}
END_TEST

START_TEST(a_whole_spec)
{
    struct spec *spec = spec_new("web@3");
    char err[256];

    set(spec, "command", "/bin/web '%n and %%' --id=%i");
    set(spec, "environment", "ID=%i");
    set(spec, "environment", "ME=%n");
    set(spec, "environment-file", "-/etc/%i.env");
    set(spec, "directory", "/srv/%i");
    set(spec, "log", "/log/%n.log");
    set(spec, "listen", "unix:/run/%i.sock");
    ck_assert_msg(instance_expand_spec(spec, err, sizeof(err)), "%s", err);
    ck_assert_uint_eq(strv_len(spec->command), 3);
    ck_assert_str_eq(spec->command[1], "web@3 and %");
    ck_assert_str_eq(spec->command[2], "--id=3");
    ck_assert_uint_eq(strv_len(spec->place->environment), 2);
    ck_assert_str_eq(spec->place->environment[0], "ID=3");
    ck_assert_str_eq(spec->place->environment[1], "ME=web@3");
    ck_assert_uint_eq(strv_len(spec->place->environment_files), 1);
    ck_assert_str_eq(spec->place->environment_files[0], "-/etc/3.env");
    ck_assert_str_eq(spec->place->directory, "/srv/3");
    ck_assert_str_eq(spec->logs->log.path, "/log/web@3.log");
    ck_assert_str_eq(spec->around->listen[0], "unix:/run/3.sock");
    spec_free(spec);

    spec = spec_new("web@3");
    set(spec, "directory", "/srv/%x");
    ck_assert(!instance_expand_spec(spec, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "'%x'"));
    spec_free(spec);
}
END_TEST

static struct instance_template *new_template(void)
{
    struct instance_template *template = instance_template_new(spec_new("web"));
    char *const command[] = {(char *)"/bin/web", (char *)"%n", (char *)"%%", NULL};
    char *const listen[] = {(char *)"tcp:127.0.0.1:6550%i", NULL};

    set(template->base, "nice", "5");
    instance_template_put(template, spec_key_find("command"), strv_dup(command), true);
    instance_template_put(template, spec_key_find("listen"), strv_dup(listen), true);
    return template;
}

START_TEST(made_later)
{
    struct instance_template *template = new_template();
    char err[256];
    struct spec *spec = instance_template_make(template, 7, err, sizeof(err));

    ck_assert_msg(spec != NULL, "%s", err);
    ck_assert_str_eq(spec->name, "web@7");
    ck_assert_int_eq(spec->exec->nice.value, 5);
    ck_assert_str_eq(spec->command[1], "web@7");
    ck_assert_str_eq(spec->command[2], "%");
    ck_assert_str_eq(spec->around->listen[0], "tcp:127.0.0.1:65507");
    spec_free(spec);
    /* There is no such port. */
    ck_assert_ptr_null(instance_template_make(template, 40, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "key 'listen'"));
    instance_template_free(template);
}
END_TEST

static void check_names(const struct spec_list *list, const char *const *want, size_t n)
{
    ck_assert_uint_eq(list->n, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_str_eq(list->items[i]->name, want[i]);
}

START_TEST(as_many_as_wanted)
{
    struct instance_template *template = new_template();
    struct spec_list list = {0};
    char err[256];

    spec_list_push(&list, spec_new("a"));
    spec_list_push(&list, spec_new("web-x@2"));
    spec_list_sort(&list);
    ck_assert(instance_template_fit(template, &list, 2, err, sizeof(err)));
    check_names(&list, (const char *const[]){"a", "web@1", "web@2", "web-x@2"}, 4);
    const struct spec *first = list.items[1];
    ck_assert(instance_template_fit(template, &list, 5, err, sizeof(err)));
    check_names(&list, (const char *const[]){"a", "web@1", "web@2", "web@3", "web@4", "web@5", "web-x@2"}, 7);
    ck_assert_ptr_eq(list.items[1], first);
    ck_assert(!instance_template_fit(template, &list, 99, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "web@10: "));
    ck_assert_uint_eq(list.n, 7);
    ck_assert(instance_template_fit(template, &list, 1, err, sizeof(err)));
    check_names(&list, (const char *const[]){"a", "web@1", "web-x@2"}, 3);
    ck_assert(instance_template_fit(template, &list, 0, err, sizeof(err)));
    check_names(&list, (const char *const[]){"a", "web-x@2"}, 2);
    spec_list_free(&list);
    instance_template_free(template);
}
END_TEST

START_TEST(one_address_for_two)
{
    struct spec *one = spec_new("web@1");
    struct spec *two = spec_new("web@2");
    char err[256];

    ck_assert(!instance_clash(one, two, err, sizeof(err)));
    set(one, "listen", "tcp:127.0.0.1:81");
    set(two, "listen", "tcp:127.0.0.1:82");
    ck_assert(!instance_clash(one, two, err, sizeof(err)));
    set(two, "listen", "tcp:127.0.0.1:81,name=x");
    ck_assert(instance_clash(one, two, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "tcp:127.0.0.1:81"));
    set(one, "listen", "tcp:127.0.0.1:81,reuse-port");
    set(two, "listen", "tcp:127.0.0.1:81,reuse-port");
    ck_assert(!instance_clash(one, two, err, sizeof(err)));
    spec_free(one);
    spec_free(two);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("instance");
    TCase *tc = tcase_create("instance");

    tcase_add_test(tc, names);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, order);
    tcase_add_test(tc, a_list_in_order);
    tcase_add_loop_test(tc, expansion, 0, sizeof(texts) / sizeof(texts[0]));
    tcase_add_test(tc, a_whole_spec);
    tcase_add_test(tc, made_later);
    tcase_add_test(tc, as_many_as_wanted);
    tcase_add_test(tc, one_address_for_two);
    suite_add_tcase(suite, tc);
    return suite;
}
