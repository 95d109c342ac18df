/* SPDX-License-Identifier: MIT */
/*
 * The order of services at work: carries out what core/graph.h decides.  Owns the graph of all services, and the list
 * of those that have changed and are to be looked at in the next turn of the queue.  Nothing of it is recorded, for all
 * of it follows from the services and their configuration.
 */
#ifndef SUPD_SUPD_ORDER_H
#define SUPD_SUPD_ORDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "supd/supervisor.h"

/* Makes the graph anew, of all services there are, which are sorted; and has all of them looked at. */
void order_build(struct supervisor *sup);
void order_free(struct supervisor *sup);
/* The service is about to be freed. */
void order_service_gone(struct service *service);
/* Its state is another, and perhaps not where it was. */
void order_state_kept(const struct service *service);

/* Does it depend on anybody, or anybody on it? */
bool order_concerns(const struct service *service);

/* It has changed. */
void order_touch(struct service *service);
/* Looks at all that have changed, and at what follows from that. */
void order_look(struct supervisor *sup);

/* Its turn to be started has come: may it?  Else what is to be done instead is done. */
bool order_may_start(struct service *service);
/* Do others have to stop before it? */
bool order_holds_stop(const struct service *service);

/* Sorts SERVICES into the order in which they are to be told to stop: who comes after others before those. */
void order_sort_for_stop(struct service **services, size_t n, bool last_first);

/* ---- what a command means to others ---- */

struct order_step {
    struct service *service;
    enum svc_event_type event;
    bool asked;  /* it was named in the command */
    bool wanted; /* not asked, and nobody needs it: its outcome does not matter */
    char *note;  /* why it is concerned: "required by app"; NULL where it was asked */
};

struct order_plan {
    struct order_step *steps; /* in the order in which they are to be carried out */
    size_t n;
    char *refusal; /* why nothing can be done; else NULL */
};

/* What EVENT, a command, for the N SERVICES is to be: for them, and for those that it concerns, too. */
struct order_plan order_plan(struct supervisor *sup, enum svc_event_type event, struct service **services, size_t n);
void order_plan_clear(struct order_plan *plan);

/* Starts those that the N SERVICES, which have come with a new configuration, require or want. */
void order_pull(struct supervisor *sup, struct service **services, size_t n);

/* At the start of supd: FRESH services, of which nothing was recorded, are wanted where other fresh ones need them. */
void order_pull_fresh(struct supervisor *sup, struct service **fresh, size_t n);

/* ---- order_view.c: what is shown of it ---- */

/* What SERVICE waits for, "for db to be ready"; NULL: for nobody. */
const char *order_words(const struct service *service, char *buf, size_t size);

/* An answer of service.graph: SERVICES and those that they depend on. */
json_t *order_view(struct supervisor *sup, struct service **services, size_t n);

/* The graph; NULL: nobody depends on anybody.  And whose node it is. */
struct graph *order_graph(const struct supervisor *sup);
struct service *order_service(const struct supervisor *sup, uint32_t node);

#endif
