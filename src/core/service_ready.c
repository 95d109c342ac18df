/* SPDX-License-Identifier: MIT */
/*
 * From a main process that is there to a service that is of use (key `ready`), and what a service tells of itself.
 */
#include <stdio.h>

#include "core/service_step.h"

/* One that may have told its readiness in vain, and may take as long as it likes, is taken for ready after this. */
#define LOST_TIMEOUT (90 * USEC_PER_SEC)

bool svc_awaits_ready(const struct svc *svc)
{
    return svc->state == SVC_STARTING && (svc->todo & TODO_READY) && svc_has_process(svc) && !svc->pre_exec &&
           !(svc->todo & (TODO_PRE_START | TODO_START | TODO_FIND_MAIN)) && svc_rare(svc)->control.role == ROLE_SERVICE;
}

/* What is waited for, in words. */
static const char *awaited_words(const struct spec *spec, char *buf, size_t size)
{
    const struct spec_ready *ready = &spec->life->ready;
    char delay[64];

    switch (ready->kind) {
    case READY_NOTIFY:
        snprintf(buf, size, "READY=1");
        break;
    case READY_FD:
        snprintf(buf, size, "a line on descriptor %u", ready->fd);
        break;
    case READY_AFTER:
        snprintf(buf, size, "%s to pass", duration_format(ready->delay, delay, sizeof delay));
        break;
    case READY_PORT:
        snprintf(buf, size, "%s to accept", ready->where);
        break;
    case READY_PATH:
        snprintf(buf, size, "%.180s", ready->where);
        break;
    case READY_LOG:
        snprintf(buf, size, "a line of output that matches %.140s", ready->where);
        break;
    case READY_CHECK:
        snprintf(buf, size, "a check that succeeds");
        break;
    case READY_EXEC:
        buf[0] = '\0';
        break;
    }
    return buf;
}

const char *step_ready_missing(const struct step *s, char *buf, size_t size)
{
    char words[SVC_REASON_MAX];

    buf[0] = '\0';
    if (svc_awaits_ready(s->svc))
        snprintf(buf, size, "waited in vain for %s", awaited_words(s->spec, words, sizeof words));
    return buf;
}

/* Ready: on with what comes behind. */
static void go_on(struct step *s)
{
    struct svc *svc = s->svc;

    svc->todo &= ~(unsigned)TODO_READY;
    svc->ready_lost = false;
    if (svc->todo & TODO_POST_START)
        step_begin_control(s, ROLE_POST_START);
    else
        step_up(s);
}

static void say_awaited(struct step *s)
{
    char words[SVC_REASON_MAX];

    step_reason(s->svc, "waiting for %.200s", awaited_words(s->spec, words, sizeof words));
}

/* It has run for a while already: what is left of that? */
static int64_t delay_deadline(const struct step *s)
{
    int64_t at = step_later(s->svc->started.mono, s->spec->life->ready.delay);

    return at > s->now.mono ? at : s->now.mono;
}

void step_main_is_there(struct step *s)
{
    struct svc *svc = s->svc;

    if (!(svc->todo & TODO_READY) || s->spec->life->ready.kind == READY_EXEC) {
        go_on(s);
        return;
    }
    say_awaited(s);
    if (s->spec->life->ready.kind == READY_AFTER)
        svc->deadline = delay_deadline(s);
}

/* Until when is it waited for from now on? */
static int64_t ready_deadline(const struct step *s)
{
    int64_t at = step_start_deadline(s);

    return at == 0 && s->svc->ready_lost ? step_later(s->now.mono, LOST_TIMEOUT) : at;
}

/* The time in which no supd was there is not counted: nobody could have heard it. */
void step_await_ready_again(struct step *s)
{
    s->svc->deadline = ready_deadline(s);
    step_main_is_there(s);
}

void step_ready_config(struct step *s)
{
    if (s->spec->life->ready.kind != READY_AFTER)
        s->svc->deadline = ready_deadline(s);
    step_main_is_there(s);
}

bool step_ready_deadline(struct step *s)
{
    if (!svc_awaits_ready(s->svc))
        return false;
    if (s->spec->life->ready.kind != READY_AFTER && !s->svc->ready_lost)
        return false;
    go_on(s);
    return true;
}

void step_on_ready(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc_awaits_ready(svc)) {
        go_on(s);
        return;
    }
    if (!svc_has_process(svc) || (!(svc->todo & TODO_READY) && svc->told == TOLD_NOTHING))
        return;
    if (svc->told == TOLD_RELOAD_ASKED)
        return; /* that is of an earlier reload */
    /* It was faster than the news of its exec, or has done what it was doing. */
    svc->todo &= ~(unsigned)TODO_READY;
    step_forget_reload(s);
    svc->told = TOLD_NOTHING;
    step_act(s, ACT_RECORD, 0);
}

void step_on_unheard(struct step *s)
{
    struct svc *svc = s->svc;

    /* A program that has connected its socket once writes to one that is no more, for ever: it is not ended for that. */
    svc->rare.watchdog_at = 0;
    if (svc->told == TOLD_RELOAD_ASKED || svc->told == TOLD_RELOAD_BEGUN) {
        step_forget_reload(s);
        step_act(s, ACT_RECORD, 0);
    }
    if (!svc_awaits_ready(svc) || svc->ready_lost)
        return;
    svc->ready_lost = true;
    if (svc->deadline == 0)
        svc->deadline = step_later(s->now.mono, LOST_TIMEOUT);
    step_act(s, ACT_RECORD, 0);
}

