/* SPDX-License-Identifier: MIT */
#include "os/spawn_share.h"

#include <sys/prctl.h>

#include "tests/os/spawn_bench.h"

#define MANY 48 /* more than there are rooms */
#define DEADLINE_MS 60000

/*
 * Does this machine have rooms at all?  Then the first is the same until somebody is in there.  What make(1) hands down may
 * be more than fits into one, so it is left out.
 */
static bool have_rooms(struct bench *bench)
{
    strv_free(bench->baseline.environment);
    bench->baseline.environment = strv_env_set(NULL, "PATH=/usr/bin:/bin");
    spawn_share_begin();
    bool have = spawn_share_room() != NULL;

    if (!have)
        printf("# no child shares our memory on this machine, or in this build\n");
    return have;
}

/* The room of whoever was in there is free as soon as he has left, which is a moment before his pipe is closed or after. */
static void await_room(const struct spawn_pack *room)
{
    for (int ms = 0; spawn_share_room() != room; ms++) {
        ck_assert_int_lt(ms, DEADLINE_MS);
        usleep(1000);
    }
}

/* Children that hang before their exec, in the opening of a FIFO that nobody writes. */
static char *hang(struct bench *bench, struct spawn_child *children, size_t n)
{
    char err[256] = "";
    char *fifo = in_dir(bench, "sub");

    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    set_log(&spec_own_place(bench->spec)->input, LOG_KIND_FILE, fifo);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(spawn_process(&bench->req, &children[i], err, sizeof(err)), "%s", err);
    return fifo;
}

static int end_of(const struct spawn_child *child)
{
    int status;

    ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
    close(child->pidfd);
    close(child->report_fd);
    return status;
}

START_TEST(room_is_left_at_the_exec)
{
    struct bench bench;

    setup(&bench, "exec sleep 1000");
    if (have_rooms(&bench)) {
        struct spawn_pack *room = spawn_share_room();

        start(&bench);
        await_report(&bench);
        ck_assert_int_eq(bench.outcome, SPAWN_CLOSED);
        await_room(room); /* while it goes on living */
        ck_assert_int_eq(identity_signal(bench.child.pidfd, SIGKILL), 0);
        await_end(&bench);
        set_command(&bench, "/nonexistent/program", NULL, NULL);
        run_failing(&bench, "exec /nonexistent/program: No such file or directory", 203);
        await_room(room);
    }
    teardown(&bench);
}
END_TEST

/* MANY that hang: half of them are killed, the others go on. */
static void burst(struct bench *bench)
{
    struct spawn_child children[MANY];
    struct spawn_pack *room = spawn_share_room();
    char *fifo = hang(bench, children, MANY);

    ck_assert_ptr_null(spawn_share_room());
    for (size_t i = 1; i < MANY; i += 2) {
        ck_assert_int_eq(kill(children[i].pid, SIGKILL), 0);
        ck_assert_int_eq(WTERMSIG(end_of(&children[i])), SIGKILL);
    }
    int writer = open(fifo, O_WRONLY | O_CLOEXEC); /* lets all others go on */
    ck_assert_int_ge(writer, 0);
    for (size_t i = 0; i < MANY; i += 2) {
        struct pollfd pfd = {.fd = children[i].report_fd, .events = POLLIN};
        ck_assert_int_eq(poll(&pfd, 1, DEADLINE_MS), 1);
        ck_assert_int_eq(spawn_report_read(pfd.fd, bench->text, sizeof(bench->text)), SPAWN_CLOSED);
    }
    await_room(room);
    close(writer); /* is the end of their input */
    for (size_t i = 0; i < MANY; i += 2)
        ck_assert_int_eq(end_of(&children[i]), 0);
    ck_assert_int_eq(unlink(fifo), 0);
    free(fifo);
}

/* They hold neither us nor those that come after them, who get a copy when all rooms are taken; and again after a rest. */
START_TEST(many_that_hang)
{
    struct bench bench;

    setup(&bench, "read line; echo $line");
    for (int i = 0; i < 3 && have_rooms(&bench); i++) {
        burst(&bench);
        spawn_rest();
    }
    set_script(&bench, "echo again");
    spec_own_place(bench.spec)->input.kind = LOG_KIND_NONE;
    read_output(&bench, bench.out_fd);
    run(&bench);
    ck_assert_str_eq(bench.output, "again\n");
    teardown(&bench);
}
END_TEST

