/* SPDX-License-Identifier: MIT */
/*
 * As much of HTTP/1.1 as a health check needs: a GET, and what comes back (RFC 9112).
 * Pure: bytes in, an answer out.
 */
#ifndef SUPD_CORE_HTTP_H
#define SUPD_CORE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "core/spec_check.h"

/* Bytes of an answer, its headers too, that are looked at; what is longer is cut there. */
#define HTTP_ANSWER_MAX ((size_t)64 * 1024)

/* The request, to be freed. */
char *http_request(const struct check_http *http);

enum http_progress {
    HTTP_MORE,  /* nothing can be said yet */
    HTTP_HEAD,  /* the status is known, more of the body may come */
    HTTP_WHOLE, /* nothing more will come */
    HTTP_BAD,   /* it is no HTTP */
};

/*
 * Looks at the LEN bytes that have come so far.  AT_END: none will follow.  *STATUS is set and BODY holds what there is of the
 * body, chunks put together, from HTTP_HEAD on; BODY is emptied first.
 */
enum http_progress http_read(const char *data, size_t len, bool at_end, int *status, struct buf *body);

#endif
