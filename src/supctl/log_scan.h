/* SPDX-License-Identifier: MIT */
/*
 * Which lines of a log are wanted, and where the first of them stands: decided line by line, from the last one backward,
 * without keeping any.  A line without a time has that of the line with one before it, so it may have to wait for that.
 */
#ifndef SUPD_SUPCTL_LOG_SCAN_H
#define SUPD_SUPCTL_LOG_SCAN_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "supctl/log_line.h"

#define LOG_LINES_ALL SIZE_MAX
#define LOG_SCAN_BACK 256 /* lines looked back for the time of the first, where the time does not decide about it */

struct log_filter {
    size_t lines;        /* of each log, LOG_LINES_ALL */
    int64_t since;       /* us since 1970; INT64_MIN: from the beginning */
    int64_t until;       /* INT64_MAX: to the end */
    const regex_t *grep; /* NULL: all lines */
    bool errors_only;    /* lines that say that they are of the standard output are left out */
};

/* Do --since or --until ask for the time of each line? */
bool log_filter_asks_time(const struct log_filter *filter);

/* Is LINE wanted, but for its time? */
bool log_filter_fits(const struct log_filter *filter, const struct log_line *line, struct buf *spare);

/* Is a line of this time, its own or that of one before it, wanted?  LOG_TIME_NONE is not where the time is asked for. */
bool log_filter_fits_time(const struct log_filter *filter, int64_t time);

struct log_place {
    size_t file; /* 0: the youngest */
    off_t offset;
};

struct log_scan {
    const struct log_filter *filter;
    bool needs_time;        /* also to sort lines by it */
    size_t taken;           /* lines that are wanted for certain */
    size_t waiting;         /* ... that are wanted if their time, which is still to come, is right */
    struct log_place start; /* the first that was taken */
    struct log_place waiting_start;
    int64_t time;       /* of the first that was taken */
    size_t looked_back; /* lines since enough wait */
};

/* NEEDS_TIME: the time of the first line is to be known, if it has one. */
void log_scan_begin(struct log_scan *scan, const struct log_filter *filter, bool needs_time);

/* The next line, going backward.  False: no other is needed. */
bool log_scan_line(struct log_scan *scan, const struct log_line *line, struct log_place place, struct buf *spare);

/* There is no other. */
void log_scan_end(struct log_scan *scan);

#endif
