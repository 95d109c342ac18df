/* SPDX-License-Identifier: MIT */
/*
 * What follows from the states of services for those beside them in the graph.
 */
#include <stdio.h>
#include <string.h>

#include "core/graph_inner.h"

/* ---- states ---- */

/* Was its stop asked for, whether it is under way or waits for others? */
static bool goes_down(const struct svc *svc)
{
    if (svc->stop_held)
        return true;
    return svc->state == SVC_STOPPING && (svc->stop_cause == STOP_BY_COMMAND || !svc->desired_up || svc->shutting_down);
}

/* Does it wait for its start, and for nothing from outside? */
static bool waits_for_start(const struct svc *svc)
{
    return svc->state == SVC_WAITING && svc_is_queued(svc);
}

static bool comes_up(const struct svc *svc)
{
    return waits_for_start(svc) || svc->state == SVC_STARTING || (svc->state == SVC_STOPPING && svc->desired_up);
}

/* Of its schedule: then it is as it should be, and in nobody's way. */
static bool is_between_runs(const struct svc *svc)
{
    return svc->state == SVC_WAITING && svc->idle && svc_rare(svc)->due.wall != 0;
}

static bool is_up(const struct svc *svc)
{
    return svc->state == SVC_RUNNING || svc->state == SVC_STARTING;
}

/* ---- what one asks of another ---- */

/* It must be gone before NODE starts.  Where both have been waiting, the first by name goes first. */
static enum graph_need conflict_need(uint32_t node, uint32_t other, const struct svc *svc)
{
    if (goes_down(svc) || svc->state == SVC_STOPPING)
        return GRAPH_NEED_STOP;
    switch (svc->state) {
    case SVC_WAITING:
        return other < node ? GRAPH_NEED_YIELD : GRAPH_NEED_NOTHING;
    case SVC_STARTING:
    case SVC_RUNNING:
    case SVC_BACKOFF:
        return GRAPH_NEED_YIELD;
    case SVC_STOPPED:
    case SVC_STOPPING:
    case SVC_EXITED:
    case SVC_FAILED:
    case SVC_N_STATES:
        break;
    }
    return GRAPH_NEED_NOTHING;
}

/* Of one that is required, and that the order lets us not wait for. */
static enum graph_need requirement_need(uint32_t flags, const struct svc *svc)
{
    enum graph_need down = flags & GRAPH_REQUISITE ? GRAPH_NEED_FAILED : GRAPH_NEED_START;
    enum graph_need on_its_way = flags & GRAPH_REQUISITE ? GRAPH_NEED_FAILED : GRAPH_NEED_NOTHING;

    switch (svc->state) {
    case SVC_RUNNING:
        return GRAPH_NEED_NOTHING;
    case SVC_EXITED:
        return flags & GRAPH_BINDS_TO ? GRAPH_NEED_FAILED : GRAPH_NEED_NOTHING;
    case SVC_FAILED:
        return GRAPH_NEED_FAILED;
    case SVC_STOPPED:
        return down;
    case SVC_WAITING:
        return waits_for_start(svc) ? on_its_way : down;
    case SVC_STARTING:
    case SVC_STOPPING:
    case SVC_BACKOFF:
    case SVC_N_STATES:
        break;
    }
    return on_its_way;
}

enum graph_need graph_start_need(const struct graph *graph, uint32_t node, const struct graph_edge *edge)
{
    const struct svc *svc = graph->svcs[edge->to];
    uint32_t flags = edge->flags;
    bool needed = (flags & GRAPH_NEEDS) != 0;

