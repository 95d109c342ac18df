/* SPDX-License-Identifier: MIT */
#include "supd/schedules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/schedule.h"
#include "loop/clockset.h"
#include "os/clock.h"
#include "os/zone.h"
#include "supd/remember.h"
#include "supd/supervisor.h"

/* What begins later than this after it was due is said to be made up. */
#define LATE_TOLD (5 * USEC_PER_SEC)

struct service_schedule {
    struct loop_timer *timer;
    struct timestamp last; /* that .next was reckoned from */
    struct timestamp next; /* {0, 0}: never */
    uint64_t told_life;    /* the run of which it was said that another one is passed over for it */
};

static void on_timer(void *ctx);

static bool is_wanted(const struct service *service)
{
    const struct svc *svc = service->svc;

    return service->spec->around->schedule && svc->desired_up && !svc->shutting_down && !service->removing &&
           svc_rare(svc)->due.wall != 0;
}

/* Is NEXT due, on the clock that counts for it? */
static bool is_due(const struct service *service, struct timestamp next, struct timestamp now)
{
    if (next.wall == 0)
        return false;
    return schedule_follows_clock(service->spec->around->schedule) ? next.wall <= now.wall : next.mono <= now.mono;
}

static void arm(struct service *service)
{
    struct service_schedule *schedule = service->parts->schedule;
    struct timestamp now = clock_now();
    struct zone zone = zone_local();
    char buf[32];

    schedule->last = svc_rare(service->svc)->due;
    schedule->next = schedule_next(service->spec->around->schedule, schedule->last, now, &zone);
    if (schedule->next.wall == 0) {
        log_warning("%s: its schedule names no time that ever comes", service->spec->name);
        loop_timer_clear(schedule->timer);
        return;
    }
    log_debug("%s: next run at %s", service->spec->name, zone_format(schedule->next.wall, buf, sizeof buf));
    loop_timer_set(schedule->timer, schedule->next.mono - now.mono);
}

/* Once for each run that takes too long. */
static void tell_passed_over(struct service *service, const char *when)
{
    struct service_schedule *schedule = service->parts->schedule;

    if (schedule->told_life == service->svc->life)
        return;
    schedule->told_life = service->svc->life;
    log_warning("%s: the run that was due at %s is passed over, and so are more, until the present one has ended",
                service->spec->name, when);
}

static void tell_due(struct service *service, struct timestamp next, struct timestamp now, bool pass_over)
{
    char when[32];

    zone_format(next.wall, when, sizeof when);
    if (pass_over)
        log_warning("%s: the run that was due at %s is too late, and persistent = no: it is not made up",
                    service->spec->name, when);
    else if (service->svc->state != SVC_WAITING || !service->svc->idle)
        tell_passed_over(service, when);
    else if (now.wall - next.wall > LATE_TOLD)
        log_info("%s: the run that was due at %s is made up now", service->spec->name, when);
}

/* Up to NOW all is seen to by this. */
static void feed(struct service *service, struct timestamp next, struct timestamp now, bool pass_over)
{
    bool by_clock = schedule_follows_clock(service->spec->around->schedule);

    tell_due(service, next, now, pass_over);
    service_event(service, &(struct svc_event){
                               .type = SVC_EV_DUE,
                               .due = by_clock ? now : next,
                               .pass_over = pass_over,
                           });
}

static void on_timer(void *ctx)
{
    struct service *service = ctx;
    struct timestamp now = clock_now();
    struct zone zone = zone_local();
    struct timestamp next = schedule_next(service->spec->around->schedule, svc_rare(service->svc)->due, now, &zone);

    if (is_due(service, next, now))
        feed(service, next, now, false);
    else
        arm(service); /* the timer was early, or the clock was set meanwhile */
}

/* What the clock, or sleep, has left out by more than a few hours is made up for those only that ask for it. */
static void on_clock_set(void *ctx)
{
    struct supervisor *sup = ctx;

    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        struct timestamp now = clock_now();

        if (!s->parts->schedule || !schedule_follows_clock(s->spec->around->schedule))
            continue;
        struct zone zone = zone_local();
        struct timestamp next = schedule_next(s->spec->around->schedule, svc_rare(s->svc)->due, now, &zone);
        if (is_due(s, next, now) && now.wall - next.wall > SCHEDULE_LATE_MAX && !s->spec->around->persistent)
            feed(s, next, now, true);
        else
            arm(s);
    }
}

static void watch_clock(struct supervisor *sup)
{
    if (sup->clockset)
        return;
    sup->clockset = clockset_new(sup->loop, on_clock_set, sup);
    if (!sup->clockset)
        log_warning("it will not be noticed that the clock is set: %s", strerror(errno));
}

void schedules_recall(const struct service *service, struct svc *svc)
{
    struct timestamp now = clock_now();
    int64_t wall;

    if (service->spec->around->persistent && remember_run(service->sup, service->spec->name, &wall))
        svc_set_due(svc, (struct timestamp){.mono = now.mono - (now.wall - wall), .wall = wall});
}

static bool same_time(struct timestamp a, struct timestamp b)
{
    return a.mono == b.mono && a.wall == b.wall;
}

void schedules_follow(struct service *service)
{
    if (service->spec->around->persistent && svc_rare(service->svc)->due.wall != 0)
        remember_set_run(service->sup, service->spec->name, svc_rare(service->svc)->due.wall);
    if (!is_wanted(service)) {
        schedules_free(service);
        return;
    }
    if (service->parts->schedule && same_time(service->parts->schedule->last, svc_rare(service->svc)->due))
        return;
    if (!service->parts->schedule) {
        service_parts(service)->schedule = xcalloc(1, sizeof *service->parts->schedule);
        service->parts->schedule->timer = loop_timer_new(service->sup->loop, on_timer, service);
    }
    if (schedule_follows_clock(service->spec->around->schedule))
        watch_clock(service->sup);
    arm(service);
}

int64_t schedules_next_run(const struct service *service)
{
    const struct service_schedule *schedule = service->parts->schedule;

    if (!schedule || schedule->next.wall == 0 || schedule_follows_clock(service->spec->around->schedule))
        return schedule ? schedule->next.wall : 0;
    struct timestamp now = clock_now();
    return now.wall + (schedule->next.mono - now.mono);
}

void schedules_free(struct service *service)
{
    if (!service->parts->schedule)
        return;
    loop_timer_free(service->parts->schedule->timer);
    free(service->parts->schedule);
    service_parts(service)->schedule = NULL;
}

void schedules_close(struct supervisor *sup)
{
    clockset_free(sup->clockset);
    sup->clockset = NULL;
}
