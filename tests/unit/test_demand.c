/* SPDX-License-Identifier: MIT */
/* start = on-demand, from one connection to the next. */
#include <stdio.h>
#include <string.h>

#include "core/record.h"
#include "unit/one_service.h"

#define IS(text) strcmp(svc.rare.reason, text) == 0

static void setup(void)
{
    setup_service();
    spec_own_around(spec)->start = START_ON_DEMAND;
    spec_own_around(spec)->listen = strv_push(strv_push(NULL, xstrdup("tcp:127.0.0.1:80,name=a")), xstrdup("unix:/x"));
    svc_init(&svc, spec, now);
}

/* Its turn, and its whole run of USEC. */
static void run(int64_t usec, int code)
{
    step(SVC_EV_SLOT);
    main_forked();
    step(SVC_EV_EXECED);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    now.mono += usec;
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED, .code = code}});
    step(SVC_EV_GROUP);
}

static bool is_idle(void)
{
    return svc.state == SVC_WAITING && svc.idle && svc.desired_up && svc_wants_sockets(&svc);
}

START_TEST(from_one_connection_to_the_next)
{
    step(SVC_EV_BOOT);
    ck_assert(is_idle() && acted(ACT_RECORD) && !acted(ACT_QUEUE));
    ck_assert_str_eq(svc.rare.reason, "waiting for a connection on tcp:127.0.0.1:80 and 1 more");
    for (unsigned life = 1; life <= 3; life++) {
        now.mono += USEC_PER_SEC;
        step(SVC_EV_DEMAND);
        ck_assert(svc.state == SVC_WAITING && !svc.idle && acted(ACT_RECORD) && acted(ACT_QUEUE));
        ck_assert_str_eq(svc.rare.reason, "started by a connection");
        step(SVC_EV_DEMAND);
        ck_assert_uint_eq(actions.n, 0);
        run(USEC_PER_SEC / 10, 0);
        ck_assert(is_idle() && acted(ACT_RECORD) && !acted(ACT_QUEUE));
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
    ck_assert(svc.state == SVC_WAITING && !svc.idle && acted(ACT_QUEUE));
    run(0, 0);
    ck_assert(is_idle());
    step(SVC_EV_START);
    ck_assert(svc.state == SVC_WAITING && !svc.idle && acted(ACT_RECORD) && acted(ACT_QUEUE));
    run(0, 0);
    step(SVC_EV_RESTART);
    ck_assert(!svc.idle && acted(ACT_QUEUE));
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
    deadline();
    ck_assert(is_idle() && acted(ACT_RECORD) && !acted(ACT_QUEUE));

    spec_own_life(spec)->restart = RESTART_NO;
    step(SVC_EV_DEMAND);
    run(0, 1);
    ck_assert(svc.state == SVC_FAILED && !svc_wants_sockets(&svc));
    step(SVC_EV_START);
    run(0, 0);
    ck_assert_msg(is_idle(), "success is not what restart = no is about");
    exit_set_add_code(&spec_own_life(spec)->restart_prevent_exit, 0);
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
        ck_assert(acted(ACT_QUEUE));
        run(1000, 0);
        ck_assert(is_idle());
    }
    for (int i = 0; i < 3; i++) {
        step(SVC_EV_DEMAND);
        ck_assert(svc.state == SVC_BACKOFF && acted(ACT_RECORD) && !acted(ACT_QUEUE));
        ck_assert_ptr_nonnull(strstr(svc.rare.reason, "more than 20 times within 2s"));
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
    ck_assert_msg(acted(ACT_QUEUE), "another 20 after a while");
    run(0, 0);
    spec_own_life(spec)->restart = RESTART_NO;
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
    strv_free(spec->around->listen);
    spec_own_around(spec)->listen = strv_push(NULL, xstrdup("udp:*:53"));
    step(SVC_EV_CONFIG);
    ck_assert(is_idle() && IS("waiting for a connection on udp:*:53"));
    spec_own_around(spec)->start = START_AUTO;
    step(SVC_EV_CONFIG);
    ck_assert(svc.state == SVC_WAITING && !svc.idle && acted(ACT_RECORD) && acted(ACT_QUEUE));
    run(0, 0);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    spec_own_around(spec)->start = START_ON_DEMAND;
    step(SVC_EV_CONFIG);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    deadline();
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
    ck_assert_msg(!svc.idle && acted(ACT_QUEUE), "a start that was asked for is not forgotten");
    run(0, 0);
    crash();
    ck_assert(is_idle());
    spec_own_around(spec)->start = START_AUTO;
    crash();
    ck_assert_msg(!svc.idle && acted(ACT_QUEUE), "the configuration is another now");
    spec_own_around(spec)->start = START_ON_DEMAND;
    step(SVC_EV_STOP);
    crash();
    ck_assert_int_eq(svc.state, SVC_STOPPED);
}
END_TEST

START_TEST(when_sockets_are_open)
{
    spec_own_around(spec)->start = START_AUTO;
    step(SVC_EV_BOOT);
    ck_assert(svc_wants_sockets(&svc));
    run(0, 0);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    ck_assert(svc_wants_sockets(&svc));
    deadline();
    step(SVC_EV_SLOT);
    ck_assert(svc_wants_sockets(&svc));
    main_forked();
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

    tcase_add_checked_fixture(tc, setup, teardown_service);
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
