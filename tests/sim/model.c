/* SPDX-License-Identifier: MIT */
/*
 * The model of src/supd/supervisor.c: the same effects in the same order, on a
 * kernel that can be looked into.
 */
#include <string.h>

#include "sim.h"

#define START_SLOTS 2
#define FORKS_PER_TURN 2

static bool has_action(const struct svc_actions *actions, enum svc_action_type type)
{
    for (size_t i = 0; i < actions->n; i++) {
        if (actions->items[i].type == type)
            return true;
    }
    return false;
}

/* ---- the table and the queue ---- */

struct service *model_add(struct world *w, int i, const struct spec *spec, uint64_t digest)
{
    struct service *s = &w->supd.services[i];

    *s = (struct service){.used = true, .spec = spec, .digest = digest};
    for (enum part part = PART_MAIN; part < PARTS; part++)
        *process_of(s, part) = (struct process){.service = s, .part = part};
    svc_init(&s->svc, spec, w->now);
    schedule_recall(w, s);
    return s;
}

void model_set_spec(struct world *w, struct service *s, const struct spec *spec, uint64_t digest)
{
    bool rescheduled = !spec_key_equal(s->spec, spec, spec_key_find("schedule"));

    s->spec = spec;
    s->digest = digest;
    oracle_configured(w, s);
    health_free(s);
    model_event(w, s,
                (struct svc_event){.type = SVC_EV_CONFIG, .stop = svc_stop_params(spec), .rescheduled = rescheduled});
}

static void enqueue(struct world *w, struct service *s)
{
    if (s->queued)
        return;
    s->condemned = false;
    s->queued = true;
    w->supd.starts[w->supd.n_starts++] = service_index(w, s);
    w->supd.woken = true;
}

static void dequeue(struct world *w, struct service *s)
{
    struct supd *supd = &w->supd;
    size_t n = 0;

    for (size_t i = 0; i < supd->n_starts; i++) {
        if (supd->starts[i] != service_index(w, s))
            supd->starts[n++] = supd->starts[i];
    }
    supd->n_starts = n;
    s->queued = false;
}

static bool is_gone(const struct service *s)
{
    return s->removing && s->svc.state == SVC_STOPPED && !s->queued;
}

static void condemn(struct world *w, struct service *s)
{
    s->condemned = true;
    w->supd.woken = true;
}

void model_remove(struct world *w, struct service *s)
{
    s->removing = true;
    model_event(w, s, (struct svc_event){.type = SVC_EV_STOP, .text = "removed from the configuration"});
    if (is_gone(s))
        condemn(w, s);
}

static void delete_condemned(struct world *w)
{
    for (int i = 0; i < SERVICES; i++) {
        struct service *s = &w->supd.services[i];

        if (!s->used || !s->condemned)
            continue;
        if (is_gone(s) && persist_removed(w, s) < 0)
            return;
        s->condemned = false;
        if (!is_gone(s))
            continue;
        sim_trace(w, "  %s: removed", sim_names[i]);
        for (enum part part = PART_MAIN; part < PARTS; part++)
            process_release(w, process_of(s, part));
        s->used = false;
    }
}

static bool is_busy(const struct service *s)
{
    return s->used && (svc_is_busy(&s->svc) || s->main.is_child || s->control.is_child || s->check.is_child);
}

void model_update_busy(struct world *w, const struct service *s)
{
    if (w->supd.phase == PHASE_STOPPING && !is_busy(s))
        w->supd.woken = true;
}

static void shutdown_check(struct world *w)
{
    if (w->supd.phase != PHASE_STOPPING)
        return;
    for (int i = 0; i < SERVICES; i++) {
        if (is_busy(&w->supd.services[i]))
            return;
    }
    oracle_at_end(w);
    sys(w);
    schedule_remember_turn(w);
    buf_reset(&w->file);
    w->file_exists = false;
    w->supd.done = true;
}

static void on_queue(struct world *w)
{
    struct supd *supd = &w->supd;

    supd->woken = false;
    delete_condemned(w);
    for (unsigned n = 0; supd->n_starts > 0; n++) {
        struct service *s = &supd->services[supd->starts[0]];

        if (supd->pre_exec >= START_SLOTS || !persist_allows_fork(w))
            return;
        if (n == FORKS_PER_TURN) {
            supd->woken = true;
            return;
        }
        dequeue(w, s);
        model_event(w, s, (struct svc_event){.type = SVC_EV_SLOT});
    }
    shutdown_check(w);
}

/* ---- carrying out ---- */

static void carry_out(struct world *w, struct service *s, struct svc_action action)
{
    switch (action.type) {
    case ACT_RECORD:
        break;
    case ACT_QUEUE:
        enqueue(w, s);
        break;
    case ACT_UNQUEUE:
        dequeue(w, s);
        break;
    case ACT_FORK:
        process_fork(w, &s->main);
        break;
    case ACT_SIGNAL_MAIN:
        process_signal(w, &s->main, action.signal);
        break;
    case ACT_SIGNAL_GROUP:
        process_signal_all(w, &s->main, action.signal);
        break;
    case ACT_CHECK_GROUP:
        process_check_left(w, &s->main);
        break;
    case ACT_WATCH_GROUP:
        s->main.left_watched = true;
        break;
    case ACT_FORK_CONTROL:
        process_fork(w, &s->control);
        break;
    case ACT_SIGNAL_CONTROL:
        process_signal_all(w, &s->control, action.signal);
        break;
    case ACT_CHECK_CONTROL:
        process_check_left(w, &s->control);
        break;
    case ACT_WATCH_CONTROL:
        s->control.left_watched = true;
        break;
    case ACT_RELOAD_SIGNAL:
        w->seen.reloads++;
        kernel_signal(w, s, s->main.pidfd, action.signal, false);
        break;
    case ACT_FIND_MAIN:
        process_search_begin(w, s);
        break;
    case ACT_REMOVE_PID_FILE:
        sys(w);
        break;
    case ACT_FORK_CHECK:
        process_fork(w, &s->check);
        break;
    case ACT_SIGNAL_CHECK:
        process_signal_all(w, &s->check, action.signal);
        break;
    case ACT_CHECK_CHECK:
        process_check_left(w, &s->check);
        break;
    case ACT_WATCH_CHECK:
        s->check.left_watched = true;
        break;
    case ACT_N:
        sim_require(w, false, "an action that is none");
    }
}

