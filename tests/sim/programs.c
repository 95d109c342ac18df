/* SPDX-License-Identifier: MIT */
/*
 * What processes do: children on their way to their exec, programs, daemons, strangers.
 */
#include "sim.h"

static void record_self(struct world *w, struct proc *p)
{
    record_finish_spawn(p->record, p->record_len, p->pid, p->start, kernel_inode(w, p));
    if (kernel_child_write(w, p) < 0) {
        w->seen.torn++;
        p->failing = true;
        sim_trace(w, "  child %d cannot record itself", p->pid);
        return;
    }
    p->stage = PROC_RECORDED;
    oracle_child_recorded(w, p);
    sim_trace(w, "  child %d has recorded itself", p->pid);
}

static void go_on(struct world *w, struct proc *p)
{
    if (p->doomed) {
        kernel_end(w, p, exit_signal(SIGKILL));
    } else if (p->failing) {
        kernel_end(w, p, exit_code(203));
    } else if (!w->quiet && sim_one_in(w, 40)) {
        kernel_end(w, p, exit_signal(SIGKILL)); /* out of memory */
    } else if (p->stage == PROC_FORKED) {
        record_self(w, p);
    } else if (!w->quiet && sim_one_in(w, 10)) {
        p->failing = true;
    } else {
        p->stage = PROC_EXECED;
        sim_trace(w, "  child %d is the program of %s now", p->pid, sim_names[p->service]);
    }
}

/* A process below P, or where there are enough of them, none. */
static struct proc *fork_below(struct world *w, const struct proc *p, enum proc_kind kind)
{
    unsigned n = 0;

    for (int i = 2; i < PIDS; i++)
        n += kernel_alive(&w->procs[i]) && w->procs[i].group == p->group;
    if (n > MEMBERS_MAX)
        return NULL;
    struct proc *child = kernel_new_proc(w, kind);
    if (!child)
        return NULL;
    child->stage = PROC_EXECED;
    child->group = p->group;
    child->leader = p->leader;
    child->root = p->root;
    child->service = p->service;
    child->life = p->life;
    child->role = p->role;
    child->number = p->number;
    child->parent = p->parent;
    child->let_go = p->let_go;
    return child;
}

/* It stays in the group of the start command, or goes away into one of its own. */
static void fork_daemon(struct world *w, struct proc *p)
{
    struct proc *daemon = fork_below(w, p, KIND_DAEMON);

    if (!daemon)
        return;
    p->has_daemon = true;
    daemon->starter = p->uid;
    daemon->role = ROLE_SERVICE;
    daemon->number = 0;
    if (sim_one_in(w, 2)) {
        daemon->group = daemon->pid;
        daemon->leader = daemon->uid;
    }
    sim_trace(w, "  %s: %d leaves daemon %d, group %d", sim_names[p->service], p->pid, daemon->pid, daemon->group);
}

/* What a program does that is there to do something and end, once nothing stands in its way. */
static void finish(struct world *w, struct proc *p)
{
    if (p->role == ROLE_START && !p->has_daemon)
        fork_daemon(w, p);
    else if (p->role == ROLE_CHECK)
        kernel_end(w, p, exit_code(health_is_well(w, p->service, p->life) ? 0 : 1));
    else
        kernel_end(w, p, exit_code(0));
}

static void end_somehow(struct world *w, struct proc *p)
{
    kernel_end(w, p,
               sim_one_in(w, 2) ? exit_code((int32_t)sim_draw(w, 4))
                                : exit_signal(sim_one_in(w, 2) ? SIGSEGV : SIGTERM));
}

/* For a while, or for ever. */
static void fall_sick(struct proc *p)
{
    p->sick = !p->sick;
}

