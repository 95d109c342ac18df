/* SPDX-License-Identifier: MIT */
#include "supd/remember.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/varfile.h"
#include "os/helper.h"
#include "os/identity.h"
#include "os/rundir.h"
#include "os/vardir.h"
#include "supd/helper_run.h"
#include "supd/supervisor.h"

/* A disk that keeps its writer waiting for longer is given up. */
#define WRITE_TIMEOUT (60 * USEC_PER_SEC)
#define ANSWER_MAX 512

/* How long the runs of other schedules are waited for, and how long after a failure. */
#define RUNS_PAUSE USEC_PER_SEC
#define RUNS_RETRY (10 * USEC_PER_SEC)

#define ENABLED "enabled"
#define RUNS "runs"

/* The helper's answer: this alone, or what went wrong. */
static const char done_word[] = "+";

struct job {
    struct remember_changes changes;
    remember_fn fn;
    void *ctx;
    TAILQ_ENTRY(job) link;
};

struct remembered {
    struct supervisor *sup;
    char *dir;               /* NULL: none */
    char *trouble;           /* why nothing can be remembered; NULL: it can */
    struct varfile *enabled; /* as on the disk; values 0 and 1 */
    struct varfile *next;    /* what the helper writes in its place; NULL: it is at the runs, or there is none */
    TAILQ_HEAD(, job) jobs;  /* the first one is at work, or waits for the runs */
    struct varfile *runs;
    bool runs_due;      /* they are not on the disk as they are here */
    bool runs_failing;  /* that was said */
    bool runs_homeless; /* the same */
    struct loop_timer *runs_timer;
    struct helper_run helper;
    char answer[ANSWER_MAX];
    size_t len;
};

static void start_next(struct remembered *r);

/* ---- reading ---- */

static void choose_dir(struct remembered *r)
{
    struct supervisor *sup = r->sup;
    char err[512];
    char *usual = rundir_default(err, sizeof err);

    if (sup->config->settings.state_dir)
        r->dir = xstrdup(sup->config->settings.state_dir);
    else if (usual && strcmp(usual, sup->runtime_dir) == 0)
        r->dir = vardir_default(err, sizeof err);
    else
        snprintf(err, sizeof err,
                 "%s is not the usual runtime directory, so this supd has no usual state directory either: name one "
                 "with state-dir in the configuration",
                 sup->runtime_dir);
    free(usual);
    if (!r->dir)
        r->trouble = xstrdup(err);
}

/* Nothing is written over what could not be read. */
static void give_up(struct remembered *r, const char *why)
{
    log_error("nothing is remembered over a boot: %s", why);
    free(r->trouble);
    r->trouble = xstrdup(why);
}

static void set_aside(const char *path)
{
    char *bad = xasprintf("%s.bad", path);

    if (rename(path, bad) < 0)
        log_error("%s cannot be renamed to %s: %s", path, bad, strerror(errno));
    free(bad);
}

/* The file NAME of the directory; an empty one where it is missing, or damaged, or cannot be read. */
static struct varfile *read_file(struct remembered *r, const char *name)
{
    char *path = xasprintf("%s/%s", r->dir, name);
    struct varfile *file = NULL;
    char why[600];
    char err[128];
    char *text;
    size_t len;
    int rc = rundir_read_file(path, VARDIR_FILE_MAX, &text, &len);

    if (rc < 0 && rc != -ENOENT) {
        snprintf(why, sizeof why, "cannot read %s: %s", path, strerror(-rc));
        give_up(r, why);
    }
    if (rc == 0) {
        switch (varfile_parse(text, len, name, &file, err, sizeof err)) {
        case VARFILE_GOOD:
            break;
        case VARFILE_NEWER:
            snprintf(why, sizeof why, "%s cannot be used: %s", path, err);
            give_up(r, why);
            break;
        case VARFILE_DAMAGED:
            log_error("%s cannot be used: %s; it is kept aside as %s.bad, and what it said is forgotten", path, err,
                      path);
            set_aside(path);
            break;
        }
        free(text);
    }
    free(path);
    return file ? file : varfile_new();
}

static void on_timeout(void *ctx);
static void on_runs_timer(void *ctx);

