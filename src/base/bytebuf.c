/* SPDX-License-Identifier: MIT */
#include "base/bytebuf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_SIZE 1024
#define KEEP_SIZE (16 * 1024)

char *bytebuf_data(const struct bytebuf *buf)
{
    return buf->base + buf->start;
}

char *bytebuf_reserve(struct bytebuf *buf, size_t n)
{
    if (buf->base && buf->size - buf->start - buf->len >= n)
        return buf->base + buf->start + buf->len;

    /* Moving down is paid for: what moves is never more than what was consumed plus what comes. */
    if (buf->base && buf->len <= buf->size / 2 && buf->size - buf->len >= n) {
        memmove(buf->base, bytebuf_data(buf), buf->len);
        buf->start = 0;
        return buf->base + buf->len;
    }

    size_t size = buf->size > 0 ? buf->size : FIRST_SIZE;
    while (size - buf->len < n)
        size *= 2;
    if (size == buf->size)
        size *= 2;
    char *base = xmalloc(size);
    if (buf->len > 0)
        memcpy(base, bytebuf_data(buf), buf->len);
    free(buf->base);
    buf->base = base;
    buf->size = size;
    buf->start = 0;
    return base + buf->len;
}

void bytebuf_commit(struct bytebuf *buf, size_t n)
{
    buf->len += n;
}

void bytebuf_append(struct bytebuf *buf, const char *data, size_t n)
{
    if (n == 0)
        return;
    memcpy(bytebuf_reserve(buf, n), data, n);
    bytebuf_commit(buf, n);
}

void bytebuf_consume(struct bytebuf *buf, size_t n)
{
    buf->start += n;
    buf->len -= n;
    if (buf->len > 0)
        return;
    buf->start = 0;
    if (buf->size > KEEP_SIZE)
        bytebuf_free(buf);
}

void bytebuf_free(struct bytebuf *buf)
{
    free(buf->base);
    *buf = (struct bytebuf){0};
}
