/* SPDX-License-Identifier: MIT */
#include "os/config_text.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "core/spec.h"
#include "os/config_lex.h"

#define SECTIONS_IN_CHUNK 32

struct rewriter {
    struct config_lex lex;
    struct buf out;
    unsigned chunk_line; /* line of the file that is the first of `out` */
    unsigned out_line;   /* line of the file that is being written */
    unsigned n_sections; /* in `out` */
    unsigned number;     /* of sections so far: makes titles unique */
    bool in_section;
    const struct config_token *nested; /* the name of the section within it, NULL: none */
    bool stopped;                      /* by the handler */
    const struct config_text_handlers *handlers;
    void *ctx;
};

/* At most this much of a long word is shown in an error. */
static int shown(const struct config_token *token)
{
    return token->len < 64 ? (int)token->len : 64;
}

static bool fail_unexpected(struct rewriter *r, const struct config_token *token, const char *wanted)
{
    if (token->kind == TOKEN_END)
        return config_lex_fail(&r->lex, token->line, "the file ends where %s should stand", wanted);
    return config_lex_fail(&r->lex, token->line, "'%.*s' where %s should stand", shown(token), token->text, wanted);
}

/* What follows is written to the line that it stands in. */
static void go_to_line(struct rewriter *r, unsigned line)
{
    for (; r->out_line < line; r->out_line++)
        buf_add_char(&r->out, '\n');
}

/* A word in double quotes means itself once these are escaped; what is in quotes already has its escapes. */
static void put_string(struct rewriter *r, const char *prefix, const struct config_token *token)
{
    char quote = token->kind == TOKEN_SINGLE ? '\'' : '"';

    go_to_line(r, token->line);
    buf_add_char(&r->out, quote);
    buf_add_string(&r->out, prefix);
    for (size_t i = 0; i < token->len; i++) {
        char c = token->text[i];
        if (token->kind == TOKEN_DOUBLE && c == '\\') {
            buf_add(&r->out, token->text + i++, 2);
            continue;
        }
        if ((c == '$' && quote == '"') || (c == '\\' && token->kind == TOKEN_WORD))
            buf_add_char(&r->out, '\\');
        buf_add_char(&r->out, c);
    }
    buf_add_char(&r->out, quote);
    r->out_line = token->end_line;
}

/* A key of a section within a section is told as SECTION.KEY. */
static void put_key(struct rewriter *r, const struct config_token *key, char kind)
{
    go_to_line(r, key->line);
    if (r->nested != NULL)
        buf_addf(&r->out, "%.*s.", (int)r->nested->len, r->nested->text);
    buf_addf(&r->out, "%.*s += {\"%c%u\"", (int)key->len, key->text, kind, key->line);
}

static bool check_key(struct rewriter *r, const struct config_token *key)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";

    if (key->kind == TOKEN_WORD && key->len <= 64) {
        size_t n = 0;
        while (n < key->len && strchr(allowed, key->text[n]) != NULL)
            n++;
        if (n == key->len)
            return true;
    }
    if (key->kind == TOKEN_WORD && key->text[0] == ';')
        return config_lex_fail(&r->lex, key->line, "';' ends nothing here: remove it");
    return fail_unexpected(r, key, "the name of a key");
}

static bool check_value(struct rewriter *r, const struct config_token *value)
{
    if (!config_token_is_string(value))
        return fail_unexpected(r, value, "a value");
    if (value->kind == TOKEN_WORD) {
        if (value->text[value->len - 1] == ';')
            return config_lex_fail(&r->lex, value->line,
                                   "';' ends nothing here: remove it, or quote the word if it belongs to it");
        if (value->next == '=' || value->next == '"' || value->next == '\'')
            return config_lex_fail(&r->lex, value->line, "%c within the word '%.*s': put the whole word into quotes",
                                   value->next, shown(value), value->text);
        return true;
    }
    if (value->next != '\0' && strchr(" \t\r\n,}#/;", value->next) == NULL)
        return config_lex_fail(&r->lex, value->end_line,
                               "the string goes on behind its closing quote: put all of it into one pair of quotes");
    return true;
}

