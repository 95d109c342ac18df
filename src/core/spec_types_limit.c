/* SPDX-License-Identifier: MIT */
/* The limits of setrlimit(2), one key each. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/units.h"
#include "core/spec_type.h"

/* What a limit counts, as words for an error: what a value may be. */
static const char count_words[] = "a number";
static const char size_words[] = "a size as 64K, 10M or 2G";
static const char seconds_words[] = "a duration as 90s or 1h";
static const char usec_words[] = "a duration as 500ms or 2s";
static const char nice_words[] = "a nice level as -5 or +5, or a number from 0 to 40";

/* By the pointer the unit is known. */
static const char *const units[SPEC_N_LIMITS] = {
    [SPEC_LIMIT_AS] = size_words,      [SPEC_LIMIT_CORE] = size_words,     [SPEC_LIMIT_CPU] = seconds_words,
    [SPEC_LIMIT_DATA] = size_words,    [SPEC_LIMIT_FSIZE] = size_words,    [SPEC_LIMIT_LOCKS] = count_words,
    [SPEC_LIMIT_MEMLOCK] = size_words, [SPEC_LIMIT_MSGQUEUE] = size_words, [SPEC_LIMIT_NICE] = nice_words,
    [SPEC_LIMIT_NOFILE] = count_words, [SPEC_LIMIT_NPROC] = count_words,   [SPEC_LIMIT_RSS] = size_words,
    [SPEC_LIMIT_RTPRIO] = count_words, [SPEC_LIMIT_RTTIME] = usec_words,   [SPEC_LIMIT_SIGPENDING] = count_words,
    [SPEC_LIMIT_STACK] = size_words,
};

int spec_limit_of(const struct spec_key *key)
{
    return key->type == KEY_LIMIT
               ? (int)((key->offset - offsetof(struct spec_exec, limits)) / sizeof(struct spec_limit *))
               : -1;
}

static const char *unit_of(const struct spec_key *key)
{
    return units[spec_limit_of(key)];
}

static bool parse_count(const char *text, uint64_t *value)
{
    uint32_t n;

    if (!key_parse_uint(text, 10, UINT32_MAX, &n))
        return false;
    *value = n;
    return true;
}

/* The kernel counts from 20 (nice 0) up to 40 (nice -20), so that more is more.  A sign tells which of the two is meant. */
static bool parse_nice(const char *text, uint64_t *value)
{
    bool minus = text[0] == '-';
    bool sign = minus || text[0] == '+';
    uint32_t n;

    if (!key_parse_uint(sign ? text + 1 : text, 10, 40, &n) || (sign && n > (minus ? 20 : 19)))
        return false;
    *value = !sign ? n : minus ? 20 + n : 20 - n;
    return true;
}

static bool parse_duration(const char *text, int64_t unit, uint64_t *value)
{
    int64_t usec;

    if (!duration_parse(text, &usec))
        return false;
    *value = (uint64_t)(usec / unit + (usec % unit != 0));
    return true;
}

static bool parse_value(const char *text, const char *unit, uint64_t *value)
{
    if (strcmp(text, "infinity") == 0) {
        *value = SPEC_LIMIT_INFINITY;
        return true;
    }
    if (unit == size_words)
        return size_parse(text, value);
    if (unit == seconds_words)
        return parse_duration(text, USEC_PER_SEC, value);
    if (unit == usec_words)
        return parse_duration(text, 1, value);
    return unit == nice_words ? parse_nice(text, value) : parse_count(text, value);
}

/* "SOFT:HARD", or one value for both.  TEXT is cut at the ':'. */
static bool parse_limit(const struct key_input *in, char *text, struct spec_limit *limit)
{
    const char *unit = unit_of(in->key);
    char *hard = strchr(text, ':');

    if (hard != NULL)
        *hard++ = '\0';
    if (!parse_value(text, unit, &limit->soft))
        return key_fail(in, "'%s' is no limit: write %s, or infinity; SOFT:HARD where they differ", text, unit);
    limit->hard = limit->soft;
    if (hard == NULL)
        return true;
    if (!parse_value(hard, unit, &limit->hard))
        return key_fail(in, "'%s' is no limit: write %s, or infinity", hard, unit);
    if (limit->soft > limit->hard)
        return key_fail(in, "the soft limit %s is above the hard one, %s: what comes first is the soft one", text,
                        hard);
    return true;
}

static bool set_limit(const struct key_input *in, void *to)
{
    struct spec_limit **old = to;
    struct spec_limit limit;
    char *text = xstrdup(in->values[0]);
    bool ok = parse_limit(in, text, &limit);

    free(text);
    if (!ok)
        return false;
    if (*old == NULL)
        *old = xmalloc(sizeof(**old));
    **old = limit;
    return true;
}

static char *format_value(uint64_t value, const char *unit)
{
    if (value == SPEC_LIMIT_INFINITY)
        return xstrdup("infinity");
    return xasprintf("%llu%s", (unsigned long long)value, unit == usec_words ? "us" : "");
}

static char **get_limit(const struct spec_key *key, const void *from)
{
    const struct spec_limit *limit = *(struct spec_limit *const *)from;
    const char *unit = unit_of(key);

    if (limit == NULL)
        return NULL;
    char *soft = format_value(limit->soft, unit);
    if (limit->soft == limit->hard)
        return strv_push(NULL, soft);

    char *hard = format_value(limit->hard, unit);
    char **v = strv_push(NULL, xasprintf("%s:%s", soft, hard));
    free(soft);
    free(hard);
    return v;
}

static void dup_limit(void *value)
{
    struct spec_limit **limit = value;
    const struct spec_limit *from = *limit;

    if (from == NULL)
        return;
    *limit = xmalloc(sizeof(**limit));
    **limit = *from;
}

static void free_limit(void *value)
{
    free(*(struct spec_limit **)value);
}

static bool equal_limits(const void *a, const void *b)
{
    const struct spec_limit *x = *(struct spec_limit *const *)a;
    const struct spec_limit *y = *(struct spec_limit *const *)b;

    return x == NULL || y == NULL ? x == y : x->soft == y->soft && x->hard == y->hard;
}

const struct key_type_ops key_type_limit = {
    .size = sizeof(struct spec_limit *),
    .set = set_limit,
    .get = get_limit,
    .dup = dup_limit,
    .free = free_limit,
    .equal = equal_limits,
};
