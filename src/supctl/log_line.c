/* SPDX-License-Identifier: MIT */
#include "supctl/log_line.h"

#include <string.h>

#include "core/proto.h"
#include "supctl/log_time.h"
#include "supctl/text.h"

static const char *string_of(const json_t *object, const char *key, size_t *len)
{
    const json_t *value = json_object_get(object, key);

    *len = json_string_length(value);
    return json_string_value(value);
}

/* What suplog has wrapped is unwrapped; what a service itself writes as JSON keeps its form, only its time is looked at. */
static bool read_json(struct log_line *line, const char *text, size_t len)
{
    size_t used, service_len, stream_len;

    line->json = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    line->stamp = string_of(line->json, "time", &line->stamp_len);
    if (!line->stamp)
        return false;
    line->time = log_time_stamp(line->stamp, line->stamp_len, &used);
    if (used != line->stamp_len)
        line->time = LOG_TIME_NONE;
    const char *service = string_of(line->json, "service", &service_len);
    line->stream = string_of(line->json, "stream", &stream_len);
    line->message = string_of(line->json, "message", &line->message_len);
    if (service && line->stream && line->message)
        return true;
    line->stream = NULL;
    line->message = line->whole = text;
    line->message_len = line->whole_len = len;
    if (line->time == LOG_TIME_NONE)
        line->stamp = NULL;
    return true;
}

void log_line_read(struct log_line *line, const char *text, size_t len)
{
    const char *begin = text;
    size_t used;

    *line = (struct log_line){.time = LOG_TIME_NONE};
    /* Where a file was truncated under a writer that does not append, its next line follows a row of these. */
    while (len > 0 && *text == '\0') {
        text++;
        len--;
    }
    if (len > 0 && *text == '{' && read_json(line, text, len))
        return;
    log_line_clear(line);
    line->time = log_time_stamp(text, len, &used);
    line->whole = line->message = text;
    line->whole_len = line->message_len = len;
    line->nothing = len == 0 && text > begin;
    if (used == 0)
        return;
    line->stamp = text;
    line->stamp_len = used;
    used += used < len && text[used] == ' ';
    line->message += used;
    line->message_len -= used;
}

void log_line_clear(struct log_line *line)
{
    json_decref(line->json);
    *line = (struct log_line){.time = LOG_TIME_NONE};
}

const char *log_line_shown(const struct log_line *line, struct buf *spare, size_t *len)
{
    *len = line->whole_len;
    if (line->whole)
        return line->whole;
    buf_reset(spare);
    buf_add(spare, line->stamp, line->stamp_len);
    buf_add_char(spare, ' ');
    buf_add(spare, line->message, line->message_len);
    *len = spare->len;
    return spare->data;
}

/* Bytes of "\033[1;31m" and its like at P, 0 where there is none. */
static size_t colour_length(const char *p, size_t left)
{
    if (left < 3 || p[0] != '\033' || p[1] != '[')
        return 0;
    size_t n = 2;
    while (n < left && (strchr("0123456789;:", p[n]) && p[n] != '\0'))
        n++;
    return n < left && p[n] == 'm' ? n + 1 : 0;
}

void log_line_add_visible(struct buf *out, const char *text, size_t len, bool colour)
{
    const char *p = text;
    const char *end = text + len;
    bool coloured = false;

    while (p < end) {
        const char *plain = p;
        while (p < end && ((unsigned char)*p >= 0x20 || *p == '\t') && (unsigned char)*p < 0x7f)
            p++;
        buf_add(out, plain, (size_t)(p - plain));
        if (p == end)
            break;
        size_t n = colour ? colour_length(p, (size_t)(end - p)) : 0;
        coloured = coloured || n > 0;
        if (n == 0)
            n = text_harmless(p, (size_t)(end - p));
        if (n > 0) {
            buf_add(out, p, n);
            p += n;
        } else {
            buf_addf(out, "\\x%02x", (unsigned char)*p++);
        }
    }
    if (coloured)
        buf_add_string(out, "\033[0m");
}
