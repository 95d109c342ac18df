/* SPDX-License-Identifier: MIT */
#include "loop/watch_pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/units.h"
#include "os/identity.h"
#include "os/procfs.h"
#include "tests/check_main.h"

/* A process that is not our child; its parent reaps it when told to. */
struct fixture {
    struct loop *loop;
    struct loop_timer *deadline;
    struct loop_timer *step;
    struct watch_pidfd *watch;
    pid_t parent;
    pid_t pid;
    uint64_t start_ticks;
    int pidfd;
    int go;
    int reap;
    int calls;
    struct exit_info exit;
};

static void wait_for_end_of(int fd)
{
    char byte;

    while (read(fd, &byte, 1) == -1 && errno == EINTR)
        ;
}

static _Noreturn void run_parent(int tell, const int go[2], const int reap[2], int code)
{
    close(go[1]);
    close(reap[1]);
    pid_t pid = fork();
    if (pid == 0) {
        wait_for_end_of(go[0]);
        _exit(code);
    }
    if (write(tell, &pid, sizeof(pid)) != sizeof(pid))
        _exit(98);
    wait_for_end_of(reap[0]);
    waitpid(pid, NULL, 0);
    _exit(0);
}

static void on_deadline(void *ctx)
{
    (void)ctx;
    ck_abort_msg("the end of the process was not told of in time");
}

static void on_exit_told(void *ctx, const struct exit_info *exit_info)
{
    struct fixture *fx = ctx;

    fx->calls++;
    fx->exit = *exit_info;
    watch_pidfd_free(fx->watch);
    fx->watch = NULL;
    loop_stop(fx->loop);
}

static void setup(struct fixture *fx, int code)
{
    struct procfs_stat st;
    int tell[2];
    int go[2];
    int reap[2];

    memset(fx, 0, sizeof(*fx));
    ck_assert_int_eq(pipe(tell), 0);
    ck_assert_int_eq(pipe(go), 0);
    ck_assert_int_eq(pipe(reap), 0);
    fx->parent = fork();
    if (fx->parent == 0)
        run_parent(tell[1], go, reap, code);
    close(tell[1]);
    close(go[0]);
    close(reap[0]);
    ck_assert_int_eq(read(tell[0], &fx->pid, sizeof(fx->pid)), sizeof(fx->pid));
    close(tell[0]);
    fx->go = go[1];
    fx->reap = reap[1];
    ck_assert_int_eq(procfs_read_stat(fx->pid, &st), 0);
    fx->start_ticks = st.start_ticks;
    fx->pidfd = identity_open(fx->pid, st.start_ticks);
    ck_assert_int_ge(fx->pidfd, 0);

    fx->loop = loop_new();
    fx->deadline = loop_timer_new(fx->loop, on_deadline, fx);
    loop_timer_set(fx->deadline, 60 * USEC_PER_SEC);
}

static void watch(struct fixture *fx)
{
    fx->watch = watch_pidfd_new(fx->loop, fx->pidfd, fx->pid, fx->start_ticks, on_exit_told, fx);
}

static void end_of_nephew(struct fixture *fx)
{
    close(fx->go);
    fx->go = -1;
}

static void reap_nephew(struct fixture *fx)
{
    close(fx->reap);
    fx->reap = -1;
    ck_assert_int_eq(waitpid(fx->parent, NULL, 0), fx->parent);
}

static void teardown(struct fixture *fx)
{
    watch_pidfd_free(fx->watch);
    loop_timer_free(fx->step);
    loop_timer_free(fx->deadline);
    loop_free(fx->loop);
    close(fx->pidfd);
}

