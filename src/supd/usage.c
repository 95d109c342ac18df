/* SPDX-License-Identifier: MIT */
#include "supd/usage.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/slab.h"
#include "os/cgroup.h"
#include "os/procfs.h"
#include "supd/cgroups.h"

/* From so many main processes on it costs less to go through all that are there than to ask for the children of each. */
#define WORTH_LISTING 16

/* A process that is no main process of the services looked at, and so may come of one. */
struct other {
    pid_t ppid;
    pid_t pid;
};

/* How many are listed, or read, before others have their turn. */
#define LISTED_AT_A_TIME 256
#define READ_AT_A_TIME 16

struct usage_look {
    bool whole;
    bool all_go_on; /* no child of ours is stopped */
    pid_t *mains;   /* in ascending order */
    size_t n_mains;
    enum {
        ASKED,   /* the kernel, for the children of each process */
        LISTING, /* `others` are being listed */
        READING, /* and asked for their parents, n_read of them were; n_kept were there still */
        LISTED,  /* they are all that there are, by ppid */
    } others_are;
    struct other *others;
    size_t n_others;
    size_t n_read;
    size_t n_kept;
    struct procfs_walk *walk; /* while LISTING */
};

/* Where one process is looked at, alone. */
static const struct usage_look alone = {.whole = true};

/* ---- adding up ---- */

static void add_process(struct proto_usage *sum, const struct procfs_stat *st)
{
    sum->memory += st->rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    sum->cpu += (int64_t)(st->utime + st->stime) * USEC_PER_SEC / sysconf(_SC_CLK_TCK);
    sum->tasks += st->num_threads;
}

static bool add_pid(void *ctx, pid_t pid)
{
    struct procfs_stat st;

    if (procfs_read_stat(pid, &st) == 0 && !procfs_is_dead(&st))
        add_process(ctx, &st);
    return true;
}

/* Deeper than that nobody nests; a number that was used again could lead us in a circle. */
#define DEPTH_MAX 64

struct descent {
    const struct usage_look *look;
    struct proto_usage *sum;
    pid_t parent;
    unsigned depth;
};

static int by_parent(const void *a, const void *b)
{
    return procfs_compare_pids(&((const struct other *)a)->ppid, &((const struct other *)b)->ppid);
}

/* Calls FN for those among the others that are children of PID. */
static void each_listed_child(const struct usage_look *look, pid_t pid, void (*fn)(void *ctx, pid_t child), void *ctx)
{
    struct other key = {.ppid = pid};
    const struct other *end = look->others + look->n_others;
    const struct other *child =
        look->n_others > 0 ? bsearch(&key, look->others, look->n_others, sizeof key, by_parent) : NULL;

    while (child && child > look->others && child[-1].ppid == pid)
        child--;
    for (; child && child < end && child->ppid == pid; child++)
        fn(ctx, child->pid);
}

static void each_child(const struct usage_look *look, pid_t pid, void (*fn)(void *ctx, pid_t child), void *ctx)
{
    if (look->others_are == LISTED)
        each_listed_child(look, pid, fn, ctx);
    else
        procfs_each_child(pid, fn, ctx);
}

/* PID and all below it.  Since it was listed it may have ended, and its number be another's. */
static void add_descendants(void *ctx, pid_t pid)
{
    struct descent *descent = ctx;
    struct descent below = {.look = descent->look, .sum = descent->sum, .parent = pid, .depth = descent->depth + 1};
    struct procfs_stat st;

    if (procfs_read_stat(pid, &st) < 0 || st.ppid != descent->parent)
        return;
    if (!procfs_is_dead(&st))
        add_process(descent->sum, &st);
    if (descent->depth < DEPTH_MAX)
        each_child(descent->look, pid, add_descendants, &below);
}

static bool is_main(const struct usage_look *look, pid_t pid)
{
    return look->n_mains > 0 && bsearch(&pid, look->mains, look->n_mains, sizeof pid, procfs_compare_pids) != NULL;
}

/* The children of one that was started since the others were listed may be none of those. */
static void add_children(const struct usage_look *look, pid_t pid, struct proto_usage *sum)
{
    struct descent below = {.look = is_main(look, pid) ? look : &alone, .sum = sum, .parent = pid};

    each_child(below.look, pid, add_descendants, &below);
}

static struct proto_usage look_whole(const struct usage_look *look, const struct service *service)
{
    const char *path = cgroups_of(service);
    struct proto_usage sum = {0};
    struct cgroup_usage cgroup = {0};
    struct procfs_stat st;

    if (!svc_has_process(service->svc) || procfs_read_stat(service->svc->proc.pid, &st) < 0 || st.state == 'Z')
        return sum;
    if (path)
        cgroup_read_usage(path, &cgroup);
    if (path && !(cgroup.has_memory && cgroup.has_cpu && cgroup.has_tasks)) {
        cgroup_each_member(path, add_pid, &sum);
    } else if (!path) {
        add_process(&sum, &st);
        add_children(look, service->svc->proc.pid, &sum);
    }
    return (struct proto_usage){
        .known = true,
        .stopped = st.state == 'T' || st.state == 't',
        .paused = cgroups_paused(service),
        .memory = cgroup.has_memory ? cgroup.memory : sum.memory,
        .cpu = cgroup.has_cpu ? cgroup.cpu : sum.cpu,
        .tasks = cgroup.has_tasks ? cgroup.tasks : sum.tasks,
    };
}

struct proto_usage usage_of(const struct service *service)
{
    return look_whole(&alone, service);
}

