/* SPDX-License-Identifier: MIT */
/*
 * Watching processes that are not our children: one interface over four ways.
 *
 *   pidfd    a pidfd in the loop; the status from /proc while the process is a zombie, by
 *            PIDFD_GET_INFO once it was reaped (Linux 6.15)
 *   netlink  the kernel's exit events; an event is a hint to look, and tells the status
 *   poll     kill(pid, 0) and the start time in /proc, every 200 ms; the status stays unknown
 *   ptrace   PTRACE_SEIZE; the end comes through sigchld.h's sweep with its exact status
 *
 * `auto` is pidfd, with netlink beside it where the kernel keeps no exit status and
 * netlink may be opened; else netlink; else poll.  docs/watching.md compares them.
 */
#ifndef SUPD_LOOP_WATCH_H
#define SUPD_LOOP_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/policy.h"
#include "loop/loop.h"
#include "loop/sigchld.h"

struct watcher; /* what all watched processes share */
struct watch;   /* one watched process */

/* Called once.  EXIT has how, code, signal, core, source (.at is the caller's).  The watch may be freed in it. */
typedef void (*watch_fn)(void *ctx, const struct exit_info *exit);

/*
 * Opens the way that SETTING names: auto, pidfd, netlink, poll or ptrace.  LOOP and
 * SIGCHLD must outlive it.  NULL with ERR written, a sentence that names the key and
 * the remedy, when that way is not possible here.
 */
struct watcher *watcher_new(struct loop *loop, struct sigchld *sigchld, const char *setting, char *err,
                            size_t err_size);

/* Its watches are freed before it.  NULL is fine. */
void watcher_free(struct watcher *watcher);

/* What was picked: pidfd, pidfd+netlink, netlink, poll or ptrace; and why, in words.  Both live as long as the watcher. */
const char *watcher_way(const struct watcher *watcher);
const char *watcher_reason(const struct watcher *watcher);

/*
 * Watches the process PID that started at START_TICKS.  PIDFD, its pidfd, stays the
 * caller's and must outlive the watch; -1 where none can be had.  A process that has ended already
 * is told of in the next turn of the loop.
 */
struct watch *watch_new(struct watcher *watcher, int pidfd, pid_t pid, uint64_t start_ticks, watch_fn fn, void *ctx);

/* The process goes on as if it had never been watched.  NULL is fine. */
void watch_free(struct watch *watch);

/*
 * The owner of sigchld.h's handlers passes on what it is shown of processes that
 * are not its children: an end (WAIT_STATUS as of wait(2)), and a stop (INFO as of
 * waitid(2)).  Both return false for a process that is not traced here.
 */
bool watcher_traced_ended(struct watcher *watcher, pid_t pid, int wait_status);
bool watcher_traced_stopped(struct watcher *watcher, const siginfo_t *info);

#endif
