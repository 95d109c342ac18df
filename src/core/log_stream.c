/* SPDX-License-Identifier: MIT */
#include "core/log_stream.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const channel_names[LOG_CHANNEL_N] = {"out", "err", "both"};
static const char *const kind_names[LOG_SINK_N] = {"file", "journal", "syslog", "inherit"};
static const char *const format_names[LOG_FORMAT_N] = {"plain", "json"};

const char *log_channel_name(enum log_channel channel)
{
    return channel_names[channel];
}

int32_t log_pid_fresh(enum log_channel channel)
{
    return channel == LOG_CHANNEL_ERR ? 1 << 30 : 1 << 29;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

char *log_stream_encode(const struct log_stream *s)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:o, s:o, s:I, s:I, s:b, s:I, s:I}",
        "service", s->service, "fifo", s->fifo, "channel", channel_names[s->channel], "sink", kind_names[s->kind],
        "path", text_or_null(s->path), "mode", (json_int_t)s->mode, "uid", (json_int_t)s->uid, "gid",
        (json_int_t)s->gid, "slot", (json_int_t)s->slot, "max-size", (json_int_t)s->max_size, "max-age",
        (json_int_t)s->max_age, "keep", (json_int_t)s->keep, "compress", s->compress, "format", format_names[s->format],
        "timestamp", text_or_null(s->timestamp), "prefix", text_or_null(s->prefix), "rate-bytes",
        (json_int_t)s->rate_bytes, "rate-period", (json_int_t)s->rate_period, "drop-when-full", s->drop_when_full,
        "inode", (json_int_t)s->inode, "rotation", (json_int_t)s->rotation);
    char *line = mem_checked(json_dumps(mem_checked(json), JSON_COMPACT));

    json_decref(json);
    return line;
}

/* The index of WORD, or -1. */
static int word_index(const char *const names[], int n, const char *word)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], word) == 0)
            return i;
    }
    return -1;
}

struct unpacked {
    const char *service, *fifo, *channel, *kind, *format;
    json_t *path, *timestamp, *prefix;
    json_int_t mode, uid, gid, slot, max_size, max_age, keep, rate_bytes, rate_period, inode, rotation;
    int compress, drop;
};

static bool unpack(json_t *json, struct unpacked *u, char *err, size_t err_size)
{
    json_error_t error;

    if (json_unpack_ex(
            json, &error, JSON_STRICT,
            "{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:o, s:o, s:I, s:I, s:b, s:I, s:I}",
            "service", &u->service, "fifo", &u->fifo, "channel", &u->channel, "sink", &u->kind, "path", &u->path,
            "mode", &u->mode, "uid", &u->uid, "gid", &u->gid, "slot", &u->slot, "max-size", &u->max_size, "max-age",
            &u->max_age, "keep", &u->keep, "compress", &u->compress, "format", &u->format, "timestamp", &u->timestamp,
            "prefix", &u->prefix, "rate-bytes", &u->rate_bytes, "rate-period", &u->rate_period, "drop-when-full",
            &u->drop, "inode", &u->inode, "rotation", &u->rotation) == 0)
        return true;
    snprintf(err, err_size, "%s", error.text);
    return false;
}

static bool take(const struct unpacked *u, struct log_stream *s, char *err, size_t err_size)
{
    int channel = word_index(channel_names, LOG_CHANNEL_N, u->channel);
    int kind = word_index(kind_names, LOG_SINK_N, u->kind);
    int format = word_index(format_names, LOG_FORMAT_N, u->format);

    if (channel < 0 || kind < 0 || format < 0) {
        snprintf(err, err_size, "unknown %s", channel < 0 ? "channel" : kind < 0 ? "sink" : "format");
        return false;
    }
    if (u->fifo[0] == '\0' || strchr(u->fifo, '/')) {
        snprintf(err, err_size, "'%s' is no name of a FIFO", u->fifo);
        return false;
    }
    if (kind == LOG_SINK_FILE && (!json_is_string(u->path) || json_string_value(u->path)[0] != '/')) {
        snprintf(err, err_size, "a file needs an absolute path");
        return false;
    }
    *s = (struct log_stream){
        .service = xstrdup(u->service),
        .fifo = xstrdup(u->fifo),
        .channel = (enum log_channel)channel,
        .kind = (enum log_sink_kind)kind,
        .path = xstrdup(json_string_value(u->path)),
        .mode = (uint32_t)u->mode & 07777,
        .uid = (uint32_t)u->uid,
        .gid = (uint32_t)u->gid,
        .slot = (uint32_t)u->slot,
        .max_size = (uint64_t)u->max_size,
        .max_age = u->max_age,
        .keep = (uint32_t)u->keep,
        .compress = u->compress,
        .format = (enum log_format)format,
        .timestamp = xstrdup(json_string_value(u->timestamp)),
        .prefix = xstrdup(json_string_value(u->prefix)),
        .rate_bytes = (uint64_t)u->rate_bytes,
        .rate_period = u->rate_period,
        .drop_when_full = u->drop,
        .inode = (uint64_t)u->inode,
        .rotation = (uint32_t)u->rotation,
    };
    return true;
}

bool log_stream_decode(const char *line, struct log_stream *s, char *err, size_t err_size)
{
    struct unpacked u;
    json_error_t error;
    json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    bool ok = false;

    *s = (struct log_stream){0};
    if (!json)
        snprintf(err, err_size, "%s", error.text);
    else
        ok = unpack(json, &u, err, err_size) && take(&u, s, err, err_size);
    json_decref(json);
    return ok;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool log_stream_equal(const struct log_stream *a, const struct log_stream *b)
{
    return same_text(a->service, b->service) && same_text(a->fifo, b->fifo) && a->channel == b->channel &&
           a->kind == b->kind && same_text(a->path, b->path) && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid && a->slot == b->slot && a->max_size == b->max_size && a->max_age == b->max_age &&
           a->keep == b->keep && a->compress == b->compress && a->format == b->format &&
           same_text(a->timestamp, b->timestamp) && same_text(a->prefix, b->prefix) && a->rate_bytes == b->rate_bytes &&
           a->rate_period == b->rate_period && a->drop_when_full == b->drop_when_full && a->inode == b->inode &&
           a->rotation == b->rotation;
}

bool log_stream_needs_copy(const struct log_stream *s)
{
    return s->format != LOG_FORMAT_PLAIN || s->timestamp || s->prefix || s->rate_period > 0;
}

void log_stream_clear(struct log_stream *s)
{
    free(s->service);
    free(s->fifo);
    free(s->path);
    free(s->timestamp);
    free(s->prefix);
    *s = (struct log_stream){0};
}
