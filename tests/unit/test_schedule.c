/* SPDX-License-Identifier: MIT */
#include "core/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check_main.h"

#define DAY INT64_C(86400)

static char err[256];

/* ---- zones of our own: where the offset changes, and to what ---- */

struct change {
    int64_t at;
    int32_t offset;
};

struct changes {
    int32_t first;
    struct change items[4]; /* ended by at = 0 */
};

static int32_t offset_of(void *ctx, int64_t utc)
{
    const struct changes *changes = ctx;
    int32_t offset = changes->first;

    for (const struct change *c = changes->items; c->at != 0 && c->at <= utc; c++)
        offset = c->offset;
    return offset;
}

/* Of 2026, in Berlin, in New York, on Lord Howe (half an hour), in Santiago (at midnight), in Apia as of 2011 (a whole
 * day left out), and a place that stays as it is. */
static struct changes zones[] = {
    {3600, {{1774746000, 7200}, {1792890000, 3600}, {0, 0}}},
    {-18000, {{1772953200, -14400}, {1793512800, -18000}, {0, 0}}},
    {39600, {{1775314800, 37800}, {1791041400, 39600}, {0, 0}}},
    {-10800, {{1775358000, -14400}, {1788667200, -10800}, {0, 0}}},
    {-36000, {{1772359200, 50400}, {0, 0}}},
    {0, {{0, 0}}},
};

#define N_ZONES (sizeof zones / sizeof *zones)

static struct zone zone_of(size_t i)
{
    return (struct zone){.offset = offset_of, .ctx = &zones[i]};
}

/* ---- the slow way: every minute is looked at, by the words of the header ---- */

struct parts {
    int minute, hour, day, month, weekday;
};

static struct parts parts_of(int64_t local)
{
    time_t t = (time_t)local;
    struct tm tm;

    gmtime_r(&t, &tm);
    return (struct parts){tm.tm_min, tm.tm_hour, tm.tm_mday, tm.tm_mon + 1, tm.tm_wday};
}

static bool matches(const struct cron *c, int64_t local)
{
    struct parts p = parts_of(local);
    bool day = c->days >> p.day & 1;
    bool weekday = c->weekdays >> p.weekday & 1;

    return c->minutes >> p.minute & 1 && c->hours >> p.hour & 1 && c->months >> p.month & 1 &&
           (c->both_days ? day && weekday : day || weekday);
}

/* Was there LOCAL before UTC? */
static bool has_been(const struct zone *zone, int64_t local, int64_t utc)
{
    for (int64_t t = utc - 60; t > utc - 3 * 3600; t -= 60) {
        if (t + zone->offset(zone->ctx, t) == local)
            return true;
    }
    return false;
}

/* Begins at UTC a time before which some minutes that match were left out? */
static bool was_left_out(const struct cron *cron, const struct zone *zone, int64_t utc)
{
    int64_t before = utc - 60 + zone->offset(zone->ctx, utc - 60);
    int64_t now = utc + zone->offset(zone->ctx, utc);

    for (int64_t local = before + 60; local < now; local += 60) {
        if (matches(cron, local))
            return true;
    }
    return false;
}

static int64_t slow_next(const struct cron *cron, int64_t after, int64_t until, const struct zone *zone)
{
    for (int64_t t = (after / 60 + 1) * 60; t < until; t += 60) {
        int64_t local = t + zone->offset(zone->ctx, t);

        if (cron->is_of_the_hour ? matches(cron, local)
                                 : (matches(cron, local) && !has_been(zone, local, t)) || was_left_out(cron, zone, t))
            return t;
    }
    return 0;
}

/* ---- lines by chance ---- */

static unsigned draw(unsigned n)
{
    return (unsigned)random() % n;
}

static void random_field(char *to, unsigned min, unsigned max)
{
    unsigned a = min + draw(max - min + 1);
    unsigned b = min + draw(max - min + 1);

    switch (draw(6)) {
    case 0:
    case 1:
        strcpy(to, "*");
        break;
    case 2:
        sprintf(to, "*/%u", 1 + draw(max));
        break;
    case 3:
        sprintf(to, "%u-%u/%u", a < b ? a : b, a < b ? b : a, 1 + draw(4));
        break;
    case 4:
        sprintf(to, "%u,%u", a, b);
        break;
    default:
        sprintf(to, "%u", a);
        break;
    }
}

