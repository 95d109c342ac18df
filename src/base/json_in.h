/* SPDX-License-Identifier: MIT */
/*
 * JSON read from its text, one value after another, without a tree of it (jansson): the answers about all services.  A value
 * is told as the piece of text that it is.  What is no JSON as RFC 8259 has it, of at most JSON_IN_DEPTH arrays and objects
 * in one another, in valid UTF-8, is never passed over.
 */
#ifndef SUPD_BASE_JSON_IN_H
#define SUPD_BASE_JSON_IN_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_IN_DEPTH 64

enum json_in_kind { JSON_IN_WORD, JSON_IN_NUMBER, JSON_IN_STRING, JSON_IN_ARRAY, JSON_IN_OBJECT };

struct json_piece {
    enum json_in_kind kind; /* WORD: null, true or false */
    const char *text;       /* into what is read; a string with its quotes */
    size_t len;
    bool plain; /* STRING: between its quotes nothing but printable ASCII that stands for itself */
};

/* Where reading goes on.  To begin with: from the first byte to behind the last. */
struct json_in {
    const char *at;
    const char *end;
};

/* The next value, whole.  False where there is none. */
bool json_in_value(struct json_in *in, struct json_piece *piece);

/* Goes into an array; false where none begins here. */
bool json_in_array(struct json_in *in);
/*
 * To be called before each element of an array, and behind the last.  FIRST: none was read.  *MORE: there is one; else
 * reading goes on behind the array.  False where neither a comma nor the end of it follows.
 */
bool json_in_next(struct json_in *in, bool first, bool *more);

/* Nothing follows but blanks. */
bool json_in_ended(struct json_in *in);

/* Is it this word, number or plain string (with its quotes)? */
bool json_piece_is(const struct json_piece *piece, const char *text);

#endif
