/* SPDX-License-Identifier: MIT */
#include "supd/cgroups.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/spec_cgroup.h"
#include "os/cgroup.h"
#include "os/cgroup_tree.h"
#include "os/cgroup_watch.h"
#include "os/clock.h"
#include "os/identity.h"
#include "supd/process.h"

/* The news of an OOM kill may come a moment before that of the end which it has caused. */
#define OOM_MOMENT (5 * USEC_PER_SEC)
#define NEWS_MAX 64

struct cgroups {
    struct cgroup_tree tree;
    bool optional; /* what cannot be kept is skipped */
    int news;      /* cgroup_watch_open() */
    struct loop_io *io;
    struct service_cgroup *watched; /* by the number of the watch of memory.events */
    struct service_cgroup *waited;  /* by that of cgroup.events */
};

/* A service's cgroup. */
struct service_cgroup {
    struct service *service;
    char *path;
    bool released; /* it is removed as soon as nobody is in it */
    bool paused;
    uint64_t oom_kills; /* known of so far */
    int64_t oom_at;     /* when the last was heard of, mono us; 0: never */
    int memory_watch;   /* -1: none */
    int end_watch;
    UT_hash_handle by_memory;
    UT_hash_handle by_end;
};

/* ---- news ---- */

static void unwatch(struct cgroups *cgroups, struct service_cgroup *own)
{
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
    const struct cgroup_limit *limit = &service->spec->cgroup.memory_max;

    return limit->set && !limit->infinite ? size_format(limit->value, buf, size) : "not set";
}

/* Looks at how many were killed, and tells of new ones. */
static void count_oom_kills(struct service_cgroup *own)
{
    uint64_t kills = cgroup_oom_kills(own->path);
    char buf[32];

    if (kills <= own->oom_kills)
        return;
    log_warning("%s: the OOM killer has killed %llu of its processes (memory-max: %s)", own->service->spec->name,
                (unsigned long long)(kills - own->oom_kills), memory_max(own->service, buf, sizeof buf));
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
            count_oom_kills(own);
        HASH_FIND(by_end, cgroups->waited, &watches[i], sizeof(int), own);
        if (own)
            look_at_end(own);
    }
}

static void watch_memory(struct cgroups *cgroups, struct service_cgroup *own)
{
    if (cgroups->news < 0 || own->memory_watch >= 0)
        return;
    own->memory_watch = cgroup_watch_add(cgroups->news, own->path, "memory.events");
    if (own->memory_watch >= 0)
        HASH_ADD(by_memory, cgroups->watched, memory_watch, sizeof own->memory_watch, own);
}

void cgroups_watch_end(struct service *service)
{
    struct cgroups *cgroups = service->sup->cgroups;
    struct service_cgroup *own = service->cgroup;

    if (cgroups->news < 0 || own->end_watch >= 0)
        return;
    own->end_watch = cgroup_watch_add(cgroups->news, own->path, "cgroup.events");
    if (own->end_watch >= 0)
        HASH_ADD(by_end, cgroups->waited, end_watch, sizeof own->end_watch, own);
}

/* ---- the place ---- */

/* The settings may be others after a reload, but that is for the next supd: this is what the present one was started with. */
void cgroups_open(struct supervisor *sup)
{
    const char *use = sup->config->settings.cgroup;
    struct cgroups *cgroups = xcalloc(1, sizeof *cgroups);
    const char *instance = sup->lock.instance;

    sup->cgroups = cgroups;
    cgroups->optional = strcmp(use, "optional") == 0;
    if (strcmp(use, "no") == 0) {
        /* What an earlier supd has made is still used to end what is in it. */
        cgroup_tree_find(&cgroups->tree, "/proc", instance);
        free(cgroups->tree.reason);
        cgroups->tree.reason = xstrdup("the configuration says `cgroup = no'");
    } else if (cgroup_tree_open(&cgroups->tree, "/proc", instance)) {
        log_debug("cgroups of services are made in %s", cgroups->tree.path);
    } else {
        log_info("services get no cgroups: %s", cgroups->tree.reason);
    }
    cgroups->news = cgroup_watch_open();
    if (cgroups->news >= 0)
        cgroups->io = loop_io_new(sup->loop, cgroups->news, LOOP_READ, on_news, sup);
}

