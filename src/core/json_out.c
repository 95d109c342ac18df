/* SPDX-License-Identifier: MIT */
#include "core/json_out.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Of the longest number, and then some. */
#define NUMBER_MAX 40
/* Enough for seconds since 1970 with microseconds, and 0.1 stays 0.1. */
#define REAL_DIGITS 16

#define USEC UINT64_C(1000000)

/* Room for a value of at most LEN bytes, and what separates it from the one before; where the value goes. */
static char *begin_value(struct json_out *out, size_t len)
{
    char *at = buf_reserve(&out->text, len + 1);

    if (out->comma)
        *at++ = ',';
    out->comma = true;
    return at;
}

/* Its bytes were put up to END. */
static void end_value(struct json_out *out, const char *end)
{
    buf_commit(&out->text, (size_t)(end - out->text.data) - out->text.len);
}

static void add_literal(struct json_out *out, const char *text, size_t len)
{
    char *at = begin_value(out, len);

    memcpy(at, text, len);
    end_value(out, at + len);
}

void json_out_text(struct json_out *out, const char *text, size_t len)
{
    add_literal(out, text, len);
}

void json_out_open(struct json_out *out, char bracket)
{
    add_literal(out, &bracket, 1);
    out->comma = false;
}

void json_out_close(struct json_out *out, char bracket)
{
    buf_add(&out->text, &bracket, 1);
    out->comma = true;
}

void json_out_key(struct json_out *out, const char *key)
{
    size_t len = strlen(key);
    char *at = begin_value(out, len + 3);

    *at++ = '"';
    memcpy(at, key, len);
    memcpy(at + len, "\":", 2);
    end_value(out, at + len + 2);
    out->comma = false;
}

void json_out_null(struct json_out *out)
{
    add_literal(out, "null", 4);
}

void json_out_bool(struct json_out *out, bool value)
{
    if (value)
        add_literal(out, "true", 4);
    else
        add_literal(out, "false", 5);
}

/* The digits of VALUE, right before END.  Where they begin. */
static char *put_digits(char *end, uint64_t value)
{
    do
        *--end = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return end;
}

/* No overflow for the smallest one. */
static uint64_t magnitude(int64_t value)
{
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

void json_out_int(struct json_out *out, int64_t value)
{
    char digits[NUMBER_MAX];
    char *end = digits + sizeof digits;
    char *first = put_digits(end, magnitude(value));

    if (value < 0)
        *--first = '-';
    add_literal(out, first, (size_t)(end - first));
}

void json_out_seconds(struct json_out *out, int64_t usec)
{
    char digits[NUMBER_MAX];
    char *end = digits + sizeof digits;
    uint64_t left = magnitude(usec);

    /* A one before the fraction keeps its zeros; the point takes its place. */
    char *point = put_digits(end, USEC + left % USEC);
    *point = '.';
    char *first = put_digits(point, left / USEC);
    if (usec < 0)
        *--first = '-';
    while (end[-1] == '0' && end > point + 2)
        end--;
    add_literal(out, first, (size_t)(end - first));
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void add_escape(struct buf *buf, unsigned char c)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* what is meant, and how it is called */
    char escape[8];

    for (const char *p = named; *p; p += 2) {
        if ((unsigned char)*p != c)
            continue;
        buf_add_char(buf, '\\');
        buf_add_char(buf, p[1]);
        return;
    }
    snprintf(escape, sizeof escape, "\\u%04X", c);
    buf_add_string(buf, escape);
}

/* What begins at TEXT and is not plain; its length. */
static size_t add_special(struct buf *buf, const char *text, size_t left)
{
    static const char replacement[] = "\xef\xbf\xbd";

    if ((unsigned char)*text < 0x80) {
        add_escape(buf, (unsigned char)*text);
        return 1;
    }
    size_t n = utf8_length(text, left);
    if (n > 0)
        buf_add(buf, text, n);
    else
        buf_add_string(buf, replacement);
    return n > 0 ? n : 1;
}

/* So many bytes at TEXT stand for themselves. */
static size_t plain_length(const char *text)
{
    size_t n = 0;

    while (is_plain((unsigned char)text[n]))
        n++;
    return n;
}

/* Nearly all strings need no escapes. */
static bool add_plain(struct json_out *out, const char *text)
{
    size_t len = plain_length(text);

    if (text[len] != '\0')
        return false;
    char *at = begin_value(out, len + 2);
    *at++ = '"';
    memcpy(at, text, len);
    at[len] = '"';
    end_value(out, at + len + 1);
    return true;
}

void json_out_string(struct json_out *out, const char *text)
{
    if (!text) {
        json_out_null(out);
        return;
    }
    if (add_plain(out, text))
        return;
    const char *end = text + strlen(text);

    end_value(out, begin_value(out, 0));
    buf_add_char(&out->text, '"');
    while (text < end) {
        size_t plain = plain_length(text);

        buf_add(&out->text, text, plain);
        text += plain;
        if (text < end)
            text += add_special(&out->text, text, (size_t)(end - text));
    }
    buf_add_char(&out->text, '"');
}

static int append(const char *data, size_t n, void *ctx)
{
    buf_add(ctx, data, n);
    return 0;
}

void json_out_tree(struct json_out *out, const json_t *value)
{
    end_value(out, begin_value(out, 0));
    json_dump_callback(value, append, &out->text, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(REAL_DIGITS));
}

json_t *json_out_read(struct json_out *out)
{
    json_t *tree = json_loadb(out->text.data, out->text.len, JSON_DECODE_ANY, NULL);

    buf_free(&out->text);
    out->comma = false;
    return tree;
}
