/* SPDX-License-Identifier: MIT */
/*
 * The processes of services: from the fork to the end of the last one of a group.
 */
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
#include "os/clock.h"
#include "os/identity.h"
#include "os/procfs.h"
#include "os/procgroup.h"
#include "supd/supervisor.h"
#include "supd/upgrade.h"

/* Members of a group that are watched at a time; when they have ended it is looked at again. */
#define LEFTOVERS_MAX 32
/* How often it is looked at where no member could be opened. */
#define LEFTOVERS_POLL (100 * USEC_PER_MSEC)

/* Processes of a group whose leader has ended. */
struct leftovers {
    struct service *service;
    size_t n;
    struct leftover {
        struct leftovers *all;
        int pidfd; /* -1: has ended */
        struct loop_io *io;
    } items[LEFTOVERS_MAX];
    struct loop_timer *timer;
};

/* ---- leftovers ---- */

static void leftovers_free(struct leftovers *left)
{
    if (!left)
        return;
    for (size_t i = 0; i < left->n; i++) {
        loop_io_free(left->items[i].io);
        if (left->items[i].pidfd >= 0)
            close(left->items[i].pidfd);
    }
    loop_timer_free(left->timer);
    free(left);
}

static struct procgroup group_of(const struct service *service)
{
    return (struct procgroup){
        .pgid = service->svc.group,
        .leader_pidfd = service->pidfd,
        .leader_pinned = service->is_child,
        .leader_start = service->svc.proc.start_ticks,
    };
}

static void count_group(struct service *service)
{
    struct procgroup group = group_of(service);
    struct leftovers *left = xcalloc(1, sizeof *left);
    int pidfds[LEFTOVERS_MAX];
    size_t total = 0;

    left->service = service;
    if (procgroup_alive(&group))
        total = procgroup_open(&group, pidfds, LEFTOVERS_MAX);
    left->n = total < LEFTOVERS_MAX ? total : LEFTOVERS_MAX;
    for (size_t i = 0; i < left->n; i++)
        left->items[i] = (struct leftover){.all = left, .pidfd = pidfds[i]};

    leftovers_free(service->leftovers);
    service->leftovers = left;
    service_event(service,
                  &(struct svc_event){.type = SVC_EV_GROUP, .life = service->svc.life, .group_left = (unsigned)total});
}

static void on_leftovers_timer(void *ctx)
{
    struct leftovers *left = ctx;

    count_group(left->service);
}

static void on_leftover_ended(void *ctx)
{
    struct leftover *item = ctx;
    struct leftovers *left = item->all;

    loop_io_free(item->io);
    item->io = NULL;
    close(item->pidfd);
    item->pidfd = -1;
    for (size_t i = 0; i < left->n; i++) {
        if (left->items[i].pidfd >= 0)
            return;
    }
    count_group(left->service);
}

void process_watch_group(struct service *service)
{
    struct leftovers *left = service->leftovers;
    struct loop *loop = service->sup->loop;
    bool watched = false;

    for (size_t i = 0; i < left->n; i++) {
        struct leftover *item = &left->items[i];

        if (item->pidfd >= 0 && !item->io)
            item->io = loop_io_new(loop, item->pidfd, LOOP_READ, on_leftover_ended, item);
        watched = watched || item->io;
    }
    if (watched || left->timer)
        return;
    /* None could be opened (we are short of descriptors): look again. */
    left->timer = loop_timer_new(loop, on_leftovers_timer, left);
    loop_timer_set(left->timer, LEFTOVERS_POLL);
}

void process_check_group(struct service *service)
{
    /* While the leader is a zombie it counts as a member. */
    if (service->is_child)
        service->check_after_reap = true;
    else
        count_group(service);
}

/* ---- signals ---- */

static void log_signal_failure(const struct service *service, int signo, int error)
{
    char name[16];

    if (error < 0 && error != -ESRCH)
        log_error("%s: sending SIG%s: %s", service->spec->name, signal_to_name(signo, name), strerror(-error));
}

/* A stopped process does not see any signal but SIGKILL before it goes on. */
static bool needs_continue(int signo)
{
    return signo != SIGKILL && signo != SIGCONT;
}