/* ---- of many ---- */

/* PID 0: any child of ours. */
static bool child_is_stopped(pid_t pid)
{
    siginfo_t info = {0};

    return waitid(pid > 0 ? P_PID : P_ALL, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* The kernel tells a parent whether its child is stopped, at a fraction of what it costs to read that in /proc. */
static struct proto_usage look_briefly(const struct usage_look *look, const struct service *service)
{
    pid_t pid = service->svc->proc.pid;
    struct procfs_stat st;

    if (!svc_has_process(service->svc))
        return (struct proto_usage){0};
    struct proto_usage usage = {.known = true, .paused = cgroups_paused(service)};
    if (service->main.is_child)
        usage.stopped = !look->all_go_on && child_is_stopped(pid);
    else if (procfs_read_stat(pid, &st) == 0)
        usage.stopped = st.state == 'T' || st.state == 't';
    return usage;
}

/* False: so many that to read what each of them is would cost more than it saves. */
static bool add_other(struct usage_look *look, pid_t pid)
{
    if (is_main(look, pid))
        return true;
    if (look->n_others == look->n_mains)
        return false;
    look->others[look->n_others++].pid = pid;
    return true;
}

static void list_some(struct usage_look *look)
{
    for (unsigned i = 0; i < LISTED_AT_A_TIME; i++) {
        pid_t pid = procfs_walk_next(look->walk);

        if (pid != 0 && add_other(look, pid))
            continue;
        look->others_are = pid == 0 && errno == 0 ? READING : ASKED;
        procfs_walk_free(look->walk);
        look->walk = NULL;
        return;
    }
}

/* Learns whose children they are. */
static void read_some(struct usage_look *look)
{
    struct procfs_stat st;

    for (unsigned i = 0; i < READ_AT_A_TIME && look->n_read < look->n_others; i++) {
        struct other other = look->others[look->n_read++];

        if (procfs_read_stat(other.pid, &st) < 0)
            continue;
        other.ppid = st.ppid;
        look->others[look->n_kept++] = other;
    }
}

static void end_reading(struct usage_look *look)
{
    look->n_others = look->n_kept;
    if (look->n_others > 0)
        qsort(look->others, look->n_others, sizeof *look->others, by_parent);
    look->others_are = LISTED;
}

bool usage_look_prepare(struct usage_look *look)
{
    if (look->others_are == LISTING)
        list_some(look);
    else if (look->others_are == READING && look->n_read < look->n_others)
        read_some(look);
    else if (look->others_are == READING)
        end_reading(look);
    return look->others_are == ASKED || look->others_are == LISTED;
}

struct usage_look *usage_look_new(struct service *const *services, size_t n, bool whole)
{
    struct usage_look *look = xcalloc(1, sizeof *look);

    look->whole = whole;
    look->all_go_on = !whole && !child_is_stopped(0);
    if (!whole)
        return look;
    look->mains = xcalloc(n, sizeof *look->mains);
    look->others = xcalloc(n, sizeof *look->others);
    for (size_t i = 0; i < n; i++) {
        if (svc_has_process(services[i]->svc) && !cgroups_of(services[i]))
            look->mains[look->n_mains++] = services[i]->svc->proc.pid;
    }
    if (look->n_mains >= WORTH_LISTING) {
        qsort(look->mains, look->n_mains, sizeof *look->mains, procfs_compare_pids);
        look->walk = procfs_walk_new();
        look->others_are = look->walk ? LISTING : ASKED;
    }
    return look;
}

struct proto_usage usage_look_at(const struct usage_look *look, const struct service *service)
{
    return look->whole ? look_whole(look, service) : look_briefly(look, service);
}

void usage_look_free(struct usage_look *look)
{
    procfs_walk_free(look->walk);
    free(look->mains);
    free(look->others);
    free(look);
}

static json_t *averages(double avg10, double avg60, double avg300)
{
    return json_pack("{s:f, s:f, s:f}", "avg10", avg10, "avg60", avg60, "avg300", avg300);
}

json_t *usage_pressure(const struct supervisor *sup)
{
    static const char *const resources[] = {"memory", "cpu", "io"};
    const char *reason;
    const char *path = cgroups_path(sup, &reason);
    json_t *object = json_object();

    for (size_t i = 0; path && i < sizeof resources / sizeof *resources; i++) {
        struct cgroup_pressure p;

        if (cgroup_read_pressure(path, resources[i], &p))
            json_object_set_new(object, resources[i],
                                json_pack("{s:o, s:o}", "some", averages(p.some10, p.some60, p.some300), "full",
                                          averages(p.full10, p.full60, p.full300)));
    }
    if (json_object_size(object) > 0)
        return object;
    json_decref(object);
    return json_null();
}

/* ---- what was used by a run that is over ---- */

struct last_usage {
    int64_t at; /* of the exit that it goes with, wall us: one that an earlier supd has seen has none */
    struct usage usage;
};

static struct slab slab_of_usages = SLAB_OF(struct last_usage);

void usage_keep(struct service *service, const struct usage *usage, int64_t at)
{
    if (!service->used)
        service->used = slab_new(&slab_of_usages);
    *service->used = (struct last_usage){.at = at, .usage = *usage};
}

const struct usage *usage_last(const struct service *service)
{
    return service->used && service->used->at == service->svc->exit.at ? &service->used->usage : NULL;
}

void usage_forget(struct service *service)
{
    slab_free(&slab_of_usages, service->used);
    service->used = NULL;
}
