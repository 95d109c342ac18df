/* SPDX-License-Identifier: MIT */
/*
 * The end of a main process, and of what it has left.
 */
#include <string.h>

#include "core/service_step.h"

/* post-start or reload-command of a service whose main process is no more.  False: there is none that has to be waited for. */
static bool end_control(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->rare.control.role == ROLE_SERVICE)
        return false;
    if (svc_is_queued(svc)) {
        step_act(s, ACT_UNQUEUE, 0);
        step_drop_control(svc);
        return false;
    }
    /* It comes behind this end, which an earlier supd could not record. */
    if (svc->type == TYPE_ONESHOT && svc->rare.control.role == ROLE_POST_START && policy_success(s->spec, &svc->exit))
        return false;
    step_state(s, SVC_STOPPING);
    svc->stop_cause = STOP_OF_LEFTOVERS;
    step_send_stop(s);
    return true;
}

/* Success is to become ready first. */
static void ended_too_early(struct step *s)
{
    struct svc *svc = s->svc;
    char words[SVC_REASON_MAX];

    if (svc->ready_lost)
        return;
    memcpy(words, svc->rare.reason, sizeof words);
    step_reason(svc, "%.200s before it was ready", words);
    if (policy_success(s->spec, &svc->exit))
        svc->result = RESULT_PROTOCOL;
}

void step_on_exited(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->ended)
        return;
    bool failed = s->event->text != NULL;
    bool timed_out = svc->state == SVC_STOPPING && svc->stop_cause == STOP_BY_TIMEOUT;
    bool was_awaited = svc_awaits_ready(svc);
    step_learn_start_ticks(s);
    svc->ended = true;
    svc->ended_at = s->now.mono;
    svc->exit = s->event->exit;
    svc->exit_pre_exec = failed || (svc->pre_exec && timed_out);
    svc->pre_exec = false;
    svc->proc.pid = 0;
    if (svc->state != SVC_STOPPING) {
        char words[64];

        step_reason(svc, "%s", failed ? s->event->text : step_exit_words(s, words, sizeof words));
        if (was_awaited && !failed)
            ended_too_early(s);
    }

    /* One that a signal ended may have reached its program, and left something, before we heard of it. */
    bool check = !failed && svc->proc.stop.kill_mode != KILL_MODE_PROCESS;
    if (!check)
        svc->group = 0;
    if (svc->state != SVC_STOPPING && end_control(s) && !check)
        return;
    if (!check) {
        if (svc->rare.control.role != ROLE_SERVICE)
            step_act(s, ACT_RECORD, 0); /* nothing follows before that has ended, too */
        step_over(s);
        return;
    }
    step_act(s, ACT_RECORD, 0);
    step_act(s, ACT_CHECK_GROUP, 0);
}

/* The main process has ended, others of its group live on. */
static void end_leftovers(struct step *s)
{
    struct svc *svc = s->svc;
    bool mixed = svc->proc.stop.kill_mode == KILL_MODE_MIXED;

    if (svc->state == SVC_STOPPING) {
        if (svc->stop_phase != STOP_COMMAND && (mixed || svc->stop_phase == STOP_KILLED))
            step_kill(s);
        step_act(s, ACT_WATCH_GROUP, 0);
        return;
    }

    char words[64];
    step_state(s, SVC_STOPPING);
    step_reason(svc, "%s; ending what it left behind: %u process%s", step_exit_words(s, words, sizeof words),
                s->event->group_left, s->event->group_left == 1 ? "" : "es");
    svc->stop_cause = STOP_OF_LEFTOVERS;
    if (mixed) {
        step_kill(s);
    } else {
        svc->stop_phase = STOP_SIGNALLED;
        svc->deadline = step_stop_deadline(s);
        step_act(s, ACT_RECORD, 0);
        step_act(s, ACT_SIGNAL_GROUP, svc->proc.stop.signal);
    }
    step_act(s, ACT_WATCH_GROUP, 0);
}

void step_on_group(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc_has_process(svc) || svc->group == 0)
        return;
    if (s->event->group_left > 0) {
        end_leftovers(s);
        return;
    }
    svc->group = 0;
    step_over(s);
}
