/* SPDX-License-Identifier: MIT */
/*
 * The model kernel: a handful of pids, so that each is soon somebody else's.
 */
#include <string.h>

#include "sim.h"

/* How often something else happens between two calls of supd. */
#define OTHERS_RUN 6

bool kernel_alive(const struct proc *p)
{
    return p->stage != PROC_FREE && p->stage != PROC_ZOMBIE;
}

static bool half_started(const struct proc *p)
{
    return p->stage == PROC_FORKED || p->stage == PROC_RECORDED;
}

static bool number_is_free(const struct world *w, int32_t pid)
{
    if (w->procs[pid].stage != PROC_FREE)
        return false;
    for (int i = 2; i < PIDS; i++) {
        if (w->procs[i].stage != PROC_FREE && w->procs[i].group == pid)
            return false;
    }
    return true;
}

/* The number that was given back last, if it can be had: the worst that may happen. */
static struct proc *new_proc(struct world *w, enum proc_kind kind)
{
    int32_t pid = 0;

    if (w->last_freed != 0 && number_is_free(w, w->last_freed)) {
        pid = w->last_freed;
        w->seen.reuses++;
    }
    int32_t first = (int32_t)sim_draw(w, PIDS - 2);
    for (int32_t i = 0; pid == 0 && i < PIDS - 2; i++) {
        int32_t candidate = 2 + (first + i) % (PIDS - 2);
        if (number_is_free(w, candidate))
            pid = candidate;
    }
    if (pid == 0)
        return NULL;

    struct proc *p = &w->procs[pid];
    *p = (struct proc){.kind = kind, .pid = pid, .group = pid, .uid = ++w->next_uid, .start = ++w->ticks};
    p->leader = p->uid;
    return p;
}

static void free_proc(struct world *w, struct proc *p)
{
    w->gone[p->uid % GONE].uid = p->uid;
    w->gone[p->uid % GONE].exit = p->exit;
    w->last_freed = p->pid;
    p->stage = PROC_FREE;
}

static struct exit_info code(int32_t value)
{
    return (struct exit_info){.how = EXIT_HOW_EXITED, .code = value};
}

static struct exit_info by_signal(int32_t signo)
{
    return (struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = signo};
}

/* Is the main process of this member's group there to reap it? */
static bool leader_lives(const struct world *w, const struct proc *p)
{
    const struct proc *leader = &w->procs[p->group];

    return kernel_alive(leader) && leader->uid == p->leader;
}

static void end_proc(struct world *w, struct proc *p, struct exit_info exit)
{
    sim_trace(w, "  process %d (%s) ends: %s %d", p->pid, p->kind == KIND_STRANGER ? "-" : sim_names[p->service],
              exit_how_name(exit.how), exit.how == EXIT_HOW_EXITED ? exit.code : exit.signal);
    p->exit = exit;
    p->stage = PROC_ZOMBIE;
    p->doomed = false;
    oracle_ended(w, p);
    if (p->kind == KIND_STRANGER || (p->kind == KIND_MEMBER && leader_lives(w, p)))
        free_proc(w, p);
    else if (w->running && p->parent == w->incarnation)
        w->supd.sigchld = true;
}

struct proc *kernel_find(struct world *w, struct handle handle)
{
    struct proc *p = &w->procs[handle.pid];

    return handle.uid != 0 && p->stage != PROC_FREE && p->uid == handle.uid ? p : NULL;
}

struct proc *kernel_fork(struct world *w, int service, uint64_t life, const uint8_t *record, size_t len)
{
    if (w->forks_fail && !sim_one_in(w, 4))
        return NULL;
    struct proc *p = new_proc(w, KIND_MAIN);
    if (!p)
        return NULL;

    p->stage = PROC_FORKED;
    p->parent = w->incarnation;
    p->service = service;
    p->life = life;
    p->file = w->file_id;
    p->record_len = len;
    memcpy(p->record, record, len);
    w->seen.forks++;
    oracle_forked(w, p);
    sim_trace(w, "  %s: child %d, life %llu", sim_names[service], p->pid, (unsigned long long)life);
    return p;
}

uint64_t kernel_inode(const struct world *w, const struct proc *p)
{
    return w->group_pidfd ? p->uid : 0;
}

struct handle kernel_open(struct world *w, int32_t pid, uint64_t start, uint64_t inode)
{
    sys(w);
    if (pid < 2 || pid >= PIDS || w->procs[pid].stage == PROC_FREE || w->procs[pid].start != start)
        return (struct handle){0};
    if (inode != 0 && kernel_inode(w, &w->procs[pid]) != inode)
        return (struct handle){0};
    return kernel_handle(&w->procs[pid]);
}

