/* SPDX-License-Identifier: MIT */
#include "os/proctree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/identity.h"
#include "os/procfs.h"
#include "tests/check_main.h"

#define CHAIN "BE_A_CHAIN" /* in the environment of this program: be one, and no test */
#define CHAIN_SECONDS 60   /* it ends then, whoever has forgotten it */
#define CHAIN_LOOKS 1000
#define LOOK_SECONDS 20 /* or as many looks as there is time for: on one slow processor it is faster than we are */

/* How the orphans are found, as the loop variable of the tests. */
enum way { WAY_CHILDREN, WAY_MANY, WAY_SCAN, WAY_NOT_OURS, N_WAYS };

#define MANY 1000000 /* who ask: so many that all processes there can be are read for them */

/* What each process is, as it tells its pid over the pipe. */
enum who { LEADER, OWN_GROUP, OWN_SESSION, DAEMON, OTHER_SERVICE, OTHER_INSTANCE, N_WHO };

struct world {
    pid_t pids[N_WHO];
    struct proctree_owner owner;
    struct proctree tree;
    bool many; /* ask for theirs */
};

/* SUPD_INSTANCE, of the process that asks first: this test may run more than once at a time. */
static const char *instance_id(void)
{
    static char id[20];

    if (id[0] == '\0')
        snprintf(id, sizeof(id), "%016x", (unsigned)getpid());
    return id;
}

static void make_environment(char buf[3][64], char *env[4], const char *instance, const char *service, pid_t exec_pid)
{
    snprintf(buf[0], sizeof(buf[0]), "SUPD_INSTANCE=%s", instance);
    snprintf(buf[1], sizeof(buf[1]), "SUPD_SERVICE=%s", service);
    snprintf(buf[2], sizeof(buf[2]), "SUPD_EXEC_PID=%d", (int)exec_pid);
    for (int i = 0; i < 3; i++)
        env[i] = buf[i];
    env[3] = NULL;
}

static void tell(int news, enum who who)
{
    pid_t message[2] = {(pid_t)who, getpid()};

    if (write(news, message, sizeof(message)) != (ssize_t)sizeof(message))
        _exit(1);
}

/* A daemon: forked twice, a session of its own, with the environment that supd gives.  NEWS is close-on-exec. */
static void run_daemon(int news, enum who who, const char *instance, const char *service, pid_t exec_pid)
{
    char buf[3][64];
    char *env[4];

    if (fork() == 0) {
        setsid();
        if (fork() != 0)
            _exit(0);
        tell(news, who);
        make_environment(buf, env, instance, service, exec_pid);
        execle("/bin/sleep", "sleep", "1000", (char *)NULL, env);
        _exit(1);
    }
    wait(NULL);
}

static _Noreturn void run_leader(int news, const char *instance)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    signal(SIGTERM, SIG_DFL);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    setsid();
    for (enum who who = OWN_GROUP; who <= OWN_SESSION; who++) {
        if (fork() == 0) {
            if (who == OWN_GROUP)
                setpgid(0, 0);
            else
                setsid();
            tell(news, who);
            close(news);
            for (;;)
                pause();
        }
    }
    run_daemon(news, DAEMON, instance, "web", getpid());
    run_daemon(news, OTHER_SERVICE, instance, "other", getpid());
    run_daemon(news, OTHER_INSTANCE, "fedcba9876543210", "web", getpid());
    tell(news, LEADER);
    close(news);
    for (;;)
        pause();
}

static void world_make(struct world *world, enum way way)
{
    const char *instance = instance_id();
    struct procfs_stat st;
    pid_t message[2];
    int news[2];

    memset(world, 0, sizeof(*world));
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    ck_assert_int_eq(pipe2(news, O_CLOEXEC), 0);
    if (fork() == 0)
        run_leader(news[1], instance);
    close(news[1]);
    /* At its end all have executed their program, or closed it. */
    while (read(news[0], message, sizeof(message)) == (ssize_t)sizeof(message))
        world->pids[message[0]] = message[1];
    close(news[0]);
    ck_assert_int_eq(procfs_read_stat(world->pids[LEADER], &st), 0);
    world->owner = (struct proctree_owner){
        .service = "web",
        .leader = world->pids[LEADER],
        .leader_start = st.start_ticks,
        .uid = geteuid(),
        .ours = way != WAY_NOT_OURS,
    };
    world->many = way == WAY_MANY;
    proctree_force_scan(way == WAY_SCAN);
}

