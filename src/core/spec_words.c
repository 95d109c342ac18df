/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/spec.h"

struct splitter {
    const char *at; /* what is still to be read */
    char *word;     /* the one that is being put together; as long as the whole text, so it always fits */
    size_t len;
    bool in_word; /* also true for "" */
    char **words;
    size_t n;
    size_t room;
};

static void put(struct splitter *s, char c)
{
    s->word[s->len++] = c;
    s->in_word = true;
}

static void end_word(struct splitter *s)
{
    if (!s->in_word)
        return;
    if (s->n + 2 > s->room) {
        s->room = 2 * s->room + 8;
        s->words = xreallocarray(s->words, s->room, sizeof(*s->words));
    }
    s->words[s->n++] = xstrndup(s->word, s->len);
    s->words[s->n] = NULL;
    s->len = 0;
    s->in_word = false;
}

/* At the character after a backslash outside of quotes. */
static bool take_escaped(struct splitter *s)
{
    if (*s->at == '\0')
        return false;
    if (*s->at != '\n')
        put(s, *s->at);
    s->at++;
    return true;
}

/* At the character after an opening QUOTE; leaves after the closing one. */
static bool take_quoted(struct splitter *s, char quote)
{
    s->in_word = true;
    for (; *s->at != quote; s->at++) {
        if (*s->at == '\0')
            return false;
        if (quote == '"' && *s->at == '\\' && s->at[1] != '\0' && strchr("$`\"\\\n", s->at[1]) != NULL) {
            s->at++;
            if (*s->at == '\n')
                continue;
        }
        put(s, *s->at);
    }
    s->at++;
    return true;
}

static bool take_char(struct splitter *s, char *err, size_t err_size)
{
    char c = *s->at++;

    if (strchr(" \t\r\n", c) != NULL) {
        end_word(s);
        return true;
    }
    if (c == '\\') {
        if (!take_escaped(s)) {
            snprintf(err, err_size, "a backslash ends the text: write \\\\ for a backslash");
            return false;
        }
        return true;
    }
    if (c == '\'' || c == '"') {
        if (!take_quoted(s, c)) {
            snprintf(err, err_size, "the quote %c is not closed", c);
            return false;
        }
        return true;
    }
    put(s, c);
    return true;
}

char **spec_split_words(const char *text, char *err, size_t err_size)
{
    struct splitter s = {.at = text, .word = xmalloc(strlen(text) + 1), .words = xcalloc(1, sizeof(char *)), .room = 1};
    bool ok = true;

    while (ok && *s.at != '\0')
        ok = take_char(&s, err, err_size);
    end_word(&s);
    free(s.word);
    if (ok)
        return s.words;

    for (size_t i = 0; i < s.n; i++)
        free(s.words[i]);
    free(s.words);
    return NULL;
}
