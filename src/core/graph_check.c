/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with the dependencies of a configuration.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "core/graph_inner.h"
#include "core/instance.h"

struct check {
    struct spec *const *specs;
    size_t n;
    const struct graph_faults *faults;
    const char **names; /* of all, for suggestions; NULL: not asked for yet */
};

/* The nearest known name; of instances the name that they share is known, too. */
static const char *suggest(struct check *c, const char *word)
{
    if (c->names == NULL) {
        c->names = xcalloc(c->n + 1, sizeof(*c->names));
        for (size_t i = 0; i < c->n; i++)
            c->names[i] = c->specs[i]->name;
    }
    return suggest_nearest(word, c->names, c->n);
}

static void __attribute__((format(printf, 4, 5)))
report(struct check *c, size_t i, enum spec_dep dep, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = xvasprintf(fmt, ap);
    va_end(ap);
    c->faults->report(c->faults->ctx, c->specs[i], spec_dep_name(dep), text);
    free(text);
}

static void report_unknown(struct check *c, size_t i, enum spec_dep dep, const char *word)
{
    const char *near = suggest(c, word);

    if (near != NULL)
        report(c, i, dep, "there is no service '%s'; did you mean '%s'?", word, near);
    else
        report(c, i, dep, "there is no service '%s'", word);
}

/* The instances of a service say the same, as a rule: what is wrong is told of the first. */
static bool is_told(const struct check *c, size_t i)
{
    return i > 0 && instance_is(c->specs[i]->name) && instance_is(c->specs[i - 1]->name) &&
           instance_base_len(c->specs[i]->name) == instance_base_len(c->specs[i - 1]->name) &&
           strncmp(c->specs[i]->name, c->specs[i - 1]->name, instance_base_len(c->specs[i]->name)) == 0;
}

/* Has specs[I] the same word in DEP?  Then what is wrong with it was told of I. */
static bool says(const struct spec *spec, enum spec_dep dep, const char *word)
{
    char *const *words = spec->around->deps[dep];

    for (; words != NULL && *words != NULL; words++) {
        if (strcmp(*words, word) == 0)
            return true;
    }
    return false;
}

const char *graph_missing_name(const struct spec *spec, bool (*missing)(void *ctx, const char *name), void *ctx,
                               const char **key)
{
    for (enum spec_dep dep = 0; dep < SPEC_N_DEPS; dep++) {
        char *const *words = spec->around->deps[dep];

        for (; words != NULL && *words != NULL; words++) {
            if (!missing(ctx, *words))
                continue;
            *key = spec_dep_name(dep);
            return *words;
        }
    }
    return NULL;
}

static void check_word(struct check *c, size_t i, enum spec_dep dep, const char *word)
{
    const char *key = spec_dep_name(dep);
    size_t count;
    size_t to = graph_resolve(c->specs, NULL, c->n, i, word, &count);

    if (is_told(c, i) && says(c->specs[i - 1], dep, word) && count != 1)
        return;
    if (count == 0 && !c->faults->known(c->faults->ctx, word))
        report_unknown(c, i, dep, word);
    else if (count == 1 && to == i && strcmp(word, c->specs[i]->name) == 0 &&
             !c->faults->inherited(c->faults->ctx, c->specs[i], key))
        report(c, i, dep, "'%s' is the service itself: leave it out", word);
}

/* Does WORD mean specs[TO]? */
static bool means(const struct check *c, size_t from, const char *word, size_t to)
{
    size_t count;
    size_t first = graph_resolve(c->specs, NULL, c->n, from, word, &count);

    return to >= first && to < first + count;
}

/* Does specs[FROM] name specs[TO] in DEP? */
static bool names_it(const struct check *c, size_t from, enum spec_dep dep, size_t to)
{
    char *const *words = c->specs[from]->around->deps[dep];

    for (; words != NULL && *words != NULL; words++) {
        if (means(c, from, *words, to))
            return true;
    }
    return false;
}

/* A service cannot both need another and exclude it. */
static void check_contradictions(struct check *c, const struct graph *graph, uint32_t node)
{
    size_t n;
    const struct graph_edge *edges = graph_edges(graph, node, &n);

    for (size_t i = 0; i < n; i++) {
        uint32_t needs = edges[i].flags & (GRAPH_NEEDS | GRAPH_WANTS);
        uint32_t to = edges[i].to;

        if (needs == 0 || (edges[i].flags & GRAPH_CONFLICTS) == 0 || is_told(c, node))
            continue;
        size_t who = names_it(c, node, DEP_CONFLICTS, to) ? node : to;
        report(c, who, DEP_CONFLICTS, "%s %s %s, and the two conflict: take one of these away", c->specs[node]->name,
               graph_flag_word(needs), c->specs[to]->name);
    }
}

/* "a after b (x.conf:3)", as it is written: perhaps as "b before a".  Returns who says so. */
static size_t add_circle_edge(const struct check *c, struct buf *text, size_t after, size_t before)
{
    bool own = names_it(c, after, DEP_AFTER, before);
    enum spec_dep dep = own ? DEP_AFTER : DEP_BEFORE;
    size_t who = own ? after : before;
    char place[512];

    c->faults->place(c->faults->ctx, c->specs[who], spec_dep_name(dep), place, sizeof(place));
    char *words = xasprintf("%s%s %s %s (%s)", text->len > 0 ? ", " : "", c->specs[who]->name, spec_dep_name(dep),
                            c->specs[own ? before : after]->name, place);
    buf_add_string(text, words);
    free(words);
    return who;
}

static void report_circle(struct check *c, const uint32_t *circle, size_t len)
{
    struct buf text = {0};

    buf_add_string(&text, "");
    for (size_t i = 0; i < len; i++)
        add_circle_edge(c, &text, circle[i], circle[(i + 1) % len]);
    bool own = names_it(c, circle[0], DEP_AFTER, circle[1 % len]);
    report(c, own ? circle[0] : circle[1 % len], own ? DEP_AFTER : DEP_BEFORE,
           "the order goes round in a circle: %s: take one of these away", text.data);
    buf_free(&text);
}

void graph_check(struct spec *const *specs, size_t n, const struct graph_faults *faults)
{
    struct check c = {.specs = specs, .n = n, .faults = faults};
    struct graph *graph = xcalloc(1, sizeof(*graph));
    uint32_t *circle = NULL;
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        for (enum spec_dep dep = 0; dep < SPEC_N_DEPS; dep++) {
            char *const *words = specs[i]->around->deps[dep];

            for (; words != NULL && *words != NULL; words++)
                check_word(&c, i, dep, *words);
        }
    }
    if (!graph_connect(graph, specs, NULL, n)) {
        report(&c, 0, DEP_AFTER, "the services have more than %d dependencies on one another: name fewer", GRAPH_MAX);
    } else {
        for (uint32_t node = 0; node < n; node++)
            check_contradictions(&c, graph, node);
        if (graph_find_levels(graph, &circle, &len) > 0)
            report_circle(&c, circle, len);
    }
    free(circle);
    free(c.names);
    graph_free(graph);
}
