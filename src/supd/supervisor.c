/* SPDX-License-Identifier: MIT */
#include "supd/supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/service_keep.h"
#include "os/clock.h"
#include "os/procfs.h"
#include "supd/announce.h"
#include "supd/cgroups.h"
#include "supd/essential.h"
#include "supd/events.h"
#include "supd/handover.h"
#include "supd/health.h"
#include "supd/kept.h"
#include "supd/lists.h"
#include "supd/logs.h"
#include "supd/main_search.h"
#include "supd/messages.h"
#include "supd/order.h"
#include "supd/process.h"
#include "supd/readiness.h"
#include "supd/reload.h"
#include "supd/remember.h"
#include "supd/schedules.h"
#include "supd/server.h"
#include "supd/sockets.h"
#include "supd/upgrade.h"
#include "supd/waiters.h"

void supervisor_init(struct supervisor *sup)
{
    memset(sup, 0, sizeof *sup);
    sup->lock.fd = -1;
    services_init(sup);
    sup->children = LOOKUP_OF(process_hash);
    sup->started = clock_now();
    sup->rng = (uint64_t)sup->started.wall ^ ((uint64_t)getpid() << 32);
    TAILQ_INIT(&sup->starts);
    TAILQ_INIT(&sup->for_slot);
    TAILQ_INIT(&sup->for_check);
    TAILQ_INIT(&sup->touched);
    TAILQ_INIT(&sup->look.queue);
}

void supervisor_clear(struct supervisor *sup)
{
    sigset_t all;

    /* Once its handler is gone a signal would kill us, and the end in good order be taken for a crash. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (sup->server)
        unlink(sup->socket_path); /* still under the lock, so it is ours and not a successor's */
    lists_finish(sup);
    server_free(sup->server); /* before what its callers wait for, which is told that they are gone */
    sup->server = NULL;
    lists_close(sup);
    reload_free(sup->reload);
    upgrade_free(sup->upgrade);
    sup->upgrade = NULL;
    handover_free(sup->handover);
    notify_clear(sup); /* before the services: what is kept for them outlives us */
    logs_close(sup);
    services_clear(sup);
    lookup_clear(&sup->children);
    order_free(sup);
    schedules_close(sup);
    remember_close(sup);
    events_close(sup);
    fdstore_close(&sup->fdstore);
    tree_close(sup);
    cgroups_close(sup);
    loop_timer_free(sup->queue_timer);
    loop_timer_free(sup->retry_timer);
    for (size_t i = 0; i < SUPERVISOR_SIGNALS; i++)
        loop_signal_free(sup->signals[i]);
    watcher_free(sup->watcher);
    sigchld_free(sup->sigchld);
    procfs_leave_own();
    statefile_free(sup->state);
    loop_free(sup->loop);
    config_free(sup->config);
    spawn_baseline_clear(&sup->baseline);
    lock_release(&sup->lock);
    free(sup->scales);
    free(sup->binary);
    free(sup->config_path);
    free(sup->runtime_dir);
    free(sup->socket_path);
}

/* A control process waits for nobody, a start perhaps for others. */
static void enqueue(struct service *service)
{
    if (service->svc->state == SVC_WAITING && order_concerns(service))
        order_touch(service);
    else
        queue_start(service);
}

static void on_deadline(void *ctx)
{
    struct service *service = ctx;

    service->timer_at = 0;
    /* We may have been late, and what came in time stands in the queue. */
    messages_read(service);
    const char *trouble = main_search_trouble(service->parts->search);
    if (!trouble && svc_awaits_ready(service->svc))
        trouble = health_words(service);
    service_event(service, &(struct svc_event){.type = SVC_EV_DEADLINE, .text = trouble});
}

/* One timer a service, for the one deadline that its state has. */
static void arm_timer(struct service *service, struct timestamp now)
{
    int64_t deadline = service->svc->deadline;

    if (deadline == service->timer_at)
        return;
    service->timer_at = deadline;
    if (deadline == 0) {
        loop_timer_free(service->timer); /* what runs well waits for nothing, and there are many of those */
        service->timer = NULL;
        return;
    }
    if (!service->timer)
        service->timer = loop_timer_new(service->sup->loop, on_deadline, service);
    loop_timer_set(service->timer, deadline - now.mono);
}

