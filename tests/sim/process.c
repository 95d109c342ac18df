/* SPDX-License-Identifier: MIT */
/*
 * The model of src/supd/process.c, process_role.c, leftovers.c and main_search.c: a
 * process from its fork, or its adoption, to the end of the last one that came of it.
 */
#include "sim.h"

#define SWEEP_MAX 3
#define PATIENCE (2 * USEC_PER_SEC)
#define WATCH_RETRY (100 * USEC_PER_MSEC)
#define SEARCH_INTERVAL (50 * USEC_PER_MSEC)

/* ---- what tells the processes of a service from each other ---- */

struct process *process_of(struct service *s, enum part part)
{
    return part == PART_MAIN ? &s->main : part == PART_CONTROL ? &s->control : &s->check;
}

enum svc_role process_role(const struct process *process)
{
    const struct svc *svc = &process->service->svc;
    const enum svc_role roles[PARTS] = {ROLE_SERVICE, svc->rare.control.role, svc->rare.check.role};

    return roles[process->part];
}

static bool before_exec(const struct process *process)
{
    const struct svc *svc = &process->service->svc;
    const bool before[PARTS] = {svc->pre_exec, svc->rare.control.pre_exec, svc->rare.check.pre_exec};

    return before[process->part];
}

static struct group group_of(const struct world *w, const struct process *process)
{
    const struct svc *svc = &process->service->svc;
    const int32_t numbers[PARTS] = {svc->group, svc->rare.control.pid, svc->rare.check.pid};
    const uint64_t starts[PARTS] = {svc->group_start, svc->rare.control.start_ticks, svc->rare.check.start_ticks};
    struct group group = {
        .number = numbers[process->part],
        .leader = process->pidfd,
        .start = starts[process->part],
        .service = service_index(w, process->service),
        .life = svc->life,
        .role = process_role(process),
        .carries = process->part == PART_MAIN && svc->type == TYPE_FORKING,
    };

    if (group.carries && (svc->group != svc->proc.pid || svc->group_start != svc->proc.start_ticks))
        group.leader = (struct handle){0};
    return group;
}

/* TYPE is one of the main process's: the same of the control process, or of a check, if it is that. */
static void tell(struct world *w, struct process *process, enum svc_event_type type, struct svc_event event)
{
    static const enum svc_event_type types[SVC_EV_N][PARTS] = {
        [SVC_EV_FORKED] = {SVC_EV_FORKED, SVC_EV_CONTROL_FORKED, SVC_EV_CHECK_FORKED},
        [SVC_EV_FORK_FAILED] = {SVC_EV_FORK_FAILED, SVC_EV_CONTROL_FORK_FAILED, SVC_EV_CHECK_FORK_FAILED},
        [SVC_EV_EXECED] = {SVC_EV_EXECED, SVC_EV_CONTROL_EXECED, SVC_EV_CHECK_EXECED},
        [SVC_EV_ADOPTED] = {SVC_EV_ADOPTED, SVC_EV_CONTROL_ADOPTED, SVC_EV_CHECK_ADOPTED},
        [SVC_EV_EXITED] = {SVC_EV_EXITED, SVC_EV_CONTROL_EXITED, SVC_EV_CHECK_EXITED},
        [SVC_EV_GROUP] = {SVC_EV_GROUP, SVC_EV_CONTROL_GROUP, SVC_EV_CHECK_GROUP},
    };
    struct service *s = process->service;

    event.type = types[type][process->part];
    event.life = s->svc.life;
    event.control = process->part == PART_CHECK ? s->svc.rare.check.number : s->svc.rare.control.number;
    model_event(w, s, event);
}

/* What a check found goes to those who asked, once its end is recorded. */
static void tell_exited(struct world *w, struct process *process, struct svc_event event)
{
    struct service *s = process->service;
    struct svc_check check = s->svc.rare.check;

    tell(w, process, SVC_EV_EXITED, event);
    if (process->part == PART_CHECK)
        health_process_ended(w, s, &check, &event.exit, event.text != NULL);
}

/* ---- signals ---- */

/* Whoever is ended must not be paused any more. */
static void thaw(struct world *w, const struct process *process)
{
    if (process->service->svc.state == SVC_STOPPING)
        kernel_freeze(w, service_index(w, process->service), false);
}

void process_signal(struct world *w, struct process *process, int32_t signo)
{
    kernel_signal(w, process->service, process->pidfd, signo, true);
    thaw(w, process);
}

