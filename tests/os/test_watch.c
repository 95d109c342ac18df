/* SPDX-License-Identifier: MIT */
#include "loop/watch.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/units.h"
#include "os/identity.h"
#include "os/procfs.h"
#include "tests/check_main.h"

#define RT_SIGNALS 200

/* Every test of the suite runs with each of these; one that needs PIDFD_INFO_EXIT stands before its twin without. */
static const struct way {
    const char *setting;
    const char *name;
    unsigned lacks;
    bool no_pidfd;           /* the processes are watched without one */
    bool tells;              /* tells the status of a process that its parent has reaped */
    enum exit_source zombie; /* where the status of a zombie comes from */
    enum exit_source reaped;
} ways[] = {
    {"pidfd", "pidfd", 0, false, true, EXIT_SOURCE_PROC, EXIT_SOURCE_PIDFD},
    {"pidfd", "pidfd", IDENTITY_LACKS_EXIT, false, false, EXIT_SOURCE_PROC, EXIT_SOURCE_NONE},
    {"auto", "pidfd+netlink", IDENTITY_LACKS_EXIT, false, true, EXIT_SOURCE_PROC, EXIT_SOURCE_NETLINK},
    {"netlink", "netlink", 0, false, true, EXIT_SOURCE_NETLINK, EXIT_SOURCE_NETLINK},
    {"auto", "netlink", IDENTITY_LACKS_PIDFD, true, true, EXIT_SOURCE_NETLINK, EXIT_SOURCE_NETLINK},
    {"poll", "poll", 0, false, false, EXIT_SOURCE_NONE, EXIT_SOURCE_NONE},
    {"poll", "poll", IDENTITY_LACKS_PIDFD, true, false, EXIT_SOURCE_NONE, EXIT_SOURCE_NONE},
    {"ptrace", "ptrace", 0, false, true, EXIT_SOURCE_PTRACE, EXIT_SOURCE_PIDFD},
    {"ptrace", "ptrace", IDENTITY_LACKS_EXIT, false, false, EXIT_SOURCE_PTRACE, EXIT_SOURCE_NONE},
};

#define N_WAYS ((int)(sizeof(ways) / sizeof(ways[0])))

/* On a kernel that has no PIDFD_INFO_EXIT the twin stands for both. */
static const struct way *way_number(int i)
{
    bool possible = ways[i].reaped != EXIT_SOURCE_PIDFD || identity_have_pidfd_exit();

    return &ways[possible ? i : i + 1];
}

/* Before Linux 5.17 a 0 in /proc may be that of the first thread only, and is not believed. */
static enum exit_source success_source(const struct way *way)
{
    return way->zombie == EXIT_SOURCE_PROC && !identity_have_process_status() ? way->reaped : way->zombie;
}

/* A process that is not our child; its parent reaps it when told to. */
struct fixture {
    const struct way *way;
    struct loop *loop;
    struct sigchld *sigchld;
    struct watcher *watcher;
    struct loop_timer *deadline;
    struct loop_timer *step;
    struct watch *watch;
    pid_t parent;
    pid_t pid;
    uint64_t start_ticks;
    int pidfd;
    int go;
    int ready; /* the nephew writes a byte when it is */
    int reap;
    int calls;
    struct exit_info exit;
};

typedef void (*nephew_fn)(int go, int ready);

static void wait_for_end_of(int fd)
{
    char byte;

    while (read(fd, &byte, 1) == -1 && errno == EINTR)
        ;
}

static void tell_byte(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(97);
}

static _Noreturn void run_parent(int tell, const int go[2], const int ready[2], const int reap[2], nephew_fn nephew)
{
    close(go[1]);
    close(ready[0]);
    close(reap[1]);
    pid_t pid = fork();
    if (pid == 0) {
        nephew(go[0], ready[1]);
        _exit(96);
    }
    if (write(tell, &pid, sizeof(pid)) != sizeof(pid))
        _exit(98);
    wait_for_end_of(reap[0]);
    waitpid(pid, NULL, 0);
    _exit(0);
}

