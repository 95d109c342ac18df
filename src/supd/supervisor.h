/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: the one context that everything of this layer is handed, and
 * the only code that carries out what core/service.h decides.
 *
 *   supervisor.c  carrying out actions
 *   services.c    the table of services
 *   process.c     from a fork to the end of a process: report pipe, SIGCHLD (process.h)
 *   process_role.c  what tells a main process from a control process
 *   main_search.c the main process of a forking service
 *   tree.c        all its processes: reached by a signal, and counted
 *   leftovers.c   what it leaves behind, watched until nothing is left
 *   cgroups.c     its control group, where it has one (cgroups.h); cgroups_limits.c, cgroups_news.c: its limits and news
 *   usage.c       what it uses      show.c  how it is shown
 *   announce.c    what becomes of services, in words
 *   persist.c     records: written before what must not happen unrecorded
 *   reattach.c    what the state file of an earlier supd says, made true again
 *   events.c      commands that are run for news of services (events.h)    events_process.c  what they are given
 *   shutdown.c    signals, and the ways to end      essential.c  the end of a service that ends supd
 *   reload.c      a new configuration: read by a helper (reload_helper.c), planned, applied
 *   helper_run.c  a helper at work, for reload.c and remember.c
 *   queue.c       those that are to be forked, one after another
 *   order.c       who waits for whom, and whom a command concerns (order.h, order_view.c)
 *   roster.c      services that come and go       scale.c  another number of instances than is written
 *   waiters.c     commands whose caller waits for the outcome
 *   server.c      JSON-RPC on the control socket     commands.c, command_*.c  its verbs
 *   lists.c       answers about many services
 *   upgrade.c     another binary in the same process (upgrade_helper.c tries it)
 *   handover.c    what it is given: descriptors, and (server_handover.c) callers
 *   sockets.c     what services listen at, over their restarts and our death
 *   kept.c        descriptors that services leave with us
 *   health.c      their checks     health_probe.c   over the network
 *   logs.c        their logs, where suplog writes those (logs_pipe.c, logs_suplog.c, logs_match.c)
 *   messages.c    what services tell us    readiness.c   are they ready?
 *   schedules.c   when the next runs of schedules are due
 *   remember.c    what outlives the boot: enable and disable, the last runs of schedules
 *   notify.c      what systemd is told        store.c  and what it keeps for us
 */
#ifndef SUPD_SUPD_SUPERVISOR_H
#define SUPD_SUPD_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/lookup.h"
#include "core/record.h"
#include "core/service.h"
#include "loop/ctlsock.h"
#include "loop/loop.h"
#include "loop/sigchld.h"
#include "loop/watch.h"
#include "os/config.h"
#include "os/fdstore.h"
#include "os/lock.h"
#include "os/proctree.h"
#include "os/sdnotify.h"
#include "os/spawn.h"
#include "os/statefile.h"

struct supervisor;
struct cgroups;
struct event_handler;
struct events;
struct handover;
struct health;
struct kept;
struct leftovers;
struct lists;
struct logs;
struct main_search;
struct last_usage;
struct messages;
struct order;
struct readiness;
struct reload;
struct remembered;
struct server;
struct service_cgroup;
struct service_logs;
struct service_schedule;
struct clockset;
struct sockets;
struct upgrade;
struct wait_item;

TAILQ_HEAD(wait_items, wait_item);

/* All processes that come of one; tree.c. */
struct tree {
    struct process *process;
    struct proctree found;
    bool named;      /* in the log */
    bool one_by_one; /* the last signal went to each of the process group by itself */
    bool queued;     /* for the end of the turn: */
    bool count;      /* are they to be counted? */
    int signal;      /* which signal are newcomers to be sent?  0: none */
    unsigned rounds;
    TAILQ_ENTRY(tree) link;
};

/* What the system tells in this turn of the loop, for tree.c alone. */
struct tree_look {
    struct proctree_look *look; /* NULL: not asked yet */
    pid_t *leaders;             /* the main processes, in ascending order; NULL: not asked for yet */
    size_t n;
    size_t n_expected;       /* how many will ask the next look */
    int64_t scan_not_before; /* mono: until then nobody goes through all of /proc to count */
    int64_t put_off_since;   /* mono: since then the queue waits for the ends of others; 0: it does not */
    struct loop_timer *timer;
    TAILQ_HEAD(, tree) queue;
};

/* Which of the processes of a service. */
enum process_part { PART_MAIN, PART_CONTROL, PART_CHECK };

