/* SPDX-License-Identifier: MIT */
/*
 * The model of src/supd/schedules.c, and of what src/supd/remember.c keeps of runs on the disk; and what is promised of
 * them, reckoned here once more: a due time leads to one run at most, and to one at least unless it was passed over.
 */
#include "core/schedule.h"

#include <inttypes.h>
#include <string.h>

#include "sim.h"

#define MINUTE (60 * USEC_PER_SEC)

static int32_t offset_of_the_world(void *ctx, int64_t utc)
{
    (void)ctx;
    (void)utc;
    return 3600;
}

static const struct zone zone = {.offset = offset_of_the_world};

/* ---- the supervisor ---- */

static bool is_wanted(const struct service *s)
{
    return s->spec->around->schedule && s->svc.desired_up && !s->svc.shutting_down && !s->removing &&
           s->svc.rare.due.wall != 0;
}

static struct timestamp next_run(const struct world *w, const struct service *s)
{
    return schedule_next(s->spec->around->schedule, s->svc.rare.due, w->now, &zone);
}

static bool is_due(const struct world *w, const struct service *s, struct timestamp next)
{
    return schedule_follows_clock(s->spec->around->schedule) ? next.wall <= w->now.wall : next.mono <= w->now.mono;
}

void schedule_recall(struct world *w, struct service *s)
{
    int64_t wall = w->supd.runs[service_index(w, s)];

    if (s->spec->around->persistent && wall != 0)
        svc_set_due(&s->svc, (struct timestamp){.mono = w->now.mono - (w->now.wall - wall), .wall = wall});
}

void schedule_follow(struct world *w, struct service *s)
{
    if (s->spec->around->persistent && s->svc.rare.due.wall != 0)
        w->supd.runs[service_index(w, s)] = s->svc.rare.due.wall;
    s->run_at = is_wanted(s) ? next_run(w, s).mono : 0;
}

bool schedule_turn(struct world *w, struct service *s)
{
    if (s->run_at == 0 || w->now.mono < s->run_at)
        return false;
    struct timestamp next = next_run(w, s);
    if (!is_due(w, s, next)) {
        s->run_at = next.mono;
        return true;
    }
    bool by_clock = schedule_follows_clock(s->spec->around->schedule);
    model_event(w, s, (struct svc_event){.type = SVC_EV_DUE, .due = by_clock ? w->now : next});
    return true;
}

/* The helper has written it, and the disk has it. */
bool schedule_remember_turn(struct world *w)
{
    if (memcmp(w->runs, w->supd.runs, sizeof w->runs) == 0)
        return false;
    sys(w);
    memcpy(w->runs, w->supd.runs, sizeof w->runs);
    return true;
}

/* ---- the promises ---- */

/* Has one of its times come since SEEN, until now?  There are two kinds of schedule in the world. */
static bool time_has_come(const struct world *w, const struct spec *spec, struct timestamp seen)
{
    int64_t every;

    if (schedule_follows_clock(spec->around->schedule))
        return w->now.wall / MINUTE > seen.wall / MINUTE;
    return duration_parse(strchr(spec->around->schedule[0], ' ') + 1, &every) && w->now.mono - seen.mono >= every;
}

/* In the file is what has been seen to, so a successor will not see to it again. */
void oracle_due_recorded(struct world *w, int i, const struct svc *svc)
{
    struct oracle *o = &w->oracles[i];

    sim_require(w, svc->rare.due.wall == 0 || svc->rare.due.wall >= o->seen_to.wall,
                "%s: %" PRId64 " us of what was due are forgotten", sim_names[i], o->seen_to.wall - svc->rare.due.wall);
    o->seen_to = svc->rare.due;
}

static bool is_idle(const struct svc *svc)
{
    return svc->state == SVC_WAITING && svc->idle;
}

static bool is_about_to_run(const struct svc *svc)
{
    return svc->state == SVC_WAITING && !svc->idle;
}

void oracle_due_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                        const struct svc_event *event)
{
    struct oracle *o = oracle_of(w, s);
    const char *name = sim_names[service_index(w, s)];

    if (event->type != SVC_EV_DUE) {
        sim_require(w, !is_about_to_run(before) || !is_idle(after) || event->type == SVC_EV_CONFIG,
                    "%s: a run that was due is forgotten", name);
        o->to_be_made_up &= event->type == SVC_EV_BOOT;
        return;
    }
    sim_require(w, after->rare.due.wall == event->due.wall && event->due.wall <= w->now.wall,
                "%s: a run that is not due yet", name);
    sim_require(w, after->life == before->life, "%s: a run beside another", name);
    if (!is_idle(before)) {
        sim_require(w, after->state == before->state || oracle_remains(before), "%s: a run in place of another", name);
        w->seen.passed_over++;
        return;
    }
    sim_require(w, !time_has_come(w, s->spec, after->rare.due), "%s: more than one run makes up for what was missed",
                name);
    w->seen.runs++;
    w->seen.made_up += o->to_be_made_up;
    o->to_be_made_up = false;
    sim_require(w, is_about_to_run(after), "%s: a run that was due is left out", name);
    sim_require(w, time_has_come(w, s->spec, o->seen_to), "%s: it runs again for one due time", name);
}

/* A boot, or a service, begins: what was missed meanwhile is made up where that is asked for, by one run. */
void oracle_due_restored(struct world *w, const struct service *s, bool recorded)
{
    int i = service_index(w, s);
    struct timestamp seen = {.wall = w->runs[i], .mono = w->now.mono - (w->now.wall - w->runs[i])};

    if (recorded)
        return;
    bool remembered = s->spec->around->schedule && s->spec->around->persistent && w->runs[i] != 0;
    w->oracles[i].to_be_made_up = remembered && s->spec->enabled && time_has_come(w, s->spec, seen);
    w->oracles[i].seen_to = remembered ? seen : (struct timestamp){0};
}

void oracle_due_at_rest(struct world *w, const struct service *s)
{
    const struct svc *svc = &s->svc;
    const char *name = sim_names[service_index(w, s)];

    if (!s->spec->around->schedule || !svc->desired_up)
        return;
    sim_require(w, is_idle(svc) || svc->state == SVC_RUNNING, "%s: at rest, and does not wait for its next run", name);
    sim_require(w, !time_has_come(w, s->spec, svc->rare.due), "%s: a run is due, and nobody sees to it", name);
    sim_require(w, !oracle_of(w, s)->to_be_made_up, "%s: what was missed is not made up", name);
}
