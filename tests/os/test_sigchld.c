/* SPDX-License-Identifier: MIT */
#include "loop/sigchld.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "os/identity.h"
#include "tests/check_main.h"

#define MANY 2000
#define DEADLINE (120 * USEC_PER_SEC)

struct child {
    pid_t pid;
    int want; /* wait status */
    unsigned ended;
    unsigned reaped;
    bool settled;
};

struct fixture {
    struct loop *loop;
    struct sigchld *sigchld;
    struct loop_timer *deadline;
    bool late;
    struct child *children;
    size_t n;
    size_t done;
    size_t strangers;
    size_t wrong;
};

static struct child *find_child(struct fixture *fx, pid_t pid)
{
    for (size_t i = 0; i < fx->n; i++) {
        if (fx->children[i].pid == pid)
            return &fx->children[i];
    }
    return NULL;
}

static void on_ended(void *ctx, pid_t pid, int wait_status, const struct usage *usage)
{
    struct fixture *fx = ctx;
    struct child *child = find_child(fx, pid);

    if (usage->cpu_from != USAGE_WAIT || usage->rest_from != USAGE_WAIT || usage->memory_peak == 0)
        fx->wrong++;
    if (child == NULL) {
        fx->strangers++;
        return;
    }
    child->ended++;
    child->settled = sigchld_settle(fx->sigchld, pid, &wait_status);
    if (wait_status != child->want || child->reaped != 0 || (!child->settled && kill(pid, 0) != 0))
        fx->wrong++;
}

static void on_reaped(void *ctx, pid_t pid)
{
    struct fixture *fx = ctx;
    struct child *child = find_child(fx, pid);

    if (child == NULL)
        return;
    child->reaped++;
    if (child->ended != 1 || child->reaped != 1)
        fx->wrong++;
    if (++fx->done == fx->n)
        loop_stop(fx->loop);
}

static void on_deadline(void *ctx)
{
    struct fixture *fx = ctx;

    fx->late = true;
    loop_stop(fx->loop);
}

static void setup(struct fixture *fx, size_t n)
{
    static const struct sigchld_handlers handlers = {.ended = on_ended, .reaped = on_reaped};
    const char *why = "";

    *fx = (struct fixture){.n = n, .children = xcalloc(n, sizeof(struct child))};
    fx->loop = loop_new();
    ck_assert_ptr_nonnull(fx->loop);
    fx->sigchld = sigchld_new(fx->loop, &handlers, fx, &why);
    ck_assert_msg(fx->sigchld != NULL, "%s", why);
    fx->deadline = loop_timer_new(fx->loop, on_deadline, fx);
    loop_timer_set(fx->deadline, DEADLINE);
}

static void teardown(struct fixture *fx)
{
    loop_timer_free(fx->deadline);
    sigchld_free(fx->sigchld);
    loop_free(fx->loop);
    free(fx->children);
}

/* Forks all; each exits with its own code once GATE is at its end. */
static void fork_all(struct fixture *fx, int gate[2])
{
    ck_assert_int_eq(pipe(gate), 0);
    for (size_t i = 0; i < fx->n; i++) {
        pid_t pid = fork();
        ck_assert_msg(pid >= 0, "fork number %zu of %zu failed: %s (the machine has no room for so many processes)",
                      i + 1, fx->n, strerror(errno));
        if (pid == 0) {
            char byte;

            close(gate[1]);
            while (read(gate[0], &byte, 1) == -1 && errno == EINTR)
                ;
            _exit((int)(i % 251));
        }
        fx->children[i] = (struct child){.pid = pid, .want = (int)(i % 251) << 8};
    }
    close(gate[0]);
}

static void check_all_reaped(struct fixture *fx)
{
    siginfo_t info;

    ck_assert(!fx->late);
    ck_assert_uint_eq(fx->done, fx->n);
    ck_assert_uint_eq(fx->wrong, 0);
    ck_assert_uint_eq(fx->strangers, 0);
    for (size_t i = 0; i < fx->n; i++) {
        ck_assert_uint_eq(fx->children[i].ended, 1);
        ck_assert_uint_eq(fx->children[i].reaped, 1);
    }
    ck_assert_uint_eq(sigchld_stats(fx->sigchld).reaped, fx->n);
    ck_assert_int_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
    ck_assert_int_eq(errno, ECHILD);
}

START_TEST(all_exit_together)
{
    struct fixture fx;
    int gate[2];

    setup(&fx, MANY);
    fork_all(&fx, gate);
    close(gate[1]);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    check_all_reaped(&fx);
    teardown(&fx);
}
END_TEST

START_TEST(all_are_killed)
{
    struct fixture fx;
    int gate[2];

    setup(&fx, MANY);
    fork_all(&fx, gate);
    for (size_t i = 0; i < fx.n; i++) {
        fx.children[i].want = SIGKILL;
        ck_assert_int_eq(kill(fx.children[i].pid, SIGKILL), 0);
    }
    ck_assert_int_eq(loop_run(fx.loop), 0);
    check_all_reaped(&fx);
    close(gate[1]);
    teardown(&fx);
}
END_TEST

