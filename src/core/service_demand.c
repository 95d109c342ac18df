/* SPDX-License-Identifier: MIT */
/*
 * start = on-demand: a service that is started when something comes in at one of its sockets.
 */
#include <stdio.h>
#include <string.h>

#include "core/service_step.h"

/* A service that ends without having taken what has come in is started again at once, for it is still there: so often
 * within this time, then with the delays of the policy between.  As systemd's TriggerLimit. */
#define DEMANDS_MAX 20
#define DEMANDS_TIME (2 * USEC_PER_SEC)

bool svc_wants_sockets(const struct svc *svc)
{
    return svc->desired_up && !svc->shutting_down && svc->state != SVC_EXITED && svc->state != SVC_FAILED;
}

void step_await(struct step *s)
{
    char *const *listen = s->spec->around->listen;
    size_t n = 0;
    char more[32] = "";

    while (listen != NULL && listen[n] != NULL)
        n++;
    if (n > 1)
        snprintf(more, sizeof more, " and %zu more", n - 1);
    step_state(s, SVC_WAITING);
    s->svc->idle = true;
    s->svc->next_is_restart = false;
    if (n > 0)
        step_reason(s->svc, "waiting for a connection on %.*s%s", (int)strcspn(listen[0], ","), listen[0], more);
    step_act(s, ACT_RECORD, 0);
}

void step_enqueue_or_await(struct step *s)
{
    if (s->spec->around->schedule)
        step_await_run(s, false);
    else if (s->spec->around->start == START_ON_DEMAND)
        step_await(s);
    else
        step_enqueue(s, false);
}

/* It spins.  What the policy says of a run that failed, the OVER-th. */
static void step_limit(struct step *s, uint32_t over)
{
    struct svc *svc = s->svc;
    struct policy_run run = {.exit.how = EXIT_HOW_UNKNOWN, .pre_exec = true, .abnormal = true, .row = over - 1};
    struct policy_result result = policy_decide(s->spec, &run, s->rng);

    step_state(s, result.verdict == POLICY_RESTART ? SVC_BACKOFF : SVC_FAILED);
    step_reason(svc, "started more than %d times within 2s: it ends without taking its connections", DEMANDS_MAX);
    if (svc->state == SVC_BACKOFF)
        svc->deadline = step_later(s->now.mono, result.delay);
    step_act(s, ACT_RECORD, 0);
}

void step_on_demand(struct step *s)
{
    struct svc *svc = s->svc;

    if (svc->state != SVC_WAITING || !svc->idle)
        return;
    if (svc->rare.demands == 0 || s->now.mono - svc->rare.demands_since >= DEMANDS_TIME) {
        svc->rare.demands = 0;
        svc->rare.demands_since = s->now.mono;
    }
    svc->rare.demands++;
    if (svc->rare.demands > DEMANDS_MAX) {
        step_limit(s, svc->rare.demands - DEMANDS_MAX);
        return;
    }
    step_reason(svc, "started by a connection");
    step_enqueue(s, false);
}