/* ---- what a nephew does ---- */

static void exits_7(int go, int ready)
{
    tell_byte(ready);
    wait_for_end_of(go);
    _exit(7);
}

static void exits_0(int go, int ready)
{
    tell_byte(ready);
    wait_for_end_of(go);
    _exit(0);
}

static void dies_of_segv(int go, int ready)
{
    tell_byte(ready);
    wait_for_end_of(go);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static void *second_thread(void *arg)
{
    wait_for_end_of(*(int *)arg);
    _exit(9);
}

/* The leader ends with status 0, the program goes on in its thread. */
static void leader_ends_first(int go, int ready)
{
    static int fd;
    pthread_t thread;

    fd = go;
    if (pthread_create(&thread, NULL, second_thread, &fd) != 0)
        _exit(95);
    tell_byte(ready);
    syscall(SYS_exit, 0);
}

static int rt_seen;
static bool rt_wrong;

static void on_rt(int signo, siginfo_t *info, void *ucontext)
{
    (void)signo;
    (void)ucontext;
    rt_wrong |= info->si_code != SI_QUEUE || info->si_value.sival_int != rt_seen;
    rt_seen++;
}

/* Exits 42 when each of the queued signals has come once, in order, with the value it was sent with. */
static void counts_signals(int go, int ready)
{
    struct sigaction action = {.sa_sigaction = on_rt, .sa_flags = SA_SIGINFO | SA_RESTART};

    sigaction(SIGRTMIN, &action, NULL);
    tell_byte(ready);
    wait_for_end_of(go);
    _exit(rt_seen == RT_SIGNALS && !rt_wrong ? 42 : 43);
}

/* ---- the fixture ---- */

static void on_deadline(void *ctx)
{
    (void)ctx;
    ck_abort_msg("what was waited for did not happen in time");
}

static void on_exit_told(void *ctx, const struct exit_info *exit_info)
{
    struct fixture *fx = ctx;

    fx->calls++;
    fx->exit = *exit_info;
    watch_free(fx->watch);
    fx->watch = NULL;
    loop_stop(fx->loop);
}

static void child_ended(void *ctx, pid_t pid, int wait_status, const struct usage *usage)
{
    struct fixture *fx = ctx;

    (void)usage;
    sigchld_settle(fx->sigchld, pid, &wait_status);
    watcher_traced_ended(fx->watcher, pid, wait_status);
}

static void child_reaped(void *ctx, pid_t pid)
{
    (void)ctx;
    (void)pid;
}

static bool traced_stopped(void *ctx, const siginfo_t *info)
{
    struct fixture *fx = ctx;

    return watcher_traced_stopped(fx->watcher, info);
}

static void make_nephew(struct fixture *fx, nephew_fn nephew)
{
    struct procfs_stat st;
    int tell[2];
    int go[2];
    int ready[2];
    int reap[2];
    char byte;

    ck_assert_int_eq(pipe(tell), 0);
    ck_assert_int_eq(pipe(go), 0);
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(reap), 0);
    fx->parent = fork();
    if (fx->parent == 0)
        run_parent(tell[1], go, ready, reap, nephew);
    close(tell[1]);
    close(go[0]);
    close(ready[1]);
    close(reap[0]);
    ck_assert_int_eq(read(tell[0], &fx->pid, sizeof(fx->pid)), sizeof(fx->pid));
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(tell[0]);
    close(ready[0]);
    fx->go = go[1];
    fx->reap = reap[1];
    ck_assert_int_eq(procfs_read_stat(fx->pid, &st), 0);
    fx->start_ticks = st.start_ticks;
    fx->pidfd = -1;
    if (!fx->way->no_pidfd) {
        fx->pidfd = identity_open(fx->pid, st.start_ticks);
        ck_assert_int_ge(fx->pidfd, 0);
    }
}

