/* SPDX-License-Identifier: MIT */
/*
 * The event loop: a thin cover over libevent, so that the files above it see
 * descriptors, timers and signals and not the library.
 * Callbacks run in the loop, one at a time.  An object may be freed in any callback, its own too.
 */
#ifndef SUPD_LOOP_LOOP_H
#define SUPD_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;
struct loop_timer;
struct loop_io;
struct loop_signal;

typedef void (*loop_timer_fn)(void *ctx);
typedef void (*loop_io_fn)(void *ctx);
typedef void (*loop_signal_fn)(void *ctx, int signo);

enum loop_io_kind { LOOP_READ, LOOP_WRITE };

/* libevent's own messages go to base/log.h from now on.  NULL with errno when no loop can be had. */
struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Runs until loop_stop().  0, or -1 when libevent gave up. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Outside loop_run(): handles what has come already, signals too, and does not wait. */
void loop_drain(struct loop *loop);

/* For the other files of this layer. */
struct event_base *loop_base(struct loop *loop);

/* A timer that is not set yet. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn fn, void *ctx);
/* Fires once, DELAY us from now (0 or less: in the next turn).  Setting again replaces. */
void loop_timer_set(struct loop_timer *timer, int64_t delay);
/* Its callback comes in this turn of the loop, behind those that are due already. */
void loop_timer_soon(struct loop_timer *timer);
void loop_timer_clear(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* NULL is fine, here and below */

/* Calls FN whenever FD can be read (or is at its end), or written.  FD stays the caller's; free before closing it.
 * Where the kernel has no room for it (ENOMEM, ENOSPC: fs.epoll.max_user_watches) that is said, and tried again until it
 * has.  NULL with errno, and said in the log, when it refuses for good. */
struct loop_io *loop_io_new(struct loop *loop, int fd, enum loop_io_kind kind, loop_io_fn fn, void *ctx);
void loop_io_free(struct loop_io *io);

/* Calls FN for signal SIGNO (any but SIGCHLD, which is sigchld.h's), which is unblocked. */
struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_signal_fn fn, void *ctx);
void loop_signal_free(struct loop_signal *sig);

#endif
