/* SPDX-License-Identifier: MIT */
#include "core/service.h"

#include <stdio.h>
#include <string.h>

#include "core/service_step.h"

/* Is the control process, which has not run yet, one that there is a time for now? */
static bool control_is_due(const struct svc *svc)
{
    if (svc->state != SVC_STOPPING)
        return true;
    return (svc->rare.control.role == ROLE_STOP && svc->stop_phase == STOP_COMMAND) ||
           (svc->rare.control.role == ROLE_POST_STOP && svc->stop_phase == STOP_POST);
}

/* Its control process was adopted, or its end was told, before.  COUNTED: what the main process has left is counted. */
static void boot_control(struct step *s, bool counted)
{
    struct svc *svc = s->svc;

    if (svc->rare.control.ended) {
        step_act(s, ACT_CHECK_CONTROL, 0);
        return;
    }
    if (svc->rare.control.pid != 0)
        return;
    /* It has not recorded itself, so it has not run. */
    if (!control_is_due(svc)) {
        step_drop_control(svc);
        if (!counted)
            step_go_on(s);
        return;
    }
    svc->deadline = 0; /* its time begins with its fork */
    step_act(s, ACT_QUEUE, 0);
}

/* On its way up, and nothing of it is there: on where we died. */
static void boot_starting(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->todo & TODO_START) {
        svc->ended = false;
        step_act(s, ACT_QUEUE, 0);
    } else if (svc->todo & TODO_FIND_MAIN) {
        if (svc->deadline == 0)
            svc->deadline = step_start_deadline(s);
        step_act(s, ACT_FIND_MAIN, 0);
    } else if (svc->ended) {
        step_over(s);
    } else if (svc->rare.controls > 0) {
        /* What was done before its main process, which has not recorded itself, is not done again. */
        svc->todo |= TODO_START;
        svc->deadline = 0;
        step_act(s, ACT_RECORD, 0);
        step_act(s, ACT_QUEUE, 0);
    } else {
        step_enqueue(s, false); /* no child of that life has recorded itself, so none has run */
    }
}

static void on_boot(struct step *s)
{
    struct svc *svc = s->svc;
    /* We died between the end of the main process and what was to follow from it. */
    bool is_left = !svc_has_process(svc) && svc->group != 0 && (svc->ended || svc->state == SVC_STOPPING);

    if (is_left)
        step_act(s, ACT_CHECK_GROUP, 0);
    step_watch(s);
    step_boot_check(s);
    if (svc->rare.control.role != ROLE_SERVICE) {
        boot_control(s, is_left);
        return;
    }
    if (is_left || svc_has_process(svc))
        return;
    switch (svc->state) {
    case SVC_STOPPED:
        if (svc->desired_up)
            step_enqueue_or_await(s);
        return;
    case SVC_WAITING:
        if (svc->idle && !s->spec->around->schedule)
            step_enqueue_or_await(s);
        else if (!svc->idle)
            step_enqueue(s, svc->next_is_restart);
        return;
    case SVC_STARTING:
        boot_starting(s);
        return;
    case SVC_RUNNING:
        /* A oneshot that remains after its exit; else no child of that life has recorded itself, so none has run. */
        if (svc->type != TYPE_ONESHOT || !svc->ended)
            step_enqueue(s, false);
        return;
    case SVC_STOPPING:
        step_go_on(s);
        return;
    case SVC_BACKOFF:
    case SVC_EXITED:
    case SVC_FAILED:
    case SVC_N_STATES:
        return;
    }
}

static unsigned todo_of(const struct spec *spec)
{
    unsigned todo = TODO_START;

    if (spec->around->pre_start)
        todo |= TODO_PRE_START;
    if (spec->type == TYPE_FORKING)
        todo |= TODO_FIND_MAIN;
    if (spec->around->post_start)
        todo |= TODO_POST_START;
    if (spec->life->ready.kind != READY_EXEC)
        todo |= TODO_READY;
    return todo;
}

