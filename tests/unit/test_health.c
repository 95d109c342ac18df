/* SPDX-License-Identifier: MIT */
/* Checks: from results to what a service becomes, and the process of one over a crash of supd. */
#include <stdio.h>
#include <string.h>

#include "core/health.h"
#include "core/record.h"
#include "unit/one_service.h"

#define CHECK_PID 4800

static void set(const char *key, const char *value)
{
    char *values[] = {(char *)value, NULL};
    char err[256];

    ck_assert_msg(spec_set(spec, spec_key_find(key), values, 1, false, err, sizeof(err)), "%s: %s", key, err);
}

static void setup(void)
{
    setup_service();
    set("command", "/bin/x");
    set("check.command", "/bin/check");
    set("check.failures", "2");
}

/* Of the process of the check. */
static void feed_check(struct svc_event event)
{
    event.life = svc.life;
    event.control = svc.rare.check.number;
    svc_step(&svc, spec, &event, now, &rng, &actions);
}

static void come_up(void)
{
    step(SVC_EV_START);
    step(SVC_EV_SLOT);
    main_forked();
    step(SVC_EV_EXECED);
    now.mono += 60 * USEC_PER_SEC;
}

static void result(bool ok)
{
    now.mono += spec->check->interval;
    feed((struct svc_event){.type = SVC_EV_CHECKED, .ok = ok, .text = "GET /: 503"});
}

static void check_forked(void)
{
    step(SVC_EV_CHECK_DUE);
    ck_assert(acted(ACT_FORK_CHECK));
    feed_check((struct svc_event){.type = SVC_EV_CHECK_FORKED, .pid = CHECK_PID});
    feed_check((struct svc_event){.type = SVC_EV_CHECK_EXECED, .start_ticks = 7});
    ck_assert(svc_has_check(&svc) && svc_is_busy(&svc));
}

static void check_ended(void)
{
    feed_check((struct svc_event){.type = SVC_EV_CHECK_EXITED, .exit = {.how = EXIT_HOW_EXITED}});
    ck_assert(acted(ACT_RECORD) && acted(ACT_CHECK_CHECK) && !svc_has_check(&svc));
}

static void main_gone(void)
{
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_SIGNALED, .signal = 15}});
    step(SVC_EV_GROUP);
}

START_TEST(counting)
{
    const struct spec_check check = {.failures = 3, .successes = 2, .start_period = 1000, .interval = 100};
    struct health_counts counts = {0};

    /* While it starts failures do not count, until the first success. */
    for (int i = 0; i < 10; i++)
        ck_assert(!health_judge(&counts, &check, false, 999));
    ck_assert(counts.state == HEALTH_STARTING && counts.failures == 0);
    ck_assert(health_judge(&counts, &check, true, 999) && counts.state == HEALTH_HEALTHY);
    /* Only those in a row. */
    ck_assert(!health_judge(&counts, &check, false, 0) && !health_judge(&counts, &check, false, 0));
    ck_assert(!health_judge(&counts, &check, true, 0));
    ck_assert(!health_judge(&counts, &check, false, 0) && !health_judge(&counts, &check, false, 0));
    ck_assert(health_judge(&counts, &check, false, 0) && counts.state == HEALTH_UNHEALTHY);
    ck_assert(!health_judge(&counts, &check, false, 0) && !health_judge(&counts, &check, true, 0));
    ck_assert(!health_judge(&counts, &check, false, 0) && !health_judge(&counts, &check, true, 0));
    ck_assert(health_judge(&counts, &check, true, 0) && counts.state == HEALTH_HEALTHY);
    /* One that never gets healthy is unhealthy, and is not so the sooner for being looked at more often. */
    counts = (struct health_counts){0};
    for (int64_t ran = 1000; ran < 1200; ran += 10)
        ck_assert(!health_judge(&counts, &check, false, ran));
    ck_assert(health_judge(&counts, &check, false, 1200) && counts.state == HEALTH_UNHEALTHY);
    const struct spec_check soon = {.failures = 1, .interval = 100};
    counts = (struct health_counts){0};
    ck_assert(!health_judge(&counts, &soon, false, 99) && health_judge(&counts, &soon, false, 100));
}
END_TEST

