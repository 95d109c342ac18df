/* SPDX-License-Identifier: MIT */
#include "core/graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/graph_inner.h"
#include "core/instance.h"

/* Of each key, what the one that it names is to the service, and the service to it. */
static const struct {
    uint32_t forth;
    uint32_t back;
} sides[SPEC_N_DEPS] = {
    [DEP_AFTER] = {GRAPH_AFTER, GRAPH_BEFORE},
    [DEP_BEFORE] = {GRAPH_BEFORE, GRAPH_AFTER},
    [DEP_REQUIRES] = {GRAPH_REQUIRES, GRAPH_REQUIRED_BY},
    [DEP_REQUISITE] = {GRAPH_REQUISITE, GRAPH_REQUISITE_OF},
    [DEP_WANTS] = {GRAPH_WANTS, GRAPH_WANTED_BY},
    [DEP_BINDS_TO] = {GRAPH_BINDS_TO, GRAPH_BOUND_BY},
    [DEP_PART_OF] = {GRAPH_PART_OF, GRAPH_HAS_PART},
    [DEP_CONFLICTS] = {GRAPH_CONFLICTS, GRAPH_CONFLICTS},
};

/* ---- names ---- */

static bool leaves(const bool *leaving, size_t i)
{
    return leaving != NULL && leaving[i];
}

/* Is NAME an instance of BASE? */
static bool is_instance_of(const char *name, const char *base)
{
    size_t len = instance_base_len(name);

    return name[len] != '\0' && strlen(base) == len && strncmp(name, base, len) == 0;
}

size_t graph_resolve(struct spec *const *specs, const bool *leaving, size_t n, size_t from, const char *word,
                     size_t *count)
{
    size_t low = 0;
    size_t high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (instance_compare(specs[middle]->name, word) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    /* While a service is on its way out there may be instances of its name already, or the other way round. */
    if (low < n && strcmp(specs[low]->name, word) == 0) {
        *count = 1;
        if (leaves(leaving, low) == leaves(leaving, from))
            return low;
        low++;
    }
    while (low < n && is_instance_of(specs[low]->name, word) && leaves(leaving, low) != leaves(leaving, from))
        low++;
    *count = 0;
    while (low + *count < n && is_instance_of(specs[low + *count]->name, word) &&
           leaves(leaving, low + *count) == leaves(leaving, from))
        (*count)++;
    return low;
}

/* ---- edges ---- */

/* One side of a dependency, before it is put in its place. */
struct half {
    uint32_t from;
    struct graph_edge edge;
};

struct halves {
    struct half *items;
    size_t n;
    size_t room;
};

static void add_half(struct halves *halves, size_t from, size_t to, uint32_t flags)
{
    if (halves->n == halves->room) {
        halves->room = halves->room > 0 ? 2 * halves->room : 64;
        halves->items = xreallocarray(halves->items, halves->room, sizeof(*halves->items));
    }
    halves->items[halves->n++] = (struct half){(uint32_t)from, {(uint32_t)to, flags}};
}

/* All that specs[I] says.  False: it is too much. */
static bool add_halves(struct halves *halves, struct spec *const *specs, const bool *leaving, size_t n, size_t i)
{
    for (size_t dep = 0; dep < SPEC_N_DEPS; dep++) {
        char *const *words = specs[i]->around->deps[dep];

        for (; words != NULL && *words != NULL; words++) {
            size_t count;
            size_t to = graph_resolve(specs, leaving, n, i, *words, &count);

            if (halves->n / 2 + count > GRAPH_MAX)
                return false;
            for (size_t end = to + count; to < end; to++) {
                if (to == i)
                    continue;
                add_half(halves, i, to, sides[dep].forth);
                add_half(halves, to, i, sides[dep].back);
            }
        }
    }
    return true;
}

static int compare_edges(const void *a, const void *b)
{
    const struct graph_edge *x = a;
    const struct graph_edge *y = b;

    return (x->to > y->to) - (x->to < y->to);
}

/* Several edges to the same neighbour become one.  Returns how many are left. */
static size_t merge_edges(struct graph_edge *edges, size_t n)
{
    size_t kept = 0;

    if (n > 1)
        qsort(edges, n, sizeof(*edges), compare_edges);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && edges[kept - 1].to == edges[i].to)
            edges[kept - 1].flags |= edges[i].flags;
        else
            edges[kept++] = edges[i];
    }
    return kept;
}

