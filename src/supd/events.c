/* SPDX-License-Identifier: MIT */
#include "supd/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/event.h"
#include "core/proto.h"
#include "os/clock.h"
#include "supd/logs.h"
#include "supd/usage.h"

/* How long what is still to be told may hold up the end of supd, once every service has stopped. */
#define SHUTDOWN_PATIENCE (10 * USEC_PER_SEC)
/* When what could not be recorded or started is tried again. */
#define RETRY_INTERVAL USEC_PER_SEC

struct event_handler {
    struct service *service;
    struct event_queue queue;
    bool unrecorded;
    LIST_ENTRY(event_handler) link;
};

struct events {
    struct supervisor *sup;
    LIST_HEAD(, event_handler) handlers;
    struct loop_timer *timer; /* for the next that is due */
    int64_t give_up_at;       /* mono us; 0: supd is not waiting for us */
    bool given_up;
};

static void pump_all(void *ctx);

static const struct event_rule *rule_of(const struct event_handler *handler)
{
    return handler->service->spec->on_event;
}

/* "event:mail" -> "mail" */
static const char *title_of(const struct event_handler *handler)
{
    return handler->service->spec->name + strlen(EVENT_NAME_PREFIX);
}

void events_configure(struct service *service)
{
    struct supervisor *sup = service->sup;

    if (!service->spec->on_event || service->parts->handler)
        return;
    if (!sup->events) {
        sup->events = xcalloc(1, sizeof *sup->events);
        sup->events->sup = sup;
        LIST_INIT(&sup->events->handlers);
    }
    service_parts(service)->handler = xcalloc(1, sizeof *service->parts->handler);
    service->parts->handler->service = service;
    LIST_INSERT_HEAD(&sup->events->handlers, service->parts->handler, link);
    sup->n_handlers++;
}

void events_forget(struct service *service)
{
    if (!service->parts->handler)
        return;
    LIST_REMOVE(service->parts->handler, link);
    event_queue_clear(&service->parts->handler->queue);
    free(service->parts->handler);
    service_parts(service)->handler = NULL;
    service->sup->n_handlers--;
}

void events_close(struct supervisor *sup)
{
    if (!sup->events)
        return;
    loop_timer_free(sup->events->timer);
    free(sup->events);
    sup->events = NULL;
}

/* The loop turns once more before anything is started: a step of a service is not begun within another. */
static void wake_in(struct events *events, int64_t usec)
{
    if (!events->timer)
        events->timer = loop_timer_new(events->sup->loop, pump_all, events);
    loop_timer_set(events->timer, usec);
}

/* ---- in ---- */

static void record_note(struct event_handler *handler, const struct event_note *note)
{
    if (persist_event(handler->service, note) < 0)
        handler->unrecorded = true;
}

static void tell(struct event_handler *handler, struct event_note note, int64_t now)
{
    if (!event_queue_add(&handler->queue, rule_of(handler), &note, now))
        return;
    if (note.is_left_out && handler->queue.cursor.left_out == 1)
        log_warning("on-event \"%s\": more news than rate-limit allows: some are left out", title_of(handler));
    record_note(handler, &note);
    wake_in(handler->service->sup->events, 0);
}

void events_note(struct service *service, enum svc_state from, enum health_state health)
{
    const struct svc *svc = service->svc;
    unsigned kinds = event_kinds_of(from, health, svc, service->spec);
    struct timestamp now = clock_now();
    struct event_handler *handler;
    struct event_note note = {.life = svc->life,
                              .from = from,
                              .state = svc->state,
                              .restarts = svc->restarts,
                              .exit = svc->exit,
                              .at = now.wall};

    if (kinds == 0)
        return;
    if (usage_last(service))
        note.usage = *usage_last(service);
    snprintf(note.service, sizeof note.service, "%s", service->spec->name);
    snprintf(note.reason, sizeof note.reason, "%s", svc_rare(svc)->reason);
    LIST_FOREACH(handler, &service->sup->events->handlers, link)
    {
        note.kind = event_rule_match(rule_of(handler), kinds, note.service);
        if (note.kind != EVENT_N_KINDS && !handler->service->removing)
            tell(handler, note, now.mono);
        event_queue_forget_seen_of(&handler->queue, note.service); /* what has happened now cannot happen anew */
    }
}

/* ---- out ---- */

