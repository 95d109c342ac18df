/* SPDX-License-Identifier: MIT */
/*
 * The simulation (docs/simulation.md): src/core under a model of the kernel, of
 * the state file and of the supervisor around it, driven at random.
 *
 *   sim.c      the driver: what may happen next, settling, the command line
 *   kernel.c   processes, pids that are used again, groups, signals, the file
 *   model.c    the supervisor: events, records before actions, forks, ends
 *   reattach.c the supervisor: what an earlier one left, reloads, shutdown
 *   oracle.c   the promises, held against what truly is
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
#define PIDS 32 /* numbers 2..PIDS-1: few, so that they are used again at once */
#define MEMBERS_MAX 3
#define LIVES 64 /* so many last lives of a service are remembered by the oracle */
#define GONE 256 /* and so many last processes that were reaped */

/* ---- what truly is ---- */

enum proc_stage { PROC_FREE, PROC_FORKED, PROC_RECORDED, PROC_EXECED, PROC_ZOMBIE };
enum proc_kind { KIND_STRANGER, KIND_MAIN, KIND_MEMBER };

struct proc {
    enum proc_stage stage;
    enum proc_kind kind;
    int32_t pid;
    int32_t group;   /* number of its process group and session */
    uint64_t uid;    /* never used again */
    uint64_t leader; /* uid of the leader of its group */
    uint64_t start;  /* ticks, as in /proc */
    uint64_t parent; /* the supd that is its parent; any other number: init */
    int service;
    uint64_t life;
    bool doomed;  /* SIGKILL was sent, it hangs in the kernel for a moment */
    bool failing; /* it has said why it cannot exec, and exits next */
    bool let_go;  /* its leader has ended under kill-mode = process: none of supd's business any more */
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

struct service {
    bool used;
    bool removing;
    bool unrecorded;
    struct svc svc;
    const struct spec *spec;
    uint64_t digest;
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
    int64_t timer_at;
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
    bool sigchld; /* one bit: signals are merged */
    bool done;
};

/* ---- the oracle ---- */

struct life {
    uint64_t life;
    uint64_t uid;      /* of its main process; 0: no child was made for it */
    uint64_t restarts; /* until it, by the child's own record */
    bool recorded;
    bool ended;
    struct exit_info exit;
};

struct oracle {
    unsigned desired_now;   /* what a living supd must hold: bit 0 down, bit 1 up */
    unsigned desired_later; /* what its successor may find */
    bool in_file;           /* a snapshot stands in the file */
    struct svc durable;     /* that snapshot */
    uint64_t life;          /* the highest that was recorded */
    uint64_t restarts;
    int64_t not_before;    /* the next automatic start, */
    uint64_t after;        /* because of the end of this life */
    const struct spec *by; /* and of this configuration */
    struct exit_info exit; /* the last one that was found true */
    struct life lives[LIVES];
};

/* ---- one world ---- */

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

    struct buf file;
    bool file_exists;
    uint64_t file_id;
    bool full;
    size_t room;  /* bytes that are left on a full disk */
    size_t slack; /* the file is written anew once it has grown by so much */

    struct epoch epoch;
    struct spec *specs[SERVICES][SPECS];
    uint64_t digests[SERVICES][SPECS];
    int conf[SERVICES]; /* the configuration on disk: version or -1 */
    int in_force[SERVICES];
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
/* A child of supd's, or NULL where none can be made.  RECORD: what it is to complete. */
struct proc *kernel_fork(struct world *w, int service, uint64_t life, const uint8_t *record, size_t len);
/* Of its pidfd: 0 on a kernel that has none of its own for each. */
uint64_t kernel_inode(const struct world *w, const struct proc *p);
/* pidfd_open and the comparison of start times and inodes. */
struct handle kernel_open(struct world *w, int32_t pid, uint64_t start, uint64_t inode);
/* Living members of the group NUMBER that are not older than START; NULL for OUT counts only. */
size_t kernel_group(struct world *w, int32_t number, uint64_t start, struct handle *out, size_t max);
/* Does the kernel know by the pidfd of its leader that nobody, not even a zombie, is left of a group? */
bool kernel_group_is_empty(const struct world *w, struct handle leader);
void kernel_signal(struct world *w, struct service *service, struct handle to, int32_t signo);
void kernel_signal_group(struct world *w, struct service *service, int32_t signo);
/* How a process that is not a child ended, as far as it is to be learnt now. */
bool kernel_exit_status(struct world *w, struct handle handle, struct exit_info *exit);
void kernel_reap(struct world *w, struct proc *p);
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

/* ---- model.c ---- */

void model_event(struct world *w, struct service *s, struct svc_event event);
/* False: it could not be recorded, and nothing is changed. */
bool model_command(struct world *w, struct service *s, enum svc_event_type type);
/* One of the things that the loop has to do; false: there is none. */
bool model_turn(struct world *w);
/* When the next timer is due; 0: none. */
int64_t model_next_timer(const struct world *w);
struct service *model_add(struct world *w, int i, const struct spec *spec, uint64_t digest);
void model_set_spec(struct world *w, struct service *s, const struct spec *spec, uint64_t digest);
void model_remove(struct world *w, struct service *s);
struct svc_stop_params model_stop_params(const struct spec *spec);

/* ---- persist.c ---- */

int persist_snapshot(struct world *w, struct service *s, const struct svc *svc);
void persist_fact(struct world *w, struct service *s);
int persist_removed(struct world *w, struct service *s);
int persist_shutdown(struct world *w);
int persist_rewrite(struct world *w);
bool persist_allows_fork(struct world *w);
void persist_after_exec(struct world *w);
void persist_retry(struct world *w);

/* ---- reattach.c ---- */

/* A new supd takes the lock and goes on; it may die on the way. */
void reattach_start(struct world *w);
void reattach_reload(struct world *w);
void reattach_shutdown_begin(struct world *w);

/* ---- oracle.c ---- */

struct oracle *oracle_of(struct world *w, const struct service *s);
static inline int service_index(const struct world *w, const struct service *s)
{
    return (int)(s - w->supd.services);
}
void oracle_forget(struct world *w, int i);
void oracle_snapshot(struct world *w, int i, const struct svc *svc);
void oracle_changed(struct world *w, const struct service *s, const struct svc *before, const struct svc *after,
                    const struct svc_event *event);
void oracle_acknowledged(struct world *w, const struct service *s, enum svc_event_type type, enum svc_state before);
void oracle_restored(struct world *w, const struct service *s, bool recorded);
void oracle_forked(struct world *w, const struct proc *p);
void oracle_child_recorded(struct world *w, const struct proc *p);
void oracle_ended(struct world *w, const struct proc *p);
void oracle_fork(struct world *w, const struct service *s);
void oracle_signal(struct world *w, const struct service *s, struct proc *p, int32_t signo);
void oracle_reaped(struct world *w, const struct proc *p);
void oracle_replay(struct world *w, const struct replay *replay);
void oracle_step(struct world *w);
void oracle_at_rest(struct world *w);

#endif
