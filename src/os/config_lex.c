/* SPDX-License-Identifier: MIT */
#include "os/config_lex.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void config_lex_init(struct config_lex *lex, const char *text, size_t len)
{
    *lex = (struct config_lex){.at = text, .end = text + len, .line = 1};
    /* A byte order mark, which some editors leave. */
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        lex->at += 3;
}

void config_lex_clear(struct config_lex *lex)
{
    free(lex->err);
    lex->err = NULL;
}

bool config_lex_fail(struct config_lex *lex, unsigned line, const char *fmt, ...)
{
    va_list ap;

    if (lex->err != NULL)
        return false;
    va_start(ap, fmt);
    lex->err = xvasprintf(fmt, ap);
    va_end(ap);
    lex->err_line = line;
    return false;
}

/* The character OFFSET behind the present one, 0 beyond the end. */
static char ahead(const struct config_lex *lex, size_t offset)
{
    return (size_t)(lex->end - lex->at) > offset ? lex->at[offset] : '\0';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_to_line_end(struct config_lex *lex)
{
    while (lex->at < lex->end && *lex->at != '\n')
        lex->at++;
}

static bool skip_c_comment(struct config_lex *lex)
{
    unsigned opened = lex->line;

    for (lex->at += 2; lex->at < lex->end; lex->at++) {
        if (*lex->at == '\n')
            lex->line++;
        if (*lex->at == '*' && ahead(lex, 1) == '/') {
            lex->at += 2;
            return true;
        }
    }
    return config_lex_fail(lex, opened, "the comment that begins here is never closed: no */ follows");
}

static bool skip_space(struct config_lex *lex)
{
    while (lex->at < lex->end) {
        if (is_blank(*lex->at)) {
            if (*lex->at == '\n')
                lex->line++;
            lex->at++;
        } else if (*lex->at == '#' || (*lex->at == '/' && ahead(lex, 1) == '/')) {
            skip_to_line_end(lex);
        } else if (*lex->at == '/' && ahead(lex, 1) == '*') {
            if (!skip_c_comment(lex))
                return false;
        } else {
            return true;
        }
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* At the character after a backslash.  libconfuse reads at most two digits. */
static bool check_hex_escape(struct config_lex *lex)
{
    int high = hex_digit(ahead(lex, 1));
    int low = hex_digit(ahead(lex, 2));

    if (high < 0)
        return config_lex_fail(lex, lex->line, "\\x needs one or two hexadecimal digits; write \\\\ for a backslash");
    if (high == 0 && low <= 0)
        return config_lex_fail(lex, lex->line, "a string cannot hold a NUL byte (\\x0)");
    return true;
}

static bool check_octal_escape(struct config_lex *lex)
{
    unsigned value = 0;
    size_t n = 0;

    for (char c = ahead(lex, 0); c >= '0' && c <= '9'; c = ahead(lex, ++n)) {
        if (c > '7' || n == 3)
            return config_lex_fail(lex, lex->line,
                                   "\\ before a digit begins an octal number of up to three digits; write \\\\ for a "
                                   "backslash, \\xHH before a digit");
        value = 8 * value + (unsigned)(c - '0');
    }
    if (value == 0 || value > 255)
        return config_lex_fail(lex, lex->line, "an octal number after \\ is from 1 to 377");
    return true;
}

/* At the character after a backslash in double quotes. */
static bool check_escape(struct config_lex *lex)
{
    if (*lex->at == 'x')
        return check_hex_escape(lex);
    if (*lex->at >= '0' && *lex->at <= '9')
        return check_octal_escape(lex);
    return true;
}

static bool take_quoted(struct config_lex *lex, struct config_token *token)
{
    char quote = *lex->at++;

    token->kind = quote == '"' ? TOKEN_DOUBLE : TOKEN_SINGLE;
    token->text = lex->at;
    for (; lex->at < lex->end && *lex->at != quote; lex->at++) {
        if (*lex->at == '\0')
            return config_lex_fail(lex, lex->line, "a NUL byte: the file is no text");
        if (*lex->at == '\\') {
            lex->at++;
            if (lex->at == lex->end)
                break;
            if (quote == '"' && !check_escape(lex))
                return false;
        }
        if (*lex->at == '\n')
            lex->line++;
    }
    if (lex->at == lex->end)
        return config_lex_fail(lex, token->line, "the quote %c that is opened here is never closed", quote);
    token->len = (size_t)(lex->at - token->text);
    lex->at++;
    return true;
}

/* At "${": the variable belongs to the word, up to its brace. */
static bool take_variable(struct config_lex *lex)
{
    const char *p = lex->at;

    while (p < lex->end && *p != '}' && *p != '\n')
        p++;
    if (p == lex->end || *p != '}')
        return config_lex_fail(lex, lex->line, "no } follows this ${ in the line: put the word into quotes");
    lex->at = p + 1;
    return true;
}

static bool take_word(struct config_lex *lex, struct config_token *token)
{
    token->kind = TOKEN_WORD;
    token->text = lex->at;
    while (lex->at < lex->end && !is_blank(*lex->at) && strchr("\"'{}()=,#", *lex->at) == NULL) {
        if (*lex->at == '+' && ahead(lex, 1) == '=')
            break;
        if (*lex->at == '/' && ahead(lex, 1) == '*')
            return config_lex_fail(lex, lex->line,
                                   "/* within a word begins a comment: put the word into quotes, or a space before it");
        if (*lex->at == '$' && ahead(lex, 1) == '{') {
            if (!take_variable(lex))
                return false;
            continue;
        }
        if ((unsigned char)*lex->at < 0x20 || *lex->at == 0x7f)
            return config_lex_fail(lex, lex->line, "a control character (0x%02x) outside of quotes",
                                   (unsigned)(unsigned char)*lex->at);
        lex->at++;
    }
    if (ahead(lex, 0) == '#')
        return config_lex_fail(lex, lex->line,
                               "# within a word begins a comment: put the word into quotes, or a space before it");
    token->len = (size_t)(lex->at - token->text);
    return true;
}

static bool take_token(struct config_lex *lex, struct config_token *token)
{
    char c = *lex->at;

    if (c == '"' || c == '\'')
        return take_quoted(lex, token);
    if (c != '\0' && strchr("{}()=,", c) != NULL) {
        *token = (struct config_token){.kind = TOKEN_PUNCT, .text = lex->at++, .len = 1, .line = lex->line};
        return true;
    }
    if (c == '+' && ahead(lex, 1) == '=') {
        *token = (struct config_token){.kind = TOKEN_APPEND, .text = lex->at, .len = 2, .line = lex->line};
        lex->at += 2;
        return true;
    }
    if (c == '\0')
        return config_lex_fail(lex, lex->line, "a NUL byte: the file is no text");
    return take_word(lex, token);
}

bool config_lex_next(struct config_lex *lex, struct config_token *token)
{
    if (lex->err != NULL || !skip_space(lex))
        return false;

    *token = (struct config_token){.kind = TOKEN_END, .text = "", .line = lex->line};
    if (lex->at < lex->end && !take_token(lex, token))
        return false;
    token->end_line = lex->line;
    token->next = ahead(lex, 0);
    return true;
}

bool config_lex_peek(struct config_lex *lex, struct config_token *token)
{
    const char *at = lex->at;
    unsigned line = lex->line;
    bool ok = config_lex_next(lex, token);

    lex->at = at;
    lex->line = line;
    return ok;
}

bool config_token_is(const struct config_token *token, char c)
{
    return token->kind == TOKEN_PUNCT && token->text[0] == c;
}

bool config_token_is_string(const struct config_token *token)
{
    return token->kind == TOKEN_WORD || token->kind == TOKEN_SINGLE || token->kind == TOKEN_DOUBLE;
}
