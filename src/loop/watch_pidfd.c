/* SPDX-License-Identifier: MIT */
#include "loop/watch_pidfd.h"

#include <poll.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/identity.h"

#define PATIENCE (2 * USEC_PER_SEC)     /* for a parent that is slow to reap */
#define FIRST_RETRY (1 * USEC_PER_MSEC) /* doubled with each */
#define LAST_RETRY (100 * USEC_PER_MSEC)
#define POLL_INTERVAL (200 * USEC_PER_MSEC) /* where the loop cannot watch the pidfd */

struct watch_pidfd {
    int pidfd;
    pid_t pid;
    uint64_t start_ticks;
    watch_pidfd_fn fn;
    void *ctx;
    struct loop_io *io;
    struct loop_timer *timer;
    int64_t give_up; /* mono us; 0: its end has not been seen */
    int64_t retry;
};

static bool has_ended(const struct watch_pidfd *watch)
{
    struct pollfd pfd = {.fd = watch->pidfd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

/* It has ended: tells how, or tries again in a while, or says that it is not known. */
static void learn(struct watch_pidfd *watch)
{
    struct exit_info exit = {0};
    int64_t now = clock_now().mono;

    if (!identity_exit_status(watch->pidfd, watch->pid, watch->start_ticks, &exit)) {
        if (watch->give_up == 0)
            watch->give_up = now + PATIENCE;
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

static void on_end(void *ctx)
{
    struct watch_pidfd *watch = ctx;

    /* Told once: from here on the pidfd is always readable. */
    loop_io_free(watch->io);
    watch->io = NULL;
    watch->retry = FIRST_RETRY;
    learn(watch);
}

static void on_timer(void *ctx)
{
    struct watch_pidfd *watch = ctx;

    if (watch->give_up != 0)
        learn(watch);
    else if (has_ended(watch))
        on_end(watch);
    else
        loop_timer_set(watch->timer, POLL_INTERVAL);
}

struct watch_pidfd *watch_pidfd_new(struct loop *loop, int pidfd, pid_t pid, uint64_t start_ticks, watch_pidfd_fn fn,
                                    void *ctx)
{
    struct watch_pidfd *watch = xcalloc(1, sizeof(*watch));

    watch->pidfd = pidfd;
    watch->pid = pid;
    watch->start_ticks = start_ticks;
    watch->fn = fn;
    watch->ctx = ctx;
    watch->timer = loop_timer_new(loop, on_timer, watch);
    watch->io = loop_io_new(loop, pidfd, LOOP_READ, on_end, watch);
    if (watch->io == NULL)
        loop_timer_set(watch->timer, 0);
    return watch;
}

void watch_pidfd_free(struct watch_pidfd *watch)
{
    if (watch == NULL)
        return;
    loop_io_free(watch->io);
    loop_timer_free(watch->timer);
    free(watch);
}
