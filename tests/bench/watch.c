/* SPDX-License-Identifier: MIT */
/*
 * watch: measures the ways to watch a process that is not our child, and prints the table of docs/watching.md.
 *
 * Latency is from the last instruction of a process before _exit(2) to the call that tells its end.  Cost is the time
 * that a process needs to send itself signals with a handler, and for system calls without any signal, while it is
 * watched; "unwatched" is the same without a watch.  ROUNDS, the argument, is how many ends are timed (default 200).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "loop/watch.h"
#include "os/identity.h"
#include "os/procfs.h"

#define CHUNKS 200 /* the work is timed in pieces, of which the best counts: what disturbs only ever adds */
#define SIGNALS 50
#define CALLS 2000
#define COST_ROUNDS 5
#define SPREAD (200 * USEC_PER_MSEC) /* ends are spread over the time between two looks of poll */

/* Written by the watched process, read by us. */
struct shared {
    volatile int64_t stamp; /* ns, right before its end */
    volatile int64_t spent; /* ns, for a piece of what it was to do, the best */
};

struct bench {
    struct loop *loop;
    struct sigchld *sigchld;
    struct watcher *watcher;
    struct shared *shared;
    struct watch *watch;
    int64_t noticed;
    struct exit_info exit;
    pid_t waited; /* the child that the loop runs for where nothing is watched; 0: has ended */
};

struct way {
    const char *setting; /* NULL: unwatched */
    unsigned lacks;
    const char *title;
    const char *rights;
};

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "watch: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- what the watched process does ---- */

typedef void (*work_fn)(void);

static void no_work(void)
{
}

static void on_signal(int signo)
{
    (void)signo;
}

static void work_signals(void)
{
    for (int i = 0; i < SIGNALS; i++)
        kill(getpid(), SIGUSR1);
}

static void work_calls(void)
{
    for (int i = 0; i < CALLS; i++)
        syscall(SYS_getppid);
}

static void wait_for_end_of(int fd)
{
    char byte;

    while (read(fd, &byte, 1) == -1 && errno == EINTR)
        ;
}

static _Noreturn void run_nephew(struct shared *shared, int go, work_fn work)
{
    wait_for_end_of(go);
    signal(SIGUSR1, on_signal);
    int64_t best = INT64_MAX;
    for (int i = 0; i < CHUNKS; i++) {
        int64_t begin = now_ns();
        work();
        int64_t spent = now_ns() - begin;
        best = spent < best ? spent : best;
    }
    shared->spent = best;
    shared->stamp = now_ns();
    _exit(7);
}

/* ---- watching it ---- */

static void on_exit_told(void *ctx, const struct exit_info *info)
{
    struct bench *bench = ctx;

    bench->noticed = now_ns();
    bench->exit = *info;
    watch_free(bench->watch);
    bench->watch = NULL;
    loop_stop(bench->loop);
}

static void child_ended(void *ctx, pid_t pid, int wait_status, const struct usage *usage)
{
    struct bench *bench = ctx;

    (void)usage;
    watcher_traced_ended(bench->watcher, pid, wait_status);
}

static void child_reaped(void *ctx, pid_t pid)
{
    struct bench *bench = ctx;

    if (pid == bench->waited)
        bench->waited = 0;
    loop_stop(bench->loop);
}

static bool traced_stopped(void *ctx, const siginfo_t *info)
{
    struct bench *bench = ctx;

    return watcher_traced_stopped(bench->watcher, info);
}

static void begin_watching(struct bench *bench, pid_t pid, int pidfd)
{
    struct procfs_stat st;

    if (procfs_read_stat(pid, &st) < 0)
        fail("/proc");
    bench->watch = watch_new(bench->watcher, pidfd, pid, st.start_ticks, on_exit_told, bench);
}

static void on_go(void *ctx)
{
    int *fd = ctx;

    close(*fd);
}