/* By pidfd; a child of ours that is not reaped may be named by its number in a sandbox without pidfds. */
static int signal_main(const struct service *service, int signo)
{
    if (service->pidfd >= 0)
        return identity_signal(service->pidfd, signo);
    if (service->is_child)
        return kill(service->pid_key, signo) < 0 ? -errno : 0;
    return -ESRCH;
}

void process_signal_main(struct service *service, int signo)
{
    log_signal_failure(service, signo, signal_main(service, signo));
    if (needs_continue(signo))
        signal_main(service, SIGCONT);
}

void process_signal_group(struct service *service, int signo)
{
    /* Before its exec the child may not have called setsid() yet: its group is still ours. */
    if (service->svc.pre_exec) {
        process_signal_main(service, signo);
        return;
    }
    struct procgroup group = group_of(service);
    if (group.pgid <= 0)
        return;
    log_signal_failure(service, signo, procgroup_signal(&group, signo));
    if (needs_continue(signo))
        procgroup_signal(&group, SIGCONT);
}

/* ---- fork and exec ---- */

static void close_report(struct service *service)
{
    struct supervisor *sup = service->sup;

    if (service->report_fd < 0)
        return;
    loop_io_free(service->report);
    service->report = NULL;
    close(service->report_fd);
    service->report_fd = -1;
    sup->pre_exec--;
    persist_after_exec(sup);
    if (!TAILQ_EMPTY(&sup->starts))
        queue_wake(sup);
}

/* When our child began; 0: not to be learnt.  It is not reaped, so its number is its own. */
static uint64_t child_start_ticks(const struct service *service)
{
    struct procfs_stat st;

    return procfs_read_stat(service->pid_key, &st) == 0 ? st.start_ticks : 0;
}

static void tell_execed(struct service *service)
{
    service_event(service, &(struct svc_event){.type = SVC_EV_EXECED,
                                               .life = service->svc.life,
                                               .start_ticks = child_start_ticks(service)});
}

/* Has the child ended already?  Then its end tells more than the closing of the pipe. */
static bool child_has_ended(const struct service *service)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)service->pid_key, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

static void on_report(void *ctx)
{
    struct service *service = ctx;

    /* What the pipe says about a failure, or a death, is read together with the end: child_ended(). */
    if (child_has_ended(service))
        return;
    char text[SVC_REASON_MAX];
    switch (spawn_report_read(service->report_fd, text, sizeof text)) {
    case SPAWN_PENDING:
        return;
    case SPAWN_CLOSED:
        if (child_has_ended(service))
            return;
        /* In this order: what closes may write the state file anew, where no record of the child's own will be. */
        tell_execed(service);
        close_report(service);
        store_add(service);
        return;
    case SPAWN_FAILED:
        free(service->failure);
        service->failure = xstrdup(text);
        loop_io_free(service->report);
        service->report = NULL;
        return;
    }
}

void process_fork(struct service *service)
{
    struct supervisor *sup = service->sup;
    struct svc_stop_params stop = service_stop_params(service->spec);
    uint8_t record[RECORD_MAX];
    char err[SVC_REASON_MAX];
    struct spawn_child child;
    struct spawn_request request = {
        .spec = service->spec,
        .baseline = &sup->baseline,
        .instance_id = sup->lock.instance,
        .record = record,
        .state_fd = statefile_fd(sup->state),
    };

    request.record_len = record_encode_spawn(record, ROLE_SERVICE, service->spec->name, &service->svc, service->digest,
                                             &stop, clock_now());
    if (!spawn_process(&request, &child, err, sizeof err)) {
        service_event(service, &(struct svc_event){.type = SVC_EV_FORK_FAILED, .life = service->svc.life, .text = err});
        return;
    }

    service->pidfd = child.pidfd;
    service->is_child = true;
    service->check_after_reap = false;
    service->pid_key = child.pid;
    HASH_ADD(by_pid, sup->children, pid_key, sizeof service->pid_key, service);
    service->report_fd = child.report_fd;
    service->report = loop_io_new(sup->loop, child.report_fd, LOOP_READ, on_report, service);
    sup->pre_exec++;
    service_event(service, &(struct svc_event){
                               .type = SVC_EV_FORKED,
                               .life = service->svc.life,
                               .pid = child.pid,
                               .inode = identity_inode(child.pidfd),
                               .digest = service->digest,
                               .stop = stop,
                           });
}

