/* SPDX-License-Identifier: MIT */
/*
 * A log of one service, or of several that write to one file, as a row of lines: those that are wanted of its past, and
 * then, as they are written, those to come, whatever becomes of its file meanwhile.
 */
#ifndef SUPD_SUPCTL_LOG_SOURCE_H
#define SUPD_SUPCTL_LOG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supctl/log_chain.h"
#include "supctl/log_order.h"
#include "supctl/log_scan.h"

struct log_source {
    char *service;
    const char *stream; /* "out", "err", or "both" where one file takes both */
    char *label;        /* what its lines are marked with */
    char *path;
    bool seen; /* a refresh of the list has found it again */

    struct log_head head;
    struct log_piece piece; /* while head.there */
    bool shown;             /* the line that is read is wanted */
    bool asleep;            /* there was nothing more to read, and no news since */
    bool awaited;           /* its file does not exist yet */

    struct log_chain chain;  /* what is read; empty: the file does not exist yet */
    struct log_file *former; /* what was followed before, which may still be written to; NULL: nothing */
    int inotify;             /* -1: nothing is followed */
    int watch_file;          /* of inotify(7), -1: none */
    int watch_former;
    int watch_dir;
};

struct log_source *log_source_new(const char *service, const char *stream, const char *path);
void log_source_free(struct log_source *source);

/* Makes the label say that SERVICE writes there, too. */
void log_source_add_service(struct log_source *source, const char *service);

/*
 * Opens it and goes to the first line that FILTER wants; NEEDS_TIME: its lines are to be sorted by their times.  INOTIFY,
 * if it is not -1, tells of what is written from then on.  False, and told, where there is nothing to read: *STATUS.
 */
bool log_source_open(struct log_source *source, const struct log_filter *filter, bool needs_time, int inotify,
                     int *status);

/*
 * Sees to it that the head is there if there is a line; REST: or one that has no end yet.  SPARE is for what it likes.
 */
bool log_source_fill(struct log_source *source, const struct log_filter *filter, bool rest, struct buf *spare);

/* Something happened to what WATCH of inotify(7) is set on, -1: maybe to everything. */
void log_source_wake(struct log_source *source, int watch);

/* It has been shown. */
void log_source_take(struct log_source *source);

/* Its log is PATH from now on. */
void log_source_move(struct log_source *source, const char *path);

/* Begins to watch the directory where that could not be done yet. */
void log_source_watch(struct log_source *source);

#endif
