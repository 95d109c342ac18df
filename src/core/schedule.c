/* SPDX-License-Identifier: MIT */
#include "core/schedule.h"

#include <stdio.h>
#include <string.h>

/* So far back may the clock be put before its times count anew; us. */
#define BACK_MAX_OF_THE_HOUR (60 * USEC_PER_SEC)
#define BACK_MAX_OF_THE_DAY (3 * 3600 * USEC_PER_SEC)

static const char every_word[] = "every";

/* What stands behind "every"; NULL: it is no such entry. */
static const char *behind_every(const char *entry)
{
    size_t len = strlen(every_word);

    if (strncmp(entry, every_word, len) != 0 || (entry[len] != ' ' && entry[len] != '\0'))
        return NULL;
    return entry + len + strspn(entry + len, " ");
}

static bool check_every(const char *text, size_t n, char *err, size_t err_size)
{
    int64_t every;

    if (n > 1)
        snprintf(err, err_size, "'every %s' goes alone: leave the other entries out", text);
    else if (!duration_parse(text, &every))
        snprintf(err, err_size, "'every %s' needs a time, as in 'every 10m'", text);
    else if (every < SCHEDULE_EVERY_MIN)
        snprintf(err, err_size, "'every %s' is too often: 100ms is the least", text);
    else
        return true;
    return false;
}

bool schedule_check(char *const *entries, size_t n, char *err, size_t err_size)
{
    struct cron cron;

    for (size_t i = 0; i < n; i++) {
        const char *every = behind_every(entries[i]);

        if (every ? !check_every(every, n, err, err_size) : !cron_parse(entries[i], &cron, err, err_size))
            return false;
    }
    if (n == 0)
        snprintf(err, err_size, "it is empty: leave the key out, or give it a time");
    return n > 0;
}

bool schedule_follows_clock(char *const *entries)
{
    return behind_every(entries[0]) == NULL;
}

/* A wall time on both clocks. */
static struct timestamp at_wall(int64_t wall, struct timestamp now)
{
    return (struct timestamp){.mono = now.mono + (wall - now.wall), .wall = wall};
}

/* The times between that were missed are passed over; the last one counts. */
static struct timestamp next_every(int64_t every, struct timestamp last, struct timestamp now)
{
    if (last.mono > now.mono)
        last = now; /* of another boot, in which the clock was wrong */
    int64_t n = now.mono - last.mono >= every ? (now.mono - last.mono) / every : 1;
    int64_t mono = every < INT64_MAX / 2 ? last.mono + n * every : INT64_MAX / 2;

    return (struct timestamp){.mono = mono, .wall = now.wall + (mono - now.mono)};
}

static int64_t next_of_line(const struct cron *cron, struct timestamp last, struct timestamp now,
                            const struct zone *zone)
{
    int64_t back = cron->is_of_the_hour ? BACK_MAX_OF_THE_HOUR : BACK_MAX_OF_THE_DAY;
    int64_t after = last.wall - now.wall > back ? now.wall : last.wall;

    return cron_next(cron, after / USEC_PER_SEC, zone);
}

struct timestamp schedule_next(char *const *entries, struct timestamp last, struct timestamp now,
                               const struct zone *zone)
{
    const char *every = behind_every(entries[0]);
    int64_t first = 0;
    int64_t interval;
    struct cron cron;
    char err[256];

    if (every && duration_parse(every, &interval))
        return next_every(interval, last, now);
    for (; *entries; entries++) {
        if (!cron_parse(*entries, &cron, err, sizeof err))
            continue;
        int64_t next = next_of_line(&cron, last, now, zone);
        if (next > 0 && (first == 0 || next < first))
            first = next;
    }
    return first > 0 ? at_wall(first * USEC_PER_SEC, now) : (struct timestamp){0};
}
