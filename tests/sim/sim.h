/* SPDX-License-Identifier: MIT */
/*
 * The simulation (docs/simulation.md): src/core under a model of the kernel, of
 * the state file and of the supervisor around it, driven at random.
 *
 *   sim.c      the driver: what may happen next, settling, the command line
 *   world.c    a world: what its services are configured to be
 *   kernel.c   processes, pids that are used again, groups, signals, the file
 *   programs.c what processes do
 *   messages.c what main processes say, and the supervisor hears
 *   health.c   how they are checked
 *   model.c    the supervisor: events, records before actions, the queue
 *   process.c  the supervisor: forks, ends, what is left, main processes that are looked for
 *   persist.c  the supervisor: what is written to the state file
 *   schedule.c the supervisor: runs by schedule, and what is promised of them
 *   reattach.c the supervisor: what an earlier one left, reloads, shutdown
 *   oracle.c   the promises, held against what truly is
 *   oracle_replay.c  the same of what a successor reads
 *   oracle_life.c  the same of the processes of one life, and their order
 *   oracle_health.c  the same of checks, and of what follows from them
 *
 * A supd may die at every call into its kernel: sys() leaves it by longjmp, so
 * all that it has lives in struct supd and nothing of it needs to be freed.
 */
#ifndef SUPD_TESTS_SIM_H
#define SUPD_TESTS_SIM_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "core/record.h"
#include "core/service.h"
#include "core/spec.h"

#define SERVICES 4
#define SPECS 4 /* versions of each service's configuration */
#define PIDS 40 /* numbers 2..PIDS-1: few, so that they are used again at once */
#define MEMBERS_MAX 3
#define LIVES 64 /* so many last lives of a service are remembered by the oracle */
#define GONE 256 /* and so many last processes that were reaped */

/* ---- what truly is ---- */

enum proc_stage { PROC_FREE, PROC_FORKED, PROC_RECORDED, PROC_EXECED, PROC_ZOMBIE };
/* A daemon is what the start command of a forking service leaves to be its main process. */
enum proc_kind { KIND_STRANGER, KIND_MAIN, KIND_CONTROL, KIND_CHECK, KIND_DAEMON, KIND_MEMBER };

struct proc {
    enum proc_stage stage;
    enum proc_kind kind;
    int32_t pid;
    int32_t group;   /* number of its process group and session */
    uint64_t uid;    /* never used again */
    uint64_t leader; /* uid of the leader of its group */
    uint64_t root;   /* uid of the child of supd that it is, or comes of */
    uint64_t start;  /* ticks, as in /proc */
    uint64_t parent; /* the supd that is its parent; any other number: init */
    int service;
    uint64_t life;
    enum svc_role role; /* that it, or whom it comes of, plays; of what the start command leaves: ROLE_SERVICE */
    uint32_t number;    /* of a control process or of a check, and of their members */
    bool finite;        /* it does its work and ends */
    bool has_daemon;    /* KIND_CONTROL: the daemon was made */
    uint64_t starter;   /* KIND_DAEMON: uid of the start command */
    bool named;         /* KIND_DAEMON: it has written its pid-file */
    bool frozen;        /* no signal but SIGKILL reaches it: */
    int32_t pending;    /* but one, once it goes on */
    bool doomed;        /* SIGKILL was sent, it hangs in the kernel for a moment */
    bool failing;       /* it has said why it cannot exec, and exits next */
    bool let_go;        /* its leader has ended under kill-mode = process: none of supd's business any more */
    bool speaks;        /* it was given a NOTIFY_SOCKET, */
    bool says_ready;    /* and is to say when it is ready, */
    bool told_ready;    /* which it has, whether or not anybody heard it */
    bool hung;          /* it gives no sign of life any more; of a check: it does not end */
    bool sick;          /* of a main process: its checks fail */
    bool overdue;       /* of a check: it was too slow, whatever it still says */
    unsigned stop_signals;
    struct exit_info exit;
    uint64_t file; /* the state file that it inherited */
    size_t record_len;
    uint8_t record[RECORD_MAX];
};

/* A process that is held, as by a pidfd.  uid 0: none. */
struct handle {
    int32_t pid;
    uint64_t uid;
};

/* ---- the supervisor ---- */

#define LEFTOVERS_MAX 2

enum part { PART_MAIN, PART_CONTROL, PART_CHECK, PARTS };

