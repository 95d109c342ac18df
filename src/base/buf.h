/* SPDX-License-Identifier: MIT */
/*
 * A string that grows.  A zeroed struct is an empty one.
 */
#ifndef SUPD_BASE_BUF_H
#define SUPD_BASE_BUF_H

#include <stddef.h>

struct buf {
    char *data; /* ended by a NUL beyond len once something was added; NULL before */
    size_t len;
    size_t room;
};

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_add_char(struct buf *buf, char c);
void buf_add_string(struct buf *buf, const char *s);
void buf_addf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for LEN more bytes; returns where they go.  buf_commit() says how many were put there. */
char *buf_reserve(struct buf *buf, size_t len);
void buf_commit(struct buf *buf, size_t len);

/* Empties it and keeps the memory. */
void buf_reset(struct buf *buf);

/* Frees the memory; the buffer is empty and may be used again. */
void buf_free(struct buf *buf);

/* The string, "" at least, now the caller's to free; the buffer is empty again. */
char *buf_steal(struct buf *buf);

#endif