/* What the kernel gave us of one process; supd/process.h. */
struct process {
    struct service *service;
    int pidfd;     /* -1: none; of our own child only where the fd store wants it */
    int report_fd; /* -1: exec confirmed */
    char *failure; /* what the child reported before it ended */
    struct loop_io *report;
    bool is_child; /* forked by us and not reaped */
    bool check_after_reap;
    bool ours;           /* forked by this process: what it orphans comes to us */
    int32_t reaped;      /* its number, once we have reaped it; 0: we have not */
    int32_t pid_key;     /* by which it is in sup->children: only while is_child */
    int32_t stored;      /* by this number its pidfd is named in the fd store; 0: it is not there */
    struct watch *watch; /* a process that is not our child */
    struct leftovers *leftovers;
    struct tree *tree; /* NULL: they are not looked for */
};

/* What few services have, and those that have none of it all in common. */
struct service_parts {
    struct sockets *sockets;           /* NULL: it listens nowhere */
    struct service_cgroup *cgroup;     /* NULL: it has none; supd/cgroups.h */
    struct process *control;           /* beside it, for pre-start and its like; NULL: it has had none */
    struct kept *kept;                 /* descriptors that it has left with us, supd/kept.h; NULL: none */
    struct process *check;             /* and for its checks; NULL: it has had none */
    struct health *health;             /* looked at by supd/health.h; NULL: it is not */
    struct service_logs *logs;         /* NULL: it has none that suplog writes; supd/logs.h */
    struct messages *messages;         /* what it tells us, supd/messages.h; NULL: it cannot */
    struct readiness *readiness;       /* looked for by supd/readiness.h; NULL: it is not */
    struct service_schedule *schedule; /* NULL: none, or not wanted; supd/schedules.h */
    struct event_handler *handler; /* NULL: it is a service, and not what is run for news of others; supd/events.h */
    struct main_search *search;    /* for the main process of a forking service; NULL: none is under way */
    const char *removal;           /* why it is removed, static; NULL: it never was */
};

/* A service as the supervisor holds it: the pure part, and what the kernel gave us for it. */
struct service {
    struct supervisor *sup;
    const struct svc *svc; /* changed by supervisor.c only, and may be another then; core/service_keep.h */
    struct spec *spec;
    uint64_t digest; /* spec_process_digest(spec) */
    bool removing;   /* it is to be no more: freed once it has stopped */
    bool unrecorded; /* its last snapshot could not be written */
    bool busy;       /* counted in sup->n_busy */
    bool touched;    /* it has changed, and what follows is not yet done */
    enum { QUEUED_NOT, QUEUED_TO_START, QUEUED_FOR_SLOT, QUEUED_TO_DELETE } queued;
    uint32_t node; /* in the graph, supd/order.h */

    const struct service_parts *parts; /* what few services have; never NULL */
    struct process main;               /* the present one, or the last while its group lives on */
    struct last_usage *used;           /* by its last main process, usage_last(); NULL: not known */

    struct loop_timer *timer; /* NULL: it is not set */
    int64_t timer_at;         /* what it is set to, mono us; 0 = not */
    TAILQ_ENTRY(service) queue_link;
    TAILQ_ENTRY(service) touch_link;
    struct wait_items waits;
    TAILQ_ENTRY(service) link; /* of all */
};

TAILQ_HEAD(service_queue, service);
TAILQ_HEAD(health_queue, health);

enum supervisor_phase {
    PHASE_RUN,
    PHASE_STOPPING, /* every service is being ended, then we go */
    PHASE_LEAVING,  /* we go now and leave the services as they are */
};

struct supervisor {
    struct loop *loop;
    struct config *config; /* in force; its specs have moved into the services */
    bool config_fallback;  /* it is RUNTIME/config.good, the file having errors */
    char *binary;          /* absolute path of the binary that a live upgrade executes */
    char *config_path;
    char *runtime_dir;
    char *socket_path;
    struct lock lock;
    struct spawn_baseline baseline;
    struct timestamp started;
    struct epoch epoch;
    uint64_t rng;
    enum supervisor_phase phase;
    bool reattaching;       /* what was left by an earlier supd is being taken back, which is told of each */
    bool shutdown_recorded; /* `supctl shutdown` was acknowledged */
    struct scale *scales;   /* sections with another number of instances than is written; supd/scale.h */
    size_t n_scales;
    struct essential_end essential; /* why we end, where it is by ourselves; supd/essential.h */
    bool syslog;                    /* where the log goes to */
    bool verbose;                   /* -v: log-level is debug whatever the file says */