struct process {
    struct service *service;
    enum part part;
    struct handle pidfd;
    struct handle report; /* of the child whose report pipe is open */
    bool failure;         /* what it reported was read */
    bool is_child;
    int32_t child;
    bool check_after_reap;
    bool watched;    /* adopted: its pidfd is in the loop */
    int64_t give_up; /* asking for its status; 0: its end has not been seen */
    int64_t watch_at;
    bool has_left;
    bool left_watched;
    size_t n_left;
    struct handle left[LEFTOVERS_MAX];
};

struct service {
    bool used;
    bool removing;
    bool unrecorded;
    struct svc svc;
    const struct spec *spec;
    uint64_t digest;
    struct process main;
    struct process control;
    struct process check;
    struct {
        bool on;
        bool busy;  /* its process runs, and what that says is waited for */
        bool waits; /* the process of the check before is still there */
        bool alarm; /* svc_alarm_is_due(), at the change before */
        int64_t at; /* the next look, or when the present one takes too long */
    } look;
    int64_t search_at; /* the next look for a main process; 0: none is looked for */
    int64_t timer_at;
    int64_t run_at; /* the timer of its schedule; 0: none */
    bool queued;
    bool condemned;
};

enum phase { PHASE_RUN, PHASE_STOPPING };

struct supd {
    enum phase phase;
    bool terminate_seen;
    bool shutdown_recorded;
    struct service services[SERVICES];
    int starts[SERVICES]; /* the queue of starts */
    size_t n_starts;
    bool woken; /* the queue's timer is set */
    size_t pre_exec;
    int64_t retry_at;
    bool rewrite_wanted;
    int64_t rewrite_hold_until;
    size_t size_when_new;
    int64_t runs[SERVICES]; /* wall: what is remembered of persistent schedules, 0: nothing */
    bool sigchld;           /* one bit: signals are merged */
    bool done;
};

/* ---- the oracle ---- */

struct life {
    uint64_t life;
    uint64_t uid;      /* of its main process; 0: none was made, or found, for it */
    uint64_t root;     /* uid of the child that it is, or that has left it */
    uint64_t restarts; /* until it, by the child's own record */
    bool recorded;
    bool ended;
    struct exit_info exit;
    const struct spec *by;    /* the configuration that it began with; NULL: another has come between */
    unsigned ran;             /* roles that a process has recorded itself for: 1 << enum svc_role */
    unsigned tried;           /* and for which there could be none, or it ended before it could do that */
    bool stop_command_is_due; /* its stop was asked for when it was up */
    bool start_ended;
    struct exit_info start_exit; /* of the start command */
    unsigned failures;           /* of its checks, in a row, as they truly ended */
    unsigned alarms;             /* how often on-failure's command has become due, */
    unsigned alarms_run;         /* and has been begun */
};

struct oracle {
    unsigned desired_now;   /* what a living supd must hold: bit 0 down, bit 1 up */
    unsigned desired_later; /* what its successor may find */
    bool in_file;           /* a snapshot stands in the file */
    struct svc durable;     /* that snapshot */
    uint64_t life;          /* the highest that was recorded */
    uint64_t restarts;
    int64_t not_before;       /* the next automatic start, */
    uint64_t after;           /* because of the end of this life */
    bool by_result;           /* of what a step of its start came to, and not of its main process */
    const struct spec *by;    /* and of this configuration */
    struct timestamp seen_to; /* the last due time of its schedule that is in the file */
    bool to_be_made_up;       /* a run was missed while nobody looked */
    struct exit_info exit;    /* the last one that was found true */
    unsigned told;            /* failures in a row that the present supd was told of while it was healthy */
    struct life lives[LIVES];
};

/* ---- one world ---- */

/* The socket of a service that its main process writes to. */
struct mail {
    bool open;
    bool stored;  /* in the fd store, where there is one */
    uint64_t uid; /* of that process */
    bool ready;   /* READY=1 stands in the queue */
};

struct world {
    uint64_t seed;
    unsigned steps;
    unsigned step;
    bool trace;
    uint64_t random;
    struct timestamp now;
    bool quiet; /* nothing unexpected happens: everybody is to come to rest */

    struct proc procs[PIDS];
    uint64_t next_uid;
    uint64_t ticks;
    int32_t last_freed;
    struct {
        uint64_t uid;
        struct exit_info exit;
    } gone[GONE];
    bool tells_exits; /* PIDFD_INFO_EXIT: Linux 6.15 */
    bool reads_zeros; /* CAP_SYS_PTRACE: a 0 in /proc/PID/stat can be believed */
    bool group_pidfd; /* PIDFD_SIGNAL_PROCESS_GROUP, and an inode for each pidfd: Linux 6.9 */
    bool forks_fail;
    bool keeps_sockets; /* an fd store: what is said to a dead supd is heard by the next one */
    struct mail mail[SERVICES];

