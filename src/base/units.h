/* SPDX-License-Identifier: MIT */
/*
 * Durations and sizes as people write them (supd.conf(5)): "250ms", "1h30m", "64K".
 */
#ifndef SUPD_BASE_UNITS_H
#define SUPD_BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USEC_PER_MSEC INT64_C(1000)
#define USEC_PER_SEC INT64_C(1000000)

/*
 * An instant, on both clocks, in microseconds.  `mono` (CLOCK_MONOTONIC) is for
 * reckoning, `wall` (CLOCK_REALTIME) for showing to people.  The type lives here
 * so that pure code can be handed the time without reading a clock.
 */
struct timestamp {
    int64_t mono;
    int64_t wall;
};

/*
 * Units us, ms, s, m, h, d, w, each at most once is not required ("1m1m" is two
 * minutes); a bare number is seconds; a fraction is allowed ("1.5s").  Returns
 * false and leaves *USEC alone when TEXT is none, is negative or does not fit.
 */
bool duration_parse(const char *text, int64_t *usec);

/* The shortest exact form that duration_parse() reads back: "1h30m", "250ms", "0".  Writes at most SIZE bytes. */
const char *duration_format(int64_t usec, char *buf, size_t size);

/* As a person says it, two units at most, rounded down: "3 s", "4 min 10 s", "2 h 5 min", "3 d 4 h". */
const char *duration_human(int64_t usec, char *buf, size_t size);

/* K, M, G, T are powers of 1024; a bare number is bytes.  Same returns as duration_parse(). */
bool size_parse(const char *text, uint64_t *bytes);

/* The shortest exact form that size_parse() reads back: "64M", "1500", "0".  Writes at most SIZE bytes. */
const char *size_format(uint64_t bytes, char *buf, size_t size);

/* As a person says it: "0K", "12K", "7.0M", "1.5G".  Writes at most SIZE bytes. */
const char *size_human(uint64_t bytes, char *buf, size_t size);

#endif
