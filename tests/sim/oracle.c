/* SPDX-License-Identifier: MIT */
/*
 * The promises.  What supd holds is compared with what truly is, after every
 * step, and wherever something is done that cannot be taken back.
 */
#include <inttypes.h>
#include <string.h>

#include "sim.h"

/* The shortest wait before a program that could not even be executed is tried again. */
#define PRE_EXEC_WAIT (100 * USEC_PER_MSEC)

static unsigned bit(bool up)
{
    return up ? 2 : 1;
}

struct oracle *oracle_of(struct world *w, const struct service *s)
{
    return &w->oracles[service_index(w, s)];
}

static const char *name_of(const struct world *w, const struct service *s)
{
    return sim_names[service_index(w, s)];
}

bool oracle_same_exit(const struct exit_info *a, const struct exit_info *b)
{
    return a->how == b->how && a->code == b->code && a->signal == b->signal;
}

/* Nothing is in the file of this service any more. */
void oracle_forget(struct world *w, int i)
{
    w->oracles[i] = (struct oracle){0};
}

void oracle_snapshot(struct world *w, int i, const struct svc *svc)
{
    struct oracle *o = &w->oracles[i];

    sim_require(w, svc->life >= o->life, "%s: life %" PRIu64 " is recorded after life %" PRIu64, sim_names[i],
                svc->life, o->life);
    sim_require(w, svc->restarts >= o->restarts, "%s: restarts went back to %" PRIu64, sim_names[i], svc->restarts);
    o->in_file = true;
    o->durable = *svc;
    o->life = svc->life;
    o->restarts = svc->restarts;
    o->desired_later = bit(svc->desired_up);

    oracle_due_recorded(w, i, svc);
    /* The main process of a forking service has no record but this. */
    struct life *life = oracle_life(o, svc->life);
    if (life->life == svc->life && svc->type == TYPE_FORKING && svc->proc.pid > 0)
        life->recorded = true;
}

/* ---- events ---- */

static bool is_of_a_life(enum svc_event_type type)
{
    return type == SVC_EV_FORKED || type == SVC_EV_FORK_FAILED || type == SVC_EV_EXECED || type == SVC_EV_ADOPTED ||
           type == SVC_EV_EXITED || type == SVC_EV_GROUP || type == SVC_EV_MAIN_FOUND || type == SVC_EV_MAIN_MISSING ||
           type == SVC_EV_READY || type == SVC_EV_UNHEARD || type == SVC_EV_ALIVE || type == SVC_EV_WATCHDOG ||
           type == SVC_EV_CHECK_DUE || type == SVC_EV_CHECKED;
}

static bool is_of_a_control(enum svc_event_type type)
{
    return type == SVC_EV_CONTROL_FORKED || type == SVC_EV_CONTROL_FORK_FAILED || type == SVC_EV_CONTROL_EXECED ||
           type == SVC_EV_CONTROL_ADOPTED || type == SVC_EV_CONTROL_EXITED || type == SVC_EV_CONTROL_GROUP;
}

static bool is_of_a_check(enum svc_event_type type)
{
    return type == SVC_EV_CHECK_FORKED || type == SVC_EV_CHECK_FORK_FAILED || type == SVC_EV_CHECK_EXECED ||
           type == SVC_EV_CHECK_ADOPTED || type == SVC_EV_CHECK_EXITED || type == SVC_EV_CHECK_GROUP ||
           type == SVC_EV_CHECK_OVERDUE;
}

/* Of another life, or of another control process or check, than the present. */
static bool is_past(const struct svc *svc, const struct svc_event *event)
{
    bool control = is_of_a_control(event->type);
    bool check = is_of_a_check(event->type);

    return ((control || check || is_of_a_life(event->type)) && event->life != svc->life) ||
           (control && (svc->rare.control.role == ROLE_SERVICE || event->control != svc->rare.control.number)) ||
           (check && (svc->rare.check.role == ROLE_SERVICE || event->control != svc->rare.check.number));
}

static bool has_given_up(const struct svc *svc)
{
    return svc->state == SVC_EXITED || svc->state == SVC_FAILED;
}

static bool wanted_after(enum svc_event_type type, bool before, enum svc_state state)
{
    switch (type) {
    case SVC_EV_START:
    case SVC_EV_RESTART:
        return true;
    case SVC_EV_STOP:
        return false;
    case SVC_EV_RESET:
        return before && state != SVC_FAILED && state != SVC_EXITED;
    default:
        return before;
    }
}