START_TEST(one_signal_for_all)
{
    struct fixture fx;
    sigset_t set;
    int gate[2];

    setup(&fx, MANY);
    fork_all(&fx, gate);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    close(gate[1]);
    for (size_t i = 0; i < fx.n; i++) {
        siginfo_t info;
        ck_assert_int_eq(waitid(P_PID, (id_t)fx.children[i].pid, &info, WEXITED | WNOWAIT), 0);
    }
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    ck_assert_uint_eq(sigchld_stats(fx.sigchld).handler_runs, 1);
    ck_assert(sigchld_is_behind(fx.sigchld));
    ck_assert_int_eq(loop_run(fx.loop), 0);
    check_all_reaped(&fx);
    teardown(&fx);
}
END_TEST

START_TEST(ring_overflow_is_no_loss)
{
    struct fixture fx;
    int gate[2];

    setup(&fx, MANY);
    fork_all(&fx, gate);
    close(gate[1]);
    /* The loop does not run meanwhile, so that the handler alone fills the ring. */
    for (size_t i = 0; i < fx.n; i++) {
        siginfo_t info;
        while (waitid(P_PID, (id_t)fx.children[i].pid, &info, WEXITED | WNOWAIT) == -1)
            ck_assert_int_eq(errno, EINTR);
    }
    ck_assert_int_eq(loop_run(fx.loop), 0);
    check_all_reaped(&fx);
    teardown(&fx);
}
END_TEST

START_TEST(ended_before_the_handler)
{
    struct fixture fx;
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        _exit(9);
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    setup(&fx, 1);
    fx.children[0] = (struct child){.pid = pid, .want = 9 << 8};
    ck_assert_uint_eq(sigchld_stats(fx.sigchld).handler_runs, 0);
    ck_assert(!sigchld_is_behind(fx.sigchld));
    sigchld_sweep(fx.sigchld);
    ck_assert(!sigchld_is_behind(fx.sigchld));
    check_all_reaped(&fx);
    teardown(&fx);
}
END_TEST

START_TEST(stops_are_no_ends)
{
    struct fixture fx;
    int gate[2];
    int status;

    setup(&fx, 1);
    fork_all(&fx, gate);
    for (int i = 0; i < 5; i++) {
        kill(fx.children[0].pid, SIGSTOP);
        ck_assert_int_eq(waitpid(fx.children[0].pid, &status, WUNTRACED), fx.children[0].pid);
        ck_assert(WIFSTOPPED(status));
        kill(fx.children[0].pid, SIGCONT);
        ck_assert_int_eq(waitpid(fx.children[0].pid, &status, WCONTINUED), fx.children[0].pid);
    }
    ck_assert_uint_eq(sigchld_stats(fx.sigchld).handler_runs, 0);
    sigchld_sweep(fx.sigchld);
    ck_assert_uint_eq(fx.children[0].ended, 0);
    close(gate[1]);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    check_all_reaped(&fx);
    teardown(&fx);
}
END_TEST

START_TEST(ends_by_signals)
{
    struct fixture fx;
    int gate[2];

    signal(SIGTERM, SIG_DFL); /* Check has a handler of its own there */
    setup(&fx, 3);
    fork_all(&fx, gate);
    const int signals[] = {SIGTERM, SIGUSR1, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        fx.children[i].want = signals[i];
        kill(fx.children[i].pid, signals[i]);
    }
    ck_assert_int_eq(loop_run(fx.loop), 0);
    check_all_reaped(&fx);
    close(gate[1]);
    teardown(&fx);
}
END_TEST

static void *end_of_thread(void *want)
{
    int wait_status = *(int *)want;

    if (WIFSIGNALED(wait_status))
        raise(WTERMSIG(wait_status));
    _exit(WEXITSTATUS(wait_status));
}

static _Noreturn void leave_to_thread(int want)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, end_of_thread, &want) == 0)
        syscall(SYS_exit, 0);
    _exit(99);
}

/*
 * It is the process that counts, also where the kernel shows how its first thread ended.  Only one that had more threads
 * than that may be reaped before its end is recorded.
 */
START_TEST(first_thread_leaves)
{
    static const int wants[] = {0, 9 << 8, SIGKILL};
    enum { N = sizeof(wants) / sizeof(wants[0]) };
    struct fixture fx;

    identity_pretend(_i == 0 ? IDENTITY_LACKS_NOTHING : IDENTITY_LACKS_PROCESS_STATUS);
    bool shown = identity_have_process_status();
    setup(&fx, N + 1);
    for (size_t i = 0; i <= N; i++) {
        fx.children[i].want = i < N ? wants[i] : 0;
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0 && i < N)
            leave_to_thread(wants[i]);
        if (pid == 0)
            _exit(0);
        fx.children[i].pid = pid;
    }
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert(!fx.late);
    ck_assert_uint_eq(fx.wrong, 0);
    ck_assert_int_eq(fx.children[0].settled, !shown);
    ck_assert(!fx.children[N].settled);
    teardown(&fx);
    identity_pretend(IDENTITY_LACKS_NOTHING);
}
END_TEST

