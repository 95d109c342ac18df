/* SPDX-License-Identifier: MIT */
/*
 * What a batch of a service's output looks like in its log: timestamps, prefixes, JSON.  Pure: the same batch gives the
 * same text, which is what lets a batch that was being written when suplog died be written again in its place.
 */
#ifndef SUPD_SUPLOG_FORMAT_H
#define SUPD_SUPLOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/log_stream.h"

enum batch_start {
    BATCH_CONTINUES,     /* a line whose beginning is in the log already */
    BATCH_AT_LINE_START, /* what is in the log ends with a newline, or is nothing */
    BATCH_BREAKS_LINE,   /* somebody else's unfinished line is in the log, and is to be ended first */
    BATCH_START_N
};

struct batch {
    const char *data;
    size_t len;
    int64_t wall; /* us since the epoch: when it was read */
    int32_t pid;  /* of the service; 0: not known */
    enum batch_start start;
};

/*
 * Appends the text of BATCH to OUT, and stops behind the line with which LIMIT bytes are reached (0: no limit).  Returns
 * how many bytes of the batch that was.  With LOG_FORMAT_JSON what follows the last newline is taken for a line.
 */
size_t format_batch(const struct log_stream *stream, const struct batch *batch, size_t limit, struct buf *out);

/* How much of DATA is whole lines; all of it when that is nothing and LEN is LOG_LINE_MAX or more. */
size_t format_whole_lines(const char *data, size_t len);

/* How much of DATA that is up to the end of the line in which ROOM bytes (at least 1) are reached; all where LEN is less. */
size_t format_lines_within(const char *data, size_t len, size_t room);

/* WALL as STYLE (log_stream.timestamp) wants it.  Returns the length; the text is cut where BUF ends. */
size_t format_time(const char *style, int64_t wall, char *buf, size_t size);

#endif
