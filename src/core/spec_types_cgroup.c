/* SPDX-License-Identifier: MIT */
/* Keys of cgroup { }: limits that may be lifted, shares of CPU time, weights. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/units.h"
#include "core/spec_cgroup.h"
#include "core/spec_type.h"

#define PERIOD_DEFAULT (100 * USEC_PER_MSEC)
#define PERIOD_MAX USEC_PER_SEC
#define QUOTA_MIN USEC_PER_MSEC /* the kernel's, for quota and period */
#define WEIGHT_MAX 10000

static bool is_infinity(const char *value)
{
    return strcmp(value, "infinity") == 0 || strcmp(value, "max") == 0;
}

/* ---- limits ---- */

static bool set_size_limit(const struct key_input *in, void *to)
{
    struct cgroup_limit limit = {.set = true, .infinite = is_infinity(in->values[0])};

    if (!limit.infinite && !size_parse(in->values[0], &limit.value))
        return key_fail(in, "'%s' is not a size: write a number of bytes, 64K, 10M, 2G or infinity", in->values[0]);
    if (!limit.infinite && limit.value == 0 && (in->key->flags & KEY_F_POSITIVE) != 0)
        return key_fail(in, "it must be more than 0");
    *(struct cgroup_limit *)to = limit;
    return true;
}

static bool set_count_limit(const struct key_input *in, void *to)
{
    struct cgroup_limit limit = {.set = true, .infinite = is_infinity(in->values[0])};
    uint32_t count = 0;

    /* A kernel has no more pids than that, and refuses a limit above. */
    if (!limit.infinite && (!key_parse_uint(in->values[0], 10, 4194304, &count) || count == 0))
        return key_fail(in, "'%s' is not a whole number from 1 to 4194304, nor infinity", in->values[0]);
    limit.value = count;
    *(struct cgroup_limit *)to = limit;
    return true;
}

static bool equal_limits(const void *a, const void *b)
{
    const struct cgroup_limit *x = a;
    const struct cgroup_limit *y = b;

    return x->set == y->set && x->infinite == y->infinite && x->value == y->value;
}

static char **get_size_limit(const struct spec_key *key, const void *from)
{
    const struct cgroup_limit *limit = from;
    char buf[32];

    (void)key;
    if (!limit->set)
        return NULL;
    return key_one_value(limit->infinite ? "infinity" : size_format(limit->value, buf, sizeof buf));
}

static char **get_count_limit(const struct spec_key *key, const void *from)
{
    const struct cgroup_limit *limit = from;

    (void)key;
    if (!limit->set)
        return NULL;
    return limit->infinite ? key_one_value("infinity") : strv_push(NULL, xasprintf("%" PRIu64, limit->value));
}

const struct key_type_ops key_type_size_limit = {
    .size = sizeof(struct cgroup_limit),
    .set = set_size_limit,
    .get = get_size_limit,
    .equal = equal_limits,
};

const struct key_type_ops key_type_count_limit = {
    .size = sizeof(struct cgroup_limit),
    .set = set_count_limit,
    .get = get_count_limit,
    .equal = equal_limits,
};

/* ---- shares of CPU time ---- */

/* "150%": of one CPU. */
static bool parse_percent(const char *text, struct cgroup_cpu_max *max)
{
    char number[16];
    uint32_t percent;
    size_t len = strlen(text);

    if (len < 2 || len >= sizeof number || text[len - 1] != '%')
        return false;
    memcpy(number, text, len - 1);
    number[len - 1] = '\0';
    if (!key_parse_uint(number, 10, 1000000, &percent))
        return false;
    max->period = PERIOD_DEFAULT;
    max->quota = percent * (PERIOD_DEFAULT / 100);
    return true;
}

/* "50ms/100ms" */
static bool parse_quota(const char *text, struct cgroup_cpu_max *max)
{
    const char *slash = strchr(text, '/');
    char quota[32];

    if (slash == NULL || (size_t)(slash - text) >= sizeof quota)
        return false;
    memcpy(quota, text, (size_t)(slash - text));
    quota[slash - text] = '\0';
    return duration_parse(quota, &max->quota) && duration_parse(slash + 1, &max->period);
}

static bool set_cpu_max(const struct key_input *in, void *to)
{
    const char *value = in->values[0];
    struct cgroup_cpu_max max = {.set = true, .infinite = is_infinity(value)};

    if (!max.infinite && !parse_percent(value, &max) && !parse_quota(value, &max))
        return key_fail(
            in, "'%s' is no share of CPU time: write 50%% (of one CPU), 20ms/100ms (in each 100ms) or infinity", value);
    if (!max.infinite && (max.quota < QUOTA_MIN || max.period < QUOTA_MIN || max.period > PERIOD_MAX))
        return key_fail(in, "'%s' is more than the kernel can do: at least 1ms (1%%), in a period from 1ms to 1s",
                        value);
    *(struct cgroup_cpu_max *)to = max;
    return true;
}

static char **get_cpu_max(const struct spec_key *key, const void *from)
{
    const struct cgroup_cpu_max *max = from;
    char quota[64];
    char period[64];

    (void)key;
    if (!max->set || max->infinite)
        return max->set ? key_one_value("infinity") : NULL;
    duration_format(max->quota, quota, sizeof quota);
    duration_format(max->period, period, sizeof period);
    return strv_push(NULL, xasprintf("%s/%s", quota, period));
}

static bool equal_cpu_max(const void *a, const void *b)
{
    const struct cgroup_cpu_max *x = a;
    const struct cgroup_cpu_max *y = b;

    return x->set == y->set && x->infinite == y->infinite && x->quota == y->quota && x->period == y->period;
}

const struct key_type_ops key_type_cpu_max = {
    .size = sizeof(struct cgroup_cpu_max),
    .set = set_cpu_max,
    .get = get_cpu_max,
    .equal = equal_cpu_max,
};

/* ---- weights ---- */

static bool set_weight(const struct key_input *in, void *to)
{
    uint32_t weight;

    if (!key_parse_uint(in->values[0], 10, WEIGHT_MAX, &weight) || weight == 0)
        return key_fail(in, "'%s' is not a whole number from 1 to 10000 (100 is what others have)", in->values[0]);
    *(uint32_t *)to = weight;
    return true;
}

static char **get_weight(const struct spec_key *key, const void *from)
{
    uint32_t weight = *(const uint32_t *)from;

    (void)key;
    return weight != 0 ? strv_push(NULL, xasprintf("%" PRIu32, weight)) : NULL;
}

const struct key_type_ops key_type_weight = {.size = sizeof(uint32_t), .set = set_weight, .get = get_weight};
