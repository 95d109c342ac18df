/* SPDX-License-Identifier: MIT */
/*
 * The model of src/supd/supervisor.c and process.c: the same effects in the same
 * order, on a kernel that can be looked into.
 */
#include <string.h>

#include "sim.h"

#define START_SLOTS 2
#define FORKS_PER_TURN 2
#define SWEEP_MAX 3
#define LEFTOVERS_POLL (100 * USEC_PER_MSEC)
#define PATIENCE (2 * USEC_PER_SEC)
#define WATCH_RETRY (100 * USEC_PER_MSEC)

static void count_group(struct world *w, struct service *s);

static bool has_action(const struct svc_actions *actions, enum svc_action_type type)
{
    for (size_t i = 0; i < actions->n; i++) {
        if (actions->items[i].type == type)
            return true;
    }
    return false;
}

/* ---- the table and the queue ---- */

struct svc_stop_params model_stop_params(const struct spec *spec)
{
    return (struct svc_stop_params){
        .signal = spec->stop_signal,
        .kill_mode = spec->kill_mode,
        .timeout = spec->stop_timeout,
    };
}

struct service *model_add(struct world *w, int i, const struct spec *spec, uint64_t digest)
{
    struct service *s = &w->supd.services[i];

    *s = (struct service){.used = true, .spec = spec, .digest = digest};
    svc_init(&s->svc, spec, w->now);
    return s;
}

void model_set_spec(struct world *w, struct service *s, const struct spec *spec, uint64_t digest)
{
    s->spec = spec;
    s->digest = digest;
    model_event(w, s, (struct svc_event){.type = SVC_EV_CONFIG, .stop = model_stop_params(spec)});
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

static void close_report(struct world *w, struct service *s)
{
    if (s->report.uid == 0)
        return;
    s->report = (struct handle){0};
    w->supd.pre_exec--;
    persist_after_exec(w);
    if (w->supd.n_starts > 0)
        w->supd.woken = true;
}

static void release(struct world *w, struct service *s)
{
    close_report(w, s);
    s->failure = false;
    s->watched = false;
    s->has_left = false;
    s->pidfd = (struct handle){0};
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
        release(w, s);
        s->used = false;
    }
}

static bool is_busy(const struct service *s)
{
    return s->used && (svc_has_process(&s->svc) || s->svc.group != 0 || s->is_child);
}

/* The last one that ends lets supd end. */
static void update_busy(struct world *w, const struct service *s)
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
    sys(w);
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

static void signal_main(struct world *w, struct service *s, int32_t signo)
{
    kernel_signal(w, s, s->pidfd, signo);
}

static void signal_group(struct world *w, struct service *s, int32_t signo)
{
    if (s->svc.pre_exec)
        signal_main(w, s, signo);
    else if (s->svc.group > 0)
        kernel_signal_group(w, s, signo);
}

static void fork_child(struct world *w, struct service *s)
{
    struct svc_stop_params stop = model_stop_params(s->spec);
    const char *name = sim_names[service_index(w, s)];
    uint8_t record[RECORD_MAX];
    size_t len = record_encode_spawn(record, ROLE_SERVICE, name, &s->svc, s->digest, &stop, w->now);

    sys(w);
    oracle_fork(w, s);
    const struct proc *p = kernel_fork(w, service_index(w, s), s->svc.life, record, len);
    if (!p) {
        model_event(w, s, (struct svc_event){.type = SVC_EV_FORK_FAILED, .life = s->svc.life, .text = "fork: no room"});
        return;
    }
    s->pidfd = s->report = kernel_handle(p);
    s->child = p->pid;
    s->is_child = true;
    s->check_after_reap = false;
    w->supd.pre_exec++;
    sys(w);
    model_event(w, s,
                (struct svc_event){.type = SVC_EV_FORKED,
                                   .life = s->svc.life,
                                   .pid = s->child,
                                   .inode = kernel_inode(w, p),
                                   .digest = s->digest,
                                   .stop = stop});
}

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
        fork_child(w, s);
        break;
    case ACT_SIGNAL_MAIN:
    case ACT_SIGNAL_GROUP:
        if (action.type == ACT_SIGNAL_MAIN)
            signal_main(w, s, action.signal);
        else
            signal_group(w, s, action.signal);
        break;
    case ACT_CHECK_GROUP:
        if (s->is_child)
            s->check_after_reap = true;
        else
            count_group(w, s);
        break;
    case ACT_WATCH_GROUP:
        s->left_watched = true;
        break;
    default:
        sim_require(w, false, "action %d for a simple service", (int)action.type);
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
        release(w, s);
    for (size_t i = 0; i < actions->n; i++)
        carry_out(w, s, actions->items[i]);
    update_busy(w, s);
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

/* ---- what is left of a group ---- */

static void count_group(struct world *w, struct service *s)
{
    const struct svc *svc = &s->svc;

    sys(w);
    size_t n =
        kernel_group_is_empty(w, s->pidfd) ? 0 : kernel_group(w, svc->group, svc->group_start, s->left, LEFTOVERS_MAX);
    s->has_left = true;
    s->left_watched = false;
    s->n_left = n < LEFTOVERS_MAX ? n : LEFTOVERS_MAX;
    model_event(w, s, (struct svc_event){.type = SVC_EV_GROUP, .life = svc->life, .group_left = (unsigned)n});
}

