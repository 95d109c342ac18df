/* SPDX-License-Identifier: MIT */
/* start = on-demand, from one connection to the next. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "check_main.h"
#include "core/record.h"
#include "core/service.h"

#define IS(text) strcmp(svc.reason, text) == 0

static struct spec *spec;
static struct svc svc;
static struct timestamp now;
static uint64_t rng;
static struct svc_actions actions;

static void setup(void)
{
    spec = spec_new("x");
    spec->start = START_ON_DEMAND;
    spec->listen = strv_push(strv_push(NULL, xstrdup("tcp:127.0.0.1:80,name=a")), xstrdup("unix:/x"));
    now = (struct timestamp){.mono = 1000 * USEC_PER_SEC, .wall = 5000 * USEC_PER_SEC};
    rng = 1;
    svc_init(&svc, spec, now);
}

static void teardown(void)
{
    spec_free(spec);
}

static void step(enum svc_event_type type)
{
    struct svc_event event = {.type = type, .life = svc.life, .pid = 7, .stop.signal = 15};

    svc_step(&svc, spec, &event, now, &rng, &actions);
}

static bool did(enum svc_action_type type)
{
    for (size_t i = 0; i < actions.n; i++) {
        if (actions.items[i].type == type)
            return true;
    }
    return false;
}

/* Its turn, and its whole run of USEC. */
static void run(int64_t usec, int code)
{
    step(SVC_EV_SLOT);
    step(SVC_EV_FORKED);
    step(SVC_EV_EXECED);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    now.mono += usec;
    struct svc_event event = {.type = SVC_EV_EXITED, .life = svc.life, .exit = {.how = EXIT_HOW_EXITED, .code = code}};
    svc_step(&svc, spec, &event, now, &rng, &actions);
    step(SVC_EV_GROUP);
}

static bool is_idle(void)
{
    return svc.state == SVC_WAITING && svc.idle && svc.desired_up && svc_wants_sockets(&svc);
}

START_TEST(from_one_connection_to_the_next)
{
    step(SVC_EV_BOOT);
    ck_assert(is_idle() && did(ACT_RECORD) && !did(ACT_QUEUE));
    ck_assert_str_eq(svc.reason, "waiting for a connection on tcp:127.0.0.1:80 and 1 more");
    for (unsigned life = 1; life <= 3; life++) {
        now.mono += USEC_PER_SEC;
        step(SVC_EV_DEMAND);
        ck_assert(svc.state == SVC_WAITING && !svc.idle && did(ACT_RECORD) && did(ACT_QUEUE));
        ck_assert_str_eq(svc.reason, "started by a connection");
        step(SVC_EV_DEMAND);
        ck_assert_uint_eq(actions.n, 0);
        run(USEC_PER_SEC / 10, 0);
        ck_assert(is_idle() && did(ACT_RECORD) && !did(ACT_QUEUE));
        ck_assert_uint_eq(svc.life, life);
        ck_assert_uint_eq(svc.restarts, 0);
        ck_assert_uint_eq(svc.row, 0);
    }
}
END_TEST

START_TEST(commands)
{
    step(SVC_EV_BOOT);
    step(SVC_EV_STOP);
    ck_assert(svc.state == SVC_STOPPED && !svc_wants_sockets(&svc));
    step(SVC_EV_DEMAND);
    ck_assert(svc.state == SVC_STOPPED && actions.n == 0);

    /* Started by command it starts now, and does not wait for anybody. */
    step(SVC_EV_START);
    ck_assert(svc.state == SVC_WAITING && !svc.idle && did(ACT_QUEUE));
    run(0, 0);
    ck_assert(is_idle());
    step(SVC_EV_START);
    ck_assert(svc.state == SVC_WAITING && !svc.idle && did(ACT_RECORD) && did(ACT_QUEUE));
    run(0, 0);
    step(SVC_EV_RESTART);
    ck_assert(!svc.idle && did(ACT_QUEUE));
    run(0, 0);
    step(SVC_EV_RESET);
    ck_assert(is_idle());
    step(SVC_EV_SHUTDOWN);
    ck_assert(svc.state == SVC_STOPPED && !svc_wants_sockets(&svc));
}
END_TEST

START_TEST(a_failure_waits_and_then_for_a_connection)
{
    step(SVC_EV_BOOT);
    step(SVC_EV_DEMAND);
    run(0, 1);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    ck_assert(svc_wants_sockets(&svc));
    ck_assert_uint_eq(svc.row, 1);
    step(SVC_EV_DEMAND);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    now.mono = svc.deadline;
    step(SVC_EV_DEADLINE);
    ck_assert(is_idle() && did(ACT_RECORD) && !did(ACT_QUEUE));

    spec->restart = RESTART_NO;
    step(SVC_EV_DEMAND);
    run(0, 1);
    ck_assert(svc.state == SVC_FAILED && !svc_wants_sockets(&svc));
    step(SVC_EV_START);
    run(0, 0);
    ck_assert_msg(is_idle(), "success is not what restart = no is about");
    exit_set_add_code(&spec->restart_prevent_exit, 0);
    step(SVC_EV_DEMAND);
    run(0, 0);
    ck_assert(svc.state == SVC_EXITED && !svc_wants_sockets(&svc));
}
END_TEST