START_TEST(times)
{
    const struct spec_check check = {.interval = 10 * USEC_PER_SEC};
    uint64_t random = 1;
    int64_t least = check.interval;
    int64_t most = 0;

    ck_assert_int_eq(health_delay(&check, HEALTH_HEALTHY, 0), check.interval);
    ck_assert_int_eq(health_delay(&check, HEALTH_UNHEALTHY, 0), check.interval);
    int64_t before = 0;
    for (unsigned i = 0; i < 100; i++) {
        int64_t delay = health_delay(&check, HEALTH_STARTING, i);
        ck_assert(delay >= before && delay <= check.interval && delay > 0);
        before = delay;
    }
    ck_assert_int_eq(before, check.interval);
    ck_assert_int_eq(health_delay(&check, HEALTH_STARTING, 0), USEC_PER_SEC / 10);
    /* Spread over half an interval, and none sooner. */
    for (int i = 0; i < 1000; i++) {
        int64_t at = health_stagger(&check, &random);
        ck_assert(at >= check.interval / 2 && at < check.interval);
        least = at < least ? at : least;
        most = at > most ? at : most;
    }
    ck_assert(least < check.interval / 100 * 51 && most > check.interval / 100 * 99);
}
END_TEST

/* Looks at it AFTER us, when it has used CPU us of CPU time more and has that MEMORY: does it use too much? */
static bool uses(struct health_use *before, struct health_use *use, int64_t after, int64_t cpu, uint64_t memory,
                 char words[128])
{
    use->at += after;
    use->cpu += cpu;
    use->memory = memory;
    return health_uses_too_much(spec->check, before, use, words, 128);
}

START_TEST(memory_that_is_used)
{
    struct health_use use = {0};
    struct health_use before = {0};
    char words[128];

    set("check.max-memory", "2K");
    ck_assert(!uses(&before, &use, 1, USEC_PER_SEC, 2048, words));
    ck_assert(uses(&before, &use, 1, USEC_PER_SEC, 2049, words));
    ck_assert_ptr_ne(strstr(words, "more than max-memory 2K"), NULL);
}
END_TEST

START_TEST(cpu_time_that_is_used)
{
    struct health_use use = {0};
    struct health_use before = {0};
    char words[128];

    set("check.max-cpu", "50%");
    set("check.interval", "2s");
    ck_assert(!uses(&before, &use, USEC_PER_SEC, USEC_PER_SEC, 0, words));
    /* A burst of a moment tells nothing, and goes into what is told later. */
    ck_assert(!uses(&before, &use, USEC_PER_SEC / 10, USEC_PER_SEC / 10, 0, words));
    ck_assert(!uses(&before, &use, USEC_PER_SEC * 9 / 10, USEC_PER_SEC * 4 / 10, 0, words));
    ck_assert(uses(&before, &use, 2 * USEC_PER_SEC, USEC_PER_SEC * 11 / 10, 0, words));
    ck_assert_str_eq(words, "CPU 55%, more than max-cpu 50%");
    ck_assert(!uses(&before, &use, 2 * USEC_PER_SEC, USEC_PER_SEC, 0, words));
    /* Of processes that are no more nothing is known. */
    ck_assert(!uses(&before, &use, 2 * USEC_PER_SEC, -USEC_PER_SEC, 0, words));
}
END_TEST

