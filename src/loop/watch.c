/* SPDX-License-Identifier: MIT */
#include "loop/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "loop/watch_way.h"
#include "os/clock.h"
#include "os/identity.h"

#define PATIENCE (2 * USEC_PER_SEC)     /* for a parent that is slow to reap */
#define FIRST_RETRY (1 * USEC_PER_MSEC) /* doubled with each */
#define LAST_RETRY (100 * USEC_PER_MSEC)
#define POLL_INTERVAL (200 * USEC_PER_MSEC) /* where the loop cannot watch the pidfd */

/* ---- one process ---- */

/* How it ended, from whoever may know; false: nobody tells now. */
static bool ask(struct watch *watch, struct exit_info *exit)
{
    enum watch_answer answer = watch->watcher->way->status(watch, exit);

    if (answer == WATCH_TOLD)
        return true;
    return identity_exit_status(watch->pidfd, watch->pid, watch->start_ticks, exit) || answer == WATCH_ASK_FIRST;
}

/* It has ended: tells how, or tries again in a while, or says that it is not known. */
static void learn(struct watch *watch)
{
    struct exit_info exit = {0};
    int64_t now = clock_now().mono;

    if (!ask(watch, &exit)) {
        if (watch->give_up == 0) {
            watch->give_up = now + PATIENCE;
            watch->retry = FIRST_RETRY;
        }
        if (now < watch->give_up) {
            int64_t left = watch->give_up - now;

            loop_timer_set(watch->timer, watch->retry < left ? watch->retry : left);
            watch->retry = watch->retry < LAST_RETRY / 2 ? watch->retry * 2 : LAST_RETRY;
            return;
        }
        exit = (struct exit_info){.how = EXIT_HOW_UNKNOWN, .source = EXIT_SOURCE_NONE};
    }
    watch->fn(watch->ctx, &exit); /* may free the watch */
}

void watch_check(struct watch *watch)
{
    if (watch->give_up != 0 || identity_has_ended(watch->pidfd, watch->pid, watch->start_ticks))
        learn(watch);
    else if (watch->polled)
        loop_timer_set(watch->timer, POLL_INTERVAL);
}

static void on_timer(void *ctx)
{
    watch_check(ctx);
}

void watch_check_soon(struct watch *watch)
{
    loop_timer_set(watch->timer, 0);
}

struct watch *watch_new(struct watcher *watcher, int pidfd, pid_t pid, uint64_t start_ticks, watch_fn fn, void *ctx)
{
    struct watch *watch = xcalloc(1, sizeof(*watch));

    watch->watcher = watcher;
    watch->pidfd = pidfd;
    watch->pid = pid;
    watch->start_ticks = start_ticks;
    watch->fn = fn;
    watch->ctx = ctx;
    watch->timer = loop_timer_new(watcher->loop, on_timer, watch);
    HASH_ADD(by_pid, watcher->watches, pid, sizeof(watch->pid), watch);
    watcher->way->add(watch);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    watch->watcher->way->remove(watch);
    HASH_DELETE(by_pid, watch->watcher->watches, watch);
    loop_timer_free(watch->timer);
    free(watch);
}

/* ---- the choice ---- */

static bool have_pidfd(void)
{
    int fd = identity_pidfd(getpid());

    if (fd >= 0)
        close(fd);
    return fd != -ENOSYS; /* short of descriptors is another matter */
}

static void pick(struct watcher *watcher, const struct watch_way *way, const char *name, const char *reason)
{
    watcher->way = way;
    watcher->name = name;
    watcher->reason = xstrdup(reason);
}

static void pick_beside_pidfd(struct watcher *watcher)
{
    const char *what = NULL;

    if (identity_have_pidfd_exit()) {
        pick(watcher, &watch_way_pidfd, "pidfd",
             "pidfd: the kernel tells the exit status of processes that are not children");
        return;
    }
    int rc = watch_netlink_open(watcher, &what);
    if (rc == 0) {
        pick(watcher, &watch_way_pidfd, "pidfd+netlink",
             "pidfd, and netlink for the exit status, which this kernel does not keep (Linux 6.15 does)");
        return;
    }
    watcher->way = &watch_way_pidfd;
    watcher->name = "pidfd";
    watcher->reason = xasprintf("pidfd: this kernel keeps no exit status of processes that are not children (Linux "
                                "6.15 does); it is read from /proc while they are zombies, for there is no netlink "
                                "either (%s: %s)",
                                what, strerror(-rc));
}

