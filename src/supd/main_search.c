/* SPDX-License-Identifier: MIT */
#include "supd/main_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/identity.h"
#include "os/mainpid.h"
#include "supd/process.h"

/* How often the pid-file is looked for: soon first, since most daemons write it before their start command ends. */
#define INTERVAL_FIRST (2 * USEC_PER_MSEC)
#define INTERVAL_LAST (200 * USEC_PER_MSEC)
/* All of /proc is looked through less often. */
#define INTERVAL_SCAN (100 * USEC_PER_MSEC)

struct main_search {
    struct service *service;
    struct loop_timer *timer;
    int64_t interval; /* us, until the next look */
    char why[256];    /* what was wrong last; "" = nothing was */
};

void main_search_free(struct main_search *search)
{
    if (!search)
        return;
    loop_timer_free(search->timer);
    free(search);
}

static void end_search(struct service *service)
{
    if (!service->parts->search)
        return;
    main_search_free(service->parts->search);
    service_parts(service)->search = NULL;
}

const char *main_search_trouble(const struct main_search *search)
{
    return search && search->why[0] ? search->why : NULL;
}

static bool is_wanted(const struct svc *svc)
{
    return svc->state == SVC_STARTING && (svc->todo & TODO_FIND_MAIN) && svc_rare(svc)->control.role == ROLE_SERVICE;
}

/* FOUND is its main process; TYPE tells why. */
static void take(struct service *service, enum svc_event_type type, const struct mainpid *found)
{
    struct process *process = &service->main;

    process->pidfd = found->pidfd;
    service_event(service, &(struct svc_event){
                               .type = type,
                               .life = service->svc->life,
                               .pid = found->pid,
                               .start_ticks = found->start_ticks,
                               .inode = identity_inode(found->pidfd),
                               .group = found->group,
                               .group_start = found->group_start,
                           });
    if (found->is_child)
        process_inherit(process);
    else
        process_watch_adopted(process);
    store_add(process);
}

static void found(struct service *service, const struct mainpid *main)
{
    end_search(service);
    take(service, SVC_EV_MAIN_FOUND, main);
}

static void give_up(struct service *service, const char *why)
{
    char text[256];

    snprintf(text, sizeof text, "%s", why);
    end_search(service);
    service_event(service, &(struct svc_event){.type = SVC_EV_MAIN_MISSING, .life = service->svc->life, .text = text});
}

/* What does not hold now, and is said once. */
static void say(struct main_search *search, const char *path, const char *why)
{
    char text[sizeof search->why];

    snprintf(text, sizeof text, "pid-file %s: %s", path, why);
    if (strcmp(text, search->why) != 0)
        log_debug("%s: %s", search->service->spec->name, text);
    memcpy(search->why, text, sizeof text);
}

static bool is_known_child(void *ctx, pid_t pid)
{
    return process_is_known_child(ctx, pid);
}

/* Of the process that was forked. */
static struct mainpid_origin origin_of(const struct service *service)
{
    const struct svc *svc = service->svc;

    return (struct mainpid_origin){
        .starter = svc->group,
        .starter_start = svc->group_start > 1 ? svc->group_start : 0,
        .instance = service->sup->lock.instance,
        .service = service->spec->name,
        .is_known_child = is_known_child,
        .ctx = service->sup,
    };
}

/* True: the search is over. */
static bool look(struct main_search *search)
{
    struct service *service = search->service;
    const struct spec *spec = service->spec;
    const struct mainpid_origin origin = origin_of(service);
    struct mainpid main;
    size_t left;
    char why[192];
    pid_t pid;

    if (spec->place->pid_file) {
        if (mainpid_read(spec->place->pid_file, &pid, why, sizeof why) &&
            mainpid_take(&origin, pid, &main, why, sizeof why)) {
            found(service, &main);
            return true;
        }
        say(search, spec->place->pid_file, why);
        if (search->interval < INTERVAL_SCAN)
            return false;
    }
    if (!mainpid_guess(&origin, &main, &left, why, sizeof why)) {
        if (spec->place->pid_file && left > 0)
            return false;
        give_up(service, why);
        return true;
    }
    if (spec->place->pid_file) {
        close(main.pidfd);
        return false;
    }
    found(service, &main);
    return true;
}

static void on_timer(void *ctx)
{
    struct main_search *search = ctx;

    if (!is_wanted(search->service->svc)) {
        end_search(search->service);
        return;
    }
    if (look(search))
        return;
    search->interval = search->interval * 2 < INTERVAL_LAST ? search->interval * 2 : INTERVAL_LAST;
    loop_timer_set(search->timer, search->interval);
}

void main_search_begin(struct service *service)
{
    struct main_search *search = xcalloc(1, sizeof *search);

    main_search_free(service->parts->search);
    service_parts(service)->search = search;
    search->service = service;
    search->interval = INTERVAL_FIRST;
    search->timer = loop_timer_new(service->sup->loop, on_timer, search);
    loop_timer_set(search->timer, 0);
}

bool main_search_move(struct service *service, pid_t pid, char *why, size_t why_size)
{
    struct mainpid_origin origin = origin_of(service);
    struct process *process = &service->main;
    struct mainpid main;

    origin.or_starter = true;
    if (!svc_may_move(service->svc)) {
        snprintf(why, why_size, "the service is %s", svc_state_name(service->svc->state));
        return false;
    }
    if (svc_has_control(service->svc) && pid == svc_rare(service->svc)->control.pid) {
        snprintf(why, why_size, "that is its %s", svc_role_name(svc_rare(service->svc)->control.role));
        return false;
    }
    if (!mainpid_take(&origin, pid, &main, why, why_size))
        return false;
    log_info("%s: process %d is its main process from now on, and not %d", service->spec->name, (int)pid,
             service->svc->proc.pid);
    process_forget_child(process);
    process_release(process);
    service->sup->main_moved = true;
    take(service, SVC_EV_MAIN_MOVED, &main);
    return true;
}

void main_search_remove_pid_file(struct service *service)
{
    if (service->spec->place->pid_file)
        mainpid_remove_stale(service->spec->place->pid_file);
}
