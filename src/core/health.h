/* SPDX-License-Identifier: MIT */
/*
 * Is a service healthy?  From the results of its checks, one after another, to what is held of it.
 * Pure: counts and durations only.
 */
#ifndef SUPD_CORE_HEALTH_H
#define SUPD_CORE_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spec_check.h"

/* Recorded, so the numbers stay. */
enum health_state {
    HEALTH_NONE = 0,     /* nothing is known: it is not checked, or does not run */
    HEALTH_STARTING = 1, /* no check has succeeded yet, and not so many have failed as count */
    HEALTH_HEALTHY = 2,
    HEALTH_UNHEALTHY = 3,
    HEALTH_N
};

struct health_counts {
    enum health_state state;
    uint32_t failures;  /* in a row, those that count; not recorded, as the next */
    uint32_t successes; /* in a row, while it is unhealthy */
};

/* "starting", "healthy", "unhealthy"; NULL for HEALTH_NONE. */
const char *health_name(enum health_state state);

/* Takes a result in.  RAN: us since the service was started.  True when the state is another now. */
bool health_judge(struct health_counts *counts, const struct spec_check *check, bool ok, int64_t ran);

/* From a result to the next check, us.  TRIES: checks of a service that is starting which have failed so far. */
int64_t health_delay(const struct spec_check *check, enum health_state state, unsigned tries);

/* Where in its first interval a service that runs already is looked at first, us.  RNG: see policy.h. */
int64_t health_stagger(const struct spec_check *check, uint64_t *rng);

/* What a service uses, as max-memory and max-cpu have it. */
struct health_use {
    uint64_t memory; /* bytes */
    int64_t cpu;     /* us, from an earlier look to this one; below 0: there was none */
    int64_t elapsed; /* us between the two */
};

/* Is that too much?  Then says so in BUF. */
bool health_uses_too_much(const struct spec_check *check, const struct health_use *use, char *buf, size_t size);

#endif
