/* SPDX-License-Identifier: MIT */
/*
 * The dependencies of services on one another: after, before, requires, requisite,
 * wants, binds-to, part-of and conflicts, with the meanings of systemd.unit(5).
 *
 * A graph is built of all specs at once.  Its nodes are numbered as the specs; an
 * edge stands with both its ends, each seeing it from its own side, so whatever is
 * decided about a service looks at its neighbours only.  The order (after, before)
 * has no circle.
 *
 * What is going on is read from the services themselves (graph_watch()); nothing of
 * it is kept here.  So what is waited for follows from the states and from what is
 * wanted, and is the same for a supd that comes back:
 *
 * - A start waits for those before it that are on their way up.  One that is down
 *   and not wanted, or that failed, is waited for only by those who require it.
 * - A start waits for the stop of every neighbour in the order, whichever of the two
 *   comes first, and of every service that it conflicts with.
 * - A stop waits for those behind it that are being stopped, too.
 *
 * Stops wait only for stops, against the order; starts for stops and, along the
 * order, for starts.  So there is no deadlock.
 *
 * Pure: no system call, no clock.
 */
#ifndef SUPD_CORE_GRAPH_H
#define SUPD_CORE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/service.h"
#include "core/spec.h"

/* No node. */
#define GRAPH_NONE UINT32_MAX

/* As many dependencies as a configuration may have; each instance counts. */
#define GRAPH_MAX 4000000

/* What the other end of an edge is to the node that it stands with. */
enum graph_edge_flags {
    GRAPH_AFTER = 1 << 0,
    GRAPH_BEFORE = 1 << 1,
    GRAPH_REQUIRES = 1 << 2,
    GRAPH_REQUIRED_BY = 1 << 3,
    GRAPH_REQUISITE = 1 << 4,
    GRAPH_REQUISITE_OF = 1 << 5,
    GRAPH_WANTS = 1 << 6,
    GRAPH_WANTED_BY = 1 << 7,
    GRAPH_BINDS_TO = 1 << 8,
    GRAPH_BOUND_BY = 1 << 9,
    GRAPH_PART_OF = 1 << 10,
    GRAPH_HAS_PART = 1 << 11,
    GRAPH_CONFLICTS = 1 << 12, /* seen the same from both sides */
};

/* Whom the start of a service starts, too. */
#define GRAPH_PULLS (GRAPH_REQUIRES | GRAPH_BINDS_TO | GRAPH_WANTS)
/* Without whom a service does not start. */
#define GRAPH_NEEDS (GRAPH_REQUIRES | GRAPH_BINDS_TO | GRAPH_REQUISITE)
/* Whom the stop, or restart, of a service stops, or restarts, too. */
#define GRAPH_DEPENDS_ON_IT (GRAPH_REQUIRED_BY | GRAPH_BOUND_BY | GRAPH_REQUISITE_OF | GRAPH_HAS_PART)

struct graph_edge {
    uint32_t to;
    uint32_t flags;
};

struct graph;

/* ---- building ---- */

/*
 * SPECS: N of them in the order of spec_list_sort(); needed only for this call.  A word that names nobody is passed
 * over, and a circle is cut open somewhere: graph_check() refuses both before.  LEAVING (NULL: none) tells which
 * services have gone from the configuration and are still there to be stopped: a name means one of its own kind only.
 */
struct graph *graph_new(struct spec *const *specs, const bool *leaving, size_t n);
void graph_free(struct graph *graph);

size_t graph_size(const struct graph *graph);

/* The edges of NODE, by the number of the other end.  NODE may be GRAPH_NONE: none. */
const struct graph_edge *graph_edges(const struct graph *graph, uint32_t node, size_t *n);

/* How many stand before it in the longest chain of the order. */
uint32_t graph_level(const struct graph *graph, uint32_t node);

/* From now on the state of NODE is read from SVC; NULL (as at first): it is not there. */
void graph_watch(struct graph *graph, uint32_t node, const struct svc *svc);