void remember_open(struct supervisor *sup)
{
    struct remembered *r = xcalloc(1, sizeof *r);
    char err[512];

    r->sup = sup;
    TAILQ_INIT(&r->jobs);
    helper_run_init(&r->helper, sup->loop, on_timeout, r);
    r->runs_timer = loop_timer_new(sup->loop, on_runs_timer, r);
    sup->remembered = r;
    choose_dir(r);
    if (r->dir && access(r->dir, F_OK) == 0 &&
        !rundir_own(r->dir, 0755, "state directory", "state-dir", err, sizeof err))
        give_up(r, err);
    r->enabled = r->trouble ? varfile_new() : read_file(r, ENABLED);
    r->runs = r->trouble ? varfile_new() : read_file(r, RUNS);
}

const char *remember_dir(const struct supervisor *sup, const char **why)
{
    if (why)
        *why = sup->remembered->trouble;
    return sup->remembered->trouble ? NULL : sup->remembered->dir;
}

bool remember_enabled(const struct supervisor *sup, const char *name, bool *enabled)
{
    int64_t value;

    if (!varfile_get(sup->remembered->enabled, name, &value))
        return false;
    *enabled = value != 0;
    return true;
}

/* ---- writing ---- */

static void helper_clear(struct remembered *r)
{
    helper_run_clear(&r->helper);
    r->len = 0;
}

static void job_free(struct job *job)
{
    for (size_t i = 0; i < job->changes.n; i++)
        free(job->changes.items[i].name);
    free(job->changes.items);
    free(job);
}

/* ERROR NULL: what was to be written is on the disk. */
static void job_done(struct remembered *r, const char *error)
{
    struct job *job = TAILQ_FIRST(&r->jobs);

    helper_clear(r);
    TAILQ_REMOVE(&r->jobs, job, link);
    if (error) {
        varfile_free(r->next);
    } else {
        varfile_free(r->enabled);
        r->enabled = r->next;
    }
    r->next = NULL;
    job->fn(job->ctx, error);
    job_free(job);
    start_next(r);
}

static void runs_done(struct remembered *r, const char *error)
{
    helper_clear(r);
    if (error) {
        if (!r->runs_failing)
            log_error("when schedules ran last is not remembered: %s; it is tried again every 10 s", error);
        r->runs_due = true;
    }
    r->runs_failing = error != NULL;
    if (error)
        loop_timer_set(r->runs_timer, RUNS_RETRY);
    start_next(r);
}

static void written(struct remembered *r, const char *error)
{
    if (r->next)
        job_done(r, error);
    else
        runs_done(r, error);
}

static void on_timeout(void *ctx)
{
    struct remembered *r = ctx;
    char why[512];

    snprintf(why, sizeof why, "writing to %s takes too long: is it on a file system that hangs?", r->dir);
    written(r, why);
}

