/* SPDX-License-Identifier: MIT */
/*
 * The cgroups of services: on a tree of plain files, which shows what is read and written where, and on the real
 * hierarchy where we may make cgroups.
 */
#include "os/cgroup.h"
#include "os/cgroup_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "check_main.h"

#define ID "0123456789abcdef0123456789abcdef"
#define DEADLINE 30000 /* ms */

static char base[40];
static struct cgroup_tree tree;

static char *path_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Below the test's own directory; one at a time. */
static char *path_of(const char *fmt, ...)
{
    static char path[512];
    va_list ap;

    int n = snprintf(path, sizeof path, "%s/", base);
    va_start(ap, fmt);
    vsnprintf(path + n, sizeof path - (size_t)n, fmt, ap);
    va_end(ap);
    return path;
}

static void put(const char *path, const char *text)
{
    FILE *fp = fopen(path, "we");

    ck_assert_ptr_nonnull(fp);
    ck_assert_int_ge(fputs(text, fp), 0);
    ck_assert_int_eq(fclose(fp), 0);
}

static const char *get(const char *path)
{
    static char text[512];
    FILE *fp = fopen(path, "re");

    ck_assert_ptr_nonnull(fp);
    size_t n = fread(text, 1, sizeof text - 1, fp);
    fclose(fp);
    text[n] = '\0';
    return text;
}

static void make(const char *path)
{
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

/* A cgroup of plain files. */
static void fake_cgroup(const char *path, const char *controllers)
{
    static const char *const files[] = {"cgroup.procs", "cgroup.subtree_control", "cgroup.freeze", "cgroup.kill"};
    char file[600];

    make(path);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(file, sizeof file, "%s/%s", path, files[i]);
        put(file, "");
    }
    snprintf(file, sizeof file, "%s/cgroup.controllers", path);
    put(file, controllers);
}