static bool have_pidfds(void)
{
    int fd = identity_pidfd(getpid());

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* In a container there are no events to be had, under valgrind no pidfds: what needs them is not tried there. */
static bool possible(struct loop *loop, const struct way *way)
{
    char err[512];

    if (!way->no_pidfd && !have_pidfds()) {
        printf("# not tried: there are no pidfds\n");
        return false;
    }
    if (strstr(way->name, "netlink") == NULL)
        return true;
    struct watcher *watcher = watcher_new(loop, NULL, "netlink", err, sizeof(err));
    if (watcher == NULL)
        printf("# not tried: %s\n", err);
    watcher_free(watcher);
    return watcher != NULL;
}

static bool setup(struct fixture *fx, int i, nephew_fn nephew)
{
    static const struct sigchld_handlers handlers = {
        .ended = child_ended, .reaped = child_reaped, .stopped = traced_stopped};
    const char *why = NULL;
    char err[512] = "";

    memset(fx, 0, sizeof(*fx));
    fx->way = way_number(i);
    identity_pretend(fx->way->lacks);
    fx->loop = loop_new();
    if (!possible(fx->loop, fx->way)) {
        loop_free(fx->loop);
        return false;
    }
    fx->sigchld = sigchld_new(fx->loop, &handlers, fx, &why);
    ck_assert_msg(fx->sigchld != NULL, "%s", why);
    fx->watcher = watcher_new(fx->loop, fx->sigchld, fx->way->setting, err, sizeof(err));
    ck_assert_msg(fx->watcher != NULL, "%s", err);
    ck_assert_str_eq(watcher_way(fx->watcher), fx->way->name);
    if (strcmp(fx->way->setting, "auto") != 0)
        ck_assert_ptr_nonnull(strstr(watcher_reason(fx->watcher), "by configuration"));
    fx->deadline = loop_timer_new(fx->loop, on_deadline, fx);
    loop_timer_set(fx->deadline, 60 * USEC_PER_SEC);
    make_nephew(fx, nephew);
    return true;
}

static void watch(struct fixture *fx)
{
    fx->watch = watch_new(fx->watcher, fx->pidfd, fx->pid, fx->start_ticks, on_exit_told, fx);
}

static void end_nephew(struct fixture *fx)
{
    close(fx->go);
    fx->go = -1;
}

/* The parent reaps as soon as it can: a tracer comes before it. */
static void let_reap(struct fixture *fx)
{
    close(fx->reap);
    fx->reap = -1;
}

/* It has reaped; the sweep may have taken the parent's own end. */
static void await_parent(struct fixture *fx)
{
    pid_t pid;

    do
        pid = waitpid(fx->parent, NULL, 0);
    while (pid == -1 && errno == EINTR);
    ck_assert(pid == fx->parent || errno == ECHILD);
}

static void reap_nephew(struct fixture *fx)
{
    let_reap(fx);
    await_parent(fx);
}

static void await_zombie(const struct fixture *fx)
{
    struct procfs_stat st;

    do
        ck_assert_int_eq(procfs_read_stat(fx->pid, &st), 0);
    while (st.state != 'Z');
}

static void on_step(void *ctx)
{
    struct fixture *fx = ctx;

    loop_stop(fx->loop);
}

/* Lets the loop run for a while: longer than a poll takes to look again. */
static void run_a_while(struct fixture *fx)
{
    if (fx->step == NULL)
        fx->step = loop_timer_new(fx->loop, on_step, fx);
    loop_timer_set(fx->step, 250 * USEC_PER_MSEC);
    ck_assert_int_eq(loop_run(fx->loop), 0);
    loop_timer_clear(fx->step);
}

static void run_until_told(struct fixture *fx)
{
    while (fx->calls == 0)
        ck_assert_int_eq(loop_run(fx->loop), 0);
    run_a_while(fx);
    ck_assert_int_eq(fx->calls, 1);
}

static void teardown(struct fixture *fx)
{
    watch_free(fx->watch);
    if (fx->go > 0)
        close(fx->go);
    if (fx->reap > 0)
        close(fx->reap);
    loop_timer_free(fx->step);
    loop_timer_free(fx->deadline);
    watcher_free(fx->watcher);
    sigchld_free(fx->sigchld);
    loop_free(fx->loop);
    await_parent(fx);
    if (fx->pidfd >= 0)
        close(fx->pidfd);
    identity_pretend(IDENTITY_LACKS_NOTHING);
}

static void expect_exit(const struct fixture *fx, enum exit_source source, int code)
{
    ck_assert_int_eq(fx->exit.source, source);
    if (source == EXIT_SOURCE_NONE) {
        ck_assert_int_eq(fx->exit.how, EXIT_HOW_UNKNOWN);
        return;
    }
    ck_assert_int_eq(fx->exit.how, EXIT_HOW_EXITED);
    ck_assert_int_eq(fx->exit.code, code);
}

/* May we choose numbers?  Not without rights, before Linux 5.5, or under a valgrind that does not know the call. */
static bool can_choose_pid(void)
{
    pid_t own = getpid();
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&own, .set_tid_size = 1};

    /* This one is somebody's, as the kernel says once all else is right. */
    bool can = syscall(SYS_clone3, &args, sizeof(args)) == -1 && errno == EEXIST;
    if (!can)
        printf("# not tried: no number can be chosen for a process here\n");
    return can;
}

