/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suplog/fifo.h"
#include "suplog/message.h"
#include "suplog/stream.h"

#define HOST_SIZE 65

/*
 * How much of DATA is written at once.  What others write into the same pipe may get between two writes, and into one that is
 * longer than PIPE_BUF: so it is whole lines, as many as fit in there, or one that is longer.
 */
static size_t piece(const char *data, size_t len)
{
    const char *newline = len > PIPE_BUF ? memrchr(data, '\n', PIPE_BUF) : NULL;

    if (len > PIPE_BUF && !newline)
        newline = memchr(data + PIPE_BUF, '\n', len - PIPE_BUF);
    return newline ? (size_t)(newline - data) + 1 : len;
}

/* All of DATA to FD, which may be nonblocking, because others share it.  0 or -errno. */
static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, piece(data, len));
        struct pollfd room = {.fd = fd, .events = POLLOUT};

        if (n < 0 && errno == EAGAIN)
            poll(&room, 1, -1);
        else if (n < 0 && errno != EINTR)
            return -errno;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* LEN bytes of whole lines to FD; formatted first. */
static int write_lines(struct stream *stream, int fd, const char *data, size_t len, const struct timestamp *now)
{
    struct batch batch = {data, len, now->wall, stream_pid(stream), BATCH_AT_LINE_START};
    struct buf *text = &stream->desk->text;

    if (!log_stream_needs_copy(&stream->conf))
        return write_all(fd, data, len);
    buf_reset(text);
    format_batch(&stream->conf, &batch, 0, text);
    return write_all(fd, text->data, text->len);
}

/* One datagram; the socket is connected when it is not, and let go when nobody is behind it any more. */
static int send_once(int *fd, const char *path, const struct buf *message)
{
    if (*fd < 0) {
        int connected = message_connect(path);

        if (connected < 0)
            return connected;
        *fd = connected;
    }
    ssize_t n;
    do {
        n = send(*fd, message->data, message->len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    int rc = -errno;
    close(*fd);
    *fd = -1;
    return rc;
}

/* Who was behind a connection that we had may have been started again. */
static int send_message(int *fd, const char *path, const struct buf *message)
{
    bool was_connected = *fd >= 0;
    int rc = send_once(fd, path, message);

    return rc < 0 && was_connected ? send_once(fd, path, message) : rc;
}

static int send_line(struct stream *stream, const char *line, size_t len, const struct timestamp *now)
{
    struct desk *desk = stream->desk;
    struct buf *message = &desk->text;
    char host[HOST_SIZE] = "";

    buf_reset(message);
    if (stream->conf.kind == LOG_SINK_JOURNAL) {
        message_journal(&stream->conf, stream_pid(stream), line, len, message);
        return send_message(&desk->journal, MESSAGE_JOURNAL_SOCKET, message);
    }
    gethostname(host, sizeof host - 1);
    message_syslog(&stream->conf, stream_pid(stream), host, now->wall, line, len, message);
    return send_message(&desk->syslog, MESSAGE_SYSLOG_SOCKET, message);
}

/* How many bytes were handed over; -errno when none could be. */
static ssize_t send_lines(struct stream *stream, const char *data, size_t len, const struct timestamp *now)
{
    size_t done = 0;

    while (done < len) {
        const char *line = data + done;
        const char *newline = memchr(line, '\n', len - done);
        size_t line_len = newline ? (size_t)(newline - line) : len - done;
        int rc = line_len > 0 ? send_line(stream, line, line_len, now) : 0;

        if (rc < 0)
            return done > 0 ? (ssize_t)done : rc;
        done += line_len + (newline ? 1 : 0);
    }
    return (ssize_t)done;
}

static ssize_t hand_over(struct stream *stream, const char *data, size_t len, const struct timestamp *now)
{
    int rc;

    if (stream->conf.kind == LOG_SINK_JOURNAL || stream->conf.kind == LOG_SINK_SYSLOG)
        return send_lines(stream, data, len, now);
    rc = write_lines(stream, stream->file ? stream->file->fd : STDOUT_FILENO, data, len, now);
    return rc < 0 ? rc : (ssize_t)len;
}

static int hand_over_notice(struct stream *stream, const struct timestamp *now)
{
    char *notice = stream_notice(stream, now);

    if (!notice)
        return 0;
    ssize_t n = hand_over(stream, notice, strlen(notice), now);
    if (n >= 0)
        stream_told(stream);
    free(notice);
    return n < 0 ? (int)n : 0;
}

ssize_t way_lines(struct stream *stream, const struct timestamp *now)
{
    struct desk *desk = stream->desk;
    int rc = hand_over_notice(stream, now);

    if (rc < 0)
        return rc;
    ssize_t len = stream_peek(stream);
    size_t portion = len > 0 ? stream_portion(stream, desk->peeked, (size_t)len, now) : 0;
    if (portion == 0)
        return len < 0 ? len : 0;
    size_t pass = stream_within_rate(stream, portion, now);
    if (pass == 0)
        return stream_drop_over_rate(stream, portion);
    ssize_t n = hand_over(stream, desk->peeked, pass, now);
    if (n <= 0)
        return n;
    rc = stream_take(stream, (size_t)n);
    return rc < 0 ? rc : n;
}