void cgroups_close(struct supervisor *sup)
{
    struct cgroups *cgroups = sup->cgroups;

    if (!cgroups)
        return;
    loop_io_free(cgroups->io);
    if (cgroups->news >= 0)
        close(cgroups->news);
    cgroup_tree_close(&cgroups->tree);
    free(cgroups);
    sup->cgroups = NULL;
}

const char *cgroups_path(const struct supervisor *sup, const char **reason)
{
    *reason = sup->cgroups->tree.reason;
    return sup->cgroups->tree.path;
}

static void clean_one(void *ctx, const char *name)
{
    struct supervisor *sup = ctx;
    struct service *service = service_find(sup, name);

    if (service && service->cgroup)
        return;
    char *path = cgroup_tree_service(&sup->cgroups->tree, name);
    if (!cgroup_populated(path))
        cgroup_remove(path);
    free(path);
}

void cgroups_clean(struct supervisor *sup)
{
    cgroup_tree_each(&sup->cgroups->tree, clean_one, sup);
}

/* ---- limits ---- */

/* BFQ has weights of its own, 1 to 1000, with the same middle. */
static int write_bfq_weight(const char *path, const char *value)
{
    unsigned long weight = strtoul(value, NULL, 10);
    char text[32];

    if (weight > 100)
        weight = 100 + (weight - 100) * 900 / 9900;
    snprintf(text, sizeof text, "%lu", weight);
    return cgroup_write(path, "io.bfq.weight", text);
}

static int write_setting(const char *path, const struct cgroup_setting *setting)
{
    int rc = cgroup_write(path, setting->file, setting->value);

    if (rc == -ENOENT && setting->controller == CGROUP_IO)
        return write_bfq_weight(path, setting->value);
    return rc;
}

/* False with ERR written where a limit that is SET cannot be kept. */
static bool put_setting(struct cgroups *cgroups, const char *path, const struct cgroup_setting *setting, char *err,
                        size_t err_size)
{
    struct cgroup_tree *tree = &cgroups->tree;
    enum cgroup_controller controller = setting->controller;

    if (!setting->set) {
        if (tree->enabled[controller])
            write_setting(path, setting);
        return true;
    }
    if (!cgroup_tree_enable(tree, controller)) {
        snprintf(err, err_size, "%s: %s", setting->key, tree->why[controller] ? tree->why[controller] : tree->reason);
        return false;
    }
    int rc = write_setting(path, setting);
    if (rc < 0)
        snprintf(err, err_size, "%s: %s/%s: %s", setting->key, path, setting->file, strerror(-rc));
    return rc == 0;
}

/* All of the service's.  With `optional`, or a process that runs already, what cannot be kept is only told. */
static bool put_settings(struct service *service, bool running, char *err, size_t err_size)
{
    struct cgroups *cgroups = service->sup->cgroups;
    struct cgroup_setting settings[CGROUP_N_SETTINGS];

    spec_cgroup_settings(&service->spec->cgroup, settings);
    for (size_t i = 0; i < CGROUP_N_SETTINGS; i++) {
        if (put_setting(cgroups, service->cgroup->path, &settings[i], err, err_size))
            continue;
        if (running)
            log_error("%s: %s", service->spec->name, err);
        else if (cgroups->optional)
            log_warning("%s: skipped: %s", service->spec->name, err);
        else
            return false;
    }
    return true;
}

