/* SPDX-License-Identifier: MIT */
#include "os/spawn_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/strv.h"
#include "core/record.h"
#include "os/clock.h"
#include "os/identity.h"
#include "os/procfs.h"
#include "os/spawn_steps.h"

#define FIRST_REAL_TIME 32 /* of which neither we nor our libraries handle any; 32 to 34 are the C library's own */

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

void spawn_fail(const struct child *child, int code, const char *fmt, ...)
{
    char text[SPAWN_REPORT_MAX];
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (len >= (int)sizeof(text))
        len = (int)sizeof(text) - 1;
    /* Where nobody reads it any more, the exit code still tells the step. */
    ssize_t written = len > 0 ? write(child->report_fd, text, (size_t)len) : 0;
    (void)written;
    _exit(code);
}

const char *spawn_error(int err)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
    const char *words = strerrordesc_np(err);

    return words != NULL ? words : "unknown error";
#else
    return strerror(err);
#endif
}

/*
 * supd's handlers write into supd's pipes, and what supd ignores its services must not.  By the system call itself:
 * sigaction(3) refuses the two signals that the C library keeps to itself, and those may be ignored too (some make(1)
 * start their children so).
 */
static void reset_signal_handlers(const struct child *child, bool handlers_reset)
{
    static const uint64_t defaults[8]; /* the kernel's struct sigaction, at most this long, all zero: SIG_DFL */
    uint64_t ignored = child->req->baseline->ignored;

    for (int signo = 1; signo < NSIG; signo++) {
        bool has_handler = !handlers_reset && signo < FIRST_REAL_TIME;
        if (has_handler || signo > 64 || (ignored >> (signo - 1) & 1) != 0)
            syscall(SYS_rt_sigaction, signo, defaults, NULL, (size_t)(NSIG - 1) / 8); /* KILL and STOP refuse */
    }
}

/* None stays blocked, whatever supd was started with, and from here on: a child that hangs before its exec can be ended. */
static void unblock_signals(const struct child *child)
{
    static const uint64_t none[2];

    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, (size_t)(NSIG - 1) / 8) == -1)
        spawn_fail(child, STEP_SIGNAL_MASK, "sigprocmask: %s", spawn_error(errno));
}

/* NOT_BEFORE: of struct spawn_origin. */
static uint64_t start_of(const struct child *child, uint64_t not_before)
{
    uint64_t ticks = 0;

    if (not_before != 0 && clock_boot_ticks() == not_before)
        return not_before;
    int rc = procfs_self_start_ticks(&ticks);
    if (rc < 0)
        spawn_fail(child, STEP_OTHER, "record: /proc/self/stat: %s", spawn_error(-rc));
    return ticks;
}

static void record_self(const struct child *child, uint64_t not_before)
{
    const struct spawn_request *req = child->req;
    uint64_t ticks = start_of(child, not_before);
    int self = identity_pidfd(child->pid);

    record_finish_spawn(req->record, req->record_len, child->pid, ticks, identity_inode(self));
    if (self >= 0)
        close(self);

    ssize_t n;
    do
        n = syscall(SYS_write, req->state_fd, req->record, req->record_len);
    while (n == -1 && errno == EINTR);
    if (n != (ssize_t)req->record_len)
        spawn_fail(child, STEP_OTHER, "record: %s", spawn_error(n == -1 ? errno : ENOSPC));
    if (req->pid_slot != NULL)
        *req->pid_slot = child->pid | req->pid_flags;
}

/* For kernels whose close_range(2) has no CLOSE_RANGE_CLOEXEC (before 5.11), or that have none (before 5.9). */
static bool cloexec_by_proc(void)
{
    /* As getdents64(2) writes it: without opendir(3), which allocates. */
    struct entry {
        uint64_t inode;
        int64_t offset;
        uint16_t length;
        uint8_t type;
        char name[];
    };
    _Alignas(struct entry) char entries[1024];
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n = dir != -1 ? 1 : -1;

    while (n > 0) {
        n = syscall(SYS_getdents64, dir, entries, sizeof(entries));
        for (long at = 0; at < n;) {
            const struct entry *entry = (const struct entry *)(entries + at);
            int fd = atoi(entry->name);

            if (fd > STDERR_FILENO)
                fcntl(fd, F_SETFD, FD_CLOEXEC);
            at += entry->length;
        }
    }
    if (dir != -1)
        close(dir);
    return n == 0;
}

/* Marked, not closed: the lock must be held, through us, until the exec. */
static void close_on_exec(const struct child *child)
{
    if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0 || cloexec_by_proc())
        return;
    spawn_fail(child, STEP_FDS, "descriptors: /proc/self/fd: %s", spawn_error(errno));
}

/* What '~' stands for.  A manager that gives root no HOME (systemd does not) means no other than this. */
static const char *home_of(const struct child *child)
{
    const char *home = spawn_is_other_user(child->spec) ? child->spec->exec->ids.home
                                                        : strv_env_get(child->req->baseline->environment, "HOME");

    if (home != NULL)
        return home;
    if (geteuid() == 0)
        return "/root";
    spawn_fail(child, STEP_CHDIR, "chdir %s: it is not known where the home directory is",
               child->spec->place->directory);
}