static bool leftovers_turn(struct world *w, struct service *s)
{
    if (!s->has_left || !s->left_watched)
        return false;
    for (size_t i = 0; i < s->n_left; i++) {
        const struct proc *p = kernel_find(w, s->left[i]);
        if (p && kernel_alive(p))
            return false;
    }
    count_group(w, s);
    return true;
}

/* ---- ends ---- */

static void tell_execed(struct world *w, struct service *s)
{
    uint64_t start = w->procs[s->child].start; /* not reaped, so the number is its own */

    model_event(w, s, (struct svc_event){.type = SVC_EV_EXECED, .life = s->svc.life, .start_ticks = start});
}

static bool report_turn(struct world *w, struct service *s)
{
    const struct proc *p = kernel_find(w, s->report);

    if (!p || s->failure || p->stage == PROC_ZOMBIE)
        return false;
    if (p->failing) {
        s->failure = true;
        return true;
    }
    if (p->stage != PROC_EXECED)
        return false;
    sys(w);
    if (!kernel_find(w, s->report) || p->stage == PROC_ZOMBIE)
        return true; /* its end is there now, and tells more */
    tell_execed(w, s);
    close_report(w, s);
    return true;
}

static struct service *service_of_child(struct world *w, int32_t pid)
{
    for (int i = 0; i < SERVICES; i++) {
        struct service *s = &w->supd.services[i];

        if (s->used && s->is_child && s->child == pid)
            return s;
    }
    return NULL;
}

static void child_ended(struct world *w, const struct proc *p)
{
    struct service *s = service_of_child(w, p->pid);

    if (!s)
        return;
    bool failed = s->failure || (s->report.uid != 0 && p->failing);
    struct exit_info exit = p->exit;

    s->failure = false;
    if (!failed && s->report.uid != 0 && exit.how == EXIT_HOW_EXITED)
        tell_execed(w, s);
    exit.source = EXIT_SOURCE_WAIT;
    exit.at = w->now.wall;
    model_event(w, s,
                (struct svc_event){.type = SVC_EV_EXITED,
                                   .life = s->svc.life,
                                   .exit = exit,
                                   .start_ticks = p->start,
                                   .text = failed ? "exec: no" : NULL});
    close_report(w, s);
}

static void child_reaped(struct world *w, int32_t pid)
{
    struct service *s = service_of_child(w, pid);

    if (!s)
        return;
    s->is_child = false;
    update_busy(w, s);
    if (s->check_after_reap) {
        s->check_after_reap = false;
        count_group(w, s);
    }
}

/* Peek, record, reap: each child that has ended, from anywhere in the list. */
static bool sigchld_turn(struct world *w)
{
    unsigned taken = 0;
    int first = (int)sim_draw(w, PIDS);

    if (!w->supd.sigchld)
        return false;
    w->supd.sigchld = false;
    for (int i = 0; i < PIDS && taken < SWEEP_MAX; i++) {
        struct proc *p = &w->procs[(first + i) % PIDS];

        if (p->stage != PROC_ZOMBIE || p->parent != w->incarnation)
            continue;
        child_ended(w, p);
        sys(w);
        int32_t pid = p->pid;
        kernel_reap(w, p);
        sys(w);
        child_reaped(w, pid);
        taken++;
    }
    w->supd.sigchld = w->supd.sigchld || taken == SWEEP_MAX;
    return true;
}

/* The pidfd of an adopted process: readable at its end, and then asked until it tells, or patience is over. */
static bool watch_turn(struct world *w, struct service *s)
{
    struct exit_info exit = {.how = EXIT_HOW_UNKNOWN};
    const struct proc *p = kernel_find(w, s->pidfd);

    if (!s->watched || (p && kernel_alive(p)) || (s->give_up != 0 && w->now.mono < s->watch_at))
        return false;
    if (!kernel_exit_status(w, s->pidfd, &exit)) {
        if (s->give_up == 0)
            s->give_up = w->now.mono + PATIENCE;
        s->watch_at = w->now.mono + WATCH_RETRY;
        if (w->now.mono < s->give_up)
            return true;
    }
    s->watched = false;
    exit.at = w->now.wall;
    model_event(w, s, (struct svc_event){.type = SVC_EV_EXITED, .life = s->svc.life, .exit = exit});
    return true;
}

/* ---- the loop ---- */

static bool timer_turn(struct world *w, struct service *s)
{
    if (s->timer_at == 0 || w->now.mono < s->timer_at)
        return false;
    s->timer_at = 0;
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

#define COMMON_TURNS 3
#define SERVICE_TURNS 4

static bool one_turn(struct world *w, unsigned which)
{
    if (which == 0)
        return sigchld_turn(w);
    if (which == 1)
        return queue_turn(w);
    if (which == 2)
        return retry_turn(w);
    which -= COMMON_TURNS;
    struct service *s = &w->supd.services[which / SERVICE_TURNS];
    if (!s->used)
        return false;
    switch (which % SERVICE_TURNS) {
    case 0:
        return report_turn(w, s);
    case 1:
        return timer_turn(w, s);
    case 2:
        return watch_turn(w, s);
    default:
        return leftovers_turn(w, s);
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

int64_t model_next_timer(const struct world *w)
{
    int64_t next = 0;

    sooner(&next, w->supd.retry_at);
    for (int i = 0; i < SERVICES; i++) {
        const struct service *s = &w->supd.services[i];

        if (!s->used)
            continue;
        sooner(&next, s->timer_at);
        if (s->watched && s->give_up != 0)
            sooner(&next, s->watch_at);
    }
    return next;
}
