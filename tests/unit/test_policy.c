/* SPDX-License-Identifier: MIT */
#include "core/policy.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "base/units.h"
#include "check_main.h"

#define MSEC USEC_PER_MSEC
#define SEC USEC_PER_SEC
#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static struct spec *spec;
static uint64_t rng;

static void setup(void)
{
    spec = spec_new("x");
    rng = 1;
}

static void teardown(void)
{
    spec_free(spec);
}

static struct exit_info exited(int code)
{
    return (struct exit_info){.how = EXIT_HOW_EXITED, .code = code};
}

static struct exit_info signaled(int signo)
{
    return (struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = signo};
}

static const struct exit_info unknown = {.how = EXIT_HOW_UNKNOWN};

/* An unstable run that ended so, after ROW others. */
static struct policy_result decide(struct exit_info exit, uint32_t row)
{
    return policy_decide(spec, &(struct policy_run){.exit = exit, .ran = MSEC, .row = row}, &rng);
}

static void expect(const char *what, const struct policy_run *run, enum policy_verdict verdict)
{
    struct policy_result result = policy_decide(spec, run, &rng);

    ck_assert_msg(result.verdict == verdict, "restart = %s, %s: verdict %d, wanted %d",
                  restart_policy_name(spec->life->restart), what, (int)result.verdict, (int)verdict);
    ck_assert_msg(!result.gave_up, "restart = %s, %s: gave up", restart_policy_name(spec->life->restart), what);
}

START_TEST(every_policy_with_every_end)
{
    static const struct {
        const char *what;
        struct policy_run run;
        enum policy_verdict verdict[4]; /* no, on-failure, on-abnormal, always */
    } table[] = {
        {"exit 0", {.exit = {.how = EXIT_HOW_EXITED}}, {POLICY_EXITED, POLICY_EXITED, POLICY_EXITED, POLICY_RESTART}},
        {"exit 3",
         {.exit = {.how = EXIT_HOW_EXITED, .code = 3}},
         {POLICY_FAILED, POLICY_RESTART, POLICY_FAILED, POLICY_RESTART}},
        {"SEGV",
         {.exit = {.how = EXIT_HOW_SIGNALED, .signal = SIGSEGV, .core = true}},
         {POLICY_FAILED, POLICY_RESTART, POLICY_RESTART, POLICY_RESTART}},
        {"unknown",
         {.exit = {.how = EXIT_HOW_UNKNOWN}},
         {POLICY_FAILED, POLICY_RESTART, POLICY_RESTART, POLICY_RESTART}},
        {"failed before its exec",
         {.exit = {.how = EXIT_HOW_EXITED, .code = 127}, .pre_exec = true},
         {POLICY_FAILED, POLICY_RESTART, POLICY_FAILED, POLICY_RESTART}},
        {"failed before its exec with a code that means success",
         {.exit = {.how = EXIT_HOW_EXITED}, .pre_exec = true},
         {POLICY_FAILED, POLICY_RESTART, POLICY_FAILED, POLICY_RESTART}},
        {"start timed out, killed",
         {.exit = {.how = EXIT_HOW_SIGNALED, .signal = SIGKILL}, .abnormal = true},
         {POLICY_FAILED, POLICY_RESTART, POLICY_RESTART, POLICY_RESTART}},
        {"start timed out, exit 0 when told to end",
         {.exit = {.how = EXIT_HOW_EXITED}, .abnormal = true},
         {POLICY_FAILED, POLICY_RESTART, POLICY_RESTART, POLICY_RESTART}},
        {"no child could be made",
         {.exit = {.how = EXIT_HOW_UNKNOWN}, .abnormal = true, .pre_exec = true},
         {POLICY_FAILED, POLICY_RESTART, POLICY_RESTART, POLICY_RESTART}},
    };

    for (size_t i = 0; i < LEN(table); i++) {
        for (int policy = RESTART_NO; policy <= RESTART_ALWAYS; policy++) {
            spec_own_life(spec)->restart = (enum restart_policy)policy;
            expect(table[i].what, &table[i].run, table[i].verdict[policy]);
        }
    }
}
END_TEST

