/* SPDX-License-Identifier: MIT */
/*
 * The life of one service, as a state machine without side effects.
 *
 *   stopped   not running, and nobody wants it to
 *   waiting   wanted, waits for its turn to be forked, or (`idle`) for a connection
 *   starting  forked; exec has not been confirmed yet
 *   running   exec succeeded (ready = exec)
 *   stopping  being ended: the stop-signal was sent, SIGKILL follows at the deadline; or the
 *             main process has ended and the rest of its process group is being ended
 *   backoff   ended unasked; a restart is timed
 *   exited    ended unasked with success, no restart due
 *   failed    ended unasked otherwise, and is not restarted any more
 *
 * Beside the state stands what is wanted (`desired`): up or down.  Every stop is
 * followed by a look at it, so "restart" is a stop while up is wanted, and a
 * `start` during a stop is not lost.
 *
 * svc_step() takes an event and the time and returns actions for the supervisor
 * to carry out, in their order.  ACT_RECORD always stands before the actions that
 * must not happen unrecorded (design: an intent is recorded before it is
 * acknowledged, the stop-signal before it is sent).  A struct svc holds no pointer
 * and may be copied: the supervisor steps a copy and commits it once its record
 * is written.
 *
 * An event belongs to one life: events about a process carry the number of its
 * life, and one of another life than the present changes nothing.
 */
#ifndef SUPD_CORE_SERVICE_H
#define SUPD_CORE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/units.h"
#include "core/policy.h"
#include "core/spec.h"

enum svc_state {
    SVC_STOPPED,
    SVC_WAITING,
    SVC_STARTING,
    SVC_RUNNING,
    SVC_STOPPING,
    SVC_BACKOFF,
    SVC_EXITED,
    SVC_FAILED,
    SVC_N_STATES
};

/* What was needed to stop this process rightly when it was started; kept with it, so that
 * a later configuration, or none at all, does not change how it is ended. */
struct svc_stop_params {
    int32_t signal;
    enum kill_mode kill_mode;
    int64_t timeout; /* us */
};

/* The process of the present life, as far as it is known. */
struct svc_proc {
    int32_t pid;          /* 0: none */
    uint64_t start_ticks; /* /proc/PID/stat field 22; 0: not known (a child of ours before its exec) */
    uint64_t inode;       /* of its pidfd, as unique as the boot (Linux 6.9); 0: not known */
    uint64_t digest;      /* spec_process_digest() it was started with */
    struct svc_stop_params stop;
};

enum svc_stop_phase { STOP_NONE, STOP_SIGNALLED, STOP_KILLED };
enum svc_stop_cause {
    STOP_BY_COMMAND,   /* stop, restart, removal, shutdown */
    STOP_BY_TIMEOUT,   /* the start took too long: policy decides afterwards */
    STOP_OF_LEFTOVERS, /* the main process ended by itself, its group is being ended: policy decides afterwards */
};

#define SVC_REASON_MAX 256

struct svc {
    enum svc_state state;
    bool desired_up;
    bool adopted;             /* its process was not forked by this supd */
    bool shutting_down;       /* supd is ending: stop, and do not come back whatever is desired */
    bool pre_exec;            /* the present process has not confirmed its exec */
    bool ended;               /* the main process of this life has ended and its exit is in `exit` */
    bool exit_pre_exec;       /* that end came before its exec */
    int64_t ended_at;         /* mono us of that end; it may have been noticed later than it happened */
    uint64_t life;            /* number of the present or last process; the count of starts */
    uint64_t restarts;        /* automatic ones */
    bool idle;                /* waiting: for something to come in at its sockets, start = on-demand */
    uint32_t demands;         /* starts that were so asked for since .demands_since, not recorded */
    int64_t demands_since;    /* mono us */
    bool next_is_restart;     /* the start that is queued or timed is an automatic one */
    uint32_t row;             /* unstable runs in a row */
    struct timestamp since;   /* of the present state */
    struct timestamp started; /* of the present life */
    int64_t deadline;         /* mono us when SVC_EV_DEADLINE is due; 0 = none */
    struct svc_proc proc;
    int32_t group; /* process group that may outlive the main process: its pid; 0: none */
    enum svc_stop_phase stop_phase;
    enum svc_stop_cause stop_cause;
    struct exit_info exit;       /* last one; how = NONE before the first */
    char reason[SVC_REASON_MAX]; /* "" = nothing to say */
};

