/* SPDX-License-Identifier: MIT */
#include "core/service_step.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void step_act(struct step *s, enum svc_action_type type, int32_t signal)
{
    assert(s->out->n < SVC_ACTIONS_MAX);
    s->out->items[s->out->n++] = (struct svc_action){.type = type, .signal = signal};
}

void step_reason(struct svc *svc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(svc->rare.reason, sizeof svc->rare.reason, fmt, ap);
    va_end(ap);
}

const char *step_exit_words(const struct step *s, char *buf, size_t size)
{
    const struct cgroup_limit *limit = &s->spec->cgroup->memory_max;
    char number[32];

    svc_exit_words(&s->svc->exit, buf, size);
    if (s->svc->exit.oom && limit->set && !limit->infinite) {
        size_t len = strlen(buf);
        snprintf(buf + len, size - len, ": memory-max %s", size_format(limit->value, number, sizeof number));
    }
    return buf;
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
    s->svc->rare.watchdog_at = 0;
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

int64_t step_start_deadline(const struct step *s)
{
    return s->spec->life->start_timeout > 0 ? step_later(s->now.mono, s->spec->life->start_timeout) : 0;
}

/* Is anything of the main process there, or of what it or the start command has left? */
static bool main_is_there(const struct svc *svc)
{
    return svc_has_process(svc) || svc->group != 0;
}

/* As long as no main process is known, it may be any of those that the start command has left. */
static enum kill_mode kill_mode_of(const struct svc *svc)
{
    enum kill_mode mode = svc->proc.stop.kill_mode;

    return mode == KILL_MODE_PROCESS && !svc_has_process(svc) ? KILL_MODE_GROUP : mode;
}

void step_kill(struct step *s)
{
    struct svc *svc = s->svc;
    bool main_only = kill_mode_of(svc) == KILL_MODE_PROCESS || svc->pre_exec;

    if (svc->stop_phase != STOP_POST)
        svc->stop_phase = STOP_KILLED;
    svc->deadline = s->now.mono + KILL_AGAIN;
    step_act(s, ACT_RECORD, 0);
    if (main_is_there(svc))
        step_act(s, main_only ? ACT_SIGNAL_MAIN : ACT_SIGNAL_GROUP, SIGNAL_KILL);
    if (svc->rare.control.pid > 0)
        step_act(s, ACT_SIGNAL_CONTROL, SIGNAL_KILL);
}

/* Does the stop-signal go to more than the main process? */
static bool signals_all(enum kill_mode mode)
{
    return mode == KILL_MODE_GROUP || mode == KILL_MODE_CGROUP;
}

static void signal_main(struct step *s)
{
    struct svc *svc = s->svc;
    enum kill_mode mode = kill_mode_of(svc);

    /* Under the other modes what a process has left gets SIGKILL, once it is counted, or is let go. */
    if (svc_has_process(svc) || signals_all(mode))
        step_act(s, signals_all(mode) ? ACT_SIGNAL_GROUP : ACT_SIGNAL_MAIN, svc->proc.stop.signal);
}

void step_send_stop(struct step *s)
{
    struct svc *svc = s->svc;

    svc->stop_phase = STOP_SIGNALLED;
    if (!main_is_there(svc) && svc->rare.control.role == ROLE_SERVICE) {
        step_go_on(s);
        return;
    }
    svc->deadline = step_stop_deadline(s);
    step_act(s, ACT_RECORD, 0);
    if (main_is_there(svc))
        signal_main(s);
    if (svc->rare.control.pid > 0)
        step_act(s, ACT_SIGNAL_CONTROL, svc->proc.stop.signal);
    /* Else somebody counts it, or watches it, already. */
    if (!svc_has_process(svc) && !svc->ended && svc->group != 0)
        step_act(s, ACT_CHECK_GROUP, 0);
}

/* What waits for its turn does not begin any more. */
static void unqueue(struct step *s)
{
    struct svc *svc = s->svc;

    if (!svc_is_queued(svc))
        return;
    step_act(s, ACT_UNQUEUE, 0);
    step_drop_control(svc);
    svc->todo = 0;
}

/* stop-command is for a service that is up, and goes before every signal. */
static bool begin_stop_command(struct step *s)
{
    struct svc *svc = s->svc;

    if (!s->spec->around->stop_command || (!svc_has_process(svc) && svc->type != TYPE_ONESHOT))
        return false;
    svc->stop_phase = STOP_COMMAND;
    if (svc->rare.control.role == ROLE_SERVICE) {
        step_begin_control(s, ROLE_STOP);
        return true;
    }
    /* reload-command is in the way. */
    svc->deadline = step_stop_deadline(s);
    step_act(s, ACT_RECORD, 0);
    step_act(s, ACT_SIGNAL_CONTROL, svc->proc.stop.signal);
    return true;
}

/* Ends the main process and what kill-mode says.  The reason is the caller's. */
void step_begin_stop(struct step *s, enum svc_stop_cause cause)
{
    struct svc *svc = s->svc;
    bool was_up = svc->state == SVC_RUNNING;

    unqueue(s);
    step_state(s, SVC_STOPPING);
    svc->stop_held = svc->stop_held && cause != STOP_BY_COMMAND;
    svc->stop_cause = cause;
    if (cause == STOP_BY_TIMEOUT && (svc->pre_exec || svc->rare.control.pre_exec)) {
        /* It hangs before its exec with every signal blocked: nothing else gets through. */
        step_kill(s);
        return;
    }
    if (cause == STOP_BY_COMMAND && was_up && begin_stop_command(s))
        return;
    step_send_stop(s);
}

/* Whatever of it has run. */
static bool post_stop_is_due(const struct step *s)
{
    return s->spec->around->post_stop && s->svc->began && s->svc->stop_phase != STOP_POST && !s->svc->hurried;
}

void step_go_on(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->rare.control.role != ROLE_SERVICE)
        return;
    if (svc->stop_phase == STOP_COMMAND) {
        if (!begin_stop_command(s))
            step_send_stop(s);
        return;
    }
    if (svc_has_process(svc))
        return;
    if (svc->group != 0) {
        step_act(s, ACT_CHECK_GROUP, 0);
        return;
    }
    if (svc->rare.check.role != ROLE_SERVICE) {
        /* Its end comes soon, step_end_check(); that of the main process is known already. */
        step_act(s, ACT_RECORD, 0);
        return;
    }
    if (post_stop_is_due(s)) {
        svc->stop_phase = STOP_POST;
        step_begin_control(s, ROLE_POST_STOP);
        return;
    }
    step_settle(s);
}

