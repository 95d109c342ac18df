/* SPDX-License-Identifier: MIT */
#include "core/cron.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"

#define MINUTE 60
#define DAY INT64_C(86400)
#define NEVER INT64_MIN /* a local time may be before 1970 */
#define YEARS_MAX 100   /* a 29 February that must be a Sunday comes after 40 at the latest */

/* ---- calendar ---- */

struct date {
    int64_t year;
    unsigned month; /* 1 to 12 */
    unsigned day;   /* 1 to 31 */
};

/* Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March, so a leap day is their last. */
static int64_t days_of_date(struct date date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((int64_t)date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static struct date date_of_days(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    unsigned month = (unsigned)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);

    return (struct date){
        .year = year_of_era + era * 400 + (month <= 2),
        .month = month,
        .day = (unsigned)(day_of_year - (153 * shifted_month + 2) / 5 + 1),
    };
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* ---- reading ---- */

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct field {
    const char *name;
    unsigned min;
    unsigned max;
    const char *const *words; /* for min and what follows; NULL: none */
    size_t n_words;
};

enum { MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS, N_FIELDS };

static const struct field fields[N_FIELDS] = {
    [MINUTES] = {"minute", 0, 59, NULL, 0},
    [HOURS] = {"hour", 0, 23, NULL, 0},
    [DAYS] = {"day", 1, 31, NULL, 0},
    [MONTHS] = {"month", 1, 12, months, 12},
    [WEEKDAYS] = {"weekday", 0, 7, weekdays, 7},
};

/* What is being read, for the words of errors. */
struct reading {
    const struct field *field;
    char *err;
    size_t err_size;
};

static bool fail(const struct reading *r, const char *word, const char *why)
{
    snprintf(r->err, r->err_size, "%s '%s': %s", r->field->name, word, why);
    return false;
}

static bool fail_value(const struct reading *r, const char *word)
{
    const struct field *field = r->field;
    const char *near = field->words ? suggest_nearest(word, field->words, field->n_words) : NULL;
    char why[128];

    if (near)
        snprintf(why, sizeof why, "it is neither a number from %u to %u nor a name; did you mean '%s'?", field->min,
                 field->max, near);
    else if (field->words)
        snprintf(why, sizeof why, "it is neither a number from %u to %u nor one of %s ... %s", field->min, field->max,
                 field->words[0], field->words[field->n_words - 1]);
    else
        snprintf(why, sizeof why, "it is no number from %u to %u", field->min, field->max);
    return fail(r, word, why);
}

static bool same_word(const char *a, const char *b)
{
    for (; *a && tolower((unsigned char)*a) == *b; a++)
        b++;
    return *a == '\0' && *b == '\0';
}

static bool parse_digits(const char *word, unsigned max, unsigned *value)
{
    size_t len = strspn(word, "0123456789");

    if (len == 0 || len > 5 || word[len] != '\0')
        return false;
    *value = (unsigned)strtoul(word, NULL, 10);
    return *value <= max;
}

static bool parse_value(const struct reading *r, const char *word, unsigned *value)
{
    const struct field *field = r->field;

    for (size_t i = 0; i < field->n_words; i++) {
        if (same_word(word, field->words[i])) {
            *value = field->min + (unsigned)i;
            return true;
        }
    }
    return (parse_digits(word, field->max, value) && *value >= field->min) || fail_value(r, word);
}

/* One element of a list: "*", "5", "5-10", each but the second also with a step, "/2".  PIECE is written to. */
static bool parse_piece(const struct reading *r, char *piece, uint64_t *bits)
{
    const struct field *field = r->field;
    char *slash = strchr(piece, '/');
    unsigned first = field->min;
    unsigned last = field->max;
    unsigned step = 1;

    if (slash) {
        *slash = '\0';
        if (!parse_digits(slash + 1, field->max, &step) || step == 0)
            return fail(r, slash + 1, "a step is a number of at least 1 within the field, as in */5");
    }
    char *dash = strchr(piece, '-');
    if (dash)
        *dash = '\0';
    if (strcmp(piece, "*") == 0 && !dash) {
        last = field->max - (field == &fields[WEEKDAYS]); /* Sunday is there once */
    } else {
        if (!parse_value(r, piece, &first) || (dash && !parse_value(r, dash + 1, &last)))
            return false;
        if (!dash && slash)
            return fail(r, piece, "a step goes with '*' or with a range, as in 10-59/5");
        if (!dash)
            last = first;
        if (last < first)
            return fail(r, dash + 1, "the range runs backwards: write it as two, with a comma between");
    }
    for (unsigned value = first; value <= last; value += step)
        *bits |= UINT64_C(1) << value;
    return true;
}

static bool parse_field(const struct reading *r, char *text, uint64_t *bits)
{
    *bits = 0;
    for (char *piece = text; piece;) {
        char *comma = strchr(piece, ',');

        if (comma)
            *comma = '\0';
        if (!parse_piece(r, piece, bits))
            return false;
        piece = comma ? comma + 1 : NULL;
    }
    return true;
}

/* The calendar day comes in no month that is named: a run would never be due. */
static bool day_comes(const struct cron *cron, bool any_weekday, char *err, size_t err_size)
{
    static const unsigned char length[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned first = (unsigned)__builtin_ctz(cron->days);

    if (!any_weekday && !cron->both_days)
        return true;
    for (unsigned month = 1; month <= 12; month++) {
        if (cron->months >> month & 1 && first <= length[month - 1])
            return true;
    }
    snprintf(err, err_size, "day %u never comes in the months that are named", first);
    return false;
}

static bool parse_nickname(const char *text, const char **line, char *err, size_t err_size)
{
    static const struct {
        const char *name;
        const char *line;
    } table[] = {
        {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
        {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
    };
    const char *names[sizeof table / sizeof *table];

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        names[i] = table[i].name;
        if (same_word(text, table[i].name)) {
            *line = table[i].line;
            return true;
        }
    }
    if (same_word(text, "@reboot")) {
        snprintf(err, err_size,
                 "@reboot: a oneshot service without a schedule runs at each start of supd: leave the "
                 "schedule out");
        return false;
    }
    const char *near = suggest_nearest(text, names, sizeof table / sizeof *table);
    if (near)
        snprintf(err, err_size, "'%s' is no name of a schedule; did you mean '%s'?", text, near);
    else
        snprintf(err, err_size, "'%s' is none of @hourly, @daily, @weekly, @monthly, @yearly", text);
    return false;
}

/* Splits TEXT, which is written to, at blanks; all words beyond the last place are counted only. */
static size_t split(char *text, char *words[N_FIELDS])
{
    size_t n = 0;
    char *save;

    for (char *word = strtok_r(text, " \t\n", &save); word; word = strtok_r(NULL, " \t\n", &save)) {
        if (n < N_FIELDS)
            words[n] = word;
        n++;
    }
    return n;
}

static bool is_open(const char *word)
{
    return word[0] == '*';
}

bool cron_parse(const char *text, struct cron *cron, char *err, size_t err_size)
{
    char copy[256];
    char *words[N_FIELDS];
    uint64_t bits[N_FIELDS];
    bool open[N_FIELDS];

    if (text[0] == '@' && !parse_nickname(text, &text, err, err_size))
        return false;
    if (strlen(text) >= sizeof copy) {
        snprintf(err, err_size, "a line of more than %zu characters: write it as two", sizeof copy - 1);
        return false;
    }
    strcpy(copy, text);
    size_t n = split(copy, words);
    if (n != N_FIELDS) {
        snprintf(err, err_size, "'%s' has %zu field%s: write minute, hour, day, month and weekday, as in '30 3 * * *'",
                 text, n, n == 1 ? "" : "s");
        return false;
    }
    for (size_t i = 0; i < N_FIELDS; i++) {
        open[i] = is_open(words[i]);
        if (!parse_field(&(struct reading){&fields[i], err, err_size}, words[i], &bits[i]))
            return false;
    }
    *cron = (struct cron){
        .minutes = bits[MINUTES],
        .hours = (uint32_t)bits[HOURS],
        .days = (uint32_t)bits[DAYS],
        .months = (uint16_t)bits[MONTHS],
        .weekdays = (uint8_t)((bits[WEEKDAYS] | bits[WEEKDAYS] >> 7) & 0x7f), /* 7 is Sunday, too */
        .both_days = open[DAYS] || open[WEEKDAYS],
        .is_of_the_hour = open[MINUTES] || open[HOURS],
    };
    return day_comes(cron, open[WEEKDAYS], err, err_size);
}

/* ---- the next run ---- */

static bool day_matches(const struct cron *cron, int64_t days, const struct date *date)
{
    bool day = cron->days >> date->day & 1;
    bool weekday = cron->weekdays >> ((days + 4) % 7 + 7) % 7 & 1; /* 1970 began on a Thursday */

    return cron->months >> date->month & 1 && (cron->both_days ? day && weekday : day || weekday);
}

/* The first minute of the day, from MINUTE_OF_DAY on, that matches; -1: none. */
static int64_t minute_in_day(const struct cron *cron, int64_t minute_of_day)
{
    for (unsigned hour = (unsigned)(minute_of_day / 60); hour < 24; hour++) {
        unsigned from = hour == minute_of_day / 60 ? (unsigned)(minute_of_day % 60) : 0;

        if (cron->hours >> hour & 1 && cron->minutes >> from != 0)
            return hour * 60 + from + (unsigned)__builtin_ctzll(cron->minutes >> from);
    }
    return -1;
}

/* The first local time from FROM on, a whole minute, that matches, before UNTIL, or NEVER.  In seconds, as if it were UTC. */
static int64_t local_next(const struct cron *cron, int64_t from, int64_t until)
{
    int64_t days = floor_div(from, DAY);
    int64_t minute = (from - days * DAY + MINUTE - 1) / MINUTE;

    for (; days * DAY < until; days++, minute = 0) {
        struct date date = date_of_days(days);

        if (!(cron->months >> date.month & 1)) {
            /* On to the day before the first of the next month. */
            date.month = date.month % 12 + 1;
            date.year += date.month == 1;
            date.day = 1;
            days = days_of_date(date) - 1;
            continue;
        }
        int64_t found = minute < 24 * 60 && day_matches(cron, days, &date) ? minute_in_day(cron, minute) : -1;
        if (found >= 0)
            return days * DAY + found * MINUTE < until ? days * DAY + found * MINUTE : NEVER;
    }
    return NEVER;
}

/* A time during which local time is ahead of UTC by .offset. */
struct stretch {
    int64_t begin; /* UTC; nothing is known of what was before, where .change is 0 */
    int64_t end;
    int32_t offset;
    int32_t change; /* of the offset, at .begin */
};

static int32_t offset_at(const struct zone *zone, int64_t utc)
{
    return zone->offset(zone->ctx, utc);
}

/* The first second behind LOW at which the offset is no more that of LOW; it is another one at HIGH. */
static int64_t find_change(const struct zone *zone, int64_t low, int64_t high)
{
    int32_t offset = offset_at(zone, low);

    while (high - low > 1) {
        int64_t mid = low + (high - low) / 2;

        if (offset_at(zone, mid) == offset)
            low = mid;
        else
            high = mid;
    }
    return high;
}

/* The stretch that AT lies in, from its begin, where that is less than a day ago, to its end, or to UNTIL. */
static struct stretch stretch_at(const struct zone *zone, int64_t at, int64_t until)
{
    struct stretch stretch = {.begin = at, .end = until, .offset = offset_at(zone, at)};
    int32_t before = offset_at(zone, at - DAY);

    if (before != stretch.offset) {
        stretch.begin = find_change(zone, at - DAY, at);
        stretch.change = stretch.offset - before;
    }
    for (int64_t day = at; day < until; day += DAY) {
        if (offset_at(zone, day + DAY) != stretch.offset) {
            stretch.end = find_change(zone, day, day + DAY);
            break;
        }
    }
    return stretch;
}

/* Behind AFTER, within STRETCH, or NEVER. */
static int64_t next_in_stretch(const struct cron *cron, const struct stretch *stretch, int64_t after)
{
    int64_t begin = stretch->begin + stretch->offset; /* local, as: */
    int64_t from = (after + 1 > stretch->begin ? after + 1 : stretch->begin) + stretch->offset;

    if (!cron->is_of_the_hour && stretch->change > 0 && stretch->begin > after &&
        local_next(cron, begin - stretch->change, begin) != NEVER)
        return stretch->begin; /* it was left out */
    if (!cron->is_of_the_hour && stretch->change < 0 && from < begin - stretch->change)
        from = begin - stretch->change; /* what comes for the second time has been */
    int64_t local = local_next(cron, from, stretch->end + stretch->offset);
    return local != NEVER ? local - stretch->offset : NEVER;
}

int64_t cron_next(const struct cron *cron, int64_t after, const struct zone *zone)
{
    int64_t until = after + YEARS_MAX * 366 * DAY;
    /* In local time, whatever the offset is by then: so far, and not over a whole century, are changes looked for. */
    int64_t guess = local_next(cron, after - DAY, until);

    for (int64_t at = after + 1; guess != NEVER && at < until;) {
        int64_t far = guess > at ? guess + 3 * DAY : at + 3 * DAY;
        struct stretch stretch = stretch_at(zone, at, far);
        int64_t found = next_in_stretch(cron, &stretch, after);

        if (found != NEVER)
            return found;
        at = stretch.end;
        if (at >= far)
            guess = local_next(cron, at - DAY, until);
    }
    return 0;
}