/* ---- ends ---- */

static void tell_exited(struct service *service, struct exit_info exit, uint64_t start_ticks, const char *text)
{
    exit.at = clock_now().wall;
    service_event(
        service,
        &(struct svc_event){
            .type = SVC_EV_EXITED, .life = service->svc.life, .exit = exit, .start_ticks = start_ticks, .text = text});
}

/* What the report pipe of an ended child says: true with TEXT when it failed before its exec. */
static bool final_report(struct service *service, int wait_status, char *text, size_t size)
{
    bool failed = false;

    if (service->failure) {
        snprintf(text, size, "%s", service->failure);
        failed = true;
    } else if (service->report_fd >= 0) {
        failed = spawn_report_read(service->report_fd, text, size) == SPAWN_FAILED;
    }
    free(service->failure);
    service->failure = NULL;

    /* A child that exits before its exec always says why, so this one was the program's own exit. */
    if (!failed && service->report_fd >= 0 && WIFEXITED(wait_status))
        tell_execed(service);
    return failed;
}

static void child_ended(void *ctx, pid_t pid, int wait_status)
{
    struct supervisor *sup = ctx;
    int32_t key = pid;
    struct service *service;
    char text[SVC_REASON_MAX];

    HASH_FIND(by_pid, sup->children, &key, sizeof key, service);
    if (!service) {
        /* A helper of an upgrade, or one that we trace; else a stranger that was handed to us, and reaped, and that is all. */
        upgrade_child_ended(sup, pid, wait_status);
        watcher_traced_ended(sup->watcher, pid, wait_status);
        return;
    }

    bool failed = final_report(service, wait_status, text, sizeof text);
    struct exit_info exit = {.source = EXIT_SOURCE_WAIT};
    identity_exit_from_wait_status(wait_status, &exit);
    tell_exited(service, exit, child_start_ticks(service), failed ? text : NULL);
    close_report(service);
}

static void child_reaped(void *ctx, pid_t pid, const struct rusage *usage)
{
    struct supervisor *sup = ctx;
    int32_t key = pid;
    struct service *service;

    (void)usage;
    HASH_FIND(by_pid, sup->children, &key, sizeof key, service);
    if (!service)
        return;
    HASH_DELETE(by_pid, sup->children, service);
    service->is_child = false;
    service_update_busy(service);
    if (service->check_after_reap) {
        service->check_after_reap = false;
        count_group(service);
    }
}

static bool traced_stopped(void *ctx, const siginfo_t *info)
{
    struct supervisor *sup = ctx;

    return watcher_traced_stopped(sup->watcher, info);
}

static void on_adopted_ended(void *ctx, const struct exit_info *exit)
{
    struct service *service = ctx;

    watch_free(service->watch);
    service->watch = NULL;
    tell_exited(service, *exit, 0, NULL);
}

void process_watch_adopted(struct service *service)
{
    service->watch = watch_new(service->sup->watcher, service->pidfd, service->svc.proc.pid,
                               service->svc.proc.start_ticks, on_adopted_ended, service);
}

void process_inherit(struct service *service)
{
    service->is_child = true;
    service->pid_key = service->svc.proc.pid;
    HASH_ADD(by_pid, service->sup->children, pid_key, sizeof service->pid_key, service);
}

void process_release(struct service *service)
{
    if (service->report_fd >= 0)
        close_report(service);
    free(service->failure);
    service->failure = NULL;
    watch_free(service->watch);
    service->watch = NULL;
    leftovers_free(service->leftovers);
    service->leftovers = NULL;
    store_remove(service);
    if (service->pidfd >= 0)
        close(service->pidfd);
    service->pidfd = -1;
}

bool process_init(struct supervisor *sup, char *err, size_t err_size)
{
    static const struct sigchld_handlers handlers = {
        .ended = child_ended, .reaped = child_reaped, .stopped = traced_stopped};
    const char *why = NULL;

    sup->sigchld = sigchld_new(sup->loop, &handlers, sup, &why);
    if (!sup->sigchld) {
        snprintf(err, err_size, "cannot watch for SIGCHLD: %s", why);
        return false;
    }
    sup->watcher = watcher_new(sup->loop, sup->sigchld, sup->config->settings.watch, err, err_size);
    return sup->watcher != NULL;
}
