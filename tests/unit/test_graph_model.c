/* SPDX-License-Identifier: MIT */
/*
 * The graph and the state machine of services together, on random graphs under a model of time: a service is ready one
 * tick after its fork and gone one tick after its stop-signal.  What has to hold is checked by a table of its own of who
 * depends on whom, not by the graph.  MODEL_SEED=N in the environment plays one seed again.  Where the tests run
 * slower, TEST_SLOWER times, it takes so many graphs less.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/strv.h"
#include "check_main.h"
#include "core/graph.h"

#define GRAPHS 10000
#define NODES_MAX 12
#define TICK USEC_PER_SEC
#define TICKS_MAX 400 /* by then nothing can be on its way any more */

/* A service, and its process as the kernel knows it. */
struct body {
    struct spec *spec;
    struct svc svc;
    bool alive;
    int64_t exec_at; /* tick; 0: nothing comes */
    int64_t exit_at;
    struct exit_info exit;
    bool touched;
    bool wants_slot;
    int64_t started_at; /* tick of its last fork */
    int64_t stopped_at; /* tick at which its last stop began */
};

static struct world {
    uint64_t seed;
    uint64_t random;
    uint64_t rng;
    size_t n;
    struct body bodies[NODES_MAX];
    bool says[SPEC_N_DEPS][NODES_MAX][NODES_MAX]; /* [dep][who][whom] */
    struct graph *graph;
    int64_t tick;
    size_t slots; /* 0: no bound */
    size_t most_starting;
    bool shutdown;
} w;

static uint64_t draw(void)
{
    w.random ^= w.random << 13;
    w.random ^= w.random >> 7;
    w.random ^= w.random << 17;
    return w.random;
}

static size_t below(size_t n)
{
    return draw() % n;
}

static struct timestamp now(void)
{
    return (struct timestamp){.mono = w.tick * TICK, .wall = w.tick * TICK};
}

/* ---- what has to hold ---- */

static bool after(size_t who, size_t whom)
{
    return w.says[DEP_AFTER][who][whom] || w.says[DEP_BEFORE][whom][who];
}

static bool needs(size_t who, size_t whom)
{
    return w.says[DEP_REQUIRES][who][whom] || w.says[DEP_BINDS_TO][who][whom];
}

static bool conflict(size_t a, size_t b)
{
    return w.says[DEP_CONFLICTS][a][b] || w.says[DEP_CONFLICTS][b][a];
}

#define HOLDS(condition, what, a, b)                                                                               \
    ck_assert_msg(condition, "MODEL_SEED=%" PRIu64 " tick %" PRId64 ": n%zu " what " n%zu, which is %s%s", w.seed, \
                  w.tick, a, b, svc_state_name(w.bodies[b].svc.state), w.bodies[b].svc.stop_held ? ", held" : "")

static bool being_stopped(const struct svc *svc)
{
    return svc->stop_held || (svc->state == SVC_STOPPING && svc->stop_cause == STOP_BY_COMMAND);
}

static void check_start(size_t i)
{
    for (size_t k = 0; k < w.n; k++) {
        const struct svc *svc = &w.bodies[k].svc;
        bool up = svc->state == SVC_RUNNING && !being_stopped(svc);

        if (k == i)
            continue;
        HOLDS(!conflict(i, k) || !w.bodies[k].alive, "starts beside", i, k);
        if (after(i, k)) {
            HOLDS(svc->state != SVC_STARTING && svc->state != SVC_WAITING, "starts too early after", i, k);
            if (w.says[DEP_BINDS_TO][i][k])
                HOLDS(up, "starts without the one that it is bound to,", i, k);
            else if (w.says[DEP_REQUIRES][i][k])
                HOLDS(up || svc->state == SVC_EXITED, "starts without", i, k);
        }
        if (after(i, k) || after(k, i))
            HOLDS(!being_stopped(svc), "starts during the stop of", i, k);
    }
}