/* A process of ours that is given the number PID: the stranger.  It ends with 33 when *GO is closed. */
static pid_t make_stranger(pid_t pid, int *go)
{
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    long rc = syscall(SYS_clone3, &args, sizeof(args));
    if (rc == 0) {
        close(fds[1]);
        wait_for_end_of(fds[0]);
        _exit(33);
    }
    ck_assert_msg(rc == pid, "clone3 with set_tid: %s", strerror(errno));
    close(fds[0]);
    *go = fds[1];
    return pid;
}

/* ---- the tests ---- */

/* A test that gets a watcher of one of the ways, and a NEPHEW to watch: FX.  Where that is not possible it is left out. */
#define WATCH_TEST(name, nephew)                 \
    static void name##_with(struct fixture *fx); \
    START_TEST(name)                             \
    {                                            \
        struct fixture fx;                       \
                                                 \
        if (!setup(&fx, _i, nephew))             \
            return;                              \
        name##_with(&fx);                        \
        teardown(&fx);                           \
    }                                            \
    END_TEST                                     \
    static void name##_with(struct fixture *fx)

WATCH_TEST(tells_the_exit_code, exits_7)
{
    watch(fx);
    run_a_while(fx);
    ck_assert_int_eq(fx->calls, 0);
    end_nephew(fx);
    run_until_told(fx);
    expect_exit(fx, fx->way->zombie, 7);
}

WATCH_TEST(tells_success, exits_0)
{
    watch(fx);
    end_nephew(fx);
    run_until_told(fx);
    expect_exit(fx, success_source(fx->way), 0);
}

WATCH_TEST(tells_the_signal, dies_of_segv)
{
    watch(fx);
    end_nephew(fx);
    run_until_told(fx);
    ck_assert_int_eq(fx->exit.source, fx->way->zombie);
    if (fx->way->zombie == EXIT_SOURCE_NONE) {
        ck_assert_int_eq(fx->exit.how, EXIT_HOW_UNKNOWN);
    } else {
        ck_assert_int_eq(fx->exit.how, EXIT_HOW_SIGNALED);
        ck_assert_int_eq(fx->exit.signal, SIGSEGV);
    }
}

WATCH_TEST(killed_while_watched, exits_7)
{
    watch(fx);
    run_a_while(fx);
    kill(fx->pid, SIGKILL);
    run_until_told(fx);
    ck_assert_int_eq(fx->exit.source, fx->way->zombie);
    if (fx->way->zombie != EXIT_SOURCE_NONE)
        ck_assert_int_eq(fx->exit.signal, SIGKILL);
}

/* The parent reaps before we get to look: only what the kernel keeps, or has told, is left. */
WATCH_TEST(reaped_before_we_look, exits_7)
{
    if (fx->way->zombie != EXIT_SOURCE_PTRACE)
        watch(fx);
    end_nephew(fx);
    reap_nephew(fx);
    if (fx->watch == NULL)
        watch(fx);
    ck_assert_int_eq(fx->calls, 0);
    run_until_told(fx);
    expect_exit(fx, fx->way->reaped, 7);
}

