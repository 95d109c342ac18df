/* SPDX-License-Identifier: MIT */
#include "supd/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"
#include "supd/cgroups.h"
#include "supd/health_probe.h"
#include "supd/process.h"
#include "supd/upgrade.h"
#include "supd/usage.h"

/* The command of on-failure has that long, or timeout where that is longer. */
#define COMMAND_TIMEOUT (30 * USEC_PER_SEC)
/* A fork that has to wait, for the state file to be rewritten or others to get to their exec, is tried again after this. */
#define FORK_AGAIN (20 * USEC_PER_MSEC)

struct health {
    struct service *service;
    struct loop_timer *timer;
    struct health_probe *probe; /* NULL: none is under way */
    enum { IDLE, WANTS_SLOT, WANTS_FORK, BUSY } phase;
    bool has_slot;
    bool waits;             /* for the process of the check before to be gone */
    bool paused;            /* the service was, when its time came */
    bool late;              /* its time is over, and this is the last chance */
    bool settled;           /* it is looked at once an interval, at another time than others */
    bool alarm;             /* svc_alarm_is_due(), at the change before */
    unsigned tries;         /* while the service is starting */
    struct health_use used; /* what CPU time is reckoned from */
    char words[192];        /* of the result before; "" = none */
    TAILQ_ENTRY(health) link;
};

const char *health_words(const struct service *service)
{
    return service->parts->health && service->parts->health->words[0] ? service->parts->health->words : NULL;
}

/* ---- slots ---- */

static bool slot_is_free(const struct supervisor *sup)
{
    return sup->config->settings.check_slots == 0 || sup->n_checking < sup->config->settings.check_slots;
}

static void wake_next(struct supervisor *sup)
{
    struct health *next = TAILQ_FIRST(&sup->for_check);

    if (next && slot_is_free(sup))
        loop_timer_set(next->timer, 0);
}

static void take_slot(struct health *h)
{
    h->has_slot = true;
    h->service->sup->n_checking++;
    wake_next(h->service->sup);
}

/* The check goes on without. */
static void give_slot(struct health *h)
{
    h->service->sup->n_checking -= h->has_slot;
    h->has_slot = false;
    wake_next(h->service->sup); /* also where it was woken for a slot and has not taken it */
}

static void leave_slot(struct health *h)
{
    if (h->phase == WANTS_SLOT)
        TAILQ_REMOVE(&h->service->sup->for_check, h, link);
    h->phase = IDLE;
    h->late = false;
    give_slot(h);
}

/* ---- one check ---- */

/* Nothing was found out, and WORDS say why (NULL: what was known stands): the next one in its time. */
static void postpone(struct health *h, const char *words)
{
    leave_slot(h);
    if (words)
        snprintf(h->words, sizeof h->words, "%s", words);
    loop_timer_set(h->timer, h->service->spec->check->interval);
}

/* From this result to the next check. */
static int64_t delay_behind(struct health *h, bool ok)
{
    const struct service *service = h->service;
    const struct spec_check *check = service->spec->check;

    if (!ok)
        return health_delay(check, svc_rare(service->svc)->health.state, ++h->tries);
    if (h->settled)
        return check->interval;
    h->settled = true;
    return health_stagger(check, &service->sup->rng);
}

/* As the result is told the service may change, and H be gone. */
static void tell_result(struct health *h, bool ok, const char *words)
{
    struct service *service = h->service;
    char text[sizeof h->words];

    leave_slot(h);
    health_probe_free(h->probe);
    h->probe = NULL;
    snprintf(h->words, sizeof h->words, "%s", words);
    memcpy(text, h->words, sizeof text);
    if (!ok)
        log_debug("%s: %s", service->spec->name, text);
    h->waits = false;
    loop_timer_set(h->timer, delay_behind(h, ok));
    service_event(service,
                  &(struct svc_event){.type = SVC_EV_CHECKED, .life = service->svc->life, .ok = ok, .text = text});
}

static void on_probe(void *ctx, bool ok, const char *words)
{
    struct health *h = ctx;

    h->probe = NULL; /* it frees itself */
    if (cgroups_paused(h->service))
        postpone(h, NULL); /* it was asked before */
    else
        tell_result(h, ok, words);
}

/* Does it use too much, as far as that is asked? */
static bool uses_too_much(struct health *h, char *words, size_t size)
{
    const struct spec_check *check = h->service->spec->check;

    if (!check->max_memory.set && check->max_cpu == 0)
        return false;
    struct proto_usage usage = usage_of(h->service);
    if (!usage.known)
        return false;
    struct health_use use = {
        .at = clock_now().mono,
        .memory = usage.memory,
        .cpu = usage.cpu,
    };
    return health_uses_too_much(check, &h->used, &use, words, size);
}

