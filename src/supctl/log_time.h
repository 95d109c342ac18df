/* SPDX-License-Identifier: MIT */
/*
 * Times in logs: the one that a line begins with, and those that --since and --until name.
 */
#ifndef SUPD_SUPCTL_LOG_TIME_H
#define SUPD_SUPCTL_LOG_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_TIME_NONE INT64_MIN /* earlier than all times */

/*
 * The time of RFC 3339 ("2026-11-22T05:00:00.123456Z", also with a blank for the T) that the LEN bytes of TEXT begin
 * with, in us since 1970, and in *USED of how many bytes it is; LOG_TIME_NONE, and 0, where there is none.
 */
int64_t log_time_stamp(const char *text, size_t len, size_t *used);

/*
 * What a person calls a time: "10m" or "10m ago", "05:00", "today", "yesterday", "now", "2026-11-22", "2026-11-22 05:00",
 * each in local time, a time of RFC 3339, "@1795286400".  NOW and *WHEN are us since 1970.  False when TEXT is none.
 */
bool log_time_parse(const char *text, int64_t now, int64_t *when);

#endif