/* It is another now: who counts, waits or listens is to know. */
static void enter_state(struct service *service, enum svc_state from)
{
    struct supervisor *sup = service->sup;

    if (service_is_internal(service)) {
        announce_state(service, from);
        waiters_check(service);
        return;
    }
    if (service->svc->state == SVC_RUNNING)
        sup->n_running++;
    if (from == SVC_RUNNING)
        sup->n_running--;
    if (service->svc->state == SVC_STARTING)
        sup->n_starting++;
    if (from == SVC_STARTING) {
        sup->n_starting--;
        if (!TAILQ_EMPTY(&sup->for_slot))
            queue_wake(sup);
    }
    announce_state(service, from);
    waiters_check(service);
    notify_status(sup);
}

static void carry_out(struct service *service, struct svc_action action)
{
    switch (action.type) {
    case ACT_RECORD:
        break; /* done before anything else */
    case ACT_QUEUE:
        enqueue(service);
        break;
    case ACT_UNQUEUE:
        queue_leave(service);
        break;
    case ACT_FORK:
        process_fork(&service->main);
        break;
    case ACT_SIGNAL_MAIN:
        process_signal(&service->main, action.signal);
        break;
    case ACT_SIGNAL_GROUP:
        process_signal_all(&service->main, action.signal);
        break;
    case ACT_CHECK_GROUP:
        leftovers_check(&service->main);
        break;
    case ACT_WATCH_GROUP:
        leftovers_watch(&service->main);
        break;
    case ACT_FORK_CONTROL:
        process_fork(process_of(service, PART_CONTROL));
        break;
    case ACT_SIGNAL_CONTROL:
        process_signal_all(process_of(service, PART_CONTROL), action.signal);
        break;
    case ACT_CHECK_CONTROL:
        leftovers_check(process_of(service, PART_CONTROL));
        break;
    case ACT_WATCH_CONTROL:
        leftovers_watch(process_of(service, PART_CONTROL));
        break;
    case ACT_FORK_CHECK:
        process_fork(process_of(service, PART_CHECK));
        break;
    case ACT_SIGNAL_CHECK:
        process_signal_all(process_of(service, PART_CHECK), action.signal);
        break;
    case ACT_CHECK_CHECK:
        leftovers_check(process_of(service, PART_CHECK));
        break;
    case ACT_WATCH_CHECK:
        leftovers_watch(process_of(service, PART_CHECK));
        break;
    case ACT_RELOAD_SIGNAL:
        process_send(&service->main, action.signal);
        break;
    case ACT_FIND_MAIN:
        main_search_begin(service);
        break;
    case ACT_REMOVE_PID_FILE:
        main_search_remove_pid_file(service);
        break;
    case ACT_N:
        break;
    }
}

static bool has_action(const struct svc_actions *actions, enum svc_action_type type)
{
    for (size_t i = 0; i < actions->n; i++) {
        if (actions->items[i].type == type)
            return true;
    }
    return false;
}

/* Is there somebody to be told of what becomes of the service?  What becomes of those who are told is no news. */
static bool is_told_of(const struct service *service)
{
    return service->sup->n_handlers > 0 && !service_is_internal(service);
}

/* Is anything to follow that is not to be seen before what it follows from is recorded? */
static bool shows(const struct service *service, const struct svc_actions *actions)
{
    for (size_t i = 0; i < actions->n; i++) {
        enum svc_action_type type = actions->items[i].type;

        if (type != ACT_RECORD && type != ACT_QUEUE && type != ACT_UNQUEUE)
            return true;
    }
    return service->parts->messages || !TAILQ_EMPTY(&service->waits);
}

static void keep(struct service *service, const struct svc *svc)
{
    service->svc = svc_keep(service->svc, svc);
    order_state_kept(service);
}

/* The one place where a service becomes another. */
static void commit(struct service *service, const struct svc *next, const struct svc_actions *actions, bool recorded,
                   struct timestamp now)
{
    enum svc_state from = service->svc->state;
    bool reloading = svc_is_reloading(service->svc);
    enum health_state health = svc_rare(service->svc)->health.state;
    bool changed = next->state != from || next->stop_held != service->svc->stop_held;