static void check_stop(size_t i)
{
    for (size_t k = 0; k < w.n; k++) {
        if (after(k, i))
            HOLDS(!being_stopped(&w.bodies[k].svc), "is stopped before", i, k);
        if (after(k, i) && needs(k, i) && !w.bodies[i].svc.desired_up)
            HOLDS(!w.bodies[k].alive, "is stopped under", i, k);
    }
}

/* ---- a small supervisor ---- */

static void feed(size_t i, struct svc_event event);

static void touch(size_t i)
{
    w.bodies[i].touched = true;
}

static void fork_it(size_t i)
{
    struct body *b = &w.bodies[i];

    b->alive = true;
    b->started_at = w.tick;
    b->exec_at = w.tick + 1;
    b->exit_at = 0;
    feed(i,
         (struct svc_event){
             .type = SVC_EV_FORKED, .life = b->svc.life, .pid = (int32_t)(100 + i), .stop = svc_stop_params(b->spec)});
}

static void carry_out(size_t i, struct svc_action action)
{
    struct body *b = &w.bodies[i];

    switch (action.type) {
    case ACT_FORK:
        fork_it(i);
        break;
    case ACT_SIGNAL_MAIN:
    case ACT_SIGNAL_GROUP:
        b->exec_at = 0;
        if (b->alive && b->exit_at == 0) {
            b->exit_at = w.tick + 1;
            b->exit = (struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = action.signal};
        }
        break;
    case ACT_CHECK_GROUP:
        feed(i, (struct svc_event){.type = SVC_EV_GROUP, .life = b->svc.life});
        break;
    default:
        break;
    }
}

static void feed(size_t i, struct svc_event event)
{
    struct body *b = &w.bodies[i];
    struct svc_actions actions;
    bool was_up = b->svc.state == SVC_STARTING || b->svc.state == SVC_RUNNING;

    svc_step(&b->svc, b->spec, &event, now(), &w.rng, &actions);
    touch(i);
    if (was_up && b->svc.state == SVC_STOPPING && b->svc.stop_cause == STOP_BY_COMMAND) {
        b->stopped_at = w.tick;
        check_stop(i);
    }
    for (size_t k = 0; k < actions.n; k++)
        carry_out(i, actions.items[k]);
}

/* A stop, restart or shutdown waits where others go first. */
static void feed_stop(size_t i, enum svc_event_type type)
{
    feed(i, (struct svc_event){.type = type, .hold = !graph_may_stop(w.graph, (uint32_t)i)});
}

static void stop_with_dependents(size_t i)
{
    uint32_t seed = (uint32_t)i;
    struct graph_set set = graph_reach(w.graph, &seed, 1, GRAPH_DEPENDS_ON_IT);

    for (size_t k = set.n; k-- > 0;) {
        if (w.bodies[set.nodes[k]].svc.state != SVC_STOPPED)
            feed_stop(set.nodes[k], SVC_EV_STOP);
    }
    graph_set_clear(&set);
}

static bool is_coming_or_there(const struct svc *svc)
{
    return !being_stopped(svc) &&
           (svc->state == SVC_RUNNING || svc->state == SVC_STARTING || svc->state == SVC_WAITING) && svc->desired_up;
}

static void start_with_requirements(size_t i)
{
    uint32_t seed = (uint32_t)i;
    struct graph_set set = graph_reach(w.graph, &seed, 1, GRAPH_PULLS);

    for (size_t k = 0; k < set.n; k++) {
        for (size_t other = 0; other < w.n; other++) {
            if (conflict(set.nodes[k], other) && w.bodies[other].svc.desired_up)
                stop_with_dependents(other);
        }
    }
    for (size_t k = 0; k < set.n; k++) {
        if (!is_coming_or_there(&w.bodies[set.nodes[k]].svc))
            feed(set.nodes[k], (struct svc_event){.type = SVC_EV_START});
    }
    graph_set_clear(&set);
}