static void random_line(char *line)
{
    static const unsigned bounds[][2] = {{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}};

    for (size_t i = 0; i < 5; i++) {
        random_field(line, bounds[i][0], bounds[i][1]);
        strcat(line, i < 4 ? " " : "");
        line += strlen(line);
    }
}

START_TEST(next_is_what_the_slow_way_finds)
{
    struct zone zone = zone_of((size_t)_i);
    char line[128];
    struct cron cron;
    unsigned found = 0;

    srandom(4711 + (unsigned)_i);
    for (int n = 0; n < 400; n++) {
        /* Around one of the changes of the clock most of the time. */
        const struct change *near = &zones[_i].items[draw(2)];
        int64_t after = near->at != 0 && draw(4) != 0 ? near->at - 2 * DAY + draw(3 * DAY)
                                                      : 1767225600 + (int64_t)draw(360) * DAY + draw(86400);
        int64_t until = after + 8 * DAY;

        random_line(line);
        if (!cron_parse(line, &cron, err, sizeof err))
            continue; /* a day that never comes */
        int64_t want = slow_next(&cron, after, until, &zone);
        int64_t got = cron_next(&cron, after, &zone);
        if (want == 0)
            ck_assert_msg(got == 0 || got >= until, "%s after %ld: %ld", line, (long)after, (long)got);
        else
            ck_assert_msg(got == want, "%s after %ld: %ld, not %ld", line, (long)after, (long)got, (long)want);
        found += want != 0;
    }
    ck_assert_uint_gt(found, 100);
}
END_TEST

/* ---- times that people know ---- */