/* Reckoned here once more, from the configuration alone: after what may an unstable run be followed by another? */
static void time_next_start(const struct world *w, struct oracle *o, const struct service *s, const struct svc *before,
                            bool pre_exec)
{
    const struct spec *spec = s->spec;
    int64_t wait = spec->life->restart_delay < spec->life->restart_delay_max ? spec->life->restart_delay
                                                                             : spec->life->restart_delay_max;

    wait = wait / 10 * 9;
    if (pre_exec && wait < PRE_EXEC_WAIT)
        wait = PRE_EXEC_WAIT;
    o->by_result = before->ended;
    bool unstable = pre_exec || w->now.mono - before->started.mono < spec->life->restart_reset;
    o->after = s->svc.life;
    o->by = spec;
    o->not_before = unstable ? w->now.mono + wait : 0;
}

static void let_members_go(struct world *w, struct oracle *o, uint64_t number, bool go)
{
    const struct life *life = oracle_life(o, number);

    for (int pid = 2; pid < PIDS; pid++) {
        struct proc *p = &w->procs[pid];
        bool below = p->kind == KIND_MEMBER || p->kind == KIND_DAEMON;

        if (below && p->role == ROLE_SERVICE && life->life == number && p->root == life->root)
            p->let_go = go;
    }
}

static bool start_has_failed(const struct svc *svc)
{
    return svc->result != RESULT_NONE && svc->result != RESULT_WATCHDOG && svc->result != RESULT_UNHEALTHY &&
           svc->result != RESULT_UNHEALTHY_STOP;
}

static void check_end(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                      const struct svc_event *event)
{
    struct oracle *o = oracle_of(w, s);

    sim_require(w, before->ended || after->ended, "%s: an end was not taken", name_of(w, s));
    if (before->ended)
        return;
    sim_require(w, oracle_same_exit(&after->exit, &event->exit), "%s: another end than was told", name_of(w, s));
    time_next_start(w, o, s, before, event->text != NULL || start_has_failed(after));
    if (before->proc.stop.kill_mode == KILL_MODE_PROCESS)
        let_members_go(w, o, before->life, true);
}

/* No process is ended that does what it should: it has said that it is ready, or goes on giving signs of life. */
static void check_health(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                         const struct svc_event *event)
{
    const struct proc *p = kernel_find(w, s->main.pidfd);
    bool ends = before->state != SVC_STOPPING && after->state == SVC_STOPPING;

    if (!ends || !p || !kernel_alive(p) || p->doomed)
        return;
    if (event->type == SVC_EV_WATCHDOG) {
        w->seen.watchdogs++;
        sim_require(w, p->hung, "%s: its watchdog ends process %d, which is well", name_of(w, s), p->pid);
    }
    if (event->type == SVC_EV_DEADLINE && svc_awaits_ready(before))
        sim_require(w, !p->told_ready, "%s: process %d is ended, which has said that it is ready", name_of(w, s),
                    p->pid);
}

void oracle_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                    const struct svc_event *event)
{
    struct oracle *o = oracle_of(w, s);
    const char *name = name_of(w, s);
    bool slot = event->type == SVC_EV_SLOT;

    if (is_past(before, event)) {
        sim_require(w, memcmp(before, after, sizeof *before) == 0, "%s: news of another life changed it", name);
        return;
    }
    sim_require(w, after->life == before->life + (slot && before->state == SVC_WAITING), "%s: life %" PRIu64, name,
                after->life);
    sim_require(w, after->restarts == before->restarts || (slot && after->restarts == before->restarts + 1),
                "%s: %" PRIu64 " restarts", name, after->restarts);
    sim_require(w, after->restarts == before->restarts || o->by != s->spec || w->now.mono >= o->not_before,
                "%s: restarted %" PRId64 " us too early", name, o->not_before - w->now.mono);
    sim_require(w, after->desired_up == wanted_after(event->type, before->desired_up, before->state),
                "%s: event %d made it wanted: %d", name, (int)event->type, after->desired_up);
    sim_require(w,
                after->state == before->state || !has_given_up(after) || s->spec->life->restart != RESTART_ALWAYS ||
                    s->spec->life->restart_limit > 0 || before->result == RESULT_UNHEALTHY_STOP,
                "%s: given up, against its configuration", name);
    if (o->by != s->spec && before->state != SVC_BACKOFF)
        o->not_before = 0; /* another configuration decides now, though the one before may come back */
    o->desired_now = bit(after->desired_up);
    o->desired_later |= bit(after->desired_up);

    if (event->type == SVC_EV_EXITED)
        check_end(w, s, before, after, event);
    else if (before->result == RESULT_NONE && after->result != RESULT_NONE)
        time_next_start(w, o, s, before, start_has_failed(after));
    else if (event->type == SVC_EV_START || event->type == SVC_EV_RESTART)
        o->not_before = 0;
    check_health(w, s, before, after, event);
    oracle_health_changed(w, s, before, after, event);
    oracle_life_changed(w, s, before, after, event);
    oracle_due_changed(w, s, before, after, event);
}

