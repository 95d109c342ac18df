/* SPDX-License-Identifier: MIT */
/* Keys that tell where output goes, and what becomes of it there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/units.h"
#include "core/spec_type.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT_MAX 256

/* ---- places ---- */

/* Those of a place that is named by a word. */
static const char *const place_words[] = {
    [LOG_KIND_INHERIT] = "inherit", [LOG_KIND_NONE] = "none",     [LOG_KIND_FILE] = NULL,
    [LOG_KIND_JOURNAL] = "journal", [LOG_KIND_SYSLOG] = "syslog",
};

static void take_place(struct spec_log *log, enum log_kind kind, const char *path)
{
    free(log->path);
    log->path = kind == LOG_KIND_FILE ? xstrdup(path) : NULL;
    log->kind = kind;
}

static bool set_log(const struct key_input *in, void *to)
{
    const char *value = in->values[0];
    enum log_kind kind = LOG_KIND_FILE;

    for (size_t i = 0; i < LEN(place_words); i++) {
        if (place_words[i] != NULL && strcmp(value, place_words[i]) == 0)
            kind = (enum log_kind)i;
    }
    if (strcmp(value, "/dev/null") == 0) /* nobody has to carry there what is thrown away */
        kind = LOG_KIND_NONE;
    if (kind == LOG_KIND_FILE && value[0] != '/')
        return key_fail(in, "'%s' is none of journal, syslog, inherit and none, nor the absolute path of a file",
                        value);
    if (kind == LOG_KIND_FILE && value[strlen(value) - 1] == '/')
        return key_fail(in, "'%s' ends with a '/': it has to be a file", value);
    take_place(to, kind, value);
    return true;
}

static char **get_log(const struct spec_key *key, const void *from)
{
    const struct spec_log *log = from;

    (void)key;
    if (log->kind == LOG_KIND_UNSET)
        return NULL;
    return key_one_value(log->kind == LOG_KIND_FILE ? log->path : place_words[log->kind]);
}

static void dup_log(void *value)
{
    struct spec_log *log = value;

    log->path = xstrdup(log->path);
}

static void free_log(void *value)
{
    free(((struct spec_log *)value)->path);
}

static bool equal_logs(const void *a, const void *b)
{
    const struct spec_log *x = a;
    const struct spec_log *y = b;

    return x->kind == y->kind && key_same_string(x->path, y->path);
}

const struct key_type_ops key_type_log = {
    .size = sizeof(struct spec_log),
    .set = set_log,
    .get = get_log,
    .dup = dup_log,
    .free = free_log,
    .equal = equal_logs,
};

static bool set_input(const struct key_input *in, void *to)
{
    const char *value = in->values[0];
    enum log_kind kind = LOG_KIND_FILE;

    if (strcmp(value, "null") == 0)
        kind = LOG_KIND_NONE;
    else if (strcmp(value, "inherit") == 0)
        kind = LOG_KIND_INHERIT;
    else if (value[0] != '/')
        return key_fail(in, "'%s' is neither null nor inherit nor the absolute path of a file", value);
    take_place(to, kind, value);
    return true;
}

static char **get_input(const struct spec_key *key, const void *from)
{
    const struct spec_log *input = from;

    return input->kind == LOG_KIND_NONE ? key_one_value("null") : get_log(key, from);
}

const struct key_type_ops key_type_input = {
    .size = sizeof(struct spec_log),
    .set = set_input,
    .get = get_input,
    .dup = dup_log,
    .free = free_log,
    .equal = equal_logs,
};

/* ---- one of some words ---- */

static const char *const format_words[] = {[LOG_FORMAT_PLAIN] = "plain", [LOG_FORMAT_JSON] = "json"};
static const char *const full_words[] = {[LOG_FULL_BLOCK] = "block", [LOG_FULL_DROP] = "drop"};

static bool set_format(const struct key_input *in, void *to)
{
    int i = key_parse_word(in, in->values[0], format_words, LEN(format_words));

    if (i >= 0)
        *(enum log_format *)to = (enum log_format)i;
    return i >= 0;
}

static char **get_format(const struct spec_key *key, const void *from)
{
    (void)key;
    return key_one_value(format_words[*(const enum log_format *)from]);
}

const struct key_type_ops key_type_log_format = {.size = sizeof(enum log_format), .set = set_format, .get = get_format};

static bool set_when_full(const struct key_input *in, void *to)
{
    int i = key_parse_word(in, in->values[0], full_words, LEN(full_words));

    if (i >= 0)
        *(enum log_when_full *)to = (enum log_when_full)i;
    return i >= 0;
}

static char **get_when_full(const struct spec_key *key, const void *from)
{
    (void)key;
    return key_one_value(full_words[*(const enum log_when_full *)from]);
}

const struct key_type_ops key_type_log_when_full = {
    .size = sizeof(enum log_when_full), .set = set_when_full, .get = get_when_full};

