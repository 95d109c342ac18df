/* SPDX-License-Identifier: MIT */
/*
 * Control processes: how they are begun, what their ends mean, and what follows;
 * and how the main process of a forking service is taken.
 */
#include <string.h>

#include "core/service_step.h"

/* stop-timeout = 0 means that processes of the service get no time; stop-command and post-stop have to have some. */
#define HOOK_TIMEOUT (10 * USEC_PER_SEC)

static void control_done(struct step *s);

/* ---- beginning one ---- */

void step_begin_control(struct step *s, enum svc_role role)
{
    struct svc *svc = s->svc;

    svc->rare.control = (struct svc_control){.role = role, .number = ++svc->rare.controls};
    svc->deadline = 0; /* its time begins with its fork */
    step_act(s, ACT_RECORD, 0);
    step_act(s, ACT_QUEUE, 0);
}

void step_drop_control(struct svc *svc)
{
    memset(&svc->rare.control, 0, sizeof svc->rare.control);
}

static void set_control_deadline(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->state != SVC_STOPPING) {
        svc->deadline = step_start_deadline(s);
        return;
    }
    int64_t timeout = svc->proc.stop.timeout > 0 ? svc->proc.stop.timeout : HOOK_TIMEOUT;
    svc->deadline = step_later(s->now.mono, timeout);
}

void step_fork_control(struct step *s)
{
    if (!svc_command(s->spec, s->svc->rare.control.role)) {
        control_done(s); /* the configuration has changed meanwhile */
        return;
    }
    s->svc->rare.control.pre_exec = true;
    set_control_deadline(s);
    step_act(s, ACT_FORK_CONTROL, 0);
}

static void fork_main(struct step *s)
{
    struct svc *svc = s->svc;

    svc->started = s->now;
    if (svc->type == TYPE_FORKING) {
        svc->rare.control = (struct svc_control){.role = ROLE_START, .number = ++svc->rare.controls};
        step_fork_control(s);
        return;
    }
    svc->pre_exec = true;
    svc->deadline = step_start_deadline(s);
    step_act(s, ACT_FORK, 0);
}

void step_fork_next(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->todo & TODO_PRE_START) {
        svc->rare.control = (struct svc_control){.role = ROLE_PRE_START, .number = ++svc->rare.controls};
        step_fork_control(s);
        return;
    }
    fork_main(s);
}

/* ---- its life ---- */

static void learn_start_ticks(struct step *s)
{
    if (s->event->start_ticks != 0)
        s->svc->rare.control.start_ticks = s->event->start_ticks;
}

void step_on_control_forked(struct step *s)
{
    struct svc *svc = s->svc;

    svc->rare.control.pid = s->event->pid;
    svc->rare.control.inode = s->event->inode;
    learn_start_ticks(s);
    svc->began = true;
    if (svc->rare.control.role != ROLE_START)
        return;
    svc->todo &= ~(unsigned)TODO_START;
    svc->proc.digest = s->event->digest;
}

void step_on_control_execed(struct step *s)
{
    s->svc->rare.control.pre_exec = false;
    learn_start_ticks(s);
}

void step_on_control_adopted(struct step *s)
{
    s->svc->rare.control.pre_exec = false;
    /* Of one that was never in a snapshot, only in its own record: its time begins again. */
    if (s->svc->deadline == 0)
        set_control_deadline(s);
}

/* ---- its end ---- */

static bool may_fail(const struct step *s)
{
    char **argv = svc_command(s->spec, s->svc->rare.control.role);

    return s->svc->rare.control.role != ROLE_START && argv && argv[0][0] == '-';
}

static enum svc_result result_of(const struct exit_info *exit)
{
    switch (exit->how) {
    case EXIT_HOW_EXITED:
        return RESULT_EXIT_CODE;
    case EXIT_HOW_SIGNALED:
        return RESULT_SIGNAL;
    case EXIT_HOW_NONE:
    case EXIT_HOW_UNKNOWN:
        break;
    }
    return RESULT_UNKNOWN;
}

/* What a failure means to the service.  TEXT: why it failed before its exec; NULL: it ran. */
static void judge(struct step *s, enum svc_result result, const char *text)
{
    struct svc *svc = s->svc;
    const struct exit_info *exit = &svc->rare.control.exit;
    enum svc_role role = svc->rare.control.role;
    char words[64];

    if (svc->state == SVC_STOPPING || may_fail(s))
        return;
    if (!text)
        text = svc_exit_words(exit, words, sizeof words);
    if (role == ROLE_START) {
        step_reason(svc, "%s", text);
        svc->exit = *exit;
    } else {
        step_reason(svc, "%s: %s", svc_role_name(role), text);
    }
    if (role == ROLE_RELOAD) {
        step_forget_reload(s);
        return;
    }
    svc->result = result;
    svc->ended_at = s->now.mono;
}

static bool failed(const struct step *s)
{
    const struct exit_info *exit = &s->svc->rare.control.exit;

    if (s->event->text)
        return true;
    if (exit->how == EXIT_HOW_EXITED)
        return exit->code != 0;
    /* How it ended was lost with an earlier supd: whether a main process is there, and it is up, tells more. */
    return exit->how != EXIT_HOW_UNKNOWN ||
           (s->svc->rare.control.role != ROLE_START && s->svc->rare.control.role != ROLE_POST_START);
}