size_t kernel_group(struct world *w, int32_t number, uint64_t start, struct handle *out, size_t max)
{
    size_t n = 0;

    if (number < 2 || number >= PIDS)
        return 0;
    const struct proc *leader = &w->procs[number];
    if (start != 0 && leader->stage != PROC_FREE && leader->start != start)
        return 0;
    for (int i = 2; i < PIDS; i++) {
        const struct proc *p = &w->procs[i];

        if (!kernel_alive(p) || p->group != number || p->start < start)
            continue;
        if (out && n < max)
            out[n] = kernel_handle(p);
        n++;
    }
    return n;
}

bool kernel_group_is_empty(const struct world *w, struct handle leader)
{
    if (leader.uid == 0 || !w->group_pidfd)
        return false;
    for (int i = 2; i < PIDS; i++) {
        if (w->procs[i].stage != PROC_FREE && w->procs[i].leader == leader.uid)
            return false;
    }
    return true;
}

/* ---- signals ---- */

static void take_signal(struct world *w, struct proc *p, int32_t signo)
{
    if (p->stage == PROC_ZOMBIE)
        return;
    if (signo == SIGKILL && sim_one_in(w, 4))
        p->doomed = true;
    else if (signo == SIGKILL)
        end_proc(w, p, by_signal(SIGKILL));
    else if (half_started(p) && sim_one_in(w, 2))
        end_proc(w, p, by_signal(signo));
    else if (p->stage == PROC_EXECED && sim_one_in(w, 2))
        end_proc(w, p, sim_one_in(w, 2) ? by_signal(signo) : code((int32_t)sim_draw(w, 3)));
}

/*
 * The one known limit: after a restart, and on old kernels, a group is known by its number and the start of its
 * leader.  When that leader, and then another one with its number, have ended before supd looked, the other's members
 * cannot be told apart.
 */
static bool is_past_telling(const struct world *w, const struct service *service, const struct proc *p)
{
    const struct life *life = &w->oracles[service - w->supd.services].lives[service->svc.life % LIVES];

    return (service->pidfd.uid == 0 || !w->group_pidfd) && p->kind == KIND_MEMBER && p->group == service->svc.group &&
           p->leader != life->uid && w->procs[p->group].stage == PROC_FREE;
}

static void deliver(struct world *w, struct service *service, struct proc *p, int32_t signo)
{
    sim_trace(w, "  signal %d to process %d", signo, p->pid);
    if (is_past_telling(w, service, p))
        w->seen.mistaken++;
    else
        oracle_signal(w, service, p, signo);
    take_signal(w, p, signo);
}

void kernel_signal(struct world *w, struct service *service, struct handle to, int32_t signo)
{
    sys(w);
    struct proc *p = kernel_find(w, to);

    if (p && p->stage != PROC_ZOMBIE)
        deliver(w, service, p, signo);
}

/* In one step by the leader's pidfd, or else one after another, with everything that may happen between. */
void kernel_signal_group(struct world *w, struct service *service, int32_t signo)
{
    uint64_t leader = w->group_pidfd ? service->pidfd.uid : 0;
    uint64_t start = leader == 0 ? service->svc.proc.start_ticks : 0;
    struct handle members[PIDS];

    sys(w);
    size_t n = kernel_group(w, service->svc.group, start, members, PIDS);
    for (size_t i = 0; i < n; i++) {
        if (leader == 0)
            sys(w);
        struct proc *p = kernel_find(w, members[i]);
        if (p && kernel_alive(p) && (leader == 0 || p->leader == leader))
            deliver(w, service, p, signo);
    }
}

/* ---- ends ---- */

bool kernel_exit_status(struct world *w, struct handle handle, struct exit_info *exit)
{
    sys(w);
    const struct proc *p = kernel_find(w, handle);

    if (!p) {
        if (!w->tells_exits || w->gone[handle.uid % GONE].uid != handle.uid)
            return false;
        *exit = w->gone[handle.uid % GONE].exit;
        exit->source = EXIT_SOURCE_PIDFD;
        return true;
    }
    bool zero = p->exit.how == EXIT_HOW_EXITED && p->exit.code == 0;
    if (p->stage != PROC_ZOMBIE || (zero && !w->reads_zeros))
        return false;
    *exit = p->exit;
    exit->source = EXIT_SOURCE_PROC;
    return true;
}

void kernel_reap(struct world *w, struct proc *p)
{
    oracle_reaped(w, p);
    free_proc(w, p);
}

/* ---- what processes do ---- */

/* To the file that it inherited, whatever has become of that. */
static int child_write(struct world *w, struct proc *p)
{
    size_t len = p->record_len;

    if (w->full && w->room < len)
        len = w->room;
    if (w->full)
        w->room -= len;
    if (p->file == w->file_id)
        buf_add(&w->file, p->record, len);
    return len == p->record_len ? 0 : -1;
}

