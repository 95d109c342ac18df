/* SPDX-License-Identifier: MIT */
/*
 * Services that are ready once a line of their output matches (ready = log:), core/log_match.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/clock.h"
#include "os/logfifo.h"
#include "os/logmatch.h"
#include "supd/logs_inner.h"

static char *path_of(const struct log_pipe *pipe, const struct logs *logs)
{
    char *name = log_match_name(pipe->conf.fifo);
    char *path = xasprintf("%s/%s", logs->dir, name ? name : "");

    free(name);
    return path;
}

static int make(const struct log_pipe *pipe, const struct service *service)
{
    const struct spec_ready *ready = &service->spec->life->ready;
    struct log_match match;
    char *path = path_of(pipe, service->sup->logs);
    int fd = -ENAMETOOLONG;

    if (log_match_init(&match, service->svc->life, pipe->conf.inode, (uint64_t)clock_now().mono, ready->where))
        fd = logmatch_new(path, &match);
    free(path);
    return fd;
}

bool logs_match_prepare(struct service *service, struct spawn_request *request, char *err, size_t err_size)
{
    struct service_logs *of = service->parts->logs;

    if (!of || service->spec->life->ready.kind != READY_LOG)
        return true;
    of->matching = true;
    request->log_lock = service->sup->logs->lock;
    for (int error = 0; error < 2; error++) {
        int fd = of->pipes[error] ? make(of->pipes[error], service) : 0;

        if (fd < 0) {
            snprintf(err, err_size, "ready: log: %s", strerror(-fd));
            return false;
        }
        request->match_fds[error] = fd;
    }
    return true;
}

int logs_match_look(const struct service *service)
{
    const struct service_logs *of = service->parts->logs;
    int result = -ENOENT;

    for (int error = 0; of && error < 2; error++) {
        if (!of->pipes[error])
            continue;
        char *path = path_of(of->pipes[error], service->sup->logs);
        int rc = logmatch_found(path, service->svc->life);
        free(path);
        if (rc > result)
            result = rc;
    }
    return result;
}

static bool is_awaited(const struct service *service)
{
    return service->svc->state == SVC_STARTING && (service->svc->todo & TODO_READY) != 0;
}

void logs_match_follow(struct service *service)
{
    struct service_logs *of = service->parts->logs;

    if (!of || !of->matching || is_awaited(service))
        return;
    for (int error = 0; error < 2; error++) {
        char *path = of->pipes[error] ? path_of(of->pipes[error], service->sup->logs) : NULL;

        if (path)
            unlink(path);
        free(path);
    }
    of->matching = false;
}

/* What an earlier supd has left: of use only to a life that still waits for it. */
static void found_one(void *ctx, const char *name)
{
    struct logs *logs = ctx;
    const struct log_pipe *pipe;
    char *fifo = log_match_fifo(name);

    TAILQ_FOREACH(pipe, &logs->pipes, link)
    {
        if (fifo && pipe->service && strcmp(pipe->conf.fifo, fifo) == 0)
            break;
    }
    if (pipe && is_awaited(pipe->service)) {
        pipe->service->parts->logs->matching = true;
    } else {
        char *path = xasprintf("%s/%s", logs->dir, name);

        unlink(path);
        free(path);
    }
    free(fifo);
}

void logs_match_resume(struct logs *logs)
{
    logfifo_each(logs->dir, LOG_MATCH_SUFFIX, found_one, logs);
}
