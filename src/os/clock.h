/* SPDX-License-Identifier: MIT */
/*
 * The clocks.  Everything below the supervisor is handed the time.
 */
#ifndef SUPD_OS_CLOCK_H
#define SUPD_OS_CLOCK_H

#include "base/units.h"

/* Now, on CLOCK_MONOTONIC and CLOCK_REALTIME. */
struct timestamp clock_now(void);

#endif
