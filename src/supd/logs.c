/* SPDX-License-Identifier: MIT */
#include "supd/logs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/logfifo.h"
#include "os/logline.h"
#include "os/rundir.h"
#include "supd/logs_inner.h"
#include "supd/process.h"

#define STREAMS_MAX ((size_t)256 * 1024 * 1024)
#define RETRY_INTERVAL USEC_PER_SEC
#define DRAIN_INTERVAL USEC_PER_SEC

/* ---- the list ---- */

static void write_streams(struct logs *logs)
{
    struct buf text = {0};
    const struct log_pipe *pipe;

    TAILQ_FOREACH(pipe, &logs->pipes, link)
    {
        char *line = log_stream_encode(&pipe->conf);

        buf_addf(&text, "%s\n", line);
        free(line);
    }
    int rc = rundir_write_file(logs->dir, LOG_STREAMS_FILE, text.data ? text.data : "", text.len);
    buf_free(&text);
    if (rc < 0 && !logs->failing)
        log_error("cannot write %s/" LOG_STREAMS_FILE ": %s; it is tried again every second", logs->dir, strerror(-rc));
    logs->failing = rc < 0;
    logs->dirty = rc < 0;
    if (rc < 0)
        loop_timer_set(logs->turn, RETRY_INTERVAL);
    else
        logs_tell_listed(logs);
}

static void on_turn(void *ctx)
{
    struct logs *logs = ctx;

    if (logs->dirty)
        write_streams(logs);
    logs_follow_suplog(logs);
    if (logs->n_left > 0)
        loop_timer_set(logs->drain, 0);
}

void logs_touch(struct logs *logs)
{
    logs->dirty = true;
    loop_timer_set(logs->turn, 0);
}

/* What is empty is of use to nobody any more. */
static void on_drain(void *ctx)
{
    struct logs *logs = ctx;
    struct log_pipe *pipe;
    struct log_pipe *next;

    for (pipe = TAILQ_FIRST(&logs->pipes); pipe && logs->n_left > 0; pipe = next) {
        next = TAILQ_NEXT(pipe, link);
        if (pipe->service || logfifo_left(pipe->fd) > 0)
            continue;
        unlink(pipe->path);
        log_pipe_free(logs, pipe);
        logs_touch(logs);
    }
    if (logs->n_left > 0)
        loop_timer_set(logs->drain, DRAIN_INTERVAL);
}

/* ---- the beginning and the end ---- */

static void read_old(struct logs *logs)
{
    char *path = xasprintf("%s/" LOG_STREAMS_FILE, logs->dir);
    char *text = NULL;
    char *rest = NULL;
    size_t len;
    int rc = rundir_read_file(path, STREAMS_MAX, &text, &len);

    if (rc < 0 && rc != -ENOENT)
        log_error("cannot read %s: %s", path, strerror(-rc));
    for (char *line = rc == 0 ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
        struct old_stream *old = xcalloc(1, sizeof *old);
        struct old_stream *twin = NULL;
        char err[128];

        if (log_stream_decode(line, &old->conf, err, sizeof err))
            HASH_FIND_STR(logs->old, old->conf.fifo, twin);
        if (!old->conf.fifo || twin) {
            log_warning("%s: a line makes no sense and is passed over", path);
            log_stream_clear(&old->conf);
            free(old);
            continue;
        }
        if (old->conf.slot >= LOG_SLOTS)
            old->conf.slot = LOG_ID_NONE;
        HASH_ADD_KEYPTR(hh, logs->old, old->conf.fifo, strlen(old->conf.fifo), old);
    }
    free(rc == 0 ? text : NULL);
    free(path);
}

/* The stream that an earlier supd has told of, taken out of what is left of those; false: there is none. */
static bool take_old(struct logs *logs, const char *fifo, struct log_stream *conf)
{
    struct old_stream *old;

    HASH_FIND_STR(logs->old, fifo, old);
    if (!old)
        return false;
    HASH_DEL(logs->old, old);
    *conf = old->conf;
    free(old);
    return true;
}