void process_signal_all(struct world *w, struct process *process, int32_t signo)
{
    if (before_exec(process)) {
        process_signal(w, process, signo);
        return;
    }
    struct group group = group_of(w, process);
    if (group.number > 0)
        kernel_signal_group(w, process->service, &group, signo);
    thaw(w, process);
}

/* ---- fork and exec ---- */

static void close_report(struct world *w, struct process *process)
{
    if (process->report.uid == 0)
        return;
    process->report = (struct handle){0};
    w->supd.pre_exec--;
    persist_after_exec(w);
    if (w->supd.n_starts > 0)
        w->supd.woken = true;
}

void process_release(struct world *w, struct process *process)
{
    close_report(w, process);
    process->failure = false;
    process->watched = false;
    process->has_left = false;
    process->pidfd = (struct handle){0};
}

void process_fork(struct world *w, struct process *process)
{
    struct service *s = process->service;
    int i = service_index(w, s);
    enum svc_role role = process_role(process);
    struct svc_stop_params stop = svc_stop_params(s->spec);
    uint8_t record[RECORD_MAX];
    size_t len = record_encode_spawn(record, role, sim_names[i], &s->svc, s->digest, &stop, w->now);

    thaw(w, process);
    sys(w);
    oracle_fork(w, s, role);
    const struct proc *p = kernel_fork(w, i, &s->svc, role, record, len);
    if (!p) {
        oracle_not_forked(w, s, role);
        tell(w, process, SVC_EV_FORK_FAILED, (struct svc_event){.text = "fork: no room"});
        return;
    }
    process->pidfd = process->report = kernel_handle(p);
    process->child = p->pid;
    process->is_child = true;
    process->check_after_reap = false;
    w->supd.pre_exec++;
    sys(w);
    tell(w, process, SVC_EV_FORKED,
         (struct svc_event){.pid = process->child, .inode = kernel_inode(w, p), .digest = s->digest, .stop = stop});
}

static void tell_execed(struct world *w, struct process *process)
{
    uint64_t start = w->procs[process->child].start; /* not reaped, so the number is its own */

    tell(w, process, SVC_EV_EXECED, (struct svc_event){.start_ticks = start});
}

bool process_report_turn(struct world *w, struct process *process)
{
    const struct proc *p = kernel_find(w, process->report);

    if (!p || process->failure || p->stage == PROC_ZOMBIE)
        return false;
    if (p->failing) {
        process->failure = true;
        return true;
    }
    if (p->stage != PROC_EXECED)
        return false;
    sys(w);
    if (!kernel_find(w, process->report) || p->stage == PROC_ZOMBIE)
        return true; /* its end is there now, and tells more */
    tell_execed(w, process);
    close_report(w, process);
    return true;
}

/* ---- what is left of it ---- */

static void count_left(struct world *w, struct process *process)
{
    struct group group = group_of(w, process);

    sys(w);
    size_t n = !group.carries && kernel_group_is_empty(w, process->pidfd)
                   ? 0
                   : kernel_group(w, &group, process->left, LEFTOVERS_MAX);
    process->has_left = true;
    process->left_watched = false;
    process->n_left = n < LEFTOVERS_MAX ? n : LEFTOVERS_MAX;
    tell(w, process, SVC_EV_GROUP, (struct svc_event){.group_left = (unsigned)n});
}

void process_check_left(struct world *w, struct process *process)
{
    if (process->is_child)
        process->check_after_reap = true;
    else
        count_left(w, process);
}

bool process_leftovers_turn(struct world *w, struct process *process)
{
    if (!process->has_left || !process->left_watched)
        return false;
    for (size_t i = 0; i < process->n_left; i++) {
        const struct proc *p = kernel_find(w, process->left[i]);
        if (p && kernel_alive(p))
            return false;
    }
    count_left(w, process);
    return true;
}

/* ---- ends ---- */

static struct process *process_of_child(struct world *w, int32_t pid)
{
    for (int i = 0; i < SERVICES; i++) {
        struct service *s = &w->supd.services[i];

        for (enum part part = PART_MAIN; s->used && part < PARTS; part++) {
            struct process *process = process_of(s, part);
            if (process->is_child && process->child == pid)
                return process;
        }
    }
    return NULL;
}

