/* SPDX-License-Identifier: MIT */
#include "supd/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/graph.h"
#include "core/service_keep.h"

struct order {
    struct graph *graph;
    struct service **services; /* by node; NULL once it is gone */
    size_t n;
};

struct graph *order_graph(const struct supervisor *sup)
{
    return sup->order ? sup->order->graph : NULL;
}

struct service *order_service(const struct supervisor *sup, uint32_t node)
{
    return sup->order && node < sup->order->n ? sup->order->services[node] : NULL;
}

/* ---- the graph ---- */

void order_free(struct supervisor *sup)
{
    if (!sup->order)
        return;
    graph_free(sup->order->graph);
    free(sup->order->services);
    free(sup->order);
    sup->order = NULL;
}

static bool says_anything(const struct supervisor *sup)
{
    for (const struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        for (size_t dep = 0; dep < SPEC_N_DEPS; dep++) {
            if (s->spec->around->deps[dep])
                return true;
        }
    }
    return false;
}

void order_build(struct supervisor *sup)
{
    size_t n = sup->by_name.n;
    uint32_t node = 0;

    order_free(sup);
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link))
        s->node = GRAPH_NONE;
    if (says_anything(sup)) {
        struct spec **specs = xcalloc(n, sizeof(*specs));
        bool *leaving = xcalloc(n, sizeof(*leaving));
        struct order *order = xcalloc(1, sizeof *order);

        order->services = xcalloc(n, sizeof(*order->services));
        order->n = n;
        for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link), node++) {
            specs[node] = s->spec;
            leaving[node] = s->removing;
            order->services[node] = s;
            s->node = node;
        }
        order->graph = graph_new(specs, leaving, n);
        for (uint32_t i = 0; i < n; i++)
            graph_watch(order->graph, i, order->services[i]->svc);
        sup->order = order;
        free(specs);
        free(leaving);
    }
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link))
        order_touch(s);
}

void order_service_gone(struct service *service)
{
    struct supervisor *sup = service->sup;

    if (service->touched)
        TAILQ_REMOVE(&sup->touched, service, touch_link);
    if (!sup->order || service->node >= sup->order->n)
        return;
    sup->order->services[service->node] = NULL;
    graph_watch(sup->order->graph, service->node, NULL);
}

void order_state_kept(const struct service *service)
{
    const struct order *order = service->sup->order;

    if (order && service->node < order->n)
        graph_watch(order->graph, service->node, service->svc);
}

bool order_concerns(const struct service *service)
{
    size_t n;

    graph_edges(order_graph(service->sup), service->node, &n);
    return n > 0;
}

bool order_holds_stop(const struct service *service)
{
    return order_concerns(service) && !graph_may_stop(order_graph(service->sup), service->node);
}

/* ---- what follows from a change ---- */

void order_touch(struct service *service)
{
    /* One that waits for its start or stop is looked at also when nobody concerns it any more. */
    bool waits = service->svc->state == SVC_WAITING || service->svc->stop_held;

    if (service->touched || !(waits || order_concerns(service)))
        return;
    service->touched = true;
    TAILQ_INSERT_TAIL(&service->sup->touched, service, touch_link);
    queue_wake(service->sup);
}

/* NODE does not start because of OTHER. */
static void call_off(struct service *service, enum graph_do what, const struct service *other)
{
    char text[SVC_REASON_MAX];

    if (what == GRAPH_DO_FAIL)
        graph_failure_words(other->svc, other->spec->name, text, sizeof text);
    else
        snprintf(text, sizeof text, "conflicts with %s, which is %s", other->spec->name,
                 svc_state_name(other->svc->state));
    service_event(service, &(struct svc_event){.type = SVC_EV_CALL_OFF, .text = text});
}

static void stop_all(struct supervisor *sup, struct service *service, const char *text)
{
    struct graph_set set = graph_reach(sup->order->graph, &service->node, 1, GRAPH_DEPENDS_ON_IT);

    for (size_t i = set.n; i-- > 0;) {
        struct service *each = order_service(sup, set.nodes[i]);
        const struct service *via = order_service(sup, set.via[i]);
        char with[SVC_REASON_MAX];

        if (!each || each->svc->state == SVC_STOPPED)
            continue;
        if (via)
            snprintf(with, sizeof with, "stopped with %s", via->spec->name);
        service_event(each, &(struct svc_event){.type = SVC_EV_STOP, .text = via ? with : text});
    }
    graph_set_clear(&set);
}

