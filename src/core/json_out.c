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

static void begin_value(struct json_out *out)
{
    if (out->comma)
        buf_add_char(&out->text, ',');
    out->comma = true;
}

static void add_literal(struct json_out *out, const char *text, size_t len)
{
    begin_value(out);
    buf_add(&out->text, text, len);
}

void json_out_open(struct json_out *out, char bracket)
{
    begin_value(out);
    buf_add_char(&out->text, bracket);
    out->comma = false;
}

void json_out_close(struct json_out *out, char bracket)
{
    buf_add_char(&out->text, bracket);
    out->comma = true;
}

void json_out_key(struct json_out *out, const char *key)
{
    begin_value(out);
    buf_add_char(&out->text, '"');
    buf_add_string(&out->text, key);
    buf_add(&out->text, "\":", 2);
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

void json_out_real(struct json_out *out, double value)
{
    char digits[NUMBER_MAX];
    int n = snprintf(digits, sizeof digits - 2, "%.*g", REAL_DIGITS, value);

    /* Without a point or an exponent it would be an integer. */
    if (!strpbrk(digits, ".e")) {
        memcpy(digits + n, ".0", 3);
        n += 2;
    }
    add_literal(out, digits, (size_t)n);
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

void json_out_string(struct json_out *out, const char *text)
{
    if (!text) {
        json_out_null(out);
        return;
    }
    const char *end = text + strlen(text);

    begin_value(out);
    buf_add_char(&out->text, '"');
    while (text < end) {
        const char *plain = text;

        while (text < end && is_plain((unsigned char)*text))
            text++;
        buf_add(&out->text, plain, (size_t)(text - plain));
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
    begin_value(out);
    json_dump_callback(value, append, &out->text, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(REAL_DIGITS));
}

json_t *json_out_read(struct json_out *out)
{
    json_t *tree = json_loadb(out->text.data, out->text.len, JSON_DECODE_ANY, NULL);

    buf_free(&out->text);
    out->comma = false;
    return tree;
}
