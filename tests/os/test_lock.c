/* SPDX-License-Identifier: MIT */
#include "os/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_main.h"
#include "os/identity.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static char dir[32];
static char path[48];
static char err[512];
static int ready[2]; /* a byte: what was asked for stands; ended: an exec has happened */
static int gate[2];  /* ended: go on */

static void setup(void)
{
    strcpy(dir, "/tmp/test_lock.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/lock", dir);
    err[0] = '\0';
    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
    /* Children of a killed owner come to us, to be reaped. */
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
}

static void teardown(void)
{
    close(ready[0]);
    close(ready[1]);
    close(gate[0]);
    close(gate[1]);
    unlink(path);
    rmdir(path);
    rmdir(dir);
}

static void wait_for_gate(void)
{
    char byte;

    close(gate[1]);
    while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
        ;
}

static void tell_ready(pid_t pid)
{
    if (write(ready[1], &pid, sizeof pid) != sizeof pid)
        _exit(90);
}

static pid_t hear_ready(void)
{
    pid_t pid = 0;

    ck_assert_int_eq(read(ready[0], &pid, sizeof pid), sizeof pid);
    return pid;
}

static void take_or_exit(struct lock *lock)
{
    pid_t owner;

    if (lock_take(dir, lock, &owner, NULL, NULL, err, sizeof err) != LOCK_TAKEN)
        _exit(91);
}

/* A program in place of a child: it ends when the gate does. */
static void exec_cat(void)
{
    close(gate[1]);
    dup2(gate[0], STDIN_FILENO);
    execl("/bin/cat", "cat", (char *)NULL);
    _exit(92);
}

static void hang_before_exec(void)
{
    tell_ready(getpid());
    for (;;)
        pause();
}

static void exec_at_gate(void)
{
    tell_ready(getpid());
    wait_for_gate();
    execl("/bin/true", "true", (char *)NULL);
    _exit(92);
}

/* A process that owns the lock and, with CHILD, has forked one that runs it.  Both pids once they stand. */
static pid_t start_owner(void (*child)(void), pid_t *child_pid)
{
    pid_t owner = fork();

    ck_assert_int_ge(owner, 0);
    if (owner == 0) {
        struct lock lock;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        take_or_exit(&lock);
        if (child && fork() == 0)
            child();
        if (!child)
            tell_ready(getpid());
        for (;;)
            pause();
    }
    pid_t told = hear_ready();
    if (child_pid)
        *child_pid = told;
    return owner;
}

