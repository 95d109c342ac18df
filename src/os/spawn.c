/* SPDX-License-Identifier: MIT */
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/mem.h"
#include "base/strv.h"
#include "os/clock.h"
#include "os/identity.h"
#include "os/procfs.h"
#include "os/spawn_child.h"
#include "os/spawn_pack.h"
#include "os/spawn_share.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND UINT64_C(0x100000000)
#endif

/* What systemd, or a supd that runs us, meant for us alone.  A name that ends in '_' stands for all that begin so. */
static const char *const private_vars[] = {
    "NOTIFY_SOCKET",
    "WATCHDOG_",
    "LISTEN_",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "SYSTEMD_EXEC_PID",
    "FDSTORE",
    "MEMORY_PRESSURE_",
    "SUPD_",
    "MANAGERPID",
    "MAINPID",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "CACHE_DIRECTORY",
    "LOGS_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
};

static bool is_private(const char *assignment)
{
    for (size_t i = 0; i < sizeof(private_vars) / sizeof(private_vars[0]); i++) {
        size_t len = strlen(private_vars[i]);

        if (strncmp(assignment, private_vars[i], len) == 0 &&
            (private_vars[i][len - 1] == '_' || assignment[len] == '='))
            return true;
    }
    return false;
}

/* What we inherited, and the one that is ignored by supd itself. */
static uint64_t ignored_signals(void)
{
    uint64_t ignored = UINT64_C(1) << (SIGPIPE - 1);

    for (int signo = 1; signo < NSIG && signo <= 64; signo++) {
        uintptr_t action[8] = {0}; /* the kernel's struct sigaction, at most this long: the handler is in it */

        syscall(SYS_rt_sigaction, signo, NULL, action, (size_t)(NSIG - 1) / 8);
        /* On some machines its flags come first; one signal too many does no harm. */
        if (action[0] == (uintptr_t)SIG_IGN || action[1] == (uintptr_t)SIG_IGN)
            ignored |= UINT64_C(1) << (signo - 1);
    }
    return ignored;
}

void spawn_baseline_take(struct spawn_baseline *baseline)
{
    *baseline = (struct spawn_baseline){.oom_score_adj = INT_MIN, .ignored = ignored_signals()};
    getrlimit(RLIMIT_NOFILE, &baseline->nofile);
    baseline->oom_fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    spawn_read_oom_score_adj(baseline->oom_fd, &baseline->oom_score_adj);
    for (char **p = environ; p != NULL && *p != NULL; p++) {
        if (!is_private(*p))
            baseline->environment = strv_push(baseline->environment, xstrdup(*p));
    }
}

void spawn_baseline_clear(struct spawn_baseline *baseline)
{
    strv_free(baseline->environment);
    baseline->environment = NULL;
    if (baseline->oom_fd > 0)
        close(baseline->oom_fd);
    baseline->oom_fd = -1;
}

