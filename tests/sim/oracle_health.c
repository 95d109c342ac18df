/* SPDX-License-Identifier: MIT */
/*
 * Checks: nobody is ended for them who has not truly failed so often, nobody is let be who has, and what is to follow does,
 * once.
 */
#include <inttypes.h>

#include "sim.h"

void oracle_checked(struct world *w, int i, uint64_t number, bool ok)
{
    struct life *life = oracle_life(&w->oracles[i], number);

    if (life->life == number)
        life->failures = ok ? 0 : life->failures + 1;
}

/* A success counts once supd is told of it: it may have come too late, or be lost with a supd. */
void oracle_check_ended(struct world *w, const struct proc *p)
{
    if (p->exit.how != EXIT_HOW_EXITED || p->exit.code != 0)
        oracle_checked(w, p->service, p->life, false);
}

static bool ends(const struct svc *before, const struct svc *after)
{
    return before->state == SVC_RUNNING && after->state == SVC_STOPPING;
}

/* It has become unhealthy: truly, and with what follows. */
static void check_unhealthy(struct world *w, const struct service *s, const struct svc *before, const struct svc *after)
{
    const char *name = sim_names[service_index(w, s)];
    const struct spec_check *check = s->spec->check;
    struct life *life = oracle_life(oracle_of(w, s), after->life);
    bool is_ended = check->on_failure.kind == ON_FAILURE_RESTART || check->on_failure.kind == ON_FAILURE_STOP;

    w->seen.unhealthy++;
    sim_require(w, life->life != after->life || life->failures >= check->failures,
                "%s: is unhealthy after %u failures, not %u", name, life->failures, check->failures);
    sim_require(w,
                before->rare.health.state == HEALTH_HEALTHY || w->now.mono - after->started.mono >= check->start_period,
                "%s: is unhealthy while it starts", name);
    sim_require(w, ends(before, after) == (is_ended && !after->stop_held), "%s: another end than on-failure says",
                name);
    sim_require(w, after->alarm == (check->on_failure.kind == ON_FAILURE_COMMAND), "%s: alarm %d", name, after->alarm);
    life->alarms += after->alarm;
}

/* Reckoned here once more, of a service that was healthy. */
static void count(struct world *w, const struct service *s, const struct svc *before, const struct svc *after, bool ok)
{
    struct oracle *o = oracle_of(w, s);

    if (before->state != SVC_RUNNING || before->rare.health.state != HEALTH_HEALTHY ||
        !svc_is_checked(before, s->spec)) {
        o->told = 0;
        return;
    }
    o->told = ok ? 0 : o->told + 1;
    sim_require(w, (o->told >= s->spec->check->failures) == (after->rare.health.state == HEALTH_UNHEALTHY),
                "%s: %u failures of %u, and its health is %d", sim_names[service_index(w, s)], o->told,
                s->spec->check->failures, (int)after->rare.health.state);
}

void oracle_health_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                           const struct svc_event *event)
{
    const char *name = sim_names[service_index(w, s)];

    sim_require(w,
                after->rare.health.state != HEALTH_UNHEALTHY || before->rare.health.state == HEALTH_UNHEALTHY ||
                    event->type == SVC_EV_CHECKED,
                "%s: unhealthy, and nobody said so", name);
    if (event->type != SVC_EV_CHECKED)
        return;
    count(w, s, before, after, event->ok);
    if (after->rare.health.state == HEALTH_UNHEALTHY && before->rare.health.state != HEALTH_UNHEALTHY)
        check_unhealthy(w, s, before, after);
    else
        sim_require(w, !ends(before, after), "%s: is ended by a check that found nothing", name);
    w->seen.recovered += before->rare.health.state == HEALTH_UNHEALTHY && after->rare.health.state == HEALTH_HEALTHY;
}

void oracle_health_restored(struct world *w, const struct service *s)
{
    oracle_of(w, s)->told = 0;
}

void oracle_check_forked(struct world *w, const struct service *s)
{
    const char *name = sim_names[service_index(w, s)];

    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];

        sim_require(w,
                    p->kind == KIND_STRANGER || p->service != service_index(w, s) || !is_check_role(p->role) ||
                        !kernel_alive(p),
                    "%s: a check is forked while process %d of another one is there", name, pid);
    }
    sim_require(w, svc_is_checked(&s->svc, s->spec), "%s: is not to be checked", name);
}

void oracle_check_recorded(struct world *w, const struct proc *p)
{
    struct life *life = oracle_life(&w->oracles[p->service], p->life);

    if (p->role != ROLE_UNHEALTHY)
        return;
    w->seen.alarms++;
    sim_require(w, ++life->alarms_run <= life->alarms, "%s: on-failure's command is run twice", sim_names[p->service]);
}

void oracle_health_at_rest(const struct world *w, const struct service *s)
{
    const struct svc *svc = &s->svc;

    sim_require(w, svc->rare.check.role == ROLE_SERVICE && !svc->alarm, "%s: at rest, and a check is not over",
                sim_names[service_index(w, s)]);
}