void cgroups_apply(struct service *service)
{
    const char *need = spec_cgroup_need(service->spec);
    char err[512];

    if (cgroups_of(service)) {
        put_settings(service, true, err, sizeof err);
        watch_memory(service->sup->cgroups, service->cgroup);
    } else if (need && svc_has_process(&service->svc)) {
        log_warning("%s: %s takes effect when it is started again: its process has no cgroup", service->spec->name,
                    need);
    }
}

/* ---- one service ---- */

static void take(struct service *service, char *path)
{
    struct service_cgroup *own = xcalloc(1, sizeof *own);

    own->service = service;
    own->path = path;
    own->memory_watch = own->end_watch = -1;
    service->cgroup = own;
}

void cgroups_forget(struct service *service)
{
    struct service_cgroup *own = service->cgroup;

    if (!own)
        return;
    unwatch(service->sup->cgroups, own);
    free(own->path);
    free(own);
    service->cgroup = NULL;
}

/* What NEED needs cannot be: false with ERR written, or true where it is to be done without. */
static bool without(const struct service *service, const char *need, const char *why, char *err, size_t err_size)
{
    const struct cgroups *cgroups = service->sup->cgroups;

    if (need && !cgroups->optional) {
        snprintf(err, err_size, "%s needs a cgroup, and there can be none: %s", need, why);
        return false;
    }
    if (need)
        log_warning("%s: %s is skipped: %s", service->spec->name, need, why);
    return true;
}

bool cgroups_prepare(struct service *service, int *fd, char *err, size_t err_size)
{
    struct cgroups *cgroups = service->sup->cgroups;
    const char *need = spec_cgroup_need(service->spec);
    char *path = cgroup_tree_service(&cgroups->tree, service->spec->name);
    char why[512];

    *fd = 0;
    if (!path)
        return without(service, need, cgroups->tree.reason, err, err_size);
    if (cgroups_of(service)) { /* another process of the same life */
        free(path);
        *fd = cgroup_open(service->cgroup->path);
        if (*fd < 0)
            snprintf(err, err_size, "%s: %s", service->cgroup->path, strerror(-*fd));
        return *fd > 0;
    }
    int rc = cgroup_make(path);
    if (rc < 0 && rc != -EEXIST) {
        snprintf(why, sizeof why, "%s cannot be made: %s", path, strerror(-rc));
        free(path);
        return without(service, need, why, err, err_size);
    }
    cgroups_forget(service); /* the directory stays what it is */
    take(service, path);
    if (rc == -EEXIST)
        cgroup_freeze(path, false);
    *fd = cgroup_open(path);
    if (*fd < 0)
        snprintf(err, err_size, "%s: %s", path, strerror(-*fd));
    if (*fd > 0 && put_settings(service, false, err, err_size)) {
        service->cgroup->oom_kills = cgroup_oom_kills(path);
        watch_memory(cgroups, service->cgroup);
        return true;
    }
    if (*fd > 0)
        close(*fd);
    cgroups_release(service);
    return false;
}

static bool lives(const struct service *service)
{
    const struct svc_proc *proc = &service->svc.proc;

    return service->main.is_child ||
           (service->main.pidfd >= 0 && !identity_has_ended(service->main.pidfd, proc->pid, proc->start_ticks));
}

/* Where the recorded process is, or, once that has ended, where it was. */
static char *find_cgroup(const struct service *service)
{
    const struct cgroup_tree *tree = &service->sup->cgroups->tree;
    const char *name = service->spec->name;
    uint64_t populated;

    if (lives(service))
        return cgroup_tree_of_process(tree, service->svc.proc.pid, name);
    char *path = cgroup_tree_service(tree, name);
    if (path && (svc_has_process(&service->svc) || service->svc.group != 0) &&
        cgroup_read_key(path, "cgroup.events", "populated", &populated) != -ENOENT)
        return path;
    free(path);
    return NULL;
}

