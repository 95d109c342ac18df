/* SPDX-License-Identifier: MIT */
/*
 * JSON written straight into its text, compact, where building a tree of it first (jansson) would cost many times as much:
 * the answers about all services.  Commas come by themselves; that brackets and keys are where they belong is the caller's.
 * What is written reads back as what proto_string(), proto_seconds() and their like make.
 */
#ifndef SUPD_CORE_JSON_OUT_H
#define SUPD_CORE_JSON_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* A zeroed struct is the beginning of a text.  TEXT is the owner's to take or free. */
struct json_out {
    struct buf text;
    bool comma; /* a value stands before: the next begins with a comma */
};

/* BRACKET is '{' or '[', and '}' or ']'. */
void json_out_open(struct json_out *out, char bracket);
void json_out_close(struct json_out *out, char bracket);

/* KEY needs no escapes. */
void json_out_key(struct json_out *out, const char *key);

void json_out_null(struct json_out *out);
void json_out_bool(struct json_out *out, bool value);
void json_out_int(struct json_out *out, int64_t value);
/* USEC as seconds, exactly. */
void json_out_seconds(struct json_out *out, int64_t usec);
/* TEXT may hold any byte: what is no UTF-8 becomes U+FFFD.  NULL is null. */
void json_out_string(struct json_out *out, const char *text);
/* A value that somebody else has made a tree of; borrowed. */
void json_out_tree(struct json_out *out, const json_t *value);

/* LEN bytes of text that are a value. */
void json_out_text(struct json_out *out, const char *text, size_t len);

/* What was written, one value, as a tree; OUT is empty then. */
json_t *json_out_read(struct json_out *out);

#endif