static void program_acts(struct world *w, struct proc *p)
{
    bool leads = p->kind == KIND_MAIN || p->kind == KIND_DAEMON;

    if (p->doomed)
        kernel_end(w, p, exit_signal(SIGKILL));
    else if (w->quiet || p->frozen || (p->kind == KIND_CHECK && p->hung))
        return;
    else if (p->kind == KIND_CHECK && sim_one_in(w, 8))
        p->hung = true;
    else if (leads && sim_one_in(w, 6))
        fall_sick(p);
    else if (p->kind == KIND_DAEMON && !p->named)
        p->named = sim_one_in(w, 3);
    else if (sim_one_in(w, 3) && messages_say_ready(w, p))
        return;
    else if (p->speaks && (p->told_ready || !p->says_ready) && sim_one_in(w, 40))
        p->hung = true;
    else if (p->kind != KIND_MEMBER && p->finite && sim_one_in(w, 2))
        finish(w, p);
    else if (p->role != ROLE_START && sim_one_in(w, 6))
        fork_below(w, p, KIND_MEMBER);
    else if (sim_one_in(w, leads || p->finite ? 10 : 5))
        end_somehow(w, p);
}

static bool has_no_parent(const struct world *w, const struct proc *p)
{
    return !w->running || p->parent != w->incarnation;
}

static void proc_acts(struct world *w, struct proc *p)
{
    switch (p->stage) {
    case PROC_FREE:
        break;
    case PROC_FORKED:
    case PROC_RECORDED:
        go_on(w, p);
        break;
    case PROC_EXECED:
        if (p->kind == KIND_STRANGER)
            kernel_end(w, p, exit_code(0));
        else
            program_acts(w, p);
        break;
    case PROC_ZOMBIE:
        if (has_no_parent(w, p))
            kernel_free_proc(w, p); /* init is slow, but it reaps */
        break;
    }
}

void kernel_act(struct world *w)
{
    unsigned first = sim_draw(w, PIDS - 2);

    if (sim_one_in(w, 6)) {
        struct proc *stranger = kernel_new_proc(w, KIND_STRANGER);
        if (stranger)
            stranger->stage = PROC_EXECED;
        return;
    }
    for (unsigned i = 0; i < PIDS - 2; i++) {
        struct proc *p = &w->procs[2 + (first + i) % (PIDS - 2)];

        if (p->stage == PROC_FREE || (p->kind == KIND_STRANGER && sim_one_in(w, 2)))
            continue;
        proc_acts(w, p);
        return;
    }
}

/* Has its daemon ended, perhaps before that wrote its pid-file, for which supd may wait for ever? */
static bool has_lost_its_daemon(const struct world *w, const struct proc *p)
{
    const struct life *life = &w->oracles[p->service].lives[p->life % LIVES];

    if (p->kind != KIND_MEMBER || !life->start_ended || life->root != p->root)
        return false;
    for (int i = 2; i < PIDS; i++) {
        const struct proc *daemon = &w->procs[i];

        if (daemon->kind == KIND_DAEMON && daemon->root == p->root && kernel_alive(daemon))
            return false;
    }
    return true;
}

/* Does it do something that supd waits for?  Then it has. */
static bool work_is_done(struct world *w, struct proc *p)
{
    if (p->stage != PROC_EXECED || p->kind == KIND_STRANGER)
        return false;
    if (p->frozen) {
        kernel_freeze(w, p->service, false);
        return true;
    }
    if (p->kind == KIND_DAEMON && !p->named) {
        p->named = true;
        return true;
    }
    if (w->running && messages_say_ready(w, p))
        return true;
    p->sick = false;
    if (!p->finite || (p->kind == KIND_CHECK && p->hung))
        return false;
    finish(w, p);
    return true;
}

bool kernel_cooperate(struct world *w)
{
    for (int i = 2; i < PIDS; i++) {
        struct proc *p = &w->procs[i];
        bool orphan = p->stage == PROC_ZOMBIE && has_no_parent(w, p);
        bool half_started = p->stage == PROC_FORKED || p->stage == PROC_RECORDED;

        if (half_started || orphan || (kernel_alive(p) && p->doomed)) {
            proc_acts(w, p);
            return true;
        }
        /* Whoever is none of supd's business goes, or there might be no pid left for those who are. */
        if (kernel_alive(p) && (p->kind == KIND_STRANGER || p->let_go || has_lost_its_daemon(w, p))) {
            kernel_end(w, p, exit_code(0));
            return true;
        }
        if (work_is_done(w, p))
            return true;
    }
    return false;
}
