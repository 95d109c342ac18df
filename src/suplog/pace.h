/* SPDX-License-Identifier: MIT */
/*
 * How often a thread goes to work while little comes in.  Woken for each line of a service that writes a line at a time, it
 * would spend more on being woken than on the lines, and cost the service as much; so it lets half a millisecond of lines
 * come together.  The first line after a rest is written at once, and a FIFO that fills is emptied without a pause.
 */
#ifndef SUPD_SUPLOG_PACE_H
#define SUPD_SUPLOG_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_LITTLE 4096 /* bytes, half of what the smallest FIFO holds: never too much to wait with */

struct pace {
    int64_t woken; /* mono us: when it went to work the last time */
    bool hurry;    /* much was moved then */
};

/* To be called before the work, with the time now (mono us): returns when it is time for it. */
void pace_keep(struct pace *pace, int64_t now);

/* BYTES were moved out of FIFO, a descriptor. */
void pace_moved(struct pace *pace, int fifo, size_t bytes);

#endif
