/* SPDX-License-Identifier: MIT */
#include "supctl/words.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "supctl/text.h"

/* Pieces of a sentence, with "; " between them. */
struct sentence {
    char *text; /* NULL: nothing yet */
};

static void say(struct sentence *sentence, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct sentence *sentence, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *piece = xvasprintf(fmt, ap);
    va_end(ap);

    char *text = sentence->text ? xasprintf("%s; %s", sentence->text, piece) : xstrdup(piece);
    free(sentence->text);
    free(piece);
    sentence->text = text;
}

static const char *get_string(const json_t *service, const char *key)
{
    const char *value = json_string_value(json_object_get(service, key));

    return value ? value : "";
}

static void say_running(struct sentence *sentence, const json_t *service, double now)
{
    const json_t *info = json_object_get(service, "exit");
    char how[64], ago[64];

    if (json_is_true(json_object_get(service, "stopped")))
        say(sentence, "stopped by signal (SIGSTOP)");
    if (json_is_true(json_object_get(service, "config-stale")))
        say(sentence, "config changed, restart pending");
    if (json_is_object(info) && json_integer_value(json_object_get(service, "restarts")) > 0)
        say(sentence, "last %s, %s", text_exit(info, how, sizeof how),
            text_ago(json_number_value(json_object_get(info, "at")), now, ago, sizeof ago));
}

static void say_ended(struct sentence *sentence, const json_t *service, double now)
{
    const json_t *info = json_object_get(service, "exit");
    const json_t *next = json_object_get(service, "next-start-in");
    const char *reason = get_string(service, "reason");
    char how[64], ago[64];

    text_ago(json_number_value(json_object_get(service, "since")), now, ago, sizeof ago);
    bool has_run = json_integer_value(json_object_get(service, "starts")) > 0;
    if (*reason && has_run)
        say(sentence, "%s, %s", reason, ago);
    else if (*reason)
        say(sentence, "%s", reason);
    else if (json_is_object(info))
        say(sentence, "%s, %s", text_exit(info, how, sizeof how), ago);
    else if (!has_run)
        say(sentence, "never started");
    if (json_is_number(next))
        say(sentence, "next try in %s", text_duration(json_number_value(next), ago, sizeof ago));
}

char *words_of_service(const json_t *service, double now)
{
    static const char *const ended[] = {"stopped", "backoff", "exited", "failed"};
    struct sentence sentence = {0};
    const char *state = get_string(service, "state");
    const char *reason = get_string(service, "reason");
    bool over = false;

    for (size_t i = 0; i < sizeof ended / sizeof *ended; i++)
        over = over || strcmp(state, ended[i]) == 0;
    if (over)
        say_ended(&sentence, service, now);
    else if (*reason)
        say(&sentence, "%s", reason);
    if (!over)
        say_running(&sentence, service, now);

    char *clean = text_clean(sentence.text ? sentence.text : "");
    free(sentence.text);
    return clean;
}
