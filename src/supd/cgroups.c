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
#include "os/identity.h"
#include "supd/cgroups_inner.h"
#include "supd/process.h"

/* Below the cgroup of a service that has given controllers to cgroups of its own. */
#define LEAF "supd"

/* ---- the place ---- */

/* Of the cgroup that we are in ourselves, to know those that are in no other. */
static uint64_t own_number(void)
{
    int pidfd = identity_pidfd(getpid());
    uint64_t number = identity_cgroup(pidfd);

    if (pidfd >= 0)
        close(pidfd);
    return number;
}

/* The settings may be others after a reload, but that is for the next supd: this is what the present one was started with. */
void cgroups_open(struct supervisor *sup, bool make)
{
    const char *use = sup->config->settings.cgroup;
    struct cgroups *cgroups = xcalloc(1, sizeof *cgroups);
    const char *instance = sup->lock.instance;

    sup->cgroups = cgroups;
    cgroups->optional = strcmp(use, "optional") == 0;
    if (!make || strcmp(use, "no") == 0) {
        /* What an earlier supd has made is still used to end what is in it. */
        cgroup_tree_find(&cgroups->tree, "/proc", instance);
        free(cgroups->tree.reason);
        cgroups->tree.reason = xstrdup(make ? "the configuration says `cgroup = no'" : "supd is about to end");
    } else if (cgroup_tree_open(&cgroups->tree, "/proc", instance)) {
        log_debug("cgroups of services are made in %s", cgroups->tree.path);
    } else {
        log_info("services get no cgroups: %s", cgroups->tree.reason);
    }
    cgroups->own_number = own_number();
    cgroups_news_open(sup);
}