/* Each half to its node, in time linear to their number. */
static void place_halves(struct graph *graph, const struct halves *halves)
{
    size_t *next = xcalloc(graph->n + 1, sizeof(*next));
    size_t kept = 0;

    for (size_t i = 0; i < halves->n; i++)
        graph->first[halves->items[i].from + 1]++;
    for (size_t i = 0; i < graph->n; i++)
        graph->first[i + 1] += graph->first[i];
    memcpy(next, graph->first, (graph->n + 1) * sizeof(*next));
    graph->edges = xcalloc(halves->n + 1, sizeof(*graph->edges));
    for (size_t i = 0; i < halves->n; i++)
        graph->edges[next[halves->items[i].from]++] = halves->items[i].edge;

    for (size_t i = 0; i < graph->n; i++) {
        struct graph_edge *from = &graph->edges[graph->first[i]];
        size_t n = merge_edges(from, graph->first[i + 1] - graph->first[i]);

        memmove(&graph->edges[kept], from, n * sizeof(*from));
        graph->first[i] = kept;
        kept += n;
    }
    graph->first[graph->n] = kept;
    graph->edges = xreallocarray(graph->edges, kept + 1, sizeof(*graph->edges));
    free(next);
}

bool graph_connect(struct graph *graph, struct spec *const *specs, const bool *leaving, size_t n)
{
    struct halves halves = {0};
    bool ok = true;

    graph->n = n;
    graph->first = xcalloc(n + 1, sizeof(*graph->first));
    graph->level = xcalloc(n + 1, sizeof(*graph->level));
    graph->cursor = xcalloc(n + 1, sizeof(*graph->cursor));
    graph->svcs = xcalloc(n + 1, sizeof(*graph->svcs));
    for (size_t i = 0; ok && i < n; i++)
        ok = add_halves(&halves, specs, leaving, n, i);
    place_halves(graph, &halves);
    free(halves.items);
    return ok;
}

const struct graph_edge *graph_edges(const struct graph *graph, uint32_t node, size_t *n)
{
    *n = 0;
    if (graph == NULL || node >= graph->n)
        return NULL;
    *n = graph->first[node + 1] - graph->first[node];
    return &graph->edges[graph->first[node]];
}

/* ---- the order ---- */

/* How many of its neighbours NODE comes after that have no level yet. */
static void count_before(const struct graph *graph, uint32_t *missing)
{
    for (uint32_t node = 0; node < graph->n; node++) {
        size_t n;
        const struct graph_edge *edges = graph_edges(graph, node, &n);

        for (size_t i = 0; i < n; i++)
            missing[node] += (edges[i].flags & GRAPH_AFTER) != 0;
    }
}

/* From one that has no level always to one before it that has none either: it must come round. */
static uint32_t *walk_circle(const struct graph *graph, const uint32_t *missing, size_t *len)
{
    uint32_t *path = xcalloc(graph->n + 1, sizeof(*path));
    uint32_t *place = xcalloc(graph->n, sizeof(*place)); /* in the path, from 1 */
    uint32_t node = 0;
    uint32_t walked = 0;

    while (missing[node] == 0)
        node++;
    while (place[node] == 0) {
        size_t n;
        const struct graph_edge *edges = graph_edges(graph, node, &n);
        size_t i = 0;

        path[walked++] = node;
        place[node] = walked;
        while ((edges[i].flags & GRAPH_AFTER) == 0 || missing[edges[i].to] == 0)
            i++;
        node = edges[i].to;
    }
    *len = walked - (place[node] - 1);
    memmove(path, path + (place[node] - 1), *len * sizeof(*path));
    free(place);
    return path;
}

size_t graph_find_levels(struct graph *graph, uint32_t **circle, size_t *len)
{
    uint32_t *missing = xcalloc(graph->n + 1, sizeof(*missing));
    uint32_t *queue = xcalloc(graph->n + 1, sizeof(*queue));
    size_t known = 0;

    count_before(graph, missing);
    memset(graph->level, 0, graph->n * sizeof(*graph->level));
    for (uint32_t node = 0; node < graph->n; node++) {
        if (missing[node] == 0)
            queue[known++] = node;
    }
    for (size_t done = 0; done < known; done++) {
        size_t n;
        const struct graph_edge *edges = graph_edges(graph, queue[done], &n);

        for (size_t i = 0; i < n; i++) {
            uint32_t to = edges[i].to;

            if ((edges[i].flags & GRAPH_BEFORE) == 0)
                continue;
            if (graph->level[to] <= graph->level[queue[done]])
                graph->level[to] = graph->level[queue[done]] + 1;
            if (--missing[to] == 0)
                queue[known++] = to;
        }
    }
    if (known < graph->n && circle != NULL)
        *circle = walk_circle(graph, missing, len);
    free(missing);
    free(queue);
    return graph->n - known;
}