void oracle_acknowledged(struct world *w, const struct service *s, enum svc_event_type type, enum svc_state before)
{
    struct oracle *o = oracle_of(w, s);

    if (type == SVC_EV_RELOAD || (type == SVC_EV_RESET && before != SVC_FAILED && before != SVC_EXITED))
        return;
    o->desired_now = o->desired_later = bit(type == SVC_EV_START || type == SVC_EV_RESTART);
}

/* What nobody has recorded has not been. */
static void restore_lives(struct world *w, const struct service *s)
{
    struct oracle *o = oracle_of(w, s);
    struct life *present = oracle_life(o, s->svc.life);

    for (size_t i = 0; i < LIVES; i++) {
        if (o->lives[i].life > s->svc.life)
            o->lives[i] = (struct life){0};
    }
    if (present->life == s->svc.life && s->svc.state == SVC_RUNNING)
        present->stop_command_is_due = false;
    oracle_configured(w, s);
}

void oracle_restored(struct world *w, const struct service *s, bool recorded)
{
    struct oracle *o = oracle_of(w, s);

    sim_require(w, !recorded || o->desired_later == 0 || (o->desired_later & bit(s->svc.desired_up)),
                "%s: an acknowledged command is forgotten: it is wanted %s", name_of(w, s),
                s->svc.desired_up ? "up" : "down");
    o->desired_now = o->desired_later = bit(s->svc.desired_up);
    oracle_due_restored(w, s, recorded);
    restore_lives(w, s);
    oracle_health_restored(w, s);
    if (!s->svc.ended || s->svc.life != o->after || (o->by_result && s->svc.result == RESULT_NONE))
        o->not_before = 0; /* that end was known to nobody but the dead */
    if (!s->svc.ended)
        let_members_go(w, o, s->svc.life, false); /* and so was this */
    sim_require(w, !recorded || s->svc.state != SVC_WAITING || s->svc.idle == o->durable.idle,
                "%s: it waits for something else", name_of(w, s));
    if (!recorded || s->svc.state != SVC_BACKOFF)
        return;
    sim_require(w, o->durable.state != SVC_BACKOFF || s->svc.deadline == o->durable.deadline, "%s: another backoff",
                name_of(w, s));
}

/* ---- what cannot be taken back ---- */

/* What a control process has left is killed once its end is recorded, and a reload-command that takes too long. */
static bool may_be_killed(const struct svc *durable, const struct proc *p)
{
    if (durable->stop_phase == STOP_KILLED)
        return true;
    return p->role != ROLE_SERVICE && (durable->stop_phase == STOP_POST || durable->rare.control.ended ||
                                       durable->rare.control.role == ROLE_RELOAD);
}

void oracle_signal(struct world *w, const struct service *s, struct proc *p, int32_t signo)
{
    struct oracle *o = oracle_of(w, s);
    int i = service_index(w, s);

    sim_require(w, p->kind != KIND_STRANGER, "%s: signal %d to a stranger, process %d", sim_names[i], signo, p->pid);
    sim_require(w, p->service == i && p->life == s->svc.life && !p->let_go,
                "%s: signal %d to process %d, which is none of its present life", sim_names[i], signo, p->pid);
    uint32_t number = is_check_role(p->role) ? s->svc.rare.check.number : s->svc.rare.control.number;
    sim_require(w, p->role == ROLE_SERVICE || p->number == number,
                "%s: signal %d to process %d of a control process, or a check, that is done", sim_names[i], signo,
                p->pid);
    /* A check may be ended at any time: the next one asks the same. */
    if (s->unrecorded || (is_check_role(p->role) && signo == SIGKILL))
        return; /* a fact that no disk had room for: all that could be done */
    bool known = o->in_file && o->durable.life == p->life;
    if (signo == SIGKILL) {
        sim_require(w, known && may_be_killed(&o->durable, p), "%s: SIGKILL is not recorded", sim_names[i]);
        return;
    }
    sim_require(w, known && o->durable.stop_phase != STOP_NONE, "%s: signal %d is not recorded", sim_names[i], signo);
    sim_require(w, ++p->stop_signals == 1, "%s: process %d gets the stop-signal again", sim_names[i], p->pid);
    if (p->uid == oracle_life(o, p->life)->uid)
        oracle_main_is_stopped(w, s);
}