/* A child that makes us its tracer shows its stops to every waitid(2); it must neither hang nor spin us. */
START_TEST(traced_child_is_let_go)
{
    struct fixture fx;
    siginfo_t info;

    setup(&fx, 1);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGUSR1, SIG_IGN);
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGUSR1);
        _exit(3);
    }
    ck_assert_int_gt(pid, 0);
    fx.children[0] = (struct child){.pid = pid, .want = 3 << 8};
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WSTOPPED | WNOWAIT) == -1)
        ck_assert_int_eq(errno, EINTR);
    ck_assert_int_eq(info.si_code, CLD_TRAPPED);
    sigchld_sweep(fx.sigchld);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    check_all_reaped(&fx);
    teardown(&fx);
}
END_TEST

START_TEST(inherited_ignore_and_mask)
{
    struct fixture fx;
    sigset_t set;
    int gate[2];

    signal(SIGCHLD, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    setup(&fx, 2);
    fork_all(&fx, gate);
    close(gate[1]);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    check_all_reaped(&fx);
    teardown(&fx);
    signal(SIGCHLD, SIG_DFL);
}
END_TEST

START_TEST(one_at_a_time)
{
    static const struct sigchld_handlers handlers = {.ended = on_ended, .reaped = on_reaped};
    struct fixture fx;
    struct sigaction action;
    const char *why = NULL;

    setup(&fx, 1);
    ck_assert_ptr_null(sigchld_new(fx.loop, &handlers, &fx, &why));
    ck_assert_ptr_nonnull(why);
    teardown(&fx);
    sigaction(SIGCHLD, NULL, &action);
    ck_assert_ptr_eq(action.sa_handler, SIG_DFL);

    /* And it can be had again. */
    setup(&fx, 1);
    teardown(&fx);
}
END_TEST

static void count_and_stop(void *ctx)
{
    struct fixture *fx = ctx;

    fx->done++;
    loop_stop(fx->loop);
}

START_TEST(stop_before_run_is_obeyed)
{
    struct fixture fx;

    setup(&fx, 1);
    loop_stop(fx.loop);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert(!fx.late);

    struct loop_timer *timer = loop_timer_new(fx.loop, count_and_stop, &fx);
    loop_timer_set(timer, -5);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert_uint_eq(fx.done, 1);
    loop_timer_set(timer, 60 * USEC_PER_SEC);
    loop_timer_set(timer, 1);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert_uint_eq(fx.done, 2);
    loop_timer_free(timer);
    teardown(&fx);
}
END_TEST

struct self_freeing {
    struct loop *loop;
    struct loop_io *io;
    struct loop_signal *sig;
    struct loop_timer *timer;
    int calls;
};

static void free_io(void *ctx)
{
    struct self_freeing *self = ctx;

    self->calls++;
    loop_io_free(self->io);
    self->io = NULL;
    raise(SIGUSR2);
}

static void free_signal(void *ctx, int signo)
{
    struct self_freeing *self = ctx;

    ck_assert_int_eq(signo, SIGUSR2);
    self->calls++;
    loop_signal_free(self->sig);
    self->sig = NULL;
    loop_timer_set(self->timer, 0);
}

static void free_timer(void *ctx)
{
    struct self_freeing *self = ctx;

    self->calls++;
    loop_timer_free(self->timer);
    self->timer = NULL;
    loop_stop(self->loop);
}

START_TEST(freed_in_own_callback)
{
    struct self_freeing self = {.loop = loop_new()};
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    self.io = loop_io_new(self.loop, fds[0], LOOP_READ, free_io, &self);
    self.sig = loop_signal_new(self.loop, SIGUSR2, free_signal, &self);
    self.timer = loop_timer_new(self.loop, free_timer, &self);
    close(fds[1]);
    ck_assert_int_eq(loop_run(self.loop), 0);
    ck_assert_int_eq(self.calls, 3);
    close(fds[0]);
    loop_free(self.loop);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("sigchld");
    TCase *tc = tcase_create("sigchld");

    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, all_exit_together);
    tcase_add_test(tc, all_are_killed);
    tcase_add_test(tc, one_signal_for_all);
    tcase_add_test(tc, ring_overflow_is_no_loss);
    tcase_add_test(tc, ended_before_the_handler);
    tcase_add_test(tc, stops_are_no_ends);
    tcase_add_test(tc, ends_by_signals);
    tcase_add_loop_test(tc, first_thread_leaves, 0, 2);
    tcase_add_test(tc, traced_child_is_let_go);
    tcase_add_test(tc, inherited_ignore_and_mask);
    tcase_add_test(tc, one_at_a_time);
    tcase_add_test(tc, stop_before_run_is_obeyed);
    tcase_add_test(tc, freed_in_own_callback);
    suite_add_tcase(suite, tc);
    return suite;
}
