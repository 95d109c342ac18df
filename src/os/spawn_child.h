/* SPDX-License-Identifier: MIT */
/*
 * What the child does between fork and exec.  For spawn.c alone.
 */
#ifndef SUPD_OS_SPAWN_CHILD_H
#define SUPD_OS_SPAWN_CHILD_H

#include "os/spawn.h"

#define SPAWN_REPORT_MAX 2048 /* less than PIPE_BUF: a report is written in one piece */

/*
 * Carries out REQ in the process that calls it, a child of PARENT with all signals
 * blocked, up to its exec.  JOIN: it is not in the cgroup of REQ yet.  A step that fails is told on REPORT_FD, and the
 * process exits with the code that systemd.exec(5) gives to that step.
 */
_Noreturn void spawn_child_run(const struct spawn_request *req, pid_t parent, int report_fd, bool join);

/* The same, but only what spawn_try_attributes() is about; exits with 0 when all of it could be had. */
_Noreturn void spawn_child_try(const struct spawn_request *req, pid_t parent, int report_fd);

/* The value in /proc/self/oom_score_adj; false when it cannot be read. */
bool spawn_read_oom_score_adj(int *value);

#endif
