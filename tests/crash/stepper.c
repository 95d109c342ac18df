/* SPDX-License-Identifier: MIT */
/*
 * stepper FD POINT MODE PROGRAM [ARGUMENT]...
 *
 * Becomes PROGRAM (supd) under the eyes of a tracer, which follows it and its children up to their exec and kills
 * PROGRAM with SIGKILL at the entry of the POINT-th system call of any of them.  So every state between two system
 * calls is met, also those of a child between its fork and its exec.  The tracer is nobody's child but the subreaper's.
 *
 * POINT 0: nothing is counted before "arm" is said.  MODE is what becomes of the children before their exec then:
 *   go     they go on at once
 *   hold   they are stopped where they are for HOLD_MS, while the next supd starts, and go on then
 *   hang   they stay there until somebody kills them
 *
 * FD is a stream socket.  Said to the tracer, a line each:
 *   arm POINT MODE   counting begins now; answered with "armed" once it does
 *   quiet            answered with "count N" once no system call has come for QUIET_MS; then the tracer lets go
 * Said by it:
 *   killed N CHILDREN NAME   the N-th call was met, in NAME ("supd" or "child"), with CHILDREN before their exec
 *   ended N                  PROGRAM ended by itself after N calls
 * When FD is closed at the other end, the tracer kills the children that it holds and ends.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_TRACED = 256, HOLD_MS = 2000, QUIET_MS = 150, EXIT_SKIP = 77 };
enum mode { GO, HOLD, HANG };
enum phase { IDLE, STEPPING, KILLED };

#define OPTIONS \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

static struct tracer {
    int control;
    pid_t supd;
    enum phase phase;
    enum mode mode;
    unsigned long point;
    unsigned long count;
    bool arming; /* supd has been interrupted and is to say "armed" when it stops */
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

static enum mode parse_mode(const char *word)
{
    if (strcmp(word, "hold") == 0)
        return HOLD;
    return strcmp(word, "hang") == 0 ? HANG : GO;
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
    enum __ptrace_request how = tracer.phase == STEPPING ? PTRACE_SYSCALL : PTRACE_CONT;

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

static void kill_supd(pid_t at)
{
    char line[64];
    int status;

    tracer.phase = KILLED;
    kill(tracer.supd, SIGKILL);
    /* A stop may have been reported before the signal came; its parent is told of its end once we know it. */
    do {
        if (waitpid(tracer.supd, &status, __WALL) < 0)
            break;
    } while (WIFSTOPPED(status));
    snprintf(line, sizeof line, "killed %lu %zu %s\n", tracer.count, tracer.n_children,
             at == tracer.supd ? "supd" : "child");
    if (tracer.mode == GO || tracer.n_children == 0) {
        say(line);
        _exit(EXIT_SUCCESS); /* which lets go of them all */
    }
    begin_hold();
    say(line);
}

static void on_call(pid_t pid)
{
    if (tracer.phase != STEPPING || !is_entry(pid)) {
        resume(pid, 0);
        return;
    }
    tracer.last_call = now_ms();
    if (++tracer.count == tracer.point)
        kill_supd(pid);
    else
        resume(pid, 0);
}

static void on_exec(pid_t pid)
{
    if (pid == tracer.supd) {
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
    if (pid == tracer.supd && tracer.arming) {
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

    if (pid != tracer.supd && event != PTRACE_EVENT_EXEC)
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

    if (pid != tracer.supd) {
        child_remove(pid);
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
        tracer.mode = parse_mode(mode);
        tracer.count = 0;
        tracer.arming = true;
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
    if (ptrace(PTRACE_SEIZE, tracer.supd, NULL, (void *)(long)OPTIONS) < 0)
        _exit(EXIT_SKIP);
    if (write(ready, "", 1) != 1)
        _exit(EXIT_FAILURE);
    close(ready);
    trace(signals);
}

int main(int argc, char **argv)
{
    int ready[2];
    char byte;

    if (argc < 5)
        errx(2, "usage: stepper FD POINT MODE PROGRAM [ARGUMENT]...");
    tracer.control = atoi(argv[1]);
    tracer.point = strtoul(argv[2], NULL, 10);
    tracer.mode = parse_mode(argv[3]);
    tracer.supd = getpid();
    if (fcntl(tracer.control, F_SETFD, FD_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0)
        err(EXIT_FAILURE, "stepper");
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* where Yama wants the tracer to be an ancestor */

    /* Twice, for supd must not have a child that it does not know of. */
    pid_t between = fork();
    if (between < 0)
        err(EXIT_FAILURE, "fork");
    if (between == 0) {
        if (fork() != 0)
            _exit(EXIT_SUCCESS);
        close(ready[0]);
        be_tracer(ready[1]);
    }
    waitpid(between, NULL, 0);
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        return EXIT_SKIP;
    execv(argv[4], argv + 4);
    err(127, "%s", argv[4]);
}
