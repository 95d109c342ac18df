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
struct proc *kernel_new_proc(struct world *w, enum proc_kind kind)
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
    p->leader = p->root = p->uid;
    return p;
}

void kernel_free_proc(struct world *w, struct proc *p)
{
    w->gone[p->uid % GONE].uid = p->uid;
    w->gone[p->uid % GONE].exit = p->exit;
    w->last_freed = p->pid;
    p->stage = PROC_FREE;
}

static bool lives(const struct world *w, int32_t pid, uint64_t uid)
{
    return pid >= 2 && kernel_alive(&w->procs[pid]) && w->procs[pid].uid == uid;
}

/* Is there somebody below supd, and below init, to reap it at once? */
static bool has_own_parent(const struct world *w, const struct proc *p)
{
    if (p->kind == KIND_MEMBER)
        return lives(w, p->group, p->leader);
    if (p->kind != KIND_DAEMON)
        return p->kind == KIND_STRANGER;
    for (int32_t pid = 2; pid < PIDS; pid++) {
        if (lives(w, pid, p->starter))
            return true;
    }
    return false;
}

static const char *word_of(const struct proc *p)
{
    static const char *const words[] = {"-", "main", "control", "check", "daemon", "member"};

    return words[p->kind];
}

void kernel_end(struct world *w, struct proc *p, struct exit_info exit)
{
    sim_trace(w, "  process %d (%s %s) ends: %s %d", p->pid, p->kind == KIND_STRANGER ? "" : sim_names[p->service],
              word_of(p), exit_how_name(exit.how), exit.how == EXIT_HOW_EXITED ? exit.code : exit.signal);
    p->exit = exit;
    p->stage = PROC_ZOMBIE;
    p->doomed = false;
    p->frozen = false;
    oracle_ended(w, p);
    if (has_own_parent(w, p))
        kernel_free_proc(w, p);
    else if (w->running && p->parent == w->incarnation)
        w->supd.sigchld = true;
}

struct proc *kernel_find(struct world *w, struct handle handle)
{
    struct proc *p = &w->procs[handle.pid];

    return handle.uid != 0 && p->stage != PROC_FREE && p->uid == handle.uid ? p : NULL;
}

static enum proc_kind kind_of(enum svc_role role)
{
    return role == ROLE_SERVICE ? KIND_MAIN : is_check_role(role) ? KIND_CHECK : KIND_CONTROL;
}