void logs_open(struct supervisor *sup)
{
    struct logs *logs = xcalloc(1, sizeof *logs);

    logs->sup = sup;
    logs->line = -1;
    logs->dir = xasprintf("%s/log", sup->runtime_dir);
    logs->lock = xasprintf("%s/" LOG_LOCK_FILE, logs->dir);
    TAILQ_INIT(&logs->pipes);
    logs->turn = loop_timer_new(sup->loop, on_turn, logs);
    logs->drain = loop_timer_new(sup->loop, on_drain, logs);
    sup->logs = logs;
    logs->line = logline_connect(logs->dir);
    read_old(logs);
}

void logs_close(struct supervisor *sup)
{
    struct logs *logs = sup->logs;
    struct log_stream conf;

    if (!logs)
        return;
    if (logs->dirty)
        write_streams(logs);
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        if (!s->parts->logs)
            continue;
        free(s->parts->logs);
        service_parts(s)->logs = NULL;
    }
    while (!TAILQ_EMPTY(&logs->pipes))
        log_pipe_free(logs, TAILQ_FIRST(&logs->pipes));
    while (logs->old && take_old(logs, logs->old->conf.fifo, &conf))
        log_stream_clear(&conf);
    loop_timer_free(logs->turn);
    loop_timer_free(logs->drain);
    loop_timer_free(logs->end_look);
    if (logs->line >= 0)
        close(logs->line);
    logfifo_unmap_pids(logs->pids);
    free(logs->slots);
    free(logs->lock);
    free(logs->dir);
    free(logs);
    sup->logs = NULL;
}

/* ---- the FIFOs of a service ---- */

static bool is_wanted(const struct service *service)
{
    return spec_log_is_piped(service->spec, false) || spec_log_is_piped(service->spec, true);
}

void logs_expect(struct service *service)
{
    if (is_wanted(service) && !logs_suplog(service->sup) && !service->sup->logs->ending)
        logs_start_suplog(service->sup->logs);
}

/* A slot that nobody has, or LOG_ID_NONE; both streams of a service have one. */
static uint32_t choose_slot(struct logs *logs, const struct service_logs *of)
{
    for (int i = 0; i < 2; i++) {
        if (of->pipes[i])
            return of->pipes[i]->conf.slot;
    }
    if (!logs->pids)
        logs->pids = logfifo_map_pids(logs->dir);
    for (uint32_t tried = 0; logs->pids && tried < LOG_SLOTS; tried++) {
        uint32_t slot = logs->next_slot++ % LOG_SLOTS;

        if (log_slot_users(logs)[slot] == 0) {
            logs->pids[slot] = 0;
            return slot;
        }
    }
    return LOG_ID_NONE;
}

static struct service_logs *get(struct service *service)
{
    if (!service->parts->logs)
        service_parts(service)->logs = xcalloc(1, sizeof *service->parts->logs);
    return service->parts->logs;
}

/* One of that name which a service has left and which is not empty yet; NULL: none. */
static struct log_pipe *find_left(struct logs *logs, const char *fifo)
{
    struct log_pipe *pipe;

    if (logs->n_left == 0)
        return NULL;
    TAILQ_FOREACH(pipe, &logs->pipes, link)
    {
        if (!pipe->service && strcmp(pipe->conf.fifo, fifo) == 0)
            return pipe;
    }
    return NULL;
}

static struct log_pipe *make_pipe(struct service *service, bool error, char *err, size_t err_size)
{
    struct logs *logs = service->sup->logs;
    struct log_stream conf = spec_log_stream(service->spec, error);
    struct log_pipe *pipe = find_left(logs, conf.fifo);

    if (pipe) {
        log_pipe_configure(logs, pipe, &conf);
    } else {
        conf.slot = choose_slot(logs, get(service));
        pipe = log_pipe_new(logs, &conf, -1, true, err, err_size);
    }
    if (pipe)
        log_pipe_own(logs, pipe, service, error, false);
    return pipe;
}

