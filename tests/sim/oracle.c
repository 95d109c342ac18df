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

static struct life *life_of(struct oracle *o, uint64_t life)
{
    return &o->lives[life % LIVES];
}

static bool same_exit(const struct exit_info *a, const struct exit_info *b)
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
}

/* ---- events ---- */

static bool is_of_a_life(enum svc_event_type type)
{
    return type == SVC_EV_FORKED || type == SVC_EV_FORK_FAILED || type == SVC_EV_EXECED || type == SVC_EV_ADOPTED ||
           type == SVC_EV_EXITED || type == SVC_EV_GROUP;
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
    int64_t wait = spec->restart_delay < spec->restart_delay_max ? spec->restart_delay : spec->restart_delay_max;

    wait = wait / 10 * 9;
    if (pre_exec && wait < PRE_EXEC_WAIT)
        wait = PRE_EXEC_WAIT;
    bool unstable = pre_exec || w->now.mono - before->started.mono < spec->restart_reset;
    o->after = s->svc.life;
    o->by = spec;
    o->not_before = unstable ? w->now.mono + wait : 0;
}

static void let_members_go(struct world *w, struct oracle *o, uint64_t life, bool go)
{
    const struct life *l = life_of(o, life);

    for (int pid = 2; pid < PIDS; pid++) {
        struct proc *p = &w->procs[pid];

        if (p->kind == KIND_MEMBER && l->life == life && p->leader == l->uid)
            p->let_go = go;
    }
}

static void check_end(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                      const struct svc_event *event)
{
    struct oracle *o = oracle_of(w, s);

    sim_require(w, before->ended || after->ended, "%s: an end was not taken", name_of(w, s));
    if (before->ended)
        return;
    sim_require(w, same_exit(&after->exit, &event->exit), "%s: another end than was told", name_of(w, s));
    time_next_start(w, o, s, before, event->text != NULL);
    if (before->proc.stop.kill_mode == KILL_MODE_PROCESS)
        let_members_go(w, o, before->life, true);
}

void oracle_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                    const struct svc_event *event)
{
    struct oracle *o = oracle_of(w, s);
    const char *name = name_of(w, s);
    bool slot = event->type == SVC_EV_SLOT;

    if (is_of_a_life(event->type) && event->life != before->life) {
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
                after->state == before->state || !has_given_up(after) || s->spec->restart != RESTART_ALWAYS ||
                    s->spec->restart_limit > 0,
                "%s: given up, against its configuration", name);
    if (o->by != s->spec && before->state != SVC_BACKOFF)
        o->not_before = 0; /* another configuration decides now, though the one before may come back */
    o->desired_now = bit(after->desired_up);
    o->desired_later |= bit(after->desired_up);

    if (event->type == SVC_EV_EXITED)
        check_end(w, s, before, after, event);
    else if (event->type == SVC_EV_FORK_FAILED)
        time_next_start(w, o, s, before, true);
    else if (event->type == SVC_EV_START || event->type == SVC_EV_RESTART)
        o->not_before = 0;
}

void oracle_acknowledged(struct world *w, const struct service *s, enum svc_event_type type, enum svc_state before)
{
    struct oracle *o = oracle_of(w, s);

    if (type == SVC_EV_RESET && before != SVC_FAILED && before != SVC_EXITED)
        return;
    o->desired_now = o->desired_later = bit(type == SVC_EV_START || type == SVC_EV_RESTART);
}

void oracle_restored(struct world *w, const struct service *s, bool recorded)
{
    struct oracle *o = oracle_of(w, s);

    sim_require(w, !recorded || o->desired_later == 0 || (o->desired_later & bit(s->svc.desired_up)),
                "%s: an acknowledged command is forgotten: it is wanted %s", name_of(w, s),
                s->svc.desired_up ? "up" : "down");
    o->desired_now = o->desired_later = bit(s->svc.desired_up);
    if (!s->svc.ended || s->svc.life != o->after)
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

void oracle_fork(struct world *w, const struct service *s)
{
    struct oracle *o = oracle_of(w, s);
    int i = service_index(w, s);

    sim_require(w, s->svc.desired_up && w->supd.phase == PHASE_RUN, "%s: a fork that nobody wants", sim_names[i]);
    sim_require(w, s->svc.life > o->life, "%s: life %" PRIu64 " begins again", sim_names[i], s->svc.life);
    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];

        sim_require(w, p->kind == KIND_STRANGER || p->service != i || p->let_go || !kernel_alive(p),
                    "%s: a fork while process %d of life %" PRIu64 " is there", sim_names[i], pid, p->life);
    }
    *life_of(o, s->svc.life) = (struct life){.life = s->svc.life, .restarts = s->svc.restarts};
}

