/* SPDX-License-Identifier: MIT */
#include "os/procgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/identity.h"
#include "os/procfs.h"
#include "tests/check_main.h"

/* The ways to reach a group, as the loop variable of the tests. */
enum way { WAY_PIDFD, WAY_PINNED, WAY_SCAN, N_WAYS };

#define MEMBERS 3

/* A leader in a session of its own and its children, all of which hold the pipes. */
struct family {
    pid_t leader;
    struct procgroup group;
    int news;  /* 'r' from each that is ready, 's' from each that got SIGUSR1; at its end when all are gone */
    int leave; /* closed: the leader exits */
};

static int news_fd;

static void tell(char what)
{
    ssize_t n = write(news_fd, &what, 1);
    (void)n;
}

static void on_usr1(int signo)
{
    (void)signo;
    tell('s');
}

static void wait_for_end_of(int fd)
{
    char byte;

    while (read(fd, &byte, 1) == -1 && errno == EINTR)
        ;
}

static _Noreturn void stay(void)
{
    for (;;)
        pause();
}

static _Noreturn void run_leader(int leave, int out)
{
    news_fd = out;
    signal(SIGUSR1, on_usr1);
    signal(SIGTERM, SIG_DFL);
    setsid();
    for (int i = 0; i < MEMBERS; i++) {
        if (fork() == 0) {
            close(leave);
            tell('r');
            stay();
        }
    }
    tell('r');
    wait_for_end_of(leave);
    _exit(5);
}

static void expect_news(int fd, const char *want)
{
    for (const char *p = want; *p != '\0'; p++) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        char byte = 0;

        ck_assert_int_eq(poll(&pfd, 1, 60000), 1);
        ck_assert_int_eq(read(fd, &byte, 1), 1);
        ck_assert_int_eq(byte, *p);
    }
}

static void expect_all_gone(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char byte;

    ck_assert_int_eq(poll(&pfd, 1, 60000), 1);
    ck_assert_int_eq(read(fd, &byte, 1), 0);
}

static void expect_silence(int fd)
{
    char byte;

    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(read(fd, &byte, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
}

/* Orphans come to us, so that none is left behind and their ends can be seen. */
static void family_make(struct family *family, enum way way)
{
    struct procfs_stat st;
    int news[2];
    int leave[2];

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    ck_assert_int_eq(pipe2(news, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(leave, O_CLOEXEC), 0);
    memset(family, 0, sizeof(*family));
    family->leader = fork();
    if (family->leader == 0) {
        close(leave[1]);
        close(news[0]);
        run_leader(leave[0], news[1]);
    }
    close(news[1]);
    close(leave[0]);
    family->news = news[0];
    family->leave = leave[1];
    expect_news(family->news, "rrrr");

    ck_assert_int_eq(procfs_read_stat(family->leader, &st), 0);
    family->group = (struct procgroup){
        .pgid = family->leader,
        .leader_pidfd = way == WAY_PIDFD ? identity_open(family->leader, st.start_ticks) : -1,
        .leader_pinned = way != WAY_SCAN,
        .leader_start = st.start_ticks,
    };
    procgroup_force_scan(way != WAY_PIDFD);
}

static void reap_all(void)
{
    while (waitpid(-1, NULL, 0) > 0)
        ;
    ck_assert_int_eq(errno, ECHILD);
}

static void family_end(struct family *family)
{
    expect_all_gone(family->news);
    reap_all();
    ck_assert_int_eq(procgroup_signal(&family->group, SIGTERM), -ESRCH);
    close(family->news);
    close(family->leave);
    if (family->group.leader_pidfd >= 0)
        close(family->group.leader_pidfd);
    procgroup_force_scan(false);
}

START_TEST(everybody_once)
{
    struct family family;

    family_make(&family, (enum way)_i);
    ck_assert_int_eq(procgroup_signal(&family.group, SIGUSR1), 0);
    expect_news(family.news, "ssss");
    expect_silence(family.news);
    ck_assert_int_eq(procgroup_signal(&family.group, SIGTERM), 0);
    expect_all_gone(family.news);
    family.group.leader_pinned = false;
    family_end(&family);
}
END_TEST

START_TEST(members_that_outlive_the_leader)
{
    struct family family;

    family_make(&family, (enum way)_i);
    close(family.leave);
    family.leave = -1;
    ck_assert_int_eq(waitpid(family.leader, NULL, 0), family.leader);
    family.group.leader_pinned = false;

    ck_assert_int_eq(procgroup_signal(&family.group, SIGUSR1), 0);
    expect_news(family.news, "sss");
    expect_silence(family.news);
    ck_assert_int_eq(procgroup_signal(&family.group, SIGKILL), 0);
    expect_all_gone(family.news);
    family_end(&family);
}
END_TEST

static volatile sig_atomic_t hit;

static void on_hit(int signo)
{
    (void)signo;
    hit++;
}

/* A child that has not called setsid(2) is still in our own group. */
START_TEST(before_setsid)
{
    struct procfs_stat st;
    int gate[2];

    signal(SIGUSR1, on_hit);
    ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
    pid_t bystander = fork();
    if (bystander == 0) {
        close(gate[1]);
        stay();
    }
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGUSR1, SIG_DFL);
        close(gate[0]);
        close(gate[1]);
        stay();
    }
    close(gate[1]);
    wait_for_end_of(gate[0]);
    ck_assert_int_eq(procfs_read_stat(pid, &st), 0);
    struct procgroup group = {
        .pgid = pid,
        .leader_pidfd = _i == WAY_PINNED ? -1 : identity_open(pid, st.start_ticks),
        .leader_pinned = _i != WAY_SCAN,
        .leader_start = st.start_ticks,
    };
    procgroup_force_scan(_i != WAY_PIDFD);
    ck_assert_int_eq(procgroup_signal(&group, SIGUSR1), 0);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WTERMSIG(status), SIGUSR1);
    group.leader_pinned = false;
    ck_assert_int_eq(procgroup_signal(&group, SIGUSR1), -ESRCH);
    ck_assert_int_eq(hit, 0);
    ck_assert_int_eq(waitpid(bystander, &status, WNOHANG), 0);
    kill(bystander, SIGKILL);
    waitpid(bystander, &status, 0);
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    if (group.leader_pidfd >= 0)
        close(group.leader_pidfd);
    close(gate[0]);
}
END_TEST

