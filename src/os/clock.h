/* SPDX-License-Identifier: MIT */
/*
 * The clocks.  Everything below the supervisor is handed the time.
 *
 * In a time namespace all but the wall clock are ahead of the machine's, or behind
 * them.  What is recorded must mean the same to a supd in another one, so here all
 * are told as the machine has them.
 */
#ifndef SUPD_OS_CLOCK_H
#define SUPD_OS_CLOCK_H

#include "base/units.h"

/* Learns what our time namespace adds; to be called before anything is recorded.  0 or -errno. */
int clock_init(void);

/* Now, on CLOCK_MONOTONIC and CLOCK_REALTIME. */
struct timestamp clock_now(void);

/* A time on CLOCK_MONOTONIC as our time namespace has it, us, in the machine's. */
int64_t clock_machine_mono(int64_t mono);

/* us since the machine was booted. */
int64_t clock_since_boot(void);

/* Now, in the ticks since boot that /proc/PID/stat tells the start of a process in, as the machine has them.  Async-signal-safe
 * from the second call on. */
uint64_t clock_boot_ticks(void);

/* The start of a process, in ticks since boot, from how /proc/PID/stat tells it to us.  Async-signal-safe. */
uint64_t clock_machine_ticks(uint64_t ticks);

#endif