/* A tracer comes before the parent, which reaps afterwards all the same. */
WATCH_TEST(parent_reaps_after_us, exits_7)
{
    watch(fx);
    end_nephew(fx);
    let_reap(fx);
    run_until_told(fx);
    if (fx->exit.source != EXIT_SOURCE_NONE)
        ck_assert_int_eq(fx->exit.code, 7);
    ck_assert(fx->way->tells == (fx->exit.source != EXIT_SOURCE_NONE) || fx->way->zombie != EXIT_SOURCE_NONE);
    await_parent(fx);
}

WATCH_TEST(leader_ends_before_the_program, leader_ends_first)
{
    watch(fx);
    await_zombie(fx);
    run_a_while(fx);
    ck_assert_int_eq(fx->calls, 0);
    end_nephew(fx);
    run_until_told(fx);
    if (fx->exit.source == EXIT_SOURCE_NONE)
        ck_assert_int_eq(success_source(fx->way), EXIT_SOURCE_NONE);
    else
        ck_assert_int_eq(fx->exit.code, 9);
}

WATCH_TEST(signals_pass_untouched, counts_signals)
{
    watch(fx);
    run_a_while(fx);
    for (int i = 0; i < RT_SIGNALS; i++)
        ck_assert_int_eq(sigqueue(fx->pid, SIGRTMIN, (union sigval){.sival_int = i}), 0);
    end_nephew(fx);
    run_until_told(fx);
    expect_exit(fx, fx->way->zombie, 42);
}

/* As it is when supd was executed anew: the same process, and what it traced is still traced. */
WATCH_TEST(traced_already, counts_signals)
{
    ck_assert_int_eq(ptrace(PTRACE_SEIZE, fx->pid, NULL, NULL), 0);
    watch(fx);
    run_a_while(fx);
    for (int i = 0; i < RT_SIGNALS; i++)
        ck_assert_int_eq(sigqueue(fx->pid, SIGRTMIN, (union sigval){.sival_int = i}), 0);
    end_nephew(fx);
    run_until_told(fx);
    expect_exit(fx, EXIT_SOURCE_PTRACE, 42);
}

static bool is_stopped(const struct fixture *fx)
{
    struct procfs_stat st;

    ck_assert_int_eq(procfs_read_stat(fx->pid, &st), 0);
    return st.state == 'T' || st.state == 't';
}

/* Runs the loop, which answers a traced process's stops, until it is stopped or not. */
static void run_until_stopped(struct fixture *fx, bool stopped)
{
    do
        run_a_while(fx);
    while (is_stopped(fx) != stopped);
}

/* Stopped before it is watched, while it is watched, and when it is watched no more. */
WATCH_TEST(stopped_stays_stopped, exits_7)
{
    kill(fx->pid, SIGSTOP);
    while (!is_stopped(fx))
        ;
    watch(fx);
    run_a_while(fx);
    ck_assert(is_stopped(fx));
    kill(fx->pid, SIGCONT);
    run_until_stopped(fx, false);
    kill(fx->pid, SIGSTOP);
    run_until_stopped(fx, true);
    run_a_while(fx);
    ck_assert(is_stopped(fx));
    watch_free(fx->watch);
    fx->watch = NULL;
    run_a_while(fx);
    ck_assert(is_stopped(fx));
    kill(fx->pid, SIGCONT);
    run_until_stopped(fx, false);
    ck_assert_int_eq(fx->calls, 0);
    end_nephew(fx);
}

WATCH_TEST(killed_while_stopped, exits_7)
{
    watch(fx);
    kill(fx->pid, SIGSTOP);
    run_until_stopped(fx, true);
    ck_assert_int_eq(fx->calls, 0);
    kill(fx->pid, SIGKILL);
    run_until_told(fx);
    if (fx->way->zombie != EXIT_SOURCE_NONE)
        ck_assert_int_eq(fx->exit.signal, SIGKILL);
}