/* One process from its start to its end, DELAY us later: a grandchild, which its parent reaps. */
static void round_of(struct bench *bench, work_fn work, int64_t delay)
{
    int tell[2];
    int go[2];
    pid_t pid;

    if (pipe(tell) == -1 || pipe(go) == -1)
        fail("pipe");
    bench->waited = fork();
    if (bench->waited == -1)
        fail("fork");
    if (bench->waited == 0) {
        close(go[1]);
        pid = fork();
        if (pid == 0)
            run_nephew(bench->shared, go[0], work);
        if (write(tell[1], &pid, sizeof(pid)) != sizeof(pid))
            _exit(1);
        waitpid(pid, NULL, 0);
        _exit(0);
    }
    close(tell[1]);
    close(go[0]);
    if (read(tell[0], &pid, sizeof(pid)) != sizeof(pid))
        fail("read");
    close(tell[0]);

    int pidfd = identity_pidfd(pid);
    if (bench->watcher != NULL)
        begin_watching(bench, pid, pidfd);
    /* From within the loop, when the watch has settled. */
    struct loop_timer *start = loop_timer_new(bench->loop, on_go, &go[1]);
    loop_timer_set(start, 5 * USEC_PER_MSEC + delay);
    while (bench->watch != NULL || bench->waited != 0)
        loop_run(bench->loop);
    loop_timer_free(start);
    if (pidfd >= 0)
        close(pidfd);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* In ns, the best of some rounds. */
static int64_t cost_of(struct bench *bench, work_fn work)
{
    int64_t best = INT64_MAX;

    for (int i = 0; i < COST_ROUNDS; i++) {
        round_of(bench, work, 0);
        if (bench->shared->spent < best)
            best = bench->shared->spent;
    }
    return best;
}

static void print_latency(struct bench *bench, size_t rounds)
{
    int64_t *times = calloc(rounds, sizeof(*times));

    if (times == NULL)
        fail("calloc");
    for (size_t i = 0; i < rounds; i++) {
        round_of(bench, no_work, (int64_t)i * SPREAD / (int64_t)rounds);
        times[i] = bench->noticed - bench->shared->stamp;
    }
    qsort(times, rounds, sizeof(*times), compare);
    printf(" %.2f ms | %.2f ms |", (double)times[rounds / 2] / 1e6, (double)times[rounds * 99 / 100] / 1e6);
    free(times);
}

static void measure(const struct way *way, struct shared *shared, size_t rounds)
{
    static const struct sigchld_handlers handlers = {
        .ended = child_ended, .reaped = child_reaped, .stopped = traced_stopped};
    struct bench bench = {.shared = shared, .loop = loop_new()};
    const char *why = NULL;
    char err[512];

    identity_pretend(way->lacks);
    bench.sigchld = sigchld_new(bench.loop, &handlers, &bench, &why);
    if (bench.sigchld == NULL)
        fail(why);
    printf("| %s |", way->title);
    if (way->setting != NULL) {
        bench.watcher = watcher_new(bench.loop, bench.sigchld, way->setting, err, sizeof(err));
        if (bench.watcher == NULL) {
            printf(" not possible here: %s |\n", err);
            goto out;
        }
        print_latency(&bench, rounds);
    } else {
        printf(" | |");
    }
    printf(" %.2f µs |", (double)cost_of(&bench, work_signals) / SIGNALS / 1e3);
    printf(" %.0f ns |", (double)cost_of(&bench, work_calls) / CALLS);
    printf(" %s | %s |\n", way->setting == NULL ? "" : exit_source_name(bench.exit.source), way->rights);
    fflush(stdout);
out:
    watcher_free(bench.watcher);
    sigchld_free(bench.sigchld);
    loop_free(bench.loop);
}

int main(int argc, char **argv)
{
    static const struct way ways[] = {
        {NULL, 0, "unwatched", ""},
        {"pidfd", 0, "pidfd", "none"},
        {"auto", IDENTITY_LACKS_EXIT, "pidfd+netlink", "as netlink"},
        {"netlink", 0, "netlink", "no container; before 6.6 CAP_NET_ADMIN"},
        {"poll", 0, "poll", "none"},
        {"ptrace", 0, "ptrace", "the right to trace the service"},
    };
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 200;
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        fail("mmap");
    if (rounds < 1) {
        fprintf(stderr, "usage: %s [ROUNDS]\n", argv[0]);
        return 2;
    }
    printf("| watch | noticed after: median | p99 | a signal | a system call | status | rights |\n"
           "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        measure(&ways[i], shared, (size_t)rounds);
    return 0;
}
