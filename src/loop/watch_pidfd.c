/* SPDX-License-Identifier: MIT */
#include "loop/watch_pidfd.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/identity.h"

/* A parent may be slow to reap, and without rights in /proc the status is told only once it has. */
#define PATIENCE (2 * USEC_PER_SEC)
/* The first pause between two looks; it doubles. */
#define FIRST_PAUSE (1 * USEC_PER_MSEC)
#define LONGEST_PAUSE (100 * USEC_PER_MSEC)

struct watch_pidfd {
    struct loop *loop;
    int pidfd;
    pid_t pid;
    uint64_t start_ticks;
    watch_pidfd_fn fn;
    void *ctx;
    struct loop_io *io; /* until the process has ended */
    struct loop_timer *timer;
    int64_t give_up_at; /* mono us */
    int64_t pause;
};

/* The process has ended: tells how, or looks again in a moment. */
static void look(void *ctx)
{
    struct watch_pidfd *watch = ctx;
    struct exit_info exit = {.how = EXIT_HOW_NONE};
    int64_t now = clock_now().mono;

    if (!identity_exit_status(watch->pidfd, watch->pid, watch->start_ticks, &exit)) {
        if (now < watch->give_up_at) {
            loop_timer_set(watch->timer, watch->pause);
            watch->pause = watch->pause * 2 < LONGEST_PAUSE ? watch->pause * 2 : LONGEST_PAUSE;
            return;
        }
        exit = (struct exit_info){.how = EXIT_HOW_UNKNOWN, .source = EXIT_SOURCE_NONE};
    }
    watch->fn(watch->ctx, &exit);
}

static void on_ended(void *ctx)
{
    struct watch_pidfd *watch = ctx;

    /* It stays readable: from here on only the timer looks. */
    loop_io_free(watch->io);
    watch->io = NULL;
    watch->give_up_at = clock_now().mono + PATIENCE;
    watch->pause = FIRST_PAUSE;
    watch->timer = loop_timer_new(watch->loop, look, watch);
    look(watch);
}

struct watch_pidfd *watch_pidfd_new(struct loop *loop, int pidfd, pid_t pid, uint64_t start_ticks, watch_pidfd_fn fn,
                                    void *ctx)
{
    struct watch_pidfd *watch = xcalloc(1, sizeof(*watch));

    watch->loop = loop;
    watch->pidfd = pidfd;
    watch->pid = pid;
    watch->start_ticks = start_ticks;
    watch->fn = fn;
    watch->ctx = ctx;
    watch->io = loop_io_new(loop, pidfd, LOOP_READ, on_ended, watch);
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
