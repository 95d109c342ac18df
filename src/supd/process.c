/* SPDX-License-Identifier: MIT */
#include "supd/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/signames.h"
#include "base/slab.h"
#include "base/strv.h"
#include "os/clock.h"
#include "os/identity.h"
#include "os/procfs.h"
#include "supd/cgroups.h"
#include "supd/events.h"
#include "supd/kept.h"
#include "supd/logs.h"
#include "supd/messages.h"
#include "supd/readiness.h"
#include "supd/sockets.h"
#include "supd/upgrade.h"

static struct slab slab_of_processes = SLAB_OF(struct process);

void process_init(struct process *process, struct service *service)
{
    process->service = service;
    process->pidfd = -1;
    process->report_fd = -1;
}

struct process *process_of(struct service *service, enum process_part part)
{
    if (part == PART_MAIN)
        return &service->main;

    struct service_parts *parts = service_parts(service);
    struct process **place = part == PART_CONTROL ? &parts->control : &parts->check;
    if (!*place) {
        *place = slab_new(&slab_of_processes);
        process_init(*place, service);
    }
    return *place;
}

void process_free(struct process *process)
{
    if (!process)
        return;
    process_release(process);
    process_forget_child(process);
    slab_free(&slab_of_processes, process);
}

/* ---- signals ---- */

static void log_signal_failure(const struct process *process, int signo, int error)
{
    char name[16];

    if (error < 0 && error != -ESRCH)
        log_error("%s: sending SIG%s: %s", process->service->spec->name, signal_to_name(signo, name), strerror(-error));
}

/* A stopped process does not see any signal but SIGKILL before it goes on. */
static bool needs_continue(int signo)
{
    return signo != SIGKILL && signo != SIGCONT;
}

/*
 * Nobody else can get the number of our child before we reap it, so it needs no pidfd to be named by, unless the fd store
 * is to get one.  A table of descriptors with one for each of 10,000 services would make every fork and every exec copy
 * and close all of them, which takes longer than all the rest.
 */
static void drop_pidfd(struct process *process)
{
    if (process->service->sup->sd || process->pidfd < 0)
        return;
    close(process->pidfd);
    process->pidfd = -1;
}

/*
 * It has ended and is about to be reaped: by its pidfd what is left of its group can still be named.  Where it was looked
 * for others to signal, and it was alone, hardly anybody is; who has come since is named one by one.
 */
static void hold_ended(struct process *process)
{
    int pidfd = process->pidfd < 0 && !tree_was_alone(process) ? identity_pidfd(process->pid_key) : -1;

    if (pidfd >= 0)
        process->pidfd = pidfd;
}

int process_deliver(const struct process *process, int signo)
{
    if (process->pidfd >= 0)
        return identity_signal(process->pidfd, signo);
    if (process_is_pinned(process))
        return kill(process->pid_key, signo) < 0 ? -errno : 0;
    return -ESRCH;
}

/* Whoever is ended must not be paused any more, or no signal but SIGKILL is seen. */
static void thaw(const struct process *process)
{
    if (process->service->svc->state == SVC_STOPPING)
        cgroups_thaw(process->service);
}

void process_signal(struct process *process, int signo)
{
    log_signal_failure(process, signo, process_deliver(process, signo));
    if (needs_continue(signo))
        process_deliver(process, SIGCONT);
    thaw(process);
}

void process_send(struct process *process, int signo)
{
    log_signal_failure(process, signo, process_deliver(process, signo));
}

void process_signal_own_group(struct process *process, int signo)
{
    struct procgroup group = process_group(process);

    log_signal_failure(process, signo, procgroup_signal(&group, signo));
    if (needs_continue(signo))
        procgroup_signal(&group, SIGCONT);
}

/* A main process that was found, or named, may have made a session of its own since, or before. */
static bool has_left_its_group(const struct process *process)
{
    const struct svc *svc = process->service->svc;
    struct procfs_stat st;

    return process_role(process) == ROLE_SERVICE && svc_main_is_found(svc) && svc_has_process(svc) &&
           procfs_read_stat(svc->proc.pid, &st) == 0 && st.pgrp != svc->group;
}

static void signal_cgroup(struct process *process, int signo)
{
    log_signal_failure(process, signo, cgroups_signal(process->service, signo));
    if (needs_continue(signo))
        cgroups_signal(process->service, SIGCONT);
}

