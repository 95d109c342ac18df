/* SPDX-License-Identifier: MIT */
/*
 * stepper [--init] FD POINT MODE PROGRAM [ARGUMENT]...
 *
 * Becomes PROGRAM (supd) under the eyes of a tracer, which follows it and its children up to their exec and kills
 * PROGRAM with SIGKILL at the entry of the POINT-th system call of any of them.  So every state between two system
 * calls is met, also those of a child between its fork and its exec.  PROGRAM is followed through its own exec, and a
 * child that executes the same binary (to try it before an upgrade) to its end.  The tracer is nobody's child but the
 * subreaper's.
 *
 * With --init PROGRAM is not supd but its parent: neither counted nor killed.  The child that it forks is supd.
 *
 * POINT 0: nothing is counted before "arm" is said.  MODE is what becomes of the children before their exec then:
 *   go     they go on at once
 *   hold   they are stopped where they are for HOLD_MS, while the next supd starts, and go on then
 *   hang   they stay there until somebody kills them
 * or the name of a signal that supd gets in place of SIGKILL, whereupon the tracer lets go of all.  STOP is followed by
 * SIGCONT once supd has been seen stopped.
 *
 * FD is a stream socket.  Said to the tracer, a line each:
 *   arm POINT MODE   counting begins now, under --init with the next supd; answered with "armed" once it is so
 *   quiet            answered with "count N" once no system call has come for QUIET_MS; then the tracer lets go
 * Said by it:
 *   killed N CHILDREN NAME   the N-th call was met, in NAME ("supd" or "child"), with CHILDREN before their exec
 *   signaled N CHILDREN NAME FATE   the same with another signal, which is "caught", "ignored", has no handler but is
 *                            blocked ("pending"), or kills ("fatal")
 *   ended N                  supd ended by itself after N calls
 * When FD is closed at the other end, the tracer kills the children that it holds and ends.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crash/traced.h"

enum { MAX_TRACED = 256, HOLD_MS = 2000, QUIET_MS = 150 };
enum mode { GO, HOLD, HANG, SIGNAL };
enum phase { IDLE, STEPPING, KILLED };

#define OPTIONS \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

static const struct {
    const char *name;
    int signo;
} signal_modes[] = {
    {"HUP", SIGHUP},   {"TERM", SIGTERM}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
    {"CHLD", SIGCHLD}, {"PIPE", SIGPIPE}, {"STOP", SIGSTOP},
};

static struct tracer {
    int control;
    pid_t init; /* supd's parent, where that is followed; or 0 */
    pid_t supd; /* 0: not there yet */
    enum phase phase;
    enum mode mode;
    int signo; /* of SIGNAL */
    unsigned long point;
    unsigned long count;
    bool arming; /* supd has been interrupted and is to say "armed" when it stops; or it is to be the next supd */
    bool quiet_asked;
    pid_t children[MAX_TRACED]; /* before their exec */
    size_t n_children;
    long long last_call;  /* ms */
    long long release_at; /* ms; 0: never */
} tracer;

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void say(const char *line)
{
    if (send(tracer.control, line, strlen(line), MSG_NOSIGNAL) < 0)
        _exit(EXIT_FAILURE);
}

static void set_mode(const char *word)
{
    tracer.mode = strcmp(word, "hold") == 0 ? HOLD : strcmp(word, "hang") == 0 ? HANG : GO;
    for (size_t i = 0; i < sizeof signal_modes / sizeof *signal_modes; i++) {
        if (strcmp(word, signal_modes[i].name) == 0) {
            tracer.mode = SIGNAL;
            tracer.signo = signal_modes[i].signo;
        }
    }
}

/* ---- the children before their exec ---- */

static size_t child_index(pid_t pid)
{
    size_t i = 0;

    while (i < tracer.n_children && tracer.children[i] != pid)
        i++;
    return i;
}

static void child_add(pid_t pid)
{
    if (child_index(pid) < tracer.n_children)
        return;
    if (tracer.n_children == MAX_TRACED)
        errx(EXIT_FAILURE, "too many children before their exec");
    tracer.children[tracer.n_children++] = pid;
}

