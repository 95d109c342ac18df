/* SPDX-License-Identifier: MIT */
/*
 * What a graph is made of.  Private to the graph*.c files.
 */
#ifndef SUPD_CORE_GRAPH_INNER_H
#define SUPD_CORE_GRAPH_INNER_H

#include "core/graph.h"

struct graph {
    size_t n;
    size_t *first; /* n + 1: where the edges of each begin */
    struct graph_edge *edges;
    uint32_t *level;
    uint32_t *cursor; /* per node, which of its edges was in the way last: looked at first */
    const struct svc **svcs;
};

/* The services that WORD in a key of specs[FROM] means, among those that are LEAVING as it is: *COUNT of them from the
 * number that is returned on. */
size_t graph_resolve(struct spec *const *specs, const bool *leaving, size_t n, size_t from, const char *word,
                     size_t *count);

/*
 * Gives each node its level.  Returns how many have none because they are in a circle or behind one; then, if CIRCLE is
 * not NULL, it becomes the nodes of one, each after the next and the last after the first: *LEN of them, to be freed.
 */
size_t graph_find_levels(struct graph *graph, uint32_t **circle, size_t *len);

/* As graph_new(), but circles stay.  False where there are more than GRAPH_MAX dependencies. */
bool graph_connect(struct graph *graph, struct spec *const *specs, const bool *leaving, size_t n);

#endif