static void restart_with_dependents(size_t i)
{
    uint32_t seed = (uint32_t)i;
    struct graph_set set = graph_reach(w.graph, &seed, 1, GRAPH_DEPENDS_ON_IT);

    for (size_t k = set.n; k-- > 0;) {
        enum svc_state state = w.bodies[set.nodes[k]].svc.state;

        if (state == SVC_RUNNING || state == SVC_STARTING)
            feed_stop(set.nodes[k], SVC_EV_RESTART);
    }
    graph_set_clear(&set);
}

static void shutdown_all(void)
{
    uint32_t seeds[NODES_MAX];

    w.shutdown = true;
    for (uint32_t i = 0; i < w.n; i++)
        seeds[i] = i;
    struct graph_set set = graph_reach(w.graph, seeds, w.n, 0);
    for (size_t k = set.n; k-- > 0;)
        feed_stop(set.nodes[k], SVC_EV_SHUTDOWN);
    graph_set_clear(&set);
}

static size_t n_starting(void)
{
    size_t n = 0;

    for (size_t i = 0; i < w.n; i++)
        n += w.bodies[i].svc.state == SVC_STARTING;
    return n;
}

static void go(size_t i)
{
    if (w.slots > 0 && n_starting() >= w.slots) {
        w.bodies[i].wants_slot = true;
        return;
    }
    check_start(i);
    feed(i, (struct svc_event){.type = SVC_EV_SLOT});
    if (n_starting() > w.most_starting)
        w.most_starting = n_starting();
}

static void do_it(void *ctx, enum graph_do what, uint32_t node, uint32_t other)
{
    (void)ctx;
    switch (what) {
    case GRAPH_DO_GO:
        go(node);
        break;
    case GRAPH_DO_HOLD:
        break;
    case GRAPH_DO_FAIL:
    case GRAPH_DO_YIELD:
        feed(node, (struct svc_event){.type = SVC_EV_CALL_OFF, .text = "other"});
        break;
    case GRAPH_DO_START:
        feed(node, (struct svc_event){.type = SVC_EV_START});
        break;
    case GRAPH_DO_END:
        feed(node, (struct svc_event){.type = SVC_EV_STOP_NOW});
        break;
    case GRAPH_DO_STOP:
        stop_with_dependents(node);
        break;
    case GRAPH_DO_RESTART:
        feed_stop(node, SVC_EV_RESTART);
        break;
    }
    (void)other;
}

/* True: somebody had changed. */
static bool look_once(void)
{
    bool any = false;

    for (uint32_t i = 0; i < w.n; i++) {
        struct body *b = &w.bodies[i];

        if (!b->touched && !(b->wants_slot && n_starting() < w.slots))
            continue;
        b->touched = b->wants_slot = false;
        graph_look(w.graph, i, do_it, NULL);
        any = true;
    }
    return any;
}

/* Looks until nothing follows any more in this tick. */
static void settle(void)
{
    for (size_t rounds = 0; look_once(); rounds++)
        ck_assert_msg(rounds < 1000, "MODEL_SEED=%" PRIu64 " tick %" PRId64 ": there is no end of it", w.seed, w.tick);
}

/* What the kernel and the clock bring in this tick. */
static void pass(void)
{
    w.tick++;
    for (size_t i = 0; i < w.n; i++) {
        struct body *b = &w.bodies[i];

        if (b->alive && b->exec_at == w.tick) {
            feed(i, (struct svc_event){.type = SVC_EV_EXECED, .life = b->svc.life, .start_ticks = 1});
            if (b->spec->type == TYPE_ONESHOT && b->exit_at == 0) {
                b->exit_at = w.tick + 1;
                b->exit = (struct exit_info){.how = EXIT_HOW_EXITED, .code = below(6) == 0};
            }
        }
        if (b->alive && b->exit_at == w.tick) {
            b->alive = false;
            feed(i, (struct svc_event){.type = SVC_EV_EXITED, .life = b->svc.life, .exit = b->exit, .start_ticks = 1});
        }
        if (b->svc.deadline != 0 && b->svc.deadline <= now().mono)
            feed(i, (struct svc_event){.type = SVC_EV_DEADLINE});
    }
    settle();
}