    if (next->state != from)
        essential_check(service, next);
    keep(service, next);
    if ((service->svc->state != from || svc_rare(service->svc)->health.state != health) && is_told_of(service))
        events_note(service, from, health);
    if (!recorded && has_action(actions, ACT_RECORD))
        persist_fact(service);
    if (shows(service, actions))
        persist_flush(service->sup);
    arm_timer(service, now);
    if (!svc_has_process(service->svc) && service->svc->group == 0)
        process_release(&service->main);
    if (service->parts->control && svc_rare(service->svc)->control.role == ROLE_SERVICE)
        process_release(service->parts->control);
    if (service->parts->check && svc_rare(service->svc)->check.role == ROLE_SERVICE)
        process_release(service->parts->check);
    if (!svc_is_busy(service->svc) && service->svc->todo == 0)
        cgroups_release(service);
    if (svc_rare(service->svc)->health.state != health)
        announce_health(service);
    if (service->svc->state != from)
        enter_state(service, from);
    else if (reloading && !svc_is_reloading(service->svc))
        waiters_check(service);
    for (size_t i = 0; i < actions->n; i++)
        carry_out(service, actions->items[i]);
    sockets_follow(service);
    messages_follow(service);
    kept_follow(service);
    logs_follow(service);
    readiness_follow(service);
    schedules_follow(service);
    health_follow(service);
    service_update_busy(service);
    if (changed)
        order_touch(service);
    if (service->parts->handler && service->svc->state != from)
        events_follow(service);
    service_consider_gone(service);
}

void service_update_busy(struct service *service)
{
    struct supervisor *sup = service->sup;
    bool busy = svc_is_busy(service->svc) || service->main.is_child ||
                (service->parts->control && service->parts->control->is_child) ||
                (service->parts->check && service->parts->check->is_child);

    if (busy == service->busy)
        return;
    service->busy = busy;
    sup->n_busy += busy ? 1 : (size_t)-1;
    if (sup->n_busy <= 1 && sup->phase == PHASE_STOPPING)
        queue_wake(sup);
}

void service_restore(struct service *service, const struct svc *svc)
{
    bool counts = !service_is_internal(service);

    if (counts && svc->state == SVC_RUNNING && service->svc->state != SVC_RUNNING)
        service->sup->n_running++;
    if (counts && svc->state == SVC_STARTING && service->svc->state != SVC_STARTING)
        service->sup->n_starting++;
    keep(service, svc);
    service->sup->main_moved |= svc->moved;
    service_update_busy(service);
}

static void look_ahead(struct service *service, const struct svc_actions *actions)
{
    if (has_action(actions, ACT_SIGNAL_GROUP) && !cgroups_is_whole(&service->main))
        tree_look_ahead(&service->main);
    if (!has_action(actions, ACT_SIGNAL_CONTROL))
        return;
    struct process *control = process_of(service, PART_CONTROL);
    if (!cgroups_is_whole(control))
        tree_look_ahead(control);
}

/* What becomes of the service by EVENT; a stop of one that others come after waits for those. */
static void step(struct service *service, const struct svc_event *event, struct timestamp now, struct svc *next,
                 struct svc_actions *actions)
{
    struct svc_event held = *event;
    bool stops = event->type == SVC_EV_STOP || event->type == SVC_EV_RESTART || event->type == SVC_EV_SHUTDOWN;

    held.hold = stops && order_holds_stop(service);
    *next = svc_kept(service->svc);
    svc_step(next, service->spec, &held, now, &service->sup->rng, actions);
    look_ahead(service, actions);
}

void service_event(struct service *service, const struct svc_event *event)
{
    struct timestamp now = clock_now();
    struct svc next;
    struct svc_actions actions;

    step(service, event, now, &next, &actions);
    commit(service, &next, &actions, false, now);
}

bool service_command_event(struct service *service, const struct svc_event *event, char *err, size_t err_size)
{
    struct timestamp now = clock_now();
    struct svc next;
    struct svc_actions actions;

    step(service, event, now, &next, &actions);
    if (has_action(&actions, ACT_RECORD)) {
        int rc = persist_snapshot(service, &next);

        if (rc < 0) {
            snprintf(err, err_size, "not done, because it cannot be recorded in %s/state: %s",
                     service->sup->runtime_dir, strerror(-rc));
            return false;
        }
    }
    commit(service, &next, &actions, true, now);
    return true;
}

bool service_command(struct service *service, enum svc_event_type type, char *err, size_t err_size)
{
    return service_command_event(service, &(struct svc_event){.type = type}, err, err_size);
}
