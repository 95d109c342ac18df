/* SPDX-License-Identifier: MIT */
#include "supd/usage.h"

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

struct usage_look {
    bool whole;
    bool all_go_on; /* no child of ours is stopped */
    pid_t *mains;   /* in ascending order */
    size_t n_mains;
    bool listed; /* `others` are all there are, by ppid; else the kernel is asked for the children of each process */
    struct other *others;
    size_t n_others;
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
    unsigned depth;
};

static int by_parent(const void *a, const void *b)
{
    const struct other *x = a, *y = b;

    return (x->ppid > y->ppid) - (x->ppid < y->ppid);
}

static int by_number(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

    return (x > y) - (x < y);
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
    if (look->listed)
        each_listed_child(look, pid, fn, ctx);
    else
        procfs_each_child(pid, fn, ctx);
}

/* PID and all below it. */
static void add_descendants(void *ctx, pid_t pid)
{
    struct descent *descent = ctx;
    struct descent below = {.look = descent->look, .sum = descent->sum, .depth = descent->depth + 1};

    add_pid(descent->sum, pid);
    if (descent->depth < DEPTH_MAX)
        each_child(descent->look, pid, add_descendants, &below);
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
        each_child(look, service->svc->proc.pid, add_descendants, &(struct descent){.look = look, .sum = &sum});
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

static bool add_other(void *ctx, pid_t pid)
{
    struct usage_look *look = ctx;

    if (bsearch(&pid, look->mains, look->n_mains, sizeof pid, by_number))
        return true;
    if (look->n_others == look->n_mains)
        return false; /* to read what each of them is would cost more than it saves */
    look->others[look->n_others++].pid = pid;
    return true;
}

/* Learns whose children those are that are no main processes. */
static void list_others(struct usage_look *look)
{
    size_t n = 0;

    look->listed = procfs_each(add_other, look) == 0 && look->n_others < look->n_mains;
    for (size_t i = 0; look->listed && i < look->n_others; i++) {
        struct other other = look->others[i];
        struct procfs_stat st;

        if (procfs_read_stat(other.pid, &st) < 0)
            continue;
        other.ppid = st.ppid;
        look->others[n++] = other;
    }
    look->n_others = n;
    if (n > 0)
        qsort(look->others, n, sizeof *look->others, by_parent);
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
        qsort(look->mains, look->n_mains, sizeof *look->mains, by_number);
        list_others(look);
    }
    return look;
}

struct proto_usage usage_look_at(const struct usage_look *look, const struct service *service)
{
    return look->whole ? look_whole(look, service) : look_briefly(look, service);
}

void usage_look_free(struct usage_look *look)
{
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
