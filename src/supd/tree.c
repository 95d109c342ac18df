/* SPDX-License-Identifier: MIT */
/*
 * Reaching all processes of a service, and counting what is left of them
 * (os/proctree.h).  The system is looked at once for all services that ask in
 * one turn of the loop.  A count waits for the end of the turn, so that the look
 * is younger than the end of the main process; a signal is sent at once, and in
 * the turns that follow to those who were not seen, until nobody is new.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/signames.h"
#include "base/slab.h"
#include "os/clock.h"
#include "os/procfs.h"
#include "os/procgroup.h"
#include "supd/cgroups.h"
#include "supd/process.h"

/* All of /proc is gone through again after so many times what that took: one end after the other must not be all we do. */
#define SCAN_PAUSE 3

/* How long a look waits at most, while everything is being stopped, until the ends that have come are dealt with. */
#define PUT_OFF_MAX (500 * USEC_PER_MSEC)

/* Turns in which newcomers are looked for after a signal; SIGKILL after stop-timeout gets those that still fork then. */
#define ROUNDS_MAX 16

static void on_turn(void *ctx);

static struct slab slab_of_trees = SLAB_OF(struct tree);

static struct tree *tree_of(struct process *process)
{
    if (!process->tree) {
        process->tree = slab_new(&slab_of_trees);
        process->tree->process = process;
    }
    return process->tree;
}

/* ---- the look ---- */

static void read_leaders(struct supervisor *sup)
{
    struct tree_look *look = &sup->look;
    const struct service *service;

    if (look->leaders)
        return;
    look->leaders = xcalloc(4 * sup->by_name.n + 1, sizeof *look->leaders);
    for (service = TAILQ_FIRST(&sup->services); service; service = TAILQ_NEXT(service, link)) {
        const struct svc *svc = service->svc;

        if (svc->group > 0)
            look->leaders[look->n++] = svc->group;
        if (svc->proc.pid > 0 && svc->proc.pid != svc->group)
            look->leaders[look->n++] = svc->proc.pid;
        if (svc_rare(svc)->control.pid > 0)
            look->leaders[look->n++] = svc_rare(svc)->control.pid;
        if (svc_rare(svc)->check.pid > 0)
            look->leaders[look->n++] = svc_rare(svc)->check.pid;
    }
    qsort(look->leaders, look->n, sizeof *look->leaders, procfs_compare_pids);
}

/* Most of our children are known by their number; only where there are others all services are gone through. */
static bool is_leader(void *ctx, pid_t pid)
{
    struct supervisor *sup = ctx;

    if (process_is_known_child(sup, pid))
        return true;
    read_leaders(sup);
    return sup->look.n > 0 &&
           bsearch(&pid, sup->look.leaders, sup->look.n, sizeof *sup->look.leaders, procfs_compare_pids) != NULL;
}

static void drop_look(struct supervisor *sup)
{
    proctree_look_free(sup->look.look);
    free(sup->look.leaders);
    sup->look.look = NULL;
    sup->look.leaders = NULL;
    sup->look.n = 0;
}

/* At the end of this turn. */
static void wake(struct supervisor *sup)
{
    if (!sup->look.timer)
        sup->look.timer = loop_timer_new(sup->loop, on_turn, sup);
    loop_timer_soon(sup->look.timer);
}

static size_t find(struct process *process)
{
    struct supervisor *sup = process->service->sup;
    const struct spec *spec = process->service->spec;
    const struct procgroup group = process_group(process);
    struct proctree_owner owner = {
        .service = spec->name,
        .leader = group.pgid,
        .leader_start = group.leader_start,
        .cgroup = cgroups_whose(process),
        .uid = spec->exec->ids.set ? spec->exec->ids.uid : geteuid(),
        .alone = process_role(process) != ROLE_SERVICE,
        .ours = process->ours,
        .pinned = process_is_pinned(process) && group.pgid == process->pid_key,
        .gone = process->reaped && group.pgid == process->reaped,
    };

    if (!sup->look.look) {
        sup->look.look = proctree_look_new(sup->lock.instance, is_leader, sup);
        proctree_look_expect(sup->look.look, sup->look.n_expected);
        wake(sup); /* it is dropped then */
    }
    return proctree_find(sup->look.look, &owner, &tree_of(process)->found);
}