static void kill_and_reap(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void take(struct lock *lock)
{
    pid_t owner = 0;
    enum lock_result result = lock_take(dir, lock, &owner, NULL, NULL, err, sizeof err);

    ck_assert_msg(result == LOCK_TAKEN, "result %d, owner %d: %s", (int)result, owner, err);
}

START_TEST(second_is_refused_with_the_owners_pid)
{
    pid_t owner = start_owner(NULL, NULL);
    struct lock lock;
    pid_t named = 0;

    ck_assert_int_eq(lock_take(dir, &lock, &named, NULL, NULL, err, sizeof err), LOCK_OWNED);
    ck_assert_int_eq(named, owner);
    ck_assert_int_eq(lock.fd, -1);
    kill_and_reap(owner);
    take(&lock);
    lock_release(&lock);
}
END_TEST

START_TEST(owner_that_nobody_has_reaped_is_dead)
{
    pid_t owner = start_owner(NULL, NULL);
    struct lock lock;
    siginfo_t info;

    ck_assert_int_eq(kill(owner, SIGKILL), 0);
    ck_assert_int_eq(waitid(P_PID, (id_t)owner, &info, WEXITED | WNOWAIT), 0);
    take(&lock);
    lock_release(&lock);
    waitpid(owner, NULL, 0);
}
END_TEST

START_TEST(living_owner_with_a_half_started_child_is_the_owner)
{
    pid_t child;
    pid_t owner = start_owner(hang_before_exec, &child);
    struct lock lock;
    pid_t named = 0;

    ck_assert_int_eq(lock_take(dir, &lock, &named, NULL, NULL, err, sizeof err), LOCK_OWNED);
    ck_assert_int_eq(named, owner);
    ck_assert_int_eq(kill(child, 0), 0);
    kill_and_reap(owner);
    kill_and_reap(child);
}
END_TEST

struct watcher {
    pid_t pid;
    unsigned calls;
    unsigned calls_alive; /* those in which PID was running */
};

static bool running(pid_t pid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

static void count(void *ctx)
{
    struct watcher *watcher = ctx;

    watcher->calls++;
    watcher->calls_alive += running(watcher->pid);
}

/* Somebody who looks at the file, with a descriptor but without the lock. */
static pid_t start_bystander(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (open(path, O_RDWR | O_CLOEXEC) < 0)
            _exit(93);
        hang_before_exec();
    }
    ck_assert_int_eq(hear_ready(), pid);
    return pid;
}

START_TEST(half_started_child_of_a_dead_owner_is_killed_after_a_while)
{
    struct watcher watcher = {0};
    int pidfd = identity_pidfd(getpid());

    if (pidfd == -ENOSYS) {
        printf("# killing a half-started child is skipped: no pidfd_open(2) here\n");
        fflush(stdout);
        return;
    }
    close(pidfd);
    pid_t owner = start_owner(hang_before_exec, &watcher.pid);
    pid_t bystander = start_bystander();
    struct lock lock;
    pid_t named = 0;
    int status;

    kill_and_reap(owner);
    ck_assert_int_eq(lock_take(dir, &lock, &named, count, &watcher, err, sizeof err), LOCK_TAKEN);
    ck_assert_uint_gt(watcher.calls, 0);
    ck_assert_msg(watcher.calls_alive > 0, "it was killed without being waited for");
    ck_assert_int_eq(waitpid(watcher.pid, &status, 0), watcher.pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_msg(running(bystander), "who only has the file open was killed too");
    lock_release(&lock);
    kill_and_reap(bystander);
}
END_TEST

/* Lets the child go, and returns once its exec has taken the lock off it. */
static void open_gate(void *ctx)
{
    char byte;

    count(ctx);
    close(gate[1]);
    gate[1] = -1;
    close(ready[1]);
    ready[1] = -1;
    ck_assert_int_eq(read(ready[0], &byte, 1), 0);
}

START_TEST(half_started_child_may_still_reach_its_program)
{
    struct watcher watcher = {0};
    pid_t owner = start_owner(exec_at_gate, &watcher.pid);
    struct lock lock;
    pid_t named = 0;
    int status;

    kill_and_reap(owner);
    ck_assert_int_eq(lock_take(dir, &lock, &named, open_gate, &watcher, err, sizeof err), LOCK_TAKEN);
    ck_assert_uint_eq(watcher.calls, 1);
    ck_assert_int_eq(waitpid(watcher.pid, &status, 0), watcher.pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", status);
    lock_release(&lock);
}
END_TEST

static void exec_cat_child(void)
{
    tell_ready(getpid());
    exec_cat();
}

START_TEST(running_program_does_not_hold_the_lock)
{
    struct watcher watcher = {0};
    pid_t owner = start_owner(exec_cat_child, &watcher.pid);
    struct lock lock;
    pid_t named = 0;
    char byte;

    kill_and_reap(owner);
    close(ready[1]);
    ready[1] = -1;
    ck_assert_int_eq(read(ready[0], &byte, 1), 0);
    ck_assert_int_eq(lock_take(dir, &lock, &named, count, &watcher, err, sizeof err), LOCK_TAKEN);
    ck_assert_uint_eq(watcher.calls, 0);
    ck_assert(running(watcher.pid));
    lock_release(&lock);
    kill_and_reap(watcher.pid);
}
END_TEST

START_TEST(instance_id_is_as_old_as_the_file)
{
    struct lock lock;
    char first[LOCK_INSTANCE_SIZE];

    take(&lock);
    ck_assert(lock.fresh);
    ck_assert_uint_eq(strspn(lock.instance, "0123456789abcdef"), LOCK_INSTANCE_SIZE - 1);
    strcpy(first, lock.instance);
    lock_release(&lock);
    ck_assert_int_eq(lock.fd, -1);

    /* Another process, whose pid has another number of digits perhaps. */
    kill_and_reap(start_owner(NULL, NULL));
    for (int i = 0; i < 3; i++) {
        take(&lock);
        ck_assert(!lock.fresh);
        ck_assert_str_eq(lock.instance, first);
        lock_release(&lock);
    }

    ck_assert_int_eq(unlink(path), 0);
    take(&lock);
    ck_assert(lock.fresh);
    ck_assert_str_ne(lock.instance, first);
    lock_release(&lock);
}
END_TEST

START_TEST(file_is_private_and_names_its_owner)
{
    struct lock lock;
    struct stat st;
    char text[128] = "";
    char instance[64];
    int pid = 0;

    umask(0);
    take(&lock);
    ck_assert_int_eq(fstat(lock.fd, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(fcntl(lock.fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_gt(pread(lock.fd, text, sizeof text - 1, 0), 0);
    ck_assert_int_eq(sscanf(text, "%d %*u %63s", &pid, instance), 2);
    ck_assert_int_eq(pid, getpid());
    ck_assert_str_eq(instance, lock.instance);
    lock_release(&lock);
}
END_TEST

static void write_lock_file(const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
}

START_TEST(damaged_contents)
{
#define ID "0123456789abcdef0123456789abcdef"
    static const struct {
        const char *text;
        bool kept;
    } table[] = {
        {"", false},
        {"\n", false},
        {"garbage", false},
        {"12", false},
        {"12 34", false},
        {"12 34 ", false},
        {"12 34 0123456789abcdef", false},
        {"12 34 0123456789ABCDEF0123456789ABCDEF\n", false},
        {"-1 -1 zz\n", false},
        {"99999999999999999999 99999999999999999999999 " ID "\n", true},
        {"12 34 " ID, true},
        {"12 34 " ID "\nthe end of a longer one\n", true},
    };

    for (size_t i = 0; i < LEN(table); i++) {
        struct lock lock;
        char text[256] = "";

        write_lock_file(table[i].text, strlen(table[i].text));
        take(&lock);
        ck_assert_msg(lock.fresh == !table[i].kept, "'%s': fresh %d", table[i].text, lock.fresh);
        ck_assert((strcmp(lock.instance, ID) == 0) == table[i].kept);
        ck_assert_uint_eq(strlen(lock.instance), LOCK_INSTANCE_SIZE - 1);
        ssize_t len = pread(lock.fd, text, sizeof text - 1, 0);
        ck_assert_msg(len > 0 && text[len - 1] == '\n' && strchr(text, '\n') == text + len - 1,
                      "'%s' was left after '%s'", text, table[i].text);
        lock_release(&lock);
    }

    static char noise[10000];
    memset(noise, '7', sizeof noise);
    noise[100] = '\0';
    struct lock lock;
    struct stat st;
    write_lock_file(noise, sizeof noise);
    take(&lock);
    ck_assert(lock.fresh);
    ck_assert_int_eq(fstat(lock.fd, &st), 0);
    ck_assert_int_lt(st.st_size, 128);
    lock_release(&lock);
}
END_TEST

static void expect_error(const char *in)
{
    struct lock lock;
    pid_t owner;

    err[0] = '\0';
    ck_assert_int_eq(lock_take(in, &lock, &owner, NULL, NULL, err, sizeof err), LOCK_ERROR);
    ck_assert_msg(strstr(err, in) && strstr(err, "/lock"), "'%s' does not name the place", err);
    ck_assert_int_eq(lock.fd, -1);
}

START_TEST(what_cannot_be_locked_is_told)
{
    char other[64];

    expect_error("/nonexistent/dir");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_error(dir);
    ck_assert_int_eq(rmdir(path), 0);

    snprintf(other, sizeof other, "%s/other", dir);
    ck_assert_int_eq(symlink(other, path), 0);
    expect_error(dir);
    ck_assert_msg(access(other, F_OK) < 0, "a link was followed");
}
END_TEST

/* As a kernel that has no random numbers yet, early at boot; who wants to wait for them is killed. */
static void without_random_numbers(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, GRND_NONBLOCK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {.len = LEN(code), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
        _exit(94);
}

START_TEST(random_numbers_are_not_waited_for)
{
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct lock lock;

        without_random_numbers();
        take_or_exit(&lock);
        _exit(strspn(lock.instance, "0123456789abcdef") == LOCK_INSTANCE_SIZE - 1 ? 0 : 95);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("lock");
    TCase *tc = tcase_create("lock");

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, second_is_refused_with_the_owners_pid);
    tcase_add_test(tc, owner_that_nobody_has_reaped_is_dead);
    tcase_add_test(tc, living_owner_with_a_half_started_child_is_the_owner);
    tcase_add_test(tc, half_started_child_of_a_dead_owner_is_killed_after_a_while);
    tcase_add_test(tc, half_started_child_may_still_reach_its_program);
    tcase_add_test(tc, running_program_does_not_hold_the_lock);
    tcase_add_test(tc, instance_id_is_as_old_as_the_file);
    tcase_add_test(tc, file_is_private_and_names_its_owner);
    tcase_add_test(tc, damaged_contents);
    tcase_add_test(tc, random_numbers_are_not_waited_for);
    tcase_add_test(tc, what_cannot_be_locked_is_told);
    suite_add_tcase(suite, tc);
    return suite;
}