WATCH_TEST(freed_before_the_end, exits_7)
{
    watch(fx);
    run_a_while(fx);
    watch_free(fx->watch);
    fx->watch = NULL;
    run_a_while(fx);
    end_nephew(fx);
    reap_nephew(fx);
    run_a_while(fx);
    ck_assert_int_eq(fx->calls, 0);
}

/* The number belongs to another process when we look, and that one has ended as well or lives on. */
static void meet_stranger(struct fixture *fx, bool ended)
{
    siginfo_t info = {0};
    int go;

    if (!can_choose_pid())
        return;
    if (fx->way->zombie != EXIT_SOURCE_PTRACE)
        watch(fx);
    end_nephew(fx);
    reap_nephew(fx);
    uint64_t old_ticks = fx->start_ticks;
    pid_t stranger = make_stranger(fx->pid, &go);
    struct procfs_stat st;
    ck_assert_int_eq(procfs_read_stat(stranger, &st), 0);
    if (ended) {
        close(go);
        ck_assert_int_eq(waitid(P_PID, (id_t)stranger, &info, WEXITED), 0);
    }
    if (fx->watch == NULL)
        watch(fx);
    /* Within one tick of the clock, and without a pidfd, nobody can tell the two apart. */
    if (fx->way->no_pidfd && st.start_ticks == old_ticks && !ended) {
        watch_free(fx->watch);
        fx->watch = NULL;
    } else {
        run_until_told(fx);
        expect_exit(fx, fx->way->reaped, 7);
    }
    if (!ended) {
        ck_assert_int_eq(procfs_read_stat(stranger, &st), 0);
        ck_assert(strchr("SR", st.state) != NULL);
        close(go);
        ck_assert_int_eq(waitid(P_PID, (id_t)stranger, &info, WEXITED), 0);
    }
    ck_assert_int_eq(info.si_code, CLD_EXITED);
    ck_assert_int_eq(info.si_status, 33);
}

WATCH_TEST(number_used_again, exits_7)
{
    meet_stranger(fx, false);
}

WATCH_TEST(number_used_again_and_freed, exits_7)
{
    meet_stranger(fx, true);
}

static void set_cap(int cap, bool on)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
    if (on)
        data[CAP_TO_INDEX(cap)].effective |= CAP_TO_MASK(cap);
    else
        data[CAP_TO_INDEX(cap)].effective &= ~CAP_TO_MASK(cap);
    ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
}

static void reap_in_loop(void *ctx)
{
    reap_nephew(ctx);
}

/* Status 0 cannot be told from the zombie without the capability, so pidfd waits for the parent. */
WATCH_TEST(slow_parent_is_waited_for, exits_0)
{
    set_cap(CAP_SYS_PTRACE, false);
    watch(fx);
    end_nephew(fx);
    fx->step = loop_timer_new(fx->loop, reap_in_loop, fx);
    loop_timer_set(fx->step, 100 * USEC_PER_MSEC);
    while (fx->calls == 0)
        ck_assert_int_eq(loop_run(fx->loop), 0);
    expect_exit(fx, fx->way->reaped, 0);
    set_cap(CAP_SYS_PTRACE, true);
}

WATCH_TEST(parent_that_never_reaps, exits_0)
{
    set_cap(CAP_SYS_PTRACE, false);
    watch(fx);
    end_nephew(fx);
    run_until_told(fx);
    expect_exit(fx, EXIT_SOURCE_NONE, 0);
    set_cap(CAP_SYS_PTRACE, true);
}

/* A descriptor that the loop refuses, as it refuses a plain file, is polled. */
WATCH_TEST(polled_where_the_loop_refuses, exits_0)
{
    FILE *fp = tmpfile();
    fx->watch = watch_new(fx->watcher, fileno(fp), fx->pid, fx->start_ticks, on_exit_told, fx);
    run_until_told(fx);
    expect_exit(fx, EXIT_SOURCE_NONE, 0);
    fclose(fp);
    end_nephew(fx);
}

