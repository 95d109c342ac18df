/* SPDX-License-Identifier: MIT */
#include "loop/sigchld.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <linux/posix_types.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slab.h"
#include "base/units.h"
#include "os/identity.h"

#define RING_SIZE 256  /* a power of two; what does not fit is found by the sweep */
#define SWEEP_MAX 1024 /* ends taken in one turn, so that a storm of them does not hold the loop */

struct sigchld {
    struct event event;
    struct sigchld_handlers handlers;
    void *ctx;
    bool behind; /* the last sweep has not come to its end */
    uint64_t reaped;
    pid_t settled; /* reaped while the owner was told of its end; 0: nobody */
};

struct hint {
    pid_t pid;
    int code;
    int status;
};

/*
 * What the handler and the callback share.  The handler is the only producer (it
 * runs with all signals blocked) and the callback the only consumer.
 */
static struct {
    struct hint ring[RING_SIZE];
    atomic_uint head;   /* written by the handler */
    atomic_uint tail;   /* written by the callback */
    atomic_int pending; /* libevent was told, its callback has not run yet */
    atomic_ulong runs;
    atomic_ulong overflows;
    void (*libevent_handler)(int signo);
} shared;

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LONG_LOCK_FREE == 2, "a signal handler needs lock-free atomics");
_Static_assert((RING_SIZE & (RING_SIZE - 1)) == 0, "the ring's indices wrap around");

static struct slab slab_of_sigchlds = SLAB_OF(struct sigchld);
static struct sigchld *the_one;

static void handler(int signo, siginfo_t *info, void *ucontext)
{
    int saved = errno;

    (void)ucontext;
    atomic_fetch_add_explicit(&shared.runs, 1, memory_order_relaxed);

    unsigned head = atomic_load_explicit(&shared.head, memory_order_relaxed);
    unsigned tail = atomic_load_explicit(&shared.tail, memory_order_acquire);
    if (head - tail < RING_SIZE) {
        shared.ring[head % RING_SIZE] = (struct hint){info->si_pid, info->si_code, info->si_status};
        atomic_store_explicit(&shared.head, head + 1, memory_order_release);
    } else {
        atomic_fetch_add_explicit(&shared.overflows, 1, memory_order_relaxed);
    }

    /* At most one byte of ours lies in libevent's pipe: its count of them can overflow, and a full pipe loses one. */
    if (atomic_exchange(&shared.pending, 1) == 0)
        shared.libevent_handler(signo);
    errno = saved;
}

bool sigchld_is_end(int code)
{
    return code == CLD_EXITED || code == CLD_KILLED || code == CLD_DUMPED;
}

int sigchld_wait_status(const siginfo_t *info)
{
    switch (info->si_code) {
    case CLD_EXITED:
        return (info->si_status & 0xff) << 8;
    case CLD_DUMPED:
        return info->si_status | WCOREFLAG;
    default:
        return info->si_status;
    }
}

/*
 * A child that asked to be traced by its parent (PTRACE_TRACEME), or a process that was traced
 * and is watched no more, answers the sweep with its stops: let it go on, with the
 * signal that it was stopped by.  False: it cannot be, so it would be shown again for ever.
 */
static bool release_traced(const siginfo_t *info)
{
    bool event = info->si_status >> 8 != 0; /* a stop by PTRACE_INTERRUPT or job control, of one that we seized */
    long signo = event || info->si_status == SIGTRAP ? 0 : info->si_status;

    if (ptrace(PTRACE_DETACH, info->si_pid, NULL, (void *)signo) == -1 && errno != ESRCH)
        return false;
    if (!event)
        log_warning("child %d wanted to be traced by supd; let go", (int)info->si_pid);
    return true;
}

static bool take_stop(const struct sigchld *sigchld, const siginfo_t *info)
{
    if (sigchld->handlers.stopped != NULL && sigchld->handlers.stopped(sigchld->ctx, info))
        return true;
    return release_traced(info);
}

