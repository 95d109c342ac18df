/* SPDX-License-Identifier: MIT */
#include "core/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

char *http_request(const struct check_http *http)
{
    return xasprintf("GET %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: supd/" PACKAGE_VERSION
                     "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                     http->path[0] == '/' ? "" : "/", http->path, http->host);
}

/* What is read, and how far. */
struct answer {
    const char *at;
    const char *end;
    long long length; /* of the body; -1: not told */
    bool chunked;
};

/* The next line without its end, *LEN bytes; NULL: it has not come whole. */
static const char *next_line(struct answer *a, size_t *len)
{
    const char *line = a->at;
    const char *lf = memchr(line, '\n', (size_t)(a->end - line));

    if (lf == NULL)
        return NULL;
    a->at = lf + 1;
    *len = (size_t)(lf - line);
    if (*len > 0 && line[*len - 1] == '\r')
        --*len;
    return line;
}

/* The value of the header NAME, with its colon, where LINE is that; NULL: it is another. */
static const char *value_of(const char *line, size_t len, const char *name, size_t *value_len)
{
    size_t n = strlen(name);

    if (len < n || strncasecmp(line, name, n) != 0)
        return NULL;
    while (n < len && (line[n] == ' ' || line[n] == '\t'))
        n++;
    while (len > n && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    *value_len = len - n;
    return line + n;
}

/* Digits of BASE at the beginning of TEXT; -1: none, or too many. */
static long long number_of(const char *text, size_t len, int base)
{
    char copy[17];
    char *end;

    if (len == 0 || strspn(text, "0123456789abcdefABCDEF") == 0)
        return -1;
    if (len >= sizeof(copy))
        len = sizeof(copy) - 1;
    memcpy(copy, text, len);
    copy[len] = '\0';
    long long n = strtoll(copy, &end, base);
    return end > copy ? n : -1;
}

static void read_header(struct answer *a, const char *line, size_t len)
{
    size_t n;
    const char *value = value_of(line, len, "content-length:", &n);

    if (value != NULL)
        a->length = number_of(value, n, 10);
    value = value_of(line, len, "transfer-encoding:", &n);
    if (value != NULL)
        a->chunked = n >= 7 && strncasecmp(value + n - 7, "chunked", 7) == 0;
}

/* The status line and the headers.  HTTP_HEAD: they are whole. */
static enum http_progress read_head(struct answer *a, int *status)
{
    size_t len;
    const char *line = next_line(a, &len);

    if (line == NULL)
        return a->end - a->at >= 7 && strncmp(a->at, "HTTP/1.", 7) != 0 ? HTTP_BAD : HTTP_MORE;
    if (len < 12 || strncmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ')
        return HTTP_BAD;
    *status = (int)number_of(line + 9, 3, 10);
    if (*status < 100)
        return HTTP_BAD;
    a->length = -1;
    a->chunked = false;
    while ((line = next_line(a, &len)) != NULL) {
        if (len == 0)
            return HTTP_HEAD;
        read_header(a, line, len);
    }
    return HTTP_MORE;
}

static enum http_progress read_chunks(struct answer *a, struct buf *body)
{
    size_t len;
    const char *line;

    while ((line = next_line(a, &len)) != NULL) {
        long long size = number_of(line, len, 16);

        if (size < 0)
            return HTTP_BAD;
        if (size == 0)
            return HTTP_WHOLE; /* what may follow is of no use here */
        size_t there = (size_t)(a->end - a->at);
        buf_add(body, a->at, there < (size_t)size ? there : (size_t)size);
        if (there < (size_t)size + 2)
            return HTTP_HEAD;
        a->at += size;
        a->at += a->at[0] == '\r' ? 2 : 1;
    }
    return HTTP_HEAD;
}

static enum http_progress read_body(struct answer *a, struct buf *body)
{
    size_t there = (size_t)(a->end - a->at);

    if (a->chunked)
        return read_chunks(a, body);
    if (a->length >= 0 && there > (size_t)a->length)
        there = (size_t)a->length;
    buf_add(body, a->at, there);
    return a->length >= 0 && there == (size_t)a->length ? HTTP_WHOLE : HTTP_HEAD;
}

/* Has an answer with this status no body, whatever its headers say? */
static bool is_empty(int status)
{
    return status == 204 || status == 304;
}

enum http_progress http_read(const char *data, size_t len, bool at_end, int *status, struct buf *body)
{
    struct answer a = {.at = data, .end = data + len};
    enum http_progress progress;

    buf_reset(body);
    /* Before the answer there may be others, as 103 Early Hints. */
    do
        progress = read_head(&a, status);
    while (progress == HTTP_HEAD && *status < 200 && *status != 101);
    if (progress == HTTP_HEAD)
        progress = is_empty(*status) ? HTTP_WHOLE : read_body(&a, body);
    if (!at_end)
        return progress;
    if (progress == HTTP_MORE)
        return HTTP_BAD;
    return progress == HTTP_HEAD ? HTTP_WHOLE : progress;
}
