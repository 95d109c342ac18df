/* SPDX-License-Identifier: MIT */
/* What the cgroups of services tell by themselves: that the OOM killer has come, and that the last process has gone. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "os/cgroup_watch.h"
#include "os/clock.h"
#include "supd/cgroups.h"
#include "supd/cgroups_inner.h"
#include "supd/process.h"

/* The news of an OOM kill may come a moment before that of the end which it has caused. */
#define OOM_MOMENT (5 * USEC_PER_SEC)
#define NEWS_MAX 64

void cgroups_unwatch(struct service *service)
{
    struct cgroups *cgroups = service->sup->cgroups;
    struct service_cgroup *own = service->parts->cgroup;

    if (own->memory_watch >= 0) {
        HASH_DELETE(by_memory, cgroups->watched, own);
        cgroup_watch_remove(cgroups->news, own->memory_watch);
    }
    if (own->end_watch >= 0) {
        HASH_DELETE(by_end, cgroups->waited, own);
        cgroup_watch_remove(cgroups->news, own->end_watch);
    }
    own->memory_watch = own->end_watch = -1;
}

static const char *memory_max(const struct service *service, char *buf, size_t size)
{
    const struct cgroup_limit *limit = &service->spec->cgroup->memory_max;

    return limit->set && !limit->infinite ? size_format(limit->value, buf, size) : "not set";
}

void cgroups_count_oom_kills(struct service *service)
{
    struct service_cgroup *own = service->parts->cgroup;
    uint64_t kills = cgroup_oom_kills(own->path);
    char buf[32];

    if (kills <= own->oom_kills)
        return;
    log_warning("%s: the OOM killer has killed %llu of its processes (memory-max: %s)", service->spec->name,
                (unsigned long long)(kills - own->oom_kills), memory_max(service, buf, sizeof buf));
    own->oom_kills = kills;
    own->oom_at = clock_now().mono;
}

/* Somebody has ended in a cgroup whose end is waited for. */
static void look_at_end(struct service_cgroup *own)
{
    if (cgroup_populated(own->path))
        return;
    if (own->released)
        cgroups_release(own->service);
    else if (own->service->main.leftovers)
        leftovers_check(&own->service->main);
}

static void on_news(void *ctx)
{
    struct supervisor *sup = ctx;
    struct cgroups *cgroups = sup->cgroups;
    int watches[NEWS_MAX];
    size_t n = cgroup_watch_read(cgroups->news, watches, NEWS_MAX);

    for (size_t i = 0; i < n; i++) {
        struct service_cgroup *own;

        HASH_FIND(by_memory, cgroups->watched, &watches[i], sizeof(int), own);
        if (own)
            cgroups_count_oom_kills(own->service);
        HASH_FIND(by_end, cgroups->waited, &watches[i], sizeof(int), own);
        if (own)
            look_at_end(own);
    }
}

void cgroups_watch_memory(struct service *service)
{
    struct cgroups *cgroups = service->sup->cgroups;
    struct service_cgroup *own = service->parts->cgroup;

    if (cgroups->news < 0 || own->memory_watch >= 0)
        return;
    own->memory_watch = cgroup_watch_add(cgroups->news, own->path, "memory.events");
    if (own->memory_watch >= 0)
        HASH_ADD(by_memory, cgroups->watched, memory_watch, sizeof own->memory_watch, own);
}

void cgroups_watch_end(struct service *service)
{
    struct cgroups *cgroups = service->sup->cgroups;
    struct service_cgroup *own = service->parts->cgroup;

    if (cgroups->news < 0 || own->end_watch >= 0)
        return;
    own->end_watch = cgroup_watch_add(cgroups->news, own->path, "cgroup.events");
    if (own->end_watch >= 0)
        HASH_ADD(by_end, cgroups->waited, end_watch, sizeof own->end_watch, own);
}

void cgroups_news_open(struct supervisor *sup)
{
    struct cgroups *cgroups = sup->cgroups;

    cgroups->news = cgroup_watch_open();
    if (cgroups->news >= 0)
        cgroups->io = loop_io_new(sup->loop, cgroups->news, LOOP_READ, on_news, sup);
}

void cgroups_news_close(struct supervisor *sup)
{
    struct cgroups *cgroups = sup->cgroups;

    loop_io_free(cgroups->io);
    if (cgroups->news >= 0)
        close(cgroups->news);
}

bool cgroups_oom_killed(struct service *service, const struct exit_info *exit)
{
    struct service_cgroup *own = service->parts->cgroup;

    if (!own || service->svc->state == SVC_STOPPING || exit->how != EXIT_HOW_SIGNALED || exit->signal != SIGKILL)
        return false;
    cgroups_count_oom_kills(service);
    return own->oom_at != 0 && clock_now().mono - own->oom_at < OOM_MOMENT;
}

void cgroups_add_usage(const struct service *service, struct usage *usage)
{
    const struct service_cgroup *own = service->parts->cgroup;
    struct cgroup_totals now;

    if (!cgroups_of(service) || !own->counted)
        return;
    cgroup_read_totals(own->path, &now);
    if (now.has_cpu && own->before.has_cpu) {
        usage->cpu_from = USAGE_CGROUP;
        usage->cpu_user = (int64_t)(now.cpu_user - own->before.cpu_user);
        usage->cpu_system = (int64_t)(now.cpu_system - own->before.cpu_system);
    }
    if (now.has_memory_peak && own->fresh) {
        usage->memory_from = USAGE_CGROUP;
        usage->memory_peak = now.memory_peak;
    }
    usage->has_io = now.has_io && own->before.has_io;
    usage->io_read = now.io_read - own->before.io_read;
    usage->io_written = now.io_written - own->before.io_written;
}
