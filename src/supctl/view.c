/* SPDX-License-Identifier: MIT */
#include "supctl/view.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/units.h"
#include "supctl/log_tail.h"
#include "supctl/text.h"
#include "supctl/words.h"

#define LABEL_WIDTH 11 /* of the longest, with its colon */

static void say(FILE *out, const char *label, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void say(FILE *out, const char *label, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = xvasprintf(fmt, ap);
    va_end(ap);
    char *clean = text_clean(text);
    fprintf(out, "  %s:%*s %s\n", label, LABEL_WIDTH - 1 - (int)strlen(label), "", clean);
    free(clean);
    free(text);
}

static void say_string(FILE *out, const char *label, const json_t *value)
{
    if (json_is_string(value))
        say(out, label, "%s", json_string_value(value));
}

static bool has_number(const json_t *object, const char *key)
{
    return json_is_number(json_object_get(object, key));
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static long long integer_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static const char *bytes_of(const json_t *object, const char *key, char *buf, size_t size)
{
    long long bytes = integer_of(object, key);

    return size_human(bytes > 0 ? (uint64_t)bytes : 0, buf, size);
}

/* ---- the lines ---- */

static void say_state(const json_t *service, double now, const struct table_style *style, FILE *out)
{
    const char *code = style->colour ? table_colour_code(words_colour(service)) : "";
    char *state = text_clean(text_member(service, "state"));
    char since[64], ago[64];

    fprintf(out, "  state:%*s %s%s%s", LABEL_WIDTH - 6, "", code, *state ? state : "?", *code ? "\033[0m" : "");
    if (json_is_true(json_object_get(service, "paused")))
        fputs(", paused", out);
    if (json_is_true(json_object_get(service, "stopped")))
        fputs(", stopped by signal (SIGSTOP)", out);
    if (has_number(service, "since"))
        fprintf(out, " since %s, %s", text_time(number_of(service, "since"), false, since, sizeof since),
                text_ago(number_of(service, "since"), now, ago, sizeof ago));
    putc('\n', out);
    free(state);
}

static void say_next_start(const json_t *service, FILE *out)
{
    char time[64];

    if (has_number(service, "next-start-in"))
        say(out, "next start", "in %s", text_duration(number_of(service, "next-start-in"), time, sizeof time));
}

static void say_next_run(const json_t *service, double now, FILE *out)
{
    double when = number_of(service, "next-run");
    char time[64], until[64];

    if (has_number(service, "next-run"))
        say(out, "next run", "%s, in %s", text_time(when, false, time, sizeof time),
            text_duration(when - now, until, sizeof until));
}

static void say_pid(const json_t *service, FILE *out)
{
    if (json_is_integer(json_object_get(service, "pid")))
        say(out, "pid", "%lld%s", integer_of(service, "pid"),
            json_is_true(json_object_get(service, "adopted")) ? ", taken over from an earlier supd" : "");
}

static void say_starts(const json_t *service, FILE *out)
{
    long long restarts = integer_of(service, "restarts");

    if (restarts > 0)
        say(out, "starts", "%lld, %lld of them by supd itself", integer_of(service, "starts"), restarts);
    else if (has_number(service, "starts"))
        say(out, "starts", "%lld", integer_of(service, "starts"));
}

static void say_used(const json_t *service, FILE *out)
{
    char memory[32], limit[32];

    if (json_is_integer(json_object_get(service, "tasks")))
        say(out, "tasks", "%lld", integer_of(service, "tasks"));
    if (json_is_integer(json_object_get(service, "memory"))) {
        bool limited = json_is_integer(json_object_get(service, "memory-max"));
        say(out, "memory", "%s%s%s", bytes_of(service, "memory", memory, sizeof memory), limited ? " of at most " : "",
            limited ? bytes_of(service, "memory-max", limit, sizeof limit) : "");
    }
    if (has_number(service, "cpu"))
        say(out, "CPU", "%.2f s", number_of(service, "cpu"));
}

/* A word as it would be typed into a shell. */
static void add_word(struct buf *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_";

    if (line->len > 0)
        buf_add_char(line, ' ');
    if (*word && word[strspn(word, plain)] == '\0') {
        buf_add_string(line, word);
        return;
    }
    buf_add_char(line, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_add_string(line, "'\\''");
        else
            buf_add_char(line, *word);
    }
    buf_add_char(line, '\'');
}

static void say_command(const json_t *service, FILE *out)
{
    struct buf line = {0};
    const json_t *word;
    size_t i;

    json_array_foreach(json_object_get(service, "command"), i, word)
    {
        if (json_is_string(word))
            add_word(&line, json_string_value(word));
    }
    char *text = buf_steal(&line);
    if (*text)
        say(out, "command", "%s", text);
    free(text);
}

static void say_exit(const json_t *service, double now, FILE *out)
{
    const json_t *info = json_object_get(service, "exit");
    const json_t *usage = json_object_get(info, "usage");
    char how[64], at[64], ago[64], ran[64], peak[32];

    if (!json_is_object(info))
        return;
    say(out, "last exit", "%s%s, %s, %s", text_exit(info, how, sizeof how),
        json_is_true(json_object_get(info, "core")) ? ", core dumped" : "",
        text_time(number_of(info, "at"), false, at, sizeof at), text_ago(number_of(info, "at"), now, ago, sizeof ago));
    if (!json_is_object(usage))
        return;
    bool whole = json_is_integer(json_object_get(usage, "memory-peak"));
    say(out, "had used", "%.2f s of CPU in %s%s%s", number_of(usage, "cpu-user") + number_of(usage, "cpu-system"),
        text_duration(number_of(usage, "run-time"), ran, sizeof ran), whole ? ", memory at most " : "",
        whole ? bytes_of(usage, "memory-peak", peak, sizeof peak) : "");
}

static void say_sockets(const json_t *service, FILE *out)
{
    const json_t *socket;
    size_t i;

    json_array_foreach(json_object_get(service, "sockets"), i, socket)
    {
        const char *error = text_member(socket, "error");
        bool open = json_is_true(json_object_get(socket, "open"));

        say(out, "listen", "%s%s%s%s", text_member(socket, "listen"), open ? "" : ", not open", *error ? ": " : "",
            error);
    }
}

/* Those of one that has failed often tell why. */
bool view_tells_last_words(const json_t *service)
{
    const char *state = text_member(service, "state");

    return strcmp(state, "failed") == 0 || strcmp(state, "backoff") == 0;
}

static void say_log(const json_t *service, const char *label, const char *path, double now,
                    const struct table_style *style, FILE *out)
{
    struct stat st;
    char ago[64];

    if (!*path)
        return;
    if (!view_tells_last_words(service) || stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        say(out, label, "%s", path);
        return;
    }
    say(out, label, "%s, written %s", path, text_ago((double)st.st_mtim.tv_sec, now, ago, sizeof ago));
    log_tail_print(path, LABEL_WIDTH + 3, style->width, out);
}

void view_print(const json_t *service, double now, const struct table_style *style, FILE *out)
{
    const json_t *log = json_object_get(service, "log");
    char *name = text_clean(text_member(service, "name"));

    fprintf(out, "%s\n", *name ? name : "?");
    free(name);
    say_state(service, now, style, out);
    say_string(out, "desired", json_object_get(service, "desired"));
    say_string(out, "reason", json_object_get(service, "reason"));
    say_string(out, "health", json_object_get(service, "health"));
    say_string(out, "check", json_object_get(service, "health-text"));
    say_string(out, "status", json_object_get(service, "status-text"));
    say_next_start(service, out);
    say_next_run(service, now, out);
    if (json_is_false(json_object_get(service, "enabled")))
        say(out, "enabled", "no");
    say_pid(service, out);
    say_command(service, out);
    say_used(service, out);
    say_starts(service, out);
    say_exit(service, now, out);
    if (json_is_true(json_object_get(service, "config-stale")))
        say(out, "config", "changed since its start; taken up by the next restart");
    say_sockets(service, out);
    say_log(service, "output", text_member(log, "out"), now, style, out);
    say_log(service, "errors", text_member(log, "err"), now, style, out);
    say_string(out, "cgroup", json_object_get(service, "cgroup"));
}