/* ---- what waits for the end of the turn ---- */

static void enqueue(struct process *process)
{
    struct supervisor *sup = process->service->sup;
    struct tree *tree = tree_of(process);

    if (!tree->queued)
        TAILQ_INSERT_TAIL(&sup->look.queue, tree, link);
    tree->queued = true;
    wake(sup);
}

static void dequeue(struct tree *tree)
{
    if (tree->queued)
        TAILQ_REMOVE(&tree->process->service->sup->look.queue, tree, link);
    tree->queued = false;
}

static void log_failure(const struct process *process, int signo, int error)
{
    char name[16];

    if (error < 0 && error != -ESRCH) /* all of them have ended meanwhile */
        log_error("%s: sending SIG%s to all its processes: %s", process->service->spec->name,
                  signal_to_name(signo, name), strerror(-error));
}

/* Its leader was ours, is reaped, and no pidfd of it is held: nothing says that the number is still that group's. */
static bool group_has_no_name(const struct process *process)
{
    return process->reaped && process->pidfd < 0 && process_group(process).pgid == process->reaped;
}

/*
 * To those found, the group apart where that was reached in one step.  AGAIN: another look is needed even if there were
 * none.
 */
static void signal_found(struct process *process, int signo, bool only_new, bool again)
{
    struct tree *tree = tree_of(process);
    bool cont = signo != SIGKILL && signo != SIGCONT;
    pid_t told = tree->one_by_one ? 0 : process_group(process).pgid;
    int error = 0;
    size_t n = proctree_signal(&tree->found, signo, cont, told, only_new, &error);

    log_failure(process, signo, error);
    tree->signal = (n > 0 || again) && tree->rounds < ROUNDS_MAX ? signo : 0;
    tree->rounds++;
    if (tree->signal != 0)
        enqueue(process);
}

static void log_found(struct process *process, int signo)
{
    const char *name = process->service->spec->name;
    struct tree *tree = tree_of(process);
    char words[1024];

    /* A check that was too slow is ended with all that it has begun, and that is told by its result. */
    if (process == process->service->parts->check)
        return;
    if (!tree->found.members || (tree->named && signo != SIGKILL))
        return;
    tree->named = true;
    proctree_words(&tree->found, words, sizeof words);
    if (signo == SIGKILL)
        log_warning("%s: SIGKILL to %s", name, words);
    else
        log_info("%s: left behind: %s", name, words);
}

void tree_name(struct process *process, int signo)
{
    if (signo != SIGKILL || svc_has_process(process->service->svc))
        return;
    find(process);
    log_found(process, signo);
}

void tree_end_earlier(struct process *process)
{
    struct service *service = process->service;
    bool keep = service->spec->life->kill_mode == KILL_MODE_PROCESS;
    char words[1024];

    if (keep || find(process) == 0)
        return;
    proctree_words(&process->tree->found, words, sizeof words);
    log_warning("%s: SIGKILL to what is left of an earlier run: %s", service->spec->name, words);
    cgroups_signal(service, SIGKILL);
    tree_release(process);
}

/* No fork escapes that. */
static void kill_cgroup(const struct process *process)
{
    const struct service *service = process->service;

    if (cgroups_whose(process) && (process == service->parts->control || !svc_has_control(service->svc)))
        log_failure(process, SIGKILL, cgroups_signal(service, SIGKILL));
}

void tree_signal(struct process *process, int signo)
{
    if (process_group(process).pgid <= 0)
        return;

    struct tree *tree = tree_of(process);
    /* Before the signal: whose parent ends of it may show no sign afterwards of whose it is. */
    find(process);
    if (signo == SIGKILL && !svc_has_process(process->service->svc))
        log_found(process, signo);
    tree->one_by_one = group_has_no_name(process);
    if (!tree->one_by_one)
        process_signal_own_group(process, signo);
    if (signo == SIGKILL)
        kill_cgroup(process);
    tree->rounds = 0;
    /* Who was forked since all were looked at for many is in no look yet. */
    signal_found(process, signo, false, proctree_look_has_all(process->service->sup->look.look));
}

