/* SPDX-License-Identifier: MIT */
/*
 * fault CALL WHEN ERROR REPORT PROGRAM [ARGUMENT]...
 *
 * Becomes PROGRAM (supd) under the eyes of a tracer, which follows it and its children up to their exec and lets some
 * of their system calls fail: the kernel never sees those, and the caller is told ERROR.
 *
 *   CALL    a system call by name (see the table), or a family: fork (all ways), memory (brk, mmap, mremap); with
 *           "@file" behind its name only where its first argument is a file, no pipe or socket
 *   WHEN    N       the N-th, over all processes together     N+M     M of them from the N-th on
 *           %K      every K-th                                0       none: they are only counted
 *   ERROR   EMFILE, ENOSPC, ...; short: the call is made with half of its length (write, pwrite64, read)
 *   REPORT  a file that gets a line for each call that failed, "hit N CALL WHO" with WHO supd or child, and when PROGRAM
 *           ends a line "count CALL N M" for each call of the table: N in all, M of them in children
 *
 * The calls of the dynamic loader are not counted.  When nothing more can fail the tracer lets go of all; it is
 * nobody's child but the subreaper's.  Ends with 77 where nothing can be traced so, as on other machines than x86-64.
 */
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/reg.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/traced.h"

enum { MAX_TRACED = 256 };

#ifndef __x86_64__

int main(void)
{
    return EXIT_SKIP;
}

#else

#define OPTIONS \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)
#define AT_REG(reg) ((void *)(sizeof(long) * (reg)))
#define BREAKPOINT 0xccL

static struct call {
    const char *name;
    long nr;
    const char *family;
    bool on_file;
    bool makes_fd; /* of the commands of fcntl(2): those that do */
    unsigned long count;
    unsigned long in_children;
} calls[] = {
    {.name = "accept4", .nr = SYS_accept4},
    {.name = "bind", .nr = SYS_bind},
    {.name = "brk", .nr = SYS_brk, .family = "memory"},
    {.name = "chdir", .nr = SYS_chdir},
    {.name = "chmod", .nr = SYS_chmod},
    {.name = "clone", .nr = SYS_clone, .family = "fork"},
    {.name = "clone3", .nr = SYS_clone3, .family = "fork"},
    {.name = "close_range", .nr = SYS_close_range},
    {.name = "connect", .nr = SYS_connect},
    {.name = "dup2", .nr = SYS_dup2},
    {.name = "dup3", .nr = SYS_dup3},
    {.name = "epoll_create1", .nr = SYS_epoll_create1},
    {.name = "epoll_ctl", .nr = SYS_epoll_ctl},
    {.name = "epoll_wait", .nr = SYS_epoll_wait},
    {.name = "eventfd2", .nr = SYS_eventfd2},
    {.name = "execve", .nr = SYS_execve},
    {.name = "fallocate", .nr = SYS_fallocate},
    {.name = "fcntl", .nr = SYS_fcntl, .makes_fd = true},
    {.name = "flock", .nr = SYS_flock},
    {.name = "fork", .nr = SYS_fork, .family = "fork"},
    {.name = "ftruncate", .nr = SYS_ftruncate},
    {.name = "getdents64", .nr = SYS_getdents64},
    {.name = "getsockopt", .nr = SYS_getsockopt},
    {.name = "ioctl", .nr = SYS_ioctl},
    {.name = "listen", .nr = SYS_listen},
    {.name = "memfd_create", .nr = SYS_memfd_create},
    {.name = "mkdir", .nr = SYS_mkdir},
    {.name = "mmap", .nr = SYS_mmap, .family = "memory"},
    {.name = "mremap", .nr = SYS_mremap, .family = "memory"},
    {.name = "newfstatat", .nr = SYS_newfstatat},
    {.name = "openat", .nr = SYS_openat},
    {.name = "pidfd_open", .nr = SYS_pidfd_open},
    {.name = "pidfd_send_signal", .nr = SYS_pidfd_send_signal},
    {.name = "pipe2", .nr = SYS_pipe2},
    {.name = "poll", .nr = SYS_poll},
    {.name = "prlimit64", .nr = SYS_prlimit64},
    {.name = "pwrite64", .nr = SYS_pwrite64},
    {.name = "read", .nr = SYS_read},
    {.name = "read@file", .nr = SYS_read, .on_file = true},
    {.name = "recvfrom", .nr = SYS_recvfrom},
    {.name = "recvmsg", .nr = SYS_recvmsg},
    {.name = "rename", .nr = SYS_rename},
    {.name = "sendmsg", .nr = SYS_sendmsg},
    {.name = "sendto", .nr = SYS_sendto},
    {.name = "setsid", .nr = SYS_setsid},
    {.name = "socket", .nr = SYS_socket},
    {.name = "socketpair", .nr = SYS_socketpair},
    {.name = "statx", .nr = SYS_statx},
    {.name = "timerfd_create", .nr = SYS_timerfd_create},
    {.name = "unlink", .nr = SYS_unlink},
    {.name = "wait4", .nr = SYS_wait4},
    {.name = "waitid", .nr = SYS_waitid},
    {.name = "write", .nr = SYS_write},
    {.name = "write@file", .nr = SYS_write, .on_file = true},
};

