/* SPDX-License-Identifier: MIT */
#include "core/service.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* SIGKILL, numbered the same on every Linux architecture (signal(7)). */
#define SIGNAL_KILL 9

/* A process that SIGKILL has not ended (it hangs in the kernel) is sent another one after this long. */
#define KILL_AGAIN (5 * USEC_PER_SEC)

/* One step: what is known, and where the answer goes. */
struct step {
    struct svc *svc;
    const struct spec *spec;
    const struct svc_event *event;
    struct timestamp now;
    uint64_t *rng;
    struct svc_actions *out;
};

static void act(struct step *s, enum svc_action_type type, int32_t signal)
{
    assert(s->out->n < SVC_ACTIONS_MAX);
    s->out->items[s->out->n++] = (struct svc_action){.type = type, .signal = signal};
}

static void set_reason(struct svc *svc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void set_reason(struct svc *svc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(svc->reason, sizeof svc->reason, fmt, ap);
    va_end(ap);
}

/* A time-out may be as long as can be written. */
static int64_t later(int64_t at, int64_t by)
{
    return by < INT64_MAX - at ? at + by : INT64_MAX;
}

static void set_state(struct step *s, enum svc_state state)
{
    s->svc->state = state;
    s->svc->since = s->now;
    s->svc->deadline = 0;
}

/* Into the queue for a start slot. */
static void enqueue(struct step *s, bool automatic)
{
    set_state(s, SVC_WAITING);
    s->svc->next_is_restart = automatic;
    act(s, ACT_RECORD, 0);
    act(s, ACT_QUEUE, 0);
}

static void to_stopped(struct step *s, const char *reason)
{
    set_state(s, SVC_STOPPED);
    if (reason)
        set_reason(s->svc, "%s", reason);
    act(s, ACT_RECORD, 0);
}

static int64_t stop_deadline(const struct step *s)
{
    return later(s->now.mono, s->svc->proc.stop.timeout);
}

static void signal_kill(struct step *s)
{
    bool main_only = s->svc->proc.stop.kill_mode == KILL_MODE_PROCESS || s->svc->pre_exec;

    s->svc->stop_phase = STOP_KILLED;
    s->svc->deadline = s->now.mono + KILL_AGAIN;
    act(s, ACT_RECORD, 0);
    act(s, main_only ? ACT_SIGNAL_MAIN : ACT_SIGNAL_GROUP, SIGNAL_KILL);
}

/* Ends the main process and what kill-mode says.  The reason is the caller's. */
static void begin_stop(struct step *s, enum svc_stop_cause cause)
{
    struct svc *svc = s->svc;

    set_state(s, SVC_STOPPING);
    svc->stop_cause = cause;
    if (svc->pre_exec && cause == STOP_BY_TIMEOUT) {
        /* It hangs before its exec with every signal blocked: nothing else gets through. */
        signal_kill(s);
        return;
    }
    svc->stop_phase = STOP_SIGNALLED;
    svc->deadline = stop_deadline(s);
    act(s, ACT_RECORD, 0);
    act(s, svc->proc.stop.kill_mode == KILL_MODE_GROUP ? ACT_SIGNAL_GROUP : ACT_SIGNAL_MAIN, svc->proc.stop.signal);
}

/* The stop that was asked for is complete. */
static void settle_stop(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->shutting_down) {
        to_stopped(s, "supd is shutting down");
    } else if (svc->desired_up) {
        set_reason(svc, "restarted by command");
        enqueue(s, false);
    } else {
        to_stopped(s, NULL); /* the reason stands since the stop began */
    }
}

/* The run ended unasked: what the policy says. */
static void settle_policy(struct step *s, bool abnormal)
{
    struct svc *svc = s->svc;
    struct policy_run run = {
        .exit = svc->exit,
        .ran = svc->ended_at - svc->started.mono,
        .pre_exec = svc->exit_pre_exec,
        .abnormal = abnormal,
        .row = svc->row,
    };
    struct policy_result result = policy_decide(s->spec, &run, s->rng);
    char words[SVC_REASON_MAX];

    svc->row = result.row;
    switch (result.verdict) {
    case POLICY_RESTART:
        if (result.delay <= 0) {
            enqueue(s, true);
            return;
        }
        set_state(s, SVC_BACKOFF);
        svc->next_is_restart = true;
        svc->deadline = later(s->now.mono, result.delay);
        break;
    case POLICY_EXITED:
        set_state(s, SVC_EXITED);
        break;
    case POLICY_FAILED:
        set_state(s, SVC_FAILED);
        if (result.gave_up) {
            memcpy(words, svc->reason, sizeof words);
            set_reason(svc, "gave up after %u unstable runs in a row: %.200s", result.row, words);
        }
        break;
    }
    act(s, ACT_RECORD, 0);
}