static void set_ptrace_cap(bool on)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
    if (on)
        data[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective |= CAP_TO_MASK(CAP_SYS_PTRACE);
    else
        data[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective &= ~CAP_TO_MASK(CAP_SYS_PTRACE);
    ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
}

static void end_in_loop(void *ctx)
{
    end_of_nephew(ctx);
}

static void reap_in_loop(void *ctx)
{
    reap_nephew(ctx);
}

START_TEST(ends_while_watched)
{
    struct fixture fx;

    setup(&fx, 7);
    watch(&fx);
    fx.step = loop_timer_new(fx.loop, end_in_loop, &fx);
    loop_timer_set(fx.step, 1);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert_int_eq(fx.calls, 1);
    ck_assert_int_eq(fx.exit.how, EXIT_HOW_EXITED);
    ck_assert_int_eq(fx.exit.code, 7);
    ck_assert_int_eq(fx.exit.source, EXIT_SOURCE_PROC);
    reap_nephew(&fx);
    teardown(&fx);
}
END_TEST

START_TEST(ended_and_reaped_before)
{
    struct fixture fx;

    setup(&fx, 7);
    end_of_nephew(&fx);
    reap_nephew(&fx);
    watch(&fx);
    ck_assert_int_eq(fx.calls, 0);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert_int_eq(fx.calls, 1);
    if (identity_have_pidfd_exit()) {
        ck_assert_int_eq(fx.exit.how, EXIT_HOW_EXITED);
        ck_assert_int_eq(fx.exit.code, 7);
        ck_assert_int_eq(fx.exit.source, EXIT_SOURCE_PIDFD);
    } else {
        ck_assert_int_eq(fx.exit.how, EXIT_HOW_UNKNOWN);
    }
    teardown(&fx);
}
END_TEST

/* Status 0 cannot be told from the zombie without the capability, so the watch waits for the parent. */
START_TEST(slow_parent_is_waited_for)
{
    struct fixture fx;

    if (!identity_have_pidfd_exit())
        return;
    setup(&fx, 0);
    set_ptrace_cap(false);
    watch(&fx);
    end_of_nephew(&fx);
    fx.step = loop_timer_new(fx.loop, reap_in_loop, &fx);
    loop_timer_set(fx.step, 100 * USEC_PER_MSEC);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert_int_eq(fx.calls, 1);
    ck_assert_int_eq(fx.exit.how, EXIT_HOW_EXITED);
    ck_assert_int_eq(fx.exit.code, 0);
    ck_assert_int_eq(fx.exit.source, EXIT_SOURCE_PIDFD);
    set_ptrace_cap(true);
    teardown(&fx);
}
END_TEST

START_TEST(parent_that_never_reaps)
{
    struct fixture fx;

    setup(&fx, 0);
    set_ptrace_cap(false);
    watch(&fx);
    end_of_nephew(&fx);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert_int_eq(fx.calls, 1);
    ck_assert_int_eq(fx.exit.how, EXIT_HOW_UNKNOWN);
    ck_assert_int_eq(fx.exit.source, EXIT_SOURCE_NONE);
    set_ptrace_cap(true);
    reap_nephew(&fx);
    teardown(&fx);
}
END_TEST

static void stop_loop(void *ctx)
{
    struct fixture *fx = ctx;

    loop_stop(fx->loop);
}

START_TEST(freed_before_the_end)
{
    struct fixture fx;

    setup(&fx, 0);
    watch(&fx);
    watch_pidfd_free(fx.watch);
    fx.watch = NULL;
    end_of_nephew(&fx);
    reap_nephew(&fx);
    fx.step = loop_timer_new(fx.loop, stop_loop, &fx);
    loop_timer_set(fx.step, 0);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert_int_eq(fx.calls, 0);
    teardown(&fx);
}
END_TEST

/* A descriptor that the loop refuses, as it refuses a plain file, is polled. */
START_TEST(polled_where_the_loop_refuses)
{
    struct fixture fx;

    setup(&fx, 0);
    FILE *fp = tmpfile();
    fx.watch = watch_pidfd_new(fx.loop, fileno(fp), fx.pid, fx.start_ticks, on_exit_told, &fx);
    ck_assert_int_eq(loop_run(fx.loop), 0);
    ck_assert_int_eq(fx.calls, 1);
    ck_assert_int_eq(fx.exit.how, EXIT_HOW_UNKNOWN);
    fclose(fp);
    end_of_nephew(&fx);
    reap_nephew(&fx);
    teardown(&fx);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("watch_pidfd");
    TCase *tc = tcase_create("watch_pidfd");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, ends_while_watched);
    tcase_add_test(tc, ended_and_reaped_before);
    tcase_add_test(tc, slow_parent_is_waited_for);
    tcase_add_test(tc, parent_that_never_reaps);
    tcase_add_test(tc, freed_before_the_end);
    tcase_add_test(tc, polled_where_the_loop_refuses);
    suite_add_tcase(suite, tc);
    return suite;
}