/* As the user of the service, who may be the only one that gets there (or not). */
static void change_directory(const struct child *child)
{
    const char *directory = child->spec->place->directory;
    char path[PATH_MAX];

    if (directory == NULL)
        return;
    if (directory[0] == '~') {
        snprintf(path, sizeof(path), "%s%s", home_of(child), directory + 1);
        directory = path;
    }
    if (chdir(directory) == -1)
        spawn_fail(child, STEP_CHDIR, "chdir %s: %s", directory, spawn_error(errno));
}

/* What spawn_error() does not tell of an exec of PATH that failed with ERR. */
static const char *exec_hint(const char *path, int err)
{
    if (err == ENOEXEC)
        return " (a script without a #! line?)";
    if (err == ENOENT && access(path, F_OK) == 0)
        return " (it is there: the interpreter or loader that it names is missing)";
    return "";
}

/* Tries the directories of PATH in turn; returns the errno that tells most. */
static int exec_on_path(char **argv, char **env, const char *path)
{
    char file[PATH_MAX];
    int err = ENOENT;

    for (const char *dir = path;;) {
        size_t len = strcspn(dir, ":");
        int n = snprintf(file, sizeof(file), "%.*s%s%s", (int)len, dir, len > 0 ? "/" : "", argv[0]);
        if (n < (int)sizeof(file)) {
            execve(file, argv, env);
            if (errno == EACCES)
                err = EACCES;
            else if (errno != ENOENT && errno != ENOTDIR)
                return errno;
        }
        if (dir[len] == '\0')
            return err;
        dir += len + 1;
    }
}

static _Noreturn void exec_command(const struct child *child, char **env)
{
    char **argv = child->req->command != NULL ? child->req->command : child->spec->command;

    if (strchr(argv[0], '/') != NULL) {
        syscall(SYS_execve, argv[0], argv, env);
        int err = errno;
        spawn_fail(child, STEP_EXEC, "exec %s: %s%s", argv[0], spawn_error(err), exec_hint(argv[0], err));
    }

    const char *path = strv_env_get(env, "PATH");
    if (path == NULL || *path == '\0')
        path = SPAWN_DEFAULT_PATH;
    int err = exec_on_path(argv, env, path);
    if (err == ENOENT)
        spawn_fail(child, STEP_EXEC, "exec %s: %s (PATH is %s)", argv[0], spawn_error(err), path);
    spawn_fail(child, STEP_EXEC, "exec %s: %s%s", argv[0], spawn_error(err), exec_hint(argv[0], err));
}

/* Before the record: who is recorded is where he is looked for. */
static void join_cgroup(const struct child *child)
{
    int fd = openat(child->req->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

    if (fd == -1 || write(fd, "0", 1) != 1)
        spawn_fail(child, STEP_CGROUP, "cgroup.procs: %s", spawn_error(errno));
    close(fd);
}

/* In this order: mounts and a lower nice level need rights that go with the ids, the limits may be in the way of all
 * that comes before them, and a limit that is raised needs rights too. */
static void set_attributes(const struct child *child)
{
    spawn_set_scheduling(child);
    spawn_set_mounts(child);
    spawn_set_limits(child);
    syscall(SYS_umask, child->spec->exec->umask);
    spawn_set_rights(child);
}

void spawn_child_run(const struct spawn_request *req, const struct spawn_origin *origin, int report_fd)
{
    struct child child = {
        .req = req,
        .spec = req->spec,
        .report_fd = report_fd,
        .pid = (pid_t)syscall(SYS_getpid),
        .parent = origin->parent,
    };
    struct spawn_variables variables;

    reset_signal_handlers(&child, origin->handlers_reset);
    unblock_signals(&child);
    if (syscall(SYS_setsid) == -1)
        spawn_fail(&child, STEP_SETSID, "setsid: %s", spawn_error(errno));
    if (origin->join)
        join_cgroup(&child);
    record_self(&child, origin->not_before);

    /* All that opens something comes before the limit on descriptors and the change of user: supd may hold more of
     * them than the limit allows, and logs and environment files may be readable for root alone. */
    spawn_set_streams(&child);
    if (origin->variables == NULL)
        spawn_environment(&child, &variables);
    char **env = spawn_environment_of(origin->variables != NULL ? origin->variables : &variables, child.pid);
    close_on_exec(&child);
    spawn_place_sockets(&child);
    set_attributes(&child);
    change_directory(&child);
    spawn_set_death_signal(&child);
    exec_command(&child, env);
}

void spawn_child_try(const struct spawn_request *req, pid_t parent, int report_fd)
{
    const struct child child = {
        .req = req, .spec = req->spec, .report_fd = report_fd, .pid = getpid(), .parent = parent};

    /* Where supd will be is not where we are; what a private /tmp hides of it is not to be known here. */
    if (chdir("/") == -1)
        spawn_fail(&child, STEP_CHDIR, "chdir /: %s", spawn_error(errno));
    set_attributes(&child);
    _exit(EXIT_SUCCESS);
}
