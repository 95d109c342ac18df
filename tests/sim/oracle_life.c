/* SPDX-License-Identifier: MIT */
/*
 * The processes of one life: each role is played once, in the right order, and what is due is not left out.
 */
#include <inttypes.h>

#include "sim.h"

static unsigned bit(enum svc_role role)
{
    return 1U << role;
}

/* A process has played it, or there could be none. */
static bool had_its_turn(const struct life *life, enum svc_role role)
{
    return ((life->ran | life->tried) & bit(role)) != 0;
}

/* NULL: nobody was forked for it. */
static struct life *present_life(struct world *w, const struct service *s, uint64_t number)
{
    struct life *life = oracle_life(oracle_of(w, s), number);

    return life->life == number ? life : NULL;
}

/* Is it played while nothing of the service is there? */
static bool is_alone(enum svc_role role)
{
    return role == ROLE_PRE_START || role == ROLE_SERVICE || role == ROLE_START || role == ROLE_POST_STOP;
}

/* A check may run beside whatever comes with its service up, until it is ended. */
static bool may_stand_beside(const struct service *s, const struct proc *p, enum svc_role role)
{
    if (is_alone(role) || p->life != s->svc.life)
        return false;
    return p->role == ROLE_SERVICE || is_check_role(role) != is_check_role(p->role);
}

static void check_company(const struct world *w, const struct service *s, enum svc_role role)
{
    int i = service_index(w, s);

    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];

        if (p->kind == KIND_STRANGER || p->service != i || p->let_go || !kernel_alive(p))
            continue;
        sim_require(w, may_stand_beside(s, p, role), "%s: a fork while process %d of life %" PRIu64 " is there",
                    sim_names[i], pid, p->life);
    }
}

/* What is due before, by the configuration that the life began with. */
static void check_order(const struct world *w, const struct service *s, const struct life *life, enum svc_role role)
{
    const char *name = sim_names[service_index(w, s)];

    if (role == ROLE_PRE_START)
        sim_require(w, life->ran == 0, "%s: pre-start comes late", name);
    if ((role == ROLE_SERVICE || role == ROLE_START) && life->by && life->by->around->pre_start)
        sim_require(w, had_its_turn(life, ROLE_PRE_START), "%s: pre-start is left out", name);
    if (role == ROLE_POST_START || role == ROLE_RELOAD)
        sim_require(w, (life->ran & (bit(ROLE_SERVICE) | bit(ROLE_START))) != 0, "%s: nothing runs yet", name);
}

/* What post-stop is told of the main process. */
static void check_words(const struct world *w, const struct service *s, const struct life *life)
{
    const struct svc *svc = &s->svc;
    const char *name = sim_names[service_index(w, s)];
    bool was_there = life->uid != 0 && life->recorded;

    sim_require(w, !was_there || svc->ended, "%s: post-stop hears of no end", name);
    sim_require(w, !svc->ended || life->uid != 0, "%s: post-stop hears of an end that never was", name);
    sim_require(w,
                !svc->ended || svc->exit.how == EXIT_HOW_UNKNOWN ||
                    (life->ended && oracle_same_exit(&svc->exit, &life->exit)),
                "%s: post-stop hears of another end", name);
}

static bool may_come_again(enum svc_role role)
{
    return role == ROLE_RELOAD || is_check_role(role);
}

void oracle_fork(struct world *w, const struct service *s, enum svc_role role)
{
    struct oracle *o = oracle_of(w, s);
    const struct svc *svc = &s->svc;
    const char *name = sim_names[service_index(w, s)];
    struct life *life = oracle_life(o, svc->life);
    bool down = role == ROLE_STOP || role == ROLE_POST_STOP;

    sim_require(w, down || (svc->desired_up && w->supd.phase == PHASE_RUN), "%s: a fork that nobody wants", name);
    sim_require(w, svc->life >= o->life, "%s: life %" PRIu64 " begins again", name, svc->life);
    if (life->life != svc->life)
        *life = (struct life){.life = svc->life, .restarts = svc->restarts, .by = s->spec};
    sim_require(w, may_come_again(role) || !(life->ran & bit(role)), "%s: role %d once more in life %" PRIu64, name,
                (int)role, svc->life);
    if (is_check_role(role))
        oracle_check_forked(w, s);
    check_company(w, s, role);
    check_order(w, s, life, role);
    if (role == ROLE_POST_STOP)
        check_words(w, s, life);
}