static bool may_fork(struct supervisor *sup)
{
    return !upgrade_holds_starts(sup) && persist_allows_fork(sup);
}

static int64_t timeout_of(const struct service *service, enum svc_role role)
{
    int64_t timeout = service->spec->check->timeout;

    return role == ROLE_UNHEALTHY && timeout < COMMAND_TIMEOUT ? COMMAND_TIMEOUT : timeout;
}

/* Of a check, or of on-failure: core/service_health.c knows which. */
static void fork_command(struct health *h)
{
    struct service *service = h->service;
    enum svc_role role = svc_alarm_is_due(service->svc) ? ROLE_UNHEALTHY : ROLE_CHECK;

    if (!may_fork(service->sup)) {
        h->phase = WANTS_FORK;
        loop_timer_set(h->timer, FORK_AGAIN);
        return;
    }
    h->phase = BUSY;
    loop_timer_set(h->timer, timeout_of(service, role));
    service_event(service, &(struct svc_event){.type = SVC_EV_CHECK_DUE, .life = service->svc->life});
}

static void begin_check(struct health *h)
{
    const struct spec_check *check = h->service->spec->check;
    char words[128];

    if (uses_too_much(h, words, sizeof words)) {
        tell_result(h, false, words);
    } else if (check->command) {
        fork_command(h);
    } else if (check->tcp || check->http) {
        h->phase = BUSY;
        h->probe = health_probe_new(h->service->sup->loop, check, on_probe, h);
        loop_timer_set(h->timer, check->timeout);
    } else {
        tell_result(h, true, "uses no more than it may");
    }
}

/* In its turn: at once where a slot is free, else when one is left. */
static void want_check(struct health *h)
{
    struct supervisor *sup = h->service->sup;

    if (svc_rare(h->service->svc)->check.role != ROLE_SERVICE && h->service->spec->check->command) {
        leave_slot(h);
        h->waits = true; /* health_follow(), or it hangs in the kernel */
        loop_timer_set(h->timer, h->service->spec->check->timeout);
        return;
    }
    if (!slot_is_free(sup)) {
        if (h->phase != WANTS_SLOT)
            TAILQ_INSERT_TAIL(&sup->for_check, h, link);
        h->phase = WANTS_SLOT;
        return;
    }
    leave_slot(h);
    take_slot(h);
    begin_check(h);
}

/* ---- time ---- */

static const char *timeout_words(const char *subject, int64_t timeout, char *buf, size_t size)
{
    char time[32];

    snprintf(buf, size, "%.120s: timed out after %s", subject, duration_format(timeout, time, sizeof time));
    return buf;
}

/* It is ended, and the result is told at once: one that hangs in the kernel keeps nobody else from its turn. */
static void time_out_process(struct health *h)
{
    struct service *service = h->service;
    const struct spec_check *check = service->spec->check;
    enum svc_role role = svc_rare(service->svc)->check.role;
    char words[192];

    service_event(service, &(struct svc_event){.type = SVC_EV_CHECK_OVERDUE,
                                               .life = service->svc->life,
                                               .control = svc_rare(service->svc)->check.number});
    if (role == ROLE_UNHEALTHY)
        log_warning("%s: %s", service->spec->name,
                    timeout_words("on-failure", timeout_of(service, role), words, sizeof words));
    else if (check->command)
        tell_result(h, false, timeout_words(check->command[0], check->timeout, words, sizeof words));
    else
        postpone(h, NULL); /* the configuration has changed meanwhile */
}

static void time_out(struct health *h)
{
    char words[192];

    /* We may have been late ourselves, and what came in time is taken in this turn of the loop. */
    if (!h->late) {
        h->late = true;
        loop_timer_set(h->timer, 0);
        return;
    }
    if (h->probe)
        tell_result(
            h, false,
            timeout_words(health_probe_subject(h->probe), h->service->spec->check->timeout, words, sizeof words));
    else if (svc_has_check(h->service->svc))
        time_out_process(h);
    else
        postpone(h, NULL); /* there was nothing to fork any more */
}

/* One that is paused cannot answer, and a process that was begun in its cgroup goes on with it. */
static void wait_for_resume(struct health *h)
{
    health_probe_free(h->probe);
    h->probe = NULL;
    h->waits = false;
    if (h->phase != BUSY || !svc_has_check(h->service->svc)) {
        postpone(h, NULL);
        return;
    }
    h->paused = true;
    give_slot(h);
    loop_timer_set(h->timer, h->service->spec->check->interval);
}