/* Behind "key = {". */
static bool rewrite_list(struct rewriter *r, const struct config_token *open)
{
    struct config_token token;

    for (;;) {
        if (!config_lex_next(&r->lex, &token))
            return false;
        if (token.kind == TOKEN_END)
            return config_lex_fail(&r->lex, open->line, "the list that is opened here is never closed: no } follows");
        if (config_token_is(&token, '}'))
            break;
        if (!check_value(r, &token))
            return false;
        buf_add_char(&r->out, ',');
        put_string(r, "=", &token);

        struct config_token separator;
        if (!config_lex_peek(&r->lex, &separator))
            return false;
        if (config_token_is(&separator, ','))
            (void)config_lex_next(&r->lex, &separator);
        else if (!config_token_is(&separator, '}') && separator.kind != TOKEN_END)
            return config_lex_fail(&r->lex, separator.line, "no ',' before '%.*s' in the list", shown(&separator),
                                   separator.text);
    }
    buf_add_char(&r->out, '}');
    return true;
}

/* Behind "key". */
static bool rewrite_assignment(struct rewriter *r, const struct config_token *key)
{
    struct config_token equal;
    struct config_token value;

    if (!config_lex_next(&r->lex, &equal) || !config_lex_next(&r->lex, &value))
        return false;
    if (config_token_is(&value, '{')) {
        put_key(r, key, 'L');
        return rewrite_list(r, &value);
    }
    if (!check_value(r, &value))
        return false;
    put_key(r, key, 'V');
    buf_add_char(&r->out, ',');
    put_string(r, "=", &value);
    buf_add_char(&r->out, '}');
    return true;
}

/* Behind "key" of a section that is not known in another: only its name is told. */
static bool rewrite_unknown(struct rewriter *r, const struct config_token *key)
{
    struct config_token token = *key;
    unsigned depth = 0;

    do {
        if (!config_lex_next(&r->lex, &token))
            return false;
        if (token.kind == TOKEN_END)
            return config_lex_fail(&r->lex, key->line, "the section that is opened here is never closed: no } follows");
        if (config_token_is(&token, '{'))
            depth++;
        else if (config_token_is(&token, '}'))
            depth--;
    } while (depth > 0 || !config_token_is(&token, '}'));
    put_key(r, key, 'S');
    buf_add_char(&r->out, '}');
    return true;
}

static bool rewrite_entry(struct rewriter *r, const struct config_token *key);

/* Behind the { of the section NAME, up to its }. */
static bool rewrite_entries(struct rewriter *r, const struct config_token *name)
{
    struct config_token token;

    for (;;) {
        if (!config_lex_next(&r->lex, &token))
            return false;
        if (token.kind == TOKEN_END)
            return config_lex_fail(&r->lex, name->line,
                                   "the section that is opened here is never closed: no } follows");
        if (config_token_is(&token, '}'))
            return true;
        if (!rewrite_entry(r, &token))
            return false;
        buf_add_char(&r->out, ' ');
    }
}

/* Behind the name of a section within a section. */
static bool rewrite_nested(struct rewriter *r, const struct config_token *name)
{
    struct config_token token;

    if (r->nested != NULL)
        return config_lex_fail(&r->lex, name->line, "'%.*s' cannot stand in '%.*s'", shown(name), name->text,
                               shown(r->nested), r->nested->text);
    if (!r->in_section || !spec_has_section(name->text, name->len))
        return rewrite_unknown(r, name);
    if (!config_lex_next(&r->lex, &token))
        return false;
    if (!config_token_is(&token, '{'))
        return config_lex_fail(&r->lex, name->line, "'%.*s' takes no name: write %.*s { ... }", shown(name), name->text,
                               shown(name), name->text);
    r->nested = name;
    if (!rewrite_entries(r, name))
        return false;
    r->nested = NULL;
    return true;
}

/* Is what follows a section, with a title or without? */
static bool peek_section(struct rewriter *r, struct config_token *next, bool *section)
{
    struct config_lex here = r->lex;
    struct config_token token;

    if (!config_lex_peek(&r->lex, next))
        return false;
    *section = config_token_is(next, '{');
    if (!config_token_is_string(next))
        return true;

    bool ok = config_lex_next(&r->lex, &token) && config_lex_next(&r->lex, &token);
    *section = ok && config_token_is(&token, '{');
    if (!ok)
        return false;
    r->lex = here;
    return true;
}

static bool rewrite_entry(struct rewriter *r, const struct config_token *key)
{
    struct config_token next;
    bool section;

    if (!check_key(r, key) || !peek_section(r, &next, &section))
        return false;
    if (section)
        return rewrite_nested(r, key);
    if (config_token_is(&next, '='))
        return rewrite_assignment(r, key);
    if (next.kind == TOKEN_APPEND)
        return config_lex_fail(&r->lex, key->line, "'+=' is not known: use '=' and give all values at once");
    return config_lex_fail(&r->lex, key->line, "no '=' after '%.*s'", shown(key), key->text);
}

