/* SPDX-License-Identifier: MIT */
/*
 * A bound on how fast a service may log: so many bytes in a period, as RateLimitBurst= and RateLimitIntervalSec= of
 * journald bound messages.  Pure; all zero is a limit that nothing was taken from yet.
 */
#ifndef SUPD_SUPLOG_RATE_H
#define SUPD_SUPLOG_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate {
    int64_t began;   /* mono us; of the present period */
    uint64_t taken;  /* bytes in it */
    uint64_t bytes;  /* dropped since the last report */
    uint64_t lines;
};

/* How many of LEN bytes may pass at NOW (mono us) under a limit of BYTES in PERIOD (us). */
size_t rate_take(struct rate *rate, uint64_t bytes, int64_t period, size_t len, int64_t now);

/* Counts what was dropped. */
void rate_dropped(struct rate *rate, const char *data, size_t len);

/* True with *BYTES and *LINES when something was dropped and the period in which it was is over, and forgets it then. */
bool rate_report(struct rate *rate, int64_t period, int64_t now, uint64_t *bytes, uint64_t *lines);

#endif