void process_signal_all(struct process *process, int signo)
{
    /* Before its exec the child may not have called setsid() yet: its group is still ours. */
    if (process_before_exec(process)) {
        process_signal(process, signo);
        return;
    }
    if (cgroups_is_whole(process)) {
        tree_name(process, signo);
        signal_cgroup(process, signo);
        if (cgroups_has_left(process->service))
            process_signal(process, signo);
    } else {
        if (has_left_its_group(process))
            process_signal(process, signo);
        tree_signal(process, signo);
    }
    thaw(process);
}

/* ---- fork and exec ---- */

/* What is still in the pipe is read when the child's end is told. */
static void unwatch_report(struct process *process)
{
    loop_io_free(process->report);
    process->report = NULL;
}

static void close_report(struct process *process)
{
    struct supervisor *sup = process->service->sup;

    if (process->report_fd < 0)
        return;
    unwatch_report(process);
    close(process->report_fd);
    process->report_fd = -1;
    sup->pre_exec--;
    if (sup->pre_exec == 0)
        spawn_rest();
    persist_after_exec(sup);
    if (!TAILQ_EMPTY(&sup->starts))
        queue_wake(sup);
}

static void add_child(struct process *process, pid_t pid)
{
    process->is_child = true;
    process->pid_key = pid;
    lookup_add(&process->service->sup->children, process);
}

void process_forget_child(struct process *process)
{
    if (!process->is_child)
        return;
    lookup_remove(&process->service->sup->children, process);
    process->is_child = false;
}

bool process_is_pinned(const struct process *process)
{
    return process->is_child && process->reaped != process->pid_key;
}

static bool has_pid(const void *item, const void *key)
{
    const struct process *process = item;

    return process->pid_key == *(const int32_t *)key;
}

uint32_t process_hash(const void *item)
{
    const struct process *process = item;

    return lookup_hash_number((uint32_t)process->pid_key);
}

static struct process *find_child(struct supervisor *sup, pid_t pid)
{
    int32_t key = pid;

    return lookup_find(&sup->children, lookup_hash_number((uint32_t)key), has_pid, &key);
}

bool process_is_known_child(struct supervisor *sup, pid_t pid)
{
    return find_child(sup, pid) != NULL;
}

/* What /proc tells of our child, which is not reaped, so its number is its own.  All zero: nothing is to be learnt. */
static struct procfs_stat child_stat(const struct process *process)
{
    struct procfs_stat st;

    return procfs_read_stat(process->pid_key, &st) == 0 ? st : (struct procfs_stat){0};
}

static void on_exec(struct process *process)
{
    uint64_t start_ticks = process_start(process);

    /* One that ends gives its memory back before its end of the pipe. */
    if (start_ticks == 0 || !identity_has_memory(process->pid_key)) {
        struct procfs_stat st = child_stat(process);

        /* Its end tells more than the closing of the pipe, which comes a moment before it can be waited for. */
        if (st.died_before_exec || procfs_is_dead(&st)) {
            unwatch_report(process);
            return;
        }
        start_ticks = st.start_ticks;
    }
    /* In this order: what closes may write the state file anew, where no record of the child's own will be. */
    process_tell_execed(process, start_ticks);
    close_report(process);
    store_add(process);
}

static void on_report(void *ctx)
{
    struct process *process = ctx;
    char text[SVC_REASON_MAX];

    switch (spawn_report_read(process->report_fd, text, sizeof text)) {
    case SPAWN_PENDING:
        return;
    case SPAWN_CLOSED:
        on_exec(process);
        return;
    case SPAWN_FAILED:
        free(process->failure);
        process->failure = xstrdup(text);
        unwatch_report(process);
        return;
    }
}

