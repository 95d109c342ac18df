/* SPDX-License-Identifier: MIT */
/*
 * core/graph.h: what a graph is made of, what is refused, and what is decided about each neighbour.
 */
#include "core/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/strv.h"
#include "check_main.h"

static struct spec_list list;
static struct graph *graph;
static struct svc *svcs;
static struct buf told;

static void setup(void)
{
    list = (struct spec_list){0};
    graph = NULL;
    svcs = NULL;
    told = (struct buf){0};
    buf_add_string(&told, "");
}

static void teardown(void)
{
    graph_free(graph);
    spec_list_free(&list);
    free(svcs);
    buf_free(&told);
}

static void add(const char *name)
{
    spec_list_push(&list, spec_new(name));
    spec_list_sort(&list);
}

static void add_all(const char *const *names)
{
    for (; *names != NULL; names++)
        add(*names);
}

static void depend(const char *name, enum spec_dep dep, const char *other)
{
    struct spec *spec = spec_list_find(&list, name);

    ck_assert_msg(spec != NULL, "no %s", name);
    spec_own_around(spec)->deps[dep] = strv_push(spec_own_around(spec)->deps[dep], xstrdup(other));
}

static void build(void)
{
    graph_free(graph);
    free(svcs);
    graph = graph_new(list.items, NULL, list.n);
    svcs = xcalloc(list.n + 1, sizeof(*svcs));
    for (uint32_t i = 0; i < list.n; i++) {
        svc_init(&svcs[i], list.items[i], (struct timestamp){.mono = 1, .wall = 1});
        graph_watch(graph, i, &svcs[i]);
    }
}

static uint32_t node(const char *name)
{
    for (uint32_t i = 0; i < list.n; i++) {
        if (strcmp(list.items[i]->name, name) == 0)
            return i;
    }
    ck_abort_msg("no %s", name);
    return GRAPH_NONE;
}

static struct svc *svc(const char *name)
{
    return &svcs[node(name)];
}

static uint32_t flags(const char *from, const char *to)
{
    size_t n;
    const struct graph_edge *edges = graph_edges(graph, node(from), &n);

    for (size_t i = 0; i < n; i++) {
        if (edges[i].to == node(to))
            return edges[i].flags;
    }
    return 0;
}

/* ---- faults ---- */

static bool known(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "empty") == 0;
}

static bool inherited(void *ctx, const struct spec *spec, const char *key)
{
    (void)ctx;
    (void)spec;
    return strcmp(key, "wants") == 0;
}

static void place(void *ctx, const struct spec *spec, const char *key, char *buf, size_t size)
{
    (void)ctx;
    snprintf(buf, size, "%s.conf:%zu", spec->name, strlen(key));
}

static void report(void *ctx, const struct spec *spec, const char *key, const char *text)
{
    (void)ctx;
    buf_addf(&told, "%s %s: %s\n", spec->name, key, text);
}

static const char *faults(void)
{
    const struct graph_faults f = {.known = known, .inherited = inherited, .place = place, .report = report};

    graph_check(list.items, list.n, &f);
    return told.data;
}

START_TEST(unknown_names_are_told)
{
    add_all((const char *const[]){"db", "web@1", "web@2", "x", NULL});
    depend("x", DEP_AFTER, "db");
    depend("x", DEP_AFTER, "web");
    depend("x", DEP_REQUIRES, "web@2");
    depend("x", DEP_WANTS, "empty");
    depend("x", DEP_AFTER, "bd");
    depend("x", DEP_CONFLICTS, "elephant");
    depend("x", DEP_REQUIRES, "web@3");
    depend("web@1", DEP_AFTER, "nobody-has-it");
    depend("web@2", DEP_AFTER, "nobody-has-it");
    ck_assert_str_eq(faults(), "web@1 after: there is no service 'nobody-has-it'\n"
                               "x after: there is no service 'bd'; did you mean 'db'?\n"
                               "x requires: there is no service 'web@3'; did you mean 'web@1'?\n"
                               "x conflicts: there is no service 'elephant'\n");
}
END_TEST

START_TEST(nobody_depends_on_himself)
{
    add_all((const char *const[]){"a", "w@1", "w@2", NULL});
    depend("a", DEP_AFTER, "a");
    depend("a", DEP_WANTS, "a"); /* of `defaults` */
    depend("w@1", DEP_CONFLICTS, "w");
    depend("w@2", DEP_CONFLICTS, "w");
    ck_assert_str_eq(faults(), "a after: 'a' is the service itself: leave it out\n");
    build();
    ck_assert_uint_eq(flags("a", "a"), 0);
    ck_assert_uint_eq(flags("w@1", "w@2"), GRAPH_CONFLICTS);
    ck_assert_uint_eq(flags("w@1", "w@1"), 0);
}
END_TEST

