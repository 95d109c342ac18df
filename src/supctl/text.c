/* SPDX-License-Identifier: MIT */
#include "supctl/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/units.h"
#include "base/utf8.h"
#include "core/proto.h"

static void write_message(const char *prefix, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void write_message(const char *prefix, const char *fmt, va_list ap)
{
    char *text = xvasprintf(fmt, ap);
    char *clean = text_clean(text);

    fflush(stdout);
    fprintf(stderr, "%s%s\n", prefix, clean);
    free(clean);
    free(text);
}

void complain(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_message("supctl: ", fmt, ap);
    va_end(ap);
}

void complain_plainly(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_message("", fmt, ap);
    va_end(ap);
}

/* Bytes of the character at P that must not reach a terminal, 0 for a harmless one. */
static size_t harmful(const unsigned char *p)
{
    if (p[0] < 0x20 || p[0] == 0x7f)
        return 1;
    if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
        return 2;
    /* U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: marks of direction. */
    if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xaa && p[2] <= 0xae)))
        return 3;
    if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)
        return 3;
    return 0;
}

size_t text_harmless(const char *text, size_t left)
{
    size_t n = utf8_length(text, left);

    return n > 0 && harmful((const unsigned char *)text) == 0 ? n : 0;
}

static size_t write_harmless(char *out, const unsigned char *p, size_t n)
{
    if (n == 3)
        return (size_t)sprintf(out, "?");
    if (*p == '\n' || *p == '\t' || *p == '\r')
        return (size_t)sprintf(out, " ");
    return (size_t)sprintf(out, "\\x%02x", p[n - 1]);
}

char *text_clean(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    char *clean = xmalloc(strlen(text) * 4 + 1);
    size_t len = 0;

    while (*p) {
        size_t n = harmful(p);
        if (n > 0) {
            len += write_harmless(clean + len, p, n);
            p += n;
        } else {
            clean[len++] = (char)*p++;
        }
    }
    clean[len] = '\0';
    return clean;
}

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += begins_character(*text);
    return width;
}

char *text_cut(const char *text, size_t width, const char *ellipsis)
{
    if (text_width(text) <= width)
        return xstrdup(text);
    size_t rest = text_width(ellipsis);
    if (rest > width)
        return xstrdup("");

    const char *end = text;
    size_t left = width - rest;
    while (left > 0 || !begins_character(*end)) {
        left -= begins_character(*end);
        end++;
    }
    return xasprintf("%.*s%s", (int)(end - text), text, ellipsis);
}

/* Any number that a message may hold, brought into what an int64_t of microseconds holds. */
static int64_t to_usec(double seconds)
{
    if (!(seconds > 0))
        return 0;
    return seconds < 1e12 ? (int64_t)(seconds * 1e6) : (int64_t)1e18;
}

const char *text_duration(double seconds, char *buf, size_t size)
{
    return duration_human(to_usec(seconds), buf, size);
}

const char *text_duration_short(double seconds, char *buf, size_t size)
{
    char words[48];
    size_t len = 0;

    text_duration(seconds, words, sizeof words);
    for (const char *p = words; *p && len + 1 < size; p++) {
        bool in_min = p[0] == 'i' || (p[0] == 'n' && p[-1] == 'i');
        if (*p != ' ' && !in_min)
            buf[len++] = *p;
    }
    buf[len] = '\0';
    return buf;
}

const char *text_ago(double then, double now, char *buf, size_t size)
{
    char words[48];

    if (now - then < 1) {
        snprintf(buf, size, "just now");
        return buf;
    }
    /* "4 min 10 s": the first number and its unit. */
    text_duration(now - then, words, sizeof words);
    size_t number = strcspn(words, " ") + 1;
    snprintf(buf, size, "%.*s ago", (int)(number + strcspn(words + number, " ")), words);
    return buf;
}

const char *text_time(double when, bool millis, char *buf, size_t size)
{
    int64_t usec = to_usec(when);
    time_t seconds = (time_t)(usec / USEC_PER_SEC);
    struct tm tm;

    if (!localtime_r(&seconds, &tm)) {
        snprintf(buf, size, "%.0f", when);
        return buf;
    }
    size_t len = strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm);
    if (millis)
        snprintf(buf + len, size - len, ".%03d", (int)(usec % USEC_PER_SEC / USEC_PER_MSEC));
    return buf;
}

double text_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

const char *text_member(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

const char *text_integer(const json_t *object, const char *key, char *buf, size_t size)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value))
        return "-";
    snprintf(buf, size, "%lld", (long long)json_integer_value(value));
    return buf;
}

const char *text_exit(const json_t *info, char *buf, size_t size)
{
    const char *how = json_string_value(json_object_get(info, "how"));
    const char *signal = json_string_value(json_object_get(info, "signal"));

    if (how && strcmp(how, "exited") == 0)
        snprintf(buf, size, "exit %lld", (long long)json_integer_value(json_object_get(info, "code")));
    else if (json_is_true(json_object_get(info, "oom")))
        snprintf(buf, size, "killed by the OOM killer");
    else if (how && strcmp(how, "signaled") == 0)
        snprintf(buf, size, "killed by %s", signal ? signal : "a signal");
    else
        snprintf(buf, size, "ended, status unknown");
    return buf;
}

bool text_flush(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (errno != EPIPE)
        complain("writing the output: %s", errno ? strerror(errno) : "it failed");
    /* Once is enough. */
    __fpurge(stdout);
    clearerr(stdout);
    return false;
}

void text_print_json(const json_t *value)
{
    size_t len;
    char *line = proto_encode(value, &len);

    fwrite(line, 1, len, stdout);
    free(line);
}
