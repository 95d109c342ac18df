/* SPDX-License-Identifier: MIT */
#include "suplog/format.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/units.h"

#define TIME_MAX 128

static size_t format_rfc3339(int64_t wall, char *buf, size_t size)
{
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    int len = snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                       tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall % USEC_PER_SEC));
    return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

size_t format_time(const char *style, int64_t wall, char *buf, size_t size)
{
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    struct tm tm;

    if (strcmp(style, LOG_TIMESTAMP_RFC3339) == 0)
        return format_rfc3339(wall, buf, size);
    localtime_r(&seconds, &tm);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* it is the administrator's */
    return strftime(buf, size, style, &tm);
#pragma GCC diagnostic pop
}

/* Length of the UTF-8 sequence at P, of which LEFT bytes are there; 0: it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return len;
}

/* What stands for itself in a JSON string. */
static const bool is_plain[256] = {[0x20 ... 0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7e] = true};

/* As the inside of a JSON string; what is no UTF-8 becomes U+FFFD. */
static void add_json_text(struct buf *out, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    const unsigned char *end = p + len;

    while (p < end) {
        const unsigned char *plain = p;
        while (p < end && is_plain[*p])
            p++;
        buf_add(out, plain, (size_t)(p - plain));
        if (p == end)
            return;
        size_t n = utf8_length(p, (size_t)(end - p));
        if (n == 0) {
            buf_add_string(out, "\\ufffd");
            p++;
        } else if (n > 1) {
            buf_add(out, p, n);
            p += n;
        } else if (*p == '"' || *p == '\\') {
            buf_addf(out, "\\%c", *p++);
        } else if (*p == '\t') {
            buf_add_string(out, "\\t");
            p++;
        } else {
            buf_addf(out, "\\u%04x", *p++);
        }
    }
}

/* What stands before the text of each line of the batch. */
static void add_line_head(struct buf *head, const struct log_stream *stream, const struct batch *batch)
{
    char when[TIME_MAX];

    if (stream->format == LOG_FORMAT_JSON) {
        format_time(stream->timestamp ? stream->timestamp : LOG_TIMESTAMP_RFC3339, batch->wall, when, sizeof when);
        buf_add_string(head, "{\"time\":\"");
        add_json_text(head, when, strlen(when));
        buf_add_string(head, "\",\"service\":\"");
        add_json_text(head, stream->service, strlen(stream->service));
        if (batch->pid > 0)
            buf_addf(head, "\",\"pid\":%d,\"stream\":\"", batch->pid);
        else
            buf_add_string(head, "\",\"pid\":null,\"stream\":\"");
        buf_add_string(head, log_channel_name(stream->channel));
        buf_add_string(head, "\",\"message\":\"");
    } else if (stream->timestamp) {
        format_time(stream->timestamp, batch->wall, when, sizeof when);
        buf_add_string(head, when);
        buf_add_char(head, ' ');
    }
    if (stream->prefix && stream->format == LOG_FORMAT_JSON)
        add_json_text(head, stream->prefix, strlen(stream->prefix));
    else if (stream->prefix)
        buf_add_string(head, stream->prefix);
}

static void add_line(struct buf *out, const struct log_stream *stream, const struct buf *head, bool begins,
                     const char *line, size_t len)
{
    if (begins && head->len > 0)
        buf_add(out, head->data, head->len);
    if (stream->format != LOG_FORMAT_JSON) {
        buf_add(out, line, len);
        return;
    }
    add_json_text(out, line, len > 0 && line[len - 1] == '\n' ? len - 1 : len);
    buf_add_string(out, "\"}\n");
}

size_t format_batch(const struct log_stream *stream, const struct batch *batch, size_t limit, struct buf *out)
{
    bool begins = batch->start != BATCH_CONTINUES || stream->format == LOG_FORMAT_JSON;
    size_t start = out->len;
    struct buf head = {0};
    size_t done = 0;

    add_line_head(&head, stream, batch);
    if (batch->start == BATCH_BREAKS_LINE)
        buf_add_char(out, '\n');
    while (done < batch->len && (limit == 0 || out->len - start < limit)) {
        const char *line = batch->data + done;
        const char *newline = memchr(line, '\n', batch->len - done);
        size_t len = newline ? (size_t)(newline - line) + 1 : batch->len - done;

        add_line(out, stream, &head, begins, line, len);
        begins = true;
        done += len;
    }
    buf_free(&head);
    return done;
}

size_t format_whole_lines(const char *data, size_t len)
{
    const char *newline = memrchr(data, '\n', len);

    if (newline)
        return (size_t)(newline - data) + 1;
    return len >= LOG_LINE_MAX ? len : 0;
}

size_t format_lines_within(const char *data, size_t len, size_t room)
{
    const char *newline = room < len ? memchr(data + room - 1, '\n', len - room + 1) : NULL;

    return newline ? (size_t)(newline - data) + 1 : len;
}