void tree_look_ahead(struct process *process)
{
    /* Those of our children are found without reading all of /proc; who comes later in this turn uses the same look. */
    if (process->ours || process->service->sup->look.look || process_group(process).pgid <= 0)
        return;
    find(process);
}

void tree_count(struct process *process)
{
    tree_of(process)->count = true;
    enqueue(process);
}

bool tree_was_alone(const struct process *process)
{
    const struct tree *tree = process->tree;

    return tree && tree->rounds > 0 && !tree->found.members && tree->found.err == 0;
}

static void work(struct tree *tree)
{
    struct process *process = tree->process;
    int signo = tree->signal;
    bool count = tree->count;

    tree->signal = 0;
    tree->count = false;
    size_t n = find(process);
    if (signo != 0)
        signal_found(process, signo, true, false);
    if (!count)
        return;
    log_found(process, 0);
    leftovers_counted(process, n == 0 && tree->found.err < 0 ? 1 : n);
}

/* For one that an earlier supd has forked all of /proc is gone through. */
static bool needs_scan(const struct process *process)
{
    return !process->ours && !cgroups_whose(process);
}

/* The first N of the queue; those that need what was done a moment ago go to its end. */
static void work_through(struct supervisor *sup, size_t n, bool may_scan)
{
    struct tree *tree;

    persist_gather(sup);
    while (n-- > 0 && (tree = TAILQ_FIRST(&sup->look.queue))) {
        struct process *process = tree->process;

        dequeue(tree);
        if (may_scan || !needs_scan(process))
            work(tree);
        else
            enqueue(process);
    }
    persist_gathered(sup);
}

/* How long the queue may wait, us; -1: nobody is in it. */
static int64_t queue_delay(const struct supervisor *sup, int64_t now)
{
    const struct tree_look *look = &sup->look;
    const struct tree *tree;

    if (TAILQ_EMPTY(&look->queue))
        return -1;
    TAILQ_FOREACH(tree, &look->queue, link)
    {
        if (!needs_scan(tree->process))
            return 0;
    }
    return look->scan_not_before > now ? look->scan_not_before - now : 0;
}

/*
 * While all are being ended nothing is to begin after them: a look once many have ended costs as much as one after each
 * turn in which some have, and those that have ended need not be gone through any more.
 */
static bool is_put_off(struct supervisor *sup, int64_t now)
{
    struct tree_look *look = &sup->look;

    if (sup->phase != PHASE_STOPPING || !sigchld_is_behind(sup->sigchld)) {
        look->put_off_since = 0;
        return false;
    }
    if (look->put_off_since == 0)
        look->put_off_since = now;
    if (now - look->put_off_since < PUT_OFF_MAX)
        return true;
    look->put_off_since = 0;
    return false;
}

static void on_turn(void *ctx)
{
    struct supervisor *sup = ctx;
    struct tree_look *look = &sup->look;
    int64_t began = clock_now().mono;
    const struct tree *tree;
    size_t n = 0;

    drop_look(sup);
    if (is_put_off(sup, began)) {
        loop_timer_set(look->timer, 0); /* not in this turn, or we would be all that is in it */
        return;
    }
    TAILQ_FOREACH(tree, &look->queue, link)
    {
        n++;
    }
    look->n_expected = n;
    /* Who is queued again meanwhile has to wait for a younger look. */
    work_through(sup, n, began >= look->scan_not_before);
    look->n_expected = 0;
    int64_t now = clock_now().mono;
    if (proctree_look_has_all(look->look))
        look->scan_not_before = now + SCAN_PAUSE * (now - began);
    drop_look(sup);

    int64_t delay = queue_delay(sup, now);
    loop_timer_clear(look->timer);
    if (delay >= 0)
        loop_timer_set(look->timer, delay);
}

size_t tree_open(const struct process *process, int *pidfds, size_t max)
{
    return process->tree ? proctree_open(&process->tree->found, pidfds, max) : 0;
}

void tree_release(struct process *process)
{
    struct tree *tree = process->tree;

    process->reaped = 0;
    if (!tree)
        return;
    dequeue(tree);
    proctree_clear(&tree->found);
    slab_free(&slab_of_trees, tree);
    process->tree = NULL;
}

void tree_close(struct supervisor *sup)
{
    drop_look(sup);
    loop_timer_free(sup->look.timer);
    sup->look.timer = NULL;
}
