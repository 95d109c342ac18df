/* SPDX-License-Identifier: MIT */
/* Readiness, who may tell of it, and the watchdog. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grep.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/units.h"
#include "core/log_match.h"
#include "core/socket_spec.h"
#include "core/spec_type.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Descriptors 0 to 2 are the standard streams; a number beyond this is more than a usual limit allows. */
#define FD_MIN 3
#define FD_MAX 1023

/* ---- ready ---- */

/* What follows PREFIX in TEXT; NULL: it does not begin so. */
static const char *after_prefix(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static bool read_fd(const struct key_input *in, const char *text, struct spec_ready *ready)
{
    ready->kind = READY_FD;
    if (key_parse_uint(text, 10, FD_MAX, &ready->fd) && ready->fd >= FD_MIN)
        return true;
    return key_fail(in, "'%s' is not a descriptor from %d to %d: write fd:3", text, FD_MIN, FD_MAX);
}

static bool read_delay(const struct key_input *in, const char *text, struct spec_ready *ready)
{
    ready->kind = READY_AFTER;
    if (duration_parse(text, &ready->delay) && ready->delay > 0)
        return true;
    return key_fail(in, "'%s' is not a duration: write after 5s", text);
}

/* An address as that of a socket that supd would open itself, but it must be one that can be connected to. */
static bool read_port(const struct key_input *in, const char *text, struct spec_ready *ready)
{
    struct socket_spec address;
    char why[256];
    char *tcp = xasprintf("tcp:%s", text);
    bool ok = strchr(text, ',') == NULL && socket_spec_parse(tcp, &address, why, sizeof(why));

    free(tcp);
    if (!ok || address.any)
        return key_fail(in, "'%s' is no address and port: write port:127.0.0.1:80 or port:[::1]:80", text);
    ready->kind = READY_PORT;
    ready->where = xstrdup(text);
    return true;
}

static bool read_path(const struct key_input *in, const char *text, struct spec_ready *ready)
{
    if (!key_check_path(in, text))
        return false;
    ready->kind = READY_PATH;
    ready->where = xstrdup(text);
    return true;
}

static bool read_log(const struct key_input *in, const char *text, struct spec_ready *ready)
{
    regex_t grep;
    char *error = *text != '\0' ? grep_compile(text, &grep) : NULL;

    if (*text == '\0')
        return key_fail(in, "'log:' says nothing to look for: write log:REGEX");
    if (error != NULL) {
        key_fail(in, "%s", error);
        free(error);
        return false;
    }
    regfree(&grep);
    if (strlen(text) >= LOG_MATCH_PATTERN_MAX)
        return key_fail(in, "the expression is longer than %d bytes: shorten it", LOG_MATCH_PATTERN_MAX - 1);
    ready->kind = READY_LOG;
    ready->where = xstrdup(text);
    return true;
}

static bool read_ready(const struct key_input *in, struct spec_ready *ready)
{
    const char *value = in->values[0];
    const char *rest;

    if (strcmp(value, "exec") == 0)
        return true;
    ready->reloads = strcmp(value, "notify-reload") == 0;
    if (ready->reloads || strcmp(value, "notify") == 0) {
        ready->kind = READY_NOTIFY;
        return true;
    }
    if (strcmp(value, "check") == 0) {
        ready->kind = READY_CHECK;
        return true;
    }
    if ((rest = after_prefix(value, "fd:")) != NULL)
        return read_fd(in, rest, ready);
    if ((rest = after_prefix(value, "after ")) != NULL)
        return read_delay(in, rest + strspn(rest, " "), ready);
    if ((rest = after_prefix(value, "port:")) != NULL)
        return read_port(in, rest, ready);
    if ((rest = after_prefix(value, "path:")) != NULL)
        return read_path(in, rest, ready);
    if ((rest = after_prefix(value, "log:")) != NULL)
        return read_log(in, rest, ready);
    return key_fail(in,
                    "'%s' is none of exec, notify, notify-reload, fd:N, after DURATION, port:ADDR:PORT, path:FILE, "
                    "log:REGEX, check",
                    value);
}

static bool set_ready(const struct key_input *in, void *to)
{
    struct spec_ready *ready = to;
    struct spec_ready read = {.kind = READY_EXEC};

    if (!read_ready(in, &read))
        return false;
    free(ready->where);
    *ready = read;
    return true;
}

static char **get_ready(const struct spec_key *key, const void *from)
{
    const struct spec_ready *ready = from;
    char buf[128];

    (void)key;
    switch (ready->kind) {
    case READY_EXEC:
        return key_one_value("exec");
    case READY_NOTIFY:
        return key_one_value(ready->reloads ? "notify-reload" : "notify");
    case READY_FD:
        return strv_push(NULL, xasprintf("fd:%u", ready->fd));
    case READY_AFTER:
        return strv_push(NULL, xasprintf("after %s", duration_format(ready->delay, buf, sizeof(buf))));
    case READY_PORT:
        return strv_push(NULL, xasprintf("port:%s", ready->where));
    case READY_PATH:
        return strv_push(NULL, xasprintf("path:%s", ready->where));
    case READY_LOG:
        return strv_push(NULL, xasprintf("log:%s", ready->where));
    case READY_CHECK:
        return key_one_value("check");
    }
    return NULL;
}

static void dup_ready(void *value)
{
    struct spec_ready *ready = value;

    ready->where = xstrdup(ready->where);
}

static void free_ready(void *value)
{
    free(((struct spec_ready *)value)->where);
}

static bool equal_ready(const void *a, const void *b)
{
    const struct spec_ready *x = a;
    const struct spec_ready *y = b;

    return x->kind == y->kind && x->reloads == y->reloads && x->fd == y->fd && x->delay == y->delay &&
           key_same_string(x->where, y->where);
}

const struct key_type_ops key_type_ready = {
    .size = sizeof(struct spec_ready),
    .set = set_ready,
    .get = get_ready,
    .dup = dup_ready,
    .free = free_ready,
    .equal = equal_ready,
};

/* ---- notify-access ---- */

static const char *const access_names[] = {"none", "main", "exec", "all"};
_Static_assert(NOTIFY_NONE == 1 && NOTIFY_ALL == LEN(access_names), "notify-access has a word for each value");

static bool set_access(const struct key_input *in, void *to)
{
    int i = key_parse_word(in, in->values[0], access_names, LEN(access_names));

    if (i >= 0)
        *(enum notify_access *)to = (enum notify_access)(NOTIFY_NONE + i);
    return i >= 0;
}

static char **get_access(const struct spec_key *key, const void *from)
{
    enum notify_access access = *(const enum notify_access *)from;

    (void)key;
    return access != NOTIFY_UNSET ? key_one_value(access_names[access - NOTIFY_NONE]) : NULL;
}

const struct key_type_ops key_type_notify_access = {
    .size = sizeof(enum notify_access), .set = set_access, .get = get_access};

/* ---- watchdog ---- */

static bool set_watchdog(const struct key_input *in, void *to)
{
    int64_t usec = 0;

    if (strcmp(in->values[0], "off") != 0 && !duration_parse(in->values[0], &usec))
        return key_fail(in, "'%s' is neither off nor a duration, as 30s", in->values[0]);
    *(int64_t *)to = usec;
    return true;
}

static char **get_watchdog(const struct spec_key *key, const void *from)
{
    int64_t usec = *(const int64_t *)from;
    char buf[128];

    (void)key;
    return key_one_value(usec > 0 ? duration_format(usec, buf, sizeof(buf)) : "off");
}

const struct key_type_ops key_type_watchdog = {.size = sizeof(int64_t), .set = set_watchdog, .get = get_watchdog};
