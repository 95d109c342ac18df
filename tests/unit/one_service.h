/* SPDX-License-Identifier: MIT */
/*
 * One service that is fed events, for the tests of core/service.h: each program includes it once, and has its fixture.
 */
#ifndef SUPD_TESTS_UNIT_ONE_SERVICE_H
#define SUPD_TESTS_UNIT_ONE_SERVICE_H

#include "base/mem.h"
#include "base/strv.h"
#include "check_main.h"
#include "core/service.h"

#define PID 4711

static struct spec *spec;
static struct svc svc;
static struct timestamp now;
static uint64_t rng;
static struct svc_actions actions; /* of the last step */

/* A service that has never run, of a spec with no key but its name. */
static inline void setup_service(void)
{
    spec = spec_new("x");
    now = (struct timestamp){.mono = 1000 * USEC_PER_SEC, .wall = 5000 * USEC_PER_SEC};
    rng = 1;
    svc_init(&svc, spec, now);
}

static inline void teardown_service(void)
{
    spec_free(spec);
}

/* An event about the present life, and about the present control process where it is about one. */
static inline void feed(struct svc_event event)
{
    event.life = svc.life;
    event.control = svc.rare.control.number;
    svc_step(&svc, spec, &event, now, &rng, &actions);
}

static inline void step(enum svc_event_type type)
{
    feed((struct svc_event){.type = type});
}

/* Was it among the actions of the last step? */
static inline bool acted(enum svc_action_type type)
{
    for (size_t i = 0; i < actions.n; i++) {
        if (actions.items[i].type == type)
            return true;
    }
    return false;
}

/* The time of its deadline has come. */
static inline void deadline(void)
{
    ck_assert_int_ne(svc.deadline, 0);
    now.wall += svc.deadline - now.mono;
    now.mono = svc.deadline;
    step(SVC_EV_DEADLINE);
}

static inline void main_forked(void)
{
    feed((struct svc_event){.type = SVC_EV_FORKED, .pid = PID, .digest = 99, .stop = svc_stop_params(spec)});
}

#endif
