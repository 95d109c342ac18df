/* SPDX-License-Identifier: MIT */
#include "os/zone.h"

#include <stdio.h>
#include <time.h>

#include "base/units.h"

static int32_t local_offset(void *ctx, int64_t utc)
{
    time_t t = (time_t)utc;
    struct tm tm;

    (void)ctx;
    return localtime_r(&t, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

struct zone zone_local(void)
{
    tzset();
    return (struct zone){.offset = local_offset};
}

const char *zone_format(int64_t wall, char *buf, size_t size)
{
    time_t t = (time_t)(wall / USEC_PER_SEC);
    struct tm tm;

    if (!localtime_r(&t, &tm) || strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(buf, size, "?");
    return buf;
}
