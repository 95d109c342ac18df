/* SPDX-License-Identifier: MIT */
/*
 * The ends of our children: SIGCHLD through a libevent signal event whose action
 * is replaced by ours (SA_SIGINFO | SA_NOCLDSTOP), docs/sigchld.md.
 *
 * A standard signal is not queued, so si_pid is a hint only: every callback first
 * takes the pids that the handler noted and then sweeps waitid(P_ALL) until no
 * ended child is left.  Each end is shown to the owner while the child is still a
 * zombie (its pid is pinned: the end can be recorded before it is reaped), and
 * then reaped with wait4(2); but for those whose status only that tells, see
 * sigchld_settle().
 */
#ifndef SUPD_LOOP_SIGCHLD_H
#define SUPD_LOOP_SIGCHLD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/usage.h"
#include "loop/loop.h"

struct sigchld;

struct sigchld_handlers {
    /* A child has ended and is a zombie.  WAIT_STATUS as of wait(2), see sigchld_settle(); USAGE without .run_time. */
    void (*ended)(void *ctx, pid_t pid, int wait_status, const struct usage *usage);
    /* It was reaped just now, after ended(). */
    void (*reaped)(void *ctx, pid_t pid);
    /*
     * A process that we trace has stopped.  INFO as of waitid(2), not consumed.  True: it was let go on, or is kept
     * as it is and not shown again.  False, or NULL here: it is none that anybody meant to trace, and is detached.
     */
    bool (*stopped)(void *ctx, const siginfo_t *info);
};

/*
 * Installs the handler.  One at a time in a process (the handler's ring is
 * global).  NULL with the reason in *WHY (static) when this libevent does not signal
 * through a handler, or the system refused.
 */
struct sigchld *sigchld_new(struct loop *loop, const struct sigchld_handlers *handlers, void *ctx, const char **why);

/*
 * How PID has ended, for ended(): *WAIT_STATUS is what it was told.  Before Linux 5.17 a zombie shows how its first thread
 * ended: 0 where that left before the others, however the process ended then.  Where that may be so PID is reaped here, for
 * nothing else tells, and *WAIT_STATUS set right.  True: it was reaped, its number is its own no more.
 */
bool sigchld_settle(struct sigchld *sigchld, pid_t pid, int *wait_status);

/* The same of any zombie that shows us its end: of a process that we trace, which is its parent's afterwards. */
bool sigchld_settle_status(pid_t pid, int *wait_status);

/* Looks for ended children now: call once after sigchld_new(), for those that ended before the handler stood. */
void sigchld_sweep(struct sigchld *sigchld);

/* Are there ends that no sweep has come to yet, as far as is known? */
bool sigchld_is_behind(const struct sigchld *sigchld);

/* Whether the stops of traced processes wake us too; those of children that are not traced then do as well. */
void sigchld_hear_stops(struct sigchld *sigchld, bool on);

/* Is CODE, si_code of waitid(2), an end?  And INFO of an end as a wait status, wait(2). */
bool sigchld_is_end(int code);
int sigchld_wait_status(const siginfo_t *info);

void sigchld_free(struct sigchld *sigchld);

struct sigchld_stats {
    uint64_t handler_runs;
    uint64_t ring_overflows;
    uint64_t reaped;
};

struct sigchld_stats sigchld_stats(const struct sigchld *sigchld);

#endif