/* A child tries in vain to reset SIGKILL, which sets its errno, before it records itself. */
START_TEST(errno_is_ours)
{
    struct spawn_child child;
    struct bench bench;
    struct stat st;

    setup(&bench, "true");
    for (int i = 0; i < 20 && have_rooms(&bench); i++) {
        char *fifo = hang(&bench, &child, 1);

        errno = ENOTUNIQ;
        do
            ck_assert_int_eq(fstat(bench.req.state_fd, &st), 0);
        while ((size_t)st.st_size < (size_t)(i + 1) * bench.req.record_len);
        ck_assert_int_eq(errno, ENOTUNIQ);
        ck_assert_int_eq(kill(child.pid, SIGKILL), 0);
        ck_assert_int_eq(WTERMSIG(end_of(&child)), SIGKILL);
        ck_assert_int_eq(unlink(fifo), 0);
        free(fifo);
    }
    teardown(&bench);
}
END_TEST

/* What a child gets is its own, however much changes here while it hangs; and what it does is not done to us. */
START_TEST(each_for_itself)
{
    struct spawn_child children[2];
    struct bench bench;
    mode_t mask = umask(022);

    setup(&bench, "echo $WHO; pwd; umask");
    if (have_rooms(&bench)) {
        char here[PATH_MAX];
        ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
        spec_own_place(bench.spec)->environment = strv_env_set(NULL, "WHO=first");
        spec_own_place(bench.spec)->directory = xstrdup("/proc");
        spec_own_exec(bench.spec)->umask = 0077;
        spec_own_exec(bench.spec)->no_new_privileges = true;
        char *fifo = hang(&bench, children, 1);
        strv_free(spec_own_place(bench.spec)->environment);
        spec_own_place(bench.spec)->environment = strv_env_set(NULL, "WHO=second");
        spec_own_place(bench.spec)->directory[0] = '\0';
        memset(bench.record, 0, sizeof(bench.record));
        close(open(fifo, O_WRONLY | O_CLOEXEC));
        ck_assert_int_eq(WEXITSTATUS(end_of(&children[0])), 0);
        read_output(&bench, bench.out_fd);
        ck_assert_str_eq(bench.output, "first\n/proc\n0077\n");

        char now[PATH_MAX];
        ck_assert_ptr_nonnull(getcwd(now, sizeof(now)));
        ck_assert_str_eq(now, here);
        ck_assert_int_eq(umask(022), 022);
        ck_assert_int_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
        ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
        free(fifo);
    }
    umask(mask);
    teardown(&bench);
}
END_TEST

/* Where a filter knows no such flags, it is done in the old way. */
START_TEST(filters)
{
    struct bench bench;

    setup(&bench, "echo here");
    if (have_rooms(&bench)) {
        refuse_with(SYS_clone, EPERM);
        run(&bench);
        ck_assert_str_eq(bench.output, "here\n");
        ck_assert_ptr_null(spawn_share_room());
    }
    teardown(&bench);
}
END_TEST

/* What belongs to the memory would be changed for us as well. */
START_TEST(who_gets_a_copy)
{
    struct bench bench;

    setup(&bench, "true");
    ck_assert(spawn_share_allows(&bench.req));
    spec_own_exec(bench.spec)->ids.set = true;
    ck_assert(!spawn_share_allows(&bench.req));
    spec_own_exec(bench.spec)->ids.set = false;
    spec_own_exec(bench.spec)->parent_death_signal = SIGTERM;
    ck_assert(!spawn_share_allows(&bench.req));
    spec_own_exec(bench.spec)->parent_death_signal = 0;
    bench.req.cgroup_fd = 7;
    ck_assert(!spawn_share_allows(&bench.req));
    bench.req.cgroup_fd = 0;
    bench.baseline.oom_score_adj++;
    ck_assert(!spawn_share_allows(&bench.req));
    bench.baseline.oom_score_adj--;
    ck_assert(spawn_share_allows(&bench.req));
    teardown(&bench);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("spawn_share");
    TCase *tc = tcase_create("spawn_share");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, room_is_left_at_the_exec);
    tcase_add_test(tc, many_that_hang);
    tcase_add_test(tc, errno_is_ours);
    tcase_add_test(tc, each_for_itself);
    tcase_add_test(tc, filters);
    tcase_add_test(tc, who_gets_a_copy);
    suite_add_tcase(suite, tc);
    return suite;
}
