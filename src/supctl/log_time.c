/* SPDX-License-Identifier: MIT */
#include "supctl/log_time.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/units.h"

/* What is still to be read. */
struct cursor {
    const char *at;
    const char *end;
};

static bool take(struct cursor *c, const char *any)
{
    if (c->at == c->end || *c->at == '\0' || !strchr(any, *c->at))
        return false;
    c->at++;
    return true;
}

/* Exactly DIGITS of them, LOW to HIGH. */
static bool take_number(struct cursor *c, int digits, int low, int high, int *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++) {
        if (c->at == c->end || !isdigit((unsigned char)*c->at))
            return false;
        *value = *value * 10 + (*c->at++ - '0');
    }
    return *value >= low && *value <= high;
}

static bool take_date(struct cursor *c, struct tm *tm)
{
    if (!take_number(c, 4, 1, 9999, &tm->tm_year) || !take(c, "-") || !take_number(c, 2, 1, 12, &tm->tm_mon) ||
        !take(c, "-") || !take_number(c, 2, 1, 31, &tm->tm_mday))
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    return true;
}

/* A point and digits, of which six count; or nothing. */
static bool take_fraction(struct cursor *c, int64_t *usec)
{
    int64_t unit = USEC_PER_SEC;

    *usec = 0;
    if (!take(c, ".,"))
        return true;
    if (c->at == c->end || !isdigit((unsigned char)*c->at))
        return false;
    for (; c->at < c->end && isdigit((unsigned char)*c->at); c->at++) {
        unit /= 10;
        *usec += (*c->at - '0') * unit;
    }
    return true;
}

/* Hours and minutes, then seconds, which only NEEDS_SECONDS makes a must. */
static bool take_clock(struct cursor *c, bool needs_seconds, struct tm *tm, int64_t *usec)
{
    *usec = 0;
    if (!take_number(c, 2, 0, 23, &tm->tm_hour) || !take(c, ":") || !take_number(c, 2, 0, 59, &tm->tm_min))
        return false;
    if (!take(c, ":"))
        return !needs_seconds;
    return take_number(c, 2, 0, 60, &tm->tm_sec) && take_fraction(c, usec);
}

/* "Z", "+01:00": seconds east of Greenwich. */
static bool take_zone(struct cursor *c, int *east)
{
    int hours, minutes;

    *east = 0;
    if (take(c, "Zz"))
        return true;
    bool west = c->at < c->end && *c->at == '-';
    if (!take(c, "+-") || !take_number(c, 2, 0, 23, &hours) || !take(c, ":") || !take_number(c, 2, 0, 59, &minutes))
        return false;
    *east = (hours * 60 + minutes) * 60 * (west ? -1 : 1);
    return true;
}

/* Days since 1970 of a date of the Gregorian calendar: timegm(3) without its detours, as it is asked of every line. */
static int64_t days_of(const struct tm *tm)
{
    int64_t year = tm->tm_year + 1900 - (tm->tm_mon < 2);
    int64_t era = year / 400;
    int64_t of_era = year - era * 400;
    int64_t month = (tm->tm_mon + 10) % 12; /* from March on, so that the leap day is the last of a year */
    int64_t day = (153 * month + 2) / 5 + tm->tm_mday - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day - 719468;
}

static int64_t usec_of(const struct tm *tm, int east, int64_t usec)
{
    int64_t seconds = ((days_of(tm) * 24 + tm->tm_hour) * 60 + tm->tm_min) * 60 + tm->tm_sec - east;

    return seconds * USEC_PER_SEC + usec;
}

int64_t log_time_stamp(const char *text, size_t len, size_t *used)
{
    struct cursor c = {text, text + len};
    struct tm tm = {0};
    int64_t usec;
    int east;

    *used = 0;
    if (!take_date(&c, &tm) || !take(&c, "Tt ") || !take_clock(&c, true, &tm, &usec) || !take_zone(&c, &east))
        return LOG_TIME_NONE;
    if (c.at < c.end && isalnum((unsigned char)*c.at))
        return LOG_TIME_NONE;
    *used = (size_t)(c.at - text);
    return usec_of(&tm, east, usec);
}

