/* SPDX-License-Identifier: MIT */
#include "os/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

struct timestamp clock_now(void)
{
    return (struct timestamp){.mono = read_clock(CLOCK_MONOTONIC), .wall = read_clock(CLOCK_REALTIME)};
}