/* Twelve thousand ends; by a program that valgrind does not look at, for under it a fork takes long. */
static void flood(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "i=0; while [ $i -lt 12000 ]; do (exit); i=$((i + 1)); done", (char *)NULL);
        _exit(127);
    }
    int wait_status;
    ck_assert_int_eq(waitpid(pid, &wait_status, 0), pid);
    ck_assert_int_eq(wait_status, 0);
}

/* So many ends while nobody reads that some are lost: those who ended meanwhile are found, and nothing is made up. */
WATCH_TEST(lost_events, exits_7)
{
    watch(fx);
    flood();
    run_a_while(fx);
    ck_assert_int_eq(fx->calls, 0);
    flood();
    end_nephew(fx);
    reap_nephew(fx);
    run_until_told(fx);
    bool pidfd_tells = fx->way->lacks == 0 && identity_have_pidfd_exit();
    expect_exit(fx, pidfd_tells ? EXIT_SOURCE_PIDFD : EXIT_SOURCE_NONE, 7);
}

/* Which way is picked, and what is said of one that is not possible. */
START_TEST(choice)
{
    struct loop *loop = loop_new();
    char err[512] = "";

    struct watcher *watcher = watcher_new(loop, NULL, "auto", err, sizeof(err));
    ck_assert(!identity_have_pidfd_exit() || strcmp(watcher_way(watcher), "pidfd") == 0);
    watcher_free(watcher);

    if (unshare(CLONE_NEWNET) == -1) {
        loop_free(loop);
        return;
    }
    ck_assert_ptr_null(watcher_new(loop, NULL, "netlink", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "watch = netlink"));
    ck_assert_ptr_nonnull(strstr(err, "set watch = auto"));
    identity_pretend(IDENTITY_LACKS_EXIT);
    watcher = watcher_new(loop, NULL, "auto", err, sizeof(err));
    ck_assert_str_eq(watcher_way(watcher), have_pidfds() ? "pidfd" : "poll");
    ck_assert(!have_pidfds() || strstr(watcher_reason(watcher), "no netlink"));
    watcher_free(watcher);
    identity_pretend(IDENTITY_LACKS_PIDFD);
    watcher = watcher_new(loop, NULL, "auto", err, sizeof(err));
    ck_assert_str_eq(watcher_way(watcher), "poll");
    watcher_free(watcher);
    ck_assert_ptr_null(watcher_new(loop, NULL, "pidfd", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "watch = pidfd"));
    loop_free(loop);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("watch");
    TCase *tc = tcase_create("watch");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, tells_the_exit_code, 0, N_WAYS);
    tcase_add_loop_test(tc, tells_success, 0, N_WAYS);
    tcase_add_loop_test(tc, tells_the_signal, 0, N_WAYS);
    tcase_add_loop_test(tc, killed_while_watched, 0, N_WAYS);
    tcase_add_loop_test(tc, reaped_before_we_look, 0, N_WAYS);
    tcase_add_loop_test(tc, parent_reaps_after_us, 0, N_WAYS);
    tcase_add_loop_test(tc, leader_ends_before_the_program, 0, N_WAYS);
    tcase_add_loop_test(tc, signals_pass_untouched, 0, N_WAYS);
    tcase_add_loop_test(tc, stopped_stays_stopped, 0, N_WAYS);
    tcase_add_loop_test(tc, killed_while_stopped, 0, N_WAYS);
    tcase_add_loop_test(tc, freed_before_the_end, 0, N_WAYS);
    tcase_add_loop_test(tc, number_used_again, 0, N_WAYS);
    tcase_add_loop_test(tc, number_used_again_and_freed, 0, N_WAYS);
    tcase_add_test(tc, slow_parent_is_waited_for);
    tcase_add_test(tc, parent_that_never_reaps);
    tcase_add_test(tc, polled_where_the_loop_refuses);
    tcase_add_loop_test(tc, lost_events, 3, 5);
    tcase_add_loop_test(tc, traced_already, N_WAYS - 2, N_WAYS);
    tcase_add_test(tc, choice);
    suite_add_tcase(suite, tc);
    return suite;
}