    struct service_queue services;
    struct lookup by_name; /* the same */
    struct events *events; /* NULL: there is no rule on-event */
    size_t n_handlers;     /* services that are a rule's */
    size_t n_running;
    size_t n_starting;
    size_t n_busy;          /* services with a process, or something of one, left */
    bool terminate_seen;    /* a SIGTERM or SIGINT has come: the next one shortens every stop-timeout */
    struct lookup children; /* processes, by pid */
    struct service_queue starts;
    struct service_queue for_slot; /* could be started, but so many as start-slots allows are */
    struct order *order;           /* NULL: no service depends on another; supd/order.h */
    struct service_queue touched;
    struct health_queue for_check; /* could be checked, but so many as check-slots allows are */
    size_t n_checking;
    bool hurry;                     /* every stop-timeout is zero now */
    struct service_queue condemned; /* to be deleted in the next turn, when nobody holds a pointer any more */
    struct loop_timer *queue_timer;
    bool in_queue;   /* it is gone through just now */
    bool main_moved; /* a service has named another main process than was forked */
    size_t pre_exec; /* children between fork and exec */

    struct statefile *state;
    struct loop_timer *retry_timer; /* for records that could not be written */
    struct gathering *gathering;    /* NULL: facts are written one by one */
    bool state_failing;
    bool rewrite_wanted;
    int64_t rewrite_hold_until;
    int64_t rewrite_not_before;

    struct logs *logs;
    struct lists *lists; /* answers that are made a piece at a time; NULL: there was none yet */
    struct tree_look look;
    struct cgroups *cgroups; /* where services get theirs */
    struct sigchld *sigchld;
    struct watcher *watcher;
    struct server *server; /* NULL: no control socket */
    struct reload *reload;
    struct remembered *remembered;
    struct clockset *clockset; /* NULL: no service goes by the wall clock */
    struct upgrade *upgrade;   /* NULL: none is under way */
    struct handover *handover; /* from the binary before; NULL once we serve, or after a usual start */
    struct fdstore fdstore;    /* what was kept for us, until it is taken back */
    size_t stored_names;       /* bytes of the names of what is kept now */
    bool store_full;
    struct sdnotify *sd;
    struct loop_io *sd_writable;
    struct loop_timer *watchdog_timer;
    struct loop_timer *extend_timer;
    struct loop_timer *status_timer;
    bool status_due;

#define SUPERVISOR_SIGNALS 6
    struct loop_signal *signals[SUPERVISOR_SIGNALS];
};

/* ---- supervisor.c ---- */

void supervisor_init(struct supervisor *sup);
/* Closes and frees everything; running services are left as they are. */
void supervisor_clear(struct supervisor *sup);

/* Puts back what a record said, before any event is fed. */
void service_restore(struct service *service, const struct svc *svc);

/* A fact: changes the service, whether or not it can be recorded now. */
void service_event(struct service *service, const struct svc_event *event);
/* A command: is carried out only once it is recorded; else false with ERR written and nothing is changed. */
bool service_command(struct service *service, enum svc_event_type type, char *err, size_t err_size);
/* The same with all that EVENT says. */
bool service_command_event(struct service *service, const struct svc_event *event, char *err, size_t err_size);

/* To be called when what the service has of processes has changed. */
void service_update_busy(struct service *service);

/* ---- services.c ---- */

/* An empty table; and it is empty again, its services freed. */
void services_init(struct supervisor *sup);
void services_clear(struct supervisor *sup);

struct service *service_find(struct supervisor *sup, const char *name);
/* Is it one of supd's own, of which nobody is to know?  They have names that no other can have. */
bool service_is_internal(const struct service *service);
/* Its parts, to be written to. */
struct service_parts *service_parts(struct service *service);
/* A new service, stopped.  Takes SPEC over. */
struct service *service_add(struct supervisor *sup, struct spec *spec);
#define REMOVAL_BY_CONFIG "removed from the configuration"

/* It is to be no more: it is stopped, and forgotten once nothing of it is left.  WHY: static words for people. */
void service_remove(struct service *service, const char *why);
/* Puts SPEC, which it takes over, in place of the service's; what can be applied to a running process is. */
void service_set_spec(struct service *service, struct spec *spec);
/* How many services there are, those of our own left out. */
unsigned services_count(const struct supervisor *sup);
/* Puts the table in order of name, in which whoever goes through sup->services then finds them. */
void services_sort(struct supervisor *sup);
/* All N of them in that order, to be freed. */
struct service **services_list(const struct supervisor *sup, size_t *n);

/* Is it to be started with supd: by what a command has said, else by its configuration? */
bool service_enabled(const struct service *service);
/* To be called when that may have changed.  Nothing is started or stopped by it. */
void service_tell_enabled(struct service *service);

/* Is its process one that was started from an older configuration? */
bool service_config_stale(const struct service *service);