static void commit(struct world *w, struct service *s, const struct svc *next, const struct svc_actions *actions,
                   bool recorded)
{
    if (next->state != s->svc.state)
        sim_trace(w, "  %s: %s", sim_names[service_index(w, s)], svc_state_name(next->state));
    s->svc = *next;
    if (!recorded && has_action(actions, ACT_RECORD))
        persist_fact(w, s);
    s->timer_at = s->svc.deadline;
    if (!svc_has_process(&s->svc) && s->svc.group == 0)
        process_release(w, &s->main);
    if (s->svc.rare.control.role == ROLE_SERVICE)
        process_release(w, &s->control);
    if (s->svc.rare.check.role == ROLE_SERVICE)
        process_release(w, &s->check);
    for (size_t i = 0; i < actions->n; i++)
        carry_out(w, s, actions->items[i]);
    schedule_follow(w, s);
    health_follow(w, s);
    model_update_busy(w, s);
    if (is_gone(s))
        condemn(w, s);
}

void model_event(struct world *w, struct service *s, struct svc_event event)
{
    struct svc before = s->svc;
    struct svc next = s->svc;
    struct svc_actions actions;

    svc_step(&next, s->spec, &event, w->now, &w->rng, &actions);
    oracle_changed(w, s, &before, &next, &event);
    commit(w, s, &next, &actions, false);
}

bool model_command(struct world *w, struct service *s, enum svc_event_type type)
{
    struct svc before = s->svc;
    struct svc next = s->svc;
    struct svc_event event = {.type = type};
    struct svc_actions actions;

    svc_step(&next, s->spec, &event, w->now, &w->rng, &actions);
    if (has_action(&actions, ACT_RECORD) && persist_snapshot(w, s, &next) < 0)
        return false;
    oracle_changed(w, s, &before, &next, &event);
    commit(w, s, &next, &actions, true);
    return true;
}

/* ---- the loop ---- */

static bool timer_turn(struct world *w, struct service *s)
{
    if (s->timer_at == 0 || w->now.mono < s->timer_at)
        return false;
    s->timer_at = 0;
    messages_read(w, s);
    model_event(w, s, (struct svc_event){.type = SVC_EV_DEADLINE});
    return true;
}

static bool queue_turn(struct world *w)
{
    if (!w->supd.woken)
        return false;
    on_queue(w);
    return true;
}

static bool retry_turn(struct world *w)
{
    if (w->supd.retry_at == 0 || w->now.mono < w->supd.retry_at)
        return false;
    persist_retry(w);
    return true;
}

#define COMMON_TURNS 4
#define PROCESS_TURNS (3 * PARTS)
#define SERVICE_TURNS (PROCESS_TURNS + 6)

static bool process_turn(struct world *w, struct process *process, unsigned which)
{
    if (which == 0)
        return process_report_turn(w, process);
    return which == 1 ? process_watch_turn(w, process) : process_leftovers_turn(w, process);
}

static bool one_turn(struct world *w, unsigned which)
{
    if (which == 0)
        return process_sigchld_turn(w);
    if (which == 1)
        return queue_turn(w);
    if (which == 2)
        return retry_turn(w);
    if (which == 3)
        return schedule_remember_turn(w);
    which -= COMMON_TURNS;
    struct service *s = &w->supd.services[which / SERVICE_TURNS];
    if (!s->used)
        return false;
    which %= SERVICE_TURNS;
    if (which < PROCESS_TURNS)
        return process_turn(w, process_of(s, which % PARTS), which / PARTS);
    switch (which - PROCESS_TURNS) {
    case 0:
        return process_search_turn(w, s);
    case 1:
        return timer_turn(w, s);
    case 2:
        return messages_turn(w, s);
    case 3:
        return messages_watchdog_turn(w, s);
    case 4:
        return health_turn(w, s);
    default:
        return schedule_turn(w, s);
    }
}

bool model_turn(struct world *w)
{
    unsigned all = COMMON_TURNS + SERVICES * SERVICE_TURNS;
    unsigned first = sim_draw(w, all);

    for (unsigned i = 0; i < all; i++) {
        if (one_turn(w, (first + i) % all))
            return true;
    }
    return false;
}

static void sooner(int64_t *next, int64_t at)
{
    if (at != 0 && (*next == 0 || at < *next))
        *next = at;
}

int64_t model_next_timer(struct world *w)
{
    int64_t next = 0;

    sooner(&next, w->supd.retry_at);
    for (int i = 0; i < SERVICES; i++) {
        struct service *s = &w->supd.services[i];

        if (!s->used)
            continue;
        sooner(&next, s->timer_at);
        /* A schedule never comes to rest. */
        if (!w->quiet)
            sooner(&next, s->run_at);
        sooner(&next, s->search_at);
        sooner(&next, messages_next_timer(w, s));
        sooner(&next, health_next_timer(w, s));
        for (enum part part = PART_MAIN; part < PARTS; part++) {
            const struct process *process = process_of(s, part);

            if (process->watched && process->give_up != 0)
                sooner(&next, process->watch_at);
        }
    }
    return next;
}
