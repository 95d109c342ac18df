/* SPDX-License-Identifier: MIT */
/*
 * One FIFO of RUNTIME/log.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/logfifo.h"
#include "supd/logs_inner.h"
#include "supd/process.h"

/* The kernel keeps a table for each that is enlarged, full or empty: 10 KiB. */
#define LARGE_MAX 1000

const char *const log_pipe_names[2] = {"log", "log-error"};

uint8_t *log_slot_users(struct logs *logs)
{
    if (!logs->slots)
        logs->slots = xcalloc(LOG_SLOTS, 1);
    return logs->slots;
}

static void opened(struct logs *logs, struct log_pipe *pipe, int fd)
{
    struct stat st;

    pipe->fd = fd;
    pipe->conf.inode = fstat(fd, &st) == 0 ? st.st_ino : 0;
    if (logs->n < LARGE_MAX)
        logfifo_enlarge(fd);
    logs_hand_over(logs, pipe);
    logs_touch(logs);
}

static int open_it(const char *path, bool make, char *err, size_t err_size)
{
    int fd = logfifo_open(path, make);

    if (fd == -EEXIST)
        snprintf(err, err_size, "log: %s is in the way: it is no FIFO of ours", path);
    else if (fd < 0)
        snprintf(err, err_size, "log: %s: %s", path, strerror(-fd));
    return fd;
}

struct log_pipe *log_pipe_new(struct logs *logs, struct log_stream *conf, int fd, bool make, char *err, size_t err_size)
{
    char *path = xasprintf("%s/%s", logs->dir, conf->fifo);

    if (fd < 0)
        fd = open_it(path, make, err, err_size);
    if (fd < 0) {
        free(path);
        log_stream_clear(conf);
        return NULL;
    }
    struct log_pipe *pipe = xcalloc(1, sizeof *pipe);
    pipe->conf = *conf;
    *conf = (struct log_stream){0};
    pipe->path = path;
    if (pipe->conf.slot != LOG_ID_NONE)
        log_slot_users(logs)[pipe->conf.slot]++;
    TAILQ_INSERT_TAIL(&logs->pipes, pipe, link);
    logs->n++;
    logs->n_left++;
    opened(logs, pipe, fd);
    return pipe;
}

void log_pipe_own(struct logs *logs, struct log_pipe *pipe, struct service *service, bool error, bool stored)
{
    pipe->service = service;
    pipe->stored = stored || store_add_socket(service, log_pipe_names[error], pipe->fd);
    logs->n_left--;
}

bool log_pipe_ready(struct logs *logs, struct log_pipe *pipe, bool error, char *err, size_t err_size)
{
    if (logfifo_is(pipe->fd, pipe->path))
        return true;
    int fd = open_it(pipe->path, true, err, err_size);
    if (fd < 0)
        return false;
    log_warning("%s: %s was removed; what is in it is written where it is still open", pipe->conf.service, pipe->path);
    if (pipe->stored)
        store_remove_socket(pipe->service, log_pipe_names[error]);
    close(pipe->fd);
    opened(logs, pipe, fd);
    pipe->stored = store_add_socket(pipe->service, log_pipe_names[error], fd);
    return true;
}

static bool same_place(const struct log_stream *a, const struct log_stream *b)
{
    return a->path && b->path && strcmp(a->path, b->path) == 0;
}

void log_pipe_configure(struct logs *logs, struct log_pipe *pipe, struct log_stream *conf)
{
    conf->inode = pipe->conf.inode;
    conf->rotation = same_place(conf, &pipe->conf) ? pipe->conf.rotation : 0;
    conf->slot = pipe->conf.slot;
    if (!log_stream_equal(conf, &pipe->conf)) {
        log_stream_clear(&pipe->conf);
        pipe->conf = *conf;
        *conf = (struct log_stream){0};
        logs_touch(logs);
    }
    log_stream_clear(conf);
}

void log_pipe_leave(struct logs *logs, struct log_pipe *pipe, bool error)
{
    if (pipe->stored)
        store_remove_socket(pipe->service, log_pipe_names[error]);
    pipe->stored = false;
    pipe->service = NULL;
    logs->n_left++;
    logs_touch(logs);
}

void log_pipe_free(struct logs *logs, struct log_pipe *pipe)
{
    TAILQ_REMOVE(&logs->pipes, pipe, link);
    logs->n--;
    if (!pipe->service)
        logs->n_left--;
    if (pipe->conf.slot != LOG_ID_NONE)
        log_slot_users(logs)[pipe->conf.slot]--;
    close(pipe->fd);
    log_stream_clear(&pipe->conf);
    free(pipe->path);
    free(pipe);
}