static bool end_is_recorded(const struct svc *durable, const struct proc *p)
{
    if (p->kind == KIND_CHECK)
        return durable->rare.check.number == p->number ? durable->rare.check.ended : durable->rare.checks >= p->number;
    if (p->kind != KIND_CONTROL)
        return durable->ended;
    return durable->rare.control.number == p->number ? durable->rare.control.ended
                                                     : durable->rare.controls >= p->number;
}

void oracle_reaped(struct world *w, const struct proc *p)
{
    const struct service *s = &w->supd.services[p->service];
    struct oracle *o = &w->oracles[p->service];
    bool is_main = p->uid == oracle_life(o, p->life)->uid && (p->kind == KIND_MAIN || s->main.is_child);

    if ((!is_main && p->kind != KIND_CONTROL && p->kind != KIND_CHECK) || !s->used || s->svc.life != p->life ||
        s->unrecorded)
        return;
    sim_require(w, o->in_file && o->durable.life == p->life && end_is_recorded(&o->durable, p),
                "%s: reaped before its end is recorded", sim_names[p->service]);
}

/* ---- after every step ---- */

bool oracle_is_settled(const struct svc *svc)
{
    return svc->state != SVC_STARTING && svc->state != SVC_RUNNING && svc->state != SVC_STOPPING;
}

static bool exit_is_true(struct oracle *o, const struct svc *svc)
{
    const struct life *present = oracle_life(o, svc->life);

    if (svc->ended && present->life == svc->life && present->uid != 0)
        return present->ended && (svc->exit.how == EXIT_HOW_UNKNOWN || oracle_same_exit(&svc->exit, &present->exit));
    if (svc->exit.how == EXIT_HOW_NONE || svc->exit.how == EXIT_HOW_UNKNOWN || oracle_same_exit(&svc->exit, &o->exit))
        return true;
    for (size_t i = 0; i < LIVES; i++) {
        const struct life *life = &o->lives[i];

        if (life->life > svc->life)
            continue;
        if ((life->ended && oracle_same_exit(&svc->exit, &life->exit)) ||
            (life->start_ended && oracle_same_exit(&svc->exit, &life->start_exit)))
            return true;
    }
    return false;
}

/* Must a deadline be set, may one? */
static void check_times(const struct world *w, const struct service *s)
{
    const struct svc *svc = &s->svc;
    bool queued = svc_is_queued(svc);
    /* A check has got its SIGKILL, and is all that is waited for. */
    bool check_only = svc->rare.check.role != ROLE_SERVICE && !svc_has_process(svc) && svc->group == 0;
    bool must = svc->state == SVC_BACKOFF || (svc->state == SVC_STOPPING && !queued && !check_only);
    bool may = must || svc->state == SVC_STOPPING || svc->state == SVC_STARTING ||
               (svc->state == SVC_RUNNING && svc->rare.control.role == ROLE_RELOAD);

    sim_require(w, (!must || svc->deadline != 0) && (may || svc->deadline == 0), "%s: deadline %" PRId64, name_of(w, s),
                svc->deadline);
    sim_require(w, s->timer_at == svc->deadline, "%s: its timer is not set", name_of(w, s));
    sim_require(w, s->queued == queued, "%s: queued %d", name_of(w, s), s->queued);
}

bool oracle_remains(const struct svc *svc)
{
    return svc->state == SVC_RUNNING && svc->type == TYPE_ONESHOT && svc->ended;
}

static bool waits_for(struct world *w, const struct process *process)
{
    return kernel_find(w, process->pidfd) || process->is_child || process->watched || process->left_watched;
}