static void pick_best(struct watcher *watcher)
{
    const char *what = NULL;

    if (have_pidfd())
        pick_beside_pidfd(watcher);
    else if (watch_netlink_open(watcher, &what) == 0)
        pick(watcher, &watch_way_netlink, "netlink", "netlink: there are no pidfds here");
    else
        pick(watcher, &watch_way_poll, "poll", "poll: there are neither pidfds nor the kernel's exit events here");
}

static bool pick_netlink(struct watcher *watcher, char *err, size_t err_size)
{
    const char *what = NULL;
    int rc = watch_netlink_open(watcher, &what);

    if (rc == 0) {
        pick(watcher, &watch_way_netlink, "netlink", "netlink: by configuration");
        return true;
    }
    snprintf(err, err_size,
             "watch = netlink is not possible here (%s: %s): it needs the first PID, user and network namespaces, that "
             "is no container, and before Linux 6.6 CAP_NET_ADMIN; grant that or set watch = auto",
             what, strerror(-rc));
    return false;
}

static bool pick_pidfd(struct watcher *watcher, char *err, size_t err_size)
{
    if (!have_pidfd()) {
        snprintf(err, err_size,
                 "watch = pidfd is not possible here: it needs pidfd_open(2) (Linux 5.3, and no sandbox that forbids "
                 "it); set watch = auto");
        return false;
    }
    pick(watcher, &watch_way_pidfd, "pidfd", "pidfd: by configuration");
    return true;
}

static bool pick_ptrace(struct watcher *watcher, char *err, size_t err_size)
{
    /* There is no process to try it on: this number is nobody's, which only a kernel that allows the call can tell. */
    if (ptrace(PTRACE_SEIZE, INT32_MAX, NULL, NULL) == -1 && errno != ESRCH) {
        snprintf(err, err_size,
                 "watch = ptrace is not possible here (ptrace: %s): it needs a system that allows ptrace(2); allow it "
                 "or set watch = auto",
                 strerror(errno));
        return false;
    }
    pick(watcher, &watch_way_ptrace, "ptrace", "ptrace: by configuration");
    if (watcher->sigchld != NULL)
        sigchld_hear_stops(watcher->sigchld, true);
    return true;
}

static bool pick_named(struct watcher *watcher, const char *setting, char *err, size_t err_size)
{
    if (strcmp(setting, "pidfd") == 0)
        return pick_pidfd(watcher, err, err_size);
    if (strcmp(setting, "netlink") == 0)
        return pick_netlink(watcher, err, err_size);
    if (strcmp(setting, "ptrace") == 0)
        return pick_ptrace(watcher, err, err_size);
    if (strcmp(setting, "poll") == 0)
        pick(watcher, &watch_way_poll, "poll", "poll: by configuration");
    else
        pick_best(watcher);
    return true;
}

struct watcher *watcher_new(struct loop *loop, struct sigchld *sigchld, const char *setting, char *err, size_t err_size)
{
    struct watcher *watcher = xcalloc(1, sizeof(*watcher));

    watcher->loop = loop;
    watcher->sigchld = sigchld;
    if (!pick_named(watcher, setting, err, err_size)) {
        watcher_free(watcher);
        return NULL;
    }
    return watcher;
}

void watcher_free(struct watcher *watcher)
{
    if (watcher == NULL)
        return;
    watch_netlink_close(watcher);
    loop_timer_free(watcher->poll_timer);
    free(watcher->reason);
    free(watcher);
}

const char *watcher_way(const struct watcher *watcher)
{
    return watcher->name;
}

const char *watcher_reason(const struct watcher *watcher)
{
    return watcher->reason;
}