struct proc *kernel_fork(struct world *w, int service, const struct svc *svc, enum svc_role role, const uint8_t *record,
                         size_t len)
{
    if (w->forks_fail && !sim_one_in(w, 4))
        return NULL;
    struct proc *p = kernel_new_proc(w, kind_of(role));
    if (!p)
        return NULL;

    p->stage = PROC_FORKED;
    p->parent = w->incarnation;
    p->service = service;
    p->life = svc->life;
    p->role = role;
    p->number = role == ROLE_SERVICE ? 0 : is_check_role(role) ? svc->rare.check.number : svc->rare.control.number;
    p->finite = role != ROLE_SERVICE || svc->type == TYPE_ONESHOT;
    p->file = w->file_id;
    p->record_len = len;
    memcpy(p->record, record, len);
    if (role == ROLE_SERVICE)
        messages_forked(w, p, w->supd.services[service].spec);
    w->seen.forks++;
    w->seen.controls[role] += role != ROLE_SERVICE;
    oracle_forked(w, p);
    sim_trace(w, "  %s: child %d, life %llu, %s %u", sim_names[service], p->pid, (unsigned long long)p->life,
              role == ROLE_SERVICE ? "main" : svc_role_name(role), p->number);
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

/* Is the number still that of this group, as far as its leader tells? */
static bool number_is_its_own(const struct world *w, const struct group *group)
{
    if (group->number < 2 || group->number >= PIDS)
        return false;
    const struct proc *leader = &w->procs[group->number];
    return group->start == 0 || leader->stage == PROC_FREE || leader->start == group->start;
}

static bool carries(const struct group *group, const struct proc *p)
{
    return group->carries && p->kind != KIND_STRANGER && p->service == group->service && p->life == group->life &&
           p->role == ROLE_SERVICE && !p->let_go;
}

size_t kernel_group(const struct world *w, const struct group *group, struct handle *out, size_t max)
{
    bool by_number = number_is_its_own(w, group);
    size_t n = 0;

    for (int i = 2; i < PIDS; i++) {
        const struct proc *p = &w->procs[i];
        bool is_member = by_number && p->group == group->number && p->start >= group->start;

        if (!kernel_alive(p) || (!is_member && !carries(group, p)))
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

void kernel_take_signal(struct world *w, struct proc *p, int32_t signo)
{
    if (p->stage == PROC_ZOMBIE)
        return;
    if (signo == SIGKILL && sim_one_in(w, 4))
        p->doomed = true;
    else if (signo == SIGKILL)
        kernel_end(w, p, exit_signal(SIGKILL));
    else if (p->frozen)
        p->pending = signo;
    else if (half_started(p) && sim_one_in(w, 2))
        kernel_end(w, p, exit_signal(signo));
    else if (p->stage == PROC_EXECED && sim_one_in(w, 2))
        kernel_end(w, p, sim_one_in(w, 2) ? exit_signal(signo) : exit_code((int32_t)sim_draw(w, 3)));
}

/*
 * The one known limit: after a restart, and on old kernels, a group is known by its number and the start of its
 * leader.  When that leader, and then another one with its number, have ended before supd looked, the other's members
 * cannot be told apart.
 */
static bool is_past_telling(const struct world *w, const struct group *group, const struct proc *p)
{
    bool foreign = p->service != group->service || p->life != group->life || p->role != group->role || p->let_go;

    return (group->leader.uid == 0 || !w->group_pidfd) && (p->kind == KIND_MEMBER || p->kind == KIND_DAEMON) &&
           p->group == group->number && foreign && w->procs[p->group].stage == PROC_FREE;
}

static void deliver(struct world *w, struct proc *p, int32_t signo)
{
    sim_trace(w, "  signal %d to process %d", signo, p->pid);
    kernel_take_signal(w, p, signo);
}

void kernel_signal(struct world *w, struct service *service, struct handle to, int32_t signo, bool ends)
{
    sys(w);
    struct proc *p = kernel_find(w, to);

    if (!p || p->stage == PROC_ZOMBIE)
        return;
    sim_require(w, p->service == service_index(w, service) && p->life == service->svc.life,
                "%s: signal %d to process %d of another life", sim_names[p->service], signo, p->pid);
    if (!ends)
        return;
    oracle_signal(w, service, p, signo);
    deliver(w, p, signo);
}

/* In one step by the leader's pidfd, or else one after another, with everything that may happen between. */
void kernel_signal_group(struct world *w, struct service *service, const struct group *group, int32_t signo)
{
    uint64_t leader = w->group_pidfd ? group->leader.uid : 0;
    struct handle members[PIDS];

    sys(w);
    size_t n = kernel_group(w, group, members, PIDS);
    for (size_t i = 0; i < n; i++) {
        if (leader == 0)
            sys(w);
        struct proc *p = kernel_find(w, members[i]);
        if (!p || !kernel_alive(p) || (leader != 0 && p->leader != leader && !carries(group, p)))
            continue;
        if (is_past_telling(w, group, p))
            w->seen.mistaken++;
        else
            oracle_signal(w, service, p, signo);
        deliver(w, p, signo);
    }
}

void kernel_freeze(struct world *w, int service, bool on)
{
    sys(w);
    for (int i = 2; i < PIDS; i++) {
        struct proc *p = &w->procs[i];

        if (!kernel_alive(p) || p->kind == KIND_STRANGER || p->service != service || p->let_go || p->frozen == on)
            continue;
        p->frozen = on;
        int32_t pending = p->pending;
        p->pending = 0;
        if (pending != 0)
            kernel_take_signal(w, p, pending);
    }
}

/* ---- the main process of a forking service ---- */

enum main_found kernel_find_main(struct world *w, const struct group *group, bool by_pid_file, struct handle *found)
{
    struct handle members[PIDS];
    const struct proc *daemon = NULL;

    sys(w);
    size_t n = kernel_group(w, group, members, PIDS);
    for (size_t i = 0; i < n; i++) {
        const struct proc *p = kernel_find(w, members[i]);

        /* The rest are children of it, unless it has ended. */
        if (p && p->kind == KIND_DAEMON && carries(group, p))
            daemon = p;
    }
    if (n == 0)
        return MAIN_IS_NOT;
    if (by_pid_file && (!daemon || !daemon->named))
        return MAIN_NOT_YET;
    if (!daemon && n > 1)
        return MAIN_IS_NOT;
    if (!daemon)
        daemon = kernel_find(w, members[0]);
    if (!daemon || !carries(group, daemon))
        return MAIN_IS_NOT;
    *found = kernel_handle(daemon);
    return MAIN_IS_THERE;
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
    kernel_free_proc(w, p);
}

bool kernel_half_started(struct world *w, bool kill)
{
    bool any = false;

    for (int i = 2; i < PIDS; i++) {
        if (!half_started(&w->procs[i]))
            continue;
        any = true;
        if (kill)
            kernel_end(w, &w->procs[i], exit_signal(SIGKILL));
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

/* ---- the state file ---- */

/* To the file that it inherited, whatever has become of that. */
int kernel_child_write(struct world *w, struct proc *p)
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

/* ---- supd's own calls ---- */

_Noreturn void kernel_crash(struct world *w)
{
    sim_trace(w, "  supd is killed");
    w->crash_in = 0;
    w->running = false;
    messages_supd_is_gone(w);
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