/* The end of OTHER, to which SERVICE is bound. */
static void follow_bond(struct service *service, enum graph_do what, const struct service *other)
{
    char text[SVC_REASON_MAX];

    if (what == GRAPH_DO_STOP) {
        graph_failure_words(other->svc, other->spec->name, text, sizeof text);
        stop_all(service->sup, service, text);
        return;
    }
    snprintf(text, sizeof text, "restarted with %s: %.160s", other->spec->name, svc_rare(other->svc)->reason);
    service_event(service, &(struct svc_event){.type = SVC_EV_RESTART, .text = text});
}

static void end_held(struct service *service)
{
    service_event(service, &(struct svc_event){.type = SVC_EV_STOP_NOW});
    if (service->sup->hurry)
        service_event(service, &(struct svc_event){.type = SVC_EV_HURRY});
}

struct look {
    struct supervisor *sup;
    bool in_turn; /* its turn to be forked has come: tell whether it may */
    bool go;
};

static void on_do(void *ctx, enum graph_do what, uint32_t node, uint32_t other_node)
{
    struct look *look = ctx;
    struct service *service = order_service(look->sup, node);
    const struct service *other = order_service(look->sup, other_node);
    char text[SVC_REASON_MAX];

    switch (what) {
    case GRAPH_DO_GO:
        look->go = true;
        if (!look->in_turn)
            queue_start(service);
        break;
    case GRAPH_DO_HOLD:
        if (!look->in_turn)
            queue_leave(service);
        break;
    case GRAPH_DO_FAIL:
    case GRAPH_DO_YIELD:
        call_off(service, what, other);
        break;
    case GRAPH_DO_START:
        snprintf(text, sizeof text, "required by %s", other->spec->name);
        service_event(service, &(struct svc_event){.type = SVC_EV_START, .text = text});
        break;
    case GRAPH_DO_END:
        end_held(service);
        break;
    case GRAPH_DO_STOP:
    case GRAPH_DO_RESTART:
        follow_bond(service, what, other);
        break;
    }
}

/* Nobody concerns it, perhaps any more. */
static void look_at_alone(struct service *service)
{
    if (service->svc->state == SVC_WAITING && svc_is_queued(service->svc))
        queue_start(service);
    if (service->svc->stop_held)
        end_held(service);
}

void order_look(struct supervisor *sup)
{
    struct look look = {.sup = sup};
    struct service *service;

    while ((service = TAILQ_FIRST(&sup->touched))) {
        TAILQ_REMOVE(&sup->touched, service, touch_link);
        service->touched = false;
        if (order_concerns(service))
            graph_look(sup->order->graph, service->node, on_do, &look);
        else
            look_at_alone(service);
    }
}

bool order_may_start(struct service *service)
{
    struct look look = {.sup = service->sup, .in_turn = true};

    if (!order_concerns(service))
        return true;
    graph_look_at_start(service->sup->order->graph, service->node, on_do, &look);
    return look.go;
}

/* ---- what a command means to others ---- */