void oracle_forked(struct world *w, const struct proc *p)
{
    life_of(&w->oracles[p->service], p->life)->uid = p->uid;
}

void oracle_child_recorded(struct world *w, const struct proc *p)
{
    struct oracle *o = &w->oracles[p->service];
    struct life *life = life_of(o, p->life);

    life->recorded = true;
    if (p->life > o->life)
        o->life = p->life;
    if (life->restarts > o->restarts)
        o->restarts = life->restarts;
}

void oracle_ended(struct world *w, const struct proc *p)
{
    struct life *life = life_of(&w->oracles[p->service], p->life);

    if (p->kind != KIND_MAIN || life->uid != p->uid)
        return;
    life->ended = true;
    life->exit = p->exit;
}

void oracle_signal(struct world *w, const struct service *s, struct proc *p, int32_t signo)
{
    const struct oracle *o = oracle_of(w, s);
    int i = service_index(w, s);

    sim_require(w, p->kind != KIND_STRANGER, "%s: signal %d to a stranger, process %d", sim_names[i], signo, p->pid);
    sim_require(w, p->service == i && p->life == s->svc.life && !p->let_go,
                "%s: signal %d to process %d, which is none of its present life", sim_names[i], signo, p->pid);
    if (s->unrecorded)
        return; /* a fact that no disk had room for: all that could be done */
    sim_require(w, o->in_file && o->durable.life == p->life && o->durable.stop_phase != STOP_NONE,
                "%s: signal %d is not recorded", sim_names[i], signo);
    if (signo == SIGKILL) {
        sim_require(w, o->durable.stop_phase == STOP_KILLED, "%s: SIGKILL is not recorded", sim_names[i]);
        return;
    }
    sim_require(w, ++p->stop_signals == 1, "%s: process %d gets the stop-signal again", sim_names[i], p->pid);
}

void oracle_reaped(struct world *w, const struct proc *p)
{
    const struct service *s = &w->supd.services[p->service];
    const struct oracle *o = &w->oracles[p->service];

    if (p->kind != KIND_MAIN || !s->used || s->svc.life != p->life || s->unrecorded)
        return;
    sim_require(w, o->in_file && o->durable.life == p->life && o->durable.ended,
                "%s: reaped before its end is recorded", sim_names[p->service]);
}

/* ---- what a successor reads ---- */

/* What the child's own record knows better is not compared. */
static void check_durable(const struct world *w, int i, const struct svc_image *image)
{
    uint8_t a[RECORD_MAX];
    uint8_t b[RECORD_MAX];
    struct svc want = w->oracles[i].durable;

    want.proc = image->svc.proc;
    want.group = image->svc.group;
    want.group_start = image->svc.group_start;
    want.todo = image->svc.todo;
    want.began = image->svc.began;
    size_t len = record_encode_service(a, sim_names[i], &want);
    sim_require(w, len == record_encode_service(b, sim_names[i], &image->svc) && memcmp(a, b, len) == 0,
                "%s: the file does not give back what was recorded", sim_names[i]);
}

static void check_image(struct world *w, int i, const struct svc_image *image)
{
    struct oracle *o = &w->oracles[i];

    sim_require(w, image || (!o->in_file && o->life == 0), "%s: not in the file any more", sim_names[i]);
    if (!image)
        return;
    sim_require(w, image->svc.life >= o->life && image->svc.restarts >= o->restarts, "%s: the counters went back",
                sim_names[i]);
    const struct life *life = life_of(o, image->svc.life);
    sim_require(w, !image->has_process || (life->life == image->svc.life && life->uid != 0 && life->recorded),
                "%s: a process that never was", sim_names[i]);
    sim_require(w, !image->has_process || image->svc.proc.start_ticks != 0, "%s: a pid without its start time",
                sim_names[i]);
    if (o->in_file && image->svc.life == o->durable.life)
        check_durable(w, i, image);
}

void oracle_replay(struct world *w, const struct replay *replay)
{
    for (int i = 0; i < SERVICES; i++)
        check_image(w, i, replay_find(replay, sim_names[i]));
    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];

        if (p->kind != KIND_MAIN || !kernel_alive(p))
            continue;
        const struct svc_image *image = replay_find(replay, sim_names[p->service]);
        sim_require(w,
                    image && image->has_process && image->svc.proc.pid == pid &&
                        image->svc.proc.start_ticks == p->start && image->svc.life == p->life,
                    "%s: process %d lives and is forgotten", sim_names[p->service], pid);
    }
}

