/* SPDX-License-Identifier: MIT */
/*
 * The pass over the text of a configuration file before libconfuse sees it.
 *
 * libconfuse counts lines wrongly once there are comments, expands ${X} from our
 * environment, drops characters it has no use for, takes a file that ends within a
 * section for a whole one, and keeps its lexer's state in globals that an
 * unclosed quote leaves in disorder.  So every word is read here first, all that
 * is wrong with the words is told from here, and libconfuse gets a text without
 * comments in which line N is still line N and
 *
 *   key = value           has become  key += {"V7", "=value"}
 *   key = {a, b}          has become  key += {"L7", "=a", "=b"}
 *   key { ... }           has become  key += {"S7"}      (a section within a section)
 *   service "x" { ... }   has become  service "7.1:x" { ... }
 *
 * where 7 is the line.  So lists and values can be told apart, a key that is
 * given twice shows twice, and each knows its line.  It is handed over in chunks
 * of whole sections, because libconfuse searches all titles for each new one.
 */
#ifndef SUPD_OS_CONFIG_TEXT_H
#define SUPD_OS_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum config_chunk_end {
    CHUNK_WHOLE,
    CHUNK_CUT,            /* an error ended the pass between two sections */
    CHUNK_CUT_IN_SECTION, /* ... and within the last one */
};

struct config_text_handlers {
    /* A chunk (ended by a NUL beyond LEN) whose first line is line LINE of the file.  Returns false to end the pass. */
    bool (*chunk)(void *ctx, char *text, size_t len, unsigned line, enum config_chunk_end end);
    /* include(PATTERN) stood in line LINE. */
    void (*include)(void *ctx, const char *pattern, unsigned line);
    /* What ended the pass.  Not called after chunk() has returned false. */
    void (*error)(void *ctx, unsigned line, const char *message);
};

void config_text_read(const char *text, size_t len, const struct config_text_handlers *handlers, void *ctx);

#endif