/* Nothing is left of the present life: what next? */
static void settle(struct step *s)
{
    struct svc *svc = s->svc;
    bool asked =
        svc->shutting_down || !svc->desired_up || (svc->state == SVC_STOPPING && svc->stop_cause == STOP_BY_COMMAND);
    bool timed_out = svc->state == SVC_STOPPING && svc->stop_cause == STOP_BY_TIMEOUT;

    if (svc->state == SVC_STOPPING && svc->stop_cause == STOP_OF_LEFTOVERS) {
        char words[64];

        set_reason(svc, "%s", svc_exit_words(&svc->exit, words, sizeof words));
    }
    svc->group = 0;
    svc->stop_phase = STOP_NONE;
    if (asked)
        settle_stop(s);
    else
        settle_policy(s, timed_out);
}

static void on_start(struct step *s)
{
    struct svc *svc = s->svc;

    svc->row = 0;
    svc->desired_up = true;
    switch (svc->state) {
    case SVC_STOPPED:
    case SVC_BACKOFF:
    case SVC_EXITED:
    case SVC_FAILED:
        if (svc->shutting_down)
            break;
        set_reason(svc, "started by command");
        enqueue(s, false);
        return;
    case SVC_STOPPING:
        /* Whatever it is being ended for, it is to run afterwards. */
        svc->stop_cause = STOP_BY_COMMAND;
        break;
    case SVC_WAITING:
    case SVC_STARTING:
    case SVC_RUNNING:
    case SVC_N_STATES:
        break;
    }
    act(s, ACT_RECORD, 0);
}

static void on_stop(struct step *s)
{
    struct svc *svc = s->svc;

    const char *why = s->event->text ? s->event->text : "stopped by command";

    svc->desired_up = false;
    switch (svc->state) {
    case SVC_WAITING:
        act(s, ACT_UNQUEUE, 0);
        to_stopped(s, why);
        return;
    case SVC_STOPPED:
        act(s, ACT_RECORD, 0);
        return;
    case SVC_BACKOFF:
    case SVC_EXITED:
    case SVC_FAILED:
        to_stopped(s, why);
        return;
    case SVC_STARTING:
    case SVC_RUNNING:
        set_reason(svc, "%s", why);
        begin_stop(s, STOP_BY_COMMAND);
        return;
    case SVC_STOPPING:
        svc->stop_cause = STOP_BY_COMMAND;
        set_reason(svc, "%s", why);
        act(s, ACT_RECORD, 0);
        return;
    case SVC_N_STATES:
        return;
    }
}

static void on_restart(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->state != SVC_STARTING && svc->state != SVC_RUNNING) {
        on_start(s);
        return;
    }
    svc->row = 0;
    svc->desired_up = true;
    set_reason(svc, "restarted by command");
    begin_stop(s, STOP_BY_COMMAND);
}

static void on_reset(struct step *s)
{
    struct svc *svc = s->svc;

    svc->row = 0;
    if (svc->state == SVC_FAILED || svc->state == SVC_EXITED) {
        svc->desired_up = false;
        to_stopped(s, "reset by command");
        return;
    }
    act(s, ACT_RECORD, 0);
}

static void on_shutdown(struct step *s)
{
    struct svc *svc = s->svc;

    svc->shutting_down = true;
    switch (svc->state) {
    case SVC_WAITING:
        act(s, ACT_UNQUEUE, 0);
        to_stopped(s, "supd is shutting down");
        return;
    case SVC_BACKOFF:
        to_stopped(s, "supd is shutting down");
        return;
    case SVC_STARTING:
    case SVC_RUNNING:
        set_reason(svc, "supd is shutting down");
        begin_stop(s, STOP_BY_COMMAND);
        return;
    case SVC_STOPPED:
    case SVC_STOPPING:
    case SVC_EXITED:
    case SVC_FAILED:
    case SVC_N_STATES:
        return;
    }
}

static void on_hurry(struct step *s)
{
    if (s->svc->state == SVC_STOPPING && s->svc->stop_phase == STOP_SIGNALLED)
        signal_kill(s);
}

static void on_config(struct step *s)
{
    if (!svc_has_process(s->svc))
        return;
    s->svc->proc.stop = s->event->stop;
    act(s, ACT_RECORD, 0);
}

static void on_boot(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->ended && svc->group != 0) {
        /* We died between the end of the main process and what was to follow from it. */
        act(s, ACT_CHECK_GROUP, 0);
        return;
    }
    if (svc_has_process(svc))
        return;
    switch (svc->state) {
    case SVC_STOPPED:
        if (svc->desired_up)
            enqueue(s, false);
        return;
    case SVC_WAITING:
        enqueue(s, svc->next_is_restart);
        return;
    case SVC_STARTING:
    case SVC_RUNNING:
        /* No child of that life has recorded itself, so none has run. */
        enqueue(s, false);
        return;
    case SVC_STOPPING:
        if (svc->ended)
            settle(s);
        else
            settle_stop(s);
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
    set_state(s, SVC_STARTING);
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
        svc->deadline = later(s->now.mono, s->spec->start_timeout);
    act(s, ACT_FORK, 0);
}

