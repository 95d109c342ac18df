/* SPDX-License-Identifier: MIT */
/* schedule: from one run to the next. */
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "check_main.h"
#include "core/record.h"
#include "core/service.h"

static struct spec *spec;
static struct svc svc;
static struct timestamp now;
static uint64_t rng;
static struct svc_actions actions;

static void setup(void)
{
    spec = spec_new("x");
    spec->type = TYPE_ONESHOT;
    spec_own_life(spec)->restart = RESTART_NO;
    spec_own_around(spec)->schedule = strv_push(NULL, xstrdup("@daily"));
    now = (struct timestamp){.mono = 1000 * USEC_PER_SEC, .wall = 5000 * USEC_PER_SEC};
    svc_init(&svc, spec, now);
}

static void teardown(void)
{
    spec_free(spec);
}

static void feed(struct svc_event event)
{
    event.life = svc.life;
    now.mono += USEC_PER_SEC;
    now.wall += USEC_PER_SEC;
    svc_step(&svc, spec, &event, now, &rng, &actions);
}

static void step(enum svc_event_type type)
{
    feed((struct svc_event){.type = type, .pid = 7, .stop.signal = 15, .due = now});
}

static bool did(enum svc_action_type type)
{
    for (size_t i = 0; i < actions.n; i++) {
        if (actions.items[i].type == type)
            return true;
    }
    return false;
}

static void begin(void)
{
    step(SVC_EV_SLOT);
    step(SVC_EV_FORKED);
    step(SVC_EV_EXECED);
    ck_assert_int_eq(svc.state, SVC_STARTING);
}

static void end(int code)
{
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED, .code = code}});
    step(SVC_EV_GROUP);
}

static bool is_idle(void)
{
    return svc.state == SVC_WAITING && svc.idle && svc.desired_up && did(ACT_RECORD) && !did(ACT_QUEUE);
}

static bool is_queued(void)
{
    return svc.state == SVC_WAITING && !svc.idle && did(ACT_RECORD) && did(ACT_QUEUE);
}

START_TEST(from_one_run_to_the_next)
{
    step(SVC_EV_BOOT);
    ck_assert(is_idle());
    ck_assert(svc.rare.due.wall == now.wall);
    for (unsigned life = 1; life <= 3; life++) {
        step(SVC_EV_DUE);
        ck_assert(is_queued());
        ck_assert(svc.rare.due.wall == now.wall - USEC_PER_SEC);
        begin();
        end(life == 2);
        ck_assert(is_idle());
        ck_assert_str_eq(svc.rare.reason,
                         life == 2 ? "run failed: exit 1; waits for its next run" : "waits for its next run");
        ck_assert_uint_eq(svc.life, life);
        ck_assert_uint_eq(svc.restarts, 0);
    }
}
END_TEST

START_TEST(what_is_due_meanwhile_is_passed_over)
{
    step(SVC_EV_BOOT);
    step(SVC_EV_DUE);
    step(SVC_EV_DUE);
    ck_assert(did(ACT_RECORD) && !did(ACT_QUEUE)); /* it waits for its turn already */
    begin();
    step(SVC_EV_DUE);
    ck_assert(actions.n == 1 && did(ACT_RECORD) && svc.state == SVC_STARTING);
    ck_assert(svc.rare.due.wall == now.wall - USEC_PER_SEC);
    end(0);
    ck_assert(is_idle());
    /* What it requires has failed: that run is over, and its schedule is not. */
    step(SVC_EV_DUE);
    feed((struct svc_event){.type = SVC_EV_CALL_OFF, .text = "db failed: exit 1"});
    ck_assert(is_idle() && did(ACT_UNQUEUE));
    ck_assert_str_eq(svc.rare.reason, "run failed: db failed: exit 1; waits for its next run");
    /* Too late, by the word of whoever holds the clock. */
    feed((struct svc_event){.type = SVC_EV_DUE, .due = now, .pass_over = true});
    ck_assert(is_idle());
    ck_assert_uint_eq(svc.life, 1);
}
END_TEST

START_TEST(restarts_belong_to_a_run)
{
    spec_own_life(spec)->restart = RESTART_ON_FAILURE;
    spec_own_life(spec)->restart_limit = 2;
    step(SVC_EV_BOOT);
    for (int run = 0; run < 2; run++) {
        step(SVC_EV_DUE);
        ck_assert(is_queued());
        begin();
        end(1);
        ck_assert_int_eq(svc.state, SVC_BACKOFF);
        step(SVC_EV_DUE);
        ck_assert_int_eq(svc.state, SVC_BACKOFF);
        now.mono += 3600 * USEC_PER_SEC;
        step(SVC_EV_DEADLINE);
        begin();
        end(1);
        ck_assert(is_idle());
        ck_assert_str_eq(svc.rare.reason,
                         "run failed: gave up after 2 unstable runs in a row: exit 1; waits for its next run");
    }
    step(SVC_EV_RESET);
    ck_assert(is_idle());
    ck_assert_str_eq(svc.rare.reason, "waits for its next run");
}
END_TEST