static void drop(struct service *service, bool error)
{
    struct service_logs *of = service->parts->logs;

    if (!of || !of->pipes[error])
        return;
    log_pipe_leave(service->sup->logs, of->pipes[error], error);
    of->pipes[error] = NULL;
    if (of->pipes[!error])
        return;
    free(of);
    service_parts(service)->logs = NULL;
}

static bool prepare_one(struct service *service, bool error, const char **fifo, char *err, size_t err_size)
{
    struct logs *logs = service->sup->logs;

    if (!spec_log_is_piped(service->spec, error)) {
        drop(service, error);
        return true;
    }
    struct log_pipe **pipe = &get(service)->pipes[error];
    if (!*pipe)
        *pipe = make_pipe(service, error, err, err_size);
    else if (!log_pipe_ready(logs, *pipe, error, err, err_size))
        return false;
    *fifo = *pipe ? (*pipe)->path : NULL;
    return *pipe != NULL;
}

static int32_t *slot_of(const struct service *service)
{
    const struct logs *logs = service->sup->logs;
    const struct service_logs *of = service->parts->logs;
    const struct log_pipe *pipe = of->pipes[0] ? of->pipes[0] : of->pipes[1];

    return pipe && logs->pids && pipe->conf.slot != LOG_ID_NONE ? &logs->pids[pipe->conf.slot] : NULL;
}

/* log_pid_fresh() of the FIFOs that are empty. */
static int32_t fresh_flags(const struct service_logs *of)
{
    int32_t flags = 0;

    for (int error = 0; error < 2; error++) {
        const struct log_pipe *pipe = of->pipes[error];

        if (pipe && logfifo_left(pipe->fd) == 0)
            flags |= log_pid_fresh(pipe->conf.channel);
    }
    return flags;
}

bool logs_prepare(struct service *service, enum svc_role role, struct spawn_request *request, char *err,
                  size_t err_size)
{
    if (logs_is_suplog(service))
        logs_prepare_suplog(service->sup->logs, request);
    if (!service->parts->logs && !is_wanted(service))
        return true;
    if (!prepare_one(service, false, &request->log_fifo, err, err_size) ||
        !prepare_one(service, true, &request->error_fifo, err, err_size))
        return false;
    if (!service->parts->logs || (role != ROLE_SERVICE && role != ROLE_START))
        return true;
    request->pid_slot = slot_of(service);
    request->pid_flags = fresh_flags(service->parts->logs);
    return logs_match_prepare(service, request, err, err_size);
}

void logs_configure(struct service *service)
{
    for (int error = 0; service->parts->logs && error < 2; error++) {
        struct log_pipe *pipe = service->parts->logs->pipes[error];

        if (pipe && spec_log_is_piped(service->spec, error)) {
            struct log_stream conf = spec_log_stream(service->spec, error);
            log_pipe_configure(service->sup->logs, pipe, &conf);
        } else if (pipe && !svc_is_busy(service->svc)) {
            drop(service, error);
        }
    }
}

void logs_follow(struct service *service)
{
    int32_t *slot = service->parts->logs && svc_has_process(service->svc) ? slot_of(service) : NULL;

    if (slot && (*slot & LOG_PID_MASK) != service->svc->proc.pid)
        *slot = service->svc->proc.pid;
    logs_match_follow(service);
}

void logs_forget(struct service *service)
{
    struct logs *logs = service->sup->logs;

    if (!logs)
        return;
    drop(service, false);
    drop(service, true);
    if (logs_is_suplog(service))
        loop_timer_set(logs->turn, 0); /* somebody may need it again by now */
}

/* ---- over our death ---- */

static int take_kept(struct service *service, bool error, const char *fifo, bool *stored)
{
    const char *name = log_pipe_names[error];
    char *path = xasprintf("%s/%s", service->sup->logs->dir, fifo);
    int fd = store_recover_socket(service, name, stored);

    if (fd >= 0 && !logfifo_is(fd, path)) {
        store_reject_socket(service, name, fd, stored);
        fd = -1;
    }
    free(path);
    return fd;
}

