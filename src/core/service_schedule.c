/* SPDX-License-Identifier: MIT */
/*
 * schedule: a oneshot service that is started when its time has come.
 *
 * Between its runs it is idle.  svc.due is the last due time that was seen to; whoever holds the clock and the time
 * zone reckons the next one from it and feeds SVC_EV_DUE.  It is recorded together with the start that it leads to, so
 * a crash neither loses a run nor makes it twice.
 */
#include <string.h>

#include "core/service_step.h"

#define IDLE_WORDS "waits for its next run"

void step_await_run(struct step *s, bool failed)
{
    struct svc *svc = s->svc;
    char why[SVC_REASON_MAX];

    memcpy(why, svc->rare.reason, sizeof why);
    step_state(s, SVC_WAITING);
    svc->idle = true;
    svc->next_is_restart = false;
    if (svc->rare.due.wall == 0)
        svc->rare.due = s->now;
    if (failed)
        step_reason(svc, "run failed: %.200s; " IDLE_WORDS, why);
    else
        step_reason(svc, IDLE_WORDS);
    step_act(s, ACT_RECORD, 0);
}

/* By a configuration without a schedule it was to stay as it is once its work is done. */
static bool remains(const struct svc *svc)
{
    return svc->state == SVC_RUNNING && svc->type == TYPE_ONESHOT && svc->ended;
}

void step_on_due(struct step *s)
{
    struct svc *svc = s->svc;

    if (!s->spec->around->schedule || !svc->desired_up || svc->shutting_down)
        return;
    svc->rare.due = s->event->due;
    if (remains(svc) && !s->event->pass_over) {
        svc->row = 0;
        step_reason(svc, "its time has come");
        step_begin_stop(s, STOP_BY_COMMAND);
        return;
    }
    if (svc->state != SVC_WAITING || !svc->idle || s->event->pass_over) {
        step_act(s, ACT_RECORD, 0);
        return;
    }
    svc->row = 0;
    step_reason(svc, "its time has come");
    step_enqueue(s, false);
}

void step_reschedule(struct step *s)
{
    struct svc *svc = s->svc;
    bool on = s->spec->around->schedule && svc->desired_up && !svc->shutting_down;
    bool idle = svc->state == SVC_WAITING && svc->idle;
    /* The second: while supd was dead. */
    bool is_new = s->event->rescheduled || svc->rare.due.wall == 0;

    if (!s->spec->around->schedule)
        svc->rare.due = (struct timestamp){0};
    else if (is_new)
        svc->rare.due = s->now;
    if (on && (svc->state == SVC_EXITED || svc->state == SVC_FAILED || (idle && is_new)))
        step_await_run(s, false);
    else if (idle && !on)
        step_enqueue_or_await(s); /* for other sockets perhaps, or not for any more */
}