/* What a configuration has to say for its faults to be told. */
struct graph_faults {
    void *ctx;
    /* Is it the name of a service that has no instances at present? */
    bool (*known)(void *ctx, const char *name);
    /* Does it stand in `defaults`, and not with the service itself? */
    bool (*inherited)(void *ctx, const struct spec *spec, const char *key);
    /* "FILE:LINE" of KEY of SPEC, into BUF. */
    void (*place)(void *ctx, const struct spec *spec, const char *key, char *buf, size_t size);
    /* TEXT, without its place, is wrong with KEY of SPEC. */
    void (*report)(void *ctx, const struct spec *spec, const char *key, const char *text);
};

/*
 * Tells every name that nobody has (once for all instances), dependencies on oneself, requirements that conflict, and a
 * circle of the order with all its edges and where each is written.  SPECS as for graph_new().
 */
void graph_check(struct spec *const *specs, size_t n, const struct graph_faults *faults);

/* The first name in SPEC's dependencies that is MISSING, and in *KEY the key that it stands with; NULL: there is none. */
const char *graph_missing_name(const struct spec *spec, bool (*missing)(void *ctx, const char *name), void *ctx,
                               const char **key);

/* ---- deciding ---- */

/* What a service that is to be started, or stopped, asks of a neighbour. */
enum graph_need {
    GRAPH_NEED_NOTHING,
    GRAPH_NEED_READY,  /* to be up, or to have done its work; it is on its way */
    GRAPH_NEED_STOP,   /* to have stopped; it is on its way */
    GRAPH_NEED_START,  /* to be started: it is down */
    GRAPH_NEED_FAILED, /* to be up, which it will not be: the start fails */
    GRAPH_NEED_YIELD,  /* to be gone, for it conflicts; but it came first: the start fails */
};

/* EDGE is one of NODE's. */
enum graph_need graph_start_need(const struct graph *graph, uint32_t node, const struct graph_edge *edge);
enum graph_need graph_stop_need(const struct graph *graph, const struct graph_edge *edge);

/* May the stop of NODE begin now? */
bool graph_may_stop(struct graph *graph, uint32_t node);

/* What is to be done. */
enum graph_do {
    GRAPH_DO_GO,      /* NODE waits for its start: nothing is in the way any more */
    GRAPH_DO_HOLD,    /* the same: it waits for others */
    GRAPH_DO_FAIL,    /* the start of NODE fails because OTHER will not be up */
    GRAPH_DO_YIELD,   /* the start of NODE fails because OTHER, with which it conflicts, is there */
    GRAPH_DO_START,   /* start NODE, which OTHER requires */
    GRAPH_DO_END,     /* NODE waits for its stop: nothing is in the way any more */
    GRAPH_DO_STOP,    /* stop NODE, which is bound to OTHER, and OTHER has ended */
    GRAPH_DO_RESTART, /* the same, and OTHER is being started again */
};

typedef void (*graph_do_fn)(void *ctx, enum graph_do what, uint32_t node, uint32_t other);

/* May NODE, which waits for its start, begin it?  Tells by one call of FN what is to be done with it, and before that of
 * those that have to be started for it. */
void graph_look_at_start(struct graph *graph, uint32_t node, graph_do_fn fn, void *ctx);

/*
 * NODE has changed: what follows for it and for its neighbours.  FN may change the services, which is to be followed by
 * a look at those, but not the graph.
 */
void graph_look(struct graph *graph, uint32_t node, graph_do_fn fn, void *ctx);

/* ---- sets of services ---- */

struct graph_set {
    uint32_t *nodes; /* by level, then by number; to be freed with graph_set_clear() */
    uint32_t *via;   /* for each, the node whose edge led there; GRAPH_NONE for one of the seeds */
    size_t n;
};

/* The SEEDS, each once, and who is reached from them over edges with one of FLAGS. */
struct graph_set graph_reach(const struct graph *graph, const uint32_t *seeds, size_t n, uint32_t flags);
void graph_set_clear(struct graph_set *set);

/* ---- words ---- */

/* "for db to be ready", ", to stop", ...; OTHER is the name of the neighbour, MORE (0: none) how many there are beside it. */
const char *graph_need_words(enum graph_need need, const char *other, size_t more, char *buf, size_t size);

/* Why NODE does not start because OTHER (by name) will not be up: "db failed: exit 1". */
void graph_failure_words(const struct svc *other, const char *name, char *buf, size_t size);

/* What the other end is, by the key that says so: "requires", ...  The lowest of FLAGS that has a word; NULL: none. */
const char *graph_flag_word(uint32_t flags);

#endif
