/* SPDX-License-Identifier: MIT */
#include "supd/usage.h"

#include <unistd.h>

#include "os/cgroup.h"
#include "os/procfs.h"
#include "supd/cgroups.h"

/* Processes are added up. */
static void add_process(struct proto_usage *sum, const struct procfs_stat *st)
{
    sum->memory += st->rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    sum->cpu += (double)(st->utime + st->stime) / (double)sysconf(_SC_CLK_TCK);
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
    struct proto_usage *sum;
    unsigned depth;
};

/* PID and all below it. */
static void add_descendants(void *ctx, pid_t pid)
{
    struct descent *descent = ctx;
    struct descent below = {.sum = descent->sum, .depth = descent->depth + 1};

    add_pid(descent->sum, pid);
    if (descent->depth < DEPTH_MAX)
        procfs_each_child(pid, add_descendants, &below);
}

struct proto_usage usage_of(const struct service *service)
{
    const char *path = cgroups_of(service);
    struct proto_usage sum = {0};
    struct cgroup_usage cgroup = {0};
    struct procfs_stat st;

    if (!svc_has_process(&service->svc) || procfs_read_stat(service->svc.proc.pid, &st) < 0 || st.state == 'Z')
        return sum;
    if (path)
        cgroup_read_usage(path, &cgroup);
    if (path && !(cgroup.has_memory && cgroup.has_cpu && cgroup.has_tasks)) {
        cgroup_each_member(path, add_pid, &sum);
    } else if (!path) {
        add_process(&sum, &st);
        procfs_each_child(service->svc.proc.pid, add_descendants, &(struct descent){.sum = &sum});
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