START_TEST(unhealthy_is_restarted)
{
    come_up();
    ck_assert(svc_is_checked(&svc, spec) && svc.rare.health.state == HEALTH_STARTING);
    result(true);
    ck_assert(svc.rare.health.state == HEALTH_HEALTHY && acted(ACT_RECORD));
    result(false);
    ck_assert(svc.state == SVC_RUNNING && actions.n == 0);
    result(false);
    ck_assert(svc.state == SVC_STOPPING && acted(ACT_RECORD) && acted(ACT_SIGNAL_GROUP) && svc.desired_up);
    ck_assert_str_eq(svc.rare.reason, "unhealthy: GET /: 503, 2 times in a row");
    ck_assert_str_eq(svc_result_name(&svc, spec), "unhealthy");
    result(true);
    ck_assert_uint_eq(actions.n, 0);
    main_gone();
    ck_assert(svc.state == SVC_BACKOFF && svc.next_is_restart && svc.rare.health.state == HEALTH_NONE);
    deadline();
    step(SVC_EV_SLOT);
    ck_assert(svc.rare.health.state == HEALTH_STARTING);
}
END_TEST

static const struct {
    const char *on_failure, *restart;
    enum svc_state state; /* once its process is gone */
} outcomes[] = {
    {"restart", "always", SVC_BACKOFF},      {"restart", "on-failure", SVC_BACKOFF},
    {"restart", "on-abnormal", SVC_BACKOFF}, {"restart", "no", SVC_FAILED},
    {"stop", "always", SVC_FAILED},          {"mark", "always", SVC_RUNNING},
    {"/bin/alert", "always", SVC_RUNNING},
};

START_TEST(what_follows)
{
    set("check.on-failure", outcomes[_i].on_failure);
    set("restart", outcomes[_i].restart);
    come_up();
    result(false);
    result(false);
    if (outcomes[_i].state == SVC_RUNNING) {
        ck_assert(svc.state == SVC_RUNNING && svc.rare.health.state == HEALTH_UNHEALTHY && acted(ACT_RECORD));
        ck_assert(svc_alarm_is_due(&svc) == (outcomes[_i].on_failure[0] == '/'));
        result(true);
        ck_assert(svc.rare.health.state == HEALTH_HEALTHY && svc.rare.reason[0] == '\0');
        return;
    }
    main_gone();
    ck_assert_int_eq(svc.state, outcomes[_i].state);
    ck_assert_str_eq(svc.rare.reason, "unhealthy: GET /: 503, 2 times in a row");
}
END_TEST

/* By the time it has ended it is a oneshot with a schedule, which waits for its next run whatever came of the last one. */
START_TEST(stopped_with_a_schedule)
{
    set("check.on-failure", "stop");
    come_up();
    result(false);
    result(false);
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    spec->type = TYPE_ONESHOT;
    set("schedule", "@daily");
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop.signal = 15, .rescheduled = true});
    main_gone();
    ck_assert(svc.state == SVC_WAITING && svc.idle && acted(ACT_RECORD));
}
END_TEST

START_TEST(a_check_that_is_taken_away)
{
    set("check.on-failure", "mark");
    come_up();
    check_forked();
    result(false);
    result(false);
    ck_assert_int_eq(svc.rare.health.state, HEALTH_UNHEALTHY);
    strv_free(spec->check->command);
    spec_own_check(spec)->command = NULL;
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop = svc_stop_params(spec)});
    ck_assert(svc.state == SVC_RUNNING && svc.rare.health.state == HEALTH_NONE && svc.rare.reason[0] == '\0');
    ck_assert(acted(ACT_SIGNAL_CHECK));
    check_ended();
    feed_check((struct svc_event){.type = SVC_EV_CHECK_GROUP});
    ck_assert(svc.state == SVC_RUNNING && svc.rare.check.role == ROLE_SERVICE);
}
END_TEST

START_TEST(ready_by_a_check)
{
    set("ready", "check");
    come_up();
    ck_assert(svc.state == SVC_STARTING && svc_is_checked(&svc, spec));
    ck_assert_str_eq(svc.rare.reason, "waiting for a check that succeeds");
    for (int i = 0; i < 5; i++)
        result(false);
    ck_assert(svc.state == SVC_STARTING && svc.rare.health.state == HEALTH_STARTING);
    result(true);
    ck_assert(svc.state == SVC_RUNNING && svc.rare.health.state == HEALTH_HEALTHY && acted(ACT_RECORD));
}
END_TEST

