/* SPDX-License-Identifier: MIT */
#include "supd/helper_run.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "os/identity.h"

void helper_run_init(struct helper_run *run, struct loop *loop, loop_timer_fn on_timeout, void *ctx)
{
    *run = (struct helper_run){.fd = -1, .pidfd = -1, .timer = loop_timer_new(loop, on_timeout, ctx)};
}

void helper_run_begin(struct helper_run *run, struct loop *loop, int64_t timeout, loop_io_fn on_readable, void *ctx)
{
    run->io = loop_io_new(loop, run->fd, LOOP_READ, on_readable, ctx);
    loop_timer_set(run->timer, timeout);
}

bool helper_run_busy(const struct helper_run *run)
{
    return run->fd >= 0;
}

void helper_run_clear(struct helper_run *run)
{
    loop_io_free(run->io);
    run->io = NULL;
    loop_timer_clear(run->timer);
    if (run->pidfd >= 0) {
        identity_signal(run->pidfd, SIGKILL);
        close(run->pidfd);
    }
    if (run->fd >= 0)
        close(run->fd);
    run->pidfd = run->fd = -1;
}

void helper_run_free(struct helper_run *run)
{
    helper_run_clear(run);
    loop_timer_free(run->timer);
    run->timer = NULL;
}
