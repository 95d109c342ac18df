/* SPDX-License-Identifier: MIT */
#include "supctl/words.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "supctl/text.h"

/* Adds a piece, with "; " between it and the one before. */
static void say(struct buf *sentence, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct buf *sentence, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *piece = xvasprintf(fmt, ap);
    va_end(ap);
    if (sentence->len > 0)
        buf_add_string(sentence, "; ");
    buf_add_string(sentence, piece);
    free(piece);
}

/* The age comes before the core: it is what must not be cut off. */
static void say_exit(struct buf *sentence, const json_t *info, double now)
{
    char how[64], ago[64];

    say(sentence, "%s, %s%s", text_exit(info, how, sizeof how),
        text_ago(json_number_value(json_object_get(info, "at")), now, ago, sizeof ago),
        json_is_true(json_object_get(info, "core")) ? ", core dumped" : "");
}

static void say_running(struct buf *sentence, const json_t *service, double now)
{
    const json_t *info = json_object_get(service, "exit");

    if (json_is_true(json_object_get(service, "stopped")))
        say(sentence, "stopped by signal (SIGSTOP)");
    if (*text_member(service, "status-text"))
        say(sentence, "%s", text_member(service, "status-text"));
    if (json_is_true(json_object_get(service, "paused")))
        say(sentence, "paused");
    if (json_is_true(json_object_get(service, "config-stale")))
        say(sentence, "config changed, restart pending");
    if (json_is_object(info) && json_integer_value(json_object_get(service, "restarts")) > 0)
        say_exit(sentence, info, now);
}

static void say_backoff(struct buf *sentence, const json_t *service)
{
    const char *reason = text_member(service, "reason");
    double next = json_number_value(json_object_get(service, "next-start-in"));
    char time[64];

    text_duration(next, time, sizeof time);
    if (*reason)
        say(sentence, "%s; next try in %s", reason, time);
    else
        say(sentence, "next try in %s", time);
}

static void say_next_run(struct buf *sentence, const json_t *next_run, double now)
{
    double when = json_number_value(next_run);
    char time[64], until[64];

    if (json_is_number(next_run))
        say(sentence, "due %s, in %s", text_time(when, false, time, sizeof time),
            text_duration(when - now, until, sizeof until));
}

static void say_ended(struct buf *sentence, const json_t *service, double now)
{
    const json_t *info = json_object_get(service, "exit");
    const char *reason = text_member(service, "reason");
    bool has_run = json_integer_value(json_object_get(service, "starts")) > 0;
    char ago[64];

    text_ago(json_number_value(json_object_get(service, "since")), now, ago, sizeof ago);
    if (*reason && has_run)
        say(sentence, "%s, %s", reason, ago);
    else if (*reason)
        say(sentence, "%s", reason);
    else if (json_is_object(info))
        say_exit(sentence, info, now);
    else if (!has_run)
        say(sentence, "never started");
}

char *words_of_service(const json_t *service, double now)
{
    struct buf sentence = {0};
    const char *state = text_member(service, "state");

    if (strcmp(state, "stopped") == 0 || strcmp(state, "exited") == 0 || strcmp(state, "failed") == 0)
        say_ended(&sentence, service, now);
    else if (strcmp(state, "backoff") == 0)
        say_backoff(&sentence, service);
    else if (*text_member(service, "reason"))
        say(&sentence, "%s", text_member(service, "reason"));
    if (strcmp(state, "waiting") == 0)
        say_next_run(&sentence, json_object_get(service, "next-run"), now);
    if (json_is_integer(json_object_get(service, "pid")))
        say_running(&sentence, service, now);

    char *text = buf_steal(&sentence);
    char *clean = text_clean(text);
    free(text);
    return clean;
}

enum table_colour words_colour(const json_t *service)
{
    const char *state = text_member(service, "state");

    if (json_is_true(json_object_get(service, "stopped")) || json_is_true(json_object_get(service, "paused")))
        return TABLE_YELLOW;
    if (strcmp(state, "running") == 0)
        return strcmp(text_member(service, "health"), "unhealthy") == 0 ? TABLE_YELLOW : TABLE_GREEN;
    if (strcmp(state, "failed") == 0)
        return TABLE_RED;
    if (strcmp(state, "stopped") == 0 || strcmp(state, "exited") == 0)
        return TABLE_PLAIN;
    return TABLE_YELLOW;
}
