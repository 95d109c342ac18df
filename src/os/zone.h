/* SPDX-License-Identifier: MIT */
/*
 * Local time: of $TZ, else of /etc/localtime, which may change while we run.
 */
#ifndef SUPD_OS_ZONE_H
#define SUPD_OS_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "core/cron.h"

/* As it is now: looks whether the file is another than the last time. */
struct zone zone_local(void);

/* WALL, us since 1970, as "2026-11-22 03:00:00" in local time.  Writes at most SIZE bytes and returns BUF. */
const char *zone_format(int64_t wall, char *buf, size_t size);

#endif