/* ---- text that goes into each line ---- */

static bool set_text(const struct key_input *in, void *to)
{
    const char *value = in->values[0];

    if (strlen(value) > TEXT_MAX)
        return key_fail(in, "it is longer than %d bytes", TEXT_MAX);
    if (strpbrk(value, "\n\r") != NULL)
        return key_fail(in, "it is to be a part of a line: leave the end of line out");
    return key_string_set(in, to);
}

const struct key_type_ops key_type_log_prefix = {
    .size = sizeof(char *),
    .set = set_text,
    .get = key_string_get,
    .dup = key_string_dup,
    .free = key_string_free,
    .equal = key_string_equal,
};

static bool set_timestamp(const struct key_input *in, void *to)
{
    static const char *const truth[] = {"no", "off", "false", "0", "yes", "on", "true", "1"};
    const char *value = in->values[0];
    char **timestamp = to;

    for (size_t i = 0; i < LEN(truth); i++) {
        if (strcmp(value, truth[i]) != 0)
            continue;
        free(*timestamp);
        *timestamp = i < LEN(truth) / 2 ? NULL : xstrdup(LOG_TIMESTAMP_RFC3339);
        return true;
    }
    if (strchr(value, '%') == NULL)
        return key_fail(in, "'%s' is neither yes nor no nor a format of strftime(3), as '%%F %%T'", value);
    return set_text(in, to);
}

static char **get_timestamp(const struct spec_key *key, const void *from)
{
    const char *timestamp = *(char *const *)from;

    (void)key;
    if (timestamp == NULL)
        return key_one_value("no");
    return key_one_value(strcmp(timestamp, LOG_TIMESTAMP_RFC3339) == 0 ? "yes" : timestamp);
}

const struct key_type_ops key_type_log_timestamp = {
    .size = sizeof(char *),
    .set = set_timestamp,
    .get = get_timestamp,
    .dup = key_string_dup,
    .free = key_string_free,
    .equal = key_string_equal,
};

/* ---- numbers ---- */

static bool set_size(const struct key_input *in, void *to)
{
    if (!size_parse(in->values[0], to))
        return key_fail(in, "'%s' is not a size: write 64K, 10M, 2G or a number of bytes; 0 is no limit",
                        in->values[0]);
    return true;
}

static char **get_size(const struct spec_key *key, const void *from)
{
    char buf[32];

    (void)key;
    return key_one_value(size_format(*(const uint64_t *)from, buf, sizeof(buf)));
}

const struct key_type_ops key_type_size = {.size = sizeof(uint64_t), .set = set_size, .get = get_size};

/* "1M/10s" */
static bool parse_rate(const char *text, struct log_rate *rate)
{
    const char *slash = strchr(text, '/');

    if (slash == NULL)
        return false;
    char *size = xstrndup(text, (size_t)(slash - text));
    bool ok = size_parse(size, &rate->bytes) && rate->bytes > 0 && duration_parse(slash + 1, &rate->period) &&
              rate->period > 0;
    free(size);
    return ok;
}

static bool set_rate(const struct key_input *in, void *to)
{
    const char *value = in->values[0];
    struct log_rate rate = {0};

    if (strcmp(value, "off") != 0 && !parse_rate(value, &rate))
        return key_fail(in, "'%s' is neither off nor SIZE/DURATION, as 1M/10s", value);
    *(struct log_rate *)to = rate;
    return true;
}

static char **get_rate(const struct spec_key *key, const void *from)
{
    const struct log_rate *rate = from;
    char size[32];
    char period[128];

    (void)key;
    if (rate->period == 0)
        return key_one_value("off");
    return strv_push(NULL, xasprintf("%s/%s", size_format(rate->bytes, size, sizeof(size)),
                                     duration_format(rate->period, period, sizeof(period))));
}

static bool equal_rates(const void *a, const void *b)
{
    const struct log_rate *x = a;
    const struct log_rate *y = b;

    return x->bytes == y->bytes && x->period == y->period;
}

const struct key_type_ops key_type_log_rate = {
    .size = sizeof(struct log_rate), .set = set_rate, .get = get_rate, .equal = equal_rates};

/* ---- whose it is ---- */

static bool set_owner(const struct key_input *in, void *to)
{
    const char *value = in->values[0];
    const char *colon = strchr(value, ':');

    if (colon != NULL && (colon == value || colon[1] == '\0' || strchr(colon + 1, ':') != NULL))
        return key_fail(in, "'%s' is neither USER nor USER:GROUP", value);
    return key_string_set(in, to);
}

const struct key_type_ops key_type_owner = {
    .size = sizeof(char *),
    .set = set_owner,
    .get = key_string_get,
    .dup = key_string_dup,
    .free = key_string_free,
    .equal = key_string_equal,
};