static void setup(void)
{
    strcpy(base, "/tmp/test_cgroup.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    make(path_of("proc"));
    make(path_of("proc/self"));
    put(path_of("proc/self/cgroup"), "2:cpu:/elsewhere\n0::/host/home\n");
    char line[512];
    snprintf(line, sizeof line,
             "30 20 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
             "31 20 0:26 /host %s/a\\040mount rw,relatime shared:9 - cgroup2 cgroup2 rw\n",
             base);
    put(path_of("proc/self/mountinfo"), line);
    make(path_of("a mount"));
    fake_cgroup(path_of("a mount/home"), "cpu memory pids\n");
    fake_cgroup(path_of("a mount/home/supd-" ID), "memory\n");
    fake_cgroup(path_of("a mount/home/supd-" ID "/web.service"), "");
}

static void teardown(void)
{
    char command[64];

    cgroup_tree_close(&tree);
    snprintf(command, sizeof command, "rm -r %s", base);
    ck_assert_int_eq(system(command), 0);
}

static void open_tree(void)
{
    ck_assert_msg(cgroup_tree_open(&tree, path_of("proc"), ID), "%s", tree.reason);
}

START_TEST(finds_its_home_by_the_mount_that_shows_it)
{
    open_tree();
    ck_assert_str_eq(tree.home, path_of("a mount/home"));
    ck_assert_str_eq(tree.path, path_of("a mount/home/supd-" ID));
    char *service = cgroup_tree_service(&tree, "web");
    ck_assert_str_eq(service, path_of("a mount/home/supd-" ID "/web.service"));
    free(service);
}
END_TEST

START_TEST(says_what_is_missing)
{
    put(path_of("proc/self/cgroup"), "2:cpu:/elsewhere\n");
    ck_assert(!cgroup_tree_open(&tree, path_of("proc"), ID));
    ck_assert_str_eq(tree.reason, "the kernel has no cgroup v2");
    cgroup_tree_close(&tree);

    put(path_of("proc/self/cgroup"), "0::/../sibling\n");
    ck_assert(!cgroup_tree_open(&tree, path_of("proc"), ID));
    ck_assert_ptr_nonnull(strstr(tree.reason, "outside of its cgroup namespace"));
    cgroup_tree_close(&tree);

    put(path_of("proc/self/cgroup"), "0::/other/home\n");
    ck_assert(!cgroup_tree_open(&tree, path_of("proc"), ID));
    ck_assert_str_eq(tree.reason, "no cgroup v2 hierarchy is mounted");
    ck_assert_ptr_null(cgroup_tree_service(&tree, "web"));
}
END_TEST

START_TEST(enables_controllers_above_and_in_the_tree)
{
    open_tree();
    ck_assert(tree.enabled[CGROUP_MEMORY] && tree.enabled[CGROUP_PIDS]);
    ck_assert(!tree.enabled[CGROUP_CPU]); /* nobody has asked for it */
    /* A plain file keeps the last write. */
    ck_assert_str_eq(get(path_of("a mount/home/cgroup.subtree_control")), "+pidsry");
    ck_assert_str_eq(get(path_of("a mount/home/supd-" ID "/cgroup.subtree_control")), "+pidsry");

    ck_assert(cgroup_tree_enable(&tree, CGROUP_CPU));
    ck_assert(!cgroup_tree_enable(&tree, CGROUP_IO));
    ck_assert_ptr_nonnull(strstr(tree.why[CGROUP_IO], "there is no controller 'io' in "));
}
END_TEST

START_TEST(leaves_alone_what_is_enabled)
{
    put(path_of("a mount/home/cgroup.subtree_control"), "cpu memory pids\n");
    open_tree();
    ck_assert(tree.enabled[CGROUP_MEMORY]);
    ck_assert_str_eq(get(path_of("a mount/home/cgroup.subtree_control")), "cpu memory pids\n");
}
END_TEST

START_TEST(names_the_controller_that_cannot_be_enabled)
{
    ck_assert_int_eq(unlink(path_of("a mount/home/cgroup.subtree_control")), 0);
    open_tree();
    ck_assert(!tree.enabled[CGROUP_MEMORY]);
    ck_assert_ptr_nonnull(strstr(tree.why[CGROUP_MEMORY], "the controller 'memory' cannot be enabled in "));
}
END_TEST

START_TEST(goes_below_its_home_only_where_it_is_alone)
{
    char pid[32];

    put(path_of("a mount/home/cgroup.events"), "populated 1\nfrozen 0\n");
    snprintf(pid, sizeof pid, "%d\n1\n", (int)getpid());
    put(path_of("a mount/home/cgroup.procs"), pid);
    open_tree();
    ck_assert_int_eq(access(path_of("a mount/home/supd"), F_OK), -1);
    cgroup_tree_close(&tree);

    snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    put(path_of("a mount/home/cgroup.procs"), pid);
    fake_cgroup(path_of("a mount/home/supd"), "");
    open_tree();
    ck_assert_str_eq(get(path_of("a mount/home/supd/cgroup.procs")), "0");
    cgroup_tree_close(&tree);

    /* Once it is there, HOME is what it was. */
    put(path_of("proc/self/cgroup"), "0::/host/home/supd\n");
    open_tree();
    ck_assert_str_eq(tree.home, path_of("a mount/home"));
}
END_TEST

START_TEST(knows_the_cgroup_of_a_process)
{
    static const struct {
        const char *cgroup;
        const char *want; /* below "a mount" */
    } cases[] = {
        {"0::/host/home/supd-" ID "/web.service\n", "home/supd-" ID "/web.service"},
        {"0::/host/home/supd-" ID "/web.service/below\n", "home/supd-" ID "/web.service"},
        {"0::/host/old/supd-" ID "/web.service\n", "old/supd-" ID "/web.service"},
        {"0::/host/home/supd-" ID "/web.service2\n", NULL},
        {"0::/host/home/supd-" ID "/db.service\n", NULL},
        {"0::/host/home/supd-fedcba9876543210fedcba9876543210/web.service\n", NULL},
        {"0::/host/home/web.service\n", NULL},
        {"0::/hidden/supd-" ID "/web.service\n", NULL},
        {"1:cpu:/host/home/supd-" ID "/web.service\n", NULL},
    };

    open_tree();
    make(path_of("proc/4711"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(path_of("proc/4711/cgroup"), cases[i].cgroup);
        char *path = cgroup_tree_of_process(&tree, 4711, "web");
        if (cases[i].want != NULL)
            ck_assert_str_eq(path, path_of("a mount/%s", cases[i].want));
        else
            ck_assert_ptr_null(path);
        free(path);
    }

    /* Not one that supd itself is in: it would end with the service. */
    put(path_of("proc/4711/cgroup"), cases[0].cgroup);
    put(path_of("proc/self/cgroup"), "0::/host/home/supd-" ID "/web.service/below\n");
    ck_assert_ptr_null(cgroup_tree_of_process(&tree, 4711, "web"));
}
END_TEST

static void count_name(void *ctx, const char *name)
{
    ck_assert_str_eq(name, "web");
    (*(unsigned *)ctx)++;
}

START_TEST(lists_the_directories_of_services)
{
    unsigned n = 0;

    open_tree();
    make(path_of("a mount/home/supd-" ID "/not-ours"));
    cgroup_tree_each(&tree, count_name, &n);
    ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(reads_numbers)
{
    uint64_t value = 7;
    char text[64];

    open_tree();
    char *web = cgroup_tree_service(&tree, "web");
    put(path_of("a mount/home/supd-" ID "/web.service/memory.max"), "max\n");
    ck_assert_int_eq(cgroup_read_number(web, "memory.max", &value), -ERANGE);
    ck_assert_int_eq(cgroup_read(web, "memory.max", text, sizeof text), 0);
    ck_assert_str_eq(text, "max");
    ck_assert_int_eq(cgroup_read_number(web, "memory.high", &value), -ENOENT);
    put(path_of("a mount/home/supd-" ID "/web.service/memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 5\n");
    ck_assert_uint_eq(cgroup_oom_kills(web), 2);
    ck_assert_int_eq(cgroup_read_key(web, "memory.events", "oo", &value), -ENODATA);
    ck_assert_uint_eq(value, 7);
    ck_assert_int_eq(cgroup_write(web, "memory.max", "64"), 0);
    ck_assert_int_eq(cgroup_write(web, "cpu.max", "max"), -ENOENT);
    ck_assert_int_eq(access(path_of("a mount/home/supd-" ID "/web.service/cpu.max"), F_OK), -1);
    free(web);
}
END_TEST

START_TEST(reads_usage_and_pressure)
{
    struct cgroup_usage usage;
    struct cgroup_pressure pressure;

    open_tree();
    char *web = cgroup_tree_service(&tree, "web");
    cgroup_read_usage(web, &usage);
    ck_assert(!usage.has_memory && !usage.has_cpu && !usage.has_tasks);
    ck_assert(!cgroup_read_pressure(web, "memory", &pressure));

    put(path_of("a mount/home/supd-" ID "/web.service/memory.current"), "7340032\n");
    put(path_of("a mount/home/supd-" ID "/web.service/cpu.stat"), "usage_usec 2500000\nuser_usec 1\n");
    put(path_of("a mount/home/supd-" ID "/web.service/pids.current"), "5\n");
    cgroup_read_usage(web, &usage);
    ck_assert(usage.has_memory && usage.memory == 7340032);
    ck_assert(usage.has_cpu && usage.cpu > 2490000 && usage.cpu < 2510000);
    ck_assert(usage.has_tasks && usage.tasks == 5);

    put(path_of("a mount/home/supd-" ID "/web.service/memory.pressure"),
        "some avg10=1.50 avg60=2.00 avg300=3.25 total=9\nfull avg10=0.50 avg60=0.25 avg300=0.00 total=1\n");
    ck_assert(cgroup_read_pressure(web, "memory", &pressure));
    ck_assert(pressure.some10 == 1.5 && pressure.some60 == 2 && pressure.some300 == 3.25);
    ck_assert(pressure.full10 == 0.5 && pressure.full60 == 0.25 && pressure.full300 == 0);
    free(web);
}
END_TEST

START_TEST(reads_totals)
{
    struct cgroup_totals totals;

    open_tree();
    char *web = cgroup_tree_service(&tree, "web");
    cgroup_read_totals(web, &totals);
    ck_assert(!totals.has_cpu && !totals.has_memory_peak && !totals.has_io);

    put(path_of("a mount/home/supd-" ID "/web.service/cpu.stat"), "usage_usec 30\nuser_usec 10\nsystem_usec 20\n");
    put(path_of("a mount/home/supd-" ID "/web.service/memory.peak"), "4096\n");
    put(path_of("a mount/home/supd-" ID "/web.service/io.stat"),
        "8:16 rbytes=100 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n253:0 \n8:0 rbytes=1 wbytes=2 rios=1 wios=1\n");
    cgroup_read_totals(web, &totals);
    ck_assert(totals.has_cpu && totals.cpu_user == 10 && totals.cpu_system == 20);
    ck_assert(totals.has_memory_peak && totals.memory_peak == 4096);
    ck_assert(totals.has_io && totals.io_read == 101 && totals.io_written == 22);

    ck_assert(!cgroup_is_inner(web));
    put(path_of("a mount/home/supd-" ID "/web.service/cgroup.subtree_control"), "memory\n");
    ck_assert(cgroup_is_inner(web));
    free(web);
}
END_TEST

START_TEST(finds_what_was_made_in_another_place)
{
    open_tree();
    char *path = cgroup_tree_find_service(&tree, "web");
    ck_assert_str_eq(path, path_of("a mount/home/supd-" ID "/web.service"));
    free(path);
    ck_assert_ptr_null(cgroup_tree_find_service(&tree, "old"));
    cgroup_tree_close(&tree);

    make(path_of("a mount/old"));
    make(path_of("a mount/old/supd-" ID));
    make(path_of("a mount/old/supd-" ID "/old.service"));
    make(path_of("a mount/old/supd-fedcba9876543210fedcba9876543210"));
    make(path_of("a mount/old/supd-fedcba9876543210fedcba9876543210/else.service"));
    ck_assert(cgroup_tree_find(&tree, path_of("proc"), ID));
    path = cgroup_tree_find_service(&tree, "old");
    ck_assert_str_eq(path, path_of("a mount/old/supd-" ID "/old.service"));
    free(path);
    ck_assert_ptr_null(cgroup_tree_find_service(&tree, "else"));
}
END_TEST

/* Where somebody needs them, and where he has not enabled them himself. */
START_TEST(takes_away_only_controllers_that_nobody_needs)
{
    static const struct {
        const char *others; /* "populated N": those of another cgroup in HOME */
        const char *before;
        bool taken;
    } cases[] = {{"populated 0\n", "", true}, {"populated 1\n", "", false}, {"populated 0\n", "memory pids\n", false}};
    char command[128];

    make(path_of("a mount/home/other"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        /* A directory that can be removed, as one of a cgroup can in spite of its files. */
        snprintf(command, sizeof command, "rm -rf '%s'", path_of("a mount/home/supd-" ID));
        ck_assert_int_eq(system(command), 0);
        put(path_of("a mount/home/other/cgroup.events"), cases[i].others);
        put(path_of("a mount/home/cgroup.subtree_control"), cases[i].before);
        open_tree();
        cgroup_tree_close(&tree);
        const char *left = get(path_of("a mount/home/cgroup.subtree_control"));
        ck_assert_msg((left[0] == '-') == cases[i].taken, "case %zu: %s", i, left);
    }
}
END_TEST

/* ---- on the real hierarchy ---- */

static char *real;

static void real_setup(void)
{
    char id[33];

    snprintf(id, sizeof id, "test%028d", (int)getpid());
    if (cgroup_tree_open(&tree, "/proc", id)) {
        real = cgroup_tree_service(&tree, "real");
        ck_assert_int_eq(cgroup_make(real), 0);
    } else {
        fprintf(stderr, "# no cgroups for us here: %s\n", tree.reason);
    }
}

static void real_teardown(void)
{
    if (real != NULL) {
        cgroup_signal(real, SIGKILL);
        while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
            ;
        ck_assert_int_eq(cgroup_tree_remove(&tree, real), 0);
        free(real);
        real = NULL;
    }
    cgroup_tree_close(&tree);
}

/* A child in the cgroup PATH that ignores SIGTERM where DEAF is true. */
static pid_t member(const char *path, bool deaf)
{
    int ready[2];
    char byte;

    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        signal(SIGTERM, deaf ? SIG_IGN : SIG_DFL);
        if (cgroup_write(path, "cgroup.procs", "0") == 0 && write(ready[1], "r", 1) == 1) {
            for (;;)
                pause();
        }
        _exit(1);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void expect_killed(pid_t pid, int signo)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), signo);
}

START_TEST(signals_all_of_it_and_below)
{
    if (real == NULL)
        return;
    ck_assert_int_eq(cgroup_signal(real, SIGTERM), -ESRCH);
    char *below = xasprintf("%s/below", real);
    ck_assert_int_eq(cgroup_make(below), 0);
    pid_t one = member(real, false);
    pid_t two = member(below, false);
    pid_t deaf = member(below, true);

    ck_assert(cgroup_populated(real));
    ck_assert_int_eq(cgroup_signal(real, SIGTERM), 0);
    expect_killed(one, SIGTERM);
    expect_killed(two, SIGTERM);
    ck_assert(cgroup_populated(real));
    ck_assert_int_eq(cgroup_remove(real), -EBUSY);
    ck_assert_int_eq(cgroup_signal(real, SIGKILL), 0);
    expect_killed(deaf, SIGKILL);
    ck_assert(!cgroup_populated(real));
    free(below);
}
END_TEST

START_TEST(kills_without_the_switch_of_newer_kernels)
{
    if (real == NULL)
        return;
    pid_t one = member(real, true);
    pid_t two = member(real, true);

    cgroup_pretend_no_kill(true);
    ck_assert_int_eq(cgroup_signal(real, SIGKILL), 0);
    cgroup_pretend_no_kill(false);
    expect_killed(one, SIGKILL);
    expect_killed(two, SIGKILL);
}
END_TEST

START_TEST(opens_the_members)
{
    int fds[2] = {-1, -1};

    if (real == NULL)
        return;
    ck_assert_uint_eq(cgroup_open_members(real, fds, 2), 0);
    member(real, false);
    member(real, false);
    member(real, false);
    ck_assert_uint_eq(cgroup_open_members(real, fds, 2), 3);
    ck_assert_int_eq(cgroup_signal(real, SIGKILL), 0);
    for (int i = 0; i < 2; i++) {
        struct pollfd end = {.fd = fds[i], .events = POLLIN};
        ck_assert_int_eq(poll(&end, 1, DEADLINE), 1);
        close(fds[i]);
    }
}
END_TEST

START_TEST(freezes_and_kills_what_is_frozen)
{
    if (real == NULL)
        return;
    pid_t pid = member(real, false);

    ck_assert(!cgroup_frozen(real));
    ck_assert_int_eq(cgroup_freeze(real, true), 0);
    ck_assert(cgroup_frozen(real));
    ck_assert_int_eq(cgroup_freeze(real, false), 0);
    ck_assert(!cgroup_frozen(real));
    ck_assert_int_eq(cgroup_freeze(real, true), 0);
    ck_assert_int_eq(cgroup_signal(real, SIGKILL), 0);
    expect_killed(pid, SIGKILL);
}
END_TEST

START_TEST(knows_a_real_process)
{
    if (real == NULL)
        return;
    pid_t pid = member(real, false);
    char *path = cgroup_tree_of_process(&tree, pid, "real");
    ck_assert_str_eq(path, real);
    free(path);
    ck_assert_ptr_null(cgroup_tree_of_process(&tree, getpid(), "real"));
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("cgroup");
    TCase *fake = tcase_create("files");
    TCase *kernel = tcase_create("kernel");

    tcase_add_checked_fixture(fake, setup, teardown);
    tcase_add_test(fake, finds_its_home_by_the_mount_that_shows_it);
    tcase_add_test(fake, says_what_is_missing);
    tcase_add_test(fake, enables_controllers_above_and_in_the_tree);
    tcase_add_test(fake, leaves_alone_what_is_enabled);
    tcase_add_test(fake, names_the_controller_that_cannot_be_enabled);
    tcase_add_test(fake, goes_below_its_home_only_where_it_is_alone);
    tcase_add_test(fake, knows_the_cgroup_of_a_process);
    tcase_add_test(fake, lists_the_directories_of_services);
    tcase_add_test(fake, reads_numbers);
    tcase_add_test(fake, reads_usage_and_pressure);
    tcase_add_test(fake, reads_totals);
    tcase_add_test(fake, finds_what_was_made_in_another_place);
    tcase_add_test(fake, takes_away_only_controllers_that_nobody_needs);
    suite_add_tcase(suite, fake);

    tcase_add_checked_fixture(kernel, real_setup, real_teardown);
    tcase_add_test(kernel, signals_all_of_it_and_below);
    tcase_add_test(kernel, kills_without_the_switch_of_newer_kernels);
    tcase_add_test(kernel, opens_the_members);
    tcase_add_test(kernel, freezes_and_kills_what_is_frozen);
    tcase_add_test(kernel, knows_a_real_process);
    suite_add_tcase(suite, kernel);
    return suite;
}