struct tracee {
    pid_t pid;
    bool failing; /* its call was taken away, and at the call's end it is told the error */
    bool brk;     /* that call is brk(2), which fails by returning something else than was asked for */
};

static struct tracer {
    pid_t supd;
    int report;
    const char *target;
    unsigned long first; /* 0: none */
    unsigned long last;
    unsigned long every; /* 0: those from first to last */
    int error;           /* 0: short */
    unsigned long met;
    long entry; /* where the program begins, while the loader runs; 0: it has begun */
    long entry_text;
    struct tracee traced[MAX_TRACED];
    size_t n_traced;
} tracer;

static void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (vdprintf(tracer.report, fmt, ap) < 0)
        err(EXIT_FAILURE, "report");
    va_end(ap);
}

/* ---- the processes ---- */

static struct tracee *tracee_of(pid_t pid)
{
    for (size_t i = 0; i < tracer.n_traced; i++) {
        if (tracer.traced[i].pid == pid)
            return &tracer.traced[i];
    }
    if (tracer.n_traced == MAX_TRACED)
        errx(EXIT_FAILURE, "too many processes before their exec");
    tracer.traced[tracer.n_traced] = (struct tracee){.pid = pid};
    return &tracer.traced[tracer.n_traced++];
}

static void forget(pid_t pid)
{
    struct tracee *tracee = tracee_of(pid);

    *tracee = tracer.traced[--tracer.n_traced];
}

/* ESRCH: it was killed meanwhile, and its end is reported next. */
static void resume(pid_t pid, int sig)
{
    bool loading = pid == tracer.supd && tracer.entry != 0;

    ptrace(loading ? PTRACE_CONT : PTRACE_SYSCALL, pid, NULL, (void *)(long)sig);
}

static long reg_of(pid_t pid, int reg)
{
    return ptrace(PTRACE_PEEKUSER, pid, AT_REG(reg), NULL);
}

static void set_reg(pid_t pid, int reg, long value)
{
    ptrace(PTRACE_POKEUSER, pid, AT_REG(reg), (void *)value);
}

/* ---- from the exec to the program's first instruction ---- */

static long entry_of(pid_t pid)
{
    char path[64];
    Elf64_auxv_t item;
    long entry = 0;

    snprintf(path, sizeof path, "/proc/%d/auxv", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && entry == 0 && read(fd, &item, sizeof item) == (ssize_t)sizeof item && item.a_type != AT_NULL)
        entry = item.a_type == AT_ENTRY ? (long)item.a_un.a_val : 0;
    close(fd);
    return entry;
}

static void break_at_entry(pid_t pid)
{
    tracer.entry = entry_of(pid);
    if (tracer.entry == 0)
        errx(EXIT_FAILURE, "no entry point is known of process %d", pid);
    tracer.entry_text = ptrace(PTRACE_PEEKTEXT, pid, (void *)tracer.entry, NULL);
    ptrace(PTRACE_POKETEXT, pid, (void *)tracer.entry, (void *)((tracer.entry_text & ~0xffL) | BREAKPOINT));
}

/* False: it was stopped by something else. */
static bool begins(pid_t pid)
{
    if (pid != tracer.supd || tracer.entry == 0 || reg_of(pid, RIP) - 1 != tracer.entry)
        return false;
    ptrace(PTRACE_POKETEXT, pid, (void *)tracer.entry, (void *)tracer.entry_text);
    set_reg(pid, RIP, tracer.entry);
    tracer.entry = 0;
    return true;
}

/* ---- calls ---- */

static bool is_file(pid_t pid, long fd)
{
    char path[64];
    char to[2] = "";

    snprintf(path, sizeof path, "/proc/%d/fd/%ld", pid, fd);
    return readlink(path, to, 1) == 1 && to[0] == '/';
}

/* Is this call of PID one of that kind? */
static bool is_of(const struct call *call, pid_t pid, long nr)
{
    if (call->nr != nr)
        return false;
    if (call->makes_fd) {
        long command = reg_of(pid, RSI);
        return command == F_DUPFD || command == F_DUPFD_CLOEXEC;
    }
    return !call->on_file || is_file(pid, reg_of(pid, RDI));
}

static bool is_target(const struct call *call)
{
    return strcmp(call->name, tracer.target) == 0 || (call->family && strcmp(call->family, tracer.target) == 0);
}

static bool is_due(void)
{
    if (tracer.every != 0)
        return tracer.met % tracer.every == 0;
    return tracer.first != 0 && tracer.met >= tracer.first && tracer.met <= tracer.last;
}