static bool is_leader(void *ctx, pid_t pid)
{
    const struct world *world = ctx;

    return pid == world->pids[LEADER];
}

static size_t look_as_far_as_can_be(struct world *world)
{
    struct proctree_look *look = proctree_look_new(instance_id(), is_leader, world);

    if (world->many)
        proctree_look_expect(look, MANY);
    size_t n = proctree_find(look, &world->owner, &world->tree);
    proctree_look_free(look);
    return n;
}

static size_t look(struct world *world)
{
    size_t n = look_as_far_as_can_be(world);

    ck_assert_int_eq(world->tree.err, 0);
    return n;
}

static bool has(const struct world *world, enum who who)
{
    const struct proctree_member *member;

    HASH_FIND(by_pid, world->tree.members, &world->pids[who], sizeof(pid_t), member);
    return member != NULL;
}

static void expect(const struct world *world, bool group, bool session, bool away)
{
    ck_assert(!has(world, LEADER));
    ck_assert_int_eq(has(world, OWN_GROUP), group);
    ck_assert_int_eq(has(world, OWN_SESSION), session);
    ck_assert_int_eq(has(world, DAEMON), away);
    ck_assert(!has(world, OTHER_SERVICE));
    ck_assert(!has(world, OTHER_INSTANCE));
}

static void end_leader(const struct world *world)
{
    ck_assert_int_eq(kill(world->pids[LEADER], SIGKILL), 0);
    ck_assert_int_eq(waitpid(world->pids[LEADER], NULL, 0), world->pids[LEADER]);
}

/* All are our children by now. */
static void world_end(struct world *world)
{
    for (enum who who = OWN_GROUP; who < N_WHO; who++) {
        kill(world->pids[who], SIGKILL);
        waitpid(world->pids[who], NULL, 0);
    }
    proctree_clear(&world->tree);
    proctree_force_scan(false);
}

static void forget_found(struct world *world)
{
    proctree_clear(&world->tree);
}

START_TEST(before_and_after_the_end)
{
    struct world world;

    world_make(&world, (enum way)_i);
    procfs_keep_own();
    world.owner.pinned = world.owner.ours;
    ck_assert_uint_eq(look(&world), 3);
    expect(&world, true, true, true);
    end_leader(&world);
    world.owner.pinned = false;
    world.owner.gone = world.owner.ours;
    ck_assert_uint_eq(look(&world), 3);
    expect(&world, true, true, true);

    /* One that was not found while it had a parent, and shows no sign of whose it is, is not. */
    forget_found(&world);
    ck_assert_uint_eq(look(&world), 2);
    expect(&world, true, false, true);
    world_end(&world);
    ck_assert_uint_eq(look(&world), 0);
    forget_found(&world);
    ck_assert_uint_eq(look(&world), 0);
}
END_TEST

/* Is all of /proc read for one that asks, where N are expected to? */
static bool all_are_read(struct world *world, size_t n)
{
    struct proctree_look *look = proctree_look_new(instance_id(), is_leader, world);

    proctree_look_expect(look, n);
    ck_assert(!proctree_look_has_all(look));
    ck_assert_uint_eq(proctree_find(look, &world->owner, &world->tree), 3);
    bool all = proctree_look_has_all(look);
    proctree_look_free(look);
    return all;
}

START_TEST(all_for_many)
{
    struct world world;

    world_make(&world, WAY_CHILDREN);
    ck_assert(!all_are_read(&world, 1));
    ck_assert(all_are_read(&world, MANY));
    expect(&world, true, true, true);
    end_leader(&world);
    world_end(&world);
}
END_TEST

