/* SPDX-License-Identifier: MIT */
/*
 * One service in a private directory that is spawned, for the tests of os/spawn.h, and what became of it.
 */
#ifndef SUPD_TESTS_OS_SPAWN_BENCH_H
#define SUPD_TESTS_OS_SPAWN_BENCH_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libintl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/mem.h"
#include "base/strv.h"
#include "core/record.h"
#include "os/identity.h"
#include "os/spawn.h"
#include "tests/check_main.h"

struct bench {
    char dir[32];
    char out[64]; /* a FIFO, as of a log */
    int out_fd;   /* holds it open */
    struct spec *spec;
    struct spawn_baseline baseline;
    uint8_t record[RECORD_MAX];
    struct spawn_request req;
    struct spawn_child child;
    enum spawn_outcome outcome;
    char text[512];
    char output[65536];
    int status;
};

/* As early as in supd, so that children find nothing of the heap. */
__attribute__((constructor)) static inline void begin_heap(void)
{
    heap_begin();
}

static inline char *in_dir(const struct bench *bench, const char *name)
{
    return xasprintf("%s/%s", bench->dir, name);
}

static inline char **argv_of(const char *a, const char *b, const char *c)
{
    char **argv = strv_push(NULL, xstrdup(a));

    if (b != NULL)
        argv = strv_push(argv, xstrdup(b));
    if (c != NULL)
        argv = strv_push(argv, xstrdup(c));
    return argv;
}

static inline void set_command(struct bench *bench, const char *a, const char *b, const char *c)
{
    strv_free(bench->spec->command);
    bench->spec->command = argv_of(a, b, c);
}

static inline void set_script(struct bench *bench, const char *script)
{
    set_command(bench, "/bin/sh", "-c", script);
}

static inline void set_log(struct spec_log *log, enum log_kind kind, const char *path)
{
    free(log->path);
    log->kind = kind;
    log->path = xstrdup(path);
}

/* A FIFO as those of logs, at PATH; a descriptor of it. */
static inline int make_fifo(const char *path)
{
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* SCRIPT is what a shell is to run; its output goes to bench->out. */
static inline void setup(struct bench *bench, const char *script)
{
    heap_hide();
    bindtextdomain("supd-tests", "/nonexistent"); /* as a library may have done */
    memset(bench, 0, sizeof(*bench));
    strcpy(bench->dir, "/tmp/supd-spawn-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(bench->dir));
    ck_assert_int_eq(chmod(bench->dir, 0755), 0);
    snprintf(bench->out, sizeof(bench->out), "%s/out", bench->dir);
    bench->out_fd = make_fifo(bench->out);
    bench->spec = spec_new("web");
    set_script(bench, script);
    set_log(&spec_own_logs(bench->spec)->log, LOG_KIND_FILE, bench->out);
    spawn_baseline_take(&bench->baseline);

    char *state = in_dir(bench, "state");
    bench->req = (struct spawn_request){
        .spec = bench->spec,
        .baseline = &bench->baseline,
        .instance_id = "0123abcd",
        .record = bench->record,
        .state_fd = open(state, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
        .log_fifo = bench->out,
    };
    free(state);
    ck_assert_int_ge(bench->req.state_fd, 0);

    struct svc svc = {.life = 1};
    struct svc_stop_params stop = {.signal = SIGTERM};
    bench->req.record_len =
        record_encode_spawn(bench->record, ROLE_SERVICE, "web", &svc, 1, &stop, (struct timestamp){0});
}

/* Whatever the test has made in the directory goes with it. */
static inline void teardown(struct bench *bench)
{
    DIR *dir = opendir(bench->dir);

    ck_assert_ptr_nonnull(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = in_dir(bench, entry->d_name);
        ck_assert_int_eq(remove(path), 0);
        free(path);
    }
    closedir(dir);
    ck_assert_int_eq(rmdir(bench->dir), 0);
    close(bench->req.state_fd);
    close(bench->out_fd);
    spawn_baseline_clear(&bench->baseline);
    spec_free(bench->spec);
}

static inline void start(struct bench *bench)
{
    char err[256] = "";

    ck_assert_msg(spawn_process(&bench->req, &bench->child, err, sizeof(err)), "%s", err);
    ck_assert_int_eq(fcntl(bench->child.pidfd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(bench->child.report_fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_ne(fcntl(bench->child.report_fd, F_GETFL) & O_NONBLOCK, 0);
}

static inline void await_report(struct bench *bench)
{
    struct pollfd pfd = {.fd = bench->child.report_fd, .events = POLLIN};

    ck_assert_int_eq(poll(&pfd, 1, 60000), 1);
    bench->outcome = spawn_report_read(bench->child.report_fd, bench->text, sizeof(bench->text));
    ck_assert_int_ne(bench->outcome, SPAWN_PENDING);
}

static inline void await_end(struct bench *bench)
{
    ck_assert_int_eq(waitpid(bench->child.pid, &bench->status, 0), bench->child.pid);
    ck_assert_int_eq(identity_signal(bench->child.pidfd, 0), -ESRCH);
    close(bench->child.pidfd);
    close(bench->child.report_fd);
}

/* All that is in the FIFO FD, which may be nothing. */
static inline void read_output(struct bench *bench, int fd)
{
    ssize_t n = read(fd, bench->output, sizeof(bench->output) - 1);

    ck_assert(n >= 0 || errno == EAGAIN);
    bench->output[n < 0 ? 0 : n] = '\0';
}

static inline void expect_no_output(struct bench *bench)
{
    read_output(bench, bench->out_fd);
    ck_assert_str_eq(bench->output, "");
}

/* Runs to the end; the exec must have happened. */
static inline void run(struct bench *bench)
{
    start(bench);
    await_report(bench);
    ck_assert_msg(bench->outcome == SPAWN_CLOSED, "%s", bench->text);
    await_end(bench);
    ck_assert(WIFEXITED(bench->status));
    ck_assert_int_eq(WEXITSTATUS(bench->status), 0);
    read_output(bench, bench->out_fd);
}

/* The exec must not happen, with this report and this exit code. */
static inline void run_failing(struct bench *bench, const char *report, int code)
{
    start(bench);
    await_report(bench);
    ck_assert_int_eq(bench->outcome, SPAWN_FAILED);
    ck_assert_str_eq(bench->text, report);
    await_end(bench);
    ck_assert(WIFEXITED(bench->status));
    ck_assert_int_eq(WEXITSTATUS(bench->status), code);
}

/* From here on the system call NR fails with ERR, for us and for our children. */
static inline void refuse_with(int nr, int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

#endif
