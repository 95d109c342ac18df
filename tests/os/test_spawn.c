/* SPDX-License-Identifier: MIT */
#include "os/spawn.h"

#include <linux/capability.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include "core/record.h"
#include "os/cgroup.h"
#include "os/cgroup_tree.h"
#include "os/identity.h"
#include "os/procfs.h"
#include "os/spawn_share.h"
#include "tests/os/spawn_bench.h"

static bool has_line(const struct bench *bench, const char *line)
{
    size_t len = strlen(line);

    for (const char *p = bench->output; p != NULL; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, line, len) == 0 && (p[len] == '\n' || p[len] == '\0'))
            return true;
        if (*p == '\0')
            return false;
    }
    return false;
}

static void set_user(struct bench *bench, const char *name)
{
    struct spec *spec = bench->spec;
    const struct passwd *pw = getpwnam(name);

    ck_assert_ptr_nonnull(pw);
    spec_own_exec(spec)->user = xstrdup(name);
    spec_own_exec(spec)->ids = (struct spec_ids){
        .set = true,
        .uid = pw->pw_uid,
        .gid = pw->pw_gid,
        .user_name = xstrdup(name),
        .home = xstrdup("/srv/home"),
        .shell = xstrdup("/bin/shell"),
    };
}

START_TEST(recorded_before_it_runs)
{
    struct bench bench;
    struct stat st;

    setup(&bench, "cat \"$STATE\" >&2; exec sleep 1000");
    char *state = in_dir(&bench, "state");
    char *assignment = xasprintf("STATE=%s", state);
    spec_own_place(bench.spec)->environment = strv_env_set(spec_own_place(bench.spec)->environment, assignment);
    start(&bench);
    await_report(&bench);
    ck_assert_int_eq(bench.outcome, SPAWN_CLOSED);

    struct procfs_stat proc;
    ck_assert_int_eq(procfs_read_stat(bench.child.pid, &proc), 0);
    ck_assert_int_eq(proc.session, bench.child.pid);
    ck_assert_int_eq(proc.pgrp, bench.child.pid);

    ck_assert_int_eq(fstat(bench.req.state_fd, &st), 0);
    ck_assert_uint_eq((size_t)st.st_size, bench.req.record_len);
    uint8_t data[RECORD_MAX];
    ck_assert_int_eq(pread(bench.req.state_fd, data, sizeof(data), 0), st.st_size);
    struct replay *replay = replay_new(data, (size_t)st.st_size);
    const struct svc_image *image = replay_find(replay, "web");
    ck_assert_ptr_nonnull(image);
    ck_assert(image->has_process);
    ck_assert_int_eq(image->svc.proc.pid, bench.child.pid);
    ck_assert_uint_eq(image->svc.proc.start_ticks, proc.start_ticks);
    replay_free(replay);

    ck_assert_int_eq(identity_signal(bench.child.pidfd, SIGKILL), 0);
    await_end(&bench);
    ck_assert_int_eq(WTERMSIG(bench.status), SIGKILL);
    free(assignment);
    free(state);
    teardown(&bench);
}
END_TEST

/* The first child asks /proc for its start, and later ones the clock, over the end of some ticks. */
START_TEST(recorded_start_is_that_of_proc)
{
    struct bench bench;
    uint8_t data[RECORD_MAX];
    off_t at = 0;
    unsigned told = 0;

    setup(&bench, "exec sleep 1000");
    for (int i = 0; i < 40; i++, at += (off_t)bench.req.record_len) {
        struct procfs_stat proc;

        start(&bench);
        await_report(&bench);
        ck_assert_int_eq(bench.outcome, SPAWN_CLOSED);
        ck_assert_int_eq(procfs_read_stat(bench.child.pid, &proc), 0);
        ck_assert(bench.child.start_ticks == 0 || bench.child.start_ticks == proc.start_ticks);
        told += bench.child.start_ticks != 0;
        ck_assert_int_eq(pread(bench.req.state_fd, data, sizeof(data), at), (ssize_t)bench.req.record_len);
        struct replay *replay = replay_new(data, bench.req.record_len);
        const struct svc_image *image = replay_find(replay, "web");
        ck_assert_ptr_nonnull(image);
        ck_assert_int_eq(image->svc.proc.pid, bench.child.pid);
        ck_assert_uint_eq(image->svc.proc.start_ticks, proc.start_ticks);
        replay_free(replay);
        ck_assert_int_eq(identity_signal(bench.child.pidfd, SIGKILL), 0);
        await_end(&bench);
    }
    ck_assert_uint_gt(told, 0);
    teardown(&bench);
}
END_TEST