/* It forks one at a time, and its service waits for its end. */
START_TEST(process)
{
    come_up();
    check_forked();
    step(SVC_EV_CHECK_DUE);
    ck_assert_uint_eq(actions.n, 0);
    feed_check((struct svc_event){.type = SVC_EV_CHECK_OVERDUE});
    ck_assert(acted(ACT_SIGNAL_CHECK));
    check_ended();
    feed_check((struct svc_event){.type = SVC_EV_CHECK_GROUP, .group_left = 1});
    ck_assert(acted(ACT_SIGNAL_CHECK) && acted(ACT_WATCH_CHECK));
    feed_check((struct svc_event){.type = SVC_EV_CHECK_GROUP});
    ck_assert(svc.rare.check.role == ROLE_SERVICE && svc.state == SVC_RUNNING);

    check_forked();
    step(SVC_EV_STOP);
    ck_assert(svc.state == SVC_STOPPING && acted(ACT_SIGNAL_CHECK));
    main_gone();
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    check_ended();
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    feed_check((struct svc_event){.type = SVC_EV_CHECK_GROUP});
    ck_assert_int_eq(svc.state, SVC_STOPPED);
}
END_TEST

START_TEST(ends_with_a_service_that_ends)
{
    set("restart", "no");
    come_up();
    check_forked();
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED, .code = 3}});
    ck_assert(acted(ACT_SIGNAL_CHECK));
    step(SVC_EV_GROUP);
    ck_assert(svc.state == SVC_STOPPING && acted(ACT_RECORD));
    check_ended();
    feed_check((struct svc_event){.type = SVC_EV_CHECK_GROUP});
    ck_assert_int_eq(svc.state, SVC_FAILED);
    ck_assert_str_eq(svc.rare.reason, "exit 3");
}
END_TEST

START_TEST(alarm_is_run_once)
{
    set("check.on-failure", "/bin/alert");
    come_up();
    check_forked();
    result(false);
    result(false);
    /* Not while a check runs. */
    ck_assert(svc.alarm && !svc_alarm_is_due(&svc));
    check_ended();
    feed_check((struct svc_event){.type = SVC_EV_CHECK_GROUP});
    ck_assert(svc_alarm_is_due(&svc));
    /* Where no process can be made it is still due. */
    step(SVC_EV_CHECK_DUE);
    feed_check((struct svc_event){.type = SVC_EV_CHECK_FORK_FAILED});
    ck_assert(svc_alarm_is_due(&svc));
    check_forked();
    ck_assert(svc.rare.check.role == ROLE_UNHEALTHY && !svc.alarm);
}
END_TEST

START_TEST(alarm_goes_with_its_command)
{
    set("check.on-failure", "/bin/alert");
    come_up();
    result(false);
    result(false);
    ck_assert(svc_alarm_is_due(&svc));
    step(SVC_EV_CHECK_DUE);
    ck_assert_int_eq(svc.rare.check.role, ROLE_UNHEALTHY);
    set("check.on-failure", "mark");
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop = svc_stop_params(spec)});
    feed_check((struct svc_event){.type = SVC_EV_CHECK_FORK_FAILED});
    ck_assert(!svc.alarm);
    set("check.on-failure", "/bin/alert");
    result(true);
    result(false);
    result(false);
    ck_assert(svc_alarm_is_due(&svc));
    set("check.on-failure", "mark");
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop = svc_stop_params(spec)});
    ck_assert(!svc.alarm);
}
END_TEST

/* ---- over a crash ---- */

static uint8_t file[8 * RECORD_MAX];
static size_t file_len;

