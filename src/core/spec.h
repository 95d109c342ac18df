/* SPDX-License-Identifier: MIT */
/*
 * What a service is: the model behind `service "NAME" { ... }` of supd.conf(5).
 *
 * One table of keys (spec_keys) is the truth about every option: its name, type,
 * default, whether a change needs a new process.  The reader of the file, the
 * comparison of two configurations, the copy kept in RUNTIME/config.good and the
 * checks that every key is documented all walk that table.
 *
 * Pure: no system call, no lookup of users (os/ids.h fills struct spec_ids).
 */
#ifndef SUPD_CORE_SPEC_H
#define SUPD_CORE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spec_cgroup.h"
#include "core/spec_check.h"
#include "core/spec_log.h"

#define SPEC_NAME_MAX 64

struct event_rule;

/* simple: what is started is the service.  oneshot: it does its work and ends; the service is up when it has.
 * forking: it starts the service, another process that outlives it. */
enum service_type { TYPE_SIMPLE, TYPE_ONESHOT, TYPE_FORKING, TYPE_N };

enum restart_policy { RESTART_NO, RESTART_ON_FAILURE, RESTART_ON_ABNORMAL, RESTART_ALWAYS };

/* on-demand: when something comes in at one of its sockets. */
enum start_mode { START_AUTO, START_ON_DEMAND };

/* group: every process of the group gets the stop-signal, then SIGKILL.  process: the main process only.
 * mixed: the stop-signal to the main process, SIGKILL to what is left of the group.  cgroup: as group, but every
 * process of its control group. */
enum kill_mode { KILL_MODE_GROUP, KILL_MODE_PROCESS, KILL_MODE_MIXED, KILL_MODE_CGROUP, KILL_MODE_N };

/* When a service is of use.  exec: once its program runs.  notify: when it says READY=1, sd_notify(3); it may say so
 * of each reload too (.reloads).  fd: when it has
 * written a newline to a descriptor.  after: when it has run for a while.  port: when it accepts connections.  path: when
 * a file is there.  check: with the first success of its check { }.  log: when its output has a line that matches. */
enum ready_kind { READY_EXEC, READY_NOTIFY, READY_FD, READY_AFTER, READY_PORT, READY_PATH, READY_CHECK, READY_LOG };

struct spec_ready {
    enum ready_kind kind;
    uint32_t fd;   /* READY_FD */
    int64_t delay; /* READY_AFTER, us */
    bool reloads;  /* READY_NOTIFY: a reload is over when it says so */
    char *where;   /* READY_PORT: ADDR:PORT; READY_PATH: the file; READY_LOG: the expression; else NULL */
};

/* Whose messages to NOTIFY_SOCKET are believed.  exec: of the main and the control process.  all: of every process. */
enum notify_access { NOTIFY_UNSET, NOTIFY_NONE, NOTIFY_MAIN, NOTIFY_EXEC, NOTIFY_ALL };

/* More names of descriptors might not fit into LISTEN_FDNAMES. */
#define FD_STORE_MAX 400

/* A set of exit codes 0..255 and of signals 1..64. */
struct exit_set {
    uint64_t codes[4];
    uint64_t signals; /* bit N-1 is signal N */
};

/* What `user` and `group` mean on this machine, resolved when the configuration is read. */
struct spec_ids {
    bool set; /* false: the child keeps supd's own ids, and the rest is unused */
    uint32_t uid;
    uint32_t gid;
    uint32_t *groups; /* supplementary groups, n_groups of them */
    size_t n_groups;
    char *user_name; /* for USER and LOGNAME; with home and shell NULL where the uid has no passwd entry */
    char *home;
    char *shell;
};

/* Bit N is the capability of that number. */
struct spec_caps {
    bool set;
    uint64_t mask;
};

/* A number that may be left to what supd itself has. */
struct spec_int {
    bool set;
    int value;
};

/* The numbers are the kernel's. */
enum spec_io_class { IO_CLASS_UNSET, IO_CLASS_REALTIME, IO_CLASS_BEST_EFFORT, IO_CLASS_IDLE };