/* ---- what a person says ---- */

static bool local_time(struct tm *tm, int64_t usec, int64_t *when)
{
    struct tm asked = *tm;

    tm->tm_isdst = -1;
    time_t seconds = mktime(tm);
    /* A 31st of February becomes a day in March. */
    if (tm->tm_mday != asked.tm_mday || tm->tm_mon != asked.tm_mon)
        return false;
    *when = (int64_t)seconds * USEC_PER_SEC + usec;
    return true;
}

/* The day of NOW, or DAYS before it, at its beginning. */
static struct tm day_of(int64_t now, int days)
{
    time_t seconds = (time_t)(now / USEC_PER_SEC);
    struct tm tm;

    localtime_r(&seconds, &tm);
    struct tm day = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday - days, .tm_isdst = -1};
    mktime(&day);
    day.tm_hour = day.tm_min = day.tm_sec = 0;
    return day;
}

static bool parse_word(const char *text, int64_t now, int64_t *when)
{
    static const struct {
        const char *word;
        int days;
    } words[] = {{"today", 0}, {"yesterday", 1}};

    if (strcmp(text, "now") == 0) {
        *when = now;
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i].word) == 0) {
            struct tm tm = day_of(now, words[i].days);
            return local_time(&tm, 0, when);
        }
    }
    return false;
}

/* "10m", "1h 30m ago", "-10m".  A bare number could be of any unit. */
static bool parse_ago(const char *text, int64_t now, int64_t *when)
{
    char *copy = xstrdup(*text == '-' ? text + 1 : text);
    size_t len = strlen(copy);
    int64_t usec;

    if (len > 4 && strcmp(copy + len - 4, " ago") == 0)
        copy[len - 4] = '\0';
    size_t kept = 0;
    for (const char *p = copy; *p; p++) {
        if (*p != ' ')
            copy[kept++] = *p;
    }
    copy[kept] = '\0';
    bool bare = copy[strspn(copy, "0123456789.")] == '\0';
    bool good = !bare && duration_parse(copy, &usec) && usec <= now;
    free(copy);
    if (good)
        *when = now - usec;
    return good;
}

static bool parse_epoch(const char *text, int64_t *when)
{
    struct cursor c = {text + 1, text + strlen(text)};
    int64_t seconds = 0, usec;

    if (*text != '@' || c.at == c.end || !isdigit((unsigned char)*c.at))
        return false;
    for (; c.at < c.end && isdigit((unsigned char)*c.at) && seconds < INT64_C(100000000000); c.at++)
        seconds = seconds * 10 + (*c.at - '0');
    if (!take_fraction(&c, &usec) || c.at != c.end)
        return false;
    *when = seconds * USEC_PER_SEC + usec;
    return true;
}

static bool parse_local(const char *text, int64_t now, int64_t *when)
{
    struct cursor c = {text, text + strlen(text)};
    struct tm tm = {0};
    int64_t usec = 0;

    if (!take_date(&c, &tm)) {
        c.at = text;
        tm = day_of(now, 0);
        return take_clock(&c, false, &tm, &usec) && c.at == c.end && local_time(&tm, usec, when);
    }
    if (c.at < c.end && (!take(&c, "Tt ") || !take_clock(&c, false, &tm, &usec)))
        return false;
    return c.at == c.end && local_time(&tm, usec, when);
}

bool log_time_parse(const char *text, int64_t now, int64_t *when)
{
    size_t len = strlen(text);
    size_t used;
    int64_t stamp = log_time_stamp(text, len, &used);

    if (used > 0 && used == len) {
        *when = stamp;
        return true;
    }
    return parse_word(text, now, when) || parse_epoch(text, when) || parse_local(text, now, when) ||
           parse_ago(text, now, when);
}
