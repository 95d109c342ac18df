/* SPDX-License-Identifier: MIT */
#include "os/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/procfs.h"
#include "tests/check_main.h"

/* A grandchild of ours: its parent reaps it when it is told to, and not before. */
struct nephew {
    pid_t parent;
    pid_t pid;
    uint64_t start_ticks;
    int pidfd;
    int go;   /* closed: the nephew ends */
    int reap; /* closed: the parent reaps it and ends */
};

typedef void (*nephew_fn)(void);

static int thread_gate[2] = {-1, -1};

static void wait_for_end_of(int fd)
{
    char byte;

    while (read(fd, &byte, 1) == -1 && errno == EINTR)
        ;
}

static void run_parent(int tell, int go[2], int reap[2], nephew_fn fn)
{
    close(reap[1]);
    close(go[1]);
    close(thread_gate[1]);

    pid_t pid = fork();
    if (pid == 0) {
        wait_for_end_of(go[0]);
        fn();
        _exit(99);
    }
    if (write(tell, &pid, sizeof(pid)) != sizeof(pid))
        _exit(98);
    close(tell);
    wait_for_end_of(reap[0]);
    waitpid(pid, NULL, 0);
    _exit(0);
}

static void nephew_make(struct nephew *nephew, nephew_fn fn)
{
    int tell[2];
    int go[2];
    int reap[2];
    struct procfs_stat st;

    ck_assert_int_eq(pipe(tell), 0);
    ck_assert_int_eq(pipe(go), 0);
    ck_assert_int_eq(pipe(reap), 0);
    nephew->parent = fork();
    if (nephew->parent == 0)
        run_parent(tell[1], go, reap, fn);
    close(tell[1]);
    close(go[0]);
    close(reap[0]);
    ck_assert_int_eq(read(tell[0], &nephew->pid, sizeof(nephew->pid)), sizeof(nephew->pid));
    close(tell[0]);
    nephew->go = go[1];
    nephew->reap = reap[1];
    ck_assert_int_eq(procfs_read_stat(nephew->pid, &st), 0);
    ck_assert_int_eq(st.ppid, nephew->parent);
    nephew->start_ticks = st.start_ticks;
    nephew->pidfd = identity_open(nephew->pid, st.start_ticks);
    ck_assert_int_ge(nephew->pidfd, 0);
    ck_assert_int_eq(fcntl(nephew->pidfd, F_GETFD), FD_CLOEXEC);
}

static void nephew_end(struct nephew *nephew)
{
    struct pollfd pfd = {.fd = nephew->pidfd, .events = POLLIN};

    close(nephew->go);
    ck_assert_int_eq(poll(&pfd, 1, 60000), 1);
}

static void nephew_reap(struct nephew *nephew)
{
    close(nephew->reap);
    ck_assert_int_eq(waitpid(nephew->parent, NULL, 0), nephew->parent);
}

static bool learn(const struct nephew *nephew, struct exit_info *exit_info)
{
    memset(exit_info, 0x55, sizeof(*exit_info));
    return identity_exit_status(nephew->pidfd, nephew->pid, nephew->start_ticks, exit_info);
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
    ck_assert_int_eq(procfs_have_ptrace_cap(), on);
}

static void exit_7(void)
{
    _exit(7);
}

static void exit_0(void)
{
    _exit(0);
}

static void killed(void)
{
    kill(getpid(), SIGKILL);
}

static void check_reaped(struct nephew *nephew, enum exit_how how, int code, int signo)
{
    struct exit_info info;

    nephew_reap(nephew);
    if (identity_have_pidfd_exit()) {
        ck_assert(learn(nephew, &info));
        ck_assert_int_eq(info.source, EXIT_SOURCE_PIDFD);
        ck_assert_int_eq(info.how, how);
        ck_assert_int_eq(info.code, code);
        ck_assert_int_eq(info.signal, signo);
    } else {
        ck_assert(!learn(nephew, &info));
    }
    ck_assert_int_eq(identity_signal(nephew->pidfd, 0), -ESRCH);
    ck_assert_int_eq(identity_open(nephew->pid, nephew->start_ticks), -ESRCH);
    close(nephew->pidfd);
}

START_TEST(exit_code_of_a_non_child)
{
    struct nephew nephew;
    struct exit_info info;

    nephew_make(&nephew, exit_7);
    ck_assert(!learn(&nephew, &info));
    nephew_end(&nephew);
    ck_assert(learn(&nephew, &info));
    ck_assert_int_eq(info.source, EXIT_SOURCE_PROC);
    ck_assert_int_eq(info.how, EXIT_HOW_EXITED);
    ck_assert_int_eq(info.code, 7);

    /* A zombie can be opened; by its number alone it is somebody else. */
    int pidfd = identity_open(nephew.pid, nephew.start_ticks);
    ck_assert_int_ge(pidfd, 0);
    close(pidfd);
    ck_assert(!identity_exit_status(nephew.pidfd, nephew.pid, nephew.start_ticks + 1, &info));
    check_reaped(&nephew, EXIT_HOW_EXITED, 7, 0);
}
END_TEST