struct spec_io {
    enum spec_io_class io_class;
    int level; /* 0, the first, to 7 */
};

#define SPEC_CPUS_MAX 8192 /* as many as Linux can have */

struct spec_cpus {
    uint64_t bits[SPEC_CPUS_MAX / 64];
};

/* Those of setrlimit(2). */
enum spec_limit_name {
    SPEC_LIMIT_AS,
    SPEC_LIMIT_CORE,
    SPEC_LIMIT_CPU,
    SPEC_LIMIT_DATA,
    SPEC_LIMIT_FSIZE,
    SPEC_LIMIT_LOCKS,
    SPEC_LIMIT_MEMLOCK,
    SPEC_LIMIT_MSGQUEUE,
    SPEC_LIMIT_NICE,
    SPEC_LIMIT_NOFILE,
    SPEC_LIMIT_NPROC,
    SPEC_LIMIT_RSS,
    SPEC_LIMIT_RTPRIO,
    SPEC_LIMIT_RTTIME,
    SPEC_LIMIT_SIGPENDING,
    SPEC_LIMIT_STACK,
    SPEC_N_LIMITS,
};

#define SPEC_LIMIT_INFINITY UINT64_MAX

/* How a service depends on others: core/graph.h. */
enum spec_dep {
    DEP_AFTER,
    DEP_BEFORE,
    DEP_REQUIRES,
    DEP_REQUISITE,
    DEP_WANTS,
    DEP_BINDS_TO,
    DEP_PART_OF,
    DEP_CONFLICTS,
    SPEC_N_DEPS,
};

/* In the unit of setrlimit(2). */
struct spec_limit {
    uint64_t soft;
    uint64_t hard;
};

/*
 * What a service is falls into groups, and what two services say in the same words they have in common: a group is never
 * written to while more than one spec has it, see spec_own().
 */
enum spec_group {
    SPEC_SELF, /* the members of struct spec itself */
    SPEC_EXEC,
    SPEC_PLACE,
    SPEC_LIFE,
    SPEC_AROUND,
    SPEC_LOGS,
    SPEC_CGROUP,
    SPEC_CHECK,
    SPEC_SOURCE,
    SPEC_N_GROUPS,
};

/* As whom, and with what rights and limits, its processes run. */
struct spec_exec {
    char *user;
    char *group;
    char **supplementary_groups; /* beside those of the login; as gids they are in ids */
    struct spec_ids ids;
    struct spec_caps capabilities;            /* the ambient set; unset: what supd has */
    struct spec_caps capability_bounding_set; /* unset: what supd has */
    bool no_new_privileges;
    bool private_tmp;
    bool clear_environment;
    int32_t parent_death_signal; /* 0: none */
    uint32_t umask;
    char **read_only_paths; /* a leading '-' means: may be missing */
    struct spec_int nice;
    struct spec_io io;
    struct spec_cpus *cpus; /* NULL: all that supd has */
    struct spec_int oom_score_adj;
    struct spec_limit *limits[SPEC_N_LIMITS]; /* by enum spec_limit_name; NULL: as supd was started with */
};

/* Where they run, and with what. */
struct spec_place {
    char *pid_file;     /* TYPE_FORKING; NULL: the main process is guessed */
    char *directory;    /* from '/' on, or from "~" on; NULL: "/" as root is not imposed, the child keeps supd's */
    char **environment; /* KEY=VALUE; those of `defaults` first, then the service's own */
    char **environment_files; /* a leading '-' means: may be missing */
    struct spec_log input;    /* where stdin comes from: NONE, INHERIT or a file */
    char *tty;                /* NULL: none */
};

/* From its start to its end, and whether that is followed by another start. */
struct spec_life {
    enum restart_policy restart;
    struct exit_set success_exit;
    struct exit_set restart_prevent_exit;
    int64_t restart_delay;     /* us */
    int64_t restart_delay_max; /* us */
    int64_t restart_reset;     /* us */
    uint32_t restart_limit;    /* 0 = never give up */
    int64_t start_timeout;     /* us, 0 = none */
    struct spec_ready ready;
    enum notify_access notify_access; /* as written: spec_notify_access() */
    int64_t watchdog;                 /* us; 0: off */
    int32_t watchdog_signal;
    uint32_t fd_store;    /* so many descriptors of it are kept over its restarts */
    int64_t stop_timeout; /* us, 0 = SIGKILL follows the stop-signal at once */
    int32_t stop_signal;
    enum kill_mode kill_mode;
    int32_t reload_signal; /* 0: none; as written: spec_reload_signal() */
};

