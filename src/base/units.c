/* SPDX-License-Identifier: MIT */
#include "base/units.h"

#include <stdio.h>
#include <string.h>

#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_PER_WEEK (7 * USEC_PER_DAY)

/* Digits after the point that can matter: the largest unit is less than 10^12 microseconds. */
#define FRACTION_DIGITS 12
#define FRACTION_ONE INT64_C(1000000000000)

struct unit {
    const char *name;
    int64_t usec;
};

static const struct unit units[] = {
    {"w", USEC_PER_WEEK},  {"d", USEC_PER_DAY}, {"h", USEC_PER_HOUR}, {"m", USEC_PER_MINUTE}, {"s", USEC_PER_SEC},
    {"ms", USEC_PER_MSEC}, {"us", 1},
};

#define N_UNITS (sizeof(units) / sizeof(units[0]))

static const struct unit human_units[] = {
    {"d", USEC_PER_DAY},
    {"h", USEC_PER_HOUR},
    {"min", USEC_PER_MINUTE},
    {"s", USEC_PER_SEC},
};

#define N_HUMAN_UNITS (sizeof(human_units) / sizeof(human_units[0]))

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int64_t find_unit(const char *name, size_t len)
{
    for (size_t i = 0; i < N_UNITS; i++) {
        if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
            return units[i].usec;
    }
    return 0;
}

/* Reads "12", "1.5" or ".5"; FRACTION is in units of 1/FRACTION_ONE. */
static bool parse_decimal(const char **text, int64_t *whole, int64_t *fraction)
{
    const char *p = *text;
    int64_t scale = FRACTION_ONE;
    bool any = false;

    *whole = 0;
    *fraction = 0;
    for (; is_digit(*p); p++) {
        any = true;
        if (__builtin_mul_overflow(*whole, 10, whole) || __builtin_add_overflow(*whole, *p - '0', whole))
            return false;
    }
    if (*p == '.' && is_digit(p[1])) {
        any = true;
        for (p++; is_digit(*p); p++) {
            scale /= 10;
            *fraction += (*p - '0') * scale;
        }
    }
    *text = p;
    return any;
}

/* Adds (WHOLE + FRACTION) * UNIT to *SUM. */
static bool add_scaled(int64_t *sum, int64_t whole, int64_t fraction, int64_t unit)
{
    int64_t usec;

    if (__builtin_mul_overflow(whole, unit, &usec) || __builtin_add_overflow(*sum, usec, sum))
        return false;
    usec = (int64_t)((__int128)fraction * unit / FRACTION_ONE);
    return !__builtin_add_overflow(*sum, usec, sum);
}

bool duration_parse(const char *text, int64_t *usec)
{
    const char *p = text;
    int64_t sum = 0;

    do {
        bool first = p == text;
        int64_t whole;
        int64_t fraction;
        if (!parse_decimal(&p, &whole, &fraction))
            return false;

        size_t len = strcspn(p, "0123456789.");
        /* A bare number is seconds only when it stands alone: "1h30" could mean anything. */
        int64_t unit = len > 0 ? find_unit(p, len) : first && *p == '\0' ? USEC_PER_SEC : 0;
        if (unit == 0 || !add_scaled(&sum, whole, fraction, unit))
            return false;
        p += len;
    } while (*p != '\0');

    *usec = sum;
    return true;
}

const char *duration_format(int64_t usec, char *buf, size_t size)
{
    size_t used = 0;

    if (usec <= 0) {
        snprintf(buf, size, "0");
        return buf;
    }
    for (size_t i = 0; i < N_UNITS && used < size; i++) {
        int64_t count = usec / units[i].usec;
        if (count == 0)
            continue;
        used += (size_t)snprintf(buf + used, size - used, "%lld%s", (long long)count, units[i].name);
        usec %= units[i].usec;
    }
    return buf;
}

const char *duration_human(int64_t usec, char *buf, size_t size)
{
    size_t i = 0;

    if (usec < USEC_PER_SEC) {
        if (usec < USEC_PER_MSEC)
            snprintf(buf, size, "0 s");
        else
            snprintf(buf, size, "%d ms", (int)(usec / USEC_PER_MSEC));
        return buf;
    }
    while (usec < human_units[i].usec)
        i++;

    long long major = usec / human_units[i].usec;
    long long minor = i + 1 < N_HUMAN_UNITS ? usec % human_units[i].usec / human_units[i + 1].usec : 0;
    if (minor > 0)
        snprintf(buf, size, "%lld %s %lld %s", major, human_units[i].name, minor, human_units[i + 1].name);
    else
        snprintf(buf, size, "%lld %s", major, human_units[i].name);
    return buf;
}

bool size_parse(const char *text, uint64_t *bytes)
{
    static const char suffixes[] = "KMGT";
    uint64_t n = 0;
    const char *p = text;

    for (; is_digit(*p); p++) {
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return false;
    }
    if (p == text)
        return false;
    if (*p != '\0') {
        const char *suffix = strchr(suffixes, *p);
        if (suffix == NULL || p[1] != '\0')
            return false;
        if (__builtin_mul_overflow(n, UINT64_C(1) << (10 * (suffix - suffixes + 1)), &n))
            return false;
    }
    *bytes = n;
    return true;
}

const char *size_format(uint64_t bytes, char *buf, size_t size)
{
    static const char suffixes[] = "KMGT";
    size_t n = 0;

    while (n < sizeof(suffixes) - 1 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        n++;
    }
    snprintf(buf, size, "%llu%.*s", (unsigned long long)bytes, n > 0, n > 0 ? &suffixes[n - 1] : "");
    return buf;
}

const char *size_human(uint64_t bytes, char *buf, size_t size)
{
    double kib = (double)bytes / 1024;

    if (kib < 1024)
        snprintf(buf, size, "%.0fK", kib);
    else if (kib < 1024.0 * 1024)
        snprintf(buf, size, "%.1fM", kib / 1024);
    else
        snprintf(buf, size, "%.1fG", kib / 1024 / 1024);
    return buf;
}
