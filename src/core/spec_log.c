/* SPDX-License-Identifier: MIT */
#include "core/spec_log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "core/instance.h"
#include "core/spec.h"

static const enum log_sink_kind sinks[] = {
    [LOG_KIND_INHERIT] = LOG_SINK_INHERIT,
    [LOG_KIND_FILE] = LOG_SINK_FILE,
    [LOG_KIND_JOURNAL] = LOG_SINK_JOURNAL,
    [LOG_KIND_SYSLOG] = LOG_SINK_SYSLOG,
};

static const struct spec_log *place(const struct spec *spec, bool error)
{
    return error ? &spec->logs->log_error : &spec->logs->log;
}

/* Is the text of the stream to be changed on its way? */
static bool is_worked_on(const struct spec_logging *l)
{
    return l->format != LOG_FORMAT_PLAIN || l->timestamp != NULL || l->prefix != NULL || l->rate.period > 0;
}

/* Is it to be looked at on its way?  What goes to a terminal of its own is nobody else's. */
static bool is_watched(const struct spec *spec, bool error)
{
    return spec->life->ready.kind == READY_LOG &&
           !(spec->place->tty != NULL && place(spec, error)->kind == LOG_KIND_INHERIT);
}

bool spec_log_is_piped(const struct spec *spec, bool error)
{
    switch (place(spec, error)->kind) {
    case LOG_KIND_UNSET:
    case LOG_KIND_NONE:
        return false;
    case LOG_KIND_INHERIT:
        return is_worked_on(&spec->logs->logging) || is_watched(spec, error);
    case LOG_KIND_FILE:
    case LOG_KIND_JOURNAL:
    case LOG_KIND_SYSLOG:
        return true;
    }
    return false;
}

/* A colon is in no name of a service. */
char *spec_log_fifo(const struct spec *spec, bool error)
{
    return xasprintf("%s%s" LOG_FIFO_SUFFIX, spec->name, error ? ":err" : "");
}

/* A number, and where it ends. */
static bool take_number(const char **text, uint32_t *number)
{
    size_t len = strspn(*text, "0123456789");
    unsigned long long n = len > 0 && len <= 10 ? strtoull(*text, NULL, 10) : UINT64_MAX;

    if (n >= LOG_ID_NONE)
        return false;
    *number = (uint32_t)n;
    *text += len;
    return true;
}

bool spec_log_owner(const char *owner, uint32_t *uid, uint32_t *gid)
{
    *gid = LOG_ID_NONE;
    if (!take_number(&owner, uid))
        return false;
    if (*owner == '\0')
        return true;
    owner++;
    return owner[-1] == ':' && take_number(&owner, gid) && *owner == '\0';
}

static enum log_channel channel_of(const struct spec *spec, bool error)
{
    if (error)
        return LOG_CHANNEL_ERR;
    return spec->logs->log_error.kind == LOG_KIND_UNSET ? LOG_CHANNEL_BOTH : LOG_CHANNEL_OUT;
}

/*
 * The text before each line.  One prefix, in defaults, is to do for all services: so %n is the name, and %% a %, also of one
 * that is no instance.  The values of instances are expanded already.
 */
static char *prefix_of(const struct spec *spec)
{
    const char *text = spec->logs->logging.prefix;
    struct buf out = {0};

    if (text == NULL || instance_is(spec->name))
        return xstrdup(text);
    buf_add_string(&out, "");
    for (; *text != '\0'; text++) {
        if (strncmp(text, "%n", 2) == 0)
            buf_add_string(&out, spec->name);
        else
            buf_add_char(&out, *text);
        if (strncmp(text, "%n", 2) == 0 || strncmp(text, "%%", 2) == 0)
            text++;
    }
    return buf_steal(&out);
}

struct log_stream spec_log_stream(const struct spec *spec, bool error)
{
    const struct spec_logging *l = &spec->logs->logging;
    const struct spec_log *log = place(spec, error);
    struct log_stream stream = {
        .service = xstrdup(spec->name),
        .fifo = spec_log_fifo(spec, error),
        .channel = channel_of(spec, error),
        .kind = sinks[log->kind],
        .path = xstrdup(log->path),
        .mode = l->mode,
        .uid = LOG_ID_NONE,
        .gid = LOG_ID_NONE,
        .slot = LOG_ID_NONE,
        .max_size = l->max_size,
        .max_age = l->max_age,
        .keep = l->keep,
        .compress = l->compress,
        .format = l->format,
        .timestamp = xstrdup(l->timestamp),
        .prefix = prefix_of(spec),
        .rate_bytes = l->rate.bytes,
        .rate_period = l->rate.period,
        .drop_when_full = l->when_full == LOG_FULL_DROP,
    };

    if (l->owner != NULL)
        spec_log_owner(l->owner, &stream.uid, &stream.gid);
    return stream;
}

static bool is_utf8(const char *text)
{
    json_t *json = text != NULL ? json_string(text) : NULL;
    bool is = text == NULL || json != NULL;

    json_decref(json);
    return is;
}

/* suplog is told of it in a line of JSON, which is kept beside what is on its way. */
static bool can_be_told(const struct spec *spec, bool error, char *err, size_t err_size)
{
    const char *key = error ? "log-error" : "log";

    if (!spec_log_is_piped(spec, error))
        return true;
    if (!is_utf8(place(spec, error)->path) || !is_utf8(spec->logs->logging.prefix) ||
        !is_utf8(spec->logs->logging.timestamp)) {
        snprintf(err, err_size, "%s, log-prefix and log-timestamp have to be UTF-8 where suplog(8) writes the log",
                 key);
        return false;
    }
    struct log_stream stream = spec_log_stream(spec, error);
    char *line = log_stream_encode(&stream);
    bool fits = strlen(line) < LOG_STREAM_LINE_MAX;
    log_stream_clear(&stream);
    free(line);
    if (!fits)
        snprintf(err, err_size, "%s with its log-prefix and log-timestamp is too long: shorten them", key);
    return fits;
}

static bool can_be_watched(const struct spec *spec, char *err, size_t err_size)
{
    if (spec->life->ready.kind != READY_LOG || spec_log_is_piped(spec, false) || spec_log_is_piped(spec, true))
        return true;
    snprintf(err, err_size, "ready = log: has no output to look at %s: give it a log, or a log-error",
             spec->logs->log.kind == LOG_KIND_NONE ? "with log = none" : "where that goes to a tty");
    return false;
}

bool spec_log_validate(const struct spec *spec, char *err, size_t err_size)
{
    return can_be_watched(spec, err, err_size) && can_be_told(spec, false, err, err_size) &&
           can_be_told(spec, true, err, err_size);
}
