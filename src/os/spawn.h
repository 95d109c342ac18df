/* SPDX-License-Identifier: MIT */
/*
 * From fork to exec.
 *
 * The child shares nothing but a close-on-exec pipe with us, on which it reports
 * the step that failed, or whose closing says that exec happened.  It records
 * itself in the state file before its exec; where that fails it does not run.
 * fork semantics, not vfork: a child that hangs in a path lookup must not hang us.
 * All signals are blocked around the fork; the child resets every handler first.
 */
#ifndef SUPD_OS_SPAWN_H
#define SUPD_OS_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "core/spec.h"

/* What supd was started with and gives back to what it starts.  Taken once, before anything is raised. */
struct spawn_baseline {
    struct rlimit nofile;
    int oom_score_adj;  /* INT_MIN: could not be read */
    int oom_fd;         /* /proc/self/oom_score_adj, for what it is now; -1: could not be opened */
    uint64_t ignored;   /* 1 << (N - 1): signal N is ignored, or will be by us */
    char **environment; /* ours, without what was meant for supd alone (NOTIFY_SOCKET, WATCHDOG_*, LISTEN_*, ...) */
};

void spawn_baseline_take(struct spawn_baseline *baseline);
void spawn_baseline_clear(struct spawn_baseline *baseline);

struct spawn_request {
    const struct spec *spec;
    char **command;   /* argv; NULL: the command of SPEC */
    char **variables; /* set beside those of the service; NULL: none */
    const struct spawn_baseline *baseline;
    const char *instance_id; /* SUPD_INSTANCE */
    uint8_t *record;         /* of record_encode_spawn(); completed and written by the child */
    size_t record_len;
    int state_fd;          /* RUNTIME/state, O_APPEND */
    const int *listen_fds; /* its sockets, which it finds from descriptor 3 on */
    size_t n_listen_fds;
    const char *listen_names; /* LISTEN_FDNAMES; NULL without sockets */
    int64_t watchdog;         /* us, for WATCHDOG_USEC; 0: none */
    int ready_fd;             /* what it finds as the descriptor of spec->ready; 0: nothing */
    int cgroup_fd;            /* directory of the cgroup that it is to begin in; 0: in ours */
    int stdin_fd;             /* its stdin, whatever SPEC says; 0: as that says */
    const char *log_fifo;     /* path of the FIFO for its log; NULL: it goes where the key says */
    const char *error_fifo;   /* the same for log-error */
    int match_fds[2];         /* logmatch_new() for the one and the other; 0: none */
    const char *log_lock;     /* suplog's, for them */
    int32_t *pid_slot;        /* shared memory that its pid is to stand in; NULL: none */
    int32_t pid_flags;        /* bits that are to stand beside it */
    bool cgroup_join;         /* it goes there by itself, before its record */
};

struct spawn_child {
    pid_t pid;
    int pidfd;            /* close-on-exec; -1 in a sandbox that has none */
    int report_fd;        /* nonblocking, close-on-exec: spawn_report_read() when readable */
    uint64_t start_ticks; /* when it has begun; 0: not known, which is to be asked /proc */
};

/*
 * Makes the child.  Returns false with ERR ("fork: Resource temporarily
 * unavailable") when there is none; nothing is left behind then.
 */
bool spawn_process(const struct spawn_request *req, struct spawn_child *child, char *err, size_t err_size);

/* No child is between fork and exec: gives memory back that only many of them at once need. */
void spawn_rest(void);

/*
 * Would the kernel give a child of ours the attributes that SPEC asks for?  They
 * are tried in a process of its own, which ends before it would exec, records
 * nothing, and opens none of what the service would.  Waits for it; for no use in
 * the event loop.  False with ERR, as when the service is started, when it would not.
 */
bool spawn_try_attributes(const struct spec *spec, const struct spawn_baseline *baseline, char *err, size_t err_size);

enum spawn_outcome {
    SPAWN_PENDING, /* neither yet */
    SPAWN_CLOSED,  /* the pipe is closed: exec happened, or the child was killed before it */
    SPAWN_FAILED,  /* TEXT says which step, on what, why: "exec /usr/bin/foo: No such file or directory" */
};

enum spawn_outcome spawn_report_read(int report_fd, char *text, size_t size);

#endif