    struct buf file;
    bool file_exists;
    uint64_t file_id;
    bool full;
    size_t room;  /* bytes that are left on a full disk */
    size_t slack; /* the file is written anew once it has grown by so much */

    struct epoch epoch;
    struct spec *specs[SERVICES][SPECS];
    struct spec *orphans[SERVICES]; /* of one that the configuration does not name any more */
    uint64_t digests[SERVICES][SPECS];
    int conf[SERVICES]; /* the configuration on disk: version or -1 */
    int in_force[SERVICES];
    int64_t runs[SERVICES]; /* supd.runs, as the disk has them */
    bool reload_due;
    bool shutdown_acked;

    bool running; /* a supd is */
    uint64_t incarnation;
    unsigned crash_in; /* calls into the kernel until it dies; 0: not planned */
    jmp_buf dies;
    struct supd supd;
    uint64_t rng;
    struct replay *replay; /* of the start under way, and: */
    struct buf scratch;    /* the new file under way; here because a crash must not lose them */
    struct oracle oracles[SERVICES];
    struct {
        unsigned crashes, quits, reboots, reuses, forks, rewrites, refusals, settled, torn, shutdowns, mistaken;
        unsigned readies, unheard, watchdogs, checks, unhealthy, recovered, alarms, overdue;
        unsigned controls[ROLE_N], adopted_controls, mains_found, mains_missing, reloads, pauses;
        unsigned runs, passed_over, made_up; /* by schedule */
    } seen;
};

extern const char *const sim_names[SERVICES];

