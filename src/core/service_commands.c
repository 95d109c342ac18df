/* SPDX-License-Identifier: MIT */
/*
 * What commands do to a service, in each of its states.
 */
#include <string.h>

#include "core/service_step.h"

void step_on_start(struct step *s)
{
    struct svc *svc = s->svc;

    svc->row = 0;
    /* What was due while nobody wanted it is no matter. */
    if (s->spec->around->schedule && !svc->desired_up)
        svc->rare.due = s->now;
    svc->desired_up = true;
    svc->stop_held = false;
    switch (svc->state) {
    case SVC_STOPPED:
    case SVC_BACKOFF:
    case SVC_EXITED:
    case SVC_FAILED:
        if (svc->shutting_down)
            break;
        step_reason(svc, "%s", s->event->text ? s->event->text : "started by command");
        step_enqueue(s, false);
        return;
    case SVC_STOPPING:
        /* Whatever it is being ended for, it is to run afterwards. */
        svc->stop_cause = STOP_BY_COMMAND;
        step_reason(svc, "restarted by command");
        break;
    case SVC_WAITING:
        if (!svc->idle)
            break;
        step_reason(svc, "%s", s->event->text ? s->event->text : "started by command");
        step_enqueue(s, false);
        return;
    case SVC_STARTING:
    case SVC_RUNNING:
    case SVC_N_STATES:
        break;
    }
    step_act(s, ACT_RECORD, 0);
}

/* Of a service that is up.  The reason is the caller's. */
static void stop_or_hold(struct step *s)
{
    if (!s->event->hold) {
        step_begin_stop(s, STOP_BY_COMMAND);
        return;
    }
    s->svc->stop_held = true;
    step_act(s, ACT_RECORD, 0);
}

void step_on_stop(struct step *s)
{
    struct svc *svc = s->svc;

    const char *why = s->event->text ? s->event->text : "stopped by command";

    svc->desired_up = false;
    switch (svc->state) {
    case SVC_WAITING:
        step_act(s, ACT_UNQUEUE, 0);
        step_to_stopped(s, why);
        return;
    case SVC_STOPPED:
        step_act(s, ACT_RECORD, 0);
        return;
    case SVC_BACKOFF:
    case SVC_EXITED:
    case SVC_FAILED:
        step_to_stopped(s, why);
        return;
    case SVC_STARTING:
    case SVC_RUNNING:
        step_reason(svc, "%s", why);
        stop_or_hold(s);
        return;
    case SVC_STOPPING:
        svc->stop_cause = STOP_BY_COMMAND;
        step_reason(svc, "%s", why);
        step_act(s, ACT_RECORD, 0);
        return;
    case SVC_N_STATES:
        return;
    }
}

void step_on_restart(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->state != SVC_STARTING && svc->state != SVC_RUNNING) {
        step_on_start(s);
        return;
    }
    svc->row = 0;
    svc->desired_up = true;
    step_reason(svc, "%s", s->event->text ? s->event->text : "restarted by command");
    stop_or_hold(s);
}

void step_on_reset(struct step *s)
{
    struct svc *svc = s->svc;

    svc->row = 0;
    if (svc->state == SVC_FAILED || svc->state == SVC_EXITED) {
        svc->desired_up = false;
        step_to_stopped(s, "reset by command");
        return;
    }
    if (s->spec->around->schedule && svc->state == SVC_WAITING && svc->idle) {
        step_await_run(s, false);
        return;
    }
    step_act(s, ACT_RECORD, 0);
}

void step_on_shutdown(struct step *s)
{
    struct svc *svc = s->svc;

    svc->shutting_down = true;
    switch (svc->state) {
    case SVC_WAITING:
        step_act(s, ACT_UNQUEUE, 0);
        step_to_stopped(s, "supd is shutting down");
        return;
    case SVC_BACKOFF:
        step_to_stopped(s, "supd is shutting down");
        return;
    case SVC_STARTING:
    case SVC_RUNNING:
        step_reason(svc, "supd is shutting down");
        stop_or_hold(s);
        return;
    case SVC_STOPPED:
    case SVC_STOPPING:
    case SVC_EXITED:
    case SVC_FAILED:
    case SVC_N_STATES:
        return;
    }
}

