/* SPDX-License-Identifier: MIT */
/*
 * Restart or not, and after how long: supd.conf(5), "RESTART".
 *
 * A run that lasted at least restart-reset is stable; what ends after it is
 * restarted at once.  Unstable runs in a row wait restart-delay, doubled with
 * each up to restart-delay-max, with +-10 % jitter from the second on, so that
 * services which failed together do not all come back together.
 * Pure: the jitter comes from a generator whose state the caller keeps.
 */
#ifndef SUPD_CORE_POLICY_H
#define SUPD_CORE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/spec.h"

enum __attribute__((packed)) exit_how { EXIT_HOW_NONE, EXIT_HOW_EXITED, EXIT_HOW_SIGNALED, EXIT_HOW_UNKNOWN };
enum __attribute__((packed)) exit_source {
    EXIT_SOURCE_NONE,
    EXIT_SOURCE_WAIT,
    EXIT_SOURCE_PROC,
    EXIT_SOURCE_PIDFD,
    EXIT_SOURCE_NETLINK,
    EXIT_SOURCE_PTRACE,
};

/* How a process ended. */
struct exit_info {
    enum exit_how how;
    enum exit_source source;
    bool core;      /* SIGNALED: a core was dumped */
    bool oom;       /* SIGNALED: by the OOM killer */
    int32_t code;   /* EXITED */
    int32_t signal; /* SIGNALED */
    int64_t at;     /* wall clock, us */
};

enum policy_verdict {
    POLICY_RESTART, /* after .delay, which may be 0 */
    POLICY_EXITED,  /* success, no restart due */
    POLICY_FAILED,  /* anything else that is not restarted any more */
};

/* What the policy looks at. */
struct policy_run {
    struct exit_info exit;
    int64_t ran;   /* us from fork to end */
    bool pre_exec; /* ended before its exec: waits at least 100 ms whatever the delay */
    bool abnormal; /* not its own doing: the start took too long, or no child could be made */
    uint32_t row;  /* unstable runs in a row before this one */
};

struct policy_result {
    enum policy_verdict verdict;
    int64_t delay; /* us; POLICY_RESTART only */
    uint32_t row;  /* unstable runs in a row, this one counted */
    bool gave_up;  /* POLICY_FAILED because restart-limit was reached */
};

/* Did it end as success-exit says?  An unknown end never did. */
bool policy_success(const struct spec *spec, const struct exit_info *exit);

/* Does the service wait for the next connection after this run, whatever `restart` says? */
bool policy_awaits_demand(const struct spec *spec, const struct policy_run *run);

/* The next number.  RNG: state of a splitmix64 generator; any value is a valid seed. */
uint64_t policy_random(uint64_t *rng);

/* RNG is advanced when jitter is drawn. */
struct policy_result policy_decide(const struct spec *spec, const struct policy_run *run, uint64_t *rng);

#endif