/* ---- after every step ---- */

static bool is_settled(const struct svc *svc)
{
    return svc->state != SVC_STARTING && svc->state != SVC_RUNNING && svc->state != SVC_STOPPING;
}

static bool exit_is_true(struct oracle *o, const struct svc *svc)
{
    const struct life *present = life_of(o, svc->life);

    if (svc->ended && present->life == svc->life && present->uid != 0)
        return present->ended && (svc->exit.how == EXIT_HOW_UNKNOWN || same_exit(&svc->exit, &present->exit));
    if (svc->exit.how == EXIT_HOW_NONE || svc->exit.how == EXIT_HOW_UNKNOWN || same_exit(&svc->exit, &o->exit))
        return true;
    for (size_t i = 0; i < LIVES; i++) {
        if (o->lives[i].ended && o->lives[i].life <= svc->life && same_exit(&svc->exit, &o->lives[i].exit))
            return true;
    }
    return false;
}

static void check_times(const struct world *w, const struct service *s)
{
    const struct svc *svc = &s->svc;
    bool counting = svc->state == SVC_STARTING && svc->ended;
    bool timed =
        svc->state == SVC_STOPPING || svc->state == SVC_BACKOFF || (svc->state == SVC_STARTING && svc->deadline != 0);

    sim_require(w, counting || (svc->deadline != 0) == timed, "%s: deadline %" PRId64, name_of(w, s), svc->deadline);
    sim_require(w, s->timer_at == svc->deadline, "%s: its timer is not set", name_of(w, s));
    sim_require(w, s->queued == (svc->state == SVC_WAITING && !svc->idle), "%s: queued %d", name_of(w, s), s->queued);
}

static void check_service(struct world *w, const struct service *s)
{
    struct oracle *o = oracle_of(w, s);
    const struct svc *svc = &s->svc;
    const struct proc *p = kernel_find(w, s->pidfd);
    bool waits = p || s->is_child || s->watched || s->left_watched;

    check_times(w, s);
    sim_require(w, bit(svc->desired_up) == o->desired_now, "%s: wanted %d", name_of(w, s), svc->desired_up);
    sim_require(w, !is_settled(svc) || svc->group == 0, "%s: settled, and holds on to a group", name_of(w, s));
    sim_require(w, is_settled(svc) || waits, "%s: waits for a process that is not there", name_of(w, s));
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
    unsigned all[SERVICES] = {0};

    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];

        if (p->kind == KIND_STRANGER || !kernel_alive(p))
            continue;
        mains[p->service] += p->kind == KIND_MAIN;
        all[p->service] += !p->let_go;
    }
    for (int i = 0; i < SERVICES; i++) {
        const struct service *s = &w->supd.services[i];

        sim_require(w, mains[i] <= 1, "%s: %u processes", sim_names[i], mains[i]);
        if (!w->running)
            continue;
        sim_require(w, all[i] == 0 || (s->used && !is_settled(&s->svc)), "%s: %s, and something of it lives",
                    sim_names[i], s->used ? svc_state_name(s->svc.state) : "removed");
        if (s->used)
            check_service(w, s);
    }
}

static void check_rest(struct world *w, const struct service *s)
{
    const struct svc *svc = &s->svc;
    const struct proc *p = kernel_find(w, s->pidfd);
    bool up = svc->state == SVC_RUNNING;
    bool idle = svc->state == SVC_WAITING && svc->idle && s->spec->start == START_ON_DEMAND;

    sim_require(w, up || idle || has_given_up(svc) || svc->state == SVC_STOPPED, "%s: %s is no state to rest in",
                name_of(w, s), svc_state_name(svc->state));
    sim_require(w, up == (p && kernel_alive(p)), "%s: at rest, and the kernel does not agree", name_of(w, s));
    sim_require(w, svc->desired_up || svc->state == SVC_STOPPED, "%s: not wanted, and not stopped", name_of(w, s));
    sim_require(w, !svc->desired_up || up || idle || has_given_up(svc), "%s: wanted, and not running", name_of(w, s));
    sim_require(w, !s->unrecorded, "%s: a fact was never recorded", name_of(w, s));
    sim_require(w, !s->removing, "%s: removed, and still there", name_of(w, s));
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