/* ---- worlds ---- */

static void clear_world(void)
{
    graph_free(w.graph);
    for (size_t i = 0; i < NODES_MAX; i++) {
        for (size_t dep = 0; w.bodies[i].spec && dep < SPEC_N_DEPS; dep++) {
            strv_free(w.bodies[i].spec->around->deps[dep]);
            spec_own_around(w.bodies[i].spec)->deps[dep] = NULL;
        }
        w.bodies[i] = (struct body){.spec = w.bodies[i].spec};
    }
    memset(w.says, 0, sizeof w.says);
    w.graph = NULL;
    w.tick = 1;
    w.slots = 0;
    w.most_starting = 0;
    w.shutdown = false;
}

static void new_world(uint64_t seed)
{
    clear_world();
    w.seed = seed;
    w.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    w.rng = seed;
    for (int i = 0; i < 8; i++)
        draw();
    w.n = 2 + below(NODES_MAX - 1);
    for (size_t i = 0; i < w.n; i++) {
        char name[32];

        snprintf(name, sizeof name, "n%02zu", i);
        if (w.bodies[i].spec == NULL)
            w.bodies[i].spec = spec_new(name);
        struct spec *spec = w.bodies[i].spec;
        spec->type = TYPE_SIMPLE;
        spec->remain_after_exit = false;
        spec_own_life(spec)->restart = RESTART_ALWAYS;
        spec_own_life(spec)->restart_delay = 0;
        spec_own_life(spec)->start_timeout = 0;
    }
}

static void say(enum spec_dep dep, size_t who, size_t whom)
{
    if (w.says[dep][who][whom])
        return;
    w.says[dep][who][whom] = true;
    spec_own_around(w.bodies[who].spec)->deps[dep] =
        strv_push(spec_own_around(w.bodies[who].spec)->deps[dep], xstrdup(w.bodies[whom].spec->name));
}

/* In the order of a permutation, so that there is no circle. */
static void shuffle(size_t *order)
{
    for (size_t i = 0; i < w.n; i++)
        order[i] = i;
    for (size_t i = w.n; i-- > 1;) {
        size_t k = below(i + 1);
        size_t other = order[k];

        order[k] = order[i];
        order[i] = other;
    }
}

static void say_order(size_t later, size_t earlier)
{
    if (draw() & 1)
        say(DEP_AFTER, later, earlier);
    else
        say(DEP_BEFORE, earlier, later);
}

static void build(void)
{
    struct spec *specs[NODES_MAX];

    for (size_t i = 0; i < w.n; i++)
        specs[i] = w.bodies[i].spec;
    w.graph = graph_new(specs, NULL, w.n);
    for (uint32_t i = 0; i < w.n; i++) {
        svc_init(&w.bodies[i].svc, specs[i], now());
        graph_watch(w.graph, i, &w.bodies[i].svc);
    }
}

static uint64_t first_seed(void)
{
    const char *seed = getenv("MODEL_SEED");

    return seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * GRAPHS;
}

static size_t n_graphs(void)
{
    const char *slower = getenv("TEST_SLOWER");
    unsigned long by = slower ? strtoul(slower, NULL, 10) : 1;

    return getenv("MODEL_SEED") ? 1 : GRAPHS / (by > 0 ? by : 1);
}

static void for_each_world(void (*try)(void))
{
    uint64_t seed = first_seed();

    for (size_t i = 0; i < n_graphs(); i++) {
        new_world(seed + i);
        try();
    }
    clear_world();
    for (size_t i = 0; i < NODES_MAX; i++) {
        spec_free(w.bodies[i].spec);
        w.bodies[i].spec = NULL;
    }
}