/* Of the mapping that ends where the heap does: is it kept from children? */
static bool heap_is_covered(void)
{
    FILE *fp = fopen("/proc/self/smaps", "re");
    uintptr_t last = (uintptr_t)sbrk(0) - 1;
    bool within = false;
    bool covered = false;
    char line[512];

    ck_assert_ptr_nonnull(fp);
    while (fgets(line, sizeof(line), fp) != NULL) {
        unsigned long long from;
        unsigned long long to;

        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            within = from <= last && last < to;
        else if (within && strncmp(line, "VmFlags:", 8) == 0)
            covered = strstr(line, " dc") != NULL;
    }
    fclose(fp);
    return covered;
}

/* A child that would allocate something gets the heap, any other does not; and what each is given is the same. */
START_TEST(heap_is_for_those_that_need_it)
{
    struct bench bench;

    /* What make(1) hands down may be more than there is room for. */
    clearenv();
    setenv("PATH", "/usr/bin:/bin", 1);
    setup(&bench, "env");
    void *block = malloc(64 * 1024); /* so there is a heap of ours, where malloc(3) has one */
    bool has_heap =
        sbrk(0) != NULL && (uintptr_t)block < (uintptr_t)sbrk(0) && (uintptr_t)block + 1024 * 1024 > (uintptr_t)sbrk(0);
    spec_own_place(bench.spec)->environment = strv_env_set(NULL, "LAST=0");
    run(&bench);
    ck_assert(has_line(&bench, "LAST=0"));
    ck_assert_int_eq(heap_is_covered(), has_heap);

    /* More than there is room for. */
    for (int i = 1; i <= 300; i++) {
        char *assignment = xasprintf("V%d=%0*d", i, 100, i);
        spec_own_place(bench.spec)->environment = strv_env_set(spec_own_place(bench.spec)->environment, assignment);
        free(assignment);
    }
    spec_own_place(bench.spec)->environment = strv_env_set(spec_own_place(bench.spec)->environment, "LAST=301");
    run(&bench);
    ck_assert(has_line(&bench, "LAST=301"));
    ck_assert_ptr_nonnull(strstr(bench.output, "\nV300="));
    ck_assert(!heap_is_covered());

    strv_free(bench.spec->place->environment);
    spec_own_place(bench.spec)->environment = strv_env_set(NULL, "LAST=1");
    run(&bench);
    ck_assert(has_line(&bench, "LAST=1"));
    ck_assert_int_eq(heap_is_covered(), has_heap);
    free(block);
    teardown(&bench);
}
END_TEST

