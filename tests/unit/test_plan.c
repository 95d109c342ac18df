/* SPDX-License-Identifier: MIT */

#include "check_main.h"
#include "core/plan.h"

static struct spec *make(struct spec_list *list, const char *name)
{
    struct spec *spec = spec_new(name);

    spec_list_push(list, spec);
    return spec;
}

static void set(struct spec *spec, const char *key, const char *value)
{
    char *values[] = {(char *)value, NULL};
    char err[256];

    ck_assert(spec_set(spec, spec_key_find(key), values, 1, false, err, sizeof(err)));
}

START_TEST(steps_in_order)
{
    struct spec_list from = {0};
    struct spec_list to = {0};

    make(&from, "b");
    make(&from, "d");
    make(&from, "same");
    set(make(&from, "soft"), "stop-timeout", "1s");
    make(&to, "a");
    struct spec *d = make(&to, "d");
    set(d, "environment", "A=1");
    set(d, "restart", "no");
    make(&to, "same")->line = 99;
    make(&to, "soft");
    make(&to, "z");

    struct plan *plan = plan_new(&from, &to);
    ck_assert_uint_eq(plan->n, 5);
    const struct plan_step *s = plan->steps;
    ck_assert_str_eq(s[0].name, "a");
    ck_assert_int_eq(s[0].action, PLAN_ADD);
    ck_assert(s[0].from == NULL && s[0].to == to.items[0] && s[0].keys == NULL);
    ck_assert_str_eq(s[1].name, "b");
    ck_assert_int_eq(s[1].action, PLAN_REMOVE);
    ck_assert(s[1].from == from.items[0] && s[1].to == NULL);
    ck_assert_str_eq(s[2].name, "d");
    ck_assert_int_eq(s[2].action, PLAN_CHANGE);
    ck_assert(s[2].from == from.items[1] && s[2].to == d && s[2].needs_process);
    ck_assert_str_eq(s[2].keys[0], "environment");
    ck_assert_str_eq(s[2].keys[1], "restart");
    ck_assert_ptr_null(s[2].keys[2]);
    ck_assert_str_eq(s[3].name, "soft");
    ck_assert_str_eq(s[3].keys[0], "stop-timeout");
    ck_assert(!s[3].needs_process);
    ck_assert_str_eq(s[4].name, "z");
    plan_free(plan);
    spec_list_free(&from);
    spec_list_free(&to);
}
END_TEST

START_TEST(nothing_to_do)
{
    struct spec_list list = {0};
    struct spec_list empty = {0};

    make(&list, "a");
    struct plan *plan = plan_new(&list, &list);
    ck_assert_uint_eq(plan->n, 0);
    plan_free(plan);
    plan = plan_new(&empty, &empty);
    ck_assert_uint_eq(plan->n, 0);
    plan_free(plan);
    plan_free(NULL);
    spec_list_free(&list);
}
END_TEST

START_TEST(action_names)
{
    ck_assert_str_eq(plan_action_name(PLAN_ADD), "add");
    ck_assert_str_eq(plan_action_name(PLAN_REMOVE), "remove");
    ck_assert_str_eq(plan_action_name(PLAN_CHANGE), "change");
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("plan");
    TCase *tc = tcase_create("plan");

    tcase_add_test(tc, steps_in_order);
    tcase_add_test(tc, nothing_to_do);
    tcase_add_test(tc, action_names);
    suite_add_tcase(suite, tc);
    return suite;
}