START_TEST(success_exit_decides_what_success_is)
{
    struct exit_info code = exited(3);
    struct exit_info term = signaled(SIGTERM);
    struct exit_info none = {0};

    spec_own_life(spec)->restart = RESTART_ON_FAILURE;
    ck_assert(!policy_success(spec, &code));
    ck_assert(!policy_success(spec, &term));
    exit_set_add_code(&spec_own_life(spec)->success_exit, 3);
    exit_set_add_signal(&spec_own_life(spec)->success_exit, SIGTERM);
    ck_assert(policy_success(spec, &code));
    ck_assert(policy_success(spec, &term));
    ck_assert_int_eq(decide(code, 0).verdict, POLICY_EXITED);
    ck_assert_int_eq(decide(term, 0).verdict, POLICY_EXITED);
    ck_assert_int_eq(decide(signaled(SIGKILL), 0).verdict, POLICY_RESTART);

    memset(&spec_own_life(spec)->success_exit, 0xff, sizeof spec->life->success_exit);
    ck_assert_msg(!policy_success(spec, &unknown), "an end that is not known was called success");
    ck_assert(!policy_success(spec, &none));

    memset(&spec_own_life(spec)->success_exit, 0, sizeof spec->life->success_exit);
    ck_assert_msg(decide(exited(0), 0).verdict == POLICY_RESTART, "exit 0 is success though success-exit has no 0");
}
END_TEST

START_TEST(restart_prevent_exit_has_the_last_word)
{
    exit_set_add_code(&spec_own_life(spec)->restart_prevent_exit, 0);
    exit_set_add_code(&spec_own_life(spec)->restart_prevent_exit, 255);
    exit_set_add_signal(&spec_own_life(spec)->restart_prevent_exit, SIGKILL);
    exit_set_add_signal(&spec_own_life(spec)->restart_prevent_exit, 64);
    ck_assert_int_eq(decide(exited(0), 0).verdict, POLICY_EXITED);
    ck_assert_int_eq(decide(exited(255), 0).verdict, POLICY_FAILED);
    ck_assert_int_eq(decide(exited(254), 0).verdict, POLICY_RESTART);
    ck_assert_int_eq(decide(signaled(SIGKILL), 0).verdict, POLICY_FAILED);
    ck_assert_int_eq(decide(signaled(64), 0).verdict, POLICY_FAILED);
    ck_assert_int_eq(decide(signaled(SIGTERM), 0).verdict, POLICY_RESTART);
    ck_assert_int_eq(decide(unknown, 0).verdict, POLICY_RESTART);
}
END_TEST

/* What a child that could not execute the program exits with is ours, and none of the program's codes. */
START_TEST(prevention_does_not_look_at_a_child_before_its_exec)
{
    struct policy_run run = {.exit = exited(127), .pre_exec = true};

    exit_set_add_code(&spec_own_life(spec)->restart_prevent_exit, 127);
    expect("failed before its exec", &run, POLICY_RESTART);
    run.pre_exec = false;
    expect("exit 127 of the program", &run, POLICY_FAILED);
}
END_TEST

START_TEST(limit_ends_the_row)
{
    spec_own_life(spec)->restart_limit = 3;
    for (uint32_t row = 0; row < 5; row++) {
        struct policy_result result = decide(exited(1), row);

        ck_assert_uint_eq(result.row, row + 1);
        ck_assert_int_eq(result.verdict, row + 1 < 3 ? POLICY_RESTART : POLICY_FAILED);
        ck_assert(result.gave_up == (row + 1 >= 3));
    }

    spec_own_life(spec)->restart_limit = 1;
    ck_assert(decide(exited(0), 0).gave_up);
    spec_own_life(spec)->restart = RESTART_NO;
    ck_assert_msg(!decide(exited(1), 0).gave_up, "nothing was tried again, so nothing was given up");
    spec_own_life(spec)->restart = RESTART_ALWAYS;
    spec_own_life(spec)->restart_limit = 0;
    ck_assert_int_eq(decide(exited(1), 1000000).verdict, POLICY_RESTART);

    spec_own_life(spec)->restart_limit = 2;
    struct policy_run stable = {.exit = exited(1), .ran = spec->life->restart_reset, .row = 100};
    expect("a stable run is no part of a row", &stable, POLICY_RESTART);
}
END_TEST

