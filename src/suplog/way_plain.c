/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>

#include "suplog/fifo.h"
#include "suplog/format.h"
#include "suplog/stream.h"

/*
 * How many bytes may be spliced now: none beyond the size at which the file is rotated, whole lines into a file that
 * others write, too, and the rest of the line alone into one that is due.  0: wait for more; or -errno.
 */
static ssize_t allowance(struct stream *stream, bool line_only, const struct timestamp *now)
{
    const struct log_file *file = stream->file;
    const char *peeked = stream->desk->peeked;
    size_t n = STREAM_TURN;

    uint64_t room = log_file_room(file);
    if (room > 0 && !line_only && room < n)
        n = (size_t)room;
    if (!line_only && file->users < 2)
        return (ssize_t)n;
    ssize_t len = fifo_peek(stream->fifo, stream->desk->glass, stream->desk->peeked, LOG_LINE_MAX);
    if (len <= 0)
        return len;
    if (line_only)
        return (ssize_t)format_lines_within(peeked, log_file_line_room(file, (size_t)len), 1);
    return (ssize_t)format_lines_within(peeked, stream_portion(stream, peeked, (size_t)len, now), n);
}

/* Into the place where the file ends: splice(2) takes out of the FIFO what it has written, also when it is interrupted. */
static ssize_t splice_some(struct stream *stream, size_t max)
{
    struct log_file *file = stream->file;
    off_t at = (off_t)file->size;
    ssize_t n = splice(stream->fifo, NULL, file->fd, &at, max, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    file->size = (uint64_t)at;
    return n;
}

ssize_t way_plain(struct stream *stream, const struct timestamp *now)
{
    int ready = stream_file_ready(stream, now);

    if (ready < 0)
        return ready;
    if (!stream->file->regular)
        return way_lines(stream, now);
    int rc = stream_write_notice(stream, now);
    if (rc < 0)
        return rc;
    ssize_t max = allowance(stream, ready == 1, now);
    if (max <= 0)
        return max;
    int32_t life = stream_life(stream);
    ssize_t n = splice_some(stream, (size_t)max);
    if (n > 0)
        stream_batch_written(stream, life);
    return n;
}