/* A oneshot whose work is done is not at its end: post-start comes, and remain-after-exit. */
static bool oneshot_goes_on(struct step *s)
{
    struct svc *svc = s->svc;
    bool unasked = svc->state == SVC_STARTING || (svc->state == SVC_STOPPING && svc->stop_cause == STOP_OF_LEFTOVERS);

    if (svc->type != TYPE_ONESHOT || !unasked || svc->stop_phase == STOP_POST || svc->result != RESULT_NONE ||
        svc->exit_pre_exec || !policy_success(s->spec, &svc->exit) || !svc->desired_up || svc->shutting_down)
        return false;
    if (!(svc->todo & TODO_POST_START) && !s->spec->remain_after_exit)
        return false;
    svc->stop_phase = STOP_NONE;
    if (svc->rare.control.role == ROLE_POST_START) {
        /* An earlier supd had come to it, but could not record that. */
        if (svc->state == SVC_STOPPING) {
            step_state(s, SVC_STARTING);
            svc->deadline = step_start_deadline(s);
        }
        return true;
    }
    if (!(svc->todo & TODO_POST_START)) {
        step_up(s);
        return true;
    }
    step_state(s, SVC_STARTING);
    step_begin_control(s, ROLE_POST_START);
    return true;
}

void step_over(struct step *s)
{
    struct svc *svc = s->svc;

    if (oneshot_goes_on(s))
        return;
    if (svc->state == SVC_STOPPING) {
        step_go_on(s);
        return;
    }
    if (!post_stop_is_due(s) && svc->rare.check.role == ROLE_SERVICE) {
        step_settle(s);
        return;
    }
    step_state(s, SVC_STOPPING);
    svc->stop_cause = STOP_OF_LEFTOVERS;
    step_go_on(s);
}

void step_up(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->type == TYPE_ONESHOT && !s->spec->remain_after_exit) {
        step_over(s);
        return;
    }
    step_state(s, SVC_RUNNING);
    step_watch(s);
    svc->rare.reason[0] = '\0';
    /* Of a plain service the child's own record says enough. */
    if (svc->type != TYPE_SIMPLE || svc->rare.controls > 0 || s->spec->life->ready.kind != READY_EXEC ||
        svc->rare.watchdog > 0)
        step_act(s, ACT_RECORD, 0);
}

