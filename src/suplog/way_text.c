/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suplog/fifo.h"
#include "suplog/format.h"
#include "suplog/stream.h"

/* Where the page's text goes, when an earlier suplog may have written a part of it there already. */
static int find_place(struct stream *stream)
{
    const struct page_head *head = stream->page->head;
    struct log_file *file = stream->file;

    if (head->offset != PAGE_APPENDS && head->dev == file->dev && head->ino == file->ino &&
        head->offset <= file->size) {
        if (ftruncate(file->fd, (off_t)head->offset) < 0)
            return -errno;
        file->size = head->offset;
    }
    page_move(stream->page, file->dev, file->ino, file->size);
    return 0;
}

int stream_finish_page(struct stream *stream)
{
    const struct page_head *head = stream->page->head;
    const struct batch batch = {stream->page->data, head->len, head->wall, head->life & LOG_PID_MASK,
                                (enum batch_start)head->start};
    struct buf *text = &stream->desk->text;
    int rc = find_place(stream);

    if (rc < 0)
        return rc;
    buf_reset(text);
    format_batch(&stream->conf, &batch, 0, text);
    rc = log_file_append(stream->file, text->data, text->len);
    if (rc < 0) {
        page_move(stream->page, 0, 0, PAGE_APPENDS);
        return rc;
    }
    stream_batch_written(stream, head->life);
    page_end(stream->page);
    page_give(stream->desk->common->pages, stream->page);
    stream->page = NULL;
    return 0;
}

/* Formats the first of LEN bytes, takes them out of the FIFO into a page, and writes their text. */
static ssize_t move_some(struct stream *stream, size_t len, bool line_only, const struct timestamp *now)
{
    struct desk *desk = stream->desk;
    struct log_file *file = stream->file;
    int32_t life = stream_life(stream);
    struct batch batch = {desk->peeked, len, now->wall, life & LOG_PID_MASK, stream_batch_start(stream, life)};
    uint64_t limit = line_only ? 1 : log_file_room(file);

    /* The text of one that is not worked on stays as it is, whatever stands in the file before it. */
    if (!log_stream_needs_copy(&stream->conf))
        batch.start = BATCH_CONTINUES;
    if (line_only)
        batch.len = log_file_line_room(file, len);
    buf_reset(&desk->text);
    size_t taken = format_batch(&stream->conf, &batch, (size_t)limit, &desk->text);
    struct page *page = page_take(desk->common->pages);
    if (!page)
        return -errno;
    struct page_place place = {file->dev, file->ino, file->size, batch.wall, life, batch.start, 0, 0, 0};
    if (stream->match)
        match_will_take(stream->match, taken, &place);
    page_begin(page, stream->encoded, desk->peeked, taken, &place);
    int rc = fifo_take(stream->fifo, page->data, taken);
    if (rc == 0) {
        if (stream->match)
            match_took(stream->match, taken);
        rc = log_file_append(file, desk->text.data, desk->text.len);
        if (rc < 0) {
            page_move(page, 0, 0, PAGE_APPENDS);
            stream->page = page;
            return rc;
        }
        stream_batch_written(stream, life);
    }
    page_end(page);
    page_give(desk->common->pages, page);
    return rc < 0 ? rc : (ssize_t)taken;
}

ssize_t way_text(struct stream *stream, const struct timestamp *now)
{
    int ready = stream_file_ready(stream, now);

    if (ready < 0)
        return ready;
    if (!stream->file->regular)
        return way_lines(stream, now);
    int rc = stream_write_notice(stream, now);
    if (rc < 0)
        return rc;
    ssize_t len = stream_peek(stream);
    size_t portion = len > 0 ? stream_portion(stream, stream->desk->peeked, (size_t)len, now) : 0;
    if (portion == 0)
        return len < 0 ? len : 0;
    size_t pass = stream_within_rate(stream, portion, now);
    return pass > 0 ? move_some(stream, pass, ready == 1, now) : stream_drop_over_rate(stream, portion);
}