/* clone3(2) as fork(2), but that the pidfd comes with the child; the child returns 0. */
static pid_t clone_process(int *pidfd, int cgroup_fd, uint64_t flags)
{
    struct clone_args args = {
        .flags = CLONE_PIDFD | flags | (cgroup_fd > 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)cgroup_fd,
    };

    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* With the handlers of the child reset where the kernel does that, from Linux 5.5 on. */
static pid_t clone_afresh(int *pidfd, int cgroup_fd, bool *handlers_reset)
{
    static bool cannot;

    *handlers_reset = !cannot;
    pid_t pid = clone_process(pidfd, cgroup_fd, cannot ? 0 : CLONE_CLEAR_SIGHAND);
    if (pid != -1 || errno != EINVAL || cannot)
        return pid;
    *handlers_reset = false;
    pid = clone_process(pidfd, cgroup_fd, 0);
    cannot = pid > 0;
    return pid;
}

static pid_t fork_with_pidfd(int *pidfd, const struct spawn_request *req, struct spawn_origin *origin)
{
    int cgroup_fd = req->cgroup_fd;

    origin->join = cgroup_fd > 0 && req->cgroup_join;
    pid_t pid = clone_afresh(pidfd, origin->join ? 0 : cgroup_fd, &origin->handlers_reset);
    if (pid == -1 && cgroup_fd > 0 && errno == E2BIG) { /* before Linux 5.7 */
        origin->join = true;
        pid = clone_afresh(pidfd, 0, &origin->handlers_reset);
    }
    /* Sandboxes that read the flags of clone(2) refuse a clone3(2) that they cannot look into. */
    if (pid != -1 || (errno != ENOSYS && errno != EPERM))
        return pid;
    origin->join = cgroup_fd > 0;
    origin->handlers_reset = false;
    *pidfd = -1;
    return fork();
}

/*
 * A process whose fork lies between two looks at the clock that show the same tick has begun in that tick, and nobody
 * need ask /proc for it.  Whether that is so on this kernel is tried with the first children.
 */
static enum { NOT_TRIED, TICK_IS_RIGHT, TICK_IS_WRONG } start_by_clock;

static uint64_t start_of(pid_t pid, uint64_t not_before)
{
    struct procfs_stat st;

    if (start_by_clock == TICK_IS_WRONG || clock_boot_ticks() != not_before)
        return 0;
    if (start_by_clock == NOT_TRIED && procfs_read_stat(pid, &st) == 0)
        start_by_clock = st.start_ticks == not_before ? TICK_IS_RIGHT : TICK_IS_WRONG;
    return start_by_clock == TICK_IS_RIGHT ? not_before : 0;
}

/*
 * A sandbox without pidfds at all (valgrind is one) leaves -1: a child of ours may be named by its number until it is
 * reaped.  Where there is none for another reason (descriptors are short) the child does not get to run.
 */
static bool ensure_pidfd(struct spawn_child *child, char *err, size_t err_size)
{
    int rc = child->pidfd >= 0 ? child->pidfd : identity_pidfd(child->pid);

    child->pidfd = rc >= 0 ? rc : -1;
    if (rc >= 0)
        spawn_share_begin();
    if (rc >= 0 || rc == -ENOSYS)
        return true;

    snprintf(err, err_size, "pidfd_open: %s", strerror(-rc));
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    return false;
}

/* Above the standard streams, which the child puts in place.  What the child writes into it finds room, and does not wait. */
static bool make_report_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
        return false;
    for (int i = 0; i < 2; i++) {
        if (fds[i] > STDERR_FILENO)
            continue;
        int moved = fcntl(fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (moved == -1)
            goto fail;
        close(fds[i]);
        fds[i] = moved;
    }
    return true;
fail:
    close(fds[0]);
    close(fds[1]);
    return false;
}

/* PACK: what the child reads; NULL: it could not be packed. */
static struct spawn_origin origin_of(struct spawn_pack *pack, uint64_t not_before)
{
    return (struct spawn_origin){
        .parent = getpid(),
        .not_before = start_by_clock == TICK_IS_RIGHT ? not_before : 0,
        .variables = pack != NULL ? &pack->variables : NULL,
    };
}

/* A child in our memory, or -1 with errno; with EOPNOTSUPP, it may do with a copy. */
static pid_t shared_child(const struct spawn_request *req, int report_fd, uint64_t not_before, int *pidfd)
{
    struct spawn_pack *pack = spawn_share_allows(req) ? spawn_share_room() : NULL;

    if (pack == NULL || !spawn_pack(pack, req)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    pack->origin = origin_of(pack, not_before);
    pack->report_fd = report_fd;
    return spawn_share_clone(pack, pidfd);
}

/* A child with a copy of our memory.  Where specs are is nothing for it to see, base/slab.h: so what it reads is here. */
static pid_t copied_child(const struct spawn_request *asked, int report_fd, uint64_t not_before, int *pidfd)
{
    struct spawn_pack pack;
    struct spec_copy spec;
    struct spawn_request copy;
    const struct spawn_request *req = &pack.request;
    bool packed = spawn_pack(&pack, asked);

    if (packed) {
        heap_cover();
    } else {
        spec_copy(&spec, asked->spec);
        copy = *asked;
        copy.spec = &spec.spec;
        req = &copy;
        heap_uncover();
    }
    struct spawn_origin origin = origin_of(packed ? &pack : NULL, not_before);
    pid_t pid = fork_with_pidfd(pidfd, req, &origin);
    if (pid == 0)
        spawn_child_run(req, &origin, report_fd);
    return pid;
}

/* With all signals blocked.  CHILD gets its pid (-1, with errno: there is none), pidfd and start. */
static void make_child(const struct spawn_request *req, int report_fd, struct spawn_child *child)
{
    uint64_t not_before = clock_boot_ticks();

    child->pid = shared_child(req, report_fd, not_before, &child->pidfd);
    if (child->pid == -1 && errno == EOPNOTSUPP)
        child->pid = copied_child(req, report_fd, not_before, &child->pidfd);
    if (child->pid > 0)
        child->start_ticks = start_of(child->pid, not_before);
}

bool spawn_process(const struct spawn_request *req, struct spawn_child *child, char *err, size_t err_size)
{
    int report[2];
    sigset_t all;
    sigset_t before;

    if (!make_report_pipe(report)) {
        snprintf(err, err_size, "pipe: %s", strerror(errno));
        return false;
    }
    *child = (struct spawn_child){.pidfd = -1, .report_fd = report[0]};
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    make_child(req, report[1], child);
    int fork_errno = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);

    if (child->pid == -1) {
        snprintf(err, err_size, "fork: %s", strerror(fork_errno));
        close(report[0]);
        return false;
    }
    if (!ensure_pidfd(child, err, err_size)) {
        close(report[0]);
        return false;
    }
    return true;
}

void spawn_rest(void)
{
    spawn_share_rest();
}

bool spawn_has_attributes(const struct spec *spec)
{
    return spawn_has_limits(spec) || spec->exec->nice.set || spec->exec->io.io_class != IO_CLASS_UNSET ||
           spec->exec->cpus != NULL || spec->exec->oom_score_adj.set || spec->exec->capabilities.set ||
           spec->exec->capability_bounding_set.set || spec->exec->private_tmp || spec->exec->read_only_paths != NULL;
}

bool spawn_try_attributes(const struct spec *spec, const struct spawn_baseline *baseline, char *err, size_t err_size)
{
    const struct spec copy = *spec;
    const struct spawn_request req = {.spec = &copy, .baseline = baseline, .state_fd = -1};
    pid_t parent = getpid();
    int status = 0;
    int report[2];

    if (!spawn_has_attributes(spec))
        return true;
    if (!make_report_pipe(report)) {
        snprintf(err, err_size, "pipe: %s", strerror(errno));
        return false;
    }
    pid_t pid = fork();
    if (pid == 0)
        spawn_child_try(&req, parent, report[1]);
    if (pid == -1)
        snprintf(err, err_size, "fork: %s", strerror(errno));
    close(report[1]);
    while (pid > 0 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
        continue;

    bool ok = pid > 0 && spawn_report_read(report[0], err, err_size) != SPAWN_FAILED;
    close(report[0]);
    if (ok && status != 0) {
        snprintf(err, err_size, "what it asks for ends the process that tries it (wait status %d)", status);
        ok = false;
    }
    return ok;
}

enum spawn_outcome spawn_report_read(int report_fd, char *text, size_t size)
{
    ssize_t n = read(report_fd, text, size - 1);

    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return SPAWN_PENDING;
    if (n <= 0)
        return SPAWN_CLOSED;
    text[n] = '\0';
    return SPAWN_FAILED;
}