static void recover_one(struct service *service, bool error)
{
    struct logs *logs = service->sup->logs;
    bool piped = spec_log_is_piped(service->spec, error);
    char *fifo = spec_log_fifo(service->spec, error);
    struct log_stream conf;
    char err[512];
    bool stored;

    bool is_old = take_old(logs, fifo, &conf);
    if (!is_old && !(piped && svc_is_busy(service->svc))) {
        free(fifo);
        return;
    }
    if (!is_old) {
        conf = spec_log_stream(service->spec, error);
        conf.slot = choose_slot(logs, get(service));
    } else if (conf.slot != LOG_ID_NONE && !logs->pids) {
        logs->pids = logfifo_map_pids(logs->dir);
    }
    int fd = take_kept(service, error, fifo, &stored);
    struct log_pipe *pipe = log_pipe_new(logs, &conf, fd, true, err, sizeof err);
    free(fifo);
    if (!pipe) {
        log_error("%s: %s; what it writes is not kept", service->spec->name, err);
        return;
    }
    log_pipe_own(logs, pipe, service, error, stored);
    get(service)->pipes[error] = pipe;
}

void logs_recover(struct service *service)
{
    recover_one(service, false);
    recover_one(service, true);
    if (service->parts->logs && !service->parts->logs->pipes[0] && !service->parts->logs->pipes[1]) {
        free(service->parts->logs);
        service_parts(service)->logs = NULL;
    }
    logs_configure(service);
    logs_follow(service);
}

/* One that nobody has open. */
static void remove_stray(void *ctx, const char *name)
{
    struct logs *logs = ctx;
    const struct log_pipe *pipe;

    TAILQ_FOREACH(pipe, &logs->pipes, link)
    {
        if (strcmp(pipe->conf.fifo, name) == 0)
            return;
    }
    char *path = xasprintf("%s/%s", logs->dir, name);
    unlink(path);
    free(path);
}

void logs_resume(struct supervisor *sup)
{
    struct logs *logs = sup->logs;
    struct log_stream conf;
    char err[512];

    while (logs->old && take_old(logs, logs->old->conf.fifo, &conf))
        log_pipe_new(logs, &conf, -1, false, err, sizeof err);
    logfifo_each(logs->dir, LOG_FIFO_SUFFIX, remove_stray, logs);
    logs_match_resume(logs);
    logs_touch(logs);
}

void logs_save(const struct service *service, json_t *array)
{
    for (int error = 0; service->parts->logs && error < 2; error++) {
        const struct log_pipe *pipe = service->parts->logs->pipes[error];

        if (pipe)
            json_array_append_new(array, json_pack("{s:s, s:i, s:b}", "listen", log_pipe_names[error], "fd", pipe->fd,
                                                   "stored", (int)pipe->stored));
    }
}

/* ---- commands ---- */

/* Its pipe that leads to a file; NULL: there is none. */
static struct log_pipe *to_file(const struct service *service, bool error)
{
    struct log_pipe *pipe = service->parts->logs ? service->parts->logs->pipes[error] : NULL;

    return pipe && pipe->conf.kind == LOG_SINK_FILE ? pipe : NULL;
}

bool logs_rotates(const struct service *service)
{
    return to_file(service, false) || to_file(service, true);
}

/* The time is of use to a suplog that is started later; one that runs goes by its being another. */
static uint32_t next_rotation(uint32_t last)
{
    uint32_t now = (uint32_t)(clock_now().wall / USEC_PER_SEC);

    return now > last ? now : last + 1;
}

bool logs_rotate(struct service *service, char *err, size_t err_size)
{
    for (int error = 0; error < 2; error++) {
        struct log_pipe *pipe = to_file(service, error);

        if (pipe)
            pipe->conf.rotation = next_rotation(pipe->conf.rotation);
    }
    if (!logs_rotates(service)) {
        snprintf(err, err_size, "has no log file that suplog writes");
        return false;
    }
    logs_touch(service->sup->logs);
    return true;
}

size_t logs_pending(const struct service *service)
{
    size_t left = 0;

    for (int error = 0; service->parts->logs && error < 2; error++) {
        const struct log_pipe *pipe = service->parts->logs->pipes[error];

        left += pipe ? logfifo_left(pipe->fd) : 0;
    }
    return left;
}
