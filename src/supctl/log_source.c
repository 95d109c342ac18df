/* SPDX-License-Identifier: MIT */
#include "supctl/log_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/mem.h"
#include "supctl/commands.h"
#include "supctl/log_time.h"
#include "supctl/text.h"

struct log_source *log_source_new(const char *service, const char *stream, const char *path)
{
    struct log_source *source = xcalloc(1, sizeof *source);

    source->service = xstrdup(service);
    source->stream = stream;
    source->label = strcmp(stream, "err") == 0 ? xasprintf("%s (err)", service) : xstrdup(service);
    source->path = xstrdup(path);
    source->inotify = source->watch_file = source->watch_former = source->watch_dir = -1;
    source->head.time = LOG_TIME_NONE;
    source->seen = true;
    return source;
}

void log_source_add_service(struct log_source *source, const char *service)
{
    char *label = xasprintf("%s,%s", source->label, service);

    free(source->label);
    source->label = label;
}

/* ---- what inotify tells of ---- */

/* By the descriptor, so that it is this file and no other that has got the name meanwhile. */
static int watch_file(const struct log_source *source, const struct log_file *file)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", log_file_fd(file));
    return inotify_add_watch(source->inotify, path, IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF);
}

static void unwatch(const struct log_source *source, int *watch)
{
    if (*watch >= 0)
        inotify_rm_watch(source->inotify, *watch);
    *watch = -1;
}