static int compare_for_stop(const void *a, const void *b)
{
    const struct service *x = *(struct service *const *)a;
    const struct service *y = *(struct service *const *)b;
    uint32_t level_x = graph_level(order_graph(x->sup), x->node);
    uint32_t level_y = graph_level(order_graph(y->sup), y->node);

    if (level_x != level_y)
        return level_x > level_y ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static int compare_last_first(const void *a, const void *b)
{
    const struct service *x = *(struct service *const *)a;
    const struct service *y = *(struct service *const *)b;
    bool same = graph_level(order_graph(x->sup), x->node) == graph_level(order_graph(y->sup), y->node);

    return same ? compare_for_stop(b, a) : compare_for_stop(a, b);
}

void order_sort_for_stop(struct service **services, size_t n, bool last_first)
{
    if (n > 1 && services[0]->sup->order)
        qsort(services, n, sizeof(*services), last_first ? compare_last_first : compare_for_stop);
}

static void add_step(struct order_plan *plan, struct order_step step)
{
    plan->steps = xreallocarray(plan->steps, plan->n + 1, sizeof(*plan->steps));
    plan->steps[plan->n++] = step;
}

void order_plan_clear(struct order_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        free(plan->steps[i].note);
    free(plan->steps);
    free(plan->refusal);
    *plan = (struct order_plan){0};
}

static uint32_t edge_flags(const struct graph *graph, uint32_t from, uint32_t to)
{
    size_t n;
    const struct graph_edge *edges = graph_edges(graph, from, &n);

    for (size_t i = 0; i < n; i++) {
        if (edges[i].to == to)
            return edges[i].flags;
    }
    return 0;
}

/* Is it up, or on its way, and not to be stopped? */
static bool comes_or_is_there(const struct svc *svc)
{
    if (svc->stop_held && !svc->desired_up)
        return false;
    return svc->state == SVC_RUNNING || svc->state == SVC_STARTING ||
           (svc->state == SVC_WAITING && svc_is_queued(svc)) || (svc->state == SVC_STOPPING && svc->desired_up);
}

static bool is_down(const struct svc *svc)
{
    return svc->state == SVC_STOPPED || svc->state == SVC_EXITED || svc->state == SVC_FAILED;
}

/* What ties a service to one that goes down, in words that follow "it". */
static const char *tie_words(uint32_t flags)
{
    if (flags & GRAPH_BINDS_TO)
        return "is bound to";
    if (flags & GRAPH_REQUIRES)
        return "requires";
    return flags & GRAPH_REQUISITE ? "needs" : "is part of";
}

/* Those that depend on the SEEDS, and with ALSO they themselves: EVENT, a stop or restart. */
static void plan_down(struct supervisor *sup, struct order_plan *plan, enum svc_event_type event, const uint32_t *seeds,
                      size_t n, const char *conflicts_with)
{
    const struct graph *graph = sup->order->graph;
    struct graph_set set = graph_reach(graph, seeds, n, GRAPH_DEPENDS_ON_IT);

    for (size_t i = set.n; i-- > 0;) {
        struct service *service = order_service(sup, set.nodes[i]);
        const struct service *via = order_service(sup, set.via[i]);
        bool up = service && (service->svc->state == SVC_RUNNING || service->svc->state == SVC_STARTING);

        if (!service)
            continue;
        if (!via && !conflicts_with) {
            add_step(plan, (struct order_step){.service = service, .event = event, .asked = true});
            continue;
        }
        if (event == SVC_EV_RESTART ? !up || (service->svc->stop_held && !service->svc->desired_up)
                                    : service->svc->state == SVC_STOPPED)
            continue;
        char *note =
            via ? xasprintf("it %s %s", tie_words(edge_flags(graph, service->node, via->node)), via->spec->name)
                : xasprintf("it conflicts with %s", conflicts_with);
        add_step(plan, (struct order_step){.service = service, .event = event, .note = note});
    }
    graph_set_clear(&set);
}

static bool set_has(const struct graph_set *set, uint32_t node)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->nodes[i] == node)
            return true;
    }
    return false;
}

/* Those that conflict with one of SET are ended first.  False: one of them is in SET. */
static bool plan_conflicts(struct supervisor *sup, struct order_plan *plan, const struct graph_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct service *service = order_service(sup, set->nodes[i]);
        size_t n;
        const struct graph_edge *edges = graph_edges(sup->order->graph, set->nodes[i], &n);

        for (size_t k = 0; service && k < n; k++) {
            const struct service *other = order_service(sup, edges[k].to);

            if (!(edges[k].flags & GRAPH_CONFLICTS) || !other)
                continue;
            if (set_has(set, edges[k].to)) {
                plan->refusal = xasprintf("%s and %s conflict: they cannot be started together", service->spec->name,
                                          other->spec->name);
                return false;
            }
            if (!is_down(other->svc))
                plan_down(sup, plan, SVC_EV_STOP, &edges[k].to, 1, service->spec->name);
        }
    }
    return true;
}