static void take_away(struct tracee *tracee, const struct call *call)
{
    long len = reg_of(tracee->pid, RDX);

    report("hit %lu %s %s\n", tracer.met, call->name, tracee->pid == tracer.supd ? "supd" : "child");
    if (tracer.error == 0) {
        set_reg(tracee->pid, RDX, len > 1 ? len / 2 : len);
        return;
    }
    set_reg(tracee->pid, ORIG_RAX, -1);
    tracee->failing = true;
    tracee->brk = call->nr == SYS_brk;
}

static void on_entry(struct tracee *tracee, long nr)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct call *call = &calls[i];

        if (!is_of(call, tracee->pid, nr))
            continue;
        call->count++;
        call->in_children += tracee->pid != tracer.supd;
        if (!is_target(call))
            continue;
        tracer.met++;
        if (is_due())
            take_away(tracee, call);
    }
}

static void on_call(pid_t pid)
{
    struct tracee *tracee = tracee_of(pid);
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) {
        resume(pid, 0);
        return;
    }
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        on_entry(tracee, (long)info.entry.nr);
    } else if (tracee->failing) {
        set_reg(pid, RAX, tracee->brk ? 0 : -tracer.error);
        tracee->failing = false;
    }
    bool over = tracer.first != 0 && tracer.met >= tracer.last && info.op == PTRACE_SYSCALL_INFO_EXIT;
    for (size_t i = 0; over && i < tracer.n_traced; i++)
        over = !tracer.traced[i].failing;
    if (over)
        _exit(EXIT_SUCCESS); /* which lets go of them all */
    resume(pid, 0);
}

/* ---- stops and ends ---- */

static void on_exec(pid_t pid)
{
    if (pid == tracer.supd) {
        break_at_entry(pid);
        resume(pid, 0);
        return;
    }
    forget(pid);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void on_event_stop(pid_t pid, int sig)
{
    if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
        ptrace(PTRACE_LISTEN, pid, NULL, NULL);
    else
        resume(pid, 0);
}

static void on_stop(pid_t pid, int status)
{
    int event = status >> 16;
    int sig = WSTOPSIG(status);

    if (event == PTRACE_EVENT_EXEC)
        on_exec(pid);
    else if (event == PTRACE_EVENT_STOP)
        on_event_stop(pid, sig);
    else if (sig == (SIGTRAP | 0x80))
        on_call(pid);
    else
        resume(pid, event != 0 || (sig == SIGTRAP && begins(pid)) ? 0 : sig);
}

static void on_end(pid_t pid)
{
    forget(pid);
    if (pid != tracer.supd)
        return;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        report("count %s %lu %lu\n", calls[i].name, calls[i].count, calls[i].in_children);
    _exit(EXIT_SUCCESS);
}

/* In the tracer, while supd's process waits in read(2) for READY to be closed. */
static _Noreturn void be_tracer(int ready)
{
    pid_t pid;
    int status;

    if (ptrace(PTRACE_SEIZE, tracer.supd, NULL, (void *)(long)OPTIONS) < 0)
        _exit(EXIT_SKIP);
    if (write(ready, "", 1) != 1)
        _exit(EXIT_FAILURE);
    close(ready);
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSTOPPED(status))
            on_stop(pid, status);
        else
            on_end(pid);
    }
    _exit(EXIT_SUCCESS);
}

/* ---- the arguments ---- */

static int error_of(const char *name)
{
    for (int error = 1; error < 200; error++) {
        const char *known = strerrorname_np(error);
        if (known && strcmp(known, name) == 0)
            return error;
    }
    if (strcmp(name, "short") != 0)
        errx(2, "%s: no error of that name", name);
    return 0;
}

static void parse_when(const char *when)
{
    char *end;

    if (*when == '%') {
        tracer.every = strtoul(when + 1, &end, 10);
        if (tracer.every == 0 || *end != '\0')
            errx(2, "%s: every how many?", when);
        return;
    }
    tracer.first = strtoul(when, &end, 10);
    tracer.last = tracer.first;
    if (*end == '+')
        tracer.last += strtoul(end + 1, &end, 10) - 1;
    if (*end != '\0' || end == when)
        errx(2, "%s: not N, N+M or %%K", when);
}

static void parse_target(const char *target)
{
    tracer.target = target;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (is_target(&calls[i]))
            return;
    }
    errx(2, "%s: no such call in the table", target);
}

int main(int argc, char **argv)
{
    if (argc < 6)
        errx(2, "usage: fault CALL WHEN ERROR REPORT PROGRAM [ARGUMENT]...");
    parse_target(argv[1]);
    parse_when(argv[2]);
    tracer.error = error_of(argv[3]);
    tracer.report = open(argv[4], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    tracer.supd = getpid();
    if (tracer.report < 0)
        err(EXIT_FAILURE, "fault");
    traced_exec(be_tracer, argv + 5);
}

#endif
