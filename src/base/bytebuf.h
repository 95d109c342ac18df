/* SPDX-License-Identifier: MIT */
/*
 * A queue of bytes in one piece: appended at the end, taken from the front.
 * Both ends of the control socket keep what is not yet a whole line, and what is
 * not yet written, in one of these.  All zero is an empty one.
 */
#ifndef SUPD_BASE_BYTEBUF_H
#define SUPD_BASE_BYTEBUF_H

#include <stddef.h>

struct bytebuf {
    char *base;   /* the allocation */
    size_t start; /* first byte in use */
    size_t len;   /* bytes in use */
    size_t size;  /* of the allocation */
};

/* The first byte; valid until the next change. */
char *bytebuf_data(const struct bytebuf *buf);

/* Room for N more bytes; returns where they go.  bytebuf_commit() says how many were put there. */
char *bytebuf_reserve(struct bytebuf *buf, size_t n);
void bytebuf_commit(struct bytebuf *buf, size_t n);

void bytebuf_append(struct bytebuf *buf, const char *data, size_t n);

/* Takes N bytes away from the front.  An empty buffer that had grown large gives its memory back. */
void bytebuf_consume(struct bytebuf *buf, size_t n);

void bytebuf_free(struct bytebuf *buf);

#endif