START_TEST(no_record_no_exec)
{
    struct bench bench;

    setup(&bench, "echo ran");
    int good = bench.req.state_fd;
    bench.req.state_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    run_failing(&bench, "record: No space left on device", 1);
    expect_no_output(&bench);
    close(bench.req.state_fd);

    bench.req.state_fd = 9999;
    run_failing(&bench, "record: Bad file descriptor", 1);

    /* A file that may grow by a part of the record only, so a short write.  Check itself writes files too: be quick. */
    bench.req.state_fd = good;
    struct rlimit before;
    char err[128];
    getrlimit(RLIMIT_FSIZE, &before);
    struct rlimit limit = {.rlim_cur = bench.req.record_len - 1, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    bool made = spawn_process(&bench.req, &bench.child, err, sizeof(err));
    setrlimit(RLIMIT_FSIZE, &before);
    ck_assert(made);
    await_report(&bench);
    ck_assert_int_eq(bench.outcome, SPAWN_FAILED);
    ck_assert_str_eq(bench.text, "record: No space left on device");
    await_end(&bench);
    ck_assert_int_eq(WEXITSTATUS(bench.status), 1);
    teardown(&bench);
}
END_TEST

START_TEST(environment_of_a_service)
{
    struct bench bench;

    ck_assert_int_eq(setenv("NOTIFY_SOCKET", "/run/x", 1), 0);
    setenv("WATCHDOG_USEC", "1", 1);
    setenv("LISTEN_FDNAMES", "a", 1);
    setenv("JOURNAL_STREAM", "1:2", 1);
    setenv("INVOCATION_ID", "x", 1);
    setenv("SUPD_SOCKET", "x", 1);
    setenv("INVOCATION_IDS", "kept", 1);
    setenv("FROM_SUPD", "1", 1);
    setenv("OVER", "supd", 1);
    setenv("HOME", "/root", 1);
    setup(&bench, "env; echo PID $$");

    char *env_file = in_dir(&bench, "env");
    FILE *fp = fopen(env_file, "we");
    fputs("# comment\nFILE=\"a b\"\nOVER=file\nSUPD_SERVICE=forged\n", fp);
    ck_assert_int_eq(fclose(fp), 0);
    spec_own_place(bench.spec)->environment_files = strv_push(NULL, xasprintf("-%s/none", bench.dir));
    spec_own_place(bench.spec)->environment_files =
        strv_push(spec_own_place(bench.spec)->environment_files, xstrdup(env_file));
    spec_own_place(bench.spec)->environment = strv_env_set(NULL, "OVER=environment");
    spec_own_place(bench.spec)->environment = strv_env_set(spec_own_place(bench.spec)->environment, "OWN=${X} $Y");
    run(&bench);

    ck_assert(has_line(&bench, "FROM_SUPD=1"));
    ck_assert(has_line(&bench, "INVOCATION_IDS=kept"));
    ck_assert(has_line(&bench, "HOME=/root"));
    ck_assert(has_line(&bench, "FILE=a b"));
    ck_assert(has_line(&bench, "OVER=file"));
    ck_assert(has_line(&bench, "OWN=${X} $Y"));
    ck_assert(has_line(&bench, "SUPD_SERVICE=web"));
    ck_assert(has_line(&bench, "SUPD_INSTANCE=0123abcd"));
    char line[64];
    snprintf(line, sizeof(line), "SUPD_EXEC_PID=%d", (int)bench.child.pid);
    ck_assert(has_line(&bench, line));
    static const char *const gone[] = {"NOTIFY_SOCKET",  "WATCHDOG_",      "LISTEN_",
                                       "JOURNAL_STREAM", "INVOCATION_ID=", "SUPD_SOCKET"};
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        ck_assert_ptr_null(strstr(bench.output, gone[i]));
    free(env_file);
    teardown(&bench);
}
END_TEST

START_TEST(environment_file_errors)
{
    struct bench bench;
    char want[256];

    setup(&bench, "true");
    char *path = in_dir(&bench, "env");
    spec_own_place(bench.spec)->environment_files = strv_push(NULL, xstrdup(path));
    snprintf(want, sizeof(want), "environment-file %s: No such file or directory", path);
    run_failing(&bench, want, 1);

    FILE *fp = fopen(path, "we");
    fputs("A=1\n\nnonsense\n", fp);
    ck_assert_int_eq(fclose(fp), 0);
    start(&bench);
    await_report(&bench);
    ck_assert_int_eq(bench.outcome, SPAWN_FAILED);
    snprintf(want, sizeof(want), "environment-file %s:3: ", path);
    ck_assert_msg(strncmp(bench.text, want, strlen(want)) == 0, "%s", bench.text);
    await_end(&bench);
    unlink(path);

    free(bench.spec->place->environment_files[0]);
    bench.spec->place->environment_files[0] = xstrdup("/dev/zero");
    run_failing(&bench, "environment-file /dev/zero: File too large", 1);
    free(path);
    teardown(&bench);
}
END_TEST

START_TEST(user_directory_umask)
{
    struct bench bench;
    char want[256];

    if (geteuid() != 0)
        return;
    setup(&bench, "id -u; id -ru; id -G; pwd; umask; env; grep -E '^(Uid|Gid|Groups):' /proc/self/status");
    const struct passwd *nobody = getpwnam("nobody");
    ck_assert_ptr_nonnull(nobody);
    unsigned uid = nobody->pw_uid;
    unsigned gid = nobody->pw_gid;
    set_user(&bench, "nobody");
    spec_own_exec(bench.spec)->ids.groups = xcalloc(2, sizeof(uint32_t));
    bench.spec->exec->ids.groups[0] = gid;
    bench.spec->exec->ids.groups[1] = 54321;
    spec_own_exec(bench.spec)->ids.n_groups = 2;
    spec_own_exec(bench.spec)->umask = 027;

    /* A directory that only this user may enter: changed to after the ids. */
    char *sub = in_dir(&bench, "sub");
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    ck_assert_int_eq(chown(sub, uid, gid), 0);
    spec_own_place(bench.spec)->directory = xstrdup(sub);

    /* And a file that only root may read. */
    char *env_file = in_dir(&bench, "env");
    int fd = open(env_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "SECRET=1\n", 9), 9);
    close(fd);
    spec_own_place(bench.spec)->environment_files = strv_push(NULL, xstrdup(env_file));
    run(&bench);

    snprintf(want, sizeof(want), "Uid:\t%u\t%u\t%u\t%u", uid, uid, uid, uid);
    ck_assert(has_line(&bench, want));
    snprintf(want, sizeof(want), "Gid:\t%u\t%u\t%u\t%u", gid, gid, gid, gid);
    ck_assert(has_line(&bench, want));
    snprintf(want, sizeof(want), "%u 54321", gid);
    ck_assert(has_line(&bench, want));
    ck_assert(has_line(&bench, sub));
    ck_assert(has_line(&bench, "0027"));
    ck_assert(has_line(&bench, "SECRET=1"));
    ck_assert(has_line(&bench, "USER=nobody"));
    ck_assert(has_line(&bench, "LOGNAME=nobody"));
    ck_assert(has_line(&bench, "HOME=/srv/home"));
    ck_assert(has_line(&bench, "SHELL=/bin/shell"));

    free(env_file);
    free(sub);
    teardown(&bench);
}
END_TEST