static int64_t nominal(uint32_t row, int64_t first, int64_t most)
{
    int64_t delay = first;

    while (--row > 0 && delay < most)
        delay *= 2;
    return delay < most ? delay : most;
}

static void check_delays(uint64_t seed)
{
    rng = seed;
    for (uint32_t row = 0; row < 20; row++) {
        int64_t want = nominal(row + 1, spec->life->restart_delay, spec->life->restart_delay_max);
        int64_t spread = row == 0 ? 0 : want / 10;
        int64_t delay = decide(exited(1), row).delay;

        ck_assert_msg(delay >= want - spread && delay <= want + spread,
                      "seed %llu, run %u of the row: %lld us, wanted %lld +-%lld", (unsigned long long)seed, row + 1,
                      (long long)delay, (long long)want, (long long)spread);
    }
}

START_TEST(delays_double_up_to_the_maximum)
{
    static const int64_t delays[][2] = {
        {100 * MSEC, 30 * SEC}, {SEC, SEC}, {3 * SEC, 20 * SEC}, {1, 1000}, {5, 5}, {7 * SEC, 0}, {MSEC, 3600 * SEC},
    };

    for (size_t i = 0; i < LEN(delays); i++) {
        spec_own_life(spec)->restart_delay = delays[i][0];
        spec_own_life(spec)->restart_delay_max = delays[i][1];
        for (uint64_t seed = 0; seed < 200; seed++)
            check_delays(seed);
        check_delays(UINT64_MAX);
    }
}
END_TEST

START_TEST(jitter_is_the_same_for_a_seed_and_spreads_over_seeds)
{
    unsigned buckets[20] = {0};
    int64_t base = 200 * MSEC;

    spec_own_life(spec)->restart_delay = 100 * MSEC;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        rng = seed;
        int64_t first = decide(exited(1), 1).delay;
        ck_assert_msg(rng != seed, "the generator stood still");
        rng = seed;
        ck_assert_int_eq(decide(exited(1), 1).delay, first);

        int64_t place = (first - (base - base / 10)) * (int64_t)LEN(buckets) / (base / 5 + 1);
        ck_assert(place >= 0 && place < (int64_t)LEN(buckets));
        buckets[place]++;
    }
    for (size_t i = 0; i < LEN(buckets); i++)
        ck_assert_msg(buckets[i] > 700 && buckets[i] < 1300, "%u of 20000 seeds in twentieth %zu", buckets[i], i);
}
END_TEST

START_TEST(first_delay_draws_nothing)
{
    rng = 42;
    ck_assert_int_eq(decide(exited(1), 0).delay, spec->life->restart_delay);
    ck_assert_uint_eq(rng, 42);
}
END_TEST

START_TEST(stable_run_clears_the_row_and_comes_back_at_once)
{
    struct policy_run run = {.exit = exited(1), .ran = spec->life->restart_reset, .row = 9};
    struct policy_result result = policy_decide(spec, &run, &rng);

    ck_assert_int_eq(result.verdict, POLICY_RESTART);
    ck_assert_int_eq(result.delay, 0);
    ck_assert_uint_eq(result.row, 0);

    run.ran--;
    result = policy_decide(spec, &run, &rng);
    ck_assert_int_gt(result.delay, 0);
    ck_assert_uint_eq(result.row, 10);

    run.ran = INT64_MAX;
    run.pre_exec = true;
    result = policy_decide(spec, &run, &rng);
    ck_assert_msg(result.row == 10 && result.delay > 0, "what never reached its program was called stable");

    spec_own_life(spec)->restart_reset = 0;
    run = (struct policy_run){.exit = exited(1), .row = 3};
    ck_assert_msg(policy_decide(spec, &run, &rng).row == 0, "restart-reset = 0 makes every run stable");
}
END_TEST

