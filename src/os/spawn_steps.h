/* SPDX-License-Identifier: MIT */
/*
 * The steps of the child between fork and exec, and what their files share.  For
 * the spawn_*.c files alone.
 *
 * Each step runs in the child, carries out what the spec says and returns only when
 * it could: else spawn_fail() ends the process.  Which step comes before which, and
 * why, stands in spawn_child_run().
 */
#ifndef SUPD_OS_SPAWN_STEPS_H
#define SUPD_OS_SPAWN_STEPS_H

#include "os/spawn.h"

#define SPAWN_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Exit codes of the steps, as in systemd.exec(5); those that it has none for end with 1. */
enum {
    STEP_OTHER = 1,
    STEP_CHDIR = 200,
    STEP_NICE = 201,
    STEP_FDS = 202,
    STEP_EXEC = 203,
    STEP_LIMITS = 205,
    STEP_OOM_ADJUST = 206,
    STEP_SIGNAL_MASK = 207,
    STEP_STDIN = 208,
    STEP_STDOUT = 209,
    STEP_IOPRIO = 211,
    STEP_CPU_AFFINITY = 215,
    STEP_GROUP = 216,
    STEP_USER = 217,
    STEP_CAPABILITIES = 218,
    STEP_CGROUP = 219,
    STEP_SETSID = 220,
    STEP_STDERR = 222,
    STEP_NAMESPACE = 226,
    STEP_NO_NEW_PRIVILEGES = 227,
};

/*
 * The process that stands between its fork and its exec.
 *
 * After a fork it has to map each page of a program or a library that it executes first, at more than a microsecond a
 * piece, and to copy each that it writes to.  So what every child does goes by syscall(2), which is in one place, and
 * without stdio(3) and malloc(3).
 */
struct child {
    const struct spawn_request *req;
    const struct spec *spec;
    int report_fd;
    pid_t pid;
    pid_t parent; /* supd */
};

/* Tells what failed, with its reason ("chdir /x: No such file or directory"), and exits with CODE, one of the above. */
_Noreturn void spawn_fail(const struct child *child, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As strerror(3), which reads the heap where anybody has called bindtextdomain(3), as libconfuse does. */
const char *spawn_error(int err);

/* spawn_streams.c: descriptors 0 to 2. */
void spawn_set_streams(const struct child *child);

/* An environment.  One of the usual size is put together in here, any other is allocated and left to the exec. */
struct spawn_variables {
    char **env;
    char *pids[3]; /* where the number of the process is to stand */
    size_t n_pids;
    char *items[128];
    char text[1024];
};

/* spawn_env.c: the whole of it; CHILD needs no number yet. */
void spawn_environment(const struct child *child, struct spawn_variables *variables);
/* With the number of the process it is complete. */
char **spawn_environment_of(struct spawn_variables *variables, pid_t pid);

/* Is there room for it in struct spawn_variables? */
bool spawn_environment_fits(const struct spawn_request *req);

/* spawn_sockets.c: the sockets of the service at 3 and above; everything else there is close-on-exec already. */
void spawn_place_sockets(struct child *child);

/* spawn_attrs.c: what the kernel is told of the process beside others (nice, io-class, cpu-affinity, oom-score-adj);
 * and its limits, of which some could be in the way of what comes before. */
void spawn_set_scheduling(const struct child *child);
void spawn_set_limits(const struct child *child);

/* spawn_mounts.c: mounts of its own, private-tmp and read-only-paths. */
void spawn_set_mounts(const struct child *child);

/* spawn_ids.c: user, groups, capabilities, no-new-privileges. */
void spawn_set_rights(const struct child *child);
/* The signal that comes when supd dies. */
void spawn_set_death_signal(const struct child *child);
/* Does the service have a user, for whom it gets HOME and the like? */
bool spawn_is_other_user(const struct spec *spec);

#endif
