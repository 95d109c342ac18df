/* SPDX-License-Identifier: MIT */
#include "core/service_step.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* SIGKILL, numbered the same on every Linux architecture (signal(7)). */
#define SIGNAL_KILL 9

/* A process that SIGKILL has not ended (it hangs in the kernel) is sent another one after this long. */
#define KILL_AGAIN (5 * USEC_PER_SEC)

void step_act(struct step *s, enum svc_action_type type, int32_t signal)
{
    assert(s->out->n < SVC_ACTIONS_MAX);
    s->out->items[s->out->n++] = (struct svc_action){.type = type, .signal = signal};
}

void step_reason(struct svc *svc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(svc->reason, sizeof svc->reason, fmt, ap);
    va_end(ap);
}

/* A time-out may be as long as can be written. */
int64_t step_later(int64_t at, int64_t by)
{
    return by < INT64_MAX - at ? at + by : INT64_MAX;
}

void step_state(struct step *s, enum svc_state state)
{
    s->svc->state = state;
    s->svc->since = s->now;
    s->svc->deadline = 0;
    s->svc->idle = false;
}

/* Into the queue for a start slot. */
void step_enqueue(struct step *s, bool automatic)
{
    step_state(s, SVC_WAITING);
    s->svc->next_is_restart = automatic;
    step_act(s, ACT_RECORD, 0);
    step_act(s, ACT_QUEUE, 0);
}

void step_to_stopped(struct step *s, const char *reason)
{
    step_state(s, SVC_STOPPED);
    if (reason)
        step_reason(s->svc, "%s", reason);
    step_act(s, ACT_RECORD, 0);
}

int64_t step_stop_deadline(const struct step *s)
{
    return step_later(s->now.mono, s->svc->proc.stop.timeout);
}

void step_kill(struct step *s)
{
    bool main_only = s->svc->proc.stop.kill_mode == KILL_MODE_PROCESS || s->svc->pre_exec;

    s->svc->stop_phase = STOP_KILLED;
    s->svc->deadline = s->now.mono + KILL_AGAIN;
    step_act(s, ACT_RECORD, 0);
    step_act(s, main_only ? ACT_SIGNAL_MAIN : ACT_SIGNAL_GROUP, SIGNAL_KILL);
}

/* Ends the main process and what kill-mode says.  The reason is the caller's. */
void step_begin_stop(struct step *s, enum svc_stop_cause cause)
{
    struct svc *svc = s->svc;

    step_state(s, SVC_STOPPING);
    svc->stop_cause = cause;
    if (svc->pre_exec && cause == STOP_BY_TIMEOUT) {
        /* It hangs before its exec with every signal blocked: nothing else gets through. */
        step_kill(s);
        return;
    }
    svc->stop_phase = STOP_SIGNALLED;
    svc->deadline = step_stop_deadline(s);
    step_act(s, ACT_RECORD, 0);
    step_act(s, svc->proc.stop.kill_mode == KILL_MODE_GROUP ? ACT_SIGNAL_GROUP : ACT_SIGNAL_MAIN,
             svc->proc.stop.signal);
}

/* The stop that was asked for is complete. */
void step_settle_stop(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->shutting_down) {
        step_to_stopped(s, "supd is shutting down");
    } else if (svc->desired_up) {
        step_reason(svc, "restarted by command");
        step_enqueue(s, false);
    } else {
        step_to_stopped(s, NULL); /* the reason stands since the stop began */
    }
}

/* The run ended unasked: what the policy says. */
void step_settle_policy(struct step *s, bool abnormal)
{
    struct svc *svc = s->svc;
    struct policy_run run = {
        .exit = svc->exit,
        .ran = svc->ended_at - svc->started.mono,
        .pre_exec = svc->exit_pre_exec,
        .abnormal = abnormal,
        .row = svc->row,
    };
    char words[SVC_REASON_MAX];

    if (policy_awaits_demand(s->spec, &run)) {
        svc->row = 0;
        step_await(s);
        return;
    }
    struct policy_result result = policy_decide(s->spec, &run, s->rng);

    svc->row = result.row;
    switch (result.verdict) {
    case POLICY_RESTART:
        if (result.delay <= 0) {
            step_enqueue(s, true);
            return;
        }
        step_state(s, SVC_BACKOFF);
        svc->next_is_restart = true;
        svc->deadline = step_later(s->now.mono, result.delay);
        break;
    case POLICY_EXITED:
        step_state(s, SVC_EXITED);
        break;
    case POLICY_FAILED:
        step_state(s, SVC_FAILED);
        if (result.gave_up) {
            memcpy(words, svc->reason, sizeof words);
            step_reason(svc, "gave up after %u unstable runs in a row: %.200s", result.row, words);
        }
        break;
    }
    step_act(s, ACT_RECORD, 0);
}

/* Nothing is left of the present life: what next? */
void step_settle(struct step *s)
{
    struct svc *svc = s->svc;
    bool asked =
        svc->shutting_down || !svc->desired_up || (svc->state == SVC_STOPPING && svc->stop_cause == STOP_BY_COMMAND);
    bool timed_out = svc->state == SVC_STOPPING && svc->stop_cause == STOP_BY_TIMEOUT;

    if (svc->state == SVC_STOPPING && svc->stop_cause == STOP_OF_LEFTOVERS) {
        char words[64];

        step_reason(svc, "%s", svc_exit_words(&svc->exit, words, sizeof words));
    }
    svc->group = 0;
    svc->stop_phase = STOP_NONE;
    if (asked)
        step_settle_stop(s);
    else
        step_settle_policy(s, timed_out);
}
