/* SPDX-License-Identifier: MIT */
/*
 * By looking, five times a second, with one timer for all.  It works everywhere,
 * and never learns a status: that is the price of asking nobody for anything.
 */
#include <errno.h>
#include <signal.h>

#include "base/units.h"
#include "loop/watch_way.h"
#include "os/identity.h"
#include "os/procfs.h"

#define POLL_INTERVAL (200 * USEC_PER_MSEC)

/* The process is gone, or a zombie, or its number is another's. */
static bool is_gone(const struct watch *watch)
{
    struct procfs_stat st;

    if (kill(watch->pid, 0) == -1 && errno == ESRCH)
        return true;
    /* Where there is a pidfd, a number that was used again within one tick of the clock deceives nobody. */
    if (watch->pidfd >= 0 && identity_has_ended(watch->pidfd, watch->pid, watch->start_ticks))
        return true;
    int rc = procfs_read_stat(watch->pid, &st);
    if (rc < 0)
        return rc == -ESRCH;
    return st.start_ticks != watch->start_ticks || procfs_is_dead(&st);
}

static struct watch *next_gone(struct watcher *watcher)
{
    struct watch *watch = watcher->watches;

    while (watch != NULL && !watch->gone)
        watch = watch->by_pid.next;
    return watch;
}

static void on_poll(void *ctx)
{
    static const struct exit_info unknown = {.how = EXIT_HOW_UNKNOWN, .source = EXIT_SOURCE_NONE};
    struct watcher *watcher = ctx;
    struct watch *watch;

    for (watch = watcher->watches; watch != NULL; watch = watch->by_pid.next) {
        if (watch->polled && is_gone(watch)) {
            watch->polled = false;
            watch->gone = true;
        }
    }
    /* Any watch may be freed while an end is told: the table is walked anew after each. */
    while ((watch = next_gone(watcher)) != NULL) {
        watch->gone = false;
        watch->fn(watch->ctx, &unknown);
    }
    if (watcher->watches != NULL)
        loop_timer_set(watcher->poll_timer, POLL_INTERVAL);
}

static void poll_add(struct watch *watch)
{
    struct watcher *watcher = watch->watcher;

    watch->polled = true;
    if (watcher->poll_timer == NULL)
        watcher->poll_timer = loop_timer_new(watcher->loop, on_poll, watcher);
    loop_timer_set(watcher->poll_timer, 0);
}

static void poll_remove(struct watch *watch)
{
    watch->polled = false;
}

const struct watch_way watch_way_poll = {
    .name = "poll",
    .add = poll_add,
    .remove = poll_remove,
};