START_TEST(contradictions_are_told)
{
    add_all((const char *const[]){"a", "b", NULL});
    depend("a", DEP_REQUIRES, "b");
    depend("b", DEP_CONFLICTS, "a");
    ck_assert_str_eq(faults(), "b conflicts: a requires b, and the two conflict: take one of these away\n");
}
END_TEST

START_TEST(a_circle_is_told_whole)
{
    add_all((const char *const[]){"a", "b", "c", "d", "e", NULL});
    depend("a", DEP_AFTER, "b");
    depend("c", DEP_BEFORE, "b");
    depend("c", DEP_AFTER, "a");
    depend("d", DEP_AFTER, "c");
    depend("c", DEP_AFTER, "e");
    ck_assert_str_eq(faults(),
                     "a after: the order goes round in a circle: a after b (a.conf:5), c before b (c.conf:6), "
                     "c after a (c.conf:5): take one of these away\n");
    /* Whoever comes to such a graph all the same is not stuck. */
    build();
    ck_assert_uint_gt(graph_level(graph, node("d")), graph_level(graph, node("c")));
    ck_assert_uint_gt(graph_level(graph, node("c")), graph_level(graph, node("e")));
}
END_TEST

START_TEST(edges_have_two_sides)
{
    static const struct {
        enum spec_dep dep;
        uint32_t forth;
        uint32_t back;
    } rows[] = {
        {DEP_AFTER, GRAPH_AFTER, GRAPH_BEFORE},
        {DEP_BEFORE, GRAPH_BEFORE, GRAPH_AFTER},
        {DEP_REQUIRES, GRAPH_REQUIRES, GRAPH_REQUIRED_BY},
        {DEP_REQUISITE, GRAPH_REQUISITE, GRAPH_REQUISITE_OF},
        {DEP_WANTS, GRAPH_WANTS, GRAPH_WANTED_BY},
        {DEP_BINDS_TO, GRAPH_BINDS_TO, GRAPH_BOUND_BY},
        {DEP_PART_OF, GRAPH_PART_OF, GRAPH_HAS_PART},
        {DEP_CONFLICTS, GRAPH_CONFLICTS, GRAPH_CONFLICTS},
    };
    char name[32];

    add("hub");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(name, sizeof(name), "x%zu", i);
        add(name);
        depend(name, rows[i].dep, "hub");
    }
    depend("x0", DEP_REQUIRES, "hub");
    depend("x0", DEP_REQUIRES, "hub");
    build();
    ck_assert_uint_eq(flags("x0", "hub"), GRAPH_AFTER | GRAPH_REQUIRES);
    ck_assert_uint_eq(flags("hub", "x0"), GRAPH_BEFORE | GRAPH_REQUIRED_BY);
    for (size_t i = 1; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(name, sizeof(name), "x%zu", i);
        ck_assert_uint_eq(flags(name, "hub"), rows[i].forth);
        ck_assert_uint_eq(flags("hub", name), rows[i].back);
    }
    ck_assert_uint_eq(graph_level(graph, node("hub")), 1); /* behind x1, which is before it */
    ck_assert_uint_eq(graph_level(graph, node("x0")), 2);
}
END_TEST

START_TEST(those_on_their_way_out_are_apart)
{
    /* web has got instances, and db has gone with the service that came after it. */
    bool leaving[] = {true, true, true, false, false};

    add_all((const char *const[]){"db", "old", "web", "web@1", "x", NULL});
    depend("x", DEP_AFTER, "web");
    depend("old", DEP_AFTER, "db");
    depend("old", DEP_AFTER, "x");
    depend("web", DEP_AFTER, "db");
    graph = graph_new(list.items, leaving, list.n);
    ck_assert_uint_eq(flags("x", "web@1"), GRAPH_AFTER);
    ck_assert_uint_eq(flags("x", "web"), 0);
    ck_assert_uint_eq(flags("old", "db"), GRAPH_AFTER);
    ck_assert_uint_eq(flags("web", "db"), GRAPH_AFTER);
    ck_assert_uint_eq(flags("old", "x"), 0);
}
END_TEST

