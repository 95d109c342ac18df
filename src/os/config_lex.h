/* SPDX-License-Identifier: MIT */
/*
 * The words of a configuration file, supd.conf(5) "SYNTAX": what is a comment, a
 * quoted string, an unquoted word.
 */
#ifndef SUPD_OS_CONFIG_LEX_H
#define SUPD_OS_CONFIG_LEX_H

#include <stdbool.h>
#include <stddef.h>

enum config_token_kind {
    TOKEN_END,
    TOKEN_WORD,   /* unquoted */
    TOKEN_SINGLE, /* '...' */
    TOKEN_DOUBLE, /* "..." */
    TOKEN_PUNCT,  /* one of { } ( ) = , */
    TOKEN_APPEND, /* += */
};

struct config_token {
    enum config_token_kind kind;
    const char *text; /* without the quotes, escapes as they stand */
    size_t len;
    unsigned line;     /* where it begins */
    unsigned end_line; /* where it ends */
    char next;         /* the character right behind it, 0 at the end of the file */
};

struct config_lex {
    const char *at;
    const char *end;
    unsigned line;
    unsigned err_line; /* 0: no error so far */
    char *err;
};

void config_lex_init(struct config_lex *lex, const char *text, size_t len);
void config_lex_clear(struct config_lex *lex);

/* Takes the next token; false with the error kept when there is none to be taken. */
bool config_lex_next(struct config_lex *lex, struct config_token *token);

/* The same without moving on. */
bool config_lex_peek(struct config_lex *lex, struct config_token *token);

/* Keeps the first error.  Returns false. */
bool config_lex_fail(struct config_lex *lex, unsigned line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Is it the punctuation C? */
bool config_token_is(const struct config_token *token, char c);

/* Is it a word or a quoted string? */
bool config_token_is_string(const struct config_token *token);

#endif