/* What else has to do with it: other services, sockets, times, commands. */
struct spec_around {
    char **deps[SPEC_N_DEPS];  /* by enum spec_dep: names of services, or of one that has instances */
    struct spec_int instances; /* as written; of an instance itself, and where there are none, unset */
    enum start_mode start;
    bool persistent; /* a run that was due while the machine or supd was down is made up */
    char **schedule; /* as core/schedule.h has it; NULL: none */
    char **listen;   /* as socket_spec_format() writes them, users and groups as numbers once they were looked up */
    /* argv each, NULL: none.  A '-' before the program: its failure does not matter. */
    char **pre_start;
    char **post_start;
    char **reload_command;
    char **stop_command;
    char **post_stop;
};

struct spec_logs {
    struct spec_log log;
    struct spec_log log_error;
    struct spec_logging logging;
};

/* Where it was written, for messages; no part of what the service is. */
struct spec_source {
    char *file;
};

struct spec {
    char *name;
    char **command; /* argv, never empty */
    enum service_type type;
    bool remain_after_exit; /* TYPE_ONESHOT: running once its command has succeeded, until it is stopped */
    bool enabled;
    bool essential;              /* once it is exited or failed, supd stops everything and exits with its status */
    uint32_t line;               /* in source->file */
    struct event_rule *on_event; /* NULL: a service; else what is run for news of others, core/event.h */
    const struct spec_exec *exec;
    const struct spec_place *place;
    const struct spec_life *life;
    const struct spec_around *around;
    const struct spec_logs *logs;
    const struct spec_cgroup *cgroup;
    const struct spec_check *check;
    const struct spec_source *source;
};

/* What each is made of and how it is read, written and compared: spec_type.h. */
enum key_type {
    KEY_ARGV,     /* char **: a list, or one string split like a shell would */
    KEY_HOOK,     /* the same, of a control process: a '-' may stand before the program */
    KEY_PATH,     /* char *, absolute */
    KEY_STRV,     /* char **: KEY=VALUE for `environment`, else any */
    KEY_BOOL,     /* bool: yes no true false on off 1 0 */
    KEY_UINT,     /* uint32_t, decimal */
    KEY_OCTAL,    /* uint32_t, octal, at most 0777 */
    KEY_DURATION, /* int64_t us */
    KEY_SIGNAL,   /* int32_t */
    KEY_EXIT_SET, /* struct exit_set */
    KEY_SCHEDULE, /* char **, read by core/schedule.h */
    KEY_LISTEN,   /* char **, each read by socket_spec_parse() */
    KEY_RESTART,  /* enum restart_policy */
    KEY_START,    /* enum start_mode */
    KEY_KILL_MODE,
    KEY_SERVICE_TYPE,
    KEY_LOG,               /* struct spec_log */
    KEY_LOG_FORMAT,        /* enum log_format */
    KEY_LOG_WHEN_FULL,     /* enum log_when_full */
    KEY_LOG_PREFIX,        /* char *, a part of a line */
    KEY_LOG_TIMESTAMP,     /* char *: yes, no, or a format of strftime(3) */
    KEY_LOG_RATE,          /* struct log_rate */
    KEY_SIZE,              /* uint64_t bytes */
    KEY_OWNER,             /* char *, USER or USER:GROUP, numbers once they were looked up */
    KEY_USER,              /* char *, with what it stands for in ids */
    KEY_GROUP,             /* the same */
    KEY_NICE,              /* struct spec_int */
    KEY_OOM_SCORE_ADJ,     /* the same */
    KEY_IO,                /* struct spec_io */
    KEY_CPUS,              /* struct spec_cpus * */
    KEY_GROUPS,            /* char **, with what they stand for in ids */
    KEY_CAPABILITIES,      /* struct spec_caps */
    KEY_CAPABILITY_BOUNDS, /* the same, and "~NAME" takes away from all */
    KEY_DEATH_SIGNAL,      /* int32_t, or none */
    KEY_INPUT,             /* struct spec_log, as LOG_KIND_NONE, _INHERIT and _FILE */
    KEY_LIMIT,             /* struct spec_limit *, one of spec->limits */
    KEY_INSTANCES,         /* struct spec_int */
    KEY_READY,             /* struct spec_ready */
    KEY_NOTIFY_ACCESS,     /* enum notify_access */
    KEY_NAMES,             /* char **, one of spec->deps: names of services */
    KEY_WATCHDOG,          /* int64_t us, or off */
    KEY_CHECK_TCP,         /* char *: an address that is connected to */
    KEY_CHECK_HTTP,        /* char *: a URL */
    KEY_TEXT,              /* char * */
    KEY_STATUSES,          /* struct spec_statuses */
    KEY_PERCENT,           /* uint32_t; 0: unset */
    KEY_ON_FAILURE,        /* struct spec_on_failure */
    KEY_SIZE_LIMIT,        /* struct cgroup_limit: bytes, or infinity */
    KEY_COUNT_LIMIT,       /* struct cgroup_limit: a number, or infinity */
    KEY_CPU_MAX,           /* struct cgroup_cpu_max */
    KEY_WEIGHT,            /* uint32_t, 1 to 10000; 0: unset */
    KEY_N_TYPES,
};