void step_on_stop_now(struct step *s)
{
    struct svc *svc = s->svc;

    if (!svc->stop_held)
        return;
    svc->stop_held = false;
    if (svc->state == SVC_STARTING || svc->state == SVC_RUNNING) {
        step_begin_stop(s, STOP_BY_COMMAND);
        return;
    }
    /* It has ended by itself meanwhile, and is being cleared away. */
    if (svc->state == SVC_STOPPING)
        svc->stop_cause = STOP_BY_COMMAND;
    step_act(s, ACT_RECORD, 0);
}

void step_on_call_off(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->state != SVC_WAITING)
        return;
    step_act(s, ACT_UNQUEUE, 0);
    svc->next_is_restart = false;
    step_reason(svc, "%s", s->event->text);
    if (s->spec->around->schedule) {
        step_await_run(s, true);
        return;
    }
    step_state(s, SVC_FAILED);
    step_act(s, ACT_RECORD, 0);
}

void step_on_hurry(struct step *s)
{
    struct svc *svc = s->svc;

    svc->hurried = true;
    if (svc->state == SVC_STOPPING && svc->stop_phase != STOP_KILLED && !svc_is_queued(svc))
        step_kill(s);
}

const char *svc_refuses_reload(const struct svc *svc, const struct spec *spec)
{
    if (!spec->around->reload_command && spec_reload_signal(spec) == 0)
        return "it has neither reload-signal nor reload-command: use restart";
    if (svc->state != SVC_RUNNING || (!svc_has_process(svc) && !spec->around->reload_command))
        return "it is not running";
    if (svc_rare(svc)->control.role != ROLE_SERVICE || svc_is_reloading(svc))
        return "it is being reloaded already";
    return NULL;
}

void step_on_reload(struct step *s)
{
    if (svc_refuses_reload(s->svc, s->spec))
        return;
    s->svc->rare.reason[0] = '\0';
    step_ask_reload(s);
    if (s->spec->around->reload_command)
        step_begin_control(s, ROLE_RELOAD);
    else
        step_act(s, ACT_RELOAD_SIGNAL, spec_reload_signal(s->spec));
}

/* Only the words of one that stands still because of it. */
static void tell_enabled(struct step *s, const char *words)
{
    if (s->svc->state != SVC_STOPPED || s->svc->life > 0 || s->svc->desired_up)
        return;
    step_reason(s->svc, "%s", words);
    step_act(s, ACT_RECORD, 0);
}

void step_on_enabled(struct step *s)
{
    tell_enabled(s, "enabled, and not started yet");
}

void step_on_disabled(struct step *s)
{
    tell_enabled(s, "not enabled");
}

/* Of all that a new configuration may change at once.  That no check has spoken yet is the same as that there is none. */
static bool is_as_before(const struct svc *before, const struct svc *svc)
{
    const struct svc_stop_params *was = &before->proc.stop, *is = &svc->proc.stop;
    bool healthy_as_before =
        before->rare.health.state == svc->rare.health.state || before->rare.health.state == HEALTH_STARTING;

    return was->signal == is->signal && was->kill_mode == is->kill_mode && was->timeout == is->timeout &&
           before->state == svc->state && before->idle == svc->idle && before->rare.due.wall == svc->rare.due.wall &&
           healthy_as_before && before->deadline == svc->deadline && before->todo == svc->todo &&
           strcmp(before->rare.reason, svc->rare.reason) == 0;
}

void step_on_config(struct step *s)
{
    const struct svc before = *s->svc;

    step_reschedule(s);
    if (svc_awaits_ready(s->svc))
        step_ready_config(s);
    step_health_config(s);
    /* What the main process has left is ended as it was begun. */
    if (!svc_has_process(s->svc) && (s->svc->ended || s->svc->group != 0))
        return;
    if (!svc_is_busy(s->svc))
        return;
    s->svc->proc.stop = s->event->stop;
    /* As a rule a new supd finds the configuration of the one before, and has just recorded all. */
    if (!is_as_before(&before, s->svc))
        step_act(s, ACT_RECORD, 0);
}