static void check_service(struct world *w, const struct service *s)
{
    struct oracle *o = oracle_of(w, s);
    const struct svc *svc = &s->svc;
    const struct proc *p = kernel_find(w, s->main.pidfd);
    bool waits = waits_for(w, &s->main) || waits_for(w, &s->control) || waits_for(w, &s->check) || s->queued ||
                 s->search_at != 0 || oracle_remains(svc);

    check_times(w, s);
    sim_require(w, bit(svc->desired_up) == o->desired_now, "%s: wanted %d", name_of(w, s), svc->desired_up);
    sim_require(w, !oracle_is_settled(svc) || !svc_is_busy(svc), "%s: settled, and holds on to something",
                name_of(w, s));
    sim_require(w, oracle_is_settled(svc) || waits, "%s: waits for a process that is not there", name_of(w, s));
    sim_require(w, svc->desired_up || (svc->state != SVC_WAITING && svc->state != SVC_RUNNING), "%s: runs unwanted",
                name_of(w, s));
    sim_require(w, !svc_has_process(svc) || !p || (p->pid == svc->proc.pid && p->life == svc->life),
                "%s: believes in process %d", name_of(w, s), svc->proc.pid);
    sim_require(w, svc->restarts <= svc->life, "%s: more restarts than lives", name_of(w, s));
    sim_require(w, exit_is_true(o, svc), "%s: an end that never was: %s %d", name_of(w, s),
                exit_how_name(svc->exit.how), svc->exit.code);
    o->exit = svc->exit;
}

void oracle_step(struct world *w)
{
    unsigned mains[SERVICES] = {0};
    unsigned controls[SERVICES] = {0};
    unsigned checks[SERVICES] = {0};
    unsigned all[SERVICES] = {0};

    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];

        if (p->kind == KIND_STRANGER || !kernel_alive(p))
            continue;
        mains[p->service] += p->kind == KIND_MAIN || (p->kind == KIND_DAEMON && !p->let_go);
        controls[p->service] += p->kind == KIND_CONTROL;
        checks[p->service] += p->kind == KIND_CHECK;
        all[p->service] += !p->let_go;
    }
    for (int i = 0; i < SERVICES; i++) {
        const struct service *s = &w->supd.services[i];

        sim_require(w, mains[i] <= 1 && controls[i] <= 1 && checks[i] <= 1,
                    "%s: %u main processes, %u control processes, %u checks", sim_names[i], mains[i], controls[i],
                    checks[i]);
        if (!w->running)
            continue;
        sim_require(w, all[i] == 0 || (s->used && !oracle_is_settled(&s->svc)), "%s: %s, and something of it lives",
                    sim_names[i], s->used ? svc_state_name(s->svc.state) : "removed");
        if (s->used)
            check_service(w, s);
    }
}

static void check_rest(struct world *w, const struct service *s)
{
    const struct svc *svc = &s->svc;
    const struct proc *p = kernel_find(w, s->main.pidfd);
    bool up = svc->state == SVC_RUNNING;
    bool awaits = s->spec->around->start == START_ON_DEMAND || s->spec->around->schedule;
    bool idle = svc->state == SVC_WAITING && svc->idle && awaits;

    sim_require(w, up || idle || has_given_up(svc) || svc->state == SVC_STOPPED, "%s: %s is no state to rest in",
                name_of(w, s), svc_state_name(svc->state));
    sim_require(w, up == ((p && kernel_alive(p)) || oracle_remains(svc)), "%s: at rest, and the kernel does not agree",
                name_of(w, s));
    sim_require(w, svc->desired_up || svc->state == SVC_STOPPED, "%s: not wanted, and not stopped", name_of(w, s));
    sim_require(w, !svc->desired_up || up || idle || has_given_up(svc), "%s: wanted, and not running", name_of(w, s));
    sim_require(w, !s->unrecorded, "%s: a fact was never recorded", name_of(w, s));
    sim_require(w, !s->removing, "%s: removed, and still there", name_of(w, s));
    oracle_due_at_rest(w, s);
    oracle_health_at_rest(w, s);
}

void oracle_at_rest(struct world *w)
{
    for (int i = 0; i < SERVICES; i++) {
        const struct service *s = &w->supd.services[i];

        sim_require(w, s->used == (w->conf[i] >= 0), "%s: not as the configuration says", sim_names[i]);
        if (s->used)
            check_rest(w, s);
    }
}

void oracle_at_end(struct world *w)
{
    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];

        sim_require(w, p->kind == KIND_STRANGER || p->let_go || !kernel_alive(p), "%s: process %d is left at the end",
                    sim_names[p->service], pid);
    }
}