static void on_slot(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->state != SVC_WAITING) {
        if (svc->rare.control.role != ROLE_SERVICE && svc_is_queued(svc))
            step_fork_control(s);
        else if (svc_is_queued(svc))
            step_fork_next(s);
        return;
    }
    step_state(s, SVC_STARTING);
    svc->life++;
    if (svc->next_is_restart)
        svc->restarts++;
    svc->next_is_restart = false;
    svc->started = s->now;
    svc->adopted = false;
    svc->ended = false;
    svc->exit_pre_exec = false;
    svc->stop_phase = STOP_NONE;
    svc->hurried = false;
    svc->group = 0;
    svc->group_start = 0;
    svc->moved = false;
    svc->type = s->spec->type;
    svc->todo = todo_of(s->spec);
    svc->began = false;
    svc->rare.controls = 0;
    step_begin_health(s);
    svc->result = RESULT_NONE;
    svc->ready_lost = false;
    svc->told = TOLD_NOTHING;
    svc->rare.watchdog = 0;
    memset(&svc->proc, 0, sizeof svc->proc);
    svc->proc.stop = svc_stop_params(s->spec);
    step_fork_next(s);
}

static void on_forked(struct step *s)
{
    struct svc *svc = s->svc;

    svc->proc.pid = s->event->pid;
    svc->proc.start_ticks = s->event->start_ticks;
    svc->proc.inode = s->event->inode;
    svc->proc.digest = s->event->digest;
    svc->proc.stop = s->event->stop;
    svc->rare.watchdog = s->spec->life->watchdog;
    svc->group = s->event->pid;
    svc->group_start = s->event->start_ticks;
    svc->began = true;
    svc->todo &= ~(unsigned)TODO_START;
}

static void on_fork_failed(struct step *s)
{
    struct svc *svc = s->svc;

    svc->pre_exec = false;
    svc->todo = 0;
    svc->ended_at = s->now.mono;
    /* There was no process, so there is no new exit. */
    svc->result = RESULT_RESOURCES;
    step_reason(svc, "%s", s->event->text);
    step_fail_start(s);
}

void step_learn_start_ticks(struct step *s)
{
    struct svc *svc = s->svc;

    if (s->event->start_ticks == 0)
        return;
    svc->proc.start_ticks = s->event->start_ticks;
    if (svc->group == svc->proc.pid)
        svc->group_start = s->event->start_ticks;
}

/* The main process is there; of a oneshot that means little. */
static void step_started(struct step *s)
{
    struct svc *svc = s->svc;

    svc->rare.reason[0] = '\0';
    if (svc->type != TYPE_ONESHOT)
        step_main_is_there(s);
}

static void on_execed(struct step *s)
{
    struct svc *svc = s->svc;

    svc->pre_exec = false;
    step_learn_start_ticks(s);
    if (svc->state == SVC_STARTING)
        step_started(s);
}

static void on_adopted(struct step *s)
{
    struct svc *svc = s->svc;

    svc->adopted = true;
    svc->pre_exec = false;
    if (svc->state == SVC_STOPPING || svc->state == SVC_RUNNING || svc->rare.control.role != ROLE_SERVICE)
        return;
    if (svc->type == TYPE_ONESHOT && svc->deadline == 0)
        svc->deadline = step_start_deadline(s);
    if (svc_awaits_ready(svc)) {
        step_await_ready_again(s);
        return;
    }
    step_started(s);
    svc->since = svc->started;
}

static void on_deadline(struct step *s)
{
    struct svc *svc = s->svc;
    char buf[32];
    char missing[SVC_REASON_MAX];
    const char *what = s->event->text ? s->event->text : step_ready_missing(s, missing, sizeof missing);

    if (svc->deadline == 0 || s->now.mono < svc->deadline)
        return;
    svc->deadline = 0;
    switch (svc->state) {
    case SVC_STARTING:
        if (step_ready_deadline(s))
            return;
        duration_format(s->spec->life->start_timeout, buf, sizeof buf);
        if (svc->rare.control.role == ROLE_SERVICE || svc->rare.control.role == ROLE_START)
            step_reason(svc, "start timed out after %s%s%.160s", buf, what[0] ? ": " : "", what);
        else
            step_reason(svc, "%s: timed out after %s", svc_role_name(svc->rare.control.role), buf);
        svc->result = RESULT_TIMEOUT;
        svc->ended_at = s->now.mono;
        step_begin_stop(s, STOP_BY_TIMEOUT);
        return;
    case SVC_RUNNING:
        step_reload_deadline(s);
        return;
    case SVC_STOPPING:
        if (svc->stop_phase == STOP_COMMAND && svc->rare.control.role == ROLE_RELOAD)
            step_kill_reload(s); /* stop-command comes all the same */
        else if (svc->stop_phase == STOP_COMMAND && !svc->rare.control.pre_exec)
            step_send_stop(s);
        else
            step_kill(s);
        return;
    case SVC_BACKOFF:
        if (s->spec->around->start == START_ON_DEMAND) {
            step_await(s);
            return;
        }
        /* Not recorded: a backoff that is over says the same. */
        step_state(s, SVC_WAITING);
        step_act(s, ACT_QUEUE, 0);
        return;
    case SVC_STOPPED:
    case SVC_WAITING:
    case SVC_EXITED:
    case SVC_FAILED:
    case SVC_N_STATES:
        return;
    }
}