static void child_remove(pid_t pid)
{
    size_t i = child_index(pid);

    if (i < tracer.n_children)
        tracer.children[i] = tracer.children[--tracer.n_children];
}

/* ---- stops ---- */

/* ESRCH: it was killed meanwhile, and its end is reported next. */
static void resume(pid_t pid, int sig)
{
    bool counted = tracer.phase == STEPPING && pid != tracer.init;
    enum __ptrace_request how = counted ? PTRACE_SYSCALL : PTRACE_CONT;

    ptrace(how, pid, NULL, (void *)(long)sig);
}

static bool is_entry(pid_t pid)
{
    struct __ptrace_syscall_info info;

    return ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

/* Whoever is stopped stays so; those that run are stopped where they are. */
static void begin_hold(void)
{
    for (size_t i = 0; i < tracer.n_children; i++)
        ptrace(PTRACE_INTERRUPT, tracer.children[i], NULL, NULL);
    tracer.release_at = tracer.mode == HOLD ? now_ms() + HOLD_MS : 0;
}

/* So that the next supd is nobody's business here. */
static void let_go_of_init(void)
{
    int status;
    int sig = 0;

    ptrace(PTRACE_INTERRUPT, tracer.init, NULL, NULL);
    if (waitpid(tracer.init, &status, __WALL) != tracer.init || !WIFSTOPPED(status))
        errx(EXIT_FAILURE, "supd's parent has ended");
    if (status >> 16 == 0)
        sig = WSTOPSIG(status);
    ptrace(PTRACE_DETACH, tracer.init, NULL, (void *)(long)sig);
}

static const char *name_of(pid_t pid)
{
    return pid == tracer.supd ? "supd" : "child";
}

/* One of supd's threads but the first, ended and not reaped or not yet ended; or 0. */
static pid_t other_thread(void)
{
    char path[64];
    pid_t found = 0;

    snprintf(path, sizeof path, "/proc/%d/task", (int)tracer.supd);
    DIR *dir = opendir(path);
    if (!dir)
        err(EXIT_FAILURE, "%s", path);
    for (struct dirent *entry = readdir(dir); entry && found == 0; entry = readdir(dir)) {
        pid_t tid = atoi(entry->d_name);

        if (tid != tracer.supd)
            found = tid; /* "." and ".." are 0 */
    }
    closedir(dir);
    return found;
}

/*
 * Behind SIGKILL.  Of a program that has threads the first one's end is told when we know that of all the others: also
 * of one that has only just begun, and has reported nothing yet.
 */
static void reap_threads(void)
{
    pid_t pid;
    int status;

    while ((pid = other_thread()) > 0) {
        do {
            if (waitpid(pid, &status, __WALL) != pid)
                err(EXIT_FAILURE, "thread %d", (int)pid);
        } while (WIFSTOPPED(status));
        child_remove(pid);
    }
}

static void kill_supd(pid_t at)
{
    char line[64];
    int status;

    tracer.phase = KILLED;
    if (tracer.init)
        let_go_of_init();
    kill(tracer.supd, SIGKILL);
    reap_threads();
    /* A stop may have been reported before the signal came; its parent is told of its end once we know it. */
    do {
        if (waitpid(tracer.supd, &status, __WALL) < 0)
            break;
    } while (WIFSTOPPED(status));
    snprintf(line, sizeof line, "killed %lu %zu %s\n", tracer.count, tracer.n_children, name_of(at));
    if (tracer.mode == GO || tracer.n_children == 0) {
        say(line);
        _exit(EXIT_SUCCESS); /* which lets go of them all */
    }
    begin_hold();
    say(line);
}

/* ---- other signals ---- */

/* Is SIGNO in the set that /proc/PID/status tells under this name? */
static bool is_in_set(const char *status, const char *name, int signo)
{
    const char *at = strstr(status, name);

    return at && (strtoull(at + strlen(name), NULL, 16) >> (signo - 1) & 1) != 0;
}

static bool read_proc(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static const char *fate(pid_t pid, int signo)
{
    char status[8192];

    if (!read_proc(pid, "status", status, sizeof status))
        errx(EXIT_FAILURE, "/proc/%d/status cannot be read", pid);
    if (is_in_set(status, "\nSigCgt:", signo))
        return "caught";
    if (is_in_set(status, "\nSigIgn:", signo) || signo == SIGCHLD || signo == SIGSTOP)
        return "ignored";
    return is_in_set(status, "\nSigBlk:", signo) ? "pending" : "fatal";
}

static bool has_stopped(pid_t pid)
{
    char stat[512];

    if (!read_proc(pid, "stat", stat, sizeof stat))
        return false;
    const char *at = strrchr(stat, ')');
    return at && at[1] == ' ' && at[2] == 'T';
}

/* In a process of its own, which traces nobody. */
static _Noreturn void continue_supd(int pidfd)
{
    struct pollfd end = {.fd = pidfd, .events = POLLIN};

    while (!has_stopped(tracer.supd) && poll(&end, 1, 1) == 0)
        ;
    syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
    _exit(EXIT_SUCCESS);
}

static _Noreturn void signal_supd(pid_t at)
{
    char line[96];

    snprintf(line, sizeof line, "signaled %lu %zu %s %s\n", tracer.count, tracer.n_children, name_of(at),
             fate(tracer.supd, tracer.signo));
    int pidfd = (int)syscall(SYS_pidfd_open, tracer.supd, 0);
    if (pidfd < 0)
        err(EXIT_FAILURE, "pidfd_open");
    kill(tracer.supd, tracer.signo);
    pid_t pid = tracer.signo == SIGSTOP ? fork() : -1;
    if (pid == 0)
        continue_supd(pidfd);
    say(line);
    _exit(EXIT_SUCCESS); /* which lets go of them all */
}

/* ---- what is reported ---- */

static void on_call(pid_t pid)
{
    if (tracer.phase != STEPPING || !is_entry(pid)) {
        resume(pid, 0);
        return;
    }
    tracer.last_call = now_ms();
    if (++tracer.count != tracer.point)
        resume(pid, 0);
    else if (tracer.mode == SIGNAL)
        signal_supd(pid);
    else
        kill_supd(pid);
}

static bool runs_the_binary_of_supd(pid_t pid)
{
    char paths[2][64];
    struct stat st[2];
    pid_t pids[2] = {pid, tracer.supd};

    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "/proc/%d/exe", pids[i]);
        if (stat(paths[i], &st[i]) < 0)
            return false;
    }
    return st[0].st_dev == st[1].st_dev && st[0].st_ino == st[1].st_ino;
}

