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

/* For tests: do as an older kernel does, without PIDFD_SIGNAL_PROCESS_GROUP. */
void procgroup_force_scan(bool on);

#endif