void cgroups_attach(struct service *service)
{
    char *path = find_cgroup(service);

    if (!path)
        return;
    take(service, path);
    struct service_cgroup *own = service->cgroup;
    own->paused = cgroup_frozen(path);
    /* What happened while nobody looked may have ended the main process; who lives was not killed. */
    if (lives(service))
        own->oom_kills = cgroup_oom_kills(path);
    else
        count_oom_kills(own);
    watch_memory(service->sup->cgroups, own);
}

bool cgroups_has_process(const struct service *service, pid_t pid)
{
    char *path =
        service->cgroup ? cgroup_tree_of_process(&service->sup->cgroups->tree, pid, service->spec->name) : NULL;
    bool has = path != NULL;

    free(path);
    return has;
}

void cgroups_release(struct service *service)
{
    struct service_cgroup *own = service->cgroup;

    if (!own)
        return;
    int rc = cgroup_tree_remove(&service->sup->cgroups->tree, own->path);
    own->released = rc == -EBUSY;
    if (own->released) {
        cgroups_watch_end(service);
        return;
    }
    if (rc < 0 && rc != -ENOENT)
        log_warning("%s: %s cannot be removed: %s", service->spec->name, own->path, strerror(-rc));
    cgroups_forget(service);
}

const char *cgroups_of(const struct service *service)
{
    return service->cgroup && !service->cgroup->released ? service->cgroup->path : NULL;
}

bool cgroups_is_whole(const struct process *process)
{
    const struct service *service = process->service;

    return process == &service->main && !svc_has_control(&service->svc) && cgroups_of(service) &&
           service->svc.proc.stop.kill_mode == KILL_MODE_CGROUP;
}

int cgroups_signal(const struct service *service, int signo)
{
    return cgroup_signal(service->cgroup->path, signo);
}

/* One that our PID namespace does not show is one all the same. */
size_t cgroups_open_members(const struct service *service, int *pidfds, size_t max)
{
    const char *path = service->cgroup->path;
    size_t n = cgroup_open_members(path, pidfds, max);

    if (n > 0 || !cgroup_populated(path))
        return n;
    pidfds[0] = -1;
    return 1;
}

bool cgroups_oom_killed(struct service *service, const struct exit_info *exit)
{
    struct service_cgroup *own = service->cgroup;

    if (!own || service->svc.state == SVC_STOPPING || exit->how != EXIT_HOW_SIGNALED || exit->signal != SIGKILL)
        return false;
    count_oom_kills(own);
    return own->oom_at != 0 && clock_now().mono - own->oom_at < OOM_MOMENT;
}

/* ---- pause and resume ---- */

bool cgroups_pause(struct service *service, bool on, char *err, size_t err_size)
{
    struct service_cgroup *own = service->cgroup;

    if (service->svc.state != SVC_RUNNING) {
        snprintf(err, err_size, "is not running");
        return false;
    }
    if (!own) {
        snprintf(err, err_size, "has no cgroup, without which it cannot be paused%s%s",
                 service->sup->cgroups->tree.reason ? ": " : "",
                 service->sup->cgroups->tree.reason ? service->sup->cgroups->tree.reason : "");
        return false;
    }
    int rc = cgroup_freeze(own->path, on);
    if (rc < 0) {
        snprintf(err, err_size, "%s/cgroup.freeze: %s", own->path, strerror(-rc));
        return false;
    }
    if (own->paused != on)
        log_info("%s: %s", service->spec->name, on ? "paused" : "resumed");
    own->paused = on;
    return true;
}

void cgroups_thaw(struct service *service)
{
    struct service_cgroup *own = service->cgroup;

    if (!own || !own->paused)
        return;
    own->paused = false;
    int rc = cgroup_freeze(own->path, false);
    if (rc < 0)
        log_error("%s: %s/cgroup.freeze: %s", service->spec->name, own->path, strerror(-rc));
}

bool cgroups_paused(const struct service *service)
{
    return service->cgroup && service->cgroup->paused;
}