/* Who shows no sign of whose it is, as one that has wiped its environment. */
START_TEST(by_the_cgroup)
{
    char dir[] = "/tmp/test_proctree.XXXXXX";
    char procs[64];
    struct world world;

    world_make(&world, (enum way)_i);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(procs, sizeof procs, "%s/cgroup.procs", dir);
    FILE *fp = fopen(procs, "we");
    ck_assert_ptr_nonnull(fp);
    fprintf(fp, "0\n%d\n%d\n%d\n", (int)world.pids[LEADER], (int)world.pids[OTHER_INSTANCE], INT_MAX);
    ck_assert_int_eq(fclose(fp), 0);

    world.owner.cgroup = dir;
    size_t n = look(&world);
    ck_assert(has(&world, OTHER_INSTANCE) && !has(&world, LEADER) && !has(&world, OTHER_SERVICE));
    /* Of an adopted service nothing else is looked at but what comes of its processes. */
    ck_assert_uint_eq(n, _i == WAY_NOT_OURS ? 3 : 4);
    ck_assert_int_eq(has(&world, DAEMON), _i != WAY_NOT_OURS);

    ck_assert_int_eq(unlink(procs), 0);
    ck_assert_int_eq(rmdir(dir), 0);
    end_leader(&world);
    world_end(&world);
}
END_TEST

/* Whom nobody can look at may be alive: what is left of a service must not be forgotten for want of a descriptor. */
START_TEST(without_a_descriptor)
{
    struct rlimit before;
    struct world world;

    world_make(&world, (enum way)_i);
    end_leader(&world);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t spare = 0; spare < 3; spare++) { /* /proc, what /proc tells of a process, and more of that */
        int next = fcntl(0, F_DUPFD, 0);

        close(next);
        forget_found(&world);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)next + spare, before.rlim_max}), 0);
        size_t n = look_as_far_as_can_be(&world);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert(n > 0 || world.tree.err < 0);
    }
    world_end(&world);
}
END_TEST

START_TEST(each_once)
{
    struct world world;
    int error = 0;

    world_make(&world, (enum way)_i);
    ck_assert_uint_eq(look(&world), 3);
    ck_assert_uint_eq(proctree_signal(&world.tree, SIGTERM, true, world.pids[OWN_GROUP], false, &error), 2);
    ck_assert_uint_eq(proctree_signal(&world.tree, SIGTERM, true, 0, true, &error), 0);
    ck_assert_int_eq(error, 0);
    end_leader(&world);
    ck_assert_int_eq(waitpid(world.pids[OWN_SESSION], NULL, 0), world.pids[OWN_SESSION]);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)world.pids[DAEMON], &info, WEXITED | WNOWAIT), 0);
    /* A zombie is none of those left. */
    ck_assert_uint_eq(look(&world), 1);
    expect(&world, true, false, false);
    ck_assert_uint_eq(proctree_signal(&world.tree, SIGTERM, true, 0, true, &error), 0);
    ck_assert_uint_eq(proctree_signal(&world.tree, SIGTERM, true, 0, false, &error), 1);
    world_end(&world);
}
END_TEST

START_TEST(number_used_again)
{
    struct world world;

    world_make(&world, (enum way)_i);
    world.owner.leader_start--;
    ck_assert_uint_eq(look(&world), 1);
    expect(&world, false, false, true);
    world.owner.leader_start++;
    world.owner.alone = true;
    world.owner.leader = world.pids[OWN_SESSION];
    ck_assert_uint_eq(look(&world), 1);
    world.owner.service = "nobody";
    forget_found(&world);
    ck_assert_uint_eq(look(&world), 0);
    end_leader(&world);
    world_end(&world);
}
END_TEST

START_TEST(another_user)
{
    struct world world;

    if (geteuid() != 0)
        return;
    world_make(&world, (enum way)_i);
    end_leader(&world);
    /* Root may carry anybody's variables: he need not be asked for the right to signal. */
    world.owner.uid = 12345;
    ck_assert_uint_eq(look(&world), 2);
    expect(&world, true, false, true);
    world_end(&world);
}
END_TEST

/* Each lives but for a moment, and its child has left the session by then. */
static _Noreturn void run_chain(void)
{
    time_t end = time(NULL) + CHAIN_SECONDS;

    while (time(NULL) < end) {
        pid_t child = fork();

        if (child > 0)
            _exit(0);
        if (child == 0)
            setsid();
    }
    _exit(0);
}