static void on_exec(pid_t pid)
{
    if (pid == tracer.supd || pid == tracer.init || runs_the_binary_of_supd(pid)) {
        resume(pid, 0);
        return;
    }
    child_remove(pid);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void on_event_stop(pid_t pid, int sig)
{
    if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
        ptrace(PTRACE_LISTEN, pid, NULL, NULL);
        return;
    }
    if (pid == tracer.supd && tracer.arming && !tracer.init) {
        tracer.arming = false;
        tracer.phase = STEPPING;
        tracer.last_call = now_ms();
        say("armed\n");
    }
    resume(pid, 0);
}

static void on_stop(pid_t pid, int status)
{
    int event = status >> 16;
    int sig = WSTOPSIG(status);

    if (tracer.supd == 0 && pid != tracer.init)
        tracer.supd = pid;
    if (pid != tracer.supd && pid != tracer.init && event != PTRACE_EVENT_EXEC)
        child_add(pid);
    if (tracer.phase == KILLED && event != PTRACE_EVENT_EXEC)
        return; /* it is held */
    if (event == PTRACE_EVENT_EXEC)
        on_exec(pid);
    else if (event == PTRACE_EVENT_STOP)
        on_event_stop(pid, sig);
    else if (event != 0)
        resume(pid, 0);
    else if (sig == (SIGTRAP | 0x80))
        on_call(pid);
    else
        resume(pid, sig);
}