START_TEST(uid_without_a_name)
{
    struct bench bench;

    if (geteuid() != 0)
        return;
    setenv("HOME", "/root", 1);
    setenv("USER", "root", 1);
    setup(&bench, "env; id -u");
    spec_own_exec(bench.spec)->user = xstrdup("54321");
    spec_own_exec(bench.spec)->ids = (struct spec_ids){.set = true, .uid = 54321, .gid = 54322};
    run(&bench);
    ck_assert(has_line(&bench, "54321"));
    ck_assert(!has_line(&bench, "HOME=/root"));
    ck_assert(!has_line(&bench, "USER=root"));
    teardown(&bench);
}
END_TEST

START_TEST(failing_steps)
{
    struct bench bench;
    char want[512];

    setup(&bench, "true");
    spec_own_place(bench.spec)->directory = xstrdup("/nowhere/at/all");
    run_failing(&bench, "chdir /nowhere/at/all: No such file or directory", 200);
    free(bench.spec->place->directory);
    spec_own_place(bench.spec)->directory = NULL;

    set_command(&bench, "/nowhere/foo", NULL, NULL);
    run_failing(&bench, "exec /nowhere/foo: No such file or directory", 203);
    set_command(&bench, "/etc/passwd", NULL, NULL);
    run_failing(&bench, "exec /etc/passwd: Permission denied", 203);
    set_command(&bench, "supd-no-such-program", NULL, NULL);
    spec_own_place(bench.spec)->environment =
        strv_env_set(spec_own_place(bench.spec)->environment, "PATH=/usr/bin:/bin");
    run_failing(&bench, "exec supd-no-such-program: No such file or directory (PATH is /usr/bin:/bin)", 203);

    set_script(&bench, "true");
    bench.req.log_fifo = "/nowhere/log";
    run_failing(&bench, "log /nowhere/log: No such file or directory", 209);
    bench.req.log_fifo = bench.out;
    set_log(&spec_own_logs(bench.spec)->log_error, LOG_KIND_FILE, "/log/err");
    bench.req.error_fifo = bench.dir;
    snprintf(want, sizeof(want), "log-error %s: Is a directory", bench.dir);
    run_failing(&bench, want, 222);
    teardown(&bench);
}
END_TEST

static void become_nobody(void)
{
    const struct passwd *nobody = getpwnam("nobody");

    ck_assert_ptr_nonnull(nobody);
    ck_assert_int_eq(setresgid(nobody->pw_gid, nobody->pw_gid, nobody->pw_gid), 0);
    ck_assert_int_eq(setresuid(nobody->pw_uid, nobody->pw_uid, nobody->pw_uid), 0);
}

START_TEST(failing_steps_of_an_ordinary_user)
{
    struct bench bench;

    if (geteuid() != 0)
        return;
    become_nobody();
    setup(&bench, "id -u");

    /* What one is already, one may ask for. */
    set_user(&bench, "nobody");
    run(&bench);

    spec_own_exec(bench.spec)->ids.uid = 1;
    free(bench.spec->exec->user);
    spec_own_exec(bench.spec)->user = xstrdup("daemon");
    spec_own_exec(bench.spec)->group = xstrdup("nogroup");
    run_failing(&bench, "group nogroup: Operation not permitted", 216);
    spec_own_exec(bench.spec)->ids.set = false;

    bench.baseline.nofile.rlim_max += 1;
    run_failing(&bench, "limit-nofile: Operation not permitted", 205);
    bench.baseline.nofile.rlim_max -= 1;
    bench.baseline.oom_score_adj = -1000;
    run_failing(&bench, "oom-score-adj -1000: Permission denied (needs CAP_SYS_RESOURCE)", 206);
    teardown(&bench);
}
END_TEST

