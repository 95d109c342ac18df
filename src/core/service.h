/* SPDX-License-Identifier: MIT */
/*
 * The life of one service, as a state machine without side effects.
 *
 *   stopped   not running, and nobody wants it to
 *   waiting   wanted, waits for its turn to be forked, or (`idle`) for a connection or its time
 *   starting  on its way up: pre-start, the exec, a oneshot's whole work, a forking one's main
 *             process being found, the key `ready` being met, post-start
 *   running   all that is done; a oneshot with remain-after-exit has no process then
 *   stopping  being ended: stop-command runs, the stop-signal was sent, SIGKILL follows at the deadline;
 *             or the main process has ended and the rest of its process group is being ended; or post-stop runs
 *   backoff   ended unasked; a restart is timed
 *   exited    ended unasked with success, no restart due
 *   failed    ended unasked otherwise, and is not restarted any more
 *
 * Beside the state stands what is wanted (`desired`): up or down.  Every stop is
 * followed by a look at it, so "restart" is a stop while up is wanted, and a
 * `start` during a stop is not lost.
 *
 * A service has one main process, and beside it at most one control process at a
 * time: pre-start, the start command of a forking service, post-start,
 * reload-command, stop-command, post-stop.  All belong to one life: it begins with
 * the first fork and ends when post-stop has.  No role but that of reload-command
 * is played twice in a life, and what is still to be done on the way up stands in
 * `todo`, so a supd that comes back goes on where its predecessor died.  Every fork
 * waits for its turn: ACT_QUEUE, then SVC_EV_SLOT.
 *
 * While it is up there may be a third one, that of a check (core/health.h): it forks in turns of its own, ends with its
 * service, and the service is not stopped before it is gone.
 *
 * svc_step() takes an event and the time and returns actions for the supervisor
 * to carry out, in their order.  ACT_RECORD always stands before the actions that
 * must not happen unrecorded (design: an intent is recorded before it is
 * acknowledged, the stop-signal before it is sent).  A struct svc holds no pointer
 * and may be copied: the supervisor steps a copy and commits it once its record
 * is written.
 *
 * What other services mean to this one is decided in core/graph.h.  Here it is only
 * seen that one which waits for its start gets its turn when that may be, and that
 * a stop which has to wait for other stops is kept in `stop_held`, and recorded.
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
#include "core/health.h"
#include "core/policy.h"
#include "core/spec.h"

/* Of what stands in the state of each service: packed, a byte each. */
enum __attribute__((packed)) svc_state {
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

/* What a process does for the service; recorded, so the numbers stay. */
enum __attribute__((packed)) svc_role {
    ROLE_SERVICE = 0, /* its main process */
    ROLE_PRE_START = 1,
    ROLE_START = 2, /* the command of a forking service, which starts the main process */
    ROLE_POST_START = 3,
    ROLE_RELOAD = 4,
    ROLE_STOP = 5,
    ROLE_POST_STOP = 6,
    ROLE_CHECK = 7,     /* a check of the service that runs */
    ROLE_UNHEALTHY = 8, /* the command that is run when it is found unhealthy */
    ROLE_N
};

/* Steps of the way up that are still to be done in the present life. */
enum svc_todo {
    TODO_PRE_START = 1 << 0,
    TODO_START = 1 << 1, /* to fork the main process, or the start command */
    TODO_FIND_MAIN = 1 << 2,
    TODO_POST_START = 1 << 3,
    TODO_READY = 1 << 4, /* to become ready, where that takes more than its exec */
    TODO_ALL = (1 << 5) - 1,
};

/* What the service has said of itself last, sd_notify(3).  Recorded, so the numbers stay. */
enum __attribute__((packed)) svc_told {
    TOLD_NOTHING = 0,
    TOLD_RELOADING = 1,
    TOLD_STOPPING = 2,
    TOLD_RELOAD_ASKED = 3, /* a reload was asked for that it is to tell of, and it has not yet */
    TOLD_RELOAD_BEGUN = 4, /* it says that it reloads, and who has asked for that waits for its READY */
    TOLD_N
};

/* Why a life came to nothing, where it is not the main process's own end that says so. */
enum __attribute__((packed)) svc_result {
    RESULT_NONE,
    RESULT_EXIT_CODE,      /* of pre-start, the start command or post-start */
    RESULT_SIGNAL,         /* the same */
    RESULT_UNKNOWN,        /* the same: how it ended could not be learnt */
    RESULT_TIMEOUT,        /* the start took too long */
    RESULT_RESOURCES,      /* no process could be made */
    RESULT_PROTOCOL,       /* no main process was found, or it ended with success before it was ready */
    RESULT_WATCHDOG,       /* no sign of life came in time */
    RESULT_UNHEALTHY,      /* its checks failed */
    RESULT_UNHEALTHY_STOP, /* the same, and it is not to be started again */
    RESULT_N
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

/* The control process, if there is one. */
struct svc_control {
    enum svc_role role; /* ROLE_SERVICE: there is none, and the rest is unused */
    uint32_t number;    /* within its life, from 1 */
    int32_t pid;        /* 0: waits for its turn to be forked */
    bool pre_exec;
    bool ended;           /* it has; what is left of its process group is being ended */
    uint64_t start_ticks; /* 0: not known */
    uint64_t inode;       /* 0: not known */
    struct exit_info exit;
};

/* The process of a check, or of what is run for its failure, if there is one. */
struct svc_check {
    enum svc_role role; /* ROLE_SERVICE: there is none, and the rest is unused */
    uint32_t number;    /* within its life, from 1 */
    int32_t pid;        /* 0: it is being forked */
    bool pre_exec;
    bool killed;          /* it was too slow, or its service is being ended; not recorded */
    bool ended;           /* it has; what is left of its process group is being ended */
    uint64_t start_ticks; /* 0: not known */
    uint64_t inode;       /* 0: not known */
};

/* Recorded, so the numbers stay. */
enum __attribute__((packed)) svc_stop_phase {
    STOP_NONE = 0,
    STOP_SIGNALLED = 1,
    STOP_KILLED = 2,
    STOP_COMMAND = 3, /* stop-command runs, or is about to; no signal was sent to the main process */
    STOP_POST = 4,    /* nothing is left of the service; post-stop runs, or is about to */
};
enum __attribute__((packed)) svc_stop_cause {
    STOP_BY_COMMAND = 0,   /* stop, restart, removal, shutdown */
    STOP_BY_TIMEOUT = 1,   /* the start took too long: policy decides afterwards, as after the next two */
    STOP_OF_LEFTOVERS = 2, /* the main process ended by itself; its group is being ended, or post-stop runs */
    STOP_BY_FAILURE = 3,   /* a step of the start failed */
};

#define SVC_WATCHDOG_UNKNOWN (-1) /* as the configuration says, if it is the one that the process was started with */

#define SVC_REASON_MAX 256
#define SVC_REASON_WORDS_MAX (SVC_REASON_MAX + 64) /* of svc_reason_words() */

/* In place of a process group where what is left is known by its cgroup alone: no number of the kernel's is so large. */
#define SVC_GROUP_UNKNOWN INT32_MAX

/* What most services have nothing of most of the time. */
struct svc_rare {
    struct timestamp due;        /* schedule: the last due time that was seen to; {0, 0}: none */
    int64_t demands_since;       /* mono us */
    int64_t reload_asked;        /* mono us: when that was asked for; 0: not known.  Not recorded */
    int64_t watchdog;            /* us: how often a sign of life is to come; 0: need not; SVC_WATCHDOG_UNKNOWN */
    int64_t watchdog_at;         /* mono us: when the next one is overdue, SVC_EV_WATCHDOG; 0: never.  Not recorded */
    struct svc_control control;  /* the present control process */
    struct health_counts health; /* of this life */
    struct svc_check check;      /* the present process of a check */
    uint32_t demands;            /* starts that were so asked for since .demands_since, not recorded */
    uint32_t controls;           /* control processes of this life */
    uint32_t checks;             /* processes of checks, of this life */
    char reason[SVC_REASON_MAX]; /* "" = nothing to say; the last member */
};

/* Members of one size stand together, for there are as many of it as services. */
struct svc {
    enum svc_state state;
    bool desired_up;
    bool adopted;         /* its process was not forked by this supd */
    bool shutting_down;   /* supd is ending: stop, and do not come back whatever is desired */
    bool hurried;         /* and every timeout of its stop is zero; not recorded */
    bool pre_exec;        /* the present process has not confirmed its exec */
    bool ended;           /* the main process of this life has ended and its exit is in `exit` */
    bool exit_pre_exec;   /* that end came before its exec */
    bool idle;            /* waiting: for something to come in at its sockets, start = on-demand; or for its time */
    bool next_is_restart; /* the start that is queued or timed is an automatic one */
    bool ready_lost;      /* it may have told that it is ready while nobody could hear it */
    bool began;           /* in this life a process was forked: post-stop is due when it ends */
    bool alarm;           /* on-failure's command is to be run */
    bool moved;           /* its main process is not the one that was forked: it has named another */
    bool stop_held;       /* its stop, or restart, was asked for and waits for other services */
    enum svc_told told;
    enum svc_result result; /* of this life */
    enum svc_stop_phase stop_phase;
    enum svc_stop_cause stop_cause;
    bool cut;                 /* it is a kept one that ends before `due`, service_keep.h */
    uint32_t row;             /* unstable runs in a row */
    enum service_type type;   /* of the present life */
    unsigned todo;            /* enum svc_todo */
    int32_t group;            /* process group that may outlive the main process: usually its pid; 0: none */
    int64_t ended_at;         /* mono us of that end; it may have been noticed later than it happened */
    uint64_t life;            /* number of the present or last process; the count of starts */
    uint64_t restarts;        /* automatic ones */
    struct timestamp since;   /* of the present state */
    struct timestamp started; /* of the present life */
    int64_t deadline;         /* mono us when SVC_EV_DEADLINE is due; 0 = none */
    struct svc_proc proc;
    uint64_t group_start;  /* start time of its leader; 0: not known; 1: it had ended before we knew the group */
    struct exit_info exit; /* last one; how = NONE before the first */
    struct svc_rare rare;  /* the last member; of one that is perhaps kept it is read by svc_rare() */
};

enum svc_event_type {
    SVC_EV_START,       /* command: start */
    SVC_EV_STOP,        /* command: stop; .hold; .text: the reason to be shown, NULL for "stopped by command" */
    SVC_EV_RESTART,     /* command: restart; .hold; .text: the same, NULL for "restarted by command" */
    SVC_EV_RESET,       /* command: forget failures */
    SVC_EV_RELOAD,      /* command: reload; svc_refuses_reload() was asked */
    SVC_EV_SHUTDOWN,    /* supd is ending; .hold */
    SVC_EV_STOP_NOW,    /* the stop that was held back may begin */
    SVC_EV_CALL_OFF,    /* the start that waits fails because of another service; .text: why */
    SVC_EV_HURRY,       /* a second SIGTERM: stop-timeout is now zero */
    SVC_EV_ENABLED,     /* it will be started with supd; it is not started by that */
    SVC_EV_DISABLED,    /* it will not */
    SVC_EV_CONFIG,      /* .stop: how its process is to be ended from now on, by a new configuration */
    SVC_EV_BOOT,        /* after a restore: nothing more will be learnt about the past, go on from here */
    SVC_EV_SLOT,        /* its turn to be forked */
    SVC_EV_FORKED,      /* .life, .pid, .start_ticks, .inode, .digest, .stop: the child exists */
    SVC_EV_FORK_FAILED, /* .text: why no child could be made */
    SVC_EV_EXECED,      /* .life, .start_ticks */
    SVC_EV_ADOPTED,     /* .life: the recorded process was found alive */
    SVC_EV_EXITED,      /* .life, .exit, .start_ticks, .text = reason when it ended before its exec, else NULL */
    SVC_EV_GROUP,       /* .life, .group_left: how many processes of its group are left after the main one ended */
    SVC_EV_MAIN_FOUND,  /* .life, .pid, .start_ticks, .inode, .group, .group_start: the main process of a forking one */
    SVC_EV_MAIN_MOVED, /* .life, .pid, .start_ticks, .inode: another process, which lives, is the main one from now on */
    SVC_EV_MAIN_MISSING, /* .life, .text: why there will be none */
    /* Of the control process: .life and .control, its number, beside what the events of the main process have. */
    SVC_EV_CONTROL_FORKED,
    SVC_EV_CONTROL_FORK_FAILED,
    SVC_EV_CONTROL_EXECED,
    SVC_EV_CONTROL_ADOPTED,
    SVC_EV_CONTROL_EXITED,
    SVC_EV_CONTROL_GROUP,
    /* Of the process of a check: .life and .control, its number, beside what the events of the main process have. */
    SVC_EV_CHECK_FORKED,
    SVC_EV_CHECK_FORK_FAILED,
    SVC_EV_CHECK_EXECED,
    SVC_EV_CHECK_ADOPTED,
    SVC_EV_CHECK_EXITED,
    SVC_EV_CHECK_GROUP,
    SVC_EV_CHECK_OVERDUE, /* it has taken too long */
    SVC_EV_CHECK_DUE,     /* .life: its turn to fork on-failure's command where that is due, else check.command */
    SVC_EV_CHECKED,       /* .life, .ok, .text: what came of a check */
    SVC_EV_READY,         /* .life: it is of use, or has done what it said it was doing */
    SVC_EV_UNHEARD,   /* .life: what it said while no supd was there is lost, and perhaps it is not heard any more */
    SVC_EV_RELOADING, /* .life, .usec: it says that it reads its configuration anew, until the next READY; since then */
    SVC_EV_STOPPING,  /* .life: it says that it is ending */
    SVC_EV_EXTEND,    /* .life, .usec: it asks for so much time from now on, for what it is doing */
    SVC_EV_ALIVE,     /* .life: it gives a sign of life */
    SVC_EV_WATCHDOG_USEC, /* .life, .usec: it will do so that often from now on */
    SVC_EV_WATCHDOG,      /* .life: svc.watchdog_at has come, or .text: why it is to be ended as if it had */
    SVC_EV_DEMAND,        /* something has come in at a socket of one that is idle */
    SVC_EV_DUE,           /* .due, .pass_over: a run of its schedule is due */
    SVC_EV_DEADLINE,      /* svc.deadline has come; .text: what was waited for, NULL where that needs no words */
    SVC_EV_N
};

struct svc_event {
    enum svc_event_type type;
    uint64_t life;
    uint32_t control; /* number of the control process that it is about */
    int32_t pid;
    int32_t group;
    uint64_t group_start;
    uint64_t inode; /* of its pidfd, as unique as the boot (Linux 6.9); 0: not known */
    uint64_t digest;
    uint64_t start_ticks; /* 0: not known */
    struct svc_stop_params stop;
    struct exit_info exit;
    unsigned group_left;
    bool ok;
    int64_t usec;         /* of SVC_EV_RELOADING: mono, 0: not told */
    bool hold;            /* other services have to stop first: SVC_EV_STOP_NOW will tell */
    struct timestamp due; /* SVC_EV_DUE: up to then all is seen to, by this event */
    bool pass_over;       /* SVC_EV_DUE: without a run, for it is too late */
    bool rescheduled;     /* SVC_EV_CONFIG: its schedule is another than before */
    const char *text;
};

enum svc_action_type {
    ACT_RECORD,          /* write a snapshot of the service to the state file now */
    ACT_QUEUE,           /* put it into the queue for a start slot */
    ACT_UNQUEUE,         /* take it out again */
    ACT_FORK,            /* fork a child for life .life, then feed FORKED or FORK_FAILED */
    ACT_SIGNAL_MAIN,     /* send .signal to the main process */
    ACT_SIGNAL_GROUP,    /* send .signal to every process of the group (before the exec: to the child only) */
    ACT_CHECK_GROUP,     /* the main process has ended: count what is left of its group, feed SVC_EV_GROUP */
    ACT_WATCH_GROUP,     /* feed SVC_EV_GROUP again when one of those left has ended */
    ACT_FORK_CONTROL,    /* fork svc.control, then feed CONTROL_FORKED or CONTROL_FORK_FAILED */
    ACT_SIGNAL_CONTROL,  /* send .signal to every process of the control process's group */
    ACT_CHECK_CONTROL,   /* the control process has ended: count its group, feed CONTROL_GROUP */
    ACT_WATCH_CONTROL,   /* feed CONTROL_GROUP again when one of those left has ended */
    ACT_FORK_CHECK,      /* fork svc.check, then feed CHECK_FORKED or CHECK_FORK_FAILED */
    ACT_SIGNAL_CHECK,    /* send .signal to every process of the check's group */
    ACT_CHECK_CHECK,     /* the check's process has ended: count its group, feed CHECK_GROUP */
    ACT_WATCH_CHECK,     /* feed CHECK_GROUP again when one of those left has ended */
    ACT_RELOAD_SIGNAL,   /* send .signal, which does not end it, to the main process */
    ACT_FIND_MAIN,       /* look for the main process of a forking service, then feed MAIN_FOUND or MAIN_MISSING */
    ACT_REMOVE_PID_FILE, /* the main process of a forking service has ended: its pid-file may still name it */
    ACT_N
};

struct svc_action {
    enum svc_action_type type;
    int32_t signal;
};

#define SVC_ACTIONS_MAX 12

struct svc_actions {
    size_t n;
    struct svc_action items[SVC_ACTIONS_MAX];
};

/* A service that has never run: state stopped, wanted or not as `enabled` says. */
void svc_init(struct svc *svc, const struct spec *spec, struct timestamp now);

/* Of one that has never run: a command has said something else than the configuration, perhaps. */
void svc_set_enabled(struct svc *svc, bool enabled);

/* Of the same, before any event: the last due time of its schedule that was seen to, perhaps in an earlier boot. */
void svc_set_due(struct svc *svc, struct timestamp due);

/*
 * The one function that changes a service.  SPEC is the configuration in force
 * for it.  RNG: see policy.h.  OUT is overwritten.  The caller arms one timer for
 * svc->deadline after each step.
 */
void svc_step(struct svc *svc, const struct spec *spec, const struct svc_event *event, struct timestamp now,
              uint64_t *rng, struct svc_actions *out);

/* One that is all zero. */
extern const struct svc_rare svc_rare_none;

/* Of a state that is perhaps a kept one, which ends before `rare` where there is nothing. */
static inline const struct svc_rare *svc_rare(const struct svc *svc)
{
    return svc->cut ? &svc_rare_none : &svc->rare;
}

/* Has the service a process that was forked and whose end is not yet known? */
bool svc_has_process(const struct svc *svc);

/* Are its sockets to be open?  From the moment it is wanted, over restarts and backoffs, until it is stopped or given up. */
bool svc_wants_sockets(const struct svc *svc);

/* Does it wait for its turn to fork something (or, in `waiting`, for other services and a start slot)? */
bool svc_is_queued(const struct svc *svc);

/* Has it a control process that was forked and whose end is not yet known? */
bool svc_has_control(const struct svc *svc);

/* Is it to be looked at by its checks now? */
bool svc_is_checked(const struct svc *svc, const struct spec *spec);

/* Has it the process of a check that was forked and whose end is not yet known? */
bool svc_has_check(const struct svc *svc);

/* Is on-failure's command to be run now? */
bool svc_alarm_is_due(const struct svc *svc);

/* Is its main process there, and only `ready` not met yet? */
bool svc_awaits_ready(const struct svc *svc);

/* May it name another main process now? */
bool svc_may_move(const struct svc *svc);

/* Is its main process one that it was found, or named, and that need not lead the group? */
bool svc_main_is_found(const struct svc *svc);

/* Is anything of the present life there, or about to be? */
bool svc_is_busy(const struct svc *svc);

/* Was a reload asked for that is not over yet? */
bool svc_is_reloading(const struct svc *svc);

/* Why it cannot be reloaded now, a sentence; NULL: it can. */
const char *svc_refuses_reload(const struct svc *svc, const struct spec *spec);

/* The command that plays ROLE; NULL: none is configured.  A '-' may stand before the program. */
char **svc_command(const struct spec *spec, enum svc_role role);

/* How a process of this spec is ended. */
struct svc_stop_params svc_stop_params(const struct spec *spec);

/* What it is doing and why, for people: the reason, with the control process before it.  NULL: nothing to say. */
const char *svc_reason_words(const struct svc *svc, char *buf, size_t size);

/* pre-start, post-stop, ..., as the key is called. */
const char *svc_role_name(enum svc_role role);

/* What post-stop is told, by systemd's words: success, exit-code, signal, core-dump, timeout, resources, protocol. */
const char *svc_result_name(const struct svc *svc, const struct spec *spec);

/* Came its last life to a good end? */
bool svc_succeeded(const struct svc *svc, const struct spec *spec);

/* The exit in words: "exit 1", "killed by SEGV (core dumped)", "killed by the OOM killer", "ended, status unknown". */
const char *svc_exit_words(const struct exit_info *exit, char *buf, size_t size);

/*
 * What a program exits with that stands for the service, which is exited or failed: its exit code, 128 and the signal,
 * or 1 where there is none to tell (it could not be started, the status is not known, a later step has failed).
 */
int svc_exit_status(const struct svc *svc);

const char *svc_state_name(enum svc_state state);

const char *exit_how_name(enum exit_how how);
const char *exit_source_name(enum exit_source source);

#endif