void cgroups_close(struct supervisor *sup)
{
    struct cgroups *cgroups = sup->cgroups;

    if (!cgroups)
        return;
    cgroups_news_close(sup);
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

    if (service && service->parts->cgroup)
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

/* ---- one service ---- */

static void take(struct service *service, char *path)
{
    struct service_cgroup *own = xcalloc(1, sizeof *own);

    own->service = service;
    own->path = path;
    own->memory_watch = own->end_watch = -1;
    service_parts(service)->cgroup = own;
}

void cgroups_forget(struct service *service)
{
    struct service_cgroup *own = service->parts->cgroup;

    if (!own)
        return;
    cgroups_unwatch(service);
    free(own->path);
    free(own);
    service_parts(service)->cgroup = NULL;
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

/* For a process to begin in: a descriptor, or -errno. */
static int open_place(const char *path)
{
    if (!cgroup_is_inner(path))
        return cgroup_open(path);
    char *leaf = xasprintf("%s/" LEAF, path);
    int rc = cgroup_make(leaf);
    if (rc == 0 || rc == -EEXIST)
        rc = cgroup_open(leaf);
    free(leaf);
    return rc;
}

/* For a process of the service to begin in its cgroup: 0, or -errno with ERR written. */
static int enter(const struct service *service, struct spawn_request *request, char *err, size_t err_size)
{
    int fd = open_place(service->parts->cgroup->path);

    if (fd < 0) {
        snprintf(err, err_size, "%s: %s", service->parts->cgroup->path, strerror(-fd));
        return fd;
    }
    request->cgroup_fd = fd;
    /* Linux 6.18 kills whoever is forked right into a cgroup in which all were killed before. */
    request->cgroup_join = service->parts->cgroup->killed;
    return 0;
}

/* Makes the directory; where one is left of an earlier life and nobody is in it, another.  *FRESH: it is new. */
static int make_directory(const char *path, bool *fresh)
{
    int rc = cgroup_make(path);

    if (rc == -EEXIST && cgroup_remove(path) == 0)
        rc = cgroup_make(path);
    *fresh = rc == 0;
    if (rc == -EEXIST)
        cgroup_freeze(path, false);
    return rc == -EEXIST ? 0 : rc;
}

/* For the first process of a life. */
static bool begin(struct service *service, struct spawn_request *request, char *err, size_t err_size)
{
    struct cgroups *cgroups = service->sup->cgroups;
    const char *need = spec_cgroup_need(service->spec);
    char *path = cgroup_tree_service(&cgroups->tree, service->spec->name);
    char why[512];
    bool fresh;

    if (!path)
        return without(service, need, cgroups->tree.reason, err, err_size);
    int rc = make_directory(path, &fresh);
    if (rc < 0) {
        snprintf(why, sizeof why, "%s cannot be made: %s", path, strerror(-rc));
        free(path);
        return without(service, need, why, err, err_size);
    }
    cgroups_forget(service); /* the directory stays what it is */
    take(service, path);
    service->parts->cgroup->fresh = fresh;
    service->parts->cgroup->killed = !fresh;
    if (!fresh)
        tree_end_earlier(&service->main);
    if (enter(service, request, err, err_size) == 0 && cgroups_put_limits(service, false, err, err_size)) {
        service->parts->cgroup->oom_kills = cgroup_oom_kills(path);
        service->parts->cgroup->counted = true;
        cgroup_read_totals(path, &service->parts->cgroup->before);
        cgroups_watch_memory(service);
        return true;
    }
    cgroups_release(service);
    return false;
}

bool cgroups_prepare(struct service *service, struct spawn_request *request, char *err, size_t err_size)
{
    if (!cgroups_of(service))
        return begin(service, request, err, err_size);
    /* Another process of the same life. */
    int rc = enter(service, request, err, err_size);
    if (rc != -ENOENT)
        return rc == 0;
    log_warning("%s: somebody has removed %s: it is made again", service->spec->name, service->parts->cgroup->path);
    return begin(service, request, err, err_size);
}

static bool lives(const struct service *service)
{
    const struct svc_proc *proc = &service->svc->proc;

    return service->main.is_child ||
           (service->main.pidfd >= 0 && !identity_has_ended(service->main.pidfd, proc->pid, proc->start_ticks));
}

/* It is where we are, and so in no cgroup of its service: one call tells, where /proc would have to be read. */
static bool is_beside_us(const struct service *service)
{
    uint64_t own = service->sup->cgroups->own_number;

    return own != 0 && identity_cgroup(service->main.pidfd) == own;
}

/*
 * Where the recorded process is, or, once that has ended, where it was.  What is left in there of one that somebody has
 * moved elsewhere is the service's all the same.
 */
static char *find_cgroup(const struct service *service)
{
    struct cgroup_tree *tree = &service->sup->cgroups->tree;
    const char *name = service->spec->name;
    char *path = NULL;

    if (!is_beside_us(service) && lives(service))
        path = cgroup_tree_of_process(tree, service->svc->proc.pid, name);
    if (path || !(svc_has_process(service->svc) || svc_has_control(service->svc) || service->svc->group != 0))
        return path;
    path = cgroup_tree_find_service(tree, name);
    if (path && lives(service) && !cgroup_populated(path)) {
        free(path);
        return NULL;
    }
    return path;
}

void cgroups_attach(struct service *service)
{
    char *path = find_cgroup(service);

    if (!path)
        return;
    take(service, path);
    struct service_cgroup *own = service->parts->cgroup;
    own->killed = true; /* perhaps */
    own->paused = cgroup_frozen(path);
    /* With other kill-modes nobody of an earlier life was left in it. */
    own->counted = service->svc->proc.stop.kill_mode != KILL_MODE_PROCESS;
    own->before.has_cpu = own->counted;
    /* What happened while nobody looked may have ended the main process; who lives was not killed. */
    if (lives(service))
        own->oom_kills = cgroup_oom_kills(path);
    else
        cgroups_count_oom_kills(service);
    cgroups_watch_memory(service);
}

bool cgroups_has_process(const struct service *service, pid_t pid)
{
    char *path =
        service->parts->cgroup ? cgroup_tree_of_process(&service->sup->cgroups->tree, pid, service->spec->name) : NULL;
    bool has = path != NULL;

    free(path);
    return has;
}

void cgroups_release(struct service *service)
{
    struct service_cgroup *own = service->parts->cgroup;

    if (!own)
        return;
    int rc = cgroup_tree_remove(&service->sup->cgroups->tree, own->path);
    own->released = rc == -EBUSY;
    if (own->released) {
        cgroups_watch_end(service);
        if (cgroup_populated(own->path))
            return;
        /* The last has ended before it was watched. */
        rc = cgroup_tree_remove(&service->sup->cgroups->tree, own->path);
    }
    if (rc < 0 && rc != -ENOENT)
        log_warning("%s: %s cannot be removed: %s", service->spec->name, own->path, strerror(-rc));
    cgroups_forget(service);
}

const char *cgroups_of(const struct service *service)
{
    return service->parts->cgroup && !service->parts->cgroup->released ? service->parts->cgroup->path : NULL;
}

bool cgroups_has_left(const struct service *service)
{
    if (!svc_has_process(service->svc) || !cgroups_of(service))
        return false;
    char *path = cgroup_tree_of_process(&service->sup->cgroups->tree, service->svc->proc.pid, service->spec->name);
    bool left = !path || strcmp(path, service->parts->cgroup->path) != 0;
    free(path);
    return left;
}

bool cgroups_has_earlier(const struct service *service)
{
    char *path = cgroup_tree_service(&service->sup->cgroups->tree, service->spec->name);
    uint64_t populated = 0;
    bool has = path && service->spec->life->kill_mode != KILL_MODE_PROCESS &&
               cgroup_read_key(path, "cgroup.events", "populated", &populated) == 0 && populated != 0;

    free(path);
    return has;
}

const char *cgroups_whose(const struct process *process)
{
    const struct service *service = process->service;
    const struct svc *svc = service->svc;

    if (svc->proc.stop.kill_mode == KILL_MODE_PROCESS || service->spec->life->kill_mode == KILL_MODE_PROCESS)
        return NULL;
    if (process == &service->main)
        return cgroups_of(service);
    if (process == service->parts->check)
        return NULL;
    /* With the main process beside it nobody can tell who is whose; and what the start command leaves is the service. */
    if (svc_rare(svc)->control.role == ROLE_START || svc_has_process(svc) || svc->group != 0)
        return NULL;
    return cgroups_of(service);
}

bool cgroups_is_whole(const struct process *process)
{
    const struct service *service = process->service;

    return process == &service->main && !svc_has_control(service->svc) && !svc_has_check(service->svc) &&
           cgroups_of(service) && service->svc->proc.stop.kill_mode == KILL_MODE_CGROUP;
}

int cgroups_signal(const struct service *service, int signo)
{
    if (signo == SIGKILL)
        service->parts->cgroup->killed = true;
    return cgroup_signal(service->parts->cgroup->path, signo);
}

/* One that our PID namespace does not show is one all the same. */
size_t cgroups_open_members(const struct service *service, int *pidfds, size_t max)
{
    const char *path = service->parts->cgroup->path;
    size_t n = cgroup_open_members(path, pidfds, max);

    if (n > 0 || !cgroup_populated(path))
        return n;
    pidfds[0] = -1;
    return 1;
}

/* ---- pause and resume ---- */

bool cgroups_pause(struct service *service, bool on, char *err, size_t err_size)
{
    struct service_cgroup *own = service->parts->cgroup;

    if (service->svc->state != SVC_RUNNING) {
        snprintf(err, err_size, "is not running");
        return false;
    }
    if (!own) {
        snprintf(err, err_size, "has no cgroup, without which it cannot be paused%s%s",
                 service->sup->cgroups->tree.reason ? ": " : "",
                 service->sup->cgroups->tree.reason ? service->sup->cgroups->tree.reason : "");
        return false;
    }
    if (cgroups_has_left(service)) {
        snprintf(err, err_size, "is not in its cgroup any more: somebody has moved it");
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
    struct service_cgroup *own = service->parts->cgroup;

    if (!own || !own->paused)
        return;
    own->paused = false;
    int rc = cgroup_freeze(own->path, false);
    if (rc < 0)
        log_error("%s: %s/cgroup.freeze: %s", service->spec->name, own->path, strerror(-rc));
}

bool cgroups_paused(const struct service *service)
{
    return service->parts->cgroup && service->parts->cgroup->paused;
}
