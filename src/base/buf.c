/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* And for the NUL. */
char *buf_reserve(struct buf *buf, size_t len)
{
    if (buf->len + len >= buf->room) {
        buf->room = 2 * (buf->len + len) + 64;
        buf->data = xreallocarray(buf->data, buf->room, 1);
    }
    return buf->data + buf->len;
}

void buf_commit(struct buf *buf, size_t len)
{
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    memcpy(buf_reserve(buf, len), data, len);
    buf_commit(buf, len);
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_add_string(struct buf *buf, const char *s)
{
    buf_add(buf, s, strlen(s));
}

void buf_addf(struct buf *buf, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *s = xvasprintf(fmt, ap);
    va_end(ap);
    buf_add_string(buf, s);
    free(s);
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

char *buf_steal(struct buf *buf)
{
    buf_add(buf, "", 0);

    char *data = buf->data;
    *buf = (struct buf){0};
    return data;
}
