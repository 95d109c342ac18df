/* SPDX-License-Identifier: MIT */
#include "core/health.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/units.h"
#include "core/policy.h"

/* A service that starts is looked at soon, and then less and less often. */
#define START_DELAY (100 * USEC_PER_MSEC)
#define START_DOUBLINGS 20

const char *health_name(enum health_state state)
{
    static const char *const names[] = {
        [HEALTH_STARTING] = "starting", [HEALTH_HEALTHY] = "healthy", [HEALTH_UNHEALTHY] = "unhealthy"};

    return names[state];
}

static bool change(struct health_counts *counts, enum health_state state)
{
    *counts = (struct health_counts){.state = state};
    return true;
}

static bool judge_success(struct health_counts *counts, const struct spec_check *check)
{
    counts->failures = 0;
    if (counts->state == HEALTH_HEALTHY)
        return false;
    if (counts->state == HEALTH_UNHEALTHY && ++counts->successes < check->successes)
        return false;
    return change(counts, HEALTH_HEALTHY);
}

/* Of a service that is starting. */
static bool counts_yet(const struct health_counts *counts, const struct spec_check *check, int64_t ran)
{
    return ran >= check->start_period && ran - counts->counted >= check->interval;
}

bool health_judge(struct health_counts *counts, const struct spec_check *check, bool ok, int64_t ran)
{
    if (counts->state == HEALTH_NONE)
        counts->state = HEALTH_STARTING;
    if (ok)
        return judge_success(counts, check);
    counts->successes = 0;
    if (counts->state == HEALTH_UNHEALTHY || (counts->state == HEALTH_STARTING && !counts_yet(counts, check, ran)))
        return false;
    counts->counted = ran;
    if (++counts->failures < check->failures)
        return false;
    return change(counts, HEALTH_UNHEALTHY);
}

int64_t health_delay(const struct spec_check *check, enum health_state state, unsigned tries)
{
    if (state != HEALTH_STARTING && state != HEALTH_NONE)
        return check->interval;
    int64_t delay = START_DELAY << (tries < START_DOUBLINGS ? tries : START_DOUBLINGS);
    return delay < check->interval ? delay : check->interval;
}

int64_t health_stagger(const struct spec_check *check, uint64_t *rng)
{
    int64_t half = check->interval / 2;

    return half + (int64_t)(policy_random(rng) % (uint64_t)(check->interval - half));
}

/* A shorter time would tell of a burst only. */
static bool is_long_enough(const struct spec_check *check, int64_t elapsed)
{
    return elapsed > 0 && elapsed >= check->interval / 2;
}

bool health_uses_too_much(const struct spec_check *check, struct health_use *before, const struct health_use *use,
                          char *buf, size_t size)
{
    const struct health_use since = *before;
    char has[32];
    char max[32];

    if (since.at == 0 || is_long_enough(check, use->at - since.at))
        *before = *use;

    if (check->max_memory.set && !check->max_memory.infinite && use->memory > check->max_memory.value) {
        snprintf(buf, size, "memory %s, more than max-memory %s", size_human(use->memory, has, sizeof(has)),
                 size_format(check->max_memory.value, max, sizeof(max)));
        return true;
    }
    if (check->max_cpu == 0 || since.at == 0 || !is_long_enough(check, use->at - since.at))
        return false;
    double percent = (double)(use->cpu - since.cpu) * 100 / (double)(use->at - since.at);
    if (percent <= check->max_cpu)
        return false;
    snprintf(buf, size, "CPU %.0f%%, more than max-cpu %" PRIu32 "%%", percent, check->max_cpu);
    return true;
}
