/* SPDX-License-Identifier: MIT */
#include "core/usage.h"

#include <stdio.h>

#include "base/units.h"

/* Tenths of a second tell short runs apart; of long ones nobody asks for them. */
static void format_run_time(int64_t usec, char *buf, size_t size)
{
    if (usec < 60 * USEC_PER_SEC)
        snprintf(buf, size, "%.1f s", (double)(usec / (100 * USEC_PER_MSEC)) / 10);
    else
        duration_human(usec, buf, size);
}

const char *usage_source_name(enum usage_source source)
{
    static const char *const names[] = {[USAGE_PROC] = "proc", [USAGE_WAIT] = "wait", [USAGE_CGROUP] = "cgroup"};

    return names[source];
}

const char *usage_words(const struct usage *usage, char *buf, size_t size)
{
    char run_time[48];
    char memory[32];

    buf[0] = '\0';
    if (usage->cpu_from == USAGE_UNKNOWN)
        return buf;
    format_run_time(usage->run_time, run_time, sizeof run_time);
    int n = snprintf(buf, size, "after %s, %.2f s of CPU", run_time,
                     (double)(usage->cpu_user + usage->cpu_system) / (double)USEC_PER_SEC);
    if (usage->memory_from != USAGE_UNKNOWN && n > 0 && (size_t)n < size) {
        size_human(usage->memory_peak, memory, sizeof memory);
        snprintf(buf + n, size - (size_t)n, ", %s at most", memory);
    }
    return buf;
}