/* struct rusage as the kernel writes it; the one of a C library may have wider times. */
struct kernel_rusage {
    __kernel_long_t user_sec;
    __kernel_long_t user_usec;
    __kernel_long_t system_sec;
    __kernel_long_t system_usec;
    __kernel_long_t maxrss; /* KiB */
    __kernel_long_t ixrss;
    __kernel_long_t idrss;
    __kernel_long_t isrss;
    __kernel_long_t minflt;
    __kernel_long_t majflt;
    __kernel_long_t nswap;
    __kernel_long_t inblock;
    __kernel_long_t oublock;
    __kernel_long_t msgsnd;
    __kernel_long_t msgrcv;
    __kernel_long_t nsignals;
    __kernel_long_t nvcsw;
    __kernel_long_t nivcsw;
};

static struct usage usage_of(const struct kernel_rusage *raw)
{
    return (struct usage){
        .cpu_from = USAGE_WAIT,
        .memory_from = USAGE_WAIT,
        .rest_from = USAGE_WAIT,
        .cpu_user = (int64_t)raw->user_sec * USEC_PER_SEC + raw->user_usec,
        .cpu_system = (int64_t)raw->system_sec * USEC_PER_SEC + raw->system_usec,
        .memory_peak = (uint64_t)raw->maxrss * 1024,
        .faults_minor = (uint64_t)raw->minflt,
        .faults_major = (uint64_t)raw->majflt,
        .switches_voluntary = (uint64_t)raw->nvcsw,
        .switches_involuntary = (uint64_t)raw->nivcsw,
    };
}

/* As waitid(2), with the fifth argument that the kernel has and the C library hides: what the child used, before the reap. */
static int look(idtype_t idtype, id_t id, siginfo_t *info, struct kernel_rusage *raw)
{
    return (int)syscall(SYS_waitid, idtype, id, info, WEXITED | WNOHANG | WNOWAIT, raw);
}

bool sigchld_settle_status(pid_t pid, int *wait_status)
{
    int settled;

    if (*wait_status != 0 || identity_is_success(pid) || waitpid(pid, &settled, WNOHANG) != pid)
        return false;
    *wait_status = settled;
    return true;
}

bool sigchld_settle(struct sigchld *sigchld, pid_t pid, int *wait_status)
{
    if (!sigchld_settle_status(pid, wait_status))
        return false;
    sigchld->settled = pid;
    return true;
}

/* Shows the end of PID, a zombie, to the owner and reaps it. */
static bool take_end(struct sigchld *sigchld, const siginfo_t *info, const struct usage *usage)
{
    pid_t pid = info->si_pid;

    sigchld->settled = 0;
    sigchld->handlers.ended(sigchld->ctx, pid, sigchld_wait_status(info), usage);
    if (sigchld->settled != pid && waitpid(pid, NULL, WNOHANG) != pid) {
        log_error("child %d has ended and cannot be reaped: %s", (int)pid, strerror(errno));
        return false;
    }
    sigchld->reaped++;
    sigchld->handlers.reaped(sigchld->ctx, pid);
    return true;
}

/* Looks at one child (IDTYPE and ID as of waitid(2)) and takes what it tells.  False: there is nothing to take. */
static bool take_one(struct sigchld *sigchld, idtype_t idtype, id_t id)
{
    siginfo_t info = {0};
    struct kernel_rusage raw = {0};

    /* ECHILD (no children) is an answer like any other. */
    if (look(idtype, id, &info, &raw) == -1 || info.si_pid == 0)
        return false;
    if (!sigchld_is_end(info.si_code))
        return take_stop(sigchld, &info);

    struct usage usage = usage_of(&raw);
    return take_end(sigchld, &info, &usage);
}

void sigchld_sweep(struct sigchld *sigchld)
{
    int n = 0;

    while (n < SWEEP_MAX && take_one(sigchld, P_ALL, 0))
        n++;
    sigchld->behind = n == SWEEP_MAX;
    if (sigchld->behind)
        event_active(&sigchld->event, EV_SIGNAL, 1);
}