START_TEST(a_set_is_reached_and_sorted)
{
    uint32_t seed;

    add_all((const char *const[]){"app", "cache", "db", "disk", "other", NULL});
    depend("app", DEP_REQUIRES, "db");
    depend("app", DEP_AFTER, "db");
    depend("app", DEP_WANTS, "cache");
    depend("db", DEP_BINDS_TO, "disk");
    depend("db", DEP_AFTER, "disk");
    depend("other", DEP_AFTER, "app");
    build();
    seed = node("app");
    struct graph_set set = graph_reach(graph, &seed, 1, GRAPH_PULLS);
    ck_assert_uint_eq(set.n, 4);
    ck_assert_uint_eq(set.nodes[0], node("cache"));
    ck_assert_uint_eq(set.nodes[1], node("disk"));
    ck_assert_uint_eq(set.nodes[2], node("db"));
    ck_assert_uint_eq(set.nodes[3], node("app"));
    ck_assert_uint_eq(set.via[1], node("db"));
    ck_assert_uint_eq(set.via[2], node("app"));
    ck_assert_uint_eq(set.via[3], GRAPH_NONE);
    graph_set_clear(&set);

    seed = node("disk");
    set = graph_reach(graph, &seed, 1, GRAPH_DEPENDS_ON_IT);
    ck_assert_uint_eq(set.n, 3);
    ck_assert_uint_eq(set.nodes[2], node("app"));
    graph_set_clear(&set);
}
END_TEST

/* ---- deciding ---- */

static const char *const need_names[] = {
    [GRAPH_NEED_NOTHING] = "-",   [GRAPH_NEED_READY] = "ready",   [GRAPH_NEED_STOP] = "stop",
    [GRAPH_NEED_START] = "start", [GRAPH_NEED_FAILED] = "failed", [GRAPH_NEED_YIELD] = "yield",
};

/* The states of the other that a start may meet. */
static const struct other {
    const char *name;
    enum svc_state state;
    bool down;
    bool idle;
    bool held;
} others[] = {
    {.name = "stopped", .state = SVC_STOPPED, .down = true},
    {.name = "waiting", .state = SVC_WAITING},
    {.name = "idle", .state = SVC_WAITING, .idle = true},
    {.name = "starting", .state = SVC_STARTING},
    {.name = "running", .state = SVC_RUNNING},
    {.name = "to be stopped", .state = SVC_RUNNING, .down = true, .held = true},
    {.name = "to be restarted", .state = SVC_RUNNING, .held = true},
    {.name = "being stopped", .state = SVC_STOPPING, .down = true},
    {.name = "being restarted", .state = SVC_STOPPING},
    {.name = "backoff", .state = SVC_BACKOFF},
    {.name = "exited", .state = SVC_EXITED},
    {.name = "failed", .state = SVC_FAILED},
};

static void put_state(struct svc *s, const struct other *other)
{
    s->state = other->state;
    s->desired_up = !other->down;
    s->idle = other->idle;
    s->stop_held = other->held;
    s->stop_cause = STOP_BY_COMMAND;
}