/* 20 within 2 s, then the delays of the policy. */
START_TEST(one_that_takes_nothing_is_slowed)
{
    int64_t delays[3];

    step(SVC_EV_BOOT);
    for (int i = 0; i < 20; i++) {
        step(SVC_EV_DEMAND);
        ck_assert(did(ACT_QUEUE));
        run(1000, 0);
        ck_assert(is_idle());
    }
    for (int i = 0; i < 3; i++) {
        step(SVC_EV_DEMAND);
        ck_assert(svc.state == SVC_BACKOFF && did(ACT_RECORD) && !did(ACT_QUEUE));
        ck_assert_ptr_nonnull(strstr(svc.reason, "more than 20 times within 2s"));
        ck_assert(svc_wants_sockets(&svc));
        delays[i] = svc.deadline - now.mono;
        now.mono = svc.deadline;
        step(SVC_EV_DEADLINE);
        ck_assert(is_idle());
    }
    ck_assert_int_ge(delays[0], USEC_PER_SEC / 10);
    ck_assert_int_gt(delays[1], delays[0]);
    ck_assert_int_gt(delays[2], delays[1]);

    now.mono += 2 * USEC_PER_SEC;
    step(SVC_EV_DEMAND);
    ck_assert_msg(did(ACT_QUEUE), "another 20 after a while");
    run(0, 0);
    spec->restart = RESTART_NO;
    for (int i = 0; i < 19; i++) {
        step(SVC_EV_DEMAND);
        run(0, 0);
    }
    step(SVC_EV_DEMAND);
    ck_assert(svc.state == SVC_FAILED && !svc_wants_sockets(&svc));
}
END_TEST

START_TEST(a_new_configuration)
{
    step(SVC_EV_BOOT);
    strv_free(spec->listen);
    spec->listen = strv_push(NULL, xstrdup("udp:*:53"));
    step(SVC_EV_CONFIG);
    ck_assert(is_idle() && IS("waiting for a connection on udp:*:53"));
    spec->start = START_AUTO;
    step(SVC_EV_CONFIG);
    ck_assert(svc.state == SVC_WAITING && !svc.idle && did(ACT_RECORD) && did(ACT_QUEUE));
    run(0, 0);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    spec->start = START_ON_DEMAND;
    step(SVC_EV_CONFIG);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    now.mono = svc.deadline;
    step(SVC_EV_DEADLINE);
    ck_assert(is_idle());
}
END_TEST

/* What the next supd reads of it. */
static void crash(void)
{
    uint8_t record[RECORD_MAX];
    size_t len = record_encode_service(record, "x", &svc);
    struct replay *replay = replay_new(record, len);

    ck_assert_uint_eq(replay->n, 1);
    ck_assert_uint_eq(replay->damaged, 0);
    svc = replay->images[0]->svc;
    replay_free(replay);
    step(SVC_EV_BOOT);
}

START_TEST(over_the_death_of_supd)
{
    step(SVC_EV_BOOT);
    crash();
    ck_assert(is_idle());
    step(SVC_EV_DEMAND);
    crash();
    ck_assert_msg(!svc.idle && did(ACT_QUEUE), "a start that was asked for is not forgotten");
    run(0, 0);
    crash();
    ck_assert(is_idle());
    spec->start = START_AUTO;
    crash();
    ck_assert_msg(!svc.idle && did(ACT_QUEUE), "the configuration is another now");
    spec->start = START_ON_DEMAND;
    step(SVC_EV_STOP);
    crash();
    ck_assert_int_eq(svc.state, SVC_STOPPED);
}
END_TEST

START_TEST(when_sockets_are_open)
{
    spec->start = START_AUTO;
    step(SVC_EV_BOOT);
    ck_assert(svc_wants_sockets(&svc));
    run(0, 0);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    ck_assert(svc_wants_sockets(&svc));
    now.mono = svc.deadline;
    step(SVC_EV_DEADLINE);
    step(SVC_EV_SLOT);
    ck_assert(svc_wants_sockets(&svc));
    step(SVC_EV_FORKED);
    step(SVC_EV_EXECED);
    step(SVC_EV_RESTART);
    ck_assert(svc.state == SVC_STOPPING && svc_wants_sockets(&svc));
    step(SVC_EV_STOP);
    ck_assert_msg(svc.state == SVC_STOPPING && !svc_wants_sockets(&svc), "from the beginning of the stop on");
    step(SVC_EV_START);
    ck_assert(svc_wants_sockets(&svc));
    step(SVC_EV_SHUTDOWN);
    ck_assert(!svc_wants_sockets(&svc));
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("demand");
    TCase *tc = tcase_create("demand");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, from_one_connection_to_the_next);
    tcase_add_test(tc, commands);
    tcase_add_test(tc, a_failure_waits_and_then_for_a_connection);
    tcase_add_test(tc, one_that_takes_nothing_is_slowed);
    tcase_add_test(tc, a_new_configuration);
    tcase_add_test(tc, over_the_death_of_supd);
    tcase_add_test(tc, when_sockets_are_open);
    suite_add_tcase(suite, tc);
    return suite;
}