START_TEST(user_refused)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    struct bench bench;

    if (geteuid() != 0)
        return;
    setup(&bench, "true");
    set_user(&bench, "nobody");
    ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
    data[CAP_TO_INDEX(CAP_SETUID)].effective &= ~CAP_TO_MASK(CAP_SETUID);
    ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
    run_failing(&bench, "user nobody: Operation not permitted", 217);
    teardown(&bench);
}
END_TEST

START_TEST(exec_hints)
{
    struct bench bench;
    char want[512];

    setup(&bench, "true");
    char *script = in_dir(&bench, "script");
    int fd = open(script, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    ck_assert_int_eq(write(fd, "echo hi\n", 8), 8);
    close(fd);
    set_command(&bench, script, NULL, NULL);
    snprintf(want, sizeof(want), "exec %s: Exec format error (a script without a #! line?)", script);
    run_failing(&bench, want, 203);

    fd = open(script, O_WRONLY | O_TRUNC | O_CLOEXEC);
    ck_assert_int_eq(write(fd, "#!/nowhere/sh\n", 14), 14);
    close(fd);
    snprintf(want, sizeof(want),
             "exec %s: No such file or directory (it is there: the interpreter or loader that it names is missing)",
             script);
    run_failing(&bench, want, 203);
    free(script);
    teardown(&bench);
}
END_TEST

START_TEST(path_of_the_service)
{
    struct bench bench;
    char path[128];

    setup(&bench, "true");
    char *script = in_dir(&bench, "script");
    int fd = open(script, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    ck_assert_int_eq(write(fd, "#!/bin/sh\necho \"mine $1\"\n", 25), 25);
    close(fd);
    set_command(&bench, "script", "x", NULL);
    snprintf(path, sizeof(path), "PATH=/etc/passwd:/nowhere:%s:/bin", bench.dir);
    spec_own_place(bench.spec)->environment = strv_env_set(spec_own_place(bench.spec)->environment, path);
    run(&bench);
    ck_assert_str_eq(bench.output, "mine x\n");

    /* No PATH at all: the usual one. */
    spec_own_place(bench.spec)->environment = strv_env_set(spec_own_place(bench.spec)->environment, "PATH=");
    set_command(&bench, "true", NULL, NULL);
    run(&bench);
    free(script);
    teardown(&bench);
}
END_TEST

static void ignore(int signo)
{
    (void)signo;
}

START_TEST(signals_are_default)
{
    struct bench bench;
    sigset_t set;

    setup(&bench, "true");
    set_command(&bench, "/bin/cat", "/proc/self/status", NULL);
    signal(SIGHUP, SIG_IGN);
    signal(SIGRTMIN + 3, SIG_IGN);
    /* They are ignored from the start, as what a parent ignores; but for SIGPIPE, of which supd itself thinks so. */
    spawn_baseline_clear(&bench.baseline);
    signal(SIGPIPE, SIG_DFL);
    spawn_baseline_take(&bench.baseline);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, ignore);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    run(&bench);
    ck_assert(has_line(&bench, "SigBlk:\t0000000000000000"));
    ck_assert(has_line(&bench, "SigIgn:\t0000000000000000"));
    ck_assert(has_line(&bench, "SigCgt:\t0000000000000000"));
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    ck_assert_int_eq(sigismember(&now, SIGUSR2), 1);
    ck_assert_int_eq(sigismember(&now, SIGTERM), 0);
    teardown(&bench);
}
END_TEST

static void check_no_leaks(struct bench *bench)
{
    int leaky = open("/dev/null", O_RDONLY);

    ck_assert_int_eq(fcntl(leaky, F_DUPFD, 700), 700);
    set_command(bench, "/bin/ls", "/proc/self/fd", NULL);
    run(bench);
    /* 3 is the directory that ls reads. */
    ck_assert_str_eq(bench->output, "0\n1\n2\n3\n");
    close(700);
    close(leaky);
}

START_TEST(no_descriptor_leaks)
{
    struct bench bench;

    setup(&bench, "true");
    check_no_leaks(&bench);
    set_script(&bench, "readlink /proc/self/fd/0");
    run(&bench);
    ck_assert_str_eq(bench.output, "/dev/null\n");
    teardown(&bench);
}
END_TEST

/* A child says where it is: it begins there (clone3), or goes there itself before its record. */
START_TEST(begins_in_its_cgroup)
{
    struct bench bench;
    struct cgroup_tree tree;
    char id[33];

    snprintf(id, sizeof(id), "spawn%027d", (int)getpid());
    if (!cgroup_tree_open(&tree, "/proc", id)) {
        printf("# begins_in_its_cgroup is skipped: %s\n", tree.reason);
        cgroup_tree_close(&tree);
        return;
    }
    char *path = cgroup_tree_service(&tree, "web");
    ck_assert_int_eq(cgroup_make(path), 0);
    setup(&bench, "true");
    set_command(&bench, "/bin/sh", "-c", "grep ^0:: /proc/self/cgroup");
    bench.req.cgroup_fd = cgroup_open(path);
    ck_assert_int_gt(bench.req.cgroup_fd, 0);
    if (_i == 1)
        refuse_with(SYS_clone3, ENOSYS);
    run(&bench);
    ck_assert_ptr_nonnull(strstr(bench.output, tree.name));
    ck_assert_ptr_nonnull(strstr(bench.output, "/web.service\n"));

    /* Where it cannot get there it does not run. */
    close(bench.req.cgroup_fd);
    ck_assert_int_eq(cgroup_tree_remove(&tree, path), 0);
    bench.req.cgroup_fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char err[128] = "";
    if (spawn_process(&bench.req, &bench.child, err, sizeof(err))) {
        await_report(&bench);
        ck_assert_str_eq(bench.text, "cgroup.procs: No such file or directory");
        await_end(&bench);
    } else {
        ck_assert_str_eq(err, "fork: Bad file descriptor");
    }
    expect_no_output(&bench);
    close(bench.req.cgroup_fd);
    teardown(&bench);
    free(path);
    cgroup_tree_close(&tree);
}
END_TEST

START_TEST(old_kernels_and_filters)
{
    struct bench bench;

    setup(&bench, "true");
    refuse_with(SYS_clone3, EPERM);
    check_no_leaks(&bench);
    refuse_with(SYS_clone3, ENOSYS);
    refuse_with(SYS_close_range, EINVAL);
    check_no_leaks(&bench);

    /* A child that could have a pidfd, were we not short of something, does not run, and nothing is left of it. */
    char err[128];
    refuse_with(SYS_pidfd_open, EMFILE);
    ck_assert(!spawn_process(&bench.req, &bench.child, err, sizeof(err)));
    ck_assert_str_eq(err, "pidfd_open: Too many open files");
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);

    /* Where there are none at all it does; sandboxes that have never heard of the call say EPERM. */
    const int none[] = {ENOSYS, EPERM};
    set_command(&bench, "/bin/true", NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        refuse_with(SYS_pidfd_open, none[i]);
        ck_assert_msg(spawn_process(&bench.req, &bench.child, err, sizeof(err)), "%s", err);
        ck_assert_int_eq(bench.child.pidfd, -1);
        await_report(&bench);
        ck_assert_int_eq(bench.outcome, SPAWN_CLOSED);
        ck_assert_int_eq(waitpid(bench.child.pid, &bench.status, 0), bench.child.pid);
        ck_assert_int_eq(bench.status, 0);
        close(bench.child.report_fd);
    }
    refuse_with(SYS_clone3, EAGAIN);
    ck_assert(!spawn_process(&bench.req, &bench.child, err, sizeof(err)));
    ck_assert_str_eq(err, "fork: Resource temporarily unavailable");
    teardown(&bench);
}
END_TEST