/* Says what happens, where --trace asks for it. */
void sim_trace(const struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Ends the program with all that is known where HOLDS is false. */
void sim_require(const struct world *w, bool holds, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

unsigned sim_draw(struct world *w, unsigned limit);
bool sim_one_in(struct world *w, unsigned n);

/* ---- kernel.c ---- */

/* Every call of supd into the kernel begins with it: others may run, and supd may die here. */
void sys(struct world *w);
/* supd is no more: by SIGKILL at this instruction. */
_Noreturn void kernel_crash(struct world *w);

struct proc *kernel_find(struct world *w, struct handle handle);
static inline struct handle kernel_handle(const struct proc *p)
{
    return (struct handle){.pid = p->pid, .uid = p->uid};
}
bool kernel_alive(const struct proc *p);
/* A child of supd's that is to play ROLE in the present life of SVC, or NULL where none can be made.  RECORD: what it is
 * to complete. */
struct proc *kernel_fork(struct world *w, int service, const struct svc *svc, enum svc_role role, const uint8_t *record,
                         size_t len);
/* Of its pidfd: 0 on a kernel that has none of its own for each. */
uint64_t kernel_inode(const struct world *w, const struct proc *p);
/* pidfd_open and the comparison of start times and inodes. */
struct handle kernel_open(struct world *w, int32_t pid, uint64_t start, uint64_t inode);

/* Whose processes are meant: as os/procgroup.h, and as os/proctree.h where they are known by what they carry. */
struct group {
    int32_t number;
    struct handle leader; /* uid 0: not at hand */
    uint64_t start;       /* no member is older; 0: not known */
    int service;
    uint64_t life;
    enum svc_role role;
    bool carries; /* who comes of this life carries it, in whatever group */
};

/* Living members; NULL for OUT counts only. */
size_t kernel_group(const struct world *w, const struct group *group, struct handle *out, size_t max);
/* Does the kernel know by the pidfd of its leader that nobody, not even a zombie, is left of a group? */
bool kernel_group_is_empty(const struct world *w, struct handle leader);
/* ENDS: it is there to end it; else no process ends of it, as of a reload-signal. */
void kernel_signal(struct world *w, struct service *service, struct handle to, int32_t signo, bool ends);
void kernel_signal_group(struct world *w, struct service *service, const struct group *group, int32_t signo);
/* cgroup.freeze of a service: all that is there of it stops, or goes on. */
void kernel_freeze(struct world *w, int service, bool on);
/* The main process that a start command, which has ended, has left. */
enum main_found { MAIN_NOT_YET, MAIN_IS_THERE, MAIN_IS_NOT };
enum main_found kernel_find_main(struct world *w, const struct group *group, bool by_pid_file, struct handle *found);
/* How a process that is not a child ended, as far as it is to be learnt now. */
bool kernel_exit_status(struct world *w, struct handle handle, struct exit_info *exit);
void kernel_reap(struct world *w, struct proc *p);
/* A number and an entry for a new process, a group of its own; NULL: there is no number left. */
struct proc *kernel_new_proc(struct world *w, enum proc_kind kind);
void kernel_free_proc(struct world *w, struct proc *p);
void kernel_end(struct world *w, struct proc *p, struct exit_info exit);
static inline struct exit_info exit_code(int32_t code)
{
    return (struct exit_info){.how = EXIT_HOW_EXITED, .code = code};
}
static inline struct exit_info exit_signal(int32_t signo)
{
    return (struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = signo};
}
/* SIGNO has come to it, which is not frozen. */
void kernel_take_signal(struct world *w, struct proc *p, int32_t signo);
/* It writes its own record to the file that it inherited.  0 or -1. */
int kernel_child_write(struct world *w, struct proc *p);

/* ---- programs.c ---- */

/* One process, or nobody, does something. */
void kernel_act(struct world *w);
/* The same where all do what they should; false: there is nothing left to do. */
bool kernel_cooperate(struct world *w);
/* The children that hold the lock of a dead supd; KILL ends them. */
bool kernel_half_started(struct world *w, bool kill);
void kernel_reboot(struct world *w);

/* One write(2); a crash may tear it, and so may a full disk.  0 or -1. */
int kernel_append(struct world *w, const uint8_t *record, size_t len);
/* The whole file by another, in one step.  0 or -1. */
int kernel_replace(struct world *w, const struct buf *fresh);

/* ---- messages.c ---- */

/* P is about to become the main process of a service as SPEC says. */
void messages_forked(struct world *w, struct proc *p, const struct spec *spec);
/* It says that it is ready; false: it has nothing to say, or cannot. */
bool messages_say_ready(struct world *w, struct proc *p);
/* What has come is taken, before anything is judged that it may be about. */
void messages_read(struct world *w, struct service *s);
bool messages_turn(struct world *w, struct service *s);
bool messages_watchdog_turn(struct world *w, struct service *s);
/* When its watchdog runs out; 0: its process is well, so it never will. */
int64_t messages_next_timer(struct world *w, const struct service *s);
void messages_supd_is_gone(struct world *w);
/* A new supd opens the socket; true: what was said before is lost. */
bool messages_recover(struct world *w, struct service *s);
void messages_resume(struct world *w, struct service *s, bool lost);

/* ---- health.c ---- */

/* After each change of the service. */
void health_follow(struct world *w, struct service *s);
/* Ends the looking, which health_follow() may begin anew. */
void health_free(struct service *s);
bool health_turn(struct world *w, struct service *s);
/* When it is looked at next; 0: it need not be. */
int64_t health_next_timer(const struct world *w, const struct service *s);
/* CHECK has ended, as it was before. */
void health_process_ended(struct world *w, struct service *s, const struct svc_check *check,
                          const struct exit_info *exit, bool failed);
/* Is the main process of this life there, and well? */
bool health_is_well(const struct world *w, int service, uint64_t life);

/* ---- model.c ---- */

void model_event(struct world *w, struct service *s, struct svc_event event);
/* False: it could not be recorded, and nothing is changed. */
bool model_command(struct world *w, struct service *s, enum svc_event_type type);
/* One of the things that the loop has to do; false: there is none. */
bool model_turn(struct world *w);
/* When the next timer is due; 0: none. */
int64_t model_next_timer(struct world *w);
struct service *model_add(struct world *w, int i, const struct spec *spec, uint64_t digest);
void model_set_spec(struct world *w, struct service *s, const struct spec *spec, uint64_t digest);
void model_remove(struct world *w, struct service *s);
/* The last one that ends lets supd end. */
void model_update_busy(struct world *w, const struct service *s);

/* ---- process.c ---- */

struct process *process_of(struct service *s, enum part part);
void process_fork(struct world *w, struct process *process);
void process_signal(struct world *w, struct process *process, int32_t signo);
void process_signal_all(struct world *w, struct process *process, int32_t signo);
void process_release(struct world *w, struct process *process);
enum svc_role process_role(const struct process *process);
void process_check_left(struct world *w, struct process *process);
/* Of what was recorded of it, and not its end: it was found alive, or is no more. */
void process_tell_fate(struct world *w, struct process *process);
void process_search_begin(struct world *w, struct service *s);
/* What the loop may have to do about it; false: nothing. */
bool process_report_turn(struct world *w, struct process *process);
bool process_watch_turn(struct world *w, struct process *process);
bool process_leftovers_turn(struct world *w, struct process *process);
bool process_search_turn(struct world *w, struct service *s);
bool process_sigchld_turn(struct world *w);

/* ---- persist.c ---- */

int persist_snapshot(struct world *w, struct service *s, const struct svc *svc);
void persist_fact(struct world *w, struct service *s);
int persist_removed(struct world *w, struct service *s);
int persist_shutdown(struct world *w);
int persist_rewrite(struct world *w);
bool persist_allows_fork(struct world *w);
void persist_after_exec(struct world *w);
void persist_retry(struct world *w);

/* ---- schedule.c ---- */

/* Of a new service: what is remembered of it. */
void schedule_recall(struct world *w, struct service *s);
/* After each change of the service. */
void schedule_follow(struct world *w, struct service *s);
/* What the loop may have to do about it; false: nothing. */
bool schedule_turn(struct world *w, struct service *s);
bool schedule_remember_turn(struct world *w);

void oracle_due_recorded(struct world *w, int i, const struct svc *svc);
void oracle_due_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                        const struct svc_event *event);
void oracle_due_restored(struct world *w, const struct service *s, bool recorded);
void oracle_due_at_rest(struct world *w, const struct service *s);

/* ---- reattach.c ---- */

/* A new supd takes the lock and goes on; it may die on the way. */
void reattach_start(struct world *w);
void reattach_reload(struct world *w);
void reattach_shutdown_begin(struct world *w);

/* ---- world.c ---- */

/* Of a world that is all zero but for its random state. */
void world_configure(struct world *w);
void world_free(struct world *w);

/* ---- oracle.c ---- */

struct oracle *oracle_of(struct world *w, const struct service *s);
static inline int service_index(const struct world *w, const struct service *s)
{
    return (int)(s - w->supd.services);
}
static inline struct life *oracle_life(struct oracle *o, uint64_t life)
{
    return &o->lives[life % LIVES];
}
bool oracle_same_exit(const struct exit_info *a, const struct exit_info *b);
/* A settled service has nothing of its life left. */
bool oracle_is_settled(const struct svc *svc);
/* A oneshot service whose work is done, and that is up. */
bool oracle_remains(const struct svc *svc);
void oracle_forget(struct world *w, int i);
void oracle_snapshot(struct world *w, int i, const struct svc *svc);
void oracle_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                    const struct svc_event *event);
void oracle_acknowledged(struct world *w, const struct service *s, enum svc_event_type type, enum svc_state before);
void oracle_restored(struct world *w, const struct service *s, bool recorded);
void oracle_signal(struct world *w, const struct service *s, struct proc *p, int32_t signo);
void oracle_reaped(struct world *w, const struct proc *p);
void oracle_step(struct world *w);
void oracle_at_rest(struct world *w);
/* Everything has stopped, and supd ends. */
void oracle_at_end(struct world *w);

