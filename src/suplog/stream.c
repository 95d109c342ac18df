/* SPDX-License-Identifier: MIT */
#include "suplog/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "suplog/fifo.h"
#include "suplog/format.h"
#include "suplog/message.h"
#include "suplog/say.h"

#define LINE_PATIENCE USEC_PER_SEC /* an unfinished line waits so long for its rest, and a rotation for its end */
#define DELAY_FIRST (50 * USEC_PER_MSEC)
#define DELAY_MAX USEC_PER_SEC

static const char *sink_name(const struct stream *stream)
{
    static const char *const names[LOG_SINK_N] = {
        [LOG_SINK_JOURNAL] = "the journal (" MESSAGE_JOURNAL_SOCKET ")",
        [LOG_SINK_SYSLOG] = "the system log (" MESSAGE_SYSLOG_SOCKET ")",
        [LOG_SINK_INHERIT] = "standard output",
    };

    return stream->file ? stream->file->path : names[stream->conf.kind];
}

/* Why it takes nothing, and what can be done. */
static const char *sink_error(const struct stream *stream, int error)
{
    if (stream->file)
        return log_file_error(stream->file, error);
    if (error == ENOENT || error == ECONNREFUSED)
        return "nobody listens there: start what does, or let log be a file";
    return strerror(error);
}

static void drop_page(struct stream *stream)
{
    if (!stream->page)
        return;
    stream->lost_bytes += stream->page->head->len;
    page_end(stream->page);
    page_give(stream->desk->common->pages, stream->page);
    stream->page = NULL;
}

ssize_t stream_peek(struct stream *stream)
{
    ssize_t len = fifo_peek(stream->fifo, stream->desk->glass, stream->desk->peeked, LOG_LINE_MAX);

    if (len <= 0 || !stream->match)
        return len;
    uint64_t may_go = match_free(stream->match);
    return (uint64_t)len < may_go ? len : (ssize_t)may_go;
}

int stream_take(struct stream *stream, size_t len)
{
    struct desk *desk = stream->desk;
    struct page_place place = {.passed_on = 1};

    if (!stream->match)
        return fifo_take(stream->fifo, desk->peeked, len);
    struct page *page = page_take(desk->common->pages);
    if (!page)
        return -errno;
    match_will_take(stream->match, len, &place);
    page_begin(page, stream->encoded, desk->peeked, len, &place);
    int rc = fifo_take(stream->fifo, page->data, len);
    if (rc == 0)
        match_took(stream->match, len);
    page_end(page);
    page_give(desk->common->pages, page);
    return rc;
}

/* How much was dropped; 0: there is nothing left that could be. */
static size_t drop_some(struct stream *stream, const struct timestamp *now)
{
    ssize_t n;

    if (stream->match)
        match_look(stream, now);
    if (stream->match)
        n = stream_peek(stream);
    else
        n = read(stream->fifo, stream->desk->peeked, LOG_LINE_MAX);
    if (n <= 0 || (stream->match && stream_take(stream, (size_t)n) < 0))
        return 0;
    return (size_t)n;
}

static void drop_all(struct stream *stream, const struct timestamp *now)
{
    size_t n;

    drop_page(stream);
    while ((n = drop_some(stream, now)) > 0)
        stream->lost_bytes += n;
}

/* The sink took nothing: that is said once, and it is tried again later. */
static void be_stuck(struct stream *stream, int error, const struct timestamp *now)
{
    if (!stream->stuck)
        say(LOG_LEVEL_ERROR, "%s: cannot write its log to %s: %s; %s until it can be", stream->conf.service,
            sink_name(stream), sink_error(stream, error),
            stream->conf.drop_when_full ? "its output is dropped" : "it waits");
    stream->delay = !stream->stuck ? DELAY_FIRST : stream->delay * 2 < DELAY_MAX ? stream->delay * 2 : DELAY_MAX;
    stream->stuck = true;
    stream->wake = now->mono + stream->delay;
    if (stream->conf.drop_when_full)
        drop_all(stream, now);
}

static void be_unstuck(struct stream *stream)
{
    if (!stream->stuck)
        return;
    say(LOG_LEVEL_INFO, "%s: its log is written to %s again", stream->conf.service, sink_name(stream));
    stream->stuck = false;
}

