/* SPDX-License-Identifier: MIT */
/*
 * By tracing: PTRACE_SEIZE makes the process show its end to our sweep (sigchld.h)
 * with the exact status, and for that it also shows each signal that comes to its main thread.
 *
 * A stop is looked at without being consumed (WNOWAIT) and answered at once: a
 * signal is passed through untouched, a group-stop is kept (PTRACE_LISTEN).  The signal is
 * then still with the process until we answer, so when supd is killed at any point the kernel lets
 * the process go on and the signal arrives.
 *
 * The pidfd is in the loop as well.  When a second thread of a program calls execve(2) it takes
 * the place of the traced thread and is not traced itself: then it is as with pidfd alone.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "base/log.h"
#include "loop/watch_way.h"
#include "os/identity.h"

/* Its number is its own for as long as it is not reaped; so whom we seized under it was it. */
static bool was_it(const struct watch *watch)
{
    return watch->pidfd < 0 || identity_signal(watch->pidfd, 0) != -ESRCH;
}

static void ptrace_add(struct watch *watch)
{
    watch_pidfd_add(watch);
    if (identity_has_ended(watch->pidfd, watch->pid, watch->start_ticks))
        return;
    int error = ptrace(PTRACE_SEIZE, watch->pid, NULL, NULL) == -1 ? errno : 0;
    /* Only its tracer can interrupt it: after a live upgrade we are that already. */
    if (error != 0 && ptrace(PTRACE_INTERRUPT, watch->pid, NULL, NULL) == -1) {
        if (!identity_has_ended(watch->pidfd, watch->pid, watch->start_ticks))
            log_warning("process %d cannot be traced (%s): how it ends may stay unknown", watch->pid, strerror(error));
        return;
    }
    if (was_it(watch))
        watch->traced = true;
    else
        ptrace(PTRACE_INTERRUPT, watch->pid, NULL, NULL);
}

/* Interrupted, it shows a stop that belongs to no watch; the sweep lets it go then.  Nothing is waited for here. */
static void ptrace_remove(struct watch *watch)
{
    watch_pidfd_remove(watch);
    if (watch->traced)
        ptrace(PTRACE_INTERRUPT, watch->pid, NULL, NULL);
}

static enum watch_answer ptrace_status(struct watch *watch, struct exit_info *exit)
{
    siginfo_t info = {0};

    if (!watch->traced || waitid(P_PID, (id_t)watch->pid, &info, WEXITED | WNOHANG | WNOWAIT) == -1)
        return WATCH_ASK;
    if (info.si_pid != watch->pid || !sigchld_is_end(info.si_code))
        return WATCH_ASK;
    int wait_status = sigchld_wait_status(&info);

    /* If it is not handed to its parent by this, the sweep finds the zombie next and does so. */
    sigchld_settle_status(watch->pid, &wait_status);
    watch->traced = false;
    exit->source = EXIT_SOURCE_PTRACE;
    identity_exit_from_wait_status(wait_status, exit);
    return WATCH_TOLD;
}

static struct watch *find_traced(struct watcher *watcher, pid_t pid)
{
    struct watch *watch = NULL;

    if (watcher != NULL)
        HASH_FIND(by_pid, watcher->watches, &pid, sizeof(pid), watch);
    return watch != NULL && watch->traced ? watch : NULL;
}

bool watcher_traced_ended(struct watcher *watcher, pid_t pid, int wait_status)
{
    struct watch *watch = find_traced(watcher, pid);
    struct exit_info exit = {.source = EXIT_SOURCE_PTRACE};

    if (watch == NULL)
        return false;
    watch->traced = false;
    identity_exit_from_wait_status(wait_status, &exit);
    watch->fn(watch->ctx, &exit);
    return true;
}

bool watcher_traced_stopped(struct watcher *watcher, const siginfo_t *info)
{
    if (find_traced(watcher, info->si_pid) == NULL)
        return false;

    int signo = info->si_status & 0xff;
    bool event = info->si_status >> 8 == PTRACE_EVENT_STOP;
    long rc;
    if (!event)
        rc = ptrace(PTRACE_CONT, info->si_pid, NULL, (void *)(long)signo);
    else if (signo == SIGTRAP)
        rc = ptrace(PTRACE_CONT, info->si_pid, NULL, NULL);
    else
        rc = ptrace(PTRACE_LISTEN, info->si_pid, NULL, NULL);
    /* ESRCH: it was killed out of its stop, and its end comes next. */
    return rc == 0 || errno == ESRCH;
}

const struct watch_way watch_way_ptrace = {
    .name = "ptrace",
    .add = ptrace_add,
    .remove = ptrace_remove,
    .status = ptrace_status,
};