/* The number of the group is used by another session now. */
START_TEST(number_used_again)
{
    struct family family;

    family_make(&family, WAY_SCAN);
    struct procgroup stale = family.group;
    stale.leader_start--;
    ck_assert_int_eq(procgroup_signal(&stale, SIGUSR1), -ESRCH);
    /* An older leader than its members, but its number is free: they are not ours if they are older than it. */
    close(family.leave);
    family.leave = -1;
    ck_assert_int_eq(waitpid(family.leader, NULL, 0), family.leader);
    stale.leader_start = family.group.leader_start + 1000000;
    ck_assert_int_eq(procgroup_signal(&stale, SIGUSR1), -ESRCH);
    expect_silence(family.news);

    /* Not knowing when it started is no reason to overlook it. */
    stale.leader_start = 0;
    ck_assert_int_eq(procgroup_signal(&stale, SIGKILL), 0);
    family_end(&family);
}
END_TEST

static void *stay_in_thread(void *arg)
{
    (void)arg;
    stay();
}

START_TEST(threads_without_their_leader)
{
    struct procfs_stat st;
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t thread;

        setsid();
        pthread_create(&thread, NULL, stay_in_thread, NULL);
        syscall(SYS_exit, 0); /* the thread alone */
    }
    do {
        ck_assert_int_eq(procfs_read_stat(pid, &st), 0);
    } while (st.state != 'Z');
    struct procgroup group = {.pgid = pid, .leader_pidfd = -1, .leader_start = st.start_ticks};
    ck_assert_int_eq(procgroup_signal(&group, SIGKILL), 0);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}
END_TEST

START_TEST(no_group)
{
    struct procgroup group = {.pgid = 0, .leader_pidfd = -1, .leader_pinned = true};

    ck_assert_int_eq(procgroup_signal(&group, SIGUSR1), -ESRCH);
    group.pgid = 1;
    ck_assert_int_eq(procgroup_signal(&group, SIGUSR1), -ESRCH);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("procgroup");
    TCase *tc = tcase_create("procgroup");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, everybody_once, 0, N_WAYS);
    tcase_add_loop_test(tc, members_that_outlive_the_leader, 0, N_WAYS);
    tcase_add_loop_test(tc, before_setsid, 0, N_WAYS);
    tcase_add_test(tc, number_used_again);
    tcase_add_test(tc, threads_without_their_leader);
    tcase_add_test(tc, no_group);
    suite_add_tcase(suite, tc);
    return suite;
}