START_TEST(commands)
{
    step(SVC_EV_BOOT);
    step(SVC_EV_STOP);
    ck_assert(svc.state == SVC_STOPPED && !svc.idle);
    int64_t before = svc.rare.due.wall;
    step(SVC_EV_DUE);
    ck_assert(svc.state == SVC_STOPPED && actions.n == 0 && svc.rare.due.wall == before);

    step(SVC_EV_START);
    ck_assert(is_queued());
    ck_assert(svc.rare.due.wall == now.wall); /* what was due while nobody wanted it is no matter */
    begin();
    end(0);
    ck_assert(is_idle());
    before = svc.rare.due.wall;
    step(SVC_EV_START);
    ck_assert(is_queued() && svc.rare.due.wall == before);
    begin();
    step(SVC_EV_STOP);
    end(0);
    ck_assert_int_eq(svc.state, SVC_STOPPED);
    step(SVC_EV_START);
    begin();
    step(SVC_EV_SHUTDOWN);
    end(0);
    ck_assert_int_eq(svc.state, SVC_STOPPED);
    step(SVC_EV_DUE);
    ck_assert(svc.state == SVC_STOPPED && actions.n == 0);
}
END_TEST

START_TEST(another_configuration)
{
    char **schedule = spec->around->schedule;

    step(SVC_EV_BOOT);
    struct timestamp due = svc.rare.due;
    step(SVC_EV_CONFIG);
    ck_assert(actions.n == 0 && svc.idle && svc.rare.due.wall == due.wall);
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop.signal = 15, .rescheduled = true});
    ck_assert(is_idle() && svc.rare.due.wall == now.wall);

    /* Without a schedule it is a service as others, and wanted; with one it waits again. */
    spec_own_around(spec)->schedule = NULL;
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop.signal = 15, .rescheduled = true});
    ck_assert(is_queued() && svc.rare.due.wall == 0);
    begin();
    end(0);
    ck_assert_int_eq(svc.state, SVC_EXITED);
    spec_own_around(spec)->schedule = schedule;
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop.signal = 15, .rescheduled = true});
    ck_assert(is_idle() && svc.rare.due.wall == now.wall);
}
END_TEST

/* A oneshot that remained, and would do so for ever, has a schedule now, by a reload or a new supd: its run ends that. */
START_TEST(what_remains_gives_way)
{
    char **schedule = spec->around->schedule;

    spec_own_around(spec)->schedule = NULL;
    spec->remain_after_exit = true;
    step(SVC_EV_BOOT);
    begin();
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED}});
    step(SVC_EV_GROUP);
    ck_assert_int_eq(svc.state, SVC_RUNNING);

    spec_own_around(spec)->schedule = schedule;
    spec->remain_after_exit = false;
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop.signal = 15, .rescheduled = _i == 0});
    ck_assert(svc.state == SVC_RUNNING && svc.rare.due.wall == now.wall);
    feed((struct svc_event){.type = SVC_EV_DUE, .due = now, .pass_over = true});
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    step(SVC_EV_DUE);
    ck_assert(did(ACT_RECORD));
    if (svc.state == SVC_STOPPING)
        step(SVC_EV_GROUP);
    ck_assert(svc.state == SVC_WAITING && !svc.idle && did(ACT_QUEUE));
    ck_assert_str_eq(svc.rare.reason, "its time has come");
    begin();
    end(0);
    ck_assert(is_idle());
    ck_assert_uint_eq(svc.life, 2);
}
END_TEST

/* What a crash leaves of each moment: the record tells the same. */
static void crash(void)
{
    uint8_t bytes[2 * RECORD_MAX];
    struct epoch epoch = {.boot_id = "b", .pidns = 1, .init_start = 1};
    size_t len = record_encode_header(bytes, &epoch);

    len += record_encode_service(bytes + len, "x", &svc);
    struct replay *replay = replay_new(bytes, len);
    struct svc_image *image = replay_find(replay, "x");
    ck_assert_ptr_nonnull(image);
    ck_assert(image->svc.rare.due.wall == svc.rare.due.wall && image->svc.rare.due.mono == svc.rare.due.mono);
    svc = image->svc;
    replay_free(replay);
    step(SVC_EV_CONFIG);
    step(SVC_EV_BOOT);
}

START_TEST(a_crash_neither_loses_nor_doubles_a_run)
{
    step(SVC_EV_BOOT);
    struct timestamp due = svc.rare.due;
    crash();
    ck_assert(svc.state == SVC_WAITING && svc.idle && !did(ACT_QUEUE) && svc.rare.due.wall == due.wall);
    step(SVC_EV_DUE);
    due = svc.rare.due;
    crash();
    ck_assert(is_queued() && svc.rare.due.wall == due.wall);
    begin();
    end(1);
    crash();
    ck_assert(svc.state == SVC_WAITING && svc.idle && !did(ACT_QUEUE));
    ck_assert_str_eq(svc.rare.reason, "run failed: exit 1; waits for its next run");
    ck_assert_uint_eq(svc.life, 1);
}
END_TEST

START_TEST(what_an_earlier_boot_knew)
{
    struct timestamp due = {.mono = -5, .wall = 17};

    svc_set_due(&svc, due);
    step(SVC_EV_BOOT);
    ck_assert(is_idle() && svc.rare.due.wall == 17 && svc.rare.due.mono == -5);
    svc_set_enabled(&svc, false);
    ck_assert(!svc.desired_up);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("service_schedule");
    TCase *tc = tcase_create("service_schedule");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, from_one_run_to_the_next);
    tcase_add_test(tc, what_is_due_meanwhile_is_passed_over);
    tcase_add_test(tc, restarts_belong_to_a_run);
    tcase_add_test(tc, commands);
    tcase_add_test(tc, another_configuration);
    tcase_add_loop_test(tc, what_remains_gives_way, 0, 2);
    tcase_add_test(tc, a_crash_neither_loses_nor_doubles_a_run);
    tcase_add_test(tc, what_an_earlier_boot_knew);
    suite_add_tcase(suite, tc);
    return suite;
}
