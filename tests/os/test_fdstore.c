/* SPDX-License-Identifier: MIT */
/*
 * What was kept for us: os/fdstore.h, and the pidfds' inodes of os/identity.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_main.h"
#include "os/fdstore.h"
#include "os/identity.h"
#include "os/procfs.h"

static pid_t start_sleeper(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

static uint64_t ticks_of(pid_t pid)
{
    struct procfs_stat st;

    ck_assert_int_eq(procfs_read_stat(pid, &st), 0);
    return st.start_ticks;
}

/* As a service manager hands descriptors over: from 3 on, with the variables set. */
static void hand_over(const int *fds, int n, const char *names, pid_t to)
{
    char text[16];

    for (int i = 0; i < n; i++)
        ck_assert_int_eq(dup2(fds[i], 3 + i), 3 + i);
    snprintf(text, sizeof text, "%d", n);
    setenv("LISTEN_FDS", text, 1);
    snprintf(text, sizeof text, "%d", to);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDNAMES", names, 1);
}

/* Out of the way of the numbers from 3 on. */
static int high(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 100);

    ck_assert_int_ge(moved, 100);
    close(fd);
    return moved;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(names_are_short_and_differ)
{
    char a[FDSTORE_NAME_MAX];
    char b[FDSTORE_NAME_MAX];

    ck_assert_str_eq(fdstore_name(1, a), "p1");
    ck_assert_str_eq(fdstore_name(35, a), "pz");
    ck_assert_str_eq(fdstore_name(36, a), "p10");
    ck_assert_str_eq(fdstore_name(4194304, a), "p2hwcg");
    ck_assert_str_ne(fdstore_name(4711, a), fdstore_name(4712, b));
}
END_TEST

/* By the inode; then by number and start time, as where that is not known. */
START_TEST(living_and_ended_processes)
{
    struct fdstore store;
    char names[64];
    char a[FDSTORE_NAME_MAX];
    char b[FDSTORE_NAME_MAX];
    pid_t lives = start_sleeper();
    pid_t ends = start_sleeper();
    uint64_t ticks = ticks_of(lives);
    int fds[] = {high(identity_pidfd(ends)), high(identity_pidfd(lives)), high(open("/dev/null", O_RDONLY))};
    uint64_t inode = identity_inode(fds[1]);
    uint64_t ended_inode = identity_inode(fds[0]);
    int pidfd = -1;

    end(ends);
    snprintf(names, sizeof names, "%s:%s:other", fdstore_name(ends, a), fdstore_name(lives, b));
    hand_over(fds, 3, names, getpid());
    fdstore_open(&store);
    ck_assert_uint_eq(store.n, 3);
    ck_assert_int_eq(fcntl(3, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);

    ck_assert_int_eq(fdstore_take(&store, 999999, 1, 0, &pidfd), FDSTORE_NONE);
    ck_assert_int_eq(fdstore_take(&store, lives, ticks + 1, 0, &pidfd), FDSTORE_NONE);
    if (inode != 0)
        ck_assert_int_eq(fdstore_take(&store, lives, ticks, inode + 1, &pidfd), FDSTORE_NONE);
    ck_assert_int_eq(fdstore_take(&store, lives, ticks, _i == 0 ? inode : 0, &pidfd), FDSTORE_LIVING);
    ck_assert_int_eq(identity_signal(pidfd, 0), 0);
    ck_assert_int_eq(fdstore_take(&store, lives, ticks, inode, &pidfd), FDSTORE_NONE);
    close(pidfd);

    enum fdstore_found want = identity_have_pidfd_exit() ? FDSTORE_ENDED : FDSTORE_NONE;
    ck_assert_int_eq(fdstore_take(&store, ends, 1, _i == 0 ? ended_inode : 0, &pidfd), want);
    fdstore_close(&store);
    ck_assert_int_eq(fcntl(5, F_GETFD), -1);
    end(lives);
}
END_TEST

START_TEST(sockets_by_name)
{
    struct fdstore store;
    char names[64];
    char a[FDSTORE_NAME_MAX];
    char b[FDSTORE_NAME_MAX];
    int fds[] = {high(open("/dev/null", O_RDONLY)), high(open("/dev/zero", O_RDONLY))};

    ck_assert_str_ne(fdstore_socket_name("a", "bc", a), fdstore_socket_name("ab", "c", b));
    fdstore_socket_name("web", "tcp:127.0.0.1:80", a);
    ck_assert_int_eq(a[0], 's');
    ck_assert_str_ne(a, fdstore_socket_name("web", "tcp:127.0.0.1:81", b));
    snprintf(names, sizeof names, "%s:%s", b, a);
    hand_over(fds, 2, names, getpid());
    fdstore_open(&store);
    ck_assert_int_eq(fdstore_take_named(&store, "sabc"), -1);
    ck_assert_int_eq(fdstore_take_named(&store, a), 4);
    ck_assert_int_eq(fdstore_take_named(&store, a), -1);
    fdstore_close(&store);
    ck_assert_int_eq(fcntl(3, F_GETFD), -1);
    ck_assert_int_eq(fcntl(4, F_GETFD), FD_CLOEXEC);
    close(4);
    ck_assert_int_eq(fdstore_take_named(&store, a), -1);
}
END_TEST

START_TEST(meant_for_somebody_else)
{
    struct fdstore store;
    int fds[] = {high(open("/dev/null", O_RDONLY))};

    hand_over(fds, 1, "p1", getppid());
    fdstore_open(&store);
    ck_assert_uint_eq(store.n, 0);
    hand_over(fds, 1, "p1", getpid());
    setenv("LISTEN_FDS", "many", 1);
    fdstore_open(&store);
    ck_assert_uint_eq(store.n, 0);
    setenv("LISTEN_FDS", "1", 1);
    unsetenv("LISTEN_FDNAMES");
    fdstore_open(&store);
    ck_assert_uint_eq(store.n, 1);
    ck_assert_str_eq(store.items[0].name, "");
    fdstore_close(&store);
}
END_TEST

/* The start time has a grain of 10 ms; a number may be used again within it. */
START_TEST(inode_tells_processes_apart)
{
    pid_t a = start_sleeper();
    pid_t b = start_sleeper();
    int fd_a = identity_pidfd(a);
    int fd_b = identity_pidfd(b);
    uint64_t inode = identity_inode(fd_a);

    if (inode != 0) {
        ck_assert_uint_ne(inode, identity_inode(fd_b));
        int again = identity_open_recorded(a, ticks_of(a), inode);
        ck_assert_int_ge(again, 0);
        ck_assert_uint_eq(identity_inode(again), inode);
        close(again);
        ck_assert_int_eq(identity_open_recorded(a, ticks_of(a), inode + 1), -ESRCH);
    }
    int unknown = identity_open_recorded(b, ticks_of(b), 0);
    ck_assert_int_ge(unknown, 0);
    close(unknown);
    int null = open("/dev/null", O_RDONLY);
    ck_assert_uint_eq(identity_inode(null), 0);
    ck_assert_uint_eq(identity_inode(-1), 0);
    close(null);
    end(a);
    end(b);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("fdstore");
    TCase *tc = tcase_create("fdstore");

    tcase_add_test(tc, names_are_short_and_differ);
    tcase_add_loop_test(tc, living_and_ended_processes, 0, 2);
    tcase_add_test(tc, sockets_by_name);
    tcase_add_test(tc, meant_for_somebody_else);
    tcase_add_test(tc, inode_tells_processes_apart);
    suite_add_tcase(suite, tc);
    return suite;
}
