/* SPDX-License-Identifier: MIT */
/*
 * What is shown of the order of services.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "core/graph.h"
#include "core/proto.h"
#include "supd/order.h"

static bool waits_for_start(const struct svc *svc)
{
    return svc->state == SVC_WAITING && svc_is_queued(svc);
}

/* What SERVICE asks of the neighbour over EDGE in what it waits for. */
static enum graph_need need_of(const struct service *service, const struct graph *graph, const struct graph_edge *edge)
{
    if (waits_for_start(service->svc))
        return graph_start_need(graph, service->node, edge);
    return service->svc->stop_held ? graph_stop_need(graph, edge) : GRAPH_NEED_NOTHING;
}

const char *order_words(const struct service *service, char *buf, size_t size)
{
    const struct graph *graph = order_graph(service->sup);
    enum graph_need first = GRAPH_NEED_NOTHING;
    const struct service *other = NULL;
    size_t more = 0;
    size_t n;
    const struct graph_edge *edges = graph_edges(graph, service->node, &n);

    if (!waits_for_start(service->svc) && !service->svc->stop_held)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        enum graph_need need = need_of(service, graph, &edges[i]);

        if (need == GRAPH_NEED_NOTHING)
            continue;
        if (first == GRAPH_NEED_NOTHING) {
            first = need;
            other = order_service(service->sup, edges[i].to);
        } else if (need == first) {
            more++;
        }
    }
    if (other)
        return graph_need_words(first, other->spec->name, more, buf, size);
    if (service->queued != QUEUED_FOR_SLOT)
        return NULL;
    snprintf(buf, size, "for a start slot");
    return buf;
}

static const struct {
    const char *key;
    uint32_t flag;
} lists[] = {
    {"after", GRAPH_AFTER}, {"before", GRAPH_BEFORE},     {"requires", GRAPH_REQUIRES}, {"requisite", GRAPH_REQUISITE},
    {"wants", GRAPH_WANTS}, {"binds-to", GRAPH_BINDS_TO}, {"part-of", GRAPH_PART_OF},   {"conflicts", GRAPH_CONFLICTS},
};

static json_t *names_of(const struct service *service, uint32_t flag)
{
    json_t *array = json_array();
    size_t n;
    const struct graph_edge *edges = graph_edges(order_graph(service->sup), service->node, &n);

    for (size_t i = 0; i < n; i++) {
        const struct service *other = order_service(service->sup, edges[i].to);

        if (other && (edges[i].flags & flag))
            json_array_append_new(array, proto_string(other->spec->name));
    }
    return array;
}

static json_t *waits_for(const struct service *service)
{
    static const char *const what[] = {
        [GRAPH_NEED_NOTHING] = "",    [GRAPH_NEED_READY] = "ready",  [GRAPH_NEED_STOP] = "stop",
        [GRAPH_NEED_START] = "start", [GRAPH_NEED_FAILED] = "ready", [GRAPH_NEED_YIELD] = "stop",
    };
    const struct graph *graph = order_graph(service->sup);
    json_t *array = json_array();
    size_t n;
    const struct graph_edge *edges = graph_edges(graph, service->node, &n);

    for (size_t i = 0; i < n; i++) {
        enum graph_need need = need_of(service, graph, &edges[i]);
        const struct service *other = order_service(service->sup, edges[i].to);

        if (other && need != GRAPH_NEED_NOTHING)
            json_array_append_new(array, json_pack("{s:s, s:s}", "name", other->spec->name, "for", what[need]));
    }
    return array;
}

static json_t *view_one(const struct service *service, bool asked)
{
    const struct svc *svc = service->svc;
    char words[SVC_REASON_WORDS_MAX];
    const char *reason = order_words(service, words, sizeof words);
    json_t *object = json_object();

    if (!reason)
        reason = svc_reason_words(svc, words, sizeof words);
    json_object_set_new(object, "name", proto_string(service->spec->name));
    json_object_set_new(object, "asked", json_boolean(asked));
    json_object_set_new(object, "state", json_string(svc_state_name(svc->state)));
    json_object_set_new(object, "desired", json_string(svc->desired_up ? "up" : "down"));
    json_object_set_new(object, "pid", svc_has_process(svc) ? json_integer(svc->proc.pid) : json_null());
    json_object_set_new(object, "since", proto_seconds(svc->since.wall));
    json_object_set_new(object, "reason", proto_string(reason));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        json_object_set_new(object, lists[i].key, names_of(service, lists[i].flag));
    json_object_set_new(object, "waits-for", waits_for(service));
    return object;
}

json_t *order_view(struct supervisor *sup, struct service **services, size_t n)
{
    json_t *array = json_array();

    if (!sup->order) {
        for (size_t i = 0; i < n; i++)
            json_array_append_new(array, view_one(services[i], true));
        return array;
    }
    uint32_t *seeds = xcalloc(n + 1, sizeof(*seeds));
    for (size_t i = 0; i < n; i++)
        seeds[i] = services[i]->node;
    struct graph_set set =
        graph_reach(order_graph(sup), seeds, n, GRAPH_AFTER | GRAPH_NEEDS | GRAPH_WANTS | GRAPH_PART_OF);
    for (size_t i = 0; i < set.n; i++) {
        const struct service *service = order_service(sup, set.nodes[i]);

        if (service)
            json_array_append_new(array, view_one(service, set.via[i] == GRAPH_NONE));
    }
    graph_set_clear(&set);
    free(seeds);
    return array;
}
