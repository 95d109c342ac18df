/* SPDX-License-Identifier: MIT */
/*
 * A helper process (os/helper.h) at work: what is held of it until it has answered, or has taken too long.
 */
#ifndef SUPD_SUPD_HELPER_RUN_H
#define SUPD_SUPD_HELPER_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"

struct helper_run {
    int fd;    /* its answer, nonblocking; -1: no helper is at work */
    int pidfd; /* -1: none could be had */
    struct loop_io *io;
    struct loop_timer *timer;
};

/* None is at work.  When one takes too long, ON_TIMEOUT is called with CTX. */
void helper_run_init(struct helper_run *run, struct loop *loop, loop_timer_fn on_timeout, void *ctx);

/* One was started, .fd and .pidfd are set.  When it answers, ON_READABLE is called with CTX; TIMEOUT in us. */
void helper_run_begin(struct helper_run *run, struct loop *loop, int64_t timeout, loop_io_fn on_readable, void *ctx);

bool helper_run_busy(const struct helper_run *run);

/* Lets go of the helper, dead or alive: its end is reaped with the others. */
void helper_run_clear(struct helper_run *run);

/* The same, for good. */
void helper_run_free(struct helper_run *run);

#endif