START_TEST(signal_of_a_non_child)
{
    struct nephew nephew;
    struct exit_info info;

    nephew_make(&nephew, killed);
    nephew_end(&nephew);
    ck_assert(learn(&nephew, &info));
    ck_assert_int_eq(info.how, EXIT_HOW_SIGNALED);
    ck_assert_int_eq(info.signal, SIGKILL);
    ck_assert(!info.core);
    check_reaped(&nephew, EXIT_HOW_SIGNALED, 0, SIGKILL);
}
END_TEST

START_TEST(zero_needs_the_capability)
{
    struct nephew nephew;
    struct exit_info info;

    if (!procfs_have_ptrace_cap())
        return;
    nephew_make(&nephew, exit_0);
    nephew_end(&nephew);
    set_ptrace_cap(false);
    ck_assert(!learn(&nephew, &info));
    set_ptrace_cap(true);
    ck_assert_int_eq(learn(&nephew, &info), identity_have_process_status());
    if (identity_have_process_status()) {
        ck_assert_int_eq(info.source, EXIT_SOURCE_PROC);
        ck_assert_int_eq(info.how, EXIT_HOW_EXITED);
        ck_assert_int_eq(info.code, 0);
    }
    set_ptrace_cap(false);
    check_reaped(&nephew, EXIT_HOW_EXITED, 0, 0);
    set_ptrace_cap(true);
}
END_TEST

static void *live_on(void *arg)
{
    (void)arg;
    wait_for_end_of(thread_gate[0]);
    _exit(7);
}

static void leader_leaves(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, live_on, NULL);
    syscall(SYS_exit, 0); /* the thread alone */
}

/* The leader of a threaded program is a zombie in /proc, with status 0, while its threads live on. */
START_TEST(leader_thread_is_not_the_process)
{
    struct nephew nephew;
    struct exit_info info;
    struct procfs_stat st;
    struct pollfd pfd;

    ck_assert_int_eq(pipe(thread_gate), 0);
    nephew_make(&nephew, leader_leaves);
    close(nephew.go);
    do {
        ck_assert_int_eq(procfs_read_stat(nephew.pid, &st), 0);
    } while (st.state != 'Z');
    ck_assert_uint_eq(st.num_threads, 2);
    ck_assert(!learn(&nephew, &info));

    close(thread_gate[1]);
    pfd = (struct pollfd){.fd = nephew.pidfd, .events = POLLIN};
    ck_assert_int_eq(poll(&pfd, 1, 60000), 1);
    ck_assert_int_eq(learn(&nephew, &info), identity_have_process_status());
    if (identity_have_process_status()) {
        ck_assert_int_eq(info.source, EXIT_SOURCE_PROC);
        ck_assert_int_eq(info.code, 7);
    }
    check_reaped(&nephew, EXIT_HOW_EXITED, 7, 0);
}
END_TEST

/* Before Linux 5.17 a 0 in /proc may stand for anything. */
START_TEST(zero_of_a_first_thread_is_not_believed)
{
    struct nephew nephew;
    struct exit_info info;

    identity_pretend(IDENTITY_LACKS_PROCESS_STATUS);
    nephew_make(&nephew, exit_0);
    nephew_end(&nephew);
    ck_assert(!learn(&nephew, &info));
    check_reaped(&nephew, EXIT_HOW_EXITED, 0, 0);
    nephew_make(&nephew, exit_7);
    nephew_end(&nephew);
    ck_assert(learn(&nephew, &info));
    ck_assert_int_eq(info.source, EXIT_SOURCE_PROC);
    ck_assert_int_eq(info.code, 7);
    check_reaped(&nephew, EXIT_HOW_EXITED, 7, 0);
    identity_pretend(IDENTITY_LACKS_NOTHING);
}
END_TEST