    if (svc == NULL || is_between_runs(svc))
        return GRAPH_NEED_NOTHING;
    if (flags & GRAPH_CONFLICTS) {
        enum graph_need need = conflict_need(node, edge->to, svc);

        if (need != GRAPH_NEED_NOTHING)
            return need;
    }
    /* One that goes down for good is started again once it has. */
    if (goes_down(svc) && ((flags & (GRAPH_AFTER | GRAPH_BEFORE)) || (needed && !svc->desired_up)))
        return GRAPH_NEED_STOP;
    if ((flags & GRAPH_AFTER) && (comes_up(svc) || (needed && svc->state == SVC_BACKOFF)))
        return GRAPH_NEED_READY;
    return needed ? requirement_need(flags, svc) : GRAPH_NEED_NOTHING;
}

enum graph_need graph_stop_need(const struct graph *graph, const struct graph_edge *edge)
{
    const struct svc *svc = graph->svcs[edge->to];

    return (edge->flags & GRAPH_BEFORE) && svc != NULL && goes_down(svc) ? GRAPH_NEED_STOP : GRAPH_NEED_NOTHING;
}

/* ---- looking ---- */

bool graph_may_stop(struct graph *graph, uint32_t node)
{
    size_t n;
    const struct graph_edge *edges = graph_edges(graph, node, &n);

    /* Behind one that thousands come after, each of those that have stopped is passed but twice. */
    for (size_t i = 0; i < n; i++) {
        size_t at = (graph->cursor[node] + i) % n;

        if (graph_stop_need(graph, &edges[at]) != GRAPH_NEED_NOTHING) {
            graph->cursor[node] = (uint32_t)at;
            return false;
        }
    }
    return true;
}

/* ALL: go on behind the first that is in the way, for there may be others that are to be started, or have failed. */
static void look_at_start(struct graph *graph, uint32_t node, bool all, graph_do_fn fn, void *ctx)
{
    bool held = false;
    size_t n;
    const struct graph_edge *edges = graph_edges(graph, node, &n);
    size_t begin = n > 0 ? graph->cursor[node] % n : 0;

    for (size_t i = 0; i < n; i++) {
        size_t at = (begin + i) % n;
        enum graph_need need = graph_start_need(graph, node, &edges[at]);

        if (need == GRAPH_NEED_NOTHING)
            continue;
        graph->cursor[node] = (uint32_t)at;
        held = true;
        if (need == GRAPH_NEED_FAILED || need == GRAPH_NEED_YIELD) {
            fn(ctx, need == GRAPH_NEED_FAILED ? GRAPH_DO_FAIL : GRAPH_DO_YIELD, node, edges[at].to);
            return;
        }
        if (need == GRAPH_NEED_START)
            fn(ctx, GRAPH_DO_START, edges[at].to, node);
        else if (!all)
            break;
    }
    fn(ctx, held ? GRAPH_DO_HOLD : GRAPH_DO_GO, node, GRAPH_NONE);
}

void graph_look_at_start(struct graph *graph, uint32_t node, graph_do_fn fn, void *ctx)
{
    look_at_start(graph, node, true, fn, ctx);
}

static void look_at_stop(struct graph *graph, uint32_t node, graph_do_fn fn, void *ctx)
{
    if (graph_may_stop(graph, node))
        fn(ctx, GRAPH_DO_END, node, GRAPH_NONE);
}

/* The same edge from its other end: each flag has its counterpart beside it. */
static struct graph_edge mirror(uint32_t node, const struct graph_edge *edge)
{
    uint32_t pairs = edge->flags & (GRAPH_CONFLICTS - 1);
    uint32_t even = UINT32_C(0x55555555);

    return (struct graph_edge){node, (pairs & even) << 1 | (pairs >> 1 & even) | (edge->flags & GRAPH_CONFLICTS)};
}

/* SVC, bound to OTHER, runs: what does the end of OTHER mean to it? */
static void look_at_bond(const struct svc *other, uint32_t other_node, const struct svc *svc, uint32_t node,
                         graph_do_fn fn, void *ctx)
{
    bool again = other->state == SVC_BACKOFF || (other->state == SVC_WAITING && other->next_is_restart);

    if (!is_up(svc) || goes_down(svc))
        return;
    if (other->state == SVC_EXITED || other->state == SVC_FAILED)
        fn(ctx, GRAPH_DO_STOP, node, other_node);
    else if (again && svc->started.mono <= other->ended_at)
        fn(ctx, GRAPH_DO_RESTART, node, other_node);
}

