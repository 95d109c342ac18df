/* SPDX-License-Identifier: MIT */
#include "core/log_match.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "core/log_stream.h"

_Static_assert(sizeof(struct log_match) <= LOG_MATCH_HEAD_SIZE, "the head lies before what is kept");

/* NAME with the suffix TO in place of FROM; NULL when it has another. */
static char *with_suffix(const char *name, const char *from, const char *to)
{
    size_t len = strlen(name);
    size_t suffix = strlen(from);

    if (len <= suffix || strcmp(name + len - suffix, from) != 0)
        return NULL;
    return xasprintf("%.*s%s", (int)(len - suffix), name, to);
}

char *log_match_name(const char *fifo)
{
    return with_suffix(fifo, LOG_FIFO_SUFFIX, LOG_MATCH_SUFFIX);
}

char *log_match_fifo(const char *name)
{
    return with_suffix(name, LOG_MATCH_SUFFIX, LOG_FIFO_SUFFIX);
}

bool log_match_init(struct log_match *match, uint32_t life, uint64_t fifo, uint64_t id, const char *pattern)
{
    *match = (struct log_match){.magic = LOG_MATCH_MAGIC, .life = life, .fifo = fifo, .id = id};
    return (size_t)snprintf(match->pattern, sizeof match->pattern, "%s", pattern) < sizeof match->pattern;
}

bool log_match_makes_sense(const struct log_match *match)
{
    return match->magic == LOG_MATCH_MAGIC && memchr(match->pattern, '\0', sizeof match->pattern) != NULL;
}

uint64_t log_match_line(const struct log_match *match)
{
    return match->looked > match->old ? match->looked : match->old;
}

size_t log_match_n_kept(const struct log_match *match)
{
    uint64_t line = log_match_line(match);

    return match->kept > line ? (size_t)(match->kept - line) : 0;
}

uint64_t log_match_free(const struct log_match *match)
{
    uint64_t known = log_match_line(match) + log_match_n_kept(match);

    return known > match->taken ? known - match->taken : 0;
}

size_t log_match_look(const regex_t *grep, const char *text, size_t len, bool *found)
{
    size_t done = 0;

    *found = false;
    while (done < len && !*found) {
        size_t left = len - done < LOG_LINE_MAX ? len - done : LOG_LINE_MAX;
        const char *newline = memchr(text + done, '\n', left);

        if (!newline && left < LOG_LINE_MAX)
            break;
        size_t line = newline ? (size_t)(newline - (text + done)) : left;
        *found = grep_matches(grep, text + done, line, false);
        done += line + (newline ? 1 : 0);
    }
    return done;
}