char *stream_notice(const struct stream *stream, const struct timestamp *now)
{
    const struct rate *rate = &stream->rate;
    char period[32];

    if (stream->lost_bytes > 0)
        return xasprintf("suplog: %llu bytes were dropped here, for nothing could be written\n",
                         (unsigned long long)stream->lost_bytes);
    if (!rate_is_due(rate, stream->conf.rate_period, now->mono))
        return NULL;
    return xasprintf("suplog: %llu bytes (%llu lines) were dropped here, for more than %llu came in %s\n",
                     (unsigned long long)rate->bytes, (unsigned long long)rate->lines,
                     (unsigned long long)stream->conf.rate_bytes,
                     duration_format(stream->conf.rate_period, period, sizeof period));
}

void stream_told(struct stream *stream)
{
    if (stream->lost_bytes > 0)
        say(LOG_LEVEL_WARNING, "%s: %llu bytes of its output were dropped, for %s took none", stream->conf.service,
            (unsigned long long)stream->lost_bytes, sink_name(stream));
    else
        rate_told(&stream->rate);
    stream->lost_bytes = 0;
}

/* At AT, mono us, if not before; 0: never. */
static void wake_at(struct stream *stream, int64_t at)
{
    if (at > 0 && (stream->wake == 0 || at < stream->wake))
        stream->wake = at;
}

static bool shares_file(const struct stream *stream)
{
    return stream->file && stream->file->users > 1;
}

static bool wants_whole_lines(const struct stream *stream)
{
    return stream->conf.format == LOG_FORMAT_JSON || stream->conf.kind != LOG_SINK_FILE || shares_file(stream) ||
           stream->conf.rate_period > 0;
}

/*
 * Are the LEN bytes of a line that were peeked all that can be seen of it, because there is no room for more in the FIFO or in
 * what is peeked into?  What has come since they were peeked may be the rest of the line: then it is seen in the next turn.
 */
static bool is_all_to_see(const struct stream *stream, size_t len)
{
    return (fifo_is_full(stream->fifo) || fifo_left(stream->fifo) > len) &&
           fifo_peek(stream->fifo, stream->desk->glass, stream->desk->peeked, LOG_LINE_MAX) == (ssize_t)len;
}

size_t stream_portion(struct stream *stream, const char *data, size_t len, const struct timestamp *now)
{
    size_t whole = wants_whole_lines(stream) ? format_whole_lines(data, len) : len;

    if (whole > 0 || len == 0) {
        stream->line_since = 0;
        return whole;
    }
    if (stream->line_since == 0)
        stream->line_since = now->mono;
    if (stream->closing || now->mono - stream->line_since >= LINE_PATIENCE || is_all_to_see(stream, len)) {
        stream->line_since = 0;
        return len;
    }
    wake_at(stream, stream->line_since + LINE_PATIENCE);
    return 0;
}

size_t stream_within_rate(struct stream *stream, size_t len, const struct timestamp *now)
{
    const struct log_stream *conf = &stream->conf;

    if (conf->rate_period == 0)
        return len;
    size_t pass = rate_take(&stream->rate, conf->rate_bytes, conf->rate_period, len, now->mono);
    return pass == len ? len : format_whole_lines(stream->desk->peeked, pass);
}

ssize_t stream_drop_over_rate(struct stream *stream, size_t len)
{
    int rc = stream_take(stream, len);

    if (rc < 0)
        return rc;
    rate_dropped(&stream->rate, stream->desk->peeked, len);
    return (ssize_t)len;
}

/* Where the present life of its service stands; NULL: it is not known. */
static int32_t *life_slot(const struct stream *stream)
{
    const struct suplog_common *common = stream->desk->common;

    return common->pids && stream->conf.slot < common->n_pids ? &common->pids[stream->conf.slot] : NULL;
}

int32_t stream_life(const struct stream *stream)
{
    const int32_t *slot = life_slot(stream);

    return slot ? __atomic_load_n(slot, __ATOMIC_SEQ_CST) : 0;
}

int32_t stream_pid(const struct stream *stream)
{
    return stream_life(stream) & LOG_PID_MASK;
}

enum batch_start stream_batch_start(const struct stream *stream, int32_t life)
{
    bool is_fresh = (life & log_pid_fresh(stream->conf.channel)) != 0;

    if (log_file_at_line_start(stream->file))
        return BATCH_AT_LINE_START;
    return is_fresh || shares_file(stream) || stream->conf.format == LOG_FORMAT_JSON ? BATCH_BREAKS_LINE
                                                                                     : BATCH_CONTINUES;
}