/* Of what an event tells; one of another life, or of another control process, than the present changes nothing. */
enum event_subject { OF_SERVICE, OF_LIFE, OF_CONTROL, OF_CHECK };

static const struct {
    void (*fn)(struct step *s);
    enum event_subject subject;
} handlers[SVC_EV_N] = {
    [SVC_EV_START] = {step_on_start, OF_SERVICE},
    [SVC_EV_STOP] = {step_on_stop, OF_SERVICE},
    [SVC_EV_RESTART] = {step_on_restart, OF_SERVICE},
    [SVC_EV_RESET] = {step_on_reset, OF_SERVICE},
    [SVC_EV_SHUTDOWN] = {step_on_shutdown, OF_SERVICE},
    [SVC_EV_STOP_NOW] = {step_on_stop_now, OF_SERVICE},
    [SVC_EV_CALL_OFF] = {step_on_call_off, OF_SERVICE},
    [SVC_EV_HURRY] = {step_on_hurry, OF_SERVICE},
    [SVC_EV_ENABLED] = {step_on_enabled, OF_SERVICE},
    [SVC_EV_DISABLED] = {step_on_disabled, OF_SERVICE},
    [SVC_EV_CONFIG] = {step_on_config, OF_SERVICE},
    [SVC_EV_BOOT] = {on_boot, OF_SERVICE},
    [SVC_EV_SLOT] = {on_slot, OF_SERVICE},
    [SVC_EV_FORKED] = {on_forked, OF_LIFE},
    [SVC_EV_FORK_FAILED] = {on_fork_failed, OF_LIFE},
    [SVC_EV_EXECED] = {on_execed, OF_LIFE},
    [SVC_EV_ADOPTED] = {on_adopted, OF_LIFE},
    [SVC_EV_EXITED] = {step_on_exited, OF_LIFE},
    [SVC_EV_GROUP] = {step_on_group, OF_LIFE},
    [SVC_EV_DEMAND] = {step_on_demand, OF_SERVICE},
    [SVC_EV_READY] = {step_on_ready, OF_LIFE},
    [SVC_EV_UNHEARD] = {step_on_unheard, OF_LIFE},
    [SVC_EV_RELOADING] = {step_on_reloading, OF_LIFE},
    [SVC_EV_STOPPING] = {step_on_stopping, OF_LIFE},
    [SVC_EV_EXTEND] = {step_on_extend, OF_LIFE},
    [SVC_EV_ALIVE] = {step_on_alive, OF_LIFE},
    [SVC_EV_WATCHDOG_USEC] = {step_on_watchdog_usec, OF_LIFE},
    [SVC_EV_WATCHDOG] = {step_on_watchdog, OF_LIFE},
    [SVC_EV_DUE] = {step_on_due, OF_SERVICE},
    [SVC_EV_DEADLINE] = {on_deadline, OF_SERVICE},
    [SVC_EV_RELOAD] = {step_on_reload, OF_SERVICE},
    [SVC_EV_MAIN_FOUND] = {step_on_main_found, OF_LIFE},
    [SVC_EV_MAIN_MOVED] = {step_on_main_moved, OF_LIFE},
    [SVC_EV_MAIN_MISSING] = {step_on_main_missing, OF_LIFE},
    [SVC_EV_CONTROL_FORKED] = {step_on_control_forked, OF_CONTROL},
    [SVC_EV_CONTROL_FORK_FAILED] = {step_on_control_fork_failed, OF_CONTROL},
    [SVC_EV_CONTROL_EXECED] = {step_on_control_execed, OF_CONTROL},
    [SVC_EV_CONTROL_ADOPTED] = {step_on_control_adopted, OF_CONTROL},
    [SVC_EV_CONTROL_EXITED] = {step_on_control_exited, OF_CONTROL},
    [SVC_EV_CONTROL_GROUP] = {step_on_control_group, OF_CONTROL},
    [SVC_EV_CHECK_FORKED] = {step_on_check_forked, OF_CHECK},
    [SVC_EV_CHECK_FORK_FAILED] = {step_on_check_fork_failed, OF_CHECK},
    [SVC_EV_CHECK_EXECED] = {step_on_check_execed, OF_CHECK},
    [SVC_EV_CHECK_ADOPTED] = {step_on_check_adopted, OF_CHECK},
    [SVC_EV_CHECK_EXITED] = {step_on_check_exited, OF_CHECK},
    [SVC_EV_CHECK_GROUP] = {step_on_check_group, OF_CHECK},
    [SVC_EV_CHECK_OVERDUE] = {step_on_check_overdue, OF_CHECK},
    [SVC_EV_CHECK_DUE] = {step_on_check_due, OF_LIFE},
    [SVC_EV_CHECKED] = {step_on_checked, OF_LIFE},
};