/* The requirements of those that are to come up, and with ASKED they themselves, from the first. */
static void plan_up(struct supervisor *sup, struct order_plan *plan, const uint32_t *seeds, size_t n, bool asked)
{
    const struct graph *graph = sup->order->graph;
    struct graph_set set = graph_reach(graph, seeds, n, GRAPH_PULLS);

    if (!plan_conflicts(sup, plan, &set)) {
        graph_set_clear(&set);
        return;
    }
    for (size_t i = 0; i < set.n; i++) {
        struct service *service = order_service(sup, set.nodes[i]);
        const struct service *via = order_service(sup, set.via[i]);

        if (!service)
            continue;
        if (!via) {
            if (asked)
                add_step(plan, (struct order_step){.service = service, .event = SVC_EV_START, .asked = true});
            continue;
        }
        if (comes_or_is_there(service->svc) || service->removing)
            continue;
        bool wanted = !(edge_flags(graph, via->node, service->node) & (GRAPH_REQUIRES | GRAPH_BINDS_TO));
        add_step(plan, (struct order_step){
                           .service = service,
                           .event = SVC_EV_START,
                           .wanted = wanted,
                           .note = xasprintf("%s by %s", wanted ? "wanted" : "required", via->spec->name),
                       });
    }
    graph_set_clear(&set);
}

static uint32_t *nodes_of(struct service **services, size_t n)
{
    uint32_t *nodes = xcalloc(n + 1, sizeof(*nodes));

    for (size_t i = 0; i < n; i++)
        nodes[i] = services[i]->node;
    return nodes;
}

struct order_plan order_plan(struct supervisor *sup, enum svc_event_type event, struct service **services, size_t n)
{
    struct order_plan plan = {0};
    bool concerned = false;

    for (size_t i = 0; i < n; i++)
        concerned = concerned || order_concerns(services[i]);
    if (!concerned || (event != SVC_EV_START && event != SVC_EV_STOP && event != SVC_EV_RESTART)) {
        for (size_t i = 0; i < n; i++)
            add_step(&plan, (struct order_step){.service = services[i], .event = event, .asked = true});
        return plan;
    }

    uint32_t *seeds = nodes_of(services, n);
    if (event != SVC_EV_STOP)
        plan_up(sup, &plan, seeds, n, event == SVC_EV_START);
    if (event != SVC_EV_START && !plan.refusal)
        plan_down(sup, &plan, event, seeds, n, NULL);
    free(seeds);
    return plan;
}

void order_pull(struct supervisor *sup, struct service **services, size_t n)
{
    struct order_plan plan = {0};
    uint32_t *seeds = nodes_of(services, n);

    if (sup->order && n > 0)
        plan_up(sup, &plan, seeds, n, false);
    for (size_t i = 0; i < plan.n; i++) {
        const struct order_step *step = &plan.steps[i];

        /* Those that run are not stopped by a new configuration. */
        if (step->event == SVC_EV_START)
            service_event(step->service, &(struct svc_event){.type = SVC_EV_START, .text = step->note});
    }
    if (plan.refusal)
        log_warning("%s", plan.refusal);
    free(seeds);
    order_plan_clear(&plan);
}

void order_pull_fresh(struct supervisor *sup, struct service **fresh, size_t n)
{
    if (!sup->order)
        return;
    uint32_t *seeds = xcalloc(n + 1, sizeof(*seeds));
    bool *is_fresh = xcalloc(sup->order->n + 1, sizeof(*is_fresh));
    size_t n_seeds = 0;

    for (size_t i = 0; i < n; i++) {
        is_fresh[fresh[i]->node] = true;
        if (fresh[i]->svc->desired_up)
            seeds[n_seeds++] = fresh[i]->node;
    }
    struct graph_set set = graph_reach(sup->order->graph, seeds, n_seeds, GRAPH_PULLS);
    for (size_t i = 0; i < set.n; i++) {
        struct service *service = order_service(sup, set.nodes[i]);
        struct svc svc = svc_kept(service->svc);

        if (!is_fresh[set.nodes[i]] || svc.desired_up)
            continue;
        svc.desired_up = true;
        svc.rare.reason[0] = '\0';
        service_restore(service, &svc);
    }
    graph_set_clear(&set);
    free(seeds);
    free(is_fresh);
}