void log_source_watch(struct log_source *source)
{
    const char *slash = strrchr(source->path, '/');

    if (source->inotify < 0 || source->watch_dir >= 0 || !slash)
        return;
    source->asleep = false;
    char *dir = xstrndup(source->path, slash == source->path ? 1 : (size_t)(slash - source->path));
    source->watch_dir = inotify_add_watch(source->inotify, dir, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    free(dir);
}

static void drop_former(struct log_source *source)
{
    unwatch(source, &source->watch_former);
    log_file_close(source->former);
    source->former = NULL;
}

/* What was followed so far is the former file now. */
static void retire(struct log_source *source)
{
    drop_former(source);
    source->former = log_chain_steal(&source->chain);
    source->watch_former = source->watch_file;
    source->watch_file = -1;
}

static void watch_youngest(struct log_source *source)
{
    if (source->inotify >= 0 && source->chain.n > 0)
        source->watch_file = watch_file(source, source->chain.files[0]);
}

/* ---- the beginning ---- */

static int tell_unreadable(const struct log_source *source, int error)
{
    const char *path = source->path;

    switch (error) {
    case ENOENT:
        complain("%s: %s does not exist yet; it is made when the service starts%s", source->label, path,
                 source->inotify >= 0 ? ", and waited for" : "");
        return SUPCTL_FAILED;
    case EACCES:
    case EPERM:
        complain("%s: %s may not be read by this user; its owner, its group where its mode allows it, and root may: "
                 "'ls -l %s' tells who that is",
                 source->label, path, path);
        return SUPCTL_NOT_PERMITTED;
    case ESPIPE:
        complain("%s: its output goes to %s, which keeps nothing that could be read", source->label, path);
        return SUPCTL_FAILED;
    default:
        complain("%s: %s: %s", source->label, path, strerror(error));
        return SUPCTL_FAILED;
    }
}

static bool times_fit(struct log_source *source, const struct log_filter *filter)
{
    bool empty;

    source->head.timed = log_chain_is_timed(&source->chain, source->path, &empty);
    if (source->head.timed || empty || !log_filter_asks_time(filter))
        return true;
    complain("%s: --since and --until do not apply to %s, whose lines do not begin with their times; "
             "'log-timestamp = yes' in the section of the service makes them",
             source->label, source->path);
    return false;
}

bool log_source_open(struct log_source *source, const struct log_filter *filter, bool needs_time, int inotify,
                     int *status)
{
    source->inotify = inotify;
    log_source_watch(source);
    int error = log_chain_open(&source->chain, source->path);
    source->awaited = error == ENOENT;
    *status = error == 0 ? SUPCTL_DONE : tell_unreadable(source, error);
    if (*status != SUPCTL_DONE)
        return false;
    watch_youngest(source);
    if ((needs_time || log_filter_asks_time(filter)) && !times_fit(source, filter)) {
        *status = SUPCTL_FAILED;
        return false;
    }
    log_chain_find(&source->chain, source->path, filter, needs_time && source->head.timed, &source->head.time);
    return true;
}

/* ---- line by line ---- */

static bool is_wanted(struct log_source *source, const struct log_filter *filter, struct buf *spare)
{
    const struct log_piece *piece = &source->piece;
    struct log_line line;

    log_line_read(&line, piece->data, piece->len);
    if (line.time != LOG_TIME_NONE) {
        source->head.time = line.time;
        source->head.timed = true;
    }
    bool wanted = log_filter_fits_time(filter, source->head.time) && log_filter_fits(filter, &line, spare);
    log_line_clear(&line);
    return wanted;
}

/* Has another file taken the place of FILE, which may be NULL? */
static bool has_successor(const struct log_source *source, const struct log_file *file)
{
    struct stat st;

    return source->inotify >= 0 && stat(source->path, &st) == 0 && !(file && log_file_is(file, &st));
}

/* Goes on with it, and with what was rotated away in between. */
static bool turn(struct log_source *source, const struct log_file *file)
{
    struct log_chain next;

    if ((file ? log_chain_open_after(&next, source->path, file) : log_chain_open(&next, source->path)) != 0)
        return false;
    if (file)
        retire(source);
    source->chain = next;
    watch_youngest(source);
    return true;
}

/* The next piece of FILE; REST: or of a line without an end, which CLOSES says will get none. */
static bool read_piece(struct log_source *source, struct log_file *file, bool rest, bool closes)
{
    if (log_file_next(file, &source->piece))
        return true;
    if (!rest || !log_file_rest(file, &source->piece))
        return false;
    source->piece.ends = closes;
    return true;
}

static bool read_former(struct log_source *source)
{
    struct stat st;

    if (!source->former)
        return false;
    if (read_piece(source, source->former, false, false))
        return true;
    /* Nobody finds it any more, and as long as it is held open it takes room. */
    if (fstat(log_file_fd(source->former), &st) == 0 && st.st_nlink == 0)
        drop_former(source);
    return false;
}

static bool next_piece(struct log_source *source, bool rest)
{
    if (read_former(source))
        return true;
    for (;;) {
        struct log_file *file = log_chain_file(&source->chain);
        bool last = source->chain.at == 0;

        if (file && read_piece(source, file, rest || !last, !last))
            return true;
        if (!last) {
            log_chain_advance(&source->chain);
            continue;
        }
        if (!has_successor(source, file))
            return false;
        /* What came between the last look and the rotation. */
        if (file && read_piece(source, file, true, true))
            return true;
        if (!turn(source, file))
            return false;
    }
}

void log_source_wake(struct log_source *source, int watch)
{
    if (watch < 0 || watch == source->watch_file || watch == source->watch_former || watch == source->watch_dir)
        source->asleep = false;
}

bool log_source_fill(struct log_source *source, const struct log_filter *filter, bool rest, struct buf *spare)
{
    while (!source->head.there && !source->asleep) {
        source->asleep = !next_piece(source, rest);
        if (source->asleep)
            break;
        source->head.inside = !source->piece.begins;
        if (source->piece.begins)
            source->shown = is_wanted(source, filter, spare);
        source->head.there = source->shown;
    }
    return source->head.there;
}

void log_source_take(struct log_source *source)
{
    source->head.there = false;
}

void log_source_move(struct log_source *source, const char *path)
{
    free(source->path);
    source->path = xstrdup(path);
    source->watch_dir = -1;
    source->asleep = false;
    log_source_watch(source);
    if (source->chain.n > 0)
        retire(source);
}

void log_source_free(struct log_source *source)
{
    if (!source)
        return;
    unwatch(source, &source->watch_file);
    drop_former(source);
    log_chain_close(&source->chain);
    free(source->service);
    free(source->label);
    free(source->path);
    free(source);
}