static void child_ended(struct world *w, const struct proc *p)
{
    struct process *process = process_of_child(w, p->pid);

    if (!process)
        return;
    messages_read(w, process->service);
    bool failed = process->failure || (process->report.uid != 0 && p->failing);
    struct exit_info exit = p->exit;

    process->failure = false;
    if (!failed && process->report.uid != 0 && exit.how == EXIT_HOW_EXITED)
        tell_execed(w, process);
    exit.source = EXIT_SOURCE_WAIT;
    exit.at = w->now.wall;
    tell_exited(w, process,
                (struct svc_event){.exit = exit, .start_ticks = p->start, .text = failed ? "exec: no" : NULL});
    close_report(w, process);
}

static void child_reaped(struct world *w, int32_t pid)
{
    struct process *process = process_of_child(w, pid);

    if (!process)
        return;
    process->is_child = false;
    model_update_busy(w, process->service);
    if (process->check_after_reap) {
        process->check_after_reap = false;
        count_left(w, process);
    }
}

/* Peek, record, reap: each child that has ended, from anywhere in the list. */
bool process_sigchld_turn(struct world *w)
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
bool process_watch_turn(struct world *w, struct process *process)
{
    struct exit_info exit = {.how = EXIT_HOW_UNKNOWN};
    const struct proc *p = kernel_find(w, process->pidfd);

    if (!process->watched || (p && kernel_alive(p)) || (process->give_up != 0 && w->now.mono < process->watch_at))
        return false;
    if (!kernel_exit_status(w, process->pidfd, &exit)) {
        if (process->give_up == 0)
            process->give_up = w->now.mono + PATIENCE;
        process->watch_at = w->now.mono + WATCH_RETRY;
        if (w->now.mono < process->give_up)
            return true;
    }
    process->watched = false;
    messages_read(w, process->service);
    exit.at = w->now.wall;
    tell_exited(w, process, (struct svc_event){.exit = exit});
    return true;
}

static void watch(struct process *process)
{
    process->watched = true;
    process->give_up = 0;
}

void process_tell_fate(struct world *w, struct process *process)
{
    if (process->pidfd.uid != 0) {
        w->seen.adopted_controls += process->part != PART_MAIN;
        tell(w, process, SVC_EV_ADOPTED, (struct svc_event){0});
        watch(process);
        return;
    }
    tell_exited(w, process, (struct svc_event){.exit = {.how = EXIT_HOW_UNKNOWN, .at = w->now.wall}});
}

/* ---- the main process of a forking service ---- */

void process_search_begin(struct world *w, struct service *s)
{
    s->search_at = w->now.mono;
}

static void take_main(struct world *w, struct service *s, struct handle found)
{
    const struct proc *p = kernel_find(w, found);
    const struct proc *leader = &w->procs[p->group];
    bool is_child = p->parent == w->incarnation;

    s->main.pidfd = found;
    oracle_main_found(w, s, p);
    w->seen.mains_found++;
    model_event(w, s,
                (struct svc_event){.type = SVC_EV_MAIN_FOUND,
                                   .life = s->svc.life,
                                   .pid = p->pid,
                                   .start_ticks = p->start,
                                   .inode = kernel_inode(w, p),
                                   .group = p->group,
                                   .group_start = kernel_alive(leader) ? leader->start : 1});
    if (is_child) {
        s->main.is_child = true;
        s->main.child = found.pid;
    } else {
        watch(&s->main);
    }
}

bool process_search_turn(struct world *w, struct service *s)
{
    const struct svc *svc = &s->svc;
    struct handle found;

    if (s->search_at == 0 || w->now.mono < s->search_at)
        return false;
    s->search_at = 0;
    if (svc->state != SVC_STARTING || !(svc->todo & TODO_FIND_MAIN) || svc->rare.control.role != ROLE_SERVICE)
        return true;
    struct group group = group_of(w, &s->main);
    switch (kernel_find_main(w, &group, s->spec->place->pid_file != NULL, &found)) {
    case MAIN_NOT_YET:
        s->search_at = w->now.mono + SEARCH_INTERVAL;
        break;
    case MAIN_IS_THERE:
        take_main(w, s, found);
        break;
    case MAIN_IS_NOT:
        w->seen.mains_missing++;
        model_event(w, s,
                    (struct svc_event){.type = SVC_EV_MAIN_MISSING, .life = svc->life, .text = "no main process"});
        break;
    }
    return true;
}