static void write_spawn(enum svc_role role, int32_t pid)
{
    struct svc_stop_params stop = svc_stop_params(spec);
    size_t len = record_encode_spawn(file + file_len, role, "x", &svc, 99, &stop, now);

    record_finish_spawn(file + file_len, len, pid, 7, 0);
    file_len += len;
}

static void write_snapshot(void)
{
    file_len += record_encode_service(file + file_len, "x", &svc);
}

/* What the file says, as the service is after it. */
static bool crash(void)
{
    struct replay *replay = replay_new(file, file_len);
    const struct svc_image *image = replay_find(replay, "x");
    bool has_check = image->has_check;

    ck_assert(image->has_process);
    svc = image->svc;
    replay_free(replay);
    return has_check;
}

START_TEST(check_is_taken_back)
{
    file_len = 0;
    come_up();
    write_spawn(ROLE_SERVICE, PID);
    result(true);
    write_snapshot();
    check_forked();
    write_spawn(ROLE_CHECK, CHECK_PID);
    ck_assert(crash());
    ck_assert(svc.rare.check.role == ROLE_CHECK && svc.rare.check.pid == CHECK_PID && svc.rare.check.start_ticks == 7);
    ck_assert_int_eq(svc.rare.health.state, HEALTH_HEALTHY);
    feed_check((struct svc_event){.type = SVC_EV_CHECK_ADOPTED});
    step(SVC_EV_BOOT);
    step(SVC_EV_CHECK_DUE);
    ck_assert(!acted(ACT_FORK_CHECK));
    check_ended();
    write_snapshot();
    ck_assert(!crash());
    /* What it has left is still to be ended. */
    step(SVC_EV_BOOT);
    ck_assert(acted(ACT_CHECK_CHECK));
    feed_check((struct svc_event){.type = SVC_EV_CHECK_GROUP});
    ck_assert_int_eq(svc.rare.check.role, ROLE_SERVICE);
}
END_TEST

START_TEST(alarm_is_not_lost_and_not_doubled)
{
    file_len = 0;
    set("check.on-failure", "/bin/alert");
    come_up();
    write_spawn(ROLE_SERVICE, PID);
    result(false);
    result(false);
    write_snapshot();
    ck_assert(!crash());
    step(SVC_EV_BOOT);
    ck_assert(svc_alarm_is_due(&svc) && svc.rare.health.state == HEALTH_UNHEALTHY);
    /* We have died before the process has recorded itself, and said meanwhile that it is begun. */
    check_forked();
    svc.rare.check.start_ticks = 0;
    write_snapshot();
    ck_assert(!crash());
    step(SVC_EV_BOOT);
    ck_assert(svc_alarm_is_due(&svc));
    check_forked();
    write_spawn(ROLE_UNHEALTHY, CHECK_PID);
    ck_assert(crash());
    ck_assert(svc.rare.check.role == ROLE_UNHEALTHY && !svc.alarm);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("health");
    TCase *tc = tcase_create("health");

    tcase_add_checked_fixture(tc, setup, teardown_service);
    tcase_add_test(tc, counting);
    tcase_add_test(tc, times);
    tcase_add_test(tc, memory_that_is_used);
    tcase_add_test(tc, cpu_time_that_is_used);
    tcase_add_test(tc, unhealthy_is_restarted);
    tcase_add_loop_test(tc, what_follows, 0, (int)(sizeof(outcomes) / sizeof(outcomes[0])));
    tcase_add_test(tc, stopped_with_a_schedule);
    tcase_add_test(tc, a_check_that_is_taken_away);
    tcase_add_test(tc, ready_by_a_check);
    tcase_add_test(tc, process);
    tcase_add_test(tc, ends_with_a_service_that_ends);
    tcase_add_test(tc, alarm_is_run_once);
    tcase_add_test(tc, alarm_goes_with_its_command);
    tcase_add_test(tc, check_is_taken_back);
    tcase_add_test(tc, alarm_is_not_lost_and_not_doubled);
    suite_add_tcase(suite, tc);
    return suite;
}
