/* SPDX-License-Identifier: MIT */
/*
 * A line of a log, taken apart: plain text, with or without a time before it, or the JSON that suplog(8) writes.
 */
#ifndef SUPD_SUPCTL_LOG_LINE_H
#define SUPD_SUPCTL_LOG_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct log_line {
    int64_t time;      /* us since 1970, or LOG_TIME_NONE */
    const char *stamp; /* the time as it is written, stamp_len bytes; NULL: none */
    size_t stamp_len;
    const char *message; /* what follows it, message_len bytes */
    size_t message_len;
    const char *stream; /* "out", "err", "both"; NULL: it does not say */
    const char *whole;  /* the line as it is shown; NULL: the time, a blank and the message */
    size_t whole_len;
    bool nothing; /* it was never written: it is of NULs alone, as where a file was truncated under its writer */
    json_t *json; /* what the others point into, else NULL */
};

/* Takes TEXT, LEN bytes without a newline, apart.  LINE points into it and is to be cleared. */
void log_line_read(struct log_line *line, const char *text, size_t len);
void log_line_clear(struct log_line *line);

/* The line as it is shown: *LEN bytes, in SPARE where they are nowhere else. */
const char *log_line_shown(const struct log_line *line, struct buf *spare, size_t *len);

/*
 * Appends TEXT to OUT with all that could do something to a terminal made visible: "\x1b", "\xff" for what is no UTF-8.
 * Tabs stay, and so do colours, which end with the text, where COLOUR is set.
 */
void log_line_add_visible(struct buf *out, const char *text, size_t len, bool colour);

#endif