/* NODE waits for its start; the neighbour over EDGE has changed. */
static void look_again(struct graph *graph, uint32_t node, const struct graph_edge *edge, graph_do_fn fn, void *ctx)
{
    size_t n;
    const struct graph_edge *edges = graph_edges(graph, node, &n);
    enum graph_need need = graph_start_need(graph, node, edge);
    bool turns = need == GRAPH_NEED_FAILED || need == GRAPH_NEED_YIELD || need == GRAPH_NEED_START;

    if (!turns && graph_start_need(graph, node, &edges[graph->cursor[node] % n]) != GRAPH_NEED_NOTHING)
        return;
    look_at_start(graph, node, turns, fn, ctx);
}

/* What is done changes states, and where they are: each is asked for when it is looked at. */
static bool is_held_up(const struct graph *graph, uint32_t node)
{
    return node < graph->n && graph->svcs[node] != NULL && waits_for_start(graph->svcs[node]);
}

static bool is_held_down(const struct graph *graph, uint32_t node)
{
    return node < graph->n && graph->svcs[node] != NULL && graph->svcs[node]->stop_held;
}

void graph_look(struct graph *graph, uint32_t node, graph_do_fn fn, void *ctx)
{
    size_t n;
    const struct graph_edge *edges = graph_edges(graph, node, &n);

    if (is_held_up(graph, node))
        look_at_start(graph, node, true, fn, ctx);
    if (is_held_down(graph, node))
        look_at_stop(graph, node, fn, ctx);
    for (size_t i = 0; i < n; i++) {
        struct graph_edge back = mirror(node, &edges[i]);
        uint32_t to = edges[i].to;

        if ((edges[i].flags & GRAPH_BOUND_BY) && graph->svcs[node] != NULL && graph->svcs[to] != NULL)
            look_at_bond(graph->svcs[node], node, graph->svcs[to], to, fn, ctx);
        if (is_held_up(graph, to))
            look_again(graph, to, &back, fn, ctx);
        if (is_held_down(graph, to))
            look_at_stop(graph, to, fn, ctx);
    }
}

/* ---- words ---- */

const char *graph_need_words(enum graph_need need, const char *other, size_t more, char *buf, size_t size)
{
    static const char *const what[] = {
        [GRAPH_NEED_NOTHING] = "be there", [GRAPH_NEED_READY] = "be ready", [GRAPH_NEED_STOP] = "stop",
        [GRAPH_NEED_START] = "be started", [GRAPH_NEED_FAILED] = "be up",   [GRAPH_NEED_YIELD] = "end",
    };
    char others[32] = "";

    if (more > 0)
        snprintf(others, sizeof(others), " and %zu more", more);
    snprintf(buf, size, "for %s%s to %s", other, others, what[need]);
    return buf;
}

void graph_failure_words(const struct svc *other, const char *name, char *buf, size_t size)
{
    if (other->state == SVC_FAILED)
        snprintf(buf, size, "%s failed: %s", name, svc_rare(other)->reason);
    else if (other->state == SVC_EXITED)
        snprintf(buf, size, "%s has ended: %s", name, svc_rare(other)->reason);
    else
        snprintf(buf, size, "%s is not running", name);
}

const char *graph_flag_word(uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *word;
    } words[] = {
        {GRAPH_BINDS_TO, "binds-to"}, {GRAPH_REQUIRES, "requires"},   {GRAPH_REQUISITE, "requisite"},
        {GRAPH_WANTS, "wants"},       {GRAPH_PART_OF, "part-of"},     {GRAPH_AFTER, "after"},
        {GRAPH_BEFORE, "before"},     {GRAPH_CONFLICTS, "conflicts"},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (flags & words[i].flag)
            return words[i].word;
    }
    return NULL;
}