void stream_batch_written(struct stream *stream, int32_t life)
{
    int32_t known = life & ~log_pid_fresh(stream->conf.channel);
    int32_t *slot = life_slot(stream);

    /* Another life may have begun meanwhile, or something of the other stream have been written. */
    while (slot && life != known &&
           !__atomic_compare_exchange_n(slot, &life, known, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        if ((life & LOG_PID_MASK) != (known & LOG_PID_MASK))
            return;
        known = life & ~log_pid_fresh(stream->conf.channel);
    }
}

int stream_write_notice(struct stream *stream, const struct timestamp *now)
{
    char *notice = stream_notice(stream, now);
    struct buf *text = &stream->desk->text;

    if (!notice)
        return 0;
    struct batch batch = {notice, strlen(notice), now->wall, stream_pid(stream), stream_batch_start(stream, 0)};
    if (batch.start == BATCH_CONTINUES)
        batch.start = BATCH_BREAKS_LINE;
    buf_reset(text);
    format_batch(&stream->conf, &batch, 0, text);
    int rc = log_file_append(stream->file, text->data, text->len);
    if (rc == 0)
        stream_told(stream);
    free(notice);
    return rc;
}

/*
 * Has the file, which is due, to wait for the end of a line that is in it?  Not for more than a line may have, and one that is
 * to be rotated because somebody wants it, not for long.
 */
static bool waits_for_line(struct stream *stream, const struct timestamp *now)
{
    struct log_file *file = stream->file;

    if (log_file_at_line_start(file) || log_file_line_room(file, 1) == 0)
        return false;
    if (!file->rotation_wanted)
        return true;
    if (file->wanted_since == 0)
        file->wanted_since = now->mono;
    if (now->mono - file->wanted_since >= LINE_PATIENCE)
        return false;
    wake_at(stream, file->wanted_since + LINE_PATIENCE);
    return true;
}

int stream_file_ready(struct stream *stream, const struct timestamp *now)
{
    struct log_file *file = stream->file;
    bool opened;
    int rc = log_file_ready(file, now, &opened);

    /* What was begun in this file is finished before it gets another name. */
    if (rc == 0 && stream->page)
        rc = stream_finish_page(stream);
    if (rc < 0)
        return rc;
    if (opened && file->compress)
        compressor_add(stream->desk->compressor, file->path, file->keep);
    /* It was asked for when no suplog was there to do it. */
    if (opened && log_file_is_older(file, stream->conf.rotation))
        file->rotation_wanted = true;
    if (file->size == 0)
        file->rotation_wanted = false;
    if (!log_file_is_due(file, now))
        return 0;
    if (waits_for_line(stream, now))
        return 1;
    rc = log_file_rotate(file, stream->desk->compressor, now);
    if (rc < 0) {
        say(LOG_LEVEL_ERROR, "%s: cannot be rotated: %s; it grows on", file->path,
            rc == -ELOOP ? "it is a symbolic link" : strerror(-rc));
        return 0;
    }
    return log_file_ready(file, now, &opened);
}

static ssize_t step(struct stream *stream, const struct timestamp *now)
{
    if (stream->fifo < 0) /* it was opened to finish a page, and that alone */
        return stream->page ? stream_file_ready(stream, now) : 0;
    if (stream->match)
        match_look(stream, now);
    if (stream->conf.kind != LOG_SINK_FILE)
        return way_lines(stream, now);
    return log_stream_needs_copy(&stream->conf) || stream->match ? way_text(stream, now) : way_plain(stream, now);
}

/* One turn.  It is over, too, when little comes again and again: its writer is at it just now, so it is left alone a while. */
static enum stream_result run(struct stream *stream, const struct timestamp *now)
{
    enum stream_result result = STREAM_MORE;
    size_t moved = 0;

    for (int little = 0; little < 2 && moved < STREAM_TURN;) {
        ssize_t n = step(stream, now);

        if (n < 0)
            be_stuck(stream, (int)-n, now);
        if (n <= 0) {
            result = STREAM_EMPTY;
            break;
        }
        be_unstuck(stream);
        moved += (size_t)n;
        little += n < PACE_LITTLE;
    }
    pace_moved(&stream->desk->pace, stream->fifo, moved);
    return result;
}

enum stream_result stream_run(struct stream *stream, const struct timestamp *now)
{
    if (stream->stuck && now->mono < stream->wake) {
        if (stream->match) /* that what it has to say cannot be written does not make the service less ready */
            match_look(stream, now);
        return STREAM_EMPTY;
    }
    stream->wake = 0;
    enum stream_result result = run(stream, now);
    if (stream->rate.bytes > 0 && stream->wake == 0)
        stream->wake = stream->rate.began + stream->conf.rate_period;
    if (stream->match)
        wake_at(stream, match_wake(stream->match));
    return result;
}

void stream_clear(struct stream *stream)
{
    match_leave(stream);
    if (stream->fifo >= 0)
        close(stream->fifo);
    log_stream_clear(&stream->conf);
    free(stream->encoded);
}