/* CTX: the leader, whose number is to remain its own. */
static void reap(void *ctx, pid_t pid)
{
    if (pid != *(pid_t *)ctx)
        waitpid(pid, NULL, WNOHANG);
}

/* Its leader, the first of it. */
static pid_t start_chain(void)
{
    const char *instance = instance_id();
    char *argv[] = {"/proc/self/exe", NULL};
    char buf[3][64];
    char *env[5] = {NULL};

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    setsid();
    make_environment(buf, env, instance, "web", getpid());
    env[3] = CHAIN "=1";
    execve(argv[0], argv, env);
    _exit(1);
}

static void end_all(struct world *world)
{
    int err = 0;
    size_t n;

    do {
        n = look_as_far_as_can_be(world);
        proctree_signal(&world->tree, SIGKILL, false, 0, false, &err);
        procfs_each_child(getpid(), reap, &world->pids[LEADER]);
    } while (n > 0 || world->tree.err < 0);
    proctree_clear(&world->tree);
}

/* However fast they follow one another, it is never said that nobody is left. */
START_TEST(a_chain_of_processes)
{
    struct world world = {0};
    struct procfs_stat st;
    pid_t leader = start_chain();

    world.pids[LEADER] = leader;
    while (procfs_read_stat(leader, &st) == 0 && !procfs_is_dead(&st))
        usleep(1000);
    world.owner =
        (struct proctree_owner){.service = "web", .leader = leader, .leader_start = st.start_ticks, .ours = true};
    time_t end = time(NULL) + LOOK_SECONDS;
    for (int i = 0; i < CHAIN_LOOKS && time(NULL) < end; i++) {
        size_t n = look_as_far_as_can_be(&world);
        ck_assert_msg(n > 0 || world.tree.err < 0, "nobody was found at look %d", i);
        procfs_each_child(getpid(), reap, &leader);
    }
    end_all(&world);
    waitpid(leader, NULL, 0);
}
END_TEST

START_TEST(words)
{
    struct world world;
    int pidfds[2];
    char want[64];
    char buf[256];

    world_make(&world, WAY_CHILDREN);
    end_leader(&world);
    kill(world.pids[OWN_GROUP], SIGKILL);
    ck_assert_int_eq(waitpid(world.pids[OWN_GROUP], NULL, 0), world.pids[OWN_GROUP]);
    ck_assert_uint_eq(look(&world), 1);
    snprintf(want, sizeof(want), "%d (sleep)", (int)world.pids[DAEMON]);
    ck_assert_str_eq(proctree_words(&world.tree, buf, sizeof(buf)), want);
    ck_assert_str_eq(proctree_words(&world.tree, buf, 50), " and 1 more");
    ck_assert_uint_eq(proctree_open(&world.tree, pidfds, 2), 1);
    ck_assert_int_eq(identity_signal(pidfds[0], SIGKILL), 0);
    ck_assert_int_eq(waitpid(world.pids[DAEMON], NULL, 0), world.pids[DAEMON]);
    close(pidfds[0]);
    ck_assert_uint_eq(look(&world), 0);
    world_end(&world);
}
END_TEST

Suite *check_suite(void)
{
    if (getenv(CHAIN) != NULL)
        run_chain();

    Suite *suite = suite_create("proctree");
    TCase *tcase = tcase_create("proctree");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, by_the_cgroup, 0, N_WAYS);
    tcase_add_loop_test(tcase, without_a_descriptor, 0, N_WAYS);
    tcase_add_loop_test(tcase, before_and_after_the_end, 0, N_WAYS);
    tcase_add_loop_test(tcase, each_once, 0, N_WAYS);
    tcase_add_loop_test(tcase, number_used_again, 0, N_WAYS);
    tcase_add_loop_test(tcase, another_user, 0, N_WAYS);
    tcase_add_test(tcase, all_for_many);
    tcase_add_test(tcase, a_chain_of_processes);
    tcase_add_test(tcase, words);
    suite_add_tcase(suite, tcase);
    return suite;
}