/* FROM is not after TO any more. */
static void cut(struct graph *graph, uint32_t from, uint32_t to, uint32_t flag)
{
    for (size_t i = graph->first[from]; i < graph->first[from + 1]; i++) {
        if (graph->edges[i].to == to)
            graph->edges[i].flags &= ~flag;
    }
}

struct graph *graph_new(struct spec *const *specs, const bool *leaving, size_t n)
{
    struct graph *graph = xcalloc(1, sizeof(*graph));
    uint32_t *circle;
    size_t len;

    graph_connect(graph, specs, leaving, n);
    while (graph_find_levels(graph, &circle, &len) > 0) {
        cut(graph, circle[len - 1], circle[0], GRAPH_AFTER);
        cut(graph, circle[0], circle[len - 1], GRAPH_BEFORE);
        free(circle);
    }
    return graph;
}

void graph_free(struct graph *graph)
{
    if (graph == NULL)
        return;
    free(graph->first);
    free(graph->edges);
    free(graph->level);
    free(graph->cursor);
    free(graph->svcs);
    free(graph);
}

size_t graph_size(const struct graph *graph)
{
    return graph != NULL ? graph->n : 0;
}

uint32_t graph_level(const struct graph *graph, uint32_t node)
{
    return graph != NULL && node < graph->n ? graph->level[node] : 0;
}

void graph_watch(struct graph *graph, uint32_t node, const struct svc *svc)
{
    if (graph != NULL && node < graph->n)
        graph->svcs[node] = svc;
}

/* ---- sets ---- */

static int compare_sequence(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

/* By level, then by number; each with the one that led to it. */
static void sort_set(const struct graph *graph, struct graph_set *set)
{
    uint64_t *keys = xcalloc(set->n + 1, sizeof(*keys));
    uint32_t *via = xcalloc(graph->n + 1, sizeof(*via));

    for (size_t i = 0; i < set->n; i++) {
        keys[i] = (uint64_t)graph->level[set->nodes[i]] << 32 | set->nodes[i];
        via[set->nodes[i]] = set->via[i];
    }
    if (set->n > 1)
        qsort(keys, set->n, sizeof(*keys), compare_sequence);
    for (size_t i = 0; i < set->n; i++) {
        set->nodes[i] = (uint32_t)keys[i];
        set->via[i] = via[set->nodes[i]];
    }
    free(keys);
    free(via);
}

static void put(struct graph_set *set, uint8_t *seen, uint32_t node, uint32_t via)
{
    if (seen[node])
        return;
    seen[node] = 1;
    set->nodes[set->n] = node;
    set->via[set->n++] = via;
}

struct graph_set graph_reach(const struct graph *graph, const uint32_t *seeds, size_t n, uint32_t flags)
{
    struct graph_set set = {
        .nodes = xcalloc(graph->n + 1, sizeof(*set.nodes)),
        .via = xcalloc(graph->n + 1, sizeof(*set.via)),
    };
    uint8_t *seen = xcalloc(graph->n + 1, 1);

    for (size_t i = 0; i < n; i++) {
        if (seeds[i] < graph->n)
            put(&set, seen, seeds[i], GRAPH_NONE);
    }
    for (size_t done = 0; done < set.n; done++) {
        size_t n_edges;
        const struct graph_edge *edges = graph_edges(graph, set.nodes[done], &n_edges);

        for (size_t i = 0; i < n_edges; i++) {
            if (edges[i].flags & flags)
                put(&set, seen, edges[i].to, set.nodes[done]);
        }
    }
    free(seen);
    sort_set(graph, &set);
    return set;
}

void graph_set_clear(struct graph_set *set)
{
    free(set->nodes);
    free(set->via);
    *set = (struct graph_set){0};
}
