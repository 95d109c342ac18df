/* SPDX-License-Identifier: MIT */
/*
 * The process group that a service's main process leads (it called setsid(2), so
 * group, session and first pid have one number).  The number is never used bare:
 * PIDFD_SIGNAL_PROCESS_GROUP (Linux 6.9) on the leader's pidfd, else kill(-pgid)
 * while our own unreaped leader pins the number, else each member found in /proc
 * is opened as a pidfd, verified and signalled, until a scan finds no new one.
 */
#ifndef SUPD_OS_PROCGROUP_H
#define SUPD_OS_PROCGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct procgroup {
    pid_t pgid;
    int leader_pidfd;      /* -1: not at hand */
    bool leader_pinned;    /* the leader is our child and not yet reaped */
    uint64_t leader_start; /* its start time: a member is never older */
};

/* Sends SIGNO to every process of the group.  Returns 0 when at least one was there, -ESRCH when none, or -errno. */
int procgroup_signal(const struct procgroup *group, int signo);

/* Is a process of the group alive?  Zombies do not count.  True also where that cannot be learnt (no descriptor left). */
bool procgroup_alive(const struct procgroup *group);

/*
 * Pidfds (close-on-exec, the caller's) of the living members, at most MAX, -1 for
 * one that could not be opened; returns how many living members there are in all,
 * at least 1 where that cannot be learnt.
 */
size_t procgroup_open(const struct procgroup *group, int *pidfds, size_t max);

/* For tests: do as an older kernel does, without PIDFD_SIGNAL_PROCESS_GROUP. */
void procgroup_force_scan(bool on);

#endif