START_TEST(a_start_asks_its_neighbours)
{
    static const struct {
        const char *what;
        uint32_t deps; /* bits of enum spec_dep */
        const char *needs[sizeof(others) / sizeof(others[0])];
    } rows[] = {
        /*                stopped  waiting  idle     starting running  to stop  to rest. stopping restarting backoff exited failed */
        {"after", 1 << DEP_AFTER, {"-", "ready", "-", "ready", "-", "stop", "stop", "stop", "stop", "-", "-", "-"}},
        {"before", 1 << DEP_BEFORE, {"-", "-", "-", "-", "-", "stop", "stop", "stop", "stop", "-", "-", "-"}},
        {"wants", 1 << DEP_WANTS, {"-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}},
        {"part-of", 1 << DEP_PART_OF, {"-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}},
        {"requires",
         1 << DEP_REQUIRES,
         {"start", "-", "start", "-", "-", "stop", "-", "stop", "-", "-", "-", "failed"}},
        {"requires and after",
         1 << DEP_REQUIRES | 1 << DEP_AFTER,
         {"start", "ready", "start", "ready", "-", "stop", "stop", "stop", "stop", "ready", "-", "failed"}},
        {"binds-to and after",
         1 << DEP_BINDS_TO | 1 << DEP_AFTER,
         {"start", "ready", "start", "ready", "-", "stop", "stop", "stop", "stop", "ready", "failed", "failed"}},
        {"requisite",
         1 << DEP_REQUISITE,
         {"failed", "failed", "failed", "failed", "-", "stop", "-", "stop", "failed", "failed", "-", "failed"}},
        {"requisite and after",
         1 << DEP_REQUISITE | 1 << DEP_AFTER,
         {"failed", "ready", "failed", "ready", "-", "stop", "stop", "stop", "stop", "ready", "-", "failed"}},
        {"conflicts",
         1 << DEP_CONFLICTS,
         {"-", "yield", "yield", "yield", "yield", "stop", "stop", "stop", "stop", "yield", "-", "-"}},
    };

    add_all((const char *const[]){"a", "b", NULL});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct spec *spec = spec_list_find(&list, "b");

        for (size_t dep = 0; dep < SPEC_N_DEPS; dep++) {
            strv_free(spec->around->deps[dep]);
            spec_own_around(spec)->deps[dep] = rows[i].deps >> dep & 1 ? strv_push(NULL, xstrdup("a")) : NULL;
        }
        build();
        svc("b")->state = SVC_WAITING;
        for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
            size_t n;
            const struct graph_edge *edge = graph_edges(graph, node("b"), &n);

            put_state(svc("a"), &others[k]);
            ck_assert_uint_eq(n, 1);
            const char *need = need_names[graph_start_need(graph, node("b"), edge)];
            ck_assert_msg(strcmp(need, rows[i].needs[k]) == 0, "%s one that is %s: %s, wanted %s", rows[i].what,
                          others[k].name, need, rows[i].needs[k]);
        }
    }
}
END_TEST

/* It is not run for those who require it, and is in nobody's way. */
START_TEST(one_between_the_runs_of_its_schedule)
{
    add_all((const char *const[]){"a", "b", NULL});
    for (enum spec_dep dep = 0; dep < SPEC_N_DEPS; dep++)
        depend("b", dep, "a");
    build();
    svc("b")->state = svc("a")->state = SVC_WAITING;
    svc("a")->desired_up = svc("a")->idle = true;
    size_t n;
    const struct graph_edge *edge = graph_edges(graph, node("b"), &n);
    ck_assert_int_ne(graph_start_need(graph, node("b"), edge), GRAPH_NEED_NOTHING);
    svc("a")->rare.due.wall = 1;
    ck_assert_int_eq(graph_start_need(graph, node("b"), edge), GRAPH_NEED_NOTHING);
    svc("a")->idle = false;
    ck_assert_int_ne(graph_start_need(graph, node("b"), edge), GRAPH_NEED_NOTHING);
}
END_TEST

START_TEST(of_two_that_conflict_one_goes_first)
{
    size_t n;

    add_all((const char *const[]){"a", "b", NULL});
    depend("a", DEP_CONFLICTS, "b");
    build();
    svc("a")->state = svc("b")->state = SVC_WAITING;
    ck_assert_int_eq(graph_start_need(graph, 0, graph_edges(graph, 0, &n)), GRAPH_NEED_NOTHING);
    ck_assert_int_eq(graph_start_need(graph, 1, graph_edges(graph, 1, &n)), GRAPH_NEED_YIELD);
}
END_TEST

START_TEST(a_stop_waits_for_stops_behind_it)
{
    add_all((const char *const[]){"a", "b", "c", NULL});
    depend("b", DEP_AFTER, "a");
    depend("c", DEP_AFTER, "b");
    build();
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        bool waits = others[i].held || others[i].state == SVC_STOPPING;

        put_state(svc("b"), &others[i]);
        ck_assert_msg(graph_may_stop(graph, node("a")) == !waits, "%s", others[i].name);
        ck_assert(graph_may_stop(graph, node("c")));
    }
}
END_TEST

/* ---- looking ---- */

static void note(void *ctx, enum graph_do what, uint32_t who, uint32_t other)
{
    static const char *const names[] = {
        [GRAPH_DO_GO] = "go",       [GRAPH_DO_HOLD] = "hold", [GRAPH_DO_FAIL] = "fail", [GRAPH_DO_YIELD] = "yield",
        [GRAPH_DO_START] = "start", [GRAPH_DO_END] = "end",   [GRAPH_DO_STOP] = "stop", [GRAPH_DO_RESTART] = "restart",
    };

    (void)ctx;
    buf_addf(&told, "%s%s %s", told.len > 0 ? ", " : "", names[what], list.items[who]->name);
    if (other != GRAPH_NONE)
        buf_addf(&told, " by %s", list.items[other]->name);
}

static const char *look(const char *name)
{
    buf_reset(&told);
    buf_add_string(&told, "");
    graph_look(graph, node(name), note, NULL);
    return told.data;
}

START_TEST(a_look_tells_what_follows)
{
    add_all((const char *const[]){"app", "bound", "db", "web", NULL});
    depend("app", DEP_REQUIRES, "db");
    depend("app", DEP_AFTER, "db");
    depend("web", DEP_REQUIRES, "app");
    depend("web", DEP_AFTER, "app");
    depend("bound", DEP_BINDS_TO, "db");
    build();
    svc("web")->state = SVC_WAITING;
    svc("app")->state = SVC_WAITING;
    ck_assert_str_eq(look("app"), "start db by app, hold app");
    svc("db")->state = SVC_WAITING;
    ck_assert_str_eq(look("db"), "go db");
    svc("db")->state = SVC_RUNNING;
    svc("db")->started.mono = 5;
    ck_assert_str_eq(look("db"), "go app");
    svc("app")->state = SVC_STARTING;
    ck_assert_str_eq(look("app"), "");
    svc("app")->state = SVC_RUNNING;
    ck_assert_str_eq(look("app"), "go web");
    svc("web")->state = SVC_RUNNING;
    svc("bound")->state = SVC_RUNNING;

    /* Its end means something to the one that is bound to it only. */
    svc("db")->state = SVC_BACKOFF;
    svc("db")->ended_at = 9;
    ck_assert_str_eq(look("db"), "restart bound by db");
    svc("bound")->started.mono = 10;
    ck_assert_str_eq(look("db"), "");
    svc("db")->state = SVC_FAILED;
    ck_assert_str_eq(look("db"), "stop bound by db");
    svc("app")->state = SVC_WAITING;
    ck_assert_str_eq(look("app"), "fail app by db");

    /* Stops, from the end. */
    svc("db")->state = svc("app")->state = svc("bound")->state = SVC_RUNNING;
    svc("db")->stop_held = svc("app")->stop_held = true;
    svc("web")->state = SVC_STOPPING;
    svc("web")->desired_up = false;
    ck_assert_str_eq(look("web"), "");
    svc("web")->state = SVC_STOPPED;
    ck_assert_str_eq(look("web"), "end app");
    svc("app")->stop_held = false;
    svc("app")->state = SVC_STOPPING;
    svc("app")->desired_up = false;
    ck_assert_str_eq(look("app"), "");
    svc("app")->state = SVC_STOPPED;
    ck_assert_str_eq(look("app"), "end db");
}
END_TEST

static bool is_missing(void *ctx, const char *name)
{
    return strcmp(ctx, name) == 0;
}

START_TEST(a_name_that_is_missing_is_found)
{
    char missing[] = "db@3";
    const char *key = "";

    add("app");
    ck_assert_ptr_null(graph_missing_name(list.items[0], is_missing, missing, &key));
    depend("app", DEP_WANTS, "db@2");
    depend("app", DEP_BINDS_TO, "cache");
    ck_assert_ptr_null(graph_missing_name(list.items[0], is_missing, missing, &key));
    depend("app", DEP_BINDS_TO, "db@3");
    ck_assert_str_eq(graph_missing_name(list.items[0], is_missing, missing, &key), "db@3");
    ck_assert_str_eq(key, "binds-to");
}
END_TEST

START_TEST(words_are_for_people)
{
    struct svc s = {.state = SVC_FAILED, .rare.reason = "exit 1"};
    char buf[128];

    ck_assert_str_eq(graph_need_words(GRAPH_NEED_READY, "db", 0, buf, sizeof(buf)), "for db to be ready");
    ck_assert_str_eq(graph_need_words(GRAPH_NEED_STOP, "db", 2, buf, sizeof(buf)), "for db and 2 more to stop");
    graph_failure_words(&s, "db", buf, sizeof(buf));
    ck_assert_str_eq(buf, "db failed: exit 1");
    s.state = SVC_EXITED;
    graph_failure_words(&s, "db", buf, sizeof(buf));
    ck_assert_str_eq(buf, "db has ended: exit 1");
    s.state = SVC_STOPPED;
    graph_failure_words(&s, "db", buf, sizeof(buf));
    ck_assert_str_eq(buf, "db is not running");
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("graph");
    TCase *tc = tcase_create("graph");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, unknown_names_are_told);
    tcase_add_test(tc, nobody_depends_on_himself);
    tcase_add_test(tc, contradictions_are_told);
    tcase_add_test(tc, a_circle_is_told_whole);
    tcase_add_test(tc, edges_have_two_sides);
    tcase_add_test(tc, those_on_their_way_out_are_apart);
    tcase_add_test(tc, a_set_is_reached_and_sorted);
    tcase_add_test(tc, a_start_asks_its_neighbours);
    tcase_add_test(tc, one_between_the_runs_of_its_schedule);
    tcase_add_test(tc, of_two_that_conflict_one_goes_first);
    tcase_add_test(tc, a_stop_waits_for_stops_behind_it);
    tcase_add_test(tc, a_look_tells_what_follows);
    tcase_add_test(tc, a_name_that_is_missing_is_found);
    tcase_add_test(tc, words_are_for_people);
    suite_add_tcase(suite, tc);
    return suite;
}