/* ---- as fast as the graph allows ---- */

static size_t longest[NODES_MAX];

/* The longest chain before each, or with BACK behind each, by going over all pairs until nothing changes. */
static void find_longest(bool back)
{
    bool changed = true;

    memset(longest, 0, sizeof longest);
    while (changed) {
        changed = false;
        for (size_t i = 0; i < w.n; i++) {
            for (size_t k = 0; k < w.n; k++) {
                if (!(back ? after(k, i) : after(i, k)) || longest[i] > longest[k])
                    continue;
                longest[i] = longest[k] + 1;
                changed = true;
            }
        }
    }
}

static void try_speed(void)
{
    size_t order[NODES_MAX];

    shuffle(order);
    for (size_t i = 0; i < w.n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (below(3) != 0)
                continue;
            say_order(order[i], order[k]);
            if (below(2) == 0)
                say((enum spec_dep)(DEP_REQUIRES + below(DEP_CONFLICTS - DEP_REQUIRES)), order[i], order[k]);
        }
    }
    build();
    int64_t begin = w.tick;
    for (size_t i = 0; i < w.n; i++)
        feed(i, (struct svc_event){.type = SVC_EV_BOOT});
    settle();
    for (size_t i = 0; i <= w.n; i++)
        pass();
    find_longest(false);
    for (size_t i = 0; i < w.n; i++)
        ck_assert_msg(w.bodies[i].started_at - begin == (int64_t)longest[i],
                      "MODEL_SEED=%" PRIu64 ": n%zu began at %" PRId64 ", its longest chain is %zu", w.seed, i,
                      w.bodies[i].started_at - begin, longest[i]);

    begin = w.tick;
    shutdown_all();
    settle();
    for (size_t i = 0; i <= w.n; i++)
        pass();
    find_longest(true);
    for (size_t i = 0; i < w.n; i++) {
        ck_assert_int_eq(w.bodies[i].svc.state, SVC_STOPPED);
        ck_assert_msg(w.bodies[i].stopped_at - begin == (int64_t)longest[i],
                      "MODEL_SEED=%" PRIu64 ": the stop of n%zu began at %" PRId64
                      ", the longest chain behind it is %zu",
                      w.seed, i, w.bodies[i].stopped_at - begin, longest[i]);
    }
}

START_TEST(start_and_stop_take_the_longest_path)
{
    for_each_world(try_speed);
}
END_TEST

/* ---- whatever happens ---- */

static void say_at_random(void)
{
    size_t order[NODES_MAX];

    shuffle(order);
    for (size_t i = 0; i < w.n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (below(3) == 0)
                say_order(order[i], order[k]);
            if (below(4) == 0)
                say((enum spec_dep)(DEP_REQUIRES + below(DEP_CONFLICTS - DEP_REQUIRES)), order[i], order[k]);
            else if (below(12) == 0)
                say(DEP_CONFLICTS, order[i], order[k]);
        }
    }
    for (size_t i = 0; i < w.n; i++) {
        struct spec *spec = w.bodies[i].spec;

        spec->enabled = below(4) != 0;
        if (below(4) == 0) {
            spec->type = TYPE_ONESHOT;
            spec->remain_after_exit = draw() & 1;
        }
        spec_own_life(spec)->restart =
            (enum restart_policy[]){RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS}[below(3)];
        if (spec->type == TYPE_ONESHOT && spec->life->restart == RESTART_ALWAYS)
            spec_own_life(spec)->restart = RESTART_NO;
        spec_own_life(spec)->restart_delay = (int64_t)below(3) * TICK;
        spec_own_life(spec)->restart_delay_max = 2 * TICK;
        spec_own_life(spec)->restart_limit = 3;
    }
    w.slots = below(4);
}

static void crash_one(size_t i)
{
    struct body *b = &w.bodies[i];

    if (!b->alive)
        return;
    b->exec_at = 0;
    b->exit_at = w.tick + 1;
    b->exit = draw() & 1 ? (struct exit_info){.how = EXIT_HOW_EXITED, .code = (int)below(2)}
                         : (struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = SIGKILL};
}