static void on_forked(struct step *s)
{
    struct svc *svc = s->svc;

    svc->proc.pid = s->event->pid;
    svc->proc.start_ticks = 0;
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
    set_reason(svc, "%s", s->event->text);
    /* There was no process, so there is no new exit; the policy must not look at the one before. */
    struct exit_info last = svc->exit;
    svc->exit = (struct exit_info){.how = EXIT_HOW_UNKNOWN};
    settle_policy(s, true);
    svc->exit = last;
}

static void on_execed(struct step *s)
{
    struct svc *svc = s->svc;

    svc->pre_exec = false;
    if (svc->state != SVC_STARTING)
        return;
    set_state(s, SVC_RUNNING);
    svc->reason[0] = '\0';
}

static void on_adopted(struct step *s)
{
    struct svc *svc = s->svc;

    svc->adopted = true;
    svc->pre_exec = false;
    if (svc->state == SVC_STOPPING || svc->state == SVC_RUNNING)
        return;
    set_state(s, SVC_RUNNING);
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
    svc->ended = true;
    svc->ended_at = s->now.mono;
    svc->exit = s->event->exit;
    svc->exit_pre_exec = failed || (svc->pre_exec && timed_out);
    svc->pre_exec = false;
    svc->proc.pid = 0;
    if (svc->state != SVC_STOPPING) {
        char words[64];

        set_reason(svc, "%s", failed ? s->event->text : svc_exit_words(&svc->exit, words, sizeof words));
    }

    /* One that a signal ended may have reached its program, and left something, before we heard of it. */
    if (failed || svc->proc.stop.kill_mode == KILL_MODE_PROCESS) {
        settle(s);
        return;
    }
    act(s, ACT_RECORD, 0);
    act(s, ACT_CHECK_GROUP, 0);
}

/* The main process has ended, others of its group live on. */
static void end_leftovers(struct step *s)
{
    struct svc *svc = s->svc;
    bool mixed = svc->proc.stop.kill_mode == KILL_MODE_MIXED;

    if (svc->state == SVC_STOPPING) {
        if (mixed || svc->stop_phase == STOP_KILLED)
            signal_kill(s);
        act(s, ACT_WATCH_GROUP, 0);
        return;
    }

    char words[64];
    set_state(s, SVC_STOPPING);
    set_reason(svc, "%s; ending what it left behind: %u in its process group",
               svc_exit_words(&svc->exit, words, sizeof words), s->event->group_left);
    svc->stop_cause = STOP_OF_LEFTOVERS;
    if (mixed) {
        signal_kill(s);
    } else {
        svc->stop_phase = STOP_SIGNALLED;
        svc->deadline = stop_deadline(s);
        act(s, ACT_RECORD, 0);
        act(s, ACT_SIGNAL_GROUP, svc->proc.stop.signal);
    }
    act(s, ACT_WATCH_GROUP, 0);
}

static void on_group(struct step *s)
{
    struct svc *svc = s->svc;

    if (!svc->ended || svc->group == 0)
        return;
    if (s->event->group_left == 0)
        settle(s);
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
        set_reason(svc, "start timed out after %s", duration_format(s->spec->start_timeout, buf, sizeof buf));
        begin_stop(s, STOP_BY_TIMEOUT);
        return;
    case SVC_STOPPING:
        signal_kill(s);
        return;
    case SVC_BACKOFF:
        /* Not recorded: a backoff that is over says the same. */
        set_state(s, SVC_WAITING);
        act(s, ACT_QUEUE, 0);
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
    [SVC_EV_START] = {on_start, false},
    [SVC_EV_STOP] = {on_stop, false},
    [SVC_EV_RESTART] = {on_restart, false},
    [SVC_EV_RESET] = {on_reset, false},
    [SVC_EV_SHUTDOWN] = {on_shutdown, false},
    [SVC_EV_HURRY] = {on_hurry, false},
    [SVC_EV_CONFIG] = {on_config, false},
    [SVC_EV_BOOT] = {on_boot, false},
    [SVC_EV_SLOT] = {on_slot, false},
    [SVC_EV_FORKED] = {on_forked, true},
    [SVC_EV_FORK_FAILED] = {on_fork_failed, true},
    [SVC_EV_EXECED] = {on_execed, true},
    [SVC_EV_ADOPTED] = {on_adopted, true},
    [SVC_EV_EXITED] = {on_exited, true},
    [SVC_EV_GROUP] = {on_group, true},
    [SVC_EV_DEADLINE] = {on_deadline, false},
};

void svc_init(struct svc *svc, const struct spec *spec, struct timestamp now)
{
    memset(svc, 0, sizeof *svc);
    svc->state = SVC_STOPPED;
    svc->desired_up = spec->enabled;
    svc->since = now;
    if (!spec->enabled)
        set_reason(svc, "not enabled");
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