static bool spawn(struct process *process, const struct svc_stop_params *stop, struct spawn_child *child, char *err,
                  size_t err_size)
{
    struct service *service = process->service;
    struct supervisor *sup = service->sup;
    uint8_t record[RECORD_MAX];
    struct spawn_request request = {
        .spec = service->spec,
        .command = process == &service->main ? NULL : process_argv(process),
        .baseline = &sup->baseline,
        .instance_id = sup->lock.instance,
        .record = record,
        .state_fd = statefile_fd(sup->state),
    };

    request.record_len = record_encode_spawn(record, process_role(process), service->spec->name, service->svc,
                                             service->digest, stop, clock_now());
    bool serves = process_role(process) == ROLE_SERVICE || process_role(process) == ROLE_START;
    bool made = (!serves || sockets_ready(service, &request, err, err_size)) &&
                messages_prepare(service, process_role(process), err, err_size) &&
                readiness_prepare(service, process_role(process), &request.ready_fd, err, err_size) &&
                events_prepare(service, &request.stdin_fd, err, err_size) &&
                logs_prepare(service, process_role(process), &request, err, err_size) &&
                cgroups_prepare(service, &request, err, err_size);
    if (made && serves)
        kept_ready(service, &request);
    request.variables = process_variables(process);
    if (process_role(process) == ROLE_SERVICE)
        request.watchdog = service->spec->life->watchdog;
    if (made)
        made = spawn_process(&request, child, err, err_size);
    if (request.ready_fd > 0)
        close(request.ready_fd);
    if (request.cgroup_fd > 0)
        close(request.cgroup_fd);
    if (request.stdin_fd > 0)
        close(request.stdin_fd);
    for (int error = 0; error < 2; error++) {
        if (request.match_fds[error] > 0)
            close(request.match_fds[error]);
    }
    strv_free(request.command);
    strv_free(request.variables);
    return made;
}

void process_fork(struct process *process)
{
    struct service *service = process->service;
    struct supervisor *sup = service->sup;
    struct svc_stop_params stop = svc_stop_params(service->spec);
    char err[SVC_REASON_MAX];
    struct spawn_child child;

    thaw(process); /* a stop-command would hang before its exec */
    if (!spawn(process, &stop, &child, err, sizeof err)) {
        process_tell_fork_failed(process, err);
        return;
    }
    process->pidfd = child.pidfd;
    process->check_after_reap = false;
    process->ours = true;
    process->reaped = 0;
    add_child(process, child.pid);
    process->report_fd = child.report_fd;
    process->report = loop_io_new(sup->loop, child.report_fd, LOOP_READ, on_report, process);
    sup->pre_exec++;
    process_tell_forked(process, (struct svc_event){
                                     .pid = child.pid,
                                     .start_ticks = child.start_ticks,
                                     .inode = identity_inode(child.pidfd),
                                     .digest = service->digest,
                                     .stop = stop,
                                 });
    drop_pidfd(process);
}

/* ---- ends ---- */

/* What the report pipe of an ended child says: true with TEXT when it failed before its exec. */
static bool final_report(struct process *process, int wait_status, uint64_t start_ticks, char *text, size_t size)
{
    bool failed = false;

    if (process->failure) {
        snprintf(text, size, "%s", process->failure);
        failed = true;
    } else if (process->report_fd >= 0) {
        failed = spawn_report_read(process->report_fd, text, size) == SPAWN_FAILED;
    }
    free(process->failure);
    process->failure = NULL;

    /* A child that exits before its exec always says why, so this one was the program's own exit. */
    if (!failed && process->report_fd >= 0 && WIFEXITED(wait_status))
        process_tell_execed(process, start_ticks);
    return failed;
}

/* What a main process used, with what its cgroup tells, goes into the log; but of one that never was the program nobody
 * asks. */
static void complete_usage(const struct process *process, const struct exit_info *exit, struct usage *usage,
                           bool failed)
{
    const struct service *service = process->service;
    char words[USAGE_WORDS_MAX];
    char how[64];

    if (process != &process->service->main)
        return;
    cgroups_add_usage(service, usage);
    if (usage->cpu_from == USAGE_UNKNOWN)
        return;
    usage->run_time = clock_now().mono - service->svc->started.mono;
    /* What is run for an event is no service whose figures somebody looks for. */
    if (failed || service->parts->handler || log_get_level() < LOG_LEVEL_INFO)
        return;
    log_info("%s: %s %s", service->spec->name, svc_exit_words(exit, how, sizeof how),
             usage_words(usage, words, sizeof words));
}

/* One that took the place of its parent, and is ours since that has ended; NULL: it is nobody's. */
static struct process *find_moved(struct supervisor *sup, pid_t pid)
{
    struct procfs_stat st;

    if (!sup->main_moved || procfs_read_stat(pid, &st) < 0)
        return NULL;
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        if (!s->svc->moved || !svc_has_process(s->svc) || s->svc->proc.pid != pid ||
            s->svc->proc.start_ticks != st.start_ticks)
            continue;
        watch_free(s->main.watch);
        s->main.watch = NULL;
        process_inherit(&s->main);
        return &s->main;
    }
    return NULL;
}