static bool is_idle(const struct svc *svc)
{
    return svc->state == SVC_STOPPED || svc->state == SVC_EXITED || svc->state == SVC_FAILED;
}

/* Starts the command for the next note; false where that has to be tried again. */
static bool pump(struct event_handler *handler)
{
    struct service *service = handler->service;
    struct event_cursor before = handler->queue.cursor;
    char err[256];

    if (!event_queue_head(&handler->queue) || !is_idle(service->svc) || service->removing)
        return true;
    /* Which process it goes to is known to the next supd before there is such a process. */
    if (event_queue_take(&handler->queue, service->svc->life + 1) &&
        persist_events(service, &handler->queue.cursor) < 0) {
        handler->queue.cursor = before;
        return false;
    }
    return service_command(service, SVC_EV_START, err, sizeof err);
}

static void tell_left_out(struct event_handler *handler, struct timestamp now)
{
    struct event_note note;

    if (event_queue_tell_left_out(&handler->queue, &note, now.wall, now.mono))
        record_note(handler, &note);
}

/* In how long HANDLER is to be looked at again; -1: when something happens. */
static int64_t look(struct event_handler *handler, struct timestamp now)
{
    int64_t due = event_queue_due(&handler->queue, rule_of(handler));

    if (due != 0 && due <= now.mono)
        tell_left_out(handler, now);
    if (!pump(handler))
        return RETRY_INTERVAL;
    if (due > now.mono)
        return due - now.mono;
    /* There was no room: the end of the one that runs makes some. */
    return -1;
}

static void pump_all(void *ctx)
{
    struct events *events = ctx;
    struct timestamp now = clock_now();
    struct event_handler *handler;
    int64_t next = -1;

    if (events->given_up)
        return;
    LIST_FOREACH(handler, &events->handlers, link)
    {
        int64_t again = look(handler, now);

        if (again >= 0 && (next < 0 || again < next))
            next = again;
    }
    if (events->give_up_at != 0 && now.mono >= events->give_up_at) {
        queue_wake(events->sup); /* which asks events_hold_shutdown() */
        return;
    }
    if (events->give_up_at != 0 && (next < 0 || events->give_up_at - now.mono < next))
        next = events->give_up_at - now.mono;
    if (next >= 0)
        wake_in(events, next);
}

void events_follow(struct service *service)
{
    if (!is_idle(service->svc))
        return;
    event_queue_done(&service->parts->handler->queue, service->svc->life);
    wake_in(service->sup->events, 0);
}

/* ---- over our death ---- */

/* The change that it tells of may come a second time only where the file does not tell of it. */
static void forget_recorded(struct event_queue *queue, const struct replay *replay)
{
    for (size_t i = queue->n_seen; i-- > 0;) {
        const struct event_note *note = &queue->seen[i];
        const struct svc_image *image = replay_find(replay, note->service);

        if (!image || !event_may_come_again(note, &image->svc))
            event_queue_forget_seen(queue, i);
    }
}

void events_restore(struct supervisor *sup, struct replay *replay)
{
    for (size_t i = 0; i < replay->n_events; i++) {
        struct event_image *image = &replay->events[i];
        struct service *service = service_find(sup, image->name);
        const struct svc_image *own = replay_find(replay, image->name);

        if (!service || !service->parts->handler)
            continue;
        event_queue_clear(&service->parts->handler->queue);
        service->parts->handler->queue = image->queue;
        image->queue = (struct event_queue){0};
        event_queue_settle(&service->parts->handler->queue, own ? &own->svc : NULL);
        forget_recorded(&service->parts->handler->queue, replay);
    }
}

void events_resume(struct supervisor *sup)
{
    if (sup->events)
        wake_in(sup->events, 0);
}

typedef int (*put_fn)(void *ctx, const uint8_t *record, size_t len);

static int put_waiting(const struct event_handler *handler, put_fn put, void *ctx)
{
    const struct event_queue *queue = &handler->queue;
    const char *name = handler->service->spec->name;
    uint8_t record[RECORD_MAX];
    int rc = put(ctx, record, record_encode_events(record, name, &queue->cursor));

    for (size_t i = 0; rc == 0 && i < queue->n; i++)
        rc = put(ctx, record, record_encode_event(record, name, &queue->items[i]));
    return rc;
}

