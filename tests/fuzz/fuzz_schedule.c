/* SPDX-License-Identifier: MIT */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/strv.h"
#include "core/schedule.h"

#define DAY INT64_C(86400)
#define AFTER_MAX (INT64_C(500) * 366 * DAY) /* some years behind 2400 */
#define OFFSET_MAX (14 * 3600)

/* A place where the clock is set once: seconds. */
struct place {
    int64_t change_at;
    int32_t before;
    int32_t behind;
};

static int32_t offset_of(void *ctx, int64_t utc)
{
    const struct place *place = ctx;

    return utc < place->change_at ? place->before : place->behind;
}

/* In whole minutes, as they are everywhere today. */
static int32_t offset_within(int64_t number)
{
    return (int32_t)(number % (OFFSET_MAX / 60)) * 60;
}

static int64_t within(int64_t number, int64_t limit)
{
    return number % limit < 0 ? number % limit + limit : number % limit;
}

/* "AFTER CHANGE BEFORE BEHIND": the first line of an input. */
static int64_t read_place(const char *line, struct place *place)
{
    long long numbers[4] = {0};

    sscanf(line, "%18lld %9lld %9lld %9lld", &numbers[0], &numbers[1], &numbers[2], &numbers[3]);
    int64_t after = within(numbers[0], AFTER_MAX);
    *place = (struct place){
        .change_at = after + within(numbers[1], 40 * DAY) - 10 * DAY,
        .before = offset_within(numbers[2]),
        .behind = offset_within(numbers[3]),
    };
    return after;
}

static bool matches(const struct cron *cron, int64_t local)
{
    int64_t minute = within(local, DAY) / 60;

    return local % 60 == 0 && cron->hours >> (minute / 60) & 1 && cron->minutes >> (minute % 60) & 1;
}

/* Whatever lies between, the first run behind it is the same one. */
static void check_next(const struct cron *cron, int64_t after, struct place *place)
{
    struct zone zone = {.offset = offset_of, .ctx = place};
    int64_t next = cron_next(cron, after, &zone);

    FUZZ_CHECK(next == 0 || next > after);
    if (next == 0)
        return;
    FUZZ_CHECK(next == place->change_at || matches(cron, next + offset_of(place, next)));
    FUZZ_CHECK(cron_next(cron, after + (next - after) / 2, &zone) == next);
    FUZZ_CHECK(cron_next(cron, next - 1, &zone) == next);
    FUZZ_CHECK(cron_next(cron, next, &zone) != next);
}

static void check_entries(char **entries, int64_t after, struct place *place)
{
    struct zone zone = {.offset = offset_of, .ctx = place};
    struct timestamp last = {.mono = after * USEC_PER_SEC, .wall = after * USEC_PER_SEC};
    struct timestamp now = {.mono = last.mono + DAY * USEC_PER_SEC, .wall = last.wall + DAY * USEC_PER_SEC};
    char err[512] = "";
    struct cron cron;

    for (char **entry = entries; entry && *entry; entry++) {
        if (cron_parse(*entry, &cron, err, sizeof err))
            check_next(&cron, after, place);
        else
            FUZZ_CHECK(err[0] != '\0');
    }
    err[0] = '\0';
    if (!schedule_check(entries, strv_len(entries), err, sizeof err)) {
        FUZZ_CHECK(err[0] != '\0');
        return;
    }
    struct timestamp next = schedule_next(entries, last, now, &zone);
    if (next.wall == 0)
        return;
    FUZZ_CHECK(schedule_follows_clock(entries) ? next.wall > last.wall : next.mono > last.mono);
    FUZZ_CHECK(next.wall - now.wall == next.mono - now.mono);
}

void fuzz_schedule(const uint8_t *data, size_t size)
{
    char *text = fuzz_string(data, size);
    char **entries = NULL;
    char *save = NULL;
    struct place place;
    const char *line = strtok_r(text, "\n", &save);

    int64_t after = read_place(line ? line : "", &place);
    while ((line = strtok_r(NULL, "\n", &save)))
        entries = strv_push(entries, fuzz_string((const uint8_t *)line, strlen(line)));
    check_entries(entries, after, &place);
    strv_free(entries);
    free(text);
}