static void tell(struct step *s, enum svc_told told)
{
    if (s->svc->state != SVC_RUNNING || s->svc->told == told)
        return;
    s->svc->told = told;
    step_act(s, ACT_RECORD, 0);
}

void step_on_reloading(struct step *s)
{
    const struct svc *svc = s->svc;

    if (svc->told == TOLD_RELOAD_BEGUN)
        return;
    if (svc->told != TOLD_RELOAD_ASKED)
        tell(s, TOLD_RELOADING);
    else if (s->event->usec == 0 || s->event->usec >= svc->rare.reload_asked)
        tell(s, TOLD_RELOAD_BEGUN);
}

void step_on_stopping(struct step *s)
{
    tell(s, TOLD_STOPPING);
}

/* ---- a reload that was asked for ---- */

static bool waits_for_reload(const struct svc *svc)
{
    return svc->state == SVC_RUNNING && (svc->told == TOLD_RELOAD_ASKED || svc->told == TOLD_RELOAD_BEGUN);
}

bool svc_is_reloading(const struct svc *svc)
{
    return svc_rare(svc)->control.role == ROLE_RELOAD || waits_for_reload(svc);
}

void step_ask_reload(struct step *s)
{
    struct svc *svc = s->svc;

    if (s->spec->life->ready.kind != READY_NOTIFY || !s->spec->life->ready.reloads || !svc_has_process(svc))
        return;
    svc->told = TOLD_RELOAD_ASKED;
    svc->rare.reload_asked = s->now.mono;
    svc->deadline = step_start_deadline(s);
    step_act(s, ACT_RECORD, 0);
}

void step_reload_command_done(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->told == TOLD_RELOADING)
        svc->told = TOLD_RELOAD_BEGUN;
    if (waits_for_reload(svc))
        svc->deadline = step_start_deadline(s);
}

void step_forget_reload(struct step *s)
{
    struct svc *svc = s->svc;

    if (!waits_for_reload(svc))
        return;
    svc->told = svc->told == TOLD_RELOAD_BEGUN ? TOLD_RELOADING : TOLD_NOTHING;
    if (svc->rare.control.role != ROLE_RELOAD)
        svc->deadline = 0;
}

void step_kill_reload(struct step *s)
{
    s->svc->deadline = s->now.mono + KILL_AGAIN;
    step_act(s, ACT_SIGNAL_CONTROL, SIGNAL_KILL);
}

/* The service itself is left alone. */
void step_reload_deadline(struct step *s)
{
    struct svc *svc = s->svc;
    const char *missing = svc->told == TOLD_RELOAD_ASKED ? "RELOADING=1" : "READY=1";
    char buf[32];

    duration_format(s->spec->life->start_timeout, buf, sizeof buf);
    if (svc->rare.control.role == ROLE_RELOAD) {
        step_reason(svc, "%s: timed out after %s", svc_role_name(ROLE_RELOAD), buf);
        step_forget_reload(s);
        step_kill_reload(s);
    } else if (waits_for_reload(svc)) {
        step_reason(svc, "reload: timed out after %s: waited in vain for %s", buf, missing);
        step_forget_reload(s);
        step_act(s, ACT_RECORD, 0);
    }
}

/* A deadline that is none, or that SIGKILL has met, is not moved; nor is one that is later already. */
void step_on_extend(struct step *s)
{
    struct svc *svc = s->svc;
    int64_t until = step_later(s->now.mono, s->event->usec);
    bool starting = svc->state == SVC_STARTING && !(svc_awaits_ready(svc) && s->spec->life->ready.kind == READY_AFTER);
    bool stopping = svc->state == SVC_STOPPING && svc->stop_phase == STOP_SIGNALLED;

    if ((!starting && !stopping && !waits_for_reload(svc)) || svc->deadline == 0 || until <= svc->deadline)
        return;
    svc->deadline = until;
    step_act(s, ACT_RECORD, 0);
}

/* ---- the watchdog ---- */

/* What the process was started with, of which its own record says nothing: the same as now, or else it knows of none. */
static int64_t watchdog_of(const struct step *s)
{
    int64_t configured = s->spec->life->watchdog;

    return configured > 0 && s->svc->proc.digest == spec_process_digest(s->spec) ? configured : 0;
}

void step_watch(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->rare.watchdog == SVC_WATCHDOG_UNKNOWN)
        svc->rare.watchdog = watchdog_of(s);
    if (svc->state == SVC_RUNNING && svc_has_process(svc) && svc->rare.watchdog > 0)
        svc->rare.watchdog_at = step_later(s->now.mono, svc->rare.watchdog);
}

void step_on_alive(struct step *s)
{
    step_watch(s);
}

void step_on_watchdog_usec(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->rare.watchdog == s->event->usec)
        return;
    svc->rare.watchdog = s->event->usec;
    svc->rare.watchdog_at = 0;
    step_watch(s);
    step_act(s, ACT_RECORD, 0);
}

void step_on_watchdog(struct step *s)
{
    struct svc *svc = s->svc;
    char buf[64];

    if (svc->state != SVC_RUNNING || !svc_has_process(svc))
        return;
    if (s->event->text) {
        step_reason(svc, "watchdog: %s", s->event->text);
    } else {
        if (svc->rare.watchdog_at == 0 || s->now.mono < svc->rare.watchdog_at)
            return;
        step_reason(svc, "watchdog: no sign of life for %s", duration_format(svc->rare.watchdog, buf, sizeof buf));
    }
    svc->result = RESULT_WATCHDOG;
    svc->ended_at = s->now.mono;
    svc->proc.stop.signal = s->spec->life->watchdog_signal;
    step_begin_stop(s, STOP_BY_FAILURE);
}
