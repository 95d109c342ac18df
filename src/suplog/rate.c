/* SPDX-License-Identifier: MIT */
#include "suplog/rate.h"

#include <string.h>

size_t rate_take(struct rate *rate, uint64_t bytes, int64_t period, size_t len, int64_t now)
{
    if (rate->began == 0 || now - rate->began >= period) {
        rate->began = now;
        rate->taken = 0;
    }
    uint64_t left = bytes > rate->taken ? bytes - rate->taken : 0;
    size_t n = left < len ? (size_t)left : len;

    rate->taken += n;
    return n;
}

void rate_dropped(struct rate *rate, const char *data, size_t len)
{
    const char *end = data + len;

    rate->bytes += len;
    for (const char *p = data; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        rate->lines++;
}

bool rate_is_due(const struct rate *rate, int64_t period, int64_t now)
{
    return rate->bytes > 0 && now - rate->began >= period;
}

void rate_told(struct rate *rate)
{
    rate->bytes = 0;
    rate->lines = 0;
}
