/* SPDX-License-Identifier: MIT */
#include "core/policy.h"

#include "base/units.h"

/* A program that cannot even be executed is not tried in a tight loop, whatever restart-delay says. */
#define PRE_EXEC_DELAY_MIN (100 * USEC_PER_MSEC)

/* splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t policy_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* DELAY +-10 %. */
static int64_t jitter(int64_t delay, uint64_t *rng)
{
    int64_t tenth = delay / 10;

    if (tenth == 0)
        return delay;
    int64_t shift = (int64_t)(policy_random(rng) % (uint64_t)(2 * tenth + 1)) - tenth;
    return shift > INT64_MAX - delay ? INT64_MAX : delay + shift;
}

static bool exit_in_set(const struct exit_set *set, const struct exit_info *exit)
{
    switch (exit->how) {
    case EXIT_HOW_EXITED:
        return exit_set_has_code(set, exit->code);
    case EXIT_HOW_SIGNALED:
        return exit_set_has_signal(set, exit->signal);
    case EXIT_HOW_NONE:
    case EXIT_HOW_UNKNOWN:
        break;
    }
    return false;
}

bool policy_success(const struct spec *spec, const struct exit_info *exit)
{
    return exit_in_set(&spec->life->success_exit, exit);
}

bool policy_awaits_demand(const struct spec *spec, const struct policy_run *run)
{
    return spec->around->start == START_ON_DEMAND && !run->abnormal && !run->pre_exec &&
           policy_success(spec, &run->exit) && !exit_in_set(&spec->life->restart_prevent_exit, &run->exit);
}

/* Does `restart` ask for another run after this one? */
static bool wants_restart(const struct spec *spec, const struct policy_run *run, bool success)
{
    /* Before its exec the exit code is the child's own and says nothing about the program. */
    if (!run->pre_exec && exit_in_set(&spec->life->restart_prevent_exit, &run->exit))
        return false;

    switch (spec->life->restart) {
    case RESTART_NO:
        return false;
    case RESTART_ALWAYS:
        return true;
    case RESTART_ON_FAILURE:
        return !success;
    case RESTART_ON_ABNORMAL:
        return !success && (run->abnormal || run->exit.how != EXIT_HOW_EXITED);
    }
    return false;
}

/* What the ROW-th unstable run in a row waits, without jitter. */
static int64_t row_delay(const struct spec *spec, uint32_t row)
{
    int64_t delay = spec->life->restart_delay;

    for (uint32_t i = 1; i < row && delay > 0 && delay < spec->life->restart_delay_max; i++) {
        if (delay > spec->life->restart_delay_max / 2)
            return spec->life->restart_delay_max;
        delay *= 2;
    }
    return delay < spec->life->restart_delay_max ? delay : spec->life->restart_delay_max;
}

struct policy_result policy_decide(const struct spec *spec, const struct policy_run *run, uint64_t *rng)
{
    bool success = !run->abnormal && !run->pre_exec && policy_success(spec, &run->exit);
    bool stable = !run->pre_exec && !run->abnormal && run->ran >= spec->life->restart_reset;
    struct policy_result result = {.row = run->row < UINT32_MAX ? run->row + 1 : UINT32_MAX};

    if (stable)
        result.row = 0;
    if (!wants_restart(spec, run, success)) {
        result.verdict = success ? POLICY_EXITED : POLICY_FAILED;
        return result;
    }
    if (spec->life->restart_limit > 0 && result.row >= spec->life->restart_limit) {
        result.verdict = POLICY_FAILED;
        result.gave_up = true;
        return result;
    }

    result.verdict = POLICY_RESTART;
    if (stable)
        return result;

    result.delay = row_delay(spec, result.row);
    if (result.row > 1)
        result.delay = jitter(result.delay, rng);
    if (run->pre_exec && result.delay < PRE_EXEC_DELAY_MIN)
        result.delay = PRE_EXEC_DELAY_MIN;
    return result;
}
