/* SPDX-License-Identifier: MIT */
#include "supd/waiters.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "core/proto.h"
#include "os/clock.h"
#include "supd/show.h"

struct wait_item {
    struct waiter *waiter;
    struct service *service; /* NULL once it is done */
    enum wait_kind kind;
    uint64_t life;               /* before the command */
    bool was_running;            /* and not on its way down */
    json_t *outcome;             /* NULL while it is pending */
    char *note;                  /* goes with its message; NULL: none */
    TAILQ_ENTRY(wait_item) link; /* in service->waits */
};

struct waiter {
    struct supervisor *sup;
    struct reply *reply;
    json_t *result;
    struct loop_timer *timer;
    int64_t deadline; /* mono us, 0: none */
    struct wait_item **items;
    size_t n;
    size_t pending;
    bool started;
};

static void waiter_free(struct waiter *waiter)
{
    for (size_t i = 0; i < waiter->n; i++) {
        struct wait_item *item = waiter->items[i];

        if (item->service)
            TAILQ_REMOVE(&item->service->waits, item, link);
        json_decref(item->outcome);
        free(item->note);
        free(item);
    }
    free(waiter->items);
    loop_timer_free(waiter->timer);
    json_decref(waiter->result);
    free(waiter);
}

/* The outcomes, in the order of the names; pending ones as they stand. */
static json_t *outcomes(struct waiter *waiter)
{
    json_t *array = json_array();

    for (size_t i = 0; i < waiter->n; i++) {
        struct wait_item *item = waiter->items[i];

        if (!item->outcome)
            item->outcome = show_outcome(item->service, false, "not done yet");
        json_array_append(array, item->outcome);
    }
    return array;
}

static void complete(struct waiter *waiter)
{
    json_t *result = waiter->result ? json_incref(waiter->result) : outcomes(waiter);

    reply_result(waiter->reply, result);
    waiter_free(waiter);
}

static void on_timeout(void *ctx)
{
    struct waiter *waiter = ctx;

    reply_error(waiter->reply, PROTO_E_TIMED_OUT, outcomes(waiter), "timed out; the command goes on");
    waiter_free(waiter);
}

/* The caller has hung up. */
static void on_gone(void *ctx)
{
    waiter_free(ctx);
}

/* For the next binary: what waiter_restore() reads. */
static json_t *save(void *ctx)
{
    struct waiter *waiter = ctx;
    int64_t left = waiter->deadline ? waiter->deadline - clock_now().mono : 0;
    json_t *items = json_array();

    for (size_t i = 0; i < waiter->n; i++) {
        const struct wait_item *item = waiter->items[i];

        if (item->outcome)
            json_array_append_new(items, json_pack("{s:O}", "outcome", item->outcome));
        else
            json_array_append_new(items, json_pack("{s:s, s:i, s:I, s:b, s:s?}", "service", item->service->spec->name,
                                                   "kind", (int)item->kind, "life", (json_int_t)item->life,
                                                   "was-running", (int)item->was_running, "note", item->note));
    }
    if (waiter->deadline && left < 1)
        left = 1;
    json_t *saved = json_pack("{s:s, s:I, s:o}", "kind", "waiter", "timeout", (json_int_t)left, "items", items);
    if (waiter->result)
        json_object_set(saved, "result", waiter->result);
    return saved;
}

struct waiter *waiter_new(struct supervisor *sup, struct reply *reply, int64_t timeout, json_t *result)
{
    struct waiter *waiter = xcalloc(1, sizeof *waiter);

    waiter->sup = sup;
    waiter->reply = reply;
    waiter->result = result;
    if (timeout > 0) {
        waiter->timer = loop_timer_new(sup->loop, on_timeout, waiter);
        loop_timer_set(waiter->timer, timeout);
        waiter->deadline = clock_now().mono + timeout;
    }
    reply_on_gone(reply, on_gone, waiter);
    reply_on_handover(reply, save);
    return waiter;
}

