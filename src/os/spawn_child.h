/* SPDX-License-Identifier: MIT */
/*
 * What the child does between fork and exec.  For spawn.c alone.
 */
#ifndef SUPD_OS_SPAWN_CHILD_H
#define SUPD_OS_SPAWN_CHILD_H

#include "os/spawn.h"

struct spawn_variables;

#define SPAWN_REPORT_MAX 2048 /* less than PIPE_BUF: a report is written in one piece */

/* Where the child comes from. */
struct spawn_origin {
    pid_t parent;
    bool join;                         /* it is not in the cgroup of the request yet */
    bool handlers_reset;               /* those of its parent are gone; what that ignores is still ignored */
    uint64_t not_before;               /* clock_boot_ticks() before its fork; 0: its start is to be learnt from /proc */
    struct spawn_variables *variables; /* its environment, but for its own pid; NULL: it has to put that together */
};

/*
 * Carries out REQ in the process that calls it, a child with all signals blocked, up to its exec.  A step that fails is
 * told on REPORT_FD, and the process exits with the code that systemd.exec(5) gives to that step.
 */
_Noreturn void spawn_child_run(const struct spawn_request *req, const struct spawn_origin *origin, int report_fd);

/* The same, but only what spawn_try_attributes() is about; exits with 0 when all of it could be had. */
_Noreturn void spawn_child_try(const struct spawn_request *req, pid_t parent, int report_fd);

/* Does SPEC ask for anything that the kernel may refuse? */
bool spawn_has_attributes(const struct spec *spec);
/* Does SPEC ask for limits? */
bool spawn_has_limits(const struct spec *spec);

/* The value in FD, which is /proc/self/oom_score_adj; false when it cannot be read. */
bool spawn_read_oom_score_adj(int fd, int *value);

#endif
