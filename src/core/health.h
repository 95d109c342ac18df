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
    int64_t counted;    /* us from its start to the last failure that counted while it was starting */
};

/* "starting", "healthy", "unhealthy"; NULL for HEALTH_NONE. */
const char *health_name(enum health_state state);

/*
 * Takes a result in.  RAN: us since the service was started.  True when the state is another now.
 *
 * While it is starting it is looked at more often than once an interval, so that its first success is seen soon; of the
 * failures no more than one an interval counts.
 */
bool health_judge(struct health_counts *counts, const struct spec_check *check, bool ok, int64_t ran);

/* From a result to the next check, us.  TRIES: checks of a service that is starting which have failed so far. */
int64_t health_delay(const struct spec_check *check, enum health_state state, unsigned tries);

/*
 * The delay before the first check of a service that runs already, and behind the first that succeeds: from half an
 * interval to a whole one, us, so that services which were started together are not looked at together for ever.  RNG:
 * see policy.h.
 */
int64_t health_stagger(const struct spec_check *check, uint64_t *rng);

/* What a service uses at a time. */
struct health_use {
    int64_t at;      /* us, monotonic; 0: not looked at yet */
    uint64_t memory; /* bytes */
    int64_t cpu;     /* us since its start */
};

/*
 * Is that more than max-memory and max-cpu allow?  Then says so in BUF.  CPU time is judged since *BEFORE, over half an
 * interval at least; *BEFORE becomes USE where it was judged, or was not looked at yet.
 */
bool health_uses_too_much(const struct spec_check *check, struct health_use *before, const struct health_use *use,
                          char *buf, size_t size);

#endif