/* Behind the name of a section. */
static bool rewrite_section(struct rewriter *r, const struct config_token *name)
{
    static const struct config_token no_title = {.kind = TOKEN_DOUBLE, .text = ""};
    struct config_token token;
    char prefix[32];

    r->in_section = true;
    if (!config_lex_next(&r->lex, &token))
        return false;
    go_to_line(r, name->line);
    buf_addf(&r->out, "%.*s ", (int)name->len, name->text);
    snprintf(prefix, sizeof(prefix), "%u.%u:", name->line, ++r->number);
    if (config_token_is_string(&token)) {
        put_string(r, prefix, &token);
        if (!config_lex_next(&r->lex, &token))
            return false;
    } else {
        struct config_token title = no_title;
        title.line = title.end_line = name->line;
        put_string(r, prefix, &title);
    }
    buf_add_string(&r->out, " {");

    if (!rewrite_entries(r, name))
        return false;
    buf_add_string(&r->out, "} ");
    r->in_section = false;
    r->n_sections++;
    return true;
}

/* Behind "include".  Its pattern means what is written: escapes are for values. */
static bool take_include(struct rewriter *r, const struct config_token *key)
{
    struct config_token open;
    struct config_token pattern;
    struct config_token close;

    if (!config_lex_next(&r->lex, &open) || !config_lex_next(&r->lex, &pattern) || !config_lex_next(&r->lex, &close))
        return false;
    if (!config_token_is_string(&pattern) || pattern.len == 0 || !config_token_is(&close, ')'))
        return config_lex_fail(&r->lex, key->line, "include needs one name of a file: include(\"conf.d/*.conf\")");
    if (memchr(pattern.text, '\\', pattern.len) != NULL || memchr(pattern.text, '\n', pattern.len) != NULL)
        return config_lex_fail(&r->lex, key->line, "include takes a plain name, without backslashes and line ends");

    struct buf name = {0};
    buf_add(&name, pattern.text, pattern.len);
    r->handlers->include(r->ctx, name.data, key->line);
    buf_free(&name);
    return true;
}

/* False when the handler has had enough. */
static bool flush(struct rewriter *r, enum config_chunk_end end)
{
    if (r->out.len > 0 && !r->handlers->chunk(r->ctx, r->out.data, r->out.len, r->chunk_line, end)) {
        r->stopped = true;
        return false;
    }
    buf_reset(&r->out);
    r->chunk_line = r->out_line;
    r->n_sections = 0;
    return true;
}

static bool rewrite_statement(struct rewriter *r, const struct config_token *key)
{
    struct config_token next;
    bool section;

    if (config_token_is(key, '}'))
        return config_lex_fail(&r->lex, key->line, "'}' closes nothing: no section is open");
    if (!check_key(r, key) || !peek_section(r, &next, &section))
        return false;
    if (section)
        return rewrite_section(r, key) && (r->n_sections < SECTIONS_IN_CHUNK || flush(r, CHUNK_WHOLE));
    if (!config_token_is(&next, '('))
        return rewrite_entry(r, key);
    if (key->len != 7 || memcmp(key->text, "include", 7) != 0)
        return config_lex_fail(&r->lex, key->line, "'%.*s(' is not known: the one word with parentheses is include",
                               shown(key), key->text);
    return take_include(r, key);
}

static bool rewrite_all(struct rewriter *r)
{
    struct config_token token;

    for (;;) {
        if (!config_lex_next(&r->lex, &token))
            return false;
        if (token.kind == TOKEN_END)
            return true;
        if (!rewrite_statement(r, &token))
            return false;
        buf_add_char(&r->out, ' ');
    }
}

void config_text_read(const char *text, size_t len, const struct config_text_handlers *handlers, void *ctx)
{
    struct rewriter r = {.chunk_line = 1, .out_line = 1, .handlers = handlers, .ctx = ctx};

    config_lex_init(&r.lex, text, len);
    bool whole = rewrite_all(&r);
    enum config_chunk_end end = whole ? CHUNK_WHOLE : r.in_section ? CHUNK_CUT_IN_SECTION : CHUNK_CUT;
    if (!r.stopped && flush(&r, end) && !whole)
        handlers->error(ctx, r.lex.err_line, r.lex.err);
    config_lex_clear(&r.lex);
    buf_free(&r.out);
}