enum key_flags {
    KEY_F_PROCESS = 1 << 0,     /* a change reaches the service only with a new process */
    KEY_F_ADDS = 1 << 1,        /* the service's values are added to those of `defaults`, not put in their place */
    KEY_F_ENVIRONMENT = 1 << 2, /* each value must be KEY=VALUE with a valid KEY */
    KEY_F_REQUIRED = 1 << 3,
    KEY_F_PATHS = 1 << 4,    /* each value must be an absolute path, after a '-' or without it */
    KEY_F_HOME = 1 << 5,     /* the path may begin with '~', the home of the service's user */
    KEY_F_EXPANDS = 1 << 6,  /* of instances: %i and %n stand for the number and the name, core/instance.h */
    KEY_F_POSITIVE = 1 << 7, /* a number, duration or size that may not be 0 */
};

struct spec_key {
    const char *name;
    enum key_type type;
    unsigned flags;
    enum spec_group group;
    size_t offset;    /* into that */
    const char *dflt; /* default as written in a file; NULL = unset or empty */
};

extern const struct spec_key spec_keys[];
extern const size_t spec_n_keys;

/* Is NAME a section of a service, that is, are there keys "NAME.key"? */
bool spec_has_section(const char *name, size_t len);

/* NULL when NAME is no key of a service. */
const struct spec_key *spec_key_find(const char *name);

/* A spec with every default applied.  NAME is copied.  Freed with spec_free(). */
struct spec *spec_new(const char *name);
struct spec *spec_dup(const struct spec *spec);
void spec_free(struct spec *spec);
/* One with nothing but its defaults, to compare with; it stays. */
const struct spec *spec_default(void);

/*
 * GROUP of SPEC to be written to: no other spec has it from now on.  Kept by nobody, for a copy of SPEC may have it next.
 */
void *spec_own(struct spec *spec, enum spec_group group);

static inline struct spec_exec *spec_own_exec(struct spec *spec)
{
    return spec_own(spec, SPEC_EXEC);
}

static inline struct spec_place *spec_own_place(struct spec *spec)
{
    return spec_own(spec, SPEC_PLACE);
}

static inline struct spec_life *spec_own_life(struct spec *spec)
{
    return spec_own(spec, SPEC_LIFE);
}

static inline struct spec_around *spec_own_around(struct spec *spec)
{
    return spec_own(spec, SPEC_AROUND);
}

static inline struct spec_logs *spec_own_logs(struct spec *spec)
{
    return spec_own(spec, SPEC_LOGS);
}