/* What has ended is whose?  It may have said with its last words that it is not the main process any more. */
static struct process *find_ended(struct supervisor *sup, pid_t pid)
{
    struct process *process = find_child(sup, pid);

    if (process)
        messages_read(process->service);
    process = find_child(sup, pid);
    return process ? process : find_moved(sup, pid);
}

static void child_ended(void *ctx, pid_t pid, int wait_status, const struct usage *usage)
{
    struct supervisor *sup = ctx;
    struct process *process = find_ended(sup, pid);
    char text[SVC_REASON_MAX];
    uint64_t start_ticks = 0;

    if (process) {
        hold_ended(process);
        start_ticks = process_start(process) ? process_start(process) : child_stat(process).start_ticks;
    }
    bool reaped = sigchld_settle(sup->sigchld, pid, &wait_status);
    if (!process) {
        /* A helper of an upgrade, or one that we trace; else a stranger that was handed to us, and reaped, and that is all. */
        upgrade_child_ended(sup, pid, wait_status);
        watcher_traced_ended(sup->watcher, pid, wait_status);
        return;
    }

    if (reaped)
        process->reaped = pid;
    bool failed = final_report(process, wait_status, start_ticks, text, sizeof text);
    struct exit_info exit = {.source = EXIT_SOURCE_WAIT};
    identity_exit_from_wait_status(wait_status, &exit);
    struct usage used = *usage;
    complete_usage(process, &exit, &used, failed);
    process_tell_exited(process, exit, &used, start_ticks, failed ? text : NULL);
    close_report(process);
}

static void child_reaped(void *ctx, pid_t pid)
{
    struct supervisor *sup = ctx;
    struct process *process = find_child(sup, pid);

    if (!process)
        return;
    process_forget_child(process);
    process->reaped = pid;
    service_update_busy(process->service);
    leftovers_leader_reaped(process);
}

static bool traced_stopped(void *ctx, const siginfo_t *info)
{
    struct supervisor *sup = ctx;

    return watcher_traced_stopped(sup->watcher, info);
}

static void on_adopted_ended(void *ctx, const struct exit_info *exit)
{
    struct process *process = ctx;
    int32_t pid = process_pid(process);

    messages_read(process->service);
    /* One that was handed to us by the end of its parent is the sweep's, which knows best how it ended. */
    if (process_pid(process) == pid && process->service->svc->moved)
        sigchld_sweep(process->service->sup->sigchld);
    if (process_pid(process) != pid)
        return;
    struct usage usage = identity_zombie_usage(process_pid(process), process_start(process));

    watch_free(process->watch);
    process->watch = NULL;
    complete_usage(process, exit, &usage, false);
    process_tell_exited(process, *exit, &usage, 0, NULL);
}

void process_watch_adopted(struct process *process)
{
    process->watch = watch_new(process->service->sup->watcher, process->pidfd, process_pid(process),
                               process_start(process), on_adopted_ended, process);
}

void process_inherit(struct process *process)
{
    process->ours = true;
    add_child(process, process_pid(process));
}

void process_release(struct process *process)
{
    close_report(process);
    free(process->failure);
    process->failure = NULL;
    watch_free(process->watch);
    process->watch = NULL;
    tree_release(process);
    leftovers_free(process->leftovers);
    process->leftovers = NULL;
    store_remove(process);
    if (process->pidfd >= 0)
        close(process->pidfd);
    process->pidfd = -1;
}

/* Who lives must be taken back, if not in the way that was asked for then in another. */
static struct watcher *open_watcher(struct supervisor *sup, bool must, char *err, size_t err_size)
{
    struct watcher *watcher = watcher_new(sup->loop, sup->sigchld, sup->config->settings.watch, err, err_size);

    if (watcher || !must)
        return watcher;
    log_error("%s; services are running, so they are watched by `auto` until supd is started again", err);
    return watcher_new(sup->loop, sup->sigchld, "auto", err, err_size);
}

bool process_watch_ends(struct supervisor *sup, bool must, char *err, size_t err_size)
{
    static const struct sigchld_handlers handlers = {
        .ended = child_ended, .reaped = child_reaped, .stopped = traced_stopped};
    const char *why = NULL;

    procfs_keep_own();
    sup->sigchld = sigchld_new(sup->loop, &handlers, sup, &why);
    if (!sup->sigchld) {
        snprintf(err, err_size, "cannot watch for SIGCHLD: %s", why);
        return false;
    }
    sup->watcher = open_watcher(sup, must, err, err_size);
    return sup->watcher != NULL;
}