/* Nothing is left of it: what next? */
static void control_done(struct step *s)
{
    struct svc *svc = s->svc;
    enum svc_role role = svc->rare.control.role;

    if (role == ROLE_START && svc->rare.control.pid > 0) {
        /* What it has started is in its group, until it is found elsewhere. */
        svc->group = svc->rare.control.pid;
        svc->group_start = svc->rare.control.start_ticks != 0 ? svc->rare.control.start_ticks : 1;
    }
    step_drop_control(svc);
    if (role == ROLE_POST_START)
        svc->todo &= ~(unsigned)TODO_POST_START;
    if (svc->state == SVC_STOPPING) {
        /* Unless it took too long, and the stop-signal was sent meanwhile. */
        if (role == ROLE_STOP && svc->stop_phase == STOP_COMMAND)
            step_send_stop(s);
        else
            step_go_on(s);
        return;
    }
    if (role == ROLE_RELOAD) {
        svc->deadline = 0;
        step_reload_command_done(s);
        step_act(s, ACT_RECORD, 0);
        return;
    }
    if (svc->result != RESULT_NONE) {
        step_fail_start(s);
        return;
    }
    switch (role) {
    case ROLE_PRE_START:
        svc->todo &= ~(unsigned)TODO_PRE_START;
        svc->deadline = 0;
        step_act(s, ACT_RECORD, 0);
        step_act(s, ACT_QUEUE, 0);
        return;
    case ROLE_START:
        step_act(s, ACT_RECORD, 0);
        step_act(s, ACT_FIND_MAIN, 0);
        return;
    case ROLE_POST_START:
        if (svc->todo & TODO_FIND_MAIN) {
            step_act(s, ACT_FIND_MAIN, 0); /* it was found once, but that could not be recorded */
            return;
        }
        step_up(s);
        return;
    case ROLE_SERVICE:
    case ROLE_RELOAD:
    case ROLE_STOP:
    case ROLE_POST_STOP:
    case ROLE_CHECK:
    case ROLE_UNHEALTHY:
    case ROLE_N:
        return;
    }
}

void step_on_control_fork_failed(struct step *s)
{
    struct svc *svc = s->svc;

    svc->rare.control.pre_exec = false;
    svc->rare.control.exit = (struct exit_info){.how = EXIT_HOW_UNKNOWN};
    if (svc->rare.control.role == ROLE_START && svc->state != SVC_STOPPING) {
        /* There was no process, so there is no new exit. */
        struct exit_info last = svc->exit;
        judge(s, RESULT_RESOURCES, s->event->text);
        svc->exit = last;
    } else {
        judge(s, RESULT_RESOURCES, s->event->text);
    }
    control_done(s);
}

void step_on_control_exited(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->rare.control.ended)
        return;
    learn_start_ticks(s);
    svc->rare.control.ended = true;
    svc->rare.control.pre_exec = false;
    svc->rare.control.exit = s->event->exit;
    if (failed(s))
        judge(s, result_of(&svc->rare.control.exit), s->event->text);
    step_act(s, ACT_RECORD, 0);
    step_act(s, ACT_CHECK_CONTROL, 0);
}

void step_on_control_group(struct step *s)
{
    struct svc *svc = s->svc;

    if (!svc->rare.control.ended)
        return;
    /* The start command is there to leave something behind. */
    if (s->event->group_left == 0 || svc->rare.control.role == ROLE_START) {
        control_done(s);
        return;
    }
    /* Who hangs in the kernel is killed again; where there was no fork by us, no time was set. */
    if (svc->state == SVC_STOPPING && svc->deadline == 0)
        svc->deadline = s->now.mono + KILL_AGAIN;
    step_act(s, ACT_SIGNAL_CONTROL, SIGNAL_KILL);
    step_act(s, ACT_WATCH_CONTROL, 0);
}

/* ---- the main process of a forking service ---- */

static bool looks_for_main(const struct svc *svc)
{
    return svc->state == SVC_STARTING && (svc->todo & TODO_FIND_MAIN) && svc->rare.control.role == ROLE_SERVICE;
}

void step_on_main_found(struct step *s)
{
    struct svc *svc = s->svc;
    const struct svc_event *event = s->event;

    if (!looks_for_main(svc))
        return;
    svc->todo &= ~(unsigned)TODO_FIND_MAIN;
    svc->proc.pid = event->pid;
    svc->proc.start_ticks = event->start_ticks;
    svc->proc.inode = event->inode;
    svc->group = event->group;
    svc->group_start = event->group_start;
    step_act(s, ACT_RECORD, 0);
    step_main_is_there(s);
}

bool svc_may_move(const struct svc *svc)
{
    return svc_has_process(svc) && !svc->pre_exec && (svc->state == SVC_STARTING || svc->state == SVC_RUNNING);
}

bool svc_main_is_found(const struct svc *svc)
{
    return svc->type == TYPE_FORKING || svc->moved;
}

/* The group stays: what the service has beside its main process is there. */
void step_on_main_moved(struct step *s)
{
    struct svc *svc = s->svc;
    const struct svc_event *event = s->event;

    if (!svc_may_move(svc))
        return;
    svc->proc.pid = event->pid;
    svc->proc.start_ticks = event->start_ticks;
    svc->proc.inode = event->inode;
    svc->moved = svc->proc.pid != svc->group || svc->proc.start_ticks != svc->group_start;
    step_act(s, ACT_RECORD, 0);
}

void step_on_main_missing(struct step *s)
{
    struct svc *svc = s->svc;

    if (!looks_for_main(svc))
        return;
    svc->todo &= ~(unsigned)TODO_FIND_MAIN;
    svc->result = RESULT_PROTOCOL;
    svc->ended_at = s->now.mono;
    step_reason(svc, "%s", s->event->text);
    step_fail_start(s);
}
