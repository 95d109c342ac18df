/* SPDX-License-Identifier: MIT */
#include "supctl/log_scan.h"

#include <string.h>

#include "base/grep.h"
#include "supctl/log_time.h"

bool log_filter_asks_time(const struct log_filter *filter)
{
    return filter->since != INT64_MIN || filter->until != INT64_MAX;
}

bool log_filter_fits(const struct log_filter *filter, const struct log_line *line, struct buf *spare)
{
    size_t len;

    if (line->nothing)
        return false;
    if (filter->errors_only && line->stream && strcmp(line->stream, "out") == 0)
        return false;
    if (!filter->grep)
        return true;
    const char *text = log_line_shown(line, spare, &len);
    if (text != spare->data) {
        buf_reset(spare);
        buf_add(spare, text, len);
    }
    return grep_matches(filter->grep, spare->data, len, false);
}

bool log_filter_fits_time(const struct log_filter *filter, int64_t time)
{
    if (time == LOG_TIME_NONE)
        return !log_filter_asks_time(filter);
    return time >= filter->since && time <= filter->until;
}

void log_scan_begin(struct log_scan *scan, const struct log_filter *filter, bool needs_time)
{
    *scan = (struct log_scan){
        .filter = filter, .needs_time = needs_time || log_filter_asks_time(filter), .time = LOG_TIME_NONE};
}

/* Those that wait are of this time. */
static void settle(struct log_scan *scan, int64_t time)
{
    if (scan->waiting == 0)
        return;
    scan->taken += scan->waiting;
    scan->waiting = 0;
    scan->start = scan->waiting_start;
    scan->time = time;
}

bool log_scan_line(struct log_scan *scan, const struct log_line *line, struct log_place place, struct buf *spare)
{
    const struct log_filter *filter = scan->filter;
    bool enough = scan->taken + scan->waiting >= filter->lines;

    if (!enough && log_filter_fits(filter, line, spare)) {
        scan->waiting++;
        scan->waiting_start = place;
        enough = scan->taken + scan->waiting >= filter->lines;
    }
    if (!scan->needs_time) {
        settle(scan, LOG_TIME_NONE);
        return !enough;
    }
    if (line->time == LOG_TIME_NONE)
        return !enough || log_filter_asks_time(filter) || scan->looked_back++ < LOG_SCAN_BACK;
    if (!log_filter_fits_time(filter, line->time))
        scan->waiting = 0;
    settle(scan, line->time);
    return scan->taken < filter->lines && line->time >= filter->since;
}

void log_scan_end(struct log_scan *scan)
{
    if (!log_filter_asks_time(scan->filter))
        settle(scan, LOG_TIME_NONE);
}
