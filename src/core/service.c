/* SPDX-License-Identifier: MIT */
#include "core/service.h"

#include <stdio.h>
#include <string.h>

#include "core/service_step.h"

static void on_boot(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->ended && svc->group != 0) {
        /* We died between the end of the main process and what was to follow from it. */
        step_act(s, ACT_CHECK_GROUP, 0);
        return;
    }
    if (svc_has_process(svc))
        return;
    switch (svc->state) {
    case SVC_STOPPED:
        if (svc->desired_up)
            step_enqueue_or_await(s);
        return;
    case SVC_WAITING:
        if (svc->idle)
            step_enqueue_or_await(s);
        else
            step_enqueue(s, svc->next_is_restart);
        return;
    case SVC_STARTING:
    case SVC_RUNNING:
        /* No child of that life has recorded itself, so none has run. */
        step_enqueue(s, false);
        return;
    case SVC_STOPPING:
        if (svc->ended)
            step_settle(s);
        else
            step_settle_stop(s);
        return;
    case SVC_BACKOFF:
    case SVC_EXITED:
    case SVC_FAILED:
    case SVC_N_STATES:
        return;
    }
}

static void on_slot(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->state != SVC_WAITING)
        return;
    step_state(s, SVC_STARTING);
    svc->life++;
    if (svc->next_is_restart)
        svc->restarts++;
    svc->next_is_restart = false;
    svc->started = s->now;
    svc->pre_exec = true;
    svc->adopted = false;
    svc->ended = false;
    svc->exit_pre_exec = false;
    svc->stop_phase = STOP_NONE;
    svc->group = 0;
    memset(&svc->proc, 0, sizeof svc->proc);
    if (s->spec->start_timeout > 0)
        svc->deadline = step_later(s->now.mono, s->spec->start_timeout);
    step_act(s, ACT_FORK, 0);
}

static void on_forked(struct step *s)
{
    struct svc *svc = s->svc;

    svc->proc.pid = s->event->pid;
    svc->proc.start_ticks = 0;
    svc->proc.inode = s->event->inode;
    svc->proc.digest = s->event->digest;
    svc->proc.stop = s->event->stop;
    svc->group = s->event->pid;
}

static void on_fork_failed(struct step *s)
{
    struct svc *svc = s->svc;

    svc->ended = true;
    svc->exit_pre_exec = true;
    svc->pre_exec = false;
    svc->ended_at = s->now.mono;
    step_reason(svc, "%s", s->event->text);
    /* There was no process, so there is no new exit; the policy must not look at the one before. */
    struct exit_info last = svc->exit;
    svc->exit = (struct exit_info){.how = EXIT_HOW_UNKNOWN};
    step_settle_policy(s, true);
    svc->exit = last;
}

/* Without it a record could not be believed: a number alone is nobody's. */
static void learn_start_ticks(struct step *s)
{
    if (s->event->start_ticks != 0)
        s->svc->proc.start_ticks = s->event->start_ticks;
}

static void on_execed(struct step *s)
{
    struct svc *svc = s->svc;

    svc->pre_exec = false;
    learn_start_ticks(s);
    if (svc->state != SVC_STARTING)
        return;
    step_state(s, SVC_RUNNING);
    svc->reason[0] = '\0';
}

static void on_adopted(struct step *s)
{
    struct svc *svc = s->svc;

    svc->adopted = true;
    svc->pre_exec = false;
    if (svc->state == SVC_STOPPING || svc->state == SVC_RUNNING)
        return;
    step_state(s, SVC_RUNNING);
    svc->since = svc->started;
    svc->reason[0] = '\0';
}