static const struct {
    const char *line;
    size_t zone;
    const char *after; /* UTC */
    const char *next;
} known[] = {
    {"30 3 * * *", 5, "2026-06-01 03:29:59", "2026-06-01 03:30:00"},
    {"30 3 * * *", 5, "2026-06-01 03:30:00", "2026-06-02 03:30:00"},
    {"*/15 9-17 * * mon-FRI", 5, "2026-11-20 17:45:00", "2026-11-23 09:00:00"},
    {"0 0 1,15 * 5", 5, "2026-11-01 00:00:00", "2026-11-06 00:00:00"},  /* the 15th, or a Friday */
    {"0 0 1-7 * */7", 5, "2026-11-02 00:00:00", "2026-12-06 00:00:00"}, /* the first Sunday */
    {"0 0 29 2 *", 5, "2096-03-01 00:00:00", "2104-02-29 00:00:00"},
    {"59 23 31 dec *", 5, "2026-01-01 00:00:00", "2026-12-31 23:59:00"},
    {"0 0 * * 7", 5, "2026-11-20 00:00:00", "2026-11-22 00:00:00"},
    {"@hourly", 5, "2026-11-20 22:59:59", "2026-11-20 23:00:00"},
    {"@weekly", 5, "2026-11-20 00:00:00", "2026-11-22 00:00:00"},
    {"@monthly", 5, "2026-11-20 00:00:00", "2026-12-01 00:00:00"},
    {"@ANNUALLY", 5, "2026-11-20 00:00:00", "2027-01-01 00:00:00"},
    {"@daily", 0, "2026-11-20 22:00:00", "2026-11-20 23:00:00"},
    /* Berlin, 29 March 2026: 02:00 to 03:00 is left out. */
    {"30 2 * * *", 0, "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
    {"30 2 * * *", 0, "2026-03-29 01:00:00", "2026-03-30 00:30:00"},
    {"10,50 2 * * *", 0, "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
    {"30 * * * *", 0, "2026-03-29 00:30:00", "2026-03-29 01:30:00"},
    {"*/30 2 * * *", 0, "2026-03-28 12:00:00", "2026-03-30 00:00:00"},
    {"0 3 * * *", 0, "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
    /* 25 October 2026: 02:00 to 03:00 comes twice. */
    {"30 2 * * *", 0, "2026-10-24 12:00:00", "2026-10-25 00:30:00"},
    {"30 2 * * *", 0, "2026-10-25 00:30:00", "2026-10-26 01:30:00"},
    {"30 2 * * *", 0, "2026-10-25 01:10:00", "2026-10-26 01:30:00"},
    {"*/30 * * * *", 0, "2026-10-25 00:30:00", "2026-10-25 01:00:00"},
    {"30 * * * *", 0, "2026-10-25 00:30:00", "2026-10-25 01:30:00"},
    {"15 3 * * *", 0, "2026-10-25 00:30:00", "2026-10-25 02:15:00"},
    /* Santiago puts the clock forward at midnight. */
    {"0 0 * * *", 3, "2026-09-05 12:00:00", "2026-09-06 04:00:00"},
    /* A machine without a clock of its own begins with 1970. */
    {"* * * * *", 5, "1970-01-01 00:10:30", "1970-01-01 00:11:00"},
    {"0 12 * * *", 1, "1970-01-01 00:00:01", "1970-01-01 17:00:00"},
    /* Apia went from Thursday to Saturday. */
    {"0 12 * * *", 4, "2026-03-01 09:00:00", "2026-03-01 10:00:00"},
};

static int64_t utc_of(const char *text)
{
    struct tm tm = {0};

    ck_assert_ptr_nonnull(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return timegm(&tm);
}

START_TEST(next_of_known_times)
{
    struct zone zone = zone_of(known[_i].zone);
    struct cron cron;

    ck_assert_msg(cron_parse(known[_i].line, &cron, err, sizeof err), "%s: %s", known[_i].line, err);
    int64_t got = cron_next(&cron, utc_of(known[_i].after), &zone);
    ck_assert_msg(got == utc_of(known[_i].next), "%s after %s: %ld", known[_i].line, known[_i].after, (long)got);
}
END_TEST

/* ---- what is refused, and in which words ---- */

static const struct {
    const char *entry;
    const char *words; /* in the error */
} bad[] = {
    {"* * * *", "4 fields"},
    {"0 * * * * *", "6 fields: write minute, hour, day, month and weekday"},
    {"", "0 fields"},
    {"60 * * * *", "minute '60': it is no number from 0 to 59"},
    {"* 24 * * *", "hour '24'"},
    {"* * 0 * *", "day '0': it is no number from 1 to 31"},
    {"* * * 13 *", "month '13'"},
    {"* * * * 8", "weekday '8': it is neither a number from 0 to 7 nor one of sun ... sat"},
    {"* * * jna *", "did you mean 'jan'?"},
    {"* * * * mond", "did you mean 'mon'?"},
    {"30-10 * * * *", "minute '10': the range runs backwards"},
    {"*/0 * * * *", "a step is a number"},
    {"*/x * * * *", "a step is a number"},
    {"5/10 * * * *", "a step goes with '*' or with a range"},
    {"1,,2 * * * *", "minute ''"},
    {"1- * * * *", "minute ''"},
    {"*-5 * * * *", "minute '*'"},
    {"0 0 L * *", "day 'L'"},
    {"0 0 ? * *", "day '?'"},
    {"0 0 30 2 *", "day 30 never comes in the months that are named"},
    {"0 0 31 apr,jun */2", "day 31 never comes"},
    {"@dayly", "did you mean '@daily'?"},
    {"@reboot", "leave the schedule out"},
    {"@x", "none of @hourly"},
    {"every", "needs a time, as in 'every 10m'"},
    {"every day", "needs a time"},
    {"every 99ms", "100ms is the least"},
};

START_TEST(bad_entries_are_refused)
{
    char *entries[] = {(char *)bad[_i].entry, NULL};

    ck_assert_msg(!schedule_check(entries, 1, err, sizeof err), "%s", bad[_i].entry);
    ck_assert_msg(strstr(err, bad[_i].words) != NULL, "%s: %s", bad[_i].entry, err);
}
END_TEST

START_TEST(every_goes_alone)
{
    char *entries[] = {(char *)"@daily", (char *)"every 5m", NULL};
    char long_line[400];

    ck_assert(schedule_check(entries, 1, err, sizeof err));
    ck_assert(schedule_check(entries + 1, 1, err, sizeof err));
    ck_assert(!schedule_check(entries, 2, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "goes alone"));
    ck_assert(!schedule_check(entries, 0, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "empty"));
    memset(long_line, '1', sizeof long_line);
    long_line[sizeof long_line - 1] = '\0';
    entries[0] = long_line;
    ck_assert(!schedule_check(entries, 1, err, sizeof err));
    ck_assert(schedule_follows_clock(&(char *){(char *)"@daily"}));
    ck_assert(!schedule_follows_clock(&(char *){(char *)"every 1s"}));
}
END_TEST

/* ---- schedules ---- */

static struct timestamp at(int64_t mono_s, int64_t wall_s)
{
    return (struct timestamp){.mono = mono_s * USEC_PER_SEC, .wall = wall_s * USEC_PER_SEC};
}

START_TEST(every_counts_on_the_clock_that_runs_forward)
{
    char *entries[] = {(char *)"every 10m", NULL};
    struct zone zone = zone_of(0);
    struct timestamp next = schedule_next(entries, at(1000, 5000), at(1001, 5001), &zone);

    ck_assert(next.mono == at(1600, 0).mono && next.wall == at(0, 5600).wall);
    /* The wall clock jumped: nothing changes but the time that is shown. */
    next = schedule_next(entries, at(1000, 5000), at(1100, 9100), &zone);
    ck_assert(next.mono == at(1600, 0).mono && next.wall == at(0, 9600).wall);
    /* Three were missed: they are one, and the beat is kept. */
    next = schedule_next(entries, at(1000, 5000), at(2900, 6900), &zone);
    ck_assert(next.mono == at(2800, 0).mono);
    /* The last run was in an earlier boot. */
    next = schedule_next(entries, at(-100, 0), at(10, 110), &zone);
    ck_assert(next.mono == at(500, 0).mono && next.wall == at(0, 600).wall);
}
END_TEST

START_TEST(the_first_of_several_lines_counts)
{
    char *entries[] = {(char *)"0 18 * * *", (char *)"0 6 * * *", (char *)"0 12 * * *", NULL};
    struct zone zone = zone_of(5);
    int64_t noon = utc_of("2026-06-01 12:00:00");
    struct timestamp next = schedule_next(entries, at(0, noon - 60), at(10, noon - 50), &zone);

    ck_assert(next.wall == at(0, noon).wall && next.mono == at(60, 0).mono);
    next = schedule_next(entries, at(0, noon), at(10, noon + 10), &zone);
    ck_assert(next.wall == at(0, noon + 6 * 3600).wall);
    /* Missed while nobody looked. */
    next = schedule_next(entries, at(0, noon - 60), at(7200, noon + 7200), &zone);
    ck_assert(next.wall == at(0, noon).wall && next.mono == at(0, 0).mono);
}
END_TEST

START_TEST(a_clock_that_is_put_back)
{
    char *fixed[] = {(char *)"0 12 * * *", NULL};
    char *often[] = {(char *)"*/5 * * * *", NULL};
    struct zone zone = zone_of(5);
    int64_t noon = utc_of("2026-06-01 12:00:00");
    struct timestamp last = at(0, noon);

    /* By a second: the run of noon has been. */
    ck_assert(schedule_next(fixed, last, at(1, noon - 1), &zone).wall == at(0, noon + DAY).wall);
    ck_assert(schedule_next(often, last, at(1, noon - 1), &zone).wall == at(0, noon + 300).wall);
    /* By an hour: that of every five minutes goes on, that of noon has been. */
    ck_assert(schedule_next(fixed, last, at(1, noon - 3600), &zone).wall == at(0, noon + DAY).wall);
    ck_assert(schedule_next(often, last, at(1, noon - 3600), &zone).wall == at(0, noon - 3300).wall);
    /* By more than three: another day begins. */
    ck_assert(schedule_next(fixed, last, at(1, noon - 4 * 3600), &zone).wall == at(0, noon).wall);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tc = tcase_create("schedule");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, next_is_what_the_slow_way_finds, 0, N_ZONES);
    tcase_add_loop_test(tc, next_of_known_times, 0, sizeof known / sizeof *known);
    tcase_add_loop_test(tc, bad_entries_are_refused, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tc, every_goes_alone);
    tcase_add_test(tc, every_counts_on_the_clock_that_runs_forward);
    tcase_add_test(tc, the_first_of_several_lines_counts);
    tcase_add_test(tc, a_clock_that_is_put_back);
    suite_add_tcase(suite, tc);
    return suite;
}