void svc_init(struct svc *svc, const struct spec *spec, struct timestamp now)
{
    memset(svc, 0, sizeof *svc);
    svc->state = SVC_STOPPED;
    svc->since = now;
    svc_set_enabled(svc, spec->enabled);
}

void svc_set_enabled(struct svc *svc, bool enabled)
{
    svc->desired_up = enabled;
    step_reason(svc, "%s", enabled ? "" : "not enabled");
}

void svc_set_due(struct svc *svc, struct timestamp due)
{
    svc->rare.due = due;
}

void svc_step(struct svc *svc, const struct spec *spec, const struct svc_event *event, struct timestamp now,
              uint64_t *rng, struct svc_actions *out)
{
    struct step step = {.svc = svc, .spec = spec, .event = event, .now = now, .rng = rng, .out = out};

    out->n = 0;
    enum event_subject subject = handlers[event->type].subject;
    if (subject != OF_SERVICE && event->life != svc->life)
        return;
    if (subject == OF_CONTROL && (svc->rare.control.role == ROLE_SERVICE || event->control != svc->rare.control.number))
        return;
    if (subject == OF_CHECK && (svc->rare.check.role == ROLE_SERVICE || event->control != svc->rare.check.number))
        return;
    handlers[event->type].fn(&step);
    step_end_check(&step);
}

bool svc_has_process(const struct svc *svc)
{
    return svc->proc.pid > 0 && !svc->ended;
}

bool svc_has_control(const struct svc *svc)
{
    const struct svc_control *control = &svc_rare(svc)->control;

    return control->role != ROLE_SERVICE && control->pid > 0 && !control->ended;
}

bool svc_is_busy(const struct svc *svc)
{
    return svc_has_process(svc) || svc->group != 0 || svc_rare(svc)->control.role != ROLE_SERVICE ||
           svc_rare(svc)->check.role != ROLE_SERVICE;
}

static bool main_is_queued(const struct svc *svc)
{
    return svc->state == SVC_STARTING && (svc->todo & TODO_START) && !svc_has_process(svc) && !svc->pre_exec;
}

bool svc_is_queued(const struct svc *svc)
{
    const struct svc_control *control = &svc_rare(svc)->control;

    if (control->role != ROLE_SERVICE)
        return control->pid == 0 && !control->pre_exec && !control->ended;
    return (svc->state == SVC_WAITING && !svc->idle) || main_is_queued(svc);
}

struct svc_stop_params svc_stop_params(const struct spec *spec)
{
    return (struct svc_stop_params){
        .signal = spec->life->stop_signal,
        .kill_mode = spec->life->kill_mode,
        .timeout = spec->life->stop_timeout,
    };
}
