/* SPDX-License-Identifier: MIT */
/*
 * Watches a process that is not our child by its pidfd, and learns how it ended:
 * from /proc while it is a zombie, by PIDFD_GET_INFO once it was reaped.  Waits
 * up to 2 s for a parent that is slow to reap; then the status is unknown.
 */
#ifndef SUPD_LOOP_WATCH_PIDFD_H
#define SUPD_LOOP_WATCH_PIDFD_H

#include <stdint.h>
#include <sys/types.h>

#include "core/policy.h"
#include "loop/loop.h"

struct watch_pidfd;

/* Called once.  EXIT has how, code, signal, core, source (.at is the caller's).  The watch may be freed in it. */
typedef void (*watch_pidfd_fn)(void *ctx, const struct exit_info *exit);

/* PIDFD stays the caller's and must outlive the watch.  A process that has ended already is told of in the next turn. */
struct watch_pidfd *watch_pidfd_new(struct loop *loop, int pidfd, pid_t pid, uint64_t start_ticks, watch_pidfd_fn fn,
                                    void *ctx);
void watch_pidfd_free(struct watch_pidfd *watch);

#endif
