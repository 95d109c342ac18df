/* SPDX-License-Identifier: MIT */
/*
 * Times as crontab(5) writes them: "minute hour day month weekday", and @daily and its like.
 *
 * They are local times, and the clocks of most places are put forward and back.  As in Vixie's cron there are two kinds:
 *
 *   where the minute or the hour begins with a '*', a run is due at every minute that matches as it goes by: none in
 *   an hour that is left out, and those of an hour that comes twice, twice;
 *   else it stands for an event of the day: one that falls into an hour that is left out is due right behind it, once,
 *   and in an hour that comes twice it is due the first time only.
 *
 * Where both day and weekday are given, one of them must match; where one of them begins with a '*', both must.
 * Pure: the time zone is the caller's.
 */
#ifndef SUPD_CORE_CRON_H
#define SUPD_CORE_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cron {
    uint64_t minutes;    /* bit N: minute N */
    uint32_t hours;      /* 0 to 23 */
    uint32_t days;       /* 1 to 31 */
    uint16_t months;     /* 1 to 12 */
    uint8_t weekdays;    /* 0, Sunday, to 6 */
    bool both_days;      /* day and weekday must match both, not one of them */
    bool is_of_the_hour; /* the first kind above */
};

struct zone {
    /* Seconds that local time is ahead of UTC at UTC, seconds since 1970.  It changes at most once a day. */
    int32_t (*offset)(void *ctx, int64_t utc);
    void *ctx;
};

/* False with ERR written, which names the field, the offending word and the remedy. */
bool cron_parse(const char *text, struct cron *cron, char *err, size_t err_size);

/* When the first run behind AFTER is due, both in seconds since 1970; 0: never within a hundred years. */
int64_t cron_next(const struct cron *cron, int64_t after, const struct zone *zone);

#endif