/* A zombie's usage is told; once it is reaped, or to one who means another process, it is not. */
START_TEST(usage_of_a_zombie)
{
    struct procfs_stat st;
    siginfo_t info;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        while (clock() < CLOCKS_PER_SEC / 10)
            ;
        _exit(0);
    }
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(procfs_read_stat(pid, &st), 0);

    struct usage usage = identity_zombie_usage(pid, st.start_ticks);
    ck_assert(usage.cpu_from == USAGE_PROC && usage.memory_from == USAGE_UNKNOWN);
    ck_assert_int_ge(usage.cpu_user + usage.cpu_system, 80000); /* two ticks are rounded off */
    ck_assert_uint_gt(usage.faults_minor, 0);
    ck_assert_int_eq(identity_zombie_usage(pid, st.start_ticks + 1).cpu_from, USAGE_UNKNOWN);

    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_int_eq(identity_zombie_usage(pid, st.start_ticks).cpu_from, USAGE_UNKNOWN);
}
END_TEST

static bool died_before_exec(pid_t pid)
{
    struct procfs_stat st;

    ck_assert_int_eq(procfs_read_stat(pid, &st), 0);
    return st.died_before_exec;
}

START_TEST(death_before_exec)
{
    siginfo_t info;

    for (int executes = 0; executes < 2; executes++) {
        pid_t pid = fork();

        if (pid == 0) {
            raise(SIGSTOP);
            if (executes)
                execl("/bin/true", "true", NULL);
            _exit(0);
        }
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
        ck_assert(!died_before_exec(pid));
        kill(pid, SIGCONT);
        ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        ck_assert_int_eq(died_before_exec(pid), !executes);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    }
    ck_assert(!died_before_exec(getpid()));
}
END_TEST

START_TEST(memory_until_the_end)
{
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/sleep", "sleep", "1000", NULL);
        _exit(1);
    }
    bool told = identity_has_memory(getpid()); /* a kernel, or a sandbox, may not tell; it never tells of the dead */
    ck_assert_int_eq(identity_has_memory(pid), told);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert(!identity_has_memory(pid));
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert(!identity_has_memory(pid));
}
END_TEST

START_TEST(open_verifies)
{
    struct procfs_stat st;

    ck_assert_int_eq(procfs_read_stat(getpid(), &st), 0);
    int pidfd = identity_open(getpid(), st.start_ticks);
    ck_assert_int_ge(pidfd, 0);
    ck_assert_int_eq(identity_signal(pidfd, 0), 0);
    close(pidfd);
    ck_assert_int_eq(identity_open(getpid(), st.start_ticks + 1), -ESRCH);
    ck_assert_int_eq(identity_open(0, 0), -ESRCH);
    ck_assert_int_eq(identity_open(-1, 0), -ESRCH);
    ck_assert_int_eq(identity_open(0x7ffffffe, 0), -ESRCH);
}
END_TEST

START_TEST(epoch_is_the_same_twice)
{
    struct epoch a;
    struct epoch b;
    const char *what;

    ck_assert_int_eq(identity_epoch(&a, &what), 0);
    ck_assert_int_eq(identity_epoch(&b, &what), 0);
    ck_assert_uint_eq(strlen(a.boot_id), 36);
    ck_assert_str_eq(a.boot_id, b.boot_id);
    ck_assert_uint_ne(a.pidns, 0);
    ck_assert_uint_eq(a.pidns, b.pidns);
    ck_assert_uint_eq(a.init_start, b.init_start);
}
END_TEST

START_TEST(wait_status_words)
{
    struct exit_info info = {0};

    identity_exit_from_wait_status(3 << 8, &info);
    ck_assert_int_eq(info.how, EXIT_HOW_EXITED);
    ck_assert_int_eq(info.code, 3);
    identity_exit_from_wait_status(SIGSEGV | 0x80, &info);
    ck_assert_int_eq(info.how, EXIT_HOW_SIGNALED);
    ck_assert_int_eq(info.signal, SIGSEGV);
    ck_assert(info.core);
    identity_exit_from_wait_status(SIGTERM, &info);
    ck_assert(!info.core);
}
END_TEST

START_TEST(stat_with_an_evil_name)
{
    struct procfs_stat before;
    struct procfs_stat after;
    uint64_t ticks;

    ck_assert_int_eq(procfs_read_stat(getpid(), &before), 0);
    prctl(PR_SET_NAME, "a) Z 1 1 (b\n)");
    ck_assert_int_eq(procfs_read_stat(getpid(), &after), 0);
    ck_assert_int_eq(after.state, 'R');
    ck_assert_int_eq(after.ppid, getppid());
    ck_assert_int_eq(after.pgrp, getpgrp());
    ck_assert_int_eq(after.session, getsid(0));
    ck_assert_uint_eq(after.num_threads, 1);
    ck_assert_uint_gt(after.rss_pages, 0);
    ck_assert_uint_eq(after.start_ticks, before.start_ticks);
    ck_assert_int_eq(procfs_self_start_ticks(&ticks), 0);
    ck_assert_uint_eq(ticks, before.start_ticks);
    ck_assert_int_eq(procfs_read_stat(0x7ffffffe, &after), -ESRCH);
    ck_assert_int_eq(procfs_read_stat(-1, &after), -ESRCH);
}
END_TEST