static int put_seen(const struct event_handler *handler, put_fn put, void *ctx)
{
    const struct event_queue *queue = &handler->queue;
    uint8_t record[RECORD_MAX];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < queue->n_seen; i++) {
        struct event_note note = queue->seen[i];

        note.is_left_out = true; /* whether it waits or was told, it is no more than seen */
        rc = put(ctx, record, record_encode_event(record, handler->service->spec->name, &note));
    }
    return rc;
}

static int put_into_file(void *ctx, const uint8_t *record, size_t len)
{
    statefile_put(ctx, record, len);
    return 0;
}

void events_put_waiting(const struct supervisor *sup, struct statefile *file)
{
    struct event_handler *handler;

    if (!sup->events)
        return;
    LIST_FOREACH(handler, &sup->events->handlers, link)
    {
        put_waiting(handler, put_into_file, file);
    }
}

void events_put_seen(const struct supervisor *sup, struct statefile *file)
{
    struct event_handler *handler;

    if (!sup->events)
        return;
    LIST_FOREACH(handler, &sup->events->handlers, link)
    {
        put_seen(handler, put_into_file, file);
    }
}

static int append_to_file(void *ctx, const uint8_t *record, size_t len)
{
    return statefile_append(ctx, record, len);
}

int events_record_missing(struct supervisor *sup)
{
    struct event_handler *handler;

    if (!sup->events)
        return 0;
    LIST_FOREACH(handler, &sup->events->handlers, link)
    {
        int rc = handler->unrecorded ? put_waiting(handler, append_to_file, sup->state) : 0;

        if (rc < 0)
            return rc;
        handler->unrecorded = false;
    }
    return 0;
}

const struct event_note *events_head(const struct service *service)
{
    return service->parts->handler ? event_queue_head(&service->parts->handler->queue) : NULL;
}

/* ---- the end of supd ---- */

static void give_up(struct events *events)
{
    struct event_handler *handler;

    events->given_up = true;
    LIST_FOREACH(handler, &events->handlers, link)
    {
        if (handler->queue.n > 0)
            log_warning("on-event \"%s\": supd ends, and %zu event%s could not be told", title_of(handler),
                        handler->queue.n, handler->queue.n == 1 ? "" : "s");
        event_queue_clear(&handler->queue);
        service_event(handler->service, &(struct svc_event){.type = SVC_EV_SHUTDOWN});
        if (events->sup->hurry)
            service_event(handler->service, &(struct svc_event){.type = SVC_EV_HURRY});
    }
}

/* Every other service has stopped, so no more news will come. */
static void begin_to_end(struct events *events, struct timestamp now)
{
    struct event_handler *handler;

    events->give_up_at = now.mono + SHUTDOWN_PATIENCE;
    LIST_FOREACH(handler, &events->handlers, link)
    {
        tell_left_out(handler, now);
    }
    wake_in(events, 0);
}

bool events_hold_shutdown(struct supervisor *sup)
{
    struct events *events = sup->events;
    struct timestamp now = clock_now();
    struct event_handler *handler;
    size_t waiting = 0;
    size_t busy = 0;

    if (!events || events->given_up)
        return false;
    LIST_FOREACH(handler, &events->handlers, link)
    {
        busy += handler->service->busy;
    }
    if (sup->n_busy > busy + logs_busy(sup))
        return true;
    if (events->give_up_at == 0)
        begin_to_end(events, now);
    LIST_FOREACH(handler, &events->handlers, link)
    {
        waiting += handler->queue.n;
    }
    if (waiting + busy == 0 || sup->hurry || now.mono >= events->give_up_at) {
        give_up(events);
        return false;
    }
    return true;
}

json_t *events_status(const struct supervisor *sup)
{
    json_t *array = json_array();
    struct event_handler *handler;

    if (!sup->events)
        return array;
    LIST_FOREACH(handler, &sup->events->handlers, link)
    {
        const struct svc *svc = handler->service->svc;
        json_t *pid = svc_has_process(svc) ? json_integer(svc->proc.pid) : json_null();

        json_array_append_new(array, json_pack("{s:s, s:o, s:I, s:I}", "name", title_of(handler), "pid", pid, "waiting",
                                               (json_int_t)handler->queue.n, "left-out",
                                               (json_int_t)handler->queue.cursor.left_out));
    }
    return array;
}