/* supd dies and comes back: what is in memory only is lost, and everything is looked at. */
static void new_supd(void)
{
    for (size_t i = 0; i < w.n; i++) {
        struct body *b = &w.bodies[i];

        b->svc.stop_held = b->svc.stop_held && !b->svc.shutting_down;
        b->svc.shutting_down = false;
        if (svc_has_process(&b->svc)) {
            b->exec_at = 0;
            feed(i, (struct svc_event){.type = SVC_EV_ADOPTED, .life = b->svc.life});
            if (b->spec->type == TYPE_ONESHOT && b->exit_at == 0)
                b->exit_at = w.tick + 1;
        }
    }
    for (size_t i = 0; i < w.n; i++) {
        feed(i, (struct svc_event){.type = SVC_EV_BOOT});
        touch(i);
    }
}

static void do_something(void)
{
    size_t i = below(w.n);

    switch (below(8)) {
    case 0:
        start_with_requirements(i);
        break;
    case 1:
        stop_with_dependents(i);
        break;
    case 2:
        restart_with_dependents(i);
        break;
    case 3:
    case 4:
        crash_one(i);
        break;
    case 5:
        if (below(4) == 0)
            new_supd();
        break;
    default:
        break;
    }
}

static bool is_at_rest(const struct body *b)
{
    return b->svc.state != SVC_WAITING && b->svc.state != SVC_STARTING && b->svc.state != SVC_STOPPING &&
           b->svc.state != SVC_BACKOFF && !b->svc.stop_held;
}

static bool all_at_rest(void)
{
    for (size_t i = 0; i < w.n; i++) {
        if (!is_at_rest(&w.bodies[i]))
            return false;
    }
    return true;
}

static void come_to_rest(void)
{
    int64_t until = w.tick + TICKS_MAX;

    while (!all_at_rest() && w.tick < until)
        pass();
    for (size_t i = 0; i < w.n; i++)
        ck_assert_msg(is_at_rest(&w.bodies[i]), "MODEL_SEED=%" PRIu64 ": n%zu is %s%s for ever: %s", w.seed, i,
                      svc_state_name(w.bodies[i].svc.state), w.bodies[i].svc.stop_held ? " and held" : "",
                      w.bodies[i].svc.rare.reason);
}

/* Nobody runs whose bond, or conflict, forbids it. */
static void check_rest(void)
{
    for (size_t i = 0; i < w.n; i++) {
        for (size_t k = 0; k < w.n; k++) {
            if (i == k || w.bodies[i].svc.state != SVC_RUNNING)
                continue;
            if (w.says[DEP_BINDS_TO][i][k])
                HOLDS(w.bodies[k].svc.state == SVC_RUNNING, "runs on without", i, k);
            HOLDS(!conflict(i, k) || w.bodies[k].svc.state != SVC_RUNNING, "runs beside", i, k);
        }
    }
}

static void try_life(void)
{
    say_at_random();
    build();
    for (size_t i = 0; i < w.n; i++)
        feed(i, (struct svc_event){.type = SVC_EV_BOOT});
    settle();
    for (int step = 0; step < 30; step++) {
        do_something();
        settle();
        if (draw() & 1)
            pass();
    }
    come_to_rest();
    check_rest();
    ck_assert_msg(w.slots == 0 || w.most_starting <= w.slots, "MODEL_SEED=%" PRIu64 ": %zu started at once", w.seed,
                  w.most_starting);
    start_with_requirements(below(w.n));
    shutdown_all();
    settle();
    come_to_rest();
    for (size_t i = 0; i < w.n; i++)
        ck_assert(!w.bodies[i].alive);
}

START_TEST(nothing_breaks_the_order)
{
    for_each_world(try_life);
}
END_TEST