static struct wait_item *new_item(struct waiter *waiter)
{
    struct wait_item *item = xcalloc(1, sizeof *item);

    item->waiter = waiter;
    waiter->items = xreallocarray(waiter->items, waiter->n + 1, sizeof(struct wait_item *));
    waiter->items[waiter->n++] = item;
    return item;
}

/* The note goes behind the message. */
static void add_note(const struct wait_item *item)
{
    const char *message = json_string_value(json_object_get(item->outcome, "message"));

    if (item->note)
        json_object_set_new(item->outcome, "message", json_sprintf("%s (%s)", message, item->note));
}

static void finish_item(struct wait_item *item, json_t *outcome)
{
    struct waiter *waiter = item->waiter;

    TAILQ_REMOVE(&item->service->waits, item, link);
    item->service = NULL;
    item->outcome = outcome;
    add_note(item);
    waiter->pending--;
    if (waiter->started && waiter->pending == 0)
        complete(waiter);
}

static json_t *outcome_of(struct service *service, bool ok, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static json_t *outcome_of(struct service *service, bool ok, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *message = xvasprintf(fmt, ap);
    va_end(ap);
    json_t *outcome = show_outcome(service, ok, message);
    free(message);
    return outcome;
}

/* What a start or restart has come to, NULL while that is open. */
static json_t *start_outcome(struct wait_item *item)
{
    struct service *service = item->service;
    const struct svc *svc = service->svc;
    bool new_life = svc->life > item->life;
    char buf[64];

    switch (svc->state) {
    case SVC_RUNNING:
        if (!new_life && item->kind == WAIT_START && item->was_running)
            return outcome_of(service, true, "was running already, pid %d", svc->proc.pid);
        if (!new_life)
            return NULL;
        if (!svc_has_process(svc))
            return outcome_of(service, true, "started, and its work is done");
        return outcome_of(service, true, "%s, pid %d", item->kind == WAIT_START ? "started" : "restarted",
                          svc->proc.pid);
    case SVC_EXITED:
        return new_life ? outcome_of(service, true, "ran and ended: %s", svc_rare(svc)->reason) : NULL;
    case SVC_BACKOFF:
        if (!new_life)
            return NULL;
        duration_format((svc->deadline - svc->since.mono) / USEC_PER_MSEC * USEC_PER_MSEC, buf, sizeof buf);
        return outcome_of(service, false, "%s; next try in %s", svc_rare(svc)->reason, buf);
    case SVC_FAILED:
        /* Also before a life has begun: what it requires has failed. */
        return outcome_of(service, false, "failed: %s", svc_rare(svc)->reason);
    case SVC_STOPPED:
        return outcome_of(service, false, "%s meanwhile", svc_rare(svc)->reason);
    case SVC_WAITING:
        if (!svc->idle || !new_life)
            return NULL;
        return outcome_of(service, svc_succeeded(svc, service->spec), "ran and ended; %s", svc_rare(svc)->reason);
    case SVC_STARTING:
    case SVC_STOPPING:
    case SVC_N_STATES:
        return NULL;
    }
    return NULL;
}

static json_t *stop_outcome(struct wait_item *item)
{
    struct service *service = item->service;
    const struct svc *svc = service->svc;

    if (svc->state == SVC_STOPPED)
        return outcome_of(service, true, "stopped");
    if (svc->desired_up && svc->state != SVC_STOPPING)
        return outcome_of(service, false, "started again meanwhile");
    return NULL;
}

static json_t *reload_outcome(struct wait_item *item)
{
    struct service *service = item->service;
    const struct svc *svc = service->svc;

    if (svc->state != SVC_RUNNING)
        return outcome_of(service, false, "%s meanwhile: %s", svc_state_name(svc->state), svc_rare(svc)->reason);
    if (svc_is_reloading(svc))
        return NULL;
    /* The reason was cleared with the command, so what stands there is its failure. */
    return svc_rare(svc)->reason[0] ? outcome_of(service, false, "%s", svc_rare(svc)->reason)
                                    : outcome_of(service, true, "reloaded");
}

static void check_item(struct wait_item *item)
{
    json_t *outcome = NULL;

    switch (item->kind) {
    case WAIT_START:
    case WAIT_RESTART:
        outcome = start_outcome(item);
        break;
    case WAIT_STOP:
        outcome = stop_outcome(item);
        break;
    case WAIT_RELOAD:
        outcome = reload_outcome(item);
        break;
    case WAIT_REMOVE: /* else waiters_service_gone() */
        outcome = item->service->removing ? NULL : outcome_of(item->service, false, "added again meanwhile");
        break;
    }
    if (outcome)
        finish_item(item, outcome);
}

struct wait_from wait_from(const struct service *service)
{
    return (struct wait_from){.life = service->svc->life, .state = service->svc->state};
}

void waiter_add(struct waiter *waiter, struct service *service, enum wait_kind kind, struct wait_from from)
{
    struct wait_item *item = new_item(waiter);

    item->service = service;
    item->kind = kind;
    item->life = from.life;
    /* A start that is under way is the one that was asked for. */
    if (kind == WAIT_START && from.state == SVC_STARTING)
        item->life--;
    item->was_running = from.state == SVC_RUNNING;
    TAILQ_INSERT_TAIL(&service->waits, item, link);
    waiter->pending++;
    check_item(item);
}

void waiter_add_done(struct waiter *waiter, struct service *service, bool ok, const char *message)
{
    new_item(waiter)->outcome = show_outcome(service, ok, message);
}

void waiter_note(struct waiter *waiter, const char *note)
{
    struct wait_item *item = waiter->items[waiter->n - 1];

    item->note = xstrdup(note);
    if (item->outcome)
        add_note(item);
}

void waiter_start(struct waiter *waiter)
{
    waiter->started = true;
    if (waiter->pending == 0)
        complete(waiter);
}

static void restore_item(struct waiter *waiter, const json_t *saved)
{
    json_t *outcome = json_object_get(saved, "outcome");
    const char *name = json_string_value(json_object_get(saved, "service"));
    struct service *service = name ? service_find(waiter->sup, name) : NULL;
    struct wait_item *item = new_item(waiter);

    if (outcome || !service) {
        item->outcome = outcome ? json_incref(outcome)
                                : json_pack("{s:s?, s:b, s:s, s:n}", "name", name, "ok", 0, "message",
                                            "is not known any more after the upgrade of supd", "service");
        return;
    }
    item->service = service;
    item->kind = (enum wait_kind)json_integer_value(json_object_get(saved, "kind"));
    item->life = (uint64_t)json_integer_value(json_object_get(saved, "life"));
    item->was_running = json_is_true(json_object_get(saved, "was-running"));
    item->note = xstrdup(json_string_value(json_object_get(saved, "note")));
    TAILQ_INSERT_TAIL(&service->waits, item, link);
    waiter->pending++;
    check_item(item);
}

void waiter_restore(struct supervisor *sup, struct reply *reply, const json_t *saved)
{
    struct waiter *waiter = waiter_new(sup, reply, json_integer_value(json_object_get(saved, "timeout")),
                                       json_incref(json_object_get(saved, "result")));
    size_t i;
    json_t *item;

    json_array_foreach(json_object_get(saved, "items"), i, item)
    {
        restore_item(waiter, item);
    }
    waiter_start(waiter);
}

void waiters_check(struct service *service)
{
    struct wait_item *item = TAILQ_FIRST(&service->waits);

    while (item) {
        /* Completing one frees its waiter, whose other items belong to other services, unless a name was given twice. */
        struct wait_item *next = TAILQ_NEXT(item, link);

        check_item(item);
        item = next;
    }
}

void waiters_service_gone(struct service *service)
{
    struct wait_item *item;

    while ((item = TAILQ_FIRST(&service->waits))) {
        bool ok = item->kind == WAIT_REMOVE || item->kind == WAIT_STOP;

        finish_item(item, outcome_of(service, ok, "%s", service->parts->removal));
    }
}