void step_fail_start(struct step *s)
{
    step_begin_stop(s, STOP_BY_FAILURE);
}

/* The stop that was asked for is complete. */
void step_settle_stop(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->shutting_down) {
        step_to_stopped(s, "supd is shutting down");
    } else if (svc->desired_up) {
        step_enqueue(s, false); /* the reason stands since the restart was asked for */
    } else {
        step_to_stopped(s, NULL); /* the reason stands since the stop began */
    }
}

/* Is it supd that has ended a service which was up? */
static bool ended_while_up(enum svc_result result)
{
    return result == RESULT_WATCHDOG || result == RESULT_UNHEALTHY || result == RESULT_UNHEALTHY_STOP;
}

/* What the policy looks at where a step of the start has failed, and not the main process. */
static struct exit_info exit_of_result(enum svc_result result)
{
    switch (result) {
    case RESULT_EXIT_CODE:
    case RESULT_PROTOCOL:
        return (struct exit_info){.how = EXIT_HOW_EXITED, .code = 1};
    case RESULT_SIGNAL:
        return (struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = SIGNAL_KILL};
    case RESULT_NONE:
    case RESULT_UNKNOWN:
    case RESULT_TIMEOUT:
    case RESULT_RESOURCES:
    case RESULT_WATCHDOG:
    case RESULT_UNHEALTHY:
    case RESULT_UNHEALTHY_STOP:
    case RESULT_N:
        break;
    }
    return (struct exit_info){.how = EXIT_HOW_UNKNOWN};
}

/* The run ended unasked: what the policy says. */
void step_settle_policy(struct step *s, bool abnormal)
{
    struct svc *svc = s->svc;
    bool start_failed = svc->result != RESULT_NONE && !ended_while_up(svc->result);
    struct policy_run run = {
        .exit = start_failed ? exit_of_result(svc->result) : svc->exit,
        .ran = svc->ended_at - svc->started.mono,
        .pre_exec = svc->exit_pre_exec || start_failed,
        .abnormal =
            abnormal || svc->result == RESULT_TIMEOUT || svc->result == RESULT_RESOURCES || ended_while_up(svc->result),
        .row = svc->row,
    };
    char words[SVC_REASON_MAX];

    if (svc->result == RESULT_UNHEALTHY_STOP) {
        step_state(s, SVC_FAILED);
        if (s->spec->around->schedule) /* got since it was found unhealthy */
            step_await_run(s, true);
        else
            step_act(s, ACT_RECORD, 0);
        return;
    }
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
            memcpy(words, svc->rare.reason, sizeof words);
            step_reason(svc, "gave up after %u unstable runs in a row: %.200s", result.row, words);
        }
        break;
    }
    if (s->spec->around->schedule && result.verdict != POLICY_RESTART) {
        step_await_run(s, result.verdict == POLICY_FAILED);
        return;
    }
    step_act(s, ACT_RECORD, 0);
}

/* Nothing is left of the present life: what next? */
void step_settle(struct step *s)
{
    struct svc *svc = s->svc;
    bool asked = svc->shutting_down || !svc->desired_up ||
                 (svc->state == SVC_STOPPING && svc->stop_cause == STOP_BY_COMMAND) ||
                 svc->stop_held; /* its end was wanted, if not yet */
    bool timed_out = svc->state == SVC_STOPPING && svc->stop_cause == STOP_BY_TIMEOUT;

    if (svc->state == SVC_STOPPING && svc->stop_cause == STOP_OF_LEFTOVERS && !svc->exit_pre_exec) {
        char words[64];

        step_reason(svc, "%s", step_exit_words(s, words, sizeof words));
    }
    svc->group = 0;
    svc->group_start = 0;
    svc->todo = 0;
    svc->rare.health = (struct health_counts){0};
    svc->stop_phase = STOP_NONE;
    svc->stop_held = false;
    if (svc->type == TYPE_FORKING)
        step_act(s, ACT_REMOVE_PID_FILE, 0);
    if (asked)
        step_settle_stop(s);
    else
        step_settle_policy(s, timed_out);
}
