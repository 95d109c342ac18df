/* SPDX-License-Identifier: MIT */
#include "suplog/pace.h"

#include <fcntl.h>
#include <time.h>

#include "base/units.h"

#define PAUSE 500 /* us */
#define MUCH ((size_t)32 * 1024)

void pace_keep(struct pace *pace, int64_t now)
{
    int64_t left = pace->woken + PAUSE - now;

    if (!pace->hurry && left > 0) {
        const struct timespec rest = {.tv_nsec = (long)left * 1000};

        nanosleep(&rest, NULL);
        now += left;
    }
    pace->woken = now;
    pace->hurry = false;
}

void pace_moved(struct pace *pace, int fifo, size_t bytes)
{
    if (bytes >= MUCH)
        pace->hurry = true;
    if (pace->hurry || bytes < PACE_LITTLE)
        return;
    int room = fcntl(fifo, F_GETPIPE_SZ); /* without privileges it may hold less than MUCH */
    pace->hurry = room >= 0 && bytes >= (size_t)room / 2;
}