static void record_self(struct world *w, struct proc *p)
{
    record_finish_spawn(p->record, p->record_len, p->pid, p->start, kernel_inode(w, p));
    if (child_write(w, p) < 0) {
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
        end_proc(w, p, by_signal(SIGKILL));
    } else if (p->failing) {
        end_proc(w, p, code(203));
    } else if (!w->quiet && sim_one_in(w, 40)) {
        end_proc(w, p, by_signal(SIGKILL)); /* out of memory */
    } else if (p->stage == PROC_FORKED) {
        record_self(w, p);
    } else if (!w->quiet && sim_one_in(w, 10)) {
        p->failing = true;
    } else {
        p->stage = PROC_EXECED;
        sim_trace(w, "  child %d is the program of %s now", p->pid, sim_names[p->service]);
    }
}

static void fork_member(struct world *w, const struct proc *p)
{
    if (kernel_group(w, p->group, 0, NULL, 0) > MEMBERS_MAX)
        return;
    struct proc *member = new_proc(w, KIND_MEMBER);
    if (!member)
        return;
    member->stage = PROC_EXECED;
    member->group = p->group;
    member->leader = p->leader;
    member->service = p->service;
    member->life = p->life;
    member->parent = p->parent;
    member->let_go = p->let_go;
}

static void program_acts(struct world *w, struct proc *p)
{
    if (p->doomed)
        end_proc(w, p, by_signal(SIGKILL));
    else if (w->quiet)
        return;
    else if (sim_one_in(w, 6))
        fork_member(w, p);
    else if (sim_one_in(w, p->kind == KIND_MAIN ? 10 : 5))
        end_proc(w, p,
                 sim_one_in(w, 2) ? code((int32_t)sim_draw(w, 4)) : by_signal(sim_one_in(w, 2) ? SIGSEGV : SIGTERM));
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
            end_proc(w, p, code(0));
        else
            program_acts(w, p);
        break;
    case PROC_ZOMBIE:
        if (has_no_parent(w, p))
            free_proc(w, p); /* init is slow, but it reaps */
        break;
    }
}

void kernel_act(struct world *w)
{
    unsigned first = sim_draw(w, PIDS - 2);

    if (sim_one_in(w, 6)) {
        struct proc *stranger = new_proc(w, KIND_STRANGER);
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

bool kernel_cooperate(struct world *w)
{
    for (int i = 2; i < PIDS; i++) {
        struct proc *p = &w->procs[i];
        bool orphan = p->stage == PROC_ZOMBIE && has_no_parent(w, p);

        if (half_started(p) || orphan || (kernel_alive(p) && p->doomed)) {
            proc_acts(w, p);
            return true;
        }
        /* Whoever is none of supd's business goes, or there might be no pid left for those who are. */
        if (kernel_alive(p) && (p->kind == KIND_STRANGER || p->let_go)) {
            end_proc(w, p, code(0));
            return true;
        }
    }
    return false;
}

bool kernel_half_started(struct world *w, bool kill)
{
    bool any = false;

    for (int i = 2; i < PIDS; i++) {
        if (!half_started(&w->procs[i]))
            continue;
        any = true;
        if (kill)
            end_proc(w, &w->procs[i], by_signal(SIGKILL));
    }
    return any;
}

void kernel_reboot(struct world *w)
{
    for (int i = 2; i < PIDS; i++)
        w->procs[i].stage = PROC_FREE;
    w->ticks = 0; /* so that old pids and start times come again */
    w->last_freed = 0;
    w->epoch.init_start++;
}

/* ---- supd's own calls ---- */

_Noreturn void kernel_crash(struct world *w)
{
    sim_trace(w, "  supd is killed");
    w->crash_in = 0;
    w->running = false;
    longjmp(w->dies, 1);
}

void sys(struct world *w)
{
    if (w->quiet)
        return;
    if (w->crash_in > 0 && --w->crash_in == 0)
        kernel_crash(w);
    if (sim_one_in(w, OTHERS_RUN))
        kernel_act(w);
}

int kernel_append(struct world *w, const uint8_t *record, size_t len)
{
    size_t fits = len;

    sys(w);
    if (w->crash_in == 1) {
        fits = sim_draw(w, (unsigned)len);
        buf_add(&w->file, record, fits);
        w->seen.torn++;
        kernel_crash(w);
    }
    if (w->full && w->room < len) {
        fits = w->room;
        w->seen.torn += fits > 0;
    }
    if (w->full)
        w->room -= fits;
    buf_add(&w->file, record, fits);
    return fits == len ? 0 : -1;
}

int kernel_replace(struct world *w, const struct buf *fresh)
{
    sys(w);
    if (w->full && w->room < fresh->len)
        return -1;
    sys(w);
    buf_reset(&w->file);
    buf_add(&w->file, fresh->data, fresh->len);
    w->file_exists = true;
    w->file_id++;
    w->seen.rewrites++;
    return 0;
}