static void on_exited(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->ended)
        return;
    bool failed = s->event->text != NULL;
    bool timed_out = svc->state == SVC_STOPPING && svc->stop_cause == STOP_BY_TIMEOUT;
    learn_start_ticks(s);
    svc->ended = true;
    svc->ended_at = s->now.mono;
    svc->exit = s->event->exit;
    svc->exit_pre_exec = failed || (svc->pre_exec && timed_out);
    svc->pre_exec = false;
    svc->proc.pid = 0;
    if (svc->state != SVC_STOPPING) {
        char words[64];

        step_reason(svc, "%s", failed ? s->event->text : svc_exit_words(&svc->exit, words, sizeof words));
    }

    /* One that a signal ended may have reached its program, and left something, before we heard of it. */
    if (failed || svc->proc.stop.kill_mode == KILL_MODE_PROCESS) {
        step_settle(s);
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
        if (mixed || svc->stop_phase == STOP_KILLED)
            step_kill(s);
        step_act(s, ACT_WATCH_GROUP, 0);
        return;
    }

    char words[64];
    step_state(s, SVC_STOPPING);
    step_reason(svc, "%s; ending what it left behind: %u process%s", svc_exit_words(&svc->exit, words, sizeof words),
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

static void on_group(struct step *s)
{
    struct svc *svc = s->svc;

    if (!svc->ended || svc->group == 0)
        return;
    if (s->event->group_left == 0)
        step_settle(s);
    else
        end_leftovers(s);
}

static void on_deadline(struct step *s)
{
    struct svc *svc = s->svc;
    char buf[32];

    if (svc->deadline == 0 || s->now.mono < svc->deadline)
        return;
    svc->deadline = 0;
    switch (svc->state) {
    case SVC_STARTING:
        step_reason(svc, "start timed out after %s", duration_format(s->spec->start_timeout, buf, sizeof buf));
        step_begin_stop(s, STOP_BY_TIMEOUT);
        return;
    case SVC_STOPPING:
        step_kill(s);
        return;
    case SVC_BACKOFF:
        if (s->spec->start == START_ON_DEMAND) {
            step_await(s);
            return;
        }
        /* Not recorded: a backoff that is over says the same. */
        step_state(s, SVC_WAITING);
        step_act(s, ACT_QUEUE, 0);
        return;
    case SVC_STOPPED:
    case SVC_WAITING:
    case SVC_RUNNING:
    case SVC_EXITED:
    case SVC_FAILED:
    case SVC_N_STATES:
        return;
    }
}

static const struct {
    void (*fn)(struct step *s);
    bool of_a_life; /* ignored unless the event's life is the present one */
} handlers[SVC_EV_N] = {
    [SVC_EV_START] = {step_on_start, false},
    [SVC_EV_STOP] = {step_on_stop, false},
    [SVC_EV_RESTART] = {step_on_restart, false},
    [SVC_EV_RESET] = {step_on_reset, false},
    [SVC_EV_SHUTDOWN] = {step_on_shutdown, false},
    [SVC_EV_HURRY] = {step_on_hurry, false},
    [SVC_EV_CONFIG] = {step_on_config, false},
    [SVC_EV_BOOT] = {on_boot, false},
    [SVC_EV_SLOT] = {on_slot, false},
    [SVC_EV_FORKED] = {on_forked, true},
    [SVC_EV_FORK_FAILED] = {on_fork_failed, true},
    [SVC_EV_EXECED] = {on_execed, true},
    [SVC_EV_ADOPTED] = {on_adopted, true},
    [SVC_EV_EXITED] = {on_exited, true},
    [SVC_EV_GROUP] = {on_group, true},
    [SVC_EV_DEMAND] = {step_on_demand, false},
    [SVC_EV_DEADLINE] = {on_deadline, false},
};

void svc_init(struct svc *svc, const struct spec *spec, struct timestamp now)
{
    memset(svc, 0, sizeof *svc);
    svc->state = SVC_STOPPED;
    svc->desired_up = spec->enabled;
    svc->since = now;
    if (!spec->enabled)
        step_reason(svc, "not enabled");
}

void svc_step(struct svc *svc, const struct spec *spec, const struct svc_event *event, struct timestamp now,
              uint64_t *rng, struct svc_actions *out)
{
    struct step step = {.svc = svc, .spec = spec, .event = event, .now = now, .rng = rng, .out = out};

    out->n = 0;
    if (handlers[event->type].of_a_life && event->life != svc->life)
        return;
    handlers[event->type].fn(&step);
}

bool svc_has_process(const struct svc *svc)
{
    return svc->proc.pid > 0 && !svc->ended;
}
