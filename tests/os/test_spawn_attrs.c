/* SPDX-License-Identifier: MIT */
/* Attributes of a process that the kernel refuses, whoever we are; and a supd that dies before its child has an exec. */
#include "tests/os/spawn_bench.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static void set(struct bench *bench, const char *key, const char *value)
{
    char *values[] = {(char *)value, NULL};
    char err[256];

    ck_assert_msg(spec_set(bench->spec, spec_key_find(key), values, 1, false, err, sizeof(err)), "%s: %s", key, err);
}

static off_t size_of_state(const struct bench *bench)
{
    struct stat st;

    ck_assert_int_eq(fstat(bench->req.state_fd, &st), 0);
    return st.st_size;
}

static const struct {
    const char *key;
    const char *value;
    int nr;
    int err;
    const char *report;
    int code; /* of systemd.exec(5) */
} refused[] = {
    {"nice", "5", SYS_setpriority, EPERM, "nice 5: Operation not permitted (needs CAP_SYS_NICE)", 201},
    {"io-class", "idle", SYS_ioprio_set, EPERM,
     "io-class idle: Operation not permitted (needs CAP_SYS_NICE, before Linux 5.14 CAP_SYS_ADMIN)", 211},
    {"cpu-affinity", "0", SYS_sched_setaffinity, EINVAL,
     "cpu-affinity 0: Invalid argument (supd may use no such processor)", 215},
    {"limit-nofile", "10:20", SYS_prlimit64, EPERM,
     "limit-nofile 10:20: Operation not permitted (needs CAP_SYS_RESOURCE, and no more than fs.nr_open)", 205},
    {"private-tmp", "yes", SYS_unshare, EPERM, "private-tmp: Operation not permitted (needs CAP_SYS_ADMIN)", 226},
    {"read-only-paths", "/usr", SYS_unshare, EPERM, "read-only-paths: Operation not permitted (needs CAP_SYS_ADMIN)",
     226},
    {"capability-bounding-set", "~", SYS_capget, EPERM, "capabilities: capget: Operation not permitted", 218},
};

/* The start fails with this report and this exit code; the trial says the same, and leaves nothing behind. */
static void expect_refusal(struct bench *bench, const char *report, int code)
{
    char err[512] = "";
    int status;

    off_t before = size_of_state(bench);
    ck_assert(!spawn_try_attributes(bench->spec, &bench->baseline, err, sizeof(err)));
    ck_assert_str_eq(err, report);
    ck_assert_int_eq(size_of_state(bench), before);
    ck_assert_int_eq(waitpid(-1, &status, WNOHANG), -1);
    run_failing(bench, report, code);
}

START_TEST(each_is_refused)
{
    struct bench bench;

    setup(&bench, "true");
    set(&bench, refused[_i].key, refused[_i].value);
    refuse_with(refused[_i].nr, refused[_i].err);
    expect_refusal(&bench, refused[_i].report, refused[_i].code);
    teardown(&bench);
}
END_TEST

START_TEST(old_kernel)
{
    struct bench bench;
    char err[512];

    setup(&bench, "true");
    set(&bench, "read-only-paths", "/usr");
    /* Where one may mount at all. */
    if (spawn_try_attributes(bench.spec, &bench.baseline, err, sizeof(err))) {
        refuse_with(SYS_mount_setattr, ENOSYS);
        expect_refusal(&bench, "read-only-paths /usr: Function not implemented (needs Linux 5.12)", 226);
    }
    teardown(&bench);
}
END_TEST

START_TEST(trial_of_what_can_be_had)
{
    struct bench bench;
    char err[512] = "";

    setup(&bench, "true");
    ck_assert(spawn_try_attributes(bench.spec, &bench.baseline, err, sizeof(err)));
    set(&bench, "limit-core", "0");
    set(&bench, "nice", "19");
    set(&bench, "command", "/nonexistent/x");
    set(&bench, "log", "/nonexistent/x/log");
    ck_assert_msg(spawn_try_attributes(bench.spec, &bench.baseline, err, sizeof(err)), "%s", err);
    ck_assert_int_eq(size_of_state(&bench), 0);
    teardown(&bench);
}
END_TEST

/* Makes a child that waits in its way to the exec, until somebody reads DIR/fifo, and dies. */
static _Noreturn void supd_that_dies(struct bench *bench)
{
    struct spawn_child child;
    char err[256];

    _exit(spawn_process(&bench->req, &child, err, sizeof(err)) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* The signal that should have come, had supd lived until the child asked for it. */
START_TEST(supd_dies_before_the_signal_is_set)
{
    struct bench bench;
    int status;

    setup(&bench, "true");
    char *fifo = xasprintf("%s/fifo", bench.dir);
    char *ran = xasprintf("%s/ran", bench.dir);
    char *command = xasprintf("/bin/touch %s", ran);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    set(&bench, "stdin", fifo);
    set(&bench, "command", command);
    set(&bench, "parent-death-signal", "USR1");

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    pid_t supd = fork();
    if (supd == 0)
        supd_that_dies(&bench);
    ck_assert_int_eq(waitpid(supd, &status, 0), supd);
    ck_assert_int_eq(status, 0);

    int writer = open(fifo, O_WRONLY | O_CLOEXEC);
    ck_assert_int_gt(waitpid(-1, &status, 0), 0);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGUSR1);
    ck_assert_int_eq(access(ran, F_OK), -1);
    close(writer);
    free(command);
    free(ran);
    free(fifo);
    teardown(&bench);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("spawn_attrs");
    TCase *tc = tcase_create("spawn_attrs");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, each_is_refused, 0, LEN(refused));
    tcase_add_test(tc, old_kernel);
    tcase_add_test(tc, trial_of_what_can_be_had);
    tcase_add_test(tc, supd_dies_before_the_signal_is_set);
    suite_add_tcase(suite, tc);
    return suite;
}