/* To be called when the service has become another: if it is to be no more and nothing of it is left, it is freed soon. */
void service_consider_gone(struct service *service);
/* Frees those that have gone from the configuration and of which nothing is left. */
void services_delete_gone(struct supervisor *sup);

/* ---- queue.c ---- */

/* Puts it into the queue of those that are to be forked, or takes it out. */
void queue_start(struct service *service);
void queue_leave(struct service *service);

/* Lets the queue of starts go on in the next turn of the loop. */
void queue_wake(struct supervisor *sup);

/* ---- process.c ---- */

/*
 * Begins to hear of the ends of processes.  MUST: services live, so where `watch` is not possible it is `auto`, and told.
 * False with ERR written when that is impossible.
 */
bool process_watch_ends(struct supervisor *sup, bool must, char *err, size_t err_size);

/* ---- persist.c ---- */

/* Writes a new state file with a snapshot of every service.  0 or -errno. */
int persist_begin(struct supervisor *sup);
/* The same again, and -ENODATA where a child could not be named in it.  No child stands before its exec. */
int persist_again(struct supervisor *sup);
/* Appends a snapshot of SVC as SERVICE's.  0 or -errno. */
int persist_snapshot(struct service *service, const struct svc *svc);
/* The same for a fact: kept and tried again where it cannot be written. */
void persist_fact(struct service *service);
/*
 * Until persist_gathered(), in the same turn of the loop, facts are written many at a time, in their order: before anything
 * else is recorded, and with persist_flush(), before a process or a caller can see what follows from them.
 */
void persist_gather(struct supervisor *sup);
void persist_flush(struct supervisor *sup);
void persist_gathered(struct supervisor *sup);
/* We are about to leave: what could not be recorded is tried once more. */
void persist_last(struct supervisor *sup);
/* 0 or -errno; then the condemned services are looked at again in a while. */
int persist_removed(struct supervisor *sup, const char *name);
int persist_shutdown(struct supervisor *sup);
/* 0 or -errno. */
int persist_scale(struct supervisor *sup, const struct scale *scale);
/* A note for, or what was come to by, the rule whose service it is; what could not be written is tried again.  0 or -errno. */
int persist_event(struct service *service, const struct event_note *note);
int persist_events(struct service *service, const struct event_cursor *cursor);
/* What the service has left with us; where it cannot be written it is lost when we die. */
void persist_kept(struct service *service, const struct kept_fd *kept);
/* That an essential service has ended, sup->essential. */
void persist_essential(struct supervisor *sup);
/* May a child be forked, or does the rewriting of the file wait for those before their exec? */
bool persist_allows_fork(struct supervisor *sup);
/* One child less stands between fork and exec. */
void persist_after_exec(struct supervisor *sup);

/* ---- reattach.c ---- */

struct survey;

/*
 * Reads the state file under the lock and finds the living.  NULL with ERR
 * written when it cannot be read.
 */
struct survey *survey_new(struct supervisor *sup, char *err, size_t err_size);
void survey_free(struct survey *survey);
/* Is a recorded process alive? */
bool survey_any_alive(const struct survey *survey);
/* Was supd killed in the middle of an acknowledged shutdown, with processes left? */
bool survey_shutdown_pending(const struct survey *survey);
/* The essential service by whose end supd was to end; of nobody, where there is none. */
const struct essential_end *survey_essential(const struct survey *survey);
/* All that was replayed. */
const struct replay *survey_replay(const struct survey *survey);
/* Makes the services of the configuration in force, and takes back what lives.  False with ERR written when that is impossible. */
bool reattach(struct supervisor *sup, struct survey *survey, char *err, size_t err_size);

/* ---- shutdown.c ---- */

void shutdown_install_signals(struct supervisor *sup);
/* Ends all services, then the loop. */
void shutdown_begin(struct supervisor *sup);
/* Ends the loop now and leaves the services. */
void shutdown_leave(struct supervisor *sup);
/* To be called after each change: ends the loop when the last service has stopped. */
void shutdown_check(struct supervisor *sup);

/* ---- notify.c ---- */

/* Begins to answer the watchdog; sup->sd is open. */
void notify_init(struct supervisor *sup);
void notify_ready(struct supervisor *sup);
void notify_reloading(struct supervisor *sup);
void notify_stopping(struct supervisor *sup);
/* One line for `systemctl status`. */
void notify_status(struct supervisor *sup);
/* Sends what it can and closes. */
void notify_clear(struct supervisor *sup);
/* Sends what waits, now and as soon as there is room. */
void notify_flush(struct supervisor *sup);

#endif
