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
    int64_t began;  /* mono us; of the present period */
    uint64_t taken; /* bytes in it */
    uint64_t bytes; /* dropped, and not yet told */
    uint64_t lines;
};

/* How many of LEN bytes may pass at NOW (mono us) under a limit of BYTES in PERIOD (us). */
size_t rate_take(struct rate *rate, uint64_t bytes, int64_t period, size_t len, int64_t now);

/* Counts what was dropped. */
void rate_dropped(struct rate *rate, const char *data, size_t len);

/* Whether something was dropped and the period in which it was is over, so that it is to be told now. */
bool rate_is_due(const struct rate *rate, int64_t period, int64_t now);

/* It was told. */
void rate_told(struct rate *rate);

#endif
