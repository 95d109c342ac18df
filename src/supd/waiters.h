/* SPDX-License-Identifier: MIT */
/*
 * Commands whose caller waits until it is known what became of them.  A waiter
 * has an item for each service; items complete as the services change, and with
 * the last one, or at the time limit, the answer is sent.
 */
#ifndef SUPD_SUPD_WAITERS_H
#define SUPD_SUPD_WAITERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supd/server.h"
#include "supd/supervisor.h"

enum wait_kind { WAIT_START, WAIT_STOP, WAIT_RESTART, WAIT_REMOVE, WAIT_RELOAD };

struct waiter;

/*
 * Takes REPLY over.  TIMEOUT in us, 0 = none.  RESULT (stolen) is the answer when
 * all is done; NULL: the array of outcomes is.
 */
struct waiter *waiter_new(struct supervisor *sup, struct reply *reply, int64_t timeout, json_t *result);

/* What of a service before a command tells later what has become of that. */
struct wait_from {
    uint64_t life;
    enum svc_state state;
};
struct wait_from wait_from(const struct service *service);

/* FROM: of the service before the command. */
void waiter_add(struct waiter *waiter, struct service *service, enum wait_kind kind, struct wait_from from);

/* An item that is known at once. */
void waiter_add_done(struct waiter *waiter, struct service *service, bool ok, const char *message);

/* Why the last item is one, for its message: "required by app". */
void waiter_note(struct waiter *waiter, const char *note);

/* All items are in: answers now where nothing is pending. */
void waiter_start(struct waiter *waiter);

/* A waiter of the binary before a live upgrade, from what reply_on_handover() saved.  Takes REPLY over. */
void waiter_restore(struct supervisor *sup, struct reply *reply, const json_t *saved);

/* The service has changed. */
void waiters_check(struct service *service);
/* The service is about to be freed. */
void waiters_service_gone(struct service *service);

#endif