static inline struct spec_cgroup *spec_own_cgroup(struct spec *spec)
{
    return spec_own(spec, SPEC_CGROUP);
}

static inline struct spec_check *spec_own_check(struct spec *spec)
{
    return spec_own(spec, SPEC_CHECK);
}

static inline struct spec_source *spec_own_source(struct spec *spec)
{
    return spec_own(spec, SPEC_SOURCE);
}

/* KEY of SPEC is again what it is where nobody gives it. */
void spec_reset(struct spec *spec, const struct spec_key *key);

/*
 * Sets KEY from the N strings in VALUES.  IS_LIST tells `{...}` from a single
 * value.  On a bad value returns false, leaves the spec as it was and writes to
 * ERR (ERR_SIZE bytes) what is wrong and what would be right, naming the
 * offending word, without file, line or key name.  With KEY_F_ADDS the values
 * are appended (for environment: an equal KEY is replaced).
 */
bool spec_set(struct spec *spec, const struct spec_key *key, char *const *values, size_t n, bool is_list, char *err,
              size_t err_size);

/*
 * The value of KEY as strings that spec_set() reads back to the same value
 * (a vector to free with strv_free; NULL: unset).  *IS_LIST as for spec_set().
 */
char **spec_get(const struct spec *spec, const struct spec_key *key, bool *is_list);

/* Checks of a whole spec, after every key is set (command given, delays in order, ...).  As spec_set() on error. */
bool spec_validate(const struct spec *spec, char *err, size_t err_size);

/* Same value of KEY in both?  User and group compare their resolved ids too. */
bool spec_key_equal(const struct spec *a, const struct spec *b, const struct spec_key *key);

/*
 * A 64-bit digest over all KEY_F_PROCESS keys and the resolved ids: two specs
 * with different digests need different processes.  Stable across runs and
 * versions of supd (it is stored with the record of a running process).
 */
uint64_t spec_process_digest(const struct spec *spec);

/* 1-64 of A-Z a-z 0-9 . _ -, not starting with . or -; those of instances: instance_name_valid(). */
bool spec_name_valid(const char *name);

void exit_set_add_code(struct exit_set *set, int code);
void exit_set_add_signal(struct exit_set *set, int signo);
bool exit_set_has_code(const struct exit_set *set, int code);
bool exit_set_has_signal(const struct exit_set *set, int signo);

bool spec_cpus_has(const struct spec_cpus *cpus, unsigned cpu);

/* after, before, ..., as the key is called. */
const char *spec_dep_name(enum spec_dep dep);

/* The enum spec_limit_name that the key is about; -1: none. */
int spec_limit_of(const struct spec_key *key);

/* The defaults of restart and start-timeout that a oneshot service has in place of the usual ones, where they are not given. */
void spec_type_defaults(struct spec *spec, bool restart_given, bool start_timeout_given);

/* Whose messages are believed: by the key, or what goes with the others where it is not given.  Never NOTIFY_UNSET. */
enum notify_access spec_notify_access(const struct spec *spec);

/* What asks it to reload: as the key says, or HUP where it tells of its reloads.  0: no signal does. */
int32_t spec_reload_signal(const struct spec *spec);

const char *service_type_name(enum service_type type);
const char *restart_policy_name(enum restart_policy policy);
const char *kill_mode_name(enum kill_mode mode);

/*
 * A list of specs, sorted by instance_compare() of names, names unique.  Freed with spec_list_free(),
 * which frees the specs too.
 */
struct spec_list {
    struct spec **items;
    size_t n;
};

void spec_list_free(struct spec_list *list);
/* Appends; the list takes ownership, and has what the last few say too but once.  Sort with spec_list_sort() once all are in. */
void spec_list_push(struct spec_list *list, struct spec *spec);
void spec_list_sort(struct spec_list *list);
/* Binary search in a sorted list, NULL when there is none. */
struct spec *spec_list_find(const struct spec_list *list, const char *name);

/*
 * Splits TEXT as a POSIX shell splits words (quotes and backslashes, no
 * expansion of any kind).  Returns a vector, or NULL with ERR written.
 */
char **spec_split_words(const char *text, char *err, size_t err_size);

#endif
