/* SPDX-License-Identifier: MIT */
/*
 * The queue of those that are to be forked.
 */
#include "supd/essential.h"
#include "supd/logs.h"
#include "supd/order.h"
#include "supd/supervisor.h"
#include "supd/upgrade.h"

/* Children that may stand between fork and exec at a time: a pipe each, and what the rewriting of the state file waits for. */
#define START_SLOTS 64
/* Forks in one turn of the loop, so that clients and ends of services are seen between. */
#define FORKS_PER_TURN 32

static void on_queue(void *ctx);

void queue_wake(struct supervisor *sup)
{
    if (!sup->queue_timer)
        sup->queue_timer = loop_timer_new(sup->loop, on_queue, sup);
    /* What wakes it while it is gone through does so for the next turn, or the turn might have no end. */
    if (sup->in_queue)
        loop_timer_set(sup->queue_timer, 0);
    else
        loop_timer_soon(sup->queue_timer);
}

void queue_start(struct service *service)
{
    if (service->queued == QUEUED_TO_START || service->queued == QUEUED_FOR_SLOT)
        return;
    logs_expect(service);
    if (service->queued == QUEUED_TO_DELETE)
        TAILQ_REMOVE(&service->sup->condemned, service, queue_link);
    service->queued = QUEUED_TO_START;
    TAILQ_INSERT_TAIL(&service->sup->starts, service, queue_link);
    queue_wake(service->sup);
}

void queue_leave(struct service *service)
{
    if (service->queued == QUEUED_TO_START)
        TAILQ_REMOVE(&service->sup->starts, service, queue_link);
    else if (service->queued == QUEUED_FOR_SLOT)
        TAILQ_REMOVE(&service->sup->for_slot, service, queue_link);
    else
        return;
    service->queued = QUEUED_NOT;
}

static bool slot_is_free(const struct supervisor *sup)
{
    return sup->config->settings.start_slots == 0 || sup->n_starting < sup->config->settings.start_slots;
}

/* Whose turn it is, in no queue any more; NULL: nobody's. */
static struct service *take_next(struct supervisor *sup)
{
    struct service *service = slot_is_free(sup) ? TAILQ_FIRST(&sup->for_slot) : NULL;

    if (!service)
        service = TAILQ_FIRST(&sup->starts);
    if (service)
        queue_leave(service);
    return service;
}

/* Others may have changed since it was put into the queue. */
static void take_turn(struct service *service)
{
    if (service->svc->state == SVC_WAITING) {
        if (!order_may_start(service))
            return;
        if (!service_is_internal(service) && !slot_is_free(service->sup)) {
            service->queued = QUEUED_FOR_SLOT;
            TAILQ_INSERT_TAIL(&service->sup->for_slot, service, queue_link);
            return;
        }
    }
    service_event(service, &(struct svc_event){.type = SVC_EV_SLOT});
}

static void go_through(struct supervisor *sup)
{
    struct service *service;

    order_look(sup); /* before those that have changed last are deleted */
    services_delete_gone(sup);
    essential_act(sup);
    for (unsigned n = 0; !TAILQ_EMPTY(&sup->starts) || (slot_is_free(sup) && !TAILQ_EMPTY(&sup->for_slot)); n++) {
        if (sup->pre_exec >= START_SLOTS || upgrade_holds_starts(sup) || !persist_allows_fork(sup))
            return; /* the next exec wakes us */
        if (n == FORKS_PER_TURN) {
            queue_wake(sup);
            return;
        }
        service = take_next(sup);
        take_turn(service);
    }
    shutdown_check(sup);
}

static void on_queue(void *ctx)
{
    struct supervisor *sup = ctx;

    sup->in_queue = true;
    go_through(sup);
    sup->in_queue = false;
}
