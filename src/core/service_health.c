/* SPDX-License-Identifier: MIT */
/*
 * Checks of a service that runs: what their results mean to it (core/health.h), and the process of one, which stands
 * beside the main and the control process and ends with its service.
 */
#include <string.h>

#include "core/health.h"
#include "core/service_step.h"

bool svc_is_checked(const struct svc *svc, const struct spec *spec)
{
    if (!spec_has_check(spec->check) || !svc_has_process(svc))
        return false;
    return svc->state == SVC_RUNNING || (svc_awaits_ready(svc) && spec->life->ready.kind == READY_CHECK);
}

bool svc_has_check(const struct svc *svc)
{
    const struct svc_check *check = &svc_rare(svc)->check;

    return check->role != ROLE_SERVICE && check->pid > 0 && !check->ended;
}

bool svc_alarm_is_due(const struct svc *svc)
{
    return svc->alarm && svc_rare(svc)->check.role == ROLE_SERVICE;
}

void step_begin_health(struct step *s)
{
    struct svc *svc = s->svc;

    svc->rare.health = (struct health_counts){.state = spec_has_check(s->spec->check) ? HEALTH_STARTING : HEALTH_NONE};
    svc->rare.checks = 0;
    svc->alarm = false;
}

/* on-failure's command is not due any more where a new configuration has none. */
static void drop_stale_alarm(struct step *s)
{
    if (!svc_command(s->spec, ROLE_UNHEALTHY))
        s->svc->alarm = false;
}

void step_health_config(struct step *s)
{
    struct svc *svc = s->svc;

    drop_stale_alarm(s);
    if (spec_has_check(s->spec->check))
        return;
    if (svc->state == SVC_RUNNING && svc->rare.health.state == HEALTH_UNHEALTHY)
        svc->rare.reason[0] = '\0';
    svc->rare.health = (struct health_counts){0};
}

/* ---- results ---- */

/* Ends it, and what then follows is the policy's, or that it has failed. */
static void end_unhealthy(struct step *s)
{
    struct svc *svc = s->svc;

    svc->result = s->spec->check->on_failure.kind == ON_FAILURE_STOP ? RESULT_UNHEALTHY_STOP : RESULT_UNHEALTHY;
    svc->ended_at = s->now.mono;
    step_begin_stop(s, STOP_BY_FAILURE);
}

static void become_unhealthy(struct step *s)
{
    struct svc *svc = s->svc;
    const struct spec_check *check = s->spec->check;
    const char *what = s->event->text ? s->event->text : "check failed";

    if (check->failures > 1)
        step_reason(svc, "unhealthy: %.180s, %u times in a row", what, check->failures);
    else
        step_reason(svc, "unhealthy: %.200s", what);
    switch (check->on_failure.kind) {
    case ON_FAILURE_RESTART:
    case ON_FAILURE_STOP:
        /* Who is not ready yet has its start-timeout, and who is about to be stopped by command is left to that. */
        if (svc->state == SVC_RUNNING && !svc->stop_held) {
            end_unhealthy(s);
            return;
        }
        break;
    case ON_FAILURE_COMMAND:
        svc->alarm = true;
        break;
    case ON_FAILURE_MARK:
        break;
    }
    step_act(s, ACT_RECORD, 0);
}

void step_on_checked(struct step *s)
{
    struct svc *svc = s->svc;

    if (!svc_is_checked(svc, s->spec))
        return;
    if (svc->state == SVC_STARTING) {
        if (!s->event->ok)
            return;
        health_judge(&svc->rare.health, s->spec->check, true, 0);
        step_on_ready(s);
        return;
    }
    if (!health_judge(&svc->rare.health, s->spec->check, s->event->ok, s->now.mono - svc->started.mono))
        return;
    if (svc->rare.health.state == HEALTH_UNHEALTHY) {
        become_unhealthy(s);
        return;
    }
    svc->rare.reason[0] = '\0';
    step_act(s, ACT_RECORD, 0);
}

/* ---- the process of a check ---- */

static void drop_check(struct svc *svc)
{
    memset(&svc->rare.check, 0, sizeof svc->rare.check);
}

/* The process that was to be has not run: what is due once is due again. */
static void take_back(struct step *s)
{
    struct svc *svc = s->svc;

    svc->alarm = svc->alarm || svc->rare.check.role == ROLE_UNHEALTHY;
    drop_stale_alarm(s);
    drop_check(svc);
}

/* The service may have waited for its end. */
static void check_gone(struct step *s)
{
    struct svc *svc = s->svc;

    drop_check(svc);
    if (svc->state == SVC_STOPPING && !svc_has_process(svc) && svc->group == 0)
        step_go_on(s);
}

void step_on_check_due(struct step *s)
{
    struct svc *svc = s->svc;

    if (!svc_is_checked(svc, s->spec) || svc->rare.check.role != ROLE_SERVICE)
        return;
    enum svc_role role = svc->alarm ? ROLE_UNHEALTHY : ROLE_CHECK;
    svc->alarm = false;
    if (!svc_command(s->spec, role))
        return; /* the configuration has changed meanwhile */
    svc->rare.check = (struct svc_check){.role = role, .number = ++svc->rare.checks, .pre_exec = true};
    step_act(s, ACT_FORK_CHECK, 0);
}

void step_on_check_forked(struct step *s)
{
    s->svc->rare.check.pid = s->event->pid;
    s->svc->rare.check.start_ticks = s->event->start_ticks;
    s->svc->rare.check.inode = s->event->inode;
}

void step_on_check_fork_failed(struct step *s)
{
    take_back(s);
}

static void learn_start_ticks(struct step *s)
{
    if (s->event->start_ticks != 0)
        s->svc->rare.check.start_ticks = s->event->start_ticks;
}

void step_on_check_execed(struct step *s)
{
    s->svc->rare.check.pre_exec = false;
    learn_start_ticks(s);
}

void step_on_check_adopted(struct step *s)
{
    s->svc->rare.check.pre_exec = false;
}

void step_on_check_exited(struct step *s)
{
    struct svc_check *check = &s->svc->rare.check;

    if (check->ended)
        return;
    learn_start_ticks(s);
    check->ended = true;
    check->pre_exec = false;
    step_act(s, ACT_RECORD, 0);
    step_act(s, ACT_CHECK_CHECK, 0);
}

void step_on_check_group(struct step *s)
{
    if (!s->svc->rare.check.ended)
        return;
    if (s->event->group_left == 0) {
        check_gone(s);
        return;
    }
    step_act(s, ACT_SIGNAL_CHECK, SIGNAL_KILL);
    step_act(s, ACT_WATCH_CHECK, 0);
}

void step_on_check_overdue(struct step *s)
{
    struct svc_check *check = &s->svc->rare.check;

    if (check->pid <= 0 || check->ended)
        return;
    check->killed = true;
    step_act(s, ACT_SIGNAL_CHECK, SIGNAL_KILL);
}

void step_boot_check(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->rare.check.ended)
        step_act(s, ACT_CHECK_CHECK, 0);
    else if (svc->rare.check.pid == 0)
        take_back(s); /* it has not recorded itself */
}

void step_end_check(struct step *s)
{
    struct svc *svc = s->svc;
    struct svc_check *check = &svc->rare.check;

    if (svc_is_checked(svc, s->spec))
        return;
    svc->alarm = false;
    if (check->role == ROLE_SERVICE || check->killed || check->pid == 0 || check->ended)
        return;
    check->killed = true;
    step_act(s, ACT_SIGNAL_CHECK, SIGNAL_KILL);
}