enum svc_event_type {
    SVC_EV_START,       /* command: start */
    SVC_EV_STOP,        /* command: stop; .text: the reason to be shown, NULL for "stopped by command" */
    SVC_EV_RESTART,     /* command: restart */
    SVC_EV_RESET,       /* command: forget failures */
    SVC_EV_SHUTDOWN,    /* supd is ending */
    SVC_EV_HURRY,       /* a second SIGTERM: stop-timeout is now zero */
    SVC_EV_CONFIG,      /* .stop: how its process is to be ended from now on, by a new configuration */
    SVC_EV_BOOT,        /* after a restore: nothing more will be learnt about the past, go on from here */
    SVC_EV_SLOT,        /* its turn to be forked */
    SVC_EV_FORKED,      /* .life, .pid, .inode, .digest, .stop: the child exists */
    SVC_EV_FORK_FAILED, /* .text: why no child could be made */
    SVC_EV_EXECED,      /* .life, .start_ticks */
    SVC_EV_ADOPTED,     /* .life: the recorded process was found alive */
    SVC_EV_EXITED,      /* .life, .exit, .start_ticks, .text = reason when it ended before its exec, else NULL */
    SVC_EV_GROUP,       /* .life, .group_left: how many processes of its group are left after the main one ended */
    SVC_EV_DEMAND,      /* something has come in at a socket of one that is idle */
    SVC_EV_DEADLINE,    /* svc.deadline has come */
    SVC_EV_N
};

struct svc_event {
    enum svc_event_type type;
    uint64_t life;
    int32_t pid;
    uint64_t inode; /* of its pidfd, as unique as the boot (Linux 6.9); 0: not known */
    uint64_t digest;
    uint64_t start_ticks; /* 0: not known */
    struct svc_stop_params stop;
    struct exit_info exit;
    unsigned group_left;
    const char *text;
};

enum svc_action_type {
    ACT_RECORD,       /* write a snapshot of the service to the state file now */
    ACT_QUEUE,        /* put it into the queue for a start slot */
    ACT_UNQUEUE,      /* take it out again */
    ACT_FORK,         /* fork a child for life .life, then feed FORKED or FORK_FAILED */
    ACT_SIGNAL_MAIN,  /* send .signal to the main process */
    ACT_SIGNAL_GROUP, /* send .signal to every process of the group (before the exec: to the child only) */
    ACT_CHECK_GROUP,  /* the main process has ended: count what is left of its group, feed SVC_EV_GROUP */
    ACT_WATCH_GROUP,  /* feed SVC_EV_GROUP again when one of those left has ended */
};

struct svc_action {
    enum svc_action_type type;
    int32_t signal;
};

#define SVC_ACTIONS_MAX 8

struct svc_actions {
    size_t n;
    struct svc_action items[SVC_ACTIONS_MAX];
};

/* A service that has never run: state stopped, wanted or not as `enabled` says. */
void svc_init(struct svc *svc, const struct spec *spec, struct timestamp now);

/*
 * The one function that changes a service.  SPEC is the configuration in force
 * for it.  RNG: see policy.h.  OUT is overwritten.  The caller arms one timer for
 * svc->deadline after each step.
 */
void svc_step(struct svc *svc, const struct spec *spec, const struct svc_event *event, struct timestamp now,
              uint64_t *rng, struct svc_actions *out);

/* Has the service a process that was forked and whose end is not yet known? */
bool svc_has_process(const struct svc *svc);

/* Are its sockets to be open?  From the moment it is wanted, over restarts and backoffs, until it is stopped or given up. */
bool svc_wants_sockets(const struct svc *svc);

/* The exit in words: "exit 1", "killed by SEGV (core dumped)", "ended, status unknown". */
const char *svc_exit_words(const struct exit_info *exit, char *buf, size_t size);

const char *svc_state_name(enum svc_state state);
/* For restoring; false when WORD is none. */
bool svc_state_parse(const char *word, enum svc_state *state);

const char *exit_how_name(enum exit_how how);
const char *exit_source_name(enum exit_source source);

#endif