void oracle_forked(struct world *w, const struct proc *p)
{
    struct life *life = oracle_life(&w->oracles[p->service], p->life);

    if (p->kind == KIND_MAIN || p->role == ROLE_START)
        life->root = p->uid;
    if (p->kind != KIND_MAIN)
        return;
    life->uid = p->uid;
    life->ended = false;
}

void oracle_not_forked(struct world *w, const struct service *s, enum svc_role role)
{
    oracle_life(oracle_of(w, s), s->svc.life)->tried |= bit(role);
}

void oracle_child_recorded(struct world *w, const struct proc *p)
{
    struct oracle *o = &w->oracles[p->service];
    struct life *life = oracle_life(o, p->life);

    if (is_check_role(p->role))
        oracle_check_recorded(w, p);
    sim_require(w, may_come_again(p->role) || !(life->ran & bit(p->role)),
                "%s: role %d is played twice in life %" PRIu64, sim_names[p->service], (int)p->role, p->life);
    life->ran |= bit(p->role);
    life->recorded = life->recorded || p->kind == KIND_MAIN;
    if (p->life > o->life)
        o->life = p->life;
    if (life->restarts > o->restarts)
        o->restarts = life->restarts;
}

void oracle_ended(struct world *w, const struct proc *p)
{
    struct life *life = oracle_life(&w->oracles[p->service], p->life);

    if (p->kind == KIND_CHECK && p->role == ROLE_CHECK && !p->overdue)
        oracle_check_ended(w, p);
    if (life->life == p->life && p->kind == KIND_CONTROL && p->role == ROLE_START) {
        life->start_ended = true;
        life->start_exit = p->exit;
    }
    if (life->uid != p->uid)
        return;
    life->ended = true;
    life->exit = p->exit;
}

void oracle_main_found(struct world *w, const struct service *s, const struct proc *p)
{
    struct life *life = oracle_life(oracle_of(w, s), s->svc.life);

    sim_require(w, kernel_alive(p) && p->service == service_index(w, s) && p->life == s->svc.life,
                "%s: process %d is none of its", sim_names[service_index(w, s)], p->pid);
    life->uid = p->uid;
    life->ended = false;
    life->recorded = false;
}

void oracle_configured(struct world *w, const struct service *s)
{
    struct life *life = present_life(w, s, s->svc.life);

    if (life && life->by != s->spec)
        life->by = NULL;
}

static void check_up(const struct world *w, const struct service *s, const struct life *life)
{
    const char *name = sim_names[service_index(w, s)];

    sim_require(w, (life->ran & (bit(ROLE_SERVICE) | bit(ROLE_START))) != 0, "%s: is up, and nothing has run", name);
    sim_require(w, !life->by || !life->by->around->post_start || had_its_turn(life, ROLE_POST_START),
                "%s: post-start is left out", name);
}

static void check_over(const struct world *w, const struct service *s, const struct life *life)
{
    const char *name = sim_names[service_index(w, s)];

    sim_require(w, life->ran == 0 || !life->by || !life->by->around->post_stop || had_its_turn(life, ROLE_POST_STOP),
                "%s: post-stop is left out", name);
}

void oracle_life_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                         const struct svc_event *event)
{
    struct life *life = present_life(w, s, before->life);
    bool asked = after->state == SVC_STOPPING && after->stop_cause == STOP_BY_COMMAND;

    if (life && event->type == SVC_EV_CONTROL_EXITED)
        life->tried |= bit(before->rare.control.role);
    if (!life || before->state == after->state)
        return;
    if (after->state == SVC_RUNNING)
        check_up(w, s, life);
    /* Each stop anew: one that died with supd before it was recorded binds nobody. */
    if (before->state == SVC_RUNNING && after->state == SVC_STOPPING)
        life->stop_command_is_due =
            asked && s->spec->around->stop_command && (svc_has_process(before) || before->type == TYPE_ONESHOT);
    if (!oracle_is_settled(before) && oracle_is_settled(after) && !after->hurried)
        check_over(w, s, life);
}

void oracle_main_is_stopped(struct world *w, const struct service *s)
{
    const struct life *life = present_life(w, s, s->svc.life);

    sim_require(w, !life || !life->by || !life->stop_command_is_due || had_its_turn(life, ROLE_STOP),
                "%s: stop-command is left out", sim_names[service_index(w, s)]);
}