bool sigchld_is_behind(const struct sigchld *sigchld)
{
    return sigchld->behind || atomic_load(&shared.pending) != 0;
}

static void drain_ring(struct sigchld *sigchld)
{
    for (;;) {
        unsigned tail = atomic_load_explicit(&shared.tail, memory_order_relaxed);
        if (tail == atomic_load_explicit(&shared.head, memory_order_acquire))
            return;

        struct hint hint = shared.ring[tail % RING_SIZE];
        atomic_store_explicit(&shared.tail, tail + 1, memory_order_release);
        if (hint.pid > 0 && sigchld_is_end(hint.code))
            take_one(sigchld, P_PID, (id_t)hint.pid);
    }
}

static void on_sigchld(evutil_socket_t signo, short what, void *arg)
{
    struct sigchld *sigchld = arg;

    (void)signo;
    (void)what;
    /* Cleared first: a signal from here on calls us again. */
    atomic_store(&shared.pending, 0);
    drain_ring(sigchld);
    sigchld_sweep(sigchld);
}

/* Puts our handler in front of libevent's, which event_add() has just installed. */
static const char *wrap_action(void)
{
    struct sigaction action;

    if (sigaction(SIGCHLD, NULL, &action) == -1)
        return "the action for SIGCHLD cannot be read";
    if (action.sa_flags & SA_SIGINFO || action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)
        return "this libevent does not catch signals with a handler (supd needs libevent 2.0 or 2.1)";

    shared.libevent_handler = action.sa_handler;
    action.sa_sigaction = handler;
    action.sa_flags |= SA_SIGINFO | SA_NOCLDSTOP;
    action.sa_flags &= ~SA_NOCLDWAIT;
    if (sigaction(SIGCHLD, &action, NULL) == -1)
        return "the handler for SIGCHLD cannot be installed";
    return NULL;
}

void sigchld_hear_stops(struct sigchld *sigchld, bool on)
{
    struct sigaction action;

    (void)sigchld;
    sigaction(SIGCHLD, NULL, &action);
    action.sa_flags = on ? action.sa_flags & ~SA_NOCLDSTOP : action.sa_flags | SA_NOCLDSTOP;
    sigaction(SIGCHLD, &action, NULL);
}

static void reset_shared(void)
{
    atomic_store(&shared.head, 0);
    atomic_store(&shared.tail, 0);
    atomic_store(&shared.pending, 0);
    atomic_store(&shared.runs, 0);
    atomic_store(&shared.overflows, 0);
}

struct sigchld *sigchld_new(struct loop *loop, const struct sigchld_handlers *handlers, void *ctx, const char **why)
{
    sigset_t set;

    if (the_one != NULL) {
        *why = "SIGCHLD is handled already";
        return NULL;
    }

    struct sigchld *sigchld = slab_new(&slab_of_sigchlds);
    sigchld->handlers = *handlers;
    sigchld->ctx = ctx;
    evsignal_assign(&sigchld->event, loop_base(loop), SIGCHLD, on_sigchld, sigchld);

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    reset_shared();
    if (event_add(&sigchld->event, NULL) == -1) {
        *why = "libevent cannot watch SIGCHLD";
        slab_free(&slab_of_sigchlds, sigchld);
        return NULL;
    }
    *why = wrap_action();
    if (*why != NULL) {
        event_del(&sigchld->event);
        slab_free(&slab_of_sigchlds, sigchld);
        return NULL;
    }

    /* Not what it was before: whoever started us may have left it blocked. */
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    the_one = sigchld;
    return sigchld;
}

void sigchld_free(struct sigchld *sigchld)
{
    if (sigchld == NULL)
        return;
    event_del(&sigchld->event);
    the_one = NULL;
    slab_free(&slab_of_sigchlds, sigchld);
}

struct sigchld_stats sigchld_stats(const struct sigchld *sigchld)
{
    return (struct sigchld_stats){
        .handler_runs = atomic_load(&shared.runs),
        .ring_overflows = atomic_load(&shared.overflows),
        .reaped = sigchld->reaped,
    };
}