/* It goes on, and so does its check, whose time begins again. */
static void go_on(struct health *h)
{
    h->paused = h->late = false;
    loop_timer_set(h->timer, timeout_of(h->service, svc_rare(h->service->svc)->check.role));
}

/* The command of on-failure, which waits for no slot. */
static void run_alarm(struct health *h)
{
    leave_slot(h);
    fork_command(h);
}

static void on_timer(void *ctx)
{
    struct health *h = ctx;

    if (cgroups_paused(h->service))
        wait_for_resume(h);
    else if (h->phase == BUSY && h->paused)
        go_on(h);
    else if (h->phase == BUSY)
        time_out(h);
    else if (h->waits)
        tell_result(h, false, "the process of the check before does not end");
    else if (svc_alarm_is_due(h->service->svc))
        run_alarm(h);
    else if (h->phase == WANTS_FORK)
        fork_command(h);
    else
        want_check(h);
}

/* ---- its process ---- */

void health_process_failed(struct service *service, const char *text)
{
    struct health *h = service->parts->health;

    log_warning("%s: %s: %s", service->spec->name, svc_role_name(svc_rare(service->svc)->check.role), text);
    if (h)
        postpone(h, text); /* of the service that says nothing */
}

void health_process_ended(struct service *service, const struct svc_check *check, const struct exit_info *exit,
                          const char *text)
{
    struct health *h = service->parts->health;
    bool ok = !text && exit->how == EXIT_HOW_EXITED && exit->code == 0;
    char how[64];
    char words[192];

    svc_exit_words(exit, how, sizeof how);
    if (check->role == ROLE_UNHEALTHY && !ok && !check->killed)
        log_warning("%s: on-failure: %s", service->spec->name, text ? text : how);
    if (!h || h->phase != BUSY || h->probe)
        return;
    if (check->role == ROLE_UNHEALTHY || !service->spec->check->command) {
        postpone(h, NULL); /* or the configuration has changed meanwhile */
        return;
    }
    if (text)
        snprintf(words, sizeof words, "%s", text);
    else
        snprintf(words, sizeof words, "%.100s: %s", service->spec->check->command[0], how);
    if (exit->how == EXIT_HOW_UNKNOWN)
        postpone(h, words); /* what it has found was lost with an earlier supd */
    else
        tell_result(h, ok, words);
}

/* ---- when ---- */

static void begin(struct service *service)
{
    struct health *h = xcalloc(1, sizeof *h);
    const struct svc *svc = service->svc;
    const struct spec_check *check = service->spec->check;
    bool began =
        !svc->adopted && (svc_rare(svc)->health.state == HEALTH_STARTING || svc_rare(svc)->health.state == HEALTH_NONE);
    bool soon = began || svc->state == SVC_STARTING;

    service_parts(service)->health = h;
    h->service = service;
    h->settled = !soon;
    h->timer = loop_timer_new(service->sup->loop, on_timer, h);
    if (svc_has_check(svc) && !svc_rare(svc)->check.killed) {
        /* One that an earlier supd has begun: its time begins again. */
        h->phase = BUSY;
        take_slot(h);
        loop_timer_set(h->timer, timeout_of(service, svc_rare(svc)->check.role));
        return;
    }
    loop_timer_set(h->timer,
                   soon ? health_delay(check, HEALTH_STARTING, 0) : health_stagger(check, &service->sup->rng));
}

void health_free(struct service *service)
{
    struct health *h = service->parts->health;

    if (!h)
        return;
    leave_slot(h);
    health_probe_free(h->probe);
    loop_timer_free(h->timer);
    free(h);
    service_parts(service)->health = NULL;
}

void health_follow(struct service *service)
{
    const struct svc *svc = service->svc;

    if (!svc_is_checked(svc, service->spec)) {
        health_free(service);
        return;
    }
    if (!service->parts->health)
        begin(service);
    struct health *h = service->parts->health;
    bool goes_on = h->waits && svc_rare(svc)->check.role == ROLE_SERVICE;
    bool alarmed = svc_alarm_is_due(svc) && !h->alarm && h->phase == IDLE;
    if (goes_on)
        h->waits = false;
    h->alarm = svc_alarm_is_due(svc);
    if (goes_on || alarmed)
        loop_timer_set(h->timer, 0);
}