/* ---- oracle_health.c ---- */

static inline bool is_check_role(enum svc_role role)
{
    return role == ROLE_CHECK || role == ROLE_UNHEALTHY;
}
/* A check found this, however it is told. */
void oracle_checked(struct world *w, int i, uint64_t life, bool ok);
void oracle_check_ended(struct world *w, const struct proc *p);
void oracle_health_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                           const struct svc_event *event);
/* The supd that was told of failures is no more. */
void oracle_health_restored(struct world *w, const struct service *s);
/* A process for a check, or for what follows, is forked, and has recorded itself. */
void oracle_check_forked(struct world *w, const struct service *s);
void oracle_check_recorded(struct world *w, const struct proc *p);
void oracle_health_at_rest(const struct world *w, const struct service *s);

/* ---- oracle_replay.c ---- */

void oracle_replay(struct world *w, const struct replay *replay);

/* ---- oracle_life.c ---- */

void oracle_fork(struct world *w, const struct service *s, enum svc_role role);
void oracle_forked(struct world *w, const struct proc *p);
void oracle_not_forked(struct world *w, const struct service *s, enum svc_role role);
void oracle_child_recorded(struct world *w, const struct proc *p);
void oracle_ended(struct world *w, const struct proc *p);
void oracle_main_found(struct world *w, const struct service *s, const struct proc *p);
/* Another configuration is in force for it. */
void oracle_configured(struct world *w, const struct service *s);
/* What is due in a life when it comes up, is asked to stop, is over. */
void oracle_life_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                         const struct svc_event *event);
/* Its stop-signal goes to the main process. */
void oracle_main_is_stopped(struct world *w, const struct service *s);

#endif