static void on_readable(void *ctx)
{
    struct remembered *r = ctx;

    for (;;) {
        ssize_t n = read(r->helper.fd, r->answer + r->len, sizeof r->answer - 1 - r->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        r->len += (size_t)n;
    }
    char answer[ANSWER_MAX];
    memcpy(answer, r->answer, r->len);
    answer[r->len] = '\0';
    if (strcmp(answer, done_word) == 0)
        written(r, NULL);
    else
        written(r, answer[0] ? answer : "the process that was to write it ended without an answer");
}

/* In the child. */
static void write_and_tell(const struct remembered *r, const char *name, const char *text, int fd)
    __attribute__((noreturn));

static void write_and_tell(const struct remembered *r, const char *name, const char *text, int fd)
{
    char err[ANSWER_MAX - 1] = "";

    /* The lock, the sockets and the clients are not to be held open by somebody who may hang. */
    dup3(fd, STDERR_FILENO + 1, O_CLOEXEC);
    closefrom(STDERR_FILENO + 2);
    bool ok = vardir_write(r->dir, name, text, strlen(text), err, sizeof err);
    const char *answer = ok ? done_word : err;
    ssize_t n = write(STDERR_FILENO + 1, answer, strlen(answer));
    _exit(n > 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static int start_helper(struct remembered *r, const char *name, const char *text)
{
    int fd = -1;
    pid_t pid = helper_fork(&fd);

    if (pid == 0)
        write_and_tell(r, name, text, fd);
    if (pid < 0)
        return pid;
    r->helper.fd = fd;
    r->helper.pidfd = identity_pidfd(pid);
    helper_run_begin(&r->helper, r->sup->loop, WRITE_TIMEOUT, on_readable, r);
    return 0;
}

/* A copy of FROM with CHANGES made. */
static struct varfile *changed(const struct varfile *from, const struct remember_changes *changes)
{
    struct varfile *file = varfile_dup(from);

    for (size_t i = 0; i < changes->n; i++) {
        const struct remember_change *change = &changes->items[i];

        if (change->forget)
            varfile_unset(file, change->name);
        else
            varfile_set(file, change->name, change->enabled);
    }
    return file;
}

static void start_next(struct remembered *r)
{
    struct job *job = TAILQ_FIRST(&r->jobs);
    char why[256];

    if (helper_run_busy(&r->helper))
        return;
    if (!job) {
        if (r->runs_due && !r->runs_failing)
            loop_timer_set(r->runs_timer, RUNS_PAUSE);
        return;
    }
    r->next = changed(r->enabled, &job->changes);
    char *text = varfile_format(r->next, ENABLED);
    int rc = start_helper(r, ENABLED, text);
    free(text);
    if (rc == 0)
        return;
    snprintf(why, sizeof why, "no process to write to %s can be made: %s", r->dir, strerror(-rc));
    job_done(r, why);
}

bool remember_run(const struct supervisor *sup, const char *name, int64_t *wall)
{
    return varfile_get(sup->remembered->runs, name, wall);
}

/* In a while, so that one writing does for many. */
static void on_runs_timer(void *ctx)
{
    struct remembered *r = ctx;
    char why[128];

    if (!r->runs_due || helper_run_busy(&r->helper))
        return; /* the end of the present writing leads here again */
    char *text = varfile_format(r->runs, RUNS);
    r->runs_due = false;
    int rc = start_helper(r, RUNS, text);
    free(text);
    if (rc == 0)
        return;
    snprintf(why, sizeof why, "no process to write them can be made: %s", strerror(-rc));
    runs_done(r, why);
}

void remember_set_run(struct supervisor *sup, const char *name, int64_t wall)
{
    struct remembered *r = sup->remembered;
    int64_t before;

    if (varfile_get(r->runs, name, &before) && before == wall)
        return;
    varfile_set(r->runs, name, wall);
    if (r->trouble) {
        if (!r->runs_homeless)
            log_warning("%s: persistent, but when it ran last cannot be remembered over a boot: %s", name, r->trouble);
        r->runs_homeless = true;
        return;
    }
    if (!r->runs_due && !r->runs_failing)
        loop_timer_set(r->runs_timer, RUNS_PAUSE);
    r->runs_due = true;
}

void remember_change(struct supervisor *sup, struct remember_changes changes, remember_fn fn, void *ctx)
{
    struct remembered *r = sup->remembered;
    struct job *job = xcalloc(1, sizeof *job);

    *job = (struct job){.changes = changes, .fn = fn, .ctx = ctx};
    if (r->trouble || changes.n == 0) {
        fn(ctx, changes.n == 0 ? NULL : r->trouble);
        job_free(job);
        return;
    }
    TAILQ_INSERT_TAIL(&r->jobs, job, link);
    start_next(r);
}

bool remember_busy(const struct supervisor *sup)
{
    return !TAILQ_EMPTY(&sup->remembered->jobs) || helper_run_busy(&sup->remembered->helper);
}

/* We are about to end: nobody is held up. */
static void write_runs_now(struct remembered *r)
{
    char *text = varfile_format(r->runs, RUNS);
    char err[512];

    if (!vardir_write(r->dir, RUNS, text, strlen(text), err, sizeof err))
        log_error("when schedules ran last is not remembered: %s", err);
    free(text);
}

void remember_close(struct supervisor *sup)
{
    struct remembered *r = sup->remembered;
    struct job *job;

    if (!r)
        return;
    if (r->next == NULL && helper_run_busy(&r->helper))
        r->runs_due = true;
    helper_clear(r);
    if (r->runs_due)
        write_runs_now(r);
    while ((job = TAILQ_FIRST(&r->jobs))) {
        TAILQ_REMOVE(&r->jobs, job, link);
        job->fn(job->ctx, "supd has ended");
        job_free(job);
    }
    helper_run_free(&r->helper);
    loop_timer_free(r->runs_timer);
    varfile_free(r->next);
    varfile_free(r->runs);
    varfile_free(r->enabled);
    free(r->dir);
    free(r->trouble);
    free(r);
    sup->remembered = NULL;
}