static bool find_me(void *ctx, pid_t pid)
{
    int *seen = ctx;

    if (pid == getpid())
        (*seen)++;
    return true;
}

static bool stop_at_once(void *ctx, pid_t pid)
{
    int *seen = ctx;

    (void)pid;
    (*seen)++;
    return false;
}

START_TEST(each_process_once)
{
    int seen = 0;

    ck_assert_int_eq(procfs_each(find_me, &seen), 0);
    ck_assert_int_eq(seen, 1);
    seen = 0;
    ck_assert_int_eq(procfs_each(stop_at_once, &seen), 0);
    ck_assert_int_eq(seen, 1);
}
END_TEST

START_TEST(owner)
{
    uid_t uid;

    ck_assert(procfs_uid(getpid(), &uid));
    ck_assert_uint_eq(uid, geteuid());
    ck_assert(!procfs_uid(0x7ffffffe, &uid));
}
END_TEST

START_TEST(environ_of_a_program)
{
    int started[2];
    int gate[2];
    char byte;

    ck_assert_int_eq(pipe2(started, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        static char big[6000] = "BIG=";
        char *argv[] = {"cat", NULL};
        char *envp[] = {"SUPD", big, "SUPD_INSTANCE_X=no", "SUPD_INSTANCE=ab=c", NULL};

        memset(big + 4, 'x', sizeof(big) - 5);
        dup2(gate[0], 0);
        execve("/bin/cat", argv, envp);
        _exit(1);
    }
    close(started[1]);
    ck_assert_int_eq(read(started[0], &byte, 1), 0);
    char *value = procfs_environ_get(pid, "SUPD_INSTANCE");
    ck_assert_str_eq(value, "ab=c");
    free(value);
    ck_assert_ptr_null(procfs_environ_get(pid, "SUPD"));
    ck_assert_ptr_null(procfs_environ_get(0x7ffffffe, "SUPD"));
    close(gate[0]);
    close(gate[1]);
    waitpid(pid, NULL, 0);
    close(started[0]);
}
END_TEST

static bool is_ending(pid_t pid)
{
    struct procfs_stat st;

    return procfs_read_stat(pid, &st) == 0 && st.exiting;
}

/* Between the old program and the new one there is none for a moment, and that is said: a process that executes itself over
 * and over. */
START_TEST(environ_amid_an_exec)
{
    static char script[] = "test $1 -eq 0 || exec /bin/sh -c \"$0\" \"$0\" $(($1 - 1))";
    char *argv[] = {"sh", "-c", script, script, "500", NULL};
    char *envp[] = {"SUPD_INSTANCE=ab=c", NULL};
    unsigned looks = 0;
    char *value;

    pid_t pid = fork();
    if (pid == 0) {
        execve("/bin/sh", argv, envp);
        _exit(1);
    }
    while ((value = procfs_environ_get(pid, "SUPD_INSTANCE")) == NULL)
        ck_assert(!is_ending(pid));
    while (value != NULL || !is_ending(pid)) {
        ck_assert_msg(value != NULL || errno == EAGAIN, "there was none at look %u", looks);
        ck_assert(value == NULL || strcmp(value, "ab=c") == 0);
        free(value);
        looks++;
        errno = 0;
        value = procfs_environ_get(pid, "SUPD_INSTANCE");
    }
    ck_assert_uint_gt(looks, 0);
    waitpid(pid, NULL, 0);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("identity");
    TCase *tc = tcase_create("identity");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, exit_code_of_a_non_child);
    tcase_add_test(tc, signal_of_a_non_child);
    tcase_add_test(tc, zero_needs_the_capability);
    tcase_add_test(tc, leader_thread_is_not_the_process);
    tcase_add_test(tc, zero_of_a_first_thread_is_not_believed);
    tcase_add_test(tc, usage_of_a_zombie);
    tcase_add_test(tc, death_before_exec);
    tcase_add_test(tc, memory_until_the_end);
    tcase_add_test(tc, open_verifies);
    tcase_add_test(tc, epoch_is_the_same_twice);
    tcase_add_test(tc, wait_status_words);
    tcase_add_test(tc, stat_with_an_evil_name);
    tcase_add_test(tc, each_process_once);
    tcase_add_test(tc, owner);
    tcase_add_test(tc, environ_of_a_program);
    tcase_add_test(tc, environ_amid_an_exec);
    suite_add_tcase(suite, tc);
    return suite;
}
