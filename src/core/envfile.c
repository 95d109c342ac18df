/* SPDX-License-Identifier: MIT */
#include "core/envfile.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"

struct parser {
    const char *at;
    const char *end;
    unsigned line; /* of `at` */
    char *out;     /* KEY=VALUE of the present line; has room for the whole text */
    size_t len;
    size_t keep; /* so much of `out` is kept when blanks at the end of a line are cut */
    unsigned *err_line;
    char *err;
    size_t err_size;
};

static bool fail(struct parser *p, unsigned line, const char *text)
{
    *p->err_line = line;
    snprintf(p->err, p->err_size, "%s", text);
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next character; counts lines. */
static char take(struct parser *p)
{
    if (*p->at == '\n')
        p->line++;
    return *p->at++;
}

static void put(struct parser *p, char c)
{
    p->out[p->len++] = c;
}

static void skip_blanks(struct parser *p)
{
    while (p->at < p->end && is_blank(*p->at))
        p->at++;
}

static void skip_line(struct parser *p)
{
    while (p->at < p->end && take(p) != '\n')
        continue;
}

static bool key_valid(const char *key, size_t len)
{
    if (len == 0 || (key[0] >= '0' && key[0] <= '9'))
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = key[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

static bool parse_key(struct parser *p)
{
    const char *key = p->at;
    size_t len = 0;

    while (p->at < p->end && *p->at != '=' && *p->at != '\n')
        p->at++;
    if (p->at == p->end || *p->at != '=')
        return fail(p, p->line, "no '=' in the line: write KEY=VALUE");
    for (len = (size_t)(p->at - key); len > 0 && is_blank(key[len - 1]); len--)
        continue;
    if (len > 7 && memcmp(key, "export", 6) == 0 && is_blank(key[6]))
        return fail(p, p->line, "'export' is not understood, this is no shell script: write KEY=VALUE");
    if (!key_valid(key, len))
        return fail(p, p->line, "not a variable's name before the '=': use letters, digits and _, not a digit first");

    memcpy(p->out, key, len);
    p->len = len;
    put(p, '=');
    p->at++;
    return true;
}

/* After the opening QUOTE; leaves after the closing one. */
static bool parse_quoted(struct parser *p, char quote)
{
    unsigned opened = p->line;

    while (p->at < p->end) {
        char c = take(p);
        if (c == quote) {
            p->keep = p->len;
            return true;
        }
        if (quote == '"' && c == '\\' && p->at < p->end && strchr("\\\"`$\n", *p->at) != NULL) {
            c = take(p);
            if (c == '\n')
                continue;
        }
        put(p, c);
    }
    return fail(p, opened, quote == '"' ? "the quote \" is not closed" : "the quote ' is not closed");
}

/* The rest of a line that began without a quote; blanks at its end go. */
static void parse_plain(struct parser *p)
{
    while (p->at < p->end) {
        char c = take(p);
        if (c == '\n')
            return;
        if (c == '\\' && p->at < p->end) {
            c = take(p);
            if (c == '\n')
                continue;
            put(p, c);
            p->keep = p->len;
            continue;
        }
        put(p, c);
        if (!is_blank(c))
            p->keep = p->len;
    }
}

/* Quoted parts one after another, then perhaps plain text. */
static bool parse_value(struct parser *p)
{
    p->keep = p->len;
    for (;;) {
        skip_blanks(p);
        if (p->at == p->end || (*p->at != '"' && *p->at != '\''))
            break;
        if (!parse_quoted(p, take(p)))
            return false;
    }
    parse_plain(p);
    p->len = p->keep;
    return true;
}

static bool parse_line(struct parser *p, char ***env)
{
    skip_blanks(p);
    if (p->at == p->end)
        return true;
    if (*p->at == '\n' || *p->at == '#' || *p->at == ';') {
        skip_line(p);
        return true;
    }

    unsigned line = p->line;
    if (!parse_key(p) || !parse_value(p))
        return false;
    if (memchr(p->out, '\0', p->len) != NULL)
        return fail(p, line, "a NUL byte in the value: the file is no text");
    p->out[p->len] = '\0';
    *env = strv_env_set(*env, p->out);
    return true;
}

char **envfile_parse(char **env, const char *text, size_t len, unsigned *err_line, char *err, size_t err_size)
{
    struct parser p = {
        .at = text,
        .end = text + len,
        .line = 1,
        .out = xmalloc(len + 2),
        .err_line = err_line,
        .err = err,
        .err_size = err_size,
    };

    *err_line = 0;
    while (p.at < p.end && parse_line(&p, &env))
        continue;
    free(p.out);
    return env;
}