START_TEST(start_that_timed_out_is_never_stable)
{
    struct policy_run run = {.exit = signaled(SIGKILL), .ran = 90 * SEC, .abnormal = true, .row = 1};

    struct policy_result result = policy_decide(spec, &run, &rng);
    ck_assert_uint_eq(result.row, 2);
    ck_assert_int_gt(result.delay, 0);
    spec_own_life(spec)->restart_limit = 2;
    ck_assert(policy_decide(spec, &run, &rng).gave_up);
}
END_TEST

START_TEST(delay_zero_is_at_once_always)
{
    spec_own_life(spec)->restart_delay = 0;
    for (uint32_t row = 0; row < 100; row++)
        ck_assert_int_eq(decide(exited(1), row).delay, 0);
    /* However long the row: this must not take a moment for each of its runs. */
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(decide(exited(1), UINT32_MAX).delay, 0);
}
END_TEST

START_TEST(before_its_exec_it_waits_100_ms_at_least)
{
    struct policy_run run = {.exit = exited(127), .pre_exec = true};

    spec_own_life(spec)->restart_delay = 0;
    for (run.row = 0; run.row < 50; run.row++)
        ck_assert_int_eq(policy_decide(spec, &run, &rng).delay, 100 * MSEC);

    spec_own_life(spec)->restart_delay = 100 * MSEC;
    spec_own_life(spec)->restart_delay_max = 100 * MSEC;
    for (run.row = 0; run.row < 1000; run.row++)
        ck_assert_int_ge(policy_decide(spec, &run, &rng).delay, 100 * MSEC);

    spec_own_life(spec)->restart_delay = 5 * SEC;
    spec_own_life(spec)->restart_delay_max = 60 * SEC;
    run.row = 0;
    ck_assert_int_eq(policy_decide(spec, &run, &rng).delay, 5 * SEC);
}
END_TEST

START_TEST(huge_delays_do_not_overflow)
{
    static const int64_t huge[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, INT64_MAX / 2 + 1, INT64_MAX / 4 + 7};

    for (size_t i = 0; i < LEN(huge); i++) {
        spec_own_life(spec)->restart_delay = huge[i];
        spec_own_life(spec)->restart_delay_max = INT64_MAX;
        for (uint32_t row = 0; row < 200; row++) {
            int64_t delay = decide(exited(1), row).delay;
            ck_assert_msg(delay >= huge[i] - huge[i] / 10, "run %u of the row waits %lld", row + 1, (long long)delay);
        }
    }
    spec_own_life(spec)->restart_delay = 1;
    for (uint32_t row = 0; row < 200; row++)
        ck_assert_int_gt(decide(exited(1), row).delay, 0);
}
END_TEST

START_TEST(row_stops_counting_at_its_end)
{
    struct policy_result result = decide(exited(1), UINT32_MAX);

    ck_assert_uint_eq(result.row, UINT32_MAX);
    ck_assert_int_gt(result.delay, 20 * SEC);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("policy");
    TCase *tc = tcase_create("policy");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_policy_with_every_end);
    tcase_add_test(tc, success_exit_decides_what_success_is);
    tcase_add_test(tc, restart_prevent_exit_has_the_last_word);
    tcase_add_test(tc, prevention_does_not_look_at_a_child_before_its_exec);
    tcase_add_test(tc, limit_ends_the_row);
    tcase_add_test(tc, delays_double_up_to_the_maximum);
    tcase_add_test(tc, jitter_is_the_same_for_a_seed_and_spreads_over_seeds);
    tcase_add_test(tc, first_delay_draws_nothing);
    tcase_add_test(tc, stable_run_clears_the_row_and_comes_back_at_once);
    tcase_add_test(tc, start_that_timed_out_is_never_stable);
    tcase_add_test(tc, delay_zero_is_at_once_always);
    tcase_add_test(tc, before_its_exec_it_waits_100_ms_at_least);
    tcase_add_test(tc, huge_delays_do_not_overflow);
    tcase_add_test(tc, row_stops_counting_at_its_end);
    suite_add_tcase(suite, tc);
    return suite;
}