START_TEST(limits_go_back)
{
    struct bench bench;
    struct rlimit before;
    char want[64];

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {.rlim_cur = 64, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    setup(&bench, "ulimit -n; cat /proc/self/oom_score_adj");
    ck_assert_int_eq(bench.baseline.nofile.rlim_cur, 64);
    ck_assert_int_ne(bench.baseline.oom_score_adj, INT32_MIN);
    int adj = bench.baseline.oom_score_adj;

    /* As supd does after it took the baseline; and it holds more descriptors than the service may. */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    FILE *fp = fopen("/proc/self/oom_score_adj", "we");
    fprintf(fp, "%d", adj + 1);
    ck_assert_int_eq(fclose(fp), 0);
    for (int fd = dup(0); fd < 200; fd = dup(0))
        ck_assert_int_ge(fd, 0);
    spec_own_place(bench.spec)->environment_files = strv_push(NULL, xstrdup("/dev/null"));
    run(&bench);
    snprintf(want, sizeof(want), "64\n%d\n", adj);
    ck_assert_str_eq(bench.output, want);
    teardown(&bench);
}
END_TEST

START_TEST(outputs)
{
    struct bench bench;

    /* One place for both. */
    setup(&bench, "echo out; echo err >&2");
    run(&bench);
    ck_assert_str_eq(bench.output, "out\nerr\n");

    char *err = in_dir(&bench, "err");
    int fd = make_fifo(err);
    set_log(&spec_own_logs(bench.spec)->log_error, LOG_KIND_FILE, "/log/err");
    bench.req.error_fifo = err;
    run(&bench);
    ck_assert_str_eq(bench.output, "out\n");
    read_output(&bench, fd);
    ck_assert_str_eq(bench.output, "err\n");

    set_log(&spec_own_logs(bench.spec)->log_error, LOG_KIND_NONE, NULL);
    bench.req.error_fifo = NULL;
    run(&bench);
    ck_assert_str_eq(bench.output, "out\n");

    /* Inherited: ours. */
    int saved = dup(STDOUT_FILENO);
    ck_assert_int_eq(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    set_log(&spec_own_logs(bench.spec)->log, LOG_KIND_INHERIT, NULL);
    bench.req.log_fifo = NULL;
    run(&bench);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    read_output(&bench, fd);
    ck_assert_str_eq(bench.output, "out\n");
    close(fd);
    free(err);
    teardown(&bench);
}
END_TEST

START_TEST(standard_streams_closed)
{
    struct bench bench;

    setup(&bench, "true");
    close(STDIN_FILENO);
    close(STDERR_FILENO);
    set_command(&bench, "/bin/ls", "/proc/self/fd", NULL);
    run(&bench);
    ck_assert_str_eq(bench.output, "0\n1\n2\n3\n");
    teardown(&bench);
}
END_TEST

static int handler_pipe[2];

static void tell_parent(int signo)
{
    (void)signo;
    ssize_t n = write(handler_pipe[1], "!", 1);
    (void)n;
}

/* The child hangs before its exec, in the opening of a FIFO that nobody writes. */
START_TEST(signals_before_the_exec)
{
    struct bench bench;
    char byte;

    setup(&bench, "true");
    char *fifo = in_dir(&bench, "sub");
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    set_log(&spec_own_place(bench.spec)->input, LOG_KIND_FILE, fifo);
    ck_assert_int_eq(pipe2(handler_pipe, O_NONBLOCK | O_CLOEXEC), 0);
    signal(SIGTERM, tell_parent);
    start(&bench);
    ck_assert_int_eq(identity_signal(bench.child.pidfd, SIGTERM), 0);
    await_report(&bench);
    ck_assert_int_eq(bench.outcome, SPAWN_CLOSED);
    await_end(&bench);
    ck_assert(WIFSIGNALED(bench.status));
    ck_assert_int_eq(WTERMSIG(bench.status), SIGTERM);
    ck_assert_int_eq(read(handler_pipe[0], &byte, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);

    /* And so does SIGKILL. */
    start(&bench);
    ck_assert_int_eq(identity_signal(bench.child.pidfd, SIGKILL), 0);
    await_report(&bench);
    ck_assert_int_eq(bench.outcome, SPAWN_CLOSED);
    await_end(&bench);
    ck_assert_int_eq(WTERMSIG(bench.status), SIGKILL);
    signal(SIGTERM, SIG_DFL);
    free(fifo);
    teardown(&bench);
}
END_TEST

/* Lets a child that waits for the writer of FIFO go on to its exec, and looks at LOCK, which it has, at each system call. */
static void follow_to_the_exec(pid_t pid, const char *fifo, int lock)
{
    const int at_exec = SIGTRAP | PTRACE_EVENT_EXEC << 8;
    int status = 0;

    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)PTRACE_O_TRACEEXEC) < 0) {
        ck_assert_int_eq(errno, EPERM);
        printf("# the lock is not looked at before the exec: no process may be traced here\n");
        close(open(fifo, O_WRONLY | O_CLOEXEC));
        return;
    }
    ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    int writer = open(fifo, O_RDWR | O_CLOEXEC); /* a reader, too: a child that stands still is none just then */
    ck_assert_int_ne(writer, -1);
    while (status >> 8 != at_exec) {
        ck_assert(WIFSTOPPED(status));
        ck_assert_int_eq(flock(lock, LOCK_EX | LOCK_NB), -1);
        ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    }
    ck_assert_int_eq(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
    close(writer);
}

/* A descriptor of ours with a lock on it stays open in the child until the exec, not longer. */
START_TEST(lock_is_held_until_the_exec)
{
    struct bench bench;

    setup(&bench, "exec sleep 1000");
    char *path = in_dir(&bench, "err");
    char *fifo = in_dir(&bench, "sub");
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(flock(lock, LOCK_EX), 0);
    set_log(&spec_own_place(bench.spec)->input, LOG_KIND_FILE, fifo);
    start(&bench);
    close(lock);
    int other = open(path, O_RDWR | O_CLOEXEC);
    follow_to_the_exec(bench.child.pid, fifo, other);
    await_report(&bench);
    ck_assert_int_eq(bench.outcome, SPAWN_CLOSED);
    /* The kernel lets go of what an exec closes a moment after the pipe. */
    ck_assert_int_eq(flock(other, LOCK_EX), 0);
    identity_signal(bench.child.pidfd, SIGKILL);
    await_end(&bench);
    close(other);
    free(fifo);
    free(path);
    teardown(&bench);
}
END_TEST

/* What is given in reverse order lies just where it is to go, among what the child still needs. */
START_TEST(sockets_from_descriptor_3_on)
{
    static const char *const texts[] = {"a", "b", "c"};
    struct bench bench;
    int fds[3];

    setup(&bench,
          "cat <&3; cat <&4; cat <&5; echo \" $LISTEN_FDS $LISTEN_FDNAMES\"; [ $LISTEN_PID = $$ ] && echo mine; "
          "ls /proc/$$/fd; :");
    spec_own_place(bench.spec)->environment = strv_push(NULL, xstrdup("LISTEN_FDS=77"));
    for (int i = 0; i < 3; i++) {
        fds[2 - i] = memfd_create(texts[i], MFD_CLOEXEC);
        ck_assert_int_eq(write(fds[2 - i], texts[i], 1), 1);
        ck_assert_int_eq(lseek(fds[2 - i], 0, SEEK_SET), 0);
    }
    bench.req.listen_fds = fds;
    bench.req.n_listen_fds = 3;
    bench.req.listen_names = "x:y:z";
    run(&bench);
    ck_assert_str_eq(bench.output, "cba 3 x:y:z\nmine\n0\n1\n2\n3\n4\n5\n");

    set_command(&bench, "/nonexistent/program", NULL, NULL);
    run_failing(&bench, "exec /nonexistent/program: No such file or directory", 203);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    teardown(&bench);
}
END_TEST

/* With a copy of our memory, or in it: what becomes of a child is the same. */
static TCase *in_each_way(const char *name, SFun fixture)
{
    TCase *tc = tcase_create(name);

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, fixture, NULL);
    tcase_add_test(tc, recorded_before_it_runs);
    tcase_add_test(tc, recorded_start_is_that_of_proc);
    tcase_add_test(tc, no_record_no_exec);
    tcase_add_test(tc, environment_of_a_service);
    tcase_add_test(tc, environment_file_errors);
    tcase_add_test(tc, user_directory_umask);
    tcase_add_test(tc, uid_without_a_name);
    tcase_add_test(tc, failing_steps);
    tcase_add_test(tc, failing_steps_of_an_ordinary_user);
    tcase_add_test(tc, user_refused);
    tcase_add_test(tc, exec_hints);
    tcase_add_test(tc, path_of_the_service);
    tcase_add_test(tc, signals_are_default);
    tcase_add_test(tc, no_descriptor_leaks);
    tcase_add_test(tc, limits_go_back);
    tcase_add_test(tc, outputs);
    tcase_add_test(tc, standard_streams_closed);
    tcase_add_test(tc, signals_before_the_exec);
    tcase_add_test(tc, lock_is_held_until_the_exec);
    tcase_add_test(tc, sockets_from_descriptor_3_on);
    return tc;
}

Suite *check_suite(void)
{
    Suite *suite = suite_create("spawn");
    TCase *tc = in_each_way("copied", spawn_share_never);

    tcase_add_test(tc, heap_is_for_those_that_need_it);
    tcase_add_loop_test(tc, begins_in_its_cgroup, 0, 2);
    tcase_add_test(tc, old_kernels_and_filters);
    suite_add_tcase(suite, tc);
    suite_add_tcase(suite, in_each_way("shared", spawn_share_begin));
    return suite;
}