/* ---- circles ---- */

static char told[4096];

static bool nobody_else(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return false;
}

static bool not_inherited(void *ctx, const struct spec *spec, const char *key)
{
    (void)ctx;
    (void)spec;
    (void)key;
    return false;
}

static void place(void *ctx, const struct spec *spec, const char *key, char *buf, size_t size)
{
    (void)ctx;
    snprintf(buf, size, "%s:%s", spec->name, key);
}

static void report(void *ctx, const struct spec *spec, const char *key, const char *text)
{
    (void)ctx;
    (void)spec;
    (void)key;
    snprintf(told, sizeof told, "%s", text);
}

/* By the closure of "comes after", over all triples. */
static bool has_circle(void)
{
    bool reach[NODES_MAX][NODES_MAX];
    bool any = false;

    for (size_t i = 0; i < w.n; i++) {
        for (size_t k = 0; k < w.n; k++)
            reach[i][k] = after(i, k);
    }
    for (size_t m = 0; m < w.n; m++) {
        for (size_t i = 0; i < w.n; i++) {
            for (size_t k = 0; k < w.n; k++)
                reach[i][k] = reach[i][k] || (reach[i][m] && reach[m][k]);
        }
    }
    for (size_t i = 0; i < w.n; i++)
        any = any || reach[i][i];
    return any;
}

/* Does what was told go round, each part of it being what somebody says? */
static void check_told(void)
{
    char *at = strstr(told, "circle: ");
    size_t first = SIZE_MAX;
    size_t last = SIZE_MAX;
    size_t who;
    size_t whom;
    size_t by;
    char word[8];
    char key[8];
    int len;

    ck_assert_msg(at != NULL, "MODEL_SEED=%" PRIu64 ": %s", w.seed, told);
    at += strlen("circle: ");
    while (sscanf(at, "n%2zu %7[a-z] n%2zu (n%2zu:%7[a-z])%n", &who, word, &whom, &by, key, &len) == 5) {
        bool is_after = strcmp(word, "after") == 0;
        size_t later = is_after ? who : whom;

        ck_assert_msg(w.says[is_after ? DEP_AFTER : DEP_BEFORE][who][whom] && by == who && strcmp(word, key) == 0,
                      "MODEL_SEED=%" PRIu64 ": %s", w.seed, told);
        ck_assert_msg(last == SIZE_MAX || later == last, "MODEL_SEED=%" PRIu64 ": %s", w.seed, told);
        if (first == SIZE_MAX)
            first = later;
        last = is_after ? whom : who;
        at += len;
        at += strspn(at, ", ");
    }
    ck_assert_msg(first == last && first != SIZE_MAX, "MODEL_SEED=%" PRIu64 ": %s", w.seed, told);
}

static void try_circle(void)
{
    const struct graph_faults faults = {
        .known = nobody_else, .inherited = not_inherited, .place = place, .report = report};
    struct spec *specs[NODES_MAX];

    for (size_t n = below(2 * w.n); n > 0; n--) {
        size_t i = below(w.n);
        size_t k = below(w.n);

        if (i != k)
            say(draw() & 1 ? DEP_AFTER : DEP_BEFORE, i, k);
    }
    for (size_t i = 0; i < w.n; i++)
        specs[i] = w.bodies[i].spec;
    told[0] = '\0';
    graph_check(specs, w.n, &faults);
    ck_assert_msg((told[0] != '\0') == has_circle(), "MODEL_SEED=%" PRIu64 ": %s", w.seed, told);
    if (told[0] != '\0')
        check_told();
}

START_TEST(every_circle_is_found)
{
    for_each_world(try_circle);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("graph_model");
    TCase *tc = tcase_create("graph_model");

    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, start_and_stop_take_the_longest_path);
    tcase_add_test(tc, nothing_breaks_the_order);
    tcase_add_test(tc, every_circle_is_found);
    suite_add_tcase(suite, tc);
    return suite;
}