static void on_end(pid_t pid)
{
    char line[64];

    if (pid != tracer.supd && pid != tracer.init) {
        child_remove(pid);
        return;
    }
    if (pid == tracer.supd && tracer.init && tracer.arming) {
        tracer.arming = false;
        tracer.supd = 0;
        tracer.phase = STEPPING;
        tracer.last_call = now_ms();
        return;
    }
    snprintf(line, sizeof line, "ended %lu\n", tracer.count);
    say(line);
    _exit(EXIT_SUCCESS);
}

static void take_reports(void)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
        if (WIFSTOPPED(status))
            on_stop(pid, status);
        else
            on_end(pid);
    }
}

/* ---- the driver ---- */

static void take_line(const char *line)
{
    char mode[8];

    if (sscanf(line, "arm %lu %7s", &tracer.point, mode) == 2) {
        set_mode(mode);
        tracer.count = 0;
        tracer.arming = true;
        if (tracer.init) {
            say("armed\n");
            return;
        }
        ptrace(PTRACE_INTERRUPT, tracer.supd, NULL, NULL);
        for (size_t i = 0; i < tracer.n_children; i++)
            ptrace(PTRACE_INTERRUPT, tracer.children[i], NULL, NULL);
    } else if (strcmp(line, "quiet") == 0) {
        tracer.quiet_asked = true;
    }
}

static void take_control(void)
{
    char text[256];
    ssize_t n = recv(tracer.control, text, sizeof text - 1, 0);

    if (n <= 0) {
        for (size_t i = 0; tracer.phase == KILLED && i < tracer.n_children; i++)
            kill(tracer.children[i], SIGKILL);
        _exit(EXIT_SUCCESS);
    }
    text[n] = '\0';
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        take_line(line);
}

static void check_quiet(void)
{
    char line[64];

    if (!tracer.quiet_asked || tracer.phase != STEPPING || now_ms() - tracer.last_call < QUIET_MS)
        return;
    snprintf(line, sizeof line, "count %lu\n", tracer.count);
    say(line);
    _exit(EXIT_SUCCESS);
}

static void check_release(void)
{
    if (tracer.phase != KILLED)
        return;
    if (tracer.n_children == 0 || (tracer.release_at != 0 && now_ms() >= tracer.release_at))
        _exit(EXIT_SUCCESS);
}

static _Noreturn void trace(int signals)
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = tracer.control, .events = POLLIN}};
    struct signalfd_siginfo info;

    for (;;) {
        take_reports();
        check_quiet();
        check_release();
        bool timed = tracer.quiet_asked || tracer.release_at != 0;
        if (poll(fds, 2, timed ? 10 : -1) < 0 && errno != EINTR)
            err(EXIT_FAILURE, "poll");
        if (fds[0].revents != 0 && read(signals, &info, sizeof info) < 0 && errno != EAGAIN)
            err(EXIT_FAILURE, "read of a signalfd");
        if (fds[1].revents != 0)
            take_control();
    }
}

/* In the tracer, while supd's process waits in read(2) for READY to be closed. */
static _Noreturn void be_tracer(int ready)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        err(EXIT_FAILURE, "signalfd");
    tracer.phase = tracer.point > 0 ? STEPPING : IDLE;
    tracer.last_call = now_ms();
    if (ptrace(PTRACE_SEIZE, tracer.init ? tracer.init : tracer.supd, NULL, (void *)(long)OPTIONS) < 0)
        _exit(EXIT_SKIP);
    if (write(ready, "", 1) != 1)
        _exit(EXIT_FAILURE);
    close(ready);
    trace(signals);
}

int main(int argc, char **argv)
{
    bool under_init = argc > 1 && strcmp(argv[1], "--init") == 0;
    argv += under_init;
    argc -= under_init;
    if (argc < 5)
        errx(2, "usage: stepper [--init] FD POINT MODE PROGRAM [ARGUMENT]...");
    tracer.control = atoi(argv[1]);
    tracer.point = strtoul(argv[2], NULL, 10);
    set_mode(argv[3]);
    *(under_init ? &tracer.init : &tracer.supd) = getpid();
    if (fcntl(tracer.control, F_SETFD, FD_CLOEXEC) < 0)
        err(EXIT_FAILURE, "stepper");
    traced_exec(be_tracer, argv + 4);
}
