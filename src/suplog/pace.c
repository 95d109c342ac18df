/* SPDX-License-Identifier: MIT */
#include "suplog/pace.h"

#include <fcntl.h>
#include <time.h>

#include "base/units.h"

#define PAUSE 500   /* us */
#define LITTLE 4096 /* it is half of the smallest FIFO: never too much to wait with */
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
    if (pace->hurry || bytes < LITTLE)
        return;
    int room = fcntl(fifo, F_GETPIPE_SZ);
    pace->hurry = bytes >= MUCH || room < 0 || bytes >= (size_t)room / 2;
}
