/* SPDX-License-Identifier: MIT */
/*
 * The key `schedule`: when a service is due.  Either one "every 10m", counted on the clock that only runs forward, or
 * lines of cron.h, of which the first one to be due counts.
 */
#ifndef SUPD_CORE_SCHEDULE_H
#define SUPD_CORE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/units.h"
#include "core/cron.h"

/* The shortest time that may stand behind "every", us. */
#define SCHEDULE_EVERY_MIN (100 * USEC_PER_MSEC)

/* What was left out because the clock was put forward, or the machine slept, by no more than this is made up, us. */
#define SCHEDULE_LATE_MAX (3 * 3600 * USEC_PER_SEC)

/* Can the N entries be a schedule?  False with ERR written, which names the offending word and the remedy. */
bool schedule_check(char *const *entries, size_t n, char *err, size_t err_size);

/* Is the service due at times of day?  Else it counts from its last run. */
bool schedule_follows_clock(char *const *entries);

/*
 * When the first run behind LAST is due, LAST being the last due time that was seen to.  It may lie in the past; of
 * several that were missed it is one.  {0, 0}: never.
 *
 * Where the wall clock has been put back behind LAST, what was due until LAST is not due again: within a minute for
 * lines with a '*' in the minute or hour, within three hours for the others.  Farther back time begins anew.
 */
struct timestamp schedule_next(char *const *entries, struct timestamp last, struct timestamp now,
                               const struct zone *zone);

#endif
