/* SPDX-License-Identifier: MIT */
/*
 * The model of src/supd/health.c: when a service is looked at, and what is told of it.  How many may be looked at at a
 * time is no matter of src/core, so there are no slots.
 */
#include "sim.h"

#define FORK_AGAIN (20 * USEC_PER_MSEC)
#define FIRST_LOOK (100 * USEC_PER_MSEC)

bool health_is_well(const struct world *w, int service, uint64_t life)
{
    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];
        bool leads = p->kind == KIND_MAIN || p->kind == KIND_DAEMON;

        if (leads && p->stage == PROC_EXECED && p->service == service && p->life == life)
            return !p->sick;
    }
    return false;
}

static bool is_paused(struct world *w, const struct service *s)
{
    const struct proc *p = kernel_find(w, s->main.pidfd);

    return p && p->frozen;
}

/* ---- results ---- */

static void tell(struct world *w, struct service *s, bool ok)
{
    s->look.busy = s->look.waits = false;
    s->look.at = w->now.mono + s->spec->check->interval;
    w->seen.checks++;
    if (ok)
        oracle_checked(w, service_index(w, s), s->svc.life, true);
    model_event(w, s, (struct svc_event){.type = SVC_EV_CHECKED, .life = s->svc.life, .ok = ok, .text = "a check"});
}

/* Nothing was found out. */
static void postpone(struct world *w, struct service *s)
{
    s->look.busy = false;
    s->look.at = w->now.mono + s->spec->check->interval;
}

void health_process_ended(struct world *w, struct service *s, const struct svc_check *check,
                          const struct exit_info *exit, bool failed)
{
    if (!s->look.on || !s->look.busy)
        return;
    if (check->role == ROLE_UNHEALTHY || !s->spec->check->command || (!failed && exit->how == EXIT_HOW_UNKNOWN))
        postpone(w, s);
    else
        tell(w, s, !failed && exit->how == EXIT_HOW_EXITED && exit->code == 0);
}

static void time_out(struct world *w, struct service *s)
{
    struct proc *p = kernel_find(w, s->check.pidfd);
    enum svc_role role = s->svc.rare.check.role;

    if (!svc_has_check(&s->svc)) {
        postpone(w, s);
        return;
    }
    w->seen.overdue++;
    s->look.at = w->now.mono + s->spec->check->interval;
    /* Also where it has ended, and supd is still asking how: that is too slow as well. */
    if (role == ROLE_CHECK && (!p || !p->overdue)) {
        if (p)
            p->overdue = true;
        oracle_checked(w, service_index(w, s), s->svc.life, false);
    }
    model_event(
        w, s,
        (struct svc_event){.type = SVC_EV_CHECK_OVERDUE, .life = s->svc.life, .control = s->svc.rare.check.number});
    if (role != ROLE_CHECK)
        return;
    if (!s->spec->check->command) {
        postpone(w, s);
        return;
    }
    tell(w, s, false);
}

/* ---- when ---- */

static void fork_command(struct world *w, struct service *s)
{
    if (!persist_allows_fork(w)) {
        s->look.at = w->now.mono + FORK_AGAIN;
        return;
    }
    s->look.busy = true;
    s->look.at = w->now.mono + s->spec->check->timeout;
    model_event(w, s, (struct svc_event){.type = SVC_EV_CHECK_DUE, .life = s->svc.life});
}

static void look(struct world *w, struct service *s)
{
    if (svc_alarm_is_due(&s->svc)) {
        fork_command(w, s);
        return;
    }
    if (s->spec->check->command && s->svc.rare.check.role == ROLE_SERVICE) {
        fork_command(w, s);
        return;
    }
    if (s->spec->check->command) {
        s->look.waits = true;
        s->look.at = w->now.mono + s->spec->check->timeout;
        return;
    }
    bool ok = health_is_well(w, service_index(w, s), s->svc.life);
    sys(w);
    if (!ok)
        oracle_checked(w, service_index(w, s), s->svc.life, false);
    tell(w, s, ok);
}

bool health_turn(struct world *w, struct service *s)
{
    if (!s->look.on || w->now.mono < s->look.at)
        return false;
    if (is_paused(w, s)) {
        s->look.waits = false;
        s->look.at = w->now.mono + s->spec->check->interval;
    } else if (s->look.busy) {
        time_out(w, s);
    } else if (s->look.waits) {
        oracle_checked(w, service_index(w, s), s->svc.life, false);
        tell(w, s, false);
    } else {
        look(w, s);
    }
    return true;
}

int64_t health_next_timer(const struct world *w, const struct service *s)
{
    bool must = svc_alarm_is_due(&s->svc) || svc_awaits_ready(&s->svc) || s->svc.rare.check.role != ROLE_SERVICE;

    /* It is looked at for ever. */
    return s->look.on && (must || !w->quiet) ? s->look.at : 0;
}

void health_free(struct service *s)
{
    s->look.on = s->look.busy = s->look.waits = s->look.alarm = false;
}

void health_follow(struct world *w, struct service *s)
{
    const struct svc *svc = &s->svc;

    if (!svc_is_checked(svc, s->spec)) {
        health_free(s);
        return;
    }
    if (!s->look.on) {
        s->look.on = true;
        s->look.busy = svc_has_check(svc) && !svc->rare.check.killed;
        s->look.at = w->now.mono + (s->look.busy ? s->spec->check->timeout : FIRST_LOOK);
    }
    bool goes_on = s->look.waits && svc->rare.check.role == ROLE_SERVICE;
    bool alarmed = svc_alarm_is_due(svc) && !s->look.alarm && !s->look.busy;
    if (goes_on)
        s->look.waits = false;
    s->look.alarm = svc_alarm_is_due(svc);
    if (goes_on || alarmed)
        s->look.at = w->now.mono;
}
